/* compare_task.c - `lathe compare` on tasks: both models are put to them, all items or until a loss is shown. */
#include <string.h>
#include "base/log.h"
#include "cmd/compare_run.h"
#include "cmd/task_files.h"
#include "eval/compare_tasks.h"

static int open_tasks(const struct compare_run *c, const struct task_files *d, struct task_list *l, struct err *err)
{
    struct task_opts o = TASK_OPTS;
    o.data_dir = c->data_dir, o.file = d->file, o.n_file = d->n, o.task_dir = c->include.item, o.n_task_dir = c->include.n;
    o.num_fewshot = (int)c->fewshot, o.limit = c->limit;
    return task_files_list(l, c->tasks, &o, err);
}

static bool goes_on(void *ctx, int which, int64_t n_answered, int64_t n_item)
{
    (void)ctx;
    log_progress("%s model: %lld of %lld items", which ? "new" : "old", (long long)n_answered, (long long)n_item);
    return !cmd_stop;
}

static const struct eprocess *stream_of(void *ctx, const char *task)
{
    const struct compare_tasks *t = ctx;
    for (int i = 0; i < t->n_stream; i++)
        if (!strcmp(task_name(t->e[0].task[i].t), task))
            return &t->stream[i].e;
    return NULL;
}

/* What a score rests on besides. */
static void tell_counts(const struct compare_tasks *t)
{
    static const char *const side[] = { "old", "new" };
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < t->e[k].n_task; i++) {
            const struct eval_counts *n = &t->e[k].task[i].counts;
            const char *name = task_name(t->e[k].task[i].t);
            if (n->n_failed)
                log_warn("%s: %lld items failed with the %s model", name, (long long)n->n_failed, side[k]);
            if (n->n_cut)
                log_warn("%s: the contexts of %lld items were too long for the %s model and were cut at their beginning", name, (long long)n->n_cut, side[k]);
        }
}

static void tell_unseen(const struct compare_tasks *t)
{
    for (int i = 0; i < t->n_stream; i++)
        if (!t->stream[i].next)
            log_warn("%s: no item had its turn before a loss was shown", task_name(t->e[0].task[i].t));
}

static int tell_items(struct compare_run *c, const struct compare_tasks *t, struct err *err)
{
    struct samples old, new;
    TRY(compare_tasks_samples(t, &old, &new, err));
    tell_counts(t);
    tell_unseen(t);
    const int rc = old.n && new.n ? compare_items_of(c, &old, &new, stream_of, (void *)(uintptr_t)t, err) :
                   ERR(err, RANGE, "no item was answered by the %s model, so that nothing can be compared", old.n ? "new" : "old");
    samples_release(&old);
    samples_release(&new);
    return rc;
}

static int put_to_tasks(struct compare_run *c, const struct task_list *l, struct err *err)
{
    struct compare_tasks t;
    struct compare_tasks_opts o = { .metric = c->metric, .sequential = c->sequential, .alpha = c->o.alpha, .seed = c->o.seed, .n_thread = cmd_n_thread(), .goes_on = goes_on };
    for (int k = 0; k < 2; k++)
        o.run[k] = (struct run_opts){ .model = k ? c->new : c->old, .engine = cmd_engine((struct engine_opts){ 0 }), .batch = (int)c->batch, .seed = TASK_SEED };
    const int rc = compare_tasks_run(&t, l, &o, err);
    log_progress_end();
    TRY(rc);
    const int told = tell_items(c, &t, err);
    compare_tasks_release(&t);
    return told;
}

int compare_on_tasks(struct compare_run *c, struct err *err)
{
    struct task_files d = { .n = 0 };
    struct task_list l = { 0 };
    int rc = task_files_read(&d, &c->data, err);
    if (!rc)
        rc = open_tasks(c, &d, &l, err);
    if (!rc)
        rc = put_to_tasks(c, &l, err);
    task_list_release(&l);
    task_files_release(&d);
    return rc;
}
