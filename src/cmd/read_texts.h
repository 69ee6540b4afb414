/* read_texts.h - the texts of the records of a file, a folder or a data.yaml, read as lathe data audit reads them, all in memory.
 *
 * What is no text is counted by its fault (audit/extract.h) and the others go on; a file that breaks off is an error. */
#ifndef CMD_READ_TEXTS_H
#define CMD_READ_TEXTS_H
#include "audit/extract.h"

struct text_place { int file; int64_t line; };           /* file: of texts.s; line: from 1 */
/* Text i is bytes (i ? end[i-1] : 0) .. end[i]-1.  Zeroed by the caller. */
struct read_texts {
    struct sources s;
    struct buf text;
    size_t *end; struct text_place *place;
    int64_t n, cap;
    int64_t n_fault[N_RECORD_FAULT];
    char first_fault[400];               /* file, line and why, of the first; "" for none */
};
/* lines: each line of a text file is one (blank ones are none), and not the file.  limit: the first so many; 0: all. */
int read_texts(struct read_texts *t, const char *path, bool lines, int64_t limit, struct err *err);
void read_texts_release(struct read_texts *t);
const char *read_texts_at(const struct read_texts *t, int64_t i, size_t *n);
#endif
