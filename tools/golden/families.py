#!/usr/bin/env python3
"""Writes tests/golden/families: small random models of every family with the outputs transformers gives for them.

    tools/golden/families.py [--out tests/golden/families] [case ...]

Needs PyPI's torch and transformers; any CPU build will do.  Each case is a folder
  config.json            as transformers writes it, or in the spelling of older releases (older=True below: rope_theta and
                         rope_scaling apart, no layer_types, torch_dtype): files of both kinds are met
  model.safetensors      float32, by save_pretrained
  golden.safetensors     decoders: ids.<i> I32 [T], logits.<i> F32 [T,V] for prompts i = 0 (long: beyond every window and
                         original context) and 1 (short)
                         encoders: ids.<i>, hidden.<i> F32 [T,C] (last_hidden_state), mean.<i> F32 [C] (over all tokens)
                         all: bf16_error.<i> F32 [1], the largest difference of transformers' own bfloat16 run
                         metadata made_with: the versions
What is saved is loaded again by transformers, widened to float64 (where its code allows: norms and angles stay float32
there), and run with eager attention, without a cache, each prompt alone.  So dynamic and longrope scaling follow the
length of the prompt.

Weights and settings are such that mistakes show: norm weights are not 1, biases, sinks and routing corrections are not 0, queries
and keys are large enough for attention to be far from uniform.  They come from numpy's frozen MT19937, seeded by the
name of the case and of the tensor."""
import argparse
import json
import os
import zlib

import numpy as np
import safetensors.torch
import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

LONG, SHORT = 41, 13
HALF_MAX = 0.1                  # of the largest output, for bfloat16: more means that it chose another expert
V = 71                          # of no vector's width
EPS = 0.02                      # so large that a wrong one shows
THETA = 100.0                   # with so few frequencies: the ramps of yarn and llama3 lie among them

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512, "beta_fast": 32.0, "beta_slow": 1.0}
LINEAR = {"rope_type": "linear", "factor": 2.5}
DYNAMIC = {"rope_type": "dynamic", "factor": 4.0}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
LONGROPE = {"rope_type": "longrope", "short_factor": [1.0, 1.1, 1.3], "long_factor": [1.2, 2.0, 3.5],
            "original_max_position_embeddings": 16}


def rope(theta=10000.0, scaling=None, **more):
    return {"rope_theta": theta, **(scaling or {"rope_type": "default"}), **more}


def base(**more):
    return {"vocab_size": V, "hidden_size": 24, "intermediate_size": 36, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2,
            "pad_token_id": None, "tie_word_embeddings": False, "rms_norm_eps": EPS, "rope_parameters": rope(), **more}


def olmo(**more):
    return {k: v for k, v in base(**more).items() if k != "rms_norm_eps"}


def neox(**more):
    c = {k: v for k, v in base(**more).items() if k not in ("num_key_value_heads", "rms_norm_eps")}
    return {**c, "layer_norm_eps": EPS}


def mla(**more):
    c = base(num_key_value_heads=4, kv_lora_rank=12, q_lora_rank=None, qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=6,
             moe_intermediate_size=12, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=2,
             first_k_dense_replace=1, **more)
    return c


ENCODER = {"vocab_size": V, "hidden_size": 24, "intermediate_size": 36, "num_hidden_layers": 2, "num_attention_heads": 4,
           "max_position_embeddings": 64, "type_vocab_size": 2, "layer_norm_eps": EPS}

