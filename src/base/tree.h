/* tree.h - JSON and YAML files read into one kind of tree (jansson's json_t), with errors that name file, key and type.
 *
 * Limits hold for both: depth 100, and the file's size as given by the caller.  Duplicate keys are an error.  YAML is the
 * core schema: plain scalars that look like null, bool, int or float become so; anchors and aliases are refused. */
#ifndef BASE_TREE_H
#define BASE_TREE_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/opt.h"

int tree_parse_json(json_t **out, const char *text, size_t n, const char *name, struct err *err);
/* The bytes that its tree will take, or some more, by the values that the text has: for each of three letters it may be a hundred times that. */
size_t tree_json_bytes(const char *text, size_t n);
int tree_parse_yaml(json_t **out, const char *text, size_t n, const char *name, struct err *err);
int tree_load(json_t **out, const char *path, size_t max_bytes, struct err *err);   /* .yaml/.yml by name, else JSON */

/* json_dumps, which without memory may leave parts out: then NULL.  Free with mem_free. */
char *tree_dumps(const json_t *o, size_t flags);

/* A string of bytes that may be no UTF-8 (utf8_add); NULL without memory. */
json_t *tree_text(const char *s, size_t n);
/* JSON has neither NAN nor infinity: null; NULL without memory. */
json_t *tree_number(double v);

/* Typed access to a member of an object; `where` (file name) leads the message.  With a default the key may be absent;
 * a wrong type is always an error. */
int tree_str(const json_t *o, const char *key, const char *fallback, const char **out, const char *where, struct err *err);
int tree_int(const json_t *o, const char *key, int64_t fallback, int64_t min, int64_t max, int64_t *out, const char *where, struct err *err);
int tree_num(const json_t *o, const char *key, double fallback, double *out, const char *where, struct err *err);
int tree_bool(const json_t *o, const char *key, bool fallback, bool *out, const char *where, struct err *err);
/* For telling: NAN and "" where there is none, or null, or it is of another type. */
double tree_number_at(const json_t *o, const char *key);
double tree_entry_at(const json_t *o, const char *key, size_t i);        /* of an array */
const char *tree_text_at(const json_t *o, const char *key);
/* Reads every member of the object by the table; unknown keys are errors with the nearest known one. */
int tree_read(const json_t *o, const struct opt *keys, const char *where, struct err *err);
#endif
