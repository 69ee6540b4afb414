/* calib_temperature.c - the temperature, by the derivative of NLL in beta.
 *
 *   f(beta)  = mean( logsumexp(beta z) - beta z_y )        convex
 *   f'(beta) = mean( E z - z_y ),  f''(beta) = mean( E z^2 - (E z)^2 ),  E by softmax(beta z)
 * in units of the largest distance of two logits, so that no square overflows.  A bracket of f' = 0 by doubling, then Newton's steps, or halves
 * of the bracket where they leave it.  Sums are over blocks of items of a fixed size, in order, so that threads do not matter. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"
#include "eval/calib.h"

#define BLOCK 256

struct sums { double f, f1, f2; int64_t n; };
/* Items whose label's logit is not the largest, and not the smallest. */
struct extremes { int64_t lacks, above; double range; };      /* range: the largest distance of two logits of an item */
struct fit { const struct calib *c; const int32_t *fold; int32_t leave_out; double beta, unit; struct sums *block; int n_block; struct pool *pool; };

static bool counts(const struct fit *t, int64_t i) { return !t->fold || t->fold[i] != t->leave_out; }

/* d: logits less the label's, in units. */
static void add_item(const struct calib *c, int64_t i, double beta, double unit, struct sums *s)
{
    const double *z = c->logit + c->start[i], y = z[c->label[i]];
    const int64_t k = c->start[i + 1] - c->start[i];
    double top = -INFINITY, sum = 0, mean = 0, square = 0;
    for (int64_t j = 0; j < k; j++)
        top = fmax(top, beta * ((z[j] - y) / unit));
    for (int64_t j = 0; j < k; j++) {
        const double d = (z[j] - y) / unit, e = exp(beta * d - top);
        sum += e, mean += e * d, square += e * d * d;
    }
    mean /= sum;
    s->f += top + log(sum);
    s->f1 += mean;
    s->f2 += square / sum - mean * mean;
    s->n++;
}

static void add_block(void *ctx, int i_block, int i_thread)
{
    struct fit *t = ctx;
    const int64_t end = ((int64_t)i_block + 1) * BLOCK;
    struct sums s = { 0 };
    (void)i_thread;
    for (int64_t i = (int64_t)i_block * BLOCK; i < end && i < t->c->n; i++)
        if (counts(t, i))
            add_item(t->c, i, t->beta, t->unit, &s);
    t->block[i_block] = s;
}

/* Means at beta, per unit. */
static struct sums at(struct fit *t, double beta)
{
    struct sums s = { 0 };
    t->beta = beta;
    pool_for(t->pool, t->n_block, add_block, t);
    for (int b = 0; b < t->n_block; b++)
        s.f += t->block[b].f, s.f1 += t->block[b].f1, s.f2 += t->block[b].f2, s.n += t->block[b].n;
    s.f /= (double)s.n, s.f1 /= (double)s.n, s.f2 /= (double)s.n;
    return s;
}

static struct extremes extremes(const struct fit *t)
{
    struct extremes x = { 0 };
    for (int64_t i = 0; i < t->c->n; i++) {
        if (!counts(t, i))
            continue;
        const double *z = t->c->logit + t->c->start[i], y = z[t->c->label[i]];
        double top = 0, low = 0;
        for (int64_t j = 0; j < t->c->start[i + 1] - t->c->start[i]; j++)
            top = fmax(top, z[j] - y), low = fmin(low, z[j] - y);
        x.lacks += top > 0, x.above += low < 0, x.range = fmax(x.range, top - low);
    }
    return x;
}

/* NLL at the end where every label has its item's largest (or smallest) logit: the mean of ln of how many share that. */
static double nll_at_end(const struct fit *t)
{
    double sum = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < t->c->n; i++) {
        if (!counts(t, i))
            continue;
        const double *z = t->c->logit + t->c->start[i], y = z[t->c->label[i]];
        int n_equal = 0;
        for (int64_t j = 0; j < t->c->start[i + 1] - t->c->start[i]; j++)
            n_equal += z[j] == y;
        sum += log(n_equal), n++;
    }
    return sum / (double)n;
}

static double solve(struct fit *t)
{
    double low = 0, high = 0;
    const double f1 = at(t, 0).f1;
    if (f1 == 0)
        return 0;
    if (f1 < 0)
        for (high = 1; at(t, high).f1 < 0 && high < 1e300; high *= 2)
            low = high;
    else
        for (low = -1; at(t, low).f1 > 0 && low > -1e300; low *= 2)
            high = low;
    double beta = (low + high) / 2;
    for (int i = 0; i < 200; i++) {
        const struct sums s = at(t, beta);
        if (s.f1 == 0)
            break;
        if (s.f1 < 0)
            low = beta;
        else
            high = beta;
        double next = beta - s.f1 / s.f2;
        if (!(next > low && next < high))
            next = (low + high) / 2;
        if (fabs(next - beta) <= 1e-15 * fabs(beta) || next == low || next == high)
            break;
        beta = next;
    }
    return beta;
}

