#include "store/registry_verify.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/registry_apply.h"
#include "store/registry_needs.h"

struct verify {
    struct registry *g;
    const struct registry_verify_opts *o;
    struct db *replay;                   /* the tables that the journal gives */
    json_t *findings;
    struct registry_needs needs;         /* of the replay */
    struct merkle tree;                  /* of the records that the checkpoint speaks of */
    uint64_t bytes, bytes_done;
};

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to verify the registry"); }

static int find(struct verify *v, const char *part, const char *where, const char *what, struct err *err)
{
    char tidy[1000];
    snprintf(tidy, sizeof tidy, "%.900s", where);
    err_tidy(tidy);
    json_t *f = json_pack("{s:s, s:s, s:s}", "part", part, "where", tidy, "what", what);
    return json_array_append_new(v->findings, f) ? no_memory(err) : 0;
}

/* ---- the journal ---- */

static int bad_record(void *ctx, int64_t seq, const char *what, struct err *err)
{
    char where[40];
    snprintf(where, sizeof where, "record %lld", (long long)seq);
    return find(ctx, "journal", where, what, err);
}

static int replay_record(void *ctx, json_t *record, struct err *err)
{
    struct verify *v = ctx;
    struct err why;
    const int64_t seq = json_integer_value(json_object_get(record, "seq"));
    if (v->o->checkpoint && seq <= v->o->checkpoint->seq) {
        char *text = tree_dumps(record, JSON_SORT_KEYS | JSON_COMPACT);
        const int added = text ? merkle_add(&v->tree, text, strlen(text), err) : no_memory(err);
        mem_free(text);
        TRY(added);
    }
    const int rc = registry_apply(v->replay, record, &why);
    if (!rc || rc == ERR_NOMEM)
        return rc ? no_memory(err) : 0;
    return bad_record(v, seq, why.msg, err);
}

static int check_noted(struct verify *v, int64_t seq, const char *hash, struct err *err)
{
    char where[40];
    struct db_rows *r;
    TRY(db_query(&r, registry_db(v->g), "SELECT hash FROM journal WHERE seq = $1", DB_ARGS(DB_I(seq)), err));
    int rc = db_next(r, err);
    const bool there = rc == 1, same = there && !strcmp(db_text(r, 0), hash);
    db_rows_free(r);
    if (rc < 0 || same)
        return rc < 0 ? rc : 0;
    snprintf(where, sizeof where, "record %lld", (long long)seq);
    return find(v, "journal", where, there ? "does not have the hash that was noted: the journal was made anew" : "is noted, but the journal ends before it",
                err);
}

static int check_checkpoint(struct verify *v, struct err *err)
{
    const struct checkpoint *c = v->o->checkpoint;
    char id[SHA256_HEX], where[40];
    unsigned char root[SHA256_BYTES];
    if (!c)
        return 0;
    TRY(check_noted(v, c->seq, c->hash, err));
    TRY(registry_id(v->g, id, err));
    if (strcmp(id, c->id))
        return find(v, "journal", "record 1", "is not the one of the checkpoint's registry", err);
    merkle_root(&v->tree, root);
    snprintf(where, sizeof where, "records 1 to %lld", (long long)c->seq);
    return memcmp(root, c->root, sizeof root) ? find(v, "journal", where, "do not have the checkpoint's root", err) : 0;
}

static int check_head(struct verify *v, struct err *err)
{
    if (v->o->hash)
        TRY(check_noted(v, v->o->seq, v->o->hash, err));
    return check_checkpoint(v, err);
}

static int check_journal(struct verify *v, struct journal_head *head, struct err *err)
{
    TRY(db_open(&v->replay, ":memory:", err));
    TRY(registry_upgrade(v->replay, err));
    TRY(db_begin(v->replay, err));
    TRY(journal_walk(registry_db(v->g), replay_record, bad_record, v, head, err));
    TRY(db_commit(v->replay, err));
    return check_head(v, err);
}

/* ---- the tables ---- */

#define PART "\x1f"                      /* after each column; sorts before what columns hold */

/* What SQLite has of tables, indices, triggers and views, but for what ANALYZE makes. */
static const struct registry_table schema = { "sqlite_master", "type, name, tbl_name, sql", 2, 4 };

struct rows { char **row; int n, cap; };

