/* paired.h - two models on the same items, right or wrong each: is the new one worse, by how much at most, and could this many items tell?
 *
 *                     new right   new wrong
 *     old right         both          b          b: broken, c: mended.  n = both + b + c + neither.
 *     old wrong          c         neither       loss = (b - c) / n: how much of the accuracy went
 *
 * Only the b + c discordant items say anything about the difference.  Counts: ERR_RANGE where one is negative or their sum is over 2^53.
 * Any thread may call. */
#ifndef EVAL_PAIRED_H
#define EVAL_PAIRED_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct paired_counts { int64_t both, b, c, neither; };
int64_t paired_n(const struct paired_counts *k);
/* old[i] and new[i]: not 0 is right. */
struct paired_counts paired_count(const uint8_t *old, const uint8_t *new, int64_t n);

/* McNemar, Psychometrika 12, 1947: given m = b + c, b is binomial(m, 1/2) if nothing has changed.  m = 0: p = 1.
 * exact   min(1, 2 P(X <= min(b, c))): never more false alarms than its level, often far fewer
 * mid_p   exact - P(X = min(b, c)) (Lancaster, JASA 56, 1961; Fagerland et al., BMC Med Res Methodol 13:91, 2013); 1 for b = c
 * worse   one-sided, P(X >= b): the new one is worse */
struct paired_test { double exact, mid_p, worse; };
int paired_mcnemar(int64_t b, int64_t c, struct paired_test *out, struct err *err);
#endif
