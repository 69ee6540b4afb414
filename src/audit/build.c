#include "audit/build.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"

#define WEIGHT_MAX 1000

/* ---- options ---- */

/* The next "name=number" of a list; 0 at its end. */
static int next_pair(const char **at, char name[BUILD_NAME_MAX + 1], double *value, const char *what, struct err *err)
{
    const char *p = *at, *equal = strchr(p, '=');
    char *end;
    if (!*p)
        return 0;
    if (!equal || equal == p || equal - p > BUILD_NAME_MAX || strcspn(p, ",") < (size_t)(equal - p))
        return ERR(err, USAGE, "%s: found '%s', expected NAME=NUMBER,..", what, p);
    memcpy(name, p, (size_t)(equal - p));
    name[equal - p] = 0;
    *value = strtod(equal + 1, &end);
    if (end == equal + 1 || (*end && *end != ',') || !isfinite(*value) || *value < 0)
        return ERR(err, USAGE, "%s: '%s' has '%.*s', expected a number from 0 on", what, name, (int)strcspn(equal + 1, ","), equal + 1);
    *at = *end ? end + 1 : end;
    return 1;
}

static int find_split(const struct build_opts *o, const char *name)
{
    for (int i = 0; i < o->n_split; i++)
        if (!strcmp(o->split[i].name, name))
            return i;
    return -1;
}

static int add_split(struct build_opts *o, const char *name, double share, struct err *err)
{
    if (o->n_split == BUILD_SPLITS_MAX)
        return ERR(err, RANGE, "more than %d splits", BUILD_SPLITS_MAX);
    snprintf(o->split[o->n_split].name, sizeof o->split->name, "%s", name);
    o->split[o->n_split++].share = share;
    return 0;
}

int build_splits(struct build_opts *o, const char *text, struct err *err)
{
    char name[BUILD_NAME_MAX + 1];
    double share, sum = 0;
    int rc;
    while ((rc = next_pair(&text, name, &share, "--splits", err)) > 0) {
        if (!source_split_good(name) || find_split(o, name) >= 0)
            return ERR(err, USAGE, "--splits: '%s' is %s", name, source_split_good(name) ? "there twice" : "no name of letters, digits, '.', '_' and '-'");
        TRY(add_split(o, name, share, err));
        sum += share;
    }
    return rc ? rc : fabs(sum - 1) < 1e-9 ? 0 : ERR(err, USAGE, "--splits: the shares sum to %g, expected 1", sum);
}

int build_weights(struct build_opts *o, const char *text, const struct sources *s, struct err *err)
{
    char name[BUILD_NAME_MAX + 1];
    double weight;
    int rc;
    if (!(o->weight = mem_alloc_array((size_t)s->n, sizeof *o->weight)))
        return ERR(err, NOMEM, "no memory for the weights of %d sources", s->n);
    for (int i = 0; i < s->n; i++)
        o->weight[i] = 1;
    while ((rc = next_pair(&text, name, &weight, "--weights", err)) > 0) {
        int i = 0;
        while (i < s->n && strcmp(s->source[i].name, name))
            i++;
        if (i == s->n)
            return ERR(err, USAGE, "--weights: there is no source '%s'", name);
        if (weight > WEIGHT_MAX)
            return ERR(err, USAGE, "--weights: '%s' has %g, expected at most %d", name, weight, WEIGHT_MAX);
        o->weight[i] = weight;
    }
    return rc;
}

static int by_bytes(const void *a, const void *b) { return memcmp(a, b, SHA256_BYTES); }

static bool take_hex(const char *hex, unsigned char out[SHA256_BYTES])
{
    bool good = hex && strlen(hex) == SHA256_HEX - 1 && strspn(hex, "0123456789abcdef") == SHA256_HEX - 1;
    for (int i = 0; i < SHA256_BYTES && good; i++) {
        const char two[3] = { hex[2 * i], hex[2 * i + 1], 0 };
        out[i] = (unsigned char)strtoul(two, NULL, 16);
    }
    return good;
}

