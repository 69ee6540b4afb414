#include "cmd/model_evidence.h"
#include "cmd/cmd.h"
#include "eval/evidence.h"
#include "model/adapter.h"

int model_evidence_adapter(char hex[SHA256_HEX], struct err *err)
{
    hex[0] = 0;
    return cmd_adapter ? adapter_digest(hex, cmd_adapter, err) : 0;
}

int model_evidence(json_t **out, const char *kind, const char *model, const char *model_sha256, int64_t seed, int64_t limit, struct err *err)
{
    char hex[SHA256_HEX];
    TRY(model_evidence_adapter(hex, err));
    TRY(evidence_new(out, kind, model, model_sha256, seed, err));
    int rc = cmd_adapter ? evidence_adapter(*out, cmd_adapter, hex, err) : 0;
    if (!rc)
        rc = evidence_limit(*out, limit, err);
    if (rc)
        json_decref(*out), *out = NULL;
    return rc;
}

int model_evidence_no_adapter(const char *model, struct err *err)
{
    return cmd_adapter ? ERR(err, UNSUPPORTED, "--adapter: %s has a head for classes, and is run without adapters; lathe merge puts them into the weights", model) : 0;
}
