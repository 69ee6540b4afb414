/* build.h - `lathe data build`: the records that an audit kept, as files that training reads, each with the way back to where it came from.
 *
 *   DIR/SPLIT/00000.jsonl    a line of each record: {"text": ..} and its marks (source.h) under the names of their fields; of a chat (chat_text.h)
 *                            its object as it stands in the source, but for what is redacted in its messages.  A split has one of both
 *   DIR/map.jsonl            a line of each line of these: file, line, and the record, source, file, byte, line and SHA-256 that it was
 *   DIR/tokens/..            build_tokens.h, where it is asked for
 *   DIR/build.json           the version: what it was built of and how, every file with its SHA-256, and totals that add up
 * A record's split is its source's, else its share of the unit interval falls by a hash of its group (else of its text) and the seed, so it
 * stays the same when other records come or go, and a group is never cut.  The same audit and options give the same bytes. */
#ifndef AUDIT_BUILD_H
#define AUDIT_BUILD_H
#include "audit/build_tokens.h"
#include "audit/opened.h"
#include "audit/redacting.h"

#define BUILD_SPLITS_MAX 16
#define BUILD_NAME_MAX 64

struct build_opts {
    const char *dir;                     /* must not be there */
    struct { char name[BUILD_NAME_MAX + 1]; double share; } split[BUILD_SPLITS_MAX]; int n_split;
    double *weight;                      /* of each source: how often its records stand in the first split; NULL: once */
    unsigned char (*without)[SHA256_BYTES]; int64_t n_without;      /* texts that must not be there, sorted: build_without */
    const struct policy *policy;         /* NULL, or what becomes of personal data and secrets: redacting.h */
    const struct redact_key *key;        /* NULL, or that of pseudonyms */
    const struct build_tokens *tokens;   /* NULL, or what makes token files of the lines, too */
    uint64_t seed, shard_bytes;          /* a file ends with the record that makes it so long */
    int (*progress)(void *ctx, struct err *err);
    void *ctx;
};
/* "train=0.98,valid=0.02": names once, shares that sum to 1. */
int build_splits(struct build_opts *o, const char *text, struct err *err);
/* "stories=2,web=0.5": sources by name.  Allocates o->weight (mem_free). */
int build_weights(struct build_opts *o, const char *text, const struct sources *s, struct err *err);
/* Texts by the SHA-256 that lines of a file name, as erase.h writes it.  Adds to o->without (mem_free). */
int build_without(struct build_opts *o, const char *path, struct err *err);
/* Sets a manifest's "version", the SHA-256 of all the rest of it but where the audit lies, and writes DIR/build.json. */
int build_write(json_t *manifest, const char *dir, struct err *err);
/* manifest: build.json, the caller's. */
int build_run(struct opened *x, const struct build_opts *o, json_t **manifest, struct err *err);

#endif
