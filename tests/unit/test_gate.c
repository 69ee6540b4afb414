/* test_gate.c - a registry's policies, on both databases: what is asked, what evidence says to it, who may override. */
#include "../registries.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/gate.h"
#include "store/gate_policy.h"
#include "store/oms.h"
#include "store/release.h"

static struct err err;
static struct registry_version v;

/* A registry with a version of a model, m@1. */
static void version_here(void)
{
    registry_here();
    OK(file_mkdirs(in_dir("new"), &err));
    OK(file_write_all(in_dir("new/weights"), "one", 3, &err));
    json_t *facts = json_pack("{s:s, s:[s, s]}", "license", "MIT", "digests", "01", "02");
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = in_dir("new"), .facts = facts }, &by, &v, &err));
    json_decref(facts);
}

static int n_file;

static void attach_to(const struct registry_version *to, const char *text)
{
    char path[200];
    const char *evidence[] = { path };
    snprintf(path, sizeof path, "%s/e%d.json", test_dir, n_file++);
    OK(file_write_all(path, text, strlen(text), &err));
    OK(registry_attach(g, to, &(struct registry_addition){ .evidence = evidence, .n_evidence = 1 }, &by, &err));
}

static void attach(const char *text) { attach_to(&v, text); }

static int set_policy(const char *yaml)
{
    json_t *policy;
    OK(tree_parse_yaml(&policy, yaml, strlen(yaml), "policy", &err));
    const int rc = registry_policy_set(g, "m", "production", policy, &by, &err);
    json_decref(policy);
    return rc;
}

