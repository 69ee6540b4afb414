#include "serve/workshop.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "serve/turns.h"
#include "serve/visit.h"
#include "serve/workshop_bases.h"
#include "serve/workshop_files.h"
#include "serve/workshop_job.h"
#include "serve/workshop_life.h"
#include "serve/workshop_project.h"
#include "serve/workshop_view.h"
#include "serve/workshop_zip.h"
#include "store/registry.h"

#define ROOT "/lathe/workshop"
#define QUEUE 256
#define SHOWN_MAX ((size_t)32 << 20)     /* of a file that is shown */
#define METRICS_MAX ((size_t)256 << 10)
#define NAME_MAX_BYTES 60
#define REASON_MAX 900
#define BASE_MAX 150
enum { IMAGES = 2 };                     /* of the goals */

struct workshop {
    struct workshop_opts o;
    struct turns *turns;
    struct jobs *jobs;
    int held;                            /* the folder's lock; -1 */
    uint64_t bytes; int64_t files;       /* that were brought: of the thread of turns */
};

/* A request, until its turn comes. */
struct job {
    struct turn turn;
    struct workshop *w;
    struct http_request *q;
    const struct dialect *d;
    char id[PROJECT_ID], what[16];
    bool posts;
    struct buf body;
};
/* What is asked, while it is answered: exactly one of out, raw and a refusal is the reply. */
struct asked { struct job *j; json_t *p; const json_t *body; json_t *out; struct buf raw; const char *type; struct refusal *e; struct err *err; };

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to answer"); }

/* ---- what has been brought ---- */

static int count_file(void *ctx, const char *name, uint64_t bytes, bool whole, struct err *err)
{
    (void)name, (void)whole, (void)err;
    struct workshop *w = ctx;
    w->bytes += bytes, w->files++;
    return 0;
}

static int count_all(struct workshop *w, struct err *err)
{
    json_t *list, *p;
    size_t i;
    w->bytes = 0, w->files = 0;
    TRY(project_list(w->o.folder, &list, err));
    int rc = 0;
    json_array_foreach(list, i, p) {
        char *files = project_path(w->o.folder, tree_text_at(p, "id"), "files");
        rc = rc ? rc : files ? workshop_each(files, count_file, w, err) : no_memory(err);
        mem_free(files);
    }
    json_decref(list);
    return rc;
}

/* ---- reading requests ---- */

static const char *query(const struct job *j, const char *name, struct refusal *e)
{
    const char *text = http_query(j->q, name);
    if (!text)
        refuse(e, name, "%s is missing in the address", name);
    return text ? text : "";
}

static uint64_t query_number(const struct job *j, const char *name, struct refusal *e)
{
    const char *text = query(j, name, e);
    char *end;
    errno = 0;
    const unsigned long long v = strtoull(text, &end, 10);
    if (!e->status && (!*text || *end || *text == '-' || errno || v > (1ull << 62)))
        refuse(e, name, "%s is '%.40s', expected a number of bytes", name, text);
    return v;
}

/* A field of at most `most` bytes; "" where it is not there. */
static const char *text_in(struct in *f, const char *name, size_t most)
{
    const char *text = "";
    if (in_str(f, name, &text, NULL) && strlen(text) > most)
        refuse(f->e, name, "%s has %zu bytes, expected at most %zu", name, strlen(text), most);
    return text;
}

static bool is_blank(const char *s) { return !s[strspn(s, " \t\r\n")]; }

/* ---- what is done ---- */

static int answer_list(struct asked *a)
{
    const struct workshop *w = a->j->w;
    json_t *list, *bases;
    TRY(workshop_bases(&w->o, &bases, a->err));
    const int rc = project_list(w->o.folder, &list, a->err);
    if (rc)
        return json_decref(bases), rc;
    a->out = json_pack("{s:b, s:I, s:{s:I, s:I}, s:{s:I, s:I}, s:b, s:o, s:o, s:o}", "admin", true, "piece", (json_int_t)w->o.piece, "limits", "bytes", (json_int_t)w->o.bytes_max, "files",
                       (json_int_t)w->o.files_max, "used", "bytes", (json_int_t)w->bytes, "files", (json_int_t)w->files, "registry", w->o.registry != NULL, "projects", list, "recipes",
                       workshop_recipes_json(), "bases", bases);
    return 0;
}

