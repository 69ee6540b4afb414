/* rope.h - rotary positions: the settings as config.json spells them, and the frequencies they mean.
 *
 * The angle of pair i at position p is p * frequency[i]; cosines and sines are multiplied by one factor.  What a file says as
 * rope_scaling + rope_theta or as the newer rope_parameters becomes one struct.  Formulas: linear arXiv:2306.15595; dynamic NTK
 * as in Hugging Face's modeling_rope_utils.py; yarn arXiv:2309.00071; longrope arXiv:2402.13753; llama3 as Meta's code.
 *
 * dynamic and longrope depend on how long a text is.  Ours depends on how long it may become (`longest`), so that a position's
 * numbers never change while a text grows, and keys in a cache stay right. */
#ifndef MODEL_ROPE_H
#define MODEL_ROPE_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

#define ROPE_KINDS(X) \
    X(ROPE_PLAIN, "default") X(ROPE_LINEAR, "linear") X(ROPE_DYNAMIC, "dynamic") X(ROPE_YARN, "yarn") X(ROPE_LLAMA3, "llama3") X(ROPE_LONG, "longrope")
#define X(name, word) name,
enum rope_kind { ROPE_KINDS(X) N_ROPE_KIND };
#undef X
const char *rope_kind_name(enum rope_kind k);

#define ROPE_PAIRS_MAX 512
#define ROPE_LIST_MAX 128      /* factors of longrope, one for each pair */
struct rope_config {
    double theta;
    enum rope_kind kind;
    double factor;                     /* 0: ctx / original_ctx */
    int original_ctx;                  /* positions before scaling; 0: the model's ctx */
    double low_freq, high_freq;        /* llama3 */
    double beta_fast, beta_slow, mscale, mscale_all_dim;       /* yarn; mscale 0: not said */
    bool truncate;                     /* yarn: the ramp begins and ends at whole pairs */
    double attention_factor;           /* yarn, longrope: of cosine and sine; 0: by the formula */
    int n_list;
    double short_factor[ROPE_LIST_MAX], long_factor[ROPE_LIST_MAX];
};

struct rope_config rope_plain(double theta);
/* Reads the settings object o (the value of rope_scaling or rope_parameters, or one layer kind's part of it) over *r; sets
 * *share where it says partial_rotary_factor.  A setting we do not know, or a missing one that its kind needs, is an error.
 * key and where lead the messages. */
int rope_read(struct rope_config *r, double *share, const json_t *o, const char *key, const char *where, struct err *err);
/* d_rot: numbers of a head that turn, even and 2 to 2 * ROPE_PAIRS_MAX. */
int rope_check(const struct rope_config *r, int d_rot, int ctx, const char *where, struct err *err);
/* Appends the object that rope_read() reads back as *r, without theta. */
int rope_write(const struct rope_config *r, struct buf *out, struct err *err);

/* frequency[d_rot / 2]; returns the factor of cosines and sines.  ctx: the model's; longest: no text will be longer. */
double rope_frequencies(const struct rope_config *r, int d_rot, int ctx, int64_t longest, double *frequency);
/* What multiplies attention's scale: mscale_all_dim's part of yarn (DeepSeek), else 1. */
double rope_scale_factor(const struct rope_config *r, int ctx);
#endif
