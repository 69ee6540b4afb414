/* tok_load.c - which kind of tokenizer a file is, by its first bytes. */
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "model/gguf.h"
#include "model/tok_files.h"
#include "model/tok_impl.h"

static int load_gguf(struct tok **out, const char *path, struct err *err)
{
    struct gguf *g;
    TRY(gguf_open(&g, path, err));
    const int rc = tok_from_gguf(out, g, path, err);
    gguf_free(g);
    return rc;
}

static int load_file(struct tok **out, const char *path, struct err *err)
{
    struct file_map m;
    TRY(file_map_open(&m, path, err));
    int rc;
    if (m.size >= 4 && !memcmp(m.data, "GGUF", 4)) {
        file_map_close(&m);
        return load_gguf(out, path, err);
    }
    size_t i = 0;
    while (i < m.size && (m.data[i] == ' ' || m.data[i] == '\t' || m.data[i] == '\r' || m.data[i] == '\n'))
        i++;
    if (i < m.size && (m.data[i] == '{' || m.data[i] == '[')) {
        file_map_close(&m);
        return tok_load_json(out, path, err);
    }
    const char *space = memchr(m.data, ' ', m.size < 400 ? m.size : 400);
    if (m.size > TOK_FILE_MAX)
        rc = ERR(err, RANGE, "%s: %zu bytes, expected a tokenizer of at most %zu", path, m.size, TOK_FILE_MAX);
    else if (space && space[1] >= '0' && space[1] <= '9' && !memchr(m.data, '\n', (size_t)(space - m.data))) {
        const char *kind = tok_tiktoken_kind(path);
        rc = kind ? tok_parse_tiktoken(out, m.data, m.size, kind, path, err)
                  : ERR(err, UNSUPPORTED, "%s: ranks do not say how text is split; expected r50k, p50k, cl100k, o200k, qwen, llama3 or llama4 in the name", path);
    } else if (m.size && m.data[0] == '\n')
        rc = tok_parse_spm(out, m.data, m.size, path, err);
    else
        rc = ERR(err, FORMAT, "%s: not a tokenizer: expected a tokenizer.json, a SentencePiece model, tiktoken ranks or GGUF", path);
    file_map_close(&m);
    return rc;
}

/* ---- a folder ---- */

static const char *content_of(const json_t *o)
{
    return json_is_object(o) ? json_string_value(json_object_get(o, "content")) : json_string_value(o);
}

/* What transformers' Llama and Gemma classes do with add_bos_token and add_eos_token, whatever the template says. */
static int set_around(struct tok *t, const json_t *o, const char *key, int id, int32_t **ids, int *n, struct err *err)
{
    const json_t *add = json_object_get(o, key);
    const char *class = json_string_value(json_object_get(o, "tokenizer_class"));
    if (!json_is_boolean(add) || id < 0 || !class || (strncmp(class, "Llama", 5) && strncmp(class, "Gemma", 5)))
        return 0;
    if (json_is_true(add))
        return *n ? 0 : tok_set_ids(ids, n, &id, 1, err);
    if (*n == 1 && (*ids)[0] == id)
        *n = 0;
    (void)t;
    return 0;
}

static int read_config(struct tok *t, const char *dir, struct err *err)
{
    char *path = file_join(dir, "tokenizer_config.json");
    json_t *o = NULL;
    int rc = path ? 0 : ERR(err, NOMEM, "no memory to open %s", dir);
    if (!rc && file_exists(path))
        rc = tree_load(&o, path, TOK_FILE_MAX, err);
    mem_free(path);
    if (rc < 0 || !o)
        return rc;
    const char *bos = content_of(json_object_get(o, "bos_token")), *eos = content_of(json_object_get(o, "eos_token"));
    const int i_bos = bos ? tok_special(t, bos) : -1, i_eos = eos ? tok_special(t, eos) : -1;
    if (i_bos >= 0)
        t->bos = i_bos;
    if (i_eos >= 0)
        t->eos = t->eot = i_eos, t->entry[i_eos].eog = true;
    if (!(rc = set_around(t, o, "add_bos_token", t->bos, &t->before, &t->n_before, err)))
        rc = set_around(t, o, "add_eos_token", t->eos, &t->after, &t->n_after, err);
    json_decref(o);
    return rc;
}

static int load_dir(struct tok **out, const char *dir, struct err *err)
{
    static const char *const names[] = { "tokenizer.json", "tokenizer.model", "spiece.model", "qwen.tiktoken", NULL };
    for (int i = 0; names[i]; i++) {
        char *path = file_join(dir, names[i]);
        if (!path)
            return ERR(err, NOMEM, "no memory to open %s", dir);
        const bool there = file_exists(path);
        int rc = there ? load_file(out, path, err) : 0;
        mem_free(path);
        if (!there)
            continue;
        if (!rc && (rc = read_config(*out, dir, err)) < 0) {
            tok_free(*out);
            *out = NULL;
        }
        return rc;
    }
    return ERR(err, NOTFOUND, "%s: no tokenizer.json, tokenizer.model, spiece.model or qwen.tiktoken in it", dir);
}

int tok_load(struct tok **out, const char *path, struct err *err)
{
    *out = NULL;
    return file_is_dir(path) ? load_dir(out, path, err) : load_file(out, path, err);
}
