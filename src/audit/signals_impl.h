/* signals_impl.h - what the files that count signals share: the text that is being looked at, and parts of it. */
#ifndef AUDIT_SIGNALS_IMPL_H
#define AUDIT_SIGNALS_IMPL_H
#include <string.h>
#include "audit/runs.h"
#include "audit/signals.h"
#include "cpu/kernels.h"

/* Of bytes that are counted; those from SET_PLAIN on for NEMO. */
enum { SET_LINES, SET_HASHES, SET_CONTROLS, SET_PLAIN, SET_DIGITS, SET_WHITE, SET_BRACKETS, N_SIGNAL_SET };

struct signals_maker {
    int groups;
    struct words *words;
    struct runs runs;
    struct repeats repeats;
    struct spans lines;                  /* between line feeds; behind a last one there is one more, empty one */
    struct spans line_words, spaced;
    struct buf line, low;

    const char *text, *end;
    const struct spans *english;
    bool ascii;                          /* no other characters */
    bool odd_lines, returns;             /* other control characters, and with them ends of lines, than these; carriage returns */
    int phrases;                         /* enum phrase of the text */
    struct text_set set[N_SIGNAL_SET];
    uint32_t count[N_SIGNAL_SET + 2];    /* bytes of the text in each; behind those that were asked for what no set has (cpu/kernels.def) */
    struct signals *out;
};

uint32_t signals_chars(const struct signals_maker *m, const char *s, const char *end);
const char *signals_lstrip(const char *s, const char *end);          /* white space away, as str.lstrip */
const char *signals_rstrip(const char *begin, const char *end);
uint32_t signals_cap(uint64_t n);                                      /* at most 2^32 - 1 */
static inline bool signals_has(const char *s, const char *end, const char *with)       /* ends with it */
{
    const size_t n = strlen(with);
    return (size_t)(end - s) >= n && !memcmp(end - n, with, n);
}
struct span signals_span(const struct signals_maker *m, const char *s, const char *end);

void signals_stop_words(const struct runs *g, uint32_t *which, uint32_t *times);       /* which of the eight are words, how often all are; after runs_of() */
int signals_phrases(struct signals_maker *m, const char *s, const char *end, int *found, struct err *err);       /* enum phrase but PHRASE_KELVIN */

/* s in lower case, as far as patterns of ASCII ask: A to Z, and the Kelvin sign, which becomes k. */
int signals_low(struct buf *out, const char *s, const char *end, struct err *err);

int signals_spaced(struct signals_maker *m, struct err *err);        /* groups SPACED, DOLMA and NEMO (signals_other.c) */
#endif
