/* train_time.c - seconds of a step on the slowest stage of a layout, by part. */
#include <math.h>
#include <string.h>
#include "plan/collective.h"
#include "plan/train_parts.h"

/* Of the rate of products, what fused attention reaches: FlashAttention-2 (arXiv:2307.08691) has up to 73 % of an A100's peak forward and 63 % backward
 * (this one from memory), where products reach 78 %.  The best that it had: kernels of other devices and short sequences are slower. */
#define FLASH_FORWARD 0.93
#define FLASH_BACKWARD 0.80
/* The largest share of its peak at which training on a device was met: an A100's.  Kernels timed by themselves reach up to 0.96 of a B300's, on numbers that draw
 * less power; of normal ones cuBLASLt has 0.72 of an H100's (bench/records/gpu-vs-torch-h100-2026-11-27.csv). */
#define SUSTAINED 0.783
/* Exponentials that a unit makes in a second: 16 in a clock, of NVIDIA's since Ampere and AMD's, of about 1.7 GHz. */
#define EXPONENTIALS (16 * 1.7e9)

double train_sum(const double part[N_TRAIN_TIME])
{
    double sum = 0;
    for (int i = 0; i < N_TRAIN_TIME; i++)
        sum += part[i];
    return sum;
}

/* ---- pieces ---- */

static enum number wide(const struct train_case *c) { return c->job->compute == NUMBER_F32 ? NUMBER_F32 : NUMBER_BF16; }      /* of what is not in fp8 */

static double reached(const struct train_case *c) { return c->job->passes * c->d->reach * c->d->bandwidth; }

/* A kernel that reads and writes so many bytes. */
static double pass(const struct train_case *c, double bytes) { return bytes > 0 ? c->d->launch + bytes / reached(c) : 0; }

static struct product_device products_of(const struct train_case *c, enum number what)
{
    struct product_device d = device_product(c->d, what);
    d.mma = fmin(d.mma, SUSTAINED);
    return d;
}

static double product(const struct train_case *c, enum number what, double batch, double M, double N, double K)
{
    const struct product_device d = products_of(c, what);
    return product_seconds(&d, batch, ceil(M), ceil(N), ceil(K), number_bytes(what));
}

/* c[N,K] += a product, in fp32 where gradients are: what is read and written again goes on beside the sums. */
static double gradient_product(const struct train_case *c, enum number what, double batch, double M, double N, double K)
{
    const double operands = number_bytes(what) * (M * K + N * K), sums = 2. * c->job->gradient_bytes * M * N;
    return fmax(product(c, what, batch, M, N, K), pass(c, batch * (operands + sums)));
}

/* n devices, `apart` from each other in the order of devices: so many of a node are in a group. */
static double together(const struct train_case *c, enum collective what, double bytes, int n, int apart)
{
    struct device d = *c->d;
    if (n <= 1 || bytes <= 0)
        return 0;
    d.node = d.node / apart > 1 ? d.node / apart : 1;
    return collective_seconds(&d, what, bytes, n);
}

/* What of `sent` is not hidden behind `work`, and what the units that it takes cost there. */
static double not_hidden(const struct train_case *c, double sent, double work)
{
    const double units = c->d->units > TRAIN_CHANNELS ? (double)TRAIN_CHANNELS / c->d->units : 1;
    return fmax(0, sent - work) + fmin(sent, work) * units;
}

/* ---- products ---- */

struct share { double batch, rows, N, K; };
static struct share share_of(const struct train_case *c, const struct train_product *p)
{
    const int E = c->m->config.n_expert;
    struct share s = { 1, c->T, p->N, p->K };
    const bool whole = p->split == SPLIT_NONE || (p->expert && c->l->ep > 1);
    *(p->split == SPLIT_COLUMNS ? &s.K : &s.N) /= whole ? 1 : c->l->tp;
    if (p->expert)                                       /* ep devices send theirs here */
        s.batch = E / c->l->ep, s.rows = c->T / (whole ? c->stream : 1) * c->l->ep * c->m->config.top_k / E * c->job->imbalance;
    if (p->split == SPLIT_NONE)                          /* on what a device has of the stream */
        s.rows /= c->stream;
    return s;
}

