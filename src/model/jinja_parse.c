/* jinja_parse.c - tokens to a tree: Jinja's grammar, one function for each level of precedence. */
#include <assert.h>
#include <string.h>
#include "base/mem.h"
#include "base/utf8.h"
#include "model/jinja_tree.h"

#define PARSE_DEPTH 120          /* a level takes some 12 C frames */

struct parser {
    struct jinja *t;
    struct jtoken *tok;          /* the current one; the list ends with JT_END */
    int depth, loops;
    struct err *err;
};

/* ---- errors and tokens ---- */

static int found(struct parser *p, const char *expected)
{
    const struct jtoken *t = p->tok;
    const char *quote = t->type == JT_END || t->type == JT_DATA ? "" : "'";
    const int n = t->n > 40 ? 40 : (int)t->n;
    if (t->type == JT_END || t->type == JT_DATA)
        return ERR(p->err, FORMAT, "%s:%d: found %s, expected %s", p->t->name, t->line, t->type == JT_END ? "the end of the template" : "text", expected);
    return ERR(p->err, FORMAT, "%s:%d: found %s%.*s%s, expected %s", p->t->name, t->line, quote, n, t->s, quote, expected);
}

static int no_memory(struct parser *p) { return ERR(p->err, NOMEM, "%s: no memory to read it", p->t->name); }
static bool is_name(const struct jtoken *t, const char *s) { return t->type == JT_NAME && t->n == strlen(s) && !memcmp(t->s, s, t->n); }
static bool is_op(const struct jtoken *t, int op) { return t->type == JT_OP && t->op == op; }

static bool skip_name(struct parser *p, const char *s)
{
    const bool yes = is_name(p->tok, s);
    p->tok += yes;
    return yes;
}

static bool skip_op(struct parser *p, int op)
{
    const bool yes = is_op(p->tok, op);
    p->tok += yes;
    return yes;
}

static int want_op(struct parser *p, int op)
{
    const char text[] = { '\'', (char)op, '\'', 0 };
    return skip_op(p, op) ? 0 : found(p, text);
}

static int want_block_end(struct parser *p)
{
    if (p->tok->type != JT_BLOCK_END)
        return found(p, "%}");
    p->tok++;
    return 0;
}

/* ---- names and nodes ---- */

static unsigned name_hash(const char *s, size_t n)
{
    unsigned h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h % JNAME_BUCKETS;
}

const struct jname *jname_find(const struct jinja *t, const char *s, size_t n)
{
    for (const struct jname *m = t->bucket[name_hash(s, n)]; m; m = m->next)
        if (m->n == n && !memcmp(m->s, s, n))
            return m;
    return NULL;
}

static int name_id(struct parser *p, const char *s, size_t n, int *id)
{
    const struct jname *have = jname_find(p->t, s, n);
    if (have) {
        *id = have->id;
        return 0;
    }
    struct jname *m = jpool_take(&p->t->pool, sizeof *m);
    if (!m)
        return no_memory(p);
    struct jname **bucket = &p->t->bucket[name_hash(s, n)];
    *m = (struct jname){ s, n, *bucket, p->t->n_name++ };
    *bucket = m;
    *id = m->id;
    return 0;
}

/* Keeps a word for jinja_mentions(). */
static int keep_word(struct parser *p, const char *s, size_t n)
{
    struct jinja *t = p->t;
    if (n > 64)
        return 0;
    if (t->n_word == t->cap_word) {
        const size_t cap = t->cap_word ? t->cap_word * 2 : 64;
        const char **w = jpool_grow(&t->pool, t->words, t->cap_word * sizeof *w, cap * sizeof *w);
        if (!w)
            return no_memory(p);
        t->words = w, t->cap_word = cap;
    }
    char *copy = jpool_take(&t->pool, n + 1);
    if (!copy)
        return no_memory(p);
    memcpy(copy, s, n);
    copy[n] = 0;
    t->words[t->n_word++] = copy;
    return 0;
}

static int new_node(struct parser *p, enum jkind kind, int line, struct jnode **out)
{
    if (!(*out = jpool_take(&p->t->pool, sizeof **out)))
        return no_memory(p);
    **out = (struct jnode){ .kind = (uint8_t)kind, .line = line, .code = -1 };
    return 0;
}

