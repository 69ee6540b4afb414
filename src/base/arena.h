/* arena.h - memory with one lifetime: taken in pieces, given back at once.
 *
 * An arena is a fixed block; it never grows, so what a plan promised is what is used.  Not for several threads at once. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H
#include <stddef.h>
#include "base/err.h"

#define ARENA_ALIGN 64    /* a cache line and a zmm register */

struct arena { char *base; size_t size, used, peak; };
struct arena_mark { size_t used; };

int arena_init(struct arena *a, size_t size, struct err *err);     /* takes mem_map(size) */
void arena_release(struct arena *a);
void *arena_alloc(struct arena *a, size_t n);                      /* 64-byte aligned, not zeroed; NULL when full */
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark mark);
/* What arena_alloc(n) adds to used. */
static inline size_t arena_round(size_t n) { return (n + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN; }
#endif
