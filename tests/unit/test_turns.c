/* test_turns.c - requests that take turns: each in its order, a short one not behind all of a long one, and all told when it is over. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include "../test.h"
#include "serve/turns.h"

static struct err err;

struct work { struct turn turn; char name; int n, done; struct turns *turns; struct work *others; int n_other; };
static char order[64];
static atomic_int n_order;

/* The first piece of one submits the others, so that they wait while it is under way. */
static bool piece(void *ctx, bool stop)
{
    struct work *w = ctx;
    for (int i = 0; !w->done && i < w->n_other; i++)
        OK(turns_add(w->turns, &w->others[i].turn, &err));
    order[atomic_fetch_add(&n_order, 1)] = w->name;
    return ++w->done < w->n && !stop;
}

static void wait_for(struct turns *t)
{
    while (turns_count(t))
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
}

static void who_waits_gets_a_piece_in_turn(void **state)
{
    (void)state;
    struct turns *t;
    struct work w[3] = { { .name = 'a', .n = 5, .others = w + 1, .n_other = 2 }, { .name = 'b', .n = 3 }, { .name = 'c', .n = 1 } };
    OK(turns_new(&t, 3, NULL, NULL, NULL, &err));
    for (int i = 0; i < 3; i++)
        w[i].turn = (struct turn){ .piece = piece, .ctx = &w[i] }, w[i].turns = t;
    OK(turns_add(t, &w[0].turn, &err));
    wait_for(t);
    order[atomic_load(&n_order)] = 0;
    assert_string_equal(order, "abcababaa");
    turns_free(t);
}

/* The first of tenant 1 submits more of its own, and then two of tenant 2. */
static void tenants_take_turns_before_the_requests_of_one(void **state)
{
    (void)state;
    struct turns *t;
    struct work w[7] = { { .name = 'a', .others = w + 1, .n_other = 6 } };
    OK(turns_new(&t, 20, NULL, NULL, NULL, &err));
    for (int i = 0; i < 7; i++)
        w[i].turn = (struct turn){ .piece = piece, .ctx = &w[i], .tenant = i < 5 ? 1 : 2 }, w[i].turns = t, w[i].name = "abcdexy"[i], w[i].n = 1 + (i == 6);
    atomic_store(&n_order, 0);
    OK(turns_add(t, &w[0].turn, &err));
    wait_for(t);
    order[atomic_load(&n_order)] = 0;
    assert_string_equal(order, "axbycyde");
    turns_free(t);
}

struct gate { struct turn turn; pthread_mutex_t lock; int n; bool stopped; };

static bool wait_at_the_gate(void *ctx, bool stop)
{
    struct gate *g = ctx;
    pthread_mutex_lock(&g->lock);
    g->n++, g->stopped = stop;
    pthread_mutex_unlock(&g->lock);
    return true;
}

static void more_than_may_wait_are_refused_and_the_end_is_told(void **state)
{
    (void)state;
    struct turns *t;
    struct gate g[3];
    for (int i = 0; i < 3; i++) {
        g[i] = (struct gate){ .turn = { .piece = wait_at_the_gate, .ctx = &g[i] } };
        pthread_mutex_init(&g[i].lock, NULL);
    }
    OK(turns_new(&t, 2, NULL, NULL, NULL, &err));
    pthread_mutex_lock(&g[0].lock);
    OK(turns_add(t, &g[0].turn, &err));
    OK(turns_add(t, &g[1].turn, &err));
    assert_int_equal(turns_add(t, &g[2].turn, &err), ERR_BUSY);
    assert_int_equal(turns_count(t), 2);
    pthread_mutex_unlock(&g[0].lock);
    turns_halt(t);                               /* which neither would end by itself */
    assert_true(g[0].stopped && g[1].stopped && !g[2].n);
    assert_int_equal(turns_count(t), 0);
    assert_int_equal(turns_add(t, &g[2].turn, &err), ERR_STOPPED);
    turns_free(t);
    turns_free(NULL);
    for (int i = 0; i < 3; i++)
        pthread_mutex_destroy(&g[i].lock);
}

static void a_tenant_leaves_places_for_others(void **state)
{
    (void)state;
    struct turns *t;
    struct gate g[6];
    for (int i = 0; i < 6; i++) {
        g[i] = (struct gate){ .turn = { .piece = wait_at_the_gate, .ctx = &g[i], .tenant = 1 + (i == 5) } };
        pthread_mutex_init(&g[i].lock, NULL);
    }
    OK(turns_new(&t, 6, NULL, NULL, NULL, &err));
    pthread_mutex_lock(&g[0].lock);
    OK(turns_add(t, &g[0].turn, &err));
    int n = 1;
    while (n < 5 && !turns_add(t, &g[n].turn, &err))
        n++;
    assert_true(n == 3 || n == 4);               /* whether the first is under way already */
    assert_non_null(strstr(err.msg, "of yours are waiting"));
    OK(turns_add(t, &g[5].turn, &err));
    pthread_mutex_unlock(&g[0].lock);
    turns_halt(t);
    turns_free(t);
    for (int i = 0; i < 6; i++)
        pthread_mutex_destroy(&g[i].lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(who_waits_gets_a_piece_in_turn), cmocka_unit_test(tenants_take_turns_before_the_requests_of_one), cmocka_unit_test(a_tenant_leaves_places_for_others),
                                        cmocka_unit_test(more_than_may_wait_are_refused_and_the_end_is_told) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
