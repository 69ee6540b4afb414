/* engine.h - a loaded model: continue texts, score texts.
 *
 * An engine belongs to one thread; the pool's threads work inside its calls.  What a token's logits are does not depend on
 * what else is in the batch, on how the prompt was cut, or on the number of threads. */
#ifndef INFER_ENGINE_H
#define INFER_ENGINE_H
#include "base/buf.h"
#include "model/config.h"
#include "model/model.h"
#include "model/tok.h"
#include "infer/sample.h"
#include "model/weights_pack.h"
#include "base/pool.h"
#include "nn/graph.h"

/* AUTO: bf16, or floats where all matrices are.  INT8: with a scale for each token's key and value in each head: half the memory of bf16. */
enum engine_kv { ENGINE_KV_AUTO, ENGINE_KV_F32, ENGINE_KV_BF16, ENGINE_KV_INT8 };

#define ENGINE_LAYERS_FIT (-1)

struct engine;
struct engine_opts {
    int n_slot, ctx;             /* sequences at once; positions of each (0: the model's) */
    int n_page;                  /* pages of the cache, 64 positions each, that parts of a step name (infer/pages.h); 0: each slot has its own */
    bool ctx_clip;               /* where ctx is more than the model has: the model's, instead of ERR_RANGE */
    struct tok *tok;             /* the model's tokenizer if it is loaded already; it is the engine's from then on, whatever happens */
    int step_tokens;             /* tokens of one step at most: longer prompts go in pieces */
    int n_logits;                /* rows of logits at once at most (0: n_slot) */
    const char *rope_scaling;    /* config_stretch, or NULL */
    bool no_tok;                 /* do without a tokenizer: engine_tok() is NULL */
    enum engine_kv kv;           /* how keys and values are kept */
    struct buf *warnings;        /* keys of the configuration that are not used are appended here; NULL: they go to the log */
    enum weights_as as;          /* WEIGHTS_FILE: the types that the file has */
    const char *const *adapter;  /* folders of adapters (model/adapter.h) that parts of a step may have */
    int n_adapter;
    bool adapted;                /* every part has the first of them */
    struct graph_device *device; /* where the model runs (nn/device.h); it is engine_new()'s from then on, whatever happens.  NULL: here */
    int device_layers;           /* so many layers run there, the last ones, and the head; the others here.  0: all; ENGINE_LAYERS_FIT: as many as fit into its free memory */
    int cpu_experts;             /* of so many layers, the first ones, what comes after attention runs here, where it has experts */
};

/* path: a GGUF file, or a model folder (config.json, model.safetensors, tokenizer.json) */
int engine_new(struct engine **out, const char *path, const struct engine_opts *o, struct pool *pool, struct err *err);
void engine_free(struct engine *e);
/* Before the first step: takes memory of cache and steps from the system now: huge pages of 2 MB to be cleared, one for each layer's keys and for its values. */
void engine_touch(struct engine *e);
/* From now on steps are computed by this pool, of as many threads as engine_new()'s had; between two steps. */
void engine_use_pool(struct engine *e, struct pool *pool);
const struct config *engine_config(const struct engine *e);
const struct tok *engine_tok(const struct engine *e);
const struct model *engine_model(const struct engine *e);
/* Appends the ids of a text, as tok_encode with the engine's tokenizer.  With TOK_ADD our own models' texts begin with the token that
 * parts texts, which their tokenizer does not add. */
int engine_encode(const struct engine *e, const char *text, size_t n, unsigned flags, struct tok_ids *ids, struct err *err);
/* fn is called after each operation of each step (graph.h); NULL: nobody. */
void engine_watch(struct engine *e, void (*fn)(void *ctx, const struct graph *g, const struct node *n, const struct step *step), void *ctx);
/* What engine_new would take with these options and n_thread threads, by the same plan; no weight is read.  total: private memory of the host.  device: of
 * o->device, which remains the caller's; 0: there is none.  Weights in panels, and keys and values, are of the device where there is one, but for layers that run here; the rest is for
 * steps.  Layers that the model has, and that run on the device. */
struct engine_sizes { size_t total, weights, cache, device; int n_layer, device_layers; };
int engine_plan_bytes(size_t *bytes, const char *path, const struct engine_opts *o, int n_thread, struct err *err);      /* total alone */
int engine_plan_sizes(struct engine_sizes *out, const char *path, const struct engine_opts *o, int n_thread, struct err *err);
size_t engine_bytes(const struct engine *e);         /* private memory that it took, as planned */
/* Where it runs; NULL: here. */
const struct graph_device *engine_device(const struct engine *e);
/* Layers that run there, and those of them whose experts are here; 0 where there is no device. */
int engine_device_layers(const struct engine *e);
int engine_cpu_experts(const struct engine *e);
/* Has the device failed?  Whatever is asked of the engine then fails, until it has left it. */
bool engine_lost(const struct engine *e);
/* The same model with the same sizes on the host.  All sequences are forgotten.  Between two steps; engine_weight_bytes() and what follows from the files may be
 * asked by other threads meanwhile.  ERR_NOMEM: there is no room; after a failure the engine can do nothing more, and engine_lost() stays. */
