/* image_set.h - labelled images of one size in a file that training maps.
 *
 *   offset  0  "LATHEIMG"      8  u32 version 1     12  u32 channels     16  u32 size     20  u32 number of classes
 *          24  u64 number of images                 32  zeros to 64      then i32 label of each, zeros to a multiple of 64,
 *          and of each image [channels][size][size] bytes */
#ifndef DATA_IMAGE_SET_H
#define DATA_IMAGE_SET_H
#include "base/file.h"
#include "data/image.h"
#include "model/labels.h"

struct image_set { struct file_map map; int n_channel, size, n_label; int64_t n; const int32_t *label; const uint8_t *pixels; };

/* Where images come from and what they are made: one folder, whose folders are the classes and hold PNG and JPEG files; or two idx
 * files, images [n,height,width] and labels [n].  n_channel and size 0 follow the data - 3 for a folder, 1 for idx, the first
 * image's size - and are set. */
struct image_source { const char *const *path; int n_path; int n_channel, size; enum image_fit fit; };

/* names: with `fixed` the classes that there are, by whose order labels go; else they are added, in byte order of the folders, or as
 * the numbers 0 .. the highest label.  A label or folder that is no class, an image that does not fit, a folder without images and a
 * file that is no image are errors that name it. */
int image_set_write(const char *out, struct image_source *s, struct labels *names, bool fixed, struct err *err);
int image_set_open(struct image_set *s, const char *path, struct err *err);
void image_set_close(struct image_set *s);
static inline const uint8_t *image_set_pixels(const struct image_set *s, int64_t i) { return s->pixels + i * s->n_channel * s->size * s->size; }
#endif
