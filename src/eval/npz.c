/* npz.c - the arrays of an archive, or a file of one. */
#include <string.h>
#include "eval/npy.h"

static bool is_npy(const void *file, size_t n) { return n >= 6 && !memcmp(file, "\x93NUMPY", 6); }

int npz_open(struct npz *z, const void *file, size_t n, const char *name, struct err *err)
{
    *z = (struct npz){ .data = file, .n = n, .name = name, .n_array = 1 };
    if (is_npy(file, n))
        return 0;
    if (!zip_begins(file, n))
        return ERR(err, FORMAT, "%s is neither an .npz archive (\"PK\") nor an .npy file (\"\\x93NUMPY\")", name);
    const int rc = zip_over(&z->zip, file, n, name, err);
    z->n_array = rc < 0 ? 0 : z->zip.n_member;
    for (int i = 0; i < z->n_array; i++) {
        char *own = z->zip.member[i].name;
        const size_t len = strlen(own);
        if (len > 4 && !strcmp(own + len - 4, ".npy"))
            own[len - 4] = 0;
    }
    return rc;
}

void npz_close(struct npz *z)
{
    zip_close(&z->zip);
    *z = (struct npz){ 0 };
}

const char *npz_name(const struct npz *z, int i) { return z->zip.member ? z->zip.member[i].name : "array"; }

int npz_find(const struct npz *z, const char *name)
{
    for (int i = 0; i < z->n_array; i++)
        if (!strcmp(npz_name(z, i), name))
            return i;
    return -1;
}

int npz_read(const struct npz *z, int i, struct npy *out, struct err *err)
{
    if (!z->zip.member)
        return npy_parse(out, z->data, z->n, z->name, err);
    struct buf bytes;
    buf_init(&bytes);
    int rc = zip_read(&z->zip, i, SIZE_MAX, &bytes, err);
    if (rc >= 0)
        rc = npy_parse(out, bytes.data, bytes.len, npz_name(z, i), err);
    buf_release(&bytes);
    return rc;
}
