/* plan_mlperf.c - the constants of plan/serve_rate.h, fitted to measured throughputs, and how far off the plan is of a system that it has not seen.
 *
 *     build/bench/plan_mlperf ../shared/data/hardware-measurements.csv            MLPerf v4.1, v5.1, v6.0; AMD's and Oracle's tables of vLLM
 *
 * Rows: tokens (or texts: times the benchmark's tokens) a second of a model below on a device of plan/devices.def.  Fitted by Nelder and Mead's simplex to
 * the least mean of |log(predicted / measured)|^1.5 over all rows - between absolute errors, of which the large ones count too little, and squares, which
 * they rule - none taken for more than 0.5, so that a row which nothing here explains does not pull.  It was chosen of six such losses (powers 1 to 2, at
 * most 0.5 to 1) by how far off systems left out are: a median of 9 to 12 %, 90 % within 36 to 41 %.  Then for each accelerator without all its rows, and for each
 * submitter without all of its rows, to predict those, from the same start.  Prints every row, the constants and the errors; beside them the bare roofline's. */
#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/file.h"
#include "data/csv.h"
#include "plan/published.h"
#include "plan/serve_rate.h"

#define COUNT(a) (int)(sizeof(a) / sizeof *(a))
#define ROWS_MAX 1024
#define VLLM_ROW 46e-6           /* seconds of the host for a token: BLIS' fit of vLLM of 2024-25 (github.com/inference-sim) */
#define AGAIN 6                  /* simplexes, each from where the one before ended */
#define MOST_OFF 0.5
#define MTP_KEPT 0.85            /* of one drafted token: DeepSeek-V3 Technical Report, arXiv:2412.19437, 5.4.3 (85 to 90 %) */
static struct err err;

static void check(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "plan_mlperf: %s\n", err.msg);
        exit(1);
    }
}

/* ---- benchmarks ---- */

/* Tokens: of a prompt and of an answer, on average.  Answers: github.com/mlcommons/inference_policies inference_rules.adoc @ac93e89 (tokens_per_sample;
 * gpt-oss: TEST09's reference of 1278.20; gptj: token_latency_scaling_factor of mlperf.conf; llama3.1-8b: as logged; deepseek-r1:
 * mlcommons.org/2025/09/deepseek-inference-5-1).  Prompts: mlcommons.org's articles on llama3.1-405b (9,400), llama3.1-8b (778) and deepseek-r1 (800);
 * gpt-oss about 8,000 (a public loader of its set); from memory: llama2-70b 294, mixtral 450, gptj 870.  Seconds for a token of Server and Interactive:
 * mlperf.conf @b66003e1; gptj: 20 s a text of 69, and 4 beams (its README.md). */
static const struct benchmark { const char *name, *model; double prompt, output, server, interactive; int beams; } benchmarks[] = {
    { "llama2-70b-99", "llama-2-70b", 294, 294.45, 0.2, 0.04, 1 },
    { "llama3.1-8b", "Llama-3-8B", 778, 128, 0.1, 0.03, 1 },
    { "llama3_1-8b", "Llama-3-8B", 778, 128, 0.1, 0.03, 1 },
    { "llama3.1-8b-edge", "Llama-3-8B", 778, 128, 0, 0, 1 },
    { "llama3.1-405b", "Llama-3-405B", 9400, 684.68, 0.175, 0.08, 1 },
    { "mixtral-8x7b", "Mixtral-8x7B", 450, 144.84, 0.2, 0, 1 },
    { "gpt-oss-120b", "gpt-oss-120b", 8000, 1278.2, 0.08, 0.015, 1 },
    { "deepseek-r1", "DeepSeek-V3", 800, 3880, 0.08, 0.015, 1 },
    { "gptj-99", "gptj", 870, 69, 20.0 / 69, 0, 4 },
    { "llama3_1-70b-fp8_dyn", "Llama-3-70B", 294, 294.45, 0.2, 0.04, 1 },
    { "Llama-3.1-70B-Instruct-FP8-KV", "Llama-3-70B", 0, 0, 0, 0, 1 },       /* lengths of the row */
    { "Llama-3.1-405B-Instruct-FP8-KV", "Llama-3-405B", 0, 0, 0, 0, 1 },
    { "Llama-3.1-405B-FP8", "Llama-3-405B", 128, 128, 0, 0, 1 },
};