/* Appends to a list of nodes; room doubles at powers of two. */
static int push(struct parser *p, struct jnode ***v, int *n, struct jnode *node)
{
    if (!(*n & (*n - 1))) {
        struct jnode **grown = jpool_grow(&p->t->pool, *v, (size_t)*n * sizeof *grown, (size_t)(*n ? *n * 2 : 1) * sizeof *grown);
        if (!grown)
            return no_memory(p);
        *v = grown;
    }
    (*v)[(*n)++] = node;
    return 0;
}

static int deeper(struct parser *p)
{
    return ++p->depth > PARSE_DEPTH ? ERR(p->err, RANGE, "%s:%d: nested more than %d deep", p->t->name, p->tok->line, PARSE_DEPTH) : 0;
}

/* ---- expressions ---- */

static int parse_expr(struct parser *p, bool with_if, struct jnode **out);
static int parse_unary(struct parser *p, bool with_filter, struct jnode **out);
enum tuple_form { TUPLE_PLAIN, TUPLE_PAREN };
static int parse_tuple(struct parser *p, bool with_if, enum tuple_form form, struct jnode **out);

static int parse_list(struct parser *p, struct jnode **out)
{
    TRY(new_node(p, JN_LIST, p->tok->line, out));
    p->tok++;
    while (!is_op(p->tok, ']')) {
        if ((*out)->n_v)
            TRY(want_op(p, ','));
        if (is_op(p->tok, ']'))
            break;
        struct jnode *v;
        TRY(parse_expr(p, true, &v));
        TRY(push(p, &(*out)->v, &(*out)->n_v, v));
    }
    return want_op(p, ']');
}

static int parse_dict(struct parser *p, struct jnode **out)
{
    TRY(new_node(p, JN_DICT, p->tok->line, out));
    p->tok++;
    while (!is_op(p->tok, '}')) {
        if ((*out)->n_v)
            TRY(want_op(p, ','));
        if (is_op(p->tok, '}'))
            break;
        struct jnode *k, *v;
        TRY(parse_expr(p, true, &k));
        TRY(want_op(p, ':'));
        TRY(parse_expr(p, true, &v));
        TRY(push(p, &(*out)->v, &(*out)->n_v, k));
        TRY(push(p, &(*out)->w, &(*out)->n_w, v));
    }
    return want_op(p, '}');
}

/* Strings that follow each other are one. */
static int parse_string(struct parser *p, struct jnode **out)
{
    size_t n = 0, at = 0;
    const struct jtoken *first = p->tok;
    for (; p->tok->type == JT_STR; p->tok++)
        n += p->tok->n;
    TRY(new_node(p, JN_CONST, first->line, out));
    const char *s = first->s;
    if (p->tok - first > 1) {
        char *joined = jpool_take(&p->t->pool, n + 1);
        if (!joined)
            return no_memory(p);
        for (const struct jtoken *t = first; t < p->tok; at += t->n, t++)
            memcpy(joined + at, t->s, t->n);
        s = joined;
    }
    (*out)->value = jval_str(s, n);
    return keep_word(p, s, n);
}

static int parse_primary(struct parser *p, struct jnode **out)
{
    const struct jtoken *t = p->tok;
    switch (t->type) {
    case JT_NAME:
        p->tok++;
        TRY(new_node(p, JN_CONST, t->line, out));
        if (is_name(t, "true") || is_name(t, "True") || is_name(t, "false") || is_name(t, "False")) {
            (*out)->value = jval_bool(t->n == 4);
        } else if (is_name(t, "none") || is_name(t, "None")) {
            (*out)->value = jval_none();
        } else {
            (*out)->kind = JN_NAME;
            (*out)->s = t->s, (*out)->n = t->n;
            (*out)->code = (int16_t)jfunc_find(t->s, t->n);
            TRY(keep_word(p, t->s, t->n));
            TRY(name_id(p, t->s, t->n, &(*out)->name));
            p->t->uses_varargs |= (*out)->name == JNAME_VARARGS;
            p->t->uses_kwargs |= (*out)->name == JNAME_KWARGS;
        }
        return 0;
    case JT_STR:
        return parse_string(p, out);
    case JT_INT:
    case JT_FLOAT:
        TRY(new_node(p, JN_CONST, t->line, out));
        (*out)->value = t->type == JT_INT ? jval_int(t->i) : jval_float(t->f);
        p->tok++;
        return 0;
    default:
        break;
    }
    if (skip_op(p, '(')) {
        TRY(parse_tuple(p, true, TUPLE_PAREN, out));
        return want_op(p, ')');
    }
    if (is_op(t, '['))
        return parse_list(p, out);
    if (is_op(t, '{'))
        return parse_dict(p, out);
    return found(p, "a value");
}

