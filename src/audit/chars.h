/* chars.h - what the rules for texts ask of a character: Python's, spaCy's and datatrove's classes.
 *
 * Tables made from these programs themselves (tools/chars_tables.py), so that words and counts are theirs: Python 3.11 (Unicode 14).
 * model/unicode.h is what tokenizers of models ask, of other versions.  A byte that is no UTF-8 is a character of no class. */
#ifndef AUDIT_CHARS_H
#define AUDIT_CHARS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "audit/chars_tables.h"

enum char_class_bit {
#define X(name, doc) CHAR_BIT_##name,
    CHAR_CLASSES(X)
#undef X
    N_CHAR_CLASS
};
enum char_class {
#define X(name, doc) CHAR_##name = 1u << CHAR_BIT_##name,
    CHAR_CLASSES(X)
#undef X
};

uint32_t chars_class(uint32_t cp);                                          /* bits of enum char_class */
extern const uint32_t chars_ascii[128];                                     /* the same of those below 128 */
int chars_beyond(const char *s, const char *end, uint32_t *cp, uint32_t *class);       /* chars_at() of what is not below 128 */
/* The character at s < end: its bytes; what it is.  Inline, since nearly all are ASCII. */
static inline int chars_at(const char *s, const char *end, uint32_t *cp, uint32_t *class)
{
    const unsigned char c = (unsigned char)*s;
    if (c >= 128)
        return chars_beyond(s, end, cp, class);
    *cp = c;
    *class = chars_ascii[c];
    return 1;
}
/* The one that ends at s > begin. */
int chars_before(const char *begin, const char *s, uint32_t *cp, uint32_t *class);

/* What simplify makes of a CHAR_MAPPED one: up to 4 characters (NFD of its lower case, without Mn), maybe none; their number. */
int chars_simplified(uint32_t cp, uint32_t out[4]);
int chars_lower(uint32_t cp, uint32_t out[4]);                              /* up to 2; a sigma is one in a word */
/* Whether a sigma at s, 2 bytes, is the last letter of a word of [text, end), where its lower case is another. */
bool chars_is_last_sigma(const char *text, const char *s, const char *end);
int chars_combining(uint32_t cp);                                           /* class of one that is CHAR_NONSTARTER and no CHAR_MN */
#endif
