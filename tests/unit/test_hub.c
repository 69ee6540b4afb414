/* test_hub.c - names of models and files that others chose, the hub's list, which files of it a model needs, the store. */
#include "../test.h"
#include "base/mem.h"
#include "store/fetch.h"
#include "store/hub.h"
#include "store/models.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))
static struct err err;

/* ---- names ---- */

static void an_id_has_organisation_name_revision_and_file(void **state)
{
    (void)state;
    static const struct { const char *text; struct model_id id; } good[] = {
        { "a/b", { "a", "b", "main", "" } },
        { "Org_1/Model-7B.v0", { "Org_1", "Model-7B.v0", "main", "" } },
        { "a/b@v1", { "a", "b", "v1", "" } },
        { "a/b@refs/pr/1:Q4_K_M", { "a", "b", "refs/pr/1", "Q4_K_M" } },
        { "a/b:x/y@z.gguf", { "a", "b", "main", "x/y@z.gguf" } },
    };
    static const char *const bad[] = { "", "a", "/b", "a/", "a/b/c", "../b", "a/..", "a/.b", "-a/b", "a/b@", "a/b@../x", "a/b@/x", "a/b:", "a b/c", "a/b\n", "a/b@x\n", "\xc3\xa4/b", "a@x/b", "a:x/b" };
    struct model_id id;
    for (int i = 0; i < COUNT(good); i++) {
        OK(model_id_parse(&id, good[i].text, &err));
        assert_string_equal(id.org, good[i].id.org);
        assert_string_equal(id.name, good[i].id.name);
        assert_string_equal(id.revision, good[i].id.revision);
        assert_string_equal(id.file, good[i].id.file);
    }
    for (int i = 0; i < COUNT(bad); i++)
        if (model_id_parse(&id, bad[i], &err) != ERR_USAGE)
            fail_msg("'%s' was taken", bad[i]);
    char text[500];
    memset(text, 'a', sizeof text);
    for (int n = 95; n < 100; n++) {
        snprintf(text + n, sizeof text - (size_t)n, "/b");
        assert_int_equal(model_id_parse(&id, text, &err), n <= 96 ? 0 : ERR_USAGE);
        memset(text, 'a', sizeof text);
    }
}

