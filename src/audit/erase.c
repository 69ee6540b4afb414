#include "audit/erase.h"
#include <stdlib.h>
#include <string.h>
#include "audit/build.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/tree.h"

#define JSON_MAX ((size_t)1 << 30)

/* ---- what goes ---- */

#define SEEN_MAX 64              /* names of fields, and values of one, that are kept to tell what there is */
#define SEEN_BYTES_MAX 60

/* n_hit: lines for which it holds; is_field: some line has the field; values: of it, those that were seen first. */
struct condition { char *name; const char *value; size_t n; int64_t n_hit; bool is_field; json_t *values; };

static int take_conditions(const struct opt_list *where, struct condition *c, struct err *err)
{
    for (int i = 0; i < where->n; i++) {
        const char *equal = strchr(where->item[i], '=');
        if (!equal || equal == where->item[i] || !equal[1])
            return ERR(err, USAGE, "--where: found '%s', expected NAME=VALUE", where->item[i]);
        c[i] = (struct condition){ mem_printf("%.*s", (int)(equal - where->item[i]), where->item[i]), equal + 1, strlen(equal + 1), 0, false, NULL };
        if (!c[i].name || !(c[i].values = json_object()))
            return ERR(err, NOMEM, "no memory for a condition");
    }
    return where->n ? 0 : ERR(err, USAGE, "--where is missing: which records are to go");
}

static void see(json_t *seen, const char *what)
{
    if (json_object_size(seen) < SEEN_MAX && strlen(what) <= SEEN_BYTES_MAX && !json_object_get(seen, what))
        json_object_set_new(seen, what, json_true());
}

static bool is_value(const json_t *v, struct condition *c)
{
    char number[32], *end;
    c->is_field = c->is_field || v;
    if (json_is_string(v))
        see(c->values, json_string_value(v));
    if (json_is_string(v))
        return json_string_length(v) == c->n && !memcmp(json_string_value(v), c->value, c->n);
    if (json_is_boolean(v))
        return !strcmp(json_is_true(v) ? "true" : "false", c->value);
    if (json_is_real(v))
        return json_real_value(v) == strtod(c->value, &end) && !*end;
    if (!json_is_integer(v))
        return false;
    snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
    return !strcmp(number, c->value);
}

/* A line of a text has strings alone. */
static bool is_chat(const json_t *line)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)line, key, v)
        if (json_is_array(v))
            return true;
    return false;
}

/* Whether a string of the value has the characters: of a chat's line all count, wherever they stand. */
static bool has_part(const json_t *v, const struct condition *c)
{
    const char *key;
    json_t *below;
    if (json_is_string(v))
        return memmem(json_string_value(v), json_string_length(v), c->value, c->n);
    for (size_t i = 0; i < json_array_size(v); i++)
        if (has_part(json_array_get(v, i), c))
            return true;
    json_object_foreach((json_t *)(uintptr_t)v, key, below)
        if (has_part(below, c))
            return true;
    return false;
}

static const char *const of_map[] = { "source", "path", "record", "sha256" };
#define N_OF_MAP (sizeof of_map / sizeof *of_map)

static bool holds(struct condition *c, const json_t *line, const json_t *map)
{
    if (!strcmp(c->name, "text")) {
        c->is_field = true;
        return has_part(is_chat(line) ? line : json_object_get(line, "text"), c);
    }
    bool hit = is_value(json_object_get(line, c->name), c);
    for (size_t i = 0; i < N_OF_MAP; i++)
        if (!strcmp(c->name, of_map[i]))         /* the line may have a mark of that name */
            hit = is_value(json_object_get(map, c->name), c) || hit;
    return hit;
}

/* ---- one file of a build after the other, its lines with those of the map ---- */

struct eraser {
    const struct erase_opts *o;
    struct condition condition[OPT_LIST_MAX];
    char *part;
    json_t *manifest;                    /* the new one */
    json_t *lines_of, *gone_of;          /* of each split: how many lines it has left, how many records went */
    int64_t last_gone;                   /* number of the record that went last: its copies follow it */
    struct file_writer map, gone; bool map_open, gone_open;
    struct sha256 map_hash;
    int64_t n_line, n_gone;
    json_t *seen;                        /* SHA-256 of texts that went, to tell each once */
    json_t *fields;                      /* names of the lines' members */
};

