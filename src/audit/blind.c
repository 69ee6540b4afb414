#include "audit/blind.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"

const char *blind_name(enum blind_score s)
{
    static const char *const name[N_BLIND] = {
#define X(id, word, what) word,
        BLIND_SCORES(X)
#undef X
    };
    return name[s];
}

const char *blind_what(enum blind_score s)
{
    static const char *const text[N_BLIND] = {
#define X(id, word, what) what,
        BLIND_SCORES(X)
#undef X
    };
    return text[s];
}

static int words(const struct label_set *s, double *score, struct err *err)
{
    struct bayes *b;
    double p[2];
    TRY(bayes_new(&b, s, err));
    for (int fold = 0; fold < BAYES_FOLDS; fold++) {
        bayes_leave_out(b, fold);
        for (size_t i = 0; i < s->n; i++) {
            if (bayes_fold_of(s, i) != fold)
                continue;
            bayes_posterior(b, i, NULL, p);
            score[i] = log(fmax(p[0], 1e-300)) - log(fmax(p[1], 1e-300));
        }
    }
    bayes_free(b);
    return 0;
}

static bool digit(char c) { return c >= '0' && c <= '9'; }

/* 0: it names none. */
static int latest_year(const char *p, size_t n)
{
    int best = 0;
    for (size_t i = 0; i + 4 <= n; i++) {
        if ((i && digit(p[i - 1])) || (i + 4 < n && digit(p[i + 4])) || !digit(p[i]) || !digit(p[i + 1]) || !digit(p[i + 2]) || !digit(p[i + 3]))
            continue;
        const int year = (p[i] - '0') * 1000 + (p[i + 1] - '0') * 100 + (p[i + 2] - '0') * 10 + (p[i + 3] - '0');
        best = year >= 1900 && year <= 2099 && year > best ? year : best;
    }
    return best;
}

static void years(const struct label_set *s, double *score)
{
    double sum = 0, n_year = 0;
    for (size_t i = 0, n; i < s->n; i++) {
        const char *text = label_set_text(s, i, &n);
        const int year = latest_year(text, n);
        score[i] = year ? -year : NAN;
        sum += year, n_year += year != 0;
    }
    for (size_t i = 0; i < s->n; i++)
        score[i] = isnan(score[i]) ? (n_year > 0 ? -sum / n_year : 0) : score[i];
}

int blind_scores(const struct label_set *s, double *score, struct err *err)
{
    TRY(words(s, score + BLIND_WORDS * s->n, err));
    for (size_t i = 0, n; i < s->n; i++) {
        label_set_text(s, i, &n);
        score[BLIND_LENGTH * s->n + i] = (double)n;
    }
    years(s, score + BLIND_YEARS * s->n);
    return 0;
}

/* ---- what stands in both ---- */

static int overlap_of(const struct label_set *s, struct grams *g, struct gram_map *first, double *share, struct err *err)
{
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0, n; i < s->n; i++) {
            if (s->label[i] != pass)
                continue;
            const char *text = label_set_text(s, i, &n);
            size_t n_run = 0, n_there = 0;
            TRY(grams_of(g, text, n, err));
            for (size_t k = 0; k + BLIND_RUN <= g->n; k++, n_run++) {
                const uint64_t run = gram_hash(g->word + k, BLIND_RUN);
                uint32_t number;
                if (pass)
                    n_there += gram_map_find(first, run) != GRAM_NONE;
                else
                    TRY(gram_map_add(first, run, &number, err));
            }
            share[i] = pass && n_run ? (double)n_there / (double)n_run : NAN;
        }
    return 0;
}

int blind_overlap(const struct label_set *s, double *share, struct err *err)
{
    struct grams g = { 0 };
    struct gram_map first = { 0 };
    const int rc = overlap_of(s, &g, &first, share, err);
    grams_release(&g);
    gram_map_release(&first);
    return rc;
}
