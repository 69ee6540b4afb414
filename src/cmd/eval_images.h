/* eval_images.h - lathe eval --images: a classifier of images, as it is, corrupted, attacked, and before images of none of its classes. */
#ifndef CMD_EVAL_IMAGES_H
#define CMD_EVAL_IMAGES_H
#include <stdint.h>
#include "base/err.h"
#include "base/opt.h"

#define EVAL_IMAGES_EPS (8.0 / 255)
struct eval_images {
    const char *path;                /* of the images (eval/images.h) */
    struct opt_list ood;             /* the same: of others */
    const char *fit;                 /* the same: what detectors of features are fitted to; NULL: there are none */
    const char *features_out, *out;  /* .npz of logits and features, folder of evidence; NULL: none */
    const char *attacks;             /* names, or "all"; NULL: none */
    double eps;                      /* of attacks; another than EVAL_IMAGES_EPS was asked for */
    bool corruptions;
    int64_t limit, seed;             /* limit 0: all images */
};
/* Is the first of these names that of an attack on images? */
bool eval_images_attack(const char *names);
int eval_images(const char *model, const struct eval_images *o, struct err *err);
#endif
