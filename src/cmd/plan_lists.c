#include "cmd/plan_lists.h"
#include <jansson.h>
#include <stdio.h>
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "plan/device.h"
#include "plan/published.h"

static json_t *text(const char *s) { return s ? json_string(s) : json_null(); }
/* 0 is how the table says that something is not known. */
static json_t *known(double x) { return x > 0 ? json_real(x) : json_null(); }

static json_t *device_json(const struct device *d)
{
    json_t *peak = json_object();
    for (int n = 0; n < N_NUMBER; n++)
        json_object_set_new(peak, number_name((enum number)n), known(d->peak[n]));
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:f, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", d->name, "key", d->key, "vendor", d->vendor, "kind", d->kind,
                     "peak_operations_per_s", peak, "memory_bytes", d->memory, "bandwidth_bytes_per_s", d->bandwidth, "units", known(d->units), "link_bytes_per_s", known(d->link),
                     "devices_per_node", known(d->node), "network_bytes_per_s", known(d->network), "watts", known(d->watts), "usd_per_hour_low", known(d->price_low), "usd_per_hour",
                     known(d->price), "usd_per_hour_high", known(d->price_high), "price_date", text(d->price_date), "fitted", text(d->fitted), "source", text(d->source), "from_memory",
                     text(d->from_memory));
}

int plan_list_devices(struct err *err)
{
    if (cmd_json) {
        json_t *all = json_array();
        for (int i = 0; i < device_n(); i++)
            json_array_append_new(all, device_json(device_at(i)));
        return cmd_print_json(all, err);
    }
    printf("%-22s %-34s %9s %9s %10s %10s %7s %9s\n", "--device", "", "bf16", "fp8", "memory", "bandwidth", "watts", "$ an hour");
    for (int i = 0; i < device_n(); i++) {
        const struct device *d = device_at(i);
        char a[32], b[32], c[32], e[32], price[16] = "-", watts[16] = "-", fp8[32] = "-";
        if (d->price > 0)
            snprintf(price, sizeof price, "%.2f", d->price);
        if (d->watts > 0)
            snprintf(watts, sizeof watts, "%.0f", d->watts);
        if (d->peak[NUMBER_FP8] > 0)
            snprintf(fp8, sizeof fp8, "%s/s", fmt_count(c, d->peak[NUMBER_FP8]));
        printf("%-22s %-34s %7s/s %9s %10s %8s/s %7s %9s\n", d->key, d->name, fmt_count(a, device_peak(d, NUMBER_BF16)), fp8, fmt_bytes(b, d->memory), fmt_bytes(e, d->bandwidth), watts, price);
    }
    return 0;
}

int plan_list_models(struct err *err)
{
    struct published *p;
    int n, rc = 0;
    TRY(published_list(&p, &n, err));
    json_t *all = json_array();
    for (int i = 0; i < n; i++)
        if (cmd_json)
            json_array_append_new(all, json_pack("{s:s, s:s}", "name", p[i].name, "source", p[i].source));
        else
            printf("%-16s %s\n", p[i].name, p[i].source);
    if (cmd_json)
        rc = cmd_print_json(json_incref(all), err);
    json_decref(all);
    mem_free(p);
    return rc;
}
