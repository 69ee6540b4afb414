#include "train/dpsgd.h"
#include <assert.h>
#include <math.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "train/ranks.h"

#define BLOCK 16384                      /* elements that a thread takes at a time, even */

/* ---- before the run ---- */

static double expected(const struct run *r) { return (double)(r->c.batch * r->c.accumulate); }
static bool has_records(const struct run *r) { return run_classifies(r) || r->loader.n_unit; }

static void warn_of_what_is_not_covered(const struct run *r)
{
    const struct privacy *p = &r->c.privacy;
    if (p->delta >= 1 / (double)r->dp.n_record)
        log_warn("privacy.delta is %g, not below 1 / records, %.3g: publishing a whole record would be allowed", p->delta, 1 / (double)r->dp.n_record);
    if (r->dp.noise == 0)
        log_warn("privacy.noise_multiplier is 0: gradients are clipped, and nothing is private");
    if (!r->c.from && config_vision(&r->c.model))
        log_warn("the mean and deviation of the images' channels are taken from the training images without noise, and are not covered by epsilon");
    if (!r->c.from && !config_vision(&r->c.model) && !strcmp(r->c.tokenizer, "bpe"))
        log_warn("data.tokenizer: bpe is learned from the training text without noise, and is not covered by epsilon; name a tokenizer.json that was made elsewhere, or bytes");
}

int run_privacy_begin(struct run *r, struct err *err)
{
    const struct privacy *p = &r->c.privacy;
    struct dpsgd *d = &r->dp;
    if (!p->on)
        return 0;
    d->rate = expected(r) / (double)d->n_record;
    if (d->rate > 1)
        return ERR(err, USAGE, "%s: a step takes %.0f records on average (train.batch * accumulate), and there are %lld", r->o->config, expected(r), (long long)d->n_record);
    d->noise = p->noise_multiplier;
    const double steps = (double)r->c.steps;
    if (!p->noise_given && steps > 0 && privacy_noise(d->rate, p->target_epsilon, steps, p->delta, &d->noise, err) < 0)
        return err_context(err, "%s: section privacy", r->o->config);
    rdp_init(&d->rdp, d->rate, d->noise);
    if (steps > 0)
        TRY(privacy_curve(d->rate, d->noise, steps, p->delta, DP_TABLE, d->spent, err));
    d->sampling = rng_key((uint64_t)r->c.seed, "privacy: records");
    d->noises = rng_key((uint64_t)r->c.seed, "privacy: noise");
    log_info("privacy: each of %lld %s is in a step with probability %.4g; noise %.4g times the norm %g; all steps together spend epsilon %.3g at delta %g", (long long)d->n_record,
             has_records(r) ? "records" : "windows", d->rate, d->noise, p->max_grad_norm, run_privacy_spent(r, r->c.steps), p->delta);
    warn_of_what_is_not_covered(r);
    return 0;
}

double run_privacy_spent(const struct run *r, int64_t step)
{
    const struct dpsgd *d = &r->dp;
    if (step <= 0)
        return 0;
    const int64_t part = (int64_t)ceil((double)step * DP_TABLE / (double)r->c.steps);
    return fmin(rdp_epsilon(&d->rdp, (double)step, r->c.privacy.delta), d->spent[(part < DP_TABLE ? part : DP_TABLE) - 1]);
}

int run_privacy_tokens(struct run *r, struct err *err)
{
    const char *clipping = r->c.privacy.clipping;
    if (!r->c.privacy.on || !strcmp(clipping, "records"))
        return (int)r->c.ctx;
    const bool can = ghost_knows(r->model.g) && !train_prefers(&r->c);      /* a pair's loss is not a sum over its tokens */
    if (!can && !strcmp(clipping, "ghost"))
        return ERR(err, UNSUPPORTED, "%s: privacy.clipping: ghost norms are implemented for products, norms, embeddings and adapters, not for all of what this model learns, nor for pairs of answers; expected records", r->o->config);
    r->dp.ghost_tokens = !can ? 0 : !strcmp(clipping, "ghost") ? GHOST_TOKENS : GHOST_AUTO;
    return can && r->c.ctx < GHOST_TOKENS ? GHOST_TOKENS : (int)r->c.ctx;
}

