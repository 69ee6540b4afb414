/* secret.c - rules are read into jansson's tree whichever way they come, ours from secret.def in the form of a gitleaks.toml; what is made of them
 * borrows its strings. */
#include "audit/secret.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "audit/patterns.h"
#include "audit/toml.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

#define RULES_MAX 10000

enum target { OF_SECRET, OF_MATCH, OF_LINE };

/* What is allowed: one of its parts says so, or (all) each of them. */
struct allow { struct pattern_alone **expr, **path; int n_expr, n_path; const json_t *stop; enum target target; bool all; };
struct rule { const char *id, *what, *expr; double entropy; int group; const json_t *words; struct pattern_alone *path; struct allow *allow; int n_allow; };

struct secrets { json_t *tree; struct rule *rule; int n, n_unused; struct allow *allow; int n_allow; struct patterns *patterns; };

struct secret_state {
    struct patterns_state *state;
    struct spots spots;
    struct buf lower;                   /* the secret that is looked at, in small letters */
    unsigned char *word;                /* by rule: has the text one of its words?  0 not looked yet, 1 yes, 2 no */
};

/* ---- ours ---- */

struct ours { const char *id, *what, *expr, *words; int entropy; };
static const struct ours ours[] = {
#define SECRET(id, what, expr, words, entropy) { id, what, expr, words, entropy },
#include "audit/secret.def"
#undef SECRET
};

/* Of all rules: examples, what stands for a value, values that were taken out. */
static const char *const allowed[] = {
    "EXAMPLE$", "(?i)^(?:your|my|some|the|insert|enter|put|add|change|replace)[_-]?(?:own|api|secret|access)?[_-]?(?:key|token|password|secret)",
    "(?i)x{6,}|\\*{4,}|\\.{4,}|0{12,}|(?:1234567890){2}", "^\\$\\{|^\\{\\{|^<|^%[A-Z_]+%$",
};
/* Of what is called a key: keys of other kinds, by what stands around them; and words of languages, programs and texts. */
static const char *const not_keys[] = {
    "(?i)(?:public|primary|foreign|partition|sort|sequence|unique|cache|index|hot|short|natural|composite)[_.\\s-]?keys?\\b",
    "(?i)key[_.-]?(?:id|name|code|board|word|frame|length|size|up|down|press|pair|ring|store|file|path|value|type|event|usage|map|stroke|point|note)|monkey|turkey|hockey|donkey|whiskey|jockey|keyn",
    "(?i)author|authentic|authori[sz]|access(?:ib|or|ed|ion)|apis?[_.-]?(?:version|url|endpoint|name|doc)|rapid|capit|therapi|csrf|token(?:i[sz]|[_.-]?(?:url|endpoint|type|count|limit|id|length))|secretar",
};
/* Names: words, each with a few digits behind it at most. */
static const char *const names[] = { "^[A-Za-z_.=-]+$", "^_*[A-Za-z]{1,20}[0-9]{0,4}(?:[_.=-]+[A-Za-z]{0,20}[0-9]{0,4})*$" };
static const char *const stop[] = {
    "example", "placeholder", "changeme", "redacted", "password", "dummy", "sample", "lorem", "undefined", "function", "require", "import", "localhost", "http", "www", "string", "default", "process.env", "getenv",
    "abcdef", "123456789",
};

static json_t *strings_of(const char *const *s, size_t n)
{
    json_t *a = json_array();
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(a, json_string(s[i])))
            return json_decref(a), NULL;
    return a;
}

/* Divided by |. */
static json_t *words_of(const char *s)
{
    json_t *a = json_array();
    for (const char *end; *s; s = *end ? end + 1 : end) {
        end = strchrnul(s, '|');
        if (json_array_append_new(a, json_stringn(s, (size_t)(end - s))))
            return json_decref(a), NULL;
    }
    return a;
}

#define STRINGS(s) strings_of(s, sizeof s / sizeof *s)

/* A rule's members; a table of what stands for no key is added to those that take anything. */
static json_t *rule_of(const struct ours *o)
{
    json_t *r = json_pack("{ss ss ss so}", "id", o->id, "description", o->what, "regex", o->expr, "keywords", words_of(o->words));
    if (r && o->entropy && json_object_set_new(r, "entropy", json_real(o->entropy / 10.0)))
        return json_decref(r), NULL;
    if (r && !strncmp(o->id, "generic", 7) &&
        json_object_set_new(r, "allowlists", json_pack("[{so so} {ss so}]", "stopwords", STRINGS(stop), "regexes", STRINGS(names), "regexTarget", "match", "regexes", STRINGS(not_keys))))
        return json_decref(r), NULL;
    return r;
}

