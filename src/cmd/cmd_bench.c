#include <jansson.h>
#include <lathe.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"
#include "base/tree.h"
#include "base/when.h"
#include "cmd/bench_serve.h"
#include "cmd/cmd.h"
#include "cmd/model_evidence.h"
#include "eval/evidence.h"
#include "eval/interval.h"
#include "infer/bench.h"
#include "model/model.h"
#include "nn/device.h"
#include "nn/limits.h"
#include "plan/learnt.h"

static bool limits;
static const char *prompts, *gens, *batches, *depths = "0", *out_dir;
static int64_t repeat = 5;

/* ---- bench --limits ---- */

static int run_limits(struct err *err)
{
    struct pool *pool;
    struct limits l;
    TRY(cmd_pool(&pool, err));
    TRY(limits_measure(&l, pool, err));
    if (limits_save(&l, err) < 0)                /* they are measured all the same */
        log_warn("not kept: %s", err->msg);
    if (cmd_json)
        return cmd_print_json(json_pack("{s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "cpu", l.cpu, "isa", l.level, "threads", l.n_thread, "f32_flops", l.f32, "bf16_flops", l.bf16,
                                        "int8_ops", l.int8, "read_bytes_per_s", l.read, "cache_read_bytes_per_s", l.read_cache, "cache_bytes", l.cache_bytes), err);
    printf("%s, %s, %d threads\n", l.cpu, l.level, l.n_thread);
    printf("fp32   %8.1f GFLOP/s\nbf16   %8.1f GFLOP/s%s\nint8   %8.1f GOP/s\nread   %8.1f GB/s from memory\n       %8.1f GB/s from the second-level cache (%.1f MB)\n", l.f32 / 1e9,
           l.bf16 / 1e9, l.bf16 <= l.f32 * 1.2 ? " (as fp32: this machine has no fast bf16 multiply-add)" : "", l.int8 / 1e9, l.read / 1e9, l.read_cache / 1e9, l.cache_bytes / 1e6);
    return 0;
}

/* ---- bench MODEL ---- */

#define LIST_MAX 16
#define NUMBER_MAX 1000000
#define TEST_MAX 256

/* Whole numbers of a list "1,4,16". */
static int parse_list(const char *name, const char *text, int least, int *out, struct err *err)
{
    int n = 0;
    for (const char *p = text; *p;) {
        char *end;
        const long v = strtol(p, &end, 10);
        if (end == p || (*end && *end != ',') || v < least || v > NUMBER_MAX || n == LIST_MAX)
            return ERR(err, USAGE, "-%s: found '%s', expected up to %d whole numbers from %d to %d, parted by commas", name, text, LIST_MAX, least, NUMBER_MAX);
        out[n++] = (int)v;
        p = *end ? end + 1 : end;
    }
    return n;
}

static int list_tests(struct bench_test *test, struct err *err)
{
    int p[LIST_MAX], g[LIST_MAX], b[LIST_MAX], d[LIST_MAX], n_p, n_g, n_b, n_d, n = 0;
    TRY(n_p = parse_list("p", prompts ? prompts : gens ? "" : "512", 0, p, err));
    TRY(n_g = parse_list("n", gens ? gens : prompts ? "" : "128", 0, g, err));
    TRY(n_b = parse_list("b", batches ? batches : "1", 1, b, err));
    TRY(n_d = parse_list("d", depths, 0, d, err));
    if ((n_p + n_g * n_b) * n_d > TEST_MAX)
        return ERR(err, USAGE, "%d tests asked for, expected at most %d", (n_p + n_g * n_b) * n_d, TEST_MAX);
    for (int l = 0; l < n_d; l++) {
        for (int i = 0; i < n_p; i++)
            if (p[i])
                test[n++] = (struct bench_test){ p[i], 0, 1, d[l] };
        for (int i = 0; i < n_g; i++)
            for (int j = 0; j < n_b; j++)
                if (g[i])
                    test[n++] = (struct bench_test){ 0, g[i], b[j], d[l] };
    }
    return n ? n : ERR(err, USAGE, "nothing to measure: give -p or -n a number above 0");
}

