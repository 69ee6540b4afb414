/* pass.h - one pass over all records of all sources, by all threads, whose results come in the order of the input.
 *
 * Records come in blocks of about a MiB, of one file each.  A pool's threads work on the blocks of a round while one of them reads those
 * of the next; what a block's work has written is put in order, by the thread that called.  Which records share a block depends on the
 * files alone, and so does everything that comes out, whatever the threads.  Memory: two rounds of blocks (2 MiB a thread, 16 MiB at
 * least, and the largest record), and what their work wrote. */
#ifndef AUDIT_PASS_H
#define AUDIT_PASS_H
#include "audit/extract.h"
#include "audit/source.h"
#include "base/pool.h"

/* A record, good or not.  text: valid during the call, like x->mark; NULL with a fault, which why tells. */
struct pass_record { int64_t number; uint64_t at; int64_t line; size_t raw_bytes; const char *text; size_t n; enum record_fault fault; const char *why; const struct extract *x; };

/* A file that ended.  sha256: of the file itself, "" where it could not be opened; why: it ended before its end, or NULL. */
struct pass_file { int file; int64_t n_record; char sha256[SHA256_HEX]; const struct err *why; };

struct pass_opts {
    struct pool *pool;
    size_t record_max; double ratio;             /* 0: reader.h */
    /* By any thread, for each record of a block in order: appends to out what put() gets.  file: of the sources. */
    int (*record)(void *ctx, int file, const struct pass_record *r, struct buf *out, int i_thread, struct err *err);
    /* By the caller's thread, blocks in order.  next: the file's first record that none of them held. */
    int (*put)(void *ctx, int file, int64_t next, const struct buf *out, struct err *err);
    /* By the caller's thread, after put() of the blocks of a round: what they all wrote, in order.  May use the pool.  NULL: nothing. */
    int (*round)(void *ctx, const struct buf *const *out, int n, struct err *err);
    /* The file ended: after its blocks, by the caller's thread. */
    int (*ended)(void *ctx, const struct pass_file *f, struct err *err);
    /* Between rounds: bytes of the files that were taken.  May end the pass with an error, ERR_STOPPED for a stop. */
    int (*progress)(void *ctx, uint64_t bytes, struct err *err);
    void *ctx;
};
/* From a record of a file on: where a block began, blocks are those of the whole pass.  What is wrong with a file or record is told, not
 * returned. */
int pass_run(const struct sources *s, int file, int64_t record, const struct pass_opts *o, struct err *err);

#endif
