/* http_direct.c - streams that go to their sockets without MHD.
 *
 * Once MHD has sent a stream's head and what came with it, it is told to leave the connection alone, and each step's events go to the
 * socket in the thread that made them: a system call for each stream, where waking this module's thread and MHD's own looks at its
 * connections cost three and more a step beside those.  MHD gets the connection back when the stream has ended, between two
 * chunks, and goes on as if it had sent them.  By TLS and for HTTP/1.0 all goes through MHD. */
#include "serve/http_parts.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "base/log.h"
#include "base/pool.h"

/* Of a stream whose head is out: from now on it is ours, where that can be. */
bool direct_begin(struct http_request *q)
{
    const int one = 1;
    if (q->h->o.tls || !q->chunks || !q->conn || q->conn->fd < 0)
        return false;
    if (setsockopt(q->conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one))      /* what MHD holds back goes out, too */
        return false;
    q->direct = q->suspended = true;
    return true;
}

void direct_list(struct http_request *q)
{
    struct http *h = q->h;
    if (q->listed)
        return;
    q->listed = true, q->n_ref++;
    pthread_mutex_lock(&h->ready_lock);
    q->next_ready = h->ready, h->ready = q;
    pthread_mutex_unlock(&h->ready_lock);
}

size_t direct_n_left(const struct http_request *q) { return q->out.len - q->n_sent + q->cut.len - q->n_cut; }

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
void direct_send(struct http_request *q)
{
    if (!q->direct || q->gone)
        return;
    if (q->cut.len)
        send_cut(q);
    if (!q->cut.len && q->out.len > q->n_sent && !q->gone)
        send_chunk(q);
    const bool blocks = direct_n_left(q) && !q->gone;
    struct epoll_event e = { .events = EPOLLOUT | EPOLLONESHOT, .data.fd = q->conn->fd };
    if ((blocks || q->blocked) && epoll_ctl(q->h->epoll, !blocks ? EPOLL_CTL_DEL : q->blocked ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, q->conn->fd, &e))
        q->gone = true;
    q->blocked = blocks;
    if (q->ended || q->gone)
        atomic_store(&q->h->work, true);
}

void direct_send_ready(struct http *h)
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
            direct_send(q);
        pthread_mutex_unlock(&q->lock);
        http_request_release(q);
    }
}

/* The stream is MHD's again. */
void direct_end(struct http_request *q)
{
    if (q->blocked && epoll_ctl(q->h->epoll, EPOLL_CTL_DEL, q->conn->fd, &(struct epoll_event){ 0 }))
        log_debug("epoll: %s", strerror(errno));
    q->gone = q->gone || q->cut.len;
    q->direct = q->blocked = false;
}
