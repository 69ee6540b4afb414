/* tok_split.h - cutting a text into the pieces that merges stay inside of (what Hugging Face calls Split).
 *
 * A tok_split is made from a regular expression.  The well-known ones have matchers written by hand; any other is compiled by
 * PCRE2 with limits on its work, so that a hostile expression ends in an error.  Bytes that are not UTF-8 are characters of no
 * category; an expression of PCRE2 never matches them.  A tok_split does not change once it is made. */
#ifndef MODEL_TOK_SPLIT_H
#define MODEL_TOK_SPLIT_H
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

/* Length of the match at the beginning of s[0..n-1], n > 0; 0: none.  Only s itself is seen: what is before it does not count. */
typedef size_t tok_match_fn(const unsigned char *s, size_t n);

struct tok_split;
int tok_split_new(struct tok_split **out, const char *pattern, size_t n, const char *name, struct err *err);
/* The same, never by hand: the slow twin that the matchers are tested against. */
int tok_split_new_pcre(struct tok_split **out, const char *pattern, size_t n, const char *name, struct err *err);
void tok_split_free(struct tok_split *s);
const char *tok_split_pattern(const struct tok_split *s);      /* as it was given to tok_split_new; NULL: by another way */
bool tok_split_by_hand(const struct tok_split *s);
int tok_split_gpt2(struct tok_split **out, const char *name, struct err *err);
bool tok_split_is_ascii(const struct tok_split *s);      /* matches ASCII characters only, whatever stands around them */

/* One search through a text; release after the last piece. */
struct tok_cut { const struct tok_split *split; const unsigned char *s; size_t n, at, found, found_end; void *match; };
int tok_cut_begin(struct tok_cut *c, const struct tok_split *split, const char *s, size_t n, struct err *err);
/* The next piece, a match or what lies between matches: 1 and its length, or 0 at the end. */
int tok_cut_next(struct tok_cut *c, size_t *len, bool *matched, struct err *err);
void tok_cut_end(struct tok_cut *c);

tok_match_fn tok_match_gpt2;                /* the split that the trainer uses */
size_t tok_patterns(const char *const **patterns);       /* every expression that has a matcher, for tests */
#endif
