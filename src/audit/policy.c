#include "audit/policy.h"
#include <assert.h>
#include <math.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

#define POLICY_MAX ((size_t)1 << 20)

static const struct { const char *name, *text; } built_in[] = {
    { "default", "use: [train]\n"
                 "gate: {licences: 0, faults: 0.01}\n" },
    { "strict", "use: [train, commercial, derivatives, redistribution, weights, outputs]\n"
                "drops: [all]\n"
                "pii: redact\n"
                "secrets: drop\n"
                "gate: {licences: 0, licence_conflicts: 0, pii_per_million: 100, secrets: 0, contamination: 0, leakage: 0, exact_duplicates: 0.1, near_duplicates: 0.2, poison: 0, faults: 0.001}\n" },
};

static const char *const drop_words[] = {
#define DROP(word, doc) #word,
#include "audit/drops.def"
#undef DROP
    "all",
};
static const char *const action_words[] = {
#define X(name, word) word,
    POLICY_ACTIONS(X)
#undef X
};
static const char *const gate_words[] = {
#define GATE(word, side, doc) #word,
#include "audit/gate.def"
#undef GATE
    "languages",
};

const char *policy_action_word(enum policy_action a) { return action_words[a]; }

/* ---- reading ---- */

struct reading { struct policy *p; const char *name, *text; size_t n; struct err *err; };

/* The line where a key stands first, or 0. */
static int line_of(const struct reading *r, const char *key)
{
    const size_t k = strlen(key);
    int line = 1;
    for (const char *p = r->text, *end = r->text + r->n; p < end; p++) {
        line += *p == '\n';
        const bool begins = p == r->text || strchr(" \n\t{,'\"-[", p[-1]);
        if (k && begins && (size_t)(end - p) > k && !memcmp(p, key, k) && strchr(": '\"\n,]}", p[k]))
            return line;
    }
    return 0;
}

static int unknown(const struct reading *r, const char *what, const char *key, const char *const *known, int n)
{
    const char *near = word_nearest(key, known, n);
    char all[300] = "";
    for (int i = 0; i < n && !near; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? ", " : "", known[i]);
    if (!near)
        return ERR(r->err, USAGE, "%s:%d: unknown %s '%.80s', expected one of %s", r->name, line_of(r, key), what, key, all);
    return ERR(r->err, USAGE, "%s:%d: unknown %s '%.80s'; did you mean '%s'?", r->name, line_of(r, key), what, key, near);
}

static int wrong(const struct reading *r, const char *key, const char *expected)
{
    return ERR(r->err, USAGE, "%s:%d: '%.80s' has a wrong value, expected %s", r->name, line_of(r, key), key, expected);
}

static int index_of(const char *word, const char *const *words, int n)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(words[i], word))
            return i;
    return -1;
}

/* A list of words, as bits. */
static int read_bits(const struct reading *r, const json_t *list, const char *key, const char *const *words, int n, unsigned *out)
{
    size_t i;
    json_t *v;
    *out = 0;
    if (list && !json_is_array(list))
        return wrong(r, key, "a list of words, [like, this]");
    json_array_foreach(list, i, v) {
        const char *word = json_string_value(v);
        const int k = word ? index_of(word, words, n) : -1;
        if (!word)
            return wrong(r, key, "a list of words, [like, this]");
        if (k < 0)
            return unknown(r, key, word, words, n);
        *out |= 1u << k;
    }
    return 0;
}

static int read_use(const struct reading *r, const json_t *v)
{
    TRY(read_bits(r, v, "use", licence_right_words, N_LICENCE_RIGHT, &r->p->use));
    return r->p->use ? 0 : wrong(r, "use", "at least one use");
}

