/* fuzz_grammar.c - any bytes as a grammar and, behind a zero, a text: what is read byte by byte is read at once, and the tokens that a
 * mask allows are those that can be read. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "infer/grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct tok *tok;
    static struct vocab *vocab;
    struct err err;
    if (!tok && (tok_load(&tok, "tests/golden/tok/tokenizer.json", &err) || vocab_new(&vocab, tok, tok_vocab_size(tok), &(int32_t){ tok_eot(tok) }, 1, NULL, 0, &err)))
        abort();
    const uint8_t *zero = memchr(data, 0, n);
    const size_t n_grammar = zero ? (size_t)(zero - data) : n, n_text = zero ? n - n_grammar - 1 : 0;
    const char *text = zero ? (const char *)zero + 1 : "";
    struct grammar *g;
    struct follower *a, *b;
    if (n > 4096 || grammar_parse(&g, (const char *)data, n_grammar, &err) < 0)
        return 0;
    if (!follower_new(&a, g, vocab, &err)) {
        size_t read = 0;
        while (read < n_text && follower_add(a, text + read, 1, &err) == 0)
            read++;
        if (!follower_new(&b, g, vocab, &err)) {
            if (follower_add(b, text, read, &err) < 0 || follower_may_end(a) != follower_may_end(b))
                abort();
            const int V = tok_vocab_size(tok);
            float *logits = calloc((size_t)V, sizeof *logits);
            if (follower_forbid(b, logits, V, &err) >= 0)
                for (int id = 0; id < V; id += 7)      /* some of them */
                    if (!tok_is_eog(tok, id) && !tok_is_special(tok, id)) {
                        size_t len = 0;
                        const char *bytes = tok_bytes(tok, id, &len);
                        struct follower *c;
                        if (!bytes || !len || follower_new(&c, g, NULL, &err))
                            continue;
                        const int rc = follower_add(c, text, read, &err), next = follower_add(c, bytes, len, &err);
                        if (!rc && next != ERR_RANGE && (next == 0) != (logits[id] == 0))
                            abort();
                        follower_free(c);
                    }
            free(logits);
        }
        follower_free(b);
    }
    follower_free(a);
    grammar_free(g);
    return 0;
}
