/* licence_found.c - all recognition goes over text brought to words: small letters and digits with one space between, before and behind. */
#include "audit/licence_found.h"
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "audit/licence.h"
#include "audit/licence_texts.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/tree.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *const how_words[] = {
#define X(name, word) word,
    LICENCE_HOWS(X)
#undef X
};
const char *licence_how_word(enum licence_how h) { return how_words[h]; }

/* Appends the normal form, after AND where something is there; 1, or 0 for what does not parse. */
static int add_expression(struct buf *out, const char *text, size_t n, struct err *err)
{
    struct licence *l;
    struct buf both;
    size_t at;
    int rc = licence_parse(&l, text, n, &at, err);
    if (rc)
        return rc == ERR_FORMAT ? (err_clear(err), 0) : rc;
    buf_init(&both);
    if (out->len)
        rc = buf_printf(&both, err, "(%s) AND (", out->data);
    rc = rc ? rc : licence_text(l, &both, err);
    rc = rc || !out->len ? rc : buf_add_char(&both, ')', err);
    licence_free(l);
    if (!rc && out->len) {
        rc = licence_parse(&l, both.data, both.len, &at, err);
        if (!rc) {
            buf_clear(out);
            rc = licence_text(l, out, err);
            licence_free(l);
        }
    } else if (!rc) {
        rc = buf_add(out, both.data, both.len, err);
    }
    buf_release(&both);
    return rc ? rc : 1;
}

/* ---- names as people write them ---- */

#define NAME_MAX_BYTES 600

/* " cc by sa 4.0 ": words of letters and digits, a point between digits stays, '+' is a word; a version is parted from the name before it. */
struct name { char s[2 * NAME_MAX_BYTES + 8]; size_t n; };

static void put(struct name *w, char c)
{
    if (c != ' ' || w->s[w->n - 1] != ' ')
        w->s[w->n++] = c;
}

static bool starts_version(const struct name *w)
{
    static const char *const names[] = { "gpl", "gplv", "lgpl", "lgplv", "agpl", "agplv", "gfdl", "mpl", "mplv", "epl", "apache", "apachev", "bsd", "v" };
    size_t from = w->n;
    while (w->s[from - 1] != ' ')
        from--;
    for (size_t i = 0; i < COUNT(names); i++)
        if (w->n - from == strlen(names[i]) && !memcmp(w->s + from, names[i], w->n - from))
            return true;
    return false;
}

static void name_of(struct name *w, const char *text, size_t n)
{
    w->s[0] = ' ', w->n = 1;
    for (size_t i = 0; i < n; i++) {
        const char c = (char)tolower((unsigned char)text[i]);
        const bool digit = isdigit((unsigned char)c), before = i && isdigit((unsigned char)text[i - 1]);
        if (digit && !before && starts_version(w)) {
            if (w->s[w->n - 1] == 'v')               /* "gplv3", "v4.0" */
                w->n--;
            put(w, ' ');
        }
        if (isalnum((unsigned char)c) || (c == '.' && before && i + 1 < n && isdigit((unsigned char)text[i + 1])))
            put(w, c);
        else if (c == '+')
            put(w, ' '), put(w, '+'), put(w, ' ');
        else
            put(w, ' ');
    }
    put(w, ' ');
    w->s[w->n] = 0;
    for (char *at; (at = strstr(w->s, " licence "));)
        memcpy(at, " license ", 9);
}

/* Where the words stand, each with a space around. */
static char *words_at(struct name *w, const char *words)
{
    char around[100];
    snprintf(around, sizeof around, " %s ", words);
    return strstr(w->s, around);
}

static bool has(struct name *w, const char *words) { return words_at(w, words) != NULL; }

/* The first version (4, 4.0) at or after p, as its id has it ("4.0"). */
static bool version_after(const char *p, char out[8], const char **end)
{
    for (; *p; p++) {
        if (*p != ' ' || !isdigit((unsigned char)p[1]))
            continue;
        const size_t n = strcspn(p + 1, " ");
        if (n == 1)
            snprintf(out, 8, "%c.0", p[1]);
        else if (n == 3 && p[2] == '.')
            snprintf(out, 8, "%.3s", p + 1);
        else
            continue;
        *end = p + 1 + n;
        return true;
    }
    return false;
}

/* '@' is the version; `without` where the name gives none, or one that is not listed.  The first row that fits counts and its words are
 * then taken out, so that a name of two licences gives both. */
