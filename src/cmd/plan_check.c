#include "cmd/plan_check.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "plan/history.h"

static char *quantity(char out[32], enum planned what, double x)
{
    if (!strcmp(planned_unit(what), "bytes"))
        return fmt_bytes(out, x);
    return fmt_seconds_fine(out, x);
}

static void print_errors(const struct plan_history *h, const struct plan_error *e, int n)
{
    char a[32], b[32];
    for (int i = 0; i < n; i++) {
        bool first = true;                       /* of this machine */
        for (int j = 0; j < i; j++)
            first = first && strcmp(e[j].machine, e[i].machine);
        if (!first)
            continue;
        printf("%s\n  %-22s %5s %8s %8s %8s %8s   %s\n", e[i].machine, "what was predicted", "runs", "median", "p90", "worst", "bias", "last: predicted, was");
        for (int j = i; j < n; j++)
            if (!strcmp(e[j].machine, e[i].machine))
                printf("  %-22s %5d %6.1f %% %6.1f %% %6.1f %% %+6.1f %%   %s, %s (%.10s, %s)\n", planned_word(e[j].what), e[j].n, 100 * e[j].median, 100 * e[j].p90, 100 * e[j].worst,
                       100 * e[j].bias, quantity(a, e[j].what, e[j].last->predicted), quantity(b, e[j].what, e[j].last->actual), e[j].last->when, e[j].last->model);
    }
    if (!n)
        printf("nothing was predicted yet: lathe train and lathe serve --foretell leave here what they said beforehand and what then was\n");
    if (h->n_bad)
        log_warn("%d %s of the history passed over; the first: %s", h->n_bad, h->n_bad == 1 ? "line" : "lines", h->bad.msg);
}

static int print_json(const struct plan_history *h, const struct plan_error *e, int n, const char *path, struct err *err)
{
    json_t *errors = json_array(), *outcomes = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(errors, json_pack("{s:s, s:s, s:s, s:i, s:f, s:f, s:f, s:f}", "what", planned_word(e[i].what), "unit", planned_unit(e[i].what), "machine", e[i].machine, "runs", e[i].n,
                                                "median_error", e[i].median, "p90_error", e[i].p90, "worst_error", e[i].worst, "bias", e[i].bias));
    for (int i = 0; i < h->n; i++) {
        const struct plan_outcome *o = &h->outcome[i];
        json_array_append_new(outcomes, json_pack("{s:s, s:s, s:s, s:s, s:f, s:f}", "time", o->when, "what", planned_word(o->what), "machine", o->machine, "model", o->model, "predicted", o->predicted,
                                                  "actual", o->actual));
    }
    return cmd_print_json(json_pack("{s:s, s:i, s:o, s:o}", "history", path, "lines_passed_over", h->n_bad, "errors", errors, "outcomes", outcomes), err);
}

static int show(const struct plan_history *h, const char *path, struct err *err)
{
    struct plan_error *e;
    int n, rc = 0;
    TRY(plan_history_errors(h, &e, &n, err));
    if (cmd_json)
        rc = print_json(h, e, n, path, err);
    else
        print_errors(h, e, n);
    mem_free(e);
    return rc;
}

int plan_check(struct err *err)
{
    struct plan_history h;
    char *path = plan_history_path();
    if (!path)
        return ERR(err, NOTFOUND, "there is no place for a history: neither XDG_STATE_HOME nor HOME is set");
    int rc = plan_history_read(&h, path, err);
    if (!rc) {
        rc = show(&h, path, err);
        plan_history_release(&h);
    }
    mem_free(path);
    return rc;
}
