/* cmd_plan.c - what it will take, before it is bought. */
#include <jansson.h>
#include "cmd/cmd.h"
#include "cmd/plan_check.h"
#include "cmd/plan_lists.h"
#include "cmd/plan_model.h"

static bool check, devices, models;

static int run_plan(const char *const *args, int n_args, struct err *err)
{
    static struct plan_model m;              /* a configuration is large */
    if (check + devices + models + (n_args > 0) != 1)
        return ERR(err, USAGE, "expected one of MODEL, --check, --devices and --models");
    if (check)
        return plan_check(err);
    if (devices)
        return plan_list_devices(err);
    if (models)
        return plan_list_models(err);
    TRY(plan_model_open(&m, args[0], err));
    if (cmd_json)
        return cmd_print_json(plan_model_json(&m), err);
    plan_model_print(&m);
    return 0;
}

static const struct opt opts[] = {
    { OPT_FLAG, "check", &check, NULL, "how far off predictions were on this machine: of steps, memory and answers", 0, 0 },
    { OPT_FLAG, "devices", &devices, NULL, "the devices that are known by name, with what is known of them", 0, 0 },
    { OPT_FLAG, "models", &models, NULL, "the models that are known by name, with where their configurations are from", 0, 0 },
    OPT_THREADS, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_plan = {
    "plan", "[MODEL]", "what a model takes, before it is bought or rented",
    TEXT("MODEL is a folder, a config.json alone, a GGUF file, or the name of a published model (--models); weights are not read.  Says how many\n"
    "parameters it has, where they are, what they and the keys and values of a text take, and the operations of a token.\n\n"
    "lathe train leaves what it predicted and what then was in $XDG_STATE_HOME/lathe/plans.jsonl (~/.local/state): --check tells how far off\n"
    "that was, for each kind of prediction and machine."),
    opts, run_plan, 0, 1,
};
