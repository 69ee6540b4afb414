#include "train/decide.h"
#include <string.h>
#include "base/log.h"
#include "train/ranks.h"

#define ROLLBACKS_MAX 5

/* because: of the data or not, as metrics.jsonl has it. */
static int skip(struct run *r, const struct finding *f, const char *because, struct err *err)
{
    struct buf samples;
    buf_init(&samples);
    const int64_t n = r->c.accumulate * r->c.batch;
    int rc = r->c.privacy.on ? buf_add_str(&samples, "(drawn at random)", err) : 0;
    for (int64_t i = 0; i < n && i < 16 && !rc && !r->c.privacy.on; i++)
        rc = buf_printf(&samples, err, "%s%lld", i ? " " : "", (long long)finding_place(r, (uint64_t)((r->state.step + r->state.shift) * n + i)));
    r->state.n_bad++, r->state.n_skipped++;
    if (!rc)
        rc = run_write_metric(r, json_pack("{s:I, s:s, s:s, s:s, s:I}", "step", (json_int_t)r->state.step + 1, "event", "skipped", "because", because, "samples", samples.data, "skipped",
                                           (json_int_t)r->state.n_skipped), err);
    if (!rc && f->o.odd & ODD_BAD && r->state.n_bad >= BAD_STEPS_MAX)
        rc = ERR(err, NUMERIC, "%d steps in a row gave numbers that are not finite (%s); the last, step %lld, was made of the %s %s%s of data/train.%s; "
                 "where all data does it, train.lr %g is too high, or on_spike: rollback goes back", BAD_STEPS_MAX, cause_word(f->cause), (long long)r->state.step + 1,
                 config_vision(&r->c.model) ? "images" : run_classifies(r) ? "texts" : "windows at tokens", samples.data, n > 16 ? " ..." : "",
                 config_vision(&r->c.model) ? "img" : "tok", r->c.lr);
    buf_release(&samples);
    return rc;
}

int decide_skip(struct run *r, const struct finding *f, struct err *err) { return skip(r, f, f->o.odd & ODD_BAD ? "loss or gradient not finite" : "loss or gradient unlike those before", err); }

/* Rank 0 reads a checkpoint; all have it then. */
static int load(struct run *r, int64_t step, struct err *err)
{
    if (!comm_rank(r->comm)) {
        struct train_state found;
        struct buf passed;
        buf_init(&passed);
        const int rc = checkpoint_load(r->dir_checkpoints, step, &r->model, r->weights, &found, &passed, err);
        if (!rc && passed.len)
            log_warn("%s", passed.data);
        buf_release(&passed);
        TRY(rc);
        if (strcmp(found.settings, r->state.settings))
            return ERR(err, CORRUPT, "%s changed while the run went on", r->dir_checkpoints);
        r->state = found;
    }
    TRY(ranks_begin(r, err));
    return run_prepare_model(r, err);
}

/* The last one that was due: where it lies is a function of the step, and not of when the run was stopped or killed. */
static int64_t due_before(const struct run *r) { return r->c.save_every ? r->state.step - r->state.step % r->c.save_every : 0; }

/* On without the data up to this step; what was found at evaluations stays found, as OUT/best does. */
static void leave_out(struct run *r, const struct train_state *was)
{
    struct train_state *s = &r->state;
    s->shift = was->shift + was->step - s->step + 1, s->n_shift = was->n_shift + 1;
    s->n_evaluated = was->n_evaluated, s->n_worse = was->n_worse, s->best_step = was->best_step, s->best_kept = was->best_kept, s->best_loss = was->best_loss;
    s->doctor.last_good = -1;
}

/* To the newest checkpoint, as if the run had been killed; or, other_data, to the last that was due, and on from there with other data. */
static int roll_back(struct run *r, const struct finding *f, bool other_data, struct err *err)
{
    const struct train_state was = r->state;
    TRY(load(r, other_data ? due_before(r) : CHECKPOINT_LATEST, err));
    r->saved = r->state.step, r->save_due = false;
    run_forget_experts(r);
    if (other_data)
        leave_out(r, &was);
    else
        r->n_repair++;
    const int64_t n = r->state.n_rollback = was.n_rollback + 1;
    log_warn("back to the checkpoint of step %lld%s", (long long)r->state.step, other_data ? ", on with other data" : "");
    TRY(run_write_metric(r, json_pack("{s:I, s:s, s:I, s:b, s:I}", "step", (json_int_t)r->state.step, "event", "rolled back", "from_step", (json_int_t)was.step + 1, "other_data", other_data,
                                      "rollbacks", (json_int_t)n), err));
    if (r->n_repair > ROLLBACKS_MAX)
        return ERR(err, NUMERIC, "went back %d times since it was started because memory was altered, the last time from step %lld (%.200s): the machine is not to be relied on; on another the run goes on "
                   "from step %lld", ROLLBACKS_MAX, (long long)was.step + 1, f->where, (long long)r->saved);
    if (r->state.n_shift > ROLLBACKS_MAX)
        return ERR(err, NUMERIC, "went back %d times; the last time from step %lld: train.lr %g may be too high", ROLLBACKS_MAX, (long long)was.step + 1, r->c.lr);
    return 0;
}

