/* step.c - gradients, update and evaluation.  Nothing is allocated in a step. */
#include "train/run.h"
#include <math.h>
#include <string.h>
#include "base/log.h"
#include "base/tree.h"
#include "nn/device.h"
#include "train/adversary.h"
#include "train/balance.h"
#include "train/ranks.h"

#define SAMPLE_TOKENS 16             /* of a sequence whose mean loss says something */

/* ---- one step ---- */

void run_load_inputs(const struct run *r, const struct decoder *d)
{
    const size_t n = (size_t)r->batch.n * sizeof(int32_t);
    memcpy(d->g->tensor[d->ids].data, r->batch.ids, n);
    memcpy(d->g->tensor[d->pos].data, r->batch.pos, n);
    memcpy(d->g->tensor[d->target].data, r->batch.target, n);
}

int run_count_targets(const struct run *r)
{
    int n = 0;
    for (int i = 0; i < r->batch.n; i++)
        n += r->batch.target[i] >= 0;
    return n;
}

/* Sum of nll over the counted ones of these tokens of what was run last, or over these sequences. */
static double sum_nll(const struct run *r, const struct decoder *d, int from, int end)
{
    const float *nll = d->g->tensor[d->nll].data;
    double sum = 0;
    for (int i = from; i < end; i++)
        sum += run_classifies(r) || r->batch.target[i] >= 0 ? (double)nll[i] : 0;
    return sum;
}

struct step run_step_of(const struct run *r, int64_t i_micro)
{
    return (struct step){ .T = r->batch.n, .S = r->batch.n_seq, .seq_start = r->batch.seq_start, .seed = (uint64_t)r->c.seed, .i_step = (uint64_t)i_micro };
}

/* A micro-batch is a pure function of its number, which counts through the whole run. */
static void load_micro(struct run *r, int64_t i_micro, struct batch *b)
{
    if (run_classifies(r))
        classes_batch(&r->classes, &r->c, r->pool, i_micro, r->micro, &r->model, b), adversary_change(r, i_micro, b);
    else
        loader_batch(&r->loader, (uint64_t)i_micro, b);
    if (r->o->fault && !run_classifies(r))
        fault_batch(r->o->fault, i_micro, r->n_micro, (int)r->c.ctx, r->c.model.vocab_size, b);
}

void run_load_micro(struct run *r, int64_t i_micro) { load_micro(r, i_micro, &r->batch); }

void run_load_slices(struct run *r, int64_t i_micro, int n)
{
    struct batch *b = &r->batch;
    b->n = b->n_seq = 0;
    for (int v = 0; v < n; v++) {
        struct batch slice = { b->ids + b->n, b->target + b->n, b->pos + b->n, b->seq_start + b->n_seq, 0, 0 };
        load_micro(r, i_micro + v, &slice);
        r->slice_seq[v] = b->n_seq, r->slice_row[v] = b->n;
        for (int i = 0; i <= slice.n_seq; i++)
            slice.seq_start[i] += b->n;
        b->n += slice.n, b->n_seq += slice.n_seq;
    }
    r->slice_seq[n] = b->n_seq, r->slice_row[n] = b->n;
}

/* The first micro-batch of the step. */
static int64_t first_micro(const struct run *r) { return (r->state.step + r->state.shift) * r->n_micro; }

int64_t run_first_micro(const struct run *r) { return first_micro(r) + r->n_micro / r->c.slices * r->first_slice; }

/* Of this rank's slices. */
static int64_t count_step(struct run *r)
{
    const int64_t first = run_first_micro(r);
    int64_t n = 0;
    if (run_classifies(r))
        return run_own_micro(r) * r->micro;
    for (int64_t i = 0; i < run_own_micro(r); i++) {
        run_load_micro(r, first + i);
        n += train_prefers(&r->c) ? r->batch.n_seq / 2 : run_count_targets(r);
    }
    return n;
}

/* The sums of slice i_slice of what was run last, added to its others; p: of its pairs. */
void run_add_sums(const struct run *r, int i_slice, const struct step *s, const struct preference *p, double *sums)
{
    const bool joined = s->n_slice > 1;
    const double nll = sum_nll(r, &r->model, joined ? r->slice_row[i_slice] : 0, joined ? r->slice_row[i_slice + 1] : run_classifies(r) ? r->batch.n_seq : r->batch.n);
    sums[SUM_LOSS] += (train_prefers(&r->c) ? p->loss : nll) * s->loss_scale;
    sums[SUM_CHOSEN] += p->chosen * s->loss_scale, sums[SUM_REJECTED] += p->rejected * s->loss_scale, sums[SUM_RIGHT] += p->right * s->loss_scale;
    for (int i = 0; i < r->model.n_stats; i++) {
        const double *stats = (const double *)r->model.g->tensor[r->model.stats[i]].data + i_slice * run_stats_width(r);
        const struct aux_losses l = graph_aux_losses(stats, &r->model.route);
        sums[SUM_AUX] += (l.lb + l.z) * s->aux_scale;
        for (int64_t k = 0; k < run_stats_width(r); k++)
            sums[SUM_STATS + i * run_stats_width(r) + k] += stats[k];
    }
}

