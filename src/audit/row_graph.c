/* row_graph.c - buffers of runs are first cut into the shards' rows, by any thread each; then shards count them, by any thread each.
 *
 * A shard's table has 16 bits of a row's number above its place + 1 in node[]; where those are equal the node decides, which is needed
 * anyway.  Of the ways that go on from a row the first lies in the node: most rows have one only. */
#include "audit/row_graph.h"
#include <assert.h>
#include <string.h>
#include "audit/pieces.h"
#include "base/mem.h"

#define NODES_OF_SHARD (ROW_NODES_MAX / ROW_SHARDS)
#define TEXT_OF_SHARD ((size_t)256 << 20 >> 6)
#define SLOTS_MIN 1024
#define AHEAD 8                          /* rows between asking for one's slot, finding its node, and counting it */

static_assert(NODES_OF_SHARD < 65536, "a place is 16 bits of a slot");
static_assert(ROW_SHARDS == 64, "a shard is the upper 6 bits of a number");

/* A row of a run: where the run is in its buffer. */
struct row_event { uint64_t key, next; uint32_t run, at, bytes, first; };

/* A buffer's rows, by shard. */
struct row_stage { struct row_event *event; size_t cap; uint32_t until[ROW_SHARDS]; struct err err; };

struct row_shard {
    uint32_t *slot; size_t n_slot;
    struct row_node *node;
    struct row_first *first;
    size_t n;
    struct gram_map ways;                /* but each node's first */
    int64_t *way_last; uint32_t *way_n;
    struct seen *before;
    struct buf text;
    struct err err;
};

/* ---- numbers ---- */

#define TURN 0x9e3779b97f4a7c15u
#define TURN5 (TURN * TURN * TURN * TURN * TURN)

/* Each follows from the one before: the sum of word k times TURN^(4 - k), mixed. */
void row_keys(const uint64_t *word, size_t n, uint64_t *key)
{
    uint64_t h = 0;
    static_assert(ROW_WORDS == 5, "TURN5 takes the first word away");
    for (int k = 0; n && k < ROW_WORDS; k++)
        h = h * TURN + word[k];
    for (size_t i = 0; i < n; i++) {
        const uint64_t x = (h ^ h >> 31) * 0xc4ceb9fe1a85ec53u;
        key[i] = x ? x : 1;
        if (i + 1 < n)
            h = h * TURN - word[i] * TURN5 + word[i + ROW_WORDS];
    }
}

static int shard_of(uint64_t key) { return (int)(key >> 58); }

/* ---- nodes ---- */

static size_t slot_of(const struct row_shard *s, uint64_t key) { return (size_t)key & (s->n_slot - 1); }
static uint32_t tag_of(uint64_t key) { return (uint32_t)key & 0xffff0000u; }

#define NO_NODE UINT32_MAX

static uint32_t find(const struct row_shard *s, uint64_t key)
{
    if (!s->n_slot)
        return NO_NODE;
    for (size_t i = slot_of(s, key); s->slot[i]; i = (i + 1) & (s->n_slot - 1)) {
        const uint32_t k = (s->slot[i] & 0xffff) - 1;
        if (tag_of(s->slot[i] ^ key) == 0 && s->node[k].key == key)
            return k;
    }
    return NO_NODE;
}

static void put_slot(struct row_shard *s, uint64_t key, uint32_t k)
{
    size_t i = slot_of(s, key);
    while (s->slot[i])
        i = (i + 1) & (s->n_slot - 1);
    s->slot[i] = tag_of(key) | (k + 1);
}

static int grow(struct row_shard *s, struct err *err)
{
    const size_t n_slot = s->n_slot ? 2 * s->n_slot : SLOTS_MIN;
    uint32_t *slot = mem_alloc_array(n_slot, sizeof *slot);
    if (!slot)
        return ERR(err, NOMEM, "no memory for a table of %zu rows of words", n_slot);
    mem_free(s->slot);
    s->slot = slot, s->n_slot = n_slot;
    for (uint32_t k = 0; k < s->n; k++)
        put_slot(s, s->node[k].key, k);
    return 0;
}

/* NO_NODE in *out where the shard is full. */
static int add_node(struct row_shard *s, const struct row_event *e, const char *text, uint32_t *out, struct err *err)
{
    *out = NO_NODE;
    if (s->n == NODES_OF_SHARD || s->text.len + e->bytes > TEXT_OF_SHARD)
        return 0;
    if (2 * (s->n + 1) > s->n_slot)
        TRY(grow(s, err));
    TRY(grams_room((void **)&s->node, s->n, sizeof *s->node, err));
    TRY(grams_room((void **)&s->first, s->n, sizeof *s->first, err));
    s->node[s->n] = (struct row_node){ .key = e->key, .last = -1 };
    s->first[s->n] = (struct row_first){ .text = (uint32_t)s->text.len, .bytes = e->bytes };
    TRY(buf_add(&s->text, text + e->at, e->bytes, err));
    put_slot(s, e->key, (uint32_t)s->n);
    *out = (uint32_t)s->n++;
    return 0;
}

