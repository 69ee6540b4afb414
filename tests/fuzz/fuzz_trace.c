/* fuzz_trace.c - any bytes as a trace of requests: refused with a message, or rows sorted by time with tokens in each. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "load/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = malloc(n + 1);          /* as a file is read: a NUL behind it */
    struct trace_row *row = NULL;
    struct err err = { 0 };
    int n_row = 0;
    if (!text)
        return 0;
    memcpy(text, data, n);
    text[n] = 0;
    const int rc = trace_parse(text, n, "t", &row, &n_row, &err);
    if (rc < 0 && (rc != err.code || !*err.msg || row))
        abort();
    for (int i = 0; rc >= 0 && i < n_row; i++)
        if (!(row[i].at >= (i ? row[i - 1].at : 0)) || row[i].input < 1 || row[i].output < 1)
            abort();
    if (rc >= 0 && (n_row < 1 || row[0].at > 0))
        abort();
    mem_free(row);
    free(text);
    return 0;
}
