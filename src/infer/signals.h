/* signals.h - what a model's own numbers say of a text that it reads and goes on with: how unlikely the prompt was, how unsure each token.
 *
 * A batch gathers them where a text asks for it (text_request.signals), from what it computes anyway, and nothing that is drawn depends on them:
 *   prompt      -log softmax of the prompt's tokens.  Logits of a prompt are not computed otherwise, so it is a sample: one, and one more for
 *               each SIGNALS_ONE_OF tokens (a row of the head costs a small model a quarter of a token), at most SIGNALS_PROMPT,
 *               spread evenly over those that the cache does not have.  What the cache has says nothing, and of a prompt that it has whole
 *               n_prompt is 0: the mean over others is not made up for it.
 *   tokens      of the model's logits, before penalties, grammars and temperature: the drawn one's log-probability; of the first SIGNALS_FIRST tokens and of every
 *               eighth from there on also entropy and the likeliest's probability (37 of the 42 us that all of it takes of 49,152 logits, AVX-512).  Nats.
 *   experts     of a mixture: rows of the text, of its prompt and its tokens, that each expert of each layer got; rows that were computed, so not those that the cache had.
 *   sketch      the last hidden state of the prompt's last token, times a [SIGNALS_SKETCH, d_model] matrix of random signs / sqrt(SIGNALS_SKETCH),
 *               which keeps distances on average (Johnson & Lindenstrauss 1984; signs: Achlioptas 2003).  The same matrix for all models of a width. */
#ifndef INFER_SIGNALS_H
#define INFER_SIGNALS_H
#include <stdbool.h>
#include <stdint.h>

#define SIGNALS_PROMPT 8
#define SIGNALS_ONE_OF 16
#define SIGNALS_SKETCH 16
#define SIGNALS_FIRST 8
struct text_signals {
    int n_prompt; double prompt_nll;                     /* a sum over so many */
    int n_token; double logprob;                         /* a sum over so many */
    int n_look; double entropy, confidence;              /* and these */
    bool has_sketch; float sketch[SIGNALS_SKETCH];
    int32_t *expert; int n_route, n_expert;              /* NULL, or the caller's [layers with experts][experts], zeros at first: rows of each */
};
struct token_signal { float logprob; bool looked; float entropy, confidence; };
/* Of a row of V logits from which id was drawn, the i-th token of a text. */
struct token_signal signals_token(const float *logits, int V, int32_t id, int i);
void signals_add(struct text_signals *s, const struct token_signal *t);
/* logits: those from which id, a token of the prompt, would have been drawn. */
void signals_add_prompt(struct text_signals *s, const float *logits, int V, int32_t id);
void signals_add_hidden(struct text_signals *s, const float *x, int C);
/* How many experts are used: exp of the entropy of a layer's load, of the layer with the fewest; of all layers together each expert's rows are added up into pooled[n_expert].
 * NAN: no rows. */
double signals_experts(const struct text_signals *s, int32_t *pooled);
/* Positions whose logits are looked at, of a prompt of n tokens whose first `kept` are in the cache: their number, and the i-th, ascending. */
int signals_prompt_rows(int n, int kept);
int signals_prompt_row(int n, int kept, int i);

#endif
