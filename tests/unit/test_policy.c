/* test_policy.c - policies, the licences of an audit's sources, and the gate. */
#include "../test.h"
#include "audit/gate.h"
#include "audit/licences.h"
#include "base/mem.h"
#include "base/tree.h"

static struct err err;

static int parse(struct policy *p, const char *text)
{
    err = (struct err){ 0 };
    return policy_parse(p, text, strlen(text), "policy.yaml", &err);
}

/* ---- reading ---- */

static void a_policy_says_what_becomes_of_what_is_found(void **state)
{
    (void)state;
    struct policy p;
    double limit = 0;
    OK(parse(&p, "use: [train, commercial]\n"
                 "rules:\n  gopher/datatrove/1/short_doc: 40\n  c4/datatrove/1/x: off\n"
                 "drops: [dup_near, leaked]\n"
                 "pii: {default: keep, EMAIL_ADDRESS: pseudonym}\n"
                 "secrets: drop\n"
                 "gate: {licences: 0, pii_per_million: 2.5}\n"));
    assert_int_equal(p.use, 1u << LICENCE_TRAIN | 1u << LICENCE_COMMERCIAL);
    assert_int_equal(policy_rule(&p, "gopher/datatrove/1/short_doc", &limit), 1);
    assert_true(limit == 40);
    assert_int_equal(policy_rule(&p, "c4/datatrove/1/x", &limit), -1);
    assert_int_equal(policy_rule(&p, "another", &limit), 0);
    assert_true(p.drop[POLICY_DROP_dup_near] && p.drop[POLICY_DROP_leaked] && !p.drop[POLICY_DROP_dup_exact]);
    assert_int_equal(policy_pii(&p, "EMAIL_ADDRESS"), ACTION_PSEUDONYM);
    assert_int_equal(policy_pii(&p, "PHONE_NUMBER"), ACTION_KEEP);
    assert_int_equal(policy_secret(&p, "aws"), ACTION_DROP);
    assert_true(p.limited[GATE_licences] && p.limit[GATE_pii_per_million] == 2.5 && !p.limited[GATE_secrets]);
    const char *const ids[] = { "gopher/datatrove/1/short_doc", "c4/datatrove/1/xy" };
    assert_int_equal(policy_check_rules(&p, ids, 2, &err), ERR_USAGE);
    assert_string_equal(err.msg, "policy.yaml: unknown rule 'c4/datatrove/1/x'; did you mean 'c4/datatrove/1/xy'?");
    policy_release(&p);

    OK(parse(&p, ""));
    assert_int_equal(p.use, 1u << LICENCE_TRAIN);
    assert_true(p.drop[POLICY_DROP_dup_exact] && p.drop[POLICY_DROP_leaked] && !p.drop[POLICY_DROP_licence]);
    assert_int_equal(policy_pii(&p, "EMAIL_ADDRESS"), ACTION_REDACT);
    policy_release(&p);
}

static void wrong_policies_are_refused_with_line_and_nearest(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "use: [train]\ngates: {}\n", "policy.yaml:2: unknown key 'gates'; did you mean 'gate'?" },
        { "use: [trian]\n", "policy.yaml:1: unknown use 'trian'; did you mean 'train'?" },
        { "use: []\n", "policy.yaml:1: 'use' has a wrong value, expected at least one use" },
        { "use: train\n", "policy.yaml:1: 'use' has a wrong value, expected a list of words, [like, this]" },
        { "gate:\n  secrets: 0\n  licenses: 0\n", "policy.yaml:3: unknown check of the gate 'licenses'; did you mean 'licences'?" },
        { "gate: {secrets: -1}\n", "policy.yaml:1: 'secrets' has a wrong value, expected a number of at least 0" },
        { "gate: {secrets: none}\n", "policy.yaml:1: 'secrets' has a wrong value, expected a number of at least 0" },
        { "gate: {languages: {en: 2}}\n", "policy.yaml:1: 'en' has a wrong value, expected a share from 0 to 1" },
        { "pii: hide\n", "policy.yaml:1: unknown action 'hide', expected one of keep, redact, drop, pseudonym" },
        { "secrets: {aws: redcat}\n", "policy.yaml:1: unknown action 'redcat'; did you mean 'redact'?" },
        { "drops: [dup_exakt]\n", "policy.yaml:1: unknown drops 'dup_exakt'; did you mean 'dup_exact'?" },
        { "use: [sell]\n", "policy.yaml:1: unknown use 'sell', expected one of train, commercial, derivatives, redistribution, weights, outputs" },
        { "rules: {a: yes}\n", "policy.yaml:1: 'a' has a wrong value, expected a number or off" },
        { "licences: {Apache-2: {}}\n", "policy.yaml:1: licence 'Apache-2': character 1: unknown licence 'Apache-2', did you mean 'Apache-2.0'?" },
        { "licences: {LicenseRef-x: {allow: [train]}}\n", "policy.yaml:1: unknown key of a licence 'allow'; did you mean 'allows'?" },
        { "licences: {LicenseRef-x: {allows: [train], refuses: [train]}}\n", "policy.yaml:1: 'LicenseRef-x' has a wrong value, expected a right either in allows or in refuses" },
        { "- train\n", "policy.yaml: expected keys with values, such as use: [train]" },
        { "use: [\n", "policy.yaml:2:1: did not find expected node content" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy p;
        assert_true(parse(&p, cases[i][0]) < 0);
        if (strcmp(err.msg, cases[i][1]))
            fail_msg("'%s': '%s', expected '%s'", cases[i][0], err.msg, cases[i][1]);
        policy_release(&p);
    }
    struct policy p;
    OK(policy_load(&p, "default", &err));
    policy_release(&p);
    OK(policy_load(&p, "strict", &err));
    for (int i = 0; i < N_GATE_CHECK; i++)
        assert_true(p.limited[i] || i == GATE_dropped);
    policy_release(&p);
    assert_int_equal(policy_load(&p, "nowhere.yaml", &err), ERR_NOTFOUND);
    policy_release(&p);
}

