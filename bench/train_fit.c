/* train_fit.c - plan/train against training that others measured (bench/measured/training.csv).
 *
 *     build/bench/train_fit rows FILE.csv [WORD]      each row, measured and planned, and of which parts; with WORD those whose program, model, device or options have it
 *     build/bench/train_fit means FILE.csv            errors by program, kind of model and device
 *     build/bench/train_fit cross FILE.csv            the two constants that are fitted, with each device left out in turn, and the error there
 *
 * An error is exp |log (planned / measured)| - 1: twice as fast is as wrong as half as fast.  Words in `options`, of which each is a fact of the program and none a factor
 * of a row:
 *   26.04 ..      the release
 *   drops         tokens beyond an expert's share are dropped: experts of one size, one kernel for all of them
 *   graphs        the whole step is one graph; otherwise the host launches experts' kernels one by one (TRAIN_LAUNCH)
 *   overlap       experts' rows travel while another micro-batch is computed
 *   alltoall      rows go to each of their experts by themselves, not once to a node
 *   chain=N       the activation is N operations, each a pass (gpt-oss: biases, clamps, a sigmoid, products, the router's weight)
 *   lora=R        its recipe adapts qkv alone; rank 16 on all products is planned
 *   eager         no compiler and few fused kernels: passes reach 0.6 of the bandwidth (fitted)
 *   flash1        FlashAttention of 2022, half as fast as what came after it (arXiv:2307.08691); flash1, flash2 on Hopper: made for Ampere's units, 35 % of the peak and
 *                 not 75 (arXiv:2407.08608)
 *   wide, pure    PyTorch's cross entropy in floats; gradients in bf16
 *   state=B       bytes of the optimiser's for a number
 *   96GB-500W     torchtitan's H100: 2.4 TB/s, and products in proportion to their watts, 500 of 700
 *   tflops=N      of a device, by PaLM's count, in place of tokens */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/file.h"
#include "data/csv.h"
#include "plan/published.h"
#include "plan/train.h"

#define GI 1073741824.
#define ROWS_MAX 1000
static struct err err;

static void check(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "train_fit: %s\n", err.msg);
        exit(1);
    }
}

/* ---- rows ---- */

struct row {
    char program[24], model[24], device[16], options[80];
    double tokens, tflops, gib;          /* tokens a second of a device; or its operations a second; memory, 0: not told */
    struct train_layout l;
    struct train_job job;
    bool drops;
    int model_at;
};
static struct row row[ROWS_MAX];
static int n_row;
static struct train_model models[40];
static char model_name[40][24];
static int n_model;

static const struct { const char *name; int d_model, n_head, n_layer; } mpt[] = {
    { "mpt-125m", 768, 12, 12 }, { "mpt-350m", 1024, 16, 24 }, { "mpt-760m", 1536, 12, 24 }, { "mpt-1b", 2048, 16, 24 }, { "mpt-3b", 2560, 20, 32 }, { "mpt-7b", 4096, 32, 32 },
    { "mpt-13b", 5120, 40, 40 }, { "mpt-30b", 7168, 56, 48 }, { "mpt-70b", 8192, 64, 80 },
};

static const char qwen3_235b[] = "{\"model_type\":\"qwen3_moe\",\"vocab_size\":151936,\"hidden_size\":4096,\"intermediate_size\":12288,\"num_hidden_layers\":94,"
    "\"num_attention_heads\":64,\"num_key_value_heads\":4,\"head_dim\":128,\"max_position_embeddings\":40960,\"rms_norm_eps\":1e-6,\"rope_theta\":1000000.0,"
    "\"hidden_act\":\"silu\",\"num_experts\":128,\"num_experts_per_tok\":8,\"moe_intermediate_size\":1536,\"norm_topk_prob\":true,\"tie_word_embeddings\":false}";

/* The models of llm-foundry and GPT-2 XL have no dropout here. */
static void gpt(struct config *c, const char *name, int vocab, int ctx, int d_model, int n_head, int n_layer)
{
    char text[400];
    snprintf(text, sizeof text, "{\"model_type\":\"gpt2\",\"vocab_size\":%d,\"n_positions\":%d,\"n_embd\":%d,\"n_layer\":%d,\"n_head\":%d,\"resid_pdrop\":0,\"embd_pdrop\":0,\"attn_pdrop\":0}",
             vocab, ctx, d_model, n_layer, n_head);
    check(config_parse(c, text, strlen(text), name, NULL, &err));
}

