#include <jansson.h>
#include <string.h>
#include "base/log.h"
#include "cmd/cmd.h"
#include "store/pulled.h"

static bool remove_it;

static json_t *row_json(const struct pulled *p)
{
    char id[400];
    snprintf(id, sizeof id, "%s/%s%s%s", p->org, p->name, *p->commit ? "@" : "", p->revision);
    return json_pack("{s:s, s:s*, s:b, s:I, s:i, s:s}", "id", id, "commit", *p->commit ? p->commit : NULL, "complete", p->complete, "bytes", (json_int_t)p->usage.bytes, "files",
                     p->usage.n_file, "folder", p->folder);
}

static int print_json(const struct pulled_list *l, struct err *err)
{
    json_t *rows = json_array();
    for (int i = 0; i < l->n; i++)
        json_array_append_new(rows, row_json(&l->at[i]));
    return cmd_print_json(json_pack("{s:o}", "models", rows), err);
}

static void print_row(const struct pulled *p)
{
    char id[400], size[32];
    snprintf(id, sizeof id, "%s/%s%s%.200s", p->org, p->name, *p->commit ? "@" : "", strcmp(p->revision, p->commit) ? p->revision : "");
    if (*p->commit && !strcmp(p->revision, p->commit))
        snprintf(id + strlen(id), sizeof id - strlen(id), "%.12s", p->commit);
    printf("%-44s %9s in %d file%s", id, fmt_bytes(size, (double)p->usage.bytes), p->usage.n_file, p->usage.n_file == 1 ? "" : "s");
    if (*p->commit)
        printf(", commit %.12s%s\n", p->commit, p->complete ? "" : ", not complete");
    else
        printf(", not whole yet\n");
}

static int list(const struct model_id *only, struct err *err)
{
    struct pulled_list l;
    int rc = pulled_list(&l, only, err);
    if (!rc && only && !l.n)
        rc = ERR(err, NOTFOUND, "%s/%s was not pulled", only->org, only->name);
    if (!rc && cmd_json)
        rc = print_json(&l, err);
    for (int i = 0; i < l.n && !rc && !cmd_json; i++)
        print_row(&l.at[i]);
    pulled_list_release(&l);
    return rc;
}

static int drop(const struct model_id *id, const char *revision, struct err *err)
{
    uint64_t freed;
    char size[32];
    TRY(pulled_remove(id, revision, &freed, err));
    log_info("%s/%s%s%s removed, %s freed", id->org, id->name, revision ? "@" : "", revision ? revision : "", fmt_bytes(size, (double)freed));
    return cmd_json ? cmd_print_json(json_pack("{s:I}", "freed_bytes", (json_int_t)freed), err) : 0;
}

static int run_models(const char *const *args, int n_args, struct err *err)
{
    struct model_id id;
    if (n_args)
        TRY(model_id_parse(&id, args[0], err));
    if (n_args && *id.file)
        return ERR(err, USAGE, "found '%s', expected ORG/NAME[@REVISION], without a file", args[0]);
    if (!remove_it)
        return list(n_args ? &id : NULL, err);
    return n_args ? drop(&id, strchr(args[0], '@') ? id.revision : NULL, err) : ERR(err, USAGE, "--remove: expected the model to remove");
}

static const struct opt opts[] = {
    { OPT_FLAG, "remove", &remove_it, NULL, "remove it from the store", 0, 0 },
    OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_models = {
    "models", "[ID]", "list or remove what was pulled",
    TEXT("Lists the models that lathe pull brought, with their sizes: each revision, its commit, and what has come of files that are not whole\n"
    "yet.  With ID, ORG/NAME, those of one model.\n\n"
    "With --remove, ID goes: ORG/NAME with all its revisions, ORG/NAME@REVISION alone.  The files of a commit go with the last revision\n"
    "that is it; a file that two commits share takes its room once and is kept while one of them is there.  A model that a command is\n"
    "using stays whole for it.  A removal that was stopped can be given again."),
    opts, run_models, 0, 1,
};
