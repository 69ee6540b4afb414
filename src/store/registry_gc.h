/* registry_gc.h - removes what nothing in a registry's folder needs, and, for a quota, the bytes of old versions.
 *
 *   what nothing names     blobs, folders of versions, and files of writers that were killed: beside blobs, and of pulls and uploads (oci/)
 *                          whose folder nobody holds.  What is younger than `grace_s` stays: it may be of an add at work.  Files of
 *                          writers stay for an hour in any case.
 *   bytes of old versions  with a quota, the oldest first, until all blobs that are named take no more than that.  The version, its digest,
 *                          manifest, facts, evidence and history stay; its files' bytes go as far as nothing else needs them, and come back
 *                          when the same is added again.  These keep theirs: what an alias gives, its candidate, the version that a
 *                          rollback goes to, what a server said that it loads or serves, whatever those come from, the newest `keep` of
 *                          each name, and what was added within grace_s.
 *
 * Safe beside other writers, and when killed at any moment: versions are dropped by records, in one transaction, before any byte goes.  Then,
 * in further transactions, with the writer's place, what no row names gets the name BLOB.gone-RANDOM; after the commit, which has the record of
 * it, that is unlinked.  Who adds looks, with the writer's place too, whether all its blobs are there before its record names them, and puts
 * them again if not (registry_add.c).  Where the place was lost (a server of PostgreSQL that cut us off) the commit fails and the names are
 * given back; what was killed in between is given back, or unlinked, by the next run.
 *
 * Nothing is removed where the journal and the tables do not agree (ERR_CORRUPT), a manifest cannot be read, or another registry has its
 * blobs in the folder (ERR_UNSUPPORTED). */
#ifndef STORE_REGISTRY_GC_H
#define STORE_REGISTRY_GC_H
#include "store/registry.h"

struct registry_gc_opts {
    bool has_quota, dry_run;             /* dry_run: the same is found, nothing is changed */
    uint64_t quota;                      /* bytes of blobs */
    int64_t keep, grace_s;
};
/* { dry_run, dropped: [{ name, number, t, bytes }], kept: { NAME@N: why }, blobs: N, views: N, other: N, bytes: that were or will be removed, used: by
 * what stays, quota: or null, fits }: the caller's.  That it does not fit is no error. */
int registry_gc(struct registry *g, const struct registry_gc_opts *o, const struct journal_by *by, json_t **out, struct err *err);
#endif
