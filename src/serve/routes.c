/* routes.c - which path is answered by what, and who may ask. */
#include "serve/server_parts.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "serve/anthropic.h"
#include "serve/anthropic_reply.h"
#include "serve/catalog.h"
#include "serve/classify.h"
#include "serve/embeddings.h"
#include "serve/exchange.h"
#include "serve/feedback.h"
#include "serve/json_out.h"
#include "serve/ollama.h"
#include "serve/ollama_reply.h"
#include "serve/openai.h"
#include "serve/openai_reply.h"
#include "serve/sticky.h"
#include "serve/tokens.h"
#include "serve/visit.h"

#define AT_ONCE ((size_t)8 << 10)        /* bytes of a request that the thread of connections reads itself */

/* ---- replies ---- */

/* The words that a client expects, also where nothing of what it asks for is there. */
static const struct dialect *dialect_of(const struct http_request *q)
{
    const char *path = http_path(q);
    if (!strncmp(path, "/api/", strlen("/api/")))
        return &ollama_chat_dialect;
    return http_header(q, "anthropic-version") || !strncmp(path, "/v1/messages", strlen("/v1/messages")) ? &anthropic_dialect : &openai_chat_dialect;
}

/* Takes v. */
static void reply_json(struct http_request *q, json_t *v) { exchange_reply_json(q, dialect_of(q), v); }

static void no(struct http_request *q, int status, const char *type, const char *code, const char *message)
{
    struct refusal e = { 0 };
    refuse_as(&e, status, type, code, NULL, "%s", message);
    exchange_refuse(q, dialect_of(q), &e);
}

static void tell_wait(struct http_request *q, double seconds)
{
    char text[32];
    snprintf(text, sizeof text, "%.0f", ceil(seconds));
    http_add_header(q, "Retry-After", text);
}

/* ---- what is asked with GET ---- */

static void page(struct server *s, struct http_request *q) { page_reply(&s->page, q); }

static void health(struct server *s, struct http_request *q)
{
    json_t *releases = json_array(), *one;
    for (int i = 0; i < s->models.n; i++)
        if ((one = arms_json(s->models.name[i])))
            json_array_append_new(releases, one);
    if (json_array_size(releases)) {
        reply_json(q, json_pack("{s:s, s:o}", "status", "ok", "releases", releases));
        return;
    }
    json_decref(releases);
    reply_json(q, json_pack("{s:s}", "status", "ok"));
}

static void ready(struct server *s, struct http_request *q)
{
    if (atomic_load(&s->leaves))
        no(q, 503, "unavailable_error", "draining", "the server is about to end");
    else if (served_models_state(&s->models) != SERVED_WELL)
        no(q, 503, "unavailable_error", "device_lost", "a model has lost its device and is being loaded on the CPU");
    else
        reply_json(q, json_pack("{s:s}", "status", "ok"));
}

/* Those that the client may ask. */
static void models(struct server *s, struct http_request *q) { reply_json(q, catalog_list(&s->models, q)); }

static void one_model(struct server *s, struct http_request *q)
{
    json_t *m = NULL;
    if (!catalog_find(&m, &s->models, q, http_path(q) + strlen("/v1/models/")))
        no(q, 404, "not_found_error", "model_not_found", "no such model is served here");
    else
        reply_json(q, m);
}

static void metrics(struct server *s, struct http_request *q);

static void stats(struct server *s, struct http_request *q)
{
    struct served_list l;
    struct buf b;
    catalog_models(&s->models, q, true, &l);
    buf_init(&b);
    if (metrics_live_json(&b, l.model, l.n, s->o.model.build, s->begun, NULL) < 0)
        no(q, 503, "server_error", NULL, "no memory for the reply");
    else
        http_reply(q, 200, "application/json", b.data, b.len);
    buf_release(&b);
    served_list_drop(&l);
}

/* ---- what is asked with POST ---- */

