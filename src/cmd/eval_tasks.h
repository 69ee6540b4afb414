/* eval_tasks.h - lathe eval --tasks, and what has tasks or prompts of them beneath it (--perturb, --due, --attack on texts): opened, asked, kept, scored, told. */
#ifndef CMD_EVAL_TASKS_H
#define CMD_EVAL_TASKS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/opt.h"
#include "cmd/eval_attack.h"
#include "cmd/eval_bias.h"
#include "cmd/eval_due.h"
#include "cmd/eval_robust.h"
#include "eval/run.h"

/* What the command line says. */
struct eval_tasks {
    const char *tasks, *data_dir, *gen_kwargs, *system_instruction, *out_dir, *rope_scaling, *add_bos_token;
    struct opt_list data_files, include_paths;
    int64_t num_fewshot, limit, batch, max_length, seed;
    bool apply_chat_template, fewshot_as_multiturn, predict_only, log_samples;
    struct eval_groups groups;
    struct eval_attack attack;
    struct eval_due due;
    struct eval_robust perturbing;
};
extern struct eval_tasks eval_asked;

struct run_opts eval_run_opts(const char *model);
int eval_tasks(const char *model, struct err *err);
#endif
