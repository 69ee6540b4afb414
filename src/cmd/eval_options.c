#include "cmd/eval_options.h"
#include <string.h>
#include "base/buf.h"
#include "cmd/cmd.h"

#define TASKS (EVAL_SCORES | EVAL_PERTURB | EVAL_PARAPHRASES | EVAL_DUE | EVAL_ATTACKED_TASKS)
#define ALL ((1u << N_EVAL_MODE) - 1)
#define WITH_MODEL (ALL & ~(unsigned)(EVAL_LOGITS | EVAL_SWEEP | EVAL_LIST))

static const char *const word[N_EVAL_MODE] = {
#define X(name, w) w,
    EVAL_MODES(X)
#undef X
};

/* Options of limited use; those that are not here hold everywhere. */
static const struct { const char *name; unsigned modes; } uses[] = {
    { "tasks", TASKS | EVAL_LIST },
    { "data-dir", TASKS },
    { "data", TASKS },
    { "include-path", TASKS | EVAL_LIST },
    { "num-fewshot", TASKS },
    { "limit", WITH_MODEL },
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

/* What people would write for the modes, each word once, without the mode that the option itself asks for. */
static int name_modes(struct buf *b, unsigned modes, const char *option, struct err *err)
{
    int rc = 0;
    b->len = 0;
    for (int i = 0, last = -1; i < N_EVAL_MODE && !rc; i++) {
        if (!(modes >> i & 1) || (last >= 0 && !strcmp(word[i], word[last])) || !strcmp(word[i] + 2, option))
            continue;
        rc = last >= 0 ? buf_add_str(b, ", ", err) : 0;
        rc = rc ? rc : buf_add_str(b, word[i], err);
        last = i;
    }
    return rc ? rc : buf_add(b, "", 1, err);
}

static int refuse(const char *option, unsigned of, unsigned modes, struct err *err)
{
    struct buf expected, found;
    buf_init(&expected);
    buf_init(&found);
    int rc = name_modes(&expected, of, option, err);
    rc = rc ? rc : name_modes(&found, modes, option, err);
    if (!rc && *expected.data)
        rc = ERR(err, USAGE, "--%s: it is of %s; found %s", option, expected.data, found.data);
    else if (!rc)
        rc = ERR(err, USAGE, "--%s: found %s beside it, expected one of them at a time", option, found.data);
    buf_release(&expected);
    buf_release(&found);
    return rc;
}

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
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++)
        if (!(uses[i].modes & modes) && cmd_given(uses[i].name))
            return refuse(uses[i].name, uses[i].modes, modes, err);
    return cmd_make_folder(out_dir, err);
}
