/* image.h - PNG and JPEG files as planes of bytes, and one image made to fit a square. */
#ifndef DATA_IMAGE_H
#define DATA_IMAGE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

#define IMAGE_SIDE_MAX 16384
#define IMAGE_PIXELS_MAX ((int64_t)1 << 25)

struct image { int n_channel, height, width; uint8_t *pixels; };      /* [n_channel][height][width]; release by image_release */

/* By its first bytes.  n_channel: 1, grey (0.299 R + 0.587 G + 0.114 B), or 3.  Transparency is left out.  What is damaged, cut off,
 * larger than the above or of another form is an error by its name. */
int image_decode(struct image *x, const void *file, size_t n, int n_channel, const char *name, struct err *err);
int image_read(struct image *x, const char *path, int n_channel, struct err *err);
void image_release(struct image *x);
bool image_is_file(const char *name);      /* by the name's end: .png .jpg .jpeg */

/* What to do with an image that is not size by size: nothing, which is an error; stretch both sides; or stretch the shorter side
 * and cut the longer one's ends off.  Numbers are weighed by triangles as wide as what one number stands for (Pillow's BILINEAR). */
#define IMAGE_FITS(X) X(IMAGE_REFUSE, "refuse") X(IMAGE_STRETCH, "stretch") X(IMAGE_CROP, "crop")
#define X(name, word) name,
enum image_fit { IMAGE_FITS(X) N_IMAGE_FIT };
#undef X
int image_fit(const struct image *x, enum image_fit fit, int size, uint8_t *out, const char *name, struct err *err);
#endif
