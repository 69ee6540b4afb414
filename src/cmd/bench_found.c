#include <lathe.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/bench_job.h"
#include "cmd/bench_serve.h"
#include "eval/evidence.h"
#include "load/mlperf_log.h"

static json_t *ms_json(double s) { return tree_number(1000 * s); }

/* ---- JSON ---- */

static json_t *quantiles_json(const struct judge_latencies *l)
{
    json_t *a = json_array();
    for (int i = 0; i < JUDGE_P; i++) {
        const struct latency_quantile *q = &l->q[i];
        json_array_append_new(a,
                              json_pack("{s:f, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "percentile", 100 * q->p, "ms", ms_json(q->value), "low_ms",
                                        ms_json(q->ci[0]), "high_ms", ms_json(q->ci[1]), "independent_low_ms", ms_json(q->independent[0]),
                                        "independent_high_ms", ms_json(q->independent[1]), "n", (json_int_t)q->n, "n_effective", (json_int_t)q->n_effective));
    }
    return a;
}

static json_t *rate_json(const struct judge_rate *r)
{
    return json_pack("{s:o, s:o, s:o}", "value", tree_number(r->value), "low", tree_number(r->ci[0]), "high", tree_number(r->ci[1]));
}

static json_t *limit_json(const struct latency_limit *l)
{
    return json_pack("{s:f, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b}", "limit_ms", 1000 * l->limit, "at_percentile_ms", ms_json(l->at_rank), "n",
                     (json_int_t)l->n, "over", (json_int_t)l->n_over, "needed", (json_int_t)l->n_needed, "n_effective", (json_int_t)l->n_effective,
                     "over_effective", (json_int_t)l->n_over_effective, "needed_effective", (json_int_t)l->n_needed_effective, "within", l->within,
                     "early_stopping", l->stops, "early_stopping_effective", l->stops_effective);
}

static json_t *scenario_json(const struct bench_outcome *o)
{
    const struct bench_rules *r = &o->job->rules;
    const struct bench_judged *j = &o->judged;
    json_t *limits = json_object();
    for (int m = 0; m < JUDGE_N; m++)
        if (j->limit[m].limit > 0)
            json_object_set_new(limits, judge_names[m], limit_json(&j->limit[m]));
    json_t *s = json_pack("{s:s, s:s, s:f, s:b, s:s, s:b, s:b, s:b, s:b, s:f, s:i, s:o}", "name", r->scenario->name, "mlperf", r->scenario->mlperf,
                          "percentile", 100 * r->scenario->percentile, "valid", j->valid, "reasons", j->reasons, "performance_constraints", j->constraints_met,
                          "min_duration", j->duration_met, "min_queries", j->queries_met, "early_stopping", j->stopping_met, "min_duration_s",
                          r->min_duration_s, "min_query_count", r->min_queries, "limits", limits);
    if (s && j->estimate.n_needed)
        json_object_set_new(s, "early_stopping_estimate",
                            json_pack("{s:I, s:I, s:I, s:o, s:o}", "n", (json_int_t)j->estimate.n, "needed", (json_int_t)j->estimate.n_needed, "discarded",
                                      (json_int_t)(j->estimate.t ? j->estimate.t - 1 : 0), "ms", ms_json(j->estimate.value), "effective_ms",
                                      ms_json(j->estimate.value_effective)));
    return s;
}

/* vLLM's keys of what was asked. */
static json_t *asked_json(const struct bench_job *j)
{
    const struct bench_serve *o = &bench_serve;
    char now[32];
    const time_t t = time(NULL);
    struct tm tm;
    strftime(now, sizeof now, "%Y%m%d-%H%M%S", gmtime_r(&t, &tm));
    return json_pack("{s:s, s:s, s:s, s:i, s:f, s:f, s:o, s:f, s:o, s:I, s:I}", "date", now, "backend", j->work.chat ? "openai-chat" : "openai", "model_id", j->model,
                     "num_prompts", j->n, "ramp_s", o->ramp_s, "think_s", o->think_s, "request_rate", o->rate > 0 ? json_real(o->rate) : json_string(j->trace ? "trace" : "inf"), "burstiness", 1.0,
                     "max_concurrency", j->n_user ? json_integer(j->n_user) : json_null(), "seed", (json_int_t)o->seed, "num_warmups", (json_int_t)o->warmup);
}

