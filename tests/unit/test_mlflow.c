/* test_mlflow.c - MLflow's paths over a real socket: what they answer, what they refuse, what the journal says of them. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../test.h"
#include "base/buf.h"
#include "base/tree.h"
#include "serve/registry_server.h"
#include "serve/mlflow_filter.h"
#include "store/registry_verify.h"

static struct err err;
static struct registry_server *m;
static json_t *answer;                   /* of the last request */

static int add(struct registry *g, struct registry_addition *a, const struct journal_by *by, struct registry_version *out, struct err *e) { return registry_add(g, a, by, out, e); }

static void start(const char *key)
{
    const struct registry_server_opts o = { .address = "127.0.0.1", .key = key, .registry = in_dir("registry"), .actor = "tester", .import_root = in_dir("root"), .add = add };
    OK(registry_server_start(&m, &o, &err));
}

static int begin(void **state)
{
    if (make_dir(state) || file_mkdirs(in_dir("root/a"), &err) || file_mkdirs(in_dir("root/b"), &err) || file_mkdirs(in_dir("outside"), &err) ||
        file_write_all(in_dir("root/a/weights"), "one", 3, &err) || file_write_all(in_dir("root/b/weights"), "two", 3, &err) || symlink("../outside", in_dir("root/out")) ||
        file_mkdirs(in_dir("root/links"), &err) || symlink("../../outside/secret", in_dir("root/links/secret")) || file_write_all(in_dir("outside/secret"), "s", 1, &err))
        return -1;
    return 0;
}

static int end(void **state)
{
    registry_server_stop(m);
    m = NULL;
    json_decref(answer);
    answer = NULL;
    return remove_dir(state);
}

/* The status; the body's JSON is in answer. */
static int ask_with(const char *head, const char *method, const char *path, const char *body)
{
    struct buf b;
    char part[4096];
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)registry_server_port(m)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    buf_init(&b);
    OK(buf_printf(&b, &err, "%s %s%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n%s", method, *path == '/' ? "" : "/api/2.0/mlflow/", path, strlen(body), head, body));
    assert_int_equal(write(fd, b.data, b.len), (ssize_t)b.len);
    buf_clear(&b);
    for (ssize_t n; (n = read(fd, part, sizeof part)) > 0;)
        OK(buf_add(&b, part, (size_t)n, &err));
    close(fd);
    OK(buf_add(&b, "", 1, &err));
    int status = 0;
    assert_int_equal(sscanf(b.data, "HTTP/1.1 %d", &status), 1);
    const char *text = strstr(b.data, "\r\n\r\n");
    assert_non_null(text);
    json_decref(answer);
    answer = json_loads(text + 4, 0, NULL);
    buf_release(&b);
    return status;
}

static int ask(const char *method, const char *path, const char *body) { return ask_with("", method, path, body); }
static const char *code(void) { return tree_text_at(answer, "error_code"); }
#define REFUSED(status, word, ...)                       \
    do {                                                 \
        assert_int_equal(ask(__VA_ARGS__), status);      \
        assert_string_equal(code(), word);               \
        assert_true(*tree_text_at(answer, "message"));   \
    } while (0)
#define DONE(...)                                                                                          \
    do {                                                                                                   \
        if (ask(__VA_ARGS__) != 200)                                                                       \
            fail_msg("%s: %s", code(), tree_text_at(answer, "message"));                                   \
    } while (0)

static void register_two(void)
{
    DONE("POST", "registered-models/create", "{\"name\": \"m\", \"description\": \"of tickets\", \"tags\": [{\"key\": \"team\", \"value\": \"a\"}]}");
    DONE("POST", "model-versions/create", "{\"name\": \"m\", \"source\": \"a\", \"run_id\": \"r1\", \"tags\": [{\"key\": \"k\", \"value\": \"v\"}]}");
    DONE("POST", "model-versions/create", "{\"name\": \"m\", \"source\": \"b\"}");
}

