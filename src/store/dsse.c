#include "store/dsse.h"
#include <jansson.h>
#include <string.h>
#include <time.h>
#include "base/base64.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

#define MEDIA_TYPE "application/vnd.dev.sigstore.bundle.v0.3+json"

void dsse_init(struct dsse *d)
{
    *d = (struct dsse){ .by = DSSE_BY_KEY };
    buf_init(&d->payload), buf_init(&d->sig), buf_init(&d->public_pem);
}

void dsse_release(struct dsse *d)
{
    buf_release(&d->payload), buf_release(&d->sig), buf_release(&d->public_pem);
    pki_certs_release(&d->chain);
}

/* ---- reading ---- */

/* An object with no members but these ("a|b|c"). */
static int object_at(const json_t *o, const char *key, const char *members, const json_t **out, const char *name, struct err *err)
{
    const json_t *v = key ? json_object_get(o, key) : o;
    const char *member;
    json_t *value;
    if (!json_is_object(v))
        return ERR(err, FORMAT, "%s: %s is %s, expected an object", name, key ? key : "the bundle", v ? "none" : "missing");
    json_object_foreach((json_t *)(uintptr_t)v, member, value)
        if (word_index(member, strlen(member), members) < 0)
            return ERR(err, FORMAT, "%s: %s has an unknown field '%.60s'", name, key ? key : "the bundle", member);
    *out = v;
    return 0;
}

static int text_at(const json_t *o, const char *key, const char **out, const char *name, struct err *err)
{
    TRY(tree_str(o, key, NULL, out, name, err));
    return *out ? 0 : ERR(err, FORMAT, "%s: %s is missing, expected a string", name, key);
}

/* Canonical: each text of base64 is the one that its bytes have. */
static int base64_at(const json_t *o, const char *key, struct buf *out, const char *name, struct err *err)
{
    const char *text;
    struct buf again;
    TRY(text_at(o, key, &text, name, err));
    const size_t n = strlen(text);
    if (base64_read(out, text, n, err) < 0)
        return err_context(err, "%s: %s", name, key);
    buf_init(&again);
    int rc = base64_write(&again, out->data, out->len, err);
    if (!rc && (!n || again.len != n || memcmp(again.data, text, n)))
        rc = ERR(err, FORMAT, "%s: %s is no base64 in its usual form", name, key);
    buf_release(&again);
    return rc;
}

static int read_public_key(struct dsse *d, const json_t *material, const char *name, struct err *err)
{
    const json_t *o;
    const char *text;
    TRY(object_at(material, "publicKey", "hint|rawBytes|keyDetails", &o, name, err));
    if (json_object_get(o, "hint")) {
        TRY(text_at(o, "hint", &text, name, err));
        if (strlen(text) != SHA256_HEX - 1 || strspn(text, "0123456789abcdef") != SHA256_HEX - 1)
            return ERR(err, FORMAT, "%s: hint is '%.80s', expected 64 hexadecimal digits", name, text);
        memcpy(d->hint, text, SHA256_HEX);
    }
    if (json_object_get(o, "keyDetails")) {
        TRY(text_at(o, "keyDetails", &text, name, err));
        if (!*text || strlen(text) >= sizeof d->details)
            return ERR(err, FORMAT, "%s: keyDetails is '%.80s'", name, text);
        strcpy(d->details, text);
    }
    if (json_object_get(o, "rawBytes"))
        TRY(base64_at(o, "rawBytes", &d->public_pem, name, err));
    return *d->hint || d->public_pem.len ? 0 : ERR(err, FORMAT, "%s: publicKey has neither a hint nor rawBytes", name);
}

static int read_certificate(struct dsse *d, const json_t *o, const char *name, struct err *err)
{
    struct buf der;
    buf_init(&der);
    int rc = object_at(o, NULL, "rawBytes", &o, name, err);
    if (!rc && !(rc = base64_at(o, "rawBytes", &der, name, err)) && pki_certs_add(&d->chain, der.data, der.len, err) < 0)
        rc = err_context(err, "%s", name);
    buf_release(&der);
    return rc;
}

