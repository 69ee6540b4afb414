/* tok.c - the vocabulary, added tokens, encoding and decoding; the stages in between are in files of their own. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "model/tok_impl.h"
#include "model/unicode.h"

void tok_ids_release(struct tok_ids *ids)
{
    mem_free(ids->id);
    *ids = (struct tok_ids){ 0 };
}

int tok_ids_reserve(struct tok_ids *ids, size_t more, struct err *err)
{
    if (ids->id && more <= ids->cap - ids->n)
        return 0;
    size_t cap = ids->cap ? ids->cap : 256;
    while (cap < ids->n + more)
        cap += cap / 2 + 1;
    int32_t *p = mem_realloc_array(ids->id, cap, sizeof *p);
    if (!p)
        return ERR(err, NOMEM, "no memory for %zu token ids", cap);
    ids->id = p, ids->cap = cap;
    return 0;
}

int tok_ids_add(struct tok_ids *ids, int32_t id, struct err *err)
{
    TRY(tok_ids_reserve(ids, 1, err));
    ids->id[ids->n++] = id;
    return 0;
}

/* ---- the vocabulary ---- */

int tok_new(struct tok **out, struct err *err)
{
    struct tok *t = mem_alloc_zero(sizeof *t);
    *out = t;
    if (!t)
        return ERR(err, NOMEM, "no memory for a tokenizer");
    memset(t->byte_id, -1, sizeof t->byte_id);
    t->unk = t->bos = t->eos = t->eot = -1;
    buf_init(&t->bytes);
    return 0;
}

static void norm_release(struct tok_norm *n)
{
    tok_split_free(n->pattern);
    mem_free(n->from);
    mem_free(n->to);
    mem_free(n->map.unit);
    mem_free(n->map.pool);
}

void tok_free(struct tok *t)
{
    if (!t)
        return;
    buf_release(&t->bytes);
    mem_free(t->entry);
    mem_free(t->gap);
    mem_free(t->merge);
    mem_free(t->slot);
    mem_free(t->maybe);
    mem_free(t->word);
    mem_free((void *)t->whole);
    mem_free(t->score);
    mem_free(t->trie.unit);
    mem_free(t->user);
    mem_free(t->continuation);
    mem_free(t->added);
    mem_free(t->raw.a);
    mem_free(t->normal.a);
    for (int i = 0; i < t->n_norm; i++)
        norm_release(&t->norm[i]);
    for (int i = 0; i < t->n_pre; i++) {
        tok_split_free(t->pre[i].split);
        mem_free(t->pre[i].string);
    }
    mem_free(t->before);
    mem_free(t->after);
    mem_free(t->path);
    mem_free(atomic_load(&t->spare));
    mem_free(t);
}

#define BYTES_MAX ((size_t)1 << 30)

static int add_bytes(struct tok *t, const char *bytes, size_t n, uint32_t *at, struct err *err)
{
    if (n > BYTES_MAX || t->bytes.len > BYTES_MAX)
        return ERR(err, RANGE, "a vocabulary of more than %zu bytes", BYTES_MAX);
    *at = (uint32_t)t->bytes.len;
    return buf_add(&t->bytes, bytes, n, err);
}

int tok_id_end(size_t n_token) { return n_token < TOK_VOCAB_MAX / 4 ? (int)(2 * n_token) + 65536 : TOK_VOCAB_MAX; }

int tok_set_entry(struct tok *t, int id, const char *bytes, size_t n, bool special, struct err *err)
{
    const int end = t->id_end ? t->id_end : TOK_VOCAB_MAX;
    if (id < 0 || id >= end)
        return ERR(err, RANGE, "token id %d, expected 0 to %d for as many tokens as there are", id, end - 1);
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
    struct tok_entry *e = &t->entry[id];
    if (e->used)
        return ERR(err, FORMAT, "token id %d is given twice", id);
    uint32_t at;
    TRY(add_bytes(t, bytes, n, &at, err));
    *e = (struct tok_entry){ .at = at, .n = (uint32_t)n, .text = at, .n_text = (uint32_t)n, .used = true, .special = special, .hidden = special };
    if (id >= t->n_entry)
        t->n_entry = id + 1;
    if (n == 1 && !special && t->byte_level)
        t->byte_id[(unsigned char)bytes[0]] = id;
    return 0;
}

