/* test_membership.c - membership scores against PyTorch and the papers' formulas (tests/golden/membership.json), their edges, and what is said of many. */
#include <math.h>
#include <zlib.h>
#include "eval_model.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "eval/evidence.h"
#include "eval/membership.h"
#include "eval/run.h"

static double num(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

/* ---- one text ---- */

static double found[64][N_MEMBERSHIP];

static int answered(void *ctx, int64_t tag, const struct reply *y, int n, struct err *e)
{
    const json_t *o = json_array_get(ctx, (size_t)tag);
    const char *text = json_string_value(json_object_get(o, "text"));
    double work[512];
    assert_true(n == 2 && !y[0].error && y[0].n_token <= 512);
    struct membership_text x = { .token = y[0].token, .n_token = y[0].n_token, .nll = -y[0].loglik, .nll_lower = -y[1].loglik, .n_lower = y[1].n_token, .nll_reference = -y[0].loglik + 2 };
    TRY(membership_zlib(text, strlen(text), &x.zlib, e));
    membership_scores(&x, work, found[tag]);
    return 0;
}

static void scores_are_those_of_pytorch(void **state)
{
    (void)state;
    json_t *golden, *o, *list;
    size_t i;
    struct run *r;
    struct pool *pool;
    OK(tree_load(&golden, "tests/golden/membership.json", 1 << 20, &err));
    OK(pool_new(&pool, 1, &err));
    OK(run_open(&r, &(struct run_opts){ .model = model_with("tokenizer") }, &err));
    list = json_object_get(golden, "texts");
    json_array_foreach(list, i, o) {
        const char *text = json_string_value(json_object_get(o, "text"));
        struct request q[2] = { { .kind = REQUEST_ROLLING, .continuation = text, .n_continuation = strlen(text), .each_token = true } };
        q[1] = q[0], q[1].index = 1, q[1].each_token = false;       /* small letters alone */
        OK(run_add(r, (int64_t)i, q, 2, &err));
    }
    OK(run_answer(r, &(struct run_hooks){ .answered = answered, .ctx = list }, pool, &err));
    json_array_foreach(list, i, o)
        for (int s = 0; s < MEMBERSHIP_REFERENCE; s++) {
            const double want = num(o, membership_name(s));
            if (!json_object_get(o, membership_name(s)) || fabs(found[i][s] - want) > 2e-5 * fabs(want) + 2e-6)
                fail_msg("text %zu: %s is %.12g, expected %.12g", i, membership_name(s), found[i][s], want);
        }
    assert_int_equal(i, 8);
    run_close(r);
    pool_free(pool);
    json_decref(golden);
}

static void a_text_of_one_token_has_every_score(void **state)
{
    (void)state;
    double score[N_MEMBERSHIP], work[1];
    const struct reply_token t = { -2, -1, 0.5f };
    membership_scores(&(struct membership_text){ .token = &t, .n_token = 1, .nll = 2, .nll_lower = 3, .n_lower = 2, .nll_reference = 5, .zlib = 10 }, work, score);
    assert_true(score[MEMBERSHIP_LOSS] == -2 && score[MEMBERSHIP_MIN_K_5] == -2 && score[MEMBERSHIP_MIN_K_PP_60] == -2 && score[MEMBERSHIP_ZLIB] == -0.2);
    assert_true(score[MEMBERSHIP_LOWERCASE] == -2 / 1.5 && score[MEMBERSHIP_REFERENCE] == 3);
}

static void what_is_not_known_has_no_score(void **state)
{
    (void)state;
    double score[N_MEMBERSHIP], work[2];
    const struct reply_token t[] = { { 0, 0, 0 }, { -3, -3, 0 } };       /* the model is sure */
    membership_scores(&(struct membership_text){ .token = t, .n_token = 2, .nll = 3, .nll_reference = NAN }, work, score);
    assert_true(isnan(score[MEMBERSHIP_LOWERCASE]) && isnan(score[MEMBERSHIP_REFERENCE]) && isnan(score[MEMBERSHIP_ZLIB]));
    assert_true(score[MEMBERSHIP_MIN_K_PP_60] == 0 && score[MEMBERSHIP_MIN_K_60] == -3);
}

static void packed_sizes_are_those_of_python(void **state)
{
    (void)state;
    size_t n;
    OK(membership_zlib("hello", 5, &n, &err));
    assert_int_equal(n, 13);                         /* len(zlib.compress(b"hello")) */
    OK(membership_zlib("", 0, &n, &err));
    assert_int_equal(n, 8);
}

/* ---- many ---- */

enum { N = 400 };
static unsigned char member[N];
static double score[N_MEMBERSHIP * N], blind[N], overlap[N];

/* Members' scores are higher by `exposed` standard deviations, and by `apart` where no model is asked. */
static json_t *reported(double exposed, double apart, double shared)
{
    json_t *e;
    for (int i = 0; i < N; i++) {
        member[i] = i % 2 == 0;
        blind[i] = rng_normal(5, (uint64_t)i) + apart * member[i];
        overlap[i] = member[i] ? NAN : i % 8 == 1 ? 0.5 : 0;
        for (int s = 0; s < N_MEMBERSHIP; s++)
            score[s * N + i] = s == MEMBERSHIP_REFERENCE ? NAN : rng_normal(6 + (uint64_t)s, (uint64_t)i) + exposed * member[i] + shared * blind[i];
    }
    OK(evidence_new(&e, "membership", "m", NULL, 1, &err));
    const struct membership_blind b = { "words", "what", blind, false };
    OK(membership_report(e, &(struct membership_texts){ N, member, score, &b, 1, overlap }, &err));
    return e;
}

static void the_verdict_looks_at_what_needs_no_model(void **state)
{
    (void)state;
    static const struct { double exposed, apart, shared; const char *verdict; } cases[] = {
        { 0, 0, 0, "nothing found" }, { 1, 0, 0, "members are exposed" }, { 0, 2, 1, "confounded" }, { 1, 1.5, 0, "confounded" }, { 3, 0.6, 0, "beyond the blind" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *e = reported(cases[i].exposed, cases[i].apart, cases[i].shared);
        assert_string_equal(json_string_value(json_object_get(e, "verdict")), cases[i].verdict);
        const bool apart = cases[i].apart > 0;
        assert_true(apart == json_is_string(json_object_get(e, "blind_best")));
        assert_int_equal(json_object_size(json_object_get(e, "scores")), N_MEMBERSHIP - 1);         /* none has a reference */
        assert_int_equal(json_object_size(json_object_get(e, "beyond_blind")), apart ? N_MEMBERSHIP - 1 : 0);
        assert_true(num(json_object_get(e, "overlap"), "over") == N / 8 && num(json_object_get(e, "overlap"), "n") == N / 2);
        json_decref(e);
    }
}

/* What a classifier that learned from these texts gets wrong is chance, however sure; what it gets right has a wider interval. */
static void a_classifier_counts_where_it_is_right(void **state)
{
    (void)state;
    for (int right = 0; right < 2; right++) {
        json_t *e = reported(0, right ? 1 : -1, 0), *again, *plain = json_object_get(json_object_get(e, "blind"), "words");
        const struct membership_blind b = { "words", "what", blind, true };
        OK(evidence_new(&again, "membership", "m", NULL, 1, &err));
        OK(membership_report(again, &(struct membership_texts){ N, member, score, &b, 1, overlap }, &err));
        const json_t *wide = json_object_get(json_object_get(again, "blind"), "words");
        assert_true(right == json_is_string(json_object_get(again, "blind_best")));
        assert_true(fabs(num(wide, "se") / num(plain, "se") - sqrt(2)) < 1e-12 && num(wide, "auroc") == num(plain, "auroc"));
        json_decref(e), json_decref(again);
    }
}

/* Members that are the shorter texts are told apart as well as if they were the longer ones. */
static void a_blind_score_counts_in_both_directions(void **state)
{
    (void)state;
    json_t *e = reported(0.3, -2, 0);
    assert_string_equal(json_string_value(json_object_get(e, "verdict")), "confounded");
    assert_true(num(json_object_get(json_object_get(e, "beyond_blind"), "loss"), "difference") < -0.2);
    json_decref(e);
}

static void a_side_that_is_empty_is_an_error(void **state)
{
    (void)state;
    json_t *e;
    const unsigned char all[] = { 1, 1 };
    const double none[2 * N_MEMBERSHIP] = { 0 };
    const struct membership_blind b = { "words", "what", none, false };
    OK(evidence_new(&e, "membership", "m", NULL, 1, &err));
    assert_int_equal(membership_report(e, &(struct membership_texts){ 2, all, none, &b, 1, none }, &err), ERR_RANGE);
    json_decref(e);
}

/* No member differs from any other: one in twenty may be told, and no more. */
static void chance_is_rarely_told_as_exposure(void **state)
{
    (void)state;
    enum { RUNS = FEWER(300, 20), SMALL = 80 };
    int n_told = 0, n_apart = 0;
    for (uint64_t run = 0; run < RUNS; run++) {
        json_t *e;
        for (int i = 0; i < SMALL; i++) {
            member[i] = i % 2 == 0, blind[i] = rng_normal(run + 90000, (uint64_t)i), overlap[i] = NAN;
            for (int s = 0; s < N_MEMBERSHIP; s++)           /* not independent, as those of a text are not */
                score[s * SMALL + i] = rng_normal(run + 70000, (uint64_t)i) + 0.5 * rng_normal(run * 32 + (uint64_t)s, (uint64_t)i);
        }
        const struct membership_blind b = { "words", "what", blind, false };
        OK(evidence_new(&e, "membership", "m", NULL, 1, &err));
        OK(membership_report(e, &(struct membership_texts){ SMALL, member, score, &b, 1, overlap }, &err));
        const bool apart = json_is_string(json_object_get(e, "blind_best"));
        n_apart += apart;
        n_told += strcmp(json_string_value(json_object_get(e, "verdict")), "nothing found") && !apart;
        json_decref(e);
    }
    print_message("told by chance: exposed %d, apart %d of %d\n", n_told, n_apart, RUNS);
    assert_true(n_told <= 0.05 * RUNS && n_apart <= 0.09 * RUNS + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_pytorch),
        cmocka_unit_test(a_text_of_one_token_has_every_score),
        cmocka_unit_test(what_is_not_known_has_no_score),
        cmocka_unit_test(packed_sizes_are_those_of_python),
        cmocka_unit_test(the_verdict_looks_at_what_needs_no_model),
        cmocka_unit_test(a_classifier_counts_where_it_is_right),
        cmocka_unit_test(a_blind_score_counts_in_both_directions),
        cmocka_unit_test(a_side_that_is_empty_is_an_error),
        cmocka_unit_test(chance_is_rarely_told_as_exposure),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
