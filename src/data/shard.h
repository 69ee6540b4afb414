/* shard.h - a text as token ids in a file that training maps.
 *
 *   offset  0  "LATHETOK"      8  u32 version 1     12  u32 bytes of an id (2 or 4)     16  u64 number of ids
 *          24  u64 bytes of text they stand for     32  u32 eot id, or ~0               36  zeros
 *          64  SHA-256 of the tokenizer, 64 hex digits                                 128  the ids, little-endian
 * Every document begins with eot where the tokenizer has one, and one more ends the last. */
#ifndef DATA_SHARD_H
#define DATA_SHARD_H
#include "base/file.h"
#include "base/hash.h"
#include "data/text.h"
#include "model/tok.h"

struct shard { struct file_map map; const void *ids; int id_bytes; int64_t n, n_text; int32_t eot; char tokenizer[SHA256_HEX]; };

/* Encodes bytes skip .. skip+n_bytes-1 of the concatenated documents (a document cut by a border counts in part). */
int shard_write(const char *path, const struct text_list *text, uint64_t skip, uint64_t n_bytes, const struct tok *tok,
                const char tokenizer[SHA256_HEX], struct err *err);
int shard_open(struct shard *s, const char *path, struct err *err);
void shard_close(struct shard *s);
static inline int32_t shard_id(const struct shard *s, int64_t i)
{
    return s->id_bytes == 2 ? ((const uint16_t *)s->ids)[i] : ((const int32_t *)s->ids)[i];
}
#endif