static int answer_create(struct asked *a)
{
    struct in f;
    const struct visit *v = http_user(a->j->q);
    in_begin(&f, a->body, a->e, "%s", "");
    const char *name = text_in(&f, "name", NAME_MAX_BYTES);
    in_end(&f, NULL);
    if (is_blank(name))
        refuse(a->e, "name", "name is missing: what the project is called");
    return a->e->status ? 0 : project_new(a->j->w->o.folder, name, v->rights.name, &a->out, a->err);
}

static int put_have(struct asked *a, uint64_t have)
{
    a->out = json_pack("{s:I}", "have", (json_int_t)have);
    return 0;
}

/* Files change: what was found of them is of others. */
static int touch(struct asked *a)
{
    if (!strcmp(tree_text_at(a->p, "step"), "files") && !strcmp(tree_text_at(a->p, "state"), "idle"))
        return 0;
    TRY(project_state(a->p, "files", "idle", "", a->err));
    return project_save(a->j->w->o.folder, a->p, a->err);
}

static int check_room(struct asked *a, const char *folder, const struct workshop_piece *p)
{
    const struct workshop *w = a->j->w;
    uint64_t is_free = UINT64_MAX;
    const uint64_t had = workshop_have(folder, p->name), more = p->size > had ? p->size - had : 0;
    if (!had && w->files >= w->o.files_max)
        refuse_as(a->e, 413, NULL, "workshop_full", NULL, "%lld files are here already, and no more may be", (long long)w->files);
    else if (more > w->o.bytes_max - (w->bytes < w->o.bytes_max ? w->bytes : w->o.bytes_max))
        refuse_as(a->e, 413, NULL, "workshop_full", NULL, "the workshop has %llu MB of %llu MB, and this file would not fit: remove other files or projects", (unsigned long long)(w->bytes >> 20),
                  (unsigned long long)(w->o.bytes_max >> 20));
    else if (!file_free_bytes(folder, &is_free, a->err) && is_free < more)
        refuse_as(a->e, 507, "server_error", "disk_full", NULL, "the server's disk is full: %llu MB are free, and this file needs %llu MB more", (unsigned long long)(is_free >> 20),
                  (unsigned long long)(more >> 20));
    return 0;
}

/* What came whole is an archive: its files take its place. */
static int unzip(struct asked *a, const char *files, const char *name, uint64_t have)
{
    struct workshop *w = a->j->w;
    json_t *unpacked = NULL;
    struct workshop_room room = { w->o.bytes_max > w->bytes ? w->o.bytes_max - w->bytes : 0, w->o.files_max - w->files };
    uint64_t is_free;
    if (!file_free_bytes(files, &is_free, a->err) && is_free < room.bytes)
        room.bytes = is_free;
    int rc = workshop_unzip(files, name, &room, &unpacked, a->err);
    const int counted = count_all(w, rc ? NULL : a->err);
    rc = rc ? rc : counted;
    if (!rc && !(a->out = json_pack("{s:I, s:O}", "have", (json_int_t)have, "unpacked", unpacked)))
        rc = no_memory(a->err);
    json_decref(unpacked);
    return rc;
}

static int answer_piece(struct asked *a)
{
    struct workshop *w = a->j->w;
    uint64_t have = 0;
    const struct workshop_piece p = { .name = query(a->j, "path", a->e), .from = query_number(a->j, "from", a->e), .size = query_number(a->j, "size", a->e), .data = a->j->body.data, .n = a->j->body.len };
    if (a->e->status)
        return 0;
    TRY(workshop_name_check(p.name, a->err));
    char *files = project_path(w->o.folder, a->j->id, "files");
    int rc = files ? check_room(a, files, &p) : no_memory(a->err);
    if (!rc && !a->e->status) {
        const uint64_t had = workshop_have(files, p.name);
        rc = touch(a);
        rc = rc ? rc : workshop_piece_add(files, &p, &have, a->err);
        const uint64_t now = workshop_have(files, p.name);
        w->bytes = w->bytes + now - had, w->files += now && !had;
        if (!rc && have == p.size && workshop_is_zip(p.name))
            rc = unzip(a, files, p.name, have);
    }
    mem_free(files);
    if (rc == ERR_BUSY) {                                    /* not an error: it says where to go on */
        refuse_as(a->e, 409, "invalid_request_error", "other_piece_expected", NULL, "%s", a->err->msg);
        return 0;
    }
    return rc || a->e->status || a->out ? rc : put_have(a, have);
}

