/* registry_restore.c - backups read: are they whole, and a registry out of one. */
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/registry_apply.h"
#include "store/registry_backup_impl.h"
#include "store/tar.h"

/* ---- reading one ---- */

/* { file, sha256 }, of a file in the backup's folder itself. */
static bool names_file(const json_t *entry, const char *begins)
{
    const char *file = tree_text_at(entry, "file");
    return !strncmp(file, begins, strlen(begins)) && !strchr(file, '/') && strlen(file) < 60 && blob_id_ok(tree_text_at(entry, "sha256"));
}

static int read_manifest(struct copy *c, struct err *err)
{
    char *path = file_join(c->folder, "backup.json");
    if (!path)
        return copy_no_memory(err);
    int rc = file_exists(path) ? tree_load(&c->manifest, path, BACKUP_HEAD_MAX, err) : ERR(err, FORMAT, "%.300s has no backup.json: it is no backup, or one that did not end", c->folder);
    mem_free(path);
    if (rc)
        return rc == ERR_NOMEM || rc == ERR_IO ? rc : (err->code = ERR_FORMAT);
    const json_t *o = c->manifest, *journal = json_object_get(o, "journal");
    const json_int_t version = json_integer_value(json_object_get(o, "version"));
    if (strcmp(tree_text_at(o, "format"), BACKUP_FORMAT))
        return ERR(err, FORMAT, "%.300s/backup.json has the format '%.60s', expected '" BACKUP_FORMAT "'", c->folder, tree_text_at(o, "format"));
    if (version != BACKUP_VERSION && version != BACKUP_VERSION_EVENTS)
        return ERR(err, UNSUPPORTED, "%.300s is of version %lld of backups, this program knows %d", c->folder, (long long)version, BACKUP_VERSION_EVENTS);
    if (!names_file(journal, "journal-") || !json_is_object(json_object_get(o, "blobs")))
        return ERR(err, FORMAT, "%.300s/backup.json names no journal, or no blobs", c->folder);
    c->has_events = json_object_get(o, "events") != NULL;
    if (c->has_events && !names_file(json_object_get(o, "events"), "events-"))
        return ERR(err, FORMAT, "%.300s/backup.json names no file of recorded answers", c->folder);
    return 0;
}

static int take_record(void *ctx, const char *line, size_t length, int64_t n, struct err *err)
{
    struct copy *c = ctx;
    json_t *record = NULL;
    char hash[SHA256_HEX];
    int rc = tree_parse_json(&record, line, length, "it", err);
    if (!rc && !json_is_object(record))
        rc = ERR(err, FORMAT, "it is no object of JSON");
    if (!rc)
        rc = copy_insert_record(c->db, record, line, hash, err);
    if (!rc && n == 1)
        memcpy(c->id, hash, sizeof hash);
    json_decref(record);
    return rc && rc != ERR_NOMEM ? (err->code = ERR_FORMAT) : rc;      /* an action that nobody knows is a changed one: its chain does not hold */
}

static int take_event(void *ctx, const char *line, size_t length, int64_t n, struct err *err) { return (void)n, events_load_line(ctx, line, length, err); }

/* A file of lines that the backup has: `take` gets each, with a NUL behind it. */
struct lines { const char *what; const json_t *entry; int (*take)(void *ctx, const char *line, size_t length, int64_t n, struct err *err); void *ctx; };

static int take_line(const struct lines *l, const char *line, size_t length, int64_t n, struct err *err)
{
    int rc = strlen(line) == length ? l->take(l->ctx, line, length, n, err) : ERR(err, FORMAT, "it has a NUL in it");
    if (rc == ERR_FORMAT || rc == ERR_RANGE || rc == ERR_CORRUPT) {
        err_context(err, "record %lld of the backup's %s", (long long)n, l->what);
        rc = err->code = ERR_CORRUPT;
    }
    return rc;
}

