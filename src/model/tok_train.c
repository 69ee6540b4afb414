/* tok_train.c - learning a byte-level BPE vocabulary from text.
 *
 * Pieces are counted once; then the most frequent pair of neighbours is merged again and again.  Each pair knows its
 * count and the pieces it was seen in; a heap offers the largest count, and an offer whose count has changed since goes
 * back with the count of now (as Hugging Face's trainer; the ties are its ties too). */
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "model/tok_impl.h"
#include "model/tok_split.h"

struct piece { const char *text; uint32_t len, n; int32_t *sym; int64_t count; };      /* n symbols, once it is split */
struct pair { int32_t left, right; int64_t count; int32_t *piece; uint32_t n_piece, cap_piece; };
struct offer { int64_t count; int32_t left, right, i_pair; };

struct trainer {
    struct piece *piece; size_t n_piece, cap_piece;
    int32_t *piece_slot; size_t piece_mask;
    struct pair *pair; size_t n_pair, cap_pair;
    int32_t *pair_slot; size_t pair_mask;
    struct offer *heap; size_t n_heap, cap_heap;
    int32_t *symbols;                     /* all pieces' symbols, one after the other */
    struct err *err;
};

#define NO_MEMORY(t) ERR((t)->err, NOMEM, "no memory to train a tokenizer on this much text")

/* Makes room for one more; 0 or an error. */
static int grow(struct trainer *t, void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return 0;
    const size_t more = *cap ? 2 * *cap : 1024;
    void *p = mem_realloc_array(*(void **)array, more, size);
    if (!p)
        return NO_MEMORY(t);
    *(void **)array = p, *cap = more;
    return 0;
}

/* ---- counting pieces ---- */

static int piece_table(struct trainer *t, size_t n_slot)
{
    int32_t *slot = mem_alloc_array(n_slot, sizeof *slot);
    if (!slot)
        return NO_MEMORY(t);
    memset(slot, -1, n_slot * sizeof *slot);
    for (size_t i = 0; i < t->n_piece; i++) {
        size_t h = hash64(t->piece[i].text, t->piece[i].len, 0) & (n_slot - 1);
        while (slot[h] >= 0)
            h = (h + 1) & (n_slot - 1);
        slot[h] = (int32_t)i;
    }
    mem_free(t->piece_slot);
    t->piece_slot = slot, t->piece_mask = n_slot - 1;
    return 0;
}

static int count_piece(struct trainer *t, const char *s, size_t n)
{
    if (2 * t->n_piece >= t->piece_mask)
        TRY(piece_table(t, t->piece_mask ? 2 * (t->piece_mask + 1) : 4096));
    size_t h = hash64(s, n, 0) & t->piece_mask;
    for (; t->piece_slot[h] >= 0; h = (h + 1) & t->piece_mask) {
        struct piece *p = &t->piece[t->piece_slot[h]];
        if (p->len == n && !memcmp(p->text, s, n)) {
            p->count++;
            return 0;
        }
    }
    TRY(grow(t, &t->piece, t->n_piece, &t->cap_piece, sizeof *t->piece));
    t->piece_slot[h] = (int32_t)t->n_piece;
    t->piece[t->n_piece++] = (struct piece){ .text = s, .len = (uint32_t)n, .count = 1 };
    return 0;
}

/* A piece longer than this is cut: it carries no statistics worth its cost. */
#define PIECE_MAX 4096

static int count_text(struct trainer *t, const char *s, size_t n)
{
    for (size_t i = 0, len; i < n; i += len) {
        len = tok_match_gpt2((const unsigned char *)s + i, n - i);
        for (size_t j = 0; j < len; j += PIECE_MAX)
            TRY(count_piece(t, s + i + j, len - j < PIECE_MAX ? len - j : PIECE_MAX));
    }
    return 0;
}

/* ---- pairs ---- */

static int pair_table(struct trainer *t, size_t n_slot)
{
    int32_t *slot = mem_alloc_array(n_slot, sizeof *slot);
    if (!slot)
        return NO_MEMORY(t);
    memset(slot, -1, n_slot * sizeof *slot);
    for (size_t i = 0; i < t->n_pair; i++) {
        size_t h = tok_pair_hash(t->pair[i].left, t->pair[i].right) & (n_slot - 1);
        while (slot[h] >= 0)
            h = (h + 1) & (n_slot - 1);
        slot[h] = (int32_t)i;
    }
    mem_free(t->pair_slot);
    t->pair_slot = slot, t->pair_mask = n_slot - 1;
    return 0;
}

/* Index of a pair, made when it is new. */
static int pair_at(struct trainer *t, int32_t left, int32_t right, int32_t *out)
{
    if (2 * t->n_pair >= t->pair_mask)
        TRY(pair_table(t, t->pair_mask ? 2 * (t->pair_mask + 1) : 4096));
    size_t h = tok_pair_hash(left, right) & t->pair_mask;
    for (; t->pair_slot[h] >= 0; h = (h + 1) & t->pair_mask) {
        const struct pair *p = &t->pair[t->pair_slot[h]];
        if (p->left == left && p->right == right) {
            *out = t->pair_slot[h];
            return 0;
        }
    }
    TRY(grow(t, &t->pair, t->n_pair, &t->cap_pair, sizeof *t->pair));
    *out = t->pair_slot[h] = (int32_t)t->n_pair;
    t->pair[t->n_pair++] = (struct pair){ .left = left, .right = right };
    return 0;
}

