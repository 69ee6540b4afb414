/* jinja_value.c - values as Python has them: made, compared, walked; and the strings and memory that they are made of. */
#include "model/jinja_value.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "model/unicode_case.h"
#include "model/jinja_tree.h"

/* ---- memory ---- */

struct jblock { struct jblock *before; };
#define BLOCK_MIN ((size_t)16 << 10)
#define BLOCK_MAX ((size_t)4 << 20)

/* A block that holds n more bytes; blocks double, so that there are few. */
static bool new_block(struct jpool *p, size_t n)
{
    size_t size = p->used < BLOCK_MIN ? BLOCK_MIN : p->used > BLOCK_MAX ? BLOCK_MAX : p->used;
    size = size < n ? n : size;
    if (size > p->max - p->used)
        size = n;
    if (size > p->max - p->used)
        return false;
    struct jblock *b = mem_alloc(sizeof *b + size);
    if (!b)
        return false;
    b->before = p->block;
    p->block = b;
    p->used += size;
    p->at = (char *)(b + 1), p->end = p->at + size;
    return true;
}

static size_t rounded(size_t n) { return (n + 7) & ~(size_t)7; }

void *jpool_take(struct jpool *p, size_t n)
{
    if (n > SIZE_MAX / 4)
        return NULL;
    n = rounded(n);
    if (n > (size_t)(p->end - p->at) && !new_block(p, n))
        return NULL;
    void *out = p->at;
    p->at += n;
    return out;
}

void *jpool_grow(struct jpool *p, void *old, size_t old_n, size_t n)
{
    if (n > SIZE_MAX / 4)
        return NULL;
    if (old && (char *)old + rounded(old_n) == p->at && rounded(n) <= (size_t)(p->end - (char *)old)) {
        p->at = (char *)old + rounded(n);
        return old;
    }
    void *out = jpool_take(p, n);
    if (out && old_n)
        memcpy(out, old, old_n);
    return out;
}

void jpool_release(struct jpool *p)
{
    while (p->block) {
        struct jblock *before = p->block->before;
        mem_free(p->block);
        p->block = before;
    }
    *p = (struct jpool){ .max = p->max };
}

/* ---- errors and budgets ---- */

