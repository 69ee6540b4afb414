/* signals.c - what datatrove's filters count, and what nobody wants in a text. */
#include "audit/signals.h"
#include <string.h>
#include "audit/chars.h"
#include "audit/signals_impl.h"
#include "base/mem.h"

static const struct signal_info infos[N_SIGNAL] = {
#define SIGNAL(group, name, doc) { SIGNALS_##group, #name, doc },
#include "audit/signals.def"
#undef SIGNAL
};

const struct signal_info *signal_info(int i) { return &infos[i]; }

int signal_find(const char *name)
{
    for (int i = 0; i < N_SIGNAL; i++)
        if (!strcmp(infos[i].name, name))
            return i;
    return -1;
}

int signals_new(struct signals_maker **out, int groups, struct err *err)
{
    struct signals_maker *m = *out = mem_alloc_zero(sizeof *m);
    if (!m)
        return ERR(err, NOMEM, "no memory to count what texts have");
    m->groups = groups | (groups & (SIGNALS_DOLMA | SIGNALS_NEMO) ? SIGNALS_SPACED : 0);
    buf_init(&m->line);
    buf_init(&m->low);
    return words_new(&m->words, err);
}

void signals_free(struct signals_maker *m)
{
    if (!m)
        return;
    words_free(m->words);
    runs_release(&m->runs);
    repeats_release(&m->repeats);
    spans_release(&m->line_words);
    spans_release(&m->spaced);
    buf_release(&m->line);
    buf_release(&m->low);
    mem_free(m);
}

/* ---- parts of the text ---- */

uint32_t signals_cap(uint64_t n) { return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n; }

