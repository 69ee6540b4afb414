#!/usr/bin/env python3
"""Writes tests/golden: small models with their logits, losses and gradients, computed by torch in float64.

    tools/golden/models.py [--out tests/golden] [case ...]

The models are written here from their formulas, apart from lathe and from transformers, in the plainest form: every
expert sees every token, attention is a full masked softmax, gradients are autograd's.  Weights and inputs come from
numpy's frozen MT19937, are rounded to float32, written, and only then widened to float64 for the run, so that a reader
of the file starts from the very same numbers.  Results are the same on any machine up to the last bits of float64.

A model case has
  config.json          as the family's Hugging Face class writes it; "lathe_gpt" is lathe's own family
  model.safetensors    float32, Hugging Face's names and layouts (GPT-2: Conv1D, [in, out])
  golden.safetensors   input_ids, targets   I32 [B,T]     a target of -100 is not counted
                       logits               F64 [B,T,V]
                       loss                 F64 [1]       cross-entropy, mean over the counted targets
                       loss_total           F64 [1]       loss + lb_coef * sum(loss_lb) + z_coef * sum(loss_z)
                       loss_lb, loss_z      F64 [L]       MoE: of each layer, E * sum_i f_i P_i and mean(lse^2), over all
                                                          tokens, counted or not; f_i = count_i / (B*T*K) has no gradient
                       expert_count.<l>     I32 [E]       MoE: tokens that chose each expert
                       grad.<weight>        F64           of loss_total, for every weight of the model file but e_score_correction_bias
  steps.safetensors    of some cases: 20 steps, of torch.optim.AdamW and of Muon with AdamW, on batches 0, 1, 2, 0, 1 ...
                       input_ids, targets   I32 [3,B,T]
                       <optimiser>.loss     F64 [20]      loss_total before each step
                       <optimiser>.<weight> F32           after all; e_score_correction_bias is moved by CORRECTION_RATE * sign(mean load - load)
                                                          (arXiv:2408.15664) after each step
adamw/ has 20 steps of torch.optim.AdamW with torch's gradient clipping, momentum/ 20 steps of Muon and of torch.optim.SGD, schedule/
tables of learning rates.

Checked by the scripts next to this one, in float64:
  check_transformers.py   gpt2, llama, mixtral, olmoe, qwen3_moe: logits, losses, router losses and counts, all gradients equal those
                          of transformers 5.24.0 with torch 2.15.0 to 3e-15 (relative); the goldens are of torch 1.13.1, but lathe_gpt_corrected, olmoe and qwen3_moe of 2.15.0
  check_nanogpt.py        lathe_gpt: logits, loss and gradients equal those of nanoGPT 3adf61e to 2e-15
lathe_gpt_moe, _sigmoid and _corrected have no second opinion as a whole; their attention and experts are functions that others also use."""
import argparse
import contextlib
import json
import math
import os
import struct

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

IGNORED = -100                 # cross_entropy's ignore_index
FEWEST = 3                     # tokens of an expert that is not idle: bf16 errors of single tokens do not average
MARGIN = 0.05                  # between the logits of the last expert chosen and the first one not
SCORE_MARGIN = 0.006           # between their corrected scores, where they are chosen by those
STEP_MARGIN = 1e-4             # between either, in fp32 steps
STEP_NOISE = 7e-6              # of a weight after steps in float32, in each of ORDERS orders of summation, where a reader's may differ by 1e-5
ORDERS = 16
BF16_TOLERANCE = 2e-2          # of a gradient, which tests/unit/test_golden.c asks of a bf16 run
BF16_NOISE = 0.9               # of it: the most that rounding the operands of products makes of any gradient here, in each of ROUNDINGS ways
ROUNDINGS = 16
DTYPES = {np.dtype("float32"): "F32", np.dtype("float64"): "F64", np.dtype("int32"): "I32"}


# ---- files ----

def save_safetensors(path, tensors):
    """8 bytes little-endian length of the header, the header padded by spaces to a multiple of 8, the data."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, a in tensors.items():
        header[name] = {"dtype": DTYPES[a.dtype], "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for a in tensors.values():
            f.write(np.ascontiguousarray(a).astype(a.dtype.newbyteorder("<"), copy=False).tobytes())


def load_safetensors(path):
    with open(path, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        header, data = json.loads(f.read(n)), f.read()
    kinds = {name: dtype for dtype, name in DTYPES.items()}
    tensors = {}
    for name, t in header.items():
        if name != "__metadata__":
            begin, end = t["data_offsets"]
            tensors[name] = np.frombuffer(data[begin:end], kinds[t["dtype"]].newbyteorder("<")).reshape(t["shape"])
    return tensors


def save_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f, indent=2)
        f.write("\n")


# ---- operations ----

def layer_norm(x, w, b, eps):
    x = x - x.mean(-1, keepdim=True)
    y = x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * w
    return y if b is None else y + b


def rms_norm(x, w, eps):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * w


def gelu(x):
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def silu(x):
    return x * torch.sigmoid(x)


def rope(x, theta):
    """x [B,H,T,D]: rotates (x[i], x[i + D/2]) by t * theta^(-2i/D), as Hugging Face and GPT-NeoX do."""
    T, half = x.shape[2], x.shape[3] // 2
    angle = torch.arange(T, dtype=x.dtype)[:, None] * theta ** (-torch.arange(half, dtype=x.dtype) / half)
    cos, sin, a, b = angle.cos(), angle.sin(), x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def heads(x, n):
    return x.view(x.shape[0], x.shape[1], n, -1).transpose(1, 2)


def attention(q, k, v):
    """q [B,H,T,D], k and v [B,KV,T,D], query head h reads key/value head h // (H / KV).  Gives [B,T,H*D]."""
    T, n_share = q.shape[2], q.shape[1] // k.shape[1]
    k, v = (a.repeat_interleave(n_share, 1) for a in (k, v))
    score = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    future = torch.ones(T, T).triu(1).bool()
    y = score.masked_fill(future, -math.inf).softmax(-1) @ v
    return y.transpose(1, 2).flatten(2)


