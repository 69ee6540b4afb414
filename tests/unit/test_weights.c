/* test_weights.c - the list of weights has the parameters the configuration counts, each part of a file lands where it
 * belongs, what is missing, odd or left over is named, and a saved model is loaded back bit for bit. */
#include <math.h>
#include <unistd.h>
#include "../test.h"
#include "base/mem.h"
#include "model/source.h"
#include "model/weights.h"
#include "model/weights_pack.h"

#define SMALL "\"vocab_size\":7,\"hidden_size\":4,\"num_hidden_layers\":2,\"num_attention_heads\":2,\"max_position_embeddings\":5"
static const char *const models[] = {
    "{\"model_type\":\"gpt2\",\"vocab_size\":7,\"n_embd\":4,\"n_layer\":2,\"n_head\":2,\"n_positions\":5,\"n_inner\":6}",
    "{\"model_type\":\"gpt2\",\"vocab_size\":7,\"n_embd\":4,\"n_layer\":2,\"n_head\":2,\"n_positions\":5,\"tie_word_embeddings\":false}",
    "{\"model_type\":\"llama\"," SMALL ",\"intermediate_size\":6,\"num_key_value_heads\":1}",
    "{\"model_type\":\"llama\"," SMALL ",\"intermediate_size\":6,\"tie_word_embeddings\":true,\"head_dim\":6}",
    "{\"model_type\":\"mixtral\"," SMALL ",\"intermediate_size\":6,\"num_key_value_heads\":1,\"num_local_experts\":3}",
    "{\"model_type\":\"olmoe\"," SMALL ",\"intermediate_size\":6,\"num_key_value_heads\":1,\"num_experts\":3,\"num_experts_per_tok\":2}",
    "{\"model_type\":\"lathe_gpt\"," SMALL ",\"intermediate_size\":6,\"norm\":\"layernorm\",\"norm_bias\":true,\"linear_bias\":true,"
    "\"act\":\"gelu\",\"pos\":\"learned\",\"tie_word_embeddings\":true}",
    "{\"model_type\":\"lathe_gpt\"," SMALL ",\"intermediate_size\":6,\"linear_bias\":true,\"qk_norm\":\"head\"}",
    "{\"model_type\":\"lathe_gpt\"," SMALL ",\"moe_intermediate_size\":3,\"num_experts\":3,\"num_experts_per_tok\":2,\"act\":\"gelu_tanh\","
    "\"qk_norm\":\"full\",\"norm\":\"layernorm\"}",
    "{\"model_type\":\"gpt_neox\"," SMALL ",\"intermediate_size\":6,\"rotary_pct\":1}",
    "{\"model_type\":\"phi3\"," SMALL ",\"intermediate_size\":6,\"num_key_value_heads\":1}",
    "{\"model_type\":\"gemma2\"," SMALL ",\"intermediate_size\":6,\"num_key_value_heads\":1,\"head_dim\":6,\"query_pre_attn_scalar\":6}",
    "{\"model_type\":\"olmo\"," SMALL ",\"intermediate_size\":6}",
    "{\"model_type\":\"qwen2_moe\"," SMALL ",\"intermediate_size\":6,\"num_experts\":3,\"num_experts_per_tok\":2,\"moe_intermediate_size\":5,\"shared_expert_intermediate_size\":3,"
    "\"mlp_only_layers\":[0]}",
    "{\"model_type\":\"gpt_oss\"," SMALL ",\"intermediate_size\":6,\"num_key_value_heads\":1,\"head_dim\":6,\"num_local_experts\":3,\"num_experts_per_tok\":2}",
    "{\"model_type\":\"deepseek_v3\"," SMALL ",\"intermediate_size\":6,\"n_routed_experts\":4,\"num_experts_per_tok\":2,\"moe_intermediate_size\":5,\"n_group\":2,\"topk_group\":2,"
    "\"q_lora_rank\":3,\"kv_lora_rank\":5,\"qk_nope_head_dim\":3,\"qk_rope_head_dim\":2,\"v_head_dim\":4,\"first_k_dense_replace\":1,\"attention_bias\":true}",
    "{\"model_type\":\"bert\"," SMALL ",\"intermediate_size\":6}",
    "{\"model_type\":\"roberta\"," SMALL ",\"intermediate_size\":6}",
    "{\"model_type\":\"qwen2_moe\"," SMALL ",\"intermediate_size\":6,\"num_experts\":3,\"num_experts_per_tok\":2,\"moe_intermediate_size\":5,\"shared_expert_intermediate_size\":0}",
};
enum { BERT = 16, ROBERTA, GPT2_UNTIED = 1 };
#define N_MODEL (sizeof models / sizeof *models)

static struct weights_list *list_of(const char *text)
{
    struct config c;
    struct err err = { 0 };
    struct weights_list *l = NULL;
    if (config_parse(&c, text, strlen(text), "config.json", NULL, &err) || weights_list_new(&l, &c, &err))
        fail_msg("%s\n%s", text, err.msg);
    return l;
}

