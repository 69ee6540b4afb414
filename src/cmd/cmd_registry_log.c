/* cmd_registry_log.c - lathe registry history, served, lineage and verify. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd_registry.h"
#include "cmd/recorded.h"
#include "store/registry_verify.h"
#include "store/release.h"

enum { CHECKPOINT_MAX = 1 << 16 };

/* ---- history ---- */

static int64_t n_record;

static void print_record(const json_t *o)
{
    char size[32];
    printf("%6lld  %.19sZ  %-20s %s", (long long)tree_number_at(o, "seq"), tree_text_at(o, "t"), tree_text_at(o, "actor"), tree_text_at(o, "action"));
    const json_t *r = json_object_get(o, "release");
    const long long candidate = (long long)json_integer_value(json_object_get(r, "candidate"));
    if (json_object_get(o, "number"))
        printf(" %s@%lld", tree_text_at(o, "name"), (long long)tree_number_at(o, "number"));
    else if (*tree_text_at(o, "name"))
        printf(" %s", tree_text_at(o, "name"));
    if (json_object_get(o, "blobs") || !strcmp(tree_text_at(o, "action"), "drop"))
        printf(", %s", fmt_bytes(size, tree_number_at(o, "bytes")));
    if (json_object_get(o, "blobs"))
        printf(" of %zu blobs and %zu others", json_array_size(json_object_get(o, "blobs")), json_array_size(json_object_get(o, "other")));
    if (*tree_text_at(o, "alias"))
        printf(" %s", tree_text_at(o, "alias"));
    if (candidate)
        printf(", beside it %lld as %s", candidate, tree_text_at(r, "mode"));
    if (*tree_text_at(o, "reason"))
        printf(": %s", tree_text_at(o, "reason"));
    if (*tree_text_at(o, "override"))
        printf(" (policy overridden: %s)", tree_text_at(o, "override"));
    printf("\n");
}

/* With all digits of numbers: they are hashed. */
static int print_whole(json_t *o, struct err *err)
{
    char *text = o ? tree_dumps(o, JSON_INDENT(2)) : NULL;
    json_decref(o);
    if (!text)
        return ERR(err, NOMEM, "no memory to print the records");
    puts(text);
    mem_free(text);
    return 0;
}

static int history(struct registry *g, void *ctx, struct err *err)
{
    json_t *records, *o;
    size_t i;
    TRY(registry_history(g, ctx, n_record, &records, err));
    if (cmd_json)
        return print_whole(json_pack("{s:o}", "records", records), err);
    json_array_foreach(records, i, o)
        print_record(o);
    json_decref(records);
    return 0;
}

static int run_history(const char *const *args, int n_args, struct err *err) { return cmd_registry_with(history, n_args ? (void *)(uintptr_t)args[0] : NULL, err); }

static const struct opt history_opts[] = { { OPT_INT, "n", &n_record, "<int>", "at most so many; 0: all", 0, 1e9 }, OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST };
const struct command command_registry_history = {
    "registry history", "[NAME]", "who changed what, when and why",
    TEXT("The records of the journal, the newest first, of NAME or of all.  Each has its number, its time in UTC, who did it, and why; --json prints them\n"
    "whole, with the verdicts of gates and the hash that links each to the one before."),
    history_opts, run_history, 0, 1,
};

/* ---- served ---- */

static const char *at_text, *served_alias, *request, *events_at;

