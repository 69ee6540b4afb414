/* jinja_value.h - inside the template engine: values, the memory they live in, and strings that know where they come from.
 *
 * All values of a render live in one pool and go with it.  Strings are UTF-8 and never change; a part of a string shares
 * its bytes.  `input` of a value says that a caller's variable carried it; a string of mixed origin has `mark`, a byte of 0
 * or 1 for each of its own. */
#ifndef MODEL_JINJA_VALUE_H
#define MODEL_JINJA_VALUE_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include "base/err.h"
#include "model/jinja.h"

/* ---- memory: pieces of growing blocks, given back at once ---- */
struct jpool { struct jblock *block; char *at, *end; size_t used, max; };
void *jpool_take(struct jpool *p, size_t n);                             /* 8-byte aligned; NULL when there is none or max is passed */
void *jpool_grow(struct jpool *p, void *old, size_t old_n, size_t n);    /* in place where old was taken last */
void jpool_release(struct jpool *p);

/* ---- values ---- */
enum jtype {
    J_UNDEFINED, J_NONE, J_BOOL, J_INT, J_FLOAT, J_STR, J_LIST, J_TUPLE,
    J_ITER,               /* a generator: gone once it was walked */
    J_VIEW,               /* range, keys(), values(), items() of a dictionary */
    J_DICT, J_NAMESPACE, J_MACRO, J_FUNC, J_METHOD, J_LOOP, J_CYCLER, J_JOINER
};
struct jval {
    uint8_t type;
    bool input;
    uint16_t code;        /* J_FUNC, J_METHOD: which; J_VIEW: 1 for a range; J_STR: 1 after `safe` or `escape` */
    uint32_t n;           /* J_STR, J_UNDEFINED: bytes at s */
    union {
        bool b;
        int64_t i;
        double f;
        const char *s;                /* J_STR; J_UNDEFINED: what was asked for */
        struct jlist *list;           /* J_LIST J_TUPLE J_ITER J_VIEW J_CYCLER */
        struct jdict *dict;           /* J_DICT J_NAMESPACE */
        struct jmacro *macro;
        struct jloop *loop;
        struct jval *self;            /* J_METHOD: whose */
        bool *used;                   /* J_JOINER */
    };
    union {
        const uint8_t *mark;          /* J_STR of mixed origin, else NULL */
        const struct jval *sep;       /* J_JOINER */
    };
};
struct jlist { struct jval *v; uint32_t n, cap, at; };                   /* at: where a J_ITER or J_CYCLER stands */
struct jpair { struct jval key, value; };
struct jdict { struct jpair *p; uint32_t n, cap; };

