/* test_config.c - config.json of each family is read with Hugging Face's defaults, counted as published, refused when it
 * asks for what we do not compute, and written so that it reads back the same. */
#include <math.h>
#include <unistd.h>
#include "../test.h"
#include "base/buf.h"
#include "model/config.h"

/* As published with the models. */
static const char gpt2[] =
    "{\"activation_function\":\"gelu_new\",\"architectures\":[\"GPT2LMHeadModel\"],\"attn_pdrop\":0.1,\"bos_token_id\":50256,"
    "\"embd_pdrop\":0.1,\"eos_token_id\":50256,\"initializer_range\":0.02,\"layer_norm_epsilon\":1e-05,\"model_type\":\"gpt2\","
    "\"n_ctx\":1024,\"n_embd\":768,\"n_head\":12,\"n_layer\":12,\"n_positions\":1024,\"resid_pdrop\":0.1,\"summary_activation\":null,"
    "\"summary_first_dropout\":0.1,\"summary_proj_to_labels\":true,\"summary_type\":\"cls_index\",\"summary_use_proj\":true,"
    "\"task_specific_params\":{\"text-generation\":{\"do_sample\":true,\"max_length\":50}},\"vocab_size\":50257}";
#define LLAMA31 \
    "{\"architectures\":[\"LlamaForCausalLM\"],\"attention_bias\":false,\"attention_dropout\":0.0,\"bos_token_id\":128000," \
    "\"eos_token_id\":[128001,128008,128009],\"hidden_act\":\"silu\",\"hidden_size\":4096,\"initializer_range\":0.02," \
    "\"intermediate_size\":14336,\"max_position_embeddings\":131072,\"mlp_bias\":false,\"model_type\":\"llama\"," \
    "\"num_attention_heads\":32,\"num_hidden_layers\":32,\"num_key_value_heads\":8,\"pretraining_tp\":1,\"rms_norm_eps\":1e-05," \
    "\"rope_theta\":500000.0,\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\",\"transformers_version\":\"4.43.0.dev0\"," \
    "\"use_cache\":true,\"vocab_size\":128256,\"rope_scaling\":"
static const char llama31[] = LLAMA31 "{\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
                                      "\"original_max_position_embeddings\":8192,\"rope_type\":\"llama3\"}}";
static const char llama31_unscaled[] = LLAMA31 "null}";
static const char mixtral[] =
    "{\"architectures\":[\"MixtralForCausalLM\"],\"attention_dropout\":0.0,\"bos_token_id\":1,\"eos_token_id\":2,\"hidden_act\":\"silu\","
    "\"hidden_size\":4096,\"initializer_range\":0.02,\"intermediate_size\":14336,\"max_position_embeddings\":32768,"
    "\"model_type\":\"mixtral\",\"num_attention_heads\":32,\"num_experts_per_tok\":2,\"num_hidden_layers\":32,\"num_key_value_heads\":8,"
    "\"num_local_experts\":8,\"output_router_logits\":false,\"rms_norm_eps\":1e-05,\"rope_theta\":1000000.0,"
    "\"router_aux_loss_coef\":0.02,\"sliding_window\":null,\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\","
    "\"transformers_version\":\"4.36.0.dev0\",\"use_cache\":true,\"vocab_size\":32000}";
static const char olmoe[] =
    "{\"architectures\":[\"OlmoeForCausalLM\"],\"attention_bias\":false,\"attention_dropout\":0.0,\"clip_qkv\":null,\"eos_token_id\":50279,"
    "\"hidden_act\":\"silu\",\"hidden_size\":2048,\"initializer_range\":0.02,\"intermediate_size\":1024,\"max_position_embeddings\":4096,"
    "\"model_type\":\"olmoe\",\"norm_topk_prob\":false,\"num_attention_heads\":16,\"num_experts\":64,\"num_experts_per_tok\":8,"
    "\"num_hidden_layers\":16,\"num_key_value_heads\":16,\"output_router_logits\":false,\"pad_token_id\":1,\"rms_norm_eps\":1e-05,"
    "\"rope_scaling\":null,\"rope_theta\":10000.0,\"router_aux_loss_coef\":0.01,\"tie_word_embeddings\":false,"
    "\"torch_dtype\":\"bfloat16\",\"transformers_version\":\"4.43.0.dev0\",\"use_cache\":true,\"vocab_size\":50304}";
static const char modernbert[] =          /* as published with the base model */
    "{\"architectures\":[\"ModernBertForMaskedLM\"],\"attention_bias\":false,\"attention_dropout\":0.0,\"bos_token_id\":50281,\"classifier_activation\":\"gelu\","
    "\"classifier_bias\":false,\"classifier_dropout\":0.0,\"classifier_pooling\":\"mean\",\"cls_token_id\":50281,\"decoder_bias\":true,"
    "\"deterministic_flash_attn\":false,\"embedding_dropout\":0.0,\"eos_token_id\":50282,\"global_attn_every_n_layers\":3,\"global_rope_theta\":160000.0,"
    "\"gradient_checkpointing\":false,\"hidden_activation\":\"gelu\",\"hidden_size\":768,\"initializer_cutoff_factor\":2.0,\"initializer_range\":0.02,"
    "\"intermediate_size\":1152,\"layer_norm_eps\":1e-05,\"local_attention\":128,\"local_rope_theta\":10000.0,\"max_position_embeddings\":8192,\"mlp_bias\":false,"
    "\"mlp_dropout\":0.0,\"model_type\":\"modernbert\",\"norm_bias\":false,\"norm_eps\":1e-05,\"num_attention_heads\":12,\"num_hidden_layers\":22,\"pad_token_id\":50283,"
    "\"position_embedding_type\":\"absolute\",\"sep_token_id\":50282,\"tie_word_embeddings\":true,\"torch_dtype\":\"float32\",\"transformers_version\":\"4.47.0.dev0\","
    "\"vocab_size\":50368}";
