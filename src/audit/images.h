/* images.h - what is stored of an image, and what is said of all of them.
 *
 * Copies are found by the SHA-256 of size and pixels, like those of texts.  look: a difference hash (D. Krawetz, "Kind of like that",
 * 2013): the image's grey in 8 rows of 9 cells, a bit for each cell whose right neighbour is brighter; images of one look are often one
 * image, saved twice or scaled.  0 of an image with a side under 32: of so few pixels looks are the same by chance. */
#ifndef AUDIT_IMAGES_H
#define AUDIT_IMAGES_H
#include "base/buf.h"
#include "base/hash.h"
#include "data/image.h"

#define IMAGE_LOOK_SIDE 32
struct image_facts { int32_t height, width, n_channel, zero; uint64_t look; };
struct image_facts image_facts_of(const struct image *x);
/* Appends the mean greys of each channel in a grid of 8 by 8 (zeros where the image has fewer rows or columns), by which images are compared (neighbours.h). */
#define IMAGE_CELLS_SIDE 8
int image_cells(const struct image *x, struct buf *out, struct err *err);
int image_sha256(const struct image *x, unsigned char sum[SHA256_BYTES], struct err *err);

#endif
