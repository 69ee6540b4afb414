#include "load/mlperf_log.h"
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/stat.h"
#include "base/when.h"

#define RULE "================================================\n"
static const double percentiles[] = { 0.5, 0.9, 0.95, 0.97, 0.99, 0.999 };
enum { N_PERCENTILE = sizeof percentiles / sizeof *percentiles };

/* What LoadGen tells of a series, in seconds. */
struct told { double least, most, mean, at[N_PERCENTILE], target; int64_t n; };

struct facts {
    const struct mlperf_result *r;
    struct told latency, first, tpot, query;
    double due, sent, over, n_token;     /* the last ones; of all answers */
    double start_unix;
    struct buf *out;
    struct err *err;
    int rc;                              /* of the first line that could not be added */
};

static double at_rank(const double *sorted, int64_t n, double p)
{
    const int64_t i = (int64_t)floor((double)n * p + 1e-9);
    return sorted[i < n ? i : n - 1];
}

static int tell_of(const struct mlperf_times *t, double target, struct told *out, struct err *err)
{
    *out = (struct told){ .n = t->n };
    if (!t->n)
        return 0;
    double *v = mem_alloc_array((size_t)t->n, sizeof *v);
    if (!v)
        return ERR(err, NOMEM, "no memory for %lld times", (long long)t->n);
    memcpy(v, t->x, (size_t)t->n * sizeof *v);
    stat_sort(v, (size_t)t->n);
    for (int64_t i = 0; i < t->n; i++)
        out->mean += v[i] / (double)t->n;
    out->least = v[0], out->most = v[t->n - 1], out->target = at_rank(v, t->n, target);
    for (int i = 0; i < N_PERCENTILE; i++)
        out->at[i] = at_rank(v, t->n, percentiles[i]);
    mem_free(v);
    return 0;
}

/* ---- the summary ---- */

#define ADD(...) do { if (!f->rc) f->rc = buf_printf(f->out, f->err, __VA_ARGS__); } while (0)

/* Nanoseconds; "none" where there was no answer. */
static const char *ns(double s, char text[32])
{
    snprintf(text, 32, isfinite(s) ? "%.0f" : "none", 1e9 * s);
    return text;
}
#define NS(s) ns((s), (char[32]){ 0 })

static void add_times(struct facts *f, const struct told *t, const char *least, const char *most, const char *mean, const char *percentile)
{
    if (!t->n)
        return;
    ADD("%s: %s\n%s: %s\n%s: %s\n", least, NS(t->least), most, NS(t->most), mean, NS(t->mean));
    for (int i = 0; i < N_PERCENTILE; i++)
        ADD("%.2f percentile %s : %s\n", 100 * percentiles[i], percentile, NS(t->at[i]));
}

static double per_second(double n, double s) { return s > 0 ? n / s : 0; }
static const char *yes(bool b) { return b ? "Yes" : "NO"; }

static void add_head(struct facts *f)
{
    const struct mlperf_result *r = f->r;
    const struct scenario *s = r->scenario;
    ADD(RULE "MLPerf Results Summary\n" RULE "SUT name : %s\nScenario : %s\nMode     : PerformanceOnly\n", r->sut, s->mlperf);
    if (s->random)
        ADD("Completed samples per second    : %.2f\n", per_second((double)f->latency.n - 1, f->over));
    else if (s->id == SCENARIO_OFFLINE)
        ADD("Samples per second: %g\nTokens per second: %g\n", per_second((double)f->latency.n, f->over), per_second(f->n_token, f->over));
    else
        ADD("%.0fth percentile latency (ns) : %s\n", 100 * s->percentile, NS(f->query.n ? f->query.target : f->latency.target));
    ADD("Result is : %s\n", r->valid ? "VALID" : "INVALID");
    if (s->random)
        ADD("  Performance constraints satisfied : %s\n", yes(r->constraints_met));
    ADD("  Min duration satisfied : %s\n  Min queries satisfied : %s\n  Early stopping satisfied: %s\n", yes(r->duration_met), yes(r->queries_met),
        yes(r->stopping_met));
    if (!r->valid)
        ADD("Recommendations:\n");
    for (const char *line = r->reasons; *line; line += strcspn(line, "\n"), line += *line == '\n')
        ADD(" * %.*s\n", (int)strcspn(line, "\n"), line);
    for (int i = 0; i < 3 && r->stopping[i].of; i++)
        ADD("%sEarly Stopping Result:\n%s\n", r->stopping[i].of, r->stopping[i].text);
}

