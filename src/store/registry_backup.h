/* registry_backup.h - a copy of a registry in a folder, and a registry out of such a copy.
 *
 *   backup.json             { format, version, registry: its id, made, head: { seq, hash, t }, journal: { file, bytes, sha256 }, blobs: { DIGEST: bytes } }
 *   journal-N.jsonl         the journal's records up to N, a line each, as they are kept: canonical JSON
 *   blobs/sha256/ab/...     contents, as in a registry (blob.h)
 * The tables are what the journal says, so they are not copied, and a backup of either database is restored into either.  What servers said
 * last is no part of it, nor are recorded answers (events.h).
 *
 * A backup is one state of the database, whoever writes meanwhile.  Into the same folder only new contents are copied.  backup.json is written
 * last, in the place of the one before: a run that is killed leaves the backup that was there.  A registry that is damaged is not backed up
 * (ERR_CORRUPT, with the record or the blob). */
#ifndef STORE_REGISTRY_BACKUP_H
#define STORE_REGISTRY_BACKUP_H
#include "store/registry.h"

/* { backup, registry, head, blobs, bytes, copied: blobs that were not there, copied_bytes }, the caller's.  ERR_USAGE: the folder has something else, or a
 * backup of another registry. */
int registry_backup(struct registry *g, const char *out, json_t **report, struct err *err);
/* Is a backup whole?  Reads all of it.  ERR_CORRUPT names the record or the blob; ERR_FORMAT: it is no backup; ERR_UNSUPPORTED: of a newer program. */
int registry_backup_check(const char *backup, json_t **report, struct err *err);
/* The backup is checked first.  where (NULL: registry_where()): a folder that is not there or empty, or a database without a registry; else ERR_USAGE.
 * The registry is there whole, or not at all; what a killed run left beside the folder (WHERE.restoring) the next one takes. */
int registry_restore(const char *backup, const char *where, json_t **report, struct err *err);
#endif
