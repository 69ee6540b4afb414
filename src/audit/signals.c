/* signals.c - what datatrove's filters count, and what nobody wants in a text. */
#include "audit/signals.h"
#include <string.h>
#include "audit/bytes.h"
#include "audit/chars.h"
#include "audit/phrases.h"
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

/* What counts as SET_... */
static void fill_sets(struct text_set set[N_SIGNAL_SET])
{
    static const char *const also[N_SIGNAL_SET] = { "\n", "#", "\177", "\n?!,.", "", "\b\t\n\r ", "()[]{}" };
    memset(set, 0, N_SIGNAL_SET * sizeof *set);
    for (int c = 0; c < 128; c++) {
        const bool digit = c >= '0' && c <= '9', letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        const bool control = c < 32 && c != '\t' && c != '\n' && c != '\r';
        for (int k = 0; k < N_SIGNAL_SET; k++)
            if ((c && strchr(also[k], c)) || (k == SET_CONTROLS && control) || (k == SET_PLAIN && (digit || letter)) || (k == SET_DIGITS && digit))
                set[k].has[c % 16] |= (uint8_t)(1 << c / 16);
    }
}

int signals_new(struct signals_maker **out, int groups, struct err *err)
{
    struct signals_maker *m = *out = mem_alloc_zero(sizeof *m);
    if (!m)
        return ERR(err, NOMEM, "no memory to count what texts have");
    m->groups = groups | (groups & (SIGNALS_DOLMA | SIGNALS_NEMO) ? SIGNALS_SPACED : 0);
    buf_init(&m->line);
    buf_init(&m->low);
    fill_sets(m->set);
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
    spans_release(&m->lines);
    spans_release(&m->spaced);
    buf_release(&m->line);
    buf_release(&m->low);
    mem_free(m);
}

/* ---- parts of the text ---- */

uint32_t signals_cap(uint64_t n) { return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n; }

uint32_t signals_chars(const struct signals_maker *m, const char *s, const char *end)
{
    return m->ascii ? (uint32_t)(end - s) : bytes_chars(s, (size_t)(end - s));
}

struct span signals_span(const struct signals_maker *m, const char *s, const char *end) { return (struct span){ (uint32_t)(s - m->text), (uint32_t)(end - s) }; }

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

/* As split("\n"): behind a last line feed there is one more, empty one. */
static int find_lines(struct signals_maker *m, struct err *err)
{
    const char *s = m->text;
    m->lines.n = 0;
    TRY(spans_reserve(&m->lines, (size_t)m->out->newlines + 1, err));
    for (const char *p; s < m->end && (p = memchr(s, '\n', (size_t)(m->end - s))); s = p + 1)
        TRY(spans_add(&m->lines, (uint32_t)(s - m->text), (uint32_t)(p - s), err));
    return spans_add(&m->lines, (uint32_t)(s - m->text), (uint32_t)(m->end - s), err);
}

/* The next line of str.splitlines(): none behind a last end of line.  Where no other ends of lines than line feeds and carriage returns are
 * in the text, line i is where it is. */
