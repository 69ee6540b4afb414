/* examine.c - what is wrong with a step that is unlike those before, and what is done about it.
 *
 *   with verify_every, memory is not as it was  the machine: the panels are packed again, or back to the last checkpoint
 *   computed again, other bits                  the machine: what two of three runs say is taken
 *   the packed weights differ from the weights  the machine's memory: they are packed again
 *   a product is not what its operands give, or
 *   one level of kernels lower it is like others  a kernel: the lower level's numbers are taken
 *   the last good step's data is odd now too    the state: a weight beyond all others, or a learning rate too high
 *   else                                        the data: the samples are named, with their text
 *
 * A step that is odd still when what the machine did is mended is asked again.
 *
 * evidence.h asks, finding.h tells, decide.h acts.  A step is examined before its update.  It costs a few steps' time, and only when
 * something is odd. */
#include <string.h>
#include "base/log.h"
#include "base/tree.h"
#include "train/decide.h"
#include "train/evidence.h"
#include "train/watch.h"

int run_open_doctor(struct run *r, struct err *err)
{
    TRY(watch_open(r, err));
    return evidence_open(r, err);
}

void run_close_doctor(struct run *r)
{
    watch_close(r);
    evidence_close(r);
}

void run_guard(struct run *r) { evidence_guard(r); }

/* With differential privacy nothing is chosen by what the data did. */
static bool is_off(const struct run *r) { return !strcmp(r->c.on_spike, "none") || r->c.privacy.on; }

static struct finding judge(struct run *r)
{
    struct finding f = { .loss = r->loss, .norm = r->norm };
    f.o = doctor_judge(&r->state.doctor, r->loss, r->norm, &r->seen);
    f.seen = r->seen;
    return f;
}

/* The machine's numbers are right now, which is told.  *odd: they are unlike those before all the same, and *f is of them. */
static int mended_machine(struct run *r, struct finding *f, bool *odd, enum step_fate *fate, struct err *err)
{
    const struct finding now = judge(r);
    *odd = !is_off(r) && now.o.odd;
    if (!*odd)
        return decide_mended(r, f, fate, err);
    TRY(finding_tell(r, f, "examined further", err));
    *f = now;
    return 0;
}

/* What was packed is packed again, and the step computed with that. */
static int pack_again(struct run *r, struct finding *f, bool *odd, enum step_fate *fate, struct err *err)
{
    const struct step s = run_step_of(r, 0);
    graph_run(r->model.g, PASS_PREPARE, &s);
    TRY(run_gradients(r, err));
    return mended_machine(r, f, odd, fate, err);
}

/* Question after question, the surest first.  due: it is verified, odd or not.  *again: to be asked anew, of *f, since it was the machine and is
 * not that alone. */
static int ask(struct run *r, struct finding *f, bool due, bool *again, enum step_fate *fate, struct err *err)
{
    bool panels, weight, same, wrong, mended, bad;
    *again = false;
    TRY(evidence_again(r, f, &same, err));
    if (!same)
        return mended_machine(r, f, again, fate, err);
    TRY(evidence_memory(r, f, &panels, &weight, err));
    if (weight)
        return decide(r, f, fate, err);
    if (panels)
        return pack_again(r, f, again, fate, err);
    TRY(evidence_kernel(r, f, due && !(f->o.odd & ~(unsigned)ODD_REPEAT), &wrong, &mended, err));
    if (wrong)
        return mended ? decide_mended(r, f, fate, err) : is_off(r) ? decide_apply(r, f, fate, err) : decide_kernel(r, f, fate, err);
    if (is_off(r) || !f->o.odd)
        return run_gradients(r, err);            /* the lower level's were computed last */
    TRY(evidence_state(r, f, &bad, err));
    if (!bad) {
        f->cause = CAUSE_DATA;
        snprintf(f->what, sizeof f->what, "the same numbers each time it is computed");
        TRY(evidence_node(r, f, err));
    }
    return decide(r, f, fate, err);
}

#define ASKED_MAX 3

static int examine(struct run *r, struct finding *f, bool due, enum step_fate *fate, struct err *err)
{
    bool again = true;
    for (int i = 0; again && i < ASKED_MAX; i++)
        TRY(ask(r, f, due, &again, fate, err));
    return !again ? 0 : ERR(err, NUMERIC, "step %lld: the machine was wrong %d times in it: it does not compute reliably; the last checkpoint is of step %lld", (long long)r->state.step + 1,
                            ASKED_MAX, (long long)r->saved);
}

int run_examine(struct run *r, enum step_fate *fate, struct err *err)
{
    struct finding f = judge(r);
    *fate = STEP_APPLY;
    const bool off = is_off(r), due = evidence_is_due(r);
    bool panels, weight;
    TRY(evidence_guarded(r, &f, &panels, &weight, err));
    if (weight)
        return decide(r, &f, fate, err);
    if (panels) {
        bool odd;
        TRY(pack_again(r, &f, &odd, fate, err));
        return odd ? examine(r, &f, due, fate, err) : 0;
    }
    if (off && f.o.odd & ODD_BAD) {
        *fate = STEP_SKIP;
        return decide_skip(r, &f, err);
    }
    if (!off && f.o.odd == ODD_REPEAT && !due) {      /* seen in the data itself: nothing to find out */
        f.cause = CAUSE_DATA;
        snprintf(f.what, sizeof f.what, "tokens that repeat those a few places before, again and again");
        return finding_tell(r, &f, "goes on", err);
    }
    if ((off || !f.o.odd) && !due)
        return 0;
    return examine(r, &f, due, fate, err);
}

int run_take_step(struct run *r, struct err *err)
{
    struct doctor *d = &r->state.doctor;
    struct doctor_step seen = r->seen;
    if (!(doctor_judge(d, r->loss, r->norm, &seen).odd & (ODD_BAD | ODD_LOSS | ODD_NORM)))
        d->last_good = r->state.step;
    doctor_take(d, r->loss, r->norm, &r->seen);
    if (is_off(r))
        return 0;
    if ((r->state.step + 1) % DOCTOR_STEPS == 0 && doctor_rises(d)) {
        log_warn("the loss has been above its best, %.3f, for %d steps: train.lr %.2g may be too high", d->best, DOCTOR_STEPS, r->c.lr);
        TRY(run_write_metric(r, json_pack("{s:I, s:s, s:o}", "step", (json_int_t)r->state.step + 1, "event", "loss rises", "loss_at_best", tree_number(d->best)), err));
    }
    if (!doctor_diverges(d))
        return 0;
    TRY(run_write_metric(r, json_pack("{s:I, s:s, s:o, s:o}", "step", (json_int_t)r->state.step + 1, "event", "diverges", "loss_at_first", tree_number(d->first), "loss_at_best",
                                      tree_number(d->best)), err));
    return ERR(err, NUMERIC, "the loss diverges: it began at %.3f, had come down to %.3f, and is above both for %d steps: the learning rate is too high; try train.lr: %.2g instead of %.2g in another --out "
               "(on_spike: none does not stop)", d->first, d->best, DOCTOR_RECENT, r->c.lr / 3, r->c.lr);
}
