#include "store/pulled.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"

/* ---- a folder of names ---- */

struct names { char **at; int n; };

/* Names in dir/below, none where that is no folder. */
static int names_of(struct names *out, const char *dir, const char *below, struct err *err)
{
    *out = (struct names){ 0 };
    char *path = file_join(dir, below);
    if (!path)
        return ERR(err, NOMEM, "no memory for the path of %s", below);
    const int rc = file_is_dir(path) ? file_list(path, &out->at, &out->n, err) : 0;
    mem_free(path);
    return rc;
}

/* "%2F" is "/", as model_escape() wrote it; false when it is not such a name. */
static bool unescape(char out[201], const char *name)
{
    size_t n = 0;
    for (; *name; n++) {
        unsigned byte;
        if (n == 200)
            return false;
        if (*name == '%' && (strspn(name + 1, "0123456789ABCDEF") < 2 || sscanf(name + 1, "%2X", &byte) != 1 || !byte))
            return false;
        out[n] = *name == '%' ? (char)byte : *name;
        name += *name == '%' ? 3 : 1;
    }
    out[n] = 0;
    return model_path_ok(out);
}

/* The commit in dir/refs/NAME; "" when there is none. */
static int read_ref(char out[65], const char *dir, const char *name, struct err *err)
{
    struct buf path, text;
    buf_init(&path);
    buf_init(&text);
    *out = 0;
    int rc = buf_printf(&path, err, "%s/refs/%s", dir, name);
    if (!rc && file_exists(path.data))
        rc = file_read(path.data, 100, &text, err);
    if (!rc && text.len) {
        text.data[strcspn(text.data, "\n")] = 0;
        if (model_commit_ok(text.data))
            snprintf(out, 65, "%s", text.data);
    }
    buf_release(&path);
    buf_release(&text);
    return rc;
}

/* ---- the list ---- */

static int append(struct pulled_list *l, const struct model_id *id, const char *revision, const char *commit, const char *dir, const char *below, bool complete, struct err *err)
{
    if (l->n == l->cap) {
        const int cap = l->cap ? 2 * l->cap : 16;
        struct pulled *at = mem_realloc_array(l->at, (size_t)cap, sizeof *at);
        if (!at)
            return ERR(err, NOMEM, "no memory for a list of %d models", cap);
        l->at = at, l->cap = cap;
    }
    struct pulled *p = &l->at[l->n];
    *p = (struct pulled){ .complete = complete, .folder = file_join(dir, below) };
    if (!p->folder)
        return ERR(err, NOMEM, "no memory for the path of %s/%s", id->org, id->name);
    l->n++;
    snprintf(p->org, sizeof p->org, "%s", id->org);
    snprintf(p->name, sizeof p->name, "%s", id->name);
    snprintf(p->revision, sizeof p->revision, "%s", revision);
    snprintf(p->commit, sizeof p->commit, "%s", commit);
    return file_usage(p->folder, &p->usage, err);
}

/* A commit by the revisions that are it, among them its own name when the pull was complete. */
static int list_commit(struct pulled_list *l, const struct model_id *id, const char *dir, const char *commit, const struct names *refs, struct err *err)
{
    bool complete = false, named = false;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < refs->n; i++) {
            char is[65], revision[201];
            TRY(read_ref(is, dir, refs->at[i], err));
            if (strcmp(is, commit) || !unescape(revision, refs->at[i]))
                continue;
            if (!pass) {
                complete = true;
            } else if (strcmp(revision, commit)) {
                TRY(append(l, id, revision, commit, dir, commit, complete, err));
                named = true;
            }
        }
    if (named)
        return 0;
    TRY(append(l, id, commit, commit, dir, commit, complete, err));
    if (!complete && !l->at[l->n - 1].usage.n_file)           /* a pull made the folder, and no file came */
        mem_free(l->at[--l->n].folder);
    return 0;
}

static int list_model(struct pulled_list *l, const struct model_id *id, struct err *err)
{
    char *dir;
    struct names all = { 0 }, refs = { 0 };
    TRY(models_dir(&dir, id, err));
    int rc = names_of(&all, dir, "", err);
    if (!rc)
        rc = names_of(&refs, dir, "refs", err);
    for (int i = 0; i < all.n && !rc; i++)
        if (model_commit_ok(all.at[i]))
            rc = list_commit(l, id, dir, all.at[i], &refs, err);
    struct file_usage part = { 0 };
    char *path = rc ? NULL : file_join(dir, "part");
    if (!rc)
        rc = path ? file_usage(path, &part, err) : ERR(err, NOMEM, "no memory for the path of %s/%s", id->org, id->name);
    if (!rc && part.n_file)
        rc = append(l, id, "", "", dir, "part", false, err);
    mem_free(path);
    file_list_free(all.at, all.n);
    file_list_free(refs.at, refs.n);
    mem_free(dir);
    return rc;
}

