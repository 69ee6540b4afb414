/* report.h - what a monitor and a window found, as JSON: ours, and in the layout that readers of Evidently's reports know.
 *
 * Ours:
 *   {"reference": {"events": 5000}, "drift": true,
 *    "every_event": {"events": 800, "claim": "..", "alpha" or "run_length", "alarmed": true},                            null without a monitor
 *    "window": {"events": 800, "claim": "..", "adjusted": "Benjamini-Hochberg"},                      null without a window
 *    "signals": [{"name": "nll", "kind": "number", "drift": true,
 *      "every_event": {"events", "alarmed", "alarmed_at", "e", "e_max", "threshold", "p", "track",
 *                      "change": {"at", "low", "high", "auc", "auc_low", "auc_high", "tv"},
 *                      "change_at_alarm": the same, as it was then},
 *      "window": {"test", "statistic", "p", "p_adjusted", "drift", "reference", "window", "missing_reference", "missing_window",
 *                 "effect": {..by kind, see window.h}, "psi", "psi_rate": "none stated"}}]}
 * Evidently's (its reports of before version 0.5, as_dict): {"metrics": [{"metric": "DatasetDriftMetric", "result": {"drift_share", "number_of_columns",
 * "number_of_drifted_columns", "share_of_drifted_columns", "dataset_drift"}}, {"metric": "DataDriftTable", "result": {.., "drift_by_columns": {NAME:
 * {"column_name", "column_type": "num|cat|vector", "stattest_name", "stattest_threshold", "drift_score", "drift_detected"}}}}]}.  drift_score is our p-value,
 * adjusted over the signals; dataset_drift is Evidently's own rule, half of the columns and more, and has no stated rate. */
#ifndef WATCH_REPORT_H
#define WATCH_REPORT_H
#include "watch/monitor.h"
#include "watch/window.h"

struct drift_found {
    const struct reference *reference;
    const struct monitor *monitor;                   /* NULL: none */
    const struct monitor_opts *monitor_opts;
    const struct window_signal *window;              /* NULL: none; [signals] */
    const struct window_opts *window_opts;
    int64_t window_events;
};
bool drift_found_any(const struct drift_found *f);   /* the monitor's verdict where there is one, else the window's */
int drift_report(json_t **out, const struct drift_found *f, struct err *err);
int drift_report_evidently(json_t **out, const struct drift_found *f, struct err *err);

#endif
