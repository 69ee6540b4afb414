/* weights.h - which weights a model has, and where each lies in its safetensors file.
 *
 * Inside we keep fused weights, so that one product does the work of several: q, k and v are rows of one matrix, gate and
 * up of another, all experts of a layer are one block.  A file keeps them as Hugging Face's classes name them.  The list
 * says for each weight of ours its shape, how it is initialised, and of which parts of the file it consists.
 *
 *   embed [V,C]                  pos [ctx,C] if learned                    norm.w (.b) [C]        head.w [V,C] unless tied
 *   images, in place of embed: patch.w [C, channels*P*P] (.b), cls [1,C], pos [1+patches,C]; a head for classes: pooler.w [C,C] (.b), label.w [labels,C] (.b)
 *   encoders of texts: type [n_type,C], embed_norm.w (.b) [C], which is the last norm or the first of layer 0 too (config_last_norm)
 *   L.norm1.w (.b) [C]           L.qkv.w [(H+2KV)*D, C] (.b): q rows, k rows, v rows             L.o.w [C, H*Dv] (.b)
 *   L.norm1_out.w (.b), L.norm2_out.w (.b) [C]: after a branch, or after the sum (config's place)
 *   L.q_norm, L.k_norm [D] per head, [H*D], [KV*D] full                    L.norm2.w (.b) [C]    L.sinks [H]
 *   MLA in place of qkv: L.q.w [H*D,C], or L.q_a.w [q_rank,C] (.b), L.q_a_norm [q_rank], L.q_b.w [H*D,q_rank];
 *          L.kv_a.w [kv_rank+Dr,C] (.b), L.kv_a_norm [kv_rank], L.kv_b.w [H*(Dn+Dv),kv_rank]; of a head: what does not turn first
 *   dense: L.up.w [F,C] or L.gate_up.w [2F,C] (.b): gate rows, up rows     L.down.w [C,F] (.b)
 *   MoE:   L.router.w [E,C] (.b) L.correction [E]      L.experts.up.w [E,Fe,C] or L.experts.gate_up.w [E,2Fe,C] (.b [E,2Fe])
 *          L.experts.down.w [E,C,Fe] (.b [E,C])        L.shared.gate_up.w [2Fs,C], L.shared.down.w [C,Fs], L.shared_gate.w [1,C]
 * L is the layer's number: "0.qkv.w".  All are row-major floats in memory.  Where the file has weight - 1 of a norm (Gemma), ours
 * is the weight. */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "base/err.h"
#include "base/hash.h"
#include "model/config.h"
#include "model/safetensors.h"

struct source;

#define WEIGHT_RANK_MAX 3
#define PART_RANK_MAX 4
#define WEIGHT_NAME_MAX 48
#define PART_NAME_MAX 128

enum weight_init { INIT_NORMAL, INIT_ONES, INIT_ZEROS };
struct weight {
    char name[WEIGHT_NAME_MAX];
    int rank;
    int64_t shape[WEIGHT_RANK_MAX], n;     /* n: their product */
    enum weight_init init;
    double std;                            /* INIT_NORMAL: init_std; / sqrt(2 n_layer) when it ends a residual branch */
    bool decay;                            /* weight decay applies: matrices and embeddings, not norms and biases */
    bool balances;                         /* it has no gradient: training moves it by the load of the experts */
    int layer;                             /* -1 outside layers */
    int n_part;
    struct { int slot; int64_t n_row; } segment[3];      /* of one expert, in order; use weight_part() */
    int n_segment, first_part;             /* first_part: in weights_list.part, where that is there */
    bool bias, transposed, plus_one;
    int fold; int64_t inner;               /* see weight_part */
};
struct weights_list {
    struct weight *weight; int n_weight;
    struct config config;
    struct weight_part *part;              /* of all weights, one after the other, as a GGUF file has them (weights_gguf.h); else NULL */
};

/* A tensor of the file, or the part of it from element `at` on: rows row .. row+n_row-1 of the weight seen as [n / n_col, n_col].
 * transposed: the file has [n_col, n_row] (GPT-2's Conv1D, gpt-oss's experts).  fold > 1: our rows are `fold` runs, one after
 * the other, whose groups of `inner` rows take turns in the file (GPT-NeoX: q, k, v of head 0, of head 1, ...; gpt-oss: gate, up);
 * so in each block of `period` rows, where period is not 0 (GGUF of Llama: the halves of each head). */
struct weight_part {
    char name[PART_NAME_MAX];
    int64_t row, n_row, n_col;
    int rank;                              /* in the file */
    int64_t shape[PART_RANK_MAX], at;
    bool transposed, plus_one;
    int fold; int64_t inner, period;
};

/* c must be valid; it is copied. */
int weights_list_new(struct weights_list **out, const struct config *c, struct err *err);
void weights_list_free(struct weights_list *l);
struct weight_part weight_part(const struct weights_list *l, const struct weight *w, int i_part);
/* The weight of that name and of n numbers, or -1. */
int weights_find(const struct weights_list *l, const char *name, int64_t n);
/* Where element k of the part, in the file's order, is in our weight. */
int64_t weight_part_place(const struct weight_part *p, int64_t k);

/* The row in the file of the part's row r in ours, for parts that are not transposed. */
int64_t weight_part_file_row(const struct weight_part *p, int64_t r);

/* Is it of the head for classes, which a base may lack and adapters learn whole? */
static inline bool weight_of_head(const struct weight *w) { return !strncmp(w->name, "label.", 6) || !strncmp(w->name, "pooler.", 7); }

