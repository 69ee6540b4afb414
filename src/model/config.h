/* config.h - what a model is: one flat description, by sizes and flags rather than by family.
 *
 * Read from a Hugging Face config.json and written back as one of the same family; their spelling of a key is translated
 * here and nowhere else.  A family fixes some fields (gpt2 has learned positions) and names the others; "lathe_gpt" is our
 * own family and fixes the fewest.  A struct config that passed config_validate() has sizes whose products fit in 63 bits. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "model/rope.h"
#include "model/safetensors.h"

/* name, model_type, class in "architectures" */
#define FAMILIES(X) \
    X(GPT2, "gpt2", "GPT2LMHeadModel") \
    X(GPT_NEOX, "gpt_neox", "GPTNeoXForCausalLM") \
    X(LLAMA, "llama", "LlamaForCausalLM") \
    X(MISTRAL, "mistral", "MistralForCausalLM") \
    X(MIXTRAL, "mixtral", "MixtralForCausalLM") \
    X(QWEN2, "qwen2", "Qwen2ForCausalLM") \
    X(QWEN2_MOE, "qwen2_moe", "Qwen2MoeForCausalLM") \
    X(QWEN3, "qwen3", "Qwen3ForCausalLM") \
    X(QWEN3_MOE, "qwen3_moe", "Qwen3MoeForCausalLM") \
    X(OLMO, "olmo", "OlmoForCausalLM") \
    X(OLMO2, "olmo2", "Olmo2ForCausalLM") \
    X(OLMOE, "olmoe", "OlmoeForCausalLM") \
    X(GEMMA, "gemma", "GemmaForCausalLM") \
    X(GEMMA2, "gemma2", "Gemma2ForCausalLM") \
    X(GEMMA3, "gemma3_text", "Gemma3ForCausalLM") \
    X(PHI3, "phi3", "Phi3ForCausalLM") \
    X(SMOLLM3, "smollm3", "SmolLM3ForCausalLM") \
    X(GPT_OSS, "gpt_oss", "GptOssForCausalLM") \
    X(DEEPSEEK2, "deepseek_v2", "DeepseekV2ForCausalLM") \
    X(DEEPSEEK3, "deepseek_v3", "DeepseekV3ForCausalLM") \
    X(BERT, "bert", "BertModel") \
    X(ROBERTA, "roberta", "RobertaModel") \
    X(XLM_ROBERTA, "xlm-roberta", "XLMRobertaModel") \
    X(DISTILBERT, "distilbert", "DistilBertModel") \
    X(MODERNBERT, "modernbert", "ModernBertModel") \
    X(VIT, "vit", "ViTModel") \
    X(LATHE_GPT, "lathe_gpt", "LatheForCausalLM")
enum family {
#define X(name, type, class) FAMILY_##name,
    FAMILIES(X)
#undef X
    N_FAMILY
};
/* Sets of families, for tables. */
enum {
#define X(name, type, class) F_##name = 1 << FAMILY_##name,
    FAMILIES(X)
#undef X
    F_ALL = (1 << N_FAMILY) - 1,
    F_DEEPSEEKS = F_DEEPSEEK2 | F_DEEPSEEK3,
    F_GEMMAS = F_GEMMA | F_GEMMA2 | F_GEMMA3,
    F_BERTS = F_BERT | F_ROBERTA | F_XLM_ROBERTA | F_DISTILBERT,
    F_ENCODERS = F_BERTS | F_MODERNBERT,
};

/* The words are those of lathe_gpt's keys and of `lathe info`. */
#define NORM_KINDS(X) X(NORM_LAYER, "layernorm") X(NORM_RMS, "rmsnorm")
/* Where norms are: on a branch's input, on its output before the sum, on both, or on the sum. */
#define PLACE_KINDS(X) X(PLACE_BEFORE, "before") X(PLACE_AFTER, "after") X(PLACE_BOTH, "both") X(PLACE_SUM, "sum")
/* Gated ones have two matrices up: f(gate) * up.  swiglu_clamped is gpt-oss's. */
#define ACT_KINDS(X) X(ACT_GELU, "gelu") X(ACT_GELU_TANH, "gelu_tanh") X(ACT_SWIGLU, "swiglu") X(ACT_GEGLU, "geglu") X(ACT_GEGLU_TANH, "geglu_tanh") \
    X(ACT_SWIGLU_CLAMPED, "swiglu_clamped")
