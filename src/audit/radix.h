/* radix.h - sorts many numbers with what belongs to each, by all threads: stable, so that the order depends on nothing but the input. */
#ifndef AUDIT_RADIX_H
#define AUDIT_RADIX_H
#include <stddef.h>
#include <stdint.h>
#include "base/pool.h"

struct radix_item { uint64_t key; uint32_t at; };

/* a by key, items of equal keys as they stood; tmp: as many.  Nothing is allocated. */
void radix_sort(struct radix_item *a, struct radix_item *tmp, size_t n, struct pool *pool);

#endif