static int add_without(struct build_opts *o, const char *line, size_t n, const char *where, struct err *err)
{
    json_t *v = NULL;
    TRY(tree_parse_json(&v, line, n, where, err));
    const bool good = take_hex(json_string_value(json_object_get(v, "sha256")), o->without[o->n_without]);
    json_decref(v);
    o->n_without += good;
    return good ? 0 : ERR(err, FORMAT, "%s: expected {\"sha256\": 64 digits}", where);
}

int build_without(struct build_opts *o, const char *path, struct err *err)
{
    struct file_map m;
    char where[400];
    TRY(file_map_open(&m, path, err));
    int64_t n_line = 1;
    for (size_t i = 0; i < m.size; i++)
        n_line += m.data[i] == '\n';
    void *more = mem_realloc_array(o->without, (size_t)(o->n_without + n_line), sizeof *o->without);
    int rc = more ? 0 : ERR(err, NOMEM, "no memory for the %lld lines of '%s'", (long long)n_line, path);
    o->without = more ? more : o->without;
    n_line = 1;
    for (const char *p = m.data, *end = p + m.size, *nl; !rc && p < end; p = nl + 1, n_line++) {
        nl = memchr(p, '\n', (size_t)(end - p));
        nl = nl ? nl : end;
        snprintf(where, sizeof where, "%.360s:%lld", path, (long long)n_line);
        rc = add_without(o, p, (size_t)(nl - p), where, err);
    }
    file_map_close(&m);
    if (!rc)
        qsort(o->without, (size_t)o->n_without, sizeof *o->without, by_bytes);
    return rc;
}

/* ---- files ---- */

struct split_out { struct file_writer w; bool open, of_chats; const char *field; int n_file; int64_t n_line, n_record; struct sha256 hash; json_t *files; };

struct builder {
    struct opened *x;
    const struct build_opts *o;
    struct build_opts own;               /* o with the splits that sources name */
    char *part;                          /* the folder until it is whole */
    struct redacting *redacting;
    int *split_of;                       /* of each source: its split, or -1 */
    struct split_out split[BUILD_SPLITS_MAX];
    struct file_writer map; bool map_open; struct sha256 map_hash;
    int64_t n_kept, n_line, n_without, n_unweighted;
};

static void file_name(const struct builder *b, int split, char out[BUILD_NAME_MAX + 32]) { snprintf(out, BUILD_NAME_MAX + 32, "%s/%05d.jsonl", b->own.split[split].name, b->split[split].n_file); }

static int open_file(struct builder *b, int split, struct err *err)
{
    struct split_out *s = &b->split[split];
    char name[BUILD_NAME_MAX + 32];
    file_name(b, split, name);
    char *path = file_join(b->part, name), *slash = path ? strrchr(path, '/') : NULL;
    if (!slash)
        return ERR(err, NOMEM, "no memory for a path");
    *slash = 0;
    int rc = file_mkdirs(path, err);
    *slash = '/';
    rc = rc ? rc : sha256_init(&s->hash, err);
    rc = rc ? rc : file_writer_open(&s->w, path, err);
    mem_free(path);
    s->open = !rc, s->n_line = 0;
    return rc;
}

static int close_file(struct builder *b, int split, struct err *err)
{
    struct split_out *s = &b->split[split];
    char name[BUILD_NAME_MAX + 32], sum[SHA256_HEX];
    const uint64_t bytes = s->w.size;
    file_name(b, split, name);
    sha256_end(&s->hash, sum);
    s->open = false, s->n_file++;
    TRY(file_writer_commit(&s->w, err));
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}", "path", name, "split", b->own.split[split].name, "form", s->of_chats ? "chat" : "text", "bytes", (json_int_t)bytes, "records", (json_int_t)s->n_line,
                          "sha256", sum);
    char *fields = s->field ? mem_printf("messages=%s", s->field) : NULL;
    const bool good = !s->field || (fields && !json_object_set_new(o, "fields", json_string(fields)));
    mem_free(fields);
    if (!good) {
        json_decref(o);
        return ERR(err, NOMEM, "no memory for the list of files");
    }
    return o && !json_array_append_new(s->files, o) ? 0 : ERR(err, NOMEM, "no memory for the list of files");
}

/* ---- a record, by any thread: a frame for each split's line ---- */

struct frame { uint32_t split, copies, is_chat, source; uint64_t n_line, n_map; };      /* then the line, and what map.jsonl says behind file and line */

