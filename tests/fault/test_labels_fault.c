/* test_labels_fault.c - labelled sets are looked at with each allocation failing in turn. */
#include "each_allocation.h"
#include "audit/labels.h"

static struct err err;

static int look_at_noise(struct bayes *b, const struct label_set *s)
{
    struct label_noise x;
    struct label_conflicts c;
    int rc = label_noise(b, s, &x, &err);
    label_noise_release(&x);
    if (rc >= 0)
        rc = label_conflicts_text(b, s, &c, &err);
    return rc < 0 ? rc : label_conflicts_cluster(s, &c, &err);
}

static int look(void *ctx)
{
    struct label_set s = { 0 };
    struct bayes *b = NULL;
    char text[60];
    int rc = 0;
    (void)ctx;
    for (int i = 0; i < 70 && rc >= 0; i++) {
        snprintf(text, sizeof text, "text %d of word%d and word%d", i, i % 7, i % 3);
        rc = label_set_add(&s, i, text, strlen(text), i % 3 ? "one" : "two", 3, &err);
    }
    if (rc >= 0)
        rc = bayes_new(&b, &s, &err);
    if (rc >= 0)
        rc = look_at_noise(b, &s);
    bayes_free(b);
    label_set_release(&s);
    return rc;
}

static void labels_without_memory_are_an_error(void **state)
{
    (void)state;
    assert_true(each_allocation(look, NULL, false) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(labels_without_memory_are_an_error) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
