#include "plan/train.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "plan/train_parts.h"

static const char *const recompute_names[] = {
#define X(name, word) word,
    TRAIN_RECOMPUTE(X)
#undef X
};
const char *train_recompute_name(enum train_recompute r) { return recompute_names[r]; }

static const char *const memory_names[] = {
#define X(name, word) word,
    TRAIN_MEMORY(X)
#undef X
};
const char *train_memory_name(enum train_memory_part part) { return memory_names[part]; }

static const char *const time_names[] = {
#define X(name, word) word,
    TRAIN_TIME(X)
#undef X
};
const char *train_time_name(enum train_time_part part) { return time_names[part]; }

struct train_job train_job_defaults(const struct train_model *m, const struct train_job *job)
{
    struct train_job j = *job;
    j.wide_loss = j.wide_loss || j.separate;
    j.ctx = j.ctx ? j.ctx : m->config.ctx;
    j.gradient_bytes = j.gradient_bytes && j.compute != NUMBER_F32 ? j.gradient_bytes : 4;
    j.state_bytes = j.state_bytes != 0 ? j.state_bytes : j.compute == NUMBER_F32 ? 8 : 12;
    j.launch = j.launch != 0 ? fmax(j.launch, 0) : TRAIN_LAUNCH;
    j.attention = j.attention != 0 ? j.attention : 1;
    j.passes = j.passes != 0 ? j.passes : 1;
    j.imbalance = j.imbalance != 0 ? j.imbalance : 1;
    j.frozen_bytes = j.frozen_bytes != 0 ? j.frozen_bytes : j.compute == NUMBER_F32 ? 4 : 2;
    return j;
}

struct train_case train_case(const struct train_model *m, const struct train_job *job, const struct train_layout *l, const struct device *d)
{
    return (struct train_case){ m, job, l, d, (double)l->micro * job->ctx, ceil(job->batch / ((double)l->dp * l->micro)), l->sequence ? l->tp : 1, NULL };
}

double train_told(const struct train_case *c, bool time, int part, double value, const char *form, ...)
{
    struct train_terms *t = c->terms;
    if (!t || value == 0)
        return value;
    if (t->n < t->most) {
        va_list words;
        struct train_term *term = &t->term[t->n];
        *term = (struct train_term){ .time = time, .part = part, .value = value };
        va_start(words, form);
        vsnprintf(term->how, sizeof term->how, form, words);
        va_end(words);
    }
    t->n++;
    return value;
}

int train_explain(struct train_term *term, int most, const struct train_plan *p, const struct train_model *m, const struct train_job *job, const struct device *d)
{
    const struct train_job j = train_job_defaults(m, job);
    struct train_terms terms = { term, most, 0 };
    struct train_case c = train_case(m, &j, &p->layout, d);
    struct train_plan same = { 0 };
    struct train_times t;
    train_times(&c, &t);
    c.terms = &terms;
    train_memory(&c, &same), train_time(&c, &t, &same);
    return terms.n;
}

/* Frozen weights have no gradient.  The hardware does PaLM's count, less what windows hide.  What is computed again: the layers, or what attention makes of queries and keys. */
static void flops(const struct train_case *c, struct train_plan *p)
{
    const struct model_facts *f = &c->m->facts;
    const double T = c->job->ctx, products = 2 * f->products, none = c->job->lora_rank ? products : 0, peak = p->n * device_peak(c->d, c->job->compute);
    p->flops_palm = facts_train_flops(f, T, FLOPS_PALM) - none, p->flops_causal = facts_train_flops(f, T, FLOPS_CAUSAL) - none;
    const double keys = facts_forward_flops(f, T) - products, head = 2. * c->m->config.vocab_size * c->m->config.d_model;
    const double layers = c->l->again ? fmin(1, (double)c->l->again * c->l->pp / c->m->config.n_layer) : 1;
    const bool scores = c->l->recompute != TRAIN_RECOMPUTE_NONE && c->job->separate;
    const double again = c->l->recompute == TRAIN_RECOMPUTE_FULL ? layers * (products - head + keys) : scores ? keys : 0;
    p->tokens_second = c->job->batch * T / p->seconds;
    p->mfu_palm = p->tokens_second * p->flops_palm / peak, p->mfu_causal = p->tokens_second * p->flops_causal / peak;
    p->hfu = p->tokens_second * (3 * (products + keys) - none + again) / peak;
}

void train_fill(const struct train_case *c, const struct train_times *t, struct train_plan *p)
{
    int most = 0;
    for (int i = 1; i < c->m->n_kind; i++)
        most = c->m->kind[i].n > c->m->kind[most].n ? i : most;
    p->layout = *c->l, p->n = c->l->tp * c->l->pp * c->l->dp, p->micros = c->micros;
    train_time(c, t, p);
    p->forward = train_sum(t->layer[most].forward), p->backward = train_sum(t->layer[most].backward), p->again = train_sum(t->layer[most].again);
    flops(c, p);
    p->watts = p->n * c->d->watts, p->usd_hour = p->n * c->d->price;
    p->joules_token = p->watts / p->tokens_second, p->usd_mtoken = p->usd_hour / 3600 / p->tokens_second * 1e6;
}

/* Of rows of bench/measured/training.csv. */
char *train_how_sure(char out[TRAIN_HOW_SURE], const struct train_model *m, const struct device *d)
{
    static const struct { const char *key, *words; } measured[] = {
        { "a100", "" }, { "a100-40gb", "" }, { "h100", "" }, { "h200", "" }, { "b200", "" }, { "b300", "" }, { "gb200", "" }, { "gb300", "" },
        { "mi300x", "; of MI300X 3 runs of one model in 2024 alone, which took 1.8 times as long as planned, and in 2026 an H200 was 1.32 to 1.4 times as fast where 1.08 is planned" },
    };
    const char *words = NULL;
    for (size_t i = 0; i < sizeof measured / sizeof *measured; i++)
        words = !strcmp(measured[i].key, d->key) ? measured[i].words : words;
    snprintf(out, TRAIN_HOW_SURE, "%s%s%s%s", m->config.n_expert ? TRAIN_ERROR_MIXTURE : TRAIN_ERROR_DENSE, words ? words : "; none of them on ", words ? "" : d->name, words ? "" : ": not measured");
    return out;
}

int plan_train(struct train_plan *out, const struct train_model *m, const struct train_job *job, const struct train_layout *l, const struct device *d,
               struct err *err)
{
    memset(out, 0, sizeof *out);
    const struct train_job j = train_job_defaults(m, job);
    TRY(train_layout_check_counts(l, err));
    const struct train_case c = train_case(m, &j, l, d);
    struct train_times t;
    TRY(train_layout_check(&c, err));
    train_memory(&c, out);
    train_times(&c, &t);
    train_fill(&c, &t, out);
    return 0;
}
