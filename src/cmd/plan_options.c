#include "cmd/plan_options.h"
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "plan/learnt.h"

#define DEVICES_MOST 100000

/* Behind =: what each is bought for, or, with /h, rented at. */
static int read_price(double *usd, bool *hourly, const char *text, const char *equal, struct err *err)
{
    char *end = NULL;
    *usd = equal ? strtod(equal + 1, &end) : 0;
    *hourly = equal && !strcmp(end, "/h");
    return equal && (end == equal + 1 || (*end && !*hourly) || !(*usd > 0 && *usd < 1e9)) ? ERR(err, USAGE, "--device '%.80s': expected dollars behind =, such as h100:8=25000, or h100:8=1.99/h", text) : 0;
}

/* What was learnt of this device, if anything: a part of one, by a partition mode, was not measured. */
static int take_learnt(struct device *d, const char *model, struct err *err)
{
    struct learnt l;
    const bool must = !strcmp(model, "learnt");
    if (!strcmp(model, "table") || (*d->mode && !must))
        return 0;
    if (*d->mode)
        return ERR(err, USAGE, "--device-model learnt: figures are of whole devices, found %s in %s", d->name, d->mode);
    const int rc = learnt_load(&l, d->key, err);
    if (rc == ERR_NOTFOUND && !must)
        return 0;
    TRY(rc);
    learnt_apply(d, &l);
    log_info("%s: %s (--device-model table: without)", d->name, d->learnt);
    return 0;
}

int plan_device_parse(struct plan_device *d, const char *text, const struct plan_options *o, struct err *err)
{
    char whole[96], name[96];
    const char *equal = strchr(text, '=');
    bool hourly;
    if (strlen(text) >= sizeof whole)
        return ERR(err, USAGE, "--device '%.60s...' is longer than any name", text);
    snprintf(whole, sizeof whole, "%.*s", (int)(equal ? equal - text : (ptrdiff_t)strlen(text)), text);
    TRY(read_price(&d->usd, &hourly, text, equal, err));
    text = whole;
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    const long count = colon ? strtol(colon + 1, &end, 10) : 0;
    const bool counted = colon && end != colon + 1 && !*end;
    const size_t n = counted ? (size_t)(colon - text) : strlen(text);
    if (counted && (count < 1 || count > DEVICES_MOST))
        return ERR(err, USAGE, "--device '%.80s': found %ld devices, expected 1 to %d", text, count, DEVICES_MOST);
    memcpy(name, text, n), name[n] = 0;
    d->count = counted ? (int)count : 0;
    if (!strcmp(name, PLAN_HERE)) {
        if (d->count > 1)
            return ERR(err, USAGE, "--device '%.80s': there is one of this machine", text);
        if (o->bandwidth != 1 || o->peak != 1 || o->weight_bits > 0 || o->host_s > 0)
            return ERR(err, USAGE, "--device this is measured as it is: --bandwidth-times, --peak-times, --weight-bits and --host are of the others");
        d->device = (struct device){ .name = "this machine", .key = PLAN_HERE, .vendor = "", .target = "", .kind = "cpu", .memory = (double)mem_available() };
        d->count = 1;
    } else if (device_mode(&d->device, name, err) < 0) {
        return err_context(err, "--device");
    }
    struct device *v = &d->device;
    if (strcmp(name, PLAN_HERE))
        TRY(take_learnt(v, o->device_model, err));
    if (o->price >= 0)
        v->price_low = v->price = v->price_high = o->price, v->price_date = "as given";
    if (hourly)
        v->price_low = v->price = v->price_high = d->usd, v->price_date = "as given", d->usd = 0;
    if (o->watts >= 0)
        v->watts = o->watts;
    if (o->network >= 0)
        v->network = o->network * 1e9;
    v->bandwidth *= o->bandwidth, v->memory *= o->memory;
    for (int i = 0; i < N_NUMBER; i++)
        v->peak[i] *= o->peak;
    return 0;
}

int plan_number_parse(enum number *n, const char *text, enum number otherwise, const char *what, struct err *err)
{
    *n = otherwise;
    if (!strcmp(text, "auto"))
        return 0;
    for (int i = 0; i < N_NUMBER; i++)
        if (!strcmp(text, number_name((enum number)i)))
            return *n = (enum number)i, 0;
    return ERR(err, USAGE, "--%s: found '%.40s', expected auto, f32, bf16, fp8, int8 or fp4", what, text);
}

char *plan_dollars(char out[32], double usd)
{
    char count[32];
    if (!isfinite(usd))
        snprintf(out, 32, "-");
    else if (usd >= 1e6)
        snprintf(out, 32, "$%s", fmt_count(count, usd));
    else if (usd >= 100)
        snprintf(out, 32, "$%.0f", usd);
    else
        snprintf(out, 32, usd >= 0.1 ? "$%.2f" : "$%.2g", usd);
    return out;
}
