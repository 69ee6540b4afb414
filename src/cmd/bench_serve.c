#include "cmd/bench_serve.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "load/summary.h"
#include "store/fetch.h"

#define DEFAULTS { .ignore_eos = true, .warmup = 1, .seed = 1, .timeout_s = 600 }
#define LIST_BYTES ((size_t)4 << 20)

struct bench_serve bench_serve = DEFAULTS;
static const struct bench_serve before = DEFAULTS;

/* What is to be done, after all checks. */
struct job {
    struct load_url url;
    char model[300], path[300];
    struct work_opts work;
    struct trace_row *trace;
    struct load_limits limits;
    int n, n_user, turns;
    double *at;
};

bool bench_serve_is_set(void)
{
    const struct bench_serve *a = &bench_serve, *b = &before;
    return a->api || a->arrival || a->trace || a->prompts || a->slo || a->model || a->key || a->fields || a->save || a->rate > 0 || a->spread > 0 || a->n || a->burst || a->users || a->input || a->output ||
           a->shared || a->groups || a->turns || a->vocab || a->detail || a->ignore_eos != b->ignore_eos || a->warmup != b->warmup || a->seed != b->seed || a->timeout_s < b->timeout_s ||
           a->timeout_s > b->timeout_s;
}

static int64_t or(int64_t given, int64_t otherwise) { return given ? given : otherwise; }

/* ---- what the options say ---- */

static int check_choice(const char *name, const char *given, const char *allowed, struct err *err)
{
    const char *at = given ? strstr(allowed, given) : allowed;
    const size_t n = given ? strlen(given) : 0;
    if (!given || (n && at && (at == allowed || at[-1] == '|') && (!at[n] || at[n] == '|')))
        return 0;
    return ERR(err, USAGE, "--%s: found '%s', expected one of %s", name, given, allowed);
}

static int check(const struct bench_serve *o, struct err *err)
{
    TRY(check_choice("api", o->api, "completions|chat", err));
    TRY(check_choice("arrival", o->arrival, "poisson|constant|burst", err));
    if ((o->rate > 0) + (o->users > 0) + (o->trace != NULL) > 1)
        return ERR(err, USAGE, "expected one of --rate (open loop), --users (closed loop) and --trace");
    if ((o->arrival || o->burst) && !(o->rate > 0))
        return ERR(err, USAGE, "--arrival and --burst say how the requests of --rate come, which is missing");
    if (o->burst && (!o->arrival || strcmp(o->arrival, "burst")))
        return ERR(err, USAGE, "--burst is for --arrival burst");
    if (o->prompts && (o->input || o->spread > 0 || o->trace || o->vocab))
        return ERR(err, USAGE, "--prompts has its own lengths: no --input, --spread, --trace or --vocab with it");
    if (o->trace && (o->input || o->output || o->spread > 0))
        return ERR(err, USAGE, "--trace has its own lengths: no --input, --output or --spread with it");
    if (o->turns > 1 && o->api && strcmp(o->api, "chat"))
        return ERR(err, USAGE, "--turns makes conversations, expected --api chat with it");
    if (o->prompts && o->shared)
        return ERR(err, USAGE, "--shared is for random prompts, not for those of a file");
    if (o->groups && !o->shared)
        return ERR(err, USAGE, "--groups is of --shared, which is missing");
    return o->detail && !o->save && !cmd_json ? ERR(err, USAGE, "--detail is for JSON, expected --json or --save with it") : 0;
}

/* ---- what the server says ---- */

static const json_t *first_model(const json_t *list, const char *wanted)
{
    const json_t *data = json_object_get(list, "data"), *m;
    size_t i;
    json_array_foreach(data, i, m)
        if (json_is_string(json_object_get(m, "id")) && (!wanted || !strcmp(json_string_value(json_object_get(m, "id")), wanted)))
            return m;
    return NULL;
}

