/* interval.c - what is looked at now and then: text that the model writes, experts that get nothing, and whether held-out loss still
 * falls. */
#include <math.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "train/parts.h"
#include "train/ranks.h"

#define SAMPLE_TOKENS 64
#define SAMPLE_T 128                     /* positions at most, with the prompt */
#define SAMPLE_TEMPERATURE 0.8

/* ---- samples ---- */

static int sample_T(const struct run *r) { return r->c.ctx < SAMPLE_T ? (int)r->c.ctx : SAMPLE_T; }

int run_record_sampler(struct run *r, const struct decoder_opts *score, struct err *err)
{
    if (!r->c.sample_every || run_classifies(r) || (comm_rank(r->comm) && r->division.by != DIVIDE_EXPERTS))      /* experts are everywhere */
        return 0;
    struct decoder_opts o = *score;
    o.use = DECODER_LOGITS;
    TRY(tok_encode(r->data.tok, r->c.sample_prompt, strlen(r->c.sample_prompt), TOK_PLAIN, &r->sample_ids, err));
    if (r->sample_ids.n < 1 || (int)r->sample_ids.n > sample_T(r) - 1)
        return ERR(err, USAGE, "train.sample_prompt has %zu tokens, expected 1 to %d", r->sample_ids.n, sample_T(r) - 1);
    TRY(decoder_record(&r->sampler, &r->c.model, &o, err));
    return decoder_plan(&r->sampler, sample_T(r), 1, r->o->n_thread, &r->model, err);
}

/* Drawn from softmax(logits / temperature) by (seed, step, position). */
static int32_t draw(const struct run *r, const float *logits, int n, int position)
{
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        most = fmax(most, (double)logits[i]);
    for (int i = 0; i < n; i++)
        sum += exp(((double)logits[i] - most) / SAMPLE_TEMPERATURE);
    double at = rng_uniform(rng_key((uint64_t)r->c.seed, "sample"), (uint64_t)r->state.step * SAMPLE_T + (uint64_t)position) * sum;
    for (int i = 0; i < n; i++)
        if ((at -= exp(((double)logits[i] - most) / SAMPLE_TEMPERATURE)) < 0)
            return i;
    return n - 1;
}

/* The whole sequence again for each token: it is short, and needs no cache. */
static int write_on(struct run *r, int32_t *ids, int n)
{
    const struct graph *g = r->sampler.g;
    const int n_prompt = n, n_id = tok_vocab_size(r->data.tok) < r->c.model.vocab_size ? tok_vocab_size(r->data.tok) : r->c.model.vocab_size;
    for (; n < sample_T(r) && n < n_prompt + SAMPLE_TOKENS; n++) {
        const int32_t start[2] = { 0, n };
        for (int i = 0; i < n; i++)
            ((int32_t *)g->tensor[r->sampler.ids].data)[i] = ids[i], ((int32_t *)g->tensor[r->sampler.pos].data)[i] = i;
        const struct step s = { .T = n, .S = 1, .seq_start = start };
        graph_run(r->sampler.g, PASS_FORWARD, &s);
        ids[n] = draw(r, (const float *)g->tensor[r->sampler.logits].data + (size_t)(n - 1) * (size_t)r->c.model.vocab_size, n_id, n);
        if (tok_is_eog(r->data.tok, ids[n]))
            break;
    }
    return n;
}

int run_show_sample(struct run *r, struct err *err)
{
    if (!r->sampler.g || r->state.step % r->c.sample_every)
        return 0;
    int32_t ids[SAMPLE_T];
    memcpy(ids, r->sample_ids.id, r->sample_ids.n * sizeof *ids);
    TRY(run_fetch_state(r, false, err));
    const struct step s = { .T = 1, .S = 1, .seq_start = (const int32_t[]){ 0, 1 } };
    graph_run(r->sampler.g, PASS_PREPARE, &s);
    const int n = write_on(r, ids, (int)r->sample_ids.n);
    TRY(graph_failed(r->sampler.g, err));
    struct buf text;
    buf_init(&text);
    int rc = buf_add_str(&text, "", err);
    if (!rc)
        rc = tok_decode(r->data.tok, ids, (size_t)n, &text, err);
    if (!rc) {
        err_tidy(text.data);
        log_info("step %lld writes: %s", (long long)r->state.step, text.data);
        rc = run_write_metric(r, json_pack("{s:I, s:s}", "step", (json_int_t)r->state.step, "sample", text.data), err);
    }
    buf_release(&text);
    return rc;
}

/* ---- experts ---- */

