/* cmd_compare.c - is a new model worse than an old one, and where? */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/compare_run.h"
#include "eval/samples.h"
#include "infer/logprobs.h"
#include "model/model.h"

static struct compare_run run = { .o = COMPARE_OPTS, .convention = "all", .metric = "", .tasks = "", .worst = 5, .deep = 3, .bisect_tokens = 128, .fewshot = -1, .batch = 16, .seed = 1 };
static const char *correction = "holm";
static bool gate;

int compare_add(struct compare_run *c, const char *unit, struct compare_result **out, struct err *err, const char *name_fmt, ...)
{
    va_list ap;
    if (c->n_result == COMPARE_TESTS)
        return ERR(err, RANGE, "more than %d tests", COMPARE_TESTS);
    va_start(ap, name_fmt);
    vsnprintf(c->name[c->n_result], sizeof *c->name, name_fmt, ap);
    va_end(ap);
    err_tidy(c->name[c->n_result]);
    snprintf(c->unit[c->n_result], sizeof *c->unit, "%s", unit);
    *out = &c->result[c->n_result++];
    return 0;
}


/* ---- what was found ---- */

static void print_test(const struct compare_run *c, int i)
{
    const struct compare_result *r = &c->result[i];
    printf("%s: %s\n", c->name[i], compare_word(r->verdict));
    printf("  %s %.5f -> %.5f, effect %+.5f, %g %% interval %+.5f to %+.5f (by bootstrap %+.5f to %+.5f)\n", c->unit[i], r->old, r->new, r->effect, 100 * (1 - c->o.alpha), r->ci[0],
           r->ci[1], r->bootstrap[0], r->bootstrap[1]);
    if (r->counts)
        printf("  %lld items: %lld right by both, %lld by the old one alone, %lld by the new one alone, %lld by none\n", (long long)r->n, (long long)r->both, (long long)r->b,
               (long long)r->c, (long long)r->neither);
    else
        printf("  %lld items in %lld clusters\n", (long long)r->n, (long long)r->n_cluster);
    printf("  p %.4g", r->p);
    if (c->sequential && r->counts)
        printf(" (e-process, of a loss)");
    else if (r->counts)
        printf(" (McNemar, exact; mid-p %.4g)", r->mid_p);
    if (c->n_result > 1)
        printf(", %.4g by %s over %d tests", r->adjusted, c->o.bh ? "Benjamini and Hochberg" : "Holm", c->n_result);
    if (r->stopped_at)
        printf("; stopped there, and so the loss is likely smaller than it looks\n");
    else if (isfinite(r->mde))
        printf("; a loss of %.5f would be found with %g %% power\n", r->mde, 100 * c->o.power);
    else
        printf("; no loss would be found with %g %% power\n", 100 * c->o.power);
}

static json_t *test_json(const struct compare_run *c, int i)
{
    const struct compare_result *r = &c->result[i];
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I, s:f, s:f, s:f, s:o, s:[o, o], s:[o, o], s:f, s:f, s:o}", "name", c->name[i], "metric", c->unit[i], "verdict", compare_word(r->verdict),
                          "n", (json_int_t)r->n, "n_cluster", (json_int_t)r->n_cluster, "old", r->old, "new", r->new, "effect", r->effect, "se", tree_number(r->se), "ci",
                          tree_number(r->ci[0]), tree_number(r->ci[1]), "ci_bootstrap", tree_number(r->bootstrap[0]), tree_number(r->bootstrap[1]), "p", r->p, "p_adjusted",
                          r->adjusted, "mde", tree_number(r->mde));
    if (o && r->counts) {
        json_object_set_new(o, "p_mid", json_real(r->mid_p));
        json_object_set_new(o, "stopped_at", r->stopped_at ? json_integer(r->stopped_at) : json_null());
        json_object_set_new(o, "counts", json_pack("{s:I, s:I, s:I, s:I}", "both", (json_int_t)r->both, "old_alone", (json_int_t)r->b, "new_alone", (json_int_t)r->c, "neither",
                                                   (json_int_t)r->neither));
    }
    return o;
}

