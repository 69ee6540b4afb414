#include "store/pki.h"
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/when.h"

enum { CERTS_MAX = 10000, PEM_MAX = 16 << 20 };

/* ---- curves ---- */

static const struct curve { const char *name, *group, *details, *digest; } curves[] = {
    { "P-256", "prime256v1", "PKIX_ECDSA_P256_SHA_256", "SHA256" },
    { "P-384", "secp384r1", "PKIX_ECDSA_P384_SHA_384", "SHA384" },
    { "P-521", "secp521r1", "PKIX_ECDSA_P521_SHA_512", "SHA512" },
};
enum { N_CURVE = sizeof curves / sizeof *curves };

static const struct curve *curve_of(const EVP_PKEY *key)
{
    char group[64];
    size_t n;
    if (key && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && EVP_PKEY_get_group_name(key, group, sizeof group, &n) == 1)
        for (int i = 0; i < N_CURVE; i++)
            if (!strcmp(group, curves[i].group))
                return &curves[i];
    return NULL;
}

const char *pki_details(const EVP_PKEY *key)
{
    const struct curve *c = curve_of(key);
    return c ? c->details : "";
}

static int check_curve(const EVP_PKEY *key, const char *what, struct err *err)
{
    if (curve_of(key))
        return 0;
    const char *kind = key ? EVP_PKEY_get0_type_name(key) : NULL;
    return ERR(err, UNSUPPORTED, "%.300s has a key of kind %s, expected an elliptic curve's: P-256, P-384 or P-521", what, kind ? kind : "unknown");
}

/* ---- PEM ---- */

static int pem_open(BIO **bio, struct buf *text, const char *path, struct err *err)
{
    buf_init(text);
    TRY(file_read(path, PEM_MAX, text, err));
    *bio = BIO_new_mem_buf(text->data, (int)text->len);
    return *bio ? 0 : ERR(err, NOMEM, "no memory to read %.300s", path);
}

/* Secrets are overwritten before their memory goes back. */
static void pem_close(BIO *bio, struct buf *text)
{
    BIO_free(bio);
    if (text->len)
        OPENSSL_cleanse(text->data, text->len);
    buf_release(text);
    ERR_clear_error();
}

static int give_password(char *to, int size, int writing, void *password)
{
    (void)writing;
    const size_t n = password ? strlen(password) : 0;
    if (!n || n > (size_t)size)
        return -1;
    memcpy(to, password, n);
    return (int)n;
}

int pki_private_read(EVP_PKEY **out, const char *path, const char *password, struct err *err)
{
    struct buf text;
    BIO *bio = NULL;
    *out = NULL;
    int rc = pem_open(&bio, &text, path, err);
    if (!rc && !(*out = PEM_read_bio_PrivateKey(bio, NULL, give_password, (void *)(uintptr_t)password)))
        rc = ERR(err, FORMAT, "%.300s is no private key in PEM%s", path, !strstr(text.data, "ENCRYPTED") ? "" : password ? " that this password opens" : " that is open: it is encrypted, and there is no password");
    if (!rc && (rc = check_curve(*out, path, err)))
        pki_free(*out), *out = NULL;
    pem_close(bio, &text);
    return rc;
}

/* text: all that bio reads. */
static int public_of(EVP_PKEY **out, BIO *bio, const char *text, const char *name, struct err *err)
{
    if (!(*out = PEM_read_bio_PUBKEY(bio, NULL, give_password, NULL)))
        return ERR(err, FORMAT, "%.300s is no public key in PEM%s", name, strstr(text, "PRIVATE KEY") ? ": it is a private one, which should stay where signatures are made" : "");
    const int rc = check_curve(*out, name, err);
    if (rc)
        pki_free(*out), *out = NULL;
    return rc;
}

int pki_public_read(EVP_PKEY **out, const char *path, struct err *err)
{
    struct buf text;
    BIO *bio = NULL;
    *out = NULL;
    int rc = pem_open(&bio, &text, path, err);
    if (!rc)
        rc = public_of(out, bio, text.data, path, err);
    pem_close(bio, &text);
    return rc;
}

