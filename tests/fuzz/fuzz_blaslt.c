/* fuzz_blaslt.c - any bytes as a file of chosen algorithms, the right hash put behind them: choices out of range or out of order are a bug. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "gpu/blaslt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gpu_blas_choice *c;
    struct err err;
    int n;
    char *text = malloc(size + 32);
    if (!text || size > 1 << 20) {
        free(text);
        return 0;
    }
    memcpy(text, data, size);
    const int n_last = snprintf(text + size, 32, "end %016llx\n", (unsigned long long)hash64(text, size, 0));
    char *exact = realloc(text, size + (size_t)n_last);
    if (exact && gpu_blas_read_choices(exact, size + (size_t)n_last, "me", &c, &n, &err) == 0)
        for (int i = 0; i < n; i++)
            if (c[i].M < 1 || c[i].N < 1 || c[i].K < 1 || c[i].form < 0 || c[i].form >= GPU_BLAS_FORMS || c[i].ld_a < 0 || (i && c[i].M < c[i - 1].M))
                abort();
    mem_free(exact ? c : NULL);
    free(exact);
    return 0;
}
