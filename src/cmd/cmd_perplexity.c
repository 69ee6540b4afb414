#include <jansson.h>
#include <math.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "infer/engine.h"
#include "infer/logprobs.h"
#include "infer/score.h"

static const char *rope_scaling, *save_logits;
static int64_t ctx, limit;
static const char *convention = "llamacpp";

#define TEXT_MAX ((size_t)4 << 30)

struct shown { double begin, last; size_t fed; };

static int progress(void *ctx_, size_t fed, size_t all, const struct score *s)
{
    struct shown *p = ctx_;
    const double now = clock_wall();
    p->fed = fed < all ? fed : all;
    if (now - p->last > 2) {
        p->last = now;
        log_info("%zu of %zu tokens, perplexity %.4f, %.0f tokens/s", fed < all ? fed : all, all, score_perplexity(s), (double)fed / (now - p->begin));
    }
    return cmd_stop != 0;
}

/* n_fed: tokens that were looked at, of n_ids of the text. */
static int report(const struct score *s, const struct score_opts *o, size_t n_bytes, size_t n_ids, size_t n_fed, double seconds, struct err *err)
{
    /* Bytes of the counted tokens: their share of the text's. */
    const double bits = s->nll / log(2.0), bytes = (double)n_bytes * (double)s->n_token / (double)n_ids;
    if (!cmd_json) {
        printf("perplexity %.4f +/- %.4f over %zu tokens (%s, windows of %d), %.4f bits per byte, %.0f tokens/s\n", score_perplexity(s), score_perplexity(s) * score_stderr(s),
               s->n_token, score_convention_name(o->convention), o->ctx, bits / bytes, (double)n_fed / seconds);
        return 0;
    }
    return cmd_print_json(json_pack("{s:f, s:f, s:f, s:f, s:I, s:f, s:s, s:i, s:b, s:f}", "ppl", score_perplexity(s), "ppl_stderr", score_perplexity(s) * score_stderr(s),
                                    "nll_per_token", score_mean(s), "nll_stderr", score_stderr(s), "n_token", (json_int_t)s->n_token, "bits_per_byte", bits / bytes,
                                    "convention", score_convention_name(o->convention), "ctx", o->ctx, "bos", o->add_bos, "seconds", seconds), err);
}

/* Scores, and keeps the logits where they are wanted.  A run that was stopped leaves no file of them. */
static int score_and_save(struct engine *e, const struct tok_ids *ids, size_t n, struct score_opts *o, struct shown *shown, struct score *s, struct err *err)
{
    struct logprobs l = { 0 };
    if (save_logits) {
        if (n / (size_t)o->ctx > INT32_MAX)
            return ERR(err, RANGE, "--save-logits: %zu windows, expected at most %d", n / (size_t)o->ctx, INT32_MAX);
        TRY(logprobs_begin(&l, save_logits, o->ctx, engine_config(e)->vocab_size, ids->id, (int)(n / (size_t)o->ctx), err));
        o->logits = logprobs_add, o->logits_ctx = &l;
    }
    int rc = score_tokens(e, ids->id, n, o, progress, shown, s, err);
    if (!rc && save_logits && !cmd_stop)
        rc = logprobs_commit(&l, err);
    logprobs_abort(&l);
    return rc;
}

static int score(struct engine *e, const char *path, struct score_opts *o, struct err *err)
{
    struct buf text;
    struct tok_ids ids = { 0 };
    buf_init(&text);
    int rc = file_read(path, TEXT_MAX, &text, err);
    if (!rc)
        rc = score_encode(engine_tok(e), text.data, text.len, o, &ids, err);
    if (!rc) {
        struct shown shown = { clock_wall(), clock_wall(), 0 };
        struct score s;
        size_t n = ids.n;
        if (limit && (size_t)limit < n / (size_t)o->ctx)
            n = (size_t)limit * (size_t)o->ctx;
        rc = score_and_save(e, &ids, n, o, &shown, &s, err);
        if (!rc && cmd_stop && !s.n_token)
            rc = ERR(err, STOPPED, "stopped before a token counted");
        if (!rc)
            rc = report(&s, o, text.len, ids.n, shown.fed, clock_wall() - shown.begin, err);
        if (!rc && cmd_stop)
            rc = ERR(err, STOPPED, "stopped: this is of the first %zu tokens that count", s.n_token);
    }
    buf_release(&text);
    tok_ids_release(&ids);
    return rc;
}

static int run_perplexity(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    cmd_catch_signals();
    struct pool *pool;
    struct engine *e;
    struct score_opts o = { .ctx = (int)ctx };
    if (ctx == 1)
        return ERR(err, USAGE, "--ctx: found 1, expected at least 2 tokens, of which one predicts the other");
    while (strcmp(convention, score_convention_name(o.convention)))
        o.convention++;
    if (save_logits && o.convention != SCORE_LLAMACPP)
        return ERR(err, USAGE, "--save-logits: found --convention %s, expected llamacpp, of which the file's form is", convention);
    const int slots = ctx && ctx < 512 ? (int)(512 / ctx) : 1;
    struct engine_opts eo = cmd_engine((struct engine_opts){ .n_slot = slots, .ctx = (int)ctx, .rope_scaling = rope_scaling, .step_tokens = 512, .n_logits = 64 });
    TRY(cmd_pool(&pool, err));
    TRY(cmd_open_device(&eo.device, err));
    TRY(engine_new(&e, args[0], &eo, pool, err));
    o.ctx = o.ctx ? o.ctx : engine_ctx(e);
    const int rc = score(e, args[1], &o, err);
    engine_free(e);
    return rc;
}

static const struct opt opts[] = {
    { OPT_INT, "ctx", &ctx, "<int>", "tokens of a window; 0: the model's positions", 0, 1e9 },
    OPT_ROPE_SCALING(&rope_scaling),
    { OPT_CHOICE, "convention", &convention, "llamacpp|rolling|all", "which tokens count", 0, 0 },
    { OPT_INT, "limit", &limit, "<int>", "windows at most; 0: the whole text", 0, 1e9 },
    { OPT_STR, "save-logits", &save_logits, "<file>", "keep the predictions of the counted tokens, as llama-perplexity's --kl-divergence-base does", 0, 0 },
    OPT_PRECISION,
    OPT_KV,
    OPT_ADAPTER,
    OPT_DEVICE,
    OPT_DEVICE_LAYERS,
    OPT_THREADS,
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};
const struct command command_perplexity = {
    "perplexity", "MODEL FILE", "how well a model predicts a text",
    TEXT("llamacpp: windows one after the other, the tokens of each window's second half count (what llama.cpp's tool prints);\n"
    "where the model's texts begin with bos, each window does.  rolling: every token counts once, each with as much before it as a\n"
    "window holds (lm-evaluation-harness' rolling log-likelihood).  all: every token of every window but the first.\n"
    "The figure after +/- is the standard error over tokens, carried to the perplexity.  Bits per byte share the text's bytes\n"
    "evenly among its tokens."),
    opts, run_perplexity, 2, 2,
};
