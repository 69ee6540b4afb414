/* json_read.h - JSON into jansson's trees, of texts that are right: the fast twin of jansson's reader, which takes a character at a time.
 *
 * What this reader does not take it leaves to jansson, which tells what is wrong with it: wrong JSON, keys with escapes, whole numbers of 19
 * digits and more.  What it takes gives the tree that jansson gives (JSON_REJECT_DUPLICATES, JSON_DECODE_ANY, JSON_ALLOW_NUL).  Internal to base/. */
#ifndef BASE_JSON_READ_H
#define BASE_JSON_READ_H
#include <jansson.h>
#include <stddef.h>

/* NULL: not taken; *lacks: for lack of memory.  At most depth_max arrays and objects within each other. */
json_t *json_read(const char *text, size_t n, int depth_max, int *lacks);
/* Bytes before the first that is a quote, a backslash or a control character. */
size_t json_plain(const char *s, size_t n);

#endif
