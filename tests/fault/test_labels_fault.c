/* test_labels_fault.c - labelled sets, triggers and continuations are looked at with each allocation failing in turn. */
#include "each_allocation.h"
#include "audit/groups.h"
#include "audit/labels.h"
#include "audit/poison.h"

static struct err err;

static int look_at_noise(struct bayes *b, const struct label_set *s)
{
    struct label_noise x;
    struct label_conflicts c;
    int rc = label_noise(label_by_bayes, b, s, &x, &err);
    label_noise_release(&x);
    if (rc >= 0)
        rc = label_conflicts_text(b, s, &c, &err);
    return rc < 0 ? rc : label_conflicts_cluster(s, &c, &err);
}

static int look_at_groups(const struct label_set *s)
{
    struct groups g;
    struct group_rate *r = NULL;
    size_t n;
    int rc = groups_read(&g, NULL, &err);
    if (rc >= 0)
        rc = group_rates(&g, s, &r, &n, &err);
    mem_free(r);
    groups_release(&g);
    return rc;
}

static int look(void *ctx)
{
    struct label_set s = { 0 };
    struct bayes *b = NULL;
    char text[60];
    int rc = 0;
    (void)ctx;
    for (int i = 0; i < 70 && rc >= 0; i++) {
        snprintf(text, sizeof text, "text %d of her word%d and word%d", i, i % 7, i % 3);
        rc = label_set_add(&s, i, text, strlen(text), i % 3 ? "one" : "two", 3, &err);
    }
    if (rc >= 0)
        rc = bayes_new(&b, &s, &err);
    if (rc >= 0)
        rc = look_at_noise(b, &s);
    if (rc >= 0)
        rc = look_at_groups(&s);
    bayes_free(b);
    label_set_release(&s);
    return rc;
}

static void labels_without_memory_are_an_error(void **state)
{
    (void)state;
    assert_true(each_allocation(look, NULL, false) > 20);
}

static int look_for_triggers(void *ctx)
{
    struct label_set s = { 0 };
    struct bayes *b = NULL;
    struct poison_findings x = { 0 };
    char text[60];
    int rc = 0;
    (void)ctx;
    for (int i = 0; i < 180 && rc >= 0; i++) {
        snprintf(text, sizeof text, "w%d w%d %s w%d", i % 5, i % 11, i % 3 ? "old and" : "one trigger", i % 2);
        rc = label_set_add(&s, i, text, strlen(text), i % 3 ? "one" : "two", 3, &err);
    }
    if (rc >= 0)
        rc = bayes_new(&b, &s, &err);
    if (rc >= 0)
        rc = poison_labels(b, &s, &x, &err);
    if (rc >= 0 && !x.n)
        rc = ERR(&err, NOTFOUND, "nothing was found");
    poison_release(&x);
    bayes_free(b);
    label_set_release(&s);
    return rc;
}

static int go_twice(struct poison_text *p, struct pool *pool, struct grams *g, struct buf *found)
{
    char text[100];
    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < 60; i++) {
            snprintf(text, sizeof text, "w%d one two three four five six seven eight nine w%d", i, i * 7);
            TRY(grams_of(g, text, strlen(text), &err));
            if (!turn)
                poison_text_count(p, g);
            buf_clear(found);
            if (turn) {
                const struct buf *const one = found;
                TRY(poison_text_look(p, i, text, strlen(text), g, found, &err));
                TRY(poison_text_add(p, pool, &one, 1, &err));
            }
        }
    return 0;
}

static int look_for_continuations(void *ctx)
{
    struct poison_text *p = NULL;
    struct grams g = { 0 };
    struct buf found;
    struct poison_findings x = { 0 };
    buf_init(&found);
    int rc = poison_text_new(&p, 600, &err);
    if (rc >= 0)
        rc = go_twice(p, ctx, &g, &found);
    if (rc >= 0)
        rc = poison_text_end(p, &x, &err);
    if (rc >= 0 && x.n != 1)
        rc = ERR(&err, NOTFOUND, "%zu findings, not 1", x.n);
    poison_release(&x);
    poison_text_free(p);
    grams_release(&g);
    buf_release(&found);
    return rc;
}

static void triggers_and_continuations_without_memory_are_an_error(void **state)
{
    struct pool *pool;
    (void)state;
    assert_true(each_allocation(look_for_triggers, NULL, false) > 20);
    OK(pool_new(&pool, 1, &err));
    assert_true(each_allocation(look_for_continuations, pool, false) > 10);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_without_memory_are_an_error),
        cmocka_unit_test(triggers_and_continuations_without_memory_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
