/* test_oci.c - the OCI's names and manifests, read and made; and what a path of its API names. */
#include "../test.h"
#include "base/tree.h"
#include "serve/oci_path.h"
#include "store/oci.h"

static struct err err;
#define FAILS(expr, with, says)                                                  \
    do {                                                                         \
        if ((expr) != (with) || err.code != (with) || !strstr(err.msg, (says)))  \
            fail_msg("%s: %s", #expr, err.msg);                                  \
    } while (0)
#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define BLOB(type, more) "{\"mediaType\": \"" type "\", \"digest\": \"sha256:" HEX "\", \"size\": 5" more "}"
#define TITLE(name) ", \"annotations\": {\"org.opencontainers.image.title\": \"" name "\"}"
#define MANIFEST(layers) "{\"schemaVersion\": 2, \"config\": " BLOB("c", "") ", \"layers\": [" layers "]}"

static void a_reference_has_host_repository_and_tag_or_digest(void **state)
{
    struct oci_ref r;
    (void)state;
    OK(oci_ref_parse(&r, "oci://localhost:5000/org/Model.v1:latest", &err));
    assert_string_equal(r.host, "localhost:5000");
    assert_string_equal(r.repository, "org/Model.v1");
    assert_string_equal(r.reference, "latest");
    assert_true(oci_ref_is_local(&r) && !r.by_digest);
    OK(oci_ref_parse(&r, "oci://[::1]:80/m@sha256:" HEX, &err));
    assert_string_equal(r.reference, "sha256:" HEX);
    assert_true(oci_ref_is_local(&r) && r.by_digest);
    OK(oci_ref_parse(&r, "oci://localhost.example.org/m:1", &err));
    assert_false(oci_ref_is_local(&r));
    static const char *const bad[] = { "", "oci://", "oci:///m:1", "oci://h/m", "oci://h/:1", "oci://h/m:", "oci://h/../m:1", "oci://h/m/:1", "oci://h/m:-1", "oci://h/m:a b", "oci://h:/m:1", "oci://h:99999/m:1",
                                       "oci://user@h/m:1", "oci://h/m@sha256:12", "oci://h/m@sha512:" HEX HEX, "oci://h/a?b:1", "https://h/m:1", "oci://[::1/m:1", "oci://h/m%2f:1", "oci://h/-m:1" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        FAILS(oci_ref_parse(&r, bad[i], &err), ERR_USAGE, "expected oci://HOST");
}

static void manifests_that_are_none_are_errors(void **state)
{
    static const struct { const char *text; int code; const char *says; } bad[] = {
        { "", ERR_FORMAT, "" },
        { "[]", ERR_FORMAT, "" },
        { "{}", ERR_FORMAT, "schemaVersion" },
        { "{\"schemaVersion\": 2, \"manifests\": []}", ERR_UNSUPPORTED, "index" },
        { "{\"schemaVersion\": 2, \"mediaType\": \"application/vnd.oci.image.index.v1+json\"}", ERR_UNSUPPORTED, "index" },
        { "{\"schemaVersion\": 2}", ERR_FORMAT, "the config" },
        { "{\"schemaVersion\": 2, \"config\": " BLOB("c", "") "}", ERR_FORMAT, "layers" },
        { MANIFEST("1"), ERR_FORMAT, "layer 0" },
        { MANIFEST("{\"mediaType\": \"x\", \"digest\": \"sha256:" HEX "\", \"size\": -1}"), ERR_FORMAT, "layer 0" },
        { MANIFEST("{\"mediaType\": \"x\", \"digest\": \"sha512:" HEX HEX "\", \"size\": 1}"), ERR_FORMAT, "digest" },
        { MANIFEST("{\"mediaType\": \"x\", \"digest\": \"sha256:../../etc\", \"size\": 1}"), ERR_FORMAT, "digest" },
        { MANIFEST(BLOB("a", TITLE("x\\u0000y"))), ERR_FORMAT, "NUL" },
        { MANIFEST(BLOB("a", ", \"annotations\": {\"org.cncf.model.filepath\": \"\\u0000\"}")), ERR_FORMAT, "NUL" },
    };
    struct oci_manifest m;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        FAILS(oci_manifest_parse(&m, bad[i].text, strlen(bad[i].text), &err), bad[i].code, bad[i].says);
}

static int files_of(const char *text, struct manifest *files, json_t *kept)
{
    struct oci_manifest m;
    OK(oci_manifest_parse(&m, text, strlen(text), &err));
    const int rc = oci_manifest_files(&m, files, kept, &err);
    oci_manifest_release(&m);
    return rc;
}

static void layers_are_files_by_title_path_or_digest(void **state)
{
    struct manifest files;
    json_t *kept = json_array();
    (void)state;
    OK(files_of(MANIFEST(BLOB("a", TITLE("sub/weights")) ", " BLOB("a", "") ", " BLOB("a", ", \"annotations\": {\"org.cncf.model.filepath\": \"b\"}") ", " BLOB("a", TITLE("model.sig")) ", "
                         BLOB("a", TITLE(".gitattributes")) ", " BLOB("application/vnd.oci.empty.v1+json", "")), &files, kept));
    assert_int_equal(files.n, 3);
    assert_string_equal(files.file[0].name, "b");
    assert_string_equal(files.file[1].name, "sha256-" HEX);
    assert_string_equal(files.file[2].name, "sub/weights");
    assert_int_equal(files.file[2].bytes, 5);
    assert_int_equal(json_array_size(kept), 4);              /* the config too */
    assert_string_equal(tree_text_at(json_array_get(kept, 1), "file"), "model.sig");
    manifest_release(&files);
    json_decref(kept);
}

static void layers_that_are_no_files_are_refused(void **state)
{
    static const struct { const char *text; int code; const char *says; } bad[] = {
        { MANIFEST(""), ERR_NOTFOUND, "no files" },
        { MANIFEST(BLOB("a", TITLE("../x"))), ERR_FORMAT, "path below" },
        { MANIFEST(BLOB("a", TITLE("/x"))), ERR_FORMAT, "path below" },
        { MANIFEST(BLOB("a", TITLE("a/./x"))), ERR_FORMAT, "path below" },
        { MANIFEST(BLOB("a", TITLE("x\\u0001"))), ERR_FORMAT, "path below" },
        { MANIFEST(BLOB("a", TITLE("x")) "," BLOB("a", TITLE("x"))), ERR_FORMAT, "two files" },
        { MANIFEST(BLOB("a", TITLE("x/y")) "," BLOB("a", TITLE("x"))), ERR_FORMAT, "below it" },
        { MANIFEST(BLOB("application/vnd.cncf.model.weight.v1.tar+gzip", TITLE("x"))), ERR_UNSUPPORTED, "archive" },
        { MANIFEST(BLOB("a", ", \"annotations\": {\"org.opencontainers.image.title\": \"x\", \"io.deis.oras.content.unpack\": \"true\"}")), ERR_UNSUPPORTED, "archive" },
    };
    struct manifest files;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *kept = json_array();
        FAILS(files_of(bad[i].text, &files, kept), bad[i].code, bad[i].says);
        json_decref(kept);
    }
}

static void a_version_is_a_modelpack_that_reads_back(void **state)
{
    struct registry_version v = { .name = "m", .kind = "model", .number = 3, .t = "2026-01-02T03:04:05Z" };
    struct manifest files = { .n = 0 }, back;
    struct buf manifest, config, again;
    struct oci_manifest m;
    char sha256[SHA256_HEX];
    (void)state;
    buf_init(&manifest);
    buf_init(&config);
    buf_init(&again);
    OK(manifest_add(&files, "model.safetensors", HEX, 70, &err));
    OK(manifest_add(&files, "config.json", HEX, 7, &err));
    OK(manifest_add(&files, "README.md", HEX, 0, &err));
    manifest_sort(&files);
    json_t *facts = json_loads("{\"family\": \"llama\", \"parameters\": 134515008, \"file\": {\"types\": {\"BF16\": 100, \"F32\": 3}}, \"license\": \"MIT\"}", 0, NULL), *o, *kept = json_array();
    OK(oci_version(&v, &files, facts, &manifest, &config, &err));
    OK(oci_version(&v, &files, facts, &again, &config, &err));
    assert_string_equal(manifest.data, again.data);
    config.data[config.len /= 2] = 0;                        /* twice the same */
    OK(tree_parse_json(&o, config.data, config.len, "config", &err));
    const json_t *c = json_object_get(o, "config"), *d = json_object_get(o, "descriptor");
    assert_string_equal(tree_text_at(c, "architecture"), "llama");
    assert_string_equal(tree_text_at(c, "paramSize"), "135M");
    assert_string_equal(tree_text_at(c, "precision"), "BF16");
    assert_string_equal(tree_text_at(c, "format"), "safetensors");
    assert_string_equal(tree_text_at(d, "version"), "3");
    assert_int_equal(json_array_size(json_object_get(json_object_get(o, "modelfs"), "diffIds")), 3);
    json_decref(o);
    OK(oci_manifest_parse(&m, manifest.data, manifest.len, &err));
    OK(sha256_of(config.data, config.len, sha256, &err));
    assert_string_equal(m.config.sha256, sha256);
    assert_int_equal(m.config.bytes, config.len);
    assert_string_equal(m.artifact_type, OCI_MODEL);
    assert_string_equal(m.layer[2].type, "application/vnd.cncf.model.weight.v1.raw");
    assert_string_equal(m.layer[0].type, "application/vnd.cncf.model.doc.v1.raw");
    OK(oci_manifest_files(&m, &back, kept, &err));
    assert_int_equal(back.n, 3);
    for (int i = 0; i < 3; i++)
        assert_true(!strcmp(back.file[i].name, files.file[i].name) && back.file[i].bytes == files.file[i].bytes);
    manifest_release(&back);
    oci_manifest_release(&m);
    buf_clear(&manifest);
    OK(oci_signature(&(struct oci_blob){ .type = OCI_MANIFEST, .sha256 = HEX, .bytes = 9 }, HEX, 11, &manifest, &err));
    OK(oci_manifest_parse(&m, manifest.data, manifest.len, &err));
    assert_string_equal(m.subject.sha256, HEX);
    assert_string_equal(m.artifact_type, OCI_SIGNATURE);
    oci_manifest_release(&m);
    json_decref(kept);
    json_decref(facts);
    manifest_release(&files);
    buf_release(&manifest);
    buf_release(&config);
    buf_release(&again);
}

static void paths_name_what_they_mean(void **state)
{
    static const struct { const char *path; int kind, status; const char *name, *what; } paths[] = {
        { "/v2", OCI_AT_BASE, 0, "", "" },
        { "/v2/", OCI_AT_BASE, 0, "", "" },
        { "/v2/m/tags/list", OCI_AT_TAGS, 0, "m", "" },
        { "/v2/m/manifests/latest", OCI_AT_MANIFEST, 0, "m", "latest" },
        { "/v2/m/manifests/sha256:" HEX, OCI_AT_MANIFEST, 0, "m", "sha256:" HEX },
        { "/v2/m/blobs/sha256:" HEX, OCI_AT_BLOB, 0, "m", HEX },
        { "/v2/m/blobs/uploads", OCI_AT_UPLOADS, 0, "m", "" },
        { "/v2/m/blobs/uploads/", OCI_AT_UPLOADS, 0, "m", "" },
        { "/v2/m/blobs/uploads/ab", OCI_AT_UPLOAD, 0, "m", "ab" },
        { "/v2/m/referrers/sha256:" HEX, OCI_AT_REFERRERS, 0, "m", HEX },
        { "/v2/blobs/blobs/sha256:" HEX, OCI_AT_BLOB, 0, "blobs", HEX },
        { "/v2/m/blobs/sha256:../x", 0, 400, NULL, NULL },
        { "/v2/m/blobs/../../x", 0, 400, NULL, NULL },
        { "/v2/m/referrers/x", 0, 400, NULL, NULL },
        { "/v2/m/manifests/sha512:1", 0, 400, NULL, NULL },
        { "/v2/m/manifests/.x", 0, 404, NULL, NULL },
        { "/v2/a/b/manifests/x", 0, 404, NULL, NULL },
        { "/v2/../manifests/x", 0, 404, NULL, NULL },
        { "/v2/manifests/x", 0, 404, NULL, NULL },
        { "/v2/tags/list", 0, 404, NULL, NULL },
        { "/v2/m", 0, 404, NULL, NULL },
        { "/v2/m/tags/list/x", 0, 404, NULL, NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct refusal e = { 0 };
        struct oci_path p;
        oci_path_parse(&p, paths[i].path, &e);
        if (e.status != paths[i].status)
            fail_msg("%s: %d %s", paths[i].path, e.status, e.message);
        if (e.status)
            continue;
        assert_int_equal(p.kind, paths[i].kind);
        assert_string_equal(p.name, paths[i].name);
        assert_string_equal(p.what, paths[i].what);
    }
    assert_true(oci_is_path("/v2/m") && !oci_is_path("/v22") && !oci_is_path("/api"));
}

static void ranges_are_one_or_all(void **state)
{
    static const struct { const char *value; uint64_t n; int status; uint64_t from, to; } ranges[] = {
        { NULL, 10, 200, 0, 9 }, { "bytes=0-", 10, 206, 0, 9 }, { "bytes=3-4", 10, 206, 3, 4 }, { "bytes=3-99", 10, 206, 3, 9 }, { "bytes=-3", 10, 206, 7, 9 }, { "bytes=-30", 10, 206, 0, 9 },
        { "bytes=10-", 10, 416, 0, 9 }, { "bytes=-0", 10, 416, 0, 9 }, { "bytes=0-", 0, 416, 0, 0 }, { "bytes=5-4", 10, 200, 0, 9 }, { "bytes=1-2,4-5", 10, 200, 0, 9 }, { "bytes=x", 10, 200, 0, 9 },
        { "bytes=99999999999999999999-", 10, 200, 0, 9 }, { "lines=1-2", 10, 200, 0, 9 } };
    uint64_t from, to;
    (void)state;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        assert_int_equal(oci_range(ranges[i].value, ranges[i].n, &from, &to), ranges[i].status);
        if (ranges[i].status == 206)
            assert_true(from == ranges[i].from && to == ranges[i].to);
    }
    assert_true(oci_content_range("0-4", &from, &to) && from == 0 && to == 4);
    assert_true(oci_content_range("bytes 5-9/10", &from, &to) && from == 5);
    assert_false(oci_content_range("5-4", &from, &to) || oci_content_range("5", &from, &to) || oci_content_range("-5", &from, &to) || oci_content_range("", &from, &to));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reference_has_host_repository_and_tag_or_digest),
        cmocka_unit_test(manifests_that_are_none_are_errors),
        cmocka_unit_test(layers_are_files_by_title_path_or_digest),
        cmocka_unit_test(layers_that_are_no_files_are_refused),
        cmocka_unit_test(a_version_is_a_modelpack_that_reads_back),
        cmocka_unit_test(paths_name_what_they_mean),
        cmocka_unit_test(ranges_are_one_or_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
