#include "flow/digests.h"
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/utf8.h"
#include "store/manifest.h"

enum { BYTES_MAX = 256 << 20, DEPTH_MAX = 64 };

int digests_open(struct digests *d, const char *folder, struct err *err)
{
    struct stat st;
    *d = (struct digests){ .path = file_join(folder, "digests.json") };
    if (!d->path)
        return ERR(err, NOMEM, "no memory for a path");
    if (!stat(folder, &st))
        d->has_own = true, d->own_dev = st.st_dev, d->own_inode = st.st_ino;
    if (file_exists(d->path) && tree_load(&d->known, d->path, BYTES_MAX, NULL) < 0)
        d->known = NULL;
    if (d->known && !json_is_object(d->known)) {
        json_decref(d->known);
        d->known = NULL;
    }
    if (!d->known && !(d->known = json_object())) {
        digests_close(d);
        return ERR(err, NOMEM, "no memory for digests");
    }
    return 0;
}

int digests_save(struct digests *d, struct err *err)
{
    if (!d->changed)
        return 0;
    d->changed = false;
    char *text = tree_dumps(d->known, JSON_INDENT(1) | JSON_SORT_KEYS);
    const int rc = text ? file_write_all(d->path, text, strlen(text), err) : ERR(err, NOMEM, "no memory for %s", d->path);
    mem_free(text);
    return rc;
}

void digests_close(struct digests *d)
{
    json_decref(d->known);
    mem_free(d->path);
    *d = (struct digests){ 0 };
}

/* ---- a file ---- */

/* What tells that a file is as it was; false where it changed so lately that another change would not show in its times. */
static bool state_of(const struct stat *st, char out[120])
{
    snprintf(out, 120, "%llu %llu %lld %lld.%09ld %lld.%09ld", (unsigned long long)st->st_dev, (unsigned long long)st->st_ino, (long long)st->st_size, (long long)st->st_mtim.tv_sec,
             st->st_mtim.tv_nsec, (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
    return time(NULL) - st->st_ctim.tv_sec > 1;
}

/* Keys of JSON are UTF-8. */
static bool can_be_key(const char *path)
{
    const char *end = path + strlen(path);
    int n = 1;
    for (; path < end && n; path += n)
        n = utf8_length(path, end);
    return n != 0;
}

static int digest_of_file(struct digests *d, const char *path, char hex[SHA256_HEX], struct err *err)
{
    struct stat st;
    char state[120];
    if (stat(path, &st))
        return ERR_ERRNO(err, "%s", path);
    const bool keep = state_of(&st, state) && can_be_key(path);
    const json_t *known = keep ? json_object_get(d->known, path) : NULL;
    if (!strcmp(tree_text_at(known, "state"), state) && strlen(tree_text_at(known, "sha256")) == SHA256_HEX - 1) {
        strcpy(hex, tree_text_at(known, "sha256"));
        return 0;
    }
    TRY(sha256_of_file(path, hex, err));
    if (keep) {
        if (json_object_set_new(d->known, path, json_pack("{s:s, s:s}", "state", state, "sha256", hex)))
            return ERR(err, NOMEM, "no memory for digests");
        d->changed = true;
    }
    return 0;
}

/* ---- a folder ---- */

struct within { const struct within *outer; dev_t dev; ino_t inode; int depth; };
struct walk { struct digests *d; struct sha256 sum; };

static bool is_outer(const struct within *w, const struct stat *st)
{
    for (; w; w = w->outer)
        if (w->dev == st->st_dev && w->inode == st->st_ino)
            return true;
    return false;
}

static bool is_own(const struct digests *d, const struct stat *st) { return d->has_own && st->st_dev == d->own_dev && st->st_ino == d->own_inode; }

/* Its name's NUL parts it from what follows. */
static void add_entry(struct walk *w, char kind, const char *name)
{
    sha256_add(&w->sum, &kind, 1);
    sha256_add(&w->sum, name, strlen(name) + 1);
}

static int add_folder(struct walk *w, const char *path, const struct within *in, struct err *err);

static int add_one(struct walk *w, const char *path, const char *name, const struct within *in, struct err *err)
{
    struct stat st;
    char hex[SHA256_HEX];
    if (!strcmp(name, ".git") || (!in->outer && manifest_leaves_out(name)))
        return 0;
    if (stat(path, &st))                                 /* a link to nothing */
        return add_entry(w, 'l', name), 0;
    if (S_ISREG(st.st_mode)) {
        TRY(digest_of_file(w->d, path, hex, err));
        add_entry(w, 'f', name);
        sha256_add(&w->sum, hex, sizeof hex);
        return 0;
    }
    if (!S_ISDIR(st.st_mode))
        return add_entry(w, 'o', name), 0;
    if (is_own(w->d, &st) || is_outer(in, &st))
        return 0;
    if (in->depth == DEPTH_MAX)
        return ERR(err, RANGE, "%s: more than %d folders within each other", path, DEPTH_MAX);
    add_entry(w, 'd', name);
    TRY(add_folder(w, path, &(struct within){ in, st.st_dev, st.st_ino, in->depth + 1 }, err));
    add_entry(w, 'e', "");
    return 0;
}

static int add_folder(struct walk *w, const char *path, const struct within *in, struct err *err)
{
    char **names;
    int n, rc = 0;
    TRY(file_list(path, &names, &n, err));
    for (int i = 0; i < n && !rc; i++) {
        char *one = file_join(path, names[i]);
        rc = one ? add_one(w, one, names[i], in, err) : ERR(err, NOMEM, "no memory for a path");
        mem_free(one);
    }
    file_list_free(names, n);
    return rc;
}

static int digest_of_folder(struct digests *d, const char *path, char hex[SHA256_HEX], struct err *err)
{
    struct walk w = { .d = d };
    struct stat st;
    if (stat(path, &st))
        return ERR_ERRNO(err, "%s", path);
    TRY(sha256_init(&w.sum, err));
    const int rc = is_own(d, &st) ? 0 : add_folder(&w, path, &(struct within){ .dev = st.st_dev, .inode = st.st_ino }, err);
    if (rc)
        sha256_release(&w.sum);
    else
        sha256_end(&w.sum, hex);
    return rc;
}

int digests_of(struct digests *d, const char *path, char hex[SHA256_HEX], struct err *err)
{
    hex[0] = '\0';
    if (!file_exists(path))
        return 0;
    return file_is_dir(path) ? digest_of_folder(d, path, hex, err) : digest_of_file(d, path, hex, err);
}
