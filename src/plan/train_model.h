/* train_model.h - a decoder as training sees it: which products each layer makes, and which of their weights are divided between devices.
 *
 * From the list of weights (model/weights.h), so that it is the model that `lathe train` would run.  Layers that are alike are one kind: a model has at
 * most four, dense or of experts, of a window or not.  Of a product c[T,N] = a[T,K] * b[N,K]^T tensor parallelism (arXiv:1909.08053) divides rows
 * N (heads of q, k, v; gate and up; the vocabulary), columns K (o, down), both of experts likewise, or nothing (router, MLA's products to
 * a few numbers). */
#ifndef PLAN_TRAIN_MODEL_H
#define PLAN_TRAIN_MODEL_H
#include "plan/facts.h"

enum split { SPLIT_NONE, SPLIT_ROWS, SPLIT_COLUMNS };
struct train_product {
    double N, K;                 /* of the whole, of one expert */
    enum split split;
    bool expert, bias;           /* expert: one for each of n_expert, of which a token uses top_k */
};

#define TRAIN_PRODUCTS_MAX 12
struct train_layer {
    int n;                       /* so many layers are like this */
    bool experts;                /* has a router */
    int window;                  /* 0: sees everything */
    struct train_product product[TRAIN_PRODUCTS_MAX];
    int n_product;
    double vectors;              /* numbers of norms, of sinks and corrections: whole in each device; biases count with their products */
};

#define TRAIN_KINDS_MAX 4
struct train_model {
    struct config config;
    struct model_facts facts;
    struct train_layer kind[TRAIN_KINDS_MAX];
    int n_kind;
    uint8_t kind_of[CONFIG_LAYER_MAX];
    double embed, head, others;  /* numbers of the tables of tokens and positions; of the head, 0 where it is the table of tokens; of the last norm */
};

/* c must be valid and a decoder of texts: ERR_UNSUPPORTED.  ERR_NOMEM. */
int train_model_init(struct train_model *m, const struct config *c, struct err *err);

/* Numbers of a layer's weights: what no division touches, what tp divides, what tp and ep divide. */
struct train_numbers { double whole, divided, experts; };
struct train_numbers train_layer_numbers(const struct train_model *m, const struct train_layer *l);
/* Widths that passes over activations have, of one token. */
double train_width_qkv(const struct config *c);          /* queries, keys and values as attention reads them (of MLA each head's) */
double train_width_out(const struct config *c);          /* what attention makes */

#endif
