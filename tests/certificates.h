/* certificates.h - certificates of every kind for tests, made by libcrypto. */
#ifndef TESTS_CERTIFICATES_H
#define TESTS_CERTIFICATES_H
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>
#include "test.h"

struct made { EVP_PKEY *key; X509 *cert; };
struct making {
    const char *subject, *curve;             /* NULL: prime256v1 */
    const struct made *by;                   /* NULL: itself */
    long begins, ends;                       /* seconds from now */
    const char *ca, *usage, *extended, *names;       /* extensions in OpenSSL's words; NULL: none */
    const EVP_MD *digest;                    /* NULL: SHA-256 */
};

SHARED_BY_TESTS void extend(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *e = value ? X509V3_EXT_conf_nid(NULL, NULL, nid, value) : NULL;
    assert_true(!value || (e && X509_add_ext(cert, e, -1) == 1));
    X509_EXTENSION_free(e);
}

SHARED_BY_TESTS void make_certificate(struct made *m, const struct making *how)
{
    static long serial = 1;
    m->key = EVP_EC_gen(how->curve ? how->curve : "prime256v1"), m->cert = X509_new();
    assert_true(m->key && m->cert && X509_set_version(m->cert, 2) == 1 && X509_set_pubkey(m->cert, m->key) == 1);
    assert_true(ASN1_INTEGER_set(X509_get_serialNumber(m->cert), serial++) == 1);
    assert_true(X509_gmtime_adj(X509_getm_notBefore(m->cert), how->begins) && X509_gmtime_adj(X509_getm_notAfter(m->cert), how->ends));
    X509_NAME *name = X509_get_subject_name(m->cert);
    assert_true(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)how->subject, -1, -1, 0) == 1);
    assert_true(X509_set_issuer_name(m->cert, how->by ? X509_get_subject_name(how->by->cert) : name) == 1);
    extend(m->cert, NID_basic_constraints, how->ca);
    extend(m->cert, NID_key_usage, how->usage);
    extend(m->cert, NID_ext_key_usage, how->extended);
    extend(m->cert, NID_subject_alt_name, how->names);
    assert_true(X509_sign(m->cert, how->by ? how->by->key : m->key, how->digest ? how->digest : EVP_sha256()) > 0);
}

SHARED_BY_TESTS void write_certificate(const struct made *m, const char *path, const char *mode)
{
    FILE *f = fopen(path, mode);
    assert_true(f && PEM_write_X509(f, m->cert) == 1 && !fclose(f));
}

SHARED_BY_TESTS void write_key(const struct made *m, const char *path)
{
    FILE *f = fopen(path, "w");
    assert_true(f && PEM_write_PrivateKey(f, m->key, NULL, NULL, 0, NULL, NULL) == 1 && !fclose(f));
}

SHARED_BY_TESTS void free_certificate(struct made *m)
{
    EVP_PKEY_free(m->key);
    X509_free(m->cert);
    *m = (struct made){ NULL, NULL };
}

#define DAY 86400L
#endif
