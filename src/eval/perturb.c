#include "eval/perturb.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"
#include "eval/misspellings.h"
#include "model/unicode.h"

/* Bytes [begin, end) are a place; [mid, mid_end) is the gap in a pair of words. */
struct place { size_t begin, end, mid, mid_end; double draw; };
struct places { struct place *p; size_t n, cap; };
struct text { const char *s; size_t n; const uint8_t *free; const struct misspellings *misspellings; };

/* ---- what a text is made of ---- */

static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
static bool is_letter(char c) { return is_lower(c) || is_upper(c); }
static bool is_blank(char c) { return c == ' ' || c == '\t'; }
static char small(char c) { return is_upper(c) ? (char)(c + 32) : c; }

/* Letters of any script, marks, and an apostrophe between letters. */
static size_t word_end(const struct text *t, size_t at)
{
    size_t end = at;
    while (at < t->n) {
        size_t len;
        const uint32_t set = unicode_set_at((const unsigned char *)t->s + at, t->n - at, &len);
        if (set & (IS_L | IS_M))
            end = at + len;
        else if (!(t->s[at] == '\'' && end == at && at + 1 < t->n && is_letter(t->s[at + 1])))
            break;
        at += len;
    }
    return end;
}

static size_t next_char(const struct text *t, size_t at)
{
    size_t len;
    unicode_at((const unsigned char *)t->s + at, t->n - at, &len);
    return at + len;
}

/* The next word from `at` on: its begin, or n. */
static size_t next_word(const struct text *t, size_t at, size_t *end)
{
    for (; at < t->n; at = next_char(t, at)) {
        *end = t->s[at] == '\'' ? at : word_end(t, at);
        if (*end > at)
            return at;
    }
    return t->n;
}

static bool may_change(const struct text *t, size_t begin, size_t end)
{
    return !t->free || !memchr(t->free + begin, 0, end - begin);
}

static int add(struct places *l, const struct text *t, struct place p, struct err *err)
{
    if (!may_change(t, p.begin, p.end))
        return 0;
    if (l->n == l->cap) {
        const size_t cap = l->cap ? 2 * l->cap : 64;
        struct place *bigger = mem_realloc_array(l->p, cap, sizeof *bigger);
        if (!bigger)
            return ERR(err, NOMEM, "no memory for %zu places of a text", cap);
        l->p = bigger, l->cap = cap;
    }
    l->p[l->n++] = p;
    return 0;
}

/* ---- places ---- */

static size_t n_letters(const struct text *t, size_t begin, size_t end)
{
    size_t n = 0;
    for (size_t i = begin; i < end; i++)
        n += is_letter(t->s[i]);
    return n;
}

static bool any_upper(const struct text *t, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        if (is_upper(t->s[i]))
            return true;
    return false;
}

static bool any_lower(const struct text *t, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        if (is_lower(t->s[i]))
            return true;
    return false;
}

static bool has_letter(const struct text *t, size_t begin, size_t end) { return n_letters(t, begin, end) > 0; }
/* Of at least four letters, as nlpaug's. */
static bool is_long(const struct text *t, size_t begin, size_t end) { return n_letters(t, begin, end) >= 4; }

static bool is_misspelt(const struct text *t, size_t begin, size_t end)
{
    return misspellings_of(t->misspellings, t->s + begin, end - begin, NULL) > 0;
}

static int words_that(struct places *l, const struct text *t, bool (*wanted)(const struct text *t, size_t begin, size_t end), struct err *err)
{
    for (size_t end = 0, at; (at = next_word(t, end, &end)) < t->n;)
        if (wanted(t, at, end))
            TRY(add(l, t, (struct place){ .begin = at, .end = end }, err));
    return 0;
}

static int long_words(struct places *l, const struct text *t, struct err *err) { return words_that(l, t, is_long, err); }
static int plain_words(struct places *l, const struct text *t, struct err *err) { return words_that(l, t, has_letter, err); }
static int capital_words(struct places *l, const struct text *t, struct err *err) { return words_that(l, t, any_upper, err); }
static int small_words(struct places *l, const struct text *t, struct err *err) { return words_that(l, t, any_lower, err); }
static int misspelt_words(struct places *l, const struct text *t, struct err *err) { return words_that(l, t, is_misspelt, err); }

/* The blanks of one line between what is not blank. */
static int gaps(struct places *l, const struct text *t, struct err *err)
{
    for (size_t at = 1; at < t->n; at++) {
        if (!is_blank(t->s[at]) || is_blank(t->s[at - 1]) || t->s[at - 1] == '\n')
            continue;
        size_t end = at;
        while (end < t->n && is_blank(t->s[end]))
            end++;
        if (end < t->n && t->s[end] != '\n' && t->s[end] != '\r')
            TRY(add(l, t, (struct place){ .begin = at, .end = end }, err));
    }
    return 0;
}