/* The only check's outcome: "ok FOUND" or "no FOUND WHY". */
static const char *judged(const char *yaml)
{
    static char said[300];
    json_t *verdict;
    OK(set_policy(yaml));
    OK(gate_judge(g, &v, "production", &verdict, &err));
    const json_t *c = json_array_get(json_object_get(verdict, "checks"), 0);
    assert_int_equal(json_array_size(json_object_get(verdict, "checks")), 1);
    assert_true(json_equal(json_object_get(verdict, "passed"), json_object_get(c, "passed")));
    char *found = json_dumps(json_object_get(c, "found"), JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    snprintf(said, sizeof said, "%s %s%s%s", json_is_true(json_object_get(c, "passed")) ? "ok" : "no", found, *tree_text_at(c, "why") ? " " : "", tree_text_at(c, "why"));
    mem_free(found);
    json_decref(verdict);
    return said;
}

static void policies_that_are_not_right_are_refused(void **state)
{
    (void)state;
    version_here();
    static const char *const bad[] = { "[]", "secret: 0", "secrets: -1", "secrets: none", "calibration: 0.05", "calibration: {ece: 0.05, nll: 1}", "compare: worse", "compare: 1", "signature: on",
                                       "licences: MIT", "licences: []", "licences: [1]", "evaluation: {}", "evaluation: {a: 1}", "evaluation: {a: {}}", "evaluation: {a: {min: x}}",
                                       "evaluation: {a: {min: 1, mean: 2}}", "evaluation: {a: {min: 2, max: 1}}", "contamination: {max: 0.1}", "id: 7", "signature: enforce", "signature: warn", "signers: []", "signers: [release.pub]", "signers: ['-----BEGIN PUBLIC KEY-----']" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (set_policy(bad[i]) != ERR_FORMAT)
            fail_msg("'%s' was taken", bad[i]);
    OK(set_policy("{}"));
    json_t *policy = json_object();
    assert_int_equal(registry_policy_set(g, "x", "production", policy, &by, &err), ERR_NOTFOUND);
    assert_int_equal(registry_policy_set(g, "m", "7", policy, &by, &err), ERR_USAGE);
    json_decref(policy);
}

static void figures_of_evaluations(void **state)
{
    (void)state;
    version_here();
    assert_string_equal(judged("evaluation: {accuracy: {min: 0.7}}"), "no null not measured");
    attach("{\"kind\": \"robustness\", \"figures\": [{\"name\": \"accuracy\", \"of\": null, \"value\": 0.8}, {\"name\": \"accuracy\", \"of\": \"typos/3\", \"value\": 0.6}, {\"name\": \"none\", \"of\": null, \"value\": null}]}");
    assert_string_equal(judged("evaluation: {accuracy: {min: 0.8}}"), "ok 0.8");
    assert_string_equal(judged("evaluation: {accuracy: {min: 0.81}}"), "no 0.8");
    assert_string_equal(judged("evaluation: {accuracy: {max: 0.8}}"), "ok 0.8");
    assert_string_equal(judged("evaluation: {accuracy: {min: 0.1, max: 0.7}}"), "no 0.8");
    assert_string_equal(judged("evaluation: {accuracy/typos/3: {min: 0.7}}"), "no 0.6");
    assert_string_equal(judged("evaluation: {accuracy/typos: {min: 0.1}}"), "no null not measured");
    assert_string_equal(judged("evaluation: {none: {min: 0.1}}"), "no null not measured");
    attach("{\"results\": {\"mmlu\": {\"alias\": \"mmlu\", \"acc,none\": 0.5, \"acc_stderr,none\": 0.01}}, \"configs\": {}, \"config\": {}}");
    assert_string_equal(judged("evaluation: {mmlu/acc: {min: 0.4}}"), "ok 0.5");
    assert_string_equal(judged("evaluation: {mmlu/acc_norm: {min: 0.4}}"), "no null not measured");
}

static void the_newest_evidence_of_this_model_counts(void **state)
{
    (void)state;
    version_here();
    attach("{\"kind\": \"speed\", \"figures\": [{\"name\": \"rate\", \"of\": null, \"value\": 1}]}");
    attach("{\"kind\": \"speed\", \"figures\": [{\"name\": \"rate\", \"of\": null, \"value\": 2}]}");
    assert_string_equal(judged("evaluation: {rate: {min: 2}}"), "ok 2.0");
    attach("{\"kind\": \"speed\", \"model_sha256\": \"00\", \"figures\": [{\"name\": \"rate\", \"of\": null, \"value\": 9}, {\"name\": \"size\", \"of\": null, \"value\": 1}]}");
    assert_string_equal(judged("evaluation: {rate: {min: 2}}"), "ok 2.0");
    assert_string_equal(judged("evaluation: {size: {min: 1}}"), "no null the evidence is of another model");
    attach("{\"kind\": \"speed\", \"model_sha256\": \"02\", \"figures\": [{\"name\": \"width\", \"of\": null, \"value\": 3}]}");
    assert_string_equal(judged("evaluation: {width: {min: 3}}"), "ok 3.0");
    attach("{\"kind\": \"speed\", \"model_sha256\": \"02\", \"adapter_sha256\": \"0a\", \"figures\": [{\"name\": \"depth\", \"of\": null, \"value\": 3}]}");
    assert_string_equal(judged("evaluation: {depth: {min: 3}}"), "no null the evidence is of another model");        /* with an adapter */
    char sha[SHA256_HEX], text[300];
    OK(sha256_of("one", 3, sha, &err));                     /* the weights' own */
    snprintf(text, sizeof text, "{\"kind\": \"speed\", \"model_sha256\": \"%s\", \"figures\": [{\"name\": \"size\", \"of\": null, \"value\": 1}]}", sha);
    attach(text);
    assert_string_equal(judged("evaluation: {size: {min: 1}}"), "ok 1.0");
}

/* Evidence of a base and adapters is the adapters' version's; where their base is in the registry too, of that base alone. */
static void evidence_of_adapters_is_of_the_two(void **state)
{
    (void)state;
    version_here();
    struct registry_version base;
    const struct registry_parent parents[] = { { "org/b@main", "base" }, { "b@1", "base" } }, unseen = { "u@1", "base" };
    OK(file_write_all(in_dir("new/weights"), "adapters", 8, &err));
    json_t *facts = json_pack("{s:s}", "adapter_sha256", "0a"), *of_base = json_pack("{s:s, s:[s]}", "sha256", "b1", "digests", "b2");
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = in_dir("new"), .facts = facts }, &by, &v, &err));
    OK(file_write_all(in_dir("new/weights"), "base", 4, &err));
    OK(registry_add(g, &(struct registry_addition){ .name = "b", .kind = "model", .path = in_dir("new"), .facts = of_base }, &by, &base, &err));
    OK(file_write_all(in_dir("new/weights"), "unseen", 6, &err));
    OK(registry_add(g, &(struct registry_addition){ .name = "u", .kind = "model", .path = in_dir("new") }, &by, &base, &err));
    json_decref(facts), json_decref(of_base);
    attach("{\"kind\": \"speed\", \"model_sha256\": \"xx\", \"adapter_sha256\": \"0a\", \"figures\": [{\"name\": \"depth\", \"of\": null, \"value\": 3}]}");
    attach("{\"results\": {\"mmlu\": {\"acc,none\": 0.6}}, \"configs\": {}, \"config\": {\"model_sha\": \"b2\", \"peft_sha\": \"0a\"}}");
    attach("{\"kind\": \"speed\", \"model_sha256\": \"b1\", \"figures\": [{\"name\": \"width\", \"of\": null, \"value\": 3}]}");
    OK(registry_attach(g, &v, &(struct registry_addition){ .parent = parents, .n_parent = 1 }, &by, &err));
    assert_string_equal(judged("evaluation: {depth: {min: 3}}"), "ok 3.0");
    assert_string_equal(judged("evaluation: {mmlu/acc: {min: 0.6}}"), "ok 0.6");
    assert_string_equal(judged("evaluation: {width: {min: 3}}"), "no null the evidence is of another model");         /* the base alone */
    OK(registry_attach(g, &v, &(struct registry_addition){ .parent = &unseen, .n_parent = 1 }, &by, &err));
    assert_string_equal(judged("evaluation: {depth: {min: 3}}"), "ok 3.0");          /* of a base that was not looked at nothing is known */
    OK(registry_attach(g, &v, &(struct registry_addition){ .parent = parents, .n_parent = 2 }, &by, &err));
    assert_string_equal(judged("evaluation: {depth: {min: 3}}"), "no null the evidence is of another model");         /* another base */
    assert_string_equal(judged("evaluation: {mmlu/acc: {min: 0.6}}"), "ok 0.6");
}

