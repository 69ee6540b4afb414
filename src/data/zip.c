/* zip.c - the archive: its end record, its directory, and its members.
 *
 *   member:    "PK\3\4" .. name length at 26, extra length at 28, name, extra, data         (sizes here may lie: NumPy writes ZIP64 ones)
 *   directory: "PK\1\2" flags 8, method 10, crc 16, packed 20, size 24, name length 28, extra 30, comment 32, offset 42, name at 46
 *   end:       "PK\5\6" members 10, directory's bytes 12, its offset 16, comment length 20 */
#include "data/zip.h"
#include <string.h>
#include <zlib.h>
#include "base/mem.h"

#define CHUNK ((size_t)1 << 16)
enum { STORED = 0, DEFLATED = 8 };
enum { END_SIZE = 22, DIRECTORY_SIZE = 46, LOCAL_SIZE = 30, COMMENT_MAX = 65535 };

static uint32_t u16(const char *p) { return (uint32_t)(unsigned char)p[0] | (uint32_t)(unsigned char)p[1] << 8; }
static uint32_t u32(const char *p) { return u16(p) | u16(p + 2) << 16; }

bool zip_begins(const void *data, size_t n) { return n >= 4 && (!memcmp(data, "PK\3\4", 4) || !memcmp(data, "PK\5\6", 4)); }

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
    return zip_begins(magic, n);
}

/* ---- the directory ---- */

/* The last end record whose comment ends with the file. */
static const char *find_end(const struct zip *z)
{
    for (size_t back = END_SIZE; back <= z->map.size && back <= END_SIZE + COMMENT_MAX; back++) {
        const char *p = z->map.data + z->map.size - back;
        if (!memcmp(p, "PK\5\6", 4) && u16(p + 20) == back - END_SIZE)
            return p;
    }
    return NULL;
}

static int read_entry(struct zip *z, const char *p, size_t left, size_t *size, struct err *err)
{
    if (left < DIRECTORY_SIZE || memcmp(p, "PK\1\2", 4))
        return ERR(err, CORRUPT, "%s: member %d of its directory is damaged", z->path, z->n_member);
    const size_t n_name = u16(p + 28);
    *size = DIRECTORY_SIZE + n_name + u16(p + 30) + u16(p + 32);
    if (*size > left)
        return ERR(err, CORRUPT, "%s: its directory is cut off", z->path);
    struct zip_member m = { .crc = u32(p + 16), .packed = u32(p + 20), .size = u32(p + 24), .at = u32(p + 42), .method = (int)u16(p + 10) };
    m.name = mem_printf("%.*s", (int)n_name, p + DIRECTORY_SIZE);
    if (!m.name)
        return ERR(err, NOMEM, "no memory for the names in %s", z->path);
    err_tidy(m.name);
    z->member[z->n_member++] = m;
    if (u16(p + 8) & 1)
        return ERR(err, UNSUPPORTED, "%s: '%s' is encrypted", z->path, m.name);
    if (m.packed == UINT32_MAX || m.size == UINT32_MAX || m.at == UINT32_MAX)
        return ERR(err, UNSUPPORTED, "%s: '%s' has 4 GiB or more (ZIP64)", z->path, m.name);
    return 0;
}

static int read_directory(struct zip *z, struct err *err)
{
    if (!zip_begins(z->map.data, z->map.size))
        return ERR(err, FORMAT, "%s is no zip file: it does not begin with \"PK\"", z->path);
    const char *end = find_end(z);
    if (!end)
        return ERR(err, CORRUPT, "%s: the archive has no end: it is cut off", z->path);
    const size_t n = u16(end + 10), bytes = u32(end + 12), at = u32(end + 16), before = (size_t)(end - z->map.data);
    if (n == UINT16_MAX || at == UINT32_MAX)
        return ERR(err, UNSUPPORTED, "%s is a ZIP64 archive, of 4 GiB or of 65535 members and more", z->path);
    if (u16(end + 4) || at > before || bytes > before - at)
        return ERR(err, CORRUPT, "%s: its directory is not where its end says", z->path);
    z->member = mem_alloc_array(n, sizeof *z->member);
    if (!z->member)
        return ERR(err, NOMEM, "no memory for the %zu members of %s", n, z->path);
    size_t from = 0;
    for (size_t i = 0, size = 0; i < n; i++, from += size)
        TRY(read_entry(z, z->map.data + at + from, bytes - from, &size, err));
    return 0;
}

static int opened(struct zip *z, struct err *err)
{
    const int rc = read_directory(z, err);
    if (rc < 0)
        zip_close(z);
    return rc;
}

