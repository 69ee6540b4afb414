/* client.c - a stream per request under way goes round CONNECTING -> SENDING -> READING -> IDLE.  Sockets are edge-triggered and registered
 * once: what is read is read until less came than there was room for, so that a token costs one system call and a share of one. */
#include "load/client.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/pool.h"
#include "load/delta.h"
#include "load/response.h"
#include "load/sse.h"
#include "load/users.h"

#define EVENTS 256
#define LOOK_S 0.25              /* between looks at timeouts, and progress */
#define WHY_MAX 4096             /* bytes of a refusal that are kept */
#define READ 65536
#define EVENTS_MAX (1 << 22)    /* of an answer */
#define TEXT_MAX ((size_t)16 << 20)
#define REFUSED_MAX 100          /* connections that fail one after the other, where nothing else paces requests: the server is gone */

enum state { IDLE, CONNECTING, SENDING, READING };
struct stream {
    int fd;
    enum state state;
    bool used_before;                    /* the connection has answered before: it may have been closed meanwhile */
    bool left;                           /* the server has ended its side, though what it sent may not be read yet */
    int i, turn, user;                   /* request, its turn, and who asks, of a closed loop */
    struct load_reply *reply;            /* NULL: none */
    bool converses;                      /* the answer's text is kept */
    bool finished;                       /* [DONE] came */
    struct buf out; size_t n_out;        /* the request, and what was sent of it */
    struct buf text;                     /* of a refusal, or of the answer where there are turns */
    struct response response;
    struct sse sse;
    double now;                          /* when the bytes came that are being read */
    int n_gap;                           /* that reply->gap has room for */
    struct buf said;                     /* of the conversation */
    struct stream *next;                 /* idle, or all that are under way */
    struct stream **self;
};

struct client {
    struct load_opts o;
    struct addrinfo *address;
    int epoll, timer;
    double start;
    struct stream *open, *idle;
    struct load_run *run;
    int i_next, n_done, n_failed, n_open;        /* n_done: turns that have ended */
    int n_refused;                               /* connections that failed since one did not */
    double n_token, begun;                       /* begun: when the last request did */
    struct users users;                          /* closed loop, each by itself */
    double wake;                                 /* what the timer is set to, seconds from the start; < 0: nothing */
    struct buf body;
    char *read;
};

static const char *const end_names[LOAD_N_END] = {
    "not sent", "ok", "no connection", "closed too soon", "HTTP status", "not understood", "error in the stream", "no text", "too late", "stopped",
};
const char *load_end_name(enum load_end end) { return end_names[end]; }

static bool has_users(const struct client *c) { return !c->o.at && !c->o.n_together; }
static double clock_of(const struct client *c) { return c->o.clock ? c->o.clock(c->o.ctx) : clock_wall(); }
static double now_of(const struct client *c) { return clock_of(c) - c->start; }

/* ---- streams ---- */

static void list_add(struct stream **list, struct stream *s)
{
    s->next = *list, s->self = list;
    if (*list)
        (*list)->self = &s->next;
    *list = s;
}

static void list_remove(struct stream *s)
{
    *s->self = s->next;
    if (s->next)
        s->next->self = s->self;
}

static void close_fd(struct stream *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1, s->used_before = s->left = false;
}

static void stream_free(struct stream *s)
{
    close_fd(s);
    list_remove(s);
    buf_release(&s->out);
    buf_release(&s->text);
    buf_release(&s->said);
    response_release(&s->response);
    sse_release(&s->sse);
    mem_free(s);
}

static struct stream *stream_get(struct client *c)
{
    struct stream *s = c->idle;
    if (s) {
        list_remove(s);
    } else {
        if (!(s = mem_alloc_zero(sizeof *s)))
            return NULL;
        s->fd = -1;
        buf_init(&s->out);
        buf_init(&s->text);
        buf_init(&s->said);
        response_init(&s->response);
        sse_init(&s->sse);
    }
    list_add(&c->open, s);
    c->n_open++;
    return s;
}

static void stream_rest(struct client *c, struct stream *s)
{
    s->reply = NULL, s->state = IDLE;
    list_remove(s);
    list_add(&c->idle, s);
    c->n_open--;
}

/* ---- outcomes ---- */

/* The text of a refusal, on one line and bounded; {"error": {"message": ..}} is its message. */
static char *why_of(const char *text, size_t n)
{
    struct delta d;
    char *why = mem_alloc(201);
    if (!why)
        return NULL;
    if (!delta_read(&d, text, n, NULL) && d.error)
        text = d.error, n = d.n_error;
    snprintf(why, 201, "%.*s", (int)(n < 200 ? n : 200), text);
    err_tidy(why);
    return why;
}