static int change_pair(struct trainer *t, int32_t left, int32_t right, int64_t by, int32_t i_piece, int32_t *out)
{
    TRY(pair_at(t, left, right, out));
    struct pair *p = &t->pair[*out];
    p->count += by;
    if (by < 0 || (p->n_piece && p->piece[p->n_piece - 1] == i_piece))
        return 0;
    if (p->n_piece == p->cap_piece) {
        const uint32_t cap = p->cap_piece ? 2 * p->cap_piece : 4;
        int32_t *more = mem_realloc_array(p->piece, cap, sizeof *more);
        if (!more)
            return NO_MEMORY(t);
        p->piece = more, p->cap_piece = cap;
    }
    p->piece[p->n_piece++] = i_piece;
    return 0;
}

static bool better(const struct offer *a, const struct offer *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    return a->left != b->left ? a->left < b->left : a->right < b->right;
}

static int offer(struct trainer *t, int32_t i_pair)
{
    const struct pair *p = &t->pair[i_pair];
    if (p->count < 2)
        return 0;
    TRY(grow(t, &t->heap, t->n_heap, &t->cap_heap, sizeof *t->heap));
    const struct offer o = { p->count, p->left, p->right, i_pair };
    size_t i = t->n_heap++;
    for (; i && better(&o, &t->heap[(i - 1) / 2]); i = (i - 1) / 2)
        t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = o;
    return 0;
}

static struct offer take_offer(struct trainer *t)
{
    const struct offer top = t->heap[0], last = t->heap[--t->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < t->n_heap; i = child) {
        child += child + 1 < t->n_heap && better(&t->heap[child + 1], &t->heap[child]);
        if (!better(&t->heap[child], &last))
            break;
        t->heap[i] = t->heap[child];
    }
    t->heap[i] = last;
    return top;
}

/* ---- merging ---- */

static int split_pieces(struct trainer *t, const struct tok *tok)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_piece; i++)
        n += t->piece[i].len;
    if (!(t->symbols = mem_alloc_array(n + 1, sizeof *t->symbols)))
        return NO_MEMORY(t);
    n = 0;
    for (size_t i = 0; i < t->n_piece; i++) {
        struct piece *p = &t->piece[i];
        p->sym = t->symbols + n, p->n = p->len, n += p->len;
        for (uint32_t j = 0; j < p->n; j++)
            p->sym[j] = tok->byte_id[(unsigned char)p->text[j]];
        int32_t unused;
        for (uint32_t j = 0; j + 1 < p->n; j++)
            TRY(change_pair(t, p->sym[j], p->sym[j + 1], p->count, (int32_t)i, &unused));
    }
    for (size_t i = 0; i < t->n_pair; i++)
        TRY(offer(t, (int32_t)i));
    return 0;
}

static int touch(struct trainer *t, struct tok_ids *touched, int32_t i_pair)
{
    TRY(grow(t, &touched->id, touched->n, &touched->cap, sizeof *touched->id));
    touched->id[touched->n++] = i_pair;
    return 0;
}

/* Merges a pair in one piece; pairs that are made or grow are offered by the caller, from `touched`. */
static int merge_in(struct trainer *t, int32_t i_piece, int32_t left, int32_t right, int32_t into, struct tok_ids *touched)
{
    struct piece *p = &t->piece[i_piece];
    uint32_t n = 0;
    for (uint32_t j = 0; j < p->n; j++) {
        if (p->sym[j] != left || j + 1 == p->n || p->sym[j + 1] != right) {
            p->sym[n++] = p->sym[j];
            continue;
        }
        int32_t made, unused;
        if (n) {
            TRY(change_pair(t, p->sym[n - 1], left, -p->count, i_piece, &unused));
            TRY(change_pair(t, p->sym[n - 1], into, p->count, i_piece, &made));
            TRY(touch(t, touched, made));
        }
        if (j + 2 < p->n) {
            TRY(change_pair(t, right, p->sym[j + 2], -p->count, i_piece, &unused));
            TRY(change_pair(t, into, p->sym[j + 2], p->count, i_piece, &made));
            TRY(touch(t, touched, made));
        }
        p->sym[n++] = into;
        j++;
    }
    p->n = n;
    return 0;
}

static int by_value(const void *a, const void *b) { return (*(const int32_t *)a > *(const int32_t *)b) - (*(const int32_t *)a < *(const int32_t *)b); }

