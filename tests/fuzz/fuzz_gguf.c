/* fuzz_gguf.c - any bytes as a GGUF file: refused with a message, or every value and every tensor can be read, and the memory
 * it took is within what gguf.h says. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "model/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile double sink;

static void read_pair(const struct gguf *g, const struct gguf_pair *p)
{
    int64_t v;
    double d;
    bool b;
    const char *s;
    const struct gguf_pair *a;
    if (gguf_find(g, p->key) != p)
        abort();
    gguf_get_int(g, p->key, -5, 5, &v, NULL);
    gguf_get_num(g, p->key, &d, NULL);
    gguf_get_bool(g, p->key, &b, NULL);
    if (gguf_get_str(g, p->key, &s, NULL) == 1 && strlen(s) != p->n_byte)
        abort();
    gguf_get_strs(g, p->key, &a, NULL), gguf_get_ints(g, p->key, &a, NULL), gguf_get_nums(g, p->key, &a, NULL);
    for (int64_t i = 0; i < p->n; i++)
        if (p->kind == GGUF_STR) {
            const struct gguf_str str = gguf_str_at(p, i);
            for (size_t k = 0; k < str.n; k++)
                sink = str.p[k];
        } else {
            sink = gguf_num_at(p, i);
        }
}

static void read_tensor(const struct gguf *g, const struct source_tensor *t)
{
    float y[256];
    if (gguf_find_tensor(g, t->name) != t || !*gguf_type_name(g, t))
        abort();
    for (size_t k = 0; k < t->bytes; k++)
        sink = ((const unsigned char *)t->data)[k];
    for (int64_t k = 0; t->type < N_CPU_TYPE && k < t->n; k += 256) {
        const int64_t n = t->n - k < 256 ? t->n - k : 256;
        type_dequantize(t->type, n, (const char *)t->data + type_bytes(t->type, k), y);
        sink = (double)y[n - 1];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    struct gguf *g;
    struct mem_stats before, after;
    mem_stats_get(&before);
    const int rc = gguf_parse(&g, data, size, "input", &err);
    mem_stats_get(&after);
    if (after.n_alloc - before.n_alloc > 20 + 2 * size / 14)
        abort();
    if (rc < 0) {
        if (rc != err.code || !*err.msg || g)
            abort();
        return 0;
    }
    for (int i = 0; i < gguf_n_pair(g); i++)
        read_pair(g, gguf_pair(g, i));
    for (int i = 0; i < gguf_n_tensor(g); i++)
        read_tensor(g, gguf_tensor(g, i));
    gguf_free(g);
    return 0;
}
