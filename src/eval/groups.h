/* groups.h - the items of a task by the values of a field of their documents.
 *
 * A field is the name of a member, else a path of members with points between them (additional_metadata.subcategory); several with + between them
 * are one grouping by all of their values together.  A value is a text, a whole number, true or false, or a list of such (written with + between them).  A
 * document without one belongs to no group, and is counted.  Groups are in the order of their names' bytes.  Any thread may read. */
#ifndef EVAL_GROUPS_H
#define EVAL_GROUPS_H
#include <jansson.h>
#include "eval/task.h"

#define ITEM_GROUPS_MAX 500
struct item_groups {
    char *field;
    char **name; int n;
    int32_t *of; int64_t n_item;         /* [n_item]; -1: no such field */
    int64_t n_without;
};
/* ERR_NOTFOUND: no document has the field, with the fields that the first one has; ERR_RANGE: over ITEM_GROUPS_MAX values.  release in any case. */
int item_groups_init(struct item_groups *g, const struct task *t, const char *field, struct err *err);
void item_groups_release(struct item_groups *g);
/* *out is mem_free'd; NULL: the document has no such value. */
int item_field(const json_t *doc, const char *field, char **out, struct err *err);
#endif
