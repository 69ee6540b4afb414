/* mlflow_api.h - what MLflow's paths do with a registry; between mlflow.c, which has the sockets, and store/.  Internal to them. */
#ifndef SERVE_MLFLOW_API_H
#define SERVE_MLFLOW_API_H
#include "serve/json_in.h"
#include "serve/registry_server.h"

#define MLFLOW_PREFIX "/api/2.0/mlflow/"

/* One request.  request: its JSON, or, of GET, the texts of its query.  e: what is wrong, code being MLflow's error_code. */
struct mlflow_ask { struct registry *g; const struct registry_server_opts *o; const char *actor; const json_t *request; struct refusal e; };

struct mlflow_route { const char *method, *path; json_t *(*answer)(struct mlflow_ask *a); };
/* What answers; NULL: e says why nothing does, *allowed being another method of the path or NULL. */
const struct mlflow_route *mlflow_route_of(const char *method, const char *path, const char **allowed, struct refusal *e);
/* The parameters that a query may have. */
extern const char *const mlflow_query_names[];             /* NULL at the end */

/* Where e has no code, the one that its status stands for. */
const char *mlflow_code(const struct refusal *e);
void mlflow_refuse_err(struct refusal *e, const struct err *err);

/* mlflow_search.c: registered-models/search and model-versions/search */
json_t *mlflow_search_models(struct mlflow_ask *a);
json_t *mlflow_search_versions(struct mlflow_ask *a);
/* As MLflow tells them.  versions: registry_versions(), for the latest one.  NULL: no memory, which is told in e. */
json_t *mlflow_model_json(struct mlflow_ask *a, const json_t *name, const json_t *versions);
json_t *mlflow_version_json(struct mlflow_ask *a, const json_t *version);
#endif
