/* eval_checklist.h - lathe eval --checklist: behavioural tests of a classifier of texts. */
#ifndef CMD_EVAL_CHECKLIST_H
#define CMD_EVAL_CHECKLIST_H
#include "eval/run.h"

struct eval_checklist { const char *path, *labels, *prompt; int64_t limit, seed; const char *folder; };
/* run: how a model that continues texts is run; one with a head for classes classifies. */
int eval_checklist(const char *model, const struct eval_checklist *o, const struct run_opts *run, struct err *err);
#endif