static void begin_turn(struct client *c, struct stream *s, double from);

/* Takes why. */
static void end_turn(struct client *c, struct stream *s, enum load_end end, char *why)
{
    struct load_reply *r = s->reply;
    r->end = end, r->over = now_of(c), r->why = why, r->status = s->response.status;
    c->n_done++, c->n_failed += end != LOAD_OK, c->n_refused = end == LOAD_CONNECT ? c->n_refused + 1 : 0;
    if (end != LOAD_OK || !s->response.keeps || s->left || s->n_out < s->out.len)
        close_fd(s);
    s->used_before = s->fd >= 0;
    if (s->turn + 1 < c->o.turns && end == LOAD_OK) {
        s->turn++;
        begin_turn(c, s, r->over);
        return;
    }
    c->n_done += c->o.turns - 1 - s->turn;
    stream_rest(c, s);
    if (has_users(c))
        users_answered(&c->users, s->user, r->over);
}

static void end_with(struct client *c, struct stream *s, enum load_end end, const char *why) { end_turn(c, s, end, mem_strdup(why)); }

/* The whole response is there. */
static void end_response(struct client *c, struct stream *s)
{
    struct load_reply *r = s->reply;
    if (s->response.status != 200)
        end_turn(c, s, LOAD_STATUS, why_of(s->text.data, s->text.len));
    else if (!s->response.events)
        end_with(c, s, LOAD_FORMAT, "the response is no stream of events");
    else if (!s->finished)
        end_with(c, s, LOAD_CLOSED, "the stream ended without [DONE]");
    else if (!r->n_event)
        end_with(c, s, LOAD_EMPTY, r->n_token ? "there were tokens, but no text" : "there were no tokens");
    else if (c->o.turns > 1 && work_answer(&s->said, s->text.data, s->text.len, NULL) < 0)
        end_with(c, s, LOAD_FORMAT, "no memory for the conversation");
    else
        end_turn(c, s, LOAD_OK, NULL);
}

/* ---- what comes ---- */

static int add_gap(struct stream *s, double seconds, struct err *err)
{
    struct load_reply *r = s->reply;
    if (r->n_event > s->n_gap) {
        const int more = s->n_gap ? 2 * s->n_gap : 64;
        float *gap = mem_realloc_array(r->gap, (size_t)more, sizeof *gap);
        if (!gap)
            return ERR(err, NOMEM, "no memory for the times of %d tokens", more);
        r->gap = gap, s->n_gap = more;
    }
    r->gap[r->n_event - 1] = (float)seconds;
    return 0;
}

static int on_event(void *ctx, const char *data, size_t n, struct err *err)
{
    struct stream *s = ctx;
    struct load_reply *r = s->reply;
    struct delta d;
    TRY(delta_read(&d, data, n, err));
    if (d.error)
        return ERR(err, STOPPED, "%.*s", (int)(d.n_error < 180 ? d.n_error : 180), d.error);
    s->finished = s->finished || d.done;
    if (d.said) {
        if (r->n_event)
            TRY(add_gap(s, s->now - r->last, err));
        else
            r->first = s->now;
        r->last = s->now, r->n_event++;
    }
    if (d.usage)
        r->n_token = (int)d.n_token, r->n_prompt = (int)d.n_prompt, r->n_kept = (int)d.n_kept;
    else if (d.said && r->n_prompt < 0)
        r->n_token++;
    if (r->n_event > EVENTS_MAX || s->text.len > TEXT_MAX)
        return ERR(err, FORMAT, "the answer does not end");
    return d.text && s->converses ? buf_add(&s->text, d.text, d.n_text, err) : 0;
}

static int on_body(void *ctx, const char *p, size_t n, struct err *err)
{
    struct stream *s = ctx;
    if (s->response.status == 200 && s->response.events)
        return sse_feed(&s->sse, p, n, on_event, s, err);
    const size_t room = WHY_MAX - (s->text.len < WHY_MAX ? s->text.len : WHY_MAX);
    return buf_add(&s->text, p, n < room ? n : room, err);
}

static void closed(struct client *c, struct stream *s, const char *why);

