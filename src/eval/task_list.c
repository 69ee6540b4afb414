/* task_list.c - from names to task files: what is built in, folders of task files, groups and tags. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "eval/task_impl.h"

#define DEPTH_MAX 8                /* folders, and groups, within each other */
#define TASKS_MAX 4096

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a list of tasks"); }

/* ---- sources ---- */

void task_source_release(struct task_source *s)
{
    mem_free(s->path);
    mem_free(s->text);
    *s = (struct task_source){ 0 };
}

static int read_source(const char *path, char **text, size_t *n, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = file_read(path, TASK_YAML_MAX, &b, err);
    rc = rc ? rc : buf_reserve(&b, 1, err);
    if (rc)
        buf_release(&b);
    else
        *text = b.data, *n = b.len;
    return rc;
}

/* An include is a file beside the one that names it; of what is built in, another that is. */
static int open_include(void *user, const char *from, const char *include, char **path, char **text, size_t *n, struct err *err)
{
    const struct task_source *s = user;
    const char *slash = strrchr(from, '/');
    if (!s->path) {
        const int rc = task_builtin_text(include, text, n, err);
        *path = mem_strdup(include);
        return rc ? rc : !*path ? no_memory(err) : *text ? 0 : ERR(err, NOTFOUND, "'%s' is not built in", include);
    }
    *path = *include == '/' || !slash ? mem_strdup(include) : mem_printf("%.*s/%s", (int)(slash - from), from, include);
    if (!*path)
        return no_memory(err);
    const int rc = read_source(*path, text, n, err);
    /* What a task includes is part of it: it is no data that are not there. */
    return rc == ERR_NOTFOUND && err ? err->code = ERR_USAGE : rc;
}

int task_source_parse(const struct task_source *s, struct task_yaml *y, struct err *err)
{
    return task_yaml_parse(y, s->text, s->n, s->path ? s->path : "built in", open_include, (void *)(uintptr_t)s, err);
}

/* ---- folders of task files ---- */

static int index_name(json_t *of, const json_t *name, const char *path, bool several, struct err *err)
{
    const char *key = json_string_value(name);
    json_t *list = key ? json_object_get(of, key) : NULL;
    if (!key)
        return 0;
    if (several && !list && json_object_set_new(of, key, list = json_array()))
        return no_memory(err);
    if (several)
        return json_array_append_new(list, json_string(path)) ? no_memory(err) : 0;
    return !list && json_object_set_new(of, key, json_string(path)) ? no_memory(err) : 0;
}

/* A file that is no YAML, or no task, is not one that anybody asked for. */
static int index_file(json_t *index, const char *path, struct err *err)
{
    struct task_source s = { 0 };
    struct task_yaml y = { 0 };
    struct err ignored = { 0 };
    s.path = mem_strdup(path);
    int rc = s.path ? read_source(path, &s.text, &s.n, &ignored) : no_memory(&ignored);
    rc = rc ? rc : task_source_parse(&s, &y, &ignored);
    if (!rc) {
        const json_t *task = json_object_get(y.tree, "task"), *group = json_object_get(y.tree, "group"), *tag = json_object_get(y.tree, "tag");
        const bool is_group = json_is_array(task) || (group && !json_is_string(task));
        rc = is_group ? index_name(json_object_get(index, "group"), group, path, false, err) : index_name(json_object_get(index, "task"), task, path, false, err);
        for (size_t i = 0; !rc && !is_group && i < (json_is_array(tag) ? json_array_size(tag) : 1); i++)
            rc = index_name(json_object_get(index, "tag"), json_is_array(tag) ? json_array_get(tag, i) : tag, path, true, err);
    } else {
        rc = rc == ERR_NOMEM ? no_memory(err) : 0;
    }
    task_yaml_release(&y);
    task_source_release(&s);
    return rc;
}

