#include <jansson.h>
#include <math.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/calib_text.h"
#include "cmd/cmd.h"
#include "eval/diverge.h"
#include "infer/importance.h"
#include "model/convert.h"
#include "model/folder_from_gguf.h"
#include "model/gguf.h"
#include "model/gguf_from_folder.h"

#define CALIB_MAX ((size_t)64 << 20)
#define CALIB_CTX 256
#define COMPARED 16              /* rows of logits of both models at once */

static const char *to = "", *out = "", *format = "gguf", *calib = "", *imatrix = "";
static bool pure, measure = true, weigh = true;
static int64_t calib_tokens = 4096;

struct totals { size_t before, after; int64_t n; int n_fallback; json_t *rows; struct importance *importance; };

static void shape_text(const struct source_tensor *t, char *text, size_t size)
{
    *text = 0;
    for (int i = 0; i < t->rank; i++)
        snprintf(text + strlen(text), size - strlen(text), "%s%lld", i ? "x" : "", (long long)t->shape[i]);
}

static void report(void *ctx, const struct convert_row *r)
{
    struct totals *sum = ctx;
    char shape[100];
    const size_t before = r->tensor->data ? r->tensor->bytes : type_bytes(r->tensor->type, r->tensor->n);
    sum->before += before, sum->after += r->bytes, sum->n += r->tensor->n, sum->n_fallback += r->fell_back;
    shape_text(r->tensor, shape, sizeof shape);
    if (cmd_json)
        json_array_append_new(sum->rows, json_pack("{s:s, s:s, s:s, s:s, s:b, s:I, s:f}", "name", r->name, "shape", shape, "from", type_name(r->tensor->type), "to",
                                                   type_name(r->to), "fallback", r->fell_back, "bytes", (json_int_t)r->bytes, "error", r->error));
    else if (!cmd_quiet && r->to == N_CPU_TYPE)
        printf("%-34s %16s  kept: no weights\n", r->name, shape);
    else if (!cmd_quiet)
        printf("%-34s %16s  %8s -> %-8s error %.5f%s\n", r->name, shape, type_name(r->tensor->type), type_name(r->to), r->error,
               r->fell_back ? "  (its rows do not fit the mixture's block)" : "");
}

/* ---- how far the new file is from its source ---- */

struct stamp { struct diverge_summary q; char sha256[SHA256_HEX]; const char *text; bool weighted; };

static double kl_p99(const struct diverge_summary *q) { return q->kl.quantile[3]; }

static int put_stamp(void *ctx, struct gguf_writer *w, struct err *err)
{
    const struct stamp *s = ctx;
    const struct { const char *key; double value; } number[] = {
        { "kl_mean", s->q.kl.mean }, { "kl_p99", kl_p99(&s->q) }, { "kl_max", s->q.kl.max }, { "top1_flips", 1 - s->q.same_top },
        { "perplexity_source", exp(s->q.nll_old) }, { "perplexity", exp(s->q.nll_new) },
    };
    char key[64];
    for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
        snprintf(key, sizeof key, QUALITY_KEYS "%s", number[i].key);
        TRY(gguf_put_num(w, key, GGUF_F32, number[i].value, err));
    }
    TRY(gguf_put_int(w, QUALITY_KEYS "tokens", GGUF_U32, (int64_t)s->q.n, err));
    TRY(gguf_put_int(w, QUALITY_KEYS "importance", GGUF_BOOL, s->weighted, err));
    TRY(gguf_put_str(w, QUALITY_KEYS "text", s->text, err));
    return gguf_put_str(w, QUALITY_KEYS "text_sha256", s->sha256, err);
}

/* Once more the same tensors, with what was measured; the file is replaced when the new one is complete. */
static int write_stamp(struct stamp *s, struct pool *pool, struct err *err)
{
    struct source *source;
    const struct convert c = { .pool = pool, .more = put_stamp, .ctx = s };
    TRY(source_open(&source, out, err));
    const int rc = convert_gguf(source, out, &c, err);
    source_free(source);
    return rc;
}

/* The text's tokens that are used: of a given one the first half to weigh columns by, the second to measure on; all of the one
 * that is built in to measure on. */
