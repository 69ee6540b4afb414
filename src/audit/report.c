#include "audit/report.h"
#include "audit/gate.h"
#include "audit/licences.h"
#include "audit/opened.h"
#include <lathe.h>
#include <string.h>
#include "data/language.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"

#define FAULTS_SHOWN 100

struct tally { int64_t records, kept; uint64_t bytes, text_bytes, words; };

struct totals { struct tally all, *source, *file; int64_t dropped[UINT16_MAX + 1]; };

/* ---- faults ---- */

struct faults { json_t *first; int64_t n; };

static int add_fault(struct audit *a, struct faults *f, const struct segment *g, int i, struct err *err)
{
    size_t n;
    const char *why = SEGMENT_ROW(g, why, char, i, &n);
    const struct record_place *p = segment_place(g, i);
    if (f->n++ >= FAULTS_SHOWN)
        return 0;
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:s, s:s%}", "file", a->s->file[p->file].path, "record", (json_int_t)(g->first + i), "line", (json_int_t)p->line, "at", (json_int_t)p->at, "fault",
                          record_fault_word((enum record_fault)p->fault), "why", why, n);
    return o && !json_array_append_new(f->first, o) ? 0 : ERR(err, NOMEM, "no memory for a report of faults");
}

int stage_faults(struct audit *a, struct err *err)
{
    struct faults f = { .first = json_array() };
    int rc = f.first ? 0 : ERR(err, NOMEM, "no memory for a report of faults");
    for (int i = 0; i < a->store.n_segment && !rc; i++) {
        struct segment g;
        if ((rc = store_segment(&a->store, i, &g, err)))
            break;
        for (int k = 0; k < g.n && !rc; k++)
            if (segment_place(&g, k)->fault)
                rc = add_fault(a, &f, &g, k, err);
        segment_release(&g);
    }
    json_t *part = rc ? NULL : json_pack("{s:I, s:O}", "n", (json_int_t)f.n, "first", f.first);
    json_decref(f.first);
    return rc ? rc : audit_report(a, "faults", part, err);
}

/* ---- languages ---- */

static int count_language(json_t *o, const struct segment *g, int i, struct err *err)
{
    const struct language *l = (const struct language *)g->data[SECTION_language] + i;
    if (segment_place(g, i)->fault)
        return 0;
    const json_int_t n = json_integer_value(json_object_get(o, l->code));
    return json_object_set_new(o, l->code, json_integer(n + 1)) ? ERR(err, NOMEM, "no memory for the languages") : 0;
}

int stage_languages(struct audit *a, struct err *err)
{
    json_t *o = json_object();
    int rc = o ? 0 : ERR(err, NOMEM, "no memory for the languages");
    for (int i = 0; i < a->store.n_segment && !rc; i++) {
        struct segment g;
        if ((rc = store_segment(&a->store, i, &g, err)))
            break;
        for (int k = 0; k < g.n && !rc; k++)
            rc = count_language(o, &g, k, err);
        segment_release(&g);
    }
    if (!rc)
        return audit_report(a, "languages", o, err);
    json_decref(o);
    return rc;
}

/* ---- totals ---- */

static void add_record(struct tally *t, const struct record_place *p, uint32_t words, bool kept)
{
    t->records++, t->kept += kept, t->text_bytes += p->n_text, t->words += words;
}

/* 0 where no signals were asked for; those of BASE are stored as they are. */
static uint32_t words_in(const struct segment *g, int i)
{
    size_t n;
    const uint32_t *s = SEGMENT_ROW(g, signals, uint32_t, i, &n);
    return n ? s[offsetof(struct signals, words) / sizeof *s] : 0;
}

static int add_up(struct audit *a, struct totals *t, struct err *err)
{
    for (int i = 0; i < a->store.n_segment; i++) {
        struct segment g;
        TRY(store_segment(&a->store, i, &g, err));
        for (int k = 0; k < g.n; k++) {
            const struct record_place *p = segment_place(&g, k);
            const uint16_t reason = a->reason[g.first + k];
            const uint32_t words = words_in(&g, k);
            t->dropped[reason]++;
            add_record(&t->all, p, words, !reason);
            add_record(&t->file[p->file], p, words, !reason);
            add_record(&t->source[a->s->file[p->file].source], p, words, !reason);
        }
        segment_release(&g);
    }
    for (int i = 0; i < a->s->n_file; i++) {
        t->all.bytes += a->s->file[i].bytes;
        t->source[a->s->file[i].source].bytes += a->s->file[i].bytes;
    }
    return 0;
}

