/* json_scan.h - JSON (RFC 8259) read where it stands: is it right, and where are some members of the object?  Nothing is allocated but the
 * string that is asked for, so a line of gigabytes of brackets costs its reading.  What is wrong is told with its byte. */
#ifndef AUDIT_JSON_SCAN_H
#define AUDIT_JSON_SCAN_H
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"

#define JSON_DEPTH_MAX 512

/* A value within the text: its first character tells what it is (" { [ t f n - or a digit); p NULL: there is none. */
struct json_span { const char *p; size_t n; };

/* One value of any kind and white space around it. */
int json_scan_check(const char *text, size_t n, struct err *err);
/* The text is one object: the values of the members named, which may be missing, but not twice there. */
int json_scan_members(const char *text, size_t n, const char *const *name, int n_name, struct json_span *out, struct err *err);
/* fn of each member of an object, or of each element of a list (name.p NULL), in order; what is neither has none.  What fn returns, < 0, ends it. */
typedef int json_member_fn(void *ctx, struct json_span name, struct json_span value, struct err *err);
int json_scan_each(struct json_span v, json_member_fn *fn, void *ctx, struct err *err);
/* fn of each string of a value at any depth, in order, but those in members `but` of objects at most so deep: the value itself is 1 deep. */
typedef int json_string_fn(void *ctx, struct json_span s, struct err *err);
int json_scan_strings(struct json_span v, const char *const *but, int n_but, int but_deep, json_string_fn *fn, void *ctx, struct err *err);
/* Which of the names a member's is, or -1. */
int json_scan_find(struct json_span member, const char *const *name, int n_name, int *out, struct err *err);
/* Appends the characters of a string.  ERR_FORMAT for half a surrogate pair, which is no character. */
int json_scan_string(struct json_span s, struct buf *out, struct err *err);

#endif
