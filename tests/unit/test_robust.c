/* test_robust.c - tasks in other forms: what may change and what never does, and what is found in the answers. */
#include <jansson.h>
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/tree.h"
#include "eval/compare.h"
#include "eval/evidence.h"
#include "eval/robust.h"

static struct err err;
static json_t *golden;

/* ---- tasks ---- */

static const char letters[] = "output_type: multiple_choice\nfewshot_split: test\nfewshot_config: {sampler: first_n}\ndoc_to_text: \"Question: {{question}}\\nA. {{choices[0]}}\\nB. {{choices[1]}}\\nC. "
                              "{{choices[2]}}\\nD. {{choices[3]}}\\nAnswer:\"\ndoc_to_choice: [A, B, C, D]\ndoc_to_target: answer\nmetric_list: [{metric: acc}, {metric: brier_score, aggregation: brier_score}]\n";

/* A task over a file of 60 documents in the test's folder. */
static const char *task_of(const char *name, const char *rest)
{
    char text[3000], *path = in_dir(name);
    const int n = snprintf(text, sizeof text, "task: %s\ndataset_path: json\ndataset_kwargs: {data_files: {test: %s/docs.jsonl}}\ntest_split: test\n%s", name, test_dir, rest);
    strcat(path, ".yaml");
    OK(file_write_all(path, text, (size_t)n, &err));
    return path;
}

static void write_docs(void)
{
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < 60; i++)
        OK(buf_printf(&b, &err, "{\"question\": \"Which word, number %d, does not belong in this Garden of familiar words?\", \"choices\": [\"an apple %d\", \"the pear %d\", \"some plum %d\", \"nothing %d\"], "
                      "\"answer\": %d, \"option_text\": \"Is it there?\\n(A) it is here\\n(B) nobody knows\\n\", \"passage\": \"She could not have opened the heavy door %d\"}\n",
                      i, i, i, i, i, (int)json_integer_value(json_array_get(json_object_get(golden, "gold"), (size_t)i)), i));
    OK(file_write_all(in_dir("docs.jsonl"), b.data, b.len, &err));
    buf_release(&b);
}

struct opened { struct task_list list; struct robust r; struct task_opts o; };

static void open_with(struct opened *x, const char *path, const struct robust_opts *how, int n_shot)
{
    *x = (struct opened){ .o = TASK_OPTS };
    x->o.num_fewshot = n_shot;
    OK(task_list_add(&x->list, path, &x->o, &err));
    OK(robust_open(&x->r, &x->list, how, &x->o, &err));
}

static void open_robust(struct opened *x, const char *path, const char *families, const char *strengths, int n_shot)
{
    struct robust_opts how = { .seed = 7 };
    OK(robust_families_read(&how, families, &err));
    OK(robust_strengths_read(&how, strengths, &err));
    open_with(x, path, &how, n_shot);
}

static void close_robust(struct opened *x)
{
    robust_release(&x->r);
    task_list_release(&x->list);
}

static const struct request *request_of(const struct task *t, int64_t item, int k)
{
    const struct request *q;
    if (task_requests(t, item, &q, &err) <= k)
        fail_msg("%s", err.msg);
    return &q[k];
}

static bool has(const struct request *q, const char *s) { return memmem(q->context, q->n_context, s, strlen(s)); }
static bool ends(const struct request *q, const char *s) { return q->n_context >= strlen(s) && !memcmp(q->context + q->n_context - strlen(s), s, strlen(s)); }
static bool is(const struct request *q, const char *s) { return q->n_continuation == strlen(s) && !memcmp(q->continuation, s, strlen(s)); }

static const struct robust_absent *absent(const struct robust *r, const char *family)
{
    for (int i = 0; i < r->n_absent; i++)
        if (!strcmp(r->absent[i].family, family))
            return &r->absent[i];
    return NULL;
}

/* ---- what changes ---- */

