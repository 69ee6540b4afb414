#include "store/registry_backup.h"
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/registry_apply.h"
#include "store/registry_needs.h"

#define FORMAT "lathe registry backup"
enum {
    FORMAT_VERSION = 1,
    HEAD_MAX = 1 << 30,                  /* bytes of backup.json */
    TIMES = 3                            /* that a backup begins again because a collector removed what it was to copy */
};

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a backup"); }

/* A journal in memory, its tables, and what these name. */
struct copy {
    struct db *db;
    struct journal_head head;
    struct registry_needs needs;
    char id[SHA256_HEX];
    json_t *manifest;                    /* backup.json */
    const char *folder;                  /* of the backup; borrowed */
    uint64_t bytes, copied_bytes;
    int64_t copied;
};

static void copy_release(struct copy *c)
{
    db_close(c->db);
    registry_needs_release(&c->needs);
    json_decref(c->manifest);
    *c = (struct copy){ .folder = c->folder };
}

static int open_tables(struct copy *c, struct err *err)
{
    TRY(db_open(&c->db, ":memory:", err));
    return registry_upgrade(c->db, err);
}

static int refuse_record(void *ctx, int64_t seq, const char *what, struct err *err)
{
    return (void)ctx, ERR(err, CORRUPT, "record %lld of the journal %s", (long long)seq, what);
}

static int insert_record(struct db *db, const json_t *record, const char *text, char hash[SHA256_HEX], struct err *err)
{
    TRY(sha256_of(text, strlen(text), hash, err));
    TRY(db_run(db, "INSERT INTO journal (seq, t, name, hash, record) VALUES ($1, $2, $3, $4, $5)",
               DB_ARGS(DB_I(json_integer_value(json_object_get(record, "seq"))), DB_T(tree_text_at(record, "t")), DB_T(tree_text_at(record, "name")), DB_T(hash), DB_T(text)),
               NULL, err));
    return registry_apply(db, record, err);
}

/* ---- making one ---- */

struct writing { struct copy *c; struct file_writer *w; struct sha256 *sum; };

static int write_record(void *ctx, json_t *record, struct err *err)
{
    struct writing *to = ctx;
    char hash[SHA256_HEX], *text = tree_dumps(record, JSON_SORT_KEYS | JSON_COMPACT);
    int rc = text ? insert_record(to->c->db, record, text, hash, err) : no_memory(err);
    if (!rc && json_integer_value(json_object_get(record, "seq")) == 1)
        memcpy(to->c->id, hash, sizeof hash);
    if (!rc)
        rc = file_writer_add(to->w, text, strlen(text), err);
    if (!rc)
        rc = file_writer_add(to->w, "\n", 1, err);
    if (!rc)
        sha256_add(to->sum, text, strlen(text)), sha256_add(to->sum, "\n", 1);
    mem_free(text);
    return rc;
}

/* One state of the database, into memory and into a file. */
static int write_records(struct registry *g, struct copy *c, struct file_writer *w, char sha256[SHA256_HEX], struct err *err)
{
    struct sha256 sum;
    TRY(sha256_init(&sum, err));
    struct writing to = { c, w, &sum };
    int rc = db_begin(c->db, err);
    if (!rc)
        rc = db_begin_read(registry_db(g), err);
    if (!rc)
        rc = journal_walk(registry_db(g), write_record, refuse_record, &to, &c->head, err);
    db_rollback(registry_db(g));
    if (!rc)
        rc = db_commit(c->db, err);
    if (rc)
        sha256_release(&sum);
    else
        sha256_end(&sum, sha256);
    return rc;
}

/* The journal as a file, named by its end: the one of the backup before stays until backup.json names this. */
static int write_journal(struct registry *g, struct copy *c, json_t **entry, struct err *err)
{
    struct file_writer w;
    char sha256[SHA256_HEX], name[60], *path = file_join(c->folder, "journal.new"), *to = NULL;
    int rc = path ? file_writer_open(&w, path, err) : no_memory(err);
    if (!rc) {
        rc = write_records(g, c, &w, sha256, err);
        const uint64_t bytes = w.size;
        if (rc)
            file_writer_abort(&w);
        else
            rc = file_writer_commit(&w, err);
        snprintf(name, sizeof name, "journal-%lld.jsonl", (long long)c->head.seq);
        if (!rc && !(to = file_join(c->folder, name)))
            rc = no_memory(err);
        if (!rc)
            rc = file_rename(path, to, err);
        if (!rc && !(*entry = json_pack("{s:s, s:I, s:s}", "file", name, "bytes", (json_int_t)bytes, "sha256", sha256)))
            rc = no_memory(err);
    }
    mem_free(path);
    mem_free(to);
    return rc;
}

