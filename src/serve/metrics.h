/* metrics.h - what a server counts: /metrics in Prometheus' text form, under vLLM's names and with its buckets, and the numbers of now.
 *
 * A model's thread of steps counts through metrics_watch(), the thread of HTTP through metrics_http(); each number has one writer, so
 * that counting takes no lock and no locked instruction.  Readers, of any thread, may see a text counted in one number and not yet in
 * another.
 *
 * A text is what vLLM calls a request: n = 2 makes two.  Times run from when it was submitted, its prompt being ids.  A token's latency
 * is that since the last step that gave this text tokens: of guessed ones that come together one is counted, as vLLM does.  Texts that
 * were cancelled or failed are counted as request_success_total's finished_reason "abort" and "error" (vLLM's words), nowhere else. */
#ifndef SERVE_METRICS_H
#define SERVE_METRICS_H
#include <stdatomic.h>
#include "base/buf.h"
#include "infer/batch.h"

struct audit;
struct recorder;
struct metrics;
struct served_model;

int metrics_new(struct metrics **out, int ctx, struct err *err);       /* of one model, whose texts have ctx positions */
int metrics_experts(struct metrics *m, int n_expert, struct err *err);       /* of a mixture, before the first step */
void metrics_free(struct metrics *m);
const struct batch_watch *metrics_watch(const struct metrics *m);

/* To a number that has one writer. */
static inline void metrics_add(_Atomic uint64_t *n, uint64_t more) { atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + more, memory_order_relaxed); }

/* ---- requests ---- */

#define HTTP_ROUTES 64                   /* paths that are told apart; one more stands for all others */
struct http_counts { _Atomic uint64_t n[HTTP_ROUTES + 1][6]; };        /* [route][status / 100, 0: its client went before a reply began] */
void metrics_http(struct http_counts *c, int route, int status);       /* route: of a table; < 0 or >= HTTP_ROUTES: another */

/* ---- the text form; what there is no memory for is missing ---- */

void metrics_head(struct buf *b, const char *kind, const char *name, const char *help);      /* name: with its prefix */
void metrics_label(struct buf *b, const char *name, const char *value);                      /* name="value", escaped */
void metrics_write(struct buf *b, struct served_model *const *models, int n);
struct http_route { const char *method, *path; };
void metrics_write_process(struct buf *b, double begun);     /* memory, time, files; begun: by clock_wall() */
void metrics_write_audit(struct buf *b, struct audit *a);
void metrics_write_recorder(struct buf *b, struct recorder *r);
void metrics_write_http(struct buf *b, const struct http_counts *c, const struct http_route *routes, int n);

/* ---- now ---- */

struct quantiles { double p50, p95, p99; uint64_t n; };      /* seconds, within 5 %; n 0: there were none */
struct live {
    double tokens_per_s, prompt_tokens_per_s;                /* of the last 10 whole seconds */
    /* of the last 5 minutes, by texts that ended there, itl by tokens made there */
    struct quantiles ttft, tpot, itl, e2e;                   /* tpot: (last - first) / (tokens - 1) of a text */
    double prefix_hits;                                      /* share of the prompts' tokens that were in the cache */
};
/* now, begun: by clock_wall(). */
void metrics_live(const struct metrics *m, double now, double begun, struct live *out);
/* begun: the server. */
int metrics_live_json(struct buf *b, struct served_model *const *models, int n, const char *build, double begun, struct err *err);

#endif
