/* cmd_registry.c - lathe registry add, list and show. */
#include "cmd/cmd_registry.h"
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"

/* ---- shared ---- */

const char *cmd_registry, *cmd_actor, *cmd_reason;

int cmd_registry_open(struct registry **out, bool make, struct err *err) { return registry_open(out, cmd_registry, make, err); }

struct journal_by cmd_registry_by(void)
{
    static char self[300];
    const char *actor = cmd_actor ? cmd_actor : getenv("LATHE_ACTOR");
    if (!actor || !*actor) {
        char host[200] = "";
        const struct passwd *user = getpwuid(getuid());
        gethostname(host, sizeof host - 1);
        if (user)
            snprintf(self, sizeof self, "%.90s@%s", user->pw_name, host);
        else
            snprintf(self, sizeof self, "%ld@%s", (long)getuid(), host);
        actor = self;
    }
    return (struct journal_by){ .actor = actor, .reason = cmd_reason };
}

int cmd_registry_with(int (*run)(struct registry *g, void *ctx, struct err *err), void *ctx, struct err *err)
{
    struct registry *g;
    TRY(cmd_registry_open(&g, false, err));
    const int rc = run(g, ctx, err);
    registry_close(g);
    return rc;
}

/* ---- add ---- */

static const char *kind = "model";
static struct opt_list from, evidence, ignored;
static bool read_facts = true;

/* ROLE=PARENT; without a role it follows from what the parent is. */
static int parent_of(struct registry *g, char *text, struct registry_parent *out, struct err *err)
{
    struct registry_version v;
    struct err none;
    char *equals = strchr(text, '=');
    if (equals) {
        *equals = 0;
        *out = (struct registry_parent){ .parent = equals + 1, .role = text };
        return *text && equals[1] ? 0 : ERR(err, USAGE, "--from: found '%s=%s', expected ROLE=PARENT or PARENT", text, equals + 1);
    }
    const bool data = strchr(text, '@') && !registry_find_text(g, text, &v, &none) && !strcmp(v.kind, "data");
    *out = (struct registry_parent){ .parent = text, .role = data ? "data" : "base" };
    return 0;
}

/* Copies of the texts that --from has, which roles are cut off of. */
struct parents { struct registry_parent at[OPT_LIST_MAX]; char *text[OPT_LIST_MAX]; };

static int read_parents(struct registry *g, struct parents *p, struct err *err)
{
    for (int i = 0; i < from.n; i++) {
        if (!(p->text[i] = mem_strdup(from.item[i])))
            return ERR(err, NOMEM, "no memory for the parents");
        TRY(parent_of(g, p->text[i], &p->at[i], err));
    }
    return 0;
}

static void free_parents(struct parents *p)
{
    for (int i = 0; i < from.n; i++)
        mem_free(p->text[i]);
}

/* Checkpoints of a run are no part of its model, and would be larger. */
static int skip_checkpoints(const char *path, const char *skip[], struct err *err)
{
    char *latest = file_join(path, "checkpoints/latest");
    if (!latest)
        return ERR(err, NOMEM, "no memory for the path of the checkpoints");
    int n = 0;
    if (file_exists(latest)) {
        log_info("the folder checkpoints is left out");
        skip[n++] = "checkpoints";
    }
    mem_free(latest);
    for (int i = 0; i < ignored.n; i++)
        skip[n++] = ignored.item[i];
    skip[n] = NULL;
    return 0;
}

static int tell_added(const struct registry_version *v, struct err *err)
{
    char size[32];
    if (cmd_json)
        return cmd_print_json(json_pack("{s:s, s:I, s:s, s:s, s:I, s:b}", "name", v->name, "number", (json_int_t)v->number, "root", v->root, "kind", v->kind,
                                        "bytes", (json_int_t)v->bytes, "new",
                                        v->is_new), err);
    printf("%s@%lld  %s  %s%s\n", v->name, (long long)v->number, v->root, fmt_bytes(size, (double)v->bytes), v->is_new ? "" : ", was there already");
    return 0;
}

int cmd_registry_add(struct registry *g, struct registry_addition *a, bool facts_too, const struct journal_by *by, struct registry_version *v, struct err *err)
{
    const char *skip[OPT_LIST_MAX + 2];
    struct registry_facts r = { .path = NULL };
    *skip = NULL;
    if (!a->files)
        TRY(skip_checkpoints(a->path, skip, err));
    if (facts_too && !strcmp(a->kind, "model")) {
        if (registry_facts_read(&r, a->path, err))
            return err_context(err, "%.200s is no model that can be loaded (--no-facts takes it as it is)", a->path);
        a->facts = r.facts, a->complete = registry_facts_complete, a->ctx = &r;
    }
    a->skip = skip;
    const int rc = registry_add(g, a, by, v, err);
    registry_facts_release(&r);
    a->facts = NULL, a->complete = NULL, a->ctx = NULL, a->skip = NULL;
    return rc;
}

