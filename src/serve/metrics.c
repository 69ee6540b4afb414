#include "serve/metrics.h"
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/pool.h"
#include "serve/audit.h"
#include "serve/json_out.h"
#include "serve/served_device.h"
#include "serve/served_model.h"
#include "store/recorder.h"

/* ---- numbers with one writer ---- */

static uint64_t get(const _Atomic uint64_t *n) { return atomic_load_explicit(n, memory_order_relaxed); }

/* ---- histograms ---- */

#define BOUNDS 32

struct histogram { double bound[BOUNDS]; int n_bound; _Atomic uint64_t n[BOUNDS + 1]; _Atomic double sum; };      /* n[i]: <= bound[i], and more than those before */

/* vLLM's, of vllm/v1/metrics/loggers.py. */
static const double ttft_bounds[] = { 0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560 };
static const double token_bounds[] = { 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80 };
static const double text_bounds[] = { 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680 };
static const double step_bounds[] = { 1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384 };

static void set_bounds(struct histogram *h, const double *bound, size_t n)
{
    memcpy(h->bound, bound, n * sizeof *bound);
    h->n_bound = (int)n;
}

/* 1, 2, 5, 10, ... up to most. */
static void set_bounds_125(struct histogram *h, int most)
{
    static const int digit[] = { 1, 2, 5 };
    double power = 1;
    for (int i = 0; h->n_bound < BOUNDS && digit[i] * power <= most; i = (i + 1) % 3) {
        h->bound[h->n_bound++] = digit[i] * power;
        power *= i == 2 ? 10 : 1;
    }
}

static void observe(struct histogram *h, double v)
{
    int i = 0;
    while (i < h->n_bound && v > h->bound[i])
        i++;
    metrics_add(&h->n[i], 1);
    atomic_store_explicit(&h->sum, atomic_load_explicit(&h->sum, memory_order_relaxed) + v, memory_order_relaxed);
}

/* ---- the last minutes ---- */

/* Seconds from 2^-17 to 2^10, each octave in 8; a slice of time that is over is used again. */
#define LOG_LOW (-17)
#define OCTAVES 27
#define PARTS 8
#define BINS (OCTAVES * PARTS)
#define SLICE_S 10
#define SLICES 30                /* that count, and one that is being filled */
#define SECONDS 10

enum { WINDOW_TTFT, WINDOW_TPOT, WINDOW_ITL, WINDOW_E2E, WINDOWS };
struct slice { _Atomic int64_t at; _Atomic uint64_t n[WINDOWS][BINS], prompt, kept; };
struct second { _Atomic int64_t at; _Atomic uint64_t tokens, prompt; };

enum { TEXT_TTFT, TOKEN_LATENCY, TEXT_TPOT, TEXT_E2E, TEXT_QUEUE, TEXT_INFERENCE, TEXT_PREFILL, TEXT_DECODE, TEXT_PROMPT, TEXT_TOKENS, STEP_TOKENS, HISTOGRAMS };

struct metrics {
    struct batch_watch watch;
    struct histogram h[HISTOGRAMS];
    _Atomic uint64_t ended[4];               /* by reasons */
    struct slice slice[SLICES + 1];
    struct second second[SECONDS + 2];
    _Atomic uint64_t *expert; int n_expert;  /* rows of each; NULL: there are none */
};

static const char *const reasons[] = { "stop", "length", "abort", "error" };
static int reason_of(enum text_end end) { return end == TEXT_STOP ? 0 : end == TEXT_CANCELLED ? 2 : end == TEXT_FAILED ? 3 : 1; }

static int bin_of(double s)
{
    const double at = s > 0 ? (log2(s) - LOG_LOW) * PARTS : 0;
    return at < 0 ? 0 : at >= BINS ? BINS - 1 : (int)at;
}

static struct slice *slice_of(struct metrics *m, double now)
{
    const int64_t at = (int64_t)(now / SLICE_S);
    struct slice *s = &m->slice[at % (SLICES + 1)];
    if (atomic_load_explicit(&s->at, memory_order_relaxed) != at) {
        for (int i = 0; i < WINDOWS * BINS; i++)
            atomic_store_explicit(&s->n[i / BINS][i % BINS], 0, memory_order_relaxed);
        atomic_store_explicit(&s->prompt, 0, memory_order_relaxed);
        atomic_store_explicit(&s->kept, 0, memory_order_relaxed);
        atomic_store_explicit(&s->at, at, memory_order_release);
    }
    return s;
}

