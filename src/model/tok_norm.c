/* tok_norm.c - normalizers, as Hugging Face's tokenizers and SentencePiece do them.
 *
 * A precompiled charsmap is a double array (Darts-clone's units) from byte sequences to places in a pool of NUL-terminated
 * replacements:  u32 bytes of the array | array | pool.  SentencePiece replaces the longest match; tokenizers looks at whole
 * grapheme clusters of less than 6 bytes and, when some prefix of one is in the array, takes the shortest one's replacement for
 * all of it, else character by character. */
#include <string.h>
#include "base/mem.h"
#include "base/utf8.h"
#include "model/tok_impl.h"
#include "model/unicode.h"

/* What a hostile file could blow up: no text gets longer than this by its normalizers. */
static int check_growth(const struct tok_run *r, const struct buf *out)
{
    return out->len <= r->norm_max ? 0 : ERR(r->err, RANGE, "the tokenizer's normalizers make a text more than %d times as long", TOK_GROWTH_MAX);
}

/* ---- the charsmap ---- */

bool tok_charsmap_init(struct tok_charsmap *m, const char *blob, size_t n, struct err *err)
{
    uint32_t size;
    if (n < 4 || (memcpy(&size, blob, 4), size > n - 4) || size % 4)
        return ERR(err, FORMAT, "precompiled charsmap: %zu bytes do not hold the array they promise", n), false;
    m->n_unit = size / 4, m->n_pool = n - 4 - size;
    m->unit = mem_alloc_array(m->n_unit + 1, 4);
    m->pool = mem_alloc_zero(m->n_pool + 1);
    if (!m->unit || !m->pool)
        return ERR(err, NOMEM, "no memory for a precompiled charsmap"), false;
    memcpy(m->unit, blob + 4, size);
    memcpy(m->pool, blob + 4 + size, m->n_pool);
    return true;
}

static size_t unit_offset(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & 512) >> 6); }

/* Bytes of the longest (or the first) sequence of the map at s; 0: none.  *to is its replacement. */
static size_t map_match(const struct tok_charsmap *m, const char *s, size_t n, bool longest, const char **to)
{
    size_t found = 0, node = m->n_unit ? unit_offset(m->unit[0]) : 0;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)s[i];
        node ^= c;
        if (node >= m->n_unit || (m->unit[node] & 0x800000ffu) != c)
            break;
        const uint32_t unit = m->unit[node];
        node ^= unit_offset(unit);
        if (!(unit >> 8 & 1))
            continue;
        const size_t at = node < m->n_unit ? m->unit[node] & 0x7fffffffu : SIZE_MAX;
        if (at >= m->n_pool)
            break;
        *to = m->pool + at, found = i + 1;
        if (!longest)
            break;
    }
    return found;
}

/* Bytes of the grapheme cluster at s, as far as clusters below 6 bytes go (longer ones are told by their length alone). */
static size_t grapheme(const unsigned char *s, size_t n)
{
    size_t len, at;
    uint32_t cp = unicode_at(s, n, &at);
    if (cp == '\r' && n > 1 && s[1] == '\n')
        return 2;
    if (cp == '\r' || cp == '\n' || (unicode_category(cp) == CAT_CC) || unicode_category(cp) == CAT_SPACE_CONTROL)
        return at;
    while (at < n && unicode_prepends(cp)) {              /* with what comes after it, unless that is a control */
        cp = unicode_at(s + at, n - at, &len);
        if (unicode_category(cp) == CAT_CC || unicode_category(cp) == CAT_SPACE_CONTROL)
            return at;
        at += len;
    }
    for (; at < n && unicode_joins(unicode_at(s + at, n - at, &len)); at += len)
        ;
    return at;
}

static int charsmap(const struct tok_run *r, const struct tok_charsmap *m, const char *s, size_t n, struct buf *out)
{
    struct err *err = r->err;
    const char *to = NULL;
    for (size_t i = 0, len; i < n; i += len) {
        TRY(check_growth(r, out));
        len = grapheme((const unsigned char *)s + i, n - i);
        if (len < 6 && map_match(m, s + i, len, false, &to)) {
            TRY(buf_add_str(out, to, err));
            continue;
        }
        for (size_t k = 0, one; k < len; k += one) {
            unicode_at((const unsigned char *)s + i + k, len - k, &one);
            if (map_match(m, s + i + k, one, false, &to))
                TRY(buf_add_str(out, to, err));
            else
                TRY(buf_add(out, s + i + k, one, err));
        }
    }
    return 0;
}

