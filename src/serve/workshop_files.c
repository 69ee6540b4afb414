#include "serve/workshop_files.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "serve/workshop_table.h"

/* ---- names ---- */

enum workshop_ending workshop_ending_of(const char *name)
{
    static const struct { const char *with; enum workshop_ending is; } known[] = {
        { ".txt", ENDS_TEXT }, { ".md", ENDS_TEXT }, { ".markdown", ENDS_TEXT }, { ".html", ENDS_TEXT }, { ".htm", ENDS_TEXT }, { ".csv", ENDS_TABLE }, { ".tsv", ENDS_TABLE },
        { ".jsonl", ENDS_LINES }, { ".png", ENDS_IMAGE }, { ".jpg", ENDS_IMAGE }, { ".jpeg", ENDS_IMAGE }, { ".zip", ENDS_ARCHIVE },
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof known / sizeof *known; i++)
        if (!strcasecmp(dot, known[i].with))
            return known[i].is;
    return ENDS_OTHER;
}

static int check_part(const char *at, const char *end, struct err *err)
{
    if (at == end)
        return ERR(err, USAGE, "a file's name has an empty part between two '/'");
    if (*at == '.')
        return ERR(err, USAGE, "a name begins with a point, which is for files that nobody is to see: '%.*s'", (int)(end - at), at);
    if (end - at > WORKSHOP_PART)
        return ERR(err, USAGE, "a name has %lld bytes, expected at most %d: '%.60s'", (long long)(end - at), WORKSHOP_PART, at);
    for (int n; at < end; at += n) {
        n = utf8_plain(at, end);
        if (!n || *at == '\\' || *at == ':')
            return ERR(err, USAGE, "a name has a character that a file here may not have: control characters, '\\', ':' and what is no UTF-8");
    }
    return 0;
}

int workshop_name_check(const char *name, struct err *err)
{
    int depth = 0;
    if (strlen(name) >= WORKSHOP_NAME)
        return ERR(err, USAGE, "a file's name has %zu bytes, expected at most %d", strlen(name), WORKSHOP_NAME - 1);
    for (const char *at = name, *end;; at = end + 1) {
        end = strchrnul(at, '/');
        TRY(check_part(at, end, err));
        if (++depth > WORKSHOP_DEPTH)
            return ERR(err, USAGE, "a file lies more than %d folders deep: '%.60s'", WORKSHOP_DEPTH - 1, name);
        if (!*end)
            break;
    }
    if (workshop_ending_of(name) == ENDS_OTHER)
        return ERR(err, USAGE, "'%.80s' is of no kind that can be learned from here, expected .txt, .md, .html, .csv, .tsv, .jsonl, .png, .jpg, .jpeg, or .zip with such files", name);
    return 0;
}

/* ---- pieces ---- */

/* FOLDER/A/B and FOLDER/A/.B.part of A/B; both to be freed. */
static int paths_of(const char *folder, const char *name, char **whole, char **part, struct err *err)
{
    const int n = (int)(file_last_part(name) - name);
    *whole = file_join(folder, name);
    *part = mem_printf("%s/%.*s.%s.part", folder, n, name, name + n);
    return *whole && *part ? 0 : ERR(err, NOMEM, "no memory for a path");
}