static json_t *tree_of_ours(void)
{
    json_t *rules = json_array();
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (json_array_append_new(rules, rule_of(&ours[i])))
            return json_decref(rules), NULL;
    return json_pack("{so s{so}}", "rules", rules, "allowlist", "regexes", STRINGS(allowed));
}

/* ---- rules out of a tree ---- */

/* Each member must be one that is known: one that is passed over would be one less rule. */
static int check_keys(const json_t *o, const char *known, const char *where, struct err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)o, key, value) {
        char word[60];
        snprintf(word, sizeof word, "|%s|", key);
        if (!strstr(known, word))
            return ERR(err, UNSUPPORTED, "%s: found '%.40s', expected one of %s", where, key, known);
    }
    return 0;
}

/* A list of strings, or NULL where there is none. */
static int read_strings(const json_t *o, const char *key, const json_t **out, const char *where, struct err *err)
{
    size_t i;
    json_t *x;
    *out = json_object_get(o, key);
    if (*out && !json_is_array(*out))
        return ERR(err, FORMAT, "%s: '%s' is no list", where, key);
    json_array_foreach((json_t *)(uintptr_t)*out, i, x)
        if (!json_is_string(x))
            return ERR(err, FORMAT, "%s: '%s' has something that is no string", where, key);
    return 0;
}

static char small(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

/* The same in small letters, as gitleaks takes keywords and stop words. */
static int read_words(const json_t *o, const char *key, const json_t **out, const char *where, struct err *err)
{
    struct buf b;
    int rc = read_strings(o, key, out, where, err);
    buf_init(&b);
    for (size_t i = 0; i < json_array_size(*out) && !rc; i++) {
        json_t *word = json_array_get(*out, i);
        buf_clear(&b);
        rc = buf_add(&b, json_string_value(word), json_string_length(word), err);
        for (size_t k = 0; k < b.len; k++)
            b.data[k] = small(b.data[k]);
        if (!rc && json_string_setn_nocheck(word, b.data ? b.data : "", b.len))
            rc = ERR(err, NOMEM, "no memory for rules");
    }
    buf_release(&b);
    return rc;
}

static int read_expressions(const json_t *o, const char *key, struct pattern_alone ***out, int *n, const char *where, struct err *err)
{
    const json_t *list;
    TRY(read_strings(o, key, &list, where, err));
    const size_t m = json_array_size(list);
    if (!(*out = mem_alloc_array(m + 1, sizeof **out)))
        return ERR(err, NOMEM, "no memory for rules");
    for (size_t i = 0; i < m; i++, ++*n)
        TRY(pattern_alone_new(&(*out)[i], where, json_string_value(json_array_get(list, i)), err));
    return 0;
}

static int read_allow(const json_t *o, struct allow *a, const char *where, struct err *err)
{
    const char *target, *condition;
    if (!json_is_object(o))
        return ERR(err, FORMAT, "%s: an allow-list is no table", where);
    TRY(check_keys(o, "|description|condition|commits|paths|regexes|regexTarget|stopwords|", where, err));
    TRY(tree_str(o, "regexTarget", "secret", &target, where, err));
    TRY(tree_str(o, "condition", "OR", &condition, where, err));
    if (strcmp(target, "secret") && strcmp(target, "match") && strcmp(target, "line"))
        return ERR(err, FORMAT, "%s: regexTarget '%.20s', expected secret, match or line", where, target);
    if (strcmp(condition, "OR") && strcmp(condition, "||") && strcmp(condition, "AND") && strcmp(condition, "&&"))
        return ERR(err, FORMAT, "%s: condition '%.20s', expected OR or AND", where, condition);
    a->target = !strcmp(target, "line") ? OF_LINE : !strcmp(target, "match") ? OF_MATCH : OF_SECRET;
    a->all = !strcmp(condition, "AND") || !strcmp(condition, "&&");
    TRY(read_words(o, "stopwords", &a->stop, where, err));
    TRY(read_expressions(o, "regexes", &a->expr, &a->n_expr, where, err));
    return read_expressions(o, "paths", &a->path, &a->n_path, where, err);
}

/* "allowlists", or the older "allowlist". */
static int read_allows(const json_t *o, struct allow **out, int *n, const char *where, struct err *err)
{
    const json_t *many = json_object_get(o, "allowlists"), *one = json_object_get(o, "allowlist");
    if (many && !json_is_array(many))
        return ERR(err, FORMAT, "%s: 'allowlists' is no list", where);
    const size_t m = json_array_size(many) + (one != NULL);
    if (!(*out = mem_alloc_array(m + 1, sizeof **out)))
        return ERR(err, NOMEM, "no memory for rules");
    for (size_t i = 0; i < m; i++) {
        ++*n;
        TRY(read_allow(i < json_array_size(many) ? json_array_get(many, i) : one, &(*out)[i], where, err));
    }
    return 0;
}

/* 1: a rule, 0: one that looks at names of files alone. */
static int read_rule(const json_t *o, struct rule *r, const char *name, size_t i, struct err *err)
{
    char where[200];
    const char *path;
    int64_t group;
    snprintf(where, sizeof where, "%.80s: rule %zu", name, i + 1);
    if (!json_is_object(o))
        return ERR(err, FORMAT, "%s is no table", where);
    TRY(tree_str(o, "id", "", &r->id, where, err));
    if (!*r->id)
        return ERR(err, FORMAT, "%s has no 'id'", where);
    snprintf(where, sizeof where, "%.80s: rule '%.60s'", name, r->id);
    TRY(check_keys(o, "|id|description|regex|entropy|keywords|secretGroup|path|tags|allowlists|allowlist|", where, err));
    TRY(tree_str(o, "description", "", &r->what, where, err));
    TRY(tree_str(o, "regex", "", &r->expr, where, err));
    TRY(tree_str(o, "path", "", &path, where, err));
    TRY(tree_num(o, "entropy", 0, &r->entropy, where, err));
    TRY(tree_int(o, "secretGroup", 0, 0, PATTERN_GROUPS - 1, &group, where, err));
    r->group = (int)group;
    TRY(read_words(o, "keywords", &r->words, where, err));
    if (!*r->expr)
        return *path ? 0 : ERR(err, FORMAT, "%s has neither 'regex' nor 'path'", where);
    if (*path)
        TRY(pattern_alone_new(&r->path, where, path, err));
    TRY(read_allows(o, &r->allow, &r->n_allow, where, err));
    return 1;
}

static void release_allows(struct allow *a, int n)
{
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < a[i].n_expr; k++)
            pattern_alone_free(a[i].expr[k]);
        for (int k = 0; k < a[i].n_path; k++)
            pattern_alone_free(a[i].path[k]);
        mem_free(a[i].expr);
        mem_free(a[i].path);
    }
    mem_free(a);
}

