/* divergence.h - how far two distributions over the same k categories, bins or tokens are apart. */
#ifndef EVAL_DIVERGENCE_H
#define EVAL_DIVERGENCE_H
#include <stdint.h>
#include "base/err.h"

struct divergence {
    double kl_pq, kl_qp;        /* sum p ln(p/q), and the reverse, in nats; infinite where one has what the other has not */
    double js_nat, js_2;        /* Jensen-Shannon distance, sqrt(KL(p||m)/2 + KL(q||m)/2), m = (p + q)/2, with natural logarithms and with base 2 */
    double hellinger;           /* sqrt(sum (sqrt p - sqrt q)^2 / 2), 0 .. 1 */
    double tv;                  /* total variation, sum |p - q| / 2, 0 .. 1 */
};
/* p and q are weights, counts or probabilities; each is divided by its sum.  ERR_NUMERIC: one is negative or not finite; ERR_RANGE: a sum of 0. */
int divergence_of(const double *p, const double *q, int64_t k, struct divergence *out, struct err *err);
/* Population stability index, sum (p - q) ln(p/q), shares below `floor` raised to it (Evidently 1e-4, deepchecks 0.01: name it beside the number); floor 0:
 * infinite where one is 0 and the other is not. */
int divergence_psi(const double *p, const double *q, int64_t k, double floor, double *out, struct err *err);
#endif
