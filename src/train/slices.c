#include "train/slices.h"
#include <assert.h>
#include "base/mem.h"

#define BLOCK 16384                              /* floats that a thread adds at a time */

int64_t slices_default(int64_t n, int64_t most)
{
    int64_t v = 1;
    while (2 * v <= most && n % (2 * v) == 0)
        v *= 2;
    return v;
}

int64_t slices_micro(int64_t batch, int64_t windows_of_slice)
{
    int64_t a = batch, b = windows_of_slice;
    while (b) {
        const int64_t rest = a % b;
        a = b, b = rest;
    }
    return a;
}

int slices_joined(int64_t batch, int64_t windows_of_slice, int64_t n)
{
    int joined = 1;
    while (2 * joined <= GRAPH_SLICES_MAX && n % (2 * joined) == 0 && 2 * joined * windows_of_slice <= batch)
        joined *= 2;
    return joined;
}

static int level_of(int64_t n)
{
    int level = 0;
    while (((int64_t)1 << level) < n)
        level++;
    return level;
}

/* Buffers lie whole pages apart, as the kernel gives them. */
static size_t stride_of(const struct graph *g) { return mem_map_size(g->plan.bytes[TENSOR_GRAD]); }

size_t slice_sums_bytes(const struct graph *g, int64_t n)
{
    const size_t bytes = (size_t)level_of(n) * stride_of(g);
    return bytes ? mem_map_size(bytes) : 0;
}

int slice_sums_init(struct slice_sums *s, struct graph *g, int64_t n, struct err *err)
{
    *s = (struct slice_sums){ .g = g, .stride = stride_of(g), .n_level = level_of(n) };
    assert(n >= 1 && n == (int64_t)1 << s->n_level && s->n_level < SLICES_LEVELS_MAX);
    for (int i = 0; i < SLICES_LEVELS_MAX; i++)
        s->held[i] = -1;
    if (s->n_level && s->stride && !(s->block = mem_map((size_t)s->n_level * s->stride)))
        return ERR(err, NOMEM, "no memory for the gradients of %lld slices", (long long)n);
    return 0;
}

void slice_sums_release(struct slice_sums *s)
{
    mem_unmap(s->block, (size_t)s->n_level * s->stride);
    s->block = NULL;
}

static char *buffer(const struct slice_sums *s, int i) { return i ? s->block + (size_t)(i - 1) * s->stride : s->g->block[TENSOR_GRAD]; }

/* The lowest buffer that holds no sum. */
static int free_buffer(const struct slice_sums *s)
{
    for (int i = 0;; i++) {
        bool taken = false;
        for (int level = 0; level <= s->n_level; level++)
            taken = taken || s->held[level] == i;
        if (!taken)
            return i;
    }
}

char *slice_sums_begin(struct slice_sums *s)
{
    if (s->held[s->n_level] >= 0)                /* all of the step before */
        s->held[s->n_level] = -1;
    char *to = buffer(s, free_buffer(s));
    graph_set_grads(s->g, to);
    return to;
}

struct add_job { real *a; const real *b; size_t n; const struct cpu_kernels *k; };

static void add_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct add_job *j = ctx;
    const size_t at = (size_t)i * BLOCK, n = j->n - at < BLOCK ? j->n - at : BLOCK;
    j->k->add(n, j->a + at, j->b + at, j->a + at);
}

static void add_part(const struct slice_sums *s, int to, int from, size_t at, size_t bytes)
{
    struct add_job j = { (real *)(void *)(buffer(s, to) + at), (const real *)(const void *)(buffer(s, from) + at), bytes / sizeof(real), s->g->k };
    pool_for(s->g->pool, (int)((j.n + BLOCK - 1) / BLOCK), add_block, &j);
}

void slice_sums_part(struct slice_sums *s, size_t from, size_t to)
{
    int now = free_buffer(s);
    for (int level = 0; level < s->n_level; level++) {
        assert(s->held[level] >= 0);
        add_part(s, s->held[level], now, from, to - from);
        now = s->held[level];
    }
    s->in_parts = true;
}

/* The sum goes where the earlier slices lie, so that in the end it is in the graph's own buffer. */
void slice_sums_end(struct slice_sums *s)
{
    int now = free_buffer(s), level = 0;
    for (; s->held[level] >= 0; level++) {
        if (!s->in_parts)
            add_part(s, s->held[level], now, 0, s->g->plan.bytes[TENSOR_GRAD]);
        now = s->held[level];
        s->held[level] = -1;
    }
    s->held[level] = now;
    s->in_parts = false;
    if (level == s->n_level)
        graph_set_grads(s->g, buffer(s, now));
}

void slice_sums_peers(const struct graph *g)
{
    for (int i = 0; i < g->n_tensor; i++) {
        const struct tensor *w = &g->tensor[i];
        if (!w->n_peer || w->grad < 0 || !g->tensor[w->grad].n_peer)
            continue;
        real *first = g->tensor[w->grad].data;
        const size_t n = (size_t)tensor_count(w, 1, 1);
        for (int d = 1; d < w->n_peer; d *= 2)
            for (int p = 0; p + d < w->n_peer; p += 2 * d) {
                struct add_job j = { first + (size_t)p * n, first + (size_t)(p + d) * n, n, g->k };
                pool_for(g->pool, (int)((n + BLOCK - 1) / BLOCK), add_block, &j);
            }
    }
}

void slice_sums_rows(double *rows, int64_t n, int64_t width)
{
    for (int64_t w = 1; w < n; w *= 2)
        for (int64_t i = 0; i + w < n; i += 2 * w)
            for (int64_t k = 0; k < width; k++)
                rows[i * width + k] += rows[(i + w) * width + k];
}
