/* checkpoint.h - a signed statement of where a registry's journal ends: who keeps one elsewhere finds that the journal was made anew, even by
 * someone who owns the database.
 *
 * A note of c2sp.org/signed-note with the text of c2sp.org/tlog-checkpoint:
 *
 *   lathe-registry/ID            the registry's id (registry_id), also the name of the key
 *   418                          how many records
 *   BASE64                       the root of RFC 6962's Merkle tree whose leaves are the records' texts, in order
 *   head HASH                    the hash of the last one
 *   time 2026-11-27T06:00:00.000000000Z
 *
 *   — lathe-registry/ID BASE64   four bytes of the SHA-256 of the public key's DER, and an ECDSA signature (P-256, SHA-256) of the lines
 *                                above the empty one: the note's type 2, as Rekor's
 * So witnesses and clients of transparency logs can read it.  Lines of others' signatures below are passed over. */
#ifndef STORE_CHECKPOINT_H
#define STORE_CHECKPOINT_H
#include "store/pki.h"
#include "store/registry.h"

/* RFC 6962, 2.1: leaves are added one by one. */
struct merkle { uint64_t n; unsigned char sum[64][SHA256_BYTES]; };      /* zeroed: empty */
int merkle_add(struct merkle *m, const char *text, size_t n, struct err *err);
void merkle_root(const struct merkle *m, unsigned char root[SHA256_BYTES]);

struct checkpoint { char id[SHA256_HEX], hash[SHA256_HEX], t[WHEN_TEXT]; int64_t seq; unsigned char root[SHA256_BYTES]; };
/* Appends the note.  before: one that was made earlier and whose signature was looked at, or NULL.  The chain is read: ERR_CORRUPT where it does not hold, or does not go on from
 * `before`; ERR_USAGE where there are no records or the key is none of P-256. */
int checkpoint_make(struct registry *g, struct evp_pkey_st *private_key, const struct checkpoint *before, struct buf *note, struct checkpoint *out, struct err *err);
int checkpoint_key_check(const struct evp_pkey_st *key, struct err *err);        /* ERR_USAGE: none of P-256 */
/* ERR_FORMAT.  The signature is not looked at. */
int checkpoint_parse(struct checkpoint *out, const char *text, size_t n, struct err *err);
/* ERR_GATE: not signed by this key. */
int checkpoint_verify(const char *text, size_t n, struct evp_pkey_st *public_key, struct err *err);
#endif