/* Reads what there is. */
static void read_some(struct client *c, struct stream *s)
{
    struct err err;
    for (;;) {
        const ssize_t n = recv(s->fd, c->read, READ, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0 || !s->reply) {               /* without being asked: the server closes it, or is confused */
            closed(c, s, n < 0 ? strerror(errno) : NULL);
            return;
        }
        s->now = now_of(c);
        const int before = s->reply->n_token;
        const int rc = response_feed(&s->response, c->read, (size_t)n, on_body, s, &err);
        c->n_token += s->reply->n_token - before;
        if (rc < 0) {
            end_with(c, s, rc == ERR_STOPPED ? LOAD_ERROR : LOAD_FORMAT, err.msg);
            return;
        }
        if (s->response.done) {
            end_response(c, s);
            return;
        }
        if (n < READ && !s->left)            /* that the server leaves is told once: it may have been now */
            return;
    }
}

/* ---- what goes out ---- */

static void send_some(struct client *c, struct stream *s)
{
    while (s->n_out < s->out.len) {
        const ssize_t n = send(s->fd, s->out.data + s->n_out, s->out.len - s->n_out, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n < 0) {
            s->left = true;
            read_some(c, s);                     /* a refusal may have come before all was sent */
            if (s->reply && s->state == SENDING)
                closed(c, s, strerror(errno));
            return;
        }
        s->n_out += (size_t)n;
    }
    s->state = READING;
}

static void connect_stream(struct client *c, struct stream *s)
{
    const int one = 1;
    const struct addrinfo *a = c->address;
    struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s };
    s->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    s->state = CONNECTING;
    if (s->fd < 0 || epoll_ctl(c->epoll, EPOLL_CTL_ADD, s->fd, &e) || (connect(s->fd, a->ai_addr, a->ai_addrlen) && errno != EINPROGRESS)) {
        end_with(c, s, LOAD_CONNECT, strerror(errno));
        return;
    }
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void connected(struct client *c, struct stream *s)
{
    int e = 0;
    socklen_t n = sizeof e;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &e, &n) || e) {
        end_with(c, s, LOAD_CONNECT, strerror(e));
        return;
    }
    s->state = SENDING;
    send_some(c, s);
}

/* Sends the request, over the stream's connection if it has one. */
static void send_request(struct client *c, struct stream *s)
{
    response_clear(&s->response);
    sse_clear(&s->sse);
    buf_clear(&s->text);
    s->n_out = 0, s->finished = false;
    if (s->fd < 0) {
        connect_stream(c, s);
    } else {
        s->state = SENDING;
        send_some(c, s);
    }
}

/* The server has closed the connection.  One that had been idle may have been closed just when it was used: once more, then. */
static void closed(struct client *c, struct stream *s, const char *why)
{
    struct err err;
    const bool again = s->used_before && !s->response.status && s->reply;
    if (s->reply && !again && response_eof(&s->response, &err) == 0) {
        close_fd(s);
        end_response(c, s);
        return;
    }
    close_fd(s);
    if (again)
        send_request(c, s);
    else if (s->reply)
        end_with(c, s, LOAD_CLOSED, why ? why : err.msg);
}

static int make_request(struct client *c, struct stream *s, struct err *err)
{
    buf_clear(&c->body);
    buf_clear(&s->out);
    TRY(work_body(c->o.work, c->o.first + s->i, s->turn, c->o.turns > 1 ? &s->said : NULL, &c->body, err));
    const bool v6 = strchr(c->o.host, ':') != NULL;
    TRY(buf_printf(&s->out, err, "POST %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n", c->o.path, v6 ? "[" : "", c->o.host, v6 ? "]" : "", c->o.port));
    if (c->o.key)
        TRY(buf_printf(&s->out, err, "Authorization: Bearer %s\r\n", c->o.key));
    TRY(buf_printf(&s->out, err, "Content-Length: %zu\r\n\r\n", c->body.len));
    return buf_add(&s->out, c->body.data, c->body.len, err);
}

static void begin_turn(struct client *c, struct stream *s, double from)
{
    struct err err;
    s->reply = &c->run->reply[(ptrdiff_t)s->i * c->o.turns + s->turn];
    s->n_gap = 0;
    *s->reply = (struct load_reply){ .from = from, .n_prompt = -1, .n_kept = -1 };
    const int rc = make_request(c, s, &err);
    s->reply->sent = now_of(c);
    if (rc < 0)
        end_with(c, s, LOAD_FORMAT, err.msg);
    else
        send_request(c, s);
}

/* ---- when ---- */

