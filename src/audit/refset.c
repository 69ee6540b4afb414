#include "audit/refset.h"
#include <stdlib.h>
#include <string.h>
#include "audit/json_scan.h"
#include "audit/source.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "data/csv.h"
#include "data/text.h"

#define NAMES_MAX 8          /* that '+' joins */
#define SETS_MAX 4096

/* Where the texts of an item stand, in the order in which they are looked for. */
static const char *const known[N_REF_PART][12] = {
    [REF_QUESTION] = { "question", "Question", "query", "prompt", "problem", "goal", "instruction", "input", "ctx", "text", "sentence" },
    [REF_ANSWER] = { "answer", "Best Answer", "solution", "canonical_solution", "target", "output", "completion", "response", "sol1+sol2" },
    [REF_PASSAGE] = { "passage", "context", "article", "story" },
};
static const char *const part_names[N_REF_PART] = { "question", "answer", "passage" };

const char *ref_format_name(enum ref_format f)
{
    static const char *const words[] = {
#define X(name, word) word,
        REF_FORMATS(X)
#undef X
    };
    return f < N_REF_FORMAT ? words[f] : "?";
}

enum ref_format ref_format_find(const char *word)
{
    int f = 0;
    while (f < N_REF_FORMAT && strcmp(ref_format_name((enum ref_format)f), word))
        f++;
    return (enum ref_format)f;
}

void refs_init(struct refs *r)
{
    *r = (struct refs){ 0 };
    buf_init(&r->text);
}

void refs_release(struct refs *r)
{
    for (int i = 0; i < r->n_set; i++)
        mem_free(r->set[i].name);
    for (int i = 0; i < r->n_file; i++)
        mem_free(r->file[i]);
    mem_free(r->set);
    mem_free(r->file);
    mem_free(r->item);
    mem_free(r->seen);
    buf_release(&r->text);
    *r = (struct refs){ 0 };
}

const char *refs_text(const struct refs *r, int64_t item, enum ref_part part, size_t *n)
{
    const struct ref_text t = r->item[item].part[part];
    *n = t.n;
    return r->text.data + t.at;
}

/* ---- sets and items ---- */

static int find_set(struct refs *r, const char *name, size_t n, int *out, struct err *err)
{
    for (*out = 0; *out < r->n_set; (*out)++)
        if (strlen(r->set[*out].name) == n && !memcmp(r->set[*out].name, name, n))
            return 0;
    if (r->n_set == SETS_MAX)
        return ERR(err, RANGE, "more than %d evaluation sets", SETS_MAX);
    struct ref_set *more = mem_realloc_array(r->set, (size_t)r->n_set + 1, sizeof *more);
    if (!more)
        return ERR(err, NOMEM, "no memory for an evaluation set");
    r->set = more;
    more[r->n_set] = (struct ref_set){ .name = mem_printf("%.*s", (int)n, name) };
    if (!more[r->n_set].name)
        return ERR(err, NOMEM, "no memory for an evaluation set");
    err_tidy(more[r->n_set++].name);
    return 0;
}

/* What is read of one item, before it is kept. */
struct reading {
    struct refs *r;
    const struct ref_spec *spec;
    const char *path;
    char *name;                          /* of the file's set */
    int file;
    int64_t line;
    struct csv csv;
    int column[N_REF_PART][NAMES_MAX], n_column[N_REF_PART];
    bool mmlu, begun, first_is_item;
    struct buf part[N_REF_PART], set, print;
    int i_line;                          /* of hellaswag's six */
    size_t right;
};

static int wrong(const struct reading *x, struct err *err)
{
    return x->line ? err_context(err, "'%s', line %lld", x->path, (long long)x->line) : err_context(err, "'%s'", x->path);
}

