#include "cmd/data_embedder.h"
#include <string.h>
#include "base/mem.h"
#include "cmd/cmd.h"

#define TOKENS_MAX 512

static int embed(void *ctx, const char *text, size_t n, float *out, struct err *err)
{
    struct data_embedder *x = ctx;
    x->ids.n = 0;
    TRY(tok_encode(embedder_tok(x->e), text, n, TOK_ADD, &x->ids, err));
    x->n_cut += x->ids.n > (size_t)x->n_token;
    const int n_id = x->ids.n > (size_t)x->n_token ? x->n_token : (int)x->ids.n;
    return embedder_run(x->e, x->ids.id, n_id, embedder_pooling(x->e), false, out, err);
}

int data_embedder_open(struct data_embedder *x, const char *model, struct pool *pool, struct err *err)
{
    const struct embed_opts o = { .as = cmd_weights_as() };
    TRY(cmd_model_path(&x->path, model, err));
    TRY(embedder_new(&x->e, x->path, &o, pool, err));
    x->n_token = embedder_ctx(x->e) < TOKENS_MAX ? embedder_ctx(x->e) : TOKENS_MAX;
    x->of = (struct audit_embedder){ model, embedder_config(x->e)->d_model, embed, x };
    return 0;
}

void data_embedder_close(struct data_embedder *x)
{
    embedder_free(x->e);
    tok_ids_release(&x->ids);
    mem_free(x->path);
    *x = (struct data_embedder){ .path = NULL };
}
