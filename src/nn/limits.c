#include "nn/limits.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/stat.h"
#include "base/tree.h"

/* ---- measuring: medians of short runs on all threads at once ---- */

#define TRIES 7
#define ROOM_BYTES ((size_t)256 << 20)       /* more than any cache has for one core */
#define CACHE_BYTES ((size_t)512 << 10)      /* per thread: inside every second-level cache of the last ten years */

struct probe { const struct cpu_kernels *k; double (*peak)(int64_t); int64_t n; char *block; size_t bytes; int repeat; double *ops; };

static void peak_item(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct probe *p = ctx;
    p->ops[i] = p->peak(p->n);
}

static void read_item(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct probe *p = ctx;
    volatile uint64_t sink = 0;
    for (int r = 0; r < p->repeat; r++)
        sink = sink + p->k->read_bytes(p->bytes, p->block + (size_t)i * p->bytes);
    p->ops[i] = (double)p->bytes * p->repeat;
}

/* Operations (or bytes) a second of one loop over all threads: the median. */
static double rate(struct pool *pool, struct probe *p, int tries, pool_fn fn)
{
    double v[TRIES];
    const int n = pool_n_thread(pool);
    for (int t = 0; t < tries; t++) {
        const double begin = clock_wall();
        pool_for(pool, n, fn, p);
        const double s = clock_wall() - begin;
        v[t] = 0;
        for (int i = 0; i < n; i++)
            v[t] += p->ops[i] / s;
    }
    return stat_median(v, tries);
}

static void cpu_name(char out[80])
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[256];
    snprintf(out, 80, "unknown");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "model name", 10) && strchr(line, ':')) {
            line[strcspn(line, "\n")] = 0;
            snprintf(out, 80, "%.79s", strchr(line, ':') + 2);
            break;
        }
    if (f)
        fclose(f);
}

static void measure_peaks(struct limits *l, struct probe *p, int tries, double seconds, struct pool *pool)
{
    const int n = pool_n_thread(pool);
    double *const out[] = { &l->f32, &l->bf16, &l->int8 };
    double (*const peaks[])(int64_t) = { p->k->peak_f32, p->k->peak_bf16, p->k->peak_int8 };
    for (int i = 0; i < 3; i++) {
        p->peak = peaks[i], p->n = 200000;
        const double first = rate(pool, p, tries, peak_item);           /* also warms up; then runs of `seconds` */
        p->n = (int64_t)fmin(fmax(200000 * (seconds * first / (p->ops[0] * n)), 1000), 1e9);
        *out[i] = rate(pool, p, tries, peak_item);
    }
}

/* room NULL: peaks alone. */
static int measure(struct limits *l, char *room, int tries, double seconds, struct pool *pool, struct err *err)
{
    const int n = pool_n_thread(pool);
    const struct cpu_kernels *k = cpu_kernels();
    *l = (struct limits){ .n_thread = n };
    cpu_name(l->cpu);
    snprintf(l->level, sizeof l->level, "%s", k->level);
    struct probe p = { .k = k, .ops = mem_alloc_array((size_t)n, sizeof *p.ops), .block = room };
    if (!p.ops)
        return ERR(err, NOMEM, "no memory to measure this machine");
    measure_peaks(l, &p, tries, seconds, pool);
    if (!room) {
        mem_free(p.ops);
        return 0;
    }
    p.bytes = ROOM_BYTES / (size_t)n / 4096 * 4096, p.repeat = 1;
    l->read = rate(pool, &p, tries, read_item);
    p.bytes = CACHE_BYTES, p.repeat = 64;
    if ((size_t)n * CACHE_BYTES > ROOM_BYTES)
        p.bytes = ROOM_BYTES / (size_t)n / 256 * 256;
    l->read_cache = rate(pool, &p, tries, read_item);
    const long cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
    l->cache_bytes = (cache > 0 ? (double)cache : (double)CACHE_BYTES * 2) * n;
    mem_free(p.ops);
    return 0;
}

int limits_room_take(struct limits_room *room, struct err *err)
{
    if (!(room->block = mem_map(ROOM_BYTES)))
        return ERR(err, NOMEM, "no memory to measure this machine (%zu MB)", ROOM_BYTES >> 20);
    memset(room->block, 1, ROOM_BYTES);
    return 0;
}

void limits_room_release(struct limits_room *room)
{
    mem_unmap(room->block, ROOM_BYTES);
    room->block = NULL;
}

int limits_measure(struct limits *l, struct pool *pool, struct err *err)
{
    struct limits_room room;
    TRY(limits_room_take(&room, err));
    const int rc = measure(l, room.block, TRIES, 0.02, pool, err);
    limits_room_release(&room);
    return rc;
}

int limits_sample(struct limits *l, const struct limits_room *room, struct pool *pool, struct err *err) { return measure(l, room->block, 3, 0.005, pool, err); }

/* ---- the file ---- */

static char *limits_path(bool make_folder, struct err *err)
{
    char *folder = file_cache_dir(), *path = NULL;
    ERR(err, NOMEM, "no memory to keep the measured limits");
    if (folder && (!make_folder || file_mkdirs(folder, err) >= 0))
        path = file_join(folder, "limits.json");
    mem_free(folder);
    return path;
}