static struct second *second_of(struct metrics *m, double now)
{
    const int64_t at = (int64_t)now;
    struct second *s = &m->second[at % (SECONDS + 2)];
    if (atomic_load_explicit(&s->at, memory_order_relaxed) != at) {
        atomic_store_explicit(&s->tokens, 0, memory_order_relaxed);
        atomic_store_explicit(&s->prompt, 0, memory_order_relaxed);
        atomic_store_explicit(&s->at, at, memory_order_release);
    }
    return s;
}

static void note(struct metrics *m, double now, int window, double s) { metrics_add(&slice_of(m, now)->n[window][bin_of(s)], 1); }

/* The middle of its bin: half a bin, 4.5 %, from any time in it. */
static double quantile(const uint64_t *n, uint64_t all, double q)
{
    const double rank = q * (double)all;
    double below = 0;
    for (int i = 0; i < BINS; i++) {
        if (n[i] && below + (double)n[i] >= rank)
            return exp2(LOG_LOW + (i + 0.5) / PARTS);
        below += (double)n[i];
    }
    return 0;
}

static struct quantiles quantiles_of(const struct metrics *m, int window, int64_t at)
{
    uint64_t n[BINS] = { 0 }, all = 0;
    for (int k = 0; k <= SLICES; k++)
        if (atomic_load_explicit(&m->slice[k].at, memory_order_acquire) > at - SLICES)
            for (int i = 0; i < BINS; i++)
                n[i] += get(&m->slice[k].n[window][i]);
    for (int i = 0; i < BINS; i++)
        all += n[i];
    return (struct quantiles){ quantile(n, all, 0.5), quantile(n, all, 0.95), quantile(n, all, 0.99), all };
}

/* ---- what the thread of the steps calls ---- */

static void step(void *ctx, int n_row, double now)
{
    struct metrics *m = ctx;
    (void)now;
    observe(&m->h[STEP_TOKENS], n_row);
}

static void token(void *ctx, const struct text_times *t, double now)
{
    struct metrics *m = ctx;
    metrics_add(&second_of(m, now)->tokens, 1);
    if (!t->n_token) {
        observe(&m->h[TEXT_TTFT], now - t->submitted);
        note(m, now, WINDOW_TTFT, now - t->submitted);
        metrics_add(&second_of(m, now)->prompt, (uint64_t)t->n_prompt);
    } else if (now > t->last) {
        observe(&m->h[TOKEN_LATENCY], now - t->last);
        note(m, now, WINDOW_ITL, now - t->last);
    }
}

static void ended(void *ctx, const struct text_times *t)
{
    struct metrics *m = ctx;
    metrics_add(&m->ended[reason_of(t->end)], 1);
    if (t->end == TEXT_CANCELLED || t->end == TEXT_FAILED)
        return;
    struct slice *s = slice_of(m, t->ended);
    metrics_add(&s->prompt, (uint64_t)t->n_prompt);
    metrics_add(&s->kept, (uint64_t)t->n_kept);
    observe(&m->h[TEXT_E2E], t->ended - t->submitted);
    note(m, t->ended, WINDOW_E2E, t->ended - t->submitted);
    observe(&m->h[TEXT_QUEUE], t->admitted - t->submitted);
    observe(&m->h[TEXT_PROMPT], t->n_prompt);
    observe(&m->h[TEXT_TOKENS], t->n_token);
    if (!t->n_token)
        return;
    observe(&m->h[TEXT_INFERENCE], t->last - t->admitted);
    observe(&m->h[TEXT_PREFILL], t->first - t->admitted);
    observe(&m->h[TEXT_DECODE], t->last - t->first);
    if (t->n_token < 2)
        return;
    observe(&m->h[TEXT_TPOT], (t->last - t->first) / (t->n_token - 1));
    note(m, t->ended, WINDOW_TPOT, (t->last - t->first) / (t->n_token - 1));
}

