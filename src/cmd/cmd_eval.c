#include <string.h>
#include "cmd/cmd.h"
#include "cmd/eval_checklist.h"
#include "cmd/eval_images.h"
#include "cmd/eval_injections.h"
#include "cmd/eval_logits.h"
#include "cmd/eval_membership.h"
#include "cmd/eval_ood.h"
#include "cmd/eval_options.h"
#include "cmd/eval_select.h"
#include "cmd/eval_sweep.h"
#include "cmd/eval_tasks.h"
#include "cmd/signature.h"
#include "eval/select.h"

/* What else the command line says beside eval_asked, which several kinds of evaluation share. */
static const char *logits, *diagram, *sweep;
static struct eval_select selection = { .prefer = "speed", .margin = 0.01 };
static struct eval_images images = { .eps = EVAL_IMAGES_EPS };
static struct eval_ood ood;
static struct eval_injections injections = EVAL_INJECTIONS;
static struct eval_membership membership;
static struct eval_checklist suite;

/* ---- which of them ---- */

static int list_tasks(struct err *err)
{
    struct task_opts o = TASK_OPTS;
    o.task_dir = eval_asked.include_paths.item, o.n_task_dir = eval_asked.include_paths.n;
    return eval_due_tasks(&o, err);
}

static int run_texts(const char *const *args, int n_args, struct err *err)
{
    if (!n_args || eval_asked.tasks || images.path)
        return ERR(err, USAGE, "--texts: found %s, expected a model and no tasks", !n_args ? "no model" : eval_asked.tasks ? "tasks beside it" : "--images beside it");
    if (!ood.others.n)
        return ERR(err, USAGE, "--texts: found no --ood FILE, of texts to be told apart from these");
    TRY(eval_ready(EVAL_TEXTS, eval_asked.out_dir, err));
    cmd_catch_signals();
    ood.limit = eval_asked.limit, ood.seed = eval_asked.seed, ood.max_length = eval_asked.max_length, ood.rope_scaling = eval_asked.rope_scaling,
    ood.out = eval_asked.out_dir;
    return eval_ood(args[0], &ood, err);
}

/* What does not go with attacks on models of texts. */
static int check_attacks(bool on_texts, struct err *err)
{
    if (!on_texts && eval_asked.attack.targets)
        return ERR(err, USAGE, "--targets: it is of --attack on texts");
    if (!injections.path && (injections.canary || injections.labels))
        return ERR(err, USAGE, "%s: it is of --injections", injections.canary ? "--canary" : "--judge-labels");
    if (on_texts && (ood.others.n || ood.fit || ood.features_out))
        return ERR(err, USAGE, "--attack on texts: found --ood beside it, expected one of them at a time");
    if ((on_texts || injections.path) && (eval_asked.log_samples || eval_asked.predict_only || eval_asked.gen_kwargs))
        return ERR(err, USAGE, "--log-samples, --predict-only and --gen-kwargs are of scores of tasks: found them beside %s",
                   on_texts ? "--attack" : "--injections");
    if (on_texts && (eval_asked.groups.fields || eval_asked.groups.audit || eval_robust_wanted(&eval_asked.perturbing) || eval_asked.due.on))
        return ERR(err, USAGE, "--attack: found --groups, --audit, --perturb, --paraphrases or --due beside it, which are of scores of tasks");
    if (eval_robust_wanted(&eval_asked.perturbing) && (eval_asked.groups.fields || eval_asked.groups.audit || eval_asked.due.on))
        return ERR(err, USAGE, "--perturb: found --groups, --audit or --due beside it, expected one of them at a time");
    if (injections.path && (eval_asked.tasks || on_texts || ood.texts || images.path))
        return ERR(err, USAGE, "--injections: found something else to do beside it, expected a model alone");
    return 0;
}

static int run_injections(const char *const *args, int n_args, struct err *err)
{
    if (!n_args)
        return ERR(err, USAGE, "--injections: found no model");
    TRY(eval_ready(EVAL_INJECTING, eval_asked.out_dir, err));
    const struct run_opts o = eval_run_opts(args[0]);
    cmd_catch_signals();
    injections.out_dir = eval_asked.out_dir, injections.system = eval_asked.system_instruction, injections.limit = eval_asked.limit,
    injections.seed = eval_asked.seed;
    return eval_injections(args[0], &o, &injections, err);
}

