/* eval_table.h - scores of tasks for people: a table, and below it what they rest on. */
#ifndef CMD_EVAL_TABLE_H
#define CMD_EVAL_TABLE_H
#include "eval/results.h"

int eval_table(const struct results *r, const struct results_info *info, struct err *err);
#endif
