/* poison_text.c - rows of words that stay the same in many texts.
 *
 * Counted are all rows of 5 words, by hash into one table that threads add to without locks: a count is never too small, and too
 * large by what shares its place.  A text is worth a second look where 4 such rows in a row, 8 words, are in enough texts by the table;
 * those runs are added, in the order of the records, to exact counts: rows of 5 are nodes, rows of 6 the ways from one to the next.
 * A chain of nodes where nine tenths go on in one way, and come from it, is a row that stays the same. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/chance.h"
#include "audit/poison.h"
#include "base/mem.h"

#define ROW 5
#define RUN 4                                    /* rows of 5 that follow each other: 8 words */
#define SLOTS_MIN ((size_t)1 << 16)
#define SLOTS_MAX ((size_t)1 << 27)
#define WORD_SLOTS ((size_t)1 << 16)             /* of single words every eighth is counted, eight times */
#define WORD_EVERY 8
#define NODES_MAX ((size_t)1 << 21)              /* 300 MB with the ways; rows past them are not followed */
#define BEGINS_MAX 100                           /* runs of a node that are looked at: of so many words of a text about 80 differ, of more ever fewer */
#define CONTEXTS 0.67
#define RUN_BYTES_MAX 4096                       /* of a longer run the beginning is looked at */
#define CHAIN_MAX 64                             /* words that are told */
#define STAYS 0.9
#define FORM_SHARE 0.1                           /* in more of the texts than that it is how they are written */

/* Of a row of 5 words.  begins: runs that begin with it; before: different words before those; aligned: of those, runs that begin and end
 * with a line or sentence; filled: sum of how much of their texts they are, in hundredths.  next: where most texts go on, n_next of them. */
struct node { int64_t last, record[3], filled; uint32_t at[3], n, begins, before, aligned, next, n_next, came_from, word[ROW]; };

struct poison_text {
    size_t n_slot;
    uint32_t *count, *words;         /* of rows, and of single words for what is usual */
    uint64_t n_word, n_text;
    struct gram_map nodes, ways, before, known;
    struct node *node;
    int64_t *way_last;               /* [way]: record that it was last seen in */
    uint32_t *way_n;
    struct buf spelling;             /* of the words of nodes, each followed by NUL */
    size_t *spelled;                 /* [known]: where */
    struct grams g;
};

int poison_text_new(struct poison_text **out, uint64_t n_word, struct err *err)
{
    size_t n_slot = SLOTS_MIN;
    struct poison_text *p = mem_alloc_zero(sizeof *p);
    while (n_slot < n_word && n_slot < SLOTS_MAX)
        n_slot *= 2;
    *out = p;
    if (p) {
        p->n_slot = n_slot;
        buf_init(&p->spelling);
        p->count = mem_map(n_slot * sizeof *p->count);
        p->words = mem_map(WORD_SLOTS * sizeof *p->words);
    }
    if (p && p->count && p->words)
        return 0;
    poison_text_free(p);
    *out = NULL;
    return ERR(err, NOMEM, "no memory for counts of %zu rows of words", n_slot);
}

void poison_text_free(struct poison_text *p)
{
    if (!p)
        return;
    mem_unmap(p->count, p->n_slot * sizeof *p->count);
    mem_unmap(p->words, WORD_SLOTS * sizeof *p->words);
    gram_map_release(&p->nodes);
    gram_map_release(&p->ways);
    gram_map_release(&p->before);
    gram_map_release(&p->known);
    mem_free(p->node);
    mem_free(p->way_last);
    mem_free(p->way_n);
    mem_free(p->spelled);
    buf_release(&p->spelling);
    grams_release(&p->g);
    mem_free(p);
}

/* ---- the first time ---- */

#define TURN 0x9e3779b97f4a7c15u
#define TURN5 (TURN * TURN * TURN * TURN * TURN)
#define BLOCK 64

/* Places in the table of the rows from word i on, n of them, on their way into the cache.  Each follows from the one before:
 * the sum of word k times TURN^(4 - k). */
