/* due.h - a dated list of benchmark tasks: how much room each leaves (its saturation), how much of it the data hold (its contamination), and which
 * of them a model has yet to be asked.
 *
 * A task's file says what is known of it, all of it optional, under metadata:
 *   saturation: {added: 2026-11-26, chance: 0.25, human: 0.956, human_source: "...", best: 0.953, best_source: "...", best_date: 2023-03-15}
 * added: when the task came to the list.  best: the best score that somebody has published, of the task's first metric and that day.
 *
 * Trees are the caller's; no state; any thread. */
#ifndef EVAL_DUE_H
#define EVAL_DUE_H
#include <jansson.h>
#include "eval/task.h"

/* {"added", "chance", "human", "human_source", "best", "best_source", "best_date", "state"}, null where nothing is said.  state:
 *   saturated   best is at least human, or at least DUE_CEILING
 *   open        it is not
 *   unknown     there is no best
 * metadata: of a task's or group's file, or NULL.  ERR_FORMAT names the member, what it is and what it should be; name: of the task, for messages. */
#define DUE_CEILING 0.95
int due_about(json_t **out, const char *name, const json_t *metadata, struct err *err);

/* What a model was asked, of the evidence of a folder (evidence_read): {task: {"version", "data_sha256", "items", "asked", "complete", "date"}}, the last
 * complete run of each, else the last; one of fewer items of the same version and data takes nothing away.  Only what says that it is of this model counts, with these adapters ("": none). */
int due_ran(json_t **out, const json_t *evidence, const char *model_sha256, const char *adapter_sha256, struct err *err);
/* Why a task is to be asked, a sentence into `why`; false: it is not, and why says since when. */
#define DUE_WHY 160
bool due_is(const json_t *ran, const struct task *t, char why[DUE_WHY]);

/* What an audit's report (report.json) says of a task's items: {"set", "items", "items_hit", "share", "by"}; *out NULL: it has not looked for them.  A set
 * of the audit is the task's where its file has the same bytes (by: "bytes"), or, where it is not there any more, the same name ("name"). */
int due_leaks(json_t **out, const json_t *report, const struct task *t, struct err *err);
#endif