static int served(struct registry *g, void *ctx, struct err *err)
{
    int64_t ns = INT64_MAX;
    json_t *list, *o;
    size_t i;
    if (at_text)
        TRY(when_parse(&ns, at_text, err));
    TRY(registry_served_at(g, ns, ctx, served_alias, &list, err));
    if (cmd_json)
        return cmd_print_json(json_pack("{s:o}", "served", list), err);
    json_array_foreach(list, i, o) {
        printf("%s@%s  version %lld  %s  since %.19sZ by %s", tree_text_at(o, "name"), tree_text_at(o, "alias"), (long long)tree_number_at(o, "number"), tree_text_at(o, "root"),
               tree_text_at(o, "since"), tree_text_at(o, "actor"));
        printf(*tree_text_at(o, "reason") ? ": %s" : "%s", tree_text_at(o, "reason"));
        if (json_integer_value(json_object_get(o, "candidate")))
            printf("; beside it %lld as %s", (long long)tree_number_at(o, "candidate"), tree_text_at(o, "mode"));
        if (json_integer_value(json_object_get(o, "share")))
            printf(", %g %% of users", tree_number_at(o, "share") / 10);
        printf("\n");
    }
    json_decref(list);
    return 0;
}

static int run_served(const char *const *args, int n_args, struct err *err)
{
    if (!request)
        return events_at ? ERR(err, USAGE, "--events: expected --request with it") : cmd_registry_with(served, n_args ? (void *)(uintptr_t)args[0] : NULL, err);
    return n_args || at_text || served_alias ? ERR(err, USAGE, "--request: expected nothing beside it but --events") : recorded_show(request, events_at ? events_at : cmd_registry, err);
}

