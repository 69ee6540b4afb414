/* cmd_data_build.c - lathe data build: what an audit kept, as files that training reads. */
#include <jansson.h>
#include <string.h>
#include "audit/build.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"

static const char *out_dir, *splits = "train=0.98,valid=0.02", *weights = "", *policy_name, *key_path, *tokens;
static struct opt_list without;
static int64_t seed = 1, file_max = 256;

static int tell(void *ctx, struct err *err)
{
    (void)ctx;
    return cmd_stop ? ERR(err, STOPPED, "stopped; nothing was left behind") : 0;
}

static void print_manifest(const json_t *m)
{
    const char *name;
    json_t *s;
    json_object_foreach(json_object_get(m, "splits"), name, s)
        printf("%10lld records, %lld lines  %s\n", (long long)json_integer_value(json_object_get(s, "records")), (long long)json_integer_value(json_object_get(s, "lines")), name);
    const json_t *files = json_object_get(json_object_get(m, BUILD_TOKENS), "files"), *f;
    size_t i;
    long long n_token = 0;
    json_array_foreach(files, i, f)
        n_token += (long long)json_integer_value(json_object_get(f, "tokens"));
    if (files)
        printf("%10lld tokens\n", n_token);
    const json_t *redacted = json_object_get(m, "redacted");
    const long long n = (long long)json_integer_value(json_object_get(redacted, "records"));
    if (n)
        printf("%10lld records without %lld personal data and %lld secrets\n", n, (long long)json_integer_value(json_object_get(redacted, "pii")), (long long)json_integer_value(json_object_get(redacted, "secrets")));
    printf("version %s\n%s/build.json\n", json_string_value(json_object_get(m, "version")), out_dir);
}

/* A tokenizer, with the chat template beside it or in its file, if there is one. */
static int load_tokens(struct tok **tok, struct chat **chat, struct err *err)
{
    char *path;
    TRY(cmd_model_path(&path, tokens, err));
    int rc = tok_load(tok, path, err);
    if (!rc && (file_is_dir(path) || file_name_ends(path, ".gguf")))
        rc = chat_load(chat, path, NULL, err);
    mem_free(path);
    return rc == ERR_NOTFOUND && *tok ? 0 : rc;
}

static int run(const char *const *args, int n_args, struct err *err)
{
    struct opened x;
    struct pool *pool;
    json_t *manifest = NULL;
    struct policy policy = { .name = NULL };
    static struct redact_key key;
    struct tok *tok = NULL;
    struct chat *chat = NULL;
    struct build_tokens made;
    struct build_opts o = { .dir = out_dir, .seed = (uint64_t)seed, .shard_bytes = (uint64_t)file_max << 20, .progress = tell };
    (void)n_args;
    if (!out_dir)
        return ERR(err, USAGE, "--out is missing: the folder that is to be made");
    cmd_catch_signals();
    TRY(build_splits(&o, splits, err));
    if (key_path)
        TRY(redact_key_read(&key, key_path, err));
    o.key = key_path ? &key : NULL;
    TRY(cmd_pool(&pool, err));
    int rc = opened_open(&x, args[0], pool, err);
    rc = rc ? rc : build_weights(&o, weights, &x.s, err);
    for (int i = 0; i < without.n && !rc; i++)
        rc = build_without(&o, without.item[i], err);
    if (!rc && policy_name && !(rc = policy_load(&policy, policy_name, err)))
        o.policy = &policy;
    if (!rc && tokens && !(rc = load_tokens(&tok, &chat, err))) {
        made = (struct build_tokens){ tok, chat };
        o.tokens = &made;
    }
    rc = rc ? rc : build_run(&x, &o, &manifest, err);
    opened_close(&x);
    chat_free(chat);
    tok_free(tok);
    policy_release(&policy);
    mem_free(o.weight);
    mem_free(o.without);
    if (!rc && cmd_json)
        return cmd_print_json(manifest, err);
    if (!rc)
        print_manifest(manifest);
    json_decref(manifest);
    return rc;
}

static const struct opt opts[] = {
    { OPT_STR, "out", &out_dir, "<folder>", "that is made: files of each split, map.jsonl and build.json", 0, 0 },
    { OPT_STR, "splits", &splits, "<list>", "names and shares of the records of sources that name no split themselves", 0, 0 },
    { OPT_STR, "weights", &weights, "<list>", "SOURCE=NUMBER,..: how often a source's records stand in the first split; once unless given", 0, 0 },
    { OPT_LIST, "without", &without, "<file>", "erased.jsonl of `lathe data erase`: its texts are left out; may be given several times", 0, 0 },
    { OPT_STR, "policy", &policy_name, "<file>", "what becomes of personal data and secrets; they are redacted unless it says keep or pseudonym", 0, 0 },
    { OPT_STR, "redact-key", &key_path, "<file>", "16 bytes or more that nobody else knows: of pseudonyms", 0, 0 },
    { OPT_STR, "tokens", &tokens, "<model>", "a model or tokenizer, whose token files are written too: training then has nothing to encode", 0, 0 },
    { OPT_INT, "seed", &seed, "<int>", "of the splits, and of which records a broken weight takes", 0, 9e18 },
    { OPT_INT, "file-max", &file_max, "<MiB>", "a file ends with the record that makes it so long", 1, 1 << 20 },
    OPT_THREADS,
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};

const struct command command_data_build = {
    "data build", "AUDIT", "make training files of what an audit kept",
    TEXT(
        "AUDIT is the folder of a finished `lathe data audit`.  The records that it kept are read again from their files, which must not\n"
        "have changed, and written as JSON lines, in a folder for each split:\n"
        "\n"
        "    OUT/train/00000.jsonl    {\"text\": ..} and the marks that the data.yaml names (label, group, time),\n"
        "                             as they stand; a chat: its line as it stands in the source, but for what is redacted in its messages\n"
        "    OUT/map.jsonl            of each of these lines: file and line, and the record, source, path, byte, line and SHA-256 it was\n"
        "    OUT/build.json           the version: the audit's digest, options, every file's SHA-256, totals, and the gate's verdict\n"
        "\n"
        "Personal data and secrets that the audit found are replaced by their kind, <EMAIL_ADDRESS>, or, where the policy says so, by\n"
        "a pseudonym, <EMAIL_ADDRESS:5f3a09c2d17b4e60>, the same for the same value under the same key.\n"
        "\n"
        "A split has texts or chats, as training reads one form: a data.yaml tells them apart by split.\n"
        "\n"
        "Which split a record goes to follows from its group, or else its text, and the seed: it stays there when other records come or\n"
        "go, and records of one group stay together.  A weight of 2.5 puts a source's records into the first split twice, and every\n"
        "second of them once more.  The same audit and options give the same bytes.\n"
        "\n"
        "    lathe data build audit --out data-v1 --splits train=0.98,valid=0.01,test=0.01 --weights stories=2\n"
        "\n"
        "and in a training's configuration:  data: {train: data-v1/train, valid: data-v1/valid}\n"
        "\n"
        "With --tokens there is OUT/tokens/train/00000.tok beside each OUT/train/00000.jsonl: its sequence i is line i + 1 there, so that\n"
        "map.jsonl leads from tokens back to records; lathe data erase keeps both in step.  A line that nothing could be learned from is an\n"
        "error.  In a configuration:  data: {train: data-v1/tokens/train, valid: data-v1/tokens/valid, tokenizer: MODEL}\n"),
    opts, run, 1, 1,
};
