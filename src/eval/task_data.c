/* task_data.c - finds the files of a split and reads them.
 *
 * Looked for, in this order: a file that the caller gives for the task (and split); the task's own dataset_kwargs.data_files; in data_dir,
 * and in its folders and zip files that have the data set's word in their names, the names that the data set is published under
 * (task_data.def); there too TASK/SPLIT and TASK_SPLIT with .jsonl, .json, .csv or .tsv. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/hash.h"
#include "base/mem.h"
#include "data/unpack.h"
#include "data/zip.h"
#include "eval/task_rows.h"

#define BYTES_MAX ((size_t)2 << 30)
#define PATH_ROOM 1024

static const struct data_set { enum rows_reader reader; const char *paths, *word, *names; } data_sets[] = {
#define DATA(reader, paths, word, names) { ROWS_##reader, paths, word, names },
#include "eval/task_data.def"
#undef DATA
    { ROWS_plain, "", "", "" },
};

static const struct data_set *data_set(const char *path)
{
    const struct data_set *d = data_sets;
    while (*d->paths && !(path && words_have(d->paths, path)))
        d++;
    return d;
}

void docs_release(struct docs *d)
{
    mem_free(d->split);
    json_decref(d->list);
    mem_free(d->line);
    mem_free(d->i_file);
    for (int i = 0; i < d->n_file; i++)
        mem_free(d->file[i]);
    mem_free(d->file);
    mem_free(d->digest);
    *d = (struct docs){ 0 };
}

int docs_place(const struct docs *d, int64_t i, char *out, size_t n)
{
    if (!d->line[i])
        return snprintf(out, n, "%.300s: document %lld", d->file[d->i_file[i]], (long long)i + 1);
    return snprintf(out, n, "%.300s:%d", d->file[d->i_file[i]], d->line[i]);
}

static const char *const endings[] = { "", ".gz", ".zst", ".bz2" };

/* ---- reading ---- */

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to read the data of a task"); }

/* Of several files the SHA-256 of all digests in their order: a chain, from the first file's own. */
static int add_digest(struct docs *d, const char *path, struct err *err)
{
    char both[2 * SHA256_HEX], (*digest)[SHA256_HEX] = mem_realloc_array(d->digest, (size_t)d->n_file, sizeof *digest);
    if (!digest)
        return no_memory(err);
    d->digest = digest, digest += d->n_file - 1;
    TRY(sha256_of_file(path, *digest, err));
    snprintf(both, sizeof both, "%s%s", d->n_file > 1 ? d->sha256 : "", *digest);
    if (d->n_file > 1)
        return sha256_of(both, strlen(both), d->sha256, err);
    memcpy(d->sha256, *digest, sizeof *digest);
    return 0;
}

/* member NULL: the file itself. */
static int read_file(struct docs *d, const struct data_request *q, enum rows_reader reader, int i_part, const char *path, const char *member, struct err *err)
{
    char name[PATH_ROOM];
    struct buf b;
    char **files = mem_realloc_array(d->file, (size_t)d->n_file + 1, sizeof *files);
    if (!files)
        return no_memory(err);
    d->file = files;
    snprintf(name, sizeof name, "%.600s%s%.300s", path, member ? "/" : "", member ? member : "");
    if (!(d->file[d->n_file] = mem_strdup(name)))
        return no_memory(err);
    d->n_file++;
    buf_init(&b);
    int rc;
    if (member) {
        struct zip z;
        rc = zip_open(&z, path, err);
        if (!rc) {
            const int i = zip_find(&z, member);
            rc = i < 0 ? ERR(err, NOTFOUND, "'%s': holds no %s", path, member) : zip_read(&z, i, BYTES_MAX, &b, err);
            zip_close(&z);
        }
    } else {
        rc = unpack_all(path, BYTES_MAX, &b, err);
    }
    const struct rows r = { .out = d, .i_file = d->n_file - 1, .reader = reader, .name = name, .split = q->split, .columns = json_object_get(q->kwargs, "column_names"), .i_part = i_part };
    rc = rc ? rc : rows_add(&r, b.data, b.len, err);
    rc = rc ? rc : add_digest(d, path, err);
    buf_release(&b);
    return rc;
}