static const struct weight *weight_of(const struct weights_list *l, const char *name)
{
    for (int i = 0; i < l->n_weight; i++)
        if (!strcmp(l->weight[i].name, name))
            return &l->weight[i];
    fail_msg("no weight %s", name);
    return NULL;
}

/* ---- the list ---- */

static void the_list_has_the_parameters_that_the_config_counts(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_MODEL; m++) {
        struct weights_list *l = list_of(models[m]);
        int64_t total, sum = 0;
        config_params(&l->config, &total, NULL);
        for (int i = 0; i < l->n_weight; i++) {
            const struct weight *w = &l->weight[i];
            int64_t rows = 0;
            for (int j = 0; j < w->n_part; j++) {
                const struct weight_part p = weight_part(l, w, j);
                assert_int_equal(p.row, rows);      /* parts follow each other and cover the weight */
                rows += p.n_row;
                assert_int_equal(p.n_col, w->rank == 1 || w->bias ? 1 : w->shape[w->rank - 1]);
            }
            assert_int_equal(rows * (w->rank == 1 || w->bias ? 1 : w->shape[w->rank - 1]), w->n);
            for (int k = 0; k < i; k++)
                assert_string_not_equal(w->name, l->weight[k].name);
            const bool zeros = w->bias || strstr(w->name, "sinks") || strstr(w->name, "correction");
            assert_int_equal(w->decay, w->rank > 1 && !zeros);
            assert_int_equal(w->init, zeros ? INIT_ZEROS : w->rank > 1 ? INIT_NORMAL : INIT_ONES);
            sum += w->n;
        }
        assert_int_equal(sum, total);
        weights_list_free(l);
    }
}

