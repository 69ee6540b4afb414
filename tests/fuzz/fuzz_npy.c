/* fuzz_npy.c - any bytes as an archive of arrays, or an array: refused with a message, or as many elements as its shape says. */
#include <stdlib.h>
#include "eval/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void look(const struct npy *a)
{
    char text[200];
    int64_t v, count = 1;
    npy_describe(a, text);
    for (int i = 0; i < a->rank; i++)
        count *= a->shape[i];
    if (count != a->n || a->bytes.len != (size_t)a->n * (size_t)a->size)
        abort();
    if (a->n) {
        (void)npy_double(a, a->n - 1);
        (void)npy_int(a, 0, "input", &v, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct err err = { 0 };
    struct npz z;
    struct npy a;
    int rc = npz_open(&z, data, n, "input", &err);
    if (rc < 0) {
        if (rc != err.code || !*err.msg)
            abort();
        return 0;
    }
    for (int i = 0; i < z.n_array && i < 20; i++) {
        rc = npz_read(&z, i, &a, &err);
        if (rc < 0 && (rc != err.code || !*err.msg))
            abort();
        if (rc >= 0) {
            look(&a);
            npy_release(&a);
        }
    }
    npz_close(&z);
    return 0;
}
