/* price.h - a model's step on an accelerator: the decoder's recorded graph (nn/ops.def), each kind of operation priced by its shape.
 *
 * A step has rows of prompts and rows that continue texts, which all go through the same products.  Its time is the sum over the kernels that an engine of its
 * day launches one after the other:
 *   products       plan/product.h at their own shape of one device; experts by experts_seconds(), where rows of chosen experts are binomial
 *   attention      prompts: 2 (dk + dv) operations for each head and key at the rate of a tile of 128 rows by 128 keys; continued rows: their keys and
 *                  values from memory, or the operations where these take longer (MLA, which then works on what all heads share)
 *   other kernels  their bytes, 2 to an element, at the bandwidth that is reached, and device.kernel each: norms with the sum before them, rotation with the store
 *                  to the cache, activations, the router (two), the sum over a token's experts.  Sums, caps, clips and biases are done by the kernel before them
 *   collectives    plan/collective.h: a sum after attention and after each MLP where layers are divided, experts' rows sent and brought back
 * Nothing overlaps.  What depends on rows alone is computed once and interpolated, so that a price takes well under a microsecond; it never falls when
 * rows or keys grow.  Not in it: the host's work and sampling (opts.host), padding of graphs, prompts whose texts differ in length within the step.
 *
 * A struct priced is constant: any thread may ask.  SI units. */
#ifndef PLAN_PRICE_H
#define PLAN_PRICE_H
#include "model/config.h"
#include "plan/device.h"
#include "plan/facts.h"
#include "plan/layout.h"

/* Of one replica.  keys: that one row sees on average, itself too. */
struct step_load { double prompt_rows, prompt_keys, decode_rows, decode_keys; };

struct price_opts {
    struct layout layout;
    enum number weights, compute, cache;     /* matrices of layers in memory, operands of products, keys and values */
    struct weight_bits bits;                 /* where weights are not all of the type `weights`: bits of a number, scales included (plan/facts.h).  0: experts and
                                                matrices as `weights` has (number_bits()), ends and vectors 16 */
    double host;                             /* seconds of a step beside the device's */
    int rows_most;                           /* rows of a step that are interpolated; beyond, extrapolated.  0: 16384 */
};

struct priced;
/* ERR_USAGE: an impossible layout.  ERR_UNSUPPORTED: no decoder, or one with a head for classes; a layout over devices that nothing joins.  c must be valid; it, o and d are copied. */
int priced_new(struct priced **out, const struct config *c, const struct price_opts *o, const struct device *d, struct err *err);
void priced_free(struct priced *p);

/* Seconds of a step from its beginning to its end.  With pp stages so many steps are under way, and one ends every priced_interval(). */
double priced_seconds(const struct priced *p, const struct step_load *s);
double priced_interval(const struct priced *p, const struct step_load *s);

/* What it is made of: kernels of one kind and shape, by all layers.  count: of them; the rest is of all together, on one device. */
struct price_row {
    char what[48];
    int count;
    double flops, bytes, sent;       /* operations, bytes read and written, bytes given to a collective */
    double seconds, roofline;        /* roofline: the larger of operations at peak and bytes at the data sheet's bandwidth; bytes sent at the link's */
};
/* Up to `most` rows, returns how many.  The seconds of all there are add up to priced_seconds() less opts.host, to what is interpolated. */
int priced_rows(const struct priced *p, const struct step_load *s, struct price_row *rows, int most);

/* Of the device that has most. */
double priced_weight_bytes(const struct priced *p);
double priced_cache_bytes_token(const struct priced *p);              /* of one more token; of a window too, as if it did not close */
double priced_cache_bytes(const struct priced *p, double T);          /* of a text of T tokens, windows closed */
double priced_work_bytes(const struct priced *p, double rows, double n_logits);      /* activations of a step of `rows` rows, of which n_logits have logits */

#endif