/* A file that is read by lines, and the one that is written; writes: out is open.  kept: a byte of each line, where it has tokens. */
struct copied { const char *name, *split; enum { WAITS, OPEN, DONE } state; struct file_map in; const char *at; struct file_writer out; bool writes; struct sha256 hash; int64_t n; struct buf kept; };

static int next_line(const struct file_map *m, const char **at, const char **line, size_t *n)
{
    const char *end = *at < m->data + m->size ? memchr(*at, '\n', (size_t)(m->data + m->size - *at)) : NULL;
    if (!end)
        return 0;
    *line = *at, *n = (size_t)(end - *at), *at = end + 1;
    return 1;
}

static int add_hashed(struct file_writer *w, struct sha256 *h, const char *p, size_t n, struct err *err)
{
    sha256_add(h, p, n);
    return file_writer_add(w, p, n, err);
}

static int keep(struct eraser *e, struct copied *c, const char *line, size_t n, json_t *map, struct err *err)
{
    c->n++, e->n_line++;
    TRY(add_hashed(&c->out, &c->hash, line, n + 1, err));
    char *text = json_object_set_new(map, "line", json_integer(c->n)) ? NULL : tree_dumps(map, JSON_COMPACT);
    int rc = text ? add_hashed(&e->map, &e->map_hash, text, strlen(text), err) : ERR(err, NOMEM, "no memory for a line of map.jsonl");
    mem_free(text);
    return rc ? rc : add_hashed(&e->map, &e->map_hash, "\n", 1, err);
}

static int drop(struct eraser *e, const char *file, const json_t *map, struct err *err)
{
    const int64_t record = json_integer_value(json_object_get(map, "record"));
    char split[64 + 1];
    snprintf(split, sizeof split, "%.*s", (int)strcspn(file, "/"), file);
    if (record != e->last_gone && json_object_set_new(e->gone_of, split, json_integer(json_integer_value(json_object_get(e->gone_of, split)) + 1)))
        return ERR(err, NOMEM, "no memory for what was erased");
    e->last_gone = record;
    const char *sum = json_string_value(json_object_get(map, "sha256"));
    char line[SHA256_HEX + 20];
    e->n_gone++;
    if (!sum || json_object_get(e->seen, sum))
        return 0;
    if (json_object_set_new(e->seen, sum, json_true()))
        return ERR(err, NOMEM, "no memory for what was erased");
    const int n = snprintf(line, sizeof line, "{\"sha256\":\"%.64s\"}\n", sum);
    return file_writer_add(&e->gone, line, (size_t)n, err);
}

static int one_line(struct eraser *e, struct copied *c, json_t *map, struct err *err)
{
    const char *line;
    size_t n;
    json_t *o = NULL;
    if (!next_line(&c->in, &c->at, &line, &n))
        return ERR(err, CORRUPT, "%s/%s has fewer lines than map.jsonl says", e->o->from, c->name);
    TRY(tree_parse_json(&o, line, n, c->name, err));
    bool goes = false;
    const char *key;
    json_t *v;
    json_object_foreach(o, key, v)
        if (strcmp(key, "text"))
            see(e->fields, key);
    for (int i = 0; i < e->o->where.n; i++) {
        const bool hit = holds(&e->condition[i], o, map);
        e->condition[i].n_hit += hit;
        goes = goes || hit;
    }
    int rc = c->kept.data ? buf_add_char(&c->kept, !goes, err) : 0;
    rc = rc ? rc : goes ? drop(e, c->name, map, err) : keep(e, c, line, n, map, err);
    json_decref(o);
    return rc;
}

/* ---- files ---- */

