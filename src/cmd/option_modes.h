/* option_modes.h - a command that has several modes: which of its options belong to which, so that one that would be passed over is refused.  Internal to cmd/. */
#ifndef CMD_OPTION_MODES_H
#define CMD_OPTION_MODES_H
#include "base/err.h"

/* An option of limited use, and the modes that have it: bit i stands for word[i].  Those that are not listed hold everywhere. */
struct option_use { const char *name; unsigned modes; };
/* modes: those of this call.  word: as people would write the modes, n_word of them; equal neighbours are told once.  A listed option that was given and that none of them has is
 * ERR_USAGE, with the modes that have it and what was found. */
int option_modes_check(const struct option_use *use, int n_use, const char *const *word, int n_word, unsigned modes, struct err *err);
#endif