static json_t *files_of(const struct audit *a, const struct totals *t, int source)
{
    json_t *list = json_array();
    for (int i = 0; i < a->s->n_file; i++)
        if (a->s->file[i].source == source)
            json_array_append_new(list, json_pack("{s:s, s:I, s:s, s:I, s:I, s:s*}", "path", a->s->file[i].path, "bytes", (json_int_t)a->s->file[i].bytes, "sha256", a->end[i].sha256, "records",
                                                  (json_int_t)t->file[i].records, "kept", (json_int_t)t->file[i].kept, "error", a->end[i].why));
    return list;
}

/* NULL, and nothing in the report, where they were not counted. */
static json_t *words_told(const struct audit *a, const struct tally *t) { return a->o->signals ? json_integer((json_int_t)t->words) : NULL; }

static json_t *sources_of(const struct audit *a, const struct totals *t)
{
    json_t *list = json_array();
    for (int i = 0; i < a->s->n; i++) {
        const struct source *s = &a->s->source[i];
        const struct tally *y = &t->source[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s*, s:s, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:I, s:I, s:I, s:I, s:o*, s:o}", "name", s->name, "path", s->path, "format",
                                              s->format < N_RECORD_FORMAT ? record_format_name(s->format) : NULL, "field", s->field, "licence", s->licence, "origin", s->origin, "collected",
                                              s->collected, "purpose", s->purpose, "language", s->language, "split", s->split, "records", (json_int_t)y->records, "kept", (json_int_t)y->kept,
                                              "bytes", (json_int_t)y->bytes, "text_bytes", (json_int_t)y->text_bytes, "words", words_told(a, y), "files", files_of(a, t, i)));
    }
    return list;
}

static json_t *totals_of(const struct audit *a, const struct totals *t)
{
    json_t *dropped = json_object();
    char word[80];
    for (int i = 1; i <= UINT16_MAX; i++)
        if (t->dropped[i])
            json_object_set_new(dropped, audit_drop_word(i, word), json_integer(t->dropped[i]));
    return json_pack("{s:I, s:I, s:o, s:I, s:I, s:o*}", "records", (json_int_t)t->all.records, "kept", (json_int_t)t->all.kept, "dropped", dropped, "bytes", (json_int_t)t->all.bytes, "text_bytes",
                     (json_int_t)t->all.text_bytes, "words", words_told(a, &t->all));
}

static int add_totals(struct audit *a, struct totals *t, struct err *err)
{
    t->source = mem_alloc_array((size_t)a->s->n, sizeof *t->source);
    t->file = mem_alloc_array((size_t)a->s->n_file, sizeof *t->file);
    int rc = t->source && t->file ? add_up(a, t, err) : ERR(err, NOMEM, "no memory for totals of %d files", a->s->n_file);
    rc = rc ? rc : audit_report(a, "lathe", json_string(LATHE_VERSION), err);
    rc = rc ? rc : audit_report(a, "schema", json_integer(1), err);
    rc = rc ? rc : audit_report(a, "sources", sources_of(a, t), err);
    rc = rc ? rc : audit_report(a, "totals", totals_of(a, t), err);
    mem_free(t->source);
    mem_free(t->file);
    return rc;
}

/* ---- records.jsonl ---- */

static int add_spans(json_t *list, const struct audit *a, const struct segment *g, int i, enum section section, int score_min)
{
    size_t n;
    const struct kept_spot *s = segment_row(g, section, sizeof *s, i, &n);
    int rc = 0;
    for (size_t k = 0; k < n && !rc; k++)
        if (s[k].score >= score_min && s[k].kind != KEPT_GIVEN_UP)
            rc = json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "kind", section == SECTION_pii ? pii_name(s[k].kind) : secret_name(a->o->secrets, s[k].kind), "at", (json_int_t)s[k].at, "n",
                                                       (json_int_t)s[k].n));
    return rc;
}

/* Personal data and secrets of a record, where they were looked for. */
static json_t *spans_of(const struct audit *a, const struct segment *g, int i)
{
    json_t *list = json_array();
    if (list && ((a->o->pii && add_spans(list, a, g, i, SECTION_pii, a->o->pii_score ? a->o->pii_score : PII_SCORE_MIN)) ||
                 (a->o->secrets && add_spans(list, a, g, i, SECTION_secret, 0)))) {
        json_decref(list);
        return NULL;
    }
    return list;
}

/* NULL where no evaluation sets were looked for, or without memory, which is seen at the end. */
static json_t *hits_of(const struct audit *a, const struct segment *g, int i)
{
    size_t n;
    const struct contam_hit *h = SEGMENT_ROW(g, contam_hit, struct contam_hit, i, &n);
    json_t *list = a->o->contam ? json_array() : NULL;
    for (size_t k = 0; list && k < n; k++) {
        const struct refs *r = contam_refs(a->o->contam);
        const struct ref_item *item = &r->item[h[k].item];
        json_array_append_new(list, json_pack("{s:s, s:I, s:s, s:f, s:I, s:I}", "set", r->set[item->set].name, "item", (json_int_t)item->line, "method",
                                              contam_method_name((enum contam_method)h[k].method), "score", (double)h[k].score, "at", (json_int_t)h[k].at, "n", (json_int_t)h[k].n));
    }
    return list;
}