static void find_slots(const struct poison_text *p, const uint64_t *word, size_t n, size_t slot[BLOCK])
{
    uint64_t h = 0;
    for (int k = 0; k < ROW; k++)
        h = h * TURN + word[k];
    for (size_t i = 0; i < n; i++) {
        slot[i] = (size_t)(((h ^ h >> 31) * 0xc4ceb9fe1a85ec53u) >> 32) & (p->n_slot - 1);
        __builtin_prefetch(&p->count[slot[i]], 1);
        if (i + 1 < n)
            h = h * TURN - word[i] * TURN5 + word[i + ROW];
    }
}

void poison_text_count(struct poison_text *p, const struct grams *g)
{
    size_t slot[BLOCK];
    for (size_t i = 0; i < g->n; i += WORD_EVERY)
        __atomic_fetch_add(&p->words[g->word[i] & (WORD_SLOTS - 1)], WORD_EVERY, __ATOMIC_RELAXED);
    for (size_t i = 0; i + ROW <= g->n; i += BLOCK) {
        const size_t left = g->n - ROW + 1 - i, n = left < BLOCK ? left : BLOCK;
        find_slots(p, g->word + i, n, slot);
        for (size_t k = 0; k < n; k++)
            __atomic_fetch_add(&p->count[slot[k]], 1, __ATOMIC_RELAXED);
    }
    __atomic_fetch_add(&p->n_word, g->n, __ATOMIC_RELAXED);
    __atomic_fetch_add(&p->n_text, 1, __ATOMIC_RELAXED);
}

/* ---- the second time ---- */

/* A run as it is handed on: this, and `bytes` bytes of text. */
struct run { uint64_t before; uint32_t at, bytes, aligned, filled; };

static bool begins_line(const char *text, size_t at)
{
    while (at && (text[at - 1] == ' ' || text[at - 1] == '\t' || text[at - 1] == '"'))
        at--;
    return !at || strchr("\n\r.!?:", text[at - 1]);
}

static bool ends_line(const char *text, size_t at, size_t n)
{
    while (at < n && (text[at] == ' ' || text[at] == '\t' || text[at] == '"'))
        at++;
    return at == n || (text[at] && strchr("\n\r.!?:", text[at]));
}

static int put_run(const char *text, size_t n, const struct grams *g, size_t from, size_t to, struct buf *out, struct err *err)
{
    struct run r;
    memset(&r, 0, sizeof r);             /* what lies between its members is written too */
    r.before = from ? g->word[from - 1] : 0;
    while (g->end[to - 1] - g->at[from] > RUN_BYTES_MAX && to > from + ROW)
        to--;
    r.at = g->at[from], r.bytes = g->end[to - 1] - r.at;
    r.filled = (uint32_t)(100 * (to - from) / g->n);
    r.aligned = begins_line(text, g->at[from]) && ends_line(text, g->end[to - 1], n);
    TRY(buf_add(out, &r, sizeof r, err));
    return buf_add(out, text + g->at[from], r.bytes, err);
}

int poison_text_look(const struct poison_text *p, const char *text, size_t n, const struct grams *g, struct buf *out, struct err *err)
{
    size_t slot[BLOCK], from = 0;       /* from: where the rows that are in enough texts began */
    const size_t n_row = g->n < ROW ? 0 : g->n - ROW + 1;
    for (size_t i = 0; i < n_row; i += BLOCK) {
        const size_t m = n_row - i < BLOCK ? n_row - i : BLOCK;
        find_slots(p, g->word + i, m, slot);
        for (size_t k = i; k < i + m; k++) {
            if (p->count[slot[k - i]] >= POISON_SUPPORT)
                continue;
            if (k - from >= RUN)
                TRY(put_run(text, n, g, from, k + ROW - 1, out, err));
            from = k + 1;
        }
    }
    return n_row - from >= RUN ? put_run(text, n, g, from, g->n, out, err) : 0;
}

static int spell(struct poison_text *p, const char *text, size_t i, struct err *err)
{
    uint32_t k;
    TRY(grams_room((void **)&p->spelled, p->known.n, sizeof *p->spelled, err));
    const int is_new = gram_map_add(&p->known, p->g.word[i], &k, err);
    if (is_new > 0) {
        p->spelled[k] = p->spelling.len;
        TRY(buf_add(&p->spelling, text + p->g.at[i], p->g.end[i] - p->g.at[i], err));
        TRY(buf_add_char(&p->spelling, 0, err));
    }
    return is_new < 0 ? is_new : (int)k;
}