static void routed(void *ctx, int n_expert, const int32_t *start)
{
    struct metrics *m = ctx;
    for (int e = 0; e < n_expert && e < m->n_expert; e++)
        metrics_add(&m->expert[e], (uint64_t)(start[e + 1] - start[e]));
}

int metrics_experts(struct metrics *m, int n_expert, struct err *err)
{
    m->expert = mem_alloc_zero((size_t)n_expert * sizeof *m->expert);
    if (!m->expert)
        return ERR(err, NOMEM, "no memory to count %d experts", n_expert);
    m->n_expert = n_expert, m->watch.routed = routed;
    return 0;
}

int metrics_new(struct metrics **out, int ctx, struct err *err)
{
    struct metrics *m = *out = mem_alloc_zero(sizeof *m);
    if (!m)
        return ERR(err, NOMEM, "no memory for what is counted");
    m->watch = (struct batch_watch){ .step = step, .token = token, .ended = ended, .ctx = m };
    set_bounds(&m->h[TEXT_TTFT], ttft_bounds, sizeof ttft_bounds / sizeof *ttft_bounds);
    set_bounds(&m->h[STEP_TOKENS], step_bounds, sizeof step_bounds / sizeof *step_bounds);
    set_bounds_125(&m->h[TEXT_PROMPT], ctx);
    set_bounds_125(&m->h[TEXT_TOKENS], ctx);
    for (int i = TOKEN_LATENCY; i <= TEXT_TPOT; i++)
        set_bounds(&m->h[i], token_bounds, sizeof token_bounds / sizeof *token_bounds);
    for (int i = TEXT_E2E; i <= TEXT_DECODE; i++)
        set_bounds(&m->h[i], text_bounds, sizeof text_bounds / sizeof *text_bounds);
    return 0;
}

void metrics_free(struct metrics *m)
{
    if (m)
        mem_free((void *)m->expert);
    mem_free(m);
}

const struct batch_watch *metrics_watch(const struct metrics *m) { return &m->watch; }

void metrics_http(struct http_counts *c, int route, int status)
{
    metrics_add(&c->n[route < 0 || route >= HTTP_ROUTES ? HTTP_ROUTES : route][status < 100 || status > 599 ? 0 : status / 100], 1);
}

/* ---- the text form ---- */

void metrics_head(struct buf *b, const char *kind, const char *name, const char *help) { buf_printf(b, NULL, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind); }

void metrics_label(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, NULL, "%s=\"", name);
    for (; *value; value++)
        if (*value == '\\' || *value == '"' || *value == '\n')
            buf_printf(b, NULL, "\\%c", *value == '\n' ? 'n' : *value);
        else
            buf_add_char(b, *value, NULL);
    buf_add_char(b, '"', NULL);
}

/* name{model_name="...",engine="0" : without the bracket's end. */
static void begin_sample(struct buf *b, const char *name, const char *suffix, const struct served_model *s)
{
    buf_printf(b, NULL, "%s%s{", name, suffix);
    metrics_label(b, "model_name", s->name);
    buf_add_str(b, ",engine=\"0\"", NULL);
    if (s->number)                           /* several of one name */
        buf_printf(b, NULL, ",version=\"%lld\"", (long long)s->number);
}

static void write_histogram(struct buf *b, const char *name, const struct served_model *s, const struct histogram *h)
{
    uint64_t n = 0;
    for (int i = 0; i <= h->n_bound; i++) {
        n += get(&h->n[i]);
        begin_sample(b, name, "_bucket", s);
        if (i < h->n_bound)
            buf_printf(b, NULL, ",le=\"%.15g%s\"} %llu\n", h->bound[i], h->bound[i] == floor(h->bound[i]) ? ".0" : "", (unsigned long long)n);
        else
            buf_printf(b, NULL, ",le=\"+Inf\"} %llu\n", (unsigned long long)n);
    }
    begin_sample(b, name, "_count", s);
    buf_printf(b, NULL, "} %llu\n", (unsigned long long)n);
    begin_sample(b, name, "_sum", s);
    buf_printf(b, NULL, "} %.17g\n", atomic_load_explicit(&h->sum, memory_order_relaxed));
}

