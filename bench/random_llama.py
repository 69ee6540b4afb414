"""A folder in Hugging Face's form of a Llama with random weights in bf16 and a tokenizer of bytes and made-up words, to serve where nothing can be pulled: random_llama.py OUT [CONFIG.json]

Needs nothing but Python.  CONFIG.json: Hugging Face keys (bench/models); else Llama-3.2-1B's, with a head of its own.  Weights repeat every 2^19 numbers; what a model of
them says means nothing, what it takes is that of a trained one."""
import array
import json
import math
import os
import random
import struct
import sys

LLAMA_1B = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 8192,
            "vocab_size": 128256, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": False, "torch_dtype": "bfloat16"}
N = 1 << 19


def bf16(x): return struct.unpack("<I", struct.pack("<f", x))[0] >> 16


def bytes_as_chars():
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [b for b in range(256) if b not in shown]
    return {b: chr(b) for b in shown} | {b: chr(256 + i) for i, b in enumerate(other)}


def main():
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("usage: random_llama.py OUT [CONFIG.json]")
    out, c = sys.argv[1], json.load(open(sys.argv[2])) if len(sys.argv) > 2 else LLAMA_1B
    os.makedirs(out, exist_ok=True)
    C, L, H, G, F, V = (c[k] for k in ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size", "vocab_size"))
    D = c.get("head_dim", C // H)
    random.seed(1)
    normal = [random.gauss(0, 1) for _ in range(N)]
    blocks = {k: array.array("H", [bf16(x * 0.7 / math.sqrt(k)) for x in normal]).tobytes() for k in {C, H * D, F}}
    tensors = [("model.embed_tokens.weight", V, C)]
    for i in range(L):
        b = f"model.layers.{i}."
        tensors += [(b + "input_layernorm.weight", C), (b + "self_attn.q_proj.weight", H * D, C), (b + "self_attn.k_proj.weight", G * D, C), (b + "self_attn.v_proj.weight", G * D, C),
                    (b + "self_attn.o_proj.weight", C, H * D), (b + "post_attention_layernorm.weight", C), (b + "mlp.gate_proj.weight", F, C), (b + "mlp.up_proj.weight", F, C),
                    (b + "mlp.down_proj.weight", C, F)]
    tensors += [("model.norm.weight", C)] + ([] if c.get("tie_word_embeddings") else [("lm_head.weight", V, C)])
    head, at = {}, 0
    for name, *shape in tensors:
        n = 2 * math.prod(shape)
        head[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(out, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for i, (name, *shape) in enumerate(tensors):
            n = 2 * math.prod(shape)
            block = array.array("H", [bf16(1.0)]).tobytes() * N if len(shape) == 1 else blocks[shape[1]]
            start = 2 * (i * 7919 % N)
            f.write((block[start:] + block[:start])[:n])
            for done in range(len(block), n, len(block)):
                f.write(block[:n - done])
    json.dump(c, open(os.path.join(out, "config.json"), "w"))
    chars = bytes_as_chars()
    vocab = {chars[b]: b for b in range(256)} | {f"w{i}": i for i in range(256, V - 1)}
    json.dump({"version": "1.0", "added_tokens": [{"id": V - 1, "content": "<|end|>", "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}],
               "normalizer": None, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}, "post_processor": None,
               "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
               "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                         "vocab": vocab, "merges": []}}, open(os.path.join(out, "tokenizer.json"), "w"))
    json.dump({"eos_token_id": V - 1}, open(os.path.join(out, "generation_config.json"), "w"))


main()
