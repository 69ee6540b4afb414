#include "cmd/plan_versus.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/html.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/utf8.h"
#include "cmd/cmd.h"
#include "cmd/plan_serve.h"
#include "cmd/plan_workload.h"
#include "plan/deploy.h"

enum { OPTIONS_MAX = 2 * OPT_LIST_MAX, LOADS_MAX = 12, POINTS = 400 };
#define MONTH_HOURS 730.5
#define LEAST_RATE 1e-3          /* requests a second: 86 a day */
#define BESIDE 0.2               /* assumptions are taken that much smaller and larger */

/* Of models of about that size, where --api names none. */
static const struct { const char *name; double params_most, input, output; const char *source; } asked[] = {
    { "Groq, Llama 3.1 8B", 20e9, 0.05, 0.08, "tokenpricing.dev, 2026" },
    { "Groq, Llama 3.3 70B", 150e9, 0.59, 0.79, "tokenpricing.dev, 2026" },
    { "DeepSeek V3", 1e15, 0.27, 1.10, "toolhubly.com, 2026" },
};

struct versus {
    const struct plan_model *m; const struct plan_options *o;
    struct workload w; struct deploy_work work;
    struct served_plan *plan;
    struct deployment d[OPTIONS_MAX]; const char *source[OPTIONS_MAX]; int n;
    double most;                 /* requests a second: a power of ten that the largest unit does not do */
    double load[LOADS_MAX]; int n_load;      /* powers of ten */
};

/* ---- what there is to choose from ---- */

static int add_api(struct versus *v, const char *text, struct err *err)
{
    const char *equal = strchr(text, '='), *numbers = equal ? equal + 1 : text;
    char *end;
    struct deployment *d = &v->d[v->n];
    *d = (struct deployment){ .capacity = INFINITY };
    utf8_fit(d->name, sizeof d->name, equal > text ? text : "API", equal > text ? (size_t)(equal - text) : 3);
    d->usd_input = strtod(numbers, &end);
    if (end == numbers || *end != ':')
        return ERR(err, USAGE, "--api '%.80s', expected [NAME=]IN:OUT in dollars a million tokens, such as 0.15:0.60", text);
    const char *second = end + 1;
    d->usd_output = strtod(second, &end);
    if (end == second || *end || !(d->usd_input >= 0) || !(d->usd_output > 0) || !(d->usd_input < 1e6) || !(d->usd_output < 1e6))
        return ERR(err, USAGE, "--api '%.80s', expected [NAME=]IN:OUT in dollars a million tokens, such as 0.15:0.60", text);
    v->source[v->n++] = "as given";
    return 0;
}

static void add_usual_api(struct versus *v)
{
    int i = 0;
    while (v->m->facts.params > asked[i].params_most)
        i++;
    struct deployment *d = &v->d[v->n];
    *d = (struct deployment){ .capacity = INFINITY, .usd_input = asked[i].input, .usd_output = asked[i].output };
    snprintf(d->name, sizeof d->name, "API (%s)", asked[i].name);
    v->source[v->n++] = asked[i].source;
}

/* A unit is a replica. */
static int add_device(struct versus *v, const struct served_plan *p, const char *text, struct err *err)
{
    const struct device *x = &p->device.device;
    struct deployment *d = &v->d[v->n];
    const int dp = p->n ? p->plan.layout.dp : 1, size = p->n ? p->n / dp : 1;
    *d = (struct deployment){ .capacity = p->n ? p->plan.capacity / dp : 0, .watts_idle = size * x->watts * v->o->idle, .watts_busy = size * x->watts };
    snprintf(d->name, sizeof d->name, "%d x %s%s%s", size, x->name, *x->mode ? " " : "", x->mode);
    v->source[v->n++] = p->device.usd > 0 ? "bought" : x->price_date;
    if (p->device.usd > 0) {
        if (!(x->watts > 0))
            log_warn("--device %s: its watts are not known, and its energy is not counted (--watts)", text);
        d->usd_unit = size * p->device.usd, d->life_hours = v->o->life_years * 8766, d->usd_kwh = v->o->kwh;
        return 0;
    }
    d->usd_hour = size * x->price;
    return x->price > 0 ? 0 : ERR(err, USAGE, "--device %s: what it costs is not known; say what it is bought for, %s=USD, or its rent, --price", text, text);
}

