/* vision.h - what an image becomes on its way into a model, as preprocessor_config.json says it (Hugging Face's ViTImageProcessor).
 *
 * A channel's number 0 .. 255 becomes (x / 255 - mean) / std.  A patch is one row of numbers: channel by channel, in a channel row
 * by row; patches go row by row. */
#ifndef MODEL_VISION_H
#define MODEL_VISION_H
#include "base/buf.h"
#include "model/config.h"

#define VISION_CHANNEL_MAX 16
struct vision { double mean[VISION_CHANNEL_MAX], std[VISION_CHANNEL_MAX]; };

/* From FOLDER/preprocessor_config.json; where that is missing, mean and std are 0.5 as in the class.  A kind of processing that is
 * not this, or another size than the model's, is ERR_UNSUPPORTED or ERR_FORMAT. */
int vision_load(struct vision *v, const struct config *c, const char *folder, struct err *err);
int vision_write(const struct vision *v, const struct config *c, struct buf *out, struct err *err);

/* Where number (channel, y, x) of an image stands in its n_patch * patch_numbers floats. */
static inline int64_t vision_place(const struct config *c, int channel, int y, int x)
{
    const int P = c->patch_size, across = c->image_size / P;
    return ((int64_t)(y / P * across + x / P) * c->n_channel + channel) * P * P + y % P * P + x % P;
}
/* A whole image: pixels [channels][size][size]. */
void vision_patches(const struct vision *v, const struct config *c, const uint8_t *pixels, float *out);
#endif
