#include "infer/embed.h"
#include <jansson.h>
#include <math.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "model/decoder.h"
#include "model/model.h"

#define JSON_MAX ((size_t)1 << 20)

struct embedder {
    struct config config;
    struct model model;
    struct tok *tok;
    struct weight_type *types;
    struct decoder d;
    int ctx;
    enum pool_kind pooling;
    bool normalizes;
};

static const char *const pool_names[] = {
#define X(name, word) word,
    POOL_KINDS(X)
#undef X
};
const char *pool_kind_name(enum pool_kind k) { return pool_names[k]; }

/* ---- sentence-transformers' files ---- */

static int load_beside(json_t **out, const char *folder, const char *name, struct err *err)
{
    *out = NULL;
    char *path = file_is_dir(folder) ? file_join(folder, name) : NULL;
    if (!path)
        return 0;
    const int rc = file_exists(path) ? tree_load(out, path, JSON_MAX, err) : 0;
    mem_free(path);
    return rc;
}

/* A list of modules, each with a type such as "sentence_transformers.models.Pooling". */
static int read_modules(struct embedder *e, const char *folder, struct err *err)
{
    json_t *modules;
    TRY(load_beside(&modules, folder, "modules.json", err));
    if (!modules)
        return 0;
    e->normalizes = false;
    int rc = json_is_array(modules) ? 0 : ERR(err, FORMAT, "%s/modules.json: found no list, expected one of modules", folder);
    for (size_t i = 0; i < json_array_size(modules) && !rc; i++) {
        const char *type = json_string_value(json_object_get(json_array_get(modules, i), "type"));
        const char *dot = type ? strrchr(type, '.') : NULL, *kind = dot ? dot + 1 : "";
        if (!strcmp(kind, "Normalize"))
            e->normalizes = true;
        else if (strcmp(kind, "Transformer") && strcmp(kind, "Pooling"))
            rc = ERR(err, UNSUPPORTED, "%s/modules.json: module %zu is '%.60s', expected Transformer, Pooling or Normalize", folder, i, type ? type : "");
    }
    json_decref(modules);
    return rc;
}

static int read_pooling(struct embedder *e, const char *folder, struct err *err)
{
    static const char *const keys[] = { [POOL_MEAN] = "pooling_mode_mean_tokens", [POOL_CLS] = "pooling_mode_cls_token", [POOL_LAST] = "pooling_mode_lasttoken" };
    json_t *o;
    TRY(load_beside(&o, folder, "1_Pooling/config.json", err));
    if (!o)
        return 0;
    int found = 0;
    for (int k = 0; k < N_POOL_KIND; k++)
        if (json_is_true(json_object_get(o, keys[k])))
            e->pooling = (enum pool_kind)k, found++;
    json_decref(o);
    return found == 1 ? 0 : ERR(err, UNSUPPORTED, "%s/1_Pooling/config.json: %d of cls, mean and last token pooling, expected one", folder, found);
}

/* ---- loading ---- */

static int open_files(struct embedder *e, const char *path, const struct embed_opts *o, struct err *err)
{
    struct buf warnings;
    buf_init(&warnings);
    const int rc = model_open(&e->model, path, o->warnings ? o->warnings : &warnings, err);
    if (warnings.len)
        log_warn("%.*s", (int)(warnings.len - 1), warnings.data);
    buf_release(&warnings);
    TRY(rc);
    e->config = e->model.config;
    if (o->rope_scaling)
        TRY(config_stretch(&e->config, o->rope_scaling, err));
    if (!o->no_tok)
        TRY(tok_load(&e->tok, model_tok_path(&e->model, path), err));
    if (e->tok && tok_vocab_size(e->tok) > e->config.vocab_size)
        return ERR(err, FORMAT, "%s: the tokenizer has %d tokens, the model %d", path, tok_vocab_size(e->tok), e->config.vocab_size);
    e->pooling = e->config.encoder ? POOL_MEAN : POOL_LAST;
    e->normalizes = true;
    TRY(read_modules(e, path, err));
    return read_pooling(e, path, err);
}

