/* schedule.h - the learning rate of a step: a pure function, so that a resumed run needs nothing stored. */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

enum schedule_kind { SCHEDULE_CONSTANT, SCHEDULE_LINEAR, SCHEDULE_COSINE, SCHEDULE_WSD };

/* Warm-up: max * (step + 1) / warmup.  Then, with r the share of the way from warm-up to the end:
 *   linear   max - r * (max - min)
 *   cosine   min + (1 + cos(pi r)) / 2 * (max - min)
 *   wsd      max until the last decay_share of all steps, there min + (1 - sqrt(r')) * (max - min), arXiv:2405.18392 */
struct schedule { enum schedule_kind kind; double max, min; long warmup, steps; double decay_share; };
double schedule_lr(const struct schedule *s, long step);

#endif