static int ask_models(const char *key, const struct load_url *u, struct buf *out, struct err *err)
{
    char url[600];
    int failed = 0;
    const bool v6 = strchr(u->host, ':') != NULL;
    snprintf(url, sizeof url, "http://%s%s%s:%s%s/v1/models", v6 ? "[" : "", u->host, v6 ? "]" : "", u->port, u->path);
    struct fetch f = { .url = url, .body = out, .body_max = LIST_BYTES };
    const struct fetch_opts o = { .token = key, .n_job = 1, .n_try = 1, .stop = &cmd_stop };
    return fetch_run(&f, 1, &o, &failed, err);
}

/* The model's name, and how many tokens it knows. */
static int find_model(struct job *j, struct err *err)
{
    struct buf text;
    buf_init(&text);
    const struct bench_serve *o = &bench_serve;
    int rc = ask_models(o->key, &j->url, &text, err);
    json_t *list = rc ? NULL : json_loadb(text.data, text.len, 0, NULL);
    const json_t *m = first_model(list, o->model), *meta = json_object_get(m, "meta");
    if (!rc && !m && !o->model)
        rc = ERR(err, FORMAT, "the server's /v1/models names no model: give --model");
    if (!rc)
        snprintf(j->model, sizeof j->model, "%s", o->model ? o->model : json_string_value(json_object_get(m, "id")));
    const json_int_t vocab = json_integer_value(json_object_get(meta, "n_vocab"));
    j->work.vocab = j->work.chat ? 0 : o->vocab ? (int)o->vocab : vocab > 0 && vocab < 10000000 ? (int)vocab : 0;
    json_decref(list);
    buf_release(&text);
    return rc;
}

/* ---- the job ---- */

static int set_times(struct job *j, struct err *err)
{
    const struct bench_serve *o = &bench_serve;
    if (!(o->rate > 0) && !j->trace)
        return 0;
    if (!(j->at = mem_alloc_array((size_t)j->n, sizeof *j->at)))
        return ERR(err, NOMEM, "no memory for %d requests", j->n);
    const enum arrival how = !o->arrival || !strcmp(o->arrival, "poisson") ? ARRIVAL_POISSON : !strcmp(o->arrival, "constant") ? ARRIVAL_CONSTANT : ARRIVAL_BURST;
    if (!j->trace)
        schedule_make(j->at, j->n, how, o->rate, (int)or(o->burst, 8), (uint64_t)o->seed);
    for (int i = 0; j->trace && i < j->n; i++)
        j->at[i] = j->trace[i].at;
    return 0;
}

static int make_job(struct job *j, struct work **work, const char *url, struct err *err)
{
    struct bench_serve *o = &bench_serve;
    o->key = o->key ? o->key : getenv("LATHE_API_KEY");
    TRY(check(o, err));
    TRY(load_url_parse(&j->url, url, err));
    if (o->slo)
        TRY(load_limits_parse(&j->limits, o->slo, err));
    j->turns = (int)or(o->turns, 1);
    j->work = (struct work_opts){ .model = j->model, .chat = j->turns > 1 || (o->api && !strcmp(o->api, "chat")), .input = (int)or(o->input, 128), .output = (int)or(o->output, 128), .spread = o->spread,
                                  .shared = (int)o->shared, .n_group = (int)or(o->groups, 1), .turns = j->turns, .ignore_eos = o->ignore_eos, .fields = o->fields, .prompts = o->prompts,
                                  .seed = (uint64_t)o->seed };
    if (o->trace)
        TRY(trace_read(o->trace, &j->trace, &j->work.n_trace, err));
    j->work.trace = j->trace;
    TRY(find_model(j, err));
    TRY(work_new(work, &j->work, err));
    j->n = (int)or(o->n, j->trace ? j->work.n_trace : work_n_prompt(*work) ? work_n_prompt(*work) : 100);
    if (j->trace && j->n > j->work.n_trace)
        return ERR(err, USAGE, "--requests %d, but the trace has %d", j->n, j->work.n_trace);
    if ((int64_t)j->n * j->turns > 10000000)
        return ERR(err, USAGE, "%d requests of %d turns, expected at most 10000000 in all", j->n, j->turns);
    j->n_user = (int)or(o->users, 1);
    snprintf(j->path, sizeof j->path, "%s%s", j->url.path, j->work.chat ? "/v1/chat/completions" : "/v1/completions");
    return set_times(j, err);
}

