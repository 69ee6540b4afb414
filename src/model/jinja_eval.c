/* jinja_eval.c - walks the tree's expressions: attributes and items, calls, operators.  Every node costs a step, every nested one a
 * level. */
#include <math.h>
#include <string.h>
#include "model/jinja_method.h"
#include "model/jinja_run.h"

/* ---- attributes and items ---- */

static int loop_attr(const struct jloop *l, const char *s, size_t n, struct jval *out)
{
    static const char *const names[] = { "index0", "index", "first", "last", "length", "revindex", "revindex0", "previtem", "nextitem", "depth", "depth0" };
    const uint32_t count = l->list->n;
    size_t k = 0;
    while (k < sizeof names / sizeof *names && (strlen(names[k]) != n || memcmp(names[k], s, n)))
        k++;
    switch (k) {
    case 0: *out = jval_int(l->i); return 0;
    case 1: *out = jval_int(l->i + 1); return 0;
    case 2: *out = jval_bool(l->i == 0); return 0;
    case 3: *out = jval_bool(l->i + 1 == count); return 0;
    case 4: *out = jval_int(count); return 0;
    case 5: *out = jval_int(count - l->i); return 0;
    case 6: *out = jval_int(count - l->i - 1); return 0;
    case 7:
        *out = l->i ? l->list->v[l->i - 1] : jval_undefined("there is no previous item");
        return 0;
    case 8:
        *out = l->i + 1 < count ? l->list->v[l->i + 1] : jval_undefined("there is no next item");
        return 0;
    case 9: *out = jval_int(1); return 0;
    case 10: *out = jval_int(0); return 0;
    default: return *out = jval_undefined_name(s, n), 0;
    }
}

int jeval_attr(struct jrun *r, const struct jval *v, const char *s, size_t n, int method, struct jval *out)
{
    if (v->type == J_UNDEFINED)
        return jfail_undefined(r, v);
    if (method >= 0 && jmethod_has(method, v) && !jmethod_allowed(method))
        return *out = jval_undefined_name(s, n), 0;
    if (method >= 0 && jmethod_has(method, v)) {
        struct jval *self = jpool_take(&r->pool, sizeof *self);
        if (!self)
            return jfail_memory(r);
        *self = *v;
        *out = (struct jval){ .type = J_METHOD, .code = (uint16_t)method, .self = self };
        return 0;
    }
    if (v->type == J_LOOP)
        return loop_attr(v->loop, s, n, out);
    if (v->type == J_MACRO && n == 4 && !memcmp(s, "name", 4))
        return *out = jval_str(v->macro->node->s, v->macro->node->n), 0;
    if (v->type == J_DICT || v->type == J_NAMESPACE) {
        TRY(jwork(r, v->dict->n));
        const struct jval *found = jdict_str(v->dict, s, n);
        if (found) {
            *out = *found;
            return 0;
        }
    }
    return *out = jval_undefined_name(s, n), 0;
}

int jeval_item(struct jrun *r, const struct jval *v, const struct jval *key, struct jval *out)
{
    const struct jval *found;
    const bool whole = key->type == J_INT || key->type == J_BOOL;
    int64_t i = key->type == J_BOOL ? key->b : key->type == J_INT ? key->i : 0, n;
    if (v->type == J_UNDEFINED)
        return jfail_undefined(r, v);
    if (v->type == J_DICT && key->type != J_LIST && key->type != J_DICT) {
        TRY(jdict_find(r, v->dict, key, &found));
        if (found) {
            *out = *found;
            return 0;
        }
    }
    if (whole && (v->type == J_STR || v->type == J_LIST || v->type == J_TUPLE || (v->type == J_VIEW && v->code))) {
        TRY(jval_length(r, v, &n));
        i += i < 0 ? n : 0;
        if (i < 0 || i >= n) {
            *out = jval_undefined("an item beyond the end");
        } else if (v->type == J_STR) {
            const size_t at = jchar_offset(v->s, v->n, (size_t)i);
            return *out = jval_cut(v, at, at + jchar_offset(v->s + at, v->n - at, 1)), 0;
        } else {
            *out = v->list->v[i];
        }
        return 0;
    }
    if (key->type == J_STR)
        return jeval_attr(r, v, key->s, key->n, jmethod_find(key->s, key->n), out);
    *out = jval_undefined("an item");
    return 0;
}

