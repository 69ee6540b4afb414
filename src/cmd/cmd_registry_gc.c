/* cmd_registry_gc.c - lathe registry gc. */
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/tree.h"
#include "base/when.h"
#include "cmd/cmd_registry.h"
#include "store/registry_gc.h"

static const char *quota, *grace = "1h";
static int64_t keep = 1;
static bool dry_run;

/* 500MB, 20G, 1.5TiB: K, M, G and T of 1,000, with "i" of 1,024. */
static int read_size(uint64_t *out, const char *text, struct err *err)
{
    static const char letters[] = "kKmMgGtT";
    char *end;
    double n = strtod(text, &end);
    const char *at = *end ? strchr(letters, *end) : NULL;
    const bool binary = at && end[1] == 'i';
    for (int i = at ? (int)(at - letters) / 2 + 1 : 0; i > 0; i--)
        n *= binary ? 1024 : 1000;
    const char *rest = end + (at != NULL) + binary;
    if (end == text || (strcmp(rest, "") && strcmp(rest, "B")) || !(n >= 0 && n <= 9e18))
        return ERR(err, USAGE, "--quota: found '%.40s', expected a size as 500MB, 20G or 1.5TiB", text);
    *out = (uint64_t)n;
    return 0;
}

static void print_collected(const json_t *o)
{
    char size[32], used[32];
    size_t i;
    const json_t *d;
    const bool would = json_is_true(json_object_get(o, "dry_run"));
    json_array_foreach(json_object_get(o, "dropped"), i, d)
        printf("%s@%lld of %.10s %s its bytes, %s that nothing else has\n", tree_text_at(d, "name"), (long long)tree_number_at(d, "number"), tree_text_at(d, "t"),
               would ? "would lose" : "has lost", fmt_bytes(size, tree_number_at(d, "bytes")));
    const long long blobs = (long long)tree_number_at(o, "blobs"), views = (long long)tree_number_at(o, "views"), other = (long long)tree_number_at(o, "other");
    printf("%s %lld blob%s, %lld folder%s of versions and %lld file%s of writers that are gone, %s; %s stay\n", would ? "would remove" : "removed", blobs,
           blobs == 1 ? "" : "s", views, views == 1 ? "" : "s", other,
           other == 1 ? "" : "s", fmt_bytes(size, tree_number_at(o, "bytes")), fmt_bytes(used, tree_number_at(o, "used")));
}

/* Over the quota: what is there is needed. */
static int tell_rest(const json_t *o, struct err *err)
{
    char used[32], of[32];
    if (json_is_true(json_object_get(o, "fits")))
        return 0;
    return ERR(err, GATE, "%s stay, more than the quota of %s: the rest is needed by aliases, rollbacks, servers or what they come from, is new, or is no file of a version",
               fmt_bytes(used, tree_number_at(o, "used")), fmt_bytes(of, tree_number_at(o, "quota")));
}

static int collect(struct registry *g, void *ctx, struct err *err)
{
    const struct journal_by by = cmd_registry_by();
    json_t *o;
    TRY(registry_gc(g, ctx, &by, &o, err));
    struct err rest;
    const int fits = tell_rest(o, &rest);
    if (cmd_json) {
        TRY(cmd_print_json(o, err));
    } else {
        print_collected(o);
        json_decref(o);
    }
    if (fits)
        *err = rest;
    return fits;
}

static int run(const char *const *args, int n_args, struct err *err)
{
    struct registry_gc_opts o = { .has_quota = quota != NULL, .dry_run = dry_run, .keep = keep };
    double s;
    (void)args, (void)n_args;
    if (quota)
        TRY(read_size(&o.quota, quota, err));
    if (when_span(&s, grace, err))
        return err_context(err, "--grace");
    if (s > 3e9)
        return ERR(err, USAGE, "--grace: found '%.40s', expected less than 100 years", grace);
    o.grace_s = (int64_t)s;
    return cmd_registry_with(collect, &o, err);
}

static const struct opt opts[] = {
    { OPT_STR, "quota", &quota, "<size>", "bytes that all contents may take, as 20GB: the oldest versions lose theirs until it is so", 0, 0 },
    { OPT_INT, "keep", &keep, "<int>", "with --quota: the newest so many versions of each name keep their bytes", 0, 1e9 },
    { OPT_STR, "grace", &grace, "<span>", "what is younger stays: it may be of an add at work; as 30m, 1h or 7d", 0, 0 },
    { OPT_FLAG, "dry-run", &dry_run, NULL, "say what would go, and change nothing", 0, 0 },
    OPT_REASON, OPT_ACTOR, OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_registry_gc = {
    "registry gc", "", "remove what nothing in a registry needs, and old versions' bytes for a quota",
    TEXT("Removed are contents that no version, evidence or policy names, folders of versions that are none, and what writers that were killed, pulls\n"
    "and uploads among them, left an hour ago or longer.  What was removed, by whom and why is in the journal.  It may run beside anything\n"
    "else, and be killed: it goes on when it is given again.\n\n"
    "With --quota the oldest versions lose their bytes until the rest fits.  A version without its bytes is still there, with its digest, its\n"
    "evidence and its history; it cannot be loaded or promoted, lathe registry show says when its bytes went and why, and adding the same\n"
    "files again brings them back.  These keep theirs: what an alias gives, its candidate, what a rollback goes to, what a server loads or\n"
    "serves, all that those come from, the newest --keep of each name, and what is younger than --grace.  Where they alone are more than the\n"
    "quota, all others lose theirs, and exit code 3 says that it does not fit.\n\n"
    "    lathe registry gc --dry-run --quota 50GB\n"
    "    lathe registry gc --quota 50GB --reason 'disk at 90 %'"),
    opts, run, 0, 0,
};
