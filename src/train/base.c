#include "train/base.h"
#include <string.h>
#include "base/log.h"
#include "model/adapter.h"
#include "model/folder_from_gguf.h"
#include "model/weights_read.h"

static int open_base(struct model *m, const char *path, bool warn, struct err *err)
{
    struct buf warnings;
    buf_init(&warnings);
    const int rc = model_open(m, path, &warnings, err);
    if (warn && warnings.len)
        log_warn("%.*s", (int)(warnings.len - 1), warnings.data);
    buf_release(&warnings);
    return rc;
}

int base_config(struct config *c, const char *path, struct err *err)
{
    struct model m;
    TRY(open_base(&m, path, true, err));
    *c = m.config;
    model_release(&m);
    return 0;
}

int base_tokenizer(struct tok **out, const char *path, struct err *err)
{
    struct model m;
    TRY(open_base(&m, path, false, err));
    const int rc = tok_load(out, model_tok_path(&m, path), err);
    model_release(&m);
    return rc;
}

static int copy_weights(struct decoder *d, const struct weights_list *l, const struct model *m, struct err *err)
{
    struct weights_reader *r;
    TRY(weights_reader_new(&r, m, err));
    for (int i = 0; i < l->n_weight; i++)
        memcpy(decoder_weight(d, i), weights_reader_floats(r, i), (size_t)l->weight[i].n * sizeof(float));
    const int rc = weights_reader_error(r, err);
    weights_reader_free(r);
    return rc;
}

int base_weights(struct decoder *d, const struct weights_list *l, const char *path, struct err *err)
{
    struct model m;
    TRY(open_base(&m, path, false, err));
    const int rc = m.list->n_weight == l->n_weight ? copy_weights(d, l, &m, err) : ERR(err, FORMAT, "%s was altered while it was in use", path);
    model_release(&m);
    return rc;
}

int base_digest(char hex[SHA256_HEX], const char *path, struct err *err)
{
    struct model m;
    struct weights_reader *r = NULL;
    TRY(open_base(&m, path, false, err));
    int rc = weights_reader_new(&r, &m, err);
    if (!rc)
        rc = adapter_base(hex, m.list, weights_reader_floats, r, err);
    if (!rc)
        rc = weights_reader_error(r, err);
    weights_reader_free(r);
    model_release(&m);
    return rc;
}

int base_put_chat(const char *path, const char *folder, struct err *err)
{
    struct model m;
    TRY(open_base(&m, path, false, err));
    const int rc = folder_put_chat(&m, model_tok_path(&m, path), folder, err);
    model_release(&m);
    return rc;
}
