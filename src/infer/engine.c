#include "infer/engine.h"
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "model/decoder.h"

struct engine {
    struct config config;
    struct tok *tok;
    struct decoder d;
    int n_slot, ctx, step_tokens;
    int32_t *seq_start;          /* [n_slot + 1] */
};

static int open_model(struct engine *e, const char *path, const struct engine_opts *o, struct pool *pool, struct err *err)
{
    struct weights_list *l = NULL;
    struct safetensors *st = NULL;
    struct buf warnings;
    buf_init(&warnings);
    int rc = config_load(&e->config, path, &warnings, err);
    buf_release(&warnings);
    TRY(rc);
    TRY(tok_load(&e->tok, path, err));
    if (tok_vocab_size(e->tok) > e->config.vocab_size)
        return ERR(err, FORMAT, "%s: the tokenizer has %d tokens, the model %d", path, tok_vocab_size(e->tok), e->config.vocab_size);
    e->n_slot = o->n_slot, e->ctx = o->ctx ? o->ctx : e->config.ctx;
    if (e->ctx > e->config.ctx)
        return ERR(err, RANGE, "%d positions asked for; the model was made for %d", e->ctx, e->config.ctx);
    e->step_tokens = o->step_tokens < e->ctx ? o->step_tokens : e->ctx;
    if (e->step_tokens < e->n_slot)
        e->step_tokens = e->n_slot;
    const struct decoder_opts d = { .use = DECODER_GENERATE, .compute = o->compute, .n_slot = e->n_slot, .ctx = e->ctx };
    TRY(decoder_record(&e->d, &e->config, &d, err));
    TRY(decoder_plan(&e->d, e->step_tokens, e->n_slot, pool_n_thread(pool), NULL, err));
    const size_t need = e->d.g->plan.total, free_bytes = mem_available();
    if (need > free_bytes)
        return ERR(err, NOMEM, "%s needs %zu MB of memory, %zu MB are free", path, need >> 20, free_bytes >> 20);
    if (!(e->seq_start = mem_alloc_array((size_t)e->n_slot + 1, sizeof *e->seq_start)))
        return ERR(err, NOMEM, "no memory for %d sequences", e->n_slot);
    TRY(decoder_bind(&e->d, pool, NULL, err));
    TRY(safetensors_open(&st, path, err));
    rc = weights_list_new(&l, &e->config, err);
    if (!rc)
        rc = weights_load(l, st, decoder_weight, &e->d, err);
    weights_list_free(l);
    safetensors_free(st);
    if (!rc)
        graph_run(e->d.g, PASS_PREPARE, &(struct step){ 0 });
    return rc;
}

int engine_new(struct engine **out, const char *path, const struct engine_opts *o, struct pool *pool, struct err *err)
{
    struct engine *e = mem_alloc_array(1, sizeof *e);
    *out = NULL;
    if (!e)
        return ERR(err, NOMEM, "no memory for %s", path);
    const int rc = open_model(e, path, o, pool, err);
    if (rc < 0)
        engine_free(e);
    else
        *out = e;
    return rc;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    decoder_release(&e->d);
    tok_free(e->tok);
    mem_free(e->seq_start);
    mem_free(e);
}

const struct config *engine_config(const struct engine *e) { return &e->config; }
const struct tok *engine_tok(const struct engine *e) { return e->tok; }
size_t engine_bytes(const struct engine *e) { return e->d.g->plan.total; }
int engine_ctx(const struct engine *e) { return e->ctx; }

static int check(const struct engine *e, int slot, int pos, const int32_t *ids, int n, struct err *err)
{
    if (slot < 0 || slot >= e->n_slot)
        return ERR(err, RANGE, "sequence %d, expected 0 to %d", slot, e->n_slot - 1);
    if (pos < 0 || n < 1 || pos + n > e->ctx)
        return ERR(err, RANGE, "%d tokens from position %d on, but there are %d positions", n, pos, e->ctx);
    for (int i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= e->config.vocab_size)
            return ERR(err, RANGE, "token id %d, expected 0 to %d", ids[i], e->config.vocab_size - 1);
    return 0;
}

int engine_feed(struct engine *e, int slot, int pos, const int32_t *ids, int n, const float **logits, struct err *err)
{
    TRY(check(e, slot, pos, ids, n, err));
    const struct tensor *t = e->d.g->tensor;
    const int32_t s = slot;
    for (int at = 0; at < n;) {
        const int32_t part = n - at < e->step_tokens ? n - at : e->step_tokens, pos0 = pos + at, seq_start[2] = { 0, part };
        memcpy(t[e->d.ids].data, ids + at, (size_t)part * sizeof *ids);
        for (int i = 0; i < part; i++)
            ((int32_t *)t[e->d.pos].data)[i] = pos0 + i;
        ((int32_t *)t[e->d.last].data)[0] = part - 1;
        graph_run(e->d.g, PASS_FORWARD, &(struct step){ .T = part, .S = 1, .seq_start = seq_start, .pos0 = &pos0, .slot = &s });
        at += part;
    }
    *logits = t[e->d.logits].data;
    return 0;
}

int engine_step(struct engine *e, int n, const int32_t *slot, const int32_t *pos, const int32_t *ids, const float **logits, struct err *err)
{
    if (n < 1 || n > e->n_slot)
        return ERR(err, RANGE, "%d sequences, expected 1 to %d", n, e->n_slot);
    const struct tensor *t = e->d.g->tensor;
    for (int i = 0; i < n; i++) {
        TRY(check(e, slot[i], pos[i], ids + i, 1, err));
        ((int32_t *)t[e->d.last].data)[i] = e->seq_start[i] = i;
    }
    e->seq_start[n] = n;
    memcpy(t[e->d.ids].data, ids, (size_t)n * sizeof *ids);
    memcpy(t[e->d.pos].data, pos, (size_t)n * sizeof *pos);
    graph_run(e->d.g, PASS_FORWARD, &(struct step){ .T = n, .S = n, .seq_start = e->seq_start, .pos0 = pos, .slot = slot });
    *logits = t[e->d.logits].data;
    return 0;
}
