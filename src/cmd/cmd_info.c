#include <jansson.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "cmd/info_facts.h"
#include "model/finite.h"
#include "model/gguf_config.h"
#include "model/weights_gguf.h"
#include "model/weights_pack.h"
#include "infer/classify.h"
#include "infer/embed.h"
#include "infer/engine.h"
#include "model/features.h"
#include "model/tok.h"

static bool check, all_keys;

/* Private memory of generating with this model at its full context (an encoder: of a text that long, or of an image), one sequence. */
static int memory_of(const char *path, const struct config *c, size_t *out, struct err *err)
{
    *out = 0;
    if (config_vision(c) && !c->n_label)        /* a bare ViTModel: nothing here runs it */
        return 0;
    if (c->n_label)
        return classifier_plan_bytes(out, path, &(struct classify_opts){ .no_tok = true }, cmd_n_thread(), err);
    if (c->encoder)
        return embedder_plan_bytes(out, path, &(struct embed_opts){ .no_tok = true }, cmd_n_thread(), err);
    return engine_plan_bytes(out, path, &(struct engine_opts){ .n_slot = 1, .step_tokens = 512 }, cmd_n_thread(), err);
}

int weights_digest(const char *const *digest, int n, char out[SHA256_HEX], struct err *err)
{
    struct sha256 all;
    if (n == 1) {
        memcpy(out, digest[0], SHA256_HEX);
        return 0;
    }
    TRY(sha256_init(&all, err));
    for (int i = 0; i < n; i++)
        sha256_add(&all, digest[i], SHA256_HEX - 1);
    sha256_end(&all, out);
    return 0;
}

static int n_file_of(const struct source *s) { return source_gguf(s) ? gguf_n_file(source_gguf(s)) : source_safetensors(s)->n_file; }
static const char *file_of(const struct source *s, int i) { return source_gguf(s) ? gguf_file_name(source_gguf(s), i) : safetensors_file_name(source_safetensors(s), i); }

static int digest_of(const struct source *s, char out[SHA256_HEX], struct err *err)
{
    const int n = n_file_of(s);
    char (*hex)[SHA256_HEX] = mem_alloc_array((size_t)n, sizeof *hex);
    const char **each = mem_alloc_array((size_t)n, sizeof *each);
    int rc = hex && each ? 0 : ERR(err, NOMEM, "no memory for %d digests", n);
    for (int i = 0; i < n && !rc; i++)
        each[i] = hex[i], rc = sha256_of_file(file_of(s, i), hex[i], err);
    if (!rc)
        rc = weights_digest(each, n, out, err);
    mem_free(each);
    mem_free(hex);
    return rc;
}

struct facts {
    struct config c;
    struct buf features;
    bool known;                    /* c is what the model is */
    int64_t total, active;
    size_t memory;
    struct tok *tok;
    struct source *source;
    char sha256[SHA256_HEX];
    struct buf warnings;
};

/* Every tensor that the configuration asks for is there, with its shape, and nothing else. */
static int check_tensors(const struct facts *f, struct err *err)
{
    const struct gguf *g = source_gguf(f->source);
    const struct safetensors *st = source_safetensors(f->source);
    struct weights_list *l;
    struct weight_type *types = NULL;
    TRY(weights_list_new(&l, &f->c, err));
    int rc;
    if (g)
        rc = (rc = weights_gguf_parts(l, g, err)) ? rc : weights_gguf_check(l, g, err);
    else if (source_count(f->source) == st->n_tensor)
        rc = weights_check(l, st, err);
    else
        rc = weights_types(&types, l, f->source, WEIGHTS_FILE, err);
    mem_free(types);
    weights_list_free(l);
    return rc;
}

static int gather_config(const char *path, struct facts *f, struct err *err)
{
    const struct gguf *g = source_gguf(f->source);
    TRY(g ? gguf_config(&f->c, g, &f->warnings, err) : config_load(&f->c, path, &f->warnings, err));
    TRY(config_features(&f->c, &f->features, err));
    config_params(&f->c, &f->total, &f->active);
    TRY(memory_of(path, &f->c, &f->memory, err));
    f->known = true;
    return 0;
}

/* What a GGUF file says of itself is shown also when it is no model that can be run: that is then a warning. */
static int gather(const char *path, struct facts *f, struct err *err)
{
    struct err none;
    TRY(source_open(&f->source, path, err));
    const int rc = gather_config(path, f, err);
    if (rc < 0 && (!source_gguf(f->source) || check))
        return rc;
    if (rc < 0)
        log_warn("%s", err->msg);
    if (f->known && config_vision(&f->c))
        f->tok = NULL;
    else if (tok_load(&f->tok, source_gguf(f->source) ? gguf_file_name(source_gguf(f->source), 0) : path, &none) < 0)
        log_warn("tokenizer: %s", none.msg);
    return f->known ? check_tensors(f, err) : 0;
}

/* ---- what is in the file ---- */

