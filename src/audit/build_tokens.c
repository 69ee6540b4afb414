#include "audit/build_tokens.h"
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "data/records.h"

struct one { const char *of, *split, *form, *fields; char *from, *to; struct err err; };
struct writing { const struct build_tokens *t; const char *dir; char tokenizer[SHA256_HEX]; struct one *one; };

/* ---- one file ---- */

/* What the map says of a line: the place that it came from, before the message that names the line. */
static int place_of(const struct writing *x, const struct one *o, int64_t line, const char *message, struct err *err)
{
    struct file_map map;
    char head[400];
    json_t *m = NULL;
    struct err none;
    char *path = file_join(x->dir, "map.jsonl");
    const int n = snprintf(head, sizeof head, "{\"file\":\"%s\",\"line\":%lld,", o->of, (long long)line), rc = path ? file_map_open(&map, path, &none) : ERR_NOMEM;
    mem_free(path);
    if (rc)
        return ERR(err, FORMAT, "%s:%lld: %s", o->of, (long long)line, message);
    const char *at = memmem(map.data, map.size, head, (size_t)n), *end = at ? memchr(at, '\n', (size_t)(map.data + map.size - at)) : NULL;
    if (end && !tree_parse_json(&m, at, (size_t)(end - at), "map.jsonl", &none))
        (void)ERR(err, FORMAT, "%s:%lld (%s:%lld of the build): %s", json_string_value(json_object_get(m, "path")), (long long)json_integer_value(json_object_get(m, "from_line")), o->of, (long long)line, message);
    else
        (void)ERR(err, FORMAT, "%s:%lld: %s", o->of, (long long)line, message);
    json_decref(m);
    file_map_close(&map);
    return ERR_FORMAT;
}

/* An error of the record behind those that were encoded names its line in the file, which is gone when it is read. */
static int told(const struct writing *x, const struct one *o, int64_t n_done, int rc, struct err *err)
{
    char where[300];
    const int n = snprintf(where, sizeof where, "%.260s:%lld: ", o->from, (long long)n_done + 1);
    const struct err was = *err;
    return rc == ERR_NOMEM || rc == ERR_IO || strncmp(was.msg, where, (size_t)n) ? rc : place_of(x, o, n_done + 1, was.msg + n, err);
}

static int encode(const struct writing *x, const struct one *o, struct err *err)
{
    const bool chats = !strcmp(o->form, data_form_name(FORM_CHAT));
    const struct records_opts opts = { .form = chats ? FORM_CHAT : FORM_TEXT, .fields = o->fields, .chat = x->t->chat, .tok = x->t->tok, .ctx = INT32_MAX, .too_long = TOO_LONG_SKIP };
    struct text_list l = { 0 };
    struct records r = { .n_record = 0 };
    if (chats && !x->t->chat)
        return ERR(err, USAGE, "'%s' has chats, and --tokens a tokenizer without a chat template: name a model that has one", o->of);
    int rc = text_add(&l, o->from, err);
    if (!rc && (rc = records_encode(&r, &l, &opts, err)))
        rc = told(x, o, r.q.n, rc, err);
    text_release(&l);
    rc = rc ? rc : shard_write_sequences(o->to, &r.q, 0, r.q.n, data_form_kind(opts.form), x->t->tok, x->tokenizer, err);
    records_release(&r);
    return rc;
}

static void encode_one(void *ctx, int i, int i_thread)
{
    const struct writing *x = ctx;
    struct one *o = &x->one[i];
    (void)i_thread;
    if (o->to)
        (void)encode(x, o, &o->err);
}

/* ---- the manifest ---- */

/* What a token file holds, read back from it. */
static int set_entry(json_t *entry, const char *path, struct err *err)
{
    struct shard s;
    char sum[SHA256_HEX];
    TRY(shard_open(&s, path, err));
    int rc = sha256_of(s.map.data, s.map.size, sum, err);
    if (!rc && (json_object_set_new(entry, "tokens", json_integer(s.n)) || json_object_set_new(entry, "learned", json_integer(s.n_learn)) || json_object_set_new(entry, "sequences", json_integer(s.n_seq)) ||
                json_object_set_new(entry, "bytes", json_integer((json_int_t)s.map.size)) || json_object_set_new(entry, "sha256", json_string(sum))))
        rc = ERR(err, NOMEM, "no memory for the list of token files");
    shard_close(&s);
    return rc;
}

