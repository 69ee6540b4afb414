#include "card/page_parts.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/html.h"
#include "base/log.h"
#include "base/mem.h"
#include "card/evidence.h"
#include "card/files.h"
#include "card/licences.h"
#include "card/read.h"

static int yes_or_no_cell(const struct page *p, const json_t *v, const char *yes, const char *no)
{
    if (!json_is_boolean(v))
        return page_cell(p, NULL);
    return buf_printf(p->b, p->err, "<td class=\"t\"><b class=\"%s\">%s</b></td>", json_is_true(v) ? "good" : "bad", json_is_true(v) ? yes : no);
}

/* ---- records ---- */

/* What is kept is green; the largest losses have colours of their own, all others the last. */
enum { KEPT = 2 };
static int colour_of_loss(size_t i)
{
    static const int colour[] = { 4, 1, 3, 0, 5, 6 };
    return i < sizeof colour / sizeof *colour ? colour[i] : 7;
}

static int stack(const struct page *p, int64_t kept, const struct ranked *lost, size_t n, double whole)
{
    TRY(buf_printf(p->b, p->err, "<div class=\"bar stack\"><i style=\"width:%.3f%%;background:var(--c%d)\"></i>", 100 * (double)kept / whole, KEPT));
    for (size_t i = 0; i < n && lost[i].n; i++)
        TRY(buf_printf(p->b, p->err, "<i style=\"width:%.3f%%;background:var(--c%d)\"></i>", 100 * (double)lost[i].n / whole, colour_of_loss(i)));
    return page_add(p, "</div>\n");
}

enum { LOSSES = 12 };

static int losses(const struct page *p, const struct ranked *lost, size_t from, size_t to, double records)
{
    for (size_t i = from; i < to; i++)
        TRY(page_bar_row(p, lost[i].key, lost[i].n, records, (double)lost[0].n, colour_of_loss(i)));
    return 0;
}

static int sum_row(const struct page *p, const char *name, int64_t n, double records)
{
    TRY(page_add(p, "<tr><td class=\"name\"><b>"));
    TRY(page_text(p, name));
    TRY(page_add(p, "</b></td>"));
    TRY(page_count_cell(p, n));
    TRY(page_share_cell(p, (double)n, records));
    return page_add(p, "<td></td></tr>\n");
}

/* The rows add up to the last: those of a long list that are folded are one of them. */
static int record_table(const struct page *p, const json_t *totals, const struct ranked *lost, size_t n)
{
    const int64_t all = read_count(totals, "records");
    const size_t shown = n > LOSSES + 1 ? LOSSES : n;
    int64_t rest = 0;
    for (size_t i = shown; i < n; i++)
        rest += lost[i].n;
    TRY(page_table(p, "|#records|#share|"));
    TRY(sum_row(p, "kept", read_count(totals, "kept"), (double)all));
    TRY(losses(p, lost, 0, shown, (double)all));
    if (shown < n) {
        char name[48];
        snprintf(name, sizeof name, "%zu other reasons", n - shown);
        TRY(page_bar_row(p, name, rest, (double)all, (double)lost[0].n, 7));
    }
    TRY(sum_row(p, "read", all, (double)all));
    TRY(page_table_end(p));
    if (shown == n)
        return 0;
    TRY(buf_printf(p->b, p->err, "<details><summary>The %zu other reasons</summary>", n - shown));
    TRY(page_table(p, "|#records|#share|"));
    TRY(losses(p, lost, shown, n, (double)all));
    TRY(page_table_end(p));
    return page_add(p, "</details>\n");
}

int part_records(const struct page *p, const json_t *part, const struct card *c)
{
    struct ranked *lost;
    size_t n;
    (void)c;
    TRY(ranked_of(read_at(part, "dropped"), "", &lost, &n, p->err));
    const double records = (double)read_count(part, "records");
    int rc = records > 0 ? stack(p, read_count(part, "kept"), lost, n, records) : 0;
    if (!rc)
        rc = record_table(p, part, lost, n);
    mem_free(lost);
    return rc ? rc : page_add(p, "<p class=\"soft\">A record that several reasons would drop is counted under the first of them. Bars are drawn against the largest loss.</p>\n");
}

