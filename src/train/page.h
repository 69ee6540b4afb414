/* page.h - a run as one HTML page: settings, data, model, curves, experts, events, and what was planned beside what happened. */
#ifndef TRAIN_PAGE_H
#define TRAIN_PAGE_H
#include "train/history.h"

/* name: what the page calls the run.  Where facts or series are missing the page says less. */
int page_write(const struct history *h, const char *name, struct buf *out, struct err *err);
/* The page of a run's folder into `file` (NULL: FOLDER/report.html). */
int page_of_folder(const char *folder, const char *file, struct err *err);

#endif
