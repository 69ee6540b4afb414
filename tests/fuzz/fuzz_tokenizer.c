/* fuzz_tokenizer.c - any bytes as a tokenizer.json; what is accepted must encode a text or say why not, never into a special token
 * that was not asked for, and decode what it encoded. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "model/tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void try_text(const struct tok *t, const char *text, size_t n, unsigned flags)
{
    struct tok_ids ids = { 0 };
    struct buf back;
    struct err err;
    buf_init(&back);
    if (tok_encode(t, text, n, flags, &ids, &err) == 0) {
        if (tok_decode(t, ids.id, ids.n, &back, &err) < 0)
            abort();
        for (size_t i = 0; i < ids.n && flags == TOK_PLAIN; i++)
            if (tok_is_special(t, ids.id[i]) && memcmp(tok_kind(t), "byte", 4) == 0)      /* others have an unknown token, which is special */
                abort();
    }
    buf_release(&back);
    tok_ids_release(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char text[] = "Hello  world's 123\n caf\xc3\xa9 <|endoftext|> <s> e\xcc\x81\xe4\xb8\x96\xe7\x95\x8c \xe2\x96\x81 \xff\xe4\xb8";
    struct tok *t;
    struct err err;
    if (tok_parse(&t, (const char *)data, n, "fuzz", &err) < 0)
        return 0;
    try_text(t, text, sizeof text - 1, TOK_PLAIN);
    try_text(t, text, sizeof text - 1, TOK_SPECIALS | TOK_ADD);
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
