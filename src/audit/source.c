#include "audit/source.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/utf8.h"

#define YAML_MAX ((size_t)4 << 20)
#define DEPTH_MAX 64
#define SOURCES_MAX 4096

static void source_release(struct source *s)
{
    char *const texts[] = { s->name, s->path, s->field, s->licence, s->origin, s->collected, s->purpose, s->language, s->split, s->mark[MARK_LABEL], s->mark[MARK_GROUP], s->mark[MARK_TIME] };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        mem_free(texts[i]);
}

void sources_release(struct sources *s)
{
    for (int i = 0; i < s->n; i++)
        source_release(&s->source[i]);
    for (int i = 0; i < s->n_file; i++) {
        mem_free(s->file[i].path);
        mem_free(s->file[i].why);
    }
    mem_free(s->source);
    mem_free(s->file);
    *s = (struct sources){ 0 };
}

/* ---- files ---- */

static bool is_no_record(const char *name)
{
    static const char *const names[] = { "LICENSE", "LICENCE", "COPYING", "README" };
    bool is = name[0] == '.' || strstr(name, "idx1-ubyte");      /* labels of images */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t n = strlen(names[i]);
        is = is || (!strncmp(name, names[i], n) && (!name[n] || name[n] == '.'));
    }
    return is;
}

