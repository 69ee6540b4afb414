/* config.h - the settings of a training run, read from one YAML or JSON file.
 *
 *   model:  a config.json of any supported family as a mapping, or from: a model folder or GGUF file whose weights are continued
 *   data:   train, valid (a path or a list of paths), valid_share, tokenizer, vocab_size, what records.h tells of records, and of images labels, fit, shift, flip
 *   lora:   adapters instead of weights (tune.h)
 *   privacy: records cannot be told from the weights (privacy.h)
 *   upcycle: the model that the run goes on from becomes a mixture of experts (upcycle.h)
 *   train:  steps, batch, ctx, ... (train_keys in config.c: one row each, which also makes the documentation)
 * An unknown key is an error that offers the nearest one. */
#ifndef TRAIN_CONFIG_H
#define TRAIN_CONFIG_H
#include <jansson.h>
#include "base/opt.h"
#include "model/config.h"
#include "model/weights.h"
#include "nn/graph.h"
#include "train/privacy.h"
#include "train/schedule.h"
#include "train/tune.h"
#include "train/upcycle.h"

struct train_config {
    struct config model;
    const char *from;                            /* model folder or GGUF file, or NULL */
    struct tune tune;                            /* section lora */
    struct privacy privacy;                      /* section privacy */
    struct upcycle upcycle;                      /* section upcycle */
    bool size_given, channels_given;             /* the settings say image_size, num_channels; else they follow the images */
    bool vocab_given;                            /* the settings say vocab_size; else it follows the tokenizer */
    const json_t *train_paths, *valid_paths;     /* arrays of strings; valid_paths may be NULL */
    const json_t *labels;                        /* array of strings, or NULL: names of the classes */
    double valid_share;
    const char *fit;                             /* "refuse", "stretch" or "crop" */
    int64_t shift;
    bool flip;
    double mixup, label_smoothing;
    struct { double eps, step; int64_t n_step; } adversarial;      /* images; eps 0: none */
    const char *tokenizer;                       /* "bpe", "bytes" or a path */
    int64_t vocab_size;
    const char *form, *fields, *template, *too_long, *bad_records;       /* of records (data/records.h); fields and template may be NULL */
    const char *audit, *override;                /* gate.h; NULL */
    bool pack, overlap, expert_parallel;
    double epochs;                               /* 0: steps says how long */
    int64_t steps, batch, ctx, accumulate, slices, tensor_parallel, warmup, seed, eval_every, eval_tokens, save_every, keep, verify_every, patience, sample_every;
    double lr, min_lr_share, decay_share, beta1, beta2, eps, weight_decay, muon_lr, muon_weight_decay, momentum, clip, ema, router_bias_rate, memory, time_limit;
    const char *objective;                       /* "likelihood" or "dpo" (prefer.h), with beta */
    double beta;
    const char *optimizer, *optimizer_state, *schedule, *precision, *recompute, *save, *on_spike, *sample_prompt;
    bool second;                                 /* of several processes not the first, which cleans up: files under way are left alone */
    json_t *root;                                /* owns what the pointers point to */
};

int train_config_load(struct train_config *c, const char *path, struct err *err);
/* Sets steps, and what follows from them, where the settings give epochs instead. */
int train_config_epochs(struct train_config *c, int64_t n_window, const char *path, struct err *err);
void train_config_release(struct train_config *c);
struct schedule train_schedule(const struct train_config *c);
enum dtype train_compute(const struct train_config *c);
enum recompute train_recompute(const struct train_config *c);      /* of auto, until it is decided: none */
struct division train_division(const struct train_config *c);          /* of the layers, by train.tensor_parallel; i 0 */
bool train_prefers(const struct train_config *c);      /* from pairs: objective dpo */
enum optimizer train_optimizer(const struct train_config *c);
enum dtype train_state_type(const struct train_config *c);       /* of the optimiser */
/* Does the run train a head for classes?  Of texts where data.form is label or the model has one. */
bool train_classifies(const struct train_config *c);
/* Rows of the sections, for documentation; the values are those of *c. */
#define TRAIN_KEYS_MAX 64
void train_config_keys(struct train_config *c, struct opt data[TRAIN_KEYS_MAX], struct opt train[TRAIN_KEYS_MAX]);
/* Sets what a file may leave out. */
void train_config_defaults(struct train_config *c);

#endif
