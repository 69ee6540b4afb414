/* npz_write.c - each array is a member of a zip file: a local header and an .npy file; the directory with all headers ends the archive. */
#include "eval/npz_write.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define NPY_ALIGN 64       /* numpy/lib/format.py: where the elements begin */
enum { NPY_LEAD = 10 };    /* "\x93NUMPY", version, length */

static void put16(unsigned char *p, uint32_t v) { p[0] = (unsigned char)v, p[1] = (unsigned char)(v >> 8); }
static void put32(unsigned char *p, uint64_t v) { put16(p, (uint32_t)(v & 0xffff)), put16(p + 2, (uint32_t)(v >> 16 & 0xffff)); }

int npz_writer_open(struct npz_writer *z, const char *path, struct err *err)
{
    *z = (struct npz_writer){ .n_array = 0 };
    buf_init(&z->directory);
    const int rc = file_writer_open(&z->w, path, err);
    z->open = !rc;
    return rc;
}

void npz_writer_abort(struct npz_writer *z)
{
    if (z->open)
        file_writer_abort(&z->w);
    if (z->directory.data)
        buf_release(&z->directory);
    *z = (struct npz_writer){ .n_array = 0 };
}

static int add(struct npz_writer *z, const void *p, size_t n, struct err *err)
{
    z->at += n;
    return file_writer_add(&z->w, p, n, err);
}

/* The header of an .npy file of version 1; its length. */
static size_t npy_header(char out[256], enum npz_type type, int64_t rows, int64_t cols)
{
    static const char *const descr[] = { "<f4", "<f8", "<i4", "<i8" };
    char shape[60], dict[160];
    snprintf(shape, sizeof shape, cols ? "(%" PRId64 ", %" PRId64 ")" : "(%" PRId64 ",)", rows, cols);
    const size_t n = (size_t)snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr[type], shape);
    const size_t all = (NPY_LEAD + n + 1 + NPY_ALIGN - 1) / NPY_ALIGN * NPY_ALIGN;
    memset(out, ' ', all);
    memcpy(out, "\x93NUMPY\1\0", 8);
    put16((unsigned char *)out + 8, (uint32_t)(all - NPY_LEAD));
    memcpy(out + NPY_LEAD, dict, n);
    out[all - 1] = '\n';
    return all;
}

/* What a local header and the directory's entry have in common, from "version needed" on: 26 bytes. */
static void common(unsigned char p[26], uint32_t crc, uint64_t size, size_t n_name)
{
    memset(p, 0, 26);
    put16(p, 20);
    put16(p + 8, 1 << 5 | 1);          /* the first of January 1980: the same arrays are the same bytes */
    put32(p + 10, crc), put32(p + 14, size), put32(p + 18, size);
    put16(p + 22, (uint32_t)n_name);
}

int npz_writer_add(struct npz_writer *z, const char *name, enum npz_type type, const void *data, int64_t rows, int64_t cols, struct err *err)
{
    static const size_t sizes[] = { 4, 8, 4, 8 };
    char file[112], header[256];
    unsigned char local[30], entry[46] = { 'P', 'K', 1, 2, 20 };
    assert(z->open && rows >= 0 && cols >= 0 && strlen(name) <= 100);
    const size_t n_name = (size_t)snprintf(file, sizeof file, "%s.npy", name), n_header = npy_header(header, type, rows, cols);
    const uint64_t per_row = (cols ? (uint64_t)cols : 1) * sizes[type];
    if ((uint64_t)rows > UINT32_MAX / per_row || z->at + per_row * (uint64_t)rows + z->directory.len + 1000 > UINT32_MAX || z->n_array == UINT16_MAX)
        return ERR(err, RANGE, "%s: with '%s' it has more than the 4 GiB that such an archive can have", z->w.path, name);
    const size_t n = (size_t)(per_row * (uint64_t)rows);
    const uint32_t crc = (uint32_t)crc32_z(crc32_z(0, (const Bytef *)header, n_header), data, n);
    memcpy(local, "PK\3\4", 4);
    common(local + 4, crc, n_header + n, n_name);
    common(entry + 6, crc, n_header + n, n_name);
    put32(entry + 42, z->at);
    TRY(buf_add(&z->directory, entry, sizeof entry, err));
    TRY(buf_add(&z->directory, file, n_name, err));
    z->n_array++;
    TRY(add(z, local, sizeof local, err));
    TRY(add(z, file, n_name, err));
    TRY(add(z, header, n_header, err));
    return add(z, data, n, err);
}

int npz_writer_commit(struct npz_writer *z, struct err *err)
{
    unsigned char end[22] = { 'P', 'K', 5, 6 };
    put16(end + 8, (uint32_t)z->n_array), put16(end + 10, (uint32_t)z->n_array);
    put32(end + 12, z->directory.len), put32(end + 16, z->at);
    int rc = add(z, z->directory.data, z->directory.len, err);
    if (!rc)
        rc = add(z, end, sizeof end, err);
    if (!rc) {
        rc = file_writer_commit(&z->w, err);
        z->open = false;
    }
    npz_writer_abort(z);
    return rc;
}
