/* fields.h - the names that a file has for the members or columns of a record. */
#ifndef DATA_FIELDS_H
#define DATA_FIELDS_H
#include "base/err.h"

#define FIELD_NAME_MAX 64

/* name[i]: own[i], or what text, "member=name, member=name", gives it instead.  text may be NULL. */
int fields_parse(char (*name)[FIELD_NAME_MAX], const char *const own[], int n, const char *text, struct err *err);

#endif