static void rows_release(struct rows *r)
{
    for (int i = 0; i < r->n; i++)
        mem_free(r->row[i]);
    mem_free(r->row);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* A column with the NULs that it may have: no text of a registry has one, nor what stands for it here. */
static int add_column(struct buf *text, struct db_rows *r, int column, struct err *err)
{
    const size_t from = text->len, n = db_bytes(r, column);
    TRY(buf_add(text, db_text(r, column), n, err));
    for (char *p = text->data + from; p < text->data + from + n; p++)
        *p = *p ? *p : 1;
    return buf_add_str(text, PART, err);
}

static int add_row(struct rows *out, struct db_rows *r, int n_column, struct err *err)
{
    struct buf text;
    buf_init(&text);
    int rc = 0;
    for (int i = 0; i < n_column && !rc; i++)
        rc = add_column(&text, r, i, err);
    if (!rc && out->n == out->cap) {
        const int cap = out->cap ? 2 * out->cap : 64;
        char **row = mem_realloc_array(out->row, (size_t)cap, sizeof *row);
        if (row)
            out->row = row, out->cap = cap;
        else
            rc = no_memory(err);
    }
    char *copy = rc ? NULL : mem_strdup(text.data);
    buf_release(&text);
    if (!copy)
        return rc ? rc : no_memory(err);
    out->row[out->n++] = copy;
    return 0;
}

static int read_rows(struct rows *out, struct db *db, const struct registry_table *t, struct err *err)
{
    char sql[300];
    struct db_rows *r;
    snprintf(sql, sizeof sql, "SELECT %s FROM %s%s", t->columns, t->name, t == &schema ? " WHERE name NOT LIKE 'sqlite_stat%'" : "");
    TRY(db_query(&r, db, sql, NULL, 0, err));
    int rc;
    while ((rc = db_next(r, err)) == 1)
        if ((rc = add_row(out, r, t->n_column, err)))
            break;
    db_rows_free(r);
    if (!rc && out->n)
        qsort(out->row, (size_t)out->n, sizeof *out->row, by_text);
    return rc;
}

/* Bytes of the first n columns. */
static size_t columns_length(const char *row, int n)
{
    const char *p = row;
    for (int i = 0; i < n && (p = strchr(p, *PART)); i++)
        p++;
    return p ? (size_t)(p - row) : strlen(row);
}

static void key_of(const struct registry_table *t, const char *row, char *out, size_t size)
{
    snprintf(out, size, "%s %.*s", t->name, (int)columns_length(row, t->n_key) - 1, row);
    for (char *p = out; *p; p++)
        *p = *p == *PART ? ' ' : *p;
}

/* Which columns of two rows with one key differ. */
static int find_columns(struct verify *v, const struct registry_table *t, const char *found, const char *expected, struct err *err)
{
    char where[500], names[200], *rest = names, what[700];
    key_of(t, expected, where, sizeof where);
    snprintf(names, sizeof names, "%s", t->columns);
    for (int i = 0; i < t->n_column; i++) {
        const char *name = strsep(&rest, ","), *a = strchr(found, *PART), *b = strchr(expected, *PART);
        if (!a || !b)
            break;
        if (a - found != b - expected || memcmp(found, expected, (size_t)(a - found))) {
            snprintf(what, sizeof what, "%s is '%.*s', the %s '%.*s'", name + (*name == ' '), (int)(a - found > 200 ? 200 : a - found), found, t == &schema ? "schema has" : "journal says",
                     (int)(b - expected > 200 ? 200 : b - expected),
                     expected);
            err_tidy(what);
            TRY(find(v, "tables", where, what, err));
        }
        found = a + 1, expected = b + 1;
    }
    return 0;
}

static int compare_rows(struct verify *v, const struct registry_table *t, const struct rows *found, const struct rows *expected, struct err *err)
{
    for (int i = 0, k = 0; i < found->n || k < expected->n;) {
        const char *a = i < found->n ? found->row[i] : NULL, *b = k < expected->n ? expected->row[k] : NULL;
        char where[500];
        const size_t n = a ? columns_length(a, t->n_key) : 0;
        if (a && b && n == columns_length(b, t->n_key) && !memcmp(a, b, n)) {
            if (strcmp(a, b))
                TRY(find_columns(v, t, a, b, err));
            i++, k++;
        } else if (!b || (a && strcmp(a, b) < 0)) {
            key_of(t, a, where, sizeof where);
            TRY(find(v, "tables", where, t == &schema ? "is nothing that the schema has" : "is a row that the journal does not know", err));
            i++;
        } else {
            key_of(t, b, where, sizeof where);
            TRY(find(v, "tables", where, t == &schema ? "is a part of the schema that is missing" : "is a row of the journal that is missing", err));
            k++;
        }
    }
    return 0;
}

static int check_table(struct verify *v, const struct registry_table *t, struct err *err)
{
    struct rows found = { .n = 0 }, expected = { .n = 0 };
    int rc = read_rows(&found, registry_db(v->g), t, err);
    if (!rc)
        rc = read_rows(&expected, v->replay, t, err);
    if (!rc)
        rc = compare_rows(v, t, &found, &expected, err);
    rows_release(&found);
    rows_release(&expected);
    return rc;
}

static int check_tables(struct verify *v, struct err *err)
{
    if (!db_is_postgres(db_name(registry_db(v->g))))
        TRY(check_table(v, &schema, err));
    for (const struct registry_table *t = registry_tables; t->name; t++)
        TRY(check_table(v, t, err));
    return 0;
}

/* ---- the blobs: as the journal names them, so that a table that was changed does not hide one ---- */

static int bad_name(void *ctx, const char *of, const char *what, struct err *err) { return find(ctx, "blobs", of, what, err); }

static int check_blob(struct verify *v, const char *id, const json_t *b, struct err *err)
{
    struct err why;
    char where[1000];
    const int64_t bytes = json_integer_value(json_object_get(b, "bytes"));
    int rc = 0;
    if (!v->o->no_blobs)
        rc = blob_check(registry_folder(v->g), id, bytes < 0 ? BLOB_ANY_LENGTH : (uint64_t)bytes, &why);
    else if (!blob_exists(registry_folder(v->g), id))
        rc = ERR(&why, NOTFOUND, "blob %s is not there", id);
    v->bytes_done += bytes > 0 ? (uint64_t)bytes : 0;
    if (v->o->progress)
        v->o->progress(v->o->ctx, v->bytes_done, v->bytes);
    if (!rc || rc == ERR_NOMEM)
        return rc ? no_memory(err) : 0;
    snprintf(where, sizeof where, "blobs/sha256/%.2s/%.64s of %.800s", id, id, tree_text_at(b, "of"));
    return find(v, "blobs", where, why.msg, err);
}

static int check_blobs(struct verify *v, struct err *err)
{
    const char *id;
    json_t *b;
    json_object_foreach(v->needs.blobs, id, b)
        if (json_integer_value(json_object_get(b, "bytes")) > 0)
            v->bytes += (uint64_t)json_integer_value(json_object_get(b, "bytes"));
    json_object_foreach(v->needs.blobs, id, b)
        TRY(check_blob(v, id, b, err));
    return 0;
}

/* ---- the views ---- */

static int find_path(struct verify *v, const char *dir, const char *name, const char *what, struct err *err)
{
    char *path = file_join(dir, name);
    const int rc = path ? find(v, "views", path, what, err) : no_memory(err);
    mem_free(path);
    return rc;
}

/* All that lies in a view, whatever its name; under: its folder there, "" at the top. */
static int check_extra(struct verify *v, const char *dir, const char *under, const struct manifest *m, struct err *err)
{
    char **names, *folder = *under ? file_join(dir, under) : mem_strdup(dir);
    int n = 0, rc = folder ? file_list(folder, &names, &n, err) : no_memory(err);
    for (int i = 0; i < n && !rc; i++) {
        struct stat s;
        char *name = *under ? file_join(under, names[i]) : mem_strdup(names[i]), *path = file_join(folder, names[i]);
        if (!name || !path)
            rc = no_memory(err);
        else if (lstat(path, &s))
            rc = 0;                                          /* it is gone */
        else if (S_ISDIR(s.st_mode))
            rc = check_extra(v, dir, name, m, err);
        else if (!S_ISREG(s.st_mode))
            rc = find(v, "views", path, "is no regular file", err);
        else if (!manifest_find(m, name) && strcmp(name, "model.sig"))
            rc = find(v, "views", path, "is no file of the version", err);
        mem_free(name);
        mem_free(path);
    }
    if (n)
        file_list_free(names, n);
    mem_free(folder);
    return rc;
}

static int check_view(struct verify *v, const char *dir, const struct manifest *m, struct err *err)
{
    struct err why;
    int rc = check_extra(v, dir, "", m, &why);
    if (rc)
        return rc == ERR_NOMEM ? no_memory(err) : find(v, "views", dir, why.msg, err);
    for (int i = 0; i < m->n && !rc; i++) {
        char *path = file_join(dir, m->file[i].name), *blob = blob_path(registry_folder(v->g), m->file[i].sha256);
        if (!path || !blob)
            rc = no_memory(err);
        else if (!file_same(path, blob))
            rc = find(v, "views", path, file_exists(path) ? "is not the version's blob" : "is missing", err);
        mem_free(path);
        mem_free(blob);
    }
    return rc;
}

/* What lies beside the views: one that is being made, or was when its maker was killed, begins as a version's and goes on with a point. */
static int check_beside(struct verify *v, struct err *err)
{
    char **names, *dir = file_join(registry_folder(v->g), "versions");
    int n = 0, rc = dir ? 0 : no_memory(err);
    if (!rc && file_is_dir(dir))
        rc = file_list(dir, &names, &n, err);
    for (int i = 0; i < n && !rc; i++) {
        int64_t known = 0;
        char id[SHA256_HEX];
        snprintf(id, sizeof id, "%.64s", names[i]);
        if (blob_id_ok(id) && names[i][64] == '.')
            continue;
        if (blob_id_ok(names[i]))
            rc = db_query_int(&known, v->replay, 0, "SELECT count(*) FROM version WHERE manifest = $1", DB_ARGS(DB_T(names[i])), err);
        if (!rc && !known)
            rc = find_path(v, dir, names[i], "is no folder of a version", err);
    }
    if (n)
        file_list_free(names, n);
    mem_free(dir);
    return rc;
}

static int check_views(struct verify *v, struct err *err)
{
    const char *id;
    json_t *list;
    json_object_foreach(v->needs.views, id, list) {
        struct manifest m;
        char *dir = mem_printf("%s/versions/%s", registry_folder(v->g), id);
        int rc = dir ? 0 : no_memory(err);
        if (!rc && file_is_dir(dir) && !(rc = manifest_parse(&m, list, err))) {
            rc = check_view(v, dir, &m, err);
            manifest_release(&m);
        }
        mem_free(dir);
        TRY(rc);
    }
    return check_beside(v, err);
}

/* ---- all ---- */

static int check_database(struct verify *v, struct err *err)
{
    struct buf lines;
    buf_init(&lines);
    int rc = db_check(registry_db(v->g), &lines, err);
    char *rest = lines.data, *line;
    while (!rc && (line = strsep(&rest, "\n")))
        if (*line)
            rc = find(v, "database", db_name(registry_db(v->g)), line, err);
    buf_release(&lines);
    return rc;
}

/* One state of the database, whoever writes meanwhile. */
static int check_rows(struct verify *v, struct journal_head *head, struct err *err)
{
    TRY(db_begin_read(registry_db(v->g), err));
    int rc = check_database(v, err);
    if (!rc)
        rc = check_journal(v, head, err);
    if (!rc)
        rc = check_tables(v, err);
    db_rollback(registry_db(v->g));
    return rc;
}

/* Files are looked at after the transaction: that takes long. */
static int check_all(struct verify *v, struct journal_head *head, struct err *err)
{
    TRY(check_rows(v, head, err));
    v->needs.bad = bad_name, v->needs.ctx = v;
    TRY(registry_needs_read(&v->needs, v->replay, registry_folder(v->g), err));
    TRY(check_blobs(v, err));
    return check_views(v, err);
}

int registry_verify(struct registry *g, const struct registry_verify_opts *o, json_t **out, struct err *err)
{
    struct verify v = { .g = g, .o = o, .findings = json_array(), };
    struct journal_head head = { .seq = 0 };
    *out = NULL;
    int rc = v.findings ? check_all(&v, &head, err) : no_memory(err);
    if (rc == ERR_CORRUPT)                               /* so damaged that it cannot be read */
        rc = find(&v, "database", db_name(registry_db(g)), err->msg, err);
    if (!rc && !(*out = json_pack("{s:b, s:I, s:{s:I, s:s, s:s}, s:I, s:I, s:O}", "valid", json_array_size(v.findings) == 0, "records", (json_int_t)head.seq,
                                  "head", "seq", (json_int_t)head.seq, "hash",
                                  head.hash, "t", head.t, "blobs", (json_int_t)json_object_size(v.needs.blobs), "bytes", (json_int_t)v.bytes, "findings", v.findings)))
        rc = no_memory(err);
    db_close(v.replay);
    registry_needs_release(&v.needs);
    json_decref(v.findings);
    return rc;
}
