#include "report/outline.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/html.h"
#include "card/mark.h"
#include "report/parts.h"

struct section { enum outline_kind document; const char *id, *title, *words, *open; };
enum { RMF = OUTLINE_RMF, ANNEX_IV = OUTLINE_ANNEX_IV, GDPR = OUTLINE_GDPR };
static const struct section sections[] = {
#define SECTION(document, id, title, words, open) { (enum outline_kind)document, id, title, words, open },
#include "report/outline.def"
#undef SECTION
};

static const struct { const char *name, *title, *about; } documents[N_OUTLINE] = {
    [OUTLINE_RMF] = { "nist-ai-rmf", "NIST AI RMF 1.0: GOVERN, MAP and MANAGE", "What this registry has for each category of three functions of NIST AI 100-1, and what is open.  MEASURE is in nist-measure.md." },
    [OUTLINE_ANNEX_IV] = { "annex-iv", "Technical documentation: outline of Annex IV of the EU AI Act", "What this registry has for each point of Annex IV of Regulation (EU) 2024/1689, and what is open." },
    [OUTLINE_GDPR] = { "gdpr", "GDPR: record of processing and impact assessment, outline", "What this registry has for Articles 30, 17 and 35 of Regulation (EU) 2016/679, and what is open." },
};

const char *outline_name(enum outline_kind kind) { return documents[kind].name; }
const char *outline_title(enum outline_kind kind) { return documents[kind].title; }

/* ---- evidence: sentences, each perhaps with the file that says it ---- */

enum { MOST = 12 };            /* lines of a kind in a section */
struct making { struct doc d; struct buf b; const struct outline_of *of; json_t *list; struct err *err; };

/* What stands in b becomes a line. */
static void say(struct making *m, const char *file, const char *sha256)
{
    json_t *o = doc_add(&m->d, m->list, doc_object(&m->d));
    doc_text(&m->d, o, "what", &m->b);
    doc_str(&m->d, o, "file", file);
    doc_str(&m->d, o, "sha256", sha256);
    buf_clear(&m->b);
}

__attribute__((format(printf, 2, 3))) static void add(struct making *m, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    if (buf_vprintf(&m->b, m->err, format, list))
        m->d.failed = true;
    va_end(list);
}

static void more(struct making *m, size_t n)
{
    if (n <= MOST)
        return;
    add(m, "and %zu more", n - MOST);
    say(m, NULL, NULL);
}

static const char *or_none(const char *s) { return s ? s : "none given"; }

static void identity(struct making *m)
{
    const json_t *v = m->of->version;
    add(m, "%s@%lld, root %s, added %s by %s; reason: %s", or_none(read_str(v, "name")), (long long)read_count(v, "number"), or_none(read_str(v, "root")), or_none(read_str(v, "t")),
        or_none(read_str(v, "actor")), or_none(read_str(v, "reason")));
    say(m, NULL, NULL);
}

static void files(struct making *m)
{
    char bytes[32];
    add(m, "%zu files, %s bytes", json_array_size(read_at(m->of->version, "files")), read_thousands(bytes, read_count(m->of->version, "bytes")));
    say(m, NULL, NULL);
}

/* Plain values of what was read off the model's files. */
static void facts(struct making *m)
{
    const char *key;
    json_t *v;
    read_each(read_at(m->of->version, "facts"), key, v) {
        if (json_is_string(v))
            add(m, "%s%s %s", m->b.len ? ", " : "Read off its files: ", key, json_string_value(v));
        else if (json_is_integer(v))
            add(m, "%s%s %lld", m->b.len ? ", " : "Read off its files: ", key, (long long)json_integer_value(v));
    }
    if (m->b.len)
        say(m, NULL, NULL);
}

static void software(struct making *m)
{
    size_t i, n = 0;
    json_t *f;
    json_array_foreach(read_at(m->of->report, "files"), i, f) {
        const char *by = read_str(f, "evidence.lathe") ? read_str(f, "evidence.lathe") : read_str(f, "evidence.results.lathe.build");
        if (!by || ++n > MOST)
            continue;
        add(m, "evaluated by %s%s", strncmp(by, "lathe", 5) ? "lathe " : "", by);
        say(m, read_str(f, "file"), read_str(f, "sha256"));
    }
    more(m, n);
}

