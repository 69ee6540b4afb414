/* eval_due.h - lathe eval --due: which tasks a model has yet to be asked, and what is known of them (eval/due.h). */
#ifndef CMD_EVAL_DUE_H
#define CMD_EVAL_DUE_H
#include "eval/task.h"

struct eval_due { bool on, list; const char *contamination; const char *out; };    /* contamination: an audit's folder, or NULL; out: of results */
/* Opens all tasks and groups that there are; those whose data are not there are missing in l. */
int eval_due_open(struct task_list *l, const struct task_opts *o, struct err *err);
/* Tells of each task whether it is due, and leaves those of l that are.  Printed, and kept in the folder as due_DATE.json; with JSON it is printed only
 * where o->list says so, as other JSON follows. */
int eval_due_pick(struct task_list *l, const struct eval_due *o, const char *model, const char *model_sha256, const char *adapter_sha256, int64_t seed, struct err *err);
/* --tasks list */
int eval_due_tasks(const struct task_opts *o, struct err *err);
#endif
