#include "plan/serve.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"

#define SIMULATED 2000
#define ROUNDS 4                 /* requests of each user, at least */
#define SEARCHES 16              /* simulations for a capacity, which is then known to half a percent */
#define SERVE_STAGES 16          /* of a pipeline that are tried */
#define REPLICAS_COUNTED 1e6     /* at most */
#define NO_LIMIT 0.5             /* a stretch that is none (infer/pace.h) */

/* ---- time ---- */

struct engine_time { const struct priced *p; };

/* Steps that only continue take longer in proportion to keys, but where what is computed and what is read change places: a chord over what texts see. */
static void decode_seconds(void *ctx, int n, double *a, double *b)
{
    const struct engine_time *t = ctx;
    const double less = 64, more = 4096, at_less = priced_seconds(t->p, &(struct step_load){ .decode_rows = n, .decode_keys = less });
    const double slope = (priced_seconds(t->p, &(struct step_load){ .decode_rows = n, .decode_keys = more }) - at_less) / (more - less);
    *a = at_less - slope * less, *b = slope / n;
}

static double mixed_seconds(void *ctx, const struct sim_step *s)
{
    const struct engine_time *t = ctx;
    return priced_seconds(t->p, &(struct step_load){ s->rows, s->rows ? s->row_keys / s->rows : 0, s->n, s->n ? s->keys / s->n : 0 });
}

/* ---- memory ---- */

static struct serve_memory memory_of(const struct priced *p, const struct device *d, const struct serve_opts *o)
{
    struct serve_memory m = { .weights = priced_weight_bytes(p), .work = priced_work_bytes(p, o->step_tokens, o->n_slot > 0 ? o->n_slot : SERVE_SLOTS), .runtime = o->runtime, .spare = o->spare * d->memory, .all = d->memory };
    m.cache = m.all - m.weights - m.work - m.runtime - m.spare;
    return m;
}

/* ---- how much ---- */

/* What no load could change, a request too long for the model, is left out. */
bool serve_keeps(const struct sim_result *r)
{
    const int64_t n = r->n_request - r->n_too_long;
    return n > 0 && (double)r->n_good >= SERVE_GOOD * (double)n;
}

static bool has_targets(const struct targets *t) { return t->ttft > 0 || t->tpot > 0 || t->e2e > 0; }

/* Requests a second, with those that are refused, as loads have them. */
static double asked_s(const struct sim_result *r) { return r->seconds > 0 ? (double)(r->n_done + r->n_too_long) / r->seconds : 0; }

/* As fast as it can: all requests there at once. */
static int offline_rate(double *rate, const struct workload *w, const struct sim_limits *l, const struct sim_cost *cost, struct err *err)
{
    struct workload all = *w;
    struct sim_limits open = *l;
    struct sim_result r;
    all.at_once = true, all.users = 0, all.trace_times = false, all.targets = (struct targets){ 0 };
    open.n_queue = -1;
    TRY(simulate(&r, &all, &open, cost, err));
    *rate = r.n_done > 0 ? asked_s(&r) : 0;
    return 0;
}

int serve_capacity(double *rate, const struct workload *w, const struct sim_limits *l, const struct sim_cost *cost, struct err *err)
{
    double most;
    TRY(offline_rate(&most, w, l, cost, err));
    *rate = most;
    if (!has_targets(&w->targets) || most <= 0)
        return 0;
    struct workload at = *w;
    struct sim_limits open = *l;
    at.users = 0, at.at_once = false, at.trace_times = false, open.n_queue = -1;
    if (at.arrival == ARRIVAL_BURST)
        at.arrival = ARRIVAL_POISSON;
    double low = 0, high = most;
    for (int i = 0; i < SEARCHES && (low == 0 || high / low > 1.005); i++) {
        struct sim_result r;
        at.rate = low > 0 ? sqrt(low * high) : i ? high / 2 : high;
        TRY(simulate(&r, &at, &open, cost, err));
        *(serve_keeps(&r) ? &low : &high) = at.rate;
        if (low == high || high < most * 1e-4)       /* as fast as it can, or not even one alone */
            break;
    }
    *rate = low;
    return 0;
}

static void defaults(struct serve_opts *o, const struct serve_opts *given)
{
    const int dp = given->layout.dp;
    *o = *given;
    o->n = o->n > 0 ? o->n : 1;
    o->step_tokens = o->step_tokens > 0 ? o->step_tokens : SERVE_STEP;
    o->spare = o->spare < 0 ? SERVE_SPARE : o->spare, o->runtime = o->runtime < 0 ? SERVE_RUNTIME : o->runtime;
    o->layout = layout_ones(&o->layout);
    if (dp <= 0)
        o->layout.dp = o->n / (o->layout.tp * o->layout.pp);
}

