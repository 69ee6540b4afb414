#include "card/evidence.h"
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "card/files.h"
#include "card/licences.h"
#include "card/read.h"

/* A list of more items than this is broken off, with their number. */
enum { ITEMS = 40 };

struct list { struct buf *b; struct err *err; int n; size_t at; };      /* at: where the text of the last item begins */

static const json_t *sources_of(const struct card *c) { return json_object_get(c->report, "sources"); }

/* Between a sentence and the next. */
static int gap(struct buf *b, struct err *err) { return b->len && b->data[b->len - 1] != '\n' ? buf_add_char(b, ' ', err) : 0; }

static int say(struct buf *b, const char *text, struct err *err)
{
    TRY(gap(b, err));
    return buf_add_str(b, text, err);
}

/* An item is a line, whatever lines its text has. */
static void flatten(const struct list *l)
{
    for (size_t i = l->at; l->at && i < l->b->len; i++)
        if (l->b->data[i] == '\n' || l->b->data[i] == '\r')
            l->b->data[i] = ' ';
}

/* The beginning of the next line of a list; 0 when no more are told. */
static int item(struct list *l)
{
    flatten(l);
    l->at = 0;
    if (l->n++ >= ITEMS)
        return 0;
    if (l->b->len && l->b->data[l->b->len - 1] != '\n')
        TRY(buf_add_char(l->b, '\n', l->err));
    TRY(buf_add_str(l->b, "- ", l->err));
    l->at = l->b->len;
    return 1;
}

static int end_of(struct list *l)
{
    flatten(l);
    if (l->n > ITEMS)
        TRY(buf_printf(l->b, l->err, "\n- and %d more, which report.json has", l->n - ITEMS));
    return l->n ? buf_add_char(l->b, '\n', l->err) : 0;
}

/* A line for each source that says something under this name. */
static int told_by_sources(const struct card *c, const char *key, struct buf *out, struct err *err)
{
    struct list l = { .b = out, .err = err };
    size_t i;
    json_t *s;
    json_array_foreach(sources_of(c), i, s) {
        const char *text = read_str(s, key);
        const int told = text ? item(&l) : 0;
        TRY(told);
        if (told)
            TRY(buf_printf(out, err, "%s: %s", read_str(s, "name"), text));
    }
    return end_of(&l);
}

static int count_line(struct list *l, const char *name, int64_t n, const char *what)
{
    char text[32];
    const int told = n ? item(l) : 0;
    TRY(told);
    return told ? buf_printf(l->b, l->err, "%s: %s%s%s", name, read_thousands(text, n), *what ? " " : "", what) : 0;
}

/* ---- composition ---- */

int evidence_purposes(const struct card *c, struct buf *out, struct err *err) { return told_by_sources(c, "purpose", out, err); }

int evidence_kinds(const struct card *c, struct buf *out, struct err *err)
{
    struct list l = { .b = out, .err = err };
    size_t i;
    json_t *s;
    TRY(say(out, "Texts. Each source and the format of its files:", err));
    json_array_foreach(sources_of(c), i, s) {
        const int told = item(&l);
        TRY(told);
        if (told)
            TRY(buf_printf(out, err, "%s: %s", read_str(s, "name"), source_format(s)));
    }
    return end_of(&l);
}

int evidence_counts(const struct card *c, struct buf *out, struct err *err)
{
    char a[32], b[32], share[32];
    struct list l = { .b = out, .err = err };
    size_t i;
    json_t *s;
    const int64_t records = read_count(c->report, "totals.records"), kept = read_count(c->report, "totals.kept");
    TRY(buf_printf(out, err, "%s records were read, of which %s are kept (%s).", read_thousands(a, records), read_thousands(b, kept), read_share(share, (double)kept, (double)records)));
    if (read_at(c->report, "totals.words"))
        TRY(buf_printf(out, err, " They have %s words.", read_thousands(a, read_count(c->report, "totals.words"))));
    json_array_foreach(sources_of(c), i, s) {
        const int told = item(&l);
        TRY(told);
        if (told)
            TRY(buf_printf(out, err, "%s: %s read, %s kept", read_str(s, "name"), read_thousands(a, read_count(s, "records")), read_thousands(b, read_count(s, "kept"))));
    }
    return end_of(&l);
}

