#include "data/loader.h"
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"

/* ---- records into windows ---- */

static int seqs_of_unit(const struct shard *s) { return s->kind == SHARD_PAIRS ? 2 : 1; }

/* Places of unit u in a window. */
static int64_t places(const struct shard *s, int64_t u)
{
    const int per = seqs_of_unit(s);
    return (int64_t)(s->start[(u + 1) * per] - s->start[u * per]) - per;
}

/* Units longest first, those of a length in the shard's order: a counting sort. */
static int sort_by_length(struct loader *l, struct err *err)
{
    uint32_t *at = mem_alloc_array((size_t)l->ctx + 2, sizeof *at);
    if (!at)
        return ERR(err, NOMEM, "no memory to sort %lld records", (long long)l->n_unit);
    for (int64_t u = 0; u < l->n_unit; u++)
        at[l->ctx - places(l->shard, u) + 1]++;
    for (int i = 0; i <= l->ctx; i++)
        at[i + 1] += at[i];
    for (int64_t u = 0; u < l->n_unit; u++)
        l->by_length[at[l->ctx - places(l->shard, u)]++] = (uint32_t)u;
    mem_free(at);
    return 0;
}

/* Best fit, longest first: a unit goes into the window with the least room that is enough, the one opened last among equals.
 * window[k] is that of the k-th longest.  head[r]: the last window with room r; has: bit r is set where there is one. */
static int64_t best_fit(const struct loader *l, bool pack, uint32_t *window, uint32_t *head, uint32_t *next, uint64_t *has)
{
    int64_t n_window = 0;
    for (int64_t k = 0; k < l->n_unit; k++) {
        const int n = (int)places(l->shard, l->by_length[k]);
        int word = n / 64;
        uint64_t bits = pack ? has[word] & ~(uint64_t)0 << (n % 64) : 0;
        while (pack && !bits && ++word <= l->ctx / 64)
            bits = has[word];
        int room = l->ctx;
        if (bits) {
            room = word * 64 + __builtin_ctzll(bits);
            window[k] = head[room] - 1;
            if (!(head[room] = next[window[k]]))
                has[word] &= ~((uint64_t)1 << (room % 64));
        } else {
            window[k] = (uint32_t)n_window++;
        }
        room -= n;
        next[window[k]] = head[room];
        head[room] = window[k] + 1;
        has[room / 64] |= (uint64_t)1 << (room % 64);
    }
    return n_window;
}

static void slots_by_window(struct loader *l, const uint32_t *window)
{
    for (int64_t k = 0; k < l->n_unit; k++)
        l->first[window[k] + 1]++;
    for (int64_t w = 0; w < l->n_window; w++)
        l->first[w + 1] += l->first[w];
    for (int64_t k = l->n_unit; k-- > 0;)
        l->slot[--l->first[window[k] + 1]] = (uint32_t)k;
    memmove(l->first, l->first + 1, (size_t)l->n_window * sizeof *l->first);
    l->first[l->n_window] = (uint32_t)l->n_unit;
}

static int pack_units(struct loader *l, bool pack, struct err *err)
{
    const struct shard *s = l->shard;
    const size_t n = (size_t)l->n_unit;
    double keys = 0;
    for (int64_t u = 0; u < l->n_unit; u++)
        if (places(s, u) > l->ctx)
            return ERR(err, USAGE, "record %lld takes %lld places, expected at most a window of %d", (long long)u + 1, (long long)places(s, u), l->ctx);
    for (int64_t i = 0; i < s->n_seq; i++) {
        const double m = (double)(s->start[i + 1] - s->start[i]) - 1;
        l->n_place += (int64_t)m, keys += m * (m + 1) / 2;
    }
    l->n_key = keys / (double)(l->n_place ? l->n_place : 1);
    l->by_length = mem_alloc_array(n, sizeof *l->by_length), l->slot = mem_alloc_array(n, sizeof *l->slot), l->first = mem_alloc_array(n + 2, sizeof *l->first);
    uint32_t *window = mem_alloc_array(n, sizeof *window), *next = mem_alloc_array(n, sizeof *next), *head = mem_alloc_array((size_t)l->ctx + 1, sizeof *head);
    uint64_t *has = mem_alloc_array((size_t)l->ctx / 64 + 1, sizeof *has);
    int rc = l->by_length && l->slot && l->first && window && next && head && has ? sort_by_length(l, err) : ERR(err, NOMEM, "no memory to pack %zu records", n);
    if (!rc) {
        l->n_window = best_fit(l, pack, window, head, next, has);
        slots_by_window(l, window);
    }
    mem_free(window);
    mem_free(next);
    mem_free(head);
    mem_free(has);
    return rc;
}