/* Whatever their digests are, and whichever was named first. */
static void of_evidence_that_came_at_once_the_date_counts(void **state)
{
    (void)state;
    version_here();
    for (int i = 0; i < 8; i++) {
        char text[2][200], path[2][200];
        const char *evidence[] = { path[i % 2], path[!(i % 2)] };
        for (int k = 0; k < 2; k++) {
            snprintf(text[k], 200, "{\"kind\": \"speed\", \"date\": %d.5, \"figures\": [{\"name\": \"rate%d\", \"of\": null, \"value\": %d}]}", 1000 + k, i, k);
            snprintf(path[k], 200, "%s/%c.json", test_dir, "za"[k]);
            OK(file_write_all(path[k], text[k], strlen(text[k]), &err));
        }
        OK(registry_attach(g, &v, &(struct registry_addition){ .evidence = evidence, .n_evidence = 2 }, &by, &err));
        snprintf(text[0], 200, "evaluation: {rate%d: {min: 1}}", i);
        assert_string_equal(judged(text[0]), "ok 1.0");
    }
}

/* Of results, of an evaluation, in a part of one, of a comparison. */
static void what_was_stopped_does_not_count(void **state)
{
    (void)state;
    version_here();
    attach("{\"results\": {\"mmlu\": {\"acc,none\": 0.75}}, \"configs\": {}, \"lathe\": {\"complete\": false}}");
    attach("{\"kind\": \"robustness\", \"complete\": false, \"figures\": [{\"name\": \"accuracy\", \"of\": null, \"value\": 0.9}, {\"name\": \"ece\", \"of\": null, \"value\": 0.01}]}");
    attach("{\"kind\": \"attack\", \"complete\": true, \"attacks\": [{\"complete\": false}], \"figures\": [{\"name\": \"robust\", \"of\": null, \"value\": 0.9}]}");
    attach("{\"verdict\": \"better\", \"effect\": 0.1, \"model_sha256\": \"01\", \"complete\": false}");
    assert_string_equal(judged("evaluation: {mmlu/acc: {min: 0.7}}"), "no null the evaluation was stopped before its end");
    assert_string_equal(judged("evaluation: {accuracy: {min: 0.7}}"), "no null the evaluation was stopped before its end");
    assert_string_equal(judged("evaluation: {robust: {min: 0.7}}"), "no null the evaluation was stopped before its end");
    assert_string_equal(judged("calibration: {ece: 0.05}"), "no null the evaluation was stopped before its end");
    assert_string_equal(judged("compare: not worse"), "no null the comparison was stopped before its end");
    attach("{\"results\": {\"mmlu\": {\"acc,none\": 0.6}}, \"configs\": {}, \"lathe\": {\"complete\": true}}");
    attach("{\"results\": {\"mmlu\": {\"acc,none\": 0.8}}, \"configs\": {}, \"lathe\": {\"complete\": false}}");
    assert_string_equal(judged("evaluation: {mmlu/acc: {min: 0.7}}"), "no 0.6");           /* the newest that was whole */
}

