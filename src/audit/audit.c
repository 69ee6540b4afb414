#include "audit/audit.h"
#include <string.h>
#include "audit/facts.h"
#include "audit/pii.h"
#include "audit/report.h"
#include "audit/stage.h"
#include "base/mem.h"
#include "base/tree.h"

/* ---- the plan: all that what is stored depends on ---- */

static json_t *plan_files(const struct sources *s, int source)
{
    json_t *files = json_array();
    for (int i = 0; i < s->n_file; i++) {
        const struct source_file *f = &s->file[i];
        if (f->source != source)
            continue;
        json_t *o = json_pack("{s:s, s:I, s:I, s:s, s:s*}", "path", f->path, "bytes", (json_int_t)f->bytes, "mtime_ns", (json_int_t)f->mtime_ns, "format", record_format_name(f->format), "why", f->why);
        if (f->label_mtime_ns)
            json_object_set_new(o, "labels", json_pack("{s:I, s:I}", "bytes", (json_int_t)f->label_bytes, "mtime_ns", (json_int_t)f->label_mtime_ns));
        json_array_append_new(files, o);
    }
    return files;
}

/* sets, pii, secrets: digests of what is looked for, or "". */
static json_t *plan_of(const struct sources *s, const struct audit_opts *o, const char *sets, const char *pii, const char *secrets)
{
    json_t *sources = json_array();
    for (int i = 0; i < s->n; i++) {
        const struct source *src = &s->source[i];
        json_array_append_new(sources, json_pack("{s:s, s:s, s:s*, s:s*, s:s*, s:o}", "name", src->name, "field", src->field, "label", src->mark[MARK_LABEL], "group", src->mark[MARK_GROUP],
                                                 "time", src->mark[MARK_TIME], "files", plan_files(s, i)));
    }
    return json_pack("{s:i, s:[i, i, i, I], s:I, s:f, s:i, s:s*, s:s*, s:s*, s:o}", "version", 1, "minhash", o->minhash.n_gram, o->minhash.n_band, o->minhash.n_row, (json_int_t)o->minhash.seed, "record_max",
                     (json_int_t)o->record_max, "ratio", o->ratio, "signals", o->signals, "contamination", *sets ? sets : NULL, "pii", *pii ? pii : NULL, "secrets", *secrets ? secrets : NULL, "sources", sources);
}

/* ---- the pass ---- */

struct reading { struct audit *a; struct facts *facts; };

static int take_record(void *ctx, int file, const struct pass_record *r, struct buf *out, int i_thread, struct err *err)
{
    const struct reading *x = ctx;
    struct row row;
    TRY(facts_row(x->facts, file, x->a->s->file[file].path, r, i_thread, &row, err));
    return row_pack(out, &row, err);
}

static int put_block(void *ctx, int file, int64_t next, const struct buf *out, struct err *err)
{
    const struct reading *x = ctx;
    return store_put(&x->a->store, file, next, out, err);
}

static int file_ended(void *ctx, const struct pass_file *f, struct err *err)
{
    const struct reading *x = ctx;
    return store_ended(&x->a->store, f, err);
}

static int tell(void *ctx, uint64_t bytes, struct err *err)
{
    const struct reading *x = ctx;
    const struct audit_opts *o = x->a->o;
    return o->progress ? o->progress(o->ctx, bytes, NULL, err) : 0;
}

static int read_all(struct audit *a, struct err *err)
{
    struct reading x = { a, NULL };
    const struct pass_opts o = { .pool = a->o->pool, .record_max = a->o->record_max, .ratio = a->o->ratio, .record = take_record, .put = put_block, .ended = file_ended, .progress = tell, .ctx = &x };
    int rc = facts_new(&x.facts, pool_n_thread(a->o->pool), a->o, err);
    rc = rc ? rc : pass_run(a->s, a->store.file, a->store.record, &o, err);
    facts_free(x.facts);
    return rc ? rc : store_finish(&a->store, err);
}

/* ---- what stands then ---- */

static int take_end(struct audit *a, const json_t *o, struct err *err)
{
    int64_t file, n;
    const char *sum, *why;
    TRY(tree_int(o, "file", 0, 0, a->s->n_file - 1, &file, a->store.dir, err));
    TRY(tree_int(o, "records", 0, 0, INT64_MAX, &n, a->store.dir, err));
    TRY(tree_str(o, "sha256", "", &sum, a->store.dir, err));
    TRY(tree_str(o, "why", NULL, &why, a->store.dir, err));
    struct file_end *e = &a->end[file];
    e->n_record = n;
    snprintf(e->sha256, sizeof e->sha256, "%s", sum);
    mem_free(e->why);
    e->why = why ? mem_strdup(why) : NULL;
    return why && !e->why ? ERR(err, NOMEM, "no memory for what is wrong with a file") : 0;
}

