#!/usr/bin/env python3
"""Makes tests/golden/quant: blocks of every type of GGUF and their values as PyPI's `gguf` (numpy) reads them, and the
bytes that it writes for one array of numbers, where its author says they equal ggml's.  pip install gguf numpy.

TYPE.bin: the blocks; TYPE.f32: their values.  numbers.f32: an array; TYPE.q: its blocks.  types.txt: id, block, bytes.
weights.f32: 48 rows of 256, importance.f32: of the columns; errors.txt, made when the path of llama.cpp's libggml-base.so is
given: relative errors of ggml's blocks of them, without and with importance (weighted by it).  small.gguf: a file of every kind of metadata, written by gguf's own writer; big.gguf: the same, big-endian."""
import ctypes
import os
import sys
import numpy as np
import gguf
from gguf import GGMLQuantizationType as T, GGML_QUANT_SIZES as SIZES

out = os.path.join(os.path.dirname(__file__), "../../tests/golden/quant")
os.makedirs(out, exist_ok=True)
rng = np.random.default_rng(1)
path = lambda name: os.path.join(out, name)

# Where the halves of a block stand, so that random bytes become finite scales.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2],
          "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "MXFP4": []}
for name, halves in HALVES.items():
    t = T[name]
    block, size = SIZES[t]
    n = 24 if block == 32 else 6
    raw = rng.integers(0, 256, (n, size), dtype=np.uint8)
    for at in halves:
        raw[:, at:at + 2] = (rng.standard_normal(n) * 2.0 ** rng.integers(-18, 3, n)).astype(np.float16)[:, None].view(np.uint8)
    if name == "MXFP4":
        raw[:, 0] = np.minimum(raw[:, 0], 250)
        raw[:4, 0] = 0, 1, 2, 127
    raw.tofile(path(name.lower() + ".bin"))
    with np.errstate(over="ignore"):
        gguf.quants.dequantize(raw, t).astype(np.float32).tofile(path(name.lower() + ".f32"))

x = (rng.standard_normal((40, 32)) * 2.0 ** rng.integers(-10, 4, (40, 1))).astype(np.float32)
x[0] = 0
x[1] = 1.5
x[2] = -x[2].__abs__()
x[3] = np.abs(x[3])
x[4, 1:] = 0
x[5] = np.arange(32) - 15.5
x[6] = np.round(x[6] * 4) / 4
x.tofile(path("numbers.f32"))
for name in ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16"]:
    gguf.quants.quantize(x, T[name]).tofile(path(name.lower() + ".q"))
gguf.quants.quantize(x, T.F16).tofile(path("f16.q"))

with open(path("types.txt"), "w") as f:
    for t, (block, size) in sorted(SIZES.items()):
        print(int(t), t.name.lower(), block, size, file=f)


w = (rng.standard_t(5, (48, 256)) * 0.02).astype(np.float32)
importance = rng.lognormal(0, 1.2, 256).astype(np.float32)
w.tofile(path("weights.f32"))
importance.tofile(path("importance.f32"))


def ggml_error(lib, name, importance):
    block, size = SIZES[T[name]]
    raw = np.zeros(w.size // block * size, np.uint8)
    f = getattr(lib, "quantize_" + (name.replace("Q", "q") if name.endswith("_K") else name.lower()))
    pointer = lambda a: None if a is None else a.ctypes.data_as(ctypes.c_void_p)
    f.argtypes, f.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p], ctypes.c_size_t
    assert f(pointer(w), pointer(raw), w.shape[0], w.shape[1], pointer(importance)) == raw.size
    y = gguf.quants.dequantize(raw.reshape(w.shape[0], -1), T[name])
    v = np.ones(256) if importance is None else importance.astype(np.float64)
    return np.sqrt((v * (y.astype(np.float64) - w) ** 2).sum() / (v * w.astype(np.float64) ** 2).sum())


if len(sys.argv) > 1:
    lib = ctypes.CDLL(sys.argv[1])
    with open(path("errors.txt"), "w") as f:
        for name in HALVES:
            print(name.lower(), "%.7f" % ggml_error(lib, name, None), "%.7f" % ggml_error(lib, name, importance), file=f)


def small(name, endian):
    w = gguf.GGUFWriter(path(name), "llama", endianess=endian)
    w.add_uint8("k.u8", 200)
    w.add_int8("k.i8", -100)
    w.add_uint16("k.u16", 60000)
    w.add_int16("k.i16", -30000)
    w.add_uint32("k.u32", 4000000000)
    w.add_int32("k.i32", -2000000000)
    w.add_float32("k.f32", 1.5)
    w.add_bool("k.true", True)
    w.add_bool("k.false", False)
    w.add_string("k.string", "na\u00efve \u4e2d")
    w.add_key_value("k.empty", "", gguf.GGUFValueType.STRING)
    w.add_uint64("k.u64", 2**63 + 5)
    w.add_int64("k.i64", -2**62)
    w.add_float64("k.f64", -1e300)
    w.add_array("k.strings", ["a", "", "\u00e9\u00e8", "<0x0A>"])
    w.add_array("k.ints", [1, -2, 3])
    w.add_array("k.floats", [0.5, -1.25])
    w.add_array("k.bools", [True, False, True])
    w.add_tensor("a.weight", np.arange(6, dtype=np.float32).reshape(2, 3))
    w.add_tensor("b.weight", np.arange(24, dtype=np.float16).reshape(2, 3, 4))
    w.add_tensor("c", np.array([7, 8], dtype=np.int32))
    w.add_tensor("q.weight", gguf.quants.quantize(np.linspace(-1, 1, 128, dtype=np.float32).reshape(2, 64), T.Q8_0), raw_dtype=T.Q8_0)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


small("small.gguf", gguf.GGUFEndian.LITTLE)
small("big.gguf", gguf.GGUFEndian.BIG)
