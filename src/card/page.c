/* The page in its order: what came out (the gate, the totals), where each record went, then a part for each thing that was looked at.
 * A part that the report does not have is named as not looked at: no line on this page means "none" where it could mean "unknown". */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/html.h"
#include "base/log.h"
#include "base/mem.h"
#include "card/bits.h"
#include "card/page_parts.h"
#include "card/parts.h"
#include "card/questions.h"
#include "card/read.h"

struct part { const char *id, *title; int (*write)(const struct page *p, const json_t *part, const struct card *c); };
/* id: the name in the report. */
static const struct part parts[] = {
    { "gate", "Gate", part_gate }, { "sources", "Sources", part_sources }, { "rules", "Quality rules", part_rules }, { "languages", "Languages", part_languages },
    { "signals", "Signals", part_signals }, { "duplicates", "Duplicates", part_duplicates }, { "contamination", "Contamination", part_contamination },
    { "leakage", "Leakage between splits", part_leakage }, { "pii", "Personal data", part_pii }, { "secrets", "Secrets", part_secrets },
    { "licences", "Licences", part_licences }, { "labels", "Labels", part_labels }, { "groups", "Groups", part_groups }, { "poison", "Poisoning", part_poison },
    { "faults", "Faults", part_faults },
};
#define N_PART (sizeof parts / sizeof *parts)

static const struct part *part_of(const char *id)
{
    for (size_t i = 0; i < N_PART; i++)
        if (!strcmp(parts[i].id, id))
            return &parts[i];
    return NULL;
}

/* ---- the head ---- */

static int tile_count(const struct page *p, const char *name, int64_t n, const char *beside)
{
    char text[32];
    return page_tile(p, name, read_thousands(text, n), beside);
}

static int tiles_of_totals(const struct page *p, const json_t *r)
{
    char a[32], b[64];
    const int64_t records = read_count(r, "totals.records"), kept = read_count(r, "totals.kept");
    TRY(tile_count(p, "records read", records, fmt_bytes(a, (double)read_count(r, "totals.bytes"))));
    snprintf(b, sizeof b, "%s of the records", read_share(a, (double)kept, (double)records));
    TRY(tile_count(p, "kept", kept, records ? b : NULL));
    snprintf(b, sizeof b, "%s of text", fmt_bytes(a, (double)read_count(r, "totals.text_bytes")));
    return read_at(r, "totals.words") ? tile_count(p, "words", read_count(r, "totals.words"), b) : 0;
}

static int tiles_of_findings(const struct page *p, const json_t *r)
{
    char a[64];
    if (read_at(r, "duplicates"))
        TRY(tile_count(p, "exact copies", read_count(r, "duplicates.exact.records"), NULL));
    if (read_at(r, "duplicates.near"))
        TRY(tile_count(p, "near copies", read_count(r, "duplicates.near.records"), NULL));
    if (read_at(r, "contamination")) {
        const json_t *sets = read_at(r, "contamination");
        int64_t hit = 0;
        for (size_t i = 0; i < json_array_size(sets); i++)
            hit += read_count(json_array_get(sets, i), "items_hit");
        TRY(tile_count(p, "test items found", hit, NULL));
    }
    if (isfinite(read_number(r, "pii.per_million"))) {
        snprintf(a, sizeof a, "%.4g", read_number(r, "pii.per_million"));
        TRY(page_tile(p, "personal data", a, "per million words"));
    }
    if (read_at(r, "secrets"))
        TRY(tile_count(p, "secrets", read_count(r, "secrets.n"), NULL));
    return read_at(r, "faults") ? tile_count(p, "faults", read_count(r, "faults.n"), NULL) : 0;
}

static int verdict(const struct page *p, const json_t *gate)
{
    if (!gate)
        return page_add(p, "<div class=\"note\"><b>No gate.</b> The audit had no policy to hold its findings against.</div>\n");
    size_t failed = 0, i;
    json_t *check;
    json_array_foreach(read_at(gate, "checks"), i, check)
        failed += !json_is_true(json_object_get(check, "passed"));
    const bool passed = json_is_true(json_object_get(gate, "passed"));
    TRY(page_add(p, passed ? "<div class=\"note good\"><b class=\"good\">The gate passed.</b> " : "<div class=\"note bad\"><b class=\"bad\">The gate failed.</b> "));
    TRY(buf_printf(p->b, p->err, "%zu of %zu checks hold.", json_array_size(read_at(gate, "checks")) - failed, json_array_size(read_at(gate, "checks"))));
    if (read_at(gate, "override")) {
        TRY(page_add(p, "<p>Overridden: "));
        TRY(page_text(p, read_str(gate, "override.reason")));
        TRY(page_add(p, "</p>"));
    }
    return page_add(p, "</div>\n");
}

