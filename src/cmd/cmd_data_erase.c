/* cmd_data_erase.c - lathe data erase: a version of a build without some of its records. */
#include <jansson.h>
#include "audit/erase.h"
#include "base/log.h"
#include "cmd/cmd.h"

static const char *out_dir, *reason;
static struct opt_list where, runs;

static int tell(void *ctx, struct err *err)
{
    (void)ctx;
    return cmd_stop ? ERR(err, STOPPED, "stopped; nothing was left behind") : 0;
}

static void print_told(const json_t *told, const char *from)
{
    const json_t *list = json_object_get(told, "runs"), *r;
    size_t i;
    char seconds[32];
    printf("%lld lines of %lld texts are not in %s (version %s)\n", (long long)json_integer_value(json_object_get(told, "lines")), (long long)json_integer_value(json_object_get(told, "texts")), out_dir,
           json_string_value(json_object_get(told, "version")));
    json_array_foreach(list, i, r)
        printf("%s has read them: %lld steps anew take about %s\n", json_string_value(json_object_get(r, "run")), (long long)json_integer_value(json_object_get(r, "steps")),
               fmt_seconds(seconds, json_number_value(json_object_get(r, "seconds"))));
    json_array_foreach(json_object_get(told, "matched"), i, r)
        if (!json_integer_value(r))
            log_warn("--where '%s' matched nothing", json_string_value(json_array_get(json_object_get(told, "where"), i)));
    log_info("%s still holds them: remove it, and copies of it and of the sources, when nothing needs them any more", from);
}

static int run(const char *const *args, int n_args, struct err *err)
{
    const struct erase_opts o = { .from = args[0], .to = out_dir, .where = where, .reason = reason, .runs = runs, .progress = tell };
    json_t *told = NULL;
    (void)n_args;
    if (!out_dir)
        return ERR(err, USAGE, "--out is missing: the folder of the new version");
    cmd_catch_signals();
    TRY(erase_run(&o, &told, err));
    if (cmd_json)
        return cmd_print_json(told, err);
    print_told(told, args[0]);
    json_decref(told);
    return 0;
}

static const struct opt opts[] = {
    { OPT_LIST, "where", &where, "<name=value>", "which records go; may be given several times, a record goes when one of them holds", 0, 0 },
    { OPT_STR, "out", &out_dir, "<folder>", "that is made: the new version", 0, 0 },
    { OPT_STR, "reason", &reason, "<text>", "kept in the new version's build.json", 0, 0 },
    { OPT_LIST, "runs", &runs, "<folder>", "of a training, or of several: those that have read the records are listed; may be given several times", 0, 0 },
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};

const struct command command_data_erase = {
    "data erase", "BUILD", "make a version of training files without some records",
    TEXT(
        "BUILD is a folder that `lathe data build` or this command made.  Records go that --where names:\n"
        "\n"
        "    text=PART       the text has these characters, or a string of a chat\n"
        "    source=NAME, path=PATH, record=NUMBER, sha256=HEX      as map.jsonl tells it, or a mark of that name\n"
        "    FIELD=VALUE     a mark of the record (label, group or time) under its field's name\n"
        "\n"
        "A field that no record has is an error, one that matches nothing beside others that do a warning.\n"
        "\n"
        "The new folder is a build like the other; its build.json says of which version, how many and why, and erased.jsonl has the\n"
        "SHA-256 of each text that went; a file that has no line left is none of its files.  The old version stays as it is, for whoever\n"
        "must remove it.\n"
        "\n"
        "Trainings note in their run.json which version they read; of those below --runs the ones that read this version are listed, with\n"
        "what training anew takes on the machine they ran on.  That a model trained anew remembers nothing can be shown by canaries:\n"
        "lathe data exposure.\n"
        "\n"
        "    lathe data erase data-v1 --out data-v2 --where author=user-17 --reason 'request of 3 May' --runs runs\n"),
    opts, run, 1, 1,
};
