/* test_python.c - random numbers, regular expressions, YAML and literals are Python's, by tools/golden/python_text.py; and what is refused of them. */
#include "../test.h"
#include "base/mem.h"
#include "base/pyre.h"
#include "base/tree.h"
#include "eval/pyrandom.h"
#include "eval/task_impl.h"

static struct err err;
static json_t *golden;

static void random_numbers_are_those_of_cpython(void **state)
{
    (void)state;
    static const int64_t n[] = { 1, 5, 21, 22, 100, 84, 86, 1000, 300, 7473, 10 }, k[] = { 1, 5, 5, 5, 5, 6, 6, 25, 64, 8, 0 };
    static const uint64_t below[] = { 1, 2, 3, 10, 1000, (uint64_t)1 << 31, (uint64_t)1 << 32, ((uint64_t)1 << 33) + 1, (uint64_t)1 << 60 };
    const json_t *all = json_object_get(golden, "random");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *c = json_array_get(all, i);
        struct pyrandom r;
        int64_t out[64], pool[8000], order[20];
        pyrandom_seed(&r, strtoull(json_string_value(json_object_get(c, "seed")), NULL, 10));
        for (int j = 0; j < 695; j++)
            pyrandom_random(&r);
        for (size_t j = 0; j < 5; j++)
            assert_true(pyrandom_random(&r) == json_real_value(json_array_get(json_object_get(c, "random"), j)));
        for (size_t j = 0; j < 9; j++)
            assert_int_equal(pyrandom_below(&r, below[j]), json_integer_value(json_array_get(json_object_get(c, "below"), j)));
        for (size_t j = 0; j < sizeof n / sizeof *n; j++) {
            pyrandom_sample(&r, n[j], (int)k[j], out, pool);
            for (size_t h = 0; h < (size_t)k[j]; h++)
                assert_int_equal(out[h], json_integer_value(json_array_get(json_array_get(json_object_get(c, "sample"), j), h)));
        }
        for (int j = 0; j < 20; j++)
            order[j] = j;
        pyrandom_shuffle(&r, order, 20);
        for (size_t j = 0; j < 20; j++)
            assert_int_equal(order[j], json_integer_value(json_array_get(json_object_get(c, "shuffle"), j)));
    }
}

static void check_pattern(const json_t *c)
{
    const char *pattern = json_string_value(json_object_get(c, "pattern")), *text = json_string_value(json_object_get(c, "text"));
    const json_t *want = json_object_get(c, "findall");
    struct pyre *re;
    struct pyre_match m = { .next = 0 };
    struct buf b;
    size_t n = 0;
    int rc;
    buf_init(&b);
    OK(pyre_compile(&re, pattern, strlen(pattern), "test", &err));
    while ((rc = pyre_next(re, text, strlen(text), &m, &err)) > 0) {
        const json_t *groups = json_array_get(want, n++);
        for (int g = 0; g <= pyre_n_group(re); g++) {
            const json_t *at = json_array_get(groups, (size_t)g);
            if (m.group[g].from != json_integer_value(json_array_get(at, 0)) || m.group[g].to != json_integer_value(json_array_get(at, 1)))
                fail_msg("'%s' in '%s': group %d of match %zu is %td to %td", pattern, text, g, n, m.group[g].from, m.group[g].to);
        }
    }
    OK(rc);
    if (n != json_array_size(want))
        fail_msg("'%s' in '%s': %zu matches, expected %zu", pattern, text, n, json_array_size(want));
    OK(pyre_sub(re, text, strlen(text), "<\\g<0>>", 7, 0, &b, &err));
    assert_string_equal(b.data, json_string_value(json_object_get(c, "sub")));
    buf_clear(&b);
    OK(pyre_sub(re, text, strlen(text), "-", 1, 2, &b, &err));
    assert_string_equal(b.data, json_string_value(json_object_get(c, "sub2")));
    buf_release(&b);
    pyre_free(re);
}

static void patterns_match_as_in_python(void **state)
{
    (void)state;
    const json_t *all = json_object_get(golden, "re");
    for (size_t i = 0; i < json_array_size(all); i++)
        check_pattern(json_array_get(all, i));
}

