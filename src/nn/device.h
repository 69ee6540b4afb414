/* device.h - where a graph runs that does not run on the host (src/exec): what it must do for plan.c, for whoever fills weights, and for
 * whoever runs the graph.
 *
 *   g->device = d, before graph_plan()     which then counts the host's memory alone and has d say whether it can do every operation, and in how many bytes
 *   graph_bind()                           takes the host's part: floats of weights, tables, inputs, outputs; and the device's: all the rest, if it has room
 *   pack(), put()                          rows of weights in panels (tensor.panels), which have no place on the host
 *   fill()                                 what the host holds of weights, moments and tables goes to the device
 *   graph_run()                            gives the work to the device and does not wait for it; what failed, graph_failed() tells
 *   graph_fetch(), graph_fetch_kind()      wait, and bring a tensor, or all of a kind, to where it lies on the host
 *
 * Of a graph that learns the device has the weights and moments as they are; the host has them as they were filled or fetched last, and no gradients.
 * Where several devices share a model (n_part > 1) it is recorded divided (DIVIDE_DEVICES, model/weights.h), as the first one has it: all have the same graph with
 * weights of their own, for inference alone: nothing is learned or drawn there, send(), fetch_kind() and draw() are missing.  put() and floats() say whose; fill() sends what all have alike,
 * and leaves tensors that are divided (n_part) alone.
 * Nodes may be the host's all the same (graph.here): their weights in panels, their keys and values are the host's alone, activations have a place on both sides, and graph_run() gives
 * the device the nodes between them, and copies what one side made and the other reads.
 * A device has one graph, the last that was planned, and belongs to one thread at a time: the one that calls.  Pages of keys and values lie as the device wants them, in no more bytes than
 * the host's.  After a failure of a run the device may be lost: nothing that is asked of it later succeeds. */
#ifndef NN_DEVICE_H
#define NN_DEVICE_H
#include "nn/graph.h"

/* How a token is drawn (infer/sample.h: sample_token_exact). */
struct device_draw { double temperature; int top_k; double top_p, min_p; uint64_t seed, position; };

struct graph_device {
    /* ERR_UNSUPPORTED names the operation and type that it cannot do.  May be called again until bind(), also of another graph; the last one counts. */
    int (*plan)(struct graph_device *d, const struct graph *g, struct err *err);
    int (*room)(struct graph_device *d, size_t *bytes, struct err *err);       /* of its memory that are free now */
    /* ERR_NOMEM says what is needed and free. */
    int (*bind)(struct graph_device *d, const struct graph *g, struct err *err);
    /* n rows of K numbers of a file's type in the form of the device: how many bytes, and there.  pack() may be called by any thread. */
    size_t (*packed)(enum cpu_type t, int64_t K, int64_t n);
    void (*pack)(enum cpu_type t, int64_t K, int64_t n, const void *rows, void *to);
    /* Such rows, for device `part` of n_part, to rows row .. of segment s of expert e of tensor t (row counts from the segment's first).  They may change after wait(). */
    int (*put)(struct graph_device *d, const struct graph *g, int part, int t, int64_t e, int s, int64_t row, int64_t n, const void *packed, struct err *err);
    /* All floats of a divided tensor, for device `part`; waits. */
    int (*floats)(struct graph_device *d, const struct graph *g, int part, int t, const float *x, struct err *err);
    int (*fill)(struct graph_device *d, const struct graph *g, struct err *err);
    /* The first n bytes of tensor t, from its place on the host, which may change after wait(). */
    int (*send)(struct graph_device *d, const struct graph *g, int t, size_t n, struct err *err);
    /* Nodes from .. end - 1 of the pass, none of which is the host's, after those before them. */
    int (*run)(struct graph_device *d, const struct graph *g, enum pass pass, int from, int end, const struct step *step, struct err *err);
    int (*wait)(struct graph_device *d, struct err *err);
    /* The first n bytes of tensor t, to its place on the host; waits. */
    int (*fetch)(struct graph_device *d, const struct graph *g, int t, size_t n, struct err *err);
    int (*fetch_kind)(struct graph_device *d, const struct graph *g, enum tensor_kind kind, struct err *err);      /* all tensors of a kind, in one copy */
    /* Ids of rows first .. first + n - 1 of the logits (what PASS_HEAD made last), -1 where one is NaN or there is no id; waits.  NULL, and so is the next: it cannot draw. */
    int (*draw)(struct graph_device *d, const struct graph *g, int first, int n, const struct device_draw *draw, int32_t *id, struct err *err);
    /* Before that, once, after fill(): ids that may be drawn are 0 .. n_id - 1 but for the gaps, which are ascending. */
    int (*draw_from)(struct graph_device *d, int n_id, const int32_t *gap, int n_gap, struct err *err);
    /* Of all caches: what page `from` holds stands in page `to`, too. */
    int (*copy_page)(struct graph_device *d, const struct graph *g, int from, int to, struct err *err);
    /* Memory that copies to and from the device go fastest with. */
    int (*host_alloc)(struct graph_device *d, void **p, size_t n, struct err *err);
    void (*host_free)(struct graph_device *d, void *p);
    void (*free)(struct graph_device *d);
    int n_part;                          /* devices that share the model; 1: it has the whole */
    size_t bytes, weight_bytes;          /* of its memory that it takes, and of them for weights, after plan(); of all of them */
    size_t bytes_free;                   /* when it was opened; of all of them */
    char name[32], model[128], arch[32]; /* "hip:0", "AMD Instinct MI300X", "gfx942" */
    int n_unit;                          /* its multiprocessors or compute units; 0: not known */
};

/* Is there a place for all such tensors on the host too? */
static inline bool graph_on_host(const struct graph *g, enum tensor_kind kind)
{
    return !g->device || (kind != TENSOR_PACKED && kind != TENSOR_CACHE && kind != TENSOR_ACT && kind != TENSOR_GRAD);
}
/* The first n rows of a tensor are on the host; without a device they always are.  Or what failed in a run, as graph_failed(). */
int graph_fetch(struct graph *g, int t, int64_t n, struct err *err);
int graph_fetch_kind(struct graph *g, enum tensor_kind kind, struct err *err);
#endif
