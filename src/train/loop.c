/* loop.c - prepare (texts, tokenizer, token files), plan, then step by step.
 *
 * Nothing is allocated in a step.  All randomness is a function of (seed, step), so the state of a run is its weights,
 * the optimiser's moments and a few counters. */
#include "train/loop.h"
#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "data/loader.h"
#include "nn/limits.h"
#include "train/checkpoint.h"
#include "train/config.h"
#include "train/prepare.h"

#define PROCESS_BYTES ((size_t)20 << 20)     /* the process itself: program, libraries' data, stacks, small allocations */
#define BAD_STEPS_MAX 3

struct run {
    const struct train_opts *o;
    struct train_config c;
    struct prepared data;
    struct loader loader;
    struct weights_list *weights;
    struct decoder model, scorer;            /* the scorer shares the model's weights */
    struct pool *pool;
    struct limits limits;
    struct file_log metrics;
    struct train_state state;
    struct batch batch;
    int32_t *batch_block;
    int T;                                   /* tokens of a micro-batch */
    double loss, aux, norm;                  /* of the last step */
    char *dir_checkpoints;
    int lock;                                /* the folder OUT is held by this run */
};

static unsigned all_passes(void) { return 1u << PASS_FORWARD | 1u << PASS_BACKWARD; }

static char *out_path(const struct run *r, const char *name) { return file_join(r->o->out, name); }

/* ---- plan ---- */

static int record_model(struct run *r, struct err *err)
{
    const struct train_config *c = &r->c;
    r->T = (int)(c->batch * c->ctx);
    const struct decoder_opts train = { .use = DECODER_TRAIN, .compute = train_compute(c), .recompute = train_recompute(c), .optimizer = train_optimizer(c) };
    const struct decoder_opts score = { .use = DECODER_SCORE, .compute = train_compute(c) };
    TRY(weights_list_new(&r->weights, &c->model, err));
    TRY(decoder_record(&r->model, &c->model, &train, err));
    TRY(decoder_record(&r->scorer, &c->model, &score, err));
    TRY(decoder_plan(&r->model, r->T, r->T, r->o->n_thread, NULL, err));
    return decoder_plan(&r->scorer, r->T, r->T, r->o->n_thread, &r->model, err);
}

static size_t batch_bytes(const struct run *r) { return ((size_t)r->T * 4 + 1) * sizeof(int32_t); }

/* What the run will take; the same numbers are taken. */
static size_t planned_bytes(const struct run *r)
{
    return r->model.g->plan.total + r->scorer.g->plan.total + mem_map_size(batch_bytes(r));
}

/* Keys a query sees on average: windows of ctx tokens from position 0. */
static double mean_keys(const struct run *r) { return ((double)r->c.ctx + 1) / 2; }

static double step_seconds(const struct run *r)
{
    const double n = (double)r->c.accumulate, T = r->T, S = (double)r->c.batch;
    return n * limits_seconds(&r->limits, r->model.g, all_passes(), T, S, mean_keys(r), NULL) +
           limits_seconds(&r->limits, r->model.g, 1u << PASS_UPDATE, T, S, mean_keys(r), NULL);
}

static double step_flops(const struct run *r)
{
    const double n = (double)r->c.accumulate, T = r->T, S = (double)r->c.batch;
    return n * limits_flops(r->model.g, all_passes(), T, S, mean_keys(r), NULL) +
           limits_flops(r->model.g, 1u << PASS_UPDATE, T, S, mean_keys(r), NULL);
}

static size_t planned_for(struct run *r, int64_t batch, struct err *err)
{
    const int T = r->T, want = (int)(batch * r->c.ctx);
    r->T = want;
    const bool ok = decoder_plan(&r->model, want, want, r->o->n_thread, NULL, err) >= 0 && decoder_plan(&r->scorer, want, want, r->o->n_thread, &r->model, err) >= 0;
    const size_t bytes = ok ? planned_bytes(r) : SIZE_MAX;
    r->T = T;
    return bytes;
}

/* The largest batch whose plan fits, by planning; 0: none does. */
static int64_t batch_that_fits(struct run *r, size_t free_bytes, struct err *err)
{
    int64_t fits = 0, too_many = r->c.batch;
    if (free_bytes <= PROCESS_BYTES)
        return 0;
    while (too_many - fits > 1) {
        const int64_t mid = fits + (too_many - fits) / 2;
        if (planned_for(r, mid, err) <= free_bytes - PROCESS_BYTES)
            fits = mid;
        else
            too_many = mid;
    }
    return fits;
}

