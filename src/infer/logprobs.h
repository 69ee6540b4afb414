/* logprobs.h - a model's predictions kept in a file, in the form of llama.cpp's `llama-perplexity --kl-divergence-base`: to
 * compare two programs token by token.
 *
 * Little-endian: "_logits_", i32 ctx, i32 V, i32 windows, i32 ids[windows][ctx], then for each counted token (the llamacpp
 * convention: the second half of each window)
 *   float scale, float lowest, u16 q[V], V rounded up to 2:   log p = lowest + scale * q
 * What is less likely than the likeliest token by 16 nats or more is given as that. */
#ifndef INFER_LOGPROBS_H
#define INFER_LOGPROBS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/file.h"

struct logprobs { struct file_writer file; uint16_t *row; int V; };
/* ids: windows * ctx of them, as they are in the text. */
int logprobs_begin(struct logprobs *l, const char *path, int ctx, int V, const int32_t *ids, int windows, struct err *err);
/* n rows of V logits; ctx is the struct logprobs (score_opts.logits). */
int logprobs_add(void *ctx, const float *logits, int n, int V, struct err *err);
int logprobs_commit(struct logprobs *l, struct err *err);       /* releases l, also on error */
void logprobs_abort(struct logprobs *l);                        /* leaves no file; after commit: nothing to do */

/* Reading one, ours or llama.cpp's, row after row.  Everything is checked: sizes against the file's own (it is mapped), ids against V,
 * numbers for being finite; a wrong file is ERR_FORMAT, with its name, what was found and where. */
struct logprobs_reader {
    int ctx, V, n_window;        /* n_window may be made smaller: the first ones */
    int32_t *ids;                /* [n_window * ctx], in the order of the text */
    const char *path;            /* borrowed */
    struct file_map map; size_t at; int64_t n_left;           /* rows; ctx - 1 - ctx/2 of each window */
};
int logprobs_open(struct logprobs_reader *r, const char *path, struct err *err);
int logprobs_is(const char *path, bool *yes, struct err *err);  /* does the file begin as these do? */
/* The log-probabilities of the next n rows to out [n, V]; ERR_RANGE when fewer are left. */
int logprobs_read(struct logprobs_reader *r, int n, float *out, struct err *err);
void logprobs_close(struct logprobs_reader *r);                 /* a zeroed one too */
#endif
