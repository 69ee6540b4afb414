/* grammars.h - the grammars of a model's requests, kept for those that ask for the same again.
 *
 * What costs is not to compile a grammar but to find out which of a model's tokens each of its places allows, which a grammar remembers.
 * Requests of the same tools or the same response_format bring one each; they are given the first one's.  It is known by the digest of
 * what it was made of, and by the root of the tenant's texts: how long something takes tells nobody what others have asked for.
 *
 * Any thread.  Those that nobody uses go when they become too many or too large, the least recently used first. */
#ifndef SERVE_GRAMMARS_H
#define SERVE_GRAMMARS_H
#include "infer/grammar.h"
#include "infer/pages.h"

#define GRAMMARS_MAX 64
#define GRAMMARS_BYTES_MAX ((size_t)128 << 20)
#define GRAMMARS_USE_MAX ((size_t)512 << 20)     /* as they are when they come: a request of 30 bytes can ask for one of 10 MB */

struct grammars;
int grammars_new(struct grammars **out, size_t use_max, struct err *err);
void grammars_free(struct grammars *g);          /* when nobody has one of them any more */
/* Takes *mine, and makes it the one to use, which may be another that is alike.  ERR_BUSY: those of all requests would be more than
 * use_max bytes; ERR_NOMEM.  It is the caller's then, as it was. */
int grammars_share(struct grammars *g, const struct block_key *what, const struct block_key *root, struct grammar **mine, struct err *err);
void grammars_drop(struct grammars *g, struct grammar *one);      /* one that is shared */

#endif
