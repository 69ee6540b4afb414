/* test_signals.c - signals and verdicts on texts, as datatrove's filters, Dolma's tagger and NeMo Curator's filters have them
 * (tests/golden/signals.jsonl). */
#include <jansson.h>
#include <math.h>
#include "../test.h"
#include "../words_simple.h"
#include "audit/rules.h"
#include "base/rng.h"

static struct err err;

static struct signals_maker *maker;
static struct words *words;
static struct spans spans;

static int set_up(void **state)
{
    (void)state;
    return signals_new(&maker, SIGNALS_BASE | SIGNALS_DOLMA | SIGNALS_NEMO, &err) || words_new(&words, &err);
}

static int tear_down(void **state)
{
    (void)state;
    signals_free(maker);
    words_free(words);
    spans_release(&spans);
    return 0;
}

static struct signals signals(struct signals_maker *m, const char *text, size_t n)
{
    struct signals s;
    char *exact = malloc(n + !n);                 /* what is read beyond it is seen by the address sanitizer */
    assert_non_null(exact);
    memcpy(exact, text, n);
    OK(words_of(words, WORDS_ENGLISH, exact, n, &spans, &err));
    OK(signals_of(m, exact, n, &spans, &s, &err));
    free(exact);
    return s;
}

static void check_signals(const json_t *o, const struct signals *s)
{
    const json_t *want = json_object_get(o, "signals");
    const char *key;
    json_t *v;
    const uint32_t *at = (const uint32_t *)s;
    size_t n = 0;
    json_object_foreach((json_t *)want, key, v) {
        const int i = signal_find(key);
        assert_true(i >= 0);
        if (at[i] != json_integer_value(v))
            fail_msg("%s of '%s': %u, expected %lld", key, json_string_value(json_object_get(o, "text")), at[i], (long long)json_integer_value(v));
        n++;
    }
    /* What is not there is 0; the golden file has not all. */
    for (int i = 0; i < N_SIGNAL; i++)
        if (at[i] && !json_object_get(want, signal_info(i)->name))
            assert_true(!strncmp(signal_info(i)->name, "c4_", 3) || !strcmp(signal_info(i)->name, "control_chars"));
}

static void check_verdict(const json_t *o, const char *key, const char *family, const struct signals *s)
{
    const char *want = json_string_value(json_object_get(json_object_get(o, "verdicts"), key));
    struct rules_policy p;
    struct verdict v;
    rules_policy_init(&p);
    OK(rules_policy_add(&p, family, &err));
    if (strcmp(key, family)) {
        OK(rules_policy_limit(&p, "gopher/datatrove/1/short_doc", 10, &err));
        OK(rules_policy_limit(&p, "gopher/datatrove/1/long_doc", 1000, &err));
    }
    rules_verdict(&p, s, &v);
    const char *got = v.first < 0 ? "" : rule_info(v.first)->reason;
    if (strcmp(got, want))
        fail_msg("%s on '%s': '%s', expected '%s'", key, json_string_value(json_object_get(o, "text")), got, want);
}

static void signals_and_verdicts_are_those_of_the_originals(void **state)
{
    static const char *const families[] = { "gopher_rep", "gopher", "c4", "c4_any", "c4_para", "fineweb" };
    struct buf file;
    int n = 0;
    (void)state;
    buf_init(&file);
    OK(file_read("tests/golden/signals.jsonl", 1 << 24, &file, &err));
    for (char *at = file.data, *end; (end = strchr(at, '\n')); at = end + 1, n++) {
        json_t *o = json_loadb(at, (size_t)(end - at), JSON_ALLOW_NUL, NULL);
        assert_non_null(o);
        const json_t *t = json_object_get(o, "text");
        const struct signals s = signals(maker, json_string_value(t), json_string_length(t));
        check_signals(o, &s);
        for (size_t i = 0; i < sizeof families / sizeof *families; i++)
            check_verdict(o, families[i], families[i], &s);
        check_verdict(o, "gopher 10 to 1000 words", "gopher", &s);
        json_decref(o);
    }
    assert_true(n > 120);
    buf_release(&file);
}

/* Six lines once and two twice: a fifth of the lines stood before, two fifths are not alone. */
static void one_name_has_three_formulas(void **state)
{
    static const char text[] = "a\nb\nc\nd\ne\nf\ng\ng\nh\nh";
    const struct signals s = signals(maker, text, sizeof text - 1);
    struct rules_policy p;
    struct verdict v;
    (void)state;
    assert_true(rule_value(RULE_gopher_rep_datatrove_1_dup_line_frac, &s) == 0.2);
    assert_true(rule_value(RULE_gopher_dolma_1_duplicate_lines, &s) == 0.4);
    assert_true(rule_value(RULE_heuristic_nemo_1_repeated_lines, &s) == 0.8);
    rules_policy_init(&p);
    OK(rules_policy_add(&p, "gopher_rep/datatrove/1/dup_line_frac", &err));
    OK(rules_policy_add(&p, "gopher/dolma/1/duplicate_lines", &err));
    OK(rules_policy_add(&p, "heuristic/nemo/1/repeated_lines", &err));
    rules_verdict(&p, &s, &v);
    assert_int_equal(v.first, RULE_gopher_dolma_1_duplicate_lines);
    OK(rules_policy_limit(&p, "gopher_rep/datatrove/1/dup_line_frac", 0.1, &err));
    rules_verdict(&p, &s, &v);
    assert_int_equal(v.first, RULE_gopher_rep_datatrove_1_dup_line_frac);
    assert_true(verdict_has(&v, RULE_gopher_dolma_1_duplicate_lines));
    assert_false(verdict_has(&v, RULE_heuristic_nemo_1_repeated_lines));
}

