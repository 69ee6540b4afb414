/* test_http.c - requests and replies over real sockets: at once, later, in pieces; clients that go, dawdle, or send nonsense. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "../pem.h"
#include "../test.h"
#include "base/pool.h"
#include "serve/http.h"
#include "serve/tls.h"

static struct err err;
static struct http *http;

/* ---- the server's side: what is done follows from the path ---- */

struct later { struct http_request *q; int n, kind; atomic_bool gone; pthread_t thread; struct later *next; };
static struct later *all_later;
static pthread_mutex_t later_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int n_gone, n_handled, n_seen;

static void nap(double seconds)
{
    const struct timespec t = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };
    nanosleep(&t, NULL);
}

static void gone(void *ctx)
{
    atomic_store(&((struct later *)ctx)->gone, true);
    atomic_fetch_add(&n_gone, 1);
}

/* What stands at a place of a large stream. */
static char letter(size_t at) { return (char)('a' + at * 7 / 5 % 26); }

#define LARGE 100000

/* Streams of other kinds: large pieces; one that waits until each was read; one that says something once. */
static void stream_otherwise(struct later *l)
{
    static char much[LARGE];
    for (int i = 0; i < l->n && !atomic_load(&l->gone); i++) {
        for (size_t k = 0; l->kind == 'l' && k < LARGE; k++)
            much[k] = letter((size_t)i * LARGE + k);
        if (http_stream_add(l->q, l->kind == 'l' ? much : "data: !\n\n", l->kind == 'l' ? LARGE : 9) < 0)
            return;
        http_wake(http);
        while (l->kind == 'a' && atomic_load(&n_seen) <= i)
            nap(0.0001);
        while (l->kind == 'q' && !atomic_load(&l->gone))
            nap(0.01);
    }
}

static void *work(void *ctx)
{
    struct later *l = ctx;
    if (strchr("laq", l->kind)) {
        http_stream_begin(l->q, 200, "text/event-stream");
        stream_otherwise(l);
        http_stream_end(l->q);
    } else if (l->kind == 'w') {                        /* waits for its client to go, or replies after a while */
        for (int i = 0; i < l->n && !atomic_load(&l->gone); i++)
            nap(0.01);
        http_reply(l->q, 200, "text/plain", "late", 4);
    } else {
        http_stream_begin(l->q, 200, "text/event-stream");
        for (int i = 0; i < l->n && !atomic_load(&l->gone); i++) {
            char text[64];
            const int n = snprintf(text, sizeof text, "data: %d\n\n", i);
            if (l->kind == 'f') {                /* a flood */
                static char much[1 << 20];
                if (http_stream_add(l->q, much, sizeof much) < 0)
                    break;
            } else if (http_stream_add(l->q, text, (size_t)n) < 0) {
                for (int k = 0; k < 500 && !atomic_load(&l->gone); k++)      /* it is told, too */
                    nap(0.01);
                break;
            }
            http_wake(http);
            if (i % 10 == 0)
                nap(0.002);
        }
        http_stream_end(l->q);
    }
    http_wake(http);
    return NULL;
}

static void tell(void *ctx, struct http_request *q, int status, const char *message, struct buf *why)
{
    (void)ctx, (void)q;
    assert_int_equal(buf_printf(why, &err, "%d: %s\n", status, message), 0);
}

static void handle(void *ctx, struct http_request *q)
{
    (void)ctx;
    const char *path = http_path(q);
    atomic_fetch_add(&n_handled, 1);
    if (!strcmp(path, "/echo")) {
        const struct buf *b = http_body(q);
        const char *h = http_header(q, "x-test"), *a = http_query(q, "a");
        http_add_header(q, "x-method", http_method(q));
        http_add_header(q, "x-got", h ? h : "nothing");
        http_add_header(q, "x-a", a ? a : "nothing");
        http_add_header(q, "x-client", http_client(q));
        http_add_header(q, "x-host", http_header(q, "Host"));
        http_reply(q, 201, "application/octet-stream", b->data, b->len);
        return;
    }
    struct later *l = calloc(1, sizeof *l);
    l->q = q, l->kind = path[1], l->n = atoi(path + 2);
    http_on_gone(q, gone, l);
    pthread_mutex_lock(&later_lock);
    assert_int_equal(pthread_create(&l->thread, NULL, work, l), 0);
    l->next = all_later, all_later = l;
    pthread_mutex_unlock(&later_lock);
}

static int start(void **state)
{
    (void)state;
    const struct http_opts o = { .address = "127.0.0.1", .body_max = 100000, .n_connection = 100, .request_s = 0.5, .handle = handle, .tell = tell };
    atomic_store(&n_gone, 0);
    return http_start(&http, &o, &err);
}