static struct serve_model model_of(const char *name)
{
    struct serve_model m;
    struct config c;
    if (!strcmp(name, "gptj")) {      /* 28 layers, 4096 wide, 16 heads of 256, MLP of 16384 without a gate, 50,400 tokens (EleutherAI/gpt-j-6b config.json) */
        const double C = 4096, L = 28, F = 16384;
        return (struct serve_model){ .dense = L * (4 * C * C + 2 * C * F), .layers = (int)L, .heads = 16, .kv_heads = 16, .head = C * 50400, .stream = C,
                                     .kv = 2 * C * L, .key = 4 * C * L, .key_prompt = 4 * C * L, .passes = L * (10 * C + 9 * C + 3 * F) };
    }
    check(published_config(&c, strcmp(name, "llama-2-70b") ? name : "Llama-3-70B", &err));
    check(serve_model_of(&m, &c, &err));
    if (!strcmp(name, "llama-2-70b"))      /* meta-llama/Llama-2-70b-chat-hf config.json: Llama-3-70B's sizes but for 32,000 tokens */
        m.head = 32000.0 * 8192;
    return m;
}

/* ---- rows ---- */

enum scenario { OFFLINE, SERVER, INTERACTIVE, N_SCENARIO };
static const char *const scenarios[] = { "offline", "server", "interactive" };
struct row {
    char system[48], benchmark[32], precision[16], scenario_text[64], submitter[40];
    const struct device *device;
    struct serve_model model;
    struct serve_numbers numbers;
    struct serve_load load;
    struct serve_layout layout;      /* tp 0: free */
    enum scenario scenario;
    int n, same;                     /* devices; the first row that has the same prediction */
    double measured, fitted, left_out, without_submitter, roofline;
    struct serve_rate rate;
};
static struct row rows[ROWS_MAX];
static int n_row;
static char missing[ROWS_MAX][128];
static int n_missing;

static void copy(char *to, size_t n, const char *from) { snprintf(to, n, "%s", from); }

static bool has(const char *text, const char *word)
{
    const size_t n = strlen(word);
    for (; *text; text++) {
        size_t i = 0;
        while (i < n && tolower((unsigned char)text[i]) == word[i])
            i++;
        if (i == n)
            return true;
    }
    return false;
}

static double after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at ? strtod(at + strlen(key), NULL) : 0;
}

/* fp4 of blocks of 16 with scales of a byte; int4 the same, multiplied as int8.  "as listed: fp16" of MLPerf v4.1 is the model's; the engines' numbers
 * were of 8 bits. */
static struct serve_numbers numbers_of(const char *precision, const struct device *d)
{
    const double cache = strstr(d->kind, "cpu") ? 2 : 1;
    if (has(precision, "fp4"))
        return (struct serve_numbers){ 4.5, NUMBER_FP4, cache };
    if (has(precision, "int4"))
        return (struct serve_numbers){ 4.5, NUMBER_INT8, cache };
    if (has(precision, "int8") || !d->peak[NUMBER_FP8])
        return (struct serve_numbers){ 8, NUMBER_INT8, cache };
    return (struct serve_numbers){ 8, NUMBER_FP8, cache };
}

/* "MLPerf Inference v6.0 AMD 87xMI355X ...", "... v5.1 closed AMD ..." -> "v6.0 AMD"; of v4.1 it is not told; others: whose table. */
static void submitter_of(char *out, size_t n, const char *source)
{
    const char *at = strstr(source, "MLPerf Inference ");
    char version[8] = "", who[31] = "not told";
    if (!at) {
        snprintf(out, n, "vLLM %s", has(source, "oracle") ? "Oracle" : "AMD");
        return;
    }
    if (sscanf(at, "MLPerf Inference %7[^ ;] closed %30[^ ;]", version, who) < 2)
        sscanf(at, "MLPerf Inference %7[^ ;] %30[^ ;]", version, who);
    snprintf(out, n, "%s %s", version, who);
}

static bool same_prediction(const struct row *a, const struct row *b)
{
    return a->device == b->device && a->n == b->n && a->scenario == b->scenario && !strcmp(a->benchmark, b->benchmark) && a->numbers.bits == b->numbers.bits &&
           a->numbers.compute == b->numbers.compute && a->layout.tp == b->layout.tp && a->load.prompt == b->load.prompt && a->load.output == b->load.output &&
           a->load.at_most == b->load.at_most && a->load.alone == b->load.alone;
}

