/* compare.h - is a new model worse than an old one on the same items, by how much at most, and could so many items have told?
 *
 * An item has a value from each model; what counts is their difference, so that items that both get right, or both wrong, add no noise.
 *
 *   effect   new - old in the sense that more is better: of shares right, of means, of ratios sum x / sum w; in nats a token of texts
 *   interval where values are 0 and 1 and items are independent: Tango's score interval of the paired difference; else t with C - 1 degrees
 *            of freedom and the standard error over C clusters (eval/interval.h)
 *   p        two-sided that nothing changed: McNemar's exact test, or t; where all clusters changed alike, which t takes for sure, that of
 *            as many single items, and so the interval, where values are 0 and 1; adjusted for several tests by Holm, or Benjamini and Hochberg
 *   upper    one-sided bound of the loss at alpha
 *   mde      minimum detectable effect: the loss that such a test finds with the power that was asked for, at this discordance
 *
 * Verdicts, with a margin X of loss that would be accepted:
 *   better        a gain: adjusted p <= alpha
 *   worse         a loss: adjusted p <= alpha, and losses of X or more are not ruled out
 *   not worse     losses of X or more are ruled out: upper < X (a loss may be there, and is then told, but is smaller)
 *   underpowered  neither: more items, or a wider margin, are needed
 * For counts these are paired_judge()'s (eval/paired.h).  That nothing is as bad as X in any of several tests needs no adjustment.
 * Several tests are as a whole the gravest of theirs in the order worse, underpowered, not worse, better. */
#ifndef EVAL_COMPARE_H
#define EVAL_COMPARE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "eval/interval.h"
#include "eval/sequential.h"

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
struct compare_items {
    const double *old, *new, *weight; const int64_t *cluster; int64_t n; bool higher_is_better;
    const struct eprocess *stream;   /* items came one after the other (below), right or wrong: p is the e-process's, of a loss; NULL: all at once */
};

struct compare_result {
    int64_t n, n_cluster;
    bool counts;                 /* values are 0 and 1, items independent: both .. neither, mid_p and discordance are there */
    int64_t both, b, c, neither; /* right by both; b: by the old one alone, c: by the new one alone */
    double old, new, effect, se; /* se NAN for a single cluster, as ci, p = 1 then */
    double ci[2], bootstrap[2];  /* 1 - alpha; bootstrap: BCa over clusters, NAN for a single one */
    double p, mid_p, adjusted, upper, mde;     /* mde NAN: no loss is large enough */
    int64_t stopped_at;          /* of a stream: items when the loss was shown; the verdict is then worse, whatever the margin, and the effect is likely too large.  0: not */
    enum compare_verdict verdict;
};
/* Two-sided, that the mean of paired differences is 0: by t over the clusters; 1 of a single one, 2^(1 - C) where all C are alike and not 0. */
double compare_p(const struct interval_mean *m);
/* All but `adjusted` and `verdict`.  ERR_RANGE without items. */
int compare_measure(struct compare_result *r, const struct compare_items *items, const struct compare_opts *o, struct err *err);
/* Of n tests together: adjusted p-values and verdicts; *decides: the one that the whole's verdict is of. */
int compare_decide(struct compare_result *r, int n, const struct compare_opts *o, int *decides, struct err *err);

/* ---- items one after the other, until a loss is shown ----
 * The order is random, and told by its seed; e-processes (eval/sequential.h) of one side count broken and mended items, so that a new model
 * that is no worse is called worse with at most chance alpha, however long one looks.  Replies may come in any order: an item counts when all
 * before it have.  Any thread may put; the caller locks. */
struct compare_stream {
    struct eprocess e;
    uint64_t key;
    int64_t n, next;             /* items; the first whose turn has not come */
    int8_t *value[2];            /* by turn: -1 not yet, 0 wrong, 1 right, 2 no value */
};
/* The whole chance of a false alarm is shared evenly by so many streams. */
int compare_stream_init(struct compare_stream *s, const char *name, int64_t n, uint64_t seed, double alpha, int n_stream, struct err *err);
void compare_stream_release(struct compare_stream *s);
int64_t compare_stream_item(const struct compare_stream *s, int64_t turn);       /* whose turn it is */
/* which: 0 the old model, 1 the new one.  True when a loss is shown. */
bool compare_stream_put(struct compare_stream *s, int which, int64_t turn, int8_t value);
#endif
