/* tok_bpe.c - byte-pair encoding of one piece.
 *
 * A piece starts as its symbols (bytes, or characters with bytes for those that the vocabulary lacks) and the pair of lowest
 * rank, the leftmost of equals, is merged until none is left.  Pairs are looked up in one open-addressing table.  Short
 * pieces scan for the best pair; long ones use a heap, so that no input is quadratic; those without a break for kilobytes go through
 * lists of the pairs of each rank, which lie in memory in the order they are looked at.
 *
 * Most pieces are tokens.  That a token's own piece is merged into it again is found out once for each token, by the first
 * call that meets it, and noted in `whole`: what any thread notes is the same.
 *
 * A vocabulary without merges (tiktoken's, SentencePiece's) ranks its tokens, and any two neighbours that together are a token
 * are a pair.  Of those pairs only one per token can ever be met: inside of what becomes the token, the merges are those of
 * the token alone, whatever is around it.  So the pair left over when a token is merged by the better ones is its merge. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "model/tok_impl.h"
#include "model/unicode.h"

int tok_add_merge(struct tok *t, int left, int right, int into, int rank, struct err *err)
{
    if (t->n_merge == t->cap_merge) {
        const int cap = t->cap_merge ? 2 * t->cap_merge : 512;
        struct tok_merge *p = mem_realloc_array(t->merge, (size_t)cap, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory for %d merges", cap);
        t->merge = p, t->cap_merge = cap;
    }
    t->merge[t->n_merge++] = (struct tok_merge){ left, right, into, rank };
    return 0;
}

/* ---- the table of pairs ---- */

#define MAYBE_BITS 21                                     /* 256 KB: stays in the second-level cache, which the table does not */

static const struct tok_slot *find_merge(const struct tok *t, int32_t left, int32_t right)
{
    const uint64_t hash = tok_pair_hash(left, right), bit = hash >> (64 - MAYBE_BITS);
    if (!(t->maybe[bit / 64] >> bit % 64 & 1))
        return NULL;
    for (uint32_t h = (uint32_t)hash & t->slot_mask;; h = (h + 1) & t->slot_mask) {
        const struct tok_slot *s = &t->slot[h];
        if (s->rank < 0)
            return NULL;
        if (s->left == left && s->right == right)
            return s;
    }
}

static int make_slots(struct tok *t, int n_merge, const char *name, struct err *err)
{
    size_t n = 64;
    while (4 * n < 5 * (size_t)n_merge)                   /* up to 4/5 full: a larger table is more cache misses */
        n *= 2;
    t->slot = mem_alloc_array(n, sizeof *t->slot);
    t->maybe = mem_alloc_array((size_t)1 << MAYBE_BITS >> 6, sizeof *t->maybe);
    if (!t->slot || !t->maybe)
        return ERR(err, NOMEM, "%s: no memory for its tables", name);
    t->slot_mask = (uint32_t)n - 1;
    memset(t->slot, -1, n * sizeof *t->slot);
    return 0;
}

static void put_slot(struct tok *t, const struct tok_merge *m)
{
    const uint64_t hash = tok_pair_hash(m->left, m->right), bit = hash >> (64 - MAYBE_BITS);
    uint32_t h = (uint32_t)hash & t->slot_mask;
    while (t->slot[h].rank >= 0)
        h = (h + 1) & t->slot_mask;
    t->slot[h] = (struct tok_slot){ m->left, m->right, m->rank, m->into };
    t->maybe[bit / 64] |= (uint64_t)1 << bit % 64;
    t->rank_end = m->rank >= t->rank_end ? m->rank + 1 : t->rank_end;
}

/* ---- merging ---- */

#define SHORT 64