#define MODERN "{\"model_type\":\"modernbert\",\"vocab_size\":9,\"hidden_size\":8,\"num_hidden_layers\":4,\"num_attention_heads\":2,\"intermediate_size\":12,\"max_position_embeddings\":64"
#define OURS \
    "{\"model_type\":\"lathe_gpt\",\"vocab_size\":96,\"hidden_size\":32,\"num_hidden_layers\":2,\"num_attention_heads\":4," \
    "\"max_position_embeddings\":64,\"intermediate_size\":64"
#define OURS_MOE OURS ",\"num_experts\":4,\"num_experts_per_tok\":2"

static struct config parse(const char *text, struct buf *warnings)
{
    struct config c;
    struct err err = { 0 };
    if (config_parse(&c, text, strlen(text), "config.json", warnings, &err))
        fail_msg("%s\n%s", text, err.msg);
    return c;
}

/* ---- counts ---- */

static void parameters_are_counted_as_published(void **state)
{
    (void)state;
    static const struct { const char *text; int64_t total, active; } cases[] = {
        { gpt2, 124439808, 124439808 },
        { llama31_unscaled, 8030261248, 8030261248 },
        { mixtral, 46702792704, 12879925248 },      /* 46.7B, 12.9B */
        { olmoe, 6919161856, 1282017280 },          /* 6.92B, 1.28B */
        { modernbert, 149014272, 0 },              /* 149M */
        /* embed 96*32, 2 layers of attention 4*32^2, swiglu 3*32*64 and two gains, norm, head */
        { OURS "}", 96 * 32 * 2 + 2 * (4 * 32 * 32 + 3 * 32 * 64 + 64) + 32, 0 },
        { OURS ",\"act\":\"gelu\",\"norm\":\"layernorm\",\"norm_bias\":true,\"linear_bias\":true,\"pos\":\"learned\",\"tie_word_embeddings\":true}",
          96 * 32 + 64 * 32 + 2 * (4 * (32 * 32 + 32) + 2 * 32 * 64 + 64 + 32 + 4 * 32) + 64, 0 },
        { OURS ",\"num_key_value_heads\":2,\"head_dim\":6,\"qk_norm\":\"head\"}",
          96 * 32 * 2 + 2 * (32 * 8 * 6 + 4 * 6 * 32 + 2 * 6 + 3 * 32 * 64 + 64) + 32, 0 },
        { OURS_MOE ",\"moe_intermediate_size\":16,\"qk_norm\":\"full\"}",
          96 * 32 * 2 + 2 * (4 * 32 * 32 + 64 + 4 * 32 + 4 * 3 * 32 * 16 + 64) + 32,
          96 * 32 * 2 + 2 * (4 * 32 * 32 + 64 + 4 * 32 + 2 * 3 * 32 * 16 + 64) + 32 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct config c = parse(cases[i].text, NULL);
        int64_t total, active;
        config_params(&c, &total, &active);
        assert_int_equal(total, cases[i].total);
        if (c.n_expert)
            assert_int_equal(active, cases[i].active);
        else
            assert_int_equal(active, total);
    }
}

/* ---- reading ---- */

static void real_files_are_understood_to_the_last_key(void **state)
{
    (void)state;
    struct buf w;
    buf_init(&w);
    struct config c = parse(gpt2, &w);
    assert_string_equal(w.data, "config.json: attn_pdrop: dropout of attention probabilities (0.1) is not implemented and is left out in training\n");
    assert_true(c.family == FAMILY_GPT2 && c.norm == NORM_LAYER && c.norm_bias && c.qkv_bias && c.o_bias && c.mlp_bias && c.act == ACT_GELU_TANH &&
                c.pos == POS_LEARNED && c.tie_embeddings && c.d_ff == 3072 && c.n_kv_head == 12 && c.d_head == 64 && c.norm_eps == 1e-5 &&
                c.dropout == 0.1 && c.bos_id == 50256 && c.n_eos == 1 && c.eos_id[0] == 50256 && c.dtype == ST_F32);
    buf_clear(&w);
    c = parse(llama31_unscaled, &w);
    assert_int_equal(w.len, 0);
    assert_true(c.family == FAMILY_LLAMA && c.norm == NORM_RMS && !c.norm_bias && !c.qkv_bias && !c.o_bias && !c.mlp_bias && c.act == ACT_SWIGLU && c.pos == POS_ROPE &&
                c.rope.theta == 500000 && c.n_kv_head == 8 && c.d_head == 128 && c.n_eos == 3 && c.eos_id[2] == 128009 &&
                c.dtype == ST_BF16 && !c.n_expert && c.qk_norm == QK_NORM_NONE && c.ctx == 131072);
    c = parse(mixtral, &w);
    assert_int_equal(w.len, 0);
    assert_true(c.family == FAMILY_MIXTRAL && c.n_expert == 8 && c.top_k == 2 && c.d_ff_expert == 14336 && c.d_ff == 0 && c.norm_topk &&
                c.aux_loss == 0.02 && c.rope.theta == 1e6);
    c = parse(olmoe, &w);
    assert_int_equal(w.len, 0);
    assert_true(c.family == FAMILY_OLMOE && c.n_expert == 64 && c.top_k == 8 && c.d_ff_expert == 1024 && !c.norm_topk &&
                c.qk_norm == QK_NORM_FULL && c.bos_id == -1 && c.n_eos == 1 && c.eos_id[0] == 50279);
    c = parse(modernbert, &w);
    assert_int_equal(w.len, 0);
    assert_true(c.family == FAMILY_MODERNBERT && c.encoder && c.act == ACT_GEGLU && c.window == 65 && c.rope.theta == 160000 && c.rope_local_theta == 10000 && c.norm == NORM_LAYER &&
                c.place == PLACE_BEFORE && !c.norm_bias && !c.qkv_bias && !c.layer[0] && c.layer[1] == LAYER_WINDOW && c.layer[2] == LAYER_WINDOW && !c.layer[3] && !c.layer[21]);
    buf_release(&w);
}

static void absent_keys_have_the_defaults_of_their_family(void **state)
{
    (void)state;
    struct config c = parse("{\"model_type\":\"gpt2\",\"n_inner\":null}", NULL);
    assert_true(c.vocab_size == 50257 && c.ctx == 1024 && c.d_model == 768 && c.n_layer == 12 && c.n_head == 12 && c.d_ff == 3072 &&
                c.norm_eps == 1e-5 && c.tie_embeddings && c.act == ACT_GELU_TANH && c.dropout == 0.1 && c.init_std == 0.02);
    c = parse("{\"model_type\":\"llama\"}", NULL);
    assert_true(c.vocab_size == 32000 && c.d_model == 4096 && c.d_ff == 11008 && c.n_layer == 32 && c.n_head == 32 && c.n_kv_head == 32 &&
                c.d_head == 128 && c.ctx == 2048 && c.norm_eps == 1e-6 && c.rope.theta == 10000 && !c.tie_embeddings && c.bos_id == 1 &&
                c.eos_id[0] == 2);
    c = parse("{\"model_type\":\"mixtral\"}", NULL);
    assert_true(c.n_kv_head == 8 && c.d_ff_expert == 14336 && c.ctx == 131072 && c.norm_eps == 1e-5 && c.rope.theta == 1e6 && c.n_expert == 8 &&
                c.top_k == 2 && c.aux_loss == 0.001);
    c = parse("{\"model_type\":\"olmoe\"}", NULL);
    assert_true(c.vocab_size == 50304 && c.d_model == 2048 && c.d_ff_expert == 2048 && c.n_layer == 16 && c.n_kv_head == 16 &&
                c.norm_eps == 1e-5 && c.rope.theta == 10000 && c.aux_loss == 0.01 && !c.norm_topk && c.bos_id == -1);
    c = parse(OURS "}", NULL);
    assert_true(c.norm == NORM_RMS && c.act == ACT_SWIGLU && c.pos == POS_ROPE && c.n_kv_head == 4 && c.d_head == 8 && !c.tie_embeddings &&
                c.rope.theta == 10000 && c.n_expert == 0 && c.d_ff_expert == 0);
    c = parse(OURS_MOE "}", NULL);
    assert_true(c.norm_topk && c.d_ff_expert == 64 && c.top_k == 2);
    c = parse("{\"model_type\":\"mixtral\",\"num_key_value_heads\":null}", NULL);
    assert_int_equal(c.n_kv_head, 8);
}

static void newer_spellings_are_read(void **state)
{
    (void)state;
    struct buf w;
    buf_init(&w);
    struct config c = parse("{\"model_type\":\"llama\",\"dtype\":\"bfloat16\",\"rope_parameters\":{\"rope_theta\":500000.0,\"rope_type\":\"default\"},"
                            "\"head_dim\":96,\"sliding_window\":4096,\"max_position_embeddings\":4096,\"num_hidden_layers\":2,\"layer_types\":[\"full_attention\",\"full_attention\"]}", &w);
    assert_true(c.dtype == ST_BF16 && c.rope.theta == 500000 && c.d_head == 96);
    c = parse("{\"model_type\":\"mixtral\",\"sliding_window\":4096,\"use_sliding_window\":false}", &w);
    assert_int_equal(w.len, 0);
    c = parse("{\"model_type\":\"gpt2\",\"resid_pdrop\":0,\"embd_pdrop\":0.2,\"attn_pdrop\":0,\"col\\u001bour\":\"blue\"}", &w);
    assert_string_equal(w.data, "config.json: embd_pdrop: 0.2 differs from resid_pdrop 0, which is used for both in training\n"
                                "config.json: col?our: unknown key, not used\n");
    buf_clear(&w);
    c = parse(MODERN ",\"layer_types\":[\"sliding_attention\",\"full_attention\",\"full_attention\",\"sliding_attention\"],\"local_attention\":7,"
              "\"rope_parameters\":{\"full_attention\":{\"rope_theta\":70,\"rope_type\":\"default\"},\"sliding_attention\":{\"rope_theta\":50,\"rope_type\":\"default\"}}}", &w);
    assert_int_equal(w.len, 0);
    assert_true(c.window == 4 && c.rope.theta == 70 && c.rope_local_theta == 50 && c.layer[0] == LAYER_WINDOW && !c.layer[1] && !c.layer[2] && c.layer[3] == LAYER_WINDOW);
    c = parse(MODERN ",\"global_attn_every_n_layers\":1,\"local_rope_theta\":null}", &w);
    assert_true(!c.window && !c.layer[1] && c.rope_local_theta == 0 && !w.len);
    buf_release(&w);
}

/* ---- refused ---- */

static void each_unusable_config_is_refused_with_its_reason(void **state)
{
    (void)state;
    static const struct { const char *text; int code; const char *says[2]; } cases[] = {
        { "[]", ERR_FORMAT, { "found no object" } },
        { "{", ERR_FORMAT, { "config.json:1" } },
        { "{}", ERR_FORMAT, { "no model_type", "gpt2 gpt_neox llama mistral mixtral" } },
        { "{\"model_type\":\"mamba\"}", ERR_UNSUPPORTED, { "model_type is 'mamba'", "gpt2 gpt_neox llama mistral mixtral" } },
        { "{\"model_type\":1}", ERR_FORMAT, { "model_type" } },
        { "{\"model_type\":\"llama\",\"model_type\":\"llama\"}", ERR_FORMAT, { "duplicate" } },
        { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"cubic\",\"factor\":2.0}}", ERR_UNSUPPORTED, { "rope_scaling of type 'cubic'", "llama3" } },
        { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"linear\"}}", ERR_FORMAT, { "found no factor", "linear" } },
        { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}}", ERR_RANGE, { "rope_scaling.factor is 0" } },
        { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.0,\"phase\":1}}", ERR_UNSUPPORTED, { "rope_scaling.phase" } },
        { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1],\"long_factor\":[1]}}", ERR_FORMAT, { "differ in length" } },
        { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1],\"long_factor\":[1,1]}}", ERR_FORMAT, { "short_factor and long_factor have 2 numbers", "64" } },
        { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,\"x\"],\"long_factor\":[1,1]}}", ERR_FORMAT, { "short_factor[1]" } },
        { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4}}", ERR_FORMAT, { "high_freq_factor is 4" } },
        { "{\"model_type\":\"llama\",\"rope_scaling\":2}", ERR_FORMAT, { "rope_scaling is not an object" } },
        { "{\"model_type\":\"llama\",\"rope_parameters\":{\"rope_type\":\"yarn\",\"beta_fast\":-1}}", ERR_RANGE, { "rope_parameters.beta_fast" } },
        { "{\"model_type\":\"llama\",\"rope_theta\":1e4,\"rope_parameters\":{\"rope_theta\":1e6}}", ERR_FORMAT, { "expected one number" } },
        { "{\"model_type\":\"mixtral\",\"attention_bias\":true}", ERR_UNSUPPORTED, { "attention_bias", "expected false" } },
        { "{\"model_type\":\"mixtral\",\"mlp_bias\":true}", ERR_UNSUPPORTED, { "mlp_bias" } },
        { "{\"model_type\":\"llama\",\"partial_rotary_factor\":0.01}", ERR_FORMAT, { "hidden_size / num_attention_heads, partial_rotary_factor: 1 numbers of a head turn" } },
        { "{\"model_type\":\"llama\",\"partial_rotary_factor\":1.5}", ERR_RANGE, { "partial_rotary_factor is 1.5" } },
        { MODERN ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}", ERR_UNSUPPORTED, { "rope_scaling is linear, modernbert has default" } },
        { MODERN ",\"hidden_activation\":\"relu\"}", ERR_UNSUPPORTED, { "hidden_activation is 'relu'", "gelu" } },
        { MODERN ",\"local_attention\":-1}", ERR_RANGE, { "local_attention" } },
        { "{\"model_type\":\"llama\",\"hidden_act\":\"relu\"}", ERR_UNSUPPORTED, { "hidden_act is 'relu'", "silu" } },
        { "{\"model_type\":\"llama\",\"final_logit_softcapping\":30.0}", ERR_UNSUPPORTED, { "final_logit_softcapping", "soft cap" } },
        { "{\"model_type\":\"llama\",\"attn_logit_softcapping\":50.0}", ERR_UNSUPPORTED, { "attn_logit_softcapping" } },
        { "{\"model_type\":\"llama\",\"auto_map\":{\"AutoModel\":\"x.Y\"}}", ERR_UNSUPPORTED, { "auto_map", "Python code" } },
        { "{\"model_type\":\"llama\",\"torch_dtype\":\"float8_e4m3fn\"}", ERR_UNSUPPORTED, { "torch_dtype is 'float8_e4m3fn'" } },
        { "{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"layer_types\":[\"full_attention\",\"sliding_attention\"]}", ERR_UNSUPPORTED, { "layer_types[1] is 'sliding_attention'" } },
        { "{\"model_type\":\"llama\",\"layer_types\":3}", ERR_FORMAT, { "layer_types" } },
        { "{\"model_type\":\"llama\",\"sliding_window\":1024}", ERR_UNSUPPORTED, { "sliding_window is 1024", "2048" } },
        { "{\"model_type\":\"llama\",\"layer_types\":[\"full_attention\"]}", ERR_FORMAT, { "layer_types has 1 entries", "32 layers" } },
        { "{\"model_type\":\"mixtral\",\"clip_qkv\":8.0}", ERR_UNSUPPORTED, { "clip_qkv", "expected null" } },
        { "{\"model_type\":\"olmoe\",\"clip_qkv\":-8.0}", ERR_RANGE, { "clip_qkv is -8" } },
        { "{\"model_type\":\"olmoe\",\"head_dim\":64}", ERR_UNSUPPORTED, { "num_attention_heads is 16 and head_dim 64", "hidden_size, 2048" } },
        { "{\"model_type\":\"gpt2\",\"scale_attn_weights\":false}", ERR_UNSUPPORTED, { "scale_attn_weights" } },
        { "{\"model_type\":\"gpt2\",\"scale_attn_by_inverse_layer_idx\":true}", ERR_UNSUPPORTED, { "scale_attn_by_inverse_layer_idx" } },
        { "{\"model_type\":\"gpt2\",\"add_cross_attention\":true}", ERR_UNSUPPORTED, { "add_cross_attention" } },
        { "{\"model_type\":\"gpt2\",\"activation_function\":\"relu\"}", ERR_UNSUPPORTED, { "activation_function is 'relu'", "gelu_new, gelu_pytorch_tanh, gelu" } },
        { "{\"model_type\":\"gpt2\",\"n_head\":7}", ERR_FORMAT, { "n_head is 7, expected a divisor of n_embd, 768" } },
        { "{\"model_type\":\"llama\",\"num_attention_heads\":24}", ERR_FORMAT, { "num_attention_heads is 24, expected a divisor of hidden_size, 4096" } },
        { "{\"model_type\":\"llama\",\"num_key_value_heads\":5}", ERR_FORMAT, { "num_key_value_heads is 5, expected a divisor of num_attention_heads, 32" } },
        { "{\"model_type\":\"llama\",\"num_key_value_heads\":0}", ERR_RANGE, { "num_key_value_heads is 0" } },
        { "{\"model_type\":\"llama\",\"num_key_value_heads\":-1}", ERR_RANGE, { "num_key_value_heads is -1" } },
        { "{\"model_type\":\"llama\",\"head_dim\":65}", ERR_FORMAT, { "head_dim: 65 numbers of a head turn", "even" } },
        { "{\"model_type\":\"llama\",\"num_attention_heads\":0}", ERR_RANGE, { "num_attention_heads is 0" } },
        { "{\"model_type\":\"llama\",\"hidden_size\":4294967296}", ERR_RANGE, { "hidden_size is 4294967296" } },
        { "{\"model_type\":\"llama\",\"hidden_size\":\"4096\"}", ERR_FORMAT, { "hidden_size is a string" } },
        { "{\"model_type\":\"llama\",\"hidden_size\":4096.0}", ERR_FORMAT, { "hidden_size is a number", "whole" } },
        { "{\"model_type\":\"llama\",\"intermediate_size\":0}", ERR_RANGE, { "intermediate_size is 0" } },
        { "{\"model_type\":\"llama\",\"num_hidden_layers\":1000000}", ERR_RANGE, { "num_hidden_layers" } },
        { "{\"model_type\":\"llama\",\"vocab_size\":-5}", ERR_RANGE, { "vocab_size is -5" } },
        { "{\"model_type\":\"llama\",\"max_position_embeddings\":0}", ERR_RANGE, { "max_position_embeddings is 0" } },
        { "{\"model_type\":\"llama\",\"rms_norm_eps\":0}", ERR_RANGE, { "rms_norm_eps is 0" } },
        { "{\"model_type\":\"llama\",\"rope_theta\":-1}", ERR_RANGE, { "rope_theta is -1" } },
        { "{\"model_type\":\"llama\",\"bos_token_id\":32000}", ERR_RANGE, { "bos_token_id is 32000" } },
        { "{\"model_type\":\"llama\",\"eos_token_id\":[2,40000]}", ERR_RANGE, { "eos_token_id is 40000" } },
        { "{\"model_type\":\"llama\",\"eos_token_id\":[\"x\"]}", ERR_FORMAT, { "eos_token_id is not a token id" } },
        { "{\"model_type\":\"llama\",\"eos_token_id\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", ERR_RANGE, { "17 ids" } },
        { "{\"model_type\":\"mixtral\",\"num_experts_per_tok\":9}", ERR_RANGE, { "num_experts_per_tok is 9, expected 1 to num_local_experts, 8" } },
        { "{\"model_type\":\"mixtral\",\"num_local_experts\":0}", ERR_RANGE, { "num_local_experts is 0" } },
        { "{\"model_type\":\"mixtral\",\"hidden_size\":131072,\"num_attention_heads\":1024,\"intermediate_size\":1048576,\"num_local_experts\":4096,\"num_hidden_layers\":1024}",
          ERR_RANGE, { "parameters, expected at most 2^48" } },
        { "{\"model_type\":\"lathe_gpt\"}", ERR_FORMAT, { "found no vocab_size" } },
        { "{\"model_type\":\"lathe_gpt\",\"vocab_size\":9,\"hiden_size\":8}", ERR_FORMAT, { "unknown key 'hiden_size'; did you mean 'hidden_size'?" } },
