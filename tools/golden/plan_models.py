#!/usr/bin/env python3
"""What published models are: their config.json (the keys that matter), counts as published with the words of the source, and what follows from
the config by formulas that know Hugging Face's modules, not lathe.  Writes tests/golden/plan_models.json and, what `lathe plan NAME` knows by name,
src/plan/published.json.

    python3 tools/golden/plan_models.py

Every published number is checked here against the formulas, to the digits that it has, or to the share that the row says and why."""
import json
import sys

LLAMA3 = dict(model_type="llama", vocab_size=128256, max_position_embeddings=8192, rms_norm_eps=1e-05, rope_theta=500000.0, hidden_act="silu",
              tie_word_embeddings=False, torch_dtype="bfloat16", num_key_value_heads=8)
MIXTRAL = dict(model_type="mixtral", rms_norm_eps=1e-05, rope_theta=1000000.0, hidden_act="silu", tie_word_embeddings=False,
               torch_dtype="bfloat16", num_key_value_heads=8, num_local_experts=8, num_experts_per_tok=2, sliding_window=None)
GEMMA3 = dict(model_type="gemma3_text", rms_norm_eps=1e-06, rope_theta=1000000.0, rope_local_base_freq=10000.0, hidden_activation="gelu_pytorch_tanh",
              head_dim=256, query_pre_attn_scalar=256, sliding_window_pattern=6, tie_word_embeddings=True, torch_dtype="bfloat16")
GPT_OSS = dict(model_type="gpt_oss", vocab_size=201088, hidden_size=2880, intermediate_size=2880, num_attention_heads=64, num_key_value_heads=8, head_dim=64,
               num_experts_per_tok=4, sliding_window=128, max_position_embeddings=131072, initial_context_length=4096, rope_theta=150000,
               rope_scaling=dict(rope_type="yarn", factor=32.0, beta_fast=32.0, beta_slow=1.0, truncate=False, original_max_position_embeddings=4096),
               rms_norm_eps=1e-05, hidden_act="silu", swiglu_limit=7.0, attention_bias=True, tie_word_embeddings=False, torch_dtype="bfloat16")