static int answer_remove(struct asked *a)
{
    struct in f;
    struct workshop *w = a->j->w;
    in_begin(&f, a->body, a->e, "%s", "");
    const char *name = text_in(&f, "path", WORKSHOP_NAME - 1);
    in_end(&f, NULL);
    if (a->e->status)
        return 0;
    if (*name) {
        TRY(workshop_name_check(name, a->err));
        TRY(touch(a));
        TRY(workshop_file_remove(w->o.folder, a->j->id, name, a->err));
    } else {
        TRY(project_remove(w->o.folder, a->j->id, a->err));
    }
    TRY(count_all(w, a->err));
    a->out = json_pack("{s:b}", "removed", true);
    return 0;
}

/* The worker is who asked for it: the name that the journal gets. */
static int start(struct asked *a, const char *step)
{
    const struct visit *v = http_user(a->j->q);
    const struct workshop *w = a->j->w;
    if (jobs_has(w->jobs, NULL)) {
        refuse_as(a->e, 409, "invalid_request_error", "busy", NULL, "another project is being worked on, and only one is at a time: wait for it, or stop it");
        return 0;
    }
    TRY(project_set(a->p, "worker", json_string(v->rights.name), a->err));
    TRY(project_state(a->p, step, "running", "", a->err));
    TRY(project_save(w->o.folder, a->p, a->err));
    a->out = json_deep_copy(a->p);
    TRY(jobs_start(w->jobs, a->p, a->err));
    a->p = NULL;
    return 0;
}

static int check_goal(struct asked *a, const char *goal, const char *text, const char *label)
{
    json_t *seen;
    char *files = project_path(a->j->w->o.folder, a->j->id, "files");
    const int rc = files ? workshop_look(files, &seen, a->err) : no_memory(a->err);
    mem_free(files);
    TRY(rc);
    const char *kind = tree_text_at(seen, "kind");
    const json_t *table = json_object_get(seen, "table");
    const bool images = !strcmp(goal, "images"), classes = !strcmp(goal, "classes");
    int done = 0;
    if (json_integer_value(json_object_get(seen, "parts")))
        refuse(a->e, NULL, "%lld files did not arrive whole: bring them again, or remove them", (long long)json_integer_value(json_object_get(seen, "parts")));
    else if (!strcmp(kind, "nothing") || !strcmp(kind, "mixed"))
        refuse(a->e, NULL, !strcmp(kind, "nothing") ? "there are no files yet" : "there are files of several kinds: expected texts, or one table, or images, and nothing else");
    else if (images != !strcmp(kind, "images") || (classes && !table))
        refuse(a->e, "goal", "that cannot be made of these files: texts teach a writer, a table a writer or a reader, images a viewer");
    else if (images && json_is_true(json_object_get(seen, "more_classes")))
        refuse(a->e, NULL, "the images lie in more than %d folders, and each of them is a class: bring fewer", WORKSHOP_CLASSES);
    else if (images && json_integer_value(json_object_get(seen, "bare")))
        refuse(a->e, NULL, "%lld images lie in no folder: the folder that an image is in says its class", (long long)json_integer_value(json_object_get(seen, "bare")));
    else if (table && !workshop_has_column(table, text))
        refuse(a->e, "text", "the table has no usable column '%.60s'", text);
    else if (classes && (!workshop_has_column(table, label) || !strcmp(text, label)))
        refuse(a->e, "label", *label ? "the table has no other usable column '%.60s'" : "which column has the labels?", label);
    else
        done = project_set(a->p, "file", json_string(table ? tree_text_at(table, "file") : ""), a->err);
    json_decref(seen);
    return done;
}