/* Of results, as lathe and lm-evaluation-harness write them (a share is a limit, too), and of an evaluation. */
static void what_is_of_the_first_items_does_not_count(void **state)
{
    (void)state;
    version_here();
    attach("{\"results\": {\"mmlu\": {\"acc,none\": 0.75}}, \"configs\": {}, \"config\": {\"limit\": 20}}");
    assert_string_equal(judged("evaluation: {mmlu/acc: {min: 0.7}}"), "no null the evaluation is of the first items alone (--limit)");
    attach("{\"kind\": \"calibration\", \"limit\": 20, \"figures\": [{\"name\": \"accuracy\", \"of\": null, \"value\": 0.9}, {\"name\": \"ece\", \"of\": null, \"value\": 0.01}]}");
    assert_string_equal(judged("evaluation: {accuracy: {min: 0.7}}"), "no null the evaluation is of the first items alone (--limit)");
    assert_string_equal(judged("calibration: {ece: 0.05}"), "no null the evaluation is of the first items alone (--limit)");
    attach("{\"results\": {\"mmlu\": {\"acc,none\": 0.8}}, \"configs\": {}, \"n-samples\": {\"a\": {\"original\": 9, \"effective\": 9}, \"mmlu\": {\"original\": 21, \"effective\": 20}}, "
           "\"config\": {\"limit\": 20.0}}");
    assert_string_equal(judged("evaluation: {mmlu/acc: {min: 0.7}}"), "no null the evaluation is of the first items alone (--limit)");
    attach("{\"results\": {\"mmlu\": {\"acc,none\": 0.8}}, \"configs\": {}, \"n-samples\": {\"mmlu\": {\"original\": 1, \"effective\": 1}}, \"config\": {\"limit\": 0.5}}");
    assert_string_equal(judged("evaluation: {mmlu/acc: {min: 0.7}}"), "no null the evaluation is of the first items alone (--limit)");
    attach("{\"results\": {\"mmlu\": {\"acc,none\": 0.65}}, \"configs\": {}, \"n-samples\": {\"mmlu\": {\"original\": 500, \"effective\": 500}}, \"config\": {\"limit\": 1000}}");
    assert_string_equal(judged("evaluation: {mmlu/acc: {min: 0.6}}"), "ok 0.65");          /* a limit that cuts nothing */
    attach("{\"results\": {\"mmlu\": {\"acc,none\": 0.6}}, \"configs\": {}, \"config\": {\"limit\": null}}");
    attach("{\"results\": {\"mmlu\": {\"acc,none\": 0.8}}, \"configs\": {}, \"config\": {\"limit\": 0.1}}");
    assert_string_equal(judged("evaluation: {mmlu/acc: {min: 0.7}}"), "no 0.6");           /* the newest that was whole */
}

