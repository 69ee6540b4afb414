#include "store/blob_pieces.h"
#include <assert.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "store/blob.h"

enum { PIECES_MAX = 4096, PIECE_MIN = 64, HEAD = 2 };

static uint64_t piece_of(uint64_t size)
{
    uint64_t piece = PIECE_MIN;
    while (piece * PIECES_MAX < size)
        piece *= 2;
    return piece;
}

static void put(struct buf *b, size_t i, uint64_t v)
{
    for (int k = 0; k < 8; k++)
        b->data[8 * i + (size_t)k] = (char)(v >> 8 * k);
}

static uint64_t get(const struct buf *b, size_t i)
{
    uint64_t v = 0;
    for (int k = 0; k < 8; k++)
        v |= (uint64_t)(unsigned char)b->data[8 * i + (size_t)k] << 8 * k;
    return v;
}

int blob_pieces_init(struct blob_pieces *p, uint64_t size, struct err *err)
{
    *p = (struct blob_pieces){ .size = size, .piece = piece_of(size) };
    buf_init(&p->numbers);
    const size_t n = HEAD + (size_t)((size + p->piece - 1) / p->piece);
    int rc = buf_reserve(&p->numbers, 8 * n, err);
    if (!rc)
        rc = hash64_init(&p->sum, err);
    if (rc) {
        blob_pieces_release(p);
        return rc;
    }
    p->numbers.len = 8 * n;
    put(&p->numbers, 0, size);
    put(&p->numbers, 1, p->piece);
    return 0;
}

void blob_pieces_add(struct blob_pieces *p, const void *data, size_t n)
{
    for (const char *from = data; n;) {
        const uint64_t left = p->piece - p->at % p->piece;
        const size_t k = n < left ? n : (size_t)left;
        hash64_add(&p->sum, from, k);
        p->at += k, from += k, n -= k;
        if (k == left || p->at == p->size)
            put(&p->numbers, HEAD + (size_t)((p->at - 1) / p->piece), hash64_end(&p->sum));
    }
}

void blob_pieces_release(struct blob_pieces *p)
{
    hash64_release(&p->sum);
    buf_release(&p->numbers);
}

static int write_beside(const char *path, const struct buf *b, struct err *err)
{
    char *to = mem_printf("%s.pieces", path), *made = NULL;
    int rc = to ? blob_temporary(&made, to, err) : ERR(err, NOMEM, "no memory for the path of a blob");
    if (!rc)
        rc = file_write_all(made, b->data, b->len, err);
    if (!rc && (rc = file_rename(made, to, err)))
        unlink(made);
    mem_free(made);
    mem_free(to);
    return rc;
}

int blob_pieces_write(const struct blob_pieces *p, const char *path, struct err *err)
{
    assert(p->at == p->size);
    return p->size >= PIECES_FROM ? write_beside(path, &p->numbers, err) : 0;
}

int blob_pieces_make(const char *path, struct err *err)
{
    struct file_map m;
    struct blob_pieces p;
    TRY(file_map_open(&m, path, err));
    int rc = blob_pieces_init(&p, m.size, err);
    if (!rc) {
        blob_pieces_add(&p, m.data, m.size);
        rc = blob_pieces_write(&p, path, err);
        blob_pieces_release(&p);
    }
    file_map_close(&m);
    return rc;
}

/* Only where the length is the one that was: after an insertion every piece is another. */
static bool compare(const struct buf *was, const struct buf *is, uint64_t *from, uint64_t *to)
{
    const uint64_t size = get(is, 0), piece = get(is, 1);
    const size_t n = is->len / 8 - HEAD;
    if (was->len != is->len || get(was, 0) != size || get(was, 1) != piece)
        return false;
    size_t first = 0;
    while (first < n && get(was, HEAD + first) == get(is, HEAD + first))
        first++;
    size_t end = first;
    while (end < n && get(was, HEAD + end) != get(is, HEAD + end))
        end++;
    *from = first * piece;
    *to = end * piece < size ? end * piece - 1 : size - 1;
    return first < n;
}

uint64_t blob_pieces_bytes(const char *path)
{
    struct stat s;
    char *beside = mem_printf("%s.pieces", path);
    const uint64_t bytes = beside && !stat(beside, &s) ? (uint64_t)s.st_size : 0;
    mem_free(beside);
    return bytes;
}

bool blob_pieces_find(const char *path, uint64_t *from, uint64_t *to)
{
    struct buf was;
    struct file_map m;
    struct blob_pieces is;
    bool found = false;
    char *beside = mem_printf("%s.pieces", path);
    buf_init(&was);
    if (beside && !file_read(beside, 8 * (HEAD + PIECES_MAX), &was, NULL) && was.len >= 8 * HEAD && !file_map_open(&m, path, NULL)) {
        if (!blob_pieces_init(&is, m.size, NULL)) {
            blob_pieces_add(&is, m.data, m.size);
            found = compare(&was, &is.numbers, from, to);
            blob_pieces_release(&is);
        }
        file_map_close(&m);
    }
    buf_release(&was);
    mem_free(beside);
    return found;
}