static double adapters(const struct train_case *c, const struct train_product *p, const struct share *s, bool backward)
{
    const double r = c->job->lora_rank;
    if (!r || p->expert || p->split == SPLIT_NONE)
        return 0;
    const enum number w = wide(c);
    const double once = product(c, w, 1, s->rows, r, s->K) + product(c, w, 1, s->rows, s->N, r);
    return !backward ? once : once + gradient_product(c, w, 1, r, s->K, s->rows) + gradient_product(c, w, 1, s->N, r, s->rows);
}

/* Of one product: forward, gradients of its input and of its weights, with what adapters add. */
struct of_product { struct share s; double forward, dx, dx_alone, dw; };
static struct of_product one_product(const struct train_case *c, const struct train_layer *l, const struct train_product *p)
{
    struct of_product t = { .s = share_of(c, p) };
    const struct share *s = &t.s;
    const bool router = l->experts && p->N == c->m->config.n_expert && p->split == SPLIT_NONE;
    const enum number what = router ? wide(c) : c->job->compute;
    t.dx_alone = product(c, what, s->batch, s->rows, s->K, s->N), t.dx = t.dx_alone + adapters(c, p, s, true);
    t.dw = c->job->lora_rank ? 0 : gradient_product(c, what, s->batch, s->N, s->K, s->rows);
    t.forward = product(c, what, s->batch, s->rows, s->N, s->K) + adapters(c, p, s, false);
    return t;
}

struct products { double forward, dx, dw, dx_rows, dw_rows, biases; };      /* _rows: of products whose rows are divided; biases: passes for their gradients */
static struct products products(const struct train_case *c, const struct train_layer *l)
{
    struct products t = { 0 };
    for (int i = 0; i < l->n_product; i++) {
        const struct train_product *p = &l->product[i];
        const struct of_product of = one_product(c, l, p);
        t.forward += of.forward, t.dx += of.dx, t.dw += of.dw;
        if (p->split == SPLIT_ROWS && !(p->expert && c->l->ep > 1))
            t.dx_rows += of.dx_alone, t.dw_rows += of.dw;
        if (p->bias && !c->job->lora_rank)
            t.biases += pass(c, train_element(c) * of.s.batch * of.s.rows * of.s.N);      /* its gradient: a sum over rows */
    }
    return t;
}

/* ---- attention ---- */

/* Keys that a row sees on average, in blocks of 128 as kernels go. */
static double seen(const struct train_case *c, const struct train_layer *l)
{
    return fmin(c->job->ctx, facts_seen(&c->m->facts, c->job->ctx, l->window) + 64);
}

/* of[0]: forward, of[1]: backward. */
static void attention_products(const struct train_case *c, const struct train_layer *l, double of[2])
{
    const struct config *k = &c->m->config;
    const double batch = (double)k->n_head / c->l->tp * c->l->micro, S = c->job->ctx;
    if (c->job->separate) {
        of[0] = product(c, wide(c), batch, S, S, k->d_head) + product(c, wide(c), batch, S, k->d_v, S);
        of[1] = 2 * of[0];
        return;
    }
    const struct product_device d = products_of(c, wide(c));
    const double scores = batch * S * seen(c, l), flops = scores * 2 * (k->d_head + k->d_v), rate = d.mma * d.peak * 2 / number_bytes(wide(c));
    const double exponentials = scores / (EXPONENTIALS * fmax(c->d->units, 1));
    of[0] = d.launch + (flops / (FLASH_FORWARD * rate) + exponentials) / c->job->attention;
    of[1] = 2 * d.launch + (2.5 * flops / (FLASH_BACKWARD * rate) + exponentials) / c->job->attention;        /* scores are made again */
}

/* Softmax and dropout of scores, where they are kernels of their own: scores, probabilities and what is kept of them in 2 bytes, masks in 1. */
static void attention_passes(const struct train_case *c, double of[2])
{
    const struct config *k = &c->m->config;
    const double E = train_element(c), scores = (double)k->n_head / c->l->tp * c->T * c->job->ctx;
    of[0] = of[1] = 0;
    if (!c->job->separate)
        return;
    of[0] = pass(c, 2 * E * scores) + (k->dropout > 0 ? pass(c, (2 * E + 1) * scores) : 0);
    of[1] = pass(c, 3 * E * scores) + (k->dropout > 0 ? pass(c, (2 * E + 1) * scores) : 0);
}

/* ---- passes over activations: norms, sums, activation, rotation, experts' rows ---- */

