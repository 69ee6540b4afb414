#include "serve/releases_view.h"
#include <string.h>
#include "base/tree.h"
#include "store/evidence_kind.h"

#define EVIDENCE_MAX ((size_t)4 << 20)   /* figures of larger files are not looked for */

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to show a registry"); }

/* ---- figures ---- */

/* Unless a newer one is there. */
static int add_figure(json_t *figures, const char *name, const char *of, double value, struct err *err)
{
    char text[200];
    size_t i;
    const json_t *f;
    if (snprintf(text, sizeof text, "%s%s%s", name, *of ? "/" : "", of) >= (int)sizeof text)
        return 0;
    json_array_foreach(figures, i, f)
        if (!strcmp(tree_text_at(f, "figure"), text))
            return 0;
    if (json_array_size(figures) >= RELEASES_FIGURES)
        return 0;
    return json_array_append_new(figures, json_pack("{s:s, s:f}", "figure", text, "value", value)) ? no_memory(err) : 0;
}

/* results.TASK["METRIC,FILTER"], without their standard errors. */
static int add_tasks(json_t *figures, json_t *results, struct err *err)
{
    const char *task, *metric;
    json_t *of, *value;
    json_object_foreach(results, task, of)
        json_object_foreach(of, metric, value) {
            char name[120];
            const char *comma = strchr(metric, ',');
            if (!comma || !json_is_number(value) || strstr(metric, "_stderr"))
                continue;
            snprintf(name, sizeof name, "%.*s", (int)(comma - metric), metric);
            TRY(add_figure(figures, task, name, json_number_value(value), err));
        }
    return 0;
}

static int add_figures(json_t *figures, const json_t *tree, struct err *err)
{
    size_t i;
    const json_t *f;
    json_array_foreach(json_object_get(tree, "figures"), i, f)
        if (json_is_number(json_object_get(f, "value")))
            TRY(add_figure(figures, tree_text_at(f, "name"), tree_text_at(f, "of"), tree_number_at(f, "value"), err));
    return add_tasks(figures, json_object_get(tree, "results"), err);
}

/* Evidence that cannot be read has no figures: lathe registry verify says what is wrong with it. */
static int read_figures(struct registry *g, json_t *figures, const json_t *e, struct err *err)
{
    struct buf text;
    json_t *tree = NULL;
    buf_init(&text);
    int rc = blob_get(registry_folder(g), tree_text_at(e, "blob"), EVIDENCE_MAX, &text, err);
    rc = rc ? rc : tree_parse_json(&tree, text.data, text.len, "evidence", err);
    rc = !rc ? add_figures(figures, tree, err) : rc == ERR_NOMEM ? rc : 0;
    json_decref(tree);
    buf_release(&text);
    return rc;
}

static int put_figures(struct registry *g, json_t *version, struct err *err)
{
    const json_t *evidence = json_object_get(version, "evidence");
    json_t *figures = json_array();
    if (!figures || json_object_set_new(version, "figures", figures))
        return no_memory(err);
    for (size_t i = json_array_size(evidence); i-- > 0;) {
        json_t *e = json_array_get(evidence, i);
        const char *kind = tree_text_at(e, "kind");
        const bool evaluation = evidence_is_evaluation(kind);
        if (json_object_set_new(e, "evaluation", json_boolean(evaluation)))
            return no_memory(err);
        if (evaluation || !strcmp(kind, "compare"))
            TRY(read_figures(g, figures, e, err));
    }
    return 0;
}

/* ---- versions ---- */

static int add_version(struct registry *g, json_t *versions, const char *name, int64_t number, struct err *err)
{
    struct registry_ref ref = { .number = number };
    struct registry_version v;
    json_t *o;
    snprintf(ref.name, sizeof ref.name, "%s", name);
    TRY(registry_find(g, &ref, &v, err));
    TRY(registry_show(g, &v, &o, err));
    json_object_del(o, "files");
    const int rc = json_array_append(versions, o) ? no_memory(err) : put_figures(g, o, err);
    json_decref(o);
    return rc;
}

static int add_versions(struct registry *g, json_t *out, const char *name, struct err *err)
{
    json_t *numbers, *n, *versions = json_array();
    size_t i;
    int rc = 0;
    if (!versions || json_object_set_new(out, "versions", versions))
        return no_memory(err);
    TRY(registry_numbers(g, name, &numbers, err));
    const size_t all = json_array_size(numbers);
    json_array_foreach(numbers, i, n) {
        if (i == RELEASES_VERSIONS || (rc = add_version(g, versions, name, json_integer_value(n), err)))
            break;
    }
    json_decref(numbers);
    TRY(rc);
    return json_object_set_new(out, "more", json_integer(all > RELEASES_VERSIONS ? (json_int_t)(all - RELEASES_VERSIONS) : 0)) ? no_memory(err) : 0;
}

/* ---- releases ---- */

json_t *release_json(const struct registry_release *r)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:f, s:I, s:s}", "name", r->name, "alias", r->alias, "stable", (json_int_t)r->stable, "previous",
                     (json_int_t)r->previous, "candidate", (json_int_t)r->candidate, "mode",
                     release_mode_name(r->mode), "share", r->share / (double)RELEASE_ALL, "seq",
                     (json_int_t)r->seq, "t", r->t);
}

static int add_release(struct registry *g, json_t *releases, const char *name, const char *alias, struct err *err)
{
    struct registry_release r;
    json_t *servers;
    TRY(registry_release_get(g, name, alias, &r, err));
    TRY(registry_server_states(g, name, alias, &servers, err));
    json_t *o = release_json(&r);
    int rc = json_object_set_new(o, "servers", servers) ? no_memory(err) : 0;
    rc = json_array_append_new(releases, o) && !rc ? no_memory(err) : rc;
    return rc;
}

