/* tok_json.c - Hugging Face's tokenizer.json, in and out.
 *
 * For byte-level BPE a byte is written there as a character: printable ones as themselves, the other 68 as U+0100 and up
 * (GPT-2's map).  Only this file and GGUF's reader know that map. */
#include <stdlib.h>
#include <string.h>
#include "base/base64.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/utf8.h"
#include "model/tok_files.h"
#include "model/tok_impl.h"
#include "model/unicode.h"

static bool prints(int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255); }

/* Code point of a byte: the 33 + 34 + 1 that do not print follow U+00FF in their order. */
static int char_of(int b) { return prints(b) ? b : b <= 32 ? 256 + b : b == 173 ? 256 + 67 : 256 + 33 + (b - 127); }

/* Byte of a code point below 512; -1: none. */
static int byte_of(int cp)
{
    if (cp < 256)
        return prints(cp) ? cp : -1;
    cp -= 256;
    return cp < 33 ? cp : cp < 67 ? 127 + (cp - 33) : cp == 67 ? 173 : -1;
}

int tok_unmap_bytes(const char *s, size_t n, char *out)
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
        const int byte = byte_of(cp);
        if (byte < 0)
            return -1;
        out[len] = (char)byte;
    }
    return len;
}

/* ---- reading ---- */

struct reader {
    struct tok *t;
    const char *name;
    struct err *err;
    const json_t **added; int n_added;     /* by id */
    bool space_text, no_strip;             /* decoding turns U+2581 into a space; and keeps the first one */
};

static const char *type_of(const json_t *o)
{
    const char *t = json_string_value(json_object_get(o, "type"));
    return t ? t : "";
}
static bool is(const json_t *o, const char *type) { return !strcmp(type_of(o), type); }
static bool given(const json_t *o) { return o && !json_is_null(o); }

static int not_done(const struct reader *r, const char *part, const json_t *o)
{
    return ERR(r->err, UNSUPPORTED, "%s: %s of type '%.60s' is not supported", r->name, part, type_of(o));
}

static int copy_string(const struct reader *r, const char *s, size_t n, char **out, size_t *n_out)
{
    if (!(*out = mem_alloc(n + 1)))
        return ERR(r->err, NOMEM, "%s: no memory to read it", r->name);
    memcpy(*out, s, n);
    (*out)[n] = 0;
    if (n_out)
        *n_out = n;
    return 0;
}

/* A pattern: {"String": ...} or {"Regex": ...}. */
static int read_pattern(const struct reader *r, const json_t *o, struct tok_split **split, char **string, size_t *n)
{
    const json_t *p = json_object_get(o, "pattern"), *s = json_object_get(p, "String"), *x = json_object_get(p, "Regex");
    if (json_is_string(s))
        return copy_string(r, json_string_value(s), json_string_length(s), string, n);
    if (json_is_string(x))
        return tok_split_new(split, json_string_value(x), json_string_length(x), r->name, r->err);
    return ERR(r->err, FORMAT, "%s: a %s needs a pattern, a String or a Regex", r->name, type_of(o));
}

/* A list of steps of one kind, in a Sequence or alone. */
typedef int read_fn(struct reader *r, const json_t *o);
static int read_steps(struct reader *r, const json_t *o, const char *list, read_fn *one, int depth)
{
    if (!given(o))
        return 0;
    if (!is(o, "Sequence"))
        return one(r, o);
    size_t i;
    json_t *v;
    if (depth > 8)
        return ERR(r->err, RANGE, "%s: sequences inside of sequences, more than 8 deep", r->name);
    json_array_foreach(json_object_get(o, list), i, v)
        TRY(read_steps(r, v, list, one, depth + 1));
    return 0;
}

static int bool_of(const struct reader *r, const json_t *o, const char *key, bool otherwise, bool *out)
{
    if (json_is_null(json_object_get(o, key)))
        return *out = otherwise, 0;
    return tree_bool(o, key, otherwise, out, r->name, r->err);
}

static int read_charsmap(const struct reader *r, const json_t *o, struct tok_charsmap *map)
{
    const char *text;
    struct buf b;
    TRY(tree_str(o, "precompiled_charsmap", "", &text, r->name, r->err));
    buf_init(&b);
    int rc = base64_read(&b, text, strlen(text), r->err);
    if (!rc && !tok_charsmap_init(map, b.data, b.len, r->err))
        rc = r->err ? r->err->code : ERR_FORMAT;
    buf_release(&b);
    return rc < 0 ? err_context(r->err, "%s", r->name) : 0;
}