/* What the activation of an MLP or of experts writes. */
static double numbers_inside(const struct train_case *c, const struct train_layer *l)
{
    const struct config *k = &c->m->config;
    return c->T / c->l->tp * (l->experts ? k->top_k * c->job->imbalance * k->d_ff_expert + k->d_ff_shared : k->d_ff);
}

/* The activation of an MLP, forward or backward: one kernel over what it reads and writes, or a chain of operations on two numbers, whose gradients are two. */
static double activation(const struct train_case *c, const struct train_layer *l, bool backward)
{
    const double E = train_element(c), inside = numbers_inside(c, l);
    if (c->job->chain > 0)
        return c->job->chain * (1 + backward) * pass(c, 3 * E * inside);
    return pass(c, (backward ? config_gated(&c->m->config) ? 5 : 3 : config_gated(&c->m->config) ? 3 : 2) * E * inside);
}

static void passes(const struct train_case *c, const struct train_layer *l, double of[2])
{
    const struct config *k = &c->m->config;
    const double E = train_element(c), C = c->T * k->d_model / c->stream, turned = c->T * (k->n_head + k->n_kv_head) * k->d_head / c->l->tp;
    const int norms = k->place == PLACE_BOTH ? 4 : 2, sums = k->parallel ? 1 : 2;
    of[0] = norms * pass(c, 2 * E * C) + sums * pass(c, 3 * E * C + (k->dropout > 0 ? C : 0)) + activation(c, l, false);
    /* of a norm: input, gradient, result; then into the gradient that goes past it.  Of a sum: its dropout. */
    of[1] = norms * (pass(c, 3 * E * C) + pass(c, 3 * E * C)) + activation(c, l, true);
    of[1] += k->dropout > 0 ? sums * pass(c, (2 * E + 1) * C) : 0;
    if (c->job->separate)                                /* heads' results into rows */
        of[0] += pass(c, 2 * E * c->T * train_width_out(k) / c->l->tp), of[1] += pass(c, 2 * E * c->T * train_width_out(k) / c->l->tp);
    if (k->pos == POS_ROPE)
        of[0] += pass(c, 2 * E * turned), of[1] += pass(c, 2 * E * turned);
    if (k->qk_norm != QK_NORM_NONE)
        of[0] += pass(c, 2 * E * turned), of[1] += pass(c, 3 * E * turned);
    if (k->kv_rank)                                      /* norms of latents, and heads' queries and keys joined of two parts */
        of[0] += pass(c, 2 * E * c->T * (k->q_rank + k->kv_rank)) + pass(c, 2 * E * c->T * train_width_qkv(k) / c->l->tp),
        of[1] += pass(c, 3 * E * c->T * (k->q_rank + k->kv_rank)) + pass(c, 2 * E * c->T * train_width_qkv(k) / c->l->tp);
    if (l->experts) {                                    /* rows to experts and back: sorted, sent and sorted, summed by gates */
        const double rows = (c->l->ep > 1 ? C : c->T * k->d_model) * k->top_k, sorts = c->l->ep > 1 ? 2 : 1;
        of[0] += pass(c, 14 * 4. * c->T * k->n_expert / c->stream) + sorts * pass(c, 2 * E * rows) + sorts * pass(c, 2 * E * rows);
        of[1] += pass(c, 10 * 4. * c->T * k->n_expert / c->stream) + sorts * pass(c, 2 * E * rows) + sorts * pass(c, 3 * E * rows);
    }
}

/* ---- collectives within a layer ---- */

/* Forward: what comes before products whose rows are divided, and after those whose columns are.  Backward, as Megatron-LM: the gradient of their
 * input is summed while their weights' gradient is made; with the stream divided their input is gathered once more while the
 * input's gradient is made, and only gathering the output's gradient waits. */
static void tensor(const struct train_case *c, const struct train_layer *l, const struct products *p, double of[2])
{
    const double size = train_element(c) * c->T * c->m->config.d_model;
    const int tp = c->l->tp, whole = l->experts && c->l->ep > 1 && !c->m->config.d_ff_shared;      /* what is whole needs no sum */
    const double times = c->m->config.parallel ? 1 : 2 - whole;
    if (!c->l->sequence) {
        const double sum = times * together(c, ALL_REDUCE, size, tp, 1);
        of[0] = sum, of[1] = not_hidden(c, sum, p->dw_rows);
        return;
    }
    const double gather = times * together(c, ALL_GATHER, size, tp, 1), scatter = times * together(c, REDUCE_SCATTER, size, tp, 1);
    of[0] = gather + scatter;
    of[1] = gather + not_hidden(c, gather, p->dx_rows) + not_hidden(c, scatter, p->dw_rows);
}