size_t run_privacy_bytes(const struct run *r)
{
    const struct graph *g = r->model.g;
    return r->c.privacy.on ? mem_map_size(g->plan.bytes[TENSOR_GRAD]) + (r->dp.ghost_tokens ? ghost_bytes(g) : 0) : 0;
}

int run_privacy_take(struct run *r, struct err *err)
{
    if (!r->c.privacy.on)
        return 0;
    if (!(r->dp.record = mem_map(r->model.g->plan.bytes[TENSOR_GRAD])))
        return ERR(err, NOMEM, "no memory for the gradient of a record");
    return r->dp.ghost_tokens ? ghost_init(&r->dp.ghost, r->model.g, err) : 0;
}

void run_privacy_release(struct run *r)
{
    ghost_release(&r->dp.ghost);
    if (r->dp.record)
        mem_unmap(r->dp.record, r->model.g->plan.bytes[TENSOR_GRAD]);
    r->dp.record = NULL;
}

double run_private_seconds(const struct run *r, unsigned passes, double T)
{
    const struct graph *g = r->model.g;
    const double n = expected(r) * (double)r->n_slice / (double)r->c.slices, L = r->loader.n_key;
    if (T <= r->dp.ghost_tokens)         /* what the first run leaves out, its norms take at least in part */
        return 2 * n * T / GHOST_TOKENS * limits_seconds(&r->limits, g, passes, GHOST_TOKENS, GHOST_TOKENS / T, L, NULL);
    return n * (limits_seconds(&r->limits, g, passes | 1u << PASS_NORM, T, 1, L, NULL) + 3 * (double)g->plan.bytes[TENSOR_GRAD] / r->limits.read);
}

/* ---- a step ---- */

/* The first record from i on, and before end, that this step takes. */
static int64_t next_taken(const struct run *r, int64_t i, int64_t end)
{
    const uint64_t key = rng_u64(r->dp.sampling, (uint64_t)r->state.step);
    while (i < end && rng_uniform(key, (uint64_t)i) >= r->dp.rate)
        i++;
    return i;
}

struct add_job { real *sum; const real *g; real scale; size_t n; };

static void add_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct add_job *j = ctx;
    const size_t at = (size_t)i * BLOCK, end = j->n - at < BLOCK ? j->n : at + BLOCK;
    for (size_t k = at; k < end; k++)
        j->sum[k] += j->scale * j->g[k];
}

/* Not by the norm itself: what is rounded then may not be larger than the bound. */
static double clip_scale(double norm, double bound) { return norm <= bound ? 1 : bound * (1 - 1e-6) / norm; }

static int record_tokens(const struct run *r, int64_t i)
{
    return run_classifies(r) ? classes_record_tokens(&r->classes, &r->c, i) : loader_record_tokens(&r->loader, i);
}

/* Number of a record in this step, for what chance does to it. */
static int64_t number_of(const struct run *r, int64_t i) { return r->state.step * r->dp.n_record + i; }

/* Texts and pairs into r->batch, samples of classes also into the inputs of the model. */
static void load_records(struct run *r, const int64_t *which, int n)
{
    if (run_classifies(r))
        classes_records(&r->classes, &r->c, r->pool, which, n, (uint64_t)number_of(r, 0), &r->model, &r->batch);
    else
        loader_records(&r->loader, which, n, &r->batch);
    if (!run_classifies(r) && !train_prefers(&r->c))
        run_load_inputs(r, &r->model);
}