/* The model that is gone on from, and where it lies now. */
static int set_base(struct asked *a, const char *base, int goal)
{
    char *path = NULL;
    int rc = 0;
    if (*base && goal == IMAGES)
        refuse(a->e, "base", "models of images begin from nothing here");
    else if (*base && (rc = workshop_base_path(&a->j->w->o, base, &path, a->err)) == ERR_NOTFOUND)
        refuse(a->e, "base", "%s", a->err->msg), rc = 0;
    if (!rc && !a->e->status)
        rc = project_set(a->p, "base", json_string(base), a->err);
    if (!rc && !a->e->status)
        rc = project_set(a->p, "base_path", json_string(path ? path : ""), a->err);
    mem_free(path);
    return rc;
}

static int answer_look(struct asked *a)
{
    struct in f;
    static const char *const goals[] = { "texts", "classes", [IMAGES] = "images" };
    int goal = 0;
    in_begin(&f, a->body, a->e, "%s", "");
    in_choice(&f, "goal", "texts|classes|images", &goal);
    const char *text = text_in(&f, "text", 63), *label = text_in(&f, "label", 63), *licence = text_in(&f, "licence", 100), *base = text_in(&f, "base", BASE_MAX);
    in_end(&f, NULL);
    if (a->e->status)
        return 0;
    TRY(check_goal(a, goals[goal], text, label));
    if (a->e->status)
        return 0;
    TRY(set_base(a, base, goal));
    if (a->e->status)
        return 0;
    const struct { const char *name, *value; } set[] = { { "goal", goals[goal] }, { "text", text }, { "label", label }, { "licence", licence }, { "recipe", "" } };
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        TRY(project_set(a->p, set[i].name, json_string(set[i].value), a->err));
    return start(a, "look");
}

static bool was_looked_at(const json_t *p)
{
    const char *step = tree_text_at(p, "step");
    return strcmp(step, "look") ? strcmp(step, "files") != 0 : !strcmp(tree_text_at(p, "state"), "done");
}

static int answer_train(struct asked *a)
{
    struct in f;
    in_begin(&f, a->body, a->e, "%s", "");
    const char *recipe = text_in(&f, "recipe", 30);
    in_end(&f, NULL);
    if (a->e->status)
        return 0;
    if (!was_looked_at(a->p))
        refuse_as(a->e, 409, "invalid_request_error", NULL, NULL, "look at the data first");
    else if (!workshop_recipe_find(a->p, recipe))
        refuse(a->e, "recipe", "there is no recipe '%s' for this", recipe);
    if (a->e->status)
        return 0;
    TRY(project_set(a->p, "recipe", json_string(recipe), a->err));
    return start(a, "train");
}

static int answer_stop(struct asked *a)
{
    if (!jobs_stop(a->j->w->jobs, a->j->id))
        refuse_as(a->e, 409, "invalid_request_error", NULL, NULL, "nothing of it runs");
    else
        a->out = json_pack("{s:b}", "stopping", true);
    return 0;
}

static int answer_register(struct asked *a)
{
    struct in f;
    in_begin(&f, a->body, a->e, "%s", "");
    const char *name = text_in(&f, "name", REGISTRY_NAME - sizeof LIFE_DATA), *reason = text_in(&f, "reason", REASON_MAX);
    in_end(&f, NULL);
    const bool trained = !strcmp(tree_text_at(a->p, "step"), "register") || (!strcmp(tree_text_at(a->p, "step"), "train") && !strcmp(tree_text_at(a->p, "state"), "done"));
    if (!a->j->w->o.registry)
        refuse_as(a->e, 404, "not_found_error", "no_registry", NULL, "there is no registry here: lathe serve --registry");
    else if (!trained)
        refuse_as(a->e, 409, "invalid_request_error", NULL, NULL, "nothing is trained yet");
    else if (!registry_name_ok(name) || *name == '-')
        refuse(a->e, "name", "a name has letters, digits, '.', '_' and '-', no spaces, and does not begin with '-', found '%.60s'", name);
    else if (is_blank(reason))
        refuse(a->e, "reason", "reason is missing: why, for the history");
    if (a->e->status)
        return 0;
    TRY(project_set(a->p, "version_name", json_string(name), a->err));
    TRY(project_set(a->p, "reason", json_string(reason), a->err));
    return start(a, "register");
}

/* ---- what is shown ---- */

