#include "eval/evidence.h"
#include <lathe.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/tree.h"

#define MAX_BYTES ((size_t)256 << 20)
#define MAX_TOTAL ((uint64_t)1 << 30)
enum { DATE_CHARS = 26 };                /* 2026-11-26T21-14-27.123456 */

int evidence_new(json_t **out, const char *kind, const char *model, const char *model_sha256, int64_t seed, struct err *err)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    *out = json_pack("{s:s, s:s, s:s?, s:s?, s:f, s:I, s:[]}", "kind", kind, "lathe", LATHE_VERSION, "model", model, "model_sha256", model_sha256, "date",
                     (double)t.tv_sec + 1e-9 * (double)t.tv_nsec, "seed", (json_int_t)seed, "figures");
    return *out ? 0 : ERR(err, NOMEM, "no memory for what was found");
}

int evidence_put(json_t *evidence, const char *key, json_t *part, struct err *err)
{
    return !part || json_object_set_new(evidence, key, part) ? ERR(err, NOMEM, "no memory for what was found") : 0;
}

int evidence_adapter(json_t *evidence, const char *folder, const char *sha256, struct err *err)
{
    TRY(evidence_put(evidence, "adapter", json_string(folder), err));
    return evidence_put(evidence, "adapter_sha256", json_string(sha256), err);
}

int evidence_limit(json_t *evidence, int64_t limit, struct err *err) { return limit > 0 ? evidence_put(evidence, "limit", json_integer((json_int_t)limit), err) : 0; }

int evidence_figure(json_t *evidence, const struct evidence_figure *f, struct err *err)
{
    static const char *const better[] = { NULL, "higher", "lower" };
    json_t *o = json_pack("{s:s, s:s?, s:o, s:o, s:o, s:I, s:s?, s:s?}", "name", f->name, "of", f->of, "value", tree_number(f->value), "low",
                          tree_number(f->low), "high", tree_number(f->high), "n", (json_int_t)f->n, "better", better[f->better], "what", f->what);
    return !o || json_array_append_new(json_object_get(evidence, "figures"), o) ? ERR(err, NOMEM, "no memory for what was found") : 0;
}

void evidence_date(double t, char out[40])
{
    const time_t whole = (time_t)floor(t);
    struct tm tm;
    gmtime_r(&whole, &tm);
    const size_t n = strftime(out, 24, "%Y-%m-%dT%H-%M-%S", &tm);
    snprintf(out + n, 40 - n, ".%06d", (int)(1e6 * (t - (double)whole)));
}

int evidence_write(const json_t *evidence, const char *folder, char **path, struct err *err)
{
    char date[40];
    evidence_date(json_number_value(json_object_get(evidence, "date")), date);
    TRY(file_mkdirs(folder, err));
    char *name = mem_printf("%s_%s.json", json_string_value(json_object_get(evidence, "kind")), date);
    char *at = name ? file_join(folder, name) : NULL, *text = at ? tree_dumps(evidence, JSON_INDENT(2)) : NULL;
    const int rc = text ? file_write_all(at, text, strlen(text), err) : ERR(err, NOMEM, "no memory for the file of what was found");
    mem_free(text);
    mem_free(name);
    if (path && !rc)
        *path = at;
    else
        mem_free(at);
    return rc;
}

/* ---- reading ---- */

/* Where KIND_DATE.json has its date; NULL: the name is of something else. */
static const char *date_in(const char *name)
{
    const size_t n = strlen(name);
    if (n < DATE_CHARS + 7 || strcmp(name + n - 5, ".json"))
        return NULL;
    const char *date = name + n - 5 - DATE_CHARS, form[] = "0000-00-00T00-00-00.000000";
    for (int i = 0; i < DATE_CHARS; i++)
        if (form[i] == '0' ? date[i] < '0' || date[i] > '9' : date[i] != form[i])
            return NULL;
    return date[-1] == '_' && strncmp(name, "samples_", 8) ? date : NULL;
}

/* "_2026..": a year after a word; NULL: there is none. */
static const char *year_in(const char *name)
{
    for (const char *s = name; (s = strstr(s, "_20")); s++)
        if (s > name && s[3] >= '0' && s[3] <= '9' && s[4] >= '0' && s[4] <= '9')
            return s + 1;
    return NULL;
}

bool evidence_is_name(const char *name)
{
    static const char form[] = "0000-00-00T00";
    const char *year = year_in(name);
    if (date_in(name))
        return true;
    for (size_t i = 0; year && form[i]; i++)
        if (form[i] == '0' ? year[i] < '0' || year[i] > '9' : year[i] != form[i])
            return false;
    return year && (file_name_ends(name, ".json") || file_name_ends(name, ".jsonl"));
}

static int by_date(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    const int c = strcmp(date_in(x), date_in(y));
    return c ? c : strcmp(x, y);
}

