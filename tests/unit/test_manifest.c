/* test_manifest.c - files in OpenSSF Model Signing's order, and the digest of all of them. */
#include "../test.h"
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/pool.h"
#include "store/manifest.h"

static struct err err;

static void read_all(struct manifest *m, const char *const *skip, char root[SHA256_HEX])
{
    OK(manifest_list(m, test_dir, skip, false, &err));
    OK(manifest_hash(m, test_dir, &err));
    OK(manifest_root(m, root, &err));
}

/* The root by tools of others: for each name, as its own contents, in the order of sorted(names, key=pathlib.PurePosixPath),
 * sha256(b"".join(sha256(name).digest() ...)).hexdigest() of Python's hashlib. */
static void files_are_sorted_by_the_parts_of_their_paths(void **state)
{
    (void)state;
    static const char *const order[] = { "a/b", "a/b-c", "a/b.c/z", "a-b", "a.txt", "ab/x/y", "ab0", "\xc3\xa4" };
    enum { N = sizeof order / sizeof *order };
    for (int i = N; i-- > 0;)
        put_in_dir(order[i], order[i]);
    struct manifest m;
    char root[SHA256_HEX];
    read_all(&m, NULL, root);
    assert_int_equal(m.n, N);
    for (int i = 0; i < N; i++) {
        assert_string_equal(m.file[i].name, order[i]);
        assert_int_equal(m.file[i].bytes, strlen(order[i]));
    }
    assert_string_equal(root, "55a0a7864cfb2249a149ca3d5a6dcc34ee6c2271f0cc54ce8420f00efe1aa065");
    assert_non_null(manifest_find(&m, "ab/x/y"));
    assert_null(manifest_find(&m, "ab/x"));
    assert_int_equal(manifest_bytes(&m), 3 + 5 + 7 + 3 + 5 + 6 + 3 + 2);
    manifest_release(&m);
}

static void a_single_file_has_the_path_of_a_point(void **state)
{
    (void)state;
    put_in_dir("x", "one");
    struct manifest m;
    char root[SHA256_HEX];
    OK(manifest_list(&m, in_dir("x"), NULL, false, &err));
    OK(manifest_hash(&m, in_dir("x"), &err));
    OK(manifest_root(&m, root, &err));
    assert_int_equal(m.n, 1);
    assert_string_equal(m.file[0].name, ".");
    assert_string_equal(root, "fe8d7a873dc48961a6af334c996b2cb3ce37149d5ce9c9253952a54c6a92c1ad");
    char *path = manifest_path("/a/x", m.file[0].name);
    assert_string_equal(path, "/a/x");
    mem_free(path);
    manifest_release(&m);
}

static void what_git_keeps_a_signature_and_what_is_skipped_are_no_part_of_it(void **state)
{
    (void)state;
    static const char *const skip[] = { "out", "b/c", "nothing", NULL };
    put_in_dir(".git/config", "x"), put_in_dir(".gitignore", "x"), put_in_dir(".gitattributes", "x"), put_in_dir(".github/y", "x"), put_in_dir("model.sig", "x");
    put_in_dir("out/1", "x"), put_in_dir("out/deep/2", "x"), put_in_dir("b/c", "x"), put_in_dir("b/d", "x"), put_in_dir("b/.gitignore", "x"), put_in_dir("b/model.sig", "x");
    struct manifest m;
    OK(manifest_list(&m, test_dir, skip, false, &err));
    assert_int_equal(m.n, 3);
    assert_string_equal(m.file[0].name, "b/.gitignore");
    assert_string_equal(m.file[1].name, "b/d");
    assert_string_equal(m.file[2].name, "b/model.sig");
    manifest_release(&m);
}

static void nothing_to_list_is_an_error(void **state)
{
    (void)state;
    struct manifest m;
    assert_int_equal(manifest_list(&m, in_dir("none"), NULL, false, &err), ERR_NOTFOUND);
    assert_int_equal(manifest_list(&m, test_dir, NULL, false, &err), ERR_NOTFOUND);
    put_in_dir("model.sig", "x");
    OK(file_mkdirs(in_dir("empty/empty"), &err));
    assert_int_equal(manifest_list(&m, test_dir, NULL, false, &err), ERR_NOTFOUND);
    assert_null(m.file);
}

