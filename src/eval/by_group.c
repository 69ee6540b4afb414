#include "eval/by_group.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"
#include "base/stat.h"
#include "eval/bootstrap.h"
#include "eval/contingency.h"
#include "eval/dist.h"
#include "eval/interval.h"
#include "eval/multiple.h"
#include "eval/order.h"

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for scores by group"); }

static bool clustered(const int64_t *cluster, int64_t n)
{
    for (int64_t i = 0; cluster && i < n; i++)
        if (cluster[i] >= 0)
            return true;
    return false;
}

/* Which groups are large enough; n_large: how many. */
static int large_groups(const int32_t *of, const int64_t *cluster, int64_t n, int n_group, bool **large, int *n_large, struct err *err)
{
    int64_t *index = NULL;
    *large = NULL, *n_large = 0;
    if (n < 1 || n_group < 1)
        return ERR(err, RANGE, "%lld items of %d groups", (long long)n, n_group);
    struct seen { int64_t n_item, n_cluster, last; } *s = mem_alloc_array((size_t)n_group, sizeof *s);
    *large = mem_alloc_array((size_t)n_group, sizeof **large);
    const bool clusters = clustered(cluster, n);
    int rc = s && *large ? 0 : no_memory(err);
    if (!rc && clusters)
        rc = interval_by_cluster(cluster, n, &index, err);
    for (int64_t k = 0, end = 0, c = 0; !rc && k < n; k++) {
        const int64_t i = index ? index[k] : k;
        if (index && k == end)
            end = interval_cluster_end(cluster, index, n, k), c++;
        struct seen *g = &s[of[i]];
        g->n_item++, g->n_cluster += g->last != c, g->last = c;
    }
    for (int g = 0; !rc && g < n_group; g++)
        *n_large += (*large)[g] = s[g].n_item >= BY_GROUP_MIN && (!clusters || s[g].n_cluster >= BY_GROUP_MIN_CLUSTER);
    mem_free(index);
    mem_free(s);
    return rc;
}

/* ---- each group ---- */

struct one { double *v; int64_t *cluster; int64_t n; };      /* the items of a group */

static int interval_of(const struct one *o, bool clusters, double level, struct by_group_rate *r, double ci[2], struct err *err)
{
    struct interval_mean m;
    r->n_cluster = r->n;
    if (!clusters)
        return interval_wilson(r->n_right, r->n, level, ci, err);
    TRY(interval_share(o->v, o->cluster, o->n, level, &m, err));
    r->n_cluster = m.n_cluster, ci[0] = m.ci[0], ci[1] = m.ci[1];
    return 0;
}

/* Clusters with an item outside of the group. */
static int clusters_of_others(const struct by_group_items *x, int group, int64_t *out, struct err *err)
{
    int64_t *index;
    *out = 0;
    TRY(interval_by_cluster(x->cluster, x->n, &index, err));
    for (int64_t i = 0, end; i < x->n; i = end) {
        bool any = false;
        end = interval_cluster_end(x->cluster, index, x->n, i);
        for (int64_t k = i; k < end; k++)
            any |= x->of[index[k]] != group;
        *out += any;
    }
    mem_free(index);
    return 0;
}

/* Of the difference to the others: item i of the group moves it by (x - mean) / n, one of the others by as much the other way. */
static int p_of_clusters(const struct by_group_items *x, int group, const struct by_group_rate *r, int64_t n_others, double others, double *v, double *p,
                         struct err *err)
{
    struct interval_mean m;
    int64_t fewer;
    TRY(clusters_of_others(x, group, &fewer, err));
    fewer = r->n_cluster < fewer ? r->n_cluster : fewer;
    for (int64_t i = 0; i < x->n; i++)
        v[i] = (double)x->n * (x->of[i] == group ? (x->right[i] - r->value) / (double)r->n : -(x->right[i] - others) / (double)n_others);
    TRY(interval_mean(v, NULL, x->cluster, x->n, 0.95, &m, err));
    const double d = r->value - others;
    *p = isnan(m.se) || fewer < 2 ? NAN : m.se == 0 ? (d == 0 ? 1 : NAN) : 2 * dist_t_sf(fabs(d) / m.se, (double)(fewer - 1));
    return 0;
}

