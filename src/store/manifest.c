#include "store/manifest.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "store/models.h"

enum { DEPTH_MAX = 32, FILES_MAX = 100000 };

static const char *const never[] = { ".git", ".gitattributes", ".github", ".gitignore", "model.sig", NULL };

/* ---- the list ---- */

int manifest_add(struct manifest *m, const char *name, const char *sha256, uint64_t bytes, struct err *err)
{
    if (m->n == FILES_MAX)
        return ERR(err, RANGE, "more than %d files", FILES_MAX);
    if (m->n == m->cap) {
        const int cap = m->cap ? 2 * m->cap : 16;
        struct manifest_file *file = mem_realloc_array(m->file, (size_t)cap, sizeof *file);
        if (!file)
            return ERR(err, NOMEM, "no memory for a list of %d files", cap);
        m->file = file, m->cap = cap;
    }
    struct manifest_file *f = &m->file[m->n];
    *f = (struct manifest_file){ .name = mem_strdup(name), .bytes = bytes };
    if (!f->name)
        return ERR(err, NOMEM, "no memory for the name of a file");
    if (sha256)
        memcpy(f->sha256, sha256, SHA256_HEX);
    m->n++;
    return 0;
}

void manifest_release(struct manifest *m)
{
    for (int i = 0; i < m->n; i++)
        mem_free(m->file[i].name);
    mem_free(m->file);
    *m = (struct manifest){ .n = 0 };
}

/* By parts: '/' comes before every other byte, after the end alone. */
static int by_parts(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        ;
    const int x = *a == '/' ? 1 : *a ? (unsigned char)*a + 1 : 0, y = *b == '/' ? 1 : *b ? (unsigned char)*b + 1 : 0;
    return x - y;
}

static int by_name(const void *a, const void *b)
{
    const struct manifest_file *x = a, *y = b;
    const int order = by_parts(x->name, y->name);
    return order ? order : (x->start > y->start) - (x->start < y->start);
}

void manifest_sort(struct manifest *m)
{
    if (m->n)
        qsort(m->file, (size_t)m->n, sizeof *m->file, by_name);
}

/* ---- what is in a folder ---- */

struct walk {
    struct manifest *out;
    const char *path;
    const char *const *skip;
    bool follow_links;
};

static bool is_one_of(const char *name, const char *const *list)
{
    for (; list && *list; list++)
        if (!strcmp(name, *list))
            return true;
    return false;
}

bool manifest_leaves_out(const char *path)
{
    for (const char *const *name = never; *name; name++) {
        const size_t n = strlen(*name);
        if (!strncmp(path, *name, n) && (!path[n] || path[n] == '/'))
            return true;
    }
    return false;
}

static int walk_in(struct walk *w, const char *below, int depth, struct err *err);

static int look(struct walk *w, const char *name, int depth, struct err *err)
{
    if (is_one_of(name, w->skip) || is_one_of(name, never))
        return 0;
    if (!model_path_ok(name))
        return ERR(err, FORMAT, "%.200s: a file there is called '%.200s', expected UTF-8 of at most 255 bytes in each part, without control characters and backslashes", w->path, name);
    char *full = file_join(w->path, name);
    if (!full)
        return ERR(err, NOMEM, "no memory for the path of a file");
    struct stat s;
    const bool link = !lstat(full, &s) && S_ISLNK(s.st_mode);
    int rc;
    if (link && !w->follow_links)
        rc = ERR(err, UNSUPPORTED, "%.400s is a symbolic link, expected files and folders", full);
    else if (stat(full, &s))
        rc = ERR_ERRNO(err, "%.400s", full);
    else if (S_ISREG(s.st_mode))
        rc = manifest_add(w->out, name, NULL, (uint64_t)s.st_size, err);
    else if (S_ISDIR(s.st_mode) && !link)
        rc = depth < DEPTH_MAX ? walk_in(w, name, depth + 1, err) : ERR(err, RANGE, "%.400s: more than %d folders within each other", full, DEPTH_MAX);
    else
        rc = ERR(err, UNSUPPORTED, "%.400s is %s, expected files and folders", full, link ? "a symbolic link to no file" : "a device, pipe or socket");
    mem_free(full);
    return rc;
}

static int walk_in(struct walk *w, const char *below, int depth, struct err *err)
{
    char **names, *dir = *below ? file_join(w->path, below) : mem_strdup(w->path);
    int n, rc = dir ? file_list(dir, &names, &n, err) : ERR(err, NOMEM, "no memory for the path of a folder");
    mem_free(dir);
    TRY(rc);
    for (int i = 0; i < n && !rc; i++) {
        char *name = *below ? file_join(below, names[i]) : mem_strdup(names[i]);
        rc = name ? look(w, name, depth, err) : ERR(err, NOMEM, "no memory for the path of a file");
        mem_free(name);
    }
    file_list_free(names, n);
    return rc;
}

