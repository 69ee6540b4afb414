/* test_provenance.c - statements of how a model was evaluated and made. */
#include "../test.h"
#include <unistd.h>
#include "base/mem.h"
#include "base/tree.h"
#include "store/provenance.h"

static struct err err;
#define ROOT "61d4849d9d90076d6215f4d525f13d6574af8e3f67aef3e6f36fc40a14fdd226"
#define MODEL "48f5edafac89b3a1a8e5a2f3d2d8f4a1f8d0b6f9f2d1c3b4a5968778695a4b3c"

static void requirements_are_read_strictly(void **state)
{
    (void)state;
    static const struct { const char *text, *name, *op; double value; } of[] = {
        { "arc_easy/acc>=0.4", "arc_easy/acc", ">=", 0.4 }, { "ece<=5e-2", "ece", "<=", 0.05 }, { "n>-1", "n", ">", -1 }, { "a b/c<1", "a b/c", "<", 1 }, { "x==0", "x", "==", 0 },
    };
    static const char *const bad[] = { "", "x", "x>=", ">=1", "x>=1x", "x=1", "x=>1", "x>=nan", "x>=inf", "x>==1", "x<>1", "x>=1 >=2" };
    struct provenance_need need;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        OK(provenance_need_parse(&need, of[i].text, &err));
        assert_string_equal(need.name, of[i].name);
        assert_string_equal(need.op, of[i].op);
        assert_true(need.value == of[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (provenance_need_parse(&need, bad[i], &err) != ERR_USAGE)
            fail_msg("'%s' was taken", bad[i]);
}

static int evaluate(struct buf *out, bool *passed, const char *const *needs, int n)
{
    struct provenance_need need[8];
    const char *const file[] = { in_dir("results.json"), in_dir("calibration.json") };
    for (int i = 0; i < n; i++)
        OK(provenance_need_parse(&need[i], needs[i], &err));
    buf_clear(out);
    return provenance_evaluation(out, passed, "m", ROOT, MODEL, file, 2, need, n, &err);
}

static void an_evaluation_passes_where_all_requirements_are_met(void **state)
{
    (void)state;
    struct buf out;
    bool passed;
    json_t *o;
    buf_init(&out);
    put_in_dir("results.json", "{\"config\": {\"model_sha\": \"" MODEL "\"}, \"results\": {\"arc\": {\"alias\": \"arc\", \"acc,none\": 0.5, \"acc_norm,none\": 0.6, \"acc_stderr,none\": \"N/A\"}}}");
    put_in_dir("calibration.json", "{\"kind\": \"calibration\", \"model_sha256\": null, \"figures\": [{\"name\": \"ece\", \"of\": null, \"value\": 0.04}, {\"name\": \"ece\", \"of\": \"group b\", \"value\": 0.2}]}");
    const char *const good[] = { "arc/acc>=0.5", "arc/acc_norm,none>0.59", "ece<=0.05", "ece/group b<0.3" };
    OK(evaluate(&out, &passed, good, 4));
    assert_true(passed);
    OK(tree_parse_json(&o, out.data, out.len, "x", &err));
    const json_t *predicate = json_object_get(o, "predicate");
    assert_string_equal(tree_text_at(predicate, "result"), "PASSED");
    assert_int_equal(json_array_size(json_object_get(predicate, "passedTests")), 4);
    assert_int_equal(json_array_size(json_object_get(predicate, "configuration")), 2);
    assert_string_equal(tree_text_at(json_array_get(json_object_get(predicate, "configuration"), 0), "name"), "results.json");
    assert_string_equal(tree_text_at(o, "predicateType"), "https://in-toto.io/attestation/test-result/v0.1");
    json_decref(o);
    const char *const one_bad[] = { "arc/acc>0.5", "ece<=0.05" }, *const unknown[] = { "arc/f1>0" };
    OK(evaluate(&out, &passed, one_bad, 2));
    assert_false(passed);
    assert_non_null(strstr(out.data, "\"failedTests\":[\"arc/acc>0.5\"]"));
    assert_int_equal(evaluate(&out, &passed, unknown, 1), ERR_NOTFOUND);
    assert_int_equal(evaluate(&out, &passed, unknown, 0), ERR_USAGE);
    put_in_dir("calibration.json", "{\"model_sha256\": \"abc\", \"figures\": []}");
    assert_int_equal(evaluate(&out, &passed, one_bad, 1), ERR_GATE);
    put_in_dir("calibration.json", "{\"config\": {\"model_sha\": \"abc\"}, \"results\": {}}");
    assert_int_equal(evaluate(&out, &passed, one_bad, 1), ERR_GATE);
    put_in_dir("calibration.json", "{\"model_sha256\": \"" MODEL "\", \"adapter_sha256\": \"ad\", \"figures\": []}");        /* of the two together */
    assert_int_equal(evaluate(&out, &passed, one_bad, 1), ERR_GATE);
    put_in_dir("calibration.json", "{\"config\": {\"model_sha\": \"" MODEL "\", \"peft_sha\": \"ad\"}, \"results\": {}}");
    assert_int_equal(evaluate(&out, &passed, one_bad, 1), ERR_GATE);
    put_in_dir("calibration.json", "{\"complete\": false, \"figures\": []}");
    assert_int_equal(evaluate(&out, &passed, one_bad, 1), ERR_GATE);
    assert_non_null(strstr(err.msg, "stopped before its end"));
    put_in_dir("calibration.json", "{\"limit\": 20, \"figures\": []}");
    assert_int_equal(evaluate(&out, &passed, one_bad, 1), ERR_GATE);
    assert_non_null(strstr(err.msg, "the first items alone"));
    put_in_dir("calibration.json", "[1");
    assert_int_equal(evaluate(&out, &passed, one_bad, 1), ERR_FORMAT);
    buf_release(&out);
}

static void a_run_tells_its_data_settings_and_times(void **state)
{
    (void)state;
    struct buf out;
    json_t *o;
    char facts[3000];
    buf_init(&out);
    put_in_dir("data/a", "12345"), put_in_dir("data/b", "678");
    put_in_dir("run/metrics.jsonl", "{\"step\":1,\"unix_ms\":1764000000000}\n{\"step\":2,\"unix_ms\":1764000009500}\n");
    put_in_dir("run/data/train.tok", "tokens");
    snprintf(facts, sizeof facts, "{\"unix_ms\": 1764000000000, \"config\": \"c.yaml\", \"settings\": {\"train\": {\"seed\": 1}}, \"model\": {}, \"data\": [{\"role\": \"train\", \"path\": \"%s\", \"bytes\": 8}, {\"role\": \"valid\", \"path\": \"%s\", \"bytes\": 8}]}",
             in_dir("data"), in_dir("gone"));
    put_in_dir("run/run.json", facts);
    OK(provenance_training(&out, "m", ROOT, in_dir("run"), "1.2", &err));
    OK(tree_parse_json(&o, out.data, out.len, "x", &err));
    const json_t *predicate = json_object_get(o, "predicate"), *list = json_object_get(json_object_get(predicate, "buildDefinition"), "resolvedDependencies");
    assert_int_equal(json_array_size(list), 4);
    /* sha256(sha256("12345") || sha256("678")) by Python's hashlib */
    assert_string_equal(tree_text_at(json_object_get(json_array_get(list, 0), "digest"), "sha256"), "ed30546ba04872b8cb88221c08c97dda365bcb6a97154d22c2800d6439dff8c8");
    assert_null(json_object_get(json_array_get(list, 1), "digest"));
    assert_string_equal(tree_text_at(json_array_get(list, 2), "name"), "data/train.tok");
    assert_string_equal(tree_text_at(json_array_get(list, 3), "name"), "lathe");
    const json_t *times = json_object_get(json_object_get(predicate, "runDetails"), "metadata");
    assert_string_equal(tree_text_at(times, "startedOn"), "2025-11-24T16:00:00Z");
    assert_string_equal(tree_text_at(times, "finishedOn"), "2025-11-24T16:00:09Z");
    json_decref(o);
    struct file_usage use, own;                  /* a folder of the hub: files that are links, and one that is no part of a manifest */
    put_in_dir("hub/.gitattributes", "*.txt text\n");
    (void)unlink(in_dir("hub/a"));
    assert_int_equal(symlink("../data/a", in_dir("hub/a")), 0);
    OK(file_usage_followed(in_dir("hub"), &use, &err));
    OK(file_usage(in_dir("hub"), &own, &err));
    assert_true(use.bytes == 16 && use.n_file == 2 && own.bytes == 11 && own.n_file == 1);
    snprintf(facts, sizeof facts, "{\"unix_ms\": 1764000000000, \"config\": \"c.yaml\", \"settings\": {\"train\": {\"seed\": 1}}, \"model\": {}, \"data\": [{\"role\": \"train\", \"path\": \"%s\", \"bytes\": 16}]}", in_dir("hub"));
    put_in_dir("linked/metrics.jsonl", "{\"step\":1,\"unix_ms\":1764000000000}\n");
    put_in_dir("linked/run.json", facts);
    OK(provenance_training(&out, "m", ROOT, in_dir("linked"), "1.2", &err));
    put_in_dir("data/b", "6789");
    assert_int_equal(provenance_training(&out, "m", ROOT, in_dir("run"), "1.2", &err), ERR_CORRUPT);
    put_in_dir("run/run.json", "{}");
    assert_int_equal(provenance_training(&out, "m", ROOT, in_dir("run"), "1.2", &err), ERR_FORMAT);
    assert_int_equal(provenance_training(&out, "m", ROOT, in_dir("none"), "1.2", &err), ERR_NOTFOUND);
    buf_release(&out);
}

static void a_statement_is_about_one_root(void **state)
{
    (void)state;
    static const struct { const char *text, *kind; int rc; } of[] = {
        { "{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{\"digest\":{\"sha256\":\"" ROOT "\"}}],\"predicateType\":\"https://slsa.dev/provenance/v1\",\"predicate\":{}}", "training", 0 },
        { "{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{\"digest\":{\"sha256\":\"" MODEL "\"}}],\"predicateType\":\"https://slsa.dev/provenance/v1\",\"predicate\":{}}", "training", ERR_GATE },
        { "{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{\"digest\":{\"sha256\":\"" ROOT "\"}},{}],\"predicateType\":\"https://in-toto.io/attestation/test-result/v0.1\",\"predicate\":{}}", "evaluation", ERR_FORMAT },
        { "{\"_type\":\"x\",\"subject\":[{\"digest\":{\"sha256\":\"" ROOT "\"}}],\"predicateType\":\"https://slsa.dev/provenance/v1\",\"predicate\":{}}", "training", ERR_FORMAT },
        { "{}", NULL, ERR_FORMAT }, { "[]", NULL, ERR_FORMAT }, { "", NULL, ERR_FORMAT }, { "{\"predicateType\":1}", NULL, ERR_FORMAT },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        struct dsse d;
        json_t *predicate;
        dsse_init(&d);
        OK(buf_add_str(&d.payload, of[i].text, &err));
        const char *kind = provenance_kind(&d);
        assert_true(!kind == !of[i].kind && (!kind || !strcmp(kind, of[i].kind)));
        assert_int_equal(provenance_read(&predicate, &d, ROOT, "x", &err), of[i].rc);
        json_decref(predicate);
        dsse_release(&d);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        T(requirements_are_read_strictly),
        T(an_evaluation_passes_where_all_requirements_are_met),
        T(a_run_tells_its_data_settings_and_times),
        T(a_statement_is_about_one_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