static void only_the_documents_text_changes(void **state)
{
    (void)state;
    struct opened x;
    open_robust(&x, task_of("letters", letters), "text", "1,2,3,4,5", 2);
    assert_true(x.r.n_variant >= 13 * 5);
    for (int k = 0; k < x.r.n_variant; k++) {
        const struct task *t = x.r.list.task[x.r.variant[k].i_task];
        for (int64_t i = 0; i < 60; i++) {
            const struct request *q = request_of(t, i, 0), *p = request_of(x.list.task[0], i, 0);
            size_t last = p->n_context;                   /* of the question itself: examples stand before it */
            while (strncmp(p->context + last - 10, "Question: ", 10))
                last--;
            assert_memory_equal(q->context, p->context, last);
            assert_true(has(q, "\nA. ") && has(q, "\nB. ") && has(q, "\nC. ") && has(q, "\nD. ") && ends(q, "\nAnswer:"));
            for (int c = 0; c < 4; c++)
                assert_true(is(request_of(t, i, c), (const char *[]){ " A", " B", " C", " D" }[c]));
            assert_int_equal(task_gold(t, i), task_gold(x.list.task[0], i));
        }
    }
    json_t *fields = task_text_fields(x.list.task[0]);
    char *s = json_dumps(fields, 0);
    assert_string_equal(s, "[\"question\", \"choices\"]");
    free(s), json_decref(fields);
    close_robust(&x);
}

static void labels_of_options_in_the_document_stay_and_so_does_a_target_of_the_same_field(void **state)
{
    (void)state;
    struct opened x;
    open_robust(&x, task_of("inside", "output_type: generate_until\ndoc_to_text: option_text\ndoc_to_target: \"(A)\"\nmetric_list: [{metric: exact_match}]\n"), "text", "5", 0);
    for (int k = 0; k < x.r.n_variant; k++)
        assert_true(has(request_of(x.r.list.task[x.r.variant[k].i_task], 3, 0), "\n(A) ") && has(request_of(x.r.list.task[x.r.variant[k].i_task], 3, 0), "\n(B) "));
    close_robust(&x);
    open_robust(&x, task_of("last", "output_type: loglikelihood\ndoc_to_text: \"{{passage.split(' ')[:-1]|join(' ')}}\"\ndoc_to_target: \"{{' ' + passage.split(' ')[-1]}}\"\nmetric_list: [{metric: acc}]\n"),
                "text", "5", 0);
    assert_true(x.r.n_variant > 8);
    for (int k = 0; k < x.r.n_variant; k++)
        assert_true(is(request_of(x.r.list.task[x.r.variant[k].i_task], 12, 0), " 12"));
    close_robust(&x);
}

static void the_same_seed_changes_the_same_and_another_one_otherwise(void **state)
{
    (void)state;
    struct opened x, y, z;
    struct robust_opts how = { .seed = 8, .strength = { [4] = true }, .family = { [PERTURB_KEYBOARD] = true } };
    const char *path = task_of("seeded", letters);
    open_robust(&x, path, "keyboard", "5", 0);
    open_robust(&y, path, "keyboard", "5", 0);
    open_with(&z, path, &how, 0);
    int other = 0;
    for (int64_t i = 0; i < 60; i++) {
        const struct request *p = request_of(x.r.list.task[1], i, 0), *q = request_of(y.r.list.task[1], i, 0), *w = request_of(z.r.list.task[1], i, 0);
        assert_true(p->n_context == q->n_context && !memcmp(p->context, q->context, p->n_context));
        other += p->n_context != w->n_context || memcmp(p->context, w->context, p->n_context);
    }
    assert_true(other > 50);
    close_robust(&x), close_robust(&y), close_robust(&z);
}