/* Every ORG/NAME that a model can have. */
static int list_org(struct pulled_list *l, const char *root, const char *org, struct err *err)
{
    struct names names;
    TRY(names_of(&names, root, org, err));
    int rc = 0;
    for (int i = 0; i < names.n && !rc; i++) {
        struct model_id id;
        char text[512];
        snprintf(text, sizeof text, "%s/%s", org, names.at[i]);
        if (model_id_parse(&id, text, NULL) == 0 && !strcmp(id.name, names.at[i]))
            rc = list_model(l, &id, err);
    }
    file_list_free(names.at, names.n);
    return rc;
}

int pulled_list(struct pulled_list *out, const struct model_id *only, struct err *err)
{
    char *root;
    struct names orgs = { 0 };
    *out = (struct pulled_list){ 0 };
    if (only)
        return list_model(out, only, err);
    TRY(models_root(&root, err));
    int rc = names_of(&orgs, root, "", err);
    for (int i = 0; i < orgs.n && !rc; i++)
        rc = list_org(out, root, orgs.at[i], err);
    file_list_free(orgs.at, orgs.n);
    mem_free(root);
    return rc;
}

void pulled_list_release(struct pulled_list *l)
{
    for (int i = 0; i < l->n; i++)
        mem_free(l->at[i].folder);
    mem_free(l->at);
    *l = (struct pulled_list){ 0 };
}

/* ---- removing ---- */

static int remove_below(const char *dir, const char *below, bool all, uint64_t *freed, struct err *err)
{
    struct file_usage usage = { 0 };
    char *path = file_join(dir, below);
    int rc = path ? file_usage(path, &usage, err) : ERR(err, NOMEM, "no memory for the path of %s", below);
    if (!rc)
        rc = file_remove_tree(path, err);
    if (!rc)
        *freed += all ? usage.share : usage.alone;       /* all: every name of its files is there */
    mem_free(path);
    return rc;
}

static int remove_ref(const char *dir, const char *revision, struct err *err)
{
    struct buf path;
    buf_init(&path);
    int rc = buf_printf(&path, err, "%s/refs/", dir);
    if (!rc)
        rc = model_escape(revision, false, &path, err);
    if (!rc)
        rc = file_remove_tree(path.data, err);
    buf_release(&path);
    return rc;
}

/* The revision, and its commit if nothing else is that. */
static int remove_revision(const struct pulled_list *l, const char *dir, const char *revision, uint64_t *freed, struct err *err)
{
    const struct pulled *p = NULL;
    int n_same = 0;
    for (int i = 0; i < l->n; i++)
        if (!strcmp(l->at[i].revision, revision) || !strcmp(l->at[i].commit, revision))
            p = l->at[i].commit[0] ? &l->at[i] : p;
    if (!p)
        return ERR(err, NOTFOUND, "%s was not pulled", revision);
    for (int i = 0; i < l->n; i++)
        n_same += !strcmp(l->at[i].commit, p->commit);
    const bool all = !strcmp(p->commit, revision);            /* by its own name: with all revisions that are it */
    for (int i = 0; i < l->n; i++)
        if (all ? !strcmp(l->at[i].commit, p->commit) : !strcmp(l->at[i].revision, revision))
            TRY(remove_ref(dir, l->at[i].revision, err));
    if (!all && n_same > 1)
        return 0;
    TRY(remove_ref(dir, p->commit, err));
    return remove_below(dir, p->commit, false, freed, err);
}

static int remove_all(const char *dir, uint64_t *freed, struct err *err)
{
    TRY(remove_below(dir, "refs", true, freed, err));
    TRY(remove_below(dir, "", true, freed, err));
    char *org = mem_strdup(dir), *slash = org ? strrchr(org, '/') : NULL;
    if (slash) {
        *slash = 0;
        rmdir(org);                        /* the maker's folder, if it was the last: no matter otherwise */
    }
    mem_free(org);
    return 0;
}

int pulled_remove(const struct model_id *id, const char *revision, uint64_t *freed, struct err *err)
{
    struct pulled_list l = { 0 };
    char *dir;
    int lock = -1;
    *freed = 0;
    TRY(models_dir(&dir, id, err));
    int rc = file_is_dir(dir) ? file_lock(dir, &lock, err) : ERR(err, NOTFOUND, "%s/%s was not pulled", id->org, id->name);
    if (!rc && revision)
        rc = pulled_list(&l, id, err);
    if (!rc)
        rc = revision ? remove_revision(&l, dir, revision, freed, err) : remove_all(dir, freed, err);
    if (rc == ERR_NOTFOUND && revision && file_is_dir(dir))
        err_context(err, "%s/%s", id->org, id->name);
    file_unlock(&lock);
    pulled_list_release(&l);
    mem_free(dir);
    return rc;
}