# case: (model_type, keys of its configuration, options).  older: the older spelling of config.json.
CASES = {
    "llama_llama3": ("llama", base(rope_parameters=rope(THETA, LLAMA3)), {"older": True}),
    "llama_tied_biases": ("llama", base(head_dim=12, attention_bias=True, mlp_bias=True, tie_word_embeddings=True), {}),
    "llama_linear": ("llama", base(rope_parameters=rope(scaling=LINEAR)), {"older": True}),
    "llama_dynamic": ("llama", base(max_position_embeddings=16, rope_parameters=rope(scaling=DYNAMIC)), {"older": True}),
    "llama_yarn_tied": ("llama", base(rope_parameters=rope(THETA, YARN), tie_word_embeddings=True), {}),
    "mistral_window": ("mistral", base(head_dim=12, sliding_window=9), {}),
    "mistral_yarn_tied": ("mistral", base(sliding_window=None, rope_parameters=rope(THETA, YARN), tie_word_embeddings=True),
                          {"older": True}),
    "mixtral_window": ("mixtral", base(intermediate_size=20, sliding_window=9, num_local_experts=4, num_experts_per_tok=2), {}),
    "mixtral_linear_tied": ("mixtral", base(intermediate_size=20, sliding_window=None, num_local_experts=5, num_experts_per_tok=3,
                                            head_dim=12, rope_parameters=rope(1e6, LINEAR), tie_word_embeddings=True),
                            {"older": True}),
    "qwen2_window": ("qwen2", base(use_sliding_window=True, sliding_window=9, max_window_layers=1, num_hidden_layers=3),
                     {"older": True}),
    "qwen2_yarn_tied": ("qwen2", base(rope_parameters=rope(THETA, YARN), tie_word_embeddings=True), {}),
    "qwen2_moe_window": ("qwen2_moe", base(num_hidden_layers=3, moe_intermediate_size=12, shared_expert_intermediate_size=20,
                                           num_experts=6, num_experts_per_tok=2, decoder_sparse_step=2,
                                           use_sliding_window=True, sliding_window=9, max_window_layers=2), {"older": True}),
    "qwen2_moe_linear_tied": ("qwen2_moe", base(moe_intermediate_size=12, shared_expert_intermediate_size=20, num_experts=6,
                                                num_experts_per_tok=3, tie_word_embeddings=True,
                                                rope_parameters=rope(1e6, LINEAR)), {"older": True}),
    "qwen3_window": ("qwen3", base(head_dim=12, use_sliding_window=True, sliding_window=9, max_window_layers=1), {}),
    "qwen3_yarn_tied": ("qwen3", base(head_dim=12, rope_parameters=rope(THETA, YARN), tie_word_embeddings=True), {"older": True}),
    "qwen3_moe": ("qwen3_moe", base(head_dim=12, moe_intermediate_size=12, num_experts=6, num_experts_per_tok=2,
                                    norm_topk_prob=True), {"older": True}),
    "qwen3_moe_yarn_tied": ("qwen3_moe", base(num_hidden_layers=3, head_dim=8, moe_intermediate_size=12, num_experts=6,
                                              num_experts_per_tok=3, norm_topk_prob=False, mlp_only_layers=[1],
                                              tie_word_embeddings=True, rope_parameters=rope(THETA, YARN)), {}),
    "olmo_clip": ("olmo", olmo(clip_qkv=1.5), {}),
    "olmo_linear_tied": ("olmo", olmo(rope_parameters=rope(scaling=LINEAR), tie_word_embeddings=True), {"older": True}),
    "olmo2": ("olmo2", base(rope_parameters=rope(5e5)), {"older": True}),
    "olmo2_yarn_tied": ("olmo2", base(rope_parameters=rope(THETA, YARN), tie_word_embeddings=True), {}),
    # llama.cpp's converter takes no other eps here.
    "olmoe": ("olmoe", base(rms_norm_eps=1e-5, num_key_value_heads=4, num_experts=8, num_experts_per_tok=3, intermediate_size=12),
              {"older": True}),
    "olmoe_linear_tied": ("olmoe", base(num_experts=6, num_experts_per_tok=2, intermediate_size=12, clip_qkv=1.2,
                                        norm_topk_prob=True, tie_word_embeddings=True, rope_parameters=rope(scaling=LINEAR)), {}),
    "gemma": ("gemma", base(num_key_value_heads=1, head_dim=12, tie_word_embeddings=True), {"older": True}),
    "gemma2": ("gemma2", base(num_hidden_layers=3, head_dim=12, query_pre_attn_scalar=12, sliding_window=9,
                              attn_logit_softcapping=5.0, final_logit_softcapping=3.0, tie_word_embeddings=True), {}),
    "gemma2_older": ("gemma2", base(head_dim=8, query_pre_attn_scalar=20, sliding_window=9, attn_logit_softcapping=None,
                                    final_logit_softcapping=None, tie_word_embeddings=True), {"older": True}),
    "gemma3_text": ("gemma3_text", base(num_hidden_layers=4, head_dim=12, query_pre_attn_scalar=20, sliding_window=9,
                                        layer_types=["sliding_attention", "full_attention"] * 2, tie_word_embeddings=True,
                                        rope_parameters={"sliding_attention": rope(),
                                                         "full_attention": rope(1e6, {"rope_type": "linear", "factor": 8.0})}), {}),
    "gemma3_text_older": ("gemma3_text", base(num_hidden_layers=7, intermediate_size=24, head_dim=8, query_pre_attn_scalar=8,
                                              sliding_window=9, num_key_value_heads=1, tie_word_embeddings=True,
                                              rope_parameters={"sliding_attention": rope(),
                                                               "full_attention": rope(1e6)}), {"older": True}),
    "phi3_longrope": ("phi3", base(hidden_size=32, rope_parameters=rope(scaling=LONGROPE, partial_rotary_factor=0.75),
                                   original_max_position_embeddings=16, sliding_window=None), {"older": True}),
    "phi3_window_tied": ("phi3", base(sliding_window=9, tie_word_embeddings=True), {}),
    "smollm3_tied": ("smollm3", base(num_hidden_layers=5, intermediate_size=24, tie_word_embeddings=True,
                                     rope_parameters=rope(5e6)), {"older": True}),
    "smollm3_yarn_window": ("smollm3", base(no_rope_layers=[1, 0, 1], num_hidden_layers=3, use_sliding_window=True,
                                            sliding_window=9, rope_parameters=rope(THETA, YARN)), {}),
    "gpt2": ("gpt2", {"vocab_size": V, "n_positions": 48, "n_embd": 36, "n_layer": 2, "n_head": 3, "n_inner": 44,
                      "activation_function": "gelu", "bos_token_id": 1, "eos_token_id": 2,
                      "layer_norm_epsilon": EPS}, {}),
    "gpt2_untied": ("gpt2", {"vocab_size": V, "n_positions": 48, "n_embd": 20, "n_layer": 2, "n_head": 2, "bos_token_id": 1,
                             "eos_token_id": 2, "tie_word_embeddings": False, "layer_norm_epsilon": EPS}, {"older": True}),
    "gpt_neox": ("gpt_neox", neox(hidden_size=32, rope_parameters=rope(partial_rotary_factor=0.5)), {"older": True}),
    "gpt_neox_serial_tied": ("gpt_neox", neox(use_parallel_residual=False, attention_bias=False, tie_word_embeddings=True,
                                              rope_parameters=rope(scaling=LINEAR, partial_rotary_factor=1.0)), {}),
    "gpt_oss": ("gpt_oss", base(num_hidden_layers=3, head_dim=12, sliding_window=9, num_local_experts=6, num_experts_per_tok=2,
                                intermediate_size=12, rope_parameters=rope(THETA, {**YARN, "truncate": False})), {}),
    "gpt_oss_tied": ("gpt_oss", base(head_dim=8, sliding_window=7, num_local_experts=4, num_experts_per_tok=3,
                                     intermediate_size=20, tie_word_embeddings=True,
                                     rope_parameters=rope(THETA, {**YARN, "truncate": True})), {"older": True}),
    "deepseek_v2": ("deepseek_v2", mla(num_hidden_layers=3, topk_method="greedy", routed_scaling_factor=1.0, n_group=1,
                                       topk_group=1, rope_parameters=rope(THETA, {**YARN, "mscale": 0.707,
                                                                                   "mscale_all_dim": 0.707})), {"older": True}),
    "deepseek_v2_groups_tied": ("deepseek_v2", {**mla(topk_method="group_limited_greedy", n_group=4, topk_group=2,
                                                      routed_scaling_factor=1.5, tie_word_embeddings=True),
                                                "q_lora_rank": 16}, {}),
    "deepseek_v3": ("deepseek_v3", {**mla(num_hidden_layers=3, n_group=4, topk_group=2, routed_scaling_factor=2.5,
                                          rope_parameters=rope(THETA, {**YARN, "mscale": 1.0, "mscale_all_dim": 1.0})),
                                    "q_lora_rank": 16, "n_shared_experts": 1}, {"older": True}),
    "deepseek_v3_halves_tied": ("deepseek_v3", mla(n_group=1, topk_group=1, norm_topk_prob=False, routed_scaling_factor=1.0,
                                                   rope_interleave=False, tie_word_embeddings=True, attention_bias=True), {}),
    "bert": ("bert", ENCODER, {"pool": "mean"}),
    "distilbert": ("distilbert", {"vocab_size": V, "dim": 24, "hidden_dim": 36, "n_layers": 2, "n_heads": 4,
                                  "max_position_embeddings": 64}, {"pool": "mean"}),
    "roberta": ("roberta", {**ENCODER, "type_vocab_size": 1, "pad_token_id": 1}, {"pool": "cls"}),
    "xlm_roberta": ("xlm-roberta", {**ENCODER, "type_vocab_size": 1, "pad_token_id": 1}, {"pool": "cls"}),
    "modernbert": ("modernbert", {"vocab_size": V, "hidden_size": 24, "intermediate_size": 36, "num_hidden_layers": 4,
                                  "num_attention_heads": 4, "max_position_embeddings": 64, "local_attention": 18,
                                  "global_attn_every_n_layers": 3, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
                                  "norm_eps": EPS, "cls_token_id": 1, "sep_token_id": 2}, {"pool": "cls"}),
    "modernbert_biases": ("modernbert", {"vocab_size": V, "hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 4,
                                         "num_attention_heads": 3, "max_position_embeddings": 64, "local_attention": 11,
                                         "global_attn_every_n_layers": 2, "pad_token_id": 0, "bos_token_id": 1,
                                         "eos_token_id": 2, "norm_eps": EPS, "cls_token_id": 1, "sep_token_id": 2,
                                         "attention_bias": True, "mlp_bias": True, "norm_bias": True,
                                         "hidden_activation": "silu"}, {"pool": "mean", "older": True}),
}