#define POS_KINDS(X) X(POS_LEARNED, "learned") X(POS_ROPE, "rope")
#define QK_NORM_KINDS(X) X(QK_NORM_NONE, "none") X(QK_NORM_HEAD, "head") X(QK_NORM_FULL, "full")
/* A softmax over the chosen experts' logits (gpt-oss) is the softmax over all, renormalised. */
#define ROUTER_KINDS(X) X(ROUTER_SOFTMAX, "softmax") X(ROUTER_SIGMOID, "sigmoid")
/* What a head for classes reads: the first token, the last, the mean of the tokens (of an image: but for cls). */
#define LABEL_POOLS(X) X(LABEL_FIRST, "cls") X(LABEL_LAST, "last") X(LABEL_MEAN, "mean")
#define X(name, word) name,
enum norm_kind { NORM_KINDS(X) N_NORM_KIND };
enum place_kind { PLACE_KINDS(X) N_PLACE_KIND };
enum act_kind { ACT_KINDS(X) N_ACT_KIND };
enum pos_kind { POS_KINDS(X) N_POS_KIND };
enum qk_norm_kind { QK_NORM_KINDS(X) N_QK_NORM_KIND };      /* RMSNorm of q and k: over a head, over all heads */
enum router_kind { ROUTER_KINDS(X) N_ROUTER_KIND };
enum label_pool { LABEL_POOLS(X) N_LABEL_POOL };
#undef X
const char *family_name(enum family f);              /* the model_type */
const char *norm_kind_name(enum norm_kind k);
const char *place_kind_name(enum place_kind k);
const char *act_kind_name(enum act_kind k);
const char *pos_kind_name(enum pos_kind k);
const char *qk_norm_kind_name(enum qk_norm_kind k);
const char *router_kind_name(enum router_kind k);

