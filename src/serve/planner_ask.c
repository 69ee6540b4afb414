#include "serve/planner_ask.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "serve/wish.h"

enum { ARGS = sizeof((struct planner_ask *)0)->argv / sizeof(char *) };

/* ---- arguments ---- */

/* Takes it. */
static void add(struct planner_ask *a, char *text, struct refusal *e)
{
    if (!text)
        wish_no_memory(e);
    else if (a->n >= ARGS - 1)
        mem_free(text), refuse(e, NULL, "the request asks for more than a plan can be asked");
    else
        a->argv[a->n++] = text;
}

static void add_text(struct planner_ask *a, const char *option, const char *text, struct refusal *e)
{
    add(a, mem_strdup(option), e);
    add(a, mem_strdup(text), e);
}

static void add_number(struct planner_ask *a, const char *option, double x, struct refusal *e)
{
    add(a, mem_strdup(option), e);
    add(a, mem_printf("%.10g", x), e);
}

/* ---- fields ---- */

/* A letter or digit, then these and some of `more`. */
static bool is_name(const char *s, size_t most, const char *more)
{
    if (!isalnum((unsigned char)*s) || strlen(s) >= most)
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr(more, *s))
            return false;
    return true;
}

static const char *name_in(struct in *f, const char *field, const char *more, const char *what)
{
    const char *s = NULL;
    if (in_str(f, field, &s, NULL) && !is_name(s, PLANNER_NAME, more)) {
        refuse(f->e, field, "%s%s%s is '%.60s', expected %s", f->path, *f->path ? "." : "", field, s, what);
        return NULL;
    }
    return s;
}

static void read_model(struct planner_ask *a, struct in *f)
{
    const char *model = name_in(f, "model", "._-", "a name of lathe plan --models");
    in_str(f, "served", &a->served, NULL);
    in_object(f, "config", &a->config);
    if (!f->e->status && (model != NULL) + (a->served != NULL) + (a->config != NULL) != 1)
        refuse(f->e, "model", "expected one of model, served and config: what the plan is for");
    a->model = a->n;
    add(a, mem_strdup(model ? model : PLANNER_CONFIG), f->e);
}

/* NAME[:COUNT][=USD[/h]] */
static void read_device(struct planner_ask *a, const json_t *v, size_t i, struct refusal *e)
{
    struct in f;
    int64_t count = 0;
    double usd = 0, hour = 0;
    char n[24] = "", price[40] = "";
    in_begin(&f, v, e, "devices[%zu]", i);
    const char *name = name_in(&f, "device", ".:-", "a name of lathe plan --devices");
    in_int(&f, "count", 1, 100000, &count);
    in_num(&f, "usd", 0.01, 1e8, &usd);
    in_num(&f, "usd_per_hour", 0.0001, 1e6, &hour);
    in_end(&f, NULL);
    if (!name)
        refuse(e, "devices", "devices[%zu].device is missing: a name of lathe plan --devices", i);
    if (usd > 0 && hour > 0)
        refuse(e, "devices", "devices[%zu]: expected one of usd and usd_per_hour: it is bought or rented", i);
    if (e->status)
        return;
    if (count)
        snprintf(n, sizeof n, ":%lld", (long long)count);
    if (usd > 0 || hour > 0)
        snprintf(price, sizeof price, usd > 0 ? "=%.10g" : "=%.10g/h", usd > 0 ? usd : hour);
    add(a, mem_strdup("--device"), e);
    add(a, mem_printf("%s%s%s", name, n, price), e);
}

static void read_devices(struct planner_ask *a, struct in *f)
{
    const json_t *list = NULL;
    in_array(f, "devices", &list);
    const size_t n = json_array_size(list);
    if (n < 1 || n > PLANNER_DEVICES)
        refuse(f->e, "devices", "devices has %zu, expected 1 to %d: [{\"device\": \"h100\"}]", n, PLANNER_DEVICES);
    for (size_t i = 0; i < n && !f->e->status; i++)
        read_device(a, json_array_get(list, i), i, f->e);
}

static void read_api(struct planner_ask *a, const json_t *v, size_t i, struct refusal *e)
{
    struct in f;
    double input = 0, output = 0;
    in_begin(&f, v, e, "api[%zu]", i);
    const char *name = name_in(&f, "name", " ._-(),", "letters and digits");
    const bool in = in_num(&f, "input", 0, 1e5, &input), out = in_num(&f, "output", 1e-6, 1e5, &output);
    in_end(&f, NULL);
    if (!in || !out)
        refuse(e, "api", "api[%zu]: expected input and output, dollars for a million tokens of prompts and of answers", i);
    if (e->status)
        return;
    add(a, mem_strdup("--api"), e);
    add(a, mem_printf("%s=%.10g:%.10g", name ? name : "API", input, output), e);
}