/* ---- counting ---- */

static int count_way(struct row_shard *s, uint32_t k, uint64_t to, int64_t record, struct err *err)
{
    struct row_node *v = &s->node[k];
    uint32_t n, w;
    if (!v->way)
        v->way = to, v->way_last = -1;
    if (v->way == to) {
        n = v->way_n += v->way_last != record;
        v->way_last = record;
    } else {
        const uint64_t ends[2] = { k, to };
        TRY(grams_room((void **)&s->way_last, s->ways.n, sizeof *s->way_last, err));
        TRY(grams_room((void **)&s->way_n, s->ways.n, sizeof *s->way_n, err));
        const int is_new = gram_map_add(&s->ways, gram_hash(ends, 2), &w, err);
        TRY(is_new);
        if (is_new)
            s->way_last[w] = -1, s->way_n[w] = 0;
        n = s->way_n[w] += s->way_last[w] != record;
        s->way_last[w] = record;
    }
    if (n > v->n_next)
        v->next = to, v->n_next = n;
    return 0;
}

static int count_begin(struct row_shard *s, uint32_t k, const struct row_run *r, struct err *err)
{
    struct row_first *f = &s->first[k];
    const uint64_t pair[2] = { k, r->before };
    if (f->begins == ROW_BEGINS_MAX)
        return 0;
    const int was = seen_add(s->before, gram_hash(pair, 2), err);
    TRY(was);
    f->begins++, f->before += !was, f->aligned += r->aligned, f->filled += r->filled;
    return 0;
}

/* k: of the row's node, if it had one when it was looked for. */
static int count_row(struct row_shard *s, const struct row_event *e, const char *runs, uint32_t k, struct err *err)
{
    const struct row_run *r = (const void *)(runs + e->run);
    if (k == NO_NODE && (k = find(s, e->key)) == NO_NODE)
        TRY(add_node(s, e, (const char *)(r + 1), &k, err));
    if (k == NO_NODE)
        return 0;
    struct row_node *v = &s->node[k];
    if (v->last != r->record) {
        if (v->n < 3)
            s->first[k].record[v->n] = r->record, s->first[k].at[v->n] = r->at + e->at;
        v->n++;
    }
    v->last = r->record;
    if (e->first)
        TRY(count_begin(s, k, r, err));
    return e->next ? count_way(s, k, e->next, r->record, err) : 0;
}

static int count_rows(struct row_shard *s, const struct row_event *e, size_t n, const char *runs, struct err *err)
{
    uint32_t node[AHEAD];
    for (size_t i = 0; i < n + 2 * AHEAD; i++) {         /* row i is asked for, i - AHEAD found, i - 2 AHEAD counted */
        if (i >= 2 * AHEAD)
            TRY(count_row(s, &e[i - 2 * AHEAD], runs, node[i % AHEAD], err));
        if (i >= AHEAD && i < n + AHEAD) {
            const uint32_t k = node[i % AHEAD] = find(s, e[i - AHEAD].key);
            if (k != NO_NODE)
                __builtin_prefetch(&s->node[k], 1);
        }
        if (i < n && s->n_slot)
            __builtin_prefetch(&s->slot[slot_of(s, e[i].key)]);
    }
    return 0;
}

/* ---- many buffers ---- */

struct adding { struct row_graph *g; const struct buf *const *runs; int n; };

static const struct row_seen *rows_of(const struct row_run *r) { return (const void *)((const char *)(r + 1) + (r->bytes + 7u) / 8 * 8); }

static int make_room(struct row_stage *t, size_t n, struct err *err)
{
    if (n <= t->cap)
        return 0;
    mem_free(t->event);
    t->cap = 0;
    if (!(t->event = mem_alloc_array(n + n / 4, sizeof *t->event)))
        return ERR(err, NOMEM, "no memory for %zu rows of words", n);
    t->cap = n + n / 4;
    return 0;
}

static void put_run(struct row_stage *t, const struct row_run *r, uint32_t at)
{
    const struct row_seen *row = rows_of(r);
    for (uint32_t i = 0; i < r->n_row; i++)
        t->event[t->until[shard_of(row[i].key)]++] = (struct row_event){ row[i].key, i + 1 < r->n_row ? row[i + 1].key : 0, at, row[i].at, row[i].bytes, !i };
}

