/* shard.h - a text, or records, as token ids in a file that training maps.
 *
 *   offset  0  "LATHETOK"      8  u32 version 1 or 2    12  u32 bytes of an id (2 or 4)     16  u64 number of ids
 *          24  u64 bytes of the text that is learned    32  u32 eot id, or ~0               36  u32 kind    40  u64 number of sequences
 *          48  zeros           64  SHA-256 of the tokenizer, 64 hex digits                 128  the ids, little-endian
 * Version 1 (a text) ends there, kind and number of sequences are 0: every document begins with eot where the tokenizer has one,
 * and one more ends the last.  Version 2 goes on, each part filled up with zeros to a multiple of 8 bytes:
 *      (n_seq + 1) u64   first id of each sequence, and the end          one bit for each id, lowest first   whether it is learned
 * An id that is not learned is read by the model, but its nll counts for nothing: what a user said, and the first of a sequence. */
#ifndef DATA_SHARD_H
#define DATA_SHARD_H
#include "base/file.h"
#include "base/hash.h"
#include "data/text.h"
#include "model/tok.h"

/* How sequences belong together. */
enum shard_kind {
    SHARD_TEXT,        /* version 1: documents begin at eot */
    SHARD_STREAM,      /* documents, one after the other: windows may cut them */
    SHARD_RECORDS,     /* records, each whole in one window */
    SHARD_PAIRS,       /* sequences 2i and 2i + 1 are the chosen and the rejected answer to one prompt, in one window */
    N_SHARD_KIND
};

struct shard {
    struct file_map map;
    const void *ids;
    int id_bytes;
    int64_t n, n_text;
    int32_t eot;
    enum shard_kind kind;
    int64_t n_seq, n_learn;      /* n_learn: ids that are learned (of a text, all but the first) */
    const uint64_t *start;       /* [n_seq + 1], NULL in a text */
    const uint8_t *learn;        /* bits, NULL in a text */
    char tokenizer[SHA256_HEX];
};

/* Encodes bytes skip .. skip+n_bytes-1 of the concatenated documents (a document cut by a border counts in part). */
int shard_write(const char *path, const struct text_list *text, uint64_t skip, uint64_t n_bytes, const struct tok *tok,
                const char tokenizer[SHA256_HEX], struct err *err);

/* Sequences while they are collected, zeroed by the caller before the first use.  Add ids and a byte of 0 or 1 for each, then
 * end the sequence, with the bytes of text that its learned ids stand for. */
struct sequences { struct tok_ids ids; uint8_t *learn; size_t cap_learn; uint64_t *start, *n_text; int64_t n, cap; };
int sequences_add(struct sequences *q, const int32_t *id, const uint8_t *learn, size_t n, struct err *err);
int sequences_end(struct sequences *q, uint64_t n_text, struct err *err);
void sequences_release(struct sequences *q);
/* Writes sequences from .. to-1.  kind is not SHARD_TEXT. */
int shard_write_sequences(const char *path, const struct sequences *q, int64_t from, int64_t to, enum shard_kind kind, const struct tok *tok,
                          const char tokenizer[SHA256_HEX], struct err *err);

/* Sequences from .. to - 1 of a shard, of these the ones whose keep[i], counted from the shard's first, is not 0 (NULL: all). */
struct shard_part { const struct shard *s; int64_t from, to; const uint8_t *keep; };
/* Writes them, one part after the other.  The shards must be of one kind, not SHARD_TEXT, and of one tokenizer: else ERR_USAGE.  Of the bytes of text
 * of a shard that is not taken whole its share is that of its learned ids. */
int shard_write_parts(const char *path, const struct shard_part *part, int n, struct err *err);

/* Checks sizes, and that the sequences cut the ids into parts. */
int shard_open(struct shard *s, const char *path, struct err *err);
void shard_close(struct shard *s);
bool shard_is(const char *path);                   /* a file that begins as token files do */
static inline int32_t shard_id(const struct shard *s, int64_t i)
{
    return s->id_bytes == 2 ? ((const uint16_t *)s->ids)[i] : ((const int32_t *)s->ids)[i];
}
static inline bool shard_learns(const struct shard *s, int64_t i) { return !s->learn || (s->learn[i / 8] >> (i % 8) & 1); }
#endif
