#include "cmd/plan_serve.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/plan_here.h"
#include "cmd/plan_workload.h"
#include "plan/serve_rate.h"

/* ---- what is computed in what ---- */

/* Weights as the files have them, else bf16 where nothing is said. */
static int find_numbers(struct served_plan *p, const struct plan_model *m, const struct plan_options *o, struct err *err)
{
    const bool files = !strcmp(o->weights, "auto") && m->file_bits > 0;
    TRY(plan_number_parse(&p->weights, o->weights, files && m->file_bits < 6 ? NUMBER_FP4 : files && m->file_bits < 12 ? NUMBER_INT8 : NUMBER_BF16, "weights", err));
    TRY(plan_number_parse(&p->cache, o->cache, NUMBER_BF16, "kv", err));
    if (p->cache == NUMBER_FP4)
        return ERR(err, UNSUPPORTED, "--kv fp4: no engine that is planned for keeps keys and values so, expected auto, f32, bf16, fp8 or int8");
    p->bits = o->weight_bits > 0 ? o->weight_bits : files ? m->file_bits : 0;
    return 0;
}

/* Products in the weights' type where the device has a unit for that, else in the next wider one; bf16 where only f32 is left, which device_peak() widens. */
static enum number computed(const struct device *d, enum number weights)
{
    const enum number by = device_multiplied(d, weights);
    return by == NUMBER_F32 && weights != NUMBER_F32 ? NUMBER_BF16 : by;
}

static int plan_one(struct served_plan *p, const char *text, const struct plan_model *m, const struct workload *w, const struct plan_options *o, struct err *err)
{
    TRY(plan_device_parse(&p->device, text, o, err));
    p->idle = o->idle;
    TRY(find_numbers(p, m, o, err));
    struct serve_opts so = { .weights = p->weights, .cache = p->cache, .weight_bits = p->bits, .layout = { (int)o->tp, (int)o->ep, (int)o->pp, 0 },
                                   .n = p->device.count, .n_slot = (int)o->slots, .step_tokens = (int)o->step_tokens, .spare = -1, .runtime = -1, .host = o->host_s, .n_simulated = (int)o->requests };
    struct priced *here = NULL;
    if (!strcmp(p->device.device.key, PLAN_HERE))
        TRY(plan_here(&here, &so, &p->device.device, m, p->weights, !strcmp(o->weights, "auto"), err));
    so.compute = p->compute = computed(&p->device.device, p->weights);
    const int rc = serve_plan(&p->plan, &m->config, &p->device.device, w, &so, &p->none);
    priced_free(here);
    p->n = rc < 0 ? 0 : p->plan.layout.tp * p->plan.layout.pp * p->plan.layout.dp;
    return rc == ERR_NOFIT || rc >= 0 ? 0 : err_code(err_set(err, rc, __FILE__, __LINE__, "--device %s: %s", text, p->none.msg), rc);
}

int plan_serve_devices(struct served_plan *p, const struct plan_model *m, const struct workload *w, const struct plan_options *o, struct err *err)
{
    for (int i = 0; i < o->device.n; i++) {
        p[i] = (struct served_plan){ 0 };
        TRY(plan_one(&p[i], o->device.item[i], m, w, o, err));
    }
    return 0;
}

/* ---- told ---- */

double plan_serve_output(const struct serve_plan *s) { return s->fits * s->output; }
/* Tokens a second that are made of all replicas. */
static double output_s(const struct served_plan *p) { return p->plan.served * plan_serve_output(&p->plan); }
/* Dollars and watt hours of a million output tokens, at the load of the simulation; rented. */
static double usd_mtok(const struct served_plan *p)
{
    return p->device.usd > 0 || !(p->device.device.price > 0) ? (double)NAN : p->n * p->device.device.price / 3600 / output_s(p) * 1e6;
}
/* As deploy_cost() has it: what waits takes its share, the rest by how full they are. */
static double wh_mtok(const struct served_plan *p)
{
    const double full = p->plan.capacity > 0 ? fmin(1, p->plan.served / p->plan.capacity) : 1, watts = p->device.device.watts * (p->idle + (1 - p->idle) * full);
    return p->device.device.watts > 0 ? p->n * watts / 3600 / output_s(p) * 1e6 : NAN;
}

static char *or_dash(char out[32], double x, const char *form)
{
    if (isfinite(x))
        snprintf(out, 32, form, x);
    else
        snprintf(out, 32, "-");
    return out;
}

