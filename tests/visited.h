/* visited.h - for tests of what answers requests that have a visit (serve/visit.h): a server of them, and its client.
 *
 * Three keys: "boss" is an admin's, "abc" is another one's, "one" is that of the command line. */
#ifndef TESTS_VISITED_H
#define TESTS_VISITED_H
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "test.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/exchange.h"
#include "serve/visit.h"

static struct clients *clients;
static struct http *http;
static char reply[200000];

/* ---- the server's side ---- */

SHARED_BY_TESTS void wake(void *ctx)
{
    (void)ctx;
    if (http)
        http_wake(http);
}

static void released(void *ctx, struct http_request *q, int status)
{
    (void)ctx, (void)status;
    visit_release(http_user(q));
}

/* In the folder of the test, which is there.  models: a line of YAML that the admin's key has too, or "". */
SHARED_BY_TESTS void clients_begin(const char *models)
{
    struct err err;
    char hex[2][SHA256_HEX], text[600];
    log_level_set(LOG_QUIET);
    OK(sha256_of("boss", 4, hex[0], &err));
    OK(sha256_of("abc", 3, hex[1], &err));
    snprintf(text, sizeof text, "- name: chief\n  sha256: \"%s\"\n  admin: true\n%s- name: other\n  sha256: \"%s\"\n", hex[0], models, hex[1]);
    put_in_dir("keys.yaml", text);
    chmod(in_dir("keys.yaml"), 0600);
    OK(clients_new(&clients, "one", in_dir("keys.yaml"), &err));
}

SHARED_BY_TESTS void http_begin(void (*handle)(void *ctx, struct http_request *q))
{
    struct err err;
    const struct http_opts o = { .n_user = sizeof(struct visit), .address = "127.0.0.1", .body_max = 1 << 20, .bodies_max = 4 << 20, .n_connection = 8, .head_s = 30, .request_s = 30, .idle_s = 30, .handle = handle, .released = released };
    OK(http_start(&http, &o, &err));
}

/* Behind what halts those who answer. */
SHARED_BY_TESTS void http_end(void)
{
    http_stop(http, 5);
    http = NULL;
}

/* ---- the client's side ---- */

SHARED_BY_TESTS int call(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)http_port(http)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_true(fd >= 0 && !connect(fd, (const struct sockaddr *)&a, sizeof a));
    return fd;
}

/* json NULL: GET; key NULL: none is shown. */
SHARED_BY_TESTS void ask_on(int fd, const char *key, const char *path, const char *json)
{
    char *text = mem_printf("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s%s%sContent-Length: %zu\r\n\r\n%s", json ? "POST" : "GET", path, key ? "Authorization: Bearer " : "", key ? key : "", key ? "\r\n" : "",
                            json ? strlen(json) : 0, json ? json : "");
    const ssize_t size = (ssize_t)strlen(text);
    assert_true(send(fd, text, (size_t)size, MSG_NOSIGNAL) == size);
    mem_free(text);
}

/* The same on a connection of its own.  The status; head and body are in reply. */
SHARED_BY_TESTS int send_to(const char *key, const char *path, const char *json)
{
    const int fd = call();
    size_t n = 0;
    ssize_t k;
    ask_on(fd, key, path, json);
    while ((k = recv(fd, reply + n, sizeof reply - n - 1, 0)) > 0)
        n += (size_t)k;
    reply[n] = 0;
    close(fd);
    return atoi(reply + strlen("HTTP/1.1 "));
}
#endif