static void a_model_is_made_and_told(void **state)
{
    (void)state;
    start(NULL);
    register_two();
    DONE("GET", "registered-models/get?name=m", "");
    const json_t *o = json_object_get(answer, "registered_model");
    assert_string_equal(tree_text_at(o, "description"), "of tickets");
    assert_string_equal(tree_text_at(json_array_get(json_object_get(o, "tags"), 0), "value"), "a");
    assert_string_equal(tree_text_at(json_array_get(json_object_get(o, "latest_versions"), 0), "version"), "2");
    assert_true(tree_number_at(o, "last_updated_timestamp") >= tree_number_at(o, "creation_timestamp") && tree_number_at(o, "creation_timestamp") > 1.6e12);
    DONE("GET", "model-versions/get?name=m&version=1", "");
    o = json_object_get(answer, "model_version");
    assert_string_equal(tree_text_at(o, "run_id"), "r1");
    assert_string_equal(tree_text_at(o, "status"), "READY");
    assert_true(file_exists(path_in(tree_text_at(o, "source"), "weights")));
    assert_string_equal(tree_text_at(json_array_get(json_object_get(o, "tags"), 0), "key"), "k");
    DONE("GET", "model-versions/get-download-uri?name=m&version=2", "");
    assert_true(file_exists(path_in(tree_text_at(answer, "artifact_uri"), "weights")));
    REFUSED(400, "RESOURCE_ALREADY_EXISTS", "POST", "registered-models/create", "{\"name\": \"m\"}");
    REFUSED(404, "RESOURCE_DOES_NOT_EXIST", "GET", "registered-models/get?name=n", "");
    REFUSED(404, "RESOURCE_DOES_NOT_EXIST", "GET", "registered-models/get?name=a/b", "");
    REFUSED(404, "RESOURCE_DOES_NOT_EXIST", "GET", "model-versions/get?name=m&version=3", "");
}

static void the_same_contents_are_the_same_version(void **state)
{
    (void)state;
    start(NULL);
    register_two();
    DONE("POST", "model-versions/create", "{\"name\": \"m\", \"source\": \"a\"}");
    assert_string_equal(tree_text_at(json_object_get(answer, "model_version"), "version"), "1");
}

static void aliases_move_and_go(void **state)
{
    (void)state;
    start(NULL);
    register_two();
    DONE("POST", "registered-models/alias", "{\"name\": \"m\", \"alias\": \"best\", \"version\": \"1\"}");
    DONE("POST", "registered-models/alias", "{\"name\": \"m\", \"alias\": \"best\", \"version\": \"2\"}");
    DONE("GET", "registered-models/alias?name=m&alias=best", "");
    const json_t *v = json_object_get(answer, "model_version");
    assert_string_equal(tree_text_at(v, "version"), "2");
    assert_string_equal(json_string_value(json_array_get(json_object_get(v, "aliases"), 0)), "best");
    DONE("DELETE", "registered-models/alias", "{\"name\": \"m\", \"alias\": \"best\"}");
    DONE("DELETE", "registered-models/alias", "{\"name\": \"m\", \"alias\": \"best\"}");
    REFUSED(400, "INVALID_PARAMETER_VALUE", "GET", "registered-models/alias?name=m&alias=best", "");
    REFUSED(404, "RESOURCE_DOES_NOT_EXIST", "POST", "registered-models/alias", "{\"name\": \"m\", \"alias\": \"best\", \"version\": \"9\"}");
    REFUSED(400, "INVALID_PARAMETER_VALUE", "POST", "registered-models/alias", "{\"name\": \"m\", \"alias\": \"12\", \"version\": \"1\"}");
    REFUSED(400, "INVALID_PARAMETER_VALUE", "POST", "registered-models/alias", "{\"name\": \"m\", \"alias\": \"best\", \"version\": \"x\"}");
}

