/* history.h - what this program said beforehand, and what then was: the runs of this user on this machine, for `lathe plan --check`.
 *
 * A file of lines, each a JSON object {"time", "what", "machine", "model", "predicted", "actual"}, to which runs append when they end:
 * $XDG_STATE_HOME/lathe/plans.jsonl, or ~/.local/state/lathe/plans.jsonl.  Several processes may append at once.  Times are RFC 3339 in UTC. */
#ifndef PLAN_HISTORY_H
#define PLAN_HISTORY_H
#include <stddef.h>
#include "base/err.h"

/* the word in the file, the unit's word */
#define PLANNED(X) \
    X(TRAIN_STEP, "train.step_seconds", "s") \
    X(TRAIN_BYTES, "train.bytes", "bytes") \
    X(SERVE_STEP, "serve.step_seconds", "s") \
    X(SERVE_PROMPTS, "serve.prompt_step_seconds", "s")
enum planned {
#define X(name, word, unit) PLANNED_##name,
    PLANNED(X)
#undef X
    N_PLANNED
};
const char *planned_word(enum planned what);
const char *planned_unit(enum planned what);

struct plan_outcome {
    enum planned what;
    double predicted, actual;                /* > 0, in the unit of `what` */
    char when[32];                           /* when it was written; of one that is added: not read */
    char machine[128], model[128];           /* longer ones are cut */
};

/* Where it is; mem_alloc'ed, NULL where there is no home or no memory. */
char *plan_history_path(void);
/* Appends one that has both numbers, else nothing; makes the folder and the file.  The error says what is lost: one line of this history. */
int plan_history_add(const char *path, const struct plan_outcome *o, struct err *err);

/* All of the file, oldest first.  A line that is none is passed over and counted; of the first, `bad` says what is wrong with it.  No file: none.
 * Release with mem_free. */
struct plan_history { struct plan_outcome *outcome; int n, n_bad; struct err bad; };
int plan_history_parse(struct plan_history *h, const char *text, size_t n, struct err *err);       /* of such a file's n bytes, at most 2^31 lines */
int plan_history_read(struct plan_history *h, const char *path, struct err *err);
void plan_history_release(struct plan_history *h);

/* How far off predictions of one kind were on one machine: |actual / predicted - 1|. */
struct plan_error { enum planned what; const char *machine; int n; double median, p90, worst, bias; const struct plan_outcome *last; };      /* bias: median of actual / predicted - 1 */
/* One for each kind and machine, in the order in which they first occur; *out is mem_alloc'ed, its machines and lasts are the history's. */
int plan_history_errors(const struct plan_history *h, struct plan_error **out, int *n, struct err *err);

#endif
