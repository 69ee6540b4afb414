#include "store/oms.h"
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"

/* ---- places ---- */

int oms_place(char **out, const char *path, bool must_exist, struct err *err)
{
    *out = file_is_dir(path) ? file_join(path, "model.sig") : mem_printf("%s.sig", path);
    if (*out && must_exist && !file_exists(*out) && !file_is_dir(path)) {
        char *folder = file_parent(path), *beside = folder ? file_join(folder, "model.sig") : NULL;
        if (!beside || file_exists(beside)) {
            mem_free(*out);
            *out = beside, beside = NULL;
        }
        mem_free(beside);
        mem_free(folder);
    }
    if (!*out)
        return ERR(err, NOMEM, "no memory for the path of a signature");
    if (!must_exist || file_exists(*out))
        return 0;
    const int rc = ERR(err, NOTFOUND, "%.300s is not signed: there is no %.100s", path, file_last_part(*out));
    mem_free(*out);
    *out = NULL;
    return rc;
}

/* *out: the path of inner below the folder outer, NULL where it is not there. */
static int path_below(char **out, const char *outer, const char *inner, struct err *err)
{
    *out = NULL;
    char *folder = file_parent(inner);
    if (!folder)
        return ERR(err, NOMEM, "no memory for a path");
    char *a = realpath(outer, NULL), *b = realpath(folder, NULL);
    const size_t n = a ? strlen(a) : 0;
    const bool below = a && b && !strncmp(a, b, n) && (b[n] == '/' || !b[n] || n == 1);
    const char *between = below ? b + n + (b[n] == '/') : "";
    if (below)
        *out = mem_printf("%s%s%s", between, *between ? "/" : "", file_last_part(inner));
    free(a);                                      /* realpath's own */
    free(b);
    mem_free(folder);
    return below && !*out ? ERR(err, NOMEM, "no memory for a path") : 0;
}

/* Both lists and one more; the texts stay whose they are. */
static const char **with(const char *const *a, const char *const *b, const char *one)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; a && a[i]; i++)
        n++;
    for (size_t i = 0; b && b[i]; i++)
        n++;
    const char **out = mem_alloc_array(n + 2, sizeof *out);
    if (!out)
        return NULL;
    for (size_t i = 0; a && a[i]; i++)
        out[at++] = a[i];
    for (size_t i = 0; b && b[i]; i++)
        out[at++] = b[i];
    out[at] = one;
    return out;
}

/* ---- what is there ---- */

struct looked {
    const char *path;
    const char *const *skip;
    bool follow_links;
    struct manifest files;
    char stamp[SHA256_HEX];
};

static int look(struct looked *l, struct err *err)
{
    int64_t newest;
    TRY(manifest_list(&l->files, l->path, l->skip, l->follow_links, err));
    return manifest_stamp(&l->files, l->path, l->stamp, &newest, err);
}

/* No file was changed, came or went since then. */
static int is_as_before(const struct looked *l, struct err *err)
{
    struct looked now = { .path = l->path, .skip = l->skip, .follow_links = l->follow_links };
    int rc = look(&now, err);
    if (!rc && strcmp(now.stamp, l->stamp))
        rc = ERR(err, CORRUPT, "%.300s was changed while it was read", l->path);
    manifest_release(&now.files);
    return rc;
}

/* ---- signing ---- */

int oms_sign_statement(const char *text, size_t n, const struct oms_sign *how, const char *out, struct err *err)
{
    struct evp_pkey_st *key = NULL;
    struct dsse d;
    struct buf bundle;
    dsse_init(&d), buf_init(&bundle);
    int rc = pki_private_read(&key, how->key, how->password, err);
    if (!rc && how->cert && !(rc = pki_certs_read(&d.chain, how->cert, err)) && how->chain)
        rc = pki_certs_read(&d.chain, how->chain, err);
    if (!rc && d.chain.n > DSSE_CERTS_MAX)
        rc = ERR(err, RANGE, "%d certificates, expected %d at most", d.chain.n, DSSE_CERTS_MAX);
    if (!rc && !(rc = buf_add(&d.payload, text, n, err)) && !(rc = dsse_sign(&d, key, err)) && !(rc = dsse_write(&d, &bundle, err)))
        rc = bundle.len <= DSSE_BYTES_MAX ? file_write_all(out, bundle.data, bundle.len, err) : ERR(err, RANGE, "a bundle of %zu bytes, expected %d at most", bundle.len, DSSE_BYTES_MAX);
    buf_release(&bundle);
    dsse_release(&d);
    pki_free(key);
    return rc;
}

