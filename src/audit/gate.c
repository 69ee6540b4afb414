#include "audit/gate.h"
#include <assert.h>
#include <ctype.h>
#include <string.h>
#include "audit/licences.h"
#include "base/buf.h"
#include "base/mem.h"

#define EVIDENCE_MAX 5

/* found: NULL, not measured. */
struct finding { bool measured; double found; json_t *evidence; };

static double count(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static void add_evidence(struct finding *f, json_t *v)
{
    if (json_array_size(f->evidence) < EVIDENCE_MAX)
        json_array_append(f->evidence, v);
}

static void add_all(struct finding *f, const json_t *list)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v)
        add_evidence(f, v);
}

static void measure(struct finding *f, double found) { f->measured = true, f->found = found; }

/* ---- the checks: each looks at its part of the report ---- */

static void find_licences(const json_t *report, struct finding *f)
{
    const json_t *list = json_object_get(json_object_get(report, "licences"), "sources");
    size_t i;
    json_t *v;
    if (!list)
        return;
    measure(f, 0);
    json_array_foreach(list, i, v)
        if (!json_is_true(json_object_get(v, "allowed")) && !licences_bind_nobody(json_object_get(report, "sources"), json_object_get(v, "source"))) {
            f->found++;
            if (json_array_size(f->evidence) < EVIDENCE_MAX)
                json_array_append_new(f->evidence, json_pack("{s:O*, s:O*, s:O*}", "source", json_object_get(v, "source"), "expression", json_object_get(v, "expression"), "why",
                                                             json_object_get(v, "why")));
        }
}

static void find_licence_conflicts(const json_t *report, struct finding *f)
{
    const json_t *list = json_object_get(json_object_get(report, "licences"), "conflicts");
    if (list)
        measure(f, (double)json_array_size(list));
    add_all(f, list);
}

/* The examples of each kind, with its name. */
static void add_kinds(struct finding *f, const json_t *kinds)
{
    const char *kind;
    json_t *k, *example;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)kinds, kind, k)
        json_array_foreach(json_object_get(k, "examples"), i, example)
            if (json_array_size(f->evidence) < EVIDENCE_MAX) {
                json_t *e = json_pack("{s:s}", "kind", kind);
                if (json_is_object(example))
                    json_object_update(e, example);
                json_array_append_new(f->evidence, e);
            }
}

/* What an expression that was given up would have found is not known. */
static bool is_whole(const json_t *part, const char *key) { return json_object_get(part, key) && !(count(json_object_get(part, "given_up"), "n") > 0); }

static void find_pii_per_million(const json_t *report, struct finding *f)
{
    const json_t *pii = json_object_get(report, "pii");
    if (is_whole(pii, "per_million"))
        measure(f, count(pii, "per_million"));
    add_kinds(f, json_object_get(pii, "entities"));
}

static void find_secrets(const json_t *report, struct finding *f)
{
    const json_t *secrets = json_object_get(report, "secrets");
    if (is_whole(secrets, "n"))
        measure(f, count(secrets, "n"));
    add_kinds(f, json_object_get(secrets, "rules"));
}

static void find_contamination(const json_t *report, struct finding *f)
{
    const json_t *list = json_object_get(report, "contamination");
    size_t i, k;
    json_t *set, *example;
    json_array_foreach(list, i, set) {
        const double items = count(set, "items"), share = items > 0 ? count(set, "items_hit") / items : 0;
        measure(f, f->measured && f->found > share ? f->found : share);
        json_array_foreach(json_object_get(set, "examples"), k, example)
            if (share > 0 && json_is_object(example) && json_array_size(f->evidence) < EVIDENCE_MAX) {
                json_t *e = json_copy(example);
                json_object_set(e, "set", json_object_get(set, "set"));
                json_array_append_new(f->evidence, e);
            }
    }
}

static void find_leakage(const json_t *report, struct finding *f)
{
    const json_t *list = json_object_get(json_object_get(report, "leakage"), "pairs");
    size_t i;
    json_t *pair;
    if (list)
        measure(f, 0);
    json_array_foreach(list, i, pair) {
        const double n = count(pair, "exact") + count(pair, "near");
        f->found += n;
        if (n > 0)
            add_evidence(f, pair);
    }
    add_all(f, json_object_get(json_object_get(report, "leakage"), "examples"));
}

static void share_of_records(const json_t *report, const json_t *n, struct finding *f)
{
    const double records = count(json_object_get(report, "totals"), "records");
    if (json_is_number(n))
        measure(f, records > 0 ? json_number_value(n) / records : 0);
}

static void find_exact_duplicates(const json_t *report, struct finding *f)
{
    const json_t *exact = json_object_get(json_object_get(report, "duplicates"), "exact");
    share_of_records(report, json_object_get(exact, "records"), f);
    add_all(f, json_object_get(exact, "examples"));
}

static void find_near_duplicates(const json_t *report, struct finding *f)
{
    const json_t *near = json_object_get(json_object_get(report, "duplicates"), "near");
    share_of_records(report, json_object_get(near, "records"), f);
    add_all(f, json_object_get(near, "examples"));
}

static void find_poison(const json_t *report, struct finding *f)
{
    const json_t *list = json_object_get(json_object_get(report, "poison"), "findings");
    if (list)
        measure(f, (double)json_array_size(list));
    add_all(f, list);
}

/* Files that could not be read, or not to their end, as a share of all: how many records they have is not known. */
static double broken_files(const json_t *report, struct finding *f)
{
    double n = 0, broken = 0;
    size_t i, k;
    json_t *source, *file;
    json_array_foreach(json_object_get(report, "sources"), i, source)
        json_array_foreach(json_object_get(source, "files"), k, file) {
            n++;
            if (!json_is_string(json_object_get(file, "error")))
                continue;
            broken++;
            if (json_array_size(f->evidence) < EVIDENCE_MAX)
                json_array_append_new(f->evidence, json_pack("{s:O*, s:O}", "file", json_object_get(file, "path"), "error", json_object_get(file, "error")));
        }
    return n > 0 ? broken / n : 0;
}