static void a_file_name_cannot_leave_its_folder(void **state)
{
    (void)state;
    static const char *const good[] = { "a", "a.b", "..a", "a..", "...", "a/b", "a/..b/c", "\xc3\xa4", "a b", ".gitattributes" };
    static const char *const bad[] = { "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "./a", "a/.", "a\\b", "a\nb", "\x7f", "\x1b[2J", "\xff", "a\xc0\xaf" };
    for (int i = 0; i < COUNT(good); i++)
        if (!model_path_ok(good[i]))
            fail_msg("'%s' was refused", good[i]);
    for (int i = 0; i < COUNT(bad); i++)
        if (model_path_ok(bad[i]))
            fail_msg("'%s' was taken", bad[i]);
    char text[600];
    for (int part = 255; part <= 256; part++) {
        memset(text, 'a', sizeof text);
        text[part] = 0;
        assert_int_equal(model_path_ok(text), part == 255);
    }
    for (int n = 500; n <= 501; n++) {
        memset(text, 'a', sizeof text);
        text[250] = '/', text[n] = 0;
        assert_int_equal(model_path_ok(text), n == 500);
    }
}

static void a_pattern_matches_the_path_or_its_last_part(void **state)
{
    (void)state;
    assert_true(model_file_matches("*Q4_K_M*", "x-Q4_K_M.gguf"));
    assert_true(model_file_matches("*Q4_K_M*", "sub/x-Q4_K_M.gguf"));
    assert_true(model_file_matches("sub/*.gguf", "sub/x.gguf"));
    assert_true(model_file_matches("x.gguf", "sub/x.gguf"));
    assert_true(model_file_matches("q4_k", "x-Q4_K_M.gguf"));
    assert_false(model_file_matches("*q4_k*", "x-Q4_K_M.gguf"));
    assert_false(model_file_matches("Q4_K_M?", "x-Q4_K_M.gguf"));
    assert_false(model_file_matches("Q5", "x-Q4_K_M.gguf"));
}

static void a_url_has_only_harmless_characters(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    OK(model_escape("refs/pr 1?#%\xc3\xa4", false, &b, &err));
    assert_string_equal(b.data, "refs%2Fpr%201%3F%23%25%C3%A4");
    buf_clear(&b);
    OK(model_escape("a/b-._~", true, &b, &err));
    assert_string_equal(b.data, "a/b-._~");
    buf_release(&b);
}

static void the_next_page_is_found_in_a_link_header(void **state)
{
    (void)state;
    static const struct { const char *value, *next; } row[] = {
        { "<https://x/y?a=1&b=2>; rel=\"next\"", "https://x/y?a=1&b=2" },
        { "<u>; rel=next", "u" },
        { "<p>; rel=\"prev\", <n>; rel=\"next\"", "n" },
        { "<n>; rel=\"next\", <p>; rel=\"prev\"", "n" },
        { "<p>; rel=\"prev\"", "" }, { "", "" }, { "<", "" }, { "<x", "" }, { ">", "" }, { "<>; rel=\"next\"", "" }, { "rel=\"next\"", "" },
    };
    char out[100];
    for (int i = 0; i < COUNT(row); i++) {
        fetch_link_next(row[i].value, out, sizeof out);
        assert_string_equal(out, row[i].next);
    }
    fetch_link_next("<12345>; rel=\"next\"", out, 5);         /* too long: none, rather than another URL */
    assert_string_equal(out, "");
    fetch_link_next("<1234>; rel=\"next\"", out, 5);
    assert_string_equal(out, "1234");
}

/* ---- the list ---- */

#define SHA1 "da39a3ee5e6b4b0d3255bfef95601890afd80709"
#define SHA2 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static int add(struct hub_list *l, const char *json) { return hub_list_add(l, json, strlen(json), &err); }

static void an_entry_of_the_list_has_path_size_and_digest(void **state)
{
    (void)state;
    struct hub_list l = { 0 };
    OK(add(&l, "[{\"type\": \"file\", \"path\": \"a\", \"size\": 3, \"oid\": \"" SHA1 "\"}, {\"type\": \"directory\", \"path\": \"../d\", \"oid\": 1}]"));
    OK(add(&l, "[{\"type\": \"file\", \"path\": \"b\", \"size\": 3, \"oid\": \"" SHA1 "\", \"lfs\": {\"oid\": \"" SHA2 "\", \"size\": 1099511627776}}]"));
    OK(add(&l, "[]"));
    assert_int_equal(l.n, 2);
    assert_string_equal(l.file[0].digest, SHA1);
    assert_int_equal(l.file[0].size, 3);
    assert_string_equal(l.file[1].digest, SHA2);
    assert_true(l.file[1].size == (uint64_t)1 << 40);
    hub_list_release(&l);
}

static void a_wrong_list_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "{}", "null", "[1]", "[{}]", "[{\"type\": \"file\"}]", "[{\"type\": 1, \"path\": \"a\"}]",
        "[{\"type\": \"file\", \"path\": \"../a\", \"size\": 3, \"oid\": \"" SHA1 "\"}]",
        "[{\"type\": \"file\", \"path\": \"/a\", \"size\": 3, \"oid\": \"" SHA1 "\"}]",
        "[{\"type\": \"file\", \"path\": \"a\", \"size\": -1, \"oid\": \"" SHA1 "\"}]",
        "[{\"type\": \"file\", \"path\": \"a\", \"size\": 2e3, \"oid\": \"" SHA1 "\"}]",
        "[{\"type\": \"file\", \"path\": \"a\", \"size\": 9000000000000000000, \"oid\": \"" SHA1 "\"}]",
        "[{\"type\": \"file\", \"path\": \"a\", \"oid\": \"" SHA1 "\"}]",
        "[{\"type\": \"file\", \"path\": \"a\", \"size\": 3}]",
        "[{\"type\": \"file\", \"path\": \"a\", \"size\": 3, \"oid\": \"" SHA2 "\"}]",
        "[{\"type\": \"file\", \"path\": \"a\", \"size\": 3, \"oid\": \"../../../../../../../../../../../../evil\"}]",
        "[{\"type\": \"file\", \"path\": \"a\", \"size\": 3, \"oid\": \"" SHA1 "\", \"lfs\": {\"oid\": \"" SHA1 "\", \"size\": 3}}]",
    };
    for (int i = 0; i < COUNT(bad); i++) {
        struct hub_list l = { 0 };
        if (add(&l, bad[i]) >= 0)
            fail_msg("taken: %s", bad[i]);
        hub_list_release(&l);
    }
}