/* Copies a blob from one folder to another, where it is not there yet.  of: whose it is. */
static int copy_blob(struct copy *c, const char *from, const char *to, const char *id, const json_t *b, struct err *err)
{
    const int64_t known = json_integer_value(json_object_get(b, "bytes"));
    char found[BLOB_ID], *path;
    uint64_t bytes;
    TRY(blob_stat(from, id, known < 0 ? BLOB_ANY_LENGTH : (uint64_t)known, err));
    if (!(path = blob_path(from, id)))
        return no_memory(err);
    struct file_stream s;
    int rc = file_stream_open(&s, path, err);
    bytes = rc ? 0 : s.size;
    if (!rc)
        file_stream_close(&s);
    if (!rc && blob_stat(to, id, bytes, NULL)) {
        rc = blob_put_file(to, path, NULL, found, &bytes, err);
        if (!rc && strcmp(found, id) && !(rc = blob_check(from, id, bytes, err)))
            rc = ERR(err, CORRUPT, "blob %s changed while it was copied", id);
        c->copied++, c->copied_bytes += bytes;
    }
    c->bytes += bytes;
    mem_free(path);
    return rc ? err_context(err, "%.200s", tree_text_at(b, "of")) : 0;
}

static int copy_blobs(struct copy *c, const char *from, const char *to, json_t *list, struct err *err)
{
    const char *id;
    json_t *b;
    json_object_foreach(c->needs.blobs, id, b) {
        const uint64_t before = c->bytes;
        TRY(copy_blob(c, from, to, id, b, err));
        if (list && json_object_set_new(list, id, json_integer((json_int_t)(c->bytes - before))))
            return no_memory(err);
    }
    return 0;
}

static int report_of(const struct copy *c, const char *name, json_t **report, struct err *err)
{
    if (report && !(*report = json_pack("{s:s, s:s, s:{s:I, s:s, s:s}, s:I, s:I, s:I, s:I}", "backup", name, "registry", c->id, "head", "seq", (json_int_t)c->head.seq, "hash",
                                        c->head.hash, "t", c->head.t, "blobs", (json_int_t)json_object_size(c->needs.blobs), "bytes", (json_int_t)c->bytes, "copied",
                                        (json_int_t)c->copied, "copied_bytes", (json_int_t)c->copied_bytes)))
        return no_memory(err);
    return 0;
}

static int write_manifest(const struct copy *c, json_t *journal, json_t *blobs, struct err *err)
{
    char made[WHEN_TEXT], *path = file_join(c->folder, "backup.json"), *text = NULL;
    when_text(made, when_now());
    json_t *o = json_pack("{s:s, s:i, s:s, s:s, s:{s:I, s:s, s:s}, s:O, s:O}", "format", FORMAT, "version", FORMAT_VERSION, "registry", c->id, "made", made, "head", "seq",
                          (json_int_t)c->head.seq, "hash", c->head.hash, "t", c->head.t, "journal", journal, "blobs", blobs);
    int rc = path && o && (text = tree_dumps(o, JSON_SORT_KEYS | JSON_INDENT(1))) ? 0 : no_memory(err);
    if (!rc)
        rc = file_write_all(path, text, strlen(text), err);
    json_decref(o);
    mem_free(text);
    mem_free(path);
    return rc;
}

/* Journals of backups before: nothing names them any more. */
static int remove_others(const char *folder, const char *keep, struct err *err)
{
    char **names;
    int n;
    TRY(file_list(folder, &names, &n, err));
    for (int i = 0; i < n; i++) {
        char *path = !strncmp(names[i], "journal", 7) && strcmp(names[i], keep) ? file_join(folder, names[i]) : NULL;
        if (path)
            unlink(path);
        mem_free(path);
    }
    file_list_free(names, n);
    return 0;
}

static int backup_once(struct registry *g, struct copy *c, struct err *err)
{
    json_t *journal = NULL, *blobs = json_object();
    int rc = blobs ? open_tables(c, err) : no_memory(err);
    if (!rc)
        rc = write_journal(g, c, &journal, err);
    if (!rc)
        rc = registry_needs_read(&c->needs, c->db, registry_folder(g), err);
    if (!rc)
        rc = copy_blobs(c, registry_folder(g), c->folder, blobs, err);
    if (!rc)
        rc = write_manifest(c, journal, blobs, err);
    if (!rc)
        rc = remove_others(c->folder, tree_text_at(journal, "file"), err);
    json_decref(journal);
    json_decref(blobs);
    return rc;
}