/* ---- gate ---- */

static int limit_cell(const struct page *p, const json_t *check)
{
    TRY(page_add(p, "<td class=\"n\">"));
    if (read_str(check, "of")) {
        TRY(page_text(p, read_str(check, "of")));
        TRY(page_add(p, " "));
    }
    TRY(page_value(p, json_object_get(check, "limit")));
    return page_add(p, "</td>");
}

int part_gate(const struct page *p, const json_t *part, const struct card *c)
{
    size_t i;
    json_t *check;
    (void)c;
    TRY(page_add(p, "<p>Policy: "));
    TRY(page_text(p, read_str(part, "policy")));
    TRY(page_add(p, "</p>\n"));
    TRY(page_table(p, "check||#limit|#found|evidence"));
    json_array_foreach(read_at(part, "checks"), i, check) {
        TRY(page_add(p, "<tr>"));
        TRY(page_name_cell(p, read_str(check, "check")));
        TRY(yes_or_no_cell(p, json_object_get(check, "passed"), "holds", "fails"));
        TRY(limit_cell(p, check));
        TRY(page_value_cell(p, json_object_get(check, "found")));
        TRY(page_add(p, "<td>"));
        TRY(page_tree(p, read_at(check, "evidence"), 1));
        TRY(page_add(p, "</td></tr>\n"));
    }
    return page_table_end(p);
}

/* ---- sources ---- */

static int file_row(const struct page *p, const json_t *file)
{
    char size[32];
    TRY(page_add(p, "<tr>"));
    TRY(page_name_cell(p, read_str(file, "path")));
    TRY(buf_printf(p->b, p->err, "<td class=\"n\">%s</td>", fmt_bytes(size, (double)read_count(file, "bytes"))));
    TRY(page_count_cell(p, read_count(file, "records")));
    TRY(page_count_cell(p, read_count(file, "kept")));
    TRY(page_add(p, "<td><code>"));
    TRY(page_text(p, read_str(file, "sha256")));
    TRY(page_add(p, "</code></td>"));
    TRY(page_cell(p, read_str(file, "error") ? read_str(file, "error") : ""));
    return page_add(p, "</tr>\n");
}

static int files_of(const struct page *p, const json_t *source)
{
    const json_t *files = json_object_get(source, "files");
    TRY(page_add(p, "<details><summary>"));
    TRY(page_text(p, read_str(source, "name")));
    TRY(buf_printf(p->b, p->err, ": %zu file%s of ", json_array_size(files), json_array_size(files) == 1 ? "" : "s"));
    TRY(page_text(p, read_str(source, "path")));
    TRY(page_add(p, "</summary>"));
    TRY(page_table(p, "file|#size|#records|#kept|SHA-256|"));
    for (size_t i = 0; i < json_array_size(files) && i < PAGE_FILES; i++)
        TRY(file_row(p, json_array_get(files, i)));
    TRY(page_table_end(p));
    TRY(page_more(p, json_array_size(files), PAGE_FILES));
    return page_add(p, "</details>\n");
}

static int licence_cell(const struct page *p, const json_t *s, const struct card *c)
{
    const char *licence = licence_of_source(c, s);
    if (!licence)
        return page_add(p, "<td class=\"t\"><b class=\"bad\">unknown</b></td>");
    TRY(page_add(p, "<td class=\"s\">"));
    TRY(page_text(p, licence));
    return page_add(p, read_str(s, "licence") ? "</td>" : " <span class=\"soft\">(found in files)</span></td>");
}

static int origin_cell(const struct page *p, const json_t *s)
{
    const char *origin = read_str(s, "origin"), *purpose = read_str(s, "purpose");
    TRY(page_add(p, "<td class=\"name\">"));
    if (origin || !purpose)
        TRY(page_text(p, origin));
    if (purpose) {
        TRY(page_add(p, origin ? "; for " : "for "));
        TRY(page_text(p, purpose));
    }
    return page_add(p, "</td>");
}

