/* token_trial.h - attacks on tokens tried on many items, and what came of them as evidence (evidence.h, kind "attacks").
 *
 *   tasks    hotflip: of each multiple-choice item that is answered rightly (metric acc), up to `flips` tokens of the document's text are
 *            changed so that it is answered wrongly.  The text is the longest field of the document that stands in the prompt as it is;
 *            instructions, examples and choices stay.
 *   targets  gcg: `suffix` tokens behind each prompt are sought that make the model begin its answer with the target.
 *   texts    of a model with classes: hotflip as for tasks, over the whole text; and triggers: for each class up to `suffix` tokens that,
 *            put in front, make any text of another class one of this, sought over some texts and measured on others, beside random ones;
 *            or what a given trigger does.
 *
 * Success rate = fooled / (fooled + kept), TextAttack's: over what was right before; what was wrong already, and what could not be attacked,
 * is counted apart.  Each call adds figures, a row of "attacks" and "examples" to the evidence; after ERR_STOPPED, too, what was known then.
 * One thread; the pool works inside. */
#ifndef EVAL_TOKEN_TRIAL_H
#define EVAL_TOKEN_TRIAL_H
#include <jansson.h>
#include "data/labelled.h"
#include "eval/prompts.h"
#include "eval/run.h"
#include "eval/task.h"
#include "eval/token_attack.h"
#include "infer/slopes.h"
#include "model/chat.h"

struct token_trial {
    const char *model, *rope_scaling;
    struct pool *pool;
    int flips, steps, suffix, batch, top_k;
    const char *trigger;                 /* instead of a search for triggers: this one is measured; NULL: they are sought */
    double similarity;                   /* hotflip: the least cosine between the vectors of a token and what it becomes; 0: any */
    uint64_t seed;
    int64_t limit;                       /* of prompts and texts, the first ones; 0: all */
    bool (*goes_on)(void *ctx, const char *what, int64_t done, int64_t all);      /* false: ERR_STOPPED */
    void *ctx;
};
#define TOKEN_TRIAL { .flips = 3, .steps = 100, .suffix = 20, .batch = 128, .top_k = 256 }

/* r: opened, not asked yet. */
int token_trial_tasks(json_t *evidence, struct run *r, const struct task_list *l, const struct token_trial *o, struct err *err);
/* chat: NULL, or prompts are messages of a user, behind `system` (NULL: none). */
int token_trial_targets(json_t *evidence, struct run *r, const struct chat *chat, const char *system, const struct prompts *p, const struct token_trial *o,
                        struct err *err);
/* Labels of texts are classes of the model, by its config. */
int token_trial_flips(json_t *evidence, const struct labelled *texts, const struct token_trial *o, struct err *err);
int token_trial_triggers(json_t *evidence, const struct labelled *texts, const struct labels *names, const struct token_trial *o, struct err *err);
#endif
