/* test_token_trial.c - attacks on tokens of models: what is changed and what is not, what is counted, the same with any threads. */
#include <math.h>
#include "base/mem.h"
#include "attack_models.h"
#include "infer/classify.h"

static struct pool *pools[2];      /* 1, 2 threads */

static int set_up(void **state)
{
    return make_dir(state) || pool_new(&pools[0], 1, &err) || pool_new(&pools[1], 2, &err);
}

static int tear_down(void **state)
{
    pool_free(pools[0]);
    pool_free(pools[1]);
    return remove_dir(state);
}

static json_t *new_evidence(void)
{
    json_t *e;
    OK(evidence_new(&e, "attacks", "m", NULL, 1, &err));
    json_object_del(e, "date");
    return e;
}

static int64_t number(const json_t *attack, const char *key) { return (int64_t)json_number_value(json_object_get(attack, key)); }

/* Rows of `attacks` add up, and figures are what they say. */
static void adds_up(const json_t *evidence, size_t i_attack, int64_t n)
{
    const json_t *a = json_array_get(json_object_get(evidence, "attacks"), i_attack);
    assert_int_equal(number(a, "n"), n);
    assert_int_equal(number(a, "already") + number(a, "fooled") + number(a, "kept") + number(a, "n_unfit"), n);
    assert_int_equal(json_array_size(json_object_get(a, "items")), n);
    assert_true(json_is_true(json_object_get(a, "complete")));
    json_t *f;
    size_t i;
    json_array_foreach(json_object_get(evidence, "figures"), i, f)
        if (!strcmp(json_string_value(json_object_get(f, "name")), "attack_success_rate")) {
            assert_int_equal(number(f, "n"), number(a, "fooled") + number(a, "kept"));
            if (number(f, "n"))
                assert_true(fabs(json_number_value(json_object_get(f, "value")) - (double)number(a, "fooled") / (double)number(f, "n")) < 1e-12);
        }
}

static bool same(const json_t *a, const json_t *b) { return json_equal(a, b); }

/* ---- choices of tasks ---- */

static void flips_change_the_documents_text_alone_and_are_the_same_with_any_threads_and_batch(void **state)
{
    (void)state;
    char model[1000];
    strcpy(model, model_with("tokenizer"));
    json_t *first = NULL, *x;
    write_docs("docs", 25);
    for (int way = 0; way < 3; way++) {
        struct task_list l = { 0 };
        struct task_opts to = TASK_OPTS;
        struct run *r;
        struct token_trial o = TOKEN_TRIAL;
        size_t i;
        json_t *e = new_evidence();
        o.model = model, o.pool = pools[way == 1], o.batch = 12;
        OK(task_list_add(&l, task_file("choice", "docs", "description: \"the old mill: \"\n" CHOICES), &to, &err));
        OK(run_open(&r, &(struct run_opts){ .model = model, .batch = way == 2 ? 3 : 64 }, &err));
        OK(token_trial_tasks(e, r, &l, &o, &err));
        adds_up(e, 0, 25);
        const json_t *a = json_array_get(json_object_get(e, "attacks"), 0);
        assert_int_equal(number(a, "n_unfit"), 1);                  /* a label that is none */
        assert_true(number(a, "fooled") > 0);
        json_array_foreach(json_object_get(e, "examples"), i, x) {
            const char *before = json_string_value(json_object_get(x, "before")), *after = json_string_value(json_object_get(x, "after"));
            assert_true(number(x, "tokens_changed") <= 3);
            assert_int_equal(json_is_true(json_object_get(x, "fooled")) && !strcmp(before, after), 0);
            assert_true(!strncmp(after, "the old mill:", 13));
        }
        assert_true(!first || same(first, e));
        if (way)
            json_decref(e);
        else
            first = e;
        run_close(r);
        task_list_release(&l);
    }
    json_decref(first);
}

static void items_that_cannot_be_attacked_are_counted_with_the_reason(void **state)
{
    (void)state;
    char model[1000];
    strcpy(model, model_with("tokenizer"));
    struct task_list l = { 0 };
    struct task_opts to = TASK_OPTS;
    struct token_trial o = TOKEN_TRIAL;
    struct run *r;
    json_t *e = new_evidence();
    o.model = model, o.pool = pools[0];
    write_docs("docs", 1);
    OK(task_list_add(&l, task_file("none", "docs", CHOICES), &to, &err));
    OK(run_open(&r, &(struct run_opts){ .model = model }, &err));
    assert_int_equal(token_trial_tasks(e, r, &l, &o, &err), ERR_UNSUPPORTED);      /* none can be */
    task_list_release(&l);
    l = (struct task_list){ 0 };
    OK(task_list_add(&l, task_file("texts", "docs", TEXTS), &to, &err));
    assert_int_equal(token_trial_tasks(e, r, &l, &o, &err), ERR_UNSUPPORTED);      /* no choices */
    run_close(r);
    task_list_release(&l);
    json_decref(e);
}