static const struct name_row { const char *words, *id, *without; } name_rows[] = {
    { "cc0", "CC0-1.0", NULL },
    { "creative commons zero", "CC0-1.0", NULL },
    { "public domain mark", "CC-PDM-1.0", NULL },
    { "public domain dedication and license", "PDDL-1.0", NULL },
    { "pddl", "PDDL-1.0", NULL },
    { "public domain", "LicenseRef-public-domain", NULL },
    { "affero general public license", "AGPL-@", "AGPL-1.0-or-later" },
    { "agpl", "AGPL-@", "AGPL-1.0-or-later" },
    { "lesser general public license", "LGPL-@", "LGPL-2.0-or-later" },
    { "library general public license", "LGPL-@", "LGPL-2.0-or-later" },
    { "lgpl", "LGPL-@", "LGPL-2.0-or-later" },
    { "free documentation license", "GFDL-@", "GFDL-1.1-or-later" },
    { "gfdl niv", "GFDL-@", "GFDL-1.1-or-later" },
    { "gfdl", "GFDL-@", "GFDL-1.1-or-later" },
    { "gnu general public license", "GPL-@", "GPL-1.0-or-later" },
    { "gnu gpl", "GPL-@", "GPL-1.0-or-later" },
    { "gpl", "GPL-@", "GPL-1.0-or-later" },
    { "apache license", "Apache-@", "LicenseRef-Apache" },
    { "apache org licenses license", "Apache-@", "LicenseRef-Apache" },
    { "apache", "Apache-@", "LicenseRef-Apache" },
    { "bsd 2 clause", "BSD-2-Clause", NULL },
    { "2 clause bsd", "BSD-2-Clause", NULL },
    { "simplified bsd", "BSD-2-Clause", NULL },
    { "bsd 3 clause", "BSD-3-Clause", NULL },
    { "3 clause bsd", "BSD-3-Clause", NULL },
    { "new bsd", "BSD-3-Clause", NULL },
    { "bsd 4 clause", "BSD-4-Clause", NULL },
    { "bsd", "LicenseRef-BSD", NULL },
    { "expat", "MIT", NULL },
    { "mit license", "MIT", NULL },
    { "mozilla public license", "MPL-@", NULL },
    { "mpl", "MPL-@", NULL },
    { "eclipse public license", "EPL-@", NULL },
    { "epl", "EPL-@", NULL },
    { "academic free license", "AFL-@", NULL },
    { "afl", "AFL-@", NULL },
    { "artistic license", "Artistic-@", NULL },
    { "artistic", "Artistic-@", NULL },
    { "isc license", "ISC", NULL },
    { "zlib license", "Zlib", NULL },
    { "boost software license", "BSL-1.0", NULL },
    { "unlicense", "Unlicense", NULL },
    { "wtfpl", "WTFPL", NULL },
    { "european union public license", "EUPL-@", NULL },
    { "eupl", "EUPL-@", NULL },
    { "open government license", "OGL-UK-@", NULL },
    { "ogl", "OGL-UK-@", NULL },
    { "cdla permissive", "CDLA-Permissive-@", NULL },
    { "community data license agreement permissive", "CDLA-Permissive-@", NULL },
    { "cdla sharing", "CDLA-Sharing-@", NULL },
    { "community data license agreement sharing", "CDLA-Sharing-@", NULL },
    { "odbl", "ODbL-1.0", NULL },
    { "open database license", "ODbL-1.0", NULL },
    { "odc by", "ODC-By-1.0", NULL },
    { "open data commons attribution license", "ODC-By-1.0", NULL },
    { "c uda", "C-UDA-1.0", NULL },
    { "computational use of data agreement", "C-UDA-1.0", NULL },
    { "o uda", "O-UDA-1.0", NULL },
    { "open use of data agreement", "O-UDA-1.0", NULL },
    { "ms pl", "MS-PL", NULL },
    { "project gutenberg license", "LicenseRef-Project-Gutenberg", NULL },
    { "bigscience bloom rail 1.0", "LicenseRef-bigscience-bloom-rail-1.0", NULL },
    { "bigscience openrail m", "LicenseRef-bigscience-openrail-m", NULL },
    { "bigcode openrail m", "LicenseRef-bigcode-openrail-m", NULL },
    { "creativeml openrail m", "LicenseRef-creativeml-openrail-m", NULL },
    { "openrail + +", "LicenseRef-openrail-plus-plus", NULL },
    { "openrail", "LicenseRef-openrail", NULL },
};

static bool is_listed(const char *id)
{
    struct licence *l;
    size_t at;
    struct err err;
    if (licence_parse(&l, id, strlen(id), &at, &err))
        return false;
    licence_free(l);
    return true;
}

static const char *row_id(const struct name_row *row, struct name *w, char *from, char id[80], const char **end)
{
    char version[8];
    const char *after = from + strlen(row->words) + 1, *mark = strchr(row->id, '@');
    *end = after;
    if (!mark)
        return row->id;
    if (!version_after(after, version, end))
        return row->without;
    const bool gnu = row->without && strstr(row->without, "-or-later"), later = gnu && (!strncmp(*end, " + ", 3) || has(w, "or later") || has(w, "or any later version"));
    snprintf(id, 80, "%.*s%s%s", (int)(mark - row->id), row->id, version, !gnu ? "" : later ? "-or-later" : "-only");
    if (is_listed(id))
        return id;
    *end = after;
    return row->without;
}

/* The names of Creative Commons' six licences are put together from parts. */
static int creative_commons(struct name *w, char id[80])
{
    char *at = words_at(w, "cc"), version[8] = "";
    const char *end;
    at = at ? at : strstr(w->s, " creative common");
    at = at ? at : strstr(w->s, " creativecommons ");
    at = at ? at : words_at(w, "attribution");
    if (!at || has(w, "cc0") || has(w, "creative commons zero"))
        return 0;
    const bool nc = has(w, "nc") || has(w, "noncommercial") || has(w, "non commercial"), sa = has(w, "sa") || has(w, "sharealike") || has(w, "share alike");
    const bool nd = has(w, "nd") || has(w, "noderivs") || has(w, "noderivatives") || has(w, "no derivatives") || has(w, "no derivs");
    const bool by = has(w, "attribution") || has(w, "cc by") || has(w, "licenses by");
    const bool numbered = version_after(at, version, &end);
    const bool named = has(w, "cc") || strstr(w->s, " creative common") || has(w, "creativecommons") || (numbered && (has(w, "international") || has(w, "unported")));
    if (!named || !(by || nc || sa || nd) || (sa && nd))
        return 0;
    snprintf(id, 80, "CC-BY%s%s%s-%s", nc ? "-NC" : "", nd ? "-ND" : "", sa ? "-SA" : "", version);
    if (!numbered || !is_listed(id))
        snprintf(id, 80, "LicenseRef-CC-BY%s%s%s", nc ? "-NC" : "", nd ? "-ND" : "", sa ? "-SA" : "");
    return 1;
}