/* Losses of the images, or of those sequences that are long enough to be judged by, from .. end - 1 of the batch. */
static void note_samples(struct run *r, int64_t i_micro, int from, int end)
{
    const float *nll = r->model.g->tensor[r->model.nll].data;
    const int enough = r->c.ctx < 2 * SAMPLE_TOKENS ? (int)r->c.ctx / 2 : SAMPLE_TOKENS;
    for (int q = from; q < end && !train_prefers(&r->c); q++) {      /* of pairs, what matters is no loss of a sequence */
        double sum = 0;
        int n = 0;
        if (run_classifies(r))
            doctor_sample(&r->seen, (double)nll[q], i_micro, q - from, false);
        for (int i = r->batch.seq_start[q]; !run_classifies(r) && i < r->batch.seq_start[q + 1]; i++)
            if (r->batch.target[i] >= 0)
                sum += (double)nll[i], n++;
        if (!n || n < enough)
            continue;
        const int first = r->batch.seq_start[q];
        doctor_sample(&r->seen, sum / n, i_micro, q - from, true);
        doctor_tokens(&r->seen, r->batch.ids + first, r->batch.seq_start[q + 1] - first, sum / n, i_micro, q - from);
    }
}

/* What a device has made of a micro-batch; that it failed the graph keeps. */
static void fetch_outputs(struct run *r)
{
    struct err err;
    if (r->o->device)
        graph_fetch_kind(r->model.g, TENSOR_OUTPUT, &err);
}

/* Gradient and sums of slice v: each token, or pair of answers, weighs the same, whatever slice it is in. */
static void run_slice(struct run *r, int64_t v, int64_t counted)
{
    const int64_t n = r->n_micro / r->c.slices;
    double *sums = r->sums + v * run_sums_width(r);
    memset(sums, 0, (size_t)run_sums_width(r) * sizeof *sums);
    slice_sums_begin(&r->gradient);
    for (int64_t a = 0; a < n; a++) {
        const int64_t i_micro = first_micro(r) + v * n + a;
        run_load_micro(r, i_micro);
        if (!run_classifies(r) && !train_prefers(&r->c))
            run_load_inputs(r, &r->model);
        struct step s = run_step_of(r, i_micro);
        s.loss_scale = counted ? 1.0 / (double)counted : 0;
        s.aux_scale = 1.0 / (double)r->n_micro;
        s.accumulate = a > 0;
        struct preference pairs = { .loss = 0 };
        const bool last = v + 1 == r->first_slice + r->n_slice && a + 1 == n;
        if (last)
            ranks_begin_overlap(r);
        if (train_prefers(&r->c)) {
            run_prefer(r, &s, &pairs);
        } else {
            graph_run(r->model.g, PASS_FORWARD, &s);
            graph_run(r->model.g, PASS_BACKWARD, &s);
            fetch_outputs(r);
        }
        if (last)
            ranks_leave_overlap(r);
        run_add_sums(r, 0, &s, &pairs, sums);
        note_samples(r, i_micro, 0, r->batch.n_seq);
    }
    slice_sums_end(&r->gradient);
}

/* The same of slices v .. v + r->joined - 1 at once, each of one micro-batch. */
static void run_joined(struct run *r, int64_t v, int64_t counted)
{
    const int64_t i_micro = first_micro(r) + v, width = run_sums_width(r);
    const struct preference none = { .loss = 0 };
    slice_sums_begin(&r->gradient);
    run_load_slices(r, i_micro, r->joined);
    run_load_inputs(r, &r->model);
    struct step s = run_step_of(r, i_micro);
    s.loss_scale = counted ? 1.0 / (double)counted : 0;
    s.aux_scale = 1.0 / (double)r->n_micro;
    s.n_slice = r->joined, s.slice = r->slice_seq;
    const bool last = v + r->joined == r->first_slice + r->n_slice;
    graph_run(r->model.g, PASS_FORWARD, &s);
    if (last)
        ranks_begin_overlap(r);
    graph_run(r->model.g, PASS_BACKWARD, &s);
    if (last)
        ranks_leave_overlap(r);
    memset(r->sums + v * width, 0, (size_t)(r->joined * width) * sizeof *r->sums);
    for (int i = 0; i < r->joined; i++) {
        run_add_sums(r, i, &s, &none, r->sums + (v + i) * width);
        note_samples(r, i_micro + i, r->slice_seq[i], r->slice_seq[i + 1]);
    }
    slice_sums_end(&r->gradient);
}