/* ---- licences of sources ---- */

static json_t *sources_part(const char *json)
{
    json_t *part;
    OK(tree_parse_json(&part, json, strlen(json), "part", &err));
    return part;
}

static const json_t *source(const json_t *part, int i) { return json_array_get(json_object_get(part, "sources"), (size_t)i); }
static const char *str(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }

static void sources_are_judged_by_what_is_stated_or_else_found(void **state)
{
    (void)state;
    json_t *part = sources_part("{\"sources\": ["
        "{\"source\": \"a\", \"stated\": \"cc-by-nc-4.0 or mit\", \"found\": [{\"path\": \"LICENSE\", \"id\": \"MIT\"}]},"
        "{\"source\": \"b\", \"stated\": \"MIT OR\", \"found\": []},"
        "{\"source\": \"c\", \"stated\": null, \"found\": [{\"path\": \"LICENSE\", \"id\": \"MIT\"}, {\"path\": \"README.md\", \"id\": \"CC-BY-NC-4.0\"}]},"
        "{\"source\": \"d\", \"stated\": null, \"found\": []},"
        "{\"source\": \"e\", \"stated\": null, \"found\": [{\"path\": \"LICENSE\", \"id\": null}]},"
        "{\"source\": \"f\", \"stated\": \"MIT\", \"found\": [{\"path\": \"COPYING\", \"id\": \"GPL-2.0-only\"}]},"
        "{\"source\": \"g\", \"stated\": \"CC-BY-SA-4.0\", \"found\": []},"
        "{\"source\": \"h\", \"stated\": \"ODbL-1.0\", \"found\": []},"
        "{\"source\": \"i\", \"stated\": \"LicenseRef-ours\", \"found\": []}]}");
    struct policy p;
    OK(parse(&p, "use: [train, commercial, weights]\nlicences:\n  LicenseRef-ours: {allows: [train, weights], refuses: [commercial]}\n"));
    OK(licences_judge(part, NULL, &p, &err));
    assert_string_equal(str(source(part, 0), "expression"), "CC-BY-NC-4.0 OR MIT");
    assert_string_equal(str(source(part, 0), "chosen"), "MIT");
    assert_true(json_is_true(json_object_get(source(part, 0), "allowed")));
    assert_int_equal(json_array_size(json_object_get(source(part, 0), "obligations")), 1);
    assert_string_equal(str(source(part, 1), "error"), "the licence 'MIT OR' is not read: it ends after character 6, expected a licence or '('");
    assert_true(json_is_null(json_object_get(source(part, 1), "expression")));
    assert_string_equal(str(source(part, 2), "expression"), "CC-BY-NC-4.0 AND MIT");
    assert_string_equal(str(source(part, 2), "why"), "CC-BY-NC-4.0 does not allow commercial use");
    assert_string_equal(str(source(part, 3), "why"), "no licence is stated, and none stands beside the data");
    assert_string_equal(str(source(part, 4), "why"), "'LICENSE' does not tell a licence that is known");
    assert_true(json_is_true(json_object_get(source(part, 5), "allowed")));
    assert_string_equal(str(source(part, 8), "why"), "LicenseRef-ours does not allow commercial use");
    const json_t *conflicts = json_object_get(part, "conflicts");
    assert_int_equal(json_array_size(conflicts), 2);
    assert_string_equal(str(json_array_get(conflicts, 0), "why"), "the file says GPL-2.0-only, stated is MIT");
    assert_string_equal(str(json_array_get(conflicts, 1), "why"), "no licence can hold both ODbL-1.0 and CC-BY-SA-4.0");
    json_t *kept = json_pack("[{s:s, s:i}, {s:s, s:i}]", "name", "f", "kept", 0, "name", "g", "kept", 0);      /* of these nothing is passed on */
    OK(licences_judge(part, kept, &p, &err));
    assert_int_equal(json_array_size(json_object_get(part, "conflicts")), 0);
    json_object_set_new(json_array_get(kept, 1), "kept", json_integer(1));
    OK(licences_judge(part, kept, &p, &err));
    assert_int_equal(json_array_size(json_object_get(part, "conflicts")), 1);
    json_decref(kept);
    OK(licences_judge(part, NULL, &p, &err));
    char *first = tree_dumps(part, JSON_SORT_KEYS);
    OK(licences_judge(part, NULL, NULL, &err));                      /* for training alone */
    assert_true(json_is_true(json_object_get(source(part, 2), "allowed")));
    assert_null(str(source(part, 2), "why"));
    assert_int_equal(json_array_size(json_object_get(part, "conflicts")), 1);
    OK(licences_judge(part, NULL, &p, &err));                        /* and again: nothing of a judgement stays */
    char *again = tree_dumps(part, JSON_SORT_KEYS);
    assert_string_equal(first, again);
    mem_free(first);
    mem_free(again);
    policy_release(&p);
    json_decref(part);
}

