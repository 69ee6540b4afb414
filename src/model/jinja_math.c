/* jinja_math.c - arithmetic of values as Python has it: whole numbers of 64 bits, an error beyond; strings and lists added and repeated. */
#include <math.h>
#include <string.h>
#include "model/jinja_method.h"
#include "model/jinja_tree.h"

static int math_type_error(struct jrun *r, int op, const struct jval *a, const struct jval *b)
{
    if (a->type == J_UNDEFINED || b->type == J_UNDEFINED)
        return jfail_undefined(r, a->type == J_UNDEFINED ? a : b);
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
