#include "cmd/bench_judge.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"

#define PARTS 20                         /* of a run, for intervals of rates */
#define SATURATED 0.05                   /* s/s: less than 95 % of what came was served */

const char *const judge_names[JUDGE_N] = { "ttft", "tpot", "e2el" };
const double judge_p[JUDGE_P] = { 0.5, 0.9, 0.95, 0.97, 0.99, 0.999 };

static bool counts(const struct load_reply *r) { return r->end != LOAD_NONE && r->end != LOAD_STOPPED; }

/* ---- what was measured ---- */

static int take(const struct load_run *run, const struct bench_rules *rules, struct bench_judged *j, struct err *err)
{
    const size_t room = (size_t)run->n + 1;
    bool ok = (j->at = mem_alloc_array(room, sizeof *j->at)) != NULL;
    for (int m = 0; m < JUDGE_N; m++)
        ok = (j->metric[m].x = mem_alloc_array(room, sizeof(double))) != NULL && ok;
    const int n_sample = rules->scenario ? rules->scenario->n_sample : 1;
    if (n_sample > 1)
        ok = (j->query.x = mem_alloc_array(room, sizeof(double))) != NULL && ok;
    if (!ok)
        return ERR(err, NOMEM, "no memory for the times of %d requests", run->n);
    for (int i = 0; i < run->n; i++) {
        const struct load_reply *r = &run->reply[i];
        if (!counts(r))
            continue;
        const bool answered = r->end == LOAD_OK;
        const double whole = answered ? r->over - r->from : (double)INFINITY;
        j->metric[JUDGE_TTFT].x[j->metric[JUDGE_TTFT].n++] = answered ? r->first - r->from : (double)INFINITY;
        if (!answered || r->n_token > 1)             /* one token has no time per token after it */
            j->metric[JUDGE_TPOT].x[j->metric[JUDGE_TPOT].n++] = answered ? (r->last - r->first) / (r->n_token - 1) : (double)INFINITY;
        j->metric[JUDGE_E2EL].x[j->n] = whole;
        if (j->query.x) {
            if (j->n % n_sample == 0)
                j->query.x[j->query.n++] = whole;
            else
                j->query.x[j->query.n - 1] = fmax(j->query.x[j->query.n - 1], whole);
        }
        j->at[j->n++] = r->from;
        j->n_failed += !answered;
        j->last_due = fmax(j->last_due, r->from), j->last_sent = fmax(j->last_sent, r->sent), j->last_over = fmax(j->last_over, r->over);
    }
    j->metric[JUDGE_E2EL].n = j->n;
    return 0;
}

static int quantiles(struct judge_latencies *l, struct err *err)
{
    for (int i = 0; i < JUDGE_P; i++)
        TRY(latency_quantile(l->x, l->n, judge_p[i], JUDGE_LEVEL, &l->q[i], err));
    return 0;
}

/* ---- rates ---- */

struct parts { double tokens[PARTS], good[PARTS], good_total[PARTS], requests[PARTS]; };

static int part_of(double t, double seconds)
{
    const int i = (int)(t / seconds * PARTS);
    return i < 0 ? 0 : i < PARTS ? i : PARTS - 1;
}

/* A text that brought several tokens counts as so many; a prompt's tokens count when the first text came. */
static void add_reply(struct parts *p, const struct load_reply *r, bool good, double seconds)
{
    double t = r->first;
    for (int k = 0; k < r->n_event; t += k + 1 < r->n_event ? (double)r->gap[k] : 0, k++) {
        const int i = part_of(t, seconds);
        const double v = (double)r->n_token / r->n_event;
        p->tokens[i] += v;
        if (good)
            p->good[i] += v, p->good_total[i] += v;
    }
    if (good)
        p->requests[part_of(r->over, seconds)]++, p->good_total[part_of(r->first, seconds)] += r->n_prompt > 0 ? r->n_prompt : 0;
}

static struct judge_rate rate_of(double *v, double seconds)
{
    struct judge_rate r;
    for (int i = 0; i < PARTS; i++)
        v[i] /= seconds / PARTS;
    latency_batch_mean(v, PARTS, JUDGE_LEVEL, &r.value, r.ci);
    r.ci[0] = fmax(r.ci[0], 0);
    return r;
}

static void rates(const struct load_run *run, const struct load_limits *limits, struct bench_judged *j)
{
    struct parts p = { 0 };
    const double seconds = run->seconds > 0 ? run->seconds : 1;
    for (int i = 0; i < run->n; i++)
        if (run->reply[i].end == LOAD_OK)
            add_reply(&p, &run->reply[i], load_is_good(&run->reply[i], limits), seconds);
    j->tokens = rate_of(p.tokens, seconds), j->good_tokens = rate_of(p.good, seconds), j->good_total_tokens = rate_of(p.good_total, seconds),
    j->good_requests = rate_of(p.requests, seconds);
}

/* ---- what is valid ---- */

__attribute__((format(printf, 2, 3))) static void because(struct bench_judged *j, const char *fmt, ...)
{
    const size_t n = strlen(j->reasons);
    va_list ap;
    if (n + 2 >= sizeof j->reasons)
        return;
    if (n)
        j->reasons[n] = '\n', j->reasons[n + 1] = 0;
    va_start(ap, fmt);
    vsnprintf(j->reasons + n + (n > 0), sizeof j->reasons - n - (n > 0), fmt, ap);
    va_end(ap);
}

