#include "audit/contam.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"

#define SEED_WORDS 10            /* of llama2: equal in front */
#define SKIPS 4
#define SIMPLE_WORDS 12          /* of datatrove */

const char *contam_method_name(enum contam_method m)
{
    static const char *const words[] = {
#define X(name, word) word,
        CONTAM_METHODS(X)
#undef X
    };
    return m < N_CONTAM_METHOD ? words[m] : "?";
}

enum contam_method contam_method_find(const char *word)
{
    int m = 0;
    while (m < N_CONTAM_METHOD && strcmp(contam_method_name((enum contam_method)m), word))
        m++;
    return (enum contam_method)m;
}

void contam_defaults(struct contam_opts *o, const struct tok *tok)
{
    *o = (struct contam_opts){ .methods = ((1u << N_CONTAM_METHOD) - 1) ^ 1u << CONTAM_DATATROVE, .tok = tok, .palm_share = 0.7, .llama2_share = 0.8 };
    decon_defaults(&o->decon, !tok);
}

struct contam {
    struct contam_opts o;
    const struct refs *refs;
    struct texts words, simple;                  /* of the items: janitor's units, and datatrove's */
    struct ngrams gram[N_CONTAM_METHOD];         /* of gpt3, palm, datatrove and llama2's first words */
    enum contam_method gate;                     /* of gpt3, palm and llama2 that of the shortest n-grams */
    struct decon *decon;
};

static bool has(const struct contam *c, enum contam_method m) { return c->o.methods >> m & 1; }
static bool of_words(const struct contam *c) { return has(c, CONTAM_GPT3) || has(c, CONTAM_PALM) || has(c, CONTAM_LLAMA2); }
const struct refs *contam_refs(const struct contam *c) { return c->refs; }

const struct contam_opts *contam_options(const struct contam *c) { return &c->o; }

static int describe(const struct contam *c, struct buf *b, struct err *err)
{
    const struct decon_opts *d = &c->o.decon;
    TRY(buf_printf(b, err, "%u %.17g %.17g\n%d %d %d %.17g %d %d %d %d %d %d %d %d %d %d %d\n", c->o.methods, c->o.palm_share, c->o.llama2_share, d->ngram, d->sample, d->misses, d->limit,
                   d->exact_to, d->relaxed_from, d->short_answer, d->short_window, d->answer_ngram, d->answer_window, d->passage_ngram, d->passage_window, d->passage_misses,
                   d->min_units, d->min_words));
    for (int i = 0; i < c->refs->n_set; i++)
        TRY(buf_printf(b, err, "%s\n", c->refs->set[i].name));
    for (int64_t i = 0; i < c->refs->n_item; i++) {
        const struct ref_item *x = &c->refs->item[i];
        TRY(buf_printf(b, err, "%d %lld %u %u %u\n", x->set, (long long)x->line, x->part[0].n, x->part[1].n, x->part[2].n));
    }
    return 0;
}

int contam_digest(const struct contam *c, char hex[SHA256_HEX], struct err *err)
{
    struct sha256 h;
    struct buf b;
    buf_init(&b);
    int rc = describe(c, &b, err);
    rc = rc ? rc : sha256_init(&h, err);
    if (!rc) {
        sha256_add(&h, b.data, b.len);
        sha256_add(&h, c->refs->text.data, c->refs->text.len);
        for (int p = 0; p < N_REF_PART && c->decon; p++)
            sha256_add(&h, decon_part(c->decon, (enum ref_part)p)->h, decon_part(c->decon, (enum ref_part)p)->n_h * sizeof(uint64_t));
        sha256_end(&h, hex);
    }
    buf_release(&b);
    return rc;
}

/* ---- the index ---- */

/* Adds the text of parts, one behind the other. */
static int join(const struct refs *r, int64_t item, const enum ref_part *part, int n_part, struct buf *out, struct err *err)
{
    buf_clear(out);
    for (int i = 0; i < n_part; i++) {
        size_t n;
        const char *s = refs_text(r, item, part[i], &n);
        TRY(buf_add(out, s, n, err));
        TRY(buf_add_char(out, '\n', err));
    }
    return 0;
}