# ---- weights ----

def draw(case, name, shape, model_type):
    """float32 values of a tensor, by what its name and shape say it is."""
    r = np.random.RandomState(zlib.crc32(f"{case}/{name}".encode()))
    x = r.standard_normal(tuple(shape))
    if name.endswith("sinks"):
        return x
    if len(shape) == 1:
        if not name.endswith("weight"):
            return 0.3 * x                          # biases, corrections of the router
        return 0.3 * x + (0.0 if model_type.startswith("gemma") else 1.0)
    if "embed" in name or ".wte" in name or ".wpe" in name:
        return 0.5 * x
    if model_type == "gpt_oss" and "gate_up" in name:
        return 2 * x                                # some reach the limit of 7
    large = any(s in name for s in ("q_proj", "k_proj", "query", "gate.weight", "router"))
    return x * (1.7 if large else 1.0) / np.sqrt(shape[-1])


def fill(model, case, model_type):
    with torch.no_grad():
        for name, t in sorted(model.state_dict().items()):
            if t.is_floating_point() and "inv_freq" not in name:
                t.copy_(torch.from_numpy(draw(case, name, t.shape, model_type)).float())


# ---- files ----

def older(c):
    """config.json in the spelling of releases before 5.0."""
    c = dict(c)
    c["torch_dtype"] = c.pop("dtype")
    c.pop("layer_types", None)
    if "_sliding_window_pattern" in c:
        c["sliding_window_pattern"] = c.pop("_sliding_window_pattern")
    scaling = c.pop("rope_parameters", None)
    if scaling and "full_attention" in scaling:
        local = "local_rope_theta" if c["model_type"] == "modernbert" else "rope_local_base_freq"
        c[local] = scaling["sliding_attention"]["rope_theta"]
        scaling = scaling["full_attention"]
    if scaling:
        scaling = dict(scaling)
        theta = {"gpt_neox": "rotary_emb_base", "modernbert": "global_rope_theta"}.get(c["model_type"], "rope_theta")
        c[theta] = scaling.pop("rope_theta")
        partial = scaling.pop("partial_rotary_factor", None)
        if partial is not None:
            c["rotary_pct" if c["model_type"] == "gpt_neox" else "partial_rotary_factor"] = partial
        if c["model_type"] == "phi3":
            scaling.pop("original_max_position_embeddings", None)      # stands outside
        c["rope_scaling"] = None if scaling.get("rope_type") == "default" else scaling
        if c["rope_scaling"] and scaling["rope_type"] == "linear":
            scaling["type"] = scaling.pop("rope_type")                 # the oldest spelling
    return c


