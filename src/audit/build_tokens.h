/* build_tokens.h - a build's lines as token files, which training reads without a tokenizer's work (data/shard.h).
 *
 *   DIR/tokens/SPLIT/00000.tok    of DIR/SPLIT/00000.jsonl: sequence i is line i + 1, so that map.jsonl leads from tokens to records
 * Texts are what training makes of records of the form text, chats of the form chat, by the same calls.  A line that training could not learn from
 * is an error, with the place that it came from. */
#ifndef AUDIT_BUILD_TOKENS_H
#define AUDIT_BUILD_TOKENS_H
#include <jansson.h>
#include "base/pool.h"
#include "model/chat.h"

#define BUILD_TOKENS "tokens"

/* chat: NULL where the model has no template: chats are an error then. */
struct build_tokens { const struct tok *tok; const struct chat *chat; };
/* Of the files that the manifest of the build in dir lists; adds what it wrote to it, as "tokens": {"tokenizer": SHA-256 (tok_digest), "files": [{"path", "of", "split",
 * "tokens", "learned", "sequences", "bytes", "sha256"}]}.  A file a thread, each in memory at 5 bytes a token. */
int build_tokens_write(const struct build_tokens *t, json_t *manifest, const char *dir, struct pool *pool, struct err *err);
/* The token file of the manifest's `of`, NULL where there is none. */
json_t *build_tokens_of(const json_t *manifest, const char *of);
/* Writes it anew, from the folder `from` to the folder `to`, without the lines whose keep[i] is 0, and corrects the entry.  ERR_CORRUPT where it has not n lines. */
int build_tokens_keep(json_t *entry, const char *from, const char *to, const unsigned char *keep, int64_t n, struct err *err);

#endif
