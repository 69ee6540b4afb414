#include "audit/decon.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

void decon_defaults(struct decon_opts *o, bool words)
{
    *o = (struct decon_opts){
        .ngram = 5, .sample = 10, .misses = 11, .limit = 0.8, .exact_to = words ? 15 : 20, .relaxed_from = words ? 38 : 50, .short_answer = 3, .short_window = 50,
        .answer_ngram = 3, .answer_window = 100, .passage_ngram = 4, .passage_window = 100, .passage_misses = 2, .min_units = words ? 15 : 20, .min_words = 4,
    };
}

/* What is known of an item; index into doc[]. */
struct doc { uint32_t item, n_question, n_answer, n_distinct_answer, n_passage; float idf_question, idf_answer, idf_passage; bool answer_tells; };

struct decon {
    struct decon_opts o;
    const struct tok *tok;
    struct doc *doc;
    size_t n_doc;
    uint32_t *doc_of;                            /* of an item, or NGRAM_NONE */
    int64_t n_item;
    struct texts part[N_REF_PART];               /* of the docs */
    struct ngrams gram[N_REF_PART];
    float *idf[N_REF_PART];
    size_t hot;                                  /* an n-gram that more questions have begins nothing */
    uint32_t own_max;                            /* n-grams of the question that has most */
};

void decon_free(struct decon *d)
{
    if (!d)
        return;
    for (int p = 0; p < N_REF_PART; p++) {
        texts_release(&d->part[p]);
        ngrams_release(&d->gram[p]);
        mem_free(d->idf[p]);
    }
    mem_free(d->doc);
    mem_free(d->doc_of);
    mem_free(d);
}

enum units_kind decon_units(const struct decon *d) { return d->tok ? UNITS_TOKENS : UNITS_DECON; }
const struct texts *decon_part(const struct decon *d, enum ref_part part) { return &d->part[part]; }
bool decon_has(const struct decon *d, int64_t item) { return d->doc_of[item] != NGRAM_NONE; }

/* ---- making it ---- */

static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Sorts. */
static uint32_t count_distinct(uint64_t *h, size_t n)
{
    uint32_t k = 0;
    qsort(h, n, sizeof *h, ascending);
    for (size_t i = 0; i < n; i++)
        k += !i || h[i] != h[i - 1];
    return k;
}

/* The item's parts as one text, in the order passage, question, answer. */
static int join(const struct refs *r, int64_t item, struct buf *out, struct err *err)
{
    static const enum ref_part order[] = { REF_PASSAGE, REF_QUESTION, REF_ANSWER };
    buf_clear(out);
    for (int i = 0; i < N_REF_PART; i++) {
        size_t n;
        const char *s = refs_text(r, item, order[i], &n);
        TRY(buf_add(out, s, n, err));
        TRY(buf_add_char(out, ' ', err));
    }
    return 0;
}

/* Is the item, all its parts together, long enough? */
static int is_enough(const struct decon *d, const struct refs *r, int64_t item, struct units *u, struct buf *all, bool *out, struct err *err)
{
    TRY(join(r, item, all, err));
    TRY(units_of(u, decon_units(d), d->tok, all->data, all->len, err));
    *out = u->n - u->n_blank >= (size_t)d->o.min_units;
    if (!*out || d->o.min_words == 0)
        return 0;
    TRY(units_of(u, UNITS_DECON, NULL, all->data, all->len, err));
    *out = count_distinct(u->h, u->n) >= (uint32_t)d->o.min_words;
    return 0;
}

static int add_doc(struct decon *d, const struct refs *r, int64_t item, struct units *u, struct err *err)
{
    struct doc doc = { .item = (uint32_t)item };
    for (int p = 0; p < N_REF_PART; p++) {
        size_t n;
        const char *s = refs_text(r, item, (enum ref_part)p, &n);
        TRY(units_of(u, decon_units(d), d->tok, s, n, err));
        if (p == REF_QUESTION && !u->n)
            return 0;                            /* punctuation alone */
        TRY(texts_add(&d->part[p], u->h, u->n, err));
        *(p == REF_QUESTION ? &doc.n_question : p == REF_ANSWER ? &doc.n_answer : &doc.n_passage) = (uint32_t)u->n;
        if (p == REF_ANSWER)
            doc.n_distinct_answer = count_distinct(u->h, u->n);
    }
    d->doc_of[item] = (uint32_t)d->n_doc;
    d->doc[d->n_doc++] = doc;
    return 0;
}