/* The folder is empty, or has a backup of this registry, or what one that was killed left. */
static int check_place(struct registry *g, const char *out, struct err *err)
{
    char **names, id[SHA256_HEX], *path = file_join(out, "backup.json");
    int n = 0, rc = path ? file_list(out, &names, &n, err) : no_memory(err);
    for (int i = 0; i < n && !rc; i++)
        if (strcmp(names[i], "blobs") && strncmp(names[i], "journal", 7) && strncmp(names[i], "backup.json", 11))
            rc = ERR(err, USAGE, "%.300s has '%.100s' in it: expected an empty folder, or one with a backup of this registry", out, names[i]);
    if (n)
        file_list_free(names, n);
    json_t *before = NULL;
    if (!rc)
        rc = registry_id(g, id, err);
    if (!rc && file_exists(path))
        rc = tree_load(&before, path, HEAD_MAX, err);
    if (!rc && before && strcmp(tree_text_at(before, "registry"), id))
        rc = ERR(err, USAGE, "%.300s is a backup of registry %.12s, this one is %.12s", out, tree_text_at(before, "registry"), id);
    json_decref(before);
    mem_free(path);
    return rc;
}

int registry_backup(struct registry *g, const char *out, json_t **report, struct err *err)
{
    int lock;
    *report = NULL;
    TRY(file_mkdirs(out, err));
    TRY(file_lock(out, &lock, err));
    struct copy c = { .folder = out };
    int rc = check_place(g, out, err);
    for (int i = 0; !rc && i < TIMES; i++) {
        struct journal_head now = { .seq = 0 };
        copy_release(&c);
        rc = backup_once(g, &c, err);
        struct err none;
        if (rc != ERR_NOTFOUND || i == TIMES - 1 || journal_head(&now, registry_db(g), &none) || now.seq == c.head.seq)
            break;
        rc = 0;
    }
    if (!rc)
        rc = report_of(&c, out, report, err);
    copy_release(&c);
    file_unlock(&lock);
    return rc;
}

/* ---- reading one ---- */

static int read_manifest(struct copy *c, struct err *err)
{
    char *path = file_join(c->folder, "backup.json");
    if (!path)
        return no_memory(err);
    int rc = file_exists(path) ? tree_load(&c->manifest, path, HEAD_MAX, err) : ERR(err, FORMAT, "%.300s has no backup.json: it is no backup, or one that did not end", c->folder);
    mem_free(path);
    if (rc)
        return rc == ERR_NOMEM || rc == ERR_IO ? rc : (err->code = ERR_FORMAT);
    const json_t *o = c->manifest, *journal = json_object_get(o, "journal");
    const json_int_t version = json_integer_value(json_object_get(o, "version"));
    const char *file = tree_text_at(journal, "file");
    if (strcmp(tree_text_at(o, "format"), FORMAT))
        return ERR(err, FORMAT, "%.300s/backup.json has the format '%.60s', expected '" FORMAT "'", c->folder, tree_text_at(o, "format"));
    if (version != FORMAT_VERSION)
        return ERR(err, UNSUPPORTED, "%.300s is of version %lld of backups, this program knows %d", c->folder, (long long)version, FORMAT_VERSION);
    if (strncmp(file, "journal-", 8) || strchr(file, '/') || !blob_id_ok(tree_text_at(journal, "sha256")) || !json_is_object(json_object_get(o, "blobs")))
        return ERR(err, FORMAT, "%.300s/backup.json names no journal, or no blobs", c->folder);
    return 0;
}

static int take_line(struct copy *c, int64_t n, const char *line, size_t length, struct err *err)
{
    json_t *record = NULL;
    char hash[SHA256_HEX];
    int rc = strlen(line) == length ? tree_parse_json(&record, line, length, "it", err) : ERR(err, FORMAT, "it has a NUL in it");
    if (!rc && !json_is_object(record))
        rc = ERR(err, FORMAT, "it is no object of JSON");
    if (!rc)
        rc = insert_record(c->db, record, line, hash, err);
    if (!rc && n == 1)
        memcpy(c->id, hash, sizeof hash);
    json_decref(record);
    if (rc && rc != ERR_NOMEM) {
        err_context(err, "record %lld of the backup's journal", (long long)n);
        rc = err->code = ERR_CORRUPT;
    }
    return rc;
}

