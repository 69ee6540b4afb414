/* npz.c - the archive: its end record, its directory, and its members.
 *
 *   member:    "PK\3\4" .. name length at 26, extra length at 28, name, extra, data         (sizes here may lie: NumPy writes ZIP64 ones)
 *   directory: "PK\1\2" flags 8, method 10, crc 16, packed 20, size 24, name length 28, extra 30, comment 32, offset 42, name at 46
 *   end:       "PK\5\6" members 10, directory's bytes 12, its offset 16, comment length 20 */
#include <string.h>
#include <zlib.h>
#include "base/mem.h"
#include "eval/npy.h"

#define CHUNK ((size_t)1 << 16)
enum { STORED = 0, DEFLATED = 8 };
enum { END_SIZE = 22, DIRECTORY_SIZE = 46, LOCAL_SIZE = 30, COMMENT_MAX = 65535 };

static uint32_t u16(const unsigned char *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static uint32_t u32(const unsigned char *p) { return u16(p) | u16(p + 2) << 16; }

/* The last end record whose comment ends with the file. */
static const unsigned char *find_end(const struct npz *z)
{
    for (size_t back = END_SIZE; back <= z->n && back <= END_SIZE + COMMENT_MAX; back++) {
        const unsigned char *p = z->data + z->n - back;
        if (!memcmp(p, "PK\5\6", 4) && u16(p + 20) == back - END_SIZE)
            return p;
    }
    return NULL;
}

static int read_entry(struct npz *z, const unsigned char *p, size_t left, size_t *size, struct err *err)
{
    if (left < DIRECTORY_SIZE || memcmp(p, "PK\1\2", 4))
        return ERR(err, CORRUPT, "%s: member %d of its directory is damaged", z->name, z->n_entry);
    const size_t n_name = u16(p + 28);
    *size = DIRECTORY_SIZE + n_name + u16(p + 30) + u16(p + 32);
    if (*size > left)
        return ERR(err, CORRUPT, "%s: its directory is cut off", z->name);
    struct npz_entry e = { .crc = u32(p + 16), .packed = u32(p + 20), .size = u32(p + 24), .at = u32(p + 42), .method = (int)u16(p + 10) };
    e.name = mem_printf("%.*s", (int)n_name, (const char *)p + DIRECTORY_SIZE);
    if (!e.name)
        return ERR(err, NOMEM, "no memory for the names in %s", z->name);
    err_tidy(e.name);
    const size_t len = strlen(e.name);
    if (len > 4 && !strcmp(e.name + len - 4, ".npy"))
        e.name[len - 4] = 0;
    z->entry[z->n_entry++] = e;
    if (u16(p + 8) & 1)
        return ERR(err, UNSUPPORTED, "%s: '%s' is encrypted", z->name, e.name);
    if (e.packed == UINT32_MAX || e.size == UINT32_MAX || e.at == UINT32_MAX)
        return ERR(err, UNSUPPORTED, "%s: '%s' has 4 GiB or more (ZIP64)", z->name, e.name);
    return 0;
}

static int read_directory(struct npz *z, struct err *err)
{
    const unsigned char *end = find_end(z);
    if (!end)
        return ERR(err, CORRUPT, "%s: the archive has no end: it is cut off", z->name);
    const size_t n = u16(end + 10), bytes = u32(end + 12), at = u32(end + 16), before = (size_t)(end - z->data);
    if (n == UINT16_MAX || at == UINT32_MAX)
        return ERR(err, UNSUPPORTED, "%s is a ZIP64 archive, of 4 GiB or of 65535 members and more", z->name);
    if (u16(end + 4) || at > before || bytes > before - at)
        return ERR(err, CORRUPT, "%s: its directory is not where its end says", z->name);
    z->entry = mem_alloc_array(n, sizeof *z->entry);
    if (!z->entry)
        return ERR(err, NOMEM, "no memory for the %zu members of %s", n, z->name);
    size_t from = 0;
    for (size_t i = 0, size = 0; i < n; i++, from += size)
        TRY(read_entry(z, z->data + at + from, bytes - from, &size, err));
    return 0;
}

static int lone_array(struct npz *z, struct err *err)
{
    if (z->n > UINT32_MAX)
        return ERR(err, UNSUPPORTED, "%s has more than 4 GiB", z->name);
    z->entry = mem_alloc_array(1, sizeof *z->entry);
    char *name = mem_strdup("array");
    if (!z->entry || !name) {
        mem_free(name);
        return ERR(err, NOMEM, "no memory for %s", z->name);
    }
    z->entry[z->n_entry++] = (struct npz_entry){ .name = name, .method = -1, .size = (uint32_t)z->n };
    return 0;
}

int npz_open(struct npz *z, const void *file, size_t n, const char *name, struct err *err)
{
    *z = (struct npz){ .data = file, .n = n, .name = name };
    int rc;
    if (n >= 6 && !memcmp(file, "\x93NUMPY", 6))
        rc = lone_array(z, err);
    else if (n >= 4 && (!memcmp(file, "PK\3\4", 4) || !memcmp(file, "PK\5\6", 4)))
        rc = read_directory(z, err);
    else
        rc = ERR(err, FORMAT, "%s is neither an .npz archive (\"PK\") nor an .npy file (\"\\x93NUMPY\")", name);
    if (rc < 0)
        npz_close(z);
    return rc;
}

void npz_close(struct npz *z)
{
    for (int i = 0; i < z->n_entry; i++)
        mem_free(z->entry[i].name);
    mem_free(z->entry);
    *z = (struct npz){ 0 };
}

int npz_find(const struct npz *z, const char *name)
{
    for (int i = 0; i < z->n_entry; i++)
        if (!strcmp(z->entry[i].name, name))
            return i;
    return -1;
}

static int inflate_all(z_stream *s, const struct npz *z, const struct npz_entry *e, struct buf *out, struct err *err)
{
    for (int rc = Z_OK; rc != Z_STREAM_END;) {
        TRY(buf_reserve(out, CHUNK, err));
        s->next_out = (Bytef *)out->data + out->len, s->avail_out = (uInt)CHUNK;
        rc = inflate(s, Z_NO_FLUSH);
        const size_t got = CHUNK - s->avail_out;
        out->len += got;
        if (rc == Z_MEM_ERROR)
            return ERR(err, NOMEM, "no memory to unpack '%s' of %s", e->name, z->name);
        if ((rc != Z_OK && rc != Z_STREAM_END) || out->len > e->size)
            return ERR(err, CORRUPT, "%s: '%s' does not unpack to the %u bytes that its directory says", z->name, e->name, e->size);
    }
    return 0;
}

static int unpack(const struct npz *z, const struct npz_entry *e, const unsigned char *data, struct buf *out, struct err *err)
{
    if (e->method == STORED)
        return buf_add(out, data, e->packed, err);
    z_stream s = { .next_in = (Bytef *)(uintptr_t)data, .avail_in = e->packed };
    if (inflateInit2(&s, -MAX_WBITS) != Z_OK)
        return ERR(err, NOMEM, "no memory to unpack '%s' of %s", e->name, z->name);
    const int rc = inflate_all(&s, z, e, out, err);
    inflateEnd(&s);
    return rc;
}

static int read_member(const struct npz *z, const struct npz_entry *e, struct buf *out, struct err *err)
{
    if (e->method != STORED && e->method != DEFLATED)
        return ERR(err, UNSUPPORTED, "%s: '%s' is packed by method %d, expected 0 (stored) or 8 (deflated)", z->name, e->name, e->method);
    if (z->n < LOCAL_SIZE || e->at > z->n - LOCAL_SIZE || memcmp(z->data + e->at, "PK\3\4", 4))
        return ERR(err, CORRUPT, "%s: '%s' is not where its directory says", z->name, e->name);
    const size_t at = (size_t)e->at + LOCAL_SIZE + u16(z->data + e->at + 26) + u16(z->data + e->at + 28);
    if (at > z->n || e->packed > z->n - at)
        return ERR(err, CORRUPT, "%s: '%s' is cut off", z->name, e->name);
    TRY(unpack(z, e, z->data + at, out, err));
    if (out->len != e->size)
        return ERR(err, CORRUPT, "%s: '%s' has %zu bytes, expected %u", z->name, e->name, out->len, e->size);
    if (crc32(0, (const Bytef *)out->data, (uInt)out->len) != e->crc)
        return ERR(err, CORRUPT, "%s: the checksum of '%s' is wrong", z->name, e->name);
    return 0;
}

int npz_read(const struct npz *z, int i, struct npy *out, struct err *err)
{
    const struct npz_entry *e = &z->entry[i];
    if (e->method < 0)
        return npy_parse(out, z->data, z->n, z->name, err);
    struct buf bytes;
    buf_init(&bytes);
    int rc = read_member(z, e, &bytes, err);
    if (rc >= 0)
        rc = npy_parse(out, bytes.data, bytes.len, e->name, err);
    buf_release(&bytes);
    return rc;
}