static void weights_have_their_shapes_and_parts(void **state)
{
    (void)state;
    static const struct { int model; const char *name; int rank; int64_t shape[3]; int n_part; int i; const char *part; int64_t row, n_row; bool transposed; }
    cases[] = {
        { 0, "embed", 2, { 7, 4 }, 1, 0, "transformer.wte.weight", 0, 7, false },
        { 0, "pos", 2, { 5, 4 }, 1, 0, "transformer.wpe.weight", 0, 5, false },
        { 0, "1.norm1.b", 1, { 4 }, 1, 0, "transformer.h.1.ln_1.bias", 0, 4, false },
        { 0, "1.qkv.w", 2, { 12, 4 }, 1, 0, "transformer.h.1.attn.c_attn.weight", 0, 12, true },
        { 0, "1.qkv.b", 1, { 12 }, 1, 0, "transformer.h.1.attn.c_attn.bias", 0, 12, false },
        { 0, "0.o.w", 2, { 4, 4 }, 1, 0, "transformer.h.0.attn.c_proj.weight", 0, 4, true },
        { 0, "0.norm2.w", 1, { 4 }, 1, 0, "transformer.h.0.ln_2.weight", 0, 4, false },
        { 0, "0.up.w", 2, { 6, 4 }, 1, 0, "transformer.h.0.mlp.c_fc.weight", 0, 6, true },
        { 0, "0.down.w", 2, { 4, 6 }, 1, 0, "transformer.h.0.mlp.c_proj.weight", 0, 4, true },
        { 0, "norm.w", 1, { 4 }, 1, 0, "transformer.ln_f.weight", 0, 4, false },
        { 1, "head.w", 2, { 7, 4 }, 1, 0, "lm_head.weight", 0, 7, false },
        { 2, "embed", 2, { 7, 4 }, 1, 0, "model.embed_tokens.weight", 0, 7, false },
        { 2, "1.norm1.w", 1, { 4 }, 1, 0, "model.layers.1.input_layernorm.weight", 0, 4, false },
        { 2, "1.qkv.w", 2, { 8, 4 }, 3, 0, "model.layers.1.self_attn.q_proj.weight", 0, 4, false },
        { 2, "1.qkv.w", 2, { 8, 4 }, 3, 1, "model.layers.1.self_attn.k_proj.weight", 4, 2, false },
        { 2, "1.qkv.w", 2, { 8, 4 }, 3, 2, "model.layers.1.self_attn.v_proj.weight", 6, 2, false },
        { 2, "0.norm2.w", 1, { 4 }, 1, 0, "model.layers.0.post_attention_layernorm.weight", 0, 4, false },
        { 2, "0.gate_up.w", 2, { 12, 4 }, 2, 0, "model.layers.0.mlp.gate_proj.weight", 0, 6, false },
        { 2, "0.gate_up.w", 2, { 12, 4 }, 2, 1, "model.layers.0.mlp.up_proj.weight", 6, 6, false },
        { 2, "0.down.w", 2, { 4, 6 }, 1, 0, "model.layers.0.mlp.down_proj.weight", 0, 4, false },
        { 2, "norm.w", 1, { 4 }, 1, 0, "model.norm.weight", 0, 4, false },
        { 2, "head.w", 2, { 7, 4 }, 1, 0, "lm_head.weight", 0, 7, false },
        { 3, "0.o.w", 2, { 4, 12 }, 1, 0, "model.layers.0.self_attn.o_proj.weight", 0, 4, false },
        { 4, "1.router.w", 2, { 3, 4 }, 1, 0, "model.layers.1.block_sparse_moe.gate.weight", 0, 3, false },
        { 4, "1.experts.gate_up.w", 3, { 3, 12, 4 }, 6, 4, "model.layers.1.block_sparse_moe.experts.2.w1.weight", 24, 6, false },
        { 4, "1.experts.gate_up.w", 3, { 3, 12, 4 }, 6, 5, "model.layers.1.block_sparse_moe.experts.2.w3.weight", 30, 6, false },
        { 4, "1.experts.down.w", 3, { 3, 4, 6 }, 3, 1, "model.layers.1.block_sparse_moe.experts.1.w2.weight", 4, 4, false },
        { 5, "0.q_norm", 1, { 4 }, 1, 0, "model.layers.0.self_attn.q_norm.weight", 0, 4, false },
        { 5, "0.k_norm", 1, { 2 }, 1, 0, "model.layers.0.self_attn.k_norm.weight", 0, 2, false },
        { 5, "0.router.w", 2, { 3, 4 }, 1, 0, "model.layers.0.mlp.gate.weight", 0, 3, false },
        { 5, "0.experts.gate_up.w", 3, { 3, 12, 4 }, 6, 3, "model.layers.0.mlp.experts.1.up_proj.weight", 18, 6, false },
        { 6, "pos", 2, { 5, 4 }, 1, 0, "model.embed_positions.weight", 0, 5, false },
        { 6, "0.qkv.b", 1, { 12 }, 3, 2, "model.layers.0.self_attn.v_proj.bias", 8, 4, false },
        { 6, "0.up.b", 1, { 6 }, 1, 0, "model.layers.0.mlp.up_proj.bias", 0, 6, false },
        { 6, "norm.b", 1, { 4 }, 1, 0, "model.norm.bias", 0, 4, false },
        { 7, "0.gate_up.b", 1, { 12 }, 2, 0, "model.layers.0.mlp.gate_proj.bias", 0, 6, false },
        { 7, "0.q_norm", 1, { 2 }, 1, 0, "model.layers.0.self_attn.q_norm.weight", 0, 2, false },
        { 8, "0.experts.up.w", 3, { 3, 3, 4 }, 3, 2, "model.layers.0.mlp.experts.2.up_proj.weight", 6, 3, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weights_list *l = list_of(models[cases[i].model]);
        const struct weight *w = weight_of(l, cases[i].name);
        const struct weight_part p = weight_part(l, w, cases[i].i);
        assert_int_equal(w->rank, cases[i].rank);
        assert_memory_equal(w->shape, cases[i].shape, sizeof w->shape);
        assert_int_equal(w->n_part, cases[i].n_part);
        assert_string_equal(p.name, cases[i].part);
        assert_int_equal(p.row, cases[i].row);
        assert_int_equal(p.n_row, cases[i].n_row);
        assert_int_equal(p.transposed, cases[i].transposed);
        weights_list_free(l);
    }
}

static void ends_of_residual_branches_start_smaller(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_MODEL; m++) {
        struct weights_list *l = list_of(models[m]);
        for (int i = 0; i < l->n_weight; i++) {
            const struct weight *w = &l->weight[i];
            const bool end = strstr(w->name, ".o.w") || strstr(w->name, "down.w");
            if (w->init == INIT_NORMAL)
                assert_true(w->std == (end ? 0.02 / sqrt(4) : 0.02));
        }
        weights_list_free(l);
    }
}

/* ---- loading and saving ---- */

struct store { const struct weights_list *l; float **w; };

static float *place(void *ctx, int i) { return ((struct store *)ctx)->w[i]; }
static const float *source(void *ctx, int i) { return ((struct store *)ctx)->w[i]; }

static struct store new_store(const struct weights_list *l, bool fill)
{
    struct store s = { l, calloc((size_t)l->n_weight, sizeof *s.w) };
    for (int i = 0; i < l->n_weight; i++) {
        s.w[i] = calloc((size_t)l->weight[i].n, sizeof **s.w);
        for (int64_t k = 0; k < l->weight[i].n && fill; k++)
            s.w[i][k] = (float)(1000 * i + k) + 0.125f;
    }
    return s;
}

static void free_store(struct store *s)
{
    for (int i = 0; i < s->l->n_weight; i++)
        free(s->w[i]);
    free(s->w);
}

static struct safetensors *open_file(const char *path)
{
    struct err err = { 0 };
    struct safetensors *st;
    if (safetensors_open(&st, path, &err))
        fail_msg("%s", err.msg);
    return st;
}

