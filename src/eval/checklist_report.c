#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "eval/checklist.h"
#include "eval/evidence.h"
#include "eval/interval.h"

#define LEVEL 0.95
enum { EXAMPLES_MAX = 20, N_VERDICT = CHECKLIST_UNUSABLE + 1 };

static const char *const expect_words[] = {
#define EXPECT(name, word, what) word,
#include "eval/checklist.def"
#undef EXPECT
    "unknown"
};

/* Cases by what came of them. */
struct sum { int64_t by[N_VERDICT]; };

static int64_t judged(const struct sum *s) { return s->by[CHECKLIST_PASSED] + s->by[CHECKLIST_WRONG]; }
static double rate(const struct sum *s) { return judged(s) ? (double)s->by[CHECKLIST_WRONG] / (double)judged(s) : NAN; }
static json_t *range(const double ci[2]) { return json_pack("[o, o]", tree_number(ci[0]), tree_number(ci[1])); }
static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a report"); }

static void add(struct sum *to, const struct sum *s)
{
    for (int v = 0; v < N_VERDICT; v++)
        to->by[v] += s->by[v];
}

/* A figure, and {"n", "failures", "failure_rate", "ci95", ...}. */
static int sum_json(json_t *evidence, const char *of, const char *what, const struct sum *s, json_t **out, struct err *err)
{
    double ci[2] = { NAN, NAN };
    if (judged(s))
        TRY(interval_wilson(s->by[CHECKLIST_WRONG], judged(s), LEVEL, ci, err));
    const struct evidence_figure f = { "failure_rate", of, rate(s), ci[0], ci[1], judged(s), EVIDENCE_LOWER, what };
    TRY(evidence_figure(evidence, &f, err));
    *out = json_pack("{s:I, s:I, s:o, s:o, s:I, s:I, s:I, s:I}", "n", (json_int_t)judged(s), "failures", (json_int_t)s->by[CHECKLIST_WRONG], "failure_rate",
                     tree_number(rate(s)),
                     "ci95", range(ci), "not_judged", (json_int_t)s->by[CHECKLIST_SKIPPED], "unusable", (json_int_t)s->by[CHECKLIST_UNUSABLE], "failed",
                             (json_int_t)s->by[CHECKLIST_ERROR],
                     "open", (json_int_t)s->by[CHECKLIST_NO_ANSWER]);
    return *out ? 0 : no_memory(err);
}

static int add_test(json_t *evidence, const struct checklist_test *t, const struct sum *s, json_t *tests, struct err *err)
{
    json_t *o;
    TRY(sum_json(evidence, t->name, t->expect == EXPECT_UNKNOWN ? "nothing says what is expected" : NULL, s, &o, err));
    const int bad = json_object_set_new(o, "test", json_string(t->name)) | json_object_set_new(o, "type", json_string(t->type)) |
                    json_object_set_new(o, "capability", json_string(t->capability)) | json_object_set_new(o, "expect", json_string(expect_words[t->expect])) |
                    json_object_set_new(o, "cases", json_integer(t->n));
    return json_array_append_new(tests, o) || bad ? no_memory(err) : 0;
}

static const char *group_of(const struct checklist_test *t, bool by_type) { return by_type ? t->type : t->capability; }

/* Tests of one capability, or type, together. */
static int add_groups(json_t *evidence, const struct checklist *c, const struct sum *of, bool by_type, json_t *out, struct err *err)
{
    for (int i = 0; i < c->n_test; i++) {
        const char *name = group_of(&c->test[i], by_type);
        struct sum s = { 0 };
        json_t *o;
        if (!*name || json_object_get(out, name))
            continue;
        for (int k = i; k < c->n_test; k++)
            if (!strcmp(group_of(&c->test[k], by_type), name))
                add(&s, &of[k]);
        TRY(sum_json(evidence, name, by_type ? "all tests of this type" : "all tests of this capability", &s, &o, err));
        if (json_object_set_new(out, name, o))
            return no_memory(err);
    }
    return 0;
}

/* The test that fails most; its interval holds for all tests at once (Bonferroni).  -1: nothing was judged. */
static int add_worst(json_t *evidence, const struct checklist *c, const struct sum *of, struct err *err)
{
    int worst = -1, n = 0;
    double ci[2];
    for (int i = 0; i < c->n_test; i++) {
        n += judged(&of[i]) > 0;
        if (judged(&of[i]) && (worst < 0 || rate(&of[i]) > rate(&of[worst])))
            worst = i;
    }
    if (worst < 0)
        return evidence_put(evidence, "worst", json_null(), err);
    TRY(interval_wilson(of[worst].by[CHECKLIST_WRONG], judged(&of[worst]), 1 - (1 - LEVEL) / n, ci, err));
    return evidence_put(evidence, "worst", json_pack("{s:s, s:f, s:o, s:I, s:i}", "test", c->test[worst].name, "failure_rate", rate(&of[worst]),
                                                     "simultaneous_ci95", range(ci), "n",
                                                     (json_int_t)judged(&of[worst]), "of", n), err);
}

