/* tok_wordpiece.c - WordPiece of one word: the longest token first, then the longest continuation ("##..."), or unknown. */
#include <string.h>
#include "base/mem.h"
#include "model/tok_impl.h"
#include "model/unicode.h"

static int unknown(struct tok_run *r, const char *s)
{
    if (r->t->unk < 0)
        return ERR(r->err, FORMAT, "'%.40s' is not in the tokenizer's vocabulary, which has no unknown token", s);
    TRY(tok_ids_reserve(r->out, 1, r->err));
    r->out->id[r->out->n++] = r->t->unk;
    return 0;
}

int tok_wordpiece_piece(struct tok_run *r, const char *s, size_t n)
{
    const struct tok *t = r->t;
    const size_t n_before = r->out->n, n_head = t->n_continuation;
    size_t n_chars = 0, len;
    for (size_t i = 0; i < n; i += len, n_chars++)
        unicode_at((const unsigned char *)s + i, n - i, &len);
    if (n_chars > (size_t)t->max_chars)
        return unknown(r, s);
    char *word = tok_scratch(r, n_head + n);              /* ##, then the rest of the word */
    if (!word)
        return ERR(r->err, NOMEM, "no memory for a word of %zu bytes", n);
    memcpy(word, t->continuation, n_head);
    memcpy(word + n_head, s, n);
    for (size_t from = 0; from < n;) {
        size_t end = n;
        int id = -1;
        if (from)
            memcpy(word + from, t->continuation, n_head);  /* over what is done: the head stands before s[from] */
        for (; end > from; end--) {
            if (end < n && ((unsigned char)s[end] & 0xc0) == 0x80)
                continue;
            id = from ? tok_by_bytes(t, word + from, n_head + end - from) : tok_by_bytes(t, s, end);
            if (id >= 0)
                break;
        }
        if (id < 0) {
            r->out->n = n_before;
            return unknown(r, s);
        }
        TRY(tok_ids_reserve(r->out, 1, r->err));
        r->out->id[r->out->n++] = id;
        from = end;
    }
    return 0;
}
