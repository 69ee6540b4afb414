/* poison_text.c - rows of words that stay the same in many texts.
 *
 * Counted are all rows of 5 words, by hash into one table that threads add to without locks, up to the support: a count is never too
 * small, and too large by what shares its place.  A text is worth a second look where 4 such rows in a row, 8 words, are in enough texts
 * by the table; those runs are added, in the order of the records, to exact counts (row_graph.h).  A chain of rows where nine tenths go on
 * in one way, and come from it, is a row that stays the same. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/chance.h"
#include "audit/poison.h"
#include "audit/row_graph.h"
#include "base/mem.h"

#define RUN 4                                    /* rows of 5 that follow each other: 8 words */
#define SLOTS_MIN ((size_t)1 << 18)
#define SLOTS_MAX ((size_t)1 << 27)
#define WORD_SLOTS ((size_t)1 << 16)             /* of single words every eighth is counted, eight times */
#define WORD_EVERY 8
#define CONTEXTS 0.67
#define RUN_BYTES_MAX 4096                       /* of a longer run the beginning is looked at */
#define CHAIN_MAX 64                             /* words that are told */
#define STAYS 0.9
#define FORM_SHARE 0.1                           /* in more of the texts than that it is how they are written */

struct poison_text {
    size_t n_slot;
    uint8_t *count;                  /* of rows, up to POISON_SUPPORT */
    uint32_t *words;                 /* of single words, for what is usual */
    uint64_t n_word, n_text;
    struct row_graph rows;
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
        p->count = mem_map(n_slot * sizeof *p->count);
        p->words = mem_map(WORD_SLOTS * sizeof *p->words);
    }
    const int rc = p && p->count && p->words ? row_graph_init(&p->rows, err) : ERR(err, NOMEM, "no memory for counts of %zu rows of words", n_slot);
    if (!rc)
        return 0;
    poison_text_free(p);
    *out = NULL;
    return rc;
}

void poison_text_free(struct poison_text *p)
{
    if (!p)
        return;
    mem_unmap(p->count, p->n_slot * sizeof *p->count);
    mem_unmap(p->words, WORD_SLOTS * sizeof *p->words);
    row_graph_release(&p->rows);
    mem_free(p);
}

/* ---- the first time ---- */

#define BLOCK 64

static uint8_t *count_of(const struct poison_text *p, uint64_t key) { return &p->count[key >> 32 & (p->n_slot - 1)]; }

/* Of the rows from word i on, n of them, whose counts are on their way into the cache. */
static void ask_rows(const struct poison_text *p, const uint64_t *word, size_t n, uint64_t key[BLOCK])
{
    row_keys(word, n, key);
    for (size_t i = 0; i < n; i++)
        __builtin_prefetch(count_of(p, key[i]), 1);
}

