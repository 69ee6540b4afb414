/* test_by_group.c - scores by group: against fairlearn and SciPy, with clusters, small groups; fields of documents; shares of a data audit. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "eval/by_group.h"
#include "eval/group_shares.h"
#include "eval/groups.h"
#include "eval/interval.h"

static struct err err;
static const struct by_group_opts few = { .seed = 5, .n_replicate = 400, .n_null = 199 };

static void near(const char *what, double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * fmax(1, fabs(want))))
        fail_msg("%s: %.17g, expected %.17g", what, got, want);
}

static int32_t *numbers(const json_t *list)
{
    int32_t *v = mem_alloc_array(json_array_size(list), sizeof *v);
    for (size_t i = 0; i < json_array_size(list); i++)
        v[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return v;
}

/* tools/golden/bias.py */
static void differences_between_groups_are_fairlearns(void **state)
{
    (void)state;
    json_t *all, *c;
    size_t i;
    OK(tree_load(&all, "tests/golden/bias.json", 1 << 20, &err));
    json_array_foreach(json_object_get(all, "fairlearn"), i, c) {
        int32_t *label = numbers(json_object_get(c, "label")), *predicted = numbers(json_object_get(c, "predicted")), *of = numbers(json_object_get(c,
                                                                                          "group"));
        const int64_t n = (int64_t)json_array_size(json_object_get(c, "label"));
        const int n_class = (int)json_integer_value(json_object_get(c, "classes")), n_group = (int)json_array_size(json_object_get(c, "accuracy"));
        uint8_t *right = mem_alloc_array((size_t)n, 1);
        for (int64_t k = 0; k < n; k++)
            right[k] = label[k] == predicted[k];
        const struct by_group_items items = { n, n_group, of, NULL, right };
        const struct by_group_classes classes = { n, n_group, n_class, of, NULL, label, predicted };
        struct by_group_rate r[8];
        struct by_group_gap gap;
        struct by_group_parity parity;
        OK(by_group_rates(&items, r, &err));
        OK(by_group_gap(&items, &few, &gap, &err));
        OK(by_group_parity(&classes, &few, &parity, &err));
        for (int g = 0; g < n_group; g++) {
            near("accuracy", r[g].value, json_number_value(json_array_get(json_object_get(c, "accuracy"), (size_t)g)));
            near("Holm", r[g].p_holm, json_number_value(json_array_get(json_object_get(c, "holm"), (size_t)g)));
        }
        near("gap", gap.value, json_number_value(json_object_get(c, "gap")));
        near("demographic parity", parity.demographic.value, json_number_value(json_object_get(c, "demographic_parity")));
        near("equalised odds", parity.odds.value, json_number_value(json_object_get(c, "equalized_odds")));
        assert_true(gap.low < gap.value && gap.value < gap.high && gap.n_group == n_group);
        assert_true(parity.odds.low <= parity.odds.value && parity.odds.value <= parity.odds.high && isnan(parity.odds.null_q95));
        mem_free(label), mem_free(predicted), mem_free(of), mem_free(right);
    }
    assert_int_equal(i, 3);
    json_decref(all);
}

/* 3 groups of 100, 60 and 29 items. */
#define N 189
static int32_t of[N];
static uint8_t right[N];
static int64_t cluster[N];
static void fill(double a, double b, double c)
{
    for (int i = 0; i < N; i++) {
        of[i] = i < 100 ? 0 : i < 160 ? 1 : 2;
        right[i] = rng_uniform(11, (uint64_t)i) < (of[i] == 0 ? a : of[i] == 1 ? b : c);
        cluster[i] = i / 5;
    }
}

static void intervals_at_once_are_wider_and_small_groups_take_no_part(void **state)
{
    (void)state;
    struct by_group_rate r[4];
    struct by_group_gap gap;
    double ci[2];
    fill(0.5, 0.8, 0.0);
    const struct by_group_items x = { N, 4, of, NULL, right };
    OK(by_group_rates(&x, r, &err));
    OK(interval_wilson(r[0].n_right, 100, 0.95, ci, &err));
    assert_true(r[0].n == 100 && r[0].low == ci[0] && r[0].high == ci[1]);
    OK(interval_wilson(r[0].n_right, 100, 1 - 0.05 / 2, ci, &err));
    assert_true(r[0].low_all == ci[0] && r[0].high_all == ci[1] && r[0].low_all < r[0].low);
    assert_true(!r[1].small && r[2].small && r[2].n == 29 && isnan(r[2].p) && isnan(r[2].low_all) && r[2].low == 0);
    assert_true(r[3].n == 0 && isnan(r[3].value) && isnan(r[3].low));      /* a group without items */
    OK(by_group_gap(&x, &few, &gap, &err));
    assert_true(gap.n_group == 2 && fabs(gap.value - (r[1].value - r[0].value)) < 1e-15 && gap.null_q95 > 0 && gap.null_q95 < gap.value);
}

