#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/signature.h"
#include "infer/ends.h"
#include "infer/spec.h"

static const char *prompt, *prompt_file;
static const char *rope_scaling;
static int64_t n_predict = 128, ctx;

#define PROMPT_MAX ((size_t)64 << 20)

static int read_prompt(struct buf *out, struct err *err)
{
    if (prompt && prompt_file)
        return ERR(err, USAGE, "-p and --file are both given, expected one");
    if (prompt)
        return buf_add_str(out, prompt, err);
    if (prompt_file)
        return file_read(prompt_file, PROMPT_MAX, out, err);
    return ERR(err, USAGE, "no prompt: give -p TEXT or --file PATH");
}

/* Ids of the prompt, with what this model's texts begin with. */
static int encode_prompt(const struct engine *e, const struct buf *text, struct tok_ids *ids, struct err *err)
{
    TRY(engine_encode(e, text->data, text->len, TOK_ADD, ids, err));
    if (!ids->n)
        return ERR(err, USAGE, "the prompt is empty, and this model has no token to begin with");
    if (ids->n > (size_t)engine_ctx(e))
        return ERR(err, RANGE, "the prompt has %zu tokens, the model %d positions", ids->n, engine_ctx(e));
    return 0;
}

/* What was made so far, to standard output; JSON keeps it. */
static void print_text(struct buf *text)
{
    if (cmd_json)
        return;
    fwrite(text->data, 1, text->len, stdout);
    fflush(stdout);
    text->len = 0;
}

struct generated { struct ends ends; struct buf text; int n; const char *reason; double prompt_s, token_s; struct spec_stats drafts; };

static int generate(struct spec *spec, const struct engine *e, const struct tok_ids *ids, struct generated *g, struct err *err)
{
    const struct sampling s = cmd_sampling();
    struct tok_stream stream;
    tok_stream_begin(&stream, engine_tok(e), TOK_SKIP_SPECIALS);
    stream.begun = true;                 /* it goes on with the prompt */
    double t = clock_wall();
    spec_begin(spec, ids->id, (int)ids->n);
    TRY(spec_feed(spec, ids->id, (int)ids->n, err));
    g->prompt_s = clock_wall() - t, t = clock_wall();
    g->reason = "length";
    while (g->n < n_predict && !cmd_stop) {
        int32_t id;
        TRY(spec_next(spec, &s, (int)(n_predict - g->n), &id, err));
        g->n++;
        if (ends_at(&g->ends, e, id)) {
            g->reason = "stop";
            break;
        }
        TRY(tok_stream_add(&stream, id, &g->text, err));
        print_text(&g->text);
        if (g->n == n_predict)
            break;
        if (spec_full(spec)) {
            g->reason = "context full";
            break;
        }
    }
    g->token_s = clock_wall() - t;
    g->drafts = spec_stats(spec);
    if (cmd_stop)
        g->reason = "stopped";
    TRY(tok_stream_end(&stream, &g->text, err));
    print_text(&g->text);
    if (!cmd_json) {
        putchar('\n');
        fflush(stdout);                  /* before the report on stderr */
    }
    return 0;
}

static int report(const struct tok_ids *ids, const struct generated *g, struct err *err)
{
    const bool drafts = cmd_draft || cmd_lookup;
    if (!cmd_json) {
        log_info("prompt %zu tokens, %.0f tokens/s; %d generated, %.1f tokens/s; ended: %s", ids->n, (double)ids->n / g->prompt_s, g->n, g->n / g->token_s, g->reason);
        if (drafts)
            log_info("%lld tokens drafted, %lld of them accepted", (long long)g->drafts.n_drafted, (long long)g->drafts.n_accepted);
        return 0;
    }
    json_t *o = json_pack("{s:o, s:i, s:i, s:s, s:f, s:f}", "text", tree_text(g->text.data, g->text.len), "prompt_tokens", (int)ids->n, "generated_tokens", g->n,
                          "finish_reason", g->reason, "prompt_tokens_per_s", (double)ids->n / g->prompt_s, "tokens_per_s", g->n / g->token_s);
    if (drafts) {
        json_object_set_new(o, "drafted_tokens", json_integer(g->drafts.n_drafted));
        json_object_set_new(o, "accepted_tokens", json_integer(g->drafts.n_accepted));
    }
    return cmd_print_json(o, err);
}

