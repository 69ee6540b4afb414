/* The page in its order: which model, what was measured and what was not, then a part for each topic, then the files that it all rests on. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/html.h"
#include "report/parts.h"
#include "report/report.h"

/* Of a part that many are shown, the newest ones. */
enum { FILES_OF_PART = 12 };

static const json_t *files_of(const json_t *report) { return json_object_get(report, "files"); }

/* ---- head ---- */

static int64_t count_all(const json_t *report, const char *key)
{
    size_t i;
    json_t *f, *own;
    const char *task;
    int64_t n = 0;
    json_array_foreach(files_of(report), i, f)
        if (!json_is_true(json_object_get(f, "replaced")))
            read_each(read_at(f, "evidence.results.lathe.tasks"), task, own) {
                const int64_t v = read_count(own, key);
                n += v > 0 && v < INT64_MAX / 4 && n < INT64_MAX / 4 ? v : 0;
            }
    return n;
}

static size_t unread(const json_t *report)
{
    size_t i, n = 0;
    json_t *f;
    json_array_foreach(files_of(report), i, f)
        n += json_object_get(f, "error") != NULL;
    return n;
}

static int tiles(const struct page *p, const json_t *report)
{
    char n[32];
    TRY(page_add(p, "<div class=\"tiles\">"));
    TRY(page_tile(p, "figures", read_thousands(n, (int64_t)json_array_size(json_object_get(report, "figures"))), NULL));
    TRY(page_tile(p, "files", read_thousands(n, (int64_t)json_array_size(files_of(report))), NULL));
    if (count_all(report, "items")) {
        TRY(page_tile(p, "items of tasks", read_thousands(n, count_all(report, "items")), NULL));
        TRY(page_tile(p, "failed", read_thousands(n, count_all(report, "failed")), NULL));
        TRY(page_tile(p, "contexts cut", read_thousands(n, count_all(report, "contexts_cut")), NULL));
    }
    return page_add(p, "</div>\n");
}

static int models(const struct page *p, const json_t *report)
{
    size_t i;
    json_t *m;
    json_array_foreach(json_object_get(report, "models"), i, m) {
        if (i >= PAGE_ROWS)
            break;
        TRY(page_add(p, "<p>"));
        TRY(page_text(p, read_str(m, "model") ? read_str(m, "model") : read_str(m, "name")));
        TRY(page_add(p, " <code class=\"soft\">SHA-256 "));
        TRY(page_text(p, read_str(m, "sha256")));
        if (read_str(m, "adapter_sha256")) {
            TRY(page_add(p, ", with the adapter "));
            TRY(page_text(p, read_str(m, "adapter_sha256")));
        }
        TRY(page_add(p, "</code></p>\n"));
    }
    return 0;
}

static int head(const struct page *p, const json_t *report, const char *name)
{
    char from[40], to[40];
    TRY(page_add(p, "<h1>"));
    TRY(page_text(p, name));
    TRY(page_add(p, "</h1>\n"));
    date_text(from, read_number(report, "from")), date_text(to, read_number(report, "to"));
    TRY(buf_printf(p->b, p->err, "<p class=\"soft\">evaluated %s%s%s</p>\n", from, strcmp(from, to) ? " to " : "", strcmp(from, to) ? to : ""));
    if (json_array_size(json_object_get(report, "models")) > 1)
        TRY(page_add(p, "<div class=\"note bad\"><b>More than one model.</b> Each part says which one it is of.</div>\n"));
    if (unread(report))
        TRY(buf_printf(p->b, p->err, "<div class=\"note bad\"><b class=\"bad\">%zu file%s could not be read</b> and count%s for nothing here; see <a "
                       "href=\"#files\">Files</a>.</div>\n", unread(report),
                       unread(report) == 1 ? "" : "s", unread(report) == 1 ? "s" : ""));
    TRY(tiles(p, report));
    return models(p, report);
}

/* ---- what was measured, in words ---- */

enum { IN_WORDS = 6 };