static char *layout_words(char out[48], const struct layout *l)
{
    int n = snprintf(out, 48, "tp %d", l->tp);
    if (l->pp > 1)
        n += snprintf(out + n, (size_t)(48 - n), " pp %d", l->pp);
    if (l->ep > 1)
        n += snprintf(out + n, (size_t)(48 - n), " ep %d", l->ep);
    if (l->dp > 1)
        snprintf(out + n, (size_t)(48 - n), " x %d", l->dp);
    return out;
}

static char *time_or_dash(char out[32], double seconds)
{
    if (isfinite(seconds))
        return fmt_seconds_fine(out, seconds);
    snprintf(out, 32, "-");
    return out;
}

static void print_row(const struct served_plan *p)
{
    char a[48], b[32], c[32], d[32], e[32], f[32], name[64];
    snprintf(name, sizeof name, "%s%s%s", p->device.device.name, *p->device.device.mode ? " " : "", p->device.device.mode);
    if (!p->n) {
        printf("%-24s does not fit: %s\n", name, p->none.msg);
        return;
    }
    const struct serve_plan *s = &p->plan;
    printf("%4d x %-17.17s %-14s %-5s %9.4g %10.4g %9s %9s %9s %9s %9s\n", p->n, name, layout_words(a, &s->layout), number_name(p->weights), s->capacity, output_s(p),
           time_or_dash(b, s->sim.ttft.p50), time_or_dash(c, s->sim.ttft.p99), time_or_dash(d, s->sim.tpot.p99), or_dash(e, usd_mtok(p), usd_mtok(p) < 1000 ? "$%.3g" : "$%.0f"),
           or_dash(f, wh_mtok(p), "%.0f Wh"));
}

/* Why a device is no choice at this load; NULL: it is one. */
static const char *unkept(const struct served_plan *p, const struct workload *w, char *out, size_t n)
{
    const struct serve_plan *s = &p->plan;
    if (s->sim.n_too_long == s->sim.n_request)
        return "no request has room there";
    if (s->capacity <= 0)
        return "not even a request that is alone keeps the targets there";
    if (s->rate > s->capacity && !w->users)
        return snprintf(out, n, "%.4g requests a second are more than keep the targets there", s->rate), out;
    if (w->users && !serve_keeps(&s->sim))
        return snprintf(out, n, "%.3g %% of what these users ask keeps the targets there", 100 * (double)s->sim.n_good / (double)s->sim.n_request), out;
    return NULL;
}

static double too_long_share(const struct sim_result *r) { return r->n_request ? (double)r->n_too_long / (double)r->n_request : 0; }
static double cut_share(const struct sim_result *r) { return r->n_done ? (double)r->n_cut / (double)r->n_done : 0; }

/* Of those that were simulated: the least and the most of any device. */
static void print_share(const struct served_plan *p, int n, double (*share)(const struct sim_result *r), const char *what)
{
    double least = INFINITY, most = 0;
    for (int i = 0; i < n; i++)
        if (p[i].n)
            least = fmin(least, 100 * share(&p[i].plan.sim)), most = fmax(most, 100 * share(&p[i].plan.sim));
    if (!(most > 0))
        return;
    if (least < most)
        printf("%.3g to ", least);
    printf("%.3g %% of the %s\n", most, what);
}

void plan_serve_table(const struct served_plan *p, int n, const struct workload *w)
{
    char why[100];
    printf("%-24s %-14s %-5s %9s %10s %9s %9s %9s %9s %9s\n", "devices", "layout", "", "most/s", "tokens/s", "TTFT p50", "p99", "TPOT p99", "$/Mtok", "of energy");
    for (int i = 0; i < n; i++) {
        print_row(&p[i]);
        const char *told = p[i].n ? unkept(&p[i], w, why, sizeof why) : NULL;
        if (told)
            printf("%24s %s\n", "", told);
    }
    print_share(p, n, too_long_share, "requests are longer than the model's positions or a replica's cache; they are refused, and get no tokens");
    print_share(p, n, cut_share, "answers end before their time, at the model's last position");
}