static int load(struct embedder *e, const char *path, const struct embed_opts *o, struct pool *pool, struct err *err)
{
    TRY(open_files(e, path, o, err));
    e->ctx = o->ctx ? o->ctx : e->config.ctx;
    if (e->ctx > config_ctx_max(&e->config))
        return ERR(err, RANGE, "%d positions asked for; the model was made for %d", e->ctx, config_ctx_max(&e->config));
    TRY(weights_types(&e->types, e->model.list, e->model.source, o->as, err));
    const struct decoder_opts d = { .use = DECODER_HIDDEN, .types = e->types, .ctx = e->ctx };
    TRY(decoder_record(&e->d, &e->config, &d, err));
    TRY(decoder_plan(&e->d, e->ctx, 1, pool_n_thread(pool), NULL, err));
    const size_t need = e->d.g->plan.total, free_bytes = mem_available();
    if (need > free_bytes)
        return ERR(err, NOMEM, "%s needs %zu MB of memory for texts of %d tokens, %zu MB are free", path, need >> 20, e->ctx, free_bytes >> 20);
    TRY(decoder_bind(&e->d, pool, NULL, err));
    return weights_fill(&e->d, e->model.list, e->types, e->model.source, pool, err);
}

int embedder_new(struct embedder **out, const char *path, const struct embed_opts *o, struct pool *pool, struct err *err)
{
    struct embedder *e = mem_alloc_array(1, sizeof *e);
    *out = NULL;
    if (!e)
        return ERR(err, NOMEM, "no memory for %s", path);
    const int rc = load(e, path, o, pool, err);
    if (rc < 0)
        embedder_free(e);
    else
        *out = e;
    return rc;
}

void embedder_free(struct embedder *e)
{
    if (!e)
        return;
    decoder_release(&e->d);
    mem_free(e->types);
    tok_free(e->tok);
    model_release(&e->model);
    mem_free(e);
}

const struct config *embedder_config(const struct embedder *e) { return &e->config; }
const struct tok *embedder_tok(const struct embedder *e) { return e->tok; }
enum pool_kind embedder_pooling(const struct embedder *e) { return e->pooling; }
bool embedder_normalizes(const struct embedder *e) { return e->normalizes; }

/* ---- one text ---- */

/* Sums in double, tokens in order. */
static void pool_rows(const float *x, int n, int C, enum pool_kind kind, float *out)
{
    for (int c = 0; c < C; c++) {
        double sum = 0;
        for (int i = 0; kind == POOL_MEAN && i < n; i++)
            sum += (double)x[(ptrdiff_t)i * C + c];
        out[c] = kind == POOL_MEAN ? (float)(sum / n) : x[kind == POOL_CLS ? c : (ptrdiff_t)(n - 1) * C + c];
    }
}

int embedder_run(struct embedder *e, const int32_t *ids, int n, enum pool_kind pooling, bool normalize, float *out, struct err *err)
{
    const struct tensor *t = e->d.g->tensor;
    const int C = e->config.d_model;
    const int32_t start[2] = { 0, n };
    if (n < 1 || n > e->ctx)
        return ERR(err, RANGE, "a text of %d tokens, expected 1 to %d", n, e->ctx);
    for (int i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= e->config.vocab_size)
            return ERR(err, RANGE, "token id %d, expected 0 to %d", ids[i], e->config.vocab_size - 1);
        ((int32_t *)t[e->d.ids].data)[i] = ids[i];
        ((int32_t *)t[e->d.pos].data)[i] = i;
    }
    graph_run(e->d.g, PASS_FORWARD, &(struct step){ .T = n, .S = 1, .seq_start = start });
    pool_rows(t[e->d.hidden].data, n, C, pooling, out);
    double square = 0;
    for (int c = 0; c < C; c++)
        square += (double)out[c] * (double)out[c];
    if (!isfinite(square))
        return ERR(err, NUMERIC, "the model gave values that are not numbers");
    for (int c = 0; normalize && square > 0 && c < C; c++)
        out[c] = (float)((double)out[c] / sqrt(square));
    return 0;
}
