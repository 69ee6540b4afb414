/* registry_archive.c - backups in one file: the files of a backup's folder (registry_backup.h), backup.json first, as a tar archive.
 *
 * Its bytes go out once, so what backup.json says is known before: journal and recorded answers are counted, then written, and of contents the lengths are enough, for their names are
 * their digests, which are looked at while they go by.  What comes in may be in any order and below one folder more, as tar makes it of a backup's folder; each name is one that a
 * backup has, or nothing is taken. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/registry_backup_impl.h"
#include "store/tar.h"

#define PIECE ((size_t)128 << 10)

/* ---- made ---- */

static int count_events(struct copy *c, struct events *e, bool texts, json_t **entry, struct err *err)
{
    struct copy_file f = { .w = NULL };
    TRY(sha256_init(&f.sum, err));
    int rc = events_dump(e, texts, copy_file_add, &f, &c->events, err);
    if (!rc)
        rc = copy_entry(&f, "events", when_now(), entry, err);
    if (!rc)
        rc = copy_count_events(c, *entry, err);
    sha256_release(&f.sum);
    c->has_events = true;
    return rc;
}

static int count_records(struct registry *g, struct copy *c, json_t **entry, struct err *err)
{
    struct copy_file f = { .w = NULL };
    TRY(sha256_init(&f.sum, err));
    int rc = copy_records(g, c, &f, err);
    if (!rc)
        rc = copy_entry(&f, "journal", c->head.seq, entry, err);
    sha256_release(&f.sum);
    return rc;
}

static int count_blobs(struct copy *c, const char *folder, json_t *list, struct err *err)
{
    const char *id;
    json_t *b;
    json_object_foreach(c->needs.blobs, id, b) {
        const int64_t known = json_integer_value(json_object_get(b, "bytes"));
        uint64_t bytes;
        const int rc = blob_length(folder, id, known < 0 ? BLOB_ANY_LENGTH : (uint64_t)known, &bytes, err);
        if (rc)
            return err_context(err, "%.200s", tree_text_at(b, "of"));
        if (json_object_set_new(list, id, json_integer((json_int_t)bytes)))
            return copy_no_memory(err);
        c->bytes += bytes, c->copied_bytes += bytes, c->copied++;
    }
    return 0;
}

static int begin_file(struct tar_out *t, const json_t *entry, bool is_private, struct err *err)
{
    return tar_out_file(t, tree_text_at(entry, "file"), (uint64_t)json_integer_value(json_object_get(entry, "bytes")), is_private, err);
}

static int put_manifest(struct tar_out *t, const struct copy *c, const struct copy_named *n, struct err *err)
{
    char *text;
    TRY(copy_manifest(c, n, &text, err));
    int rc = tar_out_file(t, "backup.json", strlen(text), false, err);
    if (!rc)
        rc = tar_out_add(t, text, strlen(text), err);
    mem_free(text);
    return rc;
}

static int put_journal(struct tar_out *t, struct copy *c, const json_t *entry, struct err *err)
{
    struct db_rows *r;
    int rc;
    TRY(begin_file(t, entry, false, err));
    TRY(db_query(&r, c->db, "SELECT record FROM journal ORDER BY seq", NULL, 0, err));
    while ((rc = db_next(r, err)) == 1)
        if ((rc = tar_out_add(t, db_text(r, 0), strlen(db_text(r, 0)), err)) || (rc = tar_out_add(t, "\n", 1, err)))
            break;
    db_rows_free(r);
    return rc;
}

static int put_bytes(struct tar_out *t, const char *path, uint64_t bytes, char sha256[SHA256_HEX], struct err *err)
{
    struct file_stream s;
    struct sha256 sum;
    char *piece = mem_alloc(PIECE);
    int64_t n = 1;
    int rc = piece ? file_stream_open(&s, path, err) : copy_no_memory(err);
    if (rc)
        return mem_free(piece), rc;
    if (!(rc = sha256_init(&sum, err))) {
        if (s.size != bytes)
            rc = ERR(err, CORRUPT, "it has %llu bytes, a moment before %llu", (unsigned long long)s.size, (unsigned long long)bytes);
        while (!rc && n > 0 && (n = file_stream_read(&s, piece, PIECE, err)) != 0) {
            sha256_add(&sum, piece, n > 0 ? (size_t)n : 0);
            rc = n < 0 ? (int)n : tar_out_add(t, piece, (size_t)n, err);
        }
        sha256_end(&sum, sha256);
    }
    file_stream_close(&s);
    mem_free(piece);
    return rc;
}

