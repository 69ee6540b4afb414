/* leak.h - what one split holds of another: the same text, nearly the same, the same owner, and what is later than it should be.
 *
 * Splits have numbers, and a rank by them: what stands in a split and in one of a higher number (train 0, valid 1, test 2) leaks into the
 * higher, and it is the lower one's record that has to go.  Records are compared by keys of 64 bits, equal or not, a column at a time:
 *   exact   a hash of the text
 *   near    the hashes of its bands (minhash.h), one column after the other: a band in common, which records of similarity s have with
 *           1 - (1 - s^8)^14; counted for those that are not exact
 *   group   a hash of whom or what it belongs to (the field that the source names)
 * and by time: a record of the lower split that is not earlier than the earliest of the higher one.
 * Everything depends on the records and their order alone.  Memory: 16 bytes a record, and while a column is added 24 more. */
#ifndef AUDIT_LEAK_H
#define AUDIT_LEAK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

#define LEAK_SPLITS_MAX 32
#define LEAK_NO_SPLIT UINT8_MAX          /* a record that takes no part */
#define LEAK_NO_TIME INT64_MIN

enum leak_kind { LEAK_EXACT, LEAK_NEAR, LEAK_GROUP, N_LEAK_KIND };

struct leak { size_t n; const uint8_t *split; uint32_t *in[N_LEAK_KIND]; int64_t *time; };
/* split: of n records, borrowed.  leak_release in any case. */
int leak_init(struct leak *l, const uint8_t *split, size_t n, struct err *err);
void leak_release(struct leak *l);
/* A key of each record, 0: none.  A kind may get several columns, as the bands are. */
int leak_column(struct leak *l, enum leak_kind kind, const uint64_t *key, struct err *err);
static inline void leak_time(struct leak *l, size_t record, int64_t time) { l->time[record] = time; }

/* Records of `to` that stand in `from` too, by kind; of `from` that are not earlier than the earliest of `to`, which is at `first`
 * (LEAK_NO_TIME: none has a date); of: records of `to`. */
struct leak_pair { int64_t n[N_LEAK_KIND], late, first, of; };
void leak_between(const struct leak *l, int from, int to, struct leak_pair *out);
/* Does the record stand, exactly or nearly, in a split of a higher number?  The lowest such one, or -1. */
int leak_of(const struct leak *l, size_t record);

/* Seconds since 1970 of a date as people write it in data: YYYY, YYYY-MM, YYYY-MM-DD, with T or a space hh:mm[:ss], fractions, Z or +hh:mm behind
 * it; YYYYMMDDhhmmss; or seconds since 1970 as digits, of nine to thirteen, milliseconds from twelve on.  ERR_FORMAT for anything else. */
int leak_parse_time(const char *s, size_t n, int64_t *out, struct err *err);

#endif
