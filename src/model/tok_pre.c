/* tok_pre.c - pre-tokenizers: each cuts the pieces of the one before it; what the last one leaves goes to the model. */
#include <string.h>
#include "base/mem.h"
#include "model/tok_impl.h"
#include "model/unicode.h"

/* \w: alphabetic, marks, decimal digits, connectors, joiners.  Alphabetic beyond letters: letter numbers, circled letters. */
bool tok_is_word_char(uint32_t cp)
{
    const uint32_t set = IS(unicode_category(cp));
    return set & (IS_L | IS_M | IS(CAT_ND) | IS(CAT_NL) | IS(CAT_PC)) || cp == 0x200c || cp == 0x200d || (cp >= 0x24b6 && cp <= 0x24e9) ||
           (cp >= 0x1f130 && cp <= 0x1f149) || (cp >= 0x1f150 && cp <= 0x1f169) || (cp >= 0x1f170 && cp <= 0x1f189);
}

static bool is_punctuation(uint32_t cp)
{
    return (cp > 32 && cp < 48) || (cp > 57 && cp < 65) || (cp > 90 && cp < 97) || (cp > 122 && cp < 127) || unicode_old(cp) & OLD_P;
}

/* ---- what happens to matches and to what is between them ---- */

struct joiner { struct tok_run *r; int i_step; enum tok_behavior behavior; const char *s; size_t start, end; bool held, was_match; };

static int join_flush(struct joiner *j)
{
    if (!j->held)
        return 0;
    j->held = false;
    return tok_pretokenize(j->r, j->i_step + 1, j->s + j->start, j->end - j->start);
}

static int join_add(struct joiner *j, size_t start, size_t end, bool match)
{
    if (start == end)
        return 0;
    bool extend = false;
    switch (j->behavior) {
    case BEHAVIOR_REMOVED:
    case BEHAVIOR_ISOLATED:
        return match && j->behavior == BEHAVIOR_REMOVED ? 0 : tok_pretokenize(j->r, j->i_step + 1, j->s + start, end - start);
    case BEHAVIOR_PREVIOUS: extend = match && !j->was_match; break;
    case BEHAVIOR_NEXT: extend = !match && j->was_match; break;
    case BEHAVIOR_CONTIGUOUS: extend = match == j->was_match; break;
    }
    j->was_match = match;
    if (extend && j->held) {
        j->end = end;
        return 0;
    }
    TRY(join_flush(j));
    j->start = start, j->end = end, j->held = true;
    return 0;
}

static int by_split(struct joiner *j, const struct tok_split *split, bool invert, size_t n)
{
    struct tok_cut c;
    TRY(tok_cut_begin(&c, split, j->s, n, j->r->err));
    size_t len;
    bool matched;
    int rc;
    while ((rc = tok_cut_next(&c, &len, &matched, j->r->err)) > 0)
        if ((rc = join_add(j, c.at - len, c.at, matched != invert)) < 0)
            break;
    tok_cut_end(&c);
    return rc < 0 ? rc : join_flush(j);
}

static int by_string(struct joiner *j, const struct tok_pre *p, size_t n)
{
    size_t from = 0;
    for (const char *hit; p->n_string && (hit = memmem(j->s + from, n - from, p->string, p->n_string)); from = (size_t)(hit - j->s) + p->n_string) {
        TRY(join_add(j, from, (size_t)(hit - j->s), p->invert));
        TRY(join_add(j, (size_t)(hit - j->s), (size_t)(hit - j->s) + p->n_string, !p->invert));
    }
    TRY(join_add(j, from, n, p->invert));
    return join_flush(j);
}

/* A byte whose character in GPT-2's map is a number: superscripts 2, 3, 1 and the fractions. */
static bool mapped_number(unsigned char c) { return (c >= '0' && c <= '9') || c == 0xb2 || c == 0xb3 || c == 0xb9 || (c >= 0xbc && c <= 0xbe); }

static bool belongs(const struct tok_pre *p, const unsigned char *s, size_t n, size_t *len)
{
    if (p->mapped) {
        *len = 1;
        return mapped_number(s[0]);
    }
    const uint32_t cp = unicode_at(s, n, len);
    return p->kind == PRE_DIGITS ? IS(unicode_category(cp)) & IS_N : p->kind == PRE_SPACES ? IS(unicode_category(cp)) & IS_SPACE : is_punctuation(cp);
}

/* Each character of the class is a match of its own. */
static int by_class(struct joiner *j, const struct tok_pre *p, size_t n)
{
    size_t from = 0;
    for (size_t i = 0, len; i < n; i += len)
        if (belongs(p, (const unsigned char *)j->s + i, n - i, &len)) {
            TRY(join_add(j, from, i, false));
            TRY(join_add(j, i, i + len, true));
            from = i + len;
        }
    TRY(join_add(j, from, n, false));
    return join_flush(j);
}

