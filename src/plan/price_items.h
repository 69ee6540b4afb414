/* price_items.h - what a step consists of, on one device: kinds of kernels and how many of each (price_items.c, of the recorded graph), to be priced
 * (price.c).  Internal to price. */
#ifndef PLAN_PRICE_ITEMS_H
#define PLAN_PRICE_ITEMS_H
#include "nn/graph.h"
#include "plan/collective.h"
#include "plan/price.h"

enum item_kind {
    ITEM_PRODUCT,       /* rows x N x K */
    ITEM_EXPERTS,       /* both products of a layer's experts: K wide, N inside, n_expert here */
    ITEM_ELEMENTS,      /* launches, bytes of each row */
    ITEM_COLLECTIVE,    /* sends bytes of each row */
};
struct item {
    enum item_kind kind;
    char what[48];
    int count;
    bool head;                      /* rows with logits, instead of all */
    double N, K, bits;              /* bits of a number of the weight */
    double n_expert, top_k, n_all;  /* experts here; of a row; of the layer */
    double launches, bytes;         /* bytes: of a row */
    enum collective collective; int n; bool distinct;      /* between n devices; distinct: bytes go to each of them that has an expert of the row */
};
struct attending { int count, window; double heads, kv_heads, dk, dv, latent, latent_v; };      /* latent: numbers of a token that all heads share (MLA), or 0; those that are values */

#define ITEM_MOST 64
#define ATTENDING_MOST 4
struct items {
    struct item item[ITEM_MOST]; int n;
    struct attending attending[ATTENDING_MOST]; int n_attending;
    double weight_bytes;            /* of the stage that has most */
    double cache_full, cache_windowed; int window;      /* numbers kept of a token, in the stage that has most layers */
    double row_widest, expert_widest, logits, flow;     /* numbers of a row: the widest two that follow each other; of all a row's experts; logits here; the stream */
};

/* o's layout must be possible, its zeros replaced. */
int items_of(struct items *out, const struct config *c, const struct price_opts *o, struct err *err);
#endif
