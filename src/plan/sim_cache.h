/* sim_cache.h - a model of infer/pages.h for a plan: how many pages are held, and what of a text's beginning is there already.
 *
 * pages.h knows blocks of ids by their SHA-256.  A plan has no ids: it knows that the first `prefix` tokens of the texts of a group are the same, and that
 * no two texts have anything else in common.  So a group's blocks are one run of pages, of which the first are there; by the same rules:
 *
 *   a full block that is there is not computed again, but at least the last token is; blocks that another computes are waited for
 *   pages that nobody holds keep what they know, and are used again from the least recently used on, the end of a text before its beginning
 *   a page that is known in part is another's: who goes on from inside it has a page of his own
 *   a text that was put aside finds what is left of its own pages
 *
 * That is exact where prefixes are whole pages, all texts of a group have all of it, and none is put aside twice.  Else a page may be counted otherwise for a while:
 * where a group's blocks end inside of a page, that page stays with the group, and whoever computes the next block goes on in it instead of a copy; a text that was put
 * aside again finds all of its last page or nothing.
 * Time of each call: that of the groups whose pages it takes.  One thread; nothing is allocated after sim_cache_init(). */
#ifndef PLAN_SIM_CACHE_H
#define PLAN_SIM_CACHE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "infer/pages.h"

/* Pages that nobody holds and that are known, in the order of use; `junk` pages before it are known, too, but nobody will ask for them. */
struct sim_segment { struct sim_segment *before, *after; int64_t n_page, junk; bool listed; };
struct sim_group { struct sim_segment seg; int64_t n_page; int ready, promised, n_ref; };      /* blocks that are there, and that are or are being computed */

struct sim_cache {
    int page, block;                         /* tokens */
    int64_t n_page, n_held, most_held;
    int64_t blank, junk;                     /* pages nobody holds: unknown, and known ones behind all segments */
    struct sim_segment *first, *last;
    struct sim_group *group; int n_group;
    bool share;                              /* else nothing is found */
};
int sim_cache_init(struct sim_cache *c, int64_t n_page, int page, int n_group, bool share, struct err *err);
void sim_cache_release(struct sim_cache *c);             /* a zeroed one too */

/* A text's part of it. */
struct sim_hold {
    int group, prefix;                       /* group -1: none */
    int shared;                              /* pages of the group's that it has */
    bool writes;                             /* it computes blocks of the group */
    int copied;                              /* a page that it copied knows so many of its tokens; 0: it copied none */
    struct sim_segment own; int own_first, own_known;        /* put aside: its own pages, the first one's number, and tokens that are known */
};
static inline int64_t sim_pages(const struct sim_cache *c, int64_t tokens) { return (tokens + c->page - 1) / c->page; }
static inline int64_t sim_free(const struct sim_cache *c) { return c->n_page - c->n_held; }

/* pages_begin() of a text of n tokens: takes sim_pages(n) in all. */
enum pages_fate sim_begin(struct sim_cache *c, struct sim_hold *h, int n, int spare, int *n_kept);
/* n pages more, of texts that grow; false: there are not so many. */
bool sim_take(struct sim_cache *c, int64_t n);
/* The first n_done tokens are computed. */
void sim_publish(struct sim_cache *c, struct sim_hold *h, int n_done);
/* It has n_page pages, in which n_done tokens are; again: it was put aside, and will ask for them. */
void sim_give(struct sim_cache *c, struct sim_hold *h, int64_t n_page, int n_done, bool again);
void sim_forget(struct sim_cache *c, struct sim_hold *h);        /* it will not: it ends while it is put aside */

#endif