/* said: what the figure before it said of itself; once is enough. */
static int in_words(const struct page *p, const json_t *f, const char **said)
{
    char text[96];
    const char *what = read_str(f, "what");
    TRY(page_add(p, "<li>"));
    if (read_str(f, "of")) {
        TRY(page_text(p, read_str(f, "of")));
        TRY(page_add(p, ": "));
    }
    TRY(page_text(p, read_str(f, "name")));
    TRY(buf_printf(p->b, p->err, " <b>%s</b>", figure_interval(text, f)));
    TRY(read_count(f, "n") ? buf_printf(p->b, p->err, ", n %s", read_thousands(text, read_count(f, "n"))) : 0);
    if (what && (!*said || strcmp(what, *said))) {
        TRY(page_add(p, " <span class=\"soft\">"));
        TRY(page_text(p, *said = what));
        TRY(page_add(p, "</span>"));
    }
    return page_add(p, "</li>\n");
}

static bool is_of(const json_t *o, const struct topic *t, const char *kind)
{
    return t ? topic_of(file_kind(o)) == t : kind && !strcmp(file_kind(o), kind);
}

/* Tasks one by one. */
static int first_figures(const struct page *p, const json_t *list)
{
    size_t i;
    json_t *f;
    const char *said = NULL;
    json_array_foreach(list, i, f)
        if (i < IN_WORDS)
            TRY(in_words(p, f, &said));
    return json_array_size(list) > IN_WORDS ? buf_printf(p->b, p->err, "<li class=\"soft\">and %zu more</li>\n", json_array_size(list) - IN_WORDS) : 0;
}

static int end_in_words(const struct page *p, const json_t *f)
{
    char text[96];
    TRY(buf_printf(p->b, p->err, "<b>%s</b> (", figure_text(text, read_number(f, "value"))));
    TRY(page_text(p, read_str(f, "of") ? read_str(f, "of") : "all"));
    return page_add(p, ")");
}

/* Many figures of a name: from which to which they go, the worst first. */
static int of_one_name(const struct page *p, const char *name, const json_t *list)
{
    const size_t n = json_array_size(list);
    const json_t *worst = n > 2 ? figures_worst(list) : NULL;
    const char *said = NULL;
    if (!worst) {
        for (size_t i = 0; i < n && i < 2; i++)
            TRY(in_words(p, json_array_get(list, i), &said));
        return n > 2 ? buf_printf(p->b, p->err, "<li class=\"soft\">and %zu more of these</li>\n", n - 2) : 0;
    }
    TRY(page_add(p, "<li>"));
    TRY(page_text(p, name));
    TRY(buf_printf(p->b, p->err, ", %zu figures: worst ", n));
    TRY(end_in_words(p, worst));
    TRY(page_add(p, ", best "));
    TRY(end_in_words(p, figures_best(list)));
    return page_add(p, "</li>\n");
}

/* Of other kinds a line or two for each name. */
static int figures_in_words(const struct page *p, const json_t *list)
{
    json_t *by_name = figures_by_name(list), *of;
    const char *name;
    int n = 0, rc = by_name ? 0 : ERR(p->err, NOMEM, "no memory for a page");
    json_object_foreach(by_name, name, of)
        if (!rc && n++ < IN_WORDS)
            rc = of_one_name(p, name, of);
    if (!rc && n > IN_WORDS)
        rc = buf_printf(p->b, p->err, "<li class=\"soft\">and %d measures more</li>\n", n - IN_WORDS);
    json_decref(by_name);
    return rc;
}

static size_t files_where(const json_t *report, const struct topic *t, const char *kind, bool stopped)
{
    size_t i, n = 0;
    json_t *f;
    json_array_foreach(files_of(report), i, f)
        n += *file_kind(f) && !json_is_true(json_object_get(f, "replaced")) && is_of(f, t, kind) && (!stopped || json_object_get(f, "stopped"));
    return n;
}

static int say_stopped(const struct page *p, const json_t *report, const struct topic *t, const char *kind)
{
    const size_t n = files_where(report, t, kind, true), all = files_where(report, t, kind, false);
    if (!n)
        return 0;
    return all == 1 ? page_add(p, " <b class=\"bad\">stopped before its end</b>") :
        buf_printf(p->b, p->err, " <b class=\"bad\">%zu of %zu stopped before their end</b>", n, all);
}