static int read_norm(struct reader *r, const json_t *o)
{
    static const char *const forms[] = { "NFC", "NFKC", "NFD", "NFKD" };
    if (r->t->n_norm == TOK_STEPS_MAX)
        return ERR(r->err, RANGE, "%s: more than %d normalizers", r->name, TOK_STEPS_MAX);
    struct tok_norm *f = &r->t->norm[r->t->n_norm++];
    *f = (struct tok_norm){ 0 };
    for (int i = 0; i < 4; i++)
        if (is(o, forms[i])) {
            f->kind = NORM_FORM, f->form = i;
            return 0;
        }
    if (is(o, "Lowercase"))
        f->kind = NORM_LOWER;
    else if (is(o, "StripAccents"))
        f->kind = NORM_STRIP_ACCENTS;
    else if (is(o, "Nmt"))
        f->kind = NORM_NMT;
    else if (is(o, "Strip")) {
        f->kind = NORM_STRIP;
        TRY(bool_of(r, o, "strip_left", true, &f->left));
        return bool_of(r, o, "strip_right", true, &f->right);
    } else if (is(o, "Prepend")) {
        const json_t *s = json_object_get(o, "prepend");
        f->kind = NORM_PREPEND;
        return copy_string(r, json_is_string(s) ? json_string_value(s) : "", json_string_length(s), &f->to, &f->n_to);
    } else if (is(o, "Replace")) {
        const json_t *s = json_object_get(o, "content");
        f->kind = NORM_REPLACE;
        TRY(copy_string(r, json_is_string(s) ? json_string_value(s) : "", json_string_length(s), &f->to, &f->n_to));
        return read_pattern(r, o, &f->pattern, &f->from, &f->n_from);
    } else if (is(o, "Precompiled")) {
        f->kind = NORM_CHARSMAP;
        return read_charsmap(r, o, &f->map);
    } else if (is(o, "BertNormalizer")) {
        f->kind = NORM_BERT;
        TRY(bool_of(r, o, "clean_text", true, &f->clean));
        TRY(bool_of(r, o, "handle_chinese_chars", true, &f->chinese));
        TRY(bool_of(r, o, "lowercase", true, &f->lower));
        return bool_of(r, o, "strip_accents", f->lower, &f->accents);
    } else {
        return not_done(r, "a normalizer", o);
    }
    return 0;
}

static int read_behavior(const struct reader *r, const json_t *o, struct tok_pre *p)
{
    static const struct { const char *name; enum tok_behavior b; } names[] = {
        { "Removed", BEHAVIOR_REMOVED }, { "Isolated", BEHAVIOR_ISOLATED }, { "MergedWithPrevious", BEHAVIOR_PREVIOUS },
        { "MergedWithNext", BEHAVIOR_NEXT }, { "Contiguous", BEHAVIOR_CONTIGUOUS },
    };
    const char *s;
    TRY(tree_str(o, "behavior", "Isolated", &s, r->name, r->err));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(s, names[i].name)) {
            p->behavior = names[i].b;
            return 0;
        }
    return ERR(r->err, UNSUPPORTED, "%s: behavior '%.40s' of %s is not supported", r->name, s, type_of(o));
}

static int read_metaspace(const struct reader *r, const json_t *o, struct tok_pre *p)
{
    const char *with, *scheme;
    bool prefix;
    p->kind = PRE_METASPACE;
    TRY(tree_str(o, "replacement", TOK_SPACE, &with, r->name, r->err));
    TRY(bool_of(r, o, "add_prefix_space", true, &prefix));
    TRY(tree_str(o, "prepend_scheme", prefix ? "always" : "never", &scheme, r->name, r->err));
    TRY(bool_of(r, o, "split", true, &p->cut));
    if (strcmp(scheme, "always") && strcmp(scheme, "first") && strcmp(scheme, "never"))
        return ERR(r->err, FORMAT, "%s: Metaspace's prepend_scheme is '%.40s', expected always, first or never", r->name, scheme);
    size_t one;
    if (!*with || unicode_at((const unsigned char *)with, strlen(with), &one) == UNICODE_INVALID || with[one])
        return ERR(r->err, FORMAT, "%s: Metaspace's replacement is '%.40s', expected one character", r->name, with);
    p->prepend = scheme[0] == 'a' ? PREPEND_ALWAYS : scheme[0] == 'f' ? PREPEND_FIRST : PREPEND_NEVER;
    return copy_string(r, with, strlen(with), &p->string, &p->n_string);
}