static void generate(struct http_request *q, struct served_model *m, json_t *request, void (*read)(struct wish *w, json_t *request, struct served_model *m, struct refusal *e))
{
    struct refusal e = { 0 };
    struct wish w;
    read(&w, request, m, &e);
    if (e.status)
        exchange_refuse(q, dialect_of(q), &e);
    else
        exchange_start(q, m, &w);
}

static void chat(struct http_request *q, struct served_model *m, json_t *request) { generate(q, m, request, openai_chat); }
static void completion(struct http_request *q, struct served_model *m, json_t *request) { generate(q, m, request, openai_completion); }
static void messages(struct http_request *q, struct served_model *m, json_t *request) { generate(q, m, request, anthropic_messages); }

static void api_pull(struct server *s, struct http_request *q)
{
    (void)s;
    ollama_pull(q);
}

static void feedback(struct server *s, struct http_request *q) { feedback_take(q, s->recorder, dialect_of(q), server_wake, s); }

static void releases(struct server *s, struct http_request *q) { releases_answer(s->releases, q, dialect_of(q)); }

static void workshop(struct server *s, struct http_request *q) { workshop_answer(s->workshop, q, dialect_of(q)); }

static void plans(struct server *s, struct http_request *q) { planner_answer(s->planner, q, dialect_of(q)); }

static void report(struct server *s, struct http_request *q) { releases_report(s->releases, q, dialect_of(q)); }

static void api_list(struct server *s, struct http_request *q, void (*list)(struct http_request *q, struct served_model *const *models, int n))
{
    struct served_list l;
    served_models_hold(&s->models, false, &l);
    list(q, l.model, l.n);
    served_list_drop(&l);
}

static void api_tags(struct server *s, struct http_request *q) { api_list(s, q, ollama_tags); }
static void api_ps(struct server *s, struct http_request *q) { api_list(s, q, ollama_ps); }
static void api_version(struct server *s, struct http_request *q) { reply_json(q, json_pack("{s:s}", "version", s->o.model.build + strlen("lathe "))); }

/* ---- who, what ---- */

/* post: of the model that is asked, which takes the JSON of the request; get: of none. */
static const struct route {
    const char *method, *path;
    bool open, prefix;                   /* open: for everybody */
    void (*get)(struct server *s, struct http_request *q);
    void (*post)(struct http_request *q, struct served_model *m, json_t *request);
} routes[] = {
    { "GET", "/", true, false, page, NULL },
    { "GET", "/health", true, false, health, NULL },
    { "GET", "/ready", true, false, ready, NULL },
    { "GET", "/v1/models", false, false, models, NULL },
    { "GET", "/v1/models/", false, true, one_model, NULL },
    { "GET", "/metrics", false, false, metrics, NULL },
    { "GET", "/lathe/stats", false, false, stats, NULL },
    { "GET", "/lathe/registry", false, false, releases, NULL },
    { "GET", "/lathe/registry/", false, true, releases, NULL },
    { "GET", "/lathe/report", true, false, report, NULL },
    { "POST", "/lathe/registry/", false, true, releases, NULL },
    { "GET", "/lathe/workshop", false, true, workshop, NULL },
    { "POST", "/lathe/workshop", false, true, workshop, NULL },
    { "GET", "/lathe/plan", false, false, plans, NULL },
    { "POST", "/lathe/plan", false, false, plans, NULL },
    { "POST", "/v1/chat/completions", false, false, NULL, chat },
    { "POST", "/v1/completions", false, false, NULL, completion },
    { "POST", "/v1/embeddings", false, false, NULL, openai_embeddings },
    { "POST", "/v1/messages", false, false, NULL, messages },
    { "POST", "/v1/messages/count_tokens", false, false, NULL, anthropic_count },
    { "POST", "/v1/feedback", false, false, feedback, NULL },
    { "POST", "/classify", false, false, NULL, classify_start },
    { "POST", "/api/chat", false, false, NULL, ollama_chat },
    { "POST", "/api/generate", false, false, NULL, ollama_generate },
    { "POST", "/api/embed", false, false, NULL, ollama_embed },
    { "POST", "/api/embeddings", false, false, NULL, ollama_embeddings },
    { "POST", "/api/show", false, false, NULL, ollama_show },
    { "POST", "/api/pull", false, false, api_pull, NULL },
    { "GET", "/api/tags", false, false, api_tags, NULL },
    { "GET", "/api/ps", false, false, api_ps, NULL },
    { "GET", "/api/version", false, false, api_version, NULL },
    { "POST", "/tokenize", false, false, NULL, tokens_of_text },
    { "POST", "/detokenize", false, false, NULL, text_of_tokens },
};