/* Gradient of a long record, by itself, into d->record, and its norm; p: of a pair. */
static double record_gradient(struct run *r, int64_t i, struct step *s, struct preference *p)
{
    struct graph *g = r->model.g;
    graph_set_grads(g, r->dp.record);
    load_records(r, &i, 1);
    const int counted = run_classifies(r) || train_prefers(&r->c) ? 1 : run_count_targets(r);
    *s = run_step_of(r, number_of(r, i));
    s->loss_scale = counted ? 1.0 / counted : 0;
    s->aux_scale = 1;
    if (train_prefers(&r->c)) {
        run_prefer(r, s, p);
    } else {
        graph_run(g, PASS_FORWARD, s);
        graph_run(g, PASS_BACKWARD, s);
    }
    graph_run(g, PASS_NORM, s);
    return sqrt(graph_grad_square(g));
}

static void add_record(struct run *r, int64_t i)
{
    struct dpsgd *d = &r->dp;
    struct step s;
    struct preference p = { .loss = 0 };
    const double norm = record_gradient(r, i, &s, &p);
    d->n_taken++;
    if (!isfinite(norm)) {
        d->n_dropped++;
        return;
    }
    run_add_sums(r, 0, &s, &p, d->sums);
    d->n_clipped += norm > r->c.privacy.max_grad_norm;
    const size_t n = r->model.g->plan.bytes[TENSOR_GRAD] / sizeof(real);
    struct add_job j = { (real *)(void *)d->sum, (const real *)(const void *)d->record, (real)clip_scale(norm, r->c.privacy.max_grad_norm), n };
    pool_for(r->pool, (int)((n + BLOCK - 1) / BLOCK), add_block, &j);
}

/* ---- short records together ---- */

/* Loads the records of d->batch; their rows begin at start[]. */
static void load_group(struct run *r)
{
    struct dp_batch *b = &r->dp.batch;
    load_records(r, b->which, b->n);
    b->start[0] = 0;
    for (int i = 0; i < b->n; i++)
        b->start[i + 1] = b->start[i] + record_tokens(r, b->which[i]);
}

static int counted_of(const struct run *r, int i)
{
    int n = 0;
    for (int t = r->dp.batch.start[i]; t < r->dp.batch.start[i + 1]; t++)
        n += r->batch.target[t] >= 0;
    return run_classifies(r) ? 1 : n;
}

/* The weight of each token: that of its record's mean. */
static void weigh(struct run *r, int i, double scale)
{
    const int counted = counted_of(r, i);
    for (int t = r->dp.batch.start[i]; t < r->dp.batch.start[i + 1]; t++)
        r->dp.batch.scale[t] = counted ? (real)(scale / counted) : 0;
}

/* One run over the group: with `first`, the norms alone; else gradients are added to the sum. */
static void run_group(struct run *r, bool first)
{
    struct dpsgd *d = &r->dp;
    struct graph *g = r->model.g;
    struct step s = run_step_of(r, number_of(r, d->batch.which[0]));
    s.token_scale = d->batch.scale, s.no_weights = first, s.accumulate = !first;
    graph_set_grads(g, first ? d->record : d->sum);
    if (first)
        ghost_begin(&d->ghost, d->batch.n, d->batch.start);
    graph_run(g, PASS_FORWARD, &s);
    graph_run(g, PASS_BACKWARD, &s);
    if (first)
        ghost_end(&d->ghost);
}

/* Takes records whose gradient is not finite out of the group, which is then loaded anew. */
static void drop_from_group(struct run *r)
{
    struct dpsgd *d = &r->dp;
    int n = 0;
    for (int i = 0; i < d->batch.n; i++)
        if (isfinite(d->ghost.square[i]))
            d->batch.which[n] = d->batch.which[i], d->ghost.square[n++] = d->ghost.square[i];
    d->n_dropped += d->batch.n - n;
    if (n < d->batch.n) {
        d->batch.n = n;
        load_group(r);
    }
}