/* What whole deployments reached on such a device, by the fit to their tables: tokens a second of all; NAN: not to be said. */
static double deployments_reach(const struct served_plan *p, const struct plan_model *m, const struct workload *w)
{
    struct serve_model model;
    struct serve_rate r;
    const struct serve_load load = { .tpot = w->targets.tpot, .prompt = p->plan.prompt, .output = p->plan.output };
    const double bits = p->bits > 0 ? p->bits : number_bits(p->weights);
    const struct serve_numbers n = { bits, p->compute, number_bytes(p->cache) };
    if (!strcmp(p->device.device.key, PLAN_HERE) || serve_model_of(&model, &m->config, NULL) < 0 || serve_rate(&r, &model, &p->device.device, p->n, &n, &load, NULL, &serve_fitted, NULL) < 0)
        return NAN;
    return r.tokens > 0 ? r.tokens : (double)NAN;
}

static void print_explained(const struct served_plan *p, const struct plan_model *m, const struct workload *w)
{
    char a[32], b[32], c[32], d[32], e[32], f[32];
    const struct serve_plan *s = &p->plan;
    const struct serve_memory *y = &s->memory;
    printf("\n%s: weights %s, a step %s, runtime %s, left free %s; %s of %s for keys and values, %s tokens of a replica\n", p->device.device.name, fmt_bytes(a, y->weights), fmt_bytes(b, y->work),
           fmt_bytes(c, y->runtime), fmt_bytes(d, y->spare), fmt_bytes(e, y->cache), fmt_bytes(f, y->all), fmt_count((char[32]){ 0 }, s->cache_tokens));
    printf("  %.1f texts under way and %.1f waiting on average, busy %.0f %% of the time; %.0f %% of the cache at most, %lld put aside\n", s->sim.mean_running, s->sim.mean_waiting,
           100 * s->sim.busy_s / s->sim.seconds, 100 * s->sim.most_cache, (long long)s->sim.n_put_aside);
    printf("  a step of those texts, each with %.0f keys, %s, and %s by peak and bandwidth alone:\n", s->step.decode_keys, fmt_seconds_fine(a, s->step_seconds), fmt_seconds_fine(b, s->bound));
    for (int i = 0; i < s->n_row; i++) {
        const struct price_row *r = &s->row[i];
        if (r->seconds > s->step_seconds / 200)
            printf("    %4d x %-32s %9s, at least %9s: %s operations, %s%s%s\n", r->count, r->what, fmt_seconds_fine(a, r->seconds), fmt_seconds_fine(b, r->roofline), fmt_count(c, r->flops),
                   fmt_bytes(d, r->bytes), r->sent > 0 ? ", sent " : "", r->sent > 0 ? fmt_bytes(e, r->sent) : "");
    }
    printf("  how sure: %s\n", device_sure((char[DEVICE_SURE]){ 0 }, &p->device.device));
    const double reached = deployments_reach(p, m, w);
    if (isfinite(reached))
        printf("  deployments of its kind reach %.4g tokens/s with such texts and target (%s)\n", reached, SERVE_FITTED_ERROR);
    if (p->device.device.price > 0)
        printf("  price: $%.2f an hour (%s, $%.2f to $%.2f)\n", p->device.device.price, p->device.device.price_date, p->device.device.price_low, p->device.device.price_high);
}


static json_t *spread_json(const struct spread *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "mean", tree_number(s->mean), "p50", tree_number(s->p50), "p90", tree_number(s->p90), "p95", tree_number(s->p95), "p99",
                     tree_number(s->p99));
}

/* What a step is made of: seconds, and at least, of all of a kind. */
static json_t *rows_json(const struct serve_plan *s)
{
    json_t *all = json_array();
    for (int i = 0; i < s->n_row; i++) {
        const struct price_row *r = &s->row[i];
        json_array_append_new(all, json_pack("{s:s, s:i, s:f, s:f, s:f, s:f, s:f}", "what", r->what, "kernels", r->count, "seconds", r->seconds, "seconds_roofline", r->roofline, "operations", r->flops,
                                             "bytes", r->bytes, "bytes_sent", r->sent));
    }
    return all;
}

