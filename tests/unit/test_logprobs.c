/* test_logprobs.c - a file of predictions holds the log-probabilities to half a step, in llama.cpp's form. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "infer/logprobs.h"

static char path[] = "/tmp/lathe-logprobs-XXXXXX";
static struct err err;
#define OK(expr)                              \
    do {                                      \
        if ((expr) < 0)                       \
            fail_msg(#expr ": %s", err.msg);  \
    } while (0)
enum { V = 7, CTX = 6, WINDOWS = 2, ROWS = 3 };
static const int32_t ids[WINDOWS * CTX] = { 1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1 };
/* The range of 16 nats is not filled; more than filled; all alike. */
static const float logits[ROWS][V] = { { 0, 1, -2, 3.5f, 3.25f, -4, 2 }, { 100, -100, 90, 84, 83.9f, 92.125f, 99 }, { 5, 5, 5, 5, 5, 5, 5 } };

static struct buf written(void)
{
    struct logprobs l;
    struct buf b;
    buf_init(&b);
    OK(logprobs_begin(&l, path, CTX, V, ids, WINDOWS, &err));
    OK(logprobs_add(&l, logits[0], 1, V, &err));
    OK(logprobs_add(&l, logits[1], 2, V, &err));
    OK(logprobs_commit(&l, &err));
    OK(file_read(path, 1 << 20, &b, &err));
    return b;
}

static void the_file_has_the_form_that_its_header_says(void **state)
{
    (void)state;
    struct buf b = written();
    assert_int_equal(b.len, 8 + 3 * 4 + sizeof ids + ROWS * 2 * (4 + 8));
    assert_memory_equal(b.data, "_logits_", 8);
    assert_memory_equal(b.data + 8, ((const int32_t[]){ CTX, V, WINDOWS }), 12);
    assert_memory_equal(b.data + 20, ids, sizeof ids);
    buf_release(&b);
}

static void log_probabilities_come_back_to_half_a_step(void **state)
{
    (void)state;
    struct buf b = written();
    for (int r = 0; r < ROWS; r++) {
        const char *row = (const char *)b.data + 20 + sizeof ids + (size_t)r * 2 * (4 + 8);
        float head[2];
        uint16_t q[V];
        memcpy(head, row, sizeof head);
        memcpy(q, row + 8, sizeof q);
        double sum = 0, most = -1e30;
        for (int i = 0; i < V; i++)
            most = fmax(most, (double)logits[r][i]);
        for (int i = 0; i < V; i++)
            sum += exp((double)logits[r][i] - most);
        for (int i = 0; i < V; i++) {
            const double want = fmax((double)logits[r][i] - most, -16) - log(sum), got = (double)head[1] + (double)head[0] * q[i];
            if (!(fabs(got - want) <= 0.5 * 16 / 65535 + 1e-5))
                fail_msg("row %d, token %d: %.9g, expected %.9g", r, i, got, want);
        }
    }
    buf_release(&b);
}

static void a_file_that_is_given_up_is_not_there(void **state)
{
    (void)state;
    struct logprobs l;
    unlink(path);
    OK(logprobs_begin(&l, path, CTX, V, ids, WINDOWS, &err));
    OK(logprobs_add(&l, logits[0], 1, V, &err));
    logprobs_abort(&l);
    assert_false(file_exists(path));
    assert_true(logprobs_begin(&l, "/nowhere/at/all", CTX, V, ids, WINDOWS, &err) < 0);
    logprobs_abort(&l);
}

