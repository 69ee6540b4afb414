#include "audit/store.h"
#include <string.h>
#include "audit/images.h"
#include "data/language.h"
#include "base/mem.h"
#include "base/tree.h"

/* A segment: struct head, N_SECTION struct column, the columns' bytes and ends (each from a multiple of 8 on), the end as JSON, and
 * XXH3 of all before.  The layout of the rows is this program's: its sum stands in the head and the plan. */
#define MAGIC 0x3174696475416c4cull      /* "LlAudit1" */
#define SEGMENT_BYTES ((uint64_t)8 << 20)
#define SEGMENT_RECORDS 65536
#define PLAN_MAX ((size_t)256 << 20)
#define END_MAX ((size_t)256 << 20)

#define ONE false
#define MANY true
static const struct { const char *name; size_t size; bool many; } column_of[N_SECTION] = {
#define SECTION(name, type, how, doc) { #name, sizeof(type), how },
#include "audit/sections.def"
#undef SECTION
};

struct head { uint64_t magic, layout, first, n_record, end_at, end_n; };
struct column { uint64_t at, n, until_at; };      /* n elements; until_at: 0 where each record has one */

static uint64_t layout(void)
{
    uint64_t sum = 1;
    for (int k = 0; k < N_SECTION; k++)
        sum = hash64(column_of[k].name, strlen(column_of[k].name), sum * 2 + column_of[k].size + column_of[k].many);
    return sum;
}

/* ---- rows ---- */

int row_pack(struct buf *out, const struct row *r, struct err *err)
{
    uint32_t n[N_SECTION];
    for (int k = 0; k < N_SECTION; k++)
        n[k] = (uint32_t)r->of[k].n;
    TRY(buf_add(out, n, sizeof n, err));
    for (int k = 0; k < N_SECTION; k++)
        TRY(buf_add(out, r->of[k].p, n[k] * column_of[k].size, err));
    return 0;
}

static int add_zeros(struct buf *b, size_t n, struct err *err)
{
    TRY(buf_reserve(b, n, err));
    memset(b->data + b->len, 0, n);
    b->len += n;
    b->data[b->len] = 0;
    return 0;
}

static const char *put_row(struct store *s, const char *p, struct err *err)
{
    uint32_t n[N_SECTION];
    struct record_place at;
    memcpy(n, p, sizeof n);
    p += sizeof n;
    memcpy(&at, p, sizeof at);
    s->next.bytes += at.n_text;
    for (int k = 0; k < N_SECTION; k++) {
        if (!column_of[k].many && !n[k] && add_zeros(&s->next.data[k], column_of[k].size, err))
            return NULL;
        const uint32_t until = (uint32_t)(s->next.data[k].len / column_of[k].size) + n[k];
        if (buf_add(&s->next.data[k], p, n[k] * column_of[k].size, err) || (column_of[k].many && buf_add(&s->next.until[k], &until, sizeof until, err)))
            return NULL;
        p += n[k] * column_of[k].size;
    }
    s->next.n++;
    return p;
}

/* ---- files ---- */

static char *segment_path(const struct store *s, int i) { return mem_printf("%s/segments/%06d", s->dir, i); }

static int add_padded(struct buf *out, const struct buf *part, struct err *err)
{
    TRY(buf_add(out, part->data, part->len, err));
    return buf_add(out, "\0\0\0\0\0\0\0", -out->len % 8, err);
}

/* A segment's bytes. */
static int lay_out(const struct store *s, const char *end, struct buf *out, struct err *err)
{
    struct head h = { MAGIC, layout(), (uint64_t)s->n_record, (uint64_t)s->next.n, 0, strlen(end) };
    struct column c[N_SECTION] = { { 0 } };
    TRY(buf_add(out, &h, sizeof h, err));
    TRY(buf_add(out, c, sizeof c, err));         /* both are set at the end */
    for (int k = 0; k < N_SECTION; k++) {
        c[k] = (struct column){ out->len, s->next.data[k].len / column_of[k].size, 0 };
        TRY(add_padded(out, &s->next.data[k], err));
        if (column_of[k].many)
            c[k].until_at = out->len;
        TRY(add_padded(out, &s->next.until[k], err));
    }
    h.end_at = out->len;
    TRY(buf_add(out, end, h.end_n, err));
    memcpy(out->data, &h, sizeof h);
    memcpy(out->data + sizeof h, c, sizeof c);
    const uint64_t sum = hash64(out->data, out->len, 0);
    return buf_add(out, &sum, sizeof sum, err);
}

