/* privacy.h - the section `privacy` of a run's settings, and what the run has spent.
 *
 * Training is then DP-SGD (Abadi et al., arXiv:1607.00133): a step takes each record by itself with probability rate, clips its gradient
 * to max_grad_norm, and adds noise (dpsgd.h).  After n steps the weights are (epsilon, delta)-private towards one record that is
 * added or removed.  Epsilon is the smaller of two upper bounds: Renyi divergences (rdp.h) and composed privacy losses (prv.h). */
#ifndef TRAIN_PRIVACY_H
#define TRAIN_PRIVACY_H
#include <jansson.h>
#include "base/opt.h"

/* The section.  What a record is: data/loader.h. */
struct privacy {
    bool on;                     /* the section is there */
    bool noise_given;            /* else target_epsilon is */
    double noise_multiplier, target_epsilon, delta, max_grad_norm;
    const char *sampling;        /* "poisson" */
    const char *clipping;        /* "auto", "ghost" or "records" */
};
extern const char privacy_text[];                             /* of the manual */
void privacy_defaults(struct privacy *p);
void privacy_keys(struct privacy *p, struct opt keys[]);      /* TRAIN_KEYS_MAX at most */
int privacy_read(struct privacy *p, json_t *section, const char *where, struct err *err);

/* Of `steps` steps.  INFINITY where nothing bounds it. */
int privacy_epsilon(double rate, double noise, double steps, double delta, double *epsilon, struct err *err);
/* After each n-th part of them, rounded up. */
int privacy_curve(double rate, double noise, double steps, double delta, int n, double epsilon[], struct err *err);
/* The least noise, within 0.2 % of the target, that spends at most epsilon.  ERR_USAGE when no noise up to
 * PRIVACY_NOISE_MAX is enough. */
#define PRIVACY_NOISE_MAX 1e4
int privacy_noise(double rate, double epsilon, double steps, double delta, double *noise, struct err *err);
#endif
