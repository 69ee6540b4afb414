/* bayes.c - features are numbered as they come; a fold's counts are taken off the whole set's, and put back for the next. */
#include "audit/bayes.h"
#include <math.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"

#define COUNTS_MAX ((size_t)1 << 26)     /* features times classes: 256 MiB of counts; features past it are not used */

/* ---- the set ---- */

static int label_index(struct label_set *s, const char *label, size_t n, int *out, struct err *err)
{
    uint32_t k;
    const int is_new = gram_map_add(&s->names, hash64(label, n, 0), &k, err);
    TRY(is_new);
    if (is_new && k >= LABEL_MAX)
        return ERR(err, RANGE, "more than %d different labels: this is not a class", LABEL_MAX);
    if (is_new) {
        s->name[k] = mem_printf("%.*s", (int)(n < 1000 ? n : 1000), label);
        if (!s->name[k])
            return ERR(err, NOMEM, "no memory for the name of a label");
        err_tidy(s->name[k]);
        s->n_label = (int)k + 1;
    }
    *out = (int)k;
    return 0;
}

static int make_room(struct label_set *s, struct err *err)
{
    TRY(grams_room((void **)&s->end, s->n, sizeof *s->end, err));
    TRY(grams_room((void **)&s->label, s->n, sizeof *s->label, err));
    TRY(grams_room((void **)&s->record, s->n, sizeof *s->record, err));
    return grams_room((void **)&s->cluster, s->n, sizeof *s->cluster, err);
}

int label_set_add(struct label_set *s, int64_t record, const char *text, size_t n, const char *label, size_t n_label, struct err *err)
{
    int k = 0;
    if (!s->text.data)
        buf_init(&s->text);
    TRY(label_index(s, label, n_label, &k, err));
    s->count[k]++;
    if (n > (s->text_max ? s->text_max : LABEL_TEXT_MAX) - s->text.len) {
        s->n_left_out++;
        return 0;
    }
    TRY(make_room(s, err));
    TRY(buf_add(&s->text, text, n, err));
    s->end[s->n] = s->text.len, s->label[s->n] = k, s->record[s->n] = record, s->cluster[s->n] = (int64_t)s->n;
    s->n++;
    return 0;
}

void label_set_release(struct label_set *s)
{
    if (s->text.data)
        buf_release(&s->text);
    mem_free(s->end);
    mem_free(s->label);
    mem_free(s->record);
    mem_free(s->cluster);
    for (int i = 0; i < s->n_label; i++)
        mem_free(s->name[i]);
    gram_map_release(&s->names);
    *s = (struct label_set){ 0 };
}

const char *label_set_text(const struct label_set *s, size_t i, size_t *n)
{
    const size_t from = i ? s->end[i - 1] : 0;
    *n = s->end[i] - from;
    return s->text.data + from;
}

/* ---- counts ---- */

/* Words of all items behind each other; item i's are end[i-1] .. end[i]-1.  Features of the word at a place: itself, and with the next. */
struct bayes {
    const struct label_set *s;
    uint64_t *word;
    uint32_t *one, *two;
    size_t *end, n_word;
    size_t n_feature;
    uint32_t *count;                /* [feature][label] */
    uint32_t *seen;                 /* item + 1 that had the feature last */
    uint64_t *total;                /* [label], of features */
    int64_t *items;                 /* [label] */
    double *score;
    uint32_t stamp;
    int fold;                       /* that is left out, or -1 */
};

void bayes_free(struct bayes *b)
{
    if (!b)
        return;
    mem_free(b->word);
    mem_free(b->one);
    mem_free(b->two);
    mem_free(b->end);
    mem_free(b->count);
    mem_free(b->seen);
    mem_free(b->total);
    mem_free(b->items);
    mem_free(b->score);
    mem_free(b);
}

static int read_words(struct bayes *b, struct err *err)
{
    struct grams g = { 0 };
    size_t cap = 0;
    int rc = 0;
    b->end = mem_alloc_array(b->s->n + 1, sizeof *b->end);
    if (!b->end)
        return ERR(err, NOMEM, "no memory for the words of %zu texts", b->s->n);
    for (size_t i = 0; i < b->s->n && rc >= 0; i++) {
        size_t n;
        const char *text = label_set_text(b->s, i, &n);
        rc = grams_of(&g, text, n, err);
        if (rc >= 0 && b->n_word + g.n > cap) {
            cap = 2 * (b->n_word + g.n);
            void *more = mem_realloc_array(b->word, cap, sizeof *b->word);
            if (!more)
                rc = ERR(err, NOMEM, "no memory for %zu words", cap);
            else
                b->word = more;
        }
        if (rc >= 0 && g.n)
            memcpy(b->word + b->n_word, g.word, g.n * sizeof *g.word);
        b->n_word += rc >= 0 ? g.n : 0;
        b->end[i] = b->n_word;
    }
    grams_release(&g);
    return rc < 0 ? rc : 0;
}

static int number_feature(struct gram_map *m, uint64_t h, size_t max, uint32_t *out, struct err *err)
{
    *out = m->n < max ? 0 : gram_map_find(m, h);
    if (m->n < max)
        TRY(gram_map_add(m, h, out, err));
    return 0;
}

