/* model_evidence.h - evidence (eval/evidence.h) of the model of this call: with --adapter, of the two together, which are another model than the base alone,
 * and with --limit of lathe eval of the first items. */
#ifndef CMD_MODEL_EVIDENCE_H
#define CMD_MODEL_EVIDENCE_H
#include <jansson.h>
#include "base/hash.h"

/* As evidence_new(), for a model that was run by cmd_engine()'s options. */
int model_evidence(json_t **out, const char *kind, const char *model, const char *model_sha256, int64_t seed, struct err *err);
/* The adapter's digest; "" without --adapter. */
int model_evidence_adapter(char hex[SHA256_HEX], struct err *err);
/* ERR_UNSUPPORTED where --adapter was given: a model with a head for classes is run without. */
int model_evidence_no_adapter(const char *model, struct err *err);
#endif
