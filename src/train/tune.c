#include "train/tune.h"
#include <string.h>
#include "base/buf.h"
#include "base/tree.h"
#include "train/base.h"

void tune_defaults(struct tune *t)
{
    *t = (struct tune){ .rank = 8, .targets = "all", .base = "floats", .lora = { .alpha = 16 } };
}

void tune_keys(struct tune *t, struct opt keys[])
{
    const struct opt k[] = {
        { OPT_INT, "rank", &t->rank, "<int>", "columns of B, rows of A", 1, LORA_RANK_MAX },
        { OPT_FLOAT, "alpha", &t->lora.alpha, "<float>", "B A is multiplied by alpha / rank", -1e6, 1e6 },
        { OPT_FLAG, "rslora", &t->lora.rslora, NULL, "by alpha / sqrt(rank) instead", 0, 0 },
        { OPT_FLOAT, "dropout", &t->lora.dropout, "<share>", "of the adapters' inputs that are zeroed in training", 0, 0.99 },
        { OPT_STR, "targets", &t->targets, "<words>", "matrices that get an adapter: all, or a list of q, k, v, o, gate, up, down", 0, 0 },
        { OPT_CHOICE, "base", &t->base, "floats|file", "file: the model stays in its file, in its types (QLoRA), and is read in each step: the same numbers, less memory", 0, 0 },
        { OPT_END, NULL, NULL, NULL, NULL, 0, 0 },
    };
    memcpy(keys, k, sizeof k);
}

/* [q, v] becomes "q,v". */
static int join_targets(json_t *section, const char *where, struct err *err)
{
    const json_t *list = json_object_get(section, "targets");
    if (!json_is_array(list))
        return 0;
    struct buf b;
    buf_init(&b);
    int rc = 0;
    size_t i;
    json_t *word;
    json_array_foreach(list, i, word) {
        if (!rc && !json_is_string(word))
            rc = ERR(err, USAGE, "%s: targets: entry %zu is not a word", where, i + 1);
        if (!rc)
            rc = buf_printf(&b, err, "%s%s", i ? "," : "", json_string_value(word));
    }
    if (!rc && json_object_set_new(section, "targets", json_stringn(b.data ? b.data : "", b.len)))
        rc = ERR(err, NOMEM, "no memory to read %s", where);
    buf_release(&b);
    return rc;
}

int tune_read(struct tune *t, json_t *section, const char *from, const char *where, struct err *err)
{
    struct opt keys[16];
    if (!from)
        return ERR(err, USAGE, "%s: adapters need a model that they are put on: model.from", where);
    TRY(join_targets(section, where, err));
    tune_keys(t, keys);
    TRY(tree_read(section, keys, where, err));
    t->lora.rank = (int)t->rank;
    if (lora_targets(&t->lora, t->targets, err) < 0)
        return err_context(err, "%s", where);
    t->lora.base_name = from;
    t->on = true;
    return base_digest(t->lora.base, from, err);
}
