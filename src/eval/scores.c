#include "eval/scores.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "eval/bootstrap.h"
#include "eval/interval.h"

const char *score_by_word(enum score_by by)
{
    static const char *const word[] = { [SCORE_BY_NONE] = "none", [SCORE_BY_SHARE] = "wilson", [SCORE_BY_MEAN] = "t", [SCORE_BY_BOOTSTRAP] = "bca" };
    return word[by];
}

/* The items that count, and what they belong to. */
struct counted { struct task_value *value; double *v, *w; int64_t *cluster; int64_t n, n_cluster; bool clusters; };

static void counted_release(struct counted *c)
{
    mem_free(c->value);
    mem_free(c->v);
    mem_free(c->cluster);
}

static int count(const struct eval_task *x, int m, struct counted *c, struct err *err)
{
    const size_t n = (size_t)x->n;
    *c = (struct counted){ .value = mem_alloc_array(n, sizeof *c->value), .v = mem_alloc_array(2 * n, sizeof *c->v) };
    c->cluster = mem_alloc_array(n, sizeof *c->cluster);
    if (!c->value || !c->v || !c->cluster)
        return ERR(err, NOMEM, "no memory for the values of %lld items", (long long)x->n);
    c->w = c->v + n;
    for (int64_t i = 0; i < x->n; i++) {
        const struct task_value y = x->value[i * x->n_metric + m];
        if (isnan(y.v))
            continue;
        c->value[c->n] = y, c->v[c->n] = y.v, c->w[c->n] = y.w;
        c->cluster[c->n++] = task_cluster(x->t, i);
    }
    for (int64_t i = 0; i < c->n; i++)
        c->clusters = c->clusters || c->cluster[i] >= 0;
    return 0;
}

static bool is_mean(enum task_aggregate a) { return a == TASK_MEAN || a == TASK_NANMEAN || a == TASK_BRIER; }

static int score_mean_of(const struct counted *c, struct eval_score *s, struct err *err)
{
    struct interval_mean items, m;
    double sum = 0;
    bool share = true;
    for (int64_t i = 0; i < c->n; i++)
        share = share && (c->v[i] == 0 || c->v[i] == 1), sum += c->v[i];
    TRY(interval_mean(c->v, NULL, NULL, c->n, SCORE_LEVEL, &items, err));
    TRY(share && c->clusters ? interval_share(c->v, c->cluster, c->n, SCORE_LEVEL, &m, err)
        : interval_mean(c->v, NULL, c->clusters ? c->cluster : NULL, c->n, SCORE_LEVEL, &m, err));
    s->stderr_items = items.se, s->se = m.se, s->n_cluster = m.n_cluster;
    s->by = isnan(m.se) ? SCORE_BY_NONE : share && m.se == 0 ? SCORE_BY_SHARE : SCORE_BY_MEAN;
    memcpy(s->ci, m.ci, sizeof s->ci);
    if (!share || c->clusters)
        return 0;
    s->by = SCORE_BY_SHARE;
    return interval_wilson((int64_t)sum, c->n, SCORE_LEVEL, s->ci, err);
}

/* Statistics that are no sums: a unit's items one after the other, and the score of those of the drawn units. */
struct drawing {
    enum task_aggregate a;
    const struct counted *c;
    const int64_t *index;
    int64_t *first;                      /* [n_unit + 1] */
    struct drawn { int64_t *of; int64_t cap; } *drawn;      /* [thread] */
    _Atomic bool no_memory;
};

static double of_units(const int32_t *unit, int64_t n_unit, int i_thread, void *ctx)
{
    struct drawing *d = ctx;
    struct drawn *room = &d->drawn[i_thread];
    int64_t n = 0, k = 0;
    for (int64_t u = 0; u < n_unit; u++)
        n += d->first[unit[u] + 1] - d->first[unit[u]];
    if (n > room->cap) {
        int64_t *more = mem_realloc_array(room->of, (size_t)(n + n / 4), sizeof *more);
        if (!more) {
            d->no_memory = true;
            return NAN;
        }
        *room = (struct drawn){ more, n + n / 4 };
    }
    for (int64_t u = 0; u < n_unit; u++)
        for (int64_t i = d->first[unit[u]]; i < d->first[unit[u] + 1]; i++)
            room->of[k++] = d->index[i];
    return task_score_all(d->a, d->c->value, 1, room->of, n);
}

/* Units of different sizes, of which a draw may have more items than there are: room is taken as a draw needs it. */
static int bootstrap_any(enum task_aggregate a, const struct counted *c, const struct bootstrap_opts *o, struct bootstrap *b, struct err *err)
{
    struct drawing d = { .a = a, .c = c, .first = mem_alloc_array((size_t)c->n + 1, sizeof *d.first) };
    int64_t *index = NULL, n_unit = 0;
    const int n_thread = o->pool ? pool_n_thread(o->pool) : 1;
    int rc = d.first ? interval_by_cluster(c->cluster, c->n, &index, err) : ERR(err, NOMEM, "no memory for %lld items", (long long)c->n);
    for (int64_t i = 0; !rc && i < c->n;)
        d.first[++n_unit] = i = interval_cluster_end(c->cluster, index, c->n, i);
    if (!rc) {
        d.index = index, d.drawn = mem_alloc_array((size_t)n_thread, sizeof *d.drawn);
        rc = d.drawn ? bootstrap_units(n_unit, of_units, &d, o, b, err) : 0;
        if (!d.drawn || d.no_memory)
            rc = ERR(err, NOMEM, "no memory to draw %lld units", (long long)n_unit);
    }
    for (int i = 0; d.drawn && i < n_thread; i++)
        mem_free(d.drawn[i].of);
    mem_free(d.drawn);
    mem_free(d.first);
    mem_free(index);
    return rc;
}

