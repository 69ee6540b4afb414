/* eval_robust.h - lathe eval --perturb: tasks as they are, and as hurried people and other programs would put them. */
#ifndef CMD_EVAL_ROBUST_H
#define CMD_EVAL_ROBUST_H
#include <stdint.h>
#include "eval/robust.h"

struct eval_robust {
    const char *families, *strengths, *paraphrases;      /* NULL: not asked for */
    struct paraphrases *list;                            /* made by eval_robust_open() */
};
bool eval_robust_wanted(const struct eval_robust *o);
int  eval_robust_open(struct robust *r, struct eval_robust *o, const struct task_list *l, const struct task_opts *task, uint64_t seed, struct err *err);
void eval_robust_close(struct robust *r, struct eval_robust *o);
/* Prints what was found, and writes it to the folder (NULL: none). */
int  eval_robust_tell(const struct robust *r, const struct evaluation *e, const char *model, const char *sha256, const char *folder, struct err *err);
#endif
