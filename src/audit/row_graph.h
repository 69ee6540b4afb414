/* row_graph.h - rows of ROW_WORDS words that were seen in texts: in how many, and which row follows in how many (for poison.h).
 *
 * Rows come in runs, each of one text, in the order of the texts.  A row has a number (row_key); what is counted of it lies in the shard
 * that its upper bits name, and all threads work on shards, each of which sees its rows in the order of the texts: what comes out depends
 * on them alone.  A row's place is asked for some rows before it is needed: nearly every one is a miss of the caches.
 *
 * Memory: at most ROW_NODES_MAX rows are followed, 140 bytes each with their table, with at most 256 MiB of their texts; of what comes
 * when a shard is full only the ways from the rows that it has are counted. */
#ifndef AUDIT_ROW_GRAPH_H
#define AUDIT_ROW_GRAPH_H
#include <stdbool.h>
#include "audit/grams.h"
#include "base/buf.h"
#include "base/pool.h"

#define ROW_WORDS 5
#define ROW_SHARDS 64
#define ROW_NODES_MAX ((size_t)1 << 21)
#define ROW_BEGINS_MAX 100                       /* runs of a row that are looked at: of so many words of a text about 80 differ, of more ever fewer */

/* A number of each of the n rows of words from `word` on, never 0: ROW_WORDS - 1 words more are read. */
void row_keys(const uint64_t *word, size_t n, uint64_t *key);

/* A run of n_row rows that follow each other by a word, as it is handed on: this, `bytes` bytes of text filled up to a multiple of 8, and
 * n_row of struct row_seen.  before: number of the word before it, 0 where there is none; at: byte of the text where it begins; aligned: it
 * begins and ends with a line or sentence; filled: how much of the text it is, in hundredths. */
struct row_run { int64_t record; uint64_t before; uint32_t at, bytes, n_row, aligned, filled, zero; };
struct row_seen { uint64_t key; uint32_t at, bytes; };       /* bytes [at, at + bytes) of the run's */

/* What is counted of a row.  n: texts; next: key of the row that most of them go on with, n_next of them, 0: none goes on.  The rest is
 * of row_graph.c. */
struct row_node { uint64_t key, next, way; int64_t last, way_last; uint32_t n, n_next, way_n, mark; };
/* record, at: of the first three; of the first ROW_BEGINS_MAX runs that begin with it: their number, different words before them, how many are
 * aligned, sum of `filled`; text: of the first, in the shard's. */
struct row_first { int64_t record[3], filled; uint32_t at[3], begins, before, aligned, text, bytes; };

struct row_shard;
struct row_graph { struct row_shard *shard; struct row_stage *stage; int n_stage; };
int row_graph_init(struct row_graph *g, struct err *err);
void row_graph_release(struct row_graph *g);
/* Runs of n buffers, one after the other. */
int row_graph_add(struct row_graph *g, struct pool *pool, const struct buf *const *runs, int n, struct err *err);

size_t row_graph_n(const struct row_graph *g, int shard);
struct row_node *row_graph_at(const struct row_graph *g, int shard, size_t i);
const struct row_first *row_graph_first(const struct row_graph *g, const struct row_node *v);
const char *row_graph_text(const struct row_graph *g, const struct row_node *v, size_t *n);      /* of its words, as they first stood there */
struct row_node *row_graph_find(const struct row_graph *g, uint64_t key);                        /* NULL: it is not followed */

#endif
