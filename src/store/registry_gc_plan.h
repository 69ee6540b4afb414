/* registry_gc_plan.h - which versions keep their bytes, and which lose them for a quota.  Internal to store/. */
#ifndef STORE_REGISTRY_GC_PLAN_H
#define STORE_REGISTRY_GC_PLAN_H
#include "store/registry_gc.h"

struct registry_gc_plan {
    json_t *kept;                        /* { NAME@N: why } */
    json_t *drop;                        /* [{ name, number, root, t, bytes: that only it has }], the oldest first; without a quota empty */
    uint64_t used;                       /* by all blobs that are named afterwards */
};
/* Within a transaction.  Release the two with json_decref. */
int registry_gc_plan(struct registry_gc_plan *out, struct registry *g, const struct registry_gc_opts *o, struct err *err);
#endif
