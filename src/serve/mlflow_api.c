#include "serve/mlflow_api.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"
#include "base/tree.h"
#include "store/about.h"
#include "store/release.h"

const char *const mlflow_query_names[] = { "name", "version", "alias", "filter", "max_results", "order_by", "page_token", "stages", NULL };

/* ---- errors ---- */

const char *mlflow_code(const struct refusal *e)
{
    static const struct { int status; const char *code; } codes[] = {
        { 400, "INVALID_PARAMETER_VALUE" }, { 401, "UNAUTHENTICATED" }, { 403, "PERMISSION_DENIED" }, { 404, "ENDPOINT_NOT_FOUND" }, { 405, "ENDPOINT_NOT_FOUND" },
        { 429, "REQUEST_LIMIT_EXCEEDED" }, { 503, "TEMPORARILY_UNAVAILABLE" } };
    if (e->code && !strncmp(e->code, "RESOURCE_", strlen("RESOURCE_")))
        return e->code;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (e->status == codes[i].status)
            return codes[i].code;
    return e->status < 500 ? "BAD_REQUEST" : "INTERNAL_ERROR";
}

void mlflow_refuse_err(struct refusal *e, const struct err *err)
{
    switch (err->code) {
    case ERR_NOTFOUND: refuse_as(e, 404, NULL, "RESOURCE_DOES_NOT_EXIST", NULL, "%s", err->msg); break;
    case ERR_GATE: refuse_as(e, 403, NULL, NULL, NULL, "%s", err->msg); break;
    case ERR_BUSY: case ERR_NOMEM: case ERR_STOPPED: refuse_as(e, 503, NULL, NULL, NULL, "%s", err->msg); break;
    case ERR_IO: case ERR_CORRUPT: refuse_as(e, 500, NULL, NULL, NULL, "%s", err->msg); break;
    default: refuse_as(e, 400, NULL, NULL, NULL, "%s", err->msg);
    }
}

/* An answer of one member, which it takes. */
static json_t *with(struct mlflow_ask *a, const char *key, json_t *value)
{
    json_t *o = value ? json_pack("{s:o}", key, value) : NULL;
    if (!o)
        refuse_as(&a->e, 503, NULL, NULL, NULL, "no memory for the reply");
    return o;
}

static json_t *done(struct mlflow_ask *a, int rc, const struct err *err)
{
    if (rc < 0)
        mlflow_refuse_err(&a->e, err);
    json_t *o = a->e.status ? NULL : json_object();
    if (!o)
        refuse_as(&a->e, 503, NULL, NULL, NULL, "no memory for the reply");
    return o;
}

static struct journal_by by_of(const struct mlflow_ask *a) { return (struct journal_by){ .actor = a->actor, .reason = "MLflow" }; }

/* ---- what a request names ---- */

static const char *required(struct mlflow_ask *a, struct in *f, const char *key)
{
    const char *s = NULL;
    in_str(f, key, &s, NULL);
    if (!s || !*s)
        refuse(&a->e, key, "%s is missing, expected a text", key);
    return s;
}

/* MLflow's versions are texts of digits. */
static int64_t required_version(struct mlflow_ask *a, struct in *f)
{
    const json_t *v = NULL;
    int64_t n = 0;
    in_any(f, "version", &v);
    const char *s = in_word(v);
    if (s && *s && strlen(s) < 16 && strspn(s, "0123456789") == strlen(s))
        n = strtoll(s, NULL, 10);
    else if (v)
        in_whole(v, &n);
    if (n < 1)
        refuse(&a->e, "version", "version is missing or no number, expected one from 1 on");
    return n;
}