static void rules_are_named_by_families(void **state)
{
    struct rules_policy p;
    int n = 0;
    (void)state;
    rules_policy_init(&p);
    OK(rules_policy_add(&p, "gopher", &err));
    for (int i = 0; i < N_RULE; i++)
        n += p.on[i];
    assert_int_equal(n, 10);                       /* datatrove's, not Dolma's */
    OK(rules_policy_add(&p, "heuristic", &err));
    assert_true(p.on[RULE_heuristic_nemo_1_bullet_ratio]);
    assert_int_equal(rules_policy_add(&p, "goph", &err), ERR_USAGE);
    assert_int_equal(rules_policy_limit(&p, "gopher/datatrove/2/short_doc", 1, &err), ERR_USAGE);
    assert_int_equal(rules_policy_limit(&p, "gopher/datatrove/1/short_doc", NAN, &err), ERR_USAGE);
    assert_string_equal(rule_info(RULE_gopher_datatrove_1_short_doc)->id, "gopher/datatrove/1/short_doc");
    for (int i = 0; i < N_RULE; i++)
        assert_int_equal(rule_find(rule_info(i)->id), i);
    assert_int_equal(rule_groups("klingon"), 0);
}

static void hidden_and_broken_characters_are_counted(void **state)
{
    static const char text[] = "a\u200b\ufeff\u00ad\u202e b\x07\x7f\xc2\x85 \ufffd caf\u00c3\u00a9 it\u00e2\u20ac\u2122s S\u00c3O \U000e0041";
    const struct signals s = signals(maker, text, sizeof text - 1);
    (void)state;
    assert_int_equal(s.invisible_chars, 3);
    assert_int_equal(s.bidi_chars, 1);
    assert_int_equal(s.control_chars, 3);
    assert_int_equal(s.replacement_chars, 1);
    assert_int_equal(s.mojibake, 2);
}

/* Runs of words are equal by their letters, wherever words begin: datatrove joins them with nothing between. */
static void words_that_are_cut_elsewhere_are_equal_runs(void **state)
{
    static const char text[] = "ab c dddddd eeeeee ffffff gggggg | a bc dddddd eeeeee ffffff gggggg";
    const struct signals s = signals(maker, text, sizeof text - 1);
    (void)state;
    assert_int_equal(s.dup_5_gram_chars, 21);
    assert_int_equal(s.dup_6_gram_chars, 27);
    assert_int_equal(s.dup_7_gram_chars, 0);
}

static void a_word_with_a_nul_is_no_stop_word(void **state)
{
    static const char text[] = "the\0 with a word of it";
    (void)state;
    assert_int_equal(signals(maker, text, sizeof text - 1).stop_words, 2);
}

/* A maker that was asked for datatrove's alone gives the same of these, and nothing else. */
static void groups_that_are_not_asked_for_are_nothing(void **state)
{
    static const char text[] = "The cat and the cat and the dog.\n\nThe cat and the cat and the dog.\n";
    struct signals_maker *m;
    (void)state;
    OK(signals_new(&m, SIGNALS_BASE, &err));
    const struct signals all = signals(maker, text, sizeof text - 1), base = signals(m, text, sizeof text - 1);
    for (int i = 0; i < N_SIGNAL; i++)
        assert_int_equal(((const uint32_t *)&base)[i], signal_info(i)->group == SIGNALS_BASE ? ((const uint32_t *)&all)[i] : 0);
    assert_true(all.dolma_copied_lines > 0);
    signals_free(m);
}

/* Texts of pieces that meet in every way, of lengths about those of blocks. */
static void the_fast_ways_are_those_of_the_definitions(void **state)
{
    static const char *const pieces[] = {
        "a", "the", "with ", "of", " ", " ", " ", "\n", "\n\n", "\r\n", ".", ",", "\"", "'", "'s", "n't", "(", ")", "-", "--", "...", "#", "\u2026", "\u2019", "\u00a0", "\u3000", "\u2028", "\u00e9",
        "\xff", "\xe2\x80", "\x1c", "12", "10km", "U.S.", "I'm", "cannot", "http://a.de/x", "lorem", " ipsum", "JavaScript", "privacy policy", "use coo", "kies", "\u212a", "{", "[1]", "read more", "one two three four five ",
    };
    struct simple simple;
    (void)state;
    OK(simple_new(&simple));
    for (uint64_t round = 0; round < 3000; round++) {
        struct buf b;
        buf_init(&b);
        for (uint64_t i = 0, n = rng_u64(1, round) % (round % 10 ? 60 : 300), some = 2 + rng_u64(2, round) % 48; i < n; i++) {
            const char *piece = pieces[rng_u64(3 + round, i) % some * 31 % (sizeof pieces / sizeof *pieces)];
            OK(buf_add(&b, piece, strlen(piece), &err));
        }
        char *exact = malloc(b.len + !b.len);
        assert_non_null(exact);
        memcpy(exact, b.len ? b.data : "", b.len);
        const char *what = simple_differs(&simple, exact, b.len);
        if (what)
            fail_msg("%s of '%.*s'", what, (int)b.len, exact);
        free(exact);
        buf_release(&b);
    }
    simple_release(&simple);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_and_verdicts_are_those_of_the_originals),
        cmocka_unit_test(one_name_has_three_formulas),
        cmocka_unit_test(rules_are_named_by_families),
        cmocka_unit_test(hidden_and_broken_characters_are_counted),
        cmocka_unit_test(words_that_are_cut_elsewhere_are_equal_runs),
        cmocka_unit_test(a_word_with_a_nul_is_no_stop_word),
        cmocka_unit_test(groups_that_are_not_asked_for_are_nothing),
        cmocka_unit_test(the_fast_ways_are_those_of_the_definitions),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
