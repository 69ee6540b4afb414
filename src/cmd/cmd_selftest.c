/* cmd_selftest.c - lathe selftest: is this GPU right, and what can it do? */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "cmd/cmd.h"
#include "gpu/check.h"

static const char *device = "cuda:0", *only = "all";

struct report { json_t *rows; bool short_of_memory; int n_check, n_measured; };

static json_t *row_json(const struct gpu_row *r)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:b}", "kind", r->kind, "name", r->name, "shape", r->shape, "right", (int)r->right);
    int failed = o == NULL;
    if (*r->message)
        failed |= json_object_set_new(o, "message", json_string(r->message));
    else if (r->us == 0)
        failed |= json_object_set_new(o, "error", json_real(r->error)) | json_object_set_new(o, "tolerance", json_real(r->tolerance));
    else
        failed |= json_object_set_new(o, "us", json_real(r->us)) | json_object_set_new(o, "us_least", json_real(r->us_least));
    if (r->bytes > 0)
        failed |= json_object_set_new(o, "bytes", json_real(r->bytes)) | json_object_set_new(o, "gb_per_s", json_real(r->bytes / r->us / 1000));
    if (r->flop > 0)
        failed |= json_object_set_new(o, "tflop_per_s", json_real(r->flop / r->us / 1e6));
    if (r->share > 0)
        failed |= json_object_set_new(o, "share_of_copy", json_real(r->share));
    if (!failed)
        return o;
    json_decref(o);
    return NULL;
}

static void print_row(const struct gpu_row *r)
{
    printf("%-7s %-28s %-52s ", r->kind, r->name, r->shape);
    if (*r->message)
        printf("FAILED: %s\n", r->message);
    else if (r->us == 0)
        printf("%s: error %.2g, at most %.2g\n", r->right ? "right" : "WRONG", r->error, r->tolerance);
    else if (r->bytes > 0)
        printf("%10.2f us %8.1f GB/s %7.1f TFLOP/s %s%.0f %%\n", r->us, r->bytes / r->us / 1000, r->flop / r->us / 1e6, r->share > 0 ? "of copy " : "", 100 * r->share);
    else
        printf("%10.2f us\n", r->us);
    fflush(stdout);
}

static void take_row(void *to, const struct gpu_row *r)
{
    struct report *report = to;
    report->n_check += r->us == 0;
    report->n_measured += r->us > 0;
    if (cmd_json)
        report->short_of_memory |= json_array_append_new(report->rows, row_json(r)) != 0;
    else if (!cmd_quiet || !r->right)
        print_row(r);
}

static int write_json(const struct gpu_facts *f, struct report *r, int n_bad, struct err *err)
{
    if (r->short_of_memory)
        return ERR(err, NOMEM, "a report of %d rows", r->n_check + r->n_measured);
    return cmd_print_json(json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:i, s:i, s:i, s:O}", "device", device, "name", f->name, "arch", f->arch, "driver", f->driver, "driver_version",
                                    f->driver_version, "bytes", (json_int_t)f->bytes, "multiprocessors", f->n_unit, "clock_mhz", f->clock_mhz, "wrong", n_bad, "rows", r->rows), err);
}

static int run(const char *const *args, int n_args, struct err *err)
{
    (void)args, (void)n_args;
    enum { CHECKS = GPU_CHECK_SMALL | GPU_CHECK_LARGE | GPU_CHECK_MOE | GPU_CHECK_SAMPLE | GPU_CHECK_QUANT | GPU_CHECK_TRAIN | GPU_CHECK_HOPPER,
           TIMES = GPU_TIME_COPY | GPU_TIME_LAUNCH | GPU_TIME_KERNELS | GPU_TIME_PRODUCTS | GPU_TIME_HOPPER };
    static const int parts[] = { CHECKS | TIMES, CHECKS, TIMES };
    struct gpu *g;
    TRY(gpu_open(&g, device, err));
    const struct gpu_facts *f = gpu_facts(g);
    log_info("%s: %s (%s), %.1f GiB, %s driver %d", device, f->name, f->arch, (double)f->bytes / (1 << 30), f->driver, f->driver_version);
    struct report r = { .rows = json_array() };
    r.short_of_memory = !r.rows;
    const int n_bad = gpu_check(g, parts[word_index(only, strlen(only), "all|check|time")], take_row, &r);
    int rc = cmd_json ? write_json(f, &r, n_bad, err) : 0;
    if (!cmd_json)
        printf("%d checks and %d measurements, %d wrong or not run\n", r.n_check, r.n_measured, n_bad);
    json_decref(r.rows);
    gpu_close(g);
    if (rc == 0 && n_bad)
        rc = ERR(err, NUMERIC, "%s: %d rows are wrong or could not be run", device, n_bad);
    return rc;
}

static const struct opt opts[] = {
    { OPT_STR, "device", &device, "<device>", "the GPU: cuda:N or hip:N", 0, 0 },
    { OPT_CHOICE, "only", &only, "all|check|time", "only compare with the reference, or only measure", 0, 0 },
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};

const struct command command_selftest = {
    "selftest", "", "check a GPU's kernels against the reference, and measure them",
    TEXT("Runs every kernel that lathe has for the device beside the CPU's reference, at edge sizes and at sizes of real models, and measures\n"
         "copies by size, the latency of launches, and kernels at the shapes of Llama-3-8B: time, bandwidth, operations, and bandwidth as a\n"
         "share of the copy bandwidth of the same run.  The driver's library is opened at run time; what is missing is said.  Exit 1 when\n"
         "a kernel is wrong.\n",
         "\n    lathe selftest --device cuda:0\n    lathe selftest --device hip:0 --only check\n    lathe selftest --device cuda:0 --json > h100.json\n"),
    opts, run, 0, 0,
};
