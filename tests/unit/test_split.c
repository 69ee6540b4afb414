/* test_split.c - every hand-written matcher against PCRE2 on random and adversarial text; what a hostile expression meets. */
#include <stdint.h>
#include "../test.h"
#include "base/utf8.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/tok_split.h"
#include "model/unicode.h"

static struct err err;

/* Characters that the alternatives tell apart, many of each kind; none that Unicode 14 (PCRE2 10.42) and 16 see differently. */
static const char *const pieces[] = {
    "a", "z", "B", "Z", "e", "s", "S", "t", "T", "r", "v", "l", "L", "m", "d", "D", "'", "'s", "'S", "'re", "'VE", "'ll", "'\xc5\xbf", "\xc5\xbf", "0", "1", "23", "456", "7890",
    " ", " ", "  ", "   ", "\n", "\r\n", "\r", "\t", "\v", "\xc2\x85", "\xc2\xa0", "\xe2\x80\xa8", "\xe3\x80\x80", "\xe2\x80\x83", "/", "/\n", ".", "!", "?!", "(", "_", "-", "+", "$", "^", "`", "\\",
    "\xc3\xa9", "\xc3\x89", "\xc7\x85", "\xca\xb0", "\xcc\x81", "\xcc\x81\xcc\x81", "\xd8\xa7", "\xd7\x90", "\xe4\xb8\x96", "\xe9\xbe\xa5", "\xe9\xbe\xa6", "\xe3\x81\x82", "\xe3\x83\xbc", "\xed\x95\x9c", "\xe0\xa4\xa8", "\xe0\xa5\x8d", "\xe0\xa4\xbf",
    "\xc2\xb2", "\xc2\xbd", "\xe2\x85\xa7", "\xd9\xa3", "\xf0\x9f\x99\x82", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7", "\xe2\x80\x94", "\xe2\x82\xac", "\xc2\xab", "\xe2\x80\x99", "\xe2\x80\x8b", "\xef\xbb\xbf", "\xf0\x9d\x94\x84", "\xe2\x84\xaa", "\x01", "\x7f",
    "\xee\x80\x80",
};
#define N_PIECES (sizeof pieces / sizeof *pieces)

static size_t random_text(uint64_t seed, char *out, size_t max)
{
    size_t n = 0;
    const uint64_t length = rng_u64(seed, 0) % 40, few = rng_u64(seed, 1) % 3 ? N_PIECES : 1 + rng_u64(seed, 2) % 6, from = rng_u64(seed, 3);
    for (uint64_t i = 0; i < length; i++) {
        const char *p = pieces[(from + rng_u64(seed, 4 + i) % few) % N_PIECES];
        if (n + strlen(p) > max)
            break;
        memcpy(out + n, p, strlen(p));
        n += strlen(p);
    }
    return n;
}

static void explain(const char *pattern, const char *text, size_t n, size_t at, size_t hand, size_t pcre)
{
    char hex[400];
    for (size_t i = 0; i < n && 3 * i + 3 < sizeof hex; i++)
        snprintf(hex + 3 * i, sizeof hex - 3 * i, "%02x ", (unsigned char)text[i]);
    fail_msg("%s on %s: at %zu a piece of %zu by hand, %zu by PCRE2", pattern, hex, at, hand, pcre);
}

static void same_pieces(const char *pattern, const struct tok_split *hand, const struct tok_split *slow, const char *text, size_t n)
{
    struct tok_cut a, b;
    size_t na = 0, nb = 0, at = 0;
    bool ma = false, mb = false;
    OK(tok_cut_begin(&a, hand, text, n, &err));
    OK(tok_cut_begin(&b, slow, text, n, &err));
    for (;;) {
        const int more_a = tok_cut_next(&a, &na, &ma, &err), more_b = tok_cut_next(&b, &nb, &mb, &err);
        assert_true(more_a >= 0 && more_b >= 0);
        if (!more_a && !more_b)
            break;
        if (more_a != more_b || na != nb)
            explain(pattern, text, n, at, more_a ? na : 0, more_b ? nb : 0);
        at += na;
    }
    assert_int_equal(at, n);
    tok_cut_end(&a);
    tok_cut_end(&b);
}

static void every_matcher_cuts_as_pcre2_does(void **state)
{
    (void)state;
    const char *const *patterns;
    const size_t n_pattern = tok_patterns(&patterns);
    assert_true(n_pattern > 15);
    for (size_t i = 0; i < n_pattern; i++) {
        struct tok_split *hand, *slow;
        char text[200];
        OK(tok_split_new(&hand, patterns[i], strlen(patterns[i]), "hand", &err));
        OK(tok_split_new_pcre(&slow, patterns[i], strlen(patterns[i]), "pcre", &err));
        assert_true(tok_split_by_hand(hand) && !tok_split_by_hand(slow));
        for (uint64_t seed = 0; seed < 6000; seed++)
            same_pieces(patterns[i], hand, slow, text, random_text(seed * 64 + i, text, sizeof text));
        for (size_t p = 0; p < N_PIECES; p++)                /* all pairs, between a letter and nothing */
            for (size_t q = 0; q < N_PIECES; q++)
                same_pieces(patterns[i], hand, slow, text, (size_t)snprintf(text, sizeof text, "%s%s%s", pieces[p], pieces[q], p % 2 ? "" : "a"));
        tok_split_free(hand);
        tok_split_free(slow);
    }
}