static void patterns_of_other_languages_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "\\h", "\\R", "a\\K", "\\p{L}", "(*UTF)a", "(?a)x", "(?L)x", "\\Qx\\E", "[\\Z]", "(?<n>x)", "\\", "[a", "(", "a**", "\\x4", "\\u00", "(?P<n>x)(?P<n>y)", "\\G" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct pyre *re;
        const int rc = pyre_compile(&re, bad[i], strlen(bad[i]), "test", &err);
        if (rc != ERR_UNSUPPORTED && rc != ERR_FORMAT)
            fail_msg("'%s' gives %d", bad[i], rc);
        assert_null(re);
        assert_non_null(strstr(err.msg, "test: pattern"));
    }
}

static void a_pattern_that_backtracks_for_ever_gives_up(void **state)
{
    (void)state;
    struct pyre *re;
    struct pyre_match m = { .next = 0 };
    static const char text[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac";
    OK(pyre_compile(&re, "(a|aa)*b$|(a+)+$", 16, "test", &err));
    assert_int_equal(pyre_next(re, text, sizeof text - 1, &m, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "gives up"));
    pyre_free(re);
}

static void replacements_have_groups_and_escapes(void **state)
{
    (void)state;
    struct pyre *re;
    struct buf b;
    buf_init(&b);
    OK(pyre_compile(&re, "(?P<a>\\w)(\\d)?", 14, "test", &err));
    OK(pyre_sub(re, "x1 y", 4, "\\2\\g<a>\\g<1>\\n\\\\\\.", 18, 0, &b, &err));
    assert_string_equal(b.data, "1xx\n\\\\. yy\n\\\\.");
    assert_int_equal(pyre_sub(re, "x", 1, "\\3", 2, 0, &b, &err), ERR_FORMAT);
    assert_int_equal(pyre_sub(re, "x", 1, "\\q", 2, 0, &b, &err), ERR_UNSUPPORTED);
    assert_int_equal(pyre_sub(re, "x", 1, "\\g<", 3, 0, &b, &err), ERR_FORMAT);
    buf_release(&b);
    pyre_free(re);
}

static void yaml_words_become_what_pyyaml_makes_of_them(void **state)
{
    (void)state;
    const json_t *all = json_object_get(golden, "yaml");
    for (size_t i = 0; i < json_array_size(all); i++) {
        char text[100];
        struct task_yaml y;
        const char *word = json_string_value(json_array_get(json_array_get(all, i), 0));
        const json_t *want = json_array_get(json_array_get(all, i), 1);
        snprintf(text, sizeof text, "k: %s", word);
        OK(task_yaml_parse(&y, text, strlen(text), "t.yaml", NULL, NULL, &err));
        const json_t *v = json_object_get(y.tree, "k");
        if (!json_equal(v, want) && !(json_is_number(v) && json_typeof(v) == json_typeof(want) && json_number_value(v) == json_number_value(want)))
            fail_msg("'%s' is of type %d, expected %d", word, (int)json_typeof(v), (int)json_typeof(want));
        task_yaml_release(&y);
    }
}

static void yaml_trees_are_those_of_pyyaml(void **state)
{
    (void)state;
    const json_t *all = json_object_get(golden, "trees");
    for (size_t i = 0; i < json_array_size(all); i++) {
        struct task_yaml y;
        const char *text = json_string_value(json_array_get(json_array_get(all, i), 0));
        OK(task_yaml_parse(&y, text, strlen(text), "t.yaml", NULL, NULL, &err));
        if (!json_equal(y.tree, json_array_get(json_array_get(all, i), 1)))
            fail_msg("%s", text);
        task_yaml_release(&y);
    }
}

static void yaml_keys_have_places(void **state)
{
    (void)state;
    static const char text[] = "a: 1\nl:\n  - x: 2\n    y:\n      z: !function m.f\n";
    struct task_yaml y;
    OK(task_yaml_parse(&y, text, strlen(text), "t.yaml", NULL, NULL, &err));
    assert_string_equal(task_yaml_at(&y, "a"), "t.yaml:1");
    assert_string_equal(task_yaml_at(&y, "l/0/x"), "t.yaml:3");
    assert_string_equal(task_yaml_at(&y, "l/0/y/z"), "t.yaml:5");
    assert_string_equal(task_yaml_at(&y, "none"), "the task");
    const json_t *f = json_object_get(json_object_get(json_array_get(json_object_get(y.tree, "l"), 0), "y"), "z");
    assert_string_equal(json_string_value(json_object_get(f, TASK_FUNCTION)), "m.f");
    task_yaml_release(&y);
}

static void wrong_yaml_is_an_error_with_its_line(void **state)
{
    (void)state;
    static const struct { const char *text, *says; int rc; } bad[] = {
        { "a: 1\nb: !set {x}\n", "t.yaml:2: tags", ERR_FORMAT }, { "a: !!timestamp 2024-01-01\n", "t.yaml:1: the tag", ERR_UNSUPPORTED }, { "a: !!int 'x'\n", "t.yaml:1: 'x' is no int", ERR_FORMAT }, { "a: *x\n", "an alias of no anchor", ERR_FORMAT },
        { "- a\n", "no keys", ERR_FORMAT }, { "", "empty", ERR_FORMAT }, { "a: b: c\n", "t.yaml:1", ERR_FORMAT }, { "[a]: 1\n", "a key must be a word", ERR_FORMAT },
        { "a: 1\n---\nb: 2\n", "here begins another", ERR_FORMAT }, { "a:\n\t- b\n", "t.yaml:2", ERR_FORMAT }, { "a: {<<: 5}\n", "<< takes keys", ERR_FORMAT },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct task_yaml y;
        const int rc = task_yaml_parse(&y, bad[i].text, strlen(bad[i].text), "t.yaml", NULL, NULL, &err);
        if (rc != bad[i].rc || !strstr(err.msg, bad[i].says))
            fail_msg("'%s' gives %d, %s", bad[i].text, rc, err.msg);
    }
}

static void aliases_cannot_fill_the_memory(void **state)
{
    (void)state;
    struct task_yaml y;
    struct buf b;
    buf_init(&b);
    OK(buf_add_str(&b, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n", &err));
    for (int i = 1; i < 12; i++)
        OK(buf_printf(&b, &err, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1));
    assert_int_equal(task_yaml_parse(&y, b.data, b.len, "t.yaml", NULL, NULL, &err), ERR_RANGE);
    buf_release(&b);
}

static void literals_are_those_of_python(void **state)
{
    (void)state;
    const json_t *all = json_object_get(golden, "literals"), *none = json_object_get(golden, "no_literals");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const char *s = json_string_value(json_array_get(json_array_get(all, i), 0));
        json_t *v;
        OK(literal_parse(&v, s, strlen(s), &err));
        if (!json_equal(v, json_array_get(json_array_get(all, i), 1)))
            fail_msg("%s", s);
        json_decref(v);
    }
    for (size_t i = 0; i < json_array_size(none); i++) {
        const char *s = json_string_value(json_array_get(none, i));
        json_t *v;
        if (literal_parse(&v, s, strlen(s), &err) != ERR_FORMAT)
            fail_msg("'%s' is taken", s);
        assert_null(v);
    }
}

static void templates_are_those_of_a_strict_jinja(void **state)
{
    (void)state;
    const json_t *all = json_object_get(golden, "templates"), *doc = json_object_get(golden, "doc");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const char *text = json_string_value(json_array_get(json_array_get(all, i), 0)), *want = json_string_value(json_array_get(json_array_get(all, i), 1));
        struct jinja *j;
        struct buf b;
        buf_init(&b);
        OK(template_parse(&j, text, "test", &err));
        const int rc = template_text(j, doc, &b, &err);
        if (rc ? want != NULL : !want || strcmp(b.data, want))
            fail_msg("'%s' gives %d, '%s', expected '%s'", text, rc, rc ? err.msg : b.data, want ? want : "an error");
        buf_release(&b);
        jinja_free(j);
    }
}

static int set_up(void **state)
{
    (void)state;
    return tree_load(&golden, "tests/golden/tasks/python.json", (size_t)1 << 24, &err) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(golden);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_numbers_are_those_of_cpython),
        cmocka_unit_test(patterns_match_as_in_python),
        cmocka_unit_test(patterns_of_other_languages_are_refused),
        cmocka_unit_test(a_pattern_that_backtracks_for_ever_gives_up),
        cmocka_unit_test(replacements_have_groups_and_escapes),
        cmocka_unit_test(yaml_words_become_what_pyyaml_makes_of_them),
        cmocka_unit_test(yaml_trees_are_those_of_pyyaml),
        cmocka_unit_test(yaml_keys_have_places),
        cmocka_unit_test(wrong_yaml_is_an_error_with_its_line),
        cmocka_unit_test(aliases_cannot_fill_the_memory),
        cmocka_unit_test(literals_are_those_of_python),
        cmocka_unit_test(templates_are_those_of_a_strict_jinja),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
