/* eval_bias.h - lathe eval --groups, and what the tasks of bias add to their scores: evidence of kinds "groups" and "bias". */
#ifndef CMD_EVAL_BIAS_H
#define CMD_EVAL_BIAS_H
#include "eval/evaluate.h"

struct eval_groups {
    const char *fields;              /* names with commas between them; NULL: none */
    const char *audit;               /* folder of a data audit, or NULL */
};
/* Before a model is run: the fields are there in a task, and the audit can be read. */
int eval_groups_check(const struct eval_groups *o, const struct task_list *l, struct err *err);

struct eval_bias_of { const struct evaluation *e; const char *model, *model_sha256, *out_dir; int64_t seed; };      /* out_dir NULL: no files */
/* *groups, *bias: the evidence, written to out_dir; NULL where there is none. */
int eval_bias_find(const struct eval_bias_of *x, const struct eval_groups *o, json_t **groups, json_t **bias, struct err *err);
void eval_bias_print(const json_t *groups, const json_t *bias);      /* NULL: nothing */
#endif
