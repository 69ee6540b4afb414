/* mark.h - text from outside in Markdown and YAML, where it must not become markup. */
#ifndef CARD_MARK_H
#define CARD_MARK_H
#include "base/buf.h"

int md_text(struct buf *b, const char *s, struct err *err);            /* one line; NULL: a dash */
/* Sentences, and lines of a list that begin with "- ", as evidence.h gives them. */
int md_lines(struct buf *b, const char *s, struct err *err);
int md_cell(struct buf *b, const char *s, struct err *err);            /* "TEXT | " */
int yaml_text(struct buf *b, const char *s, struct err *err);          /* in double quotes */
int yaml_comment(struct buf *b, const char *s, struct err *err);       /* each line behind "# " */

#endif
