/* fuzz_http.c - any bytes as what a client sends on a connection: each request that is handled is whole and within its limits. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "serve/http.h"
#include "serve/origin.h"

#define BODY 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void handle(void *ctx, struct http_request *q)
{
    const struct origins o = { .cors = "https://a.example", .hosts = "b.example", .guarded = true };
    struct refusal e = { 0 };
    const char *length = http_header(q, "Content-Length"), *path = http_path(q);
    const struct buf *b = http_body(q);
    (void)ctx;
    if (b->len > BODY || !*http_method(q) || strpbrk(path, "\r\n") || strlen(http_trace(q)->id) > TRACE_ID_MAX || (length && strtoull(length, NULL, 10) != b->len))
        abort();
    origins_guard(&o, q, &e);
    origins_tell(&o, q);
    if (origins_preflight(&o, q, "POST"))
        http_reply(q, 204, NULL, "", 0);
    else
        http_reply(q, e.status ? e.status : 200, "text/plain", b->data, b->len);
}

static int connect_to(int port)
{
    const struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct linger at_once = { 1, 0 };  /* or ports would run out */
    const struct timeval patience = { .tv_usec = 2000 };     /* of a connection that is not ended */
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        abort();
    if (connect(fd, (const struct sockaddr *)&a, sizeof a) < 0) {
        if (errno == ECONNREFUSED) {         /* else all ports were just used, or the fuzzer's clock interrupts */
            perror("connect");
            abort();
        }
        close(fd);
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct http *h;
    struct err err;
    char reply[4096];
    const struct http_opts o = { .address = "127.0.0.1", .body_max = BODY, .n_connection = 10, .head_s = 2, .request_s = 2, .idle_s = 2, .handle = handle };
    if (!h && http_start(&h, &o, &err) < 0)
        abort();
    const int fd = connect_to(http_port(h));
    if (fd < 0)
        return 0;
    for (size_t at = 0, k; at < n; at += k) {            /* in two pieces, by the first byte */
        k = at ? n - at : (size_t)(data[0] % n) + 1;
        const ssize_t sent = send(fd, data + at, k, MSG_NOSIGNAL);
        if (sent <= 0)
            break;
        k = (size_t)sent;
    }
    shutdown(fd, SHUT_WR);
    while (recv(fd, reply, sizeof reply, 0) > 0)
        ;
    close(fd);
    return 0;
}
