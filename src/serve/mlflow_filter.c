#include "serve/mlflow_filter.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct reader { const char *text, *p, *keys; };

static int wrong(const struct reader *r, const char *expected, struct err *err)
{
    return ERR(err, USAGE, "filter: found '%.60s' at character %d, expected %s", r->p, (int)(r->p - r->text) + 1, expected);
}

static void skip(struct reader *r) { r->p += strspn(r->p, " \t\n\r"); }

/* Is the next word that, whatever its case? */
static bool word(struct reader *r, const char *w)
{
    const size_t n = strlen(w);
    if (strncasecmp(r->p, w, n) || isalnum((unsigned char)r->p[n]) || r->p[n] == '_')
        return false;
    r->p += n;
    return true;
}

/* Up to the quote that it begins with. */
static int quoted(struct reader *r, char *out, size_t size, struct err *err)
{
    const char *end = strchr(r->p + 1, *r->p);
    if (!end)
        return wrong(r, "a text with a quote at its end", err);
    if ((size_t)(end - r->p) > size)
        return wrong(r, "a shorter text", err);
    memcpy(out, r->p + 1, (size_t)(end - r->p) - 1);
    out[end - r->p - 1] = 0;
    r->p = end + 1;
    return 0;
}

static bool known(const char *keys, const char *key)
{
    const size_t n = strlen(key);
    for (const char *k = keys; n && k; k = strchr(k, '|')) {
        k += *k == '|';
        if (!strncmp(k, key, n) && (!k[n] || k[n] == '|'))
            return true;
    }
    return false;
}

static int bare(struct reader *r, char *out, size_t size, struct err *err)
{
    const size_t n = strspn(r->p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    if (!n || n >= size)
        return wrong(r, "a key", err);
    memcpy(out, r->p, n);
    out[n] = 0;
    r->p += n;
    return 0;
}

static int read_key(struct reader *r, struct mlflow_test *t, struct err *err)
{
    const struct reader before = *r;
    static const char *const prefix[] = { "tags.", "tag." };
    for (size_t i = 0; i < sizeof prefix / sizeof *prefix && !t->tag; i++)
        if (!strncmp(r->p, prefix[i], strlen(prefix[i])))
            t->tag = true, r->p += strlen(prefix[i]);
    if (t->tag && (*r->p == '`' || *r->p == '"'))
        return quoted(r, t->key, sizeof t->key, err);
    TRY(bare(r, t->key, sizeof t->key, err));
    char expected[200];
    snprintf(expected, sizeof expected, "%s or tags.KEY", r->keys);
    return t->tag || known(r->keys, t->key) ? 0 : wrong(&before, expected, err);
}

static int read_op(struct reader *r, struct mlflow_test *t, bool number, struct err *err)
{
    static const struct { const char *text; enum mlflow_op op; } ops[] = {
        { "!=", MLFLOW_NE }, { "<>", MLFLOW_NE }, { "<=", MLFLOW_LE }, { ">=", MLFLOW_GE }, { "<", MLFLOW_LT }, { ">", MLFLOW_GT }, { "=", MLFLOW_EQ } };
    const struct reader before = *r;
    bool found = false;
    for (size_t i = 0; i < sizeof ops / sizeof *ops && !found; i++)
        if ((found = !strncmp(r->p, ops[i].text, strlen(ops[i].text))))
            t->op = ops[i].op, r->p += strlen(ops[i].text);
    if (!found && (found = word(r, "ILIKE")))
        t->op = MLFLOW_ILIKE;
    if (!found && (found = word(r, "LIKE")))
        t->op = MLFLOW_LIKE;
    if (found && (t->op <= MLFLOW_NE || (number ? t->op <= MLFLOW_GT : t->op >= MLFLOW_ILIKE)))
        return 0;
    return wrong(&before, number ? "=, !=, <, <=, > or >=" : "=, !=, LIKE or ILIKE", err);
}

static int read_value(struct reader *r, struct mlflow_test *t, bool number, struct err *err)
{
    const struct reader before = *r;
    if (*r->p == '\'' || *r->p == '"')
        TRY(quoted(r, t->value, sizeof t->value, err));
    else if (number)
        TRY(bare(r, t->value, sizeof t->value, err));
    else
        return wrong(r, "a text in quotes", err);
    const size_t n = strlen(t->value);
    if (number && (!n || n > 15 || strspn(t->value, "0123456789") < n))
        return wrong(&before, "a number", err);
    t->number = number ? strtoll(t->value, NULL, 10) : 0;
    return 0;
}

int mlflow_filter_parse(struct mlflow_filter *out, const char *text, const char *keys, struct err *err)
{
    struct reader r = { text, text, keys };
    out->n = 0;
    skip(&r);
    while (*r.p) {
        if (out->n == MLFLOW_TESTS)
            return ERR(err, USAGE, "filter: found more than %d comparisons", MLFLOW_TESTS);
        struct mlflow_test *t = &out->test[out->n];
        *t = (struct mlflow_test){ .tag = false };
        TRY(read_key(&r, t, err));
        const bool number = !t->tag && !strcmp(t->key, "version_number");
        skip(&r);
        TRY(read_op(&r, t, number, err));
        skip(&r);
        TRY(read_value(&r, t, number, err));
        out->n++;
        skip(&r);
        if (!*r.p)
            break;
        if (!word(&r, "AND"))
            return wrong(&r, "AND or the end", err);
        skip(&r);
        if (!*r.p)
            return wrong(&r, "a comparison after AND", err);
    }
    return 0;
}

/* ---- does it match? ---- */

static bool same(char a, char b, bool any_case) { return a == b || (any_case && tolower((unsigned char)a) == tolower((unsigned char)b)); }

/* After a mismatch the last % takes one character more: at most length times length steps. */
bool mlflow_like(const char *text, const char *pattern, bool any_case)
{
    const char *again = NULL, *from = NULL;
    while (*text) {
        if (*pattern == '%')
            again = ++pattern, from = text;
        else if (*pattern && (*pattern == '_' || same(*text, *pattern, any_case)))
            text++, pattern++;
        else if (again)
            pattern = again, text = ++from;
        else
            return false;
    }
    return strspn(pattern, "%") == strlen(pattern);
}

bool mlflow_test_is(const struct mlflow_test *t, const char *value)
{
    if (!value)
        return false;
    const bool number = !t->tag && !strcmp(t->key, "version_number");
    const int64_t n = number ? strtoll(value, NULL, 10) : 0;
    const int order = number ? (n > t->number) - (n < t->number) : strcmp(value, t->value);
    switch (t->op) {
    case MLFLOW_EQ: return order == 0;
    case MLFLOW_NE: return order != 0;
    case MLFLOW_LE: return order <= 0;
    case MLFLOW_GE: return order >= 0;
    case MLFLOW_LT: return order < 0;
    case MLFLOW_GT: return order > 0;
    default: return mlflow_like(value, t->value, t->op == MLFLOW_ILIKE);
    }
}
