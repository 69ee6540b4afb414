#include "serve/workshop_view.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/utf8.h"
#include "serve/workshop_files.h"
#include "serve/workshop_life.h"
#include "serve/workshop_project.h"
#include "store/evidence_kind.h"

#define HARD_SHOWN 5
#define HARD_TEXT ((size_t)600)

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to show a project"); }

/* NULL: it is not there, or cannot be read. */
static json_t *load(const char *folder, const char *name)
{
    struct err none;
    json_t *o = NULL;
    char *path = file_join(folder, name);
    if (path && file_exists(path) && tree_load(&o, path, EVIDENCE_BYTES_MAX, &none))
        o = NULL;
    mem_free(path);
    return o;
}

/* Takes value; NULL is left out. */
static int put(json_t *out, const char *key, json_t *value, struct err *err) { return value && json_object_set_new(out, key, value) ? no_memory(err) : 0; }

/* ---- parts ---- */

static int put_seen(json_t *out, const char *folder, struct err *err)
{
    json_t *seen = NULL;
    char *files = file_join(folder, "files");
    const int rc = files ? workshop_look(files, &seen, err) : no_memory(err);
    mem_free(files);
    return rc ? rc : put(out, "seen", seen, err);
}

static int put_audit(json_t *out, const char *folder, struct err *err)
{
    static const char *const parts[] = { "totals", "duplicates", "pii", "secrets", "licences", "languages", "labels", "images", "faults" };
    json_t *report = load(folder, "life.run/audit/out/report.json"), *audit = report ? json_object() : NULL;
    int rc = report && !audit ? no_memory(err) : 0;
    for (size_t i = 0; audit && i < sizeof parts / sizeof *parts && !rc; i++)
        if (json_object_get(report, parts[i]) && json_object_set(audit, parts[i], json_object_get(report, parts[i])))
            rc = no_memory(err);
    json_decref(report);
    const int put_too = put(out, "audit", audit, err);
    return rc ? rc : put_too;
}

static json_t *why_no_plan(const char *folder, const char *name)
{
    struct buf b;
    struct err none;
    char *path = mem_printf("%s/plans/%s.why", folder, name);
    json_t *why = NULL;
    buf_init(&b);
    if (path && file_exists(path) && !file_read(path, 4096, &b, &none))
        why = json_stringn(b.data, b.len);
    mem_free(path);
    buf_release(&b);
    return why;
}

static int put_plans(json_t *out, const json_t *p, const char *folder, struct err *err)
{
    json_t *list = json_array();
    if (!list || json_object_set_new(out, "plans", list))
        return no_memory(err);
    for (int i = 0; i < workshop_n_recipe; i++) {
        const struct workshop_recipe *r = &workshop_recipes[i];
        char name[60];
        if (!workshop_recipe_fits(r, p))
            continue;
        snprintf(name, sizeof name, "plans/%s.json", r->name);
        json_t *o = json_pack("{s:s, s:s, s:s, s:I}", "name", r->name, "title", r->title, "sentence", r->sentence, "steps", (json_int_t)life_steps(p, r));
        if (json_array_append_new(list, o))
            return no_memory(err);
        TRY(put(o, "plan", load(folder, name), err));
        if (!json_object_get(o, "plan"))
            TRY(put(o, "why", why_no_plan(folder, r->name), err));
    }
    return 0;
}

static int put_stages(json_t *out, const char *folder, struct err *err)
{
    json_t *list = json_array();
    if (!list || json_object_set_new(out, "stages", list))
        return no_memory(err);
    for (const char *const *stage = life_stages; *stage; stage++) {
        char name[60];
        snprintf(name, sizeof name, "life.run/%s/stage.json", *stage);
        json_t *record = load(folder, name);
        json_t *o = record ? json_pack("{s:s, s:s, s:s}", "name", *stage, "state", tree_text_at(record, "state"), "began", tree_text_at(record, "began")) : NULL;
        const int rc = o && json_object_get(record, "seconds") && json_object_set(o, "seconds", json_object_get(record, "seconds")) ? no_memory(err) : 0;
        json_decref(record);
        if (record && json_array_append_new(list, o))
            return no_memory(err);
        TRY(rc);
    }
    return 0;
}

/* ---- texts that a model finds hardest ---- */

