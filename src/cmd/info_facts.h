/* info_facts.h - what a model is, as lathe info --json says it. */
#ifndef CMD_INFO_FACTS_H
#define CMD_INFO_FACTS_H
#include <jansson.h>
#include "base/err.h"

/* An error too where tensors are missing or of another shape than the configuration says.  *out is the caller's. */
int info_facts(json_t **out, const char *path, struct err *err);
#endif
