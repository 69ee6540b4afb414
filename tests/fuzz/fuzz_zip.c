/* fuzz_zip.c - any bytes as a zip file: its members' bytes, or an error. */
#include <stdint.h>
#include "data/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct zip z;
    struct err err;
    struct buf b;
    buf_init(&b);
    if (!zip_over(&z, data, n, "fuzz", &err)) {
        for (int i = 0; i < z.n_member && i < 20; i++)
            zip_read(&z, i, (size_t)1 << 20, &b, &err);
        zip_find(&z, "a");
        zip_close(&z);
    }
    buf_release(&b);
    return 0;
}
