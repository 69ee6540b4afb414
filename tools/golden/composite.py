#!/usr/bin/env python3
"""Makes tests/golden/composite: one folder for each form in which safetensors files keep quantised weights, written from
known codes, scales and zero points, and want.safetensors with the weights they mean.  pip install numpy ml_dtypes."""
import json
import os
import struct
import numpy as np
import ml_dtypes as ml

out = os.path.join(os.path.dirname(__file__), "../../tests/golden/composite")
rng = np.random.default_rng(5)
NAMES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "int32": "I32", "int64": "I64", "int8": "I8", "uint8": "U8", "float8_e4m3fn": "F8_E4M3",
         "float8_e5m2": "F8_E5M2", "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ"}


def save(path, tensors):
    header, data = {}, b""
    for name, a in sorted(tensors.items(), key=lambda p: -p[1].dtype.itemsize):
        header[name] = {"dtype": NAMES[a.dtype.name], "shape": list(a.shape), "data_offsets": [len(data), len(data) + a.nbytes]}
        data += np.ascontiguousarray(a).tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def case(name, tensors, want, config):
    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    save(os.path.join(folder, "model.safetensors"), tensors)
    save(os.path.join(folder, "want.safetensors"), {k: np.asarray(v, np.float32) for k, v in want.items()})
    if config:
        json.dump({"quantization_config": config}, open(os.path.join(folder, "config.json"), "w"))


def pack(a, bits, axis, order=None):
    """Codes into int32 along an axis, lowest bits first; order: which element each place holds."""
    a = np.moveaxis(a.astype(np.uint32), axis, -1)
    n = 32 // bits
    a = np.concatenate([a, np.zeros((*a.shape[:-1], -a.shape[-1] % n), np.uint32)], -1)
    a = a.reshape(*a.shape[:-1], -1, n)
    a = a[..., order] if order else a
    word = np.zeros(a.shape[:-1], np.uint32)
    for i in range(n):
        word |= a[..., i] << np.uint32(bits * i)
    return np.moveaxis(word, -1, axis).view(np.int32)


