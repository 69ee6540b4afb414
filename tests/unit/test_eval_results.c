/* test_eval_results.c - scores with lm-evaluation-harness' own standard error and an interval by the right unit, groups as it pools them. */
#include <math.h>
#include "eval_model.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "eval/interval.h"
#include "eval/results.h"

static struct task_list list;
static struct evaluation e;
static const struct score_opts how = { .seed = 1 };

/* Every item answered: of choices, the first with the likelihood of its number. */
static void answer_all(void)
{
    for (int i = 0; i < e.n_task; i++)
        for (int64_t k = 0; k < e.task[i].n; k++) {
            struct request *q;
            struct reply y[8] = { { 0 } };
            char text[] = "to a";
            int n;
            OK(evaluation_requests(&e, i, k, &q, &n, &err));
            for (int j = 0; j < n; j++) {
                y[j] = (struct reply){ .loglik = -1 - (double)(rng_u64((uint64_t)i + 1, (uint64_t)(10 * k + j)) % 100) / 10, .greedy = k % 3 == 0, .n_token = 3 };
                if (q[j].kind == REQUEST_GENERATE)
                    y[j].text = text, y[j].n_text = 4;
            }
            OK(evaluation_take(&e, i, k, y, n, &err));
            mem_free(q);
        }
}

static const struct eval_task *task_named(const char *name)
{
    for (int i = 0; i < e.n_task; i++)
        if (!strcmp(task_name(e.task[i].t), name))
            return &e.task[i];
    fail_msg("no task %s", name);
    return NULL;
}

static struct eval_score score_of(const struct eval_task *x, const char *metric)
{
    struct eval_score s = { 0 };
    for (int m = 0; m < x->n_metric; m++)
        if (!strcmp(x->metric[m].name, metric)) {
            OK(eval_score(x, m, &how, &s, &err));
            return s;
        }
    fail_msg("no metric %s", metric);
    return s;
}

/* The values of a metric that count. */
static int64_t values_of(const struct eval_task *x, const char *metric, double *v)
{
    int64_t n = 0;
    for (int m = 0; m < x->n_metric; m++)
        for (int64_t i = 0; !strcmp(x->metric[m].name, metric) && i < x->n; i++)
            if (!isnan(x->value[i * x->n_metric + m].v))
                v[n++] = x->value[i * x->n_metric + m].v;
    return n;
}