static int print_plan(struct run *r, struct train_result *result, struct err *err)
{
    char a[32], b[32], d[32], e[32];
    config_params(&r->c.model, &result->n_param, &result->n_active);
    result->planned_bytes = planned_bytes(r);
    result->expected_seconds = step_seconds(r) * (double)(r->c.steps - r->state.step);
    log_info("model: %s parameters, %s used for a token (%d layers, width %d%s)", fmt_count(a, (double)result->n_param),
             fmt_count(b, (double)result->n_active), r->c.model.n_layer, r->c.model.d_model, r->c.model.n_expert ? ", mixture of experts" : "");
    const struct graph_plan *p = &r->model.g->plan;
    size_t shown = 0;
    struct buf line;
    buf_init(&line);
    for (int k = 0; k < N_TENSOR_KIND; k++)
        if (p->bytes[k] > p->total / 200 && buf_printf(&line, err, "%s%s %s", line.len ? ", " : "", tensor_kind_name(k), fmt_bytes(a, (double)p->bytes[k])) >= 0)
            shown += p->bytes[k];
    log_info("memory: %s planned, and at most %s for the process itself (%s, rest %s)", fmt_bytes(a, (double)result->planned_bytes),
             fmt_bytes(b, (double)PROCESS_BYTES), line.data, fmt_bytes(d, (double)(result->planned_bytes - shown)));
    buf_release(&line);
    log_info("work: %s operations a step of %lld tokens; %lld steps should take %s at this machine's measured limits (%s/s in %s, %d threads)",
             fmt_count(a, step_flops(r)), (long long)(r->T * r->c.accumulate), (long long)(r->c.steps - r->state.step), fmt_seconds(b, result->expected_seconds),
             fmt_count(e, limits_peak(&r->limits, train_compute(&r->c))), r->c.precision, r->o->n_thread);
    const size_t free_bytes = mem_available();
    if (result->planned_bytes + PROCESS_BYTES > free_bytes) {
        const size_t act = p->bytes[TENSOR_ACT], fixed = result->planned_bytes - act;
        const int64_t fits = batch_that_fits(r, free_bytes, err);
        char advice[120] = "no batch would fit: the model is too large for this machine";
        if (fits >= 1)
            snprintf(advice, sizeof advice, "train.batch: %lld would fit, with train.accumulate for the rest", (long long)fits);
        return ERR(err, NOMEM, "the plan needs %s and %s is free: activations %s, all else %s; %s", fmt_bytes(a, (double)result->planned_bytes),
                   fmt_bytes(b, (double)free_bytes), fmt_bytes(e, (double)act), fmt_bytes(d, (double)fixed), advice);
    }
    return 0;
}

/* ---- settings that decide the numbers ---- */

static int digest_settings(struct run *r, struct err *err)
{
    struct buf b;
    buf_init(&b);
    const struct train_config *c = &r->c;
    char data[SHA256_HEX];
    int rc = config_write(&c->model, &b, err);
    if (!rc)
        rc = sha256_of(r->data.train.map.data, r->data.train.map.size, data, err);
    if (!rc)
        rc = buf_printf(&b, err, "%s %lld %lld %lld %lld %lld %.17g %s %lld %.17g %.17g %.17g %.17g %.17g %.17g %.17g %s %s", c->from ? c->from : "", (long long)c->steps,
                        (long long)c->batch, (long long)c->ctx, (long long)c->accumulate, (long long)c->seed, c->lr, c->schedule, (long long)c->warmup, c->min_lr_share,
                        c->decay_share, c->beta1, c->beta2, c->eps, c->weight_decay, c->clip, c->precision, data);
    if (!rc && train_optimizer(c) != OPTIMIZER_ADAMW)
        rc = buf_printf(&b, err, " %s %.17g %.17g %.17g", c->optimizer, c->muon_lr, c->muon_weight_decay, c->momentum);
    if (!rc)
        rc = sha256_of(b.data, b.len, r->state.settings, err);
    buf_release(&b);
    return rc;
}

/* ---- metrics ---- */

/* JSON has no number for NaN and infinity: null. */
static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static int write_metric(struct run *r, json_t *o, struct err *err)
{
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    const int rc = text ? file_log_line(&r->metrics, text, strlen(text), err) : ERR(err, NOMEM, "no memory to write metrics");
    mem_free(text);
    json_decref(o);
    return rc;
}