static int source_row(const struct page *p, const json_t *s, const struct card *c)
{
    static const char *const told[] = { "language", "split", "collected" };
    char size[32];
    const int64_t records = read_count(s, "records"), kept = read_count(s, "kept");
    TRY(page_add(p, "<tr>"));
    TRY(page_name_cell(p, read_str(s, "name")));
    TRY(licence_cell(p, s, c));
    TRY(page_count_cell(p, records));
    TRY(page_count_cell(p, kept));
    TRY(page_bar_cell(p, (double)kept, (double)records));
    TRY(buf_printf(p->b, p->err, "<td class=\"n\">%s</td>", fmt_bytes(size, (double)read_count(s, "bytes"))));
    TRY(page_cell(p, source_format(s)));
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        TRY(page_cell(p, read_str(s, told[i])));
    TRY(origin_cell(p, s));
    return page_add(p, "</tr>\n");
}

int part_sources(const struct page *p, const json_t *part, const struct card *c)
{
    TRY(page_table(p, "source|licence|#records|#kept||#size|format|language|split|collected|origin"));
    for (size_t i = 0; i < json_array_size(part) && i < PAGE_ROWS; i++)
        TRY(source_row(p, json_array_get(part, i), c));
    TRY(page_table_end(p));
    TRY(page_more(p, json_array_size(part), PAGE_ROWS));
    TRY(page_subtitle(p, "Files"));
    for (size_t i = 0; i < json_array_size(part) && i < PAGE_ROWS; i++)
        TRY(files_of(p, json_array_get(part, i)));
    return 0;
}

/* ---- rules and languages ---- */

static int rule_row(const struct page *p, const json_t *rule, double records, double most)
{
    const int64_t n = read_count(rule, "records");
    TRY(page_add(p, "<tr>"));
    TRY(page_name_cell(p, read_str(rule, "id")));
    TRY(page_add(p, "<td class=\"name\">"));
    TRY(page_text(p, read_str(rule, "of") ? read_str(rule, "of") : ""));
    if (read_str(rule, "compare") && read_at(rule, "limit")) {
        TRY(page_add(p, " "));
        TRY(page_text(p, read_str(rule, "compare")));
        TRY(page_add(p, " "));
        TRY(page_value(p, read_at(rule, "limit")));
    }
    TRY(page_add(p, "</td>"));
    TRY(page_cell(p, !json_is_boolean(json_object_get(rule, "drops")) ? NULL : json_is_true(json_object_get(rule, "drops")) ? "drops" : "marks"));
    TRY(page_count_cell(p, n));
    TRY(page_share_cell(p, (double)n, records));
    TRY(page_bar_cell(p, (double)n, most));
    return page_add(p, "</tr>\n");
}

static int rule_examples(const struct page *p, const struct ranked *r, size_t n)
{
    size_t some = 0;
    for (size_t i = 0; i < n; i++)
        some += json_array_size(read_at(r[i].value, "examples")) > 0;
    if (!some)
        return 0;
    TRY(buf_printf(p->b, p->err, "<details><summary>Examples for %zu of them</summary>", some));
    for (size_t i = 0; i < n; i++)
        TRY(page_examples(p, read_at(r[i].value, "examples"), read_str(r[i].value, "id")));
    return page_add(p, "</details>\n");
}

static int rules(const struct page *p, const struct ranked *r, size_t n, double records)
{
    size_t hit = 0;
    while (hit < n && r[hit].n)
        hit++;
    TRY(page_table(p, "rule|true of a record with|then|#records|#share|"));
    for (size_t i = 0; i < hit; i++)
        TRY(rule_row(p, r[i].value, records, (double)r[0].n));
    TRY(page_table_end(p));
    TRY(rule_examples(p, r, hit));
    if (hit == n)
        return 0;
    TRY(buf_printf(p->b, p->err, "<details><summary>%zu rules that no record broke</summary>", n - hit));
    TRY(page_table(p, "rule|true of a record with|then|#records|#share|"));
    for (size_t i = hit; i < n; i++)
        TRY(rule_row(p, r[i].value, records, (double)r[0].n));
    TRY(page_table_end(p));
    return page_add(p, "</details>\n");
}

