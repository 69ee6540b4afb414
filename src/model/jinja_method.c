/* jinja_method.c - the methods of strings, lists and dictionaries, and the functions that every template has. */
#include "model/jinja_method.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "model/unicode_case.h"

/* ---- characters ---- */

enum { TO_LOWER, TO_UPPER, TO_TITLE };
#define COUNT(a) (sizeof(a) / sizeof *(a))

static const struct { const struct unicode_run *run; size_t n_run; const struct unicode_many *many; size_t n_many; } case_tables[] = {
    { unicode_lower, COUNT(unicode_lower), unicode_lower_many, COUNT(unicode_lower_many) },
    { unicode_upper, COUNT(unicode_upper), unicode_upper_many, COUNT(unicode_upper_many) },
    { unicode_title, COUNT(unicode_title), unicode_title_many, COUNT(unicode_title_many) },
};

/* The character in the other case: 1 to 3 of them. */
static int char_case(uint32_t c, int to, uint32_t out[3])
{
    out[0] = c;
    if (c < 0x80) {
        if (to == TO_LOWER ? c >= 'A' && c <= 'Z' : c >= 'a' && c <= 'z')
            out[0] = c ^ 32;
        return 1;
    }
    for (size_t i = 0; i < case_tables[to].n_many; i++)
        if (case_tables[to].many[i].from == c) {
            int n = 0;
            for (; n < 3 && case_tables[to].many[i].to[n]; n++)
                out[n] = case_tables[to].many[i].to[n];
            return n;
        }
    const struct unicode_run *run = case_tables[to].run;
    size_t lo = 0, hi = case_tables[to].n_run;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (c > run[mid].last)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < case_tables[to].n_run && c >= run[lo].first && (c - run[lo].first) % (uint32_t)run[lo].step == 0)
        out[0] = (uint32_t)((int64_t)c + run[lo].delta);
    return 1;
}

static bool in_spans(const struct unicode_span *t, size_t n, uint32_t c)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (c > t[mid].last)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && c >= t[lo].first;
}

static bool is_letter(uint32_t c) { return c < 0x80 ? (c | 32) >= 'a' && (c | 32) <= 'z' : in_spans(unicode_alpha, COUNT(unicode_alpha), c); }
static bool is_digit(uint32_t c) { return c < 0x80 ? c >= '0' && c <= '9' : in_spans(unicode_digit, COUNT(unicode_digit), c); }
static bool is_number(uint32_t c) { return c < 0x80 ? is_digit(c) : in_spans(unicode_numeric, COUNT(unicode_numeric), c); }
bool jchar_word(uint32_t c) { return is_letter(c) || is_number(c) || c == '_'; }

static bool changes(uint32_t c, int to)
{
    uint32_t out[3];
    return char_case(c, to, out) > 1 || out[0] != c;
}
static bool is_cased(uint32_t c) { return changes(c, TO_LOWER) || changes(c, TO_UPPER); }

