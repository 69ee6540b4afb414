/* registry_loads.h - would a version load?  Asked before an alias moves to it. */
#ifndef CMD_REGISTRY_LOADS_H
#define CMD_REGISTRY_LOADS_H
#include "store/registry.h"

/* Its files are what their digests say, its configuration and weights what a model has, and its tokenizer goes with them; adapters are read by themselves.  A data set, and what was added without
 * facts (lathe registry add --no-facts), has only its digests looked at.  ERR_CORRUPT, ERR_FORMAT, ERR_UNSUPPORTED, ..., naming NAME@N. */
int registry_loads(struct registry *g, const struct registry_version *v, struct err *err);
#endif
