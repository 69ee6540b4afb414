/* model_evidence.h - evidence (eval/evidence.h) of the model of this call: with --adapter, of the two together, which are another model than the base alone. */
#ifndef CMD_MODEL_EVIDENCE_H
#define CMD_MODEL_EVIDENCE_H
#include <jansson.h>
#include "base/hash.h"

/* As evidence_new() and evidence_limit(), for a model that was run by cmd_engine()'s options. */
int model_evidence(json_t **out, const char *kind, const char *model, const char *model_sha256, int64_t seed, int64_t limit, struct err *err);
/* The adapter's digest; "" without --adapter. */
int model_evidence_adapter(char hex[SHA256_HEX], struct err *err);
/* ERR_UNSUPPORTED where --adapter was given: a model with a head for classes is run without. */
int model_evidence_no_adapter(const char *model, struct err *err);
#endif