/* What the limits are of, where they are not this machine's. */
struct device_limits { struct limits limits; char product[128], source[400]; };

/* What its own self test measured, else the data sheet of its kind; of a part that a partition mode made, its share. */
static void find_limits(struct device_limits *l, const struct graph_device *on)
{
    struct learnt learnt;
    struct err err;
    const struct device *d = device_find(on->model, &err);
    *l = (struct device_limits){ 0 };
    snprintf(l->product, sizeof l->product, "%s", on->model);
    if (!d) {
        snprintf(l->source, sizeof l->source, "not known: it is none of lathe plan --devices");
        return;
    }
    const double share = on->n_unit > 0 && d->units > on->n_unit ? (double)on->n_unit / d->units : 1;
    l->limits.f32 = share * d->peak[NUMBER_F32], l->limits.bf16 = share * device_peak(d, NUMBER_BF16), l->limits.int8 = share * device_peak(d, NUMBER_INT8);
    l->limits.read = share * d->bandwidth;
    const bool known = share == 1 && learnt_load(&learnt, d->key, &err) == 0;
    if (known && learnt.read > 0)
        l->limits.read = learnt.read;
    if (known && learnt.bf16 > 0)
        l->limits.bf16 = learnt.bf16;
    if (known && (learnt.read > 0 || learnt.bf16 > 0))
        snprintf(l->source, sizeof l->source, "%s%s%s by the self test of %.10s, else by the data sheet of %s", learnt.read > 0 ? "bandwidth" : "", learnt.read > 0 && learnt.bf16 > 0 ? " and " : "",
                 learnt.bf16 > 0 ? "bf16" : "", learnt.when, d->name);
    else if (share < 1)
        snprintf(l->source, sizeof l->source, "the share of %d in %d units of the data sheet of %s", on->n_unit, d->units, d->name);
    else
        snprintf(l->source, sizeof l->source, "by the data sheet of %s (lathe plan --learn takes what its self test measures)", d->name);
}

static json_t *result_json(const struct engine *e, const char *path, const struct device_limits *on, const struct bench_result *r)
{
    double ns[BENCH_REPEAT_MAX], ts[BENCH_REPEAT_MAX];
    json_t *samples_ns = json_array(), *samples_ts = json_array();
    for (int i = 0; i < r->n; i++) {
        ns[i] = r->seconds[i] * 1e9, ts[i] = r->tokens / r->seconds[i];
        json_array_append_new(samples_ns, json_integer((json_int_t)ns[i]));
        json_array_append_new(samples_ts, json_real(ts[i]));
    }
    char now[WHEN_TEXT];
    when_seconds(now, (int64_t)time(NULL));
    struct limits here;
    struct err ignored;
    if (limits_load(&here, cmd_n_thread(), &ignored) < 0)
        here = (struct limits){ .cpu = "unknown" };
    int64_t total;
    config_params(engine_config(e), &total, NULL);
    return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:I, s:I, s:f, s:f, s:o, s:o, s:i, s:o, s:s, s:o, s:f, s:f, s:f, s:f, s:s}",
                     "build_commit", LATHE_VERSION, "build_number", 0, "cpu_info", here.cpu, "gpu_info", on ? on->product : "", "backends", cpu_kernels()->level, "model_filename", path, "model_type",
                     family_name(engine_config(e)->family), "model_size", (json_int_t)engine_weight_bytes(e), "model_n_params", (json_int_t)total, "n_batch", engine_step_tokens(e),
                     "n_ubatch", engine_step_tokens(e), "n_threads", cmd_n_thread(), "n_prompt", r->test.n_prompt, "n_gen", r->test.n_gen, "n_depth", r->test.n_depth, "test_time",
                     now, "avg_ns", (json_int_t)stat_mean(ns, r->n), "stddev_ns", (json_int_t)stat_stddev(ns, r->n), "avg_ts", stat_mean(ts, r->n), "stddev_ts",
                     stat_stddev(ts, r->n), "samples_ns", samples_ns, "samples_ts", samples_ts, "batch", r->test.batch, "limit", tree_number(r->limit), "limit_kind", r->limit_kind, "share",
                     tree_number(r->share), "limit_int8_ops", r->limits.int8, "limit_bf16_flops", r->limits.bf16, "limit_f32_flops", r->limits.f32, "limit_read_bytes_per_s", r->limits.read, "limit_source", on ? on->source : "sampled beside each repetition");
}