static int read_chain(struct dsse *d, const json_t *material, const char *name, struct err *err)
{
    const json_t *o;
    TRY(object_at(material, "x509CertificateChain", "certificates", &o, name, err));
    const json_t *list = json_object_get(o, "certificates");
    if (!json_is_array(list) || !json_array_size(list) || json_array_size(list) > DSSE_CERTS_MAX)
        return ERR(err, FORMAT, "%s: certificates is no list of 1 to %d", name, DSSE_CERTS_MAX);
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(read_certificate(d, json_array_get(list, i), name, err));
    return 0;
}

static int read_material(struct dsse *d, const json_t *bundle, const char *name, struct err *err)
{
    const json_t *o;
    TRY(object_at(bundle, "verificationMaterial", "publicKey|x509CertificateChain|certificate|tlogEntries|timestampVerificationData", &o, name, err));
    const json_t *key = json_object_get(o, "publicKey"), *chain = json_object_get(o, "x509CertificateChain"), *certificate = json_object_get(o, "certificate");
    const json_t *log = json_object_get(o, "tlogEntries"), *times = json_object_get(o, "timestampVerificationData");
    if (!key + !chain + !certificate != 2)
        return ERR(err, FORMAT, "%s: verificationMaterial has %s publicKey, x509CertificateChain and certificate, expected one of them", name, key || chain || certificate ? "several of" : "none of");
    if ((log && !json_is_array(log)) || (times && !json_is_object(times)))
        return ERR(err, FORMAT, "%s: tlogEntries is no list, or timestampVerificationData no object", name);
    d->by = key ? DSSE_BY_KEY : chain ? DSSE_BY_CERTIFICATE : DSSE_KEYLESS;
    if (d->by == DSSE_KEYLESS && !json_array_size(log))
        return ERR(err, FORMAT, "%s: a keyless signature without an entry of a log", name);
    if (d->by != DSSE_KEYLESS && (json_array_size(log) || json_object_size(times)))
        return ERR(err, UNSUPPORTED, "%s: a signature by a %s with entries of a log or times that others attest, which are not looked at here", name, key ? "key" : "certificate");
    if (certificate)
        TRY(object_at(o, "certificate", "rawBytes", &certificate, name, err));
    return key ? read_public_key(d, o, name, err) : chain ? read_chain(d, o, name, err) : read_certificate(d, certificate, name, err);
}

static int read_envelope(struct dsse *d, const json_t *bundle, const char *name, struct err *err)
{
    const json_t *o;
    const char *type;
    TRY(object_at(bundle, "dsseEnvelope", "payload|payloadType|signatures", &o, name, err));
    TRY(text_at(o, "payloadType", &type, name, err));
    if (strcmp(type, DSSE_IN_TOTO))
        return ERR(err, UNSUPPORTED, "%s: payloadType is '%.100s', expected %s", name, type, DSSE_IN_TOTO);
    TRY(base64_at(o, "payload", &d->payload, name, err));
    const json_t *list = json_object_get(o, "signatures"), *one = json_array_get(list, 0), *id;
    if (json_array_size(list) != 1)
        return ERR(err, FORMAT, "%s: signatures is no list of one", name);
    TRY(object_at(one, NULL, "sig|keyid", &one, name, err));
    id = json_object_get(one, "keyid");
    if (id && !json_is_null(id) && !(json_is_string(id) && !json_string_length(id)))
        return ERR(err, FORMAT, "%s: keyid is not empty", name);
    return base64_at(one, "sig", &d->sig, name, err);
}

static int read_bundle(struct dsse *d, const json_t *bundle, const char *name, struct err *err)
{
    const char *type;
    TRY(object_at(bundle, NULL, "mediaType|verificationMaterial|dsseEnvelope", &bundle, name, err));
    TRY(text_at(bundle, "mediaType", &type, name, err));
    if (strcmp(type, MEDIA_TYPE))
        return ERR(err, UNSUPPORTED, "%s: mediaType is '%.100s', expected %s", name, type, MEDIA_TYPE);
    TRY(read_material(d, bundle, name, err));
    return read_envelope(d, bundle, name, err);
}

int dsse_parse(struct dsse *d, const char *text, size_t n, const char *name, struct err *err)
{
    json_t *bundle;
    dsse_init(d);
    TRY(tree_parse_json(&bundle, text, n, name, err));
    const int rc = read_bundle(d, bundle, name, err);
    json_decref(bundle);
    if (rc)
        dsse_release(d);
    return rc;
}