static void every_character_is_of_its_category(void **state)
{
    (void)state;
    const char *pattern = "[\\p{L}]+|[\\p{N}]+|[\\p{M}]+|[\\p{P}]+|[\\p{S}]+|[\\p{Z}\\t-\\r\\x{85}]+";
    static const uint32_t sets[] = { IS_L, IS_N, IS_M, IS_P, IS_S, IS_SPACE };
    struct tok_split *slow;
    struct tok_split *one[6];
    static const char *const classes[] = { "\\p{L}+", "\\p{N}(*ACCEPT)", "\\p{M}+", "\\p{P}+", "\\p{S}+", "[\\p{Z}\\t-\\r\\x{85}]+" };
    OK(tok_split_new_pcre(&slow, pattern, strlen(pattern), "p", &err));
    for (int i = 0; i < 6; i++)
        OK(tok_split_new_pcre(&one[i], classes[i], strlen(classes[i]), "p", &err));
    int differ = 0;
    for (uint32_t cp = 1; cp < 0x110000; cp += cp < 0x30000 ? 1 : 97) {
        char s[4];
        size_t len;
        if (cp >= 0xd800 && cp < 0xe000)
            continue;
        const int n = utf8_put(cp, s);
        const uint32_t set = unicode_set_at((unsigned char *)s, (size_t)n, &len);
        assert_int_equal(len, n);
        struct tok_cut c;
        bool matched = false;
        OK(tok_cut_begin(&c, slow, s, (size_t)n, &err));
        tok_cut_next(&c, &len, &matched, &err);
        tok_cut_end(&c);
        if (!matched) {                                  /* not assigned in Unicode 14, or of none of the sets */
            differ += (set & (IS_L | IS_N | IS_M | IS_P | IS_S | IS_SPACE)) != 0;
            continue;
        }
        for (int i = 0; i < 6; i++) {
            OK(tok_cut_begin(&c, one[i], s, (size_t)n, &err));
            tok_cut_next(&c, &len, &matched, &err);
            tok_cut_end(&c);
            if (matched != !!(set & sets[i]))
                fail_msg("U+%04X: in class %d by PCRE2 %d, by the table %d", cp, i, matched, !!(set & sets[i]));
        }
    }
    assert_in_range(differ, 4000, 11000);                /* what Unicode 15 and 16 added: 9,674 characters, sampled above U+30000 */
    tok_split_free(slow);
    for (int i = 0; i < 6; i++)
        tok_split_free(one[i]);
}

/* Bytes that are not UTF-8 are pieces' ordinary members and nothing is lost. */
static void invalid_bytes_are_characters_of_no_category(void **state)
{
    (void)state;
    struct tok_split *s;
    struct tok_cut c;
    size_t len;
    bool matched;
    const char *const *patterns;
    tok_patterns(&patterns);
    OK(tok_split_new(&s, patterns[0], strlen(patterns[0]), "gpt2", &err));
    static const char text[] = "ab\xff\xfe cd \xe4\xb8!";
    static const size_t want[] = { 2, 2, 3, 4 };
    OK(tok_cut_begin(&c, s, text, sizeof text - 1, &err));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(tok_cut_next(&c, &len, &matched, &err), 1);
        assert_int_equal(len, want[i]);
    }
    assert_int_equal(tok_cut_next(&c, &len, &matched, &err), 0);
    tok_cut_end(&c);
    tok_split_free(s);
}

static void a_hostile_expression_ends_in_an_error(void **state)
{
    (void)state;
    struct tok_split *s;
    struct tok_cut c;
    size_t len;
    bool matched;
    char *text = mem_alloc(4000);
    memset(text, 'a', 4000);
    OK(tok_split_new(&s, "(?:(a+)+)+[bc]", 14, "hostile", &err));
    OK(tok_cut_begin(&c, s, text, 4000, &err));
    assert_int_equal(tok_cut_next(&c, &len, &matched, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "hostile: the split pattern takes too much time"));
    tok_cut_end(&c);
    tok_split_free(s);
    mem_free(text);
    assert_int_equal(tok_split_new(&s, "(unclosed", 9, "broken", &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "broken: split pattern '(unclosed'"));
}

static void an_empty_match_ends_the_piece_before_it(void **state)
{
    (void)state;
    struct tok_split *s;
    struct tok_cut c;
    size_t len;
    bool matched;
    static const size_t want[] = { 1, 3, 3 };
    OK(tok_split_new(&s, "(?=(\\d{3})+(?!\\d))", 18, "threes", &err));
    OK(tok_cut_begin(&c, s, "1234567", 7, &err));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(tok_cut_next(&c, &len, &matched, &err), 1);
        assert_int_equal(len, want[i]);
    }
    assert_int_equal(tok_cut_next(&c, &len, &matched, &err), 0);
    tok_cut_end(&c);
    tok_split_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_matcher_cuts_as_pcre2_does),
        cmocka_unit_test(every_character_is_of_its_category),
        cmocka_unit_test(invalid_bytes_are_characters_of_no_category),
        cmocka_unit_test(a_hostile_expression_ends_in_an_error),
        cmocka_unit_test(an_empty_match_ends_the_piece_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