static void a_saved_model_is_loaded_back_bit_for_bit(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_MODEL; m++)
        for (int half = 0; half < 2; half++) {
            struct err err = { 0 };
            struct weights_list *l = list_of(models[m]);
            struct store a = new_store(l, true), b = new_store(l, false);
            const struct st_pair pair = { "step", "7" };
            struct weight_digest *digest;
            int n_digest;
            const char *path = in_dir("m.safetensors");
            if (weights_save(l, path, half ? ST_BF16 : ST_F32, source, &a, &pair, 1, &digest, &n_digest, &err))
                fail_msg("%s", err.msg);
            struct safetensors *st = open_file(path);
            assert_string_equal(safetensors_metadata(st, "format"), "pt");
            assert_string_equal(safetensors_metadata(st, "step"), "7");
            assert_int_equal(n_digest, st->n_tensor);
            for (int i = 0; i < n_digest; i++) {
                const struct st_tensor *t = safetensors_find(st, digest[i].name);
                char hex[SHA256_HEX];
                assert_ptr_equal(t, &st->tensor[i]);
                sha256_of(t->data, t->end - t->begin, hex, NULL);
                assert_string_equal(hex, digest[i].sha256);
            }
            if (weights_load(l, st, place, &b, &err))
                fail_msg("%s\n%s", models[m], err.msg);
            for (int i = 0; i < l->n_weight; i++)
                for (int64_t k = 0; k < l->weight[i].n; k++) {
                    const float one = l->weight[i].plus_one ? 1 : 0;
                    const uint32_t bits = (uint32_t)st_bf16(a.w[i][k] - one) << 16;
                    float rounded;
                    memcpy(&rounded, &bits, sizeof rounded);
                    assert_true(b.w[i][k] == (half ? rounded + one : a.w[i][k]));
                }
            mem_free(digest);
            safetensors_free(st);
            free_store(&a);
            free_store(&b);
            weights_list_free(l);
        }
}

static void conv1d_of_gpt2_is_turned(void **state)
{
    (void)state;
    struct weights_list *l = list_of(models[0]);
    struct store a = new_store(l, true);
    assert_int_equal(weights_save(l, in_dir("m.safetensors"), ST_F32, source, &a, NULL, 0, NULL, NULL, NULL), 0);
    struct safetensors *st = open_file(in_dir("m.safetensors"));
    const struct st_tensor *t = safetensors_find(st, "transformer.h.1.attn.c_attn.weight");
    assert_true(t->rank == 2 && t->shape[0] == 4 && t->shape[1] == 12);
    const struct weight *w = weight_of(l, "1.qkv.w");
    float file[48];
    assert_int_equal(st_read_f32(t, 0, 48, file, NULL), 0);
    for (int in = 0; in < 4; in++)
        for (int out = 0; out < 12; out++)
            assert_true(file[in * 12 + out] == a.w[w - l->weight][out * 4 + in]);
    safetensors_free(st);
    free_store(&a);
    weights_list_free(l);
}

/* Halves end at 65504. */
static void a_number_that_becomes_infinite_is_not_written(void **state)
{
    (void)state;
    struct err err;
    struct weights_list *l = list_of(models[0]);
    struct store a = new_store(l, true);
    a.w[0][0] = -70000;
    assert_int_equal(weights_save(l, in_dir("large.safetensors"), ST_F16, source, &a, NULL, 0, NULL, NULL, &err), ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "a number is -70000, which would be infinite in F16"));
    assert_false(file_exists(in_dir("large.safetensors")));
    assert_int_equal(weights_save(l, in_dir("large.safetensors"), ST_BF16, source, &a, NULL, 0, NULL, NULL, &err), 0);
    free_store(&a);
    weights_list_free(l);
}

static void doubles_are_named_where_they_are_no_weights(void **state)
{
    (void)state;
    struct err err;
    struct weights_list *l = list_of(models[0]);
    struct st_decl decl[200];
    struct weight_part part[200];
    int n = 0;
    for (int i = 0; i < l->n_weight; i++)
        for (int j = 0; j < l->weight[i].n_part; j++, n++) {
            part[n] = weight_part(l, &l->weight[i], j);
            decl[n] = (struct st_decl){ part[n].name, ST_F64, part[n].rank, { part[n].shape[0], part[n].shape[1], part[n].shape[2], part[n].shape[3] } };
        }
    struct st_writer *w;
    struct source *s;
    struct weight_type *types;
    static const double zero[4096];
    assert_int_equal(st_writer_new(&w, in_dir("double.safetensors"), decl, n, NULL, 0, &err), 0);
    for (int i = 0; i < n; i++)
        assert_int_equal(st_writer_add(w, i, zero, (size_t)(part[i].n_row * part[i].n_col) * sizeof *zero, &err), 0);
    assert_int_equal(st_writer_commit(w, &err), 0);
    st_writer_free(w);
    assert_int_equal(source_open(&s, in_dir("double.safetensors"), &err), 0);
    assert_int_equal(weights_types(&types, l, s, WEIGHTS_FILE, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "is F64, expected F32"));
    source_free(s);
    weights_list_free(l);
}