/* Is this fingerprint of this set new?  Then it is remembered. */
static int is_new(struct refs *r, int set, const struct buf *print, bool *out, struct err *err)
{
    const uint64_t h = hash64(print->data, print->len, (uint64_t)set + 1) | 1;
    if (2 * (r->n_seen + 1) > r->cap_seen) {
        const size_t cap = r->cap_seen ? 2 * r->cap_seen : 1024;
        uint64_t *more = mem_alloc_array(cap, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "no memory for the fingerprints of evaluation sets");
        for (size_t i = 0; i < r->cap_seen; i++) {
            size_t at = r->seen[i] >> 1 & (cap - 1);
            while (r->seen[i] && more[at])
                at = (at + 1) & (cap - 1);
            if (r->seen[i])
                more[at] = r->seen[i];
        }
        mem_free(r->seen);
        r->seen = more, r->cap_seen = cap;
    }
    size_t at = h >> 1 & (r->cap_seen - 1);
    while (r->seen[at] && r->seen[at] != h)
        at = (at + 1) & (r->cap_seen - 1);
    *out = !r->seen[at];
    r->n_seen += *out;
    r->seen[at] = h;
    return 0;
}

static int keep(struct reading *x, struct err *err)
{
    struct refs *r = x->r;
    int set;
    bool fresh = true;
    TRY(x->set.len ? find_set(r, x->set.data, x->set.len, &set, err) : find_set(r, x->name, strlen(x->name), &set, err));
    if (text_is_blank(x->part[REF_QUESTION].data, x->part[REF_QUESTION].len))
        return (void)r->set[set].n_without++, 0;
    if (x->print.len)
        TRY(is_new(r, set, &x->print, &fresh, err));
    if (!fresh)
        return (void)r->set[set].n_same++, 0;
    if (r->n_item == r->cap_item) {
        const int64_t cap = r->cap_item ? 2 * r->cap_item : 256;
        struct ref_item *more = cap > INT32_MAX ? NULL : mem_realloc_array(r->item, (size_t)cap, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "no memory for %lld items of evaluation sets", (long long)cap);
        r->item = more, r->cap_item = cap;
    }
    struct ref_item item = { .set = set, .file = x->file, .line = x->line };
    for (int p = 0; p < N_REF_PART; p++) {
        const struct buf *b = &x->part[p];
        TRY(text_check_utf8(b->data, b->len, part_names[p], err));
        if (b->len > REF_ITEM_MAX || r->text.len + b->len > REF_TEXT_MAX)
            return ERR(err, RANGE, "the %s has %zu bytes, expected at most %zu, and %zu of all items", part_names[p], b->len, REF_ITEM_MAX, REF_TEXT_MAX);
        item.part[p] = (struct ref_text){ r->text.len, (uint32_t)b->len };
        TRY(buf_add(&r->text, b->data, b->len, err));
    }
    r->item[r->n_item++] = item;
    r->set[set].n_item++;
    return 0;
}

static void clear(struct reading *x)
{
    for (int p = 0; p < N_REF_PART; p++)
        buf_clear(&x->part[p]);
    buf_clear(&x->set);
    buf_clear(&x->print);
}

/* ---- names that '+' joins ---- */

static int next_name(const char **s, char name[128], struct err *err)
{
    const size_t n = strcspn(*s, "+");
    if (n >= 128)
        return ERR(err, RANGE, "the name '%.100s...' is too long", *s);
    memcpy(name, *s, n);
    name[n] = 0;
    *s += n + ((*s)[n] == '+');
    return 0;
}

static int add_joined(struct buf *to, const char *s, size_t n, struct err *err)
{
    if (to->len && n)
        TRY(buf_add_char(to, ' ', err));
    return buf_add(to, s, n, err);
}

static int add_value(struct buf *to, struct json_span v, const char *name, struct err *err)
{
    if (*v.p == '"') {
        if (to->len)
            TRY(buf_add_char(to, ' ', err));
        return json_scan_string(v, to, err);
    }
    if (strchr("{[", *v.p))
        return ERR(err, FORMAT, "the member '%s' is %s, expected a text", name, *v.p == '{' ? "an object" : "a list");
    return *v.p == 'n' ? 0 : add_joined(to, v.p, v.n, err);
}