static const char *text_of(const struct csv *csv, const char *name)
{
    const int i = csv_find(csv, name);
    size_t n;
    if (i < 0) {
        fprintf(stderr, "plan_mlperf: %s has no column '%s'\n", csv->name, name);
        exit(1);
    }
    return csv_field(csv, i, &n);
}

static void set_scenario(struct row *r, const struct benchmark *b, const char *text)
{
    r->load = (struct serve_load){ .prompt = b->prompt, .output = b->output, .beams = b->beams };
    if (strstr(text, "vLLM")) {      /* vendors' own runs, as their engines came */
        r->layout = (struct serve_layout){ 8, 1, 1 }, r->load.row = VLLM_ROW;
        if (strstr(text, "in="))
            r->load.prompt = after(text, "in="), r->load.output = after(text, "out="), r->load.at_most = after(text, "prompts=");
        else
            r->load.at_most = after(text, "batch="), r->load.alone = true;
        return;
    }
    r->scenario = has(text, "interactive") ? INTERACTIVE : has(text, "server") ? SERVER : OFFLINE;
    if (!strcmp(b->name, "deepseek-r1") && r->scenario == INTERACTIVE)      /* its rules allow the model's own drafts */
        r->load.drafts = 1, r->load.kept = MTP_KEPT;
    r->load.tpot = r->scenario == INTERACTIVE ? b->interactive : r->scenario == SERVER ? b->server : 0;
}

static void add(const struct csv *csv)
{
    const char *metric = text_of(csv, "metric"), *unit = text_of(csv, "unit"), *text = text_of(csv, "scenario"), *model = text_of(csv, "model");
    const bool tokens = has(unit, "token"), texts = !strcmp(metric, "samples throughput");
    const struct benchmark *b = NULL;
    for (int i = 0; i < COUNT(benchmarks); i++)
        if (!strcmp(benchmarks[i].name, model))
            b = &benchmarks[i];
    if (!(tokens && strstr(metric, "throughput")) && !(texts && b))
        return;
    if (texts && strstr(text, "Offline"))
        return;      /* the same run is there in tokens */
    const char *system = text_of(csv, "accelerator");
    const struct device *d = device_find(system, &err);
    if (!b || !d) {
        snprintf(missing[n_missing++], sizeof *missing, "%.40s, %.40s: %s", system, model, b ? "device not in the table" : "model not known here");
        return;
    }
    struct row *r = &rows[n_row];
    *r = (struct row){ .device = d, .n = atoi(text_of(csv, "count")), .measured = strtod(text_of(csv, "value"), NULL) * (texts ? b->output : 1) };
    copy(r->system, sizeof r->system, system), copy(r->benchmark, sizeof r->benchmark, model), copy(r->scenario_text, sizeof r->scenario_text, text);
    copy(r->precision, sizeof r->precision, text_of(csv, "precision"));
    if (strstr(r->device->key, "mi355x") && !strcmp(r->precision, "fp8"))      /* listed so; its submission's README.md: the FP4 model */
        copy(r->precision, sizeof r->precision, "fp4 (README)");
    submitter_of(r->submitter, sizeof r->submitter, text_of(csv, "source"));
    r->model = model_of(b->model), r->numbers = numbers_of(r->precision, d);
    set_scenario(r, b, text);
    r->same = n_row;
    for (int i = 0; i < n_row && r->same == n_row; i++)
        if (rows[i].same == i && same_prediction(&rows[i], r))
            r->same = i;
    n_row++;
}

static void read_rows(const char *path)
{
    struct buf text;
    struct csv csv;
    int rc;
    buf_init(&text);
    check(file_read(path, (size_t)64 << 20, &text, &err));
    check(csv_open(&csv, text.data, text.len, path, &err));
    while ((rc = csv_next(&csv, &err)) == 1 && n_row < ROWS_MAX && n_missing < ROWS_MAX)
        add(&csv);
    check(rc);
    csv_release(&csv), buf_release(&text);
    if (n_row < 10) {
        fprintf(stderr, "plan_mlperf: %s has %d throughputs of known models and devices, expected 10 at least\n", path, n_row);
        exit(1);
    }
}

