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
/* The end of every mode that finds evidence: to the folder, and to stdout with --json; else print() shows it.  The tree is freed. */
int  eval_evidence_end(json_t *evidence, const char *folder, void (*print)(const json_t *evidence), struct err *err);
#endif
