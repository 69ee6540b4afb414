/* test_oci_server.c - uploads and manifests over a real socket: pieces in order, digests, what goes on, what is refused, what the registry has then. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../test.h"
#include "base/buf.h"
#include "serve/oci_upload.h"
#include "serve/registry_server.h"

static struct err err;
static struct registry_server *m;
static struct buf reply;
#define HI "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4"      /* of "hi\n" */
#define EMPTY "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define MANIFEST "{\"schemaVersion\": 2, \"config\": {\"mediaType\": \"application/vnd.oci.empty.v1+json\", \"digest\": \"sha256:" EMPTY "\", \"size\": 2}, \"layers\": [{\"mediaType\": \"x\", \"digest\": \"sha256:" HI \
                 "\", \"size\": 3, \"annotations\": {\"org.opencontainers.image.title\": \"%s\"}}]}"

static int add(struct registry *g, struct registry_addition *a, const struct journal_by *by, struct registry_version *out, struct err *e) { return registry_add(g, a, by, out, e); }

static int begin(void **state)
{
    buf_init(&reply);
    const int rc = make_dir(state);
    const struct registry_server_opts o = { .address = "127.0.0.1", .registry = in_dir("registry"), .actor = "tester", .add = add };
    return rc ? rc : registry_server_start(&m, &o, &err);
}

static int end(void **state)
{
    registry_server_stop(m);
    m = NULL;
    buf_release(&reply);
    return remove_dir(state);
}