static void parents(struct making *m)
{
    size_t i;
    json_t *o;
    json_array_foreach(read_at(m->of->version, "parents"), i, o) {
        add(m, "made from %s (%s)", or_none(read_str(o, "parent")), or_none(read_str(o, "role")));
        say(m, NULL, NULL);
    }
}

static void audits(struct making *m)
{
    size_t i;
    json_t *a;
    char records[32], kept[32];
    json_array_foreach(m->of->audits, i, a) {
        const json_t *passed = read_at(a, "report.gate.passed");
        add(m, "an audit of %s records, of which %s were kept%s", read_thousands(records, read_count(a, "report.totals.records")), read_thousands(kept, read_count(a, "report.totals.kept")),
            passed ? json_is_true(passed) ? "; its gate passed" : "; its gate said no" : "");
        say(m, read_str(a, "file"), read_str(a, "sha256"));
    }
}

static void licences(struct making *m)
{
    size_t i, j, n = 0;
    json_t *a, *s;
    json_array_foreach(m->of->audits, i, a)
        json_array_foreach(read_at(a, "report.licences.sources"), j, s)
            if (++n <= MOST) {
                add(m, "source %s: licence %s%s", or_none(read_str(s, "source")), or_none(read_str(s, "expression")), json_is_false(read_at(s, "allowed")) ? ", which does not allow this use" : "");
                say(m, read_str(a, "file"), read_str(a, "sha256"));
            }
    more(m, n);
}

static void personal(struct making *m)
{
    size_t i;
    json_t *a, *v;
    const char *kind;
    json_array_foreach(m->of->audits, i, a) {
        const json_t *found = read_at(a, "report.pii.entities");
        if (!found)
            continue;
        add(m, "personal data that the audit's patterns found:%s", json_object_size(found) ? "" : " none");
        read_each(found, kind, v)
            add(m, " %s %lld;", kind, (long long)read_count(v, "n"));
        say(m, read_str(a, "file"), read_str(a, "sha256"));
    }
}

static void tests(struct making *m)
{
    size_t i;
    json_t *f;
    char date[40];
    const json_t *all = read_at(m->of->report, "files");
    json_array_foreach(all, i, f)
        if (i < MOST) {
            if (read_str(f, "error"))
                add(m, "not read: %s", read_str(f, "error"));
            else
                add(m, "%s of %s", file_kind(f), isfinite(read_number(f, "date")) ? date_text(date, read_number(f, "date")) : "no date");
            say(m, read_str(f, "file"), read_str(f, "sha256"));
        }
    more(m, json_array_size(all));
}

static void figures(struct making *m, const char *about)
{
    const json_t *all = read_at(m->of->report, "figures");
    size_t i, n = 0;
    json_t *f;
    char text[96];
    json_array_foreach(all, i, f) {
        const json_t *file = json_array_get(read_at(m->of->report, "files"), (size_t)read_count(f, "file"));
        if (!isfinite(read_number(f, "value")) || !figure_is_about(f, about) || ++n > MOST)
            continue;
        add(m, "%s: %s%s%s: %s", or_none(read_str(f, "kind")), or_none(read_str(f, "name")), read_str(f, "of") ? ", " : "", read_str(f, "of") ? read_str(f, "of") : "", figure_interval(text, f));
        say(m, read_str(file, "file"), read_str(file, "sha256"));
    }
    more(m, n);
}

/* Records of the journal that `is` takes. */
static void records(struct making *m, bool (*is)(const json_t *record))
{
    size_t i, n = 0;
    json_t *r;
    json_array_foreach(m->of->history, i, r) {
        if (!is(r) || ++n > MOST)
            continue;
        add(m, "record %lld, %s: %s", (long long)read_count(r, "seq"), or_none(read_str(r, "t")), or_none(read_str(r, "action")));
        if (read_count(r, "number"))
            add(m, " of version %lld", (long long)read_count(r, "number"));
        if (read_str(r, "alias"))
            add(m, " for %s", read_str(r, "alias"));
        add(m, " by %s%s%s", or_none(read_str(r, "actor")), read_str(r, "reason") ? ", because: " : "", read_str(r, "reason") ? read_str(r, "reason") : "");
        say(m, NULL, read_str(r, "hash"));
    }
    more(m, n);
}

