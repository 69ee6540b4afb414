#include <jansson.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "infer/embed.h"

#define TEXT_MAX ((size_t)1 << 30)

static const char *text, *file, *pooling = "file", *normalize = "file", *rope_scaling;
static int64_t ctx;

/* The texts: one, or the lines of a file. */
static int read_texts(struct buf *out, struct err *err)
{
    if (text && file)
        return ERR(err, USAGE, "-p and --file are both given, expected one");
    if (text)
        return buf_add_str(out, text, err);
    return file ? file_read(file, TEXT_MAX, out, err) : ERR(err, USAGE, "no text: give -p TEXT or --file PATH");
}

static enum pool_kind chosen_pooling(const struct embedder *e)
{
    for (int k = 0; k < N_POOL_KIND; k++)
        if (!strcmp(pooling, pool_kind_name((enum pool_kind)k)))
            return (enum pool_kind)k;
    return embedder_pooling(e);
}

static bool chosen_normalize(const struct embedder *e) { return strcmp(normalize, "file") ? !strcmp(normalize, "yes") : embedder_normalizes(e); }

static int print_vector(const float *x, int n, const char *end, struct err *err)
{
    for (int i = 0; i < n; i++)
        printf("%s%.8g", i ? "," : "[", (double)x[i]);
    printf("]%s", end);
    return ferror(stdout) ? ERR(err, IO, "cannot write to standard output") : 0;
}

static int embed_text(struct embedder *e, const char *s, size_t n, struct tok_ids *ids, float *out, struct err *err)
{
    ids->n = 0;
    TRY(tok_encode(embedder_tok(e), s, n, TOK_ADD, ids, err));
    return embedder_run(e, ids->id, (int)ids->n, chosen_pooling(e), chosen_normalize(e), out, err);
}

static int embed_all(struct embedder *e, const struct buf *texts, struct err *err)
{
    const int C = embedder_config(e)->d_model;
    struct tok_ids ids = { 0 };
    float *out = mem_alloc_array((size_t)C, sizeof *out);
    int rc = out ? 0 : ERR(err, NOMEM, "no memory for a vector of %d numbers", C);
    if (cmd_json && !rc)
        printf("{\"pooling\": \"%s\", \"normalized\": %s, \"dim\": %d, \"embeddings\": [", pool_kind_name(chosen_pooling(e)), chosen_normalize(e) ? "true" : "false", C);
    const char *at = texts->data, *stop = texts->data + texts->len;
    int64_t n = 0;
    for (; !rc && at < stop && !cmd_stop; n++) {
        const char *newline = file ? memchr(at, '\n', (size_t)(stop - at)) : NULL, *end = newline ? newline : stop;
        rc = embed_text(e, at, (size_t)(end - at), &ids, out, err);
        if (!rc && cmd_json)
            printf("%s", n ? ", " : "");
        if (!rc)
            rc = print_vector(out, C, cmd_json ? "" : "\n", err);
        at = end + 1;
    }
    if (cmd_json && !rc)
        printf("]}\n");
    mem_free(out);
    tok_ids_release(&ids);
    return rc || at >= stop ? rc : ERR(err, STOPPED, "stopped: these are the first %lld texts", (long long)n);
}

static int run_embed(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    cmd_catch_signals();
    struct pool *pool;
    struct embedder *e = NULL;
    struct buf texts;
    buf_init(&texts);
    const struct embed_opts o = { .ctx = (int)ctx, .rope_scaling = rope_scaling, .as = cmd_weights_as() };
    int rc = read_texts(&texts, err);
    if (!rc && !texts.len)
        rc = ERR(err, USAGE, "the text is empty");
    if (!rc)
        rc = cmd_pool(&pool, err);
    if (!rc)
        rc = embedder_new(&e, args[0], &o, pool, err);
    if (!rc)
        rc = embed_all(e, &texts, err);
    embedder_free(e);
    buf_release(&texts);
    return rc;
}

static const struct opt opts[] = {
    { OPT_STR, "p", &text, "<text>", "text to embed", 0, 0 },
    { OPT_STR, "file", &file, "<path>", "embed each line of a file", 0, 0 },
    { OPT_CHOICE, "pooling", &pooling, "file|mean|cls|last", "of the tokens' vectors; file: as the model's files say, else mean for encoders, last for others", 0, 0 },
    { OPT_CHOICE, "normalize", &normalize, "file|yes|no", "vectors of length 1; file: as the model's files say, else yes", 0, 0 },
    { OPT_INT, "ctx", &ctx, "<int>", "tokens of a text at most; 0: the model's positions", 0, 1e9 },
    OPT_ROPE_SCALING(&rope_scaling),
    OPT_PRECISION,
    OPT_THREADS,
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};
const struct command command_embed = {
    "embed", "MODEL", "vectors of texts",
    TEXT("MODEL is an encoder (BERT's kind) or any other model, whose last hidden states are taken.  One line of numbers for each text.\n"
    "A text longer than the model's positions is an error: nothing is cut off in silence."),
    opts, run_embed, 1, 1,
};