static int slice_bound(struct jrun *r, struct jscope *s, const struct jnode *n, int64_t fallback, int64_t *out)
{
    struct jval v;
    *out = fallback;
    if (!n)
        return 0;
    TRY(jeval(r, s, n, &v));
    if (v.type == J_INT || v.type == J_BOOL)
        *out = v.type == J_INT ? v.i : v.b;
    else if (v.type != J_NONE)
        return jfail(r, FORMAT, "%s as the bound of a slice, expected a whole number", jval_type(&v));
    return 0;
}

static int64_t clamp_bound(int64_t i, int64_t n, int64_t step)
{
    if (i < 0)
        return i < -n ? (step < 0 ? -1 : 0) : i + n;
    return i >= n ? (step < 0 ? n - 1 : n) : i;
}

static int slice_string(struct jrun *r, const struct jval *v, int64_t from, int64_t to, int64_t step, struct jval *out)
{
    if (step == 1) {
        const size_t a = jchar_offset(v->s, v->n, (size_t)from), b = from < to ? a + jchar_offset(v->s + a, v->n - a, (size_t)(to - from)) : a;
        return *out = jval_cut(v, a, b), 0;
    }
    struct jval chars;
    struct jbuild b;
    TRY(jval_walk(r, v, &chars));
    jbuild_init(&b, r);
    for (int64_t i = from; step > 0 ? i < to : i > to; i += step)
        TRY(jbuild_part(&b, &chars.list->v[i], 0, chars.list->v[i].n));
    *out = jbuild_end(&b);
    return 0;
}

static int eval_slice(struct jrun *r, struct jscope *s, const struct jnode *node, struct jval *out)
{
    struct jval v;
    int64_t from, to, step, n;
    TRY(jeval(r, s, node->a, &v));
    TRY(slice_bound(r, s, node->d, 1, &step));
    if (!step)
        return jfail(r, FORMAT, "a slice with step 0");
    if (v.type != J_STR && v.type != J_LIST && v.type != J_TUPLE && !(v.type == J_VIEW && v.code))
        return v.type == J_UNDEFINED ? jfail_undefined(r, &v) : jfail(r, FORMAT, "a slice of %s, expected a string or list", jval_type(&v));
    TRY(jval_length(r, &v, &n));
    /* The bounds of an open slice lie outside of what clamping makes of a given one. */
    step = step > n + 1 ? n + 1 : step < -n - 1 ? -n - 1 : step;
    TRY(slice_bound(r, s, node->b, step < 0 ? INT64_MAX : 0, &from));
    TRY(slice_bound(r, s, node->c, INT64_MIN, &to));
    from = clamp_bound(from, n, step);
    to = to == INT64_MIN ? (step < 0 ? -1 : n) : clamp_bound(to, n, step);
    if (v.type == J_STR)
        return slice_string(r, &v, from, to, step, out);
    TRY(jval_list(r, v.type == J_TUPLE ? J_TUPLE : J_LIST, 0, out));
    for (int64_t i = from; step > 0 ? i < to : i > to; i += step) {
        TRY(jwork(r, 0));
        TRY(jlist_add(r, out->list, &v.list->v[i]));
    }
    return 0;
}

/* ---- calls ---- */

const struct jval *jarg(const struct jargs *a, int i, const char *name)
{
    if (i >= 0 && i < a->n)
        return &a->v[i];
    for (int k = 0; k < a->n_kw && name; k++)
        if (!strcmp(a->kw_name[k], name))
            return &a->kw[k];
    return NULL;
}

