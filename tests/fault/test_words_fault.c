/* test_words_fault.c - texts are cut into words and simplified with each allocation failing in turn. */
#include "each_allocation.h"
#include "audit/words.h"

static struct err err;

/* More words than fit the first memory, special cases among tokens, and combining marks in the wrong order. */
static char text[8000];

static int run(void *ctx)
{
    struct words *w = NULL;
    struct spans words = { 0 }, sentences = { 0 };
    struct buf b;
    const size_t n = strlen(text);
    (void)ctx;
    buf_init(&b);
    int rc = words_new(&w, &err);
    for (int d = 0; !rc && d <= WORDS_NEMO; d++)
        rc = words_of(w, (enum words_dialect)d, text, n, &words, &err);
    rc = rc ? rc : words_of(w, WORDS_ENGLISH, text, n, &words, &err);
    rc = rc ? rc : words_sentences(text, n, &words, &sentences, &err);
    rc = rc ? rc : words_simplify(w, text, n, &b, &err);
    if (!rc)
        assert_int_equal(sentences.n, 1000);
    spans_release(&words);
    spans_release(&sentences);
    buf_release(&b);
    words_free(w);
    return rc;
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        strcat(text, i ? "b\xc2\xa0. " : "(x:) \xe3\x80\xae\xf0\x96\xbf\xb0 . ");
    assert_true(each_allocation(run, NULL, false) >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_memory_is_an_error) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
