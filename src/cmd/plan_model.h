/* plan_model.h - `lathe plan`: the model that a plan is for, by its files or by its name alone. */
#ifndef CMD_PLAN_MODEL_H
#define CMD_PLAN_MODEL_H
#include <stdbool.h>
#include "plan/facts.h"

struct plan_model {
    char name[128];
    struct config config;
    struct model_facts facts;
    const char *path;            /* as given, where there are files; NULL: known by name */
    double file_bits;            /* of a number in them on average; 0: no files of weights */
};

/* given: a GGUF file, a folder or its config.json, or the name of a published model (plan/published.h).  Keys of a configuration that are not used are a
 * warning.  ERR_UNSUPPORTED: no decoder of texts. */
int plan_model_open(struct plan_model *m, const char *given, struct err *err);

struct json_t;
struct json_t *plan_model_json(const struct plan_model *m);
void plan_model_print(const struct plan_model *m);

#endif
