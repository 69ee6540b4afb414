#include "train/comm_watch.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/pool.h"

#define BEAT_S 1.0
#define MISSED_S 6.0
#define GRACE_S 0.5                              /* that the main thread has to end by itself once the run is over */
#define GRACE_HEARD_S 5.0                        /* one that has heard of it is on its way */
#define JOIN_S 60.0
#define CONNECT_MS 2000
#define HELLO_MS 300                             /* a stranger that says nothing must not keep the thread from its rounds */

struct peer { int fd; bool bye; double heard; };

struct watch {
    int rank, size, listener, wake;
    const char (*names)[WATCH_NAME];
    struct peer *peer;                           /* [size]; rank 0 has all others, the others have rank 0 */
    uint64_t token;
    double begin;
    pthread_t thread;
    bool running;
    atomic_bool quit, over, told, heard;         /* told: by rank 0, which says it for all; heard: by the main thread */
    double over_since;
    pthread_mutex_t lock;                        /* of text, over_since, changes of peer[].fd and what is sent there */
    char text[WATCH_TEXT];
};

/* ---- messages ---- */

static void send_bytes(const struct peer *p, const void *data, size_t n)
{
    if (p->fd >= 0)
        (void)!send(p->fd, data, n, MSG_NOSIGNAL);      /* who cannot be reached is missed soon */
}

static void send_text(const struct peer *p, char type, const char *text)
{
    char message[3 + WATCH_TEXT];
    const size_t n = strnlen(text, WATCH_TEXT - 1);
    message[0] = type, message[1] = (char)(n & 255), message[2] = (char)(n >> 8);
    memcpy(message + 3, text, n);
    send_bytes(p, message, 3 + n);
}

static bool receive(int fd, void *data, size_t n)
{
    for (size_t at = 0; at < n;) {
        const ssize_t got = recv(fd, (char *)data + at, n - at, 0);      /* SO_RCVTIMEO bounds it */
        if (got <= 0 && !(got < 0 && errno == EINTR))
            return false;
        at += got > 0 ? (size_t)got : 0;
    }
    return true;
}

static bool receive_text(int fd, char text[WATCH_TEXT])
{
    unsigned char length[2];
    if (!receive(fd, length, 2))
        return false;
    const size_t n = length[0] + 256u * length[1];
    if (n >= WATCH_TEXT || !receive(fd, text, n))
        return false;
    text[n] = 0;
    return true;
}

/* ---- the end ---- */

/* The first reason stays.  says: at once, for mpirun kills all a second after the first is gone. */
static void end_run(struct watch *w, const char *text, bool says)
{
    pthread_mutex_lock(&w->lock);
    if (!atomic_load(&w->over)) {
        if (says)
            fprintf(stderr, "lathe: %s" WATCH_GOES_ON "\n", text);
        snprintf(w->text, sizeof w->text, "%s", text);
        err_tidy(w->text);
        for (int i = 1; w->rank == 0 && i < w->size; i++)
            send_text(&w->peer[i], 'l', w->text);
        w->over_since = clock_wall();
        atomic_store(&w->over, true);
    }
    pthread_mutex_unlock(&w->lock);
}

static void lost(struct watch *w, int rank, const char *how)
{
    char text[WATCH_TEXT];
    snprintf(text, sizeof text, "%s %s", w->names[rank], how);
    end_run(w, text, true);
}

/* ---- the thread ---- */

static void set_peer(struct watch *w, int rank, struct peer p)
{
    pthread_mutex_lock(&w->lock);
    w->peer[rank] = p;
    pthread_mutex_unlock(&w->lock);
}

static void hear(struct watch *w, int rank)
{
    struct peer *p = &w->peer[rank];
    char type, text[WATCH_TEXT], said[WATCH_TEXT + WATCH_NAME];
    if (!receive(p->fd, &type, 1)) {
        const bool bye = p->bye;
        close(p->fd);
        set_peer(w, rank, (struct peer){ .fd = -1, .bye = bye, .heard = p->heard });
        if (!bye)
            lost(w, rank, "ended without a word");
        return;
    }
    p->heard = clock_wall();
    if (type == 'b')
        p->bye = true;
    if ((type != 'e' && type != 'l') || !receive_text(p->fd, text))
        return;
    snprintf(said, sizeof said, "%s: %s", w->names[rank], text);
    said[WATCH_TEXT - 1] = 0;
    p->bye = true;
    if (type == 'l')
        atomic_store(&w->told, true);
    end_run(w, type == 'e' ? said : text, type == 'e');
}