struct hard { double bits; char *text; };

static int harder(const void *a, const void *b)
{
    const struct hard *x = a, *y = b;
    return (x->bits < y->bits) - (x->bits > y->bits);
}

/* Keeps the HARD_SHOWN hardest, in their order. */
static int add_hard(struct hard at[HARD_SHOWN + 1], int *n, const json_t *line, struct err *err)
{
    const json_t *pair = json_object_get(line, "bits_per_byte");
    const double bytes = json_number_value(json_array_get(pair, 1)), bits = -json_number_value(json_array_get(pair, 0)) / log(2) / bytes;
    if (!(bytes > 0) || (*n == HARD_SHOWN && bits <= at[*n - 1].bits))
        return 0;
    at[*n] = (struct hard){ bits, mem_strdup(tree_text_at(json_object_get(line, "doc"), "text")) };
    if (!at[*n].text)
        return no_memory(err);
    qsort(at, (size_t)++*n, sizeof *at, harder);
    if (*n > HARD_SHOWN)
        mem_free(at[--*n].text);
    return 0;
}

static int read_hard(struct hard at[HARD_SHOWN + 1], int *n, const char *path, struct err *err)
{
    struct file_map map;
    TRY(file_map_open(&map, path, err));
    int rc = 0;
    for (const char *p = map.data, *stop = p + map.size, *end; p < stop && !rc; p = end + 1) {
        json_t *line;
        end = memchr(p, '\n', (size_t)(stop - p));
        end = end ? end : stop;
        rc = tree_parse_json(&line, p, (size_t)(end - p), "samples", err);
        rc = rc ? rc : add_hard(at, n, line, err);
        json_decref(line);
    }
    file_map_close(&map);
    return rc;
}

static int put_hard(json_t *out, const char *folder, struct err *err)
{
    struct hard at[HARD_SHOWN + 1];
    char **name, *dir = file_join(folder, "life.run/held-out/out");
    int n_name, n = 0, rc = dir ? 0 : no_memory(err);
    json_t *list = json_array();
    if (!rc && file_is_dir(dir) && !(rc = file_list(dir, &name, &n_name, err))) {
        for (int i = 0; i < n_name && !rc; i++) {
            if (strncmp(name[i], "samples_", 8))
                continue;
            char *path = file_join(dir, name[i]);
            rc = path ? read_hard(at, &n, path, err) : no_memory(err);
            mem_free(path);
        }
        file_list_free(name, n_name);
    }
    for (int i = 0; i < n; i++) {
        if (!rc && json_array_append_new(list, json_pack("{s:f, s:o}", "bits", at[i].bits, "text", json_stringn(at[i].text, utf8_begin(at[i].text, strlen(at[i].text), HARD_TEXT)))))
            rc = no_memory(err);
        mem_free(at[i].text);
    }
    mem_free(dir);
    const int put_too = list ? put(out, "hardest", list, err) : no_memory(err);
    return rc ? rc : put_too;
}

static int put_results(json_t *out, const char *folder, struct err *err)
{
    TRY(put(out, "trained", load(folder, "life.run/train/result.json"), err));
    TRY(put(out, "errors", load(folder, "life.run/errors/result.json"), err));
    TRY(put(out, "held_out", load(folder, "life.run/held-out/result.json"), err));
    TRY(put_hard(out, folder, err));
    return put(out, "sample", load(folder, "life.run/sample/result.json"), err);
}

static int put_all(json_t *out, const json_t *p, const char *folder, struct err *err)
{
    const char *step = tree_text_at(p, "step");
    const bool looked = strcmp(step, "files") != 0, done = !strcmp(tree_text_at(p, "state"), "done"), trains = !strcmp(step, "train"), enters = !strcmp(step, "register");
    TRY(put_seen(out, folder, err));
    if (looked)
        TRY(put_audit(out, folder, err));
    if (looked && (done || trains || enters))
        TRY(put_plans(out, p, folder, err));
    return (trains && done) || enters ? put_results(out, folder, err) : 0;
}

