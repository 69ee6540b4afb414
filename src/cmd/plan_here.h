/* plan_here.h - `lathe plan --device this`: the machine that this runs on, measured for a model, as `lathe serve` would use it. */
#ifndef CMD_PLAN_HERE_H
#define CMD_PLAN_HERE_H
#include "cmd/plan_model.h"
#include "plan/serve.h"

/* Takes some seconds (plan/here.h), which is said.  weights: their type; as_files: those of the model's files, where it has some.  o: what lathe serve does unless told
 * otherwise is put where it says nothing: 16 texts at once, room for 1,024 tokens of each, 512 rows a step, its pace.  d: what the machine measures. */
int plan_here(struct priced **out, struct serve_opts *o, struct device *d, const struct plan_model *m, enum number weights, bool as_files, struct err *err);

#endif