/* sample_stddev / sqrt(n), as lm-evaluation-harness' mean_stderr. */
static double plain_stderr(const double *v, int64_t n)
{
    double mean = 0, square = 0;
    for (int64_t i = 0; i < n; i++)
        mean += v[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        square += (v[i] - mean) * (v[i] - mean);
    return sqrt(square / (double)(n - 1)) / sqrt((double)n);
}

static void a_share_has_wilsons_interval(void **state)
{
    (void)state;
    const struct eval_task *x = task_named("words");
    double v[100], want[2], hits = 0;
    const int64_t n = values_of(x, "acc", v);
    for (int64_t i = 0; i < n; i++)
        hits += v[i];
    const struct eval_score s = score_of(x, "acc");
    OK(interval_wilson((int64_t)hits, n, 0.95, want, &err));
    assert_true(s.by == SCORE_BY_SHARE && s.n_item == n && n == 24 && s.n_cluster == n);
    assert_true(s.ci[0] == want[0] && s.ci[1] == want[1] && fabs(s.value - hits / (double)n) < 1e-15);
    assert_true(fabs(s.se - plain_stderr(v, n)) < 1e-15 && s.se == s.stderr_items);
}

static void items_in_clusters_have_the_error_of_clusters_beside_that_of_items(void **state)
{
    (void)state;
    const struct eval_task *x = task_named("choices");       /* four items a passage; the last has a label that is none, and is wrong */
    double v[100];
    int64_t cluster[100];
    struct interval_mean want;
    const int64_t n = values_of(x, "acc", v);
    for (int64_t i = 0; i < n; i++)
        cluster[i] = i / 4;
    const struct eval_score s = score_of(x, "acc");
    OK(interval_mean(v, NULL, cluster, n, 0.95, &want, &err));
    assert_true(s.by == SCORE_BY_MEAN && s.n_item == n && s.n_cluster == 6);
    assert_true(s.se == want.se && s.ci[0] == want.ci[0] && s.ci[1] == want.ci[1]);
    assert_true(fabs(s.stderr_items - plain_stderr(v, n)) < 1e-15 && s.se != s.stderr_items);
    assert_int_equal(x->counts.n_failed, 1);
}

static void what_is_no_mean_is_drawn_again(void **state)
{
    (void)state;
    static const char *const metric[][2] = { { "words", "perplexity" }, { "texts", "word_perplexity" }, { "texts", "bits_per_byte" }, { "agreement", "f1" }, { "agreement", "mcc" } };
    for (size_t i = 0; i < sizeof metric / sizeof *metric; i++) {
        const struct eval_score s = score_of(task_named(metric[i][0]), metric[i][1]), again = score_of(task_named(metric[i][0]), metric[i][1]);
        if (s.by != SCORE_BY_BOOTSTRAP || !(s.se > 0) || !(s.ci[0] < s.value && s.value < s.ci[1]))
            fail_msg("%s: %g, %g to %g, se %g, by %s", metric[i][1], s.value, s.ci[0], s.ci[1], s.se, score_by_word(s.by));
        assert_memory_equal(&s.se, &again.se, sizeof s.se);
        assert_true(i < 1 || i > 2 ? s.stderr_items == s.se : isnan(s.stderr_items));      /* it has none of the weighted ones */
    }
    /* the delta method: of exp(-mean) it is the value times the error of the mean */
    double v[100];
    const int64_t n = values_of(task_named("words"), "perplexity", v);
    const struct eval_score s = score_of(task_named("words"), "perplexity");
    assert_true(fabs(s.se / (s.value * plain_stderr(v, n)) - 1) < 0.35);
}

static void groups_are_pooled_as_there(void **state)
{
    (void)state;
    struct results r;
    struct group_score by_size, plain;
    OK(results_init(&r, &e, &list, &how, &err));
    assert_int_equal(list.n_group, 1);
    const struct task_group *g = &list.group[0];
    assert_true(g->n_task == 2 && g->n_metric == 1 && results_group(&r, g, 0, "none", &by_size));
    const struct eval_score a = score_of(&e.task[g->task[0]], "acc"), b = score_of(&e.task[g->task[1]], "acc");
    const double na = (double)a.n_item, nb = (double)b.n_item;
    assert_true(fabs(by_size.value - (a.value * na + b.value * nb) / (na + nb)) < 1e-15 && by_size.n_item == a.n_item + b.n_item);
    const double pooled = ((na - 1) * a.stderr_items * a.stderr_items * na + (nb - 1) * b.stderr_items * b.stderr_items * nb) / (na + nb - 2);
    assert_true(fabs(by_size.stderr_items - sqrt(pooled / (na + nb))) < 1e-15);
    const struct eval_score *both[] = { &a, &b };
    plain = eval_group_score(both, 2, false);
    assert_true(fabs(plain.value - (a.value + b.value) / 2) < 1e-15);
    assert_true(fabs(plain.stderr_items - sqrt(a.stderr_items * a.stderr_items + b.stderr_items * b.stderr_items) / 2) < 1e-15);
    results_release(&r);
}

/* The tasks' scores of the golden file: right[i] of n[i] items each. */
static void check_group(const struct eval_score *of, int n, bool by_size, const json_t *want)
{
    const struct eval_score *ptr[64];
    for (int i = 0; i < n; i++)
        ptr[i] = &of[i];
    const struct group_score g = eval_group_score(ptr, n, by_size);
    const struct { const char *key; double got; } v[] = { { "value", g.value }, { "stderr", g.stderr_items }, { "se", g.se }, { "low", g.ci[0] }, { "high", g.ci[1] } };
    for (size_t k = 0; k < sizeof v / sizeof *v; k++) {
        const double x = json_number_value(json_object_get(want, v[k].key));
        if (!(fabs(v[k].got - x) < 1e-12))
            fail_msg("%d tasks %s: %s is %.17g, expected %.17g", n, by_size ? "by size" : "each alike", v[k].key, v[k].got, x);
    }
}

/* tools/golden/bias.py: lm-evaluation-harness' own functions, and limits from SciPy's. */
static void errors_of_groups_are_the_harness_s_and_their_intervals_follow_the_tasks(void **state)
{
    (void)state;
    json_t *all, *c;
    size_t i;
    OK(tree_load(&all, "tests/golden/bias.json", 1 << 20, &err));
    json_array_foreach(json_object_get(all, "task_groups"), i, c) {
        struct eval_score s[64];
        const int n = (int)json_array_size(json_object_get(c, "n"));
        for (int k = 0; k < n; k++) {
            const int64_t items = json_integer_value(json_array_get(json_object_get(c, "n"), (size_t)k)), right = json_integer_value(json_array_get(json_object_get(c, "right"), (size_t)k));
            const double p = (double)right / (double)items, se = sqrt(p * (1 - p) / (double)(items - 1));
            s[k] = (struct eval_score){ .value = p, .stderr_items = se, .se = se, .by = SCORE_BY_SHARE, .n_item = items, .n_cluster = items };
            OK(interval_wilson(right, items, 0.95, s[k].ci, &err));
        }
        check_group(s, n, true, json_object_get(c, "by_size"));
        check_group(s, n, false, json_object_get(c, "mean"));
    }
    assert_int_equal(i, 5);
    json_decref(all);
}

static void a_group_with_a_task_without_an_interval_has_none(void **state)
{
    (void)state;
    const struct eval_score a = { .value = 0.5, .stderr_items = 0.1, .se = 0.1, .ci = { 0.3, 0.7 }, .n_item = 25, .n_cluster = 25 };
    const struct eval_score b = { .value = 1, .stderr_items = NAN, .se = NAN, .ci = { NAN, NAN }, .n_item = 1, .n_cluster = 1 }, *both[] = { &a, &b };
    const struct group_score g = eval_group_score(both, 2, true);
    assert_true(fabs(g.value - 13.5 / 26) < 1e-15 && isnan(g.stderr_items) && isnan(g.se) && isnan(g.ci[0]) && isnan(g.ci[1]));
}

/* As lm-evaluation-harness has it: gold = type(result)(gold), which is str(). */
static void targets_that_are_no_texts_are_compared_as_python_writes_them(void **state)
{
    (void)state;
    static const struct { const char *target, *answer; double v; } cases[] = { { "3.5", "3.5", 1 }, { "3.5", "3.50", 0 }, { "4.0", "4.0", 1 }, { "4.0", "4", 0 }, { "100000.0", "100000.0", 1 },
        { "1e16", "1e+16", 1 }, { "0.00001", "1e-05", 1 }, { "4", "4", 1 }, { "true", "True", 1 }, { "true", "1", 0 }, { "false", "False", 1 }, { "[2.5, true]", "True", 1 }, { "{\"a\": 1}", "{'a': 1}", 0 } };
    const size_t n = sizeof cases / sizeof *cases;
    struct buf b;
    buf_init(&b);
    for (size_t i = 0; i < n; i++)
        OK(buf_printf(&b, &err, "{\"q\": \"what?\", \"v\": %s}\n", cases[i].target));
    OK(file_write_all(in_dir("typed.jsonl"), b.data, b.len, &err));
    buf_release(&b);
    const struct task_opts o = TASK_OPTS;
    struct task *t;
    OK(task_open(&t, task_file("typed", "typed", "output_type: generate_until\ndoc_to_target: v\nmetric_list: [{metric: exact_match}]"), &o, &err));
    for (size_t i = 0; i < n; i++) {
        struct task_value v;
        OK(task_score(t, (int64_t)i, &(struct reply){ .text = (char *)(uintptr_t)cases[i].answer, .n_text = strlen(cases[i].answer) }, 1, &v, &err));
        if (v.v != cases[i].v)
            fail_msg("target %s, answer %s: %g", cases[i].target, cases[i].answer, v.v);
    }
    task_free(t);
}

static bool not_on(void *ctx, double share) { return (void)ctx, (void)share, false; }

/* A score that is drawn for can be stopped; one that is not is not asked. */
static void scores_that_are_drawn_for_are_stopped(void **state)
{
    (void)state;
    int n_stopped = 0, n_done = 0;
    for (int i = 0; i < e.n_task; i++)
        for (int m = 0; m < e.task[i].n_metric; m++) {
            struct eval_score s, whole;
            const int rc = eval_score(&e.task[i], m, &(struct score_opts){ .seed = 1, .goes_on = not_on }, &s, &err);
            OK(eval_score(&e.task[i], m, &how, &whole, &err));
            if (whole.by != SCORE_BY_NONE)
                assert_int_equal(rc, whole.by == SCORE_BY_BOOTSTRAP ? ERR_STOPPED : 0);
            n_stopped += rc != 0, n_done += !rc;
        }
    assert_true(n_stopped && n_done);
}

/* All right, in clusters: t has no width, and of nearly all it would go beyond 1. */
static void a_share_of_clusters_stays_within_0_and_1_and_has_a_width(void **state)
{
    (void)state;
    double ci[2];
    struct eval_score s;
    struct eval_task *x = &e.task[0];
    const struct task_value kept = x->value[0];
    double before[64];
    assert_true(x->n <= 64 && x->n_metric == 2);
    for (int64_t i = 0; i < x->n; i++)
        before[i] = x->value[i * 2].v, x->value[i * 2].v = 1;
    OK(eval_score(x, 0, &how, &s, &err));
    OK(interval_wilson(s.n_cluster, s.n_cluster, SCORE_LEVEL, ci, &err));
    assert_true(s.n_cluster > 1 && s.n_cluster < s.n_item && s.by == SCORE_BY_SHARE && s.value == 1 && s.ci[0] == ci[0] && s.ci[1] == 1);
    x->value[0].v = 0;
    OK(eval_score(x, 0, &how, &s, &err));
    assert_true(s.by == SCORE_BY_MEAN && s.ci[0] < s.value && s.ci[1] == 1);
    for (int64_t i = 0; i < x->n; i++)
        x->value[i * 2].v = before[i];
    x->value[0] = kept;
}

static void changes_of_generation_are_read(void **state)
{
    (void)state;
    struct eval_generation g;
    OK(eval_generation_read(&g, "temperature=0.25,max_gen_toks=7,top_k=3", &err));
    assert_true(g.has_temperature && g.temperature == 0.25 && g.max_tokens == 7 && g.top_k == 3 && !g.has_top_p);
    OK(eval_generation_read(&g, "do_sample=False", &err));
    assert_true(g.has_sample && !g.sample);
    OK(eval_generation_read(&g, "", &err));
    static const char *const wrong[] = { "temperature", "temperature=", "temperature=x", "top_p=2", "max_gen_toks=0", "do_sample=maybe", "beams=2", "=1", "temperature=nan" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (eval_generation_read(&g, wrong[i], &err) != ERR_USAGE)
            fail_msg("'%s' was taken", wrong[i]);
}

/* do_sample says what it says in a task's file, wherever it stands. */
static void what_is_drawn_follows_do_sample(void **state)
{
    (void)state;
    static const struct { const char *said; double temperature; } cases[] = { { "do_sample=true", 1 }, { "do_sample=true,temperature=0.5", 0.5 }, { "temperature=0.5,do_sample=True", 0.5 },
        { "do_sample=false,temperature=0.7", 0 }, { "temperature=0.7,do_sample=False", 0 }, { "temperature=0.7", 0.7 }, { "top_k=3", 0 } };
    write_docs("docs", 4);
    const char *file = task_file("greedy", "docs", "output_type: generate_until\ndoc_to_target: q\ngeneration_kwargs: {until: [\"\\n\"], max_gen_toks: 6}\nmetric_list: [{metric: exact_match}]");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct task_list l = { 0 };
        const struct task_opts o = TASK_OPTS;
        struct evaluation drawn;
        struct request *q;
        int n;
        OK(task_list_add(&l, file, &o, &err));
        OK(evaluation_init(&drawn, &l, &err));
        OK(eval_generation_read(&drawn.generation, cases[i].said, &err));
        OK(evaluation_requests(&drawn, 0, 0, &q, &n, &err));
        if (q[0].generation->temperature != cases[i].temperature)
            fail_msg("%s: temperature %g, expected %g", cases[i].said, q[0].generation->temperature, cases[i].temperature);
        mem_free(q);
        evaluation_release(&drawn);
        task_list_release(&l);
    }
}

static int set_up(void **state)
{
    if (make_dir(state))
        return -1;
    write_docs("docs", 24);
    const char *dir = test_dir;
    struct task_opts o = TASK_OPTS;
    o.task_dir = &dir, o.n_task_dir = 1;
    task_file("choices", "docs", CHOICES);
    task_file("words", "docs", WORDS);
    static const char both[] = "group: both\ntask: [choices, words]\naggregate_metric_list: [{metric: acc, aggregation: mean, weight_by_size: true}]\n";
    OK(file_write_all(in_dir("both.yaml"), both, sizeof both - 1, &err));
    OK(task_list_add(&list, in_dir("both.yaml"), &o, &err));
    OK(task_list_add(&list, task_file("texts", "docs", TEXTS), &o, &err));
    OK(task_list_add(&list, task_file("agreement", "docs", "output_type: multiple_choice\ndoc_to_choice: [\"no\", \"yes\"]\ndoc_to_target: \"{{p % 2}}\"\nmetric_list: [{metric: f1}, {metric: mcc}]"), &o, &err));
    OK(evaluation_init(&e, &list, &err));
    answer_all();
    return 0;
}

static int tear_down(void **state)
{
    evaluation_release(&e);
    task_list_release(&list);
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_has_wilsons_interval),
        cmocka_unit_test(items_in_clusters_have_the_error_of_clusters_beside_that_of_items),
        cmocka_unit_test(what_is_no_mean_is_drawn_again),
        cmocka_unit_test(groups_are_pooled_as_there),
        cmocka_unit_test(errors_of_groups_are_the_harness_s_and_their_intervals_follow_the_tasks),
        cmocka_unit_test(a_group_with_a_task_without_an_interval_has_none),
        cmocka_unit_test(targets_that_are_no_texts_are_compared_as_python_writes_them),
        cmocka_unit_test(scores_that_are_drawn_for_are_stopped),
        cmocka_unit_test(a_share_of_clusters_stays_within_0_and_1_and_has_a_width),
        cmocka_unit_test(changes_of_generation_are_read),
        cmocka_unit_test(what_is_drawn_follows_do_sample),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