static void read_costs(struct planner_ask *a, struct in *f)
{
    static const struct { const char *field, *option; double min, max; } numbers[] = { { "kwh", "--kwh", 0, 100 }, { "life", "--life", 0.1, 100 }, { "idle", "--idle", 0, 1 } };
    const json_t *apis = NULL;
    bool versus = false;
    double x;
    in_bool(f, "versus", &versus);
    in_array(f, "api", &apis);
    if (versus)
        add(a, mem_strdup("--versus"), f->e);
    if (json_array_size(apis) > PLANNER_APIS)
        refuse(f->e, "api", "api has %zu, expected at most %d", json_array_size(apis), PLANNER_APIS);
    for (size_t i = 0; i < json_array_size(apis) && !f->e->status; i++)
        read_api(a, json_array_get(apis, i), i, f->e);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (in_num(f, numbers[i].field, numbers[i].min, numbers[i].max, &x))
            add_number(a, numbers[i].option, x, f->e);
    if (!versus && !f->e->status && (apis || json_object_get(f->o, "kwh") || json_object_get(f->o, "life")))
        refuse(f->e, "versus", "api, kwh and life are of versus, which is not true");
}

static void read_choice(struct planner_ask *a, struct in *f, const char *field, const char *option, const char *choices)
{
    int which;
    if (in_choice(f, field, choices, &which))
        add_text(a, option, json_string_value(json_object_get(f->o, field)), f->e);
}

static void read_workload(struct planner_ask *a, struct in *f)
{
    static const struct { const char *field, *option; double max; } numbers[] = { { "rate", "--rate", 1e9 }, { "think", "--think", 1e6 }, { "ttft", "--ttft", 1e6 }, { "tpot", "--tpot", 1e6 }, { "e2e", "--e2e", 1e6 } };
    static const char *const lengths[] = { "prompt", "output" };
    int64_t users;
    double x;
    read_choice(a, f, "workload", "--workload", "chat|code|rag|batch|recorded");
    if (a->n && a->argv[a->n - 1] && !strcmp(a->argv[a->n - 1], "recorded"))
        a->recorded = a->n - 1;
    for (int i = 0; i < 2; i++) {
        const char *s = name_in(f, lengths[i], ".,:-", "tokens, such as 1000, 200-400 or lognormal:1020,0.9");
        if (s)
            add_text(a, i ? "--output" : "--prompt", s, f->e);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (in_num(f, numbers[i].field, 0, numbers[i].max, &x))
            add_number(a, numbers[i].option, x, f->e);
    if (in_int(f, "users", 1, 10000000, &users))
        add_number(a, "--users", (double)users, f->e);
    read_choice(a, f, "weights", "--weights", "auto|f32|bf16|fp8|int8|fp4");
    read_choice(a, f, "kv", "--kv", "auto|f32|bf16|fp8|int8");
}

void planner_ask_read(struct planner_ask *a, const json_t *request, struct refusal *e)
{
    struct in f;
    *a = (struct planner_ask){ 0 };
    in_begin(&f, request, e, "%s", "");
    add(a, mem_strdup("lathe"), e), add(a, mem_strdup("plan"), e);
    read_model(a, &f);
    read_devices(a, &f);
    read_workload(a, &f);
    read_costs(a, &f);
    add(a, mem_strdup("--quiet"), e), add(a, mem_strdup("--json"), e);
    in_end(&f, NULL);
}

/* Takes it, in place of the i-th. */
static void put(struct planner_ask *a, int i, char *text, struct refusal *e)
{
    mem_free(a->argv[i]);
    if (!(a->argv[i] = text))
        wish_no_memory(e);
}

void planner_ask_model(struct planner_ask *a, const char *path, struct refusal *e) { put(a, a->model, mem_strdup(path), e); }
void planner_ask_recorded(struct planner_ask *a, const char *place, struct refusal *e) { put(a, a->recorded, mem_printf("recorded:%s", place), e); }

void planner_ask_release(struct planner_ask *a)
{
    for (int i = 0; i < ARGS; i++)
        mem_free(a->argv[i]);
    *a = (struct planner_ask){ 0 };
}
