#include "cmd/bench_serve.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "cmd/bench_job.h"
#include "load/schedule.h"
#include "store/fetch.h"

#define DEFAULTS { .ignore_eos = true, .warmup = 1, .seed = 1, .timeout_s = 600 }
#define LIST_BYTES ((size_t)4 << 20)
#define CLOSED_MAX 200000                /* requests of a closed loop that has to last, unless --requests says more */
#define OFFLINE_OPEN 64                  /* under way at once, unless --max-concurrency says */

struct bench_serve bench_serve = DEFAULTS;
static const struct bench_serve before = DEFAULTS;

bool bench_serve_is_set(void)
{
    const struct bench_serve *a = &bench_serve, *b = &before;
    return a->api || a->arrival || a->trace || a->prompts || a->slo || a->model || a->key || a->fields || a->save || a->rate > 0 || a->spread > 0 || a->n || a->burst || a->users || a->input || a->output ||
           a->shared || a->groups || a->turns || a->vocab || a->detail || a->ignore_eos != b->ignore_eos || a->warmup != b->warmup || a->seed != b->seed || a->timeout_s < b->timeout_s ||
           a->timeout_s > b->timeout_s || a->scenario || a->ramp_s > 0 || a->think_s > 0 || a->min_duration_s > 0 || a->min_queries || a->most_open || a->cost.price > 0 || a->cost.watts > 0 ||
           a->cost.currency || a->cost.tdp;
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

static int check_scenario(const struct bench_serve *o, struct err *err)
{
    const struct scenario *s = o->scenario ? scenario_find(o->scenario) : NULL;
    if (!o->scenario)
        return o->min_duration_s > 0 || o->min_queries ? ERR(err, USAGE, "--min-duration and --min-queries are of --scenario, which is missing") : 0;
    if (!s)
        return ERR(err, USAGE, "--scenario: found '%.60s', expected " SCENARIO_NAMES, o->scenario);
    if (o->users || o->trace || o->arrival || o->turns > 1)
        return ERR(err, USAGE, "--scenario says itself when requests come: no --users, --arrival, --trace or --turns with it");
    if (s->random != (o->rate > 0))
        return ERR(err, USAGE, s->random ? "--scenario %s needs --rate, the queries a second" : "--scenario %s has no --rate", s->name);
    if (s->random && !o->slo)
        return ERR(err, USAGE, "--scenario %s needs limits: --slo llama3.1-8b, for example, or --slo ttft:MS,tpot:MS", s->name);
    return 0;
}

static int check_cost(const struct bench_serve *o, struct err *err)
{
    const bool offline = o->scenario && !strcmp(o->scenario, "offline");
    TRY(bench_cost_check(&o->cost, err));
    if (o->most_open && !(o->rate > 0) && !o->trace && !offline)
        return ERR(err, USAGE, "--max-concurrency is of --rate, --trace and --scenario offline; --users says how many ask in a closed loop");
    if (o->cost.price > 0 && !o->slo && !offline)
        return ERR(err, USAGE, "--price-per-hour: what tokens cost depends on the limits that they keep, expected --slo with it (or --scenario offline, "
                               "which has none)");
    return 0;
}

static int check(const struct bench_serve *o, struct err *err)
{
    TRY(check_scenario(o, err));
    TRY(check_cost(o, err));
    TRY(check_choice("api", o->api, "completions|chat", err));
    TRY(check_choice("arrival", o->arrival, "poisson|constant|burst", err));
    if ((o->rate > 0) + (o->users > 0) + (o->trace != NULL) > 1)
        return ERR(err, USAGE, "expected one of --rate (open loop), --users (closed loop) and --trace");
    if (!o->users && (o->ramp_s > 0 || o->think_s > 0))
        return ERR(err, USAGE, "--%s is of --users, which is missing", o->ramp_s > 0 ? "ramp" : "think");
    if (o->think_s > 0 && o->turns > 1)
        return ERR(err, USAGE, "--think is of single requests: the turns of --turns follow each other at once");
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

static int ask(const char *key, const struct load_url *u, const char *path, struct buf *out, struct err *err)
{
    char url[600];
    int failed = 0;
    const bool v6 = strchr(u->host, ':') != NULL;
    snprintf(url, sizeof url, "http://%s%s%s:%s%s%s", v6 ? "[" : "", u->host, v6 ? "]" : "", u->port, u->path, path);
    struct fetch f = { .url = url, .body = out, .body_max = LIST_BYTES };
    const struct fetch_opts o = { .token = key, .n_job = 1, .n_try = 1, .stop = &cmd_stop };
    return fetch_run(&f, 1, &o, &failed, err);
}

/* The model's name, and how many tokens it knows. */
static int find_model(struct bench_job *j, struct err *err)
{
    struct buf text;
    buf_init(&text);
    const struct bench_serve *o = &bench_serve;
    int rc = ask(o->key, &j->url, "/v1/models", &text, err);
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

/* Memory by the server's own metrics, in Prometheus' words; NAN: it tells none. */
static double ask_memory(const struct load_url *u)
{
    struct buf text;
    struct err ignored;
    double bytes = NAN;
    buf_init(&text);
    if (ask(bench_serve.key, u, "/metrics", &text, &ignored) == 0)
        for (const char *line = text.data; line; line = strchr(line, '\n'), line += line != NULL)
            if (!strncmp(line, "process_resident_memory_bytes ", 30))
                bytes = strtod(line + 30, NULL);
    buf_release(&text);
    return bytes > 0 ? bytes : (double)NAN;
}

/* ---- the job ---- */

static int set_times(struct bench_job *j, struct err *err)
{
    const struct bench_serve *o = &bench_serve;
    const struct scenario *s = j->rules.scenario;
    if (s && s->random)
        return scenario_arrivals(&j->at, &j->n, o->rate, j->rules.min_duration_s, j->rules.min_queries, (int)or(o->n, 10000000), (uint64_t)o->seed, err);
    if (!(o->rate > 0) && !j->trace && !(s && s->id == SCENARIO_OFFLINE))
        return 0;
    if (!(j->at = mem_alloc_array((size_t)j->n, sizeof *j->at)))             /* offline: all at 0 */
        return ERR(err, NOMEM, "no memory for %d requests", j->n);
    const enum arrival how = !o->arrival || !strcmp(o->arrival, "poisson") ? ARRIVAL_POISSON : !strcmp(o->arrival, "constant") ? ARRIVAL_CONSTANT : ARRIVAL_BURST;
    if (o->rate > 0)
        schedule_make(j->at, j->n, how, o->rate, (int)or(o->burst, 8), (uint64_t)o->seed);
    for (int i = 0; j->trace && i < j->n; i++)
        j->at[i] = j->trace[i].at;
    return 0;
}

/* How a scenario is asked, and what it takes to be valid. */
static void set_scenario(struct bench_job *j, int n_prompt)
{
    const struct bench_serve *o = &bench_serve;
    const struct scenario *s = j->rules.scenario;
    j->rules.min_duration_s = o->min_duration_s > 0 ? o->min_duration_s : SCENARIO_DURATION_S;
    const bool offline = s->id == SCENARIO_OFFLINE;
    j->rules.min_queries = (int)or(o->min_queries, offline && n_prompt && n_prompt < s->n_least ? n_prompt : s->n_least);
    if (offline) {
        j->n = (int)or(o->n, j->rules.min_queries);
    } else if (!s->random) {
        j->n_least = j->rules.min_queries * s->n_sample, j->enough_s = j->rules.min_duration_s;
        j->n = (int)or(o->n, j->n_least > CLOSED_MAX ? j->n_least : CLOSED_MAX) / s->n_sample * s->n_sample;
    }
    j->n_user = offline ? (int)or(o->most_open, OFFLINE_OPEN) : s->random ? (int)o->most_open : 1;
}

static void set_work(struct bench_job *j)
{
    const struct bench_serve *o = &bench_serve;
    j->work = (struct work_opts){ .model = j->model, .chat = j->turns > 1 || (o->api && !strcmp(o->api, "chat")), .input = (int)or(o->input, 128), .output = (int)or(o->output, 128), .spread = o->spread,
                                  .shared = (int)o->shared, .n_group = (int)or(o->groups, 1), .turns = j->turns, .ignore_eos = o->ignore_eos, .fields = o->fields, .prompts = o->prompts,
                                  .seed = (uint64_t)o->seed };
}

static int make_job(struct bench_job *j, struct work **work, const char *url, struct err *err)
{
    struct bench_serve *o = &bench_serve;
    o->key = o->key ? o->key : getenv("LATHE_API_KEY");
    TRY(check(o, err));
    TRY(load_url_parse(&j->url, url, err));
    j->rules.scenario = o->scenario ? scenario_find(o->scenario) : NULL;
    if (o->slo)
        TRY(scenario_limits(&j->rules.limits, o->slo, j->rules.scenario && j->rules.scenario->id == SCENARIO_INTERACTIVE, err));
    j->turns = (int)or(o->turns, 1);
    set_work(j);
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
    j->n_user = o->rate > 0 || j->trace ? (int)o->most_open : (int)or(o->users, 1);
    if (j->rules.scenario)
        set_scenario(j, work_n_prompt(*work));
    snprintf(j->path, sizeof j->path, "%s%s", j->url.path, j->work.chat ? "/v1/chat/completions" : "/v1/completions");
    TRY(set_times(j, err));
    j->rules.open_loop = j->at && !(j->rules.scenario && j->rules.scenario->id == SCENARIO_OFFLINE);
    j->here = load_host_is_here(j->url.host);
    energy_open(&j->energy, NULL);
    return j->n > 0 ? 0 : ERR(err, USAGE, "--requests %lld, but a query of %s has %d", (long long)o->n, o->scenario, j->rules.scenario->n_sample);
}

static void progress(void *ctx, int n_done, int n_failed, int n_open, double n_token)
{
    struct bench_job *j = ctx;
    energy_sample(&j->energy, clock_wall());
    log_progress("%d of %d answered, %d failed, %d under way, %.0f tokens", n_done - n_failed, j->n * j->turns, n_failed, n_open, n_token);
}

static struct load_opts opts_of(struct bench_job *j, const struct work *w)
{
    const struct scenario *s = j->rules.scenario;
    return (struct load_opts){ .host = j->url.host, .port = j->url.port, .path = j->path, .key = bench_serve.key, .work = w, .n = j->n, .turns = j->turns,
                               .at = j->at, .n_user = j->n_user, .ramp = bench_serve.ramp_s, .think = bench_serve.think_s, .seed = (uint64_t)bench_serve.seed, .n_together = s && s->n_sample > 1 ? s->n_sample : 0, .enough_s = j->enough_s,
                               .n_least = j->n_least, .timeout_s = bench_serve.timeout_s, .stop = &cmd_stop, .progress = progress, .ctx = j };
}

/* Before: requests with numbers of their own, so that their prompts are not found in a cache later; but what is shared is. */
static int warm_up(struct bench_job *j, const struct work *w, struct err *err)
{
    struct load_run run;
    struct load_opts o = opts_of(j, w);
    if (!bench_serve.warmup)
        return 0;
    o.first = work_n_prompt(w) || j->trace ? 0 : j->n, o.n = (int)bench_serve.warmup, o.turns = 1, o.at = NULL, o.progress = NULL;
    o.n_together = 0, o.enough_s = o.ramp = o.think = 0;
    o.n_user = !j->n_user ? 1 : o.n < j->n_user ? o.n : j->n_user;
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

static int save(const char *path, const json_t *o, struct err *err)
{
    char *text = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    if (!text)
        return ERR(err, NOMEM, "no memory for the result");
    const int rc = file_write_all(path, text, strlen(text), err);
    mem_free(text);
    return rc;
}

static int tell(const struct bench_outcome *o, const char *out, struct err *err)
{
    json_t *result = bench_serve.save || cmd_json || out ? bench_outcome_json(o) : NULL;
    int rc = !result && (bench_serve.save || cmd_json || out) ? ERR(err, NOMEM, "no memory for the result") : 0;
    rc = rc || !bench_serve.save ? rc : save(bench_serve.save, result, err);
    rc = rc || !out ? rc : bench_outcome_write(o, result, out, err);
    if (!rc && cmd_json) {
        json_incref(result);
        rc = cmd_print_json(result, err);
    } else if (!rc) {
        bench_outcome_print(o);
    }
    json_decref(result);
    return rc;
}

static int report(struct bench_job *j, const struct load_run *run, const char *out, struct err *err)
{
    struct bench_outcome o = { .job = j, .run = run };
    j->rules.stopped = cmd_stop;
    j->server_bytes = cmd_stop ? (double)NAN : ask_memory(&j->url);
    TRY(load_summarise(run, &j->rules.limits, j->rules.open_loop, &o.sum, err));
    TRY(bench_judge(run, &j->rules, &o.judged, err));
    bench_cost_of(&o.cost, &bench_serve.cost, &o.judged, &j->energy, j->here, run->seconds, o.sum.n_token, o.sum.n_prompt);
    int rc = tell(&o, out, err);
    if (!rc && cmd_stop)
        rc = ERR(err, STOPPED, "stopped; %d of %d requests had been answered", o.sum.n_ok, o.sum.n);
    else if (!rc && !o.sum.n_ok)
        rc = ERR(err, IO, "no request was answered");
    else if (!rc && j->rules.scenario && !o.judged.valid)
        rc = ERR(err, GATE, "%s is INVALID: %.*s", j->rules.scenario->name, (int)strcspn(o.judged.reasons, "\n"), o.judged.reasons);
    bench_judged_release(&o.judged);
    return rc;
}

static int measure(struct bench_job *j, const struct work *work, const char *out, struct err *err)
{
    struct load_run run;
    const struct load_opts o = opts_of(j, work);
    energy_sample(&j->energy, clock_wall());
    int rc = load_run(&o, &run, err);
    energy_sample(&j->energy, clock_wall());
    log_progress_end();
    TRY(rc);
    rc = report(j, &run, out, err);
    load_run_release(&run);
    return rc;
}

int bench_serve_run(const char *url, const char *out, struct err *err)
{
    struct bench_job j = { 0 };
    struct work *work = NULL;
    cmd_catch_signals();
    int rc = make_job(&j, &work, url, err);
    rc = rc ? rc : warm_up(&j, work, err);
    rc = rc ? rc : measure(&j, work, out, err);
    work_free(work);
    mem_free(j.trace);
    mem_free(j.at);
    return rc;
}
