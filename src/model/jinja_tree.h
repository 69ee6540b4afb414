/* jinja_tree.h - inside the template engine: tokens and the parsed tree. */
#ifndef MODEL_JINJA_TREE_H
#define MODEL_JINJA_TREE_H
#include "model/jinja.h"
#include "model/jinja_value.h"

/* ---- tokens ---- */
enum jtoken_type { JT_END, JT_DATA, JT_VAR_BEGIN, JT_VAR_END, JT_BLOCK_BEGIN, JT_BLOCK_END, JT_NAME, JT_STR, JT_INT, JT_FLOAT, JT_OP };
/* Operators are one character; two-character ones by a letter. */
enum { JOP_EQ = 'e', JOP_NE = 'n', JOP_LE = 'l', JOP_GE = 'g', JOP_FLOORDIV = 'f', JOP_POW = 'p', JOP_IN = 'i', JOP_NOT_IN = 'o' };
struct jtoken {
    enum jtoken_type type;
    int op, line;
    const char *s;               /* data, names, strings with their escapes resolved */
    size_t n;
    union { int64_t i; double f; };
};
/* Cuts the template; *out is for mem_free, strings live in the pool. */
int jlex(const char *text, size_t n, const char *name, enum jinja_env env, struct jpool *pool, struct jtoken **out, size_t *n_out, struct err *err);

/* ---- the tree ---- */
enum jkind {
    /* statements */
    JN_DATA, JN_OUTPUT, JN_IF, JN_FOR, JN_SET, JN_SET_BLOCK, JN_MACRO, JN_CALL_BLOCK, JN_FILTER_BLOCK, JN_WITH, JN_BREAK, JN_CONTINUE, JN_GENERATION,
    /* expressions */
    JN_CONST, JN_NAME, JN_LIST, JN_TUPLE, JN_DICT, JN_ATTR, JN_ITEM, JN_SLICE, JN_CALL, JN_FILTER, JN_TEST, JN_NOT, JN_NEG, JN_POS, JN_AND, JN_OR,
    JN_COND, JN_COMPARE, JN_MATH, JN_CONCAT
};
/* What the fields hold, by kind:
 *   DATA value          OUTPUT a          IF a: condition, body, other          FOR a: target, b: values, c: filter or NULL, body, other
 *   SET a: target, b    SET_BLOCK a: target, b: filters around the body or NULL, body    MACRO name, v: parameters (NAME), w: defaults, body
 *   CALL_BLOCK a: call, b: MACRO          FILTER_BLOCK b: filters, body         WITH v: targets, w: values, body      GENERATION body
 *   CONST value         NAME name         LIST TUPLE v      DICT v: keys, w: values
 *   ATTR a.s, code: method or -1          ITEM a[b]         SLICE a[b:c:d], each may be NULL
 *   CALL a(v, kw)       FILTER a|s(v, kw), code; a NULL: the block's text       TEST a is s(v, kw), code
 *   NOT NEG POS a       AND OR MATH a, b, op                COND a: condition, b, c or NULL
 *   COMPARE a, v: others, ops: one char each                CONCAT v */
struct jnode {
    uint8_t kind, op;
    int16_t code;
    int line, name;
    struct jnode *a, *b, *c, *d, *body, *other, *next;      /* next: the following statement */
    struct jnode **v, **w, **kw;
    int n_v, n_w, n_kw;
    const char **kw_name, *ops;
    struct jval value;
    const char *s;
    size_t n;
};
struct jname { const char *s; size_t n; struct jname *next; int id; };
enum { JNAME_LOOP, JNAME_CALLER, JNAME_VARARGS, JNAME_KWARGS, JNAME_FIXED };
#define JNAME_BUCKETS 512
struct jinja {
    struct jpool pool;
    char *name;
    struct jnode *body;
    struct jname *bucket[JNAME_BUCKETS];
    int n_name;
    bool uses_varargs, uses_kwargs, generates, strict;
    const char **words;          /* names, attributes and strings, for jinja_mentions() */
    size_t n_word, cap_word;
};
const struct jname *jname_find(const struct jinja *t, const char *s, size_t n);

#endif
