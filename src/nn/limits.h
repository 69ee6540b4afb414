/* limits.h - what this machine can do, measured, and how long a graph should take on it.
 *
 * Measured once by `lathe bench --limits` (or by the first command that needs it) and kept in a file of the user's cache
 * folder ($XDG_CACHE_HOME or ~/.cache, lathe/limits.json), one record for a CPU model, level and number of threads.  Every
 * share of peak and every expected time in the program is computed from these and from nn/ops.def. */
#ifndef NN_LIMITS_H
#define NN_LIMITS_H
#include "base/pool.h"
#include "nn/graph.h"

struct limits {
    char cpu[80], level[16];
    int n_thread;
    double f32, bf16, int8;          /* operations a second, all threads; bf16: of the products of this level */
    double read, read_cache;         /* bytes a second: from memory; from the second-level cache */
    double cache_bytes;              /* second-level cache of all threads */
};

/* About a second. */
int limits_measure(struct limits *l, struct pool *pool, struct err *err);
/* The same in about 0.1 s, to hold a time against what the machine gave beside it.  The room is what is read meanwhile: taken once for
 * any number of samples. */
struct limits_room { char *block; };
int limits_room_take(struct limits_room *room, struct err *err);
void limits_room_release(struct limits_room *room);
int limits_sample(struct limits *l, const struct limits_room *room, struct pool *pool, struct err *err);
int limits_save(const struct limits *l, struct err *err);
/* ERR_NOTFOUND when there is none for this CPU, level and number of threads. */
int limits_load(struct limits *l, int n_thread, struct err *err);
/* Loads, or measures and saves (a failure to save is passed over: the next run measures again).  What is loaded is held against 0.02 s of the machine: limits that
 * were measured while others had it are measured anew. */
int limits_get(struct limits *l, struct pool *pool, struct err *err);

/* Seconds that the passes of the mask should take at T tokens, S sequences and L keys a query on average: for each node the
 * larger of its operations at peak and its bytes at the bandwidth of the level of memory that holds them. */
double limits_seconds(const struct limits *l, const struct graph *g, unsigned passes, double T, double S, double L, const struct op_info *table);
/* Operations of all kinds, and the peak that products of this graph are held against. */
double limits_flops(const struct graph *g, unsigned passes, double T, double S, double L, const struct op_info *table);
double limits_peak(const struct limits *l, enum dtype compute);

#endif
