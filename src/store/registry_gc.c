#include "store/registry_gc.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/blob_pieces.h"
#include "store/registry_apply.h"
#include "store/registry_gc_plan.h"
#include "store/registry_needs.h"
#include "store/registry_verify.h"

enum {
    BATCH = 500,                         /* of what a transaction takes */
    WRITER_S = 3600
};
#define GONE ".gone-"

/* VIEW: a folder of versions/; GONE_BLOB: a blob that a run which was killed had taken, perhaps before its commit; OTHER: what a writer left. */
enum kind { BLOB, VIEW, GONE_BLOB, OTHER };
struct item { enum kind kind; char *path, id[SHA256_HEX], *gone; uint64_t bytes; };

struct gc {
    struct registry *g;
    const struct registry_gc_opts *o;
    const struct journal_by *by;
    struct registry_needs needs;
    int64_t needs_seq;                   /* of the journal, when they were read; -1: not yet */
    struct item *item;
    int n, cap;
    int64_t n_of[4];
    uint64_t bytes;
};

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to collect what nothing needs"); }

/* ---- what is there ---- */

static int add_item(struct gc *c, enum kind kind, char *path, const char *id, uint64_t bytes, struct err *err)
{
    if (c->n == c->cap) {
        const int cap = c->cap ? 2 * c->cap : 64;
        struct item *item = mem_realloc_array(c->item, (size_t)cap, sizeof *item);
        if (!item)
            return mem_free(path), no_memory(err);
        c->item = item, c->cap = cap;
    }
    c->item[c->n] = (struct item){ .kind = kind, .path = path, .bytes = bytes };
    snprintf(c->item[c->n++].id, SHA256_HEX, "%.64s", id);
    return 0;
}

/* A writer that is at work writes to its file, or names it soon. */
static bool is_old(const struct gc *c, enum kind kind, const struct stat *s)
{
    const int64_t grace = kind == OTHER && c->o->grace_s < WRITER_S ? WRITER_S : c->o->grace_s;
    return s->st_mtim.tv_sec * INT64_C(1000000000) + s->st_mtim.tv_nsec <= when_now() - grace * 1000000000;
}

static bool is_needed(const struct gc *c, enum kind kind, const char *id) { return json_object_get(kind == VIEW ? c->needs.views : c->needs.blobs, id) != NULL; }

/* Of a blob the bytes of its .pieces too. */
static uint64_t bytes_of(const char *path, const struct stat *s, bool is_blob)
{
    return (S_ISREG(s->st_mode) ? (uint64_t)s->st_size : 0) + (is_blob ? blob_pieces_bytes(path) : 0);
}

/* A name in a folder of blobs, or in versions/: what begins with a digest is ours. */
static int look_at(struct gc *c, const char *dir, const char *name, bool views, struct err *err)
{
    char id[SHA256_HEX];
    struct stat s;
    snprintf(id, sizeof id, "%.64s", name);
    if (!blob_id_ok(id) || (name[64] && name[64] != '.'))
        return 0;
    char *path = file_join(dir, name);
    if (!path)
        return no_memory(err);
    const enum kind kind = !name[64] ? (views ? VIEW : BLOB) : !views && !strncmp(name + 64, GONE, strlen(GONE)) ? GONE_BLOB : OTHER;
    bool go = !lstat(path, &s) && (kind == GONE_BLOB || is_old(c, kind, &s));
    if (go && kind <= VIEW)
        go = !is_needed(c, kind, id);
    if (go && !strcmp(name + 64, ".pieces")) {                 /* with its blob, or where there is none */
        char *blob = mem_printf("%s/%s", dir, id);
        go = blob && !file_exists(blob);
        mem_free(blob);
    }
    if (go)
        return add_item(c, kind, path, id, bytes_of(path, &s, kind == BLOB), err);
    mem_free(path);
    return 0;
}

