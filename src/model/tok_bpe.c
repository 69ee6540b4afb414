/* tok_bpe.c - byte-level BPE: vocabulary, encoder, decoder.
 *
 * Text is cut into pieces (tok_split.c); a piece starts as its bytes and the pair of lowest rank is merged until none is
 * left.  Pairs are looked up in one open-addressing table.  Short pieces scan for the best pair; long ones (no spaces for
 * kilobytes) use a heap, so that no input is quadratic.  Pieces met before are found in a small cache of the call. */
#include "model/tok_bpe.h"
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "model/tok_split.h"

void tok_ids_release(struct tok_ids *ids)
{
    mem_free(ids->id);
    *ids = (struct tok_ids){ 0 };
}

static int ids_reserve(struct tok_ids *ids, size_t more, struct err *err)
{
    if (ids->n + more <= ids->cap)
        return 0;
    size_t cap = ids->cap ? ids->cap : 256;
    while (cap < ids->n + more)
        cap += cap / 2;
    int32_t *p = mem_realloc_array(ids->id, cap, sizeof *p);
    if (!p)
        return ERR(err, NOMEM, "no memory for %zu token ids", cap);
    ids->id = p, ids->cap = cap;
    return 0;
}

/* ---- the vocabulary ---- */

int tok_new(struct tok **out, struct err *err)
{
    struct tok *t = mem_alloc_array(1, sizeof *t);
    *out = t;
    if (!t)
        return ERR(err, NOMEM, "no memory for a tokenizer");
    for (int i = 0; i < 256; i++)
        t->byte_id[i] = -1;
    t->eot = -1;
    buf_init(&t->bytes);
    return 0;
}

void tok_free(struct tok *t)
{
    if (!t)
        return;
    buf_release(&t->bytes);
    mem_free(t->entry);
    mem_free(t->merge);
    mem_free(t->slot);
    mem_free(t->by_bytes);
    mem_free(t);
}

