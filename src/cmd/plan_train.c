#include "cmd/plan_train.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "plan/train.h"

enum { SHOWN = 5, TERMS = 160 };              /* layouts of each device; lines that explain one at most */

static int job_of(struct train_job *job, const struct plan_model *m, const struct plan_options *o, struct err *err)
{
    enum number compute;
    TRY(plan_number_parse(&compute, o->weights, NUMBER_BF16, "weights", err));
    if (compute == NUMBER_INT8 || compute == NUMBER_FP4)
        return ERR(err, UNSUPPORTED, "--weights %s: training in it is not planned, expected f32, bf16 or fp8", o->weights);
    if (compute == NUMBER_F32 && o->gradient_bytes && o->gradient_bytes != 4)
        return ERR(err, USAGE, "--gradient-bytes %lld with --weights f32: its gradients have 4, expected 4 or 0", (long long)o->gradient_bytes);
    const int ctx = o->ctx > 0 ? (int)o->ctx : m->config.ctx;
    *job = (struct train_job){ .ctx = ctx, .batch = fmax(1, floor(o->batch_tokens / ctx)), .compute = compute, .gradient_bytes = (int)o->gradient_bytes, .imbalance = o->imbalance,
                               .lora_rank = (int)o->lora_rank, .hide_experts = o->hide_experts, .launch = o->launch_s > 0 ? o->launch_s : o->launch_s < 0 ? 0 : -1, .frozen_bytes = o->weight_bits / 8 };
    return 0;
}

static char *layout_words(char out[96], const struct train_layout *l)
{
    int n = snprintf(out, 96, "tp %d", l->tp);
    if (l->pp > 1)
        n += snprintf(out + n, (size_t)(96 - n), " pp %d", l->pp);
    if (l->interleave > 1)
        n += snprintf(out + n, (size_t)(96 - n), "x%d", l->interleave);
    n += snprintf(out + n, (size_t)(96 - n), " dp %d", l->dp);
    if (l->ep > 1)
        n += snprintf(out + n, (size_t)(96 - n), " ep %d", l->ep);
    if (l->zero)
        n += snprintf(out + n, (size_t)(96 - n), " ZeRO-%d", l->zero);
    n += snprintf(out + n, (size_t)(96 - n), ", micro-batch %d", l->micro);
    if (l->recompute == TRAIN_RECOMPUTE_FULL && l->again)
        snprintf(out + n, (size_t)(96 - n), ", recompute %d layers", l->again);
    else if (l->recompute)
        snprintf(out + n, (size_t)(96 - n), ", recompute %s", train_recompute_name(l->recompute));
    return out;
}

static double hours_of(const struct train_plan *p, double tokens) { return tokens / p->tokens_second / 3600; }

static void print_parts(const struct train_plan *p, const struct device *d)
{
    char a[32], b[32];
    printf("  memory of the fullest: %s of %s:", fmt_bytes(a, p->bytes), fmt_bytes(b, d->memory));
    for (int i = 0; i < N_TRAIN_MEMORY; i++)
        printf("%s %s %s", i ? "," : "", train_memory_name((enum train_memory_part)i), fmt_bytes(a, p->memory[i]));
    printf("\n  a step: %s:", fmt_seconds_fine(a, p->seconds));
    bool first = true;
    for (int i = 0; i < N_TRAIN_TIME; i++)
        if (p->time[i] > p->seconds / 1000)
            printf("%s %s %.1f %%", first ? "" : ",", train_time_name((enum train_time_part)i), 100 * p->time[i] / p->seconds), first = false;
    printf("\n");
}

static void print_whole(const struct train_plan *p, const struct device *d, const struct plan_options *o)
{
    char a[32], b[32], c[32];
    const double hours = hours_of(p, o->tokens);
    printf("  %s tokens: %s", fmt_count(a, o->tokens), fmt_seconds(b, 3600 * hours));
    if (p->usd_hour > 0)
        printf(", %s at $%.2f a device and hour (%s; %s", plan_dollars(a, hours * p->usd_hour), d->price, d->price_date ? d->price_date : "undated", plan_dollars(b, hours * p->n * d->price_low)),
            printf(" to %s)", plan_dollars(c, hours * p->n * d->price_high));
    if (p->watts > 0)
        printf(", %.3g MWh at %.0f W each", hours * p->watts / 1e6, d->watts);
    printf("\n");
}

