/* schema.h - JSON Schema (drafts 7 to 2020-12) as a grammar: each text that follows it is JSON that the schema allows.
 *
 * What it can say is made, all else is an error that names the keyword and where it stands: nothing is passed over but what the
 * standard calls annotations (title, description, default, examples, ...).
 *
 *   any value     type (one or several), enum, const, anyOf, allOf (merged), $ref and $defs, also to itself; oneOf where it can be
 *                 seen that no value follows two of them
 *   objects       properties in the order they are written in, required, additionalProperties; patternProperties (one) and
 *                 propertyNames where there are no properties; minProperties and maxProperties where the rest makes sure of them
 *   arrays        items, prefixItems, minItems, maxItems
 *   strings       minLength, maxLength, pattern (regex.h), format: date, time, date-time, duration, uuid, ipv4, ipv6, hostname, email,
 *                 uri.  One of the three kinds at a time, but for lengths that the other makes sure of.
 *   numbers       minimum, maximum, exclusiveMinimum, exclusiveMaximum, by their digits
 *
 * Not all that a schema allows can be written: an object has no properties but those named unless additionalProperties is given; numbers
 * have a form of their own (schema_text.h); enum values and names are written with the escapes they need and no others.
 * A schema without type that has keywords of one type allows values of that type.
 *
 * Limits, so that a schema cannot be a bomb: schemas looked at (each use of a $ref that has others beside it counts), places of the
 * grammar, repetitions, depth, and names and values that are compared or copied to merge schemas.  ERR_RANGE names the one.  All tools of
 * a request share them. */
#ifndef INFER_SCHEMA_H
#define INFER_SCHEMA_H
#include <jansson.h>
#include "infer/grammar.h"

#define SCHEMA_LOOKS_MAX 20000
#define SCHEMA_DEPTH_MAX 200
#define SCHEMA_WORK_MAX (1 << 20)                /* names and values */
#define SCHEMA_BYTES_MAX ((size_t)1 << 20)       /* of the constants of one enum */

/* where: what leads to the schema, for messages ("response_format.json_schema.schema").  ERR_UNSUPPORTED, ERR_FORMAT, ERR_RANGE. */
int schema_grammar(struct grammar **out, const json_t *schema, const char *where, struct err *err);
/* A regular expression that describes the whole text; one of the texts. */
int regex_grammar(struct grammar **out, const char *text, size_t n, const char *where, struct err *err);
int choice_grammar(struct grammar **out, const json_t *texts, const char *where, struct err *err);

#endif
