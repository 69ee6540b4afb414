/* work.h - what is asked: the bodies of requests, each a function of (seed, number), so that two servers are asked the same.
 *
 * Prompts are random tokens of given lengths (as ids, or as common words of about a token each), of which the first may be shared
 * by a group; or texts of a file.  A conversation of several turns repeats in each request what was said before. */
#ifndef LOAD_WORK_H
#define LOAD_WORK_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "load/trace.h"

struct work_opts {
    const char *model;
    bool chat;                           /* messages, else a prompt */
    int vocab;                           /* random tokens are ids below this; 0: words */
    int input, output;                   /* tokens of a prompt (beside the shared ones), of an answer at most */
    double spread;                       /* 0 .. 1: lengths are drawn from [1 - spread, 1 + spread] of these */
    int shared, n_group;                 /* tokens at the beginning of the prompts of a group; request i is of group i % n_group */
    int turns;                           /* more than 1: chat */
    bool ignore_eos;
    const char *fields;                  /* an object of JSON with more fields of each request, or NULL */
    const char *prompts;                 /* file: lines {"prompt": text} or {"messages": [..]}, both with "max_tokens" if wanted; or NULL */
    const struct trace_row *trace; int n_trace;      /* lengths of the requests; NULL: as above */
    uint64_t seed;
};
struct work;
int work_new(struct work **out, const struct work_opts *o, struct err *err);
void work_free(struct work *w);
int work_n_prompt(const struct work *w);                 /* of the file; 0: there is none */
int work_input(const struct work *w, int i);             /* tokens of its own, of a turn; 0: not known */
int work_output(const struct work *w, int i);
/* Adds the body of turn `turn` of request i.  said: what was said before, as items of a list of messages, which this adds the
 * new message to; an answer is then added by work_answer().  Used where there are turns; else NULL. */
int work_body(const struct work *w, int i, int turn, struct buf *said, struct buf *out, struct err *err);
/* text: the inside of a JSON string. */
int work_answer(struct buf *said, const char *text, size_t n, struct err *err);
#endif
