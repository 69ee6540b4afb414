/* here.h - a step of a served model on this machine's processor, by this program: what price.h says of accelerators, measured.
 *
 * The graph that the engine would run (infer/engine.h), of as many of the model's layers as no cache holds, is run with weights that are no model's, and each kind
 * of operation is timed at a few numbers of rows and of keys: products as fast as their kernels are and memory lets them be, attention by rows and by
 * keys, threads as they wait for each other.  The rest of the layers take as long.  So a price needs the configuration and the types of the weights, not the file; the
 * machine is what it was in these seconds (SmolLM2-135M: 3; a layer of 8 billion: 10).  The products' shares of the machine's limits come with it.
 *
 * here_new() is one thread's; a struct here is constant and any thread's. */
#ifndef PLAN_HERE_H
#define PLAN_HERE_H
#include "base/pool.h"
#include "model/decoder.h"
#include "nn/limits.h"
#include "plan/price.h"

struct here_opts {
    const struct weight_type *types;     /* of the model's list of weights (weights_types()); NULL: matrices are of `type`, embedding and head too */
    enum cpu_type type;
    enum dtype cache;                    /* of keys and values: F32, BF16, I8 */
    const struct limits *limits;         /* for the roofline of here_rows(); NULL: none */
};
struct here;
/* Not of encoders or classifiers: ERR_UNSUPPORTED.  ERR_NOMEM where the layers that are run do not fit. */
int here_new(struct here **out, const struct config *c, const struct here_opts *o, struct pool *pool, struct err *err);
void here_free(struct here *h);

/* As priced_seconds() and priced_rows(): never less for more rows or keys. */
double here_seconds(const struct here *h, const struct step_load *s);
int here_rows(const struct here *h, const struct step_load *s, struct price_row *rows, int most);
/* Of all layers: the weights in panels; keys and values of a position; what a step of so many rows takes beside them, by plans (nn/plan.c) of two sizes. */
double here_weight_bytes(const struct here *h);
double here_cache_bytes_token(const struct here *h);
double here_work_bytes(const struct here *h, double rows);
/* What was run, and for how long. */
void here_probe(const struct here *h, int *n_layer, double *seconds);

/* The same as a struct priced, for whoever asks for prices of any device. */
int priced_here(struct priced **out, const struct config *c, const struct here_opts *o, struct pool *pool, struct err *err);

#endif
