/* jinja_eval.c - walks the tree and writes.
 *
 * A scope is a list of names that were set in it, looked up from the innermost out; the outermost is an array by name.
 * Every node costs a step, every body and nested expression a level. */
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "model/jinja_method.h"
#include "model/jinja_tree.h"

struct jscope { struct jscope *up; int *id; struct jval *v; int n, cap; bool kept; };      /* the outermost has no up, and v by name */
struct jmacro { const struct jnode *node; struct jscope *scope; };
struct jloop { const struct jlist *list; uint32_t i; struct jval changed; bool has_changed; };

enum { GO_ON, BREAK_LOOP, CONTINUE_LOOP };
#define UNSET 255                /* type of a name of the outermost scope that has no value */

static int eval(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out);
static int exec_body(struct jrun *r, struct jscope *s, const struct jnode *n);

/* ---- names ---- */

static const struct jval *scope_find(struct jrun *r, const struct jscope *s, int id)
{
    for (; s->up; s = s->up) {
        r->steps -= s->n / 16;
        for (int i = s->n; i-- > 0;)
            if (s->id[i] == id)
                return &s->v[i];
    }
    return s->v[id].type == UNSET ? NULL : &s->v[id];
}

static int scope_set(struct jrun *r, struct jscope *s, int id, const struct jval *v)
{
    if (!s->up) {
        s->v[id] = *v;
        return 0;
    }
    r->steps -= s->n / 16;
    for (int i = 0; i < s->n; i++)
        if (s->id[i] == id) {
            s->v[i] = *v;
            return 0;
        }
    if (s->n == s->cap) {
        const int cap = s->cap ? s->cap * 2 : 8;
        int *ids = jpool_grow(&r->pool, s->id, (size_t)s->n * sizeof *ids, (size_t)cap * sizeof *ids);
        struct jval *values = ids ? jpool_grow(&r->pool, s->v, (size_t)s->n * sizeof *values, (size_t)cap * sizeof *values) : NULL;
        if (!values)
            return jfail_memory(r);
        s->id = ids, s->v = values, s->cap = cap;
    }
    s->id[s->n] = id, s->v[s->n++] = *v;
    return 0;
}

/* Scopes are used again when they end, but for those that a macro keeps. */
static int scope_new(struct jrun *r, struct jscope *up, struct jscope **out)
{
    *out = r->free_scope;
    if (*out) {
        r->free_scope = (*out)->up;
        (*out)->up = up, (*out)->n = 0;
        return 0;
    }
    if (!(*out = jpool_take(&r->pool, sizeof **out)))
        return jfail_memory(r);
    **out = (struct jscope){ .up = up };
    return 0;
}

static void scope_end(struct jrun *r, struct jscope *s)
{
    if (s->kept)
        return;
    s->up = r->free_scope;
    r->free_scope = s;
}

static int undefined(const char *s, size_t n, struct jval *out)
{
    *out = (struct jval){ .type = J_UNDEFINED, .s = s, .n = n > 80 ? 80 : (uint32_t)n };
    return 0;
}

static int use_of_undefined(struct jrun *r, const struct jval *v) { return jfail(r, FORMAT, "'%.*s' is undefined", (int)v->n, v->s); }

static int assign(struct jrun *r, struct jscope *s, const struct jnode *target, const struct jval *v)
{
    if (target->kind == JN_NAME)
        return scope_set(r, s, target->name, v);
    if (target->kind == JN_ATTR) {
        const struct jval *ns = scope_find(r, s, target->a->name), key = jval_str(target->s, target->n);
        if (!ns || ns->type != J_NAMESPACE)
            return jfail(r, FORMAT, "%.*s is %s, expected a namespace() to assign to", (int)target->a->n, target->a->s, ns ? jval_type(ns) : "undefined");
        return jdict_set(r, ns->dict, &key, v);
    }
    struct jval list;
    TRY(jval_walk(r, v, &list));
    if (list.list->n != (uint32_t)target->n_v)
        return jfail(r, FORMAT, "found %u values to assign, expected %d", list.list->n, target->n_v);
    for (int i = 0; i < target->n_v; i++)
        TRY(assign(r, s, target->v[i], &list.list->v[i]));
    return 0;
}

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
    default: return undefined(s, n, out);
    }
}

