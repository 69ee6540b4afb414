/* jinja_exec.c - walks the tree's statements and writes.
 *
 * A scope is a list of names that were set in it, looked up from the innermost out; the outermost is an array by name.
 * Every statement costs a step, every body a level. */
#include <string.h>
#include "base/mem.h"
#include "model/jinja_run.h"

struct jscope { struct jscope *up; int *id; struct jval *v; int n, cap; bool kept; };      /* the outermost has no up, and v by name */

enum { GO_ON, BREAK_LOOP, CONTINUE_LOOP };
#define UNSET 255                /* type of a name of the outermost scope that has no value */

static int exec_body(struct jrun *r, struct jscope *s, const struct jnode *n);

/* ---- names ---- */

const struct jval *jscope_find(struct jrun *r, const struct jscope *s, int id)
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

static int assign(struct jrun *r, struct jscope *s, const struct jnode *target, const struct jval *v)
{
    if (target->kind == JN_NAME)
        return scope_set(r, s, target->name, v);
    if (target->kind == JN_ATTR) {
        const struct jval *ns = jscope_find(r, s, target->a->name), key = jval_str(target->s, target->n);
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

/* ---- macros ---- */

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

int jmacro_call(struct jrun *r, const struct jmacro *macro, const struct jargs *a, struct jval *out)
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
            TRY(jeval(r, s, m->w[i - (m->n_v - m->n_w)], &v));
        else if (v.type == UNSET)
            v = jval_undefined_name(p->s, p->n);
        TRY(scope_set(r, s, p->name, &v));
    }
    TRY(macro_rest(r, s, m, a, used));
    TRY(captured(r, s, m->body, out));
    scope_end(r, s);
    return 0;
}

/* ---- statements ---- */

/* The values of the loop, those that pass its filter only. */
static int loop_values(struct jrun *r, struct jscope *s, struct jscope *inner, const struct jnode *n, struct jval *list)
{
    struct jval v, all, keep;
    bool yes;
    TRY(jeval(r, s, n->b, &v));
    TRY(jval_walk(r, &v, &all));
    *list = all;
    if (!n->c)
        return 0;
    TRY(jval_list(r, J_LIST, 0, list));
    for (uint32_t i = 0; i < all.list->n; i++) {
        inner->n = 0;
        TRY(assign(r, inner, n->a, &all.list->v[i]));
        TRY(jeval(r, inner, n->c, &keep));
        TRY(jtruth(r, &keep, &yes));
        if (yes)
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
        bool yes;
        TRY(jeval(r, s, n->a, &cond));
        TRY(jtruth(r, &cond, &yes));
        if (yes)
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
    return n->b ? jeval(r, s, n->b, out) : 0;
}

static int exec_with(struct jrun *r, struct jscope *s, const struct jnode *n)
{
    struct jscope *inner;
    struct jval v;
    TRY(scope_new(r, s, &inner));
    for (int i = 0; i < n->n_v; i++) {
        TRY(jeval(r, s, n->w[i], &v));
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
        TRY(jeval(r, s, n->a, &v));
        return jbuild_str(r->out, &v);
    case JN_IF: return exec_if(r, s, n);
    case JN_FOR: return exec_for(r, s, n);
    case JN_SET:
        TRY(jeval(r, s, n->b, &v));
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
        TRY(jeval_with_caller(r, s, n->a, &caller, &v));
        return jbuild_str(r->out, &v);
    case JN_WITH: return exec_with(r, s, n);
    case JN_GENERATION: {
        const size_t from = r->out->n;
        const int rc = exec_body(r, s, n->body);
        TRY(r->mark_generated ? jbuild_mark(r->out, from) : 0);
        return rc;
    }
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
    t->missing = NULL, t->n_missing = 0;
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
        r->mark_generated = r->mark_generated || vars[i].input == JINJA_GENERATED;
        const struct jname *name = jname_find(t, vars[i].name, strlen(vars[i].name));
        r->n_last = vars[i].n_last;
        if (vars[i].value && name)
            TRY(jval_json(r, vars[i].value, vars[i].input, &root.v[name->id]));
    }
    jbuild_init(&b, r);
    b.max = r->output_max;
    r->out = &b;
    TRY(exec_body(r, &root, t->body));
    out->missing = r->missing, out->n_missing = r->n_missing;
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