/* One index, or start:stop:step around the node; *slice tells which. */
static int parse_subscribed(struct parser *p, struct jnode *of, struct jnode **out)
{
    struct jnode *part[3] = { NULL };
    const int line = p->tok->line;
    int i = 0;
    if (!is_op(p->tok, ':'))
        TRY(parse_expr(p, true, &part[0]));
    if (!is_op(p->tok, ':')) {
        TRY(new_node(p, JN_ITEM, line, out));
        (*out)->a = of, (*out)->b = part[0];
        return 0;
    }
    while (i < 2 && skip_op(p, ':')) {
        i++;
        if (!is_op(p->tok, ':') && !is_op(p->tok, ']') && !is_op(p->tok, ','))
            TRY(parse_expr(p, true, &part[i]));
    }
    TRY(new_node(p, JN_SLICE, line, out));
    (*out)->a = of, (*out)->b = part[0], (*out)->c = part[1], (*out)->d = part[2];
    return 0;
}

static int parse_subscript(struct parser *p, struct jnode **node)
{
    struct jnode *of = *node;
    const int line = p->tok->line;
    if (skip_op(p, '.')) {
        const struct jtoken *t = p->tok;
        if (t->type == JT_NAME) {
            p->tok++;
            TRY(new_node(p, JN_ATTR, line, node));
            (*node)->a = of, (*node)->s = t->s, (*node)->n = t->n;
            (*node)->code = (int16_t)jmethod_find(t->s, t->n);
            return keep_word(p, t->s, t->n);
        }
        if (t->type != JT_INT)
            return found(p, "a name or number after '.'");
        p->tok++;
        TRY(new_node(p, JN_ITEM, line, node));
        (*node)->a = of;
        TRY(new_node(p, JN_CONST, line, &(*node)->b));
        (*node)->b->value = jval_int(t->i);
        return 0;
    }
    p->tok++;
    if (is_op(p->tok, ']'))
        return found(p, "an index");
    TRY(parse_subscribed(p, of, node));
    if (is_op(p->tok, ','))
        return ERR(p->err, UNSUPPORTED, "%s:%d: an index of several values is not supported", p->t->name, line);
    return want_op(p, ']');
}

static int parse_args(struct parser *p, struct jnode *call)
{
    struct jinja *t = p->t;
    const int line = p->tok->line;
    TRY(want_op(p, '('));
    const char *names[JARGS_MAX];
    for (bool first = true; !is_op(p->tok, ')'); first = false) {
        struct jnode *v;
        if (!first) {
            TRY(want_op(p, ','));
            if (is_op(p->tok, ')'))
                break;
        }
        if (is_op(p->tok, '*') || is_op(p->tok, JOP_POW))
            return ERR(p->err, UNSUPPORTED, "%s:%d: *args and **kwargs in a call are not supported", t->name, p->tok->line);
        if (call->n_v + call->n_kw == JARGS_MAX)
            return ERR(p->err, RANGE, "%s:%d: more than %d arguments", t->name, line, JARGS_MAX);
        if (p->tok->type == JT_NAME && is_op(p->tok + 1, '=')) {
            char *name = jpool_take(&t->pool, p->tok->n + 1);
            if (!name)
                return no_memory(p);
            memcpy(name, p->tok->s, p->tok->n);
            name[p->tok->n] = 0;
            names[call->n_kw] = name;
            p->tok += 2;
            TRY(parse_expr(p, true, &v));
            TRY(push(p, &call->kw, &call->n_kw, v));
        } else {
            if (call->n_kw)
                return found(p, "an argument with a name, as the one before it");
            TRY(parse_expr(p, true, &v));
            TRY(push(p, &call->v, &call->n_v, v));
        }
    }
    if (call->n_kw) {
        if (!(call->kw_name = jpool_take(&t->pool, (size_t)call->n_kw * sizeof *names)))
            return no_memory(p);
        memcpy(call->kw_name, names, (size_t)call->n_kw * sizeof *names);
    }
    return want_op(p, ')');
}

static int parse_call(struct parser *p, struct jnode **node)
{
    struct jnode *callee = *node;
    TRY(new_node(p, JN_CALL, p->tok->line, node));
    (*node)->a = callee;
    return parse_args(p, *node);
}

static int parse_postfix(struct parser *p, struct jnode **node)
{
    for (;;) {
        if (is_op(p->tok, '.') || is_op(p->tok, '['))
            TRY(parse_subscript(p, node));
        else if (is_op(p->tok, '('))
            TRY(parse_call(p, node));
        else
            return 0;
    }
}

