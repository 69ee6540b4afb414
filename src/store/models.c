#include "store/models.h"
#include <ctype.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"

/* ---- names ---- */

static bool is_word(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isascii((unsigned char)s[i]) || !(isalnum((unsigned char)s[i]) || strchr("-._", s[i])))
            return false;
    return n && s[0] != '.' && s[0] != '-';
}

static bool copy_word(char *out, size_t size, const char *s, size_t n)
{
    if (n >= size || !is_word(s, n))
        return false;
    memcpy(out, s, n);
    out[n] = 0;
    return true;
}

int model_id_parse(struct model_id *out, const char *text, struct err *err)
{
    *out = (struct model_id){ .revision = "main" };
    const char *slash = strchr(text, '/');
    const char *colon = strchr(text, ':'), *end = colon ? colon : text + strlen(text);
    const char *at = memchr(text, '@', (size_t)(end - text));
    bool ok = slash && slash < end && copy_word(out->org, sizeof out->org, text, (size_t)(slash - text)) &&
              copy_word(out->name, sizeof out->name, slash + 1, (size_t)((at ? at : end) - slash - 1));
    if (ok && at) {
        ok = (size_t)(end - at - 1) < sizeof out->revision;
        if (ok)
            snprintf(out->revision, sizeof out->revision, "%.*s", (int)(end - at - 1), at + 1);
        ok = ok && model_path_ok(out->revision);
    }
    if (ok && colon)
        ok = colon[1] && (size_t)snprintf(out->file, sizeof out->file, "%s", colon + 1) < sizeof out->file;
    return ok ? 0 : ERR(err, USAGE, "found '%.200s', expected a model of the hub: ORG/NAME[@REVISION][:FILE]", text);
}

bool model_path_ok(const char *path)
{
    const char *end = path + strlen(path);
    if (end == path || end - path > 500)
        return false;
    for (const char *p = path; p < end;) {
        const int n = utf8_plain(p, end);
        if (!n || *p == '\\')
            return false;
        p += n;
    }
    for (const char *part = path;; part++) {
        const size_t n = strcspn(part, "/");
        if (!n || n > 255 || (n == 1 && *part == '.') || (n == 2 && !memcmp(part, "..", 2)))
            return false;
        part += n;
        if (!*part)
            return true;
    }
}

bool model_commit_ok(const char *commit)
{
    const size_t n = strlen(commit);
    return n >= 40 && n <= 64 && strspn(commit, "0123456789abcdef") == n;
}

bool model_file_matches(const char *pattern, const char *path)
{
    if (strpbrk(pattern, "*?["))
        return !fnmatch(pattern, path, 0) || !fnmatch(pattern, file_last_part(path), 0);
    return strcasestr(path, pattern) != NULL;
}

int model_escape(const char *text, bool keep_slash, struct buf *out, struct err *err)
{
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if ((c < 128 && isalnum(c)) || strchr("-._~", c) || (keep_slash && c == '/'))
            TRY(buf_add_char(out, (char)c, err));
        else
            TRY(buf_printf(out, err, "%%%02X", c));
    }
    return 0;
}

/* ---- the folder ---- */

int models_home(char **out, struct err *err)
{
    const char *home = getenv("LATHE_HOME"), *data = getenv("XDG_DATA_HOME"), *user = getenv("HOME");
    if (home && *home)
        *out = mem_strdup(home);
    else if (data && *data)
        *out = mem_printf("%s/lathe", data);
    else if (user && *user)
        *out = mem_printf("%s/.local/share/lathe", user);
    else
        return ERR(err, NOTFOUND, "there is no place for models: neither LATHE_HOME nor XDG_DATA_HOME nor HOME is set");
    return *out ? 0 : ERR(err, NOMEM, "no memory for the path of the models");
}

int models_root(char **out, struct err *err)
{
    char *home;
    TRY(models_home(&home, err));
    *out = file_join(home, "models");
    mem_free(home);
    return *out ? 0 : ERR(err, NOMEM, "no memory for the path of the models");
}

int models_dir(char **out, const struct model_id *id, struct err *err)
{
    char *root;
    TRY(models_root(&root, err));
    *out = mem_printf("%s/%s/%s", root, id->org, id->name);
    mem_free(root);
    return *out ? 0 : ERR(err, NOMEM, "no memory for the path of %s/%s", id->org, id->name);
}

