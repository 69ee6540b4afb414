/* test_licence.c - licence expressions, what they allow, and what of several may go on together. */
#include <jansson.h>
#include <strings.h>
#include "../test.h"
#include "audit/licence.h"
#include "base/mem.h"
#include "base/tree.h"

static struct err err;

/* ---- reading ---- */

/* The normal form, or NULL. */
static char *normal(const char *text, size_t *at)
{
    static struct buf b;
    struct licence *l;
    if (b.data)
        buf_release(&b);
    buf_init(&b);
    err = (struct err){ 0 };
    if (licence_parse(&l, text, strlen(text), at, &err)) {
        buf_release(&b);
        b.data = NULL;
        return NULL;
    }
    OK(licence_text(l, &b, &err));
    licence_free(l);
    return b.data;
}

/* tests/golden/licences/expressions.tsv, by license-expression (tools/golden/licences.py). */
static void expressions_have_the_normal_form_of_license_expression(void **state)
{
    (void)state;
    struct buf b;
    int n = 0;
    buf_init(&b);
    OK(file_read("tests/golden/licences/expressions.tsv", 1 << 20, &b, &err));
    for (char *line = strtok(b.data, "\n"); line; line = strtok(NULL, "\n")) {
        char *tab = strchr(line, '\t');
        size_t at;
        if (!tab)
            continue;
        *tab = 0;
        char *ours = normal(line, &at);
        if (strcmp(ours ? ours : "error", tab + 1))
            fail_msg("'%s': '%s' (%s), theirs: '%s'", line, ours ? ours : "error", err.msg, tab + 1);
        if (ours) {                                        /* a normal form is its own */
            char *once = mem_strdup(ours);
            assert_string_equal(normal(once, &at), once);
            mem_free(once);
        }
        n++;
    }
    assert_true(n > 300);
    buf_release(&b);
}

/* Where the annex says more than that library reads. */
static void the_rest_of_the_grammar_is_read(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "CDDL-1.0+", "CDDL-1.0+" },
        { "cddl-1.0+ or MIT", "CDDL-1.0+ OR MIT" },
        { "GPL-2.0-or-later+", "GPL-2.0-or-later" },
        { "LicenseRef-23", "LicenseRef-23" },
        { "LicenseRef-Name OR LicenseRef-name", "LicenseRef-Name" },
        { "DocumentRef-spdx-tool-1.2:LicenseRef-MIT-Style-2", "DocumentRef-spdx-tool-1.2:LicenseRef-MIT-Style-2" },
        { "GPL-2.0-only WITH AdditionRef-mine", "GPL-2.0-only WITH AdditionRef-mine" },
        { "LicenseRef-a WITH DocumentRef-b:AdditionRef-c", "LicenseRef-a WITH DocumentRef-b:AdditionRef-c" },
        { "GPL-2.0-with-classpath-exception", "GPL-2.0-only WITH Classpath-exception-2.0" },
        { "wxWindows AND MIT", "GPL-2.0-or-later WITH WxWindows-exception-3.1 AND MIT" },
        { "LGPL-2.1-only WITH Nokia-Qt-exception-1.1", "LGPL-2.1-only WITH Qt-LGPL-exception-1.1" },
        { "NONE", "NONE" },
        { "NOASSERTION AND MIT", "MIT AND NOASSERTION" },
        { "  MIT  ", "MIT" },
    };
    size_t at;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *ours = normal(cases[i][0], &at);
        if (!ours)
            fail_msg("'%s': %s", cases[i][0], err.msg);
        assert_string_equal(ours, cases[i][1]);
    }
}

