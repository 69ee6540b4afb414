/* recorder.h - a server's answers on their way into the tables of events.h, by a thread of its own: nobody who answers waits for a disk.
 *
 * What was handed over is written in one transaction, a quarter of a second after the first of it: a killed process lacks no more than that and what came while the disk took it.
 * While the database cannot be written (the disk is full, another holds it, it is gone) up to RECORDER_WAIT records of RECORDER_BYTES together wait and
 * are tried again each second; what comes beyond is lost and counted.  That it fails is said once, and once that it works again.
 * A database that was removed is made anew. */
#ifndef STORE_RECORDER_H
#define STORE_RECORDER_H
#include "base/buf.h"
#include "store/events.h"

#define RECORDER_GATHER_S 0.25   /* records are gathered for so long before they are written together */
#define RECORDER_COMMIT_S 0.5    /* rows are committed after so long: who follows what is written waits a little longer than that (ANSWERS_SETTLE_NS) */
#define RECORDER_WAIT 16384
#define RECORDER_BYTES ((size_t)32 << 20)

struct record;
struct recorder_opts {
    const char *where;                   /* events_open */
    const char *server;                  /* its name in each row; NULL: "" */
    void (*describe)(struct record *c);  /* by the recorder's thread: what takes a while to tell of its texts (languages); NULL: nothing */
    bool texts; double retain_s;         /* prompts and answers are kept, for so long */
};
struct recorder;
/* What cannot be opened is an error; but PostgreSQL that is not there yet is waited for. */
int recorder_open(struct recorder **out, const struct recorder_opts *o, struct err *err);
/* Writes what waits, tries that once; then nothing more is taken. */
void recorder_stop(struct recorder *r);
void recorder_free(struct recorder *r);
bool recorder_keeps_texts(const struct recorder *r);

/* ev's texts and `refused` are the recorder's, languages those of describe(): of prompt and answer, which are kept only where `keep` says so, for retain_s.  asked: what the language of
 * the prompt is told by, its last turn.  Where texts are not kept RECORD_LOOK bytes of asked and answer do, and the prompt is not needed. */
#define RECORD_LOOK 1024
struct record { struct event ev; struct buf asked, prompt, answer; bool keep, described; struct record *next; };
struct record *record_new(void);         /* numbers unknown, texts empty; NULL: no memory */
void record_free(struct record *c);
/* Any thread; takes c, NULL counts as lost. */
void recorder_add(struct recorder *r, struct record *c);

/* What was said of an answer, after all that was handed over before is written.  done: by the recorder's thread, once; n: answers that it is of.  Texts are copied.
 * ERR_STOPPED, ERR_NOMEM, ERR_BUSY (too many wait): done is not called. */
typedef void (*recorder_done)(void *ctx, int rc, int64_t n, const struct err *err);
int recorder_feedback(struct recorder *r, const struct feedback *f, recorder_done done, void *ctx, struct err *err);

struct recorder_counts { uint64_t n_written, n_lost, n_feedback; int n_waiting; bool works; };
struct recorder_counts recorder_counts(struct recorder *r);
#endif
