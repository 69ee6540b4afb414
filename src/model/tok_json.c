/* tok_json.c - Hugging Face's tokenizer.json of byte-level BPE, in and out.
 *
 * There a byte is written as a character: printable ones as themselves, the other 68 as U+0100 and up (GPT-2's map).  Only
 * this file knows that map. */
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "model/tok_bpe.h"

static bool prints(int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255); }

/* Code point of a byte, and back (-1: none). */
static int char_of(int byte)
{
    int n = 0;
    for (int b = 0; b < byte; b++)
        n += !prints(b);
    return prints(byte) ? byte : 256 + n;
}

struct byte_map { int to_char[256]; int16_t to_byte[512]; };

static void fill_map(struct byte_map *m)
{
    memset(m->to_byte, -1, sizeof m->to_byte);
    for (int b = 0; b < 256; b++)
        m->to_byte[m->to_char[b] = char_of(b)] = (int16_t)b;
}

/* ---- reading ---- */

struct reader { struct byte_map map; struct tok *t; const char *name; struct err *err; };

/* Bytes of a token written in the map's characters, into out (at least n bytes); -1 when one is not of the map. */
static int unmap(const struct reader *r, const char *s, size_t n, char *out)
{
    int len = 0;
    for (size_t i = 0; i < n; len++) {
        const unsigned char c = (unsigned char)s[i];
        int cp = c;
        if (c >= 0x80) {
            if (i + 1 >= n || c < 0xc2 || c > 0xc7)
                return -1;
            cp = (c & 0x1f) << 6 | ((unsigned char)s[i + 1] & 0x3f);
            i++;
        }
        i++;
        if (r->map.to_byte[cp] < 0)
            return -1;
        out[len] = (char)r->map.to_byte[cp];
    }
    return len;
}