def save_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f, indent=2, sort_keys=True)
        f.write("\n")


def save_pooling(folder, width, how):
    """As sentence-transformers keeps it."""
    save_json(f"{folder}/modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}])
    os.makedirs(f"{folder}/1_Pooling", exist_ok=True)
    save_json(f"{folder}/1_Pooling/config.json", {
        "word_embedding_dimension": width, "pooling_mode_cls_token": how == "cls", "pooling_mode_mean_tokens": how == "mean",
        "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False})


# ---- a case ----

def prompts(case, seed):
    r = np.random.RandomState(zlib.crc32(f"{case}/ids/{seed}".encode()))
    return [r.randint(3, V, n) for n in (LONG, SHORT)]


def outputs(model, ids, encoder):
    ids = torch.from_numpy(ids)[None]
    with torch.no_grad():
        if not encoder:
            return {"logits": model(input_ids=ids, use_cache=False).logits[0]}
        hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        return {"hidden": hidden, "mean": hidden.mean(0)}


def run_prompts(models, prompt, encoder):
    """models: of float64, float32 and bfloat16.  Gives the golden tensors, the largest output, and the largest difference of
    float32 and of bfloat16."""
    main, golden, size, single, half = "hidden" if encoder else "logits", {}, 0.0, 0.0, 0.0
    for i, ids in enumerate(prompt):
        exact, *others = (outputs(m, ids, encoder) for m in models)
        golden[f"ids.{i}"] = torch.from_numpy(ids.astype("int32"))
        for name, x in exact.items():
            assert x.dtype == torch.float64 and bool(torch.isfinite(x).all())
            golden[f"{name}.{i}"] = x.float().contiguous()
        errors = [(o[main] - exact[main]).abs().max().item() for o in others]
        golden[f"bf16_error.{i}"] = torch.tensor([errors[1]])
        size, single, half = max(size, exact[main].abs().max().item()), max(single, errors[0]), max(half, errors[1])
    return golden, size, single, half


def load(auto, folder, dtype):
    stored = torch.float32 if dtype == torch.float64 else dtype
    model, notes = auto.from_pretrained(folder, attn_implementation="eager", dtype=stored, output_loading_info=True)
    assert not any(notes[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")), notes
    model.set_experts_implementation("eager")
    return (model.double() if dtype == torch.float64 else model).eval()


def make(case, out):
    model_type, keys, options = CASES[case]
    encoder = "pool" in options
    auto = AutoModel if encoder else AutoModelForCausalLM
    folder = os.path.join(out, case)
    model = auto.from_config(AutoConfig.for_model(model_type, **keys), attn_implementation="eager", dtype=torch.float32)
    fill(model, case, model_type)
    model.save_pretrained(folder)
    if os.path.exists(f"{folder}/generation_config.json"):
        os.remove(f"{folder}/generation_config.json")
    config = json.load(open(f"{folder}/config.json"))
    save_json(f"{folder}/config.json", older(config) if options.get("older") else config)
    if encoder:
        save_pooling(folder, 24, options["pool"])

    runs = [load(auto, folder, dtype) for dtype in (torch.float64, torch.float32, torch.bfloat16)]
    for seed in range(50):
        golden, size, single, half = run_prompts(runs, prompts(case, seed), encoder)
        if half < HALF_MAX * size:
            break
    assert half < HALF_MAX * size, "a choice of experts hangs by a hair in every prompt"
    # One key: the order of several is not the same in every run.
    made = {"made_with": f"transformers {transformers.__version__}, torch {torch.__version__}"}
    safetensors.torch.save_file(golden, f"{folder}/golden.safetensors", metadata=made)
    kb = os.path.getsize(f"{folder}/model.safetensors") // 1024
    print(f"{case:26} {kb:4} KB, largest {size:6.2f}, transformers' float32 differs by {single:.1e}, bfloat16 by {half:.3f}",
          flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "../../tests/golden/families"))
    p.add_argument("case", nargs="*")
    args = p.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    for case in args.case or CASES:
        make(case, args.out)


if __name__ == "__main__":
    main()
