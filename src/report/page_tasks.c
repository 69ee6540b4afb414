/* Results of tasks: groups and tasks with their intervals, what was cut or failed, and how they were asked. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/diagram.h"
#include "report/parts.h"

/* ---- scores ---- */

/* "hellaswag acc_norm, 10 examples before" */
static int name_of_score(const struct page *p, const json_t *f)
{
    const json_t *shots = json_object_get(f, "shots");
    TRY(page_add(p, "<td class=\"name\">"));
    TRY(page_text(p, read_str(f, "of")));
    TRY(page_add(p, " <span class=\"soft\">"));
    TRY(page_text(p, read_str(f, "name")));
    if (json_is_integer(shots) && json_integer_value(shots) > 0)
        TRY(buf_printf(p->b, p->err, ", %lld example%s before", (long long)json_integer_value(shots), json_integer_value(shots) == 1 ? "" : "s"));
    return page_add(p, "</span></td>");
}

static int score_row(const struct page *p, const json_t *f)
{
    static const struct diagram_axis share = { 0, 1 };
    const double v = read_number(f, "value");
    char text[32], low[32], high[32];
    TRY(page_add(p, "<tr>"));
    TRY(name_of_score(p, f));
    TRY(buf_printf(p->b, p->err, "<td class=\"n\">%s</td>", figure_text(text, v)));
    if (figure_has_interval(f))
        TRY(buf_printf(p->b, p->err, "<td class=\"n\">%s to %s</td>", figure_text(low, read_number(f, "low")), figure_text(high, read_number(f, "high"))));
    else
        TRY(page_add(p, "<td class=\"n\">–</td>"));
    TRY(page_add(p, "<td>"));
    if (v >= 0 && v <= 1)
        TRY(diagram_interval(p->b, &share, v, read_number(f, "low"), read_number(f, "high"), json_object_get(f, "group") ? 3 : 0, p->err));
    TRY(page_add(p, "</td>"));
    TRY(page_count_cell(p, read_count(f, "n")));
    TRY(page_cell(p, read_str(f, "interval_by")));
    return page_add(p, "</tr>\n");
}

/* Names that lie below a group that has a score. */
static json_t *below_groups(struct doc *d, const json_t *results)
{
    const json_t *groups = json_object_get(results, "groups");
    json_t *set = doc_object(d), *children, *name;
    const char *group;
    size_t i;
    read_each(json_object_get(results, "group_subtasks"), group, children)
        if (json_object_get(groups, group))
            json_array_foreach(children, i, name)
                if (json_string_value(name))
                    doc_put(d, set, json_string_value(name), json_true());
    return set;
}

static int score_table(const struct page *p, const json_t *figures, const json_t *below, bool inside)
{
    size_t i, n = 0;
    json_t *f;
    TRY(page_add(p, "<div class=\"wide\"><table><tr><th>task</th><th class=\"n\">value</th><th class=\"n\">95 % interval</th><th><div "
                 "class=\"axis\"><span>0</span><span>1</span></div></th>"
                    "<th class=\"n\">n</th><th>interval by</th></tr>\n"));
    json_array_foreach(figures, i, f) {
        const char *of = read_str(f, "of");
        if ((of && json_object_get(below, of)) != inside)
            continue;
        if (n++ < PAGE_ROWS)
            TRY(score_row(p, f));
    }
    TRY(page_table_end(p));
    return page_more(p, n, PAGE_ROWS);
}

static int scores(const struct page *p, const json_t *results, const json_t *figures)
{
    struct doc d = { 0 };
    json_t *below = below_groups(&d, results);
    int rc = d.failed ? ERR(p->err, NOMEM, "no memory for a page") : score_table(p, figures, below, false);
    if (!rc && json_object_size(below)) {
        rc = buf_printf(p->b, p->err, "<details><summary>The %zu below the groups</summary>", json_object_size(below));
        rc = rc ? rc : score_table(p, figures, below, true);
        rc = rc ? rc : page_add(p, "</details>\n");
    }
    json_decref(below);
    return rc;
}

/* ---- what the scores rest on ---- */

static const struct { const char *key, *title; } counts[] = {
    { "items", "items" }, { "scored", "scored" }, { "failed", "failed" }, { "not_answered", "not answered" }, { "contexts_cut", "contexts cut" },
    { "tokens_cut", "tokens cut" }, { "joined", "joined at a token" }, { "unended", "texts not ended" },
};
#define N_COUNT (sizeof counts / sizeof *counts)

