#include "serve/workshop_job.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "serve/workshop_images.h"
#include "serve/workshop_labels.h"
#include "serve/workshop_life.h"
#include "serve/workshop_project.h"
#include "serve/workshop_texts.h"
#include "store/evidence_kind.h"

struct jobs {
    struct workshop_opts o;
    pthread_t thread; bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    json_t *p;                               /* that is worked on, or waits for the thread; NULL: none.  Looked into by the thread alone */
    char id[PROJECT_ID], name[80];           /* of p */
    bool ends;
    atomic_bool stop;
};

/* ---- programs ---- */

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to work on a project"); }

/* The words of the stage that failed, else of what ran the stages. */
static void why_it_failed(const char *folder, char *out, size_t n)
{
    *out = 0;
    for (const char *const *stage = life_stages; *stage; stage++) {
        char log[80];
        json_t *record = NULL;
        struct err none;
        char *path = mem_printf("%s/life.run/%s/stage.json", folder, *stage);
        const bool failed = path && file_exists(path) && !tree_load(&record, path, 16 << 20, &none) && (!strcmp(tree_text_at(record, "state"), "failed") || !strcmp(tree_text_at(record, "state"), "refused"));
        mem_free(path);
        json_decref(record);
        snprintf(log, sizeof log, "life.run/%s/log", *stage);
        if (failed && server_program_last_words(folder, log, out, n))
            return;
    }
    if (!server_program_last_words(folder, "program.log", out, n))
        snprintf(out, n, "it ended without a word");
}

static int program(struct jobs *j, const char *folder, char *const *argv, const char *out, int *code, struct err *err)
{
    const struct server_program p = { .folder = folder, .argv = argv, .out = out, .log = "program.log", .actor = tree_text_at(j->p, "worker"), .stop = &j->stop };
    TRY(j->o.run(j->o.run_ctx, &p, code, err));
    return atomic_load(&j->stop) || *code == 4 ? ERR(err, STOPPED, "stopped; it goes on from where it was") : 0;
}

static int run_life(struct jobs *j, const char *folder, const char *until, struct err *err)
{
    char *argv[] = { "lathe", "run", "life.yaml", "--json", "--quiet", until ? "--until" : NULL, (char *)(uintptr_t)until, NULL };
    char why[400];
    int code;
    TRY(program(j, folder, argv, "program.json", &code, err));
    if (!code)
        return 0;
    why_it_failed(folder, why, sizeof why);
    return ERR(err, IO, "%s", why);
}

/* ---- look ---- */

static int load(const char *folder, const char *name, json_t **out, struct err *err)
{
    char *path = file_join(folder, name);
    *out = NULL;
    const int rc = path ? tree_load(out, path, EVIDENCE_BYTES_MAX, err) : no_memory(err);
    mem_free(path);
    return rc;
}

static int remove_at(const char *folder, const char *name, struct err *err)
{
    char *path = file_join(folder, name);
    const int rc = path ? file_remove_tree(path, err) : no_memory(err);
    mem_free(path);
    return rc;
}

/* What the audit kept, in p.  Nothing: that is said with the first fault. */
static int take_totals(json_t *p, const char *folder, struct err *err)
{
    json_t *report;
    TRY(load(folder, "life.run/audit/out/report.json", &report, err));
    const json_t *totals = json_object_get(report, "totals"), *first = json_array_get(json_object_get(json_object_get(report, "faults"), "first"), 0);
    const json_int_t kept = json_integer_value(json_object_get(totals, "kept"));
    int rc = project_set(p, "kept", json_integer(kept), err);
    rc = rc ? rc : project_set(p, "text_bytes", json_integer(json_integer_value(json_object_get(totals, "text_bytes"))), err);
    if (!rc && !kept)
        rc = first ? ERR(err, FORMAT, "nothing of it can be used: %.200s", tree_text_at(first, "why")) : ERR(err, FORMAT, "nothing of it can be used: the audit keeps no record");
    json_decref(report);
    return rc;
}

/* How many lines of the build each split has. */
static int take_splits(json_t *p, const char *folder, struct err *err)
{
    json_t *build;
    TRY(load(folder, "life.run/build/out/build.json", &build, err));
    const json_t *splits = json_object_get(build, "splits");
    static const char *const names[] = { "train", "valid" };
    int rc = 0;
    for (int i = 0; i < 2 && !rc; i++)
        rc = project_set(p, names[i], json_integer(json_integer_value(json_object_get(json_object_get(splits, names[i]), "records"))), err);
    if (!rc && !json_integer_value(json_object_get(p, "valid")))
        rc = ERR(err, FORMAT, "%lld text%s left, too few to hold some out and learn from the others: bring a hundred or more", (long long)json_integer_value(json_object_get(p, "kept")),
                 json_integer_value(json_object_get(p, "kept")) == 1 ? " is" : "s are");
    json_decref(build);
    return rc;
}