#define GEMMA2 "{\"model_type\":\"gemma2\",\"vocab_size\":9,\"hidden_size\":8,\"num_hidden_layers\":2,\"num_attention_heads\":2,\"intermediate_size\":8,\"head_dim\":4,\"max_position_embeddings\":64"
        { GEMMA2 "}", ERR_FORMAT, { "found no query_pre_attn_scalar" } },
        { GEMMA2 ",\"query_pre_attn_scalar\":4,\"use_bidirectional_attention\":true}", ERR_UNSUPPORTED, { "use_bidirectional_attention" } },
        { GEMMA2 ",\"query_pre_attn_scalar\":4,\"layer_types\":[\"full_attention\",\"chunked_attention\"]}", ERR_UNSUPPORTED, { "layer_types[1] is 'chunked_attention'" } },
        { GEMMA2 ",\"query_pre_attn_scalar\":4,\"sliding_window\":-1}", ERR_RANGE, { "sliding_window is -1" } },
        { GEMMA2 ",\"query_pre_attn_scalar\":4,\"sliding_window\":null,\"layer_types\":[\"full_attention\",\"sliding_attention\"]}", ERR_FORMAT, { "found no sliding_window" } },
#define DEEPSEEK "{\"model_type\":\"deepseek_v3\",\"vocab_size\":9,\"hidden_size\":8,\"num_hidden_layers\":4,\"num_attention_heads\":2,\"intermediate_size\":8,\"max_position_embeddings\":64," \
        "\"n_routed_experts\":8,\"num_experts_per_tok\":2,\"moe_intermediate_size\":4"
        { DEEPSEEK ",\"n_group\":3}", ERR_RANGE, { "n_group is 3", "n_routed_experts, 8" } },
        { DEEPSEEK ",\"n_group\":4,\"topk_group\":5}", ERR_RANGE, { "topk_group is 5, expected 1 to n_group, 4" } },
        { DEEPSEEK ",\"n_group\":4,\"topk_group\":2,\"scoring_func\":\"softmax\"}", ERR_UNSUPPORTED, { "scoring_func", "'sigmoid'" } },
        { DEEPSEEK ",\"n_group\":4,\"topk_group\":2,\"moe_layer_freq\":2}", ERR_UNSUPPORTED, { "moe_layer_freq", "expected 1" } },
        { DEEPSEEK ",\"n_group\":4,\"topk_group\":2,\"qk_rope_head_dim\":3}", ERR_FORMAT, { "qk_rope_head_dim: 3 numbers of a head turn" } },
        { "{\"model_type\":\"smollm3\",\"vocab_size\":9,\"hidden_size\":8,\"num_hidden_layers\":2,\"num_attention_heads\":2,\"intermediate_size\":8,\"max_position_embeddings\":64,\"no_rope_layers\":[1]}",
          ERR_FORMAT, { "no_rope_layers has 1 entries" } },
        { OURS ",\"num_experts\":2,\"num_experts_per_tok\":1,\"mlp_only_layers\":[2]}", ERR_FORMAT, { "mlp_only_layers[0] is not a layer" } },
        { OURS ",\"parallel_residual\":true,\"norm_place\":\"after\"}", ERR_UNSUPPORTED, { "parallel_residual is true, but norm_place is after" } },
        { OURS ",\"norm_bias\":true}", ERR_FORMAT, { "norm_bias", "rmsnorm" } },
        { OURS ",\"act\":\"relu\"}", ERR_UNSUPPORTED, { "act is 'relu'", "gelu, gelu_tanh, swiglu" } },
        { OURS ",\"dropout\":1.0}", ERR_RANGE, { "dropout is 1" } },
        { OURS ",\"num_experts\":4}", ERR_RANGE, { "num_experts_per_tok is 0" } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config c;
        struct err err = { 0 };
        const int rc = config_parse(&c, cases[i].text, strlen(cases[i].text), "config.json", NULL, &err);
        if (rc != cases[i].code)
            fail_msg("%s\n  gave %d (%s)", cases[i].text, rc, rc ? err.msg : "accepted");
        for (int k = 0; k < 2 && cases[i].says[k]; k++)
            if (!strstr(err.msg, cases[i].says[k]))
                fail_msg("%s\n  says: %s\n  lacks: %s", cases[i].text, err.msg, cases[i].says[k]);
    }
}