json_t *bench_outcome_json(const struct bench_outcome *o)
{
    const struct bench_judged *j = &o->judged;
    const uint64_t refused = mem_json_refused();
    json_t *all = asked_json(o->job), *result = load_json(&o->sum, o->run, bench_serve.slo != NULL, bench_serve.detail);
    if (!all || !result || json_object_update(all, result)) {
        json_decref(all);
        json_decref(result);
        return NULL;
    }
    json_decref(result);
    json_t *quantiles = json_object();
    for (int m = 0; m < JUDGE_N; m++)
        json_object_set_new(quantiles, judge_names[m], quantiles_json(&j->metric[m]));
    if (j->query.x)
        json_object_set_new(quantiles, "query", quantiles_json(&j->query));
    json_object_set_new(all, "num_prompts", json_integer(o->run->n));
    json_object_set_new(all, "percentiles", quantiles);
    json_object_set_new(all, "output_tokens_per_s", rate_json(&j->tokens));
    if (bench_serve.slo) {
        json_object_set_new(all, "goodput_tokens_per_s", rate_json(&j->good_tokens));
        json_object_set_new(all, "goodput_requests_per_s", rate_json(&j->good_requests));
    }
    if (o->job->rules.open_loop)
        json_object_set_new(all, "latency_slope",
                            json_pack("{s:o, s:o, s:o, s:b}", "value", tree_number(j->slope.slope), "low", tree_number(j->slope.ci[0]), "high",
                                      tree_number(j->slope.ci[1]), "saturated", j->saturated));
    if (o->job->rules.scenario)
        json_object_set_new(all, "scenario", scenario_json(o));
    json_object_set_new(all, "cost", bench_cost_json(&o->cost));
    json_object_set_new(all, "server_memory_bytes", tree_number(o->job->server_bytes));
    if (mem_json_refused() != refused) {                         /* a part of it is missing */
        json_decref(all);
        return NULL;
    }
    return all;
}

/* ---- evidence ---- */

void bench_outcome_name(const struct bench_outcome *o, char *out, size_t n)
{
    const struct bench_job *j = o->job;
    int k;
    if (j->rules.scenario)
        k = snprintf(out, n, "%s", j->rules.scenario->name);
    else if (j->at)
        k = snprintf(out, n, j->trace ? "a trace" : "requests");
    else
        k = snprintf(out, n, "%d user%s", j->n_user, j->n_user == 1 ? "" : "s");
    if (k > 0 && (size_t)k < n && bench_serve.rate > 0)
        snprintf(out + k, n - (size_t)k, " at %g/s", bench_serve.rate);
}

struct figures { json_t *evidence; const char *of; int rc; struct err *err; };

static void add(struct figures *f, const char *name, double value, const double *ci, int64_t n, enum evidence_better better, const char *what)
{
    if (!f->rc)
        f->rc = evidence_figure(f->evidence,
                                &(struct evidence_figure){ name, f->of, value, ci ? ci[0] : (double)NAN, ci ? ci[1] : (double)NAN, n, better, what }, f->err);
}

static void add_latencies(struct figures *f, const struct bench_judged *j)
{
    static const int shown[] = { 0, 1, 4 };
    static const char *const what[JUDGE_N] = { "milliseconds from when a request was due to its first token", "milliseconds per output token after the first",
                                               "milliseconds from when a request was due to its end" };
    for (int m = 0; m < JUDGE_N; m++)
        for (int i = 0; i < 3; i++) {
            const struct latency_quantile *q = &j->metric[m].q[shown[i]];
            const double ci[2] = { 1000 * q->ci[0], 1000 * q->ci[1] };
            char name[32];
            snprintf(name, sizeof name, "%s_p%g_ms", judge_names[m], 100 * q->p);
            add(f, name, 1000 * q->value, ci, q->n, EVIDENCE_LOWER, what[m]);
        }
}

static void add_costs(struct figures *f, const struct bench_outcome *o)
{
    const struct bench_cost *c = &o->cost;
    char what[900];
    if (c->o->price > 0) {
        snprintf(what, sizeof what, "%s per million output tokens %s, at %g an hour", c->o->currency ? c->o->currency : "$",
                 bench_serve.slo ? "within the limits" : "of offline work", c->o->price);
        add(f, "cost_per_1m_output_tokens", c->output.value, c->output.ci, o->sum.n_good, EVIDENCE_LOWER, what);
        add(f, "cost_per_1m_total_tokens", c->total.value, c->total.ci, o->sum.n_good, EVIDENCE_LOWER, "the same, prompts' tokens counted too");
    }
    snprintf(what, sizeof what, "energy: %s", c->source);
    add(f, "energy_j_per_output_token", c->j_per_token, NULL, o->sum.n_ok, EVIDENCE_LOWER, what);
    add(f, "energy_wh_per_1m_output_tokens", c->wh_output, NULL, o->sum.n_ok, EVIDENCE_LOWER, what);
    add(f, "energy_wh_per_1m_total_tokens", c->wh_total, NULL, o->sum.n_ok, EVIDENCE_LOWER, what);
}

