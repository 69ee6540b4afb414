/* text_lines.h - texts of a file, one a line: plain, or where the first line begins with '{' JSON objects with "text" and perhaps "label".
 *
 * Blank lines are passed over.  A line that is no such object, has no text or is not UTF-8 is counted, and the first of them told: it stops
 * nothing.  A label is a word or a whole number, which is its name. */
#ifndef EVAL_TEXT_LINES_H
#define EVAL_TEXT_LINES_H
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

struct text_item { size_t at, n; char *label; };         /* of text_lines.bytes; label NULL: none */
struct text_lines { struct buf bytes; struct text_item *item; int64_t n, cap, n_bad, n_label; struct err bad; };      /* n_label: items with one; bad: of the first bad line */

/* At most `limit` texts, the first ones (0: all).  ERR_FORMAT where there is none.  Leaves nothing to release where it fails. */
int text_lines_read(struct text_lines *s, const char *path, int64_t limit, struct err *err);
void text_lines_release(struct text_lines *s);
static inline const char *text_lines_get(const struct text_lines *s, int64_t i, size_t *n) { return *n = s->item[i].n, s->bytes.data + s->item[i].at; }
#endif