static int gather(struct versus *v, struct err *err)
{
    v->plan = mem_alloc_array((size_t)v->o->device.n, sizeof *v->plan);
    if (!v->plan)
        return ERR(err, NOMEM, "no memory for %d plans", v->o->device.n);
    TRY(plan_serve_devices(v->plan, v->m, &v->w, v->o, err));
    for (int i = 0; i < v->o->device.n; i++)
        TRY(add_device(v, &v->plan[i], v->o->device.item[i], err));
    for (int i = 0; i < v->o->api.n; i++)
        TRY(add_api(v, v->o->api.item[i], err));
    if (!v->o->api.n)
        add_usual_api(v);
    for (int i = 0; i < v->n; i++)
        if (isfinite(v->d[i].capacity))
            v->most = fmax(v->most, pow(10, floor(log10(fmax(v->d[i].capacity, 0.1)) + 1)));
    v->most = fmin(v->most, 1e6);
    workload_means(&v->w, &v->work.input, &v->work.output);
    for (double rate = LEAST_RATE; rate < 1.5 * v->most && v->n_load < LOADS_MAX; rate *= 10)
        v->load[v->n_load++] = rate;
    return 0;
}

/* ---- what it comes to ---- */

/* Of the k-th option: what a device has no room for gets no tokens. */
static struct deploy_work work_of(const struct versus *v, int k)
{
    struct deploy_work w = v->work;
    if (k < v->o->device.n && v->plan[k].n)
        w.output = plan_serve_output(&v->plan[k].plan);
    return w;
}

static int cheapest(const struct versus *v, double rate)
{
    int best = 0;
    for (int i = 1; i < v->n; i++)
        if (deploy_cost(&v->d[i], &v->work, rate).usd_hour < deploy_cost(&v->d[best], &v->work, rate).usd_hour)
            best = i;
    return best;
}

static char *rate_words(char out[48], double rate)
{
    char a[32];
    snprintf(out, 48, "%.3g a second, %s a day", rate, fmt_count(a, 86400 * rate));
    return out;
}

static const char *dominates(const struct deploy_cost *c)
{
    const double x[] = { c->rent, c->capital, c->energy, c->tokens };
    static const char *const words[] = { "rent", "the machine's price", "energy", "tokens" };
    int best = 0;
    for (int i = 1; i < 4; i++)
        if (x[i] > x[best])
            best = i;
    return words[best];
}

/* The load from which on b is no dearer than a; NAN: there is none, or b is cheaper at any load. */
static double pays_from(const struct versus *v, int a, int b)
{
    const double even = deploy_break_even(&v->d[a], &v->d[b], &v->work, LEAST_RATE, v->most);
    return even > LEAST_RATE ? even : (double)NAN;
}

/* With one assumption times a factor, of all that it is of. */
static double break_even_if(const struct versus *v, int a, int b, enum deploy_assumption what, double factor)
{
    struct deployment x = v->d[a], y = v->d[b];
    struct deploy_work w = v->work, same = v->work;
    deploy_assume(&x, &w, what, factor), deploy_assume(&y, &same, what, factor);
    return deploy_break_even(&x, &y, &w, LEAST_RATE, v->most);
}

/* ---- told ---- */

static void print_loads(const struct versus *v)
{
    char a[32];
    printf("a month by load; requests a second:\n%-26s", "");
    for (int i = 0; i < v->n_load; i++)
        printf(" %10.3g", v->load[i]);
    printf("\n");
    for (int k = 0; k < v->n; k++) {
        printf("%-26.26s", v->d[k].name);
        for (int i = 0; i < v->n_load; i++)
            printf(" %9s%s", plan_dollars(a, MONTH_HOURS * deploy_cost(&v->d[k], &v->work, v->load[i]).usd_hour), cheapest(v, v->load[i]) == k ? "*" : " ");
        printf("  (%s)\n", v->source[k] ? v->source[k] : "undated");
    }
    printf("* the cheapest.  Prices: rented by the hour, day and night; owned over %g years, with energy at $%g a kWh\n", v->o->life_years, v->o->kwh);
}

static void print_pair(const struct versus *v, int a, int b)
{
    char text[48], low[48], high[48];
    const double even = pays_from(v, a, b);
    if (isnan(even))
        return;
    const int n = deploy_crossings(&v->d[a], &v->d[b], &v->work, LEAST_RATE, v->most, NULL, 0);
    printf("%s is cheaper than %s from %s on%s\n", v->d[b].name, v->d[a].name, rate_words(text, even), n > 1 ? ", and at times below" : "");
    if (!v->o->explain)
        return;
    for (int i = 0; i < N_DEPLOY_ASSUMPTION; i++) {
        const double less = break_even_if(v, a, b, (enum deploy_assumption)i, 1 - BESIDE), more = break_even_if(v, a, b, (enum deploy_assumption)i, 1 + BESIDE);
        if (isfinite(less) && isfinite(more) && fabs(less / even - 1) < 1e-6 && fabs(more / even - 1) < 1e-6)
            continue;
        snprintf(low, sizeof low, isfinite(less) ? "%.3g" : "never", less), snprintf(high, sizeof high, isfinite(more) ? "%.3g" : "never", more);
        printf("  with %.0f %% less %s: %s; with %.0f %% more: %s\n", 100 * BESIDE, deploy_assumption_name((enum deploy_assumption)i), low, 100 * BESIDE, high);
    }
}