struct text { struct buf bytes; struct tok_ids ids; int from, n, ctx; int32_t bos; };

static int encode(struct engine *e, struct text *t, bool second_half, struct err *err)
{
    TRY(tok_encode(engine_tok(e), t->bytes.data, t->bytes.len, TOK_PLAIN, &t->ids, err));
    const int64_t most = *calib ? 2 * calib_tokens : calib_tokens, n = (int64_t)t->ids.n < most ? (int64_t)t->ids.n : most;
    t->from = second_half && *calib ? (int)(n / 2) : 0;
    t->n = *calib && !second_half ? (int)(n / 2) : (int)n - t->from;
    t->ctx = engine_ctx(e) < CALIB_CTX ? engine_ctx(e) : CALIB_CTX;
    t->bos = tok_bos(engine_tok(e));
    return 0;
}

static int compare(const char *path, struct text *t, struct pool *pool, struct diverge_summary *q, struct err *err)
{
    const struct engine_opts o = { .n_slot = 1, .step_tokens = CALIB_CTX, .n_logits = COMPARED }, p = { .n_slot = 1, .step_tokens = CALIB_CTX, .n_logits = COMPARED, .no_tok = true };
    struct engine *source = NULL, *other = NULL;
    struct diverge d = { 0 };
    int rc = engine_new(&source, path, &o, pool, err);
    if (!rc)
        rc = engine_new(&other, out, &p, pool, err);
    if (!rc)
        rc = encode(source, t, true, err);
    if (!rc)
        rc = diverge_models(&d, source, other, t->ids.id + t->from, (size_t)t->n, &(struct diverge_opts){ .ctx = t->ctx, .bos = t->bos, .cluster = -1, .pool = pool }, err);
    if (!rc)
        rc = diverge_summarize(q, &d, err);
    diverge_release(&d);
    engine_free(other);
    engine_free(source);
    return rc;
}

static int read_text(struct buf *text, struct stamp *s, struct err *err)
{
    s->text = *calib ? calib : "built in";
    TRY(*calib ? file_read(calib, CALIB_MAX, text, err) : buf_add_str(text, calib_text, err));
    return sha256_of(text->data, text->len, s->sha256, err);
}

/* A model that cannot be run is converted all the same, and that it was not measured is said. */
static int measure_and_stamp(const char *path, struct pool *pool, struct stamp *s, bool *measured, struct err *err)
{
    struct err why = { 0 };
    struct text t = { .ids = { 0 } };
    buf_init(&t.bytes);
    int rc = read_text(&t.bytes, s, err);
    if (!rc) {
        *measured = compare(path, &t, pool, &s->q, &why) == 0;
        if (*measured)
            rc = write_stamp(s, pool, err);
        else
            log_warn("quality was not measured: %s", why.msg);
    }
    tok_ids_release(&t.ids);
    buf_release(&t.bytes);
    return rc;
}

/* ---- importance ---- */

static int weigh_columns(const char *path, struct pool *pool, struct importance **importance, struct err *err)
{
    const struct engine_opts o = { .n_slot = 1, .step_tokens = CALIB_CTX, .n_logits = 1 };
    struct stamp unused;
    struct text t = { .ids = { 0 } };
    struct engine *e = NULL;
    buf_init(&t.bytes);
    int rc = read_text(&t.bytes, &unused, err);
    if (!rc)
        rc = engine_new(&e, path, &o, pool, err);
    if (!rc)
        rc = encode(e, &t, false, err);
    if (!rc)
        rc = importance_measure(importance, e, t.ids.id, t.n, t.ctx, t.bos, err);
    engine_free(e);
    tok_ids_release(&t.ids);
    buf_release(&t.bytes);
    return rc;
}

static void print_quality(const struct diverge_summary *q)
{
    printf("quality on %zu tokens: KL %.5f (99 %%: %.4f, most: %.3f), %.2f %% of top tokens changed, perplexity %.4f from %.4f\n", q->n, q->kl.mean, kl_p99(q),
           q->kl.max, 100 * (1 - q->same_top), exp(q->nll_new), exp(q->nll_old));
}

