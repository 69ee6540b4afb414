#include "store/gate_signature.h"
#include <string.h>
#include <time.h>
#include "store/oms.h"

static int trust_text(struct dsse_trust *t, const char *pem, struct err *err)
{
    *t = (struct dsse_trust){ .now = (int64_t)time(NULL) };
    const char *name = "a signer of the policy";
    const bool certificates = strstr(pem, "-----BEGIN CERTIFICATE-----") != NULL;
    const int rc = certificates ? pki_certs_text(&t->anchors, pem, name, err) : pki_public_text(&t->key, pem, name, err);
    if (rc)
        dsse_trust_release(t);
    return rc;
}

int gate_signers_check(const json_t *signers, const char *where, struct err *err)
{
    size_t i;
    const json_t *pem;
    json_array_foreach(signers, i, pem) {
        struct dsse_trust t;
        const char *text = json_string_value(pem);
        int rc;
        if (strlen(text) != json_string_length(pem))
            rc = ERR(err, FORMAT, "it has a NUL, expected PEM");
        else if (strstr(text, "PRIVATE KEY-----"))
            rc = ERR(err, FORMAT, "it has a private key, which should stay where signatures are made; expected its public key");
        else
            rc = trust_text(&t, text, err);
        if (rc)
            return err_context(err, "%s: signer %zu", where, i + 1);
        dsse_trust_release(&t);
    }
    return 0;
}

/* One of the signers must have signed: 0, or ERR_GATE with what the last one says. */
static int judge(const struct dsse *d, const json_t *signers, struct pki_holder *holder, struct err *err)
{
    size_t i;
    const json_t *pem;
    int rc = ERR(err, GATE, "nobody is trusted");
    json_array_foreach(signers, i, pem) {
        struct dsse_trust t;
        TRY(trust_text(&t, json_string_value(pem), err));
        rc = dsse_verify(d, &t, false, holder, err);
        dsse_trust_release(&t);
        if (!rc || rc == ERR_NOMEM)
            break;
    }
    return rc;
}

/* A single file is signed as "."; the registry has it under its name. */
static int compare(const struct dsse *d, const struct manifest *files, struct err *err)
{
    struct oms_statement s;
    TRY(oms_statement_read(&s, d->payload.data, d->payload.len, "the signature", err));
    bool same = !s.shard_bytes && s.files.n == files->n;
    for (int i = 0; i < files->n && same; i++) {
        const struct manifest_file *a = &s.files.file[i], *b = &files->file[i];
        same = !strcmp(a->sha256, b->sha256) && (!strcmp(a->name, b->name) || (files->n == 1 && !strcmp(a->name, ".")));
    }
    const int rc = same ? 0 : s.shard_bytes ? ERR(err, GATE, "it signs shards of files, expected whole files") : ERR(err, GATE, "it signs other files");
    oms_statement_release(&s);
    return rc;
}

int gate_signature(struct gate_signature *out, struct registry *g, const char *blob, const struct manifest *files, const json_t *signers, struct err *err)
{
    struct buf text;
    struct dsse d;
    struct err why;
    struct pki_holder holder = { .identity = "" };
    *out = (struct gate_signature){ .holds = false };
    buf_init(&text);
    int rc = blob_get(registry_folder(g), blob, DSSE_BYTES_MAX, &text, err);
    if (rc) {
        buf_release(&text);
        return rc;
    }
    rc = dsse_parse(&d, text.data, text.len, "the signature", &why);
    if (!rc) {
        rc = judge(&d, signers, &holder, &why);
        if (!rc)
            rc = compare(&d, files, &why);
        dsse_release(&d);
    }
    buf_release(&text);
    if (rc == ERR_NOMEM)
        return ERR(err, NOMEM, "no memory to look at a signature");
    out->holds = !rc;
    snprintf(out->by, sizeof out->by, "%s", holder.identity);
    snprintf(out->why, sizeof out->why, "%s", rc ? why.msg : "");
    return 0;
}