static void one_group_has_no_gap(void **state)
{
    (void)state;
    struct by_group_rate r;
    struct by_group_gap gap;
    struct by_group_parity parity;
    fill(0.5, 0.5, 0.5);
    const struct by_group_items x = { 100, 1, of, NULL, right }, none = { 0, 1, of, NULL, right };
    OK(by_group_rates(&x, &r, &err));
    assert_true(r.n == 100 && isnan(r.p) && isnan(r.p_holm));
    OK(by_group_gap(&x, &few, &gap, &err));
    assert_true(gap.n_group == 1 && isnan(gap.value) && isnan(gap.low) && isnan(gap.null_q95));
    assert_int_equal(by_group_rates(&none, &r, &err), ERR_RANGE);
    assert_int_equal(by_group_gap(&none, &few, &gap, &err), ERR_RANGE);
    const struct by_group_classes one = { 100, 1, 1, of, NULL, of, of };
    assert_int_equal(by_group_parity(&one, &few, &parity, &err), ERR_RANGE);
}

static void items_in_clusters_have_the_error_of_clusters(void **state)
{
    (void)state;
    struct by_group_rate r[3], alone[3];
    struct interval_mean m;
    double v[100];
    fill(0.5, 0.8, 0.0);
    for (int i = 0; i < N; i++)
        right[i] = of[i] == 2 ? 0 : (i / 5) % 3 > 0;               /* items of a cluster agree: each is worth a fifth */
    for (int i = 0; i < 100; i++)
        v[i] = right[i];
    const struct by_group_items x = { N, 3, of, cluster, right }, each = { N, 3, of, NULL, right };
    OK(by_group_rates(&x, r, &err));
    OK(by_group_rates(&each, alone, &err));
    OK(interval_mean(v, NULL, cluster, 100, 0.95, &m, &err));
    assert_true(r[0].n_cluster == 20 && r[0].low == m.ci[0] && r[0].high == m.ci[1] && r[0].high - r[0].low > 1.8 * (alone[0].high - alone[0].low));
    assert_true(r[0].p > alone[0].p && r[0].p <= 1);
    assert_true(r[2].small && r[2].low == 0 && r[2].high > 0.3 && r[2].high < 0.5);      /* Wilson's of 6 clusters that agree */
}

/* 30 items and more, of two passages: what is drawn is two. */
static void a_group_of_few_clusters_is_small(void **state)
{
    (void)state;
    struct by_group_rate r[2];
    struct by_group_gap gap;
    fill(0.5, 0.8, 0.8);
    for (int i = 0; i < N; i++)
        of[i] = i >= 100, cluster[i] = i < 100 ? i / 50 : i;
    const struct by_group_items x = { N, 2, of, cluster, right };
    OK(by_group_rates(&x, r, &err));
    assert_true(r[0].small && r[0].n == 100 && r[0].n_cluster == 2 && !r[1].small && isnan(r[0].p));
    OK(by_group_gap(&x, &few, &gap, &err));
    assert_true(gap.n_group == 1 && isnan(gap.value));
}