static void a_weight_without_a_place_is_passed_over(void **state)
{
    (void)state;
    struct weights_list *l = list_of(models[2]);
    struct store a = new_store(l, true), b = new_store(l, false);
    assert_int_equal(weights_save(l, in_dir("m.safetensors"), ST_F32, source, &a, NULL, 0, NULL, NULL, NULL), 0);
    struct safetensors *st = open_file(in_dir("m.safetensors"));
    free(b.w[0]);
    b.w[0] = NULL;
    assert_int_equal(weights_load(l, st, place, &b, NULL), 0);
    assert_memory_equal(a.w[1], b.w[1], (size_t)l->weight[1].n * 4);
    safetensors_free(st);
    free_store(&a);
    free_store(&b);
    weights_list_free(l);
}

/* ---- files that differ from what the configuration asks ---- */

/* What to do to the file that weights_save() would write: rename `from` to `to` ("" drops it), or change it. */
struct change { const char *from, *to; int turn, flip; enum st_dtype dtype; const char *extra; };

/* Writes the tensors of `st` again, changed. */
static void rewrite(const struct safetensors *st, const char *path, const struct change *c)
{
    struct st_decl *d = calloc((size_t)st->n_tensor + 1, sizeof *d);
    const struct st_tensor **from = calloc((size_t)st->n_tensor + 1, sizeof *from);
    int n = 0;
    for (int i = 0; i < st->n_tensor; i++) {
        const struct st_tensor *t = &st->tensor[i];
        const bool it = !strcmp(t->name, c->from);
        if (it && c->to && !*c->to)
            continue;
        from[n] = t;
        d[n] = (struct st_decl){ it && c->to ? c->to : t->name, it && c->dtype ? c->dtype : t->dtype, t->rank, { 0 } };
        for (int k = 0; k < t->rank; k++)
            d[n].shape[k] = t->shape[it && c->turn ? t->rank - 1 - k : k];
        n++;
    }
    if (c->extra) {        /* a copy of `from` under another name */
        from[n] = safetensors_find(st, c->from);
        d[n] = (struct st_decl){ c->extra, from[n]->dtype, from[n]->rank, { 0 } };
        memcpy(d[n].shape, from[n]->shape, sizeof d[n].shape);
        n++;
    }
    struct err err = { 0 };
    struct st_writer *w;
    if (st_writer_new(&w, path, d, n, NULL, 0, &err))
        fail_msg("%s", err.msg);
    for (int i = 0; i < n; i++) {
        const size_t bytes = from[i]->end - from[i]->begin;
        char *copy = malloc(bytes + 1);
        memcpy(copy, from[i]->data, bytes);
        if (c->flip && c->extra && i == n - 1)
            copy[bytes - 1] ^= 1;
        if (st_writer_add(w, i, copy, bytes, &err))
            fail_msg("%s", err.msg);
        free(copy);
    }
    if (st_writer_commit(w, &err))
        fail_msg("%s", err.msg);
    st_writer_free(w);
    free(d);
    free(from);
}