static int open_file(struct eraser *e, struct copied *c, struct err *err)
{
    char *from = file_join(e->o->from, c->name), *to = file_join(e->part, c->name), *slash = to ? strrchr(to, '/') : NULL;
    int rc = from && slash ? 0 : ERR(err, NOMEM, "no memory for a path");
    c->state = OPEN;
    if (build_tokens_of(e->manifest, c->name))
        buf_init(&c->kept);
    if (!rc) {
        *slash = 0;
        rc = file_mkdirs(to, err);
        *slash = '/';
    }
    rc = rc ? rc : file_map_open(&c->in, from, err);
    c->at = c->in.data;
    rc = rc ? rc : sha256_init(&c->hash, err);
    rc = rc ? rc : file_writer_open(&c->out, to, err);
    c->writes = !rc;
    mem_free(from);
    mem_free(to);
    return rc;
}

/* Its entry in build.json has what it is now. */
static int close_file(struct eraser *e, struct copied *c, json_t *entry, struct err *err)
{
    char sum[SHA256_HEX];
    const uint64_t bytes = c->out.size;
    if (c->at != c->in.data + c->in.size)
        return ERR(err, CORRUPT, "%s/%s has more lines than map.jsonl says", e->o->from, c->name);
    const json_t *lines = json_object_get(e->lines_of, c->split);
    if (json_object_set_new(e->lines_of, c->split, json_integer(json_integer_value(lines) + c->n)))
        return ERR(err, NOMEM, "no memory for the list of files");
    if (!c->n)
        return 0;                /* training reads no empty file: leave_out() */
    sha256_end(&c->hash, sum);
    c->writes = false;
    TRY(file_writer_commit(&c->out, err));
    if (json_object_set_new(entry, "bytes", json_integer((json_int_t)bytes)) || json_object_set_new(entry, "records", json_integer(c->n)) || json_object_set_new(entry, "sha256", json_string(sum)))
        return ERR(err, NOMEM, "no memory for the list of files");
    return c->kept.data ? build_tokens_keep(build_tokens_of(e->manifest, c->name), e->o->from, e->part, (const unsigned char *)c->kept.data, (int64_t)c->kept.len, err) : 0;
}

static void drop_file(struct copied *c)
{
    if (c->state != OPEN)
        return;
    c->state = DONE;
    if (c->writes)
        file_writer_abort(&c->out);
    sha256_release(&c->hash);
    file_map_close(&c->in);
    if (c->kept.data)
        buf_release(&c->kept);
}

/* File i of the manifest, which has no line left, and its tokens are none of the new version. */
static void leave_out(struct eraser *e, size_t i)
{
    json_t *files = json_object_get(e->manifest, "files"), *tokens = json_object_get(json_object_get(e->manifest, BUILD_TOKENS), "files");
    const json_t *of = build_tokens_of(e->manifest, json_string_value(json_object_get(json_array_get(files, i), "path")));
    for (size_t k = json_array_size(tokens); of && k-- > 0;)
        if (json_array_get(tokens, k) == of)
            json_array_remove(tokens, k);
    json_array_remove(files, i);
}

static int end_file(struct eraser *e, struct copied *c, json_t *entry, struct err *err)
{
    const int rc = close_file(e, c, entry, err);
    drop_file(c);
    return rc;
}

/* A split's files stand in the map one after the other, but those of other splits come in between: one of each is open. */
static int turn_to(struct eraser *e, struct copied *file, size_t i, json_t *files, struct err *err)
{
    if (file[i].state == OPEN)
        return 0;
    if (file[i].state == DONE)
        return ERR(err, CORRUPT, "map.jsonl comes back to '%s', which was at its end", file[i].name);
    for (size_t k = 0; k < json_array_size(files); k++)
        if (file[k].state == OPEN && !strcmp(file[k].split, file[i].split))
            TRY(end_file(e, &file[k], json_array_get(files, k), err));
    return open_file(e, &file[i], err);
}