static void join_all(void)
{
    for (struct later *l;;) {
        pthread_mutex_lock(&later_lock);
        if ((l = all_later))
            all_later = l->next;
        pthread_mutex_unlock(&later_lock);
        if (!l)
            return;
        pthread_join(l->thread, NULL);
        free(l);
    }
}

static int stop(void **state)
{
    (void)state;
    join_all();
    http_stop(http, 5);
    return 0;
}

/* ---- the client's side ---- */

/* With a buffer of so many bytes for what comes; 0: the system's. */
static int connect_with(int buffer)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(!buffer || !setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer));
    const struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)http_port(http)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_true(fd >= 0 && !connect(fd, (const struct sockaddr *)&a, sizeof a));
    return fd;
}

static int connect_to(void) { return connect_with(0); }

static void put(int fd, const char *text) { assert_true(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text)); }

/* All that comes until the other side closes. */
static char *get_all(int fd)
{
    size_t n = 0, cap = 1 << 16;
    char *text = malloc(cap);
    for (ssize_t k; (k = recv(fd, text + n, cap - n - 1, 0)) > 0;) {
        n += (size_t)k;
        if (cap - n < 1 << 15)
            text = realloc(text, cap *= 2);
    }
    text[n] = 0;
    close(fd);
    return text;
}

static char *ask(const char *text)
{
    const int fd = connect_to();
    put(fd, text);
    return get_all(fd);
}

static void expect_in(const char *reply, const char *what)
{
    if (!strstr(reply, what))
        fail_msg("'%s' is not in: %.300s", what, reply);
}