int engine_leave_device(struct engine *e, struct err *err);
size_t engine_weight_bytes(const struct engine *e);  /* of the weights in panels */
int engine_ctx(const struct engine *e);
int engine_step_tokens(const struct engine *e);
int engine_n_slot(const struct engine *e);
int engine_n_page(const struct engine *e);           /* 0: each slot has its own */
int engine_n_adapter(const struct engine *e);
size_t engine_page_bytes(const struct engine *e);    /* of one page, all layers */
enum engine_kv engine_kv(const struct engine *e);    /* how keys and values are kept: never AUTO */
int engine_n_logits(const struct engine *e);

/* ---- one step: the general form ---- */

/* n new tokens of slot's sequence, from position pos on.  What was there from pos on is forgotten, so a sequence is cut back
 * by feeding from an earlier position, and begun anew from 0. */
struct engine_part {
    int slot, pos, n; const int32_t *ids;
    const int32_t *page;         /* of an engine with n_page: the pages of positions 0 .. pos + n - 1; those that positions from pos on lie in are no other part's */
    int adapter;                 /* 0: none, 1: the first */
};
/* Runs the parts, of different slots and together at most step_tokens tokens, through all layers.  Row i of the step is token
 * i, part after part.  ERR_RANGE, and nothing has happened, when a slot, position or id does not exist. */
int engine_run(struct engine *e, const struct engine_part *part, int n_part, struct err *err);
/* Of an engine with n_page: what page `from` holds stands in page `to`, too. */
void engine_copy_page(struct engine *e, int from, int to);
/* Until what was run is done: a device is given its work, and is not waited for where no logits are asked for.  Or what failed in it. */
int engine_wait(struct engine *e, struct err *err);
/* Logits of n <= n_logits rows of the last engine_run: *logits is [n, vocab_size], valid until the next call.  May be called
 * again for other rows. */
int engine_head(struct engine *e, const int32_t *row, int n, const float **logits, struct err *err);
/* The same in two parts: the rows are computed; the logits of the last such call are brought here. */
int engine_head_rows(struct engine *e, const int32_t *row, int n, struct err *err);
int engine_logits(struct engine *e, const float **logits, struct err *err);
/* Can tokens be drawn where the logits are, on a device?  Then only ids come here. */
bool engine_draws(const struct engine *e);
/* Draws from row first + i of the last engine_head_rows() draw[i].id: -1 as sample_token(). */
struct engine_draw { struct sampling sampling; uint64_t position; int32_t id; };
int engine_draw(struct engine *e, int first, int n, struct engine_draw *draw, struct err *err);
/* A token from a row of logits that is here, by the rule of the place where they were computed, so that it does not matter where it is drawn. */
int engine_sample(const struct engine *e, const float *logits, struct sample_ids ids, const struct sampling *s, uint64_t position, struct sample_scratch scratch);
/* The same of the last layer's output after the last norm, of which embeddings are made: [n, d_model]. */
int engine_hidden(struct engine *e, const int32_t *row, int n, const float **hidden, struct err *err);

/* nll[i] = -log softmax(logits of row[i])[target[i]] for any number of rows of the last engine_run. */
int engine_nll(struct engine *e, const int32_t *row, const int32_t *target, int n, float *nll, struct err *err);
/* The same for targets that are sorted by row, of which a row may have several: its logits are computed once.  likeliest: no id
 * has more, and none before it as much.  moments: mean and sd are wanted, of log p over the vocabulary, weighted by p. */
struct engine_target { int32_t row, id; bool moments; float nll; bool likeliest; float mean, sd; };
int engine_targets(struct engine *e, struct engine_target *t, int n, struct err *err);

/* Adds what a step of T tokens of S sequences costs, which see `keys` keys on average of `cached` positions each, with
 * n_logits rows of logits: operations by kind, and bytes of weights and cache that must be read.  Sequences have no adapter but with
 * `adapted`. */
void engine_price(const struct engine *e, int T, int S, int n_logits, double keys, double cached, struct cost_sum *c, double *bytes);

/* ---- the two usual steps ---- */

/* Feeds n tokens of slot's sequence from position pos on, in pieces of step_tokens; *logits is [vocab_size] of the last one,
 * valid until the next call.  logits NULL: they stay where they are, as of engine_head_rows(). */
int engine_feed(struct engine *e, int slot, int pos, const int32_t *ids, int n, const float **logits, struct err *err);
/* One token for each of n <= n_logits sequences at once (decode): logits row i at *logits + i * vocab_size. */
int engine_step(struct engine *e, int n, const int32_t *slot, const int32_t *pos, const int32_t *ids, const float **logits, struct err *err);

#endif
