#include "model/gguf_tok.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "model/chat.h"
#include "model/tok_files.h"
#include "model/tok_impl.h"
#include "model/tok_pre_names.h"

#define KEY(name) "tokenizer.ggml." name
#define PATTERNS_MAX 6

/* What is put: one element for each token. */
struct vocab {
    struct gguf_str *token; float *score; int32_t *type; int n;
    struct buf merges; struct gguf_str *merge; int n_merge;
    struct buf unused;                 /* texts of tokens that the tokenizer lacks */
    const char *where;
    struct err *err;
};

static void vocab_release(struct vocab *v)
{
    mem_free(v->token), mem_free(v->score), mem_free(v->type), mem_free(v->merge);
    buf_release(&v->merges), buf_release(&v->unused);
}

/* ---- tokens ---- */

static int set_token(struct vocab *v, const char *text, const json_t *id, int type)
{
    const int64_t i = json_is_integer(id) ? json_integer_value(id) : -1;
    if (i < 0 || i >= v->n)
        return ERR(v->err, RANGE, "%s: token '%.60s' has id %lld, expected one below the model's %d", v->where, text, (long long)i, v->n);
    v->token[i] = (struct gguf_str){ text, strlen(text) };
    v->type[i] = type;
    return 0;
}

static int is_byte(const char *s)
{
    return strlen(s) == 6 && !memcmp(s, "<0x", 3) && strspn(s + 3, "0123456789ABCDEF") == 2 && s[5] == '>';
}

static int take_tokens(struct vocab *v, const json_t *root, bool bytes)
{
    const json_t *model = json_object_get(root, "model"), *words = json_object_get(model, "vocab"), *added = json_object_get(root, "added_tokens");
    const char *key, *unk = json_string_value(json_object_get(model, "unk_token"));
    json_t *id;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)words, key, id)
        TRY(set_token(v, key, id, unk && !strcmp(key, unk) ? TOK_PIECE_UNKNOWN : bytes && is_byte(key) ? TOK_PIECE_BYTE : TOK_PIECE_NORMAL));
    json_array_foreach(added, i, id) {
        const char *text = json_string_value(json_object_get(id, "content"));
        const bool special = json_is_true(json_object_get(id, "special"));
        if (!text)
            return ERR(v->err, FORMAT, "%s: added token %zu has no content", v->where, i);
        if (!unk || strcmp(text, unk))
            TRY(set_token(v, text, json_object_get(id, "id"), special ? TOK_PIECE_CONTROL : TOK_PIECE_USER));
    }
    return 0;
}

/* Ids that nothing has, as the converter writes them. */
static int fill_unused(struct vocab *v)
{
    TRY(buf_reserve(&v->unused, (size_t)v->n * 16, v->err));
    for (int i = 0; i < v->n; i++) {
        if (v->token[i].p)
            continue;
        const size_t at = v->unused.len;
        TRY(buf_printf(&v->unused, v->err, "[PAD%d]", i));
        v->token[i] = (struct gguf_str){ v->unused.data + at, v->unused.len - at };
        v->type[i] = TOK_PIECE_UNUSED;
    }
    return 0;
}

/* ---- merges: "left right", or ["left", "right"] ---- */

static int take_merges(struct vocab *v, const json_t *list)
{
    size_t i, total = 0;
    json_t *m;
    json_array_foreach(list, i, m)
        total += json_is_string(m) ? json_string_length(m) : json_string_length(json_array_get(m, 0)) + json_string_length(json_array_get(m, 1)) + 1;
    TRY(buf_reserve(&v->merges, total, v->err));       /* it must not move: the list points into it */
    if (!(v->merge = mem_alloc_array(json_array_size(list) + 1, sizeof *v->merge)))
        return ERR(v->err, NOMEM, "no memory for merges");
    json_array_foreach(list, i, m) {
        const size_t at = v->merges.len;
        const char *a = json_string_value(json_array_get(m, 0)), *b = json_string_value(json_array_get(m, 1));
        if (!json_is_string(m) && (!a || !b))
            return ERR(v->err, FORMAT, "%s: merge %zu is not two tokens", v->where, i);
        TRY(json_is_string(m) ? buf_add_str(&v->merges, json_string_value(m), v->err) : buf_printf(&v->merges, v->err, "%s %s", a, b));
        v->merge[v->n_merge++] = (struct gguf_str){ v->merges.data + at, v->merges.len - at };
    }
    return 0;
}

/* The score of a token is less the later the merge that makes it. */
static int score_merges(struct vocab *v, const json_t *words)
{
    char both[1024];
    for (int i = 0; i < v->n_merge; i++) {
        const struct gguf_str m = v->merge[i];
        const char *space = memchr(m.p, ' ', m.n);
        if (!space || m.n >= sizeof both)
            return ERR(v->err, FORMAT, "%s: merge %d is not two tokens", v->where, i);
        const size_t left = (size_t)(space - m.p);
        memcpy(both, m.p, left);
        memcpy(both + left, space + 1, m.n - left - 1);
        both[m.n - 1] = 0;
        const json_t *id = json_object_get(words, both);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= v->n)
            return ERR(v->err, FORMAT, "%s: merge %d names a token that the vocabulary lacks", v->where, i);
        float *score = &v->score[json_integer_value(id)];
        if (*score == 0)
            *score = -(float)(i + 1);
    }
    return 0;
}

