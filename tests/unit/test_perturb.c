/* test_perturb.c - perturbations of texts: what changes, what does not, and that it is a function of seed and item. */
#include "../test.h"
#include "eval/misspellings.h"
#include "eval/perturb.h"

static struct err err;
static struct misspellings *common;
static struct buf out;

static const char prose[] = "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife. "
                            "However little known the feelings or views of such a man may be on his first entering a neighbourhood, this truth is so well "
                            "fixed in the minds of the surrounding families, that he is considered the rightful property of some one or other of their daughters. "
                            "\"My dear Mr. Bennet,\" said his lady to him one day, \"have you heard that Netherfield Park is let at last?\" "
                            "Mr. Bennet replied that he had not. \"But it is,\" returned she; \"for Mrs. Long has just been here, and she told me all about it.\"";

static int set_up(void **state)
{
    (void)state;
    buf_init(&out);
    return misspellings_new(&common, NULL, &err);
}

static int tear_down(void **state)
{
    (void)state;
    buf_release(&out);
    misspellings_free(common);
    return 0;
}

static struct perturbed perturb_free(enum perturb_family f, int strength, int64_t item, const char *text, const uint8_t *free_bytes)
{
    const struct perturb p = { f, strength, 7, common };
    struct perturbed done;
    const size_t n = strlen(text);
    char *exact = malloc(n + !n);                   /* what is read beyond it is seen by the address sanitizer */
    assert_non_null(exact);
    memcpy(exact, text, n);
    buf_clear(&out);
    OK(perturb_text(&p, item, exact, n, free_bytes, &out, &done, &err));
    free(exact);
    return done;
}

static struct perturbed perturb(enum perturb_family f, int strength, int64_t item, const char *text) { return perturb_free(f, strength, item, text, NULL); }

static void each_family_changes_what_it_says(void **state)
{
    (void)state;
    static const struct { enum perturb_family f; const char *from, *to; } is[] = {
        { PERTURB_LOWER, "ÄHRE", "ähre" }, { PERTURB_UPPER, "straße", "STRAßE" }, { PERTURB_JOIN, "one two", "onetwo" }, { PERTURB_PUNCTUATION, "one, two", "one two" },
        { PERTURB_CONTRACTION, "You cannot go", "You can't go" }, { PERTURB_CONTRACTION, "Do not go", "Don't go" }, { PERTURB_CONTRACTION, "i will", "I'll" },
        { PERTURB_WORD_SWAP, "one two", "two one" }, { PERTURB_WORD_SWAP, "Who's\tthere", "there\tWho's" }, { PERTURB_WORD_DROP, "(one)", "()" },
        { PERTURB_MISSPELLING, "Weird!", "Wierd!" }, { PERTURB_HOMOGLYPH, "tax", NULL }, { PERTURB_DROP, "aaaa", "aaa" }, { PERTURB_DOUBLE, "aaaa", "aaaaa" },
    };
    for (size_t i = 0; i < sizeof is / sizeof *is; i++) {
        const struct perturbed done = perturb(is[i].f, 1, 0, is[i].from);
        assert_int_equal(done.n_place, 1);
        assert_int_equal(done.n_touched, 1);
        if (is[i].to)
            assert_string_equal(out.data, is[i].to);
        else
            assert_string_not_equal(out.data, is[i].from);
    }
}

static void a_text_without_a_place_is_kept_and_told(void **state)
{
    (void)state;
    static const char *const none[] = { "", "1234", "  \n", "\xff\xfe", "\u6f22\u5b57 \u6f22" };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        for (int f = 0; f < N_PERTURB_FAMILY; f++) {
            const struct perturbed done = perturb(f, 5, 3, none[i]);
            if (done.n_place == 0) {
                assert_int_equal(done.n_touched, 0);
                assert_string_equal(out.data, none[i]);
            }
        }
    assert_int_equal(perturb(PERTURB_KEYBOARD, 5, 0, "\u6f22\u5b57\u6f22\u5b57").n_place, 0);
    assert_int_equal(perturb(PERTURB_CONTRACTION, 5, 0, "do nothing").n_place, 0);
}

/* The same bytes again; another item, another place; and what a strength touches the next one touches too, in the same way. */
static void changes_are_a_function_of_seed_and_item_and_grow(void **state)
{
    (void)state;
    for (int f = 0; f < N_PERTURB_FAMILY; f++) {
        size_t before = 0;
        for (int s = 1; s <= PERTURB_STRENGTHS; s++) {
            const struct perturbed done = perturb(f, s, 11, prose);
            assert_true(done.n_place > 0);
            const double share = perturb_share(s) * (double)done.n_place;
            assert_true((double)done.n_touched <= share + 1 && (double)done.n_touched >= share - 1 && done.n_touched >= before);
            before = done.n_touched;
            char *once = strdup(out.data);
            perturb(f, s, 11, prose);
            assert_string_equal(out.data, once);
            free(once);
        }
    }
    perturb(PERTURB_KEYBOARD, 3, 11, prose);
    char *once = strdup(out.data);
    perturb(PERTURB_KEYBOARD, 3, 12, prose);
    assert_string_not_equal(out.data, once);
    free(once);
}

