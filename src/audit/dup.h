/* dup.h - which records are copies of earlier ones: exactly, by SHA-256, and nearly, by a band of their signatures (minhash.h).
 *
 * A record has a row of fixed size: SHA-256 of its text, its bands' hashes, a byte of each value of its signature.  Records are numbered
 * from 0 through all rows, earlier data's (dup_index.h) before those of now.
 *
 * Of records with equal texts, and of those that near duplicates join (near-near of a keeper is its duplicate too, as in datatrove), the
 * earliest is kept.  Not the one of the least hash: with that, data that come later would decide which of the earlier ones, already learned
 * from, should have been left; and who lists sources in order of trust wants the first of them.  New rows against those of an index thus
 * fare as in one run over all.  Nothing depends on threads.
 *
 * Memory: 49 bytes a record and the rows, which may be mapped files. */
#ifndef AUDIT_DUP_H
#define AUDIT_DUP_H
#include <stdbool.h>
#include "audit/minhash.h"
#include "base/hash.h"
#include "base/pool.h"

/* Bytes of a row, a multiple of 8; its parts are SHA-256, n_band hashes, n_value bytes. */
size_t dup_row_bytes(const struct minhash *m);
/* row: aligned to 8.  sig: minhash_room(); of no shingle for a text without a signature. */
void dup_row(const struct minhash *m, const unsigned char sha256[SHA256_BYTES], const uint64_t *sig, unsigned char *row);
static inline const uint64_t *dup_row_bands(const unsigned char *row) { return (const uint64_t *)(const void *)(row + SHA256_BYTES); }
/* Of a record that is none: it has no duplicates. */
void dup_row_none(const struct minhash *m, unsigned char *row);

struct dup_rows { const unsigned char *row; size_t n; };      /* aligned to 8 */
struct dup_opts {
    struct pool *pool;
    const struct minhash *minhash;
    size_t n_old;                       /* the first so many records are earlier data's: they are kept */
    const uint8_t *skip;                /* [records] 1: is no part of it; NULL: all are */
    /* Candidates whose similarity is less are no duplicates.  0: all candidates are, as in datatrove.  Where it is more, each record of a
     * band is compared with the band's first and the one before it. */
    double least;
    /* By any thread, of two records, a before b: their true similarity (Jaccard of shingles).  NULL: estimated by their rows. */
    int (*similarity)(void *ctx, uint32_t a, uint32_t b, int i_thread, double *out, struct err *err);
    void *ctx;
};
enum dup_kind { DUP_NONE, DUP_EXACT, DUP_NEAR };
struct dup_tally { uint64_t records, groups; };     /* copies, and the records that they are copies of */
struct dup {
    uint32_t n, n_old;                  /* records; of them earlier data's */
    uint32_t *keeper;                   /* [n] itself, or the earlier record that it is a duplicate of: one that is kept */
    uint8_t *kind;                      /* [n] DUP_NONE for earlier data's */
    float *similarity;                  /* [n] of near duplicates with their keeper */
    struct dup_tally exact, near;       /* without earlier data's */
    uint64_t n_pair, n_refused;         /* candidates that were compared, a pair once a band, if they were not known to belong together; of them less alike than least */
};
/* Rows one after the other, 2^32 - 2 at most in all.  dup_release in any case. */
int dup_find(struct dup *d, const struct dup_rows *rows, int n_rows, const struct dup_opts *o, struct err *err);
void dup_release(struct dup *d);

#endif