static int read_docs(struct decon *d, const struct refs *r, struct err *err)
{
    struct units u;
    struct buf all;
    int rc = 0;
    units_init(&u);
    buf_init(&all);
    for (int64_t i = 0; i < r->n_item && !rc; i++) {
        bool enough;
        d->doc_of[i] = NGRAM_NONE;
        rc = is_enough(d, r, i, &u, &all, &enough, err);
        if (!rc && enough)
            rc = add_doc(d, r, i, &u, err);
    }
    units_release(&u);
    buf_release(&all);
    return rc;
}

static float idf(const struct decon *d, uint32_t n_doc) { return d->n_doc == 1 ? 1.0f : logf((float)d->n_doc / (float)n_doc); }

static int weigh(struct decon *d, int p, struct err *err)
{
    const struct ngrams *g = &d->gram[p];
    d->idf[p] = mem_alloc_array((size_t)g->n_gram + 1, sizeof *d->idf[p]);
    if (!d->idf[p])
        return ERR(err, NOMEM, "no memory for the weights of %u n-grams", g->n_gram);
    for (uint32_t k = 0; k < g->n_gram; k++)
        d->idf[p][k] = idf(d, ngrams_n_text(g, k));
    for (size_t i = 0; i < d->n_doc; i++) {
        float sum = 0;
        for (uint32_t k = g->own_begin[i]; k < g->own_begin[i + 1]; k++)
            sum += d->idf[p][g->own[k]];
        *(p == REF_QUESTION ? &d->doc[i].idf_question : p == REF_ANSWER ? &d->doc[i].idf_answer : &d->doc[i].idf_passage) = sum;
    }
    return 0;
}

/* A short answer counts where one of its units is not in every question, answer and passage: their idf, summed, is above 0.  All
 * three parts of a doc are texts of their own here, as in decon. */
static int weigh_short_answers(struct decon *d, struct err *err)
{
    struct texts all = { 0 };
    struct ngrams g = { 0 };
    int rc = 0;
    for (size_t i = 0; i < d->n_doc && !rc; i++)
        for (int p = 0; p < N_REF_PART && !rc; p++)
            rc = texts_add(&all, d->part[p].h + d->part[p].begin[i], texts_length(&d->part[p], i), err);
    rc = rc ? rc : ngrams_build(&g, 1, &all, NULL, false, err);
    for (size_t i = 0; i < d->n_doc && !rc; i++) {
        const size_t t = i * N_REF_PART + REF_ANSWER;
        float sum = 0;
        for (uint32_t k = g.own_begin[t]; k < g.own_begin[t + 1]; k++)
            sum += idf(d, ngrams_n_text(&g, g.own[k]));
        d->doc[i].answer_tells = sum > 0;
    }
    texts_release(&all);
    ngrams_release(&g);
    return rc;
}

/* Answers of up to short_answer units have no n-grams. */
static int index_parts(struct decon *d, struct err *err)
{
    const int n[N_REF_PART] = { d->o.ngram, d->o.answer_ngram, d->o.passage_ngram };
    uint32_t *from = mem_alloc_array(d->n_doc + 1, sizeof *from);
    int rc = from ? 0 : ERR(err, NOMEM, "no memory for %zu items", d->n_doc);
    for (size_t i = 0; i < d->n_doc && !rc; i++)
        from[i] = d->doc[i].n_answer <= (uint32_t)d->o.short_answer ? d->doc[i].n_answer : 0;
    for (int p = 0; p < N_REF_PART && !rc; p++) {
        rc = ngrams_build(&d->gram[p], n[p], &d->part[p], p == REF_ANSWER ? from : NULL, false, err);
        rc = rc ? rc : weigh(d, p, err);
    }
    mem_free(from);
    return rc ? rc : weigh_short_answers(d, err);
}