static void rows_are_read_back(void **state)
{
    (void)state;
    struct logprobs_reader r;
    struct buf b = written();
    float out[2 * V];
    bool yes;
    OK(logprobs_is(path, &yes, &err));
    assert_true(yes);
    assert_int_equal(logprobs_open(&r, path, &err), ERR_FORMAT);           /* of two windows of 6 tokens four rows count, not three */
    assert_non_null(strstr(err.msg, "expected 164 for 2 windows of 6"));
    OK(file_write_all(path, b.data, b.len, &err));
    buf_release(&b);
    struct logprobs l;
    OK(logprobs_begin(&l, path, CTX, V, ids, WINDOWS, &err));
    OK(logprobs_add(&l, logits[0], ROWS, V, &err));
    OK(logprobs_add(&l, logits[0], 1, V, &err));
    OK(logprobs_commit(&l, &err));
    OK(logprobs_open(&r, path, &err));
    assert_true(r.ctx == CTX && r.V == V && r.n_window == WINDOWS && r.n_left == 4 && !memcmp(r.ids, ids, sizeof ids));
    OK(logprobs_read(&r, 2, out, &err));
    assert_true(fabsf(out[3] - out[4] - 0.25f) < 1e-3f);
    assert_true(fabsf(out[V] - out[V + 2] - 10) < 1e-3f && fabsf(out[V] - out[V + 1] - 16) < 1e-3f);
    OK(logprobs_read(&r, 1, out, &err));
    for (int i = 0; i < V; i++)
        assert_true(fabsf(out[i] + logf((float)V)) < 1e-6f);
    assert_int_equal(logprobs_read(&r, 2, out, &err), ERR_RANGE);
    logprobs_close(&r);
}

static void wrong_files_are_refused(void **state)
{
    (void)state;
    struct logprobs l;
    struct logprobs_reader r;
    struct buf b;
    float out[V];
    buf_init(&b);
    OK(logprobs_begin(&l, path, CTX, V, ids, WINDOWS, &err));
    OK(logprobs_add(&l, logits[0], ROWS, V, &err));
    OK(logprobs_add(&l, logits[0], 1, V, &err));
    OK(logprobs_commit(&l, &err));
    OK(file_read(path, 1 << 20, &b, &err));
    const struct { size_t at; int32_t value; const char *message; } wrong[] = {
        { 0, 0, "_logits_" }, { 8, 2, "2 windows of 2 tokens" }, { 8, -6, "windows of -6" }, { 12, 0, "vocabulary of 0" }, { 12, 1 << 30, "vocabulary of" },
        { 16, 0, "0 windows" }, { 16, 0x7fffffff, "windows" }, { 16, 1, "bytes, expected" }, { 24, V, "token 1 is 7" }, { 28, -1, "token 2 is -1" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int32_t was;
        memcpy(&was, b.data + wrong[i].at, sizeof was);
        memcpy(b.data + wrong[i].at, &wrong[i].value, sizeof was);
        OK(file_write_all(path, b.data, b.len, &err));
        assert_int_equal(logprobs_open(&r, path, &err), ERR_FORMAT);
        if (!strstr(err.msg, wrong[i].message))
            fail_msg("%zu: %s", i, err.msg);
        memcpy(b.data + wrong[i].at, &was, sizeof was);
    }
    for (size_t n = 0; n < 24; n++) {
        bool yes;
        OK(file_write_all(path, b.data, n, &err));
        assert_int_equal(logprobs_open(&r, path, &err), ERR_FORMAT);
        OK(logprobs_is(path, &yes, &err));
        assert_true(yes == (n >= 8));
    }
    static const float bad[] = { NAN, INFINITY, -1, 1 };                 /* steps */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memcpy(b.data + 20 + sizeof ids, &bad[i], sizeof *bad);
        OK(file_write_all(path, b.data, b.len, &err));
        OK(logprobs_open(&r, path, &err));
        assert_int_equal(logprobs_read(&r, 1, out, &err), ERR_FORMAT);
        logprobs_close(&r);
    }
    assert_int_equal(logprobs_open(&r, "/nowhere/at/all", &err), ERR_NOTFOUND);
    logprobs_close(&r);
    buf_release(&b);
}

static int setup(void **state)
{
    (void)state;
    const int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_has_the_form_that_its_header_says),
        cmocka_unit_test(log_probabilities_come_back_to_half_a_step),
        cmocka_unit_test(rows_are_read_back),
        cmocka_unit_test(wrong_files_are_refused),
        cmocka_unit_test(a_file_that_is_given_up_is_not_there),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