static void a_list_ends_at_its_limit(void **state)
{
    (void)state;
    struct hub_list l = { 0 };
    char json[200];
    for (int i = 0; i < HUB_FILES_MAX; i++) {
        snprintf(json, sizeof json, "[{\"type\": \"file\", \"path\": \"f%d\", \"size\": 3, \"oid\": \"" SHA1 "\"}]", i);
        OK(add(&l, json));
    }
    assert_int_equal(add(&l, json), ERR_RANGE);
    hub_list_release(&l);
}

/* ---- which files ---- */

/* names, of those the wanted ones marked with '+', or the code of the error. */
static void chooses(const char *names, const char *patterns, int code)
{
    struct hub_list l = { 0 };
    char json[400], name[100], wanted[50] = "";
    int n = 0;
    for (const char *p = names; *p; p += strspn(p, " "), n++) {
        const size_t len = strcspn(p, " ");
        wanted[n] = *p == '+';
        snprintf(name, sizeof name, "%.*s", (int)len - wanted[n], p + wanted[n]);
        snprintf(json, sizeof json, "[{\"type\": \"file\", \"path\": \"%s\", \"size\": 3, \"oid\": \"" SHA1 "\"}]", name);
        OK(add(&l, json));
        p += len;
    }
    const int rc = hub_list_choose(&l, patterns, &err);
    if (rc != code)
        fail_msg("%s: %d (%s), expected %d", names, rc, rc ? err.msg : "", code);
    for (int i = 0; i < n && !rc; i++)
        if (l.file[i].wanted != wanted[i])
            fail_msg("%s: %s", names, l.file[i].path);
    hub_list_release(&l);
}

static void a_model_is_its_safetensors_or_its_only_gguf(void **state)
{
    (void)state;
    chooses("+config.json +model.safetensors pytorch_model.bin README.md .gitattributes +tokenizer.json onnx/model.onnx", NULL, 0);
    chooses("+model-00001-of-00002.safetensors +model-00002-of-00002.safetensors +model.safetensors.index.json consolidated.safetensors", NULL, 0);
    chooses("+consolidated.safetensors +params.json +tekken.json original/x.safetensors", NULL, 0);
    chooses("+model.safetensors x.gguf +1_Pooling/config.json +additional_chat_templates/a.jinja +vocab.txt notes.txt +LICENSE", NULL, 0);
    chooses("+x.gguf +config.json mmproj-x.gguf", NULL, 0);
    chooses("+q/x-00001-of-00003.gguf +q/x-00002-of-00003.gguf +q/x-00003-of-00003.gguf", NULL, 0);
    chooses("a-00001-of-00002.gguf a-00002-of-00002.gguf b-00001-of-00002.gguf b-00002-of-00002.gguf", NULL, ERR_USAGE);
    chooses("x-Q4_0.gguf x-Q8_0.gguf", NULL, ERR_USAGE);
    chooses("pytorch_model.bin config.json", NULL, ERR_UNSUPPORTED);
    chooses("README.md", NULL, ERR_UNSUPPORTED);
}

