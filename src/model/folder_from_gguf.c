#include "model/folder_from_gguf.h"
#include <ctype.h>
#include <jansson.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "model/chat.h"
#include "model/gguf.h"
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

/* ---- what chats need ---- */

static int write_template(const char *folder, const struct chat_source *s, struct err *err)
{
    if (!strcmp(s->name, "default"))
        return write_file(folder, "chat_template.jinja", &(struct buf){ .data = (char *)(uintptr_t)s->text, .len = s->n }, err);
    size_t n = 0;
    while (isascii((unsigned char)s->name[n]) && (isalnum((unsigned char)s->name[n]) || s->name[n] == '_' || s->name[n] == '-'))
        n++;
    if (!n || s->name[n] || n > 100)
        return ERR(err, UNSUPPORTED, "the chat template '%.60s' has a name that is no file's, expected letters, digits, - and _", s->name);
    char name[160], *dir = file_join(folder, "additional_chat_templates");
    snprintf(name, sizeof name, "additional_chat_templates/%s.jinja", s->name);
    int rc = dir ? file_mkdirs(dir, err) : ERR(err, NOMEM, "no memory to write %s", name);
    if (!rc)
        rc = write_file(folder, name, &(struct buf){ .data = (char *)(uintptr_t)s->text, .len = s->n }, err);
    mem_free(dir);
    return rc;
}

/* tokenizer_config.json: the names of special tokens, which templates use, and what is put around a text. */
static int write_tokenizer_config(const struct model *m, const json_t *tokens, const char *folder, struct err *err)
{
    static const char *const flags[] = { "add_bos_token", "add_eos_token" };
    json_t *o = json_pack("{s:s, s:i, s:b}", "tokenizer_class", "PreTrainedTokenizerFast", "model_max_length", m->config.ctx, "clean_up_tokenization_spaces", 0);
    const struct gguf *g = source_gguf(m->source);
    int rc = o && !json_object_update(o, (json_t *)(uintptr_t)tokens) ? 0 : ERR(err, NOMEM, "no memory to write tokenizer_config.json");
    for (size_t i = 0; i < sizeof flags / sizeof *flags && g && rc >= 0; i++) {
        char key[64];
        bool on;
        snprintf(key, sizeof key, "tokenizer.ggml.%s", flags[i]);
        rc = gguf_get_bool(g, key, &on, err);
        if (rc > 0)
            rc = json_object_set_new(o, flags[i], json_boolean(on)) ? ERR(err, NOMEM, "no memory to write tokenizer_config.json") : 0;
    }
    char *text = rc < 0 ? NULL : json_dumps(o, JSON_INDENT(2));
    if (rc >= 0)
        rc = text ? write_file(folder, "tokenizer_config.json", &(struct buf){ .data = text, .len = strlen(text) }, err) : ERR(err, NOMEM, "no memory to write tokenizer_config.json");
    mem_free(text);
    json_decref(o);
    return rc;
}

int folder_put_chat(const struct model *m, const char *from, const char *folder, struct err *err)
{
    struct chat_files *f;
    const struct chat_source *s;
    TRY(chat_files_open(&f, from, true, err));
    int rc = write_tokenizer_config(m, chat_files_tokens(f), folder, err);
    for (int i = 0; !rc && (s = chat_files_template(f, i)); i++)
        rc = write_template(folder, s, err);
    chat_files_close(f);
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
    TRY(config_save(&m->config, dtype, folder, err));
    return write_weights(m, folder, dtype, err);
}
