/* groups.h - who is spoken of: texts in which terms of a group stand, and what labels they have.
 *
 * The lists are groups.def's or those of a JSON file:
 *
 *   { "male": ["Michael", ...],                                          a group and its terms
 *     "religion/muslim": { "terms": ["Muslim", ...], "share": 0.25 },      with the share of its axis that is expected
 *     "age": { "young": [...], "old": [...] } }                          groups of an axis: age/young, age/old
 *
 * Lists of what is no text (first_pronoun in CheckList's basic.json) are passed over and counted.  Terms have 1 to 4 words (grams.h); one that
 * begins with a capital counts only where the text has one, so that "Mark" is a name.  Names and words have other meanings too: numbers are
 * of terms, not of people.  The lists may be shared by threads; each thread has its own counts. */
#ifndef AUDIT_GROUPS_H
#define AUDIT_GROUPS_H
#include <jansson.h>
#include <stdbool.h>
#include "audit/bayes.h"

#define GROUPS_MAX 1000
#define GROUP_TERMS_MAX 200000

struct group { char *name; double share; size_t first_term, n_term; };      /* share: 0: none is expected */
struct group_term { char *text; int group; bool capital; uint32_t next; };  /* next: the next of the same words, or GRAM_NONE */
struct groups { struct group *group; size_t n; struct group_term *term; size_t n_term, n_passed_over; unsigned lengths; struct gram_filter first; struct gram_map words; uint32_t *chain; };

/* path: NULL for groups.def.  ERR_FORMAT with file and key.  groups_release in any case. */
int groups_read(struct groups *g, const char *path, struct err *err);
int groups_of_tree(struct groups *g, json_t *tree, struct err *err);
void groups_release(struct groups *g);
size_t group_axis(const struct groups *g, size_t group);      /* length of the name's part before the stroke, 0: it has none */

/* Records and mentions by group, records by term.  in: which groups the last text was of, n_in of them.  Starts as { 0 }. */
struct group_counts { int64_t n_record, *record, *mention, *term; int64_t *last, *last_term; int *in; int n_in; };
int group_counts_init(struct group_counts *c, const struct groups *g, struct err *err);
void group_counts_release(struct group_counts *c);
void group_counts_text(struct group_counts *c, const struct groups *g, const char *text, const struct grams *w);
void group_counts_add(struct group_counts *to, const struct groups *g, const struct group_counts *from);

/* Of the texts of a group, `with` of n have the label; of the others `with_others` of n_others.  Wilson's interval of the group's rate, Fisher's exact test, two-sided,
 * adjusted by Holm over all rates of the set.  A set of more than GROUP_LABELS_MAX labels has none. */
#define GROUP_LABELS_MAX 20
struct group_rate { int group, label; int64_t n, with, n_others, with_others; double low, high, p; };
int group_rates(const struct groups *g, const struct label_set *s, struct group_rate **out, size_t *n, struct err *err);      /* mem_free() */

#endif