/* Nodes of n that k chosen experts lie on, on average: of all, or of those that a choice by groups leaves. */
static double distinct_nodes(const struct config *k, double n)
{
    const double left = k->n_group > 1 ? fmax(n * k->n_group_chosen / k->n_group, fmin(n, k->n_group_chosen)) : n;
    return left * (1 - pow(1 - 1 / left, k->top_k));
}

/* Rows to their experts and back.  A row goes once to each node that has one of its experts, and on from there by the links, at the same time. */
static double experts(const struct train_case *c)
{
    const struct config *k = &c->m->config;
    const double row = train_element(c) * c->T / c->stream * k->d_model * c->job->imbalance;
    const int node = c->d->node > 1 ? c->d->node : 1, inside = c->l->ep < node ? c->l->ep : node, nodes = (c->l->ep + inside - 1) / inside;
    const double within = together(c, ALL_TO_ALL, row * k->top_k, inside, 1);
    return 2 * (nodes == 1 ? within : fmax(within, together(c, ALL_TO_ALL, row * (c->job->each_row ? k->top_k : distinct_nodes(k, nodes)), nodes, node)));
}

/* What is made again of norms and activations. */
static double cheap_again(const struct train_case *c, const struct train_layer *l)
{
    const struct config *k = &c->m->config;
    const double E = train_element(c), C = c->T * k->d_model / c->stream;
    return (k->place == PLACE_BOTH ? 4 : 2) * pass(c, 2 * E * C) + activation(c, l, false);
}

/* ---- the host ---- */

/* Kernels of a layer that a program launches one after the other, forward and backward: products, of each expert that lies here, with their operands' quantisation;
 * passes; what goes to experts is counted, sorted, sent, and sorted again. */
static void kernels(const struct train_case *c, const struct train_layer *l, double of[2])
{
    const bool fp8 = c->job->compute == NUMBER_FP8;
    double products = 0;
    for (int i = 0; i < l->n_product; i++)
        products += c->job->grouped ? 1 : share_of(c, &l->product[i]).batch;
    of[0] = products * (1 + fp8) + 10 + (l->experts ? 24 : 0);
    of[1] = products * (2 + fp8) + 14 + (l->experts ? 24 : 0);
}

/* ---- layers and ends ---- */

static void layer_time(const struct train_case *c, const struct train_layer *l, struct train_layer_time *t)
{
    const struct products p = products(c, l);
    double attention[2], scores[2], other[2], sent[2];
    attention_products(c, l, attention), attention_passes(c, scores), passes(c, l, other), tensor(c, l, &p, sent);
    memset(t, 0, sizeof *t);
    for (int back = 0; back < 2; back++) {
        double *of = back ? t->backward : t->forward;
        of[TRAIN_TIME_PRODUCTS] = back ? p.dx + p.dw : p.forward;
        of[TRAIN_TIME_ATTENTION] = attention[back] + scores[back];
        of[TRAIN_TIME_PASSES] = other[back] + (back ? p.biases : 0);
        of[TRAIN_TIME_TENSOR] = sent[back];
        of[TRAIN_TIME_EXPERTS] = l->experts && c->l->ep > 1 ? experts(c) : 0;
    }
    if (c->job->hide_experts) {
        const double forward = t->forward[TRAIN_TIME_PRODUCTS] + t->forward[TRAIN_TIME_ATTENTION];
        const double backward = t->backward[TRAIN_TIME_PRODUCTS] + t->backward[TRAIN_TIME_ATTENTION];
        t->forward[TRAIN_TIME_EXPERTS] = not_hidden(c, t->forward[TRAIN_TIME_EXPERTS], backward);
        t->backward[TRAIN_TIME_EXPERTS] = not_hidden(c, t->backward[TRAIN_TIME_EXPERTS], forward);
    }
    double launched[2];
    const double launch = strstr(c->d->kind, "cpu") ? 0 : c->job->launch;      /* cores have no host */
    kernels(c, l, launched);
    for (int back = 0; back < 2; back++) {
        double *of = back ? t->backward : t->forward;
        of[TRAIN_TIME_HOST] = fmax(0, launch * launched[back] - train_sum(of));
    }
    if (c->l->recompute == TRAIN_RECOMPUTE_FULL)
        memcpy(t->again, t->forward, sizeof t->again);
    if (c->l->recompute == TRAIN_RECOMPUTE_CHEAP)
        t->again[TRAIN_TIME_PASSES] = cheap_again(c, l);
    if ((c->l->recompute == TRAIN_RECOMPUTE_ATTENTION || c->l->recompute == TRAIN_RECOMPUTE_CHEAP) && c->job->separate)
        t->again[TRAIN_TIME_ATTENTION] = t->forward[TRAIN_TIME_ATTENTION];
}