#define CONFIG_EOS_MAX 16
#define CONFIG_LAYER_MAX 1024
enum { LAYER_WINDOW = 1, LAYER_NO_ROPE = 2, LAYER_DENSE = 4, LAYER_ALL = 7 };      /* DENSE: though the model has experts */
struct config {
    enum family family;
    int vocab_size, n_layer, d_model, ctx;           /* ctx: positions the model was made for */
    uint8_t layer[CONFIG_LAYER_MAX];                 /* bits of each layer */
    bool encoder;          /* BERT, ViT: tokens see later ones too, no head of tokens */
    int image_size, patch_size, n_channel;           /* images: square, of square patches, which are the tokens after cls; patch_size 0: texts */
    int n_label;                                     /* a head for so many classes, in place of one for tokens; 0: none */
    enum label_pool label_pool;
    const char *const *label;                        /* [n_label] their names, or NULL; whoever set it owns them */
    int n_type, pos_first; /* encoder: token types (0: none); row of position 0 in the table of learned positions */
    bool embed_scale;      /* embeddings times sqrt(d_model), rounded to bf16 when the file's weights are */
    bool tie_embeddings;                             /* head.w is embed */
    double logit_cap;                                /* cap * tanh(logits / cap); 0: none */
    /* norms */
    enum norm_kind norm;
    enum place_kind place;
    double norm_eps;
    bool norm_gain, norm_bias, norm_plus_one;        /* a weight; a bias; the file has weight - 1 */
    bool parallel;                                   /* MLP and attention both read the layer's input */
    /* attention */
    int n_head, n_kv_head, d_head;                   /* n_head * d_head need not be d_model */
    double qkv_clip;                                 /* q, k and v are cut to +-this; 0: not */
    bool qkv_bias, o_bias, sinks;                    /* sinks: a learned logit of each head that only takes probability */
    enum qk_norm_kind qk_norm;
    double query_scalar;                             /* scores are divided by its root; 0: d_head */
    double score_cap;                                /* as logit_cap, on scores */
    int window;                                      /* layers with LAYER_WINDOW see this many tokens, themselves too, an encoder's as many
                                                        later ones; 0: none */
    int q_rank, kv_rank, d_nope, d_v;                /* MLA (kv_rank > 0): d_head = d_nope + what turns; else d_v = d_head */
    /* positions */
    enum pos_kind pos;
    bool rope_pairs;                                 /* (x0,x1) (x2,x3) ... turn, not (x0, x[d/2]) ... */
    double rope_share;                               /* of a head's numbers that turn */
    struct rope_config rope;
    double rope_local_theta;                         /* layers with a window turn by this, unscaled; 0: as the others */
    /* MLP */
    enum act_kind act;
    int d_ff;                                        /* of dense layers; 0 when there are none */
    bool mlp_bias;
    int n_expert, top_k, d_ff_expert;                /* n_expert 0: dense */
    enum router_kind router;
    bool norm_topk;                                  /* gates are renormalised over the chosen experts */
    bool router_bias, router_correction, expert_bias;      /* correction: added to scores only to choose */
    int n_group, n_group_chosen, group_best;         /* experts are chosen in these groups only, by the sum of their 1 or 2 best; 0: no groups */
    double route_scale;                              /* of the gates */
    int d_ff_shared;                                 /* an expert for every token; 0: none */
    bool shared_gate;                                /* times sigmoid(w x) */
    /* training */
    double aux_loss, z_loss;                         /* coefficients */
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
/* The same as folder/config.json, of weights of that type. */
int config_save(const struct config *c, enum st_dtype dtype, const char *folder, struct err *err);

/* Learned numbers of a valid *c: all, and those used for one token (top_k of the experts).  Either may be NULL. */
void config_params(const struct config *c, int64_t *total, int64_t *active);

/* What a text may be long: ctx, or more where the file scales its RoPE: dynamic and linear ctx times the factor, yarn what it was made for times the
 * factor (as vLLM has it; Gemma 3's ctx has its factor in it). */
int config_ctx_max(const struct config *c);
/* Stretches a valid *c to more positions, as an explicit choice: "linear:4", "dynamic:2", "yarn:4", the factor of ctx. */
int config_stretch(struct config *c, const char *how, struct err *err);
/* NULL, or why this model cannot be trained here, in words. */
const char *config_untrainable(const struct config *c);

static inline bool config_gated(const struct config *c) { return c->act >= ACT_SWIGLU; }
/* The norm of the embedding is a text encoder's last where norms are on the sums, and the first layer's where they are before. */
static inline bool config_vision(const struct config *c) { return c->patch_size > 0; }
static inline bool config_embed_norm(const struct config *c) { return c->encoder && !config_vision(c); }
static inline bool config_label_bias(const struct config *c) { return c->encoder; }
/* BERT's kind: a product and tanh between the first token and the classes. */
static inline bool config_label_pooler(const struct config *c) { return c->n_label && config_embed_norm(c); }
static inline int config_patch_numbers(const struct config *c) { return c->n_channel * c->patch_size * c->patch_size; }
static inline int config_n_patch(const struct config *c) { return (c->image_size / c->patch_size) * (c->image_size / c->patch_size); }
static inline bool config_last_norm(const struct config *c) { return !c->encoder || c->place != PLACE_SUM; }
static inline bool config_norm1(const struct config *c, int layer) { return (c->place == PLACE_BEFORE || c->place == PLACE_BOTH) && !(config_embed_norm(c) && !layer); }
static inline bool config_dense(const struct config *c, int layer) { return !c->n_expert || (c->layer[layer] & LAYER_DENSE); }
static inline int config_qkv_rows(const struct config *c) { return (c->n_head + c->n_kv_head) * c->d_head + c->n_kv_head * c->d_v; }
static inline int config_d_rot(const struct config *c) { return c->kv_rank ? c->d_head - c->d_nope : (int)(c->d_head * c->rope_share + 1e-6); }      /* 30 / 44 of 44 is 30 */
double config_attention_scale(const struct config *c);
#endif
