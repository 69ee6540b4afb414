#include <jansson.h>
#include <lathe.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "model/adapter.h"
#include "model/model.h"
#include "store/oms.h"
#include "store/provenance.h"

static const char *key, *cert, *chain, *out, *new_key, *curve = "P-256";
static const char *training;
static struct opt_list ignore, evaluation, need_texts;
static int64_t shard_bytes;
static bool follow_links;

static int make_key(int n_args, const char *password, struct err *err)
{
    struct evp_pkey_st *public_key;
    char hint[SHA256_HEX], *path = NULL;
    if (n_args || key)
        return ERR(err, USAGE, "--new-key makes a pair of keys and signs nothing");
    TRY(pki_make(new_key, curve, password, err));
    int rc = (path = mem_printf("%s.pub", new_key)) ? pki_public_read(&public_key, path, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc) {
        rc = pki_hint(public_key, hint, err);
        pki_free(public_key);
    }
    mem_free(path);
    TRY(rc);
    log_info("%s.key signs, and is not for others%s; %s.pub is for those who verify", new_key, password ? "" : " (it is not encrypted: LATHE_SIGN_PASSWORD in the environment would do that)", new_key);
    if (cmd_json)
        return cmd_print_json(json_pack("{s:s, s:s}", "identity_kind", "key", "sha256", hint), err);
    printf("sha256:%s\n", hint);
    return 0;
}

static const char *name_of(const char *path)
{
    const char *last = file_last_part(path);
    return *last ? last : path;
}

/* What the statement says; *passed is left alone by that of a training run. */
static int write_statement(struct buf *text, bool *passed, const char *path, const char *root, struct err *err)
{
    struct provenance_need need[OPT_LIST_MAX];
    char sha256[SHA256_HEX];
    if (training)
        return provenance_training(text, name_of(path), root, training, LATHE_VERSION, err);
    for (int i = 0; i < need_texts.n; i++)
        TRY(provenance_need_parse(&need[i], need_texts.item[i], err));
    TRY(adapter_is_folder(path) ? adapter_digest(sha256, path, err) : model_digest(path, sha256, err));
    return provenance_evaluation(text, passed, name_of(path), root, sha256, evaluation.item, evaluation.n, need, need_texts.n, err);
}

static int sign_statement(const char *path, const struct oms_sign *how, struct err *err)
{
    char root[SHA256_HEX], *place = out ? mem_strdup(out) : mem_printf("%.*s.%s.sig", (int)(strlen(path) - (*path && path[strlen(path) - 1] == '/')), path, training ? "training" : "evaluation");
    struct pool *pool;
    struct buf text;
    bool passed = true;
    buf_init(&text);
    int rc = place ? cmd_pool(&pool, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc && !(rc = oms_root(path, how, place, pool, root, err)) && !(rc = write_statement(&text, &passed, path, root, err)))
        rc = oms_sign_statement(text.data, text.len, how, place, err);
    if (!rc)
        log_info("%s holds the statement%s", place, training ? "" : passed ? ": PASSED" : ": FAILED");
    if (!rc && cmd_json)
        rc = cmd_print_json(json_pack("{s:s, s:s, s:s, s:s}", "model", path, "root", root, "signature", place, "result", training ? "" : passed ? "PASSED" : "FAILED"), err);
    else if (!rc)
        printf("sha256:%s\n", root);
    buf_release(&text);
    mem_free(place);
    return rc;
}

static int sign(const char *path, const char *password, struct err *err)
{
    const char *skip[OPT_LIST_MAX + 1] = { NULL };
    char root[SHA256_HEX], *place = NULL;
    struct pool *pool;
    for (int i = 0; i < ignore.n; i++)
        skip[i] = ignore.item[i];
    const struct oms_sign how = { .key = key, .password = password, .cert = cert, .chain = chain, .out = out, .ignore = skip, .shard_bytes = (uint64_t)shard_bytes, .follow_links = follow_links };
    if (training || evaluation.n)
        return sign_statement(path, &how, err);
    TRY(cmd_pool(&pool, err));
    if (!out)
        TRY(oms_place(&place, path, false, err));
    int rc = oms_sign(path, &how, pool, root, err);
    if (!rc)
        log_info("%s holds the signature", out ? out : place);
    if (!rc && cmd_json)
        rc = cmd_print_json(json_pack("{s:s, s:s, s:s}", "model", path, "root", root, "signature", out ? out : place), err);
    else if (!rc)
        printf("sha256:%s\n", root);
    mem_free(place);
    return rc;
}

