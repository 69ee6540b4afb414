#include <jansson.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "model/decoder.h"
#include "model/features.h"
#include "model/tok.h"

/* Private memory of generating with this model at its full context (an encoder: of a text that long), one sequence. */
static int engine_memory(const struct config *c, size_t *out, struct err *err)
{
    struct decoder d;
    const struct decoder_opts o = { .use = c->encoder ? DECODER_HIDDEN : DECODER_GENERATE, .compute = DT_F32, .n_slot = 1, .ctx = c->ctx };
    TRY(decoder_record(&d, c, &o, err));
    const int rc = decoder_plan(&d, c->ctx < 512 || c->encoder ? c->ctx : 512, 1, cmd_n_thread(), NULL, err);
    *out = d.g->plan.total;
    decoder_release(&d);
    return rc;
}

/* One digest for the weights: of the files' digests in the order of the shards. */
static int weights_digest(const struct safetensors *st, char out[SHA256_HEX], struct err *err)
{
    struct sha256 all;
    char one[SHA256_HEX];
    if (st->n_file == 1)
        return sha256_of_file(safetensors_file_name(st, 0), out, err);
    TRY(sha256_init(&all, err));
    for (int i = 0; i < st->n_file; i++) {
        const int rc = sha256_of_file(safetensors_file_name(st, i), one, err);
        if (rc < 0) {
            sha256_end(&all, out);
            return rc;
        }
        sha256_add(&all, one, sizeof one - 1);
    }
    sha256_end(&all, out);
    return 0;
}

struct facts { struct config c; struct buf features; int64_t total, active; size_t memory; struct tok *tok; char sha256[SHA256_HEX]; struct buf warnings; };

static int gather(const char *path, struct facts *f, struct err *err)
{
    TRY(config_load(&f->c, path, &f->warnings, err));
    TRY(config_features(&f->c, &f->features, err));
    config_params(&f->c, &f->total, &f->active);
    TRY(engine_memory(&f->c, &f->memory, err));
    struct err none;
    if (tok_load(&f->tok, path, &none) < 0)
        log_warn("tokenizer: %s", none.msg);
    struct safetensors *st;
    struct weights_list *l = NULL;
    TRY(safetensors_open(&st, path, err));
    int rc = weights_list_new(&l, &f->c, err);
    if (!rc)
        rc = weights_check(l, st, err);
    if (!rc)
        rc = weights_digest(st, f->sha256, err);
    weights_list_free(l);
    safetensors_free(st);
    return rc;
}

/* The lines of text as a JSON list, or NULL without memory. */
static json_t *lines_of(const char *text)
{
    json_t *list = json_array();
    for (const char *end; list && (end = strchr(text, '\n')); text = end + 1)
        if (json_array_append_new(list, json_stringn(text, (size_t)(end - text)))) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

static int print_facts(const struct facts *f, struct err *err)
{
    const struct config *c = &f->c;
    if (cmd_json)
        return cmd_print_json(json_pack("{s:s, s:I, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:s, s:s, s:b, s:o, s:I, s:s}", "family", family_name(c->family), "parameters",
                                        (json_int_t)f->total, "active_parameters", (json_int_t)f->active, "n_layer", c->n_layer, "d_model", c->d_model, "n_head", c->n_head, "n_kv_head",
                                        c->n_kv_head, "d_head", c->d_head, "d_ff", c->n_expert ? c->d_ff_expert : c->d_ff, "n_expert", c->n_expert, "top_k", c->top_k, "ctx", c->ctx,
                                        "norm", norm_kind_name(c->norm), "activation", act_kind_name(c->act), "positions", pos_kind_name(c->pos), "tied_embeddings", c->tie_embeddings, "features", lines_of(f->features.data),
                                        "generate_bytes", (json_int_t)f->memory, "sha256", f->sha256), err);
    char a[32], b[32], m[32];
    printf("family       %s: %d layers, width %d, %d heads (%d key/value) of %d\n", family_name(c->family), c->n_layer, c->d_model, c->n_head, c->n_kv_head, c->d_head);
    if (c->n_expert)
        printf("experts      %d a layer, %d for a token%s, inner width %d, %s\n", c->n_expert, c->top_k, c->norm_topk ? " (gates normalised)" : "", c->d_ff_expert, act_kind_name(c->act));
    else
        printf("mlp          inner width %d, %s\n", c->d_ff, act_kind_name(c->act));
    printf("form         %s, %s positions (%d), embeddings %s\n", norm_kind_name(c->norm), pos_kind_name(c->pos), c->ctx, c->tie_embeddings ? "tied" : "untied");
    const char *title = "features";
    for (const char *at = f->features.data, *end; (end = strchr(at, '\n')); at = end + 1, title = "")
        printf("%-12s %.*s\n", title, (int)(end - at), at);
    printf("parameters   %s, %s used for a token\n", fmt_count(a, (double)f->total), fmt_count(b, (double)f->active));
    printf("memory       %s private to %s in fp32 with all %d positions, and at most 20 MB for the process\n", fmt_bytes(m, (double)f->memory), c->encoder ? "embed" : "generate", c->ctx);
    if (f->tok)
        printf("tokenizer    %s, %d tokens\n", tok_kind(f->tok), tok_vocab_size(f->tok));
    printf("weights      SHA-256 %s\n", f->sha256);
    return 0;
}

static int run_info(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    struct facts f = { .tok = NULL };
    buf_init(&f.warnings);
    buf_init(&f.features);
    int rc = gather(args[0], &f, err);
    if (f.warnings.len)
        log_warn("%.*s", (int)(f.warnings.len - 1), f.warnings.data);
    if (!rc)
        rc = print_facts(&f, err);
    tok_free(f.tok);
    buf_release(&f.warnings);
    buf_release(&f.features);
    return rc;
}

static const struct opt opts[] = { OPT_JSON, OPT_QUIET, OPT_LAST };
const struct command command_info = {
    "info", "MODEL", "what a model is: architecture, parameters, memory, tokenizer, digest",
    "Checks that every tensor that the configuration asks for is there with the right shape, and nothing else.",
    opts, run_info, 1, 1,
};
