#include "card/bits.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/html.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/utf8.h"
#include "card/read.h"

int page_add(const struct page *p, const char *markup) { return buf_add_str(p->b, markup, p->err); }
int page_text(const struct page *p, const char *s) { return html_str(p->b, s, p->err); }

/* ---- values ---- */

static int number_text(const struct page *p, const json_t *v)
{
    char text[32];
    if (json_is_integer(v))
        return page_add(p, read_thousands(text, json_integer_value(v)));
    return buf_printf(p->b, p->err, "%.6g", json_real_value(v));
}

/* Texts and lists may be of any size: so many bytes are shown, up to a whole character. */
enum { VALUE_BYTES = 2000 };

static int bounded(const struct page *p, const char *s, size_t n)
{
    const size_t shown = utf8_begin(s, n, VALUE_BYTES);
    TRY(html_text(p->b, s, shown, p->err));
    return shown < n ? buf_printf(p->b, p->err, " <span class=\"soft\">… and %zu bytes more in report.json</span>", n - shown) : 0;
}

int page_value(const struct page *p, const json_t *v)
{
    if (json_is_string(v))
        return bounded(p, json_string_value(v), json_string_length(v));
    if (json_is_number(v))
        return number_text(p, v);
    if (!v || json_is_null(v) || (!json_is_boolean(v) && !json_object_size(v) && !json_array_size(v)))
        return page_add(p, "–");
    if (json_is_boolean(v))
        return page_add(p, json_is_true(v) ? "yes" : "no");
    char *text = tree_dumps(v, JSON_COMPACT | JSON_REAL_PRECISION(9));
    const int rc = text ? bounded(p, text, strlen(text)) : ERR(p->err, NOMEM, "no memory for a page");
    mem_free(text);
    return rc;
}

/* ---- cells ---- */

static int cell(const struct page *p, const char *class, const char *s)
{
    TRY(buf_printf(p->b, p->err, "<td%s>", class));
    TRY(page_text(p, s));
    return page_add(p, "</td>");
}

/* Dates, formats and numbers of a few letters are not cut in two. */
int page_cell(const struct page *p, const char *s) { return cell(p, !s || strlen(s) <= 12 ? " class=\"t\"" : " class=\"s\"", s); }
int page_name_cell(const struct page *p, const char *s) { return cell(p, " class=\"name\"", s); }

int page_count_cell(const struct page *p, int64_t n)
{
    char text[32];
    return cell(p, " class=\"n\"", read_thousands(text, n));
}

int page_share_cell(const struct page *p, double part, double whole)
{
    char text[32];
    return cell(p, " class=\"n\"", whole > 0 ? read_share(text, part, whole) : NULL);
}

int page_colour_cell(const struct page *p, double part, double whole, int colour)
{
    const double share = whole > 0 ? 100 * part / whole : 0;
    if (!(share > 0))
        return page_add(p, "<td><div class=\"bar\"></div></td>");
    return buf_printf(p->b, p->err, "<td><div class=\"bar\"><i style=\"width:%.2f%%;background:var(--c%d)\"></i></div></td>", share > 100 ? 100 : share, colour);
}

int page_bar_cell(const struct page *p, double part, double whole) { return page_colour_cell(p, part, whole, 0); }

int page_value_cell(const struct page *p, const json_t *v)
{
    TRY(page_add(p, json_is_number(v) ? "<td class=\"n\">" : "<td>"));
    TRY(page_value(p, v));
    return page_add(p, "</td>");
}

/* ---- tables ---- */

int page_table(const struct page *p, const char *head)
{
    TRY(page_add(p, "<div class=\"wide\"><table><tr>"));
    while (*head) {
        const bool number = *head == '#';
        const size_t n = strcspn(head += number, "|");
        TRY(page_add(p, number ? "<th class=\"n\">" : "<th>"));
        TRY(html_text(p->b, head, n, p->err));
        TRY(page_add(p, "</th>"));
        head += n + (head[n] == '|');
    }
    return page_add(p, "</tr>\n");
}

int page_table_end(const struct page *p) { return page_add(p, "</table></div>\n"); }

int page_more(const struct page *p, size_t n, size_t shown)
{
    char text[32];
    return n > shown ? buf_printf(p->b, p->err, "<p class=\"soft\">and %s more in report.json</p>\n", read_thousands(text, (int64_t)(n - shown))) : 0;
}

