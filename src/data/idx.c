#include "data/idx.h"
#include <string.h>
#include <zlib.h>
#include "base/file.h"

#define CHUNK ((size_t)1 << 16)

/* The file's bytes from `at` on, unpacked where it is gzip: what next() gives, up to n; 0 at the end. */
struct stream { const unsigned char *data; size_t n, at; bool packed, ended; z_stream z; const char *name; struct err *err; };

static int stream_open(struct stream *s, const void *file, size_t n, const char *name, struct err *err)
{
    *s = (struct stream){ .data = file, .n = n, .name = name, .err = err };
    s->packed = n >= 2 && s->data[0] == 0x1f && s->data[1] == 0x8b;
    if (!s->packed)
        return 0;
    if (inflateInit2(&s->z, 16 + MAX_WBITS) != Z_OK)
        return ERR(err, NOMEM, "no memory to unpack %s", name);
    return 0;
}

static int64_t stream_next(struct stream *s, void *out, size_t n)
{
    if (!s->packed) {
        const size_t got = s->n - s->at < n ? s->n - s->at : n;
        memcpy(out, s->data + s->at, got);
        s->at += got;
        return (int64_t)got;
    }
    s->z.next_out = out, s->z.avail_out = (uInt)n;
    while (s->z.avail_out && !s->ended) {
        const size_t left = s->n - s->at, give = left < CHUNK ? left : CHUNK;
        s->z.next_in = (Bytef *)(uintptr_t)(s->data + s->at), s->z.avail_in = (uInt)give;
        const int rc = inflate(&s->z, Z_NO_FLUSH);
        s->at += give - s->z.avail_in;
        s->ended = rc == Z_STREAM_END;
        if (rc == Z_MEM_ERROR)
            return ERR(s->err, NOMEM, "no memory to unpack %s", s->name);
        if (rc != Z_OK && !s->ended)
            return ERR(s->err, CORRUPT, "%s: gzip: %s", s->name, rc == Z_BUF_ERROR ? "the file is cut off" : s->z.msg ? s->z.msg : "damaged");
    }
    return (int64_t)(n - s->z.avail_out);
}

static void stream_close(struct stream *s)
{
    if (s->packed)
        inflateEnd(&s->z);
}

static int read_header(struct idx *x, struct stream *s, size_t *n_byte)
{
    unsigned char head[4 + 4 * IDX_RANK_MAX];
    int64_t got = stream_next(s, head, 4);
    if (got < 0)
        return (int)got;
    if (got < 4 || head[0] || head[1])
        return ERR(s->err, FORMAT, "%s is no idx file: expected two zero bytes, a type and a rank", s->name);
    if (head[2] != 8 || head[3] < 1 || head[3] > IDX_RANK_MAX)
        return ERR(s->err, UNSUPPORTED, "%s: idx type 0x%02x of rank %d, expected 0x08 (bytes) of rank 1 to %d", s->name, head[2], head[3], IDX_RANK_MAX);
    x->rank = head[3];
    got = stream_next(s, head + 4, (size_t)(4 * x->rank));
    if (got < 0)
        return (int)got;
    if (got < 4 * x->rank)
        return ERR(s->err, CORRUPT, "%s is cut off in its header", s->name);
    *n_byte = 1;
    for (int i = 0; i < x->rank; i++) {
        const unsigned char *p = head + 4 + 4 * i;
        x->size[i] = (int64_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
        if (!x->size[i] || (size_t)x->size[i] > IDX_BYTES_MAX / *n_byte)
            return ERR(s->err, RANGE, "%s: size %d is %lld, expected at least 1 and at most 4 GiB in all", s->name, i + 1, (long long)x->size[i]);
        *n_byte *= (size_t)x->size[i];
    }
    return 0;
}

static int read_all(struct idx *x, struct stream *s)
{
    size_t want = 0;
    TRY(read_header(x, s, &want));
    while (x->bytes.len < want) {
        const size_t n = want - x->bytes.len < CHUNK ? want - x->bytes.len : CHUNK;
        TRY(buf_reserve(&x->bytes, n, s->err));
        const int64_t got = stream_next(s, x->bytes.data + x->bytes.len, n);
        if (got < 0)
            return (int)got;
        if (!got)
            return ERR(s->err, CORRUPT, "%s is cut off: %zu bytes, expected %zu as its sizes say", s->name, x->bytes.len, want);
        x->bytes.len += (size_t)got;
    }
    char more;
    const int64_t got = stream_next(s, &more, 1);
    return got < 0 ? (int)got : got ? ERR(s->err, CORRUPT, "%s goes on after the %zu bytes that its sizes say", s->name, want) : 0;
}

int idx_parse(struct idx *x, const void *file, size_t n, const char *name, struct err *err)
{
    struct stream s;
    *x = (struct idx){ 0 };
    buf_init(&x->bytes);
    int rc = stream_open(&s, file, n, name, err);
    if (rc)
        return rc;
    rc = read_all(x, &s);
    stream_close(&s);
    if (rc)
        idx_release(x);
    return rc;
}

int idx_read(struct idx *x, const char *path, struct err *err)
{
    struct file_map map;
    *x = (struct idx){ 0 };
    TRY(file_map_open(&map, path, err));
    const int rc = idx_parse(x, map.data, map.size, path, err);
    file_map_close(&map);
    return rc;
}

void idx_release(struct idx *x)
{
    buf_release(&x->bytes);
    *x = (struct idx){ 0 };
}

static uint32_t big_endian(const unsigned char *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

int idx_images(const void *file, size_t n, int64_t *n_image, int size[2], struct err *err)
{
    const unsigned char *p = file;
    if (n < IDX_HEADER || p[0] || p[1] || p[2] != 8 || p[3] != 3)
        return ERR(err, FORMAT, "it begins with %02x %02x %02x %02x, expected 00 00 08 03: an array of images", n ? p[0] : 0, n > 1 ? p[1] : 0, n > 2 ? p[2] : 0, n > 3 ? p[3] : 0);
    for (int i = 0; i < 2; i++) {
        const uint32_t side = big_endian(p + 8 + 4 * i);
        if (!side || side > IDX_SIDE_MAX)
            return ERR(err, RANGE, "its images have %u %s, expected 1 to %d", side, i ? "columns" : "rows", IDX_SIDE_MAX);
        size[i] = (int)side;
    }
    *n_image = big_endian(p + 4);
    return 0;
}
