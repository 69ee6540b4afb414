/* registry.h - models and data sets as numbered versions that do not change, and all that was said of them.
 *
 * A registry is a folder, with its tables in registry.db there (SQLite) or in PostgreSQL:
 *   blobs/sha256/ab/abcdef...     contents (blob.h): the files of versions, manifests, facts, evidence, policies
 *   versions/DIGEST/              a version's files under their own names, hard links to blobs: what a model is loaded from; DIGEST is
 *                                 the manifest's.  Made when it is first asked for, and again where it is not right.
 *   registries                    the ids of the registries that have their blobs here, a line each: a collector must know them all
 * NAME has letters, digits, ".", "_" and "-", at most 96; an ALIAS too, with at least one that is no digit.  A version is NAME@N, N from 1 on, or NAME@ALIAS.
 * Its root is the digest of its files by OpenSSF Model Signing's rule (manifest.h).
 *
 * Each change is one transaction, with its record in the journal (journal.h).  Several processes may use a registry at once; a struct
 * registry belongs to one thread at a time.  Errors: ERR_NOTFOUND what is named is not there, ERR_USAGE a name or a text is not
 * well-formed, ERR_CORRUPT, and those of db.h and file.h. */
#ifndef STORE_REGISTRY_H
#define STORE_REGISTRY_H
#include <jansson.h>
#include "store/blob.h"
#include "store/db.h"
#include "store/journal.h"
#include "store/manifest.h"

#define REGISTRY_NAME 97                 /* bytes of a name or an alias with its NUL */

struct registry;
/* $LATHE_REGISTRY, or "registry" in the folder that holds models (models.h).  Free with mem_free. */
int registry_where(char **out, struct err *err);
/* where: a folder or postgresql://..., whose blobs are in the folder of the default; NULL: registry_where().  make: it may be new; else
 * ERR_NOTFOUND where there is none, ERR_CORRUPT
 * where its tables are gone. */
int registry_open(struct registry **out, const char *where, bool make, struct err *err);
void registry_close(struct registry *g);                  /* NULL is fine */
struct db *registry_db(struct registry *g);
const char *registry_folder(const struct registry *g);
/* An object that lives as long as g: what was worked out of versions, which do not change, by whoever needs it again.  Keys begin with who that is. */
json_t *registry_memo(struct registry *g);                /* NULL: no memory */

/* The digest of the journal's first record: what a registry is told from others by, wherever it is copied to.  "": its journal is empty. */
int registry_id(struct registry *g, char id[SHA256_HEX], struct err *err);

bool registry_name_ok(const char *name);
bool registry_alias_ok(const char *alias);
/* NAME@N or NAME@ALIAS; NAME alone: alias "".  number 0: an alias.  ERR_USAGE. */
struct registry_ref { char name[REGISTRY_NAME], alias[REGISTRY_NAME]; int64_t number; };
int registry_ref_parse(struct registry_ref *out, const char *text, struct err *err);

/* ---- versions ---- */

struct registry_version {
    char name[REGISTRY_NAME], kind[8];
    int64_t number;
    char root[SHA256_HEX], manifest[BLOB_ID], facts[BLOB_ID];
    uint64_t bytes;
    char t[WHEN_TEXT];                   /* when it was added */
    int64_t seq;                         /* the journal's record of that */
    bool is_new;                         /* registry_add(): it was not there */
};

struct registry_parent { const char *parent, *role; };    /* NAME@N or NAME@ALIAS of the registry, else another's words; role: "data", "base", ... */
struct registry_addition {
    const char *name, *kind;             /* "model" or "data" */
    const char *path;                    /* a folder, or a file, which is then in a folder of its own */
    const char *const *skip;             /* manifest_list(): what is no part of it */
    const struct manifest *files;        /* what it holds, sorted, whose blobs are here already, so that path is not read; NULL: it is */
    const json_t *kept;                  /* evidence that is here as well: [{ blob, bytes, file, kind }]; NULL: none */
    const json_t *facts;                 /* an object; NULL: {} */
    /* NULL, or called when all files are in, to add to the facts what then is known of them.  digest: what model_digest() will say of the version's folder; NULL where `files` were here. */
    int (*complete)(void *ctx, json_t *facts, const struct manifest *files, const char digest[SHA256_HEX], struct err *err);
    void *ctx;
    const struct registry_parent *parent;
    int n_parent;
    const char *const *evidence;         /* paths of files of at most EVIDENCE_BYTES_MAX; model.sig at the top of the folder is one too */
    int n_evidence;
};
/* Copies everything in, then makes the next version.  Where the name has a version with this root, that is it, and evidence and parents
 * go to it. */