/* would: what fits, behind what is missing; "": not looked for. */
static int misses(const struct serve_memory *m, const struct layout *l, const struct device *d, const char *would, struct err *err)
{
    char a[32], b[32], c[32], e[32], f[32];
    return ERR(err, NOFIT, "%d x %s (tp %d, pp %d) has %s each, and weights take %s, a step %s, the runtime and what is left free %s: %s are missing%s", l->tp * l->pp, d->name, l->tp, l->pp,
               fmt_bytes(a, m->all), fmt_bytes(b, m->weights), fmt_bytes(c, m->work), fmt_bytes(e, m->runtime + m->spare), fmt_bytes(f, -m->cache), would);
}

/* What one replica is to the simulation. */
static struct sim_limits limits_of(const struct serve_plan *p, const struct config *c, const struct serve_opts *o)
{
    return (struct sim_limits){ .n_slot = p->n_slot, .cache_tokens = p->cache_tokens, .step_tokens = o->step_tokens, .stretch = o->stretch > 0 ? o->stretch : NO_LIMIT, .step_s = o->step_s, .n_queue = -1, .ctx = config_ctx_max(c) };
}

/* Requests of one replica's simulation: its part of a trace; of users so many that their coming all at once is forgotten. */
static int64_t requests_of(const struct workload *w, const struct serve_opts *o, int dp)
{
    if (o->n_simulated > 0)
        return o->n_simulated;
    if (w->users > 0)
        return (int64_t)fmax(SIMULATED, ROUNDS * (double)w->users);
    return w->trace_times ? (w->n_trace + dp - 1) / dp : SIMULATED;
}

/* What one of dp replicas is sent.  Users make their own times, so that a trace's are not looked at. */
static struct workload share_of(const struct workload *w, const struct serve_opts *o, int dp)
{
    struct workload share = *w;
    if (share.users > 0)
        share.users = (share.users + dp - 1) / dp, share.trace_times = false;
    share.every = dp;
    share.n = requests_of(&share, o, dp);
    return share;
}

/* ---- one layout ---- */

/* Of matrices and experts, where it is not the type's own. */
static struct weight_bits bits_of(const struct serve_opts *o) { return (struct weight_bits){ .experts = o->weight_bits, .matrices = o->weight_bits }; }

struct engine { const struct priced *p; struct priced *own; struct engine_time time; struct sim_cost cost; };

static int engine_open(struct engine *e, struct serve_plan *out, const struct config *c, const struct device *d, const struct workload *w, const struct serve_opts *o, struct err *err)
{
    const struct price_opts po = { .layout = o->layout, .weights = o->weights, .bits = bits_of(o), .compute = o->compute, .cache = o->cache, .host = o->host };
    *out = (struct serve_plan){ .layout = o->layout };
    e->own = NULL;
    if (!o->priced)
        TRY(priced_new(&e->own, c, &po, d, err));
    e->p = o->priced ? o->priced : e->own;
    e->time = (struct engine_time){ e->p }, e->cost = (struct sim_cost){ &e->time, decode_seconds, mixed_seconds };
    out->memory = memory_of(e->p, d, o);
    out->fits = workload_means_within(w, config_ctx_max(c), INFINITY, &out->prompt, &out->output);
    double text = fmax(1, out->prompt + out->output);
    out->cache_tokens = text * fmax(0, out->memory.cache) / priced_cache_bytes(e->p, text);      /* of texts of the mean length, where windows close */
    if (o->cache_tokens > 0)
        out->cache_tokens = fmin(out->cache_tokens, o->cache_tokens);
    out->fits = workload_means_within(w, config_ctx_max(c), out->cache_tokens, &out->prompt, &out->output);
    text = fmax(1, out->prompt + out->output);
    out->n_slot = o->n_slot > 0 ? o->n_slot : (int)fmax(1, fmin(fmin(SERVE_SLOTS, o->step_tokens), 2 * out->cache_tokens / text));      /* texts under way are shorter than they will be */
    return 0;
}

/* Of one replica. */
static int find_capacity(struct serve_plan *out, const struct engine *e, const struct config *c, const struct workload *w, const struct serve_opts *o, struct err *err)
{
    const struct sim_limits l = limits_of(out, c, o);
    struct workload share = *w;
    share.users = 0, share.n = o->n_simulated > 0 ? o->n_simulated : w->trace_times && w->n_trace > SIMULATED ? w->n_trace : SIMULATED;
    return serve_capacity(&out->capacity, &share, &l, &e->cost, err);
}