static void start_one(struct client *c, double from, int user)
{
    struct stream *s = stream_get(c);
    const int i = c->i_next++;
    if (!s) {
        c->run->reply[(ptrdiff_t)i * c->o.turns] = (struct load_reply){ .end = LOAD_CONNECT, .from = from, .sent = from, .over = from, .why = mem_strdup("no memory for a stream") };
        c->n_done += c->o.turns, c->n_failed++;
        if (has_users(c))
            users_answered(&c->users, user, from);
        return;
    }
    s->i = i, s->turn = 0, s->user = user, s->converses = c->o.turns > 1;
    buf_clear(&s->said);
    c->begun = now_of(c);
    begin_turn(c, s, from);
}

static bool is_gone(const struct client *c) { return c->n_refused >= REFUSED_MAX && (!c->o.at || c->o.n_user); }

static void wake_at(struct client *c, double at)
{
    const double t = c->start + at;
    const struct itimerspec when = { .it_value = { (time_t)t, (long)((t - floor(t)) * 1e9) + 1 } };
    if (at == c->wake)
        return;
    timerfd_settime(c->timer, TFD_TIMER_ABSTIME, &when, NULL);
    c->wake = at;
}

/* It has lasted long enough, of a run that has to last: the requests so far are all. */
static bool is_enough(struct client *c)
{
    if (!(c->o.enough_s > 0 && c->i_next >= c->o.n_least && c->begun >= c->o.enough_s))
        return false;
    c->o.n = c->i_next, c->run->n = c->i_next * c->o.turns;
    return true;
}

static bool is_over(struct client *c) { return c->i_next >= c->o.n || is_gone(c) || is_enough(c); }

/* A closed loop: whoever has the answer, and has thought. */
static void start_users(struct client *c)
{
    while (users_next(&c->users) <= now_of(c) && !is_over(c)) {
        const int user = users_ask(&c->users);
        start_one(c, now_of(c), user);
    }
    if (isfinite(users_next(&c->users)) && c->i_next < c->o.n)
        wake_at(c, users_next(&c->users));
}

/* ... or so many together, when all of those before have ended. */
static void start_together(struct client *c)
{
    while (!c->n_open && !is_over(c)) {
        const double from = now_of(c);
        for (int i = c->o.n_together; i > 0 && c->i_next < c->o.n; i--)
            start_one(c, from, 0);
    }
}

/* Starts what is due, and sets the timer for what comes next. */
static void start_due(struct client *c)
{
    if (has_users(c)) {
        start_users(c);
        return;
    }
    if (!c->o.at) {
        start_together(c);
        return;
    }
    while (c->i_next < c->o.n && c->o.at[c->i_next] <= now_of(c) && !is_gone(c) && (!c->o.n_user || c->n_open < c->o.n_user))
        start_one(c, c->o.at[c->i_next], 0);
    if (c->i_next < c->o.n)
        wake_at(c, c->o.at[c->i_next]);
}

static void look(struct client *c)
{
    const double now = now_of(c);
    for (struct stream *s = c->open, *next; s; s = next) {
        next = s->next;
        if (now - s->reply->sent > c->o.timeout_s)
            end_turn(c, s, LOAD_TIMEOUT, mem_printf("no end after %.0f s", c->o.timeout_s));
    }
    if (c->o.progress)
        c->o.progress(c->o.ctx, c->n_done, c->n_failed, c->n_open, c->n_token);
}