/* Whatever number of a file is made a wrong one, the message has its key. */
static void count_refusals(const char *where, json_t *root, json_t *o, int *n)
{
    static const double bad[] = { -1e9, -1, 0, 0.3, 1, 3, 7, 1000, 70000, 1e7, 1e9, 1e300 };
    void *next;
    const char *key;
    json_t *v;
    json_object_foreach_safe(o, next, key, v) {
        if (json_is_object(v))
            count_refusals(key, root, v, n);
        if (!json_is_number(v))
            continue;
        json_incref(v);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            struct config c;
            struct err err;
            json_object_set_new(o, key, json_is_real(v) ? json_real(bad[i]) : json_integer(bad[i] < 1e18 ? (json_int_t)bad[i] : (json_int_t)1 << 62));
            if (config_read(&c, root, "f", NULL, &err) == 0)
                continue;
            ++*n;
            if (!strstr(err.msg, key) && !strstr(err.msg, "parameters, expected at most 2^48"))
                fail_msg("%s: %s of %g gave: %s", where, key, bad[i], err.msg);
        }
        json_object_set_new(o, key, v);
    }
}

static void each_refused_number_is_named_by_its_key(void **state)
{
    (void)state;
    static const char *const texts[] = {
        gpt2, llama31, mixtral, olmoe, OURS_MOE ",\"dropout\":0.1,\"partial_rotary_factor\":0.5,\"sliding_window\":8,\"shared_expert_intermediate_size\":8}",
        GEMMA2 ",\"query_pre_attn_scalar\":4,\"sliding_window\":8,\"num_key_value_heads\":1}",
        DEEPSEEK ",\"n_group\":4,\"topk_group\":2,\"qk_rope_head_dim\":4,\"qk_nope_head_dim\":4,\"n_shared_experts\":1,\"first_k_dense_replace\":1}",
        "{\"model_type\":\"gpt_oss\",\"vocab_size\":9,\"hidden_size\":8,\"num_hidden_layers\":2,\"num_attention_heads\":2,\"head_dim\":4,\"intermediate_size\":8,"
        "\"num_local_experts\":4,\"experts_per_token\":2,\"sliding_window\":8}",
        "{\"model_type\":\"qwen3_moe\",\"vocab_size\":9,\"hidden_size\":8,\"num_hidden_layers\":2,\"num_attention_heads\":2,\"intermediate_size\":8,"
        "\"max_position_embeddings\":64,\"num_local_experts\":4,\"num_experts_per_tok\":2,\"moe_intermediate_size\":8}",
        "{\"model_type\":\"gpt_neox\",\"vocab_size\":9,\"hidden_size\":8,\"num_hidden_layers\":2,\"num_attention_heads\":2,\"intermediate_size\":8,"
        "\"max_position_embeddings\":64,\"rotary_pct\":0.5,\"layer_norm_eps\":1e-5}",
        MODERN ",\"local_attention\":8,\"global_attn_every_n_layers\":2,\"local_rope_theta\":100.0,\"layer_norm_eps\":1e-5}",
        "{\"model_type\":\"distilbert\",\"vocab_size\":9,\"dim\":8,\"n_layers\":2,\"n_heads\":2,\"hidden_dim\":8,\"max_position_embeddings\":64}",
        "{\"model_type\":\"phi3\",\"vocab_size\":9,\"hidden_size\":8,\"num_hidden_layers\":2,\"num_attention_heads\":1,\"intermediate_size\":8,\"bos_token_id\":1,"
        "\"eos_token_id\":2,\"max_position_embeddings\":64,\"original_max_position_embeddings\":32,\"rope_parameters\":{\"partial_rotary_factor\":0.5,\"rope_theta\":1e4}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int n = 0;
        json_t *root = json_loads(texts[i], 0, NULL);
        struct config c;
        struct err err;
        if (config_read(&c, root, "f", NULL, &err))
            fail_msg("%s", err.msg);
        count_refusals(json_string_value(json_object_get(root, "model_type")), root, root, &n);
        assert_true(n > 20);
        json_decref(root);
    }
}