/* Of a file and nothing else: a pipe in a model's folder is not waited for. */
static int read_file(struct buf *text, const char *path, struct err *err)
{
    struct file_stream s;
    int64_t got = 1;
    TRY(file_stream_open(&s, path, err));
    int rc = s.size <= DSSE_BYTES_MAX ? buf_reserve(text, (size_t)s.size + 1, err) : ERR(err, RANGE, "%.300s has %llu bytes, expected a signature of %d at most", path, (unsigned long long)s.size, DSSE_BYTES_MAX);
    while (!rc && got) {
        got = file_stream_read(&s, text->data + text->len, (size_t)s.size - text->len, err);
        rc = (int)(got < 0 ? got : 0);
        text->len += got > 0 ? (size_t)got : 0;
    }
    if (!rc)
        text->data[text->len] = 0;
    file_stream_close(&s);
    return rc;
}

int dsse_read(struct dsse *d, const char *path, struct err *err)
{
    struct buf text;
    buf_init(&text);
    int rc = read_file(&text, path, err);
    if (!rc)
        rc = dsse_parse(d, text.data, text.len, path, err);
    buf_release(&text);
    return rc;
}

/* ---- writing ---- */

int dsse_pae(struct buf *out, const char *type, const void *payload, size_t n, struct err *err)
{
    TRY(buf_printf(out, err, "DSSEv1 %zu %s %zu ", strlen(type), type, n));
    return buf_add(out, payload, n, err);
}

/* As Python writes bytes in a text: b'..', or b".." where there is ' and no ". */
static int add_repr(struct buf *out, const unsigned char *p, size_t n, struct err *err)
{
    const char quote = memchr(p, '\'', n) && !memchr(p, '"', n) ? '"' : '\'';
    TRY(buf_printf(out, err, "b%c", quote));
    for (size_t i = 0; i < n; i++) {
        const char c = (char)p[i], letter = c == '\t' ? 't' : c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\\' || c == quote ? c : 0;
        if (letter)
            TRY(buf_printf(out, err, "\\%c", letter));
        else if (p[i] < ' ' || p[i] > '~')
            TRY(buf_printf(out, err, "\\x%02x", p[i]));
        else
            TRY(buf_add_char(out, c, err));
    }
    return buf_add_char(out, quote, err);
}

int dsse_pae_before_1(struct buf *out, const char *type, const void *payload, size_t n, struct err *err)
{
    TRY(buf_printf(out, err, "DSSEV1 %zu %s %zu ", strlen(type), type, n));
    return add_repr(out, payload, n, err);
}

int dsse_sign(struct dsse *d, struct evp_pkey_st *key, struct err *err)
{
    struct buf bytes;
    d->by = d->chain.n ? DSSE_BY_CERTIFICATE : DSSE_BY_KEY;
    if (d->by == DSSE_BY_CERTIFICATE)
        TRY(pki_certs_match(&d->chain, key, err));
    TRY(pki_hint(key, d->hint, err));
    buf_init(&bytes);
    int rc = dsse_pae(&bytes, DSSE_IN_TOTO, d->payload.data, d->payload.len, err);
    if (!rc)
        rc = pki_sign(key, bytes.data, bytes.len, &d->sig, err);
    buf_release(&bytes);
    return rc;
}

static int add_base64(struct buf *out, const char *before, const struct buf *b, const char *after, struct err *err)
{
    TRY(buf_add_str(out, before, err));
    TRY(base64_write(out, b->data, b->len, err));
    return buf_add_str(out, after, err);
}

static int write_chain(const struct dsse *d, struct buf *out, struct err *err)
{
    struct buf der;
    buf_init(&der);
    int rc = buf_add_str(out, "\"x509CertificateChain\":{\"certificates\":[", err);
    for (int i = 0; i < d->chain.n && !rc; i++) {
        buf_clear(&der);
        if (!(rc = pki_certs_der(&d->chain, i, &der, err)))
            rc = add_base64(out, i ? ",{\"rawBytes\":\"" : "{\"rawBytes\":\"", &der, "\"}", err);
    }
    buf_release(&der);
    return rc ? rc : buf_add_str(out, "]}", err);
}

