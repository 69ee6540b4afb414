/* phrases.c - each has two letters that are seldom side by side: they are looked for, and the phrase around them. */
#include "audit/phrases.h"
#include <stdbool.h>
#include <string.h>
#include "cpu/kernels.h"

#define POLICY (PHRASE_C4_POLICY | PHRASE_NEMO_POLICY)

/* What stands before the two letters, and from them on. */
static const struct { const char *before, *rest; int is; } rows[] = {
    { "lorem i", "psum", PHRASE_LOREM },
    { "ja", "vascript", PHRASE_SCRIPT },
    { "ter", "ms of use", POLICY },
    { "pri", "vacy policy", POLICY },
    { "coo", "kie policy", POLICY },
    { "uses coo", "kies", POLICY },
    { "use of coo", "kies", POLICY },
    { "use coo", "kies", POLICY },
    { "pri", "vacy overview", PHRASE_NEMO_POLICY },
    { "pri", "vacy & cookies policy", PHRASE_NEMO_POLICY },
    { "pri", "vacy and cookies policy", PHRASE_NEMO_POLICY },
    { "necessary coo", "kies are absolutely essential for the website to function properly. this category only includes cookies that ensures basic functionalities and security features of "
      "the website. these cookies do not store any personal information.", PHRASE_NEMO_POLICY },
    { "any coo", "kies that may not be particularly necessary for the website to function and is used specifically to collect user personal data via analytics, ads, other embedded contents "
      "are termed as non-necessary cookies. it is mandatory to procure user consent prior to running these cookies on your website.", PHRASE_NEMO_POLICY },
    { "if you continue to browse this site without changing your coo", "kie settings, you agree to this use. acceptread more", PHRASE_NEMO_POLICY },
};
/* The last: the first and the last byte of U+212A. */
static const struct text_pair pairs[] = { { 'p', 's', 0x20, 1 }, { 'v', 'a', 0x20, 1 }, { 'm', 's', 0x20, 1 }, { 'k', 'i', 0x20, 1 }, { 0xe2, 0xaa, 0, 2 } };

static char low(char c) { return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c); }

static bool begins(const char *s, const char *end, const char *with)
{
    for (; *with; s++, with++)
        if (s == end || low(*s) != *with)
            return false;
    return true;
}

static int phrase_at(const char *text, const char *s, const char *end)
{
    int found = 0;
    if ((unsigned char)*s == 0xe2)
        return (unsigned char)s[1] == 0x84 ? PHRASE_KELVIN : 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!begins(s, end, rows[i].rest))
            continue;
        const size_t n = strlen(rows[i].before);
        found |= (size_t)(s - text) >= n && begins(s - n, s, rows[i].before) ? rows[i].is : 0;
    }
    return found;
}

int phrases_in(const char *text, size_t n)
{
    uint64_t mask[64];
    const struct cpu_kernels *k = cpu_kernels();
    int found = 0;
    for (size_t at = 0; at < n; at += 64 * 64 - 64) {       /* a block more than is looked at: pairs that reach into it */
        const size_t some = n - at < 64 * 64 ? n - at : 64 * 64;
        k->text_pairs(some, text + at, sizeof pairs / sizeof *pairs, pairs, mask);
        for (size_t i = 0; i < some; i += 64)
            for (uint64_t m = mask[i / 64]; m; m &= m - 1)
                found |= phrase_at(text, text + at + i + __builtin_ctzll(m), text + n);
    }
    return found;
}
