/* schema_build.h - a schema in the making into a part of a grammar.  Internal to infer/. */
#ifndef INFER_SCHEMA_BUILD_H
#define INFER_SCHEMA_BUILD_H
#include <jansson.h>
#include "base/buf.h"
#include "infer/grammar_build.h"

/* made: what merging has made, kept until the end; ref: rules that have been asked for, and are made one after the other, not one
 * inside the other. */
struct schema_ref { const json_t *schema; int rule; const char *text; };
struct schema {
    struct build *b;
    const json_t *root;
    const char *where;
    struct buf path;                 /* behind where: "/properties/a" */
    int depth;
    json_t *made;
    struct schema_ref *ref; int n_ref, cap_ref;      /* still to be made */
};

/* schema_grammar(), of what is left of the limits that b counts against; what is made counts only where it fails. */
int schema_try(struct build *b, const json_t *schema, const char *where);
/* The value that follows root. */
struct frag build_schema(struct build *b, const json_t *root, const char *where);
/* The value that follows x, which is the schema's keyword, or name or number i in it ("" for none). */
struct frag schema_inside(struct schema *s, const char *keyword, const char *name, const json_t *x);
struct frag schema_inside_at(struct schema *s, const char *keyword, size_t i, const json_t *x);

/* ---- schema_scalar.c, schema_nested.c: values of one type, by the keywords that speak of it ---- */
struct frag schema_number(struct schema *s, const json_t *x, bool integer);
struct frag schema_string(struct schema *s, const json_t *x);
struct regex_length;
/* A string that p describes; length may be NULL. */
struct frag schema_pattern(struct schema *s, const json_t *p, const char *keyword, struct regex_length *length);
struct frag schema_array(struct schema *s, const json_t *x);
struct frag schema_object(struct schema *s, const json_t *x);
bool schema_requires(const json_t *x, const char *key);         /* "required" names it */
/* A count: a whole number from 0 on, at most GRAMMAR_REPEAT_MAX; -1: absent.  Whether the most is not below the least. */
int schema_count(struct schema *s, const json_t *x, const char *keyword);
bool schema_check_ends(struct schema *s, const char *keyword, int min, int max);

/* ---- schema_merge.c ---- */
/* What follows both; NULL after an error.  Borrowed, as all that these give. */
const json_t *schema_both(struct schema *s, const json_t *x, const json_t *y);
/* Without $ref: what it leads to, merged with what stands beside it. */
const json_t *schema_resolved(struct schema *s, const json_t *x);
const json_t *schema_target(struct schema *s, const char *ref);          /* NULL: error */
/* No value that is written for x follows y, as far as can be seen. */
bool schema_apart(struct schema *s, const json_t *x, const json_t *y, int depth);
json_t *schema_without(struct schema *s, const json_t *x, const char *key, bool says_only);      /* a copy; only: without what says nothing, too */
const char *schema_name(const json_t *v);        /* NULL unless it is a string that no NUL would cut */
bool schema_says(const char *key);               /* the keyword says something about values */

/* ---- errors, that name the keyword ---- */
bool schema_failed(const struct schema *s);
int schema_fail(struct schema *s, int code, const char *keyword, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
#define SCHEMA_PLACE 300
void schema_place(const struct schema *s, char out[SCHEMA_PLACE]);
bool schema_look(struct schema *s);              /* one more; false: too many */
bool schema_work(struct schema *s, size_t n);    /* so many names or values are to be compared or copied; false: too many in all */
#endif