static int marks(struct places *l, const struct text *t, struct err *err)
{
    for (size_t at = 0; at < t->n; at++)
        if (strchr(".,;:!?\"'()-", t->s[at]) && t->s[at])
            TRY(add(l, t, (struct place){ .begin = at, .end = at + 1 }, err));
    return 0;
}

/* A word with the blanks behind it, or those before it where it ends a line. */
static int words_and_gaps(struct places *l, const struct text *t, struct err *err)
{
    for (size_t end = 0, at; (at = next_word(t, end, &end)) < t->n;) {
        size_t to = end;
        while (to < t->n && is_blank(t->s[to]))
            to++;
        TRY(add(l, t, (struct place){ .begin = at, .end = to }, err));
    }
    return 0;
}

/* Words 1 and 2, 3 and 4, ... of those that only blanks part. */
static int pairs(struct places *l, const struct text *t, struct err *err)
{
    for (size_t end = 0, at; (at = next_word(t, end, &end)) < t->n;) {
        size_t second = end, to;
        while (second < t->n && is_blank(t->s[second]))
            second++;
        if (second == end || second == t->n || t->s[second] == '\'' || (to = word_end(t, second)) == second)
            continue;
        TRY(add(l, t, (struct place){ at, to, end, second, 0 }, err));
        end = to;
    }
    return 0;
}

static const char *const contracted[][2] = {
    { "are not", "aren't" }, { "cannot", "can't" }, { "could not", "couldn't" }, { "did not", "didn't" }, { "do not", "don't" }, { "does not", "doesn't" },
    { "had not", "hadn't" }, { "has not", "hasn't" }, { "have not", "haven't" }, { "he is", "he's" }, { "how is", "how's" }, { "I am", "I'm" },
    { "I had", "I'd" }, { "I have", "I've" }, { "I will", "I'll" }, { "I would", "I'd" }, { "is not", "isn't" }, { "it is", "it's" }, { "it will", "it'll" },
    { "let us", "let's" }, { "she is", "she's" }, { "should not", "shouldn't" }, { "that is", "that's" }, { "there is", "there's" }, { "they are", "they're" },
    { "they have", "they've" }, { "they will", "they'll" }, { "was not", "wasn't" }, { "we are", "we're" }, { "we have", "we've" }, { "we will", "we'll" },
    { "were not", "weren't" }, { "what is", "what's" }, { "where is", "where's" }, { "who is", "who's" }, { "will not", "won't" }, { "would not", "wouldn't" },
    { "you are", "you're" }, { "you have", "you've" }, { "you will", "you'll" },
};

/* The row whose long form stands at `at` as whole words, but for the first letter's case; -1 for none. */
static int contraction_at(const struct text *t, size_t at)
{
    for (int i = 0; i < (int)(sizeof contracted / sizeof *contracted); i++) {
        const char *from = contracted[i][0];
        const size_t n = strlen(from);
        if (n > t->n - at || small(t->s[at]) != small(*from) || memcmp(t->s + at + 1, from + 1, n - 1))
            continue;
        if (at + n == t->n || word_end(t, at + n) == at + n)
            return i;
    }
    return -1;
}

static int contractions(struct places *l, const struct text *t, struct err *err)
{
    for (size_t end = 0, at; (at = next_word(t, end, &end)) < t->n;) {
        const int i = contraction_at(t, at);
        if (i < 0)
            continue;
        end = at + strlen(contracted[i][0]);
        TRY(add(l, t, (struct place){ .begin = at, .end = end }, err));
    }
    return 0;
}

/* ---- changes ---- */

struct change { const struct text *t; struct place at; uint64_t key; struct buf *out; };
/* The i-th number of this place, below n. */
static size_t pick(const struct change *c, uint64_t i, size_t n) { return (size_t)rng_below(c->key, c->at.begin * 4 + i, n); }
static int copy(const struct change *c, size_t begin, size_t end, struct err *err) { return buf_add(c->out, c->t->s + begin, end - begin, err); }

/* The place of the k-th letter. */
static size_t letter(const struct change *c, size_t k)
{
    for (size_t i = c->at.begin;; i++)
        if (is_letter(c->t->s[i]) && !k--)
            return i;
}

