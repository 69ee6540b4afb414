#include "serve/server_parts.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "serve/notify.h"
#include "serve/recording.h"
#include "serve/served_device.h"
#include "serve/tls.h"
#include "serve/visit.h"
#include "store/recorder.h"

static void nap(long milliseconds) { nanosleep(&(struct timespec){ milliseconds / 1000, milliseconds % 1000 * 1000000 }, NULL); }

void server_wake(void *ctx)
{
    struct server *s = ctx;
    struct http *h = s->http;
    if (h)
        http_wake(h);
}

static bool is_address(const char *address)
{
    unsigned char a[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, address, a) == 1 || inet_pton(AF_INET6, address, a) == 1;
}

static int write_port(const struct server *s, struct err *err)
{
    char text[16];
    const int n = snprintf(text, sizeof text, "%d\n", http_port(s->http));
    return s->o.port_file ? file_write_all(s->o.port_file, text, (size_t)n, err) : 0;
}

/* A balancer is told first, and may still send what it has begun to; then nothing more is taken on, until nothing is under way or the
 * time is over.  Connections are taken to the end, to be told so. */
static void drain(struct server *s)
{
    double until = clock_wall() + (*s->o.stop || s->stranded ? s->o.drain_delay_s : 0);
    atomic_store(&s->leaves, true);
    notify_manager("STOPPING=1\nSTATUS=finishing what is under way");
    while (clock_wall() < until)
        nap(20);
    until = clock_wall() + s->o.drain_s;
    http_leave(s->http);
    atomic_store(&s->drains, true);
    struct served_count n = served_models_count(&s->models);
    log_info("ending: %d texts under way, %d waiting; at most %.0f s", n.n_running, n.n_waiting, s->o.drain_s);
    /* First those that are being handled: what they submit is counted by then. */
    while ((atomic_load(&s->n_handled) || (n = served_models_count(&s->models), n.n_running || n.n_waiting)) && clock_wall() < until)
        nap(20);
    http_refuse(s->http);
    turns_halt(s->reading);
    turns_halt(s->swapping);
    releases_halt(s->releases);
    workshop_halt(s->workshop);
    planner_halt(s->planner);
    served_models_halt(&s->models);
    recorder_stop(s->recorder);
    http_wake(s->http);
}

static void reload_tls(struct server *s)
{
    struct err err;
    struct tls *t;
    if (tls_load(&t, s->o.tls_key, s->o.tls_cert, &err) < 0) {
        log_warn("%s; the certificate from before stays", err.msg);
        return;
    }
    tls_replace(s->tls, t);
    log_info("%s: new connections get this certificate", s->o.tls_cert);
}

static void reload(struct server *s)
{
    struct err err;
    *s->o.reload = 0;
    if (s->audit)
        audit_reopen(s->audit);
    if (s->tls)
        reload_tls(s);
    if (!s->o.keys)
        log_info("no keys to read again: there is no file of them");
    else if (clients_reload(s->clients, &err) < 0)
        log_warn("%s; the keys and limits from before stay", err.msg);
    else
        log_info("%s: %d keys", s->o.keys, clients_count(s->clients));
}

static int start_http(struct server *s, struct err *err)
{
    const struct http_opts h = { .tls = s->tls, .n_user = sizeof(struct visit), .address = s->o.address, .port = s->o.port, .body_max = s->o.body_max, .bodies_max = SERVER_BODIES * s->o.body_max, .n_connection = s->o.n_connection, .head_s = s->o.head_s, .request_s = s->o.request_s, .idle_s = s->o.idle_s, .answer_s = s->o.answer_s, .handle = routes_handle, .admit = routes_admit, .tell = routes_tell, .over = routes_over, .released = routes_released, .ctx = s };
    struct http *http;
    TRY(http_start(&http, &h, err));
    s->http = http;
    return 0;
}

/* Are steps made, where there is something to do? */
static bool goes_on(struct server *s, uint64_t *n_step)
{
    const struct served_count n = served_models_count(&s->models);
    const bool goes = n.n_step != *n_step || !n.n_with_steps || served_models_state(&s->models) == SERVED_MOVES;
    *n_step = n.n_step;
    return goes;
}

static void run(struct server *s, int rc)
{
    const double every = notify_watchdog_s() / 2;
    double told = clock_wall();
    uint64_t n_step = 0;
    while (!rc && !*s->o.stop && !s->stranded) {
        if (*s->o.reload)
            reload(s);
        nap(200);                                /* or until a signal comes */
        s->stranded = served_models_state(&s->models) == SERVED_STRANDED;
        if (every > 0 && clock_wall() - told > every && goes_on(s, &n_step)) {
            notify_manager("WATCHDOG=1");
            told = clock_wall();
        }
    }
}

static void tell_models(const struct server *s)
{
    struct served_list l;
    served_models_hold(&s->models, false, &l);
    for (int i = 0; i < l.n; i++) {
        const struct served_model *m = l.model[i];
        char pages[40] = "", bytes[32];
        if (m->engine)
            snprintf(pages, sizeof pages, ", %d pages of 64 tokens", engine_n_page(m->engine));
        log_info("%s: %d positions%s, %s", m->number ? m->version : m->name, served_model_ctx(m), pages, fmt_bytes(bytes, (double)m->bytes));
        if (m->device)
            served_device_tell(m);
    }
    served_list_drop(&l);
}

static int serve(struct server *s, struct err *err)
{
    TRY(start_http(s, err));
    const bool v6 = strchr(s->o.address, ':') != NULL;
    tell_models(s);
    log_info("http%s://%s%s%s:%d", s->o.tls_key ? "s" : "", v6 ? "[" : "", s->o.address, v6 ? "]" : "", http_port(s->http));
    const int rc = write_port(s, err);
    if (!rc)
        notify_manager("READY=1\nSTATUS=%s%s", arms_name(s->models.name[0]), s->models.n > 1 ? " and others" : "");
    run(s, rc);
    drain(s);
    return rc || !s->stranded ? rc : ERR(err, IO, "a model has lost its device, and there is no room for it here: the server has ended");
}