static const struct opt served_opts[] = {
    { OPT_STR, "request", &request, "<id>", "which version answered this request: the id of an answer, or the request's X-Request-Id", 0, 0 },
    { OPT_STR, "events", &events_at, "<where>", "of --request: where answers are recorded (lathe serve --record); of the registry unless given", 0, 0 },
    { OPT_STR, "at", &at_text, "<time>", "as 2026-11-27, 2026-11-27T14:30Z or 2026-11-27T14:30:05+01:00; without a zone UTC; not given: now", 0, 0 },
    { OPT_STR, "alias", &served_alias, "<alias>", "of this alias alone", 0, 0 },
    OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_registry_served = {
    "registry served", "[NAME]", "which version an alias was at a moment, or answered a request",
    TEXT("For each alias, of NAME or of all: the version it was, since when, by whom and why, and what stood beside it.\n"
    "With --request: what a server recorded of its answers, the version first; --json prints all of it, with texts that are kept."),
    served_opts, run_served, 0, 1,
};

/* ---- lineage ---- */

static int lineage(struct registry *g, void *ctx, struct err *err)
{
    struct registry_version v;
    json_t *o, *edge;
    size_t i;
    TRY(registry_find_text(g, ctx, &v, err));
    TRY(registry_lineage(g, &v, &o, err));
    if (cmd_json)
        return cmd_print_json(o, err);
    json_array_foreach(json_object_get(o, "edges"), i, edge)
        printf("%s  comes from  %s  (%s)\n", tree_text_at(edge, "child"), tree_text_at(edge, "parent"), tree_text_at(edge, "role"));
    json_decref(o);
    return 0;
}

static int run_lineage(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    return cmd_registry_with(lineage, (void *)(uintptr_t)args[0], err);
}

static const struct opt lineage_opts[] = { OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST };
const struct command command_registry_lineage = {
    "registry lineage", "NAME[@N|@ALIAS]", "what a version comes from, and what comes from it",
    TEXT("All that is above and below it, as far as it goes: data, base models, and what was made of it."),
    lineage_opts, run_lineage, 1, 1,
};

/* ---- verify ---- */

static bool read_blobs = true;
static const char *noted, *checkpoint_at, *public_key;

static void progress(void *ctx, uint64_t bytes, uint64_t of)
{
    char a[32], b[32];
    (void)ctx;
    if (of > 1 << 28)
        log_progress("%s of %s read", fmt_bytes(a, (double)bytes), fmt_bytes(b, (double)of));
}

static void print_verdict(const json_t *o)
{
    char size[32];
    size_t i;
    const json_t *f, *head = json_object_get(o, "head");
    json_array_foreach(json_object_get(o, "findings"), i, f)
        printf("%s: %s: %s\n", tree_text_at(f, "part"), tree_text_at(f, "where"), tree_text_at(f, "what"));
    printf("%lld records, %lld blobs of %s; the journal ends with %lld:%s\n", (long long)tree_number_at(o, "records"), (long long)tree_number_at(o, "blobs"), fmt_bytes(size, tree_number_at(o, "bytes")),
           (long long)tree_number_at(head, "seq"), tree_text_at(head, "hash"));
}

static int read_checkpoint(struct checkpoint *c, struct err *err)
{
    struct evp_pkey_st *key;
    struct buf text;
    TRY(pki_public_read(&key, public_key, err));
    buf_init(&text);
    int rc = file_read(checkpoint_at, CHECKPOINT_MAX, &text, err);
    if (!rc)
        rc = checkpoint_parse(c, text.data, text.len, err);
    if (!rc)
        rc = checkpoint_verify(text.data, text.len, key, err);
    buf_release(&text);
    pki_free(key);
    return rc ? err_context(err, "%.200s", checkpoint_at) : 0;
}

static int verify(struct registry *g, void *ctx, struct err *err)
{
    struct registry_verify_opts opts = { .no_blobs = !read_blobs, .progress = progress };
    json_t *o;
    (void)ctx;
    if (noted) {
        char *end;
        opts.seq = strtoll(noted, &end, 10);
        opts.hash = end + (*end == ':');
        if (opts.seq < 1 || *end != ':' || !blob_id_ok(opts.hash))
            return ERR(err, USAGE, "--head: found '%.100s', expected N:HASH as lathe registry verify prints it", noted);
    }
    struct checkpoint checkpoint;
    if (checkpoint_at) {
        TRY(read_checkpoint(&checkpoint, err));
        opts.checkpoint = &checkpoint;
    }
    TRY(registry_verify(g, &opts, &o, err));
    log_progress_end();
    const size_t n = json_array_size(json_object_get(o, "findings"));
    if (cmd_json) {
        TRY(cmd_print_json(o, err));
    } else {
        print_verdict(o);
        json_decref(o);
    }
    return n ? ERR(err, CORRUPT, "the registry is not what its journal says: %zu finding%s", n, n == 1 ? "" : "s") : 0;
}

static int run_verify(const char *const *args, int n_args, struct err *err)
{
    (void)args, (void)n_args;
    if ((checkpoint_at != NULL) != (public_key != NULL))
        return ERR(err, USAGE, "--checkpoint and --public-key go together");
    return cmd_registry_with(verify, NULL, err);
}

static const struct opt verify_opts[] = {
    { OPT_FLAG, "blobs", &read_blobs, NULL, "read the contents of files; --no-blobs looks only whether they are there", 0, 0 },
    { OPT_STR, "head", &noted, "<N:HASH>", "the end of the journal as it was noted before: one that was made anew is found by it", 0, 0 },
    { OPT_STR, "checkpoint", &checkpoint_at, "<file>", "a signed checkpoint of before (lathe registry checkpoint): the journal must go on from it", 0, 0 },
    { OPT_STR, "public-key", &public_key, "<file>", "of --checkpoint: who must have signed it (PEM)", 0, 0 },
    OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_registry_verify = {
    "registry verify", "", "find whatever was changed in a registry behind its back",
    TEXT("The journal is a chain: each record holds the SHA-256 of the one before.  It is replayed in an empty database, and every row and column of\n"
    "the registry's tables must come out the same; every file must be what its name says, and the folders of versions nothing but links to\n"
    "those files.  What is not is named with its record, its row or its file, and exit code 1 says that there was something.\n\n"
    "Who can write everywhere can make a whole journal anew.  Note the last line's N:HASH elsewhere, and give it by --head, or\n"
    "keep signed checkpoints elsewhere, and give one by --checkpoint."),
    verify_opts, run_verify, 0, 0,
};
