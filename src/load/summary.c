#include "load/summary.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/stat.h"

#define PARTS 10
#define FIRST_PART 2             /* before it the server was filling up */

int load_limits_parse(struct load_limits *out, const char *text, struct err *err)
{
    const struct { const char *name; double *to; } names[] = { { "ttft:", &out->ttft }, { "tpot:", &out->tpot }, { "e2el:", &out->e2el } };
    *out = (struct load_limits){ 0 };
    for (const char *p = text;; p++) {
        double *to = NULL;
        for (size_t i = 0; i < 3 && !to; i++)
            if (!strncmp(p, names[i].name, 5))
                to = names[i].to;
        char *end = NULL;
        const double ms = to ? strtod(p + 5, &end) : 0;
        if (!to || *to > 0 || end == p + 5 || !(ms > 0 && ms < 1e9) || (*end && *end != ','))
            return ERR(err, USAGE, "--slo '%.100s', expected ttft:MS,tpot:MS,e2el:MS or some of these", text);
        *to = ms / 1000;
        p = end;
        if (!*p)
            return 0;
    }
}

/* ---- does it keep up? ---- */

/* How many of ascending values are at most x. */
static int up_to(const double *v, int n, double x)
{
    int low = 0, high = n;
    while (low < high) {
        const int mid = low + (high - low) / 2;
        if (v[mid] <= x)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* over: ascending, too. */
static struct load_growth growth(const double *from, const double *over, int n)
{
    struct load_growth g = { 0 };
    const double all = n ? from[n - 1] - from[0] : 0;
    if (n < 2 * PARTS || all <= 0)
        return g;
    double x[PARTS + 1], sx = 0, sy = 0, sxx = 0, sxy = 0, rest = 0;
    const int first = FIRST_PART, k = PARTS - first + 1;
    for (int i = first; i <= PARTS; i++) {
        const double t = from[0] + all * i / PARTS;
        x[i] = up_to(from, n, t) - up_to(over, n, t);
        sx += i, sy += x[i], sxx += i * i, sxy += i * x[i];
    }
    const double slope = (k * sxy - sx * sy) / (k * sxx - sx * sx), base = (sy - slope * sx) / k;
    for (int i = first; i <= PARTS; i++)
        rest += (x[i] - base - slope * i) * (x[i] - base - slope * i);
    const double error = sqrt(rest / (k - 2) / (sxx - sx * sx / k)), t0 = from[0] + all * first / PARTS;
    g.n_came = n - up_to(from, n, t0), g.n_over = up_to(over, n, from[n - 1]) - up_to(over, n, t0);
    g.open_before = base + slope * first, g.open_after = base + slope * PARTS;
    g.too_much = slope > 4 * error && slope * (PARTS - first) > 0.05 * g.n_came && g.open_after - g.open_before > 2;
    return g;
}

struct load_growth load_growth_of(const double *from, const double *over, int n)
{
    double *sorted = mem_alloc_array((size_t)n + 1, sizeof *sorted);
    struct load_growth g = { 0 };
    if (!sorted || !n) {
        mem_free(sorted);
        return g;
    }
    memcpy(sorted, over, (size_t)n * sizeof *over);
    stat_sort(sorted, (size_t)n);
    g = growth(from, sorted, n);
    mem_free(sorted);
    return g;
}

/* ---- times ---- */

/* Reorders v. */
static struct load_times times_of(double *v, int n)
{
    struct load_times t = { .n = n };
    if (!n)
        return t;
    t.mean = stat_mean(v, n);
    t.stddev = stat_stddev(v, n) * sqrt((n - 1) / (double)n);        /* of all values, as numpy's */
    t.p50 = stat_quantile(v, n, 0.5), t.p90 = stat_quantile(v, n, 0.9), t.p95 = stat_quantile(v, n, 0.95), t.p99 = stat_quantile(v, n, 0.99), t.max = v[n - 1];
    return t;
}

/* 0 where it is missing, as of one token, which keeps any limit. */
static double tpot_of(const struct load_reply *r) { return r->n_token > 1 ? (r->last - r->first) / (r->n_token - 1) : 0; }

bool load_is_good(const struct load_reply *r, const struct load_limits *l)
{
    return (l->ttft <= 0 || r->first - r->from <= l->ttft) && (l->tpot <= 0 || tpot_of(r) <= l->tpot) && (l->e2el <= 0 || r->over - r->from <= l->e2el);
}

static void add_kind(struct load_summary *s, const struct load_reply *r)
{
    int i = 0;
    while (i < s->n_kind && (s->kind[i].end != r->end || s->kind[i].status != (r->end == LOAD_STATUS ? r->status : 0)))
        i++;
    if (i == LOAD_KINDS)
        i--;
    if (i == s->n_kind)
        s->kind[s->n_kind++] = (struct load_kind){ r->end, r->end == LOAD_STATUS ? r->status : 0, 0, r->why };
    s->kind[i].n++;
}

static void count(const struct load_run *run, const struct load_limits *limits, struct load_summary *s)
{
    s->n = run->n, s->seconds = run->seconds, s->told_usage = true;
    for (int i = 0; i < run->n; i++) {
        const struct load_reply *r = &run->reply[i];
        if (r->end == LOAD_NONE) {
            s->n_unsent++;
            continue;
        }
        s->late_max = r->sent - r->from > s->late_max ? r->sent - r->from : s->late_max;
        if (r->end != LOAD_OK) {
            s->n_failed++;
            add_kind(s, r);
            continue;
        }
        s->n_ok++, s->n_good += load_is_good(r, limits);
        s->told_usage = s->told_usage && r->n_prompt >= 0;
        s->n_prompt += r->n_prompt > 0 ? r->n_prompt : 0, s->n_kept += r->n_kept > 0 ? r->n_kept : 0;
        s->n_token += r->n_token, s->n_event += r->n_event;
    }
}

static void measure(const struct load_run *run, double *v, struct load_summary *s)
{
    int n = 0;
#define EACH(wanted, value) \
    n = 0; \
    for (int i = 0; i < run->n; i++) { \
        const struct load_reply *r = &run->reply[i]; \
        if (r->end == LOAD_OK && (wanted)) \
            v[n++] = (value); \
    }
    EACH(true, r->first - r->from)
    s->ttft = times_of(v, n);
    EACH(r->n_token > 1, tpot_of(r))
    s->tpot = times_of(v, n);
    EACH(true, r->over - r->from)
    s->e2el = times_of(v, n);
    EACH(true, r->first - r->sent)
    s->ttft_sent = times_of(v, n);
    EACH(true, r->over - r->sent)
    s->e2el_sent = times_of(v, n);
#undef EACH
    n = 0;
    for (int i = 0; i < run->n; i++)
        for (int k = 0; run->reply[i].end == LOAD_OK && k + 1 < run->reply[i].n_event; k++)
            v[n++] = run->reply[i].gap[k];
    s->itl = times_of(v, n);
}

/* ---- at once ---- */

static void find_open_max(const struct load_run *run, double *v, struct load_summary *s)
{
    double *from = v, *over = v + run->n;
    int n = 0, k = 0;
    for (int i = 0; i < run->n; i++)
        if (run->reply[i].end != LOAD_NONE)
            from[n] = run->reply[i].sent, over[n++] = run->reply[i].over;
    memmove(from + n, over, (size_t)n * sizeof *over);
    over = from + n;
    stat_sort(from, (size_t)n);
    stat_sort(over, (size_t)n);
    for (int i = 0; i < n; i++) {
        while (k < n && over[k] <= from[i])
            k++;
        s->open_max = i + 1 - k > s->open_max ? i + 1 - k : s->open_max;
    }
}

/* By seconds from the start, as vLLM's; events that bring several tokens are taken as so many of them. */
static void find_rate_max(const struct load_run *run, double *second, int n_second, struct load_summary *s)
{
    memset(second, 0, (size_t)n_second * sizeof *second);
    for (int i = 0; i < run->n; i++) {
        const struct load_reply *r = &run->reply[i];
        double t = r->first;
        for (int k = 0; r->end == LOAD_OK && k < r->n_event; t += k + 1 < r->n_event ? r->gap[k] : 0, k++)
            if (t >= 0 && t < n_second)
                second[(int)t] += (double)r->n_token / r->n_event;
    }
    for (int i = 0; i < n_second; i++)
        s->token_rate_max = second[i] > s->token_rate_max ? second[i] : s->token_rate_max;
}

static void find_growth(const struct load_run *run, double *v, struct load_summary *s)
{
    double *from = v, *over = v + run->n;
    int n = 0;
    for (int i = 0; i < run->n; i++)
        if (run->reply[i].end != LOAD_NONE)
            from[n] = run->reply[i].from, over[n++] = run->reply[i].over;
    stat_sort(over, (size_t)n);
    stat_sort(from, (size_t)n);
    s->growth = growth(from, over, n);
}

int load_summarise(const struct load_run *run, const struct load_limits *limits, bool open_loop, struct load_summary *s, struct err *err)
{
    *s = (struct load_summary){ 0 };
    count(run, limits, s);
    const int n_second = (int)run->seconds + 2;
    size_t n = 2 * (size_t)run->n + 1;
    n = s->n_event > (double)n ? (size_t)s->n_event : n;
    n = n > (size_t)n_second ? n : (size_t)n_second;
    double *v = mem_alloc_array(n, sizeof *v);
    if (!v)
        return ERR(err, NOMEM, "no memory for the times of %zu tokens", n);
    double n_event = 0;
    for (int i = 0; i < run->n; i++)
        n_event += run->reply[i].n_event;
    s->cpu_per_event = n_event > 0 ? run->cpu_s / n_event : 0;
    measure(run, v, s);
    find_open_max(run, v, s);
    find_rate_max(run, v, n_second, s);
    if (open_loop)
        find_growth(run, v, s);
    mem_free(v);
    return 0;
}

/* ---- JSON ---- */

static void add_times(json_t *o, const char *name, const struct load_times *t)
{
    const struct { const char *what; double v; } row[] = { { "mean", t->mean }, { "median", t->p50 }, { "std", t->stddev }, { "p90", t->p90 }, { "p95", t->p95 }, { "p99", t->p99 }, { "max", t->max } };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char key[40];
        snprintf(key, sizeof key, "%s_%s_ms", row[i].what, name);
        json_object_set_new(o, key, json_real(1000 * row[i].v));
    }
}

static json_t *gaps_json(const struct load_reply *r)
{
    json_t *a = json_array();
    for (int k = 0; k + 1 < r->n_event; k++)
        json_array_append_new(a, json_real((double)r->gap[k]));
    return a;
}

static void add_detail(json_t *o, const struct load_run *run)
{
    json_t *in = json_array(), *out = json_array(), *start = json_array(), *ttft = json_array(), *itl = json_array(), *latency = json_array(), *errors = json_array(), *kept = json_array();
    for (int i = 0; i < run->n; i++) {
        const struct load_reply *r = &run->reply[i];
        json_array_append_new(in, json_integer(r->n_prompt > 0 ? r->n_prompt : 0));
        json_array_append_new(kept, json_integer(r->n_kept > 0 ? r->n_kept : 0));
        json_array_append_new(out, json_integer(r->end == LOAD_OK ? r->n_token : 0));
        json_array_append_new(start, json_real(r->from));
        json_array_append_new(ttft, json_real(r->n_event ? r->first - r->from : 0));
        json_array_append_new(latency, json_real(r->over - r->from));
        json_array_append_new(itl, gaps_json(r));
        json_array_append_new(errors, r->end == LOAD_OK ? json_string("") : json_sprintf("%s%s%s", load_end_name(r->end), r->why ? ": " : "", r->why ? r->why : ""));
    }
    json_object_set_new(o, "start_unix", json_real(run->start_unix));
    json_object_set_new(o, "input_lens", in);
    json_object_set_new(o, "cached_lens", kept);
    json_object_set_new(o, "output_lens", out);
    json_object_set_new(o, "start_times", start);
    json_object_set_new(o, "ttfts", ttft);
    json_object_set_new(o, "itls", itl);
    json_object_set_new(o, "e2els", latency);
    json_object_set_new(o, "errors", errors);
}

static json_t *kinds_json(const struct load_summary *s)
{
    json_t *a = json_array();
    for (int i = 0; i < s->n_kind; i++)
        json_array_append_new(a, json_pack("{s:s, s:i, s:i, s:s}", "kind", load_end_name(s->kind[i].end), "status", s->kind[i].status, "count", s->kind[i].n, "first", s->kind[i].why ? s->kind[i].why : ""));
    return a;
}

json_t *load_json(const struct load_summary *s, const struct load_run *r, bool goodput, bool detail)
{
    const double t = s->seconds > 0 ? s->seconds : 1;
    json_t *o = json_pack("{s:f, s:i, s:i, s:I, s:I, s:f, s:o, s:f, s:f, s:f, s:i}", "duration", s->seconds, "completed", s->n_ok, "failed", s->n_failed, "total_input_tokens",
                          (json_int_t)s->n_prompt, "total_output_tokens", (json_int_t)s->n_token, "request_throughput", s->n_ok / t, "request_goodput", goodput ? json_real(s->n_good / t) : json_null(),
                          "output_throughput", s->n_token / t, "total_token_throughput", (s->n_prompt + s->n_token) / t, "max_output_tokens_per_s", s->token_rate_max, "max_concurrent_requests",
                          s->open_max);
    if (!o)
        return NULL;
    add_times(o, "ttft", &s->ttft);
    add_times(o, "tpot", &s->tpot);
    add_times(o, "itl", &s->itl);
    add_times(o, "e2el", &s->e2el);
    add_times(o, "ttft_from_sent", &s->ttft_sent);
    add_times(o, "e2el_from_sent", &s->e2el_sent);
    json_object_set_new(o, "unsent", json_integer(s->n_unsent));
    json_object_set_new(o, "total_cached_tokens", json_integer((json_int_t)s->n_kept));
    json_object_set_new(o, "usage_told", json_boolean(s->told_usage));
    json_object_set_new(o, "oversaturated", json_boolean(s->growth.too_much));
    json_object_set_new(o, "open_before", json_real(s->growth.open_before));
    json_object_set_new(o, "open_after", json_real(s->growth.open_after));
    json_object_set_new(o, "client_late_max_ms", json_real(1000 * s->late_max));
    json_object_set_new(o, "client_cpu_us_per_token", json_real(1e6 * s->cpu_per_event));
    json_object_set_new(o, "failures", kinds_json(s));
    if (detail)
        add_detail(o, r);
    return o;
}
