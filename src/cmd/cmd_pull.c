#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "store/hub.h"

static const char *revision, *file, *token;
static int64_t jobs = 4, tries = 5;

/* --token, HF_TOKEN, or the file that Hugging Face's own programs keep; "" when there is none. */
static int find_token(struct buf *out, struct err *err)
{
    const char *env = getenv("HF_TOKEN"), *hf_home = getenv("HF_HOME"), *home = getenv("HOME");
    const char *given = token ? token : env && *env ? env : NULL;
    if (given) {
        TRY(buf_add_str(out, given, err));
    } else if ((hf_home && *hf_home) || (home && *home)) {
        char *path = hf_home && *hf_home ? mem_printf("%s/token", hf_home) : mem_printf("%s/.cache/huggingface/token", home);
        const int rc = !path ? ERR(err, NOMEM, "no memory for the token") : file_exists(path) ? file_read(path, 4096, out, err) : 0;
        mem_free(path);
        TRY(rc);
    }
    while (out->len && strchr(" \t\r\n", out->data[out->len - 1]))
        out->data[--out->len] = 0;
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] <= ' ' || out->data[i] > '~')
            return ERR(err, USAGE, "the token has a character that no token has, at place %zu", i);
    return out->len <= 4000 ? 0 : ERR(err, USAGE, "the token has %zu characters, expected at most 4000", out->len);
}

static int find_endpoint(struct buf *out, struct err *err)
{
    const char *env = getenv("HF_ENDPOINT");
    TRY(buf_add_str(out, env && *env ? env : "https://huggingface.co", err));
    while (out->len && out->data[out->len - 1] == '/')
        out->data[--out->len] = 0;
    if (strncmp(out->data, "https://", 8) && strncmp(out->data, "http://", 7))
        return ERR(err, USAGE, "HF_ENDPOINT: found '%.200s', expected a URL that begins with https:// or http://", out->data);
    return 0;
}

static int print_result(const struct hub_result *r, struct err *err)
{
    if (!cmd_json) {
        puts(r->folder);
        return 0;
    }
    json_t *files = json_array();
    for (int i = 0; i < r->list.n; i++) {
        const struct hub_file *f = &r->list.file[i];
        if (f->wanted)
            json_array_append_new(files, json_pack("{s:s, s:I, s:s}", "path", f->path, "bytes", (json_int_t)f->size, "sha256", f->sha256));
    }
    return cmd_print_json(json_pack("{s:s, s:s, s:I, s:I, s:o}", "folder", r->folder, "commit", r->commit, "bytes", (json_int_t)r->bytes, "bytes_fetched",
                                    (json_int_t)r->bytes_fetched, "files", files), err);
}

static void tell(const struct hub_result *r, const struct model_id *id)
{
    char a[32], b[32], c[32];
    if (!r->n_fetched)
        log_info("%s/%s at %.12s: all %d files (%s) were here", id->org, id->name, r->commit, r->n_wanted, fmt_bytes(a, (double)r->bytes));
    else
        log_info("%s/%s at %.12s: %d of %d files fetched, %s in %s, each verified", id->org, id->name, r->commit, r->n_fetched, r->n_wanted,
                 fmt_bytes(b, (double)r->bytes_fetched), fmt_seconds(c, r->seconds));
}

static int pull(const struct model_id *id, const char *endpoint, const char *bearer, struct err *err)
{
    struct hub_result r;
    const struct hub_opts o = { endpoint, *bearer ? bearer : NULL, file ? file : *id->file ? id->file : NULL, (int)jobs, (int)tries, &cmd_stop };
    int rc = hub_pull(&r, id, &o, err);
    if (!rc) {
        tell(&r, id);
        rc = print_result(&r, err);
    }
    hub_result_release(&r);
    return rc;
}

static int run_pull(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    struct model_id id;
    struct buf bearer, endpoint;
    cmd_catch_signals();
    TRY(model_id_parse(&id, args[0], err));
    if (revision && (strlen(revision) >= sizeof id.revision || !model_path_ok(revision)))
        return ERR(err, USAGE, "--revision: found '%.100s', expected a branch, a tag or a commit", revision);
    if (revision)
        snprintf(id.revision, sizeof id.revision, "%s", revision);
    buf_init(&bearer);
    buf_init(&endpoint);
    int rc = find_token(&bearer, err);
    if (!rc)
        rc = find_endpoint(&endpoint, err);
    if (!rc)
        rc = pull(&id, endpoint.data, bearer.data, err);
    buf_release(&bearer);
    buf_release(&endpoint);
    return rc;
}

static const struct opt opts[] = {
    { OPT_STR, "revision", &revision, "<name>", "branch, tag or commit; without it main", 0, 0 },
    { OPT_STR, "file", &file, "<pattern>", "only the files that match, e.g. '*Q4_K_M*'; several with commas", 0, 0 },
    { OPT_STR, "token", &token, "<token>", "the hub's access token, for private and gated models", 0, 0 },
    { OPT_INT, "jobs", &jobs, "<int>", "files to fetch at a time", 1, 32 },
    { OPT_INT, "tries", &tries, "<int>", "tries in a row that bring nothing before giving up", 1, 100 },
    OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_pull = {
    "pull", "ID", "fetch a model from a hub",
    TEXT("ID is ORG/NAME[@REVISION][:FILE] of a hub that speaks Hugging Face's protocol: https://huggingface.co, or $HF_ENDPOINT.  Prints the\n"
    "folder where the model is then.  Every command that takes MODEL also takes ID, when no file or folder has that name: the model is\n"
    "then used as it was pulled; of several GGUF files :FILE says a part of the name of the one that is meant.\n\n"
    "Without --file (or :FILE) come the weights as safetensors or, where there are none, the one GGUF, and configuration, tokenizer,\n"
    "chat templates and licence.  What is here is not fetched again.\n\n"
    "A file has its name only when it is whole and has the digest of the hub's list (SHA-256, or git's).  What was stopped (Ctrl-C) or\n"
    "broken off goes on where it was when the same command is given again.  Dropped connections and busy servers are tried again after\n"
    "a pause.  The token comes from --token, $HF_TOKEN or ~/.cache/huggingface/token; a redirect to another host does not get it.\n\n"
    "Models lie in $LATHE_HOME, or $XDG_DATA_HOME/lathe, or ~/.local/share/lathe: models/ORG/NAME/COMMIT.  lathe models\n"
    "lists and removes them."),
    opts, run_pull, 1, 1,
};