/* ---- examples ---- */

static json_t *text_json(const struct checklist *c, const struct checklist_answers *a, int64_t i, const char *const *label)
{
    json_t *probs = json_array();
    int best = 0;
    for (int k = 0; k < a->n_label; k++) {
        (void)json_array_append_new(probs, json_real(a->prob[i * a->n_label + k]));
        best = a->prob[i * a->n_label + k] > a->prob[i * a->n_label + best] ? k : best;
    }
    return json_pack("{s:O, s:s, s:o}", "text", c->text[i], "predicted", label[best], "probabilities", probs);
}

static void add_example(json_t *list, const struct checklist *c, const struct checklist_test *t, const struct checklist_answers *a, const char *const *label)
{
    for (int64_t i = 0; i < t->n; i++) {
        const struct checklist_case *x = &t->c[i];
        int worst;
        if (checklist_judge(t, x, a, &worst) != CHECKLIST_WRONG)
            continue;
        json_t *texts = json_array();
        if (worst)
            (void)json_array_append_new(texts, text_json(c, a, x->first, label));
        (void)json_array_append_new(texts, text_json(c, a, x->first + worst, label));
        const int of = t->expect == EXPECT_LABEL ? x->label : t->expect == EXPECT_NOT ? t->label : -1;
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I, s:s, s:s?, s:o}", "test", t->name, "type", t->type, "capability", t->capability,
                                                    "case", (json_int_t)i, "expect",
                                                    expect_words[t->expect], "label", of < 0 || of >= a->n_label ? NULL : label[of], "texts", texts));
        return;
    }
}

/* A case of each test that fails, those that fail most first. */
static json_t *examples_json(const struct checklist *c, const struct checklist_answers *a, struct sum *of, const char *const *label)
{
    json_t *list = json_array();
    while (json_array_size(list) < EXAMPLES_MAX) {
        int worst = -1;
        for (int i = 0; i < c->n_test; i++)
            if (judged(&of[i]) && rate(&of[i]) > 0 && (worst < 0 || rate(&of[i]) > rate(&of[worst])))
                worst = i;
        if (worst < 0)
            break;
        const size_t was = json_array_size(list);
        add_example(list, c, &c->test[worst], a, label);
        of[worst] = (struct sum){ 0 };
        if (json_array_size(list) == was)        /* no memory, which is seen at the end */
            break;
    }
    return list;
}

/* ---- all ---- */

static int fill(json_t *evidence, const struct checklist *c, const struct checklist_answers *a, struct sum *of, json_t *tests, json_t *capabilities,
                json_t *types, struct err *err)
{
    struct sum all = { 0 };
    json_t *o;
    for (int i = 0; i < c->n_test; i++) {
        const struct checklist_test *t = &c->test[i];
        int worst;
        for (int64_t k = 0; k < t->n; k++)
            of[i].by[checklist_judge(t, &t->c[k], a, &worst)]++;
        add(&all, &of[i]);
        TRY(add_test(evidence, t, &of[i], tests, err));
    }
    TRY(add_groups(evidence, c, of, false, capabilities, err));
    TRY(add_groups(evidence, c, of, true, types, err));
    TRY(sum_json(evidence, NULL, "all cases of all tests", &all, &o, err));
    TRY(evidence_put(evidence, "all", o, err));
    TRY(evidence_put(evidence, "complete", json_boolean(!all.by[CHECKLIST_NO_ANSWER]), err));
    TRY(evidence_put(evidence, "first_failure", a->why ? json_string(a->why) : json_null(), err));
    TRY(evidence_put(evidence, "first_unusable", c->first_unusable.code ? json_string(c->first_unusable.msg) : json_null(), err));
    return add_worst(evidence, c, of, err);
}

/* part is taken over, also where something went wrong before. */
static int put(int rc, json_t *evidence, const char *key, json_t *part, struct err *err)
{
    if (!rc)
        return evidence_put(evidence, key, part, err);
    json_decref(part);
    return rc;
}

int checklist_report(json_t *evidence, const struct checklist *c, const struct checklist_answers *a, const char *const *label, struct err *err)
{
    const uint64_t refused = mem_json_refused();
    struct sum *of = mem_alloc_array((size_t)c->n_test + 1, sizeof *of);
    json_t *tests = json_array(), *capabilities = json_object(), *types = json_object(), *labels = json_array();
    for (int k = 0; k < a->n_label; k++)
        (void)json_array_append_new(labels, json_string(label[k]));
    int rc = of && tests && capabilities && types ? fill(evidence, c, a, of, tests, capabilities, types, err) : no_memory(err);
    rc = put(rc, evidence, "tests", tests, err);
    rc = put(rc, evidence, "capabilities", capabilities, err);
    rc = put(rc, evidence, "types", types, err);
    rc = put(rc, evidence, "labels", labels, err);
    rc = put(rc, evidence, "examples", rc ? NULL : examples_json(c, a, of, label), err);
    if (!rc && mem_json_refused() != refused)
        rc = no_memory(err);
    mem_free(of);
    return rc;
}
