/* schema_text.h - the parts of JSON as fragments of a grammar: strings, numbers, white space, values of any kind.  Internal to infer/.
 *
 * White space is none, a space, or a line end with up to 20 spaces and tabs behind it: whatever can be repeated without end a model
 * will sooner or later repeat without end.  Numbers have up to 18 digits, and after the point, and exponents of up to 2, so that they
 * are finite wherever they are read. */
#ifndef INFER_SCHEMA_TEXT_H
#define INFER_SCHEMA_TEXT_H
#include <jansson.h>
#include "base/buf.h"
#include "infer/grammar_build.h"

/* First of all: the rules that the others share are made, and none of them in the middle of something that is repeated. */
void text_begin(struct build *b);
struct frag text_bytes(struct build *b, const char *s);
struct frag text_space(struct build *b);                 /* or none */
struct frag text_comma(struct build *b);                 /* with what space may follow */
struct frag text_colon(struct build *b);
struct frag text_any(struct build *b);                   /* a value */
struct frag text_any_object(struct build *b);
struct frag text_any_array(struct build *b);
struct frag text_any_string(struct build *b);
struct frag text_string_char(struct build *b);           /* in a string: as itself or in one of its escapes */
struct frag text_any_number(struct build *b);
/* open, items with commas between, close: any number of them, or one at least. */
struct frag text_list(struct build *b, const char *open, struct frag item, const char *close, bool may_be_empty);
struct frag text_member(struct build *b, struct frag key, struct frag value);
struct frag text_key(struct build *b, const char *key);          /* with its colon */
struct frag text_any_integer(struct build *b);
/* Of the characters (of all others, if negated) one, as it stands in a string: itself, or the escape that is needed; none in
 * \uXXXX but control characters that are named one by one. */
struct frag text_string_class(struct build *b, const struct code_range *r, int n, bool negated);
/* The value as it is written: numbers and strings in one way only, with white space where it may be. */
struct frag text_constant(struct build *b, const json_t *v);
int text_constant_text(struct buf *out, const json_t *v, struct err *err);       /* without any */
/* A whole string, with its quotes, that is none of the keys. */
#define JSON_KEY_MAX 256
struct frag text_other_string(struct build *b, struct word *key, int n);      /* which are sorted */
/* Integers of low .. high. */
struct frag text_integer(struct build *b, int64_t low, int64_t high);
/* Numbers of low .. high, either of which may be infinite, without them where they are open; no exponents.  As many digits as a
 * double tells apart near the ends: up to 15.  ERR_RANGE for ends beyond 1e15 or nearer to 0 than 1e-15. */
struct frag text_number(struct build *b, double low, bool low_open, double high, bool high_open);
#endif