static int p_of(const struct by_group_items *x, int group, int64_t all_right, bool clusters, double *v, struct by_group_rate *r, struct err *err)
{
    struct contingency_fisher f;
    const int64_t n_others = x->n - r->n, right_others = all_right - r->n_right;
    if (!n_others)
        return 0;
    if (clusters)
        return p_of_clusters(x, group, r, n_others, (double)right_others / (double)n_others, v, &r->p, err);
    const int64_t table[2][2] = { { r->n_right, r->n - r->n_right }, { right_others, n_others - right_others } };
    TRY(contingency_fisher(table, &f, err));
    r->p = f.two_sided;
    return 0;
}

static int rate_of(const struct by_group_items *x, int group, int m, bool clusters, bool large, struct one *o, struct by_group_rate *r, struct err *err)
{
    double ci[2];
    o->n = 0;
    for (int64_t i = 0; i < x->n; i++)
        if (x->of[i] == group) {
            o->v[o->n] = x->right[i], o->cluster[o->n++] = x->cluster ? x->cluster[i] : -1;
            r->n_right += x->right[i];
        }
    r->n = o->n, r->small = !large;
    if (!r->n)
        return 0;
    r->value = (double)r->n_right / (double)r->n;
    TRY(interval_of(o, clusters, 0.95, r, ci, err));
    r->low = ci[0], r->high = ci[1];
    if (r->small)
        return 0;
    TRY(interval_of(o, clusters, 1 - 0.05 / m, r, ci, err));
    r->low_all = ci[0], r->high_all = ci[1];
    return 0;
}

static int adjust(struct by_group_rate *r, int n, double *p, struct err *err)
{
    int64_t k = 0;
    for (int g = 0; g < n; g++)
        if (!isnan(r[g].p))
            p[k++] = r[g].p;
    TRY(multiple_holm(p, k, p, err));
    k = 0;
    for (int g = 0; g < n; g++)
        if (!isnan(r[g].p))
            r[g].p_holm = p[k++];
    return 0;
}

int by_group_rates(const struct by_group_items *x, struct by_group_rate *out, struct err *err)
{
    const bool clusters = clustered(x->cluster, x->n);
    int64_t all_right = 0;
    bool *large;
    int m, rc = large_groups(x->of, x->cluster, x->n, x->n_group, &large, &m, err);
    for (int64_t i = 0; i < x->n; i++)
        all_right += x->right[i];
    struct one o = { .v = mem_alloc_array((size_t)x->n, sizeof *o.v), .cluster = mem_alloc_array((size_t)x->n, sizeof *o.cluster) };
    double *p = mem_alloc_array((size_t)x->n_group, sizeof *p);
    rc = rc ? rc : o.v && o.cluster && p ? 0 : no_memory(err);
    for (int g = 0; !rc && g < x->n_group; g++) {
        out[g] = (struct by_group_rate){ .value = NAN, .low = NAN, .high = NAN, .low_all = NAN, .high_all = NAN, .p = NAN, .p_holm = NAN };
        rc = rate_of(x, g, m, clusters, large[g], &o, &out[g], err);
        if (!rc && !out[g].small)
            rc = p_of(x, g, all_right, clusters, o.v, &out[g], err);
    }
    rc = rc ? rc : adjust(out, x->n_group, p, err);
    mem_free(large);
    mem_free(o.v);
    mem_free(o.cluster);
    mem_free(p);
    return rc;
}

/* ---- drawing units again ---- */

struct units { int64_t *index, *first, n; };      /* unit u: items index[first[u]] .. index[first[u + 1] - 1] */

static void units_release(struct units *u)
{
    mem_free(u->index);
    mem_free(u->first);
}

