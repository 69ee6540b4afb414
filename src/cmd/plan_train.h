/* plan_train.h - `lathe plan MODEL --train`: memory, time and cost of training on each of some devices. */
#ifndef CMD_PLAN_TRAIN_H
#define CMD_PLAN_TRAIN_H
#include "cmd/plan_model.h"
#include "cmd/plan_options.h"

int plan_of_training(const struct plan_model *m, const struct plan_options *o, struct err *err);

#endif
