#include "serve/server.h"
#include <arpa/inet.h>
#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "serve/anthropic.h"
#include "serve/anthropic_reply.h"
#include "serve/classify.h"
#include "serve/embeddings.h"
#include "serve/audit.h"
#include "serve/exchange.h"
#include "serve/ollama.h"
#include "serve/ollama_reply.h"
#include "serve/openai.h"
#include "serve/page.h"
#include "serve/json_out.h"
#include "serve/openai_reply.h"
#include "serve/notify.h"
#include "serve/tls.h"
#include "serve/visit.h"

#define BODIES 8                 /* of the largest size at once */

struct server {
    struct server_opts o;
    struct served_model *model;
    struct http *_Atomic http;           /* requests may be answered before it is known here */
    struct tls *tls;                     /* NULL: without */
    struct clients *clients;
    struct audit *audit;                 /* or NULL */
    atomic_bool leaves, drains;          /* /ready says no; nothing more is taken on */
    double begun;
    struct http_counts counts;
    struct page page;
};

/* ---- replies ---- */

/* The words that a client expects, also where nothing of what it asks for is there. */
static const struct dialect *dialect_of(const struct http_request *q)
{
    const char *path = http_path(q);
    if (!strncmp(path, "/api/", strlen("/api/")))
        return &ollama_chat_dialect;
    return http_header(q, "anthropic-version") || !strncmp(path, "/v1/messages", strlen("/v1/messages")) ? &anthropic_dialect : &openai_chat_dialect;
}

static void reply(struct http_request *q, struct buf *b)
{
    http_reply(q, 200, "application/json", b->data, b->len);
    buf_release(b);
}

/* Takes v. */
static void reply_json(struct http_request *q, json_t *v)
{
    struct buf b;
    buf_init(&b);
    if (v && out_json(&b, v, NULL) == 0 && buf_add_char(&b, '\n', NULL) == 0) {
        reply(q, &b);
    } else {
        const struct refusal e = { .status = 503, .type = "server_error", .message = "no memory for the reply" };
        buf_release(&b);
        exchange_refuse(q, dialect_of(q), &e);
    }
    json_decref(v);
}

static void no(struct http_request *q, int status, const char *type, const char *code, const char *message)
{
    struct refusal e = { 0 };
    refuse_as(&e, status, type, code, NULL, "%s", message);
    exchange_refuse(q, dialect_of(q), &e);
}

/* ---- what is asked with GET ---- */

static void page(struct server *s, struct http_request *q) { page_reply(&s->page, q); }

static void health(struct server *s, struct http_request *q)
{
    (void)s;
    reply_json(q, json_pack("{s:s}", "status", "ok"));
}

static void ready(struct server *s, struct http_request *q)
{
    if (atomic_load(&s->leaves))
        no(q, 503, "unavailable_error", "draining", "the server is about to end");
    else
        reply_json(q, json_pack("{s:s}", "status", "ok"));
}

/* which: as of served_model_find(). */
static json_t *model_json(const struct served_model *m, int which)
{
    static const char *const tasks[] = { [SERVED_TEXTS] = "generate", [SERVED_VECTORS] = "embed", [SERVED_CLASSES] = "classify" };
    const struct config *c = served_model_config(m);
    const struct served_as as = served_model_as(m, which);
    const bool images = config_vision(c);
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s?, s:I, s:s, s:s, s:s, s:s, s:{s:i, s:i, s:i, s:I}}", "id", as.name, "object", "model", "created", (json_int_t)m->since, "owned_by", "lathe", "root", as.name,
                     "parent", which ? m->name : NULL, "max_model_len", (json_int_t)served_model_ctx(m), "task", tasks[m->kind], "input", images ? "image" : "text", "digest", as.digest,
                     "system_fingerprint", as.fingerprint, "meta", "n_vocab", c->vocab_size, "n_ctx_train", (int)c->ctx, "n_embd", (int)c->d_model, "size",
                     (json_int_t)served_model_weight_bytes(m));
}

static void models(struct server *s, struct http_request *q)
{
    const bool anthropic = http_header(q, "anthropic-version") != NULL;
    const char *first = NULL, *last = NULL;
    json_t *all = json_array();
    for (int i = 0; i <= s->model->n_adapter; i++) {
        const char *name = served_model_as(s->model, i).name;
        if (!visit_may_use(q, name))
            continue;
        json_array_append_new(all, anthropic ? anthropic_model(s->model, i) : model_json(s->model, i));
        first = first ? first : name, last = name;
    }
    if (anthropic)
        reply_json(q, json_pack("{s:o, s:b, s:s?, s:s?}", "data", all, "has_more", 0, "first_id", first, "last_id", last));
    else
        reply_json(q, json_pack("{s:s, s:o}", "object", "list", "data", all));
}

