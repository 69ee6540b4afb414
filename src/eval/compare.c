#include "eval/compare.h"
#include <math.h>
#include "base/mem.h"
#include "base/rng.h"
#include "eval/bootstrap.h"
#include "eval/dist.h"
#include "eval/interval.h"
#include "eval/multiple.h"
#include "eval/paired.h"

const char *compare_word(enum compare_verdict v)
{
    static const char *const word[N_COMPARE_VERDICT] = {
#define X(name, text) text,
        COMPARE_VERDICTS(X)
#undef X
    };
    return word[v];
}

/* ---- values of any kind ---- */

double compare_p(const struct interval_mean *m)
{
    if (m->n_cluster < 2 || (m->se == 0 && m->mean == 0))
        return 1;
    const double p = m->se > 0 ? 2 * dist_t_sf(fabs(m->mean / m->se), (double)(m->n_cluster - 1)) : ldexp(1, 1 - (m->n_cluster < 2000 ? (int)m->n_cluster : 2000));
    return p < 1 ? p : 1;
}

/* Of right and wrong: all but p. */
static int judge(struct compare_result *r, const struct paired_counts *k, int64_t n, const struct compare_opts *o, struct paired_judgement *j, struct err *err)
{
    TRY(paired_judge(k, o->margin < 1 ? o->margin : 1, o->alpha, j, err));
    const struct paired_plan plan = { .n = n, .discordant = (double)(k->b + k->c) / (double)n, .alpha = o->alpha };
    TRY(paired_mde(&plan, o->power, &r->mde, err));
    r->effect = 0 - j->loss, r->ci[0] = 0 - j->tango[1], r->ci[1] = 0 - j->tango[0], r->upper = j->upper;
    return 0;
}

/* d[i]: how much better item i became; sums of weights are the same for both models. */
static int by_clusters(struct compare_result *r, const double *d, const struct compare_items *x, const struct compare_opts *o, struct err *err)
{
    struct interval_mean m;
    TRY(interval_mean(d, x->weight, x->cluster, x->n, 1 - o->alpha, &m, err));
    const double df = (double)(m.n_cluster - 1);
    r->n_cluster = m.n_cluster, r->effect = m.mean, r->se = m.se, r->ci[0] = m.ci[0], r->ci[1] = m.ci[1];
    r->p = compare_p(&m);
    r->upper = -m.mean + dist_t_quantile(1 - o->alpha, df) * m.se;
    r->mde = (dist_t_quantile(1 - o->alpha / 2, df) + dist_t_quantile(o->power, df)) * m.se;
    if (m.n_cluster < 2 || m.se != 0 || fabs(m.mean) != 1)
        return 0;
    struct paired_judgement j;           /* all of all clusters broke, or were mended */
    return judge(r, &(struct paired_counts){ .b = m.mean < 0 ? m.n_cluster : 0, .c = m.mean > 0 ? m.n_cluster : 0 }, m.n_cluster, o, &j, err);
}

static int by_bootstrap(struct compare_result *r, const double *d, const double *w, const struct compare_items *x, const struct compare_opts *o, struct err *err)
{
    struct bootstrap b;
    const double *const columns[] = { d, w };
    const struct bootstrap_opts bo = { .seed = o->seed, .level = 1 - o->alpha };
    TRY(bootstrap_sums(columns, 2, x->cluster, x->n, bootstrap_ratio, NULL, &bo, &b, err));
    r->bootstrap[0] = b.bca[0], r->bootstrap[1] = b.bca[1];
    return 0;
}

static double mean_of(const double *v, const double *w, int64_t n)
{
    double sum = 0, weight = 0;
    for (int64_t i = 0; i < n; i++)
        sum += v[i], weight += w ? w[i] : 1;
    return sum / weight;
}

/* ---- right or wrong ---- */

static bool are_counts(const struct compare_items *x, const struct compare_result *r)
{
    for (int64_t i = 0; i < x->n; i++)
        if ((x->old[i] != 0 && x->old[i] != 1) || (x->new[i] != 0 && x->new[i] != 1) || (x->weight && x->weight[i] != 1))
            return false;
    return r->n_cluster == x->n;
}

static int by_counts(struct compare_result *r, const struct compare_items *x, const struct compare_opts *o, struct err *err)
{
    struct paired_counts k = { 0 };
    struct paired_judgement j;
    for (int64_t i = 0; i < x->n; i++) {
        const bool old = (x->old[i] != 0) == x->higher_is_better, new = (x->new[i] != 0) == x->higher_is_better;
        *(old ? new ? &k.both : &k.b : new ? &k.c : &k.neither) += 1;
    }
    TRY(judge(r, &k, x->n, o, &j, err));
    r->counts = true, r->both = k.both, r->b = k.b, r->c = k.c, r->neither = k.neither;
    r->p = j.test.exact, r->mid_p = j.test.mid_p;
    return 0;
}