int tok_set_entry(struct tok *t, int id, const char *bytes, size_t n, bool special, struct err *err)
{
    if (id < 0 || id >= TOK_VOCAB_MAX)
        return ERR(err, RANGE, "token id %d, expected 0 to %d", id, TOK_VOCAB_MAX - 1);
    if (id >= t->cap_entry) {
        int cap = t->cap_entry ? t->cap_entry : 512;
        while (cap <= id)
            cap *= 2;
        struct tok_entry *p = mem_realloc_array(t->entry, (size_t)cap, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory for %d tokens", cap);
        memset(p + t->cap_entry, 0, (size_t)(cap - t->cap_entry) * sizeof *p);
        t->entry = p, t->cap_entry = cap;
    }
    if (t->entry[id].used)
        return ERR(err, FORMAT, "token id %d is given twice", id);
    t->entry[id] = (struct tok_entry){ .at = t->bytes.len, .n = n, .used = true, .special = special };
    TRY(buf_add(&t->bytes, bytes, n, err));
    if (id >= t->n_entry)
        t->n_entry = id + 1;
    if (n == 1 && !special)
        t->byte_id[(unsigned char)bytes[0]] = id;
    return 0;
}

int tok_add_merge(struct tok *t, int left, int right, int into, struct err *err)
{
    if (t->n_merge == t->cap_merge) {
        const int cap = t->cap_merge ? 2 * t->cap_merge : 512;
        struct tok_merge *p = mem_realloc_array(t->merge, (size_t)cap, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory for %d merges", cap);
        t->merge = p, t->cap_merge = cap;
    }
    t->merge[t->n_merge++] = (struct tok_merge){ left, right, into };
    return 0;
}

static uint32_t pair_hash(int32_t a, int32_t b)
{
    uint64_t x = ((uint64_t)(uint32_t)a << 32 | (uint32_t)b) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(x >> 32);
}

int tok_by_bytes(const struct tok *t, const char *s, size_t n)
{
    for (uint64_t h = hash64(s, n, 0) & t->bytes_mask;; h = (h + 1) & t->bytes_mask) {
        const int32_t id = t->by_bytes[h];
        if (id < 0)
            return -1;
        if (t->entry[id].n == n && !memcmp(t->bytes.data + t->entry[id].at, s, n))
            return id;
    }
}

int tok_finish(struct tok *t, const char *name, struct err *err)
{
    size_t n_slot = 64, n_bytes = 64;
    while (n_slot < 2 * (size_t)t->n_merge)
        n_slot *= 2;
    while (n_bytes < 2 * (size_t)t->n_entry)
        n_bytes *= 2;
    t->slot = mem_alloc_array(n_slot, sizeof *t->slot);
    t->by_bytes = mem_alloc_array(n_bytes, sizeof *t->by_bytes);
    if (!t->slot || !t->by_bytes)
        return ERR(err, NOMEM, "%s: no memory for its tables", name);
    t->slot_mask = (uint32_t)n_slot - 1, t->bytes_mask = n_bytes - 1;
    memset(t->slot, -1, n_slot * sizeof *t->slot);
    memset(t->by_bytes, -1, n_bytes * sizeof *t->by_bytes);
    for (int i = 0; i < t->n_merge; i++) {
        const struct tok_merge *m = &t->merge[i];
        uint32_t h = pair_hash(m->left, m->right) & t->slot_mask;
        for (; t->slot[h].rank >= 0; h = (h + 1) & t->slot_mask)
            if (t->slot[h].left == m->left && t->slot[h].right == m->right)
                return ERR(err, FORMAT, "%s: merge %d is the same as merge %d", name, i, t->slot[h].rank);
        t->slot[h] = (struct tok_slot){ m->left, m->right, i, m->into };
    }
    for (int id = 0; id < t->n_entry; id++) {
        const struct tok_entry *e = &t->entry[id];
        if (!e->used || e->special)
            continue;
        uint64_t h = hash64(t->bytes.data + e->at, e->n, 0) & t->bytes_mask;
        for (; t->by_bytes[h] >= 0; h = (h + 1) & t->bytes_mask) {
            const struct tok_entry *o = &t->entry[t->by_bytes[h]];
            if (o->n == e->n && !memcmp(t->bytes.data + o->at, t->bytes.data + e->at, e->n))
                return ERR(err, FORMAT, "%s: tokens %d and %d are the same text", name, t->by_bytes[h], id);
        }
        t->by_bytes[h] = id;
    }
    for (int id = 0; id < t->n_entry; id++)
        if (t->entry[id].used && t->entry[id].special && t->entry[id].n > t->special_longest)
            t->special_longest = t->entry[id].n;
    t->eot = tok_special(t, "<|endoftext|>");
    if (t->eot < 0)
        t->eot = tok_special(t, "</s>");
    return 0;
}

int tok_vocab_size(const struct tok *t) { return t->n_entry; }
int tok_eot(const struct tok *t) { return t->eot; }

const char *tok_bytes(const struct tok *t, int id, size_t *n)
{
    if (id < 0 || id >= t->n_entry || !t->entry[id].used)
        return NULL;
    *n = t->entry[id].n;
    return t->bytes.data + t->entry[id].at;
}

int tok_special(const struct tok *t, const char *text)
{
    for (int id = 0; id < t->n_entry; id++)
        if (t->entry[id].used && t->entry[id].special && t->entry[id].n == strlen(text) && !memcmp(t->bytes.data + t->entry[id].at, text, t->entry[id].n))
            return id;
    return -1;
}

/* ---- one piece ---- */

static const struct tok_slot *find_merge(const struct tok *t, int32_t left, int32_t right)
{
    for (uint32_t h = pair_hash(left, right) & t->slot_mask;; h = (h + 1) & t->slot_mask) {
        const struct tok_slot *s = &t->slot[h];
        if (s->rank < 0)
            return NULL;
        if (s->left == left && s->right == right)
            return s;
    }
}

#define SHORT 48

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

static int merge_long(const struct tok *t, int32_t *ids, size_t n, size_t *left, struct err *err)
{
    struct link *l = mem_alloc_array(n, sizeof *l);
    struct candidate *heap = mem_alloc_array(3 * n, sizeof *heap);      /* n - 1 at first, two more for each merge */
    if (!l || !heap || n > INT32_MAX) {
        mem_free(l);
        mem_free(heap);
        return ERR(err, NOMEM, "no memory to tokenize %zu bytes without a break", n);
    }
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
    *left = 0;
    for (int32_t i = 0; i >= 0; i = l[i].next)
        ids[(*left)++] = l[i].id;
    mem_free(l);
    mem_free(heap);
    return 0;
}

/* ---- a text ---- */

#define CACHE 4096
#define CACHE_BYTES 20
#define CACHE_IDS 7
struct cached { uint8_t len, n; char bytes[CACHE_BYTES]; int32_t id[CACHE_IDS]; };

static uint32_t piece_hash(const char *s, size_t n)
{
    uint64_t a = 0, b = 0;
    if (n >= 8)
        memcpy(&a, s, 8), memcpy(&b, s + n - 8, 8);
    else if (n >= 4) {
        uint32_t x, y;
        memcpy(&x, s, 4), memcpy(&y, s + n - 4, 4);
        a = x, b = y;
    } else {
        a = (uint8_t)s[0] | (uint64_t)(uint8_t)s[n / 2] << 8 | (uint64_t)(uint8_t)s[n - 1] << 16;
    }
    return (uint32_t)(((a * 0x9e3779b97f4a7c15u) ^ (b * 0xc2b2ae3d27d4eb4fu) ^ n * 0x165667b19e3779f9u) >> 40);
}

static int encode_piece(const struct tok *t, const char *s, size_t n, size_t at, struct cached *cache, struct tok_ids *out, struct err *err)
{
    struct cached *c = cache && n <= CACHE_BYTES ? &cache[piece_hash(s, n) % CACHE] : NULL;
    TRY(ids_reserve(out, n < CACHE_IDS ? CACHE_IDS : n, err));
    int32_t *ids = out->id + out->n;
    if (c && c->len == n && !memcmp(c->bytes, s, n)) {
        memcpy(ids, c->id, sizeof c->id);
        out->n += c->n;
        return 0;
    }
    if (t->ignore_merges) {
        const int whole = tok_by_bytes(t, s, n);
        if (whole >= 0) {
            out->id[out->n++] = whole;
            return 0;
        }
    }
    for (size_t i = 0; i < n; i++)
        if ((ids[i] = t->byte_id[(unsigned char)s[i]]) < 0)
            return ERR(err, FORMAT, "byte 0x%02x at offset %zu is not in the tokenizer's vocabulary", (unsigned char)s[i], at + i);
    size_t left = n;
    if (t->n_merge && n <= SHORT)
        left = (size_t)merge_short(t, ids, (int)n);
    else if (t->n_merge)
        TRY(merge_long(t, ids, n, &left, err));
    if (c && left <= CACHE_IDS) {
        c->len = (uint8_t)n, c->n = (uint8_t)left;
        memcpy(c->bytes, s, n);
        memcpy(c->id, ids, left * sizeof *ids);
    }
    out->n += left;
    return 0;
}

/* The special token that begins at s, longest first, or -1. */
static int special_at(const struct tok *t, const char *s, size_t n)
{
    int best = -1;
    for (int id = 0; id < t->n_entry; id++) {
        const struct tok_entry *e = &t->entry[id];
        if (e->used && e->special && e->n && e->n <= n && !memcmp(t->bytes.data + e->at, s, e->n) && (best < 0 || e->n > t->entry[best].n))
            best = id;
    }
    return best;
}

/* First bytes of special tokens, so that most places of a text are passed over at once. */
static void special_starts(const struct tok *t, bool starts[256])
{
    memset(starts, 0, 256 * sizeof *starts);
    for (int id = 0; id < t->n_entry; id++)
        if (t->entry[id].used && t->entry[id].special && t->entry[id].n)
            starts[(unsigned char)t->bytes.data[t->entry[id].at]] = true;
}

static int encode_plain(const struct tok *t, const char *text, size_t n, size_t from, struct cached *cache, struct tok_ids *out, struct err *err)
{
    if (!t->n_merge) {                                  /* bytes are tokens: pieces do not matter */
        TRY(ids_reserve(out, n, err));
        for (size_t i = 0; i < n; i++)
            if ((out->id[out->n++] = t->byte_id[(unsigned char)text[i]]) < 0)
                return ERR(err, FORMAT, "byte 0x%02x at offset %zu is not in the tokenizer's vocabulary", (unsigned char)text[i], from + i);
        return 0;
    }
    for (size_t i = 0, len; i < n; i += len) {
        len = tok_match_gpt2((const unsigned char *)text + i, n - i);
        TRY(encode_piece(t, text + i, len, from + i, cache, out, err));
    }
    return 0;
}

int tok_encode(const struct tok *t, const char *text, size_t n, unsigned flags, struct tok_ids *out, struct err *err)
{
    bool starts[256];
    const size_t n_before = out->n;
    struct cached *cache = n > 256 ? mem_alloc_array(CACHE, sizeof *cache) : NULL;      /* without it, only slower */
    int rc = 0;
    size_t from = 0;
    if (flags & TOK_SPECIALS && t->special_longest) {
        special_starts(t, starts);
        for (size_t i = 0; i < n && !rc;) {
            const int id = starts[(unsigned char)text[i]] ? special_at(t, text + i, n - i) : -1;
            if (id < 0) {
                i++;
                continue;
            }
            rc = encode_plain(t, text + from, i - from, from, cache, out, err);
            if (!rc && !(rc = ids_reserve(out, 1, err)))
                out->id[out->n++] = id;
            from = i += t->entry[id].n;
        }
    }
    if (!rc)
        rc = encode_plain(t, text + from, n - from, from, cache, out, err);
    mem_free(cache);
    if (rc)
        out->n = n_before;
    return rc;
}

int tok_decode(const struct tok *t, const int32_t *ids, size_t n, struct buf *out, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *bytes = tok_bytes(t, ids[i], &len);
        if (!bytes)
            return ERR(err, RANGE, "token id %d, expected one of the %d of the vocabulary", ids[i], t->n_entry);
        TRY(buf_add(out, bytes, len, err));
    }
    return 0;
}

size_t tok_utf8_tail(const char *s, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        const unsigned char c = (unsigned char)s[n - back];
        if ((c & 0xc0) == 0x80)
            continue;
        const size_t need = c >= 0xf0 && c < 0xf8 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;
        return c < 0xf8 && need > back ? back : 0;
    }
    return 0;
}
