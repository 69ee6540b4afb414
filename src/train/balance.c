#include "train/balance.h"
#include <math.h>

void balance_experts(struct decoder *d, int i, const double *load, double rate)
{
    const struct tensor *t = d->correction[i] < 0 ? NULL : &d->g->tensor[d->correction[i]];
    const int E = d->route.n_expert;
    double sum = 0;
    if (!t || !t->steered)
        return;
    for (int e = 0; e < E; e++)
        sum += load[e];
    for (int e = 0; e < E; e++)
        ((float *)t->data)[e] += (float)rate * (float)((load[e] * E < sum) - (load[e] * E > sum));
}

bool balance_range(const struct decoder *d, int i, double *low, double *high)
{
    if (d->correction[i] < 0)
        return false;
    const float *b = d->g->tensor[d->correction[i]].data;
    *low = INFINITY, *high = -INFINITY;
    for (int e = 0; e < d->route.n_expert; e++)
        *low = fmin(*low, (double)b[e]), *high = fmax(*high, (double)b[e]);
    return true;
}
