/* README.md as the Hugging Face Hub reads it: fields in YAML, of which only those are there that are known, then the text. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "card/evidence.h"
#include "card/files.h"
#include "card/licences.h"
#include "card/mark.h"
#include "card/questions.h"
#include "card/read.h"

static const json_t *sources_of(const struct card *c) { return json_object_get(c->report, "sources"); }

/* ---- fields ---- */

/* Did an earlier source say the same? */
static bool said_before(const json_t *sources, size_t n, const char *key, const char *value)
{
    for (size_t i = 0; i < n; i++) {
        const char *s = read_str(json_array_get(sources, i), key);
        if (s && !strcmp(s, value))
            return true;
    }
    return false;
}

/* A tag of two or three letters, perhaps with a region or script: "en", "zh-Hant". */
static bool is_language(const char *s)
{
    const size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz");
    if (n < 2 || n > 3 || strlen(s) > 20)
        return false;
    for (s += n; *s; s++)
        if (*s != '-' && !isalnum((unsigned char)*s))
            return false;
    return true;
}

static int languages(const struct card *c, struct buf *out, struct err *err)
{
    size_t i;
    json_t *s;
    int n = 0;
    json_array_foreach(sources_of(c), i, s) {
        const char *l = read_str(s, "language");
        if (!l || !is_language(l) || said_before(sources_of(c), i, "language", l))
            continue;
        TRY(buf_add_str(out, n++ ? "" : "language:\n", err));
        TRY(buf_add_str(out, "- ", err));
        TRY(yaml_text(out, l, err));
        TRY(buf_add_char(out, '\n', err));
    }
    return n ? buf_printf(out, err, "multilinguality:\n- %s\n", n > 1 ? "multilingual" : "monolingual") : 0;
}

static int licence(const struct card *c, struct buf *out, struct err *err)
{
    struct buf whole;
    buf_init(&whole);
    int rc = licence_of_card(c, &whole, err);
    const char *id = rc || !whole.len ? NULL : licence_hub_id(whole.data);
    if (!rc && !whole.len)
        rc = buf_add_str(out, "license: unknown\n", err);
    else if (!rc && id)
        rc = buf_printf(out, err, "license: %s\n", id);
    else if (!rc && !(rc = buf_add_str(out, "license: other\nlicense_name: ", err)) && !(rc = yaml_text(out, whole.data, err)))
        rc = buf_add_char(out, '\n', err);
    buf_release(&whole);
    return rc;
}

static int size(const struct card *c, struct buf *out, struct err *err)
{
    static const char *const words[] = { "1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T" };
    enum { N = sizeof words / sizeof *words };
    const double n = (double)read_count(c->report, "totals.kept");
    double limit = 1000;
    int i = 0;
    while (i < N && n >= limit)
        i++, limit *= 10;
    if (i == 0)
        return buf_add_str(out, "size_categories:\n- n<1K\n", err);
    return i == N ? buf_add_str(out, "size_categories:\n- n>1T\n", err) : buf_printf(out, err, "size_categories:\n- %s<n<%s\n", words[i - 1], words[i]);
}

/* Where a build has written splits, the Hub's loader finds them by this. */
static int configs(const struct card *c, struct buf *out, struct err *err)
{
    size_t i;
    json_t *f;
    int n = 0;
    json_array_foreach(c->files, i, f) {
        if (!read_str(f, "split") || said_before(c->files, i, "split", read_str(f, "split")))
            continue;
        TRY(buf_add_str(out, n++ ? "  - split: " : "configs:\n- config_name: default\n  data_files:\n  - split: ", err));
        TRY(yaml_text(out, read_str(f, "split"), err));
        TRY(buf_add_str(out, "\n    path:\n", err));
        for (size_t j = i; j < json_array_size(c->files); j++) {
            const json_t *other = json_array_get(c->files, j);
            if (!read_str(other, "split") || strcmp(read_str(other, "split"), read_str(f, "split")))
                continue;
            TRY(buf_add_str(out, "    - ", err));
            TRY(yaml_text(out, read_str(other, "path"), err));
            TRY(buf_add_char(out, '\n', err));
        }
    }
    return 0;
}

static int fields(const struct card *c, struct buf *out, struct err *err)
{
    TRY(buf_add_str(out, "---\npretty_name: ", err));
    TRY(yaml_text(out, c->name, err));
    TRY(buf_add_char(out, '\n', err));
    TRY(languages(c, out, err));
    TRY(licence(c, out, err));
    TRY(size(c, out, err));
    TRY(configs(c, out, err));
    return buf_add_str(out, "---\n\n", err);
}