static int units_init(struct units *u, const int64_t *cluster, int64_t n, struct err *err)
{
    int64_t *alone = NULL;
    *u = (struct units){ .first = mem_alloc_array((size_t)n + 1, sizeof *u->first) };
    if (!u->first || (!cluster && !(alone = mem_alloc_array((size_t)n, sizeof *alone)))) {
        units_release(u);
        return no_memory(err);
    }
    for (int64_t i = 0; alone && i < n; i++)
        alone[i] = -1;
    const int64_t *c = cluster ? cluster : alone;
    const int rc = interval_by_cluster(c, n, &u->index, err);
    for (int64_t i = 0; !rc && i < n;)
        u->first[++u->n] = i = interval_cluster_end(c, u->index, n, i);
    mem_free(alone);
    if (rc)
        units_release(u);
    return rc;
}

/* Sums of the drawn items, by group: n_column of them each. */
struct drawing {
    const struct units *u;
    const void *x;                           /* what the statistic is of */
    void (*add)(const struct drawing *d, int64_t item, double *sum);
    double (*of)(const struct drawing *d, const double *sum);
    const bool *counts;                      /* [n_group] */
    const double *own;                       /* the sums of all items: ratios are then less their own */
    int n_group, n_column;
    int which;
    double *sum;                             /* [thread][n_group * n_column] */
};

static double of_units(const int32_t *unit, int64_t n_unit, int i_thread, void *ctx)
{
    const struct drawing *d = ctx;
    const size_t n = (size_t)d->n_group * (size_t)d->n_column;
    double *sum = d->sum + (size_t)i_thread * n;
    memset(sum, 0, n * sizeof *sum);
    for (int64_t k = 0; k < n_unit; k++)
        for (int64_t i = d->u->first[unit[k]]; i < d->u->first[unit[k] + 1]; i++)
            d->add(d, d->u->index[i], sum);
    return d->of(d, sum);
}

/* Largest less smallest ratio of two columns, of the groups that count; 0 for fewer than two. */
static double range_of(const struct drawing *d, const double *sum, int over, int under)
{
    double low = INFINITY, high = -INFINITY;
    for (int g = 0; g < d->n_group; g++) {
        const double *s = sum + (size_t)g * (size_t)d->n_column;
        const double *own = d->own ? d->own + (size_t)g * (size_t)d->n_column : NULL;
        if (!d->counts[g] || s[under] <= 0 || (own && own[under] <= 0))
            continue;
        const double v = s[over] / s[under] - (own ? own[over] / own[under] : 0);
        low = fmin(low, v), high = fmax(high, v);
    }
    return high > low ? high - low : 0;
}

static int draw(struct drawing *d, const struct by_group_opts *o, struct by_group_gap *out, struct err *err)
{
    struct bootstrap b;
    const struct bootstrap_opts how = { .n_replicate = o->n_replicate ? o->n_replicate : BY_GROUP_REPLICATES, .seed = o->seed, .level = 0.9, .pool = o->pool };
    const size_t n = (size_t)d->n_group * (size_t)d->n_column;
    double *own = mem_alloc_array(n, sizeof *own);
    if (!own)
        return no_memory(err);
    for (int64_t i = 0; i < d->u->first[d->u->n]; i++)
        d->add(d, d->u->index[i], own);
    d->own = NULL;
    out->value = d->of(d, own), out->null_q95 = NAN;
    d->own = own;
    const int rc = bootstrap_units(d->u->n, of_units, d, &how, &b, err);
    d->own = NULL;
    mem_free(own);
    if (rc)
        return rc;
    /* What is drawn from n units varies as n - 1, and its quantiles are the normal distribution's. */
    const double units = (double)d->u->n, c = b.percentile[1] * sqrt(units / (units - 1)) * dist_t_quantile(0.975, units - 1) / dist_normal_quantile(0.975);
    out->low = fmax(0, out->value - c), out->high = fmin(1, out->value + c);
    return 0;
}

