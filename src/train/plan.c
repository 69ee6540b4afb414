/* plan.c - what a run will take and need, before it begins: its graphs, memory, time, and the digest of what decides its numbers. */
#include "train/ranks.h"
#include <math.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "nn/device.h"
#include "train/adversary.h"
#include "train/parts.h"
#include "train/predict.h"

/* Of a step; with a device PASS_LOSS is for what is held out alone. */
static unsigned all_passes(const struct run *r) { return 1u << PASS_FORWARD | (train_prefers(&r->c) ? 1u << PASS_LOSS : 0) | 1u << PASS_BACKWARD; }

int run_sequences(const struct run *r, int T) { return config_vision(&r->c.model) ? T / (int)r->c.ctx : T; }

/* Scored is by micro-batches, not by as many as are trained on at once. */
static int score_tokens(const struct run *r, int T)
{
    const int64_t micro = r->micro * r->c.ctx;
    return micro < T ? (int)micro : T;
}

/* The memory of the run's graphs at T tokens. */
static int plan_at(struct run *r, int T, struct err *err)
{
    const int S = run_sequences(r, T), score = score_tokens(r, T);
    TRY(decoder_plan(&r->model, T, S, r->o->n_thread, NULL, err));
    if (r->scorer.g)
        TRY(decoder_plan(&r->scorer, score, run_sequences(r, score), r->o->n_thread, &r->model, err));
    if (r->attacker.g)
        TRY(decoder_plan(&r->attacker, T, S, r->o->n_thread, &r->model, err));
    return r->reference.g ? decoder_plan(&r->reference, T, S, r->o->n_thread, &r->model, err) : 0;
}

static bool in_file(const struct run *r) { return r->c.tune.on && !strcmp(r->c.tune.base, "file"); }

/* With divided experts: is what all ranks run at one time a whole step? */
static bool runs_whole_step(const struct run *r)
{
    const int64_t ranks = comm_size(r->copies);
    return r->division.by == DIVIDE_EXPERTS && r->joined * ranks == r->c.slices && r->n_micro == r->c.slices && r->c.slices <= GRAPH_SLICES_MAX;
}

struct decoder_opts run_train_opts(const struct run *r)
{
    const struct train_config *c = &r->c;
    return (struct decoder_opts){ .use = DECODER_TRAIN, .slices = r->joined, .whole_step = runs_whole_step(r), .compute = train_compute(c), .recompute = train_recompute(c), .optimizer = train_optimizer(c), .state = train_state_type(c), .averages = c->ema > 0, .lora = c->tune.on ? &c->tune.lora : NULL,
                                  .in_file = in_file(r) ? base_rows_in_file(r->rows) : NULL, .loss_first = train_prefers(c) || r->o->device, .division = r->division, .pixels_sought = c->adversarial.eps > 0 };
}

struct decoder_opts run_attacker_opts(const struct run *r)
{
    return (struct decoder_opts){ .use = DECODER_TRAIN, .compute = train_compute(&r->c), .pixels_sought = true, .pixels_only = true };
}

struct decoder_opts run_reference_opts(const struct run *r)
{
    return (struct decoder_opts){ .use = DECODER_SCORE, .compute = train_compute(&r->c), .frozen = true, .in_file = r->rows ? base_rows_in_file(r->rows) : NULL };
}

static int record(struct run *r, struct err *err)
{
    const struct decoder_opts train = run_train_opts(r);
    decoder_release(&r->model);
    TRY(decoder_record(&r->model, &r->c.model, &train, err));
    r->model.g->device = r->o->device;
    return 0;
}

