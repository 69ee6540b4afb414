#include "data/unpack.h"
#include <bzlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include "base/file.h"
#include "base/mem.h"

#define BOMB_FROM ((uint64_t)64 << 20)
#define TAKE ((size_t)256 << 10)      /* bytes of the file at a time */
#define WINDOW_LOG 27
#define MAGIC_BYTES 10

struct unpack {
    const char *path;
    struct file_stream file;     /* not mapped: a file that is cut off while it is read is no crash */
    enum unpack_kind kind;
    double ratio;
    char *in; size_t begin, end, room;      /* of the file: read, and not taken */
    uint64_t at;                 /* of the file: taken */
    uint64_t given;
    struct err fault;            /* of which the caller is told when it has what was good */
    z_stream z;
    bool z_open;
    bz_stream bz;
    bool bz_open;
    ZSTD_DStream *zstd;
    bool frame_open;             /* the last call left a member or frame unfinished */
    struct sha256 hash;          /* of the file's bytes that were read */
    bool unhashed;
};

const char *unpack_name(enum unpack_kind kind)
{
    static const char *const names[] = { "plain", "gzip", "zstd", "bzip2" };
    return names[kind];
}

enum unpack_kind unpack_kind(const struct unpack *u) { return u->kind; }
uint64_t unpack_packed(const struct unpack *u) { return u->at; }
uint64_t unpack_size(const struct unpack *u) { return u->file.size; }

static int64_t read_some(struct unpack *u, char *p, size_t n, struct err *err)
{
    const int64_t got = file_stream_read(&u->file, p, n, err);
    if (got > 0 && !u->unhashed)
        sha256_add(&u->hash, p, (size_t)got);
    return got;
}

/* n bytes of the file that are not taken, or all up to its end. */
static int want(struct unpack *u, size_t n, struct err *err)
{
    if (u->end - u->begin < n) {
        memmove(u->in, u->in + u->begin, u->end - u->begin);
        u->end -= u->begin, u->begin = 0;
    }
    while (u->end < n && u->file.at < u->file.size) {
        const int64_t got = read_some(u, u->in + u->end, u->room - u->end, err);
        if (got < 0)
            return (int)got;
        u->end += (size_t)got;
    }
    return 0;
}

static void take(struct unpack *u, size_t n) { u->begin += n, u->at += n; }

/* Of the file's first bytes, or those behind a member. */
static bool starts(const struct unpack *u, size_t from, const char *bytes, size_t n)
{
    return u->end - u->begin >= from + n && !memcmp(u->in + u->begin + from, bytes, n);
}

static bool starts_gzip(const struct unpack *u) { return starts(u, 0, "\x1f\x8b\x08", 3); }

/* A skippable frame (0x184D2A50 to 5F) may come first, as parallel compressors write it. */
static bool starts_zstd(const struct unpack *u)
{
    return starts(u, 0, "\x28\xb5\x2f\xfd", 4) || (starts(u, 1, "\x2a\x4d\x18", 3) && (u->in[u->begin] & 0xf0) == 0x50);
}

/* With its first block, or the end of one that holds nothing. */
static bool starts_bzip2(const struct unpack *u)
{
    return starts(u, 0, "BZh", 3) && (starts(u, 4, "1AY&SY", 6) || starts(u, 4, "\x17\x72\x45\x38\x50\x90", 6));
}

static bool starts_kind(const struct unpack *u, enum unpack_kind kind) { return kind == UNPACK_GZIP ? starts_gzip(u) : kind == UNPACK_ZSTD ? starts_zstd(u) : starts_bzip2(u); }

static voidpf z_alloc(voidpf opaque, uInt n, uInt size)
{
    (void)opaque;
    return mem_alloc_array(n, size);
}
static void z_free(voidpf opaque, voidpf p)
{
    (void)opaque;
    mem_free(p);
}

static void *bz_alloc(void *opaque, int n, int size)
{
    (void)opaque;
    return mem_alloc_array((size_t)n, (size_t)size);
}

static void bz_free(void *opaque, void *p)
{
    (void)opaque;
    mem_free(p);
}

static int bz_begin(struct unpack *u, struct err *err)
{
    u->bz.bzalloc = bz_alloc, u->bz.bzfree = bz_free;
    if (BZ2_bzDecompressInit(&u->bz, 0, 0) != BZ_OK)
        return ERR(err, NOMEM, "no memory to unpack '%s'", u->path);
    u->bz_open = true;
    return 0;
}

static void bz_end(struct unpack *u)
{
    if (u->bz_open)
        BZ2_bzDecompressEnd(&u->bz);
    u->bz_open = false;
}