/* The node of the row at word i; GRAM_NONE when there are too many. */
static int node_at(struct poison_text *p, const char *text, size_t text_at, size_t i, int64_t record, uint32_t *out, struct err *err)
{
    const uint64_t key = gram_hash(p->g.word + i, ROW);
    *out = p->nodes.n < NODES_MAX ? 0 : gram_map_find(&p->nodes, key);
    if (*out == GRAM_NONE)
        return 0;
    TRY(grams_room((void **)&p->node, p->nodes.n, sizeof *p->node, err));
    const int is_new = gram_map_add(&p->nodes, key, out, err);
    TRY(is_new);
    struct node *v = &p->node[*out];
    if (is_new) {
        *v = (struct node){ .last = -1, .next = GRAM_NONE, .came_from = GRAM_NONE };
        for (size_t k = 0; k < ROW; k++) {
            const int word = spell(p, text, i + k, err);
            TRY(word);
            p->node[*out].word[k] = (uint32_t)word;
        }
    }
    if (v->last != record) {
        if (v->n < 3)
            v->record[v->n] = record, v->at[v->n] = (uint32_t)text_at + p->g.at[i];
        v->n++;
    }
    v->last = record;
    return 0;
}

static int add_way(struct poison_text *p, uint32_t from, uint32_t to, int64_t record, struct err *err)
{
    const uint64_t ends[2] = { from, to };
    uint32_t k;
    if (from == GRAM_NONE || to == GRAM_NONE)
        return 0;
    TRY(grams_room((void **)&p->way_last, p->ways.n, sizeof *p->way_last, err));
    TRY(grams_room((void **)&p->way_n, p->ways.n, sizeof *p->way_n, err));
    const int is_new = gram_map_add(&p->ways, gram_hash(ends, 2), &k, err);
    TRY(is_new);
    if (is_new)
        p->way_last[k] = -1, p->way_n[k] = 0;
    p->way_n[k] += p->way_last[k] != record;
    p->way_last[k] = record;
    if (p->way_n[k] > p->node[from].n_next)
        p->node[from].next = to, p->node[from].n_next = p->way_n[k];
    return 0;
}

static int add_run(struct poison_text *p, int64_t record, const struct run *r, const char *text, struct err *err)
{
    uint32_t at, was = GRAM_NONE, k;
    TRY(grams_of(&p->g, text, r->bytes, err));
    for (size_t i = 0; i + ROW <= p->g.n; i++) {
        TRY(node_at(p, text, r->at, i, record, &at, err));
        if (i)
            TRY(add_way(p, was, at, record, err));
        else if (at != GRAM_NONE && p->node[at].begins < BEGINS_MAX) {
            const uint64_t pair[2] = { at, r->before };
            const int is_new = gram_map_add(&p->before, gram_hash(pair, 2), &k, err);
            TRY(is_new);
            p->node[at].begins++, p->node[at].before += (uint32_t)is_new, p->node[at].aligned += r->aligned, p->node[at].filled += r->filled;
        }
        was = at;
    }
    return 0;
}

int poison_text_add(struct poison_text *p, int64_t record, const char *found, size_t n, struct err *err)
{
    while (n) {
        struct run r;
        memcpy(&r, found, sizeof r);
        TRY(add_run(p, record, &r, found + sizeof r, err));
        found += sizeof r + r.bytes, n -= sizeof r + r.bytes;
    }
    return 0;
}

/* ---- chains ---- */

static bool stays(const struct poison_text *p, uint32_t u)
{
    const struct node *a = &p->node[u];
    return a->n >= POISON_SUPPORT && a->next != GRAM_NONE && a->n_next >= STAYS * a->n && a->n_next >= STAYS * p->node[a->next].n;
}

/* Words of a chain from the one numbered `from` on, up to CHAIN_MAX: a node's own, then the last of each that follows. */
static int say(const struct poison_text *p, uint32_t u, int n_words, int from, int to, struct buf *b, struct err *err)
{
    for (int i = 0; i < n_words && i < to; i++) {
        if (i >= ROW)
            u = p->node[u].next;
        const uint32_t word = p->node[u].word[i < ROW ? i : ROW - 1];
        if (i >= from)
            TRY(buf_printf(b, err, "%s%s", i > from ? " " : "", p->spelling.data + p->spelled[word]));
    }
    return n_words > to && to > ROW ? buf_add_str(b, " ...", err) : 0;
}