static const enum ref_part order[] = { REF_PASSAGE, REF_QUESTION, REF_ANSWER };

static int read_words(struct contam *c, struct units *u, struct buf *b, struct err *err)
{
    for (int64_t i = 0; i < c->refs->n_item; i++) {
        TRY(join(c->refs, i, order, 3, b, err));
        TRY(units_of(u, UNITS_JANITOR, NULL, b->data, b->len, err));
        TRY(texts_add(&c->words, u->h, u->n, err));
    }
    return 0;
}

/* Query and answer are cut into words apart.  from: where the first n-gram with a word of the answer begins. */
static int read_simple(struct contam *c, struct units *u, struct buf *b, uint32_t *from, struct err *err)
{
    for (int64_t i = 0; i < c->refs->n_item; i++) {
        struct buf both;
        TRY(join(c->refs, i, order, 2, b, err));
        TRY(units_of(u, UNITS_SIMPLE, NULL, b->data, b->len, err));
        const size_t n_query = u->n;
        buf_init(&both);
        int rc = buf_add(&both, u->h, u->n * sizeof *u->h, err);
        rc = rc ? rc : join(c->refs, i, order + 2, 1, b, err);
        rc = rc ? rc : units_of(u, UNITS_SIMPLE, NULL, b->data, b->len, err);
        rc = rc ? rc : buf_add(&both, u->h, u->n * sizeof *u->h, err);
        rc = rc ? rc : texts_add(&c->simple, (const uint64_t *)(const void *)both.data, n_query + u->n, err);
        buf_release(&both);
        TRY(rc);
        from[i] = u->n && n_query >= SIMPLE_WORDS ? (uint32_t)n_query - (SIMPLE_WORDS - 1) : 0;
    }
    return 0;
}

static int index_all(struct contam *c, struct units *u, struct buf *b, uint32_t *from, struct err *err)
{
    static const int n[] = { [CONTAM_GPT3] = 13, [CONTAM_PALM] = 8, [CONTAM_LLAMA2] = SEED_WORDS };
    if (of_words(c))
        TRY(read_words(c, u, b, err));
    for (int m = CONTAM_GPT3; m <= CONTAM_LLAMA2; m++)
        if (has(c, (enum contam_method)m))
            TRY(ngrams_build(&c->gram[m], n[m], &c->words, NULL, m == CONTAM_LLAMA2, err));
    if (!has(c, CONTAM_DATATROVE))
        return 0;
    TRY(read_simple(c, u, b, from, err));
    return ngrams_build(&c->gram[CONTAM_DATATROVE], SIMPLE_WORDS, &c->simple, from, false, err);
}

int contam_new(struct contam **out, const struct refs *refs, const struct contam_opts *o, struct err *err)
{
    struct contam *c = mem_alloc_zero(sizeof *c);
    uint32_t *from = mem_alloc_array((size_t)refs->n_item + 1, sizeof *from);
    struct units u;
    struct buf b;
    *out = NULL;
    units_init(&u);
    buf_init(&b);
    int rc = c && from ? 0 : ERR(err, NOMEM, "no memory for an index of evaluation sets");
    if (!rc) {
        c->o = *o, c->refs = refs;
        c->gate = has(c, CONTAM_PALM) ? CONTAM_PALM : has(c, CONTAM_LLAMA2) ? CONTAM_LLAMA2 : CONTAM_GPT3;
        rc = index_all(c, &u, &b, from, err);
    }
    if (!rc && has(c, CONTAM_DECON))
        rc = decon_new(&c->decon, refs, o->tok, &o->decon, err);
    units_release(&u);
    buf_release(&b);
    mem_free(from);
    if (rc)
        contam_free(c);
    else
        *out = c;
    return rc;
}