/* What model_signing leaves out, so that both mean the same files whoever reads it. */
static const char *const usual[] = { ".git", ".gitattributes", ".github", ".gitignore", "model.sig" };
enum { N_USUAL = sizeof usual / sizeof *usual };

static int copy_ignore(struct oms_statement *s, const char *const *skip, struct err *err)
{
    size_t n = 0;
    while (skip[n])
        n++;
    if (!(s->ignore = mem_alloc_array(n + N_USUAL + 1, sizeof *s->ignore)))
        return ERR(err, NOMEM, "no memory for %zu paths", n);
    for (size_t i = 0; i < n + N_USUAL; i++)
        if (!(s->ignore[i] = mem_strdup(i < N_USUAL ? usual[i] : skip[i - N_USUAL])))
            return ERR(err, NOMEM, "no memory for a path");
    return 0;
}

/* A folder that is called "." has a name, too. */
static int name_it(struct oms_statement *s, const char *path, struct err *err)
{
    char *whole = realpath(path, NULL);
    s->name = mem_strdup(whole && file_last_part(whole)[0] ? file_last_part(whole) : "model");
    free(whole);
    return s->name ? 0 : ERR(err, NOMEM, "no memory for the name of a model");
}

static int read_all(struct oms_statement *s, struct looked *l, const struct oms_sign *how, struct pool *pool, struct err *err)
{
    TRY(look(l, err));
    for (int i = 0; i < l->files.n && how->shard_bytes; i++)
        if (strchr(l->files.file[i].name, ':'))
            return ERR(err, UNSUPPORTED, "'%.200s': a name with a colon cannot be signed in shards", l->files.file[i].name);
    struct manifest *m = &s->files;
    for (int i = 0; i < l->files.n; i++)
        TRY(manifest_add(m, l->files.file[i].name, NULL, l->files.file[i].bytes, err));
    if (how->shard_bytes)
        TRY(manifest_split(m, how->shard_bytes, err));
    TRY(manifest_hash_by(m, l->path, pool, err));
    TRY(is_as_before(l, err));
    return manifest_root(m, s->root, err);
}

static int sign_at(const char *path, const char *out, const struct oms_sign *how, const char *const *skip, struct pool *pool, char root[SHA256_HEX], struct err *err)
{
    struct oms_statement s = { .shard_bytes = how->shard_bytes, .follow_links = how->follow_links };
    struct looked l = { .path = path, .skip = skip, .follow_links = how->follow_links };
    struct buf text;
    buf_init(&text);
    int rc = name_it(&s, path, err);
    if (!rc && file_is_dir(path))
        rc = copy_ignore(&s, skip, err);
    if (!rc && !(rc = read_all(&s, &l, how, pool, err)) && !(rc = oms_statement_write(&s, &text, err)))
        rc = oms_sign_statement(text.data, text.len, how, out, err);
    if (!rc)
        memcpy(root, s.root, SHA256_HEX);
    buf_release(&text);
    manifest_release(&l.files);
    oms_statement_release(&s);
    return rc;
}

int oms_root(const char *path, const struct oms_sign *how, const char *bundle, struct pool *pool, char root[SHA256_HEX], struct err *err)
{
    char *own = NULL;
    if (bundle && file_is_dir(path))
        TRY(path_below(&own, path, bundle, err));
    const char **skip = with(how->ignore, NULL, own);
    struct oms_statement s = { .shard_bytes = 0 };
    struct looked l = { .path = path, .skip = skip, .follow_links = how->follow_links };
    const struct oms_sign whole = { .follow_links = how->follow_links };
    const int rc = skip ? read_all(&s, &l, &whole, pool, err) : ERR(err, NOMEM, "no memory for the path of a signature");
    if (!rc)
        memcpy(root, s.root, SHA256_HEX);
    manifest_release(&l.files);
    oms_statement_release(&s);
    mem_free(skip);
    mem_free(own);
    return rc;
}

int oms_sign(const char *path, const struct oms_sign *how, struct pool *pool, char root[SHA256_HEX], struct err *err)
{
    char *place = NULL, *own = NULL;
    const char **skip = NULL;
    int rc = how->out ? 0 : oms_place(&place, path, false, err);
    const char *out = how->out ? how->out : place;
    if (!rc && file_is_dir(path))
        rc = path_below(&own, path, out, err);
    if (!rc && !(skip = with(how->ignore, NULL, own && strcmp(own, "model.sig") ? own : NULL)))
        rc = ERR(err, NOMEM, "no memory for the path of a signature");
    if (!rc)
        rc = sign_at(path, out, how, skip, pool, root, err);
    mem_free(skip);
    mem_free(own);
    mem_free(place);
    return rc;
}

