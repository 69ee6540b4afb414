/* bits.h - pieces of the page: text that is never markup, cells, tables of what is in a report, lists by their size. */
#ifndef CARD_BITS_H
#define CARD_BITS_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"

struct page { struct buf *b; struct err *err; };

/* Of a long list this many are shown; all are in report.json. */
#define PAGE_ROWS 200
#define PAGE_EXAMPLES 12
#define PAGE_FILES 50          /* of a source */

int page_add(const struct page *p, const char *markup);
int page_text(const struct page *p, const char *s);                    /* NULL: a dash */
int page_value(const struct page *p, const json_t *v);                 /* any value, as text of some length */
int page_title(const struct page *p, const char *id, const char *text);          /* of a part, to which page_link leads */
int page_link(const struct page *p, const char *id, const char *title);
int page_subtitle(const struct page *p, const char *s);
int page_paragraph(const struct page *p, const char *s);
int page_tile(const struct page *p, const char *name, const char *value, const char *beside);      /* beside: below the value, or NULL */
int page_cell(const struct page *p, const char *s);
int page_value_cell(const struct page *p, const json_t *v);
int page_name_cell(const struct page *p, const char *s);               /* of names, which need some width */
int page_count_cell(const struct page *p, int64_t n);
int page_share_cell(const struct page *p, double part, double whole);
int page_bar_cell(const struct page *p, double part, double whole);
int page_colour_cell(const struct page *p, double part, double whole, int colour);      /* colour: 0 to 7 of html.h's */
/* <div class="wide"><table> with a head: "name|#records|share": # is for numbers, which stand on the right. */
int page_table(const struct page *p, const char *head);
int page_table_end(const struct page *p);
int page_more(const struct page *p, size_t n, size_t shown);           /* "and 17 more in report.json" */
/* A table of objects of plain values: a column for each name that one of them has. */
int page_rows(const struct page *p, const json_t *rows, size_t most);
/* The same, folded under a line; nothing where there are none. */
int page_examples(const struct page *p, const json_t *rows, const char *summary);
/* What has a form that is not known here: objects as tables, down to some depth. */
int page_tree(const struct page *p, const json_t *v, int depth);

/* An object's members, or a list's items, the largest first; those that are equal as they stand. */
struct ranked { const char *key; const json_t *value; int64_t n; size_t at; };
/* by: the count within each (read.h), "" where the values are counts.  mem_free() it; NULL and *n = 0: nothing, or no memory (negative). */
int ranked_of(const json_t *o, const char *by, struct ranked **out, size_t *n, struct err *err);
/* A row of a table: name, count, its share of the whole, and a bar as long as it is of the most. */
int page_bar_row(const struct page *p, const char *name, int64_t n, double whole, double most, int colour);
/* Bars for the members of an object of counts, the largest first; what is beyond `most` is one row. */
int page_bars(const struct page *p, const json_t *counts, const char *head, double whole, size_t most);

#endif