/* ---- a render ---- */
struct jrun {
    struct jpool pool;
    const char *name;                 /* of the template */
    int line;                         /* of the node being evaluated */
    int depth;
    int64_t steps;                    /* left */
    size_t output_max;
    struct jbuild *out;
    struct jscope *free_scope;
    struct jval text;                 /* of the block that filters are applied to */
    const struct tm *now;
    const struct jinja *template;
    bool mark_generated;              /* what {% generation %} writes is marked */
    size_t n_last;                    /* of the list of a variable with JINJA_ASSISTANT */
    const char *missing; size_t n_missing;      /* the first variable that was looked up and is not there */
    struct err *err;
};
#define JDEPTH_MAX 600                /* of calls, bodies and nested values, together */
/* return jfail(r, FORMAT, "found %s", ...): puts the template and its line in front */
#define jfail(r, code, ...) jfail_at((r), ERR_##code, __FILE__, __LINE__, __VA_ARGS__)
int jfail_at(struct jrun *r, int code, const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
int jfail_memory(struct jrun *r);
int jfail_undefined(struct jrun *r, const struct jval *v);                 /* v: undefined, and used */
int jwork(struct jrun *r, size_t bytes);                                 /* charges work that grows with bytes */
int jenter(struct jrun *r);                                              /* one level deeper; r->depth-- when done */

/* ---- building strings ---- */
enum { JB_EMPTY = 2, JB_MIXED = 3 };
struct jbuild { struct jrun *r; char *s; uint8_t *mark; size_t n, cap, max; uint8_t origin; };    /* origin: 0, 1, JB_EMPTY, JB_MIXED */
void jbuild_init(struct jbuild *b, struct jrun *r);
int jbuild_add(struct jbuild *b, const char *s, size_t n, bool input, const uint8_t *mark);
int jbuild_mark(struct jbuild *b, size_t from);                          /* what was added from there on is input */
int jbuild_text(struct jbuild *b, const char *s, bool input);            /* a C string */
int jbuild_part(struct jbuild *b, const struct jval *str, size_t from, size_t to);
int jbuild_str(struct jbuild *b, const struct jval *v);                  /* str(v), as {{ v }} prints it */
int jbuild_repr(struct jbuild *b, const struct jval *v);
struct jval jbuild_end(struct jbuild *b);
struct jjson { bool ascii, sort; int indent; const char *item_sep, *key_sep; };      /* indent < 0: on one line */
int jbuild_json(struct jbuild *b, const struct jval *v, const struct jjson *how);

/* ---- making and asking ---- */
struct jval jval_undefined(const char *what);
struct jval jval_undefined_name(const char *s, size_t n);
struct jval jval_bool(bool b);
struct jval jval_int(int64_t i);
struct jval jval_float(double f);
struct jval jval_str(const char *s, size_t n);                           /* the template's */
static inline struct jval jval_none(void) { return (struct jval){ .type = J_NONE }; }
int jval_list(struct jrun *r, enum jtype type, uint32_t cap, struct jval *out);
int jlist_add(struct jrun *r, struct jlist *l, const struct jval *v);
int jval_dict(struct jrun *r, enum jtype type, uint32_t cap, struct jval *out);
int jdict_set(struct jrun *r, struct jdict *d, const struct jval *key, const struct jval *value);
int jdict_find(struct jrun *r, const struct jdict *d, const struct jval *key, const struct jval **out);    /* NULL if absent */
const struct jval *jdict_str(const struct jdict *d, const char *s, size_t n);                              /* by a string key */
int jval_json(struct jrun *r, const json_t *o, enum jinja_input input, struct jval *out);

bool jval_is(const struct jval *v, const char *s);                       /* a string equal to s */
bool jval_truth(const struct jval *v);
int jtruth(struct jrun *r, const struct jval *v, bool *yes);             /* of a condition */
int jdefined(struct jrun *r, const struct jval *v);                      /* an error where a strict template uses what is not */
const char *jval_type(const struct jval *v);                             /* "a string", for messages */
int jval_equal(struct jrun *r, const struct jval *a, const struct jval *b, bool *equal);
int jval_order(struct jrun *r, const struct jval *a, const struct jval *b, int *order);    /* < 0, 0, > 0; an error where Python has none */
int jval_contains(struct jrun *r, const struct jval *in, const struct jval *v, bool *yes);
int jval_length(struct jrun *r, const struct jval *v, int64_t *n);
/* The values a loop goes through, as a list; an iterator is used up by it. */
int jval_walk(struct jrun *r, const struct jval *v, struct jval *list);
int jval_to_str(struct jrun *r, const struct jval *v, struct jval *out); /* itself if it is a string */
int jval_concat(struct jrun *r, const struct jval *a, const struct jval *b, struct jval *out);    /* of strings */
struct jval jval_cut(const struct jval *str, size_t from, size_t to);     /* bytes from..to-1 */
bool jnumber(const struct jval *v, int64_t *i, double *f);               /* bool, int or float; f always set */

/* ---- characters ---- */
size_t jchars(const char *s, size_t n);                                  /* code points */
size_t jchar_offset(const char *s, size_t n, size_t i);                  /* bytes before code point i, at most n */
uint32_t jchar_at(const char *s, size_t *len);                           /* of valid UTF-8 */
bool jchar_space(uint32_t c);                                            /* str.isspace */
bool jchar_printable(uint32_t c);                                        /* str.isprintable */

/* ---- the other files ---- */
#define JARGS_MAX 16
struct jargs {
    int n, n_kw;
    struct jval v[JARGS_MAX], kw[JARGS_MAX];
    const char *kw_name[JARGS_MAX];
};
/* The i-th argument or the one of that name; NULL if neither was given. */
const struct jval *jarg(const struct jargs *a, int i, const char *name);
int jargs_check(struct jrun *r, const struct jargs *a, const char *what, int min, const char *const *names);    /* names end with NULL */
int jfilter_find(const char *name, size_t n);                            /* code, or -1 */
int jfilter_apply(struct jrun *r, int code, const struct jval *v, const struct jargs *a, struct jval *out);
int jtest_find(const char *name, size_t n);
int jtest_apply(struct jrun *r, int code, const struct jval *v, const struct jargs *a, bool *yes);
int jmethod_find(const char *name, size_t n);                            /* a name that some type has as method, or -1 */
bool jmethod_has(int code, const struct jval *self);
bool jmethod_allowed(int code);                                          /* not if it would change its value */
int jmethod_call(struct jrun *r, int code, const struct jval *self, const struct jargs *a, struct jval *out);
int jfunc_find(const char *name, size_t n);
int jfunc_call(struct jrun *r, int code, const struct jargs *a, struct jval *out);

int jeval_attr(struct jrun *r, const struct jval *v, const char *s, size_t n, int method, struct jval *out);    /* v.s */
int jeval_item(struct jrun *r, const struct jval *v, const struct jval *key, struct jval *out);                 /* v[key] */
int jeval_call(struct jrun *r, const struct jval *f, const struct jargs *a, struct jval *out);
int jeval_math(struct jrun *r, int op, const struct jval *a, const struct jval *b, struct jval *out);           /* op: + - * / % or 'f' for //, 'p' for ** */

#endif