/* Level of what is claimed: of equal groups, in clusters that lie across them and in such that do not, about 1 in 20 at most is called different. */
static void equal_groups_are_told_apart_one_time_in_twenty(void **state)
{
    (void)state;
    enum { ROUNDS = 300, CLUSTERS = 40, EACH = 6 };
    for (int across = 0; across < 2; across++) {
        int holm = 0, gaps = 0, lows = 0;
        for (uint64_t round = 0; round < ROUNDS; round++) {
            int32_t g[CLUSTERS * EACH];
            uint8_t y[CLUSTERS * EACH];
            int64_t c[CLUSTERS * EACH];
            struct by_group_rate r[3];
            struct by_group_gap gap;
            for (uint64_t i = 0; i < CLUSTERS * EACH; i++) {
                const uint64_t k = i / EACH;
                c[i] = (int64_t)k, g[i] = (int32_t)((across ? i : k) % 3);
                const double p = 0.2 + 0.6 * rng_uniform(100 + round,
                                                         across ? 3 * k + i % 3 : k);      /* a passage is hard, or hard in what one group is asked */
                y[i] = rng_uniform(5000 + round, i) < p;
            }
            const struct by_group_items x = { CLUSTERS * EACH, 3, g, c, y };
            const struct by_group_opts o = { .seed = round, .n_replicate = 199, .n_null = 99 };
            OK(by_group_rates(&x, r, &err));
            OK(by_group_gap(&x, &o, &gap, &err));
            holm += r[0].p_holm <= 0.05 || r[1].p_holm <= 0.05 || r[2].p_holm <= 0.05;
            gaps += gap.value > gap.null_q95, lows += gap.low > 0;
        }
        print_message("%s: %d, %d, %d of %d\n", across ? "across" : "whole", holm, gaps, lows, ROUNDS);
        assert_true(holm <= 27 && gaps <= 27 && lows <= 27);      /* 0.05 of 300 and three standard errors */
    }
}

static void the_same_for_any_threads_and_seed(void **state)
{
    (void)state;
    struct by_group_gap one, two;
    struct pool *pool;
    fill(0.5, 0.7, 0.9);
    const struct by_group_items x = { N, 3, of, cluster, right };
    OK(pool_new(&pool, 3, &err));
    struct by_group_opts o = few;
    OK(by_group_gap(&x, &o, &one, &err));
    o.pool = pool;
    OK(by_group_gap(&x, &o, &two, &err));
    assert_true(one.value == two.value && one.low == two.low && one.high == two.high && one.null_q95 == two.null_q95 && one.n_group == two.n_group);
    pool_free(pool);
}

/* ---- fields ---- */

static const char docs[] =
    "{\"q\": \"a\", \"y\": 0, \"lang\": \"en\", \"n\": 3, \"m\": {\"g\": [\"x\", \"y\"], \"ok\": true}, \"a.b\": \"dot\"}\n"
    "{\"q\": \"b\", \"y\": 1, \"lang\": \"de\", \"n\": 3, \"m\": {\"g\": [\"x\"], \"ok\": false}, \"a.b\": \"dot\"}\n"
    "broken\n"
    "{\"q\": \"c\", \"y\": 1, \"lang\": null, \"n\": 4, \"m\": {\"g\": [], \"ok\": false}, \"a.b\": 1.5}\n"
    "{\"q\": \"d\", \"y\": 0, \"lang\": \"de\", \"n\": 3, \"m\": 5}\n";

static struct task *open_docs(void)
{
    static const char yaml[] = "task: t\ndataset_path: json\ntest_split: test\noutput_type: multiple_choice\ndoc_to_text: \"{{q}}\"\ndoc_to_target: y\ndoc_to_choice: [a, b]\n";
    struct task *t;
    struct task_opts o = TASK_OPTS;
    OK(file_write_all(in_dir("t.yaml"), yaml, sizeof yaml - 1, &err));
    OK(file_write_all(in_dir("docs.jsonl"), docs, sizeof docs - 1, &err));
    const struct task_file f = { "t", NULL, in_dir("docs.jsonl") };
    o.file = &f, o.n_file = 1;
    OK(task_open(&t, in_dir("t.yaml"), &o, &err));
    return t;
}

static void items_are_grouped_by_the_values_of_a_field(void **state)
{
    (void)state;
    const struct { const char *field, *names; int of[5]; int64_t n_without; } c[] = {
        { "lang", "de|en", { 1, 0, -1, -1, 0 }, 2 },
        { "n", "3|4", { 0, 0, -1, 1, 0 }, 1 },
        { "m.g", "x|x+y", { 1, 0, -1, -1, -1 }, 3 },
        { "m.ok", "false|true", { 1, 0, -1, 0, -1 }, 2 },
        { "a.b", "dot", { 0, 0, -1, -1, -1 }, 3 },
        { "lang+n", "de & 3|en & 3", { 1, 0, -1, -1, 0 }, 2 },
    };
    struct task *t = open_docs();
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        struct item_groups g;
        char names[100] = "";
        OK(item_groups_init(&g, t, c[i].field, &err));
        for (int k = 0; k < g.n; k++)
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", k ? "|" : "", g.name[k]);
        assert_string_equal(names, c[i].names);
        for (int k = 0; k < 5; k++)
            if (g.of[k] != c[i].of[k])
                fail_msg("%s: document %d is of %d", c[i].field, k, g.of[k]);
        assert_int_equal(g.n_without, c[i].n_without);
        item_groups_release(&g);
    }
    task_free(t);
}

