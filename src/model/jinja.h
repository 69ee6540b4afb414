/* jinja.h - chat templates: the part of Jinja2 that model makers write them in.
 *
 * A template is parsed once and rendered any number of times, by any threads: a parsed template never changes.  What it
 * means is what Python's jinja2 makes of it in the environment of transformers: ImmutableSandboxedEnvironment with
 * trim_blocks, lstrip_blocks, loop controls, tojson as json.dumps(ensure_ascii=False), raise_exception and strftime_now.
 *
 *   statements   if, for (with if, else, break, continue, loop.*), set and set block, macro, call, filter, with, raw,
 *                generation (its body).  Not: include, import, extends, block, autoescape, recursive loops.
 *   expressions  all of Jinja's but *args and **kwargs in calls; filters, tests, methods and functions are the tables
 *                in jinja_filter.c and jinja_method.c.  Whole numbers have 64 bits; more is an error.
 *   generators   map, select, unique, ... run when they are written and not when they are read, so their errors come earlier
 *   sandbox      nothing can change a list or a dictionary, and there is nothing outside the variables to reach.
 *   `safe` as there: what is added (+) to a string that it marked is escaped for HTML.
 *
 * Taint.  Every byte of the output knows whether it came from the template or from the variables that a caller marked as
 * input.  Bytes keep their mark through slices, joins, replacements, filters and macros.  What is computed from input but
 * does not carry its bytes (lengths, comparisons, choices) counts as the template's.  One exception: the value of a member
 * `role` that is a well-known role (user, assistant, ...) counts as the template's, since templates build special tokens
 * of it: '<|' + message.role + '|>'.
 *
 * Budgets bound the work (steps), the memory of all values together, the output and the depth; a template that passes one
 * is ERR_RANGE.  Other errors name the template's line: ERR_FORMAT for what does not parse or does not fit these
 * variables, ERR_UNSUPPORTED for what is outside the subset, ERR_REFUSED with its words for raise_exception(). */
#ifndef MODEL_JINJA_H
#define MODEL_JINJA_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include "base/buf.h"
#include "base/err.h"

#define JINJA_TEXT_MAX ((size_t)1 << 20)      /* bytes of a template */

struct jinja;
/* JINJA_CHAT: as above.  JINJA_STRICT: Environment(undefined=StrictUndefined, keep_trailing_newline=True), as lm-evaluation-harness renders the
 * prompts of its tasks: no white space goes by itself, and to print, test, compare or walk through what is not defined is an error. */
enum jinja_env { JINJA_CHAT, JINJA_STRICT };
int jinja_parse_as(struct jinja **out, enum jinja_env env, const char *text, size_t n, const char *name, struct err *err);
int jinja_parse(struct jinja **out, const char *text, size_t n, const char *name, struct err *err);   /* name leads the messages */
void jinja_free(struct jinja *t);
/* Whether the word stands in the template as a variable, an attribute or a whole string. */
bool jinja_mentions(const struct jinja *t, const char *word);
bool jinja_generates(const struct jinja *t);      /* it has {% generation %} */

/* Which bytes of a variable's value are marked: none, as the template's own; all, as input.  To find what a model is to learn of a
 * conversation: what is under an object whose `role` is "assistant", in the last n_last entries of a list (0: of all); or none of
 * the value, but all that the template writes between {% generation %} and {% endgeneration %}. */
enum jinja_input { JINJA_OWN, JINJA_INPUT, JINJA_ASSISTANT, JINJA_GENERATED };
struct jinja_var { const char *name; const json_t *value; enum jinja_input input; size_t n_last; };     /* value NULL: not defined */
struct jinja_limits { int64_t steps; size_t memory, output; };                /* 0: 20 million, 256 MiB, 64 MiB */
/* input.data[i] is 1 where text.data[i] came from input, else 0.  missing: the first variable that the last rendering looked up and that there was
 * not, NULL: none; its bytes are the template's. */
struct jinja_text { struct buf text, input; const char *missing; size_t n_missing; };
void jinja_text_init(struct jinja_text *t);
void jinja_text_release(struct jinja_text *t);

/* A number as Python's str() and repr() write it: the fewest digits that give it back. */
void jinja_float(double f, char out[40]);
/* Appends to out; on error out is as it was.  limits NULL: the defaults.  now NULL: the time of the call, local. */
int jinja_render(const struct jinja *t, const struct jinja_var *vars, int n_var, const struct jinja_limits *limits, const struct tm *now,
                 struct jinja_text *out, struct err *err);

#endif