/* ---- verifying ---- */

const char *const oms_what_word[] = { "changed", "missing", "unsigned", "ignored" };

void oms_verdict_release(struct oms_verdict *v)
{
    for (int i = 0; i < v->n_finding; i++)
        mem_free(v->finding[i].name);
    mem_free(v->finding);
    *v = (struct oms_verdict){ .n_file = 0 };
}

static int found(struct oms_verdict *v, enum oms_what what, const char *name, struct err *err)
{
    if (v->n_finding && v->finding[v->n_finding - 1].what == what && !strcmp(v->finding[v->n_finding - 1].name, name))
        return 0;                                 /* another shard of it */
    struct oms_finding *grown = mem_realloc_array(v->finding, (size_t)v->n_finding + 1, sizeof *grown);
    if (grown)
        v->finding = grown;
    char *copy = grown ? mem_strdup(name) : NULL;
    if (!copy)
        return ERR(err, NOMEM, "no memory for what was found");
    v->finding[v->n_finding++] = (struct oms_finding){ what, copy };
    return 0;
}

static bool is_ignored(char *const *ignore, const char *name)
{
    for (; ignore && *ignore; ignore++) {
        const size_t n = strlen(*ignore);
        if (n && !strncmp(*ignore, name, n) && (!name[n] || name[n] == '/'))
            return true;
    }
    return false;
}

/* Which of the files that are there are signed, and which should be there: both lists are sorted.  Those that are both go to *both, by what
 * they are now; a shard's place is its name and start. */
static int pair(struct oms_verdict *v, const struct oms_statement *s, const struct manifest *there, struct manifest *both, const struct oms_check *how, struct err *err)
{
    for (int i = 0; i < s->files.n; i++)
        if (!manifest_find(there, s->files.file[i].name))
            TRY(found(v, OMS_MISSING, s->files.file[i].name, err));
    for (int i = 0; i < there->n; i++) {
        const struct manifest_file *f = &there->file[i];
        const bool is_signed = manifest_find(&s->files, f->name), ignored = !is_signed && is_ignored(s->ignore, f->name);
        if (is_signed)
            TRY(manifest_add(both, f->name, NULL, f->bytes, err));
        else if (s->shard_bytes && !f->bytes && !ignored)
            continue;                             /* shards have no place for a file of no bytes */
        else if (ignored ? how->refuse_ignored : !how->take_unsigned)
            TRY(found(v, ignored ? OMS_IGNORED : OMS_UNSIGNED, f->name, err));
    }
    return s->shard_bytes ? manifest_split(both, s->shard_bytes, err) : 0;
}

static bool is_found(const struct oms_verdict *v, enum oms_what what, const char *name)
{
    for (int i = 0; i < v->n_finding; i++)
        if (v->finding[i].what == what && !strcmp(v->finding[i].name, name))
            return true;
    return false;
}

/* The digests of what is there against those that were signed: each piece of either must be one of the other. */
static int compare(struct oms_verdict *v, const struct oms_statement *s, const struct manifest *both, struct err *err)
{
    for (int i = 0; i < s->files.n; i++) {
        const struct manifest_file *was = &s->files.file[i], *is = manifest_find_shard(both, was);
        const bool same = is && (!was->shard || was->bytes == is->bytes) && !strcmp(was->sha256, is->sha256);
        v->n_file += same;
        if (!same && !is_found(v, OMS_MISSING, was->name))
            TRY(found(v, OMS_CHANGED, was->name, err));
    }
    for (int i = 0; i < both->n; i++)                            /* a file that has grown has more shards */
        if (!manifest_find_shard(&s->files, &both->file[i]) && !is_found(v, OMS_CHANGED, both->file[i].name))
            TRY(found(v, OMS_CHANGED, both->file[i].name, err));
    return 0;
}

static int look_at_files(struct oms_verdict *v, const struct oms_statement *s, struct looked *l, const struct oms_check *how, struct pool *pool, struct err *err)
{
    struct manifest both = { .n = 0 };
    int rc = look(l, err);
    if (!rc)
        rc = pair(v, s, &l->files, &both, how, err);
    if (!rc && !(rc = manifest_hash_by(&both, l->path, pool, err)) && !(rc = is_as_before(l, err)))
        rc = compare(v, s, &both, err);
    manifest_release(&both);
    v->listed = !rc;
    return rc;
}