static int index_folder(json_t *index, const char *dir, int depth, struct err *err)
{
    char **names;
    int n, rc = 0;
    TRY(file_list(dir, &names, &n, err));
    for (int i = 0; !rc && i < n; i++) {
        char *path = file_join(dir, names[i]);
        if (!path)
            rc = no_memory(err);
        else if (file_is_dir(path))
            rc = depth < DEPTH_MAX && *names[i] != '.' ? index_folder(index, path, depth + 1, err) : 0;
        else if (file_name_ends(names[i], ".yaml") || file_name_ends(names[i], ".yml"))
            rc = index_file(index, path, err);
        mem_free(path);
    }
    file_list_free(names, n);
    return rc;
}

int task_index_make(json_t **out, const struct task_opts *o, struct err *err)
{
    *out = json_pack("{s:{}, s:{}, s:{}}", "task", "group", "tag");
    int rc = *out ? 0 : no_memory(err);
    for (int i = 0; !rc && i < o->n_task_dir; i++)
        rc = index_folder(*out, o->task_dir[i], 0, err);
    return rc;
}

static int find_in(struct task_source *s, const json_t *paths, const char *name, struct err *err)
{
    const char *path = json_string_value(json_object_get(paths, name));
    if (!path)
        return 0;
    if (!(s->path = mem_strdup(path)))
        return no_memory(err);
    TRY(read_source(path, &s->text, &s->n, err));
    return 1;
}

int task_source_find(struct task_source *s, const char *name, const json_t *index, struct err *err)
{
    *s = (struct task_source){ 0 };
    if (strchr(name, '/') || file_name_ends(name, ".yaml") || file_name_ends(name, ".yml")) {
        if (!(s->path = mem_strdup(name)))
            return no_memory(err);
        TRY(read_source(name, &s->text, &s->n, err));
        return 1;
    }
    int rc = find_in(s, json_object_get(index, "task"), name, err);
    rc = rc ? rc : find_in(s, json_object_get(index, "group"), name, err);
    if (rc)
        return rc;
    TRY(task_builtin_text(name, &s->text, &s->n, err));
    return s->text != NULL;
}

/* ---- groups ---- */

struct adding { struct task_list *l; const struct task_opts *o; struct err *err; int depth, before; };

static int add_name(struct adding *a, const char *name, const json_t *overrides, int group);

static int own_string(char **out, const char *s, struct err *err) { return (*out = mem_strdup(s)) ? 0 : no_memory(err); }

static int add_to_group(struct adding *a, int group, int task)
{
    for (; group >= 0; group = a->l->group[group].parent) {      /* a group has the tasks of its groups */
        struct task_group *g = &a->l->group[group];
        bool there = false;
        for (int i = 0; i < g->n_task; i++)
            there |= g->task[i] == task;
        if (there)
            continue;
        int *v = mem_realloc_array(g->task, (size_t)g->n_task + 1, sizeof *v);
        if (!v)
            return no_memory(a->err);
        g->task = v;
        g->task[g->n_task++] = task;
    }
    return 0;
}