static double of_running(const struct batch_counts *n) { return n->n_running; }
static double of_waiting(const struct batch_counts *n) { return n->n_waiting; }
static double of_use(const struct batch_counts *n) { return n->pages.n_page ? (double)n->pages.n_held / n->pages.n_page : 0; }
static double of_asked(const struct batch_counts *n) { return (double)n->pages.n_asked; }
static double of_found(const struct batch_counts *n) { return (double)n->pages.n_found; }
static double of_aside(const struct batch_counts *n) { return (double)n->n_put_aside; }
static double of_prompt(const struct batch_counts *n) { return (double)n->n_prompt; }
static double of_token(const struct batch_counts *n) { return (double)n->n_token; }
static double of_drafted(const struct batch_counts *n) { return (double)n->n_drafted; }
static double of_accepted(const struct batch_counts *n) { return (double)n->n_accepted; }

static const struct simple { const char *kind, *name, *help; double (*of)(const struct batch_counts *n); } simple[] = {
    { "gauge", "vllm:num_requests_running", "Texts under way.", of_running },
    { "gauge", "vllm:num_requests_waiting", "Texts that wait.", of_waiting },
    { "gauge", "vllm:kv_cache_usage_perc", "Share of the pages of keys and values that texts hold.", of_use },
    { "counter", "vllm:prefix_cache_queries_total", "Tokens of prompts that were looked for in the cache.", of_asked },
    { "counter", "vllm:prefix_cache_hits_total", "Tokens of prompts that were found there.", of_found },
    { "counter", "vllm:num_preemptions_total", "Texts that were put aside for want of pages.", of_aside },
    { "counter", "vllm:prompt_tokens_total", "Tokens of prompts taken on.", of_prompt },
    { "counter", "vllm:generation_tokens_total", "Tokens made.", of_token },
    { "counter", "vllm:spec_decode_num_draft_tokens_total", "Tokens guessed.", of_drafted },
    { "counter", "vllm:spec_decode_num_accepted_tokens_total", "Tokens guessed rightly.", of_accepted },
};

static const struct { const char *name, *help; int i; } histograms[] = {
    { "vllm:time_to_first_token_seconds", "From when a text was submitted to its first token.", TEXT_TTFT },
    { "vllm:inter_token_latency_seconds", "Between the steps that gave a text tokens.", TOKEN_LATENCY },
    { "vllm:time_per_output_token_seconds", "The same, by its older name.", TOKEN_LATENCY },
    { "vllm:request_time_per_output_token_seconds", "Of a text: its tokens' time after the first, for each of them.", TEXT_TPOT },
    { "vllm:e2e_request_latency_seconds", "From when a text was submitted to its end.", TEXT_E2E },
    { "vllm:request_queue_time_seconds", "Until a text was taken on.", TEXT_QUEUE },
    { "vllm:request_inference_time_seconds", "From when a text was taken on to its last token.", TEXT_INFERENCE },
    { "vllm:request_prefill_time_seconds", "From when a text was taken on to its first token.", TEXT_PREFILL },
    { "vllm:request_decode_time_seconds", "From a text's first token to its last.", TEXT_DECODE },
    { "vllm:request_prompt_tokens", "Tokens of a text's prompt.", TEXT_PROMPT },
    { "vllm:request_generation_tokens", "Tokens made for a text.", TEXT_TOKENS },
    { "vllm:iteration_tokens_total", "Rows of a step: tokens of prompts and texts that are continued.", STEP_TOKENS },
};

static void write_ended(struct buf *b, struct served_model *const *models, int n)
{
    metrics_head(b, "counter", "vllm:request_success_total", "Texts that ended, and why.");
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 4; k++) {
            begin_sample(b, "vllm:request_success_total", "", models[i]);
            buf_printf(b, NULL, ",finished_reason=\"%s\"} %llu\n", reasons[k], (unsigned long long)get(&models[i]->metrics->ended[k]));
        }
}