#define N_ROUTE ((int)(sizeof routes / sizeof *routes))
static_assert(N_ROUTE <= HTTP_ROUTES, "each route has its count");

static void metrics(struct server *s, struct http_request *q)
{
    struct served_list l;
    struct http_route names[N_ROUTE];
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < N_ROUTE; i++)
        names[i] = (struct http_route){ routes[i].method, routes[i].path };
    catalog_models(&s->models, q, true, &l);
    metrics_write(&b, l.model, l.n);
    served_list_drop(&l);
    arms_metrics(&b, s->models.name, s->models.n);
    metrics_write_http(&b, &s->counts, names, N_ROUTE);
    metrics_write_process(&b, s->begun);
    metrics_head(&b, "gauge", "lathe:requests_reading", "Requests that are being read by the thread for those that take long, or wait for it.");
    buf_printf(&b, NULL, "lathe:requests_reading %d\n", turns_count(s->reading));
    if (s->audit)
        metrics_write_audit(&b, s->audit);
    if (s->recorder)
        metrics_write_recorder(&b, s->recorder);
    http_reply(q, 200, "text/plain; version=0.0.4; charset=utf-8", b.data, b.len);
    buf_release(&b);
}

void routes_over(void *ctx, const struct http_request *q, int status)
{
    struct server *s = ctx;
    metrics_http(&s->counts, http_mark(q), status);
}

static void preflight(struct server *s, struct http_request *q)
{
    (void)s;
    http_reply(q, 204, NULL, "", 0);
}

static bool is_route(const struct route *r, const char *path) { return r->prefix ? !strncmp(path, r->path, strlen(r->path)) : !strcmp(path, r->path); }

/* A model is asked for what it makes. */
static bool can(const struct served_model *m, const struct route *r, struct refusal *e)
{
    static const char *const makes[] = { [SERVED_TEXTS] = "makes texts, and vectors of them", [SERVED_VECTORS] = "makes vectors of texts: POST /v1/embeddings", [SERVED_CLASSES] = "tells classes: POST /classify" };
    const bool vectors = r->post == openai_embeddings || r->post == ollama_embed || r->post == ollama_embeddings;
    if (r->post == ollama_show || (r->post == classify_start ? m->kind == SERVED_CLASSES : vectors ? m->kind != SERVED_CLASSES : m->kind == SERVED_TEXTS))
        return true;
    refuse_as(e, 400, NULL, "unsupported_endpoint", NULL, "%s does not answer %s, it %s", m->name, r->path, makes[m->kind]);
    return false;
}