static void calibration_and_comparison(void **state)
{
    (void)state;
    version_here();
    assert_string_equal(judged("calibration: {ece: 0.05}"), "no null not measured");
    attach("{\"kind\": \"calibration\", \"figures\": [{\"name\": \"ece\", \"of\": \"a\", \"value\": 0.02}, {\"name\": \"ece\", \"of\": \"b\", \"value\": 0.07}, {\"name\": \"nll\", \"of\": null, \"value\": 3}]}");
    assert_string_equal(judged("calibration: {ece: 0.05}"), "no 0.07");
    assert_string_equal(judged("calibration: {ece: 0.07}"), "ok 0.07");
    assert_string_equal(judged("compare: not worse"), "no null not measured");
    attach("{\"verdict\": \"better\", \"effect\": 0.1}");
    assert_string_equal(judged("compare: not worse"), "no null the comparison does not say which model is the new one");
    attach("{\"verdict\": \"better\", \"effect\": 0.1, \"model_sha256\": \"00\", \"old_sha256\": \"01\"}");
    assert_string_equal(judged("compare: not worse"), "no null the comparison is of another new model");
    attach("{\"verdict\": \"underpowered\", \"effect\": 0.0, \"model_sha256\": \"01\"}");
    assert_string_equal(judged("compare: not worse"), "no \"underpowered\"");
    attach("{\"verdict\": \"better\", \"margin\": 0.01, \"tests\": [], \"model_sha256\": \"01\", \"limit\": 20}");
    assert_string_equal(judged("compare: not worse"), "no \"underpowered\"");              /* the newest of all items */
    assert_string_equal(judged("compare: underpowered"), "ok \"underpowered\"");
    attach("{\"verdict\": \"better\", \"effect\": 0.1, \"model_sha256\": \"02\"}");
    attach("{\"verdict\": \"worse\", \"effect\": -0.1, \"model_sha256\": \"00\"}");                /* another's takes nothing away */
    assert_string_equal(judged("compare: not worse"), "ok \"better\"");
    attach("{\"verdict\": \"fine\", \"effect\": 0.1, \"model_sha256\": \"01\"}");
    assert_string_equal(judged("compare: underpowered"), "no \"fine\"");
}