static int take_lines(const struct lines *l, const struct file_map *m, struct err *err)
{
    struct buf line;
    int64_t n = 0;
    int rc = 0;
    buf_init(&line);
    for (const char *p = m->data, *end = m->data + m->size; p < end && !rc;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        n++;
        if (!newline)
            rc = ERR(err, CORRUPT, "record %lld of the backup's %s is cut off", (long long)n, l->what);
        buf_clear(&line);
        if (!rc)
            rc = buf_add(&line, p, (size_t)(newline - p), err);
        if (!rc)
            rc = take_line(l, line.data, line.len, n, err);
        p = newline ? newline + 1 : end;
    }
    buf_release(&line);
    return rc;
}

/* sha256: of the whole file, which the caller compares when it has looked at what the lines say. */
static int read_lines(struct copy *c, const struct lines *l, char sha256[SHA256_HEX], struct err *err)
{
    const char *name = tree_text_at(l->entry, "file");
    char *path = file_join(c->folder, name);
    struct file_map m;
    int rc = !path ? copy_no_memory(err) : file_exists(path) ? sha256_of_file(path, sha256, err) : ERR(err, CORRUPT, "the backup's %.60s is missing", name);
    if (!rc && !(rc = file_map_open(&m, path, err))) {
        rc = take_lines(l, &m, err);
        file_map_close(&m);
    }
    mem_free(path);
    return rc;
}

static int check_digest(const json_t *entry, const char *sha256, struct err *err)
{
    return strcmp(sha256, tree_text_at(entry, "sha256")) ? ERR(err, CORRUPT, "the backup's %.60s has the SHA-256 %.64s, expected %.64s", tree_text_at(entry, "file"), sha256, tree_text_at(entry, "sha256")) : 0;
}

static int ignore_record(void *ctx, json_t *record, struct err *err) { return (void)ctx, (void)record, (void)err, 0; }

/* The chain, to the end that backup.json names. */
static int check_chain(struct copy *c, struct err *err)
{
    const json_t *head = json_object_get(c->manifest, "head");
    const long long seq = (long long)json_integer_value(json_object_get(head, "seq"));
    TRY(journal_walk(c->db, ignore_record, copy_refuse_record, NULL, &c->head, err));
    if (c->head.seq != seq)
        return ERR(err, CORRUPT, "the backup's journal ends with record %lld, expected %lld", (long long)c->head.seq, seq);
    if (strcmp(c->head.hash, tree_text_at(head, "hash")) || strcmp(c->id, tree_text_at(c->manifest, "registry")))
        return ERR(err, CORRUPT, "record %lld of the backup's journal, or its first, does not have the hash that backup.json says", seq);
    return 0;
}

static int read_journal(struct copy *c, struct err *err)
{
    const struct lines l = { "journal", json_object_get(c->manifest, "journal"), take_record, c };
    char sha256[SHA256_HEX] = "";
    TRY(copy_open_tables(c, err));
    TRY(db_begin(c->db, err));
    TRY(db_end(c->db, read_lines(c, &l, sha256, err), err));
    TRY(check_chain(c, err));
    return check_digest(l.entry, sha256, err);
}

/* Checked, and, where `where` is not NULL, written there. */
static int read_events(struct copy *c, const char *where, struct err *err)
{
    struct events_load load = { .where = where };
    const struct lines l = { "recorded answers", json_object_get(c->manifest, "events"), take_event, &load };
    char sha256[SHA256_HEX] = "";
    if (!c->has_events)
        return 0;
    int rc = read_lines(c, &l, sha256, err);
    if (!rc)
        rc = check_digest(l.entry, sha256, err);
    rc = events_load_end(&load, rc, err);
    c->events = load.n;
    return rc;
}

/* Of an archive it was looked at while it came. */
static int check_blob(const struct copy *c, const char *id, const json_t *bytes, struct err *err)
{
    const json_t *seen = json_object_get(c->seen, id);
    if (!bytes)
        return ERR(err, CORRUPT, "backup.json does not name blob %s", id);
    if (!c->seen)
        return blob_check(c->folder, id, (uint64_t)json_integer_value(bytes), err);
    return !seen ? ERR(err, CORRUPT, "blob %s is not in the archive", id) : json_equal(seen, bytes) ? 0 : ERR(err, CORRUPT, "blob %s does not have the bytes that backup.json says", id);
}

