/* What any kind of evidence has: figures, with their intervals drawn, and whatever else it says of itself. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/diagram.h"
#include "base/html.h"
#include "report/parts.h"

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

static int number_cell(const struct page *p, double v)
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
    TRY(number_cell(p, read_number(f, "value")));
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

static int group_table(const struct page *p, const json_t *list, const json_t *worst)
{
    const struct diagram_axis axis = axis_of(list);
    size_t i;
    json_t *f;
    TRY(axis_head(p, "<th></th>", &axis, ""));
    json_array_foreach(list, i, f) {
        if (i >= PAGE_ROWS)
            break;
        TRY(page_add(p, "<tr>"));
        TRY(page_name_cell(p, read_str(f, "of") ? read_str(f, "of") : "all"));
        TRY(value_cells(p, &axis, f, f == worst ? 4 : 0));
        TRY(page_add(p, "</tr>\n"));
    }
    TRY(page_table_end(p));
    return page_more(p, json_array_size(list), PAGE_ROWS);
}

/* ---- all figures of one name ---- */

const json_t *figures_worst(const json_t *list)
{
    const json_t *worst = NULL;
    size_t i;
    json_t *f;
    json_array_foreach(list, i, f) {
        const char *better = read_str(f, "better");
        const double v = read_number(f, "value"), least = worst ? read_number(worst, "value") : NAN;
        if (better && isfinite(v) && (!worst || (!strcmp(better, "lower") ? v > least : v < least)))
            worst = f;
    }
    return worst;
}

static int sentence_of(const struct page *p, const json_t *first)
{
    const char *what = read_str(first, "what"), *better = read_str(first, "better");
    if (!what && !better)
        return 0;
    TRY(page_add(p, "<p class=\"soft\">"));
    if (what)
        TRY(page_text(p, what));
    if (better)
        TRY(buf_printf(p->b, p->err, "%s%s is better", what ? "; " : "", !strcmp(better, "lower") ? "lower" : "higher"));
    return page_add(p, ".</p>\n");
}

static int worst_sentence(const struct page *p, const json_t *worst)
{
    char text[96];
    TRY(page_add(p, "<p>Worst: <b class=\"bad\">"));
    TRY(page_text(p, read_str(worst, "of") ? read_str(worst, "of") : "all"));
    return buf_printf(p->b, p->err, "</b>, %s.</p>\n", figure_interval(text, worst));
}

enum { UNFOLDED = 24, FEW = 3 };

