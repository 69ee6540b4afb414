#include "serve/http.h"
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <microhttpd.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "serve/framing.h"
#include "serve/tls.h"

#define HEADERS_MAX 24           /* that a reply has more */
#define LOOK_S 0.25              /* between looks for clients that are gone */
#define RUN_S 1                  /* between runs of MHD, which ends connections whose time is over, when nothing happens */
#define PING_S 15                /* of silence of a stream of events */
#define PASSED 8                 /* of the largest body: so much of one that is not wanted is passed over before the connection is ended */
#define RUNS 8                   /* of MHD before replies are looked at again */
#define HEAD_S 0.005             /* between looks at heads of which more is there: MHD reads the end of a large one in small pieces */
#define HEADS 32                 /* that are looked at */
#define IDLE_S 75
#define LATE_S 10                /* that an answer which was told to end may take for that */
#define SPARE(n) ((n) / 8 + 8)   /* connections that are told that there are too many */

/* A connection. */
struct conn {
    struct http *h;
    int fd;
    double until;                            /* when it is ended unless more has come; 0: its request is here whole */
    bool coming;                             /* a head is being read, or has yet to begin the first time */
    bool asks, odd, extra;                   /* a request has begun; its target is none; there are too many connections */
    struct conn *next, **self;
};

struct http_request {
    struct http *h;
    struct MHD_Connection *c;
    struct conn *conn;
    char *method, *path;
    struct buf body;
    atomic_size_t n_held;                    /* of h->bodies, this one's */
    int mark;
    struct trace trace;
    bool handled, at_once;                   /* at_once: refused without waiting for its body */
    double until;                            /* when its reply must be whole; 0: no limit */
    int refused; struct buf why;             /* status and text of what was wrong before it was read whole; its body is passed over */
    size_t n_passed;
    double last_out;                         /* when something was sent to the client; 0: nothing yet */
    char client[INET6_ADDRSTRLEN];
    struct { char *name, *value; } header[HEADERS_MAX]; int n_header;
    pthread_mutex_t lock;                    /* of what follows */
    int n_ref;                               /* this side's and the handler's */
    bool streams, ended, replied, suspended, gone;
    bool direct, blocked;                    /* its socket is left to us by MHD; and takes nothing more for now */
    bool listed;                             /* in h->ready, which has a part of n_ref */
    int status;
    char *type;
    struct buf out; size_t n_sent;
    struct buf cut; size_t n_cut;            /* what is left of a chunk of which the socket took a part, and how much of that it has taken since */
    void (*on_gone)(void *ctx); void *gone_ctx;
    struct http_request *next, **self;       /* in h->open: kept by the handler */
    struct http_request *next_ready;
    bool chunks, left;                       /* streams to it go in chunks of HTTP/1.1; it was seen to have gone */
    max_align_t user[];
};

struct http {
    struct http_opts o;
    struct MHD_Daemon *d;
    int epoll, event, port;
    pthread_t thread;
    atomic_bool quit, leave, refuse;
    atomic_bool work;                        /* for the thread, which has yet to be told */
    atomic_size_t n_wake;
    pthread_mutex_t ready_lock;              /* of ready: direct streams to which something was added */
    struct http_request *ready;
    bool refuses;
    double stop_at;
    pthread_mutex_t lock;                    /* of open */
    struct http_request *open;
    struct conn *conn; int n_conn, n_coming;
    struct pollfd *poll; int n_poll;
    atomic_size_t bodies;                    /* bytes of bodies that are held */
    unsigned n_progress;                     /* calls of this run of MHD that did something */
};

/* ---- requests ---- */

void http_forget_body(struct http_request *q) { atomic_fetch_sub(&q->h->bodies, atomic_exchange(&q->n_held, 0)); }

static void release(struct http_request *q)
{
    pthread_mutex_lock(&q->lock);
    const bool last = --q->n_ref == 0;
    pthread_mutex_unlock(&q->lock);
    if (!last)
        return;
    http_forget_body(q);
    if (q->handled && q->h->o.released)
        q->h->o.released(q->h->o.ctx, q, q->status);
    for (int i = 0; i < q->n_header; i++) {
        mem_free(q->header[i].name);
        mem_free(q->header[i].value);
    }
    buf_release(&q->body);
    buf_release(&q->why);
    buf_release(&q->out);
    buf_release(&q->cut);
    pthread_mutex_destroy(&q->lock);
    mem_free(q->method);
    mem_free(q->path);
    mem_free(q->type);
    mem_free(q);
}