static char *energy_words(char out[48], double wh)
{
    *out = 0;
    if (isfinite(wh))
        snprintf(out, 48, "; %.3g Wh", wh);
    return out;
}

static void print_all(const struct versus *v)
{
    char a[32], b[48], c[48];
    plan_model_print(v->m);
    plan_workload_print(&v->w, v->o);
    plan_serve_table(v->plan, v->o->device.n, &v->w);
    printf("\n");
    print_loads(v);
    for (int i = 0; i < v->n; i++)
        if (isfinite(v->d[i].capacity) && v->d[i].capacity > 0) {
            const struct deploy_work w = work_of(v, i);
            const struct deploy_cost x = deploy_cost(&v->d[i], &w, v->d[i].capacity);
            printf("%s, full at %s: %s a million output tokens, most of it %s%s\n", v->d[i].name, rate_words(c, v->d[i].capacity), plan_dollars(a, x.usd_output_mtok), dominates(&x), energy_words(b, x.wh_output_mtok));
        }
    for (int i = v->n; i-- > 0;)
        for (int k = 0; k < v->n; k++)
            if (i != k)
                print_pair(v, i, k);
}


/* Of a picture's points. */
static double load_at(const struct versus *v, int i) { return LEAST_RATE * pow(v->most / LEAST_RATE, (double)i / (POINTS - 1)); }

/* A million output tokens of a unit that is full. */
static json_t *full_json(const struct deployment *d, const struct deploy_work *w)
{
    if (!(d->capacity > 0))
        return json_null();
    const struct deploy_cost c = deploy_cost(d, w, isfinite(d->capacity) ? d->capacity : 1);
    return json_pack("{s:o, s:o, s:s}", "usd_per_million_output_tokens", tree_number(c.usd_output_mtok), "wh_per_million_output_tokens", tree_number(c.wh_output_mtok), "mostly", dominates(&c));
}

static json_t *option_json(const struct versus *v, int k)
{
    const struct deploy_work w = work_of(v, k);
    json_t *cost = json_array();
    for (int i = 0; i < POINTS; i++)
        json_array_append_new(cost, tree_number(MONTH_HOURS * deploy_cost(&v->d[k], &v->work, load_at(v, i)).usd_hour));
    return json_pack("{s:s, s:s?, s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:o}", "name", v->d[k].name, "source", v->source[k], "full", full_json(&v->d[k], &w), "capacity_requests_per_s", tree_number(v->d[k].capacity), "usd_per_hour", v->d[k].usd_hour, "usd_bought",
                     v->d[k].usd_unit, "usd_per_million_input", v->d[k].usd_input, "usd_per_million_output", v->d[k].usd_output, "watts", v->d[k].watts_busy, "usd_per_month", cost);
}

static json_t *pair_json(const struct versus *v, int a, int b)
{
    const double even = pays_from(v, a, b);
    if (isnan(even))
        return NULL;
    json_t *sensitivity = json_object();
    for (int i = 0; i < N_DEPLOY_ASSUMPTION; i++)
        json_object_set_new(sensitivity, deploy_assumption_name((enum deploy_assumption)i),
                            json_pack("[o, o]", tree_number(break_even_if(v, a, b, (enum deploy_assumption)i, 1 - BESIDE)), tree_number(break_even_if(v, a, b, (enum deploy_assumption)i, 1 + BESIDE))));
    return json_pack("{s:s, s:s, s:i, s:i, s:f, s:o}", "cheaper", v->d[b].name, "than", v->d[a].name, "cheaper_option", b, "than_option", a, "from_requests_per_s", even, "with_20_percent_less_and_more", sensitivity);
}

static int print_json(const struct versus *v, struct err *err)
{
    json_t *options = json_array(), *pairs = json_array(), *loads = json_array(), *plans = json_array();
    for (int i = 0; i < POINTS; i++)
        json_array_append_new(loads, json_real(load_at(v, i)));
    for (int i = 0; i < v->o->device.n; i++)
        json_array_append_new(plans, plan_serve_json(&v->plan[i], v->m, &v->w));
    for (int i = 0; i < v->n; i++) {
        json_array_append_new(options, option_json(v, i));
        for (int k = 0; k < v->n; k++) {
            json_t *pair = i != k ? pair_json(v, i, k) : NULL;
            if (pair)
                json_array_append_new(pairs, pair);
        }
    }
    return cmd_print_json(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "model", plan_model_json(v->m), "workload", plan_workload_json(&v->w, v->o), "requests_per_s", loads, "plans", plans, "options", options, "break_even", pairs), err);
}