static void progress(void *ctx, int n_done, int n_failed, int n_open, double n_token)
{
    const struct job *j = ctx;
    log_progress("%d of %d answered, %d failed, %d under way, %.0f tokens", n_done - n_failed, j->n * j->turns, n_failed, n_open, n_token);
}

static struct load_opts opts_of(struct job *j, const struct work *w)
{
    return (struct load_opts){ .host = j->url.host, .port = j->url.port, .path = j->path, .key = bench_serve.key, .work = w, .n = j->n, .turns = j->turns, .at = j->at, .n_user = j->n_user,
                               .timeout_s = bench_serve.timeout_s, .stop = &cmd_stop, .progress = progress, .ctx = j };
}

/* Before: requests with numbers of their own, so that their prompts are not found in a cache later; but what is shared is. */
static int warm_up(struct job *j, const struct work *w, struct err *err)
{
    struct load_run run;
    struct load_opts o = opts_of(j, w);
    if (!bench_serve.warmup)
        return 0;
    o.first = work_n_prompt(w) || j->trace ? 0 : j->n, o.n = (int)bench_serve.warmup, o.turns = 1, o.at = NULL, o.n_user = o.n < j->n_user ? o.n : j->n_user, o.progress = NULL;
    TRY(load_run(&o, &run, err));
    int rc = 0;
    for (int i = 0; i < run.n && !rc; i++) {
        const struct load_reply *r = &run.reply[i];
        if (r->end != LOAD_OK && !cmd_stop)
            rc = ERR(err, IO, "a request before the measurement failed (%s, status %d)%s%s", load_end_name(r->end), r->status, r->why ? ": " : "", r->why ? r->why : "");
    }
    load_run_release(&run);
    return rc;
}

/* ---- results ---- */

static void print_times(const char *name, const struct load_times *t)
{
    printf("%-22s %9.1f %9.1f %9.1f %9.1f %9.1f %9.1f\n", name, 1e3 * t->mean, 1e3 * t->p50, 1e3 * t->p90, 1e3 * t->p95, 1e3 * t->p99, 1e3 * t->max);
}

static void print_asked(const struct job *j)
{
    printf("%s, %s%s", j->model, j->work.chat ? "chat" : "completions", j->work.prompts ? ", prompts of a file" : j->work.vocab ? ", random ids" : ", random words");
    if (j->trace)
        printf(", times of a trace\n");
    else if (j->at)
        printf(", %g requests a second (%s)\n", bench_serve.rate, bench_serve.arrival ? bench_serve.arrival : "poisson");
    else
        printf(", %d user%s in a closed loop\n", j->n_user, j->n_user == 1 ? "" : "s");
}

static void print_growth(const struct load_growth *g)
{
    if (g->too_much)
        printf("The server did not keep up: while the last %d requests came it ended %d, and those under way grew from %.0f to %.0f.  Latencies depend on\n"
               "how long this is measured.\n", g->n_came, g->n_over, g->open_before < 0 ? 0 : g->open_before, g->open_after);
}