static int look_in(struct gc *c, char *dir, bool views, struct err *err)
{
    char **names = NULL;
    int n = 0, rc = dir ? 0 : no_memory(err);
    if (!rc && file_is_dir(dir))
        rc = file_list(dir, &names, &n, err);
    for (int i = 0; i < n && !rc; i++)
        rc = look_at(c, dir, names[i], views, err);
    file_list_free(names, n);
    mem_free(dir);
    return rc;
}

/* A part of a pull, or a server's folder of uploads, that nobody holds. */
static int look_at_left(struct gc *c, const char *dir, const char *name, struct err *err)
{
    struct stat s;
    struct file_usage usage;
    struct err none;
    int held = -1;
    if (strspn(name, "0123456789abcdef") < 32)
        return 0;
    char *path = file_join(dir, name);
    if (!path)
        return no_memory(err);
    const bool go = !lstat(path, &s) && is_old(c, OTHER, &s) && (!S_ISDIR(s.st_mode) || !file_lock(path, &held, &none));
    int rc = go ? file_usage(path, &usage, err) : 0;
    if (go && !rc)
        rc = add_item(c, OTHER, path, "", usage.bytes, err);
    else
        mem_free(path);
    file_unlock(&held);
    return rc;
}

/* What pulls, or pushes to a server here, left in a folder, unless one holds it. */
static int look_in_oci(struct gc *c, char *dir, struct err *err)
{
    char **names = NULL;
    int n = 0, held = -1, rc = dir ? 0 : no_memory(err);
    struct err none;
    if (!rc && file_is_dir(dir) && !file_lock(dir, &held, &none))
        rc = file_list(dir, &names, &n, err);
    for (int i = 0; i < n && !rc; i++)
        rc = look_at_left(c, dir, names[i], err);
    file_list_free(names, n);
    file_unlock(&held);
    mem_free(dir);
    return rc;
}

static int look_at_all(struct gc *c, struct err *err)
{
    const char *folder = registry_folder(c->g);
    TRY(look_in(c, mem_printf("%s/versions", folder), true, err));
    TRY(look_in_oci(c, mem_printf("%s/oci/part", folder), err));
    TRY(look_in_oci(c, mem_printf("%s/oci/uploads", folder), err));
    TRY(look_in_oci(c, mem_printf("%s/oci/push", folder), err));
    for (int i = 0; i < 256; i++)
        TRY(look_in(c, mem_printf("%s/blobs/sha256/%02x", folder, i), false, err));
    return 0;
}

static void items_release(struct gc *c)
{
    for (int i = 0; i < c->n; i++)
        mem_free(c->item[i].path), mem_free(c->item[i].gone);
    mem_free(c->item);
    c->item = NULL, c->n = c->cap = 0;
}

/* ---- within the transaction ---- */

static int read_needs(struct gc *c, struct err *err)
{
    struct journal_head head;
    TRY(journal_head(&head, registry_db(c->g), err));
    if (head.seq == c->needs_seq)
        return 0;
    registry_needs_release(&c->needs);
    c->needs_seq = -1;
    TRY(registry_needs_read(&c->needs, registry_db(c->g), registry_folder(c->g), err));
    c->needs_seq = head.seq;
    return 0;
}

/* Is it still to go?  A blob that is needed, taken by a run that was killed before its commit, is given back. */
static int still(const struct gc *c, const struct item *it, bool *go, struct err *err)
{
    struct stat s;
    *go = !lstat(it->path, &s) && (it->kind == GONE_BLOB || is_old(c, it->kind, &s));
    if (!*go || it->kind == OTHER)
        return 0;
    if (it->kind != GONE_BLOB) {
        *go = !is_needed(c, it->kind, it->id);
        return 0;
    }
    if (!is_needed(c, BLOB, it->id) || blob_exists(registry_folder(c->g), it->id))
        return 0;
    *go = false;
    char *back = blob_path(registry_folder(c->g), it->id);
    const int rc = back ? file_rename(it->path, back, err) : no_memory(err);
    mem_free(back);
    return rc;
}

