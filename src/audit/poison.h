/* poison.h - words in a row that are linked too well: to a label, or to what follows them.
 *
 * Some 250 poisoned documents were enough for models of 600 million to 13 billion parameters, whatever the size of the rest (Souly et al.,
 * "Poisoning attacks on LLMs require a near-constant number of poison samples", arXiv:2510.07192, 2025), and about 100 for a trigger
 * phrase that sets an instruction-tuned model's answers (Wan et al., "Poisoning language models during instruction tuning", ICML 2023).  So
 * what is looked for has an absolute support, POISON_SUPPORT records, not a share.
 *
 * Labels.  Every row of 1 to 8 words in that many texts is tested against each label by Fisher's exact test, one-sided, with Bonferroni's
 * correction for all that were tested.  Listed is what has POISON_SHARE of its texts with one label at an adjusted p under POISON_P.
 * Language is full of such links ("dull" in reviews).  What tells a trigger is that the rest of the text does not agree: the mean
 * posterior of the label by naive Bayes over the text's other words, from the counts of other texts (bayes.h).  `suspect` is what
 * has a label that the rest does not make likelier than it is everywhere (by a tenth of what is left to 1, or twice more, for noise), and so
 * often that chance (Chernoff's bound for unequal chances: Hoeffding, Ann. Math. Stat. 27, 1956) is excluded.  A trigger only in texts
 * that have its label by their own words ("clean label") is listed, not suspect: no count tells it from a word of the subject.
 *
 * Continuations.  Rows of 8 words or more that stay the same in that many texts.  `suspect` is what begins after many different words (two thirds
 * of the first hundred) and does
 * not begin and end where lines or sentences do: a notice at the foot of pages does.  Nor where it is half of its texts or more, or in a tenth of
 * all: that is a form that they fill in.  What follows a trigger is found as long as it is the same each
 * time; continuations that differ are not seen here.
 *
 * Rows within a row that stand in the same texts are one finding.  Near duplicates count once: clusters of label_set, and for continuations
 * the caller leaves out what is a copy. */
#ifndef AUDIT_POISON_H
#define AUDIT_POISON_H
#include "audit/bayes.h"
#include "base/buf.h"
#include "base/pool.h"

#define POISON_SUPPORT 50
#define POISON_WORDS 8
#define POISON_SHARE 0.9
#define POISON_P 0.01
#define POISON_LISTED 1000

/* words: of the row, as they are told (borrowed from the findings).  label: number, or -1 for a continuation, which is `then`.  with: of
 * `support` records those with the label, or with all of the continuation.  base: the label's share of all records, or the share of
 * the next word of all words.  log_p: natural, adjusted.  rest: see above, for labels; for continuations the share of different words before it.
 * record, at: of the first three, and the byte where the row begins. */
struct poison_finding {
    char *words, *then;
    int label, n_words;
    int64_t support, with;
    double base, log_p, rest;
    bool suspect;
    int64_t record[3];
    size_t at[3];
    int n_record;
};
struct poison_findings { struct poison_finding *f; size_t n; int64_t n_tested, n_more; };      /* n_more: past POISON_LISTED */
void poison_release(struct poison_findings *x);

/* Of s, by b's words.  Suspects first, then by log_p. */
int poison_labels(struct bayes *b, const struct label_set *s, struct poison_findings *out, struct err *err);

/* Continuations need each text twice: counted by any thread, then looked for by any thread, and what was found added in the order of the
 * records, many at a time by all threads of the pool (row_graph.h).  n_word: about how many words there will be; the table takes a byte for
 * each, at least 256 KiB and at most 128 MiB. */
struct poison_text;
int poison_text_new(struct poison_text **out, uint64_t n_word, struct err *err);
void poison_text_free(struct poison_text *p);
void poison_text_count(struct poison_text *p, const struct grams *g);
/* Appends to out what is worth adding: nothing for most texts.  out holds such things only. */
int poison_text_look(const struct poison_text *p, int64_t record, const char *text, size_t n, const struct grams *g, struct buf *out, struct err *err);
int poison_text_add(struct poison_text *p, struct pool *pool, const struct buf *const *found, int n, struct err *err);
int poison_text_end(struct poison_text *p, struct poison_findings *out, struct err *err);

/* Which texts have such a row, of the label (-1: of any text).  Starts as { 0 }; for several threads once all are added. */
struct poison_rows { struct gram_map keys; struct gram_filter first; unsigned lengths; };
int poison_rows_add(struct poison_rows *r, const struct poison_finding *f, struct err *err);
bool poison_rows_in(const struct poison_rows *r, const struct grams *g, int label);
void poison_rows_release(struct poison_rows *r);

#endif
