/* cmd_plan.c - what it will take, before it is bought. */
#include <jansson.h>
#include "cmd/cmd.h"
#include "cmd/plan_check.h"
#include "cmd/plan_lists.h"
#include "cmd/plan_model.h"
#include "cmd/plan_options.h"
#include "cmd/plan_train.h"

static bool check, devices, models;
static struct plan_options o = {
    .weights = "auto", .cache = "auto", .price = -1, .kwh = 0.15, .watts = -1, .network = -1, .bandwidth = 1, .peak = 1, .memory = 1,
    .tokens = 1e9, .batch_tokens = 4e6, .imbalance = 1,
};

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
    if (o.train && !o.device.n)
        return ERR(err, USAGE, "--train is of --device, which is missing: NAME[:COUNT], such as h100:8 (lathe plan --devices)");
    if (o.train)
        return plan_of_training(&m, &o, err);
    if (cmd_json)
        return cmd_print_json(plan_model_json(&m), err);
    plan_model_print(&m);
    return 0;
}

static const struct opt opts[] = {
    { OPT_LIST, "device", &o.device, "<name[:mode][:count]>", "such as mi300x:8 or mi300x:cpx:8 (--devices); may be given again; without a count as many as it takes", 0, 0 },
    { OPT_STR, "weights", &o.weights, "<type>", "of matrices: auto, f32, bf16, fp8, int8, fp4; auto: as the files have them, or bf16", 0, 0 },
    { OPT_FLOAT, "weight-bits", &o.weight_bits, "<float>", "of a number of them with its scales, such as 4.5 of q4_0; 0: the type's own", 0, 64 },
    { OPT_FLOAT, "price", &o.price, "<usd>", "of a device and hour; below 0: the table's", -1, 1e6 },
    { OPT_FLOAT, "watts", &o.watts, "<W>", "of a device; below 0: the table's", -1, 1e6 },
    { OPT_FLOAT, "network", &o.network, "<GB/s>", "of a device to other nodes, one way; below 0: the table's", -1, 1e6 },
    { OPT_FLOAT, "bandwidth-times", &o.bandwidth, "<float>", "what if memory were so many times as fast", 0.01, 100 },
    { OPT_FLOAT, "peak-times", &o.peak, "<float>", "what if products were so many times as fast", 0.01, 100 },
    { OPT_FLOAT, "memory-times", &o.memory, "<float>", "what if there were so many times as much memory", 0.01, 100 },
    { OPT_FLAG, "explain", &o.explain, NULL, "also what the figures are made of", 0, 0 },
    { OPT_FLAG, "train", &o.train, NULL, "what it takes to train it on these devices", 0, 0 },
    { OPT_FLOAT, "tokens", &o.tokens, "<count>", "--train: in all", 1, 1e18 },
    { OPT_FLOAT, "batch-tokens", &o.batch_tokens, "<count>", "--train: of a step, of all devices together", 1, 1e12 },
    { OPT_INT, "ctx", &o.ctx, "<int>", "--train: tokens of a sequence; 0: the model's", 0, 1e8 },
    { OPT_INT, "lora-rank", &o.lora_rank, "<int>", "--train: adapters of this rank are learned, the weights are not; 0: all is learned", 0, 65536 },
    { OPT_INT, "gradient-bytes", &o.gradient_bytes, "<int>", "--train: of a gradient: 2 or 4; 0: 4", 0, 4 },
    { OPT_FLOAT, "imbalance", &o.imbalance, "<float>", "--train: rows of the fullest device's experts over the mean", 1, 1000 },
    { OPT_FLAG, "hide-experts", &o.hide_experts, NULL, "--train: experts' rows travel while another micro-batch is computed (DualPipe)", 0, 0 },
    { OPT_FLAG, "check", &check, NULL, "how far off predictions were on this machine: of steps, memory and answers", 0, 0 },
    { OPT_FLAG, "devices", &devices, NULL, "the devices that are known by name, with what is known of them", 0, 0 },
    { OPT_FLAG, "models", &models, NULL, "the models that are known by name, with where their configurations are from", 0, 0 },
    OPT_THREADS, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_plan = {
    "plan", "[MODEL]", "what a model takes, before it is bought or rented",
    TEXT("MODEL is a folder, a config.json alone, a GGUF file, or the name of a published model (--models); weights are not read.  Says how many\n"
    "parameters it has, where they are, what they and the keys and values of a text take, and the operations of a token.\n\n"
    "With --train the layouts of the devices (tensor, pipeline, data and expert parallelism, ZeRO, micro-batch, recomputation) are tried\n"
    "that fit, and the fastest is told: memory by part, the time of a step by part, and time, cost and energy of --tokens; with --explain\n"
    "also the next ones.  Memory is that of bf16 weights with fp32 master weights and two moments, gradients of --gradient-bytes.\n\n"
    "lathe train leaves what it predicted and what then was in $XDG_STATE_HOME/lathe/plans.jsonl (~/.local/state): --check tells how far off\n"
    "that was, for each kind of prediction and machine."),
    opts, run_plan, 0, 1,
};
