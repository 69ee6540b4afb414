#include "infer/loaded.h"
#include "base/log.h"
#include "base/mem.h"

static int open_model(struct loaded *l, const char *path, struct buf *warnings, struct err *err)
{
    struct buf own;
    buf_init(&own);
    const int rc = model_open(&l->model, path, warnings ? warnings : &own, err);
    if (own.len)
        log_warn("%.*s", (int)(own.len - 1), own.data);
    buf_release(&own);
    return rc;
}

int loaded_open(struct loaded *l, const char *path, const struct loaded_opts *o, struct err *err)
{
    TRY(open_model(l, path, o->warnings, err));
    struct config *c = &l->model.config;
    if (config_vision(c))
        return ERR(err, UNSUPPORTED, "%s takes images, expected a model of texts; try lathe classify", path);
    if (o->rope_scaling)
        TRY(config_stretch(c, o->rope_scaling, err));
    if (!o->no_tok && !l->tok)
        TRY(tok_load(&l->tok, model_tok_path(&l->model, path), err));
    if (l->tok && tok_vocab_size(l->tok) > c->vocab_size)
        return ERR(err, FORMAT, "%s: vocab_size is %d, expected at least the tokenizer's %d", path, c->vocab_size, tok_vocab_size(l->tok));
    const int most = config_ctx_max(c);
    l->ctx = o->ctx ? o->ctx : c->ctx;
    if (o->ctx_clip && l->ctx > most)
        l->ctx = most;
    if (l->ctx > most)
        return ERR(err, RANGE, "%d positions asked for; the model was made for %d", l->ctx, most);
    return weights_types(&l->types, l->model.list, l->model.source, o->as, err);
}

int loaded_plan(struct loaded *l, const struct decoder_opts *d, int T, int S, int n_thread, struct err *err)
{
    TRY(decoder_record(&l->d, &l->model.config, d, err));
    return decoder_plan(&l->d, T, S, n_thread, NULL, err);
}

int loaded_fill(struct loaded *l, const char *path, struct pool *pool, struct err *err)
{
    const size_t need = l->d.g->plan.total, free_bytes = mem_available();
    if (need > free_bytes)
        return ERR(err, NOMEM, "%s needs %zu MB of memory for %d positions, %zu MB are free", path, need >> 20, l->ctx, free_bytes >> 20);
    TRY(decoder_bind(&l->d, pool, NULL, err));
    return weights_fill(&l->d, l->model.list, l->types, l->model.source, pool, err);
}

void loaded_release(struct loaded *l)
{
    decoder_release(&l->d);
    mem_free(l->types);
    model_release(&l->model);
    tok_free(l->tok);
    *l = (struct loaded){ 0 };
}