int run_record_model(struct run *r, struct err *err)
{
    const struct train_config *c = &r->c;
    r->micro = c->privacy.on ? 1 : slices_micro(c->batch, c->batch * c->accumulate / c->slices);      /* records one by one */
    r->n_micro = c->batch * c->accumulate / r->micro;
    const bool prefers = train_prefers(c);
    const int64_t own = c->slices % comm_size(r->copies) ? 1 : c->slices / comm_size(r->copies);      /* else ranks.c says what is wrong */
    r->joined = r->o->device || c->privacy.on || prefers || r->division.by == DIVIDE_LAYERS || c->model.n_label || r->n_micro != c->slices ? 1 : slices_joined(c->batch, r->micro, own);
    TRY(weights_list_new(&r->weights, &c->model, err));
    if (in_file(r) || (prefers && !c->tune.on))
        TRY(base_rows_new(&r->rows, c->from, r->weights, err));
    TRY(record(r, err));
    if (!graph_knows_slices(r->model.g)) {
        r->joined = 1;
        TRY(record(r, err));
    }
    const struct decoder_opts train = run_train_opts(r);
    const struct decoder_opts reference = run_reference_opts(r);
    const struct decoder_opts score = { .use = c->model.n_label ? DECODER_LOGITS : DECODER_SCORE, .compute = train.compute, .lora = train.lora, .in_file = train.in_file, .division = r->division };
    r->T = (int)(r->joined * r->micro * c->ctx);
    if (!r->o->device)               /* also with nothing held out: overshoot.c scores what was trained on */
        TRY(decoder_record(&r->scorer, &c->model, &score, err));
    const struct decoder_opts attacker = run_attacker_opts(r);
    if (c->adversarial.eps > 0)
        TRY(decoder_record(&r->attacker, &c->model, &attacker, err));
    if (prefers)
        TRY(decoder_record(&r->reference, &c->model, &reference, err));
    if (c->privacy.on) {
        const int T = run_privacy_tokens(r, err);
        TRY(T);
        r->T = T;
    }
    TRY(plan_at(r, r->T, err));
    return run_record_sampler(r, &score, err);
}

size_t run_batch_bytes(const struct run *r) { return ((size_t)r->T * (train_prefers(&r->c) ? 5 : 4) + 1) * sizeof(int32_t); }

int64_t run_stats_width(const struct run *r) { return 2 * r->model.route.n_expert + 3; }
int64_t run_sums_width(const struct run *r) { return SUM_STATS + r->model.n_stats * run_stats_width(r); }
size_t run_sums_bytes(const struct run *r) { return (size_t)(r->c.slices * run_sums_width(r)) * sizeof(double); }

/* What the run will take; the same numbers are taken. */
static size_t planned_bytes(const struct run *r)
{
    return r->model.g->plan.total + (r->scorer.g ? r->scorer.g->plan.total : 0) + mem_map_size(run_batch_bytes(r)) + mem_map_size(run_sums_bytes(r)) +
           slice_sums_bytes(r->model.g, r->n_slice / r->joined) + comm_bytes(r->comm) + parts_bytes(r) - ranks_spared_bytes(r) + run_privacy_bytes(r) + run_save_bytes(r) + (r->rows ? base_rows_bytes(r->rows) : 0) +
           (r->reference.g ? r->reference.g->plan.total : 0) + (r->attacker.g ? r->attacker.g->plan.total + mem_map_size(adversary_bytes(r)) : 0) + (r->sampler.g ? r->sampler.g->plan.total : 0);
}

/* What is planned is taken, but that a scorer stays untouched where nothing is held out and the run ends before a step is tried. */
static uint64_t expected_bytes(const struct run *r, uint64_t process)
{
    const bool scores = run_classifies(r) ? r->classes.n_valid > 0 : r->data.valid.n > 0 || train_prefers(&r->c) || run_tries_steps(r);
    return r->planned + process - (r->scorer.g && !scores ? r->scorer.g->plan.total : 0);
}

/* Tokens of a batch that is run at once, on average: what packing leaves free is not computed. */
static double mean_tokens(const struct run *r)
{
    return (double)(r->joined * r->micro * r->c.ctx) * ((double)r->loader.n_place / ((double)r->loader.n_window * (double)r->c.ctx));
}

int64_t run_own_micro(const struct run *r) { return r->n_micro / r->c.slices * r->n_slice; }
double run_step_tokens(const struct run *r) { return mean_tokens(r) * (double)(r->n_micro / r->joined); }

double run_layer_bytes(const struct run *r)
{
    double numbers = 0;
    for (int i = 0; i < r->model.g->n_node; i++) {
        const struct node *n = &r->model.g->node[i];
        const bool sums = n->op == OP_sum_peers ? n->pass == PASS_FORWARD || n->again : n->op == OP_sum_peers_grad && n->pass == PASS_BACKWARD && !n->again;
        numbers += sums ? (double)tensor_cols(&r->model.g->tensor[n->out[0] >= 0 ? n->out[0] : n->d_out[0]]) : 0;
    }
    return numbers * sizeof(float) * mean_tokens(r) * (double)(run_own_micro(r) / r->joined);
}

