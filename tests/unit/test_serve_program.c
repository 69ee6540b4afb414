/* test_serve_program.c - this program run again beside a server: here it is the test, which does what its first word says. */
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>
#include "../test.h"
#include "base/file.h"
#include "base/mem.h"
#include "cmd/serve_program.h"

static struct err err;

static int work(char **argv)
{
    const char *what = argv[1];
    if (!strcmp(what, "say")) {
        printf("out %s %s nice %d\n", argv[2], getenv("LATHE_ACTOR"), getpriority(PRIO_PROCESS, 0));
        fprintf(stderr, "log\n");
        return 3;
    }
    if (!strcmp(what, "deaf"))
        signal(SIGTERM, SIG_IGN);
    if (!strcmp(what, "write"))
        for (;;)
            if (puts("more and more") < 0)
                return 1;
    for (;;)
        pause();
}

static int run(const char *what, const char *actor, double seconds, uint64_t bytes, bool stopped, int *code)
{
    char dir[300];
    char *argv[] = { "lathe", (char *)(uintptr_t)what, "word", NULL };
    atomic_bool stop = stopped;
    snprintf(dir, sizeof dir, "%s", in_dir("."));
    return serve_program_run(NULL, &(struct server_program){ .folder = dir, .argv = argv, .out = "out", .log = "log", .actor = actor, .stop = &stop, .seconds_most = seconds, .bytes_most = bytes }, code, &err);
}

static void check_file(const char *name, const char *text)
{
    struct file_map map;
    OK(file_map_open(&map, in_dir(name), &err));
    assert_true(map.size == strlen(text) && !memcmp(map.data, text, map.size));
    file_map_close(&map);
}

static void test_what_it_prints_and_says_and_how_it_ends(void **state)
{
    (void)state;
    int code;
    OK(run("say", "ann", 0, 0, false, &code));
    assert_int_equal(code, 3);
    check_file("out", "out word ann nice 15\n");
    check_file("log", "log\n");
    OK(run("say", NULL, 60, 1000, false, &code));
    check_file("out", "out word  nice 15\n");
}

static void test_one_that_is_stopped_ends(void **state)
{
    (void)state;
    int code;
    OK(run("wait", "ann", 0, 0, true, &code));
    assert_int_equal(code, 128 + SIGTERM);
}

static void test_one_over_its_time_is_ended(void **state)
{
    (void)state;
    int code;
    assert_int_equal(run("wait", NULL, 0.1, 0, false, &code), ERR_STOPPED);
    assert_string_equal(err.msg, "it took longer than 0.1 s, and was ended");
    assert_int_equal(run("deaf", NULL, 0.1, 0, false, &code), ERR_STOPPED);
}

static void test_one_that_writes_too_much_is_ended(void **state)
{
    (void)state;
    int code;
    OK(run("write", NULL, 0, 100000, false, &code));
    assert_int_equal(code, 128 + SIGXFSZ);
    struct file_usage u;
    OK(file_usage(in_dir("out"), &u, &err));
    assert_true(u.bytes <= 100000);
}

static void test_a_folder_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    int code;
    char *argv[] = { "lathe", "say", NULL };
    atomic_bool stop = false;
    assert_true(serve_program_run(NULL, &(struct server_program){ .folder = "/nowhere", .argv = argv, .out = "out", .log = "log", .stop = &stop }, &code, &err) < 0);
}

int main(int n, char **argv)
{
    if (n > 1 && !strcmp(argv[0], "lathe"))
        return work(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_it_prints_and_says_and_how_it_ends),
        cmocka_unit_test(test_one_that_is_stopped_ends),
        cmocka_unit_test(test_one_over_its_time_is_ended),
        cmocka_unit_test(test_one_that_writes_too_much_is_ended),
        cmocka_unit_test(test_a_folder_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
