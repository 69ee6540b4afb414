#include "serve/releases.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "serve/releases_view.h"
#include "serve/turns.h"
#include "serve/visit.h"

#define ROOT "/lathe/registry"
#define QUEUE 64
#define RECORDS_MOST 1000

struct releases { const char *registry, *events; struct turns *turns; };

/* A request, until its turn comes.  Of the path: the name, and what of it. */
struct job {
    struct turn turn;
    struct releases *r;
    struct http_request *q;
    const struct dialect *d;
    char name[REGISTRY_NAME], what[16];
    json_t *request;                     /* of POST */
};

/* ---- who may ---- */

static void check_rights(struct http_request *q, bool changes, struct refusal *e)
{
    const struct visit *v = http_user(q);
    if (changes && !(v->client && v->rights.admin))
        refuse_as(e, 403, NULL, "admin_key_needed", NULL,
                  "releases are changed with an admin's key: one that has 'admin: true' in the file of --keys");
    else if (v->client && !v->rights.admin && strcmp(v->rights.name, CLIENT_OF_KEY))
        refuse_as(e, 403, NULL, "admin_key_needed", NULL,
                  "releases are shown to an admin's key: '%s' has no 'admin: true' in the file of --keys", v->rights.name);
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
    static const char *const shown[] = { "", "history", "lineage", "events", NULL }, *const done[] = { "promote", "rollback", NULL };
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
    const struct release_move m = { .name = j->name, .alias = c.alias, .number = c.version, .mode = (enum release_mode)c.mode,
                                    .share = (int)lround(RELEASE_ALL * c.share), .expect = c.seq };
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

static int lineage(struct job *j, struct registry *g, json_t **out, struct refusal *e, struct err *err)
{
    struct registry_ref ref = { .number = 0 };
    struct registry_version v;
    memcpy(ref.name, j->name, sizeof ref.name);
    read_number(j->q, "version", INT64_MAX, &ref.number, e);
    if (e->status)
        return 0;
    TRY(registry_find(g, &ref, &v, err));
    return registry_lineage(g, &v, out, err);
}

static int recorded(struct job *j, struct registry *g, json_t **out, struct refusal *e, struct err *err)
{
    const char *window = http_query(j->q, "window"), *where = j->r->events;
    struct events *events;
    struct err why;
    double s;
    if (when_span(&s, window ? window : "1h", &why) < 0 || !(s > 0))
        refuse(e, "window", "window is '%.40s', expected a time as 30m, 1h or 7d", window ? window : "");
    else if (!where)
        refuse_as(e, 404, "not_found_error", "not_recorded", NULL, "nothing of answers is recorded here (lathe serve --record)");
    if (e->status)
        return 0;
    TRY(events_open(&events, strcmp(where, "registry") ? where : NULL, false, err));
    const double since = (double)when_now() - s * 1e9;
    const int rc = releases_view_events(g, events, j->name, since > 0 ? (int64_t)since : 0, out, err);
    events_close(events);
    return rc;
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
    return !strcmp(j->what, "events") ? recorded(j, g, out, e, err) : releases_view(g, j->name, out, err);
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
    if (stop) {
        refuse_as(&e, 503, NULL, NULL, NULL, "%s", WISH_ENDS);
    } else {
        int rc = registry_open(&g, j->r->registry, false, &err);
        rc = rc ? rc : look(j, g, &out, &e, &err);
        if (rc)
            refuse_error(&e, rc, &err);
        registry_close(g);
    }
    json_decref(j->request);
    if (e.status)
        exchange_refuse(j->q, j->d, &e);
    else
        exchange_reply_json(j->q, j->d, out);
    mem_free(j);
    return false;
}

/* ---- begin and end ---- */

int releases_open(struct releases **out, const char *registry, const char *events, void (*wake)(void *ctx), void *ctx, struct err *err)
{
    struct releases *r = *out = mem_alloc_zero(sizeof *r);
    if (!r)
        return ERR(err, NOMEM, "no memory to show releases");
    r->registry = registry, r->events = events;
    const int rc = turns_new(&r->turns, QUEUE, NULL, wake, ctx, err);
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