/* The name of a filter or test, and its code; an unknown one is an error when it is used, not before. */
static int parse_filter(struct parser *p, struct jnode **node)
{
    struct jnode *of = *node;
    const struct jtoken *t = p->tok;
    if (t->type != JT_NAME)
        return found(p, "the name of a filter");
    p->tok++;
    TRY(new_node(p, JN_FILTER, t->line, node));
    (*node)->a = of, (*node)->s = t->s, (*node)->n = t->n;
    (*node)->code = (int16_t)jfilter_find(t->s, t->n);
    return is_op(p->tok, '(') ? parse_args(p, *node) : 0;
}

static int parse_test(struct parser *p, struct jnode **node)
{
    struct jnode *of = *node, *arg;
    const int line = p->tok++->line;
    const bool negated = skip_name(p, "not");
    const struct jtoken *t = p->tok;
    if (t->type != JT_NAME)
        return found(p, "the name of a test");
    p->tok++;
    TRY(new_node(p, JN_TEST, line, node));
    (*node)->a = of, (*node)->s = t->s, (*node)->n = t->n;
    (*node)->code = (int16_t)jtest_find(t->s, t->n);
    const enum jtoken_type next = p->tok->type;
    if (is_op(p->tok, '(')) {
        TRY(parse_args(p, *node));
    } else if ((next == JT_NAME && !is_name(p->tok, "else") && !is_name(p->tok, "or") && !is_name(p->tok, "and")) || next == JT_STR ||
               next == JT_INT || next == JT_FLOAT || is_op(p->tok, '[') || is_op(p->tok, '{')) {
        if (is_name(p->tok, "is"))
            return found(p, "one test only");
        TRY(parse_primary(p, &arg));
        TRY(parse_postfix(p, &arg));
        TRY(push(p, &(*node)->v, &(*node)->n_v, arg));
    }
    if (!negated)
        return 0;
    struct jnode *test = *node;
    TRY(new_node(p, JN_NOT, line, node));
    (*node)->a = test;
    return 0;
}

static int parse_filters(struct parser *p, struct jnode **node)
{
    for (;;) {
        if (skip_op(p, '|'))
            TRY(parse_filter(p, node));
        else if (is_name(p->tok, "is"))
            TRY(parse_test(p, node));
        else if (is_op(p->tok, '('))
            TRY(parse_call(p, node));
        else
            return 0;
    }
}

static int parse_unary(struct parser *p, bool with_filter, struct jnode **out)
{
    TRY(deeper(p));
    const int line = p->tok->line;
    if (is_op(p->tok, '-') || is_op(p->tok, '+')) {
        struct jnode *a;
        const enum jkind kind = is_op(p->tok, '-') ? JN_NEG : JN_POS;
        p->tok++;
        TRY(parse_unary(p, false, &a));
        TRY(new_node(p, kind, line, out));
        (*out)->a = a;
    } else {
        TRY(parse_primary(p, out));
    }
    TRY(parse_postfix(p, out));
    if (with_filter)
        TRY(parse_filters(p, out));
    p->depth--;
    return 0;
}

static int binary(struct parser *p, enum jkind kind, int op, int line, struct jnode *a, struct jnode *b, struct jnode **out)
{
    TRY(new_node(p, kind, line, out));
    (*out)->a = a, (*out)->b = b, (*out)->op = (uint8_t)op;
    return 0;
}

/* Left to right: next (op next)*, for the operators in ops. */
static int parse_chain(struct parser *p, const char *ops, int (*next)(struct parser *, struct jnode **), struct jnode **out)
{
    TRY(next(p, out));
    while (p->tok->type == JT_OP && strchr(ops, p->tok->op)) {
        const struct jtoken *t = p->tok++;
        struct jnode *b;
        TRY(next(p, &b));
        TRY(binary(p, JN_MATH, t->op, t->line, *out, b, out));
    }
    return 0;
}

static int parse_operand(struct parser *p, struct jnode **out) { return parse_unary(p, true, out); }
static int parse_pow(struct parser *p, struct jnode **out) { return parse_chain(p, "p", parse_operand, out); }
static int parse_product(struct parser *p, struct jnode **out) { return parse_chain(p, "*/f%", parse_pow, out); }

