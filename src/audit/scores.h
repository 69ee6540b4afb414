/* scores.h - a model's scores on the items of evaluation sets, apart for those that its data held (dirty) and those that they did not.
 *
 * Items are those of an audit's contamination.jsonl (contam.h); scores are JSONL, a line an item:
 *     {"set": "gsm8k", "line": 17, "score": 1}
 * set may be left out where there is one set alone; "file", as contamination.jsonl names it, is needed where a set has several files with items at that line.  Intervals are of 95 %, by percentiles of 1000 bootstrap samples, clean and dirty
 * items drawn apart, as a function of a seed. */
#ifndef AUDIT_SCORES_H
#define AUDIT_SCORES_H
#include "audit/contam.h"

struct score_mean { int64_t n; double mean, low, high; };        /* n 0: none, and no mean */
struct score_split { struct score_mean clean, dirty, gain; };    /* gain: dirty less clean; n: of both, 0 where one of them is empty */
/* dirty[i]: 0, 1. */
int scores_split(const double *score, const uint8_t *dirty, size_t n, uint64_t seed, struct score_split *out, struct err *err);

/* Of the items that have a score: method m's bit of dirty[i].  methods: those that the audit was by. */
struct scores { double *score; uint8_t *dirty; size_t n, n_without; unsigned methods; };
/* set NULL: all that have scores.  scores_release in any case. */
int scores_read(struct scores *s, const char *items, const char *scores, const char *set, struct err *err);
void scores_release(struct scores *s);

#endif
