/* evaluate.h - tasks (task.h) put to a model (run.h): which items are asked, what came of each, and the values to make scores of.
 *
 * An item that cannot be asked, answered or scored has failed: it is counted, its error is kept, and it never stops the others.  One thread. */
#ifndef EVAL_EVALUATE_H
#define EVAL_EVALUATE_H
#include "base/hash.h"
#include "eval/run.h"
#include "eval/task.h"

/* What --gen-kwargs changes of a task's generation_kwargs. */
struct eval_generation { bool has_max_tokens, has_temperature, has_top_p, has_top_k, has_sample, sample; int max_tokens, top_k; double temperature, top_p; };
/* "temperature=0.7,top_p=0.9,max_gen_toks=64": as lm-evaluation-harness's gen_kwargs, also top_k and do_sample.  ERR_USAGE for others. */
int eval_generation_read(struct eval_generation *g, const char *text, struct err *err);

enum eval_state { EVAL_OPEN, EVAL_SCORED, EVAL_FAILED };
struct eval_item { enum eval_state state; struct reply *reply; int n_reply; char *error; };      /* reply: also of an item that failed, where there are */
struct eval_counts { int64_t n_open, n_scored, n_failed, n_cut, n_cut_token, n_joined, n_unended; };     /* items; cut, joined and unended: of those that were scored */
struct eval_task {
    const struct task *t;
    int64_t n;                           /* items */
    struct eval_item *item;              /* [n] */
    const struct task_metric *metric; int n_metric;
    struct task_value *value;            /* [n][n_metric]; v NAN: does not count */
    struct eval_counts counts;
};
struct evaluation {
    struct eval_task *task; int n_task;
    struct eval_generation generation;
    struct request_generation **own; int n_own;      /* changed ones, and whose they are in place of */
    const struct request_generation **own_of;
    bool predict_only;                   /* replies alone: no values */
};

/* The list is borrowed. */
int evaluation_init(struct evaluation *e, const struct task_list *l, struct err *err);
void evaluation_release(struct evaluation *e);

/* SHA-256 of all that is asked, in order. */
int evaluation_digest(struct evaluation *e, char hex[SHA256_HEX], struct err *err);
/* The requests of an item with what --gen-kwargs changes; *out is mem_free'd. */
int evaluation_requests(struct evaluation *e, int i_task, int64_t item, struct request **out, int *n, struct err *err);
/* Gives the requests of all open items to a runner.  Those that cannot be asked have failed then. */
int evaluation_ask(struct evaluation *e, struct run *r, struct err *err);
/* The same of one item, which is open. */
int evaluation_ask_item(struct evaluation *e, struct run *r, int i_task, int64_t item, struct err *err);
/* Tag of an item for the runner, and back. */
int64_t evaluation_tag(int i_task, int64_t item);
void evaluation_of_tag(int64_t tag, int *i_task, int64_t *item);
/* What a runner answered, copied.  Of an item that is not open: nothing happens.  ERR_NOMEM alone. */
int evaluation_take(struct evaluation *e, int i_task, int64_t item, const struct reply *reply, int n, struct err *err);
int64_t evaluation_open(const struct evaluation *e);               /* items that are open */
#endif