int workshop_view(const char *workshop, const json_t *p, bool all, json_t **out, struct err *err)
{
    char *folder = project_path(workshop, tree_text_at(p, "id"), NULL);
    *out = folder ? json_copy((json_t *)(uintptr_t)p) : NULL;
    int rc = *out ? put(*out, "now", json_integer((json_int_t)time(NULL)), err) : no_memory(err);
    rc = rc ? rc : put_stages(*out, folder, err);
    rc = rc || !all ? rc : put_all(*out, p, folder, err);
    mem_free(folder);
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

bool workshop_has_column(const json_t *table, const char *name)
{
    size_t i;
    const json_t *c;
    json_array_foreach(json_object_get(table, "columns"), i, c)
        if (!strcmp(tree_text_at(c, "name"), name) && json_is_true(json_object_get(c, "usable")))
            return true;
    return false;
}

/* ---- files ---- */

int workshop_metrics(const char *workshop, const char *id, uint64_t from, size_t most, json_t **out, struct err *err)
{
    struct file_map map = { .data = "" };
    char *path = project_path(workshop, id, "life.run/train/out/metrics.jsonl");
    int rc = !path ? no_memory(err) : file_exists(path) ? file_map_open(&map, path, err) : 0;
    mem_free(path);
    TRY(rc);
    if (from > map.size)                                     /* of a run that was begun anew */
        from = 0;
    size_t n = map.size - from < most ? (size_t)(map.size - from) : most;
    while (n && map.data[from + n - 1] != '\n')
        n--;
    *out = json_pack("{s:I, s:I, s:o}", "from", (json_int_t)from, "next", (json_int_t)(from + n), "lines", json_stringn(map.data + from, n));
    file_map_close(&map);
    return *out ? 0 : no_memory(err);
}

/* Where a file lies that may be shown: one of a few, or an image that was brought or is held out. */
static const char *place_of(const char *path, const char **type)
{
    static const struct { const char *path, *at, *type; } known[] = {
        { "life.yaml", "life.yaml", "text/plain; charset=utf-8" }, { "data.yaml", "data.yaml", "text/plain; charset=utf-8" }, { "audit.html", "life.run/card/out/report.html", "text/html; charset=utf-8" },
        { "train.html", "life.run/train/out/report.html", "text/html; charset=utf-8" }, { "log", "program.log", "text/plain; charset=utf-8" },
    };
    const char *below = !strncmp(path, "files/", 6) ? path + 6 : !strncmp(path, "images/", 7) ? path + 7 : NULL, *dot = strrchr(path, '.');
    struct err none;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(path, known[i].path)) {
            *type = known[i].type;
            return known[i].at;
        }
    for (int i = 0; i < workshop_n_recipe; i++)
        if (!strncmp(path, "recipes/", 8) && !strncmp(path + 8, workshop_recipes[i].name, strlen(workshop_recipes[i].name)) && !strcmp(path + 8 + strlen(workshop_recipes[i].name), ".yaml")) {
            *type = "text/plain; charset=utf-8";
            return path;
        }
    if (!below || workshop_name_check(below, &none) || workshop_ending_of(below) != ENDS_IMAGE)
        return NULL;
    *type = dot && (dot[1] == 'p' || dot[1] == 'P') ? "image/png" : "image/jpeg";
    return path;
}

int workshop_file(const char *workshop, const char *id, const char *path, size_t most, struct buf *out, const char **type, struct err *err)
{
    struct stat st;
    const char *known = NULL, *at = place_of(path, &known);
    char *place = at ? project_path(workshop, id, at) : NULL;
    if (at && !place)
        return no_memory(err);
    int rc = place && !lstat(place, &st) && S_ISREG(st.st_mode) ? file_read(place, most, out, err) : ERR(err, NOTFOUND, "there is no such file to be shown");
    mem_free(place);
    if (!rc)
        *type = known;
    return rc;
}

int workshop_file_remove(const char *workshop, const char *id, const char *name, struct err *err)
{
    const int n = (int)(file_last_part(name) - name);
    char *whole = mem_printf("%s/%s/files/%s", workshop, id, name), *part = mem_printf("%s/%s/files/%.*s.%s.part", workshop, id, n, name, name + n);
    int rc = whole && part ? 0 : no_memory(err);
    if (!rc && unlink(whole) && errno != ENOENT)
        rc = ERR_ERRNO(err, "%s", name);
    if (!rc && unlink(part) && errno != ENOENT)
        rc = ERR_ERRNO(err, "%s", name);
    mem_free(whole), mem_free(part);
    return rc;
}