int run_gradients(struct run *r, struct err *err)
{
    r->seen = (struct doctor_step){ 0 };
    if (r->c.privacy.on)
        return run_private_gradients(r, err);
    int64_t counted = count_step(r);
    TRY(ranks_count(r, &counted, err));
    for (int64_t v = r->first_slice; v < r->first_slice + r->n_slice; v += r->joined)
        (r->joined > 1 ? run_joined : run_slice)(r, v, counted);
    TRY(graph_failed(r->model.g, err));
    TRY(ranks_sum_slices(r, err));
    TRY(ranks_norm(r, err));
    TRY(ranks_samples(r, err));
    r->loss = r->sums[SUM_LOSS], r->aux = r->sums[SUM_AUX];
    if (r->o->fail_step >= 0 && r->state.step >= r->o->fail_step && r->state.step < r->o->fail_step + BAD_STEPS_MAX)
        r->loss = NAN;
    return 0;
}

int run_update(struct run *r, double *rate, struct err *err)
{
    const struct schedule schedule = train_schedule(&r->c);
    const double lr = schedule_lr(&schedule, (long)r->state.step), t = (double)r->state.n_update + 1;
    struct step s = run_step_of(r, r->state.step);
    s.adamw = (struct adamw){ .lr = (float)lr, .beta1 = (float)r->c.beta1, .beta2 = (float)r->c.beta2, .eps = (float)r->c.eps, .wd = (float)r->c.weight_decay,
                              .correction1 = (float)(1 - pow(r->c.beta1, t)), .correction2 = (float)(1 - pow(r->c.beta2, t)),
                              .grad_scale = r->c.clip > 0 && r->norm > r->c.clip ? (float)(r->c.clip / (r->norm + 1e-6)) : 1 };
    const bool muon = train_optimizer(&r->c) == OPTIMIZER_MUON;
    s.momentum = (struct momentum){ .lr = (float)(muon && r->c.lr > 0 ? r->c.muon_lr * lr / r->c.lr : lr), .momentum = (float)r->c.momentum,
                                    .wd = (float)(muon ? r->c.muon_weight_decay : r->c.weight_decay), .grad_scale = s.adamw.grad_scale };
    graph_run(r->model.g, PASS_UPDATE, &s);
    for (int i = 0; i < r->model.n_stats; i++)
        balance_experts(&r->model, i, r->sums + SUM_STATS + i * run_stats_width(r), r->c.router_bias_rate);
    r->weights_here = r->moments_here = false;
    TRY(run_send_corrections(r, err));
    r->state.n_update++;
    *rate = lr;
    return ranks_gather_weights(r, err);
}

double run_score(struct run *r)
{
    const struct decoder *d = run_scorer(r);
    const struct step s = run_step_of(r, 0);
    struct err err;
    run_load_inputs(r, d);
    graph_run(d->g, PASS_FORWARD, &s);
    if (d->g->device) {
        graph_run(d->g, PASS_LOSS, &s);
        graph_fetch(d->g, d->nll, s.T, &err);    /* that it failed the graph keeps */
    }
    return sum_nll(r, d, 0, run_classifies(r) ? r->batch.n_seq : r->batch.n);
}

static void score_text(struct run *r, int64_t i, struct scored *s)
{
    const bool has = loader_pass(&r->held_out, i, r->eval_limit, &r->batch);
    if (!has)
        r->batch.n = r->batch.n_seq = 0;
    const double loss = has || r->division.by == DIVIDE_EXPERTS ? run_score(r) : 0;      /* who has none is there for the others' experts */
    if (has)
        *s = (struct scored){ .has = true, .counted = run_count_targets(r), .loss = loss };
}

/* Mean nll of held-out text in windows of ctx, each token given what stands before it in its sequence and window. */
int run_evaluate(struct run *r, bool whole, double *loss, double *bits_per_byte, struct err *err)
{
    *loss = *bits_per_byte = NAN;
    if (run_classifies(r))
        return run_evaluate_classes(r, loss, err);
    if (r->data.valid.n < 2)
        return 0;
    if (train_prefers(&r->c))
        return run_evaluate_pairs(r, loss, err);
    struct scored sum;
    r->eval_limit = whole || !r->c.eval_tokens ? INT64_MAX : r->c.eval_tokens;
    TRY(ranks_score(r, score_text, &sum, err));
    const int64_t counted = sum.counted;
    *loss = counted ? sum.loss / (double)counted : NAN;
    *bits_per_byte = *loss / log(2) * (double)counted / ((double)r->data.valid.n_text * (double)counted / (double)r->data.valid.n_learn);
    log_info("step %lld: held-out loss %.4f, %.4f bits per byte, over %lld tokens in windows of %lld", (long long)r->state.step, *loss, *bits_per_byte,
             (long long)counted, (long long)r->c.ctx);
    return run_write_metric(r, json_pack("{s:I, s:o, s:o, s:I}", "step", (json_int_t)r->state.step, "valid_loss", tree_number(*loss), "valid_bits_per_byte",
                                     tree_number(*bits_per_byte), "valid_tokens", (json_int_t)counted), err);
}
