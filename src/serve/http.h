/* http.h - HTTP/1.1 by libmicrohttpd: whole requests in, replies at once, later, or piece by piece as they are made.
 *
 * One thread, made by http_start(), does all input and output and calls handle() for each request that has come in whole.  The
 * handler replies there and then, or keeps the request and replies later, from any thread.  What is given to replies goes out
 * when http_wake() is called, once for any number of them: a step of a model over many texts costs one call.  What was added to streams
 * under way goes out within that call, by one system call for each of them; the thread is woken only for what begins or ends, for a socket
 * that takes no more, and for all that goes by TLS or HTTP/1.0.
 *
 * A client that is gone is noticed within a quarter of a second, also while nothing is sent to it.  One that does not take what it
 * asked for is cut off when more than HTTP_STREAM_MAX bytes wait for it, or when it takes nothing for idle_s; one that does not send its
 * request in time gets 408, and one whose head could be read in two ways 400 (framing.h).  Connections over n_connection get 503, and
 * beyond some more are not taken. */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "serve/trace.h"

#define HTTP_STREAM_MAX ((size_t)8 << 20)

struct http;
struct http_request;
struct tls;
struct http_opts {
    const char *address;                     /* IPv4 or IPv6 */
    int port;                                /* 0: any that is free */
    size_t body_max;
    size_t n_user;                           /* bytes that each request has for its handler's own use, zeroed: http_user() */
    size_t bodies_max;                       /* of all requests together that are not replied to; what does not fit is answered by 503 */
    int n_connection;                        /* at most */
    /* seconds; 0: */
    double head_s;                           /* for a request's head, from its first line on, or from when the connection was made; as request_s */
    double request_s;                        /* for its body */
    double idle_s;                           /* that a connection stays open without a request, and that a client may take nothing; 75 */
    double answer_s;                         /* from when a request is whole until its reply is; then gone() is called, and 10 s later the connection is ended; no limit */
    struct tls *tls;                         /* NULL: without; the caller's, who may replace it (tls.h) */
    void (*handle)(void *ctx, struct http_request *q);
    /* Before a body is read: what is wrong with the request by its headers, as a status and a JSON text in why; or 0. */
    int (*admit)(void *ctx, struct http_request *q, struct buf *why);
    /* What is wrong with how a request comes in, as a JSON text in why, added to; NULL: only the status tells it. */
    void (*tell)(void *ctx, struct http_request *q, int status, const char *message, struct buf *why);
    /* A request is over: its reply has gone out, or its client has gone; 0: before a reply began.  By the thread of input and output; or NULL. */
    void (*over)(void *ctx, const struct http_request *q, int status);
    /* It was replied to and is over: the last look at a request that handle() got, by any thread.  status as it was sent.  Or NULL. */
    void (*released)(void *ctx, struct http_request *q, int status);
    void *ctx;
};
int http_start(struct http **out, const struct http_opts *o, struct err *err);
int http_port(const struct http *h);
void http_leave(struct http *h);             /* from now on each reply ends its connection, so that clients go elsewhere */
void http_refuse(struct http *h);            /* new connections are not taken any more; replies go on */
void http_wake(struct http *h);              /* any thread */
size_t http_n_wake(const struct http *h);    /* how often the thread was woken */
/* Waits until what was given to replies has gone out, `seconds` at most, then ends; requests that are kept must have been released. */
void http_stop(struct http *h, double seconds);

/* ---- a request; strings live as long as it does ---- */

const char *http_method(const struct http_request *q);
const char *http_path(const struct http_request *q);                         /* also of a target in absolute form, whose authority is then what http_header() tells of Host */
const char *http_query(const struct http_request *q, const char *name);      /* NULL: not there */
const char *http_header(const struct http_request *q, const char *name);     /* NULL: not there */
const char *http_client(const struct http_request *q);                       /* address */
void http_set_mark(struct http_request *q, int mark);                        /* a number of admit()'s or handle()'s own, for over(); -1 until then */
int http_mark(const struct http_request *q);
void *http_user(struct http_request *q);
const struct buf *http_body(const struct http_request *q);                   /* only until handle() returns, or it is taken */
/* The body, for whoever looks at it later; the caller releases it.  Its bytes count against bodies_max until the whole reply is given, or
 * http_forget_body() says that nothing of their size is kept any more.  http_hold() counts n bytes more; false: they are too many.  Any thread. */
struct buf http_take_body(struct http_request *q);
bool http_hold(struct http_request *q, size_t n);
void http_forget_body(struct http_request *q);
/* In admit(): the body is not kept, however long it is; what comes of it goes to piece(), in order and by the thread of connections.  A status that piece()
 * returns, with a literal in *message, refuses the rest, which is passed over, however much it is: some clients show their key only when they were told to.  request_s is then the time between two pieces.  handle() follows when all has come. */
void http_take_pieces(struct http_request *q, int (*piece)(void *ctx, const char *data, size_t n, const char **message), void *ctx);
const struct trace *http_trace(const struct http_request *q);                /* the reply says it, too */
bool http_is_tls(const struct http_request *q);

/* ---- a reply ---- */

/* More headers, before the reply begins; copied.  Of several of one name the last is sent. */
void http_add_header(struct http_request *q, const char *name, const char *value);
/* The whole reply; data is copied.  The request is released with it.  type NULL: there is no data. */
void http_reply(struct http_request *q, int status, const char *type, const char *data, size_t n);
/* The same of n bytes of a file from where it stands, read as they are sent; the file is taken. */
void http_reply_file(struct http_request *q, int status, const char *type, struct file_stream *file, uint64_t n);
/* The same, piece by piece; after http_stream_end() the request is released.  Adding fails when the client is gone: what is added is then
 * dropped, and the stream must still be ended. */
void http_stream_begin(struct http_request *q, int status, const char *type);
int http_stream_add(struct http_request *q, const char *data, size_t n);
void http_stream_end(struct http_request *q);
/* A stream of events that says nothing for 15 seconds gets a comment, so that no proxy takes it for dead.
 *
 * For a request that is kept: gone() is called, once, by the thread of input and output if the client goes before the reply is given
 * whole, or if that takes too long; not any more once http_reply() or http_stream_end() has returned.  It must not call functions of the request. */
void http_on_gone(struct http_request *q, void (*gone)(void *ctx), void *ctx);

#endif
