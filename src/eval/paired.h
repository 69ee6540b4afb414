/* paired.h - two models on the same items, right or wrong each: is the new one worse, by how much at most, and could this many items tell?
 *
 *                     new right   new wrong
 *     old right         both          b          b: broken, c: mended.  n = both + b + c + neither.
 *     old wrong          c         neither       loss = (b - c) / n: how much of the accuracy went
 *
 * Only the b + c discordant items say anything about the difference.  Counts: ERR_RANGE where one is negative or over 10^13.
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

/* Interval {low, high} of the true loss (b - c) / n, in -1 .. 1.  n = 0: -1 to 1.
 * tango     the differences that McNemar's score statistic z = (b - c - n d) / sqrt(n (2 q + d (1 - d))) would not reject, q the likeliest P(c) under d
 *           (Tango, Statistics in Medicine 17, 1998): close to its level also where b + c is small.  d = 0 gives McNemar's chi-square.
 * newcombe  from the Wilson intervals of the two accuracies and their correlation, corrected for continuity where positive (Newcombe, Statistics
 *           in Medicine 17, 1998, method 10). */
int paired_tango(const struct paired_counts *k, double level, double ci[2], struct err *err);
int paired_newcombe(const struct paired_counts *k, double level, double ci[2], struct err *err);

/* Chance that McNemar's test (mid_p: its mid-p form) of n items is at most alpha and says worse, where an item is discordant with probability
 * `discordant` and the true loss is `loss`: the exact sum over m of binomial(n, discordant) and over b of binomial(m, (1 + loss / discordant) / 2).
 * Two-sided alpha; for a one-sided test at alpha give 2 alpha.  Terms below 1e-18 of the whole are left out.
 * ERR_RANGE: discordant outside of 0..1, |loss| > discordant, n < 0 or > 10^9, alpha outside of 0..1. */
struct paired_plan { int64_t n; double discordant, alpha; bool mid_p; };
int paired_power(const struct paired_plan *plan, double loss, double *power, struct err *err);
/* The least loss that is found with the chance `power` (0.8): the minimum detectable effect.  NAN: not even losing every discordant item would be. */
int paired_mde(const struct paired_plan *plan, double power, double *loss, struct err *err);

/* What a comparison says.  WORSE: two-sided exact McNemar p <= alpha with b > c.  NOT_WORSE: the upper bound of the loss, Tango's at 1 - 2 alpha
 * (one-sided alpha), lies below the margin: non-inferiority.  Both can hold, where the loss is sure and small: `verdict` is WORSE then only if
 * the bound is not below the margin.  UNDERPOWERED: neither; this many items cannot tell. */
enum paired_verdict { PAIRED_WORSE, PAIRED_NOT_WORSE, PAIRED_UNDERPOWERED };
struct paired_judgement {
    struct paired_test test;
    double loss, tango[2], newcombe[2];         /* at 1 - alpha */
    double upper;                               /* one-sided bound of the loss at alpha */
    double mde;                                 /* at 80 % power, with the discordance that was seen; NAN: none is large enough */
    bool worse, not_worse;
    enum paired_verdict verdict;
};
/* margin: the loss that does not matter, 0 .. 1 (0.01: a point of accuracy); alpha: 0.05.  n = 0: UNDERPOWERED. */
int paired_judge(const struct paired_counts *k, double margin, double alpha, struct paired_judgement *out, struct err *err);
#endif
