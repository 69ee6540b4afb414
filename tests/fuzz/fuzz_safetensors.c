/* fuzz_safetensors.c - any bytes as a safetensors file: refused, or every tensor can be read to its last byte. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    struct safetensors *st;
    const int rc = safetensors_parse(&st, data, size, "input", &err);
    if (rc < 0) {
        if (rc != err.code || !*err.msg || st)
            abort();
        return 0;
    }
    uint64_t covered = 0;
    volatile unsigned char sink = 0;
    for (int i = 0; i < st->n_tensor; i++) {
        const struct st_tensor *t = &st->tensor[i];
        if (safetensors_find(st, t->name) != t)
            abort();
        for (uint64_t k = 0; k < t->end - t->begin; k++)
            sink = (unsigned char)(sink ^ ((const unsigned char *)t->data)[k]);
        covered += t->end - t->begin;
        float out[64];
        for (int64_t k = 0; k < t->n; k += 64)
            if (st_read_f32(t, k, t->n - k < 64 ? t->n - k : 64, out, &err) < 0)
                break;
    }
    uint64_t header;
    memcpy(&header, data, sizeof header);
    if (covered + header + 8 != size)
        abort();
    safetensors_free(st);
    return 0;
}
