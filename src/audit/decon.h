/* decon.h - allenai/decon's method (at e1bcb80, doc/simple-details.md): is an item's question, with its answer and passage near by, in a text?
 *
 * Every `sample`-th n-gram of the text is looked up among those of the questions.  From one that is there one walks left and right for
 * each question that has it, until `misses` n-grams, one after the other, brought it nothing new.  Of the question counts
 *     O_q = sum of idf of its distinct n-grams that were met / sum of idf of all of them,  idf = ln(items / items that have it)
 * and likewise O_a for the n-grams of an answer of more than short_answer units in the window behind the question (a short one: 1 where
 * it stands there), O_p for those of the passage in the window before it.  The score is q O_q + a O_a + p O_p by
 *     .7 .2 .1, without passage .75 .25, without answer .85 .15, with neither 1
 * of which q gives 1 - C of itself to the others, C = .5 + .5 n/20 for a question of n < 20 distinct n-grams, and with both there
 * a gives 1 - (.5 + .5 n/4) of itself to p for an answer of n < 4 distinct units.  A score below 1 is multiplied by limit / required, where
 * required is 1 for an item of up to exact_to units in all, `limit` from relaxed_from on, and on a line between.
 * Sums are floats in the order of the grams, as decon's.  With one item alone every idf would be 0: it is 1 then. */
#ifndef AUDIT_DECON_H
#define AUDIT_DECON_H
#include "audit/ngrams.h"
#include "audit/refset.h"

struct decon_opts {
    int ngram, sample, misses;                   /* 5, 10, 11 */
    double limit;                                /* 0.8 */
    int exact_to, relaxed_from;                  /* 20, 50 */
    int short_answer, short_window;              /* 3, 50 */
    int answer_ngram, answer_window;             /* 3, 100; the window is at least twice the answer */
    int passage_ngram, passage_window, passage_misses;       /* 4, 100, 2 */
    int min_units, min_words;                    /* 20, 4 distinct: shorter items are left out */
};
/* decon's figures for tokens.  For words those that are lengths of an item are three quarters: min_units 15, exact_to 15, relaxed_from 38. */
void decon_defaults(struct decon_opts *o, bool words);

struct decon;
int decon_new(struct decon **out, const struct refs *refs, const struct tok *tok, const struct decon_opts *o, struct err *err);
void decon_free(struct decon *d);
enum units_kind decon_units(const struct decon *d);
const struct texts *decon_part(const struct decon *d, enum ref_part part);
bool decon_has(const struct decon *d, int64_t item);      /* was long enough */

struct decon_hit { uint32_t item; float score, question, answer, passage; size_t from, to; };      /* units from .. to - 1 of the text */
struct decon_state;
int decon_state_new(struct decon_state **out, const struct decon *d, struct err *err);
void decon_state_free(struct decon_state *s);
/* Items that the text holds, ascending, each with its highest score; borrowed until the next call. */
int decon_find(const struct decon *d, struct decon_state *s, const struct units *u, const struct decon_hit **out, size_t *n, struct err *err);

#endif
