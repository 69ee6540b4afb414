/* html.h - pages that stand alone: one file, no script, nothing fetched, readable in light and dark and on a phone.
 *
 * What comes from outside (names, texts, messages) goes through html_text(), after which it cannot be markup: & < > " ' are
 * written as entities, and bytes that are no UTF-8, or control characters, as U+FFFD.  All else is written by buf_add_str(). */
#ifndef BASE_HTML_H
#define BASE_HTML_H
#include <stdint.h>
#include "base/buf.h"

int html_text(struct buf *b, const char *s, size_t n, struct err *err);
int html_str(struct buf *b, const char *s, struct err *err);              /* the same of a string; NULL: a dash */
/* The beginning of a page up to <main>, and its end. */
int html_begin(struct buf *b, const char *title, struct err *err);
int html_end(struct buf *b, struct err *err);

/* A picture of lines over x, as SVG.  low and high: the range that a point stands for, drawn as a band; both may be y. */
struct html_point { double x, y, low, high; };
struct html_line { const char *name; const struct html_point *at; int n; };
/* The y axis is logarithmic where all values are above 0 and the largest is more than 30 times the smallest.  Lines without points
 * are left out; of more than 8 lines only the first and the last are named.  Values are below 1e300. */
int html_chart(struct buf *b, const char *title, const struct html_line *line, int n_line, struct err *err);
/* The same over an x of several orders of magnitude: that axis is logarithmic too where all x are above 0. */
int html_chart_of_orders(struct buf *b, const char *title, const struct html_line *line, int n_line, struct err *err);
/* A small picture of n bins as bars of one width, each with its range and count where one points at it.  n + 1 edges that ascend, below
 * 1e300; note: beside the title, or NULL. */
int html_histogram(struct buf *b, const char *title, const char *note, const double *edge, const double *count, int n, struct err *err);

#endif
