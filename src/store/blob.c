#include "store/blob.h"
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/mem.h"

enum { CHUNK = 1 << 20 };

bool blob_id_ok(const char *id) { return strlen(id) == BLOB_ID - 1 && strspn(id, "0123456789abcdef") == BLOB_ID - 1; }

char *blob_path(const char *folder, const char *id) { return mem_printf("%s/blobs/sha256/%.2s/%s", folder, id, id); }

bool blob_exists(const char *folder, const char *id)
{
    char *path = blob_path(folder, id);
    const bool there = path && file_exists(path);
    mem_free(path);
    return there;
}

/* The file's bytes into w, with the digest of what was copied. */
static int copy(struct file_writer *w, const char *path, char *piece, char hex[SHA256_HEX], struct err *err)
{
    struct file_stream in;
    struct sha256 h;
    TRY(sha256_init(&h, err));
    int rc = file_stream_open(&in, path, err);
    int64_t n = 1;
    while (!rc && n > 0) {
        n = file_stream_read(&in, piece, CHUNK, err);
        rc = n < 0 ? (int)n : 0;
        if (n > 0)
            sha256_add(&h, piece, (size_t)n), rc = file_writer_add(w, piece, (size_t)n, err);
    }
    file_stream_close(&in);
    if (rc)
        sha256_release(&h);
    else
        sha256_end(&h, hex);
    return rc;
}

/* A writer of the blob's file, in a folder that is there. */
static int begin(struct file_writer *w, const char *path, struct err *err)
{
    char *dir = mem_strdup(path);
    if (!dir)
        return ERR(err, NOMEM, "no memory for the path of a blob");
    *strrchr(dir, '/') = 0;
    int rc = file_mkdirs(dir, err);
    mem_free(dir);
    if (!rc)
        rc = file_writer_open(w, path, err);
    return rc;
}

/* Takes w.  A disk that has no such modes keeps the file writable. */
static int finish(struct file_writer *w, int rc, struct err *err)
{
    if (rc) {
        file_writer_abort(w);
        return rc;
    }
    fchmod(w->fd, 0444);
    return file_writer_commit(w, err);
}

static int put_new(const char *to, const char *from, const char *id, struct err *err)
{
    struct file_writer w;
    char found[SHA256_HEX], *piece = mem_alloc(CHUNK);
    int rc = piece ? begin(&w, to, err) : ERR(err, NOMEM, "no memory to copy a file");
    if (!rc) {
        rc = copy(&w, from, piece, found, err);
        if (!rc && strcmp(found, id))
            rc = ERR(err, CORRUPT, "%.400s changed while it was read", from);
        rc = finish(&w, rc, err);
    }
    mem_free(piece);
    return rc;
}

int blob_put_file(const char *folder, const char *path, char id[BLOB_ID], uint64_t *bytes, struct err *err)
{
    struct stat s;
    TRY(sha256_of_file(path, id, err));
    if (stat(path, &s))
        return ERR_ERRNO(err, "%.400s", path);
    *bytes = (uint64_t)s.st_size;
    char *to = blob_path(folder, id);
    int rc = to ? 0 : ERR(err, NOMEM, "no memory for the path of a blob");
    if (!rc && blob_check(folder, id, *bytes, NULL))
        rc = put_new(to, path, id, err);
    mem_free(to);
    return rc;
}

int blob_put(const char *folder, const void *p, size_t n, char id[BLOB_ID], struct err *err)
{
    TRY(sha256_of(p, n, id, err));
    char *to = blob_path(folder, id);
    struct file_writer w;
    int rc = to ? 0 : ERR(err, NOMEM, "no memory for the path of a blob");
    if (!rc && blob_check(folder, id, n, NULL) && !(rc = begin(&w, to, err)))
        rc = finish(&w, file_writer_add(&w, p, n, err), err);
    mem_free(to);
    return rc;
}

int blob_get(const char *folder, const char *id, size_t max, struct buf *out, struct err *err)
{
    char found[SHA256_HEX], *path = blob_path(folder, id);
    const size_t before = out->len;
    int rc = path ? file_read(path, max, out, err) : ERR(err, NOMEM, "no memory for the path of a blob");
    if (!rc)
        rc = sha256_of(out->data + before, out->len - before, found, err);
    if (!rc && strcmp(found, id))
        rc = ERR(err, CORRUPT, "blob %s holds what has the SHA-256 %s", id, found);
    mem_free(path);
    return rc;
}

int blob_check(const char *folder, const char *id, uint64_t bytes, struct err *err)
{
    char found[SHA256_HEX], *path = blob_path(folder, id);
    struct stat s;
    int rc = path ? 0 : ERR(err, NOMEM, "no memory for the path of a blob");
    if (!rc && stat(path, &s))
        rc = ERR_ERRNO(err, "blob %s", id);
    else if (!rc && bytes != BLOB_ANY_LENGTH && (uint64_t)s.st_size != bytes)
        rc = ERR(err, CORRUPT, "blob %s has %llu bytes, expected %llu", id, (unsigned long long)s.st_size, (unsigned long long)bytes);
    if (!rc)
        rc = sha256_of_file(path, found, err);
    if (!rc && strcmp(found, id))
        rc = ERR(err, CORRUPT, "blob %s holds what has the SHA-256 %s", id, found);
    mem_free(path);
    return rc;
}
