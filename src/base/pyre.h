/* pyre.h - regular expressions as Python's re has them, by PCRE2.
 *
 * A pattern is rewritten where the two differ: \Z, \v, \x, \u, \U, {,n}, brackets within classes; what Python refuses or PCRE2 lacks (\h,
 * \R, \K, \p, (?a), (?L), verbs) is ERR_UNSUPPORTED with its place.  Left as a difference: \s has not U+001C to U+001F, \w not the few numerals
 * that are no letters, and case folds by Unicode 14's simple rules.  Text must be UTF-8.  Matching is bounded (a pattern that would backtrack
 * for ever is ERR_RANGE).  A compiled pattern never changes: any thread may use it. */
#ifndef BASE_PYRE_H
#define BASE_PYRE_H
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"

#define PYRE_GROUPS_MAX 32
struct pyre;
int pyre_compile(struct pyre **out, const char *pattern, size_t n, const char *name, struct err *err);    /* name leads the messages */
void pyre_free(struct pyre *re);
int pyre_n_group(const struct pyre *re);             /* without the whole */

/* The matches of a text one after the other, as finditer: zeroed before the first.  group[i]: its bytes from..to-1, from -1 where it took no part. */
struct pyre_match { struct { ptrdiff_t from, to; } group[PYRE_GROUPS_MAX + 1]; size_t next; bool advance; };
int pyre_next(const struct pyre *re, const char *s, size_t n, struct pyre_match *m, struct err *err);      /* 1, or 0 where there is no more */
/* re.sub: appends s with the first `count` matches (0: all) replaced; repl has \1, \g<1>, \g<name>, \n and the like. */
int pyre_sub(const struct pyre *re, const char *s, size_t n, const char *repl, size_t n_repl, int count, struct buf *out, struct err *err);
#endif