static void one_model(struct server *s, struct http_request *q)
{
    const int which = served_model_find(s->model, http_path(q) + strlen("/v1/models/"));
    if (which < 0 || !visit_may_use(q, served_model_as(s->model, which).name))
        no(q, 404, "not_found_error", "model_not_found", "no such model is served here");
    else
        reply_json(q, http_header(q, "anthropic-version") ? anthropic_model(s->model, which) : model_json(s->model, which));
}

static void metrics(struct server *s, struct http_request *q);

static void stats(struct server *s, struct http_request *q)
{
    struct buf b;
    buf_init(&b);
    if (metrics_live_json(&b, &s->model, 1, s->o.model.build, s->begun, NULL) < 0)
        no(q, 503, "server_error", NULL, "no memory for the reply");
    else
        http_reply(q, 200, "application/json", b.data, b.len);
    buf_release(&b);
}

/* ---- what is asked with POST ---- */

/* A field that names another model than the one that answers. */
static void check_model(struct in *f, const struct server *s)
{
    const char *model = NULL;
    if (in_str(f, "model", &model, NULL) && served_model_find(s->model, model) < 0)
        refuse_as(f->e, 404, "not_found_error", "model_not_found", "model", "model '%.100s' is not served here, '%s' is", model, s->model->name);
}

#define TEXT_MAX ((size_t)4 << 20)           /* of /tokenize */

static json_t *request_of(struct http_request *q, struct refusal *e)
{
    const struct buf *b = http_body(q);
    return in_parse(b->data, b->len, e);
}

static void generate(struct server *s, struct http_request *q, void (*read)(struct wish *w, json_t *request, struct served_model *m, struct refusal *e))
{
    struct refusal e = { 0 };
    struct wish w;
    json_t *request = request_of(q, &e);
    if (request)
        read(&w, request, s->model, &e);
    if (e.status)
        exchange_refuse(q, dialect_of(q), &e);
    else
        exchange_start(q, s->model, &w);
}

static void chat(struct server *s, struct http_request *q) { generate(s, q, openai_chat); }
static void completion(struct server *s, struct http_request *q) { generate(s, q, openai_completion); }
static void messages(struct server *s, struct http_request *q) { generate(s, q, anthropic_messages); }

static void count_tokens(struct server *s, struct http_request *q)
{
    struct refusal e = { 0 };
    json_t *request = request_of(q, &e);
    anthropic_count(q, request, s->model, &e);
}

static void embeddings(struct server *s, struct http_request *q) { openai_embeddings(q, s->model); }
static void classify(struct server *s, struct http_request *q) { classify_start(q, s->model); }

static void api_chat(struct server *s, struct http_request *q) { ollama_chat(q, s->model); }
static void api_generate(struct server *s, struct http_request *q) { ollama_generate(q, s->model); }
static void api_embed(struct server *s, struct http_request *q) { ollama_embed(q, s->model); }
static void api_embeddings(struct server *s, struct http_request *q) { ollama_embeddings(q, s->model); }
static void api_show(struct server *s, struct http_request *q) { ollama_show(q, s->model, s->o.model.path); }
static void api_pull(struct server *s, struct http_request *q)
{
    (void)s;
    ollama_pull(q);
}

static void api_tags(struct server *s, struct http_request *q) { ollama_tags(q, s->model); }
static void api_ps(struct server *s, struct http_request *q) { ollama_ps(q, s->model); }
static void api_version(struct server *s, struct http_request *q) { reply_json(q, json_pack("{s:s}", "version", s->o.model.build + strlen("lathe "))); }

