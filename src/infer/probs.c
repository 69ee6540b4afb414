#include "infer/probs.h"
#include <math.h>
#include "cpu/kernels.h"

int probs_largest(const float *x, int V, double *log_sum)
{
    int best = 0;
    double sum = 0;
    for (int i = 1; i < V; i++)
        best = x[i] > x[best] ? i : best;
    for (int i = 0; i < V; i++)
        sum += exp((double)x[i] - (double)x[best]);
    *log_sum = log(sum);
    return best;
}

void token_probs(const float *x, int V, int32_t id, int n, struct token_prob *prob)
{
    double lse;
    const int best = probs_largest(x, V, &lse);
    int have = 0;
    lse += (double)x[best];
    prob[0] = (struct token_prob){ id, (float)((double)x[id] - lse) };
    for (int i = 0; i < V && n; i++) {
        if (have == n && x[i] <= prob[n].logprob)
            continue;
        int k = have < n ? ++have : n;           /* by logits until the end */
        for (; k > 1 && prob[k - 1].logprob < x[i]; k--)
            prob[k] = prob[k - 1];
        prob[k] = (struct token_prob){ i, x[i] };
    }
    for (int k = 1; k <= n; k++)
        prob[k].logprob = (float)((double)prob[k].logprob - lse);
}

static double not_below_zero(double kl) { return kl <= 0 ? 0 : kl; }       /* rounding; NaN stays */

/* Takes what a file could not tell out of the sums; most of it has one value. */
static void leave_out(struct divergence *d, const float *x, const float *y, int V)
{
    float last = INFINITY;
    double e = 0;
    for (int i = 0; i < V; i++) {
        if (x[i] > PROBS_GIVEN_LEAST)
            continue;
        if (x[i] != last)
            last = x[i], e = exp((double)last - (double)x[d->best[0]]);
        d->sum[0] -= e, d->cross[0] -= e * ((double)x[i] - (double)y[i]);
    }
}

void probs_compare(struct probs_pair *out, const float *x, bool x_given, const float *y, int V)
{
    struct divergence d;
    cpu_kernels()->divergence(V, x, y, &d);
    if (x_given)
        leave_out(&d, x, y, V);
    const double top = (double)x[d.best[0]], log_x = x_given ? 0 : top + log(d.sum[0]), log_y = (double)y[d.best[1]] + log(d.sum[1]);
    *out = (struct probs_pair){ .best = { d.best[0], d.best[1] }, .log_sum = { log_x, log_y } };
    out->kl = x_given ? exp(top) * (d.cross[0] + d.sum[0] * log_y) : not_below_zero(d.cross[0] / d.sum[0] + (log_y - log_x));
    out->kl_back = -d.cross[1] / d.sum[1] - (log_y - log_x);
    if (!x_given)
        out->kl_back = not_below_zero(out->kl_back);
}