static int sort_rows(struct row_stage *t, const struct buf *b, struct err *err)
{
    uint32_t n[ROW_SHARDS] = { 0 }, all = 0;
    if (b->len > UINT32_MAX)
        return ERR(err, RANGE, "%zu bytes of rows of words in one block, expected less than 4 GiB", b->len);
    for (size_t at = 0; at < b->len;) {
        const struct row_run *r = (const void *)(b->data + at);
        const struct row_seen *row = rows_of(r);
        for (uint32_t i = 0; i < r->n_row; i++)
            n[shard_of(row[i].key)]++;
        at = (size_t)((const char *)(row + r->n_row) - b->data);
    }
    for (int i = 0; i < ROW_SHARDS; i++)
        t->until[i] = all, all += n[i];
    TRY(make_room(t, all, err));
    for (size_t at = 0; at < b->len;) {
        const struct row_run *r = (const void *)(b->data + at);
        put_run(t, r, (uint32_t)at);
        at = (size_t)((const char *)(rows_of(r) + r->n_row) - b->data);
    }
    return 0;
}

static void sort_buffer(void *ctx, int i, int i_thread)
{
    const struct adding *a = ctx;
    struct row_stage *t = &a->g->stage[i];
    (void)i_thread;
    (void)sort_rows(t, a->runs[i], &t->err);
}

static void count_shard(void *ctx, int i, int i_thread)
{
    const struct adding *a = ctx;
    struct row_shard *s = &a->g->shard[i];
    (void)i_thread;
    for (int k = 0; k < a->n && !s->err.code; k++) {
        const struct row_stage *t = &a->g->stage[k];
        const size_t from = i ? t->until[i - 1] : 0;
        if (t->until[i] > from)
            (void)count_rows(s, t->event + from, t->until[i] - from, a->runs[k]->data, &s->err);
    }
}

static int more_stages(struct row_graph *g, int n, struct err *err)
{
    if (n <= g->n_stage)
        return 0;
    struct row_stage *more = mem_realloc_array(g->stage, (size_t)n, sizeof *more);
    if (!more)
        return ERR(err, NOMEM, "no memory for rows of %d blocks", n);
    memset(more + g->n_stage, 0, (size_t)(n - g->n_stage) * sizeof *more);
    g->stage = more, g->n_stage = n;
    return 0;
}

int row_graph_add(struct row_graph *g, struct pool *pool, const struct buf *const *runs, int n, struct err *err)
{
    struct adding a = { g, runs, n };
    TRY(more_stages(g, n, err));
    pool_for(pool, n, sort_buffer, &a);
    for (int i = 0; i < n; i++)
        if (g->stage[i].err.code)
            return (*err = g->stage[i].err).code;
    pool_for(pool, ROW_SHARDS, count_shard, &a);
    for (int i = 0; i < ROW_SHARDS; i++)
        if (g->shard[i].err.code)
            return (*err = g->shard[i].err).code;
    return 0;
}

/* ---- */

int row_graph_init(struct row_graph *g, struct err *err)
{
    *g = (struct row_graph){ .shard = mem_alloc_array(ROW_SHARDS, sizeof *g->shard) };
    if (!g->shard)
        return ERR(err, NOMEM, "no memory for rows of words");
    for (int i = 0; i < ROW_SHARDS; i++)
        buf_init(&g->shard[i].text);
    for (int i = 0; i < ROW_SHARDS; i++)
        TRY(seen_new(&g->shard[i].before, err));
    return 0;
}

void row_graph_release(struct row_graph *g)
{
    for (int i = 0; g->shard && i < ROW_SHARDS; i++) {
        struct row_shard *s = &g->shard[i];
        mem_free(s->slot);
        mem_free(s->node);
        mem_free(s->first);
        gram_map_release(&s->ways);
        mem_free(s->way_last);
        mem_free(s->way_n);
        seen_free(s->before);
        buf_release(&s->text);
    }
    for (int i = 0; i < g->n_stage; i++)
        mem_free(g->stage[i].event);
    mem_free(g->shard);
    mem_free(g->stage);
    *g = (struct row_graph){ 0 };
}

size_t row_graph_n(const struct row_graph *g, int shard) { return g->shard[shard].n; }
struct row_node *row_graph_at(const struct row_graph *g, int shard, size_t i) { return &g->shard[shard].node[i]; }

const struct row_first *row_graph_first(const struct row_graph *g, const struct row_node *v)
{
    const struct row_shard *s = &g->shard[shard_of(v->key)];
    return &s->first[v - s->node];
}

const char *row_graph_text(const struct row_graph *g, const struct row_node *v, size_t *n)
{
    const struct row_first *f = row_graph_first(g, v);
    *n = f->bytes;
    return g->shard[shard_of(v->key)].text.data + f->text;
}

struct row_node *row_graph_find(const struct row_graph *g, uint64_t key)
{
    const struct row_shard *s = &g->shard[shard_of(key)];
    const uint32_t k = find(s, key);
    return k == NO_NODE ? NULL : &s->node[k];
}