void contam_free(struct contam *c)
{
    if (!c)
        return;
    texts_release(&c->words);
    texts_release(&c->simple);
    for (int m = 0; m < N_CONTAM_METHOD; m++)
        ngrams_release(&c->gram[m]);
    decon_free(c->decon);
    mem_free(c);
}

/* ---- a record ---- */

/* Gram `gram` stands at word `at`; or of item `gram` the words q .. q + n - 1 stand at words at .. at + n - 1. */
struct match { uint32_t gram, at, q, n; };

struct contam_state {
    struct units words, units;
    struct match *match, *gate;
    size_t n_match, cap_match, n_gate, cap_gate;
    struct contam_hit *hit;
    size_t n_hit, cap_hit, n_more;
    struct contam_mark *mark;
    size_t n_mark, cap_mark;
    struct decon_state *decon;
};

int contam_state_new(struct contam_state **out, const struct contam *c, struct err *err)
{
    struct contam_state *s = mem_alloc_zero(sizeof *s);
    *out = NULL;
    if (!s)
        return ERR(err, NOMEM, "no memory to look for evaluation sets");
    units_init(&s->words);
    units_init(&s->units);
    const int rc = c->decon ? decon_state_new(&s->decon, c->decon, err) : 0;
    if (rc)
        contam_state_free(s);
    else
        *out = s;
    return rc;
}

void contam_state_free(struct contam_state *s)
{
    if (!s)
        return;
    units_release(&s->words);
    units_release(&s->units);
    decon_state_free(s->decon);
    mem_free(s->match);
    mem_free(s->gate);
    mem_free(s->hit);
    mem_free(s->mark);
    mem_free(s);
}

/* Room for one more. */
static int grow(void *list, size_t n, size_t *cap, size_t size, struct err *err)
{
    if (n < *cap)
        return 0;
    void **p = list;
    const size_t more = *cap ? 2 * *cap : 64;
    void *q = mem_realloc_array(*p, more, size);
    if (!q)
        return ERR(err, NOMEM, "no memory for %zu places of evaluation sets in a text", more);
    *p = q, *cap = more;
    return 0;
}

static int add_match(struct contam_state *s, struct match m, struct err *err)
{
    TRY(grow(&s->match, s->n_match, &s->cap_match, sizeof m, err));
    s->match[s->n_match++] = m;
    return 0;
}

static int add_gate(struct contam_state *s, struct match m, struct err *err)
{
    TRY(grow(&s->gate, s->n_gate, &s->cap_gate, sizeof m, err));
    s->gate[s->n_gate++] = m;
    return 0;
}

static int add_mark(struct contam_state *s, enum contam_method m, uint32_t first, uint32_t n, struct err *err)
{
    TRY(grow(&s->mark, s->n_mark, &s->cap_mark, sizeof *s->mark, err));
    s->mark[s->n_mark++] = (struct contam_mark){ (uint32_t)m, first, n, 0 };
    return 0;
}

static int add_hit(struct contam_state *s, struct contam_hit h, struct err *err)
{
    TRY(grow(&s->hit, s->n_hit, &s->cap_hit, sizeof h, err));
    s->hit[s->n_hit++] = h;
    return 0;
}