static bool split_line(const struct signals_maker *m, const char **at, size_t *i, const char **begin, const char **line_end)
{
    const char *s = *at, *end = m->end;
    uint32_t cp, class;
    if (s >= end)
        return false;
    *begin = s;
    if (!m->odd_lines) {
        const char *stop = m->text + m->lines.at[*i].at + m->lines.at[*i].n, *r = m->returns ? memchr(s, '\r', (size_t)(stop - s)) : NULL;
        const bool inner = r && r + 1 < stop;
        *line_end = r ? r : stop;
        *at = inner ? r + 1 : stop < end ? stop + 1 : end;
        *i += !inner;
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
    const size_t n = (size_t)(m->end - m->text);
    uint32_t *count = m->count;
    cpu_kernels()->text_counts(n, m->text, m->groups & SIGNALS_NEMO ? N_SIGNAL_SET : SET_PLAIN, m->set, count);
    const uint32_t *beyond = count + (m->groups & SIGNALS_NEMO ? N_SIGNAL_SET : SET_PLAIN);
    m->ascii = !beyond[0];
    m->odd_lines = false;
    m->out->chars = (uint32_t)n - beyond[1];
    m->out->newlines = count[SET_LINES];
    m->out->hashes = count[SET_HASHES];
    m->out->control_chars = count[SET_CONTROLS];
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
    const bool nemo = m->groups & SIGNALS_NEMO;
    uint32_t before = 0, cp, class;
    for (const char *s = m->text; s < m->end; before = cp) {
        if ((unsigned char)*s < 0x80) {
            s += m->end - s >= 8 && !(bytes_8(s) & 0x8080808080808080u) ? 8 : 1;
            cp = 0;
            continue;
        }
        s += chars_at(s, m->end, &cp, &class);
        m->odd_lines = m->odd_lines || (class & CHAR_LINE_END);
        o->control_chars += (class & CHAR_CONTROL) != 0;
        o->invisible_chars += (class & CHAR_INVISIBLE) != 0;
        o->bidi_chars += (class & CHAR_BIDI) != 0;
        o->replacement_chars += cp == 0xfffd;
        o->ellipses += cp == 0x2026;
        o->nemo_paren_chars += nemo && (cp == 0x27e8 || cp == 0x27e9);
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

/* Whether it has a character that is no punctuation. */
static bool count_word(const char *s, const char *end, struct signals *o)
{
    bool alpha = false, word = false;
    uint32_t cp, class;
    for (const char *p = s; p < end && !(alpha && word);) {
        p += chars_at(p, end, &cp, &class);
        alpha = alpha || (class & CHAR_ALPHA);
        word = word || !(class & (CHAR_PUNCTUATION | CHAR_TERMINAL));
    }
    o->alpha_words += alpha;
    return word;
}

static const char *const stop_words[] = { "the", "be", "to", "of", "and", "that", "have", "with" };

/* How many of the stop words there are, and how often all of them. */
void signals_stop_words(const struct runs *g, uint32_t *which, uint32_t *times)
{
    *which = *times = 0;
    for (size_t i = 0; i < sizeof stop_words / sizeof *stop_words; i++) {
        const uint32_t n = runs_times(g, stop_words[i]);
        *which += n > 0;
        *times += n;
    }
}

static void count_words(struct signals_maker *m)
{
    enum { SOME = 256 };
    const struct span *w = m->english->at;
    struct signals *o = m->out;
    uint32_t other[SOME], all, n_word = 0, chars = 0;
    const size_t n = m->english->n;
    o->words = signals_cap(n);
    signals_stop_words(&m->runs, &o->stop_words, &all);
    for (size_t from = 0; from < n; from += SOME) {
        const size_t to = n - from < SOME ? n : from + SOME;
        size_t n_other = 0;                               /* those that do not begin with an ASCII letter */
        for (size_t i = from; i < to; i++) {
            other[n_other] = (uint32_t)i;
            n_other += (unsigned char)((m->text[w[i].at] | 32) - 'a') >= 26;
        }
        o->alpha_words += (uint32_t)(to - from - n_other);
        for (size_t k = 0; k < n_other; k++) {
            const struct span *x = &w[other[k]];
            const bool none = !count_word(m->text + x->at, m->text + x->at + x->n, o);
            n_word += none;
            chars += none ? run_chars(&m->runs, other[k], 1) : 0;
        }
    }
    o->word_like = signals_cap(n - n_word);
    o->word_like_chars = m->runs.character[n] - chars;
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
    uint32_t longest[3] = { 0 }, copied = 0, copied_chars = 0, empty = 0;
    TRY(repeats_clear(&m->repeats, (size_t)o->newlines + 1, err));
    for (size_t i = 0; i < m->lines.n; i++) {
        const struct span line = m->lines.at[i];
        const char *s = m->text + line.at, *end = s + line.n;
        if (!line.n) {
            empty++;
            continue;
        }
        const uint32_t chars = signals_chars(m, s, end), before = repeats_add(&m->repeats, m->text, line);
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

int signals_phrases(struct signals_maker *m, const char *s, const char *end, int *found, struct err *err)
{
    *found = phrases_in(s, (size_t)(end - s));
    if (*found & PHRASE_KELVIN) {
        TRY(signals_low(&m->low, s, end, err));
        *found = phrases_in(m->low.data, m->low.len);
    }
    return 0;
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

/* Whether there is white space at s < end; *n: bytes of the character. */
static bool is_space(const char *s, const char *end, int *n)
{
    uint32_t cp, class;
    *n = chars_at(s, end, &cp, &class);
    return class & CHAR_SPACE;
}

static bool has_three_words(const char *s, const char *end)
{
    struct text_masks mask;
    const size_t some = end - s < 64 ? (size_t)(end - s) : 64;
    if (!some)
        return false;
    cpu_kernels()->text_masks(some, s, &mask);
    const uint64_t all = some < 64 ? ((uint64_t)1 << some) - 1 : UINT64_MAX, begins = ~mask.space & (mask.space << 1 | 1) & all;
    if (!mask.high && (begins & (begins - 1) & ((begins & (begins - 1)) - 1)))     /* three bits */
        return true;
    int n_word = 0, n;
    for (bool in = false; (mask.high || some == 64) && s < end; s += n) {
        const bool space = is_space(s, end, &n);
        if (!space && !in && ++n_word == 3)
            return true;
        in = !space;
    }
    return false;
}

/* Whether there is a space in each run of so many bytes. */
static bool has_spaces(const char *s, const char *end, size_t within)
{
    while ((size_t)(end - s) > within) {
        const char *p = s + within;
        while (p > s && *p != ' ')
            p--;
        if (*p != ' ')
            return false;
        s = p + 1;
    }
    return true;
}

/* Whether a word of a line has more than 1000 characters. */
static bool has_long_word(const struct signals_maker *m, const char *s, const char *end)
{
    const char *begin = s;
    if (has_spaces(s, end, 1000))
        return false;
    for (int n; s < end; s += n)
        if (is_space(s, end, &n)) {
            if (s - begin > 1000 && signals_chars(m, begin, s) > 1000)
                return true;
            begin = s + n;
        }
    return s - begin > 1000 && signals_chars(m, begin, s) > 1000;
}

struct c4 { uint32_t line; bool found, curly, cites; size_t word; };

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
    bool changed = false;
    s = signals_lstrip(s, end);
    end = signals_rstrip(s, end);
    if (!has_three_words(s, end) || has_long_word(m, s, end))
        return 0;
    const char *begin = s, *stop = end;
    if (c->cites && memchr(s, '[', (size_t)(end - s))) {
        TRY(drop_citations(m, s, end, &changed, err));
        if (changed)
            begin = m->line.data, stop = begin + m->line.len;
    }
    const bool ended = stop > begin && strchr(".?!\"'", stop[-1]) && stop[-1] && !signals_has(begin, stop, "...");
    int found = 0;
    if (c->found)
        TRY(signals_phrases(m, begin, stop, &found, err));
    if (found & PHRASE_LOREM) {
        o->c4_any_lorem_line = o->c4_any_lorem_line ? o->c4_any_lorem_line : c->line;
        o->c4_lorem_line = o->c4_lorem_line || !ended ? o->c4_lorem_line : c->line;
    }
    if (found & PHRASE_SCRIPT)
        return 0;
    if (c->curly && memchr(begin, '{', (size_t)(stop - begin))) {
        o->c4_any_curly_line = o->c4_any_curly_line ? o->c4_any_curly_line : c->line;
        o->c4_curly_line = o->c4_curly_line || !ended ? o->c4_curly_line : c->line;
    }
    if (found & PHRASE_C4_POLICY)
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
    TRY(signals_phrases(m, m->text, m->end, &m->phrases, err));
    /* A citation between the halves of what is looked for: once it is gone, the line has it. */
    c->found = m->phrases || c->cites;
    return 0;
}

static int count_split_lines(struct signals_maker *m, struct err *err)
{
    const char *at = m->text, *s, *end;
    size_t i = 0;
    struct c4 c;
    TRY(c4_begin(m, &c, err));
    while (split_line(m, &at, &i, &s, &end)) {
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
    TRY(runs_of(&m->runs, text, words, m->ascii, err));
    count_words(m);
    m->odd_lines = m->odd_lines || out->control_chars;
    m->returns = memchr(text, '\r', n);
    TRY(find_lines(m, err));
    TRY(count_lines(m, err));
    TRY(count_paragraphs(m, err));
    TRY(count_split_lines(m, err));
    TRY(count_repeated(m, err));
    return m->groups & SIGNALS_SPACED ? signals_spaced(m, err) : 0;
}