/* DIR/COMMIT, where DIR/refs/REVISION says which. */
static int commit_folder(char **out, const char *dir, const struct model_id *id, struct err *err)
{
    struct buf ref, commit;
    buf_init(&ref);
    buf_init(&commit);
    int rc = buf_printf(&ref, err, "%s/refs/", dir);
    if (!rc)
        rc = model_escape(id->revision, false, &ref, err);
    if (!rc && !file_exists(ref.data))
        rc = ERR(err, NOTFOUND, "%s/%s at %s was not pulled: lathe pull %s/%s%s%s", id->org, id->name, id->revision, id->org, id->name,
                 strcmp(id->revision, "main") ? " --revision " : "", strcmp(id->revision, "main") ? id->revision : "");
    if (!rc)
        rc = file_read(ref.data, 100, &commit, err);
    if (!rc) {
        commit.data[strcspn(commit.data, "\n")] = 0;
        if (!model_commit_ok(commit.data))
            rc = ERR(err, CORRUPT, "%s holds '%s', expected a commit", ref.data, commit.data);
    }
    if (!rc && !(*out = file_join(dir, commit.data)))
        rc = ERR(err, NOMEM, "no memory for the path of %s/%s", id->org, id->name);
    buf_release(&ref);
    buf_release(&commit);
    return rc;
}

bool model_is_gguf(const char *path)
{
    const size_t n = strlen(path);
    if (n < 5 || strcasecmp(path + n - 5, ".gguf") || strstr(path, "mmproj"))
        return false;
    const char *of = n > 20 ? path + n - 14 : NULL;                      /* "-of-00003.gguf" */
    return !of || strncmp(of, "-of-", 4) || !strncmp(of - 6, "-00001", 6);
}

struct choice {
    const char *wanted;            /* part of a path, or "" */
    int n_match;
    char *path;                    /* of the last match, below the model's folder */
    struct buf all;                /* what there is to choose from */
};

static int choose(struct choice *c, char *path, struct err *err)
{
    TRY(buf_printf(&c->all, err, "%s%s", c->all.len ? ", " : "", path));
    if (*c->wanted && !model_file_matches(c->wanted, path))
        return 0;
    c->n_match++;
    mem_free(c->path);
    c->path = mem_strdup(path);
    return c->path ? 0 : ERR(err, NOMEM, "no memory for the path of %s", path);
}

/* The GGUF files in root/below and in the folders there (hubs put the parts of a large one into one): at most `depth` down. */
static int choose_in(struct choice *c, const char *root, const char *below, int depth, struct err *err)
{
    char **names, *dir = *below ? file_join(root, below) : mem_strdup(root);
    int n, rc = dir ? file_list(dir, &names, &n, err) : ERR(err, NOMEM, "no memory for the path of %s", root);
    mem_free(dir);
    TRY(rc);
    for (int i = 0; i < n && !rc; i++) {
        char *path = *below ? file_join(below, names[i]) : mem_strdup(names[i]), *full = path ? file_join(root, path) : NULL;
        if (!full)
            rc = ERR(err, NOMEM, "no memory for the path of %s", names[i]);
        else if (file_is_dir(full))
            rc = depth ? choose_in(c, root, path, depth - 1, err) : 0;
        else if (model_is_gguf(path))
            rc = choose(c, path, err);
        mem_free(path);
        mem_free(full);
    }
    file_list_free(names, n);
    return rc;
}

/* Replaces the folder by the GGUF file in it that is meant. */
static int choose_gguf(char **path, const struct model_id *id, struct err *err)
{
    struct choice c = { .wanted = id->file };
    buf_init(&c.all);
    int rc = choose_in(&c, *path, "", 2, err);
    if (!rc && *id->file && !c.n_match)
        rc = ERR(err, NOTFOUND, "%s/%s: '%s' is none of the files that were pulled: %.300s", id->org, id->name, id->file, c.all.len ? c.all.data : "no GGUF");
    if (!rc && c.n_match > 1)
        rc = ERR(err, USAGE, "%s/%s has several models: choose one as %s/%s:PART-OF-ITS-NAME, of %.300s", id->org, id->name, id->org, id->name, c.all.data);
    if (!rc && c.n_match) {
        char *file = file_join(*path, c.path);
        mem_free(*path);
        *path = file;
        rc = file ? 0 : ERR(err, NOMEM, "no memory for the path of %s/%s", id->org, id->name);
    }
    mem_free(c.path);
    buf_release(&c.all);
    return rc;
}

int models_find(char **out, const struct model_id *id, struct err *err)
{
    char *dir, *config = NULL;
    *out = NULL;
    TRY(models_dir(&dir, id, err));
    int rc = commit_folder(out, dir, id, err);
    if (!rc && !(config = file_join(*out, "config.json")))
        rc = ERR(err, NOMEM, "no memory for the path of %s/%s", id->org, id->name);
    if (!rc && (*id->file || !file_exists(config)))
        rc = choose_gguf(out, id, err);
    if (rc) {
        mem_free(*out);
        *out = NULL;
    }
    mem_free(config);
    mem_free(dir);
    return rc;
}
