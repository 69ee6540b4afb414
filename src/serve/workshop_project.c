#include "serve/workshop_project.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/when.h"

#define BYTES_MAX ((size_t)1 << 20)
#define NUMBER_MAX 999999

bool project_id_ok(const char *id) { return *id == 'p' && id[1] >= '1' && id[1] <= '9' && strspn(id + 1, "0123456789") == strlen(id + 1) && strlen(id) < 8; }

char *project_path(const char *workshop, const char *id, const char *name) { return name ? mem_printf("%s/%s/%s", workshop, id, name) : mem_printf("%s/%s", workshop, id); }

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a project"); }

int project_set(json_t *p, const char *key, json_t *value, struct err *err) { return json_object_set_new(p, key, value) ? no_memory(err) : 0; }

int project_state(json_t *p, const char *step, const char *state, const char *message, struct err *err)
{
    TRY(project_set(p, "step", json_string(step), err));
    TRY(project_set(p, "state", json_string(state), err));
    return project_set(p, "message", json_string(message), err);
}

int project_save(const char *workshop, const json_t *p, struct err *err)
{
    char *path = project_path(workshop, tree_text_at(p, "id"), "project.json"), *text = tree_dumps(p, JSON_INDENT(1) | JSON_SORT_KEYS);
    const int rc = path && text ? file_write_all(path, text, strlen(text), err) : no_memory(err);
    mem_free(path), mem_free(text);
    return rc;
}

static int by_number(const void *a, const void *b) { return atoi(*(char *const *)a + 1) - atoi(*(char *const *)b + 1); }

static int each(const char *workshop, int (*of)(const char *workshop, const char *id, void *ctx, struct err *err), void *ctx, struct err *err)
{
    char **name;
    int n, k = 0, rc = 0;
    TRY(file_list(workshop, &name, &n, err));
    char **id = mem_alloc_array((size_t)n + 1, sizeof *id);
    for (int i = 0; i < n && id; i++)
        if (project_id_ok(name[i]))
            id[k++] = name[i];
    if (id && k)
        qsort(id, (size_t)k, sizeof *id, by_number);
    for (int i = 0; i < k && !rc; i++)
        rc = of(workshop, id[i], ctx, err);
    rc = id ? rc : no_memory(err);
    mem_free(id);
    file_list_free(name, n);
    return rc;
}

static int take_highest(const char *workshop, const char *id, void *ctx, struct err *err)
{
    (void)workshop, (void)err;
    const int number = atoi(id + 1);
    *(int *)ctx = number > *(int *)ctx ? number : *(int *)ctx;
    return 0;
}

/* One that no project had, also none that was removed: a page that is still open would show another one under its number.  WORKSHOP/next has it. */
static int next_number(const char *path, const char *workshop, int *out, struct err *err)
{
    struct buf b;
    int highest = 0, rc = 0;
    buf_init(&b);
    if (file_exists(path))
        rc = file_read(path, 32, &b, err);
    *out = !rc && b.len ? atoi(b.data) : 0;
    buf_release(&b);
    rc = rc ? rc : each(workshop, take_highest, &highest, err);
    *out = *out > highest ? *out : highest + 1;
    return rc;
}

static int keep_number(const char *path, int number, struct err *err)
{
    char text[16];
    return file_write_all(path, text, (size_t)snprintf(text, sizeof text, "%d\n", number), err);
}

/* A folder that is made is a project's. */
static int take_number(const char *workshop, char id[PROJECT_ID], struct err *err)
{
    int first = 1;
    char *next = file_join(workshop, "next");
    int got = next ? next_number(next, workshop, &first, err) : no_memory(err);
    got = got || first > NUMBER_MAX ? got : keep_number(next, first + 1, err);
    mem_free(next);
    TRY(got);
    for (int i = first; i <= NUMBER_MAX; i++) {
        snprintf(id, PROJECT_ID, "p%d", i);
        char *folder = project_path(workshop, id, NULL), *files = project_path(workshop, id, "files");
        const bool is_free = folder && !file_exists(folder);
        const int rc = !folder || !files ? no_memory(err) : is_free ? file_mkdirs(files, err) : 0;
        mem_free(folder), mem_free(files);
        if (rc || is_free)
            return rc;
    }
    return ERR(err, RANGE, "there are %d projects", NUMBER_MAX);
}

int project_new(const char *workshop, const char *name, const char *actor, json_t **out, struct err *err)
{
    char id[PROJECT_ID], t[WHEN_TEXT];
    *out = NULL;
    TRY(take_number(workshop, id, err));
    when_text(t, when_now());
    json_t *p = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "id", id, "name", name, "actor", actor, "created", t, "step", "files", "state", "idle", "message", "");
    const int rc = p ? project_save(workshop, p, err) : no_memory(err);
    if (rc) {
        json_decref(p);
        project_remove(workshop, id, NULL);
    } else {
        *out = p;
    }
    return rc;
}

int project_load(const char *workshop, const char *id, json_t **out, struct err *err)
{
    char *path = project_path(workshop, id, "project.json");
    *out = NULL;
    int rc = !path ? no_memory(err) : !file_exists(path) ? ERR(err, NOTFOUND, "there is no project '%s'", id) : tree_load(out, path, BYTES_MAX, err);
    mem_free(path);
    if (!rc && strcmp(tree_text_at(*out, "id"), id)) {
        json_decref(*out), *out = NULL;
        rc = ERR(err, FORMAT, "project '%s': its project.json is of another", id);
    }
    return rc;
}

int project_remove(const char *workshop, const char *id, struct err *err)
{
    char *path = project_path(workshop, id, NULL);
    const int rc = path ? file_remove_tree(path, err) : no_memory(err);
    mem_free(path);
    return rc;
}

static int add_to_list(const char *workshop, const char *id, void *ctx, struct err *err)
{
    json_t *p;
    struct err why;
    const int rc = project_load(workshop, id, &p, &why);
    if (rc == ERR_NOMEM)
        return no_memory(err);
    if (rc)
        p = json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", id, "name", id, "step", "files", "state", "failed", "message", why.msg);
    return json_array_append_new(ctx, p) ? no_memory(err) : 0;
}

int project_list(const char *workshop, json_t **out, struct err *err)
{
    *out = json_array();
    const int rc = *out ? each(workshop, add_to_list, *out, err) : no_memory(err);
    if (rc)
        json_decref(*out), *out = NULL;
    return rc;
}

static int settle(const char *workshop, const char *id, void *ctx, struct err *err)
{
    (void)ctx;
    json_t *p;
    struct err why;
    if (project_load(workshop, id, &p, &why))
        return 0;                                            /* the list says what is wrong with it */
    int rc = 0;
    if (!strcmp(tree_text_at(p, "state"), "running")) {
        rc = project_set(p, "state", json_string("stopped"), err);
        rc = rc ? rc : project_set(p, "message", json_string("the server was ended while this ran; it goes on from where it was"), err);
        rc = rc ? rc : project_save(workshop, p, err);
    }
    json_decref(p);
    return rc;
}

int project_settle(const char *workshop, struct err *err) { return each(workshop, settle, NULL, err); }