/* A registered model, versions being all of its; models alone are shown, no data sets. */
static json_t *find_model(struct mlflow_ask *a, const char *name)
{
    struct err err;
    json_t *list = NULL, *o = NULL;
    if (a->e.status)
        return NULL;
    if (registry_name_ok(name) && registry_names(a->g, name, &list, &err) < 0)
        mlflow_refuse_err(&a->e, &err);
    else if (!json_array_size(list) || strcmp(tree_text_at(json_array_get(list, 0), "kind"), "model"))
        refuse_as(&a->e, 404, NULL, "RESOURCE_DOES_NOT_EXIST", NULL, "Registered Model with name=%.96s not found", name);
    else
        o = json_incref(json_array_get(list, 0));
    json_decref(list);
    return o;
}

static bool there(struct mlflow_ask *a, const char *name)
{
    json_t *o = find_model(a, name);
    json_decref(o);
    return o != NULL;
}

static json_t *tell_model(struct mlflow_ask *a, const char *name)
{
    struct err err;
    json_t *versions = NULL, *o = find_model(a, name), *told = NULL;
    if (o && registry_versions(a->g, name, &versions, &err) < 0)
        mlflow_refuse_err(&a->e, &err);
    else if (o)
        told = with(a, "registered_model", mlflow_model_json(a, o, versions));
    json_decref(versions);
    json_decref(o);
    return told;
}

/* number 0: the last. */
static json_t *find_version(struct mlflow_ask *a, const char *name, int64_t number)
{
    struct err err;
    json_t *list = NULL, *v = NULL;
    if (!there(a, name))
        return NULL;
    if (registry_versions(a->g, name, &list, &err) < 0)
        mlflow_refuse_err(&a->e, &err);
    const size_t n = json_array_size(list);
    for (size_t i = 0; i < n && !v; i++)
        if ((int64_t)tree_number_at(json_array_get(list, i), "number") == number || (!number && i == n - 1))
            v = json_incref(json_array_get(list, i));
    if (!v)
        refuse_as(&a->e, 404, NULL, "RESOURCE_DOES_NOT_EXIST", NULL, "Model Version (name=%.96s, version=%lld) not found", name, (long long)number);
    json_decref(list);
    return v;
}

static json_t *tell_version(struct mlflow_ask *a, const char *name, int64_t number)
{
    json_t *v = find_version(a, name, number), *told = v ? with(a, "model_version", mlflow_version_json(a, v)) : NULL;
    json_decref(v);
    return told;
}

/* ---- tags and descriptions ---- */

static void say(struct mlflow_ask *a, const char *name, int64_t number, const char *key, const char *value)
{
    struct err err;
    const struct journal_by by = by_of(a);
    if (!a->e.status && registry_say(a->g, &(struct registry_said){ name, number, key, value }, &by, &err) < 0)
        mlflow_refuse_err(&a->e, &err);
}

typedef void with_tag(struct mlflow_ask *a, const char *name, int64_t number, const char *key, const char *value);

/* Calls each for the tags of a request, [{ key, value }]. */
static void each_tag(struct mlflow_ask *a, const json_t *tags, with_tag *each, const char *name, int64_t number)
{
    size_t i;
    const json_t *tag;
    json_array_foreach(tags, i, tag) {
        struct in f;
        const char *value = "";
        in_begin(&f, tag, &a->e, "tags[%zu]", i);
        const char *key = required(a, &f, "key");
        in_str(&f, "value", &value, NULL);
        in_end(&f, NULL);
        if (a->e.status)
            return;
        each(a, name, number, key, value);
    }
}

static void check_tag(struct mlflow_ask *a, const char *name, int64_t number, const char *key, const char *value)
{
    struct err err;
    if (registry_said_check(&(struct registry_said){ name, number, key, value }, &err) < 0)
        mlflow_refuse_err(&a->e, &err);
}

static void read_about(struct mlflow_ask *a, struct in *f, const json_t **tags, const char **description)
{
    in_array(f, "tags", tags);
    in_str(f, "description", description, NULL);
    if (*description)
        check_tag(a, "", 0, "", *description);
    each_tag(a, *tags, check_tag, "", 0);
}

