#include "infer/exposure.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/rng.h"
#include "infer/score.h"

#define SYLLABLES 3

/* Word number `at` of a stream: three syllables of a consonant and a vowel. */
static void add_word(char *out, uint64_t seed, uint64_t stream, uint64_t at)
{
    static const char consonants[] = "bdklmnrst", vowels[] = "aeiou";
    char word[2 * SYLLABLES + 1] = "";
    for (uint64_t k = 0; k < SYLLABLES; k++) {
        const uint64_t r = rng_below(seed + stream * 0x9e3779b97f4a7c15u, at * SYLLABLES + k, 45);
        word[2 * k] = consonants[r / 5], word[2 * k + 1] = vowels[r % 5];
    }
    strcat(out, word);
}

void canary_text(uint64_t seed, int i, int candidate, char out[CANARY_TEXT_MAX])
{
    const uint64_t stream = 2 * (uint64_t)i;
    strcpy(out, "The password of ");
    add_word(out, seed, stream, 0);
    strcat(out, " ");
    add_word(out, seed, stream, 1);
    strcat(out, " is");
    for (uint64_t k = 0; k < 3; k++) {
        strcat(out, " ");
        add_word(out, seed, stream + 1, 3 * (uint64_t)candidate + k);
    }
    strcat(out, ".");
}

static int nll_of(struct engine *e, const char *text, struct tok_ids *ids, double *nll, struct err *err)
{
    struct score_opts o = { .convention = SCORE_ROLLING, .ctx = engine_ctx(e) };
    struct score s;
    ids->n = 0;
    TRY(score_encode(engine_tok(e), text, strlen(text), &o, ids, err));
    TRY(score_tokens(e, ids->id, ids->n, &o, NULL, NULL, &s, err));
    if (!isfinite(s.nll))
        return ERR(err, NUMERIC, "the model gives '%s' no likelihood", text);
    *nll = s.nll;
    return 0;
}

/* A candidate that is as likely as the canary is told to be likelier: a model that says nothing is no proof. */
int exposure_of(struct engine *e, uint64_t seed, int i, int n, const volatile sig_atomic_t *stop, struct exposure *out, struct err *err)
{
    struct tok_ids ids = { 0 };
    char text[CANARY_TEXT_MAX];
    int rc = 0, rank = 1;
    for (int k = 0; k <= n && !rc; k++) {
        double nll = 0;
        canary_text(seed, i, k, text);
        rc = stop && *stop ? ERR(err, STOPPED, "stopped") : nll_of(e, text, &ids, &nll, err);
        if (!k)
            out->nll = nll;
        rank += k && nll <= out->nll;
    }
    tok_ids_release(&ids);
    out->rank = rank;
    out->p = (double)rank / (n + 1.0);
    out->bits = -log2(out->p);
    return rc;
}

double exposure_fisher(const struct exposure *x, int n)
{
    double half = 0, term = 1, sum = 0;
    for (int i = 0; i < n; i++)
        half -= log(x[i].p);
    for (int k = 0; k < n; k++) {            /* the survival function for an even number of degrees of freedom */
        sum += term;
        term *= half / (k + 1);
    }
    const double p = exp(-half) * sum;
    return n && p < 1 ? p : 1;
}

double exposure_chance(int n)
{
    double sum = 0;
    for (int rank = 1; rank <= n + 1; rank++)
        sum += log2((n + 1.0) / rank);
    return sum / (n + 1);
}