static int add_releases(struct registry *g, json_t *out, const char *name, struct err *err)
{
    json_t *aliases, *a, *releases = json_array();
    size_t i;
    int rc = 0;
    if (!releases || json_object_set_new(out, "releases", releases))
        return no_memory(err);
    TRY(registry_aliases(g, name, &aliases, err));
    json_array_foreach(aliases, i, a)
        if ((rc = add_release(g, releases, name, tree_text_at(a, "alias"), err)))
            break;
    json_decref(aliases);
    return rc;
}

int releases_view(struct registry *g, const char *name, json_t **out, struct err *err)
{
    struct registry_ref ref = { .number = 0 };
    struct registry_version last;
    *out = NULL;
    snprintf(ref.name, sizeof ref.name, "%s", name);
    TRY(registry_find(g, &ref, &last, err));
    json_t *o = json_pack("{s:s}", "name", name);
    int rc = o ? add_versions(g, o, name, err) : no_memory(err);
    rc = rc ? rc : add_releases(g, o, name, err);
    if (rc)
        json_decref(o);
    else
        *out = o;
    return rc;
}

/* ---- what was recorded ---- */

static int keep_versions(struct registry *g, const char *name, const json_t *all, json_t *versions, struct err *err)
{
    size_t i;
    json_t *one;
    json_array_foreach(all, i, one) {
        int64_t number;
        TRY(registry_number_of_root(g, name, tree_text_at(one, "root"), &number, err));
        if (number && (json_object_set_new(one, "version", json_integer(number)) || json_array_append(versions, one)))
            return no_memory(err);
    }
    return 0;
}

/* {name, since, versions} of what was recorded; all: its entries by root, which goes. */
static int of_versions(struct registry *g, const char *name, int64_t since, json_t *all, json_t **out, struct err *err)
{
    char t[WHEN_TEXT];
    json_t *versions = json_array();
    const int rc = versions ? keep_versions(g, name, all, versions, err) : no_memory(err);
    json_decref(all);
    when_text(t, since);
    *out = rc ? NULL : json_pack("{s:s, s:s, s:O}", "name", name, "since", t, "versions", versions);
    json_decref(versions);
    return rc ? rc : *out ? 0 : no_memory(err);
}

int releases_view_events(struct registry *g, struct events *e, const char *name, int64_t since, json_t **out, struct err *err)
{
    json_t *all;
    *out = NULL;
    TRY(events_summary(e, &(struct events_where){ .since = since }, &all, err));
    return of_versions(g, name, since, all, out, err);
}

int releases_view_traffic(struct registry *g, struct events *e, const char *name, int64_t since, int64_t step, json_t **out, struct err *err)
{
    json_t *all;
    *out = NULL;
    TRY(events_traffic(e, &(struct events_where){ .since = since, .until = since + RELEASES_STEPS * step }, step, &all, err));
    TRY(of_versions(g, name, since, all, out, err));
    if (!json_object_set_new(*out, "step_s", json_real((double)step / 1e9)) && !json_object_set_new(*out, "steps", json_integer(RELEASES_STEPS)))
        return 0;
    json_decref(*out);
    *out = NULL;
    return no_memory(err);
}

/* ---- lineage ---- */

static bool has_run(const json_t *files)
{
    size_t i;
    const json_t *f;
    json_array_foreach(files, i, f)
        if (!strcmp(tree_text_at(f, "name"), "metrics.jsonl"))
            return true;
    return false;
}

/* What is no version of this registry, another's words, has no more to say. */
static int add_node(struct registry *g, json_t *nodes, const char *id, struct err *err)
{
    struct registry_version v;
    json_t *o, *shown = NULL;
    const int rc = registry_find_text(g, id, &v, err);
    if (rc && rc != ERR_NOTFOUND && rc != ERR_USAGE)
        return rc;
    if (!rc)
        TRY(registry_show(g, &v, &shown, err));
    o = shown ? json_pack("{s:s, s:O, s:O, s:O, s:O, s:b, s:O, s:O}", "id", id, "name", json_object_get(shown, "name"), "number", json_object_get(shown, "number"), "kind", json_object_get(shown, "kind"), "t",
                          json_object_get(shown, "t"), "trained", has_run(json_object_get(shown, "files")), "aliases", json_object_get(shown, "aliases"), "evidence", json_object_get(shown, "evidence"))
              : json_pack("{s:s}", "id", id);
    json_decref(shown);
    return json_array_append_new(nodes, o) ? no_memory(err) : 0;
}

static bool has_node(const json_t *nodes, const char *id)
{
    size_t i;
    const json_t *n;
    json_array_foreach(nodes, i, n)
        if (!strcmp(tree_text_at(n, "id"), id))
            return true;
    return false;
}

static int add_nodes(struct registry *g, json_t *nodes, const json_t *lineage, struct err *err)
{
    static const char *const ends[] = { "parent", "child" };
    size_t i;
    const json_t *edge;
    TRY(add_node(g, nodes, tree_text_at(lineage, "of"), err));
    json_array_foreach(json_object_get(lineage, "edges"), i, edge)
        for (int k = 0; k < 2; k++) {
            const char *id = tree_text_at(edge, ends[k]);
            if (!has_node(nodes, id) && json_array_size(nodes) < RELEASES_NODES)
                TRY(add_node(g, nodes, id, err));
        }
    return 0;
}

int releases_view_lineage(struct registry *g, const struct registry_version *v, json_t **out, struct err *err)
{
    TRY(registry_lineage(g, v, out, err));
    json_t *nodes = json_array();
    const int rc = !nodes || json_object_set_new(*out, "nodes", nodes) ? no_memory(err) : add_nodes(g, nodes, *out, err);
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}
