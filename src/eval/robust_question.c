#include <string.h>
#include "base/mem.h"
#include "eval/robust_impl.h"

static bool is_alnum(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

/* An option's label at the beginning of a line: A. A) A: (A), with a blank or the end behind it.  letter: its place. */
struct label { size_t begin, letter, end; };

static bool label_at(const char *s, size_t n, size_t at, struct label *out)
{
    if (at && s[at - 1] != '\n')
        return false;
    while (at < n && (s[at] == ' ' || s[at] == '\t'))
        at++;
    const bool open = at < n && s[at] == '(';
    *out = (struct label){ at, at + open, at + open + 2 };
    return out->end <= n && is_alnum(s[out->letter]) && (open ? s[out->end - 1] == ')' : strchr(".):", s[out->end - 1]) && s[out->end - 1]) &&
           (out->end == n || s[out->end] == ' ' || s[out->end] == '\t' || s[out->end] == '\n');
}

/* ---- texts ---- */

int question_perturb(void *ctx, int64_t item, const char *text, size_t n, const uint8_t *of_doc, struct buf *out, struct err *err)
{
    const struct question_change *c = ctx;
    struct perturbed done;
    struct label l;
    uint8_t *free_bytes = mem_alloc(n + 1);
    if (!free_bytes)
        return ERR(err, NOMEM, "no memory for a text of %zu bytes", n);
    memcpy(free_bytes, of_doc, n);
    for (size_t i = 0; i < n; i++)
        if (label_at(text, n, i, &l))
            memset(free_bytes + l.begin, 0, l.end - l.begin);
    const int rc = perturb_text(&c->text, item, text, n, free_bytes, out, &done, err);
    mem_free(free_bytes);
    return rc;
}

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

/* What stands for text[from, to), which comes from the document, white space around it left alone. */
static int paraphrase_run(const struct question_change *c, const char *text, size_t from, size_t to, struct buf *out, struct err *err)
{
    size_t a = from, b = to, len;
    while (a < b && is_space(text[a]))
        a++;
    while (b > a && is_space(text[b - 1]))
        b--;
    const char *other = paraphrase_of(c->paraphrases, text + a, b - a, c->i_form, &len);
    if (!other)
        return buf_add(out, text + from, to - from, err);
    TRY(buf_add(out, text + from, a - from, err));
    TRY(buf_add(out, other, len, err));
    return buf_add(out, text + b, to - b, err);
}

int question_paraphrase(void *ctx, int64_t item, const char *text, size_t n, const uint8_t *of_doc, struct buf *out, struct err *err)
{
    (void)item;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && of_doc[end] == of_doc[i];)
            end++;
        TRY(of_doc[i] ? paraphrase_run(ctx, text, i, end, out, err) : buf_add(out, text + i, end - i, err));
    }
    return 0;
}

/* ---- the task's own words ---- */

/* Writes an option's label otherwise; false: none of the task's options has it. */
static bool own_label(const struct question_change *c, const char *text, const struct label *l, const uint8_t *of_doc)
{
    const int k = text[l->letter] - 'A';
    return k >= 0 && k < c->n_letter && !memchr(of_doc + l->begin, 1, l->end - l->begin);
}

static int write_label(const struct question_change *c, const char *text, const struct label *l, struct buf *out, struct err *err)
{
    static const char *const separated[] = { "%c)", "%c:", "(%c)" };
    const char letter = text[l->letter];
    if (c->form == FORM_SEPARATORS) {
        char word[4];
        const int n = snprintf(word, sizeof word, c->i_form == 0 ? separated[0] : c->i_form == 1 ? separated[1] : separated[2], letter);
        return buf_add(out, word, (size_t)n, err);
    }
    TRY(buf_add(out, text + l->begin, l->letter - l->begin, err));
    TRY(buf_add_str(out, c->label[letter - 'A'], err));
    return buf_add_char(out, text[l->end - 1], err);
}

/* Bytes of the layout: how many are gone over at text[i], 0: it is none. */
static size_t layout_at(const struct question_change *c, const char *text, size_t n, size_t i, const uint8_t *of_doc, struct buf *out, int *rc, struct err *err)
{
    if (c->form != FORM_LAYOUT || of_doc[i])
        return 0;
    if (c->i_form == 2) {                        /* a blank behind a colon */
        if (text[i] != ' ' || !i || text[i - 1] != ':' || of_doc[i - 1])
            return 0;
        return 1;
    }
    if (text[i] != '\n' || i + 1 == n)
        return 0;
    *rc = buf_add_str(out, c->i_form ? " " : "\n\n", err);
    return 1;
}

int question_form(void *ctx, int64_t item, const char *text, size_t n, const uint8_t *of_doc, struct buf *out, struct err *err)
{
    const struct question_change *c = ctx;
    struct label l;
    (void)item;
    for (size_t i = 0; i < n;) {
        int rc = 0;
        const size_t k = layout_at(c, text, n, i, of_doc, out, &rc, err);
        TRY(rc);
        if (!k && c->form != FORM_LAYOUT && label_at(text, n, i, &l) && own_label(c, text, &l, of_doc)) {
            TRY(buf_add(out, text + i, l.begin - i, err));
            TRY(write_label(c, text, &l, out, err));
            i = l.end;
            continue;
        }
        if (!k)
            TRY(buf_add_char(out, text[i], err));
        i += k ? k : 1;
    }
    return 0;
}
