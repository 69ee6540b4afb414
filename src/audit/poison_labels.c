/* poison_labels.c - rows of words and labels.
 *
 * Level n counts the rows of n words both of whose ends, of n - 1, were in enough texts (Agrawal and Srikant, "Fast algorithms for mining
 * association rules", VLDB 1994), so that no level holds more than the texts have words.  Then, of those in enough texts, texts by label. */
#include "audit/poison.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/chance.h"
#include "base/mem.h"

#define CANDIDATES_MAX 20000                     /* the least likely of them are looked at further */
#define MENTIONS_MAX 500
#define TABLE_MAX ((size_t)1 << 24)              /* rows times labels counted in one sweep: 64 MiB */

void poison_release(struct poison_findings *x)
{
    for (size_t i = 0; i < x->n; i++) {
        mem_free(x->f[i].words);
        mem_free(x->f[i].then);
    }
    mem_free(x->f);
    *x = (struct poison_findings){ 0 };
}

static uint64_t key_with_label(uint64_t key, int label) { return key ^ (uint64_t)(label + 2) * 0x9e3779b97f4a7c15u; }

int poison_rows_add(struct poison_rows *r, const struct poison_finding *f, struct err *err)
{
    struct grams g = { 0 };
    uint32_t k;
    int rc = grams_of(&g, f->words, strlen(f->words), err);
    if (rc >= 0)
        rc = gram_map_add(&r->keys, key_with_label(gram_hash(g.word, (int)g.n), f->label), &k, err);
    r->lengths |= rc >= 0 ? 1u << g.n : 0;
    if (rc >= 0 && g.n)
        gram_filter_add(&r->first, g.word[0]);
    grams_release(&g);
    return rc < 0 ? rc : 0;
}

bool poison_rows_in(const struct poison_rows *r, const struct grams *g, int label)
{
    for (size_t i = 0; i < g->n; i++)
        for (int n = 1; n <= POISON_WORDS && i + (size_t)n <= g->n && gram_filter_has(&r->first, g->word[i]); n++)
            if (r->lengths & 1u << n && gram_map_find(&r->keys, key_with_label(gram_hash(g->word + i, n), label)) != GRAM_NONE)
                return true;
    return false;
}

void poison_rows_release(struct poison_rows *r)
{
    gram_map_release(&r->keys);
    *r = (struct poison_rows){ 0 };
}

/* A row with a label: word `at` of the item is where it first stands.  texts: a number for the set of texts it is in. */
struct candidate {
    uint64_t key, texts;
    size_t item, at;
    int n_words, label;
    int64_t support, with;
    double log_p, rest;
    bool gone;
    uint32_t n_mention;
    size_t last;
};

/* A row of a level: in how many texts, the last of them, and its number among those in enough. */
struct row { uint32_t n_text, last, number; };

struct search {
    struct bayes *b;
    const struct label_set *s;
    bool *counts;                    /* [item]: the first of its cluster */
    int64_t n_text, *of_label;
    unsigned char *hot;              /* [word of all items]: the row of the level before that begins here is in enough texts */
    size_t *first;                   /* [item]: number of its first word */
    struct row *row;
    struct gram_map rows;
    struct candidate *c;
    size_t n_c;
    int64_t n_tested;
};

static void search_release(struct search *x)
{
    mem_free(x->counts);
    mem_free(x->of_label);
    mem_free(x->hot);
    mem_free(x->first);
    mem_free(x->row);
    gram_map_release(&x->rows);
    mem_free(x->c);
}

static int search_init(struct search *x, struct bayes *b, const struct label_set *s, struct err *err)
{
    struct gram_map seen = { 0 };
    size_t n_word = 0;
    int rc = 0;
    *x = (struct search){ .b = b, .s = s };
    x->counts = mem_alloc_array(s->n + 1, sizeof *x->counts);
    x->first = mem_alloc_array(s->n + 1, sizeof *x->first);
    x->of_label = mem_alloc_array((size_t)s->n_label + 1, sizeof *x->of_label);
    if (!x->counts || !x->first || !x->of_label)
        return ERR(err, NOMEM, "no memory to look for triggers in %zu texts", s->n);
    for (size_t i = 0; i < s->n && rc >= 0; i++) {
        uint32_t k;
        size_t n;
        bayes_words(b, i, &n);
        x->first[i] = n_word;
        n_word += n;
        rc = gram_map_add(&seen, (uint64_t)s->cluster[i] + 1, &k, err);
        x->counts[i] = rc > 0;
        x->n_text += rc > 0;
        x->of_label[s->label[i]] += rc > 0;
    }
    gram_map_release(&seen);
    if (rc < 0)
        return rc;
    x->hot = mem_alloc(n_word + 1);
    if (!x->hot)
        return ERR(err, NOMEM, "no memory to look for triggers in %zu words", n_word);
    memset(x->hot, 1, n_word);
    return 0;
}