static json_t *quality_json(const struct diverge_summary *q)
{
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "tokens", (json_int_t)q->n, "kl_mean", q->kl.mean, "kl_p99", kl_p99(q), "kl_max", q->kl.max, "top1_flips",
                     1 - q->same_top, "perplexity", exp(q->nll_new), "perplexity_source", exp(q->nll_old));
}

static int print_totals(struct totals *t, const struct diverge_summary *q, struct err *err)
{
    char before[32], after[32];
    const double bits = t->n ? 8.0 * (double)t->after / (double)t->n : 0;
    if (cmd_json) {
        json_t *rows = t->rows;
        t->rows = NULL;
        return cmd_print_json(json_pack("{s:s, s:s, s:I, s:I, s:f, s:i, s:o*, s:o}", "out", out, "type", to, "bytes_before", (json_int_t)t->before, "bytes",
                                        (json_int_t)t->after, "bits_per_weight", bits, "fallbacks", t->n_fallback, "quality",
                                        q ? quality_json(q) : NULL, "tensors", rows), err);
    }
    printf("%s: %s to %s, %.2f bits a weight%s\n", out, fmt_bytes(before, (double)t->before), fmt_bytes(after, (double)t->after), bits,
           t->n_fallback ? "; tensors whose rows did not fit kept more bits" : "");
    if (q)
        print_quality(q);
    return 0;
}

static const float *importance_for(void *ctx, const char *name, int64_t e, int64_t columns)
{
    const struct totals *t = ctx;
    return importance_of(t->importance, name, e, columns);
}

static int convert(const char *path, const struct convert *c, struct err *err)
{
    struct source *s;
    TRY(source_open(&s, path, err));
    const int rc = (strcmp(format, "gguf") ? convert_safetensors : convert_gguf)(s, out, c, err);
    source_free(s);
    return rc;
}

/* Safetensors that are to become GGUF go there as floats first: *floats is that file, to be removed, or NULL.  Its name is one
 * that file_remove_leftovers_of() knows, should this process be killed. */
static int to_gguf(const char *path, char **floats, struct err *err)
{
    struct model m;
    *floats = NULL;
    if (!file_is_dir(path))
        return ERR(err, USAGE, "%s: expected the model's folder, whose config.json and tokenizer go into the GGUF file", path);
    TRY(model_open(&m, path, NULL, err));
    int rc = 0;
    if (!(*floats = mem_printf("%s.floats.tmp.%ld", out, (long)getpid())))
        rc = ERR(err, NOMEM, "no memory to write %s", out);
    if (!rc)
        rc = gguf_from_folder(&m, path, *floats, err);
    model_release(&m);
    return rc;
}

/* A GGUF file as a folder of safetensors. */
static int to_folder(const char *path, const struct mix *mix, struct err *err)
{
    struct model m;
    struct err why;
    if (type_block(mix->type) != 1)
        return ERR(err, USAGE, "--to is '%s', expected f32, f16 or bf16 for safetensors", to);
    TRY(model_open(&m, path, NULL, err));
    int rc = folder_from_gguf(&m, out, mix->type == TYPE_F32 ? ST_F32 : mix->type == TYPE_F16 ? ST_F16 : ST_BF16, err);
    if (!rc && folder_put_tokenizer(&m, path, out, &why) < 0)
        log_warn("no tokenizer.json was written: %s", why.msg);
    if (!rc)
        rc = folder_put_chat(&m, path, out, err);
    model_release(&m);
    if (!rc && !cmd_json)
        printf("%s: a folder of config.json, model.safetensors and what else the model has\n", out);
    return rc || !cmd_json ? rc : cmd_print_json(json_pack("{s:s, s:s}", "out", out, "type", to), err);
}

static int is_gguf(const char *path, bool *yes, struct err *err)
{
    struct source *s;
    TRY(source_open(&s, path, err));
    *yes = source_kind(s) == SOURCE_GGUF;
    source_free(s);
    return 0;
}

