/* test.h - what the test programs share: cmocka, OK, a folder of the program's own, and data that is not part of the project. */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"

/* Under which sanitizer the program runs: gcc says it by macros, clang by features. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define UNDER_ADDRESS 1
#else
#define UNDER_ADDRESS 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define UNDER_THREAD 1
#else
#define UNDER_THREAD 0
#endif

/* For calls that fill `err`. */
#define OK(expr)                                \
    do {                                        \
        if ((expr) < 0)                         \
            fail_msg("%s: %s", #expr, err.msg); \
    } while (0)

#define SHARED_BY_TESTS static __attribute__((unused))

/* ---- a folder, by set-up and tear-down of a group or of a test ---- */

SHARED_BY_TESTS char test_dir[48];

SHARED_BY_TESTS int make_dir(void **state)
{
    (void)state;
    const char *root = getenv("LATHE_TEST_DIR");                  /* tools/run-tests: in memory, where there is room, as much of what tests do waits for a disk */
    const int n = snprintf(test_dir, sizeof test_dir, "%s/lathe-test-XXXXXX", root ? root : "/tmp");
    return n < (int)sizeof test_dir && mkdtemp(test_dir) ? 0 : -1;
}

SHARED_BY_TESTS int remove_dir(void **state)
{
    (void)state;
    return file_remove_tree(test_dir, NULL);
}

/* FOLDER/NAME, good until eight more were asked for.  noinline: gcc would take the eight for one and warn of an overlap. */
SHARED_BY_TESTS __attribute__((noinline)) char *path_in(const char *folder, const char *name)
{
    static char path[8][1000];
    static int which;
    which = (which + 1) % 8;
    snprintf(path[which], sizeof path[which], "%.400s/%.500s", folder, name);
    return path[which];
}

SHARED_BY_TESTS char *in_dir(const char *name) { return path_in(test_dir, name); }

/* A text as a file of that folder, and the folders on the way to it. */
SHARED_BY_TESTS __attribute__((noinline)) void put_in_dir(const char *name, const char *text)
{
    struct err err;
    char folder[1000];
    snprintf(folder, sizeof folder, "%s", in_dir(name));
    *strrchr(folder, '/') = 0;
    OK(file_mkdirs(folder, &err));
    OK(file_write_all(in_dir(name), text, strlen(text), &err));
}

/* What commands keep in the user's cache folder, this machine's limits before all, they keep in $LATHE_TEST_CACHE, which run-tests gives to all programs, so that
 * they are measured once; or else in the test's folder. */
SHARED_BY_TESTS void cache_of_tests(void)
{
    const char *folder = getenv("LATHE_TEST_CACHE");
    setenv("XDG_CACHE_HOME", folder ? folder : test_dir, 1);
}

/* ---- data beside the project: $LATHE_SHARED, or ../shared/data ---- */

/* Sanitizers see who writes what and where, five to twenty times slower: loops over data need fewer turns under them than those that look at the data. */
#if UNDER_THREAD || UNDER_ADDRESS
#define FEWER(all, few) (few)
#else
#define FEWER(all, few) (all)
#endif

/* A file or folder there; where it is missing the test says so and is skipped. */
SHARED_BY_TESTS const char *shared(const char *name)
{
    const char *root = getenv("LATHE_SHARED"), *path = path_in(root ? root : "../shared/data", name);
    if (!file_exists(path)) {
        print_message("SKIPPED: %s is not here\n", path);
        skip();
    }
    return path;
}
#endif
