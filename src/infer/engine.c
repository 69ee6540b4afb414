#include "infer/engine.h"
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "model/decoder.h"

struct engine {
    struct config config;
    struct tok *tok;
    struct decoder d;
    int n_slot, ctx, step_tokens, n_logits;
    int n_row;                   /* of the last step */
    int32_t *seq_start, *pos0, *slot;      /* [n_slot + 1], [n_slot], [n_slot]: of a step */
    int32_t *row; struct engine_part *part;      /* [n_slot]: of engine_step */
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
    e->n_logits = o->n_logits ? o->n_logits : e->n_slot;
    const struct decoder_opts d = { .use = DECODER_GENERATE, .compute = o->compute, .n_slot = e->n_slot, .ctx = e->ctx };
    TRY(decoder_record(&e->d, &e->config, &d, err));
    TRY(decoder_plan(&e->d, e->step_tokens, e->n_slot > e->n_logits ? e->n_slot : e->n_logits, pool_n_thread(pool), NULL, err));
    const size_t need = e->d.g->plan.total, free_bytes = mem_available();
    if (need > free_bytes)
        return ERR(err, NOMEM, "%s needs %zu MB of memory, %zu MB are free", path, need >> 20, free_bytes >> 20);
    e->seq_start = mem_alloc_array(4 * (size_t)e->n_slot + 1, sizeof *e->seq_start);
    e->part = mem_alloc_array((size_t)e->n_slot, sizeof *e->part);
    if (!e->seq_start || !e->part)
        return ERR(err, NOMEM, "no memory for %d sequences", e->n_slot);
    e->pos0 = e->seq_start + e->n_slot + 1, e->slot = e->pos0 + e->n_slot, e->row = e->slot + e->n_slot;
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
    mem_free(e->part);
    mem_free(e);
}

const struct config *engine_config(const struct engine *e) { return &e->config; }
const struct tok *engine_tok(const struct engine *e) { return e->tok; }
size_t engine_bytes(const struct engine *e) { return e->d.g->plan.total; }
int engine_ctx(const struct engine *e) { return e->ctx; }

int engine_step_tokens(const struct engine *e) { return e->step_tokens; }

static int check(const struct engine *e, const struct engine_part *p, struct err *err)
{
    if (p->slot < 0 || p->slot >= e->n_slot)
        return ERR(err, RANGE, "sequence %d, expected 0 to %d", p->slot, e->n_slot - 1);
    if (p->pos < 0 || p->n < 1 || p->n > e->ctx || p->pos > e->ctx - p->n)
        return ERR(err, RANGE, "%d tokens from position %d on, but there are %d positions", p->n, p->pos, e->ctx);
    for (int i = 0; i < p->n; i++)
        if (p->ids[i] < 0 || p->ids[i] >= e->config.vocab_size)
            return ERR(err, RANGE, "token id %d, expected 0 to %d", p->ids[i], e->config.vocab_size - 1);
    return 0;
}

int engine_run(struct engine *e, const struct engine_part *part, int n_part, struct err *err)
{
    if (n_part < 1 || n_part > e->n_slot)
        return ERR(err, RANGE, "%d sequences, expected 1 to %d", n_part, e->n_slot);
    int64_t rows = 0;
    for (int i = 0; i < n_part; i++) {
        TRY(check(e, &part[i], err));
        for (int j = 0; j < i; j++)
            if (part[j].slot == part[i].slot)
                return ERR(err, RANGE, "sequence %d is twice in a step", part[i].slot);
        rows += part[i].n;
    }
    if (rows > e->step_tokens)
        return ERR(err, RANGE, "%lld tokens in a step, expected at most %d", (long long)rows, e->step_tokens);
    const struct tensor *t = e->d.g->tensor;
    int32_t *ids = t[e->d.ids].data, *pos = t[e->d.pos].data;
    int n = 0;
    for (int i = 0; i < n_part; i++) {
        e->seq_start[i] = n, e->pos0[i] = part[i].pos, e->slot[i] = part[i].slot;
        for (int j = 0; j < part[i].n; j++, n++)
            ids[n] = part[i].ids[j], pos[n] = part[i].pos + j;
    }
    e->seq_start[n_part] = e->n_row = n;
    graph_run(e->d.g, PASS_FORWARD, &(struct step){ .T = n, .S = n_part, .seq_start = e->seq_start, .pos0 = e->pos0, .slot = e->slot });
    return 0;
}

int engine_head(struct engine *e, const int32_t *row, int n, const float **logits, struct err *err)
{
    if (n < 1 || n > e->n_logits)
        return ERR(err, RANGE, "logits of %d tokens at once, expected 1 to %d", n, e->n_logits);
    int32_t *last = e->d.g->tensor[e->d.last].data;
    for (int i = 0; i < n; i++) {
        if (row[i] < 0 || row[i] >= e->n_row)
            return ERR(err, RANGE, "logits of token %d of the step, expected 0 to %d", row[i], e->n_row - 1);
        last[i] = row[i];
    }
    graph_run(e->d.g, PASS_HEAD, &(struct step){ .S = n });
    *logits = e->d.g->tensor[e->d.logits].data;
    return 0;
}

int engine_feed(struct engine *e, int slot, int pos, const int32_t *ids, int n, const float **logits, struct err *err)
{
    TRY(check(e, &(struct engine_part){ slot, pos, n, ids }, err));
    for (int at = 0; at < n; at += e->step_tokens) {
        const int part = n - at < e->step_tokens ? n - at : e->step_tokens;
        TRY(engine_run(e, &(struct engine_part){ slot, pos + at, part, ids + at }, 1, err));
    }
    return engine_head(e, &(int32_t){ e->n_row - 1 }, 1, logits, err);
}

int engine_step(struct engine *e, int n, const int32_t *slot, const int32_t *pos, const int32_t *ids, const float **logits, struct err *err)
{
    if (n < 1 || n > e->n_slot || n > e->n_logits)
        return ERR(err, RANGE, "%d sequences, expected 1 to %d", n, e->n_slot < e->n_logits ? e->n_slot : e->n_logits);
    for (int i = 0; i < n; i++)
        e->part[i] = (struct engine_part){ slot[i], pos[i], 1, ids + i }, e->row[i] = i;
    TRY(engine_run(e, e->part, n, err));
    return engine_head(e, e->row, n, logits, err);
}
