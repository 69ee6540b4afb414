/* gpu_predict.c - times of this program's kernels on a GPU, foretold by plan/kernel.h, beside those that were measured.
 *
 *     build/bench/gpu_predict [--fit|--shapes] DEVICE[@US] RECORD.csv [DEVICE[@US] RECORD.csv ...]
 *
 * RECORD.csv is what bench/gpu or bench/gpu-vs-torch.py wrote (bench/records).  @US: its kernels were launched one by one by the host, which takes so long
 * for each: shorter ones show the host.  A row is judged unless it was fitted to (plan/kernel.def), or is of a product of few rows that arithmetic bounds and
 * that is being replaced.
 * --shapes is of a device that the record is not of: what its rows would take there, large products and prefill attention by the kernels of gfx942.
 * --fit prints instead, of each row, the constant of the kernel that would make it exact: clocks of a lane, or the share of the peak. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/stat.h"
#include "data/csv.h"
#include "plan/kernel.h"

#define ROWS_MAX 4096
#define NEAR 0.15
static struct err err;
static double error_of[ROWS_MAX];
static int n_judged, n_near, n_left;

static void check(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "gpu_predict: %s\n", err.msg);
        exit(1);
    }
}

static const char *text_of(const struct csv *c, const char *name)
{
    size_t n;
    const int i = csv_find(c, name);
    return i < 0 ? NULL : csv_field(c, i, &n);
}
static double number_of(const struct csv *c, const char *name)
{
    const char *s = text_of(c, name);
    return s ? atof(s) : 0;
}

/* "h200": all rows of that device; "h100: SHAPE": that one. */
static bool fitted_by(const char *fitted, const struct device *d, const char *shape)
{
    const size_t n = fitted ? strcspn(fitted, ":") : 0;
    return fitted && strlen(d->key) == n && !strncmp(fitted, d->key, n) && (!fitted[n] || !strcmp(fitted + n + 2, shape));
}

static void print_row(const struct device *d, const struct kernel_row *r, double us, double floor_us)
{
    struct kernel_time t;
    if (!kernel_foretell(&t, d, r))
        return;
    const double said = fmax(t.seconds * 1e6, floor_us), off = said / us - 1;
    const bool fitted = fitted_by(t.fitted, d, r->shape);
    printf("%-28s %-52s %10.2f %10.2f %+6.1f %%  %-10s %s%s\n", r->name, r->shape, us, said, 100 * off, kernel_bound_name(t.bound), fitted ? "fitted to this" : t.replaced ? "being replaced" : t.fitted ? "by " : "",
           !fitted && !t.replaced && t.fitted ? t.fitted : "");
    if (fitted || t.replaced) {
        n_left++;
        return;
    }
    n_near += fabs(off) <= NEAR;
    if (n_judged < ROWS_MAX)
        error_of[n_judged++] = fabs(off);
}

/* The kernel of gfx942 that does the same. */
static void print_shape(const struct device *d, struct kernel_row r)
{
    static const char *const names[][2] = { { "gemm_sm90_n128", "gemm_cdna3_128" }, { "gemm_sm90_e4m3", "gemm_cdna3_fp8" }, { "gemm_sm90", "gemm_cdna3" }, { "attn_sm90_128", "attn_cdna3_128" },
                                            { "attn_sm90_64", "attn_cdna3_64" } };
    struct kernel_time t;
    for (size_t i = 0; i < sizeof names / sizeof *names && kernel_never_run(d); i++)
        if (!strcmp(r.name, names[i][0]))
            r.name = names[i][1];
    if (!strstr(r.name, "_sm80") && kernel_foretell(&t, d, &r))
        printf("%-28s %-52s %10.2f %8.0f %8.1f  %s\n", r.name, r.shape, t.seconds * 1e6, r.bytes / t.seconds / 1e9, t.flop / t.seconds / 1e12, kernel_bound_name(t.bound));
}

