/* cmd_registry_backup.c - lathe registry backup and restore. */
#include <string.h>
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd_registry.h"
#include "store/registry_backup.h"

static bool check, texts;
static const char *events;

/* --events: "registry" is where they lie with it, "none" that they are not wanted. */
static int find_events(struct registry_backup_opts *o, char **made, struct err *err)
{
    *made = NULL;
    *o = (struct registry_backup_opts){ .events = events, .texts = texts };
    if (!events)
        return 0;
    if (!strcmp(events, "none"))
        o->events = NULL, o->without_events = true;
    else if (!strcmp(events, "registry") && !(o->events = cmd_registry)) {
        TRY(registry_where(made, err));
        o->events = *made;
    }
    return 0;
}

static int describe(struct buf *b, const json_t *o, const char *what, const char *copied, struct err *err)
{
    char size[32], new_size[32];
    const json_t *head = json_object_get(o, "head"), *e = json_object_get(o, "events");
    TRY(buf_printf(b, err, "%s: registry %.12s, %lld records, %lld blobs of %s", what, tree_text_at(o, "registry"), (long long)tree_number_at(head, "seq"), (long long)tree_number_at(o, "blobs"),
                   fmt_bytes(size, tree_number_at(o, "bytes"))));
    if (copied)
        TRY(buf_printf(b, err, ", %lld %s, %s", (long long)tree_number_at(o, "copied"), copied, fmt_bytes(new_size, tree_number_at(o, "copied_bytes"))));
    TRY(buf_printf(b, err, "; the journal ends with %lld:%s", (long long)tree_number_at(head, "seq"), tree_text_at(head, "hash")));
    return json_is_object(e) ? buf_printf(b, err, "\n%lld recorded answers, %lld of feedback, texts of %lld", (long long)tree_number_at(e, "answers"), (long long)tree_number_at(e, "feedback"),
                                          (long long)tree_number_at(e, "texts")) : 0;
}

/* to_log: standard output has the archive. */
static int tell(json_t *o, const char *what, const char *copied, bool to_log, struct err *err)
{
    struct buf b;
    if (json_is_true(json_object_get(o, "events_left")))
        log_info("answers that were recorded beside the registry are not in it: --events registry takes them, --events none is content with that");
    if (cmd_json)
        return cmd_print_json(o, err);
    buf_init(&b);
    const int rc = describe(&b, o, what, copied, err);
    if (!rc && to_log)
        log_info("%s", b.data);
    else if (!rc)
        puts(b.data);
    buf_release(&b);
    json_decref(o);
    return rc;
}

struct wanted { const char *out; struct registry_backup_opts o; };

static int backup(struct registry *g, void *ctx, struct err *err)
{
    const struct wanted *w = ctx;
    json_t *o;
    TRY(registry_backup(g, w->out, &w->o, &o, err));
    return tell(o, "backed up", "of them new", !strcmp(w->out, "-"), err);
}

static int run_backup(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    if (check) {
        json_t *o;
        TRY(registry_backup_check(args[0], &o, err));
        return tell(o, "whole", NULL, false, err);
    }
    struct wanted w = { .out = args[0] };
    char *made;
    if (cmd_json && !strcmp(w.out, "-"))
        return ERR(err, USAGE, "--json: standard output is for the archive");
    TRY(find_events(&w.o, &made, err));
    const int rc = texts && !w.o.events ? ERR(err, USAGE, "--texts: expected --events with it") : cmd_registry_with(backup, &w, err);
    mem_free(made);
    return rc;
}

static const struct opt backup_opts[] = {
    { OPT_FLAG, "check", &check, NULL, "read the backup that is there instead, all of it, and say whether it is whole", 0, 0 },
    { OPT_STR, "events", &events, "<where>", "take answers that were recorded (lathe serve --record), too: registry, where they lie with it, a folder, a file.db or postgresql://...; or none", 0, 0 },
    { OPT_FLAG, "texts", &texts, NULL, "of --events: prompts, answers and comments too, as far as they were kept", 0, 0 },
    OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_registry_backup = {
    "registry backup", "OUT", "a copy of a registry, while others write",
    TEXT("OUT, a folder, gets the journal, which the tables follow from, all contents that are needed, and backup.json with the digests of everything.\n"
    "It is one state of the registry, whoever writes meanwhile.  Given again with the same folder, only new contents are copied.  One that is killed\n"
    "leaves the backup that was there before.  A registry that is damaged is not backed up: the record or the file is named.  OUT.tar is one file\n"
    "with all of that, an archive as tar knows it, and - the same to standard output.\n\n"
    "    lathe registry backup /mnt/backup/registry\n"
    "    lathe registry backup /mnt/backup/registry --check\n"
    "    lathe registry restore /mnt/backup/registry --registry postgresql://...\n"
    "    lathe registry backup - | ssh host 'cat > registry.tar'\n"
    "    ssh host cat registry.tar | lathe registry restore - --registry here\n\n"
    "Recorded answers come with --events: numbers, names and scores, and the key by which names are told apart, so the backup is then to be kept\n"
    "from others.  Texts stay behind unless --texts is given.  They are written anew each time: who was erased is in the next backup no more.\n"
    "What servers said last is no part of a backup."),
    backup_opts, run_backup, 1, 1,
};

static int run_restore(const char *const *args, int n_args, struct err *err)
{
    struct registry_backup_opts o;
    json_t *told;
    char *made;
    (void)n_args;
    if (events && !strcmp(events, "registry"))
        events = NULL;                   /* which does not lie where it will, yet */
    TRY(find_events(&o, &made, err));
    const int rc = registry_restore(args[0], cmd_registry, &o, &told, err);
    mem_free(made);
    return rc ? rc : tell(told, "restored", NULL, false, err);
}

static const struct opt restore_opts[] = {
    { OPT_STR, "events", &events, "<where>", "where recorded answers go that the backup has: registry (with it; the default), a folder, a file.db or postgresql://...; or none", 0, 0 },
    OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_registry_restore = {
    "registry restore", "BACKUP", "a registry out of a backup",
    TEXT("BACKUP, a folder or file that lathe registry backup made of a registry in SQLite or PostgreSQL, or - for such a file on standard input, becomes\n"
    "a registry in either: in a folder that is not there or empty, or in a database that has none.  All of it is read and checked first, the\n"
    "chain of the journal and every file; what is changed, cut or missing is named, and nothing is restored.  A restore that is killed leaves\n"
    "no registry, but a folder WHERE.restoring, or .restoring in a folder that was there, which the next one takes.  Of an archive nothing is\n"
    "written elsewhere, whatever names it has; what is no part of a backup, a link or a device, is refused.\n\n"
    "Recorded answers that the backup has go to where they lie with the registry, or to --events: rows that are there already stay, and texts\n"
    "whose time is over do not come back.  Who was erased after the backup was made does: erase them again (lathe watch --erase)."),
    restore_opts, run_restore, 1, 1,
};