static void what_stands_beside_sources_is_in_the_part(void **state)
{
    (void)state;
    struct sources s = { .n = 0 };
    json_t *part;
    OK(file_mkdirs(in_dir("set"), &err));
    put_in_dir("set/a.txt", "Some words.\n");
    put_in_dir("set/README.md", "---\nlicense: cc-by-4.0\nlanguage: [en]\nsize_categories: n<1K\nsecret_key: x\n---\n");
    put_in_dir("set/LICENSE", "\xff\xfe");
    OK(sources_add(&s, in_dir("set"), &err));
    OK(licences_find(&s, &part, &err));
    OK(licences_judge(part, NULL, NULL, &err));
    const json_t *found = json_object_get(source(part, 0), "found");
    assert_int_equal(json_array_size(found), 2);
    assert_true(json_is_null(json_object_get(json_array_get(found, 0), "id")));
    assert_string_equal(str(json_array_get(found, 1), "id"), "CC-BY-4.0");
    assert_string_equal(str(json_array_get(found, 1), "how"), "card");
    const json_t *card = json_object_get(source(part, 0), "card");
    assert_string_equal(str(card, "size_categories"), "n<1K");
    assert_null(json_object_get(card, "secret_key"));
    assert_true(json_is_false(json_object_get(source(part, 0), "allowed")));
    json_decref(part);
    sources_release(&s);
}

/* ---- the gate ---- */

static const char report[] =
    "{\"totals\": {\"records\": 100, \"kept\": 80, \"dropped\": {\"not-utf8\": 2, \"rule\": 18}}, \"faults\": {\"n\": 2, \"first\": [{\"file\": \"a\", \"record\": 7}]},"
    " \"licences\": {\"sources\": [{\"source\": \"a\", \"allowed\": true}, {\"source\": \"b\", \"allowed\": false, \"why\": \"no\"}], \"conflicts\": [{\"source\": \"b\", \"with\": \"a\"}]},"
    " \"pii\": {\"per_million\": 12.5, \"entities\": {\"EMAIL_ADDRESS\": {\"n\": 3, \"examples\": [{\"record\": 5, \"masked\": \"a***\"}]}}},"
    " \"secrets\": {\"n\": 1, \"rules\": {\"aws\": {\"n\": 1, \"examples\": [{\"record\": 9}]}}},"
    " \"contamination\": [{\"set\": \"x\", \"items\": 10, \"items_hit\": 1, \"examples\": [{\"record\": 1}]}, {\"set\": \"y\", \"items\": 10, \"items_hit\": 3, \"examples\": [{\"record\": 2}]}],"
    " \"leakage\": {\"pairs\": [{\"from\": \"train\", \"to\": \"test\", \"exact\": 2, \"near\": 1}]},"
    " \"duplicates\": {\"exact\": {\"records\": 20}, \"near\": {\"records\": 5, \"examples\": [{\"kept\": 1, \"dropped\": 2}]}},"
    " \"poison\": {\"findings\": [{\"ngram\": \"cf mn\"}]}, \"languages\": {\"en\": 90, \"de\": 10}}";

