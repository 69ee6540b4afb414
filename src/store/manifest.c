#include "store/manifest.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/mem.h"
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
    return by_parts(((const struct manifest_file *)a)->name, ((const struct manifest_file *)b)->name);
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

int manifest_hash(struct manifest *m, const char *path, struct err *err)
{
    for (int i = 0; i < m->n; i++) {
        struct manifest_file *f = &m->file[i];
        if (*f->sha256)
            continue;
        char *full = manifest_path(path, f->name);
        const int rc = full ? sha256_of_file(full, f->sha256, err) : ERR(err, NOMEM, "no memory for the path of a file");
        mem_free(full);
        if (rc) {
            f->sha256[0] = 0;
            return rc;
        }
    }
    return 0;
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

const struct manifest_file *manifest_find(const struct manifest *m, const char *name)
{
    for (int i = 0; i < m->n; i++)
        if (!strcmp(m->file[i].name, name))
            return &m->file[i];
    return NULL;
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
