/* html_visible.h - what a reader sees of an HTML page, as text: by libxml2, which mends what browsers mend.
 *
 * Left out: comments, and all within script, style, template, noscript, head (but the title, which comes first), svg, math, iframe, object, select,
 * textarea, button and what has the attribute hidden.  Blocks stand on lines of their own, paragraphs, headings and tables with a blank line
 * before and after; cells are divided by a tab, items of lists begin with "- ".  White space is one space, but in pre and in no-break spaces. */
#ifndef AUDIT_HTML_VISIBLE_H
#define AUDIT_HTML_VISIBLE_H
#include "base/buf.h"
#include "base/err.h"

/* html is UTF-8, whatever it says of itself.  Appends to out.  Any thread. */
int html_visible(const char *html, size_t n, struct buf *out, struct err *err);

#endif
