/* words_simplify.c - see words.h: datatrove's simplified text. */
#include <assert.h>
#include "audit/words_impl.h"
#include "base/mem.h"
#include "base/utf8.h"

struct simplify { struct buf *out; const char *text, *end; size_t run; bool space, disordered; struct err *err; };

/* The separators that a number may have once. */
static bool is_separator(uint32_t cp) { return cp == '.' || cp == ',' || cp == 0x60c || cp == 0x66b || (cp >= 0x2396 && cp <= 0x2398); }

/* Bytes of the number at s, which begins with a digit. */
static const char *number_end(const char *s, const char *end)
{
    uint32_t cp, class;
    bool separated = false;
    const char *good = s;
    while (s < end) {
        const int n = chars_at(s, end, &cp, &class);
        if (class & CHAR_ND)
            good = s + n;
        else if (separated || !is_separator(cp))
            break;
        else
            separated = true;
        s += n;
    }
    return good;
}

/* Combining marks that stay are put in the order of their class, which is stable: only such characters may stand in the run. */
static int reorder(struct simplify *f)
{
    char *s = f->out->data + f->run;
    const size_t n = f->out->len - f->run;
    if (!f->disordered)
        return 0;
    f->disordered = false;
    char *sorted = mem_alloc(n);
    if (!sorted)
        return ERR(f->err, NOMEM, "no memory for %zu bytes of combining marks", n);
    size_t k = 0;
    for (int ccc = 1; k < n && ccc < 256; ccc++)
        for (size_t i = 0; i < n;) {
            uint32_t cp, class;
            const size_t len = (size_t)chars_at(s + i, s + n, &cp, &class);
            if (chars_combining(cp) == ccc) {
                memcpy(sorted + k, s + i, len);
                k += len;
            }
            i += len;
        }
    assert(k == n);
    memcpy(s, sorted, n);
    mem_free(sorted);
    return 0;
}

static int put_char(struct simplify *f, uint32_t cp)
{
    char b[4];
    const uint32_t class = chars_class(cp);
    if (class & CHAR_NONSTARTER) {
        uint32_t before, c;
        if (f->out->len > f->run) {
            chars_before(f->out->data + f->run, f->out->data + f->out->len, &before, &c);
            f->disordered = f->disordered || chars_combining(before) > chars_combining(cp);
        }
        return buf_add(f->out, b, (size_t)utf8_put(cp, b), f->err);
    }
    TRY(reorder(f));
    TRY(buf_add(f->out, b, (size_t)utf8_put(cp, b), f->err));
    f->run = f->out->len;
    return 0;
}

/* The space that is due, unless nothing stands before it. */
static int put_space(struct simplify *f)
{
    if (f->space && f->out->len) {
        TRY(reorder(f));
        TRY(buf_add_char(f->out, ' ', f->err));
        f->run = f->out->len;
    }
    f->space = false;
    return 0;
}

/* A run of ASCII from s on, to its end. */
static int simplify_ascii(const char simple[128], struct simplify *f, const char **at)
{
    const char *s = *at, *end = f->end;
    TRY(reorder(f));
    TRY(buf_reserve(f->out, (size_t)(end - s) + 1, f->err));
    char *d = f->out->data + f->out->len, *first = f->out->data;
    bool space = f->space;
    while (s < end && (unsigned char)*s < 128) {
        const char c = simple[(unsigned char)*s];
        if (c == ' ') {
            space = true;
            s++;
            continue;
        }
        if (space && d > first)
            *d++ = ' ';
        space = false;
        *d++ = c;
        s = c == '0' ? number_end(s, end) : s + 1;
    }
    f->space = space;
    f->out->len = f->run = (size_t)(d - first);
    *at = s;
    return 0;
}

static int simplify_other(struct simplify *f, const char **at)
{
    uint32_t cp, class, to[4];
    const char *s = *at;
    const int n = chars_at(s, f->end, &cp, &class);
    *at = s + n;
    if (class & (CHAR_SPACE | CHAR_PUNCTUATION)) {
        f->space = true;
        return 0;
    }
    TRY(put_space(f));
    if (class & CHAR_ND) {
        *at = number_end(s, f->end);
        return put_char(f, '0');
    }
    if (cp == UINT32_MAX) {                       /* no character: itself */
        TRY(reorder(f));
        TRY(buf_add_char(f->out, *s, f->err));
        f->run = f->out->len;
        return 0;
    }
    if (cp == 0x3a3 && chars_is_last_sigma(f->text, s, f->end))
        return put_char(f, 0x3c2);
    if (!(class & CHAR_MAPPED))
        return put_char(f, cp);
    const int n_to = chars_simplified(cp, to);
    for (int i = 0; i < n_to; i++)
        TRY(put_char(f, to[i]));
    if (n_to == 0 && !(class & CHAR_NONSTARTER)) {
        TRY(reorder(f));
        f->run = f->out->len;
    }
    return 0;
}

int words_simplify(struct words *w, const char *text, size_t n, struct buf *out, struct err *err)
{
    struct simplify f = { .out = out, .text = text, .end = text + n, .err = err };
    buf_clear(out);
    for (const char *s = text; s < f.end;)
        TRY((unsigned char)*s < 128 ? simplify_ascii(w->simple, &f, &s) : simplify_other(&f, &s));
    TRY(reorder(&f));
    while (out->len && out->data[out->len - 1] == ' ')
        out->len--;
    if (out->cap)
        out->data[out->len] = 0;         /* one that was never used has a byte that all threads share */
    return 0;
}