static int learn(struct trainer *t, struct tok *tok, int vocab_size)
{
    struct tok_ids touched = { 0 };
    struct buf bytes;
    buf_init(&bytes);
    int rc = 0;
    while (!rc && tok->n_entry < vocab_size && t->n_heap) {
        const struct offer o = take_offer(t);
        if (o.count != t->pair[o.i_pair].count) {
            rc = offer(t, o.i_pair);
            continue;
        }
        const int into = tok->n_entry;
        const struct tok_entry a = tok->entry[o.left], b = tok->entry[o.right];
        buf_clear(&bytes);
        if ((rc = buf_add(&bytes, tok->bytes.data + a.at, a.n, t->err)) || (rc = buf_add(&bytes, tok->bytes.data + b.at, b.n, t->err)) ||
            (rc = tok_set_entry(tok, into, bytes.data, bytes.len, false, t->err)) || (rc = tok_add_merge(tok, o.left, o.right, into, tok->n_merge, t->err)))
            break;
        touched.n = 0;
        const uint32_t n = t->pair[o.i_pair].n_piece;
        for (uint32_t i = 0; i < n && !rc; i++)
            rc = merge_in(t, t->pair[o.i_pair].piece[i], o.left, o.right, into, &touched);
        t->pair[o.i_pair].count = 0;
        if (touched.n)
            qsort(touched.id, touched.n, sizeof *touched.id, by_value);
        for (size_t i = 0; i < touched.n && !rc; i++)
            if (!i || touched.id[i] != touched.id[i - 1])
                rc = offer(t, touched.id[i]);
    }
    tok_ids_release(&touched);
    buf_release(&bytes);
    return rc;
}

static int new_gpt2(struct tok **out, struct err *err)
{
    TRY(tok_new(out, err));
    struct tok *t = *out;
    t->byte_level = true;
    t->pre[t->n_pre++] = (struct tok_pre){ .kind = PRE_BYTES };
    const int rc = tok_split_gpt2(&t->pre[0].split, "the trained tokenizer", err);
    if (rc < 0) {
        tok_free(t);
        *out = NULL;
    }
    return rc;
}

/* The bytes in the order of their characters in tokenizer.json: printable first (the order of GPT-2's vocabulary). */
static int add_bytes(struct tok *tok, struct err *err)
{
    for (int late = 0; late < 2; late++)
        for (int b = 0; b < 256; b++) {
            const bool prints = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
            if (prints != late)
                TRY(tok_set_entry(tok, tok->n_entry, &(char){ (char)b }, 1, false, err));
        }
    return 0;
}

static int train(struct trainer *t, struct tok *tok, const struct tok_text *text, int n_text, int vocab_size)
{
    static const char eot[] = "<|endoftext|>";
    TRY(tok_set_entry(tok, 0, eot, sizeof eot - 1, true, t->err));
    TRY(add_bytes(tok, t->err));
    for (int i = 0; i < n_text; i++)
        TRY(count_text(t, text[i].data, text[i].n));
    if (!t->n_piece)
        return ERR(t->err, USAGE, "there is no text to train a tokenizer on");
    TRY(split_pieces(t, tok));
    TRY(learn(t, tok, vocab_size));
    return tok_finish(tok, "the trained tokenizer", t->err);
}

#define VOCAB_MIN 257      /* the bytes and <|endoftext|> */

int tok_train_bpe(struct tok **out, const struct tok_text *text, int n_text, int vocab_size, struct err *err)
{
    *out = NULL;
    if (vocab_size < VOCAB_MIN || vocab_size > TOK_VOCAB_MAX)
        return ERR(err, USAGE, "a vocabulary of %d tokens, expected %d to %d", vocab_size, VOCAB_MIN, TOK_VOCAB_MAX);
    struct trainer t = { .err = err };
    struct tok *tok;
    int rc = new_gpt2(&tok, err);
    if (!rc)
        rc = train(&t, tok, text, n_text, vocab_size);
    for (size_t i = 0; i < t.n_pair; i++)
        mem_free(t.pair[i].piece);
    mem_free(t.pair);
    mem_free(t.pair_slot);
    mem_free(t.piece);
    mem_free(t.piece_slot);
    mem_free(t.heap);
    mem_free(t.symbols);
    if (rc < 0)
        tok_free(tok);
    else
        *out = tok;
    return rc;
}

int tok_from_bytes(struct tok **out, const struct tok_text *text, int n_text, struct err *err)
{
    bool seen[256] = { false };
    struct tok *tok;
    *out = NULL;
    TRY(new_gpt2(&tok, err));
    for (int i = 0; i < n_text; i++)
        for (size_t j = 0; j < text[i].n; j++)
            seen[(unsigned char)text[i].data[j]] = true;
    int rc = 0;
    for (int b = 0; b < 256 && !rc; b++)
        if (seen[b])
            rc = tok_set_entry(tok, tok->n_entry, &(char){ (char)b }, 1, false, err);
    if (!rc && !tok->n_entry)
        rc = ERR(err, USAGE, "there is no text to make a vocabulary from");
    if (!rc)
        rc = tok_finish(tok, "the vocabulary of bytes", err);
    if (rc < 0)
        tok_free(tok);
    else
        *out = tok;
    return rc;
}