static int run_membership(const char *const *args, int n_args, struct err *err)
{
    if (!n_args || eval_asked.tasks)
        return ERR(err, USAGE, "--membership: found %s, expected a model and no tasks", eval_asked.tasks ? "tasks beside it" : "no model");
    if (!membership.others || !membership.members)
        return ERR(err, USAGE, "%s is missing: members are compared with texts that the model has not seen", membership.members ? "--non-members" : "--membership");
    if (eval_asked.log_samples && !eval_asked.out_dir)
        return ERR(err, USAGE, "--log-samples: samples are files, give their folder by --out");
    TRY(eval_ready(EVAL_MEMBERSHIP, eval_asked.out_dir, err));
    cmd_catch_signals();
    membership.items = eval_asked.log_samples, membership.limit = eval_asked.limit, membership.seed = eval_asked.seed, membership.out = eval_asked.out_dir;
    const struct run_opts o = eval_run_opts(args[0]);
    return eval_membership(&o, &membership, err);
}

static int run_suite(const char *model, struct err *err)
{
    TRY(eval_ready(EVAL_CHECKLIST, eval_asked.out_dir, err));
    const struct run_opts o = eval_run_opts(model);
    cmd_catch_signals();
    suite.limit = eval_asked.limit, suite.seed = eval_asked.seed, suite.folder = eval_asked.out_dir;
    return eval_checklist(model, &suite, &o, err);
}

/* The mode that tasks are in, or attacks on tokens. */
static unsigned modes_of_tasks(bool on_texts)
{
    const struct eval_robust *p = &eval_asked.perturbing;
    unsigned m = selection.asked ? EVAL_SELECT : 0;
    if (on_texts)
        return m | eval_attack_modes(&eval_asked.attack, eval_asked.tasks != NULL);
    if (eval_asked.due.on)
        return m | EVAL_DUE;
    if (!eval_robust_wanted(p))
        return m | EVAL_SCORES;
    return m | (p->families ? EVAL_PERTURB : 0) | (p->paraphrases ? EVAL_PARAPHRASES : 0);
}

