#include "plan/serve_rate.h"
#include <math.h>
#include <string.h>
#include "plan/collective.h"
#include "plan/facts.h"

/* bench/plan_mlperf, bench/records/plan-mlperf-2026-11-27.txt */
const struct serve_constants serve_fitted = {
    .matrix = 0.830, .joule8 = 1.635e12, .joule4 = 5.971e12, .cdna = 0.834, .xe = 0.693, .processor = 0.0945, .attention = 0.403,
    .layer = 123.5e-6, .row = 11.36e-6, .server = 0.935
};

/* Taken, not fitted. */
#define MEMORY_USED 0.92         /* of a device's memory, as engines are told to */
#define WORKSPACE 1e9            /* bytes beside weights and cache */
#define TEXTS_MOST 4096          /* that engines continue at once */
#define PAD 32                   /* rows that an expert's product has beside its own: half a tile of 64 */
#define PIPELINE 0.9             /* of its time a stage works, since prompts are not equally long */
#define Z 3.29                   /* 2.33, of the normal distribution, times the root of 2: sizes vary by their mean */

/* ---- the model ---- */

int serve_model_of(struct serve_model *m, const struct config *c, struct err *err)
{
    struct model_facts f;
    if (c->encoder)
        return ERR(err, UNSUPPORTED, "%s is an encoder, expected a model that continues texts", family_name(c->family));
    TRY(model_facts(&f, c, err));
    *m = (struct serve_model){
        .experts = c->n_expert, .chosen = c->top_k, .layers = c->n_layer, .heads = c->n_head, .kv_heads = c->kv_rank ? 1 : c->n_kv_head, .stream = c->d_model,
        .head = (double)c->vocab_size * c->d_model, .kv = f.kv_full, .kv_window = f.kv_windowed, .window = f.window,
        .key = f.key_full, .key_prompt = f.key_full, .key_window = f.key_windowed,
    };
    for (int i = 0; i < c->n_layer; i++)
        m->expert_layers += !config_dense(c, i);
    m->dense = f.matrices[FACTS_ATTENTION] + f.matrices[FACTS_MLP] + f.matrices[FACTS_SHARED] + f.matrices[FACTS_ROUTER];
    m->expert = m->expert_layers ? f.matrices[FACTS_EXPERTS] / m->expert_layers / c->n_expert : 0;
    if (c->kv_rank)      /* engines continue MLA on what all heads share */
        m->key = 2.0 * c->n_head * (2 * c->kv_rank + config_d_rot(c)) * c->n_layer;
    /* The stream: sums, norms, what products read and write; q, k, v and what attention makes; gate, up and their product, the chosen experts' too */
    const double inner = c->kv_rank ? c->q_rank + c->n_head * (double)(c->d_head + c->d_v) + c->kv_rank + config_d_rot(c) : config_qkv_rows(c);
    const double shared = c->d_ff_shared ? 3.0 * c->d_ff_shared + 2.0 * c->d_model : 0;
    const double chosen = m->expert_layers * (c->top_k * (3.0 * c->d_ff_expert + 2.0 * c->d_model) + shared);
    m->passes = c->n_layer * (10.0 * c->d_model + 3 * inner) + (c->n_layer - m->expert_layers) * 3.0 * c->d_ff + chosen;
    return 0;
}

/* ---- the device ---- */

/* What all of the following is of. */
struct job {
    const struct serve_model *m;
    const struct serve_constants *k;
    const struct serve_numbers *numbers;
    const struct serve_load *load;
    const struct device *d;
    int n, sockets, beams;           /* devices; sockets that are one of them */
    double memory, bandwidth;        /* of one; bandwidth: what is reached */
    double rate, rate16, rate_cache; /* operations a second: of products, in bf16, on the cache's numbers */
};

static bool is_processor(const struct device *d) { return strstr(d->kind, "cpu") != NULL; }

static double software(const struct job *j)
{
    if (is_processor(j->d))
        return j->k->processor;
    return !strcmp(j->d->vendor, "AMD") ? j->k->cdna : !strcmp(j->d->vendor, "Intel") ? j->k->xe : 1;
}

static double reached(const struct job *j, enum number what)
{
    const double peak = j->d->peak[what] * j->sockets, joule = what == NUMBER_FP4 ? j->k->joule4 : what == NUMBER_BF16 ? j->k->joule8 / 2 : j->k->joule8;
    const double by_clock = j->k->matrix * peak, by_power = j->d->watts ? j->d->watts * j->sockets * joule : by_clock;
    return software(j) * fmin(by_clock, by_power);
}