static int split_of(const struct builder *b, int source, const char *key, size_t n)
{
    if (b->split_of[source] >= 0)
        return b->split_of[source];
    const double u = (double)(hash64(key, n, b->o->seed) >> 11) * 0x1p-53;
    double sum = 0;
    int last = 0;
    for (int i = 0; i < b->own.n_split; i++) {
        if (b->own.split[i].share > 0)
            last = i;
        if (u < (sum += b->own.split[i].share))
            return i;
    }
    return last;                         /* the shares sum to a little less than 1 */
}

/* How often a record stands in the first split: whole times, and once more for the share of records that the rest is. */
static uint32_t copies_of(const struct builder *b, int source, const unsigned char sum[SHA256_BYTES])
{
    const double w = b->o->weight ? b->o->weight[source] : 1, whole = floor(w);
    const double u = (double)(hash64(sum, SHA256_BYTES, b->o->seed + 1) >> 11) * 0x1p-53;
    return (uint32_t)whole + (u < w - whole);
}

/* What a change of a chat's strings, or of a whole text, is told of. */
struct cleaned { const struct builder *b; const struct pass_record *r; int64_t number; };

static int clean_piece(void *ctx, const struct chat_piece *p, struct buf *characters, struct err *err)
{
    const struct cleaned *c = ctx;
    return redacting_part(c->b->redacting, c->number, c->r->text, c->r->n, p->at, p->at + p->n, characters, err);
}

static int text_line(struct cleaned *c, const struct source *s, struct buf *out, struct err *err)
{
    const struct pass_record *r = c->r;
    struct buf clean;
    buf_init(&clean);
    const int rc = redacting_part(c->b->redacting, c->number, r->text, r->n, 0, r->n, &clean, err);
    json_t *o = rc < 0 ? NULL : json_pack("{s:s%}", "text", rc ? clean.data : r->text, rc ? clean.len : r->n);
    bool good = o;
    for (int k = 0; k < N_MARK && good; k++)
        if (s->mark[k] && r->x->mark[k].n && strcmp(s->mark[k], "text"))
            good = !json_object_set_new(o, s->mark[k], json_stringn(r->x->mark[k].p, r->x->mark[k].n));
    char *line = good ? tree_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    buf_release(&clean);
    if (!line)
        return rc < 0 ? rc : ERR(err, NOMEM, "no memory for a record of %zu bytes", r->n);
    const int added = buf_add_str(out, line, err);
    mem_free(line);
    return added;
}