double run_row_bytes(const struct run *r)
{
    double bytes = 0;
    for (int i = 0; i < r->model.g->n_node; i++) {
        const struct node *n = &r->model.g->node[i];
        const bool back = n->pass == PASS_BACKWARD && !n->again, dispatch = n->op == OP_dispatch;
        if (!dispatch && n->op != OP_collect)
            continue;
        const struct tensor *t = &r->model.g->tensor[back ? n->d_out[0] : n->out[0]];
        const bool half = dispatch ? t->dtype == DT_BF16 : back && n->attr.compute == DT_BF16;
        bytes += n->attr.top_k * ((double)tensor_cols(t) * (half ? 2 : 4) + (dispatch && (back ? n->d_in[1] : n->in[1]) >= 0 ? 4 : 0));
    }
    return bytes * mean_tokens(r) * (double)(run_own_micro(r) / r->joined);
}

static unsigned update_passes(void) { return 1u << PASS_NORM | 1u << PASS_UPDATE; }

/* Adding up what is not run at once reads two gradients and writes one, for each such run but one. */
static double sums_seconds(const struct run *r) { return (double)(r->n_slice / r->joined - 1) * 3 * (double)r->model.g->plan.bytes[TENSOR_GRAD] / r->limits.read; }

double run_step_seconds(const struct run *r)
{
    if (r->o->device)
        return NAN;
    const double n = (double)(run_own_micro(r) / r->joined), T = mean_tokens(r), S = (double)(r->joined * r->micro), L = r->loader.n_key;
    const double reference = r->reference.g ? limits_seconds(&r->limits, r->reference.g, 1u << PASS_FORWARD, T, S, L, NULL) : 0;
    const double attack = r->attacker.g ? (double)r->c.adversarial.n_step * limits_seconds(&r->limits, r->attacker.g, all_passes(r), T, S, L, NULL) : 0;
    return (r->c.privacy.on ? run_private_seconds(r, all_passes(r), T) : n * (limits_seconds(&r->limits, r->model.g, all_passes(r), T, S, L, NULL) + reference + attack)) +
           limits_seconds(&r->limits, r->model.g, update_passes(), T, S, L, NULL) + sums_seconds(r);
}

double run_step_flops(const struct run *r)
{
    const double n = (double)(run_own_micro(r) / r->joined), T = mean_tokens(r), S = (double)(r->joined * r->micro), L = r->loader.n_key;
    const double reference = r->reference.g ? limits_flops(r->reference.g, 1u << PASS_FORWARD, T, S, L, NULL) : 0;
    const double attack = r->attacker.g ? (double)r->c.adversarial.n_step * limits_flops(r->attacker.g, all_passes(r), T, S, L, NULL) : 0;
    return n * (limits_flops(r->model.g, all_passes(r), T, S, L, NULL) + reference + attack) +
           limits_flops(r->model.g, update_passes(), T, S, L, NULL);
}

static bool fits_with(struct run *r, int64_t batch, size_t free_bytes, struct err *err)
{
    const int T = r->T, want = (int)(batch * r->c.ctx);
    r->T = want;
    const bool fits = plan_at(r, want, err) >= 0 && planned_bytes(r) <= free_bytes && run_fits_device(r);
    r->T = T;
    return fits;
}

/* The largest batch whose plan fits, by planning; 0: none does. */
static int64_t batch_that_fits(struct run *r, size_t free_bytes, struct err *err)
{
    int64_t fits = 0, too_many = r->joined * r->micro;
    if (free_bytes <= PROCESS_BYTES)
        return 0;
    while (too_many - fits > 1) {
        const int64_t mid = fits + (too_many - fits) / 2;
        if (fits_with(r, mid, free_bytes - PROCESS_BYTES, err))
            fits = mid;
        else
            too_many = mid;
    }
    return fits;
}

