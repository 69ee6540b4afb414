#include "eval/ood.h"
#include <inttypes.h>
#include <math.h>

#define BLOCK 256      /* rows at a time */

int ood_check(const float *x, int64_t n, int d, const char *what, struct err *err)
{
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < d; j++)
            if (!isfinite(x[i * d + j]))
                return ERR(err, NUMERIC, "%s: row %" PRId64 ", column %d: %g, expected a finite number", what, i, j, (double)x[i * d + j]);
    return 0;
}

const char *ood_logit_score_name(enum ood_logit_score s)
{
    static const char *const names[] = { "msp", "max_logit", "energy", "entropy" };
    return names[s];
}

struct rows { enum ood_logit_score which; const float *logit; int64_t n; int K; double temperature, *score; };

static double score_row(const struct rows *r, const float *z)
{
    const double T = r->which == OOD_ENERGY ? r->temperature : 1;
    double top = (double)z[0], sum = 0, weighted = 0;
    for (int k = 1; k < r->K; k++)
        top = fmax(top, (double)z[k]);
    if (r->which == OOD_MAX_LOGIT)
        return top;
    for (int k = 0; k < r->K; k++) {
        const double a = ((double)z[k] - top) / T, e = exp(a);
        sum += e, weighted += e * a;
    }
    return r->which == OOD_MSP ? 1 / sum : r->which == OOD_ENERGY ? top + T * log(sum) : weighted / sum - log(sum);
}

static void score_block(void *ctx, int i_block, int i_thread)
{
    const struct rows *r = ctx;
    const int64_t from = (int64_t)i_block * BLOCK, to = from + BLOCK < r->n ? from + BLOCK : r->n;
    (void)i_thread;
    for (int64_t i = from; i < to; i++)
        r->score[i] = score_row(r, r->logit + i * r->K);
}

int ood_from_logits(enum ood_logit_score which, const float *logit, int64_t n, int K, double temperature, double *score, struct pool *pool, struct err *err)
{
    if (K < 1)
        return ERR(err, RANGE, "%d classes, expected at least 1", K);
    if (which == OOD_ENERGY && !(temperature > 0 && isfinite(temperature)))
        return ERR(err, RANGE, "energy: temperature %g, expected more than 0", temperature);
    TRY(ood_check(logit, n, K, "logits", err));
    struct rows r = { which, logit, n, K, temperature, score };
    pool_for(pool, (int)((n + BLOCK - 1) / BLOCK), score_block, &r);
    return 0;
}
