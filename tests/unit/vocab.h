/* vocab.h - the golden tokenizer and its vocabulary, for tests of what models may say. */
#ifndef TESTS_VOCAB_H
#define TESTS_VOCAB_H
#include "infer/grammar.h"

static struct tok *tok;
static struct vocab *vocab;
static int32_t eog[4];
static int V, n_eog;

/* rows: of logits that stand for nothing. */
static int open_vocab(int rows, struct err *err)
{
    if (tok_load(&tok, "tests/golden/tok/tokenizer.json", err))
        return -1;
    V = tok_vocab_size(tok) + rows;
    n_eog = 0;
    for (int i = 0; i < tok_vocab_size(tok) && n_eog < 4; i++)
        if (tok_is_eog(tok, i))
            eog[n_eog++] = i;
    return n_eog ? vocab_new(&vocab, tok, V, eog, n_eog, NULL, 0, err) : -1;
}

static int close_vocab(void **state)
{
    (void)state;
    vocab_free(vocab);
    tok_free(tok);
    return 0;
}
#endif
