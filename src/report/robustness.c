/* Tasks in other forms (eval/robust.h): the score by strength of each family, the worst, and how many answers turned. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/html.h"
#include "base/mem.h"
#include "report/parts.h"

enum { LINES = 8, POINTS = 8, METRICS = 4 };

/* A family's score by strength, from the text as it is on. */
struct family { const char *name; struct html_point at[POINTS]; int n; };

static struct html_point point_of(double x, const json_t *m)
{
    const json_t *ci = json_object_get(m, "ci95");
    const double y = read_number(m, "value"), low = read_number_of(json_array_get(ci, 0)), high = read_number_of(json_array_get(ci, 1));
    return (struct html_point){ x, y, isfinite(low) ? low : y, isfinite(high) ? high : y };
}

static struct family *family_of(struct family *f, int *n, const char *name, const json_t *clean)
{
    for (int i = 0; i < *n; i++)
        if (!strcmp(f[i].name, name))
            return &f[i];
    if (*n == LINES)
        return NULL;
    f[*n] = (struct family){ .name = name };
    if (isfinite(read_number(clean, "value")))
        f[*n].at[f[*n].n++] = point_of(0, clean);
    return &f[(*n)++];
}

/* Of families that have strengths. */
static int families_of(const json_t *task, const char *metric, const json_t *clean, struct family f[LINES])
{
    size_t i;
    json_t *v;
    int n = 0;
    json_array_foreach(json_object_get(task, "variants"), i, v) {
        const json_t *m = json_object_get(json_object_get(v, "metrics"), metric);
        const int64_t strength = read_count(v, "strength");
        if (strength <= 0 || strength > 100 || !read_str(v, "family") || !isfinite(read_number(m, "value")))
            continue;
        struct family *to = family_of(f, &n, read_str(v, "family"), clean);
        if (to && to->n < POINTS)
            to->at[to->n++] = point_of((double)strength, m);
    }
    return n;
}

static int chart(const struct page *p, const json_t *task, const char *metric, const json_t *clean)
{
    struct family f[LINES];
    struct html_line line[LINES];
    char title[200];
    const int n = families_of(task, metric, clean, f);
    for (int i = 0; i < n; i++)
        line[i] = (struct html_line){ f[i].name, f[i].at, f[i].n };
    if (!n)
        return 0;
    snprintf(title, sizeof title, "%.100s by strength, 0: as it is; bands are 95 %% intervals", metric);
    return html_chart(p->b, title, line, n, p->err);
}

static int sentence(const struct page *p, const char *metric, const json_t *m)
{
    char a[32], b[32], c[32];
    const json_t *worst = json_object_get(m, "worst");
    TRY(page_add(p, "<p>"));
    TRY(page_text(p, metric));
    TRY(buf_printf(p->b, p->err, " as it is <b>%s</b>", figure_text(a, read_number(m, "clean.value"))));
    if (worst) {
        TRY(page_add(p, "; worst: <b class=\"bad\">"));
        TRY(page_text(p, read_str(worst, "family")));
        TRY(page_add(p, " "));
        TRY(page_text(p, read_str(worst, "form") ? read_str(worst, "form") : ""));
        TRY(buf_printf(p->b, p->err, "</b> %s", figure_text(b, read_number(worst, "value"))));
    }
    if (json_object_get(m, "worst_case"))
        TRY(buf_printf(p->b, p->err, "; each item in the form that it does worst in: %s", figure_text(c, read_number(m, "worst_case.value"))));
    return page_add(p, "</p>\n");
}

static int variant_row(const struct page *p, const json_t *v, const json_t *m, double clean, bool higher)
{
    static const char *const counts[] = { "broken", "mended" }, *const shares[] = { "flip_rate", "retention", "p_holm" };
    const json_t *ci = json_object_get(m, "change_ci95");
    const double value = read_number(m, "value");
    char a[32], b[32], c[32];
    TRY(page_add(p, "<tr><td class=\"name\">"));
    TRY(page_text(p, read_str(v, "family")));
    TRY(page_add(p, " "));
    TRY(page_text(p, read_str(v, "form") ? read_str(v, "form") : ""));
    TRY(page_add(p, "</td>"));
    TRY(page_heat_cell(p, value, higher ? clean : (double)NAN));
    TRY(buf_printf(p->b, p->err, "<td class=\"n\">%s (%s to %s)</td>", figure_text(a, read_number(m, "change")),
                   figure_text(b, read_number_of(json_array_get(ci, 0))),
                   figure_text(c, read_number_of(json_array_get(ci, 1)))));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        TRY(page_value_cell(p, json_object_get(m, counts[i])));
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        TRY(buf_printf(p->b, p->err, "<td class=\"n\">%s</td>", figure_text(a, read_number(m, shares[i]))));
    TRY(page_value_cell(p, json_object_get(v, "untouched")));
    TRY(page_value_cell(p, read_at(v, "items.failed")));
    return page_add(p, "</tr>\n");
}

static int variants(const struct page *p, const json_t *task, const char *metric, const json_t *m)
{
    const json_t *list = json_object_get(task, "variants");
    size_t i;
    json_t *v;
    TRY(page_table(p, "|#score|#change|#broken|#mended|#flip rate|#retention|#p, Holm|#untouched|#failed"));
    json_array_foreach(list, i, v)
        if (i < PAGE_ROWS)
            TRY(variant_row(p, v, json_object_get(json_object_get(v, "metrics"), metric), read_number(m, "clean.value"),
                            !json_is_false(json_object_get(m, "higher_is_better"))));
    TRY(page_table_end(p));
    return page_more(p, json_array_size(list), PAGE_ROWS);
}

static int absent(const struct page *p, const json_t *list)
{
    size_t i;
    json_t *o;
    json_array_foreach(list, i, o) {
        if (i >= PAGE_EXAMPLES)
            break;
        TRY(page_add(p, "<p class=\"soft\">"));
        TRY(page_text(p, read_str(o, "family")));
        TRY(page_add(p, " does not apply: "));
        TRY(page_value(p, json_object_get(o, "why")));
        TRY(page_add(p, "</p>\n"));
    }
    return 0;
}

static int one_task(const struct page *p, const json_t *task)
{
    const char *metric;
    json_t *m;
    int n = 0;
    TRY(page_subtitle(p, read_str(task, "task")));
    read_each(json_object_get(task, "metrics"), metric, m)
        if (n++ < METRICS)
            TRY(sentence(p, metric, m));
    TRY(page_add(p, "<div class=\"charts\">\n"));
    n = 0;
    read_each(json_object_get(task, "metrics"), metric, m)
        if (n++ < METRICS)
            TRY(chart(p, task, metric, json_object_get(m, "clean")));
    TRY(page_add(p, "</div>\n"));
    n = 0;
    read_each(json_object_get(task, "metrics"), metric, m) {
        if (n++ >= METRICS)
            break;
        TRY(page_add(p, n == 1 ? "<details open><summary>" : "<details><summary>"));
        TRY(page_text(p, metric));
        TRY(page_add(p, " of each form, and how many answers turned</summary>"));
        TRY(variants(p, task, metric, m));
        TRY(page_add(p, "</details>\n"));
    }
    return absent(p, json_object_get(task, "absent"));
}

int page_robustness(const struct page *p, const json_t *tasks)
{
    size_t i;
    json_t *task;
    json_array_foreach(tasks, i, task)
        if (i < PAGE_EXAMPLES && json_is_object(task))
            TRY(one_task(p, task));
    return page_more(p, json_array_size(tasks), PAGE_EXAMPLES);
}