static void links_are_followed_to_files_or_refused(void **state)
{
    (void)state;
    struct manifest m;
    put_in_dir("x", "one");
    assert_int_equal(symlink("x", in_dir("y")), 0);
    assert_int_equal(manifest_list(&m, test_dir, NULL, false, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "/y is a symbolic link"));
    assert_int_equal(manifest_list(&m, in_dir("y"), NULL, false, &err), ERR_UNSUPPORTED);
    OK(manifest_list(&m, test_dir, NULL, true, &err));
    assert_int_equal(m.n, 2);
    assert_int_equal(m.file[1].bytes, 3);
    manifest_release(&m);
    OK(manifest_list(&m, in_dir("y"), NULL, true, &err));
    assert_int_equal(m.file[0].bytes, 3);
    manifest_release(&m);
    assert_int_equal(symlink(".", in_dir("z")), 0);
    assert_int_equal(manifest_list(&m, test_dir, NULL, true, &err), ERR_UNSUPPORTED);
    assert_int_equal(unlink(in_dir("z")), 0);
    assert_int_equal(symlink("nowhere", in_dir("z")), 0);
    assert_int_equal(manifest_list(&m, test_dir, NULL, true, &err), ERR_NOTFOUND);
    assert_int_equal(unlink(in_dir("z")), 0);
    assert_int_equal(mkfifo(in_dir("z"), 0600), 0);
    assert_int_equal(manifest_list(&m, test_dir, NULL, true, &err), ERR_UNSUPPORTED);
    assert_int_equal(manifest_list(&m, in_dir("z"), NULL, true, &err), ERR_UNSUPPORTED);
}

static void a_name_that_no_other_system_reads_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "a\nb", "a\\b", "\xff" };
    struct manifest m;
    for (int i = 0; i < 3; i++) {
        put_in_dir(bad[i], "x");
        assert_int_equal(manifest_list(&m, test_dir, NULL, false, &err), ERR_FORMAT);
        assert_int_equal(unlink(in_dir(bad[i])), 0);
    }
}

static void it_goes_into_json_and_back(void **state)
{
    (void)state;
    put_in_dir("x", "one"), put_in_dir("y/z", "two");
    struct manifest m, back;
    char root[SHA256_HEX], again[SHA256_HEX];
    read_all(&m, NULL, root);
    json_t *list = manifest_json(&m);
    OK(manifest_parse(&back, list, &err));
    OK(manifest_root(&back, again, &err));
    assert_string_equal(root, again);
    assert_int_equal(back.n, 2);
    json_decref(list);
    manifest_release(&back);
    manifest_release(&m);
}

#define D "'sha256': 'fe8d7a873dc48961a6af334c996b2cb3ce37149d5ce9c9253952a54c6a92c1ad'"

static void a_list_that_was_changed_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}", "[]", "[1]", "[{}]", "[{'bytes': 1, 'name': 'x'}]", "[{'bytes': -1, 'name': 'x', " D "}]", "[{'bytes': 1.5, 'name': 'x', " D "}]",
        "[{'bytes': 1, 'name': '../x', " D "}]", "[{'bytes': 1, 'name': '/x', " D "}]", "[{'bytes': 1, 'name': '', " D "}]", "[{'bytes': 1, 'name': 'x', " D ", 'y': 1}]",
        "[{'bytes': 1, 'name': 'x', 'sha256': 'fe8d'}]", "[{'bytes': 1, 'name': 'x', 'sha256': 'FE8D7A873DC48961A6AF334C996B2CB3CE37149D5CE9C9253952A54C6A92C1AD'}]",
        "[{'bytes': 1, 'name': 'x', " D "}, {'bytes': 1, 'name': 'x', " D "}]", "[{'bytes': 1, 'name': 'y', " D "}, {'bytes': 1, 'name': 'x', " D "}]",
        "[{'bytes': 1, 'name': 'a.b', " D "}, {'bytes': 1, 'name': 'a/b', " D "}]", "[{'bytes': 1, 'name': '.', " D "}, {'bytes': 1, 'name': 'x', " D "}]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[600];
        snprintf(text, sizeof text, "%s", bad[i]);
        for (char *p = text; *p; p++)
            *p = *p == '\'' ? '"' : *p;
        json_t *list = json_loads(text, 0, NULL);
        assert_non_null(list);
        struct manifest m;
        if (manifest_parse(&m, list, &err) != ERR_FORMAT)
            fail_msg("%s was taken", bad[i]);
        json_decref(list);
    }
}

static void the_roots_are_those_that_others_signed(void **state)
{
    (void)state;
    static const struct { const char *folder, *root; } signed_by_others[] = {
        { "v1.1.0-certificate", "61d4849d9d90076d6215f4d525f13d6574af8e3f67aef3e6f36fc40a14fdd226" },
        { "v1.0.0-sigstore", "61d4849d9d90076d6215f4d525f13d6574af8e3f67aef3e6f36fc40a14fdd226" },
        { "v1.0.0-elliptic-key/signme-1", "afa48c8674afe334b8a7dea34f7b46ab256e9255edf8da2132792341b667a45b" },
        { "v1.1.0-elliptic-key", "92745110b1ab4368471cbe31664e10174e954b113a3df333db860317b2c6dec4" },
    };
    static const char *const skip[] = { "ignore-me", NULL };
    char all[500];
    snprintf(all, sizeof all, "%s", shared("governance-signed-models"));
    for (size_t i = 0; i < sizeof signed_by_others / sizeof *signed_by_others; i++) {
        struct manifest m;
        char root[SHA256_HEX];
        const char *path = path_in(all, signed_by_others[i].folder);
        OK(manifest_list(&m, path, skip, false, &err));
        OK(manifest_hash(&m, path, &err));
        OK(manifest_root(&m, root, &err));
        assert_string_equal(root, signed_by_others[i].root);
        manifest_release(&m);
    }
}

