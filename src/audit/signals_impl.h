/* signals_impl.h - what the files that count signals share: the text that is being looked at, and parts of it. */
#ifndef AUDIT_SIGNALS_IMPL_H
#define AUDIT_SIGNALS_IMPL_H
#include "audit/runs.h"
#include "audit/signals.h"

struct signals_maker {
    int groups;
    struct words *words;
    struct runs runs;
    struct repeats repeats;
    struct spans line_words, spaced;
    struct buf line, low;

    const char *text, *end;
    const struct spans *english;
    bool ascii;
    struct signals *out;
};

/* The part up to the next U+000A (or the end) from *at on, or false; *at then is behind it.  As split("\n"): behind a last U+000A there is one
 * more, empty one.  *at starts as the text's beginning. */
bool signals_line(const char **at, const char *end, const char **begin, const char **line_end);
uint32_t signals_chars(const struct signals_maker *m, const char *s, const char *end);
const char *signals_lstrip(const char *s, const char *end);          /* white space away, as str.lstrip */
const char *signals_rstrip(const char *begin, const char *end);
uint32_t signals_cap(uint64_t n);                                      /* at most 2^32 - 1 */
bool signals_has(const char *s, const char *end, const char *with);   /* ends with it */
struct span signals_span(const struct signals_maker *m, const char *s, const char *end);

/* s in lower case, as far as patterns of ASCII ask: A to Z, and the Kelvin sign, which becomes k. */
int signals_low(struct buf *out, const char *s, const char *end, struct err *err);

int signals_spaced(struct signals_maker *m, struct err *err);        /* groups SPACED, DOLMA and NEMO (signals_other.c) */
#endif
