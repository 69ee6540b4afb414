/* pulled.h - what lies in the store of models (models.h): a list of it, and taking something away.
 *
 * Nothing is counted that is no model's: foreign names in the store are passed over, and never removed alone. */
#ifndef STORE_PULLED_H
#define STORE_PULLED_H
#include "base/file.h"
#include "store/models.h"

/* A commit of a model, once for each revision that was pulled as it; with its own name where none is left, or the pull was never
 * complete.  Or, commit "", what has come of files that are not whole yet. */
struct pulled {
    char org[97], name[97], revision[201];
    char commit[65];
    char *folder;
    struct file_usage usage;
    bool complete;
};
struct pulled_list { struct pulled *at; int n, cap; };

/* In the order of names.  only: of this model alone, whatever its revision; NULL: all.  A store that does not exist is empty. */
int pulled_list(struct pulled_list *out, const struct model_id *only, struct err *err);
void pulled_list_release(struct pulled_list *l);

/* Takes the revision away, and its commit with it where no other revision is the same; revision NULL: all of the model.  First it
 * can no longer be found, then its files go: a run that is killed leaves what can be removed again, or pulled again without loss.
 * *freed: bytes of the files that had no other name.  ERR_NOTFOUND, or ERR_BUSY while it is being pulled. */
int pulled_remove(const struct model_id *id, const char *revision, uint64_t *freed, struct err *err);
#endif