/* Takes why, also on error. */
static int add_file(struct sources *s, char *path, char *why, const struct stat *st, struct err *err)
{
    const enum record_format given = s->source[s->n - 1].format;
    int rc = path ? 0 : ERR(err, NOMEM, "no memory for the name of a file");
    if (!rc && s->n_file == s->cap_file) {
        const int cap = s->cap_file ? 2 * s->cap_file : 64;
        struct source_file *more = mem_realloc_array(s->file, (size_t)cap, sizeof *more);
        if (more)
            s->file = more, s->cap_file = cap;
        else
            rc = ERR(err, NOMEM, "no memory for the names of %d files", cap);
    }
    if (rc) {
        mem_free(path);
        mem_free(why);
        return rc;
    }
    s->file[s->n_file++] = (struct source_file){ path, s->n - 1, given < N_RECORD_FORMAT ? given : record_format_of(path), (uint64_t)st->st_size, (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec, why, 0, 0 };
    s->n_bytes += (uint64_t)st->st_size;
    return 0;
}

/* A name as a report can tell it: what is not UTF-8 as \xff. */
static char *readable(const char *path)
{
    const size_t n = strlen(path);
    char *to = n <= SIZE_MAX / 8 ? mem_alloc(4 * n + 1) : NULL, *out = to;
    for (const char *p = path, *end = p + n; to && p < end;) {
        const int k = utf8_length(p, end);
        if (k)
            memcpy(out, p, (size_t)k), out += k, p += k;
        else
            out += sprintf(out, "\\x%02x", (unsigned char)*p++);
    }
    if (to)
        *out = 0;
    return to;
}

/* A folder that is walked, and those it lies in. */
struct folder { const struct folder *up; int depth; dev_t dev; ino_t ino; };

static int walk(struct sources *s, const char *path, const struct folder *up, struct err *err);

static int walk_folder(struct sources *s, const char *path, const struct folder *f, struct err *err)
{
    char **names;
    int n, rc = 0;
    for (const struct folder *up = f->up; up; up = up->up)
        if (up->dev == f->dev && up->ino == f->ino)
            return ERR(err, FORMAT, "'%s' is a link to a folder that it lies in", path);
    if (f->depth == DEPTH_MAX)
        return ERR(err, RANGE, "'%s' lies more than %d folders deep", path, DEPTH_MAX);
    TRY(file_list(path, &names, &n, err));
    for (int i = 0; i < n && !rc; i++) {
        if (is_no_record(names[i]))
            continue;
        char *below = file_join(path, names[i]);
        rc = below ? walk(s, below, f, err) : ERR(err, NOMEM, "no memory for the name '%s'", names[i]);
        mem_free(below);
    }
    file_list_free(names, n);
    return rc;
}

static int look_at(struct sources *s, const char *path, const char *name, const struct folder *up, struct err *err)
{
    struct stat st;
    if (strcmp(path, name))
        return ERR(err, FORMAT, "the name '%s' is not UTF-8", name);
    if (stat(path, &st))
        return ERR_ERRNO(err, "'%s'", path);
    if (S_ISDIR(st.st_mode))
        return walk_folder(s, path, &(struct folder){ up, up ? up->depth + 1 : 0, st.st_dev, st.st_ino }, err);
    if (!S_ISREG(st.st_mode))
        return ERR(err, FORMAT, "'%s' is neither a file nor a folder", path);
    return add_file(s, mem_strdup(path), NULL, &st, err);
}

/* What is wrong below the path of a source is told of a file, and the others are read. */
static int walk(struct sources *s, const char *path, const struct folder *up, struct err *err)
{
    char *name = readable(path);
    struct err why = { 0 };
    int rc = name ? look_at(s, path, name, up, &why) : ERR(&why, NOMEM, "no memory for the name of a file");
    if (rc && up && rc != ERR_NOMEM) {
        char *told = mem_strdup(why.msg);
        rc = told ? add_file(s, name, told, &(struct stat){ 0 }, err) : ERR(err, NOMEM, "no memory for the name of a file");
        name = told ? NULL : name;
    } else if (rc) {
        *err = why;
    }
    mem_free(name);
    return rc;
}

/* ---- sources ---- */

static bool is_name(const char *s)
{
    const size_t n = strlen(s);
    return n && n <= 64 && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

bool source_split_good(const char *name) { return is_name(name) && *name != '.'; }

/* The path with `to` for the last `from` of its name; as it was where there is none. */
static int replace_in_name(char **path, const char *from, const char *to, struct err *err)
{
    const char *slash = strrchr(*path, '/'), *at = NULL;
    for (const char *p = slash ? slash : *path; (p = strstr(p, from)); p++)
        at = p;
    if (!at)
        return 0;
    char *other = mem_printf("%.*s%s%s", (int)(at - *path), *path, to, at + strlen(from));
    if (!other)
        return ERR(err, NOMEM, "no memory for a path");
    mem_free(*path);
    *path = other;
    return 0;
}

int source_idx_labels(const char *images, char **labels, struct err *err)
{
    static const char *const packed[] = { ".gz", ".zst", ".bz2" };
    char *path = mem_strdup(images);
    *labels = NULL;
    int rc = path ? replace_in_name(&path, "images", "labels", err) : ERR(err, NOMEM, "no memory for a path");
    rc = rc ? rc : replace_in_name(&path, "idx3", "idx1", err);
    if (!rc && !file_exists(path))
        for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
            if (file_name_ends(path, packed[i]))
                path[strlen(path) - strlen(packed[i])] = 0;
    if (!rc && strcmp(path, images) && file_exists(path) && !file_is_dir(path))
        *labels = path, path = NULL;
    mem_free(path);
    return rc;
}

static int look_for_labels(struct source_file *f, bool *has, struct err *err)
{
    char *labels;
    struct stat st;
    TRY(source_idx_labels(f->path, &labels, err));
    if (labels && !stat(labels, &st)) {
        f->label_bytes = (uint64_t)st.st_size, f->label_mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        *has = true;
    }
    mem_free(labels);
    return 0;
}

/* A source of images of which some have labels is a labelled set. */
static int find_labels(struct sources *s, int first, struct err *err)
{
    bool has = false, images = true;
    struct source *src = &s->source[s->n - 1];
    for (int i = first; i < s->n_file; i++) {
        images = images && (s->file[i].format == RECORD_IDX || s->file[i].format == RECORD_IMAGE);
        if (s->file[i].format == RECORD_IDX && !s->file[i].why)
            TRY(look_for_labels(&s->file[i], &has, err));
    }
    if (!has || !images || src->mark[MARK_LABEL])
        return 0;
    src->mark[MARK_LABEL] = mem_strdup("label");
    return src->mark[MARK_LABEL] ? 0 : ERR(err, NOMEM, "no memory for a source");
}

/* Takes what src has, also on error. */
static int add_source(struct sources *s, struct source src, struct err *err)
{
    int rc = 0;
    if (!src.name || !src.path || !src.field)
        rc = ERR(err, NOMEM, "no memory for a source");
    for (int i = 0; i < s->n && !rc; i++)
        if (!strcmp(s->source[i].name, src.name))
            rc = ERR(err, USAGE, "two sources are called '%s'", src.name);
    if (!rc && s->n == SOURCES_MAX)
        rc = ERR(err, RANGE, "more than %d sources", SOURCES_MAX);
    struct source *more = rc ? NULL : mem_realloc_array(s->source, (size_t)s->n + 1, sizeof *more);
    if (!rc && !more)
        rc = ERR(err, NOMEM, "no memory for a source");
    if (rc) {
        source_release(&src);
        return rc;
    }
    s->source = more;
    s->source[s->n++] = src;
    const int first = s->n_file;
    TRY(walk(s, src.path, NULL, err));
    TRY(find_labels(s, first, err));
    return s->n_file > first ? 0 : ERR(err, USAGE, "there is no file of records in '%s'", src.path);
}

/* The last part of a path, where what no name may have is '_'. */
static char *name_of(const char *path)
{
    size_t n;
    const char *from = file_last_name(path, &n);
    n = n < 64 ? n : 64;
    char *name = mem_alloc(n + 1);
    for (size_t i = 0; name && i < n; i++) {
        const char one[2] = { from[i], 0 };
        name[i] = is_name(one) ? one[0] : '_';
    }
    if (name)
        name[n] = 0;
    return name;
}

static char *copy_or_null(const char *s) { return s ? mem_strdup(s) : NULL; }

static int add_entry(struct sources *s, const json_t *o, int i, const char *file, struct err *err)
{
    const char *name = NULL, *path = NULL, *format = NULL, *field = "text", *licence = NULL, *origin = NULL, *collected = NULL, *purpose = NULL, *language = NULL, *split = NULL, *mark[N_MARK] = { NULL };
    char where[300];
    const struct opt keys[] = {
        { OPT_STR, "name", &name, "", "", 0, 0 },       { OPT_STR, "path", &path, "", "", 0, 0 },       { OPT_STR, "format", &format, "", "", 0, 0 },
        { OPT_STR, "field", &field, "", "", 0, 0 },     { OPT_STR, "licence", &licence, "", "", 0, 0 }, { OPT_STR, "origin", &origin, "", "", 0, 0 },
        { OPT_STR, "collected", &collected, "", "", 0, 0 }, { OPT_STR, "purpose", &purpose, "", "", 0, 0 }, { OPT_STR, "language", &language, "", "", 0, 0 },
        { OPT_STR, "split", &split, "", "", 0, 0 },
#define X(NAME, word) { OPT_STR, word, &mark[MARK_##NAME], "", "", 0, 0 },
        RECORD_MARKS(X)
#undef X
        { .name = NULL },
    };
    snprintf(where, sizeof where, "%.200s: source %d", file, i + 1);
    TRY(tree_read(o, keys, where, err));
    if (!name || !is_name(name))
        return ERR(err, USAGE, "%s: name is '%s', expected up to 64 letters, digits, '.', '_' or '-'", where, name ? name : "");
    if (!path || !*path)
        return ERR(err, USAGE, "%s ('%s'): path is missing", where, name);
    const enum record_format f = format ? record_format_find(format) : N_RECORD_FORMAT;
    if (format && f == N_RECORD_FORMAT)
        return ERR(err, USAGE, "%s ('%s'): format is '%s', expected text, markdown, html, jsonl, csv, tsv, image or idx", where, name, format);
    if (split && !source_split_good(split))
        return ERR(err, USAGE, "%s ('%s'): split is '%s', expected up to 64 letters, digits, '_', '-' or, behind the first, '.'", where, name, split);
    const char *slash = strrchr(file, '/');
    char folder[2000];
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - file) : 1, slash ? file : ".");
    return add_source(s, (struct source){ .name = mem_strdup(name), .path = *path == '/' ? mem_strdup(path) : file_join(folder, path), .field = mem_strdup(field), .licence = copy_or_null(licence),
                                          .origin = copy_or_null(origin), .collected = copy_or_null(collected), .purpose = copy_or_null(purpose), .language = copy_or_null(language), .split = copy_or_null(split),
                                          .mark = { copy_or_null(mark[MARK_LABEL]), copy_or_null(mark[MARK_GROUP]), copy_or_null(mark[MARK_TIME]) }, .format = f }, err);
}

