#include "audit/opened.h"
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "base/tree.h"

#define REPORT_MAX ((size_t)1 << 30)

/* ---- verdicts ---- */

int verdicts_write(const struct audit *a, struct err *err)
{
    struct file_writer w;
    char *path = file_join(a->o->dir, "verdicts");
    int rc = path ? file_writer_open(&w, path, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(path);
    TRY(rc);
    const size_t n = (size_t)a->n * sizeof *a->reason;
    const uint64_t sum = hash64(a->reason, n, 0);
    rc = file_writer_add(&w, a->reason, n, err);
    rc = rc ? rc : file_writer_add(&w, &sum, sizeof sum, err);
    if (!rc)
        return file_writer_commit(&w, err);
    file_writer_abort(&w);
    return rc;
}

static int verdicts_read(struct audit *a, const char *path, struct err *err)
{
    struct file_map m;
    const size_t n = (size_t)a->n * sizeof *a->reason;
    uint64_t sum = 0;
    TRY(file_map_open(&m, path, err));
    if (m.size == n + sizeof sum)
        memcpy(&sum, m.data + n, sizeof sum);
    const bool good = m.size == n + sizeof sum && sum == hash64(m.data, n, 0);
    if (good)
        memcpy(a->reason, m.data, n);
    file_map_close(&m);
    return good ? 0 : ERR(err, CORRUPT, "'%s' is not what was written for %lld records: audit again", path, (long long)a->n);
}

/* ---- sources, as the plan and the report tell them ---- */

static int copy(char **to, const json_t *o, const char *key, struct err *err)
{
    const char *s = json_string_value(json_object_get(o, key));
    *to = s ? mem_strdup(s) : NULL;
    return s && !*to ? ERR(err, NOMEM, "no memory for a source") : 0;
}

static int add_file(struct sources *s, const json_t *o, const char *where, struct err *err)
{
    const char *path, *format, *why;
    int64_t bytes, mtime;
    TRY(tree_str(o, "path", NULL, &path, where, err));
    TRY(tree_str(o, "format", "", &format, where, err));
    TRY(tree_str(o, "why", NULL, &why, where, err));
    TRY(tree_int(o, "bytes", 0, 0, INT64_MAX, &bytes, where, err));
    TRY(tree_int(o, "mtime_ns", 0, INT64_MIN, INT64_MAX, &mtime, where, err));
    struct source_file f = { path ? mem_strdup(path) : NULL, s->n - 1, record_format_find(format), (uint64_t)bytes, mtime, why ? mem_strdup(why) : NULL, 0, 0 };
    if (!f.path || f.format == N_RECORD_FORMAT || (why && !f.why)) {
        mem_free(f.path);
        mem_free(f.why);
        return path && f.format < N_RECORD_FORMAT ? ERR(err, NOMEM, "no memory for the name of a file") : ERR(err, CORRUPT, "%s names a file without a path or format", where);
    }
    s->file[s->n_file++] = f;
    s->n_bytes += f.bytes;
    return 0;
}

static int add_source(struct sources *s, const json_t *plan, const json_t *told, const char *where, struct err *err)
{
    struct source *src = &s->source[s->n++];
    src->format = N_RECORD_FORMAT;
    TRY(copy(&src->name, plan, "name", err));
    TRY(copy(&src->field, plan, "field", err));
    TRY(copy(&src->mark[MARK_LABEL], plan, "label", err));
    TRY(copy(&src->mark[MARK_GROUP], plan, "group", err));
    TRY(copy(&src->mark[MARK_TIME], plan, "time", err));
    TRY(copy(&src->path, told, "path", err));
    TRY(copy(&src->licence, told, "licence", err));
    TRY(copy(&src->origin, told, "origin", err));
    TRY(copy(&src->collected, told, "collected", err));
    TRY(copy(&src->purpose, told, "purpose", err));
    TRY(copy(&src->language, told, "language", err));
    TRY(copy(&src->split, told, "split", err));
    if (!src->name || !src->field || !src->path)
        return ERR(err, CORRUPT, "%s tells of a source without a name, field or path", where);
    const json_t *files = json_object_get(plan, "files");
    for (size_t i = 0; i < json_array_size(files); i++)
        TRY(add_file(s, json_array_get(files, i), where, err));
    return 0;
}

static int take_sources(struct opened *x, const char *where, struct err *err)
{
    const json_t *planned = json_object_get(x->a.store.plan, "sources"), *told = json_object_get(x->a.report, "sources");
    const size_t n = json_array_size(planned);
    size_t n_file = 0;
    for (size_t i = 0; i < n; i++)
        n_file += json_array_size(json_object_get(json_array_get(planned, i), "files"));
    x->s.source = mem_alloc_array(n + 1, sizeof *x->s.source);
    x->s.file = mem_alloc_array(n_file + 1, sizeof *x->s.file);
    if (!x->s.source || !x->s.file)
        return ERR(err, NOMEM, "no memory for the names of %zu files", n_file);
    if (!n || json_array_size(told) != n)
        return ERR(err, CORRUPT, "%s: the plan has %zu sources, the report %zu", where, n, json_array_size(told));
    for (size_t i = 0; i < n; i++)
        TRY(add_source(&x->s, json_array_get(planned, i), json_array_get(told, i), where, err));
    return 0;
}

static int open_all(struct opened *x, const char *dir, const char *report, const char *verdicts, struct err *err)
{
    double ratio;
    int64_t record_max;
    TRY(store_read(&x->a.store, dir, err));
    if (!file_exists(report) || !file_exists(verdicts))
        return ERR(err, USAGE, "the audit in '%s' was not finished: the same `lathe data audit` goes on with it", dir);
    TRY(tree_load(&x->a.report, report, REPORT_MAX, err));
    TRY(tree_num(x->a.store.plan, "ratio", 0, &ratio, dir, err));
    TRY(tree_int(x->a.store.plan, "record_max", 0, 0, INT64_MAX, &record_max, dir, err));
    x->o.ratio = ratio, x->o.record_max = (size_t)record_max;
    TRY(take_sources(x, dir, err));
    TRY(audit_stand(&x->a, err));
    return verdicts_read(&x->a, verdicts, err);
}

int opened_open(struct opened *x, const char *dir, struct pool *pool, struct err *err)
{
    *x = (struct opened){ .o = { .dir = dir, .pool = pool } };
    x->a = (struct audit){ .s = &x->s, .o = &x->o, .store.lock = -1 };
    char *report = file_join(dir, "report.json"), *verdicts = file_join(dir, "verdicts");
    const int rc = report && verdicts ? open_all(x, dir, report, verdicts, err) : ERR(err, NOMEM, "no memory to open '%s'", dir);
    mem_free(report);
    mem_free(verdicts);
    return rc;
}

void opened_close(struct opened *x)
{
    json_decref(x->a.report);
    audit_release(&x->a);
    sources_release(&x->s);
    *x = (struct opened){ .a.store.lock = -1 };
}
