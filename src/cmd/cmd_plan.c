/* cmd_plan.c - what it will take, before it is bought. */
#include <jansson.h>
#include "cmd/cmd.h"
#include "cmd/option_modes.h"
#include "cmd/plan_check.h"
#include "cmd/plan_learn.h"
#include "cmd/plan_lists.h"
#include "cmd/plan_model.h"
#include "cmd/plan_options.h"
#include "cmd/plan_serve.h"
#include "cmd/plan_train.h"
#include "cmd/plan_versus.h"

static bool check, devices, models;
static const char *learn;
static struct plan_options o = {
    .device_model = "auto", .weights = "auto", .cache = "auto", .price = -1, .kwh = 0.15, .watts = -1, .network = -1, .bandwidth = 1, .peak = 1, .memory = 1,
    .workload = "chat", .ttft_s = 2, .tpot_s = 0.1, .life_years = 4, .idle = 0.3, .tokens = 1e9, .batch_tokens = 4e6, .imbalance = 1, .launch_s = -1,
};

/* ---- which options belong together ---- */

enum { CHECK = 1, DEVICES = 2, MODELS = 4, FACTS = 8, SERVE = 16, VERSUS = 32, TRAIN = 64, LEARN = 128, SERVED = SERVE | VERSUS, PLANNED_FOR = SERVED | TRAIN };
static const char *const mode_word[] = { "--check", "--devices", "--models", "MODEL alone", "MODEL with --device", "--versus", "--train", "--learn" };
static const struct option_use uses[] = {
    { "device", PLANNED_FOR }, { "device-model", PLANNED_FOR }, { "weights", PLANNED_FOR }, { "weight-bits", PLANNED_FOR }, { "price", PLANNED_FOR }, { "watts", PLANNED_FOR }, { "network", PLANNED_FOR },
    { "bandwidth-times", PLANNED_FOR }, { "peak-times", PLANNED_FOR }, { "memory-times", PLANNED_FOR }, { "explain", PLANNED_FOR },
    { "workload", SERVED }, { "prompt", SERVED }, { "output", SERVED }, { "rate", SERVED }, { "users", SERVED }, { "think", SERVED }, { "ramp", SERVED }, { "ttft", SERVED }, { "tpot", SERVED }, { "e2e", SERVED },
    { "requests", SERVED }, { "seed", SERVED }, { "kv", SERVED }, { "tp", SERVED }, { "pp", SERVED }, { "ep", SERVED }, { "parallel", SERVED }, { "step-tokens", SERVED }, { "host", SERVED },
    { "idle", SERVED }, { "versus", VERSUS }, { "api", VERSUS }, { "life", VERSUS }, { "kwh", VERSUS }, { "html", VERSUS },
    { "train", TRAIN }, { "tokens", TRAIN }, { "batch-tokens", TRAIN }, { "ctx", TRAIN }, { "lora-rank", TRAIN }, { "gradient-bytes", TRAIN }, { "imbalance", TRAIN }, { "hide-experts", TRAIN },
    { "launch", TRAIN },
};

static int check_options(int n_args, struct err *err)
{
    if (check + devices + models + (learn != NULL) + (n_args > 0) != 1)
        return ERR(err, USAGE, "expected one of MODEL, --check, --devices, --models and --learn");
    if (n_args && o.train && o.versus)
        return ERR(err, USAGE, "expected one of --train and --versus");
    if (o.train && o.weight_bits > 0 && !o.lora_rank)
        return ERR(err, USAGE, "--weight-bits: with --train it is of weights that are not learned: --lora-rank");
    const unsigned mode = check ? CHECK : devices ? DEVICES : models ? MODELS : learn ? LEARN : o.train ? TRAIN : o.versus ? VERSUS : o.device.n ? SERVE : FACTS;
    return option_modes_check(uses, sizeof uses / sizeof *uses, mode_word, sizeof mode_word / sizeof *mode_word, mode, err);
}

static int run_plan(const char *const *args, int n_args, struct err *err)
{
    static struct plan_model m;              /* a configuration is large */
    TRY(check_options(n_args, err));
    if (check)
        return plan_check(err);
    if (devices)
        return plan_list_devices(err);
    if (models)
        return plan_list_models(err);
    if (learn)
        return plan_learn(learn, err);
    TRY(plan_model_open(&m, args[0], err));
    if (o.train && !o.device.n)
        return ERR(err, USAGE, "--train is of --device, which is missing: NAME[:COUNT], such as h100:8 (lathe plan --devices)");
    if (o.train)
        return plan_of_training(&m, &o, err);
    if (o.versus && !o.device.n)
        return ERR(err, USAGE, "--versus is of --device, which is missing: NAME[:COUNT], such as h100, or agx-orin=1999 for one that is bought (lathe plan --devices)");
    if (o.versus)
        return plan_versus(&m, &o, err);
    if (o.device.n)
        return plan_of_serving(&m, &o, err);
    if (cmd_json)
        return cmd_print_json(plan_model_json(&m), err);
    plan_model_print(&m);
    return 0;
}

