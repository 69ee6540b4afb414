/* doctor.h - which steps are unlike those before: running statistics of loss, gradient norm and the losses of samples.
 *
 * Medians and their absolute deviations over the last values, which one bad value cannot move.  A value is judged before it is
 * taken in, and one that is not finite is never taken in: a NaN cannot blind the detector.  All of it is state of the run: a
 * resumed run judges as the undisturbed one.  Thread: the step loop's. */
#ifndef TRAIN_DOCTOR_H
#define TRAIN_DOCTOR_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

#define DOCTOR_STEPS 128                 /* values of loss and norm that are looked back on */
#define DOCTOR_SAMPLES 512               /* losses of samples */
#define DOCTOR_RECENT 16                 /* steps whose median says how the loss stands now */
#define DOCTOR_TRIED 24                  /* updates that are remembered of those tried on their own batch */
#define DOCTOR_WORST 4                   /* samples that are remembered of a step, at either end */

struct doctor_window { int n, at; double v[DOCTOR_SAMPLES]; };      /* a ring; the newest value is before `at` */

/* What is kept from step to step. */
struct doctor {
    struct doctor_window loss, norm, sample;      /* norm: its logarithm */
    double first, best;                           /* medians of DOCTOR_RECENT losses: of the first ones, the lowest; NAN: not yet */
    int64_t last_good;                            /* micro-batches of this step gave numbers like those before; -1: none */
    int64_t since_repeat;                         /* steps without a sample that repeats itself, at most DOCTOR_STEPS */
    int64_t overshot;                             /* updates that were tried, a bit each, the last one's lowest: 1 made its batch's loss worse */
};

/* One step: filled by doctor_sample() for each sample. */
struct doctor_sample { double loss, odd; int64_t i_micro; int sequence; };
struct doctor_step {
    int n;
    double first[DOCTOR_RECENT];
    struct doctor_sample high[DOCTOR_WORST], low[DOCTOR_WORST], repeat[DOCTOR_WORST];
    int n_high, n_low, n_repeat;
};
/* typical: its loss goes into the window by which samples are judged; false where samples have nothing in common (images: most are
 * learned, a few are not), they are then only remembered to be named. */
void doctor_sample(struct doctor_step *s, double loss, int64_t i_micro, int sequence, bool typical);

/* A sample of n tokens is kept when nine in ten of them are those so many places before, up to 13, at least eight times over: it repeats itself.  Which is told of by
 * the loss only where the model does not expect it. */
void doctor_tokens(struct doctor_step *s, const int32_t *ids, int n, double loss, int64_t i_micro, int sequence);

/* s goes on with the samples of b, which come after its own. */
void doctor_join(struct doctor_step *s, const struct doctor_step *b);

/* What is unlike the steps before. */
enum { ODD_BAD = 1, ODD_LOSS = 2, ODD_NORM = 4, ODD_SAMPLE = 8, ODD_REPEAT = 16 };     /* BAD: not finite; REPEAT: the first for DOCTOR_STEPS steps */
/* Robust deviations from the median: 1 is about a standard deviation; 0 while there are too few values to judge by. */
struct doctor_opinion { unsigned odd; double loss, norm; int n_high, n_low; };      /* n_high, n_low: how many of s->high and low are odd, the first ones */
/* Judges, and writes the samples' deviations into s.  Takes nothing in. */
struct doctor_opinion doctor_judge(const struct doctor *d, double loss, double norm, struct doctor_step *s);
/* Takes a step in that was like those before, or is to count as such. */
void doctor_take(struct doctor *d, double loss, double norm, const struct doctor_step *s);
/* The loss has gone back more than half of the way that it had come down, or above where it began, for DOCTOR_RECENT steps. */
bool doctor_diverges(const struct doctor *d);
/* The loss has been above its best for DOCTOR_STEPS steps: clearly, but short of that. */
bool doctor_rises(const struct doctor *d);

/* Takes in an update that was tried on its own batch.  True when it is the second of the last DOCTOR_TRIED that made its loss worse by more
 * than rounding does; these are then forgotten. */
bool doctor_overshoots(struct doctor *d, double before, double after);

void doctor_init(struct doctor *d);
json_t *doctor_write(const struct doctor *d);                 /* NULL without memory */
int doctor_read(struct doctor *d, const json_t *o, const char *where, struct err *err);      /* o NULL: as doctor_init */

#endif
