/* test_oci_client.c - a push to a registry that wants bearer tokens, and what goes on where its replies are lost: against a small one made here. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../test.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/oci_registry.h"
#include "store/oci_transfer.h"

static struct err err;
#define TEXT_OF_FILE "the weights of a model"
#define BASIC_ANN_SESAME "Authorization: Basic YW5uOnNlc2FtZQ=="

/* One connection after the other, a request each.  What it saw is read after far_stop(). */
static struct far {
    int fd, port;
    pthread_t thread;
    atomic_bool ends;
    const char *realm;                       /* of tokens; NULL: none are wanted; "": its own */
    int uses;                                /* requests that a token is good for */
    bool loses_reply;                        /* the first PATCH is taken, its reply lost */
    const char *manifest;                    /* of v1; NULL: there is none */
    int n_blob;                              /* times that a blob was asked for */
    int n_page;                              /* pages of referrers that were asked for; the second has a signature */
    bool asked_for_signature;
    bool bad_link;                           /* the first has it, and says where the next is in a way that is not followed */
    int n_token, n_used, n_patch, n_put_manifest;
    bool shown_elsewhere, asked_for_token_well;
    char upload[200];
    size_t n_upload;
} far;

static void reply(int fd, int status, const char *head, const char *body)
{
    char text[1500];
    const int n = snprintf(text, sizeof text, "HTTP/1.1 %d x\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s", status, head, strlen(body), body);
    assert_int_equal(write(fd, text, (size_t)n), n);
}

static void give_token(int fd, const char *request)
{
    char body[60];
    far.asked_for_token_well = strstr(request, BASIC_ANN_SESAME) && strstr(request, "scope=repository") && strstr(request, "push") && strstr(request, "service=far");
    if (!far.asked_for_token_well) {
        reply(fd, 401, "", "");
        return;
    }
    snprintf(body, sizeof body, "{\"token\": \"t%d\"}", ++far.n_token);
    far.n_used = 0;
    reply(fd, 200, "", body);
}

/* False: it was refused, and told where tokens are. */
static bool may(int fd, const char *request)
{
    char want[60], realm[100], head[400];
    if (!far.realm)
        return true;
    far.shown_elsewhere |= strstr(request, "Authorization: Basic") != NULL;
    snprintf(want, sizeof want, "Authorization: Bearer t%d\r\n", far.n_token);
    if (far.n_token && strstr(request, want) && far.n_used++ < far.uses)
        return true;
    snprintf(realm, sizeof realm, "http://127.0.0.1:%d/token", far.port);
    snprintf(head, sizeof head, "WWW-Authenticate: Bearer realm=\"%s\",service=\"far\",scope=\"repository:m:pull,push\"\r\n", *far.realm ? far.realm : realm);
    reply(fd, 401, head, "");
    return false;
}

static void answer(int fd, const char *request, const char *body, size_t n)
{
    char head[100];
    if (!strncmp(request, "GET /token?", 11)) {
        give_token(fd, request);
    } else if (!may(fd, request)) {
        ;
    } else if (!strncmp(request, "POST ", 5)) {
        far.n_upload = 0;
        reply(fd, 202, "Location: /v2/m/blobs/uploads/1\r\n", "");
    } else if (!strncmp(request, "PATCH ", 6)) {
        assert_true(far.n_upload + n <= sizeof far.upload);
        memcpy(far.upload + far.n_upload, body, n);
        far.n_upload += n;
        if (far.n_patch++ || !far.loses_reply)
            reply(fd, 202, "Location: /v2/m/blobs/uploads/1\r\n", "");
    } else if (!strncmp(request, "GET /v2/m/blobs/uploads/1 ", 26)) {
        snprintf(head, sizeof head, "Range: 0-%zu\r\n", far.n_upload ? far.n_upload - 1 : 0);
        reply(fd, 204, head, "");
    } else if (!strncmp(request, "GET /v2/m/manifests/v1 ", 23) && far.manifest) {
        reply(fd, 200, "", far.manifest);
    } else if (!strncmp(request, "GET /v2/m/referrers/sha256:", 27)) {
        const bool first = !far.n_page++;
        assert_true(first == !strstr(request, "?last=a"));
        reply(fd, 200, far.bad_link ? "Link: <?last=a>; rel=\"next\"\r\n" : first ? "Link: </v2/m/referrers/sha256:00?last=a>; rel=\"next\"\r\n" : "",
              first && !far.bad_link ? "{\"manifests\": []}" : "{\"manifests\": [{\"artifactType\": \"application/vnd.dev.sigstore.bundle.v0.3+json\", \"digest\": \"sha256:" OCI_EMPTY_SHA256 "\"}]}");
    } else if (!strncmp(request, "GET /v2/m/manifests/sha256:" OCI_EMPTY_SHA256, 91)) {
        far.asked_for_signature = true;
        reply(fd, 404, "", "");
    } else if (!strncmp(request, "GET /v2/m/blobs/sha256:", 23)) {
        far.n_blob++;
        reply(fd, 404, "", "");
    } else if (!strncmp(request, "PUT ", 4)) {
        far.n_put_manifest += !strncmp(request + 4, "/v2/m/manifests/v1 ", 19);
        reply(fd, 201, "", "");
    } else {
        reply(fd, 404, "", "");
    }
}