static void say_about(struct mlflow_ask *a, const char *name, int64_t number, const json_t *tags, const char *description)
{
    if (description && *description)
        say(a, name, number, "", description);
    each_tag(a, tags, say, name, number);
}

static json_t *tag(struct mlflow_ask *a, bool version, bool removes)
{
    struct in f;
    const char *value = removes ? NULL : "";
    in_begin(&f, a->request, &a->e, "%s", "");
    const char *name = required(a, &f, "name"), *key = required(a, &f, "key");
    const int64_t number = version ? required_version(a, &f) : 0;
    if (!removes)
        in_str(&f, "value", &value, NULL);
    in_end(&f, NULL);
    if (!a->e.status && there(a, name))
        say(a, name, number, key, value);
    return done(a, 0, NULL);
}

static json_t *model_set_tag(struct mlflow_ask *a) { return tag(a, false, false); }
static json_t *model_delete_tag(struct mlflow_ask *a) { return tag(a, false, true); }
static json_t *version_set_tag(struct mlflow_ask *a) { return tag(a, true, false); }
static json_t *version_delete_tag(struct mlflow_ask *a) { return tag(a, true, true); }

/* ---- registered models ---- */

static json_t *model_create(struct mlflow_ask *a)
{
    struct in f;
    struct err err;
    const json_t *tags = NULL;
    const char *description = NULL;
    json_t *list = NULL;
    in_begin(&f, a->request, &a->e, "%s", "");
    const char *name = required(a, &f, "name");
    read_about(a, &f, &tags, &description);
    in_end(&f, NULL);
    const struct journal_by by = by_of(a);
    if (a->e.status)
        return NULL;
    if (registry_name_ok(name) && registry_names(a->g, name, &list, &err) < 0)
        mlflow_refuse_err(&a->e, &err);
    else if (json_array_size(list))
        refuse_as(&a->e, 400, NULL, "RESOURCE_ALREADY_EXISTS", NULL, "Registered Model (name=%.96s) already exists", name);
    else if (registry_create(a->g, name, "model", &by, &err) < 0)
        mlflow_refuse_err(&a->e, &err);
    json_decref(list);
    say_about(a, name, 0, tags, description);
    return tell_model(a, name);
}

static json_t *model_get(struct mlflow_ask *a)
{
    struct in f;
    in_begin(&f, a->request, &a->e, "%s", "");
    const char *name = required(a, &f, "name");
    in_end(&f, NULL);
    return tell_model(a, name);
}

/* Takes a description back where it is empty. */
static void describe(struct mlflow_ask *a, const char *name, int64_t number, const json_t *now, const char *description)
{
    if (description && (*description || *tree_text_at(now, "description")))
        say(a, name, number, "", *description ? description : NULL);
}

static json_t *model_update(struct mlflow_ask *a)
{
    struct in f;
    const char *description = NULL;
    in_begin(&f, a->request, &a->e, "%s", "");
    const char *name = required(a, &f, "name");
    in_str(&f, "description", &description, NULL);
    in_end(&f, NULL);
    json_t *now = find_model(a, name);
    if (now)
        describe(a, name, 0, now, description);
    json_decref(now);
    return tell_model(a, name);
}

static json_t *model_latest(struct mlflow_ask *a)
{
    struct in f;
    const json_t *stages = NULL;
    in_begin(&f, a->request, &a->e, "%s", "");
    const char *name = required(a, &f, "name");
    in_any(&f, "stages", &stages);
    in_end(&f, NULL);
    const char *stage = json_is_array(stages) ? in_word(json_array_get(stages, 0)) : in_word(stages);
    if (stage && strcasecmp(stage, "None"))
        refuse(&a->e, "stages", "found the stage '%.40s': versions have none here, aliases tell them apart", stage);
    json_t *o = find_model(a, name), *list = o ? json_array() : NULL;
    if (list && tree_number_at(o, "last") > 0) {
        json_t *v = find_version(a, name, 0);
        if (v && json_array_append_new(list, mlflow_version_json(a, v)))
            refuse_as(&a->e, 503, NULL, NULL, NULL, "no memory for the reply");
        json_decref(v);
    }
    json_decref(o);
    if (!a->e.status)
        return with(a, "model_versions", list);
    json_decref(list);
    return NULL;
}

