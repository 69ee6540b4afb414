/* cmd_selftest.c - lathe selftest: is this GPU right, and what can it do? */
#include <jansson.h>
#include <lathe.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/when.h"
#include "cmd/cmd.h"
#include "gpu/check.h"
#include "gpu/verdict.h"
#include "plan/kernel.h"

static const char *device = "cuda:0", *only = "all", *out;

/* model: the device of the table that its name is of, by whose constants times are foretold; NULL: it is not there. */
struct report { json_t *rows; const struct device *model; struct gpu_verdict verdict; bool short_of_memory; int n_check, n_measured; };

/* By the table alone: what an earlier run taught would foretell itself. */
static bool foretold(struct kernel_time *t, const struct report *report, const struct gpu_row *r)
{
    return report->model && r->us > 0 && kernel_foretell(t, report->model, &(struct kernel_row){ r->kind, r->name, r->shape, r->bytes, r->flop });
}

static json_t *row_json(const struct report *report, const struct gpu_row *r)
{
    struct kernel_time t;
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
    if (foretold(&t, report, r)) {
        failed |= json_object_set_new(o, "predicted_us", json_real(t.seconds * 1e6)) | json_object_set_new(o, "bound_by", json_string(kernel_bound_name(t.bound)));
        if (kernel_never_run(report->model))
            failed |= json_object_set_new(o, "prediction", json_string(KERNEL_NEVER_RUN));
    }
    if (!failed)
        return o;
    json_decref(o);
    return NULL;
}

static void print_row(const struct report *report, const struct gpu_row *r)
{
    struct kernel_time t;
    printf("%-7s %-28s %-52s ", r->kind, r->name, r->shape);
    if (*r->message)
        printf("FAILED: %s\n", r->message);
    else if (r->us == 0)
        printf("%s: error %.2g, at most %.2g\n", r->right ? "right" : "WRONG", r->error, r->tolerance);
    else if (r->bytes > 0)
        printf("%10.2f us %8.1f GB/s %7.1f TFLOP/s %s%.0f %%", r->us, r->bytes / r->us / 1000, r->flop / r->us / 1e6, r->share > 0 ? "of copy " : "", 100 * r->share);
    else
        printf("%10.2f us", r->us);
    if (foretold(&t, report, r))
        printf("; predicted %.2f us, %+.0f %%", t.seconds * 1e6, 100 * (t.seconds * 1e6 / r->us - 1));
    if (!*r->message && r->us > 0)
        printf("\n");
    fflush(stdout);
}

static void take_row(void *to, const struct gpu_row *r)
{
    struct report *report = to;
    report->n_check += r->us == 0;
    report->n_measured += r->us > 0;
    if (!r->right && r->rc != ERR_NOMEM && r->rc != ERR_UNSUPPORTED)
        gpu_verdict_add(&report->verdict, r->name);
    if (cmd_json || out)
        report->short_of_memory |= json_array_append_new(report->rows, row_json(report, r)) != 0;
    if (!cmd_json && (!cmd_quiet || !r->right))
        print_row(report, r);
}

static json_t *report_json(const struct gpu_facts *f, struct report *r, int n_bad)
{
    char when[WHEN_TEXT];
    when_seconds(when, when_now() / 1000000000);
    return r->short_of_memory ? NULL
        : json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:i, s:i, s:s, s:i, s:s*, s:O}", "lathe", LATHE_VERSION, "when", when, "device", device, "name", f->name, "arch", f->arch, "driver", f->driver,
                    "driver_version", f->driver_version, "bytes", (json_int_t)f->bytes, "multiprocessors", f->n_unit, "clock_mhz", f->clock_mhz, "only", only, "wrong", n_bad, "predicted_by",
                    r->model ? r->model->key : NULL, "rows", r->rows);
}

static int write_report(const struct gpu_facts *f, struct report *r, int n_bad, struct err *err)
{
    if (!cmd_json && !out)
        return 0;
    json_t *o = report_json(f, r, n_bad);
    if (!o)
        return ERR(err, NOMEM, "a report of %d rows", r->n_check + r->n_measured);
    char *text = out ? tree_dumps(o, JSON_INDENT(2)) : NULL;
    int rc = out && !text ? ERR(err, NOMEM, "a report of %d rows", r->n_check + r->n_measured) : 0;
    if (text && !rc)
        rc = file_write_all(out, text, strlen(text), err);
    mem_free(text);
    if (cmd_json && !rc)
        return cmd_print_json(o, err);
    json_decref(o);
    return rc;
}