/* What the run may take in all. */
static size_t allowed_bytes(const struct run *r)
{
    const size_t free_bytes = mem_available();
    return r->c.memory > 0 && r->c.memory * 1e9 < (double)free_bytes ? (size_t)(r->c.memory * 1e9) : free_bytes;
}

/* ---- what is computed again ---- */

static const char *const rules[] = { "none", "cheap", "block" };
enum { N_RULE = sizeof rules / sizeof *rules };

static int record_by(struct run *r, const char *rule, struct err *err)
{
    r->c.recompute = rule;
    TRY(record(r, err));
    TRY(plan_at(r, r->T, err));
    return ranks_share(r, err);                  /* of the graph that was recorded anew: how much of the optimiser's state is others' follows from it */
}

/* Where memory is short fewer slices are run at once: that costs less than computing anything again, and no bit. */
int run_choose_slices(struct run *r, struct err *err)
{
    size_t allowed = allowed_bytes(r);
    int n_here;
    TRY(ranks_share_memory(r, planned_bytes(r) + PROCESS_BYTES, &allowed, &n_here, err));
    for (;;) {
        bool over = r->joined > 1 && planned_bytes(r) + PROCESS_BYTES > allowed;
        if (r->division.by == DIVIDE_EXPERTS)                       /* their passes must be alike */
            TRY(ranks_any(r, &over, err));
        if (!over)
            return 0;
        r->joined /= 2;
        r->T = (int)(r->joined * r->micro * r->c.ctx);
        TRY(record_by(r, r->c.recompute, err));
    }
}

static int tell_rules(const struct run *r, int chosen, bool fits, size_t allowed, const size_t bytes[N_RULE], const double seconds[N_RULE], struct err *err)
{
    char a[32], b[32];
    struct buf line;
    buf_init(&line);
    int rc = 0;
    for (int i = 0; i < N_RULE && !rc; i++)
        rc = buf_printf(&line, err, "%s%s %s and %s a step at the limits", i ? ", " : "", rules[i], fmt_bytes(a, (double)bytes[i]), fmt_seconds_fine(b, seconds[i]));
    if (!rc && !comm_rank(r->comm))
        log_info("recompute: %s, the %s %s: %s", rules[chosen], fits ? "fastest that fits into" : "smallest, and too large for", fmt_bytes(a, (double)allowed), line.data);
    buf_release(&line);
    return rc;
}

/* How long each takes is not known: what is computed again costs the least of it first. */
static int choose_for_device(struct run *r, struct err *err)
{
    char a[32];
    r->c.recompute = rules[0];
    for (int i = 1; i < N_RULE && !run_fits_device(r); i++) {
        TRY(record_by(r, rules[i], err));
        if (run_fits_device(r))
            log_info("recompute: %s, the first of none, cheap and block that fits into %s of %s", rules[i], fmt_bytes(a, (double)r->o->device->bytes_free), r->o->device->name);
    }
    return 0;
}

/* Rank 0 decides for all: it has the limits, and the passes of all must be alike. */
int run_choose_recompute(struct run *r, struct err *err)
{
    size_t bytes[N_RULE];
    double seconds[N_RULE];
    int chosen = 0, smallest = 0;
    size_t allowed = allowed_bytes(r);
    int n_here;
    if (strcmp(r->c.recompute, "auto"))
        return 0;
    if (r->o->device)
        return choose_for_device(r, err);
    TRY(ranks_share_memory(r, planned_bytes(r) + PROCESS_BYTES, &allowed, &n_here, err));
    bool fits = false, lacks = planned_bytes(r) + PROCESS_BYTES > allowed;       /* the model is recorded by none, which nothing is faster than */
    TRY(ranks_any(r, &lacks, err));
    r->c.recompute = rules[0];
    if (!lacks)
        return 0;
    for (int i = 0; i < N_RULE; i++) {
        TRY(record_by(r, rules[i], err));
        bytes[i] = planned_bytes(r) + PROCESS_BYTES, seconds[i] = run_step_seconds(r);
        lacks = bytes[i] > allowed;
        TRY(ranks_any(r, &lacks, err));
        if (!lacks && (!fits || seconds[i] < seconds[chosen]))
            chosen = i, fits = true;
        smallest = bytes[i] < bytes[smallest] ? i : smallest;
    }
    chosen = fits ? chosen : smallest;
    TRY(comm_broadcast(r->comm, &chosen, sizeof chosen, err));
    TRY(record_by(r, rules[chosen], err));
    return tell_rules(r, chosen, fits, allowed, bytes, seconds, err);
}