def gptq(name, bits, group, plus_one, act_order):
    K, N = 128, 24
    G = K // group
    q = rng.integers(0, 2**bits, (K, N))
    z = rng.integers(1, 2**bits, (G, N))
    s = (rng.random((G, N)) * 0.1 + 0.01).astype(np.float16)
    g = rng.permutation(np.arange(K) // group) if act_order else np.arange(K) // group
    w = (q - z[g]).astype(np.float32) * s[g].astype(np.float32)
    exact = bits <= 4 and not act_order and group % 32 == 0
    tensors = {"m.qweight": pack(q, bits, 0), "m.qzeros": pack(z - plus_one, bits, 1), "m.scales": s, "m.g_idx": g.astype(np.int32), "m.bias": np.ones(N, np.float16)}
    case(name, tensors, {"m.weight": (w if exact else w.astype(np.float16)).T, "m.bias": np.ones(N)},
         {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": act_order, "checkpoint_format": "gptq" if plus_one else "gptq_v2"})


gptq("gptq", 4, 32, 1, False)
gptq("gptq_v2", 4, 64, 0, False)
gptq("gptq_act_order", 4, 32, 1, True)
gptq("gptq_2bit", 2, 128, 1, False)
gptq("gptq_8bit", 8, 16, 0, False)

K, N, G = 64, 24, 2
q, z = rng.integers(0, 16, (K, N)), rng.integers(0, 16, (G, N))
s = (rng.random((G, N)) * 0.1 + 0.01).astype(np.float16)
order = [0, 2, 4, 6, 1, 3, 5, 7]
case("awq", {"m.qweight": pack(q, 4, 1, order), "m.qzeros": pack(z, 4, 1, order), "m.scales": s},
     {"m.weight": ((q - np.repeat(z, K // G, 0)).astype(np.float32) * np.repeat(s, K // G, 0).astype(np.float32)).T},
     {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"})

for name, symmetric, K, group, kind in [("packed", True, 96, 32, ml.bfloat16), ("packed_zero", False, 96, 32, np.float16), ("packed_odd", True, 50, -1, np.float32)]:
    N = 12
    g = K if group < 0 else group
    q, z = rng.integers(-8, 8, (N, K)), rng.integers(-8, 8, (N, -(-K // g)))
    s = (rng.random(z.shape) * 0.1 + 0.01).astype(kind)
    z = z * (not symmetric)
    w = (q - np.repeat(z, g, 1)[:, :K]).astype(np.float32) * np.repeat(s, g, 1)[:, :K].astype(np.float32)
    t = {"m.weight_packed": pack(q + 8, 4, 1), "m.weight_scale": s, "m.weight_shape": np.array([N, K], np.int64)}
    if not symmetric:
        t["m.weight_zero_point"] = pack(z + 8, 4, 0)
    case(name, t, {"m.weight": w.astype(np.float16) if K % 32 else w},
         {"quant_method": "compressed-tensors", "format": "pack-quantized",
          "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": None if group < 0 else group, "symmetric": symmetric}}}})

f8 = lambda kind, *shape: (rng.standard_normal(shape) * 40).astype(kind)
bf = lambda a: np.asarray(a, np.float32).astype(ml.bfloat16)
up = lambda s, n, k: np.repeat(np.repeat(s, 128, -2), 128, -1)[..., :n, :k]
f32 = lambda a: np.asarray(a).astype(np.float32)
w, x, y, v = f8(ml.float8_e4m3fn, 130, 260), f8(ml.float8_e4m3fn, 8, 16), f8(ml.float8_e5m2, 8, 16), f8(ml.float8_e4m3fn, 2, 4, 8)
sw, sx, sv = rng.random((2, 3)).astype(np.float32), bf(rng.random((8, 1))), rng.random((2, 1, 1)).astype(np.float32)
u, su = f8(ml.float8_e4m3fn, 2, 130, 8), rng.random((2, 2, 1)).astype(np.float32)
case("fp8", {"block.weight": w, "block.weight_scale_inv": sw, "row.weight": x, "row.weight_scale": sx, "row.input_scale": np.float32([1]), "one.weight": y,
             "one.weight_scale": np.float32(0.3), "expert.weight": v, "expert.weight_scale": sv, "fused": u, "fused_scale_inv": su, "plain.weight": x},
     {"block.weight": bf(f32(w) * up(sw, 130, 260)), "row.weight": bf(f32(x) * f32(sx)), "one.weight": bf(f32(y) * np.float32(0.3)),
      "expert.weight": bf(f32(v) * sv), "fused": bf(f32(u) * up(su, 130, 8)), "plain.weight": f32(x)},
     {"quant_method": "fp8", "weight_block_size": [128, 128]})

a, b = np.arange(256, dtype=np.uint8).view(ml.float8_e4m3fnuz).reshape(8, 32), np.arange(256, dtype=np.uint8).view(ml.float8_e5m2fnuz).reshape(8, 32)
c, sc = rng.integers(-128, 128, (6, 32)).astype(np.int8), rng.random((6, 1)).astype(np.float32)
case("fnuz", {"a.weight": a, "b.weight": b, "c.weight": c, "c.weight_scale": sc, "d.weight": a, "d.weight_scale": np.float32([2])},
     {"a.weight": f32(a), "b.weight": f32(b), "c.weight": f32(c) * sc, "d.weight": bf(f32(a) * 2)}, None)

table = np.float32([0, .5, 1, 1.5, 2, 3, 4, 6, -0.0, -.5, -1, -1.5, -2, -3, -4, -6])
codes, e = rng.integers(0, 16, (2, 6, 3, 32)), rng.integers(110, 135, (2, 6, 3))
blocks = (codes[..., 0::2] | codes[..., 1::2] << 4).astype(np.uint8)
case("mxfp4", {"experts.gate_up_proj_blocks": blocks, "experts.gate_up_proj_scales": e.astype(np.uint8), "experts.gate_up_proj_bias": bf(np.zeros((2, 6)))},
     {"experts.gate_up_proj": np.ldexp(table[codes], e[..., None] - 127).reshape(2, 6, 96), "experts.gate_up_proj_bias": np.zeros((2, 6))},
     {"quant_method": "mxfp4"})
