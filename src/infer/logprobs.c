#include "infer/logprobs.h"
#include <assert.h>
#include <math.h>
#include <string.h>
#include "base/mem.h"

#define RANGE 16.0f            /* nats below the likeliest token that are told apart */
#define HEAD 4                 /* u16 that scale and lowest take */

static size_t row_size(int V) { return HEAD + ((size_t)V + 1) / 2 * 2; }

int logprobs_begin(struct logprobs *l, const char *path, int ctx, int V, const int32_t *ids, int windows, struct err *err)
{
    *l = (struct logprobs){ .V = V, .row = mem_alloc_array(row_size(V), sizeof *l->row) };
    if (!l->row)
        return ERR(err, NOMEM, "no memory for the logits of a vocabulary of %d", V);
    int rc = file_writer_open(&l->file, path, err);
    if (!rc) {
        const int32_t head[3] = { ctx, V, windows };
        rc = file_writer_add(&l->file, "_logits_", 8, err);
        rc = rc ? rc : file_writer_add(&l->file, head, sizeof head, err);
        rc = rc ? rc : file_writer_add(&l->file, ids, (size_t)windows * (size_t)ctx * sizeof *ids, err);
        if (!rc)
            return 0;
        file_writer_abort(&l->file);
    }
    mem_free(l->row);
    *l = (struct logprobs){ 0 };
    return rc;
}

static void row_of(const float *x, int V, uint16_t *to)
{
    float high = x[0], low = x[0];
    double sum = 0;
    for (int i = 1; i < V; i++)
        high = fmaxf(high, x[i]), low = fminf(low, x[i]);
    low = fmaxf(low, high - RANGE);
    for (int i = 0; i < V; i++)
        sum += exp((double)(x[i] - high));
    const float head[2] = { (high - low) / 65535, low - high - (float)log(sum) };
    memcpy(to, head, sizeof head);
    const float inverse = high > low ? 65535 / (high - low) : 0;
    for (int i = 0; i < V; i++)
        to[HEAD + i] = x[i] > low ? (uint16_t)lrintf((x[i] - low) * inverse) : 0;
}

int logprobs_add(void *ctx, const float *logits, int n, int V, struct err *err)
{
    struct logprobs *l = ctx;
    assert(V == l->V);
    for (int i = 0; i < n; i++) {
        row_of(logits + (ptrdiff_t)i * V, V, l->row);
        TRY(file_writer_add(&l->file, l->row, row_size(V) * sizeof *l->row, err));
    }
    return 0;
}

static void release(struct logprobs *l)
{
    mem_free(l->row);
    *l = (struct logprobs){ 0 };
}

int logprobs_commit(struct logprobs *l, struct err *err)
{
    const int rc = file_writer_commit(&l->file, err);
    release(l);
    return rc;
}

void logprobs_abort(struct logprobs *l)
{
    if (l->row)
        file_writer_abort(&l->file);
    release(l);
}
