/* compare.h - is a new model worse than an old one on the same items, by how much at most, and could so many items have told?
 *
 * An item has a value from each model; what counts is their difference, so that items that both get right, or both wrong, add no noise.
 *
 *   effect   new - old in the sense that more is better: of shares right, of means, of ratios sum x / sum w; in nats a token of texts
 *   interval where values are 0 and 1 and items are independent: Tango's score interval of the paired difference; else t with C - 1 degrees
 *            of freedom and the standard error over C clusters (eval/interval.h)
 *   p        two-sided that nothing changed: McNemar's exact test, or t; adjusted for several tests by Holm, or Benjamini and Hochberg
 *   mde      minimum detectable effect: the loss that such a test finds with the power that was asked for, at this discordance
 *
 * Verdicts, with a margin X of loss that would be accepted:
 *   better        a gain: adjusted p <= alpha
 *   worse         a loss: adjusted p <= alpha, and losses of X or more are not ruled out
 *   not worse     losses of X or more are ruled out: the interval ends before X (a loss may be there, and is then told, but is smaller)
 *   underpowered  neither: more items, or a wider margin, are needed
 * Several tests are as a whole the gravest of theirs in the order worse, underpowered, not worse, better. */
#ifndef EVAL_COMPARE_H
#define EVAL_COMPARE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

#define COMPARE_VERDICTS(X) X(WORSE, "worse") X(UNDERPOWERED, "underpowered") X(NOT_WORSE, "not worse") X(BETTER, "better")
enum compare_verdict {
#define X(name, word) COMPARE_##name,
    COMPARE_VERDICTS(X)
#undef X
    N_COMPARE_VERDICT
};
const char *compare_word(enum compare_verdict v);

struct compare_opts {
    double alpha, power, margin;
    bool bh;                     /* Benjamini and Hochberg in place of Holm */
    uint64_t seed;               /* of the bootstrap */
};
#define COMPARE_OPTS { .alpha = 0.05, .power = 0.8, .margin = 0.01, .seed = 1 }

/* Item i has old[i] and new[i]; weight NULL: 1; cluster NULL, or < 0: the item is alone. */
struct compare_items { const double *old, *new, *weight; const int64_t *cluster; int64_t n; bool higher_is_better; };

struct compare_result {
    int64_t n, n_cluster;
    bool counts;                 /* values are 0 and 1, items independent: both .. neither, mid_p and discordance are there */
    int64_t both, b, c, neither; /* right by both; b: by the old one alone, c: by the new one alone */
    double old, new, effect, se; /* se NAN for a single cluster, as ci, p = 1 then */
    double ci[2], bootstrap[2];  /* 1 - alpha; bootstrap: BCa over clusters, NAN for a single one */
    double p, mid_p, adjusted, mde;
    enum compare_verdict verdict;
};
/* All but `adjusted` and `verdict`.  ERR_RANGE without items. */
int compare_measure(struct compare_result *r, const struct compare_items *items, const struct compare_opts *o, struct err *err);
/* Of n tests together: adjusted p-values and verdicts; *decides: the one that the whole's verdict is of. */
int compare_decide(struct compare_result *r, int n, const struct compare_opts *o, int *decides, struct err *err);
#endif
