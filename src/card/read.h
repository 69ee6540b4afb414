/* read.h - values of a tree that may be missing or of another type: those read as nothing.
 *
 * A path goes down through objects, its names with points between them: "duplicates.near.pairs". */
#ifndef CARD_READ_H
#define CARD_READ_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

const json_t *read_at(const json_t *o, const char *path);             /* NULL: nothing there, or null */
const char *read_str(const json_t *o, const char *path);              /* NULL where there is no string, or an empty one */
int64_t read_count(const json_t *o, const char *path);                /* 0 where there is none */
double read_number(const json_t *o, const char *path);                /* NAN where there is none that is finite and below 1e300 */
double read_number_of(const json_t *v);
/* Whole numbers with commas, as people read them: "1,234,567". */
char *read_thousands(char out[32], int64_t n);
/* A part of a whole in percent: as many digits as it takes not to say 0 of something, or 100 of less than all. */
char *read_share(char out[32], double part, double whole);

/* Loops over what may be no object; jansson's own wants one that can be changed. */
static inline json_t *read_open(const json_t *o) { return (json_t *)(uintptr_t)o; }
#define read_each(o, key, value) json_object_foreach(read_open(o), key, value)

#endif