static int answer_view(struct asked *a, bool all)
{
    TRY(workshop_view(a->j->w->o.folder, a->p, all, &a->out, a->err));
    return json_object_set_new(a->out, "stopping", json_boolean(jobs_stops(a->j->w->jobs, a->j->id))) ? no_memory(a->err) : 0;
}

static int answer_metrics(struct asked *a)
{
    const char *from = http_query(a->j->q, "from");
    const uint64_t at = from ? query_number(a->j, "from", a->e) : 0;
    return a->e->status ? 0 : workshop_metrics(a->j->w->o.folder, a->j->id, at, METRICS_MAX, &a->out, a->err);
}

static int answer_file(struct asked *a)
{
    const char *path = query(a->j, "path", a->e);
    if (a->e->status)
        return 0;
    return workshop_file(a->j->w->o.folder, a->j->id, path, SHOWN_MAX, &a->raw, &a->type, a->err);
}

/* ---- which ---- */

static const struct { const char *what; bool posts, json, changes; int (*answer)(struct asked *a); } works[] = {
    { "metrics", false, false, false, answer_metrics }, { "file", false, false, false, answer_file }, { "piece", true, false, true, answer_piece }, { "look", true, true, true, answer_look },
    { "train", true, true, true, answer_train }, { "stop", true, true, false, answer_stop }, { "register", true, true, true, answer_register }, { "remove", true, true, true, answer_remove },
};

static int answer_project(struct asked *a)
{
    const struct job *j = a->j;
    TRY(project_load(j->w->o.folder, j->id, &a->p, a->err));
    if (!j->posts && (!*j->what || !strcmp(j->what, "state")))
        return answer_view(a, !*j->what);
    for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
        if (strcmp(works[i].what, j->what) || works[i].posts != j->posts)
            continue;
        if (works[i].changes && jobs_has(j->w->jobs, j->id)) {
            refuse_as(a->e, 409, "invalid_request_error", "busy", NULL, "it is being worked on: wait for it, or stop it");
            return 0;
        }
        json_t *body = works[i].json ? in_parse(j->body.data, j->body.len, a->e) : NULL;
        a->body = body;
        const int rc = a->e->status ? 0 : works[i].answer(a);
        json_decref(body);
        return rc;
    }
    refuse_as(a->e, 404, "not_found_error", NULL, NULL, "there is nothing under this path");
    return 0;
}

static int answer_any(struct asked *a)
{
    if (*a->j->id)
        return answer_project(a);
    if (!a->j->posts)
        return answer_list(a);
    json_t *body = in_parse(a->j->body.data, a->j->body.len, a->e);
    a->body = body;
    const int rc = a->e->status ? 0 : answer_create(a);
    json_decref(body);
    return rc;
}

static void refuse_error(struct refusal *e, int rc, const struct err *err)
{
    if (rc == ERR_NOTFOUND)
        refuse_as(e, 404, "not_found_error", "not_found", NULL, "%s", err->msg);
    else if (rc == ERR_USAGE || rc == ERR_RANGE || rc == ERR_FORMAT)
        refuse_as(e, 400, NULL, NULL, NULL, "%s", err->msg);
    else if (rc == ERR_BUSY)
        refuse_as(e, 409, "invalid_request_error", "busy", NULL, "%s", err->msg);
    else
        refuse_as(e, 503, "unavailable_error", "workshop_unavailable", NULL, "%s", err->msg);
}

static void reply(struct asked *a)
{
    struct http_request *q = a->j->q;
    if (a->e->status) {
        exchange_refuse(q, a->j->d, a->e);
    } else if (a->type) {
        http_add_header(q, "X-Content-Type-Options", "nosniff");
        http_add_header(q, "Content-Security-Policy", "sandbox");
        http_add_header(q, "Cache-Control", "no-store");
        http_reply(q, 200, a->type, a->raw.data, a->raw.len);
    } else {
        exchange_reply_json(q, a->j->d, a->out);
        a->out = NULL;
    }
}

