/* contam.h - are items of evaluation sets in training data?  The sets are indexed, the data stream against them.
 *
 *   gpt3       n-grams of 13 words (units.h: janitor's).  A record is hit by an item that shares one with it; an item is dirty when
 *              the data hold one.  GPT-3 (arXiv:2005.14165, C), lm-evaluation-harness' janitor.
 *   palm       n-grams of 8 of the same words.  An item is dirty when the data hold 70 % of its distinct ones, a record is hit by an
 *              item of which it holds as many.  PaLM (arXiv:2204.02311, 8).
 *   llama2     runs of more than 10 of the same words that stand in both, the first 10 of them equal, of the others up to 4 different,
 *              the last one not.  A word of an item in such a run that is equal is contaminated; an item is dirty when 80 % of its words
 *              are, a record is hit by an item of which it contaminates as many.  Llama 2 (arXiv:2307.09288, A.6), whose units are
 *              tokens; its other grades are read off the share: clean below 20 %, not clean from 20 %, not dirty below 80 %.
 *   datatrove  n-grams of 12 words of the simplified text (units.h), of an item those that have a word of its answer; of one without
 *              answer all.  Records and items as with gpt3.  datatrove 0.10.1's decontamination, with its default configuration.
 *   decon      n-grams of 5 units (words, or with a tokenizer tokens: then as allenai/decon has them), weighted by how rare they are in
 *              the sets, of the question, and then answer and passage near by: decon.h.  A record is hit by an item whose score is at
 *              the limit or above; an item is dirty when a record was.
 * The text of an item is its passage, question and answer, one behind the other, but for decon, which has them apart.  Items that
 * are too short for a method can never be hit by it, and are counted.
 *
 * Hashes are 64 bits: of 10^7 n-grams against 10^9 words one is equal by chance in 2000 such runs.  What comes out depends on sets and
 * texts alone. */
#ifndef AUDIT_CONTAM_H
#define AUDIT_CONTAM_H
#include <stdbool.h>
#include <stdint.h>
#include "audit/decon.h"
#include "audit/refset.h"
#include "base/hash.h"
#include "model/tok.h"

#define CONTAM_METHODS(X) X(GPT3, "gpt3") X(PALM, "palm") X(LLAMA2, "llama2") X(DATATROVE, "datatrove") X(DECON, "decon")
enum contam_method {
#define X(name, word) CONTAM_##name,
    CONTAM_METHODS(X)
#undef X
    N_CONTAM_METHOD
};
const char *contam_method_name(enum contam_method m);
enum contam_method contam_method_find(const char *word);      /* N_CONTAM_METHOD when there is none */

struct contam_opts {
    unsigned methods;                    /* bits of enum contam_method */
    const struct tok *tok;               /* of decon; NULL: words.  Must outlive the index */
    double palm_share, llama2_share;
    struct decon_opts decon;
};
void contam_defaults(struct contam_opts *o, const struct tok *tok);      /* all methods but datatrove, which costs most, with the figures above */

/* The index.  refs must outlive it.  Never changes: any thread may use it. */
struct contam;
int contam_new(struct contam **out, const struct refs *refs, const struct contam_opts *o, struct err *err);
void contam_free(struct contam *c);
const struct refs *contam_refs(const struct contam *c);
const struct contam_opts *contam_options(const struct contam *c);
/* SHA-256 of all that what is found depends on: the items, the methods and their figures, the tokenizer's tokens of the items. */
int contam_digest(const struct contam *c, char hex[SHA256_HEX], struct err *err);

/* An item that a record holds, by one method.  score: the share of its n-grams or words (gpt3, palm, llama2, datatrove), decon's score.
 * at, n: the bytes of the record's text from the first that is equal to the last. */
struct contam_hit { uint32_t item; uint32_t method; float score; uint32_t at, n; };
/* n-grams (gpt3, palm, datatrove: by their numbers) or words of all items (llama2: by their places) that a record holds, hit or not: what an
 * item's share over all records is made from.  Of decon, where a record holds more items than come as hits: n items from `first` on, all of
 * this score. */
struct contam_mark { uint32_t method, first, n; float score; };

#define CONTAM_HITS_MAX 64

/* One thread's. */
struct contam_state;
int contam_state_new(struct contam_state **out, const struct contam *c, struct err *err);
void contam_state_free(struct contam_state *s);
/* Of a method the CONTAM_HITS_MAX items of the highest score, which come in the order of the items; methods in their order.  Borrowed
 * until the next call.  n_more: hits beyond that. */
struct contam_found { const struct contam_hit *hit; size_t n_hit, n_more; const struct contam_mark *mark; size_t n_mark; };
int contam_record(const struct contam *c, struct contam_state *s, const char *text, size_t n, struct contam_found *out, struct err *err);

/* ---- over all records ---- */

struct contam_tally;
int contam_tally_new(struct contam_tally **out, const struct contam *c, struct err *err);
void contam_tally_free(struct contam_tally *t);
const struct contam *contam_tally_index(const struct contam_tally *t);
void contam_tally_add(struct contam_tally *t, const struct contam_found *f);      /* of one record; any order gives the same */
/* n: n-grams or words of the item, 0: too short for the method; share: of them in the data, decon: the highest score;
 * longest: words of the longest run of the item in the data (arXiv:2411.03923); of decon 0. */
struct contam_item { uint32_t n; double share; uint32_t longest; bool dirty; };
struct contam_item contam_tally_item(const struct contam_tally *t, int64_t item, enum contam_method m);
/* Of a set: items that are dirty, those too short for the method, and records that were hit by one of it. */
struct contam_set { int64_t n_item, n_dirty, n_short, n_record; };
struct contam_set contam_tally_set(const struct contam_tally *t, int set, enum contam_method m);
/* A line of JSON an item: set, file, line, and of each method n, share, longest, dirty. */
int contam_write_items(const struct contam_tally *t, const char *path, struct err *err);

#endif