static int read_group_metric(struct task_group *g, const json_t *c, const struct task_yaml *y, const char *path, struct err *err)
{
    static const char known[] = "metric|aggregation|weight_by_size|filter_list";
    const char *metric = json_string_value(json_object_get(c, "metric")), *aggregation = json_string_value(json_object_get(c, "aggregation")), *key;
    const json_t *filters = json_object_get(c, "filter_list"), *weighted = json_object_get(c, "weight_by_size");
    json_t *v;
    char where[120];
    json_object_foreach((json_t *)(uintptr_t)c, key, v) {
        snprintf(where, sizeof where, "%.60s/%.50s", path, key);
        if (!words_have(known, key))
            return ERR(err, USAGE, "%s: unknown key '%s' of aggregate_metric_list", task_yaml_at(y, where), key);
    }
    if (!metric || (weighted && !json_is_boolean(weighted)) || (json_object_get(c, "aggregation") && (!aggregation || strcmp(aggregation, "mean"))))
        return ERR(err, UNSUPPORTED, "%s: aggregate_metric_list takes a metric, the aggregation mean, and weight_by_size as true or false", task_yaml_at(y, path));
    struct task_group_metric *m = mem_realloc_array(g->metric, (size_t)g->n_metric + 1, sizeof *m);
    if (!m)
        return no_memory(err);
    g->metric = m, m += g->n_metric++;
    *m = (struct task_group_metric){ .weight_by_size = !weighted || json_is_true(weighted) };
    TRY(own_string(&m->metric, metric, err));
    const size_t n = json_is_array(filters) ? json_array_size(filters) : filters != NULL;
    if (n && !(m->filter = mem_alloc_array(n, sizeof *m->filter)))
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_is_array(filters) ? json_array_get(filters, i) : filters);
        if (!name)
            return ERR(err, FORMAT, "%s: filter_list takes names", task_yaml_at(y, path));
        TRY(own_string(&m->filter[m->n_filter++], name, err));
    }
    return 0;
}

static int new_group(struct adding *a, const json_t *tree, const struct task_yaml *y, int parent, int *out)
{
    static const char known[] = "group|group_alias|task|aggregate_metric_list|metadata|tag";
    struct task_list *l = a->l;
    const char *name = json_string_value(json_object_get(tree, "group")), *alias = json_string_value(json_object_get(tree, "group_alias")), *key;
    const json_t *metrics = json_object_get(tree, "aggregate_metric_list"), *version = json_object_get(json_object_get(tree, "metadata"), "version");
    char text[40] = "N/A", path[60];
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)tree, key, v)
        if (!words_have(known, key))
            return ERR(a->err, USAGE, "%s: unknown key '%s' of a group", task_yaml_at(y, key), key);
    struct task_group *g = mem_realloc_array(l->group, (size_t)l->n_group + 1, sizeof *g);
    if (!g)
        return no_memory(a->err);
    l->group = g, g += l->n_group;
    *g = (struct task_group){ .parent = parent };
    *out = l->n_group++;
    if (json_is_number(version))
        snprintf(text, sizeof text, json_is_integer(version) ? "%.0f" : "%.1f", json_number_value(version));
    else if (json_is_string(version))
        utf8_fit(text, sizeof text, json_string_value(version), json_string_length(version));
    if (!name)
        return ERR(a->err, FORMAT, "%s: a group without a name", task_yaml_at(y, "group"));
    TRY(own_string(&g->name, name, a->err));
    TRY(own_string(&g->alias, alias ? alias : name, a->err));
    TRY(own_string(&g->version, text, a->err));
    for (size_t i = 0; i < (json_is_array(metrics) ? json_array_size(metrics) : metrics != NULL); i++) {
        snprintf(path, sizeof path, "aggregate_metric_list/%zu", i);
        TRY(read_group_metric(g, json_is_array(metrics) ? json_array_get(metrics, i) : metrics, y, path, a->err));
    }
    return 0;
}

/* Each of a group's: a name, {task: name, ...what is other}, or a group written out. */
static int add_members(struct adding *a, const json_t *tree, const struct task_yaml *y, int group)
{
    const json_t *list = json_object_get(tree, "task");
    if (++a->depth > DEPTH_MAX)
        return ERR(a->err, FORMAT, "groups within each other more than %d deep", DEPTH_MAX);
    for (size_t i = 0; i < (json_is_array(list) ? json_array_size(list) : list != NULL); i++) {
        const json_t *v = json_is_array(list) ? json_array_get(list, i) : list;
        const char *name = json_string_value(json_is_object(v) ? json_object_get(v, "task") : v);
        int own;
        if (json_is_object(v) && json_object_get(v, "group")) {
            TRY(new_group(a, v, y, group, &own));
            TRY(add_members(a, v, y, own));
        } else if (name) {
            TRY(add_name(a, name, json_object_size(v) > 1 ? v : NULL, group));
        } else {
            return ERR(a->err, FORMAT, "%s: a group's task is neither a name nor keys with values", task_yaml_at(y, "task"));
        }
    }
    a->depth--;
    return 0;
}