int part_rules(const struct page *p, const json_t *part, const struct card *c)
{
    struct ranked *r;
    size_t n;
    TRY(ranked_of(part, "records", &r, &n, p->err));
    const int rc = rules(p, r, n, (double)read_count(c->report, "totals.records"));
    mem_free(r);
    return rc;
}

int part_languages(const struct page *p, const json_t *part, const struct card *c)
{
    TRY(page_bars(p, part, "language|#records|#share|", (double)read_count(c->report, "totals.records"), 30));
    return json_object_get(part, "un") ? page_add(p, "<p class=\"soft\">un: records whose language could not be told.</p>\n") : 0;
}

/* ---- signals ---- */

enum { BINS = 64 };

/* More bins than there is room for are joined. */
static int histogram(const struct page *p, const char *name, const json_t *h, const char *note)
{
    double edge[BINS + 1], count[BINS];
    const json_t *edges = json_object_get(h, "edges"), *counts = json_object_get(h, "counts");
    const size_t n = json_array_size(counts), by = (n + BINS - 1) / BINS;
    int shown = 0;
    for (size_t i = 0; i < n; i += by, shown++) {
        edge[shown] = read_number_of(json_array_get(edges, i));
        count[shown] = 0;
        for (size_t j = i; j < i + by && j < n; j++)
            count[shown] += read_number_of(json_array_get(counts, j));
    }
    if (!shown)
        return 0;
    edge[shown] = read_number_of(json_array_get(edges, n));
    return html_histogram(p->b, name, note, edge, count, shown, p->err);
}

static int signal_picture(const struct page *p, const char *name, const json_t *s)
{
    char note[100] = "";
    const double mean = read_number(s, "mean"), median = read_number_of(json_object_get(json_object_get(s, "quantiles"), "0.5"));
    int n = 0;
    if (isfinite(mean))
        n = snprintf(note, sizeof note, "mean %.4g", mean);
    if (isfinite(median))
        snprintf(note + n, sizeof note - (size_t)n, "%smedian %.4g", n ? " · " : "", median);
    return histogram(p, name, read_at(s, "histogram"), *note ? note : NULL);
}

static int signal_row(const struct page *p, const char *name, const json_t *s)
{
    static const char *const quantile[] = { "0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99" };
    TRY(page_add(p, "<tr>"));
    TRY(page_name_cell(p, name));
    TRY(page_value_cell(p, read_at(s, "mean")));
    TRY(page_value_cell(p, read_at(s, "min")));
    for (size_t i = 0; i < sizeof quantile / sizeof *quantile; i++)
        TRY(page_value_cell(p, json_object_get(json_object_get(s, "quantiles"), quantile[i])));
    TRY(page_value_cell(p, read_at(s, "max")));
    return page_add(p, "</tr>\n");
}

int part_signals(const struct page *p, const json_t *part, const struct card *c)
{
    const char *name;
    json_t *s;
    (void)c;
    TRY(page_add(p, "<p class=\"soft\">Each picture counts records by one signal, from the least to the largest.</p><div class=\"charts small\">\n"));
    read_each(part, name, s)
        TRY(signal_picture(p, name, s));
    TRY(page_add(p, "</div>\n<details><summary>As a table</summary>"));
    TRY(page_table(p, "signal|#mean|#least|#1 %|#5 %|#25 %|#50 %|#75 %|#95 %|#99 %|#largest"));
    read_each(part, name, s)
        TRY(signal_row(p, name, s));
    TRY(page_table_end(p));
    return page_add(p, "</details>\n");
}

/* ---- duplicates, contamination, leakage ---- */