static int write_evidence(const struct bench_outcome *o, json_t *result, const char *folder, struct err *err)
{
    const struct bench_judged *j = &o->judged;
    char of[64], what[1300];
    struct figures f = { .of = of, .err = err };
    bench_outcome_name(o, of, sizeof of);
    TRY(evidence_new(&f.evidence, "speed", o->job->model, NULL, bench_serve.seed, err));
    add_latencies(&f, j);
    add(&f, "output_tokens_per_s", j->tokens.value, j->tokens.ci, o->sum.n_ok, EVIDENCE_HIGHER, "output tokens a second of all answers");
    if (bench_serve.slo) {
        snprintf(what, sizeof what, "output tokens a second of answers within %s", bench_serve.slo);
        add(&f, "goodput_tokens_per_s", j->good_tokens.value, j->good_tokens.ci, o->sum.n_good, EVIDENCE_HIGHER, what);
        add(&f, "goodput_requests_per_s", j->good_requests.value, j->good_requests.ci, o->sum.n_good, EVIDENCE_HIGHER, "answers within the limits a second");
    }
    if (o->job->rules.scenario) {
        snprintf(what, sizeof what, "1: MLPerf's scenario is valid%s%s", *j->reasons ? "; " : "", j->reasons);
        add(&f, "valid", j->valid, NULL, j->n, EVIDENCE_HIGHER, what);
    }
    add(&f, "failed_requests", j->n_failed, NULL, j->n, EVIDENCE_LOWER, "requests that were sent and not answered");
    add_costs(&f, o);
    if (isfinite(o->job->server_bytes))
        add(&f, "memory_resident_bytes", o->job->server_bytes, NULL, 1, EVIDENCE_LOWER, "memory of the server, by its own metrics");
    int rc = f.rc ? f.rc : evidence_put(f.evidence, "result", json_incref(result), err);
    rc = rc ? rc : evidence_write(f.evidence, folder, NULL, err);
    json_decref(f.evidence);
    return rc;
}

/* ---- MLPerf's logs ---- */

/* LoadGen's words for its early stopping. */
static void stopping_text(struct mlperf_stopping *s, const char *of, const struct latency_limit *l)
{
    s->of = of;
    if (l->stops)
        snprintf(s->text, sizeof s->text, " * Run successful.");
    else
        snprintf(s->text, sizeof s->text,
                 " * Run unsuccessful.\n * Processed %lld queries.\n * Would need to run at least %lld more queries,\n"
                 " with the run being successful if every additional\n query were under latency.",
                 (long long)l->n, (long long)(l->n_needed - l->n));
}

static void estimate_text(struct mlperf_stopping *s, const struct latency_estimate *e, double p)
{
    char ns[32];
    s->of = "";
    snprintf(ns, sizeof ns, isfinite(e->value) ? "%.0f" : "none", 1e9 * e->value);
    if (e->t)
        snprintf(s->text, sizeof s->text,
                 " * Processed at least %lld queries (%lld).\n * Would discard %lld highest latency queries.\n * Early stopping %.0fth percentile estimate: %s",
                 (long long)e->n_needed, (long long)e->n, (long long)e->t - 1, 100 * p, ns);
    else
        snprintf(s->text, sizeof s->text, " * Only processed %lld queries.\n * Need to process at least %lld queries for early stopping.", (long long)e->n,
                 (long long)e->n_needed);
}

static int write_logs(const struct bench_outcome *o, const char *folder, struct err *err)
{
    const struct bench_rules *r = &o->job->rules;
    const struct bench_judged *j = &o->judged;
    static const char *const of[JUDGE_N] = { "TTFT ", "TPOT ", "" };
#define TIMES(l) { (l).x, (l).n }
    struct mlperf_result m = { .program = "lathe " LATHE_VERSION,
                               .sut = o->job->model,
                               .scenario = r->scenario,
                               .limits = r->limits,
                               .rate = bench_serve.rate,
                               .min_duration_s = r->min_duration_s,
                               .min_queries = r->min_queries,
                               .seed = (uint64_t)bench_serve.seed,
                               .latency = TIMES(j->metric[JUDGE_E2EL]),
                               .first = TIMES(j->metric[JUDGE_TTFT]),
                               .tpot = TIMES(j->metric[JUDGE_TPOT]),
                               .query = TIMES(j->query),
                               .valid = j->valid,
                               .constraints_met = j->constraints_met,
                               .duration_met = j->duration_met,
                               .queries_met = j->queries_met,
                               .stopping_met = j->stopping_met,
                               .reasons = j->reasons,
                               .estimate = j->estimate.value };
#undef TIMES
    int k = 0;
    for (int i = 0; i < JUDGE_N; i++)
        if (j->limit[i].limit > 0) {
            stopping_text(&m.stopping[k++], of[i], &j->limit[i]);
            m.n_over = j->limit[i].n_over > m.n_over ? j->limit[i].n_over : m.n_over;
        }
    if (j->estimate.n_needed)
        estimate_text(&m.stopping[k++], &j->estimate, r->scenario->percentile);
    return mlperf_log_write(folder, &m, o->run, err);
}

int bench_outcome_write(const struct bench_outcome *o, json_t *result, const char *folder, struct err *err)
{
    if (o->job->rules.scenario)
        TRY(write_logs(o, folder, err));
    return write_evidence(o, result, folder, err);
}
