/* redact.h - texts without what must not be there, and names for values by which they can be found again.
 *
 *   REDACT_TAG        <EMAIL_ADDRESS>
 *   REDACT_MASK       stars, as many as the value has characters
 *   REDACT_PSEUDONYM  <EMAIL_ADDRESS:5f3a09c2d17b4e60>: the first 64 bits of an HMAC-SHA-256 of the value, the same for the same value
 * Values that are written in several ways are one (value_normalise).  Whoever has the key can tell by the pseudonym whether a given value was there;
 * without it nobody can.  Spots are those of spot.h in order of place; where two overlap (those of persons' data and of secrets) all
 * that they cover is replaced once, as the one of the higher score, then the longer, then the earlier. */
#ifndef AUDIT_REDACT_H
#define AUDIT_REDACT_H
#include <stdbool.h>
#include "audit/spot.h"
#include "base/buf.h"

enum redact { REDACT_TAG, REDACT_MASK, REDACT_PSEUDONYM, N_REDACT };

#define REDACT_KEY_MIN 16
#define REDACT_KEY_MAX 1024
struct redact_key { unsigned char byte[REDACT_KEY_MAX]; size_t n; };
/* The bytes of a file, without line ends behind them; fewer than 16 are refused. */
int redact_key_read(struct redact_key *k, const char *path, struct err *err);

/* What is one value: white space at its ends is none; letters and digits alone where `plain` (numbers of persons, cards, accounts), letters small.
 * exact: as it stands (secrets). */
enum value_form { VALUE_LOWER, VALUE_PLAIN, VALUE_EXACT };
int value_normalise(enum value_form form, const char *p, size_t n, struct buf *out, struct err *err);
/* HMAC-SHA-256 of the normalised value: the name of the value in an index.  scratch is overwritten. */
#define VALUE_MAC 32
int value_mac(const struct redact_key *k, enum value_form form, const char *p, size_t n, unsigned char mac[VALUE_MAC], struct buf *scratch, struct err *err);

/* What a kind of a spot is called, what makes its values one, and what is done with it. */
struct redact_kind { const char *name; enum value_form form; enum redact how; };
typedef struct redact_kind redact_kind_fn(const void *ctx, int kind);

/* Appends the text with its spots replaced.  key: for pseudonyms. */
int redact(const char *text, size_t n, const struct spot *spot, size_t n_spot, const struct redact_key *key, redact_kind_fn *kind, const void *ctx, struct buf *out,
           struct err *err);

#endif
