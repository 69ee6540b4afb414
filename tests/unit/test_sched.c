/* test_sched.c - who has a part in a step, with pages that are only counted: turns, slots, room, and who is put aside. */
#include <math.h>
#include "../test.h"
#include "infer/sched.h"

#define PAGE 4
#define N 8

static struct err err;

/* So many pages; each text has the first n_page[id]. */
struct world {
    struct sched s;
    struct sched_text t[N + 1];
    int page[N + 1], n_free;
    int kept, n_begin;
    bool wait;
};

static enum pages_fate begin(void *ctx, struct sched_text *t, int spare)
{
    struct world *w = ctx;
    const int n = (t->n_ids + PAGE - 1) / PAGE;
    w->n_begin++;
    if (w->wait)
        return PAGES_WAIT;
    if (w->n_free - n < spare)
        return PAGES_NONE;
    w->n_free -= n, w->page[t->id] = n, t->n_done = w->kept;
    return PAGES_OK;
}

static bool extend(void *ctx, struct sched_text *t, int n)
{
    struct world *w = ctx;
    const int more = (n + PAGE - 1) / PAGE - w->page[t->id];
    if (more > w->n_free)
        return false;
    w->n_free -= more > 0 ? more : 0, w->page[t->id] += more > 0 ? more : 0;
    return true;
}

static void release(void *ctx, struct sched_text *t)
{
    struct world *w = ctx;
    w->n_free += w->page[t->id], w->page[t->id] = 0;
}

static void make(struct world *w, int n_slot, int step, int n_page)
{
    const struct pace_limit limit = { -1, 0 };
    const struct sched_use use = { w, begin, extend, release, NULL, NULL };
    *w = (struct world){ .n_free = n_page };
    OK(sched_init(&w->s, n_slot, step, &limit, &use, &err));
}

static void come(struct world *w, int id, int n, int tenant, int priority)
{
    w->t[id] = (struct sched_text){ .id = (uint64_t)id, .tenant = tenant, .priority = priority, .n_prompt = n, .n_ids = n };
    sched_wait(&w->s, &w->t[id]);
}

/* What the parts of the last step gave: a token where all ids are in the cache. */
static void after(struct world *w)
{
    for (int i = 0; i < w->s.n_part; i++) {
        struct sched_text *t = w->s.part[i].t;
        t->n_done += w->s.part[i].n;
        t->n_ids += t->n_done == t->n_ids;
    }
}

static void go(struct world *w, int id)
{
    release(w, &w->t[id]);
    sched_remove(&w->s, &w->t[id]);
}