static int attach(struct registry *g, const char *name, struct registry_addition *a, struct registry_version *v, struct err *err)
{
    const struct journal_by by = cmd_registry_by();
    if (!a->n_evidence && !a->n_parent)
        return ERR(err, USAGE, "expected NAME and the PATH of its files, or a version and --evidence or --from");
    TRY(registry_find_text(g, name, v, err));
    return registry_attach(g, v, a, &by, err);
}

static int run_add(const char *const *args, int n_args, struct err *err)
{
    struct registry *g;
    struct registry_version v;
    const struct journal_by by = cmd_registry_by();
    struct parents parents = { .text = { NULL } };
    TRY(cmd_registry_open(&g, n_args == 2, err));
    struct registry_addition a = { .name = args[0], .kind = kind, .path = n_args == 2 ? args[1] : NULL, .parent = parents.at, .n_parent = from.n,
                                   .evidence = evidence.item, .n_evidence = evidence.n };
    int rc = read_parents(g, &parents, err);
    if (!rc)
        rc = a.path ? cmd_registry_add(g, &a, read_facts, &by, &v, err) : attach(g, args[0], &a, &v, err);
    if (!rc)
        rc = tell_added(&v, err);
    free_parents(&parents);
    registry_close(g);
    return rc;
}

static const struct opt add_opts[] = {
    { OPT_CHOICE, "kind", &kind, "model|data", "what NAME is", 0, 0 },
    { OPT_LIST, "from", &from, "<parent>",
      "what it comes from: NAME@N, NAME@ALIAS, or another's name; as ROLE=PARENT where its role is neither data nor base; may be given again", 0, 0 },
    { OPT_LIST, "evidence", &evidence, "<file>",
      "what was found out about it: results of lathe eval and compare, report.json of an audit, a signature; at most 256 MiB; may be given again", 0, 0 },
    { OPT_LIST, "ignore", &ignored, "<path>", "below PATH, that is no part of it; may be given again", 0, 0 },
    { OPT_FLAG, "facts", &read_facts, NULL, "look at what the files are; --no-facts takes them as they are", 0, 0 },
    OPT_REASON, OPT_ACTOR, OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_registry_add = {
    "registry add", "NAME [PATH]", "keep a model or data set as a version that does not change",
    TEXT("PATH is a folder or a file; all of it is copied into the registry, named by its contents.  NAME gets the next number, NAME@1, NAME@2, ...;\n"
    "where it has a version with the same contents, that is it.  A version's root is one digest of all its files, by the rule of OpenSSF Model\n"
    "Signing: the SHA-256 over the files' digests, in the order of their paths.  Weights, tokenizer, chat template and generation config are\n"
    "files, or in the one GGUF file, so a change of any of them is another version.  .git, .github, .gitattributes, .gitignore and model.sig at\n"
    "the top are no part of it; model.sig is kept as evidence.  Nor are checkpoints in the folder of a training run.\n\n"
    "A model is looked at as by lathe info: one whose tensors are not what its configuration says is refused.  Adapters by themselves\n"
    "(adapter_config.json without a config.json) are a version, too: evidence of a model with them (--adapter) is theirs, and where --from names\n"
    "a base that is in the registry, only that of the two together.\n\n"
    "With NAME@N and no PATH, --evidence and --from add to a version that is there.\n\n"
    "    lathe registry add tickets data/ --kind data --evidence audit/report.json\n"
    "    lathe registry add support run/ --from tickets@1 --from HuggingFaceTB/SmolLM2-135M --evidence eval/results_*.json\n"
    "    lathe generate support@1 -p Hello\n\n"
    "Commands that take a MODEL take NAME@N and NAME@ALIAS too.  A registry is a folder with SQLite's registry.db in it, which is made by\n"
    "the first add; or a database of PostgreSQL, with the blobs in the folder.  Several programs and machines may use it at once."),
    add_opts, run_add, 1, 2,
};

/* ---- list ---- */

static void print_name(const json_t *o)
{
    char size[32];
    const char *alias;
    json_t *number;
    const long long n = (long long)tree_number_at(o, "versions");
    printf("%-32s %-5s %3lld version%s", tree_text_at(o, "name"), tree_text_at(o, "kind"), n, n == 1 ? "" : "s");
    if (n)
        printf(", last @%lld, %s", (long long)tree_number_at(o, "last"), fmt_bytes(size, tree_number_at(o, "bytes")));
    json_object_foreach(json_object_get(o, "aliases"), alias, number)
        printf(", %s @%lld", alias, (long long)json_integer_value(number));
    printf("\n");
}

static int list(struct registry *g, void *ctx, struct err *err)
{
    json_t *names, *o;
    size_t i;
    (void)ctx;
    TRY(registry_list(g, &names, err));
    if (cmd_json)
        return cmd_print_json(json_pack("{s:o}", "names", names), err);
    json_array_foreach(names, i, o)
        print_name(o);
    json_decref(names);
    return 0;
}

static int run_list(const char *const *args, int n_args, struct err *err)
{
    (void)args, (void)n_args;
    return cmd_registry_with(list, NULL, err);
}

static const struct opt list_opts[] = { OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST };
const struct command command_registry_list = {
    "registry list", "", "list the models and data sets of a registry",
    TEXT("Each name with its kind, its versions, the bytes of all of them (contents that versions share take room once), and its aliases."),
    list_opts, run_list, 0, 0,
};

/* ---- show ---- */

static void print_list(const json_t *o, const char *key, const char *first, const char *second)
{
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(o, key), i, item) {
        const char *a = json_is_string(item) ? json_string_value(item) : tree_text_at(item, first);
        printf("%-12s %s%s%s%s\n", i ? "" : key, a, second ? " (" : "", second ? tree_text_at(item, second) : "", second ? ")" : "");
    }
}