static int duplicate_row(const struct page *p, const char *name, const json_t *o, const char *groups, const char *copies)
{
    char size[32];
    if (!o)
        return 0;
    TRY(page_add(p, "<tr>"));
    TRY(page_name_cell(p, name));
    TRY(page_value_cell(p, read_at(o, groups)));
    TRY(page_value_cell(p, read_at(o, copies)));
    TRY(buf_printf(p->b, p->err, "<td class=\"n\">%s</td>", read_at(o, "bytes") ? fmt_bytes(size, (double)read_count(o, "bytes")) : "–"));
    return page_add(p, "</tr>\n");
}

/* What the pairs were like as texts: their signatures only guess. */
static int near_checked(const struct page *p, const json_t *near)
{
    char n[32], share[32];
    const json_t *checked = read_at(near, "checked");
    if (!read_count(checked, "pairs") || !isfinite(read_number(checked, "half_or_more")) || !isfinite(read_number(checked, "mean")) || !isfinite(read_number(checked, "min")))
        return 0;
    return buf_printf(p->b, p->err, "<p>Of %s pairs that were compared as texts, %s have at least half of their sequences in common (mean %.3f, least %.3f).</p>\n",
                      read_thousands(n, read_count(checked, "pairs")), read_share(share, read_number(checked, "half_or_more"), 1), read_number(checked, "mean"), read_number(checked, "min"));
}

static int near(const struct page *p, const json_t *near)
{
    if (!near)
        return 0;
    TRY(page_subtitle(p, "Near copies"));
    TRY(buf_printf(p->b, p->err, "<p>Pairs: %lld, in clusters: %lld. MinHash of %lld bands with %lld rows over sequences of %lld words.</p>\n", (long long)read_count(near, "pairs"),
                   (long long)read_count(near, "clusters"), (long long)read_count(near, "bands"), (long long)read_count(near, "rows"), (long long)read_count(near, "ngram")));
    TRY(near_checked(p, near));
    if (read_at(near, "similarity")) {
        TRY(page_add(p, "<div class=\"charts small\">"));
        TRY(histogram(p, "Similarity of the pairs", read_at(near, "similarity"), NULL));
        TRY(page_add(p, "</div>\n"));
    }
    return page_examples(p, read_at(near, "examples"), "Pairs: what was kept, what was dropped for it");
}

int part_duplicates(const struct page *p, const json_t *part, const struct card *c)
{
    (void)c;
    TRY(page_table(p, "|#kinds|#copies|#size of the copies"));
    TRY(duplicate_row(p, "whole records", read_at(part, "exact"), "groups", "records"));
    TRY(duplicate_row(p, "paragraphs", read_at(part, "paragraphs"), "paragraphs", "copies"));
    TRY(duplicate_row(p, "lines", read_at(part, "lines"), "lines", "copies"));
    TRY(duplicate_row(p, "nearly the same records", read_at(part, "near"), "clusters", "records"));
    TRY(page_table_end(p));
    if (read_count(part, "earlier"))
        TRY(buf_printf(p->b, p->err, "<p>Of these, %lld are copies of earlier data, of the index.</p>\n", (long long)read_count(part, "earlier")));
    return near(p, read_at(part, "near"));
}

static int methods(const struct page *p, const json_t *methods)
{
    const char *name;
    json_t *m;
    read_each(methods, name, m) {
        TRY(page_add(p, "<tr><td class=\"soft\">by "));
        TRY(page_text(p, name));
        TRY(page_add(p, "</td><td></td>"));
        TRY(page_value_cell(p, read_at(m, "items")));
        TRY(page_add(p, "<td></td><td></td>"));
        TRY(page_value_cell(p, read_at(m, "records")));
        TRY(page_add(p, "</tr>\n"));
    }
    return 0;
}

static int set_row(const struct page *p, const json_t *set)
{
    const double items = (double)read_count(set, "items"), hit = (double)read_count(set, "items_hit");
    TRY(page_add(p, "<tr>"));
    TRY(page_name_cell(p, read_str(set, "set")));
    TRY(page_count_cell(p, read_count(set, "items")));
    TRY(page_count_cell(p, read_count(set, "items_hit")));
    TRY(page_share_cell(p, hit, items));
    TRY(page_bar_cell(p, hit, items));
    TRY(page_count_cell(p, read_count(set, "records")));
    TRY(page_add(p, "</tr>\n"));
    return methods(p, read_at(set, "methods"));
}

