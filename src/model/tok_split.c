/* tok_split.c - matchers for the well-known split expressions, and PCRE2 for the others.
 *
 * The expressions come in three families, each written once with what differs as a parameter:
 *   words   GPT-2:    's|'t|...| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   lines   cl100k:   (?i:'s|...)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *   cases   o200k:    like lines, and a word ends before an upper-case letter that follows a lower-case one
 * and DeepSeek's.  In all of them a run of white space gives its last character to what follows. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/tok_split.h"
#include <pcre2.h>
#include <string.h>
#include "base/mem.h"
#include "model/unicode.h"

#define LETTERS IS_L
#define NUMBERS IS_N
#define SPACES IS_SPACE

static uint32_t set_at(const unsigned char *s, size_t n, size_t *len) { return unicode_set_at(s, n, len); }

/* Bytes of the run of characters in (or, with not, outside of) a set. */
static size_t run_of(uint32_t set, const unsigned char *s, size_t n)
{
    size_t at = 0, len;
    while (at < n && set_at(s + at, n - at, &len) & set)
        at += len;
    return at;
}

/* ---- shared alternatives ---- */

/* \s+(?!\S)|\s+ after every other alternative failed; with newlines, \s*[\r\n]+ before them. */
enum newline { NO_LINES, LINES, LINES_AFTER_END };      /* AFTER_END: \s++$ goes first (tiktoken's cl100k) */
static size_t spaces(const unsigned char *s, size_t n, enum newline newline)
{
    size_t at = 0, len, last = 0, line = 0;             /* where the run's last character begins; end of its last newline */
    while (at < n && set_at(s + at, n - at, &len) & SPACES) {
        last = at, at += len;
        if (s[at - 1] == '\n' || s[at - 1] == '\r')
            line = at;
    }
    if (!at || (newline == LINES_AFTER_END && at == n))
        return at;
    if (newline != NO_LINES && line)
        return line;
    return at == n || !last ? at : last;
}

/* U+017F folds to s, U+212A to k (not in any contraction). */
static size_t folded_s(const unsigned char *s, size_t n) { return n >= 1 && (s[0] | 32) == 's' ? 1 : n >= 2 && s[0] == 0xc5 && s[1] == 0xbf ? 2 : 0; }

/* 's 't 're 've 'm 'll 'd, in any case if fold. */
static size_t contraction(const unsigned char *s, size_t n, bool fold)
{
    if (n < 2 || s[0] != '\'')
        return 0;
    const int lower = fold ? 32 : 0;
    const int a = s[1] | lower, b = n > 2 ? s[2] | lower : 0;
    if (a == 't' || a == 'm' || a == 'd' || a == 's')
        return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
        return 3;
    const size_t long_s = fold ? folded_s(s + 1, n - 1) : 0;
    return long_s ? 1 + long_s : 0;
}

static size_t numbers(const unsigned char *s, size_t n, int most)
{
    size_t at = 0, len;
    for (int k = 0; at < n && (!most || k < most) && set_at(s + at, n - at, &len) & NUMBERS; k++)
        at += len;
    return at;
}

static size_t tail_of(const char *chars, const unsigned char *s, size_t n)
{
    size_t at = 0;
    while (at < n && s[at] && strchr(chars, s[at]))
        at++;
    return at;
}

/* ---- the families ---- */

size_t tok_match_gpt2(const unsigned char *s, size_t n)
{
    size_t len = contraction(s, n, false);
    if (len)
        return len;
    const size_t blank = s[0] == ' ' && n > 1;
    const uint32_t set = set_at(s + blank, n - blank, &len);
    if (set & SPACES)
        return spaces(s, n, NO_LINES);
    const uint32_t run = set & LETTERS ? LETTERS : set & NUMBERS ? NUMBERS : ~(LETTERS | NUMBERS | SPACES);
    return blank + len + run_of(run, s + blank + len, n - blank - len);
}