static void release_rule(struct rule *r)
{
    pattern_alone_free(r->path);
    release_allows(r->allow, r->n_allow);
    *r = (struct rule){ .id = NULL };
}

static int read_rules(struct secrets *s, const char *name, struct err *err)
{
    const json_t *rules = json_object_get(s->tree, "rules");
    const size_t n = json_array_size(rules);
    TRY(check_keys(s->tree, "|title|description|minVersion|allowlist|allowlists|rules|", name, err));
    if (!n || n > RULES_MAX)
        return ERR(err, FORMAT, "%s: found %zu rules, expected 1 to %d as [[rules]]", name, n, RULES_MAX);
    if (!(s->rule = mem_alloc_array(n, sizeof *s->rule)))
        return ERR(err, NOMEM, "no memory for %zu rules", n);
    for (size_t i = 0; i < n; i++) {
        struct rule *r = &s->rule[s->n];
        const int rc = read_rule(json_array_get(rules, i), r, name, i, err);
        if (rc <= 0)
            release_rule(r);
        TRY(rc);
        s->n += rc;
        s->n_unused += !rc;
    }
    return read_allows(s->tree, &s->allow, &s->n_allow, name, err);
}

static int compile(struct secrets *s, struct err *err)
{
    struct pattern *p = mem_alloc_array((size_t)s->n + 1, sizeof *p);
    if (!p)
        return ERR(err, NOMEM, "no memory for %d rules", s->n);
    for (int i = 0; i < s->n; i++)
        p[i] = (struct pattern){ s->rule[i].id, s->rule[i].expr, NULL, 0, PATTERN_TEXT };
    const int rc = patterns_new(&s->patterns, p, s->n, err);
    mem_free(p);
    return rc;
}

