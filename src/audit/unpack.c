#include "audit/unpack.h"
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include "base/file.h"
#include "base/mem.h"

#define BOMB_FROM ((uint64_t)64 << 20)
#define TAKE ((size_t)256 << 10)      /* bytes of the file at a time: its pages are looked at once, in order */
#define WINDOW_LOG 27
#define REST_EVERY ((size_t)16 << 20)

struct unpack {
    const char *path;
    struct file_map map;
    enum unpack_kind kind;
    double ratio;
    size_t at;                   /* of the file: taken */
    uint64_t given;
    struct err fault;            /* of which the caller is told when it has what was good */
    z_stream z;
    bool z_open;
    ZSTD_DStream *zstd;
    bool frame_open;             /* the last call left a member or frame unfinished */
    struct sha256 hash;          /* of the file's first `hashed` bytes, which were looked at anyway */
    size_t hashed;
};

const char *unpack_name(enum unpack_kind kind)
{
    static const char *const names[] = { "plain", "gzip", "zstd" };
    return names[kind];
}

enum unpack_kind unpack_kind(const struct unpack *u) { return u->kind; }
uint64_t unpack_packed(const struct unpack *u) { return u->at; }
uint64_t unpack_size(const struct unpack *u) { return u->map.size; }

static bool starts(const struct unpack *u, const char *bytes, size_t n)
{
    return u->map.size - u->at >= n && !memcmp(u->map.data + u->at, bytes, n);
}

static bool starts_gzip(const struct unpack *u) { return starts(u, "\x1f\x8b\x08", 3); }

/* A skippable frame (0x184D2A50 to 5F) may come first, as parallel compressors write it. */
static bool starts_zstd(const struct unpack *u)
{
    return starts(u, "\x28\xb5\x2f\xfd", 4) || (u->map.size - u->at >= 4 && (u->map.data[u->at] & 0xf0) == 0x50 && !memcmp(u->map.data + u->at + 1, "\x2a\x4d\x18", 3));
}

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

static int open_kind(struct unpack *u, struct err *err)
{
    u->kind = starts_gzip(u) ? UNPACK_GZIP : starts_zstd(u) ? UNPACK_ZSTD : UNPACK_PLAIN;
    if (u->kind == UNPACK_GZIP) {
        u->z.zalloc = z_alloc, u->z.zfree = z_free;
        if (inflateInit2(&u->z, 15 + 16) != Z_OK)
            return ERR(err, NOMEM, "no memory to unpack '%s'", u->path);
        u->z_open = true;
    }
    if (u->kind == UNPACK_ZSTD && (!(u->zstd = ZSTD_createDStream()) || ZSTD_isError(ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, WINDOW_LOG))))
        return ERR(err, NOMEM, "no memory to unpack '%s'", u->path);
    return 0;
}

int unpack_open(struct unpack **out, const char *path, double ratio, struct err *err)
{
    struct unpack *u = mem_alloc_zero(sizeof *u);
    *out = NULL;
    if (!u)
        return ERR(err, NOMEM, "no memory to read '%s'", path);
    u->path = path, u->ratio = ratio > 0 ? ratio : UNPACK_RATIO;
    int rc = file_map_open(&u->map, path, err);
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
    sha256_release(&u->hash);
    ZSTD_freeDStream(u->zstd);
    file_map_close(&u->map);
    mem_free(u);
}

static int wrong(const struct unpack *u, const char *what, struct err *err)
{
    return ERR(err, FORMAT, "'%s': %s is wrong at byte %llu of %llu, after %llu bytes of what it holds: %s", u->path, unpack_name(u->kind), (unsigned long long)u->at,
               (unsigned long long)u->map.size, (unsigned long long)u->given, what);
}

/* What follows a member is another, or zeros to the end (as tapes leave), or wrong. */
static int between(struct unpack *u, struct err *err)
{
    if (u->kind == UNPACK_GZIP ? starts_gzip(u) : starts_zstd(u)) {
        if (u->kind == UNPACK_GZIP)
            inflateReset(&u->z);
        return 0;
    }
    for (; u->at < u->map.size; u->at++)
        if (u->map.data[u->at])
            return wrong(u, "what follows the end is neither another part nor zeros", err);
    return 0;
}

static int inflate_some(struct unpack *u, char *p, size_t n, size_t *got, struct err *err)
{
    const size_t left = u->map.size - u->at, take = left < TAKE ? left : TAKE, room = n < TAKE * 4 ? n : TAKE * 4;
    u->z.next_in = (Bytef *)(uintptr_t)(u->map.data + u->at), u->z.avail_in = (uInt)take;
    u->z.next_out = (Bytef *)p, u->z.avail_out = (uInt)room;
    u->frame_open = true;
    const int rc = inflate(&u->z, Z_NO_FLUSH);
    u->at += take - u->z.avail_in;
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
    const size_t left = u->map.size - u->at;
    ZSTD_inBuffer in = { u->map.data + u->at, left < TAKE ? left : TAKE, 0 };
    ZSTD_outBuffer to = { p, n, 0 };
    const size_t rc = ZSTD_decompressStream(u->zstd, &to, &in);
    u->at += in.pos;
    *got = to.pos;
    if (ZSTD_isError(rc))
        return wrong(u, ZSTD_getErrorName(rc), err);
    u->frame_open = rc != 0;
    return rc ? 0 : between(u, err);
}

static size_t copy_some(struct unpack *u, char *p, size_t n)
{
    const size_t left = u->map.size - u->at, take = n < left ? n : left;
    memcpy(p, u->map.data + u->at, take);
    u->at += take;
    return take;
}

static void hash_to(struct unpack *u, size_t at)
{
    sha256_add(&u->hash, u->map.data + u->hashed, at - u->hashed);
    if (at / REST_EVERY != u->hashed / REST_EVERY)
        file_map_rest(&u->map);          /* nothing of it is read twice */
    u->hashed = at;
}

void unpack_sha256(struct unpack *u, char hex[SHA256_HEX])
{
    hash_to(u, u->map.size);
    sha256_end(&u->hash, hex);
}

static int check_bomb(const struct unpack *u, struct err *err)
{
    if (u->given < BOMB_FROM || (double)u->given <= u->ratio * (double)u->map.size)
        return 0;
    return ERR(err, RANGE, "'%s': %llu bytes hold more than %llu, expected at most %g times as many (a decompression bomb?)", u->path, (unsigned long long)u->map.size,
               (unsigned long long)u->given, u->ratio);
}

/* What was good before a fault is given first, the fault with the next call. */
int64_t unpack_read(struct unpack *u, void *p, size_t n, struct err *err)
{
    size_t got = 0;
    if (u->kind == UNPACK_PLAIN)
        got = copy_some(u, p, n);
    while (u->kind != UNPACK_PLAIN && !got && !u->fault.code && (u->at < u->map.size || u->frame_open)) {
        const size_t before = u->at;
        int rc = u->kind == UNPACK_GZIP ? inflate_some(u, p, n, &got, &u->fault) : zstd_some(u, p, n, &got, &u->fault);
        if (!rc && !got && u->at == before && u->frame_open)
            rc = wrong(u, "the file ends in its midst", &u->fault);
        u->given += got;
        if (!rc)
            (void)check_bomb(u, &u->fault);
    }
    hash_to(u, u->at);
    if (!got && u->fault.code)
        return err ? (*err = u->fault).code : u->fault.code;
    return (int64_t)got;
}