static void an_item_that_is_too_long_stops_no_other(void **state)
{
    (void)state;
    char model[1000], longer[600] = "";
    strcpy(model, model_with("tokenizer"));
    json_t *first = NULL;
    for (int i = 0; i < 60; i++)
        strcat(longer, "the mat ");
    for (int way = 0; way < 2; way++) {
        struct task_list l = { 0 };
        struct task_opts to = TASK_OPTS;
        struct token_trial o = TOKEN_TRIAL;
        struct run *r;
        struct buf b;
        json_t *e = new_evidence();
        buf_init(&b);
        for (int i = 0; i < 6; i++)
            OK(buf_printf(&b, &err, "{\"q\": \"%s\", \"c\": [\"the cat\", \"a ham\", \"the dog ran\"], \"y\": %d, \"p\": 0}\n", way && i == 2 ?
                          longer : "the old mill and the man", i % 3));
        OK(file_write_all(in_dir("mixed.jsonl"), b.data, b.len, &err));
        buf_release(&b);
        o.model = model, o.pool = pools[0], o.batch = 8;
        OK(task_list_add(&l, task_file("mixed", "mixed", CHOICES), &to, &err));
        OK(run_open(&r, &(struct run_opts){ .model = model, .max_length = 24 }, &err));
        OK(token_trial_tasks(e, r, &l, &o, &err));
        adds_up(e, 0, 6);
        const json_t *a = json_array_get(json_object_get(e, "attacks"), 0);
        assert_int_equal(number(a, "n_unfit"), way);
        for (size_t i = 0; way && i < 6; i++)
            if (i != 2)
                assert_true(json_equal(json_array_get(json_object_get(a, "items"), i), json_array_get(json_object_get(json_array_get(json_object_get(first,
                        "attacks"), 0), "items"), i)));
        if (way)
            json_decref(e);
        else
            first = e;
        run_close(r);
        task_list_release(&l);
    }
    json_decref(first);
}

/* ---- targets ---- */

static void a_suffix_is_sought_behind_each_prompt_and_nothing_else_changes(void **state)
{
    (void)state;
    static const char text[] = "{\"prompt\": \"the cat sat on\", \"target\": \"a mat\"}\n{\"prompt\": \"the dog\"}\n{\"prompt\": \"the man\", \"target\": \"ran\"}";
    char model[1000];
    strcpy(model, model_with("tokenizer"));
    json_t *first = NULL, *x;
    for (int way = 0; way < 2; way++) {
        struct prompts p = { 0 };
        struct token_trial o = TOKEN_TRIAL;
        struct run *r;
        size_t i;
        json_t *e = new_evidence();
        o.model = model, o.pool = pools[way], o.suffix = 4, o.steps = 12, o.batch = 16, o.top_k = 16, o.seed = 3;
        OK(prompts_parse(&p, text, sizeof text - 1, "p", &err));
        OK(run_open(&r, &(struct run_opts){ .model = model }, &err));
        OK(token_trial_targets(e, r, NULL, NULL, &p, &o, &err));
        adds_up(e, 0, 3);
        assert_int_equal(number(json_array_get(json_object_get(e, "attacks"), 0), "n_unfit"), 1);      /* one has no target */
        json_array_foreach(json_object_get(e, "examples"), i, x) {
            const char *after = json_string_value(json_object_get(x, "after"));
            assert_true(!strncmp(after, number(x, "item") ? "the man" : "the cat sat on", number(x, "item") ? 7 : 14));
            assert_true(json_number_value(json_object_get(x, "score_after")) >= json_number_value(json_object_get(x, "score_before")));
        }
        assert_true(!first || same(first, e));
        if (way)
            json_decref(e);
        else
            first = e;
        run_close(r);
        prompts_release(&p);
    }
    json_decref(first);
}

/* ---- a model with classes ---- */

static int predicted(struct classifier *c, const char *text, size_t n)
{
    float probs[8];
    int best = 0;
    OK(classifier_text(c, text, n, probs, &err));
    for (int k = 1; k < classifier_labels(c)->n; k++)
        best = probs[k] > probs[best] ? k : best;
    return best;
}

