#include "base/arena.h"
#include <assert.h>
#include "base/mem.h"

int arena_init(struct arena *a, size_t size, struct err *err)
{
    *a = (struct arena){ .size = arena_round(size) };
    if (size && !(a->base = mem_map(a->size)))
        return ERR(err, NOMEM, "the system has no %zu bytes of memory", size);
    return 0;
}

void arena_release(struct arena *a)
{
    mem_unmap(a->base, a->size);
    *a = (struct arena){ 0 };
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > a->size - a->used || arena_round(n) > a->size - a->used)
        return NULL;
    void *p = a->base + a->used;
    a->used += arena_round(n);
    a->peak = a->used > a->peak ? a->used : a->peak;
    return p;
}

struct arena_mark arena_mark(const struct arena *a) { return (struct arena_mark){ a->used }; }

void arena_rewind(struct arena *a, struct arena_mark mark)
{
    assert(mark.used <= a->used);
    a->used = mark.used;
}
