/* ood_mahalanobis.c - distances to class means, in coordinates in which the covariance is the identity.
 *
 * With S = L L', (f-m)' S^-1 (f-m) is the squared distance of L^-1 (f-mu) and L^-1 (m-mu): a row of features is whitened once, then compared to
 * each mean. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "eval/linalg.h"
#include "eval/ood.h"

#define CHUNK 256      /* rows that are centred at a time while a covariance is summed */
#define BLOCK 16       /* rows that a thread whitens at a time */

/* One covariance: t whitens, mean[n_mean] are whitened means. */
struct metric { double *t, *mean; int n_mean; double shrinkage; };
struct ood_mahalanobis { int d; double *centre; struct metric tied, whole; };      /* whole.t NULL: not relative */

/* ---- fitting ---- */

/* Rows of features less the mean of their class (class_of NULL: less mean[0]). */
struct training { const float *x; const int32_t *class_of; int64_t n; int d; const double *mean; };

/* Sums of the classes' rows and how many they are, then means. */
static void class_means(const struct training *t, int K, double *mean, int64_t *count)
{
    const size_t d = (size_t)t->d;
    for (int64_t i = 0; i < t->n; i++) {
        double *m = mean + (size_t)t->class_of[i] * d;
        for (size_t j = 0; j < d; j++)
            m[j] += (double)t->x[(size_t)i * d + j];
        count[t->class_of[i]]++;
    }
    for (size_t k = 0; k < (size_t)K; k++)
        for (size_t j = 0; j < d && count[k]; j++)
            mean[k * d + j] /= (double)count[k];
}

/* Ledoit and Wolf: towards mu I, mu the mean variance, by the share that the noise of s has in its distance from there. */
static double shrink(double *s, int d, int64_t n, double fourth)
{
    const size_t ld = (size_t)d;
    double trace = 0, squares = 0;
    for (size_t i = 0; i < ld; i++) {
        trace += s[i * ld + i];
        for (size_t j = 0; j < i; j++)
            squares += 2 * s[i * ld + j] * s[i * ld + j];
        squares += s[i * ld + i] * s[i * ld + i];
    }
    const double mu = trace / d, spread = (squares - mu * trace) / d, noise = (fourth / (double)n - squares) / ((double)n * d);
    const double share = noise > 0 && spread > 0 ? fmin(noise, spread) / spread : 0;
    for (size_t i = 0; i < ld; i++)
        for (size_t j = 0; j <= i; j++)
            s[i * ld + j] = (1 - share) * s[i * ld + j] + (i == j ? share * mu : 0);
    return share;
}

/* Covariance of the rows around their means into s, and the sum of their fourth powers ||row||^4. */
static double covariance(const struct training *t, double *s, double *chunk, struct pool *pool)
{
    const size_t d = (size_t)t->d;
    double fourth = 0;
    for (int64_t from = 0; from < t->n; from += CHUNK) {
        const int m = t->n - from < CHUNK ? (int)(t->n - from) : CHUNK;
        for (int r = 0; r < m; r++) {
            const double *mean = t->mean + (t->class_of ? (size_t)t->class_of[from + r] * d : 0);
            double *row = chunk + (size_t)r * d;
            for (size_t j = 0; j < d; j++)
                row[j] = (double)t->x[(size_t)(from + r) * d + j] - mean[j];
            const double norm2 = lin_dot(row, row, t->d);
            fourth += norm2 * norm2;
        }
        lin_gram_add(s, chunk, m, t->d, pool);
    }
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j <= i; j++)
            s[i * d + j] /= (double)t->n;
    return fourth;
}

/* The whitening of a covariance: takes memory for g->t alone. */
static int fit_metric(struct metric *g, const struct training *t, bool ledoit_wolf, struct pool *pool, struct err *err)
{
    const size_t d = (size_t)t->d;
    double *s = mem_alloc_array(d * d, sizeof *s), *chunk = mem_alloc_array(CHUNK * d, sizeof *chunk);
    g->t = mem_alloc_array(d * d, sizeof *g->t);
    int rc = s && chunk && g->t ? 0 : ERR(err, NOMEM, "no memory for a covariance of %d features", t->d);
    if (rc >= 0) {
        const double fourth = covariance(t, s, chunk, pool);
        g->shrinkage = ledoit_wolf ? shrink(s, t->d, t->n, fourth) : 0;
        const int bad = lin_cholesky(s, t->d);
        if (bad >= 0)
            rc = ERR(err, NUMERIC, "the covariance of %d features over %" PRId64 " items is singular: feature %d follows from those before it, or never changes%s",
                     t->d, t->n, bad, ledoit_wolf ? "" : " (Ledoit-Wolf's shrinkage would help)");
        else
            lin_whitening(s, t->d, g->t);
    }
    mem_free(chunk);
    mem_free(s);
    return rc;
}

/* Whitens the means of classes that have items, around the centre. */
static int fit_means(struct metric *g, int d, const double *centre, const double *mean, const int64_t *count, int K, struct err *err)
{
    const size_t ld = (size_t)d;
    double *row = mem_alloc_array(ld, sizeof *row);
    g->mean = mem_alloc_array((size_t)K * ld, sizeof *g->mean);
    const int rc = row && g->mean ? 0 : ERR(err, NOMEM, "no memory for the means of %d classes", K);
    for (int k = 0; k < K && rc >= 0; k++) {
        if (count && !count[k])
            continue;
        for (size_t j = 0; j < ld; j++)
            row[j] = mean[(size_t)k * ld + j] - centre[j];
        lin_times_upper(row, g->t, g->mean + (size_t)g->n_mean++ * ld, 1, d);
    }
    mem_free(row);
    return rc;
}