const char *http_method(const struct http_request *q) { return q->method; }
const char *http_path(const struct http_request *q) { return q->path; }
const char *http_query(const struct http_request *q, const char *name) { return MHD_lookup_connection_value(q->c, MHD_GET_ARGUMENT_KIND, name); }
const char *http_header(const struct http_request *q, const char *name) { return MHD_lookup_connection_value(q->c, MHD_HEADER_KIND, name); }
const char *http_client(const struct http_request *q) { return q->client; }
void *http_user(struct http_request *q) { return q->user; }
void http_set_mark(struct http_request *q, int mark) { q->mark = mark; }
int http_mark(const struct http_request *q) { return q->mark; }
const struct buf *http_body(const struct http_request *q) { return &q->body; }

struct buf http_take_body(struct http_request *q)
{
    const struct buf body = q->body;
    buf_init(&q->body);
    return body;
}

bool http_hold(struct http_request *q, size_t n)
{
    atomic_size_t *const all = &q->h->bodies;
    size_t held = atomic_load(all);
    do
        if (n > q->h->o.bodies_max - held)
            return false;
    while (!atomic_compare_exchange_weak(all, &held, held + n));
    atomic_fetch_add(&q->n_held, n);
    return true;
}

const struct trace *http_trace(const struct http_request *q) { return &q->trace; }
bool http_is_tls(const struct http_request *q) { return q->h->o.tls != NULL; }

static void set_client(struct http_request *q)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(q->c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!info || !info->client_addr)
        return;
    if (info->client_addr->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)(void *)info->client_addr)->sin6_addr, q->client, sizeof q->client);
    else
        inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)info->client_addr)->sin_addr, q->client, sizeof q->client);
}

static struct http_request *request_new(struct http *h, struct MHD_Connection *c, const char *method, const char *path)
{
    struct http_request *q = mem_alloc_zero(sizeof *q + h->o.n_user);
    if (!q)
        return NULL;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    *q = (struct http_request){ .h = h, .c = c, .method = mem_strdup(method), .path = mem_strdup(path), .n_ref = 1, .mark = -1, .conn = info ? info->socket_context : NULL };
    pthread_mutex_init(&q->lock, NULL);
    buf_init(&q->body);
    buf_init(&q->why);
    buf_init(&q->out);
    buf_init(&q->cut);
    set_client(q);
    if (q->method && q->path)
        return q;
    release(q);
    return NULL;
}

/* ---- replies ---- */

void http_add_header(struct http_request *q, const char *name, const char *value)
{
    char *n = mem_strdup(name), *v = mem_strdup(value);
    for (int i = 0; i < q->n_header && v; i++)
        if (!strcasecmp(q->header[i].name, name)) {
            mem_free(q->header[i].value);
            q->header[i].value = v;
            mem_free(n);
            return;
        }
    if (q->n_header < HEADERS_MAX && n && v) {
        q->header[q->n_header].name = n, q->header[q->n_header++].value = v;
        return;
    }
    mem_free(n);
    mem_free(v);
}

static void begin_reply(struct http_request *q, int status, const char *type, bool streams)
{
    q->status = status, q->type = type ? mem_strdup(type) : NULL, q->streams = streams, q->replied = true;
}

void http_reply(struct http_request *q, int status, const char *type, const char *data, size_t n)
{
    pthread_mutex_lock(&q->lock);
    buf_clear(&q->out);                      /* of a stream that was not begun */
    begin_reply(q, buf_add(&q->out, data, n, NULL) < 0 ? MHD_HTTP_SERVICE_UNAVAILABLE : status, type, false);
    q->ended = true;
    atomic_store(&q->h->work, true);
    pthread_mutex_unlock(&q->lock);
    http_forget_body(q);
    release(q);
}

void http_stream_begin(struct http_request *q, int status, const char *type)
{
    pthread_mutex_lock(&q->lock);
    begin_reply(q, status, type, true);
    atomic_store(&q->h->work, true);
    pthread_mutex_unlock(&q->lock);
}

/* ---- direct streams ----
 *
 * Once MHD has sent a stream's head and what came with it, it is told to leave the connection alone, and each step's events go to the
 * socket in the thread that made them: a system call for each stream, where waking this module's thread and MHD's own looks at its
 * connections cost three and more a step beside those.  MHD gets the connection back when the stream has ended, between two
 * chunks, and goes on as if it had sent them.  By TLS and for HTTP/1.0 all goes through MHD. */

static void list(struct http_request *q)
{
    struct http *h = q->h;
    if (q->listed)
        return;
    q->listed = true, q->n_ref++;
    pthread_mutex_lock(&h->ready_lock);
    q->next_ready = h->ready, h->ready = q;
    pthread_mutex_unlock(&h->ready_lock);
}

static size_t n_left(const struct http_request *q) { return q->out.len - q->n_sent + q->cut.len - q->n_cut; }