/* ---- how text is split ---- */

static int add_pattern(const char **list, int *n, const char *pattern)
{
    if (!pattern || *n == PATTERNS_MAX)
        return -1;
    list[(*n)++] = pattern;
    return 0;
}

/* The expressions of a pre-tokenizer, one after the other; -1 when it does something else. */
static int patterns_of(const json_t *pre, const char **list, int *n, bool *byte_level)
{
    const char *type = json_string_value(json_object_get(pre, "type"));
    size_t i;
    json_t *item;
    if (!type)
        return -1;
    if (!strcmp(type, "Sequence")) {
        json_array_foreach(json_object_get(pre, "pretokenizers"), i, item)
            TRY(patterns_of(item, list, n, byte_level));
        return 0;
    }
    if (!strcmp(type, "Split"))
        return add_pattern(list, n, json_string_value(json_object_get(json_object_get(pre, "pattern"), "Regex")));
    if (!strcmp(type, "Digits"))
        return add_pattern(list, n, json_is_true(json_object_get(pre, "individual_digits")) ? NUM_PATTERN : NUMS_PATTERN);
    if (strcmp(type, "ByteLevel") || json_is_true(json_object_get(pre, "add_prefix_space")))
        return -1;
    *byte_level = true;
    return json_is_false(json_object_get(pre, "use_regex")) ? 0 : add_pattern(list, n, GPT2_PATTERN);
}

static const char *name_of_split(const json_t *root)
{
    const char *list[PATTERNS_MAX];
    int n = 0;
    bool byte_level = false;
    const bool whole = json_is_true(json_object_get(json_object_get(root, "model"), "ignore_merges"));
    if (patterns_of(json_object_get(root, "pre_tokenizer"), list, &n, &byte_level) < 0 || !byte_level)
        return NULL;
    for (size_t i = 0; i < sizeof pre_names / sizeof *pre_names; i++) {
        int k = 0;
        while (k < n && pre_names[i].pattern[k] && !strcmp(pre_names[i].pattern[k], list[k]))
            k++;
        if (k == n && n && (k == PATTERNS_MAX || !pre_names[i].pattern[k]) && pre_names[i].ignore_merges == whole)
            return pre_names[i].name;
    }
    return NULL;
}

static const char *type_of(const json_t *o) { const char *t = json_string_value(json_object_get(o, "type")); return t ? t : ""; }

/* BPE over characters: the normalizer makes each space U+2581, and perhaps puts one before the text.  -1: something else, also a
 * Metaspace that puts one only where the text has none. */
static int prefix_of(const json_t *root, bool *prefix)
{
    const json_t *norm = json_object_get(root, "normalizer"), *list = json_object_get(norm, "normalizers"), *item = norm, *pre = json_object_get(root, "pre_tokenizer");
    const char *scheme = json_string_value(json_object_get(pre, "prepend_scheme"));
    *prefix = false;
    if (json_is_object(pre) && (strcmp(type_of(pre), "Metaspace") || !json_is_false(json_object_get(pre, "split")) || !scheme || strcmp(scheme, "never")))
        return -1;
    for (size_t i = 0; i < (list ? json_array_size(list) : json_is_object(norm)); i++) {
        if (list)
            item = json_array_get(list, i);
        if (strcmp(type_of(item), "Prepend") && strcmp(type_of(item), "Replace"))
            return -1;
        *prefix = *prefix || !strcmp(type_of(item), "Prepend");
    }
    return 0;
}

/* None, or NFC, which GGUF's readers leave out. */
static bool plain_normalizer(const json_t *root)
{
    const json_t *norm = json_object_get(root, "normalizer");
    return !json_is_object(norm) || !strcmp(type_of(norm), "NFC");
}

/* ---- putting ---- */

static int put_bpe(struct gguf_writer *w, struct vocab *v, const json_t *root, struct err *err)
{
    const json_t *model = json_object_get(root, "model");
    const bool bytes = json_is_true(json_object_get(model, "byte_fallback"));
    const char *type = json_string_value(json_object_get(model, "type")), *split = NULL;
    bool prefix = false;
    if ((type && strcmp(type, "BPE")) || !json_is_object(json_object_get(model, "vocab")) ||
        (bytes ? prefix_of(root, &prefix) < 0 : !(split = name_of_split(root)) || !plain_normalizer(root)))
        return ERR(err, UNSUPPORTED, "%s: this form of tokenizer (%s) has no name in GGUF that is written here", v->where, type ? type : "?");
    TRY(take_tokens(v, root, bytes));
    TRY(fill_unused(v));
    TRY(take_merges(v, json_object_get(model, "merges")));
    if (bytes)
        TRY(score_merges(v, json_object_get(model, "vocab")));
    TRY(gguf_put_str(w, KEY("model"), bytes ? "llama" : "gpt2", err));
    TRY(gguf_put_str(w, KEY("pre"), bytes ? "default" : split, err));
    TRY(gguf_put_strs(w, KEY("tokens"), v->token, v->n, err));
    if (bytes) {
        TRY(gguf_put_array(w, KEY("scores"), GGUF_F32, v->score, v->n, err));
        TRY(gguf_put_int(w, KEY("add_space_prefix"), GGUF_BOOL, prefix, err));
    }
    TRY(gguf_put_array(w, KEY("token_type"), GGUF_I32, v->type, v->n, err));
    return bytes ? 0 : gguf_put_strs(w, KEY("merges"), v->merge, v->n_merge, err);
}

