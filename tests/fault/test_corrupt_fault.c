/* test_corrupt_fault.c - images are corrupted in every way with each allocation failing in turn. */
#include "each_allocation.h"
#include "eval/corrupt.h"

static struct err err;
static uint8_t image[3 * 16 * 16], out[3 * 16 * 16];

static int run(void *ctx)
{
    struct corruptor *c = NULL;
    (void)ctx;
    int rc = corruptor_new(&c, 3, 16, &err);
    for (int f = 0; !rc && f < N_CORRUPT_FAMILY; f++)
        rc = corrupt_image(c, f, 5, 1, 0, image, out, &err);
    corruptor_free(c);
    return rc;
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof image; i++)
        image[i] = (uint8_t)(i * 7);
    assert_true(each_allocation(run, NULL, false) >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_memory_is_an_error) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