static int group(const struct page *p, const char *name, const json_t *list)
{
    const size_t n = json_array_size(list);
    const json_t *worst = n >= FEW ? figures_worst(list) : NULL;
    TRY(page_subtitle(p, name));
    TRY(sentence_of(p, json_array_get(list, 0)));
    if (worst)
        TRY(worst_sentence(p, worst));
    if (n > UNFOLDED)
        TRY(buf_printf(p->b, p->err, "<details><summary>all %zu</summary>", n));
    TRY(group_table(p, list, worst));
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

/* ---- examples ---- */

enum { EXAMPLES = 20, LONG = 40 };

static int text_block(const struct page *p, const char *key, const json_t *v)
{
    TRY(page_add(p, "<div><span class=\"soft\">"));
    TRY(page_text(p, key));
    TRY(page_add(p, "</span><br/><code>"));
    TRY(page_value(p, v));
    return page_add(p, "</code></div>");
}

/* What is asked and answered stands in a block of its own, however short, so that examples look alike. */
static bool is_block(const char *key, const json_t *v)
{
    static const char *const keys[] = { "prompt", "text", "changed", "question", "context", "expected", "answer", "changed_answer", "before",
                                        "after", "reply" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_is_string(v) && !strcmp(keys[i], key))
            return true;
    return json_string_length(v) > LONG;
}

/* What is short in one line, then the texts beside each other. */
static int example(const struct page *p, const json_t *o)
{
    const char *key;
    json_t *v;
    int n = 0;
    TRY(page_add(p, "<div class=\"note\"><p>"));
    read_each(o, key, v) {
        if (is_block(key, v))
            continue;
        TRY(page_add(p, n++ ? " · <span class=\"soft\">" : "<span class=\"soft\">"));
        TRY(page_text(p, key));
        TRY(page_add(p, "</span> "));
        TRY(page_value(p, v));
    }
    TRY(page_add(p, "</p><div class=\"charts\">"));
    read_each(o, key, v)
        if (is_block(key, v))
            TRY(text_block(p, key, v));
    return page_add(p, "</div></div>\n");
}

/* Are these items with texts? */
static bool are_examples(const char *key, const json_t *list)
{
    size_t i;
    json_t *o, *v;
    const char *name;
    if (strstr(key, "example") || strstr(key, "flip"))
        return json_is_object(json_array_get(list, 0));
    json_array_foreach(list, i, o) {
        if (i >= FEW)
            break;
        read_each(o, name, v)
            if (json_string_length(v) > LONG)
                return true;
    }
    return false;
}

int page_texts(const struct page *p, const json_t *list)
{
    size_t i;
    json_t *o;
    json_array_foreach(list, i, o)
        if (i < EXAMPLES && json_is_object(o))
            TRY(example(p, o));
    return page_more(p, json_array_size(list), EXAMPLES);
}

/* ---- the rest ---- */

static bool in_head(const char *key)
{
    static const char *const head[] = { "kind", "lathe", "model", "model_sha256", "date", "seed", "figures" };
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        if (!strcmp(head[i], key))
            return true;
    return false;
}

static bool was_shown(const char *but, const char *key)
{
    char word[100];
    return in_head(key) || (snprintf(word, sizeof word, " %s ", key) < (int)sizeof word && strstr(but, word));
}

static bool is_plain(const json_t *v) { return !json_is_object(v) && !json_is_array(v); }

/* Sentences: caveats, warnings. */
static bool are_sentences(const json_t *v)
{
    size_t i;
    json_t *s;
    bool all = json_array_size(v) > 0 && json_array_size(v) <= EXAMPLES;
    json_array_foreach(v, i, s)
        all = all && json_is_string(s);
    return all;
}

static int sentences(const struct page *p, const char *key, const json_t *v)
{
    size_t i;
    json_t *s;
    TRY(page_add(p, "<details open><summary>"));
    TRY(page_text(p, key));
    TRY(page_add(p, "</summary><ul>\n"));
    json_array_foreach(v, i, s) {
        TRY(page_add(p, "<li>"));
        TRY(page_value(p, s));
        TRY(page_add(p, "</li>\n"));
    }
    return page_add(p, "</ul></details>\n");
}

/* Objects by name, each of values alone: a row for each. */
static bool are_named_rows(const json_t *v)
{
    const char *key, *name;
    json_t *o, *x;
    bool all = json_object_size(v) > 1;
    read_each(v, key, o) {
        all = all && json_object_size(o) > 0;
        read_each(o, name, x)
            all = all && (is_plain(x) || json_array_size(x) == 2);      /* an interval */
    }
    return all;
}

static int named_rows(const struct page *p, const json_t *v)
{
    struct doc d = { 0 };
    json_t *rows = doc_list(&d), *o;
    const char *key;
    read_each(v, key, o) {
        json_t *row = doc_add(&d, rows, doc_object(&d));
        const char *name;
        json_t *x;
        doc_str(&d, row, "", key);
        read_each(o, name, x)
            if (*name)
                doc_put(&d, row, name, json_incref(x));
    }
    const int rc = d.failed ? ERR(p->err, NOMEM, "no memory for a page") : page_rows(p, rows, PAGE_ROWS);
    json_decref(rows);
    return rc;
}

static int folded(const struct page *p, const char *key, const json_t *v)
{
    const size_t n = json_array_size(v);
    if (are_sentences(v))
        return sentences(p, key, v);
    TRY(page_add(p, "<details><summary>"));
    TRY(page_text(p, key));
    if (n)
        TRY(buf_printf(p->b, p->err, " (%zu)", n));
    TRY(page_add(p, "</summary>"));
    TRY(n && are_examples(key, v) ? page_texts(p, v) : are_named_rows(v) ? named_rows(p, v) : page_tree(p, v, 4));
    return page_add(p, "</details>\n");
}

static int plain_facts(const struct page *p, const json_t *evidence, const char *but)
{
    const char *key;
    json_t *v;
    int n = 0;
    read_each(evidence, key, v) {
        if (was_shown(but, key) || !is_plain(v) || json_is_null(v) || !strcmp(key, "verdict"))
            continue;
        TRY(page_add(p, n++ ? " · " : "<p class=\"soft\">"));
        TRY(page_text(p, key));
        TRY(page_add(p, ": "));
        TRY(page_value(p, v));
    }
    return n ? page_add(p, "</p>\n") : 0;
}

int page_verdict(const struct page *p, const json_t *evidence)
{
    if (!read_str(evidence, "verdict"))
        return 0;
    TRY(page_add(p, "<div class=\"note\"><b>"));
    TRY(page_value(p, json_object_get(evidence, "verdict")));
    return page_add(p, "</b></div>\n");
}

int page_rest(const struct page *p, const json_t *evidence, const char *but)
{
    const char *key;
    json_t *v;
    TRY(plain_facts(p, evidence, but));
    read_each(evidence, key, v)
        if (!was_shown(but, key) && !is_plain(v) && (json_object_size(v) || json_array_size(v)))
            TRY(folded(p, key, v));
    return 0;
}
