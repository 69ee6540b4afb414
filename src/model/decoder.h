/* decoder.h - a model as a graph: recorded from its configuration, for one of these uses.  Decoders; encoders, of texts or images;
 * either with a head for classes, whose sequences have one row of logits each.
 *
 * Decides what the layers are; nobody else knows.  The tensors of the weights have the names of weights.h.  Which operand
 * types are used: with compute BF16 the outputs of norms, activations and attention are BF16 and products take BF16;
 * the residual stream, the router, the softmax, the loss and all sums are F32. */
#ifndef MODEL_DECODER_H
#define MODEL_DECODER_H
#include "model/config.h"
#include "model/lora.h"
#include "model/weights.h"
#include "nn/graph.h"

enum decoder_use {
    DECODER_TRAIN,       /* ids, pos, target -> nll, gradients, update; of a classifier: ids, pos or pixels, label -> nll of each sequence ... */
    DECODER_SCORE,       /* ids, pos, target -> nll of each token */
    DECODER_LOGITS,      /* ids, pos -> logits of every token; of a classifier: ids, pos or pixels -> logits of every sequence */
    DECODER_HIDDEN,      /* ids, pos, type -> the last layer's output of every token, F32, after the last norm: the only use of an encoder */
    DECODER_GENERATE,    /* ids, pos -> the stream, keys and values kept in slots; PASS_HEAD: last -> logits of those rows; PASS_HIDDEN: last -> hidden of those rows */
};

/* How a weight is kept (weights_pack.h): n_segment panels of types of the file; or mapped, rows of type[0] in the file; or,
 * n_segment 0, floats. */
struct weight_type { int n_segment; enum cpu_type type[SEGMENT_MAX]; int64_t n_row[SEGMENT_MAX]; bool mapped; };

struct adapter;
struct decoder_opts {
    enum decoder_use use;
    enum dtype compute;
    enum recompute recompute;        /* train */
    enum optimizer optimizer;        /* train */
    int slices;                      /* train: graph.n_slice */
    bool whole_step;                 /* train: graph.whole_step */
    enum dtype state;                /* train: of the optimiser, F32 or BF16 */
    bool averages;                   /* train: graph_averages */
    const struct lora *lora;         /* train, score: the weights are frozen but for a head for classes, and adapters are learned; or NULL */
    const struct adapter *const *adapter;      /* generate with types: bound ones (adapter.h), which sequences may have (step.adapter: 1 is the first) */
    int n_adapter;
    bool frozen;                     /* the weights are frozen also without adapters */
    bool loss_first;                 /* train: PASS_LOSS is wanted (graph.h) */
    bool pixels_sought;              /* train, of images: the slope of the loss by their numbers is wanted (an output, tensor[pixels].grad), and the logits */
    bool embeds_sought;              /* train, of texts: what the embedding makes of ids is an input, embeds, and the slope of the loss by it is wanted (an
                                        output, tensor[embeds].grad), and a classifier's logits */
    bool pixels_only;                /* the same alone: weights get no gradients, and may be shared with a decoder that learns them (graph.sought_only) */
    const bool *in_file;             /* of frozen weights: those of the list whose rows stay in their file (tensor.row is to be set after bind); or NULL: none */
    bool features;                   /* of models with a head for classes: what it reads is an output (decoder.features) */
    const struct weight_type *types; /* generate, logits: for each weight of the list; NULL: floats, packed for `compute` */
    bool floats;                     /* activations are F32 whatever the weights: for a device, whose products make of them what they read */
    int here, here_experts;          /* with floats: so many layers, the first ones, run on the host all the same (graph.here) and are recorded for it; and
                                        what comes after attention of so many, where it has experts */
    enum dtype cache;                /* generate with types: of the pages of keys and values, F32, BF16 or I8 */
    int n_slot;                      /* generate: sequences that the cache holds */
    int n_page;                      /* the same in pages, which sequences may share (infer/pages.h); 0: those of n_slot sequences */
    int ctx;                         /* positions of a sequence at most (0: the model's); dynamic and longrope RoPE follow it */
    struct division division;        /* train, score: of the weights, between processes (weights.h); g->peers is to be set before runs.  generate: between devices */
};

