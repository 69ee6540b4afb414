/* cmd_help.c - help, version and completion: all from the table of commands. */
#include <jansson.h>
#include <lathe.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "cmd/help_devices.h"
#include "cpu/kernels.h"
#include "nn/graph.h"
#include "train/config.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

/* ---- help ---- */

static bool markdown, man;

static void print_opts(const struct opt *opts)
{
    for (; opts->type != OPT_END; opts++) {
        printf("| `%s%s%s%s` | %s |", opts->name[1] ? "--" : "-", opts->name, opts->type == OPT_FLAG ? "" : " ", opts->type == OPT_FLAG ? "" : opts->values, opts->help);
        switch (opts->type) {
        case OPT_INT: printf(" %lld |\n", (long long)*(int64_t *)opts->value); break;
        case OPT_FLOAT: printf(" %g |\n", *(double *)opts->value); break;
        case OPT_STR: case OPT_CHOICE: printf(" %s |\n", *(const char **)opts->value ? *(const char **)opts->value : ""); break;
        default: printf(" |\n");
        }
    }
}

/* The bars of a choice would end a cell. */
/* A line feed would end the row. */
static void print_default(const char *s)
{
    printf(" | ");
    for (; s && *s; s++)
        if (*s == '\n')
            printf("`\\n`");
        else
            putchar(*s);
    printf(" |\n");
}

static void print_keys(const char *section, const struct opt *keys)
{
    printf("\n| `%s` | | default |\n|---|---|---|\n", section);
    for (; keys->type != OPT_END; keys++) {
        printf("| `%s` | %s", keys->name, keys->help);
        if (keys->type == OPT_CHOICE)
            for (const char *v = keys->values, *bar;; v = bar + 1) {
                bar = strchr(v, '|');
                printf("%s`%.*s`", v == keys->values ? ": " : ", ", bar ? (int)(bar - v) : (int)strlen(v), v);
                if (!bar)
                    break;
            }
        if (keys->type == OPT_INT)
            printf(" | %lld |\n", (long long)*(int64_t *)keys->value);
        else if (keys->type == OPT_FLOAT)
            printf(" | %g |\n", *(double *)keys->value);
        else if (keys->type == OPT_FLAG)
            printf(" | %s |\n", *(bool *)keys->value ? "true" : "false");
        else
            print_default(*(const char **)keys->value);
    }
}

static void help_config(void)
{
    struct train_config c;
    struct opt data[TRAIN_KEYS_MAX], train[TRAIN_KEYS_MAX], lora[TRAIN_KEYS_MAX], privacy[TRAIN_KEYS_MAX], upcycle[TRAIN_KEYS_MAX];
    train_config_defaults(&c);
    train_config_keys(&c, data, train);
    tune_keys(&c.tune, lora);
    privacy_keys(&c.privacy, privacy);
    upcycle_keys(&c.upcycle, upcycle);
    print_keys("data", data);
    printf("\n%s", upcycle_text);
    print_keys("upcycle", upcycle);
    print_keys("lora", lora);
    printf("\n%s", privacy_text);
    print_keys("privacy", privacy);
    print_keys("train", train);
}

static void print_text(const struct command *c)
{
    for (int i = 0; c->text[i]; i++)
        printf("%s", c->text[i]);
    putchar('\n');
}

static void help_command(const struct command *c)
{
    if (markdown) {
        printf("# lathe %s\n\n%s.\n\n```\nlathe %s%s%s [options]\n```\n\n", c->name, c->summary, c->name, c->args[0] ? " " : "", c->args);
        print_text(c);
        if (c->opts->type != OPT_END) {
            printf("\n| option | | default |\n|---|---|---|\n");
            print_opts(c->opts);
        }
        if (c == &command_train)
            help_config();
        return;
    }
    printf("lathe %s%s%s - %s\n\n", c->name, c->args[0] ? " " : "", c->args, c->summary);
    print_text(c);
    if (c->opts->type != OPT_END) {
        printf("\nOptions:\n");
        opt_help(c->opts, stdout);
    }
}

