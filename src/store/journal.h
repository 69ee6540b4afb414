/* journal.h - every change of a registry, in order, each with the digest of the one before: what is in it cannot be edited without trace.
 *
 * A record is an object of JSON: seq (from 1 on, without gaps), t (RFC 3339), actor, action, name, reason, prev_hash, and what its action
 * needs (registry_apply.h).  It is kept as canonical JSON (RFC 8785: keys sorted, no spaces, the shortest form of numbers; records of before that had 17 digits are taken); its hash is the SHA-256 of that text, and
 * the next one's prev_hash.  The first has 64 zeros there.
 * Times only go up: where the clock was set back a record is a nanosecond after the one before, and its `clock` is what the clock said. */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H
#include <jansson.h>
#include <stdbool.h>
#include "base/hash.h"
#include "base/when.h"
#include "store/db.h"

#define JOURNAL_TEXT_MAX 1000            /* bytes of an actor or a reason */

/* Who did it and why; NULL: "" */
struct journal_by { const char *actor, *reason; };
/* ERR_USAGE: too long, no UTF-8, or with control characters. */
int journal_by_check(const struct journal_by *by, struct err *err);

struct journal_head { int64_t seq; char t[WHEN_TEXT], hash[SHA256_HEX]; };     /* seq 0: an empty journal */
int journal_head(struct journal_head *out, struct db *db, struct err *err);

/* Within db_begin(): completes the record (an object with action, name, and what else it needs, changed in place) and writes it. */
int journal_append(struct journal_head *out, struct db *db, json_t *record, const struct journal_by *by, struct err *err);
/* The record at seq or, with ERR_NOTFOUND, none. */
int journal_get(json_t **out, struct db *db, int64_t seq, struct err *err);

/* Walks all records in order.  each gets every one that is what its hash says, which is freed after it; bad gets what is wrong with one, as the end of a
 * sentence ("was changed ..."), before that.  An error that they return ends the walk. */
typedef int journal_each(void *ctx, json_t *record, struct err *err);
typedef int journal_bad(void *ctx, int64_t seq, const char *what, struct err *err);
int journal_walk(struct db *db, journal_each *each, journal_bad *bad, void *ctx, struct journal_head *head, struct err *err);
#endif