static int model_find(const char *name)
{
    for (int i = 0; i < n_model; i++)
        if (!strcmp(model_name[i], name))
            return i;
    struct config c;
    bool found = false;
    for (size_t i = 0; i < sizeof mpt / sizeof *mpt && !found; i++)
        if (!strcmp(mpt[i].name, name))
            gpt(&c, name, 50368, 65536, mpt[i].d_model, mpt[i].n_head, mpt[i].n_layer), found = true;
    if (!strcmp(name, "GPT-2-XL"))
        gpt(&c, name, 50257, 1024, 1600, 25, 48);
    else if (!strcmp(name, "Qwen3-235B-A22B"))
        check(config_parse(&c, qwen3_235b, sizeof qwen3_235b - 1, name, NULL, &err));
    else if (!found)
        check(published_config(&c, name, &err));
    snprintf(model_name[n_model], sizeof *model_name, "%s", name);
    check(train_model_init(&models[n_model], &c, &err));
    return n_model++;
}

static const char *word_of(const char *options, const char *word)
{
    const char *p = strstr(options, word);
    return p ? p + strlen(word) : NULL;
}

static void read_options(struct row *r)
{
    const char *o = r->options, *p;
    r->drops = word_of(o, "drops") != NULL;
    r->job.hide_experts = word_of(o, "overlap") != NULL;
    r->job.wide_loss = word_of(o, "wide") != NULL;
    r->job.gradient_bytes = word_of(o, "pure") ? 2 : 0;
    r->job.lora_rank = (p = word_of(o, "lora=")) ? atoi(p) : 0;
    r->job.state_bytes = (p = word_of(o, "state=")) ? atof(p) : 0;
    r->job.grouped = r->drops, r->job.each_row = word_of(o, "alltoall") != NULL;
    r->job.chain = (p = word_of(o, "chain=")) ? atoi(p) : 0;
    r->job.launch = word_of(o, "graphs") ? -1 : 0;
    r->job.attention = word_of(o, "flash1") ? 0.5 : 0;
    if (word_of(o, "flash") && r->device[0] == 'h')
        r->job.attention = (r->job.attention > 0 ? r->job.attention : 1) * 0.47;
    r->job.passes = word_of(o, "eager") ? 0.6 : 0;
    r->tflops = (p = word_of(o, "tflops=")) ? 1e12 * atof(p) : 0;
}

static const char *field(const struct csv *c, const char *name)
{
    const int i = csv_find(c, name);
    size_t n;
    if (i < 0) {
        fprintf(stderr, "train_fit: %s has no column '%s'\n", c->name, name);
        exit(1);
    }
    return csv_field(c, i, &n);
}
static int whole(const struct csv *c, const char *name) { return atoi(field(c, name)); }

static void read_row(const struct csv *c)
{
    struct row *r = &row[n_row++];
    const char *type = field(c, "type"), *again = field(c, "again");
    snprintf(r->program, sizeof r->program, "%s", field(c, "program")), snprintf(r->model, sizeof r->model, "%s", field(c, "model"));
    snprintf(r->device, sizeof r->device, "%s", field(c, "device")), snprintf(r->options, sizeof r->options, "%s", field(c, "options"));
    r->tokens = atof(field(c, "tokens")), r->gib = atof(field(c, "gib"));
    r->l = (struct train_layout){ .tp = whole(c, "tp"), .pp = whole(c, "pp"), .ep = whole(c, "ep"), .interleave = whole(c, "interleave"), .zero = whole(c, "zero"), .micro = whole(c, "micro"),
                                  .again = whole(c, "layers") };
    r->l.dp = whole(c, "devices") / (r->l.tp * r->l.pp), r->l.sequence = r->l.tp > 1;
    for (int i = 0; i < N_TRAIN_RECOMPUTE; i++)
        if (!strcmp(again, train_recompute_name((enum train_recompute)i)))
            r->l.recompute = (enum train_recompute)i;
    r->job = (struct train_job){ .ctx = whole(c, "ctx"), .batch = whole(c, "batch"), .compute = !strcmp(type, "fp8") ? NUMBER_FP8 : NUMBER_BF16 };
    r->model_at = model_find(r->model);
    if (models[r->model_at].config.n_layer % (r->l.pp * r->l.interleave))
        r->l.interleave = 1;             /* pieces of other sizes are not planned */
    read_options(r);
}

static void read_rows(const char *path)
{
    struct buf text;
    struct csv c;
    buf_init(&text);
    check(file_read(path, 1 << 22, &text, &err));
    check(csv_open(&c, text.data, text.len, path, &err));
    for (int rc; (rc = csv_next(&c, &err)) != 0 && n_row < ROWS_MAX;)
        check(rc), read_row(&c);
    csv_release(&c), buf_release(&text);
}

