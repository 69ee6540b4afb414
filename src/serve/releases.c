#include "serve/releases.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "serve/releases_view.h"
#include "serve/tickets.h"
#include "serve/turns.h"
#include "serve/visit.h"

#define ROOT "/lathe/registry"
#define QUEUE 64
#define RECORDS_MOST 1000

struct releases { const char *registry, *events, *server; const struct releases_more *more; struct tickets tickets; struct turns *turns; };

/* A request, until its turn comes.  Of the path: the name, and what of it. */
struct job {
    struct turn turn;
    struct releases *r;
    struct http_request *q;
    const struct dialect *d;
    char name[REGISTRY_NAME], what[16];
    json_t *request;                     /* of POST */
    bool reports;                        /* /lathe/report */
};

/* ---- who may ---- */

static void check_rights(struct http_request *q, bool changes, struct refusal *e)
{
    const struct visit *v = http_user(q);
    if (changes && !(v->client && v->rights.admin))
        refuse_as(e, 403, NULL, "admin_key_needed", NULL,
                  "releases are changed with an admin's key: one that has 'admin: true' in the file of --keys");
    else
        visit_look(q, "releases are", e);
}

/* ---- what is asked ---- */

static bool one_of(const char *word, const char *const *words)
{
    while (*words && strcmp(word, *words))
        words++;
    return *words != NULL;
}

static void read_path(struct job *j, bool changes, struct refusal *e)
{
    static const char *const shown[] = { "", "history", "lineage", "events", "traffic", "drift", "open", NULL }, *const done[] = { "promote", "rollback", NULL };
    const char *at = http_path(j->q) + strlen(ROOT), *slash;
    at += *at == '/';
    slash = strchr(at, '/');
    const size_t n = slash ? (size_t)(slash - at) : strlen(at);
    if (n < sizeof j->name)
        memcpy(j->name, at, n), j->name[n] = 0;
    snprintf(j->what, sizeof j->what, "%s", slash ? slash + 1 : "");
    if (n >= sizeof j->name || (*j->name && !registry_name_ok(j->name)) || (slash && strlen(slash + 1) >= sizeof j->what) || (slash && !slash[1]) ||
        !one_of(j->what, changes ? done : shown))
        refuse_as(e, 404, "not_found_error", NULL, NULL, "there is nothing under this path");
}

/* A whole number of the query. */
static void read_number(struct http_request *q, const char *name, int64_t most, int64_t *out, struct refusal *e)
{
    const char *text = http_query(q, name);
    char *end;
    if (!text)
        return;
    const long long v = strtoll(text, &end, 10);
    if (!*text || *end || v < 1 || v > most)
        refuse(e, name, "%s is '%.40s', expected 1 to %lld", name, text, (long long)most);
    *out = v;
}

static bool is_blank(const char *s) { return !s || !s[strspn(s, " \t\r\n")]; }

struct change { const char *alias; int64_t version, seq; int mode; double share; const char *reason; };

/* The texts are the request's. */
static void read_change(struct change *c, const json_t *request, bool promotes, struct refusal *e)
{
    struct in f;
    *c = (struct change){ .alias = "production", .seq = -1 };
    in_begin(&f, request, e, "%s", "");
    in_str(&f, "alias", &c->alias, NULL);
    in_str(&f, "reason", &c->reason, NULL);
    in_int(&f, "seq", 0, INT64_MAX, &c->seq);
    const bool named = promotes && in_int(&f, "version", 1, INT64_MAX, &c->version);
    if (promotes) {
        in_choice(&f, "mode", "none|shadow|canary|ab|green", &c->mode);
        in_num(&f, "share", 1.0 / RELEASE_ALL, 1 - 1.0 / RELEASE_ALL, &c->share);
    }
    in_end(&f, NULL);
    const bool splits = release_splits((enum release_mode)c->mode);
    if (is_blank(c->reason))
        refuse(e, "reason", "reason is missing: why, for the journal");
    if (promotes && !named)
        refuse(e, "version", "version is missing: its number");
    if (splits != (c->share > 0))
        refuse(e, "share", splits ? "share is missing: of users for the candidate, 0.001 to 0.999" : "share belongs to the modes canary and ab");
}

/* ---- answers, by the thread that has the database ---- */

/* A version whose files were changed, or that is no model, is not loaded by a server only to find that out. */
static int check_loads(struct job *j, struct registry *g, int64_t number, struct refusal *e, struct err *err)
{
    const struct releases_more *more = j->r->more;
    struct registry_ref ref = { .number = number };
    struct registry_version v;
    if (!more || !more->loads)
        return 0;
    memcpy(ref.name, j->name, sizeof ref.name);
    TRY(registry_find(g, &ref, &v, err));
    const int rc = more->loads(more->ctx, g, &v, err);
    if (rc && rc != ERR_IO && rc != ERR_BUSY && rc != ERR_NOMEM)
        refuse_as(e, 409, "invalid_request_error", "does_not_load", "version", "%s", err->msg);
    return e->status ? 0 : rc;
}

