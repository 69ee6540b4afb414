/* flow.h - stages that follow from each other, each a command of this program: read from a file, put in order, their arguments filled in.
 *
 *   name: bible                              of the whole; otherwise that of the file
 *   out: bible.run                           folder of what the stages make; otherwise NAME.run beside the file
 *   stages:
 *     audit:
 *       run: data audit texts                a command and its arguments, parted by blanks, or a list of them
 *       options: {policy: default}           its options
 *       gate: warn                           a gate that says no (exit code 3) is told, and the run goes on; otherwise `stop`
 *     train:
 *       run: train config.yaml
 *       inputs: [texts]                      files that it reads without being told on its command line or in a file named there
 *       needs: [audit]                       stages that come before, beside those that it names
 *     serve:
 *       run: serve $(train)
 *       stays: true                          goes on while the rest runs, and afterwards
 *
 * In arguments, options and inputs $(STAGE) is the folder that a stage writes (OUT/STAGE/out), $(this) its own, and $(STAGE.KEY) the value of a
 * key, or of a key within a key, of the JSON that a stage printed; $(STAGE.began) and $(STAGE.ended) are when it ran.  A command with an option --out for a folder gets OUT/STAGE/out unless it is
 * told another or named $(this); one with --json prints JSON.  A path within OUT/STAGE, on the command line or in a YAML or JSON file that is named there, makes that
 * stage one that comes before.  Paths are relative to where the program was started.
 *
 * One thread. */
#ifndef FLOW_FLOW_H
#define FLOW_FLOW_H
#include <jansson.h>
#include <stdbool.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/opt.h"

#define FLOW_STAGES_MAX 64
#define FLOW_WORDS_MAX 256

/* A command as the caller knows it: n_word of the words are its name; goes_on: what it left in the folder of --out when it was cut off, the same command goes on from;
 * into_argument: it writes into the file or folder that it is given, or beside it, unless it has an --out and is told one. */
struct flow_command { const char *name; int n_word; const struct opt *opts; bool goes_on, into_argument; };
typedef bool flow_find(struct flow_command *out, const char *const *word, int n);

struct flow_stage {
    const char *name;                        /* borrowed from the tree */
    struct flow_command command;
    const char *word[FLOW_WORDS_MAX]; int n_word;    /* as written, borrowed */
    json_t *options, *inputs;                /* borrowed, or NULL */
    bool stays, gate_warns;
    bool need[FLOW_STAGES_MAX];              /* directly */
    char *folder, *out, *whole;              /* OUT/STAGE, OUT/STAGE/out; the first from the root on */
};
struct flow {
    const char *path;                        /* of the file, borrowed */
    char *name, *out;
    json_t *tree;
    struct flow_stage *stage; int n;         /* in an order in which none comes before one that it needs; otherwise as in the file */
};
/* ERR_USAGE or ERR_FORMAT, with the file and the stage: unknown keys, commands, options and stages, and stages that need each other. */
int flow_read(struct flow *out, const char *path, flow_find *find, struct err *err);
void flow_release(struct flow *f);
int flow_index(const struct flow *f, const char *name, size_t n);      /* -1: no stage of that name */

/* ---- what a stage is run with ---- */

struct words { char **at; int n, cap; };     /* at is NULL-terminated once there is one */
int words_add(struct words *w, const char *text, size_t n, struct err *err);
void words_release(struct words *w);
/* The command line, "lathe" first.  Values that stages have not printed yet: ERR_NOTFOUND. */
int flow_argv(struct words *out, const struct flow *f, const struct flow_stage *s, struct err *err);
/* A text with its references filled in; into b, which is cleared. */
int flow_expand(struct buf *b, const struct flow *f, const struct flow_stage *s, const char *text, struct err *err);
/* Whether a path is within OUT/STAGE of a stage, or is it: which; -1: no. */
int flow_owner(const struct flow *f, const char *path);

bool flow_names_itself(const struct flow_stage *s);            /* $(this) is among its texts */
/* Whether a command writes to what an option of its names: out, registry, record, and the like. */
bool flow_is_written(const char *command, const char *option);
/* The same of a stage: some are written to where another option says so. */
bool flow_writes(const struct flow_stage *s, const char *option);

/* Calls `each` with what a text names, as it is or behind the = of NAME=PATH, if it may be a path; where it returns 1 and that is a YAML or JSON file, with every text in there too, and so on.
 * No path comes twice.  stage: whose text it is, to warn of files that cannot be read so; NULL: nothing is said. */
int flow_paths(const char *text, const char *stage, int (*each)(void *ctx, const char *path, struct err *err), void *ctx, struct err *err);
/* Calls `each` with every text of a stage's arguments, options and inputs that may be a path, as written; read_only: but for arguments and options that are written to. */
int flow_texts(const struct flow_stage *s, bool read_only, int (*each)(void *ctx, const char *text, struct err *err), void *ctx, struct err *err);

#endif