static double in_ms(double s) { return 1000 * s; }

static void judge_limit(struct bench_judged *j, int m, double p)
{
    const struct latency_limit *l = &j->limit[m];
    if (!l->within) {
        j->constraints_met = false;
        if (isfinite(l->at_rank))
            because(j, "%s: p%g is %.1f ms, over the limit of %.1f ms", judge_names[m], 100 * p, in_ms(l->at_rank), in_ms(l->limit));
        else
            because(j, "%s: p%g is not to be had, as %s", judge_names[m], 100 * p, l->n ? "so many requests failed" : "nothing was measured");
    } else if (!l->stops) {
        because(j, "%s: %lld of %lld over the limit, for which early stopping needs at least %lld queries", judge_names[m], (long long)l->n_over,
                (long long)l->n, (long long)l->n_needed);
    } else if (!l->stops_effective) {
        because(j, "%s: slow queries follow each other, so %lld are worth %lld independent ones, and early stopping needs at least %lld of those",
                judge_names[m], (long long)l->n, (long long)l->n_effective, (long long)l->n_needed_effective);
    }
    j->stopping_met = j->stopping_met && l->stops && l->stops_effective;
}

static int judge_limits(const struct bench_rules *rules, struct bench_judged *j, struct err *err)
{
    const double limit[JUDGE_N] = { rules->limits.ttft, rules->limits.tpot, rules->limits.e2el };
    for (int m = 0; m < JUDGE_N; m++)
        if (limit[m] > 0) {
            TRY(latency_limit(j->metric[m].x, j->metric[m].n, rules->scenario->percentile, limit[m], JUDGE_CONFIDENCE, &j->limit[m], err));
            judge_limit(j, m, rules->scenario->percentile);
        }
    return 0;
}

static int judge_estimate(const struct bench_rules *rules, struct bench_judged *j, struct err *err)
{
    const struct judge_latencies *l = j->query.x ? &j->query : &j->metric[JUDGE_E2EL];
    TRY(latency_estimate(l->x, l->n, rules->scenario->percentile, JUDGE_CONFIDENCE, &j->estimate, err));
    j->stopping_met = j->estimate.t > 0;
    if (!j->stopping_met)
        because(j, "%lld queries, early stopping needs at least %lld", (long long)l->n, (long long)j->estimate.n_needed);
    return 0;
}

static int judge(const struct bench_rules *rules, struct bench_judged *j, struct err *err)
{
    const struct scenario *s = rules->scenario;
    const double lasted = s->id == SCENARIO_OFFLINE ? j->last_over : s->random ? j->last_due : j->last_sent;       /* LoadGen's */
    const int n_query = j->n / s->n_sample;
    j->constraints_met = j->stopping_met = true;
    if (rules->stopped)
        because(j, "it was stopped");
    if (j->n_failed)
        because(j, "%d of %d requests failed", j->n_failed, j->n);
    if (s->random)
        TRY(judge_limits(rules, j, err));
    else if (s->id != SCENARIO_OFFLINE)
        TRY(judge_estimate(rules, j, err));
    j->duration_met = lasted >= rules->min_duration_s, j->queries_met = n_query >= rules->min_queries;
    if (!j->duration_met)
        because(j, "it lasted %.1f s, at least %g s are needed", lasted, rules->min_duration_s);
    if (!j->queries_met)
        because(j, "%d queries, at least %d are needed", n_query, rules->min_queries);
    if (j->saturated)
        because(j, "requests piled up: latencies rose by %.2f s a second (%.2f to %.2f)", j->slope.slope, j->slope.ci[0], j->slope.ci[1]);
    j->valid = j->n > 0 && !*j->reasons;
    return 0;
}

static int judge_all(const struct load_run *run, const struct bench_rules *rules, struct bench_judged *j, struct err *err)
{
    TRY(take(run, rules, j, err));
    for (int m = 0; m < JUDGE_N; m++)
        TRY(quantiles(&j->metric[m], err));
    if (j->query.x)
        TRY(quantiles(&j->query, err));
    if (rules->open_loop)
        TRY(latency_slope(j->at, j->metric[JUDGE_E2EL].x, j->n, JUDGE_LEVEL, &j->slope, err));
    j->saturated = rules->open_loop && j->slope.ci[0] > 0 && j->slope.slope > SATURATED;
    rates(run, &rules->limits, j);
    return rules->scenario ? judge(rules, j, err) : 0;
}

int bench_judge(const struct load_run *run, const struct bench_rules *rules, struct bench_judged *j, struct err *err)
{
    *j = (struct bench_judged){ .slope = { NAN, { NAN, NAN }, 0 } };
    const int rc = judge_all(run, rules, j, err);
    if (rc)
        bench_judged_release(j);
    return rc;
}

void bench_judged_release(struct bench_judged *j)
{
    for (int m = 0; m < JUDGE_N; m++)
        mem_free(j->metric[m].x);
    mem_free(j->query.x);
    mem_free(j->at);
    *j = (struct bench_judged){ 0 };
}
