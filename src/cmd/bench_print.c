#include <math.h>
#include <stdio.h>
#include <string.h>
#include "cmd/bench_job.h"
#include "cmd/bench_serve.h"

static double ms(double s) { return 1000 * s; }

/* A time in milliseconds; "-" where there was no answer, or there is no bound. */
static const char *time_text(double s, char text[32])
{
    snprintf(text, 32, !isfinite(s) ? "-" : ms(s) < 9.995 ? "%.2f" : "%.1f", ms(s));
    return text;
}
#define TIME(s) time_text((s), (char[32]){ 0 })

static void print_asked(const struct bench_job *j)
{
    const struct bench_serve *o = &bench_serve;
    const bool offline = j->rules.scenario && j->rules.scenario->id == SCENARIO_OFFLINE;
    printf("%s, %s%s", j->model, j->work.chat ? "chat" : "completions",
           j->work.prompts ? ", prompts of a file"
           : j->work.vocab ? ", random ids"
                           : ", random words");
    if (j->trace)
        printf(", times of a trace");
    else if (offline)
        printf(", all there at the beginning");
    else if (j->at)
        printf(", %g requests a second (%s)", o->rate, o->arrival ? o->arrival : "poisson");
    else
        printf(", %d user%s in a closed loop", j->n_user, j->n_user == 1 ? "" : "s");
    if (o->ramp_s > 0)
        printf(", who begin within %g s", o->ramp_s);
    if (o->think_s > 0)
        printf(", and think %g s on average", o->think_s);
    if (j->at && j->n_user)
        printf(", at most %d under way", j->n_user);
    printf("\n");
    if (o->warmup)
        printf("%lld request%s before the measurement not counted; of the measurement nothing is cut away\n", (long long)o->warmup, o->warmup == 1 ? "" : "s");
}

static void print_counts(const struct load_summary *s)
{
    const double t = s->seconds > 0 ? s->seconds : 1;
    printf("%d answered, %d failed%s in %.1f s; at most %d at once\n", s->n_ok, s->n_failed, s->n_unsent ? " (and some not sent)" : "", s->seconds,
           s->open_max);
    for (int i = 0; i < s->n_kind; i++) {
        printf("  %6d %s", s->kind[i].n, load_end_name(s->kind[i].end));
        if (s->kind[i].status)
            printf(" %d", s->kind[i].status);
        printf("%s%s\n", s->kind[i].why ? ": " : "", s->kind[i].why ? s->kind[i].why : "");
    }
    printf("%.2f requests/s, %.1f tokens/s (at most %.0f within a second)\n", s->n_ok / t, s->n_token / t, s->token_rate_max);
    if (s->told_usage && s->n_ok)
        printf("prompts of %.0f tokens on average, of which %.1f %% were in a cache; answers of %.1f\n", s->n_prompt / s->n_ok,
               s->n_prompt > 0 ? 100 * s->n_kept / s->n_prompt : 0, s->n_token / s->n_ok);
    else if (s->n_ok)
        printf("answers of %.1f tokens, counted by events: the server does not tell their number\n", s->n_token / s->n_ok);
}

static void print_goodput(const struct bench_outcome *o)
{
    const struct load_summary *s = &o->sum;
    const struct bench_judged *j = &o->judged;
    if (!bench_serve.slo)
        return;
    printf("goodput: %.2f requests/s (%.2f to %.2f), %.1f tokens/s (%.1f to %.1f), %.1f %% of all within %s\n", j->good_requests.value, j->good_requests.ci[0],
           j->good_requests.ci[1], j->good_tokens.value, j->good_tokens.ci[0], j->good_tokens.ci[1],
           100. * s->n_good / (s->n_ok + s->n_failed ? s->n_ok + s->n_failed : 1), bench_serve.slo);
}

static void print_times(const char *name, const struct load_times *t, const struct judge_latencies *l)
{
    const struct latency_quantile *q = l ? l->q : NULL;
    printf("%-22s %9s %9s %9s %9s %9s %9s\n", name, TIME(t->mean), TIME(q ? q[0].value : t->p50), TIME(q ? q[1].value : t->p90), TIME(q ? q[2].value : t->p95),
           TIME(q ? q[4].value : t->p99), TIME(t->max));
}

static void print_intervals(const char *name, const struct judge_latencies *l)
{
    static const int shown[] = { 0, 1, 4 };
    printf("  %-20s", name);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        const struct latency_quantile *q = &l->q[shown[i]];
        printf("%s p%g %s to %s", i ? "," : "", 100 * q->p, TIME(q->ci[0]), TIME(q->ci[1]));
    }
    printf("; %lld are worth %lld independent ones\n", (long long)l->n, (long long)l->q[0].n_effective);
}

