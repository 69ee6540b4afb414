/* ood.h - how much like the training data an input is: scores from a model's logits [n,K] and features [n,d].
 *
 * Higher is always more in-distribution.  Rows are items; floats come in, all sums are doubles.  How well a score tells two sets apart is
 * rank_ood()'s (eval/rank.h).  A value that is not finite is ERR_NUMERIC with its row and column.
 * Results are the same for any number of threads and on every instruction level. */
#ifndef EVAL_OOD_H
#define EVAL_OOD_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/pool.h"

/* ---- from logits ---- */

/* MSP        the largest probability of softmax(z)                        (Hendrycks and Gimpel 2017)
 * MAX_LOGIT  the largest logit                                            (Hendrycks et al. 2022)
 * ENERGY     T * log sum exp(z / T), the negative free energy             (Liu et al. 2020)
 * ENTROPY    sum of p ln p: the entropy of softmax(z), negative, in nats */
enum ood_logit_score { OOD_MSP, OOD_MAX_LOGIT, OOD_ENERGY, OOD_ENTROPY, OOD_N_LOGIT_SCORE };
const char *ood_logit_score_name(enum ood_logit_score s);      /* "msp", "max_logit", "energy", "entropy" */
/* temperature: of the energy alone, > 0. */
int ood_from_logits(enum ood_logit_score which, const float *logit, int64_t n, int K, double temperature, double *score, struct pool *pool, struct err *err);

/* ---- from features ---- */

/* Mahalanobis distance (Lee et al. 2018): -min over classes c of (f - mu_c)' S^-1 (f - mu_c), S the covariance around the classes' means, divided
 * by n (OpenOOD: EmpiricalCovariance).  relative (Ren et al. 2021, RMDS): plus (f - mu)' S0^-1 (f - mu), mu and S0 of all items as one class.
 * ledoit_wolf: each covariance is shrunk to a multiple of the identity by Ledoit and Wolf's estimate (2004; sklearn's LedoitWolf),
 * which also makes it regular where n < d or a feature never changes; without it such a covariance is ERR_NUMERIC, naming the feature.
 * label[n] in 0 .. K-1; classes without items do not count. */
struct ood_mahalanobis;
struct ood_mahalanobis_opts { bool relative, ledoit_wolf; };
int ood_mahalanobis_fit(struct ood_mahalanobis **out, const float *feature, const int32_t *label, int64_t n, int d, int K, const struct ood_mahalanobis_opts *o,
                        struct pool *pool, struct err *err);
int ood_mahalanobis_score(const struct ood_mahalanobis *m, const float *feature, int64_t n, double *score, struct pool *pool, struct err *err);
double ood_mahalanobis_shrinkage(const struct ood_mahalanobis *m, bool relative);      /* 0 to 1; relative: of the class-free covariance */
void ood_mahalanobis_free(struct ood_mahalanobis *m);

/* k-th nearest neighbour (Sun et al. 2022): minus the Euclidean distance of f / ||f|| to its k-th nearest of the bank's x / ||x||, k from 1; 50 is
 * usual (OpenOOD, which tells the squared distance: the same order).  A row of zeros has no direction: ERR_NUMERIC.
 * Candidates come from products in floats, with room for their error, and are then measured in doubles. */
int ood_knn(const float *bank, int64_t n_bank, const float *feature, int64_t n, int d, int k, double *score, struct pool *pool, struct err *err);

/* Virtual-logit matching (Wang et al. 2022): log sum exp(z) - alpha ||R' (f - u)||, R the eigenvectors of the d - dim least eigenvalues of the
 * training features' second moments around u, alpha = mean max logit / mean ||R' (f - u)|| over them.
 * u: where the head w[K,d] f + bias gives least, -pinv(w) bias; 0 where w or bias is NULL.  dim 0: the authors' 1000 for d >= 2048, 512 for d >= 768, else d/2. */
struct ood_vim;
int ood_vim_fit(struct ood_vim **out, const float *feature, const float *logit, int64_t n, int d, int K, const float *w, const float *bias, int dim,
                struct pool *pool, struct err *err);
int ood_vim_score(const struct ood_vim *v, const float *feature, const float *logit, int64_t n, double *score, struct pool *pool, struct err *err);
double ood_vim_alpha(const struct ood_vim *v);
void ood_vim_free(struct ood_vim *v);

/* ERR_NUMERIC with row and column of the first value of x[n,d] that is not finite; what: "logits", "features". */
int ood_check(const float *x, int64_t n, int d, const char *what, struct err *err);

#endif