static int list_file(struct manifest *out, const char *path, bool follow_links, struct err *err)
{
    struct stat s;
    if (lstat(path, &s) || (S_ISLNK(s.st_mode) && follow_links && stat(path, &s)))
        return ERR_ERRNO(err, "%.400s", path);
    if (!S_ISREG(s.st_mode))
        return ERR(err, UNSUPPORTED, "%.400s is %s, expected a file or a folder", path, S_ISLNK(s.st_mode) ? "a symbolic link" : "a device, pipe or socket");
    return manifest_add(out, ".", NULL, (uint64_t)s.st_size, err);
}

int manifest_list(struct manifest *out, const char *path, const char *const *skip, bool follow_links, struct err *err)
{
    *out = (struct manifest){ .n = 0 };
    struct walk w = { .out = out, .path = path, .skip = skip, .follow_links = follow_links };
    int rc = file_is_dir(path) ? walk_in(&w, "", 0, err) : list_file(out, path, follow_links, err);
    if (!rc && !out->n)
        rc = ERR(err, NOTFOUND, "%.400s holds no files", path);
    if (rc)
        manifest_release(out);
    else
        manifest_sort(out);
    return rc;
}

char *manifest_path(const char *path, const char *name) { return strcmp(name, ".") ? file_join(path, name) : mem_strdup(path); }

/* ---- what they hold ---- */

int manifest_split(struct manifest *m, uint64_t shard_bytes, struct err *err)
{
    struct manifest out = { .n = 0 };
    int rc = shard_bytes ? 0 : ERR(err, RANGE, "shards of no bytes");
    for (int i = 0; i < m->n && !rc; i++)
        for (uint64_t at = 0, n; at < m->file[i].bytes && !rc; at += n) {
            n = m->file[i].bytes - at < shard_bytes ? m->file[i].bytes - at : shard_bytes;
            if (!(rc = manifest_add(&out, m->file[i].name, NULL, n, err)))
                out.file[out.n - 1].start = at, out.file[out.n - 1].shard = true;
        }
    manifest_release(rc ? &out : m);
    if (!rc)
        *m = out;
    return rc;
}

/* From a buffer that stays in the second-level cache: as fast as a mapping, and a file that is cut meanwhile is an error and no SIGBUS. */
enum { PIECE = 128 << 10 };

static int hash_range(struct file_stream *s, const struct manifest_file *f, char *piece, struct sha256 *sum, struct err *err)
{
    if (f->shard ? f->start > s->size || f->bytes > s->size - f->start : f->bytes != s->size)
        return ERR(err, CORRUPT, "%.300s has %llu bytes, and had %llu when it was listed: it was changed meanwhile", s->path, (unsigned long long)s->size, (unsigned long long)(f->start + f->bytes));
    TRY(file_stream_seek(s, f->start, err));
    for (uint64_t left = f->bytes; left;) {
        const int64_t got = file_stream_read(s, piece, left < PIECE ? (size_t)left : PIECE, err);
        TRY((int)(got < 0 ? got : 0));
        sha256_add(sum, piece, (size_t)got);
        left -= (uint64_t)got;
    }
    return 0;
}

static int hash_file(const char *path, struct manifest_file *f, struct err *err)
{
    struct file_stream s = { .fd = -1 };
    struct sha256 sum = { NULL };
    char *full = manifest_path(path, f->name), *piece = full ? mem_alloc(PIECE) : NULL;
    int rc = piece ? sha256_init(&sum, err) : ERR(err, NOMEM, "no memory to read a file");
    if (!rc && !(rc = file_stream_open(&s, full, err)))
        rc = hash_range(&s, f, piece, &sum, err);
    file_stream_close(&s);
    if (!rc)
        sha256_end(&sum, f->sha256);
    sha256_release(&sum);
    mem_free(piece);
    mem_free(full);
    return rc;
}

struct hashing {
    struct manifest *m;
    const char *path;
    struct err *err;             /* of each file */
};

static void hash_one(void *ctx, int i, int i_thread)
{
    struct hashing *h = ctx;
    (void)i_thread;
    if (!*h->m->file[i].sha256)
        hash_file(h->path, &h->m->file[i], &h->err[i]);
}

int manifest_hash_by(struct manifest *m, const char *path, struct pool *pool, struct err *err)
{
    int rc = 0;
    if (!pool || m->n < 2) {
        for (int i = 0; i < m->n && !rc; i++)
            rc = *m->file[i].sha256 ? 0 : hash_file(path, &m->file[i], err);
        return rc;
    }
    struct hashing h = { m, path, mem_alloc_array((size_t)m->n, sizeof *h.err) };
    if (!h.err)
        return ERR(err, NOMEM, "no memory to read %d files", m->n);
    pool_for(pool, m->n, hash_one, &h);
    for (int i = 0; i < m->n && !rc; i++)            /* the first one, whoever was first in time */
        if (h.err[i].code)
            rc = h.err[i].code, err ? (void)(*err = h.err[i]) : (void)0;
    mem_free(h.err);
    return rc;
}

int manifest_hash(struct manifest *m, const char *path, struct err *err) { return manifest_hash_by(m, path, NULL, err); }

static int64_t ns_of(struct timespec t) { return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec; }