static void add_stats(struct facts *f)
{
    const struct scenario *s = f->r->scenario;
    ADD("\n" RULE "Additional Stats\n" RULE);
    if (s->id == SCENARIO_SINGLE_STREAM)
        ADD("QPS w/ loadgen overhead         : %.2f\nQPS w/o loadgen overhead        : %.2f\n\n", per_second((double)f->latency.n - 1, f->sent),
            per_second(1, f->latency.mean));
    if (s->random)
        ADD("Scheduled samples per second : %.2f\n\n", per_second((double)f->latency.n - 1, f->due));
    if (f->query.n)
        ADD("Per-query latency:  \n");
    add_times(f, f->query.n ? &f->query : &f->latency, "Min latency (ns)                ", "Max latency (ns)                ",
              "Mean latency (ns)               ", "latency (ns)  ");
    if (s->random)
        ADD("\nCompleted tokens per second                 : %.2f\n", per_second(f->n_token, f->over));
    if (s->id == SCENARIO_OFFLINE)
        return;
    add_times(f, &f->first, "Min First Token latency (ns)                ", "Max First Token latency (ns)                ",
              "Mean First Token latency (ns)               ", "first token latency (ns)  ");
    ADD("\n");
    add_times(f, &f->tpot, "Min Time to Output Token (ns)                ", "Max Time to Output Token (ns)                ",
              "Mean Time to Output Token (ns)               ", "time to output token (ns)  ");
}

static void add_parameters(struct facts *f)
{
    const struct mlperf_result *r = f->r;
    ADD("\n" RULE "Test Parameters Used\n" RULE "samples_per_query : %d\ntarget_qps : %g\n", r->scenario->n_sample, r->rate);
    if (r->limits.ttft > 0 || r->limits.tpot > 0)
        ADD("ttft_latency (ns): %s\ntpot_latency (ns): %s\n", NS(r->limits.ttft), NS(r->limits.tpot));
    ADD("target_latency (ns): %s\nmin_duration (ms): %.0f\nmin_query_count : %d\nschedule_rng_seed : %llu\n", NS(r->limits.e2el), 1000 * r->min_duration_s,
        r->min_queries, (unsigned long long)r->seed);
}

/* ---- the details ---- */

static void add_fact(struct facts *f, double at_s, const char *key, json_t *value)
{
    const uint64_t refused = mem_json_refused();
    json_t *o = json_pack("{s:s, s:o, s:f, s:s, s:s, s:{s:b, s:b, s:s, s:i, s:i, s:i}}", "key", key, "value", value, "time_ms", 1000 * at_s, "namespace",
                          "mlperf::logging", "event_type", "POINT_IN_TIME", "metadata", "is_error", 0, "is_warning", 0, "file", "lathe", "line_no", 0, "pid",
                          (int)getpid(), "tid", (int)getpid());
    char *text = o ? json_dumps(o, JSON_REAL_PRECISION(15)) : NULL;
    if ((!text || refused != mem_json_refused()) && !f->rc)
        f->rc = ERR(f->err, NOMEM, "no memory for a line of a log");
    else
        ADD(":::MLLOG %s\n", text);
    mem_free(text);
    json_decref(o);
}

static json_t *ns_json(double s) { return isfinite(s) ? json_integer((json_int_t)llround(1e9 * s)) : json_null(); }

