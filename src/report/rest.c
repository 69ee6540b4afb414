/* What a kind of evidence has beyond its figures: examples with their texts, sentences, tables, and parts whose form is not known. */
#include <stdio.h>
#include <string.h>
#include "report/parts.h"

/* ---- examples ---- */

enum { EXAMPLES = 20, LONG = 40, DEPTH = 6, FEW = 3 };

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
    static const char *const head[] = { "kind", "lathe", "model", "model_sha256", "adapter", "adapter_sha256", "date", "seed", "figures" };
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

/* ---- parts whose form is not known ---- */

static bool is_pair(const json_t *v) { return json_array_size(v) == 2 && json_is_number(json_array_get(v, 0)) && json_is_number(json_array_get(v, 1)); }

/* {"value", "interval" | "ci95"} */
static bool is_measured(const json_t *v) { return json_is_object(v) && json_is_number(json_object_get(v, "value")); }

static bool is_cell(const json_t *v) { return is_plain(v) || is_pair(v) || is_measured(v); }

static bool is_row(const json_t *o)
{
    const char *key;
    json_t *v;
    bool all = json_object_size(o) > 0;
    read_each(o, key, v)
        all = all && is_cell(v);
    return all;
}

/* An interval, and a value with one, as people write them. */
static json_t *cell_of(const json_t *v)
{
    const json_t *ci = is_pair(v) ? v : json_object_get(v, "interval") ? json_object_get(v, "interval") : json_object_get(v, "ci95");
    char text[96], low[32], high[32], value[32];
    if (is_plain(v))
        return json_incref((json_t *)(uintptr_t)v);
    figure_text(low, read_number_of(json_array_get(ci, 0))), figure_text(high, read_number_of(json_array_get(ci, 1)));
    figure_text(value, read_number(v, "value"));
    if (is_pair(v))
        snprintf(text, sizeof text, "%s to %s", low, high);
    else
        snprintf(text, sizeof text, is_pair(ci) ? "%s (%s to %s)" : "%s", value, low, high);
    return json_string(text);
}

static void put_row(struct doc *d, json_t *rows, const char *name, const json_t *o)
{
    json_t *row = doc_add(d, rows, doc_object(d)), *v;
    const char *key;
    doc_str(d, row, "", name);
    read_each(o, key, v)
        if (*key)
            doc_put(d, row, key, cell_of(v));
}

/* A list of rows, or an object of them by name. */
static int rows_of(const struct page *p, const json_t *v)
{
    struct doc d = { 0 };
    json_t *rows = doc_list(&d), *o;
    const char *key;
    size_t i;
    read_each(v, key, o)
        put_row(&d, rows, key, o);
    json_array_foreach(v, i, o)
        put_row(&d, rows, NULL, o);
    const int rc = d.failed ? ERR(p->err, NOMEM, "no memory for a page") : page_rows(p, rows, PAGE_ROWS);
    json_decref(rows);
    return rc;
}

static bool are_rows(const json_t *v)
{
    const char *key;
    size_t i;
    json_t *o;
    bool all = json_array_size(v) > 0 || json_object_size(v) > 1;
    read_each(v, key, o)
        all = all && is_row(o);
    json_array_foreach(v, i, o)
        all = all && is_row(o);
    return all;
}

static int part_of(const struct page *p, const char *key, const json_t *v, int depth);

/* What of an object is plain in a line, then each part below its name. */
static int members(const struct page *p, const json_t *o, int depth)
{
    const char *key;
    json_t *v;
    int n = 0;
    read_each(o, key, v) {
        if (!is_cell(v) || json_is_null(v))
            continue;
        json_t *cell = cell_of(v);
        int rc = cell ? page_add(p, n++ ? " · " : "<p class=\"soft\">") : ERR(p->err, NOMEM, "no memory for a page");
        rc = rc ? rc : page_text(p, key);
        rc = rc ? rc : page_add(p, ": ");
        rc = rc ? rc : page_value(p, cell);
        json_decref(cell);
        TRY(rc);
    }
    TRY(n ? page_add(p, "</p>\n") : 0);
    n = 0;
    read_each(o, key, v)
        if (!is_cell(v) && (json_object_size(v) || json_array_size(v)) && n++ < PAGE_EXAMPLES)
            TRY(part_of(p, key, v, depth - 1));
    return 0;
}

/* A list of objects that have parts: each under the first text that it has. */
static int list_of(const struct page *p, const json_t *list, int depth)
{
    size_t i;
    json_t *o, *v;
    json_array_foreach(list, i, o) {
        const char *key, *title = NULL;
        if (i >= PAGE_EXAMPLES)
            break;
        read_each(o, key, v)
            title = title ? title : json_string_value(v);
        TRY(page_add(p, "<details open><summary>"));
        TRY(page_text(p, title ? title : "all"));
        TRY(page_add(p, "</summary>"));
        TRY(members(p, o, depth));
        TRY(page_add(p, "</details>\n"));
    }
    return page_more(p, json_array_size(list), PAGE_EXAMPLES);
}

static bool are_objects(const json_t *v)
{
    size_t i;
    json_t *o;
    bool all = json_array_size(v) > 0;
    json_array_foreach(v, i, o)
        all = all && json_object_size(o) > 0;
    return all;
}

static int inside(const struct page *p, const char *key, const json_t *v, int depth)
{
    if (json_array_size(v) && are_examples(key, v))
        return page_texts(p, v);
    if (are_rows(v))
        return rows_of(p, v);
    if (depth <= 0)
        return page_value(p, v);
    return are_objects(v) ? list_of(p, v, depth) : json_is_object(v) ? members(p, v, depth) : page_value(p, v);
}

static int part_of(const struct page *p, const char *key, const json_t *v, int depth)
{
    if (are_sentences(v))
        return sentences(p, key, v);
    TRY(page_add(p, "<details><summary>"));
    TRY(page_text(p, key));
    if (json_array_size(v))
        TRY(buf_printf(p->b, p->err, " (%zu)", json_array_size(v)));
    TRY(page_add(p, "</summary>"));
    TRY(inside(p, key, v, depth));
    return page_add(p, "</details>\n");
}

static int plain_facts(const struct page *p, const json_t *evidence, const char *but)
{
    const char *key;
    json_t *v;
    int n = 0;
    read_each(evidence, key, v) {
        if (was_shown(but, key) || !is_plain(v) || json_is_null(v) || !strcmp(key, "verdict") || !strcmp(key, "complete"))
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
    if (was_stopped(evidence))
        TRY(page_add(p, "<div class=\"note bad\"><b class=\"bad\">Incomplete.</b> It was stopped; this is of what was done.</div>\n"));
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
            TRY(part_of(p, key, v, DEPTH));
    return 0;
}
