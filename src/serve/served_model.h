/* served_model.h - a model that answers many requests, and the thread that does the work.
 *
 * One that makes texts has an engine, a batch of the texts under way, and a thread that makes their steps; embeddings are made in the same
 * steps, of prompts that nothing follows.  An encoder, or a model that tells classes, has no steps: its requests take turns
 * (serve/turns.h). */
#ifndef SERVE_SERVED_MODEL_H
#define SERVE_SERVED_MODEL_H
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include "infer/answer.h"
#include "infer/classify.h"
#include "infer/embed.h"
#include "infer/ends.h"
#include "model/chat.h"
#include "model/mix.h"
#include "serve/grammars.h"
#include "serve/machine.h"
#include "serve/metrics.h"
#include "serve/shadow.h"
#include "serve/turns.h"

struct recorder;
#define SERVED_VERSION 128               /* bytes of NAME@number with its NUL; a longer one is cut */

struct served_model_opts {
    const char *build;                   /* the program and its version, for the fingerprint */
    const char *path, *name;             /* name: what requests call it; NULL: the last part of the path */
    int n_text;                          /* texts under way at once; 0: 16 */
    int ctx;                             /* positions of a text; 0: the model's, or as many as the cache holds */
    size_t cache_bytes;                  /* of keys and values; 0: 16 texts of 1,024 tokens, or one of the longest */
    int step_tokens, n_thread, lookup, n_queue;      /* step_tokens 0: 512 */
    const char *device;                  /* where it runs: "hip:N", "cuda:N"; NULL: here */
    int (*open_device)(struct graph_device **out, const char *device, struct err *err);
    int device_layers, cpu_experts;      /* of it: as engine_opts' */
    int n_device;                        /* models that are still to find room there, with this one */
    size_t memory;                       /* of the host's, it may take; 0: any */
    /* More of that, when its device is lost; false: there is no so much.  What was taken is given back when it is closed.  NULL: any. */
    bool (*more_memory)(void *ctx, size_t bytes); void (*less_memory)(void *ctx, size_t bytes); void *ctx_of_memory;
    struct machine *machine;             /* that its steps take turns for, or NULL */
    bool fit; size_t share;              /* what is 0 above is chosen so that all fits into `share` bytes (fit.h) */
    bool matryoshka;                     /* embeddings may be cut, whatever the files say */
    enum weights_as as;
    enum engine_kv kv;
    const char *const *adapter; int n_adapter;       /* NAME=FOLDER: adapters that requests may ask for by that name */
    void (*after_step)(void *ctx);       /* by the thread of the steps: what was given to replies can go out */
    void *ctx_of_step;
    void (*timed)(void *ctx, const struct batch_step *s); void *timed_ctx;       /* batch_opts'; or NULL */
    struct recorder *recorder;           /* of answers (store/recorder.h), or NULL; outlives the model */
    int64_t number; const char *version_root;        /* of a version of a registry; 0, NULL: it is none */
    bool quiet;                          /* load at a low priority, beside others that work */
    int (*may_load)(const char *path, struct err *err);      /* asked by the thread that loads it, at its priority, before a file is read; NULL: it may */
    struct engine_sizes *sizes;          /* or NULL: what it takes is written there as soon as it is known, also where that is too much */
};
enum served_kind { SERVED_TEXTS, SERVED_VECTORS, SERVED_CLASSES };
/* The model with one of its adapters: a model of its own to clients. */
struct served_adapter {
    char *name;
    char digest[SHA256_HEX];             /* of the adapter's files */
    char fingerprint[40];
    struct block_key root;
};
struct served_model {
    char *name, *path;
    enum served_kind kind;
    size_t bytes;                        /* of memory that it takes here, as planned */
    struct served_device *device;        /* where it was loaded, if not here (served_device.h) */
    struct pool *pool;
    struct machine *machine;
    struct embedder *embedder;           /* SERVED_VECTORS */
    struct classifier *classifier;       /* SERVED_CLASSES */
    struct turns *turns;                 /* of either */
    enum pool_kind pooling; bool normalizes;         /* of embeddings (infer/embed.h) */
    bool matryoshka; json_t *dimensions;             /* they may be cut: to these lengths, or NULL: any */
    bool gguf; char level[MIX_NAME];     /* of its files: GGUF, or safetensors; of quantisation (model/mix.h) */
    /* ---- SERVED_TEXTS ---- */
    struct engine *engine;
    struct batch *batch;
    struct chat *chat;                   /* NULL: there is no template */
    struct vocab *vocab;
    struct grammars *grammars;           /* of requests */
    struct answer_model answers;
    char digest[SHA256_HEX];             /* of the model's files */
    char fingerprint[40];                /* of all that decides the bytes of an answer, beside the request */
    int n_queue;                         /* texts that may wait */
    struct metrics *metrics;
    struct recorder *recorder;
    struct block_key root;               /* of texts that belong to nobody in particular */
    int64_t number; char version_root[SHA256_HEX];   /* of a version of a registry: NAME@number; 0, "": it is none */
    char version[SERVED_VERSION];        /* NAME@number, or "" */
    char tok_digest[SHA256_HEX];         /* of a version that makes texts: whether two have the same tokens (tok_digest) */
    atomic_int n_user;                   /* that look at it: requests, and lists being written */
    atomic_bool spare;                   /* its steps take what time the others leave (machine.h) */
    struct shadow_counts shadow;         /* of a candidate that is compared (shadow.h) */
    struct served_adapter *adapter; int n_adapter;
    time_t since;
    /* ---- its own ---- */
    struct ends ends;
    int32_t *end, mark[VOCAB_MARKS_MAX]; int n_mark;
    pthread_t thread;
    bool has_thread;
    atomic_bool quit;
    void (*after_step)(void *ctx);
    void *ctx;
    int ctx_model;                       /* positions that it was made for */
};
const struct config *served_model_config(const struct served_model *s);
size_t served_model_weight_bytes(const struct served_model *s);
int served_model_ctx(const struct served_model *s);            /* positions of a text */
/* Of a model without a batch: requests that wait are n_waiting, all else is 0. */
void served_model_counts(const struct served_model *s, struct batch_counts *out);
/* ERR_NOMEM, with the sizes, where it takes more memory than it may. */
int served_model_open(struct served_model **out, const struct served_model_opts *o, struct err *err);
/* The same in two parts: all that takes long, and the threads.  With o->quiet the first lowers the priority of the thread that calls it, for
 * good, so that is one made for this; what that one makes afterwards would be as slow, so another calls the second. */
int served_model_load(struct served_model **out, const struct served_model_opts *o, struct err *err);
int served_model_start(struct served_model *s, struct err *err);
/* Whoever closes a model waits until nobody holds it.  Any thread. */
void served_model_hold(struct served_model *s);
void served_model_drop(struct served_model *s);
/* What it is called by these options; to be freed.  NULL: no memory. */
char *served_model_called(const struct served_model_opts *o);
/* What requests that name `name` are answered by: 0 the model itself, i its adapter i - 1, -1 nothing here. */
int served_model_find(const struct served_model *s, const char *name);
/* The same for Ollama, which puts ":latest" behind names that have no tag. */
int served_model_find_latest(const struct served_model *s, const char *name);
/* The same as what decides the bytes, and what it is called. */
struct served_as { const char *name, *digest, *fingerprint; int adapter, place; struct block_key root; const char *version, *version_root; };      /* adapter, place: of text_request */
struct served_as served_model_as(const struct served_model *s, int which);
/* No more steps: texts that are under way are cancelled and told so.  Requests may still be looked at. */
void served_model_halt(struct served_model *s);
void served_model_close(struct served_model *s);
#endif
