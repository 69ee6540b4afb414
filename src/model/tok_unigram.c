/* tok_unigram.c - the most probable way to cut a piece into tokens: one pass over its characters, all tokens that begin at each
 * found in a double array (trie), then back along the best.
 *
 * A character that no token covers alone can be unknown, at the lowest score less 10; neighbouring unknown ones are one.  The
 * first of equal ways wins.  SentencePiece adds scores in float, tokenizers in double: rounding decides between ways that are
 * almost equal, so each is done as its own. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "model/tok_impl.h"
#include "model/unicode.h"

/* ---- the trie ---- */

/* unit[node].base + byte + 1 is the child, whose check is node + 1; child 0 (base itself) holds the token: base = -1 - id. */
struct builder { struct tok_trie *trie; size_t cap, first_free, used; const struct tok *t; const int32_t *sorted; const char *name; struct err *err; };

static int trie_grow(struct builder *b, size_t n)
{
    if (n <= b->cap)
        return 0;
    size_t cap = b->cap ? b->cap : 1024;
    while (cap < n)
        cap *= 2;
    struct tok_trie_unit *p = cap > INT32_MAX / 2 ? NULL : mem_realloc_array(b->trie->unit, cap, sizeof *p);
    if (!p)
        return ERR(b->err, NOMEM, "%s: no memory for its trie", b->name);
    memset(p + b->cap, 0, (cap - b->cap) * sizeof *p);
    b->trie->unit = p, b->cap = cap;
    return 0;
}

static unsigned code_at(const struct builder *b, int i, size_t depth)
{
    const struct tok_entry *e = &b->t->entry[b->sorted[i]];
    return depth < e->n ? 1u + (unsigned char)b->t->bytes.data[e->at + depth] : 0;
}

/* Places the children of a node: the tokens sorted[lo..hi-1], which share their first depth bytes. */
static int trie_place(struct builder *b, int32_t node, int lo, int hi, size_t depth)
{
    unsigned codes[257];
    int begin[258], n = 0;
    for (int i = lo; i < hi; i++) {
        const unsigned c = code_at(b, i, depth);
        if (!n || codes[n - 1] != c)
            codes[n] = c, begin[n++] = i;
    }
    begin[n] = hi;
    size_t base = b->first_free > codes[0] ? b->first_free - codes[0] : 1, tried = 0;
    for (;; base++, tried++) {
        TRY(trie_grow(b, base + 258));
        int k = 0;
        while (k < n && !b->trie->unit[base + codes[k]].check)
            k++;
        if (k == n && base)
            break;
    }
    if (tried > 64)                                       /* crowded here: look further on from now */
        b->first_free = base + codes[0];
    b->trie->unit[node].base = (int32_t)base;
    for (int k = 0; k < n; k++) {
        b->trie->unit[base + codes[k]].check = node + 1;
        if (base + codes[k] + 1 > b->trie->n)
            b->trie->n = base + codes[k] + 1;
    }
    for (int k = 0; k < n; k++) {
        const int32_t child = (int32_t)(base + codes[k]);
        if (!codes[k])
            b->trie->unit[child].base = -1 - b->sorted[begin[k]];
        else
            TRY(trie_place(b, child, begin[k], begin[k + 1], depth + 1));
    }
    return 0;
}

#define PIECE_MAX 1024      /* bytes of a token: the depth of the recursion */

int tok_trie_build(struct tok_trie *trie, const struct tok *t, const int32_t *sorted, int n, const char *name, struct err *err)
{
    struct builder b = { .trie = trie, .first_free = 1, .t = t, .sorted = sorted, .name = name, .err = err };
    for (int i = 0; i < n; i++)
        if (t->entry[sorted[i]].n > PIECE_MAX)
            return ERR(err, RANGE, "%s: token %d has %u bytes, expected at most %d", name, sorted[i], t->entry[sorted[i]].n, PIECE_MAX);
    TRY(trie_grow(&b, 1024));
    trie->n = 1;
    trie->unit[0].check = 1;
    return n ? trie_place(&b, 0, 0, n, 0) : 0;
}

/* ---- the vocabulary ---- */

static int by_piece(const void *a, const void *b, void *tok)
{
    const struct tok *t = tok;
    const struct tok_entry *x = &t->entry[*(const int32_t *)a], *y = &t->entry[*(const int32_t *)b];
    const int c = memcmp(t->bytes.data + x->at, t->bytes.data + y->at, x->n < y->n ? x->n : y->n);
    return c ? c : (x->n > y->n) - (x->n < y->n);
}