/* Lines of the mapped file; each is copied, so that it ends with a NUL. */
static int take_lines(struct copy *c, const struct file_map *m, struct err *err)
{
    struct buf line;
    int64_t n = 0;
    int rc = 0;
    buf_init(&line);
    for (const char *p = m->data, *end = m->data + m->size; p < end && !rc;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        n++;
        if (!newline)
            rc = ERR(err, CORRUPT, "record %lld of the backup's journal is cut off", (long long)n);
        buf_clear(&line);
        if (!rc)
            rc = buf_add(&line, p, (size_t)(newline - p), err);
        if (!rc)
            rc = take_line(c, n, line.data, line.len, err);
        p = newline ? newline + 1 : end;
    }
    buf_release(&line);
    return rc;
}

static int ignore_record(void *ctx, json_t *record, struct err *err) { return (void)ctx, (void)record, (void)err, 0; }

/* The chain, to the end that backup.json names. */
static int check_chain(struct copy *c, struct err *err)
{
    const json_t *head = json_object_get(c->manifest, "head");
    const long long seq = (long long)json_integer_value(json_object_get(head, "seq"));
    TRY(journal_walk(c->db, ignore_record, refuse_record, NULL, &c->head, err));
    if (c->head.seq != seq)
        return ERR(err, CORRUPT, "the backup's journal ends with record %lld, expected %lld", (long long)c->head.seq, seq);
    if (strcmp(c->head.hash, tree_text_at(head, "hash")) || strcmp(c->id, tree_text_at(c->manifest, "registry")))
        return ERR(err, CORRUPT, "record %lld of the backup's journal, or its first, does not have the hash that backup.json says", seq);
    return 0;
}

static int read_journal(struct copy *c, struct err *err)
{
    const json_t *journal = json_object_get(c->manifest, "journal");
    const char *name = tree_text_at(journal, "file");
    char *path = file_join(c->folder, name), sha256[SHA256_HEX] = "";
    struct file_map m;
    int rc = path ? open_tables(c, err) : no_memory(err);
    if (!rc && !file_exists(path))
        rc = ERR(err, CORRUPT, "the backup's %.60s is missing", name);
    if (!rc)
        rc = sha256_of_file(path, sha256, err);
    if (!rc && !(rc = file_map_open(&m, path, err))) {
        rc = db_begin(c->db, err);
        if (!rc)
            rc = take_lines(c, &m, err);
        if (!rc)
            rc = db_commit(c->db, err);
        db_rollback(c->db);
        file_map_close(&m);
    }
    if (!rc)
        rc = check_chain(c, err);
    if (!rc && strcmp(sha256, tree_text_at(journal, "sha256")))
        rc = ERR(err, CORRUPT, "the backup's %.60s has the SHA-256 %.64s, expected %.64s", name, sha256, tree_text_at(journal, "sha256"));
    mem_free(path);
    return rc;
}

static int check_blobs(struct copy *c, struct err *err)
{
    const json_t *list = json_object_get(c->manifest, "blobs");
    const char *id;
    json_t *b;
    int rc = registry_needs_read(&c->needs, c->db, c->folder, err);
    json_object_foreach(c->needs.blobs, id, b) {
        if (rc)
            break;
        const json_t *bytes = json_object_get(list, id);
        rc = bytes ? blob_check(c->folder, id, (uint64_t)json_integer_value(bytes), err) : ERR(err, CORRUPT, "backup.json does not name blob %s", id);
        c->bytes += (uint64_t)json_integer_value(bytes);
        if (rc)
            err_context(err, "%.200s", tree_text_at(b, "of"));
    }
    return rc == ERR_NOTFOUND ? (err->code = ERR_CORRUPT) : rc;
}

static int read_backup(struct copy *c, struct err *err)
{
    TRY(read_manifest(c, err));
    TRY(read_journal(c, err));
    return check_blobs(c, err);
}

int registry_backup_check(const char *backup, json_t **report, struct err *err)
{
    struct copy c = { .folder = backup };
    *report = NULL;
    int rc = read_backup(&c, err);
    if (!rc)
        rc = report_of(&c, backup, report, err);
    copy_release(&c);
    return rc;
}

/* ---- a registry out of it ---- */