static int read_vocab(struct reader *r, const json_t *vocab, const json_t *added)
{
    const char *key;
    json_t *v;
    size_t i;
    json_array_foreach(added, i, v) {
        int64_t id;
        const char *content;
        bool special;
        TRY(tree_int(v, "id", -1, 0, TOK_VOCAB_MAX - 1, &id, r->name, r->err));
        TRY(tree_str(v, "content", NULL, &content, r->name, r->err));
        TRY(tree_bool(v, "special", false, &special, r->name, r->err));
        if (id < 0 || !content || !*content)
            return ERR(r->err, FORMAT, "%s: added token %zu needs an id and a content", r->name, i);
        if (!special)
            return ERR(r->err, UNSUPPORTED, "%s: added token '%.60s' is not special, which is not supported yet", r->name, content);
        TRY(tok_set_entry(r->t, (int)id, content, strlen(content), true, r->err));
    }
    json_object_foreach((json_t *)(uintptr_t)vocab, key, v) {
        const size_t n = strlen(key);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= TOK_VOCAB_MAX)
            return ERR(r->err, FORMAT, "%s: the id of token '%.60s' must be a number from 0 to %d", r->name, key, TOK_VOCAB_MAX - 1);
        const int id = (int)json_integer_value(v);
        if (id < r->t->n_entry && r->t->entry[id].used && r->t->entry[id].special)
            continue;                                  /* an added token listed here too */
        char *bytes = mem_alloc(n + 1);
        if (!bytes)
            return ERR(r->err, NOMEM, "%s: no memory to read it", r->name);
        const int len = unmap(r, key, n, bytes);
        const int rc = len > 0 ? tok_set_entry(r->t, id, bytes, (size_t)len, false, r->err)
                               : ERR(r->err, FORMAT, "%s: token '%.60s' (id %d) is not written in byte-level characters", r->name, key, id);
        mem_free(bytes);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Token of s[0..n-1] written in the map's characters; -1: none. */
static int token_of(const json_t *vocab, const char *s, size_t n)
{
    const json_t *v = json_object_getn(vocab, s, n);
    return v && json_is_integer(v) && json_integer_value(v) < TOK_VOCAB_MAX ? (int)json_integer_value(v) : -1;
}

static int read_merges(struct reader *r, const json_t *vocab, const json_t *merges)
{
    size_t i;
    json_t *m;
    struct buf both;
    buf_init(&both);
    int rc = 0;
    json_array_foreach(merges, i, m) {
        const char *a = NULL, *b = NULL;
        size_t na = 0, nb = 0;
        if (json_is_string(m)) {
            a = json_string_value(m);
            const char *space = strchr(a, ' ');
            if (space)
                na = (size_t)(space - a), b = space + 1, nb = strlen(b);
        } else if (json_is_array(m) && json_array_size(m) == 2 && json_is_string(json_array_get(m, 0)) && json_is_string(json_array_get(m, 1))) {
            a = json_string_value(json_array_get(m, 0)), b = json_string_value(json_array_get(m, 1));
            na = strlen(a), nb = strlen(b);
        }
        if (!b) {
            rc = ERR(r->err, FORMAT, "%s: merge %zu is not two tokens", r->name, i);
            break;
        }
        buf_clear(&both);
        if ((rc = buf_add(&both, a, na, r->err)) || (rc = buf_add(&both, b, nb, r->err)))
            break;
        const int left = token_of(vocab, a, na), right = token_of(vocab, b, nb), into = token_of(vocab, both.data, both.len);
        if (left < 0 || right < 0 || into < 0) {
            rc = ERR(r->err, FORMAT, "%s: merge %zu ('%.40s') names a token that the vocabulary lacks", r->name, i, both.data);
            break;
        }
        if ((rc = tok_add_merge(r->t, left, right, into, r->err)))
            break;
    }
    buf_release(&both);
    return rc;
}

static bool has_type(const json_t *o, const char *type)
{
    const char *t = json_string_value(json_object_get(o, "type"));
    return t && !strcmp(t, type);
}

/* The parts around the model must be those that this encoder does. */
static int check_parts(const struct reader *r, const json_t *root)
{
    const json_t *norm = json_object_get(root, "normalizer"), *pre = json_object_get(root, "pre_tokenizer"), *post = json_object_get(root, "post_processor");
    if (norm && !json_is_null(norm))
        return ERR(r->err, UNSUPPORTED, "%s: a normalizer is not supported yet", r->name);
    if (!has_type(pre, "ByteLevel"))
        return ERR(r->err, UNSUPPORTED, "%s: pre_tokenizer is not ByteLevel, which is all that is supported yet", r->name);
    bool prefix, regex;
    TRY(tree_bool(pre, "add_prefix_space", true, &prefix, r->name, r->err));
    TRY(tree_bool(pre, "use_regex", true, &regex, r->name, r->err));
    if (prefix || !regex)
        return ERR(r->err, UNSUPPORTED, "%s: pre_tokenizer with add_prefix_space or without use_regex is not supported yet", r->name);
    if (post && !json_is_null(post) && !has_type(post, "ByteLevel"))
        return ERR(r->err, UNSUPPORTED, "%s: a post_processor other than ByteLevel is not supported yet", r->name);
    return 0;
}

static int read_root(struct reader *r, const json_t *root)
{
    const json_t *model = json_object_get(root, "model"), *vocab = json_object_get(model, "vocab"), *merges = json_object_get(model, "merges");
    if (!json_is_object(root) || !json_is_object(model))
        return ERR(r->err, FORMAT, "%s: not a tokenizer.json: it has no \"model\"", r->name);
    const char *type;
    TRY(tree_str(model, "type", "BPE", &type, r->name, r->err));
    if (strcmp(type, "BPE"))
        return ERR(r->err, UNSUPPORTED, "%s: model type '%.40s', expected BPE", r->name, type);
    if (!json_is_object(vocab) || !json_is_array(merges))
        return ERR(r->err, FORMAT, "%s: model needs a vocab (object) and merges (list)", r->name);
    bool fallback;
    TRY(tree_bool(model, "byte_fallback", false, &fallback, r->name, r->err));
    if (fallback)
        return ERR(r->err, UNSUPPORTED, "%s: byte_fallback is not supported yet", r->name);
    TRY(tree_bool(model, "ignore_merges", false, &r->t->ignore_merges, r->name, r->err));
    TRY(check_parts(r, root));
    TRY(read_vocab(r, vocab, json_object_get(root, "added_tokens")));
    TRY(read_merges(r, vocab, merges));
    if (!r->t->n_entry)
        return ERR(r->err, FORMAT, "%s: the vocabulary is empty", r->name);
    return tok_finish(r->t, r->name, r->err);
}

int tok_parse(struct tok **out, const char *text, size_t n, const char *name, struct err *err)
{
    *out = NULL;
    json_t *root;
    TRY(tree_parse_json(&root, text, n, name, err));
    struct reader r = { .name = name, .err = err };
    fill_map(&r.map);
    int rc = tok_new(&r.t, err);
    if (!rc)
        rc = read_root(&r, root);
    json_decref(root);
    if (rc < 0)
        tok_free(r.t);
    else
        *out = r.t;
    return rc;
}

#define FILE_MAX ((size_t)512 << 20)

int tok_load(struct tok **out, const char *path, struct err *err)
{
    *out = NULL;
    char *inside = file_is_dir(path) ? file_join(path, "tokenizer.json") : mem_strdup(path);
    struct buf b;
    buf_init(&b);
    int rc = inside ? file_read(inside, FILE_MAX, &b, err) : ERR(err, NOMEM, "no memory to open %s", path);
    if (!rc)
        rc = tok_parse(out, b.data, b.len, inside, err);
    buf_release(&b);
    mem_free(inside);
    return rc;
}

/* ---- writing ---- */

static int add_mapped(const struct byte_map *m, const struct tok *t, int id, struct buf *out, struct err *err)
{
    for (size_t i = 0; i < t->entry[id].n; i++) {
        const int cp = m->to_char[(unsigned char)t->bytes.data[t->entry[id].at + i]];
        if (cp == '"' || cp == '\\')
            TRY(buf_add_char(out, '\\', err));
        if (cp < 0x80)
            TRY(buf_add_char(out, (char)cp, err));
        else
            TRY(buf_add(out, (char[]){ (char)(0xc0 | cp >> 6), (char)(0x80 | (cp & 0x3f)) }, 2, err));
    }
    return 0;
}

/* A special token's text as a JSON string. */
static int add_quoted(const char *s, size_t n, struct buf *out, struct err *err)
{
    json_t *v = json_stringn(s, n);
    char *text = v ? json_dumps(v, JSON_ENCODE_ANY) : NULL;
    const int rc = text ? buf_add_str(out, text, err) : ERR(err, NOMEM, "no memory to write the tokenizer");
    mem_free(text);
    json_decref(v);
    return rc;
}

int tok_write(const struct tok *t, struct buf *out, struct err *err)
{
    struct byte_map map;
    fill_map(&map);
    TRY(buf_add_str(out, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": [", err));
    bool first = true;
    for (int id = 0; id < t->n_entry; id++)
        if (t->entry[id].used && t->entry[id].special) {
            TRY(buf_printf(out, err, "%s\n    {\"id\": %d, \"content\": ", first ? "" : ",", id));
            TRY(add_quoted(t->bytes.data + t->entry[id].at, t->entry[id].n, out, err));
            TRY(buf_add_str(out, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true}", err));
            first = false;
        }
    TRY(buf_add_str(out, "\n  ],\n  \"normalizer\": null,\n"
                         "  \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true},\n"
                         "  \"post_processor\": null,\n"
                         "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true},\n"
                         "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n    \"continuing_subword_prefix\": null,\n"
                         "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n", err));
    TRY(buf_printf(out, err, "    \"ignore_merges\": %s,\n    \"vocab\": {", t->ignore_merges ? "true" : "false"));
    first = true;
    for (int id = 0; id < t->n_entry; id++)
        if (t->entry[id].used) {
            TRY(buf_printf(out, err, "%s\n      ", first ? "" : ","));
            if (t->entry[id].special) {
                TRY(add_quoted(t->bytes.data + t->entry[id].at, t->entry[id].n, out, err));
            } else {
                TRY(buf_add_char(out, '"', err));
                TRY(add_mapped(&map, t, id, out, err));
                TRY(buf_add_char(out, '"', err));
            }
            TRY(buf_printf(out, err, ": %d", id));
            first = false;
        }
    TRY(buf_add_str(out, "\n    },\n    \"merges\": [", err));
    for (int i = 0; i < t->n_merge; i++) {
        TRY(buf_printf(out, err, "%s\n      \"", i ? "," : ""));
        TRY(add_mapped(&map, t, t->merge[i].left, out, err));
        TRY(buf_add_char(out, ' ', err));
        TRY(add_mapped(&map, t, t->merge[i].right, out, err));
        TRY(buf_add_char(out, '"', err));
    }
    return buf_add_str(out, "\n    ]\n  }\n}\n", err);
}
