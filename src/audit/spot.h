/* spot.h - places in a text that say something they should not: what kind, where, how sure. */
#ifndef AUDIT_SPOT_H
#define AUDIT_SPOT_H
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* kind: of the table that found it; score: 1 to 100. */
struct spot { size_t at, n; uint16_t kind; uint8_t score; };

struct spots { struct spot *spot; size_t n, cap; unsigned char *taken; size_t cap_taken; };     /* all zero: empty */
void spots_release(struct spots *s);
void spots_clear(struct spots *s);
int spots_add(struct spots *s, struct spot x, struct err *err);
/* Leaves, in order of place, spots that do not overlap: of those that do, the one of the higher score stays, then the longer, the earlier, the
 * one of the lower kind; and so on with what does not overlap it. */
int spots_resolve(struct spots *s, struct err *err);

/* What may be shown of a value: of 12 characters or more its first two and last two, of others none; at most 8 stars for the rest.  A character that is not
 * printable ASCII is a star. */
#define SPOT_MASK 16
void spot_mask(const char *p, size_t n, char out[SPOT_MASK]);

#endif
