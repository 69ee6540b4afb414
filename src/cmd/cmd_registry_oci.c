/* cmd_registry_oci.c - lathe registry push and pull: versions to and from registries of the OCI's. */
#include <stdio.h>
#include "base/log.h"
#include "cmd/cmd_registry.h"
#include "store/oci_transfer.h"

static bool plain_http, read_facts = true;
static int64_t jobs = 4, tries = 5;

static int add(struct registry *g, struct registry_addition *a, const struct journal_by *by, struct registry_version *out, struct err *err)
{
    return cmd_registry_add(g, a, read_facts, by, out, err);
}

static int open_remote(struct oci_remote *r, const char *text, bool pushes, struct err *err)
{
    struct oci_ref ref;
    const struct oci_remote_opts o = { .plain_http = plain_http, .pushes = pushes, .n_try = (int)tries, .stop = &cmd_stop };
    TRY(oci_ref_parse(&ref, text, err));
    cmd_catch_signals();
    return oci_remote_open(r, &ref, &o, err);
}

static int tell(const struct registry_version *v, const struct oci_result *r, const char *did, struct err *err)
{
    char a[32], b[32], c[32];
    if (cmd_json)
        return cmd_print_json(json_pack("{s:s, s:I, s:s, s:s, s:i, s:i, s:I, s:I, s:i, s:b}", "name", v->name, "number", (json_int_t)v->number, "root", v->root, "manifest_sha256", r->sha256, "blobs", r->n_blob,
                                        "blobs_moved", r->n_moved, "bytes", (json_int_t)r->bytes, "bytes_moved", (json_int_t)r->bytes_moved, "signatures", r->n_signature, "new", v->is_new), err);
    log_info("%d of %d blobs %s, %s of %s in %s", r->n_moved, r->n_blob, did, fmt_bytes(a, (double)r->bytes_moved), fmt_bytes(b, (double)r->bytes), fmt_seconds(c, r->seconds));
    printf("%s@%lld  sha256:%s%s\n", v->name, (long long)v->number, r->sha256, r->n_signature ? "  signed" : "");
    return 0;
}

static int run_push(const char *const *args, int n_args, struct err *err)
{
    struct registry *g;
    struct registry_version v;
    struct oci_remote r;
    struct oci_result result;
    (void)n_args;
    TRY(open_remote(&r, args[1], true, err));
    int rc = cmd_registry_open(&g, false, err);
    if (!rc) {
        rc = registry_find_text(g, args[0], &v, err);
        if (!rc)
            rc = oci_push_version(g, &v, &r, &result, err);
        registry_close(g);
    }
    oci_remote_close(&r);
    return rc ? rc : tell(&v, &result, "sent", err);
}

static int run_pull(const char *const *args, int n_args, struct err *err)
{
    struct registry *g;
    struct registry_version v;
    struct oci_remote r;
    struct oci_result result;
    struct journal_by by = cmd_registry_by();
    by.reason = by.reason ? by.reason : args[0];
    const struct oci_pull p = { .name = n_args == 2 ? args[1] : NULL, .n_job = (int)jobs, .by = by, .add = add };
    TRY(open_remote(&r, args[0], false, err));
    int rc = cmd_registry_open(&g, true, err);
    if (!rc) {
        rc = oci_pull_version(g, &r, &p, &v, &result, err);
        registry_close(g);
    }
    oci_remote_close(&r);
    return rc ? rc : tell(&v, &result, "fetched", err);
}

#define OPT_PLAIN { OPT_FLAG, "plain-http", &plain_http, NULL, "without TLS, also to another machine", 0, 0 }
#define OPT_TRIES { OPT_INT, "tries", &tries, "<int>", "tries in a row that bring nothing before giving up", 1, 100 }

static const struct opt push_opts[] = { OPT_PLAIN, OPT_TRIES, OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST };
const struct command command_registry_push = {
    "registry push", "NAME[@N|@ALIAS] oci://HOST[:PORT]/REPOSITORY:TAG", "send a version to a registry of the OCI's",
    TEXT("As an artifact that ORAS and others can pull: a ModelPack with a layer for each file, or the manifest that it was pushed or pulled with.\n"
    "Blobs that are there are not sent again, and one that was cut off goes on where it was when the same command is given again.  A signature\n"
    "goes with it, as a referrer.\n\n"
    "    lathe registry push support@production oci://ghcr.io/org/support:v1\n\n"
    "Who asks is told by $LATHE_OCI_USER and $LATHE_OCI_PASSWORD, or by what docker login wrote ($DOCKER_CONFIG or ~/.docker).  To another machine\n"
    "all goes by https, unless --plain-http."),
    push_opts, run_push, 2, 2,
};

static const struct opt pull_opts[] = {
    { OPT_INT, "jobs", &jobs, "<int>", "blobs to fetch at a time", 1, 32 },
    { OPT_FLAG, "facts", &read_facts, NULL, "look at what the files are, and refuse what is no model; --no-facts takes them as they are", 0, 0 },
    OPT_PLAIN, OPT_TRIES, OPT_REASON, OPT_ACTOR, OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_registry_pull = {
    "registry pull", "oci://HOST[:PORT]/REPOSITORY:TAG [NAME]", "make a version of an artifact in a registry of the OCI's",
    TEXT("The artifact's files become the next version of NAME, or of the repository's last part, or are the version that has the same contents; no alias\n"
    "moves.  Everything is verified by its digest before it has a name here.  What was stopped or broken off goes on when the same command is\n"
    "given again.  Signatures that refer to it come too, as evidence.\n\n"
    "    lathe registry pull oci://ghcr.io/org/support:v1\n"
    "    lathe registry pull oci://localhost:5000/support:production mine\n\n"
    "REPOSITORY@sha256:DIGEST names one manifest.  Who asks, and --plain-http: lathe help registry push."),
    pull_opts, run_pull, 1, 2,
};
