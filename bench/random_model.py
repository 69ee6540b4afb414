"""A GGUF file of a model with random weights, to time engines on: random_model.py CONFIG.json OUT.gguf [bf16|f16|f32]

CONFIG.json: Hugging Face keys of a llama, mixtral or olmoe (bench/models).  Needs PyPI's gguf and numpy.  The file has no
vocabulary (tokenizer.ggml.model "no_vocab"), which llama-bench, its forks and `lathe bench` do without."""
import json
import sys

import gguf
import numpy as np


def main():
    if not 3 <= len(sys.argv) <= 4 or sys.argv[3:4] not in ([], ["bf16"], ["f16"], ["f32"]):
        sys.exit("usage: random_model.py CONFIG.json OUT.gguf [bf16|f16|f32]")
    c = json.load(open(sys.argv[1]))
    kind = sys.argv[3] if len(sys.argv) > 3 else "bf16"
    E, arch = c.get("num_local_experts", c.get("num_experts", 0)), "olmoe" if c["model_type"] == "olmoe" else "llama"
    w = gguf.GGUFWriter(sys.argv[2], arch)
    C, L, H, G = c["hidden_size"], c["num_hidden_layers"], c["num_attention_heads"], c["num_key_value_heads"]
    D, F, V = C // H, c["intermediate_size"], c["vocab_size"]
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(C), w.add_block_count(L), w.add_feed_forward_length(F)
    w.add_head_count(H), w.add_head_count_kv(G), w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_rope_freq_base(c["rope_theta"]), w.add_rope_dimension_count(D), w.add_vocab_size(V)
    w.add_tokenizer_model("no_vocab")
    if E:
        w.add_expert_count(E), w.add_expert_used_count(c["num_experts_per_tok"])
    rng = np.random.default_rng(1)

    def matrix(name, *shape):
        x = rng.standard_normal(shape, dtype=np.float32) * np.float32(0.7 / shape[-1] ** 0.5)
        if kind == "bf16":
            w.add_tensor(name, gguf.quants.quantize(x, gguf.GGMLQuantizationType.BF16), raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            w.add_tensor(name, x.astype(np.float16) if kind == "f16" else x)

    def ones(name, n):
        w.add_tensor(name, np.ones(n, np.float32))

    matrix("token_embd.weight", V, C)
    for i in range(L):
        b = f"blk.{i}."
        ones(b + "attn_norm.weight", C), ones(b + "ffn_norm.weight", C)
        matrix(b + "attn_q.weight", H * D, C), matrix(b + "attn_k.weight", G * D, C), matrix(b + "attn_v.weight", G * D, C)
        matrix(b + "attn_output.weight", C, H * D)
        if arch == "olmoe":
            ones(b + "attn_q_norm.weight", H * D), ones(b + "attn_k_norm.weight", G * D)
        if E:
            w.add_tensor(b + "ffn_gate_inp.weight", rng.standard_normal((E, C), dtype=np.float32) * np.float32(1 / C ** 0.5))
            matrix(b + "ffn_gate_exps.weight", E, F, C), matrix(b + "ffn_up_exps.weight", E, F, C), matrix(b + "ffn_down_exps.weight", E, C, F)
        else:
            matrix(b + "ffn_gate.weight", F, C), matrix(b + "ffn_up.weight", F, C), matrix(b + "ffn_down.weight", C, F)
    ones("output_norm.weight", C)
    matrix("output.weight", V, C)
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file()
    w.close()


main()
