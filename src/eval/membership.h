/* membership.h - was a text among what a model has learned from?  Scores of its tokens' likelihoods, each higher for what more likely was, and what
 * they find on texts of which it is known.
 *
 *   loss        mean log-likelihood of the tokens                                          Yeom et al., CSF 2018, arXiv:1709.01604
 *   min_k_K     mean of the K % least likely tokens                                        Shi et al., arXiv:2310.16789
 *   min_k_pp_K  the same of (log p - mean) / sd, mean and sd of log p over the vocabulary  Zhang et al., arXiv:2404.02936
 *   zlib        - mean NLL / bytes of the text packed by zlib                              Carlini et al., arXiv:2012.07805
 *   lowercase   - mean NLL / mean NLL of the text in small letters                         the same
 *   reference   (NLL of other models, their mean, - NLL) / tokens                          the same; with several, LiRA's offline form with one variance
 *                                                                                          for all texts (Carlini et al., arXiv:2112.03570)
 * K % of n tokens are floor(K n / 100), at least one.
 *
 * What they find says something of the model only where members and others were drawn from one distribution: so it is told beside what can be
 * had without any model (`blind`). */
#ifndef EVAL_MEMBERSHIP_H
#define EVAL_MEMBERSHIP_H
#include <jansson.h>
#include <stdbool.h>
#include "eval/request.h"
#include "eval/roc.h"

#define MEMBERSHIP_SCORES(X)                                                                                                      \
    X(LOSS, "loss", "mean log-likelihood")                                                                                        \
    X(MIN_K_5, "min_k_5", "the 5 % least likely tokens") X(MIN_K_10, "min_k_10", "10 %") X(MIN_K_20, "min_k_20", "20 %")          \
    X(MIN_K_30, "min_k_30", "30 %") X(MIN_K_40, "min_k_40", "40 %") X(MIN_K_50, "min_k_50", "50 %") X(MIN_K_60, "min_k_60", "60 %") \
    X(MIN_K_PP_5, "min_k_pp_5", "the 5 % least likely, each by its place's spread") X(MIN_K_PP_10, "min_k_pp_10", "10 %")         \
    X(MIN_K_PP_20, "min_k_pp_20", "20 %") X(MIN_K_PP_30, "min_k_pp_30", "30 %") X(MIN_K_PP_40, "min_k_pp_40", "40 %")             \
    X(MIN_K_PP_50, "min_k_pp_50", "50 %") X(MIN_K_PP_60, "min_k_pp_60", "60 %")                                                   \
    X(ZLIB, "zlib", "against what zlib needs")                                                                                    \
    X(LOWERCASE, "lowercase", "against the text in small letters")                                                               \
    X(REFERENCE, "reference", "against other models")
enum membership_score {
#define X(name, word, what) MEMBERSHIP_##name,
    MEMBERSHIP_SCORES(X)
#undef X
    N_MEMBERSHIP
};
const char *membership_name(int s);
const char *membership_what(int s);

/* Bytes that zlib makes of a text, as zlib.compress() of Python. */
int membership_zlib(const char *text, size_t n, size_t *bytes, struct err *err);

struct membership_text {
    const struct reply_token *token; int n_token;      /* n_token >= 1 */
    double nll;                          /* of all tokens */
    double nll_lower; int n_lower;       /* of the text in small letters; n_lower 0: not known */
    double nll_reference;                /* NAN: not known */
    size_t zlib;                         /* 0: not known */
};
/* work: [n_token].  NAN where a score cannot be had. */
void membership_scores(const struct membership_text *x, double *work, double score[N_MEMBERSHIP]);

/* ---- many texts ---- */

/* A score that needs no model, told beside the others.  crossed: of a classifier that learned from the other folds of these texts.  Every two texts then
 * count twice, each judging the other, and where nothing differs the area varies with twice DeLong's variance (measured: 1.8 to 2.0 times), which its
 * interval takes into account; an area below one half says nothing there. */
struct membership_blind { const char *name, *what; const double *score; bool crossed; };     /* [n], finite */
struct membership_texts {
    int64_t n;
    const unsigned char *member;         /* [n] */
    const double *score;                 /* [N_MEMBERSHIP][n]; NAN: not known */
    const struct membership_blind *blind; int n_blind;
    const double *overlap;               /* [n], of texts that are no members: the share of their runs of words that members have; NAN: none */
};
#define MEMBERSHIP_OVERLAP 0.2           /* Duan et al., arXiv:2402.07841, 3.3 */

/* Adds to evidence (evidence.h): "scores" and "blind", objects by name; "beyond_blind": how much larger a score's area is than that of the blind score
 * that tells the two sides apart best; "overlap"; "verdict", one of MEMBERSHIP_VERDICTS; and the figures.  ERR_RANGE where a side is empty. */
#define MEMBERSHIP_VERDICTS(X)                                                                                                                         \
    X(NOTHING, "nothing found", "no score tells members from others better than chance")                                                               \
    X(FOUND, "members are exposed", "the model tells members from others, and nothing was found that does so without it")                              \
    X(BEYOND, "beyond the blind", "the two sides differ without any model, and the model tells them apart better than that")                           \
    X(CONFOUNDED, "confounded", "the two sides differ without any model, and no score of the model tells them apart better than that: nothing is shown of what it has learned")
int membership_report(json_t *evidence, const struct membership_texts *t, struct err *err);
#endif