struct hello { uint64_t token; int64_t rank; };

static void set_options(int fd)
{
    const struct timeval limit = { CONNECT_MS / 1000, 0 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
}

static void let_in(struct watch *w)
{
    const int fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    set_options(fd);
    struct hello h;
    struct pollfd ready = { fd, POLLIN, 0 };
    if (poll(&ready, 1, HELLO_MS) != 1 || !receive(fd, &h, sizeof h) || h.token != w->token || h.rank < 1 || h.rank >= w->size || w->peer[h.rank].fd >= 0) {
        close(fd);
        return;
    }
    set_peer(w, (int)h.rank, (struct peer){ .fd = fd, .heard = clock_wall() });
    send_bytes(&w->peer[h.rank], "h", 1);
}

static void beat(struct watch *w, double now)
{
    pthread_mutex_lock(&w->lock);
    for (int i = 0; i < w->size; i++)
        send_bytes(&w->peer[i], "h", 1);
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < w->size; i++) {
        const struct peer *p = &w->peer[i];
        if (p->fd >= 0 && !p->bye && now - p->heard > MISSED_S)
            lost(w, i, "has not been heard of for 6 s");
        if (w->rank == 0 && i && p->fd < 0 && !p->heard && now - w->begin > JOIN_S)
            lost(w, i, "did not connect within a minute");
    }
}

static void *watch_thread(void *ctx)
{
    struct watch *w = ctx;
    struct pollfd *fds = mem_alloc_array((size_t)w->size + 2, sizeof *fds);
    int *rank_of = mem_alloc_array((size_t)w->size + 2, sizeof *rank_of);
    double last = 0;
    while (fds && rank_of && !atomic_load(&w->quit)) {
        int n = 0;
        fds[n] = (struct pollfd){ w->wake, POLLIN, 0 }, rank_of[n++] = -1;
        if (w->listener >= 0)
            fds[n] = (struct pollfd){ w->listener, POLLIN, 0 }, rank_of[n++] = -2;
        for (int i = 0; i < w->size; i++)
            if (w->peer[i].fd >= 0)
                fds[n] = (struct pollfd){ w->peer[i].fd, POLLIN, 0 }, rank_of[n++] = i;
        (void)!poll(fds, (nfds_t)n, 200);
        const double now = clock_wall();
        for (int i = 0; last && now - last > 3 * BEAT_S && i < w->size; i++)
            w->peer[i].heard = w->peer[i].heard ? now : 0;      /* this process stood still itself */
        for (int i = 0; i < n; i++) {
            if (fds[i].revents && rank_of[i] == -2)
                let_in(w);
            else if (fds[i].revents && rank_of[i] >= 0)
                hear(w, rank_of[i]);
        }
        if (now - last >= BEAT_S) {
            beat(w, now);
            last = now;
        }
        pthread_mutex_lock(&w->lock);
        const bool late = atomic_load(&w->over) && now - w->over_since > (atomic_load(&w->heard) ? GRACE_HEARD_S : GRACE_S);
        pthread_mutex_unlock(&w->lock);
        if (late)
            _exit(1);
    }
    mem_free(fds);
    mem_free(rank_of);
    return NULL;
}

/* ---- begin and end ---- */

static int listen_at(struct watch *w, struct watch_place *place, struct err *err)
{
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY) };
    socklen_t n = sizeof any;
    w->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (w->listener < 0 || bind(w->listener, (struct sockaddr *)&any, sizeof any) || listen(w->listener, w->size) || getsockname(w->listener, (struct sockaddr *)&any, &n))
        return ERR_ERRNO(err, "rank 0 cannot listen for the others");
    if (getrandom(&place->token, sizeof place->token, 0) != sizeof place->token)
        return ERR_ERRNO(err, "no random number");
    w->token = place->token;
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all))
        return ERR_ERRNO(err, "this machine's addresses cannot be listed");
    for (const struct ifaddrs *i = all; i && place->n < WATCH_ADDRESSES; i = i->ifa_next)
        if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && i->ifa_flags & IFF_UP) {
            memcpy(&place->address[place->n], i->ifa_addr, sizeof any);
            place->address[place->n++].sin_port = any.sin_port;
        }
    freeifaddrs(all);
    return 0;
}