static int put_blob(struct tar_out *t, const char *folder, const char *id, uint64_t bytes, struct err *err)
{
    char name[BLOB_ID + 20], sha256[SHA256_HEX] = "", *path = blob_path(folder, id);
    snprintf(name, sizeof name, "blobs/sha256/%.2s/%.64s", id, id);
    int rc = path ? tar_out_file(t, name, bytes, false, err) : copy_no_memory(err);
    if (!rc)
        rc = put_bytes(t, path, bytes, sha256, err);
    if (!rc && strcmp(sha256, id) && !(rc = blob_check(folder, id, bytes, err)))
        rc = ERR(err, CORRUPT, "blob %s changed while it was copied", id);
    mem_free(path);
    return rc;
}

static int put_blobs(struct tar_out *t, const struct copy *c, const char *folder, const json_t *list, struct err *err)
{
    const char *id;
    json_t *b;
    json_object_foreach(c->needs.blobs, id, b)
        if (put_blob(t, folder, id, (uint64_t)json_integer_value(json_object_get(list, id)), err))
            return err_context(err, "%.200s", tree_text_at(b, "of"));
    return 0;
}

static int put_all(struct registry *g, struct copy *c, struct events *e, bool texts, const struct copy_named *n, const char *out, struct err *err)
{
    struct tar_out *t;
    struct events_count again;
    TRY(tar_out_open(&t, out, e != NULL, err));
    int rc = put_manifest(t, c, n, err);
    if (!rc)
        rc = put_journal(t, c, n->journal, err);
    if (!rc && e)
        rc = begin_file(t, n->events, true, err);
    if (!rc && e)
        rc = events_dump(e, texts, tar_out_add, t, &again, err);
    if (e)
        db_rollback(events_db(e));       /* nobody waits for the rest */
    if (!rc)
        rc = put_blobs(t, c, registry_folder(g), n->blobs, err);
    return tar_out_end(t, rc, err);
}

int copy_to_archive(struct registry *g, struct copy *c, const struct registry_backup_opts *o, const char *out, struct err *err)
{
    struct copy_named n = { .blobs = json_object() };
    struct events *e = NULL;
    int rc = n.blobs ? copy_open_tables(c, err) : copy_no_memory(err);
    if (!rc && o->events && !(rc = events_open(&e, o->events, false, err)) && !(rc = db_begin_read(events_db(e), err)))
        rc = count_events(c, e, o->texts, &n.events, err);
    if (!rc)
        rc = count_records(g, c, &n.journal, err);
    if (!rc)
        rc = registry_needs_read(&c->needs, c->db, registry_folder(g), err);
    if (!rc)
        rc = count_blobs(c, registry_folder(g), n.blobs, err);
    if (!rc)
        rc = put_all(g, c, e, o->texts, &n, out, err);
    events_close(e);
    json_decref(n.journal);
    json_decref(n.events);
    json_decref(n.blobs);
    return rc;
}

/* ---- read ---- */

bool copy_is_archive(const char *backup) { return !strcmp(backup, TAR_STANDARD) || (file_exists(backup) && !file_is_dir(backup)); }

enum part { NO_PART, MANIFEST, LINES, BLOB, PIECES };

/* id: of a blob, which the name ends with. */
static enum part part_at(const char *name, char id[BLOB_ID])
{
    const size_t n = strlen(name);
    if (!strcmp(name, "backup.json"))
        return MANIFEST;
    if ((!strncmp(name, "journal-", 8) || !strncmp(name, "events-", 7)) && file_name_ends(name, ".jsonl") && n < 60 && !strchr(name, '/'))
        return LINES;
    if (strncmp(name, "blobs/sha256/", 13) || n < 16 + BLOB_ID - 1 || name[15] != '/')
        return NO_PART;
    snprintf(id, BLOB_ID, "%s", name + 16);
    if (!blob_id_ok(id) || strncmp(id, name + 13, 2))
        return NO_PART;
    return !name[16 + BLOB_ID - 1] ? BLOB : !strcmp(name + 16 + BLOB_ID - 1, ".pieces") ? PIECES : NO_PART;
}

/* As it is, behind "./", or below one folder.  *name becomes what the backup calls it. */
static enum part part_of(const char **name, char id[BLOB_ID])
{
    while (!strncmp(*name, "./", 2))
        *name += 2;
    enum part p = part_at(*name, id);
    const char *slash = p ? NULL : strchr(*name, '/');
    if (slash && slash > *name && strncmp(*name, "../", 3) && (p = part_at(slash + 1, id)))
        *name = slash + 1;
    return p;
}

struct reading {
    struct copy *c;
    struct tar_in *t;
    const char *archive, *folder, *blobs;        /* blobs NULL: contents are looked at alone, but for */
    const json_t *keep;
    char *piece;
};

