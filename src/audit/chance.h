/* chance.h - how likely a count is that was seen: exact tails, an interval, and the correction for having asked often.  Pure functions. */
#ifndef AUDIT_CHANCE_H
#define AUDIT_CHANCE_H
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* Natural logarithm of P(X >= k).  Of N things K are marked, n are drawn without putting back: Fisher's exact test, one-sided. */
double chance_hypergeometric(int64_t N, int64_t K, int64_t n, int64_t k);
double chance_binomial(int64_t n, int64_t k, double p);
/* Fisher's exact test, two-sided (the sum of what is no more likely than what was seen): a of n against b of m. */
double chance_fisher(int64_t a, int64_t n, int64_t b, int64_t m);
/* Wilson's interval at 95 %: Wilson, JASA 22, 1927.  n = 0: 0 to 1. */
void chance_wilson(int64_t k, int64_t n, double *low, double *high);
/* Holm's correction (Scandinavian Journal of Statistics 6, 1979) of n values, in place. */
int chance_holm(double *p, size_t n, struct err *err);

#endif
