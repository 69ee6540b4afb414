/* overshoot.c - is a step too long?  An update that was made for a batch has to make the loss of that batch smaller: of thousands of
 * updates at a usual learning rate one or none does not, at one fifty times too high every tenth, though the loss may go down all
 * the while.  A few updates are tried: the batch is run once more, forward only, afterwards. */
#include <math.h>
#include <string.h>
#include "base/log.h"
#include "base/tree.h"
#include "train/ranks.h"

#define FIRST 32                             /* the steps that are tried: TRIES from here, and from each doubling of it */
#define TRIES 8

bool run_tries_steps(const struct run *r)
{
    return r->c.steps > FIRST && strcmp(r->c.on_spike, "none") && !r->c.privacy.on && !run_classifies(r) && !train_prefers(&r->c);
}

static bool is_due(const struct run *r)
{
    int64_t first = FIRST;
    while (2 * first <= r->state.step)
        first *= 2;
    return r->state.step >= first && r->state.step < first + TRIES && run_tries_steps(r);
}

/* Mean nll of the step's batch, without dropout. */
static int batch_loss(struct run *r, double *loss, struct err *err)
{
    struct scored mine = { 0 }, *all = r->scored;
    const int64_t first = run_first_micro(r);
    for (int64_t i = 0; i < run_own_micro(r); i++) {
        run_load_micro(r, first + i);
        mine.loss += run_score(r);
        mine.counted += run_count_targets(r);
    }
    TRY(graph_failed(run_scorer(r)->g, err));
    all[comm_rank(r->copies)] = mine;
    TRY(comm_all_gather_equal(r->copies, all, sizeof *all, err));
    double sum = 0;
    int64_t counted = 0;
    for (int i = 0; i < comm_size(r->copies); i++)
        sum += all[i].loss, counted += all[i].counted;
    *loss = counted ? sum / (double)counted : NAN;
    return 0;
}

int run_before_update(struct run *r, double *before, struct err *err)
{
    *before = NAN;
    if (!is_due(r))
        return 0;
    *before = r->loss;
    return r->c.model.dropout > 0 || (r->c.tune.on && r->c.tune.lora.dropout > 0) ? batch_loss(r, before, err) : 0;
}

int run_after_update(struct run *r, double before, struct err *err)
{
    double after;
    if (!is_due(r))
        return 0;
    TRY(batch_loss(r, &after, err));
    if (!doctor_overshoots(&r->state.doctor, before, after))
        return 0;
    log_warn("step %lld made the loss of its own batch worse, %.4f from %.4f, and another lately did: train.lr %.2g may be too high", (long long)r->state.step + 1, after, before, r->c.lr);
    return run_write_metric(r, json_pack("{s:I, s:s, s:o, s:o}", "step", (json_int_t)r->state.step + 1, "event", "overshoots", "loss_before", tree_number(before), "loss_after",
                                         tree_number(after)), err);
}
