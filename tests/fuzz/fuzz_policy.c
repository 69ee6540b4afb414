/* fuzz_policy.c - any bytes as a policy: an error with a sentence, or a policy whose gate says something of a report, and whose uses, terms
 * and actions are of those that there are. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "audit/gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct policy p;
    struct err err = { 0 };
    json_t *report = json_pack("{s:{s:i, s:i, s:{}}, s:{s:i}}", "totals", "records", 3, "kept", 2, "dropped", "languages", "en", 3), *gate;
    double limit;
    if (policy_parse(&p, (const char *)data, n, "p", &err)) {
        require(err.code && *err.msg);
    } else {
        require(p.use && p.use < 1u << N_LICENCE_RIGHT && policy_pii(&p, "EMAIL_ADDRESS") < N_POLICY_ACTION && policy_secret(&p, "aws") < N_POLICY_ACTION);
        require(policy_rule(&p, "gopher/datatrove/1/short_doc", &limit) <= 1);
        for (int i = 0; i < p.n_terms; i++)
            require(!(p.terms[i].yes & p.terms[i].no) && p.terms[i].targets);
        require(!gate_of(report, &p, NULL, &gate, &err));
        require(json_is_true(json_object_get(gate, "passed")) == !gate_verdict(gate, &err));
        json_decref(gate);
    }
    json_decref(report);
    policy_release(&p);
    return 0;
}
