#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "infer/engine.h"
#include "infer/sample.h"

static const char *prompt, *prompt_file;
static const char *rope_scaling;
static int64_t n_predict = 128, top_k, seed = 1, ctx;
static double temperature = 0.8, top_p = 1;

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

/* Ids of the prompt.  A text begins with what the tokenizer puts before every text, else with the token that separates texts. */
static int encode_prompt(const struct engine *e, const struct buf *text, struct tok_ids *ids, struct err *err)
{
    const struct tok *t = engine_tok(e);
    size_t n;
    TRY(tok_encode(t, text->data, text->len, TOK_ADD, ids, err));
    if ((!ids->n || ids->id[0] != tok_bos(t)) && tok_eot(t) >= 0) {
        const char *bytes = tok_bytes(t, tok_eot(t), &n);
        ids->n = 0;
        TRY(tok_encode(t, bytes, n, TOK_SPECIALS, ids, err));
        TRY(tok_encode(t, text->data, text->len, TOK_PLAIN, ids, err));
    }
    if (!ids->n)
        return ERR(err, USAGE, "the prompt is empty, and this model has no token to begin with");
    if (ids->n > (size_t)engine_ctx(e))
        return ERR(err, RANGE, "the prompt has %zu tokens, the model %d positions", ids->n, engine_ctx(e));
    return 0;
}

/* Prints the text and forgets it. */
static void print_new(struct buf *text)
{
    fwrite(text->data, 1, text->len, stdout);
    fflush(stdout);
    buf_clear(text);
}

struct generated { struct buf text; int n; const char *reason; double prompt_s, token_s; };

static int generate(struct engine *e, const struct tok_ids *ids, struct sample_scratch scratch, struct generated *g, struct err *err)
{
    const struct sampling s = { .temperature = temperature, .top_k = (int)top_k, .top_p = top_p, .seed = (uint64_t)seed };
    const struct config *c = engine_config(e);
    const float *logits;
    struct tok_stream stream;
    tok_stream_begin(&stream, engine_tok(e), 0);
    int pos = (int)ids->n;
    double t = clock_wall();
    TRY(engine_feed(e, 0, 0, ids->id, (int)ids->n, &logits, err));
    g->prompt_s = clock_wall() - t, t = clock_wall();
    g->reason = "length";
    while (g->n < n_predict && !cmd_stop) {
        const int32_t id = sample_token(logits, tok_vocab_size(engine_tok(e)), &s, (uint64_t)pos, scratch);
        if (id < 0)
            return ERR(err, NUMERIC, "the model gave values that are not numbers at position %d", pos);
        g->n++;
        for (int i = 0; i < c->n_eos; i++)
            if (id == c->eos_id[i])
                g->reason = "stop";
        if (!strcmp(g->reason, "stop"))
            break;
        TRY(tok_stream_add(&stream, id, &g->text, err));
        if (!cmd_json)
            print_new(&g->text);
        if (g->n == n_predict)
            break;
        if (pos == engine_ctx(e)) {
            g->reason = "context full";
            break;
        }
        TRY(engine_feed(e, 0, pos++, &id, 1, &logits, err));
    }
    g->token_s = clock_wall() - t;
    if (cmd_stop)
        g->reason = "stopped";
    TRY(tok_stream_end(&stream, &g->text, err));
    if (!cmd_json) {
        print_new(&g->text);
        putchar('\n');
        fflush(stdout);                  /* before the report on stderr */
    }
    return 0;
}

static int report(const struct engine *e, const struct tok_ids *ids, const struct generated *g, struct err *err)
{
    if (!cmd_json) {
        log_info("prompt %zu tokens, %.0f tokens/s; %d generated, %.1f tokens/s; ended: %s", ids->n, (double)ids->n / g->prompt_s, g->n, g->n / g->token_s, g->reason);
        return 0;
    }
    (void)e;
    json_t *text = json_stringn(g->text.data, g->text.len);
    return cmd_print_json(json_pack("{s:o, s:i, s:i, s:s, s:f, s:f}", "text", text ? text : json_stringn_nocheck(g->text.data, g->text.len), "prompt_tokens", (int)ids->n,
                                    "generated_tokens", g->n, "finish_reason", g->reason, "prompt_tokens_per_s", (double)ids->n / g->prompt_s, "tokens_per_s", g->n / g->token_s), err);
}

static int run_generate(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    cmd_catch_signals();
    struct pool *pool = NULL;
    struct engine *e = NULL;
    struct tok_ids ids = { 0 };
    struct buf text;
    struct generated g = { .n = 0 };
    struct sample_scratch scratch = { 0 };
    buf_init(&text);
    buf_init(&g.text);
    const struct engine_opts o = { .n_slot = 1, .ctx = (int)ctx, .rope_scaling = rope_scaling, .step_tokens = 512, .as = cmd_weights_as() };
    int rc = read_prompt(&text, err);
    if (!rc)
        rc = pool_new(&pool, cmd_n_thread(), err);
    if (!rc)
        rc = engine_new(&e, args[0], &o, pool, err);
    if (!rc)
        rc = encode_prompt(e, &text, &ids, err);
    if (!rc) {
        const size_t V = (size_t)engine_config(e)->vocab_size;
        scratch = (struct sample_scratch){ mem_alloc_array(V, sizeof *scratch.id), mem_alloc_array(V, sizeof *scratch.p) };
        rc = scratch.id && scratch.p ? generate(e, &ids, scratch, &g, err) : ERR(err, NOMEM, "no memory to choose among %zu tokens", V);
    }
    if (!rc)
        rc = report(e, &ids, &g, err);
    mem_free(scratch.id);
    mem_free(scratch.p);
    buf_release(&g.text);
    buf_release(&text);
    tok_ids_release(&ids);
    engine_free(e);
    pool_free(pool);
    return rc;
}

static const struct opt opts[] = {
    { OPT_STR, "p", &prompt, "<text>", "text to continue", 0, 0 },
    { OPT_STR, "file", &prompt_file, "<path>", "read the text to continue from a file", 0, 0 },
    { OPT_INT, "n", &n_predict, "<int>", "tokens to generate at most", 1, 1e9 },
    { OPT_FLOAT, "temp", &temperature, "<float>", "temperature; 0 takes the most likely token", 0, 100 },
    { OPT_INT, "top-k", &top_k, "<int>", "choose among the k most likely; 0: all", 0, 1e9 },
    { OPT_FLOAT, "top-p", &top_p, "<share>", "choose among the most likely that together have this probability", 0, 1 },
    { OPT_INT, "seed", &seed, "<int>", "of the choices; the same seed gives the same text", 0, 9e18 },
    { OPT_INT, "ctx", &ctx, "<int>", "positions to make room for; 0: the model's", 0, 1e9 },
    OPT_ROPE_SCALING(&rope_scaling),
    OPT_PRECISION,
    OPT_THREADS,
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};
const struct command command_generate = {
    "generate", "MODEL", "continue a text",
    "MODEL is a folder with config.json, model.safetensors and tokenizer.json.  The text goes to standard output as it is made.\n"
    "The choice of a token is a function of the seed and the position.  A prompt longer than the model's positions is an\n"
    "error; generation ends at the model's end-of-text token, after -n tokens, or when the positions are full, and says which.",
    opts, run_generate, 1, 1,
};