static uint32_t count_chars(const char *s, const char *end)
{
    uint32_t n = 0;
    for (; s < end; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

uint32_t signals_chars(const struct signals_maker *m, const char *s, const char *end) { return m->ascii ? (uint32_t)(end - s) : count_chars(s, end); }
struct span signals_span(const struct signals_maker *m, const char *s, const char *end) { return (struct span){ (uint32_t)(s - m->text), (uint32_t)(end - s) }; }

bool signals_has(const char *s, const char *end, const char *with)
{
    const size_t n = strlen(with);
    return (size_t)(end - s) >= n && !memcmp(end - n, with, n);
}

const char *signals_lstrip(const char *s, const char *end)
{
    uint32_t cp, class;
    for (int n; s < end; s += n) {
        if ((unsigned char)(*s - 33) < 94)                /* visible ASCII */
            break;
        n = chars_at(s, end, &cp, &class);
        if (!(class & CHAR_SPACE))
            break;
    }
    return s;
}

const char *signals_rstrip(const char *begin, const char *end)
{
    uint32_t cp, class;
    while (end > begin) {
        if ((unsigned char)(end[-1] - 33) < 94)
            break;
        const int n = chars_before(begin, end, &cp, &class);
        if (!(class & CHAR_SPACE))
            break;
        end -= n;
    }
    return end;
}

bool signals_line(const char **at, const char *end, const char **begin, const char **line_end)
{
    if (!*at)
        return false;
    *begin = *at;
    const char *p = *at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;
    *line_end = p ? p : end;
    *at = p ? p + 1 : NULL;
    return true;
}

/* The next line of str.splitlines(): none behind a last end of line. */
static bool split_line(const struct signals_maker *m, const char **at, bool simple, const char **begin, const char **line_end)
{
    const char *s = *at, *end = m->end;
    uint32_t cp, class;
    if (s >= end)
        return false;
    *begin = s;
    if (simple) {
        const char *p = memchr(s, '\n', (size_t)(end - s));
        *line_end = p ? p : end;
        *at = p ? p + 1 : end;
        return true;
    }
    int n = 0;
    for (; s < end; s += n) {
        n = chars_at(s, end, &cp, &class);
        if (class & CHAR_LINE_END)
            break;
    }
    *line_end = s;
    *at = s == end ? s : *s == '\r' && s + 1 < end && s[1] == '\n' ? s + 2 : s + n;
    return true;
}

/* ---- characters ---- */

static void count_bytes(struct signals_maker *m)
{
    const unsigned char *s = (const unsigned char *)m->text;
    const size_t n = (size_t)(m->end - m->text);
    uint32_t high = 0, low = 0, chars = 0, lines = 0, hashes = 0;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = s[i];
        high += c >= 0x80;
        chars += (c & 0xc0) != 0x80;
        lines += c == '\n';
        hashes += c == '#';
        low += (c < 32 && c != '\n' && c != '\t' && c != '\r') || c == 127;
    }
    m->ascii = !high;
    m->out->chars = chars;
    m->out->newlines = lines;
    m->out->hashes = hashes;
    m->out->control_chars = low;
}

/* UTF-8 that was read byte by byte: a character that a lead byte became, before one that a continuation byte became, by Windows-1252 or
 * Latin-1: U+00C2, U+00C3 before U+0080 to U+00BF or what 1252 has for these bytes; U+00E2 before U+20AC or U+0080. */
static bool is_mojibake(uint32_t a, uint32_t b)
{
    static const uint16_t cp1252[] = { 0x20ac, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0x17d, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013,
                                       0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0x17e, 0x178 };
    if (a == 0xe2)
        return b == 0x20ac || b == 0x80;
    if (a != 0xc2 && a != 0xc3)
        return false;
    for (size_t i = 0; i < sizeof cp1252 / sizeof *cp1252; i++)
        if (b == cp1252[i])
            return true;
    return b >= 0x80 && b < 0xc0;
}

static void count_others(struct signals_maker *m)
{
    struct signals *o = m->out;
    uint32_t before = 0, cp, class;
    for (const char *s = m->text; s < m->end; before = cp) {
        if ((unsigned char)*s < 0x80) {
            cp = (unsigned char)*s++;
            continue;
        }
        s += chars_at(s, m->end, &cp, &class);
        o->control_chars += (class & CHAR_CONTROL) != 0;
        o->invisible_chars += (class & CHAR_INVISIBLE) != 0;
        o->bidi_chars += (class & CHAR_BIDI) != 0;
        o->replacement_chars += cp == 0xfffd;
        o->ellipses += cp == 0x2026;
        o->mojibake += before >= 0x80 && is_mojibake(before, cp);
    }
}

/* str.count("..."): none shares a full stop with another. */
static uint32_t count_dots(const char *s, const char *end)
{
    uint32_t n = 0;
    while (end - s >= 3 && (s = memchr(s, '.', (size_t)(end - s) - 2))) {
        const bool three = s[1] == '.' && s[2] == '.';
        n += three;
        s += three ? 3 : 1;
    }
    return n;
}

/* ---- words ---- */

static void count_word(struct signals_maker *m, const char *s, const char *end, struct signals *o)
{
    bool alpha = false, word = false;
    uint32_t cp, class;
    for (const char *p = s; p < end && !(alpha && word);) {
        p += chars_at(p, end, &cp, &class);
        alpha = alpha || (class & CHAR_ALPHA);
        word = word || !(class & (CHAR_PUNCTUATION | CHAR_TERMINAL));
    }
    o->alpha_words += alpha;
    o->word_like += word;
    o->word_like_chars += word ? signals_chars(m, s, end) : 0;
}

static int stop_word(const char *s, size_t n)
{
    static const char words[8][5] = { "the", "be", "to", "of", "and", "that", "have", "with" };
    for (int i = 0; i < 8; i++)
        if (!memcmp(s, words[i], n) && words[i][n - 1] && !words[i][n])
            return 1 << i;
    return 0;
}

static void count_words(struct signals_maker *m)
{
    struct signals *o = m->out;
    int stop = 0;
    o->words = signals_cap(m->english->n);
    for (size_t i = 0; i < m->english->n; i++) {
        const struct span w = m->english->at[i];
        const char *s = m->text + w.at;
        if ((unsigned char)((*s | 32) - 'a') < 26) {
            o->alpha_words++;
            o->word_like++;
            o->word_like_chars += signals_chars(m, s, s + w.n);
            if (w.n <= 4 && w.n >= 2)
                stop |= stop_word(s, w.n);
        } else {
            count_word(m, s, s + w.n, o);
        }
    }
    o->stop_words = (uint32_t)__builtin_popcount((unsigned)stop);
}

/* ---- lines ---- */

static void count_split_line(const char *s, const char *end, struct signals *o)
{
    const char *l = signals_lstrip(s, end), *r = signals_rstrip(l, end);
    o->lines++;
    o->bullet_lines += l < end && (*l == '-' || (end - l >= 3 && !memcmp(l, "\342\200\242", 3)));
    o->ellipsis_lines += signals_has(l, r, "...") || signals_has(l, r, "\342\200\246");
}

static void keep_longest(uint32_t longest[3], uint32_t n)
{
    for (int i = 0; i < 3; i++)
        if (n > longest[i]) {
            const uint32_t t = longest[i];
            longest[i] = n;
            n = t;
        }
}

/* What it adds up to is counted whether it is blank or not. */
static void count_full_line(struct signals_maker *m, const char *s, const char *end, uint32_t chars, uint32_t before)
{
    struct signals *o = m->out;
    uint32_t cp, class;
    o->full_lines++;
    o->full_line_chars += chars;
    o->short_lines += chars <= 30;
    chars_before(s, end, &cp, &class);
    o->stop_lines += (class & CHAR_TERMINAL) != 0;
    if (before) {
        o->dup_lines++;
        o->dup_line_chars += chars;
    }
}

/* Parts between line feeds: those of split("\n"), and of split("\n+"), which has the empty ones at the ends of the text only. */
static int count_lines(struct signals_maker *m, struct err *err)
{
    struct signals *o = m->out;
    const char *at = m->text, *s, *end;
    uint32_t longest[3] = { 0 }, copied = 0, copied_chars = 0, empty = 0;
    TRY(repeats_clear(&m->repeats, (size_t)o->newlines + 1, err));
    while (signals_line(&at, m->end, &s, &end)) {
        if (s == end) {
            empty++;
            continue;
        }
        const uint32_t chars = signals_chars(m, s, end), before = repeats_add(&m->repeats, m->text, signals_span(m, s, end));
        keep_longest(longest, chars);
        o->parts++;
        o->dup_parts += before > 0;
        o->dup_part_chars += before ? chars : 0;
        copied += before + 1 == 2 ? 2 : before > 0;
        copied_chars += before == 1 ? 2 * chars : before ? chars : 0;
        if (signals_lstrip(s, end) < end)
            count_full_line(m, s, end, chars, before);
    }
    o->third_line_chars = o->newlines >= 2 ? longest[2] : 0;
    const uint32_t ends = (m->text < m->end && *m->text == '\n') + (m->text < m->end && m->end[-1] == '\n');
    o->parts += ends + (m->text == m->end);
    o->dup_parts += ends == 2;
    if (m->groups & SIGNALS_DOLMA) {
        o->dolma_copied_lines = copied + (empty > 1 ? empty : 0);
        o->dolma_copied_line_chars = copied_chars;
    }
    return 0;
}

static int count_paragraphs(struct signals_maker *m, struct err *err)
{
    struct signals *o = m->out;
    const char *s = signals_lstrip(m->text, m->end), *end = signals_rstrip(s, m->end), *p = s;
    TRY(repeats_clear(&m->repeats, (size_t)o->newlines / 2 + 2, err));
    for (bool more = true; more;) {
        const char *stop = p;
        while ((stop = stop < end ? memchr(stop, '\n', (size_t)(end - stop)) : NULL) && (stop + 1 == end || stop[1] != '\n'))
            stop++;
        more = stop != NULL;
        stop = stop ? stop : end;
        o->paragraphs++;
        if (repeats_add(&m->repeats, m->text, signals_span(m, p, stop))) {
            o->dup_paragraphs++;
            o->dup_paragraph_chars += signals_chars(m, p, stop);
        }
        for (p = stop; p < end && *p == '\n';)
            p++;
    }
    return 0;
}

/* ---- C4 ---- */

enum { C4_LOREM = 1, C4_SCRIPT = 2, C4_POLICY = 4 };

int signals_low(struct buf *out, const char *s, const char *end, struct err *err)
{
    buf_clear(out);
    TRY(buf_reserve(out, (size_t)(end - s), err));
    char *d = out->data;
    for (; s < end; s++) {
        const unsigned char c = (unsigned char)*s;
        if (c == 0xe2 && end - s >= 3 && !memcmp(s, "\342\204\252", 3)) {
            *d++ = 'k';
            s += 2;
        } else {
            *d++ = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
    }
    *d = 0;
    out->len = (size_t)(d - out->data);
    return 0;
}

static bool holds(const struct buf *b, const char *what) { return memmem(b->data, b->len, what, strlen(what)); }

static int c4_words_in(const struct buf *low)
{
    static const char *const policy[] = { "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies" };
    int has = (holds(low, "lorem ipsum") ? C4_LOREM : 0) | (holds(low, "javascript") ? C4_SCRIPT : 0);
    for (size_t i = 0; i < sizeof policy / sizeof *policy; i++)
        if (holds(low, policy[i]))
            return has | C4_POLICY;
    return has;
}

/* Bytes of what is taken out of a line at s, where [ is: [digits], [edit], [citation needed]. */
static size_t citation(const char *s, const char *end)
{
    uint32_t cp, class;
    if (signals_has(s, s + (end - s < 6 ? end - s : 6), "[edit]"))
        return 6;
    if (end - s >= 17 && !memcmp(s, "[citation needed]", 17))
        return 17;
    for (const char *p = s + 1; p < end;) {
        if (*p == ']')
            return (size_t)(p + 1 - s);
        p += chars_at(p, end, &cp, &class);
        if (!(class & CHAR_DIGIT))
            break;
    }
    return 0;
}

/* The line without its citations in m->line, true where it has some. */
static int drop_citations(struct signals_maker *m, const char *s, const char *end, bool *some, struct err *err)
{
    *some = false;
    buf_clear(&m->line);
    while (s < end) {
        const char *p = memchr(s, '[', (size_t)(end - s));
        const size_t n = p ? citation(p, end) : 0;
        const char *stop = p ? p + !n : end;
        *some = *some || n;
        TRY(buf_add(&m->line, s, (size_t)(stop - s), err));
        s = stop + n;
    }
    return 0;
}

/* Whether a word of a line has more than 1000 characters; *three: it has three words. */
static bool has_long_word(const struct signals_maker *m, const char *s, const char *end, bool *three)
{
    uint32_t cp, class;
    int n_word = 0;
    bool in = false;
    const bool may = end - s > 1000;
    const char *begin = s;
    *three = false;
    while (s < end && !(*three && !may)) {
        int n = 1;
        bool space;
        if ((unsigned char)*s < 0x80) {
            space = chars_class((unsigned char)*s) & CHAR_SPACE;
        } else {
            n = chars_at(s, end, &cp, &class);
            space = class & CHAR_SPACE;
        }
        if (space && in && may && s - begin > 1000 && signals_chars(m, begin, s) > 1000)
            return true;
        if (!space && !in) {
            begin = s;
            *three = ++n_word >= 3;
        }
        in = !space;
        s += n;
    }
    return in && may && s - begin > 1000 && signals_chars(m, begin, s) > 1000;
}

struct c4 { uint32_t line; int found; bool curly, cites; size_t word; };

/* Sentences of a line as it is left: by the words of the text, unless it is not as it was there. */
static int c4_sentences(struct signals_maker *m, struct c4 *c, const char *s, const char *end, bool changed, uint32_t *n, struct err *err)
{
    if (changed || m->english->joined) {
        if (!changed) {
            buf_clear(&m->line);
            TRY(buf_add(&m->line, s, (size_t)(end - s), err));
        }
        TRY(words_of(m->words, WORDS_ENGLISH, m->line.data, m->line.len, &m->line_words, err));
        *n = (uint32_t)words_n_sentences(m->line.data, 0, (uint32_t)m->line.len, m->line_words.at, m->line_words.n);
        return 0;
    }
    const struct span *w = m->english->at;
    const uint32_t from = (uint32_t)(s - m->text), to = (uint32_t)(end - m->text);
    size_t last;
    while (c->word < m->english->n && w[c->word].at < from)
        c->word++;
    for (last = c->word; last < m->english->n && w[last].at < to;)
        last++;
    *n = (uint32_t)words_n_sentences(m->text, from, to, w + c->word, last - c->word);
    c->word = last;
    return 0;
}

static int c4_line(struct signals_maker *m, struct c4 *c, const char *s, const char *end, struct err *err)
{
    struct signals *o = m->out;
    bool three, changed = false;
    s = signals_lstrip(s, end);
    end = signals_rstrip(s, end);
    if (has_long_word(m, s, end, &three) || !three)
        return 0;
    const char *begin = s, *stop = end;
    if (c->cites && memchr(s, '[', (size_t)(end - s))) {
        TRY(drop_citations(m, s, end, &changed, err));
        if (changed)
            begin = m->line.data, stop = begin + m->line.len;
    }
    const bool ended = stop > begin && strchr(".?!\"'", stop[-1]) && stop[-1] && !signals_has(begin, stop, "...");
    int found = 0;
    if (c->found) {
        TRY(signals_low(&m->low, begin, stop, err));
        found = c4_words_in(&m->low);
    }
    if (found & C4_LOREM) {
        o->c4_any_lorem_line = o->c4_any_lorem_line ? o->c4_any_lorem_line : c->line;
        o->c4_lorem_line = o->c4_lorem_line || !ended ? o->c4_lorem_line : c->line;
    }
    if (found & C4_SCRIPT)
        return 0;
    if (c->curly && memchr(begin, '{', (size_t)(stop - begin))) {
        o->c4_any_curly_line = o->c4_any_curly_line ? o->c4_any_curly_line : c->line;
        o->c4_curly_line = o->c4_curly_line || !ended ? o->c4_curly_line : c->line;
    }
    if (found & C4_POLICY)
        return 0;
    uint32_t n = 0;
    TRY(c4_sentences(m, c, s, end, changed, &n, err));
    o->c4_any_sentences += n;
    o->c4_sentences += ended ? n : 0;
    return 0;
}

/* What C4 looks for in lines, in the whole text: nothing in most. */
static int c4_begin(struct signals_maker *m, struct c4 *c, struct err *err)
{
    const size_t n = (size_t)(m->end - m->text);
    *c = (struct c4){ .curly = memchr(m->text, '{', n), .cites = memchr(m->text, '[', n) };
    TRY(signals_low(&m->low, m->text, m->end, err));
    c->found = c4_words_in(&m->low);
    /* A citation between the halves of what is looked for: once it is gone, the line has it. */
    c->found |= c->cites ? C4_LOREM | C4_SCRIPT | C4_POLICY : 0;
    return 0;
}

static int count_split_lines(struct signals_maker *m, struct err *err)
{
    const bool simple = m->ascii && !m->out->control_chars && !memchr(m->text, '\r', (size_t)(m->end - m->text));
    const char *at = m->text, *s, *end;
    struct c4 c;
    TRY(c4_begin(m, &c, err));
    while (split_line(m, &at, simple, &s, &end)) {
        c.line++;
        count_split_line(s, end, m->out);
        TRY(c4_line(m, &c, s, end, err));
    }
    return 0;
}

/* ---- what is said twice ---- */

static int count_repeated(struct signals_maker *m, struct err *err)
{
    struct runs *g = &m->runs;
    struct signals *o = m->out;
    uint32_t *const top[] = { &o->top_2_gram_chars, &o->top_3_gram_chars, &o->top_4_gram_chars };
    uint32_t *const dup[] = { &o->dup_5_gram_chars, &o->dup_6_gram_chars, &o->dup_7_gram_chars, &o->dup_8_gram_chars, &o->dup_9_gram_chars, &o->dup_10_gram_chars };
    TRY(runs_of(g, m->text, m->english, m->ascii, err));
    for (int n = 2; n <= 4 && (size_t)n <= g->n_word; n++) {
        uint32_t times;
        TRY(runs_next(g, err));
        const uint32_t at = runs_top(g, &times);
        *top[n - 2] = signals_cap((uint64_t)times * (run_chars(g, at, n) + (uint32_t)n - 1));
    }
    TRY(runs_dup_begin(g, err));
    for (int n = 5; n <= 10; n++)
        TRY(runs_dup_chars(g, n, dup[n - 5], err));
    return 0;
}

int signals_of(struct signals_maker *m, const char *text, size_t n, const struct spans *words, struct signals *out, struct err *err)
{
    m->text = text;
    m->end = text + n;
    m->english = words;
    m->out = out;
    *out = (struct signals){ 0 };
    count_bytes(m);
    out->ellipses = count_dots(text, m->end);
    if (!m->ascii)
        count_others(m);
    count_words(m);
    TRY(count_lines(m, err));
    TRY(count_paragraphs(m, err));
    TRY(count_split_lines(m, err));
    TRY(count_repeated(m, err));
    return m->groups & SIGNALS_SPACED ? signals_spaced(m, err) : 0;
}
