/* train.h - what it takes to train a decoder on many devices: memory by part, the time of a step by part, and the layout that is fastest.
 *
 * A model is divided by tensor (tp, arXiv:1909.08053; with the stream between divided too: sequence, arXiv:2205.05198), by layers (pp: 1F1B, or
 * `interleave` pieces of each device, arXiv:2104.04473), and copied (dp), the state of copies divided by ZeRO (arXiv:1910.02054: 1 the optimiser's, 2 gradients
 * too, 3 weights too).  Experts lie whole on ep of the tp * dp devices of a stage; with ep 1 they are divided by tensor as the rest is.  Devices are
 * counted tensor first, then data, then layers: tensor groups lie in a node.
 *
 * Memory is that of the fullest device: weights in 2 bytes, gradients in 4 (job), fp32 master weights and Adam's two moments, what the backward pass reads
 * of each layer and micro-batch in flight (of GPT with separate kernels s b h (34 + 5 a s / h), as arXiv:2205.05198 counts), and workspace: logits, one layer
 * where it is computed again, gathered layers of ZeRO 3, the runtime.  What an allocator loses between its blocks is not in it.
 *
 * Time is a sum over what runs one after the other: products by plan/product.h at their own shapes, attention by its sums and its exponentials, passes over
 * activations by the bandwidth that is reached, collectives by plan/collective.h.  What overlaps is stated: gradients of products hide the collectives of
 * tensor parallelism that Megatron-LM hides behind them, a backward pass hides the sums of gradients (but job.alone), and what is hidden still takes
 * TRAIN_CHANNELS of the units.  Pipelines wait for their slowest stage.  Experts get equal shares times job.imbalance.  Where a layer's kernels are done before
 * the host has launched them (small ones, of many experts) the device waits for it.
 *
 * Programs differ by what job says of them: kernels in graphs, attention made for another device, activations of many operations.  Two constants are
 * fitted to training that others measured, each with its meaning, and held against devices that were left out (bench/train_fit): TRAIN_LAUNCH, and 0.6
 * for job.passes of programs without a compiler.  TRAIN_ERROR_* say how far such plans are off.
 *
 * Pure functions, any thread; seconds, bytes, operations, US dollars, joules. */
#ifndef PLAN_TRAIN_H
#define PLAN_TRAIN_H
#include <stdbool.h>
#include "plan/device.h"
#include "plan/train_model.h"

/* Multiprocessors that a collective has while it runs beside products: NCCL's channels on 8 A100 ("Channel 23/24" of its log, NVIDIA/nccl-tests#100), taken
 * for other devices too. */
#define TRAIN_CHANNELS 24

/* Seconds of the host for a kernel that is not launched with others as a graph: a step of PyTorch's interpreter, its autograd and a launch, as fitted to 53
 * rows of mixtures in Megatron-Bridge (45 to 55 with any device left out). */
#define TRAIN_LAUNCH 50e-6
#define TRAIN_ERROR_DENSE "244 published runs of dense models are met to 7 % in the median, 90 % of them to 23 %"
#define TRAIN_ERROR_MIXTURE "53 published runs of mixtures are met to 14 % in the median (with the device left out too), 90 % of them to 45 %, and planned too fast by 12 % on average"

/* What the backward pass makes again: nothing; what attention makes of queries and keys, where it keeps scores (selective of arXiv:2205.05198); that, what
 * norms and activations write; all of a layer but its input. */
#define TRAIN_RECOMPUTE(X) X(NONE, "none") X(ATTENTION, "attention") X(CHEAP, "cheap") X(FULL, "full")
enum train_recompute {
#define X(name, word) TRAIN_RECOMPUTE_##name,
    TRAIN_RECOMPUTE(X)
#undef X
    N_TRAIN_RECOMPUTE
};
const char *train_recompute_name(enum train_recompute r);