int jargs_check(struct jrun *r, const struct jargs *a, const char *what, int min, const char *const *names)
{
    int n = 0;
    while (names[n])
        n++;
    if (a->n > n)
        return jfail(r, FORMAT, "%s: found %d arguments, expected at most %d", what, a->n, n);
    for (int k = 0; k < a->n_kw; k++) {
        int i = 0;
        while (i < n && strcmp(names[i], a->kw_name[k]))
            i++;
        if (i == n || i < a->n)
            return jfail(r, FORMAT, "%s: found an argument '%s', which it does not take%s", what, a->kw_name[k], i == n ? "" : " twice");
    }
    for (int i = a->n; i < min; i++)
        if (!jarg(a, i, names[i]))
            return jfail(r, FORMAT, "%s: the argument '%s' is missing", what, names[i]);
    return 0;
}

static int eval_args(struct jrun *r, struct jscope *s, const struct jnode *n, struct jargs *a)
{
    a->n = n->n_v, a->n_kw = n->n_kw;
    for (int i = 0; i < n->n_v; i++)
        TRY(jeval(r, s, n->v[i], &a->v[i]));
    for (int i = 0; i < n->n_kw; i++) {
        a->kw_name[i] = n->kw_name[i];
        TRY(jeval(r, s, n->kw[i], &a->kw[i]));
    }
    return 0;
}

static int call_loop(struct jrun *r, struct jloop *l, bool cycle, const struct jargs *a, struct jval *out)
{
    if (cycle) {
        if (!a->n)
            return jfail(r, FORMAT, "loop.cycle() of nothing");
        *out = a->v[l->i % (uint32_t)a->n];
        return 0;
    }
    struct jval now;
    bool equal = false;
    TRY(jval_list(r, J_TUPLE, (uint32_t)a->n, &now));
    for (int i = 0; i < a->n; i++)
        TRY(jlist_add(r, now.list, &a->v[i]));
    if (l->has_changed)
        TRY(jval_equal(r, &l->changed, &now, &equal));
    l->changed = now, l->has_changed = true;
    *out = jval_bool(!equal);
    return 0;
}

int jeval_call(struct jrun *r, const struct jval *f, const struct jargs *a, struct jval *out)
{
    switch (f->type) {
    case J_FUNC: return jfunc_call(r, f->code, a, out);
    case J_METHOD: return jmethod_call(r, f->code, f->self, a, out);
    case J_MACRO: return jmacro_call(r, f->macro, a, out);
    case J_JOINER:
        *out = *f->used ? *f->sep : jval_str("", 0);
        *f->used = true;
        return 0;
    case J_UNDEFINED: return jfail(r, FORMAT, "'%.*s' is undefined, or a method that templates may not call", (int)f->n, f->s);
    case J_LOOP: return jfail(r, UNSUPPORTED, "recursive loops are not supported");
    default: return jfail(r, FORMAT, "%s cannot be called", jval_type(f));
    }
}

static bool is_word(const struct jnode *n, const char *s) { return n->n == strlen(s) && !memcmp(n->s, s, n->n); }

/* A method of a value is called without making a value of it. */
int jeval_with_caller(struct jrun *r, struct jscope *s, const struct jnode *n, const struct jval *caller, struct jval *out)
{
    struct jval f;
    struct jargs a;
    if (n->a->kind == JN_ATTR) {
        struct jval self;
        TRY(jeval(r, s, n->a->a, &self));
        if (self.type == J_LOOP && (is_word(n->a, "cycle") || is_word(n->a, "changed"))) {
            TRY(eval_args(r, s, n, &a));
            r->line = n->line;
            return call_loop(r, self.loop, is_word(n->a, "cycle"), &a, out);
        }
        if (n->a->code >= 0 && jmethod_has(n->a->code, &self)) {
            TRY(eval_args(r, s, n, &a));
            r->line = n->line;
            return jmethod_call(r, n->a->code, &self, &a, out);
        }
        r->line = n->a->line;
        TRY(jeval_attr(r, &self, n->a->s, n->a->n, n->a->code, &f));
    } else {
        TRY(jeval(r, s, n->a, &f));
    }
    TRY(eval_args(r, s, n, &a));
    if (caller) {
        if (a.n_kw == JARGS_MAX)
            return jfail(r, RANGE, "more than %d arguments", JARGS_MAX);
        a.kw_name[a.n_kw] = "caller";
        a.kw[a.n_kw++] = *caller;
    }
    r->line = n->line;
    return jeval_call(r, &f, &a, out);
}

