/* served_models.h - the models of a server: found by name, within one memory, of which one computes at a time.
 *
 * Behind each name are arms (arms.h): one, or the versions of a release.  Each has its thread and its pool of as many threads as there are; they take the machine step by step, first come first served, so that
 * none waits for more than a step of each of the others, and all have the caches and cores for themselves while they compute. */
#ifndef SERVE_SERVED_MODELS_H
#define SERVE_SERVED_MODELS_H
#include "serve/arms.h"
#include "serve/json_in.h"
#include "serve/served_model.h"

#define SERVED_MODELS_MAX 64
#define SERVED_ARMS_MAX (SERVED_MODELS_MAX * ARMS_MAX)

struct served_models { struct arms **name; int n; struct machine *machine; struct arms_memory memory; };
/* device: as served_model_opts'.  name NULL: the last part of the path.  source.wanted: name must be there, and path is not looked at. */
struct model_place { const char *name, *path, *device; struct arms_source source; };

/* n <= SERVED_MODELS_MAX, in the order given; o: what they have in common.  memory: bytes that all may take, 0: what is free.  swap: of arms.  ERR_NOMEM tells what each takes;
 * ERR_USAGE: two have the same name. */
int served_models_open(struct served_models *m, const struct served_model_opts *o, const struct model_place *place, int n, size_t memory, bool swap, struct err *err);
void served_models_halt(struct served_models *m);
void served_models_close(struct served_models *m);
/* NULL: there is none.  *which: as of served_model_find(). */
struct arms *served_models_find(const struct served_models *m, const char *name, int *which);
/* That which the field "model" of a request, or Ollama's "name", names, which may end in Ollama's ":latest".  The only one where there is no
 * such field, and the first where it is no text: then the readers of requests say so.  NULL: told in e. */
struct arms *served_models_asked(const struct served_models *m, const json_t *request, int *which, struct refusal *e);
/* Held: those that answer each name, or with all those beside them, too. */
struct served_list { struct served_model *model[SERVED_ARMS_MAX]; int n; };
/* Has one lost its device, and is it being loaded here, or could not be? */
enum served_state { SERVED_WELL, SERVED_MOVES, SERVED_STRANDED };
enum served_state served_models_state(const struct served_models *m);
void served_models_hold(const struct served_models *m, bool all, struct served_list *out);
void served_list_drop(struct served_list *l);
/* Of all: texts that are under way and that wait, how many of both need steps to go on, and the steps that were made. */
struct served_count { int n_running, n_waiting, n_with_steps; uint64_t n_step; };
struct served_count served_models_count(const struct served_models *m);
#endif