static void each_difference_is_named(void **state)
{
    (void)state;
    static const struct { int model; struct change change; const char *says[3]; } cases[] = {
        { 2, { "model.layers.1.self_attn.k_proj.weight", "", 0, 0, 0, NULL }, { "tensor 'model.layers.1.self_attn.k_proj.weight' is missing" } },
        { 2, { "model.norm.weight", "model.norm.w", 0, 0, 0, NULL }, { "tensor 'model.norm.weight' is missing" } },
        { 2, { "lm_head.weight", "", 0, 0, 0, NULL }, { "tensor 'lm_head.weight' is missing" } },
        { 2, { "model.norm.weight", NULL, 0, 0, 0, "model.extra" }, { "tensor 'model.extra': not part of this config.json" } },
        { 2, { "model.norm.weight", NULL, 0, 0, 0, "model.layers.x.self_attn.rotary_emb.inv_freq" }, { "not part of" } },
        { 2, { "model.norm.weight", NULL, 0, 0, 0, "model.layers.0.self_attn.rotary_emb.inv_freq" }, { NULL } },
        { 2, { "model.layers.0.mlp.down_proj.weight", NULL, 1, 0, 0, NULL },
          { "tensor 'model.layers.0.mlp.down_proj.weight'", "shape [6, 4], expected [4, 6]" } },
        { 2, { "model.norm.weight", NULL, 0, 0, ST_I32, NULL }, { "tensor 'model.norm.weight': dtype I32, expected F32, F16, BF16 or F64" } },
        { 0, { "transformer.h.0.mlp.c_fc.weight", NULL, 1, 0, 0, NULL }, { "shape [6, 4], expected [4, 6]" } },
        { 0, { "transformer.ln_f.weight", NULL, 0, 0, 0, "transformer.h.0.attn.bias" }, { NULL } },
        { 0, { "transformer.ln_f.weight", NULL, 0, 0, 0, "transformer.h.11.attn.masked_bias" }, { NULL } },
        { 0, { "transformer.ln_f.weight", NULL, 0, 0, 0, "transformer.h.0.attn.biases" }, { "not part of" } },
        { 0, { "transformer.wte.weight", NULL, 0, 0, 0, "lm_head.weight" }, { NULL } },
        { 0, { "transformer.wte.weight", NULL, 0, 1, 0, "lm_head.weight" }, { "tensor 'lm_head.weight' differs from 'transformer.wte.weight'", "tie_word_embeddings" } },
        { 0, { "transformer.ln_f.weight", NULL, 0, 0, 0, "lm_head.weight" }, { "tensor 'lm_head.weight': shape [4], expected [7, 4]" } },
        { 3, { "model.embed_tokens.weight", NULL, 0, 1, 0, "lm_head.weight" }, { "differs from 'model.embed_tokens.weight'" } },
        { 4, { "model.layers.0.block_sparse_moe.experts.2.w3.weight", "", 0, 0, 0, NULL }, { "experts.2.w3.weight' is missing" } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = { 0 };
        struct weights_list *l = list_of(models[cases[i].model]);
        struct store a = new_store(l, true);
        assert_int_equal(weights_save(l, in_dir("good.safetensors"), ST_F32, source, &a, NULL, 0, NULL, NULL, NULL), 0);
        struct safetensors *good = open_file(in_dir("good.safetensors"));
        rewrite(good, in_dir("changed.safetensors"), &cases[i].change);
        struct safetensors *st = open_file(in_dir("changed.safetensors"));
        const int rc = weights_check(l, st, &err);
        assert_int_equal(rc, weights_load(l, st, place, &a, NULL));
        if (!cases[i].says[0] && rc)
            fail_msg("%s", err.msg);
        if (cases[i].says[0] && !rc)
            fail_msg("accepted, expected: %s", cases[i].says[0]);
        for (int k = 0; k < 3 && cases[i].says[k]; k++)
            if (!strstr(err.msg, cases[i].says[k]))
                fail_msg("says: %s\nlacks: %s", err.msg, cases[i].says[k]);
        safetensors_free(st);
        safetensors_free(good);
        free_store(&a);
        weights_list_free(l);
    }
}

static void several_missing_tensors_are_counted(void **state)
{
    (void)state;
    struct err err;
    struct weights_list *small = list_of(models[2]), *big = list_of(models[3]);
    struct store a = new_store(small, true);
    assert_int_equal(weights_save(small, in_dir("m.safetensors"), ST_F32, source, &a, NULL, 0, NULL, NULL, NULL), 0);
    struct safetensors *st = open_file(in_dir("m.safetensors"));
    struct weights_list *moe = list_of(models[5]);
    assert_int_equal(weights_check(moe, st, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "tensor 'model.layers.0.self_attn.q_norm.weight' and 23 more are missing"));
    safetensors_free(st);
    free_store(&a);
    weights_list_free(small);
    weights_list_free(big);
    weights_list_free(moe);
}

/* Old GPT-2 files have no "transformer." in front. */
/* How a file of this model may call what we write as `name`. */
static void renamed(char out[200], int model, const char *name)
{
    const char *dot;
    if (model == GPT2_UNTIED)
        snprintf(out, 200, "%s", strncmp(name, "transformer.", 12) ? name : name + 12);
    else
        snprintf(out, 200, "%s.%s", model == BERT ? "bert" : "roberta", name);
    if (model == BERT && strstr(out, "LayerNorm.") && (dot = strrchr(out, '.')))
        strcpy(out + (dot - out), !strcmp(dot, ".weight") ? ".gamma" : ".beta");
}

static void check_renamed(int model)
{
    struct err err = { 0 };
    struct weights_list *l = list_of(models[model]);
    struct store a = new_store(l, true), b = new_store(l, false);
    assert_int_equal(weights_save(l, in_dir("m.safetensors"), ST_F32, source, &a, NULL, 0, NULL, NULL, NULL), 0);
    struct safetensors *st = open_file(in_dir("m.safetensors"));
    struct st_decl *d = calloc((size_t)st->n_tensor, sizeof *d);
    char (*name)[200] = calloc((size_t)st->n_tensor, sizeof *name);
    for (int i = 0; i < st->n_tensor; i++) {
        renamed(name[i], model, st->tensor[i].name);
        d[i] = (struct st_decl){ name[i], ST_F32, st->tensor[i].rank, { 0 } };
        memcpy(d[i].shape, st->tensor[i].shape, sizeof d[i].shape);
    }
    struct st_writer *w;
    assert_int_equal(st_writer_new(&w, in_dir("bare.safetensors"), d, st->n_tensor, NULL, 0, NULL), 0);
    for (int i = 0; i < st->n_tensor; i++)
        assert_int_equal(st_writer_add(w, i, st->tensor[i].data, st->tensor[i].end - st->tensor[i].begin, NULL), 0);
    assert_int_equal(st_writer_commit(w, NULL), 0);
    st_writer_free(w);
    free(d);
    free(name);
    safetensors_free(st);
    st = open_file(in_dir("bare.safetensors"));
    if (weights_load(l, st, place, &b, &err))
        fail_msg("%s", err.msg);
    for (int i = 0; i < l->n_weight; i++)
        assert_memory_equal(a.w[i], b.w[i], (size_t)l->weight[i].n * 4);
    safetensors_free(st);
    free_store(&a);
    free_store(&b);
    weights_list_free(l);
}

static void other_names_of_the_same_tensors_are_found(void **state)
{
    (void)state;
    check_renamed(GPT2_UNTIED);          /* without its prefix */
    check_renamed(BERT);                 /* with one, and TensorFlow's names of norms */
    check_renamed(ROBERTA);
}

/* ---- models made by an independent implementation ---- */

/* ---- divided between processes ---- */

/* Every element of a divided weight is held by one process, of the others by all; what is taken is put back where it was. */
static void parts_are_the_whole(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_MODEL; m++) {
        struct weights_list *l = list_of(models[m]);
        for (int n = 1; n <= 4; n++)
            for (int i = 0; i < 2 * l->n_weight; i++) {
                const struct weight *w = &l->weight[i / 2];
                int64_t *whole = mem_alloc_array((size_t)w->n, sizeof *whole), *back = mem_alloc_array((size_t)w->n, sizeof *back), *held = mem_alloc_array((size_t)w->n, sizeof *held);
                int *times = mem_alloc_array((size_t)w->n, sizeof *times);
                assert_true(whole && back && held && times);
                bool part = false;
                for (int64_t k = 0; k < w->n; k++)
                    whole[k] = k, back[k] = -1, times[k] = 0;
                for (int p = 0; p < n; p++) {
                    const struct weight_held h = weight_held(l, w, &(struct division){ .by = i % 2 ? DIVIDE_EXPERTS : DIVIDE_LAYERS, .n = n, .i = p });
                    int64_t product = 1;
                    for (int j = 0; j < w->rank; j++)
                        product *= h.shape[j];
                    assert_int_equal(h.n, product);
                    assert_true(h.part || !memcmp(h.shape, w->shape, sizeof h.shape));
                    part = h.part;
                    weight_take(&h, whole, held, sizeof *held);
                    for (int64_t k = 0; k < h.n; k++) {
                        assert_int_equal(held[k], weight_whole(&h, k));
                        times[held[k]]++;
                    }
                    weight_put(&h, held, back, sizeof *held);
                }
                assert_memory_equal(whole, back, (size_t)w->n * sizeof *whole);
                for (int64_t k = 0; k < w->n; k++)
                    assert_int_equal(times[k], part ? 1 : n);
                mem_free(whole);
                mem_free(back);
                mem_free(held);
                mem_free(times);
            }
        weights_list_free(l);
    }
}