static void errors_name_the_character(void **state)
{
    (void)state;
    static const struct { const char *text; size_t at; const char *says; } cases[] = {
        { "MIT OR Apache-2", 7, "character 8: unknown licence 'Apache-2', did you mean 'Apache-2.0'?" },
        { "MIT OR", 6, "it ends after character 6, expected a licence or '('" },
        { "MIT OR ", 7, "it ends after character 7, expected a licence or '('" },
        { "", 0, "it ends after character 0, expected a licence or '('" },
        { "MIT And ISC", 4, "character 5: 'And', expected AND in capitals or small letters alone" },
        { "(MIT)AND ISC", 5, "character 6: a space is missing before 'AND'" },
        { "MIT AND(ISC)", 7, "character 8: a space is missing after 'AND'" },
        { "MIT +", 4, "character 5: '+', expected AND, OR or the end" },
        { "MIT\nOR ISC", 3, "character 4 is 0x0a, expected AND, OR or the end" },
        { "licenseref-x", 0, "character 1: unknown licence 'licenseref-x'" },
        { "LicenseRef-", 0, "character 1: after LicenseRef- stands no name of letters, digits, '-' and '.'" },
        { "LicenseRef-.-", 0, "character 1: after LicenseRef- stands no name" },
        { "LicenseRef-x+", 12, "character 13: '+', expected AND, OR or the end" },
        { "Doc-x:LicenseRef-y", 0, "character 1: before ':' stands 'Doc-x', expected DocumentRef-" },
        { "DocumentRef-x:MIT", 14, "character 15: 'MIT' does not begin with LicenseRef-" },
        { "MIT WITH Classpath-exception-2", 9, "character 10: unknown exception 'Classpath-exception-2', did you mean 'Classpath-exception-2.0'?" },
        { "LLVM-exception", 0, "character 1: unknown licence (it is an exception, which stands after WITH) 'LLVM-exception'" },
        { "wxWindows WITH LLVM-exception", 0, "character 1: an id that names its exception cannot have WITH behind it" },
        { "NONE WITH LLVM-exception", 0, "character 1: NONE cannot have WITH behind it" },
        { "MIT OR NOASSERTION", 7, "character 8: NOASSERTION cannot be an alternative of OR" },
        { "(MIT OR ISC", 11, "it ends after character 11, expected AND, OR or ')'" },
        { "MIT\xff", 3, "character 4 is 0xff, expected AND, OR or the end" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t at = 99;
        assert_null(normal(cases[i].text, &at));
        assert_int_equal(err.code, ERR_FORMAT);
        if (at != cases[i].at || !strstr(err.msg, cases[i].says))
            fail_msg("'%s': %zu '%s', expected %zu '%s'", cases[i].text, at, err.msg, cases[i].at, cases[i].says);
    }
    struct buf b;
    buf_init(&b);
    OK(licence_caret("MIT OR Apache-2", 15, 7, &b, &err));
    assert_string_equal(b.data, "MIT OR Apache-2\n       ^\n");
    buf_release(&b);
}

/* Parentheses and lengths have an end. */
static void nesting_and_length_are_bounded(void **state)
{
    (void)state;
    char text[LICENCE_MAX + 2];
    size_t at;
    memset(text, '(', LICENCE_DEPTH_MAX + 1);
    strcpy(text + LICENCE_DEPTH_MAX + 1, "MIT");
    assert_null(normal(text, &at));
    assert_int_equal(at, LICENCE_DEPTH_MAX);
    memset(text, ' ', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_null(normal(text, &at));
    assert_non_null(strstr(err.msg, "a licence expression of 4097 bytes, expected at most 4096"));
    size_t n = 0;                                         /* as many operands as there is room for */
    while (n + 8 < LICENCE_MAX)
        n += (size_t)sprintf(text + n, "%sSL", n ? n % 3 ? " OR " : " AND " : "");
    assert_non_null(normal(text, &at));
    assert_string_equal(normal(text, &at), "SL");
}

/* ---- judging ---- */

#define USE(r) (1u << LICENCE_##r)

static struct licence_verdict judged(const char *text, unsigned use, char chosen[300])
{
    struct licence *l;
    struct licence_verdict v;
    struct buf b;
    size_t at;
    OK(licence_parse(&l, text, strlen(text), &at, &err));
    licence_judge(l, use, NULL, 0, &v);
    buf_init(&b);
    OK(licence_chosen(l, &b, &err));
    snprintf(chosen, 300, "%s", b.data);
    buf_release(&b);
    licence_free(l);
    return v;
}

static void a_use_is_allowed_or_the_sentence_says_why_not(void **state)
{
    (void)state;
    const unsigned money = USE(TRAIN) | USE(COMMERCIAL), all = (1u << N_LICENCE_RIGHT) - 1;
    const struct { const char *text; unsigned use; const char *chosen, *why; } cases[] = {
        { "CC-BY-4.0", all, "CC-BY-4.0", "" },
        { "CC-BY-NC-4.0", USE(TRAIN), "CC-BY-NC-4.0", "" },
        { "CC-BY-NC-4.0", money, "CC-BY-NC-4.0", "CC-BY-NC-4.0 does not allow commercial use" },
        { "CC-BY-NC-SA-3.0-DE", money, "CC-BY-NC-SA-3.0-DE", "CC-BY-NC-SA-3.0-DE does not allow commercial use" },
        { "CC-BY-ND-3.0", USE(DERIVATIVES), "CC-BY-ND-3.0", "CC-BY-ND-3.0 does not allow passing on a changed version" },
        { "CC-BY-ND-3.0", USE(TRAIN), "CC-BY-ND-3.0", "it is not known that CC-BY-ND-3.0 allows learning a model from it, and unknown is not allowed" },
        { "CC-BY-NC-4.0 OR MIT", money, "MIT", "" },
        { "CC-BY-4.0 AND CC-BY-NC-4.0", money, "CC-BY-4.0 AND CC-BY-NC-4.0", "CC-BY-NC-4.0 does not allow commercial use" },
        { "GPL-3.0-only OR Apache-2.0 OR MIT", all, "MIT", "" },                           /* the fewest duties */
        { "(GPL-3.0-only OR MIT) AND (CC-BY-NC-4.0 OR CC0-1.0)", money, "CC0-1.0 AND MIT", "" },
        { "LicenseRef-mine", USE(TRAIN), "LicenseRef-mine", "nothing is known here of what LicenseRef-mine allows, and unknown is not allowed" },
        { "LicenseRef-mine OR MIT", USE(TRAIN), "MIT", "" },
        { "Zimbra-1.4", USE(TRAIN), "Zimbra-1.4", "nothing is known here of what Zimbra-1.4 allows, and unknown is not allowed" },
        { "NONE", USE(TRAIN), "NONE", "NONE does not allow learning a model from it" },
        { "NOASSERTION", USE(TRAIN), "NOASSERTION", "it is not known that NOASSERTION allows learning a model from it, and unknown is not allowed" },
        { "LicenseRef-llama2", USE(OUTPUTS), "LicenseRef-llama2", "LicenseRef-llama2 does not allow teaching other models by the output of one" },
        { "LicenseRef-Llama3.1", USE(OUTPUTS), "LicenseRef-Llama3.1", "" },
        { "GPL-2.0-only WITH Classpath-exception-2.0", all, "GPL-2.0-only WITH Classpath-exception-2.0", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char chosen[300];
        const struct licence_verdict v = judged(cases[i].text, cases[i].use, chosen);
        assert_string_equal(v.why, cases[i].why);
        assert_int_equal(v.allowed, !*cases[i].why);
        assert_string_equal(chosen, cases[i].chosen);
    }
}

static void duties_are_those_of_all_parts_and_of_the_choice(void **state)
{
    (void)state;
    char chosen[300];
    struct licence_verdict v = judged("MIT AND CC-BY-SA-4.0", USE(TRAIN), chosen);
    assert_int_equal(v.duties, USE(NOTICE) | USE(ATTRIBUTION) | USE(CHANGES) | USE(NO_ENDORSEMENT) | USE(SHARE_ALIKE));
    v = judged("MIT OR AGPL-3.0-only", USE(TRAIN), chosen);
    assert_int_equal(v.duties, USE(NOTICE));
    v = judged("AGPL-3.0-only", USE(TRAIN), chosen);
    assert_true(v.duties & USE(NETWORK));
    v = judged("CC0-1.0", USE(TRAIN), chosen);
    assert_int_equal(v.duties, 0);
}

/* What someone has read comes before the table. */
static void terms_of_ones_own_count_first(void **state)
{
    (void)state;
    const struct licence_terms own[] = { { "LicenseRef-mine", USE(TRAIN), USE(COMMERCIAL), 0, LICENCE_TARGETS_OWN }, { "MIT", 0, 0, 0, LICENCE_TARGETS_OWN } };
    struct licence *l;
    struct licence_verdict v;
    size_t at;
    OK(licence_parse(&l, "licenseRef-mine", 15, &at, &err) == ERR_FORMAT ? 0 : -1);
    OK(licence_parse(&l, "LicenseRef-Mine", 15, &at, &err));
    licence_judge(l, USE(TRAIN), own, 2, &v);
    assert_true(v.allowed);
    licence_judge(l, USE(TRAIN) | USE(COMMERCIAL), own, 2, &v);
    assert_string_equal(v.why, "LicenseRef-Mine does not allow commercial use");
    licence_free(l);
    OK(licence_parse(&l, "MIT", 3, &at, &err));
    licence_judge(l, USE(TRAIN), own, 2, &v);
    assert_false(v.allowed);
    licence_free(l);
}

static void sources_go_together_or_not(void **state)
{
    (void)state;
    static const struct { const char *text[4]; int bad, with; } cases[] = {
        { { "MIT", "CC-BY-4.0", "Apache-2.0" }, 0, -1 },
        { { "MIT", "CC-BY-SA-4.0", "CC-BY-SA-3.0" }, 0, -1 },
        { { "CC-BY-SA-4.0", "GPL-3.0-only" }, 0, -1 },                      /* one way only */
        { { "CC-BY-SA-3.0", "GPL-3.0-only" }, 1, 0 },
        { { "CC-BY-SA-4.0", "ODbL-1.0" }, 1, 0 },
        { { "CC-BY-SA-4.0", "CC-BY-NC-SA-4.0" }, 1, 0 },
        { { "CC-BY-NC-4.0", "CC-BY-SA-4.0" }, 1, 0 },
        { { "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "MIT" }, 0, -1 },
        { { "GPL-2.0-only", "GPL-3.0-only" }, 1, 0 },
        { { "GPL-2.0-or-later", "AGPL-3.0-only", "LGPL-2.1-only" }, 0, -1 },
        { { "GPL-2.0-only", "Apache-2.0" }, 1, 0 },
        { { "GPL-3.0-only", "Apache-2.0" }, 0, -1 },
        { { "GPL-2.0-only", "BSD-4-Clause" }, 1, 0 },
        { { "CC-BY-SA-4.0 OR MIT", "ODbL-1.0" }, 0, -1 },                   /* by choosing MIT */
        { { "GPL-2.0-or-later", "Apache-2.0", "GPL-2.0-only" }, 2, 1 },
        { { "LicenseRef-gemma", "MIT", "GPL-3.0-only" }, 2, 0 },
        { { "CC-BY-SA-4.0 AND ODbL-1.0" }, 0, -1 },                         /* in itself: no target is left */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct licence_verdict v[4];
        char chosen[300];
        int n = 0, with;
        for (; n < 4 && cases[i].text[n]; n++)
            v[n] = judged(cases[i].text[n], USE(TRAIN), chosen);
        const int bad = licence_together(v, n, &with);
        if (bad != cases[i].bad || with != cases[i].with)
            fail_msg("%s, %s: %d %d", cases[i].text[0], cases[i].text[1], bad, with);
    }
}

/* ---- the list, and what others say of it ---- */

/* Each id of the list is read as itself; of each version and port of Creative Commons' licences the words of the name say what is allowed. */
static void ids_of_the_list_are_read_and_creative_commons_is_what_its_name_says(void **state)
{
    (void)state;
    json_t *ids;
    size_t i, at;
    json_t *id;
    int n_cc = 0;
    OK(tree_load(&ids, path_in(shared("governance-spdx-ids"), "index.json"), 1 << 20, &err));
    json_array_foreach(ids, i, id) {
        const char *s = json_string_value(id);
        struct licence_terms t;
        assert_string_equal(normal(s, &at), s);
        if (strncmp(s, "CC-BY", 5))
            continue;
        n_cc++;
        assert_true(licence_terms_of(s, &t));
        assert_int_equal(!!(t.no & USE(COMMERCIAL)), strstr(s, "-NC") != NULL);
        assert_int_equal(!!(t.no & USE(DERIVATIVES)), strstr(s, "-ND") != NULL);
        assert_int_equal(!!(t.duties & USE(SHARE_ALIKE)), strstr(s, "-SA") != NULL);
        assert_true(t.duties & USE(ATTRIBUTION));
    }
    assert_true(n_cc > 50);
    json_decref(ids);
}

/* What ScanCode's curators call public domain or permissive asks us for no share-alike, copyleft does, and what is not free for all allows
 * no commercial use or restricts it.  Where we say otherwise it stands here, with the reason. */
static void categories_of_scancode_agree(void **state)
{
    (void)state;
    static const char *const otherwise[][2] = {
        { "OFL-", "a changed font stays under this licence (its condition 5), which is share-alike to us" },
    };
    json_t *list, *o, *ref;
    size_t i, k, at;
    int n_key = 0, n_known = 0, n_bad_ref = 0, n_otherwise = 0;
    OK(tree_load(&list, path_in(shared("governance-licences"), "scancode-licensedb-index.json"), 4 << 20, &err));
    json_array_foreach(list, i, o) {
        const char *key = json_string_value(json_object_get(o, "spdx_license_key")), *category = json_string_value(json_object_get(o, "category"));
        char text[300];
        if (!key)
            continue;
        const bool exception = json_is_true(json_object_get(o, "is_exception")), is_ref = !strncmp(key, "LicenseRef-", 11);
        snprintf(text, sizeof text, exception && !is_ref ? "GPL-2.0-only WITH %s" : "%s", key);
        if (!normal(text, &at) && !(exception && normal(key, &at)))              /* deprecated ids name both at once */
            fail_msg("%s: %s", text, err.msg);
        n_key++;
        json_array_foreach(json_object_get(o, "other_spdx_license_keys"), k, ref)
            if (!strncmp(json_string_value(ref), "LicenseRef-", 11) && !normal(json_string_value(ref), &at)) {
                assert_non_null(strchr(json_string_value(ref), '_'));            /* which the grammar has not */
                n_bad_ref++;
            }
        struct licence_terms t;
        if (exception || is_ref || !licence_terms_of(key, &t))
            continue;
        n_known++;
        const bool free_for_all = !strcmp(category, "Permissive") || !strcmp(category, "Public Domain"), copyleft = !strncmp(category, "Copyleft", 8);
        const bool commercial = t.yes & USE(COMMERCIAL), restricted = (t.duties & (USE(USE_RESTRICTIONS) | USE(NETWORK))) || !(t.yes & USE(DERIVATIVES));
        const bool agree = free_for_all ? commercial && !(t.duties & USE(SHARE_ALIKE)) : copyleft ? commercial && (t.duties & USE(SHARE_ALIKE)) : !commercial || restricted;
        bool explained = false;
        for (size_t d = 0; d < sizeof otherwise / sizeof *otherwise; d++)
            explained = explained || !strncmp(otherwise[d][0], key, strlen(otherwise[d][0]));
        n_otherwise += !agree;
        if (!agree && !explained)
            fail_msg("%s: %s, we: commercial %d, duties %x", key, category, commercial, t.duties);
    }
    assert_int_equal(n_key, 2447);
    assert_int_equal(n_bad_ref, 1);
    assert_int_equal(n_otherwise, 5);
    assert_true(n_known > 180);
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_have_the_normal_form_of_license_expression),
        cmocka_unit_test(the_rest_of_the_grammar_is_read),
        cmocka_unit_test(errors_name_the_character),
        cmocka_unit_test(nesting_and_length_are_bounded),
        cmocka_unit_test(a_use_is_allowed_or_the_sentence_says_why_not),
        cmocka_unit_test(duties_are_those_of_all_parts_and_of_the_choice),
        cmocka_unit_test(terms_of_ones_own_count_first),
        cmocka_unit_test(sources_go_together_or_not),
        cmocka_unit_test(ids_of_the_list_are_read_and_creative_commons_is_what_its_name_says),
        cmocka_unit_test(categories_of_scancode_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
