/* test_audit.c - the audit log: a chain over restarts and new files, disks that are full, and what was charged on a day. */
#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "../test.h"
#include "base/hash.h"
#include "serve/audit.h"

static struct err err;

static void add(struct audit *a, const char *members) { audit_add(a, members, strlen(members)); }

static void nap(void) { nanosleep(&(struct timespec){ 0, 2000000 }, NULL); }

static void wait_for_lines(struct audit *a, uint64_t n)
{
    while (audit_counts(a).n_written < n)
        nap();
}

/* The lines, each checked against the one before; first: the hash that the first line must have. */
static int check_chain(const char *path, const char *first, char last[SHA256_HEX], char text[4096])
{
    char prev[SHA256_HEX], want[100];
    struct buf b;
    int n = 0;
    strcpy(prev, first);
    buf_init(&b);
    OK(file_read(path, 1 << 20, &b, &err));
    snprintf(text, 4096, "%s", b.data);
    for (char *line = b.data, *end; (end = strchr(line, '\n')); line = end + 1, n++) {
        *end = 0;
        snprintf(want, sizeof want, "\"prev\":\"%s\"", prev);
        if (!strstr(line, want)) {
            buf_release(&b);
            return -1;
        }
        OK(sha256_of(line, strlen(line), prev, &err));
    }
    strcpy(last, prev);
    buf_release(&b);
    return n;
}

static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";

static void a_chain_goes_on_over_restarts_and_new_files(void **state)
{
    (void)state;
    struct audit *a;
    struct stat st;
    char path[100], moved[100], last[SHA256_HEX], text[4096];
    strcpy(path, in_dir("log"));
    strcpy(moved, in_dir("log.1"));
    OK(audit_open(&a, path, &err));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    add(a, "\"x\":1");
    add(a, "\"x\":2");
    audit_close(a);
    FILE *f = fopen(path, "a");
    fputs("{\"seq\":3,\"pre", f);                    /* a write that a crash cut off */
    fclose(f);
    OK(audit_open(&a, path, &err));
    add(a, "\"x\":3");
    wait_for_lines(a, 1);
    assert_int_equal(rename(path, moved), 0);
    audit_reopen(a);
    while (!file_exists(path))
        nap();
    add(a, "\"x\":4");
    audit_close(a);
    assert_int_equal(check_chain(moved, zeros, last, text), 3);
    assert_non_null(strstr(text, "{\"seq\":3,"));
    assert_int_equal(check_chain(path, last, last, text), 1);
    assert_true(!strncmp(text, "{\"seq\":4,", 9) && strstr(text, ",\"x\":4}\n"));
    /* a line that is taken out shows, and so does one that is changed */
    struct buf b;
    buf_init(&b);
    OK(file_read(moved, 4096, &b, &err));
    char *second = strchr(b.data, '\n') + 1, *third = strchr(second, '\n') + 1;
    const size_t n = (size_t)(second - b.data);
    second[-3] = '7';                                /* "x":7 */
    OK(file_write_all(moved, b.data, b.len, &err));
    assert_int_equal(check_chain(moved, zeros, last, text), -1);
    second[-3] = '1';
    memmove(second, third, b.len - (size_t)(third - b.data));
    OK(file_write_all(moved, b.data, n + b.len - (size_t)(third - b.data), &err));
    assert_int_equal(check_chain(moved, zeros, last, text), -1);
    buf_release(&b);
    OK(file_write_all(path, "not a log\n", 10, &err));
    assert_int_equal(audit_open(&a, path, &err), ERR_FORMAT);
    assert_null(a);
    assert_int_equal(audit_open(&a, in_dir("no/such/folder"), &err), ERR_NOTFOUND);
}

static void a_last_line_that_is_none_is_refused(void **state)
{
    (void)state;
    static char page[4096 + 1];
    static const char *const others[] = { "{\"seq\":1}\n\n", "{\"seq\":-1}\n", "{\"seq\":9223372036854775807}\n", page };
    struct audit *a;
    snprintf(page, sizeof page, "{\"seq\":%*s\n", 4096 - 8, "");      /* a number that never comes, to the end of the last page of memory */
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        OK(file_write_all(in_dir("other"), others[i], strlen(others[i]), &err));
        assert_int_equal(audit_open(&a, in_dir("other"), &err), ERR_FORMAT);
        assert_null(a);
    }
}