static void patterns_choose_files(void **state)
{
    (void)state;
    chooses("x-Q4_0.gguf +x-Q8_0.gguf config.json", "*Q8*", 0);
    chooses("x-Q4_0.gguf +x-Q8_0.gguf +config.json", "q8_0,config.json", 0);
    chooses("+pytorch_model.bin config.json", "*.bin", 0);
    chooses("x-Q4_0.gguf", "*Q9*", ERR_NOTFOUND);
    chooses("x-Q4_0.gguf", "*Q4*,*Q9*", ERR_NOTFOUND);
    chooses("x-Q4_0.gguf", ",", ERR_USAGE);
}

/* ---- the store ---- */

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
static char home[64];

static char *put(const char *path, const char *text)
{
    static char full[400], dir[400];
    snprintf(full, sizeof full, "%s/models/a/b/%s", home, path);
    snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(full, '/') - full), full);
    OK(file_mkdirs(dir, &err));
    OK(file_write_all(full, text, strlen(text), &err));
    return full;
}

static void finds(const char *text, const char *end, int code)
{
    struct model_id id;
    char *path;
    OK(model_id_parse(&id, text, &err));
    const int rc = models_find(&path, &id, &err);
    if (rc != code)
        fail_msg("%s: %d (%s), expected %d", text, rc, rc ? err.msg : "", code);
    if (!rc && strcmp(path + strlen(path) - strlen(end), end))
        fail_msg("%s: %s, expected ...%s", text, path, end);
    mem_free(path);
}

static void a_pulled_model_is_found_by_its_revision(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/lathe-hub-XXXXXX");
    assert_non_null(mkdtemp(home));
    setenv("LATHE_HOME", home, 1);
    finds("a/b", "", ERR_NOTFOUND);
    put(COMMIT "/config.json", "{}");
    finds("a/b", "", ERR_NOTFOUND);                          /* the pull was not completed */
    put("refs/main", COMMIT);
    put("refs/refs%2Fpr%2F1", COMMIT "\n");
    finds("a/b", "/a/b/" COMMIT, 0);
    finds("a/b@refs/pr/1", "/a/b/" COMMIT, 0);
    finds("a/b@v1", "", ERR_NOTFOUND);
    put("refs/main", "../../../../etc");
    finds("a/b", "", ERR_CORRUPT);
    OK(file_remove_tree(home, &err));
}

static void of_several_gguf_files_one_is_named(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/lathe-hub-XXXXXX");
    assert_non_null(mkdtemp(home));
    setenv("LATHE_HOME", home, 1);
    put("refs/main", COMMIT);
    put(COMMIT "/x-Q4_0.gguf", "");
    finds("a/b", "/x-Q4_0.gguf", 0);
    put(COMMIT "/x-Q8_0-00002-of-00002.gguf", "");
    put(COMMIT "/x-Q8_0-00001-of-00002.gguf", "");
    put(COMMIT "/mmproj.gguf", "");
    put(COMMIT "/BF16/x-BF16.gguf", "");
    finds("a/b", "", ERR_USAGE);
    finds("a/b:q8", "/x-Q8_0-00001-of-00002.gguf", 0);
    finds("a/b:bf16", "/BF16/x-BF16.gguf", 0);
    finds("a/b:x", "", ERR_USAGE);
    finds("a/b:Q5", "", ERR_NOTFOUND);
    OK(file_remove_tree(home, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_has_organisation_name_revision_and_file), cmocka_unit_test(a_file_name_cannot_leave_its_folder),
        cmocka_unit_test(a_pattern_matches_the_path_or_its_last_part),   cmocka_unit_test(a_url_has_only_harmless_characters),
        cmocka_unit_test(the_next_page_is_found_in_a_link_header),       cmocka_unit_test(an_entry_of_the_list_has_path_size_and_digest),
        cmocka_unit_test(a_wrong_list_is_refused),                       cmocka_unit_test(a_list_ends_at_its_limit),
        cmocka_unit_test(a_model_is_its_safetensors_or_its_only_gguf),   cmocka_unit_test(patterns_choose_files),
        cmocka_unit_test(a_pulled_model_is_found_by_its_revision),       cmocka_unit_test(of_several_gguf_files_one_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