static void *serve(void *ctx)
{
    (void)ctx;
    for (;;) {
        char got[8192];
        size_t n = 0;
        const int fd = accept(far.fd, NULL, NULL);
        for (ssize_t more; fd >= 0 && n < sizeof got - 1 && (more = read(fd, got + n, sizeof got - 1 - n)) > 0;) {
            n += (size_t)more, got[n] = 0;
            const char *body = strstr(got, "\r\n\r\n"), *length = strcasestr(got, "content-length:");
            const size_t want = body && length && length < body ? strtoul(length + 15, NULL, 10) : 0;
            if (!body || n < (size_t)(body + 4 - got) + want)
                continue;
            answer(fd, got, body + 4, want);
            break;
        }
        if (fd >= 0)
            close(fd);
        if (atomic_load(&far.ends))
            return NULL;
    }
}

static void far_start(struct far as)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    far = as;
    far.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(far.fd, (void *)&a, sizeof a) | listen(far.fd, 10) | getsockname(far.fd, (void *)&a, &n), 0);
    far.port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&far.thread, NULL, serve, NULL), 0);
}

static void far_stop(void)
{
    atomic_store(&far.ends, true);
    shutdown(far.fd, SHUT_RDWR);
    pthread_join(far.thread, NULL);
    close(far.fd);
}

/* A version of one file, pushed to it as m:v1. */
static int pushed(struct oci_result *result)
{
    char text[80];
    struct registry *g;
    struct registry_version v;
    struct oci_ref ref;
    struct oci_remote r;
    const struct journal_by by = { .actor = "tester" };
    OK(registry_open(&g, in_dir("registry"), true, &err));
    OK(file_write_all(in_dir("weights"), TEXT_OF_FILE, strlen(TEXT_OF_FILE), &err));
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = in_dir("weights") }, &by, &v, &err));
    snprintf(text, sizeof text, "oci://127.0.0.1:%d/m:v1", far.port);
    OK(oci_ref_parse(&ref, text, &err));
    OK(oci_remote_open(&r, &ref, &(struct oci_remote_opts){ .pushes = true, .n_try = 3 }, &err));
    const int rc = oci_push_version(g, &v, &r, result, &err);
    oci_remote_close(&r);
    registry_close(g);
    return rc;
}

static int begin(void **state)
{
    setenv("LATHE_OCI_USER", "ann", 1);
    setenv("LATHE_OCI_PASSWORD", "sesame", 1);
    return make_dir(state);
}

static void all_is_there(void)
{
    assert_int_equal(far.n_put_manifest, 1);
    assert_int_equal(far.n_upload, strlen(TEXT_OF_FILE));
    assert_memory_equal(far.upload, TEXT_OF_FILE, far.n_upload);
}

static void a_token_is_fetched_where_the_registry_says_and_again_when_it_expired(void **state)
{
    struct oci_result result;
    (void)state;
    far_start((struct far){ .realm = "", .uses = 3 });
    const int rc = pushed(&result);
    far_stop();
    OK(rc);
    all_is_there();
    assert_true(far.n_token > 1 && far.asked_for_token_well);
    assert_false(far.shown_elsewhere);                       /* the password goes to the token's place alone */
    assert_int_equal(result.n_moved, 2);
}

static void a_wrong_password_and_a_place_of_tokens_that_is_none_are_told(void **state)
{
    struct oci_result result;
    (void)state;
    setenv("LATHE_OCI_PASSWORD", "wrong", 1);
    far_start((struct far){ .realm = "", .uses = 100 });
    int rc = pushed(&result);
    far_stop();
    assert_int_equal(rc, ERR_IO);
    assert_non_null(strstr(err.msg, "gives no token: HTTP status 401"));
    far_start((struct far){ .realm = "file:///etc/hostname" });
    rc = pushed(&result);
    far_stop();
    assert_int_equal(rc, ERR_FORMAT);
    assert_non_null(strstr(err.msg, "tokens are at 'file:///etc/hostname', expected an address of https"));
    assert_int_equal(far.n_put_manifest, 0);
}

static void a_reply_that_is_lost_after_the_last_byte_costs_nothing(void **state)
{
    struct oci_result result;
    (void)state;
    far_start((struct far){ .loses_reply = true });
    const int rc = pushed(&result);
    far_stop();
    OK(rc);
    all_is_there();
    assert_int_equal(far.n_patch, 1);
    assert_int_equal(result.n_moved, 2);
}