static int tell(const struct writing *x, int n, json_t *manifest, struct err *err)
{
    json_t *files = json_array(), *tokens = json_pack("{s:s, s:O}", "tokenizer", x->tokenizer, "files", files);
    int rc = files && tokens && !json_object_set(manifest, BUILD_TOKENS, tokens) ? 0 : ERR(err, NOMEM, "no memory for the list of token files");
    for (int i = 0; !rc && i < n; i++) {
        json_t *o = json_pack("{s:s, s:s, s:s}", "path", x->one[i].to + strlen(x->dir) + 1, "of", x->one[i].of, "split", x->one[i].split);
        rc = o && !json_array_append_new(files, o) ? set_entry(o, x->one[i].to, err) : ERR(err, NOMEM, "no memory for the list of token files");
    }
    json_decref(files);
    json_decref(tokens);
    return rc;
}

/* ---- all ---- */

static int plan_one(const struct writing *x, struct one *o, const json_t *entry, struct err *err)
{
    o->of = json_string_value(json_object_get(entry, "path")), o->split = json_string_value(json_object_get(entry, "split"));
    o->form = json_string_value(json_object_get(entry, "form")), o->fields = json_string_value(json_object_get(entry, "fields"));
    o->from = file_join(x->dir, o->of);
    o->to = mem_printf("%s/" BUILD_TOKENS "/%.*s.tok", x->dir, (int)(strrchr(o->of, '.') - o->of), o->of);
    char *slash = o->from && o->to ? strrchr(o->to, '/') : NULL;
    if (!slash)
        return ERR(err, NOMEM, "no memory for a path");
    *slash = 0;
    const int rc = file_mkdirs(o->to, err);
    *slash = '/';
    return rc;
}

int build_tokens_write(const struct build_tokens *t, json_t *manifest, const char *dir, struct pool *pool, struct err *err)
{
    const json_t *files = json_object_get(manifest, "files");
    const int n = (int)json_array_size(files);
    struct writing x = { .t = t, .dir = dir, .one = mem_alloc_array((size_t)n + 1, sizeof *x.one) };
    int rc = x.one ? tok_digest(t->tok, true, x.tokenizer, err) : ERR(err, NOMEM, "no memory for %d token files", n);
    for (int i = 0; !rc && i < n; i++)
        rc = plan_one(&x, &x.one[i], json_array_get(files, (size_t)i), err);
    if (!rc)
        pool_for(pool, n, encode_one, &x);
    for (int i = 0; !rc && i < n; i++)
        if (x.one[i].err.code)
            rc = (*err = x.one[i].err).code;
    rc = rc ? rc : tell(&x, n, manifest, err);
    for (int i = 0; x.one && i < n; i++) {
        mem_free(x.one[i].from);
        mem_free(x.one[i].to);
    }
    mem_free(x.one);
    return rc;
}

json_t *build_tokens_of(const json_t *manifest, const char *of)
{
    const json_t *files = json_object_get(json_object_get(manifest, BUILD_TOKENS), "files");
    for (size_t i = 0; i < json_array_size(files); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(files, i), "of"));
        if (name && !strcmp(name, of))
            return json_array_get(files, i);
    }
    return NULL;
}

int build_tokens_keep(json_t *entry, const char *from, const char *to, const unsigned char *keep, int64_t n, struct err *err)
{
    const char *name = json_string_value(json_object_get(entry, "path"));
    if (!name || strstr(name, "..") || *name == '/')
        return ERR(err, CORRUPT, "build.json names a token file '%s'", name ? name : "");
    struct shard s;
    char *in = file_join(from, name), *out = file_join(to, name), *slash = out ? strrchr(out, '/') : NULL;
    int rc = in && slash ? shard_open(&s, in, err) : ERR(err, NOMEM, "no memory for a path");
    const bool open = !rc;
    if (open && s.n_seq != n)
        rc = ERR(err, CORRUPT, "%s has %lld sequences, expected one for each of %lld lines", in, (long long)s.n_seq, (long long)n);
    if (!rc) {
        *slash = 0;
        rc = file_mkdirs(out, err);
        *slash = '/';
    }
    rc = rc ? rc : shard_write_parts(out, &(struct shard_part){ &s, 0, n, keep }, 1, err);
    if (open)
        shard_close(&s);
    rc = rc ? rc : set_entry(entry, out, err);
    mem_free(in);
    mem_free(out);
    return rc;
}