int tok_set_text(struct tok *t, int id, const char *text, size_t n, struct err *err)
{
    TRY(add_bytes(t, text, n, &t->entry[id].text, err));
    t->entry[id].n_text = (uint32_t)n;
    return 0;
}

int tok_set_ids(int32_t **list, int *n, const int32_t *ids, int n_ids, struct err *err)
{
    int32_t *p = mem_realloc_array(*list, (size_t)(*n + n_ids) + 1, sizeof *p);
    if (!p)
        return ERR(err, NOMEM, "no memory for %d token ids", *n + n_ids);
    if (n_ids)
        memcpy(p + *n, ids, (size_t)n_ids * sizeof *p);
    *list = p, *n += n_ids;
    return 0;
}

int tok_add_added(struct tok *t, struct tok_added a, const char *content, size_t n, struct err *err)
{
    if (t->n_added == t->cap_added) {
        const int cap = t->cap_added ? 2 * t->cap_added : 32;
        struct tok_added *p = mem_realloc_array(t->added, (size_t)cap, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory for %d added tokens", cap);
        t->added = p, t->cap_added = cap;
    }
    TRY(add_bytes(t, content, n, &a.at, err));
    a.n = (uint32_t)n;
    t->added[t->n_added++] = a;
    return 0;
}

static uint64_t word_hash(const char *s, size_t n) { return hash64(s, n, 0); }

int tok_by_bytes(const struct tok *t, const char *s, size_t n)
{
    const uint64_t hash = word_hash(s, n);
    for (uint64_t h = hash & t->word_mask;; h = (h + 1) & t->word_mask) {
        const struct tok_word w = t->word[h];
        if (w.id < 0)
            return -1;
        if (w.tag == (uint32_t)(hash >> 32) && t->entry[w.id].n == n && !memcmp(t->bytes.data + t->entry[w.id].at, s, n))
            return w.id;
    }
}

int tok_index(struct tok *t, const char *name, struct err *err)
{
    size_t n = 64;
    while (n < 2 * (size_t)t->n_entry)
        n *= 2;
    if (!(t->word = mem_alloc_array(n, sizeof *t->word)))
        return ERR(err, NOMEM, "%s: no memory for its tables", name);
    t->word_mask = n - 1;
    memset(t->word, -1, n * sizeof *t->word);
    for (int id = 0; id < t->n_entry; id++) {
        const struct tok_entry *e = &t->entry[id];
        if (!e->used || e->hidden)
            continue;
        const int other = tok_by_bytes(t, t->bytes.data + e->at, e->n);
        if (other >= 0)
            return ERR(err, FORMAT, "%s: tokens %d and %d are the same text", name, other, id);
        const uint64_t hash = word_hash(t->bytes.data + e->at, e->n);
        uint64_t h = hash & t->word_mask;
        while (t->word[h].id >= 0)
            h = (h + 1) & t->word_mask;
        t->word[h] = (struct tok_word){ (uint32_t)(hash >> 32), id };
    }
    return 0;
}

/* ---- added tokens ---- */

static int by_content(const void *a, const void *b, void *bytes)
{
    const struct tok_added *const x = a, *const y = b;
    const int c = memcmp((char *)bytes + x->at, (char *)bytes + y->at, x->n < y->n ? x->n : y->n);
    return c ? c : (x->n > y->n) - (x->n < y->n);
}

static int added_set(struct tok *t, struct tok_added_set *set, bool normalized, struct err *err)
{
    if (!(set->a = mem_alloc_array((size_t)t->n_added + 1, sizeof *set->a)))
        return ERR(err, NOMEM, "no memory for %d added tokens", t->n_added);
    struct tok_run run = { .t = t, .err = err };
    buf_init(&run.norm[0]);
    buf_init(&run.norm[1]);
    int rc = 0;
    for (int i = 0; i < t->n_added && !rc; i++) {
        struct tok_added a = t->added[i];
        if ((a.normalized && t->n_norm) != normalized)
            continue;
        if (normalized && t->norm[0].kind != NORM_SPM) {      /* SentencePiece keeps its user-defined pieces as they are */
            struct buf content;                           /* the normalizer reads it while t->bytes moves */
            buf_init(&content);
            rc = buf_add(&content, t->bytes.data + a.at, a.n, err);
            const char *s = content.data;
            size_t n = content.len;
            if (!rc && !(rc = tok_normalize(&run, &s, &n)) && !(rc = add_bytes(t, s, n, &a.at, err)))
                a.n = (uint32_t)n;
            buf_release(&content);
        }
        if (!rc && a.n)
            set->a[set->n++] = a;
    }
    buf_release(&run.norm[0]);
    buf_release(&run.norm[1]);
    TRY(rc);
    qsort_r(set->a, (size_t)set->n, sizeof *set->a, by_content, t->bytes.data);
    for (int i = 0; i < set->n; i++) {
        set->starts[(unsigned char)t->bytes.data[set->a[i].at]] = true;
        set->any_special |= set->a[i].special, set->any_plain |= !set->a[i].special;
    }
    return 0;
}

/* The longest added token that begins at s, NULL if there is none; special ones up to n_special bytes only. */
static const struct tok_added *added_at(const struct tok *t, const struct tok_added_set *set, size_t n_special, const char *s, size_t n)
{
    const struct tok_added *best = NULL;
    int lo = 0, hi = set->n;
    for (size_t depth = 0; lo < hi; depth++) {
        while (lo < hi && set->a[lo].n == depth) {
            if (!set->a[lo].special || depth <= n_special)
                best = &set->a[lo];
            lo++;
        }
        if (depth == n)
            break;
        const unsigned char c = (unsigned char)s[depth];
#define BYTE(i) (unsigned char)t->bytes.data[set->a[i].at + depth]
        int from = lo, to = hi;                           /* the first with a byte >= c, then the first with one > c */
        while (from < to) {
            const int mid = (from + to) / 2;
            if (BYTE(mid) < c)
                from = mid + 1;
            else
                to = mid;
        }
        lo = from, to = hi;
        while (from < to) {
            const int mid = (from + to) / 2;
            if (BYTE(mid) <= c)
                from = mid + 1;
            else
                to = mid;
        }
        hi = from;
#undef BYTE
    }
    return best;
}

static bool word_before(const char *s, size_t at)
{
    size_t len, i = at ? at - 1 : 0;
    while (i && at - i < 4 && ((unsigned char)s[i] & 0xc0) == 0x80)
        i--;
    return at && tok_is_word_char(unicode_at((const unsigned char *)s + i, at - i, &len));
}

static bool word_after(const char *s, size_t n, size_t at)
{
    size_t len;
    return at < n && tok_is_word_char(unicode_at((const unsigned char *)s + at, n - at, &len));
}

static size_t spaces_after(const char *s, size_t n, size_t at)
{
    size_t len;
    while (at < n && unicode_set_at((const unsigned char *)s + at, n - at, &len) & IS_SPACE)
        at += len;
    return at;
}

static size_t spaces_before(const char *s, size_t from, size_t at)
{
    while (at > from) {
        size_t i = at - 1, len;
        while (i > from && at - i < 4 && ((unsigned char)s[i] & 0xc0) == 0x80)
            i--;
        if (!(unicode_set_at((const unsigned char *)s + i, at - i, &len) & IS_SPACE) || i + len != at)
            break;
        at = i;
    }
    return at;
}

/* Of the bytes from s on, how many a special token may take: those before the next one that a user typed. */
#define SPECIAL_MAX 4096
static size_t room_for_special(const struct tok_run *r, const struct tok_added_set *set, const char *s, size_t n)
{
    if (!(r->flags & TOK_SPECIALS))
        return 0;
    if (!r->input)
        return SIZE_MAX;
    if (set != &r->t->raw)                                /* normalised text has lost its places */
        return r->typed ? 0 : SIZE_MAX;
    n = n < SPECIAL_MAX ? n : SPECIAL_MAX;
    const char *mark = r->input + (s - r->origin), *typed = memchr(mark, 1, n);
    return typed ? (size_t)(typed - mark) : n;
}

/* The next added token at or after from: its place with the spaces that it takes along.  false: none. */
struct hit { size_t start, stop; const struct tok_added *a; };
static bool next_added(const struct tok_run *r, const struct tok_added_set *set, const char *s, size_t n, size_t from, struct hit *hit)
{
    const bool specials = r->flags & TOK_SPECIALS;
    if (!(set->any_plain || (specials && set->any_special)))
        return false;
    for (size_t i = from; i < n; i++) {
        if (!set->starts[(unsigned char)s[i]])
            continue;
        const struct tok_added *a = added_at(r->t, set, room_for_special(r, set, s + i, n - i), s + i, n - i);
        if (!a)
            continue;
        if (a->single_word && (word_before(s, i) || word_after(s, n, i + a->n))) {
            i += a->n - 1;
            continue;
        }
        *hit = (struct hit){ a->lstrip ? spaces_before(s, from, i) : i, a->rstrip ? spaces_after(s, n, i + a->n) : i + a->n, a };
        return true;
    }
    return false;
}

/* ---- encoding ---- */

static int push_id(struct tok_run *r, int32_t id)
{
    TRY(tok_ids_reserve(r->out, 1, r->err));
    r->out->id[r->out->n++] = id;
    return 0;
}

static int encode_pieces(struct tok_run *r, const char *s, size_t n)
{
    if (!n)
        return 0;
    TRY(tok_pretokenize(r, 0, s, n));
    return tok_pieces_end(r);
}

static int encode_segment(struct tok_run *r, const char *s, size_t n)
{
    if (!n)
        return 0;
    r->typed = r->input && memchr(r->input + (s - r->origin), 1, n);
    TRY(tok_normalize(r, &s, &n));
    if (!r->t->normal.n)
        return encode_pieces(r, s, n);
    struct hit hit;
    size_t from = 0;
    for (; next_added(r, &r->t->normal, s, n, from, &hit); from = hit.stop) {
        TRY(encode_pieces(r, s + from, hit.start - from));
        r->at_start = false;
        TRY(push_id(r, hit.a->id));
    }
    return encode_pieces(r, s + from, n - from);
}

static int encode(struct tok_run *r, const char *s, size_t n)
{
    const struct tok *t = r->t;
    for (int i = 0; r->flags & TOK_ADD && i < t->n_before; i++)
        TRY(push_id(r, t->before[i]));
    struct hit hit;
    size_t from = 0;
    for (; next_added(r, &t->raw, s, n, from, &hit); from = hit.stop) {
        r->at_start = !from;
        TRY(encode_segment(r, s + from, hit.start - from));
        TRY(push_id(r, hit.a->id));
    }
    r->at_start = !from;
    TRY(encode_segment(r, s + from, n - from));
    for (int i = 0; r->flags & TOK_ADD && i < t->n_after; i++)
        TRY(push_id(r, t->after[i]));
    return 0;
}

void *tok_scratch(struct tok_run *r, size_t n)
{
    if (n <= r->n_scratch)
        return r->scratch;
    const size_t size = n + n / 2;
    mem_free(r->scratch);
    r->scratch = mem_alloc(size);
    r->n_scratch = r->scratch ? size : 0;
    return r->scratch;
}

#define CACHE_MAX 65536                                   /* 4 MB, for texts of half a megabyte and more */
#define CACHE_MIN 256
#define CACHE_LINE 64

static struct tok_cache *cache_new(size_t size)
{
    static_assert(sizeof(struct tok_cached) == CACHE_LINE, "a look touches one line");
    struct tok_cache *c = mem_alloc_zero(sizeof *c + CACHE_LINE - 1 + size * CACHE_LINE);
    if (c)
        *c = (struct tok_cache){ .mask = size - 1, .at = (void *)(((uintptr_t)(c + 1) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE) };
    return c;
}

/* A piece may be in either of two lines that lie together.  The pieces met before: taken from the tokenizer when no other thread has it, else made to the size of the text.  One that was filled
 * more than twice over is too small for the texts that come, however short each of them is. */
static struct tok_cache *cache_take(const struct tok *t, size_t n)
{
    struct tok_cache *c = atomic_exchange((_Atomic(struct tok_cache *) *)(uintptr_t)&t->spare, NULL);
    size_t size = CACHE_MIN;
    while (size < CACHE_MAX && size < n / 8)
        size *= 2;
    if (c && c->n_stored / 2 > c->mask && c->mask < CACHE_MAX - 1)
        size = size > 4 * (c->mask + 1) ? size : 4 * (c->mask + 1);
    if (c && c->mask + 1 >= size)
        return c;
    mem_free(c);
    return cache_new(size);                               /* without it, only slower */
}

static void cache_give(const struct tok *t, struct tok_cache *c)
{
    mem_free(atomic_exchange((_Atomic(struct tok_cache *) *)(uintptr_t)&t->spare, c));
}

int tok_encode(const struct tok *t, const char *text, size_t n, unsigned flags, struct tok_ids *out, struct err *err)
{
    return tok_encode_marked(t, text, NULL, n, flags, out, err);
}

int tok_encode_marked(const struct tok *t, const char *text, const char *input, size_t n, unsigned flags, struct tok_ids *out, struct err *err)
{
    struct tok_run r = { .t = t, .flags = flags, .out = out, .err = err, .origin = text, .n_origin = n, .input = input };
    const size_t n_before = out->n;
    for (int i = 0; i < 2; i++)
        buf_init(&r.norm[i]);
    for (int i = 0; i <= t->n_pre; i++)
        buf_init(&r.pre[i]);
    r.cache = cache_take(t, n);
    const int rc = encode(&r, text, n);
    cache_give(t, r.cache);
    for (int i = 0; i < 2; i++)
        buf_release(&r.norm[i]);
    for (int i = 0; i <= t->n_pre; i++)
        buf_release(&r.pre[i]);
    mem_free(r.scratch);
    if (rc < 0)
        out->n = n_before;
    return rc < 0 ? rc : 0;
}

/* Words that name the bytes: n is part of the key, so overlapping loads tell all of them. */
static uint64_t cache_key(const char *s, size_t n, uint64_t key[4])
{
    memset(key, 0, 4 * sizeof *key);
    if (n > 16) {
        memcpy(key, s, 16), memcpy(key + 2, s + n - 16, 16);
    } else if (n >= 8) {
        memcpy(key, s, 8), memcpy(key + 1, s + n - 8, 8);
    } else if (n >= 4) {
        uint32_t x, y;
        memcpy(&x, s, 4), memcpy(&y, s + n - 4, 4);
        key[0] = x | (uint64_t)y << 32;
    } else {
        key[0] = (uint8_t)s[0] | (uint64_t)(uint8_t)s[n / 2] << 8 | (uint64_t)(uint8_t)s[n - 1] << 16;
    }
    uint64_t h = (key[0] ^ n) * 0x9e3779b97f4a7c15u ^ (key[1] + 0x165667b19e3779f9u) * 0xc2b2ae3d27d4eb4fu;
    if (n > 16)
        h ^= (key[2] ^ h >> 29) * 0x9e3779b97f4a7c15u ^ (key[3] + h) * 0xff51afd7ed558ccdu;
    return h ^ h >> 32;
}

static int model_piece(struct tok_run *r, const char *s, size_t n)
{
    switch (r->t->model) {
    case TOK_MODEL_UNIGRAM: return tok_unigram_piece(r, s, n);
    case TOK_MODEL_WORDPIECE: return tok_wordpiece_piece(r, s, n);
    default: return tok_bpe_piece(r, s, n);
    }
}

static bool is_in(const struct tok_cached *c, const struct tok_waiting *w)
{
    return c->len == w->n && c->key[0] == w->key[0] && c->key[1] == w->key[1] && c->key[2] == w->key[2] && c->key[3] == w->key[3];
}

/* The ids of the piece that waits longest. */
static int end_piece(struct tok_run *r)
{
    const struct tok_waiting *w = &r->waiting[r->n_ended++ % TOK_WAITING];
    struct tok_ids *out = r->out;
    TRY(tok_ids_reserve(out, TOK_CACHE_IDS, r->err));
    for (int i = 0; i < 2; i++)
        if (is_in(&w->set[i], w)) {
            memcpy(out->id + out->n, w->set[i].id, sizeof w->set[i].id);
            out->n += w->set[i].n;
            return 0;
        }
    const size_t from = out->n;
    TRY(model_piece(r, w->s, w->n));
    if (out->n - from <= TOK_CACHE_IDS) {
        r->cache->n_stored++;
        w->set[1] = w->set[0];
        w->set[0] = (struct tok_cached){ .len = w->n, .n = (uint8_t)(out->n - from) };
        memcpy(w->set[0].key, w->key, sizeof w->key);
        memcpy(w->set[0].id, out->id + from, (out->n - from) * sizeof *out->id);
    }
    return 0;
}

int tok_pieces_end(struct tok_run *r)
{
    while (r->n_ended != r->n_begun)
        TRY(end_piece(r));
    return 0;
}

int tok_piece(struct tok_run *r, const char *s, size_t n)
{
    if (n > TOK_CACHE_BYTES || !r->cache) {
        TRY(tok_pieces_end(r));
        return model_piece(r, s, n);
    }
    if (r->n_begun - r->n_ended == TOK_WAITING)
        TRY(end_piece(r));
    struct tok_waiting *w = &r->waiting[r->n_begun++ % TOK_WAITING];
    w->set = &r->cache->at[cache_key(s, n, w->key) >> 8 & r->cache->mask & ~(size_t)1];
    __builtin_prefetch(w->set);
    w->s = s >= r->origin && s < r->origin + r->n_origin ? s : memcpy(w->copy, s, n);
    w->n = (uint8_t)n;
    return 0;
}

/* ---- decoding ---- */

int tok_vocab_size(const struct tok *t) { return t->n_entry; }
const int32_t *tok_gaps(const struct tok *t, int *n) { *n = t->n_gap; return t->gap; }
int tok_eot(const struct tok *t) { return t->eot; }
int tok_bos(const struct tok *t) { return t->bos; }

const char *tok_kind(const struct tok *t)
{
    return t->model == TOK_MODEL_UNIGRAM ? "Unigram" : t->model == TOK_MODEL_WORDPIECE ? "WordPiece" : t->byte_level ? "byte-level BPE" : "BPE";
}

static bool is_used(const struct tok *t, int id) { return id >= 0 && id < t->n_entry && t->entry[id].used; }
bool tok_is_special(const struct tok *t, int id) { return is_used(t, id) && t->entry[id].special; }
bool tok_is_eog(const struct tok *t, int id) { return is_used(t, id) && t->entry[id].eog; }

const char *tok_bytes(const struct tok *t, int id, size_t *n)
{
    if (!is_used(t, id))
        return NULL;
    *n = t->entry[id].n_text;
    return t->bytes.data + t->entry[id].text;
}

int tok_special(const struct tok *t, const char *text)
{
    const size_t n = strlen(text);
    for (int id = 0; id < t->n_entry; id++)
        if (t->entry[id].used && t->entry[id].special && t->entry[id].n == n && !memcmp(t->bytes.data + t->entry[id].at, text, n))
            return id;
    return -1;
}

/* One token's text.  begun: something was decoded before. */
static int decode_one(const struct tok *t, int32_t id, bool begun, struct buf *out, struct err *err)
{
    size_t n;
    const char *s = tok_bytes(t, id, &n);
    if (!s)
        return ERR(err, RANGE, "token id %d, expected one of the %d of the vocabulary", id, t->n_entry);
    const struct tok_entry *e = &t->entry[id];
    if (t->strip_space && !begun && !e->special && n && s[0] == ' ')
        s++, n--;
    if (t->wordpiece_text && begun && e->at == e->text)     /* a continuation has a text of its own, without ## */
        TRY(buf_add_char(out, ' ', err));
    return buf_add(out, s, n, err);
}

int tok_decode(const struct tok *t, const int32_t *ids, size_t n, struct buf *out, struct err *err)
{
    bool begun = false;
    for (size_t i = 0; i < n; i++) {
        TRY(decode_one(t, ids[i], begun, out, err));
        begun |= !tok_is_special(t, ids[i]);
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

void tok_stream_begin(struct tok_stream *s, const struct tok *t, unsigned flags) { *s = (struct tok_stream){ .t = t, .flags = flags }; }

int tok_stream_add(struct tok_stream *s, int32_t id, struct buf *out, struct err *err)
{
    if (s->flags & TOK_SKIP_SPECIALS && tok_is_special(s->t, id))
        return 0;
    const size_t before = out->len;
    int rc = buf_add(out, s->held, s->n_held, err);
    if (!rc)
        rc = decode_one(s->t, id, s->begun, out, err);
    if (rc < 0) {
        out->len = before, out->data[before] = 0;
        return rc;
    }
    s->begun |= !tok_is_special(s->t, id);
    s->n_held = (uint8_t)tok_utf8_tail(out->data + before, out->len - before);
    out->len -= s->n_held;
    memcpy(s->held, out->data + out->len, s->n_held);
    out->data[out->len] = 0;
    return 0;
}

int tok_stream_end(struct tok_stream *s, struct buf *out, struct err *err)
{
    TRY(buf_add(out, s->held, s->n_held, err));
    s->n_held = 0;
    return 0;
}

/* ---- after the last entry ---- */

static const char *const end_names[] = {
    "<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|return|>", "<|call|>",
    "<|end_of_turn|>", "<|eot|>", "<|eom|>", "<\xef\xbd\x9c""end\xe2\x96\x81""of\xe2\x96\x81sentence\xef\xbd\x9c>", "<|END_OF_TURN_TOKEN|>", "<EOT>", "<|user|>", "<turn|>", "[EOS]",
};
#define N_END_NAMES (int)(sizeof end_names / sizeof *end_names)
#define N_TEXT_ENDS 4                                     /* the first ones end a text, the others a turn or a message */

/* Where a text ends by <|return|> or <|call|> (gpt-oss), <|end|> is the end of a message of the answer, and more follow: llama.cpp's rule. */
static void keep_messages(struct tok *t)
{
    const int end = tok_special(t, "<|end|>");
    if (end >= 0 && tok_special(t, "<|return|>") >= 0 && tok_special(t, "<|call|>") >= 0)
        t->entry[end].eog = false;
}

static void find_ends(struct tok *t)
{
    for (int id = 0; id < t->n_entry; id++) {
        struct tok_entry *e = &t->entry[id];
        for (int i = 0; e->used && e->special && i < N_END_NAMES; i++)
            e->eog |= strlen(end_names[i]) == e->n && !memcmp(t->bytes.data + e->at, end_names[i], e->n);
    }
    if (is_used(t, t->eos))
        t->entry[t->eos].eog = true;
    keep_messages(t);
    t->eot = t->eos;
    for (int i = 0; i < N_TEXT_ENDS && t->eot < 0; i++)
        t->eot = tok_special(t, end_names[i]);
}

static int add_specials(struct tok *t, struct err *err)
{
    bool *has = mem_alloc_array((size_t)t->n_entry + 1, sizeof *has);
    if (!has)
        return ERR(err, NOMEM, "no memory for %d tokens", t->n_entry);
    int rc = 0;
    for (int i = 0; i < t->n_added; i++)
        has[t->added[i].id] = true;
    for (int id = 0; id < t->n_entry && !rc; id++)
        if (t->entry[id].used && t->entry[id].special && !has[id] && t->entry[id].n) {
            const struct tok_entry e = t->entry[id];
            struct buf content;                           /* t->bytes moves while it grows */
            buf_init(&content);
            if (!(rc = buf_add(&content, t->bytes.data + e.at, e.n, err)))
                rc = tok_add_added(t, (struct tok_added){ .id = id, .special = true }, content.data, content.len, err);
            buf_release(&content);
        }
    mem_free(has);
    return rc;
}

/* The last entry is one that is used. */
static int find_gaps(struct tok *t, const char *name, struct err *err)
{
    int n = 0;
    while (t->n_entry && !t->entry[t->n_entry - 1].used)
        t->n_entry--;
    for (int i = 0; i < t->n_entry; i++)
        n += !t->entry[i].used;
    if (n && !(t->gap = mem_alloc_array((size_t)n, sizeof *t->gap)))
        return ERR(err, NOMEM, "%s: no memory for its gaps", name);
    for (int i = 0; i < t->n_entry; i++)
        if (!t->entry[i].used)
            t->gap[t->n_gap++] = i;
    return 0;
}

int tok_finish(struct tok *t, const char *name, struct err *err)
{
    TRY(find_gaps(t, name, err));
    if (!t->n_entry)
        return ERR(err, FORMAT, "%s: the vocabulary is empty", name);
    if (!t->word)
        TRY(tok_index(t, name, err));
    TRY(t->model == TOK_MODEL_UNIGRAM ? tok_unigram_finish(t, name, err) : t->model == TOK_MODEL_BPE ? tok_bpe_finish(t, name, err) : 0);
    TRY(add_specials(t, err));
    TRY(added_set(t, &t->raw, false, err));
    TRY(added_set(t, &t->normal, true, err));
    find_ends(t);
    return 0;
}