static int copy_all(struct eraser *e, const struct file_map *map, struct copied *file, json_t *files, struct err *err)
{
    const char *at = map->data, *line;
    const size_t n_file = json_array_size(files);
    size_t n;
    while (next_line(map, &at, &line, &n)) {
        json_t *m = NULL;
        TRY(tree_parse_json(&m, line, n, "map.jsonl", err));
        const char *name = json_string_value(json_object_get(m, "file"));
        size_t i = 0;
        while (name && i < n_file && strcmp(file[i].name, name))
            i++;
        int rc = name && i < n_file ? turn_to(e, file, i, files, err) : ERR(err, CORRUPT, "map.jsonl names '%s', which build.json does not list", name ? name : "");
        rc = rc ? rc : one_line(e, &file[i], m, err);
        json_decref(m);
        TRY(rc);
        if (e->o->progress && (e->n_line + e->n_gone) % 4096 == 0)
            TRY(e->o->progress(e->o->ctx, err));
    }
    return at == map->data + map->size ? 0 : ERR(err, CORRUPT, "map.jsonl breaks off in a line");
}

static int copy_files(struct eraser *e, struct err *err)
{
    json_t *files = json_object_get(e->manifest, "files"), *entry;
    const size_t n = json_array_size(files);
    struct copied *file = mem_alloc_array(n + 1, sizeof *file);
    struct file_map map = { 0 };
    char *path = file_join(e->o->from, "map.jsonl");
    size_t i;
    int rc = file && path ? file_map_open(&map, path, err) : ERR(err, NOMEM, "no memory for %zu files", n);
    json_array_foreach(files, i, entry) {
        const char *name = json_string_value(json_object_get(entry, "path"));
        const char *split = json_string_value(json_object_get(entry, "split"));
        if (!rc && (!name || !split || strstr(name, "..") || *name == '/'))
            rc = ERR(err, CORRUPT, "build.json names a file '%s'%s", name ? name : "", name && !split ? " of no split" : "");
        if (!rc)
            file[i] = (struct copied){ .name = name, .split = split };
    }
    rc = rc ? rc : copy_all(e, &map, file, files, err);
    json_array_foreach(files, i, entry) {
        if (!rc && file[i].state == WAITS)               /* the map has no line of it: nor may it have one */
            rc = open_file(e, &file[i], err);
        if (!rc && file[i].state == OPEN)
            rc = end_file(e, &file[i], entry, err);
    }
    for (i = n; !rc && i-- > 0;)
        if (!file[i].n)
            leave_out(e, i);
    for (i = 0; file && i < n; i++)
        drop_file(&file[i]);
    mem_free(file);
    mem_free(path);
    file_map_close(&map);
    return rc;
}

/* ---- trainings ---- */

/* Whether a run's data are this version; with what it takes anew, on the machine that it ran on. */
static int take_run(const struct eraser *e, const char *folder, json_t *list, struct err *err)
{
    char *path = file_join(folder, "run.json");
    json_t *run = NULL;
    int rc = path ? 0 : ERR(err, NOMEM, "no memory for a path");
    if (rc || !file_exists(path)) {
        mem_free(path);
        return rc;
    }
    rc = tree_load(&run, path, JSON_MAX, err);
    mem_free(path);
    TRY(rc);
    const char *version = json_string_value(json_object_get(e->manifest, "version"));
    const json_t *data = json_object_get(run, "data");
    bool reads = false;
    for (size_t i = 0; i < json_array_size(data); i++) {
        const char *of = json_string_value(json_object_get(json_array_get(data, i), "version"));
        reads = reads || (of && version && !strcmp(of, version));
    }
    const double step_s = json_number_value(json_object_get(json_object_get(run, "step"), "seconds_expected"));
    const int64_t steps = json_integer_value(json_object_get(run, "steps"));
    if (reads && json_array_append_new(list, json_pack("{s:s, s:I, s:O?, s:f}", "run", folder, "steps", (json_int_t)steps, "parameters", json_object_get(run, "parameters"), "seconds", step_s * (double)steps)))
        rc = ERR(err, NOMEM, "no memory for the list of trainings");
    json_decref(run);
    return rc;
}