static int parse_concat(struct parser *p, struct jnode **out)
{
    struct jnode *first;
    TRY(parse_product(p, &first));
    *out = first;
    if (!is_op(p->tok, '~'))
        return 0;
    TRY(new_node(p, JN_CONCAT, p->tok->line, out));
    TRY(push(p, &(*out)->v, &(*out)->n_v, first));
    while (skip_op(p, '~')) {
        struct jnode *v;
        TRY(parse_product(p, &v));
        TRY(push(p, &(*out)->v, &(*out)->n_v, v));
    }
    return 0;
}

static int parse_sum(struct parser *p, struct jnode **out) { return parse_chain(p, "+-", parse_concat, out); }

static int compare_op(struct parser *p)
{
    if (p->tok->type == JT_OP && strchr("enlg<>", p->tok->op))
        return p->tok++->op;
    if (skip_name(p, "in"))
        return JOP_IN;
    if (is_name(p->tok, "not") && is_name(p->tok + 1, "in")) {
        p->tok += 2;
        return JOP_NOT_IN;
    }
    return 0;
}

static int parse_compare(struct parser *p, struct jnode **out)
{
    struct jnode *first, *b;
    char ops[16];
    int n = 0, op;
    const int line = p->tok->line;
    TRY(parse_sum(p, &first));
    *out = first;
    while ((op = compare_op(p))) {
        if (!n) {
            TRY(new_node(p, JN_COMPARE, line, out));
            (*out)->a = first;
        }
        if (n == (int)sizeof ops)
            return ERR(p->err, RANGE, "%s:%d: more than %zu comparisons in a row", p->t->name, line, sizeof ops);
        ops[n++] = (char)op;
        TRY(parse_sum(p, &b));
        TRY(push(p, &(*out)->v, &(*out)->n_v, b));
    }
    if (n) {
        char *keep = jpool_take(&p->t->pool, sizeof ops);
        if (!keep)
            return no_memory(p);
        memcpy(keep, ops, sizeof ops);
        (*out)->ops = keep;
    }
    return 0;
}

static int parse_not(struct parser *p, struct jnode **out)
{
    const int line = p->tok->line;
    if (!is_name(p->tok, "not"))
        return parse_compare(p, out);
    struct jnode *a;
    TRY(deeper(p));
    p->tok++;
    TRY(parse_not(p, &a));
    p->depth--;
    TRY(new_node(p, JN_NOT, line, out));
    (*out)->a = a;
    return 0;
}

static int parse_and(struct parser *p, struct jnode **out)
{
    TRY(parse_not(p, out));
    while (is_name(p->tok, "and")) {
        const int line = p->tok++->line;
        struct jnode *b;
        TRY(parse_not(p, &b));
        TRY(binary(p, JN_AND, 0, line, *out, b, out));
    }
    return 0;
}

static int parse_or(struct parser *p, struct jnode **out)
{
    TRY(parse_and(p, out));
    while (is_name(p->tok, "or")) {
        const int line = p->tok++->line;
        struct jnode *b;
        TRY(parse_and(p, &b));
        TRY(binary(p, JN_OR, 0, line, *out, b, out));
    }
    return 0;
}

static int parse_expr(struct parser *p, bool with_if, struct jnode **out)
{
    TRY(deeper(p));
    TRY(parse_or(p, out));
    while (with_if && is_name(p->tok, "if")) {
        struct jnode *value = *out, *cond, *other = NULL;
        const int line = p->tok++->line;
        TRY(parse_or(p, &cond));
        if (skip_name(p, "else"))
            TRY(parse_expr(p, true, &other));
        TRY(new_node(p, JN_COND, line, out));
        (*out)->a = cond, (*out)->b = value, (*out)->c = other;
    }
    p->depth--;
    return 0;
}

static bool tuple_ends(const struct parser *p)
{
    const enum jtoken_type t = p->tok->type;
    return t == JT_VAR_END || t == JT_BLOCK_END || is_op(p->tok, ')') || is_name(p->tok, "in") || is_name(p->tok, "recursive");
}

static int parse_tuple(struct parser *p, bool with_if, enum tuple_form form, struct jnode **out)
{
    struct jnode *tuple = NULL, *v;
    const int line = p->tok->line;
    *out = NULL;
    for (int n = 0; !tuple_ends(p); n++) {
        TRY(parse_expr(p, with_if, &v));
        if (!n)
            *out = v;
        if (!tuple && !is_op(p->tok, ','))
            return 0;
        if (!tuple)
            TRY(new_node(p, JN_TUPLE, line, &tuple));
        TRY(push(p, &tuple->v, &tuple->n_v, v));
        if (!skip_op(p, ','))
            break;
    }
    if (!tuple && form != TUPLE_PAREN)
        return found(p, "a value");
    if (!tuple)
        TRY(new_node(p, JN_TUPLE, line, &tuple));
    *out = tuple;
    return 0;
}