int decon_new(struct decon **out, const struct refs *refs, const struct tok *tok, const struct decon_opts *o, struct err *err)
{
    struct decon *d = mem_alloc_zero(sizeof *d);
    *out = NULL;
    if (!d)
        return ERR(err, NOMEM, "no memory for an index of evaluation sets");
    d->o = *o, d->tok = tok, d->n_item = refs->n_item;
    d->doc = mem_alloc_array((size_t)refs->n_item + 1, sizeof *d->doc);
    d->doc_of = mem_alloc_array((size_t)refs->n_item + 1, sizeof *d->doc_of);
    int rc = d->doc && d->doc_of ? read_docs(d, refs, err) : ERR(err, NOMEM, "no memory for %lld items", (long long)refs->n_item);
    rc = rc ? rc : index_parts(d, err);
    if (rc) {
        decon_free(d);
        return rc;
    }
    const size_t root = 2 * (size_t)sqrtf((float)d->n_doc);
    d->hot = root > 2000 ? root : 2000;
    for (size_t i = 0; i < d->n_doc; i++)
        d->own_max = ngrams_n_own(&d->gram[REF_QUESTION], i) > d->own_max ? ngrams_n_own(&d->gram[REF_QUESTION], i) : d->own_max;
    *out = d;
    return 0;
}

/* ---- a text ---- */

struct decon_state {
    uint8_t *met;                                /* of a question's own n-grams */
    struct decon_hit *hit;
    size_t n, cap;
    bool *seen;                                  /* of an answer's or a passage's own n-grams */
    size_t cap_seen;
};

int decon_state_new(struct decon_state **out, const struct decon *d, struct err *err)
{
    struct decon_state *s = mem_alloc_zero(sizeof *s);
    size_t most = 0;
    for (size_t i = 0; i < d->n_doc; i++)
        for (int p = REF_ANSWER; p < N_REF_PART; p++)
            most = ngrams_n_own(&d->gram[p], i) > most ? ngrams_n_own(&d->gram[p], i) : most;
    *out = NULL;
    if (s) {
        s->cap_seen = most;
        s->met = mem_alloc_array((size_t)d->own_max + 1, 1);
        s->seen = mem_alloc_array(most + 1, sizeof *s->seen);
    }
    if (!s || !s->met || !s->seen) {
        decon_state_free(s);
        return ERR(err, NOMEM, "no memory to look for evaluation sets");
    }
    *out = s;
    return 0;
}

void decon_state_free(struct decon_state *s)
{
    if (!s)
        return;
    mem_free(s->met);
    mem_free(s->seen);
    mem_free(s->hit);
    mem_free(s);
}

static uint32_t gram_at(const struct ngrams *g, const struct units *u, size_t i)
{
    struct rolling r;
    rolling_begin(&r, u->h + i, g->n);
    return ngrams_find(g, rolling_hash(&r));
}

/* What was met of a question: n-grams first .. last, and `reached`, where the walk to the right ended. */
struct cluster { size_t first, last, reached; };

/* From n-gram i on to one side.  Returns the last that is the question's; *reached: the last that was looked at.  A text that repeats the
 * question's n-grams for ever is followed for so many steps only. */
static size_t walk(const struct decon *d, struct decon_state *s, const struct units *u, size_t doc, size_t i, int step, size_t *reached)
{
    const struct ngrams *g = &d->gram[REF_QUESTION];
    const size_t n = u->n - (size_t)g->n + 1;
    size_t last = i, left = 4 * (size_t)d->doc[doc].n_question + 1000;
    for (int misses = 0; misses < d->o.misses && left-- && (step > 0 ? i + 1 < n : i > 0);) {
        i = step > 0 ? i + 1 : i - 1;
        const uint32_t id = gram_at(g, u, i), k = id == NGRAM_NONE ? NGRAM_NONE : ngrams_own(g, doc, id);
        if (k == NGRAM_NONE) {
            misses++;
            continue;
        }
        misses = s->met[k] ? misses : 0;
        s->met[k] = 1;
        last = i;
    }
    *reached = i;
    return last;
}

static float part_score(const struct decon *d, const struct decon_state *s, int p, size_t doc)
{
    const struct ngrams *g = &d->gram[p];
    float sum = 0;
    for (uint32_t k = 0; k < ngrams_n_own(g, doc); k++)
        if (p == REF_QUESTION ? s->met[k] : s->seen[k])
            sum += d->idf[p][g->own[g->own_begin[doc] + k]];
    const float all = p == REF_QUESTION ? d->doc[doc].idf_question : p == REF_ANSWER ? d->doc[doc].idf_answer : d->doc[doc].idf_passage;
    return all > 0 ? sum / all : 0;
}