/* What each number is the sum, the product or the quotient of. */
static void print_explained(const struct train_plan *p, const struct train_model *m, const struct train_job *job, const struct device *d, const struct plan_options *o)
{
    struct train_term term[TERMS];
    char a[32], b[32];
    const int n = train_explain(term, TERMS, p, m, job, d);
    printf("  its memory, of stage %d of %d, and its time, of stage %d:\n", p->fullest + 1, p->layout.pp, p->slowest + 1);
    for (int part = 0; part < N_TRAIN_MEMORY + N_TRAIN_TIME; part++)
        for (int i = 0; i < n && i < TERMS; i++) {
            const struct train_term *t = &term[i];
            if (t->part + (t->time ? N_TRAIN_MEMORY : 0) != part || t->value < (t->time ? p->seconds : p->bytes) / 1e4)
                continue;
            printf("    %-31s %9s  %s\n", t->time ? train_time_name((enum train_time_part)t->part) : train_memory_name((enum train_memory_part)t->part),
                   t->time ? fmt_seconds_fine(a, t->value) : fmt_bytes(b, t->value), t->how);
        }
    printf("    %-31s %9s  %.0f sequences x %d tokens / %.4g s\n", "tokens/s", fmt_count(a, p->tokens_second), job->batch, job->ctx, p->seconds);
    printf("    %-31s %8.1f%%  %s operations of a token, with keys before it, x %s tokens/s / (%d x %.4g TFLOP/s)\n", "of peak", 100 * p->mfu_causal, fmt_count(a, p->flops_causal),
           fmt_count(b, p->tokens_second), p->n, device_peak(d, job->compute) / 1e12);
    printf("    %-31s %9s  %s tokens / %s tokens/s\n", "hours", fmt_count((char[32]){ 0 }, hours_of(p, o->tokens)), fmt_count(a, o->tokens), fmt_count(b, p->tokens_second));
    if (p->usd_hour > 0)
        printf("    %-31s %9s  %.4g hours x %d devices x $%.2f\n", "dollars", plan_dollars(a, hours_of(p, o->tokens) * p->usd_hour), hours_of(p, o->tokens), p->n, d->price);
    if (p->watts > 0)
        printf("    %-31s %9.4g  %.4g hours x %d devices x %.0f W\n", "MWh", hours_of(p, o->tokens) * p->watts / 1e6, hours_of(p, o->tokens), p->n, d->watts);
}

static void print_device(const struct train_plan *p, int n, const struct train_model *m, const struct train_job *job, const struct device *d, const struct plan_options *o)
{
    char words[96], a[32], b[32];
    printf("%d x %s%s%s: %s tokens/s, %s a step, %.1f %% of peak (PaLM's count %.1f %%)\n", p->n, d->name, *d->mode ? " " : "", d->mode, fmt_count(a, p->tokens_second),
           fmt_seconds_fine(b, p->seconds), 100 * p->mfu_causal, 100 * p->mfu_palm);
    printf("  %s\n", layout_words(words, &p->layout));
    print_parts(p, d);
    print_whole(p, d, o);
    char sure[TRAIN_HOW_SURE];
    printf("  how sure: %s; products and exchanges: %s\n", train_how_sure(sure, m, d), device_sure((char[DEVICE_SURE]){ 0 }, d));
    if (o->explain)
        print_explained(p, m, job, d, o);
    if (o->explain)
        for (int i = 1; i < n; i++)
            printf("  or %s: %s a step, %s\n", layout_words(words, &p[i].layout), fmt_seconds_fine(a, p[i].seconds), fmt_bytes(b, p[i].bytes));
}

static json_t *explained_json(const struct train_plan *p, const struct train_model *m, const struct train_job *job, const struct device *d)
{
    struct train_term term[TERMS];
    const int n = train_explain(term, TERMS, p, m, job, d);
    json_t *all = json_array();
    for (int i = 0; i < n && i < TERMS; i++)
        json_array_append_new(all, json_pack("{s:s, s:s, s:f, s:s}", "of", term[i].time ? "time" : "memory", "part",
                                             term[i].time ? train_time_name((enum train_time_part)term[i].part) : train_memory_name((enum train_memory_part)term[i].part), term[i].time ? "seconds" : "bytes",
                                             term[i].value, "how", term[i].how));
    return all;
}

static json_t *plan_json(const struct train_plan *p, const struct train_model *m, const struct train_job *job, const struct device *d, const struct plan_options *o)
{
    const struct train_layout *l = &p->layout;
    const double hours = hours_of(p, o->tokens);
    char sure[TRAIN_HOW_SURE];
    json_t *memory = json_object(), *time = json_object();
    for (int i = 0; i < N_TRAIN_MEMORY; i++)
        json_object_set_new(memory, train_memory_name((enum train_memory_part)i), json_real(p->memory[i]));
    for (int i = 0; i < N_TRAIN_TIME; i++)
        json_object_set_new(time, train_time_name((enum train_time_part)i), json_real(p->time[i]));
    json_t *layout = json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:s, s:i}", "tp", l->tp, "pp", l->pp, "dp", l->dp, "ep", l->ep, "interleave", l->interleave, "zero", l->zero, "micro_batch",
                               l->micro, "sequence_parallel", l->sequence, "recompute", train_recompute_name(l->recompute), "recompute_layers", l->again);
    return json_pack("{s:s, s:b, s:i, s:o, s:f, s:f, s:o, s:f, s:o, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:s, s:o, s:o}", "device", d->name, "fits", 1, "devices", p->n, "layout", layout, "tokens_per_s", p->tokens_second, "bytes",
                     p->bytes, "memory", memory, "step_seconds", p->seconds, "step_parts", time, "mfu_causal", p->mfu_causal, "mfu_palm", p->mfu_palm, "hfu", p->hfu, "hours", hours, "usd",
                     p->usd_hour > 0 ? json_real(hours * p->usd_hour) : json_null(), "watt_hours", p->watts > 0 ? json_real(hours * p->watts) : json_null(), "explained", explained_json(p, m, job, d), "how_sure", train_how_sure(sure, m, d), "fitted",
                     d->fitted ? json_string(d->fitted) : json_null(), "learnt", *d->learnt ? json_string(d->learnt) : json_null());
}