/* ---- statements ---- */

static int parse_body(struct parser *p, const char *const *ends, struct jnode **out);

static int parse_name_target(struct parser *p, struct jnode **out)
{
    const struct jtoken *t = p->tok;
    if (t->type != JT_NAME)
        return found(p, "a name to assign to");
    static const char *const taken[] = { "true", "false", "none", "True", "False", "None" };
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (is_name(t, taken[i]))
            return found(p, "a name to assign to");
    p->tok++;
    TRY(new_node(p, JN_NAME, t->line, out));
    (*out)->s = t->s, (*out)->n = t->n;
    return name_id(p, t->s, t->n, &(*out)->name);
}

/* name, name.attribute where `namespace` allows it, or a tuple of targets. */
static int parse_target(struct parser *p, bool tuple, bool namespace, struct jnode **out)
{
    struct jnode *first;
    const int line = p->tok->line;
    if (tuple && is_op(p->tok, '(')) {
        TRY(deeper(p));
        p->tok++;
        TRY(parse_target(p, true, false, out));
        p->depth--;
        TRY(want_op(p, ')'));
        first = *out;
    } else {
        TRY(parse_name_target(p, &first));
        if (namespace && skip_op(p, '.')) {
            const struct jtoken *t = p->tok;
            if (t->type != JT_NAME)
                return found(p, "the name of an attribute");
            p->tok++;
            TRY(new_node(p, JN_ATTR, line, out));
            (*out)->a = first, (*out)->s = t->s, (*out)->n = t->n;
            return 0;
        }
    }
    *out = first;
    if (!tuple || !is_op(p->tok, ','))
        return 0;
    TRY(new_node(p, JN_TUPLE, line, out));
    TRY(push(p, &(*out)->v, &(*out)->n_v, first));
    while (skip_op(p, ',')) {
        struct jnode *v;
        if (is_name(p->tok, "in") || is_op(p->tok, '=') || is_op(p->tok, ')'))
            break;
        TRY(parse_target(p, is_op(p->tok, '('), false, &v));
        TRY(push(p, &(*out)->v, &(*out)->n_v, v));
    }
    return 0;
}

/* The body up to {% word %}, which is passed. */
static int parse_until(struct parser *p, const char *word, struct jnode **out)
{
    const char *const ends[] = { word, NULL };
    TRY(parse_body(p, ends, out));
    p->tok++;
    return 0;
}

static int parse_for(struct parser *p, struct jnode *node)
{
    static const char *const ends[] = { "endfor", "else", NULL };
    TRY(parse_target(p, true, false, &node->a));
    if (!skip_name(p, "in"))
        return found(p, "'in'");
    TRY(parse_tuple(p, false, TUPLE_PLAIN, &node->b));
    if (skip_name(p, "if"))
        TRY(parse_expr(p, true, &node->c));
    if (is_name(p->tok, "recursive"))
        return ERR(p->err, UNSUPPORTED, "%s:%d: recursive loops are not supported", p->t->name, node->line);
    TRY(want_block_end(p));
    p->loops++;
    TRY(parse_body(p, ends, &node->body));
    p->loops--;
    if (skip_name(p, "endfor"))
        return 0;
    p->tok++;
    TRY(want_block_end(p));
    return parse_until(p, "endfor", &node->other);
}

/* elif is an if in the else of the one before. */
static int parse_if(struct parser *p, struct jnode *node)
{
    static const char *const ends[] = { "elif", "else", "endif", NULL };
    for (;;) {
        TRY(parse_tuple(p, false, TUPLE_PLAIN, &node->a));
        TRY(want_block_end(p));
        TRY(parse_body(p, ends, &node->body));
        if (skip_name(p, "endif"))
            return 0;
        const bool elif = is_name(p->tok, "elif");
        p->tok++;
        if (!elif) {
            TRY(want_block_end(p));
            return parse_until(p, "endif", &node->other);
        }
        TRY(new_node(p, JN_IF, p->tok->line, &node->other));
        node = node->other;
    }
}

/* A chain of filters around the text of a block. */
static int parse_block_filters(struct parser *p, struct jnode **out)
{
    do
        TRY(parse_filter(p, out));
    while (skip_op(p, '|'));
    return 0;
}