static int quantise(const char *path, struct convert *c, struct totals *sum, struct err *err)
{
    char *floats = NULL;
    struct stamp stamp = { .text = NULL };
    bool measured = false;
    bool gguf;
    TRY(is_gguf(path, &gguf, err));
    TRY(file_remove_leftovers_of(out, err));
    if (gguf && strcmp(format, "gguf"))
        return to_folder(path, c->mix, err);
    int rc = gguf || strcmp(format, "gguf") ? 0 : to_gguf(path, &floats, err);
    const char *from = floats ? floats : path;
    if (!rc && (*imatrix || (weigh && *calib))) {
        rc = *imatrix ? importance_open(&sum->importance, imatrix, err) : weigh_columns(from, c->pool, &sum->importance, err);
        c->importance = importance_for;
    }
    if (!rc)
        rc = convert(from, c, err);
    if (floats)
        file_remove_tree(floats, NULL);
    mem_free(floats);
    stamp.weighted = sum->importance != NULL;
    if (!rc && measure && !strcmp(format, "gguf"))
        rc = measure_and_stamp(path, c->pool, &stamp, &measured, err);
    return rc ? rc : print_totals(sum, measured ? &stamp.q : NULL, err);
}

static int run_quantize(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    struct totals sum = { .rows = json_array() };
    struct convert c = { .mix = mix_find(to), .pure = pure, .report = report, .ctx = &sum };
    int rc = 0;
    if (!c.mix)
        rc = ERR(err, USAGE, "--to is '%s', expected one of %s", to, MIX_WORDS);
    else if (!*out)
        rc = ERR(err, USAGE, "expected --out FILE");
    if (!rc)
        rc = cmd_pool(&c.pool, err);
    if (!rc)
        rc = quantise(args[0], &c, &sum, err);
    importance_free(sum.importance);
    json_decref(sum.rows);
    return rc;
}

static const struct opt opts[] = {
    { OPT_STR, "to", &to, "<type>", "the mixture of types: " MIX_WORDS, 0, 0 },
    { OPT_STR, "out", &out, "<file>", "the file to write; from GGUF to safetensors: the folder", 0, 0 },
    { OPT_CHOICE, "format", &format, "gguf|safetensors", "form of the file; safetensors hold f32, f16 and bf16", 0, 0 },
    { OPT_FLAG, "pure", &pure, NULL, "every matrix in the one type, or in the next that fits its rows", 0, 0 },
    { OPT_FLAG, "quality", &measure, NULL, "compare the new file's predictions with the source's, print and store how far they are", 0, 0 },
    { OPT_STR, "calib", &calib, "<file>", "text of the model's use: columns are weighed by what goes into them on its first half; compared on the second", 0, 0 },
    { OPT_FLAG, "importance", &weigh, NULL, "weigh columns by the calibration text", 0, 0 },
    { OPT_STR, "imatrix", &imatrix, "<file>", "weigh columns by what llama.cpp's llama-imatrix wrote (its GGUF form) instead", 0, 0 },
    { OPT_INT, "calib-tokens", &calib_tokens, "<int>", "tokens at most, for weighing and for comparing", 2, 1e8 },
    OPT_THREADS, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_quantize = {
    "quantize", "MODEL", "write a model's weights in smaller types, or back in floats",
    TEXT("MODEL is a GGUF file, or a folder with config.json, safetensors and tokenizer.json; a folder becomes a GGUF file, by way of one with\n"
    "floats beside it that is removed, when this program was killed by the next one that writes the same file.  With --format safetensors a GGUF file becomes such a folder, and a folder one file of\n"
    "safetensors with its own names.  Chat templates go with the model.  GPTQ, AWQ and other packed forms are read.\n"
    "\n"
    "Vectors, norms and routers keep their type; some matrices get more bits than the rest, as in llama.cpp's mixtures of the same\n"
    "names.  What became of each tensor is printed, with its relative error.\n"
    "\n"
    "A GGUF file is then compared with its source on a text: the mean divergence (KL, in nats) of the predicted distributions, the share\n"
    "of positions whose most likely token is another one, and both perplexities are printed and stored in the file under\n"
    "lathe.quality.*; --no-quality leaves that out.  Without --calib the text is a little that is built in, and no column is weighed."),
    opts, run_quantize, 1, 1,
};
