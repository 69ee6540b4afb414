/* fuzz_registry.c - what a registry reads of others: evidence, policies, manifests, names, moments. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "base/when.h"
#include "store/evidence_kind.h"
#include "store/gate_policy.h"
#include "store/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void read_tree(const char *text, size_t n)
{
    json_t *o = NULL;
    struct manifest m;
    struct err err;
    char root[SHA256_HEX];
    if (tree_parse_json(&o, text, n, "fuzz", &err))
        return;
    gate_policy_check(o, "fuzz", &err);
    if (!manifest_parse(&m, o, &err)) {
        json_t *again = manifest_json(&m);
        if (!again || !json_equal(o, again) || manifest_root(&m, root, &err))
            abort();                                 /* what is taken is what comes out */
        json_decref(again);
        manifest_release(&m);
    }
    json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char kind[EVIDENCE_KIND], back[WHEN_TEXT], *text = malloc(n + 1);
    struct registry_ref ref;
    struct err err;
    int64_t ns, again;
    if (!text)
        return 0;
    memcpy(text, data, n);
    text[n] = 0;
    evidence_kind(text, n, kind);
    read_tree(text, n);
    if (!registry_ref_parse(&ref, text, &err) && (!registry_name_ok(ref.name) || (*ref.alias && !registry_alias_ok(ref.alias))))
        abort();
    if (!when_parse(&ns, text, &err)) {
        when_text(back, ns);
        if (when_parse(&again, back, &err) || again != ns)
            abort();
    }
    free(text);
    return 0;
}
