/* pem.h - a key and a certificate for tests of TLS. */
#ifndef TESTS_PEM_H
#define TESTS_PEM_H
#include <gnutls/x509.h>
#include <string.h>
#include <time.h>
#include "test.h"

struct pem { char key[4096], cert[4096]; };

/* Signed by itself, for the name CN=what. */
static void make_pem(struct pem *p, const char *what)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t cert;
    size_t n_key = sizeof p->key - 1, n_cert = sizeof p->cert - 1;
    assert_true(!gnutls_x509_privkey_init(&key) && !gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, (unsigned)GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    assert_true(!gnutls_x509_crt_init(&cert) && !gnutls_x509_crt_set_version(cert, 3) && !gnutls_x509_crt_set_serial(cert, "\1", 1) && !gnutls_x509_crt_set_key(cert, key));
    assert_true(!gnutls_x509_crt_set_activation_time(cert, time(NULL) - 10) && !gnutls_x509_crt_set_expiration_time(cert, time(NULL) + 1000));
    assert_true(!gnutls_x509_crt_set_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, what, (unsigned)strlen(what)) && !gnutls_x509_crt_sign2(cert, cert, key, GNUTLS_DIG_SHA256, 0));
    assert_true(!gnutls_x509_privkey_export(key, GNUTLS_X509_FMT_PEM, p->key, &n_key) && !gnutls_x509_crt_export(cert, GNUTLS_X509_FMT_PEM, p->cert, &n_cert));
    p->key[n_key] = p->cert[n_cert] = 0;
    gnutls_x509_privkey_deinit(key);
    gnutls_x509_crt_deinit(cert);
}

#endif