/* Letters that one strength has changed are changed in the same way by a greater one: texts of the same length differ where both say so. */
static void a_greater_strength_keeps_the_changes_of_a_smaller_one(void **state)
{
    (void)state;
    static char at[PERTURB_STRENGTHS][sizeof prose];
    for (int s = 1; s <= PERTURB_STRENGTHS; s++) {
        perturb(PERTURB_KEYBOARD, s, 4, prose);
        assert_int_equal(out.len, sizeof prose - 1);
        memcpy(at[s - 1], out.data, out.len);
    }
    for (int s = 1; s < PERTURB_STRENGTHS; s++)
        for (size_t i = 0; i < sizeof prose - 1; i++)
            if (at[s - 1][i] != prose[i])
                assert_int_equal(at[s][i], at[s - 1][i]);
}

static void what_may_not_change_does_not(void **state)
{
    (void)state;
    static const char text[] = "Question: where is the nearest station, please tell me?\nAnswer:";
    uint8_t free_bytes[sizeof text - 1] = { 0 };
    memset(free_bytes + 10, 1, 45);
    for (int f = 0; f < N_PERTURB_FAMILY; f++) {
        perturb_free(f, 5, 1, text, free_bytes);
        assert_memory_equal(out.data, "Question: ", 10);
        assert_string_equal(out.data + out.len - 8, "\nAnswer:");
    }
    memset(free_bytes, 0, sizeof free_bytes);
    for (int f = 0; f < N_PERTURB_FAMILY; f++) {
        assert_int_equal(perturb_free(f, 5, 1, text, free_bytes).n_place, 0);
        assert_string_equal(out.data, text);
    }
}

static void families_are_found_by_their_names(void **state)
{
    (void)state;
    for (int f = 0; f < N_PERTURB_FAMILY; f++)
        assert_int_equal(perturb_find(perturb_name(f)), f);
    assert_int_equal(perturb_find("typo"), -1);
}

static void a_list_of_misspellings_is_read(void **state)
{
    (void)state;
    struct misspellings *m;
    const char *wrong;
    OK(file_write_all(in_dir("list"), "# ours\nnight  nihgt nite # slow\n\nLate lait\nnight never\n", 53, &err));
    OK(misspellings_new(&m, in_dir("list"), &err));
    assert_int_equal(misspellings_n(m), 2);
    assert_int_equal(misspellings_of(m, "NIGHT", 5, &wrong), 2);
    assert_memory_equal(wrong, "nihgt\0nite", 11);
    assert_int_equal(misspellings_of(m, "nigh", 4, NULL), 0);
    assert_int_equal(misspellings_of(m, "nights", 6, NULL), 0);
    assert_int_equal(misspellings_of(m, "late", 4, NULL), 1);
    misspellings_free(m);
}

static void a_bad_list_is_refused_with_its_line(void **state)
{
    (void)state;
    struct misspellings *m;
    OK(file_write_all(in_dir("alone"), "a b\nword\n", 9, &err));
    assert_int_equal(misspellings_new(&m, in_dir("alone"), &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "line 2: 'word' alone"));
    OK(file_write_all(in_dir("nul"), "a b\0c\n", 6, &err));
    assert_int_equal(misspellings_new(&m, in_dir("nul"), &err), ERR_FORMAT);
    OK(file_write_all(in_dir("empty"), "", 0, &err));
    assert_int_equal(misspellings_new(&m, in_dir("empty"), &err), ERR_FORMAT);
    assert_true(misspellings_new(&m, in_dir("none"), &err) < 0);
}

static void the_list_of_nlpaug_is_read(void **state)
{
    (void)state;
    struct misspellings *m;
    OK(misspellings_new(&m, shared("robust-textnoise/spelling_en.txt"), &err));
    assert_true(misspellings_n(m) > 1000);
    assert_true(misspellings_of(m, "luck", 4, NULL) > 3);
    assert_int_equal(misspellings_of(m, "headphones", 10, NULL), 80);
    misspellings_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_family_changes_what_it_says),
        cmocka_unit_test(a_text_without_a_place_is_kept_and_told),
        cmocka_unit_test(changes_are_a_function_of_seed_and_item_and_grow),
        cmocka_unit_test(a_greater_strength_keeps_the_changes_of_a_smaller_one),
        cmocka_unit_test(what_may_not_change_does_not),
        cmocka_unit_test(families_are_found_by_their_names),
        cmocka_unit_test_setup_teardown(a_list_of_misspellings_is_read, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_bad_list_is_refused_with_its_line, make_dir, remove_dir),
        cmocka_unit_test(the_list_of_nlpaug_is_read),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
