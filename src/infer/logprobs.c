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

/* ---- reading ---- */

static const char magic[8] = "_logits_";
static const size_t head_bytes = sizeof magic + 3 * sizeof(int32_t);

int logprobs_is(const char *path, bool *yes, struct err *err)
{
    struct file_map m;
    *yes = false;
    if (file_is_dir(path))
        return 0;
    TRY(file_map_open(&m, path, err));
    *yes = m.size >= sizeof magic && !memcmp(m.data, magic, sizeof magic);
    file_map_close(&m);
    return 0;
}

static int64_t scored(int ctx) { return ctx - 1 - ctx / 2; }

/* Sizes of the header, so small that no product of them overflows, and exactly the file's. */
static int check_sizes(struct logprobs_reader *r, struct err *err)
{
    if (r->ctx < 3 || r->ctx > 1 << 24 || r->V < 1 || r->V > 1 << 24 || r->n_window < 1 || (int64_t)r->n_window * r->ctx > INT32_MAX)
        return ERR(err, FORMAT, "%s: %d windows of %d tokens over a vocabulary of %d, expected at least one window of 3 tokens, and fewer than 2^31 tokens", r->path, r->n_window,
                   r->ctx, r->V);
    const uint64_t ids = (uint64_t)r->n_window * (uint64_t)r->ctx * sizeof *r->ids;
    const uint64_t rows = (uint64_t)r->n_window * (uint64_t)scored(r->ctx), want = head_bytes + ids + rows * row_size(r->V) * sizeof(uint16_t);
    if (r->map.size != want)
        return ERR(err, FORMAT, "%s: %zu bytes, expected %llu for %d windows of %d tokens over a vocabulary of %d", r->path, r->map.size, (unsigned long long)want, r->n_window,
                   r->ctx, r->V);
    return 0;
}

static int read_head(struct logprobs_reader *r, struct err *err)
{
    int32_t head[3];
    if (r->map.size < head_bytes || memcmp(r->map.data, magic, sizeof magic))
        return ERR(err, FORMAT, "%s: expected a file of predictions, which begins with _logits_", r->path);
    memcpy(head, r->map.data + sizeof magic, sizeof head);
    r->ctx = head[0], r->V = head[1], r->n_window = head[2];
    TRY(check_sizes(r, err));
    const size_t n = (size_t)r->n_window * (size_t)r->ctx;
    r->ids = mem_alloc_array(n, sizeof *r->ids);
    if (!r->ids)
        return ERR(err, NOMEM, "no memory for %zu tokens of %s", n, r->path);
    memcpy(r->ids, r->map.data + head_bytes, n * sizeof *r->ids);
    for (size_t i = 0; i < n; i++)
        if (r->ids[i] < 0 || r->ids[i] >= r->V)
            return ERR(err, FORMAT, "%s: token %zu is %d, expected 0 to %d", r->path, i, r->ids[i], r->V - 1);
    r->at = head_bytes + n * sizeof *r->ids;
    r->n_left = r->n_window * scored(r->ctx);
    return 0;
}

int logprobs_open(struct logprobs_reader *r, const char *path, struct err *err)
{
    *r = (struct logprobs_reader){ .path = path };
    TRY(file_map_open(&r->map, path, err));
    const int rc = read_head(r, err);
    if (rc)
        logprobs_close(r);
    return rc;
}

int logprobs_read(struct logprobs_reader *r, int n, float *out, struct err *err)
{
    if (n > r->n_left)
        return ERR(err, RANGE, "%d rows of %s, expected at most the %lld that are left", n, r->path, (long long)r->n_left);
    for (int i = 0; i < n; i++, out += r->V, r->at += row_size(r->V) * sizeof(uint16_t), r->n_left--) {
        const char *row = r->map.data + r->at;
        float head[2];
        memcpy(head, row, sizeof head);
        if (!isfinite(head[0]) || !isfinite(head[1]) || head[0] < 0 || head[1] > 1 || head[1] + 65535 * head[0] > 1)
            return ERR(err, FORMAT, "%s: byte %zu: log-probabilities from %g in steps of %g, expected none above 0", r->path, r->at, (double)head[1], (double)head[0]);
        for (int j = 0; j < r->V; j++) {
            uint16_t q;
            memcpy(&q, row + sizeof head + (size_t)j * sizeof q, sizeof q);
            out[j] = head[1] + head[0] * (float)q;
        }
    }
    return 0;
}

void logprobs_close(struct logprobs_reader *r)
{
    mem_free(r->ids);
    if (r->map.data)
        file_map_close(&r->map);
    *r = (struct logprobs_reader){ 0 };
}
