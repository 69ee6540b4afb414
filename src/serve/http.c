#include "serve/http_parts.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "serve/tls.h"

#define LOOK_S 0.25              /* between looks for clients that are gone */
#define RUN_S 1                  /* between runs of MHD, which ends connections whose time is over, when nothing happens */
#define RUNS 8                   /* of MHD before replies are looked at again */
#define HEAD_S 0.005             /* between looks at heads of which more is there: MHD reads the end of a large one in small pieces */
#define HEADS 32                 /* that are looked at */
#define IDLE_S 75
#define SPARE(n) ((n) / 8 + 8)   /* connections that are told that there are too many */

/* ---- the thread ---- */

/* Requests whose reply has come while they waited, and streams that MHD is to end. */
static void resume(struct http *h)
{
    pthread_mutex_lock(&h->lock);
    for (struct http_request *q = h->open; q; q = q->next) {
        pthread_mutex_lock(&q->lock);
        if (q->blocked)
            direct_send(q);
        const bool go = q->suspended && (q->direct ? q->gone || (q->ended && !q->cut.len) : q->replied);
        if (go && q->direct)
            direct_end(q);
        q->suspended = q->suspended && !go;
        pthread_mutex_unlock(&q->lock);
        if (go)
            MHD_resume_connection(q->c);
    }
    pthread_mutex_unlock(&h->lock);
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

/* Has MHD sent a part of a file's piece, which its socket may take more of?  Nothing tells us that. */
static bool files_wait(struct http *h)
{
    MHD_UNSIGNED_LONG_LONG timeout;
    return h->n_file && MHD_get_timeout(h->d, &timeout) == MHD_YES && !timeout;
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
        direct_send_ready(h);
        resume(h);
        h->n_progress = runs;
        ran = runs ? clock_wall() : ran;
        for (int i = 0; runs && i < RUNS && (h->n_progress || heads_wait(h)); i++) {
            h->n_progress = 0;
            MHD_run(h->d);
        }
        more = h->n_progress > 0 || files_wait(h);
        if (clock_wall() - looked > LOOK_S) {
            http_look(h);
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
    direct_send_ready(h);
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
    h->d = MHD_start_daemon(flags, 0, NULL, NULL, http_access, h, MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL, MHD_OPTION_SOCK_ADDR, &a, MHD_OPTION_NOTIFY_COMPLETED, http_completed, h,
                            MHD_OPTION_NOTIFY_CONNECTION, http_connection, h, MHD_OPTION_CONNECTION_LIMIT, (unsigned)(h->o.n_connection + SPARE(h->o.n_connection)), MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)ceil(h->o.idle_s),
                            MHD_OPTION_URI_LOG_CALLBACK, http_target, h,
                            MHD_OPTION_ARRAY, h->o.tls ? tls : tls + 2, MHD_OPTION_END);
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
    direct_send_ready(h);
    for (struct http_request *q = h->open; q; q = q->next)       /* MHD does not end what is suspended */
        if (q->suspended) {
            if (q->direct)
                direct_end(q);
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
