#include "store/registry_backup.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/registry_apply.h"
#include "store/registry_backup_impl.h"
#include "store/tar.h"

enum { TIMES = 3 };                      /* that a backup begins again because a collector removed what it was to copy */

/* ---- shared ---- */

int copy_no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a backup"); }

void copy_release(struct copy *c)
{
    db_close(c->db);
    registry_needs_release(&c->needs);
    json_decref(c->manifest);
    json_decref(c->seen);
    *c = (struct copy){ .folder = c->folder };
}

int copy_open_tables(struct copy *c, struct err *err)
{
    TRY(db_open(&c->db, ":memory:", err));
    return registry_upgrade(c->db, err);
}

int copy_refuse_record(void *ctx, int64_t seq, const char *what, struct err *err)
{
    return (void)ctx, ERR(err, CORRUPT, "record %lld of the journal %s", (long long)seq, what);
}

int copy_insert_record(struct db *db, const json_t *record, const char *text, char hash[SHA256_HEX], struct err *err)
{
    TRY(sha256_of(text, strlen(text), hash, err));
    TRY(db_run(db, "INSERT INTO journal (seq, t, name, hash, record) VALUES ($1, $2, $3, $4, $5)",
               DB_ARGS(DB_I(json_integer_value(json_object_get(record, "seq"))), DB_T(tree_text_at(record, "t")), DB_T(tree_text_at(record, "name")), DB_T(hash), DB_T(text)),
               NULL, err));
    return registry_apply(db, record, err);
}