#define UNKNOWN_PENALTY 10

int tok_unigram_finish(struct tok *t, const char *name, struct err *err)
{
    int32_t *sorted = mem_alloc_array((size_t)t->n_entry + 1, sizeof *sorted);
    if (!sorted)
        return ERR(err, NOMEM, "%s: no memory for its trie", name);
    int n = 0;
    for (int id = 0; id < t->n_entry; id++)
        if (t->entry[id].used && !t->entry[id].hidden && t->entry[id].n)
            sorted[n++] = id;
    qsort_r(sorted, (size_t)n, sizeof *sorted, by_piece, t);
    const int rc = tok_trie_build(&t->trie, t, sorted, n, name, err);
    mem_free(sorted);
    return rc;
}

/* ---- a piece ---- */

struct way { double score; int32_t id, from; };          /* the best way to here: its last token, and where that begins */

static double plus(const struct tok *t, double sum, double score) { return t->single ? (double)((float)sum + (float)score) : sum + score; }

static void reach(const struct tok *t, struct way *way, size_t from, size_t to, int32_t id, double score)
{
    const double sum = plus(t, way[from].score, score);
    if (way[to].from < 0 || sum > way[to].score)
        way[to] = (struct way){ sum, id, (int32_t)from };
}

static int push_unknown(struct tok_run *r, const char *s, size_t n)
{
    const struct tok *t = r->t;
    bool bytes = t->byte_fallback;
    for (size_t i = 0; i < n && bytes; i++)
        bytes = t->byte_id[(unsigned char)s[i]] >= 0;
    if (!bytes && t->unk < 0)
        return ERR(r->err, FORMAT, "'%.*s' is not in the tokenizer's vocabulary, which has no unknown token", (int)(n < 40 ? n : 40), s);
    TRY(tok_ids_reserve(r->out, bytes ? n : 1, r->err));
    if (!bytes)
        r->out->id[r->out->n++] = t->unk;
    for (size_t i = 0; i < n && bytes; i++)
        r->out->id[r->out->n++] = t->byte_id[(unsigned char)s[i]];
    return 0;
}

int tok_unigram_piece(struct tok_run *r, const char *s, size_t n)
{
    const struct tok *t = r->t;
    const struct tok_trie_unit *unit = t->trie.unit;
    struct way *way = n < INT32_MAX ? tok_scratch(r, (n + 1) * (sizeof *way + sizeof(int32_t))) : NULL;
    if (!way)
        return ERR(r->err, NOMEM, "no memory to tokenize %zu bytes without a break", n);
    int32_t *ends = (int32_t *)(way + n + 1);
    way[0] = (struct way){ 0, -1, 0 };
    for (size_t i = 1; i <= n; i++)
        way[i].from = -1;
    for (size_t at = 0, len; at < n; at += len) {
        unicode_at((const unsigned char *)s + at, n - at, &len);
        bool alone = false;
        size_t node = 0;
        for (size_t i = at; i < n; i++) {
            const size_t child = (size_t)unit[node].base + 1 + (unsigned char)s[i];
            if (child >= t->trie.n || (size_t)unit[child].check != node + 1)
                break;
            node = child;
            const size_t leaf = (size_t)unit[node].base;
            if (leaf >= t->trie.n || (size_t)unit[leaf].check != node + 1 || unit[leaf].base >= 0)
                continue;
            const int32_t id = -1 - unit[leaf].base;
            reach(t, way, at, i + 1, id, t->user && t->user[id] ? (double)(float)((float)t->entry[id].n * (float)t->user_score - 0.1) : t->score[id]);
            alone |= i + 1 - at == len;
        }
        if (!alone)
            reach(t, way, at, at + len, -1, t->unk_score);
    }
    size_t k = 0, from = 0, unknown = 0;                  /* unknown: where the open run of unknown characters begins */
    for (size_t at = n; at; at = (size_t)way[at].from)
        ends[k++] = (int32_t)at;
    while (k) {
        const size_t end = (size_t)ends[--k];
        const int32_t id = way[end].id;
        if (id >= 0) {
            if (unknown < from)
                TRY(push_unknown(r, s + unknown, from - unknown));
            TRY(tok_ids_reserve(r->out, 1, r->err));
            r->out->id[r->out->n++] = id;
            unknown = end;
        }
        from = end;
    }
    return unknown < n ? push_unknown(r, s + unknown, n - unknown) : 0;
}