static int run_one(const char *const *args, int n_args, struct err *err)
{
    if (eval_asked.tasks && !strcmp(eval_asked.tasks, "list")) {
        TRY(eval_ready(EVAL_LIST, NULL, err));
        return list_tasks(err);
    }
    if (logits && (n_args || eval_asked.tasks))
        return ERR(err, USAGE, "--logits: found a model or tasks beside it, expected the file alone, which has the answers");
    if (diagram && !logits)
        return ERR(err, USAGE, "--diagram: it is of --logits");
    if ((eval_asked.groups.fields || eval_asked.groups.audit) && !eval_asked.tasks)
        return ERR(err, USAGE, "%s: it is of --tasks", eval_asked.groups.fields ? "--groups" : "--audit");
    if (logits) {
        TRY(eval_ready(EVAL_LOGITS, eval_asked.out_dir, err));
        return eval_logits(logits, diagram, eval_asked.out_dir, eval_asked.seed, err);
    }
    eval_asked.attack.texts = ood.texts;
    const bool on_texts = !images.path && eval_attack_asked(&eval_asked.attack, ood.texts);
    images.attacks = eval_asked.attack.attacks;
    if (!images.path && images.attacks && !on_texts && !eval_images_attack(images.attacks))
        return ERR(err, USAGE, "--attack: found '%s', expected fgsm, pgd, apgd-ce, apgd-t, square or all with --images, hotflip, gcg or trigger of models of texts",
                   images.attacks);
    if (!images.path && ((images.attacks && !on_texts) || images.corruptions))
        return ERR(err, USAGE, "--corruptions, and --attack with the names of attacks on images, are of --images");
    TRY(check_attacks(on_texts, err));
    if (!images.path && !ood.texts && (ood.others.n || ood.fit || ood.features_out))
        return ERR(err, USAGE, "--ood, --ood-fit and --features-out are of --images or --texts");
    if (ood.texts && !on_texts)
        return run_texts(args, n_args, err);
    if (images.path && (!n_args || eval_asked.tasks))
        return ERR(err, USAGE, "--images: found %s, expected a model and no tasks", eval_asked.tasks ? "tasks beside it" : "no model");
    if (images.path) {
        TRY(eval_ready(EVAL_IMAGES | (images.attacks ? EVAL_IMAGE_ATTACK : 0), eval_asked.out_dir, err));
        cmd_catch_signals();
        images.limit = eval_asked.limit, images.seed = eval_asked.seed, images.out = eval_asked.out_dir;
        images.ood = ood.others, images.fit = ood.fit, images.features_out = ood.features_out;
        return eval_images(args[0], &images, err);
    }
    if (injections.path)
        return run_injections(args, n_args, err);
    if (membership.members || membership.others)
        return run_membership(args, n_args, err);
    if (membership.reference.n || membership.lines || membership.show_texts)
        return ERR(err, USAGE, "--reference, --lines and --show-texts are of --membership");
    if ((eval_asked.due.list || eval_asked.due.contamination) && !eval_asked.due.on)
        return ERR(err, USAGE, "--list and --contamination are of --due");
    if (eval_asked.due.on && (!n_args || !eval_asked.out_dir))
        return ERR(err, USAGE, "--due: found no %s, expected a model and --out, the folder of its results", n_args ? "--out" : "model");
    eval_asked.due.out = eval_asked.out_dir;
    if (!suite.path && (suite.labels || suite.prompt))
        return ERR(err, USAGE, "--checklist-labels and --checklist-prompt are of --checklist");
    if (suite.path && (!n_args || eval_asked.tasks))
        return ERR(err, USAGE, "--checklist: found %s, expected a model and no tasks", eval_asked.tasks ? "tasks beside it" : "no model");
    if (suite.path)
        return run_suite(args[0], err);
    if (!n_args || (!eval_asked.tasks && !on_texts && !eval_asked.due.on))
        return ERR(err, USAGE, "%s; --tasks list shows those that are built in", n_args ? "no --tasks" : "no model");
    if ((eval_asked.log_samples || eval_asked.predict_only) && !eval_asked.out_dir)
        return ERR(err, USAGE, "%s: samples are files, give their folder by --out", eval_asked.log_samples ? "--log-samples" : "--predict-only");
    if ((eval_asked.log_samples || eval_asked.predict_only) && eval_robust_wanted(&eval_asked.perturbing))
        return ERR(err, USAGE, "--perturb has no samples, its examples are in what it finds");
    if (on_texts)
        TRY(eval_attack_check(&eval_asked.attack, eval_asked.tasks != NULL, err));
    TRY(eval_ready(modes_of_tasks(on_texts), eval_asked.out_dir, err));
    cmd_catch_signals();
    return eval_tasks(args[0], err);
}

static int run_candidate(const char *model, const char *folder, struct err *err)
{
    eval_asked.out_dir = folder, eval_asked.log_samples = true;
    return run_one(&model, 1, err);
}

static int run_eval(const char *const *args, int n_args, struct err *err)
{
    if (sweep && (n_args || eval_asked.tasks || selection.asked))
        return ERR(err, USAGE, "--sweep: found a model, tasks or --select beside it, expected the file of the search alone");
    if (sweep) {
        TRY(eval_ready(EVAL_SWEEP, eval_asked.out_dir, err));
        cmd_catch_signals();
        return eval_sweep(sweep, eval_asked.out_dir, err);
    }
    if (selection.asked && (eval_asked.attack.attacks || injections.path))
        return ERR(err, USAGE, "--select: it is of scores of tasks, found %s beside it", eval_asked.attack.attacks ? "--attack" : "--injections");
    if (selection.asked && eval_robust_wanted(&eval_asked.perturbing))
        return ERR(err, USAGE, "--select: found --%s beside it, expected one of them at a time; candidates are compared by the tasks as they are",
                   eval_asked.perturbing.families ? "perturb" : "paraphrases");
    if (selection.asked) {
        TRY(eval_ready(modes_of_tasks(false), eval_asked.out_dir, err));
        return eval_select(args, n_args, &selection, eval_asked.out_dir, run_candidate, err);
    }
    if (n_args > 1)
        return ERR(err, USAGE, "found %d models, expected one; --select is for several", n_args);
    return run_one(args, n_args, err);
}