int part_contamination(const struct page *p, const json_t *part, const struct card *c)
{
    (void)c;
    TRY(page_table(p, "evaluation set|#items|#found|#share||#records"));
    for (size_t i = 0; i < json_array_size(part); i++)
        TRY(set_row(p, json_array_get(part, i)));
    TRY(page_table_end(p));
    for (size_t i = 0; i < json_array_size(part); i++)
        TRY(page_examples(p, read_at(json_array_get(part, i), "examples"), read_str(json_array_get(part, i), "set")));
    return 0;
}

/* The named members of an object by what they are, the rest as it stands. */
static int rest_of(const struct page *p, const json_t *o, const char *but)
{
    const char *key;
    json_t *v;
    read_each(o, key, v) {
        if (!strcmp(key, but) || json_is_null(v))
            continue;
        TRY(page_subtitle(p, key));
        TRY(page_tree(p, v, 2));
    }
    return 0;
}

int part_leakage(const struct page *p, const json_t *part, const struct card *c)
{
    (void)c;
    if (json_array_size(read_at(part, "pairs")))
        TRY(page_rows(p, read_at(part, "pairs"), PAGE_ROWS));
    else
        TRY(page_paragraph(p, "None between any two splits."));
    return rest_of(p, part, "pairs");
}

/* ---- personal data, secrets ---- */

static int found_table(const struct page *p, const struct ranked *r, size_t n, const char *head)
{
    const double most = n ? (double)r[0].n : 0;
    TRY(page_table(p, head));
    for (size_t i = 0; i < n && i < PAGE_ROWS; i++) {
        TRY(page_add(p, "<tr>"));
        TRY(page_name_cell(p, r[i].key));
        TRY(page_count_cell(p, r[i].n));
        TRY(page_bar_cell(p, (double)r[i].n, most));
        TRY(page_value_cell(p, read_at(r[i].value, "records")));
        TRY(page_add(p, "</tr>\n"));
    }
    TRY(page_table_end(p));
    TRY(page_more(p, n, PAGE_ROWS));
    for (size_t i = 0; i < n && i < PAGE_ROWS; i++)
        TRY(page_examples(p, read_at(r[i].value, "examples"), r[i].key));
    return 0;
}

static int given_up(const struct page *p, const json_t *part)
{
    if (!read_count(part, "given_up.n"))
        return 0;
    TRY(page_add(p, "<p>\n"));
    TRY(evidence_given_up(part, p->b, p->err));
    return page_add(p, "</p>\n");
}

static int found(const struct page *p, const json_t *o, const char *head)
{
    struct ranked *r;
    size_t n, some = 0;
    TRY(ranked_of(o, "n", &r, &n, p->err));
    while (some < n && r[some].n)
        some++;
    int rc = some ? found_table(p, r, some, head) : page_paragraph(p, "None were found.");
    for (size_t i = some; i < n && !rc; i++) {
        rc = page_add(p, i == some ? "<p class=\"soft\">Looked for and not found: " : ", ");
        if (!rc)
            rc = page_text(p, r[i].key);
        if (!rc && i + 1 == n)
            rc = page_add(p, ".</p>\n");
    }
    mem_free(r);
    return rc;
}

int part_pii(const struct page *p, const json_t *part, const struct card *c)
{
    (void)c;
    if (isfinite(read_number(part, "per_million")))
        TRY(buf_printf(p->b, p->err, "<p>%.4g for a million words. Examples are masked.</p>\n", read_number(part, "per_million")));
    TRY(given_up(p, part));
    return found(p, read_at(part, "entities"), "kind|#found||#records");
}

int part_secrets(const struct page *p, const json_t *part, const struct card *c)
{
    (void)c;
    TRY(given_up(p, part));
    return found(p, read_at(part, "rules"), "rule|#found||#records");
}

/* ---- licences ---- */