static void audits_of_all_that_it_comes_from(void **state)
{
    (void)state;
    version_here();
    struct registry_version data;
    const struct registry_parent parent = { "d@1", "data" };
    OK(file_write_all(in_dir("rows"), "rows", 4, &err));
    OK(registry_add(g, &(struct registry_addition){ .name = "d", .kind = "data", .path = in_dir("rows") }, &by, &data, &err));
    OK(registry_attach(g, &v, &(struct registry_addition){ .parent = &parent, .n_parent = 1 }, &by, &err));
    assert_string_equal(judged("secrets: 0"), "no null d@1 has no audit");
    attach_to(&data, "{\"totals\": {}, \"sources\": [], \"secrets\": {\"n\": 5}, \"pii\": {\"per_million\": 12.5}}");
    assert_string_equal(judged("secrets: 0"), "no 5.0");
    assert_string_equal(judged("pii_per_million: 20"), "ok 12.5");
    attach_to(&data, "{\"totals\": {}, \"sources\": [], \"secrets\": {\"n\": 0}, \"contamination\": [{\"items\": 100, \"items_hit\": 3}, {\"items\": 0, \"items_hit\": 0}]}");
    assert_string_equal(judged("secrets: 0"), "ok 0.0");
    assert_string_equal(judged("contamination: 0.01"), "no 0.03");
    assert_string_equal(judged("pii_per_million: 20"), "no null this audit did not measure it");
    attach_to(&data, "{\"totals\": {}, \"sources\": [], \"secrets\": {\"n\": 0}, \"contamination\": [{\"items\": 0, \"items_hit\": 0}]}");
    assert_string_equal(judged("contamination: 0.01"), "no null this audit did not measure it");
    attach_to(&data, "{\"totals\": {}, \"sources\": [], \"secrets\": {\"n\": 0}, \"contamination\": [{\"items\": 9, \"items_hit\": 0}, {\"name\": \"x\"}]}");
    assert_string_equal(judged("contamination: 0.01"), "no null this audit did not measure it");
    attach_to(&data, "{\"totals\": {}, \"sources\": [], \"secrets\": {\"n\": 0, \"given_up\": {\"n\": 2, \"records\": 1}}, \"pii\": {\"per_million\": 0, \"given_up\": {\"n\": 1, \"records\": 1}}}");
    assert_string_equal(judged("secrets: 0"), "no null this audit did not measure it");
    assert_string_equal(judged("pii_per_million: 20"), "no null this audit did not measure it");
    attach_to(&data, "{\"totals\": {}, \"sources\": [], \"secrets\": {\"n\": 0}}");
    attach("{\"totals\": {}, \"sources\": [], \"secrets\": {\"n\": 1}}");
    assert_string_equal(judged("secrets: 0"), "no 1.0");
}

static void add_data(const char *name, const char *from, struct registry_version *out)
{
    const struct registry_parent parent = { from, "data" };
    OK(file_write_all(in_dir("rows"), name, strlen(name), &err));
    OK(registry_add(g, &(struct registry_addition){ .name = name, .kind = "data", .path = in_dir("rows"), .parent = &parent, .n_parent = from != NULL }, &by, out, &err));
}

static void data_without_an_audit_is_told(void **state)
{
    (void)state;
    version_here();
    static const char *const clean = "{\"totals\": {}, \"sources\": [], \"secrets\": {\"n\": 0}}";
    struct registry_version d1, d2, raw;
    const struct registry_parent parents[] = { { "d1@1", "data" }, { "d2@1", "data" }, { "b", "base" } };
    add_data("raw", NULL, &raw), add_data("d1", "raw@1", &d1), add_data("d2", NULL, &d2);
    OK(registry_attach(g, &v, &(struct registry_addition){ .parent = parents, .n_parent = 3 }, &by, &err));
    attach(clean), attach_to(&d1, clean);                   /* raw is in d1's */
    assert_string_equal(judged("secrets: 0"), "no null d2@1 has no audit");
    assert_string_equal(judged("licences: [MIT]"), "no \"MIT\" d2@1 has no audit");
    attach_to(&d2, clean);
    assert_string_equal(judged("secrets: 0"), "ok 0.0");
    assert_string_equal(judged("licences: [MIT]"), "ok \"MIT\"");
}