/* ---- predicting ---- */

static double predict(struct row *r, const struct serve_constants *k)
{
    check(serve_rate(&r->rate, &r->model, r->device, r->n, &r->numbers, &r->load, r->layout.tp ? &r->layout : NULL, k, &err));
    return r->rate.tokens;
}

/* Into *out of each row: rows of the same prediction are predicted once. */
static void predict_all(const struct serve_constants *k, double *out)
{
    for (int i = 0; i < n_row; i++)
        out[i] = rows[i].same == i ? predict(&rows[i], k) : out[rows[i].same];
}

/* ---- fitting: logarithms of the constants ---- */

static double *constants_of(struct serve_constants *k) { return (double *)k; }      /* nothing but doubles */
_Static_assert(sizeof(struct serve_constants) == SERVE_CONSTANTS * sizeof(double), "constants are SERVE_CONSTANTS doubles");

static struct serve_constants constants_at(const double *x)
{
    struct serve_constants k;
    for (int i = 0; i < SERVE_CONSTANTS; i++)
        constants_of(&k)[i] = exp(x[i]);
    k.matrix = fmin(k.matrix, 1), k.cdna = fmin(k.cdna, 1), k.xe = fmin(k.xe, 1), k.processor = fmin(k.processor, 1);
    k.attention = fmin(k.attention, 1), k.server = fmin(k.server, 1);
    return k;
}

static double loss(const double *x, const bool *use)
{
    const struct serve_constants k = constants_at(x);
    double at[ROWS_MAX], sum = 0;
    int n = 0;
    predict_all(&k, at);
    for (int i = 0; i < n_row; i++)
        if (use[i])
            sum += pow(at[i] > 0 ? fmin(MOST_OFF, fabs(log(at[i] / rows[i].measured))) : MOST_OFF, 1.5), n++;
    return sum / n;
}

static void mix(double *out, const double *middle, const double *worst, double by)
{
    for (int i = 0; i < SERVE_CONSTANTS; i++)
        out[i] = middle[i] + by * (worst[i] - middle[i]);
}

/* Nelder and Mead 1965, with their coefficients. */
static double least(double *best, const bool *use, double first, int turns)
{
    enum { N = SERVE_CONSTANTS };
    double x[N + 1][N], f[N + 1];
    for (int i = 0; i <= N; i++) {
        memcpy(x[i], best, sizeof x[i]);
        if (i)
            x[i][i - 1] += first;
        f[i] = loss(x[i], use);
    }
    for (int turn = 0; turn < turns; turn++) {
        int low = 0, high = 0, next = -1;
        for (int i = 1; i <= N; i++)
            low = f[i] < f[low] ? i : low, high = f[i] > f[high] ? i : high;
        for (int i = 0; i <= N; i++)
            if (i != high && (next < 0 || f[i] > f[next]))
                next = i;
        if (f[high] - f[low] < 1e-5)
            break;
        double middle[N] = { 0 }, try[N], further[N];
        for (int i = 0; i <= N; i++)
            for (int j = 0; j < N && i != high; j++)
                middle[j] += x[i][j] / N;
        mix(try, middle, x[high], -1);
        const double at = loss(try, use);
        if (at < f[low]) {
            mix(further, middle, x[high], -2);
            const double at_further = loss(further, use);
            memcpy(x[high], at_further < at ? further : try, sizeof try), f[high] = fmin(at, at_further);
        } else if (at < f[next]) {
            memcpy(x[high], try, sizeof try), f[high] = at;
        } else {
            mix(further, middle, at < f[high] ? try : x[high], 0.5);
            const double inside = loss(further, use);
            if (inside < fmin(at, f[high])) {
                memcpy(x[high], further, sizeof further), f[high] = inside;
                continue;
            }
            for (int i = 0; i <= N; i++)
                if (i != low)
                    mix(x[i], x[low], x[i], 0.5), f[i] = loss(x[i], use);
        }
    }
    int low = 0;
    for (int i = 1; i <= N; i++)
        low = f[i] < f[low] ? i : low;
    memcpy(best, x[low], sizeof x[low]);
    return f[low];
}

