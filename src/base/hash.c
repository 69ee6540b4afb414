/* OpenSSL 3 calls the plain functions old: a context of the new ones costs two allocations and 9 us of cold memory each time. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/hash.h"
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <xxhash.h>
#include "base/file.h"

static int init(void **ctx, const EVP_MD *kind, const char *name, struct err *err)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    if (!c || EVP_DigestInit_ex(c, kind, NULL) != 1) {
        EVP_MD_CTX_free(c);
        return ERR(err, NOMEM, "no memory for %s", name);
    }
    *ctx = c;
    return 0;
}

static void end(void **ctx, char *hex)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_DigestFinal_ex(*ctx, sum, &n);
    EVP_MD_CTX_free(*ctx);
    *ctx = NULL;
    for (unsigned i = 0; i < n; i++) {
        hex[2 * i] = "0123456789abcdef"[sum[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[sum[i] & 15];
    }
    hex[2 * n] = 0;
}

int sha256_init(struct sha256 *h, struct err *err) { return init(&h->ctx, EVP_sha256(), "SHA-256", err); }
void sha256_add(struct sha256 *h, const void *p, size_t n) { EVP_DigestUpdate(h->ctx, p, n); }
void sha256_end(struct sha256 *h, char hex[SHA256_HEX]) { end(&h->ctx, hex); }

void sha256_release(struct sha256 *h)
{
    EVP_MD_CTX_free(h->ctx);
    h->ctx = NULL;
}

void sha256_bytes(const void *p, size_t n, unsigned char sum[SHA256_BYTES])
{
    SHA256_CTX s;
    SHA256_Init(&s);
    SHA256_Update(&s, p, n);
    SHA256_Final(sum, &s);
}

int sha1_init(struct sha1 *h, struct err *err) { return init(&h->ctx, EVP_sha1(), "SHA-1", err); }
void sha1_add(struct sha1 *h, const void *p, size_t n) { EVP_DigestUpdate(h->ctx, p, n); }
void sha1_end(struct sha1 *h, char hex[SHA1_HEX]) { end(&h->ctx, hex); }

int sha256_of(const void *p, size_t n, char hex[SHA256_HEX], struct err *err)
{
    struct sha256 h;
    TRY(sha256_init(&h, err));
    sha256_add(&h, p, n);
    sha256_end(&h, hex);
    return 0;
}

int sha256_of_file(const char *path, char hex[SHA256_HEX], struct err *err)
{
    struct file_map m;
    TRY(file_map_open(&m, path, err));
    const int rc = sha256_of(m.data, m.size, hex, err);
    file_map_close(&m);
    return rc;
}

uint64_t hash64(const void *p, size_t n, uint64_t seed) { return XXH3_64bits_withSeed(p, n, seed); }

int hash64_init(struct hash64_stream *h, struct err *err)
{
    h->state = XXH3_createState();
    if (!h->state)
        return ERR(err, NOMEM, "no memory for XXH3");
    XXH3_64bits_reset(h->state);
    return 0;
}

void hash64_add(struct hash64_stream *h, const void *p, size_t n) { XXH3_64bits_update(h->state, p, n); }

uint64_t hash64_end(struct hash64_stream *h)
{
    const uint64_t sum = XXH3_64bits_digest(h->state);
    XXH3_64bits_reset(h->state);
    return sum;
}

void hash64_release(struct hash64_stream *h)
{
    XXH3_freeState(h->state);
    h->state = NULL;
}

uint64_t hash_xxh64(const void *p, size_t n) { return XXH64(p, n, 0); }
