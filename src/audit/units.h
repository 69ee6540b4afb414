/* units.h - a text as the units that are compared for contamination: each a hash of 64 bits and the bytes of the text that it stands for.
 *
 *   UNITS_JANITOR   what white space divides (Python's), without ASCII punctuation, ASCII letters made small: lm-evaluation-harness'
 *                   janitor, GPT-3's rule.  What has nothing but punctuation is no unit.
 *   UNITS_DECON     letters made small, decon's punctuation (ASCII's and “ ” ‘ ’ —) made white space, then what white space (Unicode's) divides
 *   UNITS_TOKENS    the tokens of " " and that clean text, its words one space apart (decon with a tokenizer)
 *   UNITS_SIMPLE    datatrove's words of its simplified text (words.h); the bytes of the text are told by proportion, to some words
 * The n-grams of two texts are equal where the hashes of n units are. */
#ifndef AUDIT_UNITS_H
#define AUDIT_UNITS_H
#include <stddef.h>
#include <stdint.h>
#include "audit/words.h"
#include "base/buf.h"
#include "base/err.h"
#include "model/tok.h"

enum units_kind { UNITS_JANITOR, UNITS_DECON, UNITS_TOKENS, UNITS_SIMPLE, N_UNITS_KIND };

/* One thread's.  Zeroed before the first use; grows, and is kept from text to text. */
struct units {
    uint64_t *h;
    uint32_t *at, *end;                  /* bytes of the text */
    size_t n, cap;
    struct buf clean, words;             /* UNITS_TOKENS: the clean text, where its words lie, its ids */
    struct tok_ids ids;
    size_t n_blank;                      /* tokens that are white space alone */
    struct words *dialect;               /* UNITS_SIMPLE: its words */
    struct spans spans;
};
void units_init(struct units *u);
void units_release(struct units *u);
/* Fills u with the units of a text of fewer than 4 GiB.  tok: of UNITS_TOKENS. */
int units_of(struct units *u, enum units_kind kind, const struct tok *tok, const char *text, size_t n, struct err *err);

/* The hash of n units from h on, and that of the n units one further: units leave in front and come behind. */
struct rolling { uint64_t sum, out; };
void rolling_begin(struct rolling *r, const uint64_t *h, int n);
static inline uint64_t rolling_hash(const struct rolling *r)
{
    const uint64_t x = (r->sum ^ r->sum >> 32) * 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}
#define ROLLING_BASE 0xd6e8feb86659fd93u
static inline void rolling_move(struct rolling *r, uint64_t leaves, uint64_t comes) { r->sum = (r->sum - leaves * r->out) * ROLLING_BASE + comes; }

#endif
