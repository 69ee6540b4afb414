/* prepare.h - from the texts that the settings name to token files: the part of a run before its plan. */
#ifndef TRAIN_PREPARE_H
#define TRAIN_PREPARE_H
#include "data/shard.h"
#include "train/config.h"

struct prepared { struct tok *tok; char tok_sha256[SHA256_HEX]; struct shard train, valid; };      /* valid.n is 0 when nothing is held out */

/* Token files (data/shard.h) instead of texts, those of a build or of another run, are put together and not encoded anew.
 * Loads or learns the tokenizer, fits the model's vocabulary to it where the settings leave that open, writes and opens
 * OUT/data/train.tok and valid.tok.  *p is zeroed by the caller; where names the settings in messages. */
int prepare_data(struct prepared *p, struct train_config *c, const char *where, const char *out, struct err *err);
/* The tokenizer alone: read, or made from the texts, with the model's vocabulary fitted to it. */
int prepare_tokenizer(struct prepared *p, struct train_config *c, const char *where, const struct tok_text *text, int n, struct err *err);
void prepare_release(struct prepared *p);

#endif
