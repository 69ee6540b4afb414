/* http_take.c - what MHD calls: connections come and go, heads and bodies are taken, whole requests are handed on. */
#include "serve/http_parts.h"
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "serve/framing.h"

#define PASSED 8                 /* of the largest body: so much of one that is not wanted is passed over before the connection is ended */

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
    const char *length = http_header(q, MHD_HTTP_HEADER_CONTENT_LENGTH), *wrong = "the target has a blank, a NUL, or an authority that is none";
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
    } else if (!q->piece && length && strtoull(length, NULL, 10) > h->o.body_max) {
        refuse_large(q);
    }
    q->at_once = q->at_once || (q->refused && http_header(q, MHD_HTTP_HEADER_EXPECT));
}

static void give_piece(struct http_request *q, const char *data, size_t n)
{
    const char *message = "";
    const int status = q->piece(q->piece_ctx, data, n, &message);
    if (status)
        refuse_body(q, status, message);
}

/* MHD_NO ends the connection of one that goes on sending what is not wanted. */
static enum MHD_Result take_body(struct http_request *q, const char *data, size_t n)
{
    struct http *h = q->h;
    if (q->piece && q->conn)
        q->conn->until = clock_wall() + h->o.request_s;
    if (!q->refused && q->piece)
        give_piece(q, data, n);
    else if (!q->refused && n > h->o.body_max - q->body.len)
        refuse_large(q);
    else if (!q->refused && (!http_hold(q, n) || buf_add(&q->body, data, n, NULL) < 0))
        refuse_body(q, MHD_HTTP_SERVICE_UNAVAILABLE, "too many bytes of requests are here at once");
    if (q->refused)
        q->n_passed += n;
    return !q->piece && q->n_passed > PASSED * h->o.body_max ? MHD_NO : MHD_YES;
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
        return http_send_reply(q);
    MHD_suspend_connection(q->c);
    return MHD_YES;
}

enum MHD_Result http_access(void *ctx, struct MHD_Connection *c, const char *url, const char *method, const char *version, const char *data, size_t *n_data, void **con)
{
    struct http *h = ctx;
    struct http_request *q = *con;
    h->n_progress++;
    if (!q) {
        *con = q = http_request_new(h, c, method, url);
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
    return there ? http_send_reply(q) : MHD_NO;
}

/* The first line of a request has come. */
void *http_target(void *ctx, const char *uri, struct MHD_Connection *c)
{
    struct http *h = ctx;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct conn *n = info ? info->socket_context : NULL;
    set_coming(n, true);
    if (n)
        n->asks = true, n->odd = !framing_target_ok(uri), n->until = clock_wall() + h->o.head_s;
    if (n && (n->odd || !framing_absolute(uri, &n->host, &n->path)))
        n->host = n->path = 0;
    return NULL;
}

void http_completed(void *ctx, struct MHD_Connection *c, void **con, enum MHD_RequestTerminationCode how)
{
    struct http *h = ctx;
    struct http_request *q = *con;
    if (!q)
        return;
    h->n_progress++;
    drop_body(q);
    h->n_file -= q->is_file && q->last_out > 0;
    MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)ceil(h->o.idle_s));
    open_remove(h, q);
    if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        http_tell_gone(q);
    if (h->o.over)
        h->o.over(h->o.ctx, q, q->last_out > 0 ? q->status : 0);
    if (q->conn)
        q->conn->until = clock_wall() + h->o.idle_s, q->conn->asks = false;
    *con = NULL;
    http_request_release(q);
}

/* What a client does not take fills the system's buffers first, which hold thousands of events: the system ends such a connection, too. */
static void end_unread(const struct http *h, int fd)
{
    const unsigned ms = (unsigned)(1000 * h->o.idle_s);
    if (fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms))
        log_debug("TCP_USER_TIMEOUT: %s", strerror(errno));
}

void http_connection(void *ctx, struct MHD_Connection *c, void **socket_ctx, enum MHD_ConnectionNotificationCode what)
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