static int begin(struct loader *l, const struct shard *s, int batch, int ctx, uint64_t seed, bool pack, struct err *err)
{
    *l = (struct loader){ .shard = s, .batch = batch, .ctx = ctx, .seed = rng_key(seed, "data order") };
    if (s->kind == SHARD_TEXT || s->kind == SHARD_STREAM) {
        l->n_window = s->n ? (s->n - 1) / ctx : 0;
        l->n_place = l->n_window * ctx, l->n_key = ((double)ctx + 1) / 2;
        return 0;
    }
    l->n_unit = s->n_seq / seqs_of_unit(s);
    if (l->n_unit >= UINT32_MAX)
        return ERR(err, RANGE, "%lld records, expected fewer than %u", (long long)l->n_unit, UINT32_MAX);
    const int rc = pack_units(l, pack, err);
    if (rc)
        loader_release(l);
    return rc;
}

int loader_init(struct loader *l, const struct shard *s, int batch, int ctx, uint64_t seed, bool pack, struct err *err)
{
    TRY(begin(l, s, batch, ctx, seed, pack, err));
    if (l->n_window < 1 && l->by_length)
        return ERR(err, USAGE, "there is no record to learn from");
    if (l->n_window < 1)
        return ERR(err, USAGE, "the text has %lld tokens, expected at least one context and a target: %d", (long long)s->n, ctx + 1);
    if (l->n_window > 1 && !l->n_unit) {
        l->n_window--;                       /* room for the offset */
        l->n_place = l->n_window * ctx;
    }
    return 0;
}

int loader_init_pass(struct loader *l, const struct shard *s, int batch, int ctx, bool pack, struct err *err)
{
    return begin(l, s, batch, ctx, 0, pack, err);
}

void loader_release(struct loader *l)
{
    mem_free(l->by_length);
    mem_free(l->slot);
    mem_free(l->first);
    *l = (struct loader){ 0 };
}

/* ---- which window is a sample, which unit is in a slot ---- */

static uint64_t epoch_key(const struct loader *l, uint64_t epoch) { return rng_u64(l->seed, epoch); }