enum { COLUMNS = 10 };

/* Texts out of records stand as they are written there. */
static bool is_quoted(const char *column) { return !strcmp(column, "excerpt") || !strcmp(column, "masked") || !strcmp(column, "text") || !strcmp(column, "ngram"); }

static int columns_of(const json_t *rows, size_t most, const char *column[COLUMNS])
{
    int n = 0;
    const char *key;
    json_t *v;
    /* Texts out of records, which are long, are last. */
    for (int quoted = 0; quoted < 2; quoted++)
        for (size_t i = 0; i < json_array_size(rows) && i < most; i++)
            read_each(json_array_get(rows, i), key, v) {
                int j = 0;
                while (j < n && strcmp(column[j], key))
                    j++;
                if (j == n && n < COLUMNS && is_quoted(key) == quoted)
                    column[n++] = key;
            }
    return n;
}

/* Are all values of a column numbers? */
static bool is_numeric(const json_t *rows, size_t most, const char *column)
{
    for (size_t i = 0; i < json_array_size(rows) && i < most; i++) {
        const json_t *v = json_object_get(json_array_get(rows, i), column);
        if (v && !json_is_number(v) && !json_is_null(v))
            return false;
    }
    return true;
}

static int head_of_rows(const struct page *p, const json_t *rows, size_t most, const char *const *column, int n)
{
    TRY(page_add(p, "<div class=\"wide\"><table><tr>"));
    for (int j = 0; j < n; j++) {
        TRY(page_add(p, is_numeric(rows, most, column[j]) ? "<th class=\"n\">" : "<th>"));
        TRY(page_text(p, column[j]));
        TRY(page_add(p, "</th>"));
    }
    return page_add(p, "</tr>\n");
}

int page_rows(const struct page *p, const json_t *rows, size_t most)
{
    const char *column[COLUMNS];
    const int n = columns_of(rows, most, column);
    TRY(head_of_rows(p, rows, most, column, n));
    for (size_t i = 0; i < json_array_size(rows) && i < most; i++) {
        TRY(page_add(p, "<tr>"));
        for (int j = 0; j < n; j++) {
            const bool quoted = is_quoted(column[j]), long_name = !strcmp(column[j], "file") || !strcmp(column[j], "why");
            TRY(page_add(p, is_numeric(rows, most, column[j]) ? "<td class=\"n\">" : long_name ? "<td class=\"name\">" : quoted ? "<td class=\"name\"><code>" : "<td>"));
            TRY(page_value(p, json_object_get(json_array_get(rows, i), column[j])));
            TRY(page_add(p, quoted ? "</code></td>" : "</td>"));
        }
        TRY(page_add(p, "</tr>\n"));
    }
    TRY(page_table_end(p));
    return page_more(p, json_array_size(rows), most);
}

int page_examples(const struct page *p, const json_t *rows, const char *summary)
{
    if (!json_array_size(rows))
        return 0;
    TRY(page_add(p, "<details><summary>"));
    TRY(page_text(p, summary));
    TRY(page_add(p, "</summary>"));
    TRY(page_rows(p, rows, PAGE_EXAMPLES));
    return page_add(p, "</details>\n");
}

/* ---- what is not known here ---- */

static bool is_table(const json_t *v)
{
    bool all = json_array_size(v) > 0;
    size_t i;
    json_t *o;
    json_array_foreach(v, i, o)
        all = all && json_object_size(o) > 0;
    return all;
}

static int tree_members(const struct page *p, const json_t *o, int depth)
{
    const char *key;
    json_t *v;
    size_t n = 0;
    TRY(page_add(p, "<div class=\"wide\"><table>\n"));
    read_each(o, key, v) {
        if (++n > PAGE_ROWS)
            break;
        TRY(page_add(p, "<tr>"));
        TRY(cell(p, " class=\"name key\"", key));
        TRY(page_add(p, json_is_number(v) ? "<td class=\"n\">" : "<td>"));
        TRY(page_tree(p, v, depth - 1));
        TRY(page_add(p, "</td></tr>\n"));
    }
    TRY(page_table_end(p));
    return page_more(p, json_object_size(o), PAGE_ROWS);
}

