/* cmd_registry_serve.c - lathe registry serve: a registry over HTTP. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/checkpoints.h"
#include "cmd/cmd_registry.h"
#include "serve/registry_server.h"

static const char *host = "127.0.0.1", *key, *keys, *port_file, *import_root, *allow_host;
static int64_t port = 5000;
static bool read_facts = true;

static int add(struct registry *g, struct registry_addition *a, const struct journal_by *by, struct registry_version *out, struct err *err)
{
    return cmd_registry_add(g, a, read_facts, by, out, err);
}

static int write_port(int n, struct err *err)
{
    char text[16];
    snprintf(text, sizeof text, "%d\n", n);
    return port_file ? file_write_all(port_file, text, strlen(text), err) : 0;
}

static int serve(const struct registry_server_opts *o, struct err *err)
{
    struct registry_server *m;
    TRY(registry_server_start(&m, o, err));
    log_info("the registry for clients of MLflow and of the OCI on http://%s%s%s:%d", strchr(host, ':') ? "[" : "", host, strchr(host, ':') ? "]" : "", registry_server_port(m));
    const int rc = write_port(registry_server_port(m), err);
    while (!rc && !cmd_stop)
        nanosleep(&(struct timespec){ 0, 200000000 }, NULL);         /* or until a signal comes */
    registry_server_stop(m);
    return rc;
}

static int run(const char *const *args, int n_args, struct err *err)
{
    struct checkpoints *c;
    char *place = NULL;
    (void)args, (void)n_args;
    if (key && !*key)                        /* "$KEY", which nobody has set */
        return ERR(err, USAGE, "--key is empty");
    if (import_root && !file_is_dir(import_root))
        return ERR(err, NOTFOUND, "--import-root: there is no folder %.300s", import_root);
    cmd_catch_signals();
    const struct registry_server_opts o = { .address = host, .port = (int)port, .key = key ? key : getenv("LATHE_API_KEY"), .keys = keys, .origins = { .hosts = allow_host }, .registry = cmd_registry,
                                   .actor = cmd_registry_by().actor, .import_root = import_root, .add = add };
    if (!cmd_registry)
        TRY(registry_where(&place, err));
    int rc = checkpoints_start(&c, cmd_registry ? cmd_registry : place, err);
    rc = rc ? rc : serve(&o, err);
    checkpoints_stop(c);
    mem_free(place);
    return rc;
}

static const struct opt opts[] = {
    { OPT_STR, "host", &host, "<address>", "to listen on; others than this machine's own need a key", 0, 0 },
    { OPT_INT, "port", &port, "<int>", "to listen on; 0: any that is free", 0, 65535 },
    { OPT_STR, "port-file", &port_file, "<path>", "the port is written there when requests can come", 0, 0 },
    { OPT_STR, "key", &key, "<text>", "that clients must show (MLFLOW_TRACKING_TOKEN, Authorization: Bearer KEY, or a password of docker login); or the environment's LATHE_API_KEY", 0, 0 },
    { OPT_STR, "keys", &keys, "<path>", "file of keys (lathe help key), whose names are the actors of the journal; each may change everything", 0, 0 },
    { OPT_STR, "import-root", &import_root, "<folder>", "that MLflow's clients may register versions from; without it none can be", 0, 0 },
    { OPT_FLAG, "facts", &read_facts, NULL, "look at what the files are, and refuse what is no model; --no-facts takes them as they are", 0, 0 },
    { OPT_STR, "allow-host", &allow_host, "<names>", "by which the server may be asked without a key, besides this machine's own", 0, 0 },
    OPT_CHECKPOINTS,
    OPT_ACTOR, OPT_REGISTRY, OPT_QUIET, OPT_LAST,
};
const struct command command_registry_serve = {
    "registry serve", "", "answer clients of MLflow's model registry and of OCI registries",
    TEXT("Registered models, their versions, aliases, tags and descriptions over HTTP, as MLflow's own client and programs built on it ask for them:\n\n"
    "    lathe registry serve --import-root runs/\n"
    "    export MLFLOW_TRACKING_URI=http://127.0.0.1:5000\n"
    "    python3 -c 'import mlflow; c = mlflow.MlflowClient(); print(c.search_registered_models())'\n\n"
    "Every change is in the journal, with the key's name as actor and MLflow as the reason, and gates of an alias's policy are asked.  A version\n"
    "is registered from a folder or file of this machine below --import-root, which is copied in.  Names and versions are never deleted or\n"
    "renamed: that is refused.  doc/mlflow.md tells what else differs from MLflow's server.\n\n"
    "What pushes and pulls artifacts of the OCI finds each name as a repository, whose tags are the numbers of versions and the aliases; what is\n"
    "pushed becomes a version, and its tag an alias that keeps to the policy (doc/oci.md):\n\n"
    "    oras pull --plain-http localhost:5000/support:production\n"
    "    lathe registry push support@2 oci://localhost:5000/support:v2 --registry other/\n"),
    opts, run, 0, 0,
};