static int put(const struct change *c, size_t at, size_t skip, const char *s, size_t n, struct err *err)
{
    TRY(copy(c, c->at.begin, at, err));
    TRY(buf_add(c->out, s, n, err));
    return copy(c, at + skip, c->at.end, err);
}

static int nothing(const struct change *c, struct err *err) { (void)c, (void)err; return 0; }

static int hit_neighbour(const struct change *c, struct err *err)
{
    /* Keys that touch a letter's on the US layout. */
    static const char *const beside[26] = {
        "qwsz", "vghn", "xdfv", "serfcx", "wsdr", "drtgvc", "ftyhbv", "gyujnb", "ujko", "huikmn", "jiolm", "kop", "njk",
        "bhjm", "iklp", "ol", "wa", "edft", "awedxz", "rfgy", "yhji", "cfgb", "qase", "zsdc", "tghu", "asx",
    };
    const size_t at = letter(c, pick(c, 0, n_letters(c->t, c->at.begin, c->at.end)));
    const char was = c->t->s[at], *keys = beside[small(was) - 'a'];
    const char key = keys[pick(c, 1, strlen(keys))], now = is_upper(was) ? (char)(key - 32) : key;
    return put(c, at, 1, &now, 1, err);
}

/* The first two letters from a drawn one on, round the word, that stand side by side and differ; a word without such is kept. */
static int swap_letters(const struct change *c, struct err *err)
{
    const size_t n = c->at.end - c->at.begin - 1, first = pick(c, 0, n);
    for (size_t k = 0; k < n; k++) {
        const size_t at = c->at.begin + (first + k) % n;
        const char two[2] = { c->t->s[at + 1], c->t->s[at] };
        if (is_letter(two[0]) && is_letter(two[1]) && two[0] != two[1])
            return put(c, at, 2, two, 2, err);
    }
    return copy(c, c->at.begin, c->at.end, err);
}

static int drop_letter(const struct change *c, struct err *err)
{
    return put(c, letter(c, pick(c, 0, n_letters(c->t, c->at.begin, c->at.end))), 1, "", 0, err);
}

static int double_letter(const struct change *c, struct err *err)
{
    const size_t at = letter(c, pick(c, 0, n_letters(c->t, c->at.begin, c->at.end)));
    return put(c, at, 0, c->t->s + at, 1, err);
}

/* Wrong spellings are small; the first letter keeps its case. */
static int misspell(const struct change *c, struct err *err)
{
    const char *s;
    const size_t n = misspellings_of(c->t->misspellings, c->t->s + c->at.begin, c->at.end - c->at.begin, &s);
    for (size_t i = pick(c, 0, n); i; i--)
        s += strlen(s) + 1;
    const char first = is_upper(c->t->s[c->at.begin]) && is_lower(*s) ? (char)(*s - 32) : *s;
    TRY(buf_add_char(c->out, first, err));
    return buf_add_str(c->out, s + 1, err);
}

static int look_alike(const struct change *c, struct err *err)
{
    /* Letters whose likeness is near perfect in common fonts (Unicode TR 39, confusables). */
    static const struct { char from; const char *to; } like[] = {
        { 'a', "\u0430" }, { 'c', "\u0441" }, { 'e', "\u0435" }, { 'i', "\u0456" }, { 'j', "\u0458" }, { 'o', "\u043e" }, { 'p', "\u0440" },
        { 's', "\u0455" }, { 'x', "\u0445" }, { 'y', "\u0443" }, { 'h', "\u04bb" }, { 'A', "\u0410" }, { 'B', "\u0412" }, { 'C', "\u0421" },
        { 'E', "\u0415" }, { 'H', "\u041d" }, { 'I', "\u0406" }, { 'J', "\u0408" }, { 'K', "\u041a" }, { 'M', "\u041c" }, { 'N', "\u039d" },
        { 'O', "\u041e" }, { 'P', "\u0420" }, { 'S', "\u0405" }, { 'T', "\u0422" }, { 'X', "\u0425" }, { 'Y', "\u03a5" }, { 'Z', "\u0396" },
    };
    const size_t n = c->at.end - c->at.begin, first = pick(c, 0, n);
    for (size_t k = 0; k < n; k++) {
        const size_t at = c->at.begin + (first + k) % n;
        for (size_t i = 0; i < sizeof like / sizeof *like; i++)
            if (like[i].from == c->t->s[at])
                return put(c, at, 1, like[i].to, strlen(like[i].to), err);
    }
    return copy(c, c->at.begin, c->at.end, err);
}

static int lower_word(const struct change *c, struct err *err)
{
    return unicode_lower(c->t->s + c->at.begin, c->at.end - c->at.begin, c->out, err);
}