static int parse_set(struct parser *p, struct jnode *node)
{
    TRY(parse_target(p, true, true, &node->a));
    if (skip_op(p, '='))
        return parse_tuple(p, true, TUPLE_PLAIN, &node->b);
    node->kind = JN_SET_BLOCK;
    if (skip_op(p, '|'))
        TRY(parse_block_filters(p, &node->b));
    TRY(want_block_end(p));
    return parse_until(p, "endset", &node->body);
}

/* (a, b=1) of a macro or call block. */
static int parse_params(struct parser *p, struct jnode *node)
{
    TRY(want_op(p, '('));
    while (!is_op(p->tok, ')')) {
        struct jnode *name, *value;
        if (node->n_v)
            TRY(want_op(p, ','));
        if (node->n_v == JARGS_MAX)
            return ERR(p->err, RANGE, "%s:%d: more than %d parameters", p->t->name, node->line, JARGS_MAX);
        TRY(parse_name_target(p, &name));
        TRY(push(p, &node->v, &node->n_v, name));
        if (skip_op(p, '=')) {
            TRY(parse_expr(p, true, &value));
            TRY(push(p, &node->w, &node->n_w, value));
        } else if (node->n_w) {
            return found(p, "a default, as the parameter before it has");
        }
    }
    return want_op(p, ')');
}

static int parse_macro_body(struct parser *p, struct jnode *node, const char *end)
{
    const int loops = p->loops;
    p->loops = 0;
    TRY(want_block_end(p));
    TRY(parse_until(p, end, &node->body));
    p->loops = loops;
    return 0;
}

static int parse_macro(struct parser *p, struct jnode *node)
{
    struct jnode *name;
    TRY(parse_name_target(p, &name));
    node->name = name->name, node->s = name->s, node->n = name->n;
    TRY(parse_params(p, node));
    return parse_macro_body(p, node, "endmacro");
}

static int parse_call_block(struct parser *p, struct jnode *node)
{
    TRY(new_node(p, JN_MACRO, node->line, &node->b));
    node->b->s = "caller", node->b->n = 6, node->b->name = JNAME_CALLER;
    if (is_op(p->tok, '('))
        TRY(parse_params(p, node->b));
    TRY(parse_expr(p, true, &node->a));
    if (node->a->kind != JN_CALL)
        return found(p, "a call before it");
    return parse_macro_body(p, node->b, "endcall");
}

static int parse_with(struct parser *p, struct jnode *node)
{
    while (p->tok->type != JT_BLOCK_END) {
        struct jnode *name, *value;
        if (node->n_v)
            TRY(want_op(p, ','));
        TRY(parse_target(p, false, false, &name));
        TRY(want_op(p, '='));
        TRY(parse_expr(p, true, &value));
        TRY(push(p, &node->v, &node->n_v, name));
        TRY(push(p, &node->w, &node->n_w, value));
    }
    TRY(want_block_end(p));
    return parse_until(p, "endwith", &node->body);
}

static int parse_filter_block(struct parser *p, struct jnode *node)
{
    TRY(parse_block_filters(p, &node->b));
    TRY(want_block_end(p));
    return parse_until(p, "endfilter", &node->body);
}

static int parse_generation(struct parser *p, struct jnode *node)
{
    p->t->generates = true;
    TRY(want_block_end(p));
    return parse_until(p, "endgeneration", &node->body);
}

static int parse_break(struct parser *p, struct jnode *node)
{
    return p->loops ? 0 : ERR(p->err, FORMAT, "%s:%d: found '%s' outside of a loop", p->t->name, node->line, node->kind == JN_BREAK ? "break" : "continue");
}

static const struct { const char *word; enum jkind kind; int (*parse)(struct parser *, struct jnode *); } statements[] = {
    { "if", JN_IF, parse_if },
    { "for", JN_FOR, parse_for },
    { "set", JN_SET, parse_set },
    { "macro", JN_MACRO, parse_macro },
    { "call", JN_CALL_BLOCK, parse_call_block },
    { "filter", JN_FILTER_BLOCK, parse_filter_block },
    { "with", JN_WITH, parse_with },
    { "generation", JN_GENERATION, parse_generation },
    { "break", JN_BREAK, parse_break },
    { "continue", JN_CONTINUE, parse_break },
};

