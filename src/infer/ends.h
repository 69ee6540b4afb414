/* ends.h - where generation ends: the tokens that a model's files name as its ends.
 *
 * They stand in the configuration, in generation_config.json beside it, and in the tokenizer (end of text, turn, message). */
#ifndef INFER_ENDS_H
#define INFER_ENDS_H
#include "infer/engine.h"

struct ends { int id[16], n; };      /* of generation_config.json */
/* path: of a model; a file, or a folder without generation_config.json, has none more. */
int ends_load(struct ends *ends, const char *path, struct err *err);
bool ends_at(const struct ends *ends, const struct engine *e, int32_t id);
#endif
