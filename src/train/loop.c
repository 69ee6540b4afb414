/* loop.c - prepare (texts, tokenizer, token files), plan, then step by step.
 *
 * All randomness is a function of (seed, step), so the state of a run is its weights, the optimiser's moments and a few
 * counters, with what the doctor has seen. */
#include "train/loop.h"
#include <malloc.h>
#include <math.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/jinja.h"
#include "nn/device.h"
#include "train/adversary.h"
#include "train/gate.h"
#include "train/page.h"
#include "train/parts.h"
#include "train/ranks.h"
#include "train/show.h"

char *run_out_path(const struct run *r, const char *name) { return file_join(r->o->out, name); }

/* The chat template that the records were rendered by belongs to the model. */
static int put_template(const struct run *r, struct err *err)
{
    struct buf text;
    char *path = run_out_path(r, "chat_template.jinja");
    buf_init(&text);
    int rc = path ? file_read(r->c.template, JINJA_TEXT_MAX, &text, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = file_write_all(path, text.data, text.len, err);
    buf_release(&text);
    mem_free(path);
    return rc;
}

static int steps(struct run *r, struct train_result *result, struct err *err)
{
    double busy = 0;
    int64_t n_timed = 0;
    const int64_t begin = r->state.step;
    const double cpu = clock_cpu();
    while (r->state.step < r->c.steps && run_is_patient(r)) {
        const double t = clock_wall();
        if (r->o->fault)
            fault_begin(r->o->fault, r->model.g, r->state.step);
        TRY(run_gradients(r, err));
        enum step_fate fate;
        TRY(run_examine(r, &fate, err));
        if (fate == STEP_BACK)
            continue;
        const bool good = fate == STEP_APPLY;
        double lr = 0, before = NAN;
        if (good) {
            TRY(run_take_step(r, err));
            TRY(run_before_update(r, &before, err));
            TRY(run_update(r, &lr, err));
            r->state.n_bad = 0;
            run_follow(r);
        }
        const double seconds = clock_wall() - t;
        if (good)
            TRY(run_after_update(r, before, err));
        mem_private_sample();
        r->state.step++;
        if (r->state.step > begin + 1)               /* the first touches its memory */
            busy += seconds, n_timed++;
        if (good)
            TRY(run_log_step(r, lr, seconds, n_timed ? busy / (double)n_timed : seconds, err));
        const bool last = r->state.step == r->c.steps;
        bool by_time = !last && run_out_of_time(r, seconds), stop = r->o->stop && *r->o->stop;
        TRY(ranks_decide(r, &stop, &by_time, err));
        stop = stop || by_time;
        TRY(run_count_experts(r, err));
        if (r->c.eval_every && r->state.step % r->c.eval_every == 0 && !last && (!stop || r->c.patience)) {      /* patience counts every evaluation */
            TRY(run_swap_average(r, err));
            TRY(run_evaluate(r, false, &result->valid_loss, &result->valid_bits_per_byte, err));
            r->valid_loss = result->valid_loss;
            TRY(run_judge_loss(r, result->valid_loss, err));
            TRY(run_swap_average(r, err));
        }
        TRY(run_show_sample(r, err));
        const bool ends = last || !run_is_patient(r);
        if (stop && !ends)
            return run_stopped(r, by_time, err);
        TRY(ends ? run_save_now(r, err) : run_tend_saves(r, err));
        run_guard(r);
    }
    log_progress_end();
    result->seconds = busy + (n_timed ? busy / (double)n_timed : 0);
    result->cpu_seconds = clock_cpu() - cpu;
    result->tokens_per_s = n_timed ? (double)n_timed * run_step_tokens(r) / busy : 0;
    result->share_of_peak = r->o->device ? NAN : n_timed ? run_step_flops(r) * (double)n_timed / busy / limits_peak(&r->limits, train_compute(&r->c)) : 0;
    TRY(run_swap_average(r, err));           /* the last checkpoint is written */
    TRY(run_evaluate(r, true, &result->valid_loss, &result->valid_bits_per_byte, err));
    TRY(ranks_log(r, err));
    if (comm_rank(r->comm))
        return parts_settle(r, err);
    TRY(run_fetch_state(r, false, err));
    const int saved = model_save(r->o->out, &r->model, r->weights, r->data.tok, NULL, NULL, err);
    TRY(saved ? saved : parts_settle(r, err));
    TRY(run_put_privacy(r, err));
    if (r->c.from && r->data.tok && !r->c.tune.on)
        TRY(base_put_chat(r->c.from, r->o->out, err));
    return r->c.template && !r->c.tune.on ? put_template(r, err) : 0;
}

/* ---- the run ---- */

static int take_batch(struct run *r, struct err *err)
{
    int32_t *p = r->batch_block = mem_map(run_batch_bytes(r));
    if (!p)
        return ERR(err, NOMEM, "no memory for a batch of %d tokens", r->T);
    r->batch = (struct batch){ .ids = p, .target = p + r->T, .pos = p + 2 * r->T, .seq_start = p + 3 * r->T };
    r->token_scale = train_prefers(&r->c) ? (float *)(void *)(p + 4 * r->T + 1) : NULL;
    return 0;
}

static int take_memory(struct run *r, struct err *err)
{
    TRY(decoder_bind(&r->model, r->pool, NULL, err));
    if (r->scorer.g)
        TRY(decoder_bind(&r->scorer, r->pool, &r->model, err));
    if (r->reference.g)
        TRY(decoder_bind(&r->reference, r->pool, &r->model, err));
    TRY(adversary_take(r, err));
    if (r->sampler.g)
        TRY(decoder_bind(&r->sampler, r->pool, &r->model, err));
    if (r->rows) {
        TRY(base_rows_take(r->rows, err));
        if (r->c.tune.on)
            base_rows_bind(r->rows, &r->model), base_rows_bind(r->rows, &r->scorer);
        if (r->c.tune.on && r->sampler.g)
            base_rows_bind(r->rows, &r->sampler);
        if (r->reference.g)
            base_rows_bind(r->rows, &r->reference);
    }
    TRY(parts_take(r, err));
    if (r->division.by) {
        r->model.g->peers = r->scorer.g->peers = &r->peers;
        if (r->sampler.g)
            r->sampler.g->peers = &r->peers;
    }
    if (!comm_rank(r->comm))
        TRY(run_open_saver(r, err));
    TRY(run_privacy_take(r, err));
    TRY(run_open_doctor(r, err));
    if (!(r->sums = mem_map(run_sums_bytes(r))))
        return ERR(err, NOMEM, "no memory for the sums of %lld slices", (long long)r->c.slices);
    return slice_sums_init(&r->gradient, r->model.g, r->n_slice / r->joined, err);
}

static int first_weights(struct run *r, struct err *err)
{
    if (!r->c.from || run_classifies(r))      /* a base may lack the head for classes */
        decoder_init_weights(&r->model, r->weights, (uint64_t)r->c.seed);
    if (!r->c.from)
        return 0;
    TRY(base_weights(&r->model, r->weights, r->c.from, err));
    if (r->c.upcycle.on)
        TRY(upcycle_weights(&r->c.upcycle, &r->model, r->weights, (uint64_t)r->c.seed, err));
    decoder_init_adapters(&r->model, (uint64_t)r->c.seed);
    return 0;
}

/* passed: what is wrong with checkpoints that were passed over for an older one. */
static int resume_or_begin(struct run *r, struct buf *passed, struct err *err)
{
    struct train_state found = { .step = 0 };
    if (r->c.tune.on)                        /* checkpoints hold adapters only */
        TRY(first_weights(r, err));
    const int rc = checkpoint_load(r->dir_checkpoints, CHECKPOINT_LATEST, &r->model, r->weights, &found, passed, err);
    if (rc == ERR_NOTFOUND)
        return r->c.tune.on ? 0 : first_weights(r, err);
    if (*found.settings && strcmp(found.settings, r->state.settings))      /* before what the tensors of another model lack */
        return ERR(err, USAGE, "%s holds a run of other settings or other text; name another --out, or remove it", r->o->out);
    TRY(rc);
    const char *device = r->o->device ? r->o->device->arch : "";
    if (strcmp(found.device, device))
        log_warn("steps up to %lld were computed by %s, and go on by %s: to other bits than without the change", (long long)found.step, *found.device ? found.device : "the host", *device ? device : "the host");
    r->state = found;
    snprintf(r->state.device, sizeof r->state.device, "%s", device);
    r->saved = found.step;
    if (passed->len)
        log_warn("%s", passed->data);
    log_info("going on from step %lld of %s", (long long)found.step, r->dir_checkpoints);
    return 0;
}

/* Begins or goes on, and opens metrics.jsonl, where a damaged checkpoint leaves a line. */
static int begin(struct run *r, struct err *err)
{
    struct buf passed;
    buf_init(&passed);
    int rc = !comm_rank(r->comm) ? resume_or_begin(r, &passed, err) : r->c.from || r->division.by ? first_weights(r, err) : 0;      /* of a run that goes on: for now */
    if (!rc)
        rc = ranks_begin(r, err);
    r->first_step = r->state.step;
    if (!rc && !comm_rank(r->comm))
        rc = run_open_metrics(r, err);
    if (!rc && passed.len)
        rc = run_write_metric(r, json_pack("{s:I, s:s, s:s}", "step", (json_int_t)r->state.step, "event", "an older checkpoint was taken", "error", passed.data), err);
    buf_release(&passed);
    return rc;
}

static int prepare(struct run *r, struct err *err)
{
    return train_classifies(&r->c) ? classes_prepare(&r->classes, &r->data, &r->c, r->o->config, r->o->out, err) : prepare_data(&r->data, &r->c, r->o->config, r->o->out, err);
}

/* Pairs of answers and the loss that compares them are there together. */
static int check_pairs(const struct run *r, struct err *err)
{
    const bool pairs = r->data.train.kind == SHARD_PAIRS, prefers = train_prefers(&r->c);
    if (pairs && !prefers)
        return ERR(err, USAGE, "data.train holds pairs of answers (form preference), which only train.objective: dpo compares");
    return prefers && !pairs ? ERR(err, USAGE, "train.objective is dpo, for which data.train must hold pairs of answers (form preference)") : 0;
}

/* However the run ended; without it nothing is lost but the page. */
static void write_page(const struct run *r)
{
    struct err err;
    if (!comm_rank(r->comm) && page_of_folder(r->o->out, NULL, &err) < 0)
        log_warn("there is no report: %s", err.msg);
}

static int run(struct run *r, struct train_result *result, struct err *err)
{
    TRY(ranks_open(r, err));
    TRY(train_config_load(&r->c, r->o->config, err));
    TRY(run_check_device(r, err));
    TRY(ranks_divide(r, err));
    TRY(train_check_gates(&r->c, r->o->config, !comm_rank(r->comm), err));
    result->adapters = r->c.tune.on;
    TRY(file_mkdirs(r->o->out, err));
    if (!comm_rank(r->comm)) {
        TRY(file_lock(r->o->out, &r->lock, err));
        TRY(file_remove_leftovers(r->o->out, err));
    }
    TRY(ranks_prepare(r, prepare, err));
    malloc_trim(0);                          /* what preparing took is given back before the plan is made true */
    TRY(pool_new(&r->pool, r->o->n_thread, err));
    if (!comm_rank(r->comm) && !r->o->device)
        TRY(limits_get(&r->limits, r->pool, err));
    TRY(run_record_model(r, err));
    TRY(ranks_share(r, err));
    if (run_classifies(r))
        r->loader = classes_loader(&r->classes, &r->c);        /* what the plan asks of it */
    else
        TRY(loader_init(&r->loader, &r->data.train, (int)r->micro, (int)r->c.ctx, (uint64_t)r->c.seed, r->c.pack && !r->c.privacy.on, err));
    if (r->c.privacy.on)
        r->dp.n_record = run_classifies(r) ? r->classes.n_train : loader_n_record(&r->loader);
    TRY(train_config_epochs(&r->c, r->c.privacy.on ? r->dp.n_record : r->loader.n_window, r->o->config, err));
    TRY(run_privacy_begin(r, err));
    if (r->data.valid.n && !run_classifies(r))
        TRY(loader_init_pass(&r->held_out, &r->data.valid, (int)r->micro, (int)r->c.ctx, r->c.pack, err));
    TRY(run_choose_slices(r, err));
    TRY(run_choose_recompute(r, err));
    r->model.vision = config_vision(&r->c.model) ? &r->classes.vision : NULL;
    TRY(run_digest_settings(r, err));
    TRY(ranks_agree(r, err));
    TRY(run_print_plan(r, result, err));
    run_show_packing(r);
    TRY(take_batch(r, err));
    TRY(run_print_time(r, result, err));
    if (r->o->dry_run && !run_classifies(r) && !comm_rank(r->comm))
        TRY(run_show_batch(r, err));
    TRY(check_pairs(r, err));                /* after what the data is was shown */
    if (r->o->dry_run)
        return 0;
    if (!(r->dir_checkpoints = run_out_path(r, "checkpoints")))
        return ERR(err, NOMEM, "no memory for a path");
    TRY(take_memory(r, err));
    TRY(begin(r, err));
    TRY(run_prepare_model(r, err));                   /* from then on updates keep the panels */
    if (r->reference.g && !r->c.tune.on) {            /* else it has no weights of its own */
        const struct step first = run_step_of(r, 0);
        TRY(base_weights(&r->reference, r->weights, r->c.from, err));
        graph_run(r->reference.g, PASS_PREPARE, &first);
    }
    result->expected_seconds = run_step_seconds(r) * (double)(r->c.steps - r->state.step);
    if (r->state.step < r->c.steps && !comm_rank(r->comm))
        TRY(run_write_facts(r, result, err));
    TRY(run_open_interval(r, err));
    run_begin_average(r);
    const int rc = steps(r, result, err);
    log_progress_end();
    write_page(r);
    result->steps = r->state.step, result->loss = r->loss, result->n_skipped = r->state.n_skipped;
    result->tokens = llround((double)r->state.step * run_step_tokens(r));
    result->valid_accuracy = run_classifies(r) ? r->accuracy : NAN;
    result->images = config_vision(&r->c.model);
    result->samples_per_s = run_classifies(r) ? result->tokens_per_s / classes_mean_tokens(&r->classes, &r->c) : 0;
    result->peak_bytes = mem_private_peak();
    result->delta = r->c.privacy.delta;
    result->epsilon = r->c.privacy.on ? run_privacy_spent(r, r->state.step) : 0;
    result->n_saved = r->n_saved, result->save_waited = r->save_waited;
    return rc;
}

int train_run(const struct train_opts *o, struct train_result *result, struct err *err)
{
    struct run r = { .o = o, .metrics = { -1, NULL }, .lock = -1, .loss = NAN, .valid_loss = NAN, .accuracy = NAN, .saved = -1, .began = clock_wall() };
    doctor_init(&r.state.doctor);
    if (o->device)
        snprintf(r.state.device, sizeof r.state.device, "%s", o->device->arch);
    *result = (struct train_result){ .valid_loss = NAN, .valid_accuracy = NAN, .valid_bits_per_byte = NAN };
    const int rc = run(&r, result, err);
    result->rank = comm_rank(r.comm);
    saver_free(r.saver);                     /* first: it looks at the model */
    run_close_doctor(&r);
    run_close_interval(&r);
    file_log_close(&r.metrics);
    tensorboard_close(&r.board);
    mem_free(r.loss_history.at);
    mem_unmap(r.batch_block, r.T ? run_batch_bytes(&r) : 0);
    mem_unmap(r.sums, r.sums ? run_sums_bytes(&r) : 0);
    slice_sums_release(&r.gradient);
    run_privacy_release(&r);
    decoder_release(&r.reference);
    adversary_release(&r);
    decoder_release(&r.scorer);
    decoder_release(&r.model);
    base_rows_free(r.rows);
    parts_release(&r);
    weights_list_free(r.weights);
    pool_free(r.pool);
    loader_release(&r.loader);
    loader_release(&r.held_out);
    prepare_release(&r.data);
    classes_release(&r.classes);
    mem_free(r.dir_checkpoints);
    train_config_release(&r.c);
    mem_free(r.share);
    mem_free(r.counts);
    mem_free(r.scored);
    mem_free(r.all_seen);
    mem_free(r.part_squares);
    file_unlock(&r.lock);
    ranks_close(&r, rc, err);
    if (o->device)
        o->device->free(o->device);
    return rc;
}