static int parse_statement(struct parser *p, struct jnode **out)
{
    static const char *const others[] = { "include", "import", "from", "extends", "block", "autoescape", "do", "trans", "debug" };
    const struct jtoken *t = p->tok;
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (is_name(t, statements[i].word)) {
            p->tok++;
            TRY(deeper(p));
            TRY(new_node(p, statements[i].kind, t->line, out));
            TRY(statements[i].parse(p, *out));
            p->depth--;
            return want_block_end(p);
        }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (is_name(t, others[i]))
            return ERR(p->err, UNSUPPORTED, "%s:%d: the statement '%s' is not supported in chat templates", p->t->name, t->line, others[i]);
    return found(p, "a statement (if, for, set, macro, ...)");
}

/* Statements up to {% end, whose word is then the current token; ends NULL: up to the end of the template. */
static int parse_body(struct parser *p, const char *const *ends, struct jnode **out)
{
    struct jnode **tail = out;
    const int line = p->tok->line;
    *out = NULL;
    for (; p->tok->type != JT_END; tail = &(*tail)->next) {
        const struct jtoken *t = p->tok++;
        if (t->type == JT_DATA) {
            TRY(new_node(p, JN_DATA, t->line, tail));
            (*tail)->value = jval_str(t->s, t->n);
        } else if (t->type == JT_VAR_BEGIN) {
            struct jnode *v;
            TRY(parse_tuple(p, true, TUPLE_PLAIN, &v));
            if (p->tok->type != JT_VAR_END)
                return found(p, "}}");
            p->tok++;
            TRY(new_node(p, JN_OUTPUT, t->line, tail));
            (*tail)->a = v;
        } else {
            assert(t->type == JT_BLOCK_BEGIN);
            for (const char *const *e = ends; e && *e; e++)
                if (is_name(p->tok, *e))
                    return 0;
            TRY(parse_statement(p, tail));
        }
    }
    if (!ends)
        return 0;
    int n = 0;
    while (ends[n])
        n++;
    return ERR(p->err, FORMAT, "%s:%d: found the end of the template, expected {%% %s %%} for what begins before line %d", p->t->name, p->tok->line, ends[n - 1], line);
}

/* ---- doors ---- */

static int parse_template(struct jinja *t, const char *text, size_t n, struct err *err)
{
    static const char *const fixed[] = { "loop", "caller", "varargs", "kwargs" };
    struct parser p = { .t = t, .err = err };
    struct jtoken *tokens = NULL;
    size_t n_token;
    int id;
    for (int i = 0; i < JNAME_FIXED; i++)
        TRY(name_id(&p, fixed[i], strlen(fixed[i]), &id));
    TRY(jlex(text, n, t->name, t->strict ? JINJA_STRICT : JINJA_CHAT, &t->pool, &tokens, &n_token, err));
    p.tok = tokens;
    const int rc = parse_body(&p, NULL, &t->body);
    mem_free(tokens);
    return rc;
}

int jinja_parse(struct jinja **out, const char *text, size_t n, const char *name, struct err *err) { return jinja_parse_as(out, JINJA_CHAT, text, n, name, err); }

int jinja_parse_as(struct jinja **out, enum jinja_env env, const char *text, size_t n, const char *name, struct err *err)
{
    *out = NULL;
    if (n > JINJA_TEXT_MAX)
        return ERR(err, RANGE, "%s: %zu bytes, expected at most %zu", name, n, JINJA_TEXT_MAX);
    for (size_t i = 0, k; i < n; i += k)
        if (!(k = (size_t)utf8_length(text + i, text + n)))
            return ERR(err, FORMAT, "%s: not UTF-8 at byte %zu", name, i);
    struct jinja *t = mem_alloc_zero(sizeof *t);
    if (!t || !(t->name = mem_strdup(name))) {
        mem_free(t);
        return ERR(err, NOMEM, "%s: no memory to read it", name);
    }
    t->strict = env == JINJA_STRICT;
    t->pool.max = SIZE_MAX;          /* bounded by the text: some 300 bytes for each of its own */
    const int rc = parse_template(t, text, n, err);
    if (rc < 0) {
        jinja_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

void jinja_free(struct jinja *t)
{
    if (!t)
        return;
    jpool_release(&t->pool);
    mem_free(t->name);
    mem_free(t);
}

bool jinja_generates(const struct jinja *t) { return t->generates; }

bool jinja_mentions(const struct jinja *t, const char *word)
{
    for (size_t i = 0; i < t->n_word; i++)
        if (!strcmp(t->words[i], word))
            return true;
    return false;
}