/* Narrower numbers than the units know are widened to bf16 as they are read; without bf16, to f32. */
static enum number computed(const struct device *d, enum number what) { return d->peak[what] ? what : d->peak[NUMBER_BF16] ? NUMBER_BF16 : NUMBER_F32; }

static struct job job_of(const struct serve_model *m, const struct device *d, int n, const struct serve_numbers *numbers, const struct serve_load *load,
                         const struct serve_constants *k)
{
    struct job j = { m, k, numbers, load, d, n, 1, load->beams > 1 ? load->beams : 1, 0, 0, 0, 0, 0 };
    if (is_processor(d))
        j.sockets = n, j.n = 1;
    j.memory = d->memory * j.sockets, j.bandwidth = d->reach * d->bandwidth * j.sockets;
    j.rate = reached(&j, computed(d, numbers->compute)), j.rate16 = reached(&j, computed(d, NUMBER_BF16));
    j.rate_cache = numbers->cache <= 1 ? reached(&j, computed(d, NUMBER_FP8)) : j.rate16;
    return j;
}

/* ---- a step ---- */

static int stages(const struct serve_layout *l) { return l->ep > 1 ? 1 : l->pp; }
static int divided(const struct serve_layout *l) { return l->ep > 1 ? 1 : l->tp; }           /* attention and what every token meets */
static int experts_over(const struct serve_layout *l) { return l->ep > 1 ? l->ep : l->tp; }
static int devices(const struct serve_layout *l) { return l->ep > 1 ? l->ep : l->tp * l->pp; }

static double kept(const struct serve_model *m, double tokens) { return m->kv * tokens + m->kv_window * fmin(tokens, m->window); }
static double kept_of(const struct job *j, const struct serve_layout *l, double tokens)
{
    const int over = divided(l) < j->m->kv_heads ? divided(l) : j->m->kv_heads;
    return kept(j->m, tokens) * j->numbers->cache / over / stages(l);
}

static double weights_of(const struct job *j, const struct serve_layout *l)
{
    const struct serve_model *m = j->m;
    const double experts = m->expert * m->experts * m->expert_layers / experts_over(l);
    return (m->dense / divided(l) + experts) / stages(l) * j->numbers->bits / 8 + 2 * m->head / divided(l) * (stages(l) > 1 ? 1 : 2);
}

static double experts_seconds_of(const struct job *j, const struct serve_layout *l, double rows)
{
    const struct serve_model *m = j->m;
    if (!m->experts || !m->expert_layers)
        return 0;
    const double met = m->experts * (1 - pow(1 - (double)m->chosen / m->experts, rows)), share = (double)m->expert_layers / stages(l) / experts_over(l);
    return share * fmax(2 * m->expert * (rows * m->chosen + met * PAD) / j->rate, met * m->expert * j->numbers->bits / 8 / j->bandwidth);
}

static double exchange_seconds(const struct job *j, const struct serve_layout *l, double rows)
{
    const struct serve_model *m = j->m;
    if (l->ep > 1) {     /* a byte of each number there, two back */
        const double numbers = rows * m->chosen * m->stream;
        return m->expert_layers * (collective_seconds(j->d, ALL_TO_ALL, numbers, l->ep) + collective_seconds(j->d, ALL_TO_ALL, 2 * numbers, l->ep));
    }
    return l->tp > 1 ? 2.0 * m->layers / l->pp * collective_seconds(j->d, ALL_REDUCE, 2 * rows * m->stream, l->tp) : 0;
}

/* Tokens that a text gets of a step; rows of prompts beside so many texts. */
static double gained(const struct serve_load *load) { return 1 + load->kept; }
static double read_of(const struct serve_load *load, double texts) { return load->alone ? 0 : texts * gained(load) * load->prompt / load->output; }

