/* registry_backup.h - a copy of a registry in a folder, and a registry out of such a copy.
 *
 *   backup.json             { format, version, registry: its id, made, head: { seq, hash, t }, journal: { file, bytes, sha256 }, blobs: { DIGEST: bytes },
 *                           events: { file, bytes, sha256, answers, feedback, texts } where they were asked for, which is version 2 }
 *   journal-N.jsonl         the journal's records up to N, a line each, as they are kept: canonical JSON
 *   events-T.jsonl          recorded answers, for their owner alone (events_copy.h)
 *   blobs/sha256/ab/...     contents, as in a registry (blob.h)
 * The tables are what the journal says, so they are not copied, and a backup of either database is restored into either.  What servers said
 * last is no part of it.
 *
 * A backup is one state of the database, whoever writes meanwhile; recorded answers are of a moment before.  Into the same folder only new contents are copied; recorded answers are
 * written anew, so that who was erased is in the next backup no more.  backup.json is written
 * last, in the place of the one before: a run that is killed leaves the backup that was there.  A backup may be one file as well, an archive of those files, or come by a pipe (tar.h).  A registry that is damaged is not backed up
 * (ERR_CORRUPT, with the record or the blob). */
#ifndef STORE_REGISTRY_BACKUP_H
#define STORE_REGISTRY_BACKUP_H
#include "store/registry.h"

/* Recorded answers: events_open()'s place, which is the registry's own for those that lie with it, or NULL: none are taken.  texts: prompts, answers and comments too. */
struct registry_backup_opts { const char *events; bool texts, without_events; };
/* { backup, registry, head, blobs, bytes, copied: blobs that were not there, copied_bytes, events: { answers, feedback, texts } or null, events_left: some lie with the registry and were
 * not taken }, the caller's.  ERR_USAGE: the folder has something else, or a backup of another registry, or one with recorded answers, and these are neither wanted nor, by
 * without_events, not wanted; ERR_NOTFOUND: nothing was recorded there. */
/* out: a folder, a name that ends with .tar, or TAR_STANDARD. */
int registry_backup(struct registry *g, const char *out, const struct registry_backup_opts *o, json_t **report, struct err *err);
/* Is a backup whole?  Reads all of it, an archive twice, which needs some room in $TMPDIR for its journal (ERR_USAGE: TAR_STANDARD).  ERR_CORRUPT names the record or the blob; ERR_FORMAT: it is no backup; ERR_UNSUPPORTED: of a newer program. */
int registry_backup_check(const char *backup, json_t **report, struct err *err);
/* The backup is checked first.  where (NULL: registry_where()): a folder that is not there or empty, or a database without a registry; else ERR_USAGE.
 * The registry is there whole, or not at all; what a killed run left beside the folder (WHERE.restoring), or in one that was there (.restoring), the next one takes.  Recorded answers that the backup has go to o->events, NULL:
 * to where they lie with the registry, which without_events prevents; rows that are there stay, and texts whose time is over do not come back.  They are there before the registry is. */
int registry_restore(const char *backup, const char *where, const struct registry_backup_opts *o, json_t **report, struct err *err);
#endif
