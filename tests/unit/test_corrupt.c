/* test_corrupt.c - corruptions of images: against SciPy, scikit-image, OpenCV, Pillow and ImageMagick (tests/golden/corrupt), and what any of them must be. */
#include <math.h>
#include "../test.h"
#include "eval/corrupt.h"

static struct err err;
enum { SIDE = 32, N = 3 * SIDE * SIDE };
static uint8_t image[N], out[N], again[N];

static void fill(int n)
{
    for (int i = 0; i < n; i++)
        image[i] = (uint8_t)(128 + 100 * sin(i % SIDE / 4. + i / 900.));
}

/* Each byte is what those packages have, or one off where their double and our float lie at two sides of a whole number. */
static void the_packages_of_cifar_c_give_the_same(void **state)
{
    (void)state;
    FILE *index = fopen("tests/golden/corrupt/index.txt", "r"), *images = fopen("tests/golden/corrupt/images.bin", "rb");
    assert_non_null(index);
    assert_non_null(images);
    char line[400], name[40];
    static uint8_t want[N];
    struct corruptor *c = NULL;
    int strength, channels, side, n_seen = 0;
    while (fgets(line, sizeof line, index)) {
        if (*line == '#')
            continue;
        assert_int_equal(sscanf(line, "%39s %d %d %d", name, &strength, &channels, &side), 4);
        const size_t n = (size_t)channels * (size_t)side * (size_t)side;
        assert_true(n <= N);
        assert_int_equal(fread(want, 1, n, images), n);
        if (!strcmp(name, "in")) {
            memcpy(image, want, n);
            corruptor_free(c);
            OK(corruptor_new(&c, channels, side, &err));
            continue;
        }
        const int f = corrupt_find(name);
        assert_true(f >= 0);
        OK(corrupt_image(c, f, strength, 5, 3, image, out, &err));
        int n_off = 0, n_one = 0;
        for (size_t i = 0; i < n; i++)
            n_one += out[i] != want[i], n_off += abs(out[i] - want[i]) > 1;
        if (n_off || n_one > (int)n / 50)
            fail_msg("%s %d of %d channels: %d of %zu bytes differ, %d by more than one", name, strength, channels, n_one, n, n_off);
        n_seen++;
    }
    corruptor_free(c);
    fclose(index), fclose(images);
    assert_int_equal(n_seen, 3 * N_CORRUPT_FAMILY + N_CORRUPT_FAMILY - 1);
}

static void a_corruption_is_a_function_of_seed_and_item(void **state)
{
    (void)state;
    struct corruptor *c, *other;
    OK(corruptor_new(&c, 3, SIDE, &err));
    OK(corruptor_new(&other, 3, SIDE, &err));
    fill(N);
    for (int f = 0; f < N_CORRUPT_FAMILY; f++)
        for (int s = 1; s <= CORRUPT_STRENGTHS; s++) {
            OK(corrupt_image(c, f, s, 1, 8, image, out, &err));
            memcpy(again, image, N);
            OK(corrupt_image(other, f, s, 1, 8, again, again, &err));       /* in place */
            assert_memory_equal(out, again, N);
            if (memcmp(out, image, N) == 0 && f != CORRUPT_GLASS_BLUR)
                fail_msg("%s %d changes nothing", corrupt_name(f), s);
        }
    static const enum corrupt_family drawn[] = { CORRUPT_GAUSSIAN_NOISE, CORRUPT_SHOT_NOISE, CORRUPT_IMPULSE_NOISE, CORRUPT_GLASS_BLUR, CORRUPT_FOG, CORRUPT_SNOW, CORRUPT_ELASTIC };
    for (size_t i = 0; i < sizeof drawn / sizeof *drawn; i++) {
        OK(corrupt_image(c, drawn[i], 3, 1, 8, image, out, &err));
        OK(corrupt_image(c, drawn[i], 3, 1, 9, image, again, &err));
        assert_memory_not_equal(out, again, N);
    }
    corruptor_free(c);
    corruptor_free(other);
}

