/* test_checklist_fault.c - a suite of behavioural tests, read, asked of a model and reported, when the n-th allocation fails: an error, nothing left behind. */
#include "../unit/eval_model.h"
#include "each_allocation.h"
#include "base/pool.h"
#include "eval/checklist_ask.h"
#include "eval/evidence.h"

static struct pool *pool;
static const char *model;
static const char suite[] = "{\"test\": \"old\", \"type\": \"MFT\", \"capability\": \"Words\", \"labels\": [0, 1], \"data\": [\"the old mill\", \"the old man\", null]}\n"
                            "{\"test\": \"same\", \"type\": \"INV\", \"data\": [[\"the old mill\", \"the cat\"], [\"Zebra\", \"a ham\"]]}\n"
                            "{\"test\": \"surer\", \"type\": \"DIR\", \"data\": [[\"the cat\", \"a ham\"]], \"expect\": {\"confidence\": \"up\"}}\n";
static const char *const names[] = { "ham", "rain" };

static int read_and_report(void *ctx)
{
    struct checklist *c = NULL;
    struct checklist_answers a = { 0 };
    struct checklist_labels l = { 0 };
    struct run *r = NULL;
    json_t *found = NULL;
    const bool asks = ctx;
    int rc = checklist_parse(&c, suite, sizeof suite - 1, "suite", 0, &err);
    if (rc >= 0)
        rc = checklist_labels_read(&l, "ham,rain", c->n_label, &err);
    if (rc >= 0)
        rc = checklist_answers_init(&a, c, l.n, &err);
    if (rc >= 0 && asks)
        rc = run_open(&r, &(struct run_opts){ .model = model }, &err);
    if (rc >= 0 && asks)
        rc = checklist_ask(c, &a, r, "{{text}} ate the", &l, NULL, pool, &err);
    for (int64_t i = 0; rc >= 0 && !asks && i < c->n_text; i++)
        a.state[i] = CHECKLIST_ANSWERED, a.prob[2 * i + i % 2] = 1;
    if (rc >= 0)
        rc = evidence_new(&found, "checklist", "m", NULL, 3, &err);
    if (rc >= 0)
        rc = checklist_report(found, c, &a, names, &err);
    json_decref(found);
    run_close(r);
    checklist_answers_release(&a);
    checklist_labels_release(&l);
    checklist_free(c);
    return rc < 0 ? rc : 0;
}

static void a_suite_without_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(each_allocation(read_and_report, NULL, false) > 60);
}

/* The answer to a text, or a model's warning, may be given without some of it. */
static void a_model_that_is_asked_without_memory_says_so(void **state)
{
    (void)state;
    int asks;
    assert_true(each_allocation(read_and_report, &asks, true) > 100);
}

static int set_up(void **state)
{
    if (make_dir(state) || pool_new(&pool, 1, &err) < 0)
        return -1;
    model = mem_strdup(model_with("tokenizer_bos"));
    return 0;
}

static int tear_down(void **state)
{
    mem_free((void *)(uintptr_t)model);
    pool_free(pool);
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_suite_without_memory_is_an_error), cmocka_unit_test(a_model_that_is_asked_without_memory_says_so) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
