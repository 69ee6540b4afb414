/* line.h - what a person types: lines with editing and a history on a terminal (libedit), plain lines elsewhere. */
#ifndef CMD_LINE_H
#define CMD_LINE_H
#include <stdbool.h>
#include "base/buf.h"

struct line_reader;
/* terminal: standard input is one; SIGTERM and SIGHUP then end the program at once, with the terminal as it was.
 * history: a file, made when it is not there and kept up to date; NULL: none. */
int line_open(struct line_reader **out, bool terminal, const char *history, struct err *err);
void line_close(struct line_reader *l);
/* Appends a message: one line; more where a line ends with \ or while more was pasted, or all between two lines of """.
 * LINE_INTERRUPT: Ctrl-C, what was typed is dropped. */
enum { LINE_MESSAGE = 0, LINE_END = 1, LINE_INTERRUPT = 2 };
int line_read(struct line_reader *l, const char *prompt, const char *more, struct buf *out, struct err *err);

#endif