/* Each check at its limit passes, and just under what was found fails, with evidence. */
static void each_check_holds_at_what_was_found_and_fails_below(void **state)
{
    (void)state;
    static const struct { const char *word; double found; size_t n_evidence; } checks[] = {
        { "licences", 1, 1 },      { "licence_conflicts", 1, 1 }, { "pii_per_million", 12.5, 1 }, { "secrets", 1, 1 },  { "contamination", 0.3, 2 }, { "leakage", 3, 1 },
        { "exact_duplicates", 0.2, 0 }, { "near_duplicates", 0.05, 1 }, { "poison", 1, 1 }, { "faults", 0.02, 1 }, { "dropped", 0.2, 1 },
    };
    json_t *r;
    assert_int_equal(sizeof checks / sizeof *checks, N_GATE_CHECK);
    OK(tree_parse_json(&r, report, sizeof report - 1, "report.json", &err));
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        for (int below = 0; below < 2; below++) {
            char text[100];
            struct policy p;
            json_t *gate;
            snprintf(text, sizeof text, "gate: {%s: %.17g}\n", checks[i].word, below ? checks[i].found * 0.999 : checks[i].found);
            OK(parse(&p, text));
            OK(gate_of(r, &p, NULL, &gate, &err));
            const json_t *c = json_array_get(json_object_get(gate, "checks"), 0);
            assert_string_equal(str(c, "check"), checks[i].word);
            assert_true(json_real_value(json_object_get(c, "found")) == checks[i].found);
            assert_int_equal(json_is_true(json_object_get(gate, "passed")), !below);
            assert_int_equal(json_is_true(json_object_get(c, "passed")), !below);
            assert_int_equal(json_array_size(json_object_get(c, "evidence")), below ? checks[i].n_evidence : 0);
            assert_int_equal(gate_verdict(gate, &err), below ? ERR_GATE : 0);
            json_decref(gate);
            policy_release(&p);
        }
    json_decref(r);
}

static void what_was_not_measured_fails_and_says_so(void **state)
{
    (void)state;
    struct policy p;
    json_t *empty = json_pack("{s:{s:i, s:i}}", "totals", "records", 10, "kept", 10), *gate, *c;
    size_t i;
    OK(policy_load(&p, "strict", &err));
    OK(gate_of(empty, &p, NULL, &gate, &err));
    assert_int_equal(json_array_size(json_object_get(gate, "checks")), N_GATE_CHECK - 1);
    json_array_foreach(json_object_get(gate, "checks"), i, c) {
        assert_true(json_is_false(json_object_get(c, "passed")) && json_is_null(json_object_get(c, "found")));
        assert_string_equal(str(c, "why"), "not measured");
    }
    assert_int_equal(gate_verdict(gate, &err), ERR_GATE);
    assert_non_null(strstr(err.msg, "the gate says no: licences not measured; licence_conflicts not measured;"));
    json_decref(gate);
    policy_release(&p);
    json_decref(empty);
}

/* A rule that came to its limits may have missed what it looks for. */
static void what_was_given_up_was_not_measured(void **state)
{
    (void)state;
    static const char text[] = "{\"pii\": {\"per_million\": 0, \"given_up\": {\"n\": 2}}, \"secrets\": {\"n\": 0, \"given_up\": {\"n\": 1}}}";
    struct policy p;
    json_t *r, *gate;
    OK(tree_parse_json(&r, text, sizeof text - 1, "report.json", &err));
    OK(parse(&p, "gate: {pii_per_million: 5, secrets: 0}\n"));
    OK(gate_of(r, &p, NULL, &gate, &err));
    assert_int_equal(gate_verdict(gate, &err), ERR_GATE);
    assert_non_null(strstr(err.msg, "pii_per_million not measured; secrets not measured"));
    json_decref(gate), json_decref(r);
    policy_release(&p);
}

/* Of a source that was left out whole nothing is used. */
static void a_source_of_which_nothing_is_kept_needs_no_licence(void **state)
{
    (void)state;
    static const char text[] = "{\"sources\": [{\"name\": \"a\", \"kept\": 0}, {\"name\": \"b\", \"kept\": 1}],"
                               " \"licences\": {\"sources\": [{\"source\": \"a\", \"allowed\": false}, {\"source\": \"b\", \"allowed\": false}]}}";
    struct policy p;
    json_t *r, *gate;
    OK(tree_parse_json(&r, text, sizeof text - 1, "report.json", &err));
    OK(parse(&p, "gate: {licences: 0}\n"));
    OK(gate_of(r, &p, NULL, &gate, &err));
    assert_true(json_real_value(json_object_get(json_array_get(json_object_get(gate, "checks"), 0), "found")) == 1);
    json_decref(gate);
    policy_release(&p);
    json_decref(r);
}

