/* lora.h - low-rank adapters: which matrices of a model have one, y = W x + scale * B (A x), arXiv:2106.09685.
 *
 * An adapter belongs to a matrix as the model's files have it (a module, in peft's words): q, k and v are three also where our
 * weight joins them, and one where the file does.  The adapters of one of our weights share the first product: their A lie one
 * above the other in one tensor [n_part * rank, K].  Experts and routers have none. */
#ifndef MODEL_LORA_H
#define MODEL_LORA_H
#include "model/weights.h"

enum { LORA_Q = 1, LORA_K = 2, LORA_V = 4, LORA_O = 8, LORA_GATE = 16, LORA_UP = 32, LORA_DOWN = 64, LORA_ALL = 127 };
#define LORA_RANK_MAX 4096
struct lora {
    int rank;
    double alpha, dropout;       /* dropout: of the adapters' input */
    bool rslora;                 /* scale = alpha / sqrt(rank), arXiv:2312.03732, else alpha / rank */
    unsigned targets;
    bool all;                    /* whatever the model has; else each target must be there */
    const char *base_name; char base[SHA256_HEX];      /* of the model below: its path, and adapter_base(); for the adapters' files */
};
double lora_scale(const struct lora *o);
/* Words of targets (q or q_proj, ..., all) that are separated by commas or spaces. */
int lora_targets(struct lora *o, const char *words, struct err *err);

struct lora_part { int64_t row, n_row; char module[PART_NAME_MAX]; int i_part; };      /* rows of the weight; i_part: of weight_part() */
struct lora_site {
    int weight;                  /* of the list */
    int n_part; struct lora_part part[3];
    int a, b[3];                 /* tensors of a decoder (decoder.h): A [n_part*rank, K], B [n_row, rank] */
};
/* *out [*n], to be freed by mem_free.  ERR_USAGE when a target is nothing in this model. */
int lora_sites(struct lora_site **out, int *n, const struct weights_list *l, const struct lora *o, struct err *err);
#endif
