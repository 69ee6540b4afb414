/* fuzz_zip.c - any bytes as a zip file: its first member's bytes, or an error. */
#include <stdint.h>
#include "data/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct zip z;
    struct err err;
    struct buf b;
    buf_init(&b);
    if (!zip_over(&z, (const char *)data, n, "fuzz", &err))
        zip_read(&z, "a", (size_t)1 << 20, &b, &err);
    buf_release(&b);
    return 0;
}
