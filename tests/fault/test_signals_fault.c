/* test_signals_fault.c - texts are counted with each allocation failing in turn. */
#include "each_allocation.h"
#include "audit/signals.h"

static struct err err;

/* Longer than the first memory of everything, with lines, citations, long words and special cases among tokens. */
static char text[60000];

static int run(void *ctx)
{
    struct words *w = NULL;
    struct signals_maker *m = NULL;
    struct spans words = { 0 };
    struct signals s = { 0 };
    (void)ctx;
    int rc = words_new(&w, &err);
    rc = rc ? rc : signals_new(&m, SIGNALS_BASE | SIGNALS_DOLMA | SIGNALS_NEMO, &err);
    rc = rc ? rc : words_of(w, WORDS_ENGLISH, text, strlen(text), &words, &err);
    rc = rc ? rc : signals_of(m, text, strlen(text), &words, &s, &err);
    if (!rc)
        assert_int_equal(s.full_lines, 1002);
    spans_release(&words);
    signals_free(m);
    words_free(w);
    return rc;
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    memset(text, 'x', 3000);
    text[1500] = '\n';
    strcat(text, "\n");
    for (int i = 0; i < 1000; i++)
        sprintf(text + strlen(text), "(x:) \xc3\xa9 word %d we use [1]cookies.\n", i / 2);
    assert_true(each_allocation(run, NULL, false) >= 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_memory_is_an_error) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
