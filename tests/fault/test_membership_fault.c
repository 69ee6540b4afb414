/* Membership without memory: curves, what needs no model, and the report. */
#include "each_allocation.h"
#include <math.h>
#include "audit/blind.h"
#include "eval/evidence.h"
#include "eval/membership.h"

static struct err err;
enum { N = 12 };

static const unsigned char member[N] = { 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0 };
static const double a[N] = { 5, 1, 4, 2, 6, 3, 2, 0, 7, 1, 3, 4 }, b[N] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };

static int curves(void *ctx)
{
    (void)ctx;
    struct roc r;
    struct roc_pair p;
    const int rc = roc_measure(&r, a, member, N, 0.95, &err);
    return rc ? rc : roc_compare(&p, a, b, member, N, 0.95, &err);
}

static int blind(void *ctx)
{
    struct label_set s = { 0 };
    double score[N_BLIND * N];
    int rc = 0;
    (void)ctx;
    for (int i = 0; i < N && !rc; i++)
        rc = label_set_add(&s, i, "one two three four five six seven eight nine of 1999", 51, i % 2 ? "other" : "member", i % 2 ? 5 : 6, &err);
    rc = rc ? rc : blind_scores(&s, score, &err);
    rc = rc ? rc : blind_overlap(&s, score, &err);
    label_set_release(&s);
    return rc;
}

static int report(void *ctx)
{
    json_t *e = NULL;
    double score[N_MEMBERSHIP * N], overlap[N];
    (void)ctx;
    for (int i = 0; i < N; i++) {
        overlap[i] = NAN;
        for (int s = 0; s < N_MEMBERSHIP; s++)
            score[s * N + i] = a[i] + s * b[i];
    }
    const struct membership_blind of = { "words", "what", a, false };
    int rc = evidence_new(&e, "membership", "m", NULL, 1, &err);
    if (!rc)
        rc = membership_report(e, &(struct membership_texts){ N, member, score, &of, 1, overlap }, &err);
    json_decref(e);
    return rc;
}

static void curves_without_memory_are_an_error(void **state)
{
    (void)state;
    assert_true(each_allocation(curves, NULL, false) > 4);
}

static void blind_scores_without_memory_are_an_error(void **state)
{
    (void)state;
    assert_true(each_allocation(blind, NULL, false) > 10);
}

static void a_report_without_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(each_allocation(report, NULL, false) > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(curves_without_memory_are_an_error), cmocka_unit_test(blind_scores_without_memory_are_an_error),
                                        cmocka_unit_test(a_report_without_memory_is_an_error) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
