#include <jansson.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "model/convert.h"
#include "model/gguf.h"

static const char *to = "", *out = "", *format = "gguf";
static bool pure;

struct totals { size_t before, after; int64_t n; int n_fallback; json_t *rows; };

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

static int print_totals(struct totals *t, struct err *err)
{
    char before[32], after[32];
    const double bits = t->n ? 8.0 * (double)t->after / (double)t->n : 0;
    if (cmd_json) {
        json_t *rows = t->rows;
        t->rows = NULL;
        return cmd_print_json(json_pack("{s:s, s:s, s:I, s:I, s:f, s:i, s:o}", "out", out, "type", to, "bytes_before", (json_int_t)t->before, "bytes",
                                        (json_int_t)t->after, "bits_per_weight", bits, "fallbacks", t->n_fallback, "tensors", rows), err);
    }
    printf("%s: %s to %s, %.2f bits a weight%s\n", out, fmt_bytes(before, (double)t->before), fmt_bytes(after, (double)t->after), bits,
           t->n_fallback ? "; tensors whose rows did not fit kept more bits" : "");
    return 0;
}

static int convert(const char *path, const struct convert *c, struct err *err)
{
    struct source *s;
    TRY(source_open(&s, path, err));
    const int rc = (strcmp(format, "gguf") ? convert_safetensors : convert_gguf)(s, out, c, err);
    source_free(s);
    return rc;
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
        rc = pool_new(&c.pool, cmd_n_thread(), err);
    if (!rc)
        rc = convert(args[0], &c, err);
    if (!rc)
        rc = print_totals(&sum, err);
    json_decref(sum.rows);
    pool_free(c.pool);
    return rc;
}

static const struct opt opts[] = {
    { OPT_STR, "to", &to, "<type>", "the mixture of types: " MIX_WORDS, 0, 0 },
    { OPT_STR, "out", &out, "<file>", "the file to write", 0, 0 },
    { OPT_CHOICE, "format", &format, "gguf|safetensors", "form of the file; safetensors hold f32, f16 and bf16", 0, 0 },
    { OPT_FLAG, "pure", &pure, NULL, "every matrix in the one type, or in the next that fits its rows", 0, 0 },
    OPT_THREADS, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_quantize = {
    "quantize", "MODEL", "write a model's weights in smaller types, or back in floats",
    "MODEL is a file or folder with GGUF or safetensors.  Vectors, norms and routers keep their type; some matrices get more bits than\n"
    "the rest, as in llama.cpp's mixtures of the same names.  What became of each tensor is printed, with its relative error.",
    opts, run_quantize, 1, 1,
};
