/* blob_pieces.h - where in a blob something was changed.
 *
 * Beside a blob of PIECES_FROM bytes and more lies BLOB.pieces: little-endian numbers of 64 bits, the blob's length, the length of a piece (a
 * power of two; 4,096 pieces at most), and the XXH3 of each piece.  It says where; that something was changed is the SHA-256's to say.  A
 * missing or damaged one only leaves the place unknown. */
#ifndef STORE_BLOB_PIECES_H
#define STORE_BLOB_PIECES_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

#define PIECES_FROM 4096
/* Of the file at path, where it is long enough. */
int blob_pieces_write(const char *path, struct err *err);
/* The first run of pieces that are not as they were: bytes *from to *to, the last one. */
bool blob_pieces_find(const char *path, uint64_t *from, uint64_t *to);
#endif