/* The verdict first, then what it is of, then all tests. */
static int print_json(struct compare_run *c, int decides, struct err *err)
{
    const struct compare_result *r = &c->result[decides];
    json_t *tests = json_array();
    for (int i = 0; i < c->n_result; i++)
        json_array_append_new(tests, test_json(c, i));
    json_t *o = json_pack("{s:s, s:f, s:[o, o], s:o, s:f, s:f, s:f, s:f, s:s, s:s, s:s, s:o, s:O, s:O}", "verdict", compare_word(r->verdict), "effect", r->effect, "ci",
                          tree_number(r->ci[0]), tree_number(r->ci[1]), "mde", tree_number(r->mde), "p", r->adjusted, "alpha", c->o.alpha, "margin", c->o.margin, "power", c->o.power,
                          "decided_by", c->name[decides], "unit", c->unit[decides], "correction", c->o.bh ? "bh" : "holm", "tests", tests, "texts", c->texts, "items", c->items);
    if (o) {
        json_object_set_new(o, "complete", json_boolean(!cmd_stop));
        json_object_set_new(o, "limit", c->limit ? json_integer(c->limit) : json_null());
        json_object_set_new(o, "model_sha256", *c->new_sha256 ? json_string(c->new_sha256) : json_null());
        json_object_set_new(o, "old_sha256", *c->old_sha256 ? json_string(c->old_sha256) : json_null());
    }
    if (o && c->bisected)
        json_object_set(o, "layers", c->bisected);
    return cmd_print_json(o, err);
}

static void print_verdict(const struct compare_run *c, int decides)
{
    const struct compare_result *r = &c->result[decides];
    switch (r->verdict) {
    case COMPARE_WORSE:
        printf("verdict: worse, by %s: a loss of %.5f (%.5f to %.5f)\n", c->name[decides], -r->effect, -r->ci[1], -r->ci[0]);
        break;
    case COMPARE_BETTER:
        printf("verdict: better\n");
        break;
    case COMPARE_NOT_WORSE:
        printf("verdict: not worse within %g%s\n", c->o.margin, r->effect < 0 && r->adjusted <= c->o.alpha ? "; a smaller loss is there" : "");
        break;
    default:
        printf("verdict: underpowered, by %s: neither a loss is shown nor one of %g ruled out\n", c->name[decides], c->o.margin);
    }
}

static int tell(struct compare_run *c, struct err *err)
{
    int decides;
    if (!c->n_result)
        return cmd_stop ? ERR(err, STOPPED, "stopped before anything was compared") : 0;
    TRY(compare_decide(c->result, c->n_result, &c->o, &decides, err));
    for (int i = 0; i < c->n_result && !cmd_json; i++)
        print_test(c, i);
    if (cmd_json)
        TRY(print_json(c, decides, err));
    else
        print_verdict(c, decides);
    if (cmd_stop)
        return ERR(err, STOPPED, "stopped: this is of what was seen until then");
    const struct compare_result *r = &c->result[decides];
    if (r->verdict == COMPARE_WORSE)
        return ERR(err, GATE, "%s is worse than %s by %s", c->new, c->old, c->name[decides]);
    if (r->verdict == COMPARE_UNDERPOWERED && gate)
        return ERR(err, GATE, "no loss of %g or more is ruled out by %s, which --gate asks for", c->o.margin, c->name[decides]);
    return 0;
}

/* ---- the command ---- */

static int check_options(struct err *err)
{
    run.o.bh = !strcmp(correction, "bh"), run.o.seed = (uint64_t)run.seed;
    run.metric = *run.metric ? run.metric : NULL;
    run.tasks = *run.tasks ? run.tasks : NULL;
    if (!(run.o.alpha > 0 && run.o.alpha < 1) || !(run.o.power > 0 && run.o.power < 1))
        return ERR(err, USAGE, "--alpha %g, --power %g: expected numbers between 0 and 1", run.o.alpha, run.o.power);
    if (run.sequential && !run.tasks)
        return ERR(err, USAGE, "--sequential: expected --tasks, whose items come one after the other");
    if (run.ctx == 1)
        return ERR(err, USAGE, "--ctx: found 1, expected at least 2 tokens, of which one predicts the other");
    return 0;
}