struct lines { bool contractions; uint32_t letters; int numbers; const char *tail; uint32_t no_punctuation; enum newline newline; };

static size_t match_lines(const unsigned char *s, size_t n, const struct lines *f)
{
    size_t len = 0;
    if (s[0] == '\'' && f->contractions && (len = contraction(s, n, true)))
        return len;
    const uint32_t set = set_at(s, n, &len);
    if (set & f->letters)
        return len + run_of(f->letters, s + len, n - len);
    if (set & NUMBERS)
        return numbers(s, n, f->numbers);
    if (s[0] != '\r' && s[0] != '\n') {                  /* one character of another kind before the letters */
        const size_t run = run_of(f->letters, s + len, n - len);
        if (run)
            return len + run;
    }
    const size_t blank = s[0] == ' ';
    const uint32_t none = SPACES | NUMBERS | f->no_punctuation;
    const size_t run = run_of(~none, s + blank, n - blank);
    if (run)
        return blank + run + tail_of(f->tail, s + blank + run, n - blank - run);
    return spaces(s, n, f->newline);
}

#define UPPER (IS(CAT_LU) | IS(CAT_LT) | IS(CAT_LM) | IS(CAT_LO) | IS_M)
#define LOWER (IS(CAT_LL) | IS(CAT_LM) | IS(CAT_LO) | IS_M)

/* UPPER*LOWER+ with its backtracking; 0: no match. */
static size_t upper_then_lower(const unsigned char *s, size_t n)
{
    size_t at = 0, len, both = 0;                       /* both: end of the last character that is UPPER and LOWER */
    for (uint32_t set; at < n && (set = set_at(s + at, n - at, &len)) & UPPER; at += len)
        if (set & LOWER)
            both = at + len;
    const size_t lower = run_of(LOWER, s + at, n - at);
    return lower ? at + lower : both;
}

static size_t case_word(const unsigned char *s, size_t n)
{
    size_t len;
    const uint32_t set = set_at(s, n, &len);
    const bool prefix = !(set & (LETTERS | NUMBERS)) && s[0] != '\r' && s[0] != '\n' && len < n;
    size_t word = prefix ? upper_then_lower(s + len, n - len) : 0;
    if (word)
        return len + word;
    if ((word = upper_then_lower(s, n)))
        return word;
    const size_t from = prefix ? len : 0;
    if (from && (word = run_of(UPPER, s + from, n - from)))
        return from + word + run_of(LOWER, s + from + word, n - from - word);
    return (word = run_of(UPPER, s, n)) ? word + run_of(LOWER, s + word, n - word) : 0;
}

struct cases { bool contractions; int numbers; };

static size_t match_cases(const unsigned char *s, size_t n, const struct cases *f)
{
    const size_t word = case_word(s, n);
    if (word)
        return word + (f->contractions ? contraction(s + word, n - word, true) : 0);
    const size_t digits = numbers(s, n, f->numbers);
    if (digits)
        return digits;
    const size_t blank = s[0] == ' ';
    const size_t run = run_of(~(SPACES | LETTERS | NUMBERS), s + blank, n - blank);
    if (run)
        return blank + run + tail_of("\r\n/", s + blank + run, n - blank - run);
    return spaces(s, n, LINES);
}

static bool ascii_punctuation(unsigned char c) { return (c > 32 && c < 48) || (c > 57 && c < 65) || (c > 90 && c < 97) || (c > 122 && c < 127); }

