/* pages.h - who holds which pages of an engine's cache, and what stands in them.
 *
 * A page has the keys and values of 64 positions of a sequence, in blocks of 16.  A full block is known by its key: SHA-256 of the
 * key of the block before it and of its ids; before the first block stands the root, which must name all else that keys and values
 * follow from (the model's digest, an adapter's), and whose they are: sequences of different tenants have different roots, and never
 * meet.  So the same text has the same keys in every process, and what one sequence has computed another uses.
 *
 *   pages_begin     takes the pages that hold the beginning of a text already, and free ones for the rest
 *   pages_extend    one more page, when a sequence has grown
 *   pages_publish   after a step: what was computed is now there for others
 *   pages_release   pages that nobody holds keep their contents until they are needed: least recently used first, the end of a text
 *                   before its beginning
 *
 * A page that several hold is never written.  Where a text parts from a known one inside a page, the page is copied: one copy of a
 * page is cheaper than 16 tokens (but where there is no page for the copy it is computed).  Blocks of a text that somebody is computing are promised, and pages_begin says that it would be
 * worth waiting for them.
 *
 * Nothing here touches the cache itself.  One thread.  Nothing is allocated after pages_new() and held_init(). */
#ifndef INFER_PAGES_H
#define INFER_PAGES_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/hash.h"
#include "cpu/kernels.h"

#define BLOCK_TOKENS 16
#define PAGE_BLOCKS (KV_TOKENS / BLOCK_TOKENS)

struct block_key { unsigned char sha256[SHA256_BYTES]; };
struct pages;

/* The pages of a text that only grows.  page[i] has positions 64 i .. 64 i + 63. */
struct held {
    int32_t *page; int n_page;
    struct block_key root, *key; int n_key;      /* of its full blocks, as far as they were wanted; kept when the pages are given back */
    int n_ready;                 /* blocks in the cache, known to all */
    int ctx;                     /* positions at most */
};

int pages_new(struct pages **out, int n_page, struct err *err);
void pages_free(struct pages *p);
int held_init(struct held *h, const struct block_key *root, int ctx, struct err *err);
void held_release(struct held *h);       /* its pages have been given back */

enum pages_fate {
    PAGES_OK,
    PAGES_WAIT,                  /* another sequence is computing the next block of this text */
    PAGES_NONE                   /* there are not as many free pages: h holds nothing */
};
/* share: use what is known, and promise the rest.  wait: PAGES_WAIT may be answered, and h holds nothing.  spare: pages that must be left. */
struct pages_wish { bool share, wait; int spare; };
/* h holds nothing, and is to hold ids[0 .. n-1], n <= h->ctx.  *n_kept: so many are there already, a multiple of 16 and less than n.
 * *from >= 0: page *from is to be copied to h->page[*n_kept / 64], at once. */
enum pages_fate pages_begin(struct pages *p, struct held *h, const int32_t *ids, int n, struct pages_wish wish, int *n_kept, int *from);
/* Room for n <= h->ctx positions; false, and h is as it was, where there are not enough free pages. */
bool pages_extend(struct pages *p, struct held *h, int n);
/* ids[0 .. n-1] are in the cache now. */
void pages_publish(struct pages *p, struct held *h, const int32_t *ids, int n);
void pages_release(struct pages *p, struct held *h);
void pages_forget(struct pages *p);      /* what nobody holds is not known any more */

struct pages_count {
    int n_page, n_held, n_known;         /* pages: all, held by sequences, held by nobody but known */
    uint64_t n_asked, n_found, n_evicted;      /* tokens of texts and those found in the cache; pages that lost what was known of them */
};
struct pages_count pages_count(const struct pages *p);
#endif