static void name_test(const struct bench_test *t, char *out, size_t n)
{
    const int k = t->n_prompt ? snprintf(out, n, "prompt %d", t->n_prompt) : snprintf(out, n, "decode %d x %d", t->batch, t->n_gen);
    if (t->n_depth)
        snprintf(out + k, n - (size_t)k, " after %d", t->n_depth);
}

static void print_row(const struct bench_result *r)
{
    double ts[BENCH_REPEAT_MAX];
    char name[48];
    for (int i = 0; i < r->n; i++)
        ts[i] = r->tokens / r->seconds[i];
    const double mean = stat_mean(ts, r->n), sd = stat_stddev(ts, r->n);
    name_test(&r->test, name, sizeof name);
    if (isnan(r->limit))
        printf("%-26s %10.1f +- %-7.1f %10s  %-15s %5s\n", name, mean, sd, "-", r->limit_kind, "-");
    else
        printf("%-26s %10.1f +- %-7.1f %10.1f  %-15s %4.0f%%\n", name, mean, sd, r->limit, r->limit_kind, 100 * r->share);
    fflush(stdout);
}

/* ---- what is kept of it (--out) ---- */

/* The mean of a repetition's values, with its interval. */
static int add_mean(json_t *evidence, const char *name, const char *of, const double *v, int n, enum evidence_better better, const char *what, struct err *err)
{
    struct interval_mean m;
    TRY(interval_mean(v, NULL, NULL, n, 0.95, &m, err));
    return evidence_figure(evidence, &(struct evidence_figure){ name, of, m.mean, m.ci[0], m.ci[1], n, better, what }, err);
}

static int add_result(json_t *evidence, const struct bench_result *r, struct err *err)
{
    double ts[BENCH_REPEAT_MAX], ms[BENCH_REPEAT_MAX];
    char of[48];
    name_test(&r->test, of, sizeof of);
    const bool prompt = r->test.n_prompt > 0;
    for (int i = 0; i < r->n; i++)
        ts[i] = r->tokens / r->seconds[i], ms[i] = 1000 * r->seconds[i] / (prompt ? 1 : r->test.n_gen);
    TRY(add_mean(evidence, prompt ? "prefill_tokens_per_s" : "decode_tokens_per_s", of, ts, r->n, EVIDENCE_HIGHER,
                 prompt ? "tokens of a prompt a second" : "tokens a second of all sequences", err));
    return add_mean(evidence, prompt ? "ttft_ms" : "tpot_ms", of, ms, r->n, EVIDENCE_LOWER,
                    prompt ? "milliseconds from the prompt to its last token's logits" : "milliseconds per step", err);
}

static int keep(json_t *evidence, bool complete, struct err *err)
{
    TRY(evidence_put(evidence, "complete", json_boolean(complete), err));
    TRY(evidence_figure(evidence, &(struct evidence_figure){ "peak_resident_bytes", NULL, (double)mem_resident_peak(), NAN, NAN, 1, EVIDENCE_LOWER,
                                                             "memory of this process at most, mapped weights counted" }, err));
    return evidence_write(evidence, out_dir, NULL, err);
}

