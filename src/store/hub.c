#include "store/hub.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/tree.h"
#include "store/fetch.h"

#define ANSWER_MAX ((size_t)32 << 20)      /* of one answer of the API */
#define PAGES_MAX 200
#define FILE_MAX ((int64_t)1 << 50)
#define SPARE_BYTES ((uint64_t)64 << 20)   /* left free on the disk */

/* ---- the list ---- */

static int list_grow(struct hub_list *l, struct err *err)
{
    if (l->n >= HUB_FILES_MAX)
        return ERR(err, RANGE, "the model has more than %d files", HUB_FILES_MAX);
    if (l->n < l->cap)
        return 0;
    const int cap = l->cap ? 2 * l->cap : 64;
    struct hub_file *more = mem_realloc_array(l->file, (size_t)cap, sizeof *more);
    if (!more)
        return ERR(err, NOMEM, "no memory for a list of %d files", cap);
    l->file = more, l->cap = cap;
    return 0;
}

static int read_digest(const json_t *o, const char *key, size_t n, char *out, const char *path, struct err *err)
{
    const char *hex;
    TRY(tree_str(o, key, "", &hex, path, err));
    if (strlen(hex) != n || strspn(hex, "0123456789abcdef") != n)
        return ERR(err, FORMAT, "%s: %s '%.80s', expected %zu hexadecimal digits", path, key, hex, n);
    memcpy(out, hex, n + 1);
    return 0;
}

static int add_file(struct hub_list *l, const json_t *o, const char *path, struct err *err)
{
    int64_t size;
    const json_t *lfs = json_object_get(o, "lfs");
    if (!model_path_ok(path))
        return ERR(err, FORMAT, "the hub's list has a file '%.200s': that name could leave the model's folder", path);
    TRY(list_grow(l, err));
    struct hub_file f = { .wanted = false };
    if (json_is_object(lfs)) {
        TRY(tree_int(lfs, "size", -1, 0, FILE_MAX, &size, path, err));
        TRY(read_digest(lfs, "oid", SHA256_HEX - 1, f.digest, path, err));
    } else {
        TRY(tree_int(o, "size", -1, 0, FILE_MAX, &size, path, err));
        TRY(read_digest(o, "oid", SHA1_HEX - 1, f.digest, path, err));
    }
    f.size = (uint64_t)size;
    if (size < 0)
        return ERR(err, FORMAT, "%s: the hub's list has no size", path);
    if (!(f.path = mem_strdup(path)))
        return ERR(err, NOMEM, "no memory for the list of files");
    l->file[l->n++] = f;
    return 0;
}

int hub_list_add(struct hub_list *l, const char *json, size_t n, struct err *err)
{
    json_t *root, *o;
    size_t i;
    TRY(tree_parse_json(&root, json, n, "the hub's list of files", err));
    int rc = json_is_array(root) ? 0 : ERR(err, FORMAT, "the hub's list of files is not a JSON array");
    json_array_foreach(root, i, o) {
        const char *type, *path;
        if (rc || (rc = tree_str(o, "type", "", &type, "the hub's list of files", err)) || (rc = tree_str(o, "path", "", &path, "the hub's list of files", err)))
            break;
        if (!*type)
            rc = ERR(err, FORMAT, "the hub's list of files: entry %zu has no type", i);
        if (!strcmp(type, "file"))
            rc = add_file(l, o, path, err);
    }
    json_decref(root);
    return rc;
}

void hub_list_release(struct hub_list *l)
{
    for (int i = 0; i < l->n; i++)
        mem_free(l->file[i].path);
    mem_free(l->file);
    *l = (struct hub_list){ 0 };
}

static int by_path(const void *a, const void *b) { return strcmp(((const struct hub_file *)a)->path, ((const struct hub_file *)b)->path); }

static int list_sort(struct hub_list *l, struct err *err)
{
    if (l->n)
        qsort(l->file, (size_t)l->n, sizeof *l->file, by_path);
    for (int i = 1; i < l->n; i++)
        if (!strcmp(l->file[i - 1].path, l->file[i].path))
            return ERR(err, FORMAT, "the hub's list has the file '%.200s' twice", l->file[i].path);
    return 0;
}