int jeval_attr(struct jrun *r, const struct jval *v, const char *s, size_t n, int method, struct jval *out)
{
    if (v->type == J_UNDEFINED)
        return use_of_undefined(r, v);
    if (method >= 0 && jmethod_has(method, v) && !jmethod_allowed(method))
        return undefined(s, n, out);
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
    return undefined(s, n, out);
}

int jeval_item(struct jrun *r, const struct jval *v, const struct jval *key, struct jval *out)
{
    const struct jval *found;
    const bool whole = key->type == J_INT || key->type == J_BOOL;
    int64_t i = key->type == J_BOOL ? key->b : key->type == J_INT ? key->i : 0, n;
    if (v->type == J_UNDEFINED)
        return use_of_undefined(r, v);
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
    TRY(eval(r, s, n, &v));
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
    TRY(eval(r, s, node->a, &v));
    TRY(slice_bound(r, s, node->d, 1, &step));
    if (!step)
        return jfail(r, FORMAT, "a slice with step 0");
    if (v.type != J_STR && v.type != J_LIST && v.type != J_TUPLE && !(v.type == J_VIEW && v.code))
        return v.type == J_UNDEFINED ? use_of_undefined(r, &v) : jfail(r, FORMAT, "a slice of %s, expected a string or list", jval_type(&v));
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

/* ---- arithmetic ---- */

static int math_type_error(struct jrun *r, int op, const struct jval *a, const struct jval *b)
{
    if (a->type == J_UNDEFINED || b->type == J_UNDEFINED)
        return use_of_undefined(r, a->type == J_UNDEFINED ? a : b);
    return jfail(r, FORMAT, "%s %s %s has no meaning", jval_type(a), op == JOP_FLOORDIV ? "//" : op == JOP_POW ? "**" : (const char[]){ (char)op, 0 }, jval_type(b));
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - ((a % b != 0) && ((a < 0) != (b < 0))); }

static bool int_pow(int64_t a, int64_t n, int64_t *out)
{
    *out = 1;
    if (n > 64 && a != 0 && a != 1 && a != -1)
        return false;
    if (n > 64)
        n = a == -1 ? n & 1 : 1;
    for (; n > 0; n--)
        if (__builtin_mul_overflow(*out, a, out))
            return false;
    return true;
}

static int float_math(struct jrun *r, int op, double a, double b, struct jval *out)
{
    if ((op == '/' || op == JOP_FLOORDIV || op == '%') && b == 0)
        return jfail(r, FORMAT, "a division by zero");
    double m = 0;
    switch (op) {
    case '+': *out = jval_float(a + b); return 0;
    case '-': *out = jval_float(a - b); return 0;
    case '*': *out = jval_float(a * b); return 0;
    case '/': *out = jval_float(a / b); return 0;
    case JOP_POW:
        *out = jval_float(pow(a, b));
        return isfinite(out->f) || !isfinite(a) || !isfinite(b) ? 0 : jfail(r, FORMAT, "%g ** %g is no real number, or too large", a, b);
    default:
        m = fmod(a, b);
        if (m && (m < 0) != (b < 0))
            m += b;
        *out = jval_float(op == '%' ? m : floor((a - m) / b + 0.5));
        return 0;
    }
}

static int int_math(struct jrun *r, int op, int64_t a, int64_t b, struct jval *out)
{
    int64_t v = 0;
    bool over = false;
    if ((op == '/' || op == JOP_FLOORDIV || op == '%') && !b)
        return jfail(r, FORMAT, "a division by zero");
    switch (op) {
    case '+': over = __builtin_add_overflow(a, b, &v); break;
    case '-': over = __builtin_sub_overflow(a, b, &v); break;
    case '*': over = __builtin_mul_overflow(a, b, &v); break;
    case '/': *out = jval_float((double)a / (double)b); return 0;
    case JOP_FLOORDIV:
    case '%':
        over = a == INT64_MIN && b == -1;
        if (!over)
            v = op == '%' ? a - floor_div(a, b) * b : floor_div(a, b);
        break;
    default:
        if (b < 0) {
            if (!a)
                return jfail(r, FORMAT, "0 to a negative power");
            return float_math(r, op, (double)a, (double)b, out);
        }
        over = !int_pow(a, b, &v);
    }
    if (over)
        return jfail(r, RANGE, "a whole number of more than 64 bits");
    *out = jval_int(v);
    return 0;
}

static int repeat(struct jrun *r, const struct jval *v, int64_t n, struct jval *out)
{
    n = n < 0 ? 0 : n;
    if (v->type == J_STR) {
        struct jbuild b;
        jbuild_init(&b, r);
        b.max = UINT32_MAX / 2;
        for (; n > 0 && v->n; n--) {
            TRY(jwork(r, 0));
            TRY(jbuild_part(&b, v, 0, v->n));
        }
        *out = jbuild_end(&b);
        out->code = v->code;
        return 0;
    }
    TRY(jval_list(r, v->type, 0, out));
    for (; n > 0 && v->list->n; n--)
        for (uint32_t i = 0; i < v->list->n; i++) {
            TRY(jwork(r, 0));
            TRY(jlist_add(r, out->list, &v->list->v[i]));
        }
    return 0;
}

static bool repeatable(const struct jval *v) { return v->type == J_STR || v->type == J_LIST || v->type == J_TUPLE; }
static bool whole(const struct jval *v) { return v->type == J_INT || v->type == J_BOOL; }

int jeval_math(struct jrun *r, int op, const struct jval *a, const struct jval *b, struct jval *out)
{
    int64_t i, j;
    double f, g;
    if (a->type == J_STR && b->type == J_STR && op == '+') {
        struct jval x = *a, y = *b;
        if (a->code != b->code)
            TRY(jstr_escape(r, a->code ? b : a, a->code ? &y : &x));
        TRY(jval_concat(r, &x, &y, out));
        out->code = a->code | b->code;
        return 0;
    }
    if (jnumber(a, &i, &f) && jnumber(b, &j, &g)) {
        TRY(a->type == J_FLOAT || b->type == J_FLOAT ? float_math(r, op, f, g, out) : int_math(r, op, i, j, out));
        out->input = a->input || b->input;
        return 0;
    }
    if (op == '*' && repeatable(a) && whole(b))
        return repeat(r, a, b->type == J_INT ? b->i : b->b, out);
    if (op == '*' && repeatable(b) && whole(a))
        return repeat(r, b, a->type == J_INT ? a->i : a->b, out);
    if (op == '%' && a->type == J_STR)
        return jfail(r, UNSUPPORTED, "formatting a string with %% is not supported");
    if (op != '+' || a->type != b->type || (a->type != J_LIST && a->type != J_TUPLE))
        return math_type_error(r, op, a, b);
    TRY(jwork(r, (size_t)32 * a->list->n + (size_t)32 * b->list->n));
    TRY(jval_list(r, a->type, a->list->n + b->list->n, out));
    for (uint32_t k = 0; k < a->list->n + b->list->n; k++)
        TRY(jlist_add(r, out->list, k < a->list->n ? &a->list->v[k] : &b->list->v[k - a->list->n]));
    return 0;
}

static int eval_sign(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    struct jval v;
    TRY(eval(r, s, n->a, &v));
    if (v.type != J_INT && v.type != J_FLOAT && v.type != J_BOOL)
        return v.type == J_UNDEFINED ? use_of_undefined(r, &v) : jfail(r, FORMAT, "a sign before %s", jval_type(&v));
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
        TRY(eval(r, s, n->v[i], &a->v[i]));
    for (int i = 0; i < n->n_kw; i++) {
        a->kw_name[i] = n->kw_name[i];
        TRY(eval(r, s, n->kw[i], &a->kw[i]));
    }
    return 0;
}

/* Writes into a string of its own what the body prints. */
static int captured(struct jrun *r, struct jscope *s, const struct jnode *body, struct jval *out)
{
    struct jbuild b, *before = r->out;
    jbuild_init(&b, r);
    b.max = UINT32_MAX / 2;
    r->out = &b;
    const int rc = exec_body(r, s, body);
    r->out = before;
    *out = jbuild_end(&b);
    return rc < 0 ? rc : 0;
}

/* Names that no parameter takes: an error, or in `kwargs` and `varargs` of a template that looks at those. */
static int macro_rest(struct jrun *r, struct jscope *s, const struct jnode *m, const struct jargs *a, const bool *used)
{
    struct jval rest, key;
    const struct jinja *t = r->template;
    if (a->n > m->n_v && !t->uses_varargs)
        return jfail(r, FORMAT, "macro %.*s: found %d arguments, expected at most %d", (int)m->n, m->s, a->n, m->n_v);
    TRY(jval_list(r, J_TUPLE, 0, &rest));
    for (int i = m->n_v; i < a->n; i++)
        TRY(jlist_add(r, rest.list, &a->v[i]));
    TRY(scope_set(r, s, JNAME_VARARGS, &rest));
    TRY(jval_dict(r, J_DICT, 0, &rest));
    for (int i = 0; i < a->n_kw; i++) {
        if (used[i])
            continue;
        if (!strcmp(a->kw_name[i], "caller")) {
            TRY(scope_set(r, s, JNAME_CALLER, &a->kw[i]));
            continue;
        }
        if (!t->uses_kwargs)
            return jfail(r, FORMAT, "macro %.*s: found an argument '%s', which it does not take", (int)m->n, m->s, a->kw_name[i]);
        key = jval_str(a->kw_name[i], strlen(a->kw_name[i]));
        TRY(jdict_set(r, rest.dict, &key, &a->kw[i]));
    }
    return scope_set(r, s, JNAME_KWARGS, &rest);
}

static int call_macro(struct jrun *r, const struct jmacro *macro, const struct jargs *a, struct jval *out)
{
    const struct jnode *m = macro->node;
    struct jscope *s;
    bool used[JARGS_MAX] = { false };
    TRY(scope_new(r, macro->scope, &s));
    for (int i = 0; i < m->n_v; i++) {
        const struct jnode *p = m->v[i];
        struct jval v = { .type = UNSET };
        if (i < a->n)
            v = a->v[i];
        for (int k = 0; k < a->n_kw; k++)
            if (strlen(a->kw_name[k]) == p->n && !memcmp(a->kw_name[k], p->s, p->n)) {
                if (i < a->n)
                    return jfail(r, FORMAT, "macro %.*s: found the argument '%s' twice", (int)m->n, m->s, a->kw_name[k]);
                v = a->kw[k];
                used[k] = true;
            }
        if (v.type == UNSET && i >= m->n_v - m->n_w)
            TRY(eval(r, s, m->w[i - (m->n_v - m->n_w)], &v));
        else if (v.type == UNSET)
            TRY(undefined(p->s, p->n, &v));
        TRY(scope_set(r, s, p->name, &v));
    }
    TRY(macro_rest(r, s, m, a, used));
    TRY(captured(r, s, m->body, out));
    scope_end(r, s);
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
    case J_MACRO: return call_macro(r, f->macro, a, out);
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
static int eval_call(struct jrun *r, struct jscope *s, const struct jnode *n, const struct jval *caller, struct jval *out)
{
    struct jval f;
    struct jargs a;
    if (n->a->kind == JN_ATTR) {
        struct jval self;
        TRY(eval(r, s, n->a->a, &self));
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
        TRY(eval(r, s, n->a, &f));
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
        TRY(eval(r, s, n->a, &v));
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
    TRY(eval(r, s, n->a, &v));
    TRY(eval_args(r, s, n, &a));
    r->line = n->line;
    if (n->code < 0)
        return jfail(r, UNSUPPORTED, "there is no test '%.*s'", (int)n->n, n->s);
    TRY(jtest_apply(r, n->code, &v, &a, &yes));
    *out = jval_bool(yes);
    return 0;
}

/* ---- expressions ---- */

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
            return use_of_undefined(r, a->type == J_UNDEFINED ? a : b);
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
    TRY(eval(r, s, n->a, &a));
    for (int i = 0; i < n->n_v && yes; i++, a = b) {
        TRY(eval(r, s, n->v[i], &b));
        r->line = n->line;
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
        TRY(eval(r, s, n->v[i], &v));
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
        TRY(eval(r, s, n->v[i], &v));
        TRY(jlist_add(r, out->list, &v));
    }
    return 0;
}

static int eval_dict(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    TRY(jval_dict(r, J_DICT, (uint32_t)n->n_v, out));
    for (int i = 0; i < n->n_v; i++) {
        struct jval k, v;
        TRY(eval(r, s, n->v[i], &k));
        TRY(eval(r, s, n->w[i], &v));
        TRY(jdict_set(r, out->dict, &k, &v));
    }
    return 0;
}

static int eval_name(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    const struct jval *v = scope_find(r, s, n->name);
    if (v)
        *out = *v;
    else if (n->code >= 0)
        *out = (struct jval){ .type = J_FUNC, .code = (uint16_t)n->code };
    else
        return undefined(n->s, n->n, out);
    return 0;
}

static int eval_math(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    struct jval a, b;
    TRY(eval(r, s, n->a, &a));
    TRY(eval(r, s, n->b, &b));
    r->line = n->line;
    return jeval_math(r, n->op, &a, &b, out);
}

static int eval_item(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    struct jval a, b;
    TRY(eval(r, s, n->a, &a));
    TRY(eval(r, s, n->b, &b));
    r->line = n->line;
    return jeval_item(r, &a, &b, out);
}

static int eval_attr(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    struct jval a;
    TRY(eval(r, s, n->a, &a));
    r->line = n->line;
    return jeval_attr(r, &a, n->s, n->n, n->code, out);
}

static int eval_inner(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    struct jval a;
    switch (n->kind) {
    case JN_LIST:
    case JN_TUPLE: return eval_list(r, s, n, out);
    case JN_DICT: return eval_dict(r, s, n, out);
    case JN_ATTR: return eval_attr(r, s, n, out);
    case JN_ITEM: return eval_item(r, s, n, out);
    case JN_SLICE: return eval_slice(r, s, n, out);
    case JN_CALL: return eval_call(r, s, n, NULL, out);
    case JN_FILTER: return eval_filter(r, s, n, out);
    case JN_TEST: return eval_test(r, s, n, out);
    case JN_NEG:
    case JN_POS: return eval_sign(r, s, n, out);
    case JN_COMPARE: return eval_compare(r, s, n, out);
    case JN_MATH: return eval_math(r, s, n, out);
    case JN_CONCAT: return eval_concat(r, s, n, out);
    case JN_NOT:
        TRY(eval(r, s, n->a, &a));
        *out = jval_bool(!jval_truth(&a));
        return 0;
    case JN_AND:
    case JN_OR:
        TRY(eval(r, s, n->a, out));
        return jval_truth(out) == (n->kind == JN_AND) ? eval(r, s, n->b, out) : 0;
    default:                         /* JN_COND */
        TRY(eval(r, s, n->a, &a));
        if (jval_truth(&a))
            return eval(r, s, n->b, out);
        if (n->c)
            return eval(r, s, n->c, out);
        *out = jval_undefined("an if without else");
        return 0;
    }
}

static int eval(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
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

/* ---- statements ---- */

/* The values of the loop, those that pass its filter only. */
static int loop_values(struct jrun *r, struct jscope *s, struct jscope *inner, const struct jnode *n, struct jval *list)
{
    struct jval v, all, keep;
    TRY(eval(r, s, n->b, &v));
    TRY(jval_walk(r, &v, &all));
    *list = all;
    if (!n->c)
        return 0;
    TRY(jval_list(r, J_LIST, 0, list));
    for (uint32_t i = 0; i < all.list->n; i++) {
        inner->n = 0;
        TRY(assign(r, inner, n->a, &all.list->v[i]));
        TRY(eval(r, inner, n->c, &keep));
        if (jval_truth(&keep))
            TRY(jlist_add(r, list->list, &all.list->v[i]));
    }
    return 0;
}

static int exec_for(struct jrun *r, struct jscope *s, const struct jnode *n)
{
    struct jscope *inner;
    struct jval list;
    struct jloop *loop = jpool_take(&r->pool, sizeof *loop);
    if (!loop)
        return jfail_memory(r);
    TRY(scope_new(r, s, &inner));
    TRY(loop_values(r, s, inner, n, &list));
    *loop = (struct jloop){ .list = list.list };
    const struct jval v = { .type = J_LOOP, .loop = loop };
    bool completed = false;      /* Jinja's else runs when no round came to its end, be it by continue or break */
    for (; loop->i < list.list->n; loop->i++) {
        inner->n = 0;
        r->line = n->line;
        TRY(jwork(r, 0));
        TRY(assign(r, inner, n->a, &list.list->v[loop->i]));
        TRY(scope_set(r, inner, JNAME_LOOP, &v));
        const int go = exec_body(r, inner, n->body);
        TRY(go);
        completed |= go == GO_ON;
        if (go == BREAK_LOOP)
            break;
    }
    int rc = 0;
    if (!completed && n->other) {
        inner->n = 0;
        rc = exec_body(r, inner, n->other);
    }
    scope_end(r, inner);
    return rc;
}

static int exec_if(struct jrun *r, struct jscope *s, const struct jnode *n)
{
    for (;;) {
        struct jval cond;
        TRY(eval(r, s, n->a, &cond));
        if (jval_truth(&cond))
            return exec_body(r, s, n->body);
        if (!n->other || n->other->kind != JN_IF || n->other->next)
            return exec_body(r, s, n->other);
        n = n->other;
    }
}

/* The text of the body, after the filters. */
static int filtered_text(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    struct jscope *inner;
    TRY(scope_new(r, s, &inner));
    TRY(captured(r, inner, n->body, out));
    scope_end(r, inner);
    r->text = *out;
    return n->b ? eval(r, s, n->b, out) : 0;
}

static int exec_with(struct jrun *r, struct jscope *s, const struct jnode *n)
{
    struct jscope *inner;
    struct jval v;
    TRY(scope_new(r, s, &inner));
    for (int i = 0; i < n->n_v; i++) {
        TRY(eval(r, s, n->w[i], &v));
        TRY(assign(r, inner, n->v[i], &v));
    }
    const int rc = exec_body(r, inner, n->body);
    scope_end(r, inner);
    return rc;
}

static int new_macro(struct jrun *r, struct jscope *s, const struct jnode *n, struct jval *out)
{
    struct jmacro *m = jpool_take(&r->pool, sizeof *m);
    if (!m)
        return jfail_memory(r);
    *m = (struct jmacro){ n, s };
    for (; s && !s->kept; s = s->up)
        s->kept = true;
    *out = (struct jval){ .type = J_MACRO, .macro = m };
    return 0;
}

static int exec(struct jrun *r, struct jscope *s, const struct jnode *n)
{
    struct jval v, caller;
    r->line = n->line;
    if (--r->steps < 0)
        return jwork(r, 0);
    switch (n->kind) {
    case JN_DATA:
        return jbuild_part(r->out, &n->value, 0, n->value.n);
    case JN_OUTPUT:
        TRY(eval(r, s, n->a, &v));
        return jbuild_str(r->out, &v);
    case JN_IF: return exec_if(r, s, n);
    case JN_FOR: return exec_for(r, s, n);
    case JN_SET:
        TRY(eval(r, s, n->b, &v));
        r->line = n->line;
        return assign(r, s, n->a, &v);
    case JN_SET_BLOCK:
        TRY(filtered_text(r, s, n, &v));
        return assign(r, s, n->a, &v);
    case JN_FILTER_BLOCK:
        TRY(filtered_text(r, s, n, &v));
        return jbuild_str(r->out, &v);
    case JN_MACRO:
        TRY(new_macro(r, s, n, &v));
        return scope_set(r, s, n->name, &v);
    case JN_CALL_BLOCK:
        TRY(new_macro(r, s, n->b, &caller));
        TRY(eval_call(r, s, n->a, &caller, &v));
        return jbuild_str(r->out, &v);
    case JN_WITH: return exec_with(r, s, n);
    case JN_BODY: return exec_body(r, s, n->body);
    case JN_BREAK: return BREAK_LOOP;
    default: return CONTINUE_LOOP;
    }
}

static int exec_body(struct jrun *r, struct jscope *s, const struct jnode *n)
{
    TRY(jenter(r));
    for (; n; n = n->next) {
        const int rc = exec(r, s, n);
        if (rc < 0)
            return rc;
        if (rc != GO_ON) {
            r->depth--;
            return rc;
        }
    }
    r->depth--;
    return GO_ON;
}

/* ---- doors ---- */

void jinja_text_init(struct jinja_text *t)
{
    buf_init(&t->text);
    buf_init(&t->input);
}

void jinja_text_release(struct jinja_text *t)
{
    buf_release(&t->text);
    buf_release(&t->input);
}

static int add_marks(struct buf *to, const struct jval *v, struct err *err)
{
    if (v->mark)
        return buf_add(to, v->mark, v->n, err);
    TRY(buf_reserve(to, v->n, err));
    memset(to->data + to->len, v->input, v->n);
    to->len += v->n;
    if (to->cap)
        to->data[to->len] = 0;
    return 0;
}

static int render(struct jrun *r, const struct jinja *t, const struct jinja_var *vars, int n_var, struct jinja_text *out)
{
    struct jscope root = { .v = jpool_take(&r->pool, (size_t)t->n_name * sizeof *root.v) };
    struct jbuild b;
    if (!root.v)
        return jfail_memory(r);
    for (int i = 0; i < t->n_name; i++)
        root.v[i].type = UNSET;
    for (int i = 0; i < n_var; i++) {
        const struct jname *name = jname_find(t, vars[i].name, strlen(vars[i].name));
        if (vars[i].value && name)
            TRY(jval_json(r, vars[i].value, vars[i].input, &root.v[name->id]));
    }
    jbuild_init(&b, r);
    b.max = r->output_max;
    r->out = &b;
    TRY(exec_body(r, &root, t->body));
    const struct jval v = jbuild_end(&b);
    const size_t before = out->text.len;
    int rc = buf_add(&out->text, v.s, v.n, r->err);
    if (!rc && (rc = add_marks(&out->input, &v, r->err)))
        out->text.data[out->text.len = before] = 0;
    return rc;
}

int jinja_render(const struct jinja *t, const struct jinja_var *vars, int n_var, const struct jinja_limits *limits, const struct tm *now,
                 struct jinja_text *out, struct err *err)
{
    struct jrun r = { .pool.max = (size_t)256 << 20, .name = t->name, .line = 1, .steps = 20000000, .output_max = (size_t)64 << 20, .now = now, .template = t, .err = err };
    struct tm local;
    if (!now) {
        const time_t clock = time(NULL);
        r.now = localtime_r(&clock, &local);
        if (!r.now)
            return ERR(err, RANGE, "the system's clock has no local time");
    }
    if (limits) {
        r.steps = limits->steps ? limits->steps : r.steps;
        r.pool.max = limits->memory ? limits->memory : r.pool.max;
        r.output_max = limits->output ? limits->output : r.output_max;
    }
    const int rc = render(&r, t, vars, n_var, out);
    jpool_release(&r.pool);
    return rc;
}