static int open_kind(struct unpack *u, struct err *err)
{
    u->room = u->file.size < TAKE ? (size_t)u->file.size + MAGIC_BYTES : TAKE;
    if (!(u->in = mem_alloc(u->room)))
        return ERR(err, NOMEM, "no memory to read '%s'", u->path);
    TRY(want(u, MAGIC_BYTES, err));
    u->kind = starts_gzip(u) ? UNPACK_GZIP : starts_zstd(u) ? UNPACK_ZSTD : starts_bzip2(u) ? UNPACK_BZIP2 : UNPACK_PLAIN;
    if (u->kind == UNPACK_GZIP) {
        u->z.zalloc = z_alloc, u->z.zfree = z_free;
        if (inflateInit2(&u->z, 15 + 16) != Z_OK)
            return ERR(err, NOMEM, "no memory to unpack '%s'", u->path);
        u->z_open = true;
    }
    if (u->kind == UNPACK_ZSTD && (!(u->zstd = ZSTD_createDStream()) || ZSTD_isError(ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, WINDOW_LOG))))
        return ERR(err, NOMEM, "no memory to unpack '%s'", u->path);
    if (u->kind == UNPACK_BZIP2)
        return bz_begin(u, err);
    return 0;
}

int unpack_open(struct unpack **out, const char *path, double ratio, struct err *err)
{
    struct unpack *u = mem_alloc_zero(sizeof *u);
    *out = NULL;
    if (!u)
        return ERR(err, NOMEM, "no memory to read '%s'", path);
    u->path = path, u->ratio = ratio > 0 ? ratio : UNPACK_RATIO;
    int rc = file_stream_open(&u->file, path, err);
    rc = rc < 0 ? rc : sha256_init(&u->hash, err);
    rc = rc < 0 ? rc : open_kind(u, err);
    if (rc < 0)
        unpack_free(u);
    else
        *out = u;
    return rc;
}

void unpack_free(struct unpack *u)
{
    if (!u)
        return;
    if (u->z_open)
        inflateEnd(&u->z);
    bz_end(u);
    sha256_release(&u->hash);
    ZSTD_freeDStream(u->zstd);
    file_stream_close(&u->file);
    mem_free(u->in);
    mem_free(u);
}

static int wrong(const struct unpack *u, const char *what, struct err *err)
{
    return ERR(err, FORMAT, "'%s': %s is wrong at byte %llu of %llu, after %llu bytes of what it holds: %s", u->path, unpack_name(u->kind), (unsigned long long)u->at,
               (unsigned long long)u->file.size, (unsigned long long)u->given, what);
}

/* What follows a member is another, or zeros to the end (as tapes leave), or wrong. */
static int between(struct unpack *u, struct err *err)
{
    TRY(want(u, MAGIC_BYTES, err));
    if (starts_kind(u, u->kind)) {
        if (u->kind == UNPACK_GZIP)
            inflateReset(&u->z);
        if (u->kind == UNPACK_BZIP2) {
            bz_end(u);
            return bz_begin(u, err);
        }
        return 0;
    }
    while (u->begin < u->end) {
        if (u->in[u->begin])
            return wrong(u, "what follows the end is neither another part nor zeros", err);
        take(u, 1);
        TRY(want(u, 1, err));
    }
    return 0;
}

static int inflate_some(struct unpack *u, char *p, size_t n, size_t *got, struct err *err)
{
    TRY(want(u, 1, err));
    const size_t in = u->end - u->begin, room = n < TAKE * 4 ? n : TAKE * 4;
    u->z.next_in = (Bytef *)u->in + u->begin, u->z.avail_in = (uInt)in;
    u->z.next_out = (Bytef *)p, u->z.avail_out = (uInt)room;
    u->frame_open = true;
    const int rc = inflate(&u->z, Z_NO_FLUSH);
    take(u, in - u->z.avail_in);
    *got = room - u->z.avail_out;
    if (rc == Z_STREAM_END) {
        u->frame_open = false;
        return between(u, err);
    }
    if (rc == Z_MEM_ERROR)
        return ERR(err, NOMEM, "no memory to unpack '%s'", u->path);
    return rc == Z_OK || rc == Z_BUF_ERROR ? 0 : wrong(u, u->z.msg ? u->z.msg : "it needs a dictionary", err);
}