static int read_terms(const struct reading *r, const char *id, const json_t *v, struct licence_terms *out)
{
    static const char *const keys[] = { "allows", "refuses", "duties" };
    const char *key;
    struct licence *l;
    size_t at;
    json_t *member;
    struct err why;
    if (licence_parse(&l, id, strlen(id), &at, &why))
        return why.code == ERR_NOMEM ? ERR(r->err, NOMEM, "%s", why.msg) : ERR(r->err, USAGE, "%s:%d: licence '%.80s': %s", r->name, line_of(r, id), id, why.msg);
    licence_free(l);
    if (!json_is_object(v))
        return wrong(r, id, "{allows: [..], refuses: [..], duties: [..]}");
    json_object_foreach((json_t *)(uintptr_t)v, key, member)
        if (index_of(key, keys, 3) < 0)
            return unknown(r, "key of a licence", key, keys, 3);
    *out = (struct licence_terms){ .id = id, .targets = LICENCE_TARGETS_OWN };
    TRY(read_bits(r, json_object_get(v, "allows"), "allows", licence_right_words, N_LICENCE_RIGHT, &out->yes));
    TRY(read_bits(r, json_object_get(v, "refuses"), "refuses", licence_right_words, N_LICENCE_RIGHT, &out->no));
    TRY(read_bits(r, json_object_get(v, "duties"), "duties", licence_duty_words, N_LICENCE_DUTY, &out->duties));
    return out->yes & out->no ? wrong(r, id, "a right either in allows or in refuses") : 0;
}

/* The ids stay the tree's, which lives as long. */
static int read_licences(const struct reading *r, const json_t *v)
{
    const char *id;
    json_t *member;
    if (!json_is_object(v))
        return wrong(r, "licences", "licences with their terms");
    r->p->terms = mem_alloc_array(json_object_size(v) + 1, sizeof *r->p->terms);
    if (!r->p->terms)
        return ERR(r->err, NOMEM, "no memory for the terms of licences");
    json_object_foreach((json_t *)(uintptr_t)v, id, member)
        TRY(read_terms(r, id, member, &r->p->terms[r->p->n_terms++]));
    return 0;
}

static int read_rules(const struct reading *r, const json_t *v)
{
    const char *id;
    json_t *x;
    if (!json_is_object(v))
        return wrong(r, "rules", "rules with thresholds");
    json_object_foreach((json_t *)(uintptr_t)v, id, x)
        if (!json_is_number(x) && !json_is_false(x) && !(json_is_string(x) && !strcmp(json_string_value(x), "off")))
            return wrong(r, id, "a number or off");
    return 0;
}

/* Which of these records go is said by pii and secrets. */
static bool has_action(int drop) { return !strcmp(drop_words[drop], "pii") || !strcmp(drop_words[drop], "secret"); }

static int read_drops(const struct reading *r, const json_t *v)
{
    unsigned bits;
    static_assert(N_POLICY_DROP < 32, "drops are bits");
    TRY(read_bits(r, v, "drops", drop_words, N_POLICY_DROP + 1, &bits));
    for (int i = 0; i < N_POLICY_DROP; i++) {
        if (has_action(i) && bits & (1u << i))
            return wrong(r, "drops", "no pii and secret, which have actions: pii: drop");
        r->p->drop[i] = has_action(i) || bits & (1u << i | 1u << N_POLICY_DROP);
    }
    return 0;
}

static int check_action(const struct reading *r, const char *key, const json_t *v)
{
    const char *word = json_string_value(v);
    if (!word)
        return wrong(r, key, "keep, redact, drop or pseudonym");
    return index_of(word, action_words, N_POLICY_ACTION) < 0 ? unknown(r, "action", word, action_words, N_POLICY_ACTION) : 0;
}

static int read_actions(const struct reading *r, const char *key, const json_t *v)
{
    const char *kind;
    json_t *x;
    if (!json_is_object(v))
        return check_action(r, key, v);
    json_object_foreach((json_t *)(uintptr_t)v, kind, x)
        TRY(check_action(r, kind, x));
    return 0;
}

static int read_languages(const struct reading *r, const json_t *v)
{
    const char *id;
    json_t *x;
    if (!json_is_object(v))
        return wrong(r, "languages", "{en: 0.9}");
    json_object_foreach((json_t *)(uintptr_t)v, id, x)
        if (!json_is_number(x) || !(json_number_value(x) >= 0 && json_number_value(x) <= 1))
            return wrong(r, id, "a share from 0 to 1");
    return 0;
}