static void a_struct_that_its_family_cannot_tell_is_refused(void **state)
{
    (void)state;
    struct err err;
    struct config c = parse(gpt2, NULL);
    c.norm = NORM_RMS, c.norm_bias = false;
    assert_int_equal(config_validate(&c, "x", &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "norm is rmsnorm, gpt2 has layernorm"));
    c = parse(gpt2, NULL);
    c.act = ACT_SWIGLU;
    assert_int_equal(config_validate(&c, "x", &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "activation_function"));
    c = parse(gpt2, NULL);
    c.n_kv_head = 4;
    assert_int_equal(config_validate(&c, "x", &err), ERR_UNSUPPORTED);
    c = parse(mixtral, NULL);
    c.norm_topk = false;
    assert_int_equal(config_validate(&c, "x", &err), ERR_UNSUPPORTED);
    c = parse(mixtral, NULL);
    c.n_expert = 0, c.d_ff = 100;
    assert_int_equal(config_validate(&c, "x", &err), ERR_RANGE);
    c = parse(llama31_unscaled, NULL);
    c.init_std = NAN;
    assert_int_equal(config_validate(&c, "x", &err), ERR_RANGE);
    c = parse(llama31_unscaled, NULL);
    c.family = N_FAMILY;
    assert_int_equal(config_validate(&c, "x", &err), ERR_RANGE);
}

