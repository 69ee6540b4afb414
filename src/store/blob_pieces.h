/* blob_pieces.h - where in a blob something was changed.
 *
 * Beside a blob of PIECES_FROM bytes and more lies BLOB.pieces: little-endian numbers of 64 bits, the blob's length, the length of a piece (a
 * power of two; 4,096 pieces at most), and the XXH3 of each piece.  It says where; that something was changed is the SHA-256's to say.  A
 * missing or damaged one only leaves the place unknown. */
#ifndef STORE_BLOB_PIECES_H
#define STORE_BLOB_PIECES_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/hash.h"

#define PIECES_FROM 4096
/* While a blob's bytes pass by, all of them, from the first on: size is how many there will be. */
struct blob_pieces { struct buf numbers; struct hash64_stream sum; uint64_t size, piece, at; };
int blob_pieces_init(struct blob_pieces *p, uint64_t size, struct err *err);
void blob_pieces_add(struct blob_pieces *p, const void *data, size_t n);
int blob_pieces_write(const struct blob_pieces *p, const char *path, struct err *err);       /* beside the blob at path, where it is long enough */
int blob_pieces_make(const char *path, struct err *err);      /* of a blob that is there already, which is read */
void blob_pieces_release(struct blob_pieces *p);
/* Bytes of what lies beside the blob at path; 0: nothing does. */
uint64_t blob_pieces_bytes(const char *path);
/* The first run of pieces that are not as they were: bytes *from to *to, the last one. */
bool blob_pieces_find(const char *path, uint64_t *from, uint64_t *to);
#endif
