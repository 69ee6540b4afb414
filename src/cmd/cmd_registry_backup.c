/* cmd_registry_backup.c - lathe registry backup and restore. */
#include "base/log.h"
#include "base/tree.h"
#include "cmd/cmd_registry.h"
#include "store/registry_backup.h"

static bool check;

static int tell(json_t *o, const char *what, const char *copied, struct err *err)
{
    char size[32], new_size[32];
    if (cmd_json)
        return cmd_print_json(o, err);
    const json_t *head = json_object_get(o, "head");
    printf("%s: registry %.12s, %lld records, %lld blobs of %s", what, tree_text_at(o, "registry"), (long long)tree_number_at(head, "seq"), (long long)tree_number_at(o, "blobs"),
           fmt_bytes(size, tree_number_at(o, "bytes")));
    if (copied)
        printf(", %lld %s, %s", (long long)tree_number_at(o, "copied"), copied, fmt_bytes(new_size, tree_number_at(o, "copied_bytes")));
    printf("; the journal ends with %lld:%s\n", (long long)tree_number_at(head, "seq"), tree_text_at(head, "hash"));
    json_decref(o);
    return 0;
}

static int backup(struct registry *g, void *ctx, struct err *err)
{
    json_t *o;
    TRY(registry_backup(g, ctx, &o, err));
    return tell(o, "backed up", "of them new", err);
}

static int run_backup(const char *const *args, int n_args, struct err *err)
{
    json_t *o;
    (void)n_args;
    if (!check)
        return cmd_registry_with(backup, (void *)(uintptr_t)args[0], err);
    TRY(registry_backup_check(args[0], &o, err));
    return tell(o, "whole", NULL, err);
}

static const struct opt backup_opts[] = {
    { OPT_FLAG, "check", &check, NULL, "read the backup that is there instead, all of it, and say whether it is whole", 0, 0 },
    OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_registry_backup = {
    "registry backup", "FOLDER", "a copy of a registry, while others write",
    TEXT("FOLDER gets the journal, which the tables follow from, all contents that are needed, and backup.json with the digests of everything.  It is\n"
    "one state of the registry, whoever writes meanwhile.  Given again with the same folder, only new contents are copied.  One that is killed\n"
    "leaves the backup that was there before.  A registry that is damaged is not backed up: the record or the file is named.\n\n"
    "    lathe registry backup /mnt/backup/registry\n"
    "    lathe registry backup /mnt/backup/registry --check\n"
    "    lathe registry restore /mnt/backup/registry --registry postgresql://...\n\n"
    "What servers said last and recorded answers (events.db) are no part of it."),
    backup_opts, run_backup, 1, 1,
};

static int run_restore(const char *const *args, int n_args, struct err *err)
{
    json_t *o;
    (void)n_args;
    TRY(registry_restore(args[0], cmd_registry, &o, err));
    return tell(o, "restored", NULL, err);
}

static const struct opt restore_opts[] = { OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST };
const struct command command_registry_restore = {
    "registry restore", "BACKUP", "a registry out of a backup",
    TEXT("BACKUP, a folder that lathe registry backup made of a registry in SQLite or PostgreSQL, becomes a registry in either: in a folder that is not\n"
    "there or empty, or in a database that has none.  All of it is read and checked first, the chain of the journal and every file; what is\n"
    "changed, cut or missing is named, and nothing is restored.  A restore that is killed leaves nothing, but for a folder WHERE.restoring,\n"
    "which the next one takes."),
    restore_opts, run_restore, 1, 1,
};
