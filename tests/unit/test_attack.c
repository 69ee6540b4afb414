/* test_attack.c - attacks on a small vision transformer (tests/golden/vit): what each finds, that it stays in the ball, and that it is a function of seed and item. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/pool.h"
#include "eval/attack.h"

static struct err err;
static struct pool *pool;
static struct classifier *c;
static struct attacker *a;
enum { SIDE = 12, CHANNELS = 2, N = CHANNELS * SIDE * SIDE, K = 7, IMAGES = 48 };
#define EPS .01
static uint8_t image[IMAGES][N];
static int32_t label[IMAGES];                    /* what the model says: all are right before the attack */

static int set_up(void **state)
{
    (void)state;
    if (pool_new(&pool, 2, &err) || classifier_new(&c, "tests/golden/vit", &(struct classify_opts){ .slopes = true }, pool, &err) || attacker_new(&a, c, &err))
        return -1;
    for (int i = 0; i < IMAGES; i++) {
        float probs[K];
        for (int k = 0; k < N; k++)
            image[i][k] = (uint8_t)(128 + 90 * sin(k * (i + 1) / 17. + i));
        classifier_images(c, image[i], 1, probs);
        for (int k = 1; k < K; k++)
            label[i] = probs[k] > probs[label[i]] ? k : label[i];
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    attacker_free(a);
    classifier_free(c);
    pool_free(pool);
    return 0;
}

static struct attack short_one(enum attack_kind k, double eps)
{
    struct attack how = attack_usual(k, eps, 3);
    how.n_step = k == ATTACK_SQUARE ? 100 : how.n_step < 20 ? how.n_step : 20;
    how.n_start = how.n_start < 3 ? how.n_start : 3;
    return how;
}

static int run(const struct attack *how, struct attacked out[IMAGES], float (*found)[N])
{
    int n_fooled = 0;
    for (int i = 0; i < IMAGES; i += CLASSIFY_BATCH)
        OK(attacker_run(a, how, image[i], label + i, i, CLASSIFY_BATCH, out + i, found ? found[i] : NULL, &err));
    for (int i = 0; i < IMAGES; i++)
        n_fooled += out[i].fooled;
    return n_fooled;
}

/* The loss as classifier_slopes() gives its slope: two losses a little apart. */
static void slopes_are_those_of_the_loss(void **state)
{
    (void)state;
    static float x[N], slope[N], target[K] = { .5f, 0, .25f, .25f }, logits[K], z[K];
    for (int k = 0; k < N; k++)
        x[k] = image[5][k] / 255.f;
    classifier_slopes(c, x, target, 1, slope, logits);
    classifier_logits(c, x, 1, z);
    assert_memory_equal(logits, z, sizeof z);
    for (int k = 0; k < N; k += 37) {
        double loss[2];
        for (int side = 0; side < 2; side++) {
            const float was = x[k];
            double sum = 0;
            x[k] += side ? .02f : -.02f;
            classifier_logits(c, x, 1, z);
            x[k] = was;
            for (int q = 0; q < K; q++)
                sum += exp((double)z[q]);
            loss[side] = 0;
            for (int q = 0; q < K; q++)
                loss[side] += target[q] * (log(sum) - z[q]);
        }
        assert_true(fabs((loss[1] - loss[0]) / .04 - slope[k]) < .02 * fabs(slope[k]) + 1e-3);
    }
}

/* Within eps of the image and within 0 to 1; what it is said to be taken for is what the model says of it. */
static void what_is_found_fools_the_model_within_the_ball(void **state)
{
    (void)state;
    static float found[IMAGES][N];
    struct attacked out[IMAGES];
    for (int k = 0; k < N_ATTACK; k++) {
        const struct attack how = short_one(k, EPS);
        const int n_fooled = run(&how, out, found);
        if (n_fooled < 4 || n_fooled == IMAGES)
            fail_msg("%s: %d of %d fooled", attack_name(k), n_fooled, IMAGES);
        for (int i = 0; i < IMAGES; i++) {
            float z[K];
            int best = 0;
            for (int q = 0; q < N; q++) {
                assert_true(fabs(found[i][q] - image[i][q] / 255.) <= EPS + 1e-6 && found[i][q] >= 0 && found[i][q] <= 1);
                if (!out[i].fooled)
                    assert_true(found[i][q] == (float)(image[i][q] / 255.));
            }
            assert_false(out[i].no_slope);
            classifier_logits(c, found[i], 1, z);
            for (int q = 1; q < K; q++)
                best = z[q] > z[best] ? q : best;
            assert_int_equal(best == label[i], !out[i].fooled);
            assert_int_equal(out[i].class_found, out[i].fooled ? best : -1);
            assert_true(out[i].n_query > 0);
        }
    }
}

static void more_steps_and_a_larger_ball_fool_more(void **state)
{
    (void)state;
    struct attacked out[IMAGES];
    struct attack fgsm = short_one(ATTACK_FGSM, EPS), pgd = short_one(ATTACK_PGD, EPS), apgd = short_one(ATTACK_APGD_CE, EPS), aimed = short_one(ATTACK_APGD_T, EPS);
    const int by_fgsm = run(&fgsm, out, NULL), by_pgd = run(&pgd, out, NULL), by_apgd = run(&apgd, out, NULL), by_aimed = run(&aimed, out, NULL);
    print_message("fooled: fgsm %d, pgd %d, apgd-ce %d, apgd-t %d of %d\n", by_fgsm, by_pgd, by_apgd, by_aimed, IMAGES);
    assert_true(by_pgd >= by_fgsm && by_apgd + 2 >= by_pgd && by_aimed + 2 >= by_pgd);
    pgd.eps = .3;
    assert_true(run(&pgd, out, NULL) > by_pgd);
    pgd.eps = 1e-6;
    assert_int_equal(run(&pgd, out, NULL), 0);
}

static void an_image_s_attack_depends_on_nothing_but_seed_and_item(void **state)
{
    (void)state;
    static float together[CLASSIFY_BATCH][N], alone[N];
    for (int k = 0; k < N_ATTACK; k++) {
        const struct attack how = short_one(k, EPS);
        struct attacked out[CLASSIFY_BATCH], one;
        OK(attacker_run(a, &how, image[8], label + 8, 8, CLASSIFY_BATCH, out, together[0], &err));
        for (int i = 0; i < CLASSIFY_BATCH; i += 3) {
            OK(attacker_run(a, &how, image[8 + i], label + 8 + i, 8 + i, 1, &one, alone, &err));
            assert_int_equal(one.fooled, out[i].fooled);
            assert_int_equal(one.class_found, out[i].class_found);
            assert_int_equal(one.n_query, out[i].n_query);
            assert_memory_equal(alone, together[i], sizeof alone);
        }
    }
}

static void an_image_that_is_wrong_already_is_fooled_by_no_query(void **state)
{
    (void)state;
    const struct attack how = short_one(ATTACK_PGD, .1);
    const int32_t other = (label[0] + 1) % K;
    struct attacked out;
    OK(attacker_run(a, &how, image[0], &other, 0, 1, &out, NULL, &err));
    assert_true(out.fooled && out.n_query == 0 && out.class_found == label[0]);
}

static void wrong_settings_and_labels_are_named(void **state)
{
    (void)state;
    struct attacked out;
    struct attack how = short_one(ATTACK_PGD, .1);
    assert_int_equal(attacker_run(a, &how, image[0], &(int32_t){ K }, 41, 1, &out, NULL, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "image 41 has label 7, expected 0 to 6"));
    static const double eps[] = { 0, -1, 1.5, NAN };
    for (size_t i = 0; i < sizeof eps / sizeof *eps; i++) {
        how.eps = eps[i];
        assert_int_equal(attacker_run(a, &how, image[0], label, 0, 1, &out, NULL, &err), ERR_USAGE);
    }
    for (int k = 0; k < N_ATTACK; k++)
        assert_int_equal(attack_find(attack_name(k)), k);
    assert_int_equal(attack_find("fab"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slopes_are_those_of_the_loss),
        cmocka_unit_test(what_is_found_fools_the_model_within_the_ball),
        cmocka_unit_test(more_steps_and_a_larger_ball_fool_more),
        cmocka_unit_test(an_image_s_attack_depends_on_nothing_but_seed_and_item),
        cmocka_unit_test(an_image_that_is_wrong_already_is_fooled_by_no_query),
        cmocka_unit_test(wrong_settings_and_labels_are_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
