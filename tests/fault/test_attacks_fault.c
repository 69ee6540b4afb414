/* test_attacks_fault.c - attacks on tokens and injections whose n-th allocation fails: an error, nothing left behind. */
#include "../unit/attack_models.h"
#include "each_allocation.h"
#include "eval/injection.h"

static struct pool *pool;
static char lm[1000], classes[1000], task[1000];

static struct token_trial trial(const char *model)
{
    struct token_trial o = TOKEN_TRIAL;
    o.model = model, o.pool = pool, o.batch = 4, o.steps = 2, o.suffix = 2, o.flips = 1, o.top_k = 4;
    return o;
}

static int of_tasks(void *ctx)
{
    struct task_list l = { 0 };
    struct task_opts to = TASK_OPTS;
    struct run *r = NULL;
    json_t *e = NULL;
    const struct token_trial o = trial(lm);
    (void)ctx;
    int rc = task_list_add(&l, task, &to, &err);
    if (!rc)
        rc = run_open(&r, &(struct run_opts){ .model = lm, .batch = 4 }, &err);
    if (!rc)
        rc = evidence_new(&e, "attacks", lm, NULL, 1, &err);
    if (!rc)
        rc = token_tally_caveats(e, &err);
    if (!rc)
        rc = token_trial_tasks(e, r, &l, &o, &err);
    json_decref(e);
    run_close(r);
    task_list_release(&l);
    return rc;
}

static int of_targets(void *ctx)
{
    static const char text[] = "{\"prompt\": \"the cat\", \"target\": \"a mat\"}";
    struct prompts p = { 0 };
    struct run *r = NULL;
    json_t *e = NULL;
    const struct token_trial o = trial(lm);
    (void)ctx;
    int rc = prompts_parse(&p, text, sizeof text - 1, "p", &err);
    if (!rc)
        rc = run_open(&r, &(struct run_opts){ .model = lm, .batch = 4 }, &err);
    if (!rc)
        rc = evidence_new(&e, "attacks", lm, NULL, 1, &err);
    if (!rc)
        rc = token_trial_targets(e, r, NULL, NULL, &p, &o, &err);
    json_decref(e);
    run_close(r);
    prompts_release(&p);
    return rc;
}

static int of_texts(void *ctx)
{
    static char *name[] = { (char *)"a", (char *)"b", (char *)"c", (char *)"d" };
    const struct labels names = { name, 4 };
    const struct token_trial o = trial(classes);
    json_t *e = NULL;
    int rc = evidence_new(&e, "attacks", classes, NULL, 1, &err);
    if (!rc)
        rc = token_trial_flips(e, ctx, &o, &err);
    if (!rc)
        rc = token_trial_triggers(e, ctx, &names, &o, &err);
    json_decref(e);
    return rc;
}

static int of_injections(void *ctx)
{
    static const char text[] = "{\"prompt\": \"the cat\", \"expected\": [\"t\", \"a\"], \"group\": \"g\"}",
            template[] = "{% for m in messages %}{{ m.content }}{% endfor %}";
    struct prompts p = { 0 };
    struct run *r = NULL;
    struct chat *chat = NULL;
    json_t *e = NULL;
    (void)ctx;
    const struct judge_labels labels = { 5, 4, 6, 1 };
    int rc = prompts_parse(&p, text, sizeof text - 1, "p", &err);
    if (!rc)
        rc = chat_new(&chat, &(struct chat_source){ "default", template, sizeof template - 1 }, 1, NULL, &err);
    if (!rc)
        rc = run_open(&r, &(struct run_opts){ .model = lm, .batch = 2 }, &err);
    if (!rc)
        rc = evidence_new(&e, "injections", lm, NULL, 1, &err);
    const struct injection o = { .prompts = &p, .n = 1, .chat = chat, .tries = 1, .max_tokens = 4, .labels = &labels, .model = "m", .pool = pool };
    if (!rc)
        rc = injection_run(e, r, &o, &err);
    json_decref(e);
    run_close(r);
    chat_free(chat);
    prompts_release(&p);
    return rc;
}

static void flips_of_tasks_without_memory_are_an_error(void **state) { (void)state; assert_true(each_allocation(of_tasks, NULL, true) > 20); }
static void targets_without_memory_are_an_error(void **state) { (void)state; assert_true(each_allocation(of_targets, NULL, true) > 20); }
static void injections_without_memory_are_an_error(void **state) { (void)state; assert_true(each_allocation(of_injections, NULL, true) > 20); }

static void attacks_on_classes_without_memory_are_an_error(void **state)
{
    (void)state;
    struct labelled l;
    words_with_labels(&l, 12);
    for (int64_t i = 0; i < l.n; i++)
        l.label[i] = 2;
    assert_true(each_allocation(of_texts, &l, true) > 20);
    labelled_release(&l);
}

static int set_up(void **state)
{
    if (make_dir(state) || pool_new(&pool, 1, &err))
        return -1;
    strcpy(lm, model_with("tokenizer"));
    strcpy(classes, classifier());
    write_docs("docs", 3);
    strcpy(task, task_file("choice", "docs", CHOICES));
    return 0;
}

static int tear_down(void **state)
{
    pool_free(pool);
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flips_of_tasks_without_memory_are_an_error),
        cmocka_unit_test(targets_without_memory_are_an_error),
        cmocka_unit_test(attacks_on_classes_without_memory_are_an_error),
        cmocka_unit_test(injections_without_memory_are_an_error),
    };
    return cmocka_run_group_tests_name("attacks_fault", tests, set_up, tear_down);
}