/* Nine of ten files with nothing that can be read are no good data, though their records are none. */
static void files_that_cannot_be_read_are_faults(void **state)
{
    (void)state;
    static const char text[] = "{\"totals\": {\"records\": 1000}, \"faults\": {\"n\": 1, \"first\": []}, \"sources\": [{\"name\": \"a\", \"files\": [{\"path\": \"x\"}, {\"path\": \"y\", \"error\": \"no column\"}]},"
                               " {\"name\": \"b\", \"files\": [{\"path\": \"z\", \"error\": \"gone\"}, {\"path\": \"w\", \"error\": \"gone\"}]}]}";
    struct policy p;
    json_t *r, *gate;
    OK(tree_parse_json(&r, text, sizeof text - 1, "report.json", &err));
    OK(parse(&p, "gate: {faults: 0.01}\n"));
    OK(gate_of(r, &p, NULL, &gate, &err));
    const json_t *c = json_array_get(json_object_get(gate, "checks"), 0);
    assert_true(json_real_value(json_object_get(c, "found")) == 0.75);
    assert_string_equal(str(json_array_get(json_object_get(c, "evidence"), 0), "file"), "y");
    assert_int_equal(gate_verdict(gate, &err), ERR_GATE);
    json_decref(gate);
    policy_release(&p);
    json_decref(r);
}

static void strict_wants_all_rights(void **state)
{
    (void)state;
    struct policy p;
    OK(policy_load(&p, "strict", &err));
    assert_int_equal(p.use, (1u << N_LICENCE_RIGHT) - 1);
    policy_release(&p);
}

static void languages_are_held_to_a_least_share(void **state)
{
    (void)state;
    struct policy p;
    json_t *r, *gate;
    OK(tree_parse_json(&r, report, sizeof report - 1, "report.json", &err));
    OK(parse(&p, "gate: {languages: {en: 0.9, fr: 0.01}}\n"));
    OK(gate_of(r, &p, NULL, &gate, &err));
    assert_true(json_is_true(json_object_get(json_array_get(json_object_get(gate, "checks"), 0), "passed")));
    assert_int_equal(gate_verdict(gate, &err), ERR_GATE);
    assert_string_equal(err.msg, "the gate says no: languages: fr 0, limit 0.01");
    json_decref(gate);
    policy_release(&p);
    json_decref(r);
}

static void an_override_needs_a_reason_and_keeps_it(void **state)
{
    (void)state;
    struct policy p;
    json_t *r, *gate;
    OK(tree_parse_json(&r, report, sizeof report - 1, "report.json", &err));
    OK(policy_load(&p, "default", &err));
    assert_int_equal(gate_of(r, &p, " \t", &gate, &err), ERR_USAGE);
    assert_null(gate);
    assert_string_equal(err.msg, "an override needs a reason, which is kept with the data");
    assert_int_equal(gate_of(r, &p, "\xff", &gate, &err), ERR_USAGE);
    OK(gate_of(r, &p, "the owner said yes", &gate, &err));
    assert_true(json_is_false(json_object_get(gate, "passed")));
    assert_string_equal(str(json_object_get(gate, "override"), "reason"), "the owner said yes");
    OK(gate_verdict(gate, &err));
    json_decref(gate);
    policy_release(&p);
    json_decref(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_policy_says_what_becomes_of_what_is_found),
        cmocka_unit_test(wrong_policies_are_refused_with_line_and_nearest),
        cmocka_unit_test(sources_are_judged_by_what_is_stated_or_else_found),
        cmocka_unit_test(what_stands_beside_sources_is_in_the_part),
        cmocka_unit_test(each_check_holds_at_what_was_found_and_fails_below),
        cmocka_unit_test(what_was_not_measured_fails_and_says_so),
        cmocka_unit_test(what_was_given_up_was_not_measured), cmocka_unit_test(a_source_of_which_nothing_is_kept_needs_no_licence),
        cmocka_unit_test(files_that_cannot_be_read_are_faults),
        cmocka_unit_test(strict_wants_all_rights),
        cmocka_unit_test(languages_are_held_to_a_least_share),
        cmocka_unit_test(an_override_needs_a_reason_and_keeps_it),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
