/* recording.h - what of an exchange is recorded (store/recorder.h): a row for each of its texts, made while they are, handed over when all have ended.
 *
 * Nothing here happens where the model has no recorder.  What there is no memory for is not recorded, and counts as lost. */
#ifndef SERVE_RECORDING_H
#define SERVE_RECORDING_H
#include "serve/exchange.h"

/* Before the wish's request is forgotten, by the thread that reads it: names, and the prompt's text. */
void recording_begin(struct choice *c);
void recording_piece(struct choice *c, const char *text, size_t n);
/* Of struct recorder_opts: the languages of what was asked and answered. */
void recording_describe(struct record *c);
/* All texts have ended, and are in the order in which they are told. */
void recording_end(struct exchange *x);
#endif
