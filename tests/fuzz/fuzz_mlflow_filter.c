/* fuzz_mlflow_filter.c - any text as a filter of MLflow's searches: refused with a message, or comparisons that can be made. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "serve/mlflow_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    static struct mlflow_filter f;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    const int rc = mlflow_filter_parse(&f, text, "name|run_id|version_number", &err);
    if (rc < 0 && (rc != err.code || !*err.msg))
        abort();
    for (int i = 0; !rc && i < f.n; i++) {
        const struct mlflow_test *t = &f.test[i];
        if (t->op >= N_MLFLOW_OP || mlflow_test_is(t, NULL))
            abort();
        if (t->op == MLFLOW_EQ && (!mlflow_test_is(t, t->value)))
            abort();
        if (t->op == MLFLOW_NE && mlflow_test_is(t, t->value))
            abort();
        (void)mlflow_test_is(t, text);
    }
    free(text);
    return 0;
}
