/* events.h - what a server records of each answer: tables in a database of their own (db.h), written by recorder.h, read by whoever watches.
 *
 *   answer     a row for each text that a model made: numbers and names, never the text
 *   text       prompts and answers, only where the server was told to (--record-text), each with the moment from which on it is gone
 *   feedback   what was said of answers afterwards; comments are texts, and go when texts go
 * Who asked stands there as HMAC-SHA-256 of a name under a key that is a file beside the database (PATH.key, of PostgreSQL
 * events.key in the registry's folder): who has the database alone cannot try names.
 *
 * A struct events belongs to one thread at a time.  What is over is deleted when it is opened and whenever events_expire() is called; SQLite
 * overwrites it (secure_delete), gives the room back and truncates its log.  Errors: those of db.h. */
#ifndef STORE_EVENTS_H
#define STORE_EVENTS_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/when.h"
#include "store/db.h"

#define EVENT_SKETCH 16
#define EVENT_NAME 129
/* Numbers that nobody knows are NAN or -1.  Texts are borrowed by who writes, and valid during the call for who reads. */
struct event {
    char id[64]; int choice;                 /* the answer as its client was told, and which of several */
    char request[EVENT_NAME];                /* X-Request-Id: the client's, or the server's own */
    int64_t t;                               /* when it came in, ns since 1970 */
    char server[EVENT_NAME], model[EVENT_NAME], root[65], arm[16];     /* root: of the version's files; arm: "stable", "candidate", "shadow", or "" */
    int64_t version;                         /* of the registry; 0: none */
    char owner[EVENT_NAME], user[EVENT_NAME];        /* whose key; whom the request names.  Written as their HMAC, which is what is read; "": nobody */
    char api[40];                            /* the path */
    int64_t prompt_tokens, cached_tokens, answer_tokens;
    double prompt_nll; int64_t prompt_nll_tokens;    /* mean over so many of the prompt's tokens (infer/signals.h); NAN, 0: all was in the cache */
    double entropy, confidence, logprob;     /* means over the answer's tokens, nats and probability; logprob: the sum */
    int n_sketch; float sketch[EVENT_SKETCH];
    const int32_t *expert; int n_expert;     /* rows that each got, in a mixture, all layers together; n_expert 0: none */
    double experts_effective;                /* how many are used: exp of the entropy of the load, of the layer with the fewest; NAN */
    char busiest[8];                         /* of who reads: the expert with the most rows; "" */
    char prompt_language[8], answer_language[8];     /* ISO 639; "": too short to tell, "un": none that is known */
    char finish[16];                         /* stop, length, tool_calls, cancelled, failed */
    char error[EVENT_NAME];                  /* of failed: why */
    int refused;                             /* it begins as refusals do (events_is_refusal); 0, 1, -1: nothing was said */
    int schema_ok, tool_calls, tool_ok;      /* a grammar or schema was followed to its end; calls made; none was cut off.  -1: not asked for */
    double first_s, total_s;                 /* to the first token, to the end */
    int64_t written;                         /* when the row was written, ns; events_write() sets it */
    int64_t said;                            /* of who reads by_feedback: when that was written; else 0 */
    double score;                            /* of who reads: what was said of it afterwards, -1 to 1; NAN: nothing */
    const char *prompt, *answer;             /* NULL: not kept */
};

struct events;
/* where: a file of SQLite, a folder (events.db in it) or postgresql://...; NULL: events.db of the default registry.  make: it may be new, else ERR_NOTFOUND. */
int events_open(struct events **out, const char *where, bool make, struct err *err);
void events_close(struct events *e);                     /* NULL is fine */
struct db *events_db(struct events *e);
const char *events_name(const struct events *e);         /* for messages */

/* ---- writing ---- */

/* One of several in a transaction that the caller has begun.  gone: when its texts go, ns; those that are over are not written. */
int events_write(struct events *e, const struct event *ev, int64_t gone, struct err *err);
#define FEEDBACK_COMMENT 4096
struct feedback { const char *id; int choice; const char *owner; double score; const char *label, *comment; int64_t t; };      /* choice -1: all of the id; score NAN, texts NULL: not given */
/* id: of an answer or a request.  ERR_NOTFOUND: there is no such answer of this owner, whoever else has one.  What the same owner said of it before is replaced. */
int events_feedback(struct events *e, const struct feedback *f, int64_t gone, int64_t *n, struct err *err);
/* Deletes texts and comments whose time is over by `now`. */
int events_expire(struct events *e, int64_t now, int64_t *n, struct err *err);
/* Everything of a user, or of a key, by name: rows, texts, feedback.  The file is rewritten without them, where no other holds it. */
int events_erase(struct events *e, const char *who, int64_t *n, struct err *err);

/* ---- reading ---- */

struct events_where {
    const char *model; int64_t version; const char *root, *arm;        /* NULL, 0: any */
    int64_t since, until;                    /* since <= t < until; until 0: no end */
    bool by_writing;                         /* since and until are of `written`, and so is the order: who reads on and on misses none that took long */
    bool by_feedback;                        /* they are of when what was said of it was written: answers that have a score */
    int64_t limit;                           /* 0: none; the oldest come first */
    bool newest;                             /* by_writing: the limit's newest, and those of the same moment as the first of them */
};
/* each: < 0 ends with it. */
typedef int (*events_each)(void *ctx, const struct event *ev, struct err *err);
int events_read(struct events *e, const struct events_where *w, events_each each, void *ctx, struct err *err);
/* All answers to a request, by its id or one of its answers', with their texts if they are kept.  ERR_NOTFOUND. */
int events_find(struct events *e, const char *id, events_each each, void *ctx, struct err *err);
struct events_mean { int64_t n; double mean; };
/* Of the scores that answers of this kind got. */
int events_scores(struct events *e, const struct events_where *w, struct events_mean *out, struct err *err);
/* [{ root, arm, answers, failed, prompt_nll, entropy, first_s, total_s }] of each version and arm: counts, and means of what is known, null where nothing
 * is; prompt_nll over tokens, the others over answers.  The caller's. */
int events_summary(struct events *e, const struct events_where *w, json_t **out, struct err *err);
/* The same by time, in steps of so many ns from where.since on: [{ root, arm, points: [{ at: step, from 0 on, answers, failed, tokens: of answers, first_s, token_s: after
 * the first }] }], steps without any answer left out. */
int events_traffic(struct events *e, const struct events_where *w, int64_t step, json_t **out, struct err *err);

/* ---- what is written as something else ---- */

#define EVENT_HMAC 65
/* Of a user's or a key's name. */
int events_hash(const struct events *e, const char *name, char out[EVENT_HMAC], struct err *err);
/* Begins the text as models refuse in English?  By the openings that Zou et al. look for (arXiv:2307.15043, appendix), in the first 300 bytes: a count of these, no
 * judgement of what was asked. */
bool events_is_refusal(const char *text);
#endif
