/* class_texts.h - texts with labels for a run that trains a head for classes: token files, and rows of batches. */
#ifndef TRAIN_CLASS_TEXTS_H
#define TRAIN_CLASS_TEXTS_H
#include "data/loader.h"
#include "model/decoder.h"
#include "model/labels.h"
#include "train/prepare.h"

struct class_texts {
    const struct shard *shard[2];        /* train, valid: the run's; a sequence for each text.  [1] NULL: none */
    int32_t *label[2];                   /* of each text */
    int longest;                         /* tokens of the longest text of both sets */
    double mean, n_key;                  /* tokens of a text, keys that a token sees, on average over train */
};

/* Reads the files of the settings (labelled.h), makes or loads the tokenizer, and writes OUT/data/train.tok and valid.tok, which *p then
 * holds.  A text has what the tokenizer puts around it, and at most train.ctx tokens: else data.too_long decides.  c->ctx becomes the
 * longest text's. */
int class_texts_prepare(struct class_texts *t, struct prepared *p, struct train_config *c, const char *where, const char *out, struct labels *names, bool fixed, struct err *err);
void class_texts_release(struct class_texts *t);
/* The tokens of text i of set 0 or 1 as the next sequence of the batch, into the inputs of d. */
void class_texts_put(const struct class_texts *t, int set, int64_t i, const struct decoder *d, struct batch *b);

#endif