static int write_segment(const struct store *s, const char *path, const char *end, struct err *err)
{
    struct buf all;
    buf_init(&all);
    int rc = lay_out(s, end, &all, err);
    rc = rc ? rc : file_write_all(path, all.data, all.len, err);
    buf_release(&all);
    return rc;
}

static void clear_next(struct store *s)
{
    for (int k = 0; k < N_SECTION; k++) {
        buf_clear(&s->next.data[k]);
        buf_clear(&s->next.until[k]);
    }
    json_array_clear(s->next.ended);
    s->next.n = 0, s->next.bytes = 0;
}

static int flush(struct store *s, bool done, struct err *err)
{
    json_t *end = json_pack("{s:i, s:I, s:b, s:O}", "file", s->file, "record", (json_int_t)s->record, "done", done, "ended", s->next.ended);
    char *text = end ? tree_dumps(end, JSON_COMPACT) : NULL, *path = segment_path(s, s->n_segment);
    int rc = text && path ? 0 : ERR(err, NOMEM, "no memory for a segment of the audit");
    rc = rc ? rc : write_segment(s, path, text, err);
    json_decref(end);
    mem_free(text);
    mem_free(path);
    if (!rc) {
        s->n_segment++, s->n_record += s->next.n, s->done = done;
        clear_next(s);
    }
    return rc;
}

int store_put(struct store *s, int file, int64_t next, const struct buf *rows, struct err *err)
{
    for (const char *p = rows->data, *end = p + rows->len; p < end;)
        if (!(p = put_row(s, p, err)))
            return err->code;
    s->file = file, s->record = next;
    return s->next.n >= SEGMENT_RECORDS || s->next.bytes >= s->segment_bytes ? flush(s, false, err) : 0;
}

int store_ended(struct store *s, const struct pass_file *f, struct err *err)
{
    json_t *o = json_pack("{s:i, s:I, s:s, s:s*}", "file", f->file, "records", (json_int_t)f->n_record, "sha256", f->sha256, "why", f->why ? f->why->msg : NULL);
    if (!o || json_array_append_new(s->next.ended, o))
        return ERR(err, NOMEM, "no memory for the end of a file");
    s->file = f->file + 1, s->record = 0;
    return 0;
}

int store_finish(struct store *s, struct err *err) { return flush(s, true, err); }

/* ---- reading ---- */

static int wrong(const char *path, const char *what, struct err *err) { return ERR(err, CORRUPT, "'%s' %s: give --fresh to audit anew", path, what); }

/* Whether n elements of size bytes lie from `at` on before `end`. */
static bool lies(uint64_t at, uint64_t n, size_t size, uint64_t end) { return at % 8 == 0 && at <= end && n <= (end - at) / size; }

static int take_columns(struct segment *g, const char *path, struct err *err)
{
    const struct head *h = (const void *)g->map.data;
    const struct column *c = (const void *)(g->map.data + sizeof *h);
    bool good = lies(h->end_at, h->end_n, 1, g->map.size - 8) && h->n_record <= INT32_MAX && h->first <= INT64_MAX;
    for (int k = 0; k < N_SECTION && good; k++) {
        const uint64_t n = c[k].n;
        good = lies(c[k].at, n, column_of[k].size, h->end_at) && (c[k].until_at ? column_of[k].many && lies(c[k].until_at, h->n_record, 4, h->end_at) : !column_of[k].many && n == h->n_record);
        g->data[k] = g->map.data + c[k].at, g->n_data[k] = n;
        g->until[k] = good && c[k].until_at ? (const void *)(g->map.data + c[k].until_at) : NULL;
        for (uint64_t i = 0; good && g->until[k] && i < h->n_record; i++)
            good = g->until[k][i] <= n && (!i || g->until[k][i] >= g->until[k][i - 1]);
    }
    g->first = (int64_t)h->first, g->n = (int)h->n_record;
    return good ? tree_parse_json(&g->end, g->map.data + h->end_at, h->end_n, path, err) : wrong(path, "has columns that lie outside it", err);
}

