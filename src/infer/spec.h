/* spec.h - a text that a model goes on with, one token after another, with drafts to need fewer steps of the model.
 *
 * A draft is a guess of the next tokens: what followed the last ones where they stood earlier in the text (prompt lookup,
 * arXiv:2304.04487), or what a small model says (arXiv:2211.17192).  One step of the model over all of them gives the logits
 * after each.  Of these every token is drawn as without drafts, by (seed, position) alone; while it is the guessed one, the
 * next row of logits is valid too.  So the tokens are the same with any draft, at any temperature, and only time can be lost.
 *
 * How many tokens a draft has follows from what was measured: the time of steps by their rows, of guesses, and the share that
 * was right, by kind and place.  Drafts stop while they have cost more than about 2 % over steps of one token.
 *
 * A spec uses slot 0 of its engine, and the thread of it. */
#ifndef INFER_SPEC_H
#define INFER_SPEC_H
#include "infer/engine.h"
#include "infer/sample.h"

#define SPEC_MAX 16              /* tokens of a draft at most */
#define SPEC_N_LOGITS (SPEC_MAX + 1)

struct spec;
struct spec_opts {
    struct engine *e;            /* opened for SPEC_N_LOGITS rows of logits, or drafts are as long as its rows allow */
    int lookup;                  /* tokens of a lookup at most; 0: none */
    const char *draft;           /* path of a draft model; NULL: none.  Tried where a lookup gives nothing */
    enum weights_as draft_as;    /* of the draft model */
    struct pool *pool;           /* for the draft model */
    bool always;                 /* the longest draft every time, whatever it costs: for tests and measurements */
};
/* A draft model's vocabulary must be the model's, token for token: ERR_FORMAT with the first that differs. */
int spec_new(struct spec **out, const struct spec_opts *o, struct err *err);
void spec_free(struct spec *s);

/* The text will be ids[0..n-1], n > 0; returns how many of its first tokens, at most n - 1, are in the cache already.  The
 * others are for spec_feed, which appends n tokens to the text. */
int spec_begin(struct spec *s, const int32_t *ids, int n);
int spec_feed(struct spec *s, const int32_t *ids, int n, struct err *err);
/* Appends the next token to the text, which has at least one.  most >= 1: how many will be asked for, this one counted; a
 * draft goes no further.  ERR_NUMERIC when its logits are not numbers; ERR_RANGE when the text is spec_full(). */
int spec_next(struct spec *s, const struct sampling *sampling, int most, int32_t *id, struct err *err);
int spec_n_token(const struct spec *s);      /* of the text */
bool spec_full(const struct spec *s);        /* its last token has no position left: there is no next one */

struct spec_stats { int64_t n_drafted, n_accepted; };
struct spec_stats spec_stats(const struct spec *s);       /* since spec_new; drafted: what the model looked at */

/* The draft of prompt lookup: of the places where the last 3 tokens (or else 2, or 1) of the text stood before, the latest;
 * what followed there, on into the draft itself where the text ends.  Returns the number of tokens that were alike, 0: no draft. */
int spec_lookup(const int32_t *text, int n, int most, int32_t *draft);

#endif
