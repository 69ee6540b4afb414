/* verified.h - is a model that is to be loaded what someone who is trusted has signed?  With an answer that is remembered.
 *
 * Beyond oms_verify(): no file may lie in the folder that the signature leaves out, since it might be loaded.  Of a GGUF file in several
 * pieces the whole folder is looked at.
 *
 * A good answer is kept in cache/signatures/, a file for each pair of a path and who is trusted, and holds while no file of the model, nor its
 * bundle, has another device, inode, size, mtime or ctime (manifest_stamp) and the signing certificate has not ended.  What changed within
 * the last two seconds before it was read is not remembered: a change within the same tick of the clock would not show. */
#ifndef STORE_VERIFIED_H
#define STORE_VERIFIED_H
#include "store/oms.h"

struct verified { char root[SHA256_HEX], identity[256]; bool remembered; };
/* key, ca, identity: as of dsse_trust_read().  cache: a folder, NULL: nothing is remembered.  ERR_GATE: not; ERR_NOTFOUND: it is not signed. */
int verified_model(struct verified *out, const char *path, const char *key, const char *ca, const char *identity, const char *cache, struct pool *pool, struct err *err);
#endif
