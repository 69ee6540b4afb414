/* words_url.c - URLs: spaCy's expression, anchored at both ends. */
#include "audit/words_impl.h"

static size_t digits_at(const char *s, const char *end, int *n)
{
    const char *p = s;
    uint32_t cp, class;
    for (*n = 0; p < end; ++*n) {
        const int len = chars_at(p, end, &cp, &class);
        if (!(class & CHAR_DIGIT) || *n > 5)
            break;
        p += len;
    }
    return (size_t)(p - s);
}

/* (:\d{2,5})? ([/?#]\S*)? end */
static bool url_tail(const char *s, const char *end)
{
    if (s < end && *s == ':') {
        int n;
        s += 1 + digits_at(s + 1, end, &n);
        if (n < 2 || n > 5)
            return false;
    }
    return s == end || *s == '/' || *s == '?' || *s == '#';
}

/* One of four numbers: `wide` is the first of an ASCII number of three digits that may go up to 2 top d; others: at most two digits. */
static bool octet(const char *s, size_t bytes, int n, int i)
{
    const bool ascii1 = s[0] >= '0' && s[0] <= '9';
    if (i == 1 || i == 2) {
        if (n <= 2)
            return true;
        return s[0] == '1' || (s[0] == '2' && ((s[1] >= '0' && s[1] <= '4') || (s[1] == '5' && bytes == 3 && s[2] >= '0' && s[2] <= '5')));
    }
    if (n <= 2)
        return ascii1 && s[0] != '0';
    if (s[0] == '1')
        return true;
    if (i == 0)
        return s[0] == '2' && ((s[1] >= '0' && s[1] <= '1') || (s[1] == '2' && bytes == 3 && s[2] >= '0' && s[2] <= '3'));
    return s[0] == '2' && ((s[1] >= '0' && s[1] <= '4') || (s[1] == '5' && bytes == 3 && s[2] >= '0' && s[2] <= '4'));
}

static bool is_private(const char *s, const char *end)
{
    if (STARTS(s, end, "10.") || STARTS(s, end, "127.") || STARTS(s, end, "169.254.") || STARTS(s, end, "192.168."))
        return true;
    if (!STARTS(s, end, "172.") || end - s < 7)
        return false;
    if (s[4] == '1')
        return s[5] >= '6' && s[5] <= '9' && s[6] == '.';
    if (s[4] == '3')
        return (s[5] == '0' || s[5] == '1') && s[6] == '.';
    int n;
    const size_t bytes = digits_at(s + 4, end, &n);
    return s[4] == '2' && n == 2 && s + 4 + bytes < end && s[4 + bytes] == '.';
}

static bool is_address(const char *s, const char *end)
{
    const char *p = s;
    for (int i = 0; i < 4; i++) {
        int n;
        const size_t bytes = p < end ? digits_at(p, end, &n) : (n = 0, (size_t)0);
        if (n < 1 || n > 3 || !octet(p, bytes, n, i))
            return false;
        p += bytes;
        if (i < 3 && (p == end || *p++ != '.'))
            return false;
    }
    return url_tail(p, end) && !is_private(s, end);
}

/* Characters of the top-level domain at s, and where it ends. */
static bool is_top_level(const char *s, const char *end)
{
    uint32_t cp, class;
    for (int n = 0;; n++) {
        const int len = s < end ? chars_at(s, end, &cp, &class) : 0;
        if (!len || !(class & CHAR_SPACY_LOWER))
            return n >= 2 && url_tail(s, end);
        if (n == 63)
            return false;
        s += len;
    }
}

/* (label.)+ top-level domain; a label has 1 to 64 characters and neither begins nor ends with - or _. */
static bool is_host(const char *s, const char *end)
{
    while (s < end) {
        int n = 0;
        uint32_t cp, class = 0, last = 0;
        for (; s < end; n++, last = class) {
            const int len = chars_at(s, end, &cp, &class);
            if (!(class & CHAR_HOST) && (n == 0 || (cp != '-' && cp != '_')))
                break;
            s += len;
        }
        if (n < 1 || n > 64 || !(last & CHAR_HOST) || s == end || *s != '.')
            return false;
        if (is_top_level(++s, end))
            return true;
    }
    return false;
}

bool words_is_url(const char *s, const char *end)
{
    if (is_address(s, end) || is_host(s, end))
        return true;
    uint32_t cp, class;
    const char *p = s;
    for (int n, len = 0; p < end; p += n, len++) {            /* the scheme */
        n = chars_at(p, end, &cp, &class);
        if (cp == ':') {
            if (len >= 2 && STARTS(p, end, "://") && (is_address(p + 3, end) || is_host(p + 3, end)))
                return true;
            break;
        }
        if (!(class & CHAR_WORD) && cp != '+' && cp != '-' && cp != '.')
            break;
    }
    for (p = s + 1; p < end && (p = memchr(p, '@', (size_t)(end - p))); p++)
        if (is_address(p + 1, end) || is_host(p + 1, end))
            return true;
    return false;
}