/* [!-/:-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t match_deepseek(const unsigned char *s, size_t n)
{
    size_t len, at = 1;
    while (at < n && (s[at] | 32) >= 'a' && (s[at] | 32) <= 'z')
        at++;
    if (at > 1 && ascii_punctuation(s[0]))
        return at;
    const uint32_t word = LETTERS | IS_M, set = set_at(s, n, &len);
    if (set & word)
        return len + run_of(word, s + len, n - len);
    if (!(set & (IS_P | IS_S)) && s[0] != '\r' && s[0] != '\n' && (at = run_of(word, s + len, n - len)))
        return len + at;
    const size_t blank = s[0] == ' ', run = run_of(IS_P | IS_S, s + blank, n - blank);
    if (run)
        return blank + run + tail_of("\r\n", s + blank + run, n - blank - run);
    return spaces(s, n, LINES);
}

/* [U+4E00-U+9FA5 U+3040-U+30FF]+ */
static size_t match_cjk(const unsigned char *s, size_t n)
{
    size_t at = 0, len;
    while (at < n && s[at] >= 0xe3) {
        const uint32_t cp = unicode_at(s + at, n - at, &len);
        if (!(cp >= 0x4e00 && cp <= 0x9fa5) && !(cp >= 0x3040 && cp <= 0x30ff))
            break;
        at += len;
    }
    return at;
}

#define MATCH_LINES(name, ...) static size_t name(const unsigned char *s, size_t n) { static const struct lines f = { __VA_ARGS__ }; return match_lines(s, n, &f); }
#define MATCH_CASES(name, ...) static size_t name(const unsigned char *s, size_t n) { static const struct cases f = { __VA_ARGS__ }; return match_cases(s, n, &f); }
MATCH_LINES(match_cl100k, true, LETTERS, 3, "\r\n", LETTERS, LINES_AFTER_END)
MATCH_LINES(match_llama3, true, LETTERS, 3, "\r\n", LETTERS, LINES)
MATCH_LINES(match_qwen2, true, LETTERS, 1, "\r\n", LETTERS, LINES)
MATCH_LINES(match_numbers_whole, true, LETTERS, 0, "\r\n", LETTERS, LINES)
MATCH_LINES(match_qwen35, true, LETTERS | IS_M, 1, "\r\n", LETTERS | IS_M, LINES)
MATCH_LINES(match_no_contractions, false, LETTERS, 1, "\r\n", LETTERS, LINES)
MATCH_CASES(match_o200k, true, 3)
MATCH_CASES(match_tekken, false, 1)
static size_t match_number(const unsigned char *s, size_t n) { return numbers(s, n, 1); }
static size_t match_3_numbers(const unsigned char *s, size_t n) { return numbers(s, n, 3); }
static size_t match_all_numbers(const unsigned char *s, size_t n) { return numbers(s, n, 0); }
static size_t match_3_digits(const unsigned char *s, size_t n)
{
    for (size_t i = 0; i < 3; i++)
        if (i >= n || s[i] < '0' || s[i] > '9')
            return 0;
    return 3;
}

#define FOLD "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPELT "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define ENDS "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define OTHERS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define UP "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOW "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define WORD1 "[^\\r\\n\\p{L}\\p{N}]?" UP "*" LOW "+"
#define WORD2 "[^\\r\\n\\p{L}\\p{N}]?" UP "+" LOW "*"

static const struct known { const char *pattern; tok_match_fn *fn; } known[] = {
    { "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", tok_match_gpt2 },
    { "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)", tok_match_gpt2 },
    { "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", tok_match_gpt2 },
    { "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s", tok_match_gpt2 },
    { FOLD "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" OTHERS ENDS, match_llama3 },
    { "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+", match_llama3 },
    { "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s", match_cl100k },
    { FOLD "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" OTHERS ENDS, match_qwen2 },
    { "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+", match_qwen2 },
    { FOLD "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}+" OTHERS ENDS, match_numbers_whole },
    { FOLD "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" ENDS, match_qwen35 },
    { "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" OTHERS ENDS, match_no_contractions },
    { WORD1 FOLD "?|" WORD2 FOLD "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" ENDS, match_o200k },
    { WORD1 "|" WORD2 "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" ENDS, match_tekken },
    { "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+", match_deepseek },
    { "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+", match_cjk },
    { "\\p{N}", match_number },
    { "\\p{N}{1,3}", match_3_numbers },
    { "\\p{N}+", match_all_numbers },
    { "[0-9][0-9][0-9]", match_3_digits },
};
#define N_KNOWN (sizeof known / sizeof *known)