static bool word_break(uint32_t c) { return jchar_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<'; }

/* ---- strings ---- */

int jstr_case(struct jrun *r, const struct jval *s, int how, struct jval *out)
{
    struct jbuild b;
    bool start = true;
    TRY(jwork(r, (size_t)s->n * 8));
    jbuild_init(&b, r);
    for (size_t at = 0, len; at < s->n; at += len) {
        const uint32_t c = jchar_at(s->s + at, &len);
        uint32_t to[3];
        char text[16];
        size_t k = 0;
        if (how == JCASE_WORDS && word_break(c))
            start = true;
        const int way = how == JCASE_UPPER ? TO_UPPER : how == JCASE_LOWER || !start ? TO_LOWER : how == JCASE_WORDS ? TO_UPPER : TO_TITLE;
        const int n = char_case(c, way, to);
        for (int i = 0; i < n; i++)
            k += (size_t)utf8_put(to[i], text + k);
        TRY(jbuild_add(&b, text, k, s->mark ? s->mark[at] : s->input, NULL));
        start = how == JCASE_TITLE ? !is_cased(c) : how == JCASE_WORDS ? word_break(c) : false;
    }
    *out = jbuild_end(&b);
    out->code = s->code;
    return 0;
}

int jstr_escape(struct jrun *r, const struct jval *s, struct jval *out)
{
    static const char from[] = "&<>'\"";
    static const char *const to[] = { "&amp;", "&lt;", "&gt;", "&#39;", "&#34;" };
    struct jbuild b;
    size_t done = 0;
    *out = *s;
    if (s->code)
        return 0;
    jbuild_init(&b, r);
    for (size_t i = 0; i < s->n; i++) {
        const char *p = s->s[i] ? strchr(from, s->s[i]) : NULL;
        if (!p)
            continue;
        TRY(jbuild_part(&b, s, done, i));
        TRY(jbuild_text(&b, to[p - from], s->mark ? s->mark[i] : s->input));
        done = i + 1;
    }
    TRY(jbuild_part(&b, s, done, s->n));
    *out = jbuild_end(&b);
    out->code = 1;
    return 0;
}

static bool stripped(uint32_t c, const struct jval *chars)
{
    if (!chars)
        return jchar_space(c);
    for (size_t at = 0, len; at < chars->n; at += len)
        if (jchar_at(chars->s + at, &len) == c)
            return true;
    return false;
}

int jstr_strip(struct jrun *r, const struct jval *s, const struct jval *chars, int sides, struct jval *out)
{
    size_t from = 0, to = s->n, len;
    if (chars && chars->type == J_NONE)
        chars = NULL;
    if (chars && chars->type != J_STR)
        return jfail(r, FORMAT, "strip: found %s, expected a string", jval_type(chars));
    TRY(jwork(r, (size_t)s->n * (chars ? chars->n : 1)));
    while (sides & JSTRIP_LEFT && from < to && stripped(jchar_at(s->s + from, &len), chars))
        from += len;
    while (sides & JSTRIP_RIGHT && to > from) {
        size_t p = to - 1;
        while (p > from && ((unsigned char)s->s[p] & 0xc0) == 0x80)
            p--;
        if (!stripped(jchar_at(s->s + p, &len), chars))
            break;
        to = p;
    }
    return *out = jval_cut(s, from, to), 0;
}

int jstr_replace(struct jrun *r, const struct jval *s, const struct jval *from, const struct jval *to, int64_t count, struct jval *out)
{
    struct jbuild b;
    size_t at = 0;
    TRY(jwork(r, s->n));
    jbuild_init(&b, r);
    b.max = UINT32_MAX / 2;
    for (; count; count--) {
        /* An empty string stands before every character and at the end. */
        const char *found = from->n ? memmem(s->s + at, s->n - at, from->s, from->n) : s->s + at;
        if (!found)
            break;
        const size_t where = (size_t)(found - s->s);
        TRY(jwork(r, 0));
        TRY(jbuild_part(&b, s, at, where));
        TRY(jbuild_part(&b, to, 0, to->n));
        at = where + from->n;
        if (from->n)
            continue;
        if (at == s->n)
            break;
        const size_t len = jchar_offset(s->s + at, s->n - at, 1);
        TRY(jbuild_part(&b, s, at, at + len));
        at += len;
    }
    TRY(jbuild_part(&b, s, at, s->n));
    *out = jbuild_end(&b);
    return 0;
}

static int add_cut(struct jrun *r, const struct jval *s, size_t from, size_t to, struct jval *list)
{
    const struct jval v = jval_cut(s, from, to);
    TRY(jwork(r, 0));
    return jlist_add(r, list->list, &v);
}

static bool line_end(uint32_t c) { return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029; }

int jstr_lines(struct jrun *r, const struct jval *s, bool keep_ends, struct jval *out)
{
    TRY(jval_list(r, J_LIST, 0, out));
    TRY(jwork(r, s->n));
    size_t from = 0, len;
    for (size_t at = 0; at < s->n; at += len) {
        if (!line_end(jchar_at(s->s + at, &len)))
            continue;
        len += s->s[at] == '\r' && at + 1 < s->n && s->s[at + 1] == '\n';
        TRY(add_cut(r, s, from, keep_ends ? at + len : at, out));
        from = at + len;
    }
    return from < s->n ? add_cut(r, s, from, s->n, out) : 0;
}

int jstr_all(struct jrun *r, const struct jval *s, int what, bool *yes)
{
    bool some = false;
    TRY(jwork(r, (size_t)s->n * 8));
    for (size_t at = 0, len; at < s->n; at += len) {
        const uint32_t c = jchar_at(s->s + at, &len);
        bool ok;
        if (what == JALL_LOWER || what == JALL_UPPER) {
            ok = !changes(c, what == JALL_LOWER ? TO_LOWER : TO_UPPER);
            some |= is_cased(c);
        } else {
            ok = what == JALL_SPACE ? jchar_space(c) : what == JALL_DIGIT ? is_digit(c) : what == JALL_ALPHA ? is_letter(c) : is_letter(c) || is_number(c);
            some = true;
        }
        if (!ok) {
            *yes = false;
            return 0;
        }
    }
    *yes = some;
    return 0;
}

bool jstr_number(const struct jval *s, bool *real, int64_t *i, double *f)
{
    char text[64], *end;
    size_t n = 0, from = 0, to = s->n;
    while (from < to && jchar_space((unsigned char)s->s[from]))
        from++;
    while (to > from && jchar_space((unsigned char)s->s[to - 1]))
        to--;
    if (to - from >= sizeof text || from == to)
        return false;
    for (size_t k = from; k < to; k++) {
        const bool between = k > from && k + 1 < to && s->s[k - 1] >= '0' && s->s[k - 1] <= '9' && s->s[k + 1] >= '0' && s->s[k + 1] <= '9';
        if (s->s[k] != '_' || !between)
            text[n++] = s->s[k];
    }
    text[n] = 0;
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    *real = strspn(digits, "0123456789") != strlen(digits) || strlen(digits) > 18 || !*digits;
    *i = 0, *f = 0;
    if (!*real) {
        *i = strtoll(text, NULL, 10);
        return true;
    }
    /* strtod reads hexadecimal too; float() does not. */
    if (strspn(digits, "0123456789.eE+-") != strlen(digits) && strcmp(digits, "inf") && strcmp(digits, "nan") && strcmp(digits, "infinity"))
        return false;
    *f = strtod(text, &end);
    return *digits && !*end && end != text;
}

/* ---- methods of strings ---- */

static int want_str(struct jrun *r, const struct jval *v, const char *what)
{
    return v->type == J_STR ? 0 : jfail(r, FORMAT, "%s: found %s, expected a string", what, jval_type(v));
}

static int want_int(struct jrun *r, const struct jval *v, const char *what, int64_t fallback, int64_t *out)
{
    *out = fallback;
    if (v && v->type != J_INT)
        return jfail(r, FORMAT, "%s: found %s, expected a whole number", what, jval_type(v));
    if (v)
        *out = v->i;
    return 0;
}

static int split_space(struct jrun *r, const struct jval *s, int64_t max, struct jval *out)
{
    size_t at = 0, len = 0;
    for (;; max--) {
        while (at < s->n && jchar_space(jchar_at(s->s + at, &len)))
            at += len;
        if (at == s->n)
            return 0;
        if (!max)
            return add_cut(r, s, at, s->n, out);
        const size_t from = at;
        while (at < s->n && !jchar_space(jchar_at(s->s + at, &len)))
            at += len;
        TRY(add_cut(r, s, from, at, out));
    }
}

static int split_by(struct jrun *r, const struct jval *s, const struct jval *sep, int64_t max, struct jval *out)
{
    size_t at = 0;
    if (!sep->n)
        return jfail(r, FORMAT, "split by an empty string");
    for (; max; max--) {
        const char *found = memmem(s->s + at, s->n - at, sep->s, sep->n);
        if (!found)
            break;
        TRY(add_cut(r, s, at, (size_t)(found - s->s), out));
        at = (size_t)(found - s->s) + sep->n;
    }
    return add_cut(r, s, at, s->n, out);
}

/* The last place where what stands in s before `end`, or -1. */
static int64_t find_back(struct jrun *r, const struct jval *s, size_t end, const struct jval *what)
{
    if (what->n > end)
        return -1;
    r->steps -= (int64_t)(end / 32 * (1 + what->n / 8));
    for (size_t at = end - what->n + 1; at-- > 0;)
        if (!memcmp(s->s + at, what->s, what->n))
            return (int64_t)at;
    return -1;
}

static int split_by_back(struct jrun *r, const struct jval *s, const struct jval *sep, int64_t max, struct jval *out)
{
    struct jval back;
    size_t end = s->n;
    if (!sep->n)
        return jfail(r, FORMAT, "split by an empty string");
    TRY(jval_list(r, J_LIST, 0, &back));
    for (; max; max--) {
        const int64_t at = find_back(r, s, end, sep);
        if (at < 0)
            break;
        TRY(add_cut(r, s, (size_t)at + sep->n, end, &back));
        end = (size_t)at;
    }
    TRY(add_cut(r, s, 0, end, &back));
    for (uint32_t i = back.list->n; i-- > 0;)
        TRY(jlist_add(r, out->list, &back.list->v[i]));
    return 0;
}

static int m_split(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    int64_t max;
    const struct jval *sep = jarg(a, 0, "sep");
    TRY(want_int(r, jarg(a, 1, "maxsplit"), "split", -1, &max));
    TRY(jval_list(r, J_LIST, 0, out));
    TRY(jwork(r, s->n));
    if (!sep || sep->type == J_NONE)
        return split_space(r, s, max, out);
    TRY(want_str(r, sep, "split"));
    return split_by(r, s, sep, max, out);
}

static int m_rsplit(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    int64_t max;
    const struct jval *sep = jarg(a, 0, "sep");
    TRY(want_int(r, jarg(a, 1, "maxsplit"), "rsplit", -1, &max));
    TRY(jval_list(r, J_LIST, 0, out));
    TRY(jwork(r, s->n));
    if (!sep || sep->type == J_NONE)
        return max < 0 ? split_space(r, s, max, out) : jfail(r, UNSUPPORTED, "rsplit by white space with a limit is not supported");
    TRY(want_str(r, sep, "rsplit"));
    return split_by_back(r, s, sep, max, out);
}

static int m_splitlines(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    const struct jval *keep = jarg(a, 0, "keepends");
    return jstr_lines(r, s, keep && jval_truth(keep), out);
}

static int m_strip(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out) { return jstr_strip(r, s, jarg(a, 0, NULL), JSTRIP_BOTH, out); }
static int m_lstrip(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out) { return jstr_strip(r, s, jarg(a, 0, NULL), JSTRIP_LEFT, out); }
static int m_rstrip(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out) { return jstr_strip(r, s, jarg(a, 0, NULL), JSTRIP_RIGHT, out); }

static int has_end(struct jrun *r, const struct jval *s, const struct jval *what, bool front, bool *yes)
{
    if (what->type == J_TUPLE) {
        *yes = false;
        for (uint32_t i = 0; i < what->list->n && !*yes; i++) {
            TRY(want_str(r, &what->list->v[i], "startswith"));
            TRY(has_end(r, s, &what->list->v[i], front, yes));
        }
        return 0;
    }
    TRY(want_str(r, what, front ? "startswith" : "endswith"));
    *yes = what->n <= s->n && !memcmp(front ? s->s : s->s + s->n - what->n, what->s, what->n);
    return jwork(r, what->n);
}

static int m_startswith(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    bool yes;
    TRY(has_end(r, s, &a->v[0], true, &yes));
    *out = jval_bool(yes);
    return 0;
}

static int m_endswith(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    bool yes;
    TRY(has_end(r, s, &a->v[0], false, &yes));
    *out = jval_bool(yes);
    return 0;
}

static int m_removeprefix(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    bool yes;
    TRY(want_str(r, &a->v[0], "removeprefix"));
    TRY(has_end(r, s, &a->v[0], true, &yes));
    return *out = jval_cut(s, yes ? a->v[0].n : 0, s->n), 0;
}

static int m_removesuffix(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    bool yes;
    TRY(want_str(r, &a->v[0], "removesuffix"));
    TRY(has_end(r, s, &a->v[0], false, &yes));
    return *out = jval_cut(s, 0, s->n - (yes ? a->v[0].n : 0)), 0;
}

static int m_replace(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    int64_t count;
    TRY(want_str(r, &a->v[0], "replace"));
    TRY(want_str(r, &a->v[1], "replace"));
    TRY(want_int(r, jarg(a, 2, NULL), "replace", -1, &count));
    struct jval from = a->v[0], to = a->v[1];
    if (s->code) {
        TRY(jstr_escape(r, &a->v[0], &from));
        TRY(jstr_escape(r, &a->v[1], &to));
    }
    TRY(jstr_replace(r, s, &from, &to, count, out));
    out->code = s->code;
    return 0;
}

#define CASE_METHOD(name, how) \
    static int m_##name(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out) { return (void)a, jstr_case(r, s, how, out); }
CASE_METHOD(lower, JCASE_LOWER)
CASE_METHOD(upper, JCASE_UPPER)
CASE_METHOD(capitalize, JCASE_CAPITALIZE)
CASE_METHOD(title, JCASE_TITLE)

#define ALL_METHOD(name, what)                                                                                      \
    static int m_##name(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)                \
    {                                                                                                                 \
        bool yes;                                                                                                     \
        (void)a;                                                                                                      \
        TRY(jstr_all(r, s, what, &yes));                                                                              \
        *out = jval_bool(yes);                                                                                        \
        return 0;                                                                                                     \
    }
ALL_METHOD(isdigit, JALL_DIGIT)
ALL_METHOD(isalpha, JALL_ALPHA)
ALL_METHOD(isalnum, JALL_ALNUM)
ALL_METHOD(isspace, JALL_SPACE)
ALL_METHOD(islower, JALL_LOWER)
ALL_METHOD(isupper, JALL_UPPER)

static int m_find(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    TRY(want_str(r, &a->v[0], "find"));
    TRY(jwork(r, s->n));
    const char *found = memmem(s->s, s->n, a->v[0].s, a->v[0].n);
    *out = jval_int(found ? (int64_t)jchars(s->s, (size_t)(found - s->s)) : -1);
    return 0;
}

static int m_rfind(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    TRY(want_str(r, &a->v[0], "rfind"));
    const int64_t at = find_back(r, s, s->n, &a->v[0]);
    *out = jval_int(at < 0 ? -1 : (int64_t)jchars(s->s, (size_t)at));
    return 0;
}

static int m_count(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    int64_t n = 0;
    const struct jval *what = &a->v[0];
    if (s->type != J_STR) {
        for (uint32_t i = 0; i < s->list->n; i++) {
            bool equal;
            TRY(jwork(r, 0));
            TRY(jval_equal(r, &s->list->v[i], what, &equal));
            n += equal;
        }
        *out = jval_int(n);
        return 0;
    }
    TRY(want_str(r, what, "count"));
    TRY(jwork(r, s->n));
    if (!what->n)
        n = (int64_t)jchars(s->s, s->n) + 1;
    for (const char *p = s->s, *end = s->s + s->n; what->n && (p = memmem(p, (size_t)(end - p), what->s, what->n)); p += what->n)
        n++;
    *out = jval_int(n);
    return 0;
}

static int m_index(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    if (s->type == J_STR) {
        TRY(m_find(r, s, a, out));
        return out->i < 0 ? jfail(r, FORMAT, "index: the string is not there") : 0;
    }
    for (uint32_t i = 0; i < s->list->n; i++) {
        bool equal;
        TRY(jwork(r, 0));
        TRY(jval_equal(r, &s->list->v[i], &a->v[0], &equal));
        if (equal) {
            *out = jval_int(i);
            return 0;
        }
    }
    return jfail(r, FORMAT, "index: the value is not there");
}

static int m_join(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    struct jval list;
    struct jbuild b;
    TRY(jval_walk(r, &a->v[0], &list));
    jbuild_init(&b, r);
    b.max = UINT32_MAX / 2;
    for (uint32_t i = 0; i < list.list->n; i++) {
        TRY(jwork(r, 0));
        struct jval item = list.list->v[i];
        TRY(want_str(r, &item, "join"));
        if (s->code)
            TRY(jstr_escape(r, &list.list->v[i], &item));
        if (i)
            TRY(jbuild_part(&b, s, 0, s->n));
        TRY(jbuild_part(&b, &item, 0, item.n));
    }
    *out = jbuild_end(&b);
    out->code = s->code;
    return 0;
}

static int partition(struct jrun *r, const struct jval *s, const struct jargs *a, bool back, struct jval *out)
{
    const struct jval *sep = &a->v[0];
    TRY(want_str(r, sep, "partition"));
    if (!sep->n)
        return jfail(r, FORMAT, "partition by an empty string");
    TRY(jwork(r, s->n));
    const char *found = memmem(s->s, s->n, sep->s, sep->n);
    const int64_t at = back ? find_back(r, s, s->n, sep) : found ? found - s->s : -1;
    const size_t first = at >= 0 ? (size_t)at : back ? 0 : s->n, second = at >= 0 ? first + sep->n : first;
    TRY(jval_list(r, J_TUPLE, 3, out));
    TRY(add_cut(r, s, 0, first, out));
    TRY(add_cut(r, s, first, second, out));
    return add_cut(r, s, second, s->n, out);
}

static int m_partition(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out) { return partition(r, s, a, false, out); }
static int m_rpartition(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out) { return partition(r, s, a, true, out); }

/* ---- methods of dictionaries ---- */

int jdict_items(struct jrun *r, const struct jdict *d, struct jval *out)
{
    TRY(jval_list(r, J_LIST, d->n, out));
    for (uint32_t i = 0; i < d->n; i++) {
        struct jval pair;
        TRY(jval_list(r, J_TUPLE, 2, &pair));
        TRY(jlist_add(r, pair.list, &d->p[i].key));
        TRY(jlist_add(r, pair.list, &d->p[i].value));
        TRY(jlist_add(r, out->list, &pair));
    }
    return jwork(r, (size_t)d->n * 32);
}

static int m_items(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    (void)a;
    TRY(jdict_items(r, s->dict, out));
    out->type = J_VIEW;
    return 0;
}

static int m_keys(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    (void)a;
    TRY(jval_walk(r, s, out));
    out->type = J_VIEW;
    return jwork(r, (size_t)s->dict->n * 32);
}

static int m_values(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    (void)a;
    TRY(jval_list(r, J_VIEW, s->dict->n, out));
    for (uint32_t i = 0; i < s->dict->n; i++)
        TRY(jlist_add(r, out->list, &s->dict->p[i].value));
    return jwork(r, (size_t)s->dict->n * 32);
}

static int m_get(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    const struct jval *found;
    TRY(jdict_find(r, s->dict, &a->v[0], &found));
    *out = found ? *found : a->n > 1 ? a->v[1] : jval_none();
    return 0;
}

static int m_copy(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    (void)a;
    if (s->type == J_LIST) {
        TRY(jval_list(r, J_LIST, s->list->n, out));
        for (uint32_t i = 0; i < s->list->n; i++)
            TRY(jlist_add(r, out->list, &s->list->v[i]));
        return jwork(r, (size_t)s->list->n * 32);
    }
    *out = *s;               /* nothing can change it, so it may be the same one */
    return 0;
}

/* ---- other objects ---- */

static int m_next(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    (void)r, (void)a;
    *out = s->list->v[s->list->at++ % s->list->n];
    s->list->at %= s->list->n;
    return 0;
}

static int m_reset(struct jrun *r, const struct jval *s, const struct jargs *a, struct jval *out)
{
    (void)r, (void)a;
    s->list->at = 0;
    *out = jval_none();
    return 0;
}

/* ---- the table ---- */

typedef int method_fn(struct jrun *r, const struct jval *self, const struct jargs *a, struct jval *out);
enum { OF_STR = 1, OF_LIST = 2, OF_TUPLE = 4, OF_DICT = 8, OF_CYCLER = 16 };
#define WORDS(...) { __VA_ARGS__ }
/* name, of which types, least and most arguments, their names (NULL: by place only), function.
 * fn NULL: it would change its value, so it is as if it were not there, also where a key has its name. */
static const struct { const char *name; unsigned of; int min, max; const char *names[2]; method_fn *fn; } methods[] = {
    { "split", OF_STR, 0, 2, WORDS("sep", "maxsplit"), m_split },
    { "items", OF_DICT, 0, 0, WORDS(NULL), m_items },
    { "get", OF_DICT, 1, 2, WORDS(NULL), m_get },
    { "strip", OF_STR, 0, 1, WORDS(NULL), m_strip },
    { "lstrip", OF_STR, 0, 1, WORDS(NULL), m_lstrip },
    { "rstrip", OF_STR, 0, 1, WORDS(NULL), m_rstrip },
    { "startswith", OF_STR, 1, 1, WORDS(NULL), m_startswith },
    { "endswith", OF_STR, 1, 1, WORDS(NULL), m_endswith },
    { "keys", OF_DICT, 0, 0, WORDS(NULL), m_keys },
    { "values", OF_DICT, 0, 0, WORDS(NULL), m_values },
    { "replace", OF_STR, 2, 3, WORDS(NULL), m_replace },
    { "lower", OF_STR, 0, 0, WORDS(NULL), m_lower },
    { "upper", OF_STR, 0, 0, WORDS(NULL), m_upper },
    { "capitalize", OF_STR, 0, 0, WORDS(NULL), m_capitalize },
    { "title", OF_STR, 0, 0, WORDS(NULL), m_title },
    { "find", OF_STR, 1, 1, WORDS(NULL), m_find },
    { "rfind", OF_STR, 1, 1, WORDS(NULL), m_rfind },
    { "count", OF_STR | OF_LIST | OF_TUPLE, 1, 1, WORDS(NULL), m_count },
    { "index", OF_STR | OF_LIST | OF_TUPLE, 1, 1, WORDS(NULL), m_index },
    { "isdigit", OF_STR, 0, 0, WORDS(NULL), m_isdigit },
    { "isalpha", OF_STR, 0, 0, WORDS(NULL), m_isalpha },
    { "isalnum", OF_STR, 0, 0, WORDS(NULL), m_isalnum },
    { "isspace", OF_STR, 0, 0, WORDS(NULL), m_isspace },
    { "islower", OF_STR, 0, 0, WORDS(NULL), m_islower },
    { "isupper", OF_STR, 0, 0, WORDS(NULL), m_isupper },
    { "rsplit", OF_STR, 0, 2, WORDS("sep", "maxsplit"), m_rsplit },
    { "splitlines", OF_STR, 0, 1, WORDS("keepends"), m_splitlines },
    { "join", OF_STR, 1, 1, WORDS(NULL), m_join },
    { "partition", OF_STR, 1, 1, WORDS(NULL), m_partition },
    { "rpartition", OF_STR, 1, 1, WORDS(NULL), m_rpartition },
    { "removeprefix", OF_STR, 1, 1, WORDS(NULL), m_removeprefix },
    { "removesuffix", OF_STR, 1, 1, WORDS(NULL), m_removesuffix },
    { "copy", OF_DICT | OF_LIST, 0, 0, WORDS(NULL), m_copy },
    { "next", OF_CYCLER, 0, 0, WORDS(NULL), m_next },
    { "reset", OF_CYCLER, 0, 0, WORDS(NULL), m_reset },
    { "append", OF_LIST, 0, 0, WORDS(NULL), NULL },
    { "pop", OF_LIST | OF_DICT, 0, 0, WORDS(NULL), NULL },
    { "clear", OF_LIST | OF_DICT, 0, 0, WORDS(NULL), NULL },
    { "update", OF_DICT, 0, 0, WORDS(NULL), NULL },
    { "setdefault", OF_DICT, 0, 0, WORDS(NULL), NULL },
    { "popitem", OF_DICT, 0, 0, WORDS(NULL), NULL },
};

int jmethod_find(const char *name, size_t n)
{
    for (size_t i = 0; i < COUNT(methods); i++)
        if (strlen(methods[i].name) == n && !memcmp(methods[i].name, name, n))
            return (int)i;
    return -1;
}

bool jmethod_has(int code, const struct jval *self)
{
    static const unsigned bit[] = { [J_STR] = OF_STR, [J_LIST] = OF_LIST, [J_TUPLE] = OF_TUPLE, [J_DICT] = OF_DICT, [J_CYCLER] = OF_CYCLER };
    return self->type < COUNT(bit) && bit[self->type] & methods[code].of;
}

bool jmethod_allowed(int code) { return methods[code].fn != NULL; }

int jmethod_call(struct jrun *r, int code, const struct jval *self, const struct jargs *a, struct jval *out)
{
    const char *name = methods[code].name;
    if (!methods[code].fn)
        return jfail(r, FORMAT, "%s() would change %s, which templates may not", name, jval_type(self));
    for (int k = 0; k < a->n_kw; k++) {
        int i = 0;
        while (i < 2 && !(methods[code].names[i] && !strcmp(methods[code].names[i], a->kw_name[k])))
            i++;
        if (i == 2 || i < a->n)
            return jfail(r, FORMAT, "%s: found an argument '%s', which it does not take", name, a->kw_name[k]);
    }
    if (a->n + a->n_kw < methods[code].min || a->n + a->n_kw > methods[code].max)
        return jfail(r, FORMAT, "%s: found %d arguments, expected %d to %d", name, a->n + a->n_kw, methods[code].min, methods[code].max);
    return methods[code].fn(r, self, a, out);
}

/* ---- functions ---- */

static int fn_namespace(struct jrun *r, const struct jargs *a, struct jval *out)
{
    TRY(jval_dict(r, J_NAMESPACE, 8, out));
    for (int i = 0; i < a->n; i++) {
        if (a->v[i].type != J_DICT)
            return jfail(r, FORMAT, "namespace: found %s, expected a dictionary", jval_type(&a->v[i]));
        for (uint32_t k = 0; k < a->v[i].dict->n; k++)
            TRY(jdict_set(r, out->dict, &a->v[i].dict->p[k].key, &a->v[i].dict->p[k].value));
    }
    for (int i = 0; i < a->n_kw; i++) {
        const struct jval key = jval_str(a->kw_name[i], strlen(a->kw_name[i]));
        TRY(jdict_set(r, out->dict, &key, &a->kw[i]));
    }
    return 0;
}

static int fn_dict(struct jrun *r, const struct jargs *a, struct jval *out)
{
    TRY(fn_namespace(r, a, out));
    out->type = J_DICT;
    return 0;
}

static int fn_raise(struct jrun *r, const struct jargs *a, struct jval *out)
{
    struct jval s;
    (void)out;
    TRY(jargs_check(r, a, "raise_exception", 1, (const char *const[]){ "message", NULL }));
    TRY(jval_to_str(r, jarg(a, 0, "message"), &s));
    return jfail(r, REFUSED, "%.*s", (int)(s.n > 350 ? 350 : s.n), s.s);
}

static int fn_strftime(struct jrun *r, const struct jargs *a, struct jval *out)
{
    char format[128], text[512];
    TRY(jargs_check(r, a, "strftime_now", 1, (const char *const[]){ "format", NULL }));
    const struct jval *f = jarg(a, 0, "format");
    TRY(want_str(r, f, "strftime_now"));
    if (f->n >= sizeof format || memchr(f->s, 0, f->n))
        return jfail(r, RANGE, "strftime_now: a format of %u bytes, expected at most %zu", f->n, sizeof format - 1);
    memcpy(format, f->s, f->n);
    format[f->n] = 0;
    const size_t n = strftime(text, sizeof text, format, r->now);
    for (size_t i = 0, k; i < n; i += k)
        if (!(k = (size_t)utf8_length(text + i, text + n)))
            return jfail(r, FORMAT, "strftime_now: the system's names are not UTF-8");
    struct jbuild b;
    jbuild_init(&b, r);
    TRY(jbuild_add(&b, text, n, f->input, NULL));
    *out = jbuild_end(&b);
    return 0;
}

static int fn_range(struct jrun *r, const struct jargs *a, struct jval *out)
{
    int64_t v[3] = { 0, 0, 1 };
    if (a->n < 1 || a->n > 3 || a->n_kw)
        return jfail(r, FORMAT, "range: found %d arguments, expected 1 to 3", a->n + a->n_kw);
    for (int i = 0; i < a->n; i++)
        TRY(want_int(r, &a->v[i], "range", 0, &v[i + (a->n == 1)]));
    const int64_t from = v[0], to = v[1], step = v[2];
    if (!step)
        return jfail(r, FORMAT, "range: a step of 0");
    /* The sandbox's limit. */
    const double n = step > 0 ? ceil(((double)to - (double)from) / (double)step) : ceil(((double)from - (double)to) / -(double)step);
    if (n > 100000)
        return jfail(r, RANGE, "range: %.0f values, expected at most 100000", n);
    TRY(jval_list(r, J_VIEW, 0, out));
    out->code = 1;
    for (int64_t i = 0; i < (int64_t)n; i++) {
        const struct jval item = jval_int(from + i * step);
        TRY(jwork(r, 0));
        TRY(jlist_add(r, out->list, &item));
    }
    return 0;
}

static int fn_cycler(struct jrun *r, const struct jargs *a, struct jval *out)
{
    if (!a->n || a->n_kw)
        return jfail(r, FORMAT, "cycler: expected values to go through");
    TRY(jval_list(r, J_CYCLER, (uint32_t)a->n, out));
    for (int i = 0; i < a->n; i++)
        TRY(jlist_add(r, out->list, &a->v[i]));
    return 0;
}

static int fn_joiner(struct jrun *r, const struct jargs *a, struct jval *out)
{
    struct jval *sep = jpool_take(&r->pool, sizeof *sep);
    bool *used = sep ? jpool_take(&r->pool, sizeof *used) : NULL;
    if (!used)
        return jfail_memory(r);
    TRY(jargs_check(r, a, "joiner", 0, (const char *const[]){ "sep", NULL }));
    *sep = jarg(a, 0, "sep") ? *jarg(a, 0, "sep") : jval_str(", ", 2);
    *used = false;
    *out = (struct jval){ .type = J_JOINER, .used = used, .sep = sep };
    return 0;
}

static const struct { const char *name; int (*fn)(struct jrun *, const struct jargs *, struct jval *); } functions[] = {
    { "namespace", fn_namespace }, { "raise_exception", fn_raise }, { "strftime_now", fn_strftime }, { "range", fn_range }, { "dict", fn_dict },
    { "cycler", fn_cycler }, { "joiner", fn_joiner },
};

int jfunc_find(const char *name, size_t n)
{
    for (size_t i = 0; i < COUNT(functions); i++)
        if (strlen(functions[i].name) == n && !memcmp(functions[i].name, name, n))
            return (int)i;
    return -1;
}

int jfunc_call(struct jrun *r, int code, const struct jargs *a, struct jval *out)
{
    out->input = false;
    return functions[code].fn(r, a, out);
}
