#include "store/blob.h"
#include <fcntl.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "store/blob_pieces.h"

/* A piece stays in the second-level cache while it is hashed and written.  From LARGE bytes on a file is not read for its name alone, unless a blob is alike in SAMPLES places. */
enum { CHUNK = 128 << 10, LARGE = 16 << 20, SAMPLE = 4096, SAMPLES = 16 };

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
    uint64_t found;
    return blob_length(folder, id, bytes, &found, err);
}

int blob_length(const char *folder, const char *id, uint64_t expected, uint64_t *bytes, struct err *err)
{
    struct stat s;
    char *path = blob_path(folder, id);
    if (!path)
        return ERR(err, NOMEM, "no memory for the path of a blob");
    const bool there = !stat(path, &s);
    mem_free(path);
    if (!there)
        return ERR(err, NOTFOUND, "blob %s is not there", id);
    *bytes = (uint64_t)s.st_size;
    if (expected == BLOB_ANY_LENGTH || *bytes == expected)
        return 0;
    return ERR(err, CORRUPT, "blob %s has %llu bytes, expected %llu", id, (unsigned long long)*bytes, (unsigned long long)expected);
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

/* What is put: a file, or bytes.  also: gets what is read, too; or NULL. */
struct source { const char *path; const void *p; size_t n; struct sha256 *also; };

/* A copy that is made: first under a temporary name. */
struct making { struct file_writer w; struct blob_pieces pieces; };

static int take(struct making *m, struct sha256 *sum, struct sha256 *also, const void *p, size_t n, struct err *err)
{
    sha256_add(sum, p, n);
    if (also)
        sha256_add(also, p, n);
    if (!m)
        return 0;
    blob_pieces_add(&m->pieces, p, n);
    return file_writer_add(&m->w, p, n, err);
}

/* Once, from the beginning to the end: its digest and its length.  m: NULL where it is not copied; whose pieces are the caller's. */
static int read_source(const struct source *s, struct making *m, char hex[SHA256_HEX], uint64_t *bytes, struct err *err)
{
    struct file_stream in = { .fd = -1 };
    struct sha256 sum = { NULL };
    char *piece = s->path ? mem_alloc(CHUNK) : NULL;
    int rc = s->path && !piece ? ERR(err, NOMEM, "no memory to read a file") : sha256_init(&sum, err);
    if (!rc && s->path)
        rc = file_stream_open(&in, s->path, err);
    *bytes = s->path ? in.size : s->n;
    if (!rc && m)
        rc = blob_pieces_init(&m->pieces, *bytes, err);
    for (uint64_t left = *bytes; left && !rc;) {
        const int64_t n = s->path ? file_stream_read(&in, piece, CHUNK, err) : (int64_t)left;
        rc = n < 0 ? (int)n : take(m, &sum, s->also, s->path ? piece : s->p, (size_t)n, err);
        left -= rc ? 0 : (uint64_t)n;
    }
    if (!rc)
        sha256_end(&sum, hex);
    sha256_release(&sum);
    file_stream_close(&in);
    mem_free(piece);
    return rc;
}

/* Nothing hangs on it: who adds looks again whether its blobs are there. */
static void touch(const char *path)
{
    struct stat s;
    if (!stat(path, &s) && s.st_nlink == 1)
        utimensat(AT_FDCWD, path, NULL, 0);
}

/* made: a whole file.  One that is there and whole stays, as views are links to it. */
static int settle(const char *folder, const char *made, const struct making *m, const char *id, uint64_t bytes, struct err *err)
{
    char *to = blob_path(folder, id);
    int rc = to ? make_folder(to, err) : ERR(err, NOMEM, "no memory for the path of a blob");
    if (!rc && !blob_check(folder, id, bytes, NULL)) {
        unlink(made);
        touch(to);
    } else if (!rc && !(rc = name_it(made, to, err)) && (rc = blob_pieces_write(&m->pieces, to, err)) && !file_exists(to)) {
        rc = 0;                                       /* a collector has taken it: its caller will see that */
    }
    if (rc)
        unlink(made);
    mem_free(to);
    return rc;
}

/* A name that no blob has, for those whose name is not known yet. */
#define UNNAMED "0000000000000000000000000000000000000000000000000000000000000000"

/* expected: the digest of an earlier reading; NULL: there was none. */
static int copy_in(const char *folder, const struct source *s, const char *expected, char id[BLOB_ID], uint64_t *bytes, struct err *err)
{
    struct making m = { .pieces = { .size = 0 } };
    char found[SHA256_HEX], *made = NULL, *to = blob_path(folder, expected ? expected : UNNAMED);
    int rc = to ? make_folder(to, err) : ERR(err, NOMEM, "no memory for the path of a blob");
    if (!rc)
        rc = blob_temporary(&made, to, err);
    if (!rc && !(rc = file_writer_open(&m.w, made, err))) {
        rc = read_source(s, &m, found, bytes, err);
        if (!rc && expected && strcmp(found, expected))
            rc = ERR(err, CORRUPT, "%.400s changed while it was read", s->path);
        if (rc)
            file_writer_abort(&m.w);
        else
            fchmod(m.w.fd, 0444), rc = file_writer_commit(&m.w, err);       /* a disk that has no such modes keeps it writable */
        if (!rc && !(rc = settle(folder, made, &m, found, *bytes, err)))
            memcpy(id, found, BLOB_ID);
        blob_pieces_release(&m.pieces);
    }
    mem_free(made);
    mem_free(to);
    return rc;
}

/* ---- is it there already? ---- */

/* It is not copied again. */
static bool is_there(const char *folder, const char *id, uint64_t bytes)
{
    char *path = blob_path(folder, id);
    const bool there = path && !blob_check(folder, id, bytes, NULL);
    if (there)
        touch(path);
    mem_free(path);
    return there;
}

static bool sample(struct file_stream *s, uint64_t at, char out[SAMPLE])
{
    int64_t n = 0;
    if (file_stream_seek(s, at, NULL))
        return false;
    for (int64_t k; n < SAMPLE && (k = file_stream_read(s, out + n, (size_t)(SAMPLE - n), NULL)) > 0;)
        n += k;
    return n == SAMPLE;
}

/* Two files of one length whose bytes are the same in some places; one that cannot be read is like all. */
static bool are_alike(const char *a, const char *b, uint64_t size)
{
    struct file_stream x = { .fd = -1 }, y = { .fd = -1 };
    bool alike = true;
    if (!file_stream_open(&x, a, NULL) && !file_stream_open(&y, b, NULL))
        for (uint64_t i = 0; i < SAMPLES && alike; i++) {
            char p[SAMPLE], q[SAMPLE];
            const uint64_t at = (size - SAMPLE) / (SAMPLES - 1) * i;
            alike = !sample(&x, at, p) || !sample(&y, at, q) || !memcmp(p, q, SAMPLE);
        }
    file_stream_close(&x);
    file_stream_close(&y);
    return alike;
}

static bool is_alike_in(const char *dir, const char *path, uint64_t size)
{
    char **names;
    int n;
    bool found = false;
    if (file_list(dir, &names, &n, NULL))
        return false;
    for (int i = 0; i < n && !found; i++) {
        struct stat s;
        char *blob = blob_id_ok(names[i]) ? file_join(dir, names[i]) : NULL;
        found = blob && !stat(blob, &s) && (uint64_t)s.st_size == size && are_alike(path, blob, size);
        mem_free(blob);
    }
    file_list_free(names, n);
    return found;
}

/* May a blob hold what the file does?  A file is read twice where one may: once for its name, and, if it was another, again to be copied. */
static bool may_be_there(const char *folder, const char *path, uint64_t size)
{
    char **names, *all = mem_printf("%s/blobs/sha256", folder);
    int n;
    bool found = false;
    if (size < LARGE || !all || file_list(all, &names, &n, NULL)) {
        mem_free(all);
        return size < LARGE;
    }
    for (int i = 0; i < n && !found; i++) {
        char *dir = file_join(all, names[i]);
        found = dir && is_alike_in(dir, path, size);
        mem_free(dir);
    }
    file_list_free(names, n);
    mem_free(all);
    return found;
}

int blob_put_file(const char *folder, const char *path, struct sha256 *also, char id[BLOB_ID], uint64_t *bytes, struct err *err)
{
    struct source src = { .path = path, .also = also };
    struct stat s;
    char name[BLOB_ID];
    if (stat(path, &s))
        return ERR_ERRNO(err, "%.400s", path);
    if (!may_be_there(folder, path, (uint64_t)s.st_size))
        return copy_in(folder, &src, NULL, id, bytes, err);
    TRY(read_source(&src, NULL, name, bytes, err));
    memcpy(id, name, BLOB_ID);
    src.also = NULL;
    return is_there(folder, name, *bytes) ? 0 : copy_in(folder, &src, name, id, bytes, err);
}

int blob_put(const char *folder, const void *p, size_t n, char id[BLOB_ID], struct err *err)
{
    char name[BLOB_ID];
    uint64_t bytes;
    TRY(sha256_of(p, n, name, err));
    memcpy(id, name, BLOB_ID);
    return is_there(folder, name, n) ? 0 : copy_in(folder, &(struct source){ .p = p, .n = n }, name, id, &bytes, err);
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
            rc = blob_pieces_make(to, err);
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
