#include "cmd/cmd.h"
#include "exec/exec.h"
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "cmd/signature.h"
#include "cpu/kernels.h"
#include "store/models.h"
#include "store/registry.h"

const struct command *const commands[] = {
#define COMMAND(name) &command_##name,
#include "cmd/commands.def"
#undef COMMAND
    NULL,
};

const struct command *command_find(const char *const *word, int n, int *n_word)
{
    for (const struct command *const *c = commands; *c; c++) {
        const char *space = strchr((*c)->name, ' ');
        const size_t first = space ? (size_t)(space - (*c)->name) : strlen((*c)->name);
        *n_word = space ? 2 : 1;
        if (n >= *n_word && strlen(word[0]) == first && !strncmp(word[0], (*c)->name, first) && (!space || !strcmp(word[1], space + 1)))
            return *c;
    }
    return NULL;
}

/* What is there instead of a command that is not. */
static int unknown(const char *const *word, int n)
{
    const char *names[64];
    const size_t first = strlen(word[0]);
    int n_name = 0, n_below = 0;
    for (const struct command *const *p = commands; *p; p++) {
        names[n_name++] = (*p)->name;
        n_below += !strncmp((*p)->name, word[0], first) && (*p)->name[first] == ' ';
    }
    if (n_below) {
        fprintf(stderr, "lathe: expected one of");
        for (const struct command *const *p = commands; *p; p++)
            if (!strncmp((*p)->name, word[0], first) && (*p)->name[first] == ' ')
                fprintf(stderr, " 'lathe %s'", (*p)->name);
        fprintf(stderr, n > 1 ? ", found '%s'\n" : "\n", n > 1 ? word[1] : "");
        return 2;
    }
    const char *near = word_nearest(word[0], names, n_name);
    fprintf(stderr, "lathe: unknown command '%s'%s%s%s; lathe help lists them\n", word[0], near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return 2;
}

/* ---- shared ---- */

int64_t cmd_threads;
bool cmd_json, cmd_quiet;
volatile sig_atomic_t cmd_stop;

int cmd_n_thread(void) { return cmd_threads ? (int)cmd_threads : pool_cpu_count(); }

static struct pool *pool;

int cmd_pool(struct pool **out, struct err *err)
{
    if (!pool)
        TRY(pool_new(&pool, cmd_n_thread(), err));
    *out = pool;
    return 0;
}

const char *cmd_precision = "file";

const char *cmd_kv = "auto", *cmd_adapter;

enum engine_kv cmd_engine_kv(void)
{
    return !strcmp(cmd_kv, "fp32") ? ENGINE_KV_F32 : !strcmp(cmd_kv, "bf16") ? ENGINE_KV_BF16 : !strcmp(cmd_kv, "int8") ? ENGINE_KV_INT8 : ENGINE_KV_AUTO;
}

const char *cmd_device = "cpu";
int64_t cmd_device_layers, cmd_cpu_experts;

int cmd_check_parts(struct err *err)
{
    return !cmd_device_layers && !cmd_cpu_experts ? 0 : ERR(err, USAGE, "--%s parts a model between a device and the CPU, expected --device with it", cmd_device_layers ? "device-layers" : "cpu-experts");
}

int cmd_open_device(struct graph_device **out, struct err *err)
{
    *out = NULL;
    if (!strcmp(cmd_device, "cpu"))
        return cmd_check_parts(err);
    if (cmd_adapter)
        return ERR(err, UNSUPPORTED, "--device %s: adapters are done on the CPU alone; lathe merge puts one into a model", cmd_device);
    return exec_open(out, cmd_device, err);
}

struct engine_opts cmd_engine(struct engine_opts o)
{
    o.as = cmd_weights_as(), o.kv = cmd_engine_kv();
    o.device_layers = cmd_device_layers ? (int)cmd_device_layers : ENGINE_LAYERS_FIT, o.cpu_experts = (int)cmd_cpu_experts;
    o.adapter = &cmd_adapter, o.n_adapter = cmd_adapter != NULL, o.adapted = cmd_adapter != NULL;
    return o;
}

enum weights_as cmd_weights_as(void)
{
    return !strcmp(cmd_precision, "fp32") ? WEIGHTS_F32 : !strcmp(cmd_precision, "bf16") ? WEIGHTS_BF16 : !strcmp(cmd_precision, "f16") ? WEIGHTS_F16 : WEIGHTS_FILE;
}

double cmd_temperature = 0.8, cmd_top_p = 1;
int64_t cmd_top_k, cmd_seed = 1;

struct sampling cmd_sampling(void)
{
    return (struct sampling){ .temperature = cmd_temperature, .top_k = (int)cmd_top_k, .top_p = cmd_top_p, .seed = (uint64_t)cmd_seed };
}

const char *cmd_draft;
int64_t cmd_lookup;

struct spec_opts cmd_spec_opts(struct engine *e)
{
    return (struct spec_opts){ .e = e, .lookup = (int)cmd_lookup, .draft = cmd_draft, .draft_as = cmd_weights_as(), .pool = pool };
}

int cmd_spec_n_logits(void) { return cmd_draft || cmd_lookup ? SPEC_N_LOGITS : 0; }

static void on_signal(int number)
{
    if (cmd_stop)
        _exit(128 + number);
    cmd_stop = number;
}

void cmd_catch_signals(void)
{
    struct sigaction a = { .sa_handler = on_signal };
    sigemptyset(&a.sa_mask);
    a.sa_flags = SA_RESTART;
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

volatile sig_atomic_t cmd_reload;

static void on_reload(int number) { cmd_reload = number; }

void cmd_catch_reload(void)
{
    struct sigaction a = { .sa_handler = on_reload, .sa_flags = SA_RESTART };
    sigemptyset(&a.sa_mask);
    sigaction(SIGHUP, &a, NULL);
}

static int find_model(char **out, const char *given, struct err *err)
{
    struct model_id id;
    struct registry_ref ref;
    struct err none;
    if (!file_exists(given) && strchr(given, '@') && !registry_ref_parse(&ref, given, &none))
        return registry_path_of(out, given, err) < 0 ? err_context(err, "there is no file or folder '%s'", given) : 0;
    if (!file_exists(given) && !model_id_parse(&id, given, &none))
        return models_find(out, &id, err) < 0 ? err_context(err, "there is no file or folder '%s'", given) : 0;
    *out = mem_strdup(given);
    return *out ? 0 : ERR(err, NOMEM, "no memory for the path of the model");
}

int cmd_model_path(char **out, const char *given, struct err *err)
{
    TRY(find_model(out, given, err));
    const int rc = cmd_check_signature(*out, err);
    if (rc) {
        mem_free(*out);
        *out = NULL;
    }
    return rc;
}

int cmd_print_json(json_t *o, struct err *err)
{
    char *text = o ? json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) : NULL;
    json_decref(o);
    if (!text)
        return ERR(err, NOMEM, "no memory to print the result");
    puts(text);
    mem_free(text);
    return 0;
}

/* ---- one command ---- */

static int exit_code(int rc) { return rc >= 0 ? 0 : rc == ERR_USAGE ? 2 : rc == ERR_GATE ? 3 : rc == ERR_STOPPED ? 4 : 1; }

/* Names of pulled models become paths before the command sees them. */
static int run_with_paths(const struct command *c, const char **args, int n, struct err *err)
{
    char *model = NULL, *draft = NULL;
    int rc = 0;
    if (n && !strncmp(c->args + (*c->args == '['), "MODEL", 5) && !(rc = cmd_model_path(&model, args[0], err)))
        args[0] = model;
    if (!rc && cmd_draft && !(rc = cmd_model_path(&draft, cmd_draft, err)))
        cmd_draft = draft;
    if (!rc && cmd_adapter)
        rc = cmd_check_signature(cmd_adapter, err);
    if (!rc)
        rc = c->run(args, n, err);
    pool_free(pool);
    mem_free(model);
    mem_free(draft);
    return rc;
}

/* ---- what the command line has ---- */

#define OPTS_MAX 128
static const struct command *running;
static bool given[OPTS_MAX];

bool cmd_given(const char *name)
{
    const struct opt *o = running ? opt_find(running->opts, name) : NULL;
    return o && given[o - running->opts];
}

int cmd_make_folder(const char *path, struct err *err)
{
    if (!path)
        return 0;
    if (file_mkdirs(path, err) < 0)
        return err_context(err, "--out");
    return access(path, W_OK | X_OK) ? ERR_ERRNO(err, "--out: folder %s cannot be written to", path) : 0;
}

static int run_with_args(const struct command *c, int argc, char **argv, const char **args, struct err *err)
{
    int n_opt = 0;
    while (c->opts[n_opt].type != OPT_END)
        n_opt++;
    assert(n_opt <= OPTS_MAX);
    running = c;
    const int n = opt_parse_given(c->opts, argc, argv, args, c->max_args, given, err);
    TRY(n);
    if (n < c->min_args)
        return ERR(err, USAGE, "expected: lathe %s %s", c->name, c->args);
    if (cpu_level_error())
        return ERR(err, USAGE, "%s", cpu_level_error());
    if (cmd_quiet)
        log_level_set(LOG_WARN);
    TRY(run_with_paths(c, args, n, err));
    if (fflush(stdout) || ferror(stdout))
        return ERR(err, IO, "the result could not be written to standard output");
    return 0;
}

static int run_command(const struct command *c, int argc, char **argv, struct err *err)
{
    const char **args = mem_alloc_array((size_t)argc, sizeof *args);
    const int rc = args ? run_with_args(c, argc, argv, args, err) : ERR(err, NOMEM, "no memory for %d arguments", argc);
    mem_free(args);
    return rc;
}

int cmd_main(int argc, char **argv)
{
    struct err err = { 0 };
    static char *help[] = { (char *)(uintptr_t)"help", NULL };
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        const int rc = run_command(&command_help, 1, help, &err);
        return argc < 2 ? 2 : exit_code(rc);
    }
    const char *words[] = { !strcmp(argv[1], "--version") ? "version" : argv[1], argc > 2 ? argv[2] : NULL };
    int n_word;
    const struct command *c = command_find(words, argc - 1, &n_word);
    if (!c)
        return unknown(words, argc - 1);
    for (int i = 1 + n_word; i < argc; i++)
        if (!strcmp(argv[i], "--help")) {
            char *help_of[] = { help[0], argv[1], n_word > 1 ? argv[2] : NULL, NULL };
            return exit_code(run_command(&command_help, 1 + n_word, help_of, &err));
        }
    const int rc = run_command(c, argc - n_word, argv + n_word, &err);
    if (rc < 0 && *err.msg)                      /* empty: another process of the run says it */
        fprintf(stderr, "lathe %s: %s\n", c->name, err.msg);
    return exit_code(rc);
}
