#!/usr/bin/env python3
"""Makes tests/golden/mixes: the types that llama.cpp's own quantiser gives to each tensor of small models, for every
mixture.  Usage: mixes.py LIBLLAMA.SO; pip install gguf numpy.  MODEL.txt: one line "name shape(ggml's order)" for each tensor,
then for each mixture a line of its word and the types in that order."""
import ctypes
import os
import sys
import tempfile
import numpy as np
import gguf

out = os.path.join(os.path.dirname(__file__), "../../tests/golden/mixes")
os.makedirs(out, exist_ok=True)
lib = ctypes.CDLL(sys.argv[1])


class Params(ctypes.Structure):        # llama_model_quantize_params: threads and ftype come first
    _fields_ = [("nthread", ctypes.c_int32), ("ftype", ctypes.c_int32), ("rest", ctypes.c_uint8 * 504)]


lib.llama_model_quantize_default_params.restype = Params
lib.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Params)]
MIXES = {"q8_0": 7, "q6_k": 18, "q5_k_m": 17, "q5_k_s": 16, "q5_1": 9, "q5_0": 8, "q4_k_m": 15, "q4_k_s": 14, "iq4_nl": 25, "q4_1": 3, "q4_0": 2,
         "q3_k_l": 13, "q3_k_m": 12, "q3_k_s": 11, "q2_k": 10, "mxfp4": 38, "f16": 1, "bf16": 32}


def write(path, n_layer, heads, kv, expert, tied, width, ff):
    w = gguf.GGUFWriter(path, "llama")
    for add, v in [(w.add_block_count, n_layer), (w.add_context_length, 64), (w.add_embedding_length, width), (w.add_feed_forward_length, ff),
                   (w.add_head_count, heads), (w.add_head_count_kv, kv), (w.add_layer_norm_rms_eps, 1e-5)]:
        add(v)
    if expert:
        w.add_expert_count(expert)
        w.add_expert_used_count(2)
    w.add_tokenizer_model("none")
    w.add_vocab_size(64)
    rng = np.random.default_rng(0)
    t = lambda name, *shape: w.add_tensor(name, rng.standard_normal(shape).astype(np.float32))
    t("token_embd.weight", 64, width)
    t("output_norm.weight", width)
    if not tied:
        t("output.weight", 64, width)
    d = width // heads
    for i in range(n_layer):
        b = f"blk.{i}."
        t(b + "attn_norm.weight", width)
        t(b + "attn_q.weight", width, width)
        t(b + "attn_k.weight", kv * d, width)
        t(b + "attn_v.weight", kv * d, width)
        t(b + "attn_output.weight", width, width)
        t(b + "ffn_norm.weight", width)
        if expert:
            t(b + "ffn_gate_inp.weight", expert, width)
        e, s = ((expert,), "_exps") if expert else ((), "")
        t(b + f"ffn_gate{s}.weight", *e, ff, width)
        t(b + f"ffn_up{s}.weight", *e, ff, width)
        t(b + f"ffn_down{s}.weight", *e, width, ff)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


for name, args in {"dense": (16, 8, 4, 0, False, 256, 256), "tied": (10, 8, 2, 0, True, 256, 512), "moe8": (9, 4, 1, 8, False, 256, 256),
                   "narrow": (4, 4, 4, 0, False, 96, 80)}.items():
    with tempfile.TemporaryDirectory() as tmp, open(os.path.join(out, name + ".txt"), "w") as f:
        src, dst = os.path.join(tmp, "a.gguf"), os.path.join(tmp, "b.gguf")
        write(src, *args)
        print(*args[:5], file=f)
        order = [t.name for t in gguf.GGUFReader(src).tensors]
        for t in gguf.GGUFReader(src).tensors:
            print(t.name, *t.shape, file=f)
        for word, ftype in MIXES.items():
            p = lib.llama_model_quantize_default_params()
            p.nthread, p.ftype = 2, ftype
            assert lib.llama_model_quantize(src.encode(), dst.encode(), ctypes.byref(p)) == 0, (name, word)
            got = {t.name: t.tensor_type.name.lower() for t in gguf.GGUFReader(dst).tensors}
            print("mix", word, *[got[n] for n in order], file=f)