/* --audit with another file's name: it may have no line end for long. */
static void a_file_that_is_no_log_stays_as_it_is(void **state)
{
    (void)state;
    static const char *const others[] = { "GGUF and no line end", "- name: team-a\n  sha256: x", "{\"loss\":1}\n{\"los", "{\"seq\";" };
    struct audit *a;
    char path[100];
    strcpy(path, in_dir("other"));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct buf b;
        buf_init(&b);
        OK(file_write_all(path, others[i], strlen(others[i]), &err));
        assert_int_equal(audit_open(&a, path, &err), ERR_FORMAT);
        OK(file_read(path, 4096, &b, &err));
        assert_string_equal(b.data, others[i]);
        buf_release(&b);
    }
    OK(file_write_all(path, "{\"s", 3, &err));        /* the first line of a log, torn */
    OK(audit_open(&a, path, &err));
    audit_close(a);
}

static void a_log_has_one_writer(void **state)
{
    (void)state;
    struct audit *a, *b;
    char path[100], last[SHA256_HEX], text[4096];
    strcpy(path, in_dir("one"));
    OK(audit_open(&a, path, &err));
    add(a, "\"x\":1");
    wait_for_lines(a, 1);
    assert_int_equal(audit_open(&b, path, &err), ERR_BUSY);
    assert_non_null(strstr(err.msg, "of its own"));
    audit_reopen(a);                                 /* which was not moved away */
    add(a, "\"x\":2");
    wait_for_lines(a, 2);
    assert_int_equal(audit_open(&b, path, &err), ERR_BUSY);
    audit_close(a);
    OK(audit_open(&b, path, &err));
    audit_close(b);
    assert_int_equal(check_chain(path, zeros, last, text), 2);
}

static void a_full_disk_is_waited_for_and_what_is_too_much_is_counted(void **state)
{
    (void)state;
    struct audit *a;
    char path[100], last[SHA256_HEX], text[4096];
    static char much[1 << 20];
    strcpy(path, in_dir("full"));
    OK(audit_open(&a, path, &err));
    add(a, "\"x\":1");
    wait_for_lines(a, 1);
    assert_true(audit_works(a));
    file_fail_between(0, INT64_MAX, ENOSPC);
    add(a, "\"x\":2");
    while (audit_works(a))
        nap();
    add(a, "\"x\":3");
    memset(much, ' ', sizeof much);
    memcpy(much, "\"much\":1,", 9);
    memcpy(much + sizeof much - 4, "\"y\":", 4);
    for (int i = 0; i < 9; i++)                      /* of 1 MB, which is no line, but nobody reads it */
        audit_add(a, much, sizeof much);
    assert_true(audit_counts(a).n_lost >= 1 && audit_counts(a).n_written == 1);
    const uint64_t lost = audit_counts(a).n_lost;
    file_fail_at(-1, 0);
    audit_reopen(a);                                 /* tries at once */
    wait_for_lines(a, 3 + 9 - lost);
    assert_true(audit_works(a));
    audit_close(a);
    struct buf b;
    char want[40];
    buf_init(&b);
    OK(file_read(path, 64 << 20, &b, &err));
    snprintf(want, sizeof want, "\"lost\":%d,\"x\":2}", (int)lost);
    assert_non_null(strstr(b.data, want));
    assert_non_null(strstr(b.data, ",\"x\":3}"));
    assert_null(strstr(strstr(b.data, want) + 1, "\"lost\""));
    buf_release(&b);
    /* at the end what cannot be written is given up, and the file has whole lines */
    OK(file_write_all(path, "", 0, &err));
    OK(audit_open(&a, path, &err));
    add(a, "\"x\":1");
    wait_for_lines(a, 1);
    file_fail_between(0, INT64_MAX, ENOSPC);
    add(a, "\"x\":2");
    audit_close(a);
    file_fail_at(-1, 0);
    assert_int_equal(check_chain(path, zeros, last, text), 1);
}

struct writer { struct audit *a; pthread_t thread; int i; };

