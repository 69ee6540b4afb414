/* same_config.h - whether two configurations say the same.  Included by tests. */
#ifndef TESTS_SAME_CONFIG_H
#define TESTS_SAME_CONFIG_H
#include "test.h"
#include "model/config.h"

/* In what is written of them; and, by gcc, which copies structs with what lies between their fields, in every byte. */
SHARED_BY_TESTS bool same_config(const struct config *a, const struct config *b)
{
    struct err err;
    struct buf x, y;
    buf_init(&x);
    buf_init(&y);
    OK(config_write(a, &x, &err));
    OK(config_write(b, &y, &err));
    bool same = x.len == y.len && !memcmp(x.data, y.data, x.len);
#ifndef __clang__
    same &= !memcmp(a, b, sizeof *a);
#endif
    buf_release(&x);
    buf_release(&y);
    return same;
}
#endif