int pki_public_text(EVP_PKEY **out, const char *text, const char *name, struct err *err)
{
    *out = NULL;
    BIO *bio = BIO_new_mem_buf(text, (int)strnlen(text, PEM_MAX));
    const int rc = bio ? public_of(out, bio, text, name, err) : ERR(err, NOMEM, "no memory to read %.300s", name);
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

void pki_free(EVP_PKEY *key) { EVP_PKEY_free(key); }

static int write_bio(BIO *bio, const char *path, bool secret, struct err *err)
{
    char *text;
    const long n = BIO_get_mem_data(bio, &text);
    const mode_t mask = umask(secret ? 077 : 022);
    const int rc = file_write_all(path, text, (size_t)n, err);
    umask(mask);
    return rc;
}

static int write_pair(EVP_PKEY *key, const char *secret, const char *open, const char *password, struct err *err)
{
    BIO *a = BIO_new(BIO_s_secmem()), *b = BIO_new(BIO_s_mem());
    const int n = password ? (int)strlen(password) : 0;
    int rc = a && b && PEM_write_bio_PKCS8PrivateKey(a, key, n ? EVP_aes_256_cbc() : NULL, NULL, 0, n ? give_password : NULL, (void *)(uintptr_t)password) == 1 && PEM_write_bio_PUBKEY(b, key) == 1
                 ? 0
                 : ERR(err, NOMEM, "no memory to write a key");
    if (!rc)
        rc = write_bio(a, secret, true, err);
    if (!rc && (rc = write_bio(b, open, false, err)))
        unlink(secret);                           /* a key is there whole or not at all */
    BIO_free(a);
    BIO_free(b);
    ERR_clear_error();
    return rc;
}

int pki_make(const char *prefix, const char *curve, const char *password, struct err *err)
{
    const struct curve *c = NULL;
    for (int i = 0; i < N_CURVE; i++)
        c = strcmp(curve, curves[i].name) ? c : &curves[i];
    if (!c)
        return ERR(err, USAGE, "there is no curve '%.40s', expected P-256, P-384 or P-521", curve);
    char *secret = mem_printf("%s.key", prefix), *open = mem_printf("%s.pub", prefix);
    EVP_PKEY *key = NULL;
    int rc = secret && open ? 0 : ERR(err, NOMEM, "no memory for the name of a key");
    if (!rc && (file_exists(secret) || file_exists(open)))
        rc = ERR(err, USAGE, "%.300s is there already, and is not replaced", file_exists(secret) ? secret : open);
    if (!rc && !(key = EVP_EC_gen(c->group)))
        rc = ERR(err, NOMEM, "a key of curve %s could not be made", c->name);
    if (!rc)
        rc = write_pair(key, secret, open, password, err);
    pki_free(key);
    mem_free(open);
    mem_free(secret);
    return rc;
}

int pki_hint(const EVP_PKEY *key, char hint[SHA256_HEX], struct err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    int rc = bio && PEM_write_bio_PUBKEY(bio, (EVP_PKEY *)(uintptr_t)key) == 1 ? 0 : ERR(err, NOMEM, "no memory to write a key");
    if (!rc) {
        const long n = BIO_get_mem_data(bio, &text);
        rc = sha256_of(text, (size_t)n, hint, err);
    }
    BIO_free(bio);
    return rc;
}

/* ---- signatures ---- */

int pki_sign(EVP_PKEY *key, const void *p, size_t n, struct buf *sig, struct err *err)
{
    const struct curve *c = curve_of(key);
    EVP_MD_CTX *ctx = c ? EVP_MD_CTX_new() : NULL;
    size_t length = 0;
    buf_clear(sig);
    int rc = ctx && EVP_DigestSignInit_ex(ctx, NULL, c->digest, NULL, NULL, key, NULL) == 1 && EVP_DigestSign(ctx, NULL, &length, p, n) == 1 ? buf_reserve(sig, length, err)
                                                                                                                                          : ERR(err, NOMEM, "no memory to sign");
    if (!rc && EVP_DigestSign(ctx, (unsigned char *)sig->data, &length, p, n) != 1)
        rc = ERR(err, UNSUPPORTED, "this key cannot sign");
    if (!rc)
        sig->len = length, sig->data[length] = 0;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return rc;
}

int pki_verify(EVP_PKEY *key, const void *p, size_t n, const void *sig, size_t n_sig, bool sha256, struct err *err)
{
    const struct curve *c = curve_of(key);
    EVP_MD_CTX *ctx = c ? EVP_MD_CTX_new() : NULL;
    int rc = ctx && EVP_DigestVerifyInit_ex(ctx, NULL, sha256 ? "SHA256" : c->digest, NULL, NULL, key, NULL) == 1 ? 0 : ERR(err, NOMEM, "no memory to look at a signature");
    if (!rc && EVP_DigestVerify(ctx, sig, n_sig, p, n) != 1)
        rc = ERR(err, GATE, "the signature was not made by this key over this statement");
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return rc;
}

/* ---- certificates ---- */

void pki_certs_release(struct pki_certs *c)
{
    for (int i = 0; i < c->n; i++)
        X509_free(c->cert[i]);
    mem_free(c->cert);
    *c = (struct pki_certs){ .n = 0 };
}

static int append(struct pki_certs *c, X509 *cert, struct err *err)
{
    if (c->n == CERTS_MAX)
        return ERR(err, RANGE, "more than %d certificates", CERTS_MAX);
    X509 **grown = mem_realloc_array(c->cert, (size_t)c->n + 1, sizeof *grown);
    if (!grown)
        return ERR(err, NOMEM, "no memory for a certificate");
    c->cert = grown;
    c->cert[c->n++] = cert;
    return 0;
}

int pki_certs_add(struct pki_certs *c, const void *der, size_t n, struct err *err)
{
    const unsigned char *p = der;
    X509 *cert = n && n <= PEM_MAX ? d2i_X509(NULL, &p, (long)n) : NULL;
    int rc = cert && p == (const unsigned char *)der + n ? append(c, cert, err) : ERR(err, FORMAT, "certificate %d of %zu bytes is none, expected X.509 in DER", c->n + 1, n);
    if (rc)
        X509_free(cert);
    ERR_clear_error();
    return rc;
}

static int certs_of(struct pki_certs *c, BIO *bio, const char *name, struct err *err)
{
    const int before = c->n;
    int rc = 0;
    while (!rc) {
        X509 *cert = PEM_read_bio_X509(bio, NULL, give_password, NULL);
        if (!cert && c->n > before && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
            break;
        rc = cert ? append(c, cert, err) : ERR(err, FORMAT, "%.300s: certificate %d is none, expected X.509 in PEM", name, c->n - before + 1);
        if (rc)
            X509_free(cert);
    }
    return rc;
}

int pki_certs_read(struct pki_certs *c, const char *path, struct err *err)
{
    struct buf text;
    BIO *bio = NULL;
    int rc = pem_open(&bio, &text, path, err);
    if (!rc)
        rc = certs_of(c, bio, path, err);
    pem_close(bio, &text);
    return rc;
}

int pki_certs_text(struct pki_certs *c, const char *text, const char *name, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(text, (int)strnlen(text, PEM_MAX));
    const int rc = bio ? certs_of(c, bio, name, err) : ERR(err, NOMEM, "no memory to read %.300s", name);
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

int pki_certs_der(const struct pki_certs *c, int i, struct buf *out, struct err *err)
{
    unsigned char *der = NULL;
    const int n = i2d_X509(c->cert[i], &der);
    const int rc = n > 0 ? buf_add(out, der, (size_t)n, err) : ERR(err, NOMEM, "no memory to write a certificate");
    OPENSSL_free(der);
    return rc;
}

int pki_certs_match(const struct pki_certs *c, const EVP_PKEY *private_key, struct err *err)
{
    EVP_PKEY *key = c->n ? X509_get0_pubkey(c->cert[0]) : NULL;
    const bool same = key && EVP_PKEY_eq(key, private_key) == 1;
    ERR_clear_error();
    return same ? 0 : ERR(err, USAGE, "the certificate's key is not the one that is to sign");
}

/* ---- who holds a certificate ---- */

static void copy_text(char out[256], const void *text, size_t n)
{
    snprintf(out, 256, "%.*s", (int)(n < 255 ? n : 255), (const char *)text);
    err_tidy(out);
}

/* name[i] of its alternative names as text; NULL where it is of another kind, or holds a NUL. */
static const ASN1_STRING *name_at(const GENERAL_NAMES *names, int i)
{
    int type;
    const ASN1_STRING *s = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
    const bool text = type == GEN_EMAIL || type == GEN_URI || type == GEN_DNS;
    return text && ASN1_STRING_length(s) > 0 && !memchr(ASN1_STRING_get0_data(s), 0, (size_t)ASN1_STRING_length(s)) ? s : NULL;
}

static int64_t seconds_of(const ASN1_TIME *t)
{
    struct tm tm;
    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static int look_at_holder(struct pki_holder *h, X509 *cert, const char *wanted, struct err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned char *der = NULL;
    const int n_der = i2d_X509(cert, &der);
    int rc = bio && n_der > 0 && X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0 ? sha256_of(der, (size_t)n_der, h->sha256, err)
                                                                                                                                        : ERR(err, NOMEM, "no memory to look at a certificate");
    OPENSSL_free(der);
    bool is_wanted = !wanted;
    if (!rc) {
        char *text;
        const long n = BIO_get_mem_data(bio, &text);
        copy_text(h->subject, text, (size_t)n);
        is_wanted = is_wanted || (strlen(wanted) == (size_t)n && !memcmp(wanted, text, (size_t)n));
    }
    BIO_free(bio);
    TRY(rc);
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        const ASN1_STRING *s = name_at(names, i);
        const size_t length = s ? (size_t)ASN1_STRING_length(s) : 0;
        if (s && !*h->identity)
            copy_text(h->identity, ASN1_STRING_get0_data(s), length);
        is_wanted = is_wanted || (s && strlen(wanted) == length && !memcmp(wanted, ASN1_STRING_get0_data(s), length));
    }
    GENERAL_NAMES_free(names);
    if (!*h->identity)
        memcpy(h->identity, h->subject, sizeof h->identity);
    h->begins = seconds_of(X509_get0_notBefore(cert)), h->ends = seconds_of(X509_get0_notAfter(cert));
    return is_wanted ? 0 : ERR(err, GATE, "signed by '%.120s' (%.120s), expected '%.120s'", h->identity, h->subject, wanted);
}

static int check_time(const struct pki_holder *h, int64_t now, bool may_be_expired, struct err *err)
{
    char when[WHEN_TEXT];
    when_seconds(when, now < h->begins ? h->begins : h->ends);
    if (now < h->begins)
        return ERR(err, GATE, "the signing certificate of '%.120s' begins at %s, which is not yet", h->identity, when);
    if (now > h->ends && !may_be_expired)
        return ERR(err, GATE, "the signing certificate of '%.120s' has expired at %s", h->identity, when);
    return 0;
}

static bool may_sign(X509 *cert)
{
    if (X509_get_extension_flags(cert) & EXFLAG_INVALID)
        return false;
    const bool usage = X509_get_ext_by_NID(cert, NID_key_usage, -1) >= 0 && X509_get_key_usage(cert) & KU_DIGITAL_SIGNATURE;
    return usage || (X509_get_ext_by_NID(cert, NID_ext_key_usage, -1) >= 0 && X509_get_extended_key_usage(cert) & XKU_CODE_SIGN);
}

/* Certificate i is a link of the chain that was found, and none before it is the same. */
static bool is_link(STACK_OF(X509) *found, const struct pki_certs *chain, int i)
{
    bool link = false;
    for (int k = 0; k < sk_X509_num(found); k++)
        link = link || !X509_cmp(sk_X509_value(found, k), chain->cert[i]);
    for (int k = 0; k < i; k++)
        link = link && X509_cmp(chain->cert[k], chain->cert[i]);
    return link;
}

static int verify_with(X509_STORE_CTX *ctx, const struct pki_certs *chain, const struct pki_holder *h, struct err *err)
{
    X509_STORE_CTX_set_time(ctx, 0, (time_t)h->begins);
    X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(ctx), 2);      /* 112 bits: no SHA-1, no RSA below 2048 */
    if (X509_verify_cert(ctx) != 1)
        return ERR(err, GATE, "the certificate of '%.120s' does not lead to one that is trusted: %s", h->identity, X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    for (int i = 0; i < chain->n; i++)
        if (!is_link(X509_STORE_CTX_get0_chain(ctx), chain, i))
            return ERR(err, GATE, "certificate %d of the bundle is no link between the signing one and one that is trusted, or is there twice", i + 1);
    return 0;
}

static int verify_chain(const struct pki_certs *chain, const struct pki_certs *anchors, const struct pki_holder *h, struct err *err)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *between = sk_X509_new_null();
    bool made = store && ctx && between;
    for (int i = 0; i < anchors->n && made; i++)
        made = X509_STORE_add_cert(store, anchors->cert[i]) == 1;
    for (int i = 1; i < chain->n && made; i++)
        made = sk_X509_push(between, chain->cert[i]) > 0;
    made = made && X509_STORE_CTX_init(ctx, store, chain->cert[0], between) == 1;
    const int rc = made ? verify_with(ctx, chain, h, err) : ERR(err, NOMEM, "no memory to look at certificates");
    sk_X509_free(between);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    ERR_clear_error();
    return rc;
}

int pki_judge(EVP_PKEY **key, const struct pki_certs *chain, const struct pki_certs *anchors, int64_t now, bool may_be_expired, const char *identity, struct pki_holder *holder,
              struct err *err)
{
    *key = NULL;
    *holder = (struct pki_holder){ .begins = 0 };
    if (!chain->n)
        return ERR(err, FORMAT, "the bundle has no certificate");
    TRY(look_at_holder(holder, chain->cert[0], identity, err));
    TRY(verify_chain(chain, anchors, holder, err));
    TRY(check_time(holder, now, may_be_expired, err));
    if (!may_sign(chain->cert[0]))
        return ERR(err, GATE, "the certificate of '%.120s' is not for signing: its usage is neither digitalSignature nor code signing", holder->identity);
    EVP_PKEY *public_key = X509_get0_pubkey(chain->cert[0]);
    TRY(check_curve(public_key, "the signing certificate", err));
    if (EVP_PKEY_up_ref(public_key) != 1)
        return ERR(err, NOMEM, "no memory for a key");
    *key = public_key;
    return 0;
}