/* In place: ids[0..n-1] are merged; returns how many are left. */
static int merge_short(const struct tok *t, int32_t *ids, int n)
{
    int32_t rank[SHORT], into[SHORT];                  /* of the pair (i, i+1) */
    for (int i = 0; i + 1 < n; i++) {
        const struct tok_slot *s = find_merge(t, ids[i], ids[i + 1]);
        rank[i] = s ? s->rank : INT32_MAX, into[i] = s ? s->into : 0;
    }
    while (n > 1) {
        int best = 0;
        for (int i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best])
                best = i;
        if (rank[best] == INT32_MAX)
            break;
        ids[best] = into[best];
        n--;
        for (int i = best + 1; i < n; i++)
            ids[i] = ids[i + 1];
        for (int i = best; i + 1 < n; i++)
            rank[i] = rank[i + 1], into[i] = into[i + 1];
        for (int i = best ? best - 1 : 0; i <= best && i + 1 < n; i++) {
            const struct tok_slot *s = find_merge(t, ids[i], ids[i + 1]);
            rank[i] = s ? s->rank : INT32_MAX, into[i] = s ? s->into : 0;
        }
    }
    return n;
}

/* Long pieces: symbols in a list, candidate pairs in a heap ordered by (rank, place). */
struct link { int32_t id, prev, next; };
struct candidate { int32_t rank, at, left, right, into; };

static bool before(const struct candidate *a, const struct candidate *b) { return a->rank != b->rank ? a->rank < b->rank : a->at < b->at; }