/* \w+|[^\w\s]+ */
static int by_words(struct joiner *j, size_t n)
{
    size_t from = 0;
    int was = 0;                                          /* 0 space, 1 word, 2 other */
    for (size_t i = 0, len; i <= n; i += len) {
        int now = 0;
        if (i < n) {
            const uint32_t cp = unicode_at((const unsigned char *)j->s + i, n - i, &len);
            now = IS(unicode_category(cp)) & IS_SPACE ? 0 : tok_is_word_char(cp) ? 1 : 2;
        } else {
            len = 1;
        }
        if (now != was || i == n) {
            TRY(join_add(j, from, i, !was));
            from = i, was = now;
        }
    }
    return 0;
}

static int by_bert(struct joiner *j, size_t n)
{
    size_t from = 0;
    for (size_t i = 0, len; i < n; i += len) {
        const uint32_t cp = unicode_at((const unsigned char *)j->s + i, n - i, &len);
        const bool space = IS(unicode_category(cp)) & IS_SPACE;
        if (!space && !is_punctuation(cp))
            continue;
        TRY(join_add(j, from, i, false));
        TRY(join_add(j, i, i + len, space));
        from = i + len;
    }
    return join_add(j, from, n, false);
}

static int by_metaspace(struct tok_run *r, int i_step, const char *s, size_t n)
{
    const struct tok_pre *p = &r->t->pre[i_step];
    struct buf *b = &r->pre[i_step];
    buf_clear(b);
    const bool has = n && (*s == ' ' || (n >= p->n_string && !memcmp(s, p->string, p->n_string)));
    if (!has && (p->prepend == PREPEND_ALWAYS || (p->prepend == PREPEND_FIRST && r->at_start)))
        TRY(buf_add(b, p->string, p->n_string, r->err));
    r->at_start = false;
    for (size_t i = 0, from = 0; i <= n; i++)
        if (i == n || s[i] == ' ') {
            TRY(buf_add(b, s + from, i - from, r->err));
            if (i < n)
                TRY(buf_add(b, p->string, p->n_string, r->err));
            from = i + 1;
        }
    if (!p->cut)
        return tok_pretokenize(r, i_step + 1, b->data, b->len);
    struct joiner j = { .r = r, .i_step = i_step, .behavior = BEHAVIOR_NEXT, .s = b->data };
    return by_string(&j, p, b->len);
}

static int by_bytes(struct tok_run *r, int i_step, const char *s, size_t n)
{
    const struct tok_pre *p = &r->t->pre[i_step];
    if (p->prefix && *s != ' ') {
        struct buf *b = &r->pre[i_step];
        buf_clear(b);
        TRY(buf_add_char(b, ' ', r->err));
        TRY(buf_add(b, s, n, r->err));
        s = b->data, n = b->len;
    }
    if (!p->split)
        return tok_pretokenize(r, i_step + 1, s, n);
    for (size_t i = 0, len; i < n; i += len) {
        len = tok_match_gpt2((const unsigned char *)s + i, n - i);
        TRY(tok_pretokenize(r, i_step + 1, s + i, len));
    }
    return 0;
}

/* ---- to the model ---- */

/* BPE over characters: merges never cross certain places, so that the pieces between them are words that were met before. */
static int cut_at_spaces(struct tok_run *r, const char *s, size_t n)
{
    size_t from = 0;
    for (size_t i = 1; i + 3 <= n; i++) {
        const char *e2 = memchr(s + i, TOK_SPACE[0], n - i);
        if (!e2)
            break;
        i = (size_t)(e2 - s);
        if (i + 3 > n || memcmp(e2, TOK_SPACE, 3) || !r->t->cut_before[(unsigned char)s[i - 1]])
            continue;
        TRY(tok_piece(r, s + from, i - from));
        from = i;
    }
    return tok_piece(r, s + from, n - from);
}

int tok_pretokenize(struct tok_run *r, int i_step, const char *s, size_t n)
{
    const struct tok *t = r->t;
    if (i_step == t->n_pre)
        return t->cut_spaces ? cut_at_spaces(r, s, n) : tok_piece(r, s, n);
    const struct tok_pre *p = &t->pre[i_step];
    struct joiner j = { .r = r, .i_step = i_step, .behavior = p->behavior, .s = s };
    switch (p->kind) {
    case PRE_SPLIT: return by_split(&j, p->split, p->invert, n);
    case PRE_STRING: return by_string(&j, p, n);
    case PRE_BYTES: return by_bytes(r, i_step, s, n);
    case PRE_METASPACE: return by_metaspace(r, i_step, s, n);
    case PRE_WORDS: return by_words(&j, n);
    case PRE_DIGITS:
    case PRE_SPACES:
    case PRE_PUNCTUATION: return by_class(&j, p, n);
    case PRE_BERT: return by_bert(&j, n);
    }
    return 0;
}