/* d: all but what is allocated here; then `then` with all ready. */
static int with_room(struct drawing *d, const int32_t *of, const int64_t *cluster, int64_t n, const struct by_group_opts *o, int *n_counting,
                     int (*then)(struct drawing *d, const struct by_group_opts *o, void *out, struct err *err), void *out, struct err *err)
{
    struct units u;
    bool *counts;
    int rc = large_groups(of, cluster, n, d->n_group, &counts, n_counting, err);
    rc = rc ? rc : units_init(&u, cluster, n, err);
    if (!rc) {
        d->u = &u, d->counts = counts;
        d->sum = mem_alloc_array((size_t)(o->pool ? pool_n_thread(o->pool) : 1), (size_t)d->n_group * (size_t)d->n_column * sizeof *d->sum);
        rc = !d->sum ? no_memory(err) : *n_counting < 2 ? 0 : then(d, o, out, err);
        mem_free(d->sum);
        units_release(&u);
    }
    mem_free(counts);
    return rc;
}

/* ---- the gap ---- */

static void add_right(const struct drawing *d, int64_t i, double *sum)
{
    const struct by_group_items *x = d->x;
    double *s = sum + 2 * x->of[i];
    s[0] += x->right[i], s[1]++;
}

static double gap_of(const struct drawing *d, const double *sum) { return range_of(d, sum, 0, 1); }

/* Groups dealt out anew: of[] is a copy that is changed.  map, NULL where each unit is of one group: room for two numbers a group, with which the
 * groups of each unit get each other's names. */
static void deal(const struct units *u, int32_t *of, int32_t *map, int n_group, uint64_t seed, uint64_t r)
{
    const uint64_t key = seed ^ (r + 1) * 0x9e3779b97f4a7c15u;
    uint64_t k = 0;
    for (int64_t c = 0; map && c < u->n; c++) {
        int32_t *there = map + n_group;
        int n = 0;
        memset(map, -1, (size_t)n_group * sizeof *map);
        for (int64_t i = u->first[c]; i < u->first[c + 1]; i++)
            if (map[of[u->index[i]]] < 0)
                map[of[u->index[i]]] = n, there[n++] = of[u->index[i]];
        for (int i = n - 1; i > 0; i--) {
            const int j = (int)rng_below(key, k++, (uint64_t)i + 1);
            const int32_t t = there[i];
            there[i] = there[j], there[j] = t;
        }
        for (int64_t i = u->first[c]; i < u->first[c + 1]; i++)
            of[u->index[i]] = there[map[of[u->index[i]]]];
    }
    for (int64_t c = u->n - 1; !map && c > 0; c--) {
        const int64_t j = (int64_t)rng_below(key, k++, (uint64_t)c + 1);
        const int32_t a = of[u->index[u->first[c]]], b = of[u->index[u->first[j]]];
        for (int64_t i = u->first[c]; i < u->first[c + 1]; i++)
            of[u->index[i]] = b;
        for (int64_t i = u->first[j]; i < u->first[j + 1]; i++)
            of[u->index[i]] = a;
    }
}

static bool units_are_whole(const struct units *u, const int32_t *of)
{
    for (int64_t c = 0; c < u->n; c++)
        for (int64_t i = u->first[c]; i < u->first[c + 1]; i++)
            if (of[u->index[i]] != of[u->index[u->first[c]]])
                return false;
    return true;
}