static void add_settings(struct facts *f)
{
    const struct mlperf_result *r = f->r;
    char date[WHEN_TEXT];
    when_seconds(date, (int64_t)f->start_unix);
    add_fact(f, 0, "loadgen_version", json_string(r->program));
    add_fact(f, 0, "test_datetime", json_string(date));
    add_fact(f, 0, "sut_name", json_string(r->sut));
    add_fact(f, 0, "effective_scenario", json_string(r->scenario->mlperf));
    add_fact(f, 0, "effective_test_mode", json_string("PerformanceOnly"));
    add_fact(f, 0, "effective_samples_per_query", json_integer(r->scenario->n_sample));
    add_fact(f, 0, "effective_target_qps", json_real(r->rate));
    add_fact(f, 0, "effective_target_latency_ns", ns_json(r->limits.e2el));
    add_fact(f, 0, "effective_ttft_latency_ns", ns_json(r->limits.ttft));
    add_fact(f, 0, "effective_tpot_latency_ns", ns_json(r->limits.tpot));
    add_fact(f, 0, "effective_target_latency_percentile", json_real(r->scenario->percentile));
    add_fact(f, 0, "effective_min_duration_ms", json_integer((json_int_t)(1000 * r->min_duration_s)));
    add_fact(f, 0, "effective_min_query_count", json_integer(r->min_queries));
    add_fact(f, 0, "effective_schedule_rng_seed", json_integer((json_int_t)r->seed));
}

static void add_queries(struct facts *f, const struct load_run *run)
{
    for (int i = 0; i < run->n; i++) {
        const struct load_reply *r = &run->reply[i];
        if (r->end == LOAD_NONE)
            continue;
        const bool text = r->n_event > 0;
        add_fact(f, r->over, "query",
                 json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:i, s:s}", "index", i, "scheduled_ns", ns_json(r->from), "issued_ns", ns_json(r->sent),
                           "first_token_ns", text ? ns_json(r->first) : json_null(), "last_token_ns", text ? ns_json(r->last) : json_null(), "done_ns",
                           ns_json(r->over), "tokens", r->n_token, "end", load_end_name(r->end)));
    }
}

static void add_series(struct facts *f, const struct told *t, const char *least, const char *most, const char *mean, const char *percentile)
{
    if (!t->n)
        return;
    add_fact(f, f->over, least, ns_json(t->least));
    add_fact(f, f->over, most, ns_json(t->most));
    add_fact(f, f->over, mean, ns_json(t->mean));
    for (int i = 0; i < N_PERCENTILE; i++) {
        char key[80];
        snprintf(key, sizeof key, percentile, 100 * percentiles[i]);
        add_fact(f, f->over, key, ns_json(t->at[i]));
    }
}

/* Lines of one text, which a log's line has as one. */
static void add_lines(struct facts *f, const char *key, const char *text)
{
    char *flat = mem_strdup(text);
    for (char *p = flat; p && (p = strchr(p, '\n'));)
        *p = ' ';
    add_fact(f, f->over, key, flat ? json_string(flat) : NULL);
    mem_free(flat);
}

static void add_verdict(struct facts *f)
{
    const struct mlperf_result *r = f->r;
    add_fact(f, f->over, "result_validity", json_string(r->valid ? "VALID" : "INVALID"));
    if (r->scenario->random)
        add_fact(f, f->over, "result_perf_constraints_met", json_boolean(r->constraints_met));
    add_fact(f, f->over, "result_min_duration_met", json_boolean(r->duration_met));
    add_fact(f, f->over, "result_min_queries_met", json_boolean(r->queries_met));
    add_fact(f, f->over, "early_stopping_met", json_boolean(r->stopping_met));
    if (!r->valid)
        add_lines(f, "result_invalid_reason", r->reasons);
    for (int i = 0; i < 3 && r->stopping[i].of; i++)
        add_lines(f,
                  !strcmp(r->stopping[i].of, "TTFT ")   ? "early_stopping_ttft_result"
                  : !strcmp(r->stopping[i].of, "TPOT ") ? "early_stopping_tpot_result"
                                                        : "early_stopping_result",
                  r->stopping[i].text);
    add_fact(f, f->over, "result_query_count", json_integer(f->query.n ? f->query.n : f->latency.n));
    if (r->scenario->random)
        add_fact(f, f->over, "result_overlatency_query_count", json_integer(r->n_over));
}