size_t tok_patterns(const char *const **patterns)
{
    static const char *list[N_KNOWN];
    for (size_t i = 0; i < N_KNOWN; i++)
        list[i] = known[i].pattern;
    *patterns = list;
    return N_KNOWN;
}

/* ---- a split ---- */

/* numbers: a match begins with a character of \p{N}. */
struct tok_split { tok_match_fn *fn; bool numbers; pcre2_code *code; pcre2_match_context *limits; char *name, *pattern; };

/* Backtracking steps and memory (KiB) of one match. */
#define MATCH_LIMIT 10000000
#define HEAP_LIMIT 65536
#define PATTERN_MAX 65536

void tok_split_free(struct tok_split *s)
{
    if (!s)
        return;
    pcre2_code_free(s->code);
    pcre2_match_context_free(s->limits);
    mem_free(s->name);
    mem_free(s->pattern);
    mem_free(s);
}

bool tok_split_by_hand(const struct tok_split *s) { return s->fn; }

int tok_split_new_pcre(struct tok_split **out, const char *pattern, size_t n, const char *name, struct err *err)
{
    int code, rc = 0;
    PCRE2_SIZE at;
    *out = NULL;
    if (n > PATTERN_MAX)
        return ERR(err, RANGE, "%s: a split pattern of %zu bytes, expected at most %d", name, n, PATTERN_MAX);
    struct tok_split *s = mem_alloc_zero(sizeof *s);
    if (!s || !(s->name = mem_strdup(name)) || !(s->limits = pcre2_match_context_create(NULL))) {
        tok_split_free(s);
        return ERR(err, NOMEM, "%s: no memory for a split pattern", name);
    }
    pcre2_set_match_limit(s->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(s->limits, HEAP_LIMIT);
    s->code = pcre2_compile((PCRE2_SPTR)pattern, n, PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!s->code) {
        char says[120];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)says, sizeof says);
        rc = ERR(err, UNSUPPORTED, "%s: split pattern '%.200s': %s at byte %zu", name, pattern, says, (size_t)at);
        tok_split_free(s);
        return rc;
    }
    pcre2_jit_compile(s->code, PCRE2_JIT_COMPLETE);      /* without it, only slower */
    *out = s;
    return 0;
}

/* Expressions of the maker's engine (a class inside of a class) and PCRE2's form of them. */
static const char *const respelt[][2] = {
    { " ?[^(\\s|[.,!?\xe2\x80\xa6\xe3\x80\x82\xef\xbc\x8c\xe3\x80\x81\xe0\xa5\xa4\xdb\x94\xd8\x8c])]+", " ?[^(\\s|.,!?\xe2\x80\xa6\xe3\x80\x82\xef\xbc\x8c\xe3\x80\x81\xe0\xa5\xa4\xdb\x94\xd8\x8c)]+" },      /* BLOOM */
};

static int make_split(struct tok_split **out, const char *pattern, size_t n, const char *name, struct err *err)
{
    for (size_t i = 0; i < sizeof respelt / sizeof *respelt; i++)
        if (strlen(respelt[i][0]) == n && !memcmp(respelt[i][0], pattern, n))
            pattern = respelt[i][1], n = strlen(pattern);
    char spelt[1024] = "";                              /* '[sS]|... is how some write (?i:'s|...) */
    size_t len = 0;
    for (size_t i = 0; i < n && len + 1 < sizeof spelt;)
        if (n - i >= sizeof SPELT - 1 && !memcmp(pattern + i, SPELT, sizeof SPELT - 1) && len + sizeof FOLD < sizeof spelt) {
            memcpy(spelt + len, FOLD, sizeof FOLD - 1);
            len += sizeof FOLD - 1, i += sizeof SPELT - 1;
        } else {
            spelt[len++] = pattern[i++];
        }
    for (size_t i = 0; i < N_KNOWN; i++)
        if (strlen(known[i].pattern) == len && !memcmp(known[i].pattern, spelt, len)) {
            if (!(*out = mem_alloc_zero(sizeof **out)))
                return ERR(err, NOMEM, "%s: no memory for a split pattern", name);
            (*out)->fn = known[i].fn;
            (*out)->numbers = known[i].fn == match_number || known[i].fn == match_3_numbers || known[i].fn == match_all_numbers || known[i].fn == match_3_digits;
            return 0;
        }
    return tok_split_new_pcre(out, pattern, n, name, err);
}

