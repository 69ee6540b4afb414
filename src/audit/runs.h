/* runs.h - what is said twice in a text: n words in a row that are found again, and lines or paragraphs that are.
 *
 * Everything is exact: hashes only say where to look, bytes decide.  Words get numbers, then pairs of words, then pairs and a word, and so
 * on; what is found once is found once with one word more, so that in most texts little is left to look at after pairs. */
#ifndef AUDIT_RUNS_H
#define AUDIT_RUNS_H
#include "audit/words.h"

/* Open addressing: 32 bits of a hash above an index + 1. */
struct slots { uint64_t *at; size_t cap, mask; };
int slots_clear(struct slots *s, size_t n, struct err *err);              /* room for n */
void slots_release(struct slots *s);

/* A set of parts of one text, each of which is added; count: how often it was. */
struct repeats { struct slots slots; struct spans span; uint32_t *count; size_t cap; };
int repeats_clear(struct repeats *p, size_t n, struct err *err);              /* for n parts */
uint32_t repeats_add(struct repeats *p, const char *text, struct span s);     /* how often it stood there before */
void repeats_release(struct repeats *p);

#define RUN_ONCE UINT32_MAX

struct runs {
    const char *text;
    const struct span *span;             /* of each word */
    size_t n_word;
    bool ascii;                          /* characters are bytes */
    uint32_t *character;                 /* n_word + 1: characters before each word, nothing counted between words */
    uint32_t *word;                      /* number of each word, RUN_ONCE for one that no other equals */
    uint32_t *gram;                      /* of n words from this one on, after runs_next() */
    uint32_t *left; size_t n_left;       /* the places where that is not RUN_ONCE, ascending */
    uint32_t *count, *first;             /* of each number in gram: how often, and where it is first */
    size_t n_gram;
    int n;
    /* runs_dup_*(): the words, nothing between, where each begins there, and the places that may stand there twice */
    char *joined;
    uint32_t *byte, *some; size_t n_some;
    uint32_t *before;                    /* of each number in gram: that of its first n - 1 words; of each of `some`: whether its 16 bytes are found twice */
    uint64_t *hash;                      /* of each word */
    uint32_t *store[8];
    struct slots slots;
    struct seen { uint8_t *at; uint32_t mask; } seen;          /* how often something of a hash was met: 0, 1, 2 and more */
    size_t cap, joined_cap, seen_cap;
};

/* text and words must stay until the last call that looks at them. */
int runs_of(struct runs *g, const char *text, const struct spans *words, bool ascii, struct err *err);
void runs_release(struct runs *g);
uint32_t runs_times(const struct runs *g, const char *word);          /* how often it is there; only before runs_next() */
/* From n - 1 to n words, from 2 on. */
int runs_next(struct runs *g, struct err *err);
/* Where the most common n-gram is first, of several the first, and how often it is; n_word >= n. */
uint32_t runs_top(const struct runs *g, uint32_t *times);
static inline uint32_t run_chars(const struct runs *g, size_t at, int n) { return g->character[at + (size_t)n] - g->character[at]; }

/* datatrove's find_all_duplicate(): characters of n-grams that stood before, looking on behind each that did.  Words are joined without
 * space, so that it is their bytes that are equal, not the words.  No runs_next() after runs_dup_begin(). */
int runs_dup_begin(struct runs *g, struct err *err);
int runs_dup_chars(struct runs *g, int n, uint32_t *chars, struct err *err);

#endif
