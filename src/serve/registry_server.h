/* mlflow.h - the registry over HTTP in the words of MLflow's REST API 2.0, so that its client and what is built on that can list, register
 * and name versions.
 *
 * A server of its own, not part of that of models: it needs no model, its keys may move aliases, which those of who asks for texts may not, and
 * /api/ is Ollama's there.  The thread of connections reads requests, one other answers them, one after the other: a large version that is copied in keeps
 * the rest waiting.
 *
 * Every change goes through store/, with the key's name as actor and "MLflow" as reason.  What a registry does not do, to delete or to rename
 * what its journal tells of, is refused with PERMISSION_DENIED.  doc/mlflow.md has the paths and what differs from MLflow's own server. */
#ifndef SERVE_MLFLOW_H
#define SERVE_MLFLOW_H
#include "serve/origin.h"
#include "store/registry.h"

struct mlflow;
struct mlflow_opts {
    const char *address; int port;       /* 0: any that is free */
    const char *key, *keys;              /* as of server.h; NULL: none, on an address of this machine alone */
    struct origins origins;
    const char *registry;                /* registry_open(); made where it is not there */
    const char *actor;                   /* where there is no key */
    const char *import_root;             /* the folder that versions may be registered from; NULL: none */
    /* registry_add() with the facts of what a->path is, and without what is no part of it. */
    int (*add)(struct registry *g, struct registry_addition *a, const struct journal_by *by, struct registry_version *out, struct err *err);
};
int mlflow_start(struct mlflow **out, const struct mlflow_opts *o, struct err *err);
int mlflow_port(const struct mlflow *m);
void mlflow_stop(struct mlflow *m);      /* what is under way is finished; NULL is fine */
#endif