/* A build that was cut off is begun anew. */
static int forget_unfinished(const char *folder, const char *stage, struct err *err)
{
    char name[80];
    json_t *record = NULL;
    struct err none;
    snprintf(name, sizeof name, "life.run/%s/stage.json", stage);
    const bool done = !load(folder, name, &record, &none) && !strcmp(tree_text_at(record, "state"), "done");
    json_decref(record);
    snprintf(name, sizeof name, "life.run/%s", stage);
    return done ? 0 : remove_at(folder, name, err);
}

static int no_plan(const char *folder, const struct workshop_recipe *r, const char *why, struct err *err)
{
    char name[60];
    snprintf(name, sizeof name, "plans/%s.why", r->name);
    char *path = file_join(folder, name);
    const int rc = path ? file_write_all(path, why, strlen(why), err) : no_memory(err);
    mem_free(path);
    return rc;
}

static int plan(struct jobs *j, const char *folder, const struct workshop_recipe *r, struct err *err)
{
    char config[60], out[60], result[60], why[400];
    int code;
    if (r->lora && !strcmp(r->goal, "classes") && life_base_is_file(j->p))
        return no_plan(folder, r, "this model is a GGUF file, which has no place for a head that tells labels: train all of it, or go on from its folder", err);
    snprintf(config, sizeof config, "recipes/%s.yaml", r->name), snprintf(out, sizeof out, "plans/%s", r->name), snprintf(result, sizeof result, "plans/%s.json", r->name);
    TRY(life_write_recipe(folder, j->p, r, err));
    char *argv[] = { "lathe", "train", config, "--out", out, "--dry-run", "--json", "--quiet", NULL };
    TRY(program(j, folder, argv, result, &code, err));
    TRY(remove_at(folder, out, err));
    if (!code)
        return 0;
    TRY(remove_at(folder, result, err));
    if (!server_program_last_words(folder, "program.log", why, sizeof why))
        snprintf(why, sizeof why, "there can be no plan of it");
    return no_plan(folder, r, why, err);
}

static int plan_all(struct jobs *j, const char *folder, struct err *err)
{
    char *plans = file_join(folder, "plans");
    int rc = plans ? file_remove_tree(plans, err) : no_memory(err);
    rc = rc ? rc : file_mkdirs(plans, err);
    mem_free(plans);
    for (int i = 0; i < workshop_n_recipe && !rc; i++)
        if (workshop_recipe_fits(&workshop_recipes[i], j->p))
            rc = plan(j, folder, &workshop_recipes[i], err);
    return rc;
}

static int look(struct jobs *j, const char *folder, struct err *err)
{
    const bool images = !strcmp(tree_text_at(j->p, "goal"), "images");
    TRY(remove_at(folder, "plans", err));
    TRY(life_write_data(folder, j->p, err));
    TRY(life_write(folder, j->p, LIFE_AUDIT, NULL, err));
    TRY(run_life(j, folder, "card", err));
    TRY(take_totals(j->p, folder, err));
    TRY(life_write(folder, j->p, LIFE_BUILD, NULL, err));
    if (images) {
        TRY(workshop_images(folder, j->p, err));
    } else {
        TRY(forget_unfinished(folder, "build", err));
        TRY(run_life(j, folder, "build", err));
        TRY(life_cuts_texts(j->p) ? workshop_texts(folder, j->p, err) : take_splits(j->p, folder, err));
        if (!strcmp(tree_text_at(j->p, "goal"), "classes"))
            TRY(workshop_labels(folder, j->p, err));
    }
    TRY(project_save(j->o.folder, j->p, err));
    return plan_all(j, folder, err);
}

/* ---- the others ---- */

static int train(struct jobs *j, const char *folder, struct err *err)
{
    const struct workshop_recipe *r = workshop_recipe_find(j->p, tree_text_at(j->p, "recipe"));
    if (!r)
        return ERR(err, NOTFOUND, "there is no recipe '%.40s'", tree_text_at(j->p, "recipe"));
    TRY(life_write_recipe(folder, j->p, r, err));
    TRY(life_write(folder, j->p, LIFE_TRAIN, NULL, err));
    return run_life(j, folder, NULL, err);
}