/* What the socket took of `iov`; 0: nothing for now. */
static size_t send_some(struct http_request *q, struct iovec *iov, size_t n)
{
    const ssize_t rc = sendmsg(q->conn->fd, &(struct msghdr){ .msg_iov = iov, .msg_iovlen = n }, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (rc < 0 && errno != EAGAIN && errno != EINTR)
        q->gone = true;
    q->last_out = rc > 0 ? clock_wall() : q->last_out;
    return rc > 0 ? (size_t)rc : 0;
}

static void send_cut(struct http_request *q)
{
    q->n_cut += send_some(q, &(struct iovec){ q->cut.data + q->n_cut, q->cut.len - q->n_cut }, 1);
    if (q->n_cut < q->cut.len)
        return;
    buf_clear(&q->cut);
    q->n_cut = 0;
}

/* As one chunk.  If the socket takes a part of it the rest is cut off, and goes before all that is added. */
static void send_chunk(struct http_request *q)
{
    char head[20];
    struct iovec iov[3] = { { head, (size_t)snprintf(head, sizeof head, "%zx\r\n", q->out.len - q->n_sent) }, { q->out.data + q->n_sent, q->out.len - q->n_sent }, { (char[]){ "\r\n" }, 2 } };
    const size_t all = iov[0].iov_len + iov[1].iov_len + iov[2].iov_len;
    const size_t n = send_some(q, iov, 3);
    if (!n)
        return;
    for (size_t i = 0, at = 0; i < 3 && n < all; at += iov[i++].iov_len) {
        const size_t took = n < at ? 0 : n - at < iov[i].iov_len ? n - at : iov[i].iov_len;
        q->gone = q->gone || buf_add(&q->cut, (char *)iov[i].iov_base + took, iov[i].iov_len - took, NULL) < 0;
    }
    buf_clear(&q->out);
    q->n_sent = 0;
}

/* What waits of a direct stream goes out as far as its socket takes it; when that takes more, the thread is told.  Under its lock. */
static void send_direct(struct http_request *q)
{
    if (!q->direct || q->gone)
        return;
    if (q->cut.len)
        send_cut(q);
    if (!q->cut.len && q->out.len > q->n_sent && !q->gone)
        send_chunk(q);
    const bool blocks = n_left(q) && !q->gone;
    struct epoll_event e = { .events = EPOLLOUT | EPOLLONESHOT, .data.fd = q->conn->fd };
    if ((blocks || q->blocked) && epoll_ctl(q->h->epoll, !blocks ? EPOLL_CTL_DEL : q->blocked ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, q->conn->fd, &e))
        q->gone = true;
    q->blocked = blocks;
    if (q->ended || q->gone)
        atomic_store(&q->h->work, true);
}

static void send_ready(struct http *h)
{
    for (;;) {
        pthread_mutex_lock(&h->ready_lock);
        struct http_request *q = h->ready;
        h->ready = q ? q->next_ready : NULL;
        pthread_mutex_unlock(&h->ready_lock);
        if (!q)
            return;
        pthread_mutex_lock(&q->lock);
        q->listed = false;
        if (!q->blocked)
            send_direct(q);
        pthread_mutex_unlock(&q->lock);
        release(q);
    }
}

/* The stream is MHD's again. */
static void end_direct(struct http_request *q)
{
    if (q->blocked && epoll_ctl(q->h->epoll, EPOLL_CTL_DEL, q->conn->fd, &(struct epoll_event){ 0 }))
        log_debug("epoll: %s", strerror(errno));
    q->gone = q->gone || q->cut.len;
    q->direct = q->blocked = false;
}

int http_stream_add(struct http_request *q, const char *data, size_t n)
{
    pthread_mutex_lock(&q->lock);
    if (q->n_sent > 65536 && 2 * q->n_sent > q->out.len) {       /* what was sent is not kept */
        memmove(q->out.data, q->out.data + q->n_sent, q->out.len - q->n_sent);
        q->out.len -= q->n_sent, q->n_sent = 0;
    }
    if (n_left(q) > HTTP_STREAM_MAX)
        q->gone = true;
    const int rc = q->gone ? ERR_STOPPED : buf_add(&q->out, data, n, NULL);
    q->gone = q->gone || rc < 0;
    if (q->direct && !q->gone)
        list(q);
    else
        atomic_store(&q->h->work, true);
    pthread_mutex_unlock(&q->lock);
    return rc < 0 ? ERR_STOPPED : 0;
}

void http_stream_end(struct http_request *q)
{
    pthread_mutex_lock(&q->lock);
    q->ended = true;
    atomic_store(&q->h->work, true);
    pthread_mutex_unlock(&q->lock);
    release(q);
}

void http_on_gone(struct http_request *q, void (*gone)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&q->lock);
    q->on_gone = gone, q->gone_ctx = ctx;
    pthread_mutex_unlock(&q->lock);
}