int evidence_fields(const struct card *c, struct buf *out, struct err *err)
{
    struct list l = { .b = out, .err = err };
    size_t i;
    json_t *s;
    TRY(say(out, "Raw text:", err));
    json_array_foreach(sources_of(c), i, s) {
        const int told = item(&l);
        TRY(told);
        const char *format = source_format(s);
        if (told && read_str(s, "field") && (!strcmp(format, "jsonl") || !strcmp(format, "csv") || !strcmp(format, "tsv")))
            TRY(buf_printf(out, err, "%s: the field %s of each record", read_str(s, "name"), read_str(s, "field")));
        else if (told)
            TRY(buf_printf(out, err, "%s: the text of a file, or a part of it", read_str(s, "name")));
    }
    return end_of(&l);
}

/* An object's counts by name, as lines; what is no count is passed over. */
static int count_lines(const json_t *o, const char *by, const char *what, struct buf *out, struct err *err)
{
    struct list l = { .b = out, .err = err };
    const char *key;
    json_t *v;
    read_each(o, key, v)
        TRY(count_line(&l, key, *by ? read_count(v, by) : json_is_integer(v) ? json_integer_value(v) : 0, what));
    return end_of(&l);
}

/* What labels and groups have is a matter of their own parts of the report: objects of counts are told, the rest is pointed at. */
static int counts_within(const json_t *part, const char *lead, struct buf *out, struct err *err)
{
    struct list l = { .b = out, .err = err };
    const char *group, *key;
    json_t *counts, *v;
    char n[32];
    if (!json_object_size(part))
        return 0;
    TRY(say(out, lead, err));
    read_each(part, group, counts)
        read_each(counts, key, v) {
            const int told = json_is_integer(v) ? item(&l) : 0;
            TRY(told);
            if (told)
                TRY(buf_printf(out, err, "%s, %s: %s", group, key, read_thousands(n, json_integer_value(v))));
        }
    return end_of(&l);
}

/* A line of a source's classes, or of a group's mentions. */
static int classes_line(struct list *l, const json_t *s)
{
    const json_t *classes = read_at(s, "classes");
    const int told = json_array_size(classes) ? item(l) : 0;
    TRY(told);
    if (!told)
        return 0;
    TRY(buf_printf(l->b, l->err, "%s:", read_str(s, "source")));
    for (size_t i = 0; i < json_array_size(classes) && i < ITEMS; i++)
        TRY(buf_printf(l->b, l->err, "%s %s (%lld)", i ? "," : "", read_str(json_array_get(classes, i), "label") ? read_str(json_array_get(classes, i), "label") : "no name",
                       (long long)read_count(json_array_get(classes, i), "n")));
    return json_array_size(classes) > ITEMS ? buf_add_str(l->b, ", ..", l->err) : 0;
}

static int group_line(struct list *l, const json_t *g)
{
    char a[32], b[32];
    const int told = read_count(g, "mentions") ? item(l) : 0;
    TRY(told);
    return told ? buf_printf(l->b, l->err, "%s: %s mentions in %s records", read_str(g, "group"), read_thousands(a, read_count(g, "mentions")), read_thousands(b, read_count(g, "records"))) : 0;
}

static int lines_of(const json_t *list, const char *lead, int (*line)(struct list *l, const json_t *one), struct buf *out, struct err *err)
{
    struct list l = { .b = out, .err = err };
    TRY(say(out, lead, err));
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(line(&l, json_array_get(list, i)));
    return end_of(&l);
}

int evidence_labels(const struct card *c, struct buf *out, struct err *err)
{
    if (json_array_size(read_at(c->report, "labels.sources")))
        return lines_of(read_at(c->report, "labels.sources"), "Labels and how often each was counted:", classes_line, out, err);
    return counts_within(read_at(c->report, "labels"), "The audit has counted labels (report.json: labels).", out, err);
}

int evidence_groups(const struct card *c, struct buf *out, struct err *err)
{
    if (json_array_size(read_at(c->report, "groups.groups")))
        return lines_of(read_at(c->report, "groups.groups"), "Terms of groups that the audit has counted:", group_line, out, err);
    return counts_within(read_at(c->report, "groups"), "The audit has counted terms of groups (report.json: groups).", out, err);
}

int evidence_missing(const struct card *c, struct buf *out, struct err *err)
{
    char n[32];
    if (!read_at(c->report, "faults"))
        return 0;
    if (!read_count(c->report, "faults.n"))
        return say(out, "Every file was read to its end, and every record had its text.", err);
    TRY(gap(out, err));
    return buf_printf(out, err, "Faults that reading met, of files that break off, records without a text and the like: %s (report.json: faults).", read_thousands(n, read_count(c->report, "faults.n")));
}