/* What users see of out->layout.dp replicas, whose capacity is known. */
static int see(struct serve_plan *out, const struct engine *e, const struct config *c, const struct workload *w, const struct serve_opts *o, struct err *err)
{
    const int dp = out->layout.dp;
    const struct sim_limits l = limits_of(out, c, o);
    struct workload share = share_of(w, o, dp);
    out->capacity *= dp;
    share.rate = w->rate > 0 ? w->rate / dp : out->capacity / dp;
    if (!(share.rate > 0) && !share.at_once && !share.trace_times)
        share.users = share.users > 0 ? share.users : 1;             /* no load keeps the targets: one after the other, each alone */
    if (share.n < share.users)
        return ERR(err, USAGE, "%lld requests of %d users of a replica, expected one of each at least (--requests)", (long long)share.n, share.users);
    TRY(simulate(&out->sim, &share, &l, &e->cost, err));
    const double replicas = w->users > 0 ? (double)w->users / share.users : dp;       /* as many as are full, where users are not a multiple */
    out->rate = share.users > 0 || share.at_once ? asked_s(&out->sim) * replicas : share.rate * dp;
    out->served = out->rate > out->capacity ? fmin(out->rate, asked_s(&out->sim) * replicas) : out->rate;
    out->step = (struct step_load){ .decode_rows = fmax(1, out->sim.mean_running), .decode_keys = fmax(1, out->prompt + out->output / 2) };
    out->step_seconds = priced_seconds(e->p, &out->step);
    out->n_row = priced_rows(e->p, &out->step, out->row, SERVE_ROWS);
    for (int i = 0; i < out->n_row; i++)
        out->bound += out->row[i].roofline;
    return 0;
}

int serve_plan_layout(struct serve_plan *out, const struct config *c, const struct device *d, const struct workload *w, const struct serve_opts *given, struct err *err)
{
    struct serve_opts o;
    struct engine e;
    defaults(&o, given);
    if (o.layout.dp < 1 || o.layout.dp * o.layout.tp * o.layout.pp != o.n)
        return ERR(err, USAGE, "%d devices are not replicas of tp %d x pp %d", o.n, o.layout.tp, o.layout.pp);
    TRY(engine_open(&e, out, c, d, w, &o, err));
    int rc = out->memory.cache > 0 ? find_capacity(out, &e, c, w, &o, err) : misses(&out->memory, &o.layout, d, "", err);
    if (!rc)
        rc = see(out, &e, c, w, &o, err);
    priced_free(e.own);
    return rc;
}

/* ---- the best ---- */

struct search {
    const struct config *c; const struct device *d; const struct workload *w; const struct serve_opts *o;
    struct serve_plan best; double best_score;
    struct serve_memory nearest; struct layout nearest_layout; bool tried;       /* of those that do not fit, who misses least */
};

static bool is_asked(int asked, int value) { return asked <= 0 || asked == value; }

/* With a number of devices, how much they serve together; without, how few serve the rate, or, where none is asked for, how much each device serves. */
static double score_of(const struct search *s, struct serve_plan *p)
{
    const int size = p->layout.tp * p->layout.pp;
    if (s->o->n > 0)
        p->layout.dp = s->o->n / size;
    else
        p->layout.dp = s->w->rate > 0 && p->capacity > 0 ? (int)fmin(REPLICAS_COUNTED, ceil(s->w->rate / p->capacity)) : 1;
    if (s->o->n > 0)
        return p->capacity * p->layout.dp;
    return p->capacity <= 0 ? 0 : s->w->rate > 0 ? 1.0 / (p->layout.dp * size) : p->capacity / size;
}

static int try_layout(struct search *s, const struct layout *l, struct err *err)
{
    struct serve_opts o = *s->o;
    struct serve_plan p;
    struct engine e;
    struct err none;
    const int size = l->tp * l->pp;
    if (!is_asked(o.layout.tp, l->tp) || !is_asked(o.layout.pp, l->pp) || !is_asked(o.layout.ep, l->ep) || (o.n > 0 && o.n % size) || (o.priced && size > 1) || layout_check(s->c, l, &none) < 0)
        return 0;
    o.layout = *l;
    defaults(&o, &o);
    int rc = engine_open(&e, &p, s->c, s->d, s->w, &o, err);
    if (rc == ERR_UNSUPPORTED && size > 1)           /* devices that nothing joins */
        return 0;
    TRY(rc);
    if (p.memory.cache > 0) {
        rc = find_capacity(&p, &e, s->c, s->w, &o, err);
        const double score = rc ? 0 : score_of(s, &p);
        if (!rc && (!s->best.layout.tp || score > s->best_score * 1.01))
            s->best = p, s->best_score = score;
    } else if (!s->tried || p.memory.cache > s->nearest.cache) {
        s->nearest = p.memory, s->nearest_layout = *l, s->tried = true;
    }
    priced_free(e.own);
    return rc;
}

