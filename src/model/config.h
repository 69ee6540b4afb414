/* config.h - what a decoder model is: one flat description, by sizes and flags rather than by family.
 *
 * Read from a Hugging Face config.json and written back as one of the same family; their spelling of a key is translated
 * here and nowhere else.  A family fixes some fields (gpt2 has learned positions) and names the others; "lathe_gpt" is our
 * own family and fixes none.  A struct config that passed config_validate() has sizes whose products fit in 63 bits. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "model/safetensors.h"

/* name, model_type, class in "architectures" */
#define FAMILIES(X) \
    X(GPT2, "gpt2", "GPT2LMHeadModel") \
    X(LLAMA, "llama", "LlamaForCausalLM") \
    X(MIXTRAL, "mixtral", "MixtralForCausalLM") \
    X(OLMOE, "olmoe", "OlmoeForCausalLM") \
    X(LATHE_GPT, "lathe_gpt", "LatheForCausalLM")
enum family {
#define X(name, type, class) FAMILY_##name,
    FAMILIES(X)
#undef X
    N_FAMILY
};

/* The words are those of lathe_gpt's keys and of `lathe info`. */
#define NORM_KINDS(X) X(NORM_LAYER, "layernorm") X(NORM_RMS, "rmsnorm")
#define ACT_KINDS(X) X(ACT_GELU, "gelu") X(ACT_GELU_TANH, "gelu_tanh") X(ACT_SWIGLU, "swiglu")
#define POS_KINDS(X) X(POS_LEARNED, "learned") X(POS_ROPE, "rope")
#define QK_NORM_KINDS(X) X(QK_NORM_NONE, "none") X(QK_NORM_HEAD, "head") X(QK_NORM_FULL, "full")
#define X(name, word) name,
enum norm_kind { NORM_KINDS(X) N_NORM_KIND };
enum act_kind { ACT_KINDS(X) N_ACT_KIND };           /* swiglu: silu(gate) * up, two matrices up */
enum pos_kind { POS_KINDS(X) N_POS_KIND };
enum qk_norm_kind { QK_NORM_KINDS(X) N_QK_NORM_KIND };      /* RMSNorm of q and k: over a head, over all heads */
#undef X
const char *family_name(enum family f);              /* the model_type */
const char *norm_kind_name(enum norm_kind k);
const char *act_kind_name(enum act_kind k);
const char *pos_kind_name(enum pos_kind k);
const char *qk_norm_kind_name(enum qk_norm_kind k);

#define CONFIG_EOS_MAX 16
struct config {
    enum family family;
    int vocab_size, n_layer, d_model, ctx;           /* ctx: positions the model was made for */
    int n_head, n_kv_head, d_head;                   /* n_head * d_head need not be d_model */
    int d_ff;                                        /* of dense layers; 0 when there are none */
    enum norm_kind norm;
    double norm_eps;
    bool norm_bias, linear_bias;                     /* linear_bias: all of attention and dense MLP; not router, experts, head */
    enum act_kind act;
    enum pos_kind pos;
    double rope_theta;
    enum qk_norm_kind qk_norm;
    bool tie_embeddings;                             /* head.w is embed */
    int n_expert, top_k, d_ff_expert;                /* n_expert 0: dense */
    bool norm_topk;                                  /* gates are renormalised over the chosen experts */
    double aux_loss, z_loss;                         /* coefficients, used in training */
    double dropout, init_std;
    int bos_id, eos_id[CONFIG_EOS_MAX], n_eos;       /* bos_id -1: none */
    enum st_dtype dtype;                             /* of the weights in the file, as config.json tells */
};

/* Each fills *c, validates it, and appends to warnings (may be NULL) one line, with newline, for each key that was not
 * used and is not known to be harmless.  A key that changes the maths in a way we do not implement is an error.
 * where leads the messages. */
int config_read(struct config *c, const json_t *root, const char *where, struct buf *warnings, struct err *err);
int config_parse(struct config *c, const char *text, size_t n, const char *where, struct buf *warnings, struct err *err);
int config_load(struct config *c, const char *path, struct buf *warnings, struct err *err);    /* config.json, or its folder */

/* Also checks that the family can say what *c says. */
int config_validate(const struct config *c, const char *where, struct err *err);

/* *c must be valid.  Appends config.json of c->family; the same bytes for the same *c. */
int config_write(const struct config *c, struct buf *out, struct err *err);

/* Learned numbers of a valid *c: all, and those used for one token (top_k of the experts).  Either may be NULL. */
void config_params(const struct config *c, int64_t *total, int64_t *active);

static inline bool config_gated(const struct config *c) { return c->act == ACT_SWIGLU; }
static inline int config_qkv_rows(const struct config *c) { return (c->n_head + 2 * c->n_kv_head) * c->d_head; }
#endif
