#include "serve/planner.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/utf8.h"
#include "serve/planner_ask.h"
#include "serve/turns.h"
#include "serve/visit.h"

#define QUEUE 16
#define SAID_MOST 4000
/* Names that no model can be asked by (planner_ask.h). */
#define OUT ".out"
#define LOG ".log"

struct planner {
    struct planner_opts o;
    struct turns *turns;
    char *folder;                        /* of the request whose turn it is, of the thread; NULL: none */
    char *recorded;                      /* or NULL */
    json_t *lists;                       /* what GET tells, once it was asked for; of the thread */
    pthread_mutex_t lock;                /* of what follows */
    struct job *now; bool ends;
};

/* A request, until its turn comes. */
struct job {
    struct turn turn;
    struct planner *p;
    struct http_request *q;
    const struct dialect *d;
    json_t *request;                     /* of POST */
    struct planner_ask ask;
    atomic_bool stop;                    /* its client has gone, or the server ends */
};

/* ---- the program ---- */

static char *path_of(const struct planner *p, const char *name, struct refusal *e)
{
    char *path = file_join(p->folder, name);
    if (!path)
        wish_no_memory(e);
    return path;
}

static void refuse_error(struct refusal *e, int rc, const struct err *err)
{
    if (rc == ERR_NOMEM)
        wish_no_memory(e);
    else
        refuse_as(e, 503, "unavailable_error", "plan_unavailable", NULL, "no plan can be made: %s", err->msg);
}

/* What was printed, as JSON; the caller's. */
static json_t *read_out(const struct planner *p, struct refusal *e)
{
    struct err err;
    json_t *out = NULL;
    char *path = path_of(p, OUT, e);
    const int rc = path ? tree_load(&out, path, PLANNER_BYTES, &err) : 0;
    if (rc)
        refuse_error(e, rc, &err);
    mem_free(path);
    return out;
}

/* Why it did not do what it was asked for. */
static void refuse_code(const struct planner *p, int code, struct refusal *e)
{
    char why[400];
    const bool said = server_program_last_words(p->folder, LOG, why, sizeof why);
    if (code < 127 && said)
        refuse(e, NULL, "%s", why);
    else
        refuse_as(e, 503, "unavailable_error", "plan_unavailable", NULL, "no plan can be made: lathe plan ended %s %d%s%s", code > 128 ? "by signal" : "with", code > 128 ? code - 128 : code, said ? ": " : "", said ? why : "");
}

/* The program with these arguments; NULL: why is in e. */
static json_t *run(struct job *j, char *const *argv, struct refusal *e)
{
    const struct planner *p = j->p;
    const struct server_program program = { .folder = p->folder, .argv = argv, .out = OUT, .log = LOG, .stop = &j->stop, .seconds_most = PLANNER_SECONDS, .bytes_most = PLANNER_BYTES };
    struct err err;
    int code = 0;
    const int rc = p->o.run(p->o.run_ctx, &program, &code, &err);
    if (atomic_load(&j->stop))
        refuse_as(e, 503, NULL, NULL, NULL, "%s", WISH_ENDS);
    else if (rc == ERR_STOPPED)
        refuse_as(e, 503, "unavailable_error", "plan_too_long", NULL, "the plan took longer than %.0f s: ask for fewer devices or a shorter workload", PLANNER_SECONDS);
    else if (rc)
        refuse_error(e, rc, &err);
    else if (code)
        refuse_code(p, code, e);
    return e->status ? NULL : read_out(p, e);
}

/* What it warned of. */
static void tell_said(const struct planner *p, json_t *out, struct refusal *e)
{
    struct file_map map;
    struct err err;
    char *path = path_of(p, LOG, e);
    const int rc = path ? file_map_open(&map, path, &err) : 0;
    if (rc)
        refuse_error(e, rc, &err);
    if (path && !rc) {
        if (map.size && json_object_set_new(out, "said", tree_text(map.data, utf8_begin(map.data, map.size, SAID_MOST))))
            wish_no_memory(e);
        file_map_close(&map);
    }
    mem_free(path);
}

/* ---- what is answered ---- */

static json_t *lists(struct job *j, struct refusal *e)
{
    char *devices[] = { "lathe", "plan", "--devices", "--json", NULL }, *models[] = { "lathe", "plan", "--models", "--json", NULL };
    struct planner *p = j->p;
    json_t *a = run(j, devices, e), *b = e->status ? NULL : run(j, models, e);
    p->lists = a && b ? json_pack("{s:O, s:O, s:b}", "devices", a, "models", b, "recorded", p->recorded != NULL) : NULL;
    json_decref(a), json_decref(b);
    if (!p->lists)
        wish_no_memory(e);
    return json_incref(p->lists);
}

static void write_config(struct job *j, struct refusal *e)
{
    struct err err;
    char *path = path_of(j->p, PLANNER_CONFIG, e), *text = tree_dumps(j->ask.config, JSON_INDENT(1));
    const int rc = path && text ? file_write_all(path, text, strlen(text), &err) : 0;
    if (rc)
        refuse_error(e, rc, &err);
    else if (!text)
        wish_no_memory(e);
    mem_free(path), mem_free(text);
}

static void find_served(struct job *j, struct refusal *e)
{
    char path[4096];
    if (!j->p->o.served || !j->p->o.served(j->p->o.served_ctx, j->ask.served, path, sizeof path))
        refuse_as(e, 404, "not_found_error", "model_not_found", "served", "no model '%.100s' is served here", j->ask.served);
    else
        planner_ask_model(&j->ask, path, e);
}