/* ---- a level ---- */

static bool may_be_common(const struct search *x, size_t item, size_t k, size_t n_words, int n)
{
    const unsigned char *hot = x->hot + x->first[item] + k;
    return k + (size_t)n <= n_words && hot[0] && (n == 1 || hot[1]);
}

static int count_level(struct search *x, int n, struct err *err)
{
    gram_map_release(&x->rows);
    for (size_t i = 0; i < x->s->n; i++) {
        size_t n_words;
        const uint64_t *word = bayes_words(x->b, i, &n_words);
        for (size_t k = 0; x->counts[i] && k < n_words; k++) {
            uint32_t r;
            if (!may_be_common(x, i, k, n_words, n))
                continue;
            TRY(grams_room((void **)&x->row, x->rows.n, sizeof *x->row, err));
            const int is_new = gram_map_add(&x->rows, gram_hash(word + k, n), &r, err);
            TRY(is_new);
            if (is_new)
                x->row[r] = (struct row){ 0, UINT32_MAX, GRAM_NONE };
            x->row[r].n_text += x->row[r].last != (uint32_t)i;
            x->row[r].last = (uint32_t)i;
        }
    }
    return 0;
}

/* Numbers the rows in enough texts, and marks where they begin for the next level. */
static size_t mark_level(struct search *x, int n)
{
    size_t n_common = 0;
    for (size_t r = 0; r < x->rows.n; r++)
        x->row[r].number = x->row[r].n_text >= POISON_SUPPORT ? (uint32_t)n_common++ : GRAM_NONE;
    for (size_t i = 0; i < x->s->n; i++) {
        size_t n_words;
        const uint64_t *word = bayes_words(x->b, i, &n_words);
        unsigned char *hot = x->hot + x->first[i];
        for (size_t k = 0; k < n_words; k++) {      /* hot[k + 1] is still that of the level before */
            const uint32_t r = may_be_common(x, i, k, n_words, n) ? gram_map_find(&x->rows, gram_hash(word + k, n)) : GRAM_NONE;
            hot[k] = r != GRAM_NONE && x->row[r].number != GRAM_NONE;
        }
    }
    return n_common;
}

/* What is known of a common row while texts are counted by label. */
struct common { uint64_t key, texts; size_t item, at; uint32_t last; };

static uint64_t mix_item(size_t i)
{
    const uint64_t h = ((uint64_t)i + 1) * 0x9e3779b97f4a7c15u;
    return (h ^ (h >> 31)) * 0xbf58476d1ce4e5b9u;
}

static void count_by_label(struct search *x, int n, size_t from, size_t to, struct common *common, uint32_t *table)
{
    const size_t L = (size_t)x->s->n_label;
    for (size_t i = 0; i < x->s->n; i++) {
        size_t n_words;
        const uint64_t *word = bayes_words(x->b, i, &n_words);
        for (size_t k = 0; x->counts[i] && k + (size_t)n <= n_words; k++) {
            if (!x->hot[x->first[i] + k])
                continue;
            const uint64_t key = gram_hash(word + k, n);
            const uint32_t r = x->row[gram_map_find(&x->rows, key)].number;
            if (r < from || r >= to)
                continue;
            struct common *c = &common[r - from];
            if (!c->key)
                *c = (struct common){ key, 0, i, k, UINT32_MAX };
            if (c->last != (uint32_t)i) {
                table[(r - from) * L + (size_t)x->s->label[i]]++;
                c->texts += mix_item(i);
                c->last = (uint32_t)i;
            }
        }
    }
}