static int bench_model(struct engine *e, const char *path, const struct device_limits *on, const struct bench_test *test, int n_test, struct pool *pool, json_t *evidence, struct err *err)
{
    json_t *all = json_array();
    int rc = 0, n_done = 0;
    if (!cmd_json && on)
        printf("limits of %s, %s: %s\n", cmd_device, on->product, on->source);
    if (!cmd_json)
        printf("%-26s %10s    %-7s %10s  %-15s %5s\n", "test", "tokens/s", "sd", "limit", "set by", "share");
    for (; n_done < n_test && !rc && !cmd_stop; n_done++) {
        struct bench_result r;
        rc = bench_run(e, &test[n_done], (int)repeat, on ? &on->limits : NULL, pool, &r, err);
        if (!rc && cmd_json)
            json_array_append_new(all, result_json(e, path, on, &r));
        else if (!rc)
            print_row(&r);
        if (!rc && evidence)
            rc = add_result(evidence, &r, err);
    }
    if (!rc && evidence)
        rc = keep(evidence, n_done == n_test, err);
    if (!rc && cmd_json)
        rc = cmd_print_json(json_incref(all), err);
    json_decref(all);
    return rc || n_done == n_test ? rc : ERR(err, STOPPED, "stopped after %d of %d tests", n_done, n_test);
}

static int evidence_of(json_t **out, const char *path, struct err *err)
{
    char sha256[SHA256_HEX];
    *out = NULL;
    if (!out_dir)
        return 0;
    TRY(model_digest(path, sha256, err));
    return model_evidence(out, "speed", path, sha256, 0, 0, err);
}

/* Of what runs no model here. */
static int check_no_parts(struct err *err)
{
    return !cmd_device_layers && !cmd_cpu_experts ? 0 : ERR(err, USAGE, "--%s parts a model, expected: lathe bench MODEL --device NAME", cmd_device_layers ? "device-layers" : "cpu-experts");
}

static int run_bench(const char *const *args, int n_args, struct err *err)
{
    const bool own = limits || prompts || gens || batches;       /* options that are not of `serve` */
    if (n_args == 2 && !strcmp(args[0], "serve") && !own) {
        TRY(check_no_parts(err));
        TRY(cmd_make_folder(out_dir, err));
        return bench_serve_run(args[1], out_dir, err);
    }
    if (bench_serve_is_set())
        return ERR(err, USAGE, "an option of `lathe bench serve URL` was given without it");
    if (limits && !n_args && !out_dir) {
        TRY(check_no_parts(err));
        return run_limits(err);
    }
    if (limits || n_args != 1 || !strcmp(args[0], "serve"))
        return ERR(err, USAGE, "expected: lathe bench MODEL, lathe bench serve URL, or lathe bench --limits");
    struct bench_test test[TEST_MAX];
    int n_test, n_slot, ctx;
    TRY(n_test = list_tests(test, err));
    TRY(cmd_make_folder(out_dir, err));
    bench_needs(test, n_test, &n_slot, &ctx);
    cmd_catch_signals();
    struct pool *pool;
    struct engine *e;
    struct engine_opts o = cmd_engine((struct engine_opts){ .n_slot = n_slot, .ctx = ctx, .step_tokens = 512, .no_tok = true });
    json_t *evidence;
    TRY(cmd_pool(&pool, err));
    TRY(cmd_open_device(&o.device, err));
    struct device_limits on;
    if (o.device)
        find_limits(&on, o.device);
    const bool elsewhere = o.device != NULL;
    TRY(engine_new(&e, args[0], &o, pool, err));
    const int n_layer = engine_config(e)->n_layer, there = engine_device_layers(e);
    if (elsewhere && (there < n_layer || engine_cpu_experts(e))) {
        on.limits = (struct limits){ 0 };
        snprintf(on.source, sizeof on.source, "not known, as the CPU has a part of the model: %d of %d layers, the experts of %d", n_layer - there, n_layer, engine_cpu_experts(e));
    }
    int rc = evidence_of(&evidence, args[0], err);
    rc = rc ? rc : bench_model(e, args[0], elsewhere ? &on : NULL, test, n_test, pool, evidence, err);
    json_decref(evidence);
    engine_free(e);
    return rc;
}