int calib_temperature_fit(struct calib_temperature *out, const struct calib *c, const int32_t *fold, int32_t leave_out, struct pool *pool, struct err *err)
{
    struct fit t = { .c = c, .fold = fold, .leave_out = leave_out, .n_block = (int)((c->n + BLOCK - 1) / BLOCK), .pool = pool };
    t.block = mem_alloc_array((size_t)t.n_block, sizeof *t.block);
    if (!t.block)
        return ERR(err, NOMEM, "no memory to fit a temperature to %" PRId64 " items", c->n);
    const struct extremes x = extremes(&t);
    t.unit = x.range > 0 ? x.range : 1;
    const struct sums before = at(&t, t.unit);
    *out = (struct calib_temperature){ .n = before.n, .nll_before = before.f, .nll_after = before.f, .beta = 1 };
    int rc = 0;
    if (!before.n) {
        rc = ERR(err, RANGE, "no items to fit a temperature to");
    } else {
        out->status = x.lacks > 0 ? x.above > 0 ? CALIB_FITTED : CALIB_ALL_WRONG : x.above > 0 ? CALIB_ALL_RIGHT : CALIB_FLAT;
        if (out->status == CALIB_FITTED) {
            const double beta = solve(&t);
            out->beta = beta / t.unit, out->nll_after = at(&t, beta).f;
        } else if (out->status != CALIB_FLAT) {
            out->beta = out->status == CALIB_ALL_RIGHT ? INFINITY : -INFINITY, out->nll_after = nll_at_end(&t);
        }
        out->temperature = 1 / out->beta;
    }
    mem_free(t.block);
    return rc;
}

const char *calib_temperature_word(enum calib_temperature_status s)
{
    switch (s) {
    case CALIB_FITTED: return "fitted";
    case CALIB_ALL_RIGHT: return "the likeliest choice is right in every item: NLL falls as T goes to 0, no temperature is best";
    case CALIB_ALL_WRONG: return "the least likely choice is right in every item: no temperature helps";
    case CALIB_FLAT: return "all choices are equally likely in every item: a temperature changes nothing";
    }
    return "?";
}

/* ---- with it ---- */

int calib_scale(struct calib **out, const struct calib *c, const double *beta, struct err *err)
{
    *out = NULL;
    double *z = mem_alloc_array((size_t)c->start[c->n], sizeof *z);
    if (!z)
        return ERR(err, NOMEM, "no memory for the scaled logits of %" PRId64 " items", c->n);
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t j = c->start[i]; j < c->start[i + 1]; j++)
            z[j] = beta[i] * c->logit[j];
    const struct calib_items in = { c->n, c->n_class, c->start, z, c->label, false };
    const int rc = calib_new(out, &in, c->n_bin, err);
    mem_free(z);
    return rc;
}

int calib_cross_fit(struct calib **out, const struct calib *c, int n_fold, uint64_t seed, struct pool *pool, struct calib_temperature *fit, struct err *err)
{
    *out = NULL;
    if (n_fold < 2 || n_fold > c->n)
        return ERR(err, RANGE, "%d folds of %" PRId64 " items, expected 2 or more, and at least an item in each", n_fold, c->n);
    int32_t *fold = mem_alloc_array((size_t)c->n, sizeof *fold);
    double *beta = mem_alloc_array((size_t)c->n, sizeof *beta);
    int rc = fold && beta ? 0 : ERR(err, NOMEM, "no memory for %d folds", n_fold);
    bool all = true;
    const uint64_t key = rng_key(seed, "calib.folds");
    for (int64_t i = 0; i < c->n && rc >= 0; i++)
        fold[i] = (int32_t)(rng_permute(key, (uint64_t)i, (uint64_t)c->n) % (uint64_t)n_fold);
    for (int f = 0; f < n_fold && rc >= 0; f++) {
        rc = calib_temperature_fit(&fit[f], c, fold, f, pool, err);
        all = all && rc >= 0 && fit[f].status == CALIB_FITTED && fit[f].beta > 0;
    }
    for (int64_t i = 0; i < c->n && rc >= 0 && all; i++)
        beta[i] = fit[fold[i]].beta;
    if (rc >= 0 && all)
        rc = calib_scale(out, c, beta, err);
    mem_free(beta);
    mem_free(fold);
    return rc;
}
