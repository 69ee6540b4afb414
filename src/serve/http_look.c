/* http_look.c - clients that went while their request was being answered, those that do not take what they asked for, and those that have
 * not sent a request in time. */
#include "serve/http_parts.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "base/log.h"
#include "base/pool.h"

#define PING_S 15                /* of silence of a stream of events */
#define LATE_S 10                /* that an answer which was told to end may take for that */

/* Of a request that has not come whole; nothing else has been said about it. */
static const char too_late[] = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

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
    const bool waits = direct_n_left(q) > 0;
    if (q->until > 0 && now > q->until + LATE_S)
        return true;
    if (q->ended)
        return false;
    if (q->streams && !waits && q->last_out > 0 && now - q->last_out > PING_S && q->type && !strncmp(q->type, "text/event-stream", 17)) {
        q->last_out = now;
        q->gone = q->gone || buf_add_str(&q->out, ": still here\n\n", NULL) < 0;
        if (q->direct)
            direct_list(q);
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

/* The client has gone before its request, or the next one, is whole.  libmicrohttpd does not see that where the end came together with the last bytes: it
 * reads those, and waits for an event that was already told. */
static bool has_left(const struct conn *c)
{
    char byte;
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void http_look(struct http *h)
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
        http_tell_gone(gone[i]);
        if (gone[i]->conn)
            shutdown(gone[i]->conn->fd, SHUT_RDWR);
        http_request_release(gone[i]);
    }
    for (struct conn *c = h->conn; c; c = c->next)
        if (c->until > 0 && now > c->until && c->fd >= 0) {
            if (c->asks && !h->o.tls && send(c->fd, too_late, sizeof too_late - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                log_debug("a client that did not send its request: %s", strerror(errno));
            c->until = 0;
            shutdown(c->fd, SHUT_RDWR);
        } else if (c->until > 0 && c->fd >= 0 && has_left(c)) {
            c->until = 0;
            shutdown(c->fd, SHUT_RDWR);
        }
}