/* The 95 % quantile as calib_null() takes it: the ceil(.95 (R + 1))-th smallest of R. */
static int null_of(struct drawing *d, const struct by_group_opts *o, double *q95, struct err *err)
{
    const struct by_group_items *x = d->x;
    const int n_null = o->n_null ? o->n_null : BY_GROUP_NULL;
    int32_t *of = mem_alloc_array((size_t)x->n, sizeof *of);
    double *gap = mem_alloc_array((size_t)n_null, sizeof *gap);
    struct by_group_items dealt = *x;
    struct drawing mine = *d;
    const bool whole = units_are_whole(d->u, x->of);
    int32_t *map = mem_alloc_array(2 * (size_t)d->n_group, sizeof *map);
    int rc = of && gap && map ? 0 : no_memory(err);
    for (int r = 0; !rc && r < n_null; r++) {
        memcpy(of, x->of, (size_t)x->n * sizeof *of);
        deal(d->u, of, whole ? NULL : map, d->n_group, o->seed, (uint64_t)r);
        dealt.of = of, mine.x = &dealt;
        memset(mine.sum, 0, (size_t)d->n_group * 2 * sizeof *mine.sum);
        for (int64_t i = 0; i < x->n; i++)
            add_right(&mine, i, mine.sum);
        gap[r] = gap_of(&mine, mine.sum);
    }
    if (!rc) {
        stat_sort(gap, (size_t)n_null);
        const int64_t k = (int64_t)ceil(0.95 * (n_null + 1));
        *q95 = gap[k > n_null ? n_null - 1 : k - 1];
    }
    mem_free(map);
    mem_free(of);
    mem_free(gap);
    return rc;
}

static int gap_then(struct drawing *d, const struct by_group_opts *o, void *out, struct err *err)
{
    struct by_group_gap *g = out;
    TRY(draw(d, o, g, err));
    return null_of(d, o, &g->null_q95, err);
}

int by_group_gap(const struct by_group_items *x, const struct by_group_opts *o, struct by_group_gap *out, struct err *err)
{
    struct drawing d = { .x = x, .add = add_right, .of = gap_of, .n_group = x->n_group, .n_column = 2 };
    *out = (struct by_group_gap){ NAN, NAN, NAN, NAN, 0 };
    return with_room(&d, x->of, x->cluster, x->n, o, &out->n_group, gap_then, out, err);
}

/* ---- parity: items, then of each class 5 columns: predicted, predicted where it is the label, the label, predicted where it is not, not the label ---- */

static void add_class(const struct drawing *d, int64_t i, double *sum)
{
    const struct by_group_classes *x = d->x;
    double *s = sum + (size_t)x->of[i] * (size_t)d->n_column;
    const int p = x->predicted[i], y = x->label[i];
    s[0]++;
    s[1 + 5 * p]++;
    s[1 + 5 * p + (p == y ? 1 : 3)]++;
    for (int c = 0; c < x->n_class; c++)
        s[1 + 5 * c + (c == y ? 2 : 4)]++;
}

static double parity_of(const struct drawing *d, const double *sum)
{
    const struct by_group_classes *x = d->x;
    double most = 0;
    for (int c = x->n_class == 2 ? 1 : 0; c < x->n_class; c++) {
        const int at = 1 + 5 * c;
        if (d->which == 0) {
            most = fmax(most, range_of(d, sum, at, 0));
            continue;
        }
        most = fmax(most, fmax(range_of(d, sum, at + 1, at + 2), range_of(d, sum, at + 3, at + 4)));
    }
    return most;
}

static int parity_then(struct drawing *d, const struct by_group_opts *o, void *out, struct err *err)
{
    struct by_group_parity *p = out;
    d->which = 0;
    TRY(draw(d, o, &p->demographic, err));
    d->which = 1;
    return draw(d, o, &p->odds, err);
}

int by_group_parity(const struct by_group_classes *x, const struct by_group_opts *o, struct by_group_parity *out, struct err *err)
{
    struct drawing d = { .x = x, .add = add_class, .of = parity_of, .n_group = x->n_group, .n_column = 1 + 5 * x->n_class };
    out->demographic = out->odds = (struct by_group_gap){ NAN, NAN, NAN, NAN, 0 };
    if (x->n_class < 2)
        return ERR(err, RANGE, "%d classes", x->n_class);
    TRY(with_room(&d, x->of, x->cluster, x->n, o, &out->demographic.n_group, parity_then, out, err));
    out->odds.n_group = out->demographic.n_group;
    return 0;
}