/* The model's own answers are the labels, so that all of them can be attacked. */
static void own_labels(struct labelled *l, struct classifier *c)
{
    for (int64_t i = 0; i < l->n; i++) {
        size_t n;
        const char *text = labelled_text(l, i, &n);
        l->label[i] = predicted(c, text, n);
    }
}

static void what_an_attack_says_of_a_text_is_what_the_classifier_says(void **state)
{
    (void)state;
    char model[1000];
    strcpy(model, classifier());
    struct classifier *c;
    struct labelled l;
    json_t *first = NULL, *x;
    OK(classifier_new(&c, model, &(struct classify_opts){ .ctx = 0 }, pools[0], &err));
    words_with_labels(&l, 24);
    own_labels(&l, c);
    for (int way = 0; way < 2; way++) {
        struct token_trial o = TOKEN_TRIAL;
        size_t i;
        json_t *e = new_evidence();
        o.model = model, o.pool = pools[way], o.batch = 24, o.flips = 4;
        OK(token_trial_flips(e, &l, &o, &err));
        adds_up(e, 0, 24);
        assert_int_equal(number(json_array_get(json_object_get(e, "attacks"), 0), "already"), 0);
        assert_true(number(json_array_get(json_object_get(e, "attacks"), 0), "fooled") > 0);
        json_array_foreach(json_object_get(e, "examples"), i, x) {
            const char *after = json_string_value(json_object_get(x, "after"));
            assert_int_equal(predicted(c, after, strlen(after)) != l.label[number(x, "item")], json_is_true(json_object_get(x, "fooled")));
        }
        assert_true(!first || same(first, e));
        if (way)
            json_decref(e);
        else
            first = e;
    }
    json_decref(first);
    classifier_free(c);
    labelled_release(&l);
}

static void triggers_are_measured_on_texts_that_they_were_not_sought_on(void **state)
{
    (void)state;
    char model[1000];
    strcpy(model, classifier());
    static char *name[] = { (char *)"a", (char *)"b", (char *)"c", (char *)"d" };
    struct labels names = { name, 4 };
    struct classifier *c;
    struct labelled l;
    struct token_trial o = TOKEN_TRIAL;
    json_t *e = new_evidence(), *x;
    size_t i;
    OK(classifier_new(&c, model, &(struct classify_opts){ .ctx = 0 }, pools[0], &err));
    words_with_labels(&l, 36);
    own_labels(&l, c);
    o.model = model, o.pool = pools[1], o.batch = 8, o.steps = 4, o.suffix = 2, o.top_k = 8;
    OK(token_trial_triggers(e, &l, &names, &o, &err));
    json_array_foreach(json_object_get(e, "triggers"), i, x) {
        const json_t *found = json_object_get(x, "trigger_success_rate");
        const char *trigger = json_string_value(json_object_get(x, "trigger"));
        const int target = *json_string_value(json_object_get(x, "target")) - 'a';
        int64_t others = 0, fooled = 0;
        for (int64_t k = 0; k < l.n; k++) {
            char text[300];
            size_t n;
            const char *s = labelled_text(&l, k, &n);
            snprintf(text, sizeof text, "%s %.*s", trigger, (int)n, s);
            others += l.label[k] != target;
            fooled += l.label[k] != target && predicted(c, text, strlen(text)) == target;
        }
        assert_int_equal(number(found, "n") + number(x, "searched_texts"), others);
        assert_true(number(found, "fooled") <= fooled && fooled <= number(found, "fooled") + number(x, "searched_texts"));
    }
    assert_int_equal(i, 4);
    json_decref(e);
    classifier_free(c);
    labelled_release(&l);
}