/* One constant after the other, up and down: what leaves a valley in which a simplex has shrunk. */
static void scan(double *x, const bool *use)
{
    static const double steps[] = { -0.4, -0.2, -0.1, -0.05, 0.05, 0.1, 0.2, 0.4 };
    double best = loss(x, use);
    for (int i = 0; i < SERVE_CONSTANTS; i++)
        for (int s = 0; s < COUNT(steps); s++) {
            double try[SERVE_CONSTANTS];
            memcpy(try, x, sizeof try);
            try[i] += steps[s];
            const double at = loss(try, use);
            if (at < best)
                best = at, x[i] = try[i];
        }
}

/* From where every fit begins, so that none knows of the rows that it leaves out. */
static const struct serve_constants start = { .matrix = 0.7, .joule8 = 1.5e12, .joule4 = 4.5e12, .cdna = 0.8, .xe = 0.8, .processor = 0.2, .attention = 0.5,
                                              .layer = 60e-6, .row = 20e-6, .server = 0.9 };

static struct serve_constants fit(const bool *use)
{
    struct serve_constants k = start;
    double x[SERVE_CONSTANTS];
    for (int i = 0; i < SERVE_CONSTANTS; i++)
        x[i] = log(constants_of(&k)[i]);
    for (int i = 0; i < AGAIN; i++)
        scan(x, use), least(x, use, i % 2 ? -0.15 : 0.3, 400);
    return constants_at(x);
}

/* Each group of rows that has the same `name` at an offset: predicted by constants fitted without it. */
static void leave_out(size_t name, size_t out, bool told)
{
    bool done[ROWS_MAX] = { false };
    for (int i = 0; i < n_row; i++) {
        if (done[i])
            continue;
        bool use[ROWS_MAX];
        double at[ROWS_MAX];
        const char *group = (const char *)&rows[i] + name;
        for (int j = 0; j < n_row; j++)
            use[j] = strcmp((const char *)&rows[j] + name, group) != 0;
        const struct serve_constants k = fit(use);
        predict_all(&k, at);
        for (int j = 0; j < n_row; j++)
            if (!use[j])
                done[j] = true, *(double *)((char *)&rows[j] + out) = at[j];
        if (told)
            printf("  without %-46s matrix %.3f  joule8 %.2fe12  joule4 %.2fe12  cdna %.3f  xe %.3f  processor %.3f  attention %.3f  layer %4.1f us  row %4.1f us  "
                   "server %.3f\n", group, k.matrix, k.joule8 / 1e12, k.joule4 / 1e12, k.cdna, k.xe, k.processor, k.attention, k.layer * 1e6, k.row * 1e6, k.server);
        fflush(stdout);
    }
}

/* ---- telling ---- */