static void print_summary(const struct job *j, const struct load_summary *s)
{
    const double t = s->seconds > 0 ? s->seconds : 1;
    print_asked(j);
    printf("%d answered, %d failed%s in %.1f s; at most %d at once\n", s->n_ok, s->n_failed, s->n_unsent ? " (and some not sent)" : "", s->seconds, s->open_max);
    for (int i = 0; i < s->n_kind; i++) {
        printf("  %6d %s", s->kind[i].n, load_end_name(s->kind[i].end));
        if (s->kind[i].status)
            printf(" %d", s->kind[i].status);
        printf("%s%s\n", s->kind[i].why ? ": " : "", s->kind[i].why ? s->kind[i].why : "");
    }
    printf("%.2f requests/s, %.1f tokens/s (at most %.0f within a second)\n", s->n_ok / t, s->n_token / t, s->token_rate_max);
    if (s->told_usage && s->n_ok)
        printf("prompts of %.0f tokens on average, of which %.1f %% were in a cache; answers of %.1f\n", s->n_prompt / s->n_ok, s->n_prompt > 0 ? 100 * s->n_kept / s->n_prompt : 0, s->n_token / s->n_ok);
    else if (s->n_ok)
        printf("answers of %.1f tokens, counted by events: the server does not tell their number\n", s->n_token / s->n_ok);
    if (bench_serve.slo)
        printf("goodput: %.2f requests/s, %.1f %% of all within %s\n", s->n_good / t, 100. * s->n_good / (s->n_ok + s->n_failed ? s->n_ok + s->n_failed : 1), bench_serve.slo);
    if (!s->n_ok)
        return;
    printf("%-22s %9s %9s %9s %9s %9s %9s\n", "milliseconds", "mean", "p50", "p90", "p95", "p99", "most");
    print_times("to first token", &s->ttft);
    print_times("per token after it", &s->tpot);
    print_times("between texts", &s->itl);
    print_times("whole answer", &s->e2el);
    print_growth(&s->growth);
    printf("This program took %.1f us of CPU time for each text", 1e6 * s->cpu_per_event);
    printf(j->at ? ", and sent requests at most %.1f ms late.\n" : ".\n", 1e3 * s->late_max);
}

static json_t *result_json(const struct job *j, const struct load_summary *s, const struct load_run *run)
{
    const struct bench_serve *o = &bench_serve;
    char now[32];
    const time_t t = time(NULL);
    struct tm tm;
    strftime(now, sizeof now, "%Y%m%d-%H%M%S", gmtime_r(&t, &tm));
    json_t *all = json_pack("{s:s, s:s, s:s, s:i, s:o, s:f, s:o, s:I}", "date", now, "backend", j->work.chat ? "openai-chat" : "openai", "model_id", j->model, "num_prompts", j->n, "request_rate",
                            o->rate > 0 ? json_real(o->rate) : json_string(j->trace ? "trace" : "inf"), "burstiness", 1.0, "max_concurrency", j->at ? json_null() : json_integer(j->n_user), "seed",
                            (json_int_t)o->seed);
    json_t *result = load_json(s, run, o->slo != NULL, o->detail);
    if (all && result)
        json_object_update(all, result);
    json_decref(result);
    return all;
}

static int save(json_t *o, struct err *err)
{
    char *text = o ? json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) : NULL;
    if (!text)
        return ERR(err, NOMEM, "no memory for the result");
    const int rc = file_write_all(bench_serve.save, text, strlen(text), err);
    mem_free(text);
    return rc;
}

static int report(const struct job *j, const struct load_run *run, struct err *err)
{
    struct load_summary s;
    TRY(load_summarise(run, &j->limits, j->at != NULL, &s, err));
    json_t *o = bench_serve.save || cmd_json ? result_json(j, &s, run) : NULL;
    int rc = bench_serve.save ? save(o, err) : 0;
    if (!rc && cmd_json) {
        json_incref(o);
        rc = cmd_print_json(o, err);
    } else if (!rc) {
        print_summary(j, &s);
    }
    json_decref(o);
    if (!rc && cmd_stop)
        return ERR(err, STOPPED, "stopped; %d of %d requests had been answered", s.n_ok, s.n);
    return rc ? rc : s.n_ok ? 0 : ERR(err, IO, "no request was answered");
}

int bench_serve_run(const char *url, struct err *err)
{
    struct job j = { 0 };
    struct work *work = NULL;
    struct load_run run = { 0 };
    cmd_catch_signals();
    int rc = make_job(&j, &work, url, err);
    rc = rc ? rc : warm_up(&j, work, err);
    if (!rc) {
        const struct load_opts o = opts_of(&j, work);
        rc = load_run(&o, &run, err);
        log_progress_end();
        rc = rc ? rc : report(&j, &run, err);
        load_run_release(&run);
    }
    work_free(work);
    mem_free(j.trace);
    mem_free(j.at);
    return rc;
}
