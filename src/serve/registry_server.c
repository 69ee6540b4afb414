#include "serve/registry_server.h"
#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"
#include "base/tree.h"
#include "serve/json_out.h"
#include "serve/mlflow_api.h"
#include "serve/oci.h"
#include "serve/oci_path.h"
#include "serve/turns.h"
#include "serve/visit.h"

enum { BODY_MAX = 1 << 20, MANIFEST_MAX = OCI_MANIFEST_MAX, N_CONNECTION = 100, N_WAITING = 200, DRAIN_S = 30 };

struct registry_server {
    struct registry_server_opts o;
    struct registry *g;                  /* of the thread of turns */
    struct clients *clients;
    struct oci *oci;
    struct turns *turns;
    struct http *_Atomic http;           /* requests may be answered before it is known here */
};

static void wake(void *ctx)
{
    struct http *h = ((struct registry_server *)ctx)->http;
    if (h)
        http_wake(h);
}

/* ---- replies ---- */

static int write_refusal(struct buf *b, const struct refusal *e)
{
    TRY(buf_printf(b, NULL, "{\"error_code\": \"%s\", \"message\": ", mlflow_code(e)));
    TRY(out_string(b, e->message, strlen(e->message), NULL));
    return buf_add_str(b, "}", NULL);
}

/* Takes o; NULL: e says why. */
static void reply(struct http_request *q, const struct refusal *e, json_t *o)
{
    struct buf b;
    buf_init(&b);
    if ((o ? out_json(&b, o, NULL) : write_refusal(&b, e)) < 0)
        http_reply(q, 503, NULL, "", 0);
    else
        http_reply(q, o ? 200 : e->status, "application/json", b.data, b.len);
    buf_release(&b);
    json_decref(o);
}

/* ---- a request, answered by the thread of turns ---- */

struct asked {
    struct turn turn;
    struct registry_server *m;
    struct http_request *q;
    const struct mlflow_route *route;
    struct buf body;
    json_t *query;                       /* of GET; else NULL */
};

static json_t *read_query(const struct http_request *q, struct refusal *e)
{
    json_t *o = json_object();
    int rc = o ? 0 : -1;
    for (int i = 0; mlflow_query_names[i] && !rc; i++) {
        const char *value = http_query(q, mlflow_query_names[i]);
        if (value && (rc = json_object_set_new(o, mlflow_query_names[i], json_string(value))))
            refuse(e, mlflow_query_names[i], "%s is no UTF-8", mlflow_query_names[i]);
    }
    if (rc)
        refuse_as(e, 503, NULL, NULL, NULL, "no memory for the request");
    return o;
}

static bool answer(void *ctx, bool stop)
{
    struct asked *k = ctx;
    const struct visit *v = http_user(k->q);
    struct mlflow_ask a = { .g = k->m->g, .o = &k->m->o, .actor = v->client ? v->rights.name : k->m->o.actor };
    if (stop)
        refuse_as(&a.e, 503, NULL, NULL, NULL, "the server is about to end");
    json_t *request = k->query;
    if (!request && !a.e.status && tree_json_bytes(k->body.data, k->body.len) > (size_t)BODY_MAX * 16)
        refuse_as(&a.e, 413, NULL, NULL, NULL, "the request has too many values");
    if (!request && !a.e.status)
        request = k->body.len ? in_parse(k->body.data, k->body.len, &a.e) : json_object();
    a.request = request;
    if (!request)
        refuse_as(&a.e, 503, NULL, NULL, NULL, "no memory for the request");
    json_t *o = a.e.status ? NULL : k->route->answer(&a);
    reply(k->q, &a.e, o);
    json_decref(request);
    buf_release(&k->body);
    mem_free(k);
    return false;
}

/* The server's own health, for whoever waits for it, is everybody's. */
static bool is_health(const struct http_request *q) { return !strcmp(http_path(q), "/health"); }

static const struct mlflow_route *route_of(struct registry_server *m, struct http_request *q, struct refusal *e)
{
    const char *allowed;
    origins_guard(&m->o.origins, q, e);
    visit_begin(q, m->clients, e);
    if (e->status)
        return NULL;
    const struct mlflow_route *r = mlflow_route_of(http_method(q), http_path(q), &allowed, e);
    if (allowed && !r)
        http_add_header(q, "Allow", allowed);
    return r;
}

/* Of a path of the OCI's: whose it is. */
static void begin_oci(struct registry_server *m, struct http_request *q, struct refusal *e)
{
    origins_guard(&m->o.origins, q, e);
    visit_begin_basic(q, m->clients, e);
}

static int pass_over(void *ctx, const char *data, size_t n, const char **message)
{
    (void)ctx, (void)data, (void)n, (void)message;
    return 0;
}

static int admit_oci(struct registry_server *m, struct http_request *q, struct buf *why)
{
    struct refusal e = { 0 };
    begin_oci(m, q, &e);
    if (e.status)
        http_take_pieces(q, pass_over, NULL);
    if (!e.status)
        oci_admit(m->oci, q, &e);
    if (e.status && oci_write_refusal(why, &e) < 0)
        buf_clear(why);
    return e.status;
}