static int read_pre(struct reader *r, const json_t *o)
{
    struct tok *t = r->t;
    if (t->n_pre == TOK_STEPS_MAX)
        return ERR(r->err, RANGE, "%s: more than %d pre_tokenizers", r->name, TOK_STEPS_MAX);
    struct tok_pre *p = &t->pre[t->n_pre++];
    *p = (struct tok_pre){ .behavior = BEHAVIOR_ISOLATED, .mapped = t->byte_level };
    if (is(o, "ByteLevel")) {
        bool regex;
        p->kind = PRE_BYTES;
        t->byte_level = true;
        TRY(bool_of(r, o, "add_prefix_space", true, &p->prefix));
        TRY(bool_of(r, o, "use_regex", true, &regex));
        return regex ? tok_split_gpt2(&p->split, r->name, r->err) : 0;
    }
    if (is(o, "Split")) {
        p->kind = PRE_SPLIT;
        TRY(read_behavior(r, o, p));
        TRY(bool_of(r, o, "invert", false, &p->invert));
        TRY(read_pattern(r, o, &p->split, &p->string, &p->n_string));
        if (p->string)
            p->kind = PRE_STRING;
        if (p->mapped && !(p->split && tok_split_is_ascii(p->split)))
            return ERR(r->err, UNSUPPORTED, "%s: a Split after ByteLevel is supported for digits only", r->name);
        return 0;
    }
    if (is(o, "Digits")) {
        p->kind = PRE_DIGITS;
        TRY(bool_of(r, o, "individual_digits", false, &p->each));
        p->behavior = p->each ? BEHAVIOR_ISOLATED : BEHAVIOR_CONTIGUOUS;
        return 0;
    }
    if (p->mapped)
        return ERR(r->err, UNSUPPORTED, "%s: a pre_tokenizer of type '%.60s' after ByteLevel is not supported", r->name, type_of(o));
    if (is(o, "Metaspace"))
        return read_metaspace(r, o, p);
    if (is(o, "Punctuation")) {
        p->kind = PRE_PUNCTUATION;
        return read_behavior(r, o, p);
    }
    if (is(o, "CharDelimiterSplit")) {
        const json_t *s = json_object_get(o, "delimiter");
        p->kind = PRE_STRING, p->behavior = BEHAVIOR_REMOVED;
        return copy_string(r, json_is_string(s) ? json_string_value(s) : "", json_string_length(s), &p->string, &p->n_string);
    }
    if (is(o, "Whitespace"))
        p->kind = PRE_WORDS, p->behavior = BEHAVIOR_REMOVED;
    else if (is(o, "WhitespaceSplit"))
        p->kind = PRE_SPACES, p->behavior = BEHAVIOR_REMOVED;
    else if (is(o, "BertPreTokenizer"))
        p->kind = PRE_BERT, p->behavior = BEHAVIOR_REMOVED;
    else
        return not_done(r, "a pre_tokenizer", o);
    return 0;
}

/* ---- what is put around a text ---- */

static int id_of(const struct reader *r, const char *text, size_t n, int32_t *out)
{
    for (int i = 0; i < r->t->n_added; i++) {
        const struct tok_added *a = &r->t->added[i];
        if (a->n == n && !memcmp(r->t->bytes.data + a->at, text, n))
            return *out = a->id, 0;
    }
    const int id = tok_by_bytes(r->t, text, n);
    if (id < 0)
        return ERR(r->err, FORMAT, "%s: post_processor names '%.60s', which is not in the vocabulary", r->name, text);
    *out = id;
    return 0;
}

static int read_template(const struct reader *r, const json_t *o)
{
    struct tok *t = r->t;
    size_t i, k;
    json_t *v, *id;
    bool text = false;
    json_array_foreach(json_object_get(o, "single"), i, v) {
        const json_t *special = json_object_get(v, "SpecialToken");
        if (!special) {
            text = true;
            continue;
        }
        const char *name = json_string_value(json_object_get(special, "id"));
        const json_t *ids = json_object_get(json_object_get(json_object_get(o, "special_tokens"), name ? name : ""), "ids");
        if (!json_is_array(ids))
            return ERR(r->err, FORMAT, "%s: the template's token '%.60s' is not in its special_tokens", r->name, name ? name : "");
        json_array_foreach(ids, k, id) {
            const int32_t one = (int32_t)json_integer_value(id);
            if (!json_is_integer(id) || one < 0 || one >= t->n_entry || !t->entry[one].used)
                return ERR(r->err, FORMAT, "%s: the template's token '%.60s' has an id that is not in the vocabulary", r->name, name);
            TRY(text ? tok_set_ids(&t->after, &t->n_after, &one, 1, r->err) : tok_set_ids(&t->before, &t->n_before, &one, 1, r->err));
        }
    }
    return 0;
}

static int read_post(struct reader *r, const json_t *o)
{
    struct tok *t = r->t;
    if (is(o, "ByteLevel"))
        return 0;
    if (is(o, "TemplateProcessing"))
        return read_template(r, o);
    if (!is(o, "BertProcessing") && !is(o, "RobertaProcessing"))
        return not_done(r, "a post_processor", o);
    int32_t id;
    const json_t *cls = json_array_get(json_object_get(o, "cls"), 0), *sep = json_array_get(json_object_get(o, "sep"), 0);
    if (!json_is_string(cls) || !json_is_string(sep))
        return ERR(r->err, FORMAT, "%s: %s needs cls and sep", r->name, type_of(o));
    TRY(id_of(r, json_string_value(cls), json_string_length(cls), &id));
    TRY(tok_set_ids(&t->before, &t->n_before, &id, 1, r->err));
    TRY(id_of(r, json_string_value(sep), json_string_length(sep), &id));
    return tok_set_ids(&t->after, &t->n_after, &id, 1, r->err);
}

/* ---- decoding ---- */