static int number_features(struct bayes *b, struct err *err)
{
    struct gram_map m = { 0 };
    const size_t max = COUNTS_MAX / (size_t)(b->s->n_label ? b->s->n_label : 1);
    int rc = 0;
    b->one = mem_alloc_array(b->n_word + 1, sizeof *b->one);
    b->two = mem_alloc_array(b->n_word + 1, sizeof *b->two);
    if (!b->one || !b->two)
        return ERR(err, NOMEM, "no memory for the features of %zu words", b->n_word);
    for (size_t i = 0, k = 0; k < b->n_word && rc >= 0; k++) {
        while (k >= b->end[i])
            i++;
        rc = number_feature(&m, gram_hash(b->word + k, 1), max, &b->one[k], err);
        b->two[k] = GRAM_NONE;
        if (rc >= 0 && k + 1 < b->end[i])
            rc = number_feature(&m, gram_hash(b->word + k, 2), max, &b->two[k], err);
    }
    b->n_feature = m.n;
    gram_map_release(&m);
    return rc;
}

/* Puts item i's features into the counts, or takes them out: by is 1 or -1. */
static void count_item(struct bayes *b, size_t i, int by)
{
    const size_t n_label = (size_t)b->s->n_label, label = (size_t)b->s->label[i];
    b->stamp++;
    for (size_t k = i ? b->end[i - 1] : 0; k < b->end[i]; k++)
        for (int pair = 0; pair < 2; pair++) {
            const uint32_t f = pair ? b->two[k] : b->one[k];
            if (f == GRAM_NONE || b->seen[f] == b->stamp)
                continue;
            b->seen[f] = b->stamp;
            b->count[f * n_label + label] += (uint32_t)by;
            b->total[label] += (uint64_t)(int64_t)by;
        }
    b->items[label] += by;
}

static int make_counts(struct bayes *b, struct err *err)
{
    const size_t n_label = (size_t)b->s->n_label;
    b->count = mem_alloc_array(b->n_feature * n_label + 1, sizeof *b->count);
    b->seen = mem_alloc_array(b->n_feature + 1, sizeof *b->seen);
    b->total = mem_alloc_array(n_label + 1, sizeof *b->total);
    b->items = mem_alloc_array(n_label + 1, sizeof *b->items);
    b->score = mem_alloc_array(n_label + 1, sizeof *b->score);
    if (!b->count || !b->seen || !b->total || !b->items || !b->score)
        return ERR(err, NOMEM, "no memory for counts of %zu features by %zu labels", b->n_feature, n_label);
    for (size_t i = 0; i < b->s->n; i++)
        count_item(b, i, 1);
    return 0;
}

int bayes_new(struct bayes **out, const struct label_set *s, struct err *err)
{
    struct bayes *b = mem_alloc_zero(sizeof *b);
    *out = NULL;
    if (!b)
        return ERR(err, NOMEM, "no memory to look at labels");
    b->s = s, b->fold = -1;
    int rc = read_words(b, err);
    if (rc >= 0)
        rc = number_features(b, err);
    if (rc >= 0)
        rc = make_counts(b, err);
    if (rc < 0) {
        bayes_free(b);
        return rc;
    }
    *out = b;
    return 0;
}

int bayes_fold_of(const struct label_set *s, size_t i) { return (int)(s->cluster[i] % BAYES_FOLDS); }

void bayes_leave_out(struct bayes *b, int fold)
{
    for (size_t i = 0; i < b->s->n; i++) {
        if (bayes_fold_of(b->s, i) == b->fold)
            count_item(b, i, 1);
        if (bayes_fold_of(b->s, i) == fold)
            count_item(b, i, -1);
    }
    b->fold = fold;
}

const uint64_t *bayes_words(const struct bayes *b, size_t i, size_t *n)
{
    const size_t from = i ? b->end[i - 1] : 0;
    *n = b->end[i] - from;
    return b->word + from;
}

static void add_feature(struct bayes *b, uint32_t f)
{
    const size_t n_label = (size_t)b->s->n_label;
    if (f == GRAM_NONE || b->seen[f] == b->stamp)
        return;
    b->seen[f] = b->stamp;
    for (size_t c = 0; c < n_label; c++)
        b->score[c] += log((b->count[f * n_label + c] + 1.0) / ((double)b->total[c] + (double)b->n_feature));
}

void bayes_posterior(struct bayes *b, size_t i, const bool *skip, double *p)
{
    const size_t n_label = (size_t)b->s->n_label, from = i ? b->end[i - 1] : 0;
    int64_t n_item = 0;
    double top = -INFINITY, sum = 0;
    b->stamp++;
    for (size_t c = 0; c < n_label; c++)
        n_item += b->items[c];
    for (size_t c = 0; c < n_label; c++)
        b->score[c] = log((double)b->items[c] / (double)n_item);     /* none outside the fold: -infinity, which stays */
    for (size_t k = from; k < b->end[i]; k++) {
        if (skip && skip[k - from])
            continue;
        add_feature(b, b->one[k]);
        if (!skip || k + 1 == b->end[i] || !skip[k + 1 - from])
            add_feature(b, b->two[k]);
    }
    for (size_t c = 0; c < n_label; c++)
        top = b->score[c] > top ? b->score[c] : top;
    for (size_t c = 0; c < n_label; c++)
        sum += p[c] = isfinite(top) ? exp(b->score[c] - top) : 1;
    for (size_t c = 0; c < n_label; c++)
        p[c] /= sum;
}
