/* words.c - see words.h: words between white space, NeMo Curator's, and lists of spans.  English: words_english.c. */
#include <assert.h>
#include "audit/words_impl.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cpu/kernels.h"

/* ---- spans ---- */

void spans_release(struct spans *s)
{
    mem_free(s->at);
    *s = (struct spans){ 0 };
}

int spans_reserve(struct spans *s, size_t n, struct err *err)
{
    if (n <= s->cap)
        return 0;
    const size_t cap = n < 512 ? 1024 : 2 * n;
    struct span *at = mem_realloc_array(s->at, cap, sizeof *at);
    if (!at)
        return ERR(err, NOMEM, "no memory for %zu parts of a text", cap);
    s->at = at;
    s->cap = cap;
    return 0;
}

int spans_add(struct spans *s, uint32_t at, uint32_t n, struct err *err)
{
    if (s->n == s->cap)
        TRY(spans_reserve(s, s->n + 1, err));
    s->at[s->n++] = (struct span){ at, n };
    return 0;
}

int words_new(struct words **out, struct err *err)
{
    struct words *w = *out = mem_alloc_zero(sizeof *w);
    if (!w)
        return ERR(err, NOMEM, "no memory to cut texts into words");
    for (uint32_t c = 0; c < 128; c++) {
        const uint32_t class = chars_class(c);
        w->ascii[c] = class & CHAR_SPACE ? A_SPACE : c >= '0' && c <= '9' ? A_DIGIT : class & CHAR_ALPHA ? A_LETTER : c == '.' ? A_DOT | A_INFIX
                    : class & CHAR_INFIX ? A_INFIX : A_OTHER;
        w->simple[c] = class & (CHAR_SPACE | CHAR_PUNCTUATION) ? ' ' : class & CHAR_ND ? '0' : (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    words_english_init(w);
    return 0;
}

void words_free(struct words *w)
{
    if (!w)
        return;
    spans_release(&w->suffix);
    spans_release(&w->tokens);
    spans_release(&w->matches);
    spans_release(&w->taken);
    mem_free(w);
}

/* White space beyond ASCII among so many blocks of the text from at on is put into their masks; *beyond: bytes of it behind them, from those
 * before them. */
static void add_spaces(const char *text, size_t n, size_t at, struct text_masks *mask, size_t n_mask, int *beyond)
{
    if (*beyond)
        mask[0].space |= ((uint64_t)1 << *beyond) - 1;
    *beyond = 0;
    for (size_t i = 0; i < n_mask; i++)
        for (uint64_t m = mask[i].high; m; m &= m - 1) {
            const int place = __builtin_ctzll(m);
            const char *s = text + at + 64 * i + place;
            const unsigned char c = (unsigned char)*s;
            const int k = c == 0xc2 || (c >= 0xe1 && c <= 0xe3) ? words_space_at(s, text + n) : 0;
            for (int j = place; j < place + k; j++)
                if (j < 64)
                    mask[i].space |= (uint64_t)1 << j;
                else if (i + 1 < n_mask)
                    mask[i + 1].space |= (uint64_t)1 << (j - 64);
                else
                    *beyond = j - 63;
        }
}

static int words_spaced(const char *text, size_t n, struct spans *out, struct err *err)
{
    enum { BLOCKS = 64 };
    struct text_masks mask[BLOCKS];
    const struct cpu_kernels *k = cpu_kernels();
    size_t begin = 0;
    bool open = false;
    int beyond = 0;
    for (size_t at = 0; at < n; at += BLOCKS * 64) {
        const size_t some = n - at < BLOCKS * 64 ? n - at : BLOCKS * 64;
        k->text_masks(some, text + at, mask);
        add_spaces(text, n, at, mask, (some + 63) / 64, &beyond);
        for (size_t i = 0; i < some; i += 64) {
            /* A bit where a word begins or ends. */
            const uint64_t full = ~mask[i / 64].space, all = some - i < 64 ? ((uint64_t)1 << (some - i)) - 1 : UINT64_MAX;
            TRY(spans_reserve(out, out->n + 64, err));
            for (uint64_t m = (full ^ (full << 1 | open)) & all; m; m &= m - 1) {
                const size_t place = at + i + (size_t)__builtin_ctzll(m);
                if (open)
                    out->at[out->n++] = (struct span){ (uint32_t)begin, (uint32_t)(place - begin) };
                begin = place;
                open = !open;
            }
        }
    }
    return open ? spans_add(out, (uint32_t)begin, (uint32_t)(n - begin), err) : 0;
}

static bool is_ascii_punctuation(unsigned char c) { return (c >= 33 && c < 48) || (c >= 58 && c < 65) || (c >= 91 && c < 97) || (c >= 123 && c < 127); }

/* The part from begin to end without white space and punctuation around it. */
static int add_nemo(struct spans *out, const char *text, const char *begin, const char *end, struct err *err)
{
    uint32_t cp, class;
    int n;
    while (begin < end && (n = chars_at(begin, end, &cp, &class), (class & CHAR_SPACE) || (cp < 128 && is_ascii_punctuation((unsigned char)cp))))
        begin += n;
    while (begin < end && (n = chars_before(begin, end, &cp, &class), (class & CHAR_SPACE) || (cp < 128 && is_ascii_punctuation((unsigned char)cp))))
        end -= n;
    return spans_add(out, (uint32_t)(begin - text), (uint32_t)(end - begin), err);
}

/* A word begins at what is neither punctuation nor U+0020, where only punctuation lies between it and the last U+0020, or the text's
 * beginning.  The first is dropped where it has no characters, and so is what lies before it. */
static int words_nemo(const char *text, size_t n, struct spans *out, struct err *err)
{
    const char *begin = NULL;
    bool first = true, from_start = false, after_space = true;
    for (const char *s = text; s < text + n; s++) {
        if (is_ascii_punctuation((unsigned char)*s))
            continue;
        if (*s != ' ' && after_space) {
            if (begin)
                TRY(add_nemo(out, text, begin, s, err));
            begin = s;
        }
        from_start = from_start || (first && *s != ' ');
        first = false;
        after_space = *s == ' ';
    }
    TRY(begin ? add_nemo(out, text, begin, text + n, err) : 0);
    if (from_start && !out->at[0].n)
        memmove(out->at, out->at + 1, --out->n * sizeof *out->at);
    return 0;
}

int words_nemo_next(const char *text, size_t n, size_t end, size_t *at, char out[8])
{
    while (*at < end && is_ascii_punctuation((unsigned char)text[*at]))
        ++*at;
    if (*at >= end)
        return 0;
    const char *s = text + *at;
    const unsigned char c = (unsigned char)*s;
    if (c < 128) {
        ++*at;
        out[0] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        return 1;
    }
    uint32_t cp, class, to[4];
    int bytes = 0;
    const int len = chars_at(s, text + n, &cp, &class), n_to = chars_lower(cp == 0x3a3 && chars_is_last_sigma(text, s, text + n) ? 0x3c2 : cp, to);
    *at += (size_t)len;
    if (cp == UINT32_MAX)
        return out[0] = *s, 1;
    for (int i = 0; i < n_to; i++)
        bytes += utf8_put(to[i], out + bytes);
    return bytes;
}

int words_of(struct words *w, enum words_dialect dialect, const char *text, size_t n, struct spans *out, struct err *err)
{
    assert(n <= UINT32_MAX);
    out->n = 0;
    out->joined = false;
    switch (dialect) {
    case WORDS_ENGLISH: return words_english(w, text, n, out, err);
    case WORDS_SPACED: return words_spaced(text, n, out, err);
    default: return words_nemo(text, n, out, err);
    }
}