/* Of a stage.  The host's time for a row is j's load's. */
static struct serve_time time_of(const struct job *j, const struct serve_layout *l, const struct serve_step *s)
{
    const struct serve_model *m = j->m;
    const double share = 1.0 / stages(l) / divided(l), n = s->rows + s->prompt_rows;
    const double seen = s->texts > 0 ? s->keys / s->texts : 0, own = s->prompt_rows > 0 ? s->prompt_keys / s->prompt_rows : 0;
    const double seen_window = fmin(seen, m->window), own_window = fmin(own, m->window);
    return (struct serve_time){
        .products = m->dense * share * fmax(2 * n / j->rate, j->numbers->bits / 8 / j->bandwidth),
        .experts = experts_seconds_of(j, l, n * (l->ep > 1 ? l->ep : 1)),
        .head = m->head * share * fmax(2 * s->rows / j->rate16, 2 / j->bandwidth),
        .attention = fmax(s->texts * kept_of(j, l, seen) / j->bandwidth,
                          s->rows * (m->key * seen + m->key_window * seen_window) * share / (j->k->attention * j->rate_cache)),
        .prompts = s->prompt_rows * (m->key_prompt * own + m->key_window * own_window) * share / (j->k->attention * j->rate16),
        .passes = 2 * m->passes * share * n / j->bandwidth,
        .exchanges = exchange_seconds(j, l, n),
        .fixed = (double)m->layers / stages(l) * j->k->layer + s->rows * (j->load->row ? j->load->row : j->k->row),
    };
}

/* Of B texts in a replica (on a device where ep > 1), of which each stage has its share. */
static struct serve_time step_time(const struct job *j, const struct serve_layout *l, double B, bool prompts)
{
    const struct serve_load *load = j->load;
    const double texts = B / stages(l) * j->beams, read = prompts ? read_of(load, B / stages(l)) : 0;
    const struct serve_step s = { texts, texts * (1 + load->drafts), texts * (load->prompt + load->output / 2), read, read * load->prompt / 2 };
    return time_of(j, l, &s);
}

static double sum_of(const struct serve_time *t, const struct serve_layout *l)
{
    const double s = t->products + t->experts + t->head + t->attention + t->prompts + t->passes + t->exchanges + t->fixed;
    return stages(l) > 1 ? s / PIPELINE : s;
}

static double step_seconds(const struct job *j, const struct serve_layout *l, double B, bool prompts)
{
    const struct serve_time t = step_time(j, l, B, prompts);
    return sum_of(&t, l);
}

/* For each token, of one text in a hundred. */
static double late_seconds(const struct job *j, const struct serve_layout *l, double B)
{
    const double with = step_seconds(j, l, B, true), without = step_seconds(j, l, B, false);
    return stages(l) / gained(j->load) * (without + (with - without) * (1 + Z / sqrt(B)));
}

/* ---- how many texts ---- */

static double texts_that_fit(const struct job *j, const struct serve_layout *l)
{
    const double room = j->memory * MEMORY_USED - WORKSPACE - weights_of(j, l);
    const double fit = fmin(TEXTS_MOST, room / kept_of(j, l, j->load->prompt + j->beams * j->load->output / 2));
    return j->load->at_most ? fmin(fit, j->load->at_most) : fit;
}

/* The most texts up to `most` that keep their time, to 1 %; 0: none do. */
static double texts_in_time(const struct job *j, const struct serve_layout *l, double most)
{
    double high = most, low = most;
    if (!j->load->tpot)
        return most;
    for (; late_seconds(j, l, low) > j->load->tpot; high = low, low *= 0.6)
        if (low < 0.25)
            return 0;
    while (low < high / 1.01) {
        const double middle = sqrt(low * high);
        *(late_seconds(j, l, middle) <= j->load->tpot ? &low : &high) = middle;
    }
    return low;
}

static void rate_in(struct serve_rate *out, const struct job *j, const struct serve_layout *l)
{
    const double most = texts_that_fit(j, l), B = most >= 1 ? texts_in_time(j, l, most) : 0;
    *out = (struct serve_rate){ .layout = *l, .at_once = B };
    if (!(B > 0))
        return;
    out->time = step_time(j, l, B, true), out->step = sum_of(&out->time, l), out->tpot = late_seconds(j, l, B);
    const int replicas = j->n / devices(l);
    out->tokens = replicas * gained(j->load) * B / stages(l) / out->step * (l->ep > 1 ? l->ep : 1) * (j->load->tpot ? j->k->server : 1);
}

/* ---- layouts ---- */