static void find_recorded(struct job *j, struct refusal *e)
{
    if (!j->p->recorded)
        refuse_as(e, 404, "not_found_error", "nothing_recorded", "workload", "nothing of what is asked is recorded here: lathe serve --record");
    else
        planner_ask_recorded(&j->ask, j->p->recorded, e);
}

static json_t *plan(struct job *j, struct refusal *e)
{
    if (j->ask.recorded)
        find_recorded(j, e);
    if (j->ask.config)
        write_config(j, e);
    if (j->ask.served)
        find_served(j, e);
    json_t *out = e->status ? NULL : run(j, j->ask.argv, e);
    if (out)
        tell_said(j->p, out, e);
    if (!e->status)
        return out;
    json_decref(out);
    return NULL;
}

/* ---- the thread ---- */

static void set_now(struct planner *p, struct job *j)
{
    pthread_mutex_lock(&p->lock);
    p->now = j;
    if (j && p->ends)
        atomic_store(&j->stop, true);
    pthread_mutex_unlock(&p->lock);
}

static void gone(void *ctx) { atomic_store(&((struct job *)ctx)->stop, true); }

static void release(struct job *j)
{
    planner_ask_release(&j->ask);
    json_decref(j->request);
    mem_free(j);
}

/* A server that is killed leaves none but of a request that it was at. */
static void make_folder(struct planner *p, struct refusal *e)
{
    struct err err;
    const int rc = file_temporary_dir(&p->folder, "lathe-plan", &err);
    if (rc)
        refuse_error(e, rc, &err);
}

static void remove_folder(struct planner *p)
{
    struct err none;
    if (p->folder)
        (void)file_remove_tree(p->folder, &none);
    mem_free(p->folder);
    p->folder = NULL;
}

static json_t *look(struct job *j, struct refusal *e)
{
    json_t *out = NULL;
    if (!j->request && j->p->lists)
        return json_incref(j->p->lists);
    make_folder(j->p, e);
    if (!e->status)
        out = j->request ? plan(j, e) : lists(j, e);
    remove_folder(j->p);
    return out;
}

static bool answer(void *ctx, bool stop)
{
    struct job *j = ctx;
    struct planner *p = j->p;
    struct refusal e = { 0 };
    json_t *out = NULL;
    set_now(p, j);
    if (stop || atomic_load(&j->stop))
        refuse_as(&e, 503, NULL, NULL, NULL, "%s", WISH_ENDS);
    else
        out = look(j, &e);
    set_now(p, NULL);
    if (e.status)
        exchange_refuse(j->q, j->d, &e);
    else
        exchange_reply_json(j->q, j->d, out);
    release(j);
    return false;
}

/* ---- begin and end ---- */

int planner_open(struct planner **out, const struct planner_opts *o, struct err *err)
{
    struct planner *p = *out = mem_alloc_zero(sizeof *p);
    if (!p)
        return ERR(err, NOMEM, "no memory to make plans");
    p->o = *o;
    pthread_mutex_init(&p->lock, NULL);
    p->recorded = o->recorded ? mem_strdup(o->recorded) : NULL;
    int rc = o->recorded && !p->recorded ? ERR(err, NOMEM, "no memory to make plans") : 0;
    rc = rc ? rc : turns_new(&p->turns, QUEUE, NULL, o->wake, o->ctx, err);
    if (rc) {
        planner_close(p);
        *out = NULL;
    }
    return rc;
}

void planner_halt(struct planner *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->ends = true;
    if (p->now)
        atomic_store(&p->now->stop, true);
    pthread_mutex_unlock(&p->lock);
    turns_halt(p->turns);
}

void planner_close(struct planner *p)
{
    if (!p)
        return;
    if (p->turns) {
        planner_halt(p);
        turns_free(p->turns);
    }
    pthread_mutex_destroy(&p->lock);
    json_decref(p->lists);
    mem_free(p->recorded), mem_free(p);
}

/* ---- requests ---- */

static struct job *take(struct planner *p, struct http_request *q, const struct dialect *d, struct refusal *e)
{
    const bool asks = !strcmp(http_method(q), "POST");
    struct job *j = mem_alloc_zero(sizeof *j);
    if (!j) {
        wish_no_memory(e);
        return NULL;
    }
    *j = (struct job){ .turn = { .piece = answer, .ctx = j, .tenant = visit_tenant(q) }, .p = p, .q = q, .d = d };
    visit_look(q, "plans are", e);
    if (!asks || e->status)
        return j;
    visit_take_request(q, e);
    if (http_body(q)->len > PLANNER_BODY)
        refuse_as(e, 413, NULL, "request_too_large", NULL, "the request has %zu bytes, expected at most %zu", http_body(q)->len, PLANNER_BODY);
    if (!e->status && (j->request = in_parse(http_body(q)->data, http_body(q)->len, e)))
        planner_ask_read(&j->ask, j->request, e);
    if (!e->status && j->ask.served)
        visit_model(q, j->ask.served, e);
    return j;
}

void planner_answer(struct planner *p, struct http_request *q, const struct dialect *d)
{
    struct refusal e = { 0 };
    struct err err;
    struct job *j = NULL;
    if (!p)
        refuse_as(&e, 404, "not_found_error", "no_plans", NULL, "no plans are made here");
    else
        j = take(p, q, d, &e);
    if (!e.status) {
        http_on_gone(q, gone, j);
        if (turns_add(p->turns, &j->turn, &err) == 0)
            return;
        http_on_gone(q, NULL, NULL);
        wish_not_taken(&e, &err);
    }
    exchange_refuse(q, d, &e);
    if (j)
        release(j);
}