static int eval_filter(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    struct jval v;
    struct jargs a;
    if (n->a)
        TRY(jeval(r, s, n->a, &v));
    else
        v = r->text;
    TRY(eval_args(r, s, n, &a));
    r->line = n->line;
    if (n->code < 0)
        return jfail(r, UNSUPPORTED, "there is no filter '%.*s'", (int)n->n, n->s);
    return jfilter_apply(r, n->code, &v, &a, out);
}

static int eval_test(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    struct jval v;
    struct jargs a;
    bool yes;
    TRY(jeval(r, s, n->a, &v));
    TRY(eval_args(r, s, n, &a));
    r->line = n->line;
    if (n->code < 0)
        return jfail(r, UNSUPPORTED, "there is no test '%.*s'", (int)n->n, n->s);
    TRY(jtest_apply(r, n->code, &v, &a, &yes));
    *out = jval_bool(yes);
    return 0;
}

/* ---- operators and literals ---- */

static int eval_sign(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    struct jval v;
    TRY(jeval(r, s, n->a, &v));
    if (v.type != J_INT && v.type != J_FLOAT && v.type != J_BOOL)
        return v.type == J_UNDEFINED ? jfail_undefined(r, &v) : jfail(r, FORMAT, "a sign before %s", jval_type(&v));
    *out = v.type == J_FLOAT ? v : jval_int(v.type == J_INT ? v.i : v.b);
    out->input = v.input;
    if (n->kind == JN_POS)
        return 0;
    if (v.type == J_FLOAT)
        out->f = -v.f;
    else if (__builtin_sub_overflow((int64_t)0, out->i, &out->i))
        return jfail(r, RANGE, "a whole number of more than 64 bits");
    return 0;
}

static int compare(struct jrun *r, int op, const struct jval *a, const struct jval *b, bool *yes)
{
    int order;
    switch (op) {
    case JOP_EQ: return jval_equal(r, a, b, yes);
    case JOP_NE:
        TRY(jval_equal(r, a, b, yes));
        *yes = !*yes;
        return 0;
    case JOP_IN: return jval_contains(r, b, a, yes);
    case JOP_NOT_IN:
        TRY(jval_contains(r, b, a, yes));
        *yes = !*yes;
        return 0;
    default:
        if (a->type == J_UNDEFINED || b->type == J_UNDEFINED)
            return jfail_undefined(r, a->type == J_UNDEFINED ? a : b);
        TRY(jval_order(r, a, b, &order));
        *yes = op == '<' ? order < 0 : op == '>' ? order > 0 : op == JOP_LE ? order <= 0 : order >= 0;
        int64_t i;
        double f, g;
        if (jnumber(a, &i, &f) && jnumber(b, &i, &g) && (isnan(f) || isnan(g)))
            *yes = false;
        return 0;
    }
}

static int eval_compare(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    struct jval a, b;
    bool yes = true;
    TRY(jeval(r, s, n->a, &a));
    for (int i = 0; i < n->n_v && yes; i++, a = b) {
        TRY(jeval(r, s, n->v[i], &b));
        r->line = n->line;
        TRY(jdefined(r, &a));
        TRY(jdefined(r, &b));
        TRY(compare(r, n->ops[i], &a, &b, &yes));
    }
    *out = jval_bool(yes);
    return 0;
}

static int eval_concat(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    struct jbuild b;
    jbuild_init(&b, r);
    b.max = UINT32_MAX / 2;
    for (int i = 0; i < n->n_v; i++) {
        struct jval v;
        TRY(jeval(r, s, n->v[i], &v));
        TRY(jbuild_str(&b, &v));
    }
    *out = jbuild_end(&b);
    return 0;
}