/* Experts of layer i that got no token of the step. */
int run_dead_experts(const struct run *r, int i)
{
    const double *stats = r->sums + SUM_STATS + i * run_stats_width(r);
    int n = 0;
    for (int e = 0; e < r->model.route.n_expert; e++)
        n += !(stats[e] > 0);
    return n;
}

int run_open_interval(struct run *r, struct err *err)
{
    const size_t n = (size_t)(r->model.n_stats * r->model.route.n_expert);
    if (n && !(r->routed = mem_alloc_array(n, sizeof *r->routed)))
        return ERR(err, NOMEM, "no memory to count the tokens of experts");
    r->routed_from = r->state.step;
    return 0;
}

void run_forget_experts(struct run *r)
{
    if (r->model.n_stats)
        memset(r->routed, 0, (size_t)(r->model.n_stats * r->model.route.n_expert) * sizeof *r->routed);
    r->routed_from = r->state.step;
}

/* Tokens of each expert since the last evaluation; at one, says which got none. */
int run_count_experts(struct run *r, struct err *err)
{
    const int E = r->model.route.n_expert;
    for (int i = 0; i < r->model.n_stats; i++)
        for (int e = 0; e < E; e++)
            r->routed[i * E + e] += r->sums[SUM_STATS + i * run_stats_width(r) + e];
    if (!r->model.n_stats || !r->c.eval_every || r->state.step % r->c.eval_every)
        return 0;
    const bool whole = r->state.step - r->routed_from >= r->c.eval_every;      /* not of the rest of an interval after a restart */
    int n = 0, layer = -1, expert = -1;
    for (int i = 0; i < r->model.n_stats * E; i++)
        if (!(r->routed[i] > 0) && !n++)
            layer = i / E, expert = i % E;
    run_forget_experts(r);
    if (!n || !whole)
        return 0;
    log_warn("%d experts got no token in the last %lld steps, first expert %d of layer %d of those with experts: they learn nothing; a larger model.router_aux_loss_coef spreads tokens", n,
             (long long)r->c.eval_every, expert + 1, layer + 1);
    return run_write_metric(r, json_pack("{s:I, s:s, s:i, s:i, s:i}", "step", (json_int_t)r->state.step, "event", "dead experts", "experts", n, "first_layer", layer, "first_expert", expert), err);
}

/* ---- early stopping ---- */

bool run_is_patient(const struct run *r) { return !r->c.patience || r->state.n_worse < r->c.patience; }

/* The model whose held-out loss is lowest so far, in OUT/best.  A disk that fails is told. */
static int keep_best(struct run *r, struct err *err)
{
    char *best = run_out_path(r, "best");
    struct err why;
    int rc = best ? run_fetch_state(r, false, &why) : ERR(&why, NOMEM, "no memory for a path");
    if (!rc)
        rc = file_mkdirs(best, &why);
    if (!rc)
        rc = model_save(best, &r->model, r->weights, r->data.tok, NULL, NULL, &why);
    mem_free(best);
    TRY(parts_settle(r, err));
    if (!rc)
        r->state.best_kept = r->state.step;
    if (rc)
        log_warn("the best model so far could not be written: %s", why.msg);
    return rc ? run_write_metric(r, json_pack("{s:I, s:s, s:s}", "step", (json_int_t)r->state.step, "event", "best model not written", "error", why.msg), err) : 0;
}

int run_judge_loss(struct run *r, double valid_loss, struct err *err)
{
    if (!r->c.patience || !isfinite(valid_loss))
        return 0;
    if (r->state.n_evaluated++ && valid_loss >= r->state.best_loss) {
        r->state.n_worse++;
        if (!run_is_patient(r)) {
            char kept[80] = "has that model";
            if (r->state.best_kept != r->state.best_step)
                snprintf(kept, sizeof kept, r->state.best_kept ? "could not be written then, and has that of step %lld" : "could not be written", (long long)r->state.best_kept);
            log_info("held-out loss has not fallen below %.4f, of step %lld, for %lld evaluations: the run ends; OUT/best %s", r->state.best_loss,
                     (long long)r->state.best_step, (long long)r->c.patience, kept);
            return run_write_metric(r, json_pack("{s:I, s:s, s:f, s:I, s:I}", "step", (json_int_t)r->state.step, "event", "stopped early", "best_loss", r->state.best_loss, "best_step",
                                                 (json_int_t)r->state.best_step, "best_kept", (json_int_t)r->state.best_kept), err);
        }
        return 0;
    }
    r->state.best_loss = valid_loss, r->state.best_step = r->state.step, r->state.n_worse = 0;
    return comm_rank(r->comm) ? parts_settle(r, err) : keep_best(r, err);
}

void run_close_interval(struct run *r)
{
    decoder_release(&r->sampler);
    tok_ids_release(&r->sample_ids);
    mem_free(r->routed);
}