static int change(struct job *j, struct registry *g, json_t **out, struct refusal *e, struct err *err)
{
    const struct visit *v = http_user(j->q);
    const bool promotes = !strcmp(j->what, "promote");
    struct registry_release r;
    struct change c;
    json_t *verdict = NULL;
    read_change(&c, j->request, promotes, e);
    if (e->status)
        return 0;
    const struct journal_by by = { .actor = v->rights.name, .reason = c.reason };
    struct release_move m = { .name = j->name, .alias = c.alias, .number = c.version, .mode = (enum release_mode)c.mode,
                              .share = (int)lround(RELEASE_ALL * c.share), .expect = c.seq };
    if (promotes)
        TRY(check_loads(j, g, c.version, e, err));
    if (e->status)
        return 0;
    if (promotes)
        TRY(registry_move_when_ready(g, &m, j->r->server, err));
    const int rc = promotes ? registry_promote(g, &m, &by, &r, &verdict, err) : registry_rollback(g, &m, &by, &r, err);
    json_decref(verdict);
    *out = rc ? NULL : release_json(&r);
    return rc;
}

static int list(struct job *j, struct registry *g, json_t **out, struct err *err)
{
    const struct visit *v = http_user(j->q);
    json_t *names;
    TRY(registry_list(g, &names, err));
    *out = json_pack("{s:o, s:b, s:b}", "names", names, "admin", v->client && v->rights.admin, "records", j->r->events != NULL);
    return 0;
}

static int history(struct job *j, struct registry *g, json_t **out, struct refusal *e, struct err *err)
{
    int64_t n = 50;
    json_t *records;
    read_number(j->q, "n", RECORDS_MOST, &n, e);
    if (e->status)
        return 0;
    TRY(registry_history(g, j->name, n, &records, err));
    *out = json_pack("{s:o}", "records", records);
    return 0;
}

/* ?version=N of the name, else its last.  What is wrong with the request is in e, and 0. */
static int find_version(struct job *j, struct registry *g, struct registry_version *v, struct refusal *e, struct err *err)
{
    struct registry_ref ref = { .number = 0 };
    memcpy(ref.name, j->name, sizeof ref.name);
    read_number(j->q, "version", INT64_MAX, &ref.number, e);
    return e->status ? 0 : registry_find(g, &ref, v, err);
}

static int lineage(struct job *j, struct registry *g, json_t **out, struct refusal *e, struct err *err)
{
    struct registry_version v;
    TRY(find_version(j, g, &v, e, err));
    return e->status ? 0 : releases_view_lineage(g, &v, out, err);
}

/* *out NULL: nothing is recorded, which is in e. */
static int open_events(struct job *j, struct events **out, struct refusal *e, struct err *err)
{
    const char *where = j->r->events;
    *out = NULL;
    if (!where)
        refuse_as(e, 404, "not_found_error", "not_recorded", NULL, "nothing of answers is recorded here (lathe serve --record)");
    return where ? events_open(out, where, false, err) : 0;
}

static int recorded(struct job *j, struct registry *g, json_t **out, struct refusal *e, struct err *err)
{
    const char *window = http_query(j->q, "window");
    struct events *events;
    struct err why;
    double s;
    if (when_span(&s, window ? window : "1h", &why) < 0 || !(s >= 1))
        refuse(e, "window", "window is '%.40s', expected a time as 30m, 1h or 7d", window ? window : "");
    if (e->status)
        return 0;
    TRY(open_events(j, &events, e, err));
    if (!events)
        return 0;
    const double since = fmax(0, (double)when_now() - s * 1e9);
    const int rc = !strcmp(j->what, "events") ? releases_view_events(g, events, j->name, (int64_t)since, out, err)
                                              : releases_view_traffic(g, events, j->name, (int64_t)since, (int64_t)(s * 1e9 / RELEASES_STEPS) + 1, out, err);
    events_close(events);
    return rc;
}

static int drift(struct job *j, struct registry *g, json_t **out, struct refusal *e, struct err *err)
{
    const struct releases_more *more = j->r->more;
    struct registry_version v;
    struct events *events;
    TRY(find_version(j, g, &v, e, err));
    if (!e->status && (!more || !more->drift))
        refuse_as(e, 404, "not_found_error", "not_watched", NULL, "this server does not compare answers");
    if (e->status)
        return 0;
    TRY(open_events(j, &events, e, err));
    const int rc = events ? more->drift(more->ctx, g, events, &v, out, err) : 0;
    events_close(events);
    return rc;
}

/* ---- reports ---- */