static bool answer(void *ctx, bool stop)
{
    struct job *j = ctx;
    struct refusal e = { 0 };
    struct err err = { 0 };
    struct asked a = { .j = j, .e = &e, .err = &err };
    buf_init(&a.raw);
    if (stop) {
        refuse_as(&e, 503, NULL, NULL, NULL, "%s", WISH_ENDS);
    } else {
        const int rc = answer_any(&a);
        if (rc)
            refuse_error(&e, rc, &err);
    }
    buf_release(&j->body);
    reply(&a);
    json_decref(a.out), json_decref(a.p);
    buf_release(&a.raw);
    mem_free(j);
    return false;
}

/* ---- the path, and who may ---- */

static void check_rights(struct http_request *q, struct refusal *e)
{
    const struct visit *v = http_user(q);
    if (!(v->client && v->rights.admin))
        refuse_as(e, 403, NULL, "admin_key_needed", NULL, "the workshop is an administrator's: use a key that has 'admin: true' in the file of --keys");
}

static void read_path(struct job *j, struct refusal *e)
{
    const char *at = http_path(j->q) + strlen(ROOT), *slash;
    if (!*at)
        return;
    slash = *at == '/' ? strchrnul(at + 1, '/') : at;
    const size_t n = slash > at ? (size_t)(slash - at) - 1 : 0;
    if (n && n < sizeof j->id && strlen(slash) <= sizeof j->what) {
        memcpy(j->id, at + 1, n), j->id[n] = 0;
        snprintf(j->what, sizeof j->what, "%s", *slash ? slash + 1 : "");
    }
    if (!project_id_ok(j->id) || (*slash && !*j->what))
        refuse_as(e, 404, "not_found_error", NULL, NULL, "there is nothing under this path");
}

static struct job *take(struct workshop *w, struct http_request *q, const struct dialect *d, struct refusal *e)
{
    struct job *j = mem_alloc_zero(sizeof *j);
    if (!j) {
        wish_no_memory(e);
        return NULL;
    }
    *j = (struct job){ .turn = { .piece = answer, .ctx = j, .tenant = visit_tenant(q) }, .w = w, .q = q, .d = d, .posts = !strcmp(http_method(q), "POST") };
    buf_init(&j->body);
    read_path(j, e);
    if (j->posts)
        visit_take_request(q, e);
    if (!e->status && j->posts)
        j->body = http_take_body(q);
    return j;
}

void workshop_answer(struct workshop *w, struct http_request *q, const struct dialect *d)
{
    struct refusal e = { 0 };
    struct err err;
    struct job *j = NULL;
    check_rights(q, &e);
    if (!w)
        e = (struct refusal){ 0 }, refuse_as(&e, 404, "not_found_error", "no_workshop", NULL, "there is no workshop here: lathe serve --workshop FOLDER");
    else if (!e.status)
        j = take(w, q, d, &e);
    if (!e.status && turns_add(w->turns, &j->turn, &err) < 0)
        wish_not_taken(&e, &err);
    if (!e.status)
        return;
    exchange_refuse(q, d, &e);
    if (j)
        buf_release(&j->body);
    mem_free(j);
}

/* ---- begin and end ---- */

int workshop_open(struct workshop **out, const struct workshop_opts *o, struct err *err)
{
    struct workshop *w = *out = mem_alloc_zero(sizeof *w);
    if (!w)
        return ERR(err, NOMEM, "no memory for a workshop");
    w->o = *o, w->held = -1;
    int rc = file_mkdirs(o->folder, err);
    if (!rc && (rc = file_lock(o->folder, &w->held, err)) < 0)
        rc = err_context(err, "%s: another server has this workshop", o->folder);
    rc = rc ? rc : project_settle(o->folder, err);
    rc = rc ? rc : count_all(w, err);
    rc = rc ? rc : jobs_new(&w->jobs, o, err);
    rc = rc ? rc : turns_new(&w->turns, QUEUE, NULL, o->wake, o->ctx, err);
    if (rc) {
        workshop_close(w);
        *out = NULL;
    }
    return rc;
}

void workshop_halt(struct workshop *w)
{
    if (!w)
        return;
    turns_halt(w->turns);
    jobs_free(w->jobs);
    w->jobs = NULL;
}

void workshop_close(struct workshop *w)
{
    if (!w)
        return;
    if (w->turns)
        turns_free(w->turns);
    jobs_free(w->jobs);
    file_unlock(&w->held);
    mem_free(w);
}
