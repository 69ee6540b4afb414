/* fuzz_idx.c - any bytes as an idx file, plain or gzip: refused, or as many bytes as its sizes say. */
#include <stdlib.h>
#include "data/idx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct err err = { 0 };
    struct idx x;
    const int rc = idx_parse(&x, data, n, "input", &err);
    if (rc < 0) {
        if (rc != err.code || !*err.msg)
            abort();
        return 0;
    }
    size_t want = 1;
    for (int i = 0; i < x.rank; i++)
        want *= (size_t)x.size[i];
    if (x.bytes.len != want)
        abort();
    idx_release(&x);
    return 0;
}