static void write_info(struct buf *b, struct served_model *const *models, int n)
{
    struct batch_counts c;
    metrics_head(b, "gauge", "vllm:cache_config_info", "Pages of keys and values.");
    for (int i = 0; i < n; i++) {
        served_model_counts(models[i], &c);
        begin_sample(b, "vllm:cache_config_info", "", models[i]);
        buf_printf(b, NULL, ",block_size=\"%d\",num_gpu_blocks=\"%d\",enable_prefix_caching=\"True\"} 1\n", KV_TOKENS, c.pages.n_page);
    }
    metrics_head(b, "gauge", "lathe:model_info", "What is served.");
    for (int i = 0; i < n; i++) {
        begin_sample(b, "lathe:model_info", "", models[i]);
        buf_add_char(b, ',', NULL);
        metrics_label(b, "digest", models[i]->digest);
        buf_add_char(b, ',', NULL);
        metrics_label(b, "system_fingerprint", served_model_as(models[i], 0).fingerprint);
        buf_add_str(b, "} 1\n", NULL);
    }
}

static void write_devices(struct buf *b, struct served_model *const *models, int n)
{
    metrics_head(b, "gauge", "lathe:device_info", "What makes the answers.");
    for (int i = 0; i < n; i++) {
        const struct served_device *d = models[i]->device && !atomic_load(&models[i]->device->is_lost) ? models[i]->device : NULL;
        const char *const labels[][2] = { { "device", d ? d->name : "cpu" }, { "device_name", d ? d->model : "" }, { "arch", d ? d->arch : cpu_kernels()->level } };
        begin_sample(b, "lathe:device_info", "", models[i]);
        for (size_t k = 0; k < sizeof labels / sizeof *labels; k++) {
            buf_add_char(b, ',', NULL);
            metrics_label(b, labels[k][0], labels[k][1]);
        }
        buf_add_str(b, "} 1\n", NULL);
    }
    metrics_head(b, "gauge", "lathe:device_bytes", "Of the device's memory that the model takes; 0: it is on the CPU.");
    for (int i = 0; i < n; i++) {
        const struct served_device *d = models[i]->device;
        begin_sample(b, "lathe:device_bytes", "", models[i]);
        buf_printf(b, NULL, "} %zu\n", d && !atomic_load(&d->is_lost) ? d->bytes : 0);
    }
    metrics_head(b, "gauge", "lathe:device_lost", "1: the model has lost its device since it was loaded.");
    for (int i = 0; i < n; i++) {
        begin_sample(b, "lathe:device_lost", "", models[i]);
        buf_printf(b, NULL, "} %d\n", models[i]->device && atomic_load(&models[i]->device->is_lost));
    }
}

static void write_experts(struct buf *b, struct served_model *const *models, int n)
{
    bool any = false;
    for (int i = 0; i < n; i++)
        for (int e = 0; e < models[i]->metrics->n_expert; e++) {
            if (!any)
                metrics_head(b, "counter", "lathe:expert_rows_total", "Rows that each expert of a mixture got, all layers together.");
            any = true;
            begin_sample(b, "lathe:expert_rows_total", "", models[i]);
            buf_printf(b, NULL, ",expert=\"%d\"} %llu\n", e, (unsigned long long)get(&models[i]->metrics->expert[e]));
        }
}

void metrics_write(struct buf *b, struct served_model *const *models, int n)
{
    struct batch_counts c;
    for (size_t k = 0; k < sizeof simple / sizeof *simple; k++) {
        metrics_head(b, simple[k].kind, simple[k].name, simple[k].help);
        for (int i = 0; i < n; i++) {
            served_model_counts(models[i], &c);
            begin_sample(b, simple[k].name, "", models[i]);
            buf_printf(b, NULL, "} %.17g\n", simple[k].of(&c));
        }
    }
    write_ended(b, models, n);
    for (size_t k = 0; k < sizeof histograms / sizeof *histograms; k++) {
        metrics_head(b, "histogram", histograms[k].name, histograms[k].help);
        for (int i = 0; i < n; i++)
            write_histogram(b, histograms[k].name, models[i], &models[i]->metrics->h[histograms[k].i]);
    }
    write_experts(b, models, n);
    write_info(b, models, n);
    write_devices(b, models, n);
}

