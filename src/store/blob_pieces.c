#include "store/blob_pieces.h"
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/hash.h"
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

/* The numbers of a mapped file. */
static int numbers_of(const struct file_map *m, struct buf *out, struct err *err)
{
    const uint64_t piece = piece_of(m->size);
    const size_t n = (size_t)((m->size + piece - 1) / piece);
    TRY(buf_reserve(out, 8 * (HEAD + n), err));
    out->len = 8 * (HEAD + n);
    put(out, 0, m->size);
    put(out, 1, piece);
    for (size_t i = 0; i < n; i++) {
        const size_t at = i * (size_t)piece, left = m->size - at;
        put(out, HEAD + i, hash64(m->data + at, left < piece ? left : (size_t)piece, 0));
    }
    return 0;
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

int blob_pieces_write(const char *path, struct err *err)
{
    struct file_map m;
    struct buf b;
    TRY(file_map_open(&m, path, err));
    buf_init(&b);
    int rc = 0;
    if (m.size >= PIECES_FROM && !(rc = numbers_of(&m, &b, err)))
        rc = write_beside(path, &b, err);
    buf_release(&b);
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

bool blob_pieces_find(const char *path, uint64_t *from, uint64_t *to)
{
    struct buf was, is;
    struct file_map m;
    bool found = false;
    char *beside = mem_printf("%s.pieces", path);
    buf_init(&was);
    buf_init(&is);
    if (beside && !file_read(beside, 8 * (HEAD + PIECES_MAX), &was, NULL) && was.len >= 8 * HEAD && !file_map_open(&m, path, NULL)) {
        found = !numbers_of(&m, &is, NULL) && compare(&was, &is, from, to);
        file_map_close(&m);
    }
    buf_release(&is);
    buf_release(&was);
    mem_free(beside);
    return found;
}
