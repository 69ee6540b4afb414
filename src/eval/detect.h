/* detect.h - all scores of ood.h at once: what is like the training data, by a model's logits and by its features.
 *
 * Detectors of features are fitted to rows of one set (of training data, or of data that was held out), and only then see others.  One that
 * cannot be fitted - a singular covariance, classes that are missing - is told with its reason and left out; it stops nothing.
 * Results do not depend on threads.  One thread, the pool's threads work inside. */
#ifndef EVAL_DETECT_H
#define EVAL_DETECT_H
#include <jansson.h>
#include "eval/ood.h"

/* Rows of one set: logits [n][K] (K 0: none) and features [n][d] (d 0: none). */
struct detect_rows { int64_t n; const float *logit; int K; const float *feature; int d; };

/* name, of features. MAHALANOBIS: tied covariance; _LW: shrunk by Ledoit and Wolf; RMDS: relative; VIM needs logits too. */
#define DETECTORS(X) \
    X(MSP, "msp", false) X(MAX_LOGIT, "max_logit", false) X(ENERGY, "energy", false) X(ENTROPY, "entropy", false) X(MAHALANOBIS, "mahalanobis", true) \
    X(MAHALANOBIS_LW, "mahalanobis_lw", true) X(RMDS, "rmds", true) X(RMDS_LW, "rmds_lw", true) X(KNN, "knn", true) X(VIM, "vim", true)
enum detector {
#define X(name, word, of_features) DETECT_##name,
    DETECTORS(X)
#undef X
    N_DETECTOR
};
const char *detector_name(enum detector w);
bool detector_of_features(enum detector w);

#define DETECT_K 50             /* of the k-th neighbour */
struct detectors;
/* label[n] in 0 .. n_label - 1, or NULL: all rows are one class.  w[K][d], bias[K]: the head, or NULL (ViM then measures from 0).  Rows and labels are
 * borrowed until detectors_free().  Fewer rows than DETECT_K: the k of knn is their number. */
int detectors_fit(struct detectors **out, const struct detect_rows *rows, const int32_t *label, int n_label, const float *w, const float *bias, struct pool *pool, struct err *err);
void detectors_free(struct detectors *d);
/* Why there is no such score; NULL: there is.  d NULL: nothing was fitted. */
const char *detectors_why_not(const struct detectors *d, enum detector w);
/* score[n], higher: more like what was fitted.  Of logits: d may be NULL. */
int detectors_score(const struct detectors *d, enum detector w, const struct detect_rows *rows, double *score, struct pool *pool, struct err *err);

/* How well a score tells n_id items of one set from n_ood of another:
 * { "auroc", "auroc_ci95": [low, high] (DeLong; null where a kind has fewer than two), "fpr95_id_positive", "fpr95_ood_positive", "aupr_in", "aupr_out", "prevalence_id" } */
int detect_measure(json_t **out, const double *id, int64_t n_id, const double *ood, int64_t n_ood, struct err *err);
/* { SCORE: detect_measure() | { "why_not": REASON } .. } by all that apply: those of features where the rows have any. */
int detect_all(json_t **out, const struct detectors *d, const struct detect_rows *id, const struct detect_rows *ood, struct pool *pool, struct err *err);
/* Of a detect_all(): a figure "auroc" of each score to an evidence (evidence.h), of "SET SCORE". */
int detect_figures(json_t *evidence, const char *set, const json_t *scores, int64_t n, struct err *err);
#endif