static int measure(struct compare_result *r, const struct compare_items *x, const struct compare_opts *o, double *d, double *w, struct err *err)
{
    for (int64_t i = 0; i < x->n; i++) {
        d[i] = x->higher_is_better ? x->new[i] - x->old[i] : x->old[i] - x->new[i];
        w[i] = x->weight ? x->weight[i] : 1;
    }
    TRY(by_clusters(r, d, x, o, err));
    TRY(by_bootstrap(r, d, w, x, o, err));
    if (are_counts(x, r))
        TRY(by_counts(r, x, o, err));
    if (x->stream)
        r->p = eprocess_p(x->stream), r->stopped_at = x->stream->stopped_at;
    return 0;
}

int compare_measure(struct compare_result *r, const struct compare_items *x, const struct compare_opts *o, struct err *err)
{
    *r = (struct compare_result){ .n = x->n };
    if (x->n < 1)
        return ERR(err, RANGE, "no items to compare");
    double *d = mem_alloc_array(2 * (size_t)x->n, sizeof *d);
    if (!d)
        return ERR(err, NOMEM, "no memory for the differences of %lld items", (long long)x->n);
    const int rc = measure(r, x, o, d, d + x->n, err);
    r->old = mean_of(x->old, x->weight, x->n), r->new = mean_of(x->new, x->weight, x->n);
    mem_free(d);
    return rc;
}

/* ---- verdicts ---- */

static enum compare_verdict verdict_of(const struct compare_result *r, const struct compare_opts *o)
{
    const bool shown = r->adjusted <= o->alpha, ruled_out = r->upper < o->margin;
    if (shown && r->effect > 0)
        return COMPARE_BETTER;
    return ruled_out && !r->stopped_at ? COMPARE_NOT_WORSE : shown ? COMPARE_WORSE : COMPARE_UNDERPOWERED;
}

int compare_decide(struct compare_result *r, int n, const struct compare_opts *o, int *decides, struct err *err)
{
    double *p = mem_alloc_array((size_t)n + 1, sizeof *p);
    if (!p)
        return ERR(err, NOMEM, "no memory for %d p-values", n);
    for (int i = 0; i < n; i++)
        p[i] = r[i].p;
    const int rc = (o->bh ? multiple_bh : multiple_holm)(p, n, p, err);
    *decides = 0;
    for (int i = 0; i < n && !rc; i++) {
        r[i].adjusted = p[i];
        r[i].verdict = verdict_of(&r[i], o);
        const struct compare_result *best = &r[*decides];
        if (r[i].verdict < best->verdict || (r[i].verdict == best->verdict && r[i].adjusted < best->adjusted))
            *decides = i;
    }
    mem_free(p);
    return rc;
}

/* ---- one after the other ---- */

int compare_stream_init(struct compare_stream *s, const char *name, int64_t n, uint64_t seed, double alpha, int n_stream, struct err *err)
{
    *s = (struct compare_stream){ .n = n, .key = rng_key(seed, name) };
    TRY(eprocess_init(&s->e, alpha / n_stream, false, err));
    for (int i = 0; i < 2; i++)
        if (!(s->value[i] = mem_alloc_array((size_t)n + 1, 1)))
            return ERR(err, NOMEM, "no memory for the order of %lld items", (long long)n);
    for (int64_t i = 0; i < n; i++)
        s->value[0][i] = s->value[1][i] = -1;
    return 0;
}

void compare_stream_release(struct compare_stream *s)
{
    mem_free(s->value[0]);
    mem_free(s->value[1]);
    *s = (struct compare_stream){ 0 };
}

int64_t compare_stream_item(const struct compare_stream *s, int64_t turn) { return (int64_t)rng_permute(s->key, (uint64_t)turn, (uint64_t)s->n); }

bool compare_stream_put(struct compare_stream *s, int which, int64_t turn, int8_t value)
{
    s->value[which][turn] = value;
    for (; s->next < s->n && s->value[0][s->next] >= 0 && s->value[1][s->next] >= 0 && !s->e.stopped_at; s->next++)
        if (s->value[0][s->next] < 2 && s->value[1][s->next] < 2)
            eprocess_add(&s->e, s->value[0][s->next], s->value[1][s->next]);
    return s->e.stopped_at > 0;
}