/* ---- plans ---- */

static struct device device_of(const struct row *r)
{
    const struct device *d = device_find(r->device, &err);
    check(d ? 0 : err.code);
    struct device out = *d;
    if (word_of(r->options, "96GB-500W"))
        out.memory = 96 * GI, out.bandwidth = 2.4e12, out.watts = 500, out.peak[NUMBER_BF16] *= 500. / 700, out.peak[NUMBER_FP8] *= 500. / 700;
    return out;
}

/* Where it does not fit as told, as few layers as have to be are computed again. */
static struct train_plan plan_of(const struct row *r, const struct device *d)
{
    const struct train_model *m = &models[r->model_at];
    struct train_layout l = r->l;
    struct train_plan p;
    check(plan_train(&p, m, &r->job, &l, d, &err));
    for (l.again = 1, l.recompute = TRAIN_RECOMPUTE_FULL; r->l.recompute != TRAIN_RECOMPUTE_FULL && p.bytes > d->memory && l.again <= m->config.n_layer / l.pp; l.again++)
        check(plan_train(&p, m, &r->job, &l, d, &err));
    return p;
}

static double measured(const struct row *r, const struct train_plan *p) { return r->tokens > 0 ? r->tokens : r->tflops / p->flops_palm; }

static void tell_parts(const struct train_plan *p)
{
    printf("   ");
    for (int i = 0; i < N_TRAIN_TIME; i++)
        if (p->time[i] > p->seconds / 1000)
            printf(" %s %.3g,", train_time_name((enum train_time_part)i), p->time[i]);
    printf(" of %.3g s\n", p->seconds);
}

static bool wanted(const struct row *r, const char *word)
{
    return !word || strstr(r->program, word) || strstr(r->model, word) || !strcmp(r->device, word) || strstr(r->options, word);
}

static void tell_rows(const char *word)
{
    printf("%-18s %-16s %-9s %-4s %4s %-22s %-10s %-30s %8s %9s %7s %5s %5s\n", "tokens/s of a device", "", "", "", "n", "tp pp dp ep v ZeRO mbs", "again", "", "measured", "planned", "error", "GiB", "told");
    for (int i = 0; i < n_row; i++) {
        const struct row *r = &row[i];
        const struct device d = device_of(r);
        char layout[40], again[20], told[20];
        if (!wanted(r, word))
            continue;
        const struct train_plan p = plan_of(r, &d);
        const struct train_layout *l = &p.layout;
        const double was = measured(r, &p), tokens = p.tokens_second / p.n;
        snprintf(layout, sizeof layout, "%d %d %d %d %d %d %d", l->tp, l->pp, l->dp, l->ep, l->interleave, l->zero, l->micro);
        snprintf(again, sizeof again, l->again ? "%s %d" : "%s", train_recompute_name(l->recompute), l->again);
        snprintf(told, sizeof told, r->gib > 0 ? "%.0f" : " ", r->gib);
        printf("%-18s %-16s %-9s %-4s %4d %-22s %-10s %-30s %8.0f %9.0f %6.1f%% %5.0f %5s%s\n", r->program, r->model, d.key, number_name(r->job.compute), p.n, layout, again, r->options, was, tokens,
               100 * (tokens / was - 1), p.bytes / GI, told, p.bytes > d.memory ? " > memory" : "");
        tell_parts(&p);
    }
}

/* ---- errors ---- */

