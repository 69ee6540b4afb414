/* blind.h - can two sets of texts be told apart by what they are, without any model?  What can be so is no proof that a model has seen
 * one of them (Das et al., "Blind baselines beat membership inference attacks for foundation models", arXiv:2406.16201; Meeus et al., "SoK: membership
 * inference attacks on LLMs are rushing nowhere", arXiv:2406.17975; Duan et al., arXiv:2402.07841).
 *
 *   words   log odds of the first set by naive Bayes on words and pairs of words (bayes.h), each text judged by the other folds alone
 *   length  bytes
 *   years   minus the latest year from 1900 to 2099 that the text names; without one it is taken for as late as the mean of the others
 *
 * and how much of a text of the second set stands in the first: the share of its runs of 7 words that are there (Duan et al., 3.3). */
#ifndef AUDIT_BLIND_H
#define AUDIT_BLIND_H
#include "audit/bayes.h"

#define BLIND_SCORES(X) X(WORDS, "words", "words and pairs of words, naive Bayes, out of fold") X(LENGTH, "length", "bytes of the text") X(YEARS, "years", "the latest year that the text names, earlier first")
enum blind_score {
#define X(name, word, what) BLIND_##name,
    BLIND_SCORES(X)
#undef X
    N_BLIND
};
const char *blind_name(enum blind_score s);
const char *blind_what(enum blind_score s);

/* score[N_BLIND][s->n], all finite.  s has two labels; the first is that of what is told by higher scores. */
int blind_scores(const struct label_set *s, double *score, struct err *err);

#define BLIND_RUN 7
/* share[s->n]: of an item of the second label, of its runs of BLIND_RUN words those that an item of the first has; NAN where it has none, and of the first's. */
int blind_overlap(const struct label_set *s, double *share, struct err *err);
#endif
