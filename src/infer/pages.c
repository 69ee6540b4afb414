#include "infer/pages.h"
#include <assert.h>
#include <string.h>
#include "base/mem.h"

/* Block b of page i is node 4 i + b.  A node is in the table while its key is known: promised, then ready. */
enum node_state { NODE_EMPTY, NODE_PROMISED, NODE_READY };
struct node { struct block_key key; int32_t next; unsigned char state; };
struct page { int n_ref; int32_t before, after; };       /* the last two: of the list of pages that nobody holds, -1 at its ends */

struct pages {
    int n_page, n_bucket;
    struct node *node;
    struct page *page;
    int32_t *bucket;             /* first node of each, -1: none */
    int32_t first, last;         /* of the list, which is used from its beginning */
    struct pages_count count;
};

/* ---- keys ---- */

static struct block_key key_after(const struct block_key *before, const int32_t *ids)
{
    unsigned char bytes[SHA256_BYTES + BLOCK_TOKENS * 4];
    struct block_key key;
    memcpy(bytes, before->sha256, SHA256_BYTES);
    for (int i = 0; i < BLOCK_TOKENS; i++)
        for (int k = 0; k < 4; k++)
            bytes[SHA256_BYTES + 4 * i + k] = (unsigned char)((uint32_t)ids[i] >> 8 * k);
    sha256_bytes(bytes, sizeof bytes, key.sha256);
    return key;
}

/* Key i of the sequence, whose keys before are known. */
static void know(struct held *h, const int32_t *ids, int i)
{
    if (i < h->n_key)
        return;
    assert(i == h->n_key);
    h->key[i] = key_after(i ? &h->key[i - 1] : &h->root, ids + i * BLOCK_TOKENS);
    h->n_key++;
}

/* ---- the table ---- */

static int32_t *bucket_of(struct pages *p, const struct block_key *key)
{
    uint64_t x;
    memcpy(&x, key->sha256, sizeof x);
    return &p->bucket[x & (uint64_t)(p->n_bucket - 1)];
}

static int32_t find(struct pages *p, const struct block_key *key)
{
    int32_t i = *bucket_of(p, key);
    while (i >= 0 && memcmp(&p->node[i].key, key, sizeof *key))
        i = p->node[i].next;
    return i;
}

static void put(struct pages *p, int32_t i, const struct block_key *key, enum node_state state)
{
    int32_t *b = bucket_of(p, key);
    assert(p->node[i].state == NODE_EMPTY);
    p->node[i] = (struct node){ *key, *b, (unsigned char)state };
    *b = i;
}

static void take_out(struct pages *p, int32_t i)
{
    if (p->node[i].state == NODE_EMPTY)
        return;
    int32_t *b = bucket_of(p, &p->node[i].key);
    while (*b != i)
        b = &p->node[*b].next;
    *b = p->node[i].next;
    p->node[i].state = NODE_EMPTY;
}

/* ---- pages that nobody holds ---- */

static bool known(const struct pages *p, int32_t page)
{
    for (int b = 0; b < PAGE_BLOCKS; b++)
        if (p->node[page * PAGE_BLOCKS + b].state == NODE_READY)
            return true;
    return false;
}

/* At the end when something is known of it, else at the beginning. */
static void list_add(struct pages *p, int32_t i)
{
    struct page *q = &p->page[i];
    const bool end = known(p, i);
    q->before = end ? p->last : -1, q->after = end ? -1 : p->first;
    *(q->before < 0 ? &p->first : &p->page[q->before].after) = i;
    *(q->after < 0 ? &p->last : &p->page[q->after].before) = i;
    p->count.n_known += end;
}

static void list_remove(struct pages *p, int32_t i)
{
    const struct page *q = &p->page[i];
    *(q->before < 0 ? &p->first : &p->page[q->before].after) = q->after;
    *(q->after < 0 ? &p->last : &p->page[q->after].before) = q->before;
    p->count.n_known -= known(p, i);
}

