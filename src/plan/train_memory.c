/* train_memory.c - bytes on the fullest device of a layout. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "plan/train_parts.h"

/* Contexts of driver and runtime and buffers of collectives: half a gigabyte to one, and more where there are many groups. */
#define RUNTIME_BYTES 1073741824.

static double table_numbers(const struct train_case *c, const struct train_stage *s)
{
    const struct train_model *m = c->m;
    const double head = m->head > 0 ? m->head : m->embed;                 /* a tied one is a copy on the last stage */
    const double tables = (s->first ? m->embed : 0) + (s->last && (!s->first || m->head > 0) ? head : 0);
    return tables / c->l->tp + (s->last ? m->others : 0);
}

struct train_held train_held(const struct train_case *c, const struct train_stage *s)
{
    struct train_held h = { .dense = table_numbers(c, s) };
    for (int i = 0; i < c->m->n_kind; i++) {
        const struct train_numbers n = train_layer_numbers(c->m, &c->m->kind[i]);
        h.dense += s->kind[i] * (n.whole + n.divided / c->l->tp);
        h.experts += s->kind[i] * n.experts / train_expert_share(c->l);
    }
    return h;
}

static double adapter_numbers(const struct train_case *c, const struct train_layer *l)
{
    double sum = 0;
    for (int i = 0; i < l->n_product; i++) {
        const struct train_product *p = &l->product[i];
        const double K = p->K / (p->split == SPLIT_COLUMNS ? c->l->tp : 1), N = p->N / (p->split == SPLIT_ROWS ? c->l->tp : 1);
        sum += p->expert || (l->experts && p->N == c->m->config.n_expert) ? 0 : c->job->lora_rank * (K + N);
    }
    return sum;
}

struct train_held train_learned(const struct train_case *c, const struct train_stage *s)
{
    if (!c->job->lora_rank)
        return train_held(c, s);
    struct train_held h = { 0 };
    for (int i = 0; i < c->m->n_kind; i++)
        h.dense += s->kind[i] * adapter_numbers(c, &c->m->kind[i]);
    return h;
}

/* Elements are of 2 bytes (of f32: 4), masks of dropout of 1.  What a micro-batch of T tokens leaves for the backward pass:
 *   stream between products, in all devices or divided:  inputs of both norms and of both products after them, masks of both sums
 *   divided by tp: queries, keys, values; the input of o; before and after the activation, of all experts of a token
 *   scores: softmax, its mask and what was kept of it, where they are kept at all; else one fp32 number of each row */
static double saved_attention(const struct train_case *c, bool scores)
{
    const struct config *k = &c->m->config;
    const double E = train_element(c), rows = c->T * k->n_head / c->l->tp;
    if (c->job->separate)
        return scores ? rows * c->job->ctx * (k->dropout > 0 ? 2 * E + 1 : E) : 0;
    return rows * 4;
}

/* Rows of the experts on a device. */
static double expert_rows(const struct train_case *c) { return c->T * c->m->config.top_k * c->job->imbalance; }

static double saved_mlp(const struct train_case *c, const struct train_layer *l, bool cheap)
{
    const struct config *k = &c->m->config;
    const double up = (config_gated(k) ? 3 : 2) - cheap;           /* gate, up and their product; or before and after */
    if (!l->experts)
        return c->T * up * k->d_ff / c->l->tp;
    const double rows = expert_rows(c), came = rows * k->d_model / (c->l->ep > 1 ? c->stream : 1);
    return (rows * up * k->d_ff_expert + c->T * up * k->d_ff_shared) / c->l->tp + 2 * came;      /* what came to experts, and what they made */
}

