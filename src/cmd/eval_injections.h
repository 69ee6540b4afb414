/* eval_injections.h - lathe eval --injections: prompts that try to take a model over (eval/injection.h). */
#ifndef CMD_EVAL_INJECTIONS_H
#define CMD_EVAL_INJECTIONS_H
#include "eval/run.h"
#include "model/chat.h"

struct eval_injections {
    const char *path, *canary, *labels;  /* labels: of answers, for the judge; or NULL */
    int64_t tries, max_tokens;
    const char *out_dir, *system;
    int64_t limit, seed;
};
#define EVAL_INJECTIONS { .tries = 1, .max_tokens = 128 }
int eval_injections(const char *model, const struct run_opts *opts, const struct eval_injections *o, struct err *err);
#endif
