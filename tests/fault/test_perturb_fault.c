/* test_perturb_fault.c - a text is perturbed in every way with each allocation failing in turn. */
#include "each_allocation.h"
#include "eval/perturb.h"

static struct err err;
static char text[4000];

static int run(void *ctx)
{
    struct misspellings *m = NULL;
    struct perturbed done;
    struct buf b;
    (void)ctx;
    buf_init(&b);
    int rc = misspellings_new(&m, NULL, &err);
    for (int f = 0; !rc && f < N_PERTURB_FAMILY; f++) {
        const struct perturb p = { f, 5, 1, m };
        const size_t was = b.len;
        rc = perturb_text(&p, f, text, strlen(text), NULL, &b, &done, &err);
        if (rc)
            assert_int_equal(b.len, was);
        else
            assert_true(done.n_place >= 100);
    }
    misspellings_free(m);
    buf_release(&b);
    return rc;
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        strcat(text, "Do not believe it, friend. ");
    assert_true(each_allocation(run, NULL, false) >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_memory_is_an_error) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