double train_layer_saved(const struct train_case *c, const struct train_layer *l, enum train_recompute again)
{
    const struct config *k = &c->m->config;
    const double E = train_element(c), C = k->d_model;
    const bool cheap = again == TRAIN_RECOMPUTE_CHEAP;
    if (again == TRAIN_RECOMPUTE_FULL)
        return c->T * C * E / c->stream;
    const double norms = k->place == PLACE_BOTH ? 4 : 2, inputs = cheap ? 0 : k->parallel ? 1 : 2;      /* norms' inputs; outputs that products read */
    const double mask = k->dropout > 0 ? (k->parallel ? 1 : 2) * C : 0;
    const double router = l->experts ? 4. * k->n_expert : 0, latent = k->kv_rank ? (cheap ? 1 : 2) * E * (k->q_rank + k->kv_rank) : 0;
    const double stream = c->T * ((norms + inputs) * C * E + mask + router + latent) / c->stream;
    const double divided = c->T * (train_width_qkv(k) + train_width_out(k)) / c->l->tp * E;
    return stream + divided + saved_attention(c, again == TRAIN_RECOMPUTE_NONE) + saved_mlp(c, l, cheap) * E;
}

double train_again_share(const struct train_case *c, const struct train_stage *s)
{
    if (c->l->recompute == TRAIN_RECOMPUTE_NONE)
        return 0;
    return c->l->again && s->layers ? fmin(1, (double)c->l->again / s->layers) : 1;
}

/* Pieces of the stage, of 1 / interleave of its layers each, whose activations wait at once. */
static double in_flight(const struct train_case *c, int stage)
{
    const double pp = c->l->pp, v = c->l->interleave;
    return v > 1 ? fmin(c->micros * v, 2 * (pp - stage - 1) + (v - 1) * pp + 1) : fmin(c->micros, pp - stage);
}

static double activations(const struct train_case *c, const struct train_stage *s, int stage)
{
    const double E = train_element(c), C = c->m->config.d_model, v = c->l->interleave;
    const double again = train_again_share(c, s), waiting = in_flight(c, stage) / v;
    double sum = 0;
    for (int i = 0; i < c->m->n_kind; i++) {
        const double kept = again * train_layer_saved(c, &c->m->kind[i], c->l->recompute) + (1 - again) * train_layer_saved(c, &c->m->kind[i], TRAIN_RECOMPUTE_NONE);
        sum += train_told(c, false, TRAIN_MEMORY_ACTIVATIONS, s->kind[i] * kept * waiting, "%d layers%s x %.4g MB of a micro-batch of %g tokens x %g in flight", s->kind[i],
                          c->m->kind[i].experts ? " of experts" : "", kept / 1e6, c->T, waiting);
    }
    if (s->first && c->m->config.dropout > 0)
        sum += train_told(c, false, TRAIN_MEMORY_ACTIVATIONS, c->T * C / c->stream * fmin(c->micros, c->l->pp), "masks of the embedding's dropout");
    return sum + (s->last ? train_told(c, false, TRAIN_MEMORY_ACTIVATIONS, 2 * c->T * C * E / c->stream, "inputs of the last norm and of the head: 2 x %g tokens x %g x %g bytes%s", c->T, C, E,
                                       c->stream > 1 ? " / tp" : "") : 0);
}

