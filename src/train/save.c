/* save.c - when a run saves its state, and what happens when it cannot: the run goes on, and tries again at the next interval. */
#include "train/ranks.h"
#include <string.h>
#include "base/log.h"
#include "train/parts.h"

/* Is there a copy that checkpoints are written from while the steps go on?  Not of parts: who writes has to ask for them. */
static bool in_background(const struct run *r)
{
    return !r->division.by && !strcmp(r->c.save, "background") && r->c.save_every && r->c.save_every < r->c.steps;
}

bool run_goes_back(const struct run *r) { return !strcmp(r->c.on_spike, "rollback"); }

size_t run_save_bytes(const struct run *r) { return in_background(r) && !comm_rank(r->comm) ? saver_bytes(r->model.g) : 0; }

int run_open_saver(struct run *r, struct err *err)
{
    const struct saver_job job = { r->dir_checkpoints, &r->model, r->weights, r->data.tok, (int)r->c.keep, run_goes_back(r) ? r->c.save_every : 0 };
    return saver_new(&r->saver, &job, in_background(r), err);
}

static int report(struct run *r, const struct save_report *s, struct err *err)
{
    r->save_waited += s->waited;
    if (!s->rc) {
        r->saved = s->step, r->n_saved++, r->save_seconds = s->seconds;
        return 0;
    }
    log_warn("the checkpoint of step %lld could not be written: %s; the run goes on and tries again at the next one", (long long)s->step, s->err.msg);
    return run_write_metric(r, json_pack("{s:I, s:s, s:I, s:s}", "step", (json_int_t)r->state.step, "event", "checkpoint failed", "of_step", (json_int_t)s->step,
                                         "error", s->err.msg), err);
}

int run_tend_saves(struct run *r, struct err *err)
{
    struct save_report s;
    if (r->saver && saver_poll(r->saver, false, &s))
        TRY(report(r, &s, err));
    r->save_due = r->save_due || (r->c.save_every && r->state.step % r->c.save_every == 0);
    if (r->save_due && run_goes_back(r))             /* to where must not depend on how fast the disk is */
        TRY(run_settle_saves(r, err));
    const bool begins = r->saver && r->save_due && !saver_busy(r->saver);      /* a slow disk: when the one before has ended */
    TRY(ranks_collect(r, begins, err));
    if (!begins)
        return 0;
    r->save_due = false;
    const double begin = clock_wall();
    TRY(run_fetch_state(r, true, err));
    r->save_waited += clock_wall() - begin;
    if (in_background(r)) {
        saver_begin(r->saver, &r->state);
        return 0;
    }
    s = saver_now(r->saver, &r->state);
    TRY(parts_settle(r, err));
    return report(r, &s, err);
}

int run_settle_saves(struct run *r, struct err *err)
{
    struct save_report s;
    return r->saver && saver_poll(r->saver, true, &s) ? report(r, &s, err) : 0;
}

/* What the last save said stays in r->save_err. */
int run_save_now(struct run *r, struct err *err)
{
    struct save_report s;
    TRY(run_settle_saves(r, err));
    r->save_due = false;
    const bool wanted = r->saver && r->saved != r->state.step;
    TRY(ranks_collect(r, wanted, err));
    if (!r->saver)
        r->saved = r->state.step;                    /* rank 0 says it when it is not so */
    if (!wanted)
        return 0;
    TRY(run_fetch_state(r, true, err));
    s = saver_now(r->saver, &r->state);
    TRY(parts_settle(r, err));
    TRY(report(r, &s, err));
    r->save_err = s.err;
    return 0;
}

/* ---- time ---- */

/* Would another step and its checkpoint end after the time that the run has? */
bool run_out_of_time(const struct run *r, double step_seconds)
{
    return r->c.time_limit > 0 && clock_wall() - r->began + step_seconds + r->save_seconds >= r->c.time_limit;
}

int run_stopped(struct run *r, bool by_time, struct err *err)
{
    TRY(run_save_now(r, err));
    log_progress_end();
    char why[80] = "stopped";
    if (by_time)
        snprintf(why, sizeof why, "stopped by train.time_limit of %g seconds", r->c.time_limit);
    if (r->saved != r->state.step)
        return ERR(err, IO, "%s after step %lld, which could not be saved (%s); the same command goes on from %s", why, (long long)r->state.step, r->save_err.msg,
                   r->saved >= 0 ? "the checkpoint before" : "the beginning");
    return ERR(err, STOPPED, "%s after step %lld of %lld, which is saved; the same command goes on from there", why, (long long)r->state.step, (long long)r->c.steps);
}
