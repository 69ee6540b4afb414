#include "base/opt.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the nearest word: edit distance with neighbours swapped counted as one (Damerau, restricted) ---- */

#define WORD_MAX 48

static int min3(int a, int b, int c) { return a < b ? (a < c ? a : c) : (b < c ? b : c); }

static int distance(const char *a, const char *b)
{
    const int n = (int)strlen(a), m = (int)strlen(b);
    if (n >= WORD_MAX || m >= WORD_MAX)
        return WORD_MAX;
    int d[WORD_MAX][WORD_MAX];
    for (int i = 0; i <= n; i++)
        d[i][0] = i;
    for (int j = 0; j <= m; j++)
        d[0][j] = j;
    for (int i = 1; i <= n; i++)
        for (int j = 1; j <= m; j++) {
            d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    return d[n][m];
}

int word_index(const char *word, size_t n, const char *choices)
{
    for (int i = 0;; i++) {
        const size_t len = strcspn(choices, "|");
        if (len == n && !memcmp(choices, word, n))
            return i;
        if (!choices[len])
            return -1;
        choices += len + 1;
    }
}

const char *word_nearest(const char *word, const char *const *list, int n)
{
    const int third = (int)strlen(word) / 3, limit = third > 2 ? third : 2;
    const char *best = NULL;
    int best_distance = limit + 1;
    for (int i = 0; i < n; i++) {
        const int d = distance(word, list[i]);
        if (d < best_distance && d < (int)strlen(list[i]))
            best = list[i], best_distance = d;
    }
    return best;
}

const struct opt *opt_find(const struct opt *opts, const char *name)
{
    for (; opts->type != OPT_END; opts++)
        if (!strcmp(opts->name, name))
            return opts;
    return NULL;
}

const char *opt_nearest(const struct opt *opts, const char *name)
{
    const char *best = NULL;
    int best_distance = WORD_MAX;
    for (; opts->type != OPT_END; opts++) {
        const char *near = word_nearest(name, &opts->name, 1);
        if (near && distance(name, near) < best_distance)
            best = near, best_distance = distance(name, near);
    }
    return best;
}

/* ---- values ---- */

static bool parse_int(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    const char *digits = text + strspn(text, " \t\n\v\f\r");
    digits += *digits == '-' || *digits == '+';
    const long long v = strtoll(text, &end, digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X') ? 16 : 10);      /* 010 is ten, as in YAML */
    *out = v;
    return end != text && !*end && !errno;
}

static bool parse_float(const char *text, double *out)
{
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    return end != text && !*end && isfinite(*out);
}

static bool is_choice(const char *choices, const char *text)
{
    const size_t n = strlen(text);
    for (const char *at = choices; n; at++) {
        const char *bar = strchr(at, '|');
        const size_t len = bar ? (size_t)(bar - at) : strlen(at);
        if (len == n && !memcmp(at, text, n))
            return true;
        if (!bar)
            break;
        at = bar;
    }
    return false;
}

static int check_range(const struct opt *o, const char *where, const char *text, double v, struct err *err)
{
    if ((o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max))
        return 0;
    return ERR(err, USAGE, "%s: found %s, expected %.10g to %.10g", where, text, o->min, o->max);
}

int opt_set(const struct opt *o, const char *where, const char *text, struct err *err)
{
    int64_t i;
    double f;
    switch (o->type) {
    case OPT_FLAG:
        if (strcmp(text, "true") && strcmp(text, "false"))
            return ERR(err, USAGE, "%s: found '%s', expected true or false", where, text);
        *(bool *)o->value = !strcmp(text, "true");
        return 0;
    case OPT_INT:
        if (!parse_int(text, &i))
            return ERR(err, USAGE, "%s: found '%s', expected a whole number", where, text);
        TRY(check_range(o, where, text, (double)i, err));
        *(int64_t *)o->value = i;
        return 0;
    case OPT_FLOAT:
        if (!parse_float(text, &f))
            return ERR(err, USAGE, "%s: found '%s', expected a number", where, text);
        TRY(check_range(o, where, text, f, err));
        *(double *)o->value = f;
        return 0;
    case OPT_CHOICE:
        if (!is_choice(o->values, text))
            return ERR(err, USAGE, "%s: found '%s', expected one of %s", where, text, o->values);
        *(const char **)o->value = text;
        return 0;
    case OPT_STR:
        *(const char **)o->value = text;
        return 0;
    case OPT_LIST: {
        struct opt_list *l = o->value;
        if (l->n == OPT_LIST_MAX)
            return ERR(err, USAGE, "%s: more than %d of them", where, OPT_LIST_MAX);
        l->item[l->n++] = text;
        return 0;
    }
    case OPT_END:
        break;
    }
    return ERR(err, USAGE, "%s: not an option", where);
}

/* ---- command lines ---- */

static int unknown(const struct opt *opts, const char *arg, const char *name, struct err *err)
{
    const char *near = opt_nearest(opts, name);
    if (near)
        return ERR(err, USAGE, "unknown option %s; did you mean %s%s?", arg, near[1] ? "--" : "-", near);
    return ERR(err, USAGE, "unknown option %s", arg);
}

static void note(const struct opt *opts, const struct opt *o, bool *given)
{
    if (given)
        given[o - opts] = true;
}

int opt_parse(const struct opt *opts, int argc, char **argv, const char **args, int max_args, struct err *err)
{
    return opt_parse_given(opts, argc, argv, args, max_args, NULL, err);
}

int opt_parse_given(const struct opt *opts, int argc, char **argv, const char **args, int max_args, bool *given, struct err *err)
{
    int n_args = 0;
    bool only_args = false;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (only_args || arg[0] != '-' || !arg[1]) {
            if (n_args == max_args)
                return ERR(err, USAGE, "unexpected argument '%s'", arg);
            args[n_args++] = arg;
            continue;
        }
        if (!strcmp(arg, "--")) {
            only_args = true;
            continue;
        }
        const char *text = arg + 1 + (arg[1] == '-'), *equals = strchr(text, '=');
        char name[WORD_MAX], where[WORD_MAX + 4];
        const size_t n = equals ? (size_t)(equals - text) : strlen(text);
        if (n >= sizeof name)
            return ERR(err, USAGE, "unknown option %s", arg);
        memcpy(name, text, n);
        name[n] = 0;
        const struct opt *o = opt_find(opts, name);
        if (o && (n == 1) != (arg[1] != '-'))
            o = NULL;
        if (!o && !strncmp(name, "no-", 3) && (o = opt_find(opts, name + 3)) && o->type == OPT_FLAG && !equals) {
            *(bool *)o->value = false;
            note(opts, o, given);
            continue;
        }
        if (!o || !strncmp(name, "no-", 3))
            return unknown(opts, arg, name, err);
        note(opts, o, given);
        snprintf(where, sizeof where, "%s%s", n == 1 ? "-" : "--", name);
        if (o->type == OPT_FLAG && !equals) {
            *(bool *)o->value = true;
            continue;
        }
        if (!equals && i + 1 == argc)
            return ERR(err, USAGE, "%s needs a value: %s", where, o->values);
        TRY(opt_set(o, where, equals ? equals + 1 : argv[++i], err));
    }
    return n_args;
}

void opt_help(const struct opt *opts, FILE *out)
{
    for (; opts->type != OPT_END; opts++) {
        char left[96];
        snprintf(left, sizeof left, "%s%s%s%s", opts->name[1] ? "--" : "-", opts->name, opts->type == OPT_FLAG ? "" : " ",
                 opts->type == OPT_FLAG ? "" : opts->values);
        fprintf(out, "  %-28s %s", left, opts->help);
        if (opts->type == OPT_INT)
            fprintf(out, " (default %lld)", (long long)*(int64_t *)opts->value);
        else if (opts->type == OPT_FLOAT)
            fprintf(out, " (default %g)", *(double *)opts->value);
        else if ((opts->type == OPT_STR || opts->type == OPT_CHOICE) && *(const char **)opts->value)
            fprintf(out, " (default %s)", *(const char **)opts->value);
        fputc('\n', out);
    }
}
