/* device.h - accelerators and processors as the plan sees them: one row of plan/devices.def each, of data sheets, measurements and prices.
 *
 * What a data sheet says (peaks, memory, bandwidth, links) and what is reached of it (mma, reach, launch, tile, ridge: plan/product.h; link_share,
 * link_latency, reduce_share, link_peers: plan/collective.h; kernel) are kept apart: time is made from both, a roofline from the first alone.
 * `fitted` says from which measurements the second are, or whose they are where the device was not measured; `from_memory` names the fields that have
 * no source that was looked up.
 *
 * SI units: seconds, bytes, operations.  A multiplication and an addition are two operations.  Peaks are dense ones, never those with half the
 * operands zero.  Memory is what its driver reports, or what the sheet says in GiB, as chips are made (an H100 of "80 GB": 81,559 MiB).  The table
 * is constant: any thread, nothing to free. */
#ifndef PLAN_DEVICE_H
#define PLAN_DEVICE_H
#include "base/err.h"
#include "plan/product.h"

/* What the operands of a product are; fp16 counts as bf16. */
enum number { NUMBER_F32, NUMBER_BF16, NUMBER_FP8, NUMBER_INT8, NUMBER_FP4, N_NUMBER };
const char *number_name(enum number);        /* "f32", "bf16", "fp8", "int8", "fp4" */
double number_bytes(enum number);            /* of an element, without scales: 4, 2, 1, 1, 0.5 */
double number_bits(enum number);             /* of one in memory with its scales: fp8 by blocks of 128 x 128, int8 by rows, fp4 by blocks of 32 (MXFP4) */

struct device {
    const char *name, *key, *aliases;        /* "H100 SXM", "h100", other names with | between */
    const char *vendor, *target;             /* "NVIDIA", "sm_90a" */
    const char *kind;                        /* gpu, apu (memory shared with cores), cpu (a socket), edge-gpu, edge-apu, edge-cpu */
    double peak[N_NUMBER];                   /* operations a second, dense; 0: cannot, or not known (device_peak() falls back) */
    double memory, bandwidth;                /* bytes; bytes a second */
    int units;                               /* multiprocessors, compute units or cores; 0: not known */
    double link, link_pair;                  /* bytes a second per direction of one device: to all of its node together; to one other, by a pair's best path */
    int node;                                /* devices of a node that its links join; 0: none */
    double network;                          /* bytes a second per direction of one device to other nodes: its own network card */
    double watts, price_low, price, price_high;      /* of one device; US dollars an hour; 0: not known */
    const char *price_date;
    double mma, reach, launch, tile, ridge;          /* of products and of long reads; mma: of bf16 */
    double kernel;                                   /* seconds of a kernel that passes over a few rows, one of many in a graph: norms, activations */
    double mma_of[N_NUMBER];                         /* of other operands, their quantisation included; 0: as mma */
    double link_share, link_latency;                 /* of collectives: share of the link that long messages reach; seconds of a step */
    double reduce_share;                             /* the same while the links' switch adds (NVLink SHARP); 0: it cannot */
    double link_peers;                               /* others whose signals are seen in the time of a step: many by a switch or a mesh, one through a host */
    const char *fitted, *source, *from_memory, *notes;      /* NULL: nothing to say */
    int dies, domains;                       /* devices that a partition mode makes of it at most (XCDs), domains of memory at most (NPS); 0: has no modes */
    char mode[16];                           /* "CPX/NPS4" of what device_mode() made, else "" */
    char learnt[480];                        /* where figures that stand in for the fitted ones are from (plan/learnt.h), else "" */
};

/* Where its constants are from, in words: what was learnt of it first. */
#define DEVICE_SURE 1200
const char *device_sure(char out[DEVICE_SURE], const struct device *d);

int device_n(void);
const struct device *device_at(int i);       /* in the order of the table */
/* By name, key or alias: case, blanks, dashes and the vendor before it do not count.  NULL and ERR_NOTFOUND with the nearest names. */
const struct device *device_find(const char *name, struct err *err);
/* device_find() with a mode behind a colon, of AMD's partitions: "mi300x:cpx", "mi300x:cpx/nps4".  SPX, DPX, TPX, QPX, CPX make 1, 2, 3, 4, all
 * dies devices of one package, each with its share of everything and of the price; NPS1, NPS2, NPS4 divide its memory: no more domains than devices,
 * NPS4 with CPX only.  Without a colon *out is the row itself.  ERR_NOTFOUND, or ERR_USAGE for a mode that the device does not have (which it has). */
int device_mode(struct device *out, const char *name, struct err *err);

/* What the device multiplies for such operands.  Where it has no unit for them they are widened to the next wider ones that it has: fp4 fp8 bf16 f32, int8
 * bf16 f32. */
enum number device_multiplied(const struct device *d, enum number what);
/* Operations a second of these.  Never 0. */
double device_peak(const struct device *d, enum number what);
/* For product_seconds(.., number_bytes(what)): operands are read as what they are and multiplied at device_peak(). */
struct product_device device_product(const struct device *d, enum number what);

#endif
