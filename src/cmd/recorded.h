/* recorded.h - lathe registry served --request ID: which version answered, and what was recorded of it.  Internal to cmd/. */
#ifndef CMD_RECORDED_H
#define CMD_RECORDED_H
#include "base/err.h"

/* id: of a request or an answer; where: of events, NULL: of the registry.  Prints a line, or an object of JSON for each. */
int recorded_show(const char *id, const char *where, struct err *err);
#endif