static int add_missing(struct adding *a, const char *name, const struct err *why)
{
    struct task_missing *m = mem_realloc_array(a->l->missing, (size_t)a->l->n_missing + 1, sizeof *m);
    if (!m)
        return no_memory(a->err);
    a->l->missing = m, m += a->l->n_missing;
    m->why = *why;
    a->l->n_missing++;
    return own_string(&m->name, name, a->err);
}

static int add_task(struct adding *a, const char *name, const struct task_source *s, const json_t *overrides, int group)
{
    struct task_list *l = a->l;
    struct err why = { 0 };
    for (int i = 0; i < l->n_task; i++)
        if (!strcmp(l->task[i]->name, name)) {
            if (!overrides && !l->task[i]->changed)
                return add_to_group(a, group, i);
            return ERR(a->err, USAGE, "two tasks are named '%s', of which a group changes one; results, samples and replies have one of a name, expected a run for each", name);
        }
    if (l->n_task == TASKS_MAX)
        return ERR(a->err, RANGE, "more than %d tasks", TASKS_MAX);
    struct task **v = mem_realloc_array(l->task, (size_t)l->n_task + 1, sizeof *v);
    if (!v)
        return no_memory(a->err);
    l->task = v;
    const int rc = task_open_source(&v[l->n_task], s, overrides, a->o, &why);
    if (rc == ERR_NOTFOUND && group >= 0)
        return add_missing(a, name, &why);
    if (rc) {
        if (a->err)
            *a->err = why;
        return rc;
    }
    v[l->n_task]->changed = overrides != NULL;
    return add_to_group(a, group, l->n_task++);
}

/* All tasks with a tag, by the paths of their files. */
static int add_tag(struct adding *a, const json_t *paths, int group)
{
    for (size_t i = 0; i < json_array_size(paths); i++)
        TRY(add_name(a, json_string_value(json_array_get(paths, i)), NULL, group));
    return 0;
}

static int add_name(struct adding *a, const char *name, const json_t *overrides, int group)
{
    struct task_source s;
    struct task_yaml y = { 0 };
    const json_t *tag = json_object_get(json_object_get(a->l->index, "tag"), name);
    int rc = task_source_find(&s, name, a->l->index, a->err), own;
    if (!rc) {
        rc = tag ? add_tag(a, tag, group) : ERR(a->err, NOTFOUND, "there is no task, group or tag '%s'; those built in are listed by `lathe eval --tasks list`", name);
    } else if (rc > 0 && !(rc = task_source_parse(&s, &y, a->err))) {
        const json_t *task = json_object_get(y.tree, "task");
        if (json_object_get(y.tree, "group") && !json_is_string(task)) {
            rc = new_group(a, y.tree, &y, group, &own);
            rc = rc ? rc : add_members(a, y.tree, &y, own);
        } else {
            rc = add_task(a, json_is_string(task) ? json_string_value(task) : name, &s, overrides, group);
        }
    }
    task_yaml_release(&y);
    task_source_release(&s);
    return rc;
}

static void release_metrics(struct task_group *g)
{
    for (int m = 0; m < g->n_metric; m++) {
        for (int f = 0; f < g->metric[m].n_filter; f++)
            mem_free(g->metric[m].filter[f]);
        mem_free(g->metric[m].filter);
        mem_free(g->metric[m].metric);
    }
    mem_free(g->metric);
    g->metric = NULL, g->n_metric = 0;
}

