/* What a product takes on an accelerator: edges first, then single tiles by hand, then measured products of others. */
#include <float.h>
#include "../near.h"
#include "plan/product.h"

/* A round device: a unit does 1e12 operations a second, all of it reached, reads are free, nothing to launch. */
static const struct product_device round_device = { 100e12, 1e30, 100, 1, 1, 0, 0, 8 };

#define NEAR(got, want) near_to((got), (want), 1e-12, #got)

static void one_tile_takes_the_time_of_the_least_tile_that_covers_it(void **state)
{
    (void)state;
    NEAR(product_seconds(&round_device, 1, 1, 1, 64, 2), 2. * 16 * 64 * 64 / 1e12);
    NEAR(product_seconds(&round_device, 1, 16, 64, 64, 2), 2. * 16 * 64 * 64 / 1e12);
    NEAR(product_seconds(&round_device, 1, 16, 64, 1, 2), 2. * 16 * 64 * 64 / 1e12);      /* K is filled up to 64 */
    NEAR(product_seconds(&round_device, 1, 16, 64, 65, 2), 2. * 16 * 64 * 64 / 1e12);     /* and split: two units, 64 each */
}

static void a_tile_more_than_there_are_units_is_a_wave_more(void **state)
{
    (void)state;
    const double tile = 2. * 256 * 256 * 64 / 1e12;
    const struct product_device d = { 100e12, 1e30, 100, 1, 1, 0, 0, 128 };               /* smaller tiles wait for operands */
    NEAR(product_seconds(&d, 1, 256, 256 * 100, 64, 2), tile);
    assert_true(product_seconds(&d, 1, 256, 256 * 100 + 1, 64, 2) >= tile * 1.25);
}

static void bytes_of_half_the_size_take_half_as_long(void **state)
{
    (void)state;
    NEAR(product_seconds(&round_device, 1, 4096, 4096, 4096, 1), product_seconds(&round_device, 1, 4096, 4096, 4096, 2) / 2);
}

static void reading_alone_is_weights_over_what_is_reached(void **state)
{
    (void)state;
    const struct product_device d = { 1e30, 1e12, 100, 1, 0.5, 3e-6, 0, 8 };
    NEAR(product_seconds(&d, 1, 1, 64000, 4096, 2), 3e-6 + (64000. * 4096 * 2 + 4096 * 2 + 64000 * 2) / 0.5e12);
}

static void experts_that_all_get_rows_are_read_once_and_one_token_reads_its_own(void **state)
{
    (void)state;
    const struct product_device d = { 1e30, 1e12, 100, 1, 1, 0, 0, 8 };
    const double one = experts_seconds(&d, 1, 1024, 512, 64, 4, 2), all = experts_seconds(&d, 4096, 1024, 512, 64, 4, 2), weights = 3. * 1024 * 512 * 2;
    NEAR(one, (4 * weights + 4 * (1024 * 2 + 1024 * 2 + 512 * 2 + 1024 * 4)) / 1e12);
    NEAR(all, (64 * (1 - pow(15 / 16., 4096)) * weights + 4096. * 4 * (1024 * 2 + 1024 * 2 + 512 * 2 + 1024 * 4)) / 1e12);
}

static void one_expert_for_all_tokens_is_two_products(void **state)
{
    (void)state;
    const struct product_device d = { 100e12, 1e30, 100, 0.7, 1, 0, 1e-6, 64 };           /* whole waves of one kind of tile, so that nothing is to be split */
    NEAR(experts_seconds(&d, 25600, 25600, 12800, 1, 1, 2), product_seconds(&d, 1, 25600, 25600, 25600, 2) + product_seconds(&d, 1, 25600, 25600, 12800, 2));
}

static void nothing_beats_the_roofline(void **state)
{
    (void)state;
    const struct product_device d = { 989e12, 3350e9, 132, 0.751, 0.889, 6.5e-6, 0, 64 };
    for (double m = 1; m <= 16384; m *= 2)
        for (double n = 64; n <= 65536; n *= 4)
            for (double k = 64; k <= 65536; k *= 4)
                assert_true(product_seconds(&d, 1, m, n, k, 2) > product_roofline(&d, 1, m, n, k, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_tile_takes_the_time_of_the_least_tile_that_covers_it),
        cmocka_unit_test(a_tile_more_than_there_are_units_is_a_wave_more),
        cmocka_unit_test(bytes_of_half_the_size_take_half_as_long),
        cmocka_unit_test(reading_alone_is_weights_over_what_is_reached),
        cmocka_unit_test(experts_that_all_get_rows_are_read_once_and_one_token_reads_its_own),
        cmocka_unit_test(one_expert_for_all_tokens_is_two_products),
        cmocka_unit_test(nothing_beats_the_roofline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