static bool has_room(const struct search *s, const struct layout *l, enum number weights)
{
    struct serve_opts o = *s->o;
    struct serve_plan p;
    struct engine e;
    struct err none;
    o.layout = *l;
    if (weights != o.weights)
        o.weights = weights, o.weight_bits = 0;
    defaults(&o, &o);
    if (layout_check(s->c, l, &none) < 0 || engine_open(&e, &p, s->c, s->d, s->w, &o, &none) < 0)
        return false;
    priced_free(e.own);
    return p.memory.cache > 0;
}

/* "; --weights fp8, or 4 devices, would do": of types the widest, of numbers of devices, doubling, the least. */
static void what_would_do(const struct search *s, char *out, size_t n)
{
    static const enum number narrower[] = { NUMBER_FP8, NUMBER_FP4 };
    const int node = s->d->node > 1 ? s->d->node : 1;
    const char *type = NULL;
    int more = 0;
    for (int i = 0; i < 2 && !type; i++)
        if (number_bits(narrower[i]) < number_bits(s->o->weights) && has_room(s, &s->nearest_layout, narrower[i]))
            type = number_name(narrower[i]);
    for (int size = 2 * s->nearest_layout.tp * s->nearest_layout.pp; size <= node * SERVE_STAGES && s->o->n > 0 && s->o->layout.tp <= 0 && s->o->layout.pp <= 0 && !more; size *= 2) {
        const int tp = size < node ? size : node;
        if (has_room(s, &(struct layout){ tp, s->c->n_expert ? tp : 1, size / tp, 1 }, s->o->weights))
            more = size;
    }
    *out = 0;
    if (type && more)
        snprintf(out, n, "; --weights %s, or %d devices, would do", type, more);
    else if (type)
        snprintf(out, n, "; --weights %s would do", type);
    else if (more)
        snprintf(out, n, "; %d devices would do", more);
}

static int nothing_fits(const struct search *s, struct err *err)
{
    char would[80] = "";
    if (s->tried && !s->o->priced)
        what_would_do(s, would, sizeof would);
    if (s->tried)
        return misses(&s->nearest, &s->nearest_layout, s->d, would, err);
    if (s->o->layout.tp > (s->d->node > 1 ? s->d->node : 1))
        return ERR(err, USAGE, "tp %d, expected at most the %d devices of a node of %s", s->o->layout.tp, s->d->node > 1 ? s->d->node : 1, s->d->name);
    struct layout asked = layout_ones(&s->o->layout);
    asked.dp = 1;
    TRY(layout_check(s->c, &asked, err));
    return ERR(err, USAGE, "%d devices are not whole replicas of any layout that is possible for this model", s->o->n);
}

static int too_many(const struct layout *l, const struct device *d, const struct workload *w, const struct serve_opts *given, struct err *err)
{
    const int size = l->tp * l->pp;
    if (given->n > 0)
        return ERR(err, RANGE, "%d devices are %d replicas of %d %s, expected at most %d", given->n, l->dp, size, d->name, SERVE_REPLICAS);
    return ERR(err, NOFIT, "%g requests a second take %d replicas of %d %s%s, expected at most %d", w->rate, l->dp, size, d->name, l->dp < REPLICAS_COUNTED ? "" : " or more", SERVE_REPLICAS);
}

static int first_of(int asked) { return asked > 0 ? asked : 1; }
static int last_of(int asked, int most, int possible) { return asked <= 0 ? most : asked < possible ? asked : possible; }

int serve_plan(struct serve_plan *out, const struct config *c, const struct device *d, const struct workload *w, const struct serve_opts *given, struct err *err)
{
    struct serve_opts o;
    struct search s = { .c = c, .d = d, .w = w, .o = given };
    struct engine e;
    const int node = d->node > 1 ? d->node : 1;
    const struct layout *asked = &given->layout;             /* tried whatever it is, where it is possible */
    for (int tp = first_of(asked->tp); tp <= last_of(asked->tp, node, node); tp *= 2)
        for (int pp = first_of(asked->pp); pp <= last_of(asked->pp, SERVE_STAGES, c->n_layer); pp *= 2)
            for (int ep = first_of(asked->ep); ep <= last_of(asked->ep, tp, tp); ep = ep < tp ? tp : ep + 1)
                if ((pp == 1 || pp == asked->pp || tp == node || tp == asked->tp) && (ep == 1 || c->n_expert))
                    TRY(try_layout(&s, &(struct layout){ tp, ep, pp, 1 }, err));
    if (!s.best.layout.tp)
        return nothing_fits(&s, err);
    if (s.best.layout.dp > SERVE_REPLICAS)
        return too_many(&s.best.layout, d, w, given, err);
    o = *given, o.layout = s.best.layout;
    defaults(&o, &o);
    TRY(engine_open(&e, out, c, d, w, &o, err));
    out->layout = s.best.layout, out->capacity = s.best.capacity;
    const int rc = see(out, &e, c, w, &o, err);
    priced_free(e.own);
    return rc;
}