static const struct opt opts[] = {
    { OPT_LIST, "device", &o.device, "<name[:mode][:count]>", "such as mi300x:8 or mi300x:cpx:8 (--devices); may be given again; without a count as many as it takes; with =1.99/h rented at that, with =25000 (--versus) bought", 0, 0 },
    { OPT_CHOICE, "device-model", &o.device_model, "auto|learnt|table", "whose constants a device has: the table's, or those that --learn took from its self test; auto: these where there are any", 0, 0 },
    { OPT_STR, "weights", &o.weights, "<type>", "of matrices: auto, f32, bf16, fp8, int8, fp4; auto: as the files have them, or bf16", 0, 0 },
    { OPT_FLOAT, "weight-bits", &o.weight_bits, "<float>", "of a number of them with its scales, such as 4.5 of q4_0; 0: the type's own", 0, 64 },
    { OPT_FLOAT, "price", &o.price, "<usd>", "of a device and hour; below 0: the table's", -1, 1e6 },
    { OPT_FLOAT, "watts", &o.watts, "<W>", "of a device; below 0: the table's", -1, 1e6 },
    { OPT_FLOAT, "network", &o.network, "<GB/s>", "of a device to other nodes, one way; below 0: the table's", -1, 1e6 },
    { OPT_FLOAT, "bandwidth-times", &o.bandwidth, "<float>", "what if memory were so many times as fast", 0.01, 100 },
    { OPT_FLOAT, "peak-times", &o.peak, "<float>", "what if products were so many times as fast", 0.01, 100 },
    { OPT_FLOAT, "memory-times", &o.memory, "<float>", "what if there were so many times as much memory", 0.01, 100 },
    { OPT_STR, "workload", &o.workload, "<name|file>", "chat, code, rag, batch, a file of requests with their times and tokens, or recorded[:PLACE], what a server recorded", 0, 0 },
    { OPT_STR, "prompt", &o.prompt, "<lengths>", "tokens of prompts in place of the workload's: 1000, 200-400, lognormal:1020,0.9", 0, 0 },
    { OPT_STR, "output", &o.output, "<lengths>", "tokens of answers, in the same way", 0, 0 },
    { OPT_FLOAT, "rate", &o.rate, "<float>", "requests a second; 0: as many as the targets allow, or a file's own", 0, 1e9 },
    { OPT_INT, "users", &o.users, "<int>", "who ask again when their answer is there, in place of a rate", 0, 1e7 },
    { OPT_FLOAT, "think", &o.think_s, "<seconds>", "--users: between an answer and the next request, on average (exponential)", 0, 1e6 },
    { OPT_FLOAT, "ramp", &o.ramp_s, "<seconds>", "--users: each begins at a random moment of so many, the first at once; 0: all at once", 0, 1e6 },
    { OPT_FLOAT, "ttft", &o.ttft_s, "<seconds>", "to the first token, for 99 % of requests; 0: any", 0, 1e6 },
    { OPT_FLOAT, "tpot", &o.tpot_s, "<seconds>", "for each further token, likewise", 0, 1e6 },
    { OPT_FLOAT, "e2e", &o.e2e_s, "<seconds>", "to the end of the answer, likewise", 0, 1e6 },
    { OPT_INT, "requests", &o.requests, "<int>", "of a simulation; 0: 2,000, or all of a file", 0, 1e9 },
    { OPT_INT, "seed", &o.seed, "<int>", "of lengths and arrivals", 0, 9e18 },
    { OPT_STR, "kv", &o.cache, "<type>", "keys and values: auto, f32, bf16, fp8, int8; auto: bf16", 0, 0 },
    { OPT_INT, "tp", &o.tp, "<int>", "devices that share each layer; 0: chosen", 0, 1024 },
    { OPT_INT, "pp", &o.pp, "<int>", "stages of layers; 0: chosen", 0, 1024 },
    { OPT_INT, "ep", &o.ep, "<int>", "groups that the experts are divided into; 0: chosen", 0, 1024 },
    { OPT_INT, "parallel", &o.slots, "<int>", "texts under way at once in a replica; 0: chosen", 0, 1e6 },
    { OPT_INT, "step-tokens", &o.step_tokens, "<int>", "rows of a step at most; 0: 8,192", 0, 1e6 },
    { OPT_FLOAT, "host", &o.host_s, "<seconds>", "of a step beside the device's", 0, 10 },
    { OPT_FLAG, "versus", &o.versus, NULL, "what loads cost on these devices and by the token, and from which on which is cheaper", 0, 0 },
    { OPT_LIST, "api", &o.api, "<[name=]in:out>", "--versus: dollars for a million tokens; may be given again; otherwise a usual price for a model of this size", 0, 0 },
    { OPT_FLOAT, "life", &o.life_years, "<years>", "--versus: that a bought device serves", 0.1, 100 },
    { OPT_FLOAT, "kwh", &o.kwh, "<usd>", "--versus: price of energy, for bought ones", 0, 100 },
    { OPT_FLOAT, "idle", &o.idle, "<share>", "watts of a device that waits, as a share of those of one that works", 0, 1 },
    { OPT_STR, "html", &o.html, "<file>", "--versus: also as a page, with the costs over load as a picture", 0, 0 },
    { OPT_FLAG, "explain", &o.explain, NULL, "also what the figures are made of", 0, 0 },
    { OPT_FLAG, "train", &o.train, NULL, "what it takes to train it on these devices", 0, 0 },
    { OPT_FLOAT, "tokens", &o.tokens, "<count>", "--train: in all", 1, 1e18 },
    { OPT_FLOAT, "batch-tokens", &o.batch_tokens, "<count>", "--train: of a step, of all devices together", 1, 1e12 },
    { OPT_INT, "ctx", &o.ctx, "<int>", "--train: tokens of a sequence; 0: the model's", 0, 1e8 },
    { OPT_INT, "lora-rank", &o.lora_rank, "<int>", "--train: adapters of this rank are learned, the weights are not; 0: all is learned", 0, 65536 },
    { OPT_INT, "gradient-bytes", &o.gradient_bytes, "<int>", "--train: of a gradient: 2 or 4; 0: 4", 0, 4 },
    { OPT_FLOAT, "launch", &o.launch_s, "<seconds>", "--train: of the host for a kernel, one of many; 0: all are in graphs; below 0: 50e-6, as of PyTorch", -1, 1 },
    { OPT_FLOAT, "imbalance", &o.imbalance, "<float>", "--train: rows of the fullest device's experts over the mean", 1, 1000 },
    { OPT_FLAG, "hide-experts", &o.hide_experts, NULL, "--train: experts' rows travel while another micro-batch is computed (DualPipe)", 0, 0 },
    { OPT_FLAG, "check", &check, NULL, "how far off predictions were on this machine: of steps, memory and answers", 0, 0 },
    { OPT_STR, "learn", &learn, "<report>", "of lathe selftest --json or --out: figures of that device, for its plans from now on", 0, 0 },
    { OPT_FLAG, "devices", &devices, NULL, "the devices that are known by name, with what is known of them", 0, 0 },
    { OPT_FLAG, "models", &models, NULL, "the models that are known by name, with where their configurations are from", 0, 0 },
    OPT_THREADS, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_plan = {
    "plan", "[MODEL]", "what a model takes, before it is bought or rented",
    TEXT("MODEL is a folder, a config.json alone, a GGUF file, or the name of a published model (--models); weights are not read.  Says how many\n"
    "parameters it has, where they are, what they and the keys and values of a text take, and the operations of a token.\n\n"
    "With --device it is served there: the layout of the devices that serves most within the targets, the most requests a second of which 99 % keep\n"
    "them, and what users see at that load, or at --rate or with --users, by simulating each request with this program's scheduler on the prices of the\n"
    "device's kernels.  --device this is the machine that this runs on, measured for the model in some seconds, as lathe serve would use it: 16\n"
    "texts at once with room for 1,024 tokens each, unless --parallel says otherwise.\n\n"
    "With --versus costs are told by load, of devices that are rented by the hour, of those that were bought (NAME=USD) and of an API by the token, with\n"
    "the loads from which on one is cheaper than another; --explain adds how these move when each assumption is 20 % off.\n\n"
    "With --train the layouts of the devices (tensor, pipeline, data and expert parallelism, ZeRO, micro-batch, recomputation) are tried\n"
    "that fit, and the fastest is told: memory by part, the time of a step by part, and time, cost and energy of --tokens; with --explain\n"
    "also the arithmetic of each of these numbers, and the next layouts.  Memory is that of bf16 weights with fp32 master weights and two moments, gradients of --gradient-bytes.\n\n",
    "lathe train, and lathe serve --foretell, leave what they predicted and what then was in $XDG_STATE_HOME/lathe/plans.jsonl\n"
    "(~/.local/state): --check tells how far off that was, for each kind of prediction and machine.  doc/planning.md tells more, also of how\n"
    "far to trust a plan.\n\n"
    "--learn keeps what `lathe selftest` measured on a GPU in ~/.cache/lathe/devices.json: bandwidth, products, launches.  Plans of that device then go by it, and say so."),
    opts, run_plan, 0, 1,
};