HF = "the Hugging Face hub's count of the safetensors files of "
ISCA = "Insights into DeepSeek-V3, ISCA 2025, arXiv:2505.09343, "
# what: params, active, nonembedding, kv (bytes a token, bf16), train_causal (operations a token of 6N plus half the square of attention)
# to: the unit that the number was rounded to; or within: a share, and why
MODELS = [
    dict(name="Llama-3-8B", config=dict(LLAMA3, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32),
         config_source="meta-llama/Meta-Llama-3-8B config.json; The Llama 3 Herd of Models, arXiv:2407.21783, table 3",
         published=[dict(what="params", value=8030261248, to=1, source=HF + "meta-llama/Llama-3.1-8B"),
                    dict(what="kv", value=131072, to=1024, source="Cake, table 1: 'Llama-3.1-8B 128 kB' a token"),
                    dict(what="train_causal", context=8192, value=744e12 / 14451, within=0.001, source="NVIDIA Megatron-Bridge 25.11, Llama 3 8B: 14451 tokens/s and 744 TFLOP/s a GPU at 8192 tokens",
                         why="the quotient of two rounded numbers")]),
    dict(name="Llama-3-70B", config=dict(LLAMA3, hidden_size=8192, intermediate_size=28672, num_hidden_layers=80, num_attention_heads=64),
         config_source="meta-llama/Meta-Llama-3-70B config.json; arXiv:2407.21783, table 3",
         published=[dict(what="params", value=70553706496, to=1, source=HF + "meta-llama/Llama-3.1-70B"),
                    dict(what="kv", value=320 * 1024, to=1024, source="Cake, table 1: 'Llama-3.1-70B 320 kB' a token"),
                    dict(what="train_causal", context=8192, value=731e12 / 1639, within=0.01, source="NVIDIA Megatron-Bridge 26.02, Llama 3 70B: 1639 tokens/s and 731 TFLOP/s a GPU at 8192 tokens",
                         why="the quotient of two rounded numbers of different runs")]),
    dict(name="Llama-3-405B", config=dict(LLAMA3, hidden_size=16384, intermediate_size=53248, num_hidden_layers=126, num_attention_heads=128,
         max_position_embeddings=131072, rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)),
         config_source="meta-llama/Llama-3.1-405B config.json; arXiv:2407.21783, table 3",
         published=[dict(what="params", value=405853388800, to=1, source=HF + "meta-llama/Llama-3.1-405B"),
                    dict(what="kv", value=516096, to=1, source=ISCA + "table 1: 'LLaMA-3.1 405B (GQA) 516.096 KB'"),
                    dict(what="train_causal", context=4096, value=2448e9, within=0.011, source=ISCA + "table 2: 'LLaMa-405B Dense 2448 GFLOPS/Token', length 4096",
                         why="they seem to count a quarter of the square of attention here, and half of it for DeepSeek-V3"),
                    dict(what="train_causal", context=0, value=3.8e25 / 15.6e12, within=0.014, source="arXiv:2407.21783, section 3: 3.8e25 FLOPs on 15.6T tokens", why="3.8 is rounded")]),
    dict(name="Qwen3-30B-A3B", config=dict(model_type="qwen3_moe", vocab_size=151936, hidden_size=2048, intermediate_size=6144, moe_intermediate_size=768,
         num_hidden_layers=48, num_attention_heads=32, num_key_value_heads=4, head_dim=128, num_experts=128, num_experts_per_tok=8, norm_topk_prob=True,
         decoder_sparse_step=1, mlp_only_layers=[], max_position_embeddings=40960, rms_norm_eps=1e-06, rope_theta=1000000.0, hidden_act="silu",
         tie_word_embeddings=False, torch_dtype="bfloat16"), config_source="Qwen/Qwen3-30B-A3B config.json",
         published=[dict(what="params", value=30532122624, to=1, source=HF + "Qwen/Qwen3-30B-A3B"),
                    dict(what="params", value=30.5e9, to=0.1e9, source="model card: 'Number of Parameters: 30.5B in total and 3.3B activated'"),
                    dict(what="active", value=3.3e9, within=0.02, source="model card: 'Number of Parameters: 30.5B in total and 3.3B activated'", why="3.353 cut, not rounded"),
                    dict(what="nonembedding", value=29.9e9, to=0.1e9, source="model card: 'Number of Paramaters (Non-Embedding): 29.9B', the head left out too"),
                    dict(what="kv", value=0.0915 * 2**30 / 1000, within=0.002, source="EvicPress: 'Qwen3-30B-A3B 0.0915 GB/1K token'", why="three digits"),
                    dict(what="train_causal", context=4096, value=118e12 / 5113, within=0.002, source="NVIDIA Megatron-Bridge, Qwen3-30B-A3B: 5113 tokens/s and 118 TFLOP/s a GPU at 4096 tokens",
                         why="the quotient of two rounded numbers")]),
    dict(name="Mixtral-8x7B", config=dict(MIXTRAL, vocab_size=32000, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
         max_position_embeddings=32768), config_source="mistralai/Mixtral-8x7B-v0.1 config.json",
         published=[dict(what="params", value=46702792704, to=1, source=HF + "mistralai/Mixtral-8x7B-v0.1"),
                    dict(what="params", value=46.7e9, to=0.1e9, source="mistral.ai/news/mixtral-of-experts: '46.7B total parameters but only uses 12.9B parameters per token'"),
                    dict(what="active", value=12.9e9, to=0.1e9, source="mistral.ai/news/mixtral-of-experts: '46.7B total parameters but only uses 12.9B parameters per token'")]),
    dict(name="Mixtral-8x22B", config=dict(MIXTRAL, vocab_size=32768, hidden_size=6144, intermediate_size=16384, num_hidden_layers=56, num_attention_heads=48,
         max_position_embeddings=65536), config_source="mistralai/Mixtral-8x22B-Instruct-v0.1 config.json",
         published=[dict(what="params", value=140630071296, to=1, source=HF + "mistralai/Mixtral-8x22B-Instruct-v0.1"),
                    dict(what="params", value=141e9, to=1e9, source="mistral.ai/news/mixtral-8x22b: 'only 39B active parameters out of 141B'"),
                    dict(what="active", value=39e9, to=1e9, source="mistral.ai/news/mixtral-8x22b: 'only 39B active parameters out of 141B'")]),
    dict(name="DeepSeek-V3", config=dict(model_type="deepseek_v3", vocab_size=129280, hidden_size=7168, intermediate_size=18432, moe_intermediate_size=2048,
         num_hidden_layers=61, num_attention_heads=128, num_key_value_heads=128, q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128,
         qk_rope_head_dim=64, v_head_dim=128, n_routed_experts=256, n_shared_experts=1, num_experts_per_tok=8, n_group=8, topk_group=4,
         first_k_dense_replace=3, moe_layer_freq=1, norm_topk_prob=True, routed_scaling_factor=2.5, scoring_func="sigmoid", topk_method="noaux_tc",
         max_position_embeddings=163840, rms_norm_eps=1e-06, rope_theta=10000, hidden_act="silu", tie_word_embeddings=False, torch_dtype="bfloat16",
         rope_scaling=dict(type="yarn", factor=40, beta_fast=32, beta_slow=1, mscale=1.0, mscale_all_dim=1.0, original_max_position_embeddings=4096)),
         config_source="deepseek-ai/DeepSeek-V3 config.json",
         published=[dict(what="params", value=671e9, to=1e9, source="deepseek-ai/DeepSeek-V3 README_WEIGHTS.md: 'Total parameters: 671B' of the main model"),
                    dict(what="active", value=36.7e9, within=0.025, source="README_WEIGHTS.md: 'Activation parameters: 36.7B (including 0.9B for Embedding and 0.9B for the output Head)'",
                         why="36.6B without the table of embeddings, 37.6B with it"),
                    dict(what="active", value=37e9, within=0.016, source="DeepSeek-V3 technical report, arXiv:2412.19437: '671B total parameters with 37B activated'", why="as above"),
                    dict(what="kv", value=70272, to=1, source=ISCA + "table 1: 'DeepSeek-V3 (MLA) 70.272 KB'"),
                    dict(what="train_causal", context=4096, value=250e9, within=0.003, source=ISCA + "table 2: 'DeepSeek-V3 MoE 671B 250 GFLOPS/Token', length 4096", why="250 is rounded")]),
    dict(name="gpt-oss-120b", config=dict(GPT_OSS, num_hidden_layers=36, num_local_experts=128), config_source="openai/gpt-oss-120b config.json",
         published=[dict(what="params", value=116.83e9, to=0.01e9, source="gpt-oss model card, arXiv:2508.10925, table 1: 'Total Parameters 116.83B'"),
                    dict(what="active_without_embedding", value=5.13e9, to=0.01e9, source="table 1: 'Active Parameters 5.13B', 'Unembedding parameters are counted towards active, but not embeddings'"),
                    dict(what="mlp", value=114.71e9, to=0.01e9, source="table 1: 'MLP 114.71B'"),
                    dict(what="attention", value=0.96e9, to=0.01e9, source="table 1: 'Attention 0.96B'"),
                    dict(what="embeddings", value=1.16e9, to=0.01e9, source="table 1: 'Embed + Unembed 1.16B'"),
                    dict(what="checkpoint", value=60.8 * 2**30, to=0.1 * 2**30, source="table 1: 'Checkpoint Size 60.8GiB', experts in MXFP4 of 4.25 bits, the rest bf16")]),
    dict(name="gpt-oss-20b", config=dict(GPT_OSS, num_hidden_layers=24, num_local_experts=32), config_source="openai/gpt-oss-20b config.json",
         published=[dict(what="params", value=20.91e9, to=0.01e9, source="gpt-oss model card, arXiv:2508.10925, table 1: 'Total Parameters 20.91B'"),
                    dict(what="active_without_embedding", value=3.61e9, to=0.01e9, source="table 1: 'Active Parameters 3.61B'"),
                    dict(what="checkpoint", value=12.8 * 2**30, to=0.1 * 2**30, source="table 1: 'Checkpoint Size 12.8GiB'")]),
    dict(name="OLMoE-1B-7B", config=dict(model_type="olmoe", vocab_size=50304, hidden_size=2048, intermediate_size=1024, num_hidden_layers=16,
         num_attention_heads=16, num_key_value_heads=16, num_experts=64, num_experts_per_tok=8, norm_topk_prob=False, clip_qkv=None,
         max_position_embeddings=4096, rms_norm_eps=1e-05, rope_theta=10000.0, hidden_act="silu", tie_word_embeddings=False, torch_dtype="bfloat16"),
         config_source="allenai/OLMoE-1B-7B-0924 config.json",
         published=[dict(what="params", value=6919161856, to=1, source=HF + "allenai/OLMoE-1B-7B-0924"),
                    dict(what="params", value=6.9e9, to=0.1e9, source="OLMoE, arXiv:2409.02060: '1.3B active and 6.9B total parameters'"),
                    dict(what="active", value=1.3e9, to=0.1e9, source="OLMoE, arXiv:2409.02060: '1.3B active and 6.9B total parameters'")]),
    dict(name="Gemma-3-1B", config=dict(GEMMA3, vocab_size=262144, hidden_size=1152, intermediate_size=6912, num_hidden_layers=26, num_attention_heads=4,
         num_key_value_heads=1, sliding_window=512, max_position_embeddings=32768), config_source="google/gemma-3-1b-it config.json",
         published=[dict(what="embedding", value=302e6, to=1e6, source="Gemma 3 technical report, arXiv:2503.19786, table 1: 'Embedding Parameters 302M'"),
                    dict(what="nonembedding", value=698e6, to=1e6, source="table 1: 'Non-embedding Parameters 698M'")]),
    dict(name="Gemma-3-4B", config=dict(GEMMA3, vocab_size=262208, hidden_size=2560, intermediate_size=10240, num_hidden_layers=34, num_attention_heads=8,
         num_key_value_heads=4, sliding_window=1024, max_position_embeddings=131072, rope_scaling=dict(rope_type="linear", factor=8.0)),
         config_source="google/gemma-3-4b-it config.json, text_config",
         published=[dict(what="nonembedding", value=3209e6, to=1e6, source="Gemma 3 technical report, arXiv:2503.19786, table 1: 'Non-embedding Parameters 3,209M'"),
                    dict(what="embedding", value=675e6, within=0.006, source="table 1: 'Embedding Parameters 675M'", why="with the projection of images, which is not of the text model")]),
    dict(name="Gemma-3-12B", config=dict(GEMMA3, vocab_size=262208, hidden_size=3840, intermediate_size=15360, num_hidden_layers=48, num_attention_heads=16,
         num_key_value_heads=8, sliding_window=1024, max_position_embeddings=131072, rope_scaling=dict(rope_type="linear", factor=8.0)),
         config_source="google/gemma-3-12b-it config.json, text_config",
         published=[dict(what="nonembedding", value=10759e6, to=1e6, source="Gemma 3 technical report, arXiv:2503.19786, table 1: 'Non-embedding Parameters 10,759M'"),
                    dict(what="embedding", value=1012e6, within=0.006, source="table 1: 'Embedding Parameters 1,012M'", why="with the projection of images, which is not of the text model")]),
    dict(name="SmolLM2-135M", config=dict(model_type="llama", vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
         num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192, rms_norm_eps=1e-05, rope_theta=100000, hidden_act="silu",
         tie_word_embeddings=True, torch_dtype="bfloat16"), config_source="HuggingFaceTB/SmolLM2-135M config.json",
         published=[dict(what="params", value=134515008, to=1, source=HF + "HuggingFaceTB/SmolLM2-135M")]),
    dict(name="GPT-2", config=dict(model_type="gpt2", vocab_size=50257, n_positions=1024, n_ctx=1024, n_embd=768, n_layer=12, n_head=12,
         layer_norm_epsilon=1e-05, activation_function="gelu_new", attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0),
         config_source="openai-community/gpt2 config.json",
         published=[dict(what="params", value=124439808, to=1, source="GPT2LMHeadModel of transformers: 124,439,808 parameters")]),
]