struct kind_sum { const char *type; int n; size_t bytes; };

/* Tensors by type, in the order of their first; returns how many types. */
static int sum_types(const struct source *s, struct kind_sum *sum, int max)
{
    int n = 0;
    for (int i = 0; i < source_count(s); i++) {
        const struct source_tensor *t = source_at(s, i);
        const char *type = source_gguf(s) ? gguf_type_name(source_gguf(s), t) : t->type == N_CPU_TYPE ? "integers" : type_name(t->type);
        int k = 0;
        while (k < n && strcmp(sum[k].type, type))
            k++;
        if (k == max)
            continue;
        if (k == n)
            sum[n++] = (struct kind_sum){ .type = type };
        sum[k].n++, sum[k].bytes += t->bytes;
    }
    return n;
}

/* A value, or the first few of an array, as text on one line. */
static void value_text(const struct gguf_pair *p, char *out, size_t size)
{
    size_t used = 0;
    *out = 0;
    for (int64_t i = 0; i < p->n && i < 6 && used + 2 < size; i++) {
        if (i)
            used += (size_t)snprintf(out + used, size - used, ", ");
        if (p->kind == GGUF_STR) {
            const struct gguf_str s = gguf_str_at(p, i);
            used += (size_t)snprintf(out + used, size - used, "%.*s", (int)(s.n > 80 ? 80 : s.n), s.p);
        } else if (p->kind == GGUF_F32 || p->kind == GGUF_F64) {
            used += (size_t)snprintf(out + used, size - used, "%.7g", gguf_num_at(p, i));
        } else if (p->kind == GGUF_U64) {
            uint64_t v;
            memcpy(&v, (const char *)p->data + 8 * i, sizeof v);
            used += (size_t)snprintf(out + used, size - used, "%llu", (unsigned long long)v);
        } else {
            used += (size_t)snprintf(out + used, size - used, "%lld", (long long)gguf_int_at(p, i));
        }
    }
    if (p->is_array && used < size)
        snprintf(out + used, size - used, "%s (%lld of %s)", p->n > 6 ? ", ..." : "", (long long)p->n, gguf_kind_name(p->kind));
    err_tidy(out);
}

static json_t *file_json(const struct source *s)
{
    struct kind_sum sum[40];
    const int n = sum_types(s, sum, 40);
    json_t *types = json_object(), *o = json_pack("{s:s, s:i, s:o}", "format", source_gguf(s) ? "gguf" : "safetensors", "tensors", source_count(s), "types", types);
    for (int i = 0; i < n; i++)
        json_object_set_new(types, sum[i].type, json_pack("{s:i, s:I}", "tensors", sum[i].n, "bytes", (json_int_t)sum[i].bytes));
    if (!source_gguf(s))
        return o;
    json_t *metadata = json_object();
    char text[1000];
    for (int i = 0; i < gguf_n_pair(source_gguf(s)); i++) {
        value_text(gguf_pair(source_gguf(s), i), text, sizeof text);
        json_object_set_new(metadata, gguf_pair(source_gguf(s), i)->key, json_string(text));
    }
    json_object_set_new(o, "metadata", metadata);
    return o;
}

static void print_file(const struct source *s)
{
    struct kind_sum sum[40];
    const struct gguf *g = source_gguf(s);
    const int n = sum_types(s, sum, 40);
    char bytes[32], text[1000];
    if (g)
        printf("file         GGUF version %d in %d file%s, %d tensors, %d keys\n", gguf_version(g), gguf_n_file(g), gguf_n_file(g) == 1 ? "" : "s",
               source_count(s), gguf_n_pair(g));
    else
        printf("file         safetensors, %d tensors\n", source_count(s));
    for (int i = 0; i < n; i++)
        printf("%-12s %s: %d tensor%s, %s\n", i ? "" : "types", sum[i].type, sum[i].n, sum[i].n == 1 ? "" : "s", fmt_bytes(bytes, (double)sum[i].bytes));
    for (int i = 0; g && all_keys && i < gguf_n_pair(g); i++) {
        value_text(gguf_pair(g, i), text, sizeof text);
        printf("  %s = %s\n", gguf_pair(g, i)->key, text);
    }
}

/* What lathe quantize measured, where it did. */
static void print_quality(const struct gguf *g)
{
    double kl, flips, ppl, source;
    int64_t n;
    if (gguf_get_num(g, "lathe.quality.kl_mean", &kl, NULL) == 1 && gguf_get_num(g, "lathe.quality.top1_flips", &flips, NULL) == 1 &&
        gguf_get_num(g, "lathe.quality.perplexity", &ppl, NULL) == 1 && gguf_get_num(g, "lathe.quality.perplexity_source", &source, NULL) == 1 &&
        gguf_get_int(g, "lathe.quality.tokens", 0, INT64_MAX, &n, NULL) == 1)
        printf("quality      KL to its source %.5f, %.2f %% of top tokens changed, perplexity %.4f from %.4f, on %lld tokens\n", kl, 100 * flips, ppl, source, (long long)n);
}