/* ---- which files ---- */

static bool ends(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static bool is_safetensors(const char *path) { return ends(path, ".safetensors") && !strchr(path, '/'); }
static bool is_gguf(const char *path) { return ends(path, ".gguf"); }

/* What is not weights: configuration, tokenizer, chat templates, the sentence encoders' pooling, the licence. */
static bool is_companion(const char *path)
{
    static const char *const end[] = { ".json", ".jinja", ".model", ".tiktoken", "vocab.txt", "merges.txt", NULL };
    if (!strncmp(path, "additional_chat_templates/", 26) || ends(path, "_Pooling/config.json"))
        return true;
    if (strchr(path, '/'))
        return false;
    for (int i = 0; end[i]; i++)
        if (ends(path, end[i]))
            return true;
    return !strncmp(path, "LICENSE", 7);
}

/* Files of a set, "x-00002-of-00003.gguf", are one model: the stem is what they share. */
static size_t gguf_stem(const char *path)
{
    const size_t n = strlen(path);
    int used = 0, i, of;
    if (n > 20 && sscanf(path + n - 20, "-%5d-of-%5d.gguf%n", &i, &of, &used) == 2 && used == 20)
        return n - 20;
    return n;
}

static bool same_gguf(const char *a, const char *b)
{
    const size_t n = gguf_stem(a);
    return n == gguf_stem(b) && !memcmp(a, b, n);
}

static int choose_gguf(struct hub_list *l, struct err *err)
{
    const char *first = NULL;
    struct buf all;
    int n_model = 0, rc = 0;
    buf_init(&all);
    for (int i = 0; i < l->n && !rc; i++) {
        struct hub_file *f = &l->file[i];
        if (!is_gguf(f->path) || strstr(f->path, "mmproj"))
            continue;
        const bool more = first && same_gguf(first, f->path);
        f->wanted = n_model + !more == 1;
        if (more)
            continue;
        char size[32];
        first = f->path, n_model++;
        rc = buf_printf(&all, err, "%s%s (%s)", n_model > 1 ? ", " : "", f->path, fmt_bytes(size, (double)f->size));
    }
    if (!rc && n_model > 1)
        rc = ERR(err, USAGE, "there are %d models to choose from with --file: %.400s", n_model, all.data);
    buf_release(&all);
    return rc ? rc : n_model;
}

static int choose_model(struct hub_list *l, struct err *err)
{
    bool any = false, consolidated = true;
    const char *pickle = NULL;
    for (int i = 0; i < l->n; i++) {
        const char *path = l->file[i].path;
        if (is_safetensors(path))
            any = true, consolidated = consolidated && !strncmp(path, "consolidated", 12);
        if (ends(path, ".bin") || ends(path, ".pt") || ends(path, ".pth"))
            pickle = path;
    }
    if (!any) {
        const int n = choose_gguf(l, err);
        TRY(n);
        if (!n)
            return ERR(err, UNSUPPORTED, "the model has neither safetensors nor GGUF%s%.200s%s", pickle ? "; '" : "", pickle ? pickle : "",
                       pickle ? "' is of a form that can run programs and is not read here" : "");
    }
    /* Mistral's "consolidated" weights are the others once more, under other names. */
    for (int i = 0; i < l->n; i++) {
        struct hub_file *f = &l->file[i];
        f->wanted = f->wanted || is_companion(f->path) || (any && is_safetensors(f->path) && (consolidated || strncmp(f->path, "consolidated", 12)));
    }
    return 0;
}

static int choose_by(struct hub_list *l, const char *patterns, struct err *err)
{
    char one[300];
    for (const char *p = patterns; *p; p += strspn(p, ",")) {
        const size_t n = strcspn(p, ",");
        if (!n || n >= sizeof one)
            return ERR(err, USAGE, "--file: found '%.100s', expected patterns of at most %zu bytes with commas between", patterns, sizeof one - 1);
        snprintf(one, sizeof one, "%.*s", (int)n, p);
        bool any = false;
        for (int i = 0; i < l->n; i++)
            if (model_file_matches(one, l->file[i].path))
                any = l->file[i].wanted = true;
        if (!any)
            return ERR(err, NOTFOUND, "none of the %d files matches '%s'", l->n, one);
        p += n;
    }
    return 0;
}

int hub_list_choose(struct hub_list *l, const char *patterns, struct err *err)
{
    return patterns && *patterns ? choose_by(l, patterns, err) : choose_model(l, err);
}

/* ---- the API ---- */

struct pull {
    const struct model_id *id;
    const struct hub_opts *o;
    struct hub_result *r;
    char *dir;                      /* models/ORG/NAME */
    struct fetch *fetch;            /* of the n files that are missing */
    struct fetch_file *file;
    int n;
    double began;                   /* when bytes began to come */
};

/* What the hub means by a status. */
static int explain(const struct pull *p, const struct fetch *f, struct err *err)
{
    const struct model_id *id = p->id;
    const char *said = f->error_message, *sep = *said ? ": " : "";
    if (f->status < 400)
        return err->code;
    if (!strcmp(f->error_code, "GatedRepo"))
        return ERR(err, NOTFOUND, "%s/%s is gated (%d): accept its terms at %s/%s/%s, then give a token of that account (--token or HF_TOKEN)%s%s", id->org, id->name,
                   f->status, p->o->endpoint, id->org, id->name, sep, said);
    if (!strcmp(f->error_code, "RevisionNotFound"))
        return ERR(err, NOTFOUND, "%s/%s has no revision '%s'", id->org, id->name, id->revision);
    if (f->status == 401 && !p->o->token)
        return ERR(err, NOTFOUND, "%s wants a token (--token or HF_TOKEN) for %s/%s (401): it does not exist, or not for everyone%s%s", p->o->endpoint, id->org, id->name, sep, said);
    if (f->status == 401 || f->status == 403)
        return ERR(err, NOTFOUND, "%s refuses %s/%s with this token (%d): it is wrong, or has no right to read the model%s%s", p->o->endpoint, id->org, id->name, f->status, sep, said);
    if (f->status == 404 && !f->file)
        return ERR(err, NOTFOUND, "there is no model %s/%s at %s%s%s", id->org, id->name, p->o->endpoint, sep, said);
    return *said ? ERR(err, NOTFOUND, "%s: HTTP status %d: %s", f->file ? f->file->name : f->url, f->status, said) : err->code;
}

static int get(const struct pull *p, struct fetch *f, struct err *err)
{
    const struct fetch_opts o = { .token = p->o->token, .n_job = 1, .n_try = p->o->n_try, .stop = p->o->stop };
    const int rc = fetch_run(f, 1, &o, NULL, err);
    return rc == ERR_NOTFOUND ? explain(p, f, err) : rc;
}

static int read_commit(const struct pull *p, const struct buf *body, struct err *err)
{
    json_t *root;
    const char *sha;
    TRY(tree_parse_json(&root, body->data, body->len, "the hub's answer", err));
    int rc = tree_str(root, "sha", "", &sha, "the hub's answer", err);
    if (!rc && !model_commit_ok(sha))
        rc = ERR(err, FORMAT, "the hub's answer: sha '%.80s', expected a commit", sha);
    if (!rc)
        snprintf(p->r->commit, sizeof p->r->commit, "%s", sha);
    json_decref(root);
    return rc;
}

static int find_commit(const struct pull *p, struct err *err)
{
    struct buf url, body;
    buf_init(&url);
    buf_init(&body);
    int rc = buf_printf(&url, err, "%s/api/models/%s/%s/revision/", p->o->endpoint, p->id->org, p->id->name);
    if (!rc)
        rc = model_escape(p->id->revision, false, &url, err);
    if (!rc)
        rc = get(p, &(struct fetch){ .url = url.data, .body = &body, .body_max = ANSWER_MAX }, err);
    if (!rc)
        rc = read_commit(p, &body, err);
    buf_release(&url);
    buf_release(&body);
    return rc;
}

/* The next page's URL is the hub's word: it must lie in the API, for the token goes there. */
static int next_page(const struct pull *p, struct buf *url, const char *next, struct err *err)
{
    const size_t n = strlen(p->o->endpoint);
    if (next[0] == '/' && next[1] != '/') {
        buf_clear(url);
        return buf_printf(url, err, "%s%s", p->o->endpoint, next);
    }
    if (strncmp(next, p->o->endpoint, n) || next[n] != '/')
        return ERR(err, FORMAT, "the hub's list goes on at '%.100s', expected a page of %s", next, p->o->endpoint);
    buf_clear(url);
    return buf_add_str(url, next, err);
}

static int get_list(const struct pull *p, struct err *err)
{
    struct buf url, body;
    struct fetch f = { .body = &body, .body_max = ANSWER_MAX };
    buf_init(&url);
    buf_init(&body);
    int rc = buf_printf(&url, err, "%s/api/models/%s/%s/tree/%s?recursive=true", p->o->endpoint, p->id->org, p->id->name, p->r->commit);
    for (int page = 0; !rc; page++) {
        f.url = url.data;
        if (page == PAGES_MAX)
            rc = ERR(err, RANGE, "the hub's list of files has more than %d pages", PAGES_MAX);
        if (!rc)
            rc = get(p, &f, err);
        if (!rc)
            rc = hub_list_add(&p->r->list, body.data, body.len, err);
        if (rc || !*f.next)
            break;
        rc = next_page(p, &url, f.next, err);
    }
    buf_release(&url);
    buf_release(&body);
    return rc ? rc : list_sort(&p->r->list, err);
}

/* ---- files ---- */

static int make_parent(const struct pull *p, const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? mem_printf("%s/%.*s", p->r->folder, (int)(slash - path), path) : mem_strdup(p->r->folder);
    const int rc = dir ? file_mkdirs(dir, err) : ERR(err, NOMEM, "no memory for the folder of %s", path);
    mem_free(dir);
    return rc;
}

/* A file under its own name was whole when it got it. */
static int look_up(struct hub_file *f, const char *folder, struct err *err)
{
    struct stat st;
    char *path = file_join(folder, f->path);
    if (!path)
        return ERR(err, NOMEM, "no memory for the path of %s", f->path);
    int rc = 0;
    f->here = !lstat(path, &st) && S_ISREG(st.st_mode) && (uint64_t)st.st_size == f->size;
    if (f->here && strlen(f->digest) == SHA256_HEX - 1)
        memcpy(f->sha256, f->digest, SHA256_HEX);
    else if (f->here)
        rc = sha256_of_file(path, f->sha256, err);
    mem_free(path);
    return rc;
}

/* The same contents in the folder of another commit: one more name for them, where the file system has that. */
static int reuse_from(const struct pull *p, struct hub_file *f, const char *commit, struct err *err)
{
    struct stat st;
    char hex[SHA256_HEX];
    char *from = mem_printf("%s/%s/%s", p->dir, commit, f->path), *to = file_join(p->r->folder, f->path);
    int rc = from && to ? 0 : ERR(err, NOMEM, "no memory for the path of %s", f->path);
    if (!rc && !lstat(from, &st) && S_ISREG(st.st_mode) && (uint64_t)st.st_size == f->size && !(rc = sha256_of_file(from, hex, err)) && !strcmp(hex, f->digest) &&
        !(rc = make_parent(p, f->path, err)) && !link(from, to)) {
        memcpy(f->sha256, hex, sizeof hex);
        f->here = true;
    }
    mem_free(from);
    mem_free(to);
    return rc;
}

/* A new commit often changes no weights. */
static int reuse(const struct pull *p, struct hub_file *f, struct err *err)
{
    char **names;
    int n, rc = 0;
    if (strlen(f->digest) != SHA256_HEX - 1)
        return 0;
    TRY(file_list(p->dir, &names, &n, err));
    for (int i = 0; i < n && !rc && !f->here; i++)
        if (model_commit_ok(names[i]) && strcmp(names[i], p->r->commit))
            rc = reuse_from(p, f, names[i], err);
    file_list_free(names, n);
    return rc;
}

static int plan_file(struct pull *p, const struct hub_file *f, struct err *err)
{
    struct buf url;
    struct stat st;
    buf_init(&url);
    struct fetch_file *out = &p->file[p->n];
    *out = (struct fetch_file){ .name = f->path, .size = f->size, .part = mem_printf("%s/part/%s", p->dir, f->digest), .path = file_join(p->r->folder, f->path) };
    memcpy(out->digest, f->digest, sizeof out->digest);
    int rc = make_parent(p, f->path, err);
    if (!rc)
        rc = buf_printf(&url, err, "%s/%s/%s/resolve/%s/", p->o->endpoint, p->id->org, p->id->name, p->r->commit);
    if (!rc)
        rc = model_escape(f->path, true, &url, err);
    if (!rc && (!out->part || !out->path || !(p->fetch[p->n].url = mem_strdup(url.data))))
        rc = ERR(err, NOMEM, "no memory for the path of %s", f->path);
    if (!rc && !lstat(out->part, &st) && (uint64_t)st.st_size <= f->size)
        out->here = (uint64_t)st.st_size;
    p->fetch[p->n++].file = out;
    buf_release(&url);
    return rc;
}

/* Two names for the same contents would share a part: the second is fetched when the first is done. */
static bool planned(const struct pull *p, const char *digest)
{
    for (int i = 0; i < p->n; i++)
        if (!strcmp(p->file[i].digest, digest))
            return true;
    return false;
}

static int plan_files(struct pull *p, bool *more, struct err *err)
{
    struct hub_list *l = &p->r->list;
    *more = false;
    for (int i = 0; i < l->n; i++) {
        struct hub_file *f = &l->file[i];
        if (!f->wanted || f->here)
            continue;
        if (planned(p, f->digest))
            *more = true;
        else
            TRY(plan_file(p, f, err));
    }
    return 0;
}

static void drop_plan(struct pull *p)
{
    for (int i = 0; i < p->n; i++) {
        mem_free((void *)(uintptr_t)p->fetch[i].url);
        mem_free((void *)(uintptr_t)p->file[i].part);
        mem_free((void *)(uintptr_t)p->file[i].path);
    }
    memset(p->fetch, 0, (size_t)p->n * sizeof *p->fetch);
    p->n = 0;
}

static int check_space(const struct pull *p, struct err *err)
{
    uint64_t want = 0, room;
    char a[32], b[32];
    for (int i = 0; i < p->n; i++)
        want += p->file[i].size - p->file[i].here;
    TRY(file_free_bytes(p->r->folder, &room, err));
    if (want + SPARE_BYTES > room)
        return ERR(err, IO, "%s are still to come, and %s are free at %s (%s of them are left free)", fmt_bytes(a, (double)want), fmt_bytes(b, (double)room), p->dir, "64 MB");
    return 0;
}

static void show_progress(void *ctx)
{
    struct pull *p = ctx;
    char a[32], b[32], c[32], d[32];
    uint64_t all = 0, here = 0, came = 0;
    int n_done = 0;
    for (int i = 0; i < p->n; i++) {
        const struct fetch_file *f = &p->file[i];
        all += f->size, here += f->here, came += f->came, n_done += f->here == f->size;
    }
    if (!came)
        p->began = clock_wall();
    const double seconds = clock_wall() - p->began, rate = (double)came / (seconds > 0.1 ? seconds : 0.1);
    log_progress("%d of %d files, %s of %s (%.0f %%), %s/s%s%s", n_done, p->n, fmt_bytes(a, (double)here), fmt_bytes(b, (double)all), all ? 100.0 * (double)here / (double)all : 100.0,
                 fmt_bytes(c, rate), came ? ", left " : "", came ? fmt_seconds(d, (double)(all - here) / rate) : "");
}

static void note_done(struct pull *p)
{
    struct hub_list *l = &p->r->list;
    for (int i = 0, k = 0; i < l->n && k < p->n; i++)
        if (l->file[i].path == p->file[k].name) {
            memcpy(l->file[i].sha256, p->file[k].sha256, SHA256_HEX);
            l->file[i].here = true;
            k++;
        }
    p->r->n_fetched += p->n;
}

static int fetch_files(struct pull *p, struct err *err)
{
    const struct fetch_opts o = { .token = p->o->token, .n_job = p->o->n_job, .n_try = p->o->n_try, .stop = p->o->stop, .progress = show_progress, .ctx = p };
    int failed = 0;
    TRY(check_space(p, err));
    const double start = p->began = clock_wall();
    int rc = fetch_run(p->fetch, p->n, &o, &failed, err);
    log_progress_end();
    uint64_t here = 0;
    for (int i = 0; i < p->n; i++)
        p->r->bytes_fetched += p->file[i].came, here += p->file[i].here;
    p->r->seconds += clock_wall() - start;
    if (!rc)
        note_done(p);
    if (rc == ERR_NOTFOUND)
        rc = explain(p, &p->fetch[failed], err);
    if (rc == ERR_STOPPED) {
        char a[32];
        rc = ERR(err, STOPPED, "stopped with %s of what was missing; the same command goes on from here", fmt_bytes(a, (double)here));
    }
    return rc;
}

static int fetch_missing(struct pull *p, struct err *err)
{
    struct hub_list *l = &p->r->list;
    p->fetch = mem_alloc_array((size_t)l->n + 1, sizeof *p->fetch);
    p->file = mem_alloc_array((size_t)l->n + 1, sizeof *p->file);
    int rc = p->fetch && p->file ? 0 : ERR(err, NOMEM, "no memory for %d files", l->n);
    for (bool more = true; !rc && more;) {
        rc = plan_files(p, &more, err);
        if (!rc && p->n)
            rc = fetch_files(p, err);
        if (p->fetch && p->file)
            drop_plan(p);
    }
    mem_free(p->fetch);
    mem_free(p->file);
    return rc;
}

/* refs/REVISION and refs/COMMIT: from now on the commands find it. */
static int write_refs(const struct pull *p, struct err *err)
{
    const char *const name[] = { p->id->revision, p->r->commit };
    int rc = 0;
    for (int i = 0; i < 2 && !rc; i++) {
        struct buf path;
        buf_init(&path);
        rc = buf_printf(&path, err, "%s/refs", p->dir);
        if (!rc)
            rc = file_mkdirs(path.data, err);
        if (!rc)
            rc = buf_add_char(&path, '/', err);
        if (!rc)
            rc = model_escape(name[i], false, &path, err);
        if (!rc)
            rc = file_write_all(path.data, p->r->commit, strlen(p->r->commit), err);
        buf_release(&path);
    }
    return rc;
}

static int look_up_all(const struct pull *p, struct err *err)
{
    struct hub_result *r = p->r;
    for (int i = 0; i < r->list.n; i++) {
        struct hub_file *f = &r->list.file[i];
        if (!f->wanted)
            continue;
        TRY(look_up(f, r->folder, err));
        if (!f->here)
            TRY(reuse(p, f, err));
        r->n_wanted++;
        r->bytes += f->size;
    }
    return 0;
}

static int pull_locked(struct pull *p, struct err *err)
{
    char *part = file_join(p->dir, "part");
    int rc = part ? file_mkdirs(part, err) : ERR(err, NOMEM, "no memory for the path of the model");
    if (!rc)
        rc = file_mkdirs(p->r->folder, err);
    if (!rc)
        rc = look_up_all(p, err);
    if (!rc)
        rc = fetch_missing(p, err);
    if (!rc)
        rc = write_refs(p, err);
    mem_free(part);
    return rc;
}

int hub_pull(struct hub_result *out, const struct model_id *id, const struct hub_opts *o, struct err *err)
{
    struct pull p = { .id = id, .o = o, .r = out };
    int lock = -1;
    *out = (struct hub_result){ 0 };
    TRY(models_dir(&p.dir, id, err));
    int rc = find_commit(&p, err);
    if (!rc)
        rc = get_list(&p, err);
    if (!rc)
        rc = hub_list_choose(&out->list, o->patterns, err);
    if (!rc && !(out->folder = file_join(p.dir, out->commit)))
        rc = ERR(err, NOMEM, "no memory for the path of the model");
    if (!rc)
        rc = file_mkdirs(p.dir, err);
    if (!rc)
        rc = file_lock(p.dir, &lock, err);
    if (!rc)
        rc = pull_locked(&p, err);
    file_unlock(&lock);
    mem_free(p.dir);
    return rc;
}

void hub_result_release(struct hub_result *r)
{
    hub_list_release(&r->list);
    mem_free(r->folder);
    r->folder = NULL;
}