/* ---- the plan ---- */

/* Of a mixture peft takes every module called gate, up or down for its experts' (0.21 with transformers 5). */
static void warn_of_peft(const struct decoder *d)
{
    for (int i = 0; i < d->n_site; i++)
        if (d->config.n_expert && strstr(d->site[i].part[0].module, ".mlp.")) {
            log_warn("adapters of '%s': peft looks for those of a mixture in its experts and leaves them out; lathe merge has them", d->site[i].part[0].module);
            return;
        }
}

static int refuse_for_device(struct run *r, size_t free_bytes, struct err *err)
{
    const struct graph_device *d = r->o->device;
    const size_t need = d->bytes, act = r->model.g->plan.bytes[TENSOR_ACT];
    const int64_t fits = batch_that_fits(r, free_bytes, err);
    char a[32], b[32], c[32], e[32], advice[120] = "no batch would fit: the model is too large for it";
    if (fits >= 1)
        snprintf(advice, sizeof advice, "train.batch: %lld would fit, with train.accumulate for the rest", (long long)fits);
    return ERR(err, NOMEM, "the plan needs %s of %s, which has %s free: activations %s, all else %s; %s", fmt_bytes(a, (double)need), d->name, fmt_bytes(b, (double)d->bytes_free),
               fmt_bytes(c, (double)act), fmt_bytes(e, (double)(need - act)), advice);
}

int run_print_plan(struct run *r, struct train_result *result, struct err *err)
{
    char a[32], b[32], d[32], e[32];
    config_params(&r->c.model, &result->n_param, &result->n_active);
    const uint64_t process = mem_private_now();             /* nothing of the plan is taken yet */
    result->planned_bytes = r->planned = planned_bytes(r);
    result->expected_bytes = expected_bytes(r, process);
    result->expected_seconds = run_step_seconds(r) * (double)(r->c.steps - r->state.step);
    log_info("model: %s parameters, %s used for a token (%d layers, width %d%s)", fmt_count(a, (double)result->n_param),
             fmt_count(b, (double)result->n_active), r->c.model.n_layer, r->c.model.d_model, r->c.model.n_expert ? ", mixture of experts" : "");
    const struct graph_plan *p = &r->model.g->plan;
    if (r->division.by)
        log_info("each of %d processes holds a part of the model, %s of its parameters; checkpoints are written while the steps wait", r->division.n, fmt_count(a, (double)p->bytes[TENSOR_WEIGHT] / sizeof(float)));
    if (r->c.tune.on)
        log_info("adapters: rank %d on %d weights, %s parameters are learned", r->c.tune.lora.rank, r->model.n_site, fmt_count(a, (double)p->bytes[TENSOR_WEIGHT] / sizeof(float)));
    warn_of_peft(&r->model);
    if (r->rows)
        log_info("base: its matrices stay in the file, %s of any memory that is free, and are made floats for each product", fmt_bytes(a, (double)base_rows_file_bytes(r->rows)));
    size_t shown = 0;
    struct buf line;
    buf_init(&line);
    for (int k = 0; k < N_TENSOR_KIND; k++)
        if (p->bytes[k] > p->total / 200 && graph_on_host(r->model.g, (enum tensor_kind)k) && buf_printf(&line, err, "%s%s %s", line.len ? ", " : "", tensor_kind_name(k), fmt_bytes(a, (double)p->bytes[k])) >= 0)
            shown += p->bytes[k];
    const size_t copy = run_save_bytes(r);
    if (copy && buf_printf(&line, err, "%scopy for checkpoints %s", line.len ? ", " : "", fmt_bytes(a, (double)copy)) >= 0)
        shown += copy;
    log_info("memory: %s planned, and at most %s for the process itself (%s, rest %s); %s of both should be used", fmt_bytes(a, (double)result->planned_bytes),
             fmt_bytes(b, (double)PROCESS_BYTES), line.data, fmt_bytes(d, (double)(result->planned_bytes - shown)), fmt_bytes(e, (double)result->expected_bytes));
    buf_release(&line);
    if (r->o->device) {
        result->device_bytes = r->o->device->bytes;
        run_tell_device(r);
    }
    size_t free_bytes = allowed_bytes(r);
    int n_here;
    TRY(ranks_share_memory(r, result->planned_bytes + PROCESS_BYTES, &free_bytes, &n_here, err));
    if (result->planned_bytes + PROCESS_BYTES > free_bytes) {
        const size_t act = p->bytes[TENSOR_ACT], fixed = result->planned_bytes - act;
        const int64_t fits = batch_that_fits(r, free_bytes, err);
        char advice[120] = "no batch would fit: the model is too large for this machine";
        if (fits >= 1)
            snprintf(advice, sizeof advice, "train.batch: %lld would fit, with train.accumulate for the rest", (long long)fits);
        if (r->c.tune.on && !r->rows && result->planned_bytes - p->bytes[TENSOR_FROZEN] - p->bytes[TENSOR_PACKED] + PROCESS_BYTES <= free_bytes)
            snprintf(advice, sizeof advice, "lora.base: file would fit, it keeps the model in its file");
        if (result->planned_bytes - copy + PROCESS_BYTES <= free_bytes)
            snprintf(advice, sizeof advice, "train.save: wait would fit, it takes no copy for checkpoints");
        char beside[60] = "";
        if (n_here > 1)
            snprintf(beside, sizeof beside, " for this one of %d processes on this machine", n_here);
        return ERR(err, NOMEM, "the plan needs %s, the process itself %s, and %s %s%s: activations %s, all else %s; %s", fmt_bytes(a, (double)result->planned_bytes),
                   fmt_bytes((char[32]){ 0 }, (double)PROCESS_BYTES), fmt_bytes(b, (double)free_bytes), r->c.memory > 0 ? "is free or allowed by train.memory" : "is free", beside, fmt_bytes(e, (double)act), fmt_bytes(d, (double)fixed), advice);
    }
    return run_fits_device(r) ? 0 : refuse_for_device(r, free_bytes, err);
}

