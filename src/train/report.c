/* report.c - metrics.jsonl, the same for TensorBoard, and the line on the terminal. */
#include "train/run.h"
#include <math.h>
#include <string.h>
#include <time.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "train/balance.h"
#include "train/view.h"

/* ---- metrics ---- */

/* JSON has no number for NaN and infinity: null. */

/* The line, and before it how many were lost since the last one that the disk took. */
static int write_line(struct run *r, const char *text, struct err *err)
{
    char lost[100];
    if (r->n_lost) {
        snprintf(lost, sizeof lost, "{\"step\":%lld,\"event\":\"metrics lost\",\"lines\":%lld}", (long long)r->state.step, (long long)r->n_lost);
        TRY(file_log_line(&r->metrics, lost, strlen(lost), err));
        r->n_lost = 0;
    }
    return file_log_line(&r->metrics, text, strlen(text), err);
}

/* TensorBoard's file is made anew at the next start: what it could not take is told once and costs nothing else. */
static int write_board(struct run *r, const json_t *o, struct err *err)
{
    const int rc = tensorboard_add(&r->board, o, true, err);
    if (rc != ERR_IO)
        return rc;
    if (!r->board_failed)
        log_warn("%s; the run goes on", err->msg);
    r->board_failed = true;
    return 0;
}

int64_t run_unix_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int run_write_metric(struct run *r, json_t *o, struct err *err)
{
    if (comm_rank(r->comm)) {                    /* rank 0 writes the same */
        json_decref(o);
        return 0;
    }
    char *text = o && !json_object_set_new(o, "unix_ms", json_integer(run_unix_ms())) ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    int rc = text ? write_line(r, text, err) : ERR(err, NOMEM, "no memory to write metrics");
    if (!rc) {
        rc = write_board(r, o, err);
    } else if (rc == ERR_IO) {
        if (!r->n_lost++)
            log_warn("%s; the run goes on", err->msg);
        rc = 0;
    }
    mem_free(text);
    json_decref(o);
    return rc;
}

/* Does the line tell of what the state has behind it?  Of steps that were left by going back, too: *n_back counts how often the run had
 * gone back when the line was written. */
static bool is_past(const struct run *r, const json_t *line, int64_t *n_back)
{
    const json_t *step = json_object_get(line, "step"), *back = json_object_get(line, "rollbacks");
    if (json_is_integer(back))
        *n_back = json_integer_value(back);
    return json_is_integer(step) && (*n_back < r->state.n_rollback || (*n_back == r->state.n_rollback && json_integer_value(step) <= r->state.step));
}

/* Lines of steps that will be done again are taken out, and TensorBoard's file is made of those that stay. */
static int cut_metrics(struct run *r, const char *path, struct err *err)
{
    struct buf old, kept;
    buf_init(&old);
    buf_init(&kept);
    int64_t n_back = 0;
    int rc = file_read(path, (size_t)4 << 30, &old, err);
    for (char *at = old.data; !rc && at < old.data + old.len;) {
        char *end = memchr(at, '\n', (size_t)(old.data + old.len - at));
        if (!end)
            break;
        json_t *o;
        if (tree_parse_json(&o, at, (size_t)(end - at), path, NULL) == ERR_NOMEM)      /* else a line that is no JSON is not kept */
            rc = ERR(err, NOMEM, "no memory to read %s", path);
        if (is_past(r, o, &n_back)) {
            rc = buf_add(&kept, at, (size_t)(end + 1 - at), err);
            if (!rc)
                rc = tensorboard_add(&r->board, o, false, err);
        }
        json_decref(o);
        at = end + 1;
    }
    if (!rc)
        rc = file_write_all(path, kept.data, kept.len, err);
    buf_release(&old);
    buf_release(&kept);
    return rc == ERR_NOTFOUND ? 0 : rc;
}