/* What answers the request; NULL: why it is not answered is in e. */
static const struct route *route_of(const struct server *s, struct http_request *q, struct refusal *e)
{
    static const struct route asks_first = { .method = "OPTIONS", .open = true, .get = preflight };
    const char *path = http_path(q), *method = !strcmp(http_method(q), "HEAD") ? "GET" : http_method(q), *allowed = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        const struct route *r = &routes[i];
        if (!is_route(r, path))
            continue;
        allowed = r->method;
        if (!strcmp(method, "OPTIONS") && origins_preflight(&s->o.origins, q, r->method))
            return &asks_first;
        if (strcmp(method, r->method))
            continue;
        http_set_mark(q, (int)i);
        if (!r->open) {
            origins_guard(&s->o.origins, q, e);
            visit_begin(q, s->clients, e);
        }
        if (!r->open && atomic_load(&s->drains)) {
            http_add_header(q, "Retry-After", "1");
            refuse_as(e, 503, "unavailable_error", "draining", NULL, "the server is about to end");
        }
        return e->status ? NULL : r;
    }
    if (allowed) {
        http_add_header(q, "Allow", strcmp(allowed, "GET") ? allowed : "GET, HEAD");
        refuse_as(e, 405, "invalid_request_error", NULL, NULL, "this path is asked with %s", allowed);
    }
    else
        refuse_as(e, 404, "not_found_error", NULL, NULL, "there is nothing under this path");
    return NULL;
}

/* Has it a line in the audit log?  All but those to paths that are open to everybody. */
static void note(struct server *s, struct http_request *q)
{
    const int mark = http_mark(q);
    if (s->audit && (mark < 0 || !routes[mark].open))
        visit_note(q, s->o.audit_text);
}

static void write_refusal(struct http_request *q, const struct refusal *e, struct buf *why)
{
    const struct dialect *d = dialect_of(q);
    if (d->id_header)
        http_add_header(q, d->id_header, http_trace(q)->id);
    if (d->refusal(why, e, http_trace(q)->id, NULL) < 0)
        buf_clear(why);
}

int routes_admit(void *ctx, struct http_request *q, struct buf *why)
{
    struct refusal e = { 0 };
    origins_tell(&((struct server *)ctx)->o.origins, q);
    const struct route *r = route_of(ctx, q, &e);
    note(ctx, q);
    if (!r)
        write_refusal(q, &e, why);
    return e.status;
}

void routes_tell(void *ctx, struct http_request *q, int status, const char *message, struct buf *why)
{
    (void)ctx;
    struct refusal e = { 0 };
    refuse_as(&e, status, NULL, status == 413 ? "request_too_large" : NULL, NULL, "%s", message);
    write_refusal(q, &e, why);
}

/* A text of many values takes many times its size. */
static json_t *parse(const struct server *s, struct http_request *q, const struct buf *body, struct refusal *e)
{
    const size_t size = tree_json_bytes(body->data, body->len), most = SERVER_BODIES * s->o.body_max;
    if (size > most)
        refuse_as(e, 413, NULL, "request_too_large", NULL, "the request has so many values that they take %zu bytes, expected at most %zu", size, most);
    else if (size > body->len && !http_hold(q, size - body->len))
        refuse_as(e, 503, NULL, NULL, NULL, "too many bytes of requests are here at once");
    return e->status ? NULL : in_parse(body->data, body->len, e);
}

/* The version that answers, held by the caller, too: who replies may be gone before it has returned.  NULL and nothing in e: one takes the place of another. */
static struct served_model *find_model(struct server *s, struct http_request *q, const json_t *request, int *which, struct arms **swapped, double *wait_s, struct refusal *e)
{
    uint64_t salt;
    bool is_candidate;
    struct arms *a = *swapped = served_models_asked(&s->models, request, which, e);
    struct served_model *m = a ? arms_take(a, arms_splits(a, &salt) ? sticky_place_of(salt, q, request) : 0, &is_candidate, wait_s) : NULL;
    if (m) {
        visit_hold(q, m, is_candidate);
        ((struct visit *)http_user(q))->shadow = arms_shadow(a);
    }
    return m;
}

static void refuse_swap(struct http_request *q, const struct arms *a, double wait_s, struct refusal *e)
{
    refuse_as(e, 503, "unavailable_error", "model_swapping", NULL, "%s is being replaced by another version: about %.0f s", arms_name(a), wait_s);
    tell_wait(q, wait_s);
}

