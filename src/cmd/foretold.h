/* foretold.h - runs leave in the history of this user's plans (plan/history.h) what was predicted of them and what then was. */
#ifndef CMD_FORETOLD_H
#define CMD_FORETOLD_H
#include "plan/history.h"

/* Of this machine with the command's threads.  model: what the user called it.  Nothing where one of both is not known; a history that cannot be written
 * is a warning. */
void foretold(enum planned what, const char *model, double predicted, double actual);

#endif