/* What a policy of the registry asks of a comparison: of which models it is. */
static int find_digests(struct compare_run *c, struct err *err)
{
    bool predictions;
    TRY(model_digest(c->new, c->new_sha256, err));
    TRY(logprobs_is(c->old, &predictions, err));
    return predictions ? 0 : model_digest(c->old, c->old_sha256, err);
}

/* Texts unless tasks alone are asked for. */
static int compare_models(struct compare_run *c, struct err *err)
{
    if (cmd_json)
        TRY(find_digests(c, err));
    if (!c->tasks || c->text.n || c->bisect)
        TRY(compare_texts(c, err));
    return c->tasks && !cmd_stop ? compare_on_tasks(c, err) : 0;
}

static int compare(struct compare_run *c, struct err *err)
{
    const bool old = samples_are_at(c->old), new = samples_are_at(c->new);
    if (old != new)
        return ERR(err, USAGE, "%s is an evaluation that was kept, and %s is none; expected two of them, or two models", old ? c->old : c->new, old ? c->new : c->old);
    if (!old)
        return compare_models(c, err);
    if (c->text.n || c->bisect || c->sequential)
        return ERR(err, USAGE, "%s is an evaluation that was kept, expected neither --text nor --bisect nor --sequential", c->old);
    return compare_saved(c, err);
}

static int run_compare(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    char *path[2] = { NULL, NULL };
    cmd_catch_signals();
    TRY(check_options(err));
    int rc = cmd_model_path(&path[0], args[0], err);
    if (!rc)
        rc = cmd_model_path(&path[1], args[1], err);
    run.old = path[0], run.new = path[1];
    if (!rc && (!(run.texts = json_array()) || !(run.items = json_array())))
        rc = ERR(err, NOMEM, "no memory for the result");
    if (!rc)
        rc = compare(&run, err);
    if (!rc)
        rc = tell(&run, err);
    json_decref(run.texts);
    json_decref(run.items);
    json_decref(run.bisected);
    mem_free(path[0]);
    mem_free(path[1]);
    return rc;
}

