/* test_verified.c - models are verified before they are loaded: all that may be loaded, and again after a change. */
#include "../test.h"
#include <unistd.h>
#include "store/verified.h"

static struct err err;

static int set_up(void **state)
{
    make_dir(state);
    OK(pki_make(in_dir("k"), "P-256", NULL, &err));
    put_in_dir("m/x-00001-of-00002.gguf", "one"), put_in_dir("m/x-00002-of-00002.gguf", "two"), put_in_dir("m/y.gguf", "alone"), put_in_dir("m/notes/a", "a");
    return 0;
}

static void sign(const char *const *ignore)
{
    char root[SHA256_HEX];
    const struct oms_sign how = { .key = in_dir("k.key"), .ignore = ignore };
    OK(oms_sign(in_dir("m"), &how, NULL, root, &err));
}

static int load(const char *name)
{
    struct verified v;
    const int rc = verified_model(&v, in_dir(name), in_dir("k.pub"), NULL, NULL, in_dir("cache"), NULL, &err);
    assert_true(rc || (strlen(v.root) == SHA256_HEX - 1 && !strncmp(v.identity, "sha256:", 7)));
    return rc;
}

static void what_is_not_signed_is_not_found(void **state)
{
    (void)state;
    assert_int_equal(load("m"), ERR_NOTFOUND);
    assert_int_equal(load("m/y.gguf"), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "not signed"));
}

static void a_file_in_pieces_is_looked_at_with_all_of_them(void **state)
{
    (void)state;
    sign(NULL);
    assert_int_equal(load("m"), 0);
    assert_int_equal(load("m/x-00001-of-00002.gguf"), 0);
    assert_int_equal(load("m/y.gguf"), 0);
    put_in_dir("m/x-00002-of-00002.gguf", "TWO");
    assert_int_equal(load("m/x-00001-of-00002.gguf"), ERR_GATE);
    assert_int_equal(load("m"), ERR_GATE);
    assert_int_equal(load("m/y.gguf"), 0);                        /* loaded alone */
    put_in_dir("m/y.gguf", "Alone");
    assert_int_equal(load("m/y.gguf"), ERR_GATE);
    assert_non_null(strstr(err.msg, "'y.gguf' is changed"));
}

static void nothing_that_the_signature_leaves_out_may_be_there(void **state)
{
    (void)state;
    static const char *const ignore[] = { "notes", NULL };
    sign(ignore);
    assert_int_equal(load("m"), ERR_GATE);
    assert_non_null(strstr(err.msg, "'notes/a' is ignored"));
    unlink(in_dir("m/notes/a"));
    assert_int_equal(load("m"), 0);
}

static void each_change_of_times_and_inodes_is_looked_at_again(void **state)
{
    (void)state;
    sign(NULL);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(load("m"), 0);
        put_in_dir("m/y.gguf", "ALONE");                                 /* as long as it was, at once */
        assert_int_equal(load("m"), ERR_GATE);
        put_in_dir("m/y.gguf", "alone");
    }
    put_in_dir("m/model.sig", "{}");
    assert_int_equal(load("m"), ERR_FORMAT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, remove_dir)
    const struct CMUnitTest tests[] = {
        T(what_is_not_signed_is_not_found),
        T(a_file_in_pieces_is_looked_at_with_all_of_them),
        T(nothing_that_the_signature_leaves_out_may_be_there),
        T(each_change_of_times_and_inodes_is_looked_at_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