static void forms_change_the_tasks_own_words_and_the_right_answer_with_them(void **state)
{
    (void)state;
    struct opened x;
    open_robust(&x, task_of("forms", letters), "format", "1", 2);
    assert_int_equal(x.r.n_variant, 15);
    for (int k = 0; k < x.r.n_variant; k++) {
        const struct robust_variant *v = &x.r.variant[k];
        const struct task *t = x.r.list.task[v->i_task], *base = x.list.task[0];
        const struct request *q = request_of(t, 5, 0), *p = request_of(base, 5, 0);
        const char *form = v->form;
        if (!strcmp(form, "1-4"))
            assert_true(has(q, "\n1. an apple 5\n2. the pear 5") && !has(q, "\nA. ") && is(q, " 1") && is(request_of(t, 5, 3), " 4") && has(q, "Answer: "));
        if (!strcmp(form, "i-iv"))
            assert_true(has(q, "\niv. nothing 0\nAnswer: ") && has(q, "\niv. nothing 5\nAnswer:"));       /* an example, too */
        if (!strcmp(form, "(A)"))
            assert_true(has(q, "\n(A) an apple 5\n(B) the") && is(q, " A"));
        if (!strcmp(form, "A)"))
            assert_true(has(q, "\nA) an apple 5\nB) the"));
        if (!strcmp(form, "one-line"))
            assert_true(has(q, "words? A. an apple 5 B. the pear 5") && ends(q, " Answer:") && has(q, "\n\nQuestion: "));      /* between examples it stays */
        if (!strcmp(form, "blank-lines"))
            assert_true(has(q, "words?\n\nA. an apple 5\n\nB."));
        if (!strcmp(form, "no-blanks"))
            assert_true(has(q, "Question:Which word"));
        if (!strcmp(v->family, "examples"))
            assert_true(has(q, "an apple 0") && has(q, "an apple 1") && (q->n_context == p->n_context && memcmp(q->context, p->context, p->n_context)));
        int of[4];
        task_option_order(t, 5, of);
        bool same = true;
        for (int c = 0; c < 4; c++)
            same = same && of[c] == c;
        assert_int_equal(same, strcmp(v->family, "options") != 0);
        assert_int_equal(of[task_gold(t, 5)], task_gold(base, 5));
        if (!same) {
            char line[40];
            static const char *const what[] = { "an apple 5", "the pear 5", "some plum 5", "nothing 5" };
            snprintf(line, sizeof line, "\nB. %s\n", what[of[1]]);
            assert_true(has(q, line));
        }
    }
    close_robust(&x);
}

static void what_does_not_apply_says_why(void **state)
{
    (void)state;
    struct opened x;
    open_robust(&x, task_of("whole", "output_type: loglikelihood_rolling\ndoc_to_text: \"\"\ndoc_to_target: passage\nmetric_list: [{metric: word_perplexity}]\n"), "all", "1", 0);
    assert_int_equal(x.r.n_variant, 0);
    assert_int_equal(x.r.n_absent, N_PERTURB_FAMILY + N_ROBUST_FORM);
    assert_non_null(strstr(absent(&x.r, "keyboard")->why.msg, "no question"));
    close_robust(&x);
    open_robust(&x, task_of("pairs", "output_type: multiple_choice\ndoc_to_text: \"\"\ndoc_to_target: answer\ndoc_to_choice: choices\nmetric_list: [{metric: acc}]\n"), "all", "1", 1);
    assert_int_equal(x.r.n_variant, 0);
    assert_non_null(strstr(absent(&x.r, "drop")->why.msg, "no question has a place"));
    assert_non_null(strstr(absent(&x.r, "options")->why.msg, "letters"));
    assert_non_null(strstr(absent(&x.r, "examples")->why.msg, "no two examples"));
    close_robust(&x);
    open_robust(&x, task_of("small", "output_type: generate_until\ndoc_to_text: \"Name: {{choices[0]}}\"\ndoc_to_target: answer\nmetric_list: [{metric: exact_match}]\n"), "contraction,lower,drop", "1", 0);
    assert_non_null(strstr(absent(&x.r, "contraction")->why.msg, "no question has a place"));
    assert_non_null(absent(&x.r, "lower"));      /* Name: is the task's */
    assert_null(absent(&x.r, "drop"));
    close_robust(&x);
}