static int take_file(struct reading *r, const char *name, struct err *err)
{
    struct file_writer w;
    int64_t n = 0;
    char *path = file_join(r->folder, name);
    int rc = !path ? copy_no_memory(err) : file_exists(path) ? ERR(err, FORMAT, "%.300s has %.60s twice", r->archive, name) : file_writer_open(&w, path, err);
    if (!rc) {
        rc = fchmod(w.fd, 0600) ? ERR_ERRNO(err, "cannot give %.300s its mode", path) : 0;
        while (!rc && (n = tar_in_read(r->t, r->piece, PIECE, err)) > 0)
            rc = file_writer_add(&w, r->piece, (size_t)n, err);
        rc = rc ? rc : (int)n;
        if (rc)
            file_writer_abort(&w);
        else
            rc = file_writer_commit(&w, err);
    }
    mem_free(path);
    return rc;
}

/* to NULL: nowhere. */
static int take_bytes(struct reading *r, struct file_part *to, char sha256[SHA256_HEX], uint64_t *bytes, struct err *err)
{
    struct sha256 sum;
    int64_t n;
    int rc = 0;
    *bytes = 0;
    TRY(sha256_init(&sum, err));
    while (!rc && (n = tar_in_read(r->t, r->piece, PIECE, err)) != 0) {
        if (n < 0) {
            rc = (int)n;
            break;
        }
        sha256_add(&sum, r->piece, (size_t)n);
        *bytes += (uint64_t)n;
        rc = to ? file_part_add(to, r->piece, (size_t)n, err) : 0;
    }
    sha256_end(&sum, sha256);
    return rc;
}

/* Under a name that a collector knows, until its digest is known. */
static int unpack_blob(struct reading *r, const char *into, const char *id, char sha256[SHA256_HEX], uint64_t *bytes, struct err *err)
{
    struct file_part part = { .fd = -1 };
    char *path = blob_path(into, id), *made = NULL, *dir = mem_printf("%s/blobs/sha256/%.2s", into, id);
    int rc = path && dir ? file_mkdirs(dir, err) : copy_no_memory(err);
    if (!rc)
        rc = blob_temporary(&made, path, err);
    if (!rc && !(rc = file_part_open(&part, made, err))) {
        rc = take_bytes(r, &part, sha256, bytes, err);
        if (rc || strcmp(sha256, id)) {
            unlink(made);
            file_part_close(&part);
        } else {
            rc = blob_put_part(into, &part, id, err);
        }
    }
    mem_free(path);
    mem_free(dir);
    mem_free(made);
    return rc;
}

static int take_blob(struct reading *r, const char *id, struct err *err)
{
    char sha256[SHA256_HEX] = "";
    uint64_t bytes = 0;
    const char *into = r->blobs ? r->blobs : json_object_get(r->keep, id) ? r->folder : NULL;
    TRY(into ? unpack_blob(r, into, id, sha256, &bytes, err) : take_bytes(r, NULL, sha256, &bytes, err));
    if (strcmp(sha256, id))
        return ERR(err, CORRUPT, "%.300s: blob %s holds what has the SHA-256 %s", r->archive, id, sha256);
    return json_object_set_new(r->c->seen, id, json_integer((json_int_t)bytes)) ? copy_no_memory(err) : 0;
}

static int take_entry(struct reading *r, const char *name, struct err *err)
{
    char id[BLOB_ID];
    switch (part_of(&name, id)) {
    case MANIFEST: case LINES: return r->blobs || !r->keep ? take_file(r, name, err) : 0;      /* a second look is for contents */
    case BLOB: return r->blobs || r->keep ? take_blob(r, id, err) : 0;
    case PIECES: return 0;
    default: return ERR(err, FORMAT, "%.300s: '%.150s' is no part of a backup", r->archive, name);
    }
}

static int read_archive(struct reading *r, struct err *err)
{
    const char *name;
    json_decref(r->c->seen);
    r->c->seen = json_object();
    r->piece = mem_alloc(PIECE);
    int rc = r->piece && r->c->seen ? tar_in_open(&r->t, r->archive, err) : copy_no_memory(err);
    while (!rc && (rc = tar_in_next(r->t, &name, err)) == 1)
        rc = take_entry(r, name, err);
    tar_in_close(r->t);
    mem_free(r->piece);
    return rc;
}

int copy_from_archive(struct copy *c, const char *archive, const char *folder, const char *blobs, struct err *err)
{
    return read_archive(&(struct reading){ .c = c, .archive = archive, .folder = folder, .blobs = blobs }, err);
}

int copy_look_at_archive(struct copy *c, const char *archive, const char *folder, const json_t *keep, struct err *err)
{
    return read_archive(&(struct reading){ .c = c, .archive = archive, .folder = folder, .keep = keep }, err);
}

int copy_check_seen(const struct copy *c, struct err *err)
{
    const char *id;
    json_t *bytes;
    json_object_foreach(c->seen, id, bytes)
        if (!json_object_get(json_object_get(c->manifest, "blobs"), id))
            return ERR(err, FORMAT, "the archive has blob %s, which backup.json does not name", id);
    return 0;
}