static int take_version(json_t *p, const char *folder, struct err *err)
{
    json_t *added;
    TRY(load(folder, "life.run/register/result.json", &added, err));
    const int rc = project_set(p, "number", json_integer(json_integer_value(json_object_get(added, "number"))), err);
    json_decref(added);
    return rc;
}

static int enter(struct jobs *j, const char *folder, struct err *err)
{
    TRY(life_write(folder, j->p, LIFE_REGISTER, j->o.registry, err));
    TRY(run_life(j, folder, NULL, err));
    return take_version(j->p, folder, err);
}

/* ---- the thread ---- */

static void work(struct jobs *j)
{
    const char *step = tree_text_at(j->p, "step");
    struct err err = { 0 };
    char *folder = project_path(j->o.folder, tree_text_at(j->p, "id"), NULL);
    int rc = !folder ? no_memory(&err) : !strcmp(step, "look") ? look(j, folder, &err) : !strcmp(step, "train") ? train(j, folder, &err) : enter(j, folder, &err);
    mem_free(folder);
    const char *state = !rc ? "done" : rc == ERR_STOPPED ? "stopped" : "failed";
    if (project_set(j->p, "message", json_string(rc ? err.msg : ""), &err) || project_set(j->p, "state", json_string(state), &err))
        log_warn("workshop: project %s: %s", tree_text_at(j->p, "id"), err.msg);
}

/* Under the lock: who reads that it is over finds it free. */
static void end(struct jobs *j)
{
    struct err err;
    if (project_save(j->o.folder, j->p, &err))
        log_warn("workshop: what came of project %s is not written: %s", tree_text_at(j->p, "id"), err.msg);
    json_decref(j->p);
    j->p = NULL;
}

static void *run(void *ctx)
{
    struct jobs *j = ctx;
    pthread_mutex_lock(&j->lock);
    while (!j->ends) {
        if (!j->p) {
            pthread_cond_wait(&j->wake, &j->lock);
            continue;
        }
        pthread_mutex_unlock(&j->lock);
        work(j);
        pthread_mutex_lock(&j->lock);
        end(j);
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

int jobs_new(struct jobs **out, const struct workshop_opts *o, struct err *err)
{
    struct jobs *j = *out = mem_alloc_zero(sizeof *j);
    if (!j)
        return no_memory(err);
    j->o = *o;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->wake, NULL);
    const int rc = pthread_create(&j->thread, NULL, run, j) ? ERR(err, IO, "no thread for the workshop") : 0;
    j->has_thread = !rc;
    if (rc) {
        jobs_free(j);
        *out = NULL;
    }
    return rc;
}

void jobs_free(struct jobs *j)
{
    if (!j)
        return;
    pthread_mutex_lock(&j->lock);
    j->ends = true;
    atomic_store(&j->stop, true);
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
    if (j->has_thread)
        pthread_join(j->thread, NULL);
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->wake);
    json_decref(j->p);
    mem_free(j);
}

int jobs_start(struct jobs *j, json_t *p, struct err *err)
{
    int rc = 0;
    pthread_mutex_lock(&j->lock);
    if (j->ends)
        rc = ERR(err, STOPPED, "the server is about to end");
    else if (j->p)
        rc = ERR(err, BUSY, "'%.60s' is being worked on, and only one project is at a time: wait for it, or stop it", j->name);
    else {
        snprintf(j->id, sizeof j->id, "%s", tree_text_at(p, "id")), snprintf(j->name, sizeof j->name, "%s", tree_text_at(p, "name"));
        j->p = p, atomic_store(&j->stop, false);
    }
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
    return rc;
}

static bool is_of(const struct jobs *j, const char *id) { return j->p && (!id || !strcmp(j->id, id)); }

bool jobs_has(struct jobs *j, const char *id)
{
    pthread_mutex_lock(&j->lock);
    const bool has = is_of(j, id);
    pthread_mutex_unlock(&j->lock);
    return has;
}

bool jobs_stops(struct jobs *j, const char *id)
{
    pthread_mutex_lock(&j->lock);
    const bool stops = is_of(j, id) && atomic_load(&j->stop);
    pthread_mutex_unlock(&j->lock);
    return stops;
}

bool jobs_stop(struct jobs *j, const char *id)
{
    pthread_mutex_lock(&j->lock);
    const bool has = is_of(j, id);
    if (has)
        atomic_store(&j->stop, true);
    pthread_mutex_unlock(&j->lock);
    return has;
}