static void report_bad(void *ctx, const struct finite_row *row)
{
    (void)ctx;
    fprintf(stderr, "tensor '%s': %lld numbers that are not finite, the first is element %lld\n", row->tensor->name, (long long)row->n_bad,
            (long long)row->first);
}

static int check_numbers(const struct facts *f, struct err *err)
{
    struct pool *pool;
    TRY(cmd_pool(&pool, err));
    const int n = finite_check(f->source, pool, report_bad, NULL, err);
    if (n > 0)
        return ERR(err, NUMERIC, "%d of %d tensors have numbers that are not finite", n, source_count(f->source));
    if (!n && !cmd_json)
        printf("check        every tensor is there, every number is finite\n");
    return n;
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

static json_t *facts_json(const struct facts *f)
{
    const struct config *c = &f->c;
    if (!f->known)
        return json_pack("{s:s*, s:o}", "sha256", *f->sha256 ? f->sha256 : NULL, "file", file_json(f->source));
    return json_pack("{s:s, s:I, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:s, s:s, s:b, s:o, s:I, s:s*, s:o}", "family", family_name(c->family), "parameters",
                     (json_int_t)f->total, "active_parameters", (json_int_t)f->active, "n_layer", c->n_layer, "d_model", c->d_model, "n_head", c->n_head, "n_kv_head",
                     c->n_kv_head, "d_head", c->d_head, "d_ff", c->n_expert ? c->d_ff_expert : c->d_ff, "n_expert", c->n_expert, "top_k", c->top_k, "ctx", c->ctx,
                     "norm", norm_kind_name(c->norm), "activation", act_kind_name(c->act), "positions", pos_kind_name(c->pos), "tied_embeddings", c->tie_embeddings, "features", lines_of(f->features.data),
                     "generate_bytes", (json_int_t)f->memory, "sha256", *f->sha256 ? f->sha256 : NULL, "file", file_json(f->source));
}

static int print_facts(const struct facts *f, struct err *err)
{
    const struct config *c = &f->c;
    if (cmd_json)
        return cmd_print_json(facts_json(f), err);
    print_file(f->source);
    if (source_gguf(f->source))
        print_quality(source_gguf(f->source));
    if (!f->known) {
        printf("weights      SHA-256 %s\n", f->sha256);
        return 0;
    }
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
    if (f->memory)
        printf("memory       %s private to %s with all %d positions, and at most 20 MB for the process\n", fmt_bytes(m, (double)f->memory), c->n_label ? "classify" : c->encoder ? "embed" : "generate", c->ctx);
    if (f->tok)
        printf("tokenizer    %s, %d tokens\n", tok_kind(f->tok), tok_vocab_size(f->tok));
    printf("weights      SHA-256 %s\n", f->sha256);
    return 0;
}

static void begin_facts(struct facts *f)
{
    *f = (struct facts){ .tok = NULL };
    buf_init(&f->warnings);
    buf_init(&f->features);
}

static void end_facts(struct facts *f)
{
    source_free(f->source);
    tok_free(f->tok);
    buf_release(&f->warnings);
    buf_release(&f->features);
}

int info_facts(json_t **out, json_t **weights, const char *path, struct err *err)
{
    struct facts f;
    begin_facts(&f);
    int rc = gather(path, &f, err);
    *out = rc ? NULL : facts_json(&f), *weights = rc ? NULL : json_array();
    for (int i = 0; !rc && i < n_file_of(f.source); i++)
        rc = json_array_append_new(*weights, json_string(file_of(f.source, i))) ? ERR_NOMEM : 0;
    if (rc == ERR_NOMEM || (!rc && (!*out || !*weights)))
        rc = ERR(err, NOMEM, "no memory for what the model is");
    if (rc)
        json_decref(*out), json_decref(*weights);
    end_facts(&f);
    return rc;
}

static int run_info(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    struct facts f;
    begin_facts(&f);
    int rc = gather(args[0], &f, err);
    if (!rc)
        rc = digest_of(f.source, f.sha256, err);
    if (f.warnings.len)
        log_warn("%.*s", (int)(f.warnings.len - 1), f.warnings.data);
    if (!rc)
        rc = print_facts(&f, err);
    if (!rc && check)
        rc = check_numbers(&f, err);
    end_facts(&f);
    return rc;
}

static const struct opt opts[] = {
    { OPT_FLAG, "check", &check, NULL, "also look at every number: NaN and infinity are named by their tensor", 0, 0 },
    { OPT_FLAG, "metadata", &all_keys, NULL, "also print each key of a GGUF file", 0, 0 },
    OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_info = {
    "info", "MODEL", "what a model is: architecture, parameters, memory, tokenizer, digest",
    TEXT("MODEL is a folder or a file, of safetensors or GGUF.  Checks that every tensor that the configuration asks for is there with the\n"
    "right shape, and nothing else."),
    opts, run_info, 1, 1,
};
