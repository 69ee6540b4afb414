/* registry_apply.h - the tables of a registry are what its journal says: this turns a record into rows.  Internal to store/.
 *
 * Every change of a registry is a record that is appended and applied in one transaction; replaying all records in an empty database gives
 * the same tables, which is how registry_verify() finds what was changed in them.
 *
 * What records have beside journal.h's fields, by their action; digests are of blobs, roots of manifests:
 *   add       number, root, kind ("model", "data"), manifest, facts, bytes
 *   evidence  number, root, evidence: [{ blob, bytes, file, kind }]
 *   lineage   number, root, parents: [{ parent, role }]      parent: NAME@N, or what is not in the registry in its own words
 *   alias, promote, rollback, settle, withdraw
 *             alias, number, root, prev_root, release: the alias's new state { candidate, mode, number, past, salt, share },
 *             and what gates said (gate.h): gates, override
 *             pushed: the manifest of OCI's that an alias was pushed with (oci.h)
 *   unalias   alias, prev_root
 *   policy    alias, policy: a blob, or null where there is none any more
 *   create    kind: a name without a version yet
 *   drop      number, root, bytes: a version whose files' bytes may go, so many of them that nothing else has; the version stays (registry_gc.h)
 *   refill    number, root: they were added again
 *   collect   blobs: [digest], bytes, other: [path]: what nothing named any more and was removed; name ""
 *   say       number (0: of the name), key ("": its description, else a tag's), value: a text, or null where it is taken back */
#ifndef STORE_REGISTRY_APPLY_H
#define STORE_REGISTRY_APPLY_H
#include <jansson.h>
#include "store/journal.h"

/* Within db_begin(): the record is appended and applied. */
int registry_write(struct db *db, json_t *record, const struct journal_by *by, struct journal_head *out, struct err *err);
/* The tables, made or brought to this program's version. */
int registry_upgrade(struct db *db, struct err *err);
int registry_has_tables(struct db *db, bool *yes, struct err *err);
int registry_apply(struct db *db, const json_t *record, struct err *err);

/* The tables that records make, with their columns, the key's first: for comparing. */
struct registry_table { const char *name, *columns; int n_key, n_column; };
extern const struct registry_table registry_tables[];      /* name NULL at the end */
#endif