static int take_runs(const struct eraser *e, json_t *list, struct err *err)
{
    for (int i = 0; i < e->o->runs.n; i++) {
        const char *folder = e->o->runs.item[i];
        char **names;
        int n, rc = take_run(e, folder, list, err);
        TRY(rc);
        TRY(file_list(folder, &names, &n, err));
        for (int k = 0; k < n && !rc; k++) {
            char *below = file_join(folder, names[k]);
            rc = below ? 0 : ERR(err, NOMEM, "no memory for a path");
            if (!rc && file_is_dir(below))
                rc = take_run(e, below, list, err);
            mem_free(below);
        }
        file_list_free(names, n);
        TRY(rc);
    }
    return 0;
}

/* ---- conditions that nothing fulfils ---- */

/* The words of a set, of which the first n are given; *n grows. */
static void add_words(const char **list, int *n, const json_t *set)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)set, key, v)
        list[(*n)++] = key;
}

/* A name that no record has is misspelt: whoever is to be forgotten would stay. */
static int unknown_field(const struct eraser *e, const struct condition *c, struct err *err)
{
    const char *list[1 + N_OF_MAP + SEEN_MAX] = { "text" }, *near;
    char all[400] = "";
    int n = 1;
    for (size_t i = 0; i < N_OF_MAP; i++)
        list[n++] = of_map[i];
    add_words(list, &n, e->fields);
    if ((near = word_nearest(c->name, list, n)))
        return ERR(err, USAGE, "--where: no record has a field '%s', did you mean '%s'? Nothing was written", c->name, near);
    for (int i = 0, at = 0; i < n && at < (int)sizeof all; i++)
        at += snprintf(all + at, sizeof all - (size_t)at, "%s%s", i ? ", " : "", list[i]);
    return ERR(err, USAGE, "--where: no record has a field '%s', there are %s; nothing was written", c->name, all);
}

static int check_conditions(const struct eraser *e, struct err *err)
{
    const char *list[SEEN_MAX], *near = NULL;
    for (int i = 0; i < e->o->where.n; i++)
        if (!e->condition[i].is_field)
            return unknown_field(e, &e->condition[i], err);
    for (int i = 0; i < e->o->where.n && !e->n_gone; i++) {
        int n = 0;
        add_words(list, &n, e->condition[i].values);
        if ((near = word_nearest(e->condition[i].value, list, n)))
            return ERR(err, NOTFOUND, "no record matches: nothing was written; there is %s=%s, was that meant?", e->condition[i].name, near);
    }
    return e->n_gone ? 0 : ERR(err, NOTFOUND, "no record matches: nothing was written");
}

/* ---- the whole ---- */

static json_t *conditions_told(const struct erase_opts *o)
{
    json_t *list = json_array();
    for (int i = 0; i < o->where.n; i++)
        json_array_append_new(list, json_string(o->where.item[i]));
    return list;
}

static void lower(json_t *o, const char *key, int64_t by) { json_object_set_new(o, key, json_integer(json_integer_value(json_object_get(o, key)) - by)); }

/* How many lines each condition holds for. */
static json_t *matched_told(const struct eraser *e)
{
    json_t *list = json_array();
    for (int i = 0; i < e->o->where.n; i++)
        json_array_append_new(list, json_integer(e->condition[i].n_hit));
    return list;
}

/* The manifest becomes the new version's; erased: what it says of this. */
static json_t *change_manifest(struct eraser *e)
{
    char map[SHA256_HEX];
    json_t *m = e->manifest, *s;
    const char *name;
    json_t *erased = json_pack("{s:O, s:I, s:I, s:o, s:o, s:s?}", "of", json_object_get(m, "version"), "lines", (json_int_t)e->n_gone, "texts", (json_int_t)json_object_size(e->seen), "where",
                               conditions_told(e->o), "matched", matched_told(e), "reason", e->o->reason);
    sha256_end(&e->map_hash, map);
    json_object_foreach(json_object_get(m, "splits"), name, s) {
        const json_int_t gone = json_integer_value(json_object_get(e->gone_of, name));
        json_object_set_new(s, "lines", json_integer(json_integer_value(json_object_get(e->lines_of, name))));
        lower(s, "records", gone);
        lower(m, "records", gone);
    }
    json_object_set_new(m, "lines", json_integer(e->n_line));
    json_object_set_new(m, "map_sha256", json_string(map));
    json_object_set_new(m, "erased", erased);
    return erased;
}