/* ---- writing ---- */

static void written_files_read_back_the_same(void **state)
{
    (void)state;
    static const char *const texts[] = {
        gpt2, llama31, llama31_unscaled, mixtral, olmoe, OURS "}", OURS_MOE ",\"qk_norm\":\"full\",\"dropout\":0.25,\"router_z_loss_coef\":0.001}",
        OURS ",\"act\":\"gelu\",\"norm\":\"layernorm\",\"norm_bias\":true,\"linear_bias\":true,\"pos\":\"learned\",\"qk_norm\":\"head\",\"eos_token_id\":[]}",
        OURS ",\"norm_place\":\"both\",\"act\":\"geglu_tanh\",\"sliding_window\":7,\"layer_types\":[\"full_attention\",\"sliding_attention\"],\"no_rope_layers\":[1,0],\"attn_logit_softcapping\":5,"
        "\"final_logit_softcapping\":3,\"query_pre_attn_scalar\":9,\"rope_local_base_freq\":100,\"partial_rotary_factor\":0.5,\"rope_pairs\":true,\"clip_qkv\":2,\"embed_scale\":true,"
        "\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,\"truncate\":false,\"original_max_position_embeddings\":16}}",
        OURS_MOE ",\"shared_expert_intermediate_size\":8,\"shared_expert_gate\":true,\"routed_scaling_factor\":2,\"mlp_only_layers\":[1]}",
        OURS ",\"parallel_residual\":true,\"norm\":\"layernorm\",\"norm_gain\":false,\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1.5,2,3],\"long_factor\":[2,4,5,6.25]}}",
        modernbert, MODERN ",\"global_attn_every_n_layers\":1}", MODERN ",\"local_attention\":1,\"norm_bias\":true,\"mlp_bias\":true,\"attention_bias\":true,\"hidden_activation\":\"silu\"}",
        "{\"model_type\":\"olmoe\",\"router_z_loss_coef\":0.001,\"dropout\":0.1,\"rope_theta\":123456789.125,\"rms_norm_eps\":1e-12}",
        "{\"model_type\":\"gpt2\",\"n_inner\":100,\"activation_function\":\"gelu\",\"tie_word_embeddings\":false,\"embd_pdrop\":0.3,\"resid_pdrop\":0.3}",
    };
    struct buf a, b, w;
    buf_init(&a);
    buf_init(&b);
    buf_init(&w);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const struct config c = parse(texts[i], NULL);
        buf_clear(&a);
        buf_clear(&b);
        buf_clear(&w);
        assert_int_equal(config_write(&c, &a, NULL), 0);
        const struct config d = parse(a.data, &w);
        if (w.len)
            fail_msg("%s\n%s", a.data, w.data);
        assert_int_equal(config_write(&d, &b, NULL), 0);
        assert_string_equal(a.data, b.data);
        assert_memory_equal(&c.eos_id, &d.eos_id, sizeof c.eos_id);
        assert_true(c.family == d.family && c.vocab_size == d.vocab_size && c.n_layer == d.n_layer && c.d_model == d.d_model && c.ctx == d.ctx &&
                    c.n_head == d.n_head && c.n_kv_head == d.n_kv_head && c.d_head == d.d_head && c.d_ff == d.d_ff && c.norm == d.norm &&
                    c.norm_eps == d.norm_eps && c.norm_bias == d.norm_bias && c.qkv_bias == d.qkv_bias && c.o_bias == d.o_bias && c.mlp_bias == d.mlp_bias && c.act == d.act &&
                    c.pos == d.pos && !memcmp(&c.rope, &d.rope, sizeof c.rope) && !memcmp(c.layer, d.layer, sizeof c.layer) && c.qk_norm == d.qk_norm && c.tie_embeddings == d.tie_embeddings &&
                    c.n_expert == d.n_expert && c.top_k == d.top_k && c.d_ff_expert == d.d_ff_expert && c.norm_topk == d.norm_topk &&
                    c.aux_loss == d.aux_loss && c.z_loss == d.z_loss && c.dropout == d.dropout && c.init_std == d.init_std &&
                    c.bos_id == d.bos_id && c.n_eos == d.n_eos && c.dtype == d.dtype);
    }
    assert_non_null(strstr(b.data, "\"architectures\": [\"GPT2LMHeadModel\"]"));
    assert_non_null(strstr(b.data, "\"layer_norm_epsilon\": 1e-05"));
    assert_non_null(strstr(b.data, "\"n_inner\": 100"));
    buf_release(&a);
    buf_release(&b);
    buf_release(&w);
}