json_t *plan_serve_json(const struct served_plan *p, const struct plan_model *m, const struct workload *w)
{
    const struct serve_plan *s = &p->plan;
    const struct device *d = &p->device.device;
    if (!p->n)
        return json_pack("{s:s, s:s, s:b, s:s}", "device", d->name, "key", d->key, "fits", 0, "why", p->none.msg);
    json_t *layout = json_pack("{s:i, s:i, s:i, s:i}", "tp", s->layout.tp, "pp", s->layout.pp, "ep", s->layout.ep, "dp", s->layout.dp);
    json_t *memory = json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "weights", s->memory.weights, "step", s->memory.work, "runtime", s->memory.runtime, "free", s->memory.spare, "cache", s->memory.cache,
                               "all", s->memory.all);
    json_t *all = json_pack("{s:s, s:s, s:b, s:i, s:o, s:s, s:s, s:o, s:f, s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "device", d->name, "key", d->key, "fits", 1, "devices", p->n, "layout", layout,
                            "weights", number_name(p->weights), "compute", number_name(p->compute), "memory", memory, "cache_tokens", s->cache_tokens, "slots", s->n_slot, "capacity_requests_per_s",
                            s->capacity, "requests_per_s", s->rate, "output_tokens_per_s", output_s(p), "good_share", s->sim.n_request ? (double)s->sim.n_good / (double)s->sim.n_request : 0,
                            "mean_running", s->sim.mean_running, "step_seconds", s->step_seconds);
    json_object_set_new(all, "too_long_share", json_real(too_long_share(&s->sim))), json_object_set_new(all, "cut_share", json_real(cut_share(&s->sim)));
    json_object_set_new(all, "ttft_seconds", spread_json(&s->sim.ttft)), json_object_set_new(all, "tpot_seconds", spread_json(&s->sim.tpot));
    json_object_set_new(all, "e2e_seconds", spread_json(&s->sim.e2e)), json_object_set_new(all, "step_seconds_roofline", json_real(s->bound));
    json_object_set_new(all, "step_parts", rows_json(s));
    json_object_set_new(all, "usd_per_million_output_tokens", tree_number(usd_mtok(p))), json_object_set_new(all, "wh_per_million_output_tokens", tree_number(wh_mtok(p)));
    json_object_set_new(all, "usd_per_hour", d->price > 0 ? json_real(p->n * d->price) : json_null()), json_object_set_new(all, "price_date", d->price_date ? json_string(d->price_date) : json_null());
    json_object_set_new(all, "deployments_reach_tokens_per_s", tree_number(deployments_reach(p, m, w)));
    json_object_set_new(all, "fitted", d->fitted ? json_string(d->fitted) : json_null()), json_object_set_new(all, "learnt", *d->learnt ? json_string(d->learnt) : json_null());
    return all;
}

json_t *plan_workload_json(const struct workload *w, const struct plan_options *o)
{
    double prompt, output;
    workload_means(w, &prompt, &output);
    return json_pack("{s:s, s:f, s:f, s:f, s:i, s:f, s:f, s:f, s:f, s:f}", "name", w->name ? w->name : o->workload, "mean_prompt_tokens", prompt, "mean_output_tokens", output, "requests_per_s", w->rate, "users",
                     w->users, "ramp_seconds", w->ramp, "think_seconds", w->think, "ttft_seconds", w->targets.ttft, "tpot_seconds", w->targets.tpot, "e2e_seconds", w->targets.e2e);
}

static int tell(const struct served_plan *p, const struct plan_model *m, const struct workload *w, const struct plan_options *o, struct err *err)
{
    if (cmd_json) {
        json_t *plans = json_array();
        for (int i = 0; i < o->device.n; i++)
            json_array_append_new(plans, plan_serve_json(&p[i], m, w));
        return cmd_print_json(json_pack("{s:o, s:o, s:o}", "model", plan_model_json(m), "workload", plan_workload_json(w, o), "plans", plans), err);
    }
    plan_model_print(m);
    plan_workload_print(w, o);
    plan_serve_table(p, o->device.n, w);
    for (int i = 0; i < o->device.n && o->explain; i++)
        if (p[i].n)
            print_explained(&p[i], m, w);
    return 0;
}

int plan_of_serving(const struct plan_model *m, const struct plan_options *o, struct err *err)
{
    struct workload w;
    struct trace_row *rows;
    struct served_plan *p = mem_alloc_array((size_t)o->device.n, sizeof *p);
    int rc = plan_workload(&w, &rows, o, err);
    if (!p && !rc)
        rc = ERR(err, NOMEM, "no memory for %d plans", o->device.n);
    rc = rc ? rc : plan_serve_devices(p, m, &w, o, err);
    rc = rc ? rc : tell(p, m, &w, o, err);
    mem_free(rows);
    mem_free(p);
    return rc;
}
