/* server_parts.h - what the files of server.h share.  Internal to them.
 *
 * server.c begins and ends; routes.c answers requests while it runs. */
#ifndef SERVE_SERVER_PARTS_H
#define SERVE_SERVER_PARTS_H
#include <stdatomic.h>
#include "serve/audit.h"
#include "serve/clients.h"
#include "serve/metrics.h"
#include "serve/page.h"
#include "serve/planner.h"
#include "serve/releases.h"
#include "serve/server.h"
#include "serve/turns.h"
#include "serve/workshop.h"

#define SERVER_BODIES 8          /* of the largest size at once, with the memory that their values take once they are read */

struct server {
    struct server_opts o;
    struct served_models models;
    struct http *_Atomic http;           /* requests may be answered before it is known here */
    struct turns *reading;               /* of requests that may take long to read */
    struct turns *swapping;              /* of those that wait until a version has taken the place of another */
    struct tls *tls;                     /* NULL: without */
    struct clients *clients;
    struct audit *audit;                 /* or NULL */
    struct recorder *recorder;           /* or NULL */
    struct releases *releases;           /* or NULL */
    struct workshop *workshop;           /* or NULL */
    struct planner *planner;             /* or NULL */
    atomic_bool leaves, drains;          /* /ready says no; nothing more is taken on */
    atomic_int n_handled;                /* requests that may not have looked at drains, or have not yet submitted what they were let in for */
    bool stranded;                       /* a model has lost its device, and its answers with it */
    double begun;
    struct http_counts counts;
    struct page page;
};

void server_wake(void *ctx);             /* what was given to replies can go out; any thread; ctx: a struct server */

/* ---- routes.c: the functions of struct http_opts (http.h); ctx: a struct server ---- */

void routes_handle(void *ctx, struct http_request *q);
int routes_admit(void *ctx, struct http_request *q, struct buf *why);
void routes_tell(void *ctx, struct http_request *q, int status, const char *message, struct buf *why);
void routes_over(void *ctx, const struct http_request *q, int status);
void routes_released(void *ctx, struct http_request *q, int status);

#endif