static int head(const struct page *p, const struct card *c)
{
    size_t n_file = 0, i;
    json_t *source;
    const json_t *sources = read_at(c->report, "sources");
    json_array_foreach(sources, i, source)
        n_file += json_array_size(json_object_get(source, "files"));
    TRY(page_add(p, "<h1>"));
    TRY(page_text(p, c->name));
    TRY(buf_printf(p->b, p->err, "</h1><p class=\"soft\">audit of %zu source%s, %zu file%s · %.10s · lathe ", json_array_size(sources), json_array_size(sources) == 1 ? "" : "s", n_file,
                   n_file == 1 ? "" : "s", c->created));
    TRY(page_text(p, read_str(c->report, "lathe")));
    TRY(page_add(p, "</p>\n"));
    TRY(verdict(p, read_at(c->report, "gate")));
    TRY(page_add(p, "<div class=\"tiles\">"));
    TRY(tiles_of_totals(p, c->report));
    TRY(tiles_of_findings(p, c->report));
    return page_add(p, "</div>\n");
}

/* ---- contents ---- */

static int contents(const struct page *p, const json_t *report)
{
    TRY(page_add(p, "<nav>"));
    TRY(page_link(p, "records", "Records"));
    for (size_t i = 0; i < N_PART; i++)
        if (read_at(report, parts[i].id))
            TRY(page_link(p, parts[i].id, parts[i].title));
    TRY(page_link(p, "questions", "Open questions"));
    TRY(page_add(p, "</nav>\n"));
    bool any = false;
    for (size_t i = 0; i < N_PART; i++) {
        if (read_at(report, parts[i].id) || !strcmp(parts[i].id, "gate"))
            continue;
        TRY(page_add(p, any ? ", " : "<p class=\"soft\">Not looked at: "));
        TRY(page_text(p, parts[i].title));
        any = true;
    }
    return any ? page_add(p, ".</p>\n") : 0;
}

/* ---- the body ---- */

static int known_parts(const struct page *p, const struct card *c)
{
    for (size_t i = 0; i < N_PART; i++) {
        const json_t *part = read_at(c->report, parts[i].id);
        if (!part)
            continue;
        TRY(page_title(p, parts[i].id, parts[i].title));
        TRY(parts[i].write(p, part, c));
    }
    return 0;
}

/* What a later audit may have beyond that is shown as it stands. */
static int other_parts(const struct page *p, const json_t *report)
{
    const char *key;
    json_t *v;
    read_each(report, key, v) {
        if (part_of(key) || !strcmp(key, "lathe") || !strcmp(key, "schema") || !strcmp(key, "totals") || json_is_null(v))
            continue;
        TRY(page_add(p, "<h2>"));
        TRY(page_text(p, key));
        TRY(page_add(p, "</h2>\n"));
        TRY(page_tree(p, v, 3));
    }
    return 0;
}

/* ---- questions ---- */

static int open_question(const struct page *p, const struct card *c, int i, const char **section)
{
    enum question_state state;
    TRY(question_state(c, i, &state, p->err));
    if (state == QUESTION_ANSWERED)
        return 0;
    if (strcmp(*section, question_section(i))) {
        TRY(page_add(p, **section ? "</ul>\n<h3>" : "<h3>"));
        TRY(page_text(p, *section = question_section(i)));
        TRY(page_add(p, "</h3><ul>\n"));
    }
    TRY(page_add(p, "<li>"));
    TRY(page_text(p, question_text(i)));
    TRY(page_add(p, " <code class=\"soft\">"));
    TRY(page_text(p, question_id(i)));
    return page_add(p, state == QUESTION_PART ? "</code> <span class=\"soft\">(answered in part)</span></li>\n" : "</code></li>\n");
}

static int questions(const struct page *p, const struct card *c)
{
    const char *section = "";
    int n;
    TRY(questions_open(c, &n, p->err));
    TRY(page_title(p, "questions", "Open questions"));
    TRY(buf_printf(p->b, p->err, "<p>%d of %d. What an audit cannot know is asked in questions.yaml beside this page; datasheet.md has all answers.</p>\n", n, question_count()));
    if (!n)
        return 0;
    TRY(page_add(p, "<details><summary>What is open</summary>\n"));
    for (int i = 0; i < question_count(); i++)
        TRY(open_question(p, c, i, &section));
    return page_add(p, "</ul></details>\n");
}

int page_of_card(const struct card *c, struct buf *out, struct err *err)
{
    const struct page p = { out, err };
    TRY(html_begin(out, c->name, err));
    TRY(head(&p, c));
    TRY(contents(&p, c->report));
    TRY(page_title(&p, "records", "Where the records went"));
    TRY(part_records(&p, read_at(c->report, "totals"), c));
    TRY(known_parts(&p, c));
    TRY(other_parts(&p, c->report));
    TRY(questions(&p, c));
    return html_end(out, err);
}