static void positions_are_stretched_by_word_only(void **state)
{
    (void)state;
    struct err err;
    struct config c = parse(llama31_unscaled, NULL);
    assert_int_equal(config_stretch(&c, "linear:2", &err), 0);
    assert_true(c.rope.kind == ROPE_LINEAR && c.rope.factor == 2 && c.ctx == 262144 && config_ctx_max(&c) == 262144 && !config_validate(&c, "x", &err));
    double f[ROPE_PAIRS_MAX], g[ROPE_PAIRS_MAX];
    const struct rope_config plain = rope_plain(500000);
    assert_true(rope_frequencies(&c.rope, 128, c.ctx, 100, f) == 1 && rope_frequencies(&plain, 128, c.ctx, 100, g) == 1);
    for (int i = 0; i < 64; i++)
        assert_true(f[i] == g[i] / 2);
    assert_int_equal(config_stretch(&c, "linear:2", &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "scaled already (linear)"));
    c = parse(llama31_unscaled, NULL);
    assert_int_equal(config_stretch(&c, "dynamic:4", &err), 0);
    assert_true(c.ctx == 131072 && config_ctx_max(&c) == 524288);
    rope_frequencies(&c.rope, 128, c.ctx, 131072, f);
    assert_memory_equal(f, g, 64 * sizeof *f);             /* no longer than before: as before */
    c = parse(llama31_unscaled, NULL);                     /* a file that scales says so, or in its ctx already */
    c.rope.kind = ROPE_YARN, c.rope.factor = 4, c.rope.original_ctx = 32768, c.ctx = 40960;
    assert_int_equal(config_ctx_max(&c), 131072);
    c.rope.factor = 40, c.rope.original_ctx = 4096, c.ctx = 163840;
    assert_int_equal(config_ctx_max(&c), 163840);
    c.rope.kind = ROPE_LINEAR, c.rope.factor = 4, c.rope.original_ctx = 0, c.ctx = 4096;
    assert_int_equal(config_ctx_max(&c), 16384);
    c.family = FAMILY_GEMMA3;
    assert_int_equal(config_ctx_max(&c), 4096);
    c.family = FAMILY_LLAMA, c.rope.kind = ROPE_LLAMA3;
    assert_int_equal(config_ctx_max(&c), 4096);
    for (int d = 2; d <= 1024; d += 2)                     /* the share of a GGUF file's rope.dimension_count */
        for (int rot = 2; rot <= d; rot += 2) {
            c.d_head = d, c.rope_share = (double)rot / d;
            assert_int_equal(config_d_rot(&c), rot);
        }
    c = parse(gpt2, NULL);
    assert_int_equal(config_stretch(&c, "yarn:4", &err), ERR_UNSUPPORTED);
    c = parse(llama31_unscaled, NULL);
    static const char *const bad[] = { "", "linear", "linear:", "linear:1", "linear:x", "linear:2x", "linear:nan", "linear:1e9", "linear:-2" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(config_stretch(&c, bad[i], &err), ERR_RANGE);
    assert_int_equal(config_stretch(&c, "llama3:4", &err), ERR_UNSUPPORTED);
    assert_int_equal(config_stretch(&c, "lin:4", &err), ERR_UNSUPPORTED);
}

static void a_folder_or_a_file_is_loaded(void **state)
{
    (void)state;
    char dir[] = "/tmp/lathe-config-XXXXXX", path[100];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/config.json", dir);
    assert_int_equal(file_write_all(path, gpt2, strlen(gpt2), NULL), 0);
    struct config c;
    struct err err;
    assert_int_equal(config_load(&c, dir, NULL, &err), 0);
    assert_int_equal(config_load(&c, path, NULL, &err), 0);
    unlink(path);
    assert_int_equal(config_load(&c, dir, NULL, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "config.json"));
    file_remove_tree(dir, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_counted_as_published),
        cmocka_unit_test(real_files_are_understood_to_the_last_key),
        cmocka_unit_test(absent_keys_have_the_defaults_of_their_family),
        cmocka_unit_test(newer_spellings_are_read),
        cmocka_unit_test(each_unusable_config_is_refused_with_its_reason),
        cmocka_unit_test(each_refused_number_is_named_by_its_key),
        cmocka_unit_test(a_struct_that_its_family_cannot_tell_is_refused),
        cmocka_unit_test(written_files_read_back_the_same),
        cmocka_unit_test(positions_are_stretched_by_word_only),
        cmocka_unit_test(a_folder_or_a_file_is_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