/* The texts of the members named: 1, or 0 when one of them is not there. */
static int take_members(const char *names, const char *line, size_t n, struct buf *to, struct err *err)
{
    char name[NAMES_MAX][128];
    const char *list[NAMES_MAX];
    struct json_span v[NAMES_MAX];
    int k = 0;
    for (const char *s = names; *s; k++) {
        if (k == NAMES_MAX)
            return ERR(err, RANGE, "'%.100s' joins more than %d names", names, NAMES_MAX);
        TRY(next_name(&s, name[k], err));
        list[k] = name[k];
    }
    TRY(json_scan_members(line, n, list, k, v, err));
    for (int i = 0; i < k; i++)
        if (!v[i].p)
            return 0;
    for (int i = 0; i < k; i++)
        TRY(add_value(to, v[i], list[i], err));
    return 1;
}

static const char *told(const struct ref_spec *s, int part)
{
    return part == REF_QUESTION ? s->question : part == REF_ANSWER ? s->answer : s->passage;
}

static int read_json(struct reading *x, const char *line, size_t n, struct err *err)
{
    for (int p = 0; p < N_REF_PART; p++) {
        const char *const one[] = { told(x->spec, p), NULL }, *const *names = one[0] ? one : known[p];
        int got = 0;
        for (int i = 0; names[i] && !got; i++)
            TRY(got = take_members(names[i], line, n, &x->part[p], err));
        if (!got && one[0])
            return ERR(err, FORMAT, "there is no member '%s'", one[0]);
    }
    static const char *const more[] = { "eval_key", "fingerprint" };
    struct json_span v[2];
    TRY(json_scan_members(line, n, more, 2, v, err));
    if (v[0].p && *v[0].p == '"')
        TRY(json_scan_string(v[0], &x->set, err));
    if (v[1].p && *v[1].p == '"')
        TRY(json_scan_string(v[1], &x->print, err));
    return keep(x, err);
}

/* ---- tables ---- */

/* Columns from 1 by number: the table has no header. */
static bool is_number(const char *s) { return *s && strspn(s, "0123456789") == strlen(s); }

/* 1: the columns of these names are there. */
static int find_columns(struct reading *x, int part, const char *names, struct err *err)
{
    char name[128];
    int k = 0;
    for (const char *s = names; *s; k++) {
        if (k == NAMES_MAX)
            return ERR(err, RANGE, "'%.100s' joins more than %d names", names, NAMES_MAX);
        TRY(next_name(&s, name, err));
        const bool number = is_number(name);
        x->first_is_item |= number;
        x->column[part][k] = number ? (strlen(name) < 6 ? atoi(name) : 0) - 1 : csv_find(&x->csv, name);
        if (x->column[part][k] < 0 || x->column[part][k] >= x->csv.n)
            return 0;
    }
    x->n_column[part] = k;
    return k > 0;
}

/* A question, four choices, and a letter. */
static bool is_mmlu_row(struct csv *c)
{
    const size_t last = c->head[5];
    return c->n == 6 && c->head[6] - last == 2 && strchr("ABCD", c->header.data[last]);
}

static int find_shape(struct reading *x, struct err *err)
{
    x->mmlu = x->spec->format == REF_MMLU;
    for (int p = 0; p < N_REF_PART && !x->mmlu; p++) {
        const char *const one[] = { told(x->spec, p), NULL }, *const *names = one[0] ? one : known[p];
        int got = 0;
        for (int i = 0; names[i] && !got; i++)
            TRY(got = find_columns(x, p, names[i], err));
        if (!got && one[0])
            return ERR(err, FORMAT, "there is no column '%s'", one[0]);
        if (!got && p == REF_QUESTION && !(x->mmlu = x->spec->format == N_REF_FORMAT && is_mmlu_row(&x->csv)))
            return ERR(err, FORMAT, "no column has a name known for questions");
    }
    x->first_is_item |= x->mmlu;
    return 0;
}