static double mean_loss(const struct run *r, int i)
{
    const float *nll = r->model.g->tensor[r->model.nll].data;
    const int counted = counted_of(r, i);
    double sum = 0;
    if (run_classifies(r))
        return (double)nll[i];
    for (int t = r->dp.batch.start[i]; t < r->dp.batch.start[i + 1]; t++)
        sum += r->batch.target[t] >= 0 ? (double)nll[t] : 0;
    return counted ? sum / counted : 0;
}

static void add_group(struct run *r)
{
    struct dpsgd *d = &r->dp;
    const double bound = r->c.privacy.max_grad_norm * (1 - (train_compute(&r->c) == DT_BF16 ? GHOST_MARGIN_BF16 : GHOST_MARGIN_F32));
    if (!d->batch.n)
        return;
    load_group(r);
    d->n_taken += d->batch.n;
    for (int i = 0; i < d->batch.n; i++)
        weigh(r, i, 1);
    run_group(r, true);
    drop_from_group(r);
    for (int i = 0; i < d->batch.n; i++) {
        const double norm = sqrt(d->ghost.square[i]);
        d->n_clipped += norm > bound;
        weigh(r, i, clip_scale(norm, bound));
    }
    if (d->batch.n)
        run_group(r, false);
    for (int i = 0; i < d->batch.n; i++)
        d->sums[SUM_LOSS] += mean_loss(r, i);
    d->batch.n = 0;
}

static void take_record(struct run *r, int64_t i)
{
    struct dp_batch *b = &r->dp.batch;
    const int n = record_tokens(r, i);
    if (!n) {                            /* nothing to learn from: no gradient */
        r->dp.n_taken++;
        return;
    }
    if (n > r->dp.ghost_tokens) {
        add_record(r, i);
        return;
    }
    if (b->n && b->start[b->n] + n > GHOST_TOKENS)
        add_group(r);
    b->which[b->n] = i;
    b->start[b->n + 1] = (b->n ? b->start[b->n] : 0) + n;
    b->n++;
}

/* The records of slice v: adjacent ones, as many in each. */
static void sum_slice(struct run *r, int64_t v)
{
    struct dpsgd *d = &r->dp;
    struct graph *g = r->model.g;
    const size_t own_from = g->own_from, own_to = g->own_to;
    const int64_t from = d->n_record * v / r->c.slices, end = d->n_record * (v + 1) / r->c.slices;
    d->sums = r->sums + v * run_sums_width(r);
    memset(d->sums, 0, (size_t)run_sums_width(r) * sizeof *d->sums);
    d->sum = slice_sums_begin(&r->gradient);
    memset(d->sum, 0, g->plan.bytes[TENSOR_GRAD]);
    g->own_from = 0, g->own_to = SIZE_MAX;               /* a record's norm is of its whole gradient */
    for (int64_t i = next_taken(r, from, end); i < end; i = next_taken(r, i + 1, end))
        take_record(r, i);
    add_group(r);
    g->own_from = own_from, g->own_to = own_to;
    slice_sums_end(&r->gradient);
}

/* ---- noise ---- */

struct noise_job { real *sum; size_t from, to; double deviation, divisor; uint64_t key; };

/* Two elements by the two halves of a Box-Muller pair. */
static void noise_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct noise_job *j = ctx;
    const size_t at = j->from + (size_t)i * BLOCK, end = j->to - at < BLOCK ? j->to : at + BLOCK;
    for (size_t k = at; k < end; k += 2) {
        double z[2];
        rng_normal_pair(j->key, k / 2, z);
        for (size_t e = k; e < end && e < k + 2; e++)
            j->sum[e] = (real)(((double)j->sum[e] + j->deviation * z[e - k]) / j->divisor);
    }
}