static bool allowed(const struct job *j, const struct serve_layout *l)
{
    const int node = j->d->node ? j->d->node : 1;
    if (l->tp < 1 || l->pp < 1 || l->ep < 1 || devices(l) > j->n)
        return false;
    if (l->ep > 1)
        return l->tp == 1 && l->pp == 1 && j->m->experts >= l->ep && l->ep <= node;
    return l->tp <= node && j->m->heads % l->tp == 0 && l->pp <= j->m->layers;
}

static void better(struct serve_rate *best, const struct job *j, struct serve_layout l)
{
    struct serve_rate r;
    if (!allowed(j, &l))
        return;
    rate_in(&r, j, &l);
    if (r.tokens > best->tokens || !best->layout.tp)
        *best = r;
}

int serve_rate(struct serve_rate *out, const struct serve_model *m, const struct device *d, int n, const struct serve_numbers *numbers,
               const struct serve_load *load, const struct serve_layout *layout, const struct serve_constants *k, struct err *err)
{
    *out = (struct serve_rate){ 0 };
    if (n < 1)
        return ERR(err, USAGE, "%d devices, expected one or more", n);
    if (!(load->output > 0) || !(load->prompt >= 0))
        return ERR(err, USAGE, "texts of %g tokens and %g more, expected at least 0 and more than 0", load->prompt, load->output);
    const struct job j = job_of(m, d, n, numbers, load, k);
    if (layout && !allowed(&j, layout))
        return ERR(err, USAGE, "tp %d, pp %d, ep %d on %d %s: expected tp * pp or ep of them at most, tp a divisor of %d heads and within a node of %d, "
                               "ep (alone) up to %d experts",
                       layout->tp, layout->pp, layout->ep, j.n, d->name, m->heads, d->node ? d->node : 1, m->experts);
    if (layout) {
        rate_in(out, &j, layout);
        return 0;
    }
    for (int tp = 1; tp <= 8; tp *= 2)
        for (int pp = 1; pp <= 4; pp *= 2)
            better(out, &j, (struct serve_layout){ tp, pp, 1 });
    for (int ep = 2; ep <= 64; ep *= 2)
        better(out, &j, (struct serve_layout){ 1, 1, ep });
    return 0;
}

double serve_step_seconds(const struct serve_model *m, const struct device *d, int n, const struct serve_numbers *numbers, const struct serve_layout *layout,
                          const struct serve_constants *k, const struct serve_step *step)
{
    const struct serve_load load = { 0 };
    const struct job j = job_of(m, d, n, numbers, &load, k);
    const struct serve_time t = time_of(&j, layout, step);
    return sum_of(&t, layout);
}

/* ---- roofline ---- */

/* Of a step of B texts on all devices together. */
static double bare_step(const struct serve_model *m, const struct device *d, double n, const struct serve_numbers *numbers, const struct serve_load *load,
                        double B)
{
    const int beams = load->beams > 1 ? load->beams : 1;
    const double read = read_of(load, B), rows = B * beams * (1 + load->drafts) + read, seen = load->prompt + load->output / 2;
    const double met = m->experts ? m->experts * (1 - pow(1 - (double)m->chosen / m->experts, rows)) : 0;
    const double products = 2 * (m->dense + m->expert * m->expert_layers * m->chosen) * rows + 2 * m->head * (rows - read);
    const double keys = (rows - read) * (m->key * seen + m->key_window * fmin(seen, m->window)) + read * m->key_prompt * load->prompt / 2;
    const double bytes = (m->dense + m->expert * m->expert_layers * met) * numbers->bits / 8 + 2 * m->head + B * beams * kept(m, seen) * numbers->cache;
    return fmax((products + keys) / (n * d->peak[computed(d, numbers->compute)]), bytes / (n * d->bandwidth));
}

double serve_roofline(const struct serve_model *m, const struct device *d, int n, const struct serve_numbers *numbers, const struct serve_load *load)
{
    const double weights = (m->dense + m->expert * m->experts * m->expert_layers) * numbers->bits / 8 + 4 * m->head;
    const double each = kept(m, load->prompt + load->output / 2) * numbers->cache;
    double B = (n * d->memory - weights) / each;
    if (load->at_most)
        B = fmin(B, load->at_most);
    if (!(B > 0))
        return 0;
    while (load->tpot && B > 1e-3 && bare_step(m, d, n, numbers, load, B) > load->tpot * gained(load))
        B *= 0.99;
    return gained(load) * B / bare_step(m, d, n, numbers, load, B);
}
