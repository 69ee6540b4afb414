/* classes.h - the labelled data of a run that trains a head for classes: prepared, and batches of it.
 *
 * Everything about sample s of the run is a function of (seed, s): which image it is (an epoch is a permutation of the images), how it
 * is shifted and whether it is turned left to right, and with which other image it is mixed in which share (mixup, arXiv:1710.09412:
 * the share is drawn from Beta(a, a) for each sample by itself).  What a batch holds does not depend on how batches are cut. */
#ifndef TRAIN_CLASSES_H
#define TRAIN_CLASSES_H
#include "base/pool.h"
#include "data/image_set.h"
#include "data/loader.h"
#include "model/decoder.h"
#include "model/vision.h"
#include "train/config.h"

struct classes {
    struct image_set train, valid;       /* valid.n 0: what is held out is part of train */
    struct labels names;
    struct vision vision;
    int64_t n_train, n_valid;            /* images to train on, held out */
    uint64_t split, order, augment;      /* keys */
    float value[VISION_CHANNEL_MAX][256];/* what a byte of a channel becomes */
};

/* Reads the images that the settings name into OUT/data/train.img and valid.img, and fits the model to them where the settings leave
 * that open: image_size, num_channels and the classes.  *k is zeroed by the caller, and must outlive c->model, which borrows names. */
int classes_prepare(struct classes *k, struct train_config *c, const char *where, const char *out, struct err *err);
void classes_release(struct classes *k);
/* Adds what decides the run's numbers, beside train.img and the model. */
int classes_digest(const struct classes *k, const struct train_config *c, struct buf *b, struct err *err);

/* Number of sample s in train.img. */
int64_t classes_image(const struct classes *k, uint64_t sample);
/* Micro-batch number i of n images into the inputs of d, and its sequences into *b. */
void classes_batch(const struct classes *k, const struct train_config *c, struct pool *pool, int64_t i, int64_t n, const struct decoder *d, struct batch *b);
/* Batch number i of up to n held-out images, as they are: their labels in label[].  Returns how many, 0 after the last. */
int classes_pass(const struct classes *k, const struct train_config *c, struct pool *pool, int64_t i, int64_t n, const struct decoder *d, struct batch *b, int32_t *label);

#endif
