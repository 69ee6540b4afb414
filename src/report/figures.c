/* Figures, which any kind of evidence has: tables by name, with the intervals drawn. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/diagram.h"
#include "base/html.h"
#include "report/parts.h"

/* Rows of a table that is not folded; figures that have a worst; items that make one. */
enum { UNFOLDED = 24, FEW = 3, ENOUGH = 30 };

/* ---- one table ---- */

static void widen(struct diagram_axis *a, double v)
{
    if (isfinite(v)) {
        a->from = v < a->from ? v : a->from;
        a->to = v > a->to ? v : a->to;
    }
}

/* Shares are drawn from 0 to 1, all else from the least to the largest. */
static struct diagram_axis axis_of(const json_t *list)
{
    struct diagram_axis a = { INFINITY, -INFINITY };
    size_t i;
    json_t *f;
    json_array_foreach(list, i, f)
        widen(&a, read_number(f, "value")), widen(&a, read_number(f, "low")), widen(&a, read_number(f, "high"));
    if (a.from >= 0 && a.to <= 1)
        return (struct diagram_axis){ 0, 1 };
    return a;
}

static int dot_cell(const struct page *p, const struct diagram_axis *axis, const json_t *f, int colour)
{
    const double v = read_number(f, "value");
    TRY(page_add(p, "<td>"));
    if (isfinite(v) && v >= axis->from && v <= axis->to)
        TRY(diagram_interval(p->b, axis, v, read_number(f, "low"), read_number(f, "high"), colour, p->err));
    return page_add(p, "</td>");
}

int page_number_cell(const struct page *p, double v)
{
    char text[32];
    return buf_printf(p->b, p->err, "<td class=\"n\">%s</td>", figure_text(text, v));
}

static int interval_cell(const struct page *p, const json_t *f)
{
    char low[32], high[32];
    if (!figure_has_interval(f))
        return page_add(p, "<td class=\"n\">–</td>");
    return buf_printf(p->b, p->err, "<td class=\"n\">%s to %s</td>", figure_text(low, read_number(f, "low")), figure_text(high, read_number(f, "high")));
}

static int value_cells(const struct page *p, const struct diagram_axis *axis, const json_t *f, int colour)
{
    TRY(page_number_cell(p, read_number(f, "value")));
    TRY(interval_cell(p, f));
    TRY(dot_cell(p, axis, f, colour));
    return page_count_cell(p, read_count(f, "n"));
}

static int axis_head(const struct page *p, const char *first, const struct diagram_axis *axis, const char *last)
{
    char from[32], to[32];
    TRY(page_add(p, "<div class=\"wide\"><table><tr>"));
    TRY(page_add(p, first));
    const bool whole = axis->from == 0 && axis->to == 1;
    TRY(page_add(p, "<th class=\"n\">value</th><th class=\"n\">95 % interval</th>"));
    TRY(buf_printf(p->b, p->err, "<th><div class=\"axis\"><span>%s</span><span>%s</span></div></th>", whole ? "0" : figure_text(from, axis->from), whole ?
                   "1" : figure_text(to, axis->to)));
    return buf_printf(p->b, p->err, "<th class=\"n\">n</th>%s</tr>\n", last);
}

static int group_table(const struct page *p, const json_t *list, const json_t *worst, bool same)
{
    const struct diagram_axis axis = axis_of(list);
    size_t i;
    json_t *f;
    TRY(axis_head(p, "<th></th>", &axis, ""));
    json_array_foreach(list, i, f) {
        if (i >= PAGE_ROWS)
            break;
        TRY(page_add(p, "<tr><td class=\"name\">"));
        TRY(page_text(p, read_str(f, "of") ? read_str(f, "of") : "all"));
        if (!same && read_str(f, "what")) {
            TRY(page_add(p, " <span class=\"soft\">"));
            TRY(page_text(p, read_str(f, "what")));
            TRY(page_add(p, "</span>"));
        }
        TRY(page_add(p, "</td>"));
        TRY(value_cells(p, &axis, f, f == worst ? 4 : 0));
        TRY(page_add(p, "</tr>\n"));
    }
    TRY(page_table_end(p));
    return page_more(p, json_array_size(list), PAGE_ROWS);
}

/* ---- all figures of one name ---- */

static const json_t *end_of(const json_t *list, bool best, int64_t least_n)
{
    const json_t *end = NULL;
    size_t i;
    json_t *f;
    json_array_foreach(list, i, f) {
        const char *better = read_str(f, "better");
        const double v = read_number(f, "value"), at = end ? read_number(end, "value") : (double)NAN;
        if (better && isfinite(v) && read_count(f, "n") >= least_n && (!end || ((!strcmp(better, "lower")) != best ? v > at : v < at)))
            end = f;
    }
    return end;
}

/* Of a handful of items anything may be the worst: those of ENOUGH count, where there are such. */
const json_t *figures_worst(const json_t *list)
{
    const json_t *worst = end_of(list, false, ENOUGH);
    return worst ? worst : end_of(list, false, 0);
}

const json_t *figures_best(const json_t *list)
{
    const json_t *best = end_of(list, true, ENOUGH);
    return best ? best : end_of(list, true, 0);
}

