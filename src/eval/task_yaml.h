/* task_yaml.h - a task's YAML as PyYAML's safe loader reads it (YAML 1.1), its includes merged, and where each of its keys stands.  Internal to eval/.
 *
 * Plain words become what they become there: yes, no, on and off are booleans, 0o10 is a string and 010 is 8, 1:30 is 90, 1e3 is a string.
 * Keys are strings whatever they look like; dates stay strings.  Anchors, aliases and << are followed; a tag other than !!str, !!int,
 * !!float, !!bool and !!null is an error, but for !function, which becomes {"!function": "module.name"}.  Duplicate keys: the last one counts, as there. */
#ifndef EVAL_TASK_YAML_H
#define EVAL_TASK_YAML_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

#define TASK_FUNCTION "!function"
#define TASK_YAML_MAX ((size_t)8 << 20)        /* bytes of a file */
/* at: the place "FILE:LINE" of each key by its path, as in "metric_list/0/metric". */
struct task_yaml { json_t *tree, *at; };
/* Whatever includes are to be read: text for mem_free, and the path that its own includes are relative to. */
typedef int (*task_yaml_open)(void *user, const char *from, const char *include, char **path, char **text, size_t *n, struct err *err);

/* open NULL: `include` stays a key.  y is empty after an error. */
int task_yaml_parse(struct task_yaml *y, const char *text, size_t n, const char *path, task_yaml_open open, void *user, struct err *err);
void task_yaml_release(struct task_yaml *y);
/* What `into` has not of `from`; jansson's own tells nothing where memory is lacking.  -1 then. */
int task_yaml_inherit(json_t *into, const json_t *from);
/* "FILE:LINE" of a key, or the file's name. */
const char *task_yaml_at(const struct task_yaml *y, const char *path);
#endif