static int zstd_some(struct unpack *u, char *p, size_t n, size_t *got, struct err *err)
{
    TRY(want(u, 1, err));
    ZSTD_inBuffer in = { u->in + u->begin, u->end - u->begin, 0 };
    ZSTD_outBuffer to = { p, n, 0 };
    const size_t rc = ZSTD_decompressStream(u->zstd, &to, &in);
    take(u, in.pos);
    *got = to.pos;
    if (ZSTD_isError(rc))
        return wrong(u, ZSTD_getErrorName(rc), err);
    u->frame_open = rc != 0;
    return rc ? 0 : between(u, err);
}

static int bzip2_some(struct unpack *u, char *p, size_t n, size_t *got, struct err *err)
{
    TRY(want(u, 1, err));
    const size_t in = u->end - u->begin, room = n < TAKE * 4 ? n : TAKE * 4;
    u->bz.next_in = u->in + u->begin, u->bz.avail_in = (unsigned)in;
    u->bz.next_out = p, u->bz.avail_out = (unsigned)room;
    u->frame_open = true;
    const int rc = BZ2_bzDecompress(&u->bz);
    take(u, in - u->bz.avail_in);
    *got = room - u->bz.avail_out;
    if (rc == BZ_STREAM_END) {
        u->frame_open = false;
        return between(u, err);
    }
    if (rc == BZ_MEM_ERROR)
        return ERR(err, NOMEM, "no memory to unpack '%s'", u->path);
    return rc == BZ_OK ? 0 : wrong(u, "it is damaged", err);
}

/* What was read to see what kind of file it is, then the file itself. */
static int copy_some(struct unpack *u, char *p, size_t n, size_t *got, struct err *err)
{
    const size_t left = u->end - u->begin;
    int64_t rc = (int64_t)(n < left ? n : left);
    if (left)
        memcpy(p, u->in + u->begin, (size_t)rc), u->begin += (size_t)rc;
    else
        rc = read_some(u, p, n, err);
    *got = rc > 0 ? (size_t)rc : 0;
    u->at += *got;
    return rc < 0 ? (int)rc : 0;
}

void unpack_without_sha256(struct unpack *u) { u->unhashed = true; }

void unpack_sha256(struct unpack *u, char hex[SHA256_HEX])
{
    int rc = u->unhashed;
    while (!rc && u->file.at < u->file.size) {
        u->begin = u->end = 0;
        rc = want(u, 1, NULL);
    }
    sha256_end(&u->hash, hex);
    if (rc)
        hex[0] = 0;
}

static int check_bomb(const struct unpack *u, struct err *err)
{
    if (u->given < BOMB_FROM || (double)u->given <= u->ratio * (double)u->file.size)
        return 0;
    return ERR(err, RANGE, "'%s': %llu bytes hold more than %llu, expected at most %g times as many (a decompression bomb?)", u->path, (unsigned long long)u->file.size,
               (unsigned long long)u->given, u->ratio);
}

/* What was good before a fault is given first, the fault with the next call. */
int64_t unpack_read(struct unpack *u, void *p, size_t n, struct err *err)
{
    static int (*const some[])(struct unpack *u, char *p, size_t n, size_t *got, struct err *err) = { copy_some, inflate_some, zstd_some, bzip2_some };
    size_t got = 0;
    if (u->kind == UNPACK_PLAIN && !u->fault.code)
        (void)copy_some(u, p, n, &got, &u->fault);
    while (u->kind != UNPACK_PLAIN && !got && !u->fault.code && (u->at < u->file.size || u->frame_open)) {
        const uint64_t before = u->at;
        int rc = some[u->kind](u, p, n, &got, &u->fault);
        if (!rc && !got && u->at == before && u->frame_open)
            rc = wrong(u, "the file ends in its midst", &u->fault);
        u->given += got;
        if (!rc)
            (void)check_bomb(u, &u->fault);
    }
    if (!got && u->fault.code)
        return err ? (*err = u->fault).code : u->fault.code;
    return (int64_t)got;
}

int unpack_all(const char *path, size_t max, struct buf *out, struct err *err)
{
    struct unpack *u;
    int64_t got = 1;
    int rc = 0;
    TRY(unpack_open(&u, path, 0, err));
    unpack_without_sha256(u);
    while (!rc && got > 0) {
        if (out->len > max)
            rc = ERR(err, RANGE, "'%s': more than %zu bytes", path, max);
        else if (!(rc = buf_reserve(out, 1 << 20, err)) && (got = unpack_read(u, out->data + out->len, 1 << 20, err)) < 0)
            rc = (int)got;
        else if (!rc)
            out->data[out->len += (size_t)got] = 0;
    }
    unpack_free(u);
    return rc;
}
