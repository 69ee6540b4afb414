/* plan_versus.h - `lathe plan MODEL --versus`: what a load costs on devices that are rented or owned, and by the token. */
#ifndef CMD_PLAN_VERSUS_H
#define CMD_PLAN_VERSUS_H
#include "cmd/plan_model.h"
#include "cmd/plan_options.h"

int plan_versus(const struct plan_model *m, const struct plan_options *o, struct err *err);

#endif