static int count_row(const struct page *p, const char *task, const json_t *own)
{
    TRY(page_add(p, "<tr><td class=\"name\">"));
    TRY(page_text(p, task));
    TRY(page_add(p, "<br/><span class=\"soft\">"));
    TRY(page_text(p, read_str(own, "data")));
    TRY(page_add(p, " <code>"));
    TRY(page_text(p, read_str(own, "data_sha256")));
    TRY(page_add(p, "</code></span></td>"));
    for (size_t i = 0; i < N_COUNT; i++)
        TRY(page_value_cell(p, json_object_get(own, counts[i].key)));
    return page_add(p, "</tr>\n");
}

static int count_table(const struct page *p, const json_t *tasks)
{
    const char *task;
    json_t *own;
    size_t n = 0;
    TRY(page_add(p, "<details><summary>Items: scored, failed, cut; their files</summary><div class=\"wide\"><table><tr><th>task, data, SHA-256</th>"));
    for (size_t i = 0; i < N_COUNT; i++)
        TRY(buf_printf(p->b, p->err, "<th class=\"n\">%s</th>", counts[i].title));
    TRY(page_add(p, "</tr>\n"));
    read_each(tasks, task, own)
        if (n++ < PAGE_ROWS)
            TRY(count_row(p, task, own));
    TRY(page_table_end(p));
    TRY(page_more(p, n, PAGE_ROWS));
    return page_add(p, "</details>\n");
}

static int64_t sum_of(const json_t *tasks, const char *key)
{
    const char *task;
    json_t *own;
    int64_t n = 0;
    read_each(tasks, task, own) {
        const int64_t v = read_count(own, key);
        n += v > 0 && v < INT64_MAX / 4 && n < INT64_MAX / 4 ? v : 0;
    }
    return n;
}

/* What makes scores less than they seem, in a line that is not folded. */
static int warnings(const struct page *p, const json_t *own)
{
    const json_t *tasks = json_object_get(own, "tasks");
    static const struct { const char *key, *words; } bad[] = {
        { "failed", "items failed and are in no score" }, { "not_answered", "items were not answered" },
            { "contexts_cut", "contexts were too long and were cut at their beginning" },
    };
    char n[32];
    if (json_is_false(json_object_get(own, "complete")))
        TRY(page_add(p, "<div class=\"note bad\"><b class=\"bad\">Incomplete.</b> The run was stopped; the scores are of what was answered.</div>\n"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (sum_of(tasks, bad[i].key))
            TRY(buf_printf(p->b, p->err, "<p class=\"bad\">%s %s.</p>\n", read_thousands(n, sum_of(tasks, bad[i].key)), bad[i].words));
    return 0;
}

static int errors(const struct page *p, const json_t *tasks)
{
    const char *task;
    json_t *own;
    size_t n = 0;
    read_each(tasks, task, own)
        if (json_array_size(json_object_get(own, "errors")) && n++ < PAGE_EXAMPLES) {
            TRY(page_add(p, "<details><summary>Errors of "));
            TRY(page_text(p, task));
            TRY(page_add(p, "</summary>"));
            TRY(page_rows(p, json_object_get(own, "errors"), PAGE_EXAMPLES));
            TRY(page_add(p, "</details>\n"));
        }
    return 0;
}

static int wrong(const struct page *p, const json_t *list)
{
    if (!json_array_size(list))
        return 0;
    TRY(buf_printf(p->b, p->err, "<details><summary>Answered wrong (%zu)</summary>", json_array_size(list)));
    TRY(page_texts(p, list));
    return page_add(p, "</details>\n");
}

static int folded(const struct page *p, const char *title, const json_t *o)
{
    if (!json_object_size(o))
        return 0;
    TRY(buf_printf(p->b, p->err, "<details><summary>%s</summary>", title));
    TRY(page_tree(p, o, 2));
    return page_add(p, "</details>\n");
}

int page_tasks(const struct page *p, const json_t *report, size_t i_file)
{
    const json_t *results = read_at(json_array_get(json_object_get(report, "files"), i_file), "evidence.results"), *own = json_object_get(results, "lathe");
    json_t *figures = figures_of_file(report, i_file);
    if (!figures)
        return ERR(p->err, NOMEM, "no memory for a page");
    int rc = warnings(p, own);
    if (!rc && json_array_size(figures))
        rc = scores(p, results, figures);
    if (!rc && json_object_size(json_object_get(own, "tasks")))
        rc = count_table(p, json_object_get(own, "tasks"));
    if (!rc)
        rc = errors(p, json_object_get(own, "tasks"));
    if (!rc)
        rc = wrong(p, json_object_get(json_array_get(json_object_get(report, "files"), i_file), "examples"));
    if (!rc)
        rc = folded(p, "Conventions", json_object_get(own, "conventions"));
    if (!rc)
        rc = folded(p, "How it was run", json_object_get(results, "config"));
    if (!rc)
        rc = folded(p, "What it took", json_object_get(own, "run"));
    json_decref(figures);
    return rc;
}
