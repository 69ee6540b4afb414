/* check.c - the self test's frame: memory, launches, comparison and time of a case. */
#include "gpu/check_job.h"
#include "base/mem.h"
#include "base/stat.h"
#include "cpu/kernels.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- memory ---- */

/* In place of a failure: the case is not wanted. */
enum { NOT_WANTED = 1 };
void job_begin(struct job *j)
{
    j->rc = !j->wanted || j->wanted(j->to, j->n_case) ? 0 : NOT_WANTED;
    j->n_case++, j->seed = 12345;
    *j->shape = 0;
}

static void report(struct job *j, struct gpu_row r)
{
    r.shape = j->shape;
    r.message = r.message ? r.message : "";
    j->n_bad += !r.right;
    j->row(j->to, &r);
}

void job_end(struct job *j, const char *name)
{
    struct err later;
    gpu_wait(j->g, j->stream, j->rc ? &later : &j->err);
    if (j->rc && j->rc != NOT_WANTED)
        report(j, (struct gpu_row){ .kind = "failed", .name = name, .message = j->err.msg, .rc = j->rc });
    for (int i = 0; i < j->n_device; i++)
        gpu_free(j->g, j->device[i]);
    for (int i = 0; i < j->n_host; i++)
        mem_free(j->host[i]);
    j->n_device = j->n_host = j->rc = 0;
}

void *job_host(struct job *j, size_t n)
{
    if (j->rc)
        return NULL;
    void *p = j->n_host < JOB_MEM ? mem_alloc_array(n / 64 + 1, 64) : NULL;
    if (!p)
        j->rc = ERR(&j->err, NOMEM, "%zu bytes of the host", n);
    else
        j->host[j->n_host++] = p;
    return p;
}

void *job_device(struct job *j, size_t n)
{
    void *p = NULL;
    if (j->rc)
        return NULL;
    if (j->n_device == JOB_MEM)
        j->rc = ERR(&j->err, RANGE, "more than %d blocks of a case", JOB_MEM);
    else if ((j->rc = gpu_alloc(j->g, &p, n, &j->err)) == 0)
        j->device[j->n_device++] = p;
    return p;
}

void *job_upload(struct job *j, const void *from, size_t n)
{
    void *p = job_device(j, n);
    if (!j->rc)
        j->rc = gpu_put(j->g, j->stream, p, from, n, &j->err);
    return p;
}

void job_download(struct job *j, void *to, const void *device, size_t n)
{
    if (!j->rc)
        j->rc = gpu_get(j->g, j->stream, to, device, n, &j->err);
    job_wait(j);
}

void *job_repeated(struct job *j, const void *from, size_t period, size_t n)
{
    char *p = job_device(j, n);
    for (size_t at = 0; at < n && !j->rc; at += period)
        j->rc = gpu_put(j->g, j->stream, p + at, from, n - at < period ? n - at : period, &j->err);
    return p;
}

float job_random(struct job *j)
{
    j->seed = j->seed * 1664525u + 1013904223u;
    return (float)((int)(j->seed >> 8) - 0x800000) / 0x800000;
}

float *job_floats(struct job *j, size_t n)
{
    float *x = job_host(j, n * sizeof *x);
    for (size_t i = 0; x && i < n; i++)
        x[i] = job_random(j);
    return x;
}

uint16_t *job_bf16s(struct job *j, size_t n)
{
    uint16_t *x = job_host(j, n * sizeof *x);
    for (size_t i = 0; x && i < n; i++) {
        const float f = job_random(j);
        uint32_t u;
        memcpy(&u, &f, sizeof u);
        x[i] = (uint16_t)(u >> 16);
    }
    return x;
}

void job_launch(struct job *j, enum gpu_kernel k, long gx, long gy, long gz, const void *args)
{
    if (!j->rc)
        j->rc = gpu_launch(j->g, j->stream, k, gx, gy, gz, args, &j->err);
}
void job_wait(struct job *j)
{
    if (!j->rc)
        j->rc = gpu_wait(j->g, j->stream, &j->err);
}

/* ---- comparison ---- */

double job_tolerance(const char *cpu_kernel)
{
    static const struct { const char *name; double tolerance; } rows[] = {
#define K(name, ret, params, tol, what) { #name, tol },
#include "cpu/kernels.def"
#undef K
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].name, cpu_kernel))
            return rows[i].tolerance;
    return 0;
}

void job_compare(struct job *j, const char *name, const float *got, const float *want, size_t n, double tolerance)
{
    if (j->rc)
        return;
    double d = 0, w = 0;
    for (size_t i = 0; i < n; i++) {
        const double e = (double)got[i] - (double)want[i];
        if (isnan(got[i]) && isnan(want[i]))
            continue;
        d += e * e, w += (double)want[i] * (double)want[i];
    }
    const double error = d == 0 ? 0 : w == 0 ? INFINITY : sqrt(d / w);
    report(j, (struct gpu_row){ .kind = "check", .name = name, .error = error, .tolerance = tolerance, .right = error <= tolerance });
}

