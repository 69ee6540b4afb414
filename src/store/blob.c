#include "store/blob.h"
#include <fcntl.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "store/blob_pieces.h"

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

int blob_stat(const char *folder, const char *id, uint64_t bytes, struct err *err)
{
    struct stat s;
    char *path = blob_path(folder, id);
    if (!path)
        return ERR(err, NOMEM, "no memory for the path of a blob");
    const bool there = !stat(path, &s);
    mem_free(path);
    if (!there)
        return ERR(err, NOTFOUND, "blob %s is not there", id);
    if (bytes == BLOB_ANY_LENGTH || (uint64_t)s.st_size == bytes)
        return 0;
    return ERR(err, CORRUPT, "blob %s has %llu bytes, expected %llu", id, (unsigned long long)s.st_size, (unsigned long long)bytes);
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

int blob_temporary(char **out, const char *path, struct err *err)
{
    uint64_t number;
    if (RAND_bytes((unsigned char *)&number, sizeof number) != 1)
        return ERR(err, IO, "the system gives no random numbers");
    *out = mem_printf("%s.new-%016llx", path, (unsigned long long)number);
    return *out ? 0 : ERR(err, NOMEM, "no memory for the path of a blob");
}

static int make_folder(const char *path, struct err *err)
{
    char *dir = mem_strdup(path);
    if (!dir)
        return ERR(err, NOMEM, "no memory for the path of a blob");
    *strrchr(dir, '/') = 0;
    const int rc = file_mkdirs(dir, err);
    mem_free(dir);
    return rc;
}

/* The whole file is on the disk under its own temporary name; now it gets the blob's. */
static int name_it(const char *made, const char *to, struct err *err)
{
    TRY(file_rename(made, to, err));
    char *dir = mem_strdup(to);
    if (!dir)
        return ERR(err, NOMEM, "no memory for the path of a blob");
    *strrchr(dir, '/') = 0;
    const int rc = file_sync_dir(dir, err);
    mem_free(dir);
    return rc;
}

/* What is put: a file, or bytes. */
struct source { const char *path; const void *p; size_t n; };

static int write_source(struct file_writer *w, const struct source *s, const char *id, struct err *err)
{
    if (!s->path)
        return file_writer_add(w, s->p, s->n, err);
    char found[SHA256_HEX], *piece = mem_alloc(CHUNK);
    if (!piece)
        return ERR(err, NOMEM, "no memory to copy a file");
    int rc = copy(w, s->path, piece, found, err);
    if (!rc && strcmp(found, id))
        rc = ERR(err, CORRUPT, "%.400s changed while it was read", s->path);
    mem_free(piece);
    return rc;
}

static int put_new(const char *to, const struct source *s, const char *id, struct err *err)
{
    struct file_writer w;
    char *made;
    TRY(make_folder(to, err));
    TRY(blob_temporary(&made, to, err));
    int rc = file_writer_open(&w, made, err);
    if (!rc) {
        rc = write_source(&w, s, id, err);
        if (rc) {
            file_writer_abort(&w);
        } else {
            fchmod(w.fd, 0444);                       /* a disk that has no such modes keeps it writable */
            rc = file_writer_commit(&w, err);
        }
        if (!rc && (rc = name_it(made, to, err)))
            unlink(made);
        if (!rc && (rc = blob_pieces_write(to, err)) && !file_exists(to))
            rc = 0;                                   /* a collector has taken it: its caller will see that */
    }
    mem_free(made);
    return rc;
}

/* Nothing hangs on it: who adds looks again whether its blobs are there. */
static void touch(const char *path)
{
    struct stat s;
    if (!stat(path, &s) && s.st_nlink == 1)
        utimensat(AT_FDCWD, path, NULL, 0);
}

static int put(const char *folder, const struct source *s, uint64_t bytes, const char *id, struct err *err)
{
    char *to = blob_path(folder, id);
    int rc = to ? 0 : ERR(err, NOMEM, "no memory for the path of a blob");
    if (!rc && blob_check(folder, id, bytes, NULL))
        rc = put_new(to, s, id, err);
    else if (!rc)
        touch(to);
    mem_free(to);
    return rc;
}

int blob_put_file(const char *folder, const char *path, char id[BLOB_ID], uint64_t *bytes, struct err *err)
{
    struct stat s;
    TRY(sha256_of_file(path, id, err));
    if (stat(path, &s))
        return ERR_ERRNO(err, "%.400s", path);
    *bytes = (uint64_t)s.st_size;
    return put(folder, &(struct source){ .path = path }, *bytes, id, err);
}

int blob_put(const char *folder, const void *p, size_t n, char id[BLOB_ID], struct err *err)
{
    TRY(sha256_of(p, n, id, err));
    return put(folder, &(struct source){ .p = p, .n = n }, n, id, err);
}

int blob_put_part(const char *folder, struct file_part *part, const char *id, struct err *err)
{
    char *to = blob_path(folder, id);
    int rc = to ? make_folder(to, err) : ERR(err, NOMEM, "no memory for the path of a blob");
    if (!rc && !blob_check(folder, id, part->size, NULL)) {
        unlink(part->path);
        file_part_close(part);
    } else if (!rc) {
        fchmod(part->fd, 0444);
        if (!(rc = file_part_commit(part, to, err)))
            rc = blob_pieces_write(to, err);
    } else {
        file_part_close(part);
    }
    mem_free(to);
    return rc;
}

/* ERR_CORRUPT, with the place where that is known. */
static int changed(const char *path, const char *id, const char *found, struct err *err)
{
    uint64_t from, to;
    return blob_pieces_find(path, &from, &to) ? ERR(err, CORRUPT, "blob %s holds what has the SHA-256 %s: it was changed between byte %llu and byte %llu",
                                                    id, found, (unsigned long long)from, (unsigned long long)to)
                                              : ERR(err, CORRUPT, "blob %s holds what has the SHA-256 %s", id, found);
}

int blob_get(const char *folder, const char *id, size_t max, struct buf *out, struct err *err)
{
    char found[SHA256_HEX], *path = blob_path(folder, id);
    const size_t before = out->len;
    int rc = path ? file_read(path, max, out, err) : ERR(err, NOMEM, "no memory for the path of a blob");
    if (!rc)
        rc = sha256_of(out->data + before, out->len - before, found, err);
    if (!rc && strcmp(found, id))
        rc = changed(path, id, found, err);
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
        rc = changed(path, id, found, err);
    mem_free(path);
    return rc;
}
