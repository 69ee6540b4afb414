/* request.h - what an evaluation asks of a model, and what the model answered.
 *
 * A task (eval/task.h) makes the requests of its items, a runner (eval/run.h) has a model answer them in any order, and the task
 * makes scores of the replies.  What is asked is what lm-evaluation-harness asks (api/instance.py): texts, not tokens. */
#ifndef EVAL_REQUEST_H
#define EVAL_REQUEST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* LOGLIKELIHOOD  how likely the continuation is behind the context
 * ROLLING        how likely the continuation is as a whole text, in windows of the model's positions; no context
 * GENERATE       what the model writes behind the context */
enum request_kind { REQUEST_LOGLIKELIHOOD, REQUEST_ROLLING, REQUEST_GENERATE };

/* How GENERATE ends and draws: `generation_kwargs` of a task, one for all its requests. */
struct request_generation {
    const char **until; int n_until;     /* the text ends before the first of them */
    int max_tokens;                      /* max_gen_toks; 256 where a task says nothing */
    double temperature, top_p; int top_k;/* temperature 0: greedy (do_sample false) */
};

struct request {
    enum request_kind kind;
    int64_t item;                        /* of the task, from 0 */
    int index;                           /* among the item's requests: the choice, or the repeat of a generation */
    const char *context, *continuation;  /* UTF-8, not terminated; the task's memory */
    size_t n_context, n_continuation;
    bool as_is;                          /* LOGLIKELIHOOD: white space at the end of the context stays there (lm-evaluation-harness gives it to the continuation) */
    const struct request_generation *generation;      /* GENERATE alone */
    const char *input;                   /* GENERATE, by a chat template: [n_context] bytes, 1 where a user's are, of which no special tokens are made, and
                                            nothing is put in front; NULL: special tokens that are written become their ids */
    bool each_token;                     /* of the other kinds: reply.token is wanted */
};

/* One scored token: its log-likelihood, and mean and standard deviation of log p over the vocabulary, weighted by p. */
struct reply_token { float loglik, mean, sd; };

/* Of a request that could not be answered `error` says why, and nothing else counts. */
struct reply {
    double loglik;                       /* in nats, the sum over the continuation's tokens */
    bool greedy;                         /* each of them was the likeliest (the first of equals) */
    int n_token;                         /* of the continuation, or generated */
    int n_cut;                           /* tokens of the context that did not fit and were left out at its beginning: counted and told, never silent */
    bool joined;                         /* one token spans the end of the context and all of the continuation, which was then scored by its own tokens */
    char *text; size_t n_text;           /* generated, without the stop text; NULL for other kinds */
    struct reply_token *token;           /* [n_token] in the order of the text, where each_token was wanted and there is one; else NULL */
    bool unended;                        /* max_tokens came before a stop text or the end of text */
    char *error;                         /* NULL: answered */
};
#endif