static int read_decoder(struct reader *r, const json_t *o)
{
    struct tok *t = r->t;
    if (is(o, "ByteLevel") || is(o, "ByteFallback") || is(o, "Fuse"))
        return 0;
    if (is(o, "Replace")) {
        const char *from = json_string_value(json_object_get(json_object_get(o, "pattern"), "String"));
        const char *to = json_string_value(json_object_get(o, "content"));
        if (!from || !to || strcmp(from, TOK_SPACE) || strcmp(to, " "))
            return ERR(r->err, UNSUPPORTED, "%s: a Replace decoder other than U+2581 to a space is not supported", r->name);
        r->space_text = true;
        return 0;
    }
    if (is(o, "Strip")) {
        int64_t start, stop;
        const char *content;
        TRY(tree_int(o, "start", 0, 0, 1000, &start, r->name, r->err));
        TRY(tree_int(o, "stop", 0, 0, 1000, &stop, r->name, r->err));
        TRY(tree_str(o, "content", " ", &content, r->name, r->err));
        if (strcmp(content, " ") || start > 1 || stop)
            return ERR(r->err, UNSUPPORTED, "%s: a Strip decoder other than one space at the beginning is not supported", r->name);
        t->strip_space = start == 1;
        return 0;
    }
    if (is(o, "Metaspace")) {
        struct tok_pre p = { 0 };
        const int rc = read_metaspace(r, o, &p);
        r->space_text = true;
        t->strip_space = p.prepend != PREPEND_NEVER;
        mem_free(p.string);
        return rc;
    }
    if (is(o, "WordPiece")) {
        t->wordpiece_text = true;
        return 0;
    }
    return not_done(r, "a decoder", o);
}

static int byte_token(const char *s, size_t n)
{
    unsigned b;
    char end;
    return n == 6 && !memcmp(s, "<0x", 3) && sscanf(s + 3, "%2x%c", &b, &end) == 2 && end == '>' && b < 256 ? (int)b : -1;
}

int tok_set_texts(struct tok *t, bool spaces, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = 0;
    for (int id = 0; id < t->n_entry && !rc; id++) {
        const struct tok_entry e = t->entry[id];
        if (!e.used || e.special)
            continue;
        buf_clear(&b);
        if ((rc = buf_add(&b, t->bytes.data + e.at, e.n, err)))
            break;
        const int byte = t->byte_fallback ? byte_token(b.data, b.len) : -1;
        if (byte >= 0) {
            t->byte_id[byte] = id;
            t->entry[id].hidden = true;
            rc = tok_set_text(t, id, &(char){ (char)byte }, 1, err);
        } else if (t->wordpiece_text && b.len > t->n_continuation && t->n_continuation && !memcmp(b.data, t->continuation, t->n_continuation)) {
            rc = tok_set_text(t, id, b.data + t->n_continuation, b.len - t->n_continuation, err);
        } else if (spaces && memmem(b.data, b.len, TOK_SPACE, 3)) {
            size_t n = 0;
            for (size_t i = 0; i < b.len; i++)
                if (b.len - i >= 3 && !memcmp(b.data + i, TOK_SPACE, 3))
                    b.data[n++] = ' ', i += 2;
                else
                    b.data[n++] = b.data[i];
            rc = tok_set_text(t, id, b.data, n, err);
        }
    }
    buf_release(&b);
    return rc;
}

/* ---- the vocabulary ---- */

static int read_added(struct reader *r, const json_t *added)
{
    size_t i;
    json_t *v;
    int64_t most = -1;
    json_array_foreach(added, i, v) {
        int64_t id;
        const char *content;
        TRY(tree_int(v, "id", -1, 0, r->t->id_end - 1, &id, r->name, r->err));
        TRY(tree_str(v, "content", NULL, &content, r->name, r->err));
        if (id < 0 || !content || !*content)
            return ERR(r->err, FORMAT, "%s: added token %zu needs an id and a content", r->name, i);
        most = id > most ? id : most;
    }
    if (!(r->added = mem_alloc_array((size_t)most + 2, sizeof *r->added)))
        return ERR(r->err, NOMEM, "%s: no memory for its added tokens", r->name);
    r->n_added = (int)most + 1;
    json_array_foreach(added, i, v) {
        const int64_t id = json_integer_value(json_object_get(v, "id"));
        const json_t *content = json_object_get(v, "content");
        if (r->added[id])
            return ERR(r->err, FORMAT, "%s: token id %d is given twice among the added tokens", r->name, (int)id);
        r->added[id] = v;
        struct tok_added a = { .id = (int32_t)id };
        TRY(bool_of(r, v, "special", false, &a.special));
        TRY(bool_of(r, v, "lstrip", false, &a.lstrip));
        TRY(bool_of(r, v, "rstrip", false, &a.rstrip));
        TRY(bool_of(r, v, "single_word", false, &a.single_word));
        TRY(bool_of(r, v, "normalized", !a.special, &a.normalized));
        TRY(tok_add_added(r->t, a, json_string_value(content), json_string_length(content), r->err));
    }
    return 0;
}

static const json_t *added_of(const struct reader *r, int id) { return id < r->n_added ? r->added[id] : NULL; }