static const struct opt opts[] = {
    { OPT_STR, "tasks", &eval_asked.tasks, "<names>", "tasks and groups, with commas between them, or the paths of task files; list: show those that there are, with how much room they leave", 0, 0 },
    { OPT_STR, "data-dir", &eval_asked.data_dir, "<folder>", "where the tasks' files with their usual names lie", 0, 0 },
    { OPT_LIST, "data", &eval_asked.data_files, "<task=file>", "documents of a task, TASK:SPLIT=FILE: of one split; may be given several times", 0, 0 },
    { OPT_LIST, "include-path", &eval_asked.include_paths, "<folder>", "of task files, looked at before what is built in; may be given several times", 0, 0 },
    { OPT_INT, "num-fewshot", &eval_asked.num_fewshot, "<int>", "examples in front of each item; -1: as many as the task says", -1, 1000 },
    { OPT_INT, "limit", &eval_asked.limit, "<int>", "items of each task, the first ones; 0: all", 0, 1e15 },
    { OPT_FLAG, "apply-chat-template", &eval_asked.apply_chat_template, NULL, "prompts are messages, by the model's chat template", 0, 0 },
    { OPT_FLAG, "fewshot-as-multiturn", &eval_asked.fewshot_as_multiturn, NULL, "with a chat template: examples are turns of their own", 0, 0 },
    { OPT_STR, "system-instruction", &eval_asked.system_instruction, "<text>", "goes before each prompt, or is the system message", 0, 0 },
    { OPT_STR, "gen-kwargs", &eval_asked.gen_kwargs, "<key=value>",
      "change how texts are made: temperature, top_p, top_k, max_gen_toks, do_sample, with commas between them", 0, 0 },
    { OPT_CHOICE, "add-bos-token", &eval_asked.add_bos_token, "auto|true|false", "what texts begin with: what the tokenizer says, the prefix token, nothing", 0, 0 },
    { OPT_INT, "max-length", &eval_asked.max_length, "<int>", "tokens that the model may look at; 0: as many as it has positions", 0, 1e9 },
    { OPT_INT, "batch", &eval_asked.batch, "<int>", "items at once at most; scores do not depend on it", 1, 4096 },
    { OPT_INT, "seed", &eval_asked.seed, "<int>", "of the examples' draws, of texts that are drawn, and of the bootstrap", 0, 4294967295. },
    { OPT_STR, "out", &eval_asked.out_dir, "<folder>", "replies as they are made, and results_DATE.json at the end; a run that was stopped goes on from there", 0, 0 },
    { OPT_FLAG, "log-samples", &eval_asked.log_samples, NULL, "samples_TASK_DATE.jsonl, too: each item, its prompt, replies and values", 0, 0 },
    { OPT_STR, "perturb", &eval_asked.perturbing.families, "<names>", "put the tasks in other forms too, and say what that changes: all, text, format, or families with commas between them", 0, 0 },
    { OPT_STR, "strengths", &eval_asked.perturbing.strengths, "<numbers>", "of --perturb: which of 1 to 5, a share of 2, 5, 10, 20 and 40 % of the places", 0, 0 },
    { OPT_STR, "paraphrases", &eval_asked.perturbing.paraphrases, "<file.jsonl>", "lines {\"text\", \"paraphrase\"}: the documents' texts said otherwise, alone or with --perturb", 0, 0 },
    { OPT_STR, "checklist", &suite.path, "<file.jsonl>", "instead of tasks: a CheckList suite of behavioural tests, for a classifier of texts or a model that continues them", 0, 0 },
    { OPT_STR, "checklist-labels", &suite.labels, "<names>", "of --checklist: names of classes 0, 1, ..; (NAME): of three, the middle one that is not asked for; usual: negative,neutral,positive", 0, 0 },
    { OPT_STR, "checklist-prompt", &suite.prompt, "<template>", "of --checklist and a model that continues texts: what stands before the class's name, with {{text}}", 0, 0 },
    { OPT_STR, "logits", &logits, "<file.npz>", "instead of a model: how well calibrated the logits or probabilities [n, classes] and labels [n] of that file are", 0, 0 },
    { OPT_STR, "diagram", &diagram, "<file.svg>", "of --logits: the reliability diagram", 0, 0 },
    { OPT_STR, "images", &images.path, "<folder|images,labels>", "of a model with classes: images in a folder for each class, or two idx files; --limit and --seed hold", 0, 0 },
    { OPT_FLAG, "corruptions", &images.corruptions, NULL, "of --images: accuracy under noise, blur, weather and files, 17 kinds in 5 strengths (CIFAR-10-C's)", 0, 0 },
    { OPT_STR, "attack", &eval_asked.attack.attacks, "<names>",
      "of --images: fgsm, pgd, apgd-ce, apgd-t, square, with commas between them; all: AutoAttack's but for FAB.  Of texts: hotflip (--tasks, --texts), gcg (--targets), trigger (--texts)", 0, 0 },
    { OPT_FLOAT, "eps", &images.eps, "<float>", "of --attack on images: how far each number from 0 to 1 may move", 1e-6, 1 },
    { OPT_STR, "texts", &ood.texts, "<file>", "of a language model or a classifier of texts: texts as it should know them, one a line or JSON lines with \"text\", for --ood; with --attack: JSON lines {text, label} or CSV", 0, 0 },
    { OPT_LIST, "ood", &ood.others, "<set>", "of --images or --texts: images of none of the classes, other texts, to be told apart; may be given several times", 0, 0 },
    { OPT_STR, "ood-fit", &ood.fit, "<set>", "with --ood: what Mahalanobis, k-th neighbour and ViM are fitted to, training data or some that was held out; not given: scores of logits alone", 0, 0 },
    { OPT_STR, "features-out", &ood.features_out, "<file.npz>", "logits, features and labels of all these sets", 0, 0 },
    { OPT_STR, "targets", &eval_asked.attack.targets, "<file>", "of --attack gcg: JSON lines {prompt, target}: what is to be answered how", 0, 0 },
    { OPT_INT, "flips", &eval_asked.attack.flips, "<int>", "of hotflip: tokens that are changed at most", 1, 1000 },
    { OPT_INT, "steps", &eval_asked.attack.steps, "<int>", "of gcg and trigger: steps at most", 1, 1000000 },
    { OPT_INT, "suffix", &eval_asked.attack.suffix, "<int>", "of gcg and trigger: tokens that are sought; 0: 20, and 3 of a trigger", 0, 1000 },
    { OPT_STR, "trigger", &eval_asked.attack.trigger, "<text>", "of --attack trigger: this one, in front of texts, is measured and none is sought", 0, 0 },
    { OPT_INT, "candidates", &eval_asked.attack.candidates, "<int>", "of --attack on texts: changes that are asked for in a step", 1, 65536 },
    { OPT_INT, "gradient-top-k", &eval_asked.attack.top_k, "<int>", "of gcg and trigger: tokens of each place that are drawn from, by their gradient", 1, 65536 },
    { OPT_FLOAT, "similarity", &eval_asked.attack.similarity, "<float>", "of hotflip: the least cosine between the model's vectors of a token and what it becomes; 0: any", 0, 1 },
    { OPT_STR, "injections", &injections.path, "<file>", "prompts that try to take the model over, JSON lines or Giskard's CSV: how many succeed (doc/attacks.md)", 0, 0 },
    { OPT_STR, "canary", &injections.canary, "<text>", "of --injections: the secret in --system-instruction; without either both are made", 0, 0 },
    { OPT_INT, "tries", &injections.tries, "<int>", "of --injections: answers to each prompt; more than 1 are drawn at temperature 1", 1, 1000 },
    { OPT_INT, "max-tokens", &injections.max_tokens, "<int>", "of --injections: tokens of an answer at most", 1, 100000 },
    { OPT_STR, "judge-labels", &injections.labels, "<file>", "of --injections: attempts of an earlier run with \"label\": true or false in some: the judge's errors are taken out", 0, 0 },
    { OPT_STR, "membership", &membership.members, "<path>", "texts that the model has learned from, read as lathe data audit reads them: can they be told from --non-members?", 0, 0 },
    { OPT_STR, "non-members", &membership.others, "<path>", "of --membership: texts of the same source that it has not seen", 0, 0 },
    { OPT_LIST, "reference", &membership.reference, "<model>", "of --membership: a model that has seen neither, to be compared with; may be given several times", 0, 0 },
    { OPT_FLAG, "lines", &membership.lines, NULL, "of --membership: each line of a text file is a text, not the file", 0, 0 },
    { OPT_FLAG, "show-texts", &membership.show_texts, NULL, "of --membership: the beginnings of the most exposed texts; without it their places alone", 0, 0 },
    { OPT_FLAG, "due", &eval_asked.due.on, NULL, "the tasks that the model has not been asked as they are now: by the results in --out; of --tasks, or of all that there are", 0, 0 },
    { OPT_FLAG, "list", &eval_asked.due.list, NULL, "of --due: only show them", 0, 0 },
    { OPT_STR, "contamination", &eval_asked.due.contamination, "<folder>", "of --due: an audit whose --against had the tasks' files; what the data hold of each stands beside it", 0, 0 },
    { OPT_STR, "groups", &eval_asked.groups.fields, "<field,..>", "of documents: scores, calibration and differences by their values, the worst group named (doc/bias.md); A+B: both together", 0, 0 },
    { OPT_STR, "audit", &eval_asked.groups.audit, "<folder>", "of --groups: an audit of the training data (lathe data audit --out), whose shares stand beside the groups that it counted", 0, 0 },
    { OPT_FLAG, "predict-only", &eval_asked.predict_only, NULL, "samples without scores", 0, 0 },
    { OPT_FLAG, "select", &selection.asked, NULL, "of several models (below): which to take; --out has what is found of each", 0, 0 },
    { OPT_CHOICE, "prefer", &selection.prefer, "speed|memory|cost|quality", "of --select: what decides among those that are not worse than the best", 0, 0 },
    { OPT_FLOAT, "margin", &selection.margin, "<float>", "of --select: the loss of quality that does not matter", 0, 1 },
    { OPT_FLOAT, "price-per-hour", &selection.price, "<float>", "of --select: what an hour of this machine costs, in any currency", 0, 1e9 },
    { OPT_STR, "sweep", &sweep, "<file>", "instead of a model: search over settings of a recipe of lathe train by successive halving (below)", 0, 0 },
    OPT_ROPE_SCALING(&eval_asked.rope_scaling),
    OPT_PRECISION,
    OPT_KV,
    OPT_ADAPTER,
    OPT_SIGNATURE,
    OPT_THREADS,
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};
const struct command command_eval = {
    "eval", "[MODEL]...", "scores of a model on benchmark tasks, and how sure they are",
    TEXT("Tasks are those of lm-evaluation-harness: its YAML files as they are, or what is built in (doc/tasks.md), over files that you\n"
    "have.  Requests, tokens, log-likelihoods and metrics are made by its rules, and results and samples are written in its layout, so\n"
    "that what reads its files reads these; what it does not have stands under the key \"lathe\".\n"
    "\n"
    "The scores are the same to the bit with any --batch and --threads: what items have in common (the question of several choices,\n"
    "the examples before them) is computed once, and many items share a step of the model.\n"
    "\n",
    "Beside each score stands its standard error, as lm-evaluation-harness has it, and a 95 % interval: Wilson's for a share of\n"
    "items, Student's t for other means and for items in clusters (metadata.cluster of a task; where all are alike Wilson's of as many items as clusters), BCa of 10,000 bootstrap draws for\n"
    "what is no mean, and for a group of tasks what follows from the tasks' own (MOVER).  Under the table stands what else a score rests on: items that failed, contexts that were too long and were\n"
    "cut at their beginning, choices that share a token with the end of the question (scored by tokens of their own), answers in\n"
    "which nothing was found, and the conventions: the token before an empty context, what begins a text, the longest text.\n"
    "\n",
    "A request that cannot be answered is that item's error, and is counted.  Ctrl-C ends a run with the scores of what was answered,\n"
    "marked as incomplete, and exit code 4; with --out the same command goes on where it stopped, and refuses a folder of another model,\n"
    "other requests or another way to run them.  While intervals are drawn it ends at once with --out, without scores, as the answers are\n"
    "kept; else the scores come when they are drawn, and a second Ctrl-C ends it without.\n"
    "\n"
    "The tasks bbq and crows_pairs_english also get their bias scores by category.  --groups FIELD gives every task's scores and calibration by\n"
    "the values of a field of its documents: the worst group with intervals that hold for all at once, the gap beside what chance gives, and,\n"
    "with --audit, the groups' shares of the training data (doc/bias.md).\n"
    "\n",
    "--logits takes the answers of any program's classifier instead: ECE in its several forms beside what calibrated models of the same\n"
    "confidences have by chance, Brier, NLL, temperature scaling, conformal sets, selective accuracy (doc/calibration.md).\n"
    "\n",
    "--perturb asks each item also with typing errors, capitals, look-alike letters, missing words and the like in the document's text, and\n"
    "with the prompt in other forms (options in another order or numbered otherwise, other separators, white space, examples in another\n"
    "order).  Of each family and strength: the score, its change by the pair, how much is kept, flips, the divergence of the answers, with\n"
    "intervals; and each item at its worst (doc/robustness.md).\n"
    "\n",
    "--checklist puts a suite of behavioural tests (CheckList's form) to a classifier of texts, or to a model that continues a prompt with the\n"
    "names of the classes: the rate of failures of each test, capability and type (doc/robustness.md).  --limit: the first cases of each test.\n"
    "\n",
    "--images is for classifiers of images: accuracy and all of the above, how much of it corruptions, and attacks within a ball, leave, and\n"
    "how well other images can be told from its own (--ood): by logits, and by features where --ood-fit says what to fit to (doc/ood.md).\n"
    "What happens to an image depends on --seed and its place alone.\n"
    "\n",
    "--texts does the same with texts: by perplexity and the distributions of the next token of a language model, by the logits of a\n"
    "classifier, by their features; and once more for texts of the same lengths.\n"
    "\n"
    "With --out these, and --logits, are kept as KIND_DATE.json in that folder, with a list of figures for reports.\n\n",
    "--membership says whether texts that the model has learned from can be told from others by their likelihoods, beside what tells them\n"
    "apart without any model (doc/privacy.md).\n\n",
    "--due runs what is new for a model: tasks that the results in the folder of --out, of this model and adapter by their SHA-256, do not have, or have of\n"
    "another version or of other data, in part or stopped (doc/tasks.md).\n\n",
    "--select puts two or more models to the same tasks: NAME=MODEL@PRECISION+ADAPTERS, of which MODEL alone must be there, or folders that --out\n"
    "left before.  Quality is the mean over tasks of their first metric; its loss against the best is measured item by item (lathe compare),\n"
    "speed and memory by lathe bench in a process of its own.  Of those that are not worse than the best by --margin or more (one-sided, 5 %\n"
    "for all candidates together) the one that --prefer puts first is recommended, in words that say what it rests on; OUT/select.svg shows\n"
    "quality over speed.  What stands in OUT/NAME is not computed again.\n\n",
    "--sweep trains recipes: FILE (YAML or JSON) has recipe: PATH; space: {train.lr: [1e-3, 3e-3], model.num_hidden_layers: {min: 2, max: 6,\n"
    "integer: true}}, lists or ranges (scale: log); draws: how many (all combinations without it); least_steps, most_steps and eta (3): of the\n"
    "settings that had least_steps the best third goes on to three times as many, and so on, each training with a schedule of its own.  The\n"
    "lowest held-out loss wins; OUT/best.json is its recipe.  A search that was stopped goes on with the same command.\n\n",
    "--attack hotflip, gcg and trigger look for changes of tokens along the model's gradient that make it err, and --injections tries prompts\n"
    "that are to take a model over: doc/attacks.md."),
    opts, run_eval, 0, SELECT_CANDIDATES,
};