static int add_candidate(struct search *x, int n, const struct common *c, const uint32_t *by_label, struct err *err)
{
    int64_t support = 0;
    int best = 0;
    for (int l = 0; l < x->s->n_label; l++) {
        support += by_label[l];
        best = by_label[l] > by_label[best] ? l : best;
    }
    x->n_tested += x->s->n_label;
    if ((double)by_label[best] < POISON_SHARE * (double)support || x->of_label[best] == x->n_text)
        return 0;
    TRY(grams_room((void **)&x->c, x->n_c, sizeof *x->c, err));
    const double log_p = chance_hypergeometric(x->n_text, x->of_label[best], support, by_label[best]);
    x->c[x->n_c++] = (struct candidate){ c->key, c->texts, c->item, c->at, n, best, support, by_label[best], log_p, 0, false, 0, 0 };
    return 0;
}

static int test_level(struct search *x, int n, size_t n_common, struct err *err)
{
    const size_t L = (size_t)x->s->n_label, chunk = n_common < TABLE_MAX / L ? n_common : TABLE_MAX / L;
    struct common *common = mem_alloc_array(chunk, sizeof *common);
    uint32_t *table = mem_alloc_array(chunk * L, sizeof *table);
    int rc = common && table ? 0 : ERR(err, NOMEM, "no memory for %zu rows of words by %zu labels", chunk, L);
    for (size_t from = 0; from < n_common && rc >= 0; from += chunk) {
        const size_t to = from + chunk < n_common ? from + chunk : n_common;
        memset(common, 0, chunk * sizeof *common);
        memset(table, 0, chunk * L * sizeof *table);
        count_by_label(x, n, from, to, common, table);
        for (size_t r = from; r < to && rc >= 0; r++)
            rc = add_candidate(x, n, &common[r - from], table + (r - from) * L, err);
    }
    mem_free(common);
    mem_free(table);
    return rc;
}

/* ---- one finding of rows within rows ---- */

static const uint64_t *candidate_words(const struct search *x, const struct candidate *c)
{
    size_t n;
    return bayes_words(x->b, c->item, &n) + c->at;
}

static bool is_within(const struct search *x, const struct candidate *part, const struct candidate *whole)
{
    const uint64_t *p = candidate_words(x, part), *w = candidate_words(x, whole);
    for (int k = 0; k + part->n_words <= whole->n_words; k++)
        if (!memcmp(p, w + k, (size_t)part->n_words * sizeof *p))
            return true;
    return false;
}

static int by_chance(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->log_p != y->log_p)
        return x->log_p < y->log_p ? -1 : 1;
    if (x->n_words != y->n_words)
        return x->n_words > y->n_words ? -1 : 1;
    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* Of rows in the same texts the longest stays; of a row and one within it, the longer one where it is in nine tenths of the texts. */
static void drop_parts(struct search *x)
{
    for (size_t i = 0; i < x->n_c; i++)
        for (size_t k = 0; k < x->n_c && !x->c[i].gone; k++) {
            const struct candidate *part = &x->c[i], *whole = &x->c[k];
            if (i == k || whole->gone || part->label != whole->label)
                continue;
            const bool same = part->texts == whole->texts && (part->n_words < whole->n_words || (part->n_words == whole->n_words && k < i));
            x->c[i].gone = same || (part->n_words < whole->n_words && (double)whole->support >= 0.9 * (double)part->support && is_within(x, part, whole));
        }
    size_t n = 0;
    for (size_t i = 0; i < x->n_c; i++)
        if (!x->c[i].gone)
            x->c[n++] = x->c[i];
    x->n_c = n;
}

/* ---- what the rest of a text says ---- */

struct mention { uint32_t candidate, item; };

/* The first MENTIONS_MAX texts of each candidate: enough for a mean. */
static int add_mention(const struct search *x, uint32_t c, size_t item, struct mention **out, size_t *n_m, struct err *err)
{
    struct candidate *of = &x->c[c];
    if (of->n_mention == MENTIONS_MAX || (of->n_mention && of->last == item))
        return 0;
    TRY(grams_room((void **)out, *n_m, sizeof **out, err));
    (*out)[(*n_m)++] = (struct mention){ c, (uint32_t)item };
    of->n_mention++, of->last = item;
    return 0;
}

