/* cmd.h - the table of commands: what `lathe NAME` runs, and what help, completion and doc/ say about it.
 *
 * Exit codes: 0 done, 1 failed, 2 misused (ERR_USAGE), 3 a gate said no (ERR_GATE), 4 stopped, and the same command goes on
 * (ERR_STOPPED).  Results go to stdout, talk to stderr. */
#ifndef CMD_CMD_H
#define CMD_CMD_H
#include <signal.h>
#include "base/opt.h"
#include "infer/engine.h"
#include "infer/spec.h"
#include "model/weights_pack.h"

struct command {
    const char *name, *args, *summary;       /* "train" or "data audit", "CONFIG", one line; args that begin with MODEL: see cmd_model_path */
    const char *const *text;                 /* of its page: pieces that TEXT() lists, as ISO C's strings end at 4,095 bytes */
    const struct opt *opts;
    int (*run)(const char *const *args, int n_args, struct err *err);
    int min_args, max_args;
};
#define TEXT(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define COMMAND(name) extern const struct command command_##name;
#include "cmd/commands.def"
#undef COMMAND
extern const struct command *const commands[];      /* NULL-terminated */

int cmd_main(int argc, char **argv);
/* The command that the first n words of argv name, one or two; *n_word says how many. */
const struct command *command_find(const char *const *word, int n, int *n_word);

/* ---- shared by the commands ---- */
extern int64_t cmd_threads;                  /* --threads: 0 means all cores */
extern bool cmd_json, cmd_quiet;
#define OPT_THREADS { OPT_INT, "threads", &cmd_threads, "<int>", "threads to use; 0: all cores", 0, 4096 }
#define OPT_JSON { OPT_FLAG, "json", &cmd_json, NULL, "print the result as JSON", 0, 0 }
#define OPT_QUIET { OPT_FLAG, "quiet", &cmd_quiet, NULL, "only warnings and errors on stderr", 0, 0 }
#define OPT_LAST { OPT_END, NULL, NULL, NULL, NULL, 0, 0 }
int cmd_n_thread(void);
/* The threads of this process, made at the first call; they end after the command. */
struct pool;
int cmd_pool(struct pool **out, struct err *err);
/* --precision: how a loaded model keeps its matrices (model/weights_pack.h). */
extern const char *cmd_precision;
#define OPT_PRECISION { OPT_CHOICE, "precision", &cmd_precision, "file|fp32|bf16|f16", "type that the weights are kept in; file: as they are", 0, 0 }
enum weights_as cmd_weights_as(void);
/* --kv: how keys and values are kept. */
extern const char *cmd_kv;
#define OPT_KV { OPT_CHOICE, "kv", &cmd_kv, "auto|fp32|bf16|int8", "how keys and values are kept; auto: bf16, or fp32 where the weights are", 0, 0 }
enum engine_kv cmd_engine_kv(void);
/* --adapter: a folder of adapters that the model has. */
extern const char *cmd_adapter;
#define OPT_ADAPTER { OPT_STR, "adapter", &cmd_adapter, "<folder>", "of adapters (adapter_config.json, adapter_model.safetensors) that the model is to have", 0, 0 }
/* --device: where a loaded model runs.  *out: NULL for the host. */
extern const char *cmd_device;
#define OPT_DEVICE { OPT_STR, "device", &cmd_device, "<device>", "where the model runs: cpu, hip:N (AMD), cuda:N (NVIDIA), or several, hip:0-7", 0, 0 }
/* How a model is parted between that and the CPU; cmd_engine() has it. */
extern int64_t cmd_device_layers, cmd_cpu_experts;
#define OPT_DEVICE_LAYERS { OPT_INT, "device-layers", &cmd_device_layers, "<int>", "layers that run on the --device, the last ones, the others on the CPU; 0: as many as fit there", 0, 1e6 }, \
    { OPT_INT, "cpu-experts", &cmd_cpu_experts, "<int>", "layers, the first ones, whose experts run on the CPU all the same", 0, 1e6 }
int cmd_check_parts(struct err *err);      /* where there is no device: ERR_USAGE if they are given */
int cmd_open_device(struct graph_device **out, struct err *err);
/* Options of an engine with those that these say. */
struct engine_opts cmd_engine(struct engine_opts o);
/* How tokens are drawn (infer/sample.h). */
extern double cmd_temperature, cmd_top_p;
extern int64_t cmd_top_k, cmd_seed;
#define OPT_SAMPLING \
    { OPT_FLOAT, "temp", &cmd_temperature, "<float>", "temperature; 0 takes the most likely token", 0, 100 }, \
    { OPT_INT, "top-k", &cmd_top_k, "<int>", "choose among the k most likely; 0: all", 0, 1e9 }, \
    { OPT_FLOAT, "top-p", &cmd_top_p, "<share>", "choose among the most likely that together have this probability", 0, 1 }, \
    { OPT_INT, "seed", &cmd_seed, "<int>", "of the choices; the same seed gives the same text", 0, 9e18 }
struct sampling cmd_sampling(void);
/* Drafts (infer/spec.h): the same text, in fewer steps. */
extern const char *cmd_draft;
extern int64_t cmd_lookup;
#define OPT_DRAFT { OPT_STR, "draft", &cmd_draft, "<model>", "a small model of the same vocabulary that guesses ahead: the same text, sooner", 0, 0 }
#define OPT_LOOKUP { OPT_INT, "lookup", &cmd_lookup, "<int>", "guess up to this many tokens from what followed the same words earlier (prompt lookup); 0: none", 0, SPEC_MAX }
struct spec_opts cmd_spec_opts(struct engine *e);       /* after cmd_pool */
int cmd_spec_n_logits(void);                 /* that an engine needs for this */
#define OPT_ROPE_SCALING(to) { OPT_STR, "rope-scaling", (to), "<kind:factor>", "stretch the model's positions: linear:4, dynamic:2 or yarn:4", 0, 0 }
/* Set when SIGINT or SIGTERM came; the second one ends the program at once. */
extern volatile sig_atomic_t cmd_stop;
void cmd_catch_signals(void);
/* Whether the command line has --NAME, whatever its value; false where the command has no such option. */
bool cmd_given(const char *name);
/* Makes the folder of --out (NULL: there is none), so that one that cannot be is found before the work. */
int cmd_make_folder(const char *path, struct err *err);
extern volatile sig_atomic_t cmd_reload;     /* set when SIGHUP came, which ends the program without this call */
void cmd_catch_reload(void);
/* A model's path as the user gave it or, when nothing has that path and it has the form of a name on the hub, where that model
 * was pulled to, or of one in the registry (NAME@N, NAME@ALIAS), where that version lies; free with mem_free.  The first argument of a command whose args begin with MODEL or [MODEL], and --draft,
 * went through here.  Where the command line asks for it, its signature holds (cmd/signature.h). */
int cmd_model_path(char **out, const char *given, struct err *err);
/* Prints a JSON value and a newline to stdout, checks that it was written; takes the value. */
struct json_t;
int cmd_print_json(struct json_t *o, struct err *err);

#endif