def experts(x, router, expert, n_expert, top_k, renormalise, log, sigmoid=False, correction=None, scale=1.0):
    """Sum over the top_k experts of a token of gate * expert; log collects what the router losses need.  With a correction the experts
    are chosen by score + correction; of sigmoids the balance loss takes the shares of their sum."""
    logits = x @ router.T
    probs = logits.sigmoid() if sigmoid else logits.softmax(-1)
    by = logits.detach() if correction is None else probs.detach() + correction
    ranked = by.sort(-1, descending=True)[0]
    chosen = torch.zeros_like(probs).scatter(-1, by.topk(top_k, -1)[1], 1.0)
    gates = probs * chosen
    if renormalise:
        gates = gates / gates.sum(-1, keepdim=True)
    gates = gates * scale
    share = probs / probs.sum(-1, keepdim=True) if sigmoid else probs
    count = chosen.flatten(0, 1).sum(0)
    f = count / (chosen.shape[0] * chosen.shape[1] * top_k)
    log.append({"lb": n_expert * (f * share.mean((0, 1))).sum(), "z": (logits.logsumexp(-1) ** 2).mean(),
                "count": count.detach(), "margin": (ranked[..., top_k - 1] - ranked[..., top_k]).min()})
    return sum(gates[..., e:e + 1] * expert(x, e) for e in range(n_expert))


# ---- families: names and shapes of the weights, and logits of ids ----

def gpt2_shapes(c):
    C, inner = c["n_embd"], 4 * c["n_embd"]
    s = {"transformer.wte.weight": (c["vocab_size"], C), "transformer.wpe.weight": (c["n_positions"], C)}
    for i in range(c["n_layer"]):
        p = f"transformer.h.{i}."
        for name, shape in (("ln_1", (C,)), ("attn.c_attn", (C, 3 * C)), ("attn.c_proj", (C, C)),
                            ("ln_2", (C,)), ("mlp.c_fc", (C, inner)), ("mlp.c_proj", (inner, C))):
            s[p + name + ".weight"] = shape
            s[p + name + ".bias"] = shape[-1:]
    s["transformer.ln_f.weight"] = s["transformer.ln_f.bias"] = (C,)
    return s


def gpt2_logits(w, c, ids, log):
    def norm(x, name):
        return layer_norm(x, w[name + ".weight"], w[name + ".bias"], c["layer_norm_epsilon"])

    def conv1d(x, name):
        return x @ w[name + ".weight"] + w[name + ".bias"]

    x = w["transformer.wte.weight"][ids] + w["transformer.wpe.weight"][:ids.shape[1]]
    for i in range(c["n_layer"]):
        p = f"transformer.h.{i}."
        q, k, v = (heads(a, c["n_head"]) for a in conv1d(norm(x, p + "ln_1"), p + "attn.c_attn").chunk(3, -1))
        x = x + conv1d(attention(q, k, v), p + "attn.c_proj")
        x = x + conv1d(gelu_tanh(conv1d(norm(x, p + "ln_2"), p + "mlp.c_fc")), p + "mlp.c_proj")
    return norm(x, "transformer.ln_f") @ w["transformer.wte.weight"].T