static int check_blobs(struct copy *c, struct err *err)
{
    const json_t *list = json_object_get(c->manifest, "blobs");
    const char *id;
    json_t *b;
    int rc = registry_needs_read(&c->needs, c->db, c->blobs ? c->blobs : c->folder, err);
    json_object_foreach(c->needs.blobs, id, b) {
        if (rc)
            break;
        const json_t *bytes = json_object_get(list, id);
        rc = check_blob(c, id, bytes, err);
        c->bytes += (uint64_t)json_integer_value(bytes);
        if (rc)
            err_context(err, "%.200s", tree_text_at(b, "of"));
    }
    return rc == ERR_NOTFOUND ? (err->code = ERR_CORRUPT) : rc;
}

static int read_backup(struct copy *c, struct err *err)
{
    TRY(read_manifest(c, err));
    TRY(copy_check_seen(c, err));
    TRY(read_journal(c, err));
    TRY(check_blobs(c, err));
    return read_events(c, NULL, err);
}

/* The manifests of versions: they are read, to know what these need. */
static int list_manifests(const struct copy *c, json_t *list, struct err *err)
{
    struct db_rows *r;
    int rc;
    TRY(db_query(&r, c->db, "SELECT DISTINCT manifest FROM version", NULL, 0, err));
    while ((rc = db_next(r, err)) == 1)
        if (json_object_set_new(list, db_text(r, 0), json_true())) {
            rc = copy_no_memory(err);
            break;
        }
    db_rows_free(r);
    return rc;
}

/* In a folder for what has to be read twice. */
static int check_archive(struct copy *c, const char *archive, struct err *err)
{
    json_t *keep = json_object();
    int rc = keep ? copy_look_at_archive(c, archive, c->folder, NULL, err) : copy_no_memory(err);
    if (!rc)
        rc = read_manifest(c, err);
    if (!rc)
        rc = read_journal(c, err);
    if (!rc)
        rc = list_manifests(c, keep, err);
    if (!rc)
        rc = copy_look_at_archive(c, archive, c->folder, keep, err);
    if (!rc)
        rc = copy_check_seen(c, err);
    if (!rc)
        rc = check_blobs(c, err);
    if (!rc)
        rc = read_events(c, NULL, err);
    json_decref(keep);
    return rc;
}

static int check_archive_aside(struct copy *c, const char *archive, struct err *err)
{
    char *folder;
    TRY(file_temporary_dir(&folder, "lathe-backup", err));
    c->folder = folder;
    const int rc = check_archive(c, archive, err);
    file_remove_tree(folder, NULL);
    c->folder = archive;
    mem_free(folder);
    return rc;
}