int tok_split_new(struct tok_split **out, const char *pattern, size_t n, const char *name, struct err *err)
{
    *out = NULL;
    TRY(make_split(out, pattern, n, name, err));
    if (((*out)->pattern = mem_alloc(n + 1))) {
        memcpy((*out)->pattern, pattern, n);
        (*out)->pattern[n] = 0;
        return 0;
    }
    tok_split_free(*out);
    *out = NULL;
    return ERR(err, NOMEM, "%s: no memory for a split pattern", name);
}

const char *tok_split_pattern(const struct tok_split *s) { return s->pattern; }

int tok_split_gpt2(struct tok_split **out, const char *name, struct err *err) { return tok_split_new(out, known[0].pattern, strlen(known[0].pattern), name, err); }
bool tok_split_is_ascii(const struct tok_split *s) { return s->fn == match_3_digits; }

/* ---- a search ---- */

int tok_cut_begin(struct tok_cut *c, const struct tok_split *split, const char *s, size_t n, struct err *err)
{
    *c = (struct tok_cut){ .split = split, .s = (const unsigned char *)s, .n = n, .found = SIZE_MAX };
    if (!split->fn && !(c->match = pcre2_match_data_create(1, NULL)))
        return ERR(err, NOMEM, "no memory to split a text");
    return 0;
}

void tok_cut_end(struct tok_cut *c)
{
    pcre2_match_data_free(c->match);
    c->match = NULL;
}

/* Where numbers are looked for: past ASCII that is none, most of a text. */
static size_t past_others(const struct tok_cut *c)
{
    size_t i = c->found;
    while (c->split->numbers && i < c->n && c->s[i] < 0x80 && (c->s[i] < '0' || c->s[i] > '9'))
        i++;
    return i;
}

/* Finds the next match at or after at: found .. found_end, or found = n. */
static int find(struct tok_cut *c, struct err *err)
{
    if (c->split->fn) {
        size_t len, match = 0;
        for (c->found = c->at; (c->found = past_others(c)) < c->n && !(match = c->split->fn(c->s + c->found, c->n - c->found)); c->found += len)
            unicode_at(c->s + c->found, c->n - c->found, &len);
        c->found_end = c->found + match;
        return 0;
    }
    c->found = c->found_end = c->n;
    if (c->at >= c->n)
        return 0;
    /* An empty match here is no progress; one further on ends the piece there. */
    const int rc = pcre2_match(c->split->code, c->s, c->n, c->at, PCRE2_NOTEMPTY_ATSTART, c->match, c->split->limits);
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    if (rc < 0)
        return ERR(err, RANGE, "%s: the split pattern takes too much time or memory at byte %zu of the text", c->split->name, c->at);
    const PCRE2_SIZE *o = pcre2_get_ovector_pointer(c->match);
    c->found = o[0], c->found_end = o[1];
    return 0;
}

int tok_cut_next(struct tok_cut *c, size_t *len, bool *matched, struct err *err)
{
    if (c->at == c->n)
        return 0;
    if (c->found == SIZE_MAX)
        TRY(find(c, err));
    *matched = c->found == c->at;
    const size_t end = *matched ? c->found_end : c->found;
    *len = end - c->at;
    c->at = end;
    if (*matched || c->found == c->found_end)
        c->found = SIZE_MAX;
    return 1;
}
