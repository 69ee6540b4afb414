/* gate.h - whether a run may learn from its data: the verdict of their audit, where one is known.
 *
 * Data of a build (lathe data build) carry it: DIR/build.json has the "gate" of the audit that they came from, and paths in DIR/SPLIT and DIR/tokens/SPLIT are
 * known by it.
 * Of other data data.audit may name the folder of their audit, whose report.json has it; that these data are those of that audit is then
 * the word of who wrote the settings.  No verdict refuses nothing.  A gate that failed does, unless a reason was given: to the gate
 * (lathe data gate --override), or by data.override, and run.json keeps it. */
#ifndef TRAIN_GATE_H
#define TRAIN_GATE_H
#include <jansson.h>
#include "train/config.h"

/* The build.json of the build that a path belongs to; NULL where it belongs to none. */
int train_build_of(const char *path, json_t **build, struct err *err);
/* ERR_GATE for data that may not be learned from.  tell: what was overridden is told. */
int train_check_gates(const struct train_config *c, const char *where, bool tell, struct err *err);
/* [{path, policy, passed, failed: [check, ..], override}] of each verdict there is. */
int train_gates_told(const struct train_config *c, json_t **out, struct err *err);

#endif
