/* signals.h - counts of a text (signals.def), from which all rules of rules.def are computed: a rule's limit may be changed without
 * reading the text again.
 *
 * Counts are those of datatrove 0.10.1, Dolma's gopher tagger and NeMo Curator's heuristic filters, as tests/golden/signals.jsonl has them
 * from the originals.  What those leave open is settled here: of several most common n-grams NeMo takes any (a set's order), here it is the
 * first; a count beyond 2^32 - 1 is that. */
#ifndef AUDIT_SIGNALS_H
#define AUDIT_SIGNALS_H
#include "audit/words.h"

struct signals {
#define SIGNAL(group, name, doc) uint32_t name;
#include "audit/signals.def"
#undef SIGNAL
};
enum { N_SIGNAL = sizeof(struct signals) / sizeof(uint32_t) };

enum signal_group { SIGNALS_BASE = 1, SIGNALS_SPACED = 2, SIGNALS_DOLMA = 4, SIGNALS_NEMO = 8 };

struct signal_info { enum signal_group group; const char *name, *doc; };
const struct signal_info *signal_info(int i);               /* of N_SIGNAL, in the order of struct signals */
int signal_find(const char *name);                          /* -1: there is none */

struct signals_maker;                                        /* what one thread needs; grows to the longest text */
/* groups: SIGNALS_BASE, with SIGNALS_DOLMA and SIGNALS_NEMO where wanted. */
int signals_new(struct signals_maker **out, int groups, struct err *err);
void signals_free(struct signals_maker *m);
/* words: WORDS_ENGLISH of the text, n < 2^32 bytes of UTF-8.  Signals of groups that were not asked for are 0. */
int signals_of(struct signals_maker *m, const char *text, size_t n, const struct spans *words, struct signals *out, struct err *err);

/* Signals of these groups only, in their order; room for N_SIGNAL.  Their number. */
size_t signals_pack(int groups, const struct signals *s, uint32_t *out);

#endif