#define WHOLE(what) (!strcmp(what, "evaluations") || !strcmp(what, "training"))
struct report { char name[REGISTRY_NAME], what[80], ticket[200]; int64_t version; };      /* ticket: what it is for */

static bool has_evidence(const json_t *list, const char *blob)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
        if (!strcmp(tree_text_at(one, "blob"), blob))
            return true;
    return false;
}

/* ?what= is something that this version has, for there is no other way to a blob. */
static int check_what(struct registry *g, const struct registry_version *v, const char *what, struct refusal *e, struct err *err)
{
    json_t *list;
    TRY(registry_evidence(g, v, &list, err));
    if (!WHOLE(what) && !has_evidence(list, what))
        refuse_as(e, 404, "not_found_error", NULL, NULL, "version %lld of %s has no such evidence", (long long)v->number, v->name);
    json_decref(list);
    return 0;
}

static void say_report(struct report *p, const char *name, int64_t version, const char *what)
{
    p->version = version;
    snprintf(p->name, sizeof p->name, "%s", name), snprintf(p->what, sizeof p->what, "%s", what);
    snprintf(p->ticket, sizeof p->ticket, "%s@%lld %s", p->name, (long long)version, p->what);
}

static int open_report(struct job *j, struct registry *g, json_t **out, struct refusal *e, struct err *err)
{
    const char *what = http_query(j->q, "what");
    struct registry_version v;
    struct report p;
    char ticket[TICKET_TEXT];
    TRY(find_version(j, g, &v, e, err));
    if (!e->status)
        TRY(check_what(g, &v, what ? what : "", e, err));
    if (e->status)
        return 0;
    say_report(&p, j->name, v.number, what);
    const int64_t until = when_now() / 1000000000 + RELEASES_OPEN_S;
    TRY(ticket_make(&j->r->tickets, p.ticket, until, ticket, err));
    char *url = mem_printf("lathe/report?name=%s&version=%lld&what=%s&until=%lld&ticket=%s", j->name, (long long)v.number, what, (long long)until, ticket);
    *out = url ? json_pack("{s:s}", "url", url) : NULL;
    mem_free(url);
    return 0;
}

/* Which report the address is of; e: it is not good, or not any more. */
static void read_report(struct releases *r, struct http_request *q, struct report *p, struct refusal *e)
{
    const char *name = http_query(q, "name"), *what = http_query(q, "what"), *ticket = http_query(q, "ticket");
    int64_t until = 0, version = 0;
    read_number(q, "version", INT64_MAX, &version, e);
    read_number(q, "until", INT64_MAX, &until, e);
    if (e->status)
        return;
    say_report(p, name ? name : "", version, what ? what : "");
    if (!ticket || !ticket_is_good(&r->tickets, p->ticket, until, when_now() / 1000000000, ticket))
        refuse_as(e, 403, NULL, "ticket_over", NULL, "this address was for %d minutes: open the report again from the page", RELEASES_OPEN_S / 60);
}

static int make_report(struct job *j, struct registry *g, struct buf *b, bool *html, struct refusal *e, struct err *err)
{
    const struct releases_more *more = j->r->more;
    struct registry_ref ref = { .number = 0 };
    struct registry_version v;
    struct report p;
    read_report(j->r, j->q, &p, e);
    if (!e->status && (!more || !more->report))
        refuse_as(e, 404, "not_found_error", NULL, NULL, "this server shows no reports");
    if (e->status)
        return 0;
    memcpy(ref.name, p.name, sizeof ref.name), ref.number = p.version;
    TRY(registry_find(g, &ref, &v, err));
    TRY(check_what(g, &v, p.what, e, err));
    return e->status ? 0 : more->report(more->ctx, g, &v, p.what, b, html, err);
}