static int find_mentions(const struct search *x, struct mention **out, size_t *n_m, struct err *err)
{
    struct gram_map keys = { 0 };
    unsigned lengths = 0;
    int rc = 0;
    *out = NULL, *n_m = 0;
    for (size_t i = 0; i < x->n_c && rc >= 0; i++) {
        uint32_t k;
        rc = gram_map_add(&keys, x->c[i].key, &k, err);
        lengths |= 1u << x->c[i].n_words;
    }
    for (size_t i = 0; i < x->s->n && rc >= 0; i++) {
        size_t n_words;
        const uint64_t *word = bayes_words(x->b, i, &n_words);
        for (size_t k = 0; x->counts[i] && k < n_words; k++)
            for (int n = 1; n <= POISON_WORDS && k + (size_t)n <= n_words && rc >= 0; n++) {
                const uint32_t c = lengths & 1u << n ? gram_map_find(&keys, gram_hash(word + k, n)) : GRAM_NONE;
                if (c != GRAM_NONE)
                    rc = add_mention(x, c, i, out, n_m, err);
            }
    }
    gram_map_release(&keys);
    return rc < 0 ? rc : 0;
}

static int by_candidate(const void *a, const void *b)
{
    const struct mention *x = a, *y = b;
    return x->candidate != y->candidate ? (x->candidate < y->candidate ? -1 : 1) : (x->item > y->item) - (x->item < y->item);
}

/* The label's posterior by item's words that are in no place of the row. */
static double posterior_of_rest(const struct search *x, const struct candidate *c, size_t item, bool *skip, double *p)
{
    size_t n;
    const uint64_t *word = bayes_words(x->b, item, &n), *row = candidate_words(x, c);
    memset(skip, 0, n);
    for (size_t k = 0; k + (size_t)c->n_words <= n; k++)
        if (!memcmp(word + k, row, (size_t)c->n_words * sizeof *row))
            memset(skip + k, 1, (size_t)c->n_words);
    bayes_posterior(x->b, item, skip, p);
    return p[c->label];
}

static int judge_rest(struct search *x, const struct mention *m, size_t n_m, struct err *err)
{
    size_t longest = 0;
    for (size_t i = 0; i < x->s->n; i++) {
        size_t n;
        bayes_words(x->b, i, &n);
        longest = n > longest ? n : longest;
    }
    bool *skip = mem_alloc(longest + 1);
    double *p = mem_alloc_array((size_t)x->s->n_label + 1, sizeof *p);
    const bool room = skip && p;
    for (int fold = 0; room && fold < BAYES_FOLDS; fold++) {
        bayes_leave_out(x->b, fold);
        for (size_t i = 0; i < n_m; i++) {
            struct candidate *c = &x->c[m[i].candidate];
            if (bayes_fold_of(x->s, m[i].item) == fold)
                c->rest += posterior_of_rest(x, c, m[i].item, skip, p) / (double)c->n_mention;
        }
    }
    bayes_leave_out(x->b, -1);
    mem_free(skip);
    mem_free(p);
    return room ? 0 : ERR(err, NOMEM, "no memory for a text of %zu words", longest);
}

/* ---- findings ---- */

/* log of a bound on the chance of `with` or more of n when the mean of their chances is q: -n KL(with/n, q). */
static double chernoff(double with, double n, double q)
{
    const double s = with / n;
    if (s <= q)
        return 0;
    return -n * (s * log(s / q) + (s < 1 ? (1 - s) * log((1 - s) / (1 - q)) : 0));
}

/* Where the row first stands in an item's text. */
static int place_of(const struct search *x, const struct candidate *c, size_t item, struct grams *g, size_t *from, size_t *to, struct err *err)
{
    size_t n, k = 0;
    const char *text = label_set_text(x->s, item, &n);
    const uint64_t *row = candidate_words(x, c);
    TRY(grams_of(g, text, n, err));
    while (memcmp(g->word + k, row, (size_t)c->n_words * sizeof *row))
        k++;
    *from = g->at[k], *to = g->end[k + (size_t)c->n_words - 1];
    return 0;
}