/* vLLM's {prompt, add_special_tokens}, llama-server's {content, add_special}. */
static void tokenize(struct server *s, struct http_request *q)
{
    struct refusal e = { 0 };
    struct in f;
    struct tok_ids ids = { 0 };
    struct err err;
    const char *text = NULL;
    size_t n = 0;
    bool add = true;
    json_t *request = request_of(q, &e);
    struct buf b;
    buf_init(&b);
    if (request) {
        in_begin(&f, request, &e, "%s", "");
        check_model(&f, s);
        if (!in_str(&f, "prompt", &text, &n)) {
            add = false;
            if (!in_str(&f, "content", &text, &n))
                refuse(&e, "prompt", "prompt is missing");
        }
        in_bool(&f, "add_special_tokens", &add);
        in_bool(&f, "add_special", &add);
        in_end(&f, NULL);
        if (n > TEXT_MAX)
            refuse_as(&e, 413, "invalid_request_error", "request_too_large", "prompt", "a text of %zu bytes, expected at most %zu", n, TEXT_MAX);
        if (!e.status && engine_encode(s->model->engine, text, n, add ? TOK_ADD : TOK_PLAIN, &ids, &err) < 0)
            refuse(&e, "prompt", "%s", err.msg);
    }
    int rc = e.status ? 0 : buf_add_str(&b, "{\"tokens\":[", NULL);
    for (size_t i = 0; i < ids.n && !e.status && !rc; i++)
        rc = buf_printf(&b, NULL, i ? ",%d" : "%d", ids.id[i]);
    rc = rc || e.status ? rc : buf_printf(&b, NULL, "],\"count\":%zu,\"max_model_len\":%d}\n", ids.n, engine_ctx(s->model->engine));
    if (rc)
        refuse_as(&e, 503, "server_error", NULL, NULL, "no memory for the reply");
    if (e.status)
        openai_refuse(q, &e), buf_release(&b);
    else
        reply(q, &b);
    tok_ids_release(&ids);
    json_decref(request);
}

static void detokenize(struct server *s, struct http_request *q)
{
    struct refusal e = { 0 };
    struct in f;
    struct err err;
    struct buf text, b;
    const json_t *tokens = NULL;
    json_t *request = request_of(q, &e);
    buf_init(&text), buf_init(&b);
    if (request) {
        in_begin(&f, request, &e, "%s", "");
        check_model(&f, s);
        if (!in_array(&f, "tokens", &tokens))
            refuse(&e, "tokens", "tokens is missing");
        in_end(&f, NULL);
    }
    const size_t n = json_array_size(tokens);
    int32_t *ids = mem_alloc_array(n + 1, sizeof *ids);
    if (!ids)
        refuse_as(&e, 503, "server_error", NULL, NULL, "no memory for %zu tokens", n);
    for (size_t i = 0; i < n && !e.status; i++) {
        const json_t *t = json_array_get(tokens, i);
        if (!json_is_integer(t) || json_integer_value(t) < 0 || json_integer_value(t) >= s->model->answers.V)
            refuse(&e, "tokens", "tokens[%zu] is no token, expected integers of 0 to %d", i, s->model->answers.V - 1);
        else
            ids[i] = (int32_t)json_integer_value(t);
    }
    if (!e.status && tok_decode(s->model->answers.tok, ids, n, &text, &err) < 0)
        refuse(&e, "tokens", "%s", err.msg);
    mem_free(ids);
    if (!e.status && (buf_add_str(&b, "{\"prompt\":", NULL) < 0 || out_string(&b, text.data, text.len, NULL) < 0 || buf_add_str(&b, ",\"content\":", NULL) < 0 ||
                      out_string(&b, text.data, text.len, NULL) < 0 || buf_add_str(&b, "}\n", NULL) < 0))
        refuse_as(&e, 503, "server_error", NULL, NULL, "no memory for the reply");
    if (e.status)
        openai_refuse(q, &e), buf_release(&b);
    else
        reply(q, &b);
    buf_release(&text);
    json_decref(request);
}

/* ---- who, what ---- */

static const struct route { const char *method, *path; bool open, prefix; void (*answer)(struct server *s, struct http_request *q); } routes[] = {
    { "GET", "/", true, false, page },
    { "GET", "/health", true, false, health },          { "GET", "/ready", true, false, ready },     { "GET", "/v1/models", false, false, models },
    { "GET", "/v1/models/", false, true, one_model },   { "GET", "/metrics", false, false, metrics },
    { "GET", "/lathe/stats", false, false, stats },
    { "POST", "/v1/chat/completions", false, false, chat }, { "POST", "/v1/completions", false, false, completion },
    { "POST", "/v1/embeddings", false, false, embeddings },
    { "POST", "/v1/messages", false, false, messages }, { "POST", "/v1/messages/count_tokens", false, false, count_tokens },
    { "POST", "/classify", false, false, classify },
    { "POST", "/api/chat", false, false, api_chat },    { "POST", "/api/generate", false, false, api_generate },
    { "POST", "/api/embed", false, false, api_embed },  { "POST", "/api/embeddings", false, false, api_embeddings },
    { "POST", "/api/show", false, false, api_show },    { "POST", "/api/pull", false, false, api_pull },
    { "GET", "/api/tags", false, false, api_tags },     { "GET", "/api/ps", false, false, api_ps }, { "GET", "/api/version", false, false, api_version },
    { "POST", "/tokenize", false, false, tokenize },    { "POST", "/detokenize", false, false, detokenize },
};

