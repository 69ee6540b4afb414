#include "base/hash.h"
#include <openssl/evp.h>
#include <xxhash.h>
#include "base/file.h"

int sha256_init(struct sha256 *h, struct err *err)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    if (!c || EVP_DigestInit_ex(c, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(c);
        return ERR(err, NOMEM, "no memory for SHA-256");
    }
    h->ctx = c;
    return 0;
}

void sha256_add(struct sha256 *h, const void *p, size_t n) { EVP_DigestUpdate(h->ctx, p, n); }

void sha256_end(struct sha256 *h, char hex[SHA256_HEX])
{
    unsigned char sum[SHA256_BYTES];
    EVP_DigestFinal_ex(h->ctx, sum, NULL);
    EVP_MD_CTX_free(h->ctx);
    h->ctx = NULL;
    for (int i = 0; i < SHA256_BYTES; i++) {
        hex[2 * i] = "0123456789abcdef"[sum[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[sum[i] & 15];
    }
    hex[2 * SHA256_BYTES] = 0;
}

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
