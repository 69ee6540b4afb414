/* pieces.h - lines and paragraphs of a text by hashes, and how many of them were there before.
 *
 * A line ends at \n; a paragraph ends at a blank line or the end.  Of both the white space of ASCII (space, \t, \n, \v, \f, \r) is taken off
 * both ends, and what is empty then is neither; the rest is hashed as it stands, by XXH64.  So lines of files from Windows are the same, and
 * indentation does not matter. */
#ifndef AUDIT_PIECES_H
#define AUDIT_PIECES_H
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct piece { uint32_t low, high, n; };       /* halves of the hash (so that no byte of it is left open on the disk); bytes, without what was taken off */
static inline uint64_t piece_hash(const struct piece *p) { return (uint64_t)p->high << 32 | p->low; }
struct pieces { struct piece *piece; size_t n, cap; };

/* Replace what is there; the memory is kept.  n: RECORD_MAX at most. */
int pieces_lines(struct pieces *p, const char *text, size_t n, struct err *err);
int pieces_paragraphs(struct pieces *p, const char *text, size_t n, struct err *err);
void pieces_release(struct pieces *p);

/* A set of hashes, 8 bytes each and as much room.  One thread at a time. */
struct seen;
int seen_new(struct seen **out, struct err *err);
void seen_free(struct seen *s);
int seen_add(struct seen *s, uint64_t hash, struct err *err);      /* 1: was there before, 0: is there now, or ERR_NOMEM */
size_t seen_n(const struct seen *s);

#endif