static void tags_and_descriptions_change(void **state)
{
    (void)state;
    start(NULL);
    register_two();
    DONE("POST", "model-versions/set-tag", "{\"name\": \"m\", \"version\": \"1\", \"key\": \"k\", \"value\": \"w\"}");
    DONE("DELETE", "registered-models/delete-tag", "{\"name\": \"m\", \"key\": \"team\"}");
    REFUSED(404, "RESOURCE_DOES_NOT_EXIST", "DELETE", "registered-models/delete-tag", "{\"name\": \"m\", \"key\": \"team\"}");
    DONE("PATCH", "model-versions/update", "{\"name\": \"m\", \"version\": \"1\", \"description\": \"first\"}");
    const json_t *v = json_object_get(answer, "model_version");
    assert_string_equal(tree_text_at(v, "description"), "first");
    assert_string_equal(tree_text_at(json_array_get(json_object_get(v, "tags"), 0), "value"), "w");
    DONE("PATCH", "registered-models/update", "{\"name\": \"m\", \"description\": \"\"}");
    assert_string_equal(tree_text_at(json_object_get(answer, "registered_model"), "description"), "");
    REFUSED(400, "INVALID_PARAMETER_VALUE", "POST", "registered-models/create", "{\"name\": \"n\", \"tags\": [{\"key\": \"a\"}, {\"key\": \"\\u0001\"}]}");
    REFUSED(404, "RESOURCE_DOES_NOT_EXIST", "GET", "registered-models/get?name=n", "");      /* nothing was half done */
}

static void what_history_forbids_is_refused(void **state)
{
    (void)state;
    start(NULL);
    register_two();
    REFUSED(403, "PERMISSION_DENIED", "POST", "registered-models/rename", "{\"name\": \"m\", \"new_name\": \"n\"}");
    REFUSED(403, "PERMISSION_DENIED", "DELETE", "registered-models/delete", "{\"name\": \"m\"}");
    REFUSED(403, "PERMISSION_DENIED", "DELETE", "model-versions/delete", "{\"name\": \"m\", \"version\": \"1\"}");
    REFUSED(403, "PERMISSION_DENIED", "POST", "model-versions/transition-stage", "{\"name\": \"m\", \"version\": \"1\", \"stage\": \"Production\"}");
    REFUSED(404, "ENDPOINT_NOT_FOUND", "GET", "experiments/search", "");
    REFUSED(405, "ENDPOINT_NOT_FOUND", "GET", "registered-models/create", "");
    REFUSED(400, "INVALID_PARAMETER_VALUE", "POST", "registered-models/create", "[]");
    REFUSED(400, "INVALID_PARAMETER_VALUE", "POST", "registered-models/create", "{");
    REFUSED(400, "INVALID_PARAMETER_VALUE", "POST", "registered-models/create", "");
    REFUSED(400, "INVALID_PARAMETER_VALUE", "POST", "registered-models/create", "{\"name\": \"n\", \"colour\": 1}");
}

static void only_what_is_below_the_root_is_registered(void **state)
{
    (void)state;
    static const char *const bad[] = { "../outside", "out", "links", "links/secret", "/etc/passwd", "file:///etc/passwd", "no", "runs:/abc/model", "models:/m/1", "s3://bucket/m", "dbfs:/m", "file://host/m" };
    char body[300];
    start(NULL);
    DONE("POST", "registered-models/create", "{\"name\": \"m\"}");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(body, sizeof body, "{\"name\": \"m\", \"source\": \"%s\"}", bad[i]);
        REFUSED(400, "INVALID_PARAMETER_VALUE", "POST", "model-versions/create", body);
    }
    snprintf(body, sizeof body, "{\"name\": \"m\", \"source\": \"file://%s\"}", in_dir("root/a"));
    DONE("POST", "model-versions/create", body);
    REFUSED(404, "RESOURCE_DOES_NOT_EXIST", "POST", "model-versions/create", "{\"name\": \"n\", \"source\": \"a\"}");
    REFUSED(400, "INVALID_PARAMETER_VALUE", "POST", "model-versions/create", "{\"name\": \"m\", \"source\": \"a\", \"run_id\": \"x@1\"}");
}