int registry_add(struct registry *g, const struct registry_addition *a, const struct journal_by *by, struct registry_version *out, struct err *err);
/* registry_path() of files whose blobs are here, before there is a version of them; and to take that folder away unless a version has it. */
int registry_view(struct registry *g, const struct manifest *files, char **out, struct err *err);
int registry_view_drop(struct registry *g, const struct manifest *files, struct err *err);
/* Evidence and parents for a version that is there. */
int registry_attach(struct registry *g, const struct registry_version *v, const struct registry_addition *a, const struct journal_by *by, struct err *err);

/* NAME alone: its last version. */
int registry_find(struct registry *g, const struct registry_ref *ref, struct registry_version *out, struct err *err);
int registry_find_text(struct registry *g, const char *text, struct registry_version *out, struct err *err);
/* The first of all names (the smallest number) that has this root. */
int registry_find_root(struct registry *g, const char *root, struct registry_version *out, struct err *err);
/* The folder of its files, or, where the only one that a model is loaded from is a GGUF file, that.  Free with mem_free. */
int registry_path(struct registry *g, const struct registry_version *v, char **out, struct err *err);
/* Where NAME@N or NAME@ALIAS lies in the registry of the default; for commands that take a path. */
int registry_path_of(char **out, const char *text, struct err *err);
int registry_manifest(struct registry *g, const struct registry_version *v, struct manifest *out, struct err *err);
/* {"kind": ..., ...}, made by whoever added it. */
int registry_facts(struct registry *g, const struct registry_version *v, json_t **out, struct err *err);

/* When and how many bytes of it were removed; seq 0: it has them. */
struct registry_drop { int64_t seq; uint64_t bytes; char t[WHEN_TEXT]; };
int registry_dropped(struct registry *g, const struct registry_version *v, struct registry_drop *out, struct err *err);
/* ERR_NOTFOUND, with what brings them back, where they were. */
int registry_has_bytes(struct registry *g, const struct registry_version *v, struct err *err);

/* ---- reading, as JSON; the caller's ---- */

/* [{ aliases: { ALIAS: N }, kind, last, name, versions, bytes }], sorted by name. */
int registry_list(struct registry *g, json_t **out, struct err *err);
/* The numbers of a name's versions, the newest first: [3, 2, 1]. */
int registry_numbers(struct registry *g, const char *name, json_t **out, struct err *err);
/* [{ name, alias, number }] of a name, or (NULL) of all, sorted. */
int registry_aliases(struct registry *g, const char *name, json_t **out, struct err *err);
/* Which version of the name has this root; 0: none. */
int registry_number_of_root(struct registry *g, const char *name, const char *root, int64_t *number, struct err *err);
/* All of a version: { name, number, root, kind, bytes, t, actor, reason, files, facts, aliases, parents, children, evidence,
 * servers: [{ server, alias, state, message, t }], each one's last word but for those that are gone }, and removed: { t, bytes, actor, reason } where its bytes were. */
int registry_show(struct registry *g, const struct registry_version *v, json_t **out, struct err *err);
/* [{ blob, bytes, file, kind, t, evidence: ID }]: the newest last. */
int registry_evidence(struct registry *g, const struct registry_version *v, json_t **out, struct err *err);
/* All that is above and below a version: { of: NAME@N, edges: [{ child, parent, role }] }, from it outwards. */
int registry_lineage(struct registry *g, const struct registry_version *v, json_t **out, struct err *err);
/* The journal's records of a name (NULL: of all), the newest first, at most n (0: all). */
int registry_history(struct registry *g, const char *name, int64_t n, json_t **out, struct err *err);
#endif
