/* fuzz_tiktoken.c - any bytes as a file of tiktoken's ranks; what is accepted must work (tok.h). */
#include "tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct tok *t;
    struct err err;
    if (tok_parse_tiktoken(&t, (const char *)data, n, "cl100k", "fuzz", &err) < 0)
        return 0;
    try_tokenizer(t);
    tok_free(t);
    return 0;
}