/* Text for troff: a backslash, and a full stop or quote that begins a line, are not commands. */
static void man_text(const char *s)
{
    for (bool begins = true; *s; begins = *s++ == '\n') {
        if (begins && (*s == '.' || *s == '\''))
            printf("\\&");
        if (*s == '\\')
            printf("\\e");
        else if (*s == '-')
            printf("\\-");
        else
            printf("%c%s", *s, *s == '|' ? "\\:" : "");      /* a list of choices may be longer than a line */
    }
}

static void man_opts(const struct opt *opts)
{
    for (; opts->type != OPT_END; opts++) {
        printf(".TP\n.B ");
        man_text(opts->name[1] ? "--" : "-");
        man_text(opts->name);
        if (opts->type != OPT_FLAG) {
            printf(" \\fI");
            man_text(opts->values);
            printf("\\fR");
        }
        putchar('\n');
        man_text(opts->help);
        putchar('\n');
    }
}

/* lathe(1): every command with its options, from the same tables as help. */
static void help_man(void)
{
    printf(".TH LATHE 1 \"\" \"lathe %s\"\n.ad l\n.SH NAME\nlathe \\- the whole life of a transformer or mixture\\-of\\-experts model\n"
           ".SH SYNOPSIS\n.B lathe\n.I command\n.RI [ options ]\n.SH COMMANDS\n", LATHE_VERSION);
    for (const struct command *const *c = commands; *c; c++) {
        printf(".SS lathe %s ", (*c)->name);
        man_text((*c)->args);
        putchar('\n');
        man_text((*c)->summary);
        printf(".\n.PP\n");
        for (int i = 0; (*c)->text[i]; i++)
            man_text((*c)->text[i]);
        putchar('\n');
        man_opts((*c)->opts);
    }
    printf(".SH EXIT STATUS\n0 done, 1 failed, 2 misused, 3 a gate said no, 4 stopped: the same command goes on.\n"
           ".SH ENVIRONMENT\n.TP\n.B LATHE_CPU\nlowers the instruction set: ref, avx2, avx512, avx512bf16\n");
}

/* doc/ops.md: the rows of nn/ops.def. */
static void help_operations(void)
{
    static const char *const gradient[] = { "no", "yes", "with the output" };
    printf("# Operations\n\nMade by `lathe help ops` from src/nn/ops.def.  Shapes: T tokens, S sequences, C width, V vocabulary, E experts, D head size.\n\n"
           "| operation | computes | gradient | made again for little |\n|---|---|---|---|\n");
    for (int i = 0; i < N_OP; i++)
        printf("| `%s` | `%s` | %s | %s |\n", op_table[i].name, op_table[i].formula, gradient[op_table[i].gradient], op_table[i].recompute == OP_AGAIN_CHEAP ? "yes" : "");
    printf("\nThe costs (operations and bytes) stand in the same rows; `lathe train --dry-run` prints their sum for a model.\n");
}

static int run_help(const char *const *args, int n_args, struct err *err)
{
    if (man && n_args)
        return ERR(err, USAGE, "--man is one page of all commands, expected no '%s'", args[0]);
    if (man) {
        help_man();
        return 0;
    }
    if (n_args && !strcmp(args[0], "ops")) {
        help_operations();
        return 0;
    }
    if (n_args && !strcmp(args[0], "devices")) {
        help_devices();
        return 0;
    }
    if (n_args) {
        int n_word;
        const struct command *c = command_find(args, n_args, &n_word);
        if (!c || n_word != n_args)
            return ERR(err, USAGE, "there is no command '%s%s%s'", args[0], n_args > 1 ? " " : "", n_args > 1 ? args[1] : "");
        help_command(c);
        return 0;
    }
    printf("lathe - the whole life of a transformer or mixture-of-experts model, in one program\n\n");
    for (const struct command *const *c = commands; *c; c++) {
        char left[64];
        snprintf(left, sizeof left, "lathe %s%s%s", (*c)->name, (*c)->args[0] ? " " : "", (*c)->args);
        printf("  %-34s %s\n", left, (*c)->summary);
    }
    printf("\nlathe help COMMAND tells more.  Exit codes: 0 done, 1 failed, 2 misused, 3 a gate said no, 4 stopped: the same command goes on.\n");
    return 0;
}

