/* fuzz_checkpoint.c - signed ends of a journal, which come from elsewhere. */
#include <stdlib.h>
#include "store/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct checkpoint c;
    struct err err;
    if (!checkpoint_parse(&c, (const char *)data, n, &err) && (c.seq < 1 || !blob_id_ok(c.id) || !blob_id_ok(c.hash)))
        abort();
    return 0;
}