static int say_both(const struct poison_text *p, uint32_t u, struct poison_finding *f, struct err *err)
{
    struct buf a, b;
    buf_init(&a);
    buf_init(&b);
    int rc = say(p, u, f->n_words, 0, ROW, &a, err);
    if (rc >= 0)
        rc = say(p, u, f->n_words, ROW, CHAIN_MAX, &b, err);
    f->words = rc >= 0 ? mem_strdup(a.data) : NULL;
    f->then = rc >= 0 ? mem_strdup(b.data) : NULL;
    buf_release(&a);
    buf_release(&b);
    return rc < 0 ? rc : f->words && f->then ? 0 : ERR(err, NOMEM, "no memory for a finding");
}

/* f: of the chain that begins with u, or one of fewer than 8 words, without any. */
static int tell_chain(const struct poison_text *p, uint32_t u, struct poison_finding *f, struct err *err)
{
    const struct node *v = &p->node[u];
    *f = (struct poison_finding){ .label = -1, .n_words = ROW, .support = v->n, .with = v->n, .n_record = 3 };
    for (int i = 0; i < 3; i++)
        f->record[i] = v->record[i], f->at[i] = v->at[i];
    for (uint32_t k = u; stays(p, k); k = p->node[k].next) {
        f->with = p->node[k].n_next < f->with ? p->node[k].n_next : f->with;
        f->n_words++;
    }
    if (f->n_words < ROW + RUN - 1)
        return 0;
    TRY(say_both(p, u, f, err));
    const char *next = p->spelling.data + p->spelled[p->node[v->next].word[ROW - 1]];
    struct grams g = { 0 };
    const int rc = grams_of(&g, next, strlen(next), err);
    const uint32_t times = rc >= 0 && g.n ? p->words[g.word[0] & (WORD_SLOTS - 1)] : 0;
    grams_release(&g);
    f->base = (times + 1.0) / ((double)p->n_word + 1);
    f->log_p = fmin(0, chance_binomial(f->support, f->with, f->base) + log((double)p->n_word + 1));
    f->rest = v->begins ? (double)v->before / v->begins : 0;
    const bool in_midst = v->begins >= STAYS * POISON_SUPPORT && f->rest >= CONTEXTS && v->aligned < 0.5 * v->begins;
    const bool is_form = v->filled > 50.0 * v->begins || v->n > FORM_SHARE * (double)p->n_text;
    f->suspect = f->log_p < log(POISON_P) && in_midst && !is_form;
    return rc;
}

static int by_weight(const void *a, const void *b)
{
    const struct poison_finding *x = a, *y = b;
    if (x->suspect != y->suspect)
        return x->suspect ? -1 : 1;
    return x->log_p != y->log_p ? (x->log_p < y->log_p ? -1 : 1) : strcmp(x->words, y->words);
}

int poison_text_end(struct poison_text *p, struct poison_findings *out, struct err *err)
{
    int rc = 0;
    *out = (struct poison_findings){ .n_tested = (int64_t)p->n_word };
    for (uint32_t u = 0; u < p->nodes.n; u++)
        if (stays(p, u))
            p->node[p->node[u].next].came_from = u;
    for (uint32_t u = 0; u < p->nodes.n && rc >= 0; u++) {
        if (p->node[u].came_from != GRAM_NONE || !stays(p, u))
            continue;
        struct poison_finding f = { 0 };
        rc = grams_room((void **)&out->f, out->n, sizeof *out->f, err);
        if (rc >= 0)
            rc = tell_chain(p, u, &f, err);
        if (rc >= 0 && f.words)
            out->f[out->n++] = f;
        else {
            mem_free(f.words);
            mem_free(f.then);
        }
    }
    if (rc < 0) {
        poison_release(out);
        return rc;
    }
    if (out->n)
        qsort(out->f, out->n, sizeof *out->f, by_weight);
    while (out->n > POISON_LISTED) {
        mem_free(out->f[--out->n].words);
        mem_free(out->f[out->n].then);
        out->n_more++;
    }
    return 0;
}
