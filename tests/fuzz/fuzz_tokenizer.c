/* fuzz_tokenizer.c - any bytes as a tokenizer.json; what is accepted must encode a text and give it back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "model/tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char text[] = "Hello  world's 123\n caf\xc3\xa9 <|endoftext|> \xff\xe4\xb8";
    struct tok *t;
    struct err err;
    if (tok_parse(&t, (const char *)data, n, "fuzz", &err) < 0)
        return 0;
    struct tok_ids ids = { 0 };
    struct buf back;
    buf_init(&back);
    if (tok_encode(t, text, sizeof text - 1, TOK_SPECIALS, &ids, &err) == 0) {
        if (tok_decode(t, ids.id, ids.n, &back, &err) < 0 || back.len != sizeof text - 1 || memcmp(back.data, text, back.len))
            abort();
        buf_clear(&back);
        if (tok_write(t, &back, &err) < 0)
            abort();
    }
    buf_release(&back);
    tok_ids_release(&ids);
    tok_free(t);
    return 0;
}