static int check_segment(struct segment *g, const char *path, struct err *err)
{
    const struct head *h = (const void *)g->map.data;
    uint64_t sum = 0;
    if (g->map.size >= 8)
        memcpy(&sum, g->map.data + g->map.size - 8, 8);
    if (g->map.size < sizeof *h + N_SECTION * sizeof(struct column) + 8 || h->magic != MAGIC)
        return wrong(path, "is no segment of an audit", err);
    if (h->layout != layout())
        return wrong(path, "was written by another version of lathe", err);
    if (sum != hash64(g->map.data, g->map.size - 8, 0))
        return wrong(path, "is not what was written: its hash differs", err);
    return take_columns(g, path, err);
}

int store_segment(const struct store *s, int i, struct segment *out, struct err *err)
{
    char *path = segment_path(s, i);
    *out = (struct segment){ .n = 0 };
    int rc = path ? file_map_open(&out->map, path, err) : ERR(err, NOMEM, "no memory for the name of a segment");
    if (!rc && (rc = check_segment(out, path, err)))
        segment_release(out);
    mem_free(path);
    return rc;
}

void segment_release(struct segment *g)
{
    file_map_close(&g->map);
    json_decref(g->end);
    *g = (struct segment){ .n = 0 };
}

/* ---- opening ---- */

/* The first place where two plans differ, as a path. */
static bool difference(const json_t *a, const json_t *b, char *path, size_t room)
{
    if (json_equal(a, b))
        return false;
    const size_t n = strlen(path);
    const char *key;
    json_t *v;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)a, key, v) {
        snprintf(path + n, room - n, "%s%.60s", n ? "." : "", key);
        if (json_is_object(b) && difference(v, json_object_get(b, key), path, room))
            return true;
        path[n] = 0;
    }
    json_array_foreach(a, i, v) {
        snprintf(path + n, room - n, "[%zu]", i);
        if (json_is_array(b) && difference(v, json_array_get(b, i), path, room))
            return true;
        path[n] = 0;
    }
    return true;
}

static int same_plan(const struct store *s, const json_t *plan, struct err *err)
{
    char at[400] = "";
    if (!difference(s->plan, plan, at, sizeof at))
        return 0;
    return ERR(err, USAGE, "'%s' holds another audit, whose plan differs at '%s': give another folder, or --fresh to remove what is there", s->dir, at);
}

static int write_plan(const struct store *s, const char *path, struct err *err)
{
    char *text = tree_dumps(s->plan, JSON_INDENT(1) | JSON_SORT_KEYS);
    const int rc = text ? file_write_all(path, text, strlen(text), err) : ERR(err, NOMEM, "no memory to write '%s'", path);
    mem_free(text);
    return rc;
}

static int count_segments(struct store *s, struct err *err)
{
    for (;; s->n_segment++) {
        char *path = segment_path(s, s->n_segment);
        const bool there = path && file_exists(path);
        mem_free(path);
        if (!path)
            return ERR(err, NOMEM, "no memory for the name of a segment");
        if (!there)
            return 0;
        struct segment g;
        int64_t file, record;
        TRY(store_segment(s, s->n_segment, &g, err));
        int rc = g.first == s->n_record ? 0 : ERR(err, CORRUPT, "'%s': segment %d begins with record %lld, expected %lld", s->dir, s->n_segment, (long long)g.first, (long long)s->n_record);
        rc = rc ? rc : tree_int(g.end, "file", 0, 0, INT32_MAX, &file, s->dir, err);
        rc = rc ? rc : tree_int(g.end, "record", 0, 0, INT64_MAX, &record, s->dir, err);
        rc = rc ? rc : tree_bool(g.end, "done", false, &s->done, s->dir, err);
        s->n_record += g.n;
        segment_release(&g);
        TRY(rc);
        s->file = (int)file, s->record = record;
    }
}

