#include "infer/embed.h"
#include <jansson.h>
#include <math.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "infer/loaded.h"

#define JSON_MAX ((size_t)1 << 20)

struct embedder {
    struct loaded l;
    enum pool_kind pooling;
    bool normalizes;
    double *sum;                 /* [d_model] */
};

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
static int read_modules(bool *normalizes, const char *folder, struct err *err)
{
    json_t *modules;
    TRY(load_beside(&modules, folder, "modules.json", err));
    if (!modules)
        return 0;
    *normalizes = false;
    int rc = json_is_array(modules) ? 0 : ERR(err, FORMAT, "%s/modules.json: found no list, expected one of modules", folder);
    for (size_t i = 0; i < json_array_size(modules) && !rc; i++) {
        const char *type = json_string_value(json_object_get(json_array_get(modules, i), "type"));
        const char *dot = type ? strrchr(type, '.') : NULL, *kind = dot ? dot + 1 : "";
        if (!strcmp(kind, "Normalize"))
            *normalizes = true;
        else if (strcmp(kind, "Transformer") && strcmp(kind, "Pooling"))
            rc = ERR(err, UNSUPPORTED, "%s/modules.json: module %zu is '%.60s', expected Transformer, Pooling or Normalize", folder, i, type ? type : "");
    }
    json_decref(modules);
    return rc;
}

int embed_read(enum pool_kind *pooling, bool *normalizes, const char *path, const struct model *m, struct err *err)
{
    *pooling = m->config.encoder ? POOL_MEAN : POOL_LAST;
    *normalizes = true;
    TRY(read_modules(normalizes, path, err));
    const int rc = pooling_read(pooling, path, source_gguf(m->source), err);
    return rc < 0 ? rc : 0;
}

/* ---- loading ---- */

static int open_and_plan(struct embedder *e, const char *path, const struct embed_opts *o, int n_thread, struct err *err)
{
    const struct loaded_opts lo = { .ctx = o->ctx, .no_tok = o->no_tok, .rope_scaling = o->rope_scaling, .warnings = o->warnings, .as = o->as };
    TRY(loaded_open(&e->l, path, &lo, err));
    TRY(embed_read(&e->pooling, &e->normalizes, path, &e->l.model, err));
    if (!(e->sum = mem_alloc_array((size_t)e->l.model.config.d_model, sizeof *e->sum)))
        return ERR(err, NOMEM, "no memory for a vector of %d numbers", e->l.model.config.d_model);
    const struct decoder_opts d = { .use = DECODER_HIDDEN, .types = e->l.types, .ctx = e->l.ctx };
    return loaded_plan(&e->l, &d, e->l.ctx, 1, n_thread, err);
}

int embedder_new(struct embedder **out, const char *path, const struct embed_opts *o, struct pool *pool, struct err *err)
{
    struct embedder *e = mem_alloc_array(1, sizeof *e);
    *out = NULL;
    if (!e)
        return ERR(err, NOMEM, "no memory for %s", path);
    int rc = open_and_plan(e, path, o, pool_n_thread(pool), err);
    if (!rc)
        rc = loaded_fill(&e->l, path, pool, err);
    if (rc < 0)
        embedder_free(e);
    else
        *out = e;
    return rc;
}

int embedder_plan_bytes(size_t *bytes, const char *path, const struct embed_opts *o, int n_thread, struct err *err)
{
    struct embedder *e = mem_alloc_array(1, sizeof *e);
    struct embed_opts without = *o;
    without.no_tok = true;
    if (!e)
        return ERR(err, NOMEM, "no memory for %s", path);
    const int rc = open_and_plan(e, path, &without, n_thread, err);
    *bytes = rc ? 0 : e->l.d.g->plan.total;
    embedder_free(e);
    return rc;
}

void embedder_free(struct embedder *e)
{
    if (!e)
        return;
    loaded_release(&e->l);
    mem_free(e->sum);
    mem_free(e);
}

const struct config *embedder_config(const struct embedder *e) { return &e->l.model.config; }
size_t embedder_weight_bytes(const struct embedder *e) { return e->l.d.g->plan.bytes[TENSOR_PACKED]; }
int embedder_ctx(const struct embedder *e) { return e->l.ctx; }
const struct tok *embedder_tok(const struct embedder *e) { return e->l.tok; }
enum pool_kind embedder_pooling(const struct embedder *e) { return e->pooling; }
bool embedder_normalizes(const struct embedder *e) { return e->normalizes; }

/* ---- one text ---- */

/* Sums in double, tokens in order. */
void embed_add(double *sum, const float *x, int C, int position, enum pool_kind pooling)
{
    for (int c = 0; c < C; c++)
        if (pooling == POOL_MEAN)
            sum[c] += (double)x[c];
        else if (pooling == POOL_LAST || !position)
            sum[c] = (double)x[c];
}

int embed_end(const double *sum, int n, enum pool_kind pooling, bool normalize, float *out, int n_out, struct err *err)
{
    double square = 0;
    for (int c = 0; c < n_out; c++) {
        out[c] = (float)(pooling == POOL_MEAN ? sum[c] / n : sum[c]);
        square += (double)out[c] * (double)out[c];
    }
    if (!isfinite(square))
        return ERR(err, NUMERIC, "the model gave values that are not numbers");
    for (int c = 0; normalize && square > 0 && c < n_out; c++)
        out[c] = (float)((double)out[c] / sqrt(square));
    return 0;
}

int embedder_sum(struct embedder *e, const int32_t *ids, int n, enum pool_kind pooling, double *sum, struct err *err)
{
    const struct tensor *t = e->l.d.g->tensor;
    const int C = e->l.model.config.d_model;
    const int32_t start[2] = { 0, n };
    if (n < 1 || n > e->l.ctx)
        return ERR(err, RANGE, "a text of %d tokens, expected 1 to %d", n, e->l.ctx);
    for (int i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= e->l.model.config.vocab_size)
            return ERR(err, RANGE, "token id %d, expected 0 to %d", ids[i], e->l.model.config.vocab_size - 1);
        ((int32_t *)t[e->l.d.ids].data)[i] = ids[i];
        ((int32_t *)t[e->l.d.pos].data)[i] = i;
    }
    graph_run(e->l.d.g, PASS_FORWARD, &(struct step){ .T = n, .S = 1, .seq_start = start });
    const float *x = t[e->l.d.hidden].data;
    memset(sum, 0, (size_t)C * sizeof *sum);
    for (int i = 0; i < n; i++)
        embed_add(sum, x + (ptrdiff_t)i * C, C, i, pooling);
    return 0;
}

int embedder_run(struct embedder *e, const int32_t *ids, int n, enum pool_kind pooling, bool normalize, float *out, struct err *err)
{
    TRY(embedder_sum(e, ids, n, pooling, e->sum, err));
    return embed_end(e->sum, n, pooling, normalize, out, e->l.model.config.d_model, err);
}