def head_dim(c):
    return c.get("head_dim", c["hidden_size"] // c["num_attention_heads"])


def n_expert_of(c):
    return c.get("num_local_experts", c.get("num_experts", 0))


def expert_prefix(c, p):
    return p + ("block_sparse_moe." if c["model_type"] == "mixtral" else "mlp.")


def attention_shapes(c, p, C):
    q, kv = (c.get(k, c["num_attention_heads"]) * head_dim(c) for k in ("num_attention_heads", "num_key_value_heads"))
    return {p + "self_attn.q_proj.weight": (q, C), p + "self_attn.k_proj.weight": (kv, C),
            p + "self_attn.v_proj.weight": (kv, C), p + "self_attn.o_proj.weight": (C, q)}


def llama_shapes(c):
    """Llama, Mixtral, OLMoE and Qwen3-MoE."""
    C, inner = c["hidden_size"], c.get("moe_intermediate_size", c["intermediate_size"])
    s = {"model.embed_tokens.weight": (c["vocab_size"], C)}
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        s[p + "input_layernorm.weight"] = (C,)
        s.update(attention_shapes(c, p, C))
        if c["model_type"] == "olmoe":
            s[p + "self_attn.q_norm.weight"] = s[p + "self_attn.q_proj.weight"][:1]
            s[p + "self_attn.k_norm.weight"] = s[p + "self_attn.k_proj.weight"][:1]
        if c["model_type"] == "qwen3_moe":
            s[p + "self_attn.q_norm.weight"] = s[p + "self_attn.k_norm.weight"] = (head_dim(c),)
        s[p + "post_attention_layernorm.weight"] = (C,)
        gate, up, down = ("w1", "w3", "w2") if c["model_type"] == "mixtral" else ("gate_proj", "up_proj", "down_proj")
        m, n = expert_prefix(c, p), n_expert_of(c)
        if n:
            s[m + "gate.weight"] = (n, C)
        for block in [f"{m}experts.{e}." for e in range(n)] or [m]:
            s.update({f"{block}{gate}.weight": (inner, C), f"{block}{up}.weight": (inner, C),
                      f"{block}{down}.weight": (C, inner)})
    s["model.norm.weight"] = (C,)
    if not c["tie_word_embeddings"]:
        s["lm_head.weight"] = (c["vocab_size"], C)
    return s


def llama_logits(w, c, ids, log):
    eps, n_expert = c["rms_norm_eps"], n_expert_of(c)
    gate, up, down = ("w1", "w3", "w2") if c["model_type"] == "mixtral" else ("gate_proj", "up_proj", "down_proj")

    def swiglu(x, p):
        return (silu(x @ w[f"{p}{gate}.weight"].T) * (x @ w[f"{p}{up}.weight"].T)) @ w[f"{p}{down}.weight"].T

    x = w["model.embed_tokens.weight"][ids]
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        h = rms_norm(x, w[p + "input_layernorm.weight"], eps)
        q, k, v = (h @ w[f"{p}self_attn.{a}_proj.weight"].T for a in "qkv")
        if c["model_type"] == "olmoe":         # over all heads at once, before they are split and rotated
            q = rms_norm(q, w[p + "self_attn.q_norm.weight"], eps)
            k = rms_norm(k, w[p + "self_attn.k_norm.weight"], eps)
        q, k, v = heads(q, c["num_attention_heads"]), heads(k, c["num_key_value_heads"]), heads(v, c["num_key_value_heads"])
        if c["model_type"] == "qwen3_moe":     # over each head
            q = rms_norm(q, w[p + "self_attn.q_norm.weight"], eps)
            k = rms_norm(k, w[p + "self_attn.k_norm.weight"], eps)
        y = attention(rope(q, c["rope_theta"]), rope(k, c["rope_theta"]), v)
        x = x + y @ w[p + "self_attn.o_proj.weight"].T
        h, m = rms_norm(x, w[p + "post_attention_layernorm.weight"], eps), expert_prefix(c, p)
        if n_expert:
            x = x + experts(h, w[m + "gate.weight"], lambda x, e: swiglu(x, f"{m}experts.{e}."), n_expert,
                            c["num_experts_per_tok"], c.get("norm_topk_prob", True), log)
        else:
            x = x + swiglu(h, m)
    head = "model.embed_tokens.weight" if c["tie_word_embeddings"] else "lm_head.weight"
    return rms_norm(x, w["model.norm.weight"], eps) @ w[head].T


CORRECTION = "mlp.gate.e_score_correction_bias"


def lathe_gpt_shapes(c):
    C, n = c["hidden_size"], n_expert_of(c)
    s = {"model.embed_tokens.weight": (c["vocab_size"], C), "model.embed_positions.weight": (c["max_position_embeddings"], C)}
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        s[p + "input_layernorm.weight"] = (C,)
        s.update(attention_shapes(c, p, C))
        s[p + "post_attention_layernorm.weight"] = (C,)
        inner = c["moe_intermediate_size" if n else "intermediate_size"]
        if n:
            s[p + "mlp.gate.weight"] = (n, C)
        if c.get("e_score_correction_bias"):
            s[p + CORRECTION] = (n,)
        for block in [f"{p}mlp.experts.{e}." for e in range(n)] or [p + "mlp."]:
            s.update({f"{block}up_proj.weight": (inner, C), f"{block}down_proj.weight": (C, inner)})
    s["model.norm.weight"] = (C,)
    return s


def lathe_gpt_logits(w, c, ids, log):
    """nanoGPT without biases: LayerNorm with a weight only, exact GELU, learned positions, tied head."""
    eps, n_expert = c["norm_eps"], n_expert_of(c)

    def mlp(x, p):
        return gelu(x @ w[p + "up_proj.weight"].T) @ w[p + "down_proj.weight"].T

    x = w["model.embed_tokens.weight"][ids] + w["model.embed_positions.weight"][:ids.shape[1]]
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        h = layer_norm(x, w[p + "input_layernorm.weight"], None, eps)
        q, k, v = (heads(h @ w[f"{p}self_attn.{a}_proj.weight"].T, c["num_attention_heads"]) for a in "qkv")
        x = x + attention(q, k, v) @ w[p + "self_attn.o_proj.weight"].T
        h = layer_norm(x, w[p + "post_attention_layernorm.weight"], None, eps)
        if n_expert:
            x = x + experts(h, w[p + "mlp.gate.weight"], lambda x, e: mlp(x, f"{p}mlp.experts.{e}."), n_expert,
                            c["num_experts_per_tok"], c["norm_topk_prob"], log, c.get("scoring_func") == "sigmoid", w.get(p + CORRECTION),
                            c.get("routed_scaling_factor", 1.0))
        else:
            x = x + mlp(h, p + "mlp.")
    return layer_norm(x, w["model.norm.weight"], None, eps) @ w["model.embed_tokens.weight"].T


FAMILIES = {"gpt2": (gpt2_shapes, gpt2_logits), "llama": (llama_shapes, llama_logits), "mixtral": (llama_shapes, llama_logits),
            "olmoe": (llama_shapes, llama_logits), "qwen3_moe": (llama_shapes, llama_logits), "lathe_gpt": (lathe_gpt_shapes, lathe_gpt_logits)}

# ---- cases ----

# T, heads, widths and vocabularies are no multiples of vector widths; llama's heads are wider together than its stream.
# n_ignored targets are not counted.  idle_expert: the seed leaves an expert without a token.  step_seed: of the further batches of
# steps.safetensors.
CORRECTED = {
    "architectures": ["LatheForCausalLM"], "model_type": "lathe_gpt", "vocab_size": 53, "hidden_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 3, "max_position_embeddings": 20, "norm": "layernorm", "norm_eps": 1e-5, "norm_bias": False, "act": "gelu",
    "linear_bias": False, "pos": "learned", "tie_word_embeddings": True, "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 15,
    "norm_topk_prob": True, "e_score_correction_bias": True, "torch_dtype": "float32"}
CASES = {
    "gpt2": {"B": 2, "T": 24, "seed": 1, "n_ignored": 0, "config": {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": 83, "n_positions": 32, "n_embd": 36,
        "n_layer": 2, "n_head": 3, "n_inner": None, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
        "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "initializer_range": 0.02, "bos_token_id": 0,
        "eos_token_id": 0, "tie_word_embeddings": True, "torch_dtype": "float32"}},
    "llama": {"B": 2, "T": 21, "seed": 2, "step_seed": 1, "n_ignored": 9, "config": {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 71, "hidden_size": 40,
        "intermediate_size": 68, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 12, "hidden_act": "silu", "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "attention_bias": False, "attention_dropout": 0.0, "mlp_bias": False, "initializer_range": 0.02,
        "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False, "torch_dtype": "float32"}},
    "mixtral": {"B": 3, "T": 17, "seed": 6, "n_ignored": 6, "config": {
        "architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "vocab_size": 67, "hidden_size": 32,
        "intermediate_size": 36, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 8, "hidden_act": "silu", "max_position_embeddings": 48, "rms_norm_eps": 1e-5, "rope_theta": 1000000.0,
        "attention_dropout": 0.0, "sliding_window": None, "num_local_experts": 4, "num_experts_per_tok": 2,
        "router_aux_loss_coef": 0.02, "router_jitter_noise": 0.0, "output_router_logits": False,
        "initializer_range": 0.02, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False,
        "torch_dtype": "float32"}},
    "olmoe": {"B": 2, "T": 19, "seed": 82729, "n_ignored": 0, "idle_expert": True, "config": {
        "architectures": ["OlmoeForCausalLM"], "model_type": "olmoe", "vocab_size": 65, "hidden_size": 32,
        "intermediate_size": 17, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "hidden_act": "silu", "max_position_embeddings": 32, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "attention_bias": False, "attention_dropout": 0.0, "clip_qkv": None, "num_experts": 8, "num_experts_per_tok": 2,
        "norm_topk_prob": False, "router_aux_loss_coef": 0.01, "router_z_loss_coef": 0.001,
        "output_router_logits": False, "initializer_range": 0.02, "pad_token_id": 1, "eos_token_id": 2,
        "tie_word_embeddings": False, "torch_dtype": "float32"}},
    "lathe_gpt": {"B": 3, "T": 16, "seed": 5, "n_ignored": 0, "config": {
        "architectures": ["LatheForCausalLM"], "model_type": "lathe_gpt", "vocab_size": 65, "hidden_size": 40,
        "intermediate_size": 90, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 24,
        "norm": "layernorm", "norm_eps": 1e-5, "norm_bias": False, "act": "gelu", "linear_bias": False,
        "pos": "learned", "tie_word_embeddings": True, "torch_dtype": "float32"}},
    "lathe_gpt_moe": {"B": 2, "T": 20, "seed": 3567, "n_ignored": 5, "idle_expert": True, "config": {
        "architectures": ["LatheForCausalLM"], "model_type": "lathe_gpt", "vocab_size": 97, "hidden_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 24, "norm": "layernorm",
        "norm_eps": 1e-5, "norm_bias": False, "act": "gelu", "linear_bias": False, "pos": "learned",
        "tie_word_embeddings": True, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 27,
        "norm_topk_prob": True, "router_aux_loss_coef": 0.01, "router_z_loss_coef": 0.001, "torch_dtype": "float32"}},
    "qwen3_moe": {"B": 2, "T": 20, "seed": 31982, "step_seed": 9, "n_ignored": 7, "config": {
        "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "vocab_size": 61, "hidden_size": 28,
        "intermediate_size": 40, "moe_intermediate_size": 18, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 12, "hidden_act": "silu", "max_position_embeddings": 40, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "attention_bias": False, "attention_dropout": 0.0, "use_sliding_window": False, "sliding_window": None, "max_window_layers": 2,
        "num_experts": 6, "num_experts_per_tok": 2, "norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": [],
        "router_aux_loss_coef": 0.02, "output_router_logits": False, "initializer_range": 0.02, "bos_token_id": None,
        "eos_token_id": 2, "tie_word_embeddings": False, "torch_dtype": "float32"}},
    "lathe_gpt_sigmoid": {"B": 2, "T": 18, "seed": 135, "step_seed": 2, "n_ignored": 3, "config": dict(
        CORRECTED, scoring_func="sigmoid", routed_scaling_factor=2.5, router_aux_loss_coef=0.01)},
    "lathe_gpt_corrected": {"B": 2, "T": 18, "seed": 3189, "step_seed": 47, "n_ignored": 3, "config": dict(CORRECTED, router_z_loss_coef=0.001)},
}


def is_norm(name):
    return name.endswith(("norm.weight", "ln_1.weight", "ln_2.weight", "ln_f.weight"))


def draw_weight(rng, name, shape):
    """Large enough that no gradient is lost in noise; routers larger still, so that their choices are clear."""
    x = rng.standard_normal(shape)
    if is_norm(name):
        return (1 + 0.1 * x).astype(np.float32)
    if name.endswith(CORRECTION):
        return (0.1 * x).astype(np.float32)
    router = name.endswith(("mlp.gate.weight", "block_sparse_moe.gate.weight"))
    return ((0.3 if router else 0.08) * x).astype(np.float32)


def draw_case(case):
    c = case["config"]
    rng = np.random.RandomState(case["seed"])
    weights = {name: draw_weight(rng, name, shape) for name, shape in FAMILIES[c["model_type"]][0](c).items()}
    text = rng.randint(0, c["vocab_size"], (case["B"], case["T"] + 1)).astype(np.int32)
    ids, targets = text[:, :-1].copy(), text[:, 1:].copy()
    targets.reshape(-1)[rng.permutation(targets.size)[:case["n_ignored"]]] = IGNORED
    return weights, ids, targets


def total_loss(c, logits, targets, log):
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten().long(), ignore_index=IGNORED)
    lb, z = sum(r["lb"] for r in log), sum(r["z"] for r in log)
    return loss, loss + c.get("router_aux_loss_coef", 0) * lb + c.get("router_z_loss_coef", 0) * z


def leaves(weights, dtype=torch.float64):
    return {name: torch.tensor(x, dtype=dtype, requires_grad=not name.endswith(CORRECTION)) for name, x in weights.items()}


def run_model(c, weights, ids, targets, mode=contextlib.nullcontext()):
    """The weights with their gradients; what the routers told; logits and losses."""
    w, log = leaves(weights), []
    with mode:
        logits = FAMILIES[c["model_type"]][1](w, c, torch.tensor(ids).long(), log)
        loss, total = total_loss(c, logits, torch.tensor(targets), log)
        total.backward()
    return w, log, logits, loss, total


class Rounded(TorchDispatchMode):
    """Products, those of gradients too, whose operands are rounded to bf16's 8 bits, but for a router's weights and its logits'
    gradient, which are fp32 in a bf16 run: matrices as wide or high as there are experts.  Seed 0 rounds as bf16 does, others on a
    grid that is moved by a factor drawn for each operand: as coarse, but what falls which way is chance."""
    def __init__(self, seed, n_expert):
        super().__init__()
        self.rng, self.n_expert = np.random.RandomState(seed) if seed else None, n_expert

    def rounded(self, x):
        if x.dim() == 2 and self.n_expert in x.shape:
            return x
        factor = 2 ** self.rng.uniform() if self.rng else 1.0
        return (x * factor).to(torch.bfloat16).to(x.dtype) / factor

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in (torch.ops.aten.mm.default, torch.ops.aten.bmm.default):
            args = self.rounded(args[0]), self.rounded(args[1])
        return func(*args, **(kwargs or {}))


def bf16_noise(c, weights, ids, targets, exact):
    """How far gradients of float64 with rounded operands are from the exact ones: the worst weight of ROUNDINGS runs.  Where that is
    near the tolerance, which rounding a program happens to have decides whether it is within."""
    worst = (0.0, "")
    for seed in range(ROUNDINGS):
        w = run_model(c, weights, ids, targets, Rounded(seed, n_expert_of(c)))[0]
        worst = max(worst, *((float((w[n].grad - x.grad).norm() / (x.grad.norm() or 1)), n) for n, x in exact.items() if x.requires_grad))
    return worst


def run_case(case):
    c = case["config"]
    weights, ids, targets = draw_case(case)
    w, log, logits, loss, total = run_model(c, weights, ids, targets)
    golden = {"input_ids": ids, "targets": targets, "logits": logits.detach().numpy(),
              "loss": loss.detach().reshape(1).numpy(), "loss_total": total.detach().reshape(1).numpy()}
    # A bf16 run (router logits off by up to about 0.02) must choose the same experts.
    margin = SCORE_MARGIN if c.get("e_score_correction_bias") else MARGIN
    assert all(r["margin"] > margin for r in log), "a choice of experts hangs by a hair: another seed"
    if log:
        golden["loss_lb"] = torch.stack([r["lb"] for r in log]).detach().numpy()
        golden["loss_z"] = torch.stack([r["z"] for r in log]).detach().numpy()
    for i, r in enumerate(log):
        golden[f"expert_count.{i}"] = r["count"].numpy().astype(np.int32)
    idle = any((golden[f"expert_count.{i}"] == 0).any() for i in range(len(log)))
    assert idle or not case.get("idle_expert"), "no expert is idle: choose another seed"
    least = min(int(r["count"][r["count"] > 0].min()) for r in log) if log else FEWEST
    assert least >= FEWEST, "an expert's gradient is that of hardly any token: choose another seed"
    noise = bf16_noise(c, weights, ids, targets, w)
    assert noise[0] <= BF16_NOISE * BF16_TOLERANCE, f"bf16 alone moves the gradient of {noise[1]} by {noise[0]:.4f}: choose another seed"
    golden.update({"grad." + name: x.grad.numpy() for name, x in w.items() if x.requires_grad})
    return weights, golden, noise


def write_case(folder, name):
    weights, golden, noise = run_case(CASES[name])
    os.makedirs(folder, exist_ok=True)
    save_json(f"{folder}/config.json", CASES[name]["config"])
    save_safetensors(f"{folder}/model.safetensors", weights)
    save_safetensors(f"{folder}/golden.safetensors", golden)
    counts = [golden[k].tolist() for k in golden if k.startswith("expert_count")]
    least = min(np.abs(golden[k]).max() for k in golden if k.startswith("grad.") and np.any(golden[k]))
    print(f"{name}: loss {golden['loss'][0]:.6f}, total {golden['loss_total'][0]:.6f}, "
          f"{sum(x.size for x in weights.values())} weights, smallest max|grad| {least:.1e}, bf16 within {noise[0]:.4f} ({noise[1]})",
          *(f"experts {x}" for x in counts))
    if "step_seed" in CASES[name]:
        write_steps(folder, CASES[name])


# ---- steps ----

POLAR = [(8.156554524902461, -22.48329292557795, 15.878769915207462), (4.042929935166739, -2.808917465908714, 0.5000178451051316),
         (3.8916678022926607, -2.772484153217685, 0.5060648178503393), (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
         (2.3465413258596377, -1.7097828382687081, 0.42323551169305323)]      # arXiv:2505.16932, five steps, as modded-nanogpt has them


def orthogonal(u):
    """On singular values: the polynomials applied to each of them, which needs no product of the kind that is tested."""
    left, s, right = torch.linalg.svd(u / (1.02 * u.norm() + 1e-6), full_matrices=False)
    for a, b, c in POLAR:
        s = s * (a + b * s ** 2 + c * s ** 4)
    return left @ torch.diag(s) @ right


def orthogonal_by_products(u):
    x = u / (1.02 * u.norm() + 1e-6)
    for a, b, c in POLAR:
        if x.shape[0] > x.shape[1]:
            square = x.T @ x
            x = x @ (a * torch.eye(len(square)) + b * square + c * square @ square)
        else:
            square = x @ x.T
            x = (a * torch.eye(len(square)) + b * square + c * square @ square) @ x
    return x


STEPS, N_BATCH = 20, 3
ADAM = {"lr": 3e-3, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "decay": 0.1, "clip": 1.0}
MUON = {"lr": 0.02, "decay": 0.01, "momentum": 0.95}
CORRECTION_RATE = 0.01


def of_muon(name, x):
    """Matrices of layers: q, k and v, gate and up, and each expert by itself; not the router."""
    return ".layers." in name and x.dim() == 2 and not name.endswith(".gate.weight")


def run_steps(case, weights, batches, muon, dtype=torch.float64, orthogonal=orthogonal):
    c, w = case["config"], leaves(weights, dtype)
    learned = {n: x for n, x in w.items() if x.requires_grad}
    adam = {n: x for n, x in learned.items() if not (muon and of_muon(n, x))}
    optim = torch.optim.AdamW([{"params": [x for x in adam.values() if x.dim() >= 2], "weight_decay": ADAM["decay"]},
                               {"params": [x for x in adam.values() if x.dim() < 2], "weight_decay": 0.0}],
                              lr=ADAM["lr"], betas=(ADAM["beta1"], ADAM["beta2"]), eps=ADAM["eps"])
    momentum = {n: torch.zeros_like(x) for n, x in learned.items() if n not in adam}
    losses = []
    for step in range(STEPS):
        ids, targets = (torch.tensor(b[step % N_BATCH]).long() for b in batches)
        log = []
        total = total_loss(c, FAMILIES[c["model_type"]][1](w, c, ids, log), targets, log)[1]
        assert all(r["margin"] > STEP_MARGIN for r in log), "a choice of experts hangs by a hair: another step_seed"
        losses.append(total.item())
        for x in learned.values():                           # zeros, not none, where an expert has no token
            x.grad = torch.zeros_like(x)
        total.backward()
        torch.nn.utils.clip_grad_norm_(list(learned.values()), ADAM["clip"])
        optim.step()
        with torch.no_grad():
            for n, m in momentum.items():
                m.lerp_(w[n].grad, 1 - MUON["momentum"])
                w[n] *= 1 - MUON["lr"] * MUON["decay"]
                w[n] -= MUON["lr"] * max(1, m.shape[0] / m.shape[1]) ** 0.5 * orthogonal(w[n].grad.lerp(m, MUON["momentum"]))
            for i, r in enumerate(log):
                name = f"model.layers.{i}.{CORRECTION}"
                if name in w:
                    w[name] += CORRECTION_RATE * torch.sign(r["count"].mean() - r["count"])
    return np.array(losses), {n: x.detach().numpy().astype(np.float32) for n, x in w.items()}


class Shuffled(TorchDispatchMode):
    """Products, those of gradients too, whose sums run over their terms in an order that is drawn."""
    def __init__(self, seed):
        super().__init__()
        self.rng = np.random.RandomState(seed)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in (torch.ops.aten.mm.default, torch.ops.aten.bmm.default):
            order = torch.tensor(self.rng.permutation(args[0].shape[-1]))
            args = args[0][..., order], args[1][..., order, :]
        return func(*args, **(kwargs or {}))


def step_noise(case, weights, batches, muon, after):
    """How far float32 with the formulas of run_steps, Muon's by products, is from `after`: the worst weight of ORDERS runs.  Muon makes
    all singular values of a momentum near 1, the smallest ones 990 times larger: of an expert that has fewer tokens in its
    first batches than its matrices have rows, they are rounding errors.  A case in which that reaches the weights shows chance."""
    worst = (0.0, "")
    for seed in range(ORDERS):
        with Shuffled(seed):
            got = run_steps(case, weights, batches, muon, torch.float32, orthogonal_by_products)[1]
        worst = max(worst, *((float(np.linalg.norm(got[n].astype(np.float64) - x) / np.linalg.norm(x.astype(np.float64))), n) for n, x in after.items()))
    return worst


def write_steps(folder, case):
    weights, ids, targets = draw_case(case)
    rng = np.random.RandomState(case["step_seed"])
    text = rng.randint(0, case["config"]["vocab_size"], (N_BATCH - 1, case["B"], case["T"] + 1)).astype(np.int32)
    batches = np.concatenate([ids[None], text[:, :, :-1]]), np.concatenate([targets[None], text[:, :, 1:]])
    golden = {"input_ids": batches[0], "targets": batches[1]}
    for kind in ("adamw", "muon"):
        golden[kind + ".loss"], after = run_steps(case, weights, batches, kind == "muon")
        golden.update({f"{kind}.{n}": x for n, x in after.items()})
        noise, name = step_noise(case, weights, batches, kind == "muon", after)
        print(f"  {kind}: loss {golden[kind + '.loss'][0]:.4f} to {golden[kind + '.loss'][-1]:.4f}, float32 within {noise:.1e} ({name})")
        assert noise <= STEP_NOISE, "rounding alone moves a weight too far: another step_seed"
    save_safetensors(f"{folder}/steps.safetensors", golden)


# ---- learning rates ----

def lr_cosine(s, c):
    if s < c["warmup"]:
        return c["max"] * (s + 1) / c["warmup"]
    r = min(1, (s - c["warmup"]) / (c["steps"] - c["warmup"]))
    return c["min"] + 0.5 * (1 + math.cos(math.pi * r)) * (c["max"] - c["min"])


def lr_wsd(s, c):
    """Constant after the warm-up; over the last decay_share of the steps down by a square root, arXiv:2405.18392."""
    if s < c["warmup"]:
        return c["max"] * (s + 1) / c["warmup"]
    decay = c["decay_share"] * c["steps"]
    r = min(1, (s - (c["steps"] - decay)) / decay)
    return c["max"] if r < 0 else c["min"] + (1 - math.sqrt(r)) * (c["max"] - c["min"])


def lr_linear(s, c):
    if s < c["warmup"]:
        return c["max"] * (s + 1) / c["warmup"]
    return c["max"] + min(1, (s - c["warmup"]) / (c["steps"] - c["warmup"])) * (c["min"] - c["max"])


SCHEDULES = [
    {"kind": "cosine", "max": 1e-3, "min": 1e-4, "warmup": 10, "steps": 100},
    {"kind": "cosine", "max": 6e-4, "min": 0.0, "warmup": 0, "steps": 50},
    {"kind": "cosine", "max": 3e-3, "min": 3e-4, "warmup": 1, "steps": 7},
    {"kind": "wsd", "max": 1e-3, "min": 0.0, "warmup": 10, "steps": 100, "decay_share": 0.2},
    {"kind": "wsd", "max": 2e-3, "min": 2e-4, "warmup": 0, "steps": 25, "decay_share": 0.2},
    {"kind": "linear", "max": 1e-3, "min": 1e-5, "warmup": 5, "steps": 30},
    {"kind": "linear", "max": 2e-3, "min": 0.0, "warmup": 0, "steps": 11},
    {"kind": "wsd", "max": 5e-4, "min": 5e-5, "warmup": 7, "steps": 40, "decay_share": 0.2},
]


def write_schedules(folder):
    """lr[s] for s = 0 .. steps: the last step of a run is steps - 1, the value at steps is min."""
    os.makedirs(folder, exist_ok=True)
    rule = {"cosine": lr_cosine, "linear": lr_linear, "wsd": lr_wsd}
    save_json(f"{folder}/schedule.json", [dict(c, lr=[rule[c["kind"]](s, c) for s in range(c["steps"] + 1)]) for c in SCHEDULES])
    print(f"schedule: {len(SCHEDULES)} tables")


# ---- AdamW ----

ADAMW = {"steps": 20, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1, "clip": 1.0,
         "schedule": {"kind": "cosine", "max": 1e-2, "min": 1e-3, "warmup": 5, "steps": 20}}
ADAMW_SHAPES = {"embed.weight": (11, 6), "fc.weight": (9, 6), "fc.bias": (9,), "norm.weight": (6,), "head.weight": (5, 9)}


def write_adamw(folder):
    """config.json; golden.safetensors, all F64: lr [20], norm [20] (before clipping), before.<w>, grad.<step>.<w>,
    after.<w>, exp_avg.<w>, exp_avg_sq.<w>.  Weights and gradients are exact in float32; decay is for matrices only."""
    rng = np.random.RandomState(7)
    def draw(shape, scale):
        return (scale * rng.standard_normal(shape)).astype(np.float32).astype(np.float64)
    before = {name: draw(shape, 0.3) for name, shape in ADAMW_SHAPES.items()}
    w = {name: torch.tensor(x, requires_grad=True) for name, x in before.items()}
    optim = torch.optim.AdamW([{"params": [p for p in w.values() if p.dim() >= 2], "weight_decay": ADAMW["weight_decay"]},
                               {"params": [p for p in w.values() if p.dim() < 2], "weight_decay": 0.0}],
                              betas=(ADAMW["beta1"], ADAMW["beta2"]), eps=ADAMW["eps"])
    lrs, norms, grads = [], [], {}
    for step in range(ADAMW["steps"]):
        lrs.append(lr_cosine(step, ADAMW["schedule"]))
        for group in optim.param_groups:
            group["lr"] = lrs[-1]
        scale = 0.02 * 1.25 ** (step % 10)                   # norms on both sides of the limit
        for name, p in w.items():
            grads[f"grad.{step}.{name}"] = draw(p.shape, scale)
            p.grad = torch.tensor(grads[f"grad.{step}.{name}"])
        norms.append(float(torch.nn.utils.clip_grad_norm_(list(w.values()), ADAMW["clip"])))
        optim.step()
    assert min(norms) < 0.9 * ADAMW["clip"] and max(norms) > 1.1 * ADAMW["clip"]
    golden = {"lr": np.array(lrs), "norm": np.array(norms)}
    golden.update({"before." + name: x for name, x in before.items()})
    golden.update(grads)
    golden.update({"after." + name: p.detach().numpy() for name, p in w.items()})
    for key in ("exp_avg", "exp_avg_sq"):
        golden.update({f"{key}.{name}": optim.state[p][key].numpy() for name, p in w.items()})
    os.makedirs(folder, exist_ok=True)
    save_json(f"{folder}/config.json", ADAMW)
    save_safetensors(f"{folder}/golden.safetensors", golden)
    print(f"adamw: gradient norms {min(norms):.3f} to {max(norms):.3f}")


# ---- Muon, SGD ----

MOMENTUM = {"steps": 20, "lr": 0.02, "momentum": 0.95, "weight_decay": 0.1, "grad_scale": 0.5}
# rows of the matrices that lie one above the other, columns, experts
MUON_SHAPES = {"square": ([16], 16, 1), "tall": ([40], 12, 1), "wide": ([9], 33, 1), "qkv": ([24, 8, 8], 20, 1), "experts": ([10, 10], 14, 3)}


def write_momentum(folder):
    """golden.safetensors, all F64: before.<w>, grad.<step>.<w>, muon.<w> and sgd.<w> after 20 steps.  Of a weight the experts lie
    one after the other, and in an expert its matrices."""
    rng, golden, c = np.random.RandomState(11), {}, MOMENTUM
    for name, (rows, cols, experts) in MUON_SHAPES.items():
        shape = (experts * sum(rows), cols)
        before = (0.3 * rng.standard_normal(shape)).astype(np.float32).astype(np.float64)
        grads = [(rng.standard_normal(shape)).astype(np.float32).astype(np.float64) for _ in range(c["steps"])]
        golden["before." + name] = before
        golden.update({f"grad.{i}.{name}": g for i, g in enumerate(grads)})
        w = torch.tensor(before)
        at = 0
        for n in rows * experts:
            x, m = w[at:at + n].clone(), torch.zeros(n, cols, dtype=torch.float64)
            for g in grads:
                d = c["grad_scale"] * torch.tensor(g)[at:at + n]
                m.lerp_(d, 1 - c["momentum"])
                x *= 1 - c["lr"] * c["weight_decay"]
                x -= c["lr"] * max(1, n / cols) ** 0.5 * orthogonal(d.lerp(m, c["momentum"]))
            w[at:at + n] = x
            at += n
        golden["muon." + name] = w.numpy()
        p = torch.tensor(before, requires_grad=True)
        optim = torch.optim.SGD([p], lr=c["lr"], momentum=c["momentum"], weight_decay=c["weight_decay"])
        for g in grads:
            p.grad = c["grad_scale"] * torch.tensor(g)
            optim.step()
        golden["sgd." + name] = p.detach().numpy()
    os.makedirs(folder, exist_ok=True)
    save_safetensors(f"{folder}/golden.safetensors", golden)
    print(f"momentum: {len(MUON_SHAPES)} weights")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    arg = argparse.ArgumentParser(description="Writes the golden cases of tests/golden.")
    arg.add_argument("--out", default=os.path.join(here, "../../tests/golden"))
    arg.add_argument("case", nargs="*", help="cases to write; all if none is given")
    args = arg.parse_args()
    torch.set_num_threads(1)
    writers = {name: lambda folder, name=name: write_case(folder, name) for name in CASES}
    writers.update(adamw=write_adamw, momentum=write_momentum, schedule=write_schedules)
    for name in args.case or writers:
        if name not in writers:
            arg.error(f"no case '{name}', expected one of: {', '.join(writers)}")
        writers[name](os.path.join(args.out, name))


if __name__ == "__main__":
    main()
