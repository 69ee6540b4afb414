/* registry_backup_impl.h - what makes backups and reads them share: a journal in memory, its tables, and what these name.  Internal to store/. */
#ifndef STORE_REGISTRY_BACKUP_IMPL_H
#define STORE_REGISTRY_BACKUP_IMPL_H
#include "store/events_copy.h"
#include "store/registry_backup.h"
#include "store/registry_needs.h"

#define BACKUP_FORMAT "lathe registry backup"
enum { BACKUP_VERSION = 1, BACKUP_VERSION_EVENTS = 2, BACKUP_HEAD_MAX = 1 << 30 };      /* the last: bytes of backup.json */

struct copy {
    struct db *db;
    struct journal_head head;
    struct registry_needs needs;
    char id[SHA256_HEX];
    json_t *manifest;                    /* backup.json */
    const char *folder;                  /* of the backup; borrowed */
    const char *blobs;                   /* where its contents are, NULL: in that folder; borrowed */
    json_t *seen;                        /* digest: bytes, of contents that were read already, and had it; NULL: they have yet to be */
    uint64_t bytes, copied_bytes;
    int64_t copied;
    bool has_events, events_left;
    struct events_count events;
};

/* A file of the backup while it is written: its digest and its length.  w NULL: it is only counted. */
struct copy_file { struct file_writer *w; struct sha256 sum; uint64_t bytes; };
int copy_file_add(void *file, const char *p, size_t n, struct err *err);      /* file: a struct copy_file */

int copy_no_memory(struct err *err);
void copy_release(struct copy *c);
int copy_open_tables(struct copy *c, struct err *err);
/* A record of the journal, its canonical text and the hash of that, which is made. */
int copy_insert_record(struct db *db, const json_t *record, const char *text, char hash[SHA256_HEX], struct err *err);
int copy_refuse_record(void *ctx, int64_t seq, const char *what, struct err *err);      /* journal_bad */
/* Contents that are needed, from one folder to another where they are not there yet; list, or NULL, gets their bytes. */
int copy_blobs(struct copy *c, const char *from, const char *to, json_t *list, struct err *err);
/* One state of the database, into memory and into a file. */
int copy_records(struct registry *g, struct copy *c, struct copy_file *f, struct err *err);
/* What backup.json names, and its text (mem_free). */
struct copy_named { json_t *journal, *events, *blobs; };
int copy_manifest(const struct copy *c, const struct copy_named *n, char **text, struct err *err);
/* { file, sha256, bytes }, of a file that ends with this; name: "journal" or "events". */
int copy_entry(struct copy_file *f, const char *name, int64_t number, json_t **entry, struct err *err);
int copy_count_events(const struct copy *c, json_t *entry, struct err *err);      /* into the entry */
int copy_report(const struct copy *c, const char *name, json_t **report, struct err *err);

/* ---- backups in one file (registry_archive.c) ---- */

#define ARCHIVE_ENDS ".tar"
bool copy_is_archive(const char *backup);        /* TAR_STANDARD, or a file that is there */
int copy_to_archive(struct registry *g, struct copy *c, const struct registry_backup_opts *o, const char *out, struct err *err);
/* The files of a backup, but for its contents, into one folder, and its contents into another; digests are looked at, and noted in c->seen. */
int copy_from_archive(struct copy *c, const char *archive, const char *folder, const char *blobs, struct err *err);
/* To look at one alone, in two turns: keep NULL, its files but for contents; then its contents, which go nowhere but for those that `keep` names. */
int copy_look_at_archive(struct copy *c, const char *archive, const char *folder, const json_t *keep, struct err *err);
/* What it had and backup.json does not name. */
int copy_check_seen(const struct copy *c, struct err *err);
#endif