static void print_removed(const json_t *removed)
{
    const char *reason = tree_text_at(removed, "reason");
    if (removed)
        printf("bytes        removed %.19sZ by %s%s%s; adding the same files again brings them back\n", tree_text_at(removed, "t"), tree_text_at(removed, "actor"),
               *reason ? ": " : "", reason);
}

/* As each said it last. */
static void print_servers(const json_t *servers)
{
    size_t i;
    const json_t *s;
    json_array_foreach(servers, i, s) {
        const char *message = tree_text_at(s, "message");
        printf("%-12s %s: %s as %s since %.19sZ%s%s\n", i ? "" : "servers", tree_text_at(s, "server"), tree_text_at(s, "state"), tree_text_at(s, "alias"), tree_text_at(s, "t"),
               *message ? ": " : "", message);
    }
}

static void print_version(const json_t *o)
{
    char size[32];
    size_t i;
    const json_t *f, *facts = json_object_get(o, "facts");
    printf("%s@%lld, %s, added %.19sZ by %s%s%s\n", tree_text_at(o, "name"), (long long)tree_number_at(o, "number"), tree_text_at(o, "kind"),
           tree_text_at(o, "t"), tree_text_at(o, "actor"),
           *tree_text_at(o, "reason") ? ": " : "", tree_text_at(o, "reason"));
    printf("root         %s\n", tree_text_at(o, "root"));
    print_removed(json_object_get(o, "removed"));
    print_list(o, "aliases", NULL, NULL);
    print_servers(json_object_get(o, "servers"));
    if (*tree_text_at(facts, "family"))
        printf("model        %s, %s parameters", tree_text_at(facts, "family"), fmt_count(size, tree_number_at(facts, "parameters")));
    const char *type;
    json_t *types;
    json_object_foreach(json_object_get(json_object_get(facts, "file"), "types"), type, types)
        printf(", %s", type);
    if (*tree_text_at(facts, "family"))
        printf("\n");
    json_array_foreach(json_object_get(o, "files"), i, f)
        printf("%-12s %.12s %9s  %s\n", i ? "" : "files", tree_text_at(f, "sha256"), fmt_bytes(size, tree_number_at(f, "bytes")), tree_text_at(f, "name"));
    print_list(o, "parents", "parent", "role");
    print_list(o, "children", "child", "role");
    print_list(o, "evidence", "file", "kind");
}

static int show(struct registry *g, void *ctx, struct err *err)
{
    struct registry_version v;
    json_t *o;
    TRY(registry_find_text(g, ctx, &v, err));
    TRY(registry_show(g, &v, &o, err));
    if (cmd_json)
        return cmd_print_json(o, err);
    print_version(o);
    json_decref(o);
    return 0;
}

static int run_show(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    return cmd_registry_with(show, (void *)(uintptr_t)args[0], err);
}

static const struct opt show_opts[] = { OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST };
const struct command command_registry_show = {
    "registry show", "NAME[@N|@ALIAS]", "all that a registry knows of a version",
    TEXT("Its root, files, facts, aliases, what it comes from and what comes from it, and its evidence; what servers that follow one of its\n"
    "aliases said last of it, and when (doc/releases.md); of NAME alone, the last version."),
    show_opts, run_show, 1, 1,
};