static bool is_action(const json_t *r, const char *name) { return read_str(r, "action") && !strcmp(read_str(r, "action"), name); }
static bool any_record(const json_t *r) { return r != NULL; }
static bool is_policy(const json_t *r) { return is_action(r, "policy"); }
static bool is_override(const json_t *r) { return read_at(r, "override") || read_at(r, "gates.override"); }
static bool is_release(const json_t *r) { return is_action(r, "promote") || is_action(r, "rollback") || is_action(r, "settle") || is_action(r, "withdraw"); }

static void actors(struct making *m)
{
    json_t *seen = doc_object(&m->d), *r;
    size_t i;
    const char *actor;
    json_array_foreach(m->of->history, i, r)
        if (read_str(r, "actor"))
            doc_int(&m->d, seen, read_str(r, "actor"), json_integer_value(json_object_get(seen, read_str(r, "actor"))) + 1);
    json_object_foreach(seen, actor, r) {
        add(m, "%s made %lld of the journal's records", actor, (long long)json_integer_value(r));
        say(m, NULL, NULL);
    }
    json_decref(seen);
}

static void of_kind(struct making *m, const char *kind, const char *what)
{
    size_t i;
    json_t *e;
    json_array_foreach(read_at(m->of->version, "evidence"), i, e)
        if (read_str(e, "kind") && !strcmp(read_str(e, "kind"), kind)) {
            add(m, "%s, kept since %s", what, or_none(read_str(e, "t")));
            say(m, read_str(e, "file"), read_str(e, "blob"));
        }
}

/* How it was trained: run.json of the run is one of its files. */
static void training(struct making *m)
{
    size_t i;
    json_t *f;
    json_array_foreach(read_at(m->of->version, "files"), i, f)
        if (read_str(f, "name") && (!strcmp(read_str(f, "name"), "run.json") || !strcmp(read_str(f, "name"), "metrics.jsonl"))) {
            add(m, "%s", !strcmp(read_str(f, "name"), "run.json") ? "settings, data with their digests, machine and plan of its training" : "loss, rates and load of each step of its training");
            say(m, read_str(f, "name"), read_str(f, "sha256"));
        }
}

static void signature(struct making *m) { of_kind(m, "signature", "a signature of its files"); }
static void history(struct making *m) { records(m, any_record); }
static void policies(struct making *m) { records(m, is_policy); }
static void overrides(struct making *m) { records(m, is_override); }
static void releases(struct making *m) { records(m, is_release); }

static void word(struct making *m, const char *w)
{
    static const struct { const char *word; void (*say)(struct making *m); } known[] = {
        { "identity", identity }, { "files", files }, { "facts", facts }, { "software", software }, { "parents", parents }, { "audit", audits }, { "licences", licences },
        { "personal", personal }, { "tests", tests }, { "history", history }, { "policy", policies }, { "override", overrides }, { "releases", releases }, { "actors", actors },
        { "signature", signature }, { "training", training },
    };
    if (!strncmp(w, "figures:", 8))
        figures(m, w + 8);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(w, known[i].word))
            known[i].say(m);
}

static void add_section(struct making *m, json_t *all, const struct section *s)
{
    char w[40];
    json_t *o = doc_add(&m->d, all, doc_object(&m->d));
    m->list = doc_list(&m->d);
    for (const char *at = s->words; *at; at += strspn(at, " ")) {
        const size_t n = strcspn(at, " ");
        snprintf(w, sizeof w, "%.*s", (int)n, at);
        word(m, w);
        at += n;
    }
    doc_str(&m->d, o, "id", s->id);
    doc_str(&m->d, o, "title", s->title);
    doc_str(&m->d, o, "status", json_array_size(m->list) ? "evidence" : "open");
    doc_put(&m->d, o, "evidence", m->list);
    doc_str(&m->d, o, "open", s->open);
}

int outline_make(json_t **out, enum outline_kind kind, const struct outline_of *of, struct err *err)
{
    struct making m = { .of = of, .err = err };
    char name[200];
    buf_init(&m.b);
    json_t *o = doc_object(&m.d);
    snprintf(name, sizeof name, "%s@%lld", or_none(read_str(of->version, "name")), (long long)read_count(of->version, "number"));
    doc_str(&m.d, o, "document", documents[kind].title);
    doc_str(&m.d, o, "about", documents[kind].about);
    doc_str(&m.d, o, "version", name);
    doc_str(&m.d, o, "root", read_str(of->version, "root"));
    json_t *all = doc_put(&m.d, o, "sections", doc_list(&m.d));
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (sections[i].document == kind)
            add_section(&m, all, &sections[i]);
    buf_release(&m.b);
    if (m.d.failed) {
        json_decref(o);
        return ERR(err, NOMEM, "no memory for a document");
    }
    *out = o;
    return 0;
}