/* The table of tokens, the head and the loss.  Separate kernels of the loss go over logits in fp32: to floats, maximum, difference, exponential, sum,
 * quotient, gradient, and back; one kernel writes and reads them and their gradient; a fused one reads logits twice and writes their gradient. */
static void ends_time(const struct train_case *c, struct train_layer_time *t)
{
    const double E = train_element(c), C = c->m->config.d_model, V = ceil((double)c->m->config.vocab_size / c->l->tp), logits = c->T * V;
    const enum number w = wide(c);
    memset(t, 0, sizeof *t);
    t->forward[TRAIN_TIME_PRODUCTS] = product(c, w, 1, c->T, V, C);
    t->backward[TRAIN_TIME_PRODUCTS] = product(c, w, 1, c->T, C, V) + (c->job->lora_rank ? 0 : gradient_product(c, w, 1, V, C, c->T));
    t->forward[TRAIN_TIME_PASSES] = pass(c, (c->job->separate ? 42 : c->job->wide_loss ? E + 8 : E) * logits) + pass(c, 2 * E * c->T * C / c->stream);
    t->backward[TRAIN_TIME_PASSES] = pass(c, (c->job->wide_loss ? 12 + E : 2 * E) * logits) + pass(c, 3 * E * c->T * C / c->stream);
    t->forward[TRAIN_TIME_TENSOR] = together(c, c->l->sequence ? ALL_GATHER : ALL_REDUCE, c->l->sequence ? E * c->T * C : 8 * c->T, c->l->tp, 1);
    t->backward[TRAIN_TIME_TENSOR] = together(c, c->l->sequence ? REDUCE_SCATTER : ALL_REDUCE, E * c->T * C, c->l->tp, 1);
}

void train_times(const struct train_case *c, struct train_times *t)
{
    for (int i = 0; i < c->m->n_kind; i++)
        layer_time(c, &c->m->kind[i], &t->layer[i]);
    ends_time(c, &t->ends);
}

/* ---- a step ---- */

/* To the next stage and, backward, to the one before: each device sends its share of the stream, which is put together again within the tensor group. */
static double sends(const struct train_case *c)
{
    const struct train_layout *l = c->l;
    const double bytes = train_element(c) * c->T * c->m->config.d_model;
    if (l->pp == 1)
        return 0;
    const double one = together(c, SEND, bytes / l->tp, 2, l->tp * l->dp) + (l->sequence ? 0 : together(c, ALL_GATHER, bytes, l->tp, 1));
    return 2 * one * l->interleave;
}

static double embedding_bytes(const struct train_case *c) { return train_element(c) * c->T * c->m->config.d_model; }
static double embedding_passes(const struct train_case *c) { return pass(c, 2 * embedding_bytes(c) / c->stream) + pass(c, 3 * embedding_bytes(c) / c->stream); }
static double embedding_sums(const struct train_case *c) { return together(c, c->l->sequence ? REDUCE_SCATTER : ALL_REDUCE, embedding_bytes(c), c->l->tp, 1); }

/* Of one micro-batch on a stage, forward and backward. */
static double stage_seconds(const struct train_case *c, const struct train_times *t, const struct train_stage *s, double part[N_TRAIN_TIME], double *backward)
{
    const double again = train_again_share(c, s);
    memset(part, 0, N_TRAIN_TIME * sizeof *part);
    *backward = 0;
    for (int j = 0; j < N_TRAIN_TIME; j++) {
        for (int i = 0; i < c->m->n_kind; i++) {
            const struct train_layer_time *l = &t->layer[i];
            part[j] += s->kind[i] * (l->forward[j] + l->backward[j] + again * l->again[j]);
            *backward += s->kind[i] * (l->backward[j] + again * l->again[j]);
        }
        part[j] += s->last ? t->ends.forward[j] + t->ends.backward[j] : 0;
    }
    if (s->first) {                                      /* rows of the table, of which each device of a tensor group has some */
        part[TRAIN_TIME_PASSES] += embedding_passes(c);
        part[TRAIN_TIME_TENSOR] += embedding_sums(c);
    }
    part[TRAIN_TIME_PIPELINE] += sends(c);
    return train_sum(part);
}