static void tell_gone(struct http_request *q)
{
    pthread_mutex_lock(&q->lock);
    q->gone = true;
    if (!q->ended && q->on_gone)
        q->on_gone(q->gone_ctx);
    q->on_gone = NULL;
    pthread_mutex_unlock(&q->lock);
}

/* Of a stream whose head is out: from now on it is ours, where that can be. */
static bool begin_direct(struct http_request *q)
{
    const int one = 1;
    if (q->h->o.tls || !q->chunks || !q->conn || q->conn->fd < 0)
        return false;
    if (setsockopt(q->conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one))      /* what MHD holds back goes out, too */
        return false;
    q->direct = q->suspended = true;
    return true;
}

/* What a stream has, for MHD; 0: nothing yet. */
static ssize_t read_stream(void *ctx, uint64_t at, char *to, size_t max)
{
    struct http_request *q = ctx;
    (void)at;
    pthread_mutex_lock(&q->lock);
    const size_t left = q->out.len - q->n_sent, n = left < max ? left : max;
    memcpy(to, q->out.data + q->n_sent, n);
    q->n_sent += n;
    const bool over = !left && (q->ended || q->gone);
    const ssize_t rc = n ? (ssize_t)n : !over ? 0 : q->gone ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    if (n)
        q->last_out = clock_wall();
    const bool leaves = !rc && begin_direct(q);
    pthread_mutex_unlock(&q->lock);
    if (leaves)
        MHD_suspend_connection(q->c);
    q->h->n_progress += rc != 0;
    return rc;
}

static enum MHD_Result send_reply(struct http_request *q)
{
    struct MHD_Response *r = q->streams ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 32768, read_stream, q, NULL)
                                        : MHD_create_response_from_buffer(q->out.len, q->out.data, MHD_RESPMEM_MUST_COPY);
    if (!r)
        return MHD_NO;
    q->last_out = clock_wall();
    if (q->streams)                          /* it may be long until there is something: look() sees to it */
        MHD_set_connection_option(q->c, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    if (q->type)
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, q->type);
    for (int i = 0; i < q->n_header; i++)
        MHD_add_response_header(r, q->header[i].name, q->header[i].value);
    if (atomic_load(&q->h->leave))
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
    const enum MHD_Result rc = MHD_queue_response(q->c, (unsigned)q->status, r);
    MHD_destroy_response(r);
    return rc;
}

/* ---- what MHD calls ---- */

static void open_add(struct http *h, struct http_request *q)
{
    pthread_mutex_lock(&h->lock);
    q->next = h->open, q->self = &h->open;
    if (h->open)
        h->open->self = &q->next;
    h->open = q;
    pthread_mutex_unlock(&h->lock);
}

static void open_remove(struct http *h, struct http_request *q)
{
    pthread_mutex_lock(&h->lock);
    if (q->self) {
        *q->self = q->next;
        if (q->next)
            q->next->self = q->self;
        q->self = NULL;
    }
    pthread_mutex_unlock(&h->lock);
}

static void drop_body(struct http_request *q)
{
    http_forget_body(q);
    buf_release(&q->body);
    buf_init(&q->body);
}

/* The reply waits until the body has come, or its sender might never see it; what is sent is not kept. */
static void refuse_body(struct http_request *q, int status, const char *message)
{
    drop_body(q);
    buf_clear(&q->why);
    q->refused = status;
    if (q->h->o.tell)
        q->h->o.tell(q->h->o.ctx, q, status, message, &q->why);
}

static void refuse_large(struct http_request *q) { refuse_body(q, MHD_HTTP_CONTENT_TOO_LARGE, "the request's body is too large"); }

/* Of a request that has not come whole; nothing else has been said about it. */
static const char too_late[] = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

static void refuse_at_once(struct http_request *q, int status, const char *message)
{
    refuse_body(q, status, message);
    q->at_once = true;
}

static void set_trace(struct http_request *q)
{
    char parent[56];
    trace_begin(&q->trace, http_header(q, "X-Request-Id"), http_header(q, "traceparent"));
    trace_parent_text(&q->trace, parent);
    http_add_header(q, "X-Request-Id", q->trace.id);
    http_add_header(q, "traceparent", parent);
}

static void set_coming(struct conn *c, bool coming)
{
    if (c)
        c->h->n_coming += coming - c->coming, c->coming = coming;
}