static void add_results(struct facts *f)
{
    const struct scenario *s = f->r->scenario;
    const double n = (double)f->latency.n;
    if (s->random) {
        add_fact(f, f->over, "result_scheduled_samples_per_sec", json_real(per_second(n - 1, f->due)));
        add_fact(f, f->over, "result_completed_samples_per_sec", json_real(per_second(n - 1, f->over)));
    } else if (s->id == SCENARIO_OFFLINE) {
        add_fact(f, f->over, "result_samples_per_second", json_real(per_second(n, f->over)));
        add_fact(f, f->over, "result_tokens_per_second", json_real(per_second(f->n_token, f->over)));
    } else {
        if (s->id == SCENARIO_SINGLE_STREAM)
            add_fact(f, f->over, "result_qps_with_loadgen_overhead", json_real(per_second(n - 1, f->sent)));
        add_fact(f, f->over, s->id == SCENARIO_SINGLE_STREAM ? "early_stopping_latency_ss" : "early_stopping_latency_ms", ns_json(f->r->estimate));
    }
    if (f->query.n)
        add_series(f, &f->query, "result_min_query_latency_ns", "result_max_query_latency_ns", "result_mean_query_latency_ns",
                   "result_%.2f_percentile_per_query_latency_ns");
    add_series(f, &f->latency, "result_min_latency_ns", "result_max_latency_ns", "result_mean_latency_ns", "result_%.2f_percentile_latency_ns");
    if (s->id == SCENARIO_OFFLINE)
        return;
    add_series(f, &f->first, "result_first_token_min_latency_ns", "result_first_token_max_latency_ns", "result_first_token_mean_latency_ns",
               "result_first_token_%.2f_percentile_latency_ns");
    add_series(f, &f->tpot, "result_time_to_output_token_min", "result_time_to_output_token_max", "result_time_to_output_token_mean",
               "result_time_per_output_token_%.2f_percentile_ns");
}

/* ---- both ---- */

static void run_facts(struct facts *f, const struct load_run *run)
{
    f->start_unix = run->start_unix;
    for (int i = 0; i < run->n; i++) {
        const struct load_reply *r = &run->reply[i];
        if (r->end == LOAD_NONE || r->end == LOAD_STOPPED)
            continue;
        f->due = fmax(f->due, r->from), f->sent = fmax(f->sent, r->sent), f->over = fmax(f->over, r->over);
        f->n_token += r->end == LOAD_OK ? r->n_token : 0;
    }
}

static int write_as(struct facts *f, const char *folder, const char *name)
{
    char *path = f->rc ? NULL : file_join(folder, name);
    int rc = f->rc ? f->rc : path ? file_write_all(path, f->out->data, f->out->len, f->err) : ERR(f->err, NOMEM, "no memory for a path");
    mem_free(path);
    return rc;
}

int mlperf_log_write(const char *folder, const struct mlperf_result *r, const struct load_run *run, struct err *err)
{
    struct buf text;
    struct facts f = { .r = r, .out = &text, .err = err };
    const double p = r->scenario->percentile;
    TRY(tell_of(&r->latency, p, &f.latency, err));
    TRY(tell_of(&r->first, p, &f.first, err));
    TRY(tell_of(&r->tpot, p, &f.tpot, err));
    TRY(tell_of(&r->query, p, &f.query, err));
    TRY(file_mkdirs(folder, err));
    run_facts(&f, run);
    buf_init(&text);
    add_head(&f);
    add_stats(&f);
    add_parameters(&f);
    int rc = write_as(&f, folder, "mlperf_log_summary.txt");
    buf_clear(&text);
    if (!rc) {
        add_settings(&f);
        add_queries(&f, run);
        add_verdict(&f);
        add_results(&f);
        rc = write_as(&f, folder, "mlperf_log_detail.txt");
    }
    buf_release(&text);
    return rc;
}