static void licences_of_the_model_and_its_sources(void **state)
{
    (void)state;
    version_here();
    assert_string_equal(judged("licences: [mit, Apache-2.0]"), "ok \"MIT\"");
    assert_string_equal(judged("licences: [Apache-2.0]"), "no \"MIT\"");
    attach("{\"totals\": {}, \"sources\": [], \"licences\": {\"sources\": [{\"expression\": \"MIT AND CC-BY-4.0\"}, {\"expression\": \"GPL-2.0-only OR MIT\"}]}}");
    assert_string_equal(judged("licences: [MIT, CC-BY-4.0]"), "ok \"GPL-2.0-only OR MIT\"");
    assert_string_equal(judged("licences: [MIT]"), "no \"MIT AND CC-BY-4.0\"");
    attach("{\"totals\": {}, \"sources\": [], \"licences\": {\"sources\": [{\"expression\": null}]}}");
    assert_string_equal(judged("licences: [MIT]"), "no \"unknown\"");
    attach("{\"totals\": {}, \"sources\": [], \"licences\": {\"sources\": [{\"expression\": \"MIT AND (A OR B)\"}]}}");
    assert_string_equal(judged("licences: [MIT, B]"), "ok \"MIT AND (A OR B)\"");
    assert_string_equal(judged("licences: [MIT, C]"), "no \"MIT AND (A OR B)\"");
    assert_string_equal(judged("licences: [MIT, 'MIT AND (A OR B)']"), "ok \"MIT AND (A OR B)\"");
    static const struct { const char *expression; bool allowed; } of[] = {           /* in [MIT, A, B] */
        { "(A OR X) AND MIT", true }, { "(A AND X) OR MIT", true }, { "X OR A AND B", true }, { "X OR A AND Y", false }, { "A AND X OR B", true }, { "((A) AND (B OR X))", true },
        { "(A OR B) AND (X OR Y)", false }, { "(A OR B", false }, { "A) OR (B", false }, { "A OR", false }, { "()", false }, { "A AND B AND X", false }, { "A WITH B", false },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        char text[300];
        snprintf(text, sizeof text, "{\"totals\": {}, \"sources\": [], \"licences\": {\"sources\": [{\"expression\": \"%s\"}]}}", of[i].expression);
        attach(text);
        if (strncmp(judged("licences: [MIT, A, B]"), of[i].allowed ? "ok" : "no", 2))
            fail_msg("%s: expected %s", of[i].expression, of[i].allowed ? "allowed" : "refused");
    }
}

static void a_signer_is_a_public_key(void **state)
{
    (void)state;
    version_here();
    struct buf pem;
    int n = 0, after = 0;
    char **names;
    OK(pki_make(in_dir("k"), "P-256", NULL, &err));
    OK(file_list(in_dir("registry/blobs/sha256"), &names, &n, &err));
    file_list_free(names, n);
    for (int both = 0; both < 2; both++) {
        buf_init(&pem);
        if (both)
            OK(file_read(in_dir("k.pub"), 10000, &pem, &err));
        OK(file_read(in_dir("k.key"), 10000, &pem, &err));
        json_t *policy = json_pack("{s:s, s:[s]}", "signature", "enforce", "signers", pem.data);
        assert_int_equal(registry_policy_set(g, "m", "production", policy, &by, &err), ERR_FORMAT);
        assert_string_equal(err.msg, "the policy: signer 1: it has a private key, which should stay where signatures are made; expected its public key");
        json_decref(policy);
        buf_release(&pem);
    }
    OK(file_list(in_dir("registry/blobs/sha256"), &names, &after, &err));
    file_list_free(names, after);
    assert_int_equal(after, n);
}

/* The policy's mode with this public key as its signer. */
static const char *judged_by(const char *mode, const char *pub)
{
    static char said[700];
    struct buf pem;
    json_t *verdict;
    buf_init(&pem);
    OK(file_read(in_dir(pub), 10000, &pem, &err));
    json_t *policy = json_pack("{s:s, s:[s]}", "signature", mode, "signers", pem.data);
    OK(registry_policy_set(g, "m", "production", policy, &by, &err));
    OK(gate_judge(g, &v, "production", &verdict, &err));
    const json_t *c = json_array_get(json_object_get(verdict, "checks"), 0);
    snprintf(said, sizeof said, "%s %s", json_is_true(json_object_get(c, "passed")) ? "ok" : "no", tree_text_at(c, "why"));
    json_decref(verdict);
    json_decref(policy);
    buf_release(&pem);
    return said;
}

static void sign(const char *folder, const char *key)
{
    char root[SHA256_HEX], path[200], signature[200];
    const char *evidence[] = { signature };
    snprintf(path, sizeof path, "%s", in_dir(key));
    snprintf(signature, sizeof signature, "%s/model.sig", in_dir(folder));
    OK(oms_sign(in_dir(folder), &(struct oms_sign){ .key = path }, NULL, root, &err));
    OK(registry_attach(g, &v, &(struct registry_addition){ .evidence = evidence, .n_evidence = 1 }, &by, &err));
}