static double workspace(const struct train_case *c, const struct train_stage *s)
{
    const struct config *k = &c->m->config;
    const double E = train_element(c);
    double again = 0, layer = 0;
    for (int i = 0; i < c->m->n_kind; i++) {
        const struct train_numbers n = train_layer_numbers(c->m, &c->m->kind[i]);
        if (s->kind[i])
            again = fmax(again, train_layer_saved(c, &c->m->kind[i], TRAIN_RECOMPUTE_NONE) - train_layer_saved(c, &c->m->kind[i], c->l->recompute));
        layer = fmax(layer, n.whole + n.divided / c->l->tp + n.experts / train_expert_share(c->l));
    }
    const double each = c->job->wide_loss ? E + 8 : 2 * E, logits = s->last ? c->T * k->vocab_size / c->l->tp * each : 0;      /* fused: themselves and their gradients */
    const double sum = logits > again ? train_told(c, false, TRAIN_MEMORY_WORKSPACE, logits, "logits and their gradient: %g tokens x %d / tp %d x %g bytes", c->T, k->vocab_size, c->l->tp, each)
                                      : train_told(c, false, TRAIN_MEMORY_WORKSPACE, again, "a layer that is computed again");
    const double of = c->job->lora_rank ? 2 * c->job->frozen_bytes : 2 * E + c->job->gradient_bytes;
    return train_told(c, false, TRAIN_MEMORY_WORKSPACE, RUNTIME_BYTES, "driver, runtime and buffers of exchanges") + sum +
           train_told(c, false, TRAIN_MEMORY_WORKSPACE, c->l->sequence ? 2 * c->T * k->d_model * E : 0, "the stream gathered: 2 x %g tokens x %d x %g bytes", c->T, k->d_model, E) +
           /* this layer and the next, and what goes out */
           train_told(c, false, TRAIN_MEMORY_WORKSPACE, c->l->zero == 3 ? layer * of : 0, "two layers gathered and a gradient, for ZeRO 3: %.5g M numbers x %g bytes", layer / 1e6, of);
}

/* Numbers times their bytes, divided between copies from this stage of ZeRO on. */
static double state(const struct train_case *c, enum train_memory_part part, const struct train_held *h, int zero, double bytes, const char *what)
{
    const bool divided = c->l->zero >= zero;
    const double of[] = { h->dense, h->experts };
    const int by[] = { divided ? c->l->dp : 1, divided ? train_expert_copies(c->l) : 1 };
    double sum = 0;
    for (int i = 0; i < 2; i++) {
        char copies[32] = "";
        if (c->terms && by[i] > 1)
            snprintf(copies, sizeof copies, " / %d copies", by[i]);
        sum += train_told(c, false, part, of[i] / by[i] * bytes, "%.5g M numbers%s%s%s x %g bytes", of[i] / 1e6, i ? " of experts" : "", what, copies, bytes);
    }
    return sum;
}

static void stage_memory(const struct train_case *c, int i, double out[N_TRAIN_MEMORY])
{
    const struct train_stage s = train_stage(c, i);
    const struct train_held all = train_held(c, &s), learned = train_learned(c, &s);
    const double E = train_element(c);
    out[TRAIN_MEMORY_WEIGHTS] = state(c, TRAIN_MEMORY_WEIGHTS, &all, 3, c->job->lora_rank ? c->job->frozen_bytes : E, c->job->lora_rank ? ", frozen" : "");
    if (c->job->lora_rank)
        out[TRAIN_MEMORY_WEIGHTS] += state(c, TRAIN_MEMORY_WEIGHTS, &learned, 3, E, " of adapters");
    out[TRAIN_MEMORY_GRADIENTS] = state(c, TRAIN_MEMORY_GRADIENTS, &learned, 2, c->job->gradient_bytes, "");
    out[TRAIN_MEMORY_OPTIMISER] = state(c, TRAIN_MEMORY_OPTIMISER, &learned, 1, c->job->state_bytes, "");
    out[TRAIN_MEMORY_ACTIVATIONS] = activations(c, &s, i);
    out[TRAIN_MEMORY_WORKSPACE] = workspace(c, &s);
}

void train_memory(const struct train_case *c, struct train_plan *p)
{
    struct train_case quiet = *c;
    double part[N_TRAIN_MEMORY];
    quiet.terms = NULL, p->bytes = 0;
    for (int i = 0; i < c->l->pp; i++) {
        double sum = 0;
        stage_memory(&quiet, i, part);
        for (int j = 0; j < N_TRAIN_MEMORY; j++)
            sum += part[j];
        if (sum <= p->bytes)
            continue;
        p->bytes = sum, p->fullest = i;
        memcpy(p->memory, part, sizeof part);
    }
    if (c->terms)
        stage_memory(c, p->fullest, part);
}
