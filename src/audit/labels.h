/* labels.h - a labelled set: how its classes are divided, and which of its labels may be wrong.
 *
 * Balance.  Entropy in nats of the shares, exp of it (the effective number of classes: Hill, "Diversity and evenness", 1973), and the largest
 * class over the smallest.
 * One text, several labels.  Texts with the same words; and clusters of near duplicates, where the caller knows them.
 * Label noise by confident learning (Northcutt, Jiang and Chuang, "Confident learning", JAIR 70, 2021, section 3): p(x, j) from a model that
 * did not see x (bayes.h, 5 folds; of images neighbours.h); threshold t_j = mean of p(x, j) over the x that are labelled j; x labelled i counts in C[i][j] for the j of
 * largest p(x, j) among those with p(x, j) >= t_j; rows of C are scaled to the number of x labelled i, then all to sum 1.  The sum off the
 * diagonal is the estimated share of wrong labels.  Issues are the x counted off the diagonal, the least p(x, i) - p(x, j) first.  It is an estimate by
 * a weak model: where that is wrong about a class, the estimate is too. */
#ifndef AUDIT_LABELS_H
#define AUDIT_LABELS_H
#include "audit/bayes.h"

struct label_balance { int64_t n; double entropy, effective, imbalance; };
struct label_balance label_balance(const struct label_set *s);

struct label_conflicts { int64_t groups, items; size_t first[2]; };      /* first: two items of the first group */
/* Items whose `key` is the same and whose labels are not all the same: keys of words, or clusters. */
int label_conflicts_text(const struct bayes *b, const struct label_set *s, struct label_conflicts *out, struct err *err);
int label_conflicts_cluster(const struct label_set *s, struct label_conflicts *out, struct err *err);

struct label_issue { size_t item; int likely; double p_given, p_likely; };
/* joint: [n_label][n_label], given by likely, sums to 1.  accuracy: of the folds.  label_noise_release in any case. */
struct label_noise;
/* What asks a model, which did not see them, of all items, in any one order; p: [n_label] to work in. */
typedef void label_item_fn(const struct label_set *s, size_t i, const double *p, struct label_noise *out);
typedef void label_model_fn(void *model, const struct label_set *s, double *p, label_item_fn *item, struct label_noise *out);
label_model_fn label_by_bayes;           /* of a struct bayes: the items of fold 0 first */
struct label_noise { double rate, accuracy; double *threshold, *joint; struct label_issue *issue; size_t n_issue; };
int label_noise(label_model_fn *each, void *model, const struct label_set *s, struct label_noise *out, struct err *err);
void label_noise_release(struct label_noise *x);

#endif