static void on_ready(struct client *c, struct stream *s, uint32_t events)
{
    if (s->fd < 0)                               /* closed by what came before it */
        return;
    s->left = s->left || events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    if (s->state == CONNECTING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        connected(c, s);
    else if (s->state == SENDING && events & EPOLLOUT)
        send_some(c, s);
    if (s->fd >= 0 && s->state != CONNECTING && events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        read_some(c, s);
}

static int loop(struct client *c, struct err *err)
{
    double looked = 0;
    while (c->n_done < c->run->n) {
        struct epoll_event got[EVENTS];
        if (c->o.stop && *c->o.stop)
            return 0;
        if (is_gone(c) && !c->n_open)
            return 0;
        start_due(c);
        const int n = epoll_wait(c->epoll, got, EVENTS, (int)(LOOK_S * 1000));
        if (n < 0 && errno != EINTR)
            return ERR(err, IO, "epoll: %s", strerror(errno));
        for (int i = 0; i < n; i++) {
            uint64_t x;
            if (got[i].data.ptr)
                on_ready(c, got[i].data.ptr, got[i].events);
            else if (read(c->timer, &x, sizeof x) < 0 && errno != EAGAIN)
                return ERR(err, IO, "timer: %s", strerror(errno));
        }
        if (now_of(c) - looked > LOOK_S) {
            looked = now_of(c);
            look(c);
        }
    }
    return 0;
}

/* ---- begin and end ---- */

/* A file descriptor for each request: as many as this process may have at all. */
static void raise_limit(void)
{
    struct rlimit l;
    if (!getrlimit(RLIMIT_NOFILE, &l) && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

static int set_up(struct client *c, struct err *err)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    const int rc = getaddrinfo(c->o.host, c->o.port, &hints, &c->address);
    if (rc)
        return ERR(err, IO, "%s: %s", c->o.host, gai_strerror(rc));
    raise_limit();
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    c->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event e = { .events = EPOLLIN };
    if (c->epoll < 0 || c->timer < 0 || epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->timer, &e))
        return ERR(err, IO, "epoll: %s", strerror(errno));
    c->run->n = c->o.n * c->o.turns;
    if (has_users(c))
        TRY(users_init(&c->users, &(struct users_opts){ c->o.n_user, c->o.ramp, c->o.think, 0, c->o.seed }, err));
    c->read = mem_alloc(READ);
    c->run->reply = mem_alloc_array((size_t)c->run->n, sizeof *c->run->reply);
    return c->read && c->run->reply ? 0 : ERR(err, NOMEM, "no memory for %d requests", c->run->n);
}

static void finish(struct client *c)
{
    while (c->open)
        end_with(c, c->open, LOAD_STOPPED, "the run was stopped");
    while (c->idle)
        stream_free(c->idle);
    if (c->address)
        freeaddrinfo(c->address);
    if (c->epoll >= 0)
        close(c->epoll);
    if (c->timer >= 0)
        close(c->timer);
    users_release(&c->users);
    buf_release(&c->body);
    mem_free(c->read);
}

static double unix_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int load_run(const struct load_opts *o, struct load_run *out, struct err *err)
{
    struct client c = { .o = *o, .epoll = -1, .timer = -1, .wake = -1, .run = out };
    *out = (struct load_run){ 0 };
    buf_init(&c.body);
    const double cpu = clock_cpu();
    int rc = set_up(&c, err);
    c.start = clock_of(&c), out->start_unix = unix_now();
    rc = rc ? rc : loop(&c, err);
    out->seconds = now_of(&c), out->cpu_s = clock_cpu() - cpu;
    finish(&c);
    if (rc)
        load_run_release(out);
    return rc;
}

void load_run_release(struct load_run *r)
{
    for (int i = 0; i < r->n && r->reply; i++) {
        mem_free(r->reply[i].gap);
        mem_free(r->reply[i].why);
    }
    mem_free(r->reply);
    *r = (struct load_run){ 0 };
}

int load_url_parse(struct load_url *out, const char *text, struct err *err)
{
    if (strncmp(text, "http://", 7))
        return ERR(err, USAGE, "'%.100s', expected http://HOST[:PORT] (TLS is not measured)", text);
    const char *host = text + 7, *end = *host == '[' ? strchr(host, ']') : host + strcspn(host, ":/");
    if (!end || end == host)
        return ERR(err, USAGE, "'%.100s' names no host, expected http://HOST[:PORT]", text);
    const int v6 = *host == '[';
    int n = snprintf(out->host, sizeof out->host, "%.*s", (int)(end - host) - v6, host + v6);
    const char *port = end + v6, *path = port + strcspn(port, "/");
    char *rest = NULL;
    const long p = *port == ':' ? strtol(port + 1, &rest, 10) : 80;
    if (n >= (int)sizeof out->host || (*port == ':' ? rest != path || p < 1 || p > 65535 : port != path))
        return ERR(err, USAGE, "'%.100s', expected http://HOST[:PORT] with a port of 1 to 65535", text);
    snprintf(out->port, sizeof out->port, "%ld", p);
    size_t len = strlen(path);
    len -= len && path[len - 1] == '/';
    len -= len >= 3 && !strncmp(path + len - 3, "/v1", 3) ? 3 : 0;
    n = snprintf(out->path, sizeof out->path, "%.*s", (int)len, path);
    return n < (int)sizeof out->path ? 0 : ERR(err, USAGE, "'%.100s': the path is too long", text);
}

/* Only an address of its own can a machine bind. */
bool load_host_is_here(const char *host)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *a = NULL;
    if (getaddrinfo(host, "0", &hints, &a))
        return false;
    const int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool here = fd >= 0 && bind(fd, a->ai_addr, a->ai_addrlen) == 0;
    if (fd >= 0)
        close(fd);
    freeaddrinfo(a);
    return here;
}