static int take_segment(struct audit *a, const struct segment *g, struct err *err)
{
    const json_t *list = json_object_get(g->end, "ended");
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(take_end(a, json_array_get(list, i), err));
    for (int i = 0; i < g->n; i++)
        audit_drop(a, g->first + i, (int)segment_place(g, i)->fault);
    return 0;
}

int audit_stand(struct audit *a, struct err *err)
{
    a->n = a->store.n_record;
    a->end = mem_alloc_array((size_t)a->s->n_file, sizeof *a->end);
    a->first = mem_alloc_array((size_t)a->s->n_file + 1, sizeof *a->first);
    a->reason = mem_alloc_array((size_t)a->n + 1, sizeof *a->reason);
    if (!a->end || !a->first || !a->reason)
        return ERR(err, NOMEM, "no memory for the verdicts of %lld records", (long long)a->n);
    for (int i = 0; i < a->store.n_segment; i++) {
        struct segment g;
        TRY(store_segment(&a->store, i, &g, err));
        const int rc = take_segment(a, &g, err);
        segment_release(&g);
        TRY(rc);
    }
    for (int i = 0; i < a->s->n_file; i++)
        a->first[i + 1] = a->first[i] + a->end[i].n_record;
    return a->first[a->s->n_file] == a->n ? 0 : ERR(err, CORRUPT, "'%s' holds %lld records, its files %lld: give --fresh to audit anew", a->store.dir, (long long)a->n, (long long)a->first[a->s->n_file]);
}

int audit_file_of(const struct audit *a, int64_t record)
{
    int low = 0, high = a->s->n_file;
    while (high - low > 1) {                     /* first[low] <= record < first[high] */
        const int mid = low + (high - low) / 2;
        *(a->first[mid] <= record ? &low : &high) = mid;
    }
    return low;
}

char *audit_drop_word(int reason, char out[80])
{
    static const char *const words[] = {
#define DROP(word, doc) #word,
#include "audit/drops.def"
#undef DROP
        NULL,
    };
    if (reason >= DROP_RULE && reason < DROP_RULE + N_RULE)
        snprintf(out, 80, "%s", rule_info(reason - DROP_RULE)->id);
    else
        snprintf(out, 80, "%s", reason < N_RECORD_FAULT ? record_fault_word((enum record_fault)reason) : reason < N_DROP ? words[reason - N_RECORD_FAULT] : "?");
    return out;
}

/* ---- stages ---- */

static int run_stages(struct audit *a, struct err *err)
{
    static const struct { int (*run)(struct audit *a, struct err *err); const char *doc; } stages[] = {
#define STAGE(fn, doc) { fn, doc },
#include "audit/stages.def"
#undef STAGE
    };
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        if (a->o->progress)
            TRY(a->o->progress(a->o->ctx, a->s->n_bytes, stages[i].doc, err));
        TRY(stages[i].run(a, err));
    }
    return 0;
}

static int run(struct audit *a, struct err *err)
{
    char sets[SHA256_HEX] = "", pii[SHA256_HEX] = "", secrets[SHA256_HEX] = "";
    if (a->o->contam)
        TRY(contam_digest(a->o->contam, sets, err));
    if (a->o->pii)
        TRY(pii_digest(pii, err));
    if (a->o->secrets)
        TRY(secrets_digest(a->o->secrets, secrets, err));
    json_t *plan = plan_of(a->s, a->o, sets, pii, secrets);
    int rc = plan && a->refused == mem_json_refused() ? store_open(&a->store, a->o->dir, plan, a->o->fresh, err) : ERR(err, NOMEM, "no memory for the plan of an audit");
    json_decref(plan);
    if (a->o->segment_bytes)
        a->store.segment_bytes = a->o->segment_bytes;
    if (!rc && !a->store.done)
        rc = read_all(a, err);
    rc = rc ? rc : audit_stand(a, err);
    rc = rc ? rc : run_stages(a, err);
    return rc ? rc : report_finish(a, err);
}

void audit_release(struct audit *a)
{
    for (int i = 0; a->end && i < a->s->n_file; i++)
        mem_free(a->end[i].why);
    mem_free(a->end);
    mem_free(a->first);
    mem_free(a->reason);
    mem_free(a->dup_of);
    for (int i = 0; i < a->n_example; i++)
        json_decref(a->example[i].into), mem_free(a->example[i].spot);
    mem_free(a->example);
    store_close(&a->store);
}

int audit_run(const struct sources *s, const struct audit_opts *o, json_t **report, struct err *err)
{
    struct audit_opts with = *o;
    with.minhash = o->minhash.n_gram ? o->minhash : MINHASH_DATATROVE;
    struct audit a = { .s = s, .o = &with, .store.lock = -1, .report = json_object(), .refused = mem_json_refused() };
    *report = NULL;
    int rc = a.report ? run(&a, err) : ERR(err, NOMEM, "no memory for the report of an audit");
    audit_release(&a);
    if (rc)
        json_decref(a.report);
    else
        *report = a.report;
    return rc;
}