/* PIQA has its labels in a file beside. */
static int read_labels(struct docs *d, const char *path, struct err *err)
{
    char name[PATH_ROOM];
    struct buf b;
    const json_t *first = json_array_get(d->list, 0);
    const size_t n = rows_name_length(path);
    if (!json_is_object(first) || json_object_get(first, "label") || n < 6 || strncasecmp(path + n - 6, ".jsonl", 6))
        return 0;
    snprintf(name, sizeof name, "%.*s-labels.lst", (int)(n - 6 > 900 ? 900 : n - 6), path);
    buf_init(&b);
    int rc = file_read(name, 1 << 28, &b, err);
    rc = rc ? rc : rows_add_labels(d, b.data, b.len, name, err);
    buf_release(&b);
    return rc;
}

/* Names with + between them are read one behind the other. */
static int read_names(struct docs *d, const struct data_request *q, enum rows_reader reader, const char *path, const char *members, struct err *err)
{
    char name[PATH_ROOM];
    const char *p = members ? members : path;
    for (int i = 0; *p; i++, p += *p == '+') {
        const size_t n = members || reader == ROWS_polarity ? strcspn(p, "+") : strlen(p);
        snprintf(name, sizeof name, "%.*s", (int)n, p);
        TRY(read_file(d, q, reader, i, members ? path : name, members ? name : NULL, err));
        p += n;
    }
    return reader == ROWS_piqa && !members ? read_labels(d, path, err) : 0;
}

/* Of BBQ as a whole every category's file that lies beside the one that was found. */
static int read_categories(struct docs *d, const struct data_request *q, const char *found, struct err *err)
{
    const char *names = data_set("bbq")->names;
    const char *slash = strrchr(found, '/');
    for (const char *p = names; *p; p += strcspn(p, "|"), p += *p == '|') {
        char path[PATH_ROOM];
        if (strchr("{d", *p))            /* {name}, data/{name} */
            continue;
        for (int e = 0; e < 4; e++) {
            snprintf(path, sizeof path, "%.*s%.*s%s", slash ? (int)(slash + 1 - found) : 0, found, (int)strcspn(p, "|"), p, endings[e]);
            if (file_exists(path)) {
                TRY(read_file(d, q, ROWS_plain, 0, path, NULL, err));
                break;
            }
        }
    }
    return 0;
}

/* ---- finding ---- */


static const char *const words_of_split[][4] = { { "train", "training", "Train", NULL }, { "validation", "valid", "val", "dev" }, { "test", "Test", "testing", NULL } };

/* The k-th word for a split, or NULL.  "Dev" is ARC's. */
static const char *split_word(const char *split, int k)
{
    if (!k)
        return split;
    for (int i = 0; i < 3; i++)
        if (!strcmp(words_of_split[i][0], split))
            return k < 4 ? words_of_split[i][k] : k == 4 && i == 1 ? "Dev" : NULL;
    return NULL;
}

/* One name out of a list with | between, its {split}, {name} and {task} filled in. */
static void fill_name(char *out, size_t room, const char *p, size_t n, const struct data_request *q, const char *word)
{
    size_t len = 0;
    for (const char *end = p + n; p < end && len + 1 < room;) {
        const char *v = NULL;
        size_t skip = 0;
        if (!strncmp(p, "{split}", 7))
            v = word, skip = 7;
        else if (!strncmp(p, "{name}", 6))
            v = q->name ? q->name : "", skip = 6;
        else if (!strncmp(p, "{task}", 6))
            v = q->task, skip = 6;
        if (v) {
            const int k = snprintf(out + len, room - len, "%s", v);
            len = len + (size_t)k < room ? len + (size_t)k : room - 1;
            p += skip;
        } else {
            out[len++] = *p++;
        }
    }
    out[len] = 0;
}

struct found { char path[PATH_ROOM], member[PATH_ROOM]; };      /* member "": none */