/* By halving: time grows with clocks and falls with the share. */
static void print_fit(const struct device *d, const struct kernel_row *r, double us)
{
    struct kernel_time t;
    if (strcmp(r->kind, "time") || !kernel_foretell(&t, d, r))
        return;
    const bool matrix = t.bound == KERNEL_MATRIX;
    double low = 1e-3, high = 1e3;
    for (int i = 0; i < 60; i++) {
        const double x = sqrt(low * high);
        const bool longer = kernel_foretell_as(&t, d, r, &(struct kernel_constants){ matrix ? 0 : x, matrix ? x : 1 }) && t.seconds * 1e6 > us;
        *(longer == matrix ? &low : &high) = x;
    }
    printf("%-28s %-52s %10.2f  %s %.3g\n", r->name, r->shape, us, matrix ? "share" : "clocks", low);
}

enum print { JUDGED, FIT, SHAPES };
static void read_record(const char *name, const char *path, enum print how)
{
    struct device d;
    struct buf text;
    struct csv c;
    char key[64];
    const char *at = strchr(name, '@');
    snprintf(key, sizeof key, "%.*s", (int)(at ? at - name : (long)strlen(name)), name);
    check(device_mode(&d, key, &err));
    buf_init(&text);
    check(file_read(path, 1 << 24, &text, &err));
    const char *begin = text.data, *end = text.data + text.len;
    while (begin < end && *begin == '#')
        begin = memchr(begin, '\n', (size_t)(end - begin)) ? (char *)memchr(begin, '\n', (size_t)(end - begin)) + 1 : end;
    check(csv_open(&c, begin, (size_t)(end - begin), path, &err));
    printf("%s, %s%s%s\n", d.name, path, kernel_never_run(&d) ? ": " : "", kernel_never_run(&d) ? KERNEL_NEVER_RUN : "");
    if (how == JUDGED)
        printf("%-28s %-52s %10s %10s %8s  %s\n", "kernel", "shape", "measured", "predicted", "error", "bound by");
    else if (how == SHAPES)
        printf("%-28s %-52s %10s %8s %8s  %s\n", "kernel", "shape", "us", "GB/s", "TFLOP/s", "bound by");
    int rc;
    while ((rc = csv_next(&c, &err)) > 0) {
        const bool torch = !text_of(&c, "kind");
        const struct kernel_row r = { torch ? "time" : text_of(&c, "kind"), text_of(&c, torch ? "kernel" : "name"), text_of(&c, "shape"), number_of(&c, "bytes"), number_of(&c, "tflop_per_s") * number_of(&c, "us") * 1e6 };
        struct kernel_time t;
        const double us = torch && kernel_foretell(&t, &d, &r) ? t.flop / number_of(&c, "lathe") / 1e6 : number_of(&c, "us");
        if (how == SHAPES)
            print_shape(&d, r);
        else if (us > 0 && how == FIT)
            print_fit(&d, &r, us);
        else if (us > 0)
            print_row(&d, &r, us, at && strcmp(r.kind, "launch") ? atof(at + 1) : 0);
    }
    check(rc);
    csv_release(&c);
    buf_release(&text);
}

int main(int argc, char **argv)
{
    const enum print how = argc > 1 && !strcmp(argv[1], "--fit") ? FIT : argc > 1 && !strcmp(argv[1], "--shapes") ? SHAPES : JUDGED;
    const int first = how == JUDGED ? 1 : 2;
    if (argc < first + 2 || (argc - first) % 2) {
        fprintf(stderr, "usage: gpu_predict [--fit|--shapes] DEVICE[@US] RECORD.csv [DEVICE[@US] RECORD.csv ...]\n");
        return 2;
    }
    for (int i = first; i < argc; i += 2)
        read_record(argv[i], argv[i + 1], how);
    if (how != JUDGED || !n_judged)
        return 0;
    double worst = 0;
    for (int i = 0; i < n_judged; i++)
        worst = fmax(worst, error_of[i]);
    printf("%d rows judged, %d within %.0f %%, median %.1f %%, worst %.1f %%; %d not judged\n", n_judged, n_near, 100 * NEAR, 100 * stat_median(error_of, n_judged), 100 * worst, n_left);
    return 0;
}
