/* tok.h - a text for tokenizers that come from fuzzed bytes: it must be encoded or the error say why not, never into a special token
 * that was not asked for, and what was encoded must be decoded. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "model/tok_files.h"

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

/* Words, white space, marks, special tokens and invalid UTF-8, with each of the flags. */
static void try_tokenizer(const struct tok *t)
{
    static const char text[] = "Hello  world's 123\n caf\xc3\xa9 <|endoftext|> <s> e\xcc\x81\xe4\xb8\x96\xe7\x95\x8c \xe2\x96\x81 \xff\xe4\xb8";
    for (unsigned flags = 0; flags < 4; flags++)
        try_text(t, text, sizeof text - 1, flags);
}