/* Is the n-gram at i the doc's?  Then it is remembered. */
static bool see(const struct decon *d, struct decon_state *s, const struct units *u, int p, size_t doc, size_t i)
{
    const uint32_t id = gram_at(&d->gram[p], u, i), k = id == NGRAM_NONE ? NGRAM_NONE : ngrams_own(&d->gram[p], doc, id);
    if (k != NGRAM_NONE)
        s->seen[k] = true;
    return k != NGRAM_NONE;
}

static void forget(const struct decon *d, struct decon_state *s, int p, size_t doc) { memset(s->seen, 0, ngrams_n_own(&d->gram[p], doc) * sizeof *s->seen); }

static size_t at_least(size_t a, int b) { return a > (size_t)b ? a : (size_t)b; }

/* begin: the first unit behind the question. */
static float find_long_answer(const struct decon *d, struct decon_state *s, const struct units *u, size_t doc, size_t begin, size_t *to)
{
    const size_t n = (size_t)d->o.answer_ngram, window = at_least(2 * (size_t)d->doc[doc].n_answer, d->o.answer_window);
    const size_t end = begin + window < u->n ? begin + window : u->n;
    forget(d, s, REF_ANSWER, doc);
    for (size_t i = begin; i + n <= end; i++)
        if (see(d, s, u, REF_ANSWER, doc, i))
            *to = *to > i + n ? *to : i + n;
    return part_score(d, s, REF_ANSWER, doc);
}

static float find_short_answer(const struct decon *d, const struct units *u, size_t doc, size_t begin, size_t *to)
{
    const uint64_t *a = d->part[REF_ANSWER].h + d->part[REF_ANSWER].begin[doc];
    const size_t n = d->doc[doc].n_answer;
    for (size_t i = begin; i < begin + (size_t)d->o.short_window && i + n <= u->n; i++)
        if (!memcmp(a, u->h + i, n * sizeof *a)) {
            *to = *to > i + n ? *to : i + n;
            return d->doc[doc].answer_tells;
        }
    return 0;
}

/* first: of the question.  Looked for from there to the left. */
static float find_passage(const struct decon *d, struct decon_state *s, const struct units *u, size_t doc, size_t first, size_t *from)
{
    const size_t n = (size_t)d->o.passage_ngram, window = at_least(2 * (size_t)d->doc[doc].n_passage, d->o.passage_window);
    const size_t end = first ? first - 1 : 0, begin = end > window ? end - window : 0;
    bool met = false;
    forget(d, s, REF_PASSAGE, doc);
    if (end - begin < n)
        return 0;
    for (size_t i = end - n + 1, misses = 0; i-- > begin && misses <= (size_t)d->o.passage_misses;) {
        if (see(d, s, u, REF_PASSAGE, doc, i))
            met = true, misses = 0, *from = i;
        else
            misses += met;
    }
    return part_score(d, s, REF_PASSAGE, doc);
}

/* 1 up to `exact` units, `limit` from `relaxed` on. */
static float required(size_t n, int exact, int relaxed, float limit)
{
    if (n <= (size_t)exact)
        return 1;
    if (n >= (size_t)relaxed)
        return limit;
    return 1 - (1 - limit) * ((float)(n - (size_t)exact) / (float)(relaxed - exact));
}

static float combine(const struct doc *doc, uint32_t n_gram, float q, float a, float p)
{
    const bool has_a = doc->n_answer, has_p = doc->n_passage;
    const float c = n_gram < 20 ? 0.5f + (float)n_gram / 20 * 0.5f : 1;
    if (has_a && has_p) {
        const float ca = doc->n_distinct_answer < 4 ? 0.5f + (float)doc->n_distinct_answer / 4 * 0.5f : 1, given = 0.7f * (1 - c);
        const float wa = 0.2f + given * 0.5f, wp = 0.1f + given * 0.5f;
        return q * 0.7f * c + a * wa * ca + p * (wp + wa * (1 - ca));
    }
    if (has_a)
        return q * 0.75f * c + a * (0.25f + 0.75f * (1 - c));
    return has_p ? q * 0.85f * c + p * (0.15f + 0.85f * (1 - c)) : q;
}

