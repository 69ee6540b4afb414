/* classes.h - the labelled data of a run that trains a head for classes, images or texts: prepared, and batches of it.
 *
 * Everything about sample s of the run is a function of (seed, s): which image or text it is (an epoch is a permutation of them), how an
 * image is shifted and whether it is turned left to right, and with which other image it is mixed in which share (mixup,
 * arXiv:1710.09412: the share is drawn from Beta(a, a) for each sample by itself).  What a batch holds does not depend on how batches
 * are cut. */
#ifndef TRAIN_CLASSES_H
#define TRAIN_CLASSES_H
#include "base/pool.h"
#include "data/image_set.h"
#include "data/loader.h"
#include "model/decoder.h"
#include "model/vision.h"
#include "train/class_texts.h"
#include "train/config.h"

struct classes {
    struct image_set train, valid;       /* of images; valid.n 0: what is held out is part of train */
    struct class_texts texts;            /* of texts */
    struct labels names;
    struct vision vision;
    const int32_t *label[2];             /* of the samples of train, of valid (NULL: held out of train) */
    int64_t n_all, n_train, n_valid;     /* samples of train; to train on; held out */
    uint64_t split, order, augment;      /* keys */
    float value[VISION_CHANNEL_MAX][256];/* what a byte of a channel becomes */
};

/* Reads the images that the settings name into OUT/data/train.img and valid.img, or the texts into train.tok and valid.tok, which *p
 * holds then with the tokenizer, and fits the model to them where the settings leave that open: image_size, num_channels, the
 * vocabulary and the classes.  *k is zeroed by the caller, and must outlive c->model, which borrows names. */
int classes_prepare(struct classes *k, struct prepared *p, struct train_config *c, const char *where, const char *out, struct err *err);
void classes_release(struct classes *k);
/* Adds what decides the run's numbers, beside the file of samples and the model. */
int classes_digest(const struct classes *k, const struct train_config *c, struct buf *b, struct err *err);
/* What a plan asks of a loader. */
struct loader classes_loader(const struct classes *k, const struct train_config *c);
double classes_mean_tokens(const struct classes *k, const struct train_config *c);      /* of a sample */

/* Number of sample s in the file of samples. */
int64_t classes_place(const struct classes *k, uint64_t sample);
/* Micro-batch number i of n samples into the inputs of d, and its sequences into *b. */
void classes_batch(const struct classes *k, const struct train_config *c, struct pool *pool, int64_t i, int64_t n, const struct decoder *d, struct batch *b);
/* Samples which[] of those to train on, each from 0 to n_train - 1: what chance does to sample i is a function of (seed, at + i). */
void classes_records(const struct classes *k, const struct train_config *c, struct pool *pool, const int64_t *which, int n, uint64_t at, const struct decoder *d, struct batch *b);
int classes_record_tokens(const struct classes *k, const struct train_config *c, int64_t i);
/* Batch number i of up to n held-out samples, as they are: their labels in label[].  Returns how many, 0 after the last. */
int classes_pass(const struct classes *k, const struct train_config *c, struct pool *pool, int64_t i, int64_t n, const struct decoder *d, struct batch *b, int32_t *label);

#endif
