/* plan_learn.h - lathe plan --learn: figures of a device from what its self test wrote (plan/learnt.h). */
#ifndef CMD_PLAN_LEARN_H
#define CMD_PLAN_LEARN_H
#include "base/err.h"
int plan_learn(const char *report, struct err *err);
#endif
