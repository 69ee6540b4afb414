/* data_embedder.h - a model's vectors of texts, for an audit. */
#ifndef CMD_DATA_EMBEDDER_H
#define CMD_DATA_EMBEDDER_H
#include "audit/audit.h"
#include "infer/embed.h"

/* of: what the audit is given.  A text of more than n_token tokens counts by its first ones; n_cut such came. */
struct data_embedder { struct audit_embedder of; struct embedder *e; struct tok_ids ids; char *path; int n_token; int64_t n_cut; };
/* model: as the user names it.  data_embedder_close in any case, of a zeroed one too. */
int data_embedder_open(struct data_embedder *x, const char *model, struct pool *pool, struct err *err);
void data_embedder_close(struct data_embedder *x);

#endif
