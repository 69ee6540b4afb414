/* weights.h - which weights a model has, and where each lies in its safetensors file.
 *
 * Inside we keep fused weights, so that one product does the work of several: q, k and v are rows of one matrix, gate and
 * up of another, all experts of a layer are one block.  A file keeps them as Hugging Face's classes name them.  The list
 * says for each weight of ours its shape, how it is initialised, and of which parts of the file it consists.
 *
 *   embed [V,C]                  pos [ctx,C] if learned                    norm.w (.b) [C]        head.w [V,C] unless tied
 *   L.norm1.w (.b) [C]           L.qkv.w [(H+2KV)*D, C] (.b): q rows, k rows, v rows             L.o.w [C, H*D] (.b)
 *   L.q_norm, L.k_norm [D] per head, [H*D], [KV*D] full                    L.norm2.w (.b) [C]
 *   dense: L.up.w [F,C] or L.gate_up.w [2F,C] (.b): gate rows, up rows     L.down.w [C,F] (.b)
 *   MoE:   L.router.w [E,C]      L.experts.up.w [E,Fe,C] or L.experts.gate_up.w [E,2Fe,C]        L.experts.down.w [E,C,Fe]
 * L is the layer's number: "0.qkv.w".  All are row-major floats in memory. */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/hash.h"
#include "model/config.h"
#include "model/safetensors.h"

#define WEIGHT_RANK_MAX 3
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
    int layer;                             /* -1 outside layers */
    int n_part;
    struct { int slot; int64_t n_row; } segment[3];      /* of one expert, in order; use weight_part() */
    int n_segment;
    bool bias, transposed;
};
struct weights_list { struct weight *weight; int n_weight; struct config config; };

/* One tensor of the file: rows row .. row+n_row-1 of the weight seen as [n / n_col, n_col].  transposed: the file has
 * [n_col, n_row] (GPT-2's Conv1D). */
struct weight_part {
    char name[PART_NAME_MAX];
    int64_t row, n_row, n_col;
    int rank;                              /* in the file: 1 or 2 */
    bool transposed;
};

/* c must be valid; it is copied. */
int weights_list_new(struct weights_list **out, const struct config *c, struct err *err);
void weights_list_free(struct weights_list *l);
struct weight_part weight_part(const struct weights_list *l, const struct weight *w, int i_part);

/* All parts are in the file with the right shape and a type we can read, and nothing else is there: a second copy of a
 * tied head must be equal, and buffers that old files carry (attention masks, RoPE frequencies) are passed over. */
int weights_check(const struct weights_list *l, const struct safetensors *st, struct err *err);
/* Checks, then fills each weight: place() gives its weight[i].n floats, or NULL to pass it over. */
int weights_load(const struct weights_list *l, const struct safetensors *st, float *(*place)(void *ctx, int i), void *ctx,
                 struct err *err);

struct weight_digest { char name[PART_NAME_MAX]; char sha256[SHA256_HEX]; };      /* of one tensor's bytes in the file */
/* Writes one file of type F32 or BF16 with the family's names; source() gives the floats of weight i.  metadata gets
 * "format": "pt" in front, which Hugging Face's loader asks for.  *digest (may be NULL) has *n_digest rows in the order of
 * the file, to be freed by mem_free. */
int weights_save(const struct weights_list *l, const char *path, enum st_dtype dtype, const float *(*source)(void *ctx, int i),
                 void *ctx, const struct st_pair *metadata, int n_metadata, struct weight_digest **digest, int *n_digest,
                 struct err *err);
#endif
