/* json_in.h - reads a request's JSON: each field by its type and range, and none that nobody has asked for.
 *
 * Settings in files are read by base/tree.h, whose errors name the file; here they name the field, as clients expect it, null is absent,
 * and what is passed over or can only have one value is told apart.  The first thing that is wrong is kept, with the name of its field as clients know it ("messages[2].content"); readers after that do
 * nothing, so that a request is read in one go and looked at once.  null counts as absent. */
#ifndef SERVE_JSON_IN_H
#define SERVE_JSON_IN_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

/* What is told to a client.  status 0: nothing is wrong. */
/* type, code: literals; type NULL: as the status says.  retry_ms, of 429: when it may be asked again; 0: soon, < 0: never */
struct refusal { int status; const char *type, *code; char param[120]; char message[500]; int64_t retry_ms; };
/* 400, invalid_request_error, unless something is wrong already.  param may be NULL. */
void refuse(struct refusal *e, const char *param, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void refuse_as(struct refusal *e, int status, const char *type, const char *code, const char *param, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* ERR_FORMAT in e, with the place, when text is no JSON object, is nested too deeply, or has a key twice; NULL then. */
json_t *in_parse(const char *text, size_t n, struct refusal *e);

#define IN_MAX 64
struct in { const json_t *o; char path[80]; struct refusal *e; const char *seen[IN_MAX]; int n_seen; };
/* o: an object, or the refusal says so.  path: what leads its fields' names, "" for the request itself. */
void in_begin(struct in *f, const json_t *o, struct refusal *e, const char *path_fmt, ...) __attribute__((format(printf, 4, 5)));
/* Each: is the field there?  Without it *out is as it was. */
bool in_num(struct in *f, const char *name, double min, double max, double *out);
bool in_int(struct in *f, const char *name, int64_t min, int64_t max, int64_t *out);
bool in_bool(struct in *f, const char *name, bool *out);
bool in_str(struct in *f, const char *name, const char **out, size_t *n);           /* n NULL: one with a NUL inside is refused */
bool in_choice(struct in *f, const char *name, const char *choices, int *out);      /* "a|b|c" */
bool in_array(struct in *f, const char *name, const json_t **out);
bool in_object(struct in *f, const char *name, const json_t **out);
bool in_any(struct in *f, const char *name, const json_t **out);
/* NULL unless it is a string, and none that a NUL would cut. */
const char *in_word(const json_t *v);
/* Is it an integer?  JSON does not tell 38.0 from 38. */
bool in_whole(const json_t *v, int64_t *out);
bool in_id(const json_t *v, int n, int32_t *out);           /* the same of 0 to n - 1 */
/* Fields that change nothing here (who asks, how it is billed): any value. */
void in_pass(struct in *f, const char *names);              /* "a|b|c" */
void in_pass_texts(struct in *f, const char *names);        /* the same of fields that are strings */
/* A field of which nothing but this value can be done, as JSON text: "false", "[\"text\"]". */
void in_only(struct in *f, const char *name, const char *value);
/* After the last: a field that no call above named is refused, or, where warnings is not NULL, noted there (a JSON array). */
void in_end(struct in *f, json_t *warnings);

#endif
