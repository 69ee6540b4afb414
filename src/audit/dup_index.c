/* dup_index.c - snapshots: written whole and under their name only when they are on the disk; read by mapping. */
#include "audit/dup_index.h"
#include <assert.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"

#define ENDING ".dup"
#define VERSION 1
#define NAME_MAX_LENGTH 100
#define SUM_DIGITS (SHA256_HEX - 1)

struct head { char magic[8]; uint32_t version, n_gram, n_band, n_row, seed, zero; uint64_t n; };
static_assert(sizeof(struct head) == 40, "the head's size on disk");

static struct head head_of(const struct minhash *m, uint64_t n)
{
    const struct minhash_opts *o = minhash_opts(m);
    return (struct head){ .magic = { 'L', 'A', 'T', 'H', 'E', 'D', 'U', 'P' }, .version = VERSION, .n_gram = (uint32_t)o->n_gram, .n_band = (uint32_t)o->n_band,
                          .n_row = (uint32_t)o->n_row, .seed = o->seed, .n = n };
}

static int check_name(const char *name, struct err *err)
{
    const size_t n = strlen(name), good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    if (!n || n > NAME_MAX_LENGTH || good < n || *name == '.')
        return ERR(err, USAGE, "'%s' is no name of a snapshot: expected letters, digits, '.', '_' and '-', %d at most and no point first", name, NAME_MAX_LENGTH);
    return 0;
}

static int path_of(char **out, const char *dir, const char *name, struct err *err)
{
    TRY(check_name(name, err));
    *out = mem_printf("%s/%s" ENDING, dir, name);
    return *out ? 0 : ERR(err, NOMEM, "no memory for a path");
}

/* ---- writing ---- */

static int put(struct file_writer *w, struct sha256 *sum, const void *p, size_t n, struct err *err)
{
    sha256_add(sum, p, n);
    return file_writer_add(w, p, n, err);
}

static int write_rows(struct file_writer *w, struct sha256 *sum, const struct minhash *m, const struct dup_rows *rows, int n_rows, struct err *err)
{
    struct head h = head_of(m, 0);
    for (int i = 0; i < n_rows; i++)
        h.n += rows[i].n;
    TRY(put(w, sum, &h, sizeof h, err));
    for (int i = 0; i < n_rows; i++)
        TRY(put(w, sum, rows[i].row, rows[i].n * dup_row_bytes(m), err));
    return 0;
}

static int write_file(const char *path, const struct minhash *m, const struct dup_rows *rows, int n_rows, struct err *err)
{
    struct file_writer w;
    struct sha256 sum;
    char hex[SHA256_HEX];
    TRY(sha256_init(&sum, err));
    int rc = file_writer_open(&w, path, err);
    if (rc < 0) {
        sha256_end(&sum, hex);
        return rc;
    }
    rc = write_rows(&w, &sum, m, rows, n_rows, err);
    sha256_end(&sum, hex);
    rc = rc ? rc : file_writer_add(&w, hex, SUM_DIGITS, err);
    rc = rc ? rc : file_writer_commit(&w, err);
    file_writer_abort(&w);
    return rc;
}

int dup_index_add(const char *dir, const char *name, const struct minhash *m, const struct dup_rows *rows, int n_rows, struct err *err)
{
    char *path;
    int lock = -1;
    TRY(path_of(&path, dir, name, err));
    int rc = file_mkdirs(dir, err);
    rc = rc ? rc : file_lock(dir, &lock, err);
    rc = rc ? rc : file_remove_leftovers(dir, err);
    if (!rc && file_exists(path))
        rc = ERR(err, USAGE, "%s is there already: a snapshot is never changed", path);
    rc = rc ? rc : write_file(path, m, rows, n_rows, err);
    if (lock >= 0)
        file_unlock(&lock);
    mem_free(path);
    return rc;
}

/* ---- reading ---- */

int dup_index_list(const char *dir, char ***names, int *n, struct err *err)
{
    int n_all, n_kept = 0;
    TRY(file_list(dir, names, &n_all, err));
    for (int i = 0; i < n_all; i++) {
        char *name = (*names)[i];
        const bool ours = file_name_ends(name, ENDING);
        if (ours)
            name[strlen(name) - strlen(ENDING)] = 0;
        if (ours && !check_name(name, NULL))
            (*names)[n_kept++] = name;
        else
            mem_free(name);
    }
    *n = n_kept;
    return 0;
}

static int check_head(const struct head *h, const char *path, const struct minhash *m, struct err *err)
{
    const struct head want = head_of(m, h->n);
    if (memcmp(h->magic, want.magic, sizeof h->magic))
        return ERR(err, FORMAT, "%s: no index of duplicates: it does not begin with 'LATHEDUP'", path);
    if (h->version != VERSION)
        return ERR(err, UNSUPPORTED, "%s: version %u, expected %d", path, h->version, VERSION);
    if (memcmp(h, &want, sizeof want))
        return ERR(err, FORMAT, "%s: made with %u words, %u bands of %u values and seed %u, expected %u words, %u bands of %u and seed %u: only equal ones can be compared",
                   path, h->n_gram, h->n_band, h->n_row, h->seed, want.n_gram, want.n_band, want.n_row, want.seed);
    return 0;
}

int dup_index_read(struct dup_rows *rows, const char *data, size_t n, const char *path, const struct minhash *m, struct err *err)
{
    struct head h;
    char hex[SHA256_HEX];
    *rows = (struct dup_rows){ 0 };
    if (n < sizeof h + SUM_DIGITS)
        return ERR(err, CORRUPT, "%s: %zu bytes, but an index of duplicates has at least %zu: it was cut", path, n, sizeof h + SUM_DIGITS);
    memcpy(&h, data, sizeof h);
    TRY(check_head(&h, path, m, err));
    const size_t body = n - sizeof h - SUM_DIGITS, row = dup_row_bytes(m);
    if (body % row || body / row != h.n)
        return ERR(err, CORRUPT, "%s: %zu bytes of rows, but its head says %llu rows of %zu: it was cut or written to", path, body, (unsigned long long)h.n, row);
    TRY(sha256_of(data, n - SUM_DIGITS, hex, err));
    if (memcmp(hex, data + n - SUM_DIGITS, SUM_DIGITS))
        return ERR(err, CORRUPT, "%s: SHA-256 of its contents is %.16s.., but %.16s.. was written down: it was changed", path, hex, data + n - SUM_DIGITS);
    *rows = (struct dup_rows){ (const unsigned char *)data + sizeof h, (size_t)h.n };
    return 0;
}

int dup_index_open(struct dup_snapshot *s, const char *dir, const char *name, const struct minhash *m, struct err *err)
{
    char *path;
    *s = (struct dup_snapshot){ .map = { .size = 0 } };
    TRY(path_of(&path, dir, name, err));
    int rc = file_map_open(&s->map, path, err);
    if (!rc)
        rc = dup_index_read(&s->rows, s->map.data, s->map.size, path, m, err);
    mem_free(path);
    return rc;
}

void dup_index_close(struct dup_snapshot *s)
{
    file_map_close(&s->map);
    s->rows = (struct dup_rows){ 0 };
}