static int set_up(struct store *s, const char *dir, struct err *err)
{
    *s = (struct store){ .lock = -1, .dir = mem_strdup(dir), .segment_bytes = SEGMENT_BYTES, .next.ended = json_array() };
    for (int k = 0; k < N_SECTION; k++) {
        buf_init(&s->next.data[k]);
        buf_init(&s->next.until[k]);
    }
    return s->dir && s->next.ended ? 0 : ERR(err, NOMEM, "no memory to open '%s'", dir);
}

/* What an audit leaves beside its segments, the report before all: commands that read it would take it for the new one's. */
static int remove_results(const struct store *s, struct err *err)
{
    static const char *const names[] = { "report.json", "verdicts", "contamination.jsonl", "records.jsonl", "segments" };
    int rc = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names && !rc; i++) {
        char *path = file_join(s->dir, names[i]);
        rc = path ? file_remove_tree(path, err) : ERR(err, NOMEM, "no memory to open '%s'", s->dir);
        mem_free(path);
    }
    return rc;
}

static int open_plan(struct store *s, const json_t *plan, bool fresh, struct err *err)
{
    char *path = file_join(s->dir, "plan.json"), *segments = file_join(s->dir, "segments");
    int rc = path && segments ? 0 : ERR(err, NOMEM, "no memory to open '%s'", s->dir);
    if (!rc && fresh && file_exists(path))
        rc = remove_results(s, err);
    if (!rc && !fresh && file_exists(path)) {
        rc = tree_load(&s->plan, path, PLAN_MAX, err);
        rc = rc ? rc : same_plan(s, plan, err);
    } else if (!rc) {
        s->plan = json_deep_copy(plan);
        rc = s->plan ? write_plan(s, path, err) : ERR(err, NOMEM, "no memory for the plan of an audit");
    }
    rc = rc ? rc : file_mkdirs(segments, err);
    rc = rc ? rc : file_remove_leftovers(segments, err);
    rc = rc ? rc : file_remove_leftovers(s->dir, err);
    mem_free(path);
    mem_free(segments);
    return rc ? rc : count_segments(s, err);
}

int store_open(struct store *s, const char *dir, const json_t *plan, bool fresh, struct err *err)
{
    TRY(set_up(s, dir, err));
    TRY(file_mkdirs(dir, err));
    TRY(file_lock(dir, &s->lock, err));
    return open_plan(s, plan, fresh, err);
}

int store_read(struct store *s, const char *dir, struct err *err)
{
    TRY(set_up(s, dir, err));
    char *path = file_join(dir, "plan.json");
    int rc = path ? 0 : ERR(err, NOMEM, "no memory to open '%s'", dir);
    if (!rc && !file_exists(path))
        rc = ERR(err, USAGE, "'%s' is no folder of an audit: it has no plan.json", dir);
    rc = rc ? rc : tree_load(&s->plan, path, PLAN_MAX, err);
    mem_free(path);
    rc = rc ? rc : count_segments(s, err);
    return rc || s->done ? rc : ERR(err, USAGE, "the audit in '%s' was not finished: the same `lathe data audit` goes on with it", dir);
}

void store_close(struct store *s)
{
    for (int k = 0; k < N_SECTION; k++) {
        buf_release(&s->next.data[k]);
        buf_release(&s->next.until[k]);
    }
    json_decref(s->next.ended);
    json_decref(s->plan);
    if (s->dir)
        file_unlock(&s->lock);
    mem_free(s->dir);
    *s = (struct store){ .lock = -1 };
}