static int add_token(struct reader *r, int id, const char *s, size_t n)
{
    const json_t *added = added_of(r, id), *content = json_object_get(added, "content");
    if (json_is_true(json_object_get(added, "special")))
        return tok_set_entry(r->t, id, json_string_value(content), json_string_length(content), true, r->err);
    if (!r->t->byte_level)
        return tok_set_entry(r->t, id, s, n, false, r->err);
    char *bytes = mem_alloc(n + 1);
    if (!bytes)
        return ERR(r->err, NOMEM, "%s: no memory to read it", r->name);
    const int len = tok_unmap_bytes(s, n, bytes);
    int rc;
    if (len > 0)
        rc = tok_set_entry(r->t, id, bytes, (size_t)len, false, r->err);
    else if (added)
        rc = 0;                                           /* read_rest() takes it as it is written */
    else
        rc = ERR(r->err, FORMAT, "%s: token '%.60s' (id %d) is not written in byte-level characters", r->name, s, id);
    mem_free(bytes);
    return rc;
}

static int read_vocab(struct reader *r, const json_t *vocab)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)vocab, key, v) {
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= TOK_VOCAB_MAX)
            return ERR(r->err, FORMAT, "%s: the id of token '%.60s' must be a number from 0 to %d", r->name, key, TOK_VOCAB_MAX - 1);
        TRY(add_token(r, (int)json_integer_value(v), key, strlen(key)));
    }
    return 0;
}

/* Added tokens that the model's vocabulary does not have: no model gives them. */
static int read_rest(struct reader *r)
{
    for (int id = 0; id < r->n_added; id++) {
        const json_t *content = json_object_get(r->added[id], "content");
        if (!content || (id < r->t->n_entry && r->t->entry[id].used))
            continue;
        TRY(tok_set_entry(r->t, id, json_string_value(content), json_string_length(content), true, r->err));
        r->t->entry[id].special = json_is_true(json_object_get(r->added[id], "special"));
    }
    return 0;
}

/* Token of s[0..n-1] as the file writes it; -1: none. */
static int token_of(const json_t *vocab, const char *s, size_t n)
{
    const json_t *v = json_object_getn(vocab, s, n);
    return v && json_is_integer(v) && json_integer_value(v) < TOK_VOCAB_MAX ? (int)json_integer_value(v) : -1;
}

static bool merge_parts(const json_t *m, const char **a, size_t *na, const char **b, size_t *nb)
{
    if (json_is_string(m)) {
        *a = json_string_value(m);
        const char *space = strchr(*a, ' ');
        if (!space)
            return false;
        *na = (size_t)(space - *a), *b = space + 1, *nb = strlen(*b);
        return true;
    }
    const json_t *x = json_array_get(m, 0), *y = json_array_get(m, 1);
    if (json_array_size(m) != 2 || !json_is_string(x) || !json_is_string(y))
        return false;
    *a = json_string_value(x), *na = json_string_length(x), *b = json_string_value(y), *nb = json_string_length(y);
    return true;
}