/* It runs nothing and asks for nothing; to this server's page it is another origin. */
static void reply_report(struct http_request *q, const struct buf *b, bool html)
{
    http_add_header(q, "Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    http_add_header(q, "X-Content-Type-Options", "nosniff");
    http_add_header(q, "Referrer-Policy", "no-referrer");
    http_add_header(q, "Cache-Control", "no-store");
    http_reply(q, 200, html ? "text/html; charset=utf-8" : "text/plain; charset=utf-8", b->data ? b->data : "", b->len);
}

static int look(struct job *j, struct registry *g, json_t **out, struct refusal *e, struct err *err)
{
    if (!*j->name)
        return list(j, g, out, err);
    if (j->request)
        return change(j, g, out, e, err);
    if (!strcmp(j->what, "history"))
        return history(j, g, out, e, err);
    if (!strcmp(j->what, "lineage"))
        return lineage(j, g, out, e, err);
    if (!strcmp(j->what, "drift"))
        return drift(j, g, out, e, err);
    if (!strcmp(j->what, "open"))
        return open_report(j, g, out, e, err);
    return *j->what ? recorded(j, g, out, e, err) : releases_view(g, j->name, out, err);
}

static void refuse_error(struct refusal *e, int rc, const struct err *err)
{
    if (rc == ERR_NOTFOUND)
        refuse_as(e, 404, "not_found_error", "not_found", NULL, "%s", err->msg);
    else if (rc == ERR_USAGE)
        refuse_as(e, 400, NULL, NULL, NULL, "%s", err->msg);
    else if (rc == ERR_GATE || rc == ERR_BUSY)
        refuse_as(e, 409, "invalid_request_error", rc == ERR_GATE ? "policy_says_no" : "changed_meanwhile", NULL, "%s", err->msg);
    else
        refuse_as(e, 503, "unavailable_error", "registry_unavailable", NULL, "%s", err->msg);
}

static bool answer(void *ctx, bool stop)
{
    struct job *j = ctx;
    struct refusal e = { 0 };
    struct registry *g = NULL;
    struct err err;
    json_t *out = NULL;
    struct buf report;
    bool html = false;
    buf_init(&report);
    if (stop) {
        refuse_as(&e, 503, NULL, NULL, NULL, "%s", WISH_ENDS);
    } else {
        int rc = registry_open(&g, j->r->registry, false, &err);
        rc = rc ? rc : j->reports ? make_report(j, g, &report, &html, &e, &err) : look(j, g, &out, &e, &err);
        if (rc)
            refuse_error(&e, rc, &err);
        registry_close(g);
    }
    json_decref(j->request);
    if (e.status)
        exchange_refuse(j->q, j->d, &e);
    else if (j->reports)
        reply_report(j->q, &report, html);
    else
        exchange_reply_json(j->q, j->d, out);
    buf_release(&report);
    mem_free(j);
    return false;
}

/* ---- begin and end ---- */

int releases_open(struct releases **out, const char *registry, const char *events, const char *server, const struct releases_more *more, void (*wake)(void *ctx), void *ctx, struct err *err)
{
    struct releases *r = *out = mem_alloc_zero(sizeof *r);
    if (!r)
        return ERR(err, NOMEM, "no memory to show releases");
    r->registry = registry, r->events = events, r->server = server, r->more = more;
    int rc = tickets_init(&r->tickets, err);
    rc = rc ? rc : turns_new(&r->turns, QUEUE, NULL, wake, ctx, err);
    if (rc) {
        mem_free(r);
        *out = NULL;
    }
    return rc;
}

void releases_halt(struct releases *r)
{
    if (r)
        turns_halt(r->turns);
}

void releases_close(struct releases *r)
{
    if (!r)
        return;
    turns_free(r->turns);
    mem_free(r);
}

/* The request's turn, or why it gets none. */
static struct job *take(struct releases *r, struct http_request *q, const struct dialect *d, struct refusal *e)
{
    const bool changes = !strcmp(http_method(q), "POST");
    struct job *j = mem_alloc_zero(sizeof *j);
    if (!j) {
        wish_no_memory(e);
        return NULL;
    }
    *j = (struct job){ .turn = { .piece = answer, .ctx = j, .tenant = visit_tenant(q) }, .r = r, .q = q, .d = d };
    read_path(j, changes, e);
    if (!e->status)
        check_rights(q, changes, e);
    if (changes && !e->status)
        visit_take_request(q, e);
    if (changes && !e->status)
        j->request = in_parse(http_body(q)->data, http_body(q)->len, e);
    return j;
}

void releases_answer(struct releases *r, struct http_request *q, const struct dialect *d)
{
    struct refusal e = { 0 };
    struct err err;
    struct job *j = NULL;
    if (!r)
        refuse_as(&e, 404, "not_found_error", "no_registry", NULL, "there is no registry here: lathe serve NAME@production, or --registry");
    else
        j = take(r, q, d, &e);
    if (!e.status && turns_add(r->turns, &j->turn, &err) < 0)
        wish_not_taken(&e, &err);
    if (!e.status)
        return;
    exchange_refuse(q, d, &e);
    if (j)
        json_decref(j->request);
    mem_free(j);
}

void releases_report(struct releases *r, struct http_request *q, const struct dialect *d)
{
    struct refusal e = { 0 };
    struct report p;
    struct err err;
    struct job *j = r ? mem_alloc_zero(sizeof *j) : NULL;
    if (!r)
        refuse_as(&e, 404, "not_found_error", "no_registry", NULL, "there is no registry here");
    else if (!j)
        wish_no_memory(&e);
    else
        read_report(r, q, &p, &e);
    if (!e.status) {
        *j = (struct job){ .turn = { .piece = answer, .ctx = j }, .r = r, .q = q, .d = d, .reports = true };
        if (turns_add(r->turns, &j->turn, &err) < 0)
            wish_not_taken(&e, &err);
    }
    if (!e.status)
        return;
    exchange_refuse(q, d, &e);
    mem_free(j);
}