static int upper_word(const struct change *c, struct err *err)
{
    const size_t was = c->out->len;
    TRY(copy(c, c->at.begin, c->at.end, err));
    for (size_t i = was; i < c->out->len; i++)
        if (is_lower(c->out->data[i]))
            c->out->data[i] = (char)(c->out->data[i] - 32);
    return 0;
}

static int widen(const struct change *c, struct err *err) { return buf_add(c->out, "   ", 2 + pick(c, 0, 2), err); }

static int contract(const struct change *c, struct err *err)
{
    const char *to = contracted[contraction_at(c->t, c->at.begin)][1];
    TRY(buf_add_char(c->out, *to == 'I' ? 'I' : c->t->s[c->at.begin], err));
    return buf_add_str(c->out, to + 1, err);
}

static int fill(const struct change *c, struct err *err)
{
    static const char *const filler[] = { "um", "uh", "well", "like", "you know", "actually", "basically", "I mean" };
    TRY(copy(c, c->at.begin, c->at.end, err));
    TRY(buf_add_str(c->out, filler[pick(c, 0, sizeof filler / sizeof *filler)], err));
    return buf_add_char(c->out, ' ', err);
}

static int swap_words(const struct change *c, struct err *err)
{
    TRY(copy(c, c->at.mid_end, c->at.end, err));
    TRY(copy(c, c->at.mid, c->at.mid_end, err));
    return copy(c, c->at.begin, c->at.mid, err);
}

/* ---- the families ---- */

static const struct {
    const char *name, *what;
    int (*find)(struct places *l, const struct text *t, struct err *err);
    int (*change)(const struct change *c, struct err *err);
} family[] = {
#define PERTURB(name, word, find, change, what) { word, what, find, change },
#include "eval/perturb.def"
#undef PERTURB
};

double perturb_share(int strength)
{
    static const double share[PERTURB_STRENGTHS] = { .02, .05, .1, .2, .4 };
    return share[strength - 1];
}

const char *perturb_name(enum perturb_family f) { return family[f].name; }
const char *perturb_what(enum perturb_family f) { return family[f].what; }

int perturb_find(const char *name)
{
    for (int f = 0; f < N_PERTURB_FAMILY; f++)
        if (!strcmp(family[f].name, name))
            return f;
    return -1;
}

static int by_draw(const void *a, const void *b)
{
    const struct place *p = a, *q = b;
    return p->draw < q->draw ? -1 : p->draw > q->draw ? 1 : p->begin < q->begin ? -1 : p->begin > q->begin;
}

static int by_begin(const void *a, const void *b)
{
    const struct place *p = a, *q = b;
    return p->begin < q->begin ? -1 : p->begin > q->begin;
}

/* The places of the smallest draws, as many as the strength has, in the order of the text. */
static size_t choose(struct places *l, int strength, uint64_t key)
{
    if (!l->n)
        return 0;
    for (size_t i = 0; i < l->n; i++)
        l->p[i].draw = rng_uniform(key, l->p[i].begin * 4 + 3);
    qsort(l->p, l->n, sizeof *l->p, by_draw);
    const size_t n = (size_t)lrint(perturb_share(strength) * (double)l->n), chosen = n ? n : 1;
    qsort(l->p, chosen, sizeof *l->p, by_begin);
    return chosen;
}

static int write_changed(const struct text *t, const struct places *l, size_t chosen, enum perturb_family f, uint64_t key, struct buf *out, struct err *err)
{
    size_t done = 0;
    for (size_t i = 0; i < chosen; i++) {
        TRY(buf_add(out, t->s + done, l->p[i].begin - done, err));
        const struct change c = { t, l->p[i], key, out };
        TRY(family[f].change(&c, err));
        done = l->p[i].end;
    }
    return buf_add(out, t->s + done, t->n - done, err);
}

int perturb_text(const struct perturb *p, int64_t item, const char *text, size_t n, const uint8_t *free_bytes, struct buf *out, struct perturbed *done,
                 struct err *err)
{
    const struct text t = { text, n, free_bytes, p->misspellings };
    struct places l = { 0 };
    const size_t was = out->len;
    const uint64_t key = rng_u64(rng_key(p->seed, family[p->family].name), (uint64_t)item);
    int rc = family[p->family].find(&l, &t, err);
    if (!rc) {
        *done = (struct perturbed){ l.n, choose(&l, p->strength, key) };
        rc = write_changed(&t, &l, done->n_touched, p->family, key, out, err);
    }
    mem_free(l.p);
    if (rc)
        out->len = was, out->data[was] = 0;
    return rc;
}