static const struct opt help_opts[] = {
    { OPT_FLAG, "markdown", &markdown, NULL, "as a page of doc/", 0, 0 },
    { OPT_FLAG, "man", &man, NULL, "the man page lathe(1): all commands with their options", 0, 0 },
    OPT_LAST,
};
const struct command command_help = { "help", "[COMMAND|ops|devices]", "what the commands do, or one of them with its options",
                                      TEXT("Pages in doc/ are made by --markdown from the same tables; 'ops' prints the table of operations, 'devices' that of accelerators."), help_opts, run_help, 0, 2 };

/* ---- version ---- */

static int run_version(const char *const *args, int n_args, struct err *err)
{
    (void)args, (void)n_args;
    const char *level = cpu_kernels()->level;
    if (!cmd_json) {
        printf("lathe %s (%s, %s, %d threads)\n", LATHE_VERSION, COMPILER, level, cmd_n_thread());
        return 0;
    }
    char digest[SHA256_HEX];
    TRY(sha256_of_file("/proc/self/exe", digest, err));
    json_t *levels = json_array();
    for (const struct cpu_kernels *const *l = cpu_levels(); *l; l++)
        json_array_append_new(levels, json_string((*l)->level));
    return cmd_print_json(json_pack("{s:s, s:s, s:s, s:o, s:i, s:s}", "version", LATHE_VERSION, "compiler", COMPILER, "isa", level, "isa_available", levels, "threads",
                                    cmd_n_thread(), "sha256", digest), err);
}

static const struct opt version_opts[] = { OPT_JSON, OPT_LAST };
const struct command command_version = { "version", "", "version, compiler, instruction set in use, threads, digest of the program",
                                         TEXT("The instruction set is the best one that this machine has and lathe knows.  LATHE_CPU=ref, avx2, avx512 or avx512bf16\n"
                                         "lowers it, for tests and for hunting a bug."), version_opts, run_version, 0, 0 };

/* ---- completion ---- */

/* The first words of commands, once each, or the second ones behind `first`. */
static void complete_words(const char *first)
{
    const char *before = "";
    for (const struct command *const *c = commands; *c; c++) {
        const size_t n = strcspn((*c)->name, " "), m = strlen(before);
        if (!first && !(m == n && !strncmp(before, (*c)->name, n)))
            printf("%s%.*s", *before ? " " : "", (int)n, (*c)->name);
        else if (first && (*c)->name[n] && strlen(first) == n && !strncmp(first, (*c)->name, n))
            printf("%s%s", *before ? " " : "", (*c)->name + n + 1);
        else
            continue;
        static char kept[64];
        snprintf(kept, sizeof kept, "%.*s", (int)n, (*c)->name);
        before = kept;
    }
}

static void complete_options(const struct command *c)
{
    const size_t n = strcspn(c->name, " ");
    printf("        %.*s\\ %s%s*) words=\"", (int)n, c->name, c->name[n] ? c->name + n + 1 : "", c->name[n] ? "\\ " : "");
    for (const struct opt *o = c->opts; o->type != OPT_END; o++)
        printf("%s%s%s", o == c->opts ? "" : " ", o->name[1] ? "--" : "-", o->name);
    printf("\" ;;\n");
}

static int run_completion(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    if (strcmp(args[0], "bash"))
        return ERR(err, USAGE, "completion for '%s' is not there, only for bash", args[0]);
    printf("_lathe() {\n    local cur=${COMP_WORDS[COMP_CWORD]} words= names=\n    if [ \"$COMP_CWORD\" = 1 ]; then names=1 words=\"");
    complete_words(NULL);
    printf("\"\n    elif [ \"$COMP_CWORD ${COMP_WORDS[1]}\" = '2 data' ]; then names=1 words=\"");
    complete_words("data");
    printf("\"\n    else case \"${COMP_WORDS[1]} ${COMP_WORDS[2]} \" in\n");
    for (const struct command *const *c = commands; *c; c++)
        complete_options(*c);
    printf("    esac; fi\n    case $cur in\n        -*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
           "        *) if [ \"$names\" ]; then COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); else COMPREPLY=($(compgen -f -- \"$cur\")); fi ;;\n"
           "    esac\n}\ncomplete -F _lathe lathe\n");
    return 0;
}

static const struct opt no_opts[] = { OPT_LAST };
const struct command command_completion = { "completion", "bash", "a script that completes commands and options",
                                            TEXT("Use it by: source <(lathe completion bash)"), no_opts, run_completion, 1, 1 };