static void a_signature_must_be_of_these_files_and_by_who_is_trusted(void **state)
{
    (void)state;
    version_here();
    OK(pki_make(in_dir("ours"), "P-256", NULL, &err));
    OK(pki_make(in_dir("other"), "P-384", NULL, &err));
    assert_string_equal(judged_by("enforce", "ours.pub"), "no no signature");
    assert_string_equal(judged_by("warn", "ours.pub"), "ok no signature");
    OK(file_mkdirs(in_dir("changed"), &err));
    OK(file_write_all(in_dir("changed/weights"), "two", 3, &err));
    sign("changed", "ours.key");
    assert_string_equal(judged_by("enforce", "ours.pub"), "no it signs other files");
    sign("new", "other.key");
    assert_memory_equal(judged_by("enforce", "ours.pub"), "no ", 3);
    assert_string_equal(judged_by("enforce", "other.pub"), "ok ");
    sign("new", "ours.key");
    assert_string_equal(judged_by("enforce", "ours.pub"), "ok ");
    attach("{\"mediaType\": \"application/vnd.dev.sigstore.bundle.v0.3+json\"}");       /* a newer one that is none */
    assert_string_equal(judged_by("enforce", "ours.pub"), "ok ");
}

static void a_refused_move_changes_nothing_and_an_override_is_kept(void **state)
{
    (void)state;
    version_here();
    struct release_move m = { .name = "m", .alias = "production", .number = 1, .expect = -1 };
    struct registry_release r;
    json_t *verdict, *o;
    OK(set_policy("secrets: 0\nlicences: [MIT]\n"));
    assert_int_equal(registry_promote(g, &m, &by, &r, &verdict, &err), ERR_GATE);
    assert_string_equal(err.msg, "the policy says no: secrets: found nothing, expected at most 0, not measured");
    assert_int_equal(json_array_size(json_object_get(verdict, "checks")), 2);
    json_decref(verdict);
    assert_int_equal(registry_alias(g, &m, &by, NULL, NULL, &err), ERR_GATE);
    assert_int_equal(registry_release_get(g, "m", "production", &r, &err), ERR_NOTFOUND);
    m.alias = "other";                                      /* no policy */
    OK(registry_promote(g, &m, &by, NULL, &verdict, &err));
    assert_null(verdict);
    m.alias = "production", m.override = "the board wants it";
    OK(registry_promote(g, &m, &by, &r, NULL, &err));
    assert_true(r.stable == 1);
    OK(registry_history(g, "m", 1, &o, &err));
    assert_string_equal(tree_text_at(json_array_get(o, 0), "override"), "the board wants it");
    assert_true(json_is_false(json_object_get(json_object_get(json_array_get(o, 0), "gates"), "passed")));
    json_decref(o);
    OK(registry_policy_set(g, "m", "production", NULL, &by, &err));
    m.override = NULL;
    OK(registry_promote(g, &m, &by, NULL, NULL, &err));
}

#define G(name) cmocka_unit_test_setup_teardown(name, registry_begin, registry_end)
static const struct CMUnitTest gates[] = {
    G(policies_that_are_not_right_are_refused), G(figures_of_evaluations), G(the_newest_evidence_of_this_model_counts), G(evidence_of_adapters_is_of_the_two), G(what_was_stopped_does_not_count), G(what_is_of_the_first_items_does_not_count), G(of_evidence_that_came_at_once_the_date_counts), G(calibration_and_comparison),
    G(audits_of_all_that_it_comes_from), G(data_without_an_audit_is_told), G(a_signer_is_a_public_key), G(licences_of_the_model_and_its_sources),
    G(a_signature_must_be_of_these_files_and_by_who_is_trusted), G(a_refused_move_changes_nothing_and_an_override_is_kept),
};

int main(void) { return ON_BOTH_DATABASES(gates); }