static int read_merges(struct reader *r, const json_t *vocab, const json_t *merges)
{
    size_t i, na, nb;
    json_t *m;
    struct buf both;
    buf_init(&both);
    int rc = 0;
    json_array_foreach(merges, i, m) {
        const char *a, *b;
        if (!merge_parts(m, &a, &na, &b, &nb)) {
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
        /* No text may become a special token by merges; nor are there symbols that are one, where it took a token's id. */
        if (!r->t->entry[into].special && !r->t->entry[left].special && !r->t->entry[right].special && (rc = tok_add_merge(r->t, left, right, into, (int)i, r->err)))
            break;
    }
    buf_release(&both);
    return rc;
}

/* ---- the models ---- */

static int read_unk(struct reader *r, const json_t *model, const json_t *vocab)
{
    const json_t *unk = json_object_get(model, "unk_token");
    if (!given(unk))
        return 0;
    const int id = json_is_string(unk) ? token_of(vocab, json_string_value(unk), json_string_length(unk)) : -1;
    if (id < 0)
        return ERR(r->err, FORMAT, "%s: unk_token '%.60s' is not in the vocabulary", r->name, json_is_string(unk) ? json_string_value(unk) : "?");
    r->t->unk = id;
    return 0;
}

static bool empty_string(const json_t *o) { return !given(o) || (json_is_string(o) && !json_string_length(o)); }

static int read_bpe(struct reader *r, const json_t *model)
{
    const json_t *vocab = json_object_get(model, "vocab"), *merges = json_object_get(model, "merges"), *dropout = json_object_get(model, "dropout");
    if (!json_is_object(vocab) || !json_is_array(merges))
        return ERR(r->err, FORMAT, "%s: model needs a vocab (object) and merges (list)", r->name);
    if (given(dropout) && json_number_value(dropout) > 0)
        return ERR(r->err, UNSUPPORTED, "%s: a BPE model with dropout is not supported", r->name);
    if (!empty_string(json_object_get(model, "continuing_subword_prefix")) || !empty_string(json_object_get(model, "end_of_word_suffix")))
        return ERR(r->err, UNSUPPORTED, "%s: a BPE model with continuing_subword_prefix or end_of_word_suffix is not supported", r->name);
    TRY(bool_of(r, model, "byte_fallback", false, &r->t->byte_fallback));
    TRY(bool_of(r, model, "fuse_unk", false, &r->t->fuse_unk));
    TRY(bool_of(r, model, "ignore_merges", false, &r->t->ignore_merges));
    if (r->t->byte_level)
        r->t->byte_fallback = false;                      /* every byte is a symbol already */
    TRY(read_vocab(r, vocab));
    TRY(read_rest(r));
    TRY(read_unk(r, model, vocab));
    return read_merges(r, vocab, merges);
}

static int read_unigram(struct reader *r, const json_t *model)
{
    struct tok *t = r->t;
    const json_t *vocab = json_object_get(model, "vocab"), *unk = json_object_get(model, "unk_id");
    const size_t n = json_array_size(vocab);
    t->model = TOK_MODEL_UNIGRAM;
    if (t->byte_level)
        return ERR(r->err, UNSUPPORTED, "%s: a Unigram model of bytes is not supported", r->name);
    if (!json_is_array(vocab) || !n || n > TOK_VOCAB_MAX)
        return ERR(r->err, FORMAT, "%s: a Unigram model needs a vocab, a list of [token, score]", r->name);
    if (!(t->score = mem_alloc_array(n, sizeof *t->score)))
        return ERR(r->err, NOMEM, "%s: no memory for its scores", r->name);
    TRY(bool_of(r, model, "byte_fallback", false, &t->byte_fallback));
    size_t i;
    json_t *v;
    double least = 0;
    json_array_foreach(vocab, i, v) {
        const json_t *piece = json_array_get(v, 0), *score = json_array_get(v, 1);
        if (!json_is_string(piece) || !json_is_number(score))
            return ERR(r->err, FORMAT, "%s: token %zu of the vocabulary is not [token, score]", r->name, i);
        TRY(add_token(r, (int)i, json_string_value(piece), json_string_length(piece)));
        t->score[i] = json_number_value(score);
        least = !i || t->score[i] < least ? t->score[i] : least;
    }
    t->unk_score = least - 10;
    if (given(unk)) {
        if (!json_is_integer(unk) || json_integer_value(unk) < 0 || json_integer_value(unk) >= (json_int_t)n)
            return ERR(r->err, FORMAT, "%s: unk_id is not one of the %zu tokens", r->name, n);
        t->unk = (int)json_integer_value(unk);
    }
    return read_rest(r);
}

static int read_wordpiece(struct reader *r, const json_t *model)
{
    struct tok *t = r->t;
    const json_t *vocab = json_object_get(model, "vocab");
    const char *head;
    int64_t most;
    t->model = TOK_MODEL_WORDPIECE;
    if (t->byte_level || !json_is_object(vocab))
        return ERR(r->err, FORMAT, "%s: a WordPiece model needs a vocab (object) and no ByteLevel", r->name);
    TRY(tree_str(model, "continuing_subword_prefix", "##", &head, r->name, r->err));
    TRY(tree_int(model, "max_input_chars_per_word", 100, 0, 100000, &most, r->name, r->err));
    t->max_chars = (int)most;
    TRY(copy_string(r, head, strlen(head), &t->continuation, &t->n_continuation));
    TRY(read_vocab(r, vocab));
    TRY(read_rest(r));
    return read_unk(r, model, vocab);
}

static int read_root(struct reader *r, const json_t *root)
{
    const json_t *model = json_object_get(root, "model");
    if (!json_is_object(root) || !json_is_object(model))
        return ERR(r->err, FORMAT, "%s: not a tokenizer.json: it has no \"model\"", r->name);
    TRY(read_steps(r, json_object_get(root, "normalizer"), "normalizers", read_norm, 0));
    TRY(read_steps(r, json_object_get(root, "pre_tokenizer"), "pretokenizers", read_pre, 0));
    const json_t *vocab = json_object_get(model, "vocab"), *added = json_object_get(root, "added_tokens");
    r->t->id_end = tok_id_end(json_object_size(vocab) + json_array_size(vocab) + json_array_size(added));
    TRY(read_added(r, added));
    if (is(model, "Unigram") || (!*type_of(model) && json_is_array(json_object_get(model, "vocab"))))
        TRY(read_unigram(r, model));
    else if (is(model, "WordPiece"))
        TRY(read_wordpiece(r, model));
    else if (is(model, "BPE") || !*type_of(model))
        TRY(read_bpe(r, model));
    else
        return ERR(r->err, UNSUPPORTED, "%s: model type '%.40s', expected BPE, Unigram or WordPiece", r->name, type_of(model));
    if (r->t->unk >= 0)
        r->t->entry[r->t->unk].hidden = true;
    TRY(read_steps(r, json_object_get(root, "decoder"), "decoders", read_decoder, 0));
    if (!r->t->byte_level)
        TRY(tok_set_texts(r->t, r->space_text, r->err));
    TRY(tok_index(r->t, r->name, r->err));
    TRY(read_steps(r, json_object_get(root, "post_processor"), "processors", read_post, 0));
    if (r->t->n_before)
        r->t->bos = r->t->before[0];
    return tok_finish(r->t, r->name, r->err);
}

int tok_parse(struct tok **out, const char *text, size_t n, const char *name, struct err *err)
{
    *out = NULL;
    json_t *root;
    TRY(tree_parse_json(&root, text, n, name, err));
    struct reader r = { .name = name, .err = err };
    int rc = tok_new(&r.t, err);
    if (!rc)
        rc = read_root(&r, root);
    mem_free(r.added);
    json_decref(root);
    if (rc < 0)
        tok_free(r.t);
    else
        *out = r.t;
    return rc;
}

int tok_load_json(struct tok **out, const char *path, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = file_read(path, TOK_FILE_MAX, &b, err);
    if (!rc)
        rc = tok_parse(out, b.data, b.len, path, err);
    if (!rc) {
        (*out)->path_hash = hash64(b.data, b.len, 0);
        if (!((*out)->path = mem_strdup(path))) {
            tok_free(*out);
            *out = NULL;
            rc = ERR(err, NOMEM, "no memory to open %s", path);
        }
    }
    buf_release(&b);
    return rc;
}

/* ---- writing ---- */

struct byte_map { int to_char[256]; };

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
    for (size_t i = 0, len; i < n; i += len)
        if (!(len = (size_t)utf8_length(s + i, s + n)))
            return ERR(err, UNSUPPORTED, "a token's text is not UTF-8, which tokenizer.json cannot hold");
    json_t *v = json_stringn(s, n);
    char *text = v ? json_dumps(v, JSON_ENCODE_ANY) : NULL;
    const int rc = text ? buf_add_str(out, text, err) : ERR(err, NOMEM, "no memory to write the tokenizer");
    mem_free(text);
    json_decref(v);
    return rc;
}