static char *map_of(const struct source *s, const char *path, int64_t number, const struct pass_record *r, const unsigned char sum[SHA256_BYTES])
{
    char hex[SHA256_HEX];
    for (int i = 0; i < SHA256_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    json_t *o = json_pack("{s:I, s:s, s:s, s:I, s:I, s:s}", "record", (json_int_t)number, "source", s->name, "path", path, "at", (json_int_t)r->at, "from_line", (json_int_t)r->line, "sha256", hex);
    char *line = o ? tree_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return line;
}

/* The frame's place is `at`, and the line behind it. */
static int end_frame(struct buf *out, size_t at, struct frame f, const char *map, struct err *err)
{
    f.n_line = out->len - at - sizeof f, f.n_map = strlen(map);
    memcpy(out->data + at, &f, sizeof f);
    return buf_add(out, map, f.n_map, err);
}

static int add_record(const struct builder *b, const struct source *s, const char *path, int64_t number, const struct pass_record *r, const unsigned char sum[SHA256_BYTES], struct frame f, struct buf *out, struct err *err)
{
    struct cleaned c = { b, r, number };
    const size_t at = out->len;
    TRY(buf_add(out, &f, sizeof f, err));
    TRY(r->x->is_chat ? chat_text_write(&r->x->chat, r->x->raw, r->x->n_raw, clean_piece, &c, out, err) : text_line(&c, s, out, err));
    char *map = map_of(s, path, number, r, sum);
    const int rc = map ? end_frame(out, at, f, map, err) : ERR(err, NOMEM, "no memory for a record's place");
    mem_free(map);
    return rc;
}

static int take_record(void *ctx, int64_t number, const struct pass_record *r, struct buf *out, int i_thread, struct err *err)
{
    const struct builder *b = ctx;
    (void)i_thread;
    if (!audit_kept(&b->x->a, number))
        return 0;
    const struct source_file *f = &b->x->s.file[audit_file_of(&b->x->a, number)];
    const struct source *s = &b->x->s.source[f->source];
    unsigned char sum[SHA256_BYTES];
    if (r->x->image.pixels)
        return ERR(err, UNSUPPORTED, "'%s' is an image: a build is of texts, training reads images where they are", f->path);
    if (!r->text)
        return ERR(err, CORRUPT, "'%s' is not what it was when it was audited: audit it anew", f->path);
    sha256_bytes(r->text, r->n, sum);
    if (b->o->n_without && bsearch(sum, b->o->without, (size_t)b->o->n_without, sizeof *b->o->without, by_bytes))
        return buf_add(out, &(struct frame){ .split = UINT32_MAX }, sizeof(struct frame), err);
    const bool grouped = r->x->mark[MARK_GROUP].n;
    const int split = split_of(b, f->source, grouped ? r->x->mark[MARK_GROUP].p : (const char *)sum, grouped ? r->x->mark[MARK_GROUP].n : sizeof sum);
    const struct frame frame = { .split = (uint32_t)split, .copies = split ? 1 : copies_of(b, f->source, sum), .is_chat = r->x->is_chat, .source = (uint32_t)f->source };
    return add_record(b, s, f->path, number, r, sum, frame, out, err);
}

/* ---- in order ---- */

static int put_line(struct builder *b, int split, const char *line, size_t n, const char *map, size_t n_map, struct err *err)
{
    struct split_out *s = &b->split[split];
    char name[BUILD_NAME_MAX + 32], head[BUILD_NAME_MAX + 80];
    if (!s->open)
        TRY(open_file(b, split, err));
    file_name(b, split, name);
    sha256_add(&s->hash, line, n);
    sha256_add(&s->hash, "\n", 1);
    TRY(file_writer_add(&s->w, line, n, err));
    TRY(file_writer_add(&s->w, "\n", 1, err));
    s->n_line++, b->n_line++;
    const int n_head = snprintf(head, sizeof head, "{\"file\":\"%s\",\"line\":%lld,", name, (long long)s->n_line);
    sha256_add(&b->map_hash, head, (size_t)n_head);
    sha256_add(&b->map_hash, map + 1, n_map - 1);
    sha256_add(&b->map_hash, "\n", 1);
    TRY(file_writer_add(&b->map, head, (size_t)n_head, err));
    TRY(file_writer_add(&b->map, map + 1, n_map - 1, err));
    TRY(file_writer_add(&b->map, "\n", 1, err));
    return s->w.size >= b->o->shard_bytes ? close_file(b, split, err) : 0;
}

/* The field of a source's chats, where data.fields of a training must name it. */
static const char *field_of_chats(const struct source *s)
{
    static const char *const known[] = { "text", "messages", "conversations" };      /* text: one of the others was found */
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(s->field, known[i]))
            return NULL;
    return s->field;
}

/* Training reads one form. */
static int check_form(struct builder *b, const struct frame *f, struct err *err)
{
    struct split_out *s = &b->split[f->split];
    const char *field = f->is_chat ? field_of_chats(&b->x->s.source[f->source]) : NULL;
    if (s->n_record && s->of_chats != f->is_chat)
        return ERR(err, UNSUPPORTED, "the split '%s' would have both chats and texts, which no training reads as one: name other splits in the data.yaml, or build from two audits", b->own.split[f->split].name);
    if (s->n_record && (!field != !s->field || (field && strcmp(field, s->field))))
        return ERR(err, UNSUPPORTED, "the split '%s' would have chats in '%s' and in '%s', which no training reads as one: name other splits in the data.yaml, or build from two audits", b->own.split[f->split].name,
                   s->field ? s->field : "messages", field ? field : "messages");
    s->of_chats = f->is_chat, s->field = field;
    return 0;
}