static void forget(struct pages *p, int32_t page)
{
    p->count.n_evicted += known(p, page);
    for (int b = 0; b < PAGE_BLOCKS; b++)
        take_out(p, page * PAGE_BLOCKS + b);
}

static void hold(struct pages *p, int32_t i)
{
    if (!p->page[i].n_ref++) {
        list_remove(p, i);
        p->count.n_held++;
    }
}

static void let_go(struct pages *p, int32_t i)
{
    assert(p->page[i].n_ref > 0);
    if (!--p->page[i].n_ref) {
        p->count.n_held--;
        list_add(p, i);
    }
}

/* A page of nobody's, now the sequence's; there is one. */
static void take_page(struct pages *p, struct held *h)
{
    const int32_t i = p->first;
    hold(p, i);
    forget(p, i);
    h->page[h->n_page++] = i;
}

static int pages_for(int n) { return (n + KV_TOKENS - 1) / KV_TOKENS; }

bool pages_extend(struct pages *p, struct held *h, int n)
{
    assert(n <= h->ctx);
    if (pages_for(n) - h->n_page > p->n_page - p->count.n_held)
        return false;
    while (h->n_page < pages_for(n))
        take_page(p, h);
    return true;
}

/* ---- a sequence ---- */

/* Holds the pages of the blocks that are known, at most `most`; returns how many.  *promised: the next one is. */
static int hold_known(struct pages *p, struct held *h, const int32_t *ids, int most, bool *promised)
{
    int n = 0;
    *promised = false;
    for (; n < most; n++) {
        know(h, ids, n);
        const int32_t i = find(p, &h->key[n]), page = i / PAGE_BLOCKS;
        *promised = i >= 0 && p->node[i].state == NODE_PROMISED;
        if (i < 0 || *promised)
            break;
        if (n % PAGE_BLOCKS == 0) {
            hold(p, page);
            h->page[h->n_page++] = page;
        } else if (page != h->page[h->n_page - 1]) {      /* it has the same text up to there: its writer computed that too */
            hold(p, page);
            let_go(p, h->page[h->n_page - 1]);
            h->page[h->n_page - 1] = page;
        }
    }
    return n;
}

/* Blocks of the text that nobody has or promised yet. */
static void promise(struct pages *p, struct held *h, const int32_t *ids, int n)
{
    for (int i = h->n_ready; i < n / BLOCK_TOKENS; i++) {
        know(h, ids, i);
        if (find(p, &h->key[i]) < 0)
            put(p, h->page[i / PAGE_BLOCKS] * PAGE_BLOCKS + i % PAGE_BLOCKS, &h->key[i], NODE_PROMISED);
    }
}

static bool has_room(const struct pages *p, const struct held *h, int n, int spare)
{
    const int more = pages_for(n) - h->n_page, free = p->n_page - p->count.n_held;
    return more <= free && free - more >= spare;
}

enum pages_fate pages_begin(struct pages *p, struct held *h, const int32_t *ids, int n, struct pages_wish wish, int *n_kept, int *from)
{
    assert(!h->n_page && n > 0 && n <= h->ctx);
    bool promised = false;
    *from = -1;
    h->n_ready = wish.share ? hold_known(p, h, ids, (n - 1) / BLOCK_TOKENS, &promised) : 0;
    if (promised && wish.wait) {
        pages_release(p, h);
        return PAGES_WAIT;
    }
    if (h->n_ready % PAGE_BLOCKS)                    /* the last page is another's, too */
        *from = h->page[--h->n_page];
    bool room = has_room(p, h, n, wish.spare);
    if (!room && *from >= 0) {                       /* the copy is one more: without it a text that takes all pages would wait for ever */
        let_go(p, *from);
        *from = -1, h->n_ready -= h->n_ready % PAGE_BLOCKS;
        room = has_room(p, h, n, wish.spare);
    }
    room = room && pages_extend(p, h, n);
    if (*from >= 0)                                  /* it was held until a page for its copy was taken */
        let_go(p, *from);
    if (!room) {
        pages_release(p, h);
        return PAGES_NONE;
    }
    *n_kept = h->n_ready * BLOCK_TOKENS;
    p->count.n_asked += (uint64_t)n, p->count.n_found += (uint64_t)*n_kept;
    if (wish.share)
        promise(p, h, ids, n);
    return PAGES_OK;
}