/* Of a signature of a folder only what it says of one file in it. */
static int keep_one(struct oms_statement *s, const char *name, struct err *err)
{
    struct manifest one = { .n = 0 };
    int rc = 0;
    for (int i = 0; i < s->files.n && !rc; i++) {
        const struct manifest_file *f = &s->files.file[i];
        if (strcmp(f->name, name))
            continue;
        if (!(rc = manifest_add(&one, ".", f->sha256, f->bytes, err)))
            one.file[one.n - 1].start = f->start, one.file[one.n - 1].shard = f->shard;
    }
    if (!rc && !one.n)
        rc = ERR(err, GATE, "'%.200s' is not among the files that were signed", name);
    manifest_release(rc ? &one : &s->files);
    if (!rc)
        s->files = one;
    return rc;
}

/* A single file is "." to its signature, and has a name for people. */
static int name_findings(struct oms_verdict *v, const char *path, struct err *err)
{
    for (int i = 0; i < v->n_finding; i++) {
        if (strcmp(v->finding[i].name, "."))
            continue;
        char *name = mem_strdup(file_last_part(path));
        if (!name)
            return ERR(err, NOMEM, "no memory for the name of a file");
        mem_free(v->finding[i].name);
        v->finding[i].name = name;
    }
    return 0;
}

static int judge_findings(const struct oms_verdict *v, const char *path, struct err *err)
{
    int n[4] = { 0 };
    for (int i = 0; i < v->n_finding; i++)
        n[v->finding[i].what]++;
    if (!v->n_finding)
        return 0;
    return ERR(err, GATE, "%.250s is not what was signed: %d changed, %d missing, %d unsigned%s ('%.100s' is %s)", path, n[OMS_CHANGED], n[OMS_MISSING], n[OMS_UNSIGNED] + n[OMS_IGNORED],
               n[OMS_IGNORED] ? " (some of which the signature leaves out)" : "", v->finding[0].name, oms_what_word[v->finding[0].what]);
}

static int verify_files(struct oms_verdict *v, struct oms_statement *s, const char *path, const char *bundle, const struct oms_check *how, struct pool *pool, struct err *err)
{
    const bool folder = file_is_dir(path), of_file = s->files.n && !strcmp(s->files.file[0].name, ".");
    if (!folder && !of_file)
        TRY(keep_one(s, file_last_part(path), err));
    else if (folder && of_file)
        return ERR(err, GATE, "the signature is that of a file, and %.300s is a folder", path);
    char *own = NULL;
    if (folder)
        TRY(path_below(&own, path, bundle, err));
    const char **skip = with(how->refuse_ignored ? NULL : (const char *const *)s->ignore, how->ignore, own);
    struct looked l = { .path = path, .skip = skip, .follow_links = s->follow_links };
    int rc = skip ? look_at_files(v, s, &l, how, pool, err) : ERR(err, NOMEM, "no memory for the path of a signature");
    manifest_release(&l.files);
    mem_free(skip);
    mem_free(own);
    if (!rc)
        rc = name_findings(v, path, err);
    return rc ? rc : judge_findings(v, path, err);
}

static int verify(struct oms_verdict *v, const struct dsse *d, const char *path, const char *bundle, const struct oms_check *how, struct pool *pool, struct err *err)
{
    struct oms_statement s;
    v->by = d->by;
    if (dsse_verify(d, how->trust, true, &v->holder, err))
        return err_context(err, "%.200s", path);
    TRY(oms_statement_read(&s, d->payload.data, d->payload.len, bundle, err));
    memcpy(v->root, s.root, sizeof v->root);
    snprintf(v->name, sizeof v->name, "%s", s.name);
    err_tidy(v->name);
    const int rc = verify_files(v, &s, path, bundle, how, pool, err);
    oms_statement_release(&s);
    return rc;
}

int oms_verify(struct oms_verdict *v, const char *path, const char *bundle, const struct oms_check *how, struct pool *pool, struct err *err)
{
    struct dsse d;
    *v = (struct oms_verdict){ .n_file = 0 };
    TRY(dsse_read(&d, bundle, err));
    const int rc = verify(v, &d, path, bundle, how, pool, err);
    dsse_release(&d);
    return rc;
}