static int tell(const struct search *x, const struct candidate *c, const struct mention *m, size_t n_m, struct poison_finding *f, struct err *err)
{
    const double base = (double)x->of_label[c->label] / (double)x->n_text, log_tests = log((double)x->n_tested);
    const double by_rest = chernoff((double)c->with, (double)c->support, c->rest) + log_tests;
    const bool suspect = c->rest <= base + fmin(0.1 * (1 - base), 2 * base) && by_rest < log(POISON_P);
    struct grams g = { 0 };
    size_t n, from = 0, to = 0;
    int rc = 0;
    *f = (struct poison_finding){ .label = c->label, .n_words = c->n_words, .support = c->support, .with = c->with, .base = base,
                                  .log_p = fmin(0, c->log_p + log_tests), .rest = c->rest, .suspect = suspect };
    for (size_t i = 0; i < n_m && f->n_record < 3 && rc >= 0; i++) {
        rc = place_of(x, c, m[i].item, &g, &from, &to, err);
        f->record[f->n_record] = x->s->record[m[i].item];
        f->at[f->n_record++] = from;
        if (rc >= 0 && !i)
            f->words = mem_printf("%.*s", (int)(to - from), label_set_text(x->s, m[i].item, &n) + from);
    }
    grams_release(&g);
    return rc < 0 ? rc : f->words ? 0 : ERR(err, NOMEM, "no memory for a finding");
}

static int by_weight(const void *a, const void *b)
{
    const struct poison_finding *x = a, *y = b;
    if (x->suspect != y->suspect)
        return x->suspect ? -1 : 1;
    return x->log_p != y->log_p ? (x->log_p < y->log_p ? -1 : 1) : strcmp(x->words, y->words);
}

/* Those that are linked or suspect; an adjusted p over POISON_P that is not suspect was not seen. */
static int tell_all(const struct search *x, const struct mention *m, size_t n_m, struct poison_findings *out, struct err *err)
{
    out->f = mem_alloc_array(x->n_c + 1, sizeof *out->f);
    if (!out->f)
        return ERR(err, NOMEM, "no memory for %zu findings", x->n_c);
    for (size_t i = 0, from = 0; i < x->n_c; i++) {
        size_t to = from;
        while (to < n_m && m[to].candidate == i)
            to++;
        struct poison_finding *f = &out->f[out->n++];
        TRY(tell(x, &x->c[i], m + from, to - from, f, err));
        from = to;
        if (!f->suspect && f->log_p >= log(POISON_P)) {
            mem_free(f->words);
            out->n--;
        }
    }
    qsort(out->f, out->n, sizeof *out->f, by_weight);
    while (out->n > POISON_LISTED) {
        mem_free(out->f[--out->n].words);
        out->n_more++;
    }
    return 0;
}

static int look_at_candidates(struct search *x, struct poison_findings *out, struct err *err)
{
    struct mention *m = NULL;
    size_t n_m = 0;
    qsort(x->c, x->n_c, sizeof *x->c, by_chance);
    if (x->n_c > CANDIDATES_MAX) {
        out->n_more = (int64_t)(x->n_c - CANDIDATES_MAX);
        x->n_c = CANDIDATES_MAX;
    }
    drop_parts(x);
    int rc = find_mentions(x, &m, &n_m, err);
    if (rc >= 0) {
        if (n_m)
            qsort(m, n_m, sizeof *m, by_candidate);
        rc = judge_rest(x, m, n_m, err);
    }
    if (rc >= 0)
        rc = tell_all(x, m, n_m, out, err);
    mem_free(m);
    return rc;
}

int poison_labels(struct bayes *b, const struct label_set *s, struct poison_findings *out, struct err *err)
{
    struct search x;
    *out = (struct poison_findings){ 0 };
    int rc = search_init(&x, b, s, err);
    for (int n = 1; n <= POISON_WORDS && rc >= 0; n++) {
        rc = count_level(&x, n, err);
        const size_t n_common = rc >= 0 ? mark_level(&x, n) : 0;
        if (!n_common)
            break;
        rc = test_level(&x, n, n_common, err);
    }
    if (rc >= 0 && x.n_c)
        rc = look_at_candidates(&x, out, err);
    out->n_tested = x.n_tested;
    search_release(&x);
    if (rc < 0)
        poison_release(out);
    return rc;
}