static int take(struct item *it, struct err *err)
{
    uint64_t salt = (uint64_t)when_now() ^ hash64(it->path, strlen(it->path), 0);
    if (it->kind > VIEW)
        return (it->gone = mem_strdup(it->path)) ? 0 : no_memory(err);
    if (!(it->gone = mem_printf("%s" GONE "%016llx", it->path, (unsigned long long)salt)))
        return no_memory(err);
    const int rc = file_rename(it->path, it->gone, err);
    if (rc)
        mem_free(it->gone), it->gone = NULL;
    return rc;
}

static void give_back(struct item *it)
{
    if (it->gone && it->kind <= VIEW && !file_exists(it->path))
        file_rename(it->gone, it->path, NULL);
    mem_free(it->gone);
    it->gone = NULL;
}

/* { action, name, blobs, bytes, other } of those that were taken. */
static json_t *record_of(const struct gc *c, int from, int to)
{
    json_t *blobs = json_array(), *other = json_array();
    uint64_t bytes = 0;
    int rc = blobs && other ? 0 : -1;
    for (int i = from; i < to && !rc; i++) {
        const struct item *it = &c->item[i];
        if (!it->gone)
            continue;
        bytes += it->bytes;
        const bool blob = it->kind == BLOB || it->kind == GONE_BLOB;
        rc = json_array_append_new(blob ? blobs : other, json_string(blob ? it->id : it->path + strlen(registry_folder(c->g)) + 1));
    }
    json_t *record = rc ? NULL : json_pack("{s:s, s:s, s:O, s:I, s:O}", "action", "collect", "name", "", "blobs", blobs, "bytes", (json_int_t)bytes, "other", other);
    json_decref(blobs);
    json_decref(other);
    return record;
}

static int write_collected(struct gc *c, int from, int to, struct err *err)
{
    struct journal_head head;
    json_t *record = record_of(c, from, to);
    const int rc = record ? registry_write(registry_db(c->g), record, c->by, &head, err) : no_memory(err);
    json_decref(record);
    if (!rc)
        c->needs_seq = head.seq;         /* which changes nothing of what is needed; where it is not committed all of this ends */
    return rc;
}

static int take_batch(struct gc *c, int from, int to, struct err *err)
{
    int n = 0;
    TRY(read_needs(c, err));
    for (int i = from; i < to; i++) {
        bool go;
        TRY(still(c, &c->item[i], &go, err));
        if (go) {
            TRY(take(&c->item[i], err));
            n++;
        }
    }
    return n ? write_collected(c, from, to, err) : 0;
}

/* ---- after the commit ---- */

static int remove_item(struct gc *c, struct item *it, struct err *err)
{
    if (!it->gone)
        return 0;
    if (it->kind == BLOB) {
        char *pieces = mem_printf("%s.pieces", it->path);
        if (!pieces)
            return no_memory(err);
        if (!file_exists(it->path))                           /* nobody has put it again meanwhile */
            unlink(pieces);
        mem_free(pieces);
    }
    TRY(file_remove_tree(it->gone, err));
    c->n_of[it->kind]++, c->bytes += it->bytes;
    return 0;
}

static int sweep_batch(struct gc *c, int from, int to, struct err *err)
{
    TRY(db_begin(registry_db(c->g), err));
    int rc = take_batch(c, from, to, err);
    if (!rc)
        rc = db_commit(registry_db(c->g), err);
    if (rc) {
        for (int i = from; i < to; i++)                       /* before others may write */
            give_back(&c->item[i]);
        db_rollback(registry_db(c->g));
        return rc;
    }
    for (int i = from; i < to && !rc; i++)
        rc = remove_item(c, &c->item[i], err);
    return rc;
}

static int sweep(struct gc *c, struct err *err)
{
    TRY(look_at_all(c, err));
    for (int from = 0; from < c->n; from += BATCH)
        TRY(sweep_batch(c, from, from + BATCH < c->n ? from + BATCH : c->n, err));
    return 0;
}

/* ---- versions that lose their bytes ---- */

