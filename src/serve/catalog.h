/* catalog.h - the models of a server as one client sees them: those that its key may ask, each as it is and with its adapters. */
#ifndef SERVE_CATALOG_H
#define SERVE_CATALOG_H
#include "serve/http.h"
#include "serve/served_models.h"

/* Those of which the client may ask the model itself or one with an adapter, held: those that answer, or with all versions beside them, too. */
void catalog_models(const struct served_models *m, struct http_request *q, bool all, struct served_list *out);
/* GET /v1/models, in Anthropic's words for who says which version of its API is spoken, else in OpenAI's.  NULL: there is no memory. */
json_t *catalog_list(const struct served_models *m, struct http_request *q);
/* One of them, in the same words; false: the client knows none of that name. */
bool catalog_find(json_t **out, const struct served_models *m, struct http_request *q, const char *name);

#endif
