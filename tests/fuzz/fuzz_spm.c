/* fuzz_spm.c - any bytes as a SentencePiece model; what is accepted must encode a text or say why not, and decode what it encoded. */
#include <stdint.h>
#include <stdlib.h>
#include "model/tok_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char text[] = "Hello  world's 123\n caf\xc3\xa9 <|endoftext|> <s> e\xcc\x81\xe4\xb8\x96\xe7\x95\x8c \xe2\x96\x81 \xff\xe4\xb8";
    struct tok *t;
    struct err err;
    if (tok_parse_spm(&t, (const char *)data, n, "fuzz", &err) < 0)
        return 0;
    struct tok_ids ids = { 0 };
    struct buf back;
    buf_init(&back);
    for (unsigned flags = 0; flags < 4; flags++) {
        ids.n = 0;
        if (tok_encode(t, text, sizeof text - 1, flags, &ids, &err) == 0 && tok_decode(t, ids.id, ids.n, &back, &err) < 0)
            abort();
    }
    buf_release(&back);
    tok_ids_release(&ids);
    tok_free(t);
    return 0;
}