/* In a folder, or in a zip file that is open. */
static bool look_at(const char *folder, const struct zip *z, const char *name, struct found *f)
{
    for (int e = 0; e < 4; e++) {
        char each[PATH_ROOM], *plus;
        snprintf(each, sizeof each, "%.900s%s", name, endings[e]);
        snprintf(f->path, sizeof f->path, "%.400s", folder);
        snprintf(f->member, sizeof f->member, "%s", z ? each : "");
        if (z) {
            if ((plus = strchr(each, '+')))
                *plus = 0;
            if (e == 0 && zip_find(z, each) >= 0)
                return true;
            continue;
        }
        /* Of names with + between them the first tells; each gets the folder. */
        if ((plus = strchr(each, '+')))
            *plus = 0;
        snprintf(f->path, sizeof f->path, "%.400s/%.500s", folder, each);
        if (file_exists(f->path) && !file_is_dir(f->path)) {
            if (plus)
                snprintf(f->path, sizeof f->path, "%.400s/%.100s+%.400s/%.100s", folder, each, folder, plus + 1);
            return true;
        }
    }
    return false;
}

static bool look_for(const char *folder, const struct zip *z, const char *names, const struct data_request *q, struct found *f)
{
    for (const char *p = names; *p; p += strcspn(p, "|"), p += *p == '|') {
        const size_t n = strcspn(p, "|");
        char name[PATH_ROOM];
        const char *word;
        for (int k = 0; k < 6; k++) {
            if (!(word = split_word(q->split, k)))
                continue;
            fill_name(name, sizeof name, p, n, q, word);
            if (look_at(folder, z, name, f))
                return true;
        }
    }
    return false;
}

static const char generic_names[] = "{task}/{split}.jsonl|{task}/{split}.json|{task}/{split}.csv|{task}/{split}.tsv|{task}_{split}.jsonl|{task}_{split}.json|{task}_{split}.csv|"
                                    "{task}_{split}.tsv";

static bool look_in_zip(const char *path, const struct data_set *d, const struct data_request *q, struct found *f)
{
    struct zip z;
    if (zip_open(&z, path, NULL) < 0)
        return false;
    const bool there = look_for(path, &z, d->names, q, f) || look_for(path, &z, generic_names, q, f);
    zip_close(&z);
    return there;
}

/* One of the words with | between them. */
static bool contains(const char *s, const char *words)
{
    for (; *words; words += strcspn(words, "|"), words += *words == '|')
        for (const char *p = s; *p; p++)
            if (!strncasecmp(p, words, strcspn(words, "|")))
                return true;
    return false;
}

/* deep: also in what lies in the folder and has the data set's word in its name. */
static bool look_in(const char *folder, const struct data_set *d, const struct data_request *q, bool deep, struct found *f)
{
    char **names;
    int n;
    bool there = look_for(folder, NULL, d->names, q, f) || look_for(folder, NULL, generic_names, q, f);
    if (there || !*d->word || file_list(folder, &names, &n, NULL) < 0)
        return there;
    for (int i = 0; i < n && !there; i++) {
        char path[PATH_ROOM];
        if (!contains(names[i], d->word))
            continue;
        snprintf(path, sizeof path, "%.500s/%.400s", folder, names[i]);
        if (file_is_dir(path))
            there = deep && look_in(path, d, q, false, f);
        else if (file_name_ends(names[i], ".zip"))
            there = look_in_zip(path, d, q, f);
    }
    file_list_free(names, n);
    return there;
}

static int read_found(struct docs *d, const struct data_request *q, const struct data_set *set, const struct found *f, struct err *err)
{
    if (set->reader == ROWS_bbq && !*f->member && (!q->name || !strcmp(q->name, "All")))
        return read_categories(d, q, f->path, err);
    return read_names(d, q, set->reader, f->path, *f->member ? f->member : NULL, err);
}

/* A path that the caller or the task names: a file, a folder or a zip file. */
static int read_given(struct docs *d, const struct data_request *q, const struct data_set *set, const char *path, struct err *err)
{
    struct found f;
    if (file_is_dir(path) || zip_is(path)) {
        if (file_is_dir(path) ? look_in(path, set, q, true, &f) : look_in_zip(path, set, q, &f))
            return read_found(d, q, set, &f, err);
        return ERR(err, NOTFOUND, "task '%s': found no file of split '%s' in '%s', expected %s (doc/tasks.md)", q->task, q->split, path, *set->names ? set->names : "TASK_SPLIT.jsonl");
    }
    return read_names(d, q, set->reader, path, NULL, err);
}