/* What is not for money, or for research only, without a licence's name. */
static const char *restriction(struct name *w)
{
    const bool research = has(w, "research") || has(w, "academic") || has(w, "educational");
    if (research && (has(w, "only") || has(w, "research and academic use")))
        return "LicenseRef-research-only";
    return has(w, "non commercial") || has(w, "noncommercial") ? "LicenseRef-non-commercial" : NULL;
}

static int names_of(struct name *w, struct buf *out, struct err *err)
{
    char id[80], hub[100];
    int n = 0;
    if (has(w, "modified") || has(w, "not") || has(w, "except") || has(w, "unless"))
        return 0;
    if (w->n > 2 && !strpbrk(w->s + 1, "+") && w->n < 60) {                /* a word of a model hub that licence.def knows */
        struct licence_terms t;
        const char *only = strchr(w->s + 1, ' ');
        snprintf(hub, sizeof hub, "LicenseRef-%.*s", (int)(only - w->s - 1), w->s + 1);
        if (!only[1] && licence_terms_of(hub, &t))
            return add_expression(out, t.id, strlen(t.id), err);
    }
    if (!strcmp(w->s, " mit "))
        return add_expression(out, "MIT", 3, err);
    if (creative_commons(w, id))
        n++, err_clear(err), n = add_expression(out, id, strlen(id), err);
    if (n < 0)
        return n;
    for (size_t i = 0; i < COUNT(name_rows); i++) {
        char *from = words_at(w, name_rows[i].words);
        const char *end, *found = from ? row_id(&name_rows[i], w, from, id, &end) : NULL;
        if (!found)
            continue;
        const int rc = add_expression(out, found, strlen(found), err);
        if (rc < 0)
            return rc;
        n += rc;
        memset(from + 1, '_', (size_t)(end - from) - 1);
    }
    if (n)
        return 1;
    const char *only = restriction(w);
    return only ? add_expression(out, only, strlen(only), err) : 0;
}

int licence_of_words(const char *text, size_t n, struct buf *out, struct err *err)
{
    struct name w;
    struct buf own;
    while (n && isspace((unsigned char)text[n - 1]))
        n--;
    buf_init(&own);
    int rc = n && n <= NAME_MAX_BYTES ? add_expression(&own, text, n, err) : 0;
    if (!rc && n && n <= NAME_MAX_BYTES) {
        name_of(&w, text, n);
        rc = names_of(&w, &own, err);
    }
    if (rc > 0)
        rc = add_expression(out, own.data, own.len, err);
    buf_release(&own);
    return rc;
}

/* ---- texts ---- */

/* The next word of a line from *at, as it stands; 0 bytes at the end. */
static size_t next_word(const char *line, size_t n, size_t *at)
{
    while (*at < n && !isalnum((unsigned char)line[*at]))
        ++*at;
    size_t k = 0;
    while (*at + k < n && isalnum((unsigned char)line[*at + k]))
        k++;
    return k;
}

static bool is_word(const char *w, size_t n, const char *word) { return n == strlen(word) && !strncasecmp(w, word, n); }

/* "Copyright (c) 2026 Somebody", but not a line of a sentence that begins "copyright holders". */
static bool is_notice(const char *line, size_t n)
{
    static const char *const sentence[] = { "holder", "holders", "owner", "owners", "notice", "notices", "law", "laws", "license", "licence", "and", "or", "in", "is" };
    size_t at = 0, k = next_word(line, n, &at);
    if (is_word(line + at, k, "c"))
        at += k, k = next_word(line, n, &at);
    if (!is_word(line + at, k, "copyright"))
        return false;
    at += k, k = next_word(line, n, &at);
    for (size_t i = 0; i < COUNT(sentence); i++)
        if (is_word(line + at, k, sentence[i]))
            return false;
    return true;
}

/* Appends the words of a line, but for notices of copyright. */
static int add_line(struct buf *out, const char *line, size_t n, struct err *err)
{
    const size_t before = out->len;
    if (is_notice(line, n))
        return 0;
    for (size_t at = 0, k; (k = next_word(line, n, &at)); at += k) {
        const bool licence = is_word(line + at, k, "licence");
        if (out->len)
            TRY(buf_add_char(out, ' ', err));
        for (size_t i = 0; i < k; i++)
            TRY(buf_add_char(out, licence && i == 5 ? 's' : (char)tolower((unsigned char)line[at + i]), err));
    }
    const char *added = out->data + before;
    if (!strcmp(added + (*added == ' '), "all rights reserved")) {
        out->len = before;
        out->data[before] = 0;
    }
    return 0;
}

/* Whole: with the first paragraph. */
static int text_words(struct buf *out, const char *text, size_t n, bool whole, struct err *err)
{
    bool begun = whole, blank = true;
    for (size_t i = 0; i < n;) {
        const char *end = memchr(text + i, '\n', n - i);
        const size_t len = end ? (size_t)(end - text) - i : n - i;
        size_t seen = 0;
        while (seen < len && isspace((unsigned char)text[i + seen]))
            seen++;
        if (seen == len && !blank)
            begun = true;
        blank = blank && seen == len;
        if (begun)
            TRY(add_line(out, text + i, len, err));
        i += len + 1;
    }
    return 0;
}