/* To this rank's share of the sum. */
static void add_noise(struct run *r)
{
    const struct dpsgd *d = &r->dp;
    struct graph *g = r->model.g;
    const uint64_t step = rng_u64(d->noises, (uint64_t)r->state.step);
    for (int i = 0; i < g->n_tensor; i++) {
        const struct tensor *t = &g->tensor[i];
        if (t->kind != TENSOR_GRAD)
            continue;
        size_t n;
        const size_t from = ranks_part(r, t, comm_rank(r->copies), &n) / sizeof(real);
        assert(from % 2 == 0);
        struct noise_job j = { (real *)(void *)(g->block[TENSOR_GRAD] + t->offset), from, from + n / sizeof(real), d->noise * r->c.privacy.max_grad_norm, expected(r), rng_key(step, t->name) };
        pool_for(g->pool, (int)((j.to - from + BLOCK - 1) / BLOCK), noise_block, &j);
    }
}

/* Sums over the records become means. */
static void average_sums(struct run *r)
{
    const double good = (double)(r->dp.n_taken - r->dp.n_dropped);
    for (int i = SUM_LOSS; i < SUM_STATS; i++)
        r->sums[i] = good > 0 ? r->sums[i] / good : 0;      /* a step that takes no record, or none that counts, is noise alone, and as good as any */
    r->loss = r->sums[SUM_LOSS], r->aux = r->sums[SUM_AUX];
}

int run_private_gradients(struct run *r, struct err *err)
{
    struct dpsgd *d = &r->dp;
    d->n_taken = d->n_clipped = d->n_dropped = 0;
    for (int64_t v = r->first_slice; v < r->first_slice + r->n_slice; v++)
        sum_slice(r, v);
    TRY(ranks_count(r, &d->n_taken, err));
    TRY(ranks_count(r, &d->n_clipped, err));
    TRY(ranks_count(r, &d->n_dropped, err));
    TRY(ranks_sum_slices(r, err));
    add_noise(r);
    TRY(ranks_norm(r, err));
    average_sums(r);
    return 0;
}

/* ---- what is told ---- */

void run_privacy_metrics(const struct run *r, json_t *o)
{
    if (!r->c.privacy.on)
        return;
    const struct dpsgd *d = &r->dp;
    json_object_set_new(o, "epsilon", tree_number(run_privacy_spent(r, r->state.step)));
    json_object_set_new(o, "delta", json_real(r->c.privacy.delta));
    json_object_set_new(o, "records", json_integer(d->n_taken));
    json_object_set_new(o, "records_clipped", json_integer(d->n_clipped));
    json_object_set_new(o, "records_not_finite", json_integer(d->n_dropped));
}

int run_put_privacy(const struct run *r, struct err *err)
{
    const struct privacy *p = &r->c.privacy;
    const struct dpsgd *d = &r->dp;
    if (!p->on)
        return 0;
    const double steps = (double)r->state.step;
    json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:f, s:f, s:I, s:I, s:f, s:f, s:f, s:o, s:s}", "mechanism", "DP-SGD: Poisson-sampled Gaussian", "neighbours", "one unit added or removed", "unit",
                          has_records(r) ? "record" : "window of tokens", "epsilon", tree_number(run_privacy_spent(r, r->state.step)), "delta", p->delta, "noise_multiplier", d->noise,
                          "steps", (json_int_t)r->state.step, "units", (json_int_t)d->n_record, "sampling_rate", d->rate, "max_grad_norm", p->max_grad_norm, "expected_units", expected(r),
                          "epsilon_rdp", tree_number(rdp_epsilon(&d->rdp, steps, p->delta)), "not_covered",
                          run_classifies(r) ? "names of the classes, tokenizer learned from the texts, means and deviations of the images' channels, held-out evaluation, metrics of training"
                                            : "tokenizer learned from the text, held-out evaluation, metrics of training");
    if (o && !has_records(r))
        json_object_set_new(o, "unit_tokens", json_integer(r->c.ctx));
    char *text = o ? json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL, *path = run_out_path(r, "privacy.json");
    const int rc = text && path ? file_write_all(path, text, strlen(text), err) : ERR(err, NOMEM, "no memory to write privacy.json");
    mem_free(text);
    mem_free(path);
    json_decref(o);
    return rc;
}