static int add_version(struct registry *g, struct registry_addition *a, const struct journal_by *by, struct registry_version *out, struct err *err_of)
{
    return registry_add(g, a, by, out, err_of);
}

/* As a pull that was killed leaves it: one blob fetched and checked, the pull not at its end. */
static void a_blob_that_an_earlier_pull_had_fetched_is_not_fetched_again(void **state)
{
    (void)state;
    for (int n = 0; n < 3; n++) {                            /* another time it was damaged since, another the list of signatures ends early */
        const bool whole = n > 0;
        char sha256[SHA256_HEX], text[800], path[300];
        struct registry *g;
        struct registry_version v;
        struct oci_ref ref;
        struct oci_remote r;
        struct oci_result result;
        OK(sha256_of(TEXT_OF_FILE, strlen(TEXT_OF_FILE), sha256, &err));
        snprintf(text, sizeof text, "{\"schemaVersion\": 2, \"mediaType\": \"" OCI_MANIFEST "\", \"config\": {\"mediaType\": \"application/vnd.oci.empty.v1+json\", \"digest\": \"sha256:" OCI_EMPTY_SHA256
                 "\", \"size\": 2}, \"layers\": [{\"mediaType\": \"application/octet-stream\", \"digest\": \"sha256:%s\", \"size\": %zu, \"annotations\": {\"org.opencontainers.image.title\": \"weights\"}}]}",
                 sha256, strlen(TEXT_OF_FILE));
        far_start((struct far){ .manifest = text, .bad_link = n == 2 });
        OK(registry_open(&g, in_dir(n == 2 ? "registry3" : whole ? "registry" : "registry2"), true, &err));
        snprintf(path, sizeof path, "%s/oci/part", registry_folder(g));
        OK(file_mkdirs(path, &err));
        snprintf(path, sizeof path, "%s/oci/part/%s.whole", registry_folder(g), sha256);
        OK(file_write_all(path, whole ? TEXT_OF_FILE : "something else", whole ? strlen(TEXT_OF_FILE) : 14, &err));
        char at[80];
        snprintf(at, sizeof at, "oci://127.0.0.1:%d/m:v1", far.port);
        OK(oci_ref_parse(&ref, at, &err));
        OK(oci_remote_open(&r, &ref, &(struct oci_remote_opts){ .n_try = 1 }, &err));
        const int rc = oci_pull_version(g, &r, &(struct oci_pull){ .n_job = 1, .by = { .actor = "tester" }, .add = add_version }, &v, &result, &err);
        const bool here = !blob_stat(registry_folder(g), sha256, strlen(TEXT_OF_FILE), NULL);
        oci_remote_close(&r);
        registry_close(g);
        far_stop();
        assert_int_equal(far.n_blob, !whole);
        assert_int_equal(here, whole);
        assert_int_equal(result.n_moved, whole);
        if (whole)
            OK(rc);
        assert_int_equal(far.n_page, n == 2 ? 1 : whole ? 2 : 0);
        assert_int_equal(far.asked_for_signature, whole);
    }
}

/* What is made of a version is made once: a client asks for each blob before it sends it, and most are not here. */
static void a_digest_that_is_not_here_costs_no_reading_twice(void **state)
{
    (void)state;
    struct registry *g;
    struct registry_version v;
    struct oci_found found;
    struct oci_manifest m;
    struct buf config;
    const char *none = "00000000000000000000000000000000000000000000000000000000000000ff";
    OK(registry_open(&g, in_dir("registry"), true, &err));
    OK(file_write_all(in_dir("weights"), TEXT_OF_FILE, strlen(TEXT_OF_FILE), &err));
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = in_dir("weights") }, &(struct journal_by){ .actor = "tester" }, &v, &err));
    buf_init(&config);
    assert_int_equal(oci_find_config(g, "m", none, &config, &err), ERR_NOTFOUND);
    OK(oci_find(g, "m", "1", &found, &err));
    OK(oci_manifest_parse(&m, found.text.data, found.text.len, &err));
    OK(oci_find_config(g, "m", m.config.sha256, &config, &err));
    assert_true(config.len > 2);
    char *facts = blob_path(registry_folder(g), v.facts);
    OK(unlink(facts));
    assert_int_equal(oci_find_config(g, "m", none, &config, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, none));
    mem_free(facts);
    oci_manifest_release(&m);
    buf_release(&found.text), buf_release(&config);
    registry_close(g);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, remove_dir)
    const struct CMUnitTest tests[] = { T(a_token_is_fetched_where_the_registry_says_and_again_when_it_expired), T(a_wrong_password_and_a_place_of_tokens_that_is_none_are_told),
                                        T(a_blob_that_an_earlier_pull_had_fetched_is_not_fetched_again),
                                        T(a_digest_that_is_not_here_costs_no_reading_twice),
                                        T(a_reply_that_is_lost_after_the_last_byte_costs_nothing) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