#define N_ROUTE ((int)(sizeof routes / sizeof *routes))
static_assert(N_ROUTE <= HTTP_ROUTES, "each route has its count");

static void metrics_audit(struct server *s, struct buf *b)
{
    if (!s->audit)
        return;
    const struct audit_counts n = audit_counts(s->audit);
    buf_printf(b, NULL, "# HELP lathe:audit_lines_total Lines written to the audit log.\n# TYPE lathe:audit_lines_total counter\nlathe:audit_lines_total %llu\n", (unsigned long long)n.n_written);
    buf_printf(b, NULL, "# HELP lathe:audit_lines_lost_total Lines that it could not take.\n# TYPE lathe:audit_lines_lost_total counter\nlathe:audit_lines_lost_total %llu\n", (unsigned long long)n.n_lost);
}

static void metrics(struct server *s, struct http_request *q)
{
    struct http_route names[N_ROUTE];
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < N_ROUTE; i++)
        names[i] = (struct http_route){ routes[i].method, routes[i].path };
    metrics_write(&b, &s->model, 1);
    metrics_write_http(&b, &s->counts, names, N_ROUTE);
    metrics_audit(s, &b);
    http_reply(q, 200, "text/plain; version=0.0.4; charset=utf-8", b.data, b.len);
    buf_release(&b);
}

static void over(void *ctx, const struct http_request *q, int status)
{
    struct server *s = ctx;
    metrics_http(&s->counts, http_mark(q), status);
}

/* Whose the request is, by its key. */
static void identify(const struct server *s, struct http_request *q, struct refusal *e)
{
    const char *h = http_header(q, "Authorization"), *secret = h && !strncasecmp(h, "Bearer ", 7) ? h + 7 : http_header(q, "x-api-key");
    bool expired = false;
    if (clients_open(s->clients))
        return;
    struct client *c = secret ? clients_find(s->clients, secret, visit_now(), &expired) : NULL;
    visit_begin(q, c);
    if (expired)
        refuse_as(e, 401, NULL, "expired_api_key", NULL, "the key has expired");
    else if (!c)
        refuse_as(e, 401, NULL, "invalid_api_key", NULL, "the key is missing or wrong");
}

static void preflight(struct server *s, struct http_request *q)
{
    (void)s;
    http_reply(q, 204, NULL, "", 0);
}

static bool is_route(const struct route *r, const char *path) { return r->prefix ? !strncmp(path, r->path, strlen(r->path)) : !strcmp(path, r->path); }

/* A model is asked for what it makes; what is asked with GET tells about the server. */
static bool can(const struct served_model *m, const struct route *r, struct refusal *e)
{
    static const char *const makes[] = { [SERVED_TEXTS] = "makes texts, and vectors of them", [SERVED_VECTORS] = "makes vectors of texts: POST /v1/embeddings", [SERVED_CLASSES] = "tells classes: POST /classify" };
    const bool vectors = r->answer == embeddings || r->answer == api_embed || r->answer == api_embeddings, any = r->answer == api_show || r->answer == api_pull;
    const bool right = any || (r->answer == classify ? m->kind == SERVED_CLASSES : vectors ? m->kind != SERVED_CLASSES : m->kind == SERVED_TEXTS);
    if (right || !strcmp(r->method, "GET"))
        return true;
    refuse_as(e, 400, NULL, "unsupported_endpoint", NULL, "%s does not answer %s, it %s", m->name, r->path, makes[m->kind]);
    return false;
}