/* Kernels that are wrong are not used by this program on this device, until a test finds them right. */
static void keep_verdict(const struct gpu_facts *f, struct report *r)
{
    struct err err;
    if (gpu_verdict_keep(&r->verdict, f, &err) < 0)
        log_warn("which kernels are wrong is not kept, and they will be used: %s", err.msg);
    else
        for (int i = 0; i < r->verdict.n; i++)
            log_warn("%s is wrong on %s: not used from now on, until a test finds it right", gpu_kernel_name(r->verdict.wrong[i]), f->name);
}

static void print_summary(const struct report *r, int n_bad)
{
    printf("%d checks and %d measurements, %d wrong or not run\n", r->n_check, r->n_measured, n_bad);
    if (r->n_measured && !r->model)
        printf("times are not predicted: the device is none of lathe plan --devices\n");
    else if (r->n_measured)
        printf("times are predicted by what lathe plan knows of %s%s%s\n", r->model->name, kernel_never_run(r->model) ? ": " : "", kernel_never_run(r->model) ? KERNEL_NEVER_RUN : "");
}

static int run(const char *const *args, int n_args, struct err *err)
{
    (void)args, (void)n_args;
    enum { CHECKS = GPU_CHECK_SMALL | GPU_CHECK_LARGE | GPU_CHECK_MOE | GPU_CHECK_SAMPLE | GPU_CHECK_QUANT | GPU_CHECK_TRAIN | GPU_CHECK_HOPPER,
           TIMES = GPU_TIME_COPY | GPU_TIME_LAUNCH | GPU_TIME_KERNELS | GPU_TIME_PRODUCTS | GPU_TIME_HOPPER };
    static const int parts[] = { CHECKS | TIMES, CHECKS, TIMES, GPU_CHECK_SMALL };
    static struct report r;
    struct gpu *g;
    struct err none;
    TRY(gpu_open(&g, device, err));
    const struct gpu_facts *f = gpu_facts(g);
    log_info("%s: %s (%s), %.1f GiB, %s driver %d", device, f->name, f->arch, (double)f->bytes / (1 << 30), f->driver, f->driver_version);
    r.rows = json_array(), r.short_of_memory = !r.rows, r.model = device_find(f->name, &none);
    const int n_bad = gpu_check(g, parts[word_index(only, strlen(only), "all|check|time|small")], take_row, &r);
    if (strcmp(only, "time"))
        keep_verdict(f, &r);
    int rc = write_report(f, &r, n_bad, err);
    if (!cmd_json)
        print_summary(&r, n_bad);
    json_decref(r.rows);
    gpu_close(g);
    if (rc == 0 && n_bad)
        rc = ERR(err, NUMERIC, "%s: %d rows are wrong or could not be run", device, n_bad);
    return rc;
}

static const struct opt opts[] = {
    { OPT_STR, "device", &device, "<device>", "the GPU: cuda:N or hip:N", 0, 0 },
    { OPT_CHOICE, "only", &only, "all|check|time|small", "only compare with the reference, only measure, or only compare the first kernels at small sizes", 0, 0 },
    { OPT_STR, "out", &out, "<file>", "also the report, as --json prints it: for lathe plan --learn", 0, 0 },
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};

const struct command command_selftest = {
    "selftest", "", "check a GPU's kernels against the reference, and measure them",
    TEXT("Runs every kernel that lathe has for the device beside the CPU's reference, at edge sizes and at sizes of real models, and measures\n"
         "copies by size, the latency of launches, and kernels at the shapes of Llama-3-8B: time, bandwidth, operations, and bandwidth as a\n"
         "share of the copy bandwidth of the same run.  Beside a time stands the one that lathe plan's model of the device predicts\n"
         "(doc/gpu.md).  The driver's library is opened at run time; what is missing is said.\n\n"
         "Exit 1 when a kernel is wrong.  It is then not used on this device, with this driver and this lathe (~/.cache/lathe/selftest.json),\n"
         "which commands that would need it say; a test that finds it right takes that back.\n",
         "\n    lathe selftest --device cuda:0\n    lathe selftest --device hip:0 --only check\n    lathe selftest --device cuda:0 --out h100.json && lathe plan --learn h100.json\n"),
    opts, run, 0, 0,
};
