/* loaded.h - what an engine and an embedder do alike: the files of a model opened, its graph planned, its weights filled in. */
#ifndef INFER_LOADED_H
#define INFER_LOADED_H
#include "base/buf.h"
#include "base/pool.h"
#include "model/adapter.h"
#include "model/decoder.h"
#include "model/model.h"
#include "model/tok.h"
#include "model/weights_pack.h"

struct loaded_opts {
    int ctx;                     /* positions (0: the model's); more than it was made for is ERR_RANGE, or with ctx_clip that many */
    bool ctx_clip, no_tok;
    const char *rope_scaling;    /* config_stretch, or NULL */
    struct buf *warnings;        /* as of model_open; NULL: they go to the log */
    enum weights_as as;
    const char *const *adapter; int n_adapter;      /* folders of adapters that sequences may have */
    int device_layers, cpu_experts;      /* of the device that *l has: as engine_opts' */
};
struct loaded {
    struct model model;          /* its configuration stretched as asked */
    struct tok *tok;             /* NULL with no_tok */
    struct weight_type *types;   /* of the list of weights */
    struct decoder d;
    int ctx;
    struct adapter **adapter; int n_adapter;        /* until loaded_fill() */
    struct graph_device *device;                    /* where it runs, ours; NULL: here */
    int device_layers, cpu_experts;                 /* as asked for */
    int here, here_experts;                         /* layers that run here beside a device, and those whose experts do, after loaded_plan() */
    size_t room;                                    /* of the device when that was chosen */
};

/* The steps in order.  *l is zeroed before the first, or has a tokenizer or a device, which are then kept; released after any of them, also
 * one that failed.  loaded_plan: T, S as of decoder_plan. */
int loaded_open(struct loaded *l, const char *path, const struct loaded_opts *o, struct err *err);
int loaded_plan(struct loaded *l, const struct decoder_opts *d, int T, int S, int n_thread, struct err *err);
int loaded_fill(struct loaded *l, const char *path, struct pool *pool, struct err *err);
/* How the model is parted between the device and here, where it is: in a line, a warning where nobody asked for it. */
void loaded_tell(const struct loaded *l, const char *path);
/* The device is left for the host: the graph is planned and filled anew.  After a failure only loaded_release() may follow. */
int loaded_leave_device(struct loaded *l, const char *path, const struct decoder_opts *d, int T, int S, struct err *err);
void loaded_release(struct loaded *l);
/* As engine_encode, of a model whose weights need not be there. */
int loaded_encode(const struct config *c, const struct tok *t, const char *text, size_t n, unsigned flags, struct tok_ids *ids, struct err *err);
#endif