def facts(c):
    """By modules of transformers: embed_tokens, layers.i.self_attn, layers.i.mlp, norms, lm_head."""
    kind = c["model_type"]
    if kind == "gpt2":
        C, L, V, H = c["n_embd"], c["n_layer"], c["vocab_size"], c["n_head"]
        attention, mlp = L * (3 * C * C + 3 * C + C * C + C), L * (8 * C * C + 5 * C)
        embedding, norms = V * C + c["n_ctx"] * C, L * 4 * C + 2 * C
        n = L * 12 * C * C + V * C
        return dict(params=attention + mlp + embedding + norms, active=attention + mlp + embedding + norms, embedding=embedding, head=0, attention=attention, mlp=mlp,
                    mlp_active=mlp, matmul=n, kv_full=L * 2 * C, kv_window=0, window=0, key_full=L * 4 * C, key_window=0)
    C, L, V, H, KV = c["hidden_size"], c["num_hidden_layers"], c["vocab_size"], c["num_attention_heads"], c["num_key_value_heads"]
    D = c.get("head_dim") or C // H
    bias = kind == "gpt_oss"
    if kind == "deepseek_v3":
        q, r, nope, rope, v = c["q_lora_rank"], c["kv_lora_rank"], c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]
        products = C * q + q * H * (nope + rope) + C * (r + rope) + r * H * (nope + v) + H * v * C
        attention, norms = products + q + r, 2 * C
        kv, key = r + rope, 2 * H * (nope + rope + v)
    else:
        products = C * H * D + 2 * C * KV * D + H * D * C
        attention = products + (H * D + 2 * KV * D + C + H if bias else 0)          # gpt-oss: biases and a sink of each head
        norms = (4 if kind == "gemma3_text" else 2) * C
        attention += {"qwen3_moe": 2 * D, "gemma3_text": 2 * D, "olmoe": H * D + KV * D}.get(kind, 0)
        kv, key = 2 * KV * D, 4 * H * D
    E = c.get("num_local_experts") or c.get("num_experts") or c.get("n_routed_experts") or 0
    k = c.get("num_experts_per_tok", 0)
    dense = 3 * C * c["intermediate_size"]
    if not E:
        mlp = mlp_active = mlp_products = L * dense
    else:
        F = c.get("moe_intermediate_size") or c["intermediate_size"]
        expert = 3 * C * F + (2 * F + C if bias else 0)
        router = C * E + (E if bias or kind == "deepseek_v3" else 0)                # deepseek: e_score_correction_bias
        shared = c.get("n_shared_experts", 0) * 3 * C * F
        first = c.get("first_k_dense_replace", 0)
        mlp = first * dense + (L - first) * (E * expert + router + shared)
        mlp_active = first * dense + (L - first) * (k * expert + router + shared)
        mlp_products = first * dense + (L - first) * (k * 3 * C * F + C * E + shared)
    head = 0 if c["tie_word_embeddings"] else V * C
    rest = L * (attention + norms) + C
    windowed = 0
    if kind == "gpt_oss":
        windowed = (L + 1) // 2
    if kind == "gemma3_text":
        windowed = L - L // c["sliding_window_pattern"]
    experts = (L - c.get("first_k_dense_replace", 0)) * E * 3 * C * (c.get("moe_intermediate_size") or c["intermediate_size"]) if E else 0
    params = V * C + head + rest + mlp
    return dict(params=params, active=params - mlp + mlp_active, embedding=V * C, head=head, attention=L * attention, mlp=mlp, mlp_active=mlp_active,
                matmul=L * products + mlp_products + V * C, kv_full=(L - windowed) * kv, kv_window=windowed * kv, window=c.get("sliding_window") or 0 if windowed else 0,
                key_full=(L - windowed) * key, key_window=windowed * key, experts=experts)


