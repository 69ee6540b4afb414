/* server.h - the server: which path is answered by what, who may ask, and how it ends.
 *
 * Requests are read by the thread of connections (http.h), large ones and those with a grammar to be made by another, one after the other.
 *
 * Files are read again when *reload is set: one that is bad leaves the old state, and that is said.  After SIGTERM or SIGINT nothing more is taken on, /ready says so, and what is under way is finished.
 * The same where a model has lost its device and cannot be loaded here (served_device.h), which is ERR_IO in the end. */
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H
#include <signal.h>
#include "serve/http.h"
#include "serve/origin.h"
#include "serve/program.h"
#include "serve/served_models.h"
#include "serve/workshop.h"

struct releases_more;
struct server_opts {
    const char *address; int port;       /* 0: any that is free */
    const char *key;                     /* that clients must show as "Authorization: Bearer KEY"; NULL: none */
    const char *keys;                    /* a file of more keys (keys.h), or NULL */
    const char *audit;                   /* a log of requests (audit.h), or NULL */
    bool audit_text;                     /* with their texts, where the key allows that */
    bool audit_strict;                   /* while the log cannot be written requests are refused */
    const char *name;                    /* that it has in records and in the registry: which server */
    const char *record;                  /* where answers are recorded, as events_open() takes it; NULL: nowhere */
    const char *registry;                /* whose releases are shown and changed (releases.h), as registry_open() takes it; NULL: none */
    const struct workshop_opts *workshop;        /* NULL: there is none; its piece, wake and ctx are the server's (workshop.h) */
    const struct releases_more *more;    /* of them; or NULL */
    server_program_run *plans;           /* runs this program again for plans (planner.h); NULL: none are made */
    bool record_text; double retain_s;   /* with their texts, for so long */
    volatile sig_atomic_t *reload;       /* set by whoever wants files to be read again */
    const char *port_file;               /* the port is written there once it can be asked; NULL: nowhere */
    struct origins origins;              /* guarded is set by the server: where there is no key */
    const char *tls_cert, *tls_key;      /* PEM files, both or none; read again with those of keys */
    size_t body_max;
    int n_connection;
    double head_s, request_s, idle_s, answer_s;      /* http.h */
    double drain_delay_s;                /* between /ready saying no and taking nothing more on */
    double drain_s;                      /* what is under way has so long to end */
    const volatile sig_atomic_t *stop;
    const struct model_place *place; int n_model;
    size_t memory;                       /* bytes that all models may take; 0: what is free */
    bool swap;                           /* a version that does not fit beside the old one is loaded when that has gone (arms.h) */
    double swap_wait_s;                  /* that a request waits meanwhile; then 503 */
    struct served_model_opts model;      /* what they have in common */
    double *planned_bytes;               /* or NULL: what the models take that it ends with, as planned */
};
/* Until *stop.  ERR_USAGE where others than this machine could ask and there is no key. */
int server_run(const struct server_opts *o, struct err *err);
#endif
