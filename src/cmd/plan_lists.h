/* plan_lists.h - `lathe plan --devices` and `--models`: what is known by name. */
#ifndef CMD_PLAN_LISTS_H
#define CMD_PLAN_LISTS_H
#include "base/err.h"

int plan_list_devices(struct err *err);
int plan_list_models(struct err *err);

#endif