int page_tree(const struct page *p, const json_t *v, int depth)
{
    if (depth > 0 && json_object_size(v))
        return tree_members(p, v, depth);
    if (depth > 0 && is_table(v))
        return page_rows(p, v, PAGE_ROWS);
    return page_value(p, v);
}

/* ---- paragraphs ---- */

int page_tile(const struct page *p, const char *name, const char *value, const char *beside)
{
    TRY(page_add(p, "<div class=\"tile\"><span class=\"soft\">"));
    TRY(page_text(p, name));
    TRY(page_add(p, "</span><b>"));
    TRY(page_text(p, value));
    TRY(page_add(p, "</b>"));
    if (beside) {
        TRY(page_add(p, "<span class=\"soft\">"));
        TRY(page_text(p, beside));
        TRY(page_add(p, "</span>"));
    }
    return page_add(p, "</div>");
}

int page_paragraph(const struct page *p, const char *s)
{
    TRY(page_add(p, "<p>"));
    TRY(page_text(p, s));
    return page_add(p, "</p>\n");
}

int page_subtitle(const struct page *p, const char *s)
{
    TRY(page_add(p, "<h3>"));
    TRY(page_text(p, s));
    return page_add(p, "</h3>\n");
}

int page_title(const struct page *p, const char *id, const char *text)
{
    TRY(page_add(p, "<h2 id=\""));
    TRY(page_text(p, id));
    TRY(page_add(p, "\">"));
    TRY(page_text(p, text));
    return page_add(p, "</h2>\n");
}

int page_link(const struct page *p, const char *id, const char *title)
{
    TRY(page_add(p, "<a href=\"#"));
    TRY(page_text(p, id));
    TRY(page_add(p, "\">"));
    TRY(page_text(p, title));
    return page_add(p, "</a>");
}

/* ---- lists by size ---- */

static int larger_first(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->n != y->n)
        return x->n < y->n ? 1 : -1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static int64_t count_by(const json_t *v, const char *by) { return *by ? read_count(v, by) : json_integer_value(v); }

int ranked_of(const json_t *o, const char *by, struct ranked **out, size_t *n, struct err *err)
{
    const char *key;
    json_t *v;
    size_t i;
    *n = 0;
    if (!(*out = mem_alloc_array(json_object_size(o) + json_array_size(o) + 1, sizeof **out)))
        return ERR(err, NOMEM, "no memory for a list of %zu", json_object_size(o) + json_array_size(o));
    read_each(o, key, v)
        (*out)[*n] = (struct ranked){ key, v, count_by(v, by), *n }, ++*n;
    json_array_foreach(o, i, v)
        (*out)[*n] = (struct ranked){ NULL, v, count_by(v, by), *n }, ++*n;
    qsort(*out, *n, sizeof **out, larger_first);
    return 0;
}

int page_bar_row(const struct page *p, const char *name, int64_t n, double whole, double most, int colour)
{
    TRY(page_add(p, "<tr>"));
    TRY(page_name_cell(p, name));
    TRY(page_count_cell(p, n));
    TRY(page_share_cell(p, (double)n, whole));
    TRY(page_colour_cell(p, (double)n, most, colour));
    return page_add(p, "</tr>\n");
}

static int bars(const struct page *p, const struct ranked *r, size_t n, double whole, size_t most)
{
    double rest = 0;
    for (size_t i = 0; i < n; i++)
        if (i < most || n == most + 1)
            TRY(page_bar_row(p, r[i].key, r[i].n, whole, (double)r[0].n, 0));
        else
            rest += (double)r[i].n;
    if (n <= most + 1)
        return 0;
    char name[48];
    snprintf(name, sizeof name, "%zu others", n - most);
    return page_bar_row(p, name, rest < 9e18 ? (int64_t)rest : INT64_MAX, whole, (double)r[0].n, 7);
}

int page_bars(const struct page *p, const json_t *counts, const char *head, double whole, size_t most)
{
    struct ranked *r;
    size_t n;
    TRY(ranked_of(counts, "", &r, &n, p->err));
    int rc = page_table(p, head);
    if (!rc)
        rc = bars(p, r, n, whole, most);
    mem_free(r);
    return rc ? rc : page_table_end(p);
}
