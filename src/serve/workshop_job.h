/* workshop_job.h - the thread that works on projects: one at a time, by programs that lathe run is (workshop_life.h).
 *
 *   look      audit; what is kept is made ready to be learned; and a plan for each recipe, plans/NAME.json, or plans/NAME.why where there can be none
 *   train     the recipe, what was held out, errors
 *   register  a version of the registry
 * What went wrong is for people: the words of the program that failed.  Any thread may call these, but
 * jobs_new and jobs_free.  Internal to workshop.c. */
#ifndef SERVE_WORKSHOP_JOB_H
#define SERVE_WORKSHOP_JOB_H
#include "serve/workshop.h"

struct jobs;
int jobs_new(struct jobs **out, const struct workshop_opts *o, struct err *err);
void jobs_free(struct jobs *j);                  /* what runs is stopped first; NULL is fine */
/* p: saved with its step, running; taken where it returns 0.  ERR_BUSY: another one is worked on. */
int jobs_start(struct jobs *j, json_t *p, struct err *err);
bool jobs_has(struct jobs *j, const char *id);   /* id NULL: any */
bool jobs_stops(struct jobs *j, const char *id); /* it was told to stop, and has not yet */
bool jobs_stop(struct jobs *j, const char *id);  /* false: it is not worked on */
#endif
