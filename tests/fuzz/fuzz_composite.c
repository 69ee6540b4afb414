/* fuzz_composite.c - two bytes of length, a config.json of that length, then a safetensors file: weights in several tensors
 * are refused with a message, or every row of each can be read. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/tree.h"
#include "model/composite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_rows(const struct composite *c)
{
    const struct source_tensor t = composite_tensor(c);
    const int64_t K = t.shape[t.rank - 1], rows = K ? t.n / K : 0;
    const size_t bytes = K ? type_bytes(t.type, K) : 0;
    char *row = malloc(17 * bytes + 1);
    for (int64_t r = 0; r < rows; r += 17)
        composite_read_rows(c, r, rows - r < 17 ? rows - r : 17, row);
    free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    struct safetensors *st;
    json_t *root = NULL;
    const size_t n = size < 2 ? 0 : (size_t)data[0] | (size_t)data[1] << 8;
    if (size < 2 || n > size - 2 || (n && tree_parse_json(&root, (const char *)data + 2, n, "config.json", &err) < 0))
        return 0;
    if (!safetensors_parse(&st, data + 2 + n, size - 2 - n, "input", &err)) {
        bool *used = calloc((size_t)st->n_tensor + 1, sizeof *used);
        struct composite *c;
        int n_composite;
        const int rc = composites_find(&c, &n_composite, used, st, root, "config.json", &err);
        if (rc < 0 && (rc != err.code || !*err.msg || c))
            abort();
        for (int i = 0; i < n_composite; i++)
            read_rows(composite_at(c, i));
        composites_free(c, n_composite);
        free(used);
        safetensors_free(st);
    }
    json_decref(root);
    return 0;
}
