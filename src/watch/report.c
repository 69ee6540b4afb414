#include <math.h>
#include "watch/report.h"
#include "base/tree.h"

#define DRIFT_SHARE 0.5


static double monitor_alpha(const struct drift_found *f) { return f->monitor_opts && f->monitor_opts->alpha > 0 ? f->monitor_opts->alpha : 0.01; }
static double window_alpha(const struct drift_found *f) { return f->window_opts && f->window_opts->alpha > 0 ? f->window_opts->alpha : 0.05; }
static bool by_run_length(const struct drift_found *f) { return f->monitor_opts && f->monitor_opts->arl > 0; }

static bool drifted(const struct drift_found *f, int i)
{
    struct monitor_state s;
    if (!f->monitor)
        return f->window && f->window[i].drift;
    monitor_state(f->monitor, i, &s);
    return s.alarmed;
}

bool drift_found_any(const struct drift_found *f)
{
    for (int i = 0; i < reference_count(f->reference); i++)
        if (drifted(f, i))
            return true;
    return false;
}

/* ---- ours ---- */

static json_t *change_json(const struct change *c)
{
    return json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:f}", "at", (json_int_t)c->at, "low", (json_int_t)c->low, "high", (json_int_t)c->high, "auc",
                     tree_number(c->auc), "auc_low",
                     tree_number(c->auc_low), "auc_high", tree_number(c->auc_high), "tv", c->tv);
}

static json_t *monitored_json(const struct monitor *m, int i)
{
    struct monitor_state s;
    if (!m)
        return json_null();
    monitor_state(m, i, &s);
    return json_pack("{s:I, s:b, s:o, s:f, s:f, s:f, s:o, s:s, s:o, s:o}", "events", (json_int_t)s.n, "alarmed", s.alarmed, "alarmed_at",
                     s.alarmed ? json_integer((json_int_t)s.alarmed_at) : json_null(), "e", s.e, "e_max", s.e_max, "threshold", s.threshold, "p", tree_number(s.p), "track", s.track,
                     "change", change_json(&s.change), "change_at_alarm", s.alarmed ? change_json(&s.at_alarm) : json_null());
}

static json_t *effect_json(enum watch_kind kind, const struct window_signal *w)
{
    if (kind == WATCH_NUMBER)
        return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "shift", tree_number(w->shift), "shift_low", tree_number(w->shift_low), "shift_high",
                         tree_number(w->shift_high), "delta",
                         tree_number(w->delta), "delta_low", tree_number(w->delta_low), "delta_high", tree_number(w->delta_high), "wasserstein", tree_number(w->wasserstein));
    if (kind == WATCH_CATEGORY)
        return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o}", "tv", tree_number(w->tv), "category", w->category, "share_reference", tree_number(w->share_reference),
                         "share_window",
                         tree_number(w->share_window), "change_low", tree_number(w->change_low), "change_high", tree_number(w->change_high));
    return json_pack("{s:o, s:o, s:o}", "auc", tree_number(w->auc), "auc_low", tree_number(w->auc_low), "auc_high", tree_number(w->auc_high));
}

static json_t *window_json(enum watch_kind kind, const struct window_signal *w)
{
    return json_pack("{s:s?, s:o, s:o, s:o, s:b, s:I, s:I, s:f, s:f, s:o, s:o, s:s}", "test", w->test, "statistic", tree_number(w->statistic), "p", tree_number(w->p),
                     "p_adjusted",
                     tree_number(w->p_adjusted), "drift", w->drift, "reference", (json_int_t)w->n_reference, "window", (json_int_t)w->n_window, "missing_reference",
                     w->missing_reference, "missing_window", w->missing_window, "effect", effect_json(kind, w), "psi", tree_number(w->psi), "psi_rate",
                     "none stated");
}

static json_t *monitor_json(const struct drift_found *f)
{
    if (!f->monitor)
        return json_null();
    if (by_run_length(f))
        return json_pack("{s:I, s:f, s:s, s:b}", "events", (json_int_t)monitor_events(f->monitor), "run_length", f->monitor_opts->arl, "claim",
                         "where nothing has changed, an alarm within t events has at most the chance t / run_length, for every t, looked at after every event",
                         "alarmed", monitor_alarmed(f->monitor));
    return json_pack("{s:I, s:f, s:s, s:b}", "events", (json_int_t)monitor_events(f->monitor), "alpha", monitor_alpha(f), "claim",
                     "where nothing has changed, any alarm ever has at most the chance alpha, over all signals, looked at after every event", "alarmed", monitor_alarmed(f->monitor));
}

