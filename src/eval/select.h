/* select.h - which of several models to take: what each gives and what it takes, who is beaten in everything, and whose loss of quality is small enough.
 *
 * Quality is compared item by item with the best model (eval/compare.h), all else by its figures.  No weights are made up: of the models that
 * are not worse than the best within a margin, the one that is first by one criterion (price, speed, memory) is taken, and what it rests on is said. */
#ifndef EVAL_SELECT_H
#define EVAL_SELECT_H
#include <stdbool.h>
#include "base/buf.h"
#include "base/err.h"
#include "eval/compare.h"

enum { SELECT_CANDIDATES = 64, SELECT_CRITERIA = 32 };

/* value[i * k + c]: of candidate i by criterion c; NAN: not known.  A criterion that is not known of all is left out: used[c] false.
 * front[i]: no other is as good in all that are used and better in one (Pareto's front); equals are on it together. */
void select_front(const double *value, int n, int k, const bool *higher, bool *used, bool *front);

/* How much less of T tasks' mean score one model gets than another: the mean of the tasks' losses, each task with the same weight.
 * Limits by the square-and-add of the tasks' own (MOVER; Zou & Donner, Statistics in Medicine 27, 2008): mean - sqrt(sum (loss - low)^2) / T.
 * upper: one-sided at the alpha that the results were measured with; low, high: two-sided.  Verdicts as compare.h has them of one task, by these
 * limits: worse where low > 0 and upper >= margin. */
struct select_loss { double loss, low, high, upper; enum compare_verdict verdict; };
int select_loss(const struct compare_result *task, int n_task, double margin, struct select_loss *out, struct err *err);

struct select_candidate {
    const char *name;
    double quality;                      /* mean over tasks */
    struct select_loss against_best;     /* of the best: zeros, NOT_WORSE */
    bool front;
};
/* The best by quality (the first of equals); of those that are not worse than it, the one that is first by prefer[i] (higher: more is better;
 * NAN comes last, NULL: none is asked for).  Returns its index. */
int select_best(const struct select_candidate *c, int n);
int select_take(const struct select_candidate *c, int n, const double *prefer, bool higher);
#endif