/* ---- SentencePiece's whole normalizer ---- */

/* What stands at s: its bytes, and their replacement in to[0..*n_to-1]. */
static size_t spm_prefix(const struct tok_run *r, const struct tok_norm *f, const char *s, size_t n, const char **to, size_t *n_to)
{
    size_t len = map_match(&f->map, s, n, true, to);
    if (len) {
        *n_to = strlen(*to);
        return len;
    }
    const uint32_t cp = unicode_at((const unsigned char *)s, n, &len);
    *to = s, *n_to = len;
    if (cp == UNICODE_INVALID && !r->t->byte_fallback)
        *to = "\xef\xbf\xbd", *n_to = 3;
    return len;
}

static int spm_space(const struct tok_norm *f, struct buf *out, struct err *err) { return f->escape ? buf_add(out, TOK_SPACE, 3, err) : buf_add_char(out, ' ', err); }

static int spm(const struct tok_run *r, const struct tok_norm *f, const char *s, size_t n, struct buf *out, struct err *err)
{
    const char *to;
    size_t n_to, i = 0;
    for (size_t len; f->join_spaces && i < n; i += len) {
        len = spm_prefix(r, f, s + i, n - i, &to, &n_to);
        if (n_to != 1 || *to != ' ')
            break;
    }
    if (i == n)
        return 0;
    if (f->dummy_prefix && !f->suffix)
        TRY(spm_space(f, out, err));
    bool was_space = f->join_spaces;
    while (i < n) {
        TRY(check_growth(r, out));
        i += spm_prefix(r, f, s + i, n - i, &to, &n_to);
        for (; was_space && n_to && *to == ' '; to++, n_to--)
            ;
        if (n_to)
            was_space = f->join_spaces && to[n_to - 1] == ' ';
        for (size_t k = 0; k < n_to; k++)
            TRY(to[k] == ' ' ? spm_space(f, out, err) : buf_add_char(out, to[k], err));
    }
    const size_t width = f->escape ? 3 : 1;
    while (f->join_spaces && out->len >= width && !memcmp(out->data + out->len - width, f->escape ? TOK_SPACE : " ", width))
        out->len -= width;
    return f->dummy_prefix && f->suffix ? spm_space(f, out, err) : 0;
}

/* ---- the others ---- */

static int put(uint32_t cp, const char *s, size_t n, struct buf *out, struct err *err)
{
    char c[4];
    return cp == UNICODE_INVALID ? buf_add(out, s, n, err) : buf_add(out, c, (size_t)utf8_put(cp, c), err);
}