int task_list_add(struct task_list *l, const char *name, const struct task_opts *o, struct err *err)
{
    struct err own;
    struct adding a = { l, o, err ? err : &own, 0, l->n_task };
    const int missing = l->n_missing, groups = l->n_group;
    if (!l->index)
        TRY(task_index_make(&l->index, o, a.err));
    const int rc = add_name(&a, name, NULL, -1);
    for (int i = groups; rc && i < l->n_group; i++)          /* of which not all are there: no score */
        release_metrics(&l->group[i]);
    TRY(rc);
    if (l->n_task == a.before && l->n_missing > missing)
        return err_code(err_set(a.err, ERR_NOTFOUND, __FILE__, __LINE__, "'%s': no file of any of its %d tasks is there; of the first: %s", name, l->n_missing - missing,
                                l->missing[missing].why.msg), ERR_NOTFOUND);
    return 0;
}

void task_list_keep(struct task_list *l, const bool *keep)
{
    for (int i = 0; i < l->n_group; i++) {
        struct task_group *g = &l->group[i];
        int n = 0;
        for (int k = 0; k < g->n_task; k++) {
            int to = 0;
            for (int j = 0; j < g->task[k]; j++)
                to += keep[j];
            if (keep[g->task[k]])
                g->task[n++] = to;
        }
        if (n < g->n_task)
            release_metrics(g);
        g->n_task = n;
    }
    int n = 0;
    for (int i = 0; i < l->n_task; i++)
        if (keep[i])
            l->task[n++] = l->task[i];
        else
            task_free(l->task[i]);
    l->n_task = n;
}

static int name_folders(json_t *names, const json_t *of, struct err *err)
{
    const char *name;
    json_t *path;
    json_object_foreach((json_t *)(uintptr_t)of, name, path) {
        size_t i = 0;
        while (i < json_array_size(names) && strcmp(json_string_value(json_array_get(names, i)), name))
            i++;
        if (i == json_array_size(names) && json_array_append_new(names, json_string(name)))
            return no_memory(err);
    }
    return 0;
}

int task_names(json_t **out, struct task_list *l, const struct task_opts *o, struct err *err)
{
    if (!l->index)
        TRY(task_index_make(&l->index, o, err));
    int rc = (*out = json_array()) ? 0 : no_memory(err);
    for (const struct task_builtin *t = task_builtins(); t->name && !rc; t++)
        if (!strchr(t->name, '*') && json_array_append_new(*out, json_string(t->name)))
            rc = no_memory(err);
    rc = rc ? rc : name_folders(*out, json_object_get(l->index, "task"), err);
    rc = rc ? rc : name_folders(*out, json_object_get(l->index, "group"), err);
    if (rc)
        json_decref(*out), *out = NULL;
    return rc;
}

int task_metadata(json_t **out, struct task_list *l, const char *name, const struct task_opts *o, struct err *err)
{
    struct task_source s = { 0 };
    struct task_yaml y = { 0 };
    *out = NULL;
    if (!l->index)
        TRY(task_index_make(&l->index, o, err));
    int rc = task_source_find(&s, name, l->index, err);
    if (rc > 0 && !(rc = task_source_parse(&s, &y, err))) {
        json_t *meta = json_object_get(y.tree, "metadata");
        if (!(*out = json_is_object(meta) ? json_incref(meta) : json_object()))
            rc = no_memory(err);
    } else if (!rc) {
        rc = ERR(err, NOTFOUND, "there is no task or group '%s'", name);
    }
    task_yaml_release(&y);
    task_source_release(&s);
    return rc;
}

void task_list_release(struct task_list *l)
{
    for (int i = 0; i < l->n_task; i++)
        task_free(l->task[i]);
    mem_free(l->task);
    for (int i = 0; i < l->n_group; i++) {
        struct task_group *g = &l->group[i];
        release_metrics(g);
        mem_free(g->task);
        mem_free(g->name), mem_free(g->alias), mem_free(g->version);
    }
    mem_free(l->group);
    for (int i = 0; i < l->n_missing; i++)
        mem_free(l->missing[i].name);
    mem_free(l->missing);
    json_decref(l->index);
    *l = (struct task_list){ 0 };
}
