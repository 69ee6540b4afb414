/* test_dup.c - signatures as datatrove makes them (tests/golden/minhash.json, tools/golden/minhash.py). */
#include <jansson.h>
#include "../test.h"
#include "audit/minhash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "cpu/kernels.h"

static struct err err;
static json_t *golden;

static uint64_t number(const json_t *a, size_t i) { return (uint64_t)json_integer_value(json_array_get(a, i)); }

static struct minhash *minhash_by(const char *opts)
{
    const json_t *o = json_object_get(golden, opts);
    const struct minhash_opts by = { .n_gram = (int)number(o, 0), .n_band = (int)number(o, 1), .n_row = (int)number(o, 2), .seed = (uint32_t)number(o, 3) };
    struct minhash *m;
    OK(minhash_new(&m, &by, &err));
    return m;
}

static uint64_t *numbers_of(const json_t *a)
{
    uint64_t *x = mem_alloc_array(json_array_size(a) + 1, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < json_array_size(a); i++)
        x[i] = number(a, i);
    return x;
}

/* x -> a*x + b, over all the permutations that NumPy drew; a signature of x = 0 is b, of x = 1 is a + b. */
static void permutations_are_numpys(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct minhash *m = minhash_by(i ? "other_opts" : "opts");
        const json_t *perms = json_object_get(golden, i ? "other_permutations" : "permutations"), *a = json_object_get(perms, "a"), *b = json_object_get(perms, "b");
        uint64_t *sig = mem_alloc_array(minhash_room(m), sizeof *sig);
        assert_int_equal(minhash_n_value(m), json_array_size(a));
        for (uint64_t x = 0; x < 2; x++) {
            minhash_clear(m, sig);
            minhash_add(m, 1, &x, sig);
            for (int j = 0; j < minhash_n_value(m); j++)
                assert_int_equal(sig[j], (x * number(a, (size_t)j) + number(b, (size_t)j)) % MINHASH_NONE);
        }
        mem_free(sig);
        minhash_free(m);
    }
}

static void check_signature(const struct minhash *m, const uint64_t *shingle, size_t n, const json_t *want)
{
    uint64_t *sig = mem_alloc_array(minhash_room(m), sizeof *sig), *band = mem_alloc_array((size_t)minhash_opts(m)->n_band, sizeof *band);
    minhash_clear(m, sig);
    minhash_add(m, n / 3, shingle, sig);
    minhash_add(m, n - n / 3, shingle + n / 3, sig);
    for (int j = 0; j < minhash_n_value(m); j++)
        assert_int_equal(sig[j], json_array_size(want) ? number(want, (size_t)j) : MINHASH_NONE);
    minhash_bands(m, sig, band);
    for (int i = 0; i < minhash_opts(m)->n_band; i++)
        assert_true(!band[i] == !n);
    mem_free(sig);
    mem_free(band);
}

static void signatures_of_shingles_are_datatroves(void **state)
{
    (void)state;
    struct minhash *m = minhash_by("opts");
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(golden, "alone"), i, c) {
        const uint64_t x = (uint64_t)json_integer_value(json_object_get(c, "x"));
        check_signature(m, &x, 1, json_object_get(c, "sig"));
    }
    json_array_foreach(json_object_get(golden, "cases"), i, c) {
        uint64_t *x = numbers_of(json_object_get(c, "shingles"));
        check_signature(m, x, json_array_size(json_object_get(c, "shingles")), json_object_get(c, "sig"));
        mem_free(x);
    }
    minhash_free(m);
}

/* The a*x + b that are met once in 2^58 are made on purpose: multiples of 2^61 - 1 and what is around them, each in each place. */
static void every_level_takes_the_rest_as_ref_does(void **state)
{
    (void)state;
    enum { N = 176 };
    uint64_t a[N], b[N], x[40], want[N], got[N];
    for (uint64_t j = 0; j < N; j++)
        a[j] = rng_u64(1, j) % (MERSENNE_61 - 1) | 1, b[j] = rng_u64(2, j) % MERSENNE_61;
    for (uint64_t turn = 0; turn < 9 * 3 * 16; turn++)
        for (int n = 8; n <= N; n += turn % 16 ? N : 8) {
            const uint64_t v = turn % 9 * MERSENNE_61 + turn / 9 % 3 - 1, j = rng_u64(3, turn) % (uint64_t)n, n_x = turn % 41;
            uint64_t inverse = a[j];
            for (int i = 0; i < 6; i++)
                inverse *= 2 - a[j] * inverse;
            for (uint64_t i = 0; i < n_x; i++)
                x[i] = rng_u64(4 + turn, i);
            if (n_x)
                x[rng_u64(5, turn) % n_x] = (v - b[j]) * inverse;
            const struct minhash_perms p = { n, a, b };
            for (const struct cpu_kernels *const *k = cpu_levels(); *k; k++) {
                for (int i = 0; i < N; i++)
                    want[i] = got[i] = MERSENNE_61;
                cpu_levels()[0]->minhash(&p, n_x, x, want);
                (*k)->minhash(&p, n_x, x, got);
                if (memcmp(want, got, sizeof want))
                    fail_msg("%s: %d permutations of %d numbers, one of them %llu before the rest is taken", (*k)->level, n, (int)n_x, (unsigned long long)v);
            }
        }
}

static void numbers_outside_the_limits_are_refused(void **state)
{
    (void)state;
    static const struct { int n_gram, n_band, n_row; } bad[] = { { 0, 14, 8 }, { 65, 14, 8 }, { 5, 0, 8 }, { 5, 14, 0 }, { 5, 1025, 1 }, { 5, 2, 513 }, { 5, 65536, 65536 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct minhash *m;
        assert_int_equal(minhash_new(&m, &(struct minhash_opts){ bad[i].n_gram, bad[i].n_band, bad[i].n_row, 1 }, &err), ERR_RANGE);
        assert_null(m);
    }
}

static int load(void **state)
{
    (void)state;
    return tree_load(&golden, "tests/golden/minhash.json", 1 << 20, &err);
}
static int unload(void **state)
{
    (void)state;
    json_decref(golden);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permutations_are_numpys),
        cmocka_unit_test(signatures_of_shingles_are_datatroves),
        cmocka_unit_test(every_level_takes_the_rest_as_ref_does),
        cmocka_unit_test(numbers_outside_the_limits_are_refused),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