static void a_given_trigger_is_measured_on_all_texts_and_not_sought(void **state)
{
    (void)state;
    char model[1000];
    strcpy(model, classifier());
    static char *name[] = { (char *)"a", (char *)"b", (char *)"c", (char *)"d" };
    const struct labels names = { name, 4 };
    struct classifier *c;
    struct labelled l;
    struct token_trial o = TOKEN_TRIAL;
    json_t *e = new_evidence(), *x;
    size_t i;
    OK(classifier_new(&c, model, &(struct classify_opts){ .ctx = 0 }, pools[0], &err));
    words_with_labels(&l, 24);
    own_labels(&l, c);
    o.model = model, o.pool = pools[0], o.trigger = "zq w";
    OK(token_trial_triggers(e, &l, &names, &o, &err));
    json_array_foreach(json_object_get(e, "triggers"), i, x) {
        if (json_object_get(x, "skipped"))
            continue;
        const json_t *found = json_object_get(x, "trigger_success_rate");
        const int target = *json_string_value(json_object_get(x, "target")) - 'a';
        int64_t others = 0, fooled = 0;
        for (int64_t k = 0; k < l.n; k++) {
            char text[300];
            size_t n;
            const char *s = labelled_text(&l, k, &n);
            snprintf(text, sizeof text, "zq w %.*s", (int)n, s);
            others += l.label[k] != target;
            fooled += l.label[k] != target && predicted(c, text, strlen(text)) == target;
        }
        assert_string_equal(json_string_value(json_object_get(x, "trigger")), "zq w");
        assert_int_equal(number(found, "n"), others);
        assert_int_equal(number(found, "fooled"), fooled);
        assert_int_equal(number(x, "gradients"), 0);
    }
    json_decref(e);
    classifier_free(c);
    labelled_release(&l);
}

/* ---- a stop ---- */

static bool never(void *ctx, const char *what, int64_t done, int64_t all)
{
    (void)ctx, (void)what, (void)all;
    return done < 3;
}

static void a_stop_tells_what_was_known(void **state)
{
    (void)state;
    struct labelled l;
    struct token_trial o = TOKEN_TRIAL;
    json_t *e = new_evidence();
    words_with_labels(&l, 8);
    o.model = classifier(), o.pool = pools[0], o.goes_on = never;
    assert_int_equal(token_trial_flips(e, &l, &o, &err), ERR_STOPPED);
    const json_t *a = json_array_get(json_object_get(e, "attacks"), 0);
    assert_int_equal(number(a, "seen"), 3);
    assert_int_equal(number(a, "n"), 8);
    assert_false(json_is_true(json_object_get(a, "complete")));
    json_decref(e);
    labelled_release(&l);
}

static bool for_some_steps(void *ctx, const char *what, int64_t done, int64_t all)
{
    (void)what, (void)done, (void)all;
    return ++*(int *)ctx < 8;
}

static void a_stop_within_a_search_leaves_its_best_so_far(void **state)
{
    (void)state;
    static const char text[] = "{\"prompt\": \"the cat sat on\", \"target\": \"a mat in the rain and the old mill\"}";
    char model[1000];
    struct prompts p = { 0 };
    struct token_trial o = TOKEN_TRIAL;
    struct run *r;
    int n = 0;
    json_t *e = new_evidence();
    strcpy(model, model_with("tokenizer"));
    o.model = model, o.pool = pools[0], o.suffix = 4, o.batch = 8, o.top_k = 8, o.goes_on = for_some_steps, o.ctx = &n;
    OK(prompts_parse(&p, text, sizeof text - 1, "p", &err));
    OK(run_open(&r, &(struct run_opts){ .model = model }, &err));
    assert_int_equal(token_trial_targets(e, r, NULL, NULL, &p, &o, &err), ERR_STOPPED);
    const json_t *a = json_array_get(json_object_get(e, "attacks"), 0), *x = json_array_get(json_object_get(e, "examples"), 0);
    assert_int_equal(number(a, "seen"), 0);
    assert_true(json_is_true(json_object_get(x, "stopped")) && number(x, "queries") > 1);
    assert_true(json_number_value(json_object_get(x, "score_after")) >= json_number_value(json_object_get(x, "score_before")));
    json_decref(e);
    run_close(r);
    prompts_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flips_change_the_documents_text_alone_and_are_the_same_with_any_threads_and_batch),
        cmocka_unit_test(items_that_cannot_be_attacked_are_counted_with_the_reason),
        cmocka_unit_test(an_item_that_is_too_long_stops_no_other),
        cmocka_unit_test(a_suffix_is_sought_behind_each_prompt_and_nothing_else_changes),
        cmocka_unit_test(what_an_attack_says_of_a_text_is_what_the_classifier_says),
        cmocka_unit_test(triggers_are_measured_on_texts_that_they_were_not_sought_on),
        cmocka_unit_test(a_given_trigger_is_measured_on_all_texts_and_not_sought),
        cmocka_unit_test(a_stop_tells_what_was_known),
        cmocka_unit_test(a_stop_within_a_search_leaves_its_best_so_far),
    };
    return cmocka_run_group_tests_name("token_trial", tests, set_up, tear_down);
}
