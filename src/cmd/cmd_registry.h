/* cmd_registry.h - what the commands of lathe registry share. */
#ifndef CMD_CMD_REGISTRY_H
#define CMD_CMD_REGISTRY_H
#include "cmd/cmd.h"
#include "store/registry.h"

extern const char *cmd_registry, *cmd_actor, *cmd_reason;
#define OPT_REGISTRY { OPT_STR, "registry", &cmd_registry, "<where>", "a folder or postgresql://...; else $LATHE_REGISTRY, else the folder registry beside pulled models", 0, 0 }
#define OPT_ACTOR { OPT_STR, "actor", &cmd_actor, "<name>", "who does it, for the journal; else $LATHE_ACTOR, else user@host", 0, 0 }
#define OPT_REASON { OPT_STR, "reason", &cmd_reason, "<text>", "why, for the journal", 0, 0 }

int cmd_registry_open(struct registry **out, bool make, struct err *err);
/* --actor and what stands for it, --reason. */
struct journal_by cmd_registry_by(void);
/* With the registry that is there: run(g, ctx), and it is closed. */
int cmd_registry_with(int (*run)(struct registry *g, void *ctx, struct err *err), void *ctx, struct err *err);

/* FOLDER/2026-11-27.checkpoint, signed by a private key's file, where today's is not there yet. */
int cmd_checkpoint_of_day(const char *key, const char *folder, struct err *err);

/* What a version is, to be kept with it: of a model what lathe info says and the digests of its tokenizer and chat template, its
 * generation config and licence where its files have them; `digests`: by which evidence calls it (model_digest), of the folder as it is and as it will be in the
 * registry, without what skip names (manifest_list). */
int cmd_registry_facts(json_t **out, const char *kind, const char *path, const char *const *skip, struct err *err);
/* registry_add() with these facts, unless facts_too is false, and without checkpoints in the folder of a run and what --ignore names. */
int cmd_registry_add(struct registry *g, struct registry_addition *a, bool facts_too, const struct journal_by *by, struct registry_version *out, struct err *err);
#endif
