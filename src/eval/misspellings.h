/* misspellings.h - words and how they are misspelt (perturb.h has the making of such a list). */
#ifndef EVAL_MISSPELLINGS_H
#define EVAL_MISSPELLINGS_H
#include "eval/perturb.h"

/* The list of a file's text; name leads its errors. */
int misspellings_parse(struct misspellings **out, const char *text, size_t n, const char *name, struct err *err);
/* How many misspellings a word has, in any case of its letters; 0 for one that is not in the list.  *first (may be NULL) is the first,
 * ended by NUL, and the others lie behind it; the list's memory. */
size_t misspellings_of(const struct misspellings *m, const char *word, size_t n, const char **first);
#endif