/* Only as many positions as this prompt and -n need, if the model has them. */
static int open_engine(struct engine **e, const char *path, const struct buf *text, struct tok_ids *ids, struct err *err)
{
    struct pool *pool;
    struct tok *tok;
    TRY(cmd_pool(&pool, err));
    TRY(tok_load(&tok, path, err));
    int rc = tok_encode(tok, text->data, text->len, TOK_ADD, ids, err);
    const int64_t need = (int64_t)ids->n + n_predict + 1;
    ids->n = 0;
    struct engine_opts o = cmd_engine((struct engine_opts){ .n_slot = 1, .ctx = (int)(ctx ? ctx : need < INT32_MAX ? need : INT32_MAX), .ctx_clip = !ctx, .rope_scaling = rope_scaling, .step_tokens = 512, .tok = tok,
                                   .n_logits = cmd_spec_n_logits() });
    rc = rc ? rc : cmd_open_device(&o.device, err);
    if (rc) {
        tok_free(tok);
        return rc;
    }
    TRY(engine_new(e, path, &o, pool, err));
    return encode_prompt(*e, text, ids, err);
}

static int run_generate(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    cmd_catch_signals();
    struct engine *e = NULL;
    struct tok_ids ids = { 0 };
    struct buf text;
    struct generated g = { .n = 0 };
    struct spec *spec = NULL;
    buf_init(&text);
    buf_init(&g.text);
    int rc = read_prompt(&text, err);
    if (!rc)
        rc = open_engine(&e, args[0], &text, &ids, err);
    if (!rc)
        rc = ends_load(&g.ends, args[0], err);
    if (!rc) {
        const struct spec_opts o = cmd_spec_opts(e);
        rc = spec_new(&spec, &o, err);
    }
    if (!rc)
        rc = generate(spec, e, &ids, &g, err);
    if (!rc)
        rc = report(&ids, &g, err);
    if (!rc && cmd_stop)
        rc = ERR(err, STOPPED, "stopped after %d tokens", g.n);
    spec_free(spec);
    buf_release(&g.text);
    buf_release(&text);
    tok_ids_release(&ids);
    engine_free(e);
    return rc;
}

static const struct opt opts[] = {
    { OPT_STR, "p", &prompt, "<text>", "text to continue", 0, 0 },
    { OPT_STR, "file", &prompt_file, "<path>", "read the text to continue from a file", 0, 0 },
    { OPT_INT, "n", &n_predict, "<int>", "tokens to generate at most", 1, 1e9 },
    OPT_SAMPLING,
    { OPT_INT, "ctx", &ctx, "<int>", "positions to make room for; 0: the model's", 0, 1e9 },
    OPT_DRAFT,
    OPT_LOOKUP,
    OPT_ROPE_SCALING(&rope_scaling),
    OPT_PRECISION,
    OPT_KV,
    OPT_ADAPTER,
    OPT_DEVICE,
    OPT_DEVICE_LAYERS,
    OPT_SIGNATURE,
    OPT_THREADS,
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};
const struct command command_generate = {
    "generate", "MODEL", "continue a text",
    TEXT("MODEL is a GGUF file, a folder with config.json, safetensors and tokenizer.json, or the name of a model that was pulled.  The text\n"
    "goes to standard output as it is made.  --device runs it on a GPU, as many of its layers as fit (doc/gpu.md).\n"
    "The choice of a token is a function of the seed and the position.  A prompt longer than the model's positions is an\n"
    "error; generation ends at the model's end-of-text token, after -n tokens, or when the positions are full, and says which.\n"
    "\n"
    "--lookup and --draft guess the next tokens, and the model looks at all of them in one step.  The text is the same to the\n"
    "byte as without, at any temperature; how many are guessed follows from what was measured, none where it does not pay."),
    opts, run_generate, 1, 1,
};