/* ---- as a page ---- */

static int write_chart(const struct versus *v, struct buf *b, struct err *err)
{
    struct html_point *at = mem_alloc_array((size_t)v->n * POINTS, sizeof *at);
    struct html_line line[OPTIONS_MAX];
    if (!at)
        return ERR(err, NOMEM, "no memory for a chart");
    for (int k = 0; k < v->n; k++) {
        line[k] = (struct html_line){ v->d[k].name, at + (size_t)k * POINTS, 0 };
        for (int i = 0; i < POINTS && v->d[k].capacity > 0; i++) {
            const double rate = load_at(v, i), y = MONTH_HOURS * deploy_cost(&v->d[k], &v->work, rate).usd_hour;
            at[k * POINTS + line[k].n++] = (struct html_point){ rate, y, y, y };
        }
    }
    const int rc = html_chart_of_orders(b, "dollars a month over requests a second", line, v->n, err);
    mem_free(at);
    return rc;
}

static int write_rows(const struct versus *v, struct buf *b, struct err *err)
{
    char a[32];
    TRY(buf_add_str(b, "<table><thead><tr><th>dollars a month</th>", err));
    for (int i = 0; i < v->n_load; i++)
        TRY(buf_printf(b, err, "<th>%.3g/s</th>", v->load[i]));
    TRY(buf_add_str(b, "</tr></thead><tbody>", err));
    for (int k = 0; k < v->n; k++) {
        TRY(buf_add_str(b, "<tr><td>", err));
        TRY(html_str(b, v->d[k].name, err));
        for (int i = 0; i < v->n_load; i++)
            TRY(buf_printf(b, err, cheapest(v, v->load[i]) == k ? "</td><td><b>%s</b>" : "</td><td>%s", plan_dollars(a, MONTH_HOURS * deploy_cost(&v->d[k], &v->work, v->load[i]).usd_hour)));
        TRY(buf_add_str(b, "</td></tr>", err));
    }
    return buf_add_str(b, "</tbody></table>\n", err);
}

static int write_pairs(const struct versus *v, struct buf *b, struct err *err)
{
    char text[48];
    TRY(buf_add_str(b, "<ul>", err));
    for (int i = 0; i < v->n; i++)
        for (int k = 0; k < v->n; k++) {
            const double even = i == k ? (double)NAN : pays_from(v, i, k);
            if (isnan(even))
                continue;
            TRY(buf_add_str(b, "<li>", err));
            TRY(html_str(b, v->d[k].name, err));
            TRY(buf_add_str(b, " is cheaper than ", err));
            TRY(html_str(b, v->d[i].name, err));
            TRY(buf_printf(b, err, " from %s on</li>", rate_words(text, even)));
        }
    return buf_add_str(b, "</ul>\n", err);
}

static int write_page(const struct versus *v, const char *path, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = html_begin(&b, "Edge or cloud", err);
    rc = rc ? rc : buf_add_str(&b, "<h1>Edge or cloud: ", err);
    rc = rc ? rc : html_str(&b, v->m->name, err);
    rc = rc ? rc : buf_printf(&b, err, "</h1><p>Requests of %.0f tokens that are answered with %.0f, on average.</p>\n", v->work.input, v->work.output);
    rc = rc ? rc : write_chart(v, &b, err);
    rc = rc ? rc : write_rows(v, &b, err);
    rc = rc ? rc : write_pairs(v, &b, err);
    rc = rc ? rc : html_end(&b, err);
    rc = rc ? rc : file_write_all(path, b.data, b.len, err);
    buf_release(&b);
    if (!rc)
        log_info("page: %s", path);
    return rc;
}

int plan_versus(const struct plan_model *m, const struct plan_options *o, struct err *err)
{
    struct trace_row *rows;
    struct versus *v = mem_alloc_zero(sizeof *v);
    if (!v)
        return ERR(err, NOMEM, "no memory for a plan");
    v->m = m, v->o = o;
    int rc = plan_workload(&v->w, &rows, o, err);
    rc = rc ? rc : gather(v, err);
    if (!rc && cmd_json)
        rc = print_json(v, err);
    else if (!rc)
        print_all(v);
    if (!rc && o->html)
        rc = write_page(v, o->html, err);
    mem_free(rows), mem_free(v->plan), mem_free(v);
    return rc;
}