static int read_gate(const struct reading *r, const json_t *v)
{
    const char *word;
    json_t *x;
    if (!json_is_object(v))
        return wrong(r, "gate", "checks with limits");
    json_object_foreach((json_t *)(uintptr_t)v, word, x) {
        const int i = index_of(word, gate_words, N_GATE_CHECK + 1);
        if (i < 0)
            return unknown(r, "check of the gate", word, gate_words, N_GATE_CHECK + 1);
        if (i == N_GATE_CHECK) {
            TRY(read_languages(r, x));
            continue;
        }
        if (!json_is_number(x) || !(json_number_value(x) >= 0) || !isfinite(json_number_value(x)))
            return wrong(r, word, "a number of at least 0");
        r->p->limited[i] = true, r->p->limit[i] = json_number_value(x);
    }
    return 0;
}

static int read_key(const struct reading *r, const char *key, const json_t *v)
{
    static const char *const keys[] = { "use", "licences", "rules", "drops", "pii", "secrets", "gate" };
    switch (index_of(key, keys, 7)) {
    case 0: return read_use(r, v);
    case 1: return read_licences(r, v);
    case 2: return read_rules(r, v);
    case 3: return read_drops(r, v);
    case 4: case 5: return read_actions(r, key, v);
    case 6: return read_gate(r, v);
    default: return unknown(r, "key", key, keys, 7);
    }
}

int policy_parse(struct policy *out, const char *text, size_t n, const char *name, struct err *err)
{
    const struct reading r = { out, name, text, n, err };
    const char *key;
    json_t *v;
    *out = (struct policy){ .name = mem_strdup(name), .use = 1u << LICENCE_TRAIN };
    for (int i = 0; i < N_POLICY_DROP; i++)
        out->drop[i] = strcmp(drop_words[i], "licence") != 0;
    if (!out->name)
        return ERR(err, NOMEM, "no memory for a policy");
    TRY(tree_parse_yaml(&out->tree, text, n, name, err));
    if (json_is_null(out->tree)) {
        json_decref(out->tree);
        if (!(out->tree = json_object()))
            return ERR(err, NOMEM, "no memory for a policy");
    }
    if (!json_is_object(out->tree))
        return ERR(err, USAGE, "%s: expected keys with values, such as use: [train]", name);
    json_object_foreach(out->tree, key, v)
        TRY(read_key(&r, key, v));
    return 0;
}

int policy_load(struct policy *out, const char *path, struct err *err)
{
    struct buf b;
    *out = (struct policy){ 0 };
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++)
        if (!strcmp(path, built_in[i].name))
            return policy_parse(out, built_in[i].text, strlen(built_in[i].text), path, err);
    buf_init(&b);
    int rc = file_read(path, POLICY_MAX, &b, err);
    rc = rc ? rc : policy_parse(out, b.data, b.len, path, err);
    buf_release(&b);
    return rc;
}

void policy_release(struct policy *p)
{
    mem_free(p->name);
    mem_free(p->terms);
    json_decref(p->tree);
    *p = (struct policy){ 0 };
}

/* ---- what it says ---- */

int policy_rule(const struct policy *p, const char *id, double *limit)
{
    const json_t *v = json_object_get(json_object_get(p->tree, "rules"), id);
    if (!v)
        return 0;
    *limit = json_number_value(v);
    return json_is_number(v) ? 1 : -1;
}

int policy_check_rules(const struct policy *p, const char *const *ids, int n, struct err *err)
{
    const char *id;
    json_t *v;
    json_object_foreach(json_object_get(p->tree, "rules"), id, v)
        if (index_of(id, ids, n) < 0) {
            const char *near = word_nearest(id, ids, n);
            return ERR(err, USAGE, "%s: unknown rule '%.100s'%s%s%s", p->name, id, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
    return 0;
}

static enum policy_action action_of(const struct policy *p, const char *key, const char *kind)
{
    const json_t *v = json_object_get(p->tree, key), *of = json_is_object(v) ? json_object_get(v, kind) : v;
    if (!of)
        of = json_object_get(v, "default");
    const int i = of ? index_of(json_string_value(of), action_words, N_POLICY_ACTION) : ACTION_REDACT;
    assert(i >= 0);
    return (enum policy_action)i;
}

enum policy_action policy_pii(const struct policy *p, const char *entity) { return action_of(p, "pii", entity); }
enum policy_action policy_secret(const struct policy *p, const char *rule) { return action_of(p, "secrets", rule); }