/* GGUF names the token by one key for all: it must be the tokenizer's. */
static int put_end(struct gguf_writer *w, const char *folder, const char *key, int n, int32_t put, int named, struct err *err)
{
    if (!n || put == named)
        return 0;
    if (named >= 0)
        return ERR(err, UNSUPPORTED, "%s: the tokenizer puts token %d around a text, the configuration has token %d for that (%s); a GGUF file has one", folder, (int)put, named, strrchr(key, '.') + 1);
    return gguf_put_int(w, key, GGUF_U32, put, err);
}

/* Whether something is put before and behind a text, and what. */
static int put_ends(struct gguf_writer *w, const char *folder, int bos, int eos, struct err *err)
{
    struct tok *t;
    TRY(tok_load(&t, folder, err));
    const int before = t->n_before, after = t->n_after;
    const int32_t first = before ? t->before[0] : -1, last = after ? t->after[0] : -1;
    tok_free(t);
    if (before > 1 || after > 1)
        return ERR(err, UNSUPPORTED, "%s: the tokenizer puts %d tokens before a text and %d behind it, GGUF has one each", folder, before, after);
    TRY(put_end(w, folder, KEY("bos_token_id"), before, first, bos, err));
    TRY(put_end(w, folder, KEY("eos_token_id"), after, last, eos, err));
    TRY(gguf_put_int(w, KEY("add_bos_token"), GGUF_BOOL, before, err));
    return gguf_put_int(w, KEY("add_eos_token"), GGUF_BOOL, after, err);
}

/* The one called default, and the others by their names, in which llama.cpp's converter leaves letters and digits. */
static int put_templates(struct gguf_writer *w, const struct chat_files *f, struct err *err)
{
    struct gguf_str names[CHAT_TEMPLATES_MAX];
    int n = 0;
    const struct chat_source *s;
    for (int i = 0; (s = chat_files_template(f, i)); i++) {
        char key[128] = "tokenizer.chat_template";
        if (memchr(s->text, 0, s->n))
            return ERR(err, FORMAT, "the chat template '%s' has a NUL byte", s->name);
        if (strcmp(s->name, "default")) {
            const size_t at = strlen(key);
            if ((size_t)snprintf(key + at, sizeof key - at, ".%s", s->name) >= sizeof key - at)
                return ERR(err, RANGE, "the chat template '%.60s' has a name of more than %zu bytes", s->name, sizeof key - at - 2);
            for (char *c = key + at + 1; *c; c++)
                *c = isascii((unsigned char)*c) && isalnum((unsigned char)*c) ? *c : '_';
            names[n++] = (struct gguf_str){ s->name, strlen(s->name) };
        }
        TRY(gguf_put_str(w, key, s->text, err));
    }
    return n ? gguf_put_strs(w, "tokenizer.chat_templates", names, n, err) : 0;
}

static int put_chat(struct gguf_writer *w, const char *folder, struct err *err)
{
    struct chat_files *f;
    TRY(chat_files_open(&f, folder, true, err));
    const int rc = put_templates(w, f, err);
    chat_files_close(f);
    return rc;
}

static int load(json_t **out, const char *folder, const char *name, struct err *err)
{
    *out = NULL;
    char *path = file_join(folder, name);
    if (!path)
        return ERR(err, NOMEM, "no memory to open %s", name);
    const int rc = file_exists(path) ? tree_load(out, path, TOK_FILE_MAX, err) : 0;
    mem_free(path);
    return rc;
}

int gguf_put_tokenizer(struct gguf_writer *w, const char *folder, int n_vocab, int bos, int eos, struct err *err)
{
    const size_t n = (size_t)n_vocab;
    json_t *root;
    TRY(load(&root, folder, "tokenizer.json", err));
    if (!root)
        return ERR(err, NOTFOUND, "%s has no tokenizer.json, from which a GGUF file's tokenizer is made", folder);
    struct vocab v = { .token = mem_alloc_array(n, sizeof *v.token), .score = mem_alloc_array(n, sizeof *v.score), .type = mem_alloc_array(n, sizeof *v.type),
                       .n = n_vocab, .where = folder, .err = err };
    buf_init(&v.merges);
    buf_init(&v.unused);
    int rc = v.token && v.score && v.type ? 0 : ERR(err, NOMEM, "no memory for %d tokens", n_vocab);
    if (!rc)
        rc = put_bpe(w, &v, root, err);
    if (!rc)
        rc = put_ends(w, folder, bos, eos, err);
    if (!rc)
        rc = put_chat(w, folder, err);
    vocab_release(&v);
    json_decref(root);
    return rc;
}