int registry_backup_check(const char *backup, json_t **report, struct err *err)
{
    struct copy c = { .folder = backup };
    *report = NULL;
    if (!strcmp(backup, TAR_STANDARD))
        return ERR(err, USAGE, "an archive is read twice to be checked: expected a file, not standard input");
    int rc = copy_is_archive(backup) ? check_archive_aside(&c, backup, err) : read_backup(&c, err);
    if (!rc)
        rc = copy_report(&c, backup, report, err);
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
                rc = copy_insert_record(registry_db(g), record, db_text(r, 0), hash, err);
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

/* beside: where answers lie with this registry. */
static int fill(struct registry *g, struct copy *c, const struct registry_backup_opts *o, const char *beside, struct err *err)
{
    c->bytes = 0;
    TRY(copy_blobs(c, c->blobs ? c->blobs : c->folder, registry_folder(g), NULL, err));
    c->has_events &= !o->without_events;
    TRY(read_events(c, o->events ? o->events : beside, err));
    return write_tables(g, c, err);
}

/* What a killed run left, but for its contents. */
static int clear_stage(const char *stage, struct err *err)
{
    char **names;
    int n, rc = 0;
    TRY(file_list(stage, &names, &n, err));
    for (int i = 0; i < n && !rc; i++) {
        char *path = strcmp(names[i], "blobs") ? file_join(stage, names[i]) : NULL;
        rc = path ? file_remove_tree(path, err) : strcmp(names[i], "blobs") ? copy_no_memory(err) : 0;
        mem_free(path);
    }
    file_list_free(names, n);
    return rc;
}

/* A folder where this restore works, held and cleared. */
static int open_stage(const char *stage, int *lock, struct err *err)
{
    TRY(file_mkdirs(stage, err));
    TRY(file_lock(stage, lock, err));
    const int rc = clear_stage(stage, err);
    if (rc)
        file_unlock(lock);
    return rc;
}

/* A backup in one file: its contents go where they are to be, the rest into the stage. */
static int unpack(struct copy *c, const char *archive, const char *stage, const char *blobs, struct err *err)
{
    c->folder = stage, c->blobs = blobs;
    TRY(copy_from_archive(c, archive, stage, blobs, err));
    return read_backup(c, err);
}

/* What of a backup is no part of a registry. */
static int drop_unpacked(const char *stage, struct err *err)
{
    char **names;
    int n, rc = 0;
    TRY(file_list(stage, &names, &n, err));
    for (int i = 0; i < n && !rc; i++) {
        const bool is_unpacked = !strcmp(names[i], "backup.json") || file_name_ends(names[i], ".jsonl");
        char *path = is_unpacked ? file_join(stage, names[i]) : NULL;
        rc = path && unlink(path) ? ERR_ERRNO(err, "cannot remove %.300s", path) : is_unpacked && !path ? copy_no_memory(err) : 0;
        mem_free(path);
    }
    file_list_free(names, n);
    return rc;
}

/* Contents first, which harm nobody, then all rows at once. */
static int restore_into(struct registry *g, struct copy *c, const struct registry_backup_opts *o, const char *archive, const char *where, struct err *err)
{
    struct journal_head there;
    TRY(journal_head(&there, registry_db(g), err));
    if (there.seq)
        return ERR(err, USAGE, "%.300s has a registry of %lld records already", db_name(registry_db(g)), (long long)there.seq);
    if (!archive)
        return fill(g, c, o, where, err);
    int lock;
    char *stage = mem_printf("%s.restoring", registry_folder(g));
    int rc = stage ? open_stage(stage, &lock, err) : copy_no_memory(err);
    if (!rc) {
        rc = unpack(c, archive, stage, registry_folder(g), err);
        rc = rc ? rc : fill(g, c, o, where, err);
        file_remove_tree(stage, NULL);
        file_unlock(&lock);
    }
    c->folder = archive, c->blobs = NULL;
    mem_free(stage);
    return rc;
}

static int restore_in_place(struct copy *c, const struct registry_backup_opts *o, const char *archive, const char *where, struct err *err)
{
    struct registry *g;
    TRY(registry_open(&g, where, true, err));
    const int rc = restore_into(g, c, o, archive, where, err);
    registry_close(g);
    return rc;
}

/* All of it, in a folder that becomes the registry. */
static int stage_it(struct copy *c, const struct registry_backup_opts *o, const char *archive, const char *stage, struct err *err)
{
    struct registry *g;
    if (archive)
        TRY(unpack(c, archive, stage, stage, err));
    TRY(registry_open(&g, stage, true, err));
    const int rc = fill(g, c, o, stage, err);
    registry_close(g);
    TRY(rc);
    if (archive)
        TRY(drop_unpacked(stage, err));
    return file_sync_dir(stage, err);
}

/* What of an archive is there where it could not be restored is of no use. */
static int stage_or_drop(struct copy *c, const struct registry_backup_opts *o, const char *archive, const char *stage, struct err *err)
{
    const int rc = stage_it(c, o, archive, stage, err);
    if (rc && archive)
        file_remove_tree(stage, NULL);
    if (archive)
        c->folder = archive, c->blobs = NULL;
    return rc;
}

/* ---- into a folder that is there: it may be where a disk is mounted, or where one stands, so it stays, and what is in it comes ---- */

#define INSIDE ".restoring"
static const char database_file[] = "registry.db";

static bool is_of_others(const char *name) { return !strcmp(name, "lost+found"); }

/* It has nothing, or what a killed run left: then all but its database may be in its place already. */
static int check_free(const char *where, struct err *err)
{
    char **names;
    int n, mine = 0, others = 0;
    bool begun = false, over = false;
    TRY(file_list(where, &names, &n, err));
    for (int i = 0; i < n; i++) {
        begun |= !strcmp(names[i], INSIDE), over |= !strcmp(names[i], database_file);
        mine += !strcmp(names[i], INSIDE) || !strcmp(names[i], "blobs") || !strcmp(names[i], "registries") || !strncmp(names[i], "events.db", 9);
        others += is_of_others(names[i]);
    }
    file_list_free(names, n);
    return !over && (n == others || (begun && n == mine + others)) ? 0 : ERR(err, USAGE, "%.300s is there already: a backup is restored into a folder that is not there, or empty", where);
}

/* All that is in a folder into another of the same disk, but for a name. */
static int move_all(const char *from, const char *to, const char *but, struct err *err)
{
    char **names;
    int n, rc = 0;
    TRY(file_list(from, &names, &n, err));
    for (int i = 0; i < n && !rc; i++) {
        if (!strcmp(names[i], but) || is_of_others(names[i]))
            continue;
        char *a = file_join(from, names[i]), *b = file_join(to, names[i]);
        rc = a && b ? file_rename(a, b, err) : copy_no_memory(err);
        mem_free(a);
        mem_free(b);
    }
    file_list_free(names, n);
    return rc;
}

/* The database comes last: before it there is no registry. */
static int move_out(const char *stage, const char *where, struct err *err)
{
    TRY(move_all(stage, where, database_file, err));
    TRY(file_sync_dir(where, err));
    TRY(move_all(stage, where, "", err));
    if (rmdir(stage))
        return ERR_ERRNO(err, "%.300s", stage);
    return file_sync_dir(where, err);
}

static int restore_inside(struct copy *c, const struct registry_backup_opts *o, const char *archive, const char *where, struct err *err)
{
    int lock = -1;
    TRY(check_free(where, err));
    char *stage = file_join(where, INSIDE);
    int rc = stage ? file_mkdirs(stage, err) : copy_no_memory(err);
    if (!rc)
        rc = file_lock(stage, &lock, err);
    if (!rc)
        rc = check_free(where, err);                   /* another may have ended meanwhile */
    if (!rc)
        rc = move_all(where, stage, INSIDE, err);
    if (!rc)
        rc = clear_stage(stage, err);
    if (!rc)
        rc = stage_or_drop(c, o, archive, stage, err);
    if (!rc)
        rc = move_out(stage, where, err);
    file_unlock(&lock);
    mem_free(stage);
    return rc;
}

/* ---- into one that is not there ---- */

static int sync_parent(const char *path, struct err *err)
{
    char *parent = file_parent(path);
    const int rc = parent ? file_sync_dir(parent, err) : copy_no_memory(err);
    mem_free(parent);
    return rc;
}

static int restore_folder(struct copy *c, const struct registry_backup_opts *o, const char *archive, const char *where, struct err *err)
{
    int lock = -1;
    if (file_is_dir(where))
        return restore_inside(c, o, archive, where, err);
    if (file_exists(where))
        return ERR(err, USAGE, "%.300s is there already: a backup is restored into a folder that is not there, or empty", where);
    char *stage = mem_printf("%.*s.restoring", (int)(strlen(where) - (*where && where[strlen(where) - 1] == '/')), where);
    int rc = stage ? open_stage(stage, &lock, err) : copy_no_memory(err);
    if (!rc)
        rc = stage_or_drop(c, o, archive, stage, err);
    if (!rc && file_exists(where))
        rc = ERR(err, USAGE, "%.300s is there meanwhile", where);
    if (!rc)
        rc = file_rename(stage, where, err);
    file_unlock(&lock);
    if (!rc)
        rc = sync_parent(stage, err);
    mem_free(stage);
    return rc;
}

int registry_restore(const char *backup, const char *where, const struct registry_backup_opts *o, json_t **report, struct err *err)
{
    struct copy c = { .folder = backup };
    char *place = NULL;
    *report = NULL;
    if (!where)
        TRY(registry_where(&place, err));
    const char *at = where ? where : place, *archive = copy_is_archive(backup) ? backup : NULL;
    int rc = archive ? 0 : read_backup(&c, err);
    if (!rc)
        rc = db_is_postgres(at) ? restore_in_place(&c, o, archive, at, err) : restore_folder(&c, o, archive, at, err);
    if (!rc)
        rc = copy_report(&c, backup, report, err);
    copy_release(&c);
    mem_free(place);
    return rc;
}