/* The file that the tokenizer was loaded from, if it is still the same. */
static int write_again(const struct tok *t, struct buf *out, struct err *err)
{
    const size_t from = out->len;
    TRY(file_read(t->path, TOK_FILE_MAX, out, err));
    return hash64(out->data + from, out->len - from, 0) == t->path_hash ? 0 : ERR(err, CORRUPT, "%s: the file has changed since it was loaded", t->path);
}

/* GPT-2's kind. */
static bool plain(const struct tok *t) { return t->n_pre == 1 && t->pre[0].kind == PRE_BYTES && t->pre[0].split && !t->pre[0].prefix && !t->n_before && !t->n_after; }

/* Splits by expressions, as those of a GGUF file. */
static bool by_splits(const struct tok *t)
{
    for (int i = 0; i < t->n_pre; i++)
        if (t->pre[i].kind != PRE_SPLIT || t->pre[i].behavior != BEHAVIOR_ISOLATED || t->pre[i].invert || !tok_split_pattern(t->pre[i].split))
            return false;
    return true;
}

static bool writable(const struct tok *t)
{
    bool ok = t->byte_level && t->model == TOK_MODEL_BPE && !t->n_norm && (plain(t) || (!t->path && by_splits(t)));
    for (int i = 0; i < t->n_added; i++)
        ok &= !t->added[i].lstrip && !t->added[i].rstrip && !t->added[i].single_word && !t->added[i].normalized && (t->added[i].special || !plain(t));
    return ok;
}

static int add_pre_tokenizer(const struct tok *t, struct buf *out, struct err *err)
{
    if (plain(t))
        return buf_add_str(out, "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true}", err);
    TRY(buf_add_str(out, "{\"type\": \"Sequence\", \"pretokenizers\": [", err));
    for (int i = 0; i < t->n_pre; i++) {
        const char *pattern = tok_split_pattern(t->pre[i].split);
        TRY(buf_add_str(out, "\n    {\"type\": \"Split\", \"pattern\": {\"Regex\": ", err));
        TRY(add_quoted(pattern, strlen(pattern), out, err));
        TRY(buf_add_str(out, "}, \"behavior\": \"Isolated\", \"invert\": false},", err));
    }
    return buf_add_str(out, "\n    {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}]}", err);
}

static int add_token_text(const struct tok *t, int id, struct buf *out, struct err *err) { return add_quoted(t->bytes.data + t->entry[id].at, t->entry[id].n, out, err); }