int evidence_splits(const struct card *c, struct buf *out, struct err *err) { return told_by_sources(c, "split", out, err); }

static int near_and_exact(const struct card *c, struct buf *out, struct err *err)
{
    char a[32], b[32];
    const json_t *d = read_at(c->report, "duplicates");
    if (!d)
        return 0;
    TRY(buf_printf(out, err, "%s records are exact copies of others", read_thousands(a, read_count(d, "exact.records"))));
    if (read_at(d, "near"))
        TRY(buf_printf(out, err, ", and %s nearly so, in %s clusters", read_thousands(a, read_count(d, "near.records")), read_thousands(b, read_count(d, "near.clusters"))));
    return buf_add_str(out, ".", err);
}

int evidence_errors(const struct card *c, struct buf *out, struct err *err)
{
    TRY(near_and_exact(c, out, err));
    TRY(evidence_missing(c, out, err));
    size_t i;
    json_t *rule;
    struct list l = { .b = out, .err = err };
    if (json_array_size(read_at(c->report, "rules")))
        TRY(say(out, "Records by the rules that they break:", err));
    json_array_foreach(read_at(c->report, "rules"), i, rule)
        TRY(count_line(&l, read_str(rule, "id"), read_count(rule, "records"), ""));
    return end_of(&l);
}

int evidence_contained(const struct card *c, struct buf *out, struct err *err)
{
    size_t n = 0, i;
    json_t *s;
    char text[32];
    json_array_foreach(sources_of(c), i, s)
        n += json_array_size(json_object_get(s, "files"));
    return buf_printf(out, err, "The records are those of %s files, which croissant.json names with their SHA-256.", read_thousands(text, (int64_t)n));
}

int evidence_given_up(const json_t *part, struct buf *out, struct err *err)
{
    char n[32], records[32];
    const int64_t all = read_count(part, "given_up.n");
    if (!all)
        return 0;
    TRY(gap(out, err));
    return buf_printf(out, err, "Patterns came to their limits in %s place%s of %s records: what they would have found there may be missing.", read_thousands(n, all), all == 1 ? "" : "s",
                      read_thousands(records, read_count(part, "given_up.records")));
}

int evidence_secrets(const struct card *c, struct buf *out, struct err *err)
{
    char n[32];
    const json_t *secrets = read_at(c->report, "secrets");
    if (!secrets)
        return 0;
    TRY(evidence_given_up(secrets, out, err));
    if (!read_count(secrets, "n"))
        return say(out, read_count(secrets, "given_up.n") ? "Else none was found." : "Patterns of keys, tokens and passwords were looked for; none was found.", err);
    TRY(gap(out, err));
    TRY(buf_printf(out, err, "Places that look like keys, tokens or passwords: %s.", read_thousands(n, read_count(secrets, "n"))));
    return count_lines(read_at(c->report, "secrets.rules"), "n", "", out, err);
}

int evidence_personal(const struct card *c, struct buf *out, struct err *err)
{
    const json_t *kinds = read_at(c->report, "pii.entities");
    int64_t all = 0;
    const char *key;
    json_t *v;
    if (!kinds)
        return 0;
    TRY(evidence_given_up(read_at(c->report, "pii"), out, err));
    read_each(kinds, key, v)
        all += read_count(v, "n");
    if (!all)
        return say(out, read_count(c->report, "pii.given_up.n") ? "Else none was found. Names and places were not looked for." : "Patterns of personal data (addresses, numbers of cards, accounts and phones) were looked for; none was found. Names and places were not looked for.", err);
    TRY(say(out, "Found by patterns and checksums, which know nothing of names:", err));
    return count_lines(kinds, "n", "", out, err);
}

/* ---- collection and cleaning ---- */

int evidence_origins(const struct card *c, struct buf *out, struct err *err) { return told_by_sources(c, "origin", out, err); }
int evidence_times(const struct card *c, struct buf *out, struct err *err) { return told_by_sources(c, "collected", out, err); }

int evidence_cleaning(const struct card *c, struct buf *out, struct err *err)
{
    const json_t *dropped = read_at(c->report, "totals.dropped");
    bool any = false;
    const char *key;
    json_t *v;
    read_each(dropped, key, v)
        any = any || json_integer_value(v);
    if (!any)
        return say(out, "The audit drops no record.", err);
    TRY(say(out, "Records that the audit drops, by the first reason:", err));
    return count_lines(dropped, "", "", out, err);
}