/* A folder is made for it; one that is a link or no folder is refused. */
static int make_folders(const char *whole, size_t n_folder, struct err *err)
{
    struct stat st;
    char *dir = mem_strdup(whole);
    int rc = dir ? 0 : ERR(err, NOMEM, "no memory for a path");
    for (char *slash = dir ? dir + n_folder : NULL; !rc && slash && (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        if (mkdir(dir, 0777) && errno != EEXIST)
            rc = ERR_ERRNO(err, "%s", dir + n_folder);
        else if (lstat(dir, &st) || !S_ISDIR(st.st_mode))
            rc = ERR(err, USAGE, "'%.80s' is a file already, and cannot be a folder too", dir + n_folder);
    }
    mem_free(dir);
    return rc;
}

static int add_piece(const char *part, const char *whole, const struct workshop_piece *p, bool settle, uint64_t *have, struct err *err)
{
    struct file_part f;
    struct stat st;
    if (!lstat(whole, &st) && !S_ISREG(st.st_mode))
        return ERR(err, USAGE, "'%.80s' is a folder already, and cannot be a file too", p->name);
    TRY(file_part_open(&f, part, err));
    int rc = p->from ? 0 : file_part_restart(&f, err);
    *have = f.size;
    if (!rc && f.size != p->from)
        rc = ERR(err, BUSY, "%llu bytes of '%.80s' are here, the next ones were expected from there, found from %llu", (unsigned long long)f.size, p->name, (unsigned long long)p->from);
    else if (!rc)
        rc = file_part_add(&f, p->data, p->n, err);
    *have = f.size;
    if (rc || f.size < p->size) {
        const bool is_begun = f.size > 0;
        file_part_close(&f);
        if (!is_begun)
            unlink(part);
        return rc;
    }
    if (settle)
        return file_part_commit(&f, whole, err);
    file_part_close(&f);
    return file_rename(part, whole, err);
}

static int put_piece(const char *folder, const struct workshop_piece *p, bool settle, uint64_t *have, struct err *err)
{
    char *whole, *part;
    *have = 0;
    TRY(workshop_name_check(p->name, err));
    if (!p->size)
        return ERR(err, USAGE, "'%.80s' is empty", p->name);
    if (p->from > p->size || p->n > p->size - p->from)
        return ERR(err, USAGE, "'%.80s' was to have %llu bytes, found more", p->name, (unsigned long long)p->size);
    int rc = paths_of(folder, p->name, &whole, &part, err);
    rc = rc ? rc : make_folders(whole, strlen(folder) + 1, err);
    rc = rc ? rc : add_piece(part, whole, p, settle, have, err);
    mem_free(whole), mem_free(part);
    return rc;
}

int workshop_piece_add(const char *folder, const struct workshop_piece *p, uint64_t *have, struct err *err) { return put_piece(folder, p, true, have, err); }
int workshop_file_put(const char *folder, const struct workshop_piece *p, uint64_t *have, struct err *err) { return put_piece(folder, p, false, have, err); }

uint64_t workshop_have(const char *folder, const char *name)
{
    char *whole, *part;
    struct stat st;
    struct err none;
    uint64_t n = 0;
    if (!paths_of(folder, name, &whole, &part, &none) && ((!lstat(part, &st) && S_ISREG(st.st_mode)) || (!lstat(whole, &st) && S_ISREG(st.st_mode))))
        n = (uint64_t)st.st_size;
    mem_free(whole), mem_free(part);
    return n;
}

/* ---- what is there ---- */

struct walk { const char *folder; int (*each)(void *ctx, const char *name, uint64_t bytes, bool whole, struct err *err); void *ctx; };

static int walk_at(const struct walk *w, const char *below, int depth, struct err *err);

static int visit(const struct walk *w, const char *below, const char *file, int depth, struct err *err)
{
    struct stat st;
    const size_t n = strlen(file);
    const bool part = *file == '.' && n > 6 && !strcmp(file + n - 5, ".part");
    char *path = mem_printf("%s/%s%s", w->folder, below, file), *name = mem_printf("%s%.*s", below, part ? (int)n - 6 : (int)n, file + part);
    int rc = path && name ? 0 : ERR(err, NOMEM, "no memory for a path");
    if (!rc && !lstat(path, &st) && (part || *file != '.')) {
        if (S_ISREG(st.st_mode))
            rc = w->each(w->ctx, name, (uint64_t)st.st_size, !part, err);
        else if (S_ISDIR(st.st_mode) && depth < WORKSHOP_DEPTH) {
            char *deeper = mem_printf("%s/", name);
            rc = deeper ? walk_at(w, deeper, depth + 1, err) : ERR(err, NOMEM, "no memory for a path");
            mem_free(deeper);
        }
    }
    mem_free(path), mem_free(name);
    return rc;
}

static int walk_at(const struct walk *w, const char *below, int depth, struct err *err)
{
    char **name, *dir = mem_printf("%s/%s", w->folder, below);
    int n, rc = dir ? file_list(dir, &name, &n, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(dir);
    TRY(rc);
    for (int i = 0; i < n && !rc; i++)
        rc = visit(w, below, name[i], depth, err);
    file_list_free(name, n);
    return rc;
}

int workshop_each(const char *folder, int (*each)(void *ctx, const char *name, uint64_t bytes, bool whole, struct err *err), void *ctx, struct err *err)
{
    return file_is_dir(folder) ? walk_at(&(struct walk){ folder, each, ctx }, "", 0, err) : 0;
}

bool workshop_class_of(const char *name, char out[WORKSHOP_PART + 1])
{
    const char *end = strrchr(name, '/'), *at = end;
    while (at && at > name && at[-1] != '/')
        at--;
    if (!end || end - at > WORKSHOP_PART)
        return false;
    memcpy(out, at, (size_t)(end - at)), out[end - at] = 0;
    return true;
}

struct seen { int64_t n_file, n_part, n_of[ENDS_ARCHIVE + 1], n_bare; uint64_t bytes; json_t *list, *classes; bool more_classes; char table[WORKSHOP_NAME]; };

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to list the files"); }

static int count(void *ctx, const char *name, uint64_t bytes, bool whole, struct err *err)
{
    struct seen *s = ctx;
    char class[WORKSHOP_PART + 1];
    const enum workshop_ending ending = workshop_ending_of(name);
    s->bytes += bytes;
    if (!whole || ending == ENDS_ARCHIVE)    /* one that was cut off while it was unpacked; first, as something is to be done about them */
        return s->n_part++ < WORKSHOP_SHOWN && json_array_insert_new(s->list, 0, json_pack("{s:s, s:I, s:b}", "path", name, "bytes", (json_int_t)bytes, "part", true)) ? no_memory(err) : 0;
    s->n_of[ending]++;
    if (s->n_file++ < WORKSHOP_SHOWN && json_array_append_new(s->list, json_pack("{s:s, s:I}", "path", name, "bytes", (json_int_t)bytes)))
        return no_memory(err);
    if (ending == ENDS_TABLE || ending == ENDS_LINES)
        snprintf(s->table, sizeof s->table, "%s", name);
    if (ending != ENDS_IMAGE)
        return 0;
    if (!workshop_class_of(name, class)) {
        s->n_bare++;
        return 0;
    }
    const json_int_t before = json_integer_value(json_object_get(s->classes, class));
    if (!before && json_object_size(s->classes) >= WORKSHOP_CLASSES) {
        s->more_classes = true;
        return 0;
    }
    return json_object_set_new(s->classes, class, json_integer(before + 1)) ? no_memory(err) : 0;
}

static const char *kind_of(const struct seen *s)
{
    const int64_t tables = s->n_of[ENDS_TABLE] + s->n_of[ENDS_LINES];
    if (!s->n_file)
        return "nothing";
    if (s->n_of[ENDS_IMAGE] == s->n_file)
        return "images";
    if (tables == 1 && s->n_file == 1)
        return "table";
    return s->n_of[ENDS_TEXT] + s->n_of[ENDS_LINES] == s->n_file ? "texts" : "mixed";
}

static int put_classes(json_t *out, const struct seen *s, struct err *err)
{
    const char *name;
    json_t *n, *list = json_array();
    if (!list || json_object_set_new(out, "classes", list))
        return no_memory(err);
    json_object_foreach(s->classes, name, n)
        if (json_array_append_new(list, json_pack("{s:s, s:O}", "name", name, "files", n)))
            return no_memory(err);
    return 0;
}

static int tell(const struct seen *s, const char *folder, json_t **out, struct err *err)
{
    const char *kind = kind_of(s);
    json_t *o = *out = json_pack("{s:s, s:I, s:I, s:I, s:I, s:b, s:O}", "kind", kind, "files", (json_int_t)s->n_file, "bytes", (json_int_t)s->bytes, "parts", (json_int_t)s->n_part, "bare",
                                 (json_int_t)s->n_bare, "more_classes", s->more_classes, "list", s->list);
    if (!o)
        return no_memory(err);
    TRY(put_classes(o, s, err));
    if (strcmp(kind, "table"))
        return 0;
    char *path = file_join(folder, s->table);
    json_t *table = NULL;
    int rc = path ? workshop_table(path, s->table, &table, err) : no_memory(err);
    mem_free(path);
    return rc ? rc : json_object_set_new(o, "table", table) ? no_memory(err) : 0;
}

int workshop_look(const char *folder, json_t **out, struct err *err)
{
    struct seen s = { .list = json_array(), .classes = json_object() };
    *out = NULL;
    int rc = s.list && s.classes ? workshop_each(folder, count, &s, err) : no_memory(err);
    rc = rc ? rc : tell(&s, folder, out, err);
    json_decref(s.list), json_decref(s.classes);
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}
