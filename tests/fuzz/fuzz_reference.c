/* fuzz_reference.c - any bytes as the file of a reference: refused with a message, or one that a monitor can watch by and that is written as it was read. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "watch/monitor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void watch(const struct reference *r)
{
    struct err err = { 0 };
    struct monitor *m;
    struct watch_value v[8];
    static float vector[WATCH_DIM];
    const int n = reference_count(r);
    if (n > 8 || monitor_new(&m, r, NULL, &err) < 0)
        return;
    for (int i = 0; i < n; i++)
        v[i] = reference_kind(r, i) == WATCH_NUMBER ? WATCH_OF_NUMBER(1) : reference_kind(r, i) == WATCH_CATEGORY ? WATCH_OF_TEXT("a", 1) : WATCH_OF_VECTOR(vector);
    for (int i = 0; i < 40; i++)
        if (monitor_add(m, v, &err) < 0)
            abort();
    monitor_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    json_t *o, *out;
    struct reference *r;
    if (tree_parse_json(&o, (const char *)data, size, "input", &err) < 0)
        return 0;
    const int rc = reference_from_json(&r, o, "input", &err);
    json_decref(o);
    if (rc < 0) {
        if (rc != err.code || !*err.msg || r)
            abort();
        return 0;
    }
    watch(r);
    struct reference *again;
    if (reference_to_json(&out, r, &err) < 0 || reference_from_json(&again, out, "own", &err) < 0)
        abort();
    json_decref(out);
    reference_free(r), reference_free(again);
    return 0;
}