static int by_gram(const void *a, const void *b)
{
    const struct match *x = a, *y = b;
    if (x->gram != y->gram)
        return x->gram < y->gram ? -1 : 1;
    if (x->q != y->q)
        return x->q < y->q ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static int by_score(const void *a, const void *b)
{
    const struct contam_hit *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

static int by_item(const void *a, const void *b)
{
    const struct contam_hit *x = a, *y = b;
    return (x->item > y->item) - (x->item < y->item);
}

/* Of a method's hits, from `first` on, those of the highest score, in the order of the items. */
static void best_hits(struct contam_state *s, size_t first)
{
    if (s->n_hit - first > CONTAM_HITS_MAX) {
        qsort(s->hit + first, s->n_hit - first, sizeof *s->hit, by_score);
        s->n_more += s->n_hit - first - CONTAM_HITS_MAX;
        s->n_hit = first + CONTAM_HITS_MAX;
    }
    if (s->n_hit > first)
        qsort(s->hit + first, s->n_hit - first, sizeof *s->hit, by_item);
}

static struct contam_hit hit_of(const struct units *u, uint32_t item, enum contam_method m, double score, size_t from, size_t to)
{
    return (struct contam_hit){ item, (uint32_t)m, (float)score, u->at[from], u->end[to - 1] - u->at[from] };
}

/* ---- n-grams ---- */

#define AHEAD 64

/* Where the text's n-grams are the sets', into the gate.  Nearly none is, and each look goes to another line of a filter of megabytes:
 * some are asked for before they are looked at. */
static int find_gate(const struct ngrams *g, const struct units *u, struct contam_state *s, struct err *err)
{
    const size_t n = (size_t)g->n, n_place = u->n < n ? 0 : u->n - n + 1;
    uint64_t hash[AHEAD];
    struct rolling r;
    s->n_gate = 0;
    if (n_place)
        rolling_begin(&r, u->h, g->n);
    for (size_t i = 0; i < n_place; i += AHEAD) {
        const size_t m = n_place - i < AHEAD ? n_place - i : AHEAD;
        for (size_t k = 0; k < m; k++) {
            hash[k] = rolling_hash(&r);
            ngrams_ask(g, hash[k]);
            if (i + k + n < u->n)
                rolling_move(&r, u->h[i + k], u->h[i + k + n]);
        }
        for (size_t k = 0; k < m; k++) {
            const uint32_t id = ngrams_find(g, hash[k]);
            if (id != NGRAM_NONE)
                TRY(add_gate(s, (struct match){ .gram = id, .at = (uint32_t)(i + k) }, err));
        }
    }
    return 0;
}

/* Where longer n-grams are, among the places of the gate: they begin with its. */
static int find_grams(const struct ngrams *g, const struct units *u, struct contam_state *s, bool is_gate, struct err *err)
{
    s->n_match = 0;
    for (size_t i = 0; i < s->n_gate && s->gate[i].at + (size_t)g->n <= u->n; i++) {
        struct match m = s->gate[i];
        struct rolling r;
        if (!is_gate) {
            rolling_begin(&r, u->h + m.at, g->n);
            m.gram = ngrams_find(g, rolling_hash(&r));
        }
        if (m.gram != NGRAM_NONE)
            TRY(add_match(s, m, err));
    }
    return 0;
}

/* The matches by gram, one a gram, its first and last place (q). */
static int distinct_grams(struct contam_state *s, enum contam_method m, struct err *err)
{
    size_t n = 0;
    qsort(s->match, s->n_match, sizeof *s->match, by_gram);
    for (size_t i = 0; i < s->n_match; i++) {
        if (!n || s->match[n - 1].gram != s->match[i].gram)
            s->match[n++] = s->match[i];
        s->match[n - 1].q = s->match[i].at;
    }
    s->n_match = n;
    for (size_t i = 0, first = 0; i < n; i++)
        if (i + 1 == n || s->match[i + 1].gram != s->match[i].gram + 1) {
            TRY(add_mark(s, m, s->match[first].gram, (uint32_t)(i + 1 - first), err));
            first = i + 1;
        }
    return 0;
}

/* A match an item that has the gram: gram is then the item, q the last place. */
static int grams_to_items(const struct ngrams *g, struct contam_state *s, struct err *err)
{
    const size_t n = s->n_match;
    for (size_t i = 0; i < n; i++) {
        const struct match m = s->match[i];
        for (uint32_t k = g->text_begin[m.gram]; k < g->text_begin[m.gram + 1]; k++)
            TRY(add_match(s, (struct match){ .gram = g->text[k], .at = m.at, .q = m.q }, err));
    }
    memmove(s->match, s->match + n, (s->n_match - n) * sizeof *s->match);
    s->n_match -= n;
    qsort(s->match, s->n_match, sizeof *s->match, by_gram);
    return 0;
}

static int by_grams(const struct contam *c, const struct units *u, struct contam_state *s, enum contam_method m, double least, struct err *err)
{
    const struct ngrams *g = &c->gram[m];
    const size_t first_hit = s->n_hit;
    TRY(find_grams(g, u, s, m == c->gate || m == CONTAM_DATATROVE, err));
    if (!s->n_match)
        return 0;
    TRY(distinct_grams(s, m, err));
    TRY(grams_to_items(g, s, err));
    for (size_t i = 0, end; i < s->n_match; i = end) {
        const uint32_t item = s->match[i].gram;
        uint32_t from = UINT32_MAX, to = 0;
        for (end = i; end < s->n_match && s->match[end].gram == item; end++) {
            from = s->match[end].at < from ? s->match[end].at : from;
            to = s->match[end].q > to ? s->match[end].q : to;
        }
        const double share = (double)(end - i) / (double)ngrams_n_own(g, item);
        if (share >= least)
            TRY(add_hit(s, hit_of(u, item, m, share, from, (size_t)to + (size_t)g->n), err));
    }
    best_hits(s, first_hit);
    return 0;
}

/* ---- llama2 ---- */

static uint32_t item_at(const struct texts *t, uint32_t place)
{
    size_t lo = 0, hi = t->n;
    while (hi - lo > 1) {
        const size_t mid = lo + (hi - lo) / 2;
        if (t->begin[mid] <= place)
            lo = mid;
        else
            hi = mid;
    }
    return (uint32_t)lo;
}

/* How far words that are equal at p and q stay so, but for SKIPS of them; *spent grows by the words looked at. */
static size_t extend(const uint64_t *a, size_t n_a, const uint64_t *b, size_t n_b, size_t *spent)
{
    size_t k = SEED_WORDS, last = SEED_WORDS;
    for (int skips = 0; k < n_a && k < n_b; k++) {
        if (a[k] == b[k])
            last = k + 1;
        else if (++skips > SKIPS)
            break;
    }
    *spent += k;
    return last;
}

/* The runs of equal words within a skip-gram of n words. */
static int add_runs(struct contam_state *s, uint32_t item, const uint64_t *a, const uint64_t *b, uint32_t at, uint32_t q, size_t n, struct err *err)
{
    for (size_t i = 0, end; i < n; i = end + 1) {
        for (end = i; end < n && a[end] == b[end]; end++)
            ;
        if (end > i)
            TRY(add_match(s, (struct match){ .gram = item, .at = at + (uint32_t)i, .q = q + (uint32_t)i, .n = (uint32_t)(end - i) }, err));
    }
    return 0;
}

/* Words that repeat themselves in text and item would cost the product of both: a text may spend a thousand looks a word. */
static int find_skip_grams(const struct contam *c, struct contam_state *s, struct err *err)
{
    const struct ngrams *g = &c->gram[CONTAM_LLAMA2];
    const struct texts *t = &c->words;
    const struct units *u = &s->words;
    size_t spent = 0;
    TRY(find_grams(g, u, s, c->gate == CONTAM_LLAMA2, err));
    const size_t n_seed = s->n_match;
    for (size_t i = 0; i < n_seed && spent <= 1000 * u->n; i++) {
        const struct match seed = s->match[i];
        for (uint32_t k = g->at_begin[seed.gram]; k < g->at_begin[seed.gram + 1] && spent <= 1000 * u->n; k++, spent++) {
            const uint32_t q = g->at[k], item = item_at(t, q), p = seed.at;
            if (p && q > t->begin[item] && u->h[p - 1] == t->h[q - 1])
                continue;                        /* begins further left */
            const size_t n = extend(u->h + p, u->n - p, t->h + q, t->begin[item + 1] - q, &spent);
            if (n > SEED_WORDS)
                TRY(add_runs(s, item, u->h + p, t->h + q, p, q, n, err));
        }
    }
    if (n_seed)
        memmove(s->match, s->match + n_seed, (s->n_match - n_seed) * sizeof *s->match);
    s->n_match -= n_seed;
    return 0;
}

static int by_skip_grams(const struct contam *c, struct contam_state *s, struct err *err)
{
    const size_t first_hit = s->n_hit;
    TRY(find_skip_grams(c, s, err));
    if (s->n_match)
        qsort(s->match, s->n_match, sizeof *s->match, by_gram);
    for (size_t i = 0, end; i < s->n_match; i = end) {
        const uint32_t item = s->match[i].gram;
        uint32_t from = UINT32_MAX, to = 0, covered = 0, done = 0;
        for (end = i; end < s->n_match && s->match[end].gram == item; end++) {
            const struct match m = s->match[end];
            const uint32_t first = m.q > done ? m.q : done, stop = m.q + m.n;
            from = m.at < from ? m.at : from, to = m.at + m.n > to ? m.at + m.n : to;
            if (stop <= first)
                continue;
            TRY(add_mark(s, CONTAM_LLAMA2, first, stop - first, err));
            covered += stop - first, done = stop;
        }
        const double share = (double)covered / (double)texts_length(&c->words, item);
        if (share >= c->o.llama2_share)
            TRY(add_hit(s, hit_of(&s->words, item, CONTAM_LLAMA2, share, from, to), err));
    }
    best_hits(s, first_hit);
    return 0;
}

/* ---- decon ---- */

/* All that were hit, in the order of the items, as marks: neighbours of one score are one. */
static int mark_hits(struct contam_state *s, const struct decon_hit *h, size_t n_hit, struct err *err)
{
    for (size_t i = 0, end; i < n_hit; i = end) {
        for (end = i + 1; end < n_hit && h[end].item == h[i].item + (end - i) && h[end].score == h[i].score; end++)
            ;
        TRY(add_mark(s, CONTAM_DECON, h[i].item, (uint32_t)(end - i), err));
        s->mark[s->n_mark - 1].score = h[i].score;
    }
    return 0;
}

static int by_decon(const struct contam *c, struct contam_state *s, const char *text, size_t n, struct err *err)
{
    const struct decon_hit *h;
    size_t n_hit;
    TRY(units_of(&s->units, decon_units(c->decon), c->o.tok, text, n, err));
    TRY(decon_find(c->decon, s->decon, &s->units, &h, &n_hit, err));
    const size_t first_hit = s->n_hit;
    for (size_t i = 0; i < n_hit; i++)
        TRY(add_hit(s, hit_of(&s->units, h[i].item, CONTAM_DECON, (double)h[i].score, h[i].from, h[i].to), err));
    best_hits(s, first_hit);
    return n_hit > CONTAM_HITS_MAX ? mark_hits(s, h, n_hit, err) : 0;
}

int contam_record(const struct contam *c, struct contam_state *s, const char *text, size_t n, struct contam_found *out, struct err *err)
{
    s->n_hit = s->n_more = s->n_mark = 0;
    if (of_words(c)) {
        TRY(units_of(&s->words, UNITS_JANITOR, NULL, text, n, err));
        TRY(find_gate(&c->gram[c->gate], &s->words, s, err));
    }
    if (has(c, CONTAM_GPT3))
        TRY(by_grams(c, &s->words, s, CONTAM_GPT3, 0, err));
    if (has(c, CONTAM_PALM))
        TRY(by_grams(c, &s->words, s, CONTAM_PALM, c->o.palm_share, err));
    if (has(c, CONTAM_LLAMA2))
        TRY(by_skip_grams(c, s, err));
    if (has(c, CONTAM_DATATROVE)) {
        TRY(units_of(&s->units, UNITS_SIMPLE, NULL, text, n, err));
        TRY(find_gate(&c->gram[CONTAM_DATATROVE], &s->units, s, err));
        TRY(by_grams(c, &s->units, s, CONTAM_DATATROVE, 0, err));
    }
    if (has(c, CONTAM_DECON))
        TRY(by_decon(c, s, text, n, err));
    *out = (struct contam_found){ s->hit, s->n_hit, s->n_more, s->mark, s->n_mark };
    return 0;
}

/* ---- over all records ---- */

struct contam_tally {
    const struct contam *c;
    uint64_t *seen[N_CONTAM_METHOD];             /* a bit a gram, or a word of llama2 */
    float *best;                                 /* decon's of each item */
    int64_t *record, *last;                      /* of [method][set]: records that were hit, and which was the last of them */
    int64_t n_record;
};

static size_t n_marks(const struct contam *c, int m) { return m == CONTAM_LLAMA2 ? c->words.n_h : c->gram[m].n_gram; }

int contam_tally_new(struct contam_tally **out, const struct contam *c, struct err *err)
{
    struct contam_tally *t = mem_alloc_zero(sizeof *t);
    const size_t n = (size_t)c->refs->n_set * N_CONTAM_METHOD + 1;
    bool all = t;
    *out = NULL;
    if (t) {
        t->c = c;
        for (int m = 0; m < N_CONTAM_METHOD; m++)
            all = (t->seen[m] = mem_alloc_array(n_marks(c, m) / 64 + 1, sizeof *t->seen[m])) && all;
        t->best = mem_alloc_array((size_t)c->refs->n_item + 1, sizeof *t->best);
        t->record = mem_alloc_array(n, sizeof *t->record);
        t->last = mem_alloc_array(n, sizeof *t->last);
    }
    if (!all || !t->best || !t->record || !t->last) {
        contam_tally_free(t);
        return ERR(err, NOMEM, "no memory to count what is found of %lld items", (long long)c->refs->n_item);
    }
    *out = t;
    return 0;
}

void contam_tally_free(struct contam_tally *t)
{
    if (!t)
        return;
    for (int m = 0; m < N_CONTAM_METHOD; m++)
        mem_free(t->seen[m]);
    mem_free(t->best);
    mem_free(t->record);
    mem_free(t->last);
    mem_free(t);
}

const struct contam *contam_tally_index(const struct contam_tally *t) { return t->c; }

static void raise_best(struct contam_tally *t, uint32_t item, float score) { t->best[item] = score > t->best[item] ? score : t->best[item]; }

void contam_tally_add(struct contam_tally *t, const struct contam_found *f)
{
    t->n_record++;
    for (size_t i = 0; i < f->n_mark; i++)
        for (uint32_t k = f->mark[i].first; k - f->mark[i].first < f->mark[i].n; k++)
            if (f->mark[i].method == CONTAM_DECON)
                raise_best(t, k, f->mark[i].score);
            else
                t->seen[f->mark[i].method][k / 64] |= (uint64_t)1 << k % 64;
    for (size_t i = 0; i < f->n_hit; i++) {
        const struct contam_hit *h = &f->hit[i];
        const size_t k = (size_t)h->method * (size_t)t->c->refs->n_set + (size_t)t->c->refs->item[h->item].set;
        t->record[k] += t->last[k] != t->n_record;
        t->last[k] = t->n_record;
        if (h->method == CONTAM_DECON)
            raise_best(t, h->item, h->score);
    }
}

static bool is_seen(const struct contam_tally *t, int m, uint32_t k) { return t->seen[m][k / 64] >> k % 64 & 1; }

static struct contam_item of_skip_grams(const struct contam_tally *t, int64_t item)
{
    const struct texts *w = &t->c->words;
    struct contam_item x = { .n = (uint32_t)texts_length(w, (size_t)item) };
    uint32_t n = 0, run = 0;
    for (uint32_t k = w->begin[item]; k < w->begin[item + 1]; k++) {
        run = is_seen(t, CONTAM_LLAMA2, k) ? run + 1 : 0;
        n += run > 0;
        x.longest = run > x.longest ? run : x.longest;
    }
    x.share = x.n ? n / (double)x.n : 0;
    x.dirty = x.n > SEED_WORDS && x.share >= t->c->o.llama2_share;
    x.n = x.n > SEED_WORDS ? x.n : 0;
    return x;
}

static struct contam_item of_grams(const struct contam_tally *t, int64_t item, enum contam_method m)
{
    const struct ngrams *g = &t->c->gram[m];
    const struct texts *w = m == CONTAM_DATATROVE ? &t->c->simple : &t->c->words;
    struct contam_item x = { .n = ngrams_n_own(g, (size_t)item) };
    uint32_t n = 0, run = 0;
    for (uint32_t k = g->own_begin[item]; k < g->own_begin[item + 1]; k++)
        n += is_seen(t, m, g->own[k]);
    for (uint32_t p = w->begin[item]; n && p + (uint32_t)g->n <= w->begin[item + 1]; p++) {
        struct rolling r;
        rolling_begin(&r, w->h + p, g->n);
        const uint32_t id = ngrams_find(g, rolling_hash(&r));
        run = id != NGRAM_NONE && is_seen(t, m, id) ? run + 1 : 0;
        x.longest = run && run + (uint32_t)g->n - 1 > x.longest ? run + (uint32_t)g->n - 1 : x.longest;
    }
    x.share = x.n ? n / (double)x.n : 0;
    x.dirty = m != CONTAM_PALM ? n > 0 : x.n && x.share >= t->c->o.palm_share;
    return x;
}

struct contam_item contam_tally_item(const struct contam_tally *t, int64_t item, enum contam_method m)
{
    if (!has(t->c, m))
        return (struct contam_item){ 0 };
    if (m != CONTAM_DECON)
        return m == CONTAM_LLAMA2 ? of_skip_grams(t, item) : of_grams(t, item, m);
    return (struct contam_item){ .n = decon_has(t->c->decon, item), .share = (double)t->best[item], .dirty = t->best[item] > 0 };
}

struct contam_set contam_tally_set(const struct contam_tally *t, int set, enum contam_method m)
{
    const struct refs *r = t->c->refs;
    struct contam_set x = { .n_item = r->set[set].n_item, .n_record = t->record[(size_t)m * (size_t)r->n_set + (size_t)set] };
    for (int64_t i = 0; i < r->n_item; i++)
        if (r->item[i].set == set) {
            const struct contam_item item = contam_tally_item(t, i, m);
            x.n_dirty += item.dirty, x.n_short += !item.n;
        }
    return x;
}

/* ---- what stands of each item in the data ---- */

static json_t *item_json(const struct contam_tally *t, int64_t i)
{
    const struct refs *r = t->c->refs;
    char path[1000];
    snprintf(path, sizeof path, "%s", r->file[r->item[i].file]);
    err_tidy(path);
    json_t *o = json_pack("{s:s, s:s, s:I}", "set", r->set[r->item[i].set].name, "file", path, "line", (json_int_t)r->item[i].line);
    int bad = !o;
    for (int m = 0; m < N_CONTAM_METHOD && !bad; m++) {
        const struct contam_item x = contam_tally_item(t, i, (enum contam_method)m);
        if (has(t->c, (enum contam_method)m))
            bad = json_object_set_new(o, contam_method_name((enum contam_method)m),
                                      json_pack("{s:I, s:f, s:I, s:b}", "n", (json_int_t)x.n, "share", x.share, "longest", (json_int_t)x.longest, "dirty", (int)x.dirty));
    }
    if (bad)
        json_decref(o);
    return bad ? NULL : o;
}

static int add_item(struct file_writer *w, const struct contam_tally *t, int64_t i, struct err *err)
{
    json_t *o = item_json(t, i);
    char *line = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    int rc = line ? file_writer_add(w, line, strlen(line), err) : ERR(err, NOMEM, "no memory for a line of '%s'", w->path);
    rc = rc ? rc : file_writer_add(w, "\n", 1, err);
    mem_free(line);
    json_decref(o);
    return rc;
}

int contam_write_items(const struct contam_tally *t, const char *path, struct err *err)
{
    struct file_writer w;
    int rc = file_writer_open(&w, path, err);
    for (int64_t i = 0; i < t->c->refs->n_item && !rc; i++)
        rc = add_item(&w, t, i, err);
    if (!rc)
        return file_writer_commit(&w, err);
    file_writer_abort(&w);
    return rc;
}
