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

/* What a version of a model is, to be kept with it: what lathe info says and the digests of its tokenizer and chat template, its generation config and licence where
 * its files have them.  registry_facts_complete() is registry_addition's: it adds "sha256", the digest of the weights, and `digests`, by which evidence calls it
 * (model_digest), of the folder as it is and as it is in the registry; the weights are read again only where the folder has files that the version has not.  Of
 * adapters by themselves (adapter_is_folder): "adapter_sha256", by which evidence calls a base with them (adapter_digest), and "base_model", as their file names it. */
struct registry_facts { const char *path; json_t *facts, *weights; };
int registry_facts_read(struct registry_facts *r, const char *path, struct err *err);
int registry_facts_complete(void *ctx, json_t *facts, const struct manifest *files, const char digest[SHA256_HEX], struct err *err);
void registry_facts_release(struct registry_facts *r);
/* registry_add() with these facts, unless facts_too is false, and without checkpoints in the folder of a run and what --ignore names. */
int cmd_registry_add(struct registry *g, struct registry_addition *a, bool facts_too, const struct journal_by *by, struct registry_version *out, struct err *err);
#endif
