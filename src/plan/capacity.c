#include "plan/capacity.h"
#include <math.h>

#define GOOD 0.99
#define WITHIN 0.01
#define LATE 0.05
#define DOUBLINGS 60
#define ALONE 1e-4                     /* requests a second that do not meet .. */
#define FEW 1000                       /* .. of which so many are tried */

/* ---- steps at their price ---- */

static double continued(const struct priced *p, double n, double keys) { return priced_seconds(p, &(struct step_load){ .decode_rows = n, .decode_keys = keys }); }

static void decode(void *ctx, int n, double *a, double *b)
{
    const struct priced_steps *s = ctx;
    const double keys = fmax(s->keys, 2), low = continued(s->p, n, keys / 2), high = continued(s->p, n, keys * 3 / 2);
    *b = fmax(high - low, 0) / (n * keys);
    *a = low - *b * n * keys / 2;
}

static double mixed(void *ctx, const struct sim_step *x)
{
    const struct priced_steps *s = ctx;
    return priced_seconds(s->p, &(struct step_load){ x->rows, x->rows ? x->row_keys / x->rows : 0, x->n, x->n ? x->keys / x->n : 0 });
}

struct sim_cost priced_steps_cost(struct priced_steps *s) { return (struct sim_cost){ s, decode, mixed }; }

/* ---- what is borne ---- */

struct search { const struct workload *w; const struct sim_limits *l; const struct sim_cost *c; double good, slack; struct capacity *out; };

/* Seconds in which the requests come at a rate of 1. */
static double last_at(const struct workload *w)
{
    struct workload_times t;
    double at = 0;
    workload_times_init(&t, w);
    for (int64_t i = 0, n = workload_n(w); i < n; i++)
        at = workload_next(&t);
    return at;
}

static int try_rate(struct search *s, double rate, double unit, struct sim_result *r, struct err *err)
{
    struct workload w = *s->w;
    w.rate = rate, w.speed = w.trace_times ? rate * unit / (double)workload_n(&w) : 0;
    s->out->n++;
    TRY(simulate(r, &w, s->l, s->c, err));
    const double come = w.trace_times ? (double)workload_n(&w) / rate : unit / rate;
    return (double)r->n_good >= s->good * (double)r->n_request && r->seconds <= come * (1 + LATE) + s->slack;
}

/* Between one rate that is borne and one that is not. */
static int bisect(struct search *s, double low, double high, double unit, double within, struct err *err)
{
    while (high / low > 1 + within) {
        struct sim_result r;
        const double mid = sqrt(low * high);
        const int borne = try_rate(s, mid, unit, &r, err);
        TRY(borne);
        if (borne)
            low = mid, s->out->r = r;
        else
            high = mid;
    }
    s->out->rate = low;
    return 0;
}

int capacity_find(struct capacity *out, const struct workload *w, const struct sim_limits *l, const struct sim_cost *c, const struct capacity_opts *o, struct err *err)
{
    struct workload one = *w;
    struct search s = { .w = &one, .l = l, .c = c, .good = o->good > 0 ? o->good : GOOD, .out = out };
    const double within = o->within > 0 ? o->within : WITHIN;
    *out = (struct capacity){ 0 };
    if (w->users || w->at_once || workload_n(w) < 1)
        return ERR(err, USAGE, "the rate that a server bears is asked of requests that come one after the other, not of %s", w->users ? "users who wait for their answers" : w->at_once ? "all at once" : "none");
    if (!(s.good <= 1) || !(within < 1))
        return ERR(err, RANGE, "a share of %g that keeps the targets, to %g, expected 0 to 1", s.good, within);
    one.rate = 1, one.speed = 0;
    TRY(workload_check(&one, err));
    const double unit = last_at(&one);
    double low = ALONE, high;
    one.n = workload_n(w) < FEW ? workload_n(w) : FEW, s.slack = INFINITY;
    int borne = try_rate(&s, low, last_at(&one), &out->r, err);
    if (borne <= 0)
        return borne;
    one.n = w->n, s.slack = out->r.e2e.most;
    high = fmax(0.01 / out->r.e2e.mean, 2 * low);        /* a hundredth of what it bears one after the other */
    for (int i = 0; i < DOUBLINGS; i++, low = high, high *= 2) {
        struct sim_result r;
        borne = try_rate(&s, high, unit, &r, err);
        TRY(borne);
        if (!borne)
            return bisect(&s, low, high, unit, within, err);
        out->r = r;
    }
    return ERR(err, NUMERIC, "more than %g requests a second are borne: these costs say nothing", low);
}