static bool say_the_same(const json_t *list)
{
    const char *what = read_str(json_array_get(list, 0), "what");
    size_t i;
    json_t *f;
    bool same = true;
    json_array_foreach(list, i, f)
        same = same && (read_str(f, "what") && what ? !strcmp(read_str(f, "what"), what) : read_str(f, "what") == what);
    return same;
}

static int sentence_of(const struct page *p, const json_t *first, bool same)
{
    const char *what = same ? read_str(first, "what") : NULL, *better = read_str(first, "better");
    if (!what && !better)
        return 0;
    TRY(page_add(p, "<p class=\"soft\">"));
    if (what)
        TRY(page_text(p, what));
    if (better)
        TRY(buf_printf(p->b, p->err, "%s%s is better", what ? "; " : "", !strcmp(better, "lower") ? "lower" : "higher"));
    return page_add(p, ".</p>\n");
}

static int worst_sentence(const struct page *p, const json_t *worst, bool some_are_few)
{
    char text[96];
    TRY(buf_printf(p->b, p->err, "<p>Worst%s: <b class=\"bad\">", some_are_few ? " of those with 30 items or more" : ""));
    TRY(page_text(p, read_str(worst, "of") ? read_str(worst, "of") : "all"));
    return buf_printf(p->b, p->err, "</b>, %s.</p>\n", figure_interval(text, worst));
}

/* Where one is worse than another. */
static const json_t *worst_of(const json_t *list)
{
    const json_t *worst = json_array_size(list) >= FEW ? figures_worst(list) : NULL;
    return worst && read_number(worst, "value") != read_number(figures_best(list), "value") ? worst : NULL;
}

static bool some_are_few(const json_t *list, const json_t *worst)
{
    size_t i;
    json_t *f;
    bool few = false;
    json_array_foreach(list, i, f)
        few = few || read_count(f, "n") < ENOUGH;
    return few && read_count(worst, "n") >= ENOUGH;
}

static int group(const struct page *p, const char *name, const json_t *list)
{
    const size_t n = json_array_size(list);
    const json_t *worst = worst_of(list);
    const bool same = say_the_same(list);
    TRY(page_subtitle(p, name));
    TRY(sentence_of(p, json_array_get(list, 0), same));
    if (worst)
        TRY(worst_sentence(p, worst, some_are_few(list, worst)));
    if (n > UNFOLDED)
        TRY(buf_printf(p->b, p->err, "<details><summary>all %zu</summary>", n));
    TRY(group_table(p, list, worst, same));
    return n > UNFOLDED ? page_add(p, "</details>\n") : 0;
}

static int single_row(const struct page *p, const struct diagram_axis *axis, const json_t *f)
{
    TRY(page_add(p, "<tr><td class=\"name\">"));
    TRY(page_text(p, read_str(f, "name")));
    if (read_str(f, "of")) {
        TRY(page_add(p, " <span class=\"soft\">"));
        TRY(page_text(p, read_str(f, "of")));
        TRY(page_add(p, "</span>"));
    }
    TRY(page_add(p, "</td>"));
    TRY(value_cells(p, axis, f, 0));
    TRY(page_add(p, "<td class=\"name soft\">"));
    TRY(read_str(f, "what") ? page_text(p, read_str(f, "what")) : 0);
    return page_add(p, "</td></tr>\n");
}

static int singles(const struct page *p, const json_t *list)
{
    const struct diagram_axis axis = { 0, 1 };
    size_t i;
    json_t *f;
    if (!json_array_size(list))
        return 0;
    TRY(axis_head(p, "<th></th>", &axis, "<th></th>"));
    json_array_foreach(list, i, f)
        if (i < PAGE_ROWS)
            TRY(single_row(p, &axis, f));
    TRY(page_table_end(p));
    return page_more(p, json_array_size(list), PAGE_ROWS);
}

json_t *figures_by_name(const json_t *figures)
{
    struct doc d = { 0 };
    json_t *by_name = doc_object(&d), *f;
    size_t i;
    json_array_foreach(figures, i, f) {
        const char *name = read_str(f, "name");
        json_t *list = json_object_get(by_name, name);
        doc_add(&d, list ? list : doc_put(&d, by_name, name, doc_list(&d)), json_incref(f));
    }
    if (!d.failed)
        return by_name;
    json_decref(by_name);
    return NULL;
}

int page_figures(const struct page *p, const json_t *figures)
{
    struct doc d = { 0 };
    json_t *by_name = figures_by_name(figures), *alone = doc_list(&d), *list;
    const char *name;
    json_object_foreach(by_name, name, list)
        if (json_array_size(list) == 1)
            doc_add(&d, alone, json_incref(json_array_get(list, 0)));
    int rc = d.failed || !by_name ? ERR(p->err, NOMEM, "no memory for a page") : singles(p, alone);
    json_object_foreach(by_name, name, list)
        if (!rc && json_array_size(list) > 1)
            rc = group(p, name, list);
    json_decref(by_name), json_decref(alone);
    return rc;
}

int page_figures_folded(const struct page *p, const json_t *figures)
{
    TRY(buf_printf(p->b, p->err, "<details><summary>All figures (%zu)</summary>", json_array_size(figures)));
    TRY(page_figures(p, figures));
    return page_add(p, "</details>\n");
}