static int measured(const struct page *p, const json_t *report, const struct topic *t, const char *kind, const char *id, const char *title)
{
    size_t i;
    json_t *f;
    TRY(page_add(p, "<li>"));
    TRY(page_link(p, id, title));
    TRY(say_stopped(p, report, t, kind));
    TRY(page_add(p, "<ul>\n"));
    json_t *list = json_array();
    bool lost = !list;
    json_array_foreach(json_object_get(report, "figures"), i, f)
        lost = lost || (is_of(f, t, kind) && json_array_append(list, f));
    int rc = lost ? ERR(p->err, NOMEM, "no memory for a page") : t && !strcmp(t->id, "tasks") ? first_figures(p, list) : figures_in_words(p, list);
    json_decref(list);
    return rc ? rc : page_add(p, "</ul></li>\n");
}

/* ---- which parts there are ---- */

/* Of kinds that no topic knows: is this file the first of its kind? */
static bool is_first_unknown(const json_t *report, size_t i_file)
{
    const char *kind = file_kind(json_array_get(files_of(report), i_file));
    if (!*kind || topic_of(kind))
        return false;
    for (size_t i = 0; i < i_file; i++)
        if (!strcmp(file_kind(json_array_get(files_of(report), i)), kind))
            return false;
    return true;
}

typedef int each_part(const struct page *p, const json_t *report, const struct topic *t, const char *kind, const char *id, const char *title);

static int for_parts(const struct page *p, const json_t *report, each_part *what)
{
    size_t i;
    json_t *f;
    char id[40];
    for (const struct topic *t = topics; t->id; t++)
        if (files_where(report, t, NULL, false))
            TRY(what(p, report, t, NULL, t->id, t->title));
    json_array_foreach(files_of(report), i, f) {
        snprintf(id, sizeof id, "kind-%zu", i);
        if (i < PAGE_ROWS && is_first_unknown(report, i) && files_where(report, NULL, file_kind(f), false))
            TRY(what(p, report, NULL, file_kind(f), id, file_kind(f)));
    }
    return 0;
}

static int summary(const struct page *p, const json_t *report)
{
    bool any = false;
    TRY(page_title(p, "summary", "What was measured"));
    TRY(page_add(p, "<ul>\n"));
    TRY(for_parts(p, report, measured));
    TRY(page_add(p, "</ul>\n"));
    for (const struct topic *t = topics; t->id; t++) {
        if (!topic_missing(report, t))
            continue;
        TRY(any ? 0 : page_add(p, "<h3>What was not</h3>\n<ul>\n"));
        any = true;
        TRY(buf_printf(p->b, p->err, "<li>%s <code class=\"soft\">%s</code></li>\n", t->title, t->how));
    }
    return any ? page_add(p, "</ul>\n") : 0;
}

/* ---- parts ---- */

static int of_what(const struct page *p, const json_t *report, const json_t *file)
{
    const json_t *m = model_of(report, file);
    char date[40];
    TRY(page_add(p, "<h3>"));
    TRY(page_text(p, m ? read_str(m, "name") : file_kind(file)));
    TRY(buf_printf(p->b, p->err, " <span class=\"soft\">%s ", date_text(date, read_number(file, "date"))));
    TRY(m ? page_text(p, file_kind(file)) : 0);
    return page_add(p, "</span></h3>\n");
}

static const json_t *calibration_in(const json_t *evidence)
{
    const json_t *c = json_object_get(evidence, "calibration");
    return json_is_object(c) ? c : json_is_object(json_object_get(evidence, "metrics")) ? evidence : NULL;
}

static const char of_calibration[] = " calibration n classes choices_max input bins null_draws nll_clipped accuracy miscalibrated metrics reliability "
                                     "temperature conformal selective ";

/* Parts with a form of their own first; then what any kind has. */
static int any_kind(const struct page *p, const json_t *evidence, const json_t *figures)
{
    const json_t *c = calibration_in(evidence), *tasks = json_object_get(evidence, "tasks"), *ood = json_object_get(evidence, "ood");
    const bool robust = !strcmp(file_kind(evidence), "robustness") && json_array_size(tasks), others = !strcmp(file_kind(evidence), "ood") &&
        json_object_size(ood);
    TRY(page_verdict(p, evidence));
    if (!strcmp(file_kind(evidence), "images"))
        return page_images(p, evidence, figures);
    if (c)
        TRY(page_calibration(p, c));
    if (robust)
        TRY(page_robustness(p, tasks));
    if (others)
        TRY(page_other_sets(p, ood));
    TRY(c || robust || others ? page_figures_folded(p, figures) : page_figures(p, figures));
    return page_rest(p, evidence, c ? of_calibration : robust ? " tasks " : others ? " ood " : "");
}

