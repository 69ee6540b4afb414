/* The file of what this machine can do: kept, damaged, and measured while others had the machine. */
#include <stdlib.h>
#include "../test.h"
#include "nn/limits.h"

static struct err err;
static struct pool *pool;

static struct limits measured(void)
{
    struct limits l;
    OK(limits_measure(&l, pool, &err));
    return l;
}

static void keep(struct limits l, double times)
{
    l.f32 *= times, l.bf16 *= times, l.int8 *= times;
    OK(limits_save(&l, &err));
}

static void what_was_kept_is_loaded_for_its_threads_alone(void **state)
{
    (void)state;
    struct limits l;
    OK(file_remove_tree(in_dir("lathe"), NULL));
    assert_int_equal(limits_load(&l, 2, &err), ERR_NOTFOUND);
    const struct limits was = measured();
    assert_true(was.f32 > 0 && was.bf16 > 0 && was.int8 > 0 && was.read > 0 && was.read_cache > 0 && was.cache_bytes > 0);
    keep(was, 1);
    OK(limits_load(&l, 2, &err));
    assert_true(l.f32 == was.f32 && l.bf16 == was.bf16 && l.int8 == was.int8 && l.read == was.read && l.read_cache == was.read_cache && l.cache_bytes == was.cache_bytes);
    assert_int_equal(limits_load(&l, 3, &err), ERR_NOTFOUND);
}

/* A machine that others have may give a tenth; none gives a thousand times as much. */
static void limits_that_the_machine_outdoes_are_measured_anew(void **state)
{
    (void)state;
    struct limits l, kept;
    const struct limits was = measured();
    keep(was, 1e-3);
    OK(limits_get(&l, pool, &err));
    assert_true(l.f32 > 10e-3 * was.f32 && l.bf16 > 10e-3 * was.bf16 && l.int8 > 10e-3 * was.int8);
    OK(limits_load(&kept, 2, &err));
    assert_true(kept.bf16 == l.bf16);
    keep(was, 1e3);
    OK(limits_get(&l, pool, &err));
    assert_true(l.bf16 == 1e3 * was.bf16);
}

static void a_damaged_file_is_written_anew(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "{}", "[1, {\"cpu\": 3}]", "not json", "[{\"cpu\": \"x\", \"level\": \"y\", \"threads\": 2, \"f32\": -1}]" };
    struct limits l;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        put_in_dir("lathe/limits.json", texts[i]);
        assert_true(limits_load(&l, 2, &err) < 0);
        OK(limits_get(&l, pool, &err));
        OK(limits_load(&l, 2, &err));
    }
}

static int set_up(void **state)
{
    if (make_dir(state))
        return -1;
    setenv("XDG_CACHE_HOME", test_dir, 1);
    return pool_new(&pool, 2, &err);
}

static int tear_down(void **state)
{
    pool_free(pool);
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_was_kept_is_loaded_for_its_threads_alone), cmocka_unit_test(limits_that_the_machine_outdoes_are_measured_anew),
                                        cmocka_unit_test(a_damaged_file_is_written_anew) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
