/* fuzz_adapter.c - any bytes as adapters: up to the first NUL adapter_config.json, then adapter_model.safetensors; held against a
 * small Llama, or one with two classes where the configuration speaks of a head, and added to its weights. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "model/adapter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char config[] = "{\"model_type\":\"llama\",\"vocab_size\":9,\"hidden_size\":4,\"num_hidden_layers\":1,\"num_attention_heads\":2,"
                             "\"num_key_value_heads\":1,\"intermediate_size\":6,\"max_position_embeddings\":8}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct weights_list *lists[2];
    struct err err = { 0 };
    struct config c;
    struct adapter *a;
    struct labels labels;
    for (int i = 0; i < 2 && !lists[1]; i++) {
        if (config_parse(&c, config, sizeof config - 1, "config", NULL, &err))
            abort();
        c.n_label = 2 * i;
        if (weights_list_new(&lists[i], &c, &err))
            abort();
    }
    const uint8_t *end = memchr(data, 0, size);
    const size_t n = end ? (size_t)(end - data) : size;
    int rc = adapter_parse(&a, (const char *)data, n, end ? end + 1 : data + size, end ? size - n - 1 : 0, &err);
    if (!rc) {
        const struct weights_list *l = lists[adapter_has_head(a)];
        rc = adapter_labels(a, &labels, &err);
        labels_release(&labels);
        if (!rc)
            rc = adapter_bind(a, l, &err);
        float row[64] = { 0 };
        for (int i = 0; !rc && i < l->n_weight; i++)
            for (int64_t r = 0; adapter_changes(a, i) && r < l->weight[i].shape[0]; r++)
                adapter_add_row(a, i, r, row);
        adapter_free(a);
    }
    if (rc < 0 && (rc != err.code || !*err.msg))
        abort();
    return 0;
}