/* All records into an empty journal, and their rows, in one transaction. */
static int write_tables(struct registry *g, const struct copy *c, struct err *err)
{
    struct db_rows *r;
    struct journal_head there;
    TRY(db_begin(registry_db(g), err));
    int rc = journal_head(&there, registry_db(g), err);
    if (!rc && there.seq)
        rc = ERR(err, USAGE, "%.300s has a registry of %lld records already", db_name(registry_db(g)), (long long)there.seq);
    if (!rc)
        rc = db_query(&r, c->db, "SELECT record FROM journal ORDER BY seq", NULL, 0, err);
    if (!rc) {
        while ((rc = db_next(r, err)) == 1) {
            json_t *record = NULL;
            char hash[SHA256_HEX];
            rc = tree_parse_json(&record, db_text(r, 0), strlen(db_text(r, 0)), "the journal", err);
            if (!rc)
                rc = insert_record(registry_db(g), record, db_text(r, 0), hash, err);
            json_decref(record);
            if (rc)
                break;
        }
        db_rows_free(r);
    }
    if (!rc)
        rc = registry_claim(g, err);
    return db_end(registry_db(g), rc, err);
}

static int fill(struct registry *g, struct copy *c, struct err *err)
{
    c->bytes = 0;
    TRY(copy_blobs(c, c->folder, registry_folder(g), NULL, err));
    return write_tables(g, c, err);
}

/* Into a database on a server: contents first, which harm nobody, then all rows at once. */
static int restore_in_place(struct copy *c, const char *where, struct err *err)
{
    struct registry *g;
    struct journal_head there;
    TRY(registry_open(&g, where, true, err));
    int rc = journal_head(&there, registry_db(g), err);
    if (!rc && there.seq)
        rc = ERR(err, USAGE, "%.300s has a registry of %lld records already", db_name(registry_db(g)), (long long)there.seq);
    if (!rc)
        rc = fill(g, c, err);
    registry_close(g);
    return rc;
}

/* What a killed run left: its contents are kept. */
static int clear_stage(const char *stage, struct err *err)
{
    static const char *const files[] = { "registry.db", "registry.db-wal", "registry.db-shm", "registry.db-journal", "registries" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = file_join(stage, files[i]);
        if (!path)
            return no_memory(err);
        unlink(path);
        mem_free(path);
    }
    return 0;
}

static int stage_it(struct copy *c, const char *stage, const char *where, struct err *err)
{
    struct registry *g;
    TRY(clear_stage(stage, err));
    TRY(registry_open(&g, stage, true, err));
    const int rc = fill(g, c, err);
    registry_close(g);
    TRY(rc);
    TRY(file_sync_dir(stage, err));
    if (rmdir(where) && file_exists(where))
        return ERR(err, USAGE, "%.300s is not empty any more", where);
    return file_rename(stage, where, err);
}

static int restore_folder(struct copy *c, const char *where, struct err *err)
{
    char **names, *stage, *parent;
    int n = 0, lock = -1;
    if (file_is_dir(where)) {
        TRY(file_list(where, &names, &n, err));
        file_list_free(names, n);
    }
    if (n || (file_exists(where) && !file_is_dir(where)))
        return ERR(err, USAGE, "%.300s is there already: a backup is restored into a folder that is not there, or empty", where);
    if (!(stage = mem_printf("%.*s.restoring", (int)(strlen(where) - (*where && where[strlen(where) - 1] == '/')), where)))
        return no_memory(err);
    int rc = file_mkdirs(stage, err);
    if (!rc)
        rc = file_lock(stage, &lock, err);
    if (!rc)
        rc = stage_it(c, stage, where, err);
    file_unlock(&lock);
    const char *slash = strrchr(stage, '/');
    parent = slash > stage ? mem_printf("%.*s", (int)(slash - stage), stage) : mem_strdup(slash ? "/" : ".");
    if (!rc)
        rc = parent ? file_sync_dir(parent, err) : no_memory(err);
    mem_free(parent);
    mem_free(stage);
    return rc;
}

int registry_restore(const char *backup, const char *where, json_t **report, struct err *err)
{
    struct copy c = { .folder = backup };
    char *place = NULL;
    *report = NULL;
    if (!where)
        TRY(registry_where(&place, err));
    const char *at = where ? where : place;
    int rc = read_backup(&c, err);
    if (!rc)
        rc = db_is_postgres(at) ? restore_in_place(&c, at, err) : restore_folder(&c, at, err);
    if (!rc)
        rc = report_of(&c, backup, report, err);
    copy_release(&c);
    mem_free(place);
    return rc;
}
