/* stage.h - what a stage of an audit works on: all records of all sources, as the pass stored them, and the verdicts so far.
 *
 * Records have numbers from 0 over the whole input.  A stage looks at columns segment by segment (store_segment), drops records, and puts
 * its part into the report; with examples, whose texts are fetched at the end, all in one reading.  Everything depends on the input alone:
 * not on threads, time or addresses.  A stage runs on the caller's thread and may use the pool. */
#ifndef AUDIT_STAGE_H
#define AUDIT_STAGE_H
#include "audit/audit.h"
#include "audit/store.h"

/* Why a record is not kept: 0 for kept, a fault (extract.h), one of drops.def, or a rule's number from DROP_RULE on. */
enum drop {
    DROP_KEPT = 0,
    DROP_AFTER_FAULTS = N_RECORD_FAULT - 1,
#define DROP(word, doc) DROP_##word,
#include "audit/drops.def"
#undef DROP
    N_DROP,
    DROP_RULE = 256,
};

struct file_end { int64_t n_record; char sha256[SHA256_HEX]; char *why; };       /* why: it broke off, or NULL */

/* spot: its n_spot places that must not be shown.  masked: no more than a spot's mask is. */
struct example { json_t *into; int64_t record; size_t at, n; struct kept_spot *spot; size_t n_spot; bool masked; };

struct audit {
    const struct sources *s;
    const struct audit_opts *o;
    struct store store;
    int64_t n;                           /* records */
    int64_t *first;                      /* of each file: number of its first record; one more at the end */
    struct file_end *end;                /* of each file */
    uint16_t *reason;                    /* of each record: enum drop */
    int64_t *dup_of;                     /* of each record: the one that is kept of those which are the same, -1: it is none's duplicate; NULL: not known */
    struct example *example; int n_example, cap_example;
    json_t *report;
    uint64_t refused;                    /* mem_json_refused() at the start: a list of jansson's does not tell what it could not take */
};

#define STAGE(fn, doc) int fn(struct audit *a, struct err *err);
#include "audit/stages.def"
#undef STAGE

/* What follows from the store alone: files' ends, first records, faults as reasons.  audit_release gives it back, with the store. */
int audit_stand(struct audit *a, struct err *err);
void audit_release(struct audit *a);

static inline bool audit_kept(const struct audit *a, int64_t record) { return a->reason[record] == DROP_KEPT; }
/* Does the policy leave records out for this reason? */
static inline bool audit_drops(const struct audit *a, int reason) { return reason < N_RECORD_FAULT || reason >= N_DROP || !a->o->policy || a->o->policy->drop[reason - N_RECORD_FAULT]; }
/* Unless it was dropped before, or the policy does not. */
static inline void audit_drop(struct audit *a, int64_t record, int reason) { a->reason[record] = a->reason[record] || !audit_drops(a, reason) ? a->reason[record] : (uint16_t)reason; }
char *audit_drop_word(int reason, char out[80]);
int audit_file_of(const struct audit *a, int64_t record);

/* What is kept when all stages are over, as index_add in the folder index of duplicates. */
int audit_add_to_index(struct audit *a, struct err *err);

/* Puts a part into the report; takes it, also on error (NULL: no memory). */
int audit_report(struct audit *a, const char *key, json_t *part, struct err *err);
/* `into` (an object in the report, kept alive) gets record, file, line, and as excerpt the text's bytes from `at` on, at most n (0: 200);
 * at EXAMPLE_NO_TEXT: no excerpt.  Personal data and secrets that were found are stars there. */
#define EXAMPLE_NO_TEXT SIZE_MAX
int audit_example(struct audit *a, json_t *into, int64_t record, size_t at, size_t n, struct err *err);
/* `into` gets the record's place, and as "masked" what may be shown of the n bytes (spot.h). */
int audit_example_masked(struct audit *a, json_t *into, int64_t record, size_t at, size_t n, struct err *err);
int audit_fill_examples(struct audit *a, struct err *err);       /* at the end */
/* The texts of records (ascending numbers), one after the other, read anew from their files; those that cannot be read again are an error. */
int audit_texts(const struct audit *a, const int64_t *record, int n, int (*text)(void *ctx, int i, const char *text, size_t n, struct err *err), void *ctx, struct err *err);
/* One more pass over all records: record() by any thread, put() and round() (either may be NULL) in order, as pass.h; number is the record's of
 * the whole input. */
int audit_pass(const struct audit *a, int (*record)(void *ctx, int64_t number, const struct pass_record *r, struct buf *out, int i_thread, struct err *err),
               int (*put)(void *ctx, const struct buf *out, struct err *err), int (*round)(void *ctx, const struct buf *const *out, int n, struct err *err), void *ctx, struct err *err);

#endif
