#include "cmd/plan_learn.h"
#include <stdio.h>
#include "base/tree.h"
#include "cmd/cmd.h"
#include "plan/learnt.h"

#define REPORT_BYTES ((size_t)64 << 20)

/* figure, unit, what the report says, what the table has */
static void print_figure(const char *what, const char *unit, double found, double table)
{
    if (found > 0)
        printf("  %-40s %10.4g %-9s the table: %.4g\n", what, found, unit, table);
    else
        printf("  %-40s %10s %-9s the table: %.4g\n", what, "-", unit, table);
}

static void print_learnt(const struct learnt *l, const struct device *d, bool newest, int n_others)
{
    const struct product_device fp8 = device_product(d, NUMBER_FP8);
    printf("%s (--device %s), measured %s on %s with %s driver %d by lathe %s\n", l->name, l->key, l->when, d->name, l->driver, l->driver_version, l->version);
    print_figure("bytes read a second", "GB/s", l->read / 1e9, d->reach * d->bandwidth / 1e9);
    print_figure("bytes copied a second, both ways", "GB/s", l->copy / 1e9, d->reach * d->bandwidth / 1e9);
    print_figure("products in bf16", "TFLOP/s", l->bf16 / 1e12, d->mma * device_peak(d, NUMBER_BF16) / 1e12);
    print_figure("products in fp8", "TFLOP/s", l->fp8 / 1e12, fp8.mma * fp8.peak * 2 / 1e12);
    print_figure("a kernel of one row, one of many", "us", l->kernel * 1e6, d->kernel * 1e6);
    print_figure("an empty one", "us", l->launch * 1e6, d->kernel * 1e6 / 2);
    if (!newest)
        printf("kept, but plans go by a newer report of this device; there are %d\n", n_others);
    else
        printf("plans of %s go by these from now on%s; --device-model table is without them\n", l->key, n_others ? ", as the newest of its reports" : "");
}

int plan_learn(const char *report, struct err *err)
{
    struct learnt l;
    json_t *o;
    bool newest;
    int n_others;
    TRY(tree_load(&o, report, REPORT_BYTES, err));
    int rc = learnt_read(&l, o, report, err);
    json_decref(o);
    rc = rc ? rc : learnt_keep(&l, &newest, &n_others, err);
    const struct device *d = rc ? NULL : device_find(l.key, err);
    if (!d)
        return rc ? rc : ERR_NOTFOUND;
    if (cmd_json)
        return cmd_print_json(json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:b, s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "device", l.key, "name", l.name, "when", l.when, "driver", l.driver, "driver_version",
                                        l.driver_version, "lathe", l.version, "newest", newest, "others", n_others, "read_bytes_per_s", l.read, "copy_bytes_per_s", l.copy, "bf16_operations_per_s",
                                        l.bf16, "fp8_operations_per_s", l.fp8, "kernel_seconds", l.kernel, "launch_seconds", l.launch), err);
    print_learnt(&l, d, newest, n_others);
    return 0;
}