/* ---- text ---- */

/* A section of what is known, what was said, or that it is open. */
static int section(const struct card *c, const char *title, const char *id, int (*evidence)(const struct card *c, struct buf *out, struct err *err), struct buf *out, struct err *err)
{
    struct buf known;
    buf_init(&known);
    int rc = evidence ? evidence(c, &known, err) : 0;
    if (!rc)
        rc = buf_printf(out, err, "\n## %s\n\n", title);
    if (!rc && known.len)
        rc = md_lines(out, known.data, err);
    const char *said = id ? card_answer(c, id) : NULL;
    if (!rc && said && known.len)
        rc = buf_add_char(out, '\n', err);
    if (!rc && said)
        rc = md_lines(out, said, err);
    if (!rc && !said && !known.len)
        rc = buf_printf(out, err, "**Open**%s%s%s\n", id ? ": `" : ": nothing was measured.", id ? id : "", id ? "` of questions.yaml" : "");
    buf_release(&known);
    return rc;
}

static int source_table(const struct card *c, struct buf *out, struct err *err)
{
    enum { LICENCE = 1, FORMAT = 2 };
    static const char *const columns[] = { "name", "licence", "format", "language", "split", "collected", "origin" };
    char n[32];
    size_t i;
    json_t *s;
    TRY(buf_add_str(out, "\n## Sources\n\n| source | licence | format | language | split | collected | origin | records | kept |\n|---|---|---|---|---|---|---|---:|---:|\n", err));
    json_array_foreach(sources_of(c), i, s) {
        TRY(buf_add_str(out, "| ", err));
        for (size_t j = 0; j < sizeof columns / sizeof *columns; j++)
            TRY(md_cell(out, j == LICENCE ? licence_of_source(c, s) : j == FORMAT ? source_format(s) : read_str(s, columns[j]) ? read_str(s, columns[j]) : NULL, err));
        TRY(md_cell(out, read_thousands(n, read_count(s, "records")), err));
        TRY(buf_printf(out, err, "%s |\n", read_thousands(n, read_count(s, "kept"))));
    }
    return 0;
}

static int head(const struct card *c, struct buf *out, struct err *err)
{
    TRY(buf_add_str(out, "# ", err));
    TRY(md_text(out, c->name, err));
    TRY(buf_add_str(out, "\n\n", err));
    return card_answer(c, "about.description") ? md_lines(out, card_answer(c, "about.description"), err) : buf_add_str(out, "**Open**: `about.description` of questions.yaml\n", err);
}

static int gate(const struct card *c, struct buf *out, struct err *err)
{
    const json_t *g = read_at(c->report, "gate");
    if (!g)
        return 0;
    TRY(buf_printf(out, err, "\nThe audit's gate %s", json_is_true(json_object_get(g, "passed")) ? "passed" : "failed"));
    if (read_str(g, "override.reason")) {
        TRY(buf_add_str(out, ", and was overridden: ", err));
        TRY(md_text(out, read_str(g, "override.reason"), err));
    }
    return buf_add_str(out, ".\n", err);
}

int hub_of_card(const struct card *c, struct buf *out, struct err *err)
{
    int n;
    TRY(fields(c, out, err));
    TRY(head(c, out, err));
    TRY(section(c, "Size", NULL, evidence_counts, out, err));
    TRY(gate(c, out, err));
    TRY(source_table(c, out, err));
    TRY(section(c, "Structure", NULL, evidence_fields, out, err));
    TRY(section(c, "Purpose", "motivation.purpose", evidence_purposes, out, err));
    TRY(section(c, "Cleaning", "preprocessing.done", evidence_cleaning, out, err));
    TRY(section(c, "Errors and copies", NULL, evidence_errors, out, err));
    TRY(section(c, "Personal data", "composition.identifiable", evidence_personal, out, err));
    TRY(section(c, "Secrets", "composition.confidential", evidence_secrets, out, err));
    TRY(section(c, "Limits", "uses.impact", evidence_limits, out, err));
    TRY(section(c, "Uses that it is not for", "uses.unsuitable", evidence_forbidden, out, err));
    TRY(section(c, "Duties", "distribution.restrictions", evidence_duties, out, err));
    TRY(section(c, "Citation", "about.citation", NULL, out, err));
    TRY(questions_open(c, &n, err));
    return buf_printf(out, err, "\n## More\n\n`report.html` shows what was measured, with examples; `report.json` has all of it for programs; `datasheet.md` the whole datasheet, in which\n"
                                "%d of %d questions are open; `croissant.json`, `spdx.json` and `cyclonedx.json` say the same in these formats.\n", n, question_count());
}