static int by_size(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

/* Of |log|, as a factor less 1: twice as fast is as wrong as half as fast. */
static void tell_error(const char *what, double *e, int n)
{
    double sum = 0, bias = 0;
    for (int i = 0; i < n; i++)
        sum += fabs(e[i]), bias += e[i], e[i] = fabs(e[i]);
    if (!n)
        return;
    qsort(e, (size_t)n, sizeof *e, by_size);
    printf("%-44s %3d rows: median %5.1f %%, mean %5.1f %%, 90 %% within %5.1f %%; planned %s by %.1f %% on average\n", what, n, 100 * expm1(e[n / 2]), 100 * expm1(sum / n),
           100 * expm1(e[(int)ceil(0.9 * n) - 1]), bias > 0 ? "too fast" : "too slow", 100 * expm1(fabs(bias / n)));
}

static void tell_means(void)
{
    static double e[ROWS_MAX];
    static const char *const groups[][3] = { { "llm-foundry", "a100", "" }, { "llm-foundry", "a100-40gb", "" }, { "llm-foundry", "h100", "" }, { "Megatron-Bridge", NULL, "dense" }, { "Megatron-Bridge", "h100", "mixture" },
        { "Megatron-Bridge", "b200", "mixture" }, { "Megatron-Bridge", "b300", "mixture" }, { "Megatron-Bridge", "gb200", "mixture" }, { "Megatron-Bridge", "gb300", "mixture" }, { "torchtitan", NULL, "" },
        { "TransformerEngine", "h100", "" }, { "TransformerEngine", "h200", "" }, { "TransformerEngine", "mi300x", "" }, { "Megatron-Bridge", NULL, "mixture" }, { NULL, NULL, "dense" }, { NULL, NULL, "" } };
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        int n = 0;
        char name[64];
        for (int i = 0; i < n_row; i++) {
            const struct row *r = &row[i];
            const bool mixture = models[r->model_at].config.n_expert > 0;
            if ((groups[g][0] && strcmp(groups[g][0], r->program)) || (groups[g][1] && strcmp(groups[g][1], r->device)) || (*groups[g][2] && mixture != !strcmp(groups[g][2], "mixture")))
                continue;
            const struct device d = device_of(r);
            const struct train_plan p = plan_of(r, &d);
            e[n++] = log(p.tokens_second / p.n / measured(r, &p));
        }
        snprintf(name, sizeof name, "%s %s %s", groups[g][0] ? groups[g][0] : "all", groups[g][1] ? groups[g][1] : "", groups[g][2]);
        tell_error(name, e, n);
    }
}

/* ---- constants ---- */

/* Each is chosen over a few values, by the least mean of |log| of the rows that it bears on but those of one device, and then held against these. */
struct constant { const char *name; double least, step; int n; bool (*bears)(const struct row *); void (*set)(struct row *, double); };
static bool is_mixture(const struct row *r) { return models[r->model_at].config.n_expert > 0; }
static bool is_eager(const struct row *r) { return word_of(r->options, "eager") != NULL && !strcmp(r->program, "llm-foundry"); }
static void set_launch(struct row *r, double v) { r->job.launch = r->job.launch < 0 ? -1 : v; }
static void set_passes(struct row *r, double v) { r->job.passes = v; }
static const struct constant constants[] = {
    { "seconds of the host for a kernel", 5e-6, 5e-6, 16, is_mixture, set_launch }, { "share of the bandwidth that passes of eager programs reach", 0.4, 0.05, 13, is_eager, set_passes },
};

static double error_of(const struct row *r)
{
    const struct device d = device_of(r);
    const struct train_plan p = plan_of(r, &d);
    return log(p.tokens_second / p.n / measured(r, &p));
}

static void cross(const struct constant *c)
{
    static double e[ROWS_MAX][32], held[ROWS_MAX];
    static const char *const devices[] = { "a100", "a100-40gb", "h100", "b200", "b300", "gb200", "gb300", "" };
    int n_held = 0;
    for (int i = 0; i < n_row; i++)
        for (int v = 0; v < c->n && c->bears(&row[i]); v++) {
            struct row with = row[i];
            c->set(&with, c->least + v * c->step);
            e[i][v] = error_of(&with);
        }
    printf("%s\n", c->name);
    for (size_t out = 0; out < sizeof devices / sizeof *devices; out++) {
        int best = 0, n = 0;
        double least = INFINITY;
        for (int v = 0; v < c->n; v++) {
            double sum = 0;
            for (int i = 0; i < n_row; i++)
                sum += c->bears(&row[i]) && strcmp(row[i].device, devices[out]) ? fabs(e[i][v]) : 0;
            if (sum < least)
                least = sum, best = v;
        }
        for (int i = 0; i < n_row; i++)
            if (c->bears(&row[i]) && (!*devices[out] || !strcmp(row[i].device, devices[out])))
                held[n_held + n++] = e[i][best];
        if (n && *devices[out])
            printf("    %-9s left out: %8.3g of the others\n", devices[out], c->least + best * c->step), n_held += n;
        else if (n)
            printf("    all: %8.3g\n", c->least + best * c->step);
    }
    tell_error("    of those left out", held, n_held);
}

int main(int argc, char **argv)
{
    if ((argc == 3 || argc == 4) && !strcmp(argv[1], "rows"))
        read_rows(argv[2]), tell_rows(argc == 4 ? argv[3] : NULL);
    else if (argc == 3 && !strcmp(argv[1], "cross")) {
        read_rows(argv[2]);
        for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
            cross(&constants[i]);
    }
    else if (argc == 3 && !strcmp(argv[1], "means"))
        read_rows(argv[2]), tell_means();
    else {
        fprintf(stderr, "usage: train_fit rows FILE.csv [WORD] | means FILE.csv | cross FILE.csv\n");
        return 2;
    }
    return 0;
}
