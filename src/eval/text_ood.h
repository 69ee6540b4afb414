/* text_ood.h - how well the scores of a model tell texts of one set from those of another, and how much of that is their length.
 *
 * Scores: nll, msp, energy and entropy of a language model (text_rows.h), a classifier's by its logits (detect.h), those of features where
 * something was fitted, with the kind of features in their name ("knn.mean"), and `length`, the number of tokens, which looks at no word: a
 * score that tells the sets apart no better than it may measure nothing else.  So all are told a second time for as many texts of each length
 * from both sets.
 * Results depend on the seed (which texts of a length are taken) and on no threads. */
#ifndef EVAL_TEXT_OOD_H
#define EVAL_TEXT_OOD_H
#include <jansson.h>
#include "eval/detect.h"
#include "eval/text_rows.h"

/* Detectors of each kind of features. */
struct text_detectors { struct detectors *of[TEXT_FEATURES]; };
/* fit: borrowed until the release.  n_label: of its labels; classes count where every row has one.  w, bias: a classifier's head, or NULL. */
int text_detectors_fit(struct text_detectors *out, const struct text_rows *fit, int n_label, const float *w, const float *bias, struct pool *pool, struct err *err);
void text_detectors_release(struct text_detectors *d);

/* { "n", "n_failed", "tokens_mean", "scores": { SCORE: detect_measure() | {"why_not"} .. }, "length_matched": { "n" (of each set), "scores" } }
 * The rows that lie in both are of the same model.  length_matched is null where no length is in both.
 * ERR_RANGE where a set has no row. */
int text_ood(json_t **out, const struct text_detectors *d, const struct text_rows *id, const struct text_rows *ood, uint64_t seed, struct pool *pool, struct err *err);

/* As many texts of each length from both, drawn by the seed: indices of a[] and b[], room for the smaller of the sets; how many. */
int length_match(int64_t *a, int64_t *b, int64_t *n, const int32_t *n_token_a, int64_t n_a, const int32_t *n_token_b, int64_t n_b, uint64_t seed, struct err *err);
#endif