/* ZeRO 0: sums of gradients; 1: sums of shares, then weights; 2: sums after each micro-batch, as shares alone are kept; 3: weights before each pass of each
 * micro-batch, shares of sums after each. */
static double copies_seconds(const struct train_case *c, const struct train_stage *s, double stage, double backward)
{
    const struct train_layout *l = c->l;
    const struct train_held learned = train_learned(c, s), all = train_held(c, s);
    const struct { double learned, all; int n, apart; } sets[2] = { { learned.dense, all.dense, l->dp, l->tp },
                                                                    { learned.experts, all.experts, train_expert_copies(l), train_expert_share(l) } };
    const double held = c->job->lora_rank ? c->job->frozen_bytes : train_element(c), times = l->zero == 2 ? c->micros : 1;
    double sums = 0, weights = 0;
    for (int i = 0; i < 2; i++) {
        sums += together(c, l->zero ? REDUCE_SCATTER : ALL_REDUCE, sets[i].learned * c->job->gradient_bytes, sets[i].n, sets[i].apart);
        if (l->zero)
            weights += together(c, ALL_GATHER, l->zero == 3 ? sets[i].all * held : sets[i].learned * train_element(c), sets[i].n, sets[i].apart);
    }
    const int part = TRAIN_TIME_DATA;
    if (l->zero == 3)
        return train_told(c, true, part, c->micros * (c->job->alone ? 2 * weights + sums : not_hidden(c, 2 * weights + sums, stage)),
                          "%g micro-batches: weights twice, %.3g s each, and shares of gradients %.3g s, behind %.3g s of computing", c->micros, weights, sums, c->job->alone ? 0 : stage);
    return train_told(c, true, part, times * (c->job->alone ? sums : not_hidden(c, sums, backward)), "sums of gradients: %g x %.3g s, behind %.3g s of a backward pass", times, sums,
                      c->job->alone ? 0 : backward) +
           train_told(c, true, part, c->job->alone ? weights : not_hidden(c, weights, stage - backward), "new weights: %.3g s, behind %.3g s of a forward pass", weights, c->job->alone ? 0 : stage - backward);
}

/* Passes over what is learned: gradients set to 0, their norm, Adam's three numbers read and written, weights rounded; clipping, and fp16's scale, in passes of
 * their own where kernels are separate. */
static double optimiser_seconds(const struct train_case *c, const struct train_stage *s)
{
    const struct train_held h = train_learned(c, s);
    const double G = c->job->gradient_bytes;
    const double own = c->l->zero ? h.dense / c->l->dp + h.experts / train_expert_copies(c->l) : h.dense + h.experts;
    const double clip = c->job->separate ? 2 * G + 4 : 0, scale = c->job->scaled ? 2 * G : 0;
    const double each = G + scale + clip + G + 2 * c->job->state_bytes + 2;
    return train_told(c, true, TRAIN_TIME_OPTIMISER, pass(c, (h.dense + h.experts) * G), "gradients set to 0: %.5g M numbers x %g bytes at %.4g GB/s", (h.dense + h.experts) / 1e6, G, reached(c) / 1e9) +
           train_told(c, true, TRAIN_TIME_OPTIMISER, pass(c, own * each), "norm and step: %.5g M numbers x %g bytes read and written at %.4g GB/s", own / 1e6, each, reached(c) / 1e9);
}

/* Both ends have the tied table, and the sum of its gradient. */
static double tied_seconds(const struct train_case *c)
{
    const bool tied = c->m->head <= 0 && c->l->pp > 1 && !c->job->lora_rank;
    return train_told(c, true, TRAIN_TIME_DATA, tied ? together(c, ALL_REDUCE, c->m->embed / c->l->tp * c->job->gradient_bytes, 2, c->l->tp * c->l->dp * (c->l->pp - 1)) : 0,
                      "gradients of the tied table, between the first and the last stage");
}

