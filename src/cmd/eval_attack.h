/* eval_attack.h - lathe eval --attack for models of texts: hotflip, gcg, trigger (eval/token_trial.h). */
#ifndef CMD_EVAL_ATTACK_H
#define CMD_EVAL_ATTACK_H
#include "eval/run.h"
#include "eval/task.h"
#include "model/chat.h"

struct eval_attack {
    const char *attacks;                 /* names, with commas between them; NULL: none */
    const char *targets, *texts;         /* files: prompts with targets, labelled texts; or NULL */
    int64_t flips, steps, suffix, candidates, top_k;     /* suffix 0: as is usual for the attack */
    double similarity;
    const char *trigger;                 /* one that is measured and not sought; or NULL */
    const char *out_dir, *system, *rope_scaling;
    int64_t limit, seed;
};
#define EVAL_ATTACK { .flips = 3, .steps = 100, .candidates = 128, .top_k = 256 }

/* Is it an attack on tokens that is asked for, and not on images?  texts: of --texts, or NULL. */
bool eval_attack_asked(const struct eval_attack *o, const char *texts);
/* What does not go together; tasks: there are some. */
int eval_attack_check(const struct eval_attack *o, bool tasks, struct err *err);
/* Of the names that are known, as bits of cmd/eval_options.h. */
unsigned eval_attack_modes(const struct eval_attack *o, bool of_tasks);
/* tasks: NULL, or those to attack; opts: of the runner; chat: NULL, or targets are asked for by it. */
int eval_attack(const char *model, const struct task_list *tasks, const struct run_opts *opts, const struct chat *chat, const struct eval_attack *o,
                struct err *err);
/* For people: figures as a table, "of" and 95 % intervals; also of other evidence. */
void eval_print_figures(const json_t *evidence);
/* Prints evidence by --json or `print`, and writes it to the folder (NULL: to none). */
int eval_tell_evidence(json_t *evidence, const char *folder, void (*print)(const json_t *evidence), struct err *err);
#endif