static void expect(const struct world *w, const char *parts)
{
    char got[200] = "";
    for (int i = 0; i < w->s.n_part; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%d:%d", i ? " " : "", (int)w->s.part[i].t->id, w->s.part[i].n);
    assert_string_equal(got, parts);
}

/* Where there is no room, also when it is time to try one. */
static void a_guess_keeps_to_its_room(void **state)
{
    (void)state;
    struct world w;
    make(&w, 2, 16, 8);
    for (int known = 0; known < 2; known++)
        for (int n = 30; n < 34; n++) {
            const struct sched_text t = { .n_prompt = 2, .n_ids = n };
            assert_int_equal(sched_guess(&w.s, &t, 1, 0), 0);
            assert_int_equal(sched_guess(&w.s, &t, 1, -3), 0);
            for (int i = 1; !known && n == 33 && i < 20; i++)
                pace_add(&w.s.pace, i, 0, 1 + 0.01 * i);
        }
    assert_true(pace_slope(&w.s.pace) > 0);
    sched_release(&w.s);
}

static void nobody_gives_an_empty_step(void **state)
{
    (void)state;
    struct world w;
    make(&w, 2, 16, 8);
    assert_int_equal(sched_step(&w.s), 0);
    expect(&w, "");
    assert_false(w.s.stuck);
    sched_release(&w.s);
    const struct pace_limit limit = { -1, 0 };
    assert_int_equal(sched_init(&w.s, 0, 16, &limit, &(struct sched_use){ 0 }, &err), ERR_RANGE);
    sched_release(&w.s);
    assert_int_equal(sched_init(&w.s, 1, 0, &limit, &(struct sched_use){ 0 }, &err), ERR_RANGE);
    sched_release(&w.s);
}

static void rows_go_to_those_that_continue_then_to_the_oldest_prompt(void **state)
{
    (void)state;
    struct world w;
    make(&w, 3, 10, 100);
    come(&w, 1, 4, 0, 0), come(&w, 2, 15, 0, 0), come(&w, 3, 5, 0, 0), come(&w, 4, 1, 0, 0);
    assert_int_equal(sched_step(&w.s), 10);
    expect(&w, "1:4 2:6");
    after(&w);
    assert_int_equal(sched_step(&w.s), 10);
    expect(&w, "1:1 2:9");                          /* no row is left for the third */
    assert_false(w.s.stuck);
    after(&w);
    assert_int_equal(sched_step(&w.s), 7);
    expect(&w, "1:1 2:1 3:5");
    assert_true(w.s.stuck);                         /* three slots */
    after(&w);
    go(&w, 2);
    assert_int_equal(sched_step(&w.s), 3);
    expect(&w, "1:1 3:1 4:1");
    assert_int_equal(w.t[4].slot, 1);               /* the one that became free */
    sched_release(&w.s);
}

static void a_prompt_of_which_all_but_one_is_kept_is_no_continuation(void **state)
{
    (void)state;
    struct world w;
    make(&w, 2, 10, 100);
    w.kept = 7;
    come(&w, 1, 8, 0, 0);
    assert_int_equal(sched_step(&w.s), 1);
    assert_false(sched_continues(&w.t[1]));
    after(&w);
    assert_true(sched_continues(&w.t[1]));
    sched_release(&w.s);
}

static void tenants_take_turns_and_priorities_go_first(void **state)
{
    (void)state;
    struct world w;
    make(&w, 1, 100, 100);
    come(&w, 1, 1, 7, 0), come(&w, 2, 1, 7, 0), come(&w, 3, 1, 7, 0), come(&w, 4, 1, 8, 0), come(&w, 5, 1, 8, 0), come(&w, 6, 1, 9, 1), come(&w, 7, 1, 9, -1);
    static const int order[] = { 7, 1, 4, 2, 5, 3, 6 };
    int k = 0;
    for (const struct sched_text *t = w.s.first; t; t = t->next)
        assert_int_equal(t->id, order[k++]);
    for (const struct sched_text *t = w.s.last; t; t = t->before)
        assert_int_equal(t->id, order[--k]);
    assert_int_equal(w.s.n_waiting, 7);
    assert_int_equal(sched_waiting_of(&w.s, 7), 3);
    sched_remove(&w.s, &w.t[3]);                    /* who goes leaves his turn */
    come(&w, 3, 1, 7, 0);
    assert_int_equal(w.t[3].turn, 3);
    sched_release(&w.s);
    assert_true(sched_may_wait(1, 0) && sched_may_wait(3, 2));
    assert_false(sched_may_wait(0, 0) || sched_may_wait(3, 3) || sched_may_wait(-1, 0));
}

static void the_last_is_put_aside_when_pages_run_out_and_comes_first(void **state)
{
    (void)state;
    struct world w;
    make(&w, 4, 100, 6);
    come(&w, 1, 4, 0, 0), come(&w, 2, 4, 0, 0), come(&w, 3, 4, 0, 0), come(&w, 4, 4, 0, 0);
    sched_step(&w.s);
    expect(&w, "1:4 2:4 3:4");                      /* a fourth would leave less than a page for each of the three */
    assert_true(w.s.stuck);
    after(&w);
    sched_step(&w.s);
    expect(&w, "1:1 2:1 3:1");                      /* all pages are taken */
    for (int i = 0; i < 4; i++) {
        after(&w);
        sched_step(&w.s);
    }
    expect(&w, "1:1 2:1");
    assert_int_equal(w.s.n_put_aside, 1);
    assert_ptr_equal(w.s.first, &w.t[3]);           /* before the fourth, who never began */
    assert_int_equal(w.t[3].n_done, 0);
    assert_int_equal(w.t[3].n_ids, 9);
    after(&w);
    go(&w, 1), go(&w, 2);
    sched_step(&w.s);
    expect(&w, "3:9 4:4");
    sched_release(&w.s);
}

static void one_that_is_alone_and_finds_no_page_is_put_aside_itself(void **state)
{
    (void)state;
    struct world w;
    make(&w, 2, 100, 1);
    come(&w, 1, 4, 0, 0);
    sched_step(&w.s), after(&w);
    assert_int_equal(sched_step(&w.s), 0);
    assert_int_equal(w.s.n_running, 0);
    assert_int_equal(w.s.n_put_aside, 1);
    assert_true(w.s.stuck);
    sched_release(&w.s);
}

static void whoever_waits_for_anothers_text_is_overtaken(void **state)
{
    (void)state;
    struct world w;
    make(&w, 2, 100, 100);
    w.wait = true;
    come(&w, 1, 4, 0, 0), come(&w, 2, 4, 0, 0);
    assert_int_equal(sched_step(&w.s), 0);
    assert_int_equal(w.n_begin, 2);
    assert_false(w.s.stuck);
    sched_release(&w.s);
}

/* Prompts always wait: rows of a step become as many as the limit allows, not those of a beginning for ever. */
static void a_server_that_is_busy_from_its_first_step_learns_what_a_step_takes(void **state)
{
    (void)state;
    const struct pace_limit limit = { 1.6, 0 };
    struct pace p = { 0 };
    double sum = 0;
    int rows = 0;
    for (int i = 0; i < 400; i++) {
        const int n = i ? 8 : 0;
        rows = pace_rows(&p, &limit, n, 0, 2048) - n;
        const double t = 10e-3 + 2e-5 * rows;            /* 300 of them stretch a step by 1.6 */
        pace_add(&p, n, rows, t);
        sum += i < 200 ? 0 : t / 200;
    }
    assert_float_equal(sum, 16e-3, 0.8e-3);
}

/* Slow and fast: the same to rounding, but for the credit, of which the last step's time decides. */
static void many_steps_at_once_are_as_one_after_the_other(void **state)
{
    (void)state;
    static const struct pace_limit limits[] = { { 1.6, 0 }, { 1.6, 25e-3 }, { -1, 0 } };
    static const struct pace_steps runs[] = { { 8, 10e-3, 1e-6, 1 }, { 8, 10e-3, 1e-6, 5 }, { 8, 10.001e-3, 2e-6, 1000 }, { 40, 14e-3, 1e-5, 300 }, { 40, 30e-3, 0, 400 }, { 3, 2e-3, 1e-4, 200 }, { 3, 20e-3, -1e-5, 700 } };
    for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
        struct pace slow = { 0 }, fast = { 0 };
        for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
            for (int64_t j = 0; j < runs[i].k; j++) {
                pace_rows(&slow, &limits[l], runs[i].n, 0, runs[i].n);
                pace_add(&slow, runs[i].n, 0, runs[i].t + (double)j * runs[i].dt);
            }
            pace_run(&fast, &limits[l], &runs[i]);
            const double *a = &slow.n, *b = &fast.n;
            for (size_t k = 0; k < offsetof(struct pace, credit) / sizeof *a; k++)
                assert_float_equal(b[k] / (fabs(a[k]) + 1e-30), a[k] / (fabs(a[k]) + 1e-30), 1e-9);
            assert_float_equal(fast.credit, slow.credit, 0.02 * fabs(slow.credit) + 1e-12);
            slow.credit = fast.credit;
            pace_add(&slow, 8, 30, 18e-3), pace_add(&fast, 8, 30, 18e-3);        /* and then one with a prompt */
        }
    }
    struct pace none = { 0 };
    pace_run(&none, &limits[0], &(struct pace_steps){ 8, 10e-3, 0, 0 });
    assert_float_equal(none.n, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_gives_an_empty_step), cmocka_unit_test(a_guess_keeps_to_its_room),
        cmocka_unit_test(rows_go_to_those_that_continue_then_to_the_oldest_prompt),
        cmocka_unit_test(a_prompt_of_which_all_but_one_is_kept_is_no_continuation), cmocka_unit_test(tenants_take_turns_and_priorities_go_first),
        cmocka_unit_test(the_last_is_put_aside_when_pages_run_out_and_comes_first), cmocka_unit_test(one_that_is_alone_and_finds_no_page_is_put_aside_itself),
        cmocka_unit_test(whoever_waits_for_anothers_text_is_overtaken), cmocka_unit_test(a_server_that_is_busy_from_its_first_step_learns_what_a_step_takes), cmocka_unit_test(many_steps_at_once_are_as_one_after_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