static json_t *windows_json(const struct drift_found *f)
{
    if (!f->window)
        return json_null();
    const bool holm = f->window_opts && f->window_opts->holm;
    return json_pack("{s:I, s:f, s:s, s:s}", "events", (json_int_t)f->window_events, "alpha", window_alpha(f), "adjusted",
                     holm ? "Holm" : "Benjamini-Hochberg", "claim",
                     holm ? "where nothing has changed, any signal is called drifted with at most the chance alpha, looked at once"
                          : "where nothing has changed, any signal is called drifted with at most the chance alpha, looked at once; where some have, the others are at most the share "
                            "alpha of those that are called so, on average");
}

int drift_report(json_t **out, const struct drift_found *f, struct err *err)
{
    json_t *signals = json_array();
    *out = json_pack("{s:{s:I}, s:b, s:o, s:o, s:o}", "reference", "events", (json_int_t)reference_events(f->reference), "drift", drift_found_any(f), "every_event",
                     monitor_json(f), "window", windows_json(f), "signals", signals);
    int rc = *out ? 0 : -1;
    for (int i = 0; i < reference_count(f->reference) && !rc; i++) {
        const enum watch_kind kind = reference_kind(f->reference, i);
        rc = json_array_append_new(signals, json_pack("{s:s, s:s, s:b, s:o, s:o}", "name", reference_name(f->reference, i), "kind", watch_kind_name(kind),
                                                      "drift", drifted(f, i),
                                                      "every_event", monitored_json(f->monitor, i), "window", f->window ? window_json(kind, &f->window[i]) : json_null()));
    }
    if (!rc)
        return 0;
    json_decref(*out);
    *out = NULL;
    return ERR(err, NOMEM, "no memory for the report");
}

/* ---- Evidently's ---- */

/* The p-value with which a column is called drifted where it is at most the threshold. */
static json_t *column_json(const struct drift_found *f, int i)
{
    static const char *const types[] = { "num", "cat", "vector" };
    const int n = reference_count(f->reference);
    const char *test = "none", *name = reference_name(f->reference, i);
    double p = 1, threshold = f->monitor ? monitor_alpha(f) : window_alpha(f);
    if (f->monitor) {
        struct monitor_state s;
        monitor_state(f->monitor, i, &s);
        test = by_run_length(f) ? "test martingale, by run length: evidence / threshold" : "test martingale p_value (any time)";
        p = by_run_length(f) ? s.e_max / s.threshold : fmin(1, n * s.p);
        threshold = by_run_length(f) ? 1 : threshold;
    } else if (f->window && f->window[i].test) {
        test = f->window[i].test, p = f->window[i].p_adjusted;
    }
    return json_pack("{s:s, s:s, s:s, s:f, s:f, s:b}", "column_name", name, "column_type", types[reference_kind(f->reference, i)], "stattest_name", test,
                     "stattest_threshold",
                     threshold, "drift_score", p, "drift_detected", drifted(f, i));
}

int drift_report_evidently(json_t **out, const struct drift_found *f, struct err *err)
{
    const int n = reference_count(f->reference);
    int k = 0, rc = 0;
    json_t *columns = json_object();
    for (int i = 0; i < n && !rc; i++) {
        k += drifted(f, i);
        rc = json_object_set_new(columns, reference_name(f->reference, i), column_json(f, i));
    }
    const double share = (double)k / n;
    *out = rc ? (json_decref(columns), NULL) :
                json_pack("{s:[{s:s, s:{s:f, s:i, s:i, s:f, s:b}}, {s:s, s:{s:i, s:i, s:f, s:b, s:o}}]}", "metrics", "metric", "DatasetDriftMetric",
                          "result", "drift_share",
                          DRIFT_SHARE, "number_of_columns", n, "number_of_drifted_columns", k, "share_of_drifted_columns", share, "dataset_drift", share >= DRIFT_SHARE, "metric",
                          "DataDriftTable", "result", "number_of_columns", n, "number_of_drifted_columns", k, "share_of_drifted_columns", share, "dataset_drift",
                          share >= DRIFT_SHARE, "drift_by_columns", columns);
    return *out ? 0 : ERR(err, NOMEM, "no memory for the report");
}