struct train_job {
    int ctx;                     /* tokens of a sequence; 0: the model's */
    double batch;                /* sequences of a step, of all devices together */
    enum number compute;         /* of the layers' products: f32, bf16, fp8 */
    int gradient_bytes;          /* of a number of gradients: 2 or 4; 0, and of f32: 4 */
    bool separate;               /* softmax, dropout and loss are kernels of their own and scores are kept (Megatron-LM of 2022); else fused (flash) ones */
    bool wide_loss;              /* logits are made floats, which stay with their gradient, as PyTorch's cross entropy does; so with separate */
    bool scaled;                 /* fp16: gradients are brought back to scale by passes of their own */
    bool alone;                  /* sums of gradients wait for the backward pass to end, and ZeRO's weights for nothing */
    double launch;               /* seconds that the host takes for a kernel that it launches by itself; 0: TRAIN_LAUNCH; below 0: none, all are launched as graphs */
    double attention;            /* of the rate that fused attention reaches, what this program's does; 0: 1, of kernels made for the device */
    double passes;               /* of the bandwidth that is reached, what passes over activations reach; 0: 1, of kernels that do many operations at once */
    int chain;                   /* operations that the activation of an MLP is made of, each a pass of its own; 0: one kernel */
    bool grouped;                /* the host launches one kernel for a product of all experts, and waits for no counts of their rows */
    bool each_row;               /* rows go to each of their experts by themselves (NCCL's all-to-all), not once to each node that has some (DeepEP) */
    bool hide_experts;           /* experts' rows travel while the other pass of another micro-batch is computed (DualPipe, arXiv:2412.19437) */
    double imbalance;            /* rows of the fullest device's experts over the mean; 0: 1 */
    int lora_rank;               /* > 0: weights of layers are frozen, adapters of this rank at each product but experts' and routers' are learned */
    double state_bytes;          /* the optimiser's of a learned number; 0: 12, or 8 of f32 (its own master): Adam.  Muon, or moments in bf16: 4 less */
    double frozen_bytes;         /* of a frozen number; 0: as of a learned one */
};

struct train_layout {
    int tp, pp, dp, ep, interleave, zero, micro;         /* micro: sequences of a micro-batch */
    bool sequence;
    enum train_recompute recompute;
    int again;                                           /* with full: of so many layers of a stage, 0: of all */
};

#define TRAIN_MEMORY(X) X(WEIGHTS, "weights") X(GRADIENTS, "gradients") X(OPTIMISER, "optimiser") X(ACTIVATIONS, "activations") X(WORKSPACE, "workspace")
#define TRAIN_TIME(X) X(PRODUCTS, "products") X(ATTENTION, "attention") X(PASSES, "passes over activations") X(TENSOR, "tensor parallel") \
    X(EXPERTS, "experts' tokens") X(PIPELINE, "between stages") X(DATA, "gradients and weights of copies") X(OPTIMISER, "optimiser") \
    X(HOST, "waiting for the host") X(BUBBLE, "waiting for stages")
#define X(name, word) TRAIN_MEMORY_##name,
enum train_memory_part { TRAIN_MEMORY(X) N_TRAIN_MEMORY };
#undef X
#define X(name, word) TRAIN_TIME_##name,
enum train_time_part { TRAIN_TIME(X) N_TRAIN_TIME };
#undef X
const char *train_memory_name(enum train_memory_part part);
const char *train_time_name(enum train_time_part part);

struct train_plan {
    struct train_layout layout;
    int n;                                       /* devices */
    int fullest, slowest;                        /* stages, from 0 */
    double memory[N_TRAIN_MEMORY], bytes;        /* of the fullest device; their sum */
    double time[N_TRAIN_TIME], seconds;          /* of a step on the slowest stage, the rest waiting; their sum */
    double forward, backward, again;             /* seconds of one layer and micro-batch, of the kind that there is most of; again: what is recomputed */
    double micros;                               /* micro-batches of a copy and step */
    double tokens_second;                        /* of all devices */
    double flops_palm, flops_causal;             /* of a token, facts_train_flops()'s conventions */
    double mfu_palm, mfu_causal, hfu;            /* of the peak for `compute`; hfu: with what is computed again, by PaLM's, less the keys outside of windows */
    double watts, usd_hour;                      /* of all devices, by data sheet and typical price; 0: not known */
    double joules_token, usd_mtoken;             /* of a token, of a million */
};

/* The plan of one layout, whether it fits or not (bytes, device's memory).  ERR_USAGE: an impossible layout or job, with what would be possible. */
int plan_train(struct train_plan *out, const struct train_model *m, const struct train_job *job, const struct train_layout *l, const struct device *d,
               struct err *err);

/* The arithmetic of a plan: what each part of its memory and of its time is the sum of, in words and numbers. */
struct train_term {
    bool time;                   /* else memory */
    int part;                    /* enum train_time_part or train_memory_part */
    double value;                /* seconds of a step; bytes */
    char how[160];
};
/* Of a plan that plan_train() made of these; terms of a part add up to it.  At most `most` of them, returns how many there are. */
int train_explain(struct train_term *term, int most, const struct train_plan *p, const struct train_model *m, const struct train_job *job, const struct device *d);

/* How far plans of such a model were off on such a device: of TRAIN_ERROR_*, and whether training on it was measured. */
#define TRAIN_HOW_SURE 480
char *train_how_sure(char out[TRAIN_HOW_SURE], const struct train_model *m, const struct device *d);

/* Layouts of n devices, 1 to 1024, that fit, the fastest first, at most `most` of them; returns how many.  Tensor groups stay within a node.
 * ERR_NOFIT: none fits; the message says which comes nearest and by how much it misses. */
int plan_train_best(struct train_plan *out, int most, const struct train_model *m, const struct train_job *job, const struct device *d, int n, struct err *err);

#endif
