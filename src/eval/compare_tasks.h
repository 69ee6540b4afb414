/* compare_tasks.h - tasks put to two models: all items, or as many as it takes to show a loss.
 *
 * All items: the one model after the other, so that one is in memory at a time.  One after the other in random order: both models at once, each
 * with a thread and half of the threads beneath it, neither far ahead; both stop when a loss is shown in any task. */
#ifndef EVAL_COMPARE_TASKS_H
#define EVAL_COMPARE_TASKS_H
#include "eval/compare.h"
#include "eval/evaluate.h"
#include "eval/samples.h"

struct compare_tasks_opts {
    struct run_opts run[2];      /* of the old and the new model */
    const char *metric;          /* NULL: the first of each task */
    bool sequential; double alpha; uint64_t seed;
    int n_thread;
    bool (*goes_on)(void *ctx, int which, int64_t n_answered, int64_t n_item); void *ctx;      /* called with a lock held; false: stop */
};
struct compare_tasks {
    struct evaluation e[2];
    int *metric;                 /* of each task */
    struct compare_stream *stream; int n_stream;         /* of each task, with sequential */
    bool shown;                  /* a loss is */
};
/* ERR_UNSUPPORTED for a metric that is made of all items together; with sequential, ERR_RANGE for one whose values are not 0 and 1. */
int compare_tasks_run(struct compare_tasks *t, const struct task_list *list, const struct compare_tasks_opts *o, struct err *err);
/* The items of both models that were answered, and with sequential had their turn. */
int compare_tasks_samples(const struct compare_tasks *t, struct samples *old, struct samples *new, struct err *err);
void compare_tasks_release(struct compare_tasks *t);
#endif
