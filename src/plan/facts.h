/* facts.h - what a model is in numbers, before there is a file of it: parameters, bytes, keys and values, operations.
 *
 * All from its configuration, by recording the decoder's graph without memory for it (model/decoder.h): a second implementation of what a
 * layer is would be one too many.  Milliseconds and no weights for any size of model.  Doubles: numbers below 2^53 are exact. */
#ifndef PLAN_FACTS_H
#define PLAN_FACTS_H
#include "model/config.h"

/* Positions, token types, patches and cls are of the embedding; the router's bias and correction are the router's; a head for classes is
 * a head.  Norms: of layers, of the embedding and the last.  Those inside attention (q, k, MLA's) are attention's. */
#define FACTS_PARTS(X) X(EMBEDDING, "embedding") X(ATTENTION, "attention") X(MLP, "MLP") X(EXPERTS, "experts") X(SHARED, "shared experts") X(ROUTER, "routers") \
    X(NORMS, "norms") X(HEAD, "head")
enum facts_part {
#define X(name, word) FACTS_##name,
    FACTS_PARTS(X)
#undef X
    N_FACTS_PART
};
const char *facts_part_name(enum facts_part part);

struct model_facts {
    double params, params_active;        /* learned numbers: all, and those used for one token (top_k of the experts); the table of embeddings is in both */
    double part[N_FACTS_PART], part_active[N_FACTS_PART];
    double matrices[N_FACTS_PART];       /* of part: the numbers of matrices; the rest are vectors, which stay in more bits where matrices get fewer */
    double products;                     /* multiply-adds of a token with weights: the N of 6N.  The head's are in it, also where it is the table of embeddings */
    double others;                       /* operations of a token in what is no product (nn/ops.def) */
    /* Layers that see everything, and those of a window */
    int n_full, n_windowed, window;
    double key_full, key_windowed;       /* operations of a token for each key that it sees: q k^T and the sum over v, all layers of the kind */
    double kv_full, kv_windowed;         /* numbers kept of a token, all layers of the kind, as engines keep them: of MLA what all heads share */
    double kv_held;                      /* and as this program keeps them, in all layers: of MLA each head's */
    double flow;                         /* width of the stream */
    int n_layer;
    bool causal;
};

/* c must be valid.  ERR_NOMEM. */
int model_facts(struct model_facts *f, const struct config *c, struct err *err);

/* Bits of a number of each kind of weight, its share of scales with it (fp8 by blocks 8.002, int8 by rows 8, q8_0 8.5, q4_0 4.5, MXFP4
 * 4.25, NVFP4 4.5).  Matrices of layers and experts are what quantisation makes smaller; ends: the embedding and the head; vectors: the rest, and
 * routers, which nobody quantises. */
struct weight_bits { double experts, matrices, ends, vectors; };
double facts_weight_bytes(const struct model_facts *f, const struct weight_bits *bits);

/* Keys that a token of a text of T sees on average (the last sees T), where it is trained on or read at once. */
double facts_seen(const struct model_facts *f, double T, double window);
/* Numbers kept of a text of T tokens: where there is a window, of those in it. */
double facts_cache_numbers(const struct model_facts *f, double T);
/* Operations of one token that sees L keys (those of a window in layers that have one); of the products and attention. */
double facts_forward_flops(const struct model_facts *f, double L);

/* Operations of a trained token, forward and backward, by two conventions for attention in texts of T tokens.  Both: 6 for each multiply-add with a
 * weight, nothing for what is computed again.  PALM (arXiv:2204.02311, appendix B): attention as if each token saw all T.
 * CAUSAL (Megatron-LM, llm.c): half of it, and what a window shows. */
enum flops_convention { FLOPS_PALM, FLOPS_CAUSAL };
double facts_train_flops(const struct model_facts *f, double T, enum flops_convention how);

#endif