static const char *digest_find(const struct buf *words)
{
    unsigned char sum[SHA256_BYTES];
    uint64_t d = 0;
    sha256_bytes(words->data, words->len, sum);
    for (int i = 0; i < 8; i++)
        d = d << 8 | sum[i];
    size_t lo = 0, hi = COUNT(licence_digests);
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (licence_digests[mid].digest == d)
            return licence_digests[mid].id;
        if (licence_digests[mid].digest < d)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* Sentences that a text must have, and one that it must not have; the first row that fits of each group counts, so that what is part of a longer
 * licence is told after it. */
static const struct sentence_row { int group; const char *id, *must[3], *not; } sentence_rows[] = {
    { 1, "AGPL-3.0-only", { "gnu affero general public license version 3 19 november 2007" }, NULL },
    { 1, "LGPL-3.0-only", { "gnu lesser general public license version 3 29 june 2007" }, NULL },
    { 1, "LGPL-2.1-only", { "gnu lesser general public license version 2 1 february 1999" }, NULL },
    { 1, "LGPL-2.0-only", { "gnu library general public license version 2 june 1991" }, NULL },
    { 1, "GPL-3.0-only", { "gnu general public license version 3 29 june 2007" }, NULL },
    { 1, "GPL-2.0-only", { "gnu general public license version 2 june 1991" }, NULL },
    { 1, "GPL-1.0-only", { "gnu general public license version 1 february 1989" }, NULL },
    { 2, "GFDL-1.3-only", { "gnu free documentation license version 1 3 3 november 2008" }, NULL },
    { 2, "GFDL-1.2-only", { "gnu free documentation license version 1 2 november 2002" }, NULL },
    { 3, "Apache-2.0", { "apache license version 2 0 january 2004", "terms and conditions for use reproduction and distribution" }, NULL },
    { 3, "Apache-2.0", { "licensed under the apache license version 2 0" }, NULL },
    { 4, "MIT", { "permission is hereby granted free of charge to any person obtaining a copy of this software and associated documentation files",
                  "the above copyright notice and this permission notice", "the software is provided as is without warranty of any kind" }, "except as contained in this notice" },
    { 4, "X11", { "permission is hereby granted free of charge to any person obtaining a copy of this software and associated documentation files",
                  "the above copyright notice and this permission notice", "except as contained in this notice the name" }, NULL },
    { 5, "ISC", { "permission to use copy modify and", "distribute this software for any purpose with or without fee is hereby granted provided that the above copyright notice" }, NULL },
    { 5, "0BSD", { "permission to use copy modify and", "distribute this software for any purpose with or without fee is hereby granted the software is provided as is" }, NULL },
    { 6, "BSD-4-Clause", { "redistribution and use in source and binary forms with or without modification are permitted", "all advertising materials mentioning features" }, NULL },
    { 6, "BSD-3-Clause", { "redistribution and use in source and binary forms with or without modification are permitted provided that the following conditions are met",
                           "redistributions in binary form must reproduce the above copyright notice", "be used to endorse or promote products derived from this software" }, NULL },
    { 6, "BSD-2-Clause", { "redistribution and use in source and binary forms with or without modification are permitted provided that the following conditions are met",
                           "redistributions in binary form must reproduce the above copyright notice" }, "endorse or promote" },
    { 7, "MPL-2.0", { "mozilla public license version 2 0", "covered software" }, NULL },
    { 8, "EPL-2.0", { "eclipse public license v 2 0" }, NULL },
    { 9, "Unlicense", { "this is free and unencumbered software released into the public domain" }, NULL },
    { 10, "BSL-1.0", { "boost software license version 1 0 august 17th 2003" }, NULL },
    { 11, "Zlib", { "this software is provided as is without any express or implied warranty in no event will the authors be held liable for any damages",
                    "the origin of this software must not be misrepresented" }, NULL },
    { 12, "WTFPL", { "do what the fuck you want to public license" }, NULL },
    { 13, "CC0-1.0", { "cc0 1 0 universal", "affirmer" }, NULL },
    { 14, "CC-BY-NC-SA-4.0", { "creative commons attribution noncommercial sharealike 4 0 international public license" }, NULL },
    { 14, "CC-BY-NC-ND-4.0", { "creative commons attribution noncommercial noderivatives 4 0 international public license" }, NULL },
    { 14, "CC-BY-NC-4.0", { "creative commons attribution noncommercial 4 0 international public license" }, NULL },
    { 14, "CC-BY-SA-4.0", { "creative commons attribution sharealike 4 0 international public license" }, NULL },
    { 14, "CC-BY-ND-4.0", { "creative commons attribution noderivatives 4 0 international public license" }, NULL },
    { 14, "CC-BY-4.0", { "creative commons attribution 4 0 international public license" }, NULL },
    { 14, "CC-BY-NC-SA-3.0", { "creative commons legal code attribution noncommercial sharealike 3 0 unported" }, NULL },
    { 14, "CC-BY-SA-3.0", { "creative commons legal code attribution sharealike 3 0 unported" }, NULL },
    { 14, "CC-BY-3.0", { "creative commons legal code attribution 3 0 unported" }, NULL },
    { 15, "ODbL-1.0", { "open database license odbl", "the licensor" }, NULL },
    { 15, "ODC-By-1.0", { "open data commons attribution license", "the licensor" }, NULL },
    { 15, "PDDL-1.0", { "open data commons public domain dedication", "the work" }, NULL },
    { 16, "CDLA-Permissive-2.0", { "community data license agreement permissive version 2 0" }, NULL },
    { 16, "CDLA-Permissive-1.0", { "community data license agreement permissive version 1 0" }, NULL },
    { 16, "CDLA-Sharing-1.0", { "community data license agreement sharing version 1 0" }, NULL },
    { 17, "C-UDA-1.0", { "computational use of data agreement" }, NULL },
    { 18, "LicenseRef-Project-Gutenberg", { "the full project gutenberg license", "project gutenberg" }, NULL },
    { 19, "LicenseRef-bigscience-bloom-rail-1.0", { "bigscience rail license" }, NULL },
    { 19, "LicenseRef-bigcode-openrail-m", { "bigcode openrail m", "use restrictions" }, NULL },
    { 19, "LicenseRef-creativeml-openrail-m", { "creativeml open rail m", "use restrictions" }, NULL },
    { 19, "LicenseRef-bigscience-openrail-m", { "bigscience open rail m", "use restrictions" }, NULL },
    { 20, "LicenseRef-llama2", { "llama 2 community license agreement" }, NULL },
    { 20, "LicenseRef-llama3", { "meta llama 3 community license agreement" }, NULL },
    { 20, "LicenseRef-llama3.1", { "llama 3 1 community license agreement" }, NULL },
    { 20, "LicenseRef-llama3.2", { "llama 3 2 community license agreement" }, NULL },
    { 20, "LicenseRef-llama3.3", { "llama 3 3 community license agreement" }, NULL },
    { 20, "LicenseRef-llama4", { "llama 4 community license agreement" }, NULL },
    { 21, "LicenseRef-gemma", { "gemma terms of use", "distribution" }, NULL },
};

static bool row_fits(const struct sentence_row *r, const char *words)
{
    for (size_t i = 0; i < COUNT(r->must) && r->must[i]; i++)
        if (!strstr(words, r->must[i]))
            return false;
    return !r->not || !strstr(words, r->not);
}

static int find_tag(const char *text, size_t n, struct buf *out, struct err *err)
{
    static const char tag[] = "SPDX-License-Identifier:";
    const char *at = memmem(text, n, tag, sizeof tag - 1);
    if (!at)
        return 0;
    at += sizeof tag - 1;
    const char *end = memchr(at, '\n', n - (size_t)(at - text));
    size_t len = end ? (size_t)(end - at) : n - (size_t)(at - text);
    while (len && isspace((unsigned char)*at))
        at++, len--;
    while (len && isspace((unsigned char)at[len - 1]))
        len--;
    return add_expression(out, at, len, err);
}

static int text_of(const char *text, size_t n, struct buf *words, struct buf *out, enum licence_how *how, struct err *err)
{
    for (int whole = 0; whole < 2; whole++) {                   /* last: all of it, which the sentences are looked for in */
        buf_clear(words);
        TRY(text_words(words, text, n, whole, err));
        const char *id = digest_find(words);
        *how = LICENCE_BY_TEXT;
        if (id)
            return add_expression(out, id, strlen(id), err);
    }
    *how = LICENCE_BY_TAG;
    int found = find_tag(text, n, out, err), group = 0;
    if (found)
        return found;
    *how = LICENCE_BY_SENTENCES;
    for (size_t i = 0; i < COUNT(sentence_rows); i++) {
        if (sentence_rows[i].group == group || !row_fits(&sentence_rows[i], words->data))
            continue;
        group = sentence_rows[i].group;
        const int rc = add_expression(out, sentence_rows[i].id, strlen(sentence_rows[i].id), err);
        if (rc < 0)
            return rc;
        found = 1;
    }
    if (found)
        return found;
    *how = LICENCE_BY_WORDS;
    return licence_of_words(text, n, out, err);
}

int licence_of_text(const char *text, size_t n, struct buf *out, enum licence_how *how, struct err *err)
{
    struct buf words, own;
    *how = LICENCE_BY_TEXT;
    if (n > LICENCE_FILE_MAX)
        return ERR(err, RANGE, "a licence text of %zu bytes, expected at most %zu", n, LICENCE_FILE_MAX);
    buf_init(&words), buf_init(&own);
    int rc = text_of(text, n, &words, &own, how, err);
    if (rc > 0)
        rc = add_expression(out, own.data, own.len, err);
    buf_release(&words), buf_release(&own);
    return rc;
}

/* ---- Debian copyright files ---- */

struct dep5_reader { const char *text, *name; size_t n, at; int line; struct err *err; };

/* A line without its end; false after the last. */
static bool next_line(struct dep5_reader *r, const char **line, size_t *n)
{
    if (r->at >= r->n)
        return false;
    const char *end = memchr(r->text + r->at, '\n', r->n - r->at);
    *line = r->text + r->at;
    *n = end ? (size_t)(end - *line) : r->n - r->at;
    r->at += *n + 1, r->line++;
    if (*n && (*line)[*n - 1] == '\r')
        --*n;
    return true;
}

static bool is_field(const char *line, size_t n, const char *field)
{
    const size_t k = strlen(field);
    return n > k && !strncasecmp(line, field, k) && line[k] == ':';
}

static char *copy(const char *s, size_t n)
{
    char *c = mem_alloc(n + 1);
    if (c) {
        memcpy(c, s, n);
        c[n] = 0;
    }
    return c;
}

/* "LicenseRef-" and the name, what no id may hold as '-'. */
static int add_ref(struct buf *out, const char *kind, const char *name, size_t n, struct err *err)
{
    TRY(buf_add_str(out, kind, err));
    for (size_t i = 0; i < n; i++)
        TRY(buf_add_char(out, (isalnum((unsigned char)name[i]) && (unsigned char)name[i] < 128) || name[i] == '.' ? name[i] : '-', err));
    return 0;
}

/* One name of a synopsis, "GPL-2+ with OpenSSL exception". */
static int add_name(struct buf *out, const char *name, size_t n, struct err *err)
{
    const char *with = memmem(name, n, " with ", 6);
    size_t n_base = with ? (size_t)(with - name) : n, from = out->len;
    bool alnum = false;
    for (size_t i = 0; i < n_base; i++)
        alnum = alnum || isalnum((unsigned char)name[i]);
    if (!alnum)
        return ERR(err, FORMAT, "'%.*s' is no name of a licence", (int)(n < 60 ? n : 60), name);
    struct buf one;
    buf_init(&one);
    int rc = licence_of_words(name, n_base, &one, err);
    if (!rc)
        rc = add_ref(&one, "LicenseRef-", name, n_base, err);
    const bool simple = rc >= 0 && !strchr(one.data, ' ');
    rc = rc < 0 ? rc : simple ? buf_add_str(out, one.data, err) : buf_printf(out, err, "(%s)", one.data);
    buf_release(&one);
    if (rc < 0 || !with || !simple || from == out->len)
        return rc;
    const char *exception = with + 6;
    TRY(buf_add_str(out, " WITH ", err));
    return add_ref(out, "AdditionRef-", exception, n - n_base - 6, err);
}

/* "GPL-2+ or Artistic-2.0, and BSD-3-clause": 'and' before 'or', but a comma ends what is before it. */
static int synopsis(const char *s, size_t n, struct buf *out, struct err *err)
{
    size_t from = 0, i = 0;
    while (i < n) {
        size_t end = i;
        while (end < n && s[end] != ' ' && s[end] != ',')
            end++;
        const bool operator = (end - i == 2 && !strncasecmp(s + i, "or", 2)) || (end - i == 3 && !strncasecmp(s + i, "and", 3));
        const bool last = end == n, comma = !last && s[end] == ',';
        const size_t to = operator ? i : end;
        if (operator || last || comma) {
            size_t a = from, b = to;
            while (a < b && s[a] == ' ')
                a++;
            while (b > a && s[b - 1] == ' ')
                b--;
            if (b > a)
                TRY(add_name(out, s + a, b - a, err));
            if (comma && out->len) {
                struct buf whole;
                buf_init(&whole);
                int rc = buf_printf(&whole, err, "(%s)", out->data);
                buf_clear(out);
                rc = rc ? rc : buf_add(out, whole.data, whole.len, err);
                buf_release(&whole);
                TRY(rc);
            }
            if (operator)
                TRY(buf_printf(out, err, " %.*s ", (int)(end - i), s + i));
            from = end + comma;
        }
        i = end + 1;
        if (out->len > LICENCE_MAX)
            return ERR(err, FORMAT, "a licence line of more than %d bytes", LICENCE_MAX);
    }
    return 0;
}

static int synopsis_expression(const char *s, size_t n, struct buf *out, struct err *err)
{
    struct buf b;
    buf_init(&b);
    while (n && isspace((unsigned char)*s))
        s++, n--;
    while (n && isspace((unsigned char)s[n - 1]))
        n--;
    int rc = n > LICENCE_MAX ? ERR(err, FORMAT, "a licence line of more than %d bytes", LICENCE_MAX) : synopsis(s, n, &b, err);
    rc = rc ? rc : add_expression(out, b.data, b.len, err);
    if (!rc)
        rc = ERR(err, FORMAT, "'%.*s' is no list of licences", (int)(n < 100 ? n : 100), s);
    buf_release(&b);
    return rc;
}

static int add_stanza(struct dep5 *d, struct buf *patterns, const struct buf *licence, int line, struct err *err)
{
    struct dep5_files *more = mem_realloc_array(d->files, (size_t)d->n + 1, sizeof *more);
    if (more)
        d->files = more;
    struct dep5_files f = { copy(patterns->data, patterns->len), copy(licence->data, licence->len), line };
    if (!more || !f.patterns || !f.licence) {
        mem_free(f.patterns), mem_free(f.licence);
        return ERR(err, NOMEM, "no memory for the stanzas of a copyright file");
    }
    d->files[d->n++] = f;
    return 0;
}

static int read_stanzas(struct dep5 *d, struct dep5_reader *r, struct buf *patterns, struct buf *licence)
{
    const char *line;
    size_t n;
    int first = 0;
    bool in_files = false, headed = false, more = true;
    while (more) {
        more = next_line(r, &line, &n);
        size_t space = 0;
        while (more && space < n && isspace((unsigned char)line[space]))
            space++;
        if (!more || space == n) {                                /* the end of a stanza */
            if (patterns->len && !licence->len)
                return ERR(r->err, FORMAT, "%s:%d: a stanza with Files has no License", r->name, first);
            if (patterns->len)
                TRY(add_stanza(d, patterns, licence, first, r->err));
            buf_clear(patterns), buf_clear(licence);
            in_files = false;
        } else if (*line == '#') {
            continue;
        } else if (space) {
            if (in_files && patterns->len < LICENCE_FILE_MAX)
                TRY(buf_printf(patterns, r->err, " %.*s", (int)(n - space), line + space));
        } else if (!headed) {
            if (!is_field(line, n, "Format") || !(memmem(line, n, "copyright-format", 16) || memmem(line, n, "dep5", 4)))
                return ERR(r->err, FORMAT, "%s:%d: expected 'Format: ...copyright-format/1.0/'", r->name, r->line);
            headed = true;
        } else if (!memchr(line, ':', n)) {
            return ERR(r->err, FORMAT, "%s:%d: '%.*s', expected a field and ':'", r->name, r->line, (int)(n < 60 ? n : 60), line);
        } else {
            in_files = is_field(line, n, "Files");
            if (in_files) {
                first = r->line;
                TRY(buf_printf(patterns, r->err, " %.*s", (int)(n - 6), line + 6));
            }
            struct err why;
            if (is_field(line, n, "License") && patterns->len && !licence->len) {
                const int rc = synopsis_expression(line + 8, n - 8, licence, &why);
                if (rc < 0)
                    return rc == ERR_NOMEM ? ERR(r->err, NOMEM, "%s", why.msg) : ERR(r->err, FORMAT, "%s:%d: %s", r->name, r->line, why.msg);
            }
        }
    }
    return headed ? 0 : ERR(r->err, FORMAT, "%s: it is empty", r->name);
}

int dep5_read(struct dep5 *out, const char *text, size_t n, const char *name, struct err *err)
{
    struct dep5_reader r = { .text = text, .n = n, .name = name, .err = err };
    struct buf patterns, licence;
    *out = (struct dep5){ 0 };
    buf_init(&patterns), buf_init(&licence);
    const int rc = read_stanzas(out, &r, &patterns, &licence);
    buf_release(&patterns), buf_release(&licence);
    if (rc)
        dep5_release(out);
    return rc;
}

void dep5_release(struct dep5 *d)
{
    for (int i = 0; i < d->n; i++)
        mem_free(d->files[i].patterns), mem_free(d->files[i].licence);
    mem_free(d->files);
    *d = (struct dep5){ 0 };
}

/* '*' is any bytes, '/' too, '?' one, and \ takes what follows as it is.  Linear: on a mismatch the last '*' takes one byte more. */
static bool pattern_fits(const char *p, size_t n, const char *s)
{
    const char *end = p + n, *star = NULL, *from = s;
    while (*s) {
        const bool quoted = p + 1 < end && *p == '\\';
        if (p < end && *p == '*') {
            star = ++p, from = s;
        } else if (p < end && (*p == '?' || p[quoted] == *s)) {
            p += 1 + (*p == '?' ? 0 : quoted), s++;
        } else if (star) {
            p = star, s = ++from;
        } else {
            return false;
        }
    }
    while (p < end && *p == '*')
        p++;
    return p == end;
}

const char *dep5_find(const struct dep5 *d, const char *path)
{
    const char *licence = NULL;
    for (int i = 0; i < d->n; i++)
        for (const char *p = d->files[i].patterns; *p;) {
            p += strspn(p, " \t");
            const size_t n = strcspn(p, " \t");
            if (n && pattern_fits(p, n, path))
                licence = d->files[i].licence;
            p += n;
        }
    return licence;
}

/* ---- dataset cards ---- */

int card_read(json_t **out, const char *text, size_t n, const char *name, struct err *err)
{
    *out = NULL;
    size_t from = n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
    if (n - from < 4 || memcmp(text + from, "---", 3) || (text[from + 3] != '\n' && text[from + 3] != '\r'))
        return 0;
    const char *begin = memchr(text + from, '\n', n - from), *end = NULL;
    if (!begin)
        return 0;
    for (const char *p = begin; p && !end; p = memchr(p + 1, '\n', n - (size_t)(p + 1 - text)))
        if (n - (size_t)(p + 1 - text) >= 3 && !memcmp(p + 1, "---", 3))
            end = p + 1;
    if (!end)
        return ERR(err, FORMAT, "%s: the front matter that begins in line 1 has no end ('---')", name);
    TRY(tree_parse_yaml(out, begin + 1, (size_t)(end - begin) - 1, name, err));
    if (json_is_object(*out))
        return 1;
    json_decref(*out);
    *out = NULL;
    return ERR(err, FORMAT, "%s: the front matter is no list of keys", name);
}

static int card_word(const json_t *card, const char *word, struct buf *out, struct err *err)
{
    if (!strcasecmp(word, "other")) {                            /* then license_name has it, and at least a name of its own */
        const char *name = json_string_value(json_object_get(card, "license_name"));
        struct buf ref;
        if (!name || !*name || strlen(name) > 200)
            return 0;
        int rc = licence_of_words(name, strlen(name), out, err);
        if (rc)
            return rc;
        buf_init(&ref);
        rc = add_ref(&ref, "LicenseRef-", name, strlen(name), err);
        rc = rc ? rc : add_expression(out, ref.data, ref.len, err);
        buf_release(&ref);
        return rc;
    }
    return licence_of_words(word, strlen(word), out, err);
}

int card_licence(const json_t *card, struct buf *out, struct err *err)
{
    const json_t *v = json_object_get(card, "license"), *item;
    size_t i;
    struct buf all;
    buf_init(&all);
    int rc = json_is_string(v) ? card_word(card, json_string_value(v), &all, err) : 0;
    json_array_foreach(v, i, item) {
        rc = json_is_string(item) ? card_word(card, json_string_value(item), &all, err) : 0;
        if (rc <= 0)                                             /* of several, one that is not known leaves all unknown */
            break;
    }
    if (rc > 0)
        rc = add_expression(out, all.data, all.len, err);
    buf_release(&all);
    return rc;
}

/* ---- at a path ---- */

struct finder { struct licence_finds *out; const char *folder; const char *const *files; int n_file; void (*fault)(void *ctx, const char *path, const struct err *why); void *ctx; };

static int add_find(struct finder *f, const char *path, const struct buf *expression, enum licence_how how, struct err *err)
{
    struct licence_found *more = mem_realloc_array(f->out->item, (size_t)f->out->n + 1, sizeof *more);
    if (more)
        f->out->item = more;
    struct licence_found one = { mem_strdup(path), expression->len ? mem_strdup(expression->data) : NULL, how };
    if (!more || !one.path || (expression->len && !one.expression)) {
        mem_free(one.path), mem_free(one.expression);
        return ERR(err, NOMEM, "no memory for what '%s' says", path);
    }
    f->out->item[f->out->n++] = one;
    return 0;
}

/* AND of the stanzas that fit the files below the folder. */
static int find_dep5(struct finder *f, const struct buf *text, const char *path, struct buf *out, struct err *err)
{
    struct dep5 d;
    TRY(dep5_read(&d, text->data, text->len, path, err));
    const size_t n = strlen(f->folder);
    const char *last = NULL;
    int rc = 0;
    for (int i = 0; i < f->n_file && rc >= 0; i++) {
        const char *below = f->files[i];
        if (!strncmp(below, f->folder, n))
            below += n + strspn(below + n, "/");
        const char *licence = dep5_find(&d, below);
        if (!licence && strncmp(below, "debian/", 7))
            rc = ERR(err, NOTFOUND, "%s: no stanza fits '%s'", path, below);         /* what is not known allows nothing */
        if (!licence || licence == last)
            continue;
        rc = add_expression(out, licence, strlen(licence), err);
        last = licence;
    }
    dep5_release(&d);
    return rc < 0 ? rc : 1;
}

static int look_at(struct finder *f, const char *path, const char *name, const struct buf *text, struct err *err)
{
    struct buf found;
    enum licence_how how = LICENCE_BY_TEXT;
    int rc;
    buf_init(&found);
    if (!strcmp(name, "README.md")) {
        how = LICENCE_BY_CARD;
        rc = f->out->card ? 0 : card_read(&f->out->card, text->data, text->len, path, err);
        const bool told = rc > 0 && json_object_get(f->out->card, "license");
        rc = rc > 0 ? card_licence(f->out->card, &found, err) : rc;
        rc = rc < 0 ? rc : told;
    } else if (memmem(text->data, text->len, "copyright-format", 16) && !strncasecmp(text->data, "Format", 6)) {
        how = LICENCE_BY_DEP5;
        rc = find_dep5(f, text, path, &found, err);
    } else {
        rc = licence_of_text(text->data, text->len, &found, &how, err);
        rc = rc < 0 ? rc : 1;
    }
    if (rc > 0)
        rc = add_find(f, path, &found, how, err);
    buf_release(&found);
    return rc;
}

static int look(struct finder *f, const char *path, const char *name, struct err *err)
{
    struct buf text;
    struct err why = { 0 };
    buf_init(&text);
    int rc = file_read(path, LICENCE_FILE_MAX, &text, &why);
    rc = rc ? rc : look_at(f, path, name, &text, &why);
    buf_release(&text);
    if (rc == ERR_NOMEM)
        return ERR(err, NOMEM, "%s", why.msg);
    if (rc && f->fault)
        f->fault(f->ctx, path, &why);
    return 0;
}

static bool tells_licence(const char *name)
{
    static const char *const names[] = { "LICENSE", "LICENCE", "COPYING", "UNLICENSE", "copyright" };
    bool is = !strcmp(name, "README.md");
    for (size_t i = 0; i < COUNT(names); i++) {
        const size_t n = strlen(names[i]);
        is = is || (!strncasecmp(name, names[i], n) && (!name[n] || name[n] == '.' || name[n] == '-'));
    }
    return is;
}

int licence_find(struct licence_finds *out, const char *path, const char *const *files, int n_file, void (*fault)(void *ctx, const char *path, const struct err *why), void *ctx,
                 struct err *err)
{
    *out = (struct licence_finds){ 0 };
    char *folder = file_is_dir(path) ? mem_strdup(path) : file_parent(path);
    if (!folder)
        return ERR(err, NOMEM, "no memory for a name");
    struct finder f = { out, folder, files, n_file, fault, ctx };
    char **names = NULL;
    int n = 0, rc = file_list(folder, &names, &n, err);
    for (int i = 0; i < n && !rc; i++) {
        if (!tells_licence(names[i]) && strcmp(names[i], "debian"))
            continue;
        char *below = file_join(folder, strcmp(names[i], "debian") ? names[i] : "debian/copyright");
        if (!below)
            rc = ERR(err, NOMEM, "no memory for a name");
        else if (file_exists(below) && !file_is_dir(below))
            rc = look(&f, below, names[i], err);
        mem_free(below);
    }
    file_list_free(names, n);
    mem_free(folder);
    if (rc)
        licence_finds_release(out);
    return rc;
}

void licence_finds_release(struct licence_finds *f)
{
    for (int i = 0; i < f->n; i++)
        mem_free(f->item[i].path), mem_free(f->item[i].expression);
    mem_free(f->item);
    json_decref(f->card);
    *f = (struct licence_finds){ 0 };
}