static json_t *never(struct mlflow_ask *a, const char *what)
{
    refuse_as(&a->e, 403, NULL, NULL, NULL, "%s", what);
    return NULL;
}

static json_t *model_rename(struct mlflow_ask *a)
{
    return never(a, "a registered model keeps its name, by which the journal, requests and other versions know it: register its versions under a new one");
}

static json_t *model_delete(struct mlflow_ask *a) { return never(a, "a registered model is not deleted, as the registry's journal tells of it: take its aliases away"); }

static json_t *version_delete(struct mlflow_ask *a)
{
    return never(a, "a version is not deleted, as the registry's journal tells of it: move or take away the aliases that name it");
}

static json_t *version_stage(struct mlflow_ask *a) { return never(a, "versions have no stages here: set an alias"); }

/* ---- aliases ---- */

static json_t *alias_set(struct mlflow_ask *a)
{
    struct in f;
    struct err err;
    in_begin(&f, a->request, &a->e, "%s", "");
    const char *name = required(a, &f, "name"), *alias = required(a, &f, "alias");
    const int64_t number = required_version(a, &f);
    in_end(&f, NULL);
    if (a->e.status || !there(a, name))
        return NULL;
    const struct journal_by by = by_of(a);
    return done(a, registry_alias(a->g, &(struct release_move){ .name = name, .alias = alias, .number = number, .expect = -1 }, &by, NULL, NULL, &err), &err);
}

/* One that is not there is gone already. */
static json_t *alias_delete(struct mlflow_ask *a)
{
    struct in f;
    struct err err;
    in_begin(&f, a->request, &a->e, "%s", "");
    const char *name = required(a, &f, "name"), *alias = required(a, &f, "alias");
    in_end(&f, NULL);
    if (a->e.status || !there(a, name))
        return NULL;
    const struct journal_by by = by_of(a);
    const int rc = registry_alias(a->g, &(struct release_move){ .name = name, .alias = alias, .expect = -1 }, &by, NULL, NULL, &err);
    return done(a, rc == ERR_NOTFOUND ? 0 : rc, &err);
}

static json_t *alias_get(struct mlflow_ask *a)
{
    struct in f;
    in_begin(&f, a->request, &a->e, "%s", "");
    const char *name = required(a, &f, "name"), *alias = required(a, &f, "alias");
    in_end(&f, NULL);
    json_t *o = find_model(a, name);
    if (!o)
        return NULL;
    const json_t *number = json_object_get(json_object_get(o, "aliases"), alias);
    const int64_t n = json_integer_value(number);
    if (!number)                                 /* as MLflow's own server says it */
        refuse(&a->e, "alias", "Registered model alias %.96s not found.", alias);
    json_decref(o);
    return number ? tell_version(a, name, n) : NULL;
}

/* ---- versions ---- */