/* Where no number is given: the least power of two that the model fits on. */
static int best_of(struct train_plan *p, const struct train_model *m, const struct train_job *job, struct plan_device *d, struct err *err)
{
    if (d->count)
        return plan_train_best(p, SHOWN, m, job, &d->device, d->count, err);
    int rc = ERR_NOFIT;
    for (d->count = 1; rc == ERR_NOFIT && d->count <= 1024; d->count *= 2) {
        struct err now;
        rc = plan_train_best(p, SHOWN, m, job, &d->device, d->count, &now);
        if (rc >= 0)
            return rc;
        if (d->count > 1 && rc != ERR_NOFIT)     /* more are not possible at all: what is missing on fewer is the reason */
            return ERR_NOFIT;
        *err = now;
    }
    return rc;
}

static void print_head(const char *name, const struct train_job *job)
{
    printf("%s%s: steps of %.0f sequence%s of %d tokens\n", name, job->lora_rank ? ", adapters alone" : "", job->batch, job->batch == 1 ? "" : "s", job->ctx);
}

/* One of several that cannot: its reason stands where its plan would. */
static int tell_why(const struct plan_device *d, const struct err *why, json_t *all, struct err *err)
{
    if (!cmd_json)
        return printf("%s%s%s: %s\n", d->device.name, *d->device.mode ? " " : "", d->device.mode, why->msg), 0;
    return json_array_append_new(all, json_pack("{s:s, s:b, s:s}", "device", d->device.name, "fits", 0, "why", why->msg)) ? ERR(err, NOMEM, "no memory for the plan") : 0;
}

/* name: the model's, before the first one. */
static int plan_device(const char *name, struct plan_device *d, const struct train_model *m, const struct train_job *job, const struct plan_options *o, json_t *all, struct err *err)
{
    struct train_plan p[SHOWN];
    struct err why;
    const int n = best_of(p, m, job, d, &why);
    const bool several = o->device.n > 1;
    if (name && !cmd_json && (n >= 0 || several))
        print_head(name, job);
    if (n < 0 && several && (n == ERR_NOFIT || n == ERR_USAGE))
        return tell_why(d, &why, all, err);
    if (n < 0)
        return *err = why, n;
    if (cmd_json)
        return json_array_append_new(all, plan_json(p, m, job, &d->device, o)) ? ERR(err, NOMEM, "no memory for the plan") : 0;
    print_device(p, n, m, job, &d->device, o);
    return 0;
}

/* All are looked at before one is planned. */
static int parse_devices(struct plan_device *d, const struct plan_options *o, struct err *err)
{
    for (int i = 0; i < o->device.n; i++) {
        TRY(plan_device_parse(&d[i], o->device.item[i], o, err));
        if (!strcmp(d[i].device.key, PLAN_HERE))
            return ERR(err, UNSUPPORTED, "--train --device this: lathe train CONFIG.yaml --dry-run plans a training on this machine, by measuring its steps");
    }
    return 0;
}

int plan_of_training(const struct plan_model *m, const struct plan_options *o, struct err *err)
{
    struct train_job job;
    struct train_model *model = mem_alloc(sizeof *model);
    struct plan_device *d = mem_alloc_array((size_t)o->device.n, sizeof *d);
    if (!model || !d) {
        mem_free(model), mem_free(d);
        return ERR(err, NOMEM, "no memory for the model's layers");
    }
    json_t *all = cmd_json ? json_array() : NULL;
    int rc = train_model_init(model, &m->config, err);
    rc = rc ? rc : job_of(&job, m, o, err);
    rc = rc ? rc : parse_devices(d, o, err);
    for (int i = 0; i < o->device.n && !rc; i++)
        rc = plan_device(i ? NULL : m->name, &d[i], model, &job, o, all, err);
    if (!rc && cmd_json)
        rc = cmd_print_json(json_pack("{s:o, s:f, s:i, s:f, s:O}", "model", plan_model_json(m), "batch_sequences", job.batch, "ctx", job.ctx, "tokens", o->tokens, "plans", all), err);
    json_decref(all);
    mem_free(model), mem_free(d);
    return rc;
}