static void find_faults(const json_t *report, struct finding *f)
{
    const json_t *faults = json_object_get(report, "faults");
    const double of_files = broken_files(report, f);
    share_of_records(report, json_object_get(faults, "n"), f);
    f->found = f->found > of_files ? f->found : of_files;
    add_all(f, json_object_get(faults, "first"));
}

static void find_dropped(const json_t *report, struct finding *f)
{
    const json_t *totals = json_object_get(report, "totals"), *dropped = json_object_get(totals, "dropped");
    const double records = count(totals, "records");
    if (dropped)
        measure(f, records > 0 ? (records - count(totals, "kept")) / records : 0);
    if (json_object_size(dropped))
        add_evidence(f, (json_t *)(uintptr_t)dropped);
}

/* ---- all of them ---- */

enum { AT_MOST, AT_LEAST };
static const struct { const char *word; int side; void (*find)(const json_t *report, struct finding *f); } checks[] = {
#define GATE(word, side, doc) { #word, side, find_##word },
#include "audit/gate.def"
#undef GATE
};
static_assert(sizeof checks / sizeof *checks == N_GATE_CHECK, "a row of gate.def is a check");

/* Takes f->evidence. */
static json_t *told(const char *word, int side, double limit, struct finding *f, bool *passed)
{
    const bool good = f->measured && (side == AT_MOST ? f->found <= limit : f->found >= limit);
    *passed = *passed && good;
    if (good)
        json_array_clear(f->evidence);
    return json_pack("{s:s, s:s, s:f, s:o, s:b, s:o, s:s*}", "check", word, "of", side == AT_MOST ? "at most" : "at least", "limit", limit, "found", f->measured ? json_real(f->found) : json_null(),
                     "passed", good, "evidence", f->evidence, "why", f->measured ? NULL : "not measured");
}

static void add_languages(json_t *list, const json_t *report, const struct policy *p, bool *passed)
{
    const json_t *languages = json_object_get(report, "languages"), *wanted = json_object_get(json_object_get(p->tree, "gate"), "languages");
    const char *id;
    json_t *v;
    double all = 0;
    json_object_foreach((json_t *)(uintptr_t)languages, id, v)
        all += json_number_value(v);
    json_object_foreach((json_t *)(uintptr_t)wanted, id, v) {
        char word[80];
        struct finding f = { .evidence = json_array() };
        if (languages)
            measure(&f, all > 0 ? count(languages, id) / all : 0);
        add_evidence(&f, (json_t *)(uintptr_t)languages);
        snprintf(word, sizeof word, "languages: %.60s", id);
        json_array_append_new(list, told(word, AT_LEAST, json_number_value(v), &f, passed));
    }
}

int gate_reason_check(const char *reason, struct err *err)
{
    while (isspace((unsigned char)*reason))
        reason++;
    return *reason ? 0 : ERR(err, USAGE, "an override needs a reason, which is kept with the data");
}

int gate_of(const json_t *report, const struct policy *p, const char *reason, json_t **gate, struct err *err)
{
    *gate = NULL;
    if (reason)
        TRY(gate_reason_check(reason, err));
    const uint64_t refused = mem_json_refused();
    json_t *list = json_array();
    bool passed = true;
    for (int i = 0; i < N_GATE_CHECK; i++) {
        if (!p->limited[i])
            continue;
        struct finding f = { .evidence = json_array() };
        checks[i].find(report, &f);
        json_array_append_new(list, told(checks[i].word, checks[i].side, p->limit[i], &f, &passed));
    }
    add_languages(list, report, p, &passed);
    *gate = json_pack("{s:s, s:b, s:o}", "policy", p->name, "passed", passed, "checks", list);
    json_t *override = reason ? json_pack("{s:s}", "reason", reason) : NULL;
    int rc = *gate && refused == mem_json_refused() ? 0 : ERR(err, NOMEM, "no memory for the checks of a gate");
    if (!rc && reason && !override)
        rc = mem_json_refused() != refused ? ERR(err, NOMEM, "no memory for the checks of a gate") : ERR(err, USAGE, "the reason of an override is not UTF-8");
    if (!rc && reason && json_object_set(*gate, "override", override))
        rc = ERR(err, NOMEM, "no memory for the checks of a gate");
    json_decref(override);
    if (rc) {
        json_decref(*gate);
        *gate = NULL;
    }
    return rc;
}

int gate_verdict(const json_t *gate, struct err *err)
{
    size_t i;
    json_t *c;
    char text[400];
    size_t n = 0;
    if (json_is_true(json_object_get(gate, "passed")) || json_object_get(json_object_get(gate, "override"), "reason"))
        return 0;
    json_array_foreach(json_object_get(gate, "checks"), i, c) {
        if (json_is_true(json_object_get(c, "passed")) || n > sizeof text - 120)
            continue;
        const char *word = json_string_value(json_object_get(c, "check"));
        const json_t *found = json_object_get(c, "found");
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.60s ", n ? "; " : "", word ? word : "?");
        n += json_is_number(found) ? (size_t)snprintf(text + n, sizeof text - n, "%.4g, limit %.4g", json_number_value(found), json_number_value(json_object_get(c, "limit")))
                                   : (size_t)snprintf(text + n, sizeof text - n, "not measured");
    }
    return ERR(err, GATE, "the gate says no: %s", n ? text : "a check failed");
}