int run_open_metrics(struct run *r, struct err *err)
{
    char *path = run_out_path(r, "metrics.jsonl"), *board = run_out_path(r, "tensorboard");
    int rc = path && board ? tensorboard_open(&r->board, board, (double)(run_unix_ms() / 1000), err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = cut_metrics(r, path, err);
    if (!rc)
        rc = file_log_open(&r->metrics, path, err);
    mem_free(path);
    mem_free(board);
    return rc;
}

/* ---- of a step ---- */

/* Of layer i with experts, over the whole step. */
static const double *stats_of(const struct run *r, int i) { return r->sums + SUM_STATS + i * run_stats_width(r); }

/* Largest and smallest share of tokens that an expert of this layer got, as multiples of an equal share. */
static void expert_load(const struct run *r, int i, double *low, double *high)
{
    const double *stats = stats_of(r, i);
    const int E = r->model.route.n_expert;
    *low = INFINITY, *high = 0;
    for (int e = 0; e < E; e++) {
        const double share = stats[e] / (stats[2 * E + 2] * r->model.route.top_k / E);
        *low = fmin(*low, share), *high = fmax(*high, share);
    }
}

/* What all layers' scores are corrected by. */
static void tell_correction(const struct run *r, char *out, size_t size)
{
    double low = INFINITY, high = -INFINITY, a, b;
    for (int i = 0; i < r->model.n_stats; i++)
        if (balance_range(&r->model, i, &a, &b))
            low = fmin(low, a), high = fmax(high, b);
    if (low <= high)
        snprintf(out, size, "router bias %.3f to %.3f", low, high);
}

/* Of the machine's peak; NAN: a device computes. */
static double share_of_peak(const struct run *r, double seconds) { return r->o->device ? NAN : run_step_flops(r) / seconds / limits_peak(&r->limits, train_compute(&r->c)); }

/* Live lines on a terminal, elsewhere a line now and then. */
static int tell_step(const struct run *r, double lr, double mean_seconds, struct err *err)
{
    struct view_layer layer[CONFIG_LAYER_MAX];
    char more[64] = "", load[64] = "", left[32], share[32] = "";
    double low = INFINITY, high = 0;
    const int columns = log_live_columns();
    if (columns && !log_live_due() && r->state.step < r->c.steps)
        return 0;
    for (int i = 0; i < r->model.n_stats; i++) {
        expert_load(r, i, &layer[i].low, &layer[i].high);
        layer[i].entropy = graph_aux_losses(stats_of(r, i), &r->model.route).entropy;
        low = fmin(low, layer[i].low), high = fmax(high, layer[i].high);
    }
    tell_correction(r, more, sizeof more);
    if (r->c.privacy.on)
        snprintf(more, sizeof more, "epsilon %.3g", run_privacy_spent(r, r->state.step));
    if (r->model.n_stats)
        snprintf(load, sizeof load, ", expert load %.2f-%.2f", low, high);
    const double samples = run_step_tokens(r) / (run_classifies(r) ? classes_mean_tokens(&r->classes, &r->c) : 1);
    const struct view v = { .step = r->state.step, .steps = r->c.steps, .n_skipped = r->state.n_skipped, .seconds_left = mean_seconds * (double)(r->c.steps - r->state.step), .loss = r->loss,
                            .valid_loss = r->valid_loss, .lr = lr, .norm = r->norm, .per_second = samples / mean_seconds,
                            .share = share_of_peak(r, mean_seconds), .peak_bytes = (double)mem_private_peak(), .planned_bytes = (double)r->planned,
                            .unit = !run_classifies(r) ? "tokens" : config_vision(&r->c.model) ? "images" : "texts", .more = more, .history = &r->loss_history, .layer = layer, .n_layer = r->model.n_stats };
    if (!columns) {
        if (isfinite(v.share))
            snprintf(share, sizeof share, ", %.0f %% of peak", 100 * v.share);
        log_progress("step %lld/%lld, %s left: loss %.4f  lr %.1e  norm %.2f  %.0f %s/s%s%s%s%s", v.step, v.steps, fmt_seconds(left, v.seconds_left), v.loss, lr, v.norm,
                     v.per_second, v.unit, share, *more ? ", " : "", more, load);
        return 0;
    }
    struct buf b;
    buf_init(&b);
    const int rc = view_text(&v, columns, log_live_utf8(), &b, err);
    if (!rc)
        log_live(b.data);
    buf_release(&b);
    return rc;
}

int run_log_step(struct run *r, double lr, double seconds, double mean_seconds, struct err *err)
{
    if (comm_rank(r->comm))
        return 0;
    const double tokens = run_step_tokens(r), share = share_of_peak(r, mean_seconds);
    json_t *o = json_pack("{s:I, s:f, s:f, s:f, s:o, s:o, s:o, s:I}", "step", (json_int_t)r->state.step, "loss", r->loss, "lr", lr, "grad_norm", r->norm, "tokens_per_s",
                          tree_number(tokens / mean_seconds), "share_of_peak", tree_number(share), "seconds", tree_number(seconds), "peak_bytes",
                          (json_int_t)mem_private_peak());
    if (run_classifies(r))
        json_object_set_new(o, config_vision(&r->c.model) ? "images_per_s" : "texts_per_s", tree_number(tokens / mean_seconds / classes_mean_tokens(&r->classes, &r->c)));
    if (train_prefers(&r->c)) {
        static const char *const names[] = { "rewards/chosen", "rewards/rejected", "rewards/accuracies" };
        for (int i = 0; i < 3; i++)
            json_object_set_new(o, names[i], tree_number(r->sums[SUM_CHOSEN + i]));
        json_object_set_new(o, "rewards/margins", tree_number(r->sums[SUM_CHOSEN] - r->sums[SUM_REJECTED]));
    }
    if (r->model.n_stats) {
        json_t *layers = json_array();
        for (int i = 0; i < r->model.n_stats; i++) {
            double a, b;
            expert_load(r, i, &a, &b);
            const struct aux_losses l = graph_aux_losses(stats_of(r, i), &r->model.route);
            json_t *layer = json_pack("{s:o, s:o, s:i, s:o, s:o, s:o}", "load_min", tree_number(a), "load_max", tree_number(b), "dead", run_dead_experts(r, i), "lb_loss", tree_number(l.lb), "z_loss", tree_number(l.z),
                                      "entropy", tree_number(l.entropy));
            if (balance_range(&r->model, i, &a, &b))
                json_object_update_new(layer, json_pack("{s:o, s:o}", "bias_min", tree_number(a), "bias_max", tree_number(b)));
            json_array_append_new(layers, layer);
        }
        json_object_set_new(o, "aux_loss", tree_number(r->aux));
        json_object_set_new(o, "experts", layers);
    }
    run_privacy_metrics(r, o);
    TRY(run_write_metric(r, o, err));
    TRY(series_add(&r->loss_history, (double)r->state.step, r->loss, err));
    return tell_step(r, lr, mean_seconds, err);
}