static int keep_row(struct reading *x, struct err *err)
{
    size_t n;
    const char *s;
    if (x->mmlu) {
        const char letter = x->csv.n == 6 && (s = csv_field(&x->csv, 5, &n), n == 1) ? *s : 0;
        if (letter < 'A' || letter > 'D')
            return ERR(err, FORMAT, "expected a question, four choices and one of A, B, C, D");
        s = csv_field(&x->csv, 0, &n);
        TRY(buf_add(&x->part[REF_QUESTION], s, n, err));
        s = csv_field(&x->csv, 1 + letter - 'A', &n);
        TRY(buf_add(&x->part[REF_ANSWER], s, n, err));
        return keep(x, err);
    }
    for (int p = 0; p < N_REF_PART; p++)
        for (int i = 0; i < x->n_column[p]; i++) {
            s = csv_field(&x->csv, x->column[p][i], &n);
            TRY(add_joined(&x->part[p], s, n, err));
        }
    return keep(x, err);
}

static int read_row(struct reading *x, const char *row, size_t n, int64_t line, struct err *err)
{
    x->csv.at = row, x->csv.end = row + n, x->csv.next_line = x->line = line;
    clear(x);
    const int rc = csv_next(&x->csv, err);
    TRY(rc);
    return rc ? keep_row(x, err) : 0;
}

/* Of a table, when the header is known, which may be all that there is. */
static int begin_table(struct reading *x, const struct reader *file, struct err *err)
{
    size_t n;
    const char *header = reader_header(file, &n);
    x->begun = true, x->line = 1;
    if (!n)
        return 0;
    TRY(csv_open(&x->csv, header, n, "the table", err));
    TRY(find_shape(x, err));
    if (!x->first_is_item)
        return 0;
    const bool bom = n >= 3 && !memcmp(header, "\xef\xbb\xbf", 3);
    return read_row(x, header + 3 * bom, n - 3 * (size_t)bom, 1, err);
}

/* ---- lines ---- */

static int read_line(struct reading *x, const char *s, size_t n, struct err *err)
{
    while (n && (s[n - 1] == '\n' || s[n - 1] == '\r'))
        n--;
    TRY(buf_add(&x->part[REF_QUESTION], s, n, err));
    return keep(x, err);
}

/* Line 0 is the context, 1 the number of the ending, 2 to 5 are endings. */
static int read_sixth(struct reading *x, const char *s, size_t n, struct err *err)
{
    while (n && (s[n - 1] == '\n' || s[n - 1] == '\r'))
        n--;
    const int i = x->i_line;
    x->i_line = (i + 1) % 6;
    if (i == 1 && (n != 1 || *s < '0' || *s > '3'))
        return ERR(err, FORMAT, "'%.*s' is no number of an ending, expected 0, 1, 2 or 3", n < 40 ? (int)n : 40, s);
    if (i == 1)
        x->right = (size_t)(*s - '0');
    if (i == 0)
        clear(x);
    if (i == 0 || (i >= 2 && (size_t)i - 2 == x->right))
        TRY(buf_add(&x->part[i ? REF_ANSWER : REF_QUESTION], s, n, err));
    return i == 5 ? keep(x, err) : 0;
}

/* ---- files ---- */

static int read_record(struct reading *x, enum ref_format f, const struct reader *file, const struct raw_record *raw, struct err *err)
{
    x->line = raw->line;
    if (!raw->data)
        return ERR(err, RANGE, "it has %zu bytes, expected at most %zu", raw->n, RECORD_MAX);
    if (f != REF_HELLASWAG)
        clear(x);
    switch (f) {
    case REF_JSONL: return *raw->data == '#' ? 0 : read_json(x, raw->data, raw->n, err);     /* decon's files may have comments */
    case REF_LINES: return read_line(x, raw->data, raw->n, err);
    case REF_HELLASWAG: return read_sixth(x, raw->data, raw->n, err);
    default: break;
    }
    if (!x->begun)
        TRY(begin_table(x, file, err));
    return read_row(x, raw->data, raw->n, raw->line, err);
}