static const struct opt opts[] = {
    { OPT_LIST, "text", &run.text, "<path>", "a file, or a folder whose files are documents, that both models read; may be given again", 0, 0 },
    { OPT_STR, "tasks", &run.tasks, "<names>", "that both models are put to, as lathe eval's; of evaluations that were kept: only these", 0, 0 },
    { OPT_STR, "metric", &run.metric, "<name>", "of each task; the first that it names unless given", 0, 0 },
    { OPT_STR, "data-dir", &run.data_dir, "<folder>", "where the tasks' files with their usual names lie", 0, 0 },
    { OPT_LIST, "data", &run.data, "<task=file>", "documents of a task; may be given several times", 0, 0 },
    { OPT_LIST, "include-path", &run.include, "<folder>", "of task files, looked at before what is built in; may be given several times", 0, 0 },
    { OPT_INT, "num-fewshot", &run.fewshot, "<int>", "examples in front of each item; -1: as many as the task says", -1, 1000 },
    { OPT_FLAG, "sequential", &run.sequential, NULL, "items in random order, both models at once, until a loss is shown", 0, 0 },
    { OPT_INT, "batch", &run.batch, "<int>", "items of a task at once", 1, 4096 },
    { OPT_INT, "seed", &run.seed, "<int>", "of the order of items, and of the bootstrap", 0, 9e15 },
    { OPT_FLOAT, "margin", &run.o.margin, "<float>", "loss that would be accepted: 0.01 is one point of accuracy, or about one percent of perplexity", 0, 1e9 },
    { OPT_FLOAT, "alpha", &run.o.alpha, "<share>", "false alarms that are accepted, in all tests together", 0, 1 },
    { OPT_FLOAT, "power", &run.o.power, "<share>", "with which the minimum detectable loss that is told would be found", 0, 1 },
    { OPT_CHOICE, "correction", &correction, "holm|bh", "of p-values for several tests; bh: Benjamini and Hochberg", 0, 0 },
    { OPT_FLAG, "gate", &gate, NULL, "exit 3 also where nothing is shown: losses of the margin must be ruled out", 0, 0 },
    { OPT_INT, "ctx", &run.ctx, "<int>", "tokens of a window of texts; 0: 512, or the models' positions", 0, 1e9 },
    { OPT_CHOICE, "convention", &run.convention, "all|llamacpp", "predictions that are compared: all, or as llama.cpp those of whole windows' second halves", 0, 0 },
    { OPT_INT, "limit", &run.limit, "<int>", "windows of each text, and items of each task, at most; 0: all", 0, 1e9 },
    { OPT_INT, "worst", &run.worst, "<int>", "predictions, or items, that are shown: those that are furthest apart or became worse", 0, 1e6 },
    { OPT_FLAG, "bisect", &run.bisect, NULL, "find the layers and weights that make the difference, on the first text", 0, 0 },
    { OPT_INT, "bisect-tokens", &run.bisect_tokens, "<int>", "tokens for that", 2, 512 },
    { OPT_INT, "bisect-layers", &run.deep, "<int>", "layers to look into", 0, 1e6 },
    OPT_PRECISION, OPT_KV, OPT_THREADS, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_compare = {
    "compare", "OLD NEW", "is a new model worse than an old one, and where",
    TEXT("Of two models: both read the same texts (--text; without, a little that is built in) in one process, and all their predictions are\n"
    "compared exactly: KL both ways, the likeliest token, the probability of the true one, the ratio of perplexities.  OLD may be a file of\n"
    "predictions, as llama-perplexity's --kl-divergence-base and lathe perplexity --save-logits write them; it has its own text.  The tokenizers\n"
    "must agree.  --bisect names the first result that differs, and for each layer: how far the residual streams are apart behind it (drift), what\n"
    "the new layer makes of the old one's inputs (error alone), and the KL of the old model with this one layer in its place (KL alone); of the\n"
    "layers with the most of it, the same for each product and its weights.\n"
    "\n"
    "Put to tasks (--tasks, those of lathe eval), their items are compared by the pair, and the worst of them shown with their answers.  --sequential\n"
    "takes the items in a random order and both models at once, and stops when a loss is shown in any task, by an e-process that is wrong with\n"
    "chance alpha however often one looks; the margin is then not looked at, and the order is that of --seed.\n"
    "\n"
    "Of two evaluations that were kept (folders or samples_*.jsonl of lm-evaluation-harness' --log_samples, or of lathe eval --out): their items\n"
    "by the pair, by doc_id and document; what is not paired is counted.  Of a task's filters the first is tested.\n",
    "\n"
    "The verdict is worse (a loss is shown: adjusted p <= alpha), better, not worse (a loss as large as the margin is ruled out, at alpha) or\n"
    "underpowered (neither); of several tests the gravest, in the order worse, underpowered, not worse, better.  A loss that is shown but certainly\n"
    "smaller than the margin is \"not worse\", and told.  Exit code 3 for worse, with --gate for underpowered too; 4 where it was stopped, and what it says is of a part.  --json has the digests of both\n"
    "models (model_sha256 the new one's, old_sha256), of kept evaluations from the results beside their samples: without it no policy of the registry\n"
    "takes the comparison.\n"
    "\n"
    "p is McNemar's exact test where values are 0 and 1, with Tango's interval; else t over clusters, which for texts are windows, or documents where\n"
    "a text has 30 and more, and for items the task's own, which samples of lathe name (\"cluster\"); those of lm-evaluation-harness count as independent.\n"
    "The interval by bootstrap is BCa over the same clusters.  The effect is new - old where more is better, so that a loss\n"
    "is negative; of texts it is in nats a token: minus the ln of the ratio of perplexities."),
    opts, run_compare, 2, 2,
};