static int put_block(void *ctx, const struct buf *out, struct err *err)
{
    struct builder *b = ctx;
    for (const char *p = out->data, *end = p + out->len; p < end;) {
        struct frame f;
        memcpy(&f, p, sizeof f);
        p += sizeof f;
        if (f.split == UINT32_MAX) {         /* of a text that must not be there */
            b->n_without++;
            continue;
        }
        if (!f.copies) {                     /* by its source's weight */
            b->n_unweighted++;
            p += f.n_line + f.n_map;
            continue;
        }
        TRY(check_form(b, &f, err));
        b->n_kept++, b->split[f.split].n_record++;
        for (uint32_t i = 0; i < f.copies; i++)
            TRY(put_line(b, (int)f.split, p, f.n_line, p + f.n_line, f.n_map, err));
        p += f.n_line + f.n_map;
    }
    return b->o->progress ? b->o->progress(b->o->ctx, err) : 0;
}

/* ---- the whole ---- */

static json_t *splits_told(const struct builder *b)
{
    json_t *o = json_object();
    for (int i = 0; i < b->own.n_split; i++) {
        int64_t lines = 0;
        size_t k;
        json_t *f;
        json_array_foreach(b->split[i].files, k, f)
            lines += json_integer_value(json_object_get(f, "records"));
        json_object_set_new(o, b->own.split[i].name, json_pack("{s:f, s:I, s:I}", "share", b->own.split[i].share, "records", (json_int_t)b->split[i].n_record, "lines", (json_int_t)lines));
    }
    return o;
}

static json_t *files_told(const struct builder *b)
{
    json_t *list = json_array();
    for (int i = 0; i < b->own.n_split; i++)
        json_array_extend(list, b->split[i].files);
    return list;
}

static json_t *weights_told(const struct builder *b)
{
    json_t *o = json_object();
    for (int i = 0; i < b->x->s.n; i++)
        json_object_set_new(o, b->x->s.source[i].name, json_real(b->o->weight ? b->o->weight[i] : 1));
    return o;
}

