#include <math.h>
#include <string.h>
#include "watch/changepoint.h"

enum { COARSE = 8 };

void changepoint_init(struct changepoint *h, const int64_t *mass, int n_cell)
{
    memset(h, 0, sizeof *h);
    h->length = 1;
    int64_t all = 0, before = 0;
    for (int c = 0; c < n_cell; c++)
        all += mass[c];
    for (int c = 0; c < n_cell; c++) {
        const int64_t g = n_cell <= CHANGE_GROUPS ? c : (2 * before + mass[c]) * CHANGE_GROUPS / (2 * all);
        h->group[c] = (uint16_t)g;
        h->mass[g] += (double)mass[c];
        before += mass[c];
    }
    h->n_group = n_cell <= CHANGE_GROUPS ? n_cell : CHANGE_GROUPS;
}

void changepoint_add(struct changepoint *h, int cell)
{
    if (h->n == h->length * h->n_block && h->n_block == CHANGE_BLOCKS) {
        for (int b = 0; b < CHANGE_BLOCKS / 2; b++)
            for (int g = 0; g < CHANGE_GROUPS; g++)
                h->count[b][g] = h->count[2 * b][g] + h->count[2 * b + 1][g];
        memset(h->count[CHANGE_BLOCKS / 2], 0, sizeof h->count / 2);
        h->n_block = CHANGE_BLOCKS / 2, h->length *= 2;
    }
    if (h->n == h->length * h->n_block)
        h->n_block++;
    h->count[h->n_block - 1][h->group[cell]]++;
    h->n++;
}

static double xlogx_of(double x, double all) { return x > 0 ? x * log(x / all) : 0; }

/* Log likelihood ratio of two distributions, the one of `before` and the one of `after`, against one: over COARSE groups, since each adds chance. */
static double ratio_of(const double *before, const double *after, int n)
{
    double b[COARSE] = { 0 }, a[COARSE] = { 0 }, b_all = 0, a_all = 0, r = 0;
    for (int g = 0; g < n; g++) {
        const int to = n <= COARSE ? g : g * COARSE / n;
        b[to] += before[g], a[to] += after[g];
        b_all += before[g], a_all += after[g];
    }
    for (int g = 0; g < COARSE; g++)
        r += xlogx_of(b[g], b_all) + xlogx_of(a[g], a_all) - xlogx_of(b[g] + a[g], a_all + b_all);
    return r;
}

/* P(after > reference) with ties half, and a normal interval from the variances of the share of the other sample below each (DeLong). */
static void auc_of(const double *ref, const double *after, int n, struct change *out)
{
    double r = 0, a = 0, below_r = 0, below_a = 0, sum = 0, r2 = 0, a2 = 0;
    for (int g = 0; g < n; g++)
        r += ref[g], a += after[g];
    for (int g = 0; g < n; g++) {
        const double under = (below_r + ref[g] / 2) / r, over = 1 - (below_a + after[g] / 2) / a;
        sum += after[g] * under, a2 += after[g] * under * under, r2 += ref[g] * over * over;
        below_r += ref[g], below_a += after[g];
    }
    const double auc = sum / a, half = 1.959964 * sqrt(fmax(0, (a2 / a - auc * auc) / a) + fmax(0, (r2 / r - auc * auc) / r));
    out->auc = auc, out->auc_low = fmax(0, auc - half), out->auc_high = fmin(1, auc + half);
    out->tv = 0;
    for (int g = 0; g < n; g++)
        out->tv += fabs(after[g] / a - ref[g] / r) / 2;
}

void changepoint_find(const struct changepoint *h, struct change *out)
{
    *out = (struct change){ .auc = 0.5, .auc_high = 1 };
    if (!h->n)
        return;
    double after[CHANGE_GROUPS] = { 0 }, before[CHANGE_GROUPS], ratio[CHANGE_BLOCKS] = { 0 }, best_after[CHANGE_GROUPS] = { 0 };
    for (int g = 0; g < h->n_group; g++)
        before[g] = h->mass[g];
    for (int b = 0; b < h->n_block; b++)
        for (int g = 0; g < h->n_group; g++)
            before[g] += h->count[b][g];
    int best = h->n_block - 1;
    for (int b = h->n_block - 1; b >= 0; b--) {
        for (int g = 0; g < h->n_group; g++)
            after[g] += h->count[b][g], before[g] -= h->count[b][g];
        ratio[b] = ratio_of(before, after, h->n_group);
        if (b == h->n_block - 1 || ratio[b] > ratio[best])
            best = b, memcpy(best_after, after, sizeof after);
    }
    int low = best, high = best;
    for (int b = 0; b < h->n_block; b++)
        if (ratio[b] >= ratio[best] - 1.92)
            low = b < low ? b : low, high = b > high ? b : high;
    out->at = best * h->length, out->low = low * h->length, out->high = high * h->length, out->log_ratio = ratio[best];
    auc_of(h->mass, best_after, h->n_group, out);
}
