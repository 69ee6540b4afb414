/* http_request.c - a request for whoever handles it: what it says, and how it is replied to. */
#include "serve/http_parts.h"
#include <string.h>
#include <strings.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"

enum { FILE_PIECE = 1 << 20 };

/* ---- requests ---- */

void http_forget_body(struct http_request *q) { atomic_fetch_sub(&q->h->bodies, atomic_exchange(&q->n_held, 0)); }

void http_request_release(struct http_request *q)
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
    if (q->is_file)
        file_stream_close(&q->file);
    pthread_mutex_destroy(&q->lock);
    mem_free(q->method);
    mem_free(q->path);
    mem_free(q->host);
    mem_free(q->type);
    mem_free(q);
}

const char *http_method(const struct http_request *q) { return q->method; }
const char *http_path(const struct http_request *q) { return q->path; }
const char *http_query(const struct http_request *q, const char *name) { return MHD_lookup_connection_value(q->c, MHD_GET_ARGUMENT_KIND, name); }
const char *http_header(const struct http_request *q, const char *name) { return q->host && !strcasecmp(name, MHD_HTTP_HEADER_HOST) ? q->host : MHD_lookup_connection_value(q->c, MHD_HEADER_KIND, name); }
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

void http_take_pieces(struct http_request *q, int (*piece)(void *ctx, const char *data, size_t n, const char **message), void *ctx) { q->piece = piece, q->piece_ctx = ctx; }

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

/* Of a target, which may be in absolute form. */
static bool set_path(struct http_request *q, const char *target)
{
    const size_t from = q->conn ? q->conn->host : 0, to = q->conn ? q->conn->path : 0;
    q->host = from ? mem_printf("%.*s", (int)(to - from), target + from) : NULL;
    q->path = mem_strdup(target[to] ? target + to : "/");
    return q->path && !from == !q->host;
}

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

struct http_request *http_request_new(struct http *h, struct MHD_Connection *c, const char *method, const char *target)
{
    struct http_request *q = mem_alloc_zero(sizeof *q + h->o.n_user);
    if (!q)
        return NULL;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    *q = (struct http_request){ .h = h, .c = c, .method = mem_strdup(method), .n_ref = 1, .mark = -1, .conn = info ? info->socket_context : NULL };
    pthread_mutex_init(&q->lock, NULL);
    buf_init(&q->body);
    buf_init(&q->why);
    buf_init(&q->out);
    buf_init(&q->cut);
    set_client(q);
    if (set_path(q, target) && q->method)
        return q;
    http_request_release(q);
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
    if (q->n_header < HTTP_HEADERS_MAX && n && v) {
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
    http_request_release(q);
}

void http_reply_file(struct http_request *q, int status, const char *type, struct file_stream *file, uint64_t n)
{
    pthread_mutex_lock(&q->lock);
    begin_reply(q, status, type, false);
    q->file = *file, q->n_file = n, q->is_file = q->ended = true;
    q->file.path = q->path;
    *file = (struct file_stream){ .fd = -1 };
    atomic_store(&q->h->work, true);
    pthread_mutex_unlock(&q->lock);
    http_forget_body(q);
    http_request_release(q);
}

void http_stream_begin(struct http_request *q, int status, const char *type)
{
    pthread_mutex_lock(&q->lock);
    begin_reply(q, status, type, true);
    atomic_store(&q->h->work, true);
    pthread_mutex_unlock(&q->lock);
}
int http_stream_add(struct http_request *q, const char *data, size_t n)
{
    pthread_mutex_lock(&q->lock);
    if (q->n_sent > 65536 && 2 * q->n_sent > q->out.len) {       /* what was sent is not kept */
        memmove(q->out.data, q->out.data + q->n_sent, q->out.len - q->n_sent);
        q->out.len -= q->n_sent, q->n_sent = 0;
    }
    if (direct_n_left(q) > HTTP_STREAM_MAX)
        q->gone = true;
    const int rc = q->gone ? ERR_STOPPED : buf_add(&q->out, data, n, NULL);
    q->gone = q->gone || rc < 0;
    if (q->direct && !q->gone)
        direct_list(q);
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
    http_request_release(q);
}

void http_on_gone(struct http_request *q, void (*gone)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&q->lock);
    q->on_gone = gone, q->gone_ctx = ctx;
    pthread_mutex_unlock(&q->lock);
}

void http_tell_gone(struct http_request *q)
{
    pthread_mutex_lock(&q->lock);
    q->gone = true;
    if (!q->ended && q->on_gone)
        q->on_gone(q->gone_ctx);
    q->on_gone = NULL;
    pthread_mutex_unlock(&q->lock);
}

/* ---- by MHD ---- */

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
    const bool leaves = !rc && direct_begin(q);
    pthread_mutex_unlock(&q->lock);
    if (leaves)
        MHD_suspend_connection(q->c);
    q->h->n_progress += rc != 0;
    return rc;
}

static ssize_t read_file(void *ctx, uint64_t at, char *to, size_t max)
{
    struct http_request *q = ctx;
    struct err err;
    (void)at;
    const int64_t n = file_stream_read(&q->file, to, max, &err);
    q->h->n_progress++;
    if (n <= 0)
        log_warn("%s: %s", q->path, n ? err.msg : "the file has become shorter");
    return n > 0 ? (ssize_t)n : MHD_CONTENT_READER_END_WITH_ERROR;
}

enum MHD_Result http_send_reply(struct http_request *q)
{
    struct MHD_Response *r = q->streams ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 32768, read_stream, q, NULL)
                           : q->is_file ? MHD_create_response_from_callback(q->n_file, FILE_PIECE, read_file, q, NULL)
                                        : MHD_create_response_from_buffer(q->out.len, q->out.data, MHD_RESPMEM_MUST_COPY);
    if (!r)
        return MHD_NO;
    q->last_out = clock_wall();
    q->h->n_file += q->is_file;
    if (q->streams)                          /* it may be long until there is something: http_look() sees to it */
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