static int connect_to(const struct sockaddr_in *address)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int failure = 0;
    socklen_t n = sizeof failure;
    struct pollfd p = { fd, POLLOUT, 0 };
    if ((connect(fd, (const struct sockaddr *)address, sizeof *address) && errno != EINPROGRESS) || poll(&p, 1, CONNECT_MS) != 1 ||
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &n) || failure || fcntl(fd, F_SETFL, 0)) {
        close(fd);
        return -1;
    }
    set_options(fd);
    return fd;
}

static int join(struct watch *w, const struct watch_place *place, struct err *err)
{
    char tried[300] = "";
    const struct hello h = { place->token, w->rank };
    for (int i = 0; i < place->n && i < WATCH_ADDRESSES; i++) {
        struct peer p = { .fd = connect_to(&place->address[i]) };
        char answer, text[INET_ADDRSTRLEN] = "";
        send_bytes(&p, &h, sizeof h);
        if (p.fd >= 0 && receive(p.fd, &answer, 1)) {
            p.heard = clock_wall();
            w->peer[0] = p;
            return 0;
        }
        if (p.fd >= 0)
            close(p.fd);
        inet_ntop(AF_INET, &place->address[i].sin_addr, text, sizeof text);
        const size_t at = strlen(tried);
        snprintf(tried + at, sizeof tried - at, " %s", text);
    }
    return ERR(err, IO, "%s cannot be reached from %s at any of its addresses:%s", w->names[0], w->names[w->rank], tried);
}

static int start(struct watch *w, struct err *err)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);        /* signals are the main thread's */
    const int rc = pthread_create(&w->thread, NULL, watch_thread, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    w->running = rc == 0;
    return rc ? ERR(err, IO, "no thread to watch the other processes: %s", strerror(rc)) : 0;
}

int watch_new(struct watch **out, int rank, int size, const char (*names)[WATCH_NAME], struct watch_place *place, struct err *err)
{
    assert(size > 1);
    struct watch *w = mem_alloc_zero(sizeof *w);
    if (!w || !(w->peer = mem_alloc_array((size_t)size, sizeof *w->peer))) {
        mem_free(w);
        return ERR(err, NOMEM, "no memory to watch %d processes", size);
    }
    w->rank = rank, w->size = size, w->names = names, w->listener = -1, w->begin = clock_wall();
    pthread_mutex_init(&w->lock, NULL);
    for (int i = 0; i < size; i++)
        w->peer[i].fd = -1;
    int rc = (w->wake = eventfd(0, EFD_CLOEXEC)) < 0 ? ERR_ERRNO(err, "no event to wake a thread") : 0;
    if (!rc)
        rc = rank ? join(w, place, err) : listen_at(w, place, err);
    if (!rc)
        rc = start(w, err);
    if (rc)
        watch_free(w);
    else
        *out = w;
    return rc;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    if (w->running) {
        atomic_store(&w->quit, true);
        (void)!write(w->wake, &(uint64_t){ 1 }, sizeof(uint64_t));
        pthread_join(w->thread, NULL);
    }
    for (int i = 0; i < w->size; i++)
        if (w->peer[i].fd >= 0) {
            send_bytes(&w->peer[i], "b", 1);
            close(w->peer[i].fd);
        }
    if (w->listener >= 0)
        close(w->listener);
    if (w->wake >= 0)
        close(w->wake);
    pthread_mutex_destroy(&w->lock);
    mem_free(w->peer);
    mem_free(w);
}

bool watch_over(struct watch *w, char text[WATCH_TEXT])
{
    if (!w || !atomic_load(&w->over))
        return false;
    atomic_store(&w->heard, true);
    pthread_mutex_lock(&w->lock);
    memcpy(text, w->text, WATCH_TEXT);
    pthread_mutex_unlock(&w->lock);
    return true;
}

bool watch_fail(struct watch *w, const char *text)
{
    if (w->rank == 0) {
        end_run(w, text, false);
        return false;
    }
    pthread_mutex_lock(&w->lock);
    send_text(&w->peer[0], 'e', text);
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < 250 && !atomic_load(&w->over); i++)      /* until rank 0 has told it to all, this one too */
        nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
    return atomic_load(&w->told);
}
