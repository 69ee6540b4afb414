/* golden.h - tensors of tests/golden; one that is missing fails the test. */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H
#include "../test.h"
#include "model/safetensors.h"

static const struct st_tensor *find(const struct safetensors *st, const char *name)
{
    const struct st_tensor *t = safetensors_find(st, name);
    if (!t)
        fail_msg("no tensor '%s'", name);
    return t;
}

/* NAME.i */
SHARED_BY_TESTS const struct st_tensor *find_of(const struct safetensors *st, const char *name, int i)
{
    char full[40];
    snprintf(full, sizeof full, "%s.%d", name, i);
    return find(st, full);
}
#endif