int dsse_write(const struct dsse *d, struct buf *out, struct err *err)
{
    TRY(buf_add_str(out, "{\"mediaType\":\"" MEDIA_TYPE "\",\"verificationMaterial\":{", err));
    TRY(d->by == DSSE_BY_KEY ? buf_printf(out, err, "\"publicKey\":{\"hint\":\"%s\"}", d->hint) : write_chain(d, out, err));
    TRY(add_base64(out, ",\"tlogEntries\":[]},\"dsseEnvelope\":{\"payload\":\"", &d->payload, "\",\"payloadType\":\"" DSSE_IN_TOTO "\",\"signatures\":[", err));
    return add_base64(out, "{\"sig\":\"", &d->sig, "\",\"keyid\":\"\"}]}}", err);
}

/* ---- who signed ---- */

int dsse_trust_read(struct dsse_trust *t, const char *key, const char *ca, struct err *err)
{
    *t = (struct dsse_trust){ .now = (int64_t)time(NULL) };
    if (!key == !ca)
        return ERR(err, USAGE, "expected a public key or certificates that are trusted, %s", key ? "and found both" : "and found neither");
    const int rc = key ? pki_public_read(&t->key, key, err) : pki_certs_read(&t->anchors, ca, err);
    if (rc)
        dsse_trust_release(t);
    return rc;
}

void dsse_trust_release(struct dsse_trust *t)
{
    pki_free(t->key);
    pki_certs_release(&t->anchors);
    *t = (struct dsse_trust){ .now = 0 };
}

static int check_key(const struct dsse *d, const struct dsse_trust *t, struct pki_holder *holder, struct err *err)
{
    char hint[SHA256_HEX], of_pem[SHA256_HEX];
    if (!t->key)
        return ERR(err, GATE, "signed by a key, expected a certificate");
    TRY(pki_hint(t->key, hint, err));
    if (*d->hint && strcmp(d->hint, hint))
        return ERR(err, GATE, "signed by the key sha256:%.12s.., expected sha256:%.12s..", d->hint, hint);
    TRY(sha256_of(d->public_pem.data, d->public_pem.len, of_pem, err));
    if (d->public_pem.len && strcmp(of_pem, hint))
        return ERR(err, GATE, "signed by another key than the one that is trusted, sha256:%.12s..", hint);
    if (*d->details && strcmp(d->details, pki_details(t->key)))
        return ERR(err, GATE, "the bundle's keyDetails are %s, its key is %s", d->details, pki_details(t->key));
    snprintf(holder->identity, sizeof holder->identity, "sha256:%s", hint);
    if (t->identity && strcmp(t->identity, holder->identity))
        return ERR(err, GATE, "signed by %s, expected '%.120s'", holder->identity, t->identity);
    return 0;
}

static int check_signature(const struct dsse *d, struct evp_pkey_st *key, bool compat, struct err *err)
{
    struct buf bytes;
    buf_init(&bytes);
    int rc = dsse_pae(&bytes, DSSE_IN_TOTO, d->payload.data, d->payload.len, err);
    if (!rc)
        rc = pki_verify(key, bytes.data, bytes.len, d->sig.data, d->sig.len, false, err);
    if (rc == ERR_GATE && compat) {
        buf_clear(&bytes);
        if (!(rc = dsse_pae_before_1(&bytes, DSSE_IN_TOTO, d->payload.data, d->payload.len, err)))
            rc = pki_verify(key, bytes.data, bytes.len, d->sig.data, d->sig.len, d->by == DSSE_BY_CERTIFICATE, err);
    }
    buf_release(&bytes);
    return rc;
}

int dsse_verify(const struct dsse *d, const struct dsse_trust *t, bool compat, struct pki_holder *holder, struct err *err)
{
    *holder = (struct pki_holder){ .begins = 0 };
    if (d->by == DSSE_KEYLESS)
        return ERR(err, UNSUPPORTED, "a keyless signature of Sigstore: its certificate lived for minutes and leads to a log on the net, which is not asked here; expected one by a key or a certificate");
    if (d->by == DSSE_BY_KEY) {
        TRY(check_key(d, t, holder, err));
        return check_signature(d, t->key, compat, err);
    }
    if (t->key)
        return ERR(err, GATE, "signed by a certificate, expected a key: --ca names certificates that are trusted");
    struct evp_pkey_st *key;
    TRY(pki_judge(&key, &d->chain, &t->anchors, t->now, t->may_be_expired, t->identity, holder, err));
    const int rc = check_signature(d, key, compat, err);
    pki_free(key);
    return rc;
}