/* First k from `from` on whose unit has fewer than n places (n_unit where there is none). */
static int64_t first_shorter(const struct loader *l, int64_t from, int64_t n)
{
    int64_t low = from, high = l->n_unit;
    while (low < high) {
        const int64_t mid = low + (high - low) / 2;
        if (places(l->shard, l->by_length[mid]) < n)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* The unit that stands in slot k: one of its length, each once in an epoch. */
static int64_t unit_in(const struct loader *l, uint64_t key, int64_t k)
{
    const int64_t n = places(l->shard, l->by_length[k]), a = first_shorter(l, 0, n + 1), b = first_shorter(l, k, n);
    const uint64_t i = rng_permute(rng_u64(key, (uint64_t)n + 1), (uint64_t)(k - a), (uint64_t)(b - a));
    return l->by_length[a + (int64_t)i];
}

static int64_t window_of(const struct loader *l, uint64_t sample, uint64_t *key)
{
    const uint64_t n = (uint64_t)l->n_window;
    *key = epoch_key(l, sample / n);
    return (int64_t)rng_permute(*key, sample % n, n);
}

int64_t loader_offset(const struct loader *l, uint64_t sample)
{
    const struct shard *s = l->shard;
    uint64_t key;
    const int64_t w = window_of(l, sample, &key);
    if (l->n_unit)
        return (int64_t)s->start[unit_in(l, key, l->slot[l->first[w]]) * seqs_of_unit(s)];
    const uint64_t room = (uint64_t)(s->n - 1 - l->n_window * l->ctx);
    const uint64_t shift = rng_below(key, 0, room < (uint64_t)l->ctx ? room + 1 : (uint64_t)l->ctx);
    return (int64_t)shift + w * l->ctx;
}

/* ---- filling a batch ---- */

static void clear(struct batch *out) { out->n = out->n_seq = 0; }

static void end(struct batch *out) { out->seq_start[out->n_seq] = out->n; }

static void add_token(const struct shard *s, int64_t at, bool begins, struct batch *out)
{
    const int k = out->n++;
    if (begins)
        out->seq_start[out->n_seq++] = k;
    out->ids[k] = shard_id(s, at);
    out->pos[k] = begins ? 0 : out->pos[k - 1] + 1;
    out->target[k] = at + 1 < s->n && shard_learns(s, at + 1) ? shard_id(s, at + 1) : -1;
}

/* The first sequence that begins at or behind id `at`. */
static int64_t first_sequence(const struct shard *s, int64_t at)
{
    int64_t low = 0, high = s->n_seq;
    while (low < high) {
        const int64_t mid = low + (high - low) / 2;
        if ((int64_t)s->start[mid] < at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* n tokens of a text from `at` on, cut where documents begin. */
static void add_text(const struct shard *s, int64_t at, int64_t n, struct batch *out)
{
    int64_t seq = s->start ? first_sequence(s, at) : 0;
    for (int64_t i = 0; i < n; i++) {
        bool begins = i == 0 || (!s->start && shard_id(s, at + i) == s->eot);
        if (s->start && seq < s->n_seq && (int64_t)s->start[seq] == at + i)
            begins = true, seq++;
        add_token(s, at + i, begins, out);
    }
}

static void add_unit(const struct shard *s, int64_t u, struct batch *out)
{
    const int per = seqs_of_unit(s);
    for (int64_t seq = u * per; seq < (u + 1) * per; seq++)
        for (uint64_t i = s->start[seq]; i + 1 < s->start[seq + 1]; i++)
            add_token(s, (int64_t)i, i == s->start[seq], out);
}

void loader_batch(const struct loader *l, uint64_t step, struct batch *out)
{
    clear(out);
    for (int row = 0; row < l->batch; row++) {
        const uint64_t sample = step * (uint64_t)l->batch + (uint64_t)row;
        if (!l->n_unit) {
            add_text(l->shard, loader_offset(l, sample), l->ctx, out);
            continue;
        }
        uint64_t key;
        const int64_t w = window_of(l, sample, &key);
        for (uint32_t i = l->first[w]; i < l->first[w + 1]; i++)
            add_unit(l->shard, unit_in(l, key, l->slot[i]), out);
    }
    end(out);
}

bool loader_pass(const struct loader *l, int64_t i, int64_t limit, struct batch *out)
{
    const int64_t per = (int64_t)l->batch * l->ctx, n = limit < l->shard->n - 1 ? limit : l->shard->n - 1;
    clear(out);
    for (int64_t at = i * per; !l->n_unit && at < (i + 1) * per && at < n; at += l->ctx)
        add_text(l->shard, at, n - at < l->ctx ? n - at : l->ctx, out);
    for (int64_t w = i * l->batch; l->n_unit && w < (i + 1) * l->batch && w < l->n_window && w * l->ctx < limit; w++)
        for (uint32_t k = l->first[w]; k < l->first[w + 1]; k++)
            add_unit(l->shard, l->by_length[l->slot[k]], out);
    end(out);
    return out->n > 0;
}

/* ---- records ---- */

int64_t loader_n_record(const struct loader *l)
{
    const int64_t n = l->shard->n;
    return l->n_unit ? l->n_unit : n > 1 ? (n - 2) / l->ctx + 1 : 0;
}

int loader_record_tokens(const struct loader *l, int64_t i)
{
    const int64_t left = l->shard->n - i * l->ctx;
    return (int)(l->n_unit ? places(l->shard, i) : left < l->ctx ? left : l->ctx);
}

void loader_records(const struct loader *l, const int64_t *which, int n, struct batch *out)
{
    clear(out);
    for (int k = 0; k < n; k++) {
        if (l->n_unit) {
            add_unit(l->shard, which[k], out);
            continue;
        }
        add_text(l->shard, which[k] * l->ctx, loader_record_tokens(l, which[k]), out);
        out->target[out->n - 1] = -1;
    }
    end(out);
}
