#include "serve/tls.h"
#include <pthread.h>
#include <string.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

#define CERTS 16                 /* of a chain at most */
#define FILE_MAX ((size_t)1 << 20)

struct pair { gnutls_privkey_t key; gnutls_pcert_st cert[CERTS]; unsigned n; struct pair *older; };
struct tls { pthread_mutex_t lock; struct pair *now; };

static void pair_free(struct pair *p)
{
    for (unsigned i = 0; i < p->n; i++)
        gnutls_pcert_deinit(&p->cert[i]);
    if (p->key)
        gnutls_privkey_deinit(p->key);
    mem_free(p);
}

static int belong_together(const struct pair *p)
{
    gnutls_pubkey_t of_key = NULL;
    unsigned char a[64], b[64];
    size_t n_a = sizeof a, n_b = sizeof b;
    int rc = gnutls_pubkey_init(&of_key);
    rc = rc ? rc : gnutls_pubkey_import_privkey(of_key, p->key, 0, 0);
    rc = rc ? rc : gnutls_pubkey_get_key_id(of_key, GNUTLS_KEYID_USE_SHA256, a, &n_a);
    rc = rc ? rc : gnutls_pubkey_get_key_id(p->cert[0].pubkey, GNUTLS_KEYID_USE_SHA256, b, &n_b);
    if (of_key)
        gnutls_pubkey_deinit(of_key);
    return rc ? rc : n_a != n_b || memcmp(a, b, n_a) ? GNUTLS_E_CERTIFICATE_KEY_MISMATCH : 0;
}

static int read_pair(struct pair *p, const char *key_pem, const char *cert_pem, struct err *err)
{
    const gnutls_datum_t key = { (unsigned char *)(uintptr_t)key_pem, (unsigned)strlen(key_pem) }, cert = { (unsigned char *)(uintptr_t)cert_pem, (unsigned)strlen(cert_pem) };
    unsigned n = CERTS;
    int rc = gnutls_privkey_init(&p->key);
    rc = rc ? rc : gnutls_privkey_import_x509_raw(p->key, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (rc)
        return ERR(err, FORMAT, "the TLS key: %s; expected one in PEM form, without a password", gnutls_strerror(rc));
    rc = gnutls_pcert_list_import_x509_raw(p->cert, &n, &cert, GNUTLS_X509_FMT_PEM, GNUTLS_X509_CRT_LIST_FAIL_IF_UNSORTED);
    if (rc)
        return ERR(err, FORMAT, "the TLS certificate: %s; expected at most %d in PEM form, each signed by the next", gnutls_strerror(rc), CERTS);
    p->n = n;
    rc = belong_together(p);
    return rc ? ERR(err, FORMAT, "the TLS key and the certificate do not belong together: %s", gnutls_strerror(rc)) : 0;
}

int tls_new(struct tls **out, const char *key_pem, const char *cert_pem, struct err *err)
{
    struct tls *t = *out = mem_alloc_zero(sizeof *t);
    if (!t || !(t->now = mem_alloc_zero(sizeof *t->now))) {
        mem_free(t);
        *out = NULL;
        return ERR(err, NOMEM, "no memory for a certificate");
    }
    pthread_mutex_init(&t->lock, NULL);
    const int rc = read_pair(t->now, key_pem, cert_pem, err);
    if (rc < 0) {
        tls_free(t);
        *out = NULL;
    }
    return rc;
}

int tls_load(struct tls **out, const char *key_path, const char *cert_path, struct err *err)
{
    struct buf key, cert;
    *out = NULL;
    buf_init(&key), buf_init(&cert);
    int rc = file_read(key_path, FILE_MAX, &key, err);
    rc = rc ? rc : file_read(cert_path, FILE_MAX, &cert, err);
    rc = rc ? rc : tls_new(out, key.data, cert.data, err);
    explicit_bzero(key.data, key.len);
    buf_release(&key);
    buf_release(&cert);
    return rc;
}

void tls_replace(struct tls *t, struct tls *by)
{
    pthread_mutex_lock(&t->lock);
    by->now->older = t->now, t->now = by->now;
    pthread_mutex_unlock(&t->lock);
    by->now = NULL;
    tls_free(by);
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    while (t->now) {
        struct pair *p = t->now;
        t->now = p->older;
        pair_free(p);
    }
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}

void tls_get(struct tls *t, gnutls_pcert_st **cert, unsigned *n_cert, gnutls_privkey_t *key)
{
    pthread_mutex_lock(&t->lock);
    struct pair *p = t->now;
    pthread_mutex_unlock(&t->lock);
    *cert = p->cert, *n_cert = p->n, *key = p->key;
}
