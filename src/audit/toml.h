/* toml.h - TOML 1.0 as configurations of rules use it, read into jansson's tree: tables, arrays of tables, strings of all four forms, numbers,
 * booleans, arrays.  Dates, tables within a line, keys with points and numbers with underscores are refused, as what they are, with their line. */
#ifndef AUDIT_TOML_H
#define AUDIT_TOML_H
#include <jansson.h>
#include "base/err.h"

/* name: of the file, for messages. */
int toml_parse(json_t **out, const char *text, size_t n, const char *name, struct err *err);

#endif