void metrics_write_http(struct buf *b, const struct http_counts *c, const struct http_route *routes, int n)
{
    metrics_head(b, "counter", "http_requests_total", "Requests by path and kind of status; 0xx: the client went before a reply began.");
    for (int i = 0; i <= HTTP_ROUTES; i++)
        for (int k = 0; k < 6 && (i < n || i == HTTP_ROUTES); k++) {
            const uint64_t count = get(&c->n[i][k]);
            if (!count)
                continue;
            buf_add_str(b, "http_requests_total{", NULL);
            metrics_label(b, "handler", i < n ? routes[i].path : "none");
            buf_add_char(b, ',', NULL);
            metrics_label(b, "method", i < n ? routes[i].method : "any");
            buf_printf(b, NULL, ",status=\"%dxx\"} %llu\n", k, (unsigned long long)count);
        }
}

void metrics_write_audit(struct buf *b, struct audit *a)
{
    const struct audit_counts n = audit_counts(a);
    metrics_head(b, "counter", "lathe:audit_lines_total", "Lines written to the audit log.");
    buf_printf(b, NULL, "lathe:audit_lines_total %llu\n", (unsigned long long)n.n_written);
    metrics_head(b, "counter", "lathe:audit_lines_lost_total", "Lines that it could not take.");
    buf_printf(b, NULL, "lathe:audit_lines_lost_total %llu\n", (unsigned long long)n.n_lost);
}

void metrics_write_recorder(struct buf *b, struct recorder *r)
{
    const struct recorder_counts n = recorder_counts(r);
    const struct { const char *kind, *name, *help; uint64_t n; } rows[] = {
        { "counter", "lathe:answers_recorded_total", "Answers that were recorded.", n.n_written },
        { "counter", "lathe:answers_lost_total", "Answers that could not be recorded.", n.n_lost },
        { "gauge", "lathe:answers_waiting", "Answers that wait to be recorded.", (uint64_t)n.n_waiting },
        { "counter", "lathe:feedback_total", "What was said of answers and recorded.", n.n_feedback },
        { "gauge", "lathe:recording_works", "1: the last answers could be recorded.", n.works },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        metrics_head(b, rows[i].kind, rows[i].name, rows[i].help);
        buf_printf(b, NULL, "%s %llu\n", rows[i].name, (unsigned long long)rows[i].n);
    }
}

static int count_files(void)
{
    int n = -1;                              /* the folder's own */
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n > 2 ? n - 2 : 0;                /* "." and ".." */
}

static void number(struct buf *b, const char *kind, const char *name, const char *help, double v)
{
    metrics_head(b, kind, name, help);
    buf_printf(b, NULL, "%s %.17g\n", name, v);
}

void metrics_write_process(struct buf *b, double begun)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%ld %ld", &pages, &resident) != 2)
        pages = resident = 0;
    if (f)
        fclose(f);
    number(b, "gauge", "process_resident_memory_bytes", "Memory, with the parts of files that are in it.", (double)resident * (double)sysconf(_SC_PAGESIZE));
    number(b, "gauge", "process_private_memory_bytes", "Memory that no file has.", (double)mem_private_now());
    number(b, "counter", "process_cpu_seconds_total", "Time of all threads.", clock_cpu());
    number(b, "gauge", "process_start_time_seconds", "When it began, since 1970.", (double)time(NULL) - (clock_wall() - begun));
    number(b, "gauge", "process_open_fds", "Files, connections among them.", count_files());
}

/* ---- now ---- */

static void rates(const struct metrics *m, struct live *out, double now, double up)
{
    const int64_t at = (int64_t)now;
    uint64_t tokens = 0, prompt = 0;
    for (int i = 0; i < SECONDS + 2; i++) {
        const int64_t of = atomic_load_explicit(&m->second[i].at, memory_order_acquire);
        if (of < at && of >= at - SECONDS)
            tokens += get(&m->second[i].tokens), prompt += get(&m->second[i].prompt);
    }
    const double s = up < 1 ? 1 : up < SECONDS ? up : SECONDS;
    out->tokens_per_s = (double)tokens / s, out->prompt_tokens_per_s = (double)prompt / s;
}

