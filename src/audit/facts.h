/* facts.h - what a record's text gives: everything that the pass stores of it (sections.def), made by one thread of the record alone and of
 * what the audit was started with.  A check that looks at one text has its state of a thread here, made once, and its lines in
 * facts_row(); nothing is allocated a record once the buffers have grown. */
#ifndef AUDIT_FACTS_H
#define AUDIT_FACTS_H
#include "audit/audit.h"
#include "audit/store.h"

struct facts;
/* o is borrowed: which checks there are. */
int facts_new(struct facts **out, int n_thread, const struct audit_opts *o, struct err *err);
void facts_free(struct facts *f);
/* Fills the row of a record, with its fault or its text; what the row points to holds until the thread's next call.  path: the file's. */
int facts_row(struct facts *f, int file, const char *path, const struct pass_record *r, int i_thread, struct row *out, struct err *err);

#endif