static int admit(void *ctx, struct http_request *q, struct buf *why)
{
    struct refusal e = { 0 };
    if (oci_is_path(http_path(q)))
        return admit_oci(ctx, q, why);
    if (!is_health(q) && !route_of(ctx, q, &e) && write_refusal(why, &e) < 0)
        buf_clear(why);
    return e.status;
}

static void tell(void *ctx, struct http_request *q, int status, const char *message, struct buf *why)
{
    struct refusal e = { 0 };
    (void)ctx;
    refuse_as(&e, status, NULL, NULL, NULL, "%s", message);
    if ((oci_is_path(http_path(q)) ? oci_write_refusal(why, &e) : write_refusal(why, &e)) < 0)
        buf_clear(why);
}

/* Takes what came in to the thread of turns. */
static void ask(struct registry_server *m, struct http_request *q, const struct mlflow_route *r, struct refusal *e)
{
    struct err err;
    struct asked *k = mem_alloc_zero(sizeof *k);
    json_t *query = k && !strcmp(r->method, "GET") ? read_query(q, e) : NULL;
    if (!k)
        refuse_as(e, 503, NULL, NULL, NULL, "no memory for the request");
    if (!e->status) {
        *k = (struct asked){ .turn = { .piece = answer, .ctx = k, .tenant = visit_tenant(q) }, .m = m, .q = q, .route = r, .body = http_take_body(q), .query = query };
        if (turns_add(m->turns, &k->turn, &err) == 0)
            return;
        refuse_as(e, 503, NULL, NULL, NULL, "%s", err.msg);
        buf_release(&k->body);
    }
    json_decref(query);
    mem_free(k);
}

static void handle_oci(struct registry_server *m, struct http_request *q)
{
    struct refusal e = { 0 };
    begin_oci(m, q, &e);
    if (!e.status)
        visit_take_request(q, &e);
    if (e.status)
        oci_refuse(q, &e);
    else
        oci_handle(m->oci, q);
}

static void handle(void *ctx, struct http_request *q)
{
    struct registry_server *m = ctx;
    struct refusal e = { 0 };
    if (is_health(q)) {
        http_reply(q, 200, "text/plain", "OK", 2);
        return;
    }
    if (oci_is_path(http_path(q))) {
        handle_oci(m, q);
        return;
    }
    const struct mlflow_route *r = route_of(m, q, &e);
    if (r)
        visit_take_request(q, &e);
    if (r && !e.status)
        ask(m, q, r, &e);
    if (e.status)
        reply(q, &e, NULL);
}

static void over(void *ctx, const struct http_request *q, int status)
{
    (void)status;
    oci_over(((struct registry_server *)ctx)->oci, (struct http_request *)(uintptr_t)q);
}

static void released(void *ctx, struct http_request *q, int status)
{
    (void)ctx, (void)status;
    visit_settle(q, 0);
    visit_release(http_user(q));
}

/* ---- from begin to end ---- */

static int begin(struct registry_server *m, struct err *err)
{
    const struct registry_server_opts *o = &m->o;
    const struct http_opts h = { .n_user = sizeof(struct registry_visit), .address = o->address, .port = o->port, .body_max = MANIFEST_MAX, .bodies_max = (size_t)MANIFEST_MAX * 8, .n_connection = N_CONNECTION,
                                 .head_s = 10, .request_s = 60, .idle_s = 75, .handle = handle, .admit = admit, .tell = tell, .over = over, .released = released, .ctx = m };
    struct http *http;
    TRY(origins_check(&o->origins, err));
    TRY(registry_open(&m->g, o->registry, true, err));
    TRY(clients_new(&m->clients, o->key, o->keys, err));
    TRY(turns_new(&m->turns, N_WAITING, NULL, wake, m, err));
    TRY(oci_new(&m->oci, &m->o, m->g, m->turns, err));
    TRY(http_start(&http, &h, err));
    m->http = http;
    return 0;
}

int registry_server_start(struct registry_server **out, const struct registry_server_opts *o, struct err *err)
{
    const bool has_key = o->key && *o->key;
    *out = NULL;
    struct origins origins = o->origins;
    TRY(origins_open(&origins, o->address, has_key || o->keys, err));
    struct registry_server *m = mem_alloc_zero(sizeof *m);
    if (!m)
        return ERR(err, NOMEM, "no memory for the server");
    m->o = *o;
    m->o.origins = origins;
    m->o.key = has_key ? o->key : NULL;
    const int rc = begin(m, err);
    if (rc)
        registry_server_stop(m);
    else
        *out = m;
    return rc;
}

int registry_server_port(const struct registry_server *m) { return http_port(m->http); }

void registry_server_stop(struct registry_server *m)
{
    if (!m)
        return;
    if (m->http) {
        http_leave(m->http);
        http_refuse(m->http);
    }
    if (m->turns)
        turns_halt(m->turns);
    wake(m);
    http_stop(m->http, DRAIN_S);
    turns_free(m->turns);
    oci_free(m->oci);
    clients_free(m->clients);
    registry_close(m->g);
    mem_free(m);
}