/* By model_signing 1.1.1: hashing.Config().use_shard_serialization(shard_size=8).hash(FOLDER), and SHA-256 over its digests. */
static void shards_give_the_root_that_others_compute(void **state)
{
    (void)state;
    static const uint64_t start[] = { 0, 8, 16, 0, 0 }, bytes[] = { 8, 8, 1, 2, 8 };
    put_in_dir("a/b", "0123456789abcdefg"), put_in_dir("a.txt", "xy"), put_in_dir("empty", ""), put_in_dir("z", "12345678");
    struct pool *pool;
    OK(pool_new(&pool, 3, &err));
    for (int threads = 0; threads < 2; threads++) {
        struct manifest m;
        char root[SHA256_HEX];
        OK(manifest_list(&m, test_dir, NULL, false, &err));
        OK(manifest_split(&m, 8, &err));
        OK(manifest_hash_by(&m, test_dir, threads ? pool : NULL, &err));
        OK(manifest_root(&m, root, &err));
        assert_int_equal(m.n, 5);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(m.file[i].start, start[i]);
            assert_int_equal(m.file[i].bytes, bytes[i]);
        }
        assert_string_equal(m.file[2].name, "a/b");
        assert_string_equal(root, "e6b00ac9b7f08eace98dee6e7fbfabcf4fd876a304057d442457873a4de0958e");
        assert_int_equal(manifest_split(&m, 0, &err), ERR_RANGE);
        manifest_release(&m);
    }
    pool_free(pool);
}

static void threads_give_the_same_digests_and_name_the_first_file_that_changed(void **state)
{
    (void)state;
    char name[16], one[SHA256_HEX], many[SHA256_HEX];
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "f%02d", i);
        put_in_dir(name, name);
    }
    struct manifest m, again;
    struct pool *pool;
    OK(pool_new(&pool, 4, &err));
    read_all(&m, NULL, one);
    manifest_release(&m);
    OK(manifest_list(&m, test_dir, NULL, false, &err));
    OK(manifest_hash_by(&m, test_dir, pool, &err));
    OK(manifest_root(&m, many, &err));
    assert_string_equal(one, many);
    manifest_release(&m);
    OK(manifest_list(&m, test_dir, NULL, false, &err));
    put_in_dir("f33", "longer"), put_in_dir("f17", "longer"), put_in_dir("f18", "x");
    assert_int_equal(manifest_hash_by(&m, test_dir, pool, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "f17"));
    manifest_release(&m);
    OK(manifest_list(&m, test_dir, NULL, false, &err));
    OK(manifest_list(&again, test_dir, NULL, false, &err));
    assert_int_equal(unlink(in_dir("f20")), 0);
    assert_int_equal(manifest_hash_by(&m, test_dir, pool, &err), ERR_NOTFOUND);
    assert_int_equal(manifest_hash(&again, test_dir, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "f20"));
    manifest_release(&m), manifest_release(&again);
    pool_free(pool);
}

static void a_stamp_tells_that_a_file_was_changed(void **state)
{
    (void)state;
    put_in_dir("x", "one"), put_in_dir("y", "two");
    struct manifest m;
    char was[SHA256_HEX], now[SHA256_HEX];
    int64_t newest, later;
    OK(manifest_list(&m, test_dir, NULL, false, &err));
    OK(manifest_stamp(&m, test_dir, was, &newest, &err));
    OK(manifest_stamp(&m, test_dir, now, &later, &err));
    assert_string_equal(was, now);
    assert_int_equal(newest, later);
    OK(file_write_all(in_dir("y"), "TWO", 3, &err));           /* another inode */
    OK(manifest_stamp(&m, test_dir, now, &later, &err));
    assert_string_not_equal(was, now);
    assert_int_equal(unlink(in_dir("y")), 0);
    assert_true(manifest_stamp(&m, test_dir, now, &later, &err) < 0);
    manifest_release(&m);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        T(files_are_sorted_by_the_parts_of_their_paths),
        T(a_single_file_has_the_path_of_a_point),
        T(what_git_keeps_a_signature_and_what_is_skipped_are_no_part_of_it),
        T(nothing_to_list_is_an_error),
        T(links_are_followed_to_files_or_refused),
        T(a_name_that_no_other_system_reads_is_refused),
        T(it_goes_into_json_and_back),
        T(a_list_that_was_changed_is_refused),
        T(the_roots_are_those_that_others_signed),
        T(shards_give_the_root_that_others_compute),
        T(threads_give_the_same_digests_and_name_the_first_file_that_changed),
        T(a_stamp_tells_that_a_file_was_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
