/* spectral.h - records that pull a class in one direction: spectral signatures (Tran, Li and Madry, "Spectral signatures in backdoor attacks",
 * NeurIPS 2018).
 *
 * Of the representations of one class's records, their mean taken off, the score is the square of the projection on the top right singular
 * vector; where a share eps of a class is poisoned, the 1.5 eps largest scores hold most of it.  One thread. */
#ifndef AUDIT_SPECTRAL_H
#define AUDIT_SPECTRAL_H
#include <stddef.h>
#include "base/err.h"

/* x[n][d]: rows are records.  score[n].  The vector by power iteration on the covariance, in doubles, from a fixed start, until it turns by less
 * than 1e-9 or 1000 times; a class without two different rows has zeros.  ERR_NUMERIC where x is not finite. */
int spectral_scores(const float *x, size_t n, size_t d, double *score, struct err *err);
/* Marks the 1.5 eps n largest scores, of equal ones the first; how many these are. */
int spectral_outliers(const double *score, size_t n, double eps, unsigned char *is_one, size_t *n_out, struct err *err);

#endif