static int manifest_of(struct builder *b, json_t **out, struct err *err)
{
    char map[SHA256_HEX], report[SHA256_HEX];
    const uint64_t refused = mem_json_refused();
    char *path = file_join(b->x->o.dir, "report.json");
    sha256_end(&b->map_hash, map);
    const int rc = path ? sha256_of_file(path, report, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(path);
    TRY(rc);
    const json_t *audit = b->x->a.report;
    json_t *m = json_pack("{s:i, s:{s:s, s:s}, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:s, s:O*, s:O*}", "schema", 1, "audit", "path", b->x->o.dir, "report_sha256", report, "redacted",
                          redacting_told(b->redacting), "seed", (json_int_t)b->o->seed, "shard_bytes", (json_int_t)b->o->shard_bytes, "records", (json_int_t)b->n_kept, "left_out",
                          (json_int_t)b->n_without, "weighted_out", (json_int_t)b->n_unweighted, "lines", (json_int_t)b->n_line, "splits", splits_told(b), "weights", weights_told(b), "files", files_told(b), "map_sha256", map, "totals",
                          json_object_get(audit, "totals"), "gate", json_object_get(audit, "gate"));
    if (m && refused == mem_json_refused()) {
        *out = m;
        return 0;
    }
    json_decref(m);
    return ERR(err, NOMEM, "no memory for build.json");
}

static int set_version(json_t *m, struct err *err)
{
    char version[SHA256_HEX];
    json_t *audit = json_object_get(m, "audit"), *where = json_incref(json_object_get(audit, "path"));
    json_object_del(m, "version");
    json_object_del(audit, "path");
    char *text = tree_dumps(m, JSON_COMPACT | JSON_SORT_KEYS);
    int rc = text ? sha256_of(text, strlen(text), version, err) : ERR(err, NOMEM, "no memory for build.json");
    mem_free(text);
    if ((where && json_object_set(audit, "path", where)) || (!rc && json_object_set_new(m, "version", json_string(version))))
        rc = ERR(err, NOMEM, "no memory for build.json");
    json_decref(where);
    return rc;
}

int build_write(json_t *manifest, const char *dir, struct err *err)
{
    TRY(set_version(manifest, err));
    char *text = tree_dumps(manifest, JSON_INDENT(1) | JSON_SORT_KEYS), *path = file_join(dir, "build.json");
    const int rc = text && path ? file_write_all(path, text, strlen(text), err) : ERR(err, NOMEM, "no memory for build.json");
    mem_free(text);
    mem_free(path);
    return rc;
}

static int finish(struct builder *b, json_t **manifest, struct err *err)
{
    json_t *m = NULL;
    for (int i = 0; i < b->own.n_split; i++)
        if (b->split[i].open)
            TRY(close_file(b, i, err));
    const int64_t kept = json_integer_value(json_object_get(json_object_get(b->x->a.report, "totals"), "kept"));
    const int64_t found = b->n_kept + b->n_without + b->n_unweighted;
    if (found != kept)
        return ERR(err, CORRUPT, "the audit kept %lld records, %lld were found: audit anew", (long long)kept, (long long)found);
    b->map_open = false;
    TRY(file_writer_commit(&b->map, err));
    TRY(manifest_of(b, &m, err));
    int rc = b->o->tokens ? build_tokens_write(b->o->tokens, m, b->part, b->x->o.pool, err) : 0;
    rc = rc ? rc : build_write(m, b->part, err);
    rc = rc ? rc : file_rename(b->part, b->o->dir, err);
    if (rc)
        json_decref(m);
    else
        *manifest = m;
    return rc;
}

static int name_splits(struct builder *b, struct err *err)
{
    for (int i = 0; i < b->x->s.n; i++) {
        const char *name = b->x->s.source[i].split;
        b->split_of[i] = name ? find_split(&b->own, name) : -1;
        if (!name || b->split_of[i] >= 0)
            continue;
        TRY(add_split(&b->own, name, 0, err));
        b->split_of[i] = b->own.n_split - 1;
    }
    for (int i = 0; i < b->own.n_split; i++)
        if (!(b->split[i].files = json_array()))
            return ERR(err, NOMEM, "no memory for a build");
    return 0;
}

static int begin(struct builder *b, struct err *err)
{
    if (file_exists(b->o->dir))
        return ERR(err, USAGE, "'%s' is there already: a build needs a folder of its own", b->o->dir);
    b->part = mem_printf("%s.part", b->o->dir);
    b->split_of = mem_alloc_array((size_t)b->x->s.n, sizeof *b->split_of);
    char *map = b->part ? file_join(b->part, "map.jsonl") : NULL;
    int rc = map && b->split_of ? name_splits(b, err) : ERR(err, NOMEM, "no memory for a build");
    if (!rc && b->o->tokens && find_split(&b->own, BUILD_TOKENS) >= 0)
        rc = ERR(err, USAGE, "a split is named '" BUILD_TOKENS "', which is the folder of the token files");
    rc = rc ? rc : redacting_new(&b->redacting, b->x, b->o->policy, b->o->key, err);
    rc = rc ? rc : file_remove_tree(b->part, err);
    rc = rc ? rc : file_mkdirs(b->part, err);
    rc = rc ? rc : sha256_init(&b->map_hash, err);
    rc = rc ? rc : file_writer_open(&b->map, map, err);
    b->map_open = !rc;
    mem_free(map);
    return rc;
}

static void release(struct builder *b, bool whole)
{
    for (int i = 0; i < BUILD_SPLITS_MAX; i++) {
        if (b->split[i].open)
            file_writer_abort(&b->split[i].w);
        sha256_release(&b->split[i].hash);
        json_decref(b->split[i].files);
    }
    if (b->map_open)
        file_writer_abort(&b->map);
    sha256_release(&b->map_hash);
    if (!whole && b->part)
        file_remove_tree(b->part, NULL);
    redacting_free(b->redacting);
    mem_free(b->part);
    mem_free(b->split_of);
}

int build_run(struct opened *x, const struct build_opts *o, json_t **manifest, struct err *err)
{
    struct builder *b = mem_alloc_zero(sizeof *b);
    *manifest = NULL;
    if (!b)
        return ERR(err, NOMEM, "no memory for a build");
    b->x = x, b->o = o, b->own = *o;
    int rc = begin(b, err);
    rc = rc ? rc : audit_pass(&x->a, take_record, put_block, NULL, b, err);
    rc = rc ? rc : finish(b, manifest, err);
    release(b, !rc);
    mem_free(b);
    return rc;
}
