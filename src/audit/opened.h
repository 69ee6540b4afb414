/* opened.h - an audit that was finished, opened again from its folder: its sources, what was stored of each record, and the verdicts. */
#ifndef AUDIT_OPENED_H
#define AUDIT_OPENED_H
#include "audit/stage.h"

/* a.report is the report as it was written. */
struct opened { struct sources s; struct audit_opts o; struct audit a; };
/* pool is borrowed.  ERR_USAGE where no finished audit is.  opened_close in any case. */
int opened_open(struct opened *x, const char *dir, struct pool *pool, struct err *err);
void opened_close(struct opened *x);

int verdicts_write(const struct audit *a, struct err *err);

#endif
