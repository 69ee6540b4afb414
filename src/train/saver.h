/* saver.h - checkpoints that the step loop does not wait for.
 *
 * Between two steps all threads copy what a checkpoint holds (weights, moments); a thread of its own then writes the copy, proves
 * it and names it (checkpoint.h), while the steps go on.  A copy and not fork(): after a fork a child of a process with threads may
 * neither allocate nor call libcrypto, copying on write would cut the huge pages of the weights for good, Open MPI forbids it, and
 * since a step writes all weights and moments it would take the same memory.  The copy is planned: saver_bytes().
 * All functions are the step loop's; the thread only sees the copy, and what never changes. */
#ifndef TRAIN_SAVER_H
#define TRAIN_SAVER_H
#include "train/checkpoint.h"

struct saver;
/* Where checkpoints go, and of what: borrowed, and left alone while the saver lives. */
struct saver_job { const char *dir; struct decoder *d; const struct weights_list *l; const struct tok *tok; int keep; int64_t every; };
/* How a save ended: its step, 0 or an error with its message, the seconds that the loop waited and those that it took in all. */
struct save_report { int64_t step; int rc; struct err err; double waited, seconds; };

bool saver_copies(const struct tensor *t);           /* what training changes: learned and steered weights, what the optimiser keeps of them */
/* Of the copy, for a graph that is planned.  With a device only what the host steers is copied: else the host has what was fetched for a checkpoint, and that
 * stays as it is while it is being written. */
size_t saver_bytes(const struct graph *g);
/* d is bound.  copy: with the memory for saver_begin() and its thread; else there is saver_now() only. */
int saver_new(struct saver **out, const struct saver_job *job, bool copy, struct err *err);
void saver_free(struct saver *s);                    /* waits for the write that is under way */

/* Copies and begins to write.  Only when nothing is being written, and the last report was taken. */
void saver_begin(struct saver *s, const struct train_state *state);
bool saver_busy(const struct saver *s);              /* begun, and not reported yet */
/* True when a save ended since the last call: *r tells how.  wait: until the one under way has ended. */
bool saver_poll(struct saver *s, bool wait, struct save_report *r);
/* Saves what is there now, in this thread; nothing may be under way. */
struct save_report saver_now(struct saver *s, const struct train_state *state);

#endif
