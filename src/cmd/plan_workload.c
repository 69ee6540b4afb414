#include "cmd/plan_workload.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "load/trace.h"
#include "plan/recorded.h"
#include "plan/serve.h"
#include "store/registry.h"

#define WAY 0.3e-3                 /* seconds from an answer to the next request of a program on the same machine, beside --think */

/* Requests a second of a trace as it came. */
static double trace_rate(const struct trace_row *row, int n) { return n > 1 && row[n - 1].at > row[0].at ? (n - 1) / (row[n - 1].at - row[0].at) : 0; }

#define RECORDED "recorded"

/* "recorded", of the registry, or "recorded:PLACE". */
static bool is_recorded(const char *name) { return !strcmp(name, RECORDED) || !strncmp(name, RECORDED ":", strlen(RECORDED ":")); }

static int read_recorded(const char *name, struct trace_row **rows, int *n, struct err *err)
{
    const char *place = strchr(name, ':');
    char *made = NULL;
    struct events *e;
    struct recorded r = { 0 };
    if (!place)
        TRY(registry_where(&made, err));
    int rc = events_open(&e, place ? place + 1 : made, false, err);
    if (!rc) {
        rc = recorded_read(&r, e, &(struct events_where){ 0 }, err);
        events_close(e);
    }
    mem_free(made);
    if (!rc && r.left_out)
        log_warn("%lld recorded answers have no tokens and are left out", (long long)r.left_out);
    *rows = r.rows, *n = r.n;
    return rc;
}

static int from_trace(struct workload *w, struct trace_row **rows, const struct plan_options *o, struct err *err)
{
    TRY(is_recorded(o->workload) ? read_recorded(o->workload, rows, &w->n_trace, err) : trace_read(o->workload, rows, &w->n_trace, err));
    w->trace = *rows, w->trace_times = true, w->speed = 1;
    const double rate = trace_rate(*rows, w->n_trace);
    if (o->rate > 0 && !(rate > 0))
        return ERR(err, USAGE, "--rate: the requests of %s all come at once, so that they have no rate to be changed", o->workload);
    if (o->rate > 0)
        w->speed = o->rate / rate;
    w->rate = o->rate > 0 ? o->rate : rate;
    return 0;
}

/* What would be passed over. */
static int check_load(const struct workload *w, const struct plan_options *o, struct err *err)
{
    if (o->users > 0 && o->rate > 0)
        return ERR(err, USAGE, "expected one of --rate and --users: users who wait for their answers make their own rate");
    if (w->at_once && o->rate > 0)
        return ERR(err, USAGE, "--rate: the requests of --workload %s all come at once; others of such lengths are --workload chat --prompt TOKENS --output TOKENS", o->workload);
    return o->users <= 0 && (o->think_s > 0 || o->ramp_s > 0) ? ERR(err, USAGE, "--%s is of --users, which is missing", o->think_s > 0 ? "think" : "ramp") : 0;
}

int plan_workload(struct workload *w, struct trace_row **rows, const struct plan_options *o, struct err *err)
{
    *rows = NULL, *w = (struct workload){ 0 };
    const bool file = is_recorded(o->workload) || file_exists(o->workload);
    if (file)
        TRY(from_trace(w, rows, o, err));
    else if (workload_find(w, o->workload, err) < 0)
        return err_context(err, "--workload (or a file of requests)");
    if (file && (o->prompt || o->output))
        return ERR(err, USAGE, "--prompt and --output are the trace's own with --workload %s", o->workload);
    if (o->prompt && lengths_parse(&w->prompt, o->prompt, err) < 0)
        return err_context(err, "--prompt");
    if (o->output && lengths_parse(&w->output, o->output, err) < 0)
        return err_context(err, "--output");
    if (!file || o->users > 0)
        w->rate = o->rate;
    TRY(check_load(w, o, err));
    w->users = (int)o->users, w->ramp = o->ramp_s, w->think = o->think_s, w->way = WAY, w->seed = (uint64_t)o->seed;
    /* A whole answer that is wanted sooner than a first token usually is, says when that is to be there. */
    w->targets = (struct targets){ o->e2e_s > 0 && !cmd_given("ttft") ? fmin(o->ttft_s, o->e2e_s) : o->ttft_s, o->tpot_s, o->e2e_s };
    return 0;
}

void plan_workload_print(const struct workload *w, const struct plan_options *o)
{
    double prompt, output;
    workload_means(w, &prompt, &output);
    printf("workload %s: %.0f tokens in and %.0f out on average", w->name ? w->name : o->workload, prompt, output);
    if (w->prefix.n)
        printf(", %d tokens of them shared", w->prefix.tokens);
    if (w->users)
        printf("; %d user%s", w->users, w->users > 1 ? "s" : "");
    else if (w->rate > 0)
        printf("; %.4g requests a second", w->rate);
    const struct targets *t = &w->targets;
    if (t->ttft > 0 || t->tpot > 0 || t->e2e > 0) {
        char a[32];
        printf("; %.0f %% within", 100 * SERVE_GOOD);
        if (t->ttft > 0)
            printf(" %s to the first token", fmt_seconds_fine(a, t->ttft));
        if (t->tpot > 0)
            printf("%s %s a token", t->ttft > 0 ? "," : "", fmt_seconds_fine(a, t->tpot));
        if (t->e2e > 0)
            printf("%s %s in all", t->ttft > 0 || t->tpot > 0 ? "," : "", fmt_seconds_fine(a, t->e2e));
    }
    printf("\n");
    if (w->source)
        printf("  %s\n", w->source);
}