static int words(const struct page *p, const json_t *list)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v) {
        TRY(page_add(p, i ? ", " : ""));
        TRY(page_value(p, v));
    }
    return json_array_size(list) ? 0 : page_add(p, "–");
}

static int found_licences(const struct page *p, const json_t *found)
{
    for (size_t i = 0; i < json_array_size(found) && i < PAGE_EXAMPLES; i++) {
        TRY(page_add(p, i ? "<br/>" : ""));
        TRY(page_text(p, read_str(json_array_get(found, i), "id")));
        TRY(page_add(p, " in "));
        TRY(page_text(p, read_str(json_array_get(found, i), "path")));
    }
    if (json_array_size(found) > PAGE_EXAMPLES)
        return page_add(p, ", and more");
    return json_array_size(found) ? 0 : page_add(p, "–");
}

static int licence_row(const struct page *p, const json_t *s)
{
    TRY(page_add(p, "<tr>"));
    TRY(page_name_cell(p, read_str(s, "source")));
    TRY(page_cell(p, read_str(s, "expression") ? read_str(s, "expression") : "unknown"));
    TRY(yes_or_no_cell(p, json_object_get(s, "allowed"), "allowed", "not allowed"));
    TRY(page_name_cell(p, read_str(s, "why")));
    TRY(page_add(p, "<td>"));
    TRY(words(p, read_at(s, "obligations")));
    TRY(page_add(p, "</td><td class=\"name\">"));
    TRY(found_licences(p, read_at(s, "found")));
    return page_add(p, "</td></tr>\n");
}

int part_licences(const struct page *p, const json_t *part, const struct card *c)
{
    size_t i;
    json_t *s;
    (void)c;
    TRY(page_add(p, "<p>Declared use: "));
    TRY(words(p, read_at(part, "use")));
    TRY(page_add(p, ". What is unknown is not allowed.</p>\n"));
    TRY(page_table(p, "source|licence||why|duties|found in files"));
    json_array_foreach(read_at(part, "sources"), i, s)
        TRY(licence_row(p, s));
    TRY(page_table_end(p));
    if (!json_array_size(read_at(part, "conflicts")))
        return 0;
    TRY(page_subtitle(p, "Conflicts"));
    return page_tree(p, read_at(part, "conflicts"), 2);
}

/* ---- labels and groups ---- */

int part_labels(const struct page *p, const json_t *part, const struct card *c)
{
    size_t i;
    json_t *s;
    (void)c;
    json_array_foreach(read_at(part, "sources"), i, s) {
        TRY(page_subtitle(p, read_str(s, "source")));
        if (read_at(s, "classes"))
            TRY(page_rows(p, read_at(s, "classes"), PAGE_ROWS));
        const char *key;
        json_t *v;
        TRY(page_add(p, "<details><summary>What else was seen of them</summary><div class=\"wide\"><table>\n"));
        read_each(s, key, v) {
            if (!strcmp(key, "classes") || !strcmp(key, "source"))
                continue;
            TRY(page_add(p, "<tr>"));
            TRY(page_name_cell(p, key));
            TRY(page_add(p, "<td>"));
            TRY(page_tree(p, v, 2));
            TRY(page_add(p, "</td></tr>\n"));
        }
        TRY(page_table_end(p));
        TRY(page_add(p, "</details>\n"));
    }
    return rest_of(p, part, "sources");
}

enum { TERMS = 8 };

/* The terms that tell a group, the most frequent first. */
static int terms(const struct page *p, const json_t *o)
{
    struct ranked *r;
    size_t n;
    TRY(ranked_of(o, "", &r, &n, p->err));
    int rc = 0;
    for (size_t i = 0; i < n && i < TERMS && !rc; i++) {
        rc = page_add(p, i ? ", " : "");
        rc = rc ? rc : page_text(p, r[i].key);
        rc = rc ? rc : buf_printf(p->b, p->err, " <span class=\"soft\">%lld</span>", (long long)r[i].n);
    }
    rc = rc || n <= TERMS ? rc : page_add(p, ", ..");
    mem_free(r);
    return rc ? rc : n ? 0 : page_add(p, "–");
}