/* By its head.  Who waits for a word before sending the body ("Expect: 100-continue") is told at once. */
static void begin_request(struct http *h, struct http_request *q, const char *version)
{
    int status;
    const char *length = http_header(q, MHD_HTTP_HEADER_CONTENT_LENGTH), *wrong = "the target has a blank or a NUL";
    const int framing = q->conn && q->conn->odd ? MHD_HTTP_BAD_REQUEST : framing_check(q->c, version, &wrong);
    q->chunks = !strcmp(version, MHD_HTTP_VERSION_1_1);
    if (q->conn)
        q->conn->until = clock_wall() + h->o.request_s;
    set_coming(q->conn, false);
    set_trace(q);
    if (framing) {
        refuse_at_once(q, framing, wrong);
    } else if (q->conn && q->conn->extra) {
        http_add_header(q, MHD_HTTP_HEADER_RETRY_AFTER, "1");
        refuse_at_once(q, MHD_HTTP_SERVICE_UNAVAILABLE, "too many connections");
    } else if (h->o.admit && (status = h->o.admit(h->o.ctx, q, &q->why)) != 0) {
        drop_body(q);
        q->refused = status;
    } else if (length && strtoull(length, NULL, 10) > h->o.body_max) {
        refuse_large(q);
    }
    q->at_once = q->at_once || (q->refused && http_header(q, MHD_HTTP_HEADER_EXPECT));
}

/* MHD_NO ends the connection of one that goes on sending what is not wanted. */
static enum MHD_Result take_body(struct http_request *q, const char *data, size_t n)
{
    struct http *h = q->h;
    if (!q->refused && n > h->o.body_max - q->body.len)
        refuse_large(q);
    else if (!q->refused && (!http_hold(q, n) || buf_add(&q->body, data, n, NULL) < 0))
        refuse_body(q, MHD_HTTP_SERVICE_UNAVAILABLE, "too many bytes of requests are here at once");
    if (q->refused)
        q->n_passed += n;
    return q->n_passed > PASSED * h->o.body_max ? MHD_NO : MHD_YES;
}

/* The request is here whole, or as far as it is wanted. */
static enum MHD_Result answer(struct http *h, struct http_request *q)
{
    q->handled = true;
    if (q->conn)
        q->conn->until = 0;
    q->until = h->o.answer_s > 0 ? clock_wall() + h->o.answer_s : 0;
    pthread_mutex_lock(&q->lock);
    q->n_ref++;
    pthread_mutex_unlock(&q->lock);
    if (q->refused) {
        http_add_header(q, MHD_HTTP_HEADER_CONNECTION, "close");
        http_reply(q, q->refused, "application/json", q->why.data, q->why.len);
    } else {
        h->o.handle(h->o.ctx, q);
    }
    struct buf body = http_take_body(q);     /* unless the handler has */
    buf_release(&body);
    pthread_mutex_lock(&q->lock);
    const bool replied = q->replied;
    q->suspended = !replied;
    pthread_mutex_unlock(&q->lock);
    open_add(h, q);
    if (replied)
        return send_reply(q);
    MHD_suspend_connection(q->c);
    return MHD_YES;
}

static enum MHD_Result access_handler(void *ctx, struct MHD_Connection *c, const char *url, const char *method, const char *version, const char *data, size_t *n_data, void **con)
{
    struct http *h = ctx;
    struct http_request *q = *con;
    h->n_progress++;
    if (!q) {
        *con = q = request_new(h, c, method, url);
        if (!q)
            return MHD_NO;
        begin_request(h, q, version);
        return q->at_once ? answer(h, q) : MHD_YES;
    }
    if (*n_data) {
        const size_t n = *n_data;
        *n_data = 0;
        return take_body(q, data, n);
    }
    if (!q->handled)
        return answer(h, q);
    pthread_mutex_lock(&q->lock);                /* it was waiting for its reply */
    const bool there = q->replied;
    pthread_mutex_unlock(&q->lock);
    return there ? send_reply(q) : MHD_NO;
}

/* The first line of a request has come. */
static void *target(void *ctx, const char *uri, struct MHD_Connection *c)
{
    struct http *h = ctx;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct conn *n = info ? info->socket_context : NULL;
    set_coming(n, true);
    if (n)
        n->asks = true, n->odd = !framing_target_ok(uri), n->until = clock_wall() + h->o.head_s;
    return NULL;
}

static void completed(void *ctx, struct MHD_Connection *c, void **con, enum MHD_RequestTerminationCode how)
{
    struct http *h = ctx;
    struct http_request *q = *con;
    if (!q)
        return;
    h->n_progress++;
    drop_body(q);
    MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)ceil(h->o.idle_s));
    open_remove(h, q);
    if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        tell_gone(q);
    if (h->o.over)
        h->o.over(h->o.ctx, q, q->last_out > 0 ? q->status : 0);
    if (q->conn)
        q->conn->until = clock_wall() + h->o.idle_s, q->conn->asks = false;
    *con = NULL;
    release(q);
}