/* What was charged today counts on. */
static void charge(void *ctx, const char *key, int64_t requests, int64_t tokens) { clients_used(ctx, key, visit_now(), requests, tokens); }

static int begin_audit(struct server *s, struct err *err)
{
    TRY(audit_open(&s->audit, s->o.audit, err));
    return clients_open(s->clients) ? 0 : audit_day(s->o.audit, visit_now(), charge, s->clients, err);
}

static int begin_recording(struct server *s, struct err *err)
{
    const struct recorder_opts o = { .where = s->o.record, .server = s->o.name, .describe = recording_describe, .texts = s->o.record_text, .retain_s = s->o.retain_s };
    TRY(recorder_open(&s->recorder, &o, err));
    s->o.model.recorder = s->recorder;
    return 0;
}

/* Pieces of files are no larger than other requests may be. */
static int begin_workshop(struct server *s, struct err *err)
{
    struct workshop_opts w = *s->o.workshop;
    w.piece = s->o.body_max < WORKSHOP_PIECE ? s->o.body_max : WORKSHOP_PIECE;
    w.wake = server_wake, w.ctx = s;
    return workshop_open(&s->workshop, &w, err);
}

static double planned_bytes(const struct served_models *m)
{
    struct served_list l;
    double sum = 0;
    served_models_hold(m, true, &l);
    for (int i = 0; i < l.n; i++)
        sum += (double)l.model[i]->bytes;
    served_list_drop(&l);
    mem_private_sample();                    /* nothing was given back yet */
    return sum;
}

/* Of a name that is served: of the version that answers now. */
static bool path_of_model(void *ctx, const char *name, char *path, size_t n)
{
    const struct server *s = ctx;
    int which;
    struct arms *a = served_models_find(&s->models, name, &which);
    struct served_model *m = a ? arms_stable(a) : NULL;
    char *whole = m ? realpath(m->path, NULL) : NULL;
    const bool found = whole && strlen(whole) < n;
    if (found)
        snprintf(path, n, "%s", whole);
    if (m)
        served_model_drop(m);
    free(whole);
    return found;
}

/* A server serves without plans, too. */
static void begin_plans(struct server *s)
{
    struct err err;
    /* A database of elsewhere has a password in its address, which no list of processes should show. */
    char *recorded = s->o.record && !strstr(s->o.record, "://") ? realpath(s->o.record, NULL) : NULL;
    const struct planner_opts o = { .run = s->o.plans, .served = path_of_model, .served_ctx = s, .recorded = recorded, .wake = server_wake, .ctx = s };
    if (planner_open(&s->planner, &o, &err) < 0)
        log_warn("no plans are made here (/lathe/plan): %s", err.msg);
    free(recorded);
}

int server_run(const struct server_opts *o, struct err *err)
{
    struct server s = { .o = *o, .begun = clock_wall() };
    if (s.o.key && !*s.o.key)
        s.o.key = NULL;
    if (!is_address(o->address))
        return ERR(err, USAGE, "--host is '%s', expected an address of IPv4 or IPv6", o->address);
    TRY(origins_open(&s.o.origins, o->address, s.o.key || s.o.keys, err));
    TRY(origins_check(&s.o.origins, err));
    if (!s.o.tls_cert != !s.o.tls_key)
        return ERR(err, USAGE, "--tls-cert and --tls-key belong together, and one of them is missing");
    if (!o->audit && (o->audit_text || o->audit_strict))
        return ERR(err, USAGE, "%s without --audit: there is no log", o->audit_strict ? "--audit-strict" : "--audit-text");
    if (o->workshop && !o->keys)
        return ERR(err, USAGE, "--workshop without --keys: only a key with 'admin: true' may use it (lathe help key)");
    if (!o->record && o->record_text)
        return ERR(err, USAGE, "--record-text without --record: nothing is recorded");
    TRY(page_init(&s.page, err));
    if (o->tls_key)
        TRY(tls_load(&s.tls, o->tls_key, o->tls_cert, err));
    int rc = clients_new(&s.clients, s.o.key, s.o.keys, err);
    rc = rc || !o->audit ? rc : begin_audit(&s, err);
    rc = rc || !o->record ? rc : begin_recording(&s, err);
    s.o.model.after_step = server_wake, s.o.model.ctx_of_step = &s;
    rc = rc ? rc : served_models_open(&s.models, &s.o.model, o->place, o->n_model, o->memory, o->swap, err);
    rc = rc ? rc : turns_new(&s.reading, o->model.n_queue, NULL, server_wake, &s, err);
    rc = rc ? rc : turns_new(&s.swapping, o->model.n_queue, NULL, server_wake, &s, err);
    rc = rc || !o->registry ? rc : releases_open(&s.releases, o->registry, o->record, o->name, o->more, server_wake, &s, err);
    rc = rc || !o->workshop ? rc : begin_workshop(&s, err);
    if (!rc && o->plans)
        begin_plans(&s);
    if (!rc)
        rc = serve(&s, err);
    if (o->planned_bytes)
        *o->planned_bytes = planned_bytes(&s.models);
    http_stop(s.http, 5);                    /* what was cancelled is told first */
    turns_free(s.reading);
    turns_free(s.swapping);
    releases_close(s.releases);
    workshop_close(s.workshop);
    planner_close(s.planner);
    served_models_close(&s.models);
    recorder_free(s.recorder);
    audit_close(s.audit);
    clients_free(s.clients);
    tls_free(s.tls);
    return rc;
}
