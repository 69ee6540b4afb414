#include "eval/interval.h"
#include <math.h>
#include "base/mem.h"
#include "eval/dist.h"
#include "eval/order.h"

static int check_share(int64_t k, int64_t n, double level, struct err *err)
{
    if (n < 0 || k < 0 || k > n || (double)n > DIST_MAX)
        return ERR(err, RANGE, "%lld of %lld, expected a share of at most 10^14", (long long)k, (long long)n);
    if (!(level > 0 && level < 1))
        return ERR(err, RANGE, "confidence level %g, expected more than 0 and less than 1", level);
    return 0;
}

int interval_wilson(int64_t k, int64_t n, double level, double ci[2], struct err *err)
{
    TRY(check_share(k, n, level, err));
    ci[0] = 0, ci[1] = 1;
    if (n == 0)
        return 0;
    const double N = (double)n, z = -dist_normal_quantile((1 - level) / 2), p = (double)k / N, z2 = z * z;
    const double middle = (p + z2 / (2 * N)) / (1 + z2 / N);
    const double half = z / (1 + z2 / N) * sqrt(p * (1 - p) / N + z2 / (4 * N * N));
    if (k > 0)
        ci[0] = fmax(middle - half, 0);
    if (k < n)
        ci[1] = fmin(middle + half, 1);
    return 0;
}

int interval_clopper_pearson(int64_t k, int64_t n, double level, double ci[2], struct err *err)
{
    TRY(check_share(k, n, level, err));
    const double tail = (1 - level) / 2, K = (double)k, N = (double)n;
    ci[0] = k == 0 ? 0 : dist_beta_quantile(tail, K, N - K + 1);
    ci[1] = k == n ? 1 : dist_beta_isf(tail, K + 1, N - K);
    return 0;
}

/* ---- clusters: the places of the items, with those of one cluster together ---- */

int interval_by_cluster(const int64_t *cluster, int64_t n, int64_t **index, struct err *err)
{
    double *key = mem_alloc_array((size_t)n, sizeof *key);
    *index = mem_alloc_array((size_t)n, sizeof **index);
    int rc = !key || !*index ? ERR(err, NOMEM, "clusters of %lld items do not fit into memory", (long long)n) : 0;
    for (int64_t i = 0; i < n && rc == 0; i++)
        if (cluster[i] > (int64_t)1 << 53)
            rc = ERR(err, RANGE, "item %lld: cluster %lld, expected at most 2^53", (long long)i, (long long)cluster[i]);
        else
            key[i] = (double)cluster[i];
    if (rc == 0)
        rc = order_index(key, n, *index, err);
    if (rc < 0) {
        mem_free(*index);
        *index = NULL;
    }
    mem_free(key);
    return rc;
}

int64_t interval_cluster_end(const int64_t *cluster, const int64_t *index, int64_t n, int64_t i)
{
    int64_t end = i + 1;
    while (cluster[index[i]] >= 0 && end < n && cluster[index[end]] == cluster[index[i]])
        end++;
    return end;
}

int interval_mean(const double *x, const double *w, const int64_t *cluster, int64_t n, double level, struct interval_mean *out, struct err *err)
{
    *out = (struct interval_mean){ NAN, NAN, { NAN, NAN }, n, n };
    if (n < 1 || !(level > 0 && level < 1))
        return ERR(err, RANGE, "a mean of %lld values at level %g, expected at least 1 and a level between 0 and 1", (long long)n, level);
    TRY(order_finite(x, n, "scores", err));
    if (w)
        TRY(order_finite(w, n, "weights", err));
    int64_t *index = NULL;
    if (cluster)
        TRY(interval_by_cluster(cluster, n, &index, err));
    double sum = 0, weight = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i], weight += w ? w[i] : 1;
    const double ratio = sum / weight;
    out->n_cluster = 0;
    for (int64_t i = 0, end; i < n; i = end, out->n_cluster++) {
        end = index ? interval_cluster_end(cluster, index, n, i) : i + 1;
        double deviation = 0;
        for (int64_t j = i; j < end; j++) {
            const int64_t at = index ? index[j] : j;
            deviation += x[at] - ratio * (w ? w[at] : 1);
        }
        squares += deviation * deviation;
    }
    mem_free(index);
    if (!(weight > 0) || !isfinite(ratio))
        return ERR(err, RANGE, "a sum of weights of %g, expected more than 0", weight);
    out->mean = ratio;
    if (out->n_cluster < 2)
        return 0;
    const double C = (double)out->n_cluster, t = -dist_t_quantile((1 - level) / 2, C - 1);
    out->se = sqrt(squares * C / (C - 1)) / weight;
    out->ci[0] = ratio - t * out->se, out->ci[1] = ratio + t * out->se;
    return 0;
}

int interval_share(const double *x, const int64_t *cluster, int64_t n, double level, struct interval_mean *out, struct err *err)
{
    TRY(interval_mean(x, NULL, cluster, n, level, out, err));
    if (out->n_cluster > 1 && out->se == 0 && (out->mean == 0 || out->mean == 1))
        return interval_wilson(out->mean == 1 ? out->n_cluster : 0, out->n_cluster, level, out->ci, err);
    for (int i = 0; i < 2; i++)
        out->ci[i] = out->ci[i] < 0 ? 0 : out->ci[i] > 1 ? 1 : out->ci[i];       /* NAN stays */
    return 0;
}

/* Mean and sum of squared deviations of the answers at index[i..end). */
static double mean_of(const double *x, const int64_t *index, int64_t i, int64_t end, double *squares)
{
    double sum = 0;
    for (int64_t j = i; j < end; j++)
        sum += x[index[j]];
    const double mean = sum / (double)(end - i);
    *squares = 0;
    for (int64_t j = i; j < end; j++)
        *squares += (x[index[j]] - mean) * (x[index[j]] - mean);
    return mean;
}

int interval_two_stage(const double *x, const int64_t *item, int64_t n, struct interval_two_stage *out, struct err *err)
{
    *out = (struct interval_two_stage){ NAN, NAN, NAN, NAN, NAN, 0, n };
    if (n < 1)
        return ERR(err, RANGE, "a mean of %lld answers, expected at least 1", (long long)n);
    TRY(order_finite(x, n, "scores", err));
    int64_t *index;
    TRY(interval_by_cluster(item, n, &index, err));
    double mean = 0, squares = 0, within = 0, inverse = 0, own;      /* squares: Welford's, over items' means */
    int64_t n_repeated = 0;
    for (int64_t i = 0, end; i < n; i = end) {
        end = interval_cluster_end(item, index, n, i);
        const double of_item = mean_of(x, index, i, end, &own), delta = of_item - mean, m = (double)(end - i);
        mean += delta / (double)++out->n_item;
        squares += delta * (of_item - mean);
        inverse += 1 / m;
        if (end - i > 1)
            within += own / (m - 1), n_repeated++;
    }
    mem_free(index);
    const double N = (double)out->n_item;
    out->mean = mean;
    if (n_repeated)
        out->var_within = within / (double)n_repeated, out->se_within = sqrt(out->var_within * inverse) / N;
    if (out->n_item > 1) {
        out->se = sqrt(squares / (N - 1) / N);
        if (n_repeated)
            out->var_between = fmax(squares / (N - 1) - out->var_within * inverse / N, 0);
    }
    return 0;
}
