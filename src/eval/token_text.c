#include "eval/token_text.h"
#include <string.h>
#include "base/mem.h"

/* The tokens add text_bytes bytes, or one more: a space in front. */
static int find_places(struct token_text *t, size_t text_bytes, size_t from, size_t to, struct err *err)
{
    size_t at = 0, n, all = 0;
    for (size_t i = 0; i < t->ids.n; i++, all += n) {
        n = 0;
        (void)tok_bytes(t->tok, t->ids.id[i], &n);
    }
    const bool whole = !from && to >= text_bytes;
    if (!whole && all != text_bytes && all != text_bytes + 1)
        return ERR(err, RANGE, "the text's tokens stand for %zu bytes, expected its %zu", all, text_bytes);
    const size_t shift = whole ? 0 : all - text_bytes;
    t->place = mem_alloc_array(t->ids.n, sizeof *t->place);
    if (!t->place)
        return ERR(err, NOMEM, "no memory for %zu tokens", t->ids.n);
    for (size_t i = 0; i < t->ids.n; i++, at += n) {
        n = 0;
        (void)tok_bytes(t->tok, t->ids.id[i], &n);
        const size_t begins = at > shift ? at - shift : 0, ends = at + n > shift ? at + n - shift : 0;
        if ((whole || (begins >= from && ends <= to)) && !tok_is_special(t->tok, t->ids.id[i]))
            t->place[t->n_place++] = (int)i;
    }
    return t->n_place ? 0 : ERR(err, RANGE, "no token lies wholly in what may change");
}

int token_text_init(struct token_text *t, const struct tok *tok, unsigned flags, const char *text, size_t n, size_t from, size_t to, struct err *err)
{
    *t = (struct token_text){ .tok = tok, .flags = flags };
    buf_init(&t->buf);
    TRY(tok_encode(tok, text, n, flags, &t->ids, err));
    if (!t->ids.n || t->ids.n > INT32_MAX)
        return ERR(err, RANGE, "a text of %zu tokens, expected one and more", t->ids.n);
    TRY(tok_decode(tok, t->ids.id, t->ids.n, &t->buf, err));
    if (t->buf.len == n + 1 && t->buf.data[0] == ' ' && !memcmp(t->buf.data + 1, text, n))
        t->lead = 1;
    const bool same = t->buf.len == n + t->lead && !memcmp(t->buf.data + t->lead, text, n);
    if (!same && (from || to < n))
        return ERR(err, RANGE, "the tokenizer does not give the text back, so that it is not known which tokens are which part of it");
    const int survives = token_text_survives(t, t->ids.id, err);
    TRY(survives);
    if (!survives)
        return ERR(err, RANGE, "the text's tokens, written as text and read again, are others");
    return find_places(t, n, from, to, err);
}

void token_text_release(struct token_text *t)
{
    tok_ids_release(&t->ids);
    tok_ids_release(&t->work);
    buf_release(&t->buf);
    mem_free(t->place);
    *t = (struct token_text){ 0 };
}

int token_text_write(struct token_text *t, const int32_t *ids, const char **text, size_t *n, struct err *err)
{
    buf_clear(&t->buf);
    TRY(tok_decode(t->tok, ids, t->ids.n, &t->buf, err));
    const size_t lead = t->buf.len && t->buf.data[0] == ' ' ? t->lead : 0;
    *text = t->buf.data + lead, *n = t->buf.len - lead;
    return 0;
}

int token_text_survives(struct token_text *t, const int32_t *ids, struct err *err)
{
    const char *text;
    size_t n;
    t->work.n = 0;
    TRY(token_text_write(t, ids, &text, &n, err));
    const int rc = tok_encode(t->tok, text, n, t->flags, &t->work, err);
    if (rc == ERR_NOMEM)
        return rc;
    return rc >= 0 && t->work.n == t->ids.n && !memcmp(t->work.id, ids, t->ids.n * sizeof *ids);
}

const char *token_text_filler(const struct tok *t)
{
    static const char *const text[] = { " !", " the", " a", " ." };
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        struct tok_ids ids = { 0 };
        const int rc = tok_encode(t, text[i], strlen(text[i]), TOK_PLAIN, &ids, NULL);
        tok_ids_release(&ids);
        if (rc >= 0)
            return text[i];
    }
    return NULL;
}

void token_text_allowed(const struct tok *t, int V, bool *allowed)
{
    for (int w = 0; w < V; w++) {
        size_t n = 0;
        const char *bytes = w < tok_vocab_size(t) ? tok_bytes(t, w, &n) : NULL;
        bool printable = bytes && n, seen = false;
        for (size_t i = 0; printable && i < n; i++) {
            printable = bytes[i] >= ' ' && bytes[i] <= '~';
            seen = seen || bytes[i] != ' ';
        }
        allowed[w] = printable && seen && !tok_is_special(t, w);
    }
}
