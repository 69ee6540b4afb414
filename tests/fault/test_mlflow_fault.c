/* test_mlflow_fault.c - without memory MLflow's paths refuse, and the registry stays what its journal says. */
#include "each_allocation.h"
#include "base/tree.h"
#include "serve/mlflow_api.h"
#include "store/registry_verify.h"

static struct err err;

static int add(struct registry *g, struct registry_addition *a, const struct journal_by *by, struct registry_version *out, struct err *e) { return registry_add(g, a, by, out, e); }

static int begin(void **state) { return make_dir(state) || file_mkdirs(in_dir("a"), &err) || file_write_all(in_dir("a/weights"), "one", 3, &err) ? -1 : 0; }

static const struct { const char *method, *path, *request; } asked[] = {
    { "POST", "registered-models/create", "{\"name\": \"m\", \"description\": \"d\", \"tags\": [{\"key\": \"k\", \"value\": \"v\"}]}" },
    { "POST", "model-versions/create", "{\"name\": \"m\", \"source\": \"a\", \"run_id\": \"r\"}" },
    { "POST", "registered-models/alias", "{\"name\": \"m\", \"alias\": \"best\", \"version\": \"1\"}" },
    { "GET", "registered-models/alias", "{\"name\": \"m\", \"alias\": \"best\"}" },
    { "GET", "registered-models/search", "{\"filter\": \"name = 'm'\", \"max_results\": \"1\"}" },
    { "GET", "model-versions/search", "{}" },
    { "GET", "model-versions/get-download-uri", "{\"name\": \"m\", \"version\": \"1\"}" },
};

/* Each answer is there, or says why not. */
static int ask(struct registry *g, size_t i)
{
    const char *allowed;
    char path[100];
    const struct registry_server_opts o = { .import_root = test_dir, .add = add };
    struct mlflow_ask a = { .g = g, .o = &o, .actor = "tester" };
    snprintf(path, sizeof path, MLFLOW_PREFIX "%s", asked[i].path);
    const struct mlflow_route *r = mlflow_route_of(asked[i].method, path, &allowed, &a.e);
    assert_non_null(r);
    json_t *request = in_parse(asked[i].request, strlen(asked[i].request), &a.e), *out = a.e.status ? NULL : (a.request = request, r->answer(&a));
    assert_true((out != NULL) == !a.e.status);
    assert_true(!a.e.status || *a.e.message);
    json_decref(request);
    json_decref(out);
    return a.e.status ? ERR_NOMEM : 0;
}

static int everything(void *ctx)
{
    struct registry *g = NULL;
    (void)ctx;
    int rc = file_remove_tree(in_dir("registry"), &err);
    if (!rc)
        rc = registry_open(&g, in_dir("registry"), true, &err);
    for (size_t i = 0; i < sizeof asked / sizeof *asked && !rc; i++)
        rc = ask(g, i);
    registry_close(g);
    return rc;
}

static void without_memory_requests_are_refused(void **state)
{
    (void)state;
    struct registry *g;
    json_t *out;
    OK(everything(NULL));
    const int n = each_failure(ALLOCATIONS, 31, everything, NULL, true);
    print_message("%d times without memory\n", n);
    assert_true(n > 3);
    OK(registry_open(&g, in_dir("registry"), true, &err));
    OK(registry_verify(g, &(struct registry_verify_opts){ .no_blobs = false }, &out, &err));
    assert_true(json_is_true(json_object_get(out, "valid")));
    json_decref(out);
    registry_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(without_memory_requests_are_refused, begin, remove_dir) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
