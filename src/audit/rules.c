#include "audit/rules.h"
#include <math.h>
#include <string.h>

#define TEXT(x) #x
#define SLASHED(family, dialect, version, name) TEXT(family) "/" TEXT(dialect) "/" TEXT(version) "/" TEXT(name)
static const struct rule_info infos[N_RULE] = {
#define RULE(family, dialect, version, name, reason, of, a, b, compare, limit) \
    { SLASHED(family, dialect, version, name), TEXT(family), TEXT(dialect), TEXT(name), reason, of, RULE_##compare, limit },
#include "audit/rules.def"
#undef RULE
};

const struct rule_info *rule_info(int rule) { return &infos[rule]; }

int rule_find(const char *id)
{
    for (int i = 0; i < N_RULE; i++)
        if (!strcmp(infos[i].id, id))
            return i;
    return -1;
}

int rule_groups(const char *dialect)
{
    if (!strcmp(dialect, "dolma"))
        return SIGNALS_BASE | SIGNALS_SPACED | SIGNALS_DOLMA;
    if (!strcmp(dialect, "nemo"))
        return SIGNALS_BASE | SIGNALS_SPACED | SIGNALS_NEMO;
    return strcmp(dialect, "datatrove") ? 0 : SIGNALS_BASE;
}

void rules_policy_init(struct rules_policy *p)
{
    for (int i = 0; i < N_RULE; i++) {
        p->limit[i] = infos[i].limit;
        p->on[i] = false;
    }
}

/* Up to a / or the end of both. */
static bool is_below(const char *id, const char *what)
{
    const size_t n = strlen(what);
    return !strncmp(id, what, n) && (!id[n] || id[n] == '/');
}

int rules_policy_add(struct rules_policy *p, const char *what, struct err *err)
{
    bool any = false, datatrove = false;
    for (int i = 0; i < N_RULE; i++)
        datatrove = datatrove || (!strcmp(infos[i].family, what) && !strcmp(infos[i].dialect, "datatrove"));
    for (int i = 0; i < N_RULE; i++) {
        if (!is_below(infos[i].id, what) || (datatrove && strcmp(infos[i].dialect, "datatrove")))
            continue;
        p->on[i] = any = true;
    }
    if (any)
        return 0;
    return ERR(err, USAGE, "no rule is called '%s': expected gopher_rep, gopher, c4, c4_any, c4_para or fineweb, gopher/dolma or heuristic/nemo, or a rule's id", what);
}

int rules_policy_limit(struct rules_policy *p, const char *id, double limit, struct err *err)
{
    const int i = rule_find(id);
    if (i < 0)
        return ERR(err, USAGE, "no rule is called '%s'", id);
    if (!isfinite(limit))
        return ERR(err, USAGE, "the limit of '%s' is no number", id);
    p->limit[i] = limit;
    return 0;
}

static double over(double a, double b) { return b > 0 ? a / b : NAN; }

double rule_value(int rule, const struct signals *s)
{
    switch (rule) {
#define RULE(family, dialect, version, name, reason, of, a, b, compare, limit) \
    case RULE_OF(family, dialect, version, name): return over(a, b);
#define RULE_OF(family, dialect, version, name) RULE_PASTE(family, dialect, version, name)
#define RULE_PASTE(family, dialect, version, name) RULE_##family##_##dialect##_##version##_##name
#include "audit/rules.def"
#undef RULE
    default: return NAN;
    }
}

/* C4 reads line by line and stops at the first that it drops a text for: of two such rules the one whose line comes first is its reason, and
 * "lorem ipsum" is looked for first. */
static int c4_first(const struct signals *s, int first, const struct verdict *v)
{
    if (first == RULE_c4_datatrove_1_lorem_ipsum && verdict_has(v, RULE_c4_datatrove_1_curly_bracket) && s->c4_curly_line < s->c4_lorem_line)
        return RULE_c4_datatrove_1_curly_bracket;
    if (first == RULE_c4_any_datatrove_1_lorem_ipsum && verdict_has(v, RULE_c4_any_datatrove_1_curly_bracket) && s->c4_any_curly_line < s->c4_any_lorem_line)
        return RULE_c4_any_datatrove_1_curly_bracket;
    return first;
}

void rules_verdict(const struct rules_policy *p, const struct signals *s, struct verdict *out)
{
    *out = (struct verdict){ .first = -1 };
    for (int i = 0; i < N_RULE; i++) {
        if (!p->on[i])
            continue;
        const double v = rule_value(i, s);
        if (infos[i].compare == RULE_LESS ? !(v < p->limit[i]) : !(v > p->limit[i]))
            continue;
        out->hit[i / 64] |= (uint64_t)1 << i % 64;
        out->first = out->first < 0 ? i : out->first;
    }
    out->first = c4_first(s, out->first, out);
}