/* A run that the limits put below this is over before its time would be known. */
#define PREDICT_FROM_S 30.0

int run_print_time(struct run *r, struct train_result *result, struct err *err)
{
    char a[32], b[32], d[32], e[32];
    const double n = (double)(r->c.steps - r->state.step);
    r->predicted = NAN;
    if (r->o->device) {
        result->predicted_step_seconds = result->step_seconds_at_limits = NAN;
        log_info("work: %s operations a step of %.0f tokens, in %s by %s, whose time is not foretold", fmt_count(a, run_step_flops(r)), run_step_tokens(r), r->c.precision, r->o->device->name);
        return 0;
    }
    if (r->o->dry_run || result->expected_seconds >= PREDICT_FROM_S)
        TRY(run_predict(r, &r->predicted, err));
    result->predicted_step_seconds = r->predicted, result->step_seconds_at_limits = run_step_seconds(r);
    log_info("work: %s operations a step of %.0f tokens, at %s/s in %s with %d threads, the machine's measured limits", fmt_count(a, run_step_flops(r)), run_step_tokens(r),
             fmt_count(e, limits_peak(&r->limits, train_compute(&r->c))), r->c.precision, r->o->n_thread);
    if (r->predicted > 0)
        log_info("time: %.0f steps should take about %s, %s each (at the limits %s, %s each)", n, fmt_seconds_fine(a, n * r->predicted), fmt_seconds_fine(b, r->predicted),
                 fmt_seconds_fine(d, result->expected_seconds), fmt_seconds_fine(e, run_step_seconds(r)));
    else
        log_info("time: %.0f steps take at least %s, %s each, at the limits", n, fmt_seconds_fine(d, result->expected_seconds), fmt_seconds_fine(e, run_step_seconds(r)));
    return 0;
}

/* ---- settings that decide the numbers ---- */

int run_digest_held_out(const struct run *r, char digest[SHA256_HEX], struct err *err)
{
    const struct file_map *map = config_vision(&r->c.model) ? &r->classes.valid.map : &r->data.valid.map;
    return sha256_of(map->data, map->size, digest, err);
}

