#include <jansson.h>
#include "base/log.h"
#include "cmd/cmd.h"
#include "serve/keys.h"

static int run(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    char secret[KEY_SECRET];
    TRY(keys_add(args[0], args[1], secret, err));
    log_info("%s has a key for %s; it is shown this once, the file has its SHA-256 only.  A server that runs reads it at SIGHUP.", args[0], args[1]);
    if (cmd_json)
        return cmd_print_json(json_pack("{s:s, s:s}", "name", args[1], "key", secret), err);
    printf("%s\n", secret);
    return 0;
}

static const struct opt opts[] = { OPT_JSON, OPT_QUIET, OPT_LAST };

const struct command command_key = {
    "key", "FILE NAME", "make a key for a server's clients",
    TEXT(
        "Makes a random key of 256 bits, prints it once, and appends a name and its SHA-256 to FILE, a list in YAML that is made (mode\n"
        "600) when it is not there.  Limits and rights are lines below the name, written by hand:\n"
        "\n"
        "    - name: team-a\n"
        "      sha256: \"...\"\n"
        "      requests_per_minute: 60      # limits; without a line there is none\n"
        "      requests_per_day: 10000\n"
        "      tokens_per_minute: 60000     # of prompts and answers together\n"
        "      tokens_per_day: 2000000      # a day is one of UTC's\n"
        "      parallel: 4                  # texts at once\n"
        "      priority: -5                 # the most urgent that its requests may ask for, lower is sooner; 0 without this line\n"
        "      models: [small]              # that it may ask; all without this line\n"
        "      expires: 2027-01-01          # or 2027-01-01T12:00:00Z\n"
        "      admin: true                  # may see all releases, promote, roll back (doc/page.md) and use the workshop (doc/workshop.md); nobody may without this line\n"
        "      keep_texts: true             # its texts may stand in the audit log; they never do without this line\n"
        "      tenant: shared               # whose cache it uses: its own without this line, 'shared' that of all who say so\n"
        "\n"
        "    lathe key keys.yaml team-a\n"),
    opts, run, 2, 2,
};
