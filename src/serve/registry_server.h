/* registry_server.h - a registry over HTTP, in the words of MLflow's REST API 2.0 (mlflow_api.h) and of the OCI's distribution-spec 1.1 (oci.h), so that what speaks
 * these can list, register, push, pull and name versions.
 *
 * A server of its own, not part of that of models: it needs no model, its keys may move aliases, which those of who asks for texts may not, and
 * /api/ is Ollama's there.  The thread of connections reads requests, and sends and takes blobs; one other answers what needs the registry's tables, one after the other: a large version that is
 * copied in or looked at keeps the rest of those waiting.
 *
 * Every change goes through store/, with the key's name as actor and "MLflow" or "OCI" as reason.  What a registry does not do, to delete or to rename
 * what its journal tells of, is refused.  doc/mlflow.md and doc/oci.md have the paths and what differs from others' servers. */
#ifndef SERVE_REGISTRY_SERVER_H
#define SERVE_REGISTRY_SERVER_H
#include "serve/origin.h"
#include "store/registry.h"

struct registry_server;
struct registry_server_opts {
    const char *address; int port;       /* 0: any that is free */
    const char *key, *keys;              /* as of server.h; NULL: none, on an address of this machine alone */
    struct origins origins;
    const char *registry;                /* registry_open(); made where it is not there */
    const char *actor;                   /* where there is no key */
    const char *import_root;             /* the folder that versions may be registered from; NULL: none */
    /* registry_add() with the facts of what a->path is, and without what is no part of it. */
    int (*add)(struct registry *g, struct registry_addition *a, const struct journal_by *by, struct registry_version *out, struct err *err);
};
int registry_server_start(struct registry_server **out, const struct registry_server_opts *o, struct err *err);
int registry_server_port(const struct registry_server *m);
void registry_server_stop(struct registry_server *m);      /* what is under way is finished; NULL is fine */
#endif
