/* npy.h - arrays of NumPy: .npy files and .npz archives of them, as other programs leave logits, labels and features.
 *
 * .npy: "\x93NUMPY", version 1, 2 or 3, the length of a header, the header (a Python dictionary with 'descr', 'fortran_order', 'shape'), then
 * the elements (numpy/lib/format.py).  Read are f2, f4, f8, i1 to i8, u1 to u8 and booleans, little-endian, in C order, up to rank 8; others
 * are refused with their name.
 * .npz: a zip file (data/zip.h) of such files.
 * Memory grows with the bytes that are there, never with what a header claims; nothing points into the file afterwards.  Any thread. */
#ifndef EVAL_NPY_H
#define EVAL_NPY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "data/zip.h"

#define NPY_RANK_MAX 8
#define NPY_BYTES_MAX ((size_t)4 << 30)

enum npy_kind { NPY_BOOL, NPY_INT, NPY_UINT, NPY_FLOAT };
struct npy {
    enum npy_kind kind;
    int size;                            /* bytes of an element */
    int rank;                            /* 0: one element */
    int64_t shape[NPY_RANK_MAX];
    int64_t n;                           /* elements */
    struct buf bytes;                    /* n * size, as in the file */
};

/* name leads the messages.  Both leave nothing to release where they fail. */
int npy_parse(struct npy *out, const void *file, size_t n, const char *name, struct err *err);
void npy_release(struct npy *a);
/* Element i, 0 <= i < n, as a double (whole numbers above 2^53 are rounded) and as an integer (floats: ERR_FORMAT unless whole). */
double npy_double(const struct npy *a, int64_t i);
int npy_int(const struct npy *a, int64_t i, const char *name, int64_t *out, struct err *err);
/* "float32 [10000, 10]" */
void npy_describe(const struct npy *a, char out[200]);

/* An archive's arrays in the order of its directory; file is borrowed while it is open.  A lone .npy is an archive of one, "array". */
struct npz { struct zip zip; const void *data; size_t n; const char *name; int n_array; };      /* zip.member NULL: a lone array */
int npz_open(struct npz *z, const void *file, size_t n, const char *name, struct err *err);
void npz_close(struct npz *z);
const char *npz_name(const struct npz *z, int i);                                   /* without ".npy" */
int npz_find(const struct npz *z, const char *name);                                /* -1: none */
int npz_read(const struct npz *z, int i, struct npy *out, struct err *err);

#endif
