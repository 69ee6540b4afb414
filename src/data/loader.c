#include "data/loader.h"
#include "base/rng.h"

int loader_init(struct loader *l, const struct shard *s, int batch, int ctx, uint64_t seed, struct err *err)
{
    *l = (struct loader){ s, batch, ctx, rng_key(seed, "data order"), (s->n - 1) / ctx };
    if (l->n_window < 1)
        return ERR(err, USAGE, "the text has %lld tokens, expected at least one context and a target: %d", (long long)s->n, ctx + 1);
    if (l->n_window > 1)
        l->n_window--;                       /* room for the offset */
    return 0;
}

int64_t loader_offset(const struct loader *l, uint64_t sample)
{
    const uint64_t n = (uint64_t)l->n_window, epoch = sample / n, key = rng_u64(l->seed, epoch);
    const uint64_t room = (uint64_t)(l->shard->n - 1 - l->n_window * l->ctx);
    const uint64_t shift = rng_below(key, 0, room < (uint64_t)l->ctx ? room + 1 : (uint64_t)l->ctx);
    return (int64_t)(shift + rng_permute(key, sample % n, n) * (uint64_t)l->ctx);
}

void loader_row(const struct shard *s, int64_t at, int n, int ctx, int row, struct batch *out)
{
    if (row == 0)
        out->n_seq = 0;
    for (int i = 0, pos = 0; i < ctx; i++) {
        const int k = row * ctx + i;
        const int32_t id = i < n ? shard_id(s, at + i) : 0;
        if (i == 0 || i == n || (id == s->eot && i < n)) {
            out->seq_start[out->n_seq++] = k;
            pos = 0;
        }
        out->ids[k] = id, out->pos[k] = pos++;
        out->target[k] = i < n && at + i + 1 < s->n ? shard_id(s, at + i + 1) : -1;
    }
    out->seq_start[out->n_seq] = (row + 1) * ctx;
}

void loader_batch(const struct loader *l, uint64_t step, struct batch *out)
{
    for (int row = 0; row < l->batch; row++)
        loader_row(l->shard, loader_offset(l, step * (uint64_t)l->batch + (uint64_t)row), l->ctx, l->ctx, row, out);
}