/* Copies a blob from one folder to another, where it is not there yet.  of: whose it is. */
static int copy_blob(struct copy *c, const char *from, const char *to, const char *id, const json_t *b, struct err *err)
{
    const int64_t known = json_integer_value(json_object_get(b, "bytes"));
    char found[BLOB_ID], *path;
    uint64_t bytes;
    TRY(blob_stat(from, id, known < 0 ? BLOB_ANY_LENGTH : (uint64_t)known, err));
    if (!(path = blob_path(from, id)))
        return copy_no_memory(err);
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

int copy_blobs(struct copy *c, const char *from, const char *to, json_t *list, struct err *err)
{
    const char *id;
    json_t *b;
    json_object_foreach(c->needs.blobs, id, b) {
        const uint64_t before = c->bytes;
        TRY(copy_blob(c, from, to, id, b, err));
        if (list && json_object_set_new(list, id, json_integer((json_int_t)(c->bytes - before))))
            return copy_no_memory(err);
    }
    return 0;
}

int copy_report(const struct copy *c, const char *name, json_t **report, struct err *err)
{
    json_t *events = c->has_events ? json_pack("{s:I, s:I, s:I}", "answers", (json_int_t)c->events.answers, "feedback", (json_int_t)c->events.feedback, "texts", (json_int_t)c->events.texts)
                                   : json_null();
    *report = json_pack("{s:s, s:s, s:{s:I, s:s, s:s}, s:I, s:I, s:I, s:I, s:o, s:b}", "backup", name, "registry", c->id, "head", "seq", (json_int_t)c->head.seq, "hash", c->head.hash, "t", c->head.t,
                        "blobs", (json_int_t)json_object_size(c->needs.blobs), "bytes", (json_int_t)c->bytes, "copied", (json_int_t)c->copied, "copied_bytes", (json_int_t)c->copied_bytes,
                        "events", events, "events_left", c->events_left);
    return *report ? 0 : copy_no_memory(err);
}

int copy_file_add(void *file, const char *p, size_t n, struct err *err)
{
    struct copy_file *f = file;
    sha256_add(&f->sum, p, n);
    f->bytes += n;
    return f->w ? file_writer_add(f->w, p, n, err) : 0;
}

/* ---- making one ---- */

struct writing { struct copy *c; struct copy_file *file; };

static int write_record(void *ctx, json_t *record, struct err *err)
{
    struct writing *to = ctx;
    char hash[SHA256_HEX], *text = tree_dumps(record, JSON_SORT_KEYS | JSON_COMPACT);
    int rc = text ? copy_insert_record(to->c->db, record, text, hash, err) : copy_no_memory(err);
    if (!rc && json_integer_value(json_object_get(record, "seq")) == 1)
        memcpy(to->c->id, hash, sizeof hash);
    if (!rc)
        rc = copy_file_add(to->file, text, strlen(text), err);
    if (!rc)
        rc = copy_file_add(to->file, "\n", 1, err);
    mem_free(text);
    return rc;
}

int copy_records(struct registry *g, struct copy *c, struct copy_file *f, struct err *err)
{
    struct writing to = { c, f };
    TRY(db_begin(c->db, err));
    int rc = db_begin_read(registry_db(g), err);
    if (!rc)
        rc = journal_walk(registry_db(g), write_record, copy_refuse_record, &to, &c->head, err);
    db_rollback(registry_db(g));
    return rc ? rc : db_commit(c->db, err);
}

static int write_events(struct events *e, struct copy *c, bool texts, struct copy_file *f, struct err *err)
{
    if (fchmod(f->w->fd, 0600))
        return ERR_ERRNO(err, "cannot give %s its mode", f->w->path);
    TRY(db_begin_read(events_db(e), err));
    const int rc = events_dump(e, texts, copy_file_add, f, &c->events, err);
    db_rollback(events_db(e));
    return rc;
}

int copy_entry(struct copy_file *f, const char *name, int64_t number, json_t **entry, struct err *err)
{
    char sha256[SHA256_HEX], file[60];
    sha256_end(&f->sum, sha256);
    snprintf(file, sizeof file, "%s-%lld.jsonl", name, (long long)number);
    *entry = json_pack("{s:s, s:s, s:I}", "file", file, "sha256", sha256, "bytes", (json_int_t)f->bytes);
    return *entry ? 0 : copy_no_memory(err);
}

struct source { struct registry *g; struct events *e; bool texts; };      /* the journal, or recorded answers */

/* A file of the backup under a name that is made when it is whole, for those of the backup before stay until backup.json names this: { file, bytes, sha256 }. */
static int write_file(struct copy *c, const struct source *s, json_t **entry, struct err *err)
{
    struct file_writer w = { .fd = -1 };
    struct copy_file f = { .w = &w };
    char *path = file_join(c->folder, s->e ? "events.new" : "journal.new"), *to = NULL;
    int rc = path ? sha256_init(&f.sum, err) : copy_no_memory(err);
    if (!rc && !(rc = file_writer_open(&w, path, err))) {
        rc = s->e ? write_events(s->e, c, s->texts, &f, err) : copy_records(s->g, c, &f, err);
        if (rc)
            file_writer_abort(&w);
        else
            rc = file_writer_commit(&w, err);
    }
    if (!rc)
        rc = copy_entry(&f, s->e ? "events" : "journal", s->e ? when_now() : c->head.seq, entry, err);
    if (!rc)
        rc = (to = file_join(c->folder, tree_text_at(*entry, "file"))) ? file_rename(path, to, err) : copy_no_memory(err);
    sha256_release(&f.sum);
    mem_free(path);
    mem_free(to);
    return rc;
}

int copy_manifest(const struct copy *c, const struct copy_named *n, char **text, struct err *err)
{
    char made[WHEN_TEXT];
    when_text(made, when_now());
    json_t *o = json_pack("{s:s, s:i, s:s, s:s, s:{s:I, s:s, s:s}, s:O, s:O, s:O*}", "format", BACKUP_FORMAT, "version", n->events ? BACKUP_VERSION_EVENTS : BACKUP_VERSION, "registry", c->id,
                          "made", made, "head", "seq", (json_int_t)c->head.seq, "hash", c->head.hash, "t", c->head.t, "journal", n->journal, "blobs", n->blobs, "events", n->events);
    *text = o ? tree_dumps(o, JSON_SORT_KEYS | JSON_INDENT(1)) : NULL;
    json_decref(o);
    return *text ? 0 : copy_no_memory(err);
}

static int write_manifest(const struct copy *c, const struct copy_named *n, struct err *err)
{
    char *path = file_join(c->folder, "backup.json"), *text = NULL;
    int rc = path ? copy_manifest(c, n, &text, err) : copy_no_memory(err);
    if (!rc)
        rc = file_write_all(path, text, strlen(text), err);
    mem_free(text);
    mem_free(path);
    return rc;
}

static bool is_listed_file(const char *name) { return !strncmp(name, "journal", 7) || !strncmp(name, "events", 6); }

/* Journals and recorded answers of backups before: nothing names them any more. */
static int remove_others(const char *folder, const struct copy_named *n, struct err *err)
{
    char **names;
    int n_name;
    TRY(file_list(folder, &names, &n_name, err));
    for (int i = 0; i < n_name; i++) {
        const bool named = !strcmp(names[i], tree_text_at(n->journal, "file")) || !strcmp(names[i], tree_text_at(n->events, "file"));
        char *path = is_listed_file(names[i]) && !named ? file_join(folder, names[i]) : NULL;
        if (path)
            unlink(path);
        mem_free(path);
    }
    file_list_free(names, n_name);
    return 0;
}

int copy_count_events(const struct copy *c, json_t *entry, struct err *err)
{
    return json_object_set_new(entry, "answers", json_integer(c->events.answers)) || json_object_set_new(entry, "feedback", json_integer(c->events.feedback)) ||
           json_object_set_new(entry, "texts", json_integer(c->events.texts)) ? copy_no_memory(err) : 0;
}

/* Before the journal: so it knows every version that they name. */
static int take_events(struct copy *c, const struct registry_backup_opts *o, json_t **entry, struct err *err)
{
    struct events *e;
    if (!o->events)
        return 0;
    TRY(events_open(&e, o->events, false, err));
    int rc = write_file(c, &(struct source){ .e = e, .texts = o->texts }, entry, err);
    events_close(e);
    c->has_events = true;
    if (!rc)
        rc = copy_count_events(c, *entry, err);
    return rc;
}

static int backup_once(struct registry *g, struct copy *c, const struct registry_backup_opts *o, struct err *err)
{
    struct copy_named n = { .blobs = json_object() };
    int rc = n.blobs ? copy_open_tables(c, err) : copy_no_memory(err);
    if (!rc)
        rc = take_events(c, o, &n.events, err);
    if (!rc)
        rc = write_file(c, &(struct source){ .g = g }, &n.journal, err);
    if (!rc)
        rc = registry_needs_read(&c->needs, c->db, registry_folder(g), err);
    if (!rc)
        rc = copy_blobs(c, registry_folder(g), c->folder, n.blobs, err);
    if (!rc)
        rc = write_manifest(c, &n, err);
    if (!rc)
        rc = remove_others(c->folder, &n, err);
    json_decref(n.journal);
    json_decref(n.events);
    json_decref(n.blobs);
    return rc;
}

/* Of the same registry, and what it has of recorded answers is not dropped without a word. */
static int check_before(struct registry *g, const char *out, const json_t *before, const struct registry_backup_opts *o, struct err *err)
{
    char id[SHA256_HEX];
    TRY(registry_id(g, id, err));
    if (strcmp(tree_text_at(before, "registry"), id))
        return ERR(err, USAGE, "%.300s is a backup of registry %.12s, this one is %.12s", out, tree_text_at(before, "registry"), id);
    if (json_object_get(before, "events") && !o->events && !o->without_events)
        return ERR(err, USAGE, "the backup in %.300s has recorded answers, which one without them would drop: expected --events again, or --events none", out);
    return 0;
}

/* The folder is empty, or has a backup of this registry, or what one that was killed left. */
static int check_place(struct registry *g, const char *out, const struct registry_backup_opts *o, struct err *err)
{
    char **names, *path = file_join(out, "backup.json");
    int n = 0, rc = path ? file_list(out, &names, &n, err) : copy_no_memory(err);
    for (int i = 0; i < n && !rc; i++)
        if (strcmp(names[i], "blobs") && !is_listed_file(names[i]) && strncmp(names[i], "backup.json", 11))
            rc = ERR(err, USAGE, "%.300s has '%.100s' in it: expected an empty folder, or one with a backup of this registry", out, names[i]);
    if (n)
        file_list_free(names, n);
    json_t *before = NULL;
    if (!rc && file_exists(path))
        rc = tree_load(&before, path, BACKUP_HEAD_MAX, err);
    if (!rc && before)
        rc = check_before(g, out, before, o, err);
    json_decref(before);
    mem_free(path);
    return rc;
}

/* Do answers lie with the registry? */
static int events_lie_there(struct registry *g, bool *there, struct err *err)
{
    int64_t version;
    if (db_is_postgres(db_name(registry_db(g)))) {
        TRY(db_version(registry_db(g), "events", &version, err));
        return *there = version > 0, 0;
    }
    char *path = file_join(registry_folder(g), "events.db");
    *there = path && file_exists(path);
    mem_free(path);
    return path ? 0 : copy_no_memory(err);
}

/* A collector may have removed what it was to copy: then the journal has gone on, and it begins again, but not where a part has gone out already. */
static int backup_until_whole(struct registry *g, struct copy *c, const struct registry_backup_opts *o, const char *archive, struct err *err)
{
    const int times = archive && !strcmp(archive, TAR_STANDARD) ? 1 : TIMES;
    for (int i = 0;; i++) {
        struct journal_head now = { .seq = 0 };
        struct err none;
        copy_release(c);
        const int rc = archive ? copy_to_archive(g, c, o, archive, err) : backup_once(g, c, o, err);
        if (rc != ERR_NOTFOUND || i == times - 1 || journal_head(&now, registry_db(g), &none) || now.seq == c->head.seq)
            return rc;
    }
}

/* Others keep away from the folder meanwhile. */
static int backup_folder(struct registry *g, struct copy *c, const struct registry_backup_opts *o, struct err *err)
{
    int lock;
    TRY(file_mkdirs(c->folder, err));
    TRY(file_lock(c->folder, &lock, err));
    int rc = check_place(g, c->folder, o, err);
    if (!rc)
        rc = backup_until_whole(g, c, o, NULL, err);
    file_unlock(&lock);
    return rc;
}

int registry_backup(struct registry *g, const char *out, const struct registry_backup_opts *o, json_t **report, struct err *err)
{
    struct copy c = { .folder = out };
    *report = NULL;
    const bool archive = !strcmp(out, TAR_STANDARD) || (file_name_ends(out, ARCHIVE_ENDS) && !file_is_dir(out));
    int rc = archive ? backup_until_whole(g, &c, o, out, err) : backup_folder(g, &c, o, err);
    if (!rc && !o->events && !o->without_events)
        rc = events_lie_there(g, &c.events_left, err);
    if (!rc)
        rc = copy_report(&c, out, report, err);
    copy_release(&c);
    return rc;
}