int manifest_stamp(const struct manifest *m, const char *path, char stamp[SHA256_HEX], int64_t *newest_ns, struct err *err)
{
    struct sha256 all;
    int rc = sha256_init(&all, err);
    TRY(rc);
    *newest_ns = 0;
    for (int i = 0; i < m->n && !rc; i++) {
        struct stat s;
        char *full = manifest_path(path, m->file[i].name);
        rc = !full ? ERR(err, NOMEM, "no memory for the path of a file") : stat(full, &s) ? ERR_ERRNO(err, "%.400s", full) : 0;
        mem_free(full);
        if (rc)
            break;
        const int64_t of[] = { (int64_t)s.st_dev, (int64_t)s.st_ino, (int64_t)s.st_size, ns_of(s.st_mtim), ns_of(s.st_ctim) };
        sha256_add(&all, m->file[i].name, strlen(m->file[i].name) + 1);
        sha256_add(&all, of, sizeof of);
        for (int k = 3; k < 5; k++)
            *newest_ns = of[k] > *newest_ns ? of[k] : *newest_ns;
    }
    if (!rc)
        sha256_end(&all, stamp);
    sha256_release(&all);
    return rc;
}

/* ---- what it says ---- */

static bool read_digest(const char *hex, unsigned char out[SHA256_BYTES])
{
    if (strlen(hex) != SHA256_HEX - 1 || strspn(hex, "0123456789abcdef") != SHA256_HEX - 1)
        return false;
    for (int i = 0; i < SHA256_BYTES; i++) {
        const char pair[3] = { hex[2 * i], hex[2 * i + 1], 0 };
        out[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    return true;
}

int manifest_root(const struct manifest *m, char root[SHA256_HEX], struct err *err)
{
    struct sha256 all;
    TRY(sha256_init(&all, err));
    for (int i = 0; i < m->n; i++) {
        unsigned char sum[SHA256_BYTES];
        if (!read_digest(m->file[i].sha256, sum)) {
            sha256_release(&all);
            return ERR(err, FORMAT, "'%.200s' has no digest", m->file[i].name);
        }
        sha256_add(&all, sum, sizeof sum);
    }
    sha256_end(&all, root);
    return 0;
}

uint64_t manifest_bytes(const struct manifest *m)
{
    uint64_t n = 0;
    for (int i = 0; i < m->n; i++)
        n += m->file[i].bytes;
    return n;
}

static int by_name_alone(const void *name, const void *file) { return by_parts(name, ((const struct manifest_file *)file)->name); }

const struct manifest_file *manifest_find(const struct manifest *m, const char *name)
{
    return m->n ? bsearch(name, m->file, (size_t)m->n, sizeof *m->file, by_name_alone) : NULL;
}

const struct manifest_file *manifest_find_shard(const struct manifest *m, const struct manifest_file *like)
{
    return m->n ? bsearch(like, m->file, (size_t)m->n, sizeof *m->file, by_name) : NULL;
}

json_t *manifest_json(const struct manifest *m)
{
    json_t *list = json_array();
    for (int i = 0; i < m->n && list; i++)
        if (json_array_append_new(list, json_pack("{s:I, s:s, s:s}", "bytes", (json_int_t)m->file[i].bytes, "name", m->file[i].name, "sha256", m->file[i].sha256))) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

static int parse_file(struct manifest *out, const json_t *item, struct err *err)
{
    const char *name = json_string_value(json_object_get(item, "name")), *sha256 = json_string_value(json_object_get(item, "sha256"));
    const json_t *bytes = json_object_get(item, "bytes");
    unsigned char sum[SHA256_BYTES];
    if (!name || !sha256 || !json_is_integer(bytes) || json_integer_value(bytes) < 0 || json_object_size(item) != 3)
        return ERR(err, FORMAT, "file %d of the manifest: expected bytes, name and sha256", out->n);
    if (strcmp(name, ".") && !model_path_ok(name))
        return ERR(err, FORMAT, "the manifest has a file '%.200s', expected a path below the folder", name);
    if (!read_digest(sha256, sum))
        return ERR(err, FORMAT, "the manifest's file '%.200s' has the digest '%.80s', expected 64 hexadecimal digits", name, sha256);
    if (out->n && by_parts(out->file[out->n - 1].name, name) >= 0)
        return ERR(err, FORMAT, "the manifest's file '%.200s' is not in its place", name);
    return manifest_add(out, name, sha256, (uint64_t)json_integer_value(bytes), err);
}

int manifest_parse(struct manifest *out, const json_t *list, struct err *err)
{
    *out = (struct manifest){ .n = 0 };
    int rc = json_is_array(list) && json_array_size(list) ? 0 : ERR(err, FORMAT, "the manifest is no list of files");
    for (size_t i = 0; i < json_array_size(list) && !rc; i++)
        rc = parse_file(out, json_array_get(list, i), err);
    if (!rc && out->n > 1 && !strcmp(out->file[0].name, "."))
        rc = ERR(err, FORMAT, "the manifest has a file '.' that is not alone");
    if (rc)
        manifest_release(out);
    return rc;
}
