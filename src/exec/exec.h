/* exec.h - a graph on a GPU: the same list of operations that the host runs, planned by the same graph_plan().
 *
 *   struct graph_device *d;  exec_open(&d, "hip:0", err);  g->device = d;  then as nn/device.h says
 *
 * One block of device memory holds everything: weights in the device's form (gpu/pack.h), each kind of tensor where graph_plan() put it, working
 * memory, and what goes up for a step (inputs, positions, tables of pages, rows of an embedding that lies in a file).  It is taken once; what
 * does not fit, or cannot be done, is refused before a weight is read.  Activations are floats; products of quantised weights make int8 of them, as
 * the host does.  An operation is a row in exec.c and a struct exec_op (exec_op.h).
 *
 * Bits: a token's numbers depend on nothing but its sequence up to it, as on the host: products take rows eight at a time by kernels that give
 * a row the same bits whatever their number, and attention takes prompts and single tokens by the same kernels. */
#ifndef EXEC_EXEC_H
#define EXEC_EXEC_H
#include "nn/device.h"

struct gpu;
/* device: "hip:N" or "cuda:N"; kernels that failed their self test there (gpu/verdict.h) are not used, and that is said aloud.  Freed by (*out)->free(). */
int exec_open(struct graph_device **out, const char *device, struct err *err);
/* The same on a device that is open already; it is closed with it, also when this fails. */
int exec_open_gpu(struct graph_device **out, struct gpu *gpu, struct err *err);
/* Where its work goes, for who traces launches (gpu/dev.h): each is of the tensor that its operation makes, or of the weight. */
void *exec_stream(struct graph_device *d);
#endif