static void count_one(uint8_t *c)
{
    uint8_t n = __atomic_load_n(c, __ATOMIC_RELAXED);
    while (n < POISON_SUPPORT && !__atomic_compare_exchange_n(c, &n, (uint8_t)(n + 1), true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static size_t n_rows_of(const struct grams *g) { return g->n < ROW_WORDS ? 0 : g->n - ROW_WORDS + 1; }

void poison_text_count(struct poison_text *p, const struct grams *g)
{
    uint64_t key[BLOCK];
    const size_t n_row = n_rows_of(g);
    for (size_t i = 0; i < g->n; i += WORD_EVERY)
        __atomic_fetch_add(&p->words[g->word[i] & (WORD_SLOTS - 1)], WORD_EVERY, __ATOMIC_RELAXED);
    for (size_t i = 0; i < n_row; i += BLOCK) {
        const size_t n = n_row - i < BLOCK ? n_row - i : BLOCK;
        ask_rows(p, g->word + i, n, key);
        for (size_t k = 0; k < n; k++)
            count_one(count_of(p, key[k]));
    }
    __atomic_fetch_add(&p->n_word, g->n, __ATOMIC_RELAXED);
    __atomic_fetch_add(&p->n_text, 1, __ATOMIC_RELAXED);
}

/* ---- the second time ---- */

static bool ends_sentence(char c) { return c == '\n' || c == '\r' || c == '.' || c == '!' || c == '?' || c == ':'; }

static bool begins_line(const char *text, size_t at)
{
    while (at && (text[at - 1] == ' ' || text[at - 1] == '\t' || text[at - 1] == '"'))
        at--;
    return !at || ends_sentence(text[at - 1]);
}

static bool ends_line(const char *text, size_t at, size_t n)
{
    while (at < n && (text[at] == ' ' || text[at] == '\t' || text[at] == '"'))
        at++;
    return at == n || ends_sentence(text[at]);
}

/* A text as it is looked at. */
struct look { int64_t record; const char *text; size_t n; const struct grams *g; struct buf *out; };

static int put_rows(const struct look *x, size_t from, size_t n_row, struct err *err)
{
    const struct grams *g = x->g;
    uint64_t key[BLOCK];
    TRY(buf_reserve(x->out, n_row * sizeof(struct row_seen), err));
    for (size_t i = 0; i < n_row; i += BLOCK) {
        const size_t n = n_row - i < BLOCK ? n_row - i : BLOCK;
        row_keys(g->word + from + i, n, key);
        for (size_t k = 0; k < n; k++) {
            const size_t w = from + i + k;
            const struct row_seen row = { key[k], g->at[w] - g->at[from], g->end[w + ROW_WORDS - 1] - g->at[w] };
            TRY(buf_add(x->out, &row, sizeof row, err));
        }
    }
    return 0;
}

/* Words from .. to-1. */
static int put_run(const struct look *x, size_t from, size_t to, struct err *err)
{
    const struct grams *g = x->g;
    while (g->end[to - 1] - g->at[from] > RUN_BYTES_MAX && to > from + ROW_WORDS)
        to--;
    const uint32_t at = g->at[from], end = g->end[to - 1];
    const struct row_run r = { .record = x->record, .before = from ? g->word[from - 1] : 0, .at = at, .bytes = end - at, .n_row = (uint32_t)(to - from - ROW_WORDS + 1),
                               .aligned = begins_line(x->text, at) && ends_line(x->text, end, x->n), .filled = (uint32_t)(100 * (to - from) / g->n) };
    TRY(buf_add(x->out, &r, sizeof r, err));
    TRY(buf_add(x->out, x->text + at, r.bytes, err));
    TRY(buf_add(x->out, "\0\0\0\0\0\0\0", -x->out->len % 8, err));
    return put_rows(x, from, r.n_row, err);
}

int poison_text_look(const struct poison_text *p, int64_t record, const char *text, size_t n, const struct grams *g, struct buf *out, struct err *err)
{
    const struct look x = { record, text, n, g, out };
    const size_t n_row = n_rows_of(g);
    uint64_t key[BLOCK];
    size_t from = 0;                     /* where the rows that are in enough texts began */
    for (size_t i = 0; i < n_row; i += BLOCK) {
        const size_t m = n_row - i < BLOCK ? n_row - i : BLOCK;
        ask_rows(p, g->word + i, m, key);
        for (size_t k = i; k < i + m; k++) {
            if (*count_of(p, key[k - i]) >= POISON_SUPPORT)
                continue;
            if (k - from >= RUN)
                TRY(put_run(&x, from, k + ROW_WORDS - 1, err));
            from = k + 1;
        }
    }
    return n_row - from >= RUN ? put_run(&x, from, g->n, err) : 0;
}

int poison_text_add(struct poison_text *p, struct pool *pool, const struct buf *const *found, int n, struct err *err) { return row_graph_add(&p->rows, pool, found, n, err); }

/* ---- chains ---- */

/* The row that nine tenths of the texts of v go on with, and come from it; NULL: there is none. */
static struct row_node *next_of(const struct poison_text *p, const struct row_node *v)
{
    if (v->n < POISON_SUPPORT || v->n_next < STAYS * v->n)
        return NULL;
    struct row_node *next = row_graph_find(&p->rows, v->next);
    return next && v->n_next >= STAYS * next->n ? next : NULL;
}

/* A chain's words from the one numbered `from` on, before `to`: a row's own, then the last of each row that follows. */
static int say(const struct poison_text *p, const struct row_node *v, int n_words, int from, int to, struct grams *g, struct buf *b, struct err *err)
{
    for (int i = 0; i < n_words && i < to && v; i++) {
        size_t n;
        v = i < ROW_WORDS ? v : next_of(p, v);
        if (i < from || !v)
            continue;
        const char *text = row_graph_text(&p->rows, v, &n);
        const size_t k = i < ROW_WORDS ? (size_t)i : ROW_WORDS - 1;
        TRY(grams_of(g, text, n, err));
        TRY(buf_printf(b, err, "%s%.*s", i > from ? " " : "", (int)(g->end[k] - g->at[k]), text + g->at[k]));
    }
    return n_words > to && to > ROW_WORDS ? buf_add_str(b, " ...", err) : 0;
}

static int say_both(const struct poison_text *p, const struct row_node *v, struct poison_finding *f, struct err *err)
{
    struct grams g = { 0 };
    struct buf a, b;
    buf_init(&a);
    buf_init(&b);
    int rc = say(p, v, f->n_words, 0, ROW_WORDS, &g, &a, err);
    if (rc >= 0)
        rc = say(p, v, f->n_words, ROW_WORDS, CHAIN_MAX, &g, &b, err);
    f->words = rc >= 0 ? mem_strdup(a.data) : NULL;
    f->then = rc >= 0 ? mem_strdup(b.data) : NULL;
    grams_release(&g);
    buf_release(&a);
    buf_release(&b);
    return rc < 0 ? rc : f->words && f->then ? 0 : ERR(err, NOMEM, "no memory for a finding");
}

/* How often the last word of a row is in the texts. */
static int times_of_last(const struct poison_text *p, const struct row_node *v, uint32_t *times, struct err *err)
{
    struct grams g = { 0 };
    size_t n;
    const char *text = row_graph_text(&p->rows, v, &n);
    const int rc = grams_of(&g, text, n, err);
    *times = rc >= 0 && g.n ? p->words[g.word[g.n - 1] & (WORD_SLOTS - 1)] : 0;
    grams_release(&g);
    return rc;
}

#define HAS_BEFORE 1                 /* row_node.mark; above, the number of the chain that came by */

/* f: of the chain that begins with v, or one of fewer than 8 words, without any. */
static int tell_chain(const struct poison_text *p, struct row_node *v, uint32_t chain, struct poison_finding *f, struct err *err)
{
    const struct row_first *first = row_graph_first(&p->rows, v);
    uint32_t times;
    *f = (struct poison_finding){ .label = -1, .n_words = ROW_WORDS, .support = v->n, .with = v->n, .n_record = 3 };
    for (int i = 0; i < 3; i++)
        f->record[i] = first->record[i], f->at[i] = first->at[i];
    struct row_node *k = v;
    for (struct row_node *next; k->mark != chain && (next = next_of(p, k)); k = next) {      /* once round where it is a ring */
        k->mark = chain;
        f->with = k->n_next < f->with ? k->n_next : f->with;
        f->n_words++;
    }
    f->n_words = k->mark == chain && f->n_words < ROW_WORDS + RUN - 1 ? ROW_WORDS + RUN - 1 : f->n_words;
    if (f->n_words < ROW_WORDS + RUN - 1)
        return 0;
    TRY(say_both(p, v, f, err));
    TRY(times_of_last(p, next_of(p, v), &times, err));
    f->base = (times + 1.0) / ((double)p->n_word + 1);
    f->log_p = fmin(0, chance_binomial(f->support, f->with, f->base) + log((double)p->n_word + 1));
    f->rest = first->begins ? (double)first->before / first->begins : 0;
    const bool in_midst = first->begins >= STAYS * POISON_SUPPORT && f->rest >= CONTEXTS && first->aligned < 0.5 * first->begins;
    const bool is_form = (double)first->filled > 50.0 * first->begins || v->n > FORM_SHARE * (double)p->n_text;
    f->suspect = f->log_p < log(POISON_P) && in_midst && !is_form;
    return 0;
}

/* What it tells, at the end of out, unless it is too short. */
static int add_chain(const struct poison_text *p, struct row_node *v, uint32_t chain, struct poison_findings *out, struct err *err)
{
    struct poison_finding f = { 0 };
    TRY(grams_room((void **)&out->f, out->n, sizeof *out->f, err));
    const int rc = tell_chain(p, v, chain, &f, err);
    if (rc >= 0 && f.words)
        out->f[out->n++] = f;
    else {
        mem_free(f.words);
        mem_free(f.then);
    }
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
    uint32_t chain = HAS_BEFORE;
    int rc = 0;
    *out = (struct poison_findings){ .n_tested = (int64_t)p->n_word };
    for (int s = 0; s < ROW_SHARDS; s++)
        for (size_t i = 0; i < row_graph_n(&p->rows, s); i++) {
            struct row_node *next = next_of(p, row_graph_at(&p->rows, s, i));
            if (next)
                next->mark = HAS_BEFORE;
        }
    for (int s = 0; s < ROW_SHARDS; s++)
        for (size_t i = 0; i < row_graph_n(&p->rows, s) && rc >= 0; i++) {
            struct row_node *v = row_graph_at(&p->rows, s, i);
            if (!v->mark && next_of(p, v))
                rc = add_chain(p, v, ++chain, out, err);
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
