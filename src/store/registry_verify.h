/* registry_verify.h - is a registry what its journal says?
 *
 *   the journal   each record is what its hash says, and follows on the one before
 *   the tables    what all records give, replayed in an empty database in memory, row by row and column by column
 *   the blobs     what their names say, all of those that versions, evidence and policies name
 *   the views     links to those blobs, and nothing beside
 *   the database  its own structure (SQLite)
 * What servers said last (server_state) is no part of it.  Someone who can write everywhere could make a whole journal anew: who notes its head elsewhere,
 * {"seq", "hash"}, or a signed checkpoint of it (checkpoint.h), finds that too. */
#ifndef STORE_REGISTRY_VERIFY_H
#define STORE_REGISTRY_VERIFY_H
#include "store/checkpoint.h"

struct registry_verify_opts {
    bool no_blobs;                       /* the contents of blobs are not read, only whether they are there */
    int64_t seq;                         /* with hash: the journal had this record; 0: none is known */
    const char *hash;
    const struct checkpoint *checkpoint; /* that was signed before: the journal goes on from it; NULL: none is known */
    void (*progress)(void *ctx, uint64_t bytes, uint64_t of);      /* NULL: none */
    void *ctx;
};
/* { valid, records, head: { seq, hash, t }, blobs, bytes, findings: [{ part, where, what }] }, the caller's.  part: "journal", "tables", "blobs", "views",
 * "database"; where: record N; TABLE KEY; the blob and whose it is; a path.  Findings are no error: 0 is returned. */
int registry_verify(struct registry *g, const struct registry_verify_opts *o, json_t **out, struct err *err);
#endif
