/* images.h - a classifier of images on sets of them: what it says of each as it is, corrupted and attacked; logits and features
 * of images that belong to none of its classes, for eval/detect.h.
 *
 * What is told of an image is a function of (seed, item) and the model: not of the threads or the batch.  Results are trees of numbers, of
 * shares of images with Wilson's intervals.  One thread, as a classifier. */
#ifndef EVAL_IMAGES_H
#define EVAL_IMAGES_H
#include <jansson.h>
#include "base/pool.h"
#include "data/image_set.h"
#include "eval/attack.h"
#include "eval/corrupt.h"

/* progress: of `all` images of what is done now; a non-zero return ends it with ERR_STOPPED.  May be NULL. */
struct images_opts { uint64_t seed; struct pool *pool; int (*progress)(void *ctx, const char *what, int64_t done, int64_t all); void *ctx; };

/* path: a folder whose folders are the classes, or IMAGES,LABELS in idx form.  Images are of the model's channels and size.  labelled: their
 * classes are the model's, by name or number; else any.  Close by image_set_close(). */
int images_open(struct image_set *out, const char *path, const struct classifier *c, bool labelled, struct err *err);

/* Of the first n images: logits [n][K].  strength 0: as they are, else changed by the family. */
int images_logits(struct classifier *c, const struct image_set *s, int64_t n, enum corrupt_family f, int strength, float *logits, const struct images_opts *o, struct err *err);
/* The same of images as they are, with what the head for classes reads: features [n][classifier_n_feature()] (a classifier opened for them; NULL: not wanted). */
int images_features(struct classifier *c, const struct image_set *s, int64_t n, float *logits, float *features, const struct images_opts *o, struct err *err);

/* { "accuracy", "families": { NAME: [ accuracy by strength .. ] }, "mean", "retained" (mean / accuracy), "worst": { "family", "strength", "accuracy" } },
 * clean: logits of the images as they are. */
int images_corruptions(json_t **out, struct classifier *c, const struct image_set *s, int64_t n, const float *clean, const struct images_opts *o, struct err *err);

/* { "eps", "accuracy", "attacks": { NAME: { "steps", "starts", "n" (images that were right before), "fooled", "success_rate", "accuracy" (that
 *   neither it nor the image itself fools), "queries_mean" (of those fooled), "no_slope" } .. },
 *   "robust_accuracy" (right under all of them), "ci95", "warnings": [ .. ] }
 * Each attack is put to the images that are right as they are. */
int images_attacks(json_t **out, struct classifier *c, const struct image_set *s, int64_t n, const struct attack *how, int n_attack, const struct images_opts *o, struct err *err);
#endif
