#include "cmd/eval_options.h"
#include <string.h>
#include "cmd/cmd.h"
#include "cmd/option_modes.h"

#define TASKS (EVAL_SCORES | EVAL_PERTURB | EVAL_PARAPHRASES | EVAL_DUE | EVAL_ATTACKED_TASKS)
#define ALL ((1u << N_EVAL_MODE) - 1)
#define WITH_MODEL (ALL & ~(unsigned)(EVAL_LOGITS | EVAL_SWEEP | EVAL_LIST))

static const char *const word[N_EVAL_MODE] = {
#define X(name, w) w,
    EVAL_MODES(X)
#undef X
};

/* Options of limited use; those that are not here hold everywhere. */
static const struct option_use uses[] = {
    { "tasks", TASKS | EVAL_LIST },
    { "data-dir", TASKS },
    { "data", TASKS },
    { "include-path", TASKS | EVAL_LIST },
    { "num-fewshot", TASKS },
    { "limit", WITH_MODEL },
    { "adapter", WITH_MODEL & ~(unsigned)EVAL_IMAGES },
    { "apply-chat-template", TASKS | EVAL_GCG },
    { "fewshot-as-multiturn", TASKS },
    { "system-instruction", TASKS | EVAL_GCG | EVAL_INJECTING },
    { "gen-kwargs", EVAL_SCORES | EVAL_PERTURB | EVAL_PARAPHRASES | EVAL_DUE },
    { "add-bos-token", TASKS | EVAL_GCG | EVAL_INJECTING | EVAL_MEMBERSHIP | EVAL_CHECKLIST },
    { "max-length", WITH_MODEL & ~(unsigned)EVAL_IMAGES },
    { "log-samples", EVAL_SCORES | EVAL_DUE | EVAL_MEMBERSHIP },
    { "predict-only", EVAL_SCORES | EVAL_DUE },
    { "perturb", EVAL_PERTURB },
    { "strengths", EVAL_PERTURB },
    { "paraphrases", EVAL_PARAPHRASES },
    { "groups", EVAL_SCORES | EVAL_DUE },
    { "audit", EVAL_SCORES | EVAL_DUE },
    { "checklist", EVAL_CHECKLIST },
    { "checklist-labels", EVAL_CHECKLIST },
    { "checklist-prompt", EVAL_CHECKLIST },
    { "logits", EVAL_LOGITS },
    { "diagram", EVAL_LOGITS },
    { "images", EVAL_IMAGES },
    { "corruptions", EVAL_IMAGES },
    { "attack", EVAL_HOTFLIP | EVAL_GCG | EVAL_TRIGGER | EVAL_IMAGE_ATTACK },
    { "eps", EVAL_IMAGES },
    { "texts", EVAL_TEXTS | EVAL_HOTFLIP | EVAL_TRIGGER },
    { "ood", EVAL_IMAGES | EVAL_TEXTS },
    { "ood-fit", EVAL_IMAGES | EVAL_TEXTS },
    { "features-out", EVAL_IMAGES | EVAL_TEXTS },
    { "targets", EVAL_GCG },
    { "flips", EVAL_HOTFLIP },
    { "steps", EVAL_GCG | EVAL_SOUGHT },
    { "suffix", EVAL_GCG | EVAL_SOUGHT },
    { "trigger", EVAL_TRIGGER },
    { "candidates", EVAL_HOTFLIP | EVAL_GCG | EVAL_SOUGHT },
    { "gradient-top-k", EVAL_GCG | EVAL_SOUGHT },
    { "similarity", EVAL_HOTFLIP },
    { "injections", EVAL_INJECTING },
    { "canary", EVAL_INJECTING },
    { "tries", EVAL_INJECTING },
    { "max-tokens", EVAL_INJECTING },
    { "judge-labels", EVAL_INJECTING },
    { "membership", EVAL_MEMBERSHIP },
    { "non-members", EVAL_MEMBERSHIP },
    { "reference", EVAL_MEMBERSHIP },
    { "lines", EVAL_MEMBERSHIP },
    { "show-texts", EVAL_MEMBERSHIP },
    { "due", EVAL_DUE },
    { "list", EVAL_DUE },
    { "contamination", EVAL_DUE },
    { "select", EVAL_SELECT },
    { "prefer", EVAL_SELECT },
    { "margin", EVAL_SELECT },
    { "price-per-hour", EVAL_SELECT },
    { "sweep", EVAL_SWEEP },
};

static int refuse_empty(struct err *err)
{
    for (const struct opt *o = command_eval.opts; o->type != OPT_END; o++)
        if (o->type == OPT_STR && cmd_given(o->name) && strcmp(o->name, "system-instruction") && !(*(const char **)o->value)[strspn(*(const char **)o->value, ",")])
            return ERR(err, USAGE, "--%s: found '%s', expected %s", o->name, *(const char **)o->value, o->values);
    return 0;
}

int eval_ready(unsigned modes, const char *out_dir, struct err *err)
{
    TRY(refuse_empty(err));
    TRY(option_modes_check(uses, sizeof uses / sizeof *uses, word, N_EVAL_MODE, modes, err));
    return cmd_make_folder(out_dir, err);
}