def seen(T, window):
    """Keys that a query sees on average, in a text of T tokens."""
    if not window or window >= T:
        return (T + 1) / 2
    return (window * (window + 1) / 2 + (T - window) * window) / T


def value(f, row):
    what = row["what"]
    if what == "nonembedding":
        return f["params"] - f["embedding"] - f["head"]
    if what == "active_without_embedding":
        return f["active"] - f["embedding"]
    if what == "embeddings":
        return f["embedding"] + f["head"]
    if what == "kv":
        return 2 * (f["kv_full"] + f["kv_window"])
    if what == "checkpoint":
        return f["experts"] * 4.25 / 8 + (f["params"] - f["experts"]) * 2
    if what == "train_causal":          # the lower half of the square, less what a window hides
        T, w = row["context"], f["window"]
        return 6 * f["matmul"] + 3 * (f["key_full"] * T / 2 + f["key_window"] * (w - w * w / (2 * T) if w < T else T / 2))
    return f[what]


out = []
for m in MODELS:
    f = facts(m["config"])
    for row in m["published"]:
        ours = value(f, row)
        ok = abs(ours - row["value"]) <= row["to"] / 2 if "to" in row else abs(ours / row["value"] - 1) <= row["within"]
        print("%-14s %-26s published %-16.6g ours %-16.10g %+.3f %%%s" % (m["name"], row["what"], row["value"], ours, 100 * (ours / row["value"] - 1), "" if ok else "   OUT"), file=sys.stderr)
        if not ok:
            sys.exit("%s: %s" % (m["name"], row))
    T = 4096
    f["forward_4096"] = 2 * f["matmul"] + f["key_full"] * seen(T, 0) + f["key_window"] * seen(T, f["window"])
    f["train_causal_4096"] = value(f, dict(what="train_causal", context=T))
    f["train_palm_4096"] = 6 * f["matmul"] + 3 * (f["key_full"] + f["key_window"]) * T
    out.append(dict(m, facts=f))


def write(path, rows):
    with open(path, "w") as file:
        json.dump(rows, file, indent=1)
        print(file=file)


write("tests/golden/plan_models.json", [{k: v for k, v in m.items() if k not in ("config", "config_source")} for m in out])
write("src/plan/published.json", [dict(name=m["name"], source=m["config_source"], config=m["config"]) for m in out])
