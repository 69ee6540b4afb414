/* labelled.h - texts with a class each, from JSON lines {"text": "...", "label": ...} or CSV with such columns. */
#ifndef DATA_LABELLED_H
#define DATA_LABELLED_H
#include "base/buf.h"
#include "data/text.h"
#include "model/labels.h"

/* Text i is bytes (i ? end[i-1] : 0) .. end[i]-1 of text. */
struct labelled { struct buf text; size_t *end; int32_t *label; int64_t n, cap; };

/* The records of all files.  fields: "text=question, label=kind" where the members or columns have other names, or NULL.  A file is
 * CSV when its name ends in .csv or .tsv, else JSON lines; a label is a string or a whole number, which is its name.  names: with
 * `fixed` the classes that there are; else they are added, numbers in their order and words in that of their bytes.  A record without
 * text or label, an empty text, one that is not UTF-8 and a label that is no class are errors with file and line. */
int labelled_read(struct labelled *l, const struct text_list *files, const char *fields, struct labels *names, bool fixed, struct err *err);
void labelled_release(struct labelled *l);
static inline const char *labelled_text(const struct labelled *l, int64_t i, size_t *n)
{
    const size_t from = i ? l->end[i - 1] : 0;
    *n = l->end[i] - from;
    return l->text.data + from;
}
#endif
