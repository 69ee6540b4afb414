/* patterns.h - many regular expressions looked for in one pass over a text: Vectorscan says where one may end, PCRE2 says what it is.
 *
 * Vectorscan runs all expressions at once and reports ends only; PCRE2 then tries the starts from which such an end can be reached.  What
 * is found is therefore what PCRE2 alone finds from left to right, expression by expression.  Texts are bytes: any are allowed, '.', \w, \b
 * and caseless letters are ASCII's.  A match of more than PATTERN_LONGEST bytes may be missed.
 *
 *   PATTERN_TEXT   looked for in all of the text
 *   PATTERN_OPENS  found in the text, it opens a window of PATTERN_WINDOW bytes before and behind it
 *   PATTERN_NEAR   looked for in such windows only; its matches have at most PATTERN_WINDOW bytes.  Expressions without a letter of their own
 *                  (nine digits) cost a pass over all text 5 to 10 times as much as one over the few places that have six digits in a row
 *
 * struct patterns is made once and then read by all threads; each thread has a state of its own. */
#ifndef AUDIT_PATTERNS_H
#define AUDIT_PATTERNS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

#define PATTERN_LONGEST ((size_t)16 << 10)
#define PATTERN_WINDOW 64
#define PATTERN_GROUPS 8           /* of the whole match and of its first groups */

enum pattern_kind { PATTERN_TEXT, PATTERN_OPENS, PATTERN_NEAR };

/* hint: what the pass looks for, if not the expression itself: it ends within each match, or at most `before` bytes behind its start.  name:
 * for messages.  All strings are borrowed for the call of patterns_new(). */
struct pattern { const char *name, *expr, *hint; uint32_t before; enum pattern_kind kind; };

struct patterns;
struct patterns_state;
/* ERR_FORMAT names the expression that is none. */
int patterns_new(struct patterns **out, const struct pattern *p, int n, struct err *err);
void patterns_free(struct patterns *p);
int patterns_state_new(struct patterns_state **out, const struct patterns *p, struct err *err);
void patterns_state_free(struct patterns_state *s);

/* A match of pattern i: group[k] is that of group k, 0 the whole; n 0 where it took no part.  Returns how
 * many of its bytes were taken: the search goes on behind them; 0: the match was none, and it goes on at the next byte. */
struct pattern_group { size_t at, n; };
typedef size_t patterns_found(void *ctx, int i, const struct pattern_group *group);
/* Matches of one pattern come from left to right, patterns in no order.  Allocates only for texts with more places than any before. */
int patterns_scan(const struct patterns *p, struct patterns_state *s, const char *text, size_t n, patterns_found *found, void *ctx, struct err *err);

/* An expression by itself, for short texts: is it anywhere in there? */
struct pattern_alone;
int pattern_alone_new(struct pattern_alone **out, const char *name, const char *expr, struct err *err);
void pattern_alone_free(struct pattern_alone *p);
bool pattern_alone_in(const struct pattern_alone *p, struct patterns_state *s, const char *text, size_t n);

/* Places of all texts until now where an expression came to PCRE2's limits and was given up: what it would have found from there on, to the end of
 * a stretch of places, may be missing. */
uint64_t patterns_given_up(const struct patterns_state *s);

#endif
