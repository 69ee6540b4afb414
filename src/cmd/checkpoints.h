/* checkpoints.h - a registry's journal, signed at an interval by a server that runs anyway (store/checkpoint.h), and held against what was signed before.  Internal to cmd/.
 *
 * FOLDER gets a file each time that the journal has gone on: 2026-11-27T06-00-05Z.checkpoint.  Of those that are there when the server begins, and of its own, the one with the most
 * records counts: a journal that does not go on from it was cut, or made anew, which is said each time, and then nothing is signed. */
#ifndef CMD_CHECKPOINTS_H
#define CMD_CHECKPOINTS_H
#include "cmd/cmd.h"

/* The options, for a server's table and for checkpoints_start(). */
struct checkpoint_opts { const char *key, *folder, *every; };
extern struct checkpoint_opts checkpoint_opts;
#define OPT_CHECKPOINTS \
    { OPT_STR, "checkpoint-key", &checkpoint_opts.key, "<file>", "private key (PEM, P-256) that signs a checkpoint of the registry's journal now and then (lathe registry checkpoint)", 0, 0 }, \
    { OPT_STR, "checkpoints", &checkpoint_opts.folder, "<folder>", "of --checkpoint-key: where they go; better not where the registry is", 0, 0 }, \
    { OPT_STR, "checkpoint-every", &checkpoint_opts.every, "<time>", "of --checkpoint-key: how often the journal is looked at, and signed if it has gone on, as 10m or 1d", 0, 0 }

struct checkpoints;
/* registry: as registry_open() takes it.  NULL in *out where none are asked for.  What is wrong with the options, the key, or the folder is an error; a registry that cannot be read
 * is waited for. */
int checkpoints_start(struct checkpoints **out, const char *registry, struct err *err);
void checkpoints_stop(struct checkpoints *c);        /* NULL is fine */
#endif