static void a_request_is_replied_to(void **state)
{
    (void)state;
    char *r = ask("POST /echo?a=b%20c HTTP/1.1\r\nHost: x\r\nX-Test: t\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
    expect_in(r, "HTTP/1.1 201");
    expect_in(r, "x-method: POST\r\n");
    expect_in(r, "x-got: t\r\n");
    expect_in(r, "x-a: b c\r\n");
    expect_in(r, "x-client: 127.0.0.1\r\n");
    expect_in(r, "\r\n\r\nhello");
    free(r);
    r = ask("POST /w5 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    expect_in(r, "HTTP/1.1 200");
    expect_in(r, "\r\n\r\nlate");
    free(r);
    const int fd = connect_to();                 /* two on one connection, the second sent before the first was answered */
    put(fd, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\nGET /w3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    r = get_all(fd);
    expect_in(r, "HTTP/1.1 201");
    expect_in(r, "late");
    free(r);
}

static void a_stream_comes_whole_and_in_order(void **state)
{
    (void)state;
    int fd[8];
    for (int i = 0; i < 8; i++) {
        fd[i] = connect_to();
        put(fd[i], i % 2 ? "GET /s300 HTTP/1.0\r\nHost: x\r\n\r\n" : "GET /s300 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    }
    for (int i = 0; i < 8; i++) {
        char *r = get_all(fd[i]);
        expect_in(r, "text/event-stream");
        const char *body = strstr(r, "\r\n\r\n") + 4;
        assert_true(i % 2 ? !strstr(body, "\r\n") : !strcmp(body + strlen(body) - 5, "0\r\n\r\n"));      /* chunks only for HTTP/1.1 */
        const char *at = r;
        for (int k = 0; k < 300; k++) {
            char want[32];
            snprintf(want, sizeof want, "data: %d\n", k);
            const char *found = strstr(at, want);
            if (!found)
                fail_msg("stream %d: %.12s is missing or out of order", i, want);
            at = found + 1;
        }
        free(r);
    }
    assert_int_equal(atomic_load(&n_gone), 0);
}

static void a_connection_goes_on_after_a_stream(void **state)
{
    (void)state;
    const int fd = connect_to();
    put(fd, "GET /s30 HTTP/1.1\r\nHost: x\r\n\r\nGET /s30 HTTP/1.1\r\nHost: x\r\n\r\nGET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    char *r = get_all(fd);
    const char *first = strstr(r, "0\r\n\r\nHTTP/1.1 200"), *second = strstr(r, "0\r\n\r\nHTTP/1.1 201");
    assert_true(first && second && first < second);
    free(r);
}

/* The socket takes parts of chunks, and MHD gets the connection back between two. */
static void who_reads_slowly_gets_all(void **state)
{
    (void)state;
    const int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
    const struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)http_port(http)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_true(!connect(fd, (const struct sockaddr *)&a, sizeof a));
    put(fd, "GET /l60 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    nap(0.1);
    char *r = get_all(fd), *at = strstr(r, "\r\n\r\n") + 4;
    size_t n = 0;
    for (size_t chunk; (chunk = strtoul(at, &at, 16)) > 0; at += 2) {
        assert_true(at[0] == '\r' && at[1] == '\n');
        at += 2;
        for (size_t end = n + chunk; n < end; n++)
            assert_int_equal(*at++, letter(n));
        assert_true(at[0] == '\r' && at[1] == '\n');
    }
    assert_int_equal(n, 60 * LARGE);
    assert_string_equal(at, "\r\n\r\n");
    free(r);
}

static void a_stream_under_way_wakes_nobody(void **state)
{
    (void)state;
    const int fd = connect_to();
    const size_t before = http_n_wake(http);
    char text[4096];
    atomic_store(&n_seen, 0);
    put(fd, "GET /a200 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    for (ssize_t n; (n = recv(fd, text, sizeof text, 0)) > 0;)
        for (ssize_t i = 0; i < n; i++)
            atomic_fetch_add(&n_seen, text[i] == '!');
    close(fd);
    join_all();
    assert_true(http_n_wake(http) - before < 100);           /* by beginning and end, and before its head was out */
}

static void wait_for_gone(int n)
{
    for (int i = 0; i < 500 && atomic_load(&n_gone) < n; i++)
        nap(0.01);
    assert_int_equal(atomic_load(&n_gone), n);
}

static void a_client_that_goes_is_noticed(void **state)
{
    (void)state;
    int fd = connect_to();                       /* while nothing is sent */
    put(fd, "GET /w1000 HTTP/1.1\r\nHost: x\r\n\r\n");
    nap(0.1);
    close(fd);
    wait_for_gone(1);
    fd = connect_to();                           /* in the middle of a stream */
    put(fd, "GET /s100000 HTTP/1.1\r\nHost: x\r\n\r\n");
    nap(0.1);
    close(fd);
    wait_for_gone(2);
    fd = connect_to();                           /* in a stream that says nothing */
    put(fd, "GET /q1 HTTP/1.1\r\nHost: x\r\n\r\n");
    nap(0.1);
    close(fd);
    wait_for_gone(3);
}

static void a_client_that_does_not_read_is_cut_off(void **state)
{
    (void)state;
    const int fd = connect_to();
    put(fd, "GET /f200 HTTP/1.1\r\nHost: x\r\n\r\n");        /* 200 MB, which nobody takes */
    join_all();
    nap(0.05);
    char *r = get_all(fd);
    expect_in(r, "HTTP/1.1 200");
    assert_true(strlen(r) < 1 << 20);            /* zeros: what is before them */
    free(r);
}

static void nonsense_and_dawdling_are_survived(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\r\n\r\n", "GET\r\n\r\n", "\xff\xfe\x00garbage\r\n\r\n", "GET /echo HTTP/9.9\r\n\r\n", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET /echo HTTP/1.1\r\n\r\n",
    };
    const int before = atomic_load(&n_handled);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const int fd = connect_to();
        put(fd, bad[i]);
        shutdown(fd, SHUT_WR);
        free(get_all(fd));
        if (atomic_load(&n_handled) != before)
            fail_msg("nonsense %zu was handled", i);
    }
    char *big = malloc(200200);
    const int n = snprintf(big, 200, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\nConnection: close\r\n\r\n");
    memset(big + n, 'x', 200000);
    big[n + 200000] = 0;
    char *r = ask(big);
    expect_in(r, "HTTP/1.1 413");
    free(r);
    memset(big, 'x', 200000);                    /* headers without end */
    memcpy(big, "GET / HTTP/1.1\r\nX: ", 19);
    const int fd = connect_to();
    if (send(fd, big, 200000, MSG_NOSIGNAL) < 0)
        nap(0);
    shutdown(fd, SHUT_WR);
    free(get_all(fd));
    free(big);
    const int slow = connect_to();               /* a request that never comes to its end */
    const double begun = clock_wall();
    put(slow, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nabc");
    r = get_all(slow);
    fprintf(stderr, "an unfinished request was cut off after %.1f s\n", clock_wall() - begun);
    assert_null(strstr(r, "201"));
    free(r);
    const int endless = connect_to();            /* a body without end, which nobody wants */
    put(endless, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    char chunk[4096 + 8] = "1000\r\n";
    memset(chunk + 6, 'x', 4096);
    memcpy(chunk + 6 + 4096, "\r\n", 2);
    int n_chunk = 0;
    while (n_chunk < 100000 && send(endless, chunk, sizeof chunk, MSG_NOSIGNAL) > 0)
        n_chunk++;
    assert_true(n_chunk < 100000);
    close(endless);
    r = ask("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");      /* and others are served */
    expect_in(r, "HTTP/1.1 201");
    free(r);
}

#define POST "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
#define TEXT(s) { s, sizeof(s) - 1 }

/* Nothing of these may be handled, not even as another request. */
static void requests_that_can_be_read_in_two_ways_are_refused(void **state)
{
    (void)state;
    static const struct { const char *text; size_t n; } bad[] = {
        TEXT(POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), TEXT(POST "Content-Length: 3\r\nContent-Length: 0\r\n\r\nabc"), TEXT(POST "Content-Length: 3, 3\r\n\r\nabc"),
        TEXT(POST "Content-Length: +3\r\n\r\nabc"), TEXT(POST "Content-Length: 0x3\r\n\r\nabc"), TEXT(POST "Content-Length: \r\n\r\nabc"), TEXT(POST "Content-Length : 3\r\n\r\nabc"),
        TEXT(POST "Content-Length\t: 3\r\n\r\nabc"), TEXT(POST "Content-Length: 3\r\n 0\r\n\r\nabc"), TEXT(POST "Content-Length:\r\n 3\r\n\r\nabc"), TEXT(POST "Content-Length: 3\0\r\nX: y\r\n\r\nabc"),
        TEXT(POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"), TEXT(POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        TEXT(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), TEXT(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
        TEXT(POST "Transfer-Encoding: identity\r\n\r\n"), TEXT(POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), TEXT(POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
        TEXT(POST "Transfer-Encoding: \x0b" "chunked\r\n\r\n0\r\n\r\n"), TEXT(POST "Transfer-Encoding: chunked\0\r\nX: y\r\n\r\n0\r\n\r\n"),
        TEXT("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        TEXT(POST "X: a\r\n b\r\nContent-Length: 0\r\n\r\n"), TEXT(POST "X: a\r\n\tb\r\n\r\n"), TEXT(POST "X: a\nContent-Length: 0\r\n\r\n"), TEXT(POST "X: a\rb\r\nContent-Length: 0\r\n\r\n"),
        TEXT(POST "X: a\0b\r\nContent-Length: 0\r\n\r\n"), TEXT(POST "X\0: b\r\nContent-Length: 0\r\n\r\n"), TEXT(POST ": b\r\nContent-Length: 0\r\n\r\n"), TEXT(POST "X(y): b\r\nContent-Length: 0\r\n\r\n"),
        TEXT("POST /echo HTTP/1.1\nHost: x\r\nContent-Length: 0\r\n\r\n"), TEXT("POST /echo HTTP/1.1\r\nHost: x\nContent-Length: 0\n\n"), TEXT("POST /echo HTTP/1.1\r\n Host: x\r\n\r\n"),
        TEXT("GET /echo HTTP/1.1\r\n\r\n"), TEXT("GET /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"), TEXT("GET /echo%00/x HTTP/1.1\r\nHost: x\r\n\r\n"), TEXT("GET /ec ho HTTP/1.1\r\nHost: x\r\n\r\n"),
        TEXT(POST "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n"), TEXT(POST "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n"), TEXT(POST "Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n"),
        TEXT(POST "Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n"), TEXT(POST "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n"), TEXT(POST "Transfer-Encoding: chunked\r\n\r\n;x\r\na\r\n0\r\n\r\n"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const int before = atomic_load(&n_handled), fd = connect_to();
        assert_true(send(fd, bad[i].text, bad[i].n, MSG_NOSIGNAL) == (ssize_t)bad[i].n);
        char *r = get_all(fd);
        if (*r && strncmp(r, "HTTP/1.1 4", 10) && strncmp(r, "HTTP/1.0 4", 10))
            fail_msg("request %zu got: %.300s", i, r);
        if (strstr(r, "HTTP/1.1 2"))             /* libmicrohttpd says some of its own refusals twice */
            fail_msg("request %zu got: %.600s", i, r);
        if (atomic_load(&n_handled) != before)
            fail_msg("request %zu was handled", i);
        free(r);
    }
}

/* As clients of a proxy write it; its host counts, whatever the header says (RFC 9112, 3.2.2). */
static void targets_in_absolute_form_are_taken(void **state)
{
    (void)state;
    const int fd = connect_to();
    put(fd, "GET http://other:80/echo?a=1 HTTP/1.1\r\nHost: x\r\n\r\nGET HTTPS://[::1]/%65cho HTTP/1.1\r\nHost: x\r\n\r\nGET /echo?a=http://y/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    char *r = get_all(fd), *second = strstr(r + 1, "HTTP/1.1 201"), *third = second ? strstr(second + 1, "HTTP/1.1 201") : NULL;
    assert_non_null(third);
    expect_in(third, "x-host: x\r\n");
    expect_in(third, "x-a: http://y/\r\n");
    *third = 0;
    expect_in(second, "x-host: [::1]\r\n");
    *second = 0;
    expect_in(r, "x-host: other:80\r\n");
    expect_in(r, "x-a: 1\r\n");
    free(r);
    static const char *const bad[] = { "http:///echo", "http://", "http://a%2fecho/echo", "http://me@x/echo" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[200];
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", bad[i]);
        r = ask(text);
        expect_in(r, "HTTP/1.1 400");
        free(r);
    }
}

static void heads_that_are_odd_but_right_are_taken(void **state)
{
    (void)state;
    char *r = ask("POST /echo HTTP/1.1\r\nhost:x\r\nconnection:  close\r\nX-TEST:\tb\tc\r\nX-Empty:\r\nTRANSFER-encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n00a\r\n0123456789\r\n0\r\nX-After: 1\r\n\r\n");
    expect_in(r, "HTTP/1.1 201");
    expect_in(r, "x-got: b\tc\r\n");
    expect_in(r, "\r\n\r\nabc0123456789");
    free(r);
    const int fd = connect_to();                 /* a large head, in small pieces, after another request on the same connection */
    put(fd, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\nGET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (int i = 0; i < 97; i++) {
        char line[300];
        snprintf(line, sizeof line, "X-%d: %0150d\r\n", i, i);
        put(fd, line);
        if (i % 20 == 0)
            nap(0.005);
    }
    put(fd, "x-test: last\r\n\r\n");
    r = get_all(fd);
    expect_in(r, "x-got: nothing\r\n");
    expect_in(r, "x-got: last\r\n");
    free(r);
}

static void heads_that_are_too_large_are_refused(void **state)
{
    (void)state;
    char piece[1001], byte;
    memset(piece, 'x', 1000), piece[1000] = 0;
    for (int what = 0; what < 2; what++) {
        const int fd = connect_to();
        put(fd, what ? "GET /echo HTTP/1.1\r\nHost: x\r\nX: " : "GET /");
        for (int i = 0; i < 100 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0; i++) {
            put(fd, piece);
            nap(0.002);
        }
        char *r = get_all(fd);
        if (what || *r)                          /* a target that fills all memory of its connection leaves none for a reply */
            expect_in(r, what ? "HTTP/1.1 431" : "HTTP/1.1 414");
        free(r);
    }
}

static void heads_have_a_hundred_lines_and_16_kb(void **state)
{
    (void)state;
    static char text[40000];
    for (int what = 0; what < 2; what++) {
        size_t n = (size_t)snprintf(text, sizeof text, "GET /echo HTTP/1.1\r\nHost: x\r\n");
        for (int i = 0; i < (what ? 60 : 100); i++)
            n += (size_t)snprintf(text + n, sizeof text - n, what ? "X: %0300d\r\n" : "X: %d\r\n", i);
        snprintf(text + n, sizeof text - n, "\r\n");
        const int before = atomic_load(&n_handled);
        char *r = ask(text);
        expect_in(r, "HTTP/1.1 431");
        assert_int_equal(atomic_load(&n_handled), before);
        free(r);
    }
}

static void who_asks_first_is_told_before_sending(void **state)
{
    (void)state;
    char *r = ask(POST "Content-Length: 200000\r\nExpect: 100-continue\r\n\r\n");
    expect_in(r, "HTTP/1.1 413");
    assert_null(strstr(r, "100 Continue"));
    free(r);
    const int fd = connect_to();
    put(fd, POST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    nap(0.05);
    put(fd, "abc");
    r = get_all(fd);
    expect_in(r, "HTTP/1.1 100");
    expect_in(r, "\r\n\r\nabc");
    free(r);
}

static void a_request_keeps_its_names(void **state)
{
    (void)state;
    char *r = ask("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: abc-1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n\r\n");
    expect_in(r, "X-Request-Id: abc-1\r\n");
    expect_in(r, "traceparent: 00-0af7651916cd43dd8448eb211c80319c-");
    assert_null(strstr(r, "b7ad6b7169203331"));          /* the span is ours */
    free(r);
    r = ask("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: a b\r\ntraceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\r\n\r\n");
    expect_in(r, "X-Request-Id: req-");
    assert_null(strstr(r, "00-00000000000000000000000000000000"));
    free(r);
}

static void a_head_answers_get_without_its_body(void **state)
{
    (void)state;
    char *r = ask("HEAD /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-test: h\r\n\r\n");
    expect_in(r, "x-method: HEAD");
    expect_in(r, "Content-Length: 0");
    free(r);
}

static int start_idle(void **state)
{
    (void)state;
    const struct http_opts o = { .address = "127.0.0.1", .body_max = 100000, .n_connection = 100, .request_s = 0.5, .idle_s = 0.4, .handle = handle, .tell = tell };
    atomic_store(&n_gone, 0);
    return http_start(&http, &o, &err);
}

/* Far less than what is allowed to wait: it is in the system's buffers. */
static void a_client_that_takes_nothing_of_a_slow_stream_is_cut_off(void **state)
{
    (void)state;
    const int fd = connect_with(2048);
    put(fd, "GET /s30000 HTTP/1.1\r\nHost: x\r\n\r\n");      /* 6 s */
    for (int i = 0; i < 500 && !atomic_load(&n_gone); i++)
        nap(0.01);
    join_all();
    assert_int_equal(atomic_load(&n_gone), 1);
    close(fd);
}

static int start_patient(void **state)
{
    (void)state;
    const struct http_opts o = { .address = "127.0.0.1", .body_max = 100000, .n_connection = 10, .request_s = 1e6, .idle_s = 1e6, .head_s = 1e6, .handle = handle, .tell = tell };
    return http_start(&http, &o, &err);
}

/* The end comes together with the bytes: a place is free again though the server would wait for the rest for days. */
static void clients_that_leave_within_a_request_leave_their_places(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++) {
        const int fd = connect_to();
        put(fd, i % 3 == 0 ? "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nh" : i % 3 == 1 ? "POST /echo HT" : "GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
        close(fd);
    }
    for (bool done = false; !done; nap(0.01)) {
        char *r = ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
        done = strstr(r, "HTTP/1.1 201") != NULL;
        free(r);
    }
}

static int start_small(void **state)
{
    (void)state;
    const struct http_opts o = { .address = "127.0.0.1", .body_max = 100000, .n_connection = 2, .head_s = 0.3, .request_s = 5, .idle_s = 2, .answer_s = 0.3, .handle = handle, .tell = tell };
    atomic_store(&n_gone, 0);
    return http_start(&http, &o, &err);
}

/* ---- bodies that wait ---- */

static struct http_request *kept[3];
static atomic_int n_kept;

static void keep(void *ctx, struct http_request *q)
{
    (void)ctx;
    struct buf body = http_take_body(q);
    assert_int_equal(body.len, 1000);
    buf_release(&body);
    kept[atomic_load(&n_kept)] = q;
    atomic_fetch_add(&n_kept, 1);
}

static int start_keeping(void **state)
{
    (void)state;
    const struct http_opts o = { .address = "127.0.0.1", .body_max = 1000, .bodies_max = 1500, .n_connection = 10, .request_s = 5, .handle = keep, .tell = tell };
    return http_start(&http, &o, &err);
}

static int post_1000(void)
{
    char text[1200];
    const int fd = connect_to();
    snprintf(text, sizeof text, "POST /k HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n%01000d", 0);
    put(fd, text);
    return fd;
}

static void wait_for_kept(int n)
{
    for (int i = 0; i < 1000 && atomic_load(&n_kept) < n; i++)
        nap(0.01);
    assert_int_equal(atomic_load(&n_kept), n);
}

static void expect_reply(int fd, const char *what)
{
    char *r = get_all(fd);
    expect_in(r, what);
    free(r);
}

static void a_body_counts_until_its_request_is_replied_to_or_has_forgotten_it(void **state)
{
    (void)state;
    const int a = post_1000();
    wait_for_kept(1);
    expect_reply(post_1000(), "HTTP/1.1 503");
    assert_true(http_hold(kept[0], 500) && !http_hold(kept[0], 1));
    http_forget_body(kept[0]);
    const int b = post_1000();
    wait_for_kept(2);
    http_reply(kept[1], 200, "text/plain", "b", 1);
    http_wake(http);
    expect_reply(b, "HTTP/1.1 200");
    const int c = post_1000();                   /* the reply has made room, though the first is still waiting */
    wait_for_kept(3);
    assert_true(http_hold(kept[2], 500) && !http_hold(kept[2], 1));
    http_reply(kept[0], 200, "text/plain", "a", 1);
    http_reply(kept[2], 200, "text/plain", "c", 1);
    http_wake(http);
    expect_reply(a, "HTTP/1.1 200");
    expect_reply(c, "HTTP/1.1 200");
}

static void too_many_connections_are_told(void **state)
{
    (void)state;
    const int a = connect_to(), b = connect_to();
    put(a, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    put(b, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    nap(0.1);
    char *r = ask("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_in(r, "HTTP/1.1 503");
    expect_in(r, "Retry-After: 1\r\n");
    expect_in(r, "too many connections");
    free(r);
    close(a);
    nap(0.1);
    r = ask("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect_in(r, "HTTP/1.1 201");
    free(r);
    close(b);
}

static void who_dawdles_over_a_head_is_told(void **state)
{
    (void)state;
    const int fd = connect_to();                 /* bytes come, but never all: it is the whole that has a limit */
    put(fd, "GET /echo HTTP/1.1\r\n");
    for (int i = 0; i < 30; i++) {
        if (send(fd, "X: y\r\n", 6, MSG_NOSIGNAL) < 0)
            break;
        nap(0.05);
    }
    char *r = get_all(fd);
    expect_in(r, "HTTP/1.1 408");
    free(r);
    const int mute = connect_to();               /* nothing at all */
    r = get_all(mute);
    assert_string_equal(r, "");
    free(r);
}

static void many_that_dawdle_keep_nobody_out(void **state)
{
    (void)state;
    int slow[90];
    for (int i = 0; i < 90; i++) {
        slow[i] = connect_to();
        put(slow[i], i % 2 ? "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc" : "GET /echo HTTP/1.1\r\nHost: ");
    }
    for (int i = 0; i < 20; i++) {
        char *r = ask("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        expect_in(r, "HTTP/1.1 201");
        free(r);
    }
    for (int i = 0; i < 90; i++) {
        char *r = get_all(slow[i]);
        expect_in(r, "HTTP/1.1 408");
        free(r);
    }
}

/* ---- TLS ---- */

struct by_tls { int fd; gnutls_session_t s; };
static gnutls_certificate_credentials_t client;

static struct by_tls connect_by_tls(void)
{
    struct by_tls t = { .fd = connect_to() };
    assert_true(!gnutls_init(&t.s, GNUTLS_CLIENT) && !gnutls_set_default_priority(t.s) && !gnutls_credentials_set(t.s, GNUTLS_CRD_CERTIFICATE, client));
    gnutls_transport_set_int(t.s, t.fd);
    int rc;
    while ((rc = gnutls_handshake(t.s)) < 0 && !gnutls_error_is_fatal(rc))
        ;
    assert_int_equal(rc, 0);
    return t;
}

static void ask_by_tls(struct by_tls *t)
{
    char reply[4096];
    size_t n = 0;
    static const char text[] = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    assert_int_equal(gnutls_record_send(t->s, text, sizeof text - 1), sizeof text - 1);       /* head and body in records of their own */
    assert_int_equal(gnutls_record_send(t->s, "hello", 5), 5);
    do {
        const ssize_t k = gnutls_record_recv(t->s, reply + n, sizeof reply - 1 - n);
        assert_true(k > 0);
        n += (size_t)k;
        reply[n] = 0;
    } while (!strstr(reply, "hello"));
    expect_in(reply, "HTTP/1.1 201");
}

/* Is it the one that the server showed? */
static bool is_shown(const struct by_tls *t, const struct pem *p)
{
    unsigned n;
    const gnutls_datum_t *shown = gnutls_certificate_get_peers(t->s, &n), pem = { (unsigned char *)(uintptr_t)p->cert, (unsigned)strlen(p->cert) };
    gnutls_datum_t der;
    assert_true(n == 1 && !gnutls_pem_base64_decode2("CERTIFICATE", &pem, &der));
    const bool is = der.size == shown->size && !memcmp(der.data, shown->data, der.size);
    gnutls_free(der.data);
    return is;
}

static void end_tls(struct by_tls *t)
{
    gnutls_deinit(t->s);
    close(t->fd);
}

static void a_certificate_is_replaced_while_connections_go_on(void **state)
{
    (void)state;
    static struct pem a, b;
    struct tls *tls, *by;
    make_pem(&a, "a"), make_pem(&b, "b");
    assert_int_equal(tls_new(&tls, a.key, b.cert, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "do not belong together"));
    assert_int_equal(tls_new(&tls, "no key", a.cert, &err), ERR_FORMAT);
    assert_int_equal(tls_new(&tls, a.key, "", &err), ERR_FORMAT);
    OK(tls_new(&tls, a.key, a.cert, &err));
    const struct http_opts o = { .address = "127.0.0.1", .body_max = 100000, .n_connection = 100, .head_s = 1, .request_s = 5, .handle = handle, .tell = tell, .tls = tls };
    OK(http_start(&http, &o, &err));
    gnutls_certificate_allocate_credentials(&client);
    struct by_tls old = connect_by_tls();
    ask_by_tls(&old);
    assert_true(is_shown(&old, &a));
    OK(tls_new(&by, b.key, b.cert, &err));
    tls_replace(tls, by);
    struct by_tls new = connect_by_tls();
    ask_by_tls(&new);
    ask_by_tls(&old);
    assert_true(is_shown(&new, &b));
    const int mute = connect_to();               /* no handshake */
    char *r = get_all(mute);
    assert_string_equal(r, "");
    free(r);
    end_tls(&old), end_tls(&new);
    gnutls_certificate_free_credentials(client);
    http_stop(http, 5);
    tls_free(tls);
}

static void an_answer_that_takes_too_long_is_ended(void **state)
{
    (void)state;
    const int fd = connect_to();
    put(fd, "GET /w1000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");      /* 10 s, but it ends when it is told to */
    char *r = get_all(fd);
    expect_in(r, "late");                        /* what came of it still goes out */
    free(r);
    assert_int_equal(atomic_load(&n_gone), 1);
}

static void what_is_under_way_is_finished_before_the_end(void **state)
{
    (void)state;
    const int fd = connect_to(), other = connect_to();
    put(fd, "GET /s200 HTTP/1.1\r\nHost: x\r\n\r\n");
    put(other, "GET /w20 HTTP/1.1\r\nHost: x\r\n\r\n");
    nap(0.05);
    http_refuse(http);
    nap(0.05);
    const int late = socket(AF_INET, SOCK_STREAM, 0);
    const struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)http_port(http)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_true(connect(late, (const struct sockaddr *)&a, sizeof a) < 0);
    close(late);
    join_all();
    http_stop(http, 5);
    char *r = get_all(fd);
    expect_in(r, "data: 199\n");
    free(r);
    r = get_all(other);
    expect_in(r, "late");
    free(r);
    assert_int_equal(start(NULL), 0);
}

static void an_address_that_is_none_is_told(void **state)
{
    (void)state;
    struct http *h;
    const struct http_opts o = { .address = "nowhere", .body_max = 1, .n_connection = 1, .request_s = 1, .handle = handle, .tell = tell };
    assert_int_equal(http_start(&h, &o, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "nowhere"));
    struct http_opts taken = o;
    taken.address = "127.0.0.1", taken.port = http_port(http);
    assert_int_equal(http_start(&h, &taken, &err), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_is_replied_to, start, stop),
        cmocka_unit_test_setup_teardown(a_stream_comes_whole_and_in_order, start, stop),
        cmocka_unit_test_setup_teardown(a_connection_goes_on_after_a_stream, start, stop),
        cmocka_unit_test_setup_teardown(who_reads_slowly_gets_all, start, stop),
        cmocka_unit_test_setup_teardown(a_stream_under_way_wakes_nobody, start, stop),
        cmocka_unit_test_setup_teardown(a_client_that_goes_is_noticed, start, stop),
        cmocka_unit_test_setup_teardown(a_client_that_does_not_read_is_cut_off, start, stop),
        cmocka_unit_test_setup_teardown(clients_that_leave_within_a_request_leave_their_places, start_patient, stop),
        cmocka_unit_test_setup_teardown(a_client_that_takes_nothing_of_a_slow_stream_is_cut_off, start_idle, stop),
        cmocka_unit_test_setup_teardown(nonsense_and_dawdling_are_survived, start, stop),
        cmocka_unit_test_setup_teardown(requests_that_can_be_read_in_two_ways_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(targets_in_absolute_form_are_taken, start, stop),
        cmocka_unit_test_setup_teardown(heads_that_are_odd_but_right_are_taken, start, stop),
        cmocka_unit_test_setup_teardown(heads_that_are_too_large_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(heads_have_a_hundred_lines_and_16_kb, start, stop),
        cmocka_unit_test_setup_teardown(who_asks_first_is_told_before_sending, start, stop),
        cmocka_unit_test_setup_teardown(a_request_keeps_its_names, start, stop),
        cmocka_unit_test_setup_teardown(a_head_answers_get_without_its_body, start, stop),
        cmocka_unit_test_setup_teardown(a_body_counts_until_its_request_is_replied_to_or_has_forgotten_it, start_keeping, stop),
        cmocka_unit_test_setup_teardown(too_many_connections_are_told, start_small, stop),
        cmocka_unit_test_setup_teardown(who_dawdles_over_a_head_is_told, start_small, stop),
        cmocka_unit_test_setup_teardown(many_that_dawdle_keep_nobody_out, start, stop),
        cmocka_unit_test(a_certificate_is_replaced_while_connections_go_on),
        cmocka_unit_test_setup_teardown(an_answer_that_takes_too_long_is_ended, start_small, stop),
        cmocka_unit_test_setup_teardown(what_is_under_way_is_finished_before_the_end, start, stop),
        cmocka_unit_test_setup_teardown(an_address_that_is_none_is_told, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