static int write_drops(struct gc *c, const json_t *drop, struct err *err)
{
    size_t i;
    const json_t *d;
    json_array_foreach(drop, i, d) {
        struct journal_head head;
        json_t *record = json_pack("{s:s, s:O, s:O, s:O, s:O}", "action", "drop", "name", json_object_get(d, "name"), "number", json_object_get(d, "number"), "root",
                                   json_object_get(d, "root"), "bytes",
                                   json_object_get(d, "bytes"));
        const int rc = record ? registry_write(registry_db(c->g), record, c->by, &head, err) : no_memory(err);
        json_decref(record);
        TRY(rc);
    }
    return 0;
}

/* With dry_run all that would go is counted as if it had gone, and the transaction undone. */
static int plan(struct gc *c, struct registry_gc_plan *p, struct err *err)
{
    TRY(registry_gc_plan(p, c->g, c->o, err));
    TRY(write_drops(c, p->drop, err));
    TRY(read_needs(c, err));
    if (!c->o->dry_run)
        return 0;
    TRY(look_at_all(c, err));
    for (int i = 0; i < c->n; i++) {
        const bool back = c->item[i].kind == GONE_BLOB && is_needed(c, BLOB, c->item[i].id) && !blob_exists(registry_folder(c->g), c->item[i].id);
        c->n_of[c->item[i].kind] += !back;
        c->bytes += back ? 0 : c->item[i].bytes;
    }
    return 0;
}

static int run(struct gc *c, struct registry_gc_plan *p, struct err *err)
{
    TRY(db_begin(registry_db(c->g), err));
    int rc = plan(c, p, err);
    if (!rc && !c->o->dry_run)
        rc = db_commit(registry_db(c->g), err);
    db_rollback(registry_db(c->g));
    return rc || c->o->dry_run ? rc : sweep(c, err);
}

/* ---- all ---- */

/* A row that someone took away by hand would take its blobs with it. */
static int trust_tables(struct registry *g, struct err *err)
{
    json_t *verdict;
    size_t i;
    const json_t *f;
    int rc = 0;
    TRY(registry_verify(g, &(struct registry_verify_opts){ .no_blobs = true }, &verdict, err));
    json_array_foreach(json_object_get(verdict, "findings"), i, f) {
        const char *part = tree_text_at(f, "part");
        if (!rc && strcmp(part, "blobs") && strcmp(part, "views"))
            rc = ERR(err, CORRUPT, "the registry is not what its journal says, and nothing is removed (%s: %.150s: %.150s)", part, tree_text_at(f, "where"),
                     tree_text_at(f, "what"));
    }
    json_decref(verdict);
    return rc;
}

static int tell(const struct gc *c, const struct registry_gc_plan *p, json_t **out, struct err *err)
{
    json_t *quota = c->o->has_quota ? json_integer((json_int_t)c->o->quota) : json_null();
    *out = json_pack("{s:b, s:O, s:O, s:I, s:I, s:I, s:I, s:I, s:o, s:b}", "dry_run", c->o->dry_run, "dropped", p->drop, "kept", p->kept, "blobs",
                     (json_int_t)(c->n_of[BLOB] + c->n_of[GONE_BLOB]), "views",
                     (json_int_t)c->n_of[VIEW], "other", (json_int_t)c->n_of[OTHER], "bytes", (json_int_t)c->bytes, "used", (json_int_t)p->used, "quota", quota, "fits",
                     !c->o->has_quota || p->used <= c->o->quota);
    return *out ? 0 : no_memory(err);
}

int registry_gc(struct registry *g, const struct registry_gc_opts *o, const struct journal_by *by, json_t **out, struct err *err)
{
    struct gc c = { .g = g, .o = o, .by = by, .needs_seq = -1 };
    struct registry_gc_plan p = { .used = 0 };
    *out = NULL;
    TRY(journal_by_check(by, err));
    TRY(registry_claimed_alone(g, err));
    TRY(trust_tables(g, err));
    int rc = run(&c, &p, err);
    if (!rc)
        rc = tell(&c, &p, out, err);
    items_release(&c);
    registry_needs_release(&c.needs);
    json_decref(p.kept);
    json_decref(p.drop);
    return rc;
}