static void a_field_that_is_not_there_is_named_with_those_that_are(void **state)
{
    (void)state;
    struct item_groups g;
    struct task *t = open_docs();
    static const char *const none[] = { "gender", "m", "m.x", "lang+gender", "m.g.x", "", "+", "." };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        const int rc = item_groups_init(&g, t, none[i], &err);
        item_groups_release(&g);
        if (i == 1) {                        /* one document has a number there */
            assert_int_equal(rc, 0);
            continue;
        }
        if (rc != ERR_NOTFOUND || !strstr(err.msg, "q, y, lang, n, m, a.b"))
            fail_msg("'%s': %d %s", none[i], rc, err.msg);
    }
    task_free(t);
}

/* ---- shares ---- */

static const char report[] =
    "{\"totals\": {\"records\": 200}, \"sources\": [{\"name\": \"web\", \"kept\": 30}, {\"name\": \"books\", \"kept\": 90}], \"languages\": {\"en\": 150, \"de\": 50},"
    "\"groups\": {\"records\": 200, \"groups\": [{\"group\": \"religion/muslim\", \"records\": 8}, {\"group\": \"women\", \"records\": 40}]},"
    "\"labels\": {\"sources\": [{\"classes\": [{\"label\": \"1\", \"n\": 14}, {\"label\": \"0\", \"n\": 26}]}, {\"classes\": [{\"label\": 1, \"n\": 60}]}]}}";

static void shares_are_told_where_the_audit_counted_that_very_thing(void **state)
{
    (void)state;
    const struct { const char *field, *value; int64_t n, n_all; } c[] = {
        { "lang", "en", 150, 200 }, { "meta.language", "DE", 50, 200 }, { "language", "fr", 0, 200 }, { "source", "books", 90, 120 }, { "religion", "Muslim",
                                                                                          8, 200 },
        { "who", "religion/muslim", 8, 200 }, { "gender", "women", 40, 200 }, { "label", "1", 74, 100 },
        { "source", "news", -1, 0 }, { "religion", "sikh", -1, 0 }, { "category", "Age", -1, 0 }, { "reli", "muslim", -1, 0 }, { "religion", "", -1, 0 },
    };
    json_t *audit;
    OK(file_mkdirs(in_dir("audit"), &err));
    OK(file_write_all(in_dir("audit/report.json"), report, sizeof report - 1, &err));
    OK(group_shares_load(&audit, in_dir("audit"), &err));
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        struct group_share s;
        const bool counted = group_share_of(audit, c[i].field, c[i].value, &s);
        if (counted != (c[i].n >= 0) || (counted && (s.n != c[i].n || s.n_all != c[i].n_all || !s.by)))
            fail_msg("%s = %s: %d, %lld of %lld", c[i].field, c[i].value, counted, (long long)s.n, (long long)s.n_all);
    }
    json_decref(audit);
    static const char *const wrong[] = { "{}", "[]", "{\"sources\": []}", "{\"sources\": 1, \"totals\": {\"records\": 1}}",
                                         "{\"sources\": [], \"totals\": {\"records\": \"1\"}}" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        OK(file_write_all(in_dir("other.json"), wrong[i], strlen(wrong[i]), &err));
        if (group_shares_load(&audit, in_dir("other.json"), &err) != ERR_FORMAT || audit || !strstr(err.msg, "lathe data audit"))
            fail_msg("%s: %s", wrong[i], err.msg);
    }
    assert_true(group_shares_load(&audit, in_dir("nowhere"), &err) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences_between_groups_are_fairlearns),
        cmocka_unit_test(intervals_at_once_are_wider_and_small_groups_take_no_part),
        cmocka_unit_test(one_group_has_no_gap),
        cmocka_unit_test(items_in_clusters_have_the_error_of_clusters),
        cmocka_unit_test(a_group_of_few_clusters_is_small),
        cmocka_unit_test(equal_groups_are_told_apart_one_time_in_twenty),
        cmocka_unit_test(the_same_for_any_threads_and_seed),
        cmocka_unit_test(items_are_grouped_by_the_values_of_a_field),
        cmocka_unit_test(a_field_that_is_not_there_is_named_with_those_that_are),
        cmocka_unit_test(shares_are_told_where_the_audit_counted_that_very_thing),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
