/* fuzz_samples.c - any bytes as lines of a kept evaluation: refused with the file's name, or items in order, which pair with themselves. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "eval/samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[64];
    struct samples s;
    struct err err;
    if (!*path)
        snprintf(path, sizeof path, "/tmp/lathe-fuzz-samples-%ld.jsonl", (long)getpid());
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f))
        abort();
    const int rc = samples_load(&s, path, NULL, NULL, &err);
    unlink(path);
    if (rc) {
        if (!strstr(err.msg, path))
            abort();
        return 0;
    }
    for (int i = 0; i < s.n; i++) {
        struct sample_pairs p;
        if (samples_pair(&p, &s.set[i], &s.set[i], &err) || p.n + p.no_value != s.set[i].n)
            abort();
        for (int64_t k = 0; k < s.set[i].n; k++)
            if (strlen(s.set[i].item[k].text) > SAMPLE_TEXT + 3)
                abort();
        sample_pairs_release(&p);
    }
    samples_release(&s);
    return 0;
}
