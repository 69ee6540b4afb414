/* stops.h - finds the first of several texts in bytes that come one by one, and how many of the last bytes may be the beginning of one.
 *
 * Aho and Corasick's automaton (1975): one step a byte, whatever the number of texts; the state's depth is the length of the longest end
 * of what was read that some text begins with, which is exactly what must be held back.
 * Once made it is only read: any number of answers may share it. */
#ifndef INFER_STOPS_H
#define INFER_STOPS_H
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct stops;
#define STOPS_MAX 64             /* texts, none of them empty */
#define STOPS_BYTES 4096         /* of all */

struct stop_text { const char *text; size_t n; };
int stops_new(struct stops **out, const struct stop_text *text, int n, struct err *err);
void stops_free(struct stops *s);
/* The state after a byte; the first state is 0. */
int stops_next(const struct stops *s, int state, unsigned char byte);
/* The text that ends here, the longest if there are several, or -1. */
int stops_found(const struct stops *s, int state);
size_t stops_depth(const struct stops *s, int state);
const char *stops_text(const struct stops *s, int text, size_t *n);
#endif