/* What answers the request; NULL: why it is not answered is in e. */
static const struct route *route_of(const struct server *s, struct http_request *q, struct refusal *e)
{
    static const struct route asks_first = { .method = "OPTIONS", .open = true, .answer = preflight };
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
            identify(s, q, e);
        }
        if (!r->open && atomic_load(&s->drains)) {
            http_add_header(q, "Retry-After", "1");
            refuse_as(e, 503, "unavailable_error", "draining", NULL, "the server is about to end");
        } else {
            can(s->model, r, e);
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

static int admit(void *ctx, struct http_request *q, struct buf *why)
{
    struct refusal e = { 0 };
    const struct dialect *d = dialect_of(q);
    origins_tell(&((struct server *)ctx)->o.origins, q);
    const struct route *r = route_of(ctx, q, &e);
    note(ctx, q);
    if (r)
        return 0;
    if (d->id_header)
        http_add_header(q, d->id_header, http_trace(q)->id);
    if (d->refusal(why, &e, http_trace(q)->id, NULL) < 0)
        buf_clear(why);
    return e.status;
}

/* May it ask the model, or with one of its adapters?  Which one it asks is looked at when it is read. */
static bool may_ask(const struct server *s, struct http_request *q)
{
    for (int i = 0; i <= s->model->n_adapter; i++)
        if (visit_may_use(q, served_model_as(s->model, i).name))
            return true;
    return false;
}

static void released(void *ctx, struct http_request *q, int status)
{
    struct server *s = ctx;
    struct visit *v = http_user(q);
    struct buf b;
    buf_init(&b);
    if (v->noted && visit_line(&b, q, s->model, status, NULL) < 0)
        log_warn("audit log: no memory for the line of a request");
    else if (v->noted)
        audit_add(s->audit, b.data, b.len);
    buf_release(&b);
    visit_release(v);
}

static void handle(void *ctx, struct http_request *q)
{
    struct server *s = ctx;
    struct refusal e = { 0 };
    const struct route *r = route_of(s, q, &e);
    visit_note_request(q);
    if (r && !r->open && s->audit && s->o.audit_strict && !audit_works(s->audit))
        refuse_as(&e, 503, "unavailable_error", "audit_unavailable", NULL, "the audit log cannot be written, and nothing is answered without it");
    if (r && !strcmp(r->method, "POST")) {
        visit_take_request(q, &e);
        if (!may_ask(s, q))
            visit_model(q, s->model->name, &e);
    }
    if (!e.status)
        r->answer(s, q);
    else
        exchange_refuse(q, dialect_of(q), &e);
}

/* ---- begin and end ---- */

static void nap(long milliseconds) { nanosleep(&(struct timespec){ milliseconds / 1000, milliseconds % 1000 * 1000000 }, NULL); }

static void after_step(void *ctx)
{
    struct server *s = ctx;
    struct http *h = s->http;
    if (h)
        http_wake(h);
}

static bool is_local(const char *address)
{
    struct in_addr a;
    return !strcmp(address, "::1") || (inet_pton(AF_INET, address, &a) == 1 && ntohl(a.s_addr) >> 24 == 127);
}

static int write_port(const struct server *s, struct err *err)
{
    char text[16];
    const int n = snprintf(text, sizeof text, "%d\n", http_port(s->http));
    return s->o.port_file ? file_write_all(s->o.port_file, text, (size_t)n, err) : 0;
}

#define TLS_FILE_MAX ((size_t)1 << 20)

/* A balancer is told first, and may still send what it has begun to; then nothing more is taken on, until nothing is under way or the
 * time is over.  Connections are taken to the end, to be told so. */
static void drain(struct server *s)
{
    struct batch_counts n;
    double until = clock_wall() + (*s->o.stop ? s->o.drain_delay_s : 0);
    atomic_store(&s->leaves, true);
    notify_manager("STOPPING=1\nSTATUS=finishing what is under way");
    while (clock_wall() < until)
        nap(20);
    until = clock_wall() + s->o.drain_s;
    http_leave(s->http);
    atomic_store(&s->drains, true);
    served_model_counts(s->model, &n);
    log_info("ending: %d texts under way, %d waiting; at most %.0f s", n.n_running, n.n_waiting, s->o.drain_s);
    while ((n.n_running || n.n_waiting) && clock_wall() < until) {
        nap(20);
        served_model_counts(s->model, &n);
    }
    http_refuse(s->http);
    served_model_halt(s->model);
    http_wake(s->http);
}

/* The certificate for connections to come; NULL without TLS. */
static int read_tls(struct tls **out, const struct server_opts *o, struct err *err)
{
    struct buf key, cert;
    *out = NULL;
    if (!o->tls_key)
        return 0;
    buf_init(&key), buf_init(&cert);
    int rc = file_read(o->tls_key, TLS_FILE_MAX, &key, err);
    rc = rc ? rc : file_read(o->tls_cert, TLS_FILE_MAX, &cert, err);
    rc = rc ? rc : tls_new(out, key.data, cert.data, err);
    explicit_bzero(key.data, key.len);
    buf_release(&key);
    buf_release(&cert);
    return rc;
}

static void reload_tls(struct server *s)
{
    struct err err;
    struct tls *t;
    if (read_tls(&t, &s->o, &err) < 0) {
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
    const struct http_opts h = { .tls = s->tls, .n_user = sizeof(struct visit), .address = s->o.address, .port = s->o.port, .body_max = s->o.body_max, .bodies_max = BODIES * s->o.body_max, .n_connection = s->o.n_connection, .head_s = s->o.head_s, .request_s = s->o.request_s, .idle_s = s->o.idle_s, .answer_s = s->o.answer_s, .handle = handle, .admit = admit, .over = over, .released = released, .ctx = s };
    struct http *http;
    TRY(http_start(&http, &h, err));
    s->http = http;
    return 0;
}

/* Are steps made, where there is something to do? */
static bool goes_on(struct server *s, uint64_t *n_step)
{
    struct batch_counts n;
    served_model_counts(s->model, &n);
    const bool goes = n.n_step != *n_step || !(n.n_running || n.n_waiting) || !s->model->batch;
    *n_step = n.n_step;
    return goes;
}

static void run(struct server *s, int rc)
{
    const double every = notify_watchdog_s() / 2;
    double told = clock_wall();
    uint64_t n_step = 0;
    while (!rc && !*s->o.stop) {
        if (*s->o.reload)
            reload(s);
        nap(50);
        if (every > 0 && clock_wall() - told > every && goes_on(s, &n_step)) {
            notify_manager("WATCHDOG=1");
            told = clock_wall();
        }
    }
}

static int serve(struct server *s, struct err *err)
{
    TRY(start_http(s, err));
    const bool v6 = strchr(s->o.address, ':') != NULL;
    char pages[40] = "";
    if (s->model->engine)
        snprintf(pages, sizeof pages, ", %d pages of 64 tokens", engine_n_page(s->model->engine));
    log_info("%s: %d positions%s; http%s://%s%s%s:%d", s->model->name, served_model_ctx(s->model), pages, s->o.tls_key ? "s" : "", v6 ? "[" : "", s->o.address, v6 ? "]" : "", http_port(s->http));
    const int rc = write_port(s, err);
    if (!rc)
        notify_manager("READY=1\nSTATUS=%s", s->model->name);
    run(s, rc);
    drain(s);
    return rc;
}

/* What was charged today counts on. */
static void charge(void *ctx, const char *key, int64_t requests, int64_t tokens) { clients_used(ctx, key, visit_now(), requests, tokens); }

static int begin_audit(struct server *s, struct err *err)
{
    TRY(audit_open(&s->audit, s->o.audit, err));
    return clients_open(s->clients) ? 0 : audit_day(s->o.audit, visit_now(), charge, s->clients, err);
}

int server_run(const struct server_opts *o, struct err *err)
{
    struct server s = { .o = *o, .begun = clock_wall() };
    if (s.o.key && !*s.o.key)
        s.o.key = NULL;
    if (!is_local(o->address) && !s.o.key && !s.o.keys)
        return ERR(err, USAGE, "on %s others than this machine can ask: give a key (--key, --keys), or 127.0.0.1", o->address);
    s.o.origins.guarded = is_local(o->address) && !s.o.key && !s.o.keys;
    TRY(origins_check(&s.o.origins, err));
    if (!s.o.tls_cert != !s.o.tls_key)
        return ERR(err, USAGE, "--tls-cert and --tls-key belong together, and one of them is missing");
    TRY(page_init(&s.page, err));
    TRY(read_tls(&s.tls, o, err));
    int rc = clients_new(&s.clients, s.o.key, s.o.keys, err);
    rc = rc || !o->audit ? rc : begin_audit(&s, err);
    s.o.model.after_step = after_step, s.o.model.ctx_of_step = &s;
    rc = rc ? rc : served_model_open(&s.model, &s.o.model, err);
    if (!rc)
        rc = serve(&s, err);
    http_stop(s.http, 5);                    /* what was cancelled is told first */
    served_model_close(s.model);
    audit_close(s.audit);
    clients_free(s.clients);
    tls_free(s.tls);
    return rc;
}