/* Of a model whose weights are divided, in the process that has its files: how the parts of a weight, of its moments or its average
 * come together, and how they are handed out again. */
struct decoder_parts {
    void *ctx;
    void *whole;                     /* room for the largest weight as floats: what is collected, and what is given */
    int (*collect)(void *ctx, int i_weight, int tensor, struct err *err);
    int (*give)(void *ctx, int i_weight, int tensor, struct err *err);
    int rc; struct err err;          /* of decoder_weight_source(), which cannot tell */
};

struct decoder {
    struct graph *g;
    struct config config;
    int ids, pos, target, last;      /* input tensors, -1 where the use has none; target < 0 there: not counted */
    int embeds;                      /* [T, d_model], rows of weight 0 times decoder_embed_scale(), in place of ids; -1: ids */
    int pixels;                      /* [S*patches, numbers of a patch] of images, in place of ids and pos: see model/vision.h */
    const struct vision *vision;     /* what is written beside the model as preprocessor_config.json; borrowed, NULL: nothing */
    int label;                       /* [S, n_label]: the wanted distribution over the classes; all 0: not counted */
    int type;                        /* token types, an input that begins as zeros; -1 where the model has none */
    int nll, logits, hidden;         /* output tensors, -1 where the use has none */
    int features;                    /* what the head for classes reads, [S, d_model]: an output where that was asked for, else -1 */
    int tied_head;                   /* with types and tied embeddings: the embedding once more, in panels; else -1 */
    int n_pos;                       /* positions in the tables */
    int rope[2];                     /* tables to fill after bind, or -1: of all layers, of those with a window if they differ */
    int n_stats;                     /* MoE layers */
    int *stats;                      /* [n_stats] output tensors (graph_aux_losses) */
    int *correction;                 /* [n_stats] of their scores, to choose by (weights.h), or -1 */
    struct attr route;               /* of every MoE layer */
    struct division division;        /* what the tensors of weights are of the weights */
    struct decoder_parts *parts;     /* borrowed; NULL: files are not read and written here, or the weights are whole */
    struct lora lora;                /* of the adapters, if there are any */
    struct lora_site *site; int n_site;
    struct decoder_beside *beside; int n_beside;
};
/* A part of an adapter that sequences may have: A [rank, K], B [n_row, rank], tensors in panels of floats. */
struct decoder_beside { int adapter, weight, part, a, b; };

/* What the embedding's rows are multiplied by: 1, or Gemma's sqrt(d_model). */
double decoder_embed_scale(const struct config *c);
/* Pages of the cache. */
int64_t decoder_pages(const struct decoder_opts *o);
/* Can the model be divided so?  ERR_UNSUPPORTED, or ERR_USAGE where the numbers do not come out even. */
int decoder_check_division(const struct config *c, const struct division *d, struct err *err);
int decoder_record(struct decoder *d, const struct config *c, const struct decoder_opts *o, struct err *err);
void decoder_release(struct decoder *d);     /* frees the graph too */
/* graph_plan and graph_bind, and fills the tables. */
int decoder_plan(struct decoder *d, int T, int S, int n_thread, const struct decoder *share, struct err *err);
int decoder_bind(struct decoder *d, struct pool *pool, const struct decoder *share, struct err *err);
/* The floats of weight i of the list: weights_load's place() and weights_save's source() with the decoder as context.  source() of a
 * divided model collects the weight; NULL when that failed, parts->rc and err say why. */
float *decoder_weight(void *decoder, int i_weight);
const float *decoder_weight_source(void *decoder, int i_weight);
/* Fills every weight, but those in a file, by its init rule from (seed, name, element). */
void decoder_init_weights(struct decoder *d, const struct weights_list *l, uint64_t seed);
/* The same of the adapters: A uniform in +-1/sqrt(K) (Kaiming's, as peft), by (seed, module, element), B zero. */
void decoder_init_adapters(struct decoder *d, uint64_t seed);

/* After decoder_bind(): the tensors of adapters that sequences may have, from the options' adapters. */
void decoder_fill_adapters(struct decoder *d, const struct adapter *const *adapter);

#endif
