#include "plan/learnt.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define LARGE_COPY ((double)((size_t)256 << 20))

/* ---- a report ---- */

static int word(const json_t *o, const char *key, char *out, size_t n, const char *where, struct err *err)
{
    const char *s;
    TRY(tree_str(o, key, NULL, &s, where, err));
    if (!s || !*s || strlen(s) >= n)
        return ERR(err, FORMAT, "%s: %s is missing or too long: expected what lathe selftest --json writes", where, key);
    memcpy(out, s, strlen(s) + 1);
    return 0;
}

static bool is(const char *a, const char *b) { return !strcmp(a, b); }
static void most(double *to, double x) { *to = fmax(*to, x); }

/* A row that was measured and right. */
static void take_row(struct learnt *l, const char *kind, const char *name, const char *shape, double us, double bytes, double tflops)
{
    const bool gemm = !strncmp(name, "gemm_", 5), fp8 = strstr(name, "e4m3") || strstr(name, "fp8");
    double n;
    if (is(kind, "launch") && is(name, "kernel in a graph") && is(shape, "graph of 1000 kernels"))
        l->launch = us * 1e-6;
    else if (is(kind, "copy") && (is(name, "kernel") || is(name, "driver")) && sscanf(shape, "%lf", &n) == 1 && n >= LARGE_COPY)
        most(&l->copy, bytes / us * 1e6);
    else if (is(kind, "time") && is(name, "rmsnorm") && is(shape, "rows 1, C 4096"))
        l->kernel = us * 1e-6;
    else if (is(kind, "time") && is(name, "gemv_bf16_1") && bytes >= LARGE_COPY)
        most(&l->read, bytes / us * 1e6);
    else if (is(kind, "time") && gemm)
        most(fp8 ? &l->fp8 : &l->bf16, tflops * 1e12);
}

static int read_rows(struct learnt *l, const json_t *report, const char *where, struct err *err)
{
    const json_t *rows = json_object_get(report, "rows"), *row;
    size_t i;
    if (!json_is_array(rows))
        return ERR(err, FORMAT, "%s: rows is missing: expected what lathe selftest --json writes", where);
    json_array_foreach(rows, i, row) {
        const char *kind, *name, *shape;
        double us, bytes, tflops;
        TRY(tree_str(row, "kind", "", &kind, where, err));
        TRY(tree_str(row, "name", "", &name, where, err));
        TRY(tree_str(row, "shape", "", &shape, where, err));
        TRY(tree_num(row, "us", 0, &us, where, err));
        TRY(tree_num(row, "bytes", 0, &bytes, where, err));
        TRY(tree_num(row, "tflop_per_s", 0, &tflops, where, err));
        if (us > 0 && json_is_true(json_object_get(row, "right")))
            take_row(l, kind, name, shape, us, bytes, tflops);
    }
    return 0;
}

/* What no device can do is a report of something else, or a cache's. */
static int check(const struct learnt *l, const struct device *d, double units, const char *where, struct err *err)
{
    if (units > 0 && d->units && units != d->units)
        return ERR(err, UNSUPPORTED, "%s: %s with %.0f of its %d units: a part, whose figures are not kept", where, l->name, units, d->units);
    if (!(l->read > 0) && !(l->bf16 > 0) && !(l->kernel > 0))
        return ERR(err, UNSUPPORTED, "%s: nothing was measured that a plan uses: run lathe selftest without --only check", where);
    const struct { const char *what; double is, most; } limits[] = { { "bytes read a second", l->read, d->bandwidth },
                                                                     { "bytes copied a second", l->copy, d->bandwidth },
                                                                     { "operations a second in bf16", l->bf16, device_peak(d, NUMBER_BF16) },
                                                                     { "operations a second in fp8", l->fp8, device_peak(d, NUMBER_FP8) }, { "seconds of a kernel", l->kernel, 0.1 } };
    for (size_t i = 0; i < COUNT(limits); i++)
        if (limits[i].is < 0 || limits[i].is > limits[i].most)
            return ERR(err, FORMAT, "%s: found %.3g %s, expected at most the %.3g of %s", where, limits[i].is, limits[i].what, limits[i].most, d->name);
    return 0;
}