/* What is put around a text, and of two texts around each. */
static int add_template(const struct tok *t, const char *key, const char *const *texts, struct buf *out, struct err *err)
{
    bool first = true;
    TRY(buf_printf(out, err, "\"%s\": [", key));
    for (; *texts; texts++) {
        for (int i = 0; i < t->n_before; i++, first = false) {
            TRY(buf_add_str(out, first ? "{\"SpecialToken\": {\"id\": " : ", {\"SpecialToken\": {\"id\": ", err));
            TRY(add_token_text(t, t->before[i], out, err));
            TRY(buf_add_str(out, ", \"type_id\": 0}}", err));
        }
        TRY(buf_printf(out, err, "%s{\"Sequence\": {\"id\": \"%s\", \"type_id\": 0}}", first ? "" : ", ", *texts));
        first = false;
        for (int i = 0; i < t->n_after; i++) {
            TRY(buf_add_str(out, ", {\"SpecialToken\": {\"id\": ", err));
            TRY(add_token_text(t, t->after[i], out, err));
            TRY(buf_add_str(out, ", \"type_id\": 0}}", err));
        }
    }
    return buf_add_str(out, "], ", err);
}

static int add_post_processor(const struct tok *t, struct buf *out, struct err *err)
{
    if (!t->n_before && !t->n_after)
        return buf_add_str(out, "null", err);
    TRY(buf_add_str(out, "{\"type\": \"TemplateProcessing\", ", err));
    TRY(add_template(t, "single", (const char *const[]){ "A", NULL }, out, err));
    TRY(add_template(t, "pair", (const char *const[]){ "A", "B", NULL }, out, err));
    TRY(buf_add_str(out, "\"special_tokens\": {", err));
    for (int i = 0; i < t->n_before + t->n_after; i++) {
        const int id = i < t->n_before ? t->before[i] : t->after[i - t->n_before];
        bool twice = false;
        for (int k = 0; k < i; k++)
            twice |= id == (k < t->n_before ? t->before[k] : t->after[k - t->n_before]);
        if (twice)
            continue;
        TRY(buf_add_str(out, i ? ", " : "", err));
        TRY(add_token_text(t, id, out, err));
        TRY(buf_add_str(out, ": {\"id\": ", err));
        TRY(add_token_text(t, id, out, err));
        TRY(buf_printf(out, err, ", \"ids\": [%d], \"tokens\": [", id));
        TRY(add_token_text(t, id, out, err));
        TRY(buf_add_str(out, "]}", err));
    }
    return buf_add_str(out, "}}", err);
}

/* Before a text is split. */
static bool is_cut_out(const struct tok *t, int id)
{
    for (int i = 0; i < t->n_added; i++)
        if (t->added[i].id == id)
            return true;
    return false;
}

int tok_write(const struct tok *t, struct buf *out, struct err *err)
{
    struct byte_map map;
    if (!writable(t) && t->path)
        return write_again(t, out, err);
    if (!writable(t))
        return ERR(err, UNSUPPORTED, "a tokenizer of this kind that was not loaded from a tokenizer.json cannot be written as one");
    for (int b = 0; b < 256; b++)
        map.to_char[b] = char_of(b);
    TRY(buf_add_str(out, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": [", err));
    bool first = true;
    for (int id = 0; id < t->n_entry; id++)
        if (t->entry[id].used && (t->entry[id].special || (t->entry[id].hidden && is_cut_out(t, id)))) {
            TRY(buf_printf(out, err, "%s\n    {\"id\": %d, \"content\": ", first ? "" : ",", id));
            TRY(add_token_text(t, id, out, err));
            TRY(buf_printf(out, err, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": %s}", t->entry[id].special ? "true" : "false"));
            first = false;
        }
    TRY(buf_add_str(out, "\n  ],\n  \"normalizer\": null,\n  \"pre_tokenizer\": ", err));
    TRY(add_pre_tokenizer(t, out, err));
    TRY(buf_add_str(out, ",\n  \"post_processor\": ", err));
    TRY(add_post_processor(t, out, err));
    TRY(buf_add_str(out, ",\n  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true},\n"
                         "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n    \"continuing_subword_prefix\": null,\n"
                         "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n", err));
    TRY(buf_printf(out, err, "    \"ignore_merges\": %s,\n    \"vocab\": {", t->ignore_merges ? "true" : "false"));
    first = true;
    for (int id = 0; id < t->n_entry; id++)
        if (t->entry[id].used) {
            TRY(buf_printf(out, err, "%s\n      ", first ? "" : ","));
            if (t->entry[id].special || t->entry[id].hidden) {
                TRY(add_token_text(t, id, out, err));
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

static int digest_vocabulary(const struct tok *t, char hex[SHA256_HEX], struct err *err)
{
    struct sha256 h;
    TRY(sha256_init(&h, err));
    for (int id = 0; id < tok_vocab_size(t); id++) {
        size_t n = 0;
        const char *s = tok_bytes(t, id, &n);
        sha256_add(&h, &n, sizeof n);
        sha256_add(&h, s ? s : "", s ? n : 0);
    }
    sha256_end(&h, hex);
    return 0;
}

int tok_digest(const struct tok *t, bool any, char hex[SHA256_HEX], struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = tok_write(t, &b, err);
    if (!rc)
        rc = sha256_of(b.data, b.len, hex, err);
    else if (rc == ERR_UNSUPPORTED && any)
        rc = digest_vocabulary(t, hex, err);
    buf_release(&b);
    return rc;
}