/* Until a request waits no longer for a version that takes the place of another. */
struct pause {
    struct turn turn;
    struct server *s;
    struct http_request *q;
    const struct route *r;
    json_t *request;
    struct arms *a;
    double until;
    atomic_bool gone;
};

#define PAUSE_PIECE_S 0.05               /* that the first of those who wait, wait at once */

static void answer(struct server *s, struct http_request *q, const struct route *r, json_t *request, bool waits, struct refusal *e);
static void pause_gone(void *ctx) { atomic_store(&((struct pause *)ctx)->gone, true); }

static bool pause_piece(void *ctx, bool stop)
{
    struct pause *p = ctx;
    struct refusal e = { 0 };
    const bool ends = stop || atomic_load(&p->gone);
    if (!ends && clock_wall() < p->until && !arms_wait(p->a, PAUSE_PIECE_S))
        return true;
    if (ends)
        refuse_as(&e, 503, NULL, NULL, NULL, "%s", stop ? WISH_ENDS : WISH_LATE);
    struct server *s = p->s;
    answer(s, p->q, p->r, p->request, false, &e);
    mem_free(p);
    atomic_fetch_sub(&s->n_handled, 1);
    return false;
}

/* False: it cannot wait. */
static bool wait_for_swap(struct server *s, struct http_request *q, const struct route *r, json_t *request, struct arms *a)
{
    struct err err;
    struct pause *p = s->o.swap_wait_s > 0 ? mem_alloc_zero(sizeof *p) : NULL;
    if (!p)
        return false;
    *p = (struct pause){ .turn = { .piece = pause_piece, .ctx = p, .tenant = visit_tenant(q) }, .s = s, .q = q, .r = r, .request = request, .a = a, .until = clock_wall() + s->o.swap_wait_s };
    http_on_gone(q, pause_gone, p);
    atomic_fetch_add(&s->n_handled, 1);
    if (turns_add(s->swapping, &p->turn, &err) == 0)
        return true;
    atomic_fetch_sub(&s->n_handled, 1);
    http_on_gone(q, NULL, NULL);
    mem_free(p);
    return false;
}

/* Takes the request.  waits: it may, while a version takes the place of another. */
static void answer(struct server *s, struct http_request *q, const struct route *r, json_t *request, bool waits, struct refusal *e)
{
    int which;
    double wait_s;
    struct arms *a = NULL;
    struct served_model *m = e->status ? NULL : find_model(s, q, request, &which, &a, &wait_s, e);
    if (!m && a && !e->status) {
        if (waits && wait_for_swap(s, q, r, request, a))
            return;
        refuse_swap(q, a, wait_s, e);
    }
    if (m) {
        const struct served_as as = served_model_as(m, which);
        visit_note_model(q, &as);
        visit_model(q, as.name, e);
    }
    if (m && !e->status && can(m, r, e))
        r->post(q, m, request);
    else
        json_decref(request);
    if (e->status)
        exchange_refuse(q, dialect_of(q), e);
    if (m)
        served_model_drop(m);
}

/* Texts of megabytes, and what is made into a grammar, may take seconds until they are ids and tables.  A thread of its own does that,
 * one request after the other, while the thread of connections goes on.  A client that goes meanwhile is noticed. */
struct later {
    struct turn turn;
    struct server *s;
    struct http_request *q;
    const struct route *r;
    struct buf body;
    json_t *request;                     /* NULL: still to be read */
    atomic_bool gone;
};

static void later_gone(void *ctx) { atomic_store(&((struct later *)ctx)->gone, true); }

