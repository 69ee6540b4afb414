/* exec.h - a graph on a GPU: the same list of operations that the host runs, planned by the same graph_plan().
 *
 *   struct graph_device *d;  exec_open(&d, "hip:0", err);  g->device = d;  then as nn/device.h says
 *
 * One block of device memory holds everything: weights in the device's form (gpu/pack.h), each kind of tensor where graph_plan() put it, working
 * memory, and what goes up for a step (inputs, positions, tables of pages, rows of an embedding that lies in a file).  It is taken once; what
 * does not fit, or cannot be done, is refused before a weight is read.  Activations are floats; products of quantised weights make int8 of them, as
 * the host does.  An operation is a row in exec.c and a struct exec_op (exec_op.h).
 *
 * Several devices ("cuda:0,1", "hip:0-7") share a model: heads, numbers inside MLPs, experts, rows of the head (DIVIDE_DEVICES, model/weights.h).  All run the same
 * graph with weights of their own, and after the output of attention and of the MLP each sums what all have, in the order of the devices: by kernels that read the
 * others' memory where it is reached, else from copies that the driver makes.  Bits are the same each time and for each step, but are not those of one device.
 *
 * Nodes that are the host's all the same (graph.here) have nothing here but what is read or made on this side: a model that does not fit has its first layers there (infer/loaded.c).
 *
 * Bits: a token's numbers depend on nothing but its sequence up to it, as on the host: products are by kernels that give
 * a row the same bits whatever the number of rows, and attention takes prompts and single tokens by the same kernels. */
#ifndef EXEC_EXEC_H
#define EXEC_EXEC_H
#include "nn/device.h"

struct gpu;
/* device: "hip:N" or "cuda:N", or several; kernels that failed their self test there (gpu/verdict.h) are not used, and that is said aloud.  Freed by (*out)->free(). */
int exec_open(struct graph_device **out, const char *device, struct err *err);
/* The same on a device that is open already; it is closed with it, also when this fails. */
int exec_open_gpu(struct graph_device **out, struct gpu *gpu, struct err *err);
/* By whose kernels products of a graph that learns are made, of weights whose rows are multiples of 8 and of activations that are bf16.  Said before graph_plan().
 *   EXEC_OWN      Hopper's own (gpu/hopper.h); elsewhere, and of other products, those of EXEC_SIMPLE.  The default
 *   EXEC_SIMPLE   gpu/kern/train_product.c: slow, and the same on all devices
 *   EXEC_VENDOR   cuBLASLt or hipBLASLt (gpu/blaslt.h), with choices as its file of algorithms, or NULL: bits depend on T and on the library.  ERR_NOTFOUND where it is not there
 * With the first and the last weights have a copy in bf16 on the device, which PASS_PREPARE and PASS_UPDATE make. */
enum exec_by { EXEC_OWN, EXEC_SIMPLE, EXEC_VENDOR };
int exec_products(struct graph_device *d, enum exec_by by, const char *choices, struct err *err);
/* "own", "simple", or gpu_blas_name(). */
const char *exec_products_name(const struct graph_device *d);
/* Where its work goes, for who traces launches (gpu/dev.h): each is of the tensor that its operation makes, or of the weight. */
void *exec_stream(struct graph_device *d);
/* The same of n >= 2 devices, at most GPU_PEERS_MAX. */
int exec_open_gpus(struct graph_device **out, struct gpu *const *gpu, int n, struct err *err);
#endif