int learnt_read(struct learnt *out, const json_t *report, const char *where, struct err *err)
{
    double driver_version, units;
    int64_t moment;
    *out = (struct learnt){ 0 };
    TRY(word(report, "name", out->name, sizeof out->name, where, err));
    TRY(word(report, "driver", out->driver, sizeof out->driver, where, err));
    TRY(word(report, "lathe", out->version, sizeof out->version, where, err));
    TRY(word(report, "when", out->when, sizeof out->when, where, err));
    if (when_parse(&moment, out->when, err) < 0)
        return err_context(err, "%s: when", where), ERR_FORMAT;
    TRY(tree_num(report, "driver_version", 0, &driver_version, where, err));
    TRY(tree_num(report, "multiprocessors", 0, &units, where, err));
    out->driver_version = driver_version >= 0 && driver_version < 1e9 ? (int)driver_version : 0;
    TRY(read_rows(out, report, where, err));
    const struct device *d = device_find(out->name, err);
    if (!d)
        return err_context(err, "%s", where), ERR_NOTFOUND;
    snprintf(out->key, sizeof out->key, "%s", d->key);
    return check(out, d, units, where, err);
}

/* ---- the file ---- */

static const struct { const char *key; size_t at; } numbers[] = {
#define N(name) { #name, offsetof(struct learnt, name) }
    N(launch), N(kernel), N(read), N(copy), N(bf16), N(fp8),
#undef N
};
static double *number_at(struct learnt *l, size_t i) { return (double *)(void *)((char *)l + numbers[i].at); }

static int load_all(json_t **out, char **path, struct err *err)
{
    char *dir = file_cache_dir();
    *out = NULL, *path = dir ? file_join(dir, "devices.json") : NULL;
    mem_free(dir);
    if (!*path)
        return ERR(err, NOMEM, "no memory for a path");
    int rc = file_exists(*path) ? tree_load(out, *path, 1 << 24, err) : 0;
    if (!rc && !*out)
        *out = json_array();
    if (!rc && !json_is_array(*out))
        rc = ERR(err, FORMAT, "%s is not a list of what was learnt of devices", *path);
    if (rc < 0) {
        json_decref(*out), mem_free(*path);
        *out = NULL, *path = NULL;
    }
    return rc;
}

static json_t *learnt_json(struct learnt *l)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:s, s:s}", "device", l->key, "name", l->name, "driver", l->driver, "driver_version", l->driver_version, "lathe",
                          l->version, "when", l->when);
    for (size_t i = 0; o && i < COUNT(numbers); i++)
        if (json_object_set_new(o, numbers[i].key, json_real(*number_at(l, i)))) {
            json_decref(o);
            o = NULL;
        }
    return o;
}

static int learnt_of(struct learnt *l, const json_t *o, const char *where, struct err *err)
{
    double driver_version;
    *l = (struct learnt){ 0 };
    TRY(word(o, "device", l->key, sizeof l->key, where, err));
    TRY(word(o, "name", l->name, sizeof l->name, where, err));
    TRY(word(o, "driver", l->driver, sizeof l->driver, where, err));
    TRY(word(o, "lathe", l->version, sizeof l->version, where, err));
    TRY(word(o, "when", l->when, sizeof l->when, where, err));
    TRY(tree_num(o, "driver_version", 0, &driver_version, where, err));
    l->driver_version = driver_version >= 0 && driver_version < 1e9 ? (int)driver_version : 0;
    for (size_t i = 0; i < COUNT(numbers); i++)
        TRY(tree_num(o, numbers[i].key, 0, number_at(l, i), where, err));
    const struct device *d = device_find(l->key, err);
    return d ? check(l, d, 0, where, err) : ERR_NOTFOUND;
}