static void searches_filter_sort_and_turn_pages(void **state)
{
    (void)state;
    static const char *const names[] = { "ab", "b", "Abc" };
    char body[100];
    start(NULL);
    for (int i = 0; i < 3; i++) {
        snprintf(body, sizeof body, "{\"name\": \"%s\", \"tags\": [{\"key\": \"n\", \"value\": \"%d\"}]}", names[i], i);
        DONE("POST", "registered-models/create", body);
    }
    DONE("GET", "registered-models/search?max_results=2", "");
    assert_int_equal(json_array_size(json_object_get(answer, "registered_models")), 2);
    assert_string_equal(tree_text_at(json_array_get(json_object_get(answer, "registered_models"), 0), "name"), "Abc");
    assert_string_equal(tree_text_at(answer, "next_page_token"), "2");
    DONE("GET", "registered-models/search?max_results=2&page_token=2", "");
    assert_int_equal(json_array_size(json_object_get(answer, "registered_models")), 1);
    assert_string_equal(tree_text_at(answer, "next_page_token"), "");
    DONE("GET", "registered-models/search?filter=name+ILIKE+%27a%25%27+AND+tags.n+%21%3D+%270%27&order_by=name+DESC", "");
    assert_int_equal(json_array_size(json_object_get(answer, "registered_models")), 1);
    assert_string_equal(tree_text_at(json_array_get(json_object_get(answer, "registered_models"), 0), "name"), "Abc");
    DONE("GET", "registered-models/search?filter=tag.%60mlflow.prompt.is_prompt%60+%21%3D+%27true%27", "");
    assert_int_equal(json_array_size(json_object_get(answer, "registered_models")), 3);
    DONE("GET", "registered-models/search?filter=tag.other+%21%3D+%27true%27", "");
    assert_int_equal(json_array_size(json_object_get(answer, "registered_models")), 0);
    DONE("POST", "model-versions/create", "{\"name\": \"b\", \"source\": \"a\", \"run_id\": \"r1\"}");
    DONE("POST", "model-versions/create", "{\"name\": \"b\", \"source\": \"b\"}");
    DONE("GET", "model-versions/search?filter=name%3D%27b%27", "");
    assert_string_equal(tree_text_at(json_array_get(json_object_get(answer, "model_versions"), 0), "version"), "2");
    DONE("GET", "model-versions/search?filter=run_id%3D%27r1%27&order_by=version_number+ASC", "");
    assert_int_equal(json_array_size(json_object_get(answer, "model_versions")), 1);
    REFUSED(400, "INVALID_PARAMETER_VALUE", "GET", "registered-models/search?filter=name", "");
    REFUSED(400, "INVALID_PARAMETER_VALUE", "GET", "registered-models/search?max_results=1001", "");
    REFUSED(400, "INVALID_PARAMETER_VALUE", "GET", "registered-models/search?page_token=x", "");
    REFUSED(400, "INVALID_PARAMETER_VALUE", "GET", "registered-models/search?order_by=colour", "");
}

static void filters_are_read_or_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "name", "name =", "name = x", "name = 'x", "colour = 'x'", "name = 'x' OR name = 'y'", "name = 'x' AND", "name < 'x'", "version_number LIKE '1'",
                                       "version_number = 'x'", "tags. = 'x'", "run_id IN ('a')", "(name = 'x')", "name LIKE'x' and", "run = 'x'" };
    static struct mlflow_filter f;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (mlflow_filter_parse(&f, bad[i], "name|run_id|version_number", &err) != ERR_USAGE)
            fail_msg("%s", bad[i]);
    OK(mlflow_filter_parse(&f, "  ", "name", &err));
    assert_int_equal(f.n, 0);
    OK(mlflow_filter_parse(&f, "tags.`a b` like '%x_' and version_number >= 2 AND name = \"it's\"", "name|version_number", &err));
    assert_int_equal(f.n, 3);
    assert_string_equal(f.test[0].key, "a b");
    assert_true(mlflow_test_is(&f.test[0], "axxy") && !mlflow_test_is(&f.test[0], "axyy") && !mlflow_test_is(&f.test[0], NULL));
    assert_true(mlflow_test_is(&f.test[1], "10") && !mlflow_test_is(&f.test[1], "1"));
    assert_true(mlflow_test_is(&f.test[2], "it's"));
    assert_true(mlflow_like("", "%%", false) && !mlflow_like("", "_", false) && mlflow_like("aab", "%ab", false) && mlflow_like("A", "a", true) && !mlflow_like("A", "a", false) && mlflow_like("abc", "abc%", false));
}

