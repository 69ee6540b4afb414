/* hub.h - models of a hub that speaks Hugging Face's protocol, brought into the local store (store/models.h).
 *
 * GET  E/api/models/ID/revision/REV           the commit that REV is
 * GET  E/api/models/ID/tree/COMMIT?recursive  its files: path, size, oid (git's SHA-1), lfs.oid (SHA-256); pages by Link
 * GET  E/ID/resolve/COMMIT/PATH               a file, perhaps by a redirect to another host
 * The list is foreign: names that could leave the folder, or too many, are refused.  One thread. */
#ifndef STORE_HUB_H
#define STORE_HUB_H
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "store/models.h"

#define HUB_FILES_MAX 10000
struct hub_file {
    char *path;
    uint64_t size;
    char digest[SHA256_HEX];       /* SHA-256 or, of 40 digits, git's SHA-1 */
    char sha256[SHA256_HEX];       /* after hub_pull */
    bool wanted, here;             /* here: was in the store, whole */
};
struct hub_list { struct hub_file *file; int n, cap; };

/* Adds a page of the tree; entries that are no files are passed over. */
int hub_list_add(struct hub_list *l, const char *json, size_t n, struct err *err);
void hub_list_release(struct hub_list *l);
/* Marks what a model needs: weights as safetensors or, without, one GGUF, and configuration, tokenizer and templates.  Or what
 * the patterns say (model_file_matches), separated by commas.  ERR_USAGE, with the choices, when a GGUF must be chosen. */
int hub_list_choose(struct hub_list *l, const char *patterns, struct err *err);

struct hub_opts {
    const char *endpoint;          /* "https://huggingface.co" */
    const char *token;             /* NULL: none */
    const char *patterns;          /* NULL: what the model needs */
    int n_job, n_try;
    volatile sig_atomic_t *stop;
};
struct hub_result {
    struct hub_list list;
    char *folder;
    char commit[SHA256_HEX];
    uint64_t bytes, bytes_fetched; /* of the wanted files; of those, what came by this call */
    double seconds;
    int n_wanted, n_fetched;
};
/* Fetches what is missing.  out is filled also on an error; release it. */
int hub_pull(struct hub_result *out, const struct model_id *id, const struct hub_opts *o, struct err *err);
void hub_result_release(struct hub_result *r);
#endif