static bool is_chinese(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
           (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static int drop(enum unicode_old set, const char *s, size_t n, struct buf *out, struct err *err)
{
    for (size_t i = 0, len; i < n; i += len)
        if (!(unicode_old(unicode_at((const unsigned char *)s + i, n - i, &len)) & (int)set))
            TRY(buf_add(out, s + i, len, err));
    return 0;
}

static int bert_clean(const struct tok_norm *f, const char *s, size_t n, struct buf *out, struct err *err)
{
    for (size_t i = 0, len; i < n; i += len) {
        const uint32_t cp = unicode_at((const unsigned char *)s + i, n - i, &len);
        const bool space = IS(unicode_category(cp)) & IS_SPACE;
        if (f->clean && (!cp || cp == 0xfffd || (unicode_old(cp) & OLD_C && cp != '\t' && cp != '\n' && cp != '\r')))
            continue;
        if (f->clean && space)
            TRY(buf_add_char(out, ' ', err));
        else if (f->chinese && is_chinese(cp))
            TRY(buf_printf(out, err, " %.*s ", (int)len, s + i));
        else
            TRY(put(cp, s + i, len, out, err));
    }
    return 0;
}

static int bert(const struct tok_norm *f, const char *s, size_t n, struct buf *out, struct err *err)
{
    struct buf a, b;
    buf_init(&a);
    buf_init(&b);
    int rc = bert_clean(f, s, n, &a, err);
    if (!rc && f->accents && !(rc = unicode_normalize(UNICODE_NFD, a.data, a.len, &b, err))) {
        buf_clear(&a);
        rc = drop(OLD_MN, b.data, b.len, &a, err);
    }
    if (!rc)
        rc = f->lower ? unicode_lower(a.data, a.len, out, err) : buf_add(out, a.data, a.len, err);
    buf_release(&a);
    buf_release(&b);
    return rc;
}

static int nmt(const char *s, size_t n, struct buf *out, struct err *err)
{
    for (size_t i = 0, len; i < n; i += len) {
        const uint32_t c = unicode_at((const unsigned char *)s + i, n - i, &len);
        if ((c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f)
            continue;
        const bool space = c == 9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 || (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd;
        TRY(space ? buf_add_char(out, ' ', err) : buf_add(out, s + i, len, err));
    }
    return 0;
}

static void strip(const struct tok_norm *f, const char **s, size_t *n)
{
    size_t len, from = 0, last = 0;
    while (f->left && from < *n && unicode_set_at((const unsigned char *)*s + from, *n - from, &len) & IS_SPACE)
        from += len;
    for (size_t i = last = from; i < *n; i += len)
        if (!(unicode_set_at((const unsigned char *)*s + i, *n - i, &len) & IS_SPACE) || !f->right)
            last = i + len;
    *s += from, *n = last - from;
}

static int replace_string(const struct tok_run *r, const struct tok_norm *f, const char *s, size_t n, struct buf *out)
{
    struct err *err = r->err;
    size_t from = 0;
    for (const char *hit; f->n_from && (hit = memmem(s + from, n - from, f->from, f->n_from)); from = (size_t)(hit - s) + f->n_from) {
        TRY(buf_add(out, s + from, (size_t)(hit - s) - from, err));
        TRY(buf_add(out, f->to, f->n_to, err));
        TRY(check_growth(r, out));
    }
    return buf_add(out, s + from, n - from, err);
}

static int replace_pattern(const struct tok_run *r, const struct tok_norm *f, const char *s, size_t n, struct buf *out)
{
    struct err *err = r->err;
    struct tok_cut c;
    TRY(tok_cut_begin(&c, f->pattern, s, n, err));
    size_t len;
    bool matched;
    int rc;
    while ((rc = tok_cut_next(&c, &len, &matched, err)) > 0)
        if ((rc = matched ? buf_add(out, f->to, f->n_to, err) : buf_add(out, s + c.at - len, len, err)) < 0 || (rc = check_growth(r, out)) < 0)
            break;
    tok_cut_end(&c);
    return rc;
}

static int apply(const struct tok_run *r, const struct tok_norm *f, const char *s, size_t n, struct buf *out)
{
    struct err *err = r->err;
    switch (f->kind) {
    case NORM_FORM: return unicode_normalize((enum unicode_form)f->form, s, n, out, err);
    case NORM_LOWER: return unicode_lower(s, n, out, err);
    case NORM_STRIP_ACCENTS: return drop(OLD_M, s, n, out, err);
    case NORM_REPLACE: return f->pattern ? replace_pattern(r, f, s, n, out) : replace_string(r, f, s, n, out);
    case NORM_PREPEND:
        TRY(buf_add(out, f->to, n ? f->n_to : 0, err));
        return buf_add(out, s, n, err);
    case NORM_CHARSMAP: return charsmap(r, &f->map, s, n, out);
    case NORM_BERT: return bert(f, s, n, out, err);
    case NORM_NMT: return nmt(s, n, out, err);
    case NORM_SPM: return spm(r, f, s, n, out, err);
    case NORM_STRIP: break;
    }
    return 0;
}

int tok_normalize(struct tok_run *r, const char **s, size_t *n)
{
    int next = 0;
    r->norm_max = *n < SIZE_MAX / 2 / TOK_GROWTH_MAX ? (*n + 64) * TOK_GROWTH_MAX : SIZE_MAX;
    if (!r->t->byte_level && !r->t->byte_fallback && !unicode_is_utf8(*s, *n)) {
        buf_clear(&r->norm[1]);
        TRY(unicode_repair(*s, *n, &r->norm[1], r->err));
        *s = r->norm[1].data, *n = r->norm[1].len;
    }
    for (int i = 0; i < r->t->n_norm; i++) {
        const struct tok_norm *f = &r->t->norm[i];
        if (f->kind == NORM_STRIP) {
            strip(f, s, n);
            continue;
        }
        if (f->kind == NORM_FORM && unicode_is_normal((enum unicode_form)f->form, *s, *n))
            continue;
        struct buf *out = &r->norm[next];
        buf_clear(out);
        TRY(apply(r, f, *s, *n, out));
        TRY(check_growth(r, out));
        *s = out->data, *n = out->len;
        next = !next;
    }
    return 0;
}