static int bootstrap_by_sums(enum task_aggregate a, const struct counted *c, double *ones, const struct bootstrap_opts *o, struct bootstrap *b, struct err *err)
{
    for (int64_t i = 0; i < c->n; i++)
        ones[i] = 1;
    const double *columns[] = { c->v, a == TASK_PERPLEXITY ? ones : c->w };
    return bootstrap_sums(columns, 2, c->clusters ? c->cluster : NULL, c->n, a == TASK_BITS_PER_BYTE ? bootstrap_bits_per_byte : bootstrap_perplexity, NULL,
                          o, b, err);
}

static int bootstrap_of(enum task_aggregate a, const struct counted *c, const struct bootstrap_opts *o, struct bootstrap *b, struct err *err)
{
    if (a != TASK_PERPLEXITY && a != TASK_WEIGHTED_PERPLEXITY && a != TASK_BITS_PER_BYTE)
        return bootstrap_any(a, c, o, b, err);
    double *ones = mem_alloc_array((size_t)c->n, sizeof *ones);
    const int rc = ones ? bootstrap_by_sums(a, c, ones, o, b, err) : ERR(err, NOMEM, "no memory for %lld items", (long long)c->n);
    mem_free(ones);
    return rc;
}

/* lm-evaluation-harness bootstraps perplexity, median, F1 and Matthews' correlation, and has none for the two weighted ones.  A draw
 * without a class has no F1, and text of no bytes no perplexity: there is no interval then. */
static int score_others(enum task_aggregate a, const struct counted *c, const struct score_opts *how, struct eval_score *s, struct err *err)
{
    struct bootstrap b;
    const struct bootstrap_opts o = { .n_replicate = 10000, .seed = how->seed, .level = SCORE_LEVEL, .pool = how->pool, .goes_on = how->goes_on, .ctx = how->ctx };
    struct err own = { 0 };
    const int rc = bootstrap_of(a, c, &o, &b, &own);
    if (rc == ERR_NOMEM || rc == ERR_STOPPED) {
        *err = own;
        return rc;
    }
    if (rc < 0 || isnan(b.se))
        return 0;
    s->se = b.se, s->by = SCORE_BY_BOOTSTRAP, s->n_cluster = b.n_unit;
    memcpy(s->ci, b.bca, sizeof s->ci);
    s->stderr_items = a == TASK_WEIGHTED_PERPLEXITY || a == TASK_BITS_PER_BYTE || a == TASK_BBQ_AMBIG || a == TASK_BBQ_DISAMBIG || c->clusters ? NAN : b.se;
    return 0;
}

int eval_score(const struct eval_task *x, int i_metric, const struct score_opts *o, struct eval_score *out, struct err *err)
{
    struct counted c;
    const struct task_metric *m = &x->metric[i_metric];
    *out = (struct eval_score){ .metric = m, .value = NAN, .stderr_items = NAN, .se = NAN, .ci = { NAN, NAN } };
    int rc = count(x, i_metric, &c, err);
    if (!rc && c.n) {
        out->value = task_score_all(m->aggregate, c.value, 1, NULL, c.n);
        out->n_item = out->n_cluster = c.n;
        if (isfinite(out->value))
            rc = is_mean(m->aggregate) ? score_mean_of(&c, out, err) : score_others(m->aggregate, &c, o, out, err);
    }
    counted_release(&c);
    return rc;
}

/* lm-evaluation-harness's: by size the pooled variance of the tasks (its api/metrics.py, pooled_sample_stderr), else of independent means. */
static double group_stderr(const struct eval_score *const *of, int n, bool weight_by_size, double n_item)
{
    double variance = 0;
    for (int i = 0; i < n; i++) {
        const double size = (double)of[i]->n_item, se = of[i]->stderr_items;
        variance += weight_by_size ? (size - 1) * se * se * size : se * se;
    }
    return weight_by_size ? sqrt(variance / (n_item - n) / n_item) : sqrt(variance) / n;
}

struct group_score eval_group_score(const struct eval_score *const *of, int n, bool weight_by_size)
{
    struct group_score g = { 0 };
    double weights = 0, square = 0, below = 0, above = 0;
    for (int i = 0; i < n; i++) {
        const struct eval_score *s = of[i];
        const double w = weight_by_size ? (double)s->n_item : 1, down = w * (s->value - s->ci[0]), up = w * (s->ci[1] - s->value);
        g.value += w * s->value, weights += w;
        square += w * w * s->se * s->se, below += down * down, above += up * up;
        g.n_item += s->n_item;
        g.clusters |= s->n_cluster < s->n_item;
    }
    g.value /= weights;
    g.stderr_items = group_stderr(of, n, weight_by_size, (double)g.n_item);
    g.se = sqrt(square) / weights;
    g.ci[0] = g.value - sqrt(below) / weights, g.ci[1] = g.value + sqrt(above) / weights;
    return g;
}