static void *add_many(void *ctx)
{
    const struct writer *w = ctx;
    for (int i = 0; i < 200; i++) {
        char text[32];
        snprintf(text, sizeof text, "\"w\":%d", w->i);
        add(w->a, text);
        if (i % 50 == 0)
            audit_reopen(w->a);
    }
    return NULL;
}

static void many_threads_write_one_chain(void **state)
{
    (void)state;
    struct audit *a;
    struct writer w[4];
    char last[SHA256_HEX], text[4096];
    OK(audit_open(&a, in_dir("many"), &err));
    for (int i = 0; i < 4; i++) {
        w[i] = (struct writer){ .a = a, .i = i };
        assert_int_equal(pthread_create(&w[i].thread, NULL, add_many, &w[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(w[i].thread, NULL);
    audit_close(a);
    assert_int_equal(check_chain(in_dir("many"), zeros, last, text), 800);
}

static void charge(void *ctx, const char *key, int64_t requests, int64_t tokens)
{
    int64_t *sum = ctx;
    if (!strcmp(key, "a"))
        sum[0] += requests, sum[1] += tokens;
    else
        sum[2]++;
}

static void what_was_charged_today_is_found_from_the_end(void **state)
{
    (void)state;
    static const char log[] =
        "{\"seq\":1,\"time\":\"2024-10-04T01:00:00.000Z\",\"key\":\"a\",\"charged_requests\":1,\"charged_tokens\":1000000}\n"      /* behind one of the day before yesterday: not seen */
        "{\"seq\":2,\"time\":\"2024-10-02T23:59:59.000Z\",\"key\":\"a\",\"charged_requests\":1,\"charged_tokens\":100000}\n"
        "{\"seq\":3,\"time\":\"2024-10-03T23:59:59.000Z\",\"key\":\"a\",\"charged_requests\":1,\"charged_tokens\":10000}\n"
        "{\"seq\":4,\"time\":\"2024-10-04T00:00:00.000Z\",\"key\":\"a\",\"charged_requests\":1,\"charged_tokens\":10}\n"
        "{\"seq\":5,\"time\":\"2024-10-03T23:59:59.999Z\",\"key\":\"a\",\"charged_requests\":1,\"charged_tokens\":10000}\n"
        "no JSON\n"
        "{\"seq\":6,\"time\":\"2024-10-04T03:00:00.000Z\",\"key\":\"a\",\"charged_requests\":0,\"charged_tokens\":0}\n"
        "{\"seq\":7,\"time\":\"2024-10-04T04:00:00.000Z\",\"key\":null,\"charged_requests\":1,\"charged_tokens\":7}\n"
        "{\"seq\":8,\"time\":\"2024-10-04T04:00:00.000Z\",\"key\":\"a\",\"charged_requests\":1,\"charged_tokens\":-7}\n"
        "{\"seq\":9,\"time\":\"2024-10-04T05:00:00.000Z\",\"key\":\"b\",\"charged_requests\":1,\"charged_tokens\":7}\n"
        "{\"seq\":10,\"time\":\"2024-10-04T06:00:00.000Z\",\"key\":\"a\",\"charged_requests\":1,\"charged_tokens\":5}\n";
    int64_t sum[3] = { 0 };
    char time[32];
    OK(file_write_all(in_dir("day"), log, sizeof log - 1, &err));
    OK(audit_day(in_dir("day"), 20000. * 86400 + 43200, charge, sum, &err));
    assert_true(sum[0] == 2 && sum[1] == 15 && sum[2] == 1);
    OK(file_write_all(in_dir("day"), "", 0, &err));
    OK(audit_day(in_dir("day"), 20000. * 86400 + 43200, charge, sum, &err));
    assert_true(sum[0] == 2);
    audit_time(time, 20000. * 86400 + 43200.5);
    assert_string_equal(time, "2024-10-04T12:00:00.500Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_goes_on_over_restarts_and_new_files),
        cmocka_unit_test(a_file_that_is_no_log_stays_as_it_is),
        cmocka_unit_test(a_last_line_that_is_none_is_refused),
        cmocka_unit_test(a_log_has_one_writer),
        cmocka_unit_test(a_full_disk_is_waited_for_and_what_is_too_much_is_counted),
        cmocka_unit_test(many_threads_write_one_chain),
        cmocka_unit_test(what_was_charged_today_is_found_from_the_end),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