/* Lines of steps that will be done again are taken out. */
static int cut_metrics(struct run *r, const char *path, struct err *err)
{
    struct buf old, kept;
    buf_init(&old);
    buf_init(&kept);
    int rc = file_read(path, (size_t)4 << 30, &old, err);
    for (char *at = old.data; !rc && at < old.data + old.len;) {
        char *end = memchr(at, '\n', (size_t)(old.data + old.len - at));
        if (!end)
            break;
        json_t *o;
        if (tree_parse_json(&o, at, (size_t)(end - at), path, NULL) == ERR_NOMEM)      /* else a line that is no JSON is not kept */
            rc = ERR(err, NOMEM, "no memory to read %s", path);
        const json_t *step = json_object_get(o, "step");
        if (json_is_integer(step) && json_integer_value(step) <= r->state.step)
            rc = buf_add(&kept, at, (size_t)(end + 1 - at), err);
        json_decref(o);
        at = end + 1;
    }
    if (!rc)
        rc = file_write_all(path, kept.data, kept.len, err);
    buf_release(&old);
    buf_release(&kept);
    return rc == ERR_NOTFOUND ? 0 : rc;
}

static int open_metrics(struct run *r, struct err *err)
{
    char *path = out_path(r, "metrics.jsonl");
    int rc = path ? cut_metrics(r, path, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = file_log_open(&r->metrics, path, err);
    mem_free(path);
    return rc;
}

/* ---- one step ---- */

static void load_inputs(const struct run *r, const struct decoder *d)
{
    const size_t n = (size_t)r->T * sizeof(int32_t);
    memcpy(d->g->tensor[d->ids].data, r->batch.ids, n);
    memcpy(d->g->tensor[d->pos].data, r->batch.pos, n);
    memcpy(d->g->tensor[d->target].data, r->batch.target, n);
}

static int count_targets(const struct run *r)
{
    int n = 0;
    for (int i = 0; i < r->T; i++)
        n += r->batch.target[i] >= 0;
    return n;
}

/* Sum of nll over the counted tokens of what was run last. */
static double sum_nll(const struct run *r, const struct decoder *d)
{
    const float *nll = d->g->tensor[d->nll].data;
    double sum = 0;
    for (int i = 0; i < r->T; i++)
        sum += r->batch.target[i] >= 0 ? (double)nll[i] : 0;
    return sum;
}

static struct step step_of(const struct run *r, int64_t i_micro)
{
    return (struct step){ .T = r->T, .S = r->batch.n_seq, .seq_start = r->batch.seq_start, .seed = (uint64_t)r->c.seed, .i_step = (uint64_t)i_micro };
}

/* Gradients of all micro-batches of a step: each token weighs the same, whatever micro-batch it is in. */
static void gradients(struct run *r)
{
    const int64_t n = r->c.accumulate;
    int64_t counted = 0;
    for (int64_t a = 0; a < n && n > 1; a++) {
        loader_batch(&r->loader, (uint64_t)(r->state.step * n + a), &r->batch);
        counted += count_targets(r);
    }
    r->loss = r->aux = 0;
    for (int64_t a = 0; a < n; a++) {
        loader_batch(&r->loader, (uint64_t)(r->state.step * n + a), &r->batch);
        if (n == 1)
            counted = count_targets(r);
        load_inputs(r, &r->model);
        struct step s = step_of(r, r->state.step * n + a);
        s.loss_scale = counted ? 1.0 / (double)counted : 0;
        s.aux_scale = 1.0 / (double)n;
        s.accumulate = a > 0;
        graph_run(r->model.g, PASS_FORWARD, &s);
        graph_run(r->model.g, PASS_BACKWARD, &s);
        r->loss += sum_nll(r, &r->model) * s.loss_scale;
        for (int i = 0; i < r->model.n_stats; i++) {
            const struct aux_losses l = graph_aux_losses(r->model.g->tensor[r->model.stats[i]].data, &r->model.route);
            r->aux += (l.lb + l.z) * s.aux_scale;
        }
    }
    r->norm = sqrt(graph_grad_square(r->model.g));
}

static double update(struct run *r)
{
    const struct schedule schedule = train_schedule(&r->c);
    const double lr = schedule_lr(&schedule, (long)r->state.step), t = (double)r->state.n_update + 1;
    struct step s = step_of(r, r->state.step);
    s.adamw = (struct adamw){ .lr = (float)lr, .beta1 = (float)r->c.beta1, .beta2 = (float)r->c.beta2, .eps = (float)r->c.eps, .wd = (float)r->c.weight_decay,
                              .correction1 = (float)(1 - pow(r->c.beta1, t)), .correction2 = (float)(1 - pow(r->c.beta2, t)),
                              .grad_scale = r->c.clip > 0 && r->norm > r->c.clip ? (float)(r->c.clip / (r->norm + 1e-6)) : 1 };
    const bool muon = train_optimizer(&r->c) == OPTIMIZER_MUON;
    s.momentum = (struct momentum){ .lr = (float)(muon && r->c.lr > 0 ? r->c.muon_lr * lr / r->c.lr : lr), .momentum = (float)r->c.momentum,
                                    .wd = (float)(muon ? r->c.muon_weight_decay : r->c.weight_decay), .grad_scale = s.adamw.grad_scale };
    graph_run(r->model.g, PASS_UPDATE, &s);
    r->state.n_update++;
    return lr;
}

/* A step whose loss or gradient is not finite is not applied; the third in a row ends the run and names its samples. */
static int skip_step(struct run *r, struct err *err)
{
    struct buf samples;
    buf_init(&samples);
    const int64_t n = r->c.accumulate * r->c.batch;
    int rc = 0;
    for (int64_t i = 0; i < n && i < 16 && !rc; i++)
        rc = buf_printf(&samples, err, "%s%lld", i ? " " : "", (long long)loader_offset(&r->loader, (uint64_t)(r->state.step * n + i)));
    r->state.n_bad++, r->state.n_skipped++;
    if (!rc)
        rc = write_metric(r, json_pack("{s:I, s:s, s:s}", "step", (json_int_t)r->state.step + 1, "event", "skipped: loss or gradient not finite", "samples", samples.data), err);
    log_warn("step %lld: loss %g, gradient norm %g: not finite, skipped", (long long)r->state.step + 1, r->loss, r->norm);
    if (!rc && r->state.n_bad >= BAD_STEPS_MAX)
        rc = ERR(err, NUMERIC, "%d steps in a row gave numbers that are not finite; the last, step %lld, was made of the windows at tokens %s%s of data/train.tok",
                 BAD_STEPS_MAX, (long long)r->state.step + 1, samples.data, n > 16 ? " ..." : "");
    buf_release(&samples);
    return rc;
}

/* Largest and smallest share of tokens that an expert of this layer got, as multiples of an equal share. */
static void expert_load(const struct run *r, int i, double *low, double *high)
{
    const double *stats = r->model.g->tensor[r->model.stats[i]].data;
    const int E = r->model.route.n_expert;
    *low = INFINITY, *high = 0;
    for (int e = 0; e < E; e++) {
        const double share = stats[e] / (stats[2 * E + 2] * r->model.route.top_k / E);
        *low = fmin(*low, share), *high = fmax(*high, share);
    }
}

static int log_step(struct run *r, double lr, double seconds, struct err *err)
{
    const double tokens = (double)(r->T * r->c.accumulate), share = step_flops(r) / seconds / limits_peak(&r->limits, train_compute(&r->c));
    json_t *o = json_pack("{s:I, s:f, s:f, s:f, s:o, s:o}", "step", (json_int_t)r->state.step, "loss", r->loss, "lr", lr, "grad_norm", r->norm, "tokens_per_s",
                          number(tokens / seconds), "share_of_peak", number(share));
    double low = INFINITY, high = 0;
    if (r->model.n_stats) {
        json_t *layers = json_array();
        for (int i = 0; i < r->model.n_stats; i++) {
            double a, b;
            expert_load(r, i, &a, &b);
            const struct aux_losses l = graph_aux_losses(r->model.g->tensor[r->model.stats[i]].data, &r->model.route);
            json_array_append_new(layers, json_pack("{s:o, s:o, s:o, s:o, s:o}", "load_min", number(a), "load_max", number(b), "lb_loss", number(l.lb), "z_loss", number(l.z),
                                                    "entropy", number(l.entropy)));
            low = fmin(low, a), high = fmax(high, b);
        }
        json_object_set_new(o, "aux_loss", number(r->aux));
        json_object_set_new(o, "experts", layers);
    }
    TRY(write_metric(r, o, err));
    char left[32], load[64] = "";
    if (r->model.n_stats)
        snprintf(load, sizeof load, ", expert load %.2f-%.2f", low, high);
    /* a narrow terminal cuts the end */
    log_progress("step %lld/%lld, %s left: loss %.4f  lr %.1e  norm %.2f  %.0f tokens/s, %.0f %% of peak%s", (long long)r->state.step, (long long)r->c.steps,
                 fmt_seconds(left, seconds * (double)(r->c.steps - r->state.step)), r->loss, lr, r->norm, tokens / seconds, 100 * share, load);
    return 0;
}

/* Mean nll of held-out text in windows of ctx, each token given what stands before it in its window. */
static int evaluate(struct run *r, bool whole, double *loss, double *bits_per_byte, struct err *err)
{
    *loss = *bits_per_byte = NAN;
    if (r->data.valid.n < 2)
        return 0;
    const int64_t limit = whole || !r->c.eval_tokens ? r->data.valid.n - 1 : r->c.eval_tokens;
    const int64_t n = limit < r->data.valid.n - 1 ? limit : r->data.valid.n - 1;
    double sum = 0;
    int64_t counted = 0;
    for (int64_t at = 0; at < n;) {
        for (int row = 0; row < r->c.batch; row++, at += r->c.ctx)
            loader_row(&r->data.valid, at < n ? at : 0, (int)(n - at < r->c.ctx ? (n - at > 0 ? n - at : 0) : r->c.ctx), (int)r->c.ctx, row, &r->batch);
        load_inputs(r, &r->scorer);
        const struct step s = step_of(r, 0);
        graph_run(r->scorer.g, PASS_FORWARD, &s);
        sum += sum_nll(r, &r->scorer);
        counted += count_targets(r);
    }
    *loss = counted ? sum / (double)counted : NAN;
    *bits_per_byte = *loss / log(2) * (double)counted / ((double)r->data.valid.n_text * (double)n / (double)(r->data.valid.n - 1));
    log_info("step %lld: held-out loss %.4f, %.4f bits per byte, over %lld tokens in windows of %lld", (long long)r->state.step, *loss, *bits_per_byte,
             (long long)counted, (long long)r->c.ctx);
    return write_metric(r, json_pack("{s:I, s:o, s:o, s:I}", "step", (json_int_t)r->state.step, "valid_loss", number(*loss), "valid_bits_per_byte",
                                     number(*bits_per_byte), "valid_tokens", (json_int_t)counted), err);
}

static int save(struct run *r, struct err *err)
{
    return checkpoint_save(r->dir_checkpoints, &r->model, r->weights, r->data.tok, &r->state, (int)r->c.keep, err);
}

static int steps(struct run *r, struct train_result *result, struct err *err)
{
    int64_t saved = r->state.step;
    double busy = 0;
    int64_t n_timed = 0;
    const int64_t begin = r->state.step;
    const double cpu = clock_cpu();
    while (r->state.step < r->c.steps) {
        const double t = clock_wall();
        gradients(r);
        if (r->o->fail_step >= 0 && r->state.step >= r->o->fail_step && r->state.step < r->o->fail_step + BAD_STEPS_MAX)
            r->loss = NAN;
        const bool good = isfinite(r->loss) && isfinite(r->norm);
        double lr = 0;
        if (good) {
            lr = update(r);
            r->state.n_bad = 0;
        } else {
            TRY(skip_step(r, err));
        }
        const double seconds = clock_wall() - t;
        r->state.step++;
        if (r->state.step > begin + 1)               /* the first touches its memory */
            busy += seconds, n_timed++;
        if (good)
            TRY(log_step(r, lr, n_timed ? busy / (double)n_timed : seconds, err));
        mem_private_sample();
        const bool stop = r->o->stop && *r->o->stop, last = r->state.step == r->c.steps;
        if (r->c.eval_every && r->state.step % r->c.eval_every == 0 && !last && !stop) {
            log_progress_end();
            TRY(evaluate(r, false, &result->valid_loss, &result->valid_bits_per_byte, err));
        }
        if (last || stop || (r->c.save_every && r->state.step % r->c.save_every == 0)) {
            TRY(save(r, err));
            saved = r->state.step;
        }
        if (stop && !last) {
            log_progress_end();
            return ERR(err, STOPPED, "stopped after step %lld of %lld, which is saved; the same command goes on from there", (long long)saved, (long long)r->c.steps);
        }
    }
    log_progress_end();
    result->seconds = busy + (n_timed ? busy / (double)n_timed : 0);
    result->cpu_seconds = clock_cpu() - cpu;
    result->tokens_per_s = n_timed ? (double)(n_timed * r->T * r->c.accumulate) / busy : 0;
    result->share_of_peak = n_timed ? step_flops(r) * (double)n_timed / busy / limits_peak(&r->limits, train_compute(&r->c)) : 0;
    TRY(evaluate(r, true, &result->valid_loss, &result->valid_bits_per_byte, err));
    return model_save(r->o->out, &r->model, r->weights, r->data.tok, NULL, NULL, err);
}

/* ---- the run ---- */

static int take_memory(struct run *r, struct err *err)
{
    TRY(decoder_bind(&r->model, r->pool, NULL, err));
    TRY(decoder_bind(&r->scorer, r->pool, &r->model, err));
    int32_t *p = r->batch_block = mem_map(batch_bytes(r));
    if (!p)
        return ERR(err, NOMEM, "no memory for a batch of %d tokens", r->T);
    r->batch = (struct batch){ .ids = p, .target = p + r->T, .pos = p + 2 * r->T, .seq_start = p + 3 * r->T };
    return 0;
}

static int first_weights(struct run *r, struct err *err)
{
    if (!r->c.from) {
        decoder_init_weights(&r->model, r->weights, (uint64_t)r->c.seed);
        return 0;
    }
    struct safetensors *st;
    TRY(safetensors_open(&st, r->c.from, err));
    const int rc = weights_load(r->weights, st, decoder_weight, &r->model, err);
    safetensors_free(st);
    return rc;
}

static int resume_or_begin(struct run *r, struct err *err)
{
    struct train_state found;
    const int rc = checkpoint_load(r->dir_checkpoints, &r->model, r->weights, &found, err);
    if (rc == ERR_NOTFOUND)
        return first_weights(r, err);
    TRY(rc);
    if (strcmp(found.settings, r->state.settings))
        return ERR(err, USAGE, "%s holds a run of other settings or other text; name another --out, or remove it", r->o->out);
    r->state = found;
    log_info("going on from step %lld of %s", (long long)found.step, r->dir_checkpoints);
    return 0;
}

static int run(struct run *r, struct train_result *result, struct err *err)
{
    TRY(train_config_load(&r->c, r->o->config, err));
    TRY(file_mkdirs(r->o->out, err));
    TRY(file_lock(r->o->out, &r->lock, err));
    TRY(file_remove_leftovers(r->o->out, err));
    TRY(prepare_data(&r->data, &r->c, r->o->config, r->o->out, err));
    TRY(loader_init(&r->loader, &r->data.train, (int)r->c.batch, (int)r->c.ctx, (uint64_t)r->c.seed, err));
    malloc_trim(0);                          /* what preparing took is given back before the plan is made true */
    TRY(pool_new(&r->pool, r->o->n_thread, err));
    TRY(limits_get(&r->limits, r->pool, err));
    TRY(record_model(r, err));
    TRY(digest_settings(r, err));
    TRY(print_plan(r, result, err));
    if (r->o->dry_run)
        return 0;
    if (!(r->dir_checkpoints = out_path(r, "checkpoints")))
        return ERR(err, NOMEM, "no memory for a path");
    TRY(take_memory(r, err));
    TRY(resume_or_begin(r, err));
    const struct step first = step_of(r, 0);
    graph_run(r->model.g, PASS_PREPARE, &first);      /* from then on updates keep the panels */
    TRY(open_metrics(r, err));
    result->expected_seconds = step_seconds(r) * (double)(r->c.steps - r->state.step);
    const int rc = steps(r, result, err);
    log_progress_end();
    result->steps = r->state.step, result->loss = r->loss, result->n_skipped = r->state.n_skipped;
    result->tokens = r->state.step * r->T * r->c.accumulate;
    result->peak_bytes = mem_private_peak();
    return rc;
}

int train_run(const struct train_opts *o, struct train_result *result, struct err *err)
{
    struct run r = { .o = o, .metrics = { -1, NULL }, .lock = -1, .loss = NAN };
    *result = (struct train_result){ .valid_loss = NAN, .valid_bits_per_byte = NAN };
    const int rc = run(&r, result, err);
    file_log_close(&r.metrics);
    mem_unmap(r.batch_block, r.T ? batch_bytes(&r) : 0);
    decoder_release(&r.scorer);
    decoder_release(&r.model);
    weights_list_free(r.weights);
    pool_free(r.pool);
    prepare_release(&r.data);
    mem_free(r.dir_checkpoints);
    train_config_release(&r.c);
    file_unlock(&r.lock);
    return rc;
}