static int eval_list(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    TRY(jval_list(r, n->kind == JN_LIST ? J_LIST : J_TUPLE, (uint32_t)n->n_v, out));
    for (int i = 0; i < n->n_v; i++) {
        struct jval v;
        TRY(jeval(r, s, n->v[i], &v));
        TRY(jlist_add(r, out->list, &v));
    }
    return 0;
}

static int eval_dict(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    TRY(jval_dict(r, J_DICT, (uint32_t)n->n_v, out));
    for (int i = 0; i < n->n_v; i++) {
        struct jval k, v;
        TRY(jeval(r, s, n->v[i], &k));
        TRY(jeval(r, s, n->w[i], &v));
        TRY(jdict_set(r, out->dict, &k, &v));
    }
    return 0;
}

static int eval_name(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    const struct jval *v = jscope_find(r, s, n->name);
    if (v)
        *out = *v;
    else if (n->code >= 0)
        *out = (struct jval){ .type = J_FUNC, .code = (uint16_t)n->code };
    else {
        *out = jval_undefined_name(n->s, n->n);
        if (!r->missing)
            r->missing = n->s, r->n_missing = n->n;
    }
    return 0;
}

static int eval_math(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    struct jval a, b;
    TRY(jeval(r, s, n->a, &a));
    TRY(jeval(r, s, n->b, &b));
    r->line = n->line;
    return jeval_math(r, n->op, &a, &b, out);
}

static int eval_item(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    struct jval a, b;
    TRY(jeval(r, s, n->a, &a));
    TRY(jeval(r, s, n->b, &b));
    r->line = n->line;
    return jeval_item(r, &a, &b, out);
}

static int eval_attr(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    struct jval a;
    TRY(jeval(r, s, n->a, &a));
    r->line = n->line;
    return jeval_attr(r, &a, n->s, n->n, n->code, out);
}

static int eval_inner(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    struct jval a;
    bool yes;
    switch (n->kind) {
    case JN_LIST:
    case JN_TUPLE: return eval_list(r, s, n, out);
    case JN_DICT: return eval_dict(r, s, n, out);
    case JN_ATTR: return eval_attr(r, s, n, out);
    case JN_ITEM: return eval_item(r, s, n, out);
    case JN_SLICE: return eval_slice(r, s, n, out);
    case JN_CALL: return jeval_with_caller(r, s, n, NULL, out);
    case JN_FILTER: return eval_filter(r, s, n, out);
    case JN_TEST: return eval_test(r, s, n, out);
    case JN_NEG:
    case JN_POS: return eval_sign(r, s, n, out);
    case JN_COMPARE: return eval_compare(r, s, n, out);
    case JN_MATH: return eval_math(r, s, n, out);
    case JN_CONCAT: return eval_concat(r, s, n, out);
    case JN_NOT:
        TRY(jeval(r, s, n->a, &a));
        TRY(jtruth(r, &a, &yes));
        *out = jval_bool(!yes);
        return 0;
    case JN_AND:
    case JN_OR:
        TRY(jeval(r, s, n->a, out));
        TRY(jtruth(r, out, &yes));
        return yes == (n->kind == JN_AND) ? jeval(r, s, n->b, out) : 0;
    default:                         /* JN_COND */
        TRY(jeval(r, s, n->a, &a));
        TRY(jtruth(r, &a, &yes));
        if (yes)
            return jeval(r, s, n->b, out);
        if (n->c)
            return jeval(r, s, n->c, out);
        *out = jval_undefined("an if without else");
        return 0;
    }
}

int jeval(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    r->line = n->line;
    if (--r->steps < 0)
        return jwork(r, 0);
    if (n->kind == JN_CONST) {
        *out = n->value;
        return 0;
    }
    if (n->kind == JN_NAME)
        return eval_name(r, s, n, out);
    TRY(jenter(r));
    TRY(eval_inner(r, s, n, out));
    r->depth--;
    return 0;
}