static int run(const char *const *args, int n_args, struct err *err)
{
    const char *password = getenv("LATHE_SIGN_PASSWORD");
    password = password && *password ? password : NULL;
    if (new_key)
        return make_key(n_args, password, err);
    if (!n_args || !key)
        return ERR(err, USAGE, "expected: lathe sign MODEL --key FILE, or lathe sign --new-key PREFIX");
    if (chain && !cert)
        return ERR(err, USAGE, "--chain goes with --cert");
    if (training && evaluation.n)
        return ERR(err, USAGE, "--training and --evaluation are statements of their own, one at a time");
    if (need_texts.n && !evaluation.n)
        return ERR(err, USAGE, "--require goes with --evaluation");
    return sign(args[0], password, err);
}

static const struct opt opts[] = {
    { OPT_STR, "key", &key, "<file>", "private key (PEM) of P-256, P-384 or P-521; LATHE_SIGN_PASSWORD of the environment opens an encrypted one", 0, 0 },
    { OPT_STR, "cert", &cert, "<file>", "its certificate (PEM), which then goes into the signature", 0, 0 },
    { OPT_STR, "chain", &chain, "<file>", "with --cert: certificates between it and one that verifiers trust", 0, 0 },
    { OPT_STR, "out", &out, "<file>", "where the signature goes; FOLDER/model.sig or FILE.sig unless given", 0, 0 },
    { OPT_LIST, "ignore", &ignore, "<path>", "below MODEL, left out with all that is below it; may be given several times", 0, 0 },
    { OPT_INT, "shard-bytes", &shard_bytes, "<int>", "sign pieces of so many bytes each, which all threads read at once; 0: whole files", 0, 1e15 },
    { OPT_FLAG, "allow-symlinks", &follow_links, NULL, "follow symbolic links to files, which are an error otherwise", 0, 0 },
    { OPT_LIST, "evaluation", &evaluation, "<file>", "sign what is found of the model instead (in-toto test-result): evidence of lathe eval --out; may be given several times", 0, 0 },
    { OPT_LIST, "require", &need_texts, "<name>=number>", "of --evaluation: TASK/METRIC>=0.4 (or <=, >, <, ==), what must be so for it to pass; may be given several times", 0, 0 },
    { OPT_STR, "training", &training, "<folder>", "sign how the model was made instead (SLSA provenance): the folder of lathe train --out", 0, 0 },
    { OPT_STR, "new-key", &new_key, "<prefix>", "make a pair of keys instead: PREFIX.key and PREFIX.pub", 0, 0 },
    { OPT_CHOICE, "curve", &curve, "P-256|P-384|P-521", "of --new-key", 0, 0 },
    OPT_THREADS, OPT_JSON, OPT_QUIET, OPT_LAST,
};

const struct command command_sign = {
    "sign", "[MODEL]", "sign a model's files (OpenSSF Model Signing)",
    TEXT(
        "MODEL is a folder, a file, or a name (NAME@VERSION of the registry, ORG/NAME of a pulled model).  All files below it are read, and\n"
        "their digests signed: the signature says who signed, and that no file was changed, added or taken away since.  It is the one\n"
        "that model_signing (OpenSSF Model Signing v1.0) writes and verifies; the root that is printed is also the registry's name of a\n"
        "version's contents.\n"
        "\n"
        "    lathe sign --new-key release                    # once: release.key, release.pub\n"
        "    lathe sign out/model --key release.key          # out/model/model.sig\n"
        "    lathe verify out/model --key release.pub\n"
        "    lathe serve out/model --signature-key release.pub\n"
        "\n"
        "Of the folder .git, .github, .gitattributes, .gitignore and model.sig are no part.  A file that changes, comes or goes while the\n"
        "others are read is an error.  With --cert the signature names its maker by a certificate: verifiers then need only the\n"
        "certificate at the chain's other end.\n"
        "\n"
        "    lathe sign out/model --key k.key --evaluation out/eval/results_DATE.json --require 'arc_easy/acc>=0.4'\n"
        "    lathe sign out/model --key k.key --training out/run\n"
        "\n"
        "sign statements about the same root, beside the model: MODEL.evaluation.sig says PASSED or FAILED with each requirement and the\n"
        "digests of the evidence, which must be of this model and of evaluations that were not stopped nor of the first items alone (--limit); MODEL.training.sig has settings, times, the digests of the data, of the token\n"
        "files and of this program.  lathe verify --signature prints them.  Keyless signatures of Sigstore are neither made nor verified.\n"),
    opts, run, 0, 1,
};
