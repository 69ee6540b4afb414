#include "plan/sim_cache.h"
#include <assert.h>
#include "base/mem.h"

/* ---- pages that nobody holds ---- */

static void list_last(struct sim_cache *c, struct sim_segment *s, int64_t n_page)
{
    if (!n_page)
        return;
    *s = (struct sim_segment){ .before = c->last, .n_page = n_page, .junk = c->junk, .listed = true };
    *(c->last ? &c->last->after : &c->first) = s;
    c->last = s, c->junk = 0;
}

/* Out of the list, its junk stays where it is; returns its pages. */
static int64_t unlist(struct sim_cache *c, struct sim_segment *s)
{
    const int64_t n = s->n_page;
    if (!s->listed)
        return 0;
    *(s->before ? &s->before->after : &c->first) = s->after;
    *(s->after ? &s->after->before : &c->last) = s->before;
    *(s->after ? &s->after->junk : &c->junk) += s->junk;
    *s = (struct sim_segment){ 0 };
    return n;
}

/* Nobody will ask for its pages, which stay where they are. */
static void orphan(struct sim_cache *c, struct sim_segment *s)
{
    s->junk += s->n_page;
    unlist(c, s);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t take_of(int64_t *from, int64_t n)
{
    n = least(*from, n);
    *from -= n;
    return n;
}

bool sim_take(struct sim_cache *c, int64_t n)
{
    if (n > sim_free(c))
        return false;
    c->n_held += n;
    c->most_held = c->n_held > c->most_held ? c->n_held : c->most_held;
    n -= take_of(&c->blank, n);
    while (n && c->first) {
        struct sim_segment *s = c->first;
        n -= take_of(&s->junk, n);
        n -= take_of(&s->n_page, n);
        if (!s->n_page)
            unlist(c, s);
    }
    n -= take_of(&c->junk, n);
    assert(!n);
    return true;
}

/* ---- groups ---- */

static int blocks_page(const struct sim_cache *c) { return c->page / c->block; }
static int64_t pages_of_blocks(const struct sim_cache *c, int blocks) { return (blocks + blocks_page(c) - 1) / blocks_page(c); }

/* Pages that were taken from the end of the group's have taken their blocks with them. */
static void look_after(struct sim_cache *c, struct sim_group *g)
{
    if (g->n_ref)
        return;
    g->n_page = g->seg.n_page;
    g->ready = (int)least(g->ready, g->n_page * blocks_page(c)), g->promised = g->ready;
}

static void hold_group(struct sim_cache *c, struct sim_group *g)
{
    if (!g->n_ref++)
        c->n_held += unlist(c, &g->seg);
}

static void let_go(struct sim_cache *c, struct sim_group *g)
{
    if (--g->n_ref)
        return;
    c->n_held -= g->n_page;
    list_last(c, &g->seg, g->n_page);
}

/* ---- texts ---- */

/* Its own pages that are left, from the one after the group's on; tokens that are known with them. */
static int64_t find_own(struct sim_cache *c, struct sim_hold *h, int n, int *n_kept)
{
    const int first = h->own_first, shared = h->shared;
    const int64_t left = h->own.n_page, known = least((first + left) * c->page, least(h->own_known, (n - 1) / c->block * c->block));
    if (!left)
        return 0;
    /* A page of the group's that it wrote itself is copied; where more is missing, what is behind it cannot be found. */
    if (shared + 1 < first || shared > first || known <= *n_kept) {
        orphan(c, &h->own);
        return 0;
    }
    *n_kept = (int)known;
    return unlist(c, &h->own);
}

enum pages_fate sim_begin(struct sim_cache *c, struct sim_hold *h, int n, int spare, int *n_kept)
{
    struct sim_group *g = c->share && h->group >= 0 ? &c->group[h->group] : NULL;
    const int want = g ? (h->prefix < n - 1 ? h->prefix : n - 1) / c->block : 0;
    if (g)
        look_after(c, g);
    const int ready = g && g->ready < want ? g->ready : want;
    if (g && ready < want && g->promised > g->ready)
        return PAGES_WAIT;
    const bool writes = ready < want;
    const int64_t shared = writes ? pages_of_blocks(c, want) : want / blocks_page(c), more = writes ? shared - g->n_page : 0;
    if (g)
        hold_group(c, g);
    *n_kept = ready * c->block;
    h->shared = (int)shared;
    const int64_t found = writes ? 0 : find_own(c, h, n, n_kept), copied = found && *n_kept % c->page;
    const int64_t own = found - copied, need = sim_pages(c, n) - shared - own + more;
    c->n_held += found;
    if (sim_free(c) - need < spare || !sim_take(c, need)) {
        c->n_held -= found;
        list_last(c, &h->own, found);
        if (g)
            let_go(c, g);
        return PAGES_NONE;
    }
    h->writes = writes;
    h->copied = writes || *n_kept % c->page == 0 ? 0 : found ? (int)least(h->own_known, (h->own_first + found) * c->page) : *n_kept;
    c->n_held -= copied, c->junk += copied;              /* held until there was a page for its copy */
    if (writes) {
        orphan(c, &h->own);                              /* its own cannot be found before the group's are there again */
        g->n_page += more, g->promised = want;
    }
    return PAGES_OK;
}

void sim_publish(struct sim_cache *c, struct sim_hold *h, int n_done)
{
    if (!h->writes)
        return;
    struct sim_group *g = &c->group[h->group];
    const int done = n_done / c->block;
    g->ready = done > g->ready ? (int)least(done, g->promised) : g->ready;
    h->writes = g->ready < g->promised;
}

static void give_group(struct sim_cache *c, struct sim_hold *h)
{
    struct sim_group *g = &c->group[h->group];
    if (h->writes) {                                     /* what it had promised */
        const int64_t lost = g->n_page - pages_of_blocks(c, g->ready);
        g->promised = g->ready, g->n_page -= lost;
        c->n_held -= lost, c->blank += lost;
        h->writes = false;
    }
    let_go(c, g);
}

void sim_give(struct sim_cache *c, struct sim_hold *h, int64_t n_page, int n_done, bool again)
{
    const int blocks = n_done / c->block;                /* a copy that got no block of its own is not known: the page that it was copied from is */
    const bool alike = h->copied && (blocks * c->block <= h->copied || h->copied % c->page == 0);
    const int64_t own = n_page - h->shared, all_known = pages_of_blocks(c, blocks) - h->shared - alike;
    const int64_t known = !c->share || all_known < 0 ? 0 : least(all_known, own);
    c->n_held -= own;
    c->blank += own - known;
    if (again) {
        h->own_first = h->shared, h->own_known = blocks * c->block;
        list_last(c, &h->own, known);
    } else
        c->junk += known;
    if (c->share && h->group >= 0)
        give_group(c, h);
    h->shared = 0;
}

void sim_forget(struct sim_cache *c, struct sim_hold *h) { orphan(c, &h->own); }

/* ---- begin and end ---- */

int sim_cache_init(struct sim_cache *c, int64_t n_page, int page, int n_group, bool share, struct err *err)
{
    *c = (struct sim_cache){ .page = page, .block = page % BLOCK_TOKENS ? page : BLOCK_TOKENS, .n_page = n_page, .blank = n_page, .n_group = n_group, .share = share };
    if (n_page < 1 || page < 1)
        return ERR(err, RANGE, "a cache of %lld pages of %d tokens, expected 1 or more of both", (long long)n_page, page);
    c->group = mem_alloc_array((size_t)n_group, sizeof *c->group);
    return c->group ? 0 : ERR(err, NOMEM, "no memory for %d groups of texts", n_group);
}

void sim_cache_release(struct sim_cache *c)
{
    mem_free(c->group);
    *c = (struct sim_cache){ 0 };
}