static int record_line(const struct audit *a, const struct segment *g, int i, struct file_writer *w, struct err *err)
{
    const struct record_place *p = segment_place(g, i);
    const int64_t record = g->first + i;
    char hex[SHA256_HEX] = "", word[80];
    for (int k = 0; k < SHA256_BYTES && !p->fault; k++)
        snprintf(hex + 2 * k, 3, "%02x", p->sha256[k]);
    const int64_t dup_of = a->dup_of ? a->dup_of[record] : -1;
    json_t *o = json_pack("{s:I, s:s, s:s, s:I, s:I, s:I, s:s, s:b, s:s*, s:o, s:o, s:o*}", "record", (json_int_t)record, "source", a->s->source[a->s->file[p->file].source].name, "file", a->s->file[p->file].path, "line",
                          (json_int_t)p->line, "at", (json_int_t)p->at, "bytes", (json_int_t)p->n_text, "sha256", hex, "kept", audit_kept(a, record), "reason",
                          audit_kept(a, record) ? NULL : audit_drop_word(a->reason[record], word), "dup_of", dup_of < 0 ? json_null() : json_integer(dup_of), "spans",
                          spans_of(a, g, i), "contamination", hits_of(a, g, i));
    char *text = o ? tree_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    int rc = text ? file_writer_add(w, text, strlen(text), err) : ERR(err, NOMEM, "no memory for a line of records.jsonl");
    mem_free(text);
    return rc ? rc : file_writer_add(w, "\n", 1, err);
}

static int write_records(const struct audit *a, struct err *err)
{
    struct file_writer w;
    char *path = file_join(a->o->dir, "records.jsonl");
    int rc = path ? file_writer_open(&w, path, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(path);
    TRY(rc);
    for (int i = 0; i < a->store.n_segment && !rc; i++) {
        struct segment g;
        if ((rc = store_segment(&a->store, i, &g, err)))
            break;
        for (int k = 0; k < g.n && !rc; k++)
            rc = record_line(a, &g, k, &w, err);
        segment_release(&g);
    }
    if (!rc)
        return file_writer_commit(&w, err);
    file_writer_abort(&w);
    return rc;
}

/* Those of a run before, whose policy may have been another. */
static int remove_records(const struct audit *a, struct err *err)
{
    char *path = file_join(a->o->dir, "records.jsonl");
    const int rc = path ? file_remove_tree(path, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(path);
    return rc;
}

/* ---- the end ---- */

int report_write(const json_t *report, const char *dir, struct err *err)
{
    char *text = tree_dumps(report, JSON_INDENT(1) | JSON_SORT_KEYS | JSON_REAL_PRECISION(10)), *path = file_join(dir, "report.json");
    const int rc = text && path ? file_write_all(path, text, strlen(text), err) : ERR(err, NOMEM, "no memory to write the report");
    mem_free(text);
    mem_free(path);
    return rc;
}

static int add_gate(struct audit *a, struct err *err)
{
    json_t *gate;
    TRY(gate_of(a->report, a->o->policy, a->o->override, &gate, err));
    return audit_report(a, "gate", gate, err);
}

/* Data that a gate refuses are not used: later data may well say the same. */
static int add_to_index(struct audit *a, struct err *err)
{
    struct err why = { 0 };
    const json_t *gate = json_object_get(a->report, "gate");
    if (!a->o->index || !a->o->index_add)
        return 0;
    if (!gate || !gate_verdict(gate, &why))
        return audit_add_to_index(a, err);
    log_warn("nothing was added to the index '%s': %s", a->o->index, why.msg);
    return 0;
}

int report_finish(struct audit *a, struct err *err)
{
    struct totals *t = mem_alloc_zero(sizeof *t);
    int rc = t ? add_totals(a, t, err) : ERR(err, NOMEM, "no memory for totals");
    mem_free(t);
    rc = rc ? rc : audit_fill_examples(a, err);
    if (!rc && json_object_get(a->report, "licences"))           /* what was kept is known by now */
        rc = licences_judge(json_object_get(a->report, "licences"), json_object_get(a->report, "sources"), a->o->policy, err);
    if (!rc && a->o->policy)
        rc = add_gate(a, err);
    rc = rc ? rc : add_to_index(a, err);
    if (!rc && a->refused != mem_json_refused())
        rc = ERR(err, NOMEM, "no memory for the report of an audit");
    rc = rc ? rc : verdicts_write(a, err);
    rc = rc ? rc : report_write(a->report, a->o->dir, err);
    return rc ? rc : a->o->records ? write_records(a, err) : remove_records(a, err);
}
