/* fuzz_plan_history.c - any bytes as a history of predictions: lines that are none are counted, and the errors of the others are numbers. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include "base/mem.h"
#include "plan/history.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct plan_history h;
    struct plan_error *e;
    struct err err;
    int n_error;
    require(!plan_history_parse(&h, (const char *)data, n, &err));
    require((h.n_bad > 0) == (h.bad.code != 0));
    require(!plan_history_errors(&h, &e, &n_error, &err));
    for (int i = 0; i < n_error; i++)
        require(e[i].n > 0 && e[i].median <= e[i].worst && e[i].bias > -1 && !isnan(e[i].p90));
    mem_free(e);
    plan_history_release(&h);
    return 0;
}