static void centre_of(const struct training *t, double *centre)
{
    for (int64_t i = 0; i < t->n; i++)
        for (size_t j = 0; j < (size_t)t->d; j++)
            centre[j] += (double)t->x[(size_t)i * (size_t)t->d + j];
    for (int j = 0; j < t->d; j++)
        centre[j] /= (double)t->n;
}

static int fit(struct ood_mahalanobis *m, struct training *t, int K, const struct ood_mahalanobis_opts *o, double *mean, int64_t *count,
               struct pool *pool, struct err *err)
{
    centre_of(t, m->centre);
    class_means(t, K, mean, count);
    t->mean = mean;
    TRY(fit_metric(&m->tied, t, o->ledoit_wolf, pool, err));
    TRY(fit_means(&m->tied, t->d, m->centre, mean, count, K, err));
    if (!o->relative)
        return 0;
    t->class_of = NULL, t->mean = m->centre;
    TRY(fit_metric(&m->whole, t, o->ledoit_wolf, pool, err));
    return fit_means(&m->whole, t->d, m->centre, m->centre, NULL, 1, err);
}

static int check(const float *x, const int32_t *label, int64_t n, int d, int K, struct err *err)
{
    if (n < 1 || d < 1 || K < 1)
        return ERR(err, RANGE, "%" PRId64 " items of %d features and %d classes, expected at least 1 of each", n, d, K);
    for (int64_t i = 0; i < n; i++)
        if (label[i] < 0 || label[i] >= K)
            return ERR(err, RANGE, "item %" PRId64 ": label %d, expected 0 to %d", i, label[i], K - 1);
    return ood_check(x, n, d, "features", err);
}

int ood_mahalanobis_fit(struct ood_mahalanobis **out, const float *feature, const int32_t *label, int64_t n, int d, int K, const struct ood_mahalanobis_opts *o,
                        struct pool *pool, struct err *err)
{
    *out = NULL;
    TRY(check(feature, label, n, d, K, err));
    struct ood_mahalanobis *m = mem_alloc_zero(sizeof *m);
    double *mean = mem_alloc_array((size_t)K * (size_t)d, sizeof *mean);
    int64_t *count = mem_alloc_array((size_t)K, sizeof *count);
    if (m)
        m->d = d, m->centre = mem_alloc_array((size_t)d, sizeof *m->centre);
    struct training t = { .x = feature, .class_of = label, .n = n, .d = d };
    int rc = m && m->centre && mean && count ? 0 : ERR(err, NOMEM, "no memory for the means of %d classes", K);
    if (rc >= 0)
        rc = fit(m, &t, K, o, mean, count, pool, err);
    mem_free(count);
    mem_free(mean);
    if (rc >= 0)
        *out = m;
    else
        ood_mahalanobis_free(m);
    return rc;
}

void ood_mahalanobis_free(struct ood_mahalanobis *m)
{
    if (!m)
        return;
    mem_free(m->whole.mean);
    mem_free(m->whole.t);
    mem_free(m->tied.mean);
    mem_free(m->tied.t);
    mem_free(m->centre);
    mem_free(m);
}

double ood_mahalanobis_shrinkage(const struct ood_mahalanobis *m, bool relative) { return relative ? m->whole.shrinkage : m->tied.shrinkage; }

/* ---- scoring ---- */

struct scoring { const struct ood_mahalanobis *m; const float *x; int64_t n; double *score, *scratch; };      /* scratch: 2 * BLOCK rows a thread */

static double least(const struct metric *g, const double *y, int d)
{
    double found = INFINITY;
    for (int k = 0; k < g->n_mean; k++)
        found = fmin(found, lin_distance2(y, g->mean + (size_t)k * (size_t)d, d));
    return found;
}

static void score_block(void *ctx, int i_block, int i_thread)
{
    const struct scoring *s = ctx;
    const struct ood_mahalanobis *m = s->m;
    const size_t d = (size_t)m->d;
    const int64_t from = (int64_t)i_block * BLOCK;
    const int n = s->n - from < BLOCK ? (int)(s->n - from) : BLOCK;
    double *x = s->scratch + (size_t)i_thread * 2 * BLOCK * d, *y = x + BLOCK * d;
    for (int r = 0; r < n; r++)
        for (size_t j = 0; j < d; j++)
            x[(size_t)r * d + j] = (double)s->x[(size_t)(from + r) * d + j] - m->centre[j];
    lin_times_upper(x, m->tied.t, y, n, m->d);
    for (int r = 0; r < n; r++)
        s->score[from + r] = -least(&m->tied, y + (size_t)r * d, m->d);
    if (!m->whole.t)
        return;
    lin_times_upper(x, m->whole.t, y, n, m->d);
    for (int r = 0; r < n; r++)
        s->score[from + r] += least(&m->whole, y + (size_t)r * d, m->d);
}

int ood_mahalanobis_score(const struct ood_mahalanobis *m, const float *feature, int64_t n, double *score, struct pool *pool, struct err *err)
{
    TRY(ood_check(feature, n, m->d, "features", err));
    struct scoring s = { m, feature, n, score, mem_alloc_array((size_t)pool_n_thread(pool) * 2 * BLOCK * (size_t)m->d, sizeof *s.scratch) };
    if (!s.scratch)
        return ERR(err, NOMEM, "no memory to score %d features", m->d);
    pool_for(pool, (int)((n + BLOCK - 1) / BLOCK), score_block, &s);
    mem_free(s.scratch);
    return 0;
}