static void names_that_are_not_known_are_told_with_those_that_are(void **state)
{
    (void)state;
    struct robust_opts o = { .seed = 0 };
    assert_int_equal(robust_families_read(&o, "keyboard,keybord", &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "'keybord'"));
    assert_non_null(strstr(err.msg, "word-swap"));
    assert_int_equal(robust_families_read(&o, "", &err), ERR_USAGE);
    static const char *const bad[] = { "", "0", "6", "1,", "1,,2", "12", "1;2" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(robust_strengths_read(&o, bad[i], &err), ERR_USAGE);
    OK(robust_strengths_read(&o, "5,1", &err));
    assert_true(o.strength[0] && o.strength[4]);
}

/* ---- paraphrases ---- */

static void paraphrases_stand_for_whole_texts_of_the_document(void **state)
{
    (void)state;
    static const char lines[] = "{\"text\": \"an apple 5\", \"paraphrase\": \"one fruit\"}\n\n{\"text\": \"an apple 5\", \"paraphrase\": \"one pome\"}\r\n{\"text\": \"apple\", \"paraphrase\": \"no\"}\n";
    struct robust_opts how = { .seed = 1 };
    struct paraphrases *p;
    struct opened x;
    OK(paraphrases_parse(&p, lines, sizeof lines - 1, "p", &err));
    assert_int_equal(paraphrases_n_form(p), 2);
    how.paraphrases = p;
    open_with(&x, task_of("said", letters), &how, 0);
    assert_int_equal(x.r.n_variant, 2);
    assert_int_equal(x.r.variant[0].n_same, 59);
    assert_true(has(request_of(x.r.list.task[1], 5, 0), "\nA. one fruit\nB. the pear 5"));
    assert_true(has(request_of(x.r.list.task[2], 5, 0), "\nA. one pome\nB. the pear 5"));
    close_robust(&x);
    paraphrases_free(p);
    static const char *const bad[][2] = { { "{\"text\": \"a\"}", "p:1" }, { "\n[]", "p:2" }, { "", "no paraphrase" }, { "{\"text\": 1, \"paraphrase\": \"b\"}", "p:1" }, { "no", "p:1" } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_true(paraphrases_parse(&p, bad[i][0], strlen(bad[i][0]), "p", &err) < 0);
        assert_non_null(strstr(err.msg, bad[i][1]));
    }
}

/* ---- what is found ---- */

static double number(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static void near(const json_t *got, const json_t *want, const char *key, double tolerance)
{
    const json_t *a = json_object_get(got, key), *b = json_object_get(want, key);
    for (size_t i = 0; i < (json_is_array(b) ? 2 : 1); i++) {
        const double x = json_number_value(json_is_array(b) ? json_array_get(a, i) : a), y = json_number_value(json_is_array(b) ? json_array_get(b, i) : b);
        if (!a || fabs(x - y) > tolerance)
            fail_msg("%s: %.12g, expected %.12g", key, x, y);
    }
}

static bool is_missing(int form, int64_t i)
{
    size_t k;
    json_t *m;
    json_array_foreach(json_object_get(golden, "missing"), k, m)
        if (json_integer_value(json_array_get(m, 0)) == form && json_integer_value(json_array_get(m, 1)) == i)
            return true;
    return false;
}

static void answer(struct evaluation *e, int task, int form)
{
    for (int64_t i = 0; i < 60; i++) {
        struct reply y[4] = { 0 };
        int of[4];
        task_option_order(e->task[task].t, i, of);
        const json_t *row = json_array_get(json_array_get(json_object_get(golden, "loglik"), (size_t)form), (size_t)i);
        for (int k = 0; k < 4; k++)
            y[k] = (struct reply){ .loglik = json_number_value(json_array_get(row, (size_t)of[k])), .n_token = 1 };
        if (form && is_missing(form - 1, i))
            y[2].error = (char *)(uintptr_t)"the model fell asleep";
        OK(evaluation_take(e, task, i, y, 4, &err));
    }
}

static void figures_are_those_of_an_independent_computation(void **state)
{
    (void)state;
    struct opened x;
    struct evaluation e;
    struct pool *pool;
    json_t *found;
    OK(pool_new(&pool, 2, &err));
    open_robust(&x, task_of("scored", letters), "keyboard,options", "1,3,5", 0);
    assert_int_equal(x.r.n_variant, 6);
    OK(evaluation_init(&e, &x.r.list, &err));
    answer(&e, 0, 0);
    for (int k = 0; k < 6; k++)
        answer(&e, x.r.variant[k].i_task, k + 1);
    OK(evidence_new(&found, "robustness", NULL, NULL, 1, &err));
    OK(robust_report(found, &x.r, &e, pool, &err));
    const json_t *task = json_array_get(json_object_get(found, "tasks"), 0), *acc = json_object_get(json_object_get(task, "metrics"), "acc");
    near(json_object_get(acc, "clean"), json_object_get(golden, "clean"), "value", 1e-12);
    near(json_object_get(acc, "clean"), json_object_get(golden, "clean"), "ci95", 1e-9);
    near(json_object_get(acc, "worst_case"), json_object_get(golden, "worst_case"), "value", 1e-12);
    near(json_object_get(acc, "worst_case"), json_object_get(golden, "worst_case"), "ci95", 1e-9);
    near(json_object_get(acc, "worst"), json_object_get(golden, "worst"), "value", 1e-12);
    near(json_object_get(acc, "worst"), json_object_get(golden, "worst"), "simultaneous_ci95", 1e-9);
    for (size_t k = 0; k < 6; k++) {
        const json_t *v = json_array_get(json_object_get(task, "variants"), k), *m = json_object_get(json_object_get(v, "metrics"), "acc");
        const json_t *want = json_array_get(json_object_get(golden, "variants"), k);
        static const char *const exact[] = { "n", "value", "broken", "mended", "change", "flip_rate", "retention", "p_mcnemar", "p_holm" };
        for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
            near(m, want, exact[i], 1e-12);
        near(m, want, "ci95", 1e-9), near(m, want, "flip_ci95", 1e-9), near(m, want, "change_ci95", 1e-6);
        near(m, want, "retention_ci95", 0.03);            /* of other draws: 10,000 leave about a hundredth open */
        near(v, want, "kl", 1e-9), near(v, want, "kl_ci95", 1e-9);
        assert_true(number(json_object_get(v, "items"), "failed") == 60 - number(want, "n"));
    }
    const json_t *brier = json_object_get(json_object_get(json_array_get(json_object_get(task, "variants"), 5), "metrics"), "brier_score");
    assert_true(!json_object_get(brier, "flip_rate") && number(brier, "change") != 0 && json_array_size(json_object_get(brier, "change_ci95")) == 2);
    const json_t *first = json_object_get(json_object_get(json_array_get(json_object_get(task, "variants"), 0), "metrics"), "acc");
    assert_true(json_is_null(json_object_get(first, "p_clusters")) && number(first, "broken") + number(first, "mended") > 0);
    const json_t *example = json_array_get(json_object_get(found, "examples"), 0);
    assert_string_equal(json_string_value(json_object_get(example, "family")), "keyboard");
    assert_non_null(strstr(json_string_value(json_object_get(example, "text")), "Garden"));
    assert_string_not_equal(json_string_value(json_object_get(example, "text")), json_string_value(json_object_get(example, "changed")));
    assert_true(json_array_size(json_object_get(found, "figures")) > 40 && json_is_true(json_object_get(found, "complete")));
    json_decref(found);
    evaluation_release(&e);
    close_robust(&x);
    pool_free(pool);
}

static void what_asks_the_same_is_answered_by_the_same(void **state)
{
    (void)state;
    struct opened x;
    struct evaluation e;
    open_robust(&x, task_of("twins", letters), "lower", "1,3", 0);      /* two capitals: both strengths change one word */
    assert_int_equal(x.r.n_variant, 2);
    OK(evaluation_init(&e, &x.r.list, &err));
    for (int64_t i = 0; i < 60; i++) {
        const struct reply y[4] = { { .loglik = -1 }, { .loglik = -2 }, { .loglik = -3 }, { .loglik = -4 } };
        assert_int_equal(x.r.variant[1].twin[i], x.r.variant[0].i_task);
        OK(evaluation_take(&e, 1, i, y, 4, &err));
        OK(robust_took(&x.r, &e, 1, i, &err));
        assert_int_equal(e.task[2].item[i].state, EVAL_SCORED);
        assert_int_equal(e.task[0].item[i].state, EVAL_OPEN);
    }
    evaluation_release(&e);
    close_robust(&x);
}

static int set_up(void **state)
{
    if (make_dir(state))
        return -1;
    OK(tree_load(&golden, "tests/golden/robust.json", 1 << 20, &err));
    write_docs();
    return 0;
}

static int tear_down(void **state)
{
    json_decref(golden);
    return remove_dir(state);
}

/* Each item in a cluster with all that have its answer: McNemar's test and Wilson's interval are of single items. */
static void of_clusters_p_and_flips_are_theirs(void **state)
{
    (void)state;
    struct opened x;
    struct evaluation e;
    struct pool *pool;
    struct interval_mean p, flips;
    json_t *found;
    char text[3000];
    OK(pool_new(&pool, 1, &err));
    snprintf(text, sizeof text, "%s\nmetadata: {version: 1.0, cluster: answer}", letters);
    open_robust(&x, task_of("clustered", text), "keyboard", "5", 0);
    OK(evaluation_init(&e, &x.r.list, &err));
    answer(&e, 0, 0);
    answer(&e, x.r.variant[0].i_task, 1);
    OK(evidence_new(&found, "robustness", NULL, NULL, 1, &err));
    OK(robust_report(found, &x.r, &e, pool, &err));
    const json_t *task = json_array_get(json_object_get(found, "tasks"), 0), *m = json_object_get(json_object_get(json_array_get(json_object_get(task, "variants"), 0), "metrics"), "acc");
    double d[60], f[60];
    int64_t cluster[60], n = 0;
    const struct eval_task *a = &e.task[0], *b = &e.task[x.r.variant[0].i_task];
    for (int64_t i = 0; i < a->n; i++)
        if (!isnan(a->value[i * a->n_metric].v) && !isnan(b->value[i * b->n_metric].v)) {
            d[n] = b->value[i * b->n_metric].v - a->value[i * a->n_metric].v, f[n] = fabs(d[n]);
            cluster[n++] = task_cluster(a->t, i);
        }
    OK(interval_mean(d, NULL, cluster, n, 0.95, &p, &err));
    OK(interval_share(f, cluster, n, 0.95, &flips, &err));
    assert_true(p.n_cluster == 4 && p.se > 0 && json_is_null(json_object_get(m, "p_mcnemar")));
    assert_true(fabs(number(m, "p_clusters") - compare_p(&p)) < 1e-15 && fabs(number(m, "p_holm") - compare_p(&p)) < 1e-15);
    const json_t *ci = json_object_get(m, "flip_ci95");
    assert_true(json_number_value(json_array_get(ci, 0)) == flips.ci[0] && json_number_value(json_array_get(ci, 1)) == flips.ci[1]);
    json_decref(found);
    evaluation_release(&e);
    close_robust(&x);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_documents_text_changes),
        cmocka_unit_test(labels_of_options_in_the_document_stay_and_so_does_a_target_of_the_same_field),
        cmocka_unit_test(the_same_seed_changes_the_same_and_another_one_otherwise),
        cmocka_unit_test(forms_change_the_tasks_own_words_and_the_right_answer_with_them),
        cmocka_unit_test(what_does_not_apply_says_why),
        cmocka_unit_test(names_that_are_not_known_are_told_with_those_that_are),
        cmocka_unit_test(paraphrases_stand_for_whole_texts_of_the_document),
        cmocka_unit_test(figures_are_those_of_an_independent_computation),
        cmocka_unit_test(what_asks_the_same_is_answered_by_the_same),
        cmocka_unit_test(of_clusters_p_and_flips_are_theirs),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
