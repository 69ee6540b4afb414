/* fuzz_logprobs.c - any bytes as a file of predictions: it is refused with its name, or all its rows are read. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "infer/logprobs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[64];
    struct logprobs_reader r;
    struct err err;
    if (!*path)
        snprintf(path, sizeof path, "/tmp/lathe-fuzz-logprobs-%ld", (long)getpid());
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f))
        abort();
    const int rc = logprobs_open(&r, path, &err);
    unlink(path);
    if (rc) {
        if (!strstr(err.msg, path))
            abort();
        return 0;
    }
    float *out = malloc((size_t)r.V * sizeof *out);
    while (out && r.n_left && logprobs_read(&r, 1, out, &err) == 0)
        ;
    free(out);
    logprobs_close(&r);
    return 0;
}
