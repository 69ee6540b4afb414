/* replies.h - what a model answered, kept as it is answered: a run that was stopped, or killed, goes on from there.
 *
 * FOLDER/replies.jsonl: a line that says what is asked of whom, then one for each item.  It belongs to one evaluation: where the model,
 * the requests or how the model was run differ, it is refused.  A torn last line is cut off.  The folder is locked while it is open. */
#ifndef EVAL_REPLIES_H
#define EVAL_REPLIES_H
#include "base/file.h"
#include "eval/evaluate.h"

struct replies { struct file_log log; int lock; };
/* of: an object that tells one evaluation from another; a member that differs is ERR_USAGE.  begun: seconds since 1970, of the first
 * beginning.  What was answered goes to e (evaluation_take). */
int replies_open(struct replies *r, const char *folder, const json_t *of, struct evaluation *e, double *begun, struct err *err);
int replies_add(struct replies *r, const char *task, int64_t item, const struct reply *reply, int n, struct err *err);
void replies_close(struct replies *r);         /* a zeroed one too */
#endif