/* What a client does not take fills the system's buffers first, which hold thousands of events: the system ends such a connection, too. */
static void end_unread(const struct http *h, int fd)
{
    const unsigned ms = (unsigned)(1000 * h->o.idle_s);
    if (fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms))
        log_debug("TCP_USER_TIMEOUT: %s", strerror(errno));
}

static void connection(void *ctx, struct MHD_Connection *c, void **socket_ctx, enum MHD_ConnectionNotificationCode what)
{
    struct http *h = ctx;
    struct conn *n = *socket_ctx;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (!(n = mem_alloc_zero(sizeof *n)))
            return;
        *n = (struct conn){ .h = h, .fd = info ? info->connect_fd : -1, .until = clock_wall() + h->o.head_s, .next = h->conn, .self = &h->conn, .extra = ++h->n_conn > h->o.n_connection };
        if (h->conn)
            h->conn->self = &n->next;
        h->conn = n, *socket_ctx = n;
        set_coming(n, true);
        end_unread(h, n->fd);
    } else if (n) {
        *n->self = n->next;
        if (n->next)
            n->next->self = n->self;
        h->n_conn--;
        set_coming(n, false);
        mem_free(n);
        *socket_ctx = NULL;
    }
}

/* ---- the thread ---- */

/* Requests whose reply has come while they waited, and streams that MHD is to end. */
static void resume(struct http *h)
{
    pthread_mutex_lock(&h->lock);
    for (struct http_request *q = h->open; q; q = q->next) {
        pthread_mutex_lock(&q->lock);
        if (q->blocked)
            send_direct(q);
        const bool go = q->suspended && (q->direct ? q->gone || (q->ended && !q->cut.len) : q->replied);
        if (go && q->direct)
            end_direct(q);
        q->suspended = q->suspended && !go;
        pthread_mutex_unlock(&q->lock);
        if (go)
            MHD_resume_connection(q->c);
    }
    pthread_mutex_unlock(&h->lock);
}

/* Whose clients have left?  They are asked together. */
static void look_left(struct http *h)
{
    int n = 0;
    for (const struct http_request *q = h->open; q && n < h->n_poll; q = q->next)
        h->poll[n++] = (struct pollfd){ .fd = q->conn ? q->conn->fd : -1, .events = POLLRDHUP };
    const bool any = n && poll(h->poll, (nfds_t)n, 0) > 0;
    struct http_request *q = h->open;
    for (int i = 0; i < n; i++, q = q->next)
        q->left = any && h->poll[i].revents & (POLLRDHUP | POLLHUP | POLLERR);
}

/* Of a request that is kept, under its lock: is its client gone, or too slow?  A silent stream of events gets a comment. */
static bool is_gone(struct http_request *q, double now)
{
    const bool waits = n_left(q) > 0;
    if (q->until > 0 && now > q->until + LATE_S)
        return true;
    if (q->ended)
        return false;
    if (q->streams && !waits && q->last_out > 0 && now - q->last_out > PING_S && q->type && !strncmp(q->type, "text/event-stream", 17)) {
        q->last_out = now;
        q->gone = q->gone || buf_add_str(&q->out, ": still here\n\n", NULL) < 0;
        if (q->direct)
            list(q);
        else
            atomic_store(&q->h->work, true);
    }
    return q->gone || (q->streams && waits && q->last_out > 0 && now - q->last_out > q->h->o.idle_s) || q->left;
}

/* Too late: whoever answers is told to end it, and what came of that still goes out.  A reply that is whole and goes out too slowly is not waited for. */
static void end_late(struct http_request *q, double now)
{
    void (*on_gone)(void *ctx) = NULL;
    void *ctx = NULL;
    pthread_mutex_lock(&q->lock);
    if (q->until > 0 && now > q->until && !q->ended)
        on_gone = q->on_gone, ctx = q->gone_ctx, q->on_gone = NULL;
    if (on_gone)
        on_gone(ctx);
    pthread_mutex_unlock(&q->lock);
}

/* Clients that went while their request was being answered, those that do not take what they asked for, and those that have not
 * sent a request in time. */