int evidence_raw(const struct card *c, struct buf *out, struct err *err)
{
    (void)c;
    return say(out, "The audit leaves the sources as they are. Their files are named with size and SHA-256, so that a copy can be told from another.", err);
}

int evidence_software(const struct card *c, struct buf *out, struct err *err)
{
    return buf_printf(out, err, "Audited by lathe %s. The rules are named with their versions in report.json.", read_str(c->report, "lathe"));
}

/* ---- uses ---- */

static int contaminated(const struct card *c, struct buf *out, struct err *err)
{
    struct list l = { .b = out, .err = err };
    size_t i;
    json_t *set;
    json_array_foreach(read_at(c->report, "contamination"), i, set) {
        char hit[32], all[32];
        const int told = read_count(set, "items_hit") ? item(&l) : 0;
        TRY(told);
        if (told)
            TRY(buf_printf(out, err, "%s of %s items of %s occur in it: a model trained on it must not be judged by them", read_thousands(hit, read_count(set, "items_hit")),
                           read_thousands(all, read_count(set, "items")), read_str(set, "set")));
    }
    return end_of(&l);
}

static int languages(const struct card *c, struct buf *out, struct err *err)
{
    const json_t *l = read_at(c->report, "languages");
    const char *key, *most = NULL;
    json_t *v;
    int64_t n = 0, all = 0;
    char share[32];
    read_each(l, key, v) {
        all += json_integer_value(v);
        if (json_integer_value(v) > n && strcmp(key, "un") && strcmp(key, "unknown"))
            n = json_integer_value(v), most = key;
    }
    return most ? buf_printf(out, err, "%s of the records are of one language (%s).", read_share(share, (double)n, (double)all), most) : 0;
}

int evidence_limits(const struct card *c, struct buf *out, struct err *err)
{
    TRY(languages(c, out, err));
    const size_t findings = json_array_size(read_at(c->report, "poison.findings")), pairs = json_array_size(read_at(c->report, "leakage.pairs"));
    if (findings)
        TRY(buf_printf(out, err, "%sSequences of words that are tied to a label or a continuation far beyond chance: %zu (report.json: poison).", out->len ? " " : "", findings));
    if (pairs)
        TRY(buf_printf(out, err, "%sPairs of splits that share records: %zu (report.json: leakage).", out->len ? " " : "", pairs));
    return contaminated(c, out, err);
}

int evidence_forbidden(const struct card *c, struct buf *out, struct err *err)
{
    struct list l = { .b = out, .err = err };
    size_t i;
    json_t *s;
    json_array_foreach(read_at(c->report, "licences.sources"), i, s) {
        const int told = json_is_false(json_object_get(s, "allowed")) ? item(&l) : 0;
        TRY(told);
        if (told)
            TRY(buf_printf(out, err, "%s: the licence is not known to allow the declared use%s%s", read_str(s, "source"), read_str(s, "why") ? ", " : "", read_str(s, "why") ? read_str(s, "why") : ""));
    }
    return end_of(&l);
}

/* ---- licences ---- */

int evidence_licences(const struct card *c, struct buf *out, struct err *err)
{
    struct list l = { .b = out, .err = err };
    size_t i;
    json_t *s;
    TRY(say(out, "The sources stand under:", err));
    json_array_foreach(sources_of(c), i, s) {
        const int told = item(&l);
        TRY(told);
        if (told)
            TRY(buf_printf(out, err, "%s: %s", read_str(s, "name"), licence_of_source(c, s) ? licence_of_source(c, s) : "unknown, which allows nothing"));
    }
    return end_of(&l);
}

int evidence_duties(const struct card *c, struct buf *out, struct err *err)
{
    struct list l = { .b = out, .err = err };
    size_t i, j;
    json_t *s, *duty;
    json_array_foreach(read_at(c->report, "licences.sources"), i, s) {
        const json_t *duties = read_at(s, "obligations");
        const int told = json_array_size(duties) ? item(&l) : 0;
        TRY(told);
        if (!told)
            continue;
        TRY(buf_printf(out, err, "%s: ", read_str(s, "source")));
        json_array_foreach(duties, j, duty)
            TRY(buf_printf(out, err, "%s%s", j ? ", " : "", json_string_value(duty)));
    }
    return end_of(&l);
}
