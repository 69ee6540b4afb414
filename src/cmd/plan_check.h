/* plan_check.h - `lathe plan --check`: how far off this program's predictions were on this machine. */
#ifndef CMD_PLAN_CHECK_H
#define CMD_PLAN_CHECK_H
#include "base/err.h"

int plan_check(struct err *err);

#endif