int zip_over(struct zip *z, const void *data, size_t n, const char *name, struct err *err)
{
    *z = (struct zip){ .path = name, .map = { .data = data, .size = n } };
    return opened(z, err);
}

int zip_open(struct zip *z, const char *path, struct err *err)
{
    *z = (struct zip){ .path = path };
    TRY(file_map_open(&z->map, path, err));
    return opened(z, err);
}

void zip_close(struct zip *z)
{
    for (int i = 0; i < z->n_member; i++)
        mem_free(z->member[i].name);
    mem_free(z->member);
    file_map_close(&z->map);
    *z = (struct zip){ 0 };
}

int zip_find(const struct zip *z, const char *name)
{
    const size_t n = strlen(name);
    for (int i = 0; i < z->n_member; i++) {
        const char *own = z->member[i].name;
        const size_t len = strlen(own);
        if (len >= n && !strcmp(own + len - n, name) && (len == n || own[len - n - 1] == '/') && strncmp(own, "__MACOSX/", 9))
            return i;
    }
    return -1;
}

/* ---- members ---- */

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

static int inflate_all(z_stream *s, const struct zip *z, const struct zip_member *m, struct buf *out, struct err *err)
{
    size_t n = 0;
    for (int rc = Z_OK; rc != Z_STREAM_END;) {
        TRY(buf_reserve(out, CHUNK, err));
        s->next_out = (Bytef *)out->data + out->len, s->avail_out = (uInt)CHUNK;
        rc = inflate(s, Z_NO_FLUSH);
        const size_t got = CHUNK - s->avail_out;
        out->len += got, n += got;
        if (rc == Z_MEM_ERROR)
            return ERR(err, NOMEM, "no memory to unpack '%s' of %s", m->name, z->path);
        if ((rc != Z_OK && rc != Z_STREAM_END) || n > m->size)
            return ERR(err, CORRUPT, "%s: '%s' does not unpack to the %u bytes that its directory says", z->path, m->name, m->size);
    }
    return 0;
}

static int unpack(const struct zip *z, const struct zip_member *m, const char *data, struct buf *out, struct err *err)
{
    if (m->method == STORED)
        return buf_add(out, data, m->packed, err);
    z_stream s = { .zalloc = z_take, .zfree = z_give, .next_in = (Bytef *)(uintptr_t)data, .avail_in = m->packed };
    if (inflateInit2(&s, -MAX_WBITS) != Z_OK)
        return ERR(err, NOMEM, "no memory to unpack '%s' of %s", m->name, z->path);
    const int rc = inflate_all(&s, z, m, out, err);
    inflateEnd(&s);
    return rc;
}

static int read_member(const struct zip *z, const struct zip_member *m, size_t max, struct buf *out, struct err *err)
{
    const struct file_map *f = &z->map;
    const size_t was = out->len;
    if (m->method != STORED && m->method != DEFLATED)
        return ERR(err, UNSUPPORTED, "%s: '%s' is packed by method %d, expected 0 (stored) or 8 (deflated)", z->path, m->name, m->method);
    if (m->size > max)
        return ERR(err, RANGE, "%s: '%s' has %u bytes, expected at most %zu", z->path, m->name, m->size, max);
    if (f->size < LOCAL_SIZE || m->at > f->size - LOCAL_SIZE || memcmp(f->data + m->at, "PK\3\4", 4))
        return ERR(err, CORRUPT, "%s: '%s' is not where its directory says", z->path, m->name);
    const size_t at = (size_t)m->at + LOCAL_SIZE + u16(f->data + m->at + 26) + u16(f->data + m->at + 28);
    if (at > f->size || m->packed > f->size - at)
        return ERR(err, CORRUPT, "%s: '%s' is cut off", z->path, m->name);
    TRY(unpack(z, m, f->data + at, out, err));
    if (out->len - was != m->size)
        return ERR(err, CORRUPT, "%s: '%s' has %zu bytes, expected %u", z->path, m->name, out->len - was, m->size);
    if (crc32(0, (const Bytef *)out->data + was, m->size) != m->crc)
        return ERR(err, CORRUPT, "%s: the checksum of '%s' is wrong", z->path, m->name);
    return 0;
}

int zip_read(const struct zip *z, int i, size_t max, struct buf *out, struct err *err)
{
    const size_t was = out->len;
    const int rc = read_member(z, &z->member[i], max, out, err);
    if (rc < 0)
        out->len = was;
    out->data[out->len] = 0;
    return rc;
}