static bool is_of(const json_t *o, const char *key, const char *when)
{
    const char *k = json_string_value(json_object_get(o, "device")), *w = json_string_value(json_object_get(o, "when"));
    return k && w && !strcmp(k, key) && (!when || !strcmp(w, when));
}

static int keep(struct learnt *l, bool *newest, int *n_others, struct err *err)
{
    json_t *all;
    char *path, *text = NULL;
    *newest = true, *n_others = 0;
    TRY(load_all(&all, &path, err));
    for (size_t i = json_array_size(all); i-- > 0;) {
        const json_t *o = json_array_get(all, i);
        if (is_of(o, l->key, l->when)) {
            json_array_remove(all, i);
        } else if (is_of(o, l->key, NULL)) {
            *newest &= strcmp(json_string_value(json_object_get(o, "when")), l->when) < 0;
            ++*n_others;
        }
    }
    int rc = 0;
    if (json_array_append_new(all, learnt_json(l)) || !(text = tree_dumps(all, JSON_INDENT(2))))
        rc = ERR(err, NOMEM, "no memory to keep what was learnt of a device");
    rc = rc ? rc : file_write_all(path, text, strlen(text), err);
    mem_free(text), mem_free(path);
    json_decref(all);
    return rc;
}

/* The same report read twice is one.  Two at the same time would each write a file that lacks the other's. */
int learnt_keep(struct learnt *l, bool *newest, int *n_others, struct err *err)
{
    enum { WAIT_S = 10 };
    char *dir = file_cache_dir();
    int lock = -1;
    int rc = dir ? file_mkdirs(dir, err) : ERR(err, NOMEM, "no memory for a path");
    rc = rc ? rc : file_lock_wait(dir, WAIT_S, &lock, err);
    rc = rc ? rc : keep(l, newest, n_others, err);
    file_unlock(&lock);
    mem_free(dir);
    return rc;
}

int learnt_load(struct learnt *out, const char *key, struct err *err)
{
    json_t *all, *o, *best = NULL;
    char *path;
    size_t i;
    TRY(load_all(&all, &path, err));
    json_array_foreach(all, i, o)
        if (is_of(o, key, NULL) && (!best || strcmp(json_string_value(json_object_get(o, "when")), json_string_value(json_object_get(best, "when"))) > 0))
            best = o;
    const int rc = best ? learnt_of(out, best, path, err) : ERR(err, NOTFOUND, "nothing was learnt of %s (lathe plan --learn)", key);
    json_decref(all), mem_free(path);
    return rc;
}

void learnt_apply(struct device *d, const struct learnt *l)
{
    if (l->read > 0)
        d->reach = l->read / d->bandwidth;
    if (l->bf16 > 0)
        d->mma = l->bf16 / device_peak(d, NUMBER_BF16);
    if (l->fp8 > 0 && d->peak[NUMBER_FP8] > 0)
        d->mma_of[NUMBER_FP8] = l->fp8 / d->peak[NUMBER_FP8];
    if (l->kernel > 0)
        d->kernel = d->launch = l->kernel;
    char what[160] = "";
    size_t n = 0;
    const struct { const char *form; double is; } told[] = { { "reads %.0f GB/s", l->read / 1e9 }, { "products %.0f TFLOP/s in bf16", l->bf16 / 1e12 },
                                                             { "%.0f in fp8", l->fp8 / 1e12 },
                                                             { "a kernel %.2f us", l->kernel * 1e6 } };
    for (size_t i = 0; i < COUNT(told); i++)
        if (told[i].is > 0 && n < sizeof what - 1) {
            n += (size_t)snprintf(what + n, sizeof what - n, "%s", n ? ", " : "");
            n += n < sizeof what - 1 ? (size_t)snprintf(what + n, sizeof what - n, told[i].form, told[i].is) : 0;
        }
    snprintf(d->learnt, sizeof d->learnt, "learnt from lathe selftest on %s, %.10s, %s driver %d, lathe %s: %s", l->name, l->when, l->driver, l->driver_version,
             l->version, what);
}