/* ---- explained ---- */

static void tell_products(const struct train_case *c, const struct train_stage *s, int kind, double again)
{
    const struct train_layer *l = &c->m->kind[kind];
    const double full = c->l->recompute == TRAIN_RECOMPUTE_FULL ? again : 0;
    for (int i = 0; i < l->n_product; i++) {
        const struct of_product t = one_product(c, l, &l->product[i]);
        const double each = (1 + full) * t.forward + t.dx + t.dw, times = 2 + full + !c->job->lora_rank;
        train_told(c, true, TRAIN_TIME_PRODUCTS, c->micros * s->kind[kind] * each, "%g micro-batches x %d layers x %.3g ms: %g of [%g, %g] by [%g, %g], %.3g times, %.4g TFLOP/s", c->micros, s->kind[kind],
                   1e3 * each, t.s.batch, ceil(t.s.rows), ceil(t.s.K), ceil(t.s.K), ceil(t.s.N), times, times * 2 * t.s.batch * t.s.rows * t.s.N * t.s.K / each / 1e12);
    }
}

static void tell_layers(const struct train_case *c, const struct train_times *t, const struct train_stage *s)
{
    const double again = train_again_share(c, s);
    for (int j = 0; j < N_TRAIN_TIME; j++)
        for (int i = 0; i < c->m->n_kind; i++) {
            const struct train_layer_time *l = &t->layer[i];
            if (j == TRAIN_TIME_PRODUCTS && s->kind[i])
                tell_products(c, s, i, again);
            else
                train_told(c, true, j, c->micros * s->kind[i] * (l->forward[j] + l->backward[j] + again * l->again[j]), "%g micro-batches x %d layers%s x (%.3g forward + %.3g backward + %.3g again) ms",
                           c->micros, s->kind[i], c->m->kind[i].experts ? " of experts" : "", 1e3 * l->forward[j], 1e3 * l->backward[j], 1e3 * again * l->again[j]);
        }
    for (int j = 0; j < N_TRAIN_TIME && s->last; j++)
        train_told(c, true, j, c->micros * (t->ends.forward[j] + t->ends.backward[j]), "%g micro-batches x head and loss (%.3g forward + %.3g backward) ms", c->micros, 1e3 * t->ends.forward[j],
                   1e3 * t->ends.backward[j]);
    for (int j = TRAIN_TIME_PASSES; j <= TRAIN_TIME_TENSOR && s->first; j++)
        train_told(c, true, j, c->micros * (j == TRAIN_TIME_PASSES ? embedding_passes(c) : embedding_sums(c)), "%g micro-batches x rows of the embedding", c->micros);
    train_told(c, true, TRAIN_TIME_PIPELINE, c->micros * sends(c), "%g micro-batches x %d pieces x %.3g ms to the next stage and back", c->micros, c->l->interleave, 1e3 * sends(c) / c->l->interleave);
}

void train_time(const struct train_case *c, const struct train_times *t, struct train_plan *p)
{
    struct train_stage slowest = { 0 };
    double slow = 0, slow_backward = 0, all = 0;
    for (int i = 0; i < c->l->pp; i++) {
        const struct train_stage s = train_stage(c, i);
        double part[N_TRAIN_TIME], backward;
        const double seconds = stage_seconds(c, t, &s, part, &backward);
        all += seconds;
        if (seconds <= slow)
            continue;
        slow = seconds, slow_backward = backward, slowest = s, p->slowest = i;
        for (int j = 0; j < N_TRAIN_TIME; j++)
            p->time[j] = c->micros * part[j];
    }
    if (c->terms)
        tell_layers(c, t, &slowest);
    p->time[TRAIN_TIME_BUBBLE] = train_told(c, true, TRAIN_TIME_BUBBLE, (all - slow) / c->l->interleave, "a micro-batch through the other %d stages, %.3g s, / %d pieces", c->l->pp - 1, all - slow,
                                            c->l->interleave);      /* the first micro-batch comes through all other stages, a piece at a time */
    p->time[TRAIN_TIME_DATA] = copies_seconds(c, &slowest, slow, slow_backward) + tied_seconds(c);
    p->time[TRAIN_TIME_OPTIMISER] = optimiser_seconds(c, &slowest);
    p->seconds = train_sum(p->time);
}