static void without_the_key_nothing_is_told(void **state)
{
    (void)state;
    json_t *history, *verdict;
    struct registry *g;
    start("secret");
    REFUSED(401, "UNAUTHENTICATED", "GET", "registered-models/search", "");
    assert_int_equal(ask_with("Authorization: Bearer wrong\r\n", "GET", "registered-models/search", ""), 401);
    assert_int_equal(ask("GET", "/health", ""), 200);
    assert_int_equal(ask_with("Authorization: Bearer secret\r\n", "POST", "registered-models/create", "{\"name\": \"m\"}"), 200);
    registry_server_stop(m);
    m = NULL;
    OK(registry_open(&g, in_dir("registry"), false, &err));
    OK(registry_history(g, NULL, 0, &history, &err));
    assert_int_equal(json_array_size(history), 1);
    assert_string_equal(tree_text_at(json_array_get(history, 0), "reason"), "MLflow");
    assert_string_equal(tree_text_at(json_array_get(history, 0), "actor"), "(key)");
    OK(registry_verify(g, &(struct registry_verify_opts){ .no_blobs = false }, &verdict, &err));
    assert_true(json_is_true(json_object_get(verdict, "valid")));
    json_decref(verdict);
    json_decref(history);
    registry_close(g);
}

/* LATHE_API_KEY="" beside a file of keys: nobody is let in without one of the file's. */
static void an_empty_key_beside_a_file_is_none(void **state)
{
    (void)state;
    static const char keys[] = "- name: a\n  sha256: \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n";      /* of abc */
    OK(file_write_all(in_dir("keys.yaml"), keys, sizeof keys - 1, &err));
    assert_int_equal(chmod(in_dir("keys.yaml"), 0600), 0);
    char *const file = strdup(in_dir("keys.yaml"));
    const struct registry_server_opts o = { .address = "127.0.0.1", .key = "", .keys = file, .registry = in_dir("registry"), .actor = "tester", .add = add };
    OK(registry_server_start(&m, &o, &err));
    assert_int_equal(ask_with("x-api-key: \r\n", "GET", "registered-models/search", ""), 401);
    assert_int_equal(ask_with("Authorization: Basic eDo=\r\n", "GET", "/v2/", ""), 401);           /* x: and no password */
    assert_int_equal(ask_with("Authorization: Bearer abc\r\n", "GET", "registered-models/search", ""), 200);
    free(file);
}

static void others_need_a_key_and_pages_are_kept_out(void **state)
{
    (void)state;
    const struct registry_server_opts o = { .address = "0.0.0.0", .registry = in_dir("registry"), .actor = "tester", .add = add };
    assert_int_equal(registry_server_start(&m, &o, &err), ERR_USAGE);
    start(NULL);
    assert_int_equal(ask_with("Origin: https://example.com\r\n", "GET", "registered-models/search", ""), 403);
    assert_string_equal(code(), "PERMISSION_DENIED");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(a_model_is_made_and_told),
        T(the_same_contents_are_the_same_version),
        T(aliases_move_and_go),
        T(tags_and_descriptions_change),
        T(what_history_forbids_is_refused),
        T(only_what_is_below_the_root_is_registered),
        T(searches_filter_sort_and_turn_pages),
        cmocka_unit_test(filters_are_read_or_refused),
        T(without_the_key_nothing_is_told),
        T(an_empty_key_beside_a_file_is_none),
        T(others_need_a_key_and_pages_are_kept_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