void job_compare_bits(struct job *j, const char *name, const void *got, const void *want, size_t n)
{
    if (j->rc)
        return;
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++)
        wrong += ((const char *)got)[i] != ((const char *)want)[i];
    report(j, (struct gpu_row){ .kind = "check", .name = name, .error = n ? (double)wrong / (double)n : 0, .right = wrong == 0 });
}

/* ---- time ---- */

/* Runs of launches that take about 2 ms, 3 to 200 of them, in one graph: a launch by the host takes longer than a small kernel.  Median and least
 * of 9 runs, by a launch. */
void job_time(struct job *j, const char *kind, const char *name, void (*launch)(struct job *, int, void *), void *ctx, int n_variant, double bytes, double flop)
{
    enum { ROUNDS = 9 };
    double us[ROUNDS], ms = 0;
    struct gpu_graph graph = { 0 };
    int n = 3;
    for (int round = -3; round < ROUNDS && !j->rc; round++) {
        if (round == -1) {
            j->rc = gpu_graph_begin(j->g, j->stream, &j->err);
            for (int i = 0; i < n && !j->rc; i++)
                launch(j, i % n_variant, ctx);
            const int rc = j->rc;
            j->rc = gpu_graph_end(j->g, j->stream, &graph, rc ? NULL : &j->err);
            j->rc = rc ? rc : j->rc;
        }
        j->rc = j->rc ? j->rc : gpu_event_record(j->g, j->event[0], j->stream, &j->err);
        for (int i = 0; i < n && !j->rc && round < -1; i++)
            launch(j, i % n_variant, ctx);
        if (round >= -1 && !j->rc)
            j->rc = gpu_graph_launch(j->g, j->stream, &graph, &j->err);
        j->rc = j->rc ? j->rc : gpu_event_record(j->g, j->event[1], j->stream, &j->err);
        j->rc = j->rc ? j->rc : gpu_event_ms(j->g, j->event[0], j->event[1], &ms, &j->err);
        if (round == -2)
            n = ms > 0 ? (int)fmin(200, fmax(fmax(3, n_variant), 2.0 * n / ms)) : 3;
        else if (round >= 0)
            us[round] = ms * 1000 / n;
    }
    gpu_graph_free(j->g, &graph);
    if (j->rc)
        return;
    double least = us[0];
    for (int i = 1; i < ROUNDS; i++)
        least = fmin(least, us[i]);
    const double t = stat_median(us, ROUNDS);
    const double share = j->copy_gbps > 0 && t > 0 ? bytes / t / 1000 / j->copy_gbps : 0;
    report(j, (struct gpu_row){ .kind = kind, .name = name, .right = true, .us = t, .us_least = least, .bytes = bytes, .flop = flop, .share = share });
}

int gpu_check(struct gpu *g, int parts, gpu_row_fn *row, void *to) { return gpu_check_cases(g, parts, NULL, row, to); }
int gpu_check_cases(struct gpu *g, int parts, gpu_case_fn *wanted, gpu_row_fn *row, void *to)
{
    struct job j = { .g = g, .wanted = wanted, .row = row, .to = to };
    j.rc = gpu_stream_new(g, &j.stream, &j.err);
    for (int i = 0; i < 2 && !j.rc; i++)
        j.rc = gpu_event_new(g, &j.event[i], &j.err);
    if (j.rc) {
        job_end(&j, "streams and events");
        return j.n_bad;
    }
    if (parts & GPU_TIME_COPY)
        time_copy(&j);
    if (parts & GPU_TIME_LAUNCH)
        time_launch(&j);
    for (int large = 0; large < 2; large++) {
        if (!(parts & (large ? GPU_CHECK_LARGE : GPU_CHECK_SMALL)))
            continue;
        check_rows(&j, large);
        check_gemv(&j, large);
        check_mat(&j, large);
        check_attn(&j, large);
        check_gemm(&j, large);
        check_layer(&j, large);
    }
    if (parts & GPU_CHECK_SAMPLE)
        check_sample(&j, parts & GPU_CHECK_LARGE);
    if (parts & GPU_CHECK_MOE)
        check_moe(&j, parts & GPU_CHECK_LARGE);
    if (parts & GPU_CHECK_TRAIN)
        check_train(&j, parts & GPU_CHECK_LARGE);
    for (int large = 0; large < 2; large++)
        if (parts & (large ? GPU_CHECK_LARGE : GPU_CHECK_QUANT))
            check_quant(&j, large), check_variants(&j, large);
    if (parts & GPU_CHECK_HOPPER)
        check_hopper(&j);
    if (parts & GPU_TIME_KERNELS)
        time_kernels(&j);
    if (parts & GPU_TIME_PRODUCTS)
        time_products(&j);
    if (parts & GPU_TIME_HOPPER)
        time_hopper(&j);
    gpu_event_free(g, j.event[0]);
    gpu_event_free(g, j.event[1]);
    gpu_stream_free(g, j.stream);
    return j.n_bad;
}