static int by_size(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

static void tell_errors(const char *what, const char *system, int scenario)
{
    static const struct { const char *name; size_t at; } kinds[] = {
        { "fitted to all", offsetof(struct row, fitted) }, { "accelerator left out", offsetof(struct row, left_out) },
        { "submitter left out", offsetof(struct row, without_submitter) }, { "bare roofline", offsetof(struct row, roofline) },
    };
    printf("%-46s", what);
    for (int kind = 0; kind < COUNT(kinds); kind++) {
        double e[ROWS_MAX];
        int n = 0;
        for (int i = 0; i < n_row; i++)
            if ((!system || !strcmp(rows[i].system, system)) && (scenario < 0 || (int)rows[i].scenario == scenario))
                e[n++] = fabs(*(const double *)((const char *)&rows[i] + kinds[kind].at) / rows[i].measured - 1);
        qsort(e, (size_t)n, sizeof *e, by_size);
        if (!kind)
            printf(" n %3d", n);
        printf(" | %s: median %5.1f %% 90 %% %6.1f %%", kinds[kind].name, 100 * e[n / 2], 100 * e[n * 9 / 10]);
    }
    printf("\n");
}

static void tell_row(const struct row *r)
{
    const double off[] = { r->fitted, r->left_out, r->without_submitter, r->roofline };
    char layout[32];
    const struct serve_layout *l = &r->rate.layout;
    snprintf(layout, sizeof layout, l->ep > 1 ? "ep%d" : l->pp > 1 ? "tp%dpp%d" : "tp%d", l->ep > 1 ? l->ep : l->tp, l->pp);
    printf("%-44.44s %3d %-30.30s %-12s %-11s %-26.26s %11.1f %11.1f", r->system, r->n, r->benchmark, r->precision, scenarios[r->scenario], r->submitter,
           r->measured, r->left_out);
    for (int i = 0; i < COUNT(off); i++)
        printf(" %+7.1f", 100 * (off[i] / r->measured - 1));
    printf("  %-7s %6.0f %7.1f\n", layout, r->rate.at_once, r->rate.step * 1e3);
}

static void tell_named(void)
{
    printf("\n8 MI300X and H100 of llama2-70b and mixtral, fitted to all: within 15 %%?\n");
    for (int i = 0; i < n_row; i++) {
        const struct row *r = &rows[i];
        const bool mi300x = !strcmp(r->device->key, "mi300x") && r->n == 8, h100 = !strcmp(r->device->key, "h100") && r->n == 8;
        if ((!strncmp(r->benchmark, "llama2-70b", 10) && (mi300x || h100)) || (!strncmp(r->benchmark, "mixtral", 7) && mi300x))
            printf("  %-22s %d %-14s %-12s %-20s %+6.1f %%\n", r->system, r->n, r->benchmark, scenarios[r->scenario], r->submitter,
                   100 * (r->fitted / r->measured - 1));
    }
}

static void tell_constants(const struct serve_constants *k)
{
    printf("matrix %.4f       share of the matrix peak at full clock\n", k->matrix);
    printf("joule8 %.4fe12   operations a joule, 8 bits (half as many of 16)\n", k->joule8 / 1e12);
    printf("joule4 %.4fe12   the same, 4 bits\n", k->joule4 / 1e12);
    printf("cdna %.4f         what software reaches of that on AMD's accelerators\n", k->cdna);
    printf("xe %.4f           on Intel's\n", k->xe);
    printf("processor %.4f    and on processors\n", k->processor);
    printf("attention %.4f    rate of attention's products, of that of large ones\n", k->attention);
    printf("layer %.2f us      of a layer beside all else\n", k->layer * 1e6);
    printf("row %.2f us         of the host for a token\n", k->row * 1e6);
    printf("server %.4f       load at which Poisson arrivals keep their time\n", k->server);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: plan_mlperf hardware-measurements.csv\n");
        return 2;
    }
    bool use[ROWS_MAX];
    double at[ROWS_MAX], in_program[ROWS_MAX];
    memset(use, true, sizeof use);
    read_rows(argv[1]);
    printf("%d throughputs of decoder models; left out:%s\n", n_row, n_missing ? "" : " none");
    for (int i = 0; i < n_missing; i++)
        printf("  %s\n", missing[i]);
    const struct serve_constants k = fit(use);
    printf("\n%d constants, fitted to all:\n", SERVE_CONSTANTS);
    tell_constants(&k);
    double off = 0;
    for (int i = 0; i < n_row; i++)
        rows[i].roofline = serve_roofline(&rows[i].model, rows[i].device, rows[i].n, &rows[i].numbers, &rows[i].load);
    printf("\naccelerator left out:\n");
    leave_out(offsetof(struct row, system), offsetof(struct row, left_out), true);
    leave_out(offsetof(struct row, submitter), offsetof(struct row, without_submitter), false);
    predict_all(&serve_fitted, in_program);
    predict_all(&k, at);
    for (int i = 0; i < n_row; i++)
        off = fmax(off, fabs(in_program[i] / at[i] - 1)), rows[i].fitted = at[i], rows[i].rate = rows[rows[i].same].rate;
    printf("\nserve_fitted in the program is at most %.1f %% from these predictions\n\n", 100 * off);
    printf("%-44s %3s %-30s %-12s %-11s %-26s %11s %11s %7s %7s %7s %7s  %-7s %6s %7s\n", "system", "n", "model", "precision", "scenario", "submitter",
           "measured", "left out", "fitted", "out", "sub out", "roofl.", "layout", "texts", "step ms");
    for (int i = 0; i < n_row; i++)
        tell_row(&rows[i]);
    tell_named();
    printf("\n");
    for (int i = 0; i < n_row; i++) {
        bool first = true;
        for (int j = 0; j < i && first; j++)
            first = strcmp(rows[j].system, rows[i].system) != 0;
        if (first)
            tell_errors(rows[i].system, rows[i].system, -1);
    }
    for (int s = 0; s < N_SCENARIO; s++)
        tell_errors(scenarios[s], NULL, s);
    tell_errors("all", NULL, -1);
    return 0;
}