/* With patience, held-out data decides when the run ends and which model is in OUT/best. */
static int add_held_out(const struct run *r, struct buf *b, struct err *err)
{
    const int32_t *labels = run_classifies(r) ? r->classes.label[1] : NULL;
    char held_out[SHA256_HEX], classes[SHA256_HEX];
    TRY(run_digest_held_out(r, held_out, err));
    TRY(sha256_of(labels, labels ? (size_t)r->classes.n_valid * sizeof *labels : 0, classes, err));
    return buf_printf(b, err, " patience %lld %lld %lld %s %s", (long long)r->c.patience, (long long)r->c.eval_every, (long long)r->c.eval_tokens, held_out, classes);
}

int run_digest_settings(struct run *r, struct err *err)
{
    struct buf b;
    buf_init(&b);
    const struct train_config *c = &r->c;
    const struct file_map *map = config_vision(&r->c.model) ? &r->classes.train.map : &r->data.train.map;
    char *data = r->data_sha256, base[SHA256_HEX];
    int rc = config_write(&c->model, &b, err);
    if (!rc)
        rc = sha256_of(map->data, map->size, data, err);
    if (!rc)
        rc = buf_printf(&b, err, "%s %lld %lld %lld %lld %lld %.17g %s %lld %.17g %.17g %.17g %.17g %.17g %.17g %.17g %s %s", c->from ? c->from : "", (long long)c->steps,
                        (long long)c->batch, (long long)c->ctx, (long long)c->accumulate, (long long)c->seed, c->lr, c->schedule, (long long)c->warmup, c->min_lr_share,
                        c->decay_share, c->beta1, c->beta2, c->eps, c->weight_decay, c->clip, c->precision, data);
    if (!rc && c->slices > 1)
        rc = buf_printf(&b, err, " slices %lld", (long long)c->slices);
    if (!rc && train_prefers(c))
        rc = buf_printf(&b, err, " dpo %.17g", c->beta);
    if (!rc && train_prefers(c) && !c->tune.on && !(rc = base_digest(base, c->from, err)))      /* what it is compared with is read at each start */
        rc = buf_printf(&b, err, " %s", base);
    if (!rc && c->tune.on)
        rc = buf_printf(&b, err, " lora %d %.17g %.17g %d %u %s", c->tune.lora.rank, c->tune.lora.alpha, c->tune.lora.dropout, c->tune.lora.rslora, c->tune.lora.targets, c->tune.lora.base);
    if (!rc && run_classifies(r))
        rc = classes_digest(&r->classes, c, &b, err);
    if (!rc && train_optimizer(c) != OPTIMIZER_ADAMW)
        rc = buf_printf(&b, err, " %s %.17g %.17g %.17g", c->optimizer, c->muon_lr, c->muon_weight_decay, c->momentum);
    if (!rc && train_state_type(c) != DT_F32)
        rc = buf_printf(&b, err, " state %s", c->optimizer_state);
    if (!rc && !c->pack)
        rc = buf_printf(&b, err, " alone");
    if (!rc && c->privacy.on)
        rc = buf_printf(&b, err, " privacy %.17g %.17g %.17g %d", r->dp.noise, c->privacy.delta, c->privacy.max_grad_norm, r->dp.ghost_tokens);
    if (!rc && c->model.router_correction && !c->tune.on)
        rc = buf_printf(&b, err, " router_bias_rate %.17g", c->router_bias_rate);
    if (!rc && c->upcycle.on)
        rc = buf_printf(&b, err, " upcycle %.17g %.17g", c->upcycle.router_std, c->upcycle.redraw);
    if (!rc && c->ema > 0)
        rc = buf_printf(&b, err, " ema %.17g", c->ema);
    if (!rc && c->patience)
        rc = add_held_out(r, &b, err);
    if (!rc && strcmp(c->on_spike, "skip"))
        rc = buf_printf(&b, err, " on_spike %s", c->on_spike);
    if (!rc && run_goes_back(r))
        rc = buf_printf(&b, err, " %lld", (long long)c->save_every);
    if (!rc)
        rc = sha256_of(b.data, b.len, r->state.settings, err);
    buf_release(&b);
    return rc;
}