static int load_all(json_t **out, struct err *err)
{
    *out = NULL;
    char *path = limits_path(false, err);
    if (!path)
        return ERR(err, NOMEM, "no memory for a path");
    const int rc = tree_load(out, path, 1 << 20, err);
    mem_free(path);
    if (rc >= 0 && !json_is_array(*out)) {
        json_decref(*out);
        *out = NULL;
        return ERR(err, FORMAT, "the file of measured limits is not a list");
    }
    return rc;
}

static bool is_for(const json_t *o, const char *cpu, const char *level, int n_thread)
{
    const char *c = json_string_value(json_object_get(o, "cpu")), *v = json_string_value(json_object_get(o, "level"));
    return c && v && !strcmp(c, cpu) && !strcmp(v, level) && json_integer_value(json_object_get(o, "threads")) == n_thread;
}

int limits_load(struct limits *l, int n_thread, struct err *err)
{
    *l = (struct limits){ .n_thread = n_thread };
    cpu_name(l->cpu);
    snprintf(l->level, sizeof l->level, "%s", cpu_kernels()->level);
    json_t *all, *o;
    size_t i;
    TRY(load_all(&all, err));
    int rc = ERR(err, NOTFOUND, "no measured limits of this machine with %d threads", n_thread);
    json_array_foreach(all, i, o) {
        if (!is_for(o, l->cpu, l->level, n_thread))
            continue;
        struct { const char *key; double *v; } f[] = { { "f32", &l->f32 }, { "bf16", &l->bf16 }, { "int8", &l->int8 }, { "read", &l->read },
                                                       { "read_cache", &l->read_cache }, { "cache_bytes", &l->cache_bytes } };
        rc = 0;
        for (size_t j = 0; j < sizeof f / sizeof *f && !rc; j++) {
            rc = tree_num(o, f[j].key, 0, f[j].v, "limits.json", err);
            if (!rc && !(*f[j].v > 0))
                rc = ERR(err, FORMAT, "limits.json: %s is missing", f[j].key);
        }
        break;
    }
    json_decref(all);
    return rc;
}

int limits_save(const struct limits *l, struct err *err)
{
    json_t *all = NULL, *o;
    struct err ignored;
    if (load_all(&all, &ignored) < 0)
        all = json_array();
    for (size_t i = json_array_size(all); i-- > 0;)
        if (is_for(json_array_get(all, i), l->cpu, l->level, l->n_thread))
            json_array_remove(all, i);
    o = json_pack("{s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "cpu", l->cpu, "level", l->level, "threads", l->n_thread, "f32", l->f32,
                  "bf16", l->bf16, "int8", l->int8, "read", l->read, "read_cache", l->read_cache, "cache_bytes", l->cache_bytes);
    json_array_append_new(all, o);
    char *text = json_dumps(all, JSON_INDENT(2)), *path = limits_path(true, err);
    const int rc = text && path ? file_write_all(path, text, strlen(text), err) : ERR_IO;      /* limits_path() said why */
    mem_free(text);
    mem_free(path);
    json_decref(all);
    return rc;
}

/* What was kept was measured while others had the machine, if a moment gives so many times as much. */
#define OUTDONE 1.15

static int is_outdone(const struct limits *l, bool *outdone, struct pool *pool, struct err *err)
{
    struct limits now;
    TRY(measure(&now, NULL, 3, 0.002, pool, err));
    *outdone = now.f32 > OUTDONE * l->f32 || now.bf16 > OUTDONE * l->bf16 || now.int8 > OUTDONE * l->int8;
    return 0;
}

int limits_get(struct limits *l, struct pool *pool, struct err *err)
{
    struct err ignored;
    bool again = true;
    if (limits_load(l, pool_n_thread(pool), &ignored) >= 0)
        TRY(is_outdone(l, &again, pool, err));
    if (!again)
        return 0;
    TRY(limits_measure(l, pool, err));
    limits_save(l, &ignored);
    return 0;
}

/* ---- expected times ---- */

double limits_peak(const struct limits *l, enum dtype compute) { return compute == DT_BF16 ? l->bf16 : l->f32; }

static double at_peak(double flops, double peak) { return flops > 0 ? flops / peak : 0; }

double limits_seconds(const struct limits *l, const struct graph *g, unsigned passes, double T, double S, double L, const struct op_info *table)
{
    double sum = 0;
    for (int i = 0; i < g->n_node; i++) {
        const struct node *n = &g->node[i];
        if (!(passes >> n->pass & 1))
            continue;
        const struct cost_sum c = node_cost_sum(g, n, T, S, L, table);
        const double compute = at_peak(c.flops_f32 + c.flops_other, l->f32) + at_peak(c.flops_bf16, l->bf16) + at_peak(c.flops_int8, l->int8);
        sum += fmax(compute, c.bytes / (c.bytes <= l->cache_bytes ? l->read_cache : l->read));
    }
    return sum;
}

double limits_flops(const struct graph *g, unsigned passes, double T, double S, double L, const struct op_info *table)
{
    const struct cost_sum c = graph_cost(g, passes, T, S, L, table);
    return c.flops_f32 + c.flops_bf16 + c.flops_int8 + c.flops_other;
}