/* Takes the tree. */
static int secrets_of(struct secrets **out, json_t *tree, const char *name, struct err *err)
{
    struct secrets *s = mem_alloc_zero(sizeof *s);
    int rc = s && tree ? 0 : ERR(err, NOMEM, "no memory for rules of secrets");
    if (!s) {
        json_decref(tree);
        return rc;
    }
    s->tree = tree;
    rc = rc ? rc : read_rules(s, name, err);
    rc = rc ? rc : compile(s, err);
    if (rc) {
        secrets_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

int secrets_new(struct secrets **out, struct err *err) { return secrets_of(out, tree_of_ours(), "lathe's rules", err); }

int secrets_parse(struct secrets **out, const char *toml, size_t n, const char *name, struct err *err)
{
    json_t *tree = NULL;
    TRY(toml_parse(&tree, toml, n, name, err));
    return secrets_of(out, tree, name, err);
}

int secrets_read(struct secrets **out, const char *path, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = file_read(path, SECRET_FILE_MAX, &b, err);
    rc = rc < 0 ? rc : secrets_parse(out, b.data, b.len, path, err);
    buf_release(&b);
    return rc;
}

void secrets_free(struct secrets *s)
{
    if (!s)
        return;
    patterns_free(s->patterns);
    for (int i = 0; i < s->n; i++)
        release_rule(&s->rule[i]);
    release_allows(s->allow, s->n_allow);
    mem_free(s->rule);
    json_decref(s->tree);
    mem_free(s);
}

int secrets_digest(const struct secrets *s, char hex[SHA256_HEX], struct err *err)
{
    char *text = tree_dumps(s->tree, JSON_COMPACT | JSON_SORT_KEYS);
    const int rc = text ? sha256_of(text, strlen(text), hex, err) : ERR(err, NOMEM, "no memory for rules of secrets");
    mem_free(text);
    return rc;
}

int secrets_count(const struct secrets *s) { return s->n; }
int secrets_unused(const struct secrets *s) { return s->n_unused; }
const char *secret_name(const struct secrets *s, int rule) { return rule >= 0 && rule < s->n ? s->rule[rule].id : "?"; }
const char *secret_description(const struct secrets *s, int rule) { return rule >= 0 && rule < s->n ? s->rule[rule].what : "?"; }

int secret_state_new(struct secret_state **out, const struct secrets *s, struct err *err)
{
    struct secret_state *t = mem_alloc_zero(sizeof *t);
    if (!t)
        return ERR(err, NOMEM, "no memory to look for secrets");
    buf_init(&t->lower);
    int rc = (t->word = mem_alloc_zero((size_t)s->n + 1)) ? 0 : ERR(err, NOMEM, "no memory to look for secrets");
    rc = rc ? rc : patterns_state_new(&t->state, s->patterns, err);
    if (rc) {
        secret_state_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

void secret_state_free(struct secret_state *t)
{
    if (!t)
        return;
    patterns_state_free(t->state);
    spots_release(&t->spots);
    buf_release(&t->lower);
    mem_free(t->word);
    mem_free(t);
}

uint64_t secret_given_up(const struct secret_state *t) { return patterns_given_up(t->state); }

/* ---- a match ---- */

double secret_entropy(const char *p, size_t n)
{
    unsigned count[256] = { 0 };
    double bits = 0;
    for (size_t i = 0; i < n; i++)
        count[(unsigned char)p[i]]++;
    for (int c = 0; c < 256; c++)
        if (count[c])
            bits -= count[c] * log2((double)count[c] / (double)n);
    return n ? bits / (double)n : 0;
}

/* word: in small letters. */
static bool has(const char *s, size_t n, const char *word, size_t m)
{
    for (size_t i = 0; m && i + m <= n; i++) {
        size_t k = 0;
        while (k < m && small(s[i + k]) == word[k])
            k++;
        if (k == m)
            return true;
    }
    return !m;
}

struct finding {
    const struct secrets *secrets;
    struct secret_state *state;
    const char *path, *text;
    size_t n;
    int rc;
    struct err *err;
};

static bool has_word(const char *s, size_t n, const json_t *words)
{
    size_t i;
    json_t *w;
    json_array_foreach((json_t *)(uintptr_t)words, i, w)
        if (has(s, n, json_string_value(w), json_string_length(w)))
            return true;
    return false;
}

/* In the match most of the time; else anywhere in the text, looked for once. */
static bool worded(struct finding *f, int i, struct pattern_group all)
{
    const struct rule *r = &f->secrets->rule[i];
    unsigned char *known = &f->state->word[i];
    if (*known || !json_array_size(r->words))
        return *known != 2;
    if (has_word(f->text + all.at, all.n, r->words))
        return true;
    *known = has_word(f->text, f->n, r->words) ? 1 : 2;
    return *known == 1;
}

struct place { struct pattern_group secret, match, line; };

static bool one_in(struct finding *f, struct pattern_alone *const *e, int n, const char *text, size_t size)
{
    for (int i = 0; i < n; i++)
        if (pattern_alone_in(e[i], f->state->state, text, size))
            return true;
    return false;
}

static bool stopped(struct finding *f, const json_t *stop_words)
{
    size_t i;
    json_t *w;
    json_array_foreach((json_t *)(uintptr_t)stop_words, i, w)
        if (memmem(f->state->lower.data, f->state->lower.len, json_string_value(w), json_string_length(w)))
            return true;
    return false;
}

static bool allowed_by(struct finding *f, const struct allow *a, const struct place *p)
{
    const struct pattern_group g = a->target == OF_LINE ? p->line : a->target == OF_MATCH ? p->match : p->secret;
    const bool paths = a->n_path > 0, exprs = a->n_expr > 0, stops = json_array_size(a->stop) > 0;
    const bool path = paths && f->path && one_in(f, a->path, a->n_path, f->path, strlen(f->path));
    if (a->all ? paths && !path : path)
        return !a->all;
    const bool expr = exprs && one_in(f, a->expr, a->n_expr, f->text + g.at, g.n);
    if (a->all ? exprs && !expr : expr)
        return !a->all;
    const bool stop_word = stops && stopped(f, a->stop);
    if (!a->all)
        return stop_word;
    return (paths || exprs || stops) && (!stops || stop_word);
}

static bool allowed_by_any(struct finding *f, const struct allow *a, int n, const struct place *p)
{
    for (int i = 0; i < n; i++)
        if (allowed_by(f, &a[i], p))
            return true;
    return false;
}

static struct pattern_group secret_of(const struct rule *r, const struct pattern_group *group, const char *text)
{
    struct pattern_group g = group[r->group];
    for (int i = 1; !r->group && i < PATTERN_GROUPS; i++)
        if (group[i].n) {
            g = group[i];
            break;
        }
    for (; g.n && text[g.at] == '\n'; g.n--)
        g.at++;
    while (g.n && text[g.at + g.n - 1] == '\n')
        g.n--;
    return g;
}

/* The lines that the match is in. */
static struct pattern_group line_of(const struct finding *f, struct pattern_group g)
{
    const char *before = memrchr(f->text, '\n', g.at), *end = f->text + g.at + g.n, *after = memchr(end, '\n', f->n - (g.at + g.n));
    const size_t from = before ? (size_t)(before + 1 - f->text) : 0;
    return (struct pattern_group){ from, (after ? (size_t)(after - f->text) : f->n) - from };
}

static int lower_secret(struct finding *f, struct pattern_group g)
{
    struct buf *b = &f->state->lower;
    buf_clear(b);
    TRY(buf_reserve(b, g.n, f->err));
    for (size_t i = 0; i < g.n; i++)
        b->data[i] = small(f->text[g.at + i]);
    b->len = g.n;
    b->data[g.n] = 0;
    return 0;
}

static size_t found(void *ctx, int i, const struct pattern_group *group)
{
    struct finding *f = ctx;
    const struct rule *r = &f->secrets->rule[i];
    const struct pattern_group g = secret_of(r, group, f->text);
    if (f->rc || !g.n || (r->path && (!f->path || !pattern_alone_in(r->path, f->state->state, f->path, strlen(f->path)))))
        return group[0].n;
    if ((r->entropy > 0 && secret_entropy(f->text + g.at, g.n) <= r->entropy) || !worded(f, i, group[0]))
        return group[0].n;
    const struct place p = { g, group[0], line_of(f, group[0]) };
    if ((f->rc = lower_secret(f, g)) < 0)
        return group[0].n;
    if (!allowed_by_any(f, r->allow, r->n_allow, &p) && !allowed_by_any(f, f->secrets->allow, f->secrets->n_allow, &p)) {
        const bool generic = !strncmp(r->id, "generic", 7);
        f->rc = spots_add(&f->state->spots, (struct spot){ g.at, g.n, (uint16_t)i, generic ? SECRET_SCORE_GENERIC : SECRET_SCORE }, f->err);
    }
    return group[0].n;
}

int secret_spots(const struct secrets *s, struct secret_state *t, const char *path, const char *text, size_t n, const struct spot **spot, size_t *n_spot,
                 struct err *err)
{
    struct finding f = { s, t, path, text, n, 0, err };
    spots_clear(&t->spots);
    memset(t->word, 0, (size_t)s->n);
    TRY(patterns_scan(s->patterns, t->state, text, n, found, &f, err));
    TRY(f.rc);
    TRY(spots_resolve(&t->spots, err));
    *spot = t->spots.spot;
    *n_spot = t->spots.n;
    return 0;
}