static void print_table(const struct bench_outcome *o)
{
    const struct load_summary *s = &o->sum;
    const struct judge_latencies *m = o->judged.metric;
    printf("%-22s %9s %9s %9s %9s %9s %9s\n", "milliseconds", "mean", "p50", "p90", "p95", "p99", "most");
    print_times("to first token", &s->ttft, &m[JUDGE_TTFT]);
    print_times("per token after it", &s->tpot, &m[JUDGE_TPOT]);
    print_times("between texts", &s->itl, NULL);
    print_times("whole answer", &s->e2el, &m[JUDGE_E2EL]);
    if (o->job->at) {
        printf("if counted from when they were sent\n");
        print_times("  to first token", &s->ttft_sent, NULL);
        print_times("  whole answer", &s->e2el_sent, NULL);
    }
    printf("95 %% intervals\n");
    print_intervals("to first token", &m[JUDGE_TTFT]);
    if (m[JUDGE_TPOT].n)
        print_intervals("per token after it", &m[JUDGE_TPOT]);
    print_intervals("whole answer", &m[JUDGE_E2EL]);
}

static void print_growth(const struct bench_outcome *o)
{
    const struct load_growth *g = &o->sum.growth;
    const struct latency_slope *l = &o->judged.slope;
    if (g->too_much)
        printf("The server did not keep up: while the last %d requests came it ended %d, and those under way grew from %.0f to %.0f.  Latencies depend on\n"
               "how long this is measured.\n", g->n_came, g->n_over, g->open_before < 0 ? 0 : g->open_before, g->open_after);
    if (o->judged.saturated)
        printf("Over-saturated: latencies rose by %.3f s a second (%.3f to %.3f).\n", l->slope, l->ci[0], l->ci[1]);
}

/* ---- a scenario ---- */

static void print_limit(const char *name, const struct latency_limit *l, double p)
{
    printf("  %s: p%g %s ms, the limit is %.1f; %lld of %lld over it", name, 100 * p, TIME(l->at_rank), ms(l->limit), (long long)l->n_over, (long long)l->n);
    printf(l->n_needed < 0 ? "\n" : ", early stopping needs %lld (of independent ones %lld of %lld)\n", (long long)l->n_needed,
           (long long)l->n_needed_effective, (long long)l->n_effective);
}

static void print_verdict(const struct bench_outcome *o)
{
    const struct bench_rules *r = &o->job->rules;
    const struct bench_judged *j = &o->judged;
    if (!r->scenario)
        return;
    printf("%s: %s\n", r->scenario->name, j->valid ? "VALID" : "INVALID");
    for (const char *line = j->reasons; *line; line += strcspn(line, "\n"), line += *line == '\n')
        printf("  - %.*s\n", (int)strcspn(line, "\n"), line);
    for (int m = 0; m < JUDGE_N; m++)
        if (j->limit[m].limit > 0)
            print_limit(judge_names[m], &j->limit[m], r->scenario->percentile);
    if (j->estimate.t && isfinite(j->estimate.value))
        printf("  early stopping: p%g is at most %s ms with 99 %% confidence (%s where %lld queries are worth %lld)\n", 100 * r->scenario->percentile,
               TIME(j->estimate.value), TIME(j->estimate.value_effective), (long long)j->estimate.n, (long long)j->estimate.n_effective);
    if (r->min_duration_s < SCENARIO_DURATION_S || r->min_queries < r->scenario->n_least)
        printf("  asked for at least %g s and %d queries, MLPerf for %g s and %d\n", r->min_duration_s, r->min_queries, SCENARIO_DURATION_S,
               r->scenario->n_least);
}

void bench_outcome_print(const struct bench_outcome *o)
{
    const struct load_summary *s = &o->sum;
    print_asked(o->job);
    print_counts(s);
    if (s->n_ok) {
        print_goodput(o);
        print_table(o);
        print_growth(o);
    }
    print_verdict(o);
    if (!s->n_ok)
        return;
    bench_cost_print(&o->cost, bench_serve.slo != NULL);
    if (isfinite(o->job->server_bytes))
        printf("memory of the server: %.0f MB\n", o->job->server_bytes / 1e6);
    printf("This program took %.1f us of CPU time for each text", 1e6 * s->cpu_per_event);
    if (o->job->at)
        printf(o->job->n_user ? "; requests waited at most %.1f ms for their turn" : ", and sent requests at most %.1f ms late", 1e3 * s->late_max);
    printf(".\n");
}
