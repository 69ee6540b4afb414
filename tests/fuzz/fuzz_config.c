/* fuzz_config.c - any bytes as a config.json: refused, or valid; then what we write reads back as the same bytes, and the
 * list of weights has the parameters that are counted. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "model/config.h"
#include "model/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_list(const struct config *c)
{
    struct err err;
    struct weights_list *l;
    if (weights_list_new(&l, c, &err) < 0)
        abort();
    int64_t sum = 0, total;
    for (int i = 0; i < l->n_weight; i++) {
        const struct weight *w = &l->weight[i];
        sum += w->n;
        const struct weight_part last = weight_part(l, w, w->n_part - 1);
        if ((last.row + last.n_row) * last.n_col != w->n)
            abort();
    }
    config_params(c, &total, NULL);
    if (sum != total)
        abort();
    weights_list_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    struct config c, d;
    struct buf warnings, a, b;
    buf_init(&warnings);
    buf_init(&a);
    buf_init(&b);
    const int rc = config_parse(&c, (const char *)data, size, "input", &warnings, &err);
    if (rc < 0 && (rc != err.code || !*err.msg))
        abort();
    if (!rc) {
        if (config_validate(&c, "input", &err) || config_write(&c, &a, &err) || config_parse(&d, a.data, a.len, "written", NULL, &err) ||
            config_write(&d, &b, &err) || strcmp(a.data, b.data))
            abort();
        check_list(&c);
    }
    buf_release(&warnings);
    buf_release(&a);
    buf_release(&b);
    return 0;
}
