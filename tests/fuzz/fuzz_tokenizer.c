/* fuzz_tokenizer.c - any bytes as a tokenizer.json; what is accepted must work (tok.h), also on those bytes, and be written so that it
 * is read again. */
#include "tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct tok *t;
    struct err err;
    if (tok_parse(&t, (const char *)data, n, "fuzz", &err) < 0)
        return 0;
    try_tokenizer(t);
    try_text(t, (const char *)data, n < 300 ? n : 300, TOK_SPECIALS);
    struct buf out;
    buf_init(&out);
    if (tok_write(t, &out, &err) == 0) {
        struct tok *again;
        if (tok_parse(&again, out.data, out.len, "again", &err) < 0)
            abort();
        tok_free(again);
    }
    buf_release(&out);
    tok_free(t);
    return 0;
}
