/* idx.h - arrays of bytes in idx form, the form of MNIST's files, plain or gzip.
 *
 *   0  two zero bytes    2  0x08: unsigned bytes    3  rank    4  rank big-endian u32: the sizes    then the bytes, last size fastest */
#ifndef DATA_IDX_H
#define DATA_IDX_H
#include <stdint.h>
#include "base/buf.h"

#define IDX_RANK_MAX 4
#define IDX_BYTES_MAX ((size_t)4 << 30)      /* of what a file holds, unpacked */

struct idx { int rank; int64_t size[IDX_RANK_MAX]; struct buf bytes; };      /* bytes: the elements alone */

/* A file that is shorter or longer than its sizes say, or no idx file of bytes, is ERR_FORMAT or ERR_CORRUPT, by its name.  Memory is
 * taken as the bytes come, never for what a header says. */
int idx_read(struct idx *x, const char *path, struct err *err);
int idx_parse(struct idx *x, const void *file, size_t n, const char *name, struct err *err);
void idx_release(struct idx *x);
/* The first bytes of an array of images: how many, and rows and columns of each, at most IDX_SIDE_MAX. */
#define IDX_HEADER 16
#define IDX_SIDE_MAX 16384
int idx_images(const void *file, size_t n, int64_t *n_image, int size[2], struct err *err);
#endif
