/* http_parts.h - what the files of http.h share.  Internal to them.
 *
 * http.c begins, ends and is the thread; http_take.c is what MHD calls while connections and requests come and go; http_request.c is a
 * request for whoever handles it, and its reply; http_direct.c sends streams without MHD; http_look.c ends what takes too long. */
#ifndef SERVE_HTTP_PARTS_H
#define SERVE_HTTP_PARTS_H
#include <arpa/inet.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include "serve/http.h"

#define HTTP_HEADERS_MAX 24      /* that a reply has more */

/* A connection. */
struct conn {
    struct http *h;
    int fd;
    double until;                            /* when it is ended unless more has come; 0: its request is here whole */
    bool coming;                             /* a head is being read, or has yet to begin the first time */
    size_t host, path;                       /* of a target in absolute form: where its authority begins, and where that ends; 0: of another */
    bool asks, odd, extra;                   /* a request has begun; its target is none; there are too many connections */
    struct conn *next, **self;
};

struct http_request {
    struct http *h;
    struct MHD_Connection *c;
    struct conn *conn;
    char *method, *path;
    char *host;                              /* of a target in absolute form, instead of the header; or NULL */
    struct buf body;
    atomic_size_t n_held;                    /* of h->bodies, this one's */
    int (*piece)(void *ctx, const char *data, size_t n, const char **message); void *piece_ctx;      /* takes the body instead; or NULL */
    int mark;
    struct trace trace;
    bool handled, at_once;                   /* at_once: refused without waiting for its body */
    double until;                            /* when its reply must be whole; 0: no limit */
    int refused; struct buf why;             /* status and text of what was wrong before it was read whole; its body is passed over */
    size_t n_passed;
    double last_out;                         /* when something was sent to the client; 0: nothing yet */
    char client[INET6_ADDRSTRLEN];
    struct { char *name, *value; } header[HTTP_HEADERS_MAX]; int n_header;
    pthread_mutex_t lock;                    /* of what follows */
    int n_ref;                               /* this side's and the handler's */
    bool streams, ended, replied, suspended, gone;
    bool direct, blocked;                    /* its socket is left to us by MHD; and takes nothing more for now */
    bool listed;                             /* in h->ready, which has a part of n_ref */
    int status;
    char *type;
    struct file_stream file; uint64_t n_file;    /* the reply's bytes, where is_file */
    bool is_file;
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
    int n_file;                              /* replies that are files and are going out */
    atomic_size_t bodies;                    /* bytes of bodies that are held */
    unsigned n_progress;                     /* calls of this run of MHD that did something */
};

/* ---- http_request.c ---- */

struct http_request *http_request_new(struct http *h, struct MHD_Connection *c, const char *method, const char *target);     /* NULL: no memory */
void http_request_release(struct http_request *q);       /* one of n_ref */
void http_tell_gone(struct http_request *q);
enum MHD_Result http_send_reply(struct http_request *q); /* by MHD */

/* ---- http_direct.c; all but direct_send_ready() under the request's lock ---- */

bool direct_begin(struct http_request *q);               /* of a stream whose head is out: from now on it is ours, where that can be */
void direct_end(struct http_request *q);                 /* the stream is MHD's again */
void direct_list(struct http_request *q);                /* for direct_send_ready() */
void direct_send(struct http_request *q);                /* as far as its socket takes it; when that takes more, the thread is told */
void direct_send_ready(struct http *h);                  /* any thread */
size_t direct_n_left(const struct http_request *q);      /* bytes, also of a stream that goes by MHD */

/* ---- http_take.c, called by MHD ---- */

enum MHD_Result http_access(void *ctx, struct MHD_Connection *c, const char *url, const char *method, const char *version, const char *data, size_t *n_data, void **con);
void *http_target(void *ctx, const char *uri, struct MHD_Connection *c);
void http_completed(void *ctx, struct MHD_Connection *c, void **con, enum MHD_RequestTerminationCode how);
void http_connection(void *ctx, struct MHD_Connection *c, void **socket_ctx, enum MHD_ConnectionNotificationCode what);

/* ---- http_look.c ---- */

void http_look(struct http *h);

#endif