/* Noise has the deviation that it says, where no number is clipped. */
static void noise_has_its_deviation(void **state)
{
    (void)state;
    struct corruptor *c;
    OK(corruptor_new(&c, 3, SIDE, &err));
    memset(image, 128, N);
    static const struct { enum corrupt_family f; double want; } is[] = {
        { CORRUPT_GAUSSIAN_NOISE, .08 }, { CORRUPT_SPECKLE_NOISE, .12 * 128 / 255 }, { CORRUPT_SHOT_NOISE, .0708487 } };     /* sqrt(128 / 255 / 100) */
    for (size_t k = 0; k < sizeof is / sizeof *is; k++) {
        double sum = 0, square = 0;
        OK(corrupt_image(c, is[k].f, 3, 2, 0, image, out, &err));
        for (int i = 0; i < N; i++)
            sum += out[i], square += (double)out[i] * out[i];
        const double mean = sum / N, deviation = sqrt(square / N - mean * mean) / 255;
        assert_true(fabs(mean - 127.5) < 5 * is[k].want * 255 / sqrt(N));        /* cutting takes half a step */
        assert_true(fabs(deviation / is[k].want - 1) < 5 / sqrt(2. * N));
    }
    corruptor_free(c);
}

/* Black stays black and white white in what only moves or averages numbers. */
static void an_image_of_one_number_is_kept_by_what_averages(void **state)
{
    (void)state;
    static const enum corrupt_family f[] = { CORRUPT_GAUSSIAN_BLUR, CORRUPT_GLASS_BLUR, CORRUPT_DEFOCUS_BLUR, CORRUPT_MOTION_BLUR, CORRUPT_ZOOM_BLUR, CORRUPT_CONTRAST,
                                             CORRUPT_ELASTIC, CORRUPT_PIXELATE };
    struct corruptor *c;
    OK(corruptor_new(&c, 1, 28, &err));
    for (int v = 0; v <= 255; v += 51)
        for (size_t i = 0; i < sizeof f / sizeof *f; i++)
            for (int s = 1; s <= CORRUPT_STRENGTHS; s++) {
                memset(image, v, 28 * 28);
                OK(corrupt_image(c, f[i], s, 4, 2, image, out, &err));
                for (int k = 0; k < 28 * 28; k++)
                    if (out[k] != v)
                        fail_msg("%s %d: %d became %d", corrupt_name(f[i]), s, v, out[k]);
            }
    corruptor_free(c);
}

static void sides_of_all_sizes_are_taken(void **state)
{
    (void)state;
    static const int side[] = { 8, 9, 31, 33, 96 };
    for (size_t i = 0; i < sizeof side / sizeof *side; i++)
        for (int channels = 1; channels <= 3; channels += 2) {
            const size_t n = (size_t)channels * (size_t)side[i] * (size_t)side[i];
            struct corruptor *c;
            uint8_t *x = malloc(n);
            assert_non_null(x);
            OK(corruptor_new(&c, channels, side[i], &err));
            for (int f = 0; f < N_CORRUPT_FAMILY; f++) {
                for (size_t k = 0; k < n; k++)
                    x[k] = (uint8_t)(k * 37);
                if (corrupt_fits(f, channels))
                    OK(corrupt_image(c, f, 5, 0, 0, x, x, &err));
                else
                    assert_int_equal(corrupt_image(c, f, 5, 0, 0, x, x, &err), ERR_RANGE);
            }
            corruptor_free(c);
            free(x);
        }
    struct corruptor *c;
    assert_int_equal(corruptor_new(&c, 2, 32, &err), ERR_RANGE);
    assert_int_equal(corruptor_new(&c, 3, 7, &err), ERR_RANGE);
    assert_int_equal(corruptor_new(&c, 3, CORRUPT_SIDE_MAX + 1, &err), ERR_RANGE);
}

static void families_are_found_by_their_names(void **state)
{
    (void)state;
    for (int f = 0; f < N_CORRUPT_FAMILY; f++)
        assert_int_equal(corrupt_find(corrupt_name(f)), f);
    assert_int_equal(corrupt_find("frost"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_packages_of_cifar_c_give_the_same),
        cmocka_unit_test(a_corruption_is_a_function_of_seed_and_item),
        cmocka_unit_test(noise_has_its_deviation),
        cmocka_unit_test(an_image_of_one_number_is_kept_by_what_averages),
        cmocka_unit_test(sides_of_all_sizes_are_taken),
        cmocka_unit_test(families_are_found_by_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