static void heap_push(struct candidate *heap, size_t *n, struct candidate c)
{
    size_t i = (*n)++;
    for (; i && before(&c, &heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = c;
}

static struct candidate heap_pop(struct candidate *heap, size_t *n)
{
    const struct candidate top = heap[0], last = heap[--*n];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < *n; i = child) {
        child += child + 1 < *n && before(&heap[child + 1], &heap[child]);
        if (!before(&heap[child], &last))
            break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return top;
}

static void consider(const struct tok *t, const struct link *l, int32_t at, struct candidate *heap, size_t *n)
{
    if (at < 0 || l[at].next < 0)
        return;
    const struct tok_slot *s = find_merge(t, l[at].id, l[l[at].next].id);
    if (s)
        heap_push(heap, n, (struct candidate){ s->rank, at, s->left, s->right, s->into });
}

#define LONG_BYTES (sizeof(struct link) + 3 * sizeof(struct candidate))      /* n - 1 candidates at first, two more for each merge */

static size_t merge_long(const struct tok *t, int32_t *ids, size_t n, void *scratch)
{
    struct candidate *heap = scratch;
    struct link *l = (struct link *)(heap + 3 * n);
    size_t n_heap = 0;
    for (size_t i = 0; i < n; i++)
        l[i] = (struct link){ ids[i], (int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : -1 };
    for (size_t i = 0; i + 1 < n; i++)
        consider(t, l, (int32_t)i, heap, &n_heap);
    while (n_heap) {
        const struct candidate c = heap_pop(heap, &n_heap);
        const int32_t next = l[c.at].id == c.left ? l[c.at].next : -1;
        if (next < 0 || l[next].id != c.right)
            continue;                                   /* one of the two has been merged since */
        l[c.at].id = c.into;
        l[next].id = -1;
        l[c.at].next = l[next].next;
        if (l[c.at].next >= 0)
            l[l[c.at].next].prev = c.at;
        consider(t, l, l[c.at].prev, heap, &n_heap);
        consider(t, l, c.at, heap, &n_heap);
    }
    size_t left = 0;
    for (int32_t i = 0; i >= 0; i = l[i].next)
        ids[left++] = l[i].id;
    return left;
}

/* Very long pieces: a list for each rank of the pairs that have it, lowest rank first, each list from left to right.  A merge nearly always
 * makes pairs of higher ranks than its own.  Where it does not, the heap goes on: what is merged next follows from the symbols alone. */
#define VERY_LONG 4096
#define NO_LIST (-2)
struct pair { int32_t rank, into; };                   /* of a symbol and the next one; rank -1: none */
struct place { int32_t prev, next; };                  /* in its list; prev NO_LIST: in none */
struct ranked { const struct tok *t; struct link *l; struct pair *pair; struct place *in; int32_t *now, *first; uint64_t *some; };

static void leave_list(struct ranked *r, int32_t i)
{
    struct place *p = &r->in[i];
    if (p->prev != NO_LIST) {
        *(p->prev < 0 ? &r->first[r->pair[i].rank] : &r->in[p->prev].next) = p->next;
        if (p->next >= 0)
            r->in[p->next].prev = p->prev;
    }
    p->prev = NO_LIST;
    r->pair[i].rank = -1;
}

/* The pair that i begins now; its rank, or INT32_MAX. */
static int32_t enter_list(struct ranked *r, int32_t i)
{
    const struct tok_slot *s = r->l[i].next >= 0 ? find_merge(r->t, r->l[i].id, r->l[r->l[i].next].id) : NULL;
    if (!s)
        return INT32_MAX;
    int32_t *first = &r->first[s->rank];
    r->pair[i] = (struct pair){ s->rank, s->into };
    r->in[i] = (struct place){ -1, *first };
    if (*first >= 0)
        r->in[*first].prev = i;
    *first = i;
    r->some[s->rank / 64] |= (uint64_t)1 << s->rank % 64;
    return s->rank;
}

static int by_place(const void *a, const void *b) { return *(const int32_t *)a < *(const int32_t *)b ? -1 : 1; }

/* The list of a rank into `now`, from left to right; it is empty then. */
static size_t take_list(struct ranked *r, int32_t rank)
{
    size_t n = 0;
    bool sorted = true;
    for (int32_t i = r->first[rank], next; i >= 0; i = next) {
        next = r->in[i].next;
        r->in[i].prev = NO_LIST;
        sorted = sorted && (!n || i < r->now[n - 1]);
        r->now[n++] = i;
    }
    r->first[rank] = -1;
    for (size_t i = 0; i < n / 2; i++) {                /* the last that came is the first of the list */
        const int32_t x = r->now[i];
        r->now[i] = r->now[n - 1 - i], r->now[n - 1 - i] = x;
    }
    if (!sorted)
        qsort(r->now, n, sizeof *r->now, by_place);
    return n;
}

/* false: one came to be that is to be merged before the rest. */
static bool merge_rank(struct ranked *r, int32_t rank)
{
    const size_t n = take_list(r, rank);
    struct link *l = r->l;
    for (size_t k = 0; k < n; k++) {
        const int32_t i = r->now[k], next = l[i].next, prev = l[i].prev;
        if (r->pair[i].rank != rank)
            continue;                                   /* one of the two has been merged since */
        leave_list(r, next);
        l[i].id = r->pair[i].into;
        r->pair[i].rank = -1;
        l[i].next = l[next].next;
        if (l[i].next >= 0)
            l[l[i].next].prev = i;
        int32_t lowest = INT32_MAX;
        if (prev >= 0) {
            leave_list(r, prev);
            lowest = enter_list(r, prev);
        }
        const int32_t own = enter_list(r, i);
        if (own <= rank || lowest <= rank)
            return false;
    }
    return true;
}

static size_t very_long_bytes(const struct tok *t, size_t n)
{
    return n * (sizeof(struct link) + sizeof(struct pair) + sizeof(struct place) + sizeof(int32_t)) + ((size_t)t->rank_end / 64 + 1) * (sizeof(uint64_t) + 64 * sizeof(int32_t));
}

static size_t merge_very_long(const struct tok *t, int32_t *ids, size_t n, void *scratch)
{
    const size_t words = (size_t)t->rank_end / 64 + 1;
    struct ranked r = { .t = t, .some = scratch };
    r.first = (int32_t *)(r.some + words), r.l = (struct link *)(r.first + 64 * words), r.pair = (struct pair *)(r.l + n), r.in = (struct place *)(r.pair + n), r.now = (int32_t *)(r.in + n);
    memset(r.some, 0, words * sizeof *r.some);
    memset(r.first, -1, 64 * words * sizeof *r.first);
    for (size_t i = 0; i < n; i++) {
        r.l[i] = (struct link){ ids[i], (int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : -1 };
        r.pair[i].rank = -1, r.in[i].prev = NO_LIST;
    }
    for (size_t i = 0; i + 1 < n; i++)
        enter_list(&r, (int32_t)i);
    bool in_order = true;
    for (size_t w = 0; w < words && in_order; w++)
        while (r.some[w] && in_order) {
            const int bit = __builtin_ctzll(r.some[w]);
            r.some[w] &= r.some[w] - 1;
            in_order = merge_rank(&r, (int32_t)(64 * w) + bit);
        }
    size_t left = 0;
    for (int32_t i = 0; i >= 0; i = r.l[i].next)
        ids[left++] = r.l[i].id;
    return in_order ? left : merge_long(t, ids, left, scratch);
}

static int merge(struct tok_run *r, int32_t *ids, size_t n, size_t *left)
{
    if (n <= SHORT) {
        *left = (size_t)merge_short(r->t, ids, (int)n);
        return 0;
    }
    const size_t heap = n * LONG_BYTES, lists = n > VERY_LONG ? very_long_bytes(r->t, n) : 0;
    void *scratch = n <= INT32_MAX / 4 ? tok_scratch(r, heap > lists ? heap : lists) : NULL;
    if (!scratch)
        return ERR(r->err, NOMEM, "no memory to tokenize %zu symbols without a break", n);
    *left = (lists ? merge_very_long : merge_long)(r->t, ids, n, scratch);
    return 0;
}

/* ---- a piece ---- */

static int lacks(const struct tok_run *r, const char *s)
{
    if (r->origin && s >= r->origin && s < r->origin + r->n_origin)
        return ERR(r->err, FORMAT, "byte 0x%02x at offset %zu is not in the tokenizer's vocabulary", (unsigned char)*s, (size_t)(s - r->origin));
    return ERR(r->err, FORMAT, "byte 0x%02x of the normalized text is not in the tokenizer's vocabulary", (unsigned char)*s);
}

/* The symbols of a piece, at most n. */
static int symbols(const struct tok_run *r, const char *s, size_t n, int32_t *ids, size_t *n_ids)
{
    const struct tok *t = r->t;
    size_t k = 0;
    if (t->byte_level) {
        for (size_t i = 0; i < n; i++)
            if ((ids[k++] = t->byte_id[(unsigned char)s[i]]) < 0)
                return lacks(r, s + i);
        *n_ids = k;
        return 0;
    }
    bool was_unk = false;
    for (size_t i = 0, len; i < n; i += len) {
        unicode_at((const unsigned char *)s + i, n - i, &len);
        const int id = tok_by_bytes(t, s + i, len);
        bool bytes = id < 0 && t->byte_fallback;
        for (size_t b = 0; b < len && bytes; b++)
            bytes = t->byte_id[(unsigned char)s[i + b]] >= 0;
        if (id >= 0) {
            ids[k++] = id;
        } else if (bytes) {
            for (size_t b = 0; b < len; b++)
                ids[k++] = t->byte_id[(unsigned char)s[i + b]];
        } else if (t->unk < 0) {
            return lacks(r, s + i);
        } else if (!was_unk || !t->fuse_unk) {
            ids[k++] = t->unk;
        }
        was_unk = id < 0 && !bytes;
    }
    *n_ids = k;
    return 0;
}

static int merge_piece(struct tok_run *r, const char *s, size_t n)
{
    struct tok_ids *out = r->out;
    TRY(tok_ids_reserve(out, n, r->err));
    size_t left = 0;
    TRY(symbols(r, s, n, out->id + out->n, &left));
    if (r->t->n_merge && left > 1)
        TRY(merge(r, out->id + out->n, left, &left));
    out->n += left;
    return 0;
}

int tok_bpe_piece(struct tok_run *r, const char *s, size_t n)
{
    const struct tok *t = r->t;
    const int id = tok_by_bytes(t, s, n);
    if (id < 0)
        return merge_piece(r, s, n);
    const uint8_t whole = t->ignore_merges ? 1 : atomic_load_explicit(&t->whole[id], memory_order_relaxed);
    if (whole == 1) {
        TRY(tok_ids_reserve(r->out, 1, r->err));
        r->out->id[r->out->n++] = id;
        return 0;
    }
    const size_t from = r->out->n;
    TRY(merge_piece(r, s, n));
    if (!whole)
        atomic_store_explicit(&t->whole[id], r->out->n == from + 1 && r->out->id[from] == id ? 1 : 2, memory_order_relaxed);
    return 0;
}

/* ---- after the last merge ---- */

/* No token goes on with U+2581 after the byte b: a text may be cut there, merges never cross it. */
static void find_cuts(struct tok *t)
{
    if (t->byte_level || tok_by_bytes(t, TOK_SPACE, 3) < 0)
        return;
    t->cut_spaces = true;
    memset(t->cut_before, true, sizeof t->cut_before);
    for (int i = 0; i < t->n_merge; i++) {
        const struct tok_entry *e = &t->entry[t->merge[i].into];
        const char *s = t->bytes.data + e->at;
        for (uint32_t k = 1; k + 3 <= e->n; k++)
            if (!memcmp(s + k, TOK_SPACE, 3))
                t->cut_before[(unsigned char)s[k - 1]] = false;
    }
}

static int make_whole(struct tok *t, const char *name, struct err *err)
{
    if (!t->whole && !(t->whole = mem_alloc_zero((size_t)t->n_entry + 1)))
        return ERR(err, NOMEM, "%s: no memory for its tables", name);
    return 0;
}

int tok_bpe_finish(struct tok *t, const char *name, struct err *err)
{
    TRY(make_whole(t, name, err));
    if (!t->slot) {
        TRY(make_slots(t, t->n_merge, name, err));
        for (int i = 0; i < t->n_merge; i++) {
            const struct tok_merge *m = &t->merge[i];
            const struct tok_slot *same = find_merge(t, m->left, m->right);
            if (same)
                return ERR(err, FORMAT, "%s: merge %d is the same as merge %d", name, i, same->rank);
            put_slot(t, m);
        }
    }
    find_cuts(t);
    return 0;
}

int tok_bpe_from_ranks(struct tok *t, const int32_t *order, const bool *equal, int n, const char *name, struct err *err)
{
    TRY(make_slots(t, n, name, err));
    TRY(make_whole(t, name, err));
    struct tok_ids ids = { 0 };
    struct tok_run r = { .t = t, .out = &ids, .err = err };
    int rc = 0, rank = 0;
    for (int i = 0; i < n && !rc; i++) {
        const struct tok_entry *e = &t->entry[order[i]];
        rank += i && !(equal && equal[i]);
        ids.n = 0;
        struct err unknown;                              /* a symbol that the vocabulary lacks: the token is out of reach */
        r.err = &unknown;
        rc = merge_piece(&r, t->bytes.data + e->at, e->n);
        r.err = err;
        if (rc == ERR_FORMAT)
            rc = 0, ids.n = 0;
        else if (rc < 0)
            rc = ERR(err, NOMEM, "%s: no memory for its merges", name);
        if (!rc && ids.n == 2 && !(rc = tok_add_merge(t, ids.id[0], ids.id[1], order[i], rank, err)))
            put_slot(t, &t->merge[t->n_merge - 1]);
        atomic_store_explicit(&t->whole[order[i]], ids.n == 2 || (ids.n == 1 && ids.id[0] == order[i]) ? 1 : 2, memory_order_relaxed);
    }
    tok_ids_release(&ids);
    mem_free(r.scratch);
    return rc;
}
