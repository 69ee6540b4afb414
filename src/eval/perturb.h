/* perturb.h - texts as hurried people, other keyboards and other programs write them, in five strengths.
 *
 * A family (perturb.def) finds the places of a text that it can touch (words, gaps, marks) and changes a share of them: 2, 5, 10, 20
 * and 40 % for strengths 1 to 5, rounded, and at least one where there is one.  Which, and how, is a function of (seed, item, family,
 * place) alone: runs pair, and what a strength touches a greater one touches in the same way.  The families and the share are those
 * of HELM's, nlpaug's and TextFlint's typos as far as they have such a thing; the shares are ours.
 *
 * A letter is a letter of ASCII unless said; other characters are kept whole and never torn.  Any thread may call. */
#ifndef EVAL_PERTURB_H
#define EVAL_PERTURB_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

enum perturb_family {
#define PERTURB(name, word, find, change, what) PERTURB_##name,
#include "eval/perturb.def"
#undef PERTURB
    N_PERTURB_FAMILY
};
enum { PERTURB_STRENGTHS = 5 };
double perturb_share(int strength);                          /* of the places, 1 <= strength <= 5 */
const char *perturb_name(enum perturb_family f);
const char *perturb_what(enum perturb_family f);             /* what is done, a sentence without a stop */
int perturb_find(const char *name);                          /* the family of that name, or -1 */

/* How words are misspelt: of the list that is compiled in, or of a file, a line for each word: it, and its misspellings, apart by
 * white space (nlpaug's spelling_en.txt); '#' begins a comment.  Read-only after it was made. */
struct misspellings;
int misspellings_new(struct misspellings **out, const char *path, struct err *err);      /* path NULL: the list compiled in */
void misspellings_free(struct misspellings *m);
size_t misspellings_n(const struct misspellings *m);         /* words */

struct perturb { enum perturb_family family; int strength; uint64_t seed; const struct misspellings *misspellings; };   /* the last for MISSPELLING alone */
struct perturbed { size_t n_place, n_touched; };
/* Appends the text as changed.  free_bytes[i] says that byte i may change (NULL: all may): a place that has one which may not is none.
 * A text without a place is copied as it is, and counted so: n_place 0. */
int perturb_text(const struct perturb *p, int64_t item, const char *text, size_t n, const uint8_t *free_bytes, struct buf *out, struct perturbed *done,
                 struct err *err);
#endif
