#include "store/verified.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

enum { KEPT_MAX = 1 << 16, FRESH_S = 2 };

/* ---- what is remembered ---- */

struct memory {
    char *path;                          /* of the file; NULL: nothing can be remembered */
    char stamp[SHA256_HEX];              /* of the model's files and the bundle */
    int64_t newest_ns;
};

static int add_stamp(struct sha256 *all, struct memory *m, const struct manifest *files, const char *path, struct err *err)
{
    char stamp[SHA256_HEX];
    int64_t newest;
    TRY(manifest_stamp(files, path, stamp, &newest, err));
    sha256_add(all, stamp, sizeof stamp);
    m->newest_ns = newest > m->newest_ns ? newest : m->newest_ns;
    return 0;
}

static int stamp_of(struct memory *m, const char *path, const char *bundle, struct err *err)
{
    struct manifest files = { .n = 0 }, one = { .n = 0 };
    struct sha256 all;
    m->newest_ns = 0;
    TRY(sha256_init(&all, err));
    int rc = manifest_list(&files, path, NULL, true, err);
    if (!rc && !(rc = manifest_list(&one, bundle, NULL, true, err)) && !(rc = add_stamp(&all, m, &files, path, err)))
        rc = add_stamp(&all, m, &one, bundle, err);
    manifest_release(&files), manifest_release(&one);
    if (!rc)
        sha256_end(&all, m->stamp);
    sha256_release(&all);
    return rc;
}

/* A name for this path and who is trusted, by the contents of their file. */
static int name_of(char name[SHA256_HEX], const char *path, const char *trusted, bool is_key, const char *identity, struct err *err)
{
    struct sha256 all;
    char digest[SHA256_HEX], *whole = realpath(path, NULL);
    int rc = whole ? sha256_of_file(trusted, digest, err) : ERR_ERRNO(err, "%.300s", path);
    if (!rc && !(rc = sha256_init(&all, err))) {
        sha256_add(&all, whole, strlen(whole) + 1);
        sha256_add(&all, digest, sizeof digest);
        sha256_add(&all, is_key ? "k" : "c", 1);
        sha256_add(&all, identity ? identity : "", identity ? strlen(identity) + 1 : 0);
        sha256_end(&all, name);
    }
    free(whole);
    return rc;
}

static bool recall(const struct memory *m, struct verified *out)
{
    json_t *o;
    struct err none;
    if (!m->path || !file_exists(m->path) || tree_load(&o, m->path, KEPT_MAX, &none))
        return false;
    const double ends = tree_number_at(o, "ends");
    const bool same = !strcmp(tree_text_at(o, "stamp"), m->stamp) && strlen(tree_text_at(o, "root")) == SHA256_HEX - 1 && (ends == 0 || (double)time(NULL) <= ends);
    if (same) {
        snprintf(out->root, sizeof out->root, "%s", tree_text_at(o, "root"));
        snprintf(out->identity, sizeof out->identity, "%s", tree_text_at(o, "identity"));
        out->remembered = true;
    }
    json_decref(o);
    return same;
}

/* Not being able to costs the next start its time, no more. */
static void keep(const struct memory *m, const struct oms_verdict *v)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:I}", "stamp", m->stamp, "root", v->root, "identity", v->holder.identity, "ends", (json_int_t)v->holder.ends);
    char *text = o ? tree_dumps(o, JSON_COMPACT) : NULL;
    struct err none;
    if (text)
        file_write_all(m->path, text, strlen(text), &none);
    mem_free(text);
    json_decref(o);
}

/* ---- looking ---- */

/* X-00001-of-00003.gguf is loaded with the others in its folder. */
static bool is_piece(const char *path)
{
    const size_t n = strlen(path);
    if (n < 20 || strcmp(path + n - 5, ".gguf") || strncmp(path + n - 14, "-of-", 4))
        return false;
    return path[n - 20] == '-' && strspn(path + n - 19, "0123456789") == 5 && strspn(path + n - 10, "0123456789") == 5;
}

static char *to_look_at(const char *path)
{
    return file_is_dir(path) || !is_piece(path) ? mem_strdup(path) : file_parent(path);
}

static int verify(struct verified *out, const char *path, const char *bundle, const struct dsse_trust *t, const struct memory *before, struct pool *pool, struct err *err)
{
    const struct oms_check how = { .trust = t, .refuse_ignored = true };
    struct oms_verdict v;
    struct memory after = { .path = before->path };
    int rc = oms_verify(&v, path, bundle, &how, pool, err);
    if (!rc) {
        memcpy(out->root, v.root, sizeof out->root);
        memcpy(out->identity, v.holder.identity, sizeof out->identity);
        struct err none;
        if (before->path && !stamp_of(&after, path, bundle, &none) && !strcmp(after.stamp, before->stamp) && after.newest_ns / 1000000000 + FRESH_S < t->now)
            keep(&after, &v);
    }
    oms_verdict_release(&v);
    return rc;
}

static int open_memory(struct memory *m, const char *path, const char *bundle, const char *trusted, bool is_key, const char *identity, const char *cache, struct err *err)
{
    char name[SHA256_HEX];
    TRY(name_of(name, path, trusted, is_key, identity, err));
    char *folder = file_join(cache, "signatures");
    struct err none;
    if (!folder)
        return ERR(err, NOMEM, "no memory for the path of a cache");
    if (!file_mkdirs(folder, &none) && !stamp_of(m, path, bundle, &none))
        m->path = file_join(folder, name);
    mem_free(folder);
    return 0;
}

int verified_model(struct verified *out, const char *path, const char *key, const char *ca, const char *identity, const char *cache, struct pool *pool, struct err *err)
{
    struct dsse_trust t;
    struct memory m = { .path = NULL };
    char *bundle = NULL, *look = to_look_at(path);
    *out = (struct verified){ .remembered = false };
    if (!look)
        return ERR(err, NOMEM, "no memory for the path of a model");
    int rc = dsse_trust_read(&t, key, ca, err);
    t.identity = identity;
    if (!rc && !(rc = oms_place(&bundle, look, true, err)) && cache)
        rc = open_memory(&m, look, bundle, key ? key : ca, key != NULL, identity, cache, err);
    if (!rc && !recall(&m, out))
        rc = verify(out, look, bundle, &t, &m, pool, err);
    mem_free(m.path);
    mem_free(bundle);
    mem_free(look);
    dsse_trust_release(&t);
    return rc;
}