static int group_row(const struct page *p, const json_t *g, double most)
{
    TRY(page_add(p, "<tr>"));
    TRY(page_name_cell(p, read_str(g, "group")));
    TRY(page_count_cell(p, read_count(g, "mentions")));
    TRY(page_count_cell(p, read_count(g, "records")));
    TRY(page_bar_cell(p, (double)read_count(g, "records"), most));
    TRY(page_value_cell(p, read_at(g, "share")));
    TRY(page_add(p, "<td class=\"name\">"));
    TRY(terms(p, read_at(g, "terms")));
    return page_add(p, "</td></tr>\n");
}

/* Those that are mentioned at all; the others by their names alone. */
int part_groups(const struct page *p, const json_t *part, const struct card *c)
{
    const json_t *list = read_at(part, "groups");
    double most = 0;
    size_t i, n_none = 0;
    json_t *g;
    (void)c;
    json_array_foreach(list, i, g)
        most = fmax(most, (double)read_count(g, "records"));
    if (json_array_size(list))
        TRY(page_table(p, "group|#mentions|#records||#share of its kind|by"));
    json_array_foreach(list, i, g)
        if (read_count(g, "mentions"))
            TRY(group_row(p, g, most));
    if (json_array_size(list))
        TRY(page_table_end(p));
    json_array_foreach(list, i, g) {
        if (read_count(g, "mentions"))
            continue;
        TRY(page_add(p, n_none++ ? ", " : "<p class=\"soft\">Not mentioned: "));
        TRY(page_text(p, read_str(g, "group")));
    }
    if (n_none)
        TRY(page_add(p, ".</p>\n"));
    return rest_of(p, part, "groups");
}

/* ---- poisoning, faults, others ---- */

static int finding_row(const struct page *p, const json_t *f)
{
    TRY(page_add(p, "<tr><td class=\"name\"><code>"));
    TRY(page_text(p, read_str(f, "ngram")));
    TRY(page_add(p, "</code></td>"));
    TRY(page_cell(p, read_str(f, "of")));
    TRY(page_cell(p, read_str(f, "what")));
    TRY(page_value_cell(p, read_at(f, "support")));
    TRY(page_value_cell(p, read_at(f, "lift")));
    TRY(page_value_cell(p, read_at(f, "p")));
    return page_add(p, "</tr>\n");
}

int part_poison(const struct page *p, const json_t *part, const struct card *c)
{
    const json_t *findings = read_at(part, "findings");
    (void)c;
    if (!json_array_size(findings))
        TRY(page_paragraph(p, "No sequence of words is tied to a label or to what follows it more than chance allows."));
    else
        TRY(page_table(p, "words|tied to|which|#records|#times as often|#p"));
    for (size_t i = 0; i < json_array_size(findings) && i < PAGE_ROWS; i++)
        TRY(finding_row(p, json_array_get(findings, i)));
    if (json_array_size(findings)) {
        TRY(page_table_end(p));
        TRY(page_more(p, json_array_size(findings), PAGE_ROWS));
    }
    for (size_t i = 0; i < json_array_size(findings) && i < PAGE_ROWS; i++)
        TRY(page_examples(p, read_at(json_array_get(findings, i), "examples"), read_str(json_array_get(findings, i), "ngram")));
    return rest_of(p, part, "findings");
}

int part_faults(const struct page *p, const json_t *part, const struct card *c)
{
    char n[32];
    (void)c;
    if (!read_count(part, "n"))
        return page_paragraph(p, "None: every file was read to its end, and every record was one.");
    TRY(buf_printf(p->b, p->err, "<p>%s in all; what is not shown is in the audit's folder.</p>\n", read_thousands(n, read_count(part, "n"))));
    return json_array_size(read_at(part, "first")) ? page_rows(p, read_at(part, "first"), PAGE_ROWS) : 0;
}

int part_tree(const struct page *p, const json_t *part, const struct card *c)
{
    (void)c;
    return page_tree(p, part, 3);
}