/* ---- several processes that hold one model together (weights_held.c) ----
 * The list tells of whole weights, and files hold whole tensors.  A process that has a share of the model, by a division, has of
 * each weight what weight_held() says: its tensors have that shape and the weight's name, and element k of one is element
 * weight_whole(k) of the whole.  All else follows: the initial value is that of the whole's element, a file's tensors pass by whole, one
 * at a time, and each takes its part; for a checkpoint the one process that writes puts the parts together in the same way.
 *   DIVIDE_LAYERS   tensor parallel, arXiv:1909.08053: heads of q, k and v (rows of qkv, sinks), rows of gate and of up, columns of o and
 *                   down, rows of embed and head
 *   DIVIDE_EXPERTS  experts E*i/n .. E*(i+1)/n - 1 of the blocks of experts; all else is whole in each
 * What a division leaves whole is in every process, the same to the bit.  And for the devices of one process, which run the same graph (nn/device.h):
 *   DIVIDE_DEVICES  layers as above and experts too, embed whole.  A head of keys and values that more devices need than there are is in several.  Each has
 *                   room for as much as the largest share, zeros behind its own; numbers inside an MLP are divided in groups of `grain` */
enum divide { DIVIDE_NOTHING, DIVIDE_LAYERS, DIVIDE_EXPERTS, DIVIDE_DEVICES };
struct division { enum divide by; int n, i; int64_t grain; };      /* process i of n; all 0: the whole model */
struct weight_run { int64_t from, n, room; };          /* room: places in what is held, n but with DIVIDE_DEVICES */
/* Of a weight [expert][row][column] (one expert, one column where it has none of its own): a range of experts, of each of them
 * n_run runs of rows, of each of those a range of columns. */
struct weight_held {
    bool part;                                         /* others hold the rest */
    struct weight_run expert, row[3], col;
    int n_run;
    int64_t n_row, n_col;                              /* of the whole: rows of an expert, columns */
    int64_t shape[WEIGHT_RANK_MAX], n;                 /* of what is held */
};
struct weight_held weight_held(const struct weights_list *l, const struct weight *w, const struct division *d);
/* The same of the embedding where it is the head too and lies there once more. */
struct weight_held weight_held_as_head(const struct weights_list *l, const struct weight *w, const struct division *d);
int64_t weight_whole(const struct weight_held *h, int64_t k);
/* Copies between all elements of the weight and those that are held, of `size` bytes each; of what is held, zeros behind a share are left as they are. */
void weight_take(const struct weight_held *h, const void *whole, void *held, size_t size);
void weight_put(const struct weight_held *h, const void *held, void *whole, size_t size);

/* Is it no weight but a mask or frequencies that models compute themselves, by its name?  Files of some makers have them. */
bool weights_is_constant(const char *name);

/* "[3, 4]", for messages. */
#define WEIGHTS_SHAPE 200
const char *weights_shape(char out[WEIGHTS_SHAPE], int rank, const int64_t *shape);

/* Looking up parts in a file: find(file, name) gives its tensor of that name, or NULL. */
struct weights_names { const struct weights_list *l; const void *file; const void *(*find)(const void *file, const char *name); const char *strip, *put; };
/* Decides by the embedding which of the family's two forms of names the file has. */
void weights_names_of_st(struct weights_names *n, const struct weights_list *l, const struct safetensors *st);      /* gives struct st_tensor */
void weights_names_of_source(struct weights_names *n, const struct weights_list *l, const struct source *s);        /* gives struct source_tensor */
/* Part j of w, or NULL; *p says how it lies in the file. */
const void *weights_names_find(const struct weights_names *n, const struct weight *w, int j, struct weight_part *p);

/* All parts are in the file with the right shape and a type we can read, and nothing else is there: a second copy of a
 * tied head must be equal, and what the model does not use is passed over: buffers that old files carry (attention masks, RoPE
 * frequencies), an encoder's heads, DeepSeek's layers that predict further tokens.  Experts may lie one by one or stacked. */
int weights_check(const struct weights_list *l, const struct safetensors *st, struct err *err);
/* Checks, then fills each weight: place() gives its weight[i].n floats, or NULL to pass it over. */
int weights_load(const struct weights_list *l, const struct safetensors *st, float *(*place)(void *ctx, int i), void *ctx,
                 struct err *err);
/* The same with one place for all, as large as the largest weight: take() is called when it holds weight i. */
int weights_load_each(const struct weights_list *l, const struct safetensors *st, float *room, int (*take)(void *ctx, int i, struct err *err),
                      void *ctx, struct err *err);

struct weight_digest { char name[PART_NAME_MAX]; char sha256[SHA256_HEX]; };      /* of one tensor's bytes in the file */
/* Writes one file of type F32, BF16 or F16 with the family's names; source() gives the floats of weight i, or NULL, which is an
 * error: then there is no file, or the old one.  metadata gets
 * "format": "pt" in front, which Hugging Face's loader asks for.  *digest has *n_digest rows in the order of the file, to be
 * freed by mem_free, and the file was then read back and is what they say (st_writer_prove); NULL: neither. */
int weights_save(const struct weights_list *l, const char *path, enum st_dtype dtype, const float *(*source)(void *ctx, int i),
                 void *ctx, const struct st_pair *metadata, int n_metadata, struct weight_digest **digest, int *n_digest,
                 struct err *err);
#endif