/* The names of a folder that are of evidence, the oldest first, before the others of the n. */
static int names_in(const char *folder, char ***names, int *n, int *n_ours, struct err *err)
{
    TRY(file_list(folder, names, n, err));
    *n_ours = 0;
    for (int i = 0; i < *n; i++)
        if (date_in((*names)[i])) {
            char *t = (*names)[*n_ours];
            (*names)[(*n_ours)++] = (*names)[i], (*names)[i] = t;
        }
    qsort(*names, (size_t)*n_ours, sizeof **names, by_date);
    return 0;
}

static int read_one(json_t **out, const char *path, const char *name, struct err *err)
{
    json_t *o = NULL;
    int rc = tree_load(&o, path, MAX_BYTES, err);
    const bool tasks = !strncmp(name, "results_", 8);
    const char *part = tasks ? "results" : "figures";
    if (!rc && !(tasks ? json_is_object(json_object_get(o, part)) : json_is_array(json_object_get(o, part)) && json_is_string(json_object_get(o, "kind"))))
        rc = ERR(err, CORRUPT, "%s: found no \"%s\", expected what an evaluation wrote", path, part);
    if (!rc && tasks)
        o = json_pack("{s:s, s:O?, s:o}", "kind", "tasks", "date", json_object_get(o, "date"), "results", o);
    if (!rc && !o)
        rc = ERR(err, NOMEM, "no memory for %s", path);
    if (rc)
        json_decref(o), o = NULL;
    *out = o;
    return rc;
}

/* Names may have bytes that are no UTF-8. */
static json_t *text_of(const char *s) { return tree_text(s, strlen(s)); }

/* With where it comes from; `left`: bytes that may still be read. */
static int read_file(json_t **out, const char *path, const char *name, uint64_t *left, struct err *err)
{
    struct file_stream f;
    char hex[SHA256_HEX] = "";
    json_t *o = NULL;
    struct err own = { 0 };
    uint64_t size = 0;
    int rc = file_stream_open(&f, path, &own);
    if (!rc) {
        size = f.size;
        file_stream_close(&f);
        if (size > *left)
            rc = ERR(&own, RANGE, "%s: not read, there is more than %.3g GiB in the files before it", path, (double)MAX_TOTAL / (1 << 30));
    }
    if (!rc)
        rc = sha256_of_file(path, hex, &own);
    if (!rc)
        rc = read_one(&o, path, name, &own);
    if (rc == ERR_NOMEM) {
        *err = own;
        return rc;
    }
    *left -= rc ? 0 : size;
    *out = rc ? json_pack("{s:o, s:o}", "file", text_of(name), "error", text_of(own.msg)) :
                json_pack("{s:o, s:s, s:I, s:o}", "file", text_of(name), "sha256", hex, "bytes", (json_int_t)size, "evidence", o);
    return *out ? 0 : ERR(err, NOMEM, "no memory for %s", path);
}

/* All that is in a folder; left NULL: evidence alone, and what cannot be read is an error. */
static int read_all(json_t **out, const char *folder, uint64_t *left, struct err *err)
{
    char **names;
    int n, n_ours;
    TRY(names_in(folder, &names, &n, &n_ours, err));
    *out = json_array();
    int rc = *out ? 0 : ERR(err, NOMEM, "no memory for what was found");
    for (int i = 0; i < n_ours && !rc; i++) {
        json_t *o = NULL;
        char *path = file_join(folder, names[i]);
        rc = !path ? ERR(err, NOMEM, "no memory for a path") : left ? read_file(&o, path, names[i], left, err) : read_one(&o, path, names[i], err);
        if (!rc && json_array_append_new(*out, o))
            rc = ERR(err, NOMEM, "no memory for %s", path);
        mem_free(path);
    }
    file_list_free(names, n);
    if (rc)
        json_decref(*out), *out = NULL;
    return rc;
}

int evidence_read(json_t **out, const char *folder, struct err *err) { return read_all(out, folder, NULL, err); }

int evidence_files(json_t **out, const char *folder, struct err *err)
{
    uint64_t left = MAX_TOTAL;
    return read_all(out, folder, &left, err);
}

int evidence_passed_over(json_t **out, const char *folder, struct err *err)
{
    char **names;
    int n;
    TRY(file_list(folder, &names, &n, err));
    *out = json_array();
    int rc = *out ? 0 : ERR(err, NOMEM, "no memory for names");
    for (int i = 0; i < n && !rc; i++)
        if (year_in(names[i]) && file_name_ends(names[i], ".json") && strncmp(names[i], "samples_", 8) && !date_in(names[i]) &&
            json_array_append_new(*out, text_of(names[i])))
            rc = ERR(err, NOMEM, "no memory for names");
    file_list_free(names, n);
    if (rc)
        json_decref(*out), *out = NULL;
    return rc;
}