static int add_yaml(struct sources *s, const char *path, struct err *err)
{
    json_t *t = NULL;
    TRY(tree_load(&t, path, YAML_MAX, err));
    const json_t *list = json_object_get(t, "sources");
    int rc = json_array_size(list) ? 0 : ERR(err, USAGE, "'%s' has no list 'sources' with a source in it", path);
    const char *key;
    json_t *v;
    json_object_foreach(t, key, v)
        if (!rc && strcmp(key, "sources"))
            rc = ERR(err, USAGE, "'%s' has '%s', expected sources only", path, key);
    for (size_t i = 0; !rc && i < json_array_size(list); i++)
        rc = add_entry(s, json_array_get(list, i), (int)i, path, err);
    json_decref(t);
    return rc;
}

int sources_add(struct sources *s, const char *path, struct err *err)
{
    if (file_name_ends(path, ".yaml") || file_name_ends(path, ".yml"))
        return add_yaml(s, path, err);
    return add_source(s, (struct source){ .name = name_of(path), .path = mem_strdup(path), .field = mem_strdup("text"), .format = N_RECORD_FORMAT }, err);
}

/* Whether a folder that is there, or is to be made, is or lies in the one that holder is. */
static bool lies_in(const char *dir, const char *holder)
{
    char *there = mem_strdup(dir), *whole = NULL, *other = realpath(holder, NULL);
    while (there && other && !(whole = realpath(*there ? there : ".", NULL)) && *there) {
        char *slash = strrchr(there, '/');
        *(slash && slash > there ? slash : there) = 0;
    }
    const size_t n = other ? strlen(other) : 0;
    const bool lies = whole && other && !strncmp(whole, other, n) && (!whole[n] || whole[n] == '/' || n == 1);
    mem_free(there);
    free(whole);
    free(other);
    return lies;
}

int sources_keep_out(const struct sources *s, const char *dir, struct err *err)
{
    for (int i = 0; i < s->n; i++)
        if (lies_in(dir, s->source[i].path))
            return ERR(err, USAGE, "the folder '%s' lies in the source '%s', which would read what is written there: give a folder elsewhere", dir, s->source[i].path);
    return 0;
}