/* Writes the new version's build.json.  told: what it says of the erasure, and the trainings. */
static int tell(struct eraser *e, json_t **told, struct err *err)
{
    const uint64_t refused = mem_json_refused();
    json_t *runs = json_array();
    int rc = runs ? take_runs(e, runs, err) : ERR(err, NOMEM, "no memory for the list of trainings");
    const json_t *erased = rc ? NULL : change_manifest(e);
    if (!rc && refused != mem_json_refused())
        rc = ERR(err, NOMEM, "no memory for build.json");
    rc = rc ? rc : build_write(e->manifest, e->part, err);
    *told = rc ? NULL : json_deep_copy(erased);
    if (!rc && (!*told || json_object_set(*told, "version", json_object_get(e->manifest, "version")) || json_object_set(*told, "runs", runs)))
        rc = ERR(err, NOMEM, "no memory for what was erased");
    json_decref(runs);
    return rc;
}

static int open_writer(const struct eraser *e, const char *name, struct file_writer *w, bool *open, struct err *err)
{
    char *path = file_join(e->part, name);
    const int rc = path ? file_writer_open(w, path, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(path);
    *open = !rc;
    return rc;
}

static int begin(struct eraser *e, struct err *err)
{
    char *path = file_join(e->o->from, "build.json");
    e->part = mem_printf("%s.part", e->o->to);
    e->seen = json_object(), e->fields = json_object(), e->lines_of = json_object(), e->gone_of = json_object(), e->last_gone = -1;
    int rc = path && e->part && e->seen && e->fields && e->lines_of && e->gone_of ? 0 : ERR(err, NOMEM, "no memory to erase records");
    if (!rc && !file_exists(path))
        rc = ERR(err, USAGE, "'%s' is no build: it has no build.json", e->o->from);
    if (!rc && file_exists(e->o->to))
        rc = ERR(err, USAGE, "'%s' is there already: the new version needs a folder of its own", e->o->to);
    rc = rc ? rc : tree_load(&e->manifest, path, JSON_MAX, err);
    mem_free(path);
    rc = rc ? rc : file_remove_tree(e->part, err);
    rc = rc ? rc : file_mkdirs(e->part, err);
    rc = rc ? rc : sha256_init(&e->map_hash, err);
    rc = rc ? rc : open_writer(e, "map.jsonl", &e->map, &e->map_open, err);
    return rc ? rc : open_writer(e, "erased.jsonl", &e->gone, &e->gone_open, err);
}

static int finish(struct eraser *e, json_t **told, struct err *err)
{
    TRY(check_conditions(e, err));
    e->map_open = false;
    TRY(file_writer_commit(&e->map, err));
    e->gone_open = false;
    TRY(file_writer_commit(&e->gone, err));
    TRY(tell(e, told, err));
    return file_rename(e->part, e->o->to, err);
}

static void release(struct eraser *e, bool whole)
{
    if (e->map_open)
        file_writer_abort(&e->map);
    if (e->gone_open)
        file_writer_abort(&e->gone);
    sha256_release(&e->map_hash);
    if (!whole && e->part)
        file_remove_tree(e->part, NULL);
    for (int i = 0; i < OPT_LIST_MAX; i++)
        mem_free(e->condition[i].name), json_decref(e->condition[i].values);
    json_decref(e->manifest);
    json_decref(e->seen);
    json_decref(e->fields);
    json_decref(e->lines_of);
    json_decref(e->gone_of);
    mem_free(e->part);
}

int erase_run(const struct erase_opts *o, json_t **told, struct err *err)
{
    struct eraser *e = mem_alloc_zero(sizeof *e);
    *told = NULL;
    if (!e)
        return ERR(err, NOMEM, "no memory to erase records");
    e->o = o;
    int rc = take_conditions(&o->where, e->condition, err);
    rc = rc ? rc : begin(e, err);
    rc = rc ? rc : copy_files(e, err);
    rc = rc ? rc : finish(e, told, err);
    if (rc) {
        json_decref(*told);
        *told = NULL;
    }
    release(e, !rc);
    mem_free(e);
    return rc;
}