static void look(struct http *h)
{
    struct http_request *gone[64];
    int n = 0;
    const double now = clock_wall();
    pthread_mutex_lock(&h->lock);
    look_left(h);
    for (struct http_request *q = h->open; q && n < 64; q = q->next) {
        end_late(q, now);
        pthread_mutex_lock(&q->lock);
        const bool is = (q->on_gone || (q->until > 0 && now > q->until + LATE_S)) && is_gone(q, now);
        q->n_ref += is;
        pthread_mutex_unlock(&q->lock);
        if (is)
            gone[n++] = q;
    }
    pthread_mutex_unlock(&h->lock);
    for (int i = 0; i < n; i++) {
        tell_gone(gone[i]);
        if (gone[i]->conn)
            shutdown(gone[i]->conn->fd, SHUT_RDWR);
        release(gone[i]);
    }
    for (struct conn *c = h->conn; c; c = c->next)
        if (c->until > 0 && now > c->until && c->fd >= 0) {
            if (c->asks && !h->o.tls && send(c->fd, too_late, sizeof too_late - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                log_debug("a client that did not send its request: %s", strerror(errno));
            c->until = 0;
            shutdown(c->fd, SHUT_RDWR);
        }
}

static bool idle(struct http *h)
{
    pthread_mutex_lock(&h->lock);
    const bool none = !h->open;
    pthread_mutex_unlock(&h->lock);
    return none;
}

/* Is there more of a head that MHD has not taken? */
static bool heads_wait(struct http *h)
{
    MHD_UNSIGNED_LONG_LONG timeout;
    int left = h->n_coming < HEADS ? h->n_coming : HEADS, n;
    if (left && h->o.tls && MHD_get_timeout(h->d, &timeout) == MHD_YES && !timeout)        /* in the memory of TLS */
        return true;
    for (const struct conn *c = h->conn; c && left; c = c->next)
        if (c->coming && left-- && c->fd >= 0 && !ioctl(c->fd, FIONREAD, &n) && n > 0)
            return true;
    return false;
}

static void *serve(void *ctx)
{
    struct http *h = ctx;
    double looked = clock_wall(), ran = looked;
    bool more = false;                       /* MHD has work left */
    while (!atomic_load(&h->quit) || (!idle(h) && clock_wall() < h->stop_at)) {
        struct epoll_event got[16];
        const bool heads = heads_wait(h);
        const int n = epoll_wait(h->epoll, got, 16, more ? 0 : (int)(1000 * (heads ? HEAD_S : LOOK_S)));
        for (int i = 0; i < n; i++) {
            uint64_t x;
            if (got[i].data.fd == h->event && read(h->event, &x, sizeof x) < 0)
                log_debug("eventfd: %s", strerror(errno));
        }
        if (atomic_load(&h->refuse) && !h->refuses) {
            const int listening = MHD_quiesce_daemon(h->d);
            if (listening >= 0)
                close(listening);
            h->refuses = true;
        }
        const bool work = atomic_exchange(&h->work, false), runs = n || work || heads || more || clock_wall() - ran > RUN_S;      /* before it is looked for */
        send_ready(h);
        resume(h);
        h->n_progress = runs;
        ran = runs ? clock_wall() : ran;
        for (int i = 0; runs && i < RUNS && (h->n_progress || heads_wait(h)); i++) {
            h->n_progress = 0;
            MHD_run(h->d);
        }
        more = h->n_progress > 0;
        if (clock_wall() - looked > LOOK_S) {
            look(h);
            looked = clock_wall();
        }
    }
    return NULL;
}

static void wake(struct http *h)
{
    const uint64_t one = 1;
    atomic_fetch_add(&h->n_wake, 1);
    if (write(h->event, &one, sizeof one) < 0 && errno != EAGAIN)
        log_warn("eventfd: %s", strerror(errno));
}

void http_wake(struct http *h)
{
    send_ready(h);
    if (atomic_exchange(&h->work, false))
        wake(h);
}

size_t http_n_wake(const struct http *h) { return atomic_load(&h->n_wake); }

/* ---- begin and end ---- */

static int address_of(const struct http_opts *o, struct sockaddr_storage *a, struct err *err)
{
    struct sockaddr_in *v4 = (void *)a;
    struct sockaddr_in6 *v6 = (void *)a;
    memset(a, 0, sizeof *a);
    if (inet_pton(AF_INET, o->address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET, v4->sin_port = htons((uint16_t)o->port);
        return 0;
    }
    if (inet_pton(AF_INET6, o->address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6, v6->sin6_port = htons((uint16_t)o->port);
        return 0;
    }
    return ERR(err, USAGE, "address '%s', expected one of IPv4 or IPv6", o->address);
}

static void log_mhd(void *ctx, const char *fmt, va_list ap)
{
    char text[300];
    (void)ctx;
    vsnprintf(text, sizeof text, fmt, ap);
    text[strcspn(text, "\n")] = 0;
    log_debug("libmicrohttpd: %s", text);
}

#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

static int certificate_for(gnutls_session_t s, const gnutls_datum_t *ca, int n_ca, const gnutls_pk_algorithm_t *pk, int n_pk, gnutls_pcert_st **cert, unsigned *n_cert, gnutls_privkey_t *key)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(gnutls_session_get_ptr(s), MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    const struct conn *c = info ? info->socket_context : NULL;
    (void)ca, (void)n_ca, (void)pk, (void)n_pk;
    if (!c)
        return -1;
    tls_get(c->h->o.tls, cert, n_cert, key);
    return 0;
}

static int start(struct http *h, struct err *err)
{
    struct sockaddr_storage a;
    TRY(address_of(&h->o, &a, err));
    const unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (h->o.tls ? MHD_USE_TLS : 0u) | (a.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    union { int (*get)(gnutls_session_t, const gnutls_datum_t *, int, const gnutls_pk_algorithm_t *, int, gnutls_pcert_st **, unsigned *, gnutls_privkey_t *); void *p; } certificate = { certificate_for };
    struct MHD_OptionItem tls[] = { { MHD_OPTION_HTTPS_CERT_CALLBACK, 0, certificate.p }, { MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES }, { MHD_OPTION_END, 0, NULL } };
    h->n_poll = h->o.n_connection + SPARE(h->o.n_connection);
    h->poll = mem_alloc_array((size_t)h->n_poll, sizeof *h->poll);
    if (!h->poll)
        return ERR(err, NOMEM, "no memory for %d connections", h->n_poll);
    h->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (h->event < 0)
        return ERR(err, IO, "eventfd: %s", strerror(errno));
    h->d = MHD_start_daemon(flags, 0, NULL, NULL, access_handler, h, MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL, MHD_OPTION_SOCK_ADDR, &a, MHD_OPTION_NOTIFY_COMPLETED, completed, h,
                            MHD_OPTION_NOTIFY_CONNECTION, connection, h, MHD_OPTION_CONNECTION_LIMIT, (unsigned)(h->o.n_connection + SPARE(h->o.n_connection)), MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)ceil(h->o.idle_s),
                            MHD_OPTION_URI_LOG_CALLBACK, target, h,
                            MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, h->o.tls ? tls : tls + 2, MHD_OPTION_END);
    if (!h->d)
        return ERR(err, IO, "cannot listen on %s, port %d: %s", h->o.address, h->o.port, strerror(errno));
    h->port = MHD_get_daemon_info(h->d, MHD_DAEMON_INFO_BIND_PORT)->port;
    const int fd = MHD_get_daemon_info(h->d, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    struct epoll_event e[2] = { { .events = EPOLLIN, .data.fd = fd }, { .events = EPOLLIN, .data.fd = h->event } };
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (h->epoll < 0 || epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &e[0]) || epoll_ctl(h->epoll, EPOLL_CTL_ADD, h->event, &e[1]))
        return ERR(err, IO, "epoll: %s", strerror(errno));
    if (pthread_create(&h->thread, NULL, serve, h))
        return ERR(err, NOMEM, "cannot start a thread for connections");
    return 0;
}

int http_start(struct http **out, const struct http_opts *o, struct err *err)
{
    *out = NULL;
    struct http *h = mem_alloc_zero(sizeof *h);
    if (!h)
        return ERR(err, NOMEM, "no memory for connections");
    h->o = *o, h->event = h->epoll = -1;
    h->o.head_s = o->head_s > 0 ? o->head_s : o->request_s, h->o.idle_s = o->idle_s > 0 ? o->idle_s : IDLE_S;
    h->o.bodies_max = o->bodies_max > o->body_max ? o->bodies_max : o->body_max;
    pthread_mutex_init(&h->lock, NULL);
    pthread_mutex_init(&h->ready_lock, NULL);
    const int rc = start(h, err);
    if (rc < 0) {
        if (h->d)
            MHD_stop_daemon(h->d);
        if (h->event >= 0)
            close(h->event);
        if (h->epoll >= 0)
            close(h->epoll);
        pthread_mutex_destroy(&h->lock);
        pthread_mutex_destroy(&h->ready_lock);
        mem_free(h->poll);
        mem_free(h);
        return rc;
    }
    *out = h;
    return 0;
}

int http_port(const struct http *h) { return h->port; }

void http_leave(struct http *h) { atomic_store(&h->leave, true); }

void http_refuse(struct http *h)
{
    http_leave(h);
    atomic_store(&h->refuse, true);
    wake(h);
}

void http_stop(struct http *h, double seconds)
{
    if (!h)
        return;
    h->stop_at = clock_wall() + seconds;
    atomic_store(&h->quit, true);
    wake(h);
    pthread_join(h->thread, NULL);
    send_ready(h);
    for (struct http_request *q = h->open; q; q = q->next)       /* MHD does not end what is suspended */
        if (q->suspended) {
            if (q->direct)
                end_direct(q);
            q->suspended = false;
            MHD_resume_connection(q->c);
        }
    MHD_run(h->d);
    MHD_stop_daemon(h->d);
    close(h->event);
    close(h->epoll);
    pthread_mutex_destroy(&h->lock);
    pthread_mutex_destroy(&h->ready_lock);
    mem_free(h->poll);
    mem_free(h);
}
