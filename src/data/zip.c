#include "data/zip.h"
#include <stdint.h>
#include <string.h>
#include <zlib.h>
#include "base/mem.h"

#define END_BYTES 22          /* end of central directory, without its comment */
#define ENTRY_BYTES 46
#define LOCAL_BYTES 30

static uint32_t u16(const char *p) { return (uint32_t)(unsigned char)p[0] | (uint32_t)(unsigned char)p[1] << 8; }
static uint32_t u32(const char *p) { return u16(p) | u16(p + 2) << 16; }

bool zip_is(const char *path)
{
    struct file_stream s;
    char magic[4] = { 0 };
    if (file_stream_open(&s, path, NULL) < 0)
        return false;
    size_t n = 0;
    for (int64_t got; n < 4 && (got = file_stream_read(&s, magic + n, 4 - n, NULL)) > 0;)
        n += (size_t)got;
    file_stream_close(&s);
    return n == 4 && (!memcmp(magic, "PK\3\4", 4) || !memcmp(magic, "PK\5\6", 4));
}

static int wrong(const struct zip *z, const char *what, struct err *err) { return ERR(err, FORMAT, "'%s': %s", z->path, what); }

static int find_directory(struct zip *z, struct err *err)
{
    const size_t size = z->map.size;
    for (size_t back = END_BYTES; back <= size && back <= END_BYTES + 65535; back++) {
        const char *p = z->map.data + size - back;
        if (memcmp(p, "PK\5\6", 4) || u16(p + 20) != back - END_BYTES)
            continue;
        z->n_member = u16(p + 10), z->at = u32(p + 16);
        if (z->at == UINT32_MAX || z->n_member == 65535)
            return ERR(err, UNSUPPORTED, "'%s': zip64 is not supported", z->path);
        return z->at > size - back ? wrong(z, "a zip file whose directory lies beyond its end", err) : 0;
    }
    return wrong(z, "a zip file without a directory; was it cut off?", err);
}

int zip_over(struct zip *z, const char *data, size_t n, const char *name, struct err *err)
{
    *z = (struct zip){ .path = name, .map = { .data = data, .size = n } };
    return find_directory(z, err);
}

int zip_open(struct zip *z, const char *path, struct err *err)
{
    *z = (struct zip){ .path = path };
    TRY(file_map_open(&z->map, path, err));
    const int rc = find_directory(z, err);
    if (rc < 0)
        zip_close(z);
    return rc;
}

void zip_close(struct zip *z)
{
    file_map_close(&z->map);
    *z = (struct zip){ 0 };
}

static voidpf z_take(voidpf opaque, uInt n, uInt size)
{
    (void)opaque;
    return mem_alloc_array(n, size);
}

static void z_give(voidpf opaque, voidpf p)
{
    (void)opaque;
    mem_free(p);
}

static int unpack(const struct zip *z, const char *from, size_t packed, char *to, size_t n, struct err *err)
{
    z_stream s = { .zalloc = z_take, .zfree = z_give, .next_in = (Bytef *)(uintptr_t)from, .avail_in = (uInt)packed, .next_out = (Bytef *)to, .avail_out = (uInt)n };
    if (inflateInit2(&s, -15) != Z_OK)
        return ERR(err, NOMEM, "no memory to unpack '%s'", z->path);
    const int rc = inflate(&s, Z_FINISH);
    const bool all = rc == Z_STREAM_END && !s.avail_out;
    inflateEnd(&s);
    return rc == Z_MEM_ERROR ? ERR(err, NOMEM, "no memory to unpack '%s'", z->path) : all ? 0 : wrong(z, "a member is damaged", err);
}

/* e: the member's entry of the directory. */
static int read_member(const struct zip *z, const char *e, size_t max, struct buf *out, struct err *err)
{
    const size_t packed = u32(e + 20), n = u32(e + 24), local = u32(e + 42), size = z->map.size;
    const uint32_t method = u16(e + 10);
    if (u16(e + 8) & 1)
        return ERR(err, UNSUPPORTED, "'%s': encrypted", z->path);
    if (n > max)
        return ERR(err, RANGE, "'%s': a member of %zu bytes, expected at most %zu", z->path, n, max);
    if (local > size || size - local < LOCAL_BYTES || memcmp(z->map.data + local, "PK\3\4", 4))
        return wrong(z, "a member is not where the directory says", err);
    const size_t head = LOCAL_BYTES + u16(z->map.data + local + 26) + u16(z->map.data + local + 28);
    if (head > size - local || packed > size - local - head)
        return wrong(z, "a member ends beyond the file", err);
    if ((method != 0 && method != 8) || (method == 0 && packed != n))
        return ERR(err, UNSUPPORTED, "'%s': a member packed by method %u, expected stored or deflated", z->path, method);
    if (!n)
        return 1;
    const char *from = z->map.data + local + head;
    TRY(buf_reserve(out, n, err));
    char *to = out->data + out->len;
    if (method == 0)
        memcpy(to, from, n);
    else
        TRY(unpack(z, from, packed, to, n, err));
    if ((uint32_t)crc32(crc32(0, NULL, 0), (const Bytef *)to, (uInt)n) != u32(e + 16))
        return ERR(err, CORRUPT, "'%s': the checksum of a member differs", z->path);
    out->len += n;
    out->data[out->len] = 0;
    return 1;
}

int zip_read(const struct zip *z, const char *name, size_t max, struct buf *out, struct err *err)
{
    const char *p = z->map.data + z->at, *end = z->map.data + z->map.size;
    const size_t n_name = strlen(name);
    for (size_t i = 0; i < z->n_member; i++) {
        if (end - p < ENTRY_BYTES || memcmp(p, "PK\1\2", 4))
            return wrong(z, "the directory ends too early", err);
        const size_t n = u16(p + 28), rest = n + u16(p + 30) + u16(p + 32);
        if ((size_t)(end - p) - ENTRY_BYTES < rest)
            return wrong(z, "the directory ends too early", err);
        const char *own = p + ENTRY_BYTES;
        if (n >= n_name && !memcmp(own + n - n_name, name, n_name) && (n == n_name || own[n - n_name - 1] == '/') && !(n > 8 && !memcmp(own, "__MACOSX", 8)))
            return read_member(z, p, max, out, err);
        p += ENTRY_BYTES + rest;
    }
    return 0;
}
