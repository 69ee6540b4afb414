/* words_impl.h - what the files that cut texts into words share: the state of a thread, and what stands beside a place. */
#ifndef AUDIT_WORDS_IMPL_H
#define AUDIT_WORDS_IMPL_H
#include <string.h>
#include "audit/chars.h"
#include "audit/words.h"

struct words {
    struct spans suffix;                 /* of a chunk, the last of the text first */
    struct spans tokens, matches, taken; /* special_pass() */
    uint8_t ascii[128];                  /* enum ascii_kind */
    char simple[128];                    /* what simplify makes of one: lower case, ' ' for white space and punctuation, '0' for a digit */
    uint32_t begins[2][256];             /* of the first and the second token of what special_pass() looks for: bit n for n bytes of which this is the first */
    bool has_hidden;
};

enum ascii_kind { A_SPACE = 1, A_LETTER = 2, A_DIGIT = 4, A_DOT = 8, A_INFIX = 16, A_OTHER = 32, A_HIGH = 64 };

static inline bool words_starts(const char *s, const char *end, const char *with, size_t n) { return (size_t)(end - s) >= n && !memcmp(s, with, n); }
#define STARTS(s, end, with) words_starts(s, end, with, sizeof with - 1)

/* Bytes of white space at s < end, 0 for none. */
static inline int words_space_at(const char *s, const char *end)
{
    uint32_t cp, class;
    const int n = chars_at(s, end, &cp, &class);
    return class & CHAR_SPACE ? n : 0;
}

/* words_english.c */
void words_english_init(struct words *w);
int words_english(struct words *w, const char *text, size_t n, struct spans *out, struct err *err);
/* A chunk [s, end) of a text: what lies between white space.  kinds: of all its characters (enum ascii_kind). */
int words_cut_chunk(struct words *w, struct spans *out, const char *text, const char *s, const char *end, int kinds, struct err *err);
bool words_is_url(const char *s, const char *end);             /* all of it is one, as spaCy's expression has it (words_url.c) */
#endif