void metrics_live(const struct metrics *m, double now, double begun, struct live *out)
{
    const int64_t at = (int64_t)(now / SLICE_S);
    uint64_t prompt = 0, kept = 0;
    *out = (struct live){ 0 };
    rates(m, out, now, now - begun);
    out->ttft = quantiles_of(m, WINDOW_TTFT, at), out->tpot = quantiles_of(m, WINDOW_TPOT, at);
    out->itl = quantiles_of(m, WINDOW_ITL, at), out->e2e = quantiles_of(m, WINDOW_E2E, at);
    for (int i = 0; i <= SLICES; i++)
        if (atomic_load_explicit(&m->slice[i].at, memory_order_acquire) > at - SLICES)
            prompt += get(&m->slice[i].prompt), kept += get(&m->slice[i].kept);
    out->prefix_hits = prompt ? (double)kept / (double)prompt : 0;
}

static int add_quantiles(struct buf *b, const char *name, const struct quantiles *q, struct err *err)
{
    return buf_printf(b, err, ",\"%s\":{\"p50\":%.6g,\"p95\":%.6g,\"p99\":%.6g,\"n\":%llu}", name, q->p50, q->p95, q->p99, (unsigned long long)q->n);
}

static int add_live(struct buf *b, const struct served_model *s, double now, double begun, struct err *err)
{
    struct live l;
    struct batch_counts counts;
    const struct batch_counts *c = &counts;
    metrics_live(s->metrics, now, begun, &l);
    served_model_counts(s, &counts);
    TRY(buf_add_str(b, "{\"id\":", err));
    TRY(out_string(b, s->name, strlen(s->name), err));
    TRY(buf_printf(b, err, ",\"digest\":\"%s\",\"system_fingerprint\":\"%s\",\"since\":%lld,\"max_model_len\":%d", s->digest, served_model_as(s, 0).fingerprint, (long long)s->since, served_model_ctx(s)));
    TRY(buf_printf(b, err, ",\"running\":%d,\"waiting\":%d,\"tokens_per_s\":%.6g,\"prompt_tokens_per_s\":%.6g", c->n_running, c->n_waiting, l.tokens_per_s, l.prompt_tokens_per_s));
    TRY(add_quantiles(b, "ttft_s", &l.ttft, err));
    TRY(add_quantiles(b, "tpot_s", &l.tpot, err));
    TRY(add_quantiles(b, "itl_s", &l.itl, err));
    TRY(add_quantiles(b, "e2e_s", &l.e2e, err));
    TRY(buf_printf(b, err, ",\"kv\":{\"pages\":%d,\"held\":%d,\"known\":%d,\"page_tokens\":%d,\"use\":%.6g}", c->pages.n_page, c->pages.n_held, c->pages.n_known, KV_TOKENS, of_use(c)));
    TRY(buf_printf(b, err, ",\"prefix\":{\"asked\":%llu,\"found\":%llu,\"hits_5m\":%.6g}", (unsigned long long)c->pages.n_asked, (unsigned long long)c->pages.n_found, l.prefix_hits));
    TRY(buf_printf(b, err, ",\"prompt_tokens\":%llu,\"generation_tokens\":%llu,\"preemptions\":%llu,\"drafted\":%llu,\"accepted\":%llu,\"ended\":{", (unsigned long long)c->n_prompt, (unsigned long long)c->n_token,
                   (unsigned long long)c->n_put_aside, (unsigned long long)c->n_drafted, (unsigned long long)c->n_accepted));
    for (int i = 0; i < 4; i++)
        TRY(buf_printf(b, err, "%s\"%s\":%llu", i ? "," : "", reasons[i], (unsigned long long)get(&s->metrics->ended[i])));
    return buf_add_str(b, "}}", err);
}

int metrics_live_json(struct buf *b, struct served_model *const *models, int n, const char *build, double begun, struct err *err)
{
    const double now = clock_wall();
    TRY(buf_printf(b, err, "{\"build\":\"%s\",\"uptime_s\":%.3f,\"models\":[", build, now - begun));
    for (int i = 0; i < n; i++) {
        TRY(i ? buf_add_char(b, ',', err) : 0);
        TRY(add_live(b, models[i], now, begun, err));
    }
    return buf_add_str(b, "]}\n", err);
}
