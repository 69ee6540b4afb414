/* fuzz_gguf_model.c - any bytes as a GGUF file of a model: refused with a word on why, or its configuration is one that can be
 * written and read, and its weights can be read. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include "base/mem.h"
#include "model/gguf_config.h"
#include "model/weights_gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static float *place(void *ctx, int i) { return ((float **)ctx)[i]; }

static void load(const struct config *c, const struct gguf *g)
{
    struct err err = { 0 };
    struct weights_list *l;
    if (weights_list_new(&l, c, &err) < 0)
        abort();
    float **w = NULL;
    /* Only what is there in full is given room for. */
    if (weights_gguf_parts(l, g, &err) == 0 && weights_gguf_check(l, g, &err) == 0) {
        w = mem_alloc_array((size_t)l->n_weight, sizeof *w);
        for (int i = 0; i < l->n_weight; i++)
            w[i] = mem_alloc_array((size_t)l->weight[i].n, sizeof **w);
        if (weights_gguf_load(l, g, place, w, &err) < 0)
            abort();
        for (int i = 0; i < l->n_weight; i++)
            mem_free(w[i]);
        mem_free(w);
    }
    weights_list_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    struct gguf *g;
    struct config c;
    struct buf warnings;
    if (gguf_parse(&g, data, size, "input", &err) < 0)
        return 0;
    buf_init(&warnings);
    const int rc = gguf_config(&c, g, &warnings, &err);
    if (rc < 0 && (rc != err.code || !*err.msg))
        abort();
    if (!rc)
        load(&c, g);
    buf_release(&warnings);
    gguf_free(g);
    return 0;
}
