/* page_check.h - is a page only what html.c writes: known tags and entities, no attribute out of place, nothing left open? */
#ifndef TESTS_PAGE_CHECK_H
#define TESTS_PAGE_CHECK_H
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static bool one_of(const char *s, size_t n, const char *words)
{
    for (const char *w = words; *w; w += strcspn(w, " "), w += *w == ' ')
        if (strcspn(w, " ") == n && !memcmp(w, s, n))
            return true;
    return false;
}

/* From '<' on: the length of the tag, 0 when it is none of ours.  Attributes have values in double quotes without < and >. */
static size_t page_tag(const char *s, char name[17], bool *opens)
{
    const bool end = s[1] == '/';
    size_t i = 1 + end, n = 0;
    while (isalnum((unsigned char)s[i + n]))
        n++;
    if (!n || n > 15 || !one_of(s + i, n, "html head meta title style body main h1 h2 p div span b table tr th td figure figcaption svg line text polyline polygon circle details summary code nav a rect i ul li h3 br path g"))
        return 0;
    memcpy(name, s + i, n), name[n] = 0;
    for (i += n; s[i] == ' ';) {
        const size_t word = strspn(s + ++i, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
        if (!word || !one_of(s + i, word, "lang charset name content http-equiv class style viewBox role aria-label x1 x2 y1 y2 x y r cx cy points text-anchor open width height fill-opacity href id xmlns fill stroke stroke-dasharray stroke-width d"))
            return 0;
        if (one_of(s + i, word, "href") && strncmp(s + i + word, "=\"#", 3))       /* to places of the page itself alone */
            return 0;
        i += word;
        if (s[i] != '=')
            continue;
        if (s[++i] != '"')
            return 0;
        for (i++; s[i] && s[i] != '"'; i++)
            if (s[i] == '<' || s[i] == '>')
                return 0;
        if (s[i++] != '"')
            return 0;
    }
    const bool alone = s[i] == '/' || !strcmp(name, "meta");
    i += s[i] == '/';
    *opens = !end && !alone;
    if (end)
        memmove(name + 1, name, n + 1), name[0] = '/';
    return s[i] == '>' ? i + 1 : 0;
}

/* The place of the first thing that a page of ours cannot have, or NULL. */
static const char *page_bad(const char *s)
{
    char open[64][16], name[17];
    int depth = 0;
    bool opens;
    if (strncmp(s, "<!DOCTYPE html>\n", 16))
        return s;
    for (s += 16; *s; s++) {
        if (*s == '>' || ((unsigned char)*s < 0x20 && *s != '\n' && *s != '\t') || (*s == '&' && !one_of(s, strcspn(s, ";") + 1, "&amp; &lt; &gt; &quot; &#39;")))
            return s;
        if (*s != '<')
            continue;
        const size_t n = page_tag(s, name, &opens);
        if (!n || (opens && depth == 64))
            return s;
        if (opens)
            memcpy(open[depth++], name, 16);
        else if (name[0] == '/' && (!depth || strcmp(open[--depth], name + 1)))
            return s;
        s += n - 1;
    }
    return depth ? s : NULL;
}
#endif