/* ---- as Markdown ---- */

static int text_line(struct buf *b, const json_t *e, struct err *err)
{
    TRY(buf_add_str(b, "- ", err));
    TRY(md_text(b, read_str(e, "what"), err));
    if (read_str(e, "file")) {
        TRY(buf_add_str(b, " — ", err));
        TRY(md_text(b, read_str(e, "file"), err));
    }
    if (read_str(e, "sha256"))
        TRY(buf_printf(b, err, " `%.12s`", read_str(e, "sha256")));
    return buf_add_char(b, '\n', err);
}

static size_t with_evidence(const json_t *outline)
{
    size_t i, n = 0;
    json_t *s;
    json_array_foreach(read_at(outline, "sections"), i, s)
        n += json_array_size(read_at(s, "evidence")) > 0;
    return n;
}

static const char note[] = "That a duty is met is never said here; this is for the people who answer for it, and it is no legal advice.";

int outline_text(const json_t *outline, struct buf *b, struct err *err)
{
    size_t i, j;
    json_t *s, *e;
    TRY(buf_printf(b, err, "# %s\n\n%s\n%s\n\nVersion ", read_str(outline, "document"), read_str(outline, "about"), note));
    TRY(md_text(b, read_str(outline, "version"), err));
    TRY(buf_printf(b, err, ", root `%s`. %zu of %zu sections have evidence; something is open in each.\n", read_str(outline, "root"), with_evidence(outline), json_array_size(read_at(outline, "sections"))));
    json_array_foreach(read_at(outline, "sections"), i, s) {
        TRY(buf_printf(b, err, "\n## %s %s\n\n", read_str(s, "id"), read_str(s, "title")));
        json_array_foreach(read_at(s, "evidence"), j, e)
            TRY(text_line(b, e, err));
        TRY(buf_printf(b, err, "%s**Open**: %s.\n", json_array_size(read_at(s, "evidence")) ? "\n" : "", read_str(s, "open")));
    }
    return 0;
}

/* ---- as a page ---- */

static int page_line(const struct page *p, const json_t *e)
{
    TRY(page_add(p, "<li>"));
    TRY(page_text(p, read_str(e, "what")));
    if (read_str(e, "file")) {
        TRY(page_add(p, " &ndash; <code>"));
        TRY(page_text(p, read_str(e, "file")));
        TRY(page_add(p, "</code>"));
    }
    if (read_str(e, "sha256")) {
        TRY(page_add(p, " <code>"));
        TRY(html_text(p->b, read_str(e, "sha256"), 12, p->err));
        TRY(page_add(p, "</code>"));
    }
    return page_add(p, "</li>\n");
}

static int page_section(const struct page *p, const json_t *s)
{
    size_t i;
    json_t *e;
    char title[600];
    snprintf(title, sizeof title, "%s %s", read_str(s, "id"), read_str(s, "title"));
    TRY(page_subtitle(p, title));
    if (json_array_size(read_at(s, "evidence"))) {
        TRY(page_add(p, "<ul>\n"));
        json_array_foreach(read_at(s, "evidence"), i, e)
            TRY(page_line(p, e));
        TRY(page_add(p, "</ul>\n"));
    }
    TRY(page_add(p, "<p><strong>Open</strong>: "));
    TRY(page_text(p, read_str(s, "open")));
    return page_add(p, ".</p>\n");
}

int outline_page(const json_t *outline, struct buf *b, struct err *err)
{
    const struct page p = { .b = b, .err = err };
    size_t i;
    json_t *s;
    TRY(html_begin(b, read_str(outline, "document"), err));
    TRY(page_paragraph(&p, read_str(outline, "about")));
    TRY(page_paragraph(&p, note));
    TRY(page_add(&p, "<p>Version "));
    TRY(page_text(&p, read_str(outline, "version")));
    TRY(page_add(&p, ", root <code>"));
    TRY(page_text(&p, read_str(outline, "root")));
    TRY(page_add(&p, "</code></p>\n"));
    json_array_foreach(read_at(outline, "sections"), i, s)
        TRY(page_section(&p, s));
    return html_end(b, err);
}
