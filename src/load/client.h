/* client.h - many streaming requests at a time to one server that speaks OpenAI's API, and when each of their tokens came.
 *
 * In an open loop a request is sent when its time has come, whether or not those before it are answered, and its latencies are
 * counted from that time: a client that waits for a slow server would hide what users feel (coordinated omission).  In a closed
 * loop each user sends the next request when the last one has been answered, after a while where they think (users.h).
 *
 * One thread and one epoll; a connection for each request under way, used again afterwards.  A token costs it one recv(). */
#ifndef LOAD_CLIENT_H
#define LOAD_CLIENT_H
#include <signal.h>
#include "load/work.h"

struct load_opts {
    const char *host, *port;             /* a name or an address, a number */
    const char *path;                    /* of the requests */
    const char *key;                     /* sent as bearer; NULL: none */
    const struct work *work;
    int first, n, turns;                 /* requests (conversations, with turns > 1) first .. first + n - 1 of work */
    const double *at;                    /* [n] open loop: seconds from the start, ascending; NULL: closed loop */
    int n_user;                          /* closed loop: so many users; open loop: at most so many under way, the others wait, which counts; 0: any */
    int n_together;                      /* closed loop: so many begin at one moment, when all of those before have ended; 0: each by itself */
    double ramp, think; uint64_t seed;   /* closed loop, each by itself: seconds in which users begin, and between an answer and the next request on average (users.h); with turns think is 0 */
    double enough_s; int n_least;        /* closed loop: none begins after one has begun that late, and n_least have; out->n is of those.  0: all n */
    double timeout_s;                    /* of a request, from when it is sent */
    const volatile sig_atomic_t *stop;
    void (*progress)(void *ctx, int n_done, int n_failed, int n_open, double n_token);      /* four times a second; may be NULL */
    double (*clock)(void *ctx);          /* seconds, instead of this machine's clock, which arrivals are still waited for by; NULL */
    void *ctx;                           /* of progress and clock */
};

enum load_end {
    LOAD_NONE,                           /* not sent: the run was stopped, or the conversation had failed */
    LOAD_OK,
    LOAD_CONNECT,                        /* no connection */
    LOAD_CLOSED,                         /* the connection, or the stream, ended too soon */
    LOAD_STATUS,                         /* another status than 200 */
    LOAD_FORMAT,                         /* no response, no events, no JSON */
    LOAD_ERROR,                          /* an error was told in the stream */
    LOAD_EMPTY,                          /* the answer had no text */
    LOAD_TIMEOUT,
    LOAD_STOPPED                         /* under way when the run was stopped */
};
#define LOAD_N_END (LOAD_STOPPED + 1)
const char *load_end_name(enum load_end end);

struct load_reply {
    enum load_end end;
    int status;                          /* of HTTP; 0: none came */
    double from, sent, first, last;      /* seconds from the start: due, sent, first and last text, and ... */
    double over;                         /* ... its end */
    int n_prompt, n_kept, n_token;       /* by the server's usage; n_prompt and n_kept -1: it told none, and n_token is n_event */
    int n_event;                         /* that had text */
    float *gap;                          /* [n_event - 1] seconds between them */
    char *why;                           /* of what is not OK: what the server or the system said; may be NULL */
};
struct load_run {
    struct load_reply *reply; int n;     /* turn t of the i-th request: [i * turns + t] */
    double seconds, cpu_s;               /* from the start to the last end; of this process */
    double start_unix;                   /* when that start was */
};
/* Every request has its outcome in `out`; an error is what kept the run from being made at all.  Where only answers pace requests (n_user), it
 * ends when 100 in a row found no connection: the server is gone. */
int load_run(const struct load_opts *o, struct load_run *out, struct err *err);
void load_run_release(struct load_run *r);

/* "http://HOST[:PORT][/PATH]"; a final "/" or "/v1" is dropped.  ERR_USAGE. */
struct load_url { char host[256], port[8], path[256]; };
int load_url_parse(struct load_url *out, const char *text, struct err *err);
bool load_host_is_here(const char *host);        /* an address of this machine */
#endif
