/* checkpoint.h - the state of a run in a folder, complete or not there at all.
 *
 *   DIR/step-00000100/model.safetensors  config.json  tokenizer.json      a model folder that can be used as it is
 *      or, of adapters, adapter_model.safetensors  adapter_config.json  alone (model/adapter.h)
 *                     optimizer.safetensors                               m.<weight>, (AdamW's) v.<weight>, (train.ema) average.<weight>
 *                     state.json       step, counters, the doctor's windows, digest of the settings, SHA-256 of every tensor of both files,
 *                                      and of all that is in it
 *   DIR/latest                         the name of the newest
 * A checkpoint is written under another name, flushed, read back and compared, renamed, and then named in latest: a crash, a full
 * disk or one that keeps other bytes leaves the previous one in place.  Of a model that several processes hold in parts
 * (decoder.h) it is the same: whole tensors, one at a time.  Loading checks the SHA-256 of state.json and of every
 * tensor, and names what differs. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H
#include "base/buf.h"
#include "base/hash.h"
#include "model/decoder.h"
#include "model/tok.h"
#include "train/doctor.h"

struct train_state {
    int64_t step;                /* updates done or skipped: the next step's number */
    int64_t n_skipped, n_bad;    /* steps skipped for non-finite numbers: all, and in a row up to now */
    int64_t n_update;            /* updates done: the optimiser's t */
    int64_t shift, n_shift;      /* steps whose data was left out by going back; how often that was */
    int64_t n_rollback;          /* how often the run went back, for whatever reason */
    int64_t n_evaluated, n_worse, best_step, best_kept; double best_loss;      /* early stopping: evaluations, those since the lowest loss; where it was; of which step OUT/best is, 0: none could be written */
    struct doctor doctor;
    char device[32];             /* the architecture of the device that computes the run; empty: the host */
    char settings[SHA256_HEX];   /* of what decides the numbers of the run */
};

/* Of those before, keep - 1 stay, and the last one of a multiple of `every` steps (0: none in particular). */
int checkpoint_save(const char *dir, const struct decoder *d, const struct weights_list *l, const struct tok *tok,
                    const struct train_state *s, int keep, int64_t every, struct err *err);
bool checkpoint_is_there(const char *dir, int64_t step);
#define CHECKPOINT_LATEST (-1)
/* Fills weights, m and v of d, which is bound, and *s, from the checkpoint of `step`, or that latest names; when that is damaged, from the newest
 * before it that is whole, which leads to the same numbers: passed then gets the message that says what was found.  ERR_NOTFOUND
 * when there is no checkpoint, which leaves everything as it was; when all are damaged, what the newest has. */
int checkpoint_load(const char *dir, int64_t step, struct decoder *d, const struct weights_list *l, struct train_state *s, struct buf *passed, struct err *err);
/* The model alone: model.safetensors, config.json, tokenizer.json or preprocessor_config.json in a folder that is there; or its adapters. */
int model_save(const char *dir, struct decoder *d, const struct weights_list *l, const struct tok *tok, struct weight_digest **digest,
               int *n_digest, struct err *err);

#endif
