/* cmd_data_scores.c - lathe data scores: what a model scores on items that its data held, and on the others. */
#include <jansson.h>
#include "audit/scores.h"
#include "base/file.h"
#include "base/mem.h"
#include "cmd/cmd.h"

static const char *set;
static int64_t seed = 1;

static int split_all(const struct scores *s, struct score_split split[N_CONTAM_METHOD], struct err *err)
{
    uint8_t *dirty = mem_alloc_array(s->n + 1, 1);
    int rc = dirty ? 0 : ERR(err, NOMEM, "no memory for %zu scores", s->n);
    for (int m = 0; m < N_CONTAM_METHOD && !rc; m++) {
        for (size_t i = 0; i < s->n; i++)
            dirty[i] = s->dirty[i] >> m & 1;
        if (s->methods >> m & 1)
            rc = scores_split(s->score, dirty, s->n, (uint64_t)seed, &split[m], err);
    }
    mem_free(dirty);
    return rc;
}

static json_t *mean_json(const struct score_mean *m)
{
    return m->n ? json_pack("{s:I, s:f, s:f, s:f}", "n", (json_int_t)m->n, "mean", m->mean, "low", m->low, "high", m->high) : json_null();
}

static int print_json(const struct scores *s, const struct score_split *split, struct err *err)
{
    json_t *methods = json_object();
    for (int m = 0; m < N_CONTAM_METHOD; m++)
        if (s->methods >> m & 1)
            json_object_set_new(methods, contam_method_name((enum contam_method)m),
                                json_pack("{s:o, s:o, s:o}", "clean", mean_json(&split[m].clean), "dirty", mean_json(&split[m].dirty), "gain", mean_json(&split[m].gain)));
    json_t *o = json_pack("{s:I, s:I, s:o}", "items", (json_int_t)s->n, "without_score", (json_int_t)s->n_without, "methods", methods);
    return o ? cmd_print_json(o, err) : ERR(err, NOMEM, "no memory for what is to be printed");
}

static void print_mean(const struct score_mean *m)
{
    if (m->n)
        printf("%8lld %8.4f [%.4f, %.4f]", (long long)m->n, m->mean, m->low, m->high);
    else
        printf("%8d %8s %16s", 0, "-", "");
}

static void print_table(const struct scores *s, const struct score_split *split)
{
    printf("%zu items with a score, %zu without\n", s->n, s->n_without);
    printf("%-10s %8s %8s %-16s %8s %8s %-16s %s\n", "", "clean", "mean", "95 %", "dirty", "mean", "95 %", "dirty - clean");
    for (int m = 0; m < N_CONTAM_METHOD; m++) {
        if (!(s->methods >> m & 1))
            continue;
        printf("%-10s ", contam_method_name((enum contam_method)m));
        print_mean(&split[m].clean);
        printf(" ");
        print_mean(&split[m].dirty);
        if (split[m].gain.n)
            printf(" %+.4f [%+.4f, %+.4f]", split[m].gain.mean, split[m].gain.low, split[m].gain.high);
        printf("\n");
    }
}

static int run_scores(const char *const *args, int n_args, struct err *err)
{
    struct scores s = { .n = 0 };
    struct score_split split[N_CONTAM_METHOD] = { 0 };
    char *items = file_join(args[0], "contamination.jsonl");
    (void)n_args;
    int rc = !items ? ERR(err, NOMEM, "no memory for a path") : file_exists(items) ? 0 : ERR(err, USAGE, "'%s' is no audit that looked for evaluation sets (lathe data audit --against)", args[0]);
    rc = rc ? rc : scores_read(&s, items, args[1], set, err);
    rc = rc ? rc : split_all(&s, split, err);
    if (!rc && cmd_json)
        rc = print_json(&s, split, err);
    else if (!rc)
        print_table(&s, split);
    scores_release(&s);
    mem_free(items);
    return rc;
}

static const struct opt scores_opts[] = {
    { OPT_STR, "set", &set, "<name>", "of these items alone", 0, 0 },
    { OPT_INT, "seed", &seed, "<int>", "of the samples that the intervals are made from", 0, 9e18 },
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};

const struct command command_data_scores = {
    "data scores", "AUDIT SCORES", "compare a model's scores on clean and on contaminated items",
    TEXT(
        "AUDIT is the folder of a `lathe data audit --against EVALS` of what the model learned from, SCORES a file with a line for each item\n"
        "that was scored:\n"
        "\n"
        "    {\"set\": \"gsm8k\", \"line\": 17, \"score\": 1}\n"
        "\n"
        "where line is the item's in its file; set may be left out where there is one alone, \"file\" (as AUDIT/contamination.jsonl\n"
        "names it) is needed where a set's items stand in several.  For each method that the audit looked by, the\n"
        "mean score of the items that the data do not hold and of those that they do, and how much more the latter is, each with an interval\n"
        "of 95 % (1000 bootstrap samples).  A model that scores well on what it has seen alone shows it here; that dirty items may be\n"
        "easier or harder for other reasons, it does not.\n"
        "\n"
        "    lathe data scores audit scores.jsonl\n"),
    scores_opts, run_scores, 2, 2,
};