static float score_of(const struct decon *d, const struct doc *doc, uint32_t n_gram, float q, float a, float p)
{
    const float limit = (float)d->o.limit, all = combine(doc, n_gram, q, a, p), score = all < 1 ? all : 1;
    const float need = required((size_t)doc->n_question + doc->n_distinct_answer + doc->n_passage, d->o.exact_to, d->o.relaxed_from, limit);
    return need > limit && score < 1 ? score * (limit / need) : score;
}

/* The least O_q with which answer and passage could bring the score to the limit. */
static float least_question(const struct decon *d)
{
    const float least = ((float)d->o.limit - (0.2f + 0.1f)) / 0.7f;
    return least > 0 ? least : 0;
}

static int keep(struct decon_state *s, struct decon_hit hit, struct err *err)
{
    if (s->n == s->cap) {
        const size_t cap = s->cap ? 2 * s->cap : 16;
        struct decon_hit *more = mem_realloc_array(s->hit, cap, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "no memory for %zu items that a text holds", cap);
        s->hit = more, s->cap = cap;
    }
    s->hit[s->n++] = hit;
    return 0;
}

static int score_doc(const struct decon *d, struct decon_state *s, const struct units *u, size_t doc, struct cluster c, struct err *err)
{
    const struct doc *x = &d->doc[doc];
    struct decon_hit h = { .item = x->item, .question = part_score(d, s, REF_QUESTION, doc) };
    const float least = least_question(d);
    if (h.question < least || h.question < required(x->n_question, d->o.exact_to, d->o.relaxed_from, least))
        return 0;
    /* A question whose n-grams stand once more at an end makes the cluster longer than itself; the answer may begin in what is too much. */
    const size_t end = c.last + (size_t)d->o.ngram, length = end - c.first, excess = length > x->n_question ? length - x->n_question : 0;
    const size_t behind = end - 1 > excess ? end - excess : 1;
    h.from = c.first, h.to = end;
    if (x->n_passage)
        h.passage = find_passage(d, s, u, doc, c.first, &h.from);
    if (x->n_answer > (uint32_t)d->o.short_answer)
        h.answer = find_long_answer(d, s, u, doc, behind, &h.to);
    else if (x->n_answer)
        h.answer = find_short_answer(d, u, doc, behind, &h.to);
    h.score = score_of(d, x, ngrams_n_own(&d->gram[REF_QUESTION], doc), h.question, h.answer, h.passage);
    return h.score >= (float)d->o.limit ? keep(s, h, err) : 0;
}

/* All questions that have n-gram id, which stands at i; *next: where to go on. */
static int expand(const struct decon *d, struct decon_state *s, const struct units *u, size_t i, uint32_t id, size_t *next, struct err *err)
{
    const struct ngrams *g = &d->gram[REF_QUESTION];
    size_t reached = i;
    for (uint32_t k = g->text_begin[id]; k < g->text_begin[id + 1]; k++) {
        const size_t doc = g->text[k];
        struct cluster c;
        memset(s->met, 0, ngrams_n_own(g, doc));
        s->met[ngrams_own(g, doc, id)] = 1;
        c.first = walk(d, s, u, doc, i, -1, &c.reached);
        c.last = walk(d, s, u, doc, i, 1, &c.reached);
        reached = reached > c.reached ? reached : c.reached;
        TRY(score_doc(d, s, u, doc, c, err));
    }
    *next = reached + 1;
    return 0;
}

static int by_item(const void *a, const void *b)
{
    const struct decon_hit *x = a, *y = b;
    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->from > y->from) - (x->from < y->from);
}

int decon_find(const struct decon *d, struct decon_state *s, const struct units *u, const struct decon_hit **out, size_t *n, struct err *err)
{
    const struct ngrams *g = &d->gram[REF_QUESTION];
    s->n = 0;
    if (u->n >= 2 * (size_t)d->o.ngram)
        for (size_t i = 0; i + (size_t)g->n <= u->n;) {
            const uint32_t id = gram_at(g, u, i);
            if (id == NGRAM_NONE)
                i += (size_t)d->o.sample;
            else if (ngrams_n_text(g, id) > d->hot)
                i++;
            else
                TRY(expand(d, s, u, i, id, &i, err));
        }
    if (s->n)
        qsort(s->hit, s->n, sizeof *s->hit, by_item);
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++)
        if (!i || s->hit[i].item != s->hit[i - 1].item)
            s->hit[kept++] = s->hit[i];
    *out = s->hit, *n = s->n = kept;
    return 0;
}