int jfail_at(struct jrun *r, int code, const char *file, int line, const char *fmt, ...)
{
    char msg[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return err_code(err_set(r->err, code, file, line, "%s:%d: %s", r->name, r->line, msg), code);
}

int jfail_memory(struct jrun *r)
{
    if (r->pool.used < r->pool.max / 2)
        return jfail(r, NOMEM, "no memory to render");
    return jfail(r, RANGE, "the template needs more memory than the %zu bytes it is given", r->pool.max);
}

int jfail_undefined(struct jrun *r, const struct jval *v) { return jfail(r, FORMAT, "'%.*s' is undefined", (int)v->n, v->s); }

int jwork(struct jrun *r, size_t bytes)
{
    r->steps -= 1 + (int64_t)(bytes / 32);
    return r->steps >= 0 ? 0 : jfail(r, RANGE, "the template takes more steps than it is given; does it end?");
}

int jenter(struct jrun *r)
{
    if (r->depth >= JDEPTH_MAX)
        return jfail(r, RANGE, "nested more than %d deep", JDEPTH_MAX);
    r->depth++;
    return 0;
}

/* ---- characters ---- */

uint32_t jchar_at(const char *s, size_t *len)
{
    const unsigned char *p = (const unsigned char *)s;
    if (p[0] < 0x80)
        return *len = 1, p[0];
    if (p[0] < 0xe0)
        return *len = 2, (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    if (p[0] < 0xf0)
        return *len = 3, (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    return *len = 4, (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
}

size_t jchars(const char *s, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)s[i] & 0xc0) != 0x80;
    return count;
}

size_t jchar_offset(const char *s, size_t n, size_t i)
{
    size_t at = 0;
    for (; at < n && i; i--)
        for (at++; at < n && ((unsigned char)s[at] & 0xc0) == 0x80; at++)
            ;
    return at;
}

bool jchar_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool jchar_printable(uint32_t c)
{
    if (c < 0x80)
        return c >= 32 && c != 0x7f;
    size_t lo = 0, hi = sizeof unicode_hidden / sizeof *unicode_hidden;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (c > unicode_hidden[mid].last)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo == sizeof unicode_hidden / sizeof *unicode_hidden || c < unicode_hidden[lo].first;
}

/* ---- building strings ---- */

void jbuild_init(struct jbuild *b, struct jrun *r) { *b = (struct jbuild){ .r = r, .origin = JB_EMPTY, .max = SIZE_MAX / 8 }; }

static int make_room(struct jbuild *b, size_t n)
{
    if (n > b->max - b->n)
        return jfail(b->r, RANGE, "the output is longer than the %zu bytes it may have", b->max);
    if (b->n + n <= b->cap)
        return 0;
    const size_t need = b->n + n, cap = need < 32 ? 64 : need * 2;
    char *s = jpool_grow(&b->r->pool, b->s, b->n, cap);
    uint8_t *mark = s && b->origin == JB_MIXED ? jpool_grow(&b->r->pool, b->mark, b->n, cap) : NULL;
    if (!s || (b->origin == JB_MIXED && !mark))
        return jfail_memory(b->r);
    b->s = s, b->mark = mark, b->cap = cap;
    return 0;
}

int jbuild_add(struct jbuild *b, const char *s, size_t n, bool input, const uint8_t *mark)
{
    if (!n)
        return 0;
    b->r->steps -= 1 + (int64_t)(n / 32);
    TRY(make_room(b, n));
    if (b->origin == JB_EMPTY && !mark)
        b->origin = input;
    if (b->origin != JB_MIXED && (mark || b->origin != input)) {
        if (!(b->mark = jpool_take(&b->r->pool, b->cap)))
            return jfail_memory(b->r);
        memset(b->mark, b->origin == 1, b->n);
        b->origin = JB_MIXED;
    }
    memcpy(b->s + b->n, s, n);
    if (mark)
        memcpy(b->mark + b->n, mark, n);
    else if (b->origin == JB_MIXED)
        memset(b->mark + b->n, input, n);
    b->n += n;
    return 0;
}

int jbuild_mark(struct jbuild *b, size_t from)
{
    if (from == b->n || b->origin == 1)
        return 0;
    if (b->origin != JB_MIXED) {
        if (!(b->mark = jpool_take(&b->r->pool, b->cap)))
            return jfail_memory(b->r);
        memset(b->mark, 0, b->n);
        b->origin = JB_MIXED;
    }
    memset(b->mark + from, 1, b->n - from);
    return 0;
}

int jbuild_text(struct jbuild *b, const char *s, bool input) { return jbuild_add(b, s, strlen(s), input, NULL); }

int jbuild_part(struct jbuild *b, const struct jval *v, size_t from, size_t to)
{
    return jbuild_add(b, v->s + from, to - from, v->input, v->mark ? v->mark + from : NULL);
}

struct jval jbuild_end(struct jbuild *b)
{
    assert(b->n <= UINT32_MAX);
    return (struct jval){ .type = J_STR, .input = b->origin == 1 || b->origin == JB_MIXED, .n = (uint32_t)b->n, .s = b->n ? b->s : "",
                          .mark = b->origin == JB_MIXED ? b->mark : NULL };
}

/* ---- making values ---- */

struct jval jval_undefined(const char *what) { return (struct jval){ .type = J_UNDEFINED, .s = what, .n = (uint32_t)strlen(what) }; }
struct jval jval_undefined_name(const char *s, size_t n) { return (struct jval){ .type = J_UNDEFINED, .s = s, .n = n > 80 ? 80 : (uint32_t)n }; }
struct jval jval_bool(bool b) { return (struct jval){ .type = J_BOOL, .b = b }; }
struct jval jval_int(int64_t i) { return (struct jval){ .type = J_INT, .i = i }; }
struct jval jval_float(double f) { return (struct jval){ .type = J_FLOAT, .f = f }; }
struct jval jval_str(const char *s, size_t n) { return (struct jval){ .type = J_STR, .n = (uint32_t)n, .s = s }; }

int jval_list(struct jrun *r, enum jtype type, uint32_t cap, struct jval *out)
{
    struct jlist *l = jpool_take(&r->pool, sizeof *l);
    struct jval *v = l ? jpool_take(&r->pool, cap * sizeof *v) : NULL;
    if (!v)
        return jfail_memory(r);
    *l = (struct jlist){ .v = v, .cap = cap };
    *out = (struct jval){ .type = (uint8_t)type, .list = l };
    return 0;
}

int jlist_add(struct jrun *r, struct jlist *l, const struct jval *v)
{
    if (l->n == l->cap) {
        if (l->cap > UINT32_MAX / 4)
            return jfail(r, RANGE, "a list of more than %u values", l->cap);
        const uint32_t cap = l->cap ? l->cap * 2 : 4;
        struct jval *p = jpool_grow(&r->pool, l->v, l->n * sizeof *p, cap * sizeof *p);
        if (!p)
            return jfail_memory(r);
        l->v = p, l->cap = cap;
    }
    l->v[l->n++] = *v;
    return 0;
}

int jval_dict(struct jrun *r, enum jtype type, uint32_t cap, struct jval *out)
{
    struct jdict *d = jpool_take(&r->pool, sizeof *d);
    struct jpair *p = d ? jpool_take(&r->pool, cap * sizeof *p) : NULL;
    if (!p)
        return jfail_memory(r);
    *d = (struct jdict){ .p = p, .cap = cap };
    *out = (struct jval){ .type = (uint8_t)type, .dict = d };
    return 0;
}

static int append_pair(struct jrun *r, struct jdict *d, const struct jval *key, const struct jval *value)
{
    if (d->n == d->cap) {
        if (d->cap > UINT32_MAX / 4)
            return jfail(r, RANGE, "a dictionary of more than %u keys", d->cap);
        const uint32_t cap = d->cap ? d->cap * 2 : 4;
        struct jpair *p = jpool_grow(&r->pool, d->p, d->n * sizeof *p, cap * sizeof *p);
        if (!p)
            return jfail_memory(r);
        d->p = p, d->cap = cap;
    }
    d->p[d->n++] = (struct jpair){ *key, *value };
    return 0;
}

static bool same_bytes(const struct jval *v, const char *s, size_t n) { return v->n == n && !memcmp(v->s, s, n); }

const struct jval *jdict_str(const struct jdict *d, const char *s, size_t n)
{
    for (uint32_t i = 0; i < d->n; i++)
        if (d->p[i].key.type == J_STR && same_bytes(&d->p[i].key, s, n))
            return &d->p[i].value;
    return NULL;
}

int jdict_find(struct jrun *r, const struct jdict *d, const struct jval *key, const struct jval **out)
{
    *out = NULL;
    TRY(jwork(r, d->n * 8));
    if (key->type == J_STR) {
        *out = jdict_str(d, key->s, key->n);
        return 0;
    }
    if (key->type == J_LIST || key->type == J_DICT)
        return jfail(r, FORMAT, "%s cannot be a key of a dictionary", jval_type(key));
    for (uint32_t i = 0; i < d->n && !*out; i++) {
        bool equal;
        TRY(jval_equal(r, &d->p[i].key, key, &equal));
        if (equal)
            *out = &d->p[i].value;
    }
    return 0;
}

int jdict_set(struct jrun *r, struct jdict *d, const struct jval *key, const struct jval *value)
{
    const struct jval *have;
    TRY(jdict_find(r, d, key, &have));
    if (!have)
        return append_pair(r, d, key, value);
    *(struct jval *)(uintptr_t)have = *value;
    return 0;
}

/* Roles from which templates may build special tokens: see jinja.h. */
static bool known_role(const char *s)
{
    static const char *const roles[] = { "system", "user", "assistant", "tool", "developer", "function", "model", "ipython", "observation" };
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(s, roles[i]))
            return true;
    return false;
}

static int object_value(struct jrun *r, const json_t *o, enum jinja_input input, struct jval *out)
{
    const char *of = json_string_value(json_object_get(o, "role"));
    if (input == JINJA_ASSISTANT)
        input = of && !strcmp(of, "assistant") ? JINJA_INPUT : JINJA_OWN;
    const char *key;
    size_t len;
    json_t *v;
    TRY(jval_dict(r, J_DICT, (uint32_t)json_object_size(o), out));
    json_object_keylen_foreach((json_t *)(uintptr_t)o, key, len, v) {
        struct jval k = jval_str(key, len), value;
        k.input = input == JINJA_INPUT;
        const bool role = len == 4 && !memcmp(key, "role", 4) && json_is_string(v) && known_role(json_string_value(v));
        TRY(jval_json(r, v, role ? JINJA_OWN : input, &value));
        TRY(append_pair(r, out->dict, &k, &value));
    }
    return 0;
}

static int array_value(struct jrun *r, const json_t *o, enum jinja_input input, struct jval *out)
{
    const size_t n = json_array_size(o);
    if (n > UINT32_MAX / sizeof(struct jval))
        return jfail(r, RANGE, "a list of %zu values", n);
    TRY(jval_list(r, J_LIST, (uint32_t)n, out));
    for (size_t i = 0; i < n; i++) {
        struct jval v;
        const bool early = input == JINJA_ASSISTANT && r->n_last && i + r->n_last < n;
        TRY(jval_json(r, json_array_get(o, i), early ? JINJA_OWN : input, &v));
        TRY(jlist_add(r, out->list, &v));
    }
    return 0;
}

/* Strings are not copied: the JSON tree outlives the render. */
int jval_json(struct jrun *r, const json_t *o, enum jinja_input input, struct jval *out)
{
    int rc = 0;
    switch (json_typeof(o)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        TRY(jenter(r));
        rc = json_is_object(o) ? object_value(r, o, input, out) : array_value(r, o, input, out);
        r->depth--;
        TRY(rc);
        break;
    case JSON_STRING:
        if (json_string_length(o) > UINT32_MAX / 2)
            return jfail(r, RANGE, "a string of %zu bytes", json_string_length(o));
        *out = jval_str(json_string_value(o), json_string_length(o));
        break;
    case JSON_INTEGER: *out = jval_int(json_integer_value(o)); break;
    case JSON_REAL: *out = jval_float(json_real_value(o)); break;
    case JSON_NULL: *out = jval_none(); break;
    default: *out = jval_bool(json_is_true(o)); break;
    }
    out->input = input == JINJA_INPUT;
    return 0;
}

/* ---- asking ---- */

bool jval_is(const struct jval *v, const char *s) { return v->type == J_STR && same_bytes(v, s, strlen(s)); }

int jdefined(struct jrun *r, const struct jval *v) { return v->type == J_UNDEFINED && r->template->strict ? jfail_undefined(r, v) : 0; }

int jtruth(struct jrun *r, const struct jval *v, bool *yes)
{
    *yes = jval_truth(v);
    return jdefined(r, v);
}

bool jval_truth(const struct jval *v)
{
    switch (v->type) {
    case J_UNDEFINED:
    case J_NONE: return false;
    case J_BOOL: return v->b;
    case J_INT: return v->i != 0;
    case J_FLOAT: return v->f != 0;
    case J_STR: return v->n > 0;
    case J_LIST:
    case J_TUPLE:
    case J_VIEW: return v->list->n > 0;
    case J_DICT: return v->dict->n > 0;
    default: return true;
    }
}

const char *jval_type(const struct jval *v)
{
    static const char *const names[] = { "something undefined", "none", "a boolean", "a whole number", "a number", "a string", "a list", "a tuple",
                                         "a generator", "a view", "a dictionary", "a namespace", "a macro", "a function", "a method", "the loop",
                                         "a cycler", "a joiner" };
    return names[v->type];
}

bool jnumber(const struct jval *v, int64_t *i, double *f)
{
    *i = v->type == J_BOOL ? v->b : v->type == J_INT ? v->i : 0;
    *f = v->type == J_FLOAT ? v->f : (double)*i;
    return v->type == J_BOOL || v->type == J_INT || v->type == J_FLOAT;
}

static int lists_equal(struct jrun *r, const struct jlist *a, const struct jlist *b, bool *equal)
{
    *equal = a->n == b->n;
    TRY(jwork(r, a->n * 8));
    for (uint32_t i = 0; i < a->n && *equal; i++)
        TRY(jval_equal(r, &a->v[i], &b->v[i], equal));
    return 0;
}

static int dicts_equal(struct jrun *r, const struct jdict *a, const struct jdict *b, bool *equal)
{
    *equal = a->n == b->n;
    for (uint32_t i = 0; i < a->n && *equal; i++) {
        const struct jval *other;
        TRY(jdict_find(r, b, &a->p[i].key, &other));
        *equal = other != NULL;
        if (other)
            TRY(jval_equal(r, &a->p[i].value, other, equal));
    }
    return 0;
}

int jval_equal(struct jrun *r, const struct jval *a, const struct jval *b, bool *equal)
{
    int64_t i, j;
    double f, g;
    if (jnumber(a, &i, &f) && jnumber(b, &j, &g)) {
        *equal = a->type == J_FLOAT || b->type == J_FLOAT ? f == g : i == j;
        return 0;
    }
    *equal = false;
    if (a->type != b->type)
        return 0;
    switch (a->type) {
    case J_UNDEFINED:
    case J_NONE:
        *equal = true;
        return 0;
    case J_STR:
        *equal = a->n == b->n;
        if (*equal && a->s != b->s) {
            *equal = !memcmp(a->s, b->s, a->n);
            return jwork(r, a->n);
        }
        return 0;
    case J_LIST:
    case J_TUPLE:
    case J_DICT:
        TRY(jenter(r));
        TRY(jwork(r, 0));
        TRY(a->type == J_DICT ? dicts_equal(r, a->dict, b->dict, equal) : lists_equal(r, a->list, b->list, equal));
        r->depth--;
        return 0;
    case J_FUNC:
        *equal = a->code == b->code;
        return 0;
    case J_METHOD:
        *equal = a->code == b->code && a->self == b->self;
        return 0;
    default:
        *equal = a->list == b->list;
        return 0;
    }
}

int jval_order(struct jrun *r, const struct jval *a, const struct jval *b, int *order)
{
    int64_t i, j;
    double f, g;
    if (jnumber(a, &i, &f) && jnumber(b, &j, &g)) {
        *order = a->type == J_FLOAT || b->type == J_FLOAT ? (f > g) - (f < g) : (i > j) - (i < j);
        return 0;
    }
    if (a->type != b->type || (a->type != J_STR && a->type != J_LIST && a->type != J_TUPLE))
        return jfail(r, FORMAT, "%s and %s have no order", jval_type(a), jval_type(b));
    if (a->type == J_STR) {
        /* UTF-8 in bytes has the order of the code points. */
        const uint32_t n = a->n < b->n ? a->n : b->n;
        const int c = memcmp(a->s, b->s, n);
        *order = c ? c : (a->n > b->n) - (a->n < b->n);
        return jwork(r, n);
    }
    *order = 0;
    TRY(jenter(r));
    for (uint32_t k = 0; !*order; k++) {
        if (k == a->list->n || k == b->list->n) {
            *order = (a->list->n > b->list->n) - (a->list->n < b->list->n);
            break;
        }
        bool equal;
        TRY(jwork(r, 0));
        TRY(jval_equal(r, &a->list->v[k], &b->list->v[k], &equal));
        if (!equal)
            TRY(jval_order(r, &a->list->v[k], &b->list->v[k], order));
    }
    r->depth--;
    return 0;
}

int jval_contains(struct jrun *r, const struct jval *in, const struct jval *v, bool *yes)
{
    const struct jval *found;
    *yes = false;
    switch (in->type) {
    case J_UNDEFINED:
        return 0;
    case J_STR:
        if (v->type != J_STR)
            return jfail(r, FORMAT, "found %s in front of 'in' a string, expected a string", jval_type(v));
        *yes = memmem(in->s, in->n, v->s, v->n) != NULL;
        return jwork(r, in->n);
    case J_DICT:
        TRY(jdict_find(r, in->dict, v, &found));
        *yes = found != NULL;
        return 0;
    case J_LIST:
    case J_TUPLE:
    case J_VIEW:
    case J_ITER:
        for (uint32_t i = in->type == J_ITER ? in->list->at : 0; i < in->list->n && !*yes; i++) {
            TRY(jwork(r, 0));
            TRY(jval_equal(r, &in->list->v[i], v, yes));
            if (in->type == J_ITER)
                in->list->at = i + 1;
        }
        return 0;
    default:
        return jfail(r, FORMAT, "found %s behind 'in', expected a string, list or dictionary", jval_type(in));
    }
}

int jval_length(struct jrun *r, const struct jval *v, int64_t *n)
{
    switch (v->type) {
    case J_UNDEFINED: return *n = 0, 0;
    case J_STR: return *n = (int64_t)jchars(v->s, v->n), jwork(r, v->n);
    case J_LIST:
    case J_TUPLE:
    case J_VIEW: return *n = v->list->n, 0;
    case J_DICT: return *n = v->dict->n, 0;
    default: return jfail(r, FORMAT, "%s has no length", jval_type(v));
    }
}

static int walk_string(struct jrun *r, const struct jval *v, struct jval *list)
{
    TRY(jwork(r, (size_t)v->n * 8));
    TRY(jval_list(r, J_LIST, (uint32_t)jchars(v->s, v->n), list));
    for (size_t at = 0, len; at < v->n; at += len) {
        jchar_at(v->s + at, &len);
        struct jval c = jval_cut(v, at, at + len);
        c.code = 0;              /* the characters of a safe string are plain */
        TRY(jlist_add(r, list->list, &c));
    }
    return 0;
}

int jval_walk(struct jrun *r, const struct jval *v, struct jval *list)
{
    struct jlist *l;
    switch (v->type) {
    case J_UNDEFINED:
        TRY(jdefined(r, v));
        return jval_list(r, J_LIST, 0, list);
    case J_STR:
        return walk_string(r, v, list);
    case J_LIST:
    case J_TUPLE:
    case J_VIEW:
        *list = *v;
        list->type = J_LIST;
        return 0;
    case J_ITER:
        if (!(l = jpool_take(&r->pool, sizeof *l)))
            return jfail_memory(r);
        *l = (struct jlist){ .v = v->list->v + v->list->at, .n = v->list->n - v->list->at };
        v->list->at = v->list->n;
        *list = (struct jval){ .type = J_LIST, .list = l };
        return 0;
    case J_DICT:
        TRY(jval_list(r, J_LIST, v->dict->n, list));
        for (uint32_t i = 0; i < v->dict->n; i++)
            TRY(jlist_add(r, list->list, &v->dict->p[i].key));
        return 0;
    default:
        return jfail(r, FORMAT, "%s cannot be gone through", jval_type(v));
    }
}

struct jval jval_cut(const struct jval *v, size_t from, size_t to)
{
    assert(from <= to && to <= v->n);
    struct jval part = *v;
    part.s += from, part.n = (uint32_t)(to - from);
    if (v->mark)
        part.mark += from;
    return part;
}

int jval_concat(struct jrun *r, const struct jval *a, const struct jval *b, struct jval *out)
{
    struct jbuild s;
    jbuild_init(&s, r);
    if ((size_t)a->n + b->n > UINT32_MAX / 2)
        return jfail(r, RANGE, "a string of %zu bytes", (size_t)a->n + b->n);
    TRY(jwork(r, (size_t)a->n + b->n));
    TRY(jbuild_part(&s, a, 0, a->n));
    TRY(jbuild_part(&s, b, 0, b->n));
    *out = jbuild_end(&s);
    return 0;
}

int jval_to_str(struct jrun *r, const struct jval *v, struct jval *out)
{
    struct jbuild b;
    if (v->type == J_STR) {
        *out = *v;
        return 0;
    }
    jbuild_init(&b, r);
    TRY(jbuild_str(&b, v));
    *out = jbuild_end(&b);
    return 0;
}
