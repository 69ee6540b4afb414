/* on_device.c - a run whose steps a device computes (nn/device.h).  Without one all of this is nothing but PASS_PREPARE, which a
 * device needs too: some keep rounded copies of weights.
 *
 * Weights, gradients and moments are the device's.  The host's blocks of weights and moments are what checkpoints are written from, and samples by: they
 * have what was fetched last, and are fetched when something wants them, once for an update.  Losses and statistics of routers are fetched after each
 * micro-batch.  What held-out text costs the model's own graph says, by PASS_LOSS.  Routers' corrections are the host's, and sent when they move. */
#include <math.h>
#include <string.h>
#include "base/log.h"
#include "nn/device.h"
#include "train/ranks.h"

/* Settings that are for the host alone. */
static int check_settings(const struct run *r, struct err *err)
{
    const struct train_config *c = &r->c;
    const char *name = r->o->device->name;
    const struct { bool is; const char *key, *expected; } refused[] = {
        { r->o->device->n_part > 1, "several devices", "one" },
        { comm_size(r->comm) > 1, "several processes", "one" },
        { c->tune.on, "a section lora", "none" },
        { c->privacy.on, "a section privacy", "none" },
        { train_prefers(c), "train.objective: dpo", "likelihood" },
        { train_classifies(c), "classes", "texts" },
        { c->tensor_parallel > 1, "train.tensor_parallel", "1" },
        { c->expert_parallel, "train.expert_parallel", "false" },
        { train_compute(c) != DT_BF16, "train.precision: fp32", "bf16" },
        { train_optimizer(c) == OPTIMIZER_MUON, "train.optimizer: muon", "adamw" },
        { train_optimizer(c) == OPTIMIZER_SGD, "train.optimizer: sgd", "adamw" },
        { train_state_type(c) != DT_F32, "train.optimizer_state: bf16", "fp32" },
        { c->ema > 0, "train.ema", "0" },
        { c->verify_every > 0, "train.verify_every", "0" },
        { c->model.dropout > 0, "dropout", "0" },
        { json_object_get(json_object_get(c->root, "train"), "slices") && c->slices > 1, "train.slices over 1", "1" },
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (refused[i].is)
            return ERR(err, UNSUPPORTED, "%s: %s does not train with %s, expected %s", r->o->config, name, refused[i].key, refused[i].expected);
    return 0;
}

/* The model as the settings have it, before the data say how large its vocabulary is: can the device do all of its operations? */
static int check_model(const struct run *r, struct err *err)
{
    struct decoder d = { .g = NULL };
    const struct decoder_opts o = run_train_opts(r);
    const int T = (int)(r->c.batch * r->c.ctx);
    int rc = decoder_record(&d, &r->c.model, &o, err);
    if (!rc) {
        d.g->device = r->o->device;
        rc = decoder_plan(&d, T, T, r->o->n_thread, NULL, err);
    }
    decoder_release(&d);
    return rc ? err_context(err, "%s: model", r->o->config) : 0;
}

int run_check_device(struct run *r, struct err *err)
{
    if (!r->o->device)
        return 0;
    TRY(check_settings(r, err));
    r->c.slices = 1, r->joined = 1;              /* else by how many processes there might be */
    return check_model(r, err);
}

const struct decoder *run_scorer(const struct run *r) { return r->o->device ? &r->model : &r->scorer; }

int run_prepare_model(struct run *r, struct err *err)
{
    struct graph *g = r->model.g;
    const struct step s = run_step_of(r, 0);
    TRY(graph_failed(g, err));
    if (g->device)
        g->rc = g->device->fill(g->device, g, &g->failed);
    if (!g->rc)
        graph_run(g, PASS_PREPARE, &s);
    r->weights_here = r->moments_here = true;
    return graph_failed(g, err);
}

int run_fetch_state(struct run *r, bool moments, struct err *err)
{
    if (!r->o->device || (r->weights_here && (r->moments_here || !moments)))
        return 0;
    TRY(run_settle_saves(r, err));               /* a checkpoint is written from what is here */
    if (!r->weights_here)
        TRY(graph_fetch_kind(r->model.g, TENSOR_WEIGHT, err));
    r->weights_here = true;
    if (moments)
        TRY(graph_fetch_kind(r->model.g, TENSOR_MOMENT, err));
    r->moments_here = r->moments_here || moments;
    return 0;
}

int run_send_corrections(struct run *r, struct err *err)
{
    struct graph *g = r->model.g;
    TRY(graph_failed(g, err));
    for (int i = 0; i < r->model.n_stats && g->device && !g->rc; i++)
        if (r->model.correction[i] >= 0 && g->tensor[r->model.correction[i]].steered)
            g->rc = g->device->send(g->device, g, r->model.correction[i], g->tensor[r->model.correction[i]].bytes, &g->failed);
    return graph_failed(g, err);
}

/* ---- the plan ---- */

bool run_fits_device(const struct run *r) { return !r->o->device || r->o->device->bytes <= r->o->device->bytes_free; }

void run_tell_device(const struct run *r)
{
    static const enum tensor_kind kinds[] = { TENSOR_WEIGHT, TENSOR_GRAD, TENSOR_MOMENT, TENSOR_ACT };
    const struct graph_device *d = r->o->device;
    char need[32], is[32], part[32], rest[32], line[160];
    int n = 0;
    size_t shown = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const size_t bytes = r->model.g->plan.bytes[kinds[i]];
        n += snprintf(line + n, sizeof line - (size_t)n, "%s %s, ", tensor_kind_name(kinds[i]), fmt_bytes(part, (double)bytes));
        shown += bytes;
    }
    log_info("memory of %s (%s): %s planned of %s that are free (%srest %s)", d->name, d->arch, fmt_bytes(need, (double)d->bytes), fmt_bytes(is, (double)d->bytes_free), line,
             fmt_bytes(rest, (double)(d->bytes - shown)));
}