/* Lets the checkpoint under way end: is there one to go back to?  Rank 0 knows. */
static int may_roll_back(struct run *r, bool other_data, bool *may, struct err *err)
{
    TRY(run_settle_saves(r, err));
    *may = !comm_rank(r->comm) && (other_data ? checkpoint_is_there(r->dir_checkpoints, due_before(r)) : r->saved >= 0);
    return ranks_any(r, may, err);
}

int decide_mended(struct run *r, struct finding *f, enum step_fate *fate, struct err *err)
{
    const struct doctor_opinion o = doctor_judge(&r->state.doctor, r->loss, r->norm, &r->seen);
    *fate = o.odd & ODD_BAD ? STEP_SKIP : STEP_APPLY;
    TRY(finding_tell(r, f, *fate == STEP_APPLY ? "goes on" : "skipped", err));
    f->o = o;                                    /* what is left out are these numbers, and not the first ones */
    return *fate == STEP_SKIP ? decide_skip(r, f, err) : 0;
}

int decide_apply(struct run *r, const struct finding *f, enum step_fate *fate, struct err *err)
{
    *fate = STEP_APPLY;
    TRY(finding_tell(r, f, "goes on", err));
    return run_gradients(r, err);                /* others were computed meanwhile */
}

int decide_kernel(struct run *r, const struct finding *f, enum step_fate *fate, struct err *err)
{
    const bool third = r->state.n_bad >= BAD_STEPS_MAX - 1;
    if (f->no_level || third || !strcmp(r->c.on_spike, "stop")) {
        TRY(finding_tell(r, f, "stops", err));
        return ERR(err, NUMERIC, "step %lld: %s (%s)%s; the last checkpoint is of step %lld", (long long)r->state.step + 1, f->what, f->where,
                   f->no_level ? ": no level of kernels is right here" : third ? ": the third step in a row that cannot be applied" : " (train.on_spike: stop)", (long long)r->saved);
    }
    *fate = STEP_SKIP;
    TRY(finding_tell(r, f, "skipped", err));
    return skip(r, f, "kernels multiply wrongly", err);
}

int decide(struct run *r, struct finding *f, enum step_fate *fate, struct err *err)
{
    /* A large gradient alone is told, and clipped. */
    const bool hardware = f->cause == CAUSE_HARDWARE, severe = hardware || f->o.odd & (ODD_BAD | ODD_LOSS | (r->c.clip > 0 ? 0 : ODD_NORM));
    if (!severe)
        return decide_apply(r, f, fate, err);
    if (!strcmp(r->c.on_spike, "stop")) {
        TRY(finding_tell(r, f, "stops", err));
        return ERR(err, NUMERIC, "step %lld: %s: %s (train.on_spike: stop); the last checkpoint is of step %lld", (long long)r->state.step + 1, cause_word(f->cause), f->what, (long long)r->saved);
    }
    bool may = false;
    if (hardware || run_goes_back(r))
        TRY(may_roll_back(r, !hardware, &may, err));
    if (may) {
        *fate = STEP_BACK;
        TRY(finding_tell(r, f, "back to the last checkpoint", err));
        return roll_back(r, f, !hardware, err);
    }
    if (hardware)
        return ERR(err, NUMERIC, "step %lld: %s (%s), and there is no checkpoint to go back to", (long long)r->state.step + 1, f->what, f->where);
    /* To leave out data does not mend weights, and what many steps in a row are is how steps are now. */
    if (!(f->o.odd & ODD_BAD) && (f->cause == CAUSE_STATE || r->state.n_bad >= BAD_STEPS_MAX - 1))
        return decide_apply(r, f, fate, err);
    *fate = STEP_SKIP;
    TRY(finding_tell(r, f, "skipped", err));
    return decide_skip(r, f, err);
}