static int connected(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)registry_server_port(m)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void send_request(int fd, const char *method, const char *path, const char *head, size_t n, const char *body)
{
    struct buf b;
    buf_init(&b);
    OK(buf_printf(&b, &err, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n%s", method, path, n, head, body));
    assert_int_equal(write(fd, b.data, b.len), (ssize_t)b.len);
    buf_release(&b);
}

/* The status; head and body are in reply. */
static int ask(const char *method, const char *path, const char *head, const char *body)
{
    char part[4096];
    int status = 0;
    const int fd = connected();
    send_request(fd, method, path, head, strlen(body), body);
    buf_clear(&reply);
    for (ssize_t n; (n = read(fd, part, sizeof part)) > 0;)
        OK(buf_add(&reply, part, (size_t)n, &err));
    close(fd);
    assert_int_equal(sscanf(reply.data, "HTTP/1.1 %d", &status), 1);
    return status;
}

static bool says(const char *text) { return strstr(reply.data, text) != NULL; }

static void begin_upload(char place[200])
{
    assert_int_equal(ask("POST", "/v2/m/blobs/uploads/", "", ""), 202);
    assert_int_equal(sscanf(strstr(reply.data, "Location: "), "Location: %199s", place), 1);
}

static char *with(const char *place, const char *more)
{
    static char path[500];
    snprintf(path, sizeof path, "%s%s", place, more);
    return path;
}

static void pieces_come_in_order_and_have_their_digest(void **state)
{
    char place[200];
    (void)state;
    begin_upload(place);
    assert_int_equal(ask("PATCH", place, "Content-Range: 0-0\r\n", "h"), 202);
    assert_true(says("Range: 0-0\r\n"));
    assert_int_equal(ask("PATCH", place, "Content-Range: 2-2\r\n", "\n"), 416);
    assert_int_equal(ask("PATCH", place, "Content-Range: 1-2\r\n", "i"), 400);
    assert_int_equal(ask("PATCH", place, "Content-Range: bad\r\n", "i"), 416);
    assert_int_equal(ask("PATCH", place, "Content-Range: 1-1\r\n", "i"), 202);
    assert_int_equal(ask("GET", place, "", ""), 204);
    assert_true(says("Range: 0-1\r\n"));
    assert_int_equal(ask("GET", "/v2/other/blobs/uploads/0", "", ""), 404);
    assert_int_equal(ask("PUT", with(place, "?digest=sha256:" HI), "Content-Range: 2-2\r\n", "\n"), 201);
    assert_int_equal(ask("GET", "/v2/m/blobs/sha256:" HI, "Range: bytes=1-\r\n", ""), 206);
    assert_true(says("Content-Range: bytes 1-2/3") && says("\r\n\r\ni\n"));
    assert_int_equal(ask("GET", "/v2/m/blobs/sha256:" HI, "Range: bytes=3-\r\n", ""), 416);
    assert_int_equal(ask("HEAD", "/v2/m/blobs/sha256:" HI, "", ""), 200);
    assert_true(says("Content-Length: 3\r\n") && says("Docker-Content-Digest: sha256:" HI));
    assert_int_equal(ask("POST", "/v2/n/blobs/uploads/?mount=sha256:" HI "&from=m", "", ""), 201);
}

static void a_wrong_digest_leaves_nothing(void **state)
{
    char place[200];
    (void)state;
    begin_upload(place);
    assert_int_equal(ask("PUT", with(place, "?digest=sha256:" HI), "", "ho\n"), 400);
    assert_true(says("DIGEST_INVALID"));
    assert_int_equal(ask("GET", place, "", ""), 404);
    assert_int_equal(ask("HEAD", "/v2/m/blobs/sha256:" HI, "", ""), 404);
    assert_int_equal(ask("POST", "/v2/m/blobs/uploads/?digest=sha256:" HI, "", "ho\n"), 400);
    begin_upload(place);
    assert_int_equal(ask("PUT", with(place, "?digest=sha512:1"), "", "hi\n"), 400);
    assert_int_equal(ask("DELETE", place, "", ""), 204);
    assert_int_equal(ask("PATCH", place, "", "hi\n"), 404);
    assert_int_equal(ask("DELETE", "/v2/m/blobs/sha256:" HI, "", ""), 405);
}

/* Its connection is still open when another goes on: the newest wins. */
static void what_was_cut_off_goes_on(void **state)
{
    char place[200];
    (void)state;
    begin_upload(place);
    const int fd = connected();
    send_request(fd, "PATCH", place, "", 3, "hi");
    for (int i = 0; i < 1000 && !(ask("GET", place, "", "") == 204 && says("Range: 0-1\r\n")); i++)
        usleep(1000);
    assert_true(says("Range: 0-1\r\n"));
    assert_int_equal(ask("PATCH", place, "Content-Range: 2-2\r\n", "\n"), 202);
    assert_int_equal(write(fd, "x", 1), 1);
    char text[200] = "";
    assert_true(read(fd, text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "409"));
    close(fd);
    assert_int_equal(ask("PUT", with(place, "?digest=sha256:" HI), "", ""), 201);
}

/* A blob that comes with the request that begins it, and is cut off, leaves no upload that others would have to wait for. */
static void blobs_that_come_whole_and_are_cut_off_are_gone(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * UPLOADS_MAX + 20; i++) {
        const int fd = connected();
        send_request(fd, "POST", "/v2/m/blobs/uploads/?digest=sha256:" HI, "", 3, "h");
        close(fd);
    }
    int status = 0;
    for (int i = 0; i < 5000 && status != 400; i++) {      /* until it has seen that they are cut off */
        usleep(1000);
        status = ask("POST", "/v2/m/blobs/uploads/?digest=none", "", "hi\n");
    }
    for (int i = 0; i < UPLOADS_MAX + 1; i++) {
        assert_int_equal(ask("POST", "/v2/m/blobs/uploads/?digest=none", "", "hi\n"), 400);
        assert_int_equal(ask("POST", "/v2/m/blobs/uploads/?digest=sha256:" HI, "Content-Range: 5-7\r\n", "hi\n"), 416);
    }
    assert_int_equal(ask("POST", "/v2/m/blobs/uploads/?digest=sha256:" HI, "", "hi\n"), 201);
}

static int put_manifest(const char *at, const char *file)
{
    char text[1000];
    snprintf(text, sizeof text, MANIFEST, file);
    return ask("PUT", at, "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n", text);
}

static void a_manifest_is_a_version_and_a_tag_an_alias(void **state)
{
    (void)state;
    assert_int_equal(put_manifest("/v2/m/manifests/v1", "weights"), 404);
    assert_true(says("MANIFEST_BLOB_UNKNOWN"));
    assert_int_equal(ask("POST", "/v2/m/blobs/uploads/?digest=sha256:" HI, "", "hi\n"), 201);
    assert_int_equal(put_manifest("/v2/m/manifests/v1", "../weights"), 400);
    assert_int_equal(put_manifest("/v2/m/manifests/sha256:" HI, "weights"), 400);
    assert_true(says("DIGEST_INVALID"));
    assert_int_equal(put_manifest("/v2/m/manifests/v1", "weights"), 201);
    assert_true(says("X-Lathe-Version: m@1\r\n"));
    assert_int_equal(put_manifest("/v2/m/manifests/2", "weights"), 400);
    assert_int_equal(put_manifest("/v2/m/manifests/1", "weights"), 201);
    assert_int_equal(ask("GET", "/v2/m/manifests/v1", "", ""), 200);
    assert_true(says("\"title\"") || says("image.title"));
    assert_int_equal(ask("GET", "/v2/m/tags/list?n=1", "", ""), 200);
    assert_true(says("[\"1\"]") && says("rel=\"next\""));
    assert_int_equal(ask("GET", "/v2/m/tags/list?n=1&last=1", "", ""), 200);
    assert_true(says("[\"v1\"]") && !says("rel="));
    assert_int_equal(ask("GET", "/v2/none/tags/list", "", ""), 404);
    assert_int_equal(ask("GET", "/v2/m/referrers/sha256:" HI, "", ""), 200);
    assert_true(says("\"manifests\":[]"));
    assert_int_equal(ask("DELETE", "/v2/m/manifests/1", "", ""), 405);
    assert_int_equal(ask("DELETE", "/v2/m/manifests/v1", "", ""), 202);
    assert_int_equal(ask("GET", "/v2/m/manifests/v1", "", ""), 404);
    assert_int_equal(ask("PUT", "/v2/m/manifests/v1", "", "{\"schemaVersion\": 2, \"manifests\": []}"), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pieces_come_in_order_and_have_their_digest, begin, end),
        cmocka_unit_test_setup_teardown(blobs_that_come_whole_and_are_cut_off_are_gone, begin, end),
        cmocka_unit_test_setup_teardown(a_wrong_digest_leaves_nothing, begin, end),
        cmocka_unit_test_setup_teardown(what_was_cut_off_goes_on, begin, end),
        cmocka_unit_test_setup_teardown(a_manifest_is_a_version_and_a_tag_an_alias, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