static bool later_answer(void *ctx, bool stop)
{
    struct later *l = ctx;
    struct server *s = l->s;
    struct refusal e = { 0 };
    if (stop || atomic_load(&l->gone))
        refuse_as(&e, 503, NULL, NULL, NULL, "%s", stop ? WISH_ENDS : WISH_LATE);
    visit_note_request(l->q, &l->body);
    if (!e.status && !l->request)
        l->request = parse(s, l->q, &l->body, &e);
    buf_release(&l->body);
    answer(s, l->q, l->r, l->request, true, &e);
    mem_free(l);
    atomic_fetch_sub(&s->n_handled, 1);
    return false;
}

/* Takes body and request. */
static void answer_later(struct server *s, struct http_request *q, const struct route *r, struct buf *body, json_t *request)
{
    struct refusal e = { 0 };
    struct err err;
    struct later *l = mem_alloc_zero(sizeof *l);
    if (l) {
        *l = (struct later){ .turn = { .piece = later_answer, .ctx = l, .tenant = visit_tenant(q) }, .s = s, .q = q, .r = r, .body = *body, .request = request };
        http_on_gone(q, later_gone, l);
        atomic_fetch_add(&s->n_handled, 1);
        if (turns_add(s->reading, &l->turn, &err) == 0)
            return;
        atomic_fetch_sub(&s->n_handled, 1);
        wish_not_taken(&e, &err);
    } else {
        wish_no_memory(&e);
    }
    visit_note_request(q, body);
    buf_release(body);
    answer(s, q, r, request, true, &e);
    mem_free(l);
}

/* Something that is made into a grammar first. */
static bool asks_for_grammar(const json_t *request)
{
    static const char *const fields[] = { "tools", "response_format", "structured_outputs", "grammar", "format", "output_config" };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (json_object_get(request, fields[i]))
            return true;
    return false;
}

static void post(struct server *s, struct http_request *q, const struct route *r)
{
    struct refusal e = { 0 };
    struct buf body = http_take_body(q);
    const char *coding = http_header(q, "Content-Encoding");
    visit_take_request(q, &e);
    if (coding && strcasecmp(coding, "identity")) {
        http_add_header(q, "Accept-Encoding", "identity");
        refuse_as(&e, 415, NULL, "unsupported_encoding", NULL, "Content-Encoding is '%.40s', expected none", coding);
    }
    const bool at_once = e.status || body.len <= AT_ONCE;
    json_t *request = at_once && !e.status ? parse(s, q, &body, &e) : NULL;
    if (!at_once || asks_for_grammar(request)) {
        answer_later(s, q, r, &body, request);
        return;
    }
    visit_note_request(q, &body);
    buf_release(&body);
    answer(s, q, r, request, true, &e);
}

void routes_released(void *ctx, struct http_request *q, int status)
{
    struct server *s = ctx;
    struct visit *v = http_user(q);
    struct buf b;
    buf_init(&b);
    struct served_model *only = v->noted && s->models.n == 1 ? arms_stable(s->models.name[0]) : NULL;
    if (v->noted && visit_line(&b, q, only, status, NULL) < 0)
        log_warn("audit log: no memory for the line of a request");
    else if (v->noted)
        audit_add(s->audit, b.data, b.len);
    visit_settle(q, 0);                      /* what nobody settled */
    if (only)
        served_model_drop(only);
    buf_release(&b);
    visit_release(v);
}

void routes_handle(void *ctx, struct http_request *q)
{
    struct server *s = ctx;
    struct refusal e = { 0 };
    atomic_fetch_add(&s->n_handled, 1);
    const struct route *r = route_of(s, q, &e);
    if (r && !r->open && s->audit && s->o.audit_strict && !audit_works(s->audit))
        refuse_as(&e, 503, "unavailable_error", "audit_unavailable", NULL, "the audit log cannot be written, and nothing is answered without it");
    if (r && r->post && !e.status) {
        post(s, q, r);
    } else {
        visit_note_request(q, http_body(q));
        if (e.status)
            exchange_refuse(q, dialect_of(q), &e);
        else
            r->get(s, q);
    }
    atomic_fetch_sub(&s->n_handled, 1);
}
