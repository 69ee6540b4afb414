/* hash.h - SHA-256 for names and checks, SHA-1 for what git names by it (libcrypto), XXH3 for tables (xxHash). */
#ifndef BASE_HASH_H
#define BASE_HASH_H
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

#define SHA256_BYTES 32
#define SHA256_HEX 65        /* 64 lower-case digits and a NUL */

struct sha256 { void *ctx; };
int sha256_init(struct sha256 *h, struct err *err);
void sha256_add(struct sha256 *h, const void *p, size_t n);
void sha256_end(struct sha256 *h, char hex[SHA256_HEX]);           /* also releases; h may be initialised again */
void sha256_release(struct sha256 *h);                             /* without an end; after one: nothing to do */
int sha256_of(const void *p, size_t n, char hex[SHA256_HEX], struct err *err);
void sha256_bytes(const void *p, size_t n, unsigned char sum[SHA256_BYTES]);      /* of what is in memory; nothing is allocated */
int sha256_of_file(const char *path, char hex[SHA256_HEX], struct err *err);

/* Not for checks of our own: git names the contents of a file by it. */
#define SHA1_HEX 41
struct sha1 { void *ctx; };
int sha1_init(struct sha1 *h, struct err *err);
void sha1_add(struct sha1 *h, const void *p, size_t n);
void sha1_end(struct sha1 *h, char hex[SHA1_HEX]);                 /* also releases; h may be initialised again */

uint64_t hash64(const void *p, size_t n, uint64_t seed);           /* XXH3 64 */
/* The same of bytes that come one after another, with seed 0. */
struct hash64_stream { void *state; };
int hash64_init(struct hash64_stream *h, struct err *err);
void hash64_add(struct hash64_stream *h, const void *p, size_t n);
uint64_t hash64_end(struct hash64_stream *h);                      /* of what was added since the last one; h goes on with nothing */
void hash64_release(struct hash64_stream *h);                      /* a zeroed one too */
uint64_t hash_xxh64(const void *p, size_t n);                      /* XXH64, seed 0: what others write down */
#endif