/* A file is given for a task, for all whose names go on from it with _ (mmlu for mmlu_anatomy), or for a data set. */
static bool is_for(const char *name, const struct data_request *q)
{
    const size_t n = name ? strlen(name) : 0;
    return !n || !strcmp(name, q->task) || (!strncmp(name, q->task, n) && q->task[n] == '_') || (q->path && !strcmp(name, q->path));
}

/* The file that the caller gives for this split; one without a split is for the one that is evaluated, unless it is a folder or holds several. */
static const char *given_file(const struct data_request *q, const struct data_set *set)
{
    const char *whole = NULL;
    for (int i = 0; i < q->opts->n_file; i++) {
        const struct task_file *f = &q->opts->file[i];
        const bool any = !f->split || !*f->split;
        if (!is_for(f->task, q))
            continue;
        if (!any && !strcmp(f->split, q->split))
            return f->path;
        if (any && (!strcmp(q->split, q->main_split) || file_is_dir(f->path) || zip_is(f->path) || set->reader == ROWS_clinc))
            whole = f->path;
    }
    return whole;
}

/* dataset_kwargs.data_files: a name, a list of them, or either by split. */
static int read_data_files(struct docs *d, const struct data_request *q, const struct data_set *set, const json_t *files, struct err *err)
{
    if (json_is_object(files))
        files = json_object_get(files, q->split);
    if (!files)
        return 0;
    for (size_t i = 0; i < (json_is_array(files) ? json_array_size(files) : 1); i++) {
        const json_t *v = json_is_array(files) ? json_array_get(files, i) : files;
        const char *name = json_string_value(v), *const roots[] = { q->opts->data_dir, q->folder, "." };
        char path[PATH_ROOM] = "";
        if (!name)
            return ERR(err, FORMAT, "task '%s': dataset_kwargs.data_files takes names of files", q->task);
        for (int k = 0; k < 3 && !*path; k++) {
            if (!roots[k] && *name != '/')
                continue;
            snprintf(path, sizeof path, *name == '/' ? "%.0s%.900s" : "%.400s/%.500s", roots[k] ? roots[k] : "", name);
            if (!file_exists(path))
                *path = 0;
        }
        if (!*path)
            return ERR(err, NOTFOUND, "task '%s': found no file '%s' (of dataset_kwargs.data_files) in the folder of data or of the task", q->task, name);
        TRY(read_given(d, q, set, path, err));
    }
    return 1;
}

static int find_and_read(struct docs *d, const struct data_request *q, struct err *err)
{
    const struct data_set *set = data_set(q->path);
    const char *path = given_file(q, set);
    struct found f;
    if (path)
        return read_given(d, q, set, path, err);
    const json_t *files = json_object_get(q->kwargs, "data_files");
    const int got = files ? read_data_files(d, q, set, files, err) : 0;
    if (got)
        return got < 0 ? got : 0;
    if (q->opts->data_dir && look_in(q->opts->data_dir, set, q, true, &f))
        return read_found(d, q, set, &f, err);
    return ERR(err, NOTFOUND, "task '%s': found no file of split '%s'; expected one given for the task%s, or in %s one named %s (doc/tasks.md)", q->task, q->split,
               strcmp(q->split, q->main_split) ? " and this split" : "", q->opts->data_dir ? q->opts->data_dir : "a folder of data", *set->names ? set->names : "TASK_SPLIT.jsonl");
}

int data_load(struct docs *out, const struct data_request *q, struct err *err)
{
    *out = (struct docs){ .split = mem_strdup(q->split), .list = json_array() };
    int rc = out->split && out->list ? find_and_read(out, q, err) : no_memory(err);
    if (!rc && !json_array_size(out->list))
        rc = ERR(err, FORMAT, "task '%s': '%s' holds no documents", q->task, out->n_file ? out->file[0] : "");
    if (rc)
        docs_release(out);
    return rc;
}
