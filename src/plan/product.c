#include "plan/product.h"
#include <float.h>
#include <math.h>

static const double tile_rows[] = { 16, 32, 64, 128, 256 }, tile_cols[] = { 64, 128, 256 }, splits[] = { 1, 2, 4, 8, 16 };
#define COUNT(a) (int)(sizeof(a) / sizeof *(a))

static double reached(const struct product_device *d) { return d->memory * d->bandwidth; }

/* Of one tile of bm x bn over K. */
static double tile_seconds(const struct product_device *d, double bm, double bn, double K, double bytes, double out_bytes)
{
    const double unit_peak = d->peak * 2 / bytes / d->units, rate = d->mma * unit_peak * fmin(1, bm * bn / (bm + bn) / d->ridge);
    return fmax(2 * bm * bn * ceil(K / 64) * 64 / rate, bm * bn * out_bytes / (reached(d) / d->units)) + d->tile;
}

double product_seconds(const struct product_device *d, double batch, double M, double N, double K, double bytes)
{
    const double all = batch * ((M * K + N * K) * bytes + M * N * 2);
    double best = DBL_MAX;
    for (int i = 0; i < COUNT(tile_rows); i++)
        for (int j = 0; j < COUNT(tile_cols); j++)
            for (int s = 0; s < COUNT(splits); s++) {
                const double bm = tile_rows[i], bn = tile_cols[j], split = splits[s], tiles = ceil(M / bm) * ceil(N / bn) * split * batch;
                const double partial = split > 1 ? batch * M * N * 4 * split / reached(d) : 0;       /* sums of parts of K, in floats */
                const double sums = ceil(tiles / d->units) * tile_seconds(d, bm, bn, K / split, bytes, 2) + partial;
                best = fmin(best, fmax(sums, all / (reached(d) * fmin(1, tiles / d->units))));
            }
    return d->launch + best;
}

/* Expected tiles of bm rows over all experts, ceil(rows / bm) each, rows binomial of n and p. */
static double row_tiles(double n, double p, int E, double bm)
{
    const double mean = n * p, sd = sqrt(n * p * (1 - p));
    const double from = floor(fmax(0, mean - 12 * sd)), to = fmin(n, ceil(mean + 12 * sd + 20));
    if (p >= 1)
        return E * ceil(n / bm);
    double sum = 0, all = 0;
    for (double r = from; r <= to; r++) {
        const double w = exp(lgamma(n + 1) - lgamma(r + 1) - lgamma(n - r + 1) + r * log(p) + (n - r) * log1p(-p));
        sum += w * ceil(r / bm), all += w;
    }
    return E * sum / all;
}

static double expert_product(const struct product_device *d, const double *tiles_of_rows, double rows, double N, double K, double distinct, double bytes, double out_bytes)
{
    const double all = distinct * N * K * bytes + rows * (K * bytes + N * out_bytes);
    double best = DBL_MAX;
    for (int i = 0; i < COUNT(tile_rows); i++)
        for (int j = 0; j < COUNT(tile_cols); j++) {
            const double waves = ceil(tiles_of_rows[i] * ceil(N / tile_cols[j]) / d->units);
            best = fmin(best, fmax(waves * tile_seconds(d, tile_rows[i], tile_cols[j], K, bytes, out_bytes), all / reached(d)));
        }
    return best;
}

double experts_seconds(const struct product_device *d, double tokens, double C, double F, int E, int k, double bytes)
{
    const double p = (double)k / E, distinct = E * (1 - pow(1 - p, tokens));
    double t[COUNT(tile_rows)];
    for (int i = 0; i < COUNT(tile_rows); i++)
        t[i] = row_tiles(tokens, p, E, tile_rows[i]);
    /* what the second makes is added to the token's sum: read and written */
    return d->launch + expert_product(d, t, tokens * k, 2 * F, C, distinct, bytes, 2) + expert_product(d, t, tokens * k, C, F, distinct, bytes, 4);
}

double product_roofline(const struct product_device *d, double batch, double M, double N, double K, double bytes)
{
    return fmax(2 * batch * M * N * K / (d->peak * 2 / bytes), batch * ((M * K + N * K) * bytes + M * N * 2) / d->bandwidth);
}
