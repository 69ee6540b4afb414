#include "model/folder_from_gguf.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/tok.h"
#include "model/weights_read.h"

static int write_file(const char *folder, const char *name, const struct buf *b, struct err *err)
{
    char *path = file_join(folder, name);
    if (!path)
        return ERR(err, NOMEM, "no memory to write %s", name);
    const int rc = file_write_all(path, b->data, b->len, err);
    mem_free(path);
    return rc;
}

static int write_config(const struct model *m, const char *folder, enum st_dtype dtype, struct err *err)
{
    struct config c = m->config;
    struct buf b;
    c.dtype = dtype;
    buf_init(&b);
    int rc = config_write(&c, &b, err);
    if (!rc)
        rc = write_file(folder, "config.json", &b, err);
    buf_release(&b);
    return rc;
}

int folder_put_tokenizer(const struct model *m, const char *from, const char *folder, struct err *err)
{
    struct tok *t;
    struct buf b;
    TRY(tok_load(&t, model_tok_path(m, from), err));
    buf_init(&b);
    int rc = tok_write(t, &b, err);
    if (!rc)
        rc = write_file(folder, "tokenizer.json", &b, err);
    buf_release(&b);
    tok_free(t);
    return rc;
}

/* The list of the family's own names; m->list has the parts of the file that is read. */
static int write_weights(const struct model *m, const char *folder, enum st_dtype dtype, struct err *err)
{
    struct weights_list *l = NULL;
    struct weights_reader *r = NULL;
    char *path = file_join(folder, "model.safetensors");
    int rc = path ? weights_list_new(&l, &m->config, err) : ERR(err, NOMEM, "no memory to write %s", folder);
    if (!rc)
        rc = weights_reader_new(&r, m, err);
    if (!rc)
        rc = weights_save(l, path, dtype, weights_reader_floats, r, NULL, 0, NULL, NULL, err);
    if (!rc && (rc = weights_reader_error(r, err)) < 0)
        file_remove_tree(path, NULL);
    weights_reader_free(r);
    weights_list_free(l);
    mem_free(path);
    return rc;
}

int folder_from_gguf(const struct model *m, const char *folder, enum st_dtype dtype, struct err *err)
{
    TRY(file_mkdirs(folder, err));
    TRY(write_config(m, folder, dtype, err));
    return write_weights(m, folder, dtype, err);
}