void pages_publish(struct pages *p, struct held *h, const int32_t *ids, int n)
{
    for (; h->n_ready < n / BLOCK_TOKENS; h->n_ready++) {
        const int i = h->n_ready;
        const int32_t own = h->page[i / PAGE_BLOCKS] * PAGE_BLOCKS + i % PAGE_BLOCKS;
        know(h, ids, i);
        if (p->node[own].state == NODE_PROMISED)
            p->node[own].state = NODE_READY;
        else if (find(p, &h->key[i]) < 0)
            put(p, own, &h->key[i], NODE_READY);
    }
}

void pages_release(struct pages *p, struct held *h)
{
    while (h->n_page) {
        const int32_t i = h->page[--h->n_page];
        for (int b = 0; b < PAGE_BLOCKS; b++)
            if (p->page[i].n_ref == 1 && p->node[i * PAGE_BLOCKS + b].state == NODE_PROMISED)      /* by this sequence, the only one that holds it */
                take_out(p, i * PAGE_BLOCKS + b);
        let_go(p, i);
    }
    h->n_ready = 0;
}

void pages_forget(struct pages *p)
{
    for (int32_t i = p->first; i >= 0; i = p->page[i].after)
        forget(p, i);
    p->count.n_known = 0;
}

struct pages_count pages_count(const struct pages *p) { return p->count; }

/* ---- begin and end ---- */

int held_init(struct held *h, const struct block_key *root, int ctx, struct err *err)
{
    *h = (struct held){ .root = *root, .ctx = ctx };
    h->page = mem_alloc_array((size_t)pages_for(ctx), sizeof *h->page);
    h->key = mem_alloc_array((size_t)ctx / BLOCK_TOKENS + 1, sizeof *h->key);
    return h->page && h->key ? 0 : ERR(err, NOMEM, "no memory for the pages of %d positions", ctx);
}

void held_release(struct held *h)
{
    mem_free(h->page);
    mem_free(h->key);
    *h = (struct held){ 0 };
}

static int set_up(struct pages *p, int n_page, struct err *err)
{
    p->n_page = p->count.n_page = n_page;
    p->n_bucket = 16;
    while (p->n_bucket < n_page * PAGE_BLOCKS)
        p->n_bucket *= 2;
    p->node = mem_alloc_array((size_t)n_page * PAGE_BLOCKS, sizeof *p->node);
    p->page = mem_alloc_array((size_t)n_page, sizeof *p->page);
    p->bucket = mem_alloc_array((size_t)p->n_bucket, sizeof *p->bucket);
    if (!p->node || !p->page || !p->bucket)
        return ERR(err, NOMEM, "no memory for a table of %d pages", n_page);
    memset(p->bucket, -1, (size_t)p->n_bucket * sizeof *p->bucket);
    p->first = p->last = -1;
    for (int32_t i = n_page - 1; i >= 0; i--)        /* ascending from the beginning: a sequence alone has its pages side by side */
        list_add(p, i);
    return 0;
}

int pages_new(struct pages **out, int n_page, struct err *err)
{
    *out = NULL;
    if (n_page < 1 || n_page > INT32_MAX / (4 * PAGE_BLOCKS))
        return ERR(err, RANGE, "%d pages, expected 1 to %d", n_page, INT32_MAX / (4 * PAGE_BLOCKS));
    struct pages *p = mem_alloc_array(1, sizeof *p);
    if (!p)
        return ERR(err, NOMEM, "no memory for a table of %d pages", n_page);
    const int rc = set_up(p, n_page, err);
    if (rc < 0)
        pages_free(p);
    else
        *out = p;
    return rc;
}

void pages_free(struct pages *p)
{
    if (!p)
        return;
    mem_free(p->node);
    mem_free(p->page);
    mem_free(p->bucket);
    mem_free(p);
}
