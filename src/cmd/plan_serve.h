/* plan_serve.h - `lathe plan MODEL`: what serving takes on each of some devices. */
#ifndef CMD_PLAN_SERVE_H
#define CMD_PLAN_SERVE_H
#include "cmd/plan_model.h"
#include "cmd/plan_options.h"
#include "plan/serve.h"

/* One device's plan, or why there is none; idle: watts of a device that waits, of those of one that works. */
struct served_plan { struct plan_device device; enum number weights, compute, cache; double bits, idle; int n; struct serve_plan plan; struct err none; };

int plan_of_serving(const struct plan_model *m, const struct plan_options *o, struct err *err);

/* ---- also for edge or cloud ---- */

/* Plans of all --device.  What does not fit is no error here but of that plan. */
int plan_serve_devices(struct served_plan *p, const struct plan_model *m, const struct workload *w, const struct plan_options *o, struct err *err);
/* Tokens that a request gets on average, with none for those that are refused. */
double plan_serve_output(const struct serve_plan *s);
struct json_t *plan_serve_json(const struct served_plan *p, const struct plan_model *m, const struct workload *w);
struct json_t *plan_workload_json(const struct workload *w, const struct plan_options *o);
void plan_serve_table(const struct served_plan *p, int n, const struct workload *w);

#endif