static const struct opt opts[] = {
    { OPT_FLAG, "limits", &limits, NULL, "measure this machine's peaks and bandwidths, and keep them", 0, 0 },
    { OPT_STR, "p", &prompts, "<list>", "prompts of so many tokens (512)", 0, 0 },
    { OPT_STR, "n", &gens, "<list>", "so many tokens one at a time (128)", 0, 0 },
    { OPT_STR, "b", &batches, "<list>", "sequences that are decoded at once (1)", 0, 0 },
    { OPT_STR, "d", &depths, "<list>", "tokens that are there already", 0, 0 },
    { OPT_INT, "r", &repeat, "<int>", "repetitions of each", 1, BENCH_REPEAT_MAX },
    { OPT_STR, "out", &out_dir, "<folder>", "what was found (speed_DATE.json), for the report and the choice of a model; of a scenario MLPerf's logs", 0, 0 },
    OPT_BENCH_SERVE,
    OPT_PRECISION,
    OPT_KV,
    OPT_DEVICE,
    OPT_DEVICE_LAYERS,
    OPT_ADAPTER,
    OPT_THREADS,
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};
const struct command command_bench = {
    "bench", "[MODEL | serve URL]", "how fast a model runs here, what this machine can do, how a server bears its load",
    TEXT("For each prompt length and each number of sequences: tokens per second (mean and standard deviation), the most that the\n"
    "limits measured beside each repetition allow, which of them that is, and the median share.  On a --device\n"
    "they are its own: what its self test measured (lathe plan --learn), else its data sheet's; of a model of which the CPU has\n"
    "a part (--device-layers) there are none.  The limit is the larger of the\n"
    "operations of all products and of attention at the peak of their types, and the weights and cache read once a step at the\n"
    "bandwidth from memory.  --json prints llama-bench's fields, and batch, limit, limit_kind and share.\n"
    "--limits: operations per second in registers (fp32, bf16, int8 multiply-adds, counted as two) and bytes read per second, on\n"
    "all threads at once, kept in ~/.cache/lathe/limits.json.  Every share of peak and every expected time that lathe prints\n"
    "is computed from these and from the operations' costs; they are measured by themselves when missing.\n",
    "\n"
    "lathe bench serve URL: streaming requests to a server that speaks OpenAI's API, here or elsewhere, and when their tokens came.\n"
    "With --users each user asks when the last answer is there, and --think has passed (closed loop).  Users who all begin at once and whose answers are\n"
    "equally long may stay in step for ever, or just not: --ramp SECONDS, about those of an answer, has them begin at random moments, which\n"
    "`lathe plan --users N --ramp SECONDS --seed S` plans for, too: the same seed, the same moments.  With --rate or --trace requests come when their time has\n"
    "come, whether or not the server keeps up (open loop), and latencies count from that time; where the server does not keep up,\n"
    "that is said.  Prompts are random tokens of given lengths, random conversations, or a file's; the same seed asks the same.\n"
    "Tokens are counted by the usage that the server tells.  What fails is counted by its kind.  --json and --save have the keys of\n"
    "`vllm bench serve`, and ours.  The first token's time is that of its text: a part of a character has none yet.\n"
    "--scenario asks as MLPerf does, and says VALID, or INVALID and why; doc/scenarios.md has the rules, what is told of cost and energy,\n"
    "and the files of --out.\n"
    "\n"
    "    lathe bench serve http://127.0.0.1:8080 --users 16 --requests 200 --shared 512 --input 64 --output 64\n"
    "    lathe bench serve http://127.0.0.1:8080 --rate 4 --input 200 --spread 0.5 --slo ttft:500,tpot:50 --save result.json\n"
    "    lathe bench serve http://127.0.0.1:8080 --scenario server --rate 2 --slo llama3.1-8b --price-per-hour 1.2 --out found\n"
    "    lathe bench serve http://127.0.0.1:8080 --users 8 --api chat --turns 4 --fields '{\"temperature\": 0.8}'"),
    opts, run_bench, 0, 2,
};