/* Of devices all have the same shape; what is behind a share stays as it was, and the shares are the whole. */
static void shares_of_devices_are_the_whole(void **state)
{
    (void)state;
    static const int of[] = { 3, 6, 13, 18 };
    for (size_t m = 0; m < sizeof of / sizeof *of; m++)
        for (int grain = 1; grain <= 4; grain += 3) {
            struct weights_list *l = list_of(models[of[m]]);
            for (int i = 0; i < l->n_weight; i++) {
                const struct weight *w = &l->weight[i];
                const struct weight_held first = weight_held(l, w, &(struct division){ .by = DIVIDE_DEVICES, .n = 2, .grain = grain });
                int *whole = mem_alloc_array((size_t)w->n, sizeof *whole), *back = mem_alloc_array((size_t)w->n, sizeof *back), *held = mem_alloc_array((size_t)first.n, sizeof *held);
                int64_t n = 0;
                assert_true(whole && back && held);
                for (int64_t k = 0; k < w->n; k++)
                    whole[k] = (int)k + 1;
                for (int p = 0; p < 2; p++) {
                    const struct weight_held h = weight_held(l, w, &(struct division){ .by = DIVIDE_DEVICES, .n = 2, .i = p, .grain = grain });
                    assert_memory_equal(h.shape, first.shape, sizeof h.shape);
                    assert_int_equal(h.n, first.n);
                    memset(held, 0, (size_t)h.n * sizeof *held);
                    weight_take(&h, whole, held, sizeof *held);
                    for (int64_t k = 0; k < h.n; k++)
                        n += held[k] > 0;
                    weight_put(&h, held, back, sizeof *held);
                }
                assert_memory_equal(whole, back, (size_t)w->n * sizeof *whole);
                assert_int_equal(n, first.part ? w->n : 2 * w->n);
                mem_free(whole);
                mem_free(back);
                mem_free(held);
            }
            weights_list_free(l);
        }
}

