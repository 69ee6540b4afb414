/* exchange.h - the life of a request that a model answers, with one text or several: submitted, counted, cancelled, failed, ended.
 *
 * A reader (openai.h, ...) makes a wish of a request; exchange_start() takes it, makes the answers, and replies: all at once when the last
 * one has ended, or as a stream.  In which words is the dialect's, a table of functions that write and know nothing of threads and clients.
 * A client that goes cancels its texts; one text that fails fails the request, and cancels the others.
 *
 * exchange_start() is called by whichever thread has read the request; pieces and ends of texts come from the thread of the batch's steps, and may come
 * before exchange_start() has returned.  Whoever is the last to leave, a text that ended or exchange_start(), replies and frees it all.
 * The lock is of `pending`, of the texts' ids in the batch and of the refusal.  A dialect's functions are never called by two threads at
 * once for one exchange, and need no lock. */
#ifndef SERVE_EXCHANGE_H
#define SERVE_EXCHANGE_H
#include <pthread.h>
#include <stdatomic.h>
#include "serve/http.h"
#include "serve/wish.h"
#include "store/recorder.h"

/* One of the texts: answer i % n to prompt i / n, where n is wish.n_made until all have ended, and then wish.n. */
#define CHOICE_PARTS 4
struct choice {
    struct exchange *x;
    int i;
    struct buf text;                     /* of the whole answer, where it is not streamed, or its log keeps it */
    struct reply *reply;                 /* NULL: all of it is content */
    /* when it has ended */
    enum answer_why why;                 /* ANSWER_STOP or ANSWER_LENGTH where a dialect is asked */
    int stop_text;                       /* of x->w.stops, or -1 */
    int n_token, n_kept;                 /* made; of its prompt, found in the cache */
    bool begun;                          /* it did not only wait */
    int n_thought;                       /* of those made, thoughts */
    double first;                        /* clock_wall() of its first piece; 0: there was none */
    double logprob;                      /* sum over the tokens made, with n_made */
    struct text_signals signals;         /* where it is recorded */
    /* the dialect's own, released with the exchange */
    bool told;
    int own[2];
    struct buf part[CHOICE_PARTS];
    /* ---- the exchange's own ---- */
    struct shadow *shadow;               /* of its text, for a candidate; or NULL */
    struct answer *a;
    bool leads;                          /* the first of its prompt's, when they were submitted */
    uint64_t id;                         /* of the batch; 0: not there */
    struct record *record;               /* or NULL (recording.h) */
};

struct exchange {
    struct served_model *s;              /* with its version, where it is one */
    const char *arm;                     /* stable or candidate, where it has versions; NULL */
    struct served_model *shadow;         /* that its texts are compared with (shadow.h), or NULL; the visit holds it */
    struct wish w;
    time_t created;
    double begun;                        /* clock_wall() */
    unsigned long long number;           /* by chance, for names */
    char id[40]; struct buf head;        /* the dialect's own */
    /* ---- its own ---- */
    struct http_request *q;
    pthread_mutex_t lock;
    int pending;                         /* texts that have not ended; while they are submitted, one more */
    bool streams;                        /* the reply has begun */
    bool opened;                         /* what a stream begins with is written */
    bool refused;                        /* the batch did not take all texts; those that it took are cancelled */
    atomic_bool cancelled, failed;
    struct refusal e;
    struct buf out;                      /* of the thread of the steps */
    int n;                               /* that are told */
    int n_all;                           /* that are made; those that are not told come last, when all have ended */
    struct choice choice[];
};

/* What clients of one kind of API are told, each function adding to b.  NULL: nothing is said there. */
struct dialect {
    const char *type_of_stream;          /* of content; a whole reply is JSON */
    const char *id_header;               /* NULL, or one more that has the request's name (trace.h) */
    int (*begin)(struct exchange *x, struct err *err);                                   /* before any other: names */
    int (*token)(struct choice *c, const struct answer_token *t, struct err *err);       /* wanted with its probabilities; the piece that it belongs to comes next */
    /* a stream: open, pieces and ends of texts, close; or what went wrong instead of the last */
    int (*open)(struct buf *b, struct exchange *x, struct err *err);
    int (*piece)(struct buf *b, struct choice *c, const char *text, size_t n, struct err *err);
    /* where the wish reads replies: thoughts, and calls of tools with their arguments in pieces */
    int (*thought)(struct buf *b, struct choice *c, const char *text, size_t n, struct err *err);
    int (*call)(struct buf *b, struct choice *c, int i, const char *name, struct err *err);
    int (*arguments)(struct buf *b, struct choice *c, int i, const char *text, size_t n, struct err *err);
    int (*end)(struct buf *b, struct choice *c, struct err *err);
    int (*close)(struct buf *b, struct exchange *x, struct err *err);
    int (*break_off)(struct buf *b, const struct refusal *e, const char *id, struct err *err);
    /* a reply in one piece */
    int (*whole)(struct buf *b, struct exchange *x, struct err *err);
    int (*refusal)(struct buf *b, const struct refusal *e, const char *id, struct err *err);
};
/* Of all texts; prompts are counted once, however many answers they have. */
struct exchange_counts { int n_prompt, n_kept, n_token, n_thought; };
struct exchange_counts exchange_counts(const struct exchange *x);

/* Takes the wish and replies to q, now or later; what is wrong is told there, too. */
void exchange_start(struct http_request *q, struct served_model *s, struct wish *w);
/* Takes v; NULL: there was no memory. */
void exchange_reply_json(struct http_request *q, const struct dialect *d, json_t *v);
/* A refusal as a reply. */
void exchange_refuse(struct http_request *q, const struct dialect *d, const struct refusal *e);

#endif