static int body(const struct page *p, const json_t *report, size_t i_file)
{
    const json_t *evidence = json_object_get(json_array_get(files_of(report), i_file), "evidence");
    if (!strcmp(file_kind(evidence), "tasks"))
        return page_tasks(p, report, i_file);
    json_t *figures = figures_of_file(report, i_file);
    const int rc = figures ? any_kind(p, evidence, figures) : ERR(p->err, NOMEM, "no memory for a page");
    json_decref(figures);
    return rc;
}

static int part(const struct page *p, const json_t *report, const struct topic *t, const char *kind, const char *id, const char *title)
{
    const size_t n = files_where(report, t, kind, false), passed = n > FILES_OF_PART ? n - FILES_OF_PART : 0;
    size_t i, at = 0;
    json_t *f;
    TRY(page_title(p, id, title));
    if (passed)
        TRY(buf_printf(p->b, p->err, "<p class=\"soft\">The newest %d; %zu more in report.json.</p>\n", FILES_OF_PART, passed));
    json_array_foreach(files_of(report), i, f) {
        if (!*file_kind(f) || json_is_true(json_object_get(f, "replaced")) || !is_of(f, t, kind) || at++ < passed)
            continue;
        if (n > 1 || json_array_size(json_object_get(report, "models")) > 1)
            TRY(of_what(p, report, f));
        TRY(body(p, report, i));
    }
    return 0;
}

/* ---- files ---- */

static int file_row(const struct page *p, const json_t *f)
{
    const char *error = read_str(f, "error");
    const json_t *evidence = json_object_get(f, "evidence"), *seed = json_object_get(evidence, "seed") ? json_object_get(evidence, "seed") :
        read_at(evidence, "results.config.random_seed");
    char date[40];
    TRY(page_add(p, "<tr><td class=\"name\">"));
    TRY(page_text(p, read_str(f, "file")));
    TRY(page_add(p, "<br/><code class=\"soft\">"));
    TRY(page_text(p, read_str(f, "sha256")));
    TRY(page_add(p, "</code></td>"));
    if (error) {
        TRY(page_add(p, "<td></td><td></td><td class=\"s bad\">not read: "));
        TRY(page_text(p, error));
        return page_add(p, "</td></tr>\n");
    }
    TRY(page_cell(p, date_text(date, read_number(f, "date"))));
    TRY(json_is_integer(seed) ? buf_printf(p->b, p->err, "<td class=\"n\">%lld</td>", (long long)json_integer_value(seed)) : page_value_cell(p, seed));
    TRY(page_cell(p, json_is_true(json_object_get(f, "replaced")) ? "replaced by newer" : read_str(evidence, "lathe") ? read_str(evidence, "lathe") :
                  read_str(evidence, "results.lathe.build")));
    return page_add(p, "</tr>\n");
}

static int file_table(const struct page *p, const json_t *report)
{
    size_t i;
    json_t *f;
    TRY(page_title(p, "files", "Files"));
    TRY(page_table(p, "file, SHA-256|date|#seed|lathe"));
    json_array_foreach(files_of(report), i, f)
        if (i < PAGE_ROWS)
            TRY(file_row(p, f));
    TRY(page_table_end(p));
    return page_more(p, json_array_size(files_of(report)), PAGE_ROWS);
}

/* ---- all of it ---- */

static int link_of(const struct page *p, const json_t *report, const struct topic *t, const char *kind, const char *id, const char *title)
{
    (void)report, (void)t, (void)kind;
    return page_link(p, id, title);
}

int report_page(const json_t *report, const char *name, struct buf *out, struct err *err)
{
    const struct page p = { out, err };
    TRY(html_begin(out, name, err));
    TRY(head(&p, report, name));
    TRY(page_add(&p, "<nav>"));
    TRY(page_link(&p, "summary", "Summary"));
    TRY(for_parts(&p, report, link_of));
    TRY(page_link(&p, "files", "Files"));
    TRY(page_add(&p, "</nav>\n"));
    TRY(summary(&p, report));
    TRY(for_parts(&p, report, part));
    TRY(file_table(&p, report));
    return html_end(out, err);
}
