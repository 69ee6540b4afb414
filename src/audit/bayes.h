/* bayes.h - texts with labels in memory, and what the words of a text say of its label.
 *
 * Multinomial naive Bayes over the words and pairs of words that a text has (each once), add-one smoothing over all of the set's, classes
 * by their shares: McCallum and Nigam, "A comparison of event models for naive Bayes text classification", 1998.  Asked by folds: a text
 * is judged by counts of the others, those of its cluster (near duplicates) not among them.  One thread; the same set gives the same
 * numbers, summed in one order. */
#ifndef AUDIT_BAYES_H
#define AUDIT_BAYES_H
#include <stdbool.h>
#include "audit/grams.h"
#include "base/buf.h"

#define LABEL_TEXT_MAX ((size_t)64 << 20)       /* bytes of text that are held; the rest is counted, not looked at */
#define LABEL_MAX 1000                          /* classes; more are not classes */
#define BAYES_FOLDS 5

/* label: index into name.  Item i's text is bytes (i ? end[i-1] : 0) .. end[i]-1.  cluster: equal for near duplicates, set by
 * label_set_add to the item's own number.  count: of all records, also of those left out.  Starts as { 0 }. */
struct label_set {
    struct buf text;
    size_t *end;
    int32_t *label;
    int64_t *record, *cluster;
    size_t n;
    char *name[LABEL_MAX];
    int64_t count[LABEL_MAX];
    int n_label;
    int64_t n_left_out;
    size_t text_max;               /* 0: LABEL_TEXT_MAX */
    struct gram_map names;
};
/* Records in order.  ERR_RANGE for one label too many. */
int label_set_add(struct label_set *s, int64_t record, const char *text, size_t n, const char *label, size_t n_label, struct err *err);
void label_set_release(struct label_set *s);
const char *label_set_text(const struct label_set *s, size_t i, size_t *n);

struct bayes;
int bayes_new(struct bayes **out, const struct label_set *s, struct err *err);      /* s is borrowed */
void bayes_free(struct bayes *b);
int bayes_fold_of(const struct label_set *s, size_t i);
/* The counts are now those of all items outside the fold. */
void bayes_leave_out(struct bayes *b, int fold);
/* The words of item i: numbers of n of them. */
const uint64_t *bayes_words(const struct bayes *b, size_t i, size_t *n);
/* p[n_label]: of item i's words but those with a mark in skip (one for each word, or NULL). */
void bayes_posterior(struct bayes *b, size_t i, const bool *skip, double *p);

#endif