static bool has_scheme(const char *uri) { return uri[strspn(uri, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-")] == ':'; }

static bool is_inside(const char *path, const char *root)
{
    const size_t n = strlen(root);
    return !strncmp(path, root, n) && (path[n] == '/' || !path[n] || n == 1);
}

/* Links in a folder are followed as it is copied in: none may lead out of the root. */
static int check_links(const char *path, const char *root, struct err *err)
{
    struct manifest files;
    int rc = manifest_list(&files, path, NULL, true, err);
    for (int i = 0; !rc && i < files.n; i++) {
        char *full = manifest_path(path, files.file[i].name), *real = full ? realpath(full, NULL) : NULL;
        if (!full)
            rc = ERR(err, NOMEM, "no memory for the path of the source");
        else if (!real || !is_inside(real, root))
            rc = ERR(err, USAGE, "source: '%.200s' leads out of the server's --import-root", files.file[i].name);
        free(real);
        mem_free(full);
    }
    manifest_release(&files);
    return rc;
}

/* source, a path or file:///PATH, as a real path below root, which is one; what is not there and what may not be seen get the same words. */
static int find_source(const char *source, const char *root, char **out, struct err *err)
{
    const char *at = strncmp(source, "file:///", strlen("file:///")) ? source : source + strlen("file://");
    char *asked = *at == '/' ? mem_strdup(at) : mem_printf("%s/%s", root, at), *path = asked ? realpath(asked, NULL) : NULL;
    int rc = asked ? 0 : ERR(err, NOMEM, "no memory for the path of the source");
    if (!rc && (!path || !is_inside(path, root)))
        rc = ERR(err, USAGE, "source is '%.200s', expected a folder or file below the server's --import-root", source);
    if (!rc)
        rc = check_links(path, root, err);
    if (!rc && !(*out = mem_strdup(path)))
        rc = ERR(err, NOMEM, "no memory for the path of the source");
    free(path);
    mem_free(asked);
    return rc;
}

static char *path_of_source(struct mlflow_ask *a, const char *source)
{
    struct err err;
    char *out = NULL;
    if (strncmp(source, "file:///", strlen("file:///")) && has_scheme(source)) {
        refuse(&a->e, "source", "source is '%.200s', which cannot be resolved here: expected a path on the server's machine or file:///PATH", source);
        return NULL;
    }
    if (!a->o->import_root) {
        refuse_as(&a->e, 403, NULL, NULL, NULL, "nothing can be registered from here: lathe registry serve was started without --import-root");
        return NULL;
    }
    char *root = realpath(a->o->import_root, NULL);
    if (!root)
        refuse_as(&a->e, 500, NULL, NULL, NULL, "the server's --import-root is not there any more");
    else if (find_source(source, root, &out, &err) < 0)
        mlflow_refuse_err(&a->e, &err);
    free(root);
    return out;
}

static bool run_ok(const char *run)
{
    return strlen(run) <= 100 && strspn(run, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == strlen(run);
}

/* Copies it in; 0: it is not. */
static int64_t add(struct mlflow_ask *a, const char *name, const char *source, const char *run)
{
    struct err err;
    struct registry_version v = { .number = 0 };
    char reason[400];
    snprintf(reason, sizeof reason, "MLflow: from %.300s", source);
    const struct journal_by by = { .actor = a->actor, .reason = journal_by_check(&(struct journal_by){ .reason = reason }, NULL) ? "MLflow" : reason };
    const struct registry_parent parent = { run, "run" };
    char *path = path_of_source(a, source);
    struct registry_addition addition = { .name = name, .kind = "model", .path = path, .parent = &parent, .n_parent = run && *run };
    char *there = NULL;                                  /* made now: "source" names it */
    if (path && (a->o->add(a->g, &addition, &by, &v, &err) < 0 || registry_path(a->g, &v, &there, &err) < 0))
        mlflow_refuse_err(&a->e, &err);
    mem_free(there);
    mem_free(path);
    return a->e.status ? 0 : v.number;
}

static json_t *version_create(struct mlflow_ask *a)
{
    struct in f;
    const json_t *tags = NULL;
    const char *description = NULL, *run = NULL;
    in_begin(&f, a->request, &a->e, "%s", "");
    const char *name = required(a, &f, "name"), *source = required(a, &f, "source");
    in_str(&f, "run_id", &run, NULL);
    in_only(&f, "run_link", "\"\"");
    read_about(a, &f, &tags, &description);
    in_end(&f, NULL);
    if (run && !run_ok(run))
        refuse(&a->e, "run_id", "run_id is '%.100s', expected letters, digits, '_' and '-', at most 100", run);
    if (a->e.status || !there(a, name))
        return NULL;
    const int64_t number = add(a, name, source, run);
    if (!number)
        return NULL;
    say_about(a, name, number, tags, description);
    return tell_version(a, name, number);
}

/* name and version, and nothing else. */
static const char *read_version(struct mlflow_ask *a, int64_t *number)
{
    struct in f;
    in_begin(&f, a->request, &a->e, "%s", "");
    const char *name = required(a, &f, "name");
    *number = required_version(a, &f);
    in_end(&f, NULL);
    return name;
}

static json_t *version_get(struct mlflow_ask *a)
{
    int64_t number;
    const char *name = read_version(a, &number);
    return tell_version(a, name, number);
}

static json_t *version_update(struct mlflow_ask *a)
{
    struct in f;
    const char *description = NULL;
    in_begin(&f, a->request, &a->e, "%s", "");
    const char *name = required(a, &f, "name");
    const int64_t number = required_version(a, &f);
    in_str(&f, "description", &description, NULL);
    in_end(&f, NULL);
    json_t *now = find_version(a, name, number);
    if (now)
        describe(a, name, number, now, description);
    json_decref(now);
    return tell_version(a, name, number);
}

static json_t *version_uri(struct mlflow_ask *a)
{
    int64_t number;
    struct err err;
    struct registry_version v;
    struct registry_ref ref = { .number = 0 };
    char *path = NULL;
    const char *name = read_version(a, &number);
    json_t *there = find_version(a, name, number);
    if (!there)
        return NULL;
    json_decref(there);
    snprintf(ref.name, sizeof ref.name, "%s", name);
    ref.number = number;
    if (registry_find(a->g, &ref, &v, &err) < 0 || registry_path(a->g, &v, &path, &err) < 0)
        mlflow_refuse_err(&a->e, &err);
    char *full = path ? realpath(path, NULL) : NULL;
    json_t *o = a->e.status ? NULL : with(a, "artifact_uri", full ? json_string(full) : NULL);
    free(full);
    mem_free(path);
    return o;
}

/* ---- paths ---- */

static const struct mlflow_route routes[] = {
    { "POST", "registered-models/create", model_create },
    { "GET", "registered-models/get", model_get },
    { "GET", "registered-models/search", mlflow_search_models },
    { "PATCH", "registered-models/update", model_update },
    { "POST", "registered-models/rename", model_rename },
    { "DELETE", "registered-models/delete", model_delete },
    { "POST", "registered-models/get-latest-versions", model_latest },
    { "GET", "registered-models/get-latest-versions", model_latest },
    { "POST", "registered-models/set-tag", model_set_tag },
    { "DELETE", "registered-models/delete-tag", model_delete_tag },
    { "POST", "registered-models/alias", alias_set },
    { "GET", "registered-models/alias", alias_get },
    { "DELETE", "registered-models/alias", alias_delete },
    { "POST", "model-versions/create", version_create },
    { "GET", "model-versions/get", version_get },
    { "GET", "model-versions/search", mlflow_search_versions },
    { "PATCH", "model-versions/update", version_update },
    { "DELETE", "model-versions/delete", version_delete },
    { "POST", "model-versions/transition-stage", version_stage },
    { "GET", "model-versions/get-download-uri", version_uri },
    { "POST", "model-versions/set-tag", version_set_tag },
    { "DELETE", "model-versions/delete-tag", version_delete_tag },
};

const struct mlflow_route *mlflow_route_of(const char *method, const char *path, const char **allowed, struct refusal *e)
{
    const size_t n = strlen(MLFLOW_PREFIX);
    *allowed = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof *routes && !strncmp(path, MLFLOW_PREFIX, n); i++) {
        if (strcmp(path + n, routes[i].path))
            continue;
        if (!strcmp(method, routes[i].method))
            return &routes[i];
        *allowed = routes[i].method;
    }
    if (*allowed)
        refuse_as(e, 405, NULL, NULL, NULL, "this path is asked with %s", *allowed);
    else
        refuse_as(e, 404, NULL, NULL, NULL, "there is nothing under this path: only MLflow's model registry is here");
    return NULL;
}