static int read_records(struct reading *x, enum ref_format f, struct err *err)
{
    struct reader *file;
    struct raw_record raw;
    int rc;
    TRY(reader_open(&file, x->path, &(struct reader_opts){ .format = f == REF_TSV ? RECORD_TSV : f == REF_CSV || f == REF_MMLU ? RECORD_CSV : RECORD_JSONL }, err));
    while ((rc = reader_next(file, &raw, err)) > 0 && (rc = read_record(x, f, file, &raw, err)) >= 0)
        ;
    if (!rc && !x->begun && (f == REF_CSV || f == REF_TSV || f == REF_MMLU))
        rc = begin_table(x, file, err);
    if (!rc && x->i_line)
        rc = ERR(err, FORMAT, "the last item has %d lines, expected 6", x->i_line);
    reader_free(file);
    return rc < 0 ? wrong(x, err) : 0;
}

static enum ref_format format_of(const char *path)
{
    const char *name = file_last_part(path);
    const enum record_format f = record_format_of(path);
    const bool json = file_name_ends(name, ".json") || file_name_ends(name, ".json.gz") || file_name_ends(name, ".json.zst") || file_name_ends(name, ".json.bz2");
    if (strcasestr(name, "hellaswag") && f == RECORD_TEXT)
        return REF_HELLASWAG;
    return f == RECORD_CSV ? REF_CSV : f == RECORD_TSV ? REF_TSV : f == RECORD_JSONL || json ? REF_JSONL : REF_LINES;
}

/* A path's last part up to its first point. */
static char *set_name(const char *path)
{
    const char *name = file_last_part(path);
    const size_t n = strcspn(name, ".");
    return mem_printf("%.*s", n ? (int)(n < 64 ? n : 64) : 1, n ? name : "-");
}

static int add_file(struct refs *r, const struct ref_spec *spec, const char *path, struct err *err)
{
    char **more = mem_realloc_array(r->file, (size_t)r->n_file + 1, sizeof *more), *copy = mem_strdup(path);
    r->file = more ? more : r->file;
    if (!more || !copy) {
        mem_free(copy);
        return ERR(err, NOMEM, "no memory for the name '%s'", path);
    }
    more[r->n_file++] = copy;
    struct reading x = { .r = r, .spec = spec, .path = path, .file = r->n_file - 1, .name = spec->name ? mem_strdup(spec->name) : set_name(path) };
    for (int p = 0; p < N_REF_PART; p++)
        buf_init(&x.part[p]);
    buf_init(&x.set);
    buf_init(&x.print);
    buf_init(&x.csv.text);
    buf_init(&x.csv.header);
    int rc = x.name ? 0 : ERR(err, NOMEM, "no memory for the name '%s'", path);
    rc = rc ? rc : read_records(&x, spec->format < N_REF_FORMAT ? spec->format : format_of(path), err);
    for (int p = 0; p < N_REF_PART; p++)
        buf_release(&x.part[p]);
    buf_release(&x.set);
    buf_release(&x.print);
    csv_release(&x.csv);
    mem_free(x.name);
    return rc;
}

int refs_add(struct refs *r, const struct ref_spec *spec, struct err *err)
{
    struct sources files = { 0 };
    const int64_t before = r->n_item;
    int rc = file_name_ends(spec->path, ".yaml") || file_name_ends(spec->path, ".yml") ? ERR(err, USAGE, "'%s' is no evaluation set", spec->path)
                                                                                    : sources_add(&files, spec->path, err);
    for (int i = 0; i < files.n_file && !rc; i++)
        rc = files.file[i].why ? ERR(err, FORMAT, "%s", files.file[i].why) : add_file(r, spec, files.file[i].path, err);
    sources_release(&files);
    if (!rc && r->n_item == before)
        rc = ERR(err, FORMAT, "there is no item with a question in '%s'", spec->path);
    return rc;
}