static void parts_are_heads_rows_columns_or_experts(void **state)
{
    (void)state;
    static const struct { int model; const char *name; enum divide by; int i; int64_t shape[3], k, whole; } cases[] = {      /* of two processes */
        { 3, "0.qkv.w", DIVIDE_LAYERS, 1, { 18, 4 }, 0, 6 * 4 }, { 3, "0.qkv.w", DIVIDE_LAYERS, 1, { 18, 4 }, 6 * 4 + 1, (12 + 6) * 4 + 1 },
        { 3, "0.qkv.w", DIVIDE_LAYERS, 0, { 18, 4 }, 12 * 4, 24 * 4 }, { 3, "0.o.w", DIVIDE_LAYERS, 1, { 4, 6 }, 6, 12 + 6 },
        { 3, "1.gate_up.w", DIVIDE_LAYERS, 1, { 6, 4 }, 3 * 4, (6 + 3) * 4 }, { 3, "1.down.w", DIVIDE_LAYERS, 1, { 4, 3 }, 4, 6 + 3 + 1 },
        { 3, "embed", DIVIDE_LAYERS, 1, { 4, 4 }, 4, 4 * 4 }, { 6, "0.qkv.b", DIVIDE_LAYERS, 1, { 6 }, 2, 4 + 2 }, { 6, "0.o.b", DIVIDE_LAYERS, 1, { 4 }, 2, 2 }, { 6, "0.up.b", DIVIDE_LAYERS, 1, { 3 }, 0, 3 },
        { 4, "1.experts.gate_up.w", DIVIDE_EXPERTS, 0, { 1, 12, 4 }, 5, 5 }, { 4, "1.experts.gate_up.w", DIVIDE_EXPERTS, 1, { 2, 12, 4 }, 50, 48 + 50 },
        { 14, "0.experts.down.b", DIVIDE_EXPERTS, 1, { 2, 4 }, 5, 4 + 5 }, { 4, "1.router.w", DIVIDE_EXPERTS, 1, { 3, 4 }, 7, 7 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weights_list *l = list_of(models[cases[i].model]);
        const struct weight_held h = weight_held(l, weight_of(l, cases[i].name), &(struct division){ .by = cases[i].by, .n = 2, .i = cases[i].i });
        assert_memory_equal(h.shape, cases[i].shape, sizeof h.shape);
        assert_int_equal(weight_whole(&h, cases[i].k), cases[i].whole);
        weights_list_free(l);
    }
}

static void golden_models_are_loaded(void **state)
{
    (void)state;
    static const char *const names[] = { "gpt2", "llama", "mixtral", "olmoe", "lathe_gpt", "lathe_gpt_moe" };
    if (!file_is_dir("tests/golden")) {
        print_message("no tests/golden in the current folder\n");
        skip();
    }
    for (size_t m = 0; m < sizeof names / sizeof *names; m++) {
        char path[100];
        snprintf(path, sizeof path, "tests/golden/%s", names[m]);
        struct buf warnings;
        buf_init(&warnings);
        struct err err = { 0 };
        struct config c;
        struct weights_list *l = NULL;
        struct safetensors *st = NULL;
        if (config_load(&c, path, &warnings, &err) || weights_list_new(&l, &c, &err) || safetensors_open(&st, path, &err))
            fail_msg("%s", err.msg);
        for (const char *line = warnings.data; *line; line = strchr(line, '\n') + 1)
            if (!strstr(line, "left out in training"))
                fail_msg("%s", line);
        struct store s = new_store(l, false);
        if (weights_load(l, st, place, &s, &err))
            fail_msg("%s", err.msg);
        for (int i = 0; i < l->n_weight; i++)
            for (int64_t k = 0; k < l->weight[i].n; k++)
                if (!isfinite(s.w[i][k]))
                    fail_msg("%s: %s[%lld] is not finite", path, l->weight[i].name, (long long)k);
        free_store(&s);
        safetensors_free(st);
        weights_list_free(l);
        buf_release(&warnings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_has_the_parameters_that_the_config_counts),
        cmocka_unit_test(weights_have_their_shapes_and_parts),
        cmocka_unit_test(ends_of_residual_branches_start_smaller),
        cmocka_unit_test(a_saved_model_is_loaded_back_bit_for_bit),
        cmocka_unit_test(conv1d_of_gpt2_is_turned),
        cmocka_unit_test(a_number_that_becomes_infinite_is_not_written),
        cmocka_unit_test(doubles_are_named_where_they_are_no_weights),
        cmocka_unit_test(a_weight_without_a_place_is_passed_over),
        cmocka_unit_test(each_difference_is_named),
        cmocka_unit_test(several_missing_tensors_are_counted),
        cmocka_unit_test(other_names_of_the_same_tensors_are_found),
        cmocka_unit_test(golden_models_are_loaded),
        cmocka_unit_test(parts_are_the_whole), cmocka_unit_test(shares_of_devices_are_the_whole),
        cmocka_unit_test(parts_are_heads_rows_columns_or_experts),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
